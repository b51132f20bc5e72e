# --- rollback ---------------------------------------------------------------------------------------

# From whatever state an apply left: not begun, killed anywhere, finished; again after a rollback
# that was killed, and again after one that succeeded. Needs no network and no archive. Every step
# looks first at what is there, so that each can be taken twice.
hp_rollback() {
    if [ ! -f "$HP_BATCH/begun" ]; then
        hp_result "never-began"
        # An apply that comes late, from a cockpit that was cut off, finds nothing to apply.
        rm -f "$HP_BATCH/staged" && sync "$HP_BATCH" 2>/dev/null
        if [ -f "$HP_BATCH/spec" ]; then
            hp_batch_versions | sed 's/^/package /' >>"$HP_OP/result.part"
        fi
        hp_result "audit $(hp_audit_words)"
        hp_result "identical yes"
        return 0
    fi
    hp_feet_stand || return 1
    rm -f "$HP_BATCH/reserve"
    # An apply whose helper was killed may still run in apt or dpkg: it is waited for, never killed.
    hp_wait_for_dpkg 1800 || hp_say "the package locks are still held after 30 minutes; going on, apt and dpkg wait for them too"
    if [ -f "$HP_BATCH/rolled-back" ] && hp_audit_is_clean && hp_all_are_at 4; then
        # A boot since then took what lived at runtime alone.
        hp_say "rolled back before: only addresses and routes are put back, and all is verified"
        [ ! -f "$HP_BATCH/kernel.trial" ] || hp_kernel_back
        hp_rollback_network
        hp_rollback_report
        return
    fi
    if [ -f "$HP_BATCH/rolled-back" ]; then
        # Changed once more since: what is there now is the start of another way back.
        (cd "$HP_BATCH" && rm -f rolled-back etc.start etc.plan etc.desired etc.others.tar units.start) || return 1
    fi
    # Before anything is put back: from the kernel that would be removed the host boots first, and goes on then.
    hp_bootback || return "$HP_GOES_ON"
    hp_pin_releases_settle || hp_say "what was released of its pins could not be looked at"
    hp_rollback_start || hp_result "caution the state at the start could not be saved whole"
    hp_pin_batch || hp_say "the versions of the batch could not be pinned out yet"
    hp_rollback_packages
    if ! { hp_audit_is_clean && hp_all_are_at 4; } && hp_feet_again; then
        hp_rollback_packages
    fi
    hp_rollback_files
    hp_restore_marks || hp_say "not every mark could be put back"
    hp_etc_restore
    hp_rollback_network
    hp_rollback_units
    hp_kernel_back
    hp_rollback_report
}

# What is there now, once for each rollback: a second try after a kill must not take what the first
# one half did for somebody's own edits. An apply that never finished has no `after`; then now is.
hp_rollback_start() {
    hp_start_status=0
    [ -f "$HP_BATCH/etc.start" ] || hp_etc_save "$HP_BATCH/etc.start" || hp_start_status=1
    [ -f "$HP_BATCH/etc.after" ] || hp_write "$HP_BATCH/etc.after" <"$HP_BATCH/etc.start" || hp_start_status=1
    [ -f "$HP_BATCH/units.start" ] || hp_units | hp_write "$HP_BATCH/units.start" || hp_start_status=1
    [ -f "$HP_BATCH/units.after" ] || hp_write "$HP_BATCH/units.after" <"$HP_BATCH/units.start" || hp_start_status=1
    if [ ! -f "$HP_BATCH/etc.plan" ]; then
        hp_etc_plan || hp_start_status=1
    fi
    return "$hp_start_status"
}

# --- packages

# apt's own way where nothing is half done: it orders the whole as one. Otherwise the stored files
# repair what is broken; `dpkg --configure -a` alone does not, and its status 0 does not say so.
hp_rollback_packages() {
    for hp_round in 1 2 3; do
        if hp_audit_is_clean && hp_all_are_at 4 && hp_dependencies_are_met; then
            break
        fi
        if hp_audit_is_clean; then
            hp_say "putting the old versions back (round $hp_round)"
            # shellcheck disable=SC2046
            hp_apt -y --allow-downgrades --allow-change-held-packages install $(hp_transaction_left) ||
                hp_say "apt could not do it as one"
        fi
        if ! { hp_audit_is_clean && hp_all_are_at 4; }; then
            hp_say "repairing from the stored files (round $hp_round)"
            hp_repair "$hp_round"
        fi
    done
    hp_rollback_purge
}

