# --- dpkg and apt -------------------------------------------------------------------------------

# A spec is lines of: package NAME ARCH FROM|- TO|- SHA256|-, tab separated.
# FROM `-`: newly installed. TO `-`: removed. Where the files come from is said by two more:
#   sources near                 the archive and apt's cache, and nothing else
#   url NAME ARCH VERSION URL    where the plan's snapshot archive has that file
# And one that the plan asks for a snapshot of the root file system: snapshot
# Prints the first line that breaks the pattern, by number.
hp_spec_fault() {
    awk -F '\t' '
        function name(s) { return length(s) > 1 && length(s) <= 128 && s ~ /^[a-z0-9][a-z0-9+.-]*$/ }
        function arch(s) { return length(s) <= 32 && s ~ /^[a-z0-9][a-z0-9-]*$/ }
        function version(s) { return s == "-" || (length(s) <= 256 && s ~ /^[0-9A-Za-z][0-9A-Za-z.+:~-]*$/) }
        function url(s) {
            return length(s) <= 1024 && s ~ /^https?:\/\/[A-Za-z0-9.-]+(:[0-9]+)?\/[A-Za-z0-9._~\/%=&?,:-]*$/
        }
        function sha(s) { return s == "-" || (length(s) == 64 && s ~ /^[0-9a-f]*$/) }
        $1 == "package" && NF == 6 && name($2) && arch($3) && version($4) && version($5) && sha($6) \
            && $4 != $5 && !(($2, $3) in seen) { seen[$2, $3]; n++; next }
        $1 == "sources" && NF == 2 && $2 == "near" && !near { near = 1; next }
        $0 == "snapshot" && !snapshot { snapshot = 1; next }
        $1 == "url" && NF == 5 && name($2) && arch($3) && $4 != "-" && version($4) && url($5) \
            && !(($2, $3, $4) in seen) { seen[$2, $3, $4]; next }
        { print "line " NR; bad = 1; exit }
        END { if (!bad && !n) print "no package" }' "$1"
}

hp_spec_is_sound() { [ -z "$(hp_spec_fault "$1")" ]; }

# The batch itself, without the ways in which its files may be had and what is done beside it.
hp_spec_batch() { grep -v -e "^sources$HP_TAB" -e "^url$HP_TAB" -e '^snapshot$' "$1"; }

hp_spec_packages() { grep "^package$HP_TAB" "$1"; }

# hp_installed NAME ARCH: "WANT EFLAG STATUS<tab>VERSION". A package may go from `all` to an
# architecture of its own and back; that is still the same one.
hp_installed() {
    dpkg-query -W -f '${Architecture}\t${db:Status-Want} ${db:Status-Eflag} ${db:Status-Status}\t${Version}\n' \
        "$1" 2>/dev/null | awk -F '\t' -v arch="$2" '
        $1 == arch || $1 == "all" || arch == "all" {
            if (!best || $2 ~ / installed$/) { status = $2; version = $3; best = 1 }
        }
        END {
            if (best) printf "%s\t%s\n", status, version == "" ? "-" : version
            else print "unknown ok not-installed\t-"
        }'
}

# hp_is_at NAME ARCH VERSION|-: whole and at that version, or not installed.
hp_is_at() {
    hp_at=$(hp_installed "$1" "$2")
    case $3,${hp_at%"$HP_TAB"*} in
        -,*" ok not-installed" | -,*" ok config-files") return 0 ;;
        -,*) return 1 ;;
        *," ok installed" | *,*" ok installed") [ "${hp_at#*"$HP_TAB"}" = "$3" ] ;;
        *) return 1 ;;
    esac
}

# hp_all_are_at FIELD: every package of the batch is at its FROM (field 4) or TO (field 5).
hp_all_are_at() {
    hp_spec_packages "$HP_BATCH/spec" | {
        hp_all=0
        while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
            if [ "$1" = 4 ]; then hp_v=$hp_f; else hp_v=$hp_t; fi
            [ "$1" != 4 ] || ! hp_stays "$hp_n" "$hp_f" || continue
            hp_is_at "$hp_n" "$hp_a" "$hp_v" || hp_all=1
        done
        return "$hp_all"
    }
}

# NAME:ARCH VERSION STATUS of the batch's packages.
hp_batch_versions() {
    hp_spec_packages "$HP_BATCH/spec" | while IFS=$HP_TAB read -r _ hp_n hp_a _; do
        hp_at=$(hp_installed "$hp_n" "$hp_a")
        echo "$hp_n:$hp_a ${hp_at#*"$HP_TAB"} ${hp_at%"$HP_TAB"*}"
    done
}

# The file name apt gives a package: an epoch's colon is %3a.
hp_deb_name() { printf '%s_%s_%s.deb\n' "$1" "$(printf '%s' "$2" | sed 's/:/%3a/g')" "$3"; }

# hp_deb_is FILE NAME ARCH VERSION: a package file that says it is that package.
hp_deb_is() {
    [ -f "$1" ] || return 1
    [ "$(dpkg-deb -f "$1" Package 2>/dev/null)" = "$2" ] || return 1
    [ "$(dpkg-deb -f "$1" Version 2>/dev/null)" = "$4" ] || return 1
    hp_deb_arch=$(dpkg-deb -f "$1" Architecture 2>/dev/null)
    [ "$hp_deb_arch" = "$3" ] || [ "$hp_deb_arch" = all ] || [ "$3" = all ]
}

