# --- stage: everything an apply and its rollback will need, on the host, hashed and simulated -------

hp_stage() {
    if [ -f "$HP_BATCH/begun" ] && [ ! -f "$HP_BATCH/rolled-back" ]; then
        hp_result "failed already-begun this batch was applied; its way back is kept as it is"
        return 1
    fi
    hp_snap_drop "$HP_BATCH" || {
        hp_result "failed snapshot one that was taken before could not be removed: $HP_S_AT"
        return 1
    }
    if [ -d "$HP_BATCH" ] && ! hp_spec_batch "$HP_OP/spec" | cmp -s - "$HP_BATCH/spec"; then
        case $(hp_timer_state "$HP_BATCH/timer") in
            armed | firing)
                hp_result "failed armed a timer watches another batch of this name"
                return 1
                ;;
        esac
        if [ -f "$HP_BATCH/kernel.trial" ]; then
            hp_result "failed kernel a kernel is on trial by another batch of this name; roll that back once more"
            return 1
        fi
        rm -rf "$HP_BATCH" || return 1
    fi
    mkdir -p "$HP_BATCH/new" "$HP_BATCH/old" "$HP_BATCH/fetch" || return 1
    rm -f "$HP_BATCH/staged"
    hp_spec_batch "$HP_OP/spec" | hp_write "$HP_BATCH/spec" || return 1
    hp_stage_forget_repacked
    hp_stage_sizes || return 1
    hp_stage_timer
    hp_stage_offline
    HP_STAGE_FAILED=0
    hp_stage_new
    hp_stage_old
    rm -rf "$HP_BATCH/fetch" "$HP_BATCH/carried" "$HP_BATCH/snapshot" "$HP_BATCH/repack"
    hp_stage_report
    hp_stage_reserve || HP_STAGE_FAILED=1
    [ "$HP_STAGE_FAILED" = 0 ] || return 1
    hp_stage_forward || return 1
    hp_stage_reverse
    hp_stage_restarts
    hp_stage_feet
    hp_stage_kernel || return 1
    hp_stage_snap || return 1
    # Package files are flushed before the mark that says they are there.
    find "$HP_BATCH/new" "$HP_BATCH/old" -type f -exec sync {} + || return 1
    sync "$HP_BATCH/new" "$HP_BATCH/old" || return 1
    hp_write "$HP_BATCH/staged" <"$HP_OP/result.part"
}

# What the index says of one version: "SIZE SHA256", nothing where it doesn't know it.
hp_index_entry() {
    apt-cache show --no-all-versions "$1:$2=$3" 2>/dev/null | awk '
        $1 == "Size:" { size = $2 } $1 == "SHA256:" { sha = $2 }
        END { if (size != "" || sha != "") print (size == "" ? "-" : size), (sha == "" ? "-" : sha) }'
}

# Room for the files, new and old, twice over and a margin: where they are kept, and where they will
# be unpacked. One line for each mount, and a refusal before anything is fetched.
hp_stage_sizes() {
    hp_size_sum=0
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        for hp_v in "$hp_f" "$hp_t"; do
            [ "$hp_v" = - ] && continue
            hp_size=$(hp_index_entry "$hp_n" "$hp_a" "$hp_v" | cut -d ' ' -f 1)
            # A size nobody knows counts as a middling package.
            hp_is_number "${hp_size:--}" || hp_size=2097152
            hp_size_sum=$((hp_size_sum + hp_size))
        done
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    hp_size_need=$((hp_size_sum * 2 + 67108864))
    hp_size_status=0
    hp_size_seen=' '
    for hp_size_path in "$HP_STATE" /var/cache/apt /usr; do
        hp_size_free=$(df -PB1 "$hp_size_path" 2>/dev/null | awk 'NR == 2 { print $4 }')
        hp_size_mount=$(df -PB1 "$hp_size_path" 2>/dev/null | awk 'NR == 2 { print $6 }')
        case $hp_size_seen in
            *" $hp_size_mount "*) continue ;;
        esac
        hp_size_seen="$hp_size_seen$hp_size_mount "
        hp_result "space need $hp_size_need free ${hp_size_free:-0} mount ${hp_size_mount:--}"
        if [ "${hp_size_free:-0}" -lt "$hp_size_need" ]; then
            hp_result "failed no-space $hp_size_path"
            hp_size_status=1
        fi
    done
    return "$hp_size_status"
}