# The old package's stored file, by whatever architecture it has.
hp_stored() {
    for hp_stored_arch in "$3" all "$(dpkg --print-architecture)"; do
        hp_stored_file=$HP_BATCH/$1/$(hp_deb_name "$2" "$4" "$hp_stored_arch")
        if [ -f "$hp_stored_file" ]; then
            echo "$hp_stored_file"
            return 0
        fi
    done
    return 1
}

# What is not where it was: files to install and packages to remove, in apt-get's words.
hp_transaction_left() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        hp_is_at "$hp_n" "$hp_a" "$hp_f" && continue
        if hp_stays "$hp_n" "$hp_f"; then
            continue
        elif [ "$hp_f" = - ]; then
            echo "$hp_n:$hp_a-"
        else
            hp_stored old "$hp_n" "$hp_a" "$hp_f"
        fi
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# dpkg with the stored files. Each round allows itself a little more, and the end is verified the
# same: dependencies may be broken on the way, files may move between packages.
hp_repair() {
    case $1 in
        1) hp_repair_force= ;;
        *) hp_repair_force='--force-depends --force-breaks --force-conflicts --force-overwrite' ;;
    esac
    hp_repair_files=$(hp_transaction_left | grep '^/')
    if [ -n "$hp_repair_files" ]; then
        # shellcheck disable=SC2086
        hp_dpkg --force-downgrade $hp_repair_force --install $hp_repair_files ||
            hp_say "dpkg could not install all of them"
    fi
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        [ "$hp_f" = - ] && ! hp_stays "$hp_n" "$hp_f" || continue
        hp_is_at "$hp_n" "$hp_a" - && continue
        # shellcheck disable=SC2086
        hp_dpkg --force-remove-reinstreq $hp_repair_force --remove "$hp_n:$hp_a" && continue
        # What can't be removed half installed can be once it is whole.
        # shellcheck disable=SC2086
        hp_dpkg $hp_repair_force --install "$(hp_stored new "$hp_n" "$hp_a" "$hp_t")" &&
            hp_dpkg $hp_repair_force --remove "$hp_n:$hp_a"
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    # Triggers, and packages outside the batch that were deconfigured on the way.
    hp_dpkg --configure -a || hp_say "dpkg could not configure everything"
}

# A package that was new leaves its conffiles on record when it is removed, and a later install
# would take their absence for the admin's wish. So dpkg forgets them, but the package's own purge
# script does not run: it may delete data that an older version of the same service still uses.
hp_rollback_purge() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] || continue
        case $(hp_installed "$hp_n" "$hp_a") in
            *" ok config-files$HP_TAB"*) ;;
            *) continue ;;
        esac
        # It was there like that before: somebody removed it and kept its configuration.
        grep -q "^$hp_n:$hp_a .* config-files\$" "$HP_BATCH/versions.before" && continue
        for hp_postrm in "/var/lib/dpkg/info/$hp_n.postrm" "/var/lib/dpkg/info/$hp_n:$hp_a.postrm"; do
            [ -f "$hp_postrm" ] && mv -f "$hp_postrm" "$HP_BATCH/"
        done
        hp_dpkg --purge "$hp_n:$hp_a" || hp_say "dpkg could not forget $hp_n"
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# A file that moved from an old package to a new one goes with the new one when that is removed,
# and neither dpkg's status nor its audit says that the old one lacks it. So the files themselves are
# looked at, and a package that lost one is installed once more.
hp_rollback_files() {
    hp_files_lost >"$HP_BATCH/files.lost"
    [ -s "$HP_BATCH/files.lost" ] || return 0
    hp_say "files of old packages are missing or changed:"
    cat "$HP_BATCH/files.lost"
    hp_files_again=$(
        while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
            if [ "$hp_f" != - ] && grep -qF "$hp_n:$hp_a " "$HP_BATCH/files.lost"; then
                hp_stored old "$hp_n" "$hp_a" "$hp_f"
            fi
        done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    )
    # shellcheck disable=SC2086
    hp_dpkg --force-downgrade --install $hp_files_again || hp_say "dpkg could not install all of them again"
}

# What differs now and did not before.
hp_files_lost() {
    [ -f "$HP_BATCH/files.before" ] || return 0
    hp_files_differing >"$HP_BATCH/files.now"
    comm -13 "$HP_BATCH/files.before" "$HP_BATCH/files.now"
}

# --- /etc