hp_sha256() { sha256sum -- "$1" 2>/dev/null | cut -c 1-64; }

# Whether anybody holds dpkg's locks. They are fcntl locks, so only the kernel's list tells.
hp_dpkg_is_held() {
    for hp_lock_file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock; do
        hp_inode=$(stat -c %i "$hp_lock_file" 2>/dev/null) || continue
        if awk -v inode="$hp_inode" '{ n = split($6, id, ":") } n == 3 && id[3] == inode { found = 1 }
            END { exit !found }' /proc/locks 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# hp_wait_for_dpkg SECONDS: until nobody holds the locks; never takes one away.
hp_wait_for_dpkg() {
    hp_wait_until=$(($(hp_uptime_ms) + $1 * 1000))
    while hp_dpkg_is_held; do
        [ "$(hp_uptime_ms)" -lt "$hp_wait_until" ] || return 1
        sleep 0.5
    done
}

# What every package operation runs with. Nobody is there to answer: a changed conffile keeps the
# host's own version, needrestart only lists. umask 022, since maintainer scripts create files that
# others read; the locks of this helper are closed, since they start daemons.
hp_unattended() {
    (
        umask 022
        cd / || exit 1
        exec env DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical NEEDRESTART_MODE=l \
            APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none UCF_FORCE_CONFFOLD=1 HOME=/root \
            "$@" </dev/null 8>&- 9>&-
    )
}

# apt-get with no archive at all: what it may use is what is installed and the files it is given.
# So it can't fetch, it can't take something that was not staged, and it works with no network.
hp_apt() {
    hp_unattended apt-get -q \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User=root -o APT::Get::AutomaticRemove=false \
        -o APT::Get::Show-User-Simulation-Note=false \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

# dpkg itself has no patience with locks: status 2 at once.
hp_dpkg() {
    hp_dpkg_tries=0
    while :; do
        hp_wait_for_dpkg 120
        hp_unattended dpkg --force-confdef --force-confold "$@"
        hp_dpkg_status=$?
        hp_dpkg_tries=$((hp_dpkg_tries + 1))
        if [ "$hp_dpkg_status" = 2 ] && [ "$hp_dpkg_tries" -lt 5 ] && hp_dpkg_is_held; then
            continue
        fi
        return "$hp_dpkg_status"
    done
}

# Nothing half done: dpkg's own audit is empty, and its journal is merged.
hp_audit_is_clean() {
    [ -z "$(dpkg --audit 2>&1)" ] && [ -z "$(ls /var/lib/dpkg/updates 2>/dev/null)" ]
}

hp_audit_words() {
    if hp_audit_is_clean; then echo clean; else dpkg --audit 2>&1 | grep -c '^ ' || :; fi
}

hp_dependencies_are_met() { hp_apt -o Debug::NoLocking=1 check >/dev/null 2>&1; }

# The lines of a simulation as: inst NAME:ARCH FROM|- TO   and   remv NAME:ARCH
hp_simulated() {
    awk -v native="$(dpkg --print-architecture)" '
        function full(name, arch) { return index(name, ":") ? name : name ":" arch }
        $1 == "Remv" { print "remv " full($2, native) }
        $1 == "Inst" {
            i = 3; from = "-"
            if ($3 ~ /^\[/) { from = $3; gsub(/[][]/, "", from); i = 4 }
            to = $i; sub(/^\(/, "", to)
            arch = native
            if (match($0, /\[[a-z0-9-]+\]\)/)) arch = substr($0, RSTART + 1, RLENGTH - 3)
            print "inst " full($2, arch) " " from " " to
        }' "$1" | sort
}

hp_simulate_words() {
    hp_unattended apt-get -s -q -o Debug::NoLocking=1 -o Dir::Log::Planner= \
        -o APT::Get::Show-User-Simulation-Note=false -o APT::Get::AutomaticRemove=false -y --allow-downgrades install "$@"
}

hp_verb_simulate() {
    [ "$#" = 0 ] || hp_refuse usage "simulate takes its packages on standard input"
    hp_need_root
    hp_wanted=$HP_STATE/simulate.$$
    trap 'rm -f "$hp_wanted"' EXIT
    hp_input "$hp_wanted" || hp_refuse usage "the input is cut off, or does not end with the line: end"
    if grep -qvE '^[a-z0-9][a-z0-9+.-]+:[a-z0-9][a-z0-9-]*(=[0-9A-Za-z][0-9A-Za-z.+:~-]*|-)$' "$hp_wanted"; then
        hp_refuse usage "a line is neither NAME:ARCH=VERSION nor NAME:ARCH-"
    fi
    set --
    while IFS= read -r hp_line; do
        set -- "$@" "$hp_line"
    done <"$hp_wanted"
    [ "$#" -gt 0 ] && [ "$#" -le 4000 ] || hp_refuse usage "1 to 4000 packages"
    hp_section simulation hp_simulate_words "$@"
    hp_done 0
}
