# --- what was there before, so that the way back leads there ----------------------------------------

# Where apt keeps the marks of all packages. It is rewritten whole and not flushed, so a power cut may
# leave none of it.
HP_STATES=/var/lib/apt/extended_states

# What is left of all marks after a power cut: those of before, where there is nothing.
hp_marks_survive() {
    if [ ! -s "$HP_STATES" ] && [ -s "$HP_BATCH/extended_states.before" ]; then
        hp_say "the marks of all packages were lost, they are put back as before"
        hp_write "$HP_STATES" <"$HP_BATCH/extended_states.before" && chmod 0644 "$HP_STATES"
    fi
}

# Marks as lines: auto NAME:ARCH and hold NAME:ARCH.
hp_marks() {
    apt-mark showauto 2>/dev/null | hp_with_arch auto
    apt-mark showhold 2>/dev/null | hp_with_arch hold
}

hp_with_arch() {
    awk -v kind="$1" -v native="$(dpkg --print-architecture)" '
        { print kind " " (index($1, ":") ? $1 : $1 ":" native) }' | sort -u
}

# hp_marked KIND NAME ARCH FILE: apt names a package of architecture `all` by the native one.
hp_marked() {
    hp_mark_arch=$3
    [ "$3" = all ] && hp_mark_arch=$(dpkg --print-architecture)
    grep -qxF "$1 $2:$hp_mark_arch" "$4"
}

# Installing a file makes a package "manual", and dpkg takes a hold off. Both are put back as they
# were; what is newly installed came because something needs it, so it is "auto".
hp_restore_marks() {
    hp_marks_survive || :
    hp_spec_packages "$HP_BATCH/spec" >"$HP_BATCH/marks.list"
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        case $(hp_installed "$hp_n" "$hp_a") in
            *" installed$HP_TAB"*) ;;
            *) continue ;;
        esac
        hp_mark_name=$hp_n:$hp_a
        [ "$hp_a" = all ] && hp_mark_name=$hp_n
        if [ "$hp_f" = - ] || hp_marked auto "$hp_n" "$hp_a" "$HP_BATCH/marks.before"; then
            echo "$hp_mark_name" >&3
        else
            echo "$hp_mark_name" >&4
        fi
        if [ "$hp_f" != - ] && hp_marked hold "$hp_n" "$hp_a" "$HP_BATCH/marks.before"; then
            echo "$hp_mark_name" >&5
        fi
    done <"$HP_BATCH/marks.list" 3>"$HP_BATCH/marks.auto" 4>"$HP_BATCH/marks.manual" 5>"$HP_BATCH/marks.hold"
    hp_marks_status=0
    for hp_mark_kind in auto manual hold; do
        [ -s "$HP_BATCH/marks.$hp_mark_kind" ] || continue
        xargs -r -n 200 apt-mark "$hp_mark_kind" <"$HP_BATCH/marks.$hp_mark_kind" >/dev/null 8>&- ||
            hp_marks_status=1
    done
    rm -f "$HP_BATCH"/marks.list "$HP_BATCH"/marks.auto "$HP_BATCH"/marks.manual "$HP_BATCH"/marks.hold
    return "$hp_marks_status"
}

# Whether the batch's packages that were there before have the marks of before.
hp_marks_are_before() {
    hp_marks >"$HP_BATCH/marks.now"
    hp_marks_differ=0
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        [ "$hp_f" = - ] && continue
        case $(hp_installed "$hp_n" "$hp_a") in
            *" installed$HP_TAB"*) ;;
            *) continue ;;
        esac
        for hp_mark_kind in auto hold; do
            hp_was=0 hp_is=0
            hp_marked "$hp_mark_kind" "$hp_n" "$hp_a" "$HP_BATCH/marks.before" || hp_was=1
            hp_marked "$hp_mark_kind" "$hp_n" "$hp_a" "$HP_BATCH/marks.now" || hp_is=1
            [ "$hp_was" = "$hp_is" ] || hp_marks_differ=1
        done
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    return "$hp_marks_differ"
}

# --- /etc