# For each path: what it should be at the end. What the batch changed goes back to before; what
# somebody else changed, before, since or elsewhere, stays as it is at the start of the rollback.
#   etc.plan:    back PATH | left PATH
#   etc.desired: the manifest to reach
#   etc.others.tar: what must stay and is not in etc.before.tar
hp_etc_plan() {
    awk -F '\t' -v plan="$HP_BATCH/etc.plan.part" '
        FILENAME == ARGV[1] { b[$1] = $0; all[$1] = 1; next }
        FILENAME == ARGV[2] { a[$1] = $0; all[$1] = 1; next }
        { s[$1] = $0; all[$1] = 1 }
        END {
            printf "" > plan
            for (p in all) {
                want = s[p]
                if (b[p] != a[p]) {
                    if (s[p] == a[p] || s[p] == b[p]) {
                        want = b[p]
                        if (s[p] != b[p]) print "back " p > plan
                    } else print "left " p > plan
                }
                if (want != "") print want
            }
        }' "$HP_BATCH/etc.before" "$HP_BATCH/etc.after" "$HP_BATCH/etc.start" |
        sort -t "$HP_TAB" -k 1,1 | hp_write "$HP_BATCH/etc.desired" || return 1
    awk -F '\t' 'FILENAME == ARGV[1] { b[$1] = $0; next } b[$1] != $0 { print $1 }' \
        "$HP_BATCH/etc.before" "$HP_BATCH/etc.desired" | tr '\n' '\0' >"$HP_BATCH/etc.list"
    hp_tar_etc "$HP_BATCH/etc.others.tar" "$HP_BATCH/etc.list" || return 1
    rm -f "$HP_BATCH/etc.list"
    # The plan's being there says that the others' files are safe: it comes last.
    sort "$HP_BATCH/etc.plan.part" | hp_write "$HP_BATCH/etc.plan" && rm -f "$HP_BATCH/etc.plan.part"
}

# Brings /etc to what is desired. Whatever is overwritten or removed on the way is kept in
# etc.replaced.tar: nothing is lost, whoever wrote it.
hp_etc_restore() {
    if [ ! -f "$HP_BATCH/etc.plan" ]; then
        hp_etc_plan || return 1
    fi
    hp_say "putting /etc back"
    hp_etc_save "$HP_BATCH/etc.now" || return 1
    hp_etc_differing "$HP_BATCH/etc.desired" "$HP_BATCH/etc.now" >"$HP_BATCH/etc.todo"
    [ -s "$HP_BATCH/etc.todo" ] || return 0
    tr '\n' '\0' <"$HP_BATCH/etc.todo" >"$HP_BATCH/etc.list"
    hp_tar_etc "$HP_BATCH/etc.replaced.$(hp_uptime_ms).tar" "$HP_BATCH/etc.list" ||
        hp_say "what is replaced in /etc could not be kept"
    rm -rf "$HP_BATCH/etc.stage"
    mkdir "$HP_BATCH/etc.stage" || return 1
    # From which archive: what is as before comes from before, the rest is others' work.
    for hp_etc_source in before others; do
        awk -F '\t' -v source="$hp_etc_source" '
            FILENAME == ARGV[1] { todo[$1] = 1; next }
            FILENAME == ARGV[2] { b[$1] = $0; next }
            $1 in todo && $2 != "d" && ((b[$1] == $0) == (source == "before")) { print $1 }' \
            "$HP_BATCH/etc.todo" "$HP_BATCH/etc.before" "$HP_BATCH/etc.desired" | tr '\n' '\0' >"$HP_BATCH/etc.list"
        [ -s "$HP_BATCH/etc.list" ] || continue
        for hp_tar_how in '--xattrs --acls' ''; do
            # shellcheck disable=SC2086
            tar -C "$HP_BATCH/etc.stage" $hp_tar_how --numeric-owner --same-owner --no-recursion --null \
                --verbatim-files-from --no-unquote -xpf "$HP_BATCH/etc.$hp_etc_source.tar" -T "$HP_BATCH/etc.list" && break
        done
    done
    rm -f "$HP_BATCH/etc.list"
    # What should not be there goes first, the deepest first; then folders; then files.
    sort -r "$HP_BATCH/etc.todo" | while IFS= read -r hp_path; do
        hp_etc_wanted "$hp_path" >/dev/null && continue
        if [ -d "/$hp_path" ] && [ ! -L "/$hp_path" ]; then
            rmdir "/$hp_path" || hp_say "not empty: $hp_path"
        else
            rm -f "/$hp_path"
        fi
    done
    while IFS= read -r hp_path; do
        hp_wanted=$(hp_etc_wanted "$hp_path") || continue
        hp_etc_put "$hp_path" "$hp_wanted" || hp_say "could not be put back: $hp_path"
    done <"$HP_BATCH/etc.todo"
    rm -rf "$HP_BATCH/etc.stage" "$HP_BATCH/etc.todo"
    sync -f /etc
    # Units and the linker's cache follow from files that may have changed behind their tools.
    ldconfig 2>/dev/null || :
    if hp_has_systemd; then
        systemctl daemon-reload 8>&- || :
    fi
}