# hp_fetch_all LIST: NAME:ARCH=VERSION lines, in one go, into fetch/. Where one of them can't be
# had apt fetches none, so then one by one.
hp_fetch_all() {
    [ -s "$1" ] || return 0
    # shellcheck disable=SC2046
    set -- "$1" $(cat "$1")
    shift
    hp_say "fetching $# package files"
    hp_fetch "$@" && return 0
    for hp_fetch_one in "$@"; do
        hp_fetch "$hp_fetch_one"
    done
}

hp_fetch() {
    (cd "$HP_BATCH/fetch" && exec apt-get -q download -o APT::Sandbox::User=root -o Acquire::Retries=2 \
        -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@" </dev/null 8>&- 9>&-)
}

# hp_take SIDE NAME ARCH VERSION SHA|-: the package's file, checked, into the batch's folder of that side:
# what is there already, what was fetched, apt's cache, what another host gave, the snapshot archive, and
# what was repacked. Sets HP_TOOK to its hash, or to that of a file that was not the one; HP_FROM to where
# it came from and how it was checked.
hp_take() {
    HP_TOOK=
    for hp_take_dir in "$HP_BATCH/$1" "$HP_BATCH/fetch" /var/cache/apt/archives "$HP_BATCH/carried" \
        "$HP_BATCH/snapshot" "$HP_BATCH/repack"; do
        for hp_take_arch in "$3" all "$(dpkg --print-architecture)"; do
            hp_take_file=$hp_take_dir/$(hp_deb_name "$2" "$4" "$hp_take_arch")
            hp_deb_is "$hp_take_file" "$2" "$3" "$4" || continue
            hp_take_sha=$(hp_sha256 "$hp_take_file")
            hp_take_check "$@" || {
                [ "$?" = 2 ] || HP_TOOK=$hp_take_sha
                hp_say "not used, it is not known to be the one: $hp_take_file"
                continue
            }
            hp_take_source
            if [ "$hp_take_dir" != "$HP_BATCH/$1" ]; then
                cp -- "$hp_take_file" "$HP_BATCH/$1/.part" && sync "$HP_BATCH/$1/.part" &&
                    mv -f "$HP_BATCH/$1/.part" "$HP_BATCH/$1/${hp_take_file##*/}" || continue
            fi
            echo "$HP_FROM" >"$HP_BATCH/$1/${hp_take_file##*/}.from" || continue
            HP_TOOK=$hp_take_sha
            echo "$2:$3 $HP_TOOK" >>"$HP_BATCH/hashes.$1"
            echo "$2:$3 $HP_FROM" >>"$HP_BATCH/sources.$1"
            return 0
        done
    done
    return 1
}

# The spec's own word of where files may come from: near is the archive and apt's cache, so that other
# hosts are asked before a snapshot archive is, and before anything is repacked.
hp_stage_is_near() { grep -q "^sources${HP_TAB}near\$" "$HP_OP/spec"; }

hp_stage_new() {
    : >"$HP_BATCH/fetch.list"
    : >"$HP_BATCH/hashes.new"
    : >"$HP_BATCH/sources.new"
    while IFS=$HP_TAB read -r _ hp_n hp_a _ hp_t hp_s; do
        [ "$hp_t" = - ] && continue
        hp_take new "$hp_n" "$hp_a" "$hp_t" "$hp_s" || echo "$hp_n:$hp_a=$hp_t" >>"$HP_BATCH/fetch.list"
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    hp_fetch_all "$HP_BATCH/fetch.list"
    while IFS=$HP_TAB read -r _ hp_n hp_a _ hp_t hp_s; do
        grep -qxF "$hp_n:$hp_a=$hp_t" "$HP_BATCH/fetch.list" || continue
        hp_take new "$hp_n" "$hp_a" "$hp_t" "$hp_s" && continue
        hp_snapshot "$hp_n" "$hp_a" "$hp_t" && hp_take new "$hp_n" "$hp_a" "$hp_t" "$hp_s" && continue
        if [ -n "$HP_TOOK" ]; then
            hp_result "mismatch $hp_n:$hp_a $hp_s $HP_TOOK"
        else
            hp_result "missing-new $hp_n:$hp_a neither the archive nor the cache has $hp_t"
        fi
        HP_STAGE_FAILED=1
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# The way back. What is missing here is said, and does not fail the stage: the proof judges it.
hp_stage_old() {
    : >"$HP_BATCH/fetch.list"
    : >"$HP_BATCH/hashes.old"
    : >"$HP_BATCH/sources.old"
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] && continue
        hp_take old "$hp_n" "$hp_a" "$hp_f" - || echo "$hp_n:$hp_a=$hp_f" >>"$HP_BATCH/fetch.list"
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    hp_fetch_all "$HP_BATCH/fetch.list"
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        grep -qxF "$hp_n:$hp_a=$hp_f" "$HP_BATCH/fetch.list" || continue
        hp_take old "$hp_n" "$hp_a" "$hp_f" - && continue
        hp_old_why="neither the archive nor the cache has $hp_f"
        [ -z "$HP_TOOK" ] || hp_old_why="what was found of $hp_f is not what is installed here"
        hp_snapshot "$hp_n" "$hp_a" "$hp_f" && hp_take old "$hp_n" "$hp_a" "$hp_f" - && continue
        hp_stage_repack "$hp_n" "$hp_a" "$hp_f" || hp_result "missing-old $hp_n:$hp_a $hp_old_why"
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    # Others are asked before the way back is simulated.
    if hp_stage_is_near && grep -q '^missing-old ' "$HP_OP/result.part"; then
        HP_STAGE_FAILED=1
    fi
}

# The last resort: a package file made from what is installed. It packs conffiles as they are.
hp_stage_repack() {
    if hp_stage_is_near || ! command -v dpkg-repack >/dev/null 2>&1 || ! hp_is_at "$1" "$2" "$3"; then
        return 1
    fi
    mkdir -p "$HP_BATCH/repack" || return 1
    (cd "$HP_BATCH/repack" && hp_say "repacking $1" && dpkg-repack "$1:$2" </dev/null 8>&- 9>&-) || return 1
    hp_take old "$1" "$2" "$3" - || return 1
    hp_result "repacked $1:$2"
}

# What was repacked once is no reason to leave it at that: the file itself may be had by now.
hp_stage_forget_repacked() {
    for hp_repacked in "$HP_BATCH"/old/*.from; do
        if grep -q '^repacked ' "$hp_repacked" 2>/dev/null; then
            rm -f "$hp_repacked" "${hp_repacked%.from}"
        fi
    done
}

hp_hash_of() { sed -n "s/^$(printf '%s' "$2" | sed 's/[.]/\\./g') //p" "$1" | head -n 1; }

hp_stage_report() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        hp_new=$(hp_hash_of "$HP_BATCH/hashes.new" "$hp_n:$hp_a")
        hp_old=$(hp_hash_of "$HP_BATCH/hashes.old" "$hp_n:$hp_a")
        hp_result "package $hp_n $hp_a $hp_f $hp_t ${hp_new:--} ${hp_old:--}"
        for hp_side in new old; do
            hp_from=$(hp_hash_of "$HP_BATCH/sources.$hp_side" "$hp_n:$hp_a")
            [ -z "$hp_from" ] || hp_result "source $hp_side $hp_n:$hp_a $hp_from"
        done
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# Space that a rollback frees for itself, should the disk be full by then.
hp_stage_reserve() {
    hp_reserve=$(($(du -sk "$HP_BATCH/old" | cut -f 1) * 2 + 16384))
    if ! fallocate -l "${hp_reserve}K" "$HP_BATCH/reserve" 2>/dev/null &&
        ! head -c "$((hp_reserve * 1024))" /dev/zero >"$HP_BATCH/reserve"; then
        rm -f "$HP_BATCH/reserve"
        hp_result "failed no-space for the rollback's reserve"
        return 1
    fi
}

# The files of a list and the removals, as apt-get's arguments, one a line. $1 = new or old.
hp_transaction() {
    find "$HP_BATCH/$1" -name '*.deb' -type f | sort
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        if [ "$1" = new ]; then hp_v=$hp_t; else hp_v=$hp_f; fi
        if [ "$hp_v" = - ]; then echo "$hp_n:$hp_a-"; fi
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# What a transaction must come to and nothing else, in the form of hp_simulated.
hp_expected() {
    hp_native=$(dpkg --print-architecture)
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        if [ "$1" = new ]; then
            hp_was=$hp_f hp_is=$hp_t
        else
            hp_was=$hp_t hp_is=$hp_f
        fi
        if [ "$hp_is" = - ]; then
            [ "$hp_a" = all ] && hp_a=$hp_native
            echo "remv $hp_n:$hp_a"
        else
            for hp_file_arch in "$hp_a" all "$hp_native"; do
                [ -f "$HP_BATCH/$1/$(hp_deb_name "$hp_n" "$hp_is" "$hp_file_arch")" ] || continue
                echo "inst $hp_n:$hp_file_arch $hp_was $hp_is"
                break
            done
        fi
    done <<LIST | sort
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# hp_simulate_transaction new|old OUT [OPTION...]: apt's word on it, with the staged files alone.
hp_simulate_transaction() {
    hp_sim_side=$1
    hp_sim_out=$2
    shift 2
    # Ids, versions and our own folder's names hold no blank: checked when the spec came in.
    # shellcheck disable=SC2046
    hp_apt -s -o Debug::NoLocking=1 -o Dir::Log::Planner= "$@" --allow-downgrades -y install $(hp_transaction "$hp_sim_side") \
        >"$hp_sim_out" 2>&1
}

hp_stage_forward() {
    hp_say "simulating the apply"
    if ! hp_simulate_transaction new "$HP_BATCH/forward.raw"; then
        cat "$HP_BATCH/forward.raw"
        hp_result "failed forward apt cannot install these files alone; its words are in the log"
        return 1
    fi
    hp_simulated "$HP_BATCH/forward.raw" | hp_write "$HP_BATCH/forward" || return 1
    sed -n -e 's/^inst /forward /p' -e 's/^remv /forward-remove /p' "$HP_BATCH/forward" >>"$HP_OP/result.part"
    hp_expected new >"$HP_BATCH/forward.expected"
    if ! cmp -s "$HP_BATCH/forward" "$HP_BATCH/forward.expected"; then
        diff "$HP_BATCH/forward.expected" "$HP_BATCH/forward"
        hp_result "failed forward apt would do something else than the batch says"
        return 1
    fi
}

# dpkg's status as it will be after the apply: the batch's packages replaced by what their new files
# say. Against it apt simulates the way back before there is anything to go back from.
hp_doctored_status() {
    hp_spec_packages "$HP_BATCH/spec" | cut -f 2,3 >"$HP_BATCH/names"
    awk -v names="$HP_BATCH/names" '
        BEGIN { while ((getline line < names) > 0) { split(line, f, "\t"); want[f[1]] = want[f[1]] " " f[2] " " }
                RS = ""; FS = "\n" }
        {
            name = ""; arch = ""
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^Package: /) name = substr($i, 10)
                if ($i ~ /^Architecture: /) arch = substr($i, 15)
            }
            if (name in want && (arch == "all" || index(want[name], " all ") || index(want[name], " " arch " "))) next
            print $0 "\n"
        }' /var/lib/dpkg/status
    for hp_deb in "$HP_BATCH"/new/*.deb; do
        [ -f "$hp_deb" ] || continue
        dpkg-deb -f "$hp_deb" | sed '1a Status: install ok installed'
        echo
    done
}

hp_stage_reverse() {
    hp_say "simulating the rollback"
    if grep -q '^missing-old ' "$HP_OP/result.part"; then
        hp_result "reverse fails an old package file is missing"
        return
    fi
    hp_doctored_status >"$HP_BATCH/status.after"
    if ! hp_simulate_transaction old "$HP_BATCH/reverse.raw" -o Dir::State::status="$HP_BATCH/status.after" \
        --allow-change-held-packages; then
        cat "$HP_BATCH/reverse.raw"
        hp_result "reverse fails apt cannot put the old files back; its words are in the log"
        return
    fi
    hp_simulated "$HP_BATCH/reverse.raw" >"$HP_BATCH/reverse"
    sed -n -e 's/^inst /reverse-install /p' -e 's/^remv /reverse-remove /p' "$HP_BATCH/reverse" >>"$HP_OP/result.part"
    hp_expected old >"$HP_BATCH/reverse.expected"
    if cmp -s "$HP_BATCH/reverse" "$HP_BATCH/reverse.expected"; then
        hp_result "reverse ok"
    else
        diff "$HP_BATCH/reverse.expected" "$HP_BATCH/reverse"
        hp_result "reverse fails apt would do something else than put the old versions back"
    fi
    rm -f "$HP_BATCH/status.after"
}

# Services that the new packages ship, that run now, and that their maintainer scripts name: those
# will be restarted. What restarts by other ways shows itself after the apply.
hp_stage_restarts() {
    hp_has_systemd || return 0
    for hp_deb in "$HP_BATCH"/new/*.deb; do
        [ -f "$hp_deb" ] || continue
        dpkg-deb --ctrl-tarfile "$hp_deb" 2>/dev/null | tar -xO --wildcards './p*' 2>/dev/null >"$HP_BATCH/scripts"
        dpkg-deb --fsys-tarfile "$hp_deb" 2>/dev/null | tar -t 2>/dev/null |
            sed -n 's,^\./\(usr/\)\{0,1\}lib/systemd/system/\([A-Za-z0-9:_.@-]*\.service\)$,\2,p' |
            while IFS= read -r hp_unit; do
                if grep -qF "$hp_unit" "$HP_BATCH/scripts" && systemctl is-active -q "$hp_unit" 8>&-; then
                    hp_result "restarts $hp_unit"
                fi
            done
    done
    rm -f "$HP_BATCH/scripts"
}