# What /etc is, a line for each path: PATH TYPE MODE OWNER HASH-or-target, tab separated, by path.
# Names with control characters are left out, they would break the lines; so is what no package's
# change is to be undone in: the linker's cache is made anew by ldconfig, locks are nobody's, and what
# stands for the dead-man timer, the pauses, the pins or a kernel's trial comes and goes by itself.
hp_etc_manifest() {
    (
        cd / || exit 1
        find etc -xdev \( -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' -o -path etc/ld.so.cache \
            -o -path etc/.pwd.lock \) -prune -o -type f -print0 |
            xargs -0 -r sha256sum -z -- | tr '\0' '\n'
        echo
        find etc -xdev \( -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' -o -path etc/ld.so.cache \
            -o -path etc/.pwd.lock \) -prune -o -printf '%p\t%y\t%m\t%U:%G\t%l\n'
    ) | awk -F '\t' '
        $1 ~ /^etc\/default\/grub\.d(\/holdpoint\.cfg(\.tmp)?)?$/ && ($2 == "d" || $1 ~ /cfg/) { next }
        $1 ~ /^etc\/apt\/(apt\.conf\.d\/zzzz-holdpoint-paused|preferences\.d\/00-holdpoint-[^\/]*\.pref)(\.tmp)?$/ { next }
        $1 ~ /^etc\/(cron\.d\/holdpoint-deadman|update-motd\.d\/60-holdpoint)(\.tmp)?$/ { next }
        $1 ~ /^etc\/systemd\/system\/([a-z-]+\.target\.wants\/)?holdpoint-deadman\.service(\.tmp)?$/ { next }
        $1 ~ /^etc\/systemd\/system-generators(\/systemd-system-update-generator)?$/ && ($2 == "d" || $2 == "l") { next }
        $1 ~ /^etc\/systemd\/system\/(multi-user|emergency|rescue)\.target\.wants$/ && $2 == "d" { next }
        !meta && $0 == "" { meta = 1; next }
        !meta { hash[substr($0, 67)] = substr($0, 1, 64); next }
        $2 == "f" { print $1 FS $2 FS $3 FS $4 FS ($1 in hash ? hash[$1] : "unreadable"); next }
        $2 == "l" { print $1 FS $2 FS "-" FS $4 FS $5; next }
        { print $1 FS $2 FS $3 FS $4 FS "-" }' | sort -t "$HP_TAB" -k 1,1
}

# hp_etc_save FILE: the manifest, whole or not at all.
hp_etc_save() { hp_etc_manifest | hp_write "$1" && [ -s "$1" ]; }

# Paths whose lines differ between two manifests.
hp_etc_differing() {
    awk -F '\t' '
        FILENAME == ARGV[1] { a[$1] = $0; next }
        { b[$1] = 1; if (!($1 in a) || a[$1] != $0) print $1 }
        END { for (p in a) if (!(p in b)) print p }' "$1" "$2" | sort
}

# hp_tar_etc OUT LIST: those paths of /etc as they are. Extended attributes where tar can.
hp_tar_etc() {
    for hp_tar_how in '--xattrs --acls' ''; do
        # shellcheck disable=SC2086
        tar -C / $hp_tar_how --numeric-owner --no-recursion --null --verbatim-files-from --no-unquote \
            --ignore-failed-read -cpf "$1.tmp" -T "$2" 2>>"$HP_OP/out.log"
        # 1: a file changed while it was read. The manifest tells when it is put back.
        if [ "$?" -le 1 ]; then
            sync "$1.tmp" && mv -f "$1.tmp" "$1" && sync "$(dirname "$1")"
            return
        fi
    done
    return 1
}

# --- the packages' own files

# How the files on disk differ from the stored old packages, as PACKAGE WORDS of tar. Nothing by
# itself (an excluded folder, a diversion, a merged /usr all show here): it is compared with the same
# list of before. Times of change are left out, and /etc, which is looked after by itself.
hp_files_differing() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] && continue
        hp_file=$(hp_stored old "$hp_n" "$hp_a" "$hp_f") || continue
        dpkg-deb --fsys-tarfile "$hp_file" | tar -C / --compare -f - 2>&1 |
            grep -vE '^(tar: )?\./etc/|: Mod time differs$|^tar: Exiting' | sed "s/^/$hp_n:$hp_a /"
    done <<LIST | sort
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# --- addresses, routes, units

hp_addresses() { ip -o addr show 2>/dev/null || :; }

# Those that somebody configured: not the link's own, not leased, not temporary. IF ADDR/LEN and the rest.
hp_static_addresses() {
    awk '
        / dynamic / || / temporary / || / peer / || / tentative / || / mngtmpaddr / { next }
        $3 != "inet" && $3 != "inet6" { next }
        {
            brd = ""; scope = ""; label = ""
            for (i = 5; i <= NF; i++) {
                if ($i == "brd") brd = " broadcast " $(i + 1)
                if ($i == "scope") { scope = $(i + 1); label = $(i + 2) }
            }
            if (scope == "link" || scope == "host") next
            sub(/\\.*/, "", label)
            out = $2 " " $4 brd " scope " scope
            if ($3 == "inet" && index(label, $2 ":") == 1) out = out " label " label
            if (out ~ /^[A-Za-z0-9 ._:@\/-]+$/) print out
        }' "$1"
}

hp_routes() { ip "-$1" route show table all 2>/dev/null || :; }

# Those that somebody configured, in the words that `ip route add` takes.
hp_static_routes() {
    grep -vE '^[[:space:]]|^(local|broadcast|anycast|multicast) | nexthop | expires | cache ' "$1" |
        grep -vE ' proto ([a-z0-9]+)' >"$1.static"
    grep -vE '^[[:space:]]|^(local|broadcast|anycast|multicast) | nexthop | expires | cache ' "$1" |
        grep -E ' proto (static|boot)' >>"$1.static"
    sed -E -e 's/ (linkdown|dead|offload|trap)//g' -e 's/ +$//' "$1.static" |
        grep -E '^[A-Za-z0-9 ._:@/-]+$' | sort -u
    rm -f "$1.static"
}

# UNIT INVOCATION of every service that is active: the id changes when a unit is started anew.
hp_units() {
    hp_has_systemd || return 0
    systemctl list-units --type=service --state=active --plain --no-legend --full 2>/dev/null 8>&- |
        awk '{ print $1 }' | grep -E '^[A-Za-z0-9:_.@\\-]+\.service$' |
        grep -vE '^(holdpoint-op-|user@|user-runtime-dir@|session-)' |
        xargs -r systemctl show -p Id -p InvocationID 2>/dev/null 8>&- | awk -F = '
            $1 == "Id" { id = $2 } $1 == "InvocationID" { invocation = $2 }
            $0 == "" && id != "" { print id " " invocation; id = ""; invocation = "" }
            END { if (id != "") print id " " invocation }' | sort
}

# hp_restarted BEFORE AFTER: units of before that were started anew by then, or run no more.
hp_restarted() {
    awk 'FILENAME == ARGV[1] { now[$1] = $2; next } now[$1] != $2 { print $1 }' "$2" "$1"
}

# Everything at once, before the first package is touched.
hp_save_before() {
    hp_say "saving marks, /etc, addresses, routes and units"
    hp_marks | hp_write "$HP_BATCH/marks.before" || return 1
    if [ -s "$HP_STATES" ]; then
        hp_write "$HP_BATCH/extended_states.before" <"$HP_STATES" || return 1
    fi
    hp_batch_versions | hp_write "$HP_BATCH/versions.before" || return 1
    hp_addresses | hp_write "$HP_BATCH/addresses.before" || return 1
    hp_routes 4 | hp_write "$HP_BATCH/routes4.before" || return 1
    hp_routes 6 | hp_write "$HP_BATCH/routes6.before" || return 1
    hp_units | hp_write "$HP_BATCH/units.before" || return 1
    hp_files_differing | hp_write "$HP_BATCH/files.before" || return 1
    hp_batch_paths | hp_write "$HP_BATCH/files.paths" || return 1
    hp_etc_save "$HP_BATCH/etc.before" || return 1
    cut -f 1 "$HP_BATCH/etc.before" | tr '\n' '\0' >"$HP_BATCH/etc.list"
    hp_tar_etc "$HP_BATCH/etc.before.tar" "$HP_BATCH/etc.list" || return 1
    rm -f "$HP_BATCH/etc.list"
    sync "$HP_BATCH"
}