# The manifest's words on a path: TYPE MODE OWNER.
hp_etc_wanted() {
    awk -F '\t' -v path="$1" '$1 == path { print $2, $3, $4; found = 1; exit } END { exit !found }' \
        "$HP_BATCH/etc.desired"
}

# hp_etc_put PATH "TYPE MODE OWNER": a folder's mode and owner; a file or link whole, by rename, so
# that nobody reads half of it.
hp_etc_put() {
    hp_put_type=${2%% *}
    hp_put_owner=${2##* }
    hp_put_mode=${2#* }
    hp_put_mode=${hp_put_mode%% *}
    case $hp_put_type in
        d)
            if [ ! -d "/$1" ] || [ -L "/$1" ]; then
                rm -f "/$1" && mkdir "/$1" || return 1
            fi
            chown "$hp_put_owner" "/$1" && chmod "$hp_put_mode" "/$1"
            ;;
        f | l)
            [ -e "$HP_BATCH/etc.stage/$1" ] || [ -L "$HP_BATCH/etc.stage/$1" ] || return 1
            if [ -d "/$1" ] && [ ! -L "/$1" ]; then
                rmdir "/$1" || return 1
            fi
            hp_put_tmp=/${1%/*}/.holdpoint.$$
            cp -a -- "$HP_BATCH/etc.stage/$1" "$hp_put_tmp" && mv -fT -- "$hp_put_tmp" "/$1" || {
                rm -f "$hp_put_tmp"
                return 1
            }
            ;;
        # A device, a socket or a pipe in /etc: whoever made it makes it again.
        *) return 1 ;;
    esac
}

# --- network and units

# Addresses and routes that somebody had configured and that are gone.
hp_rollback_network() {
    command -v ip >/dev/null 2>&1 || return 0
    hp_missing_addresses | while IFS=' ' read -r hp_if hp_address hp_rest; do
        # shellcheck disable=SC2086
        if ip addr add "$hp_address" dev "$hp_if" $hp_rest </dev/null; then
            hp_result "address-restored $hp_if $hp_address"
        fi
    done
    for hp_family in 4 6; do
        hp_missing_routes "$hp_family" | while IFS= read -r hp_route; do
            # shellcheck disable=SC2086
            if ip "-$hp_family" route add $hp_route </dev/null; then
                hp_result "route-restored $hp_route"
            fi
        done
    done
}

hp_missing_addresses() {
    hp_addresses >"$HP_BATCH/addresses.now"
    hp_static_addresses "$HP_BATCH/addresses.before" | while IFS= read -r hp_line; do
        hp_words=${hp_line#* }
        awk -v dev="${hp_line%% *}" -v address="${hp_words%% *}" \
            '$2 == dev && $4 == address { found = 1 } END { exit !found }' "$HP_BATCH/addresses.now" ||
            echo "$hp_line"
    done
}

hp_missing_routes() {
    hp_routes "$1" >"$HP_BATCH/routes$1.now"
    hp_static_routes "$HP_BATCH/routes$1.before" >"$HP_BATCH/routes$1.was"
    hp_static_routes "$HP_BATCH/routes$1.now" >"$HP_BATCH/routes$1.is"
    comm -23 "$HP_BATCH/routes$1.was" "$HP_BATCH/routes$1.is"
}

# Units that the batch started anew, and those it stopped, run the old code again. One that the old
# packages' scripts have restarted by now is left alone.
hp_rollback_units() {
    hp_has_systemd || return 0
    hp_units >"$HP_BATCH/units.now"
    hp_restarted "$HP_BATCH/units.before" "$HP_BATCH/units.after" | while IFS= read -r hp_unit; do
        hp_unit_start=$(hp_value "$HP_BATCH/units.start" "$(hp_unit_pattern "$hp_unit")")
        hp_unit_now=$(hp_value "$HP_BATCH/units.now" "$(hp_unit_pattern "$hp_unit")")
        if [ -z "$hp_unit_now" ]; then
            timeout 300 systemctl start "$hp_unit" </dev/null 8>&- && hp_result "unit-restarted $hp_unit"
        elif [ "$hp_unit_now" = "$hp_unit_start" ]; then
            timeout 300 systemctl try-restart "$hp_unit" </dev/null 8>&- && hp_result "unit-restarted $hp_unit"
        else
            hp_result "unit-restarted $hp_unit"
        fi
    done
}

hp_unit_pattern() { printf '%s' "$1" | sed 's/[.\\]/\\&/g'; }

# --- verify

hp_rollback_report() {
    hp_same=yes
    hp_sound=0
    hp_batch_versions | sed 's/^/package /' >>"$HP_OP/result.part"
    hp_pin_report
    if hp_etc_save "$HP_BATCH/etc.now" && [ -f "$HP_BATCH/etc.plan" ]; then
        while IFS=' ' read -r hp_kind hp_path; do
            if [ "$hp_kind" = left ]; then
                hp_result "etc-left $hp_path"
                hp_same=no
            elif [ "$(hp_manifest_line etc.before "$hp_path")" = "$(hp_manifest_line etc.now "$hp_path")" ]; then
                hp_result "etc-restored $hp_path"
            else
                # Not ours to put back again after a success: somebody has edited it since.
                hp_result "etc-left $hp_path"
                hp_same=no
            fi
        done <"$HP_BATCH/etc.plan"
    else
        hp_same=no
        hp_sound=1
    fi
    if command -v ip >/dev/null 2>&1; then
        hp_missing_addresses >"$HP_BATCH/missing"
        while IFS=' ' read -r hp_if hp_address _; do
            hp_result "address-missing $hp_if $hp_address"
            hp_same=no
        done <"$HP_BATCH/missing"
        rm -f "$HP_BATCH/missing"
    fi
    hp_files_lost >"$HP_BATCH/files.lost"
    if [ -s "$HP_BATCH/files.lost" ]; then
        head -n 1000 "$HP_BATCH/files.lost" | sed 's/^/file-differs /' >>"$HP_OP/result.part"
        hp_sound=1
    fi
    if hp_marks_are_before; then
        hp_result "marks same"
    else
        hp_result "marks differ"
        hp_same=no
    fi
    hp_result "audit $(hp_audit_words)"
    if hp_dependencies_are_met; then
        hp_result "dependencies met"
    else
        hp_result "dependencies unmet"
        hp_sound=1
    fi
    if ! { hp_audit_is_clean && hp_all_are_at 4; }; then
        hp_sound=1
    fi
    if [ -n "$HP_STAYS" ]; then
        hp_result "failed kernel $HP_STAYS runs, so its packages stay: $HP_STAYS_WHY; $HP_STAYS_THEN"
        # With all else back, what is there at the next try is the start of that, and may be days from now.
        [ "$hp_sound" != 0 ] || (cd "$HP_BATCH" && rm -f etc.start etc.plan etc.desired etc.others.tar units.start)
        hp_sound=1
    fi
    [ "$hp_sound" = 0 ] || hp_same=no
    hp_result "identical $hp_same"
    if [ "$hp_sound" = 0 ]; then
        hp_mark "$HP_BATCH/rolled-back" || return 1
    fi
    return "$hp_sound"
}

hp_manifest_line() { awk -F '\t' -v path="$2" '$1 == path { print; exit }' "$HP_BATCH/$1"; }

# --- the verb verify

hp_etc_against_before() {
    [ -f "$HP_BATCH/etc.before" ] || {
        echo "nothing was saved: the apply of this batch never began" >&2
        return 1
    }
    hp_verify_now=$HP_STATE/verify.$$
    hp_etc_manifest >"$hp_verify_now" || {
        rm -f "$hp_verify_now"
        return 2
    }
    hp_verify_differing=$(hp_etc_differing "$HP_BATCH/etc.before" "$hp_verify_now")
    echo "identical $(comm -12 "$HP_BATCH/etc.before" "$hp_verify_now" | wc -l)"
    rm -f "$hp_verify_now"
    [ -z "$hp_verify_differing" ] || printf '%s\n' "$hp_verify_differing" | sed 's/^/differs /'
}

hp_verb_verify() {
    [ "$#" = 1 ] || hp_refuse usage "verify BATCH"
    hp_need_id "a batch id" "$1"
    hp_need_root
    HP_BATCH=$HP_STATE/batches/$1
    [ -f "$HP_BATCH/spec" ] || hp_refuse usage "no batch of that name was staged here"
    hp_section audit dpkg --audit
    hp_section versions hp_batch_versions
    hp_section etc hp_etc_against_before
    hp_done 0
}
