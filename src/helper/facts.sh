# --- facts ---------------------------------------------------------------------------------------
# What this host says about itself. Reads only, needs no root and nothing installed beyond
# coreutils, awk, sed and grep; a tool that is missing is a section with status 127, and what only
# root may see is one with status 126. The meaning of each section is known to src/facts alone.
# Uses hp_begin, hp_end and hp_lines of 00-frame.sh, and asks pins.sh and pause.sh for what is theirs.

# hp_facts [DOMAIN...]: the sections of these domains, or of all. A word that this helper does not
# know (a newer cockpit's) has no section.
hp_facts() {
    [ "$#" -gt 0 ] || set -- system boot network listeners packages updates services storage replaced locks
    hp_f_dpkg=
    for hp_f_domain in "$@"; do
        case $hp_f_domain in
            system | boot | network | listeners | packages | updates | services | storage | replaced | locks)
                "hp_facts_$hp_f_domain" </dev/null
                ;;
        esac
    done
    return 0
}

# hp_fact NAME COMMAND [ARG...]: what the command prints as section NAME, with the command's own
# status. Its errors are kept apart, since a warning in the middle of a line would change what the
# line means; they follow, as lines "stderr: ...", if it failed.
hp_fact() {
    hp_f_name=$1
    shift
    hp_begin "$hp_f_name"
    {
        hp_f_said=$({
            {
                "$@" </dev/null 3>&-
                printf '\nhp-status %s\n' "$?" >&2
            } | hp_lines >&3
        } 2>&1 | tail -c 4096)
    } 3>&1
    hp_f_status=${hp_f_said##*hp-status }
    case $hp_f_status in
        '' | *[!0-9]*) hp_f_status=1 ;;
        0) ;;
        *)
            printf '%s\n' "$hp_f_said" | sed -e '/^hp-status /d' -e '/^$/d' -e 's/^/stderr: /' |
                head -n 4 | hp_lines
            ;;
    esac
    hp_end "$hp_f_name" "$hp_f_status"
}

# --- system and boot

hp_facts_system() {
    hp_fact system hp_facts_print_system
    hp_fact os-release cat /etc/os-release
}

hp_facts_print_system() {
    hp_f_line=$(dpkg --print-architecture) || return
    printf 'arch %s\n' "$hp_f_line"
    read -r hp_f_line </proc/sys/kernel/hostname && printf 'hostname %s\n' "$hp_f_line"
    if [ -d /run/systemd/system ]; then echo 'systemd yes'; else echo 'systemd no'; fi
    printf 'clock %s\n' "$(date +%s%N)"
}

hp_facts_boot() { hp_fact boot hp_facts_print_boot; }

hp_facts_print_boot() {
    read -r hp_f_line </proc/sys/kernel/random/boot_id && printf 'boot-id %s\n' "$hp_f_line"
    read -r hp_f_line </proc/1/stat && printf 'init-stat %s\n' "$hp_f_line"
    hp_f_kernel=$(uname -r)
    printf 'kernel %s\n' "$hp_f_kernel"
    # Debian and Ubuntu write the package's version into the build: so a newer package with the
    # same kernel name, which overwrites the image that runs, is seen.
    printf 'build %s\n' "$(uname -v)"
    if [ -r /proc/version_signature ]; then
        read -r hp_f_line </proc/version_signature && printf 'build %s\n' "$hp_f_line"
    fi
    # shellcheck disable=SC2016  # the ${Version} is dpkg-query's own
    hp_f_line=$(dpkg-query -W -f '${Version}' "linux-image-$hp_f_kernel" 2>/dev/null) &&
        [ -n "$hp_f_line" ] && printf 'package %s\n' "$hp_f_line"
    if [ -d /boot ] && ! [ -r /boot ]; then echo 'images unreadable'; fi
    for hp_f_image in /boot/vmlinuz-*; do
        [ -e "$hp_f_image" ] && printf 'image %s\n' "${hp_f_image#/boot/vmlinuz-}"
    done
    if [ -e /run/reboot-required ]; then echo 'reboot-required yes'; fi
    if [ -r /run/reboot-required.pkgs ]; then
        sort -u /run/reboot-required.pkgs | head -n 200 | sed 's/^/asked-by /'
    fi
    # crypttab(5) is for everybody to read; where there is none, nothing is unlocked at boot.
    { hp_facts_passphrases </etc/crypttab; } 2>/dev/null
    # -k looks at the kernel only; -b -r l never restarts anything.
    if command -v needrestart >/dev/null 2>&1; then
        timeout 10 needrestart -b -k -r l 2>/dev/null | sed -n 's/^NEEDRESTART-KSTA: */needrestart /p'
    fi
    return 0
}

# Lines of a crypttab: each volume for which a boot waits until somebody types a passphrase. Not one with a
# key file, a TPM, or a keyscript but those that ask; nor one that the boot does not wait for. Whether
# a network server (clevis with tang) gives the passphrase stands in the volume's own header.
hp_facts_passphrases() {
    while read -r hp_f_name hp_f_device hp_f_key hp_f_options _; do
        case $hp_f_name in '' | '#'*) continue ;; esac
        case ,$hp_f_options, in
            *,noauto,* | *,nofail,* | *,tpm2-device=* | *,pkcs11-uri=*) continue ;;
            *,keyscript=decrypt_keyctl,* | *,keyscript=*askpass,*) ;;
            *,keyscript=*) continue ;;
        esac
        case $hp_f_key in '' | none | -) ;; *) continue ;; esac
        if command -v clevis >/dev/null 2>&1; then
            case $hp_f_device in
                UUID=*) hp_f_device=/dev/disk/by-uuid/${hp_f_device#UUID=} ;;
                PARTUUID=*) hp_f_device=/dev/disk/by-partuuid/${hp_f_device#PARTUUID=} ;;
                LABEL=*) hp_f_device=/dev/disk/by-label/${hp_f_device#LABEL=} ;;
            esac
            [ -z "$(timeout 10 clevis luks list -d "$hp_f_device" 2>/dev/null)" ] || continue
        fi
        printf 'passphrase %s\n' "$hp_f_name"
    done
}

# --- network

hp_facts_network() {
    hp_fact addresses hp_facts_json ip -j addr show
    hp_fact routes4 hp_facts_json ip -j -4 route show table all
    hp_fact routes6 hp_facts_json ip -j -6 route show table all
}

# The tool prints everything as one line, which for a host with many addresses is longer than a line
# of a frame may be.
hp_facts_json() {
    hp_f_json=$("$@") || return
    printf '%s\n' "$hp_f_json" | sed 's/},{/},\n{/g'
}

# Without root ss leaves the programs of others out and says nothing about it.
hp_facts_listeners() { hp_fact listeners ss -H -tulnp; }

# --- packages and updates

hp_facts_packages() {
    hp_facts_dpkg
    hp_fact auto hp_facts_print_auto
    hp_fact audit dpkg --audit
}

# Both packages and updates stand on it: it is printed once.
hp_facts_dpkg() {
    [ -z "$hp_f_dpkg" ] || return 0
    hp_f_dpkg=yes
    # shellcheck disable=SC2016  # the ${Package} are dpkg-query's own
    hp_fact dpkg dpkg-query -W \
        -f '${Package}\t${Architecture}\t${Version}\t${db:Status-Want}\t${db:Status-Eflag} ${db:Status-Status}\n'
}

# apt's own file: apt-mark would say the same and takes as long as all other sections together where
# apt keeps no cache file.
hp_facts_print_auto() {
    [ -e /var/lib/apt/extended_states ] || return 0
    awk '
        function flush() { if (auto && name != "") print name ":" arch; name = arch = ""; auto = 0 }
        /^Package:/ { name = $2 }
        /^Architecture:/ { arch = $2 }
        /^Auto-Installed: *1/ { auto = 1 }
        /^[ \t]*$/ { flush() }
        END { flush() }
    ' /var/lib/apt/extended_states
}

# One word for all hosts, so that phased updates are phased alike and lists can be compared.
HP_PHASING_ID=holdpoint

hp_facts_updates() {
    hp_facts_dpkg
    hp_f_plan=$(hp_facts_simulate 2>/dev/null)
    hp_f_plan_status=$?
    hp_fact upgrade hp_facts_print_upgrade
    [ "$hp_f_plan_status" = 0 ] || return 0
    hp_fact show hp_facts_print_show
    hp_fact depends hp_facts_print_depends
    hp_fact policy hp_facts_print_policy
    hp_fact lists hp_facts_print_lists
    hp_fact pins hp_pins
}

# Without a planner's log: as root apt would write that of a simulation over the last real one.
hp_facts_simulate() {
    apt-get -s -o Debug::NoLocking=1 -o Dir::Log::Planner= -o "APT::Machine-ID=$HP_PHASING_ID" \
        upgrade --with-new-pkgs </dev/null
}

hp_facts_print_upgrade() {
    if [ "$hp_f_plan_status" = 0 ]; then
        printf '%s\n' "$hp_f_plan"
        return 0
    fi
    # Again, for what it says against it.
    hp_facts_simulate >/dev/null
    return "$hp_f_plan_status"
}

# The pending packages as NAME[:ARCH]=VERSION, from lines "Inst NAME [FROM] (TO ...".
hp_facts_pending() {
    printf '%s\n' "$hp_f_plan" | awk '
        $1 == "Inst" && $2 ~ /^[a-z0-9][a-z0-9.+:-]*$/ {
            to = $3 ~ /^\[/ ? $4 : $3
            if (to ~ /^\([A-Za-z0-9.+:~-]+$/) print $2 "=" substr(to, 2)
        }'
}

# Only the fields that are read: descriptions are four fifths of it.
hp_facts_print_show() {
    hp_facts_pending | xargs -r apt-cache show | awk '
        /^[ \t]/ { if (keep) print; next }
        /^$/ { print; keep = 0; next }
        {
            keep = /^(Package|Version|Architecture|Source|Section|Size|SHA256|Depends|Pre-Depends|Breaks|Conflicts):/
            if (keep) print
        }'
}

# What the pending ones need as they are installed now: an upgrade of what they need exactly takes
# them along.
hp_facts_print_depends() {
    # shellcheck disable=SC2016  # the ${Package} are dpkg-query's own
    printf '%s\n' "$hp_f_plan" | awk '
        $1 == "Inst" && $2 ~ /^[a-z0-9][a-z0-9.+:-]*$/ && $3 ~ /^\[/ { print $2 }' |
        xargs -r dpkg-query -W -f '${Package}\t${Architecture}\t${Pre-Depends}, ${Depends}\n'
}

# What apt thinks of the packages that it keeps back, and of those that are pinned by name: a pin
# that holds the candidate back leaves no trace in the simulation.
hp_facts_print_policy() {
    {
        printf '%s\n' "$hp_f_plan" | awk '
            /^[^ ]/ { list = /(kept back|deferred due to phasing|^Not upgrading)[^:]*:$/; next }
            list { for (i = 1; i <= NF; i++) print $i }'
        if grep -qsE '^Package:[[:space:]]*[^*[:space:]]' /etc/apt/preferences /etc/apt/preferences.d/*; then
            apt-cache policy | sed -n '/^Pinned packages:/,$s/^ *\([^ ]*\) -> .*/\1/p'
        fi
    } | awk '/^[a-z0-9][a-z0-9.+:-]*$/ && !seen[$0]++ && ++count <= 5000' | xargs -r apt-cache policy
}

# When the lists were fetched. The times of change are asked for: the times of modification are
# those that the archive gave them.
hp_facts_print_lists() {
    for hp_f_file in /var/lib/apt/lists/*Release; do
        [ -e "$hp_f_file" ] || continue
        stat -c %Z /var/lib/apt/lists/*Release /var/lib/apt/lists/partial 2>/dev/null | sort -n | tail -n 1
        break
    done
}

# --- services and storage

hp_facts_services() { hp_fact services hp_facts_print_services; }

hp_facts_print_services() {
    if ! [ -d /run/systemd/system ]; then
        echo 'systemd is not process 1' >&2
        return 127
    fi
    timeout 10 systemctl list-units --state=failed --plain --no-legend --no-pager
}

hp_facts_storage() { hp_fact storage hp_facts_print_storage; }

hp_facts_print_storage() {
    set -- /
    for hp_f_file in /usr /etc /var /var/lib/dpkg /var/cache/apt/archives /var/lib/holdpoint /boot /boot/efi; do
        [ -d "$hp_f_file" ] && set -- "$@" "$hp_f_file"
    done
    timeout 10 df -PB1 -- "$@"
}

# --- processes

hp_facts_replaced() { hp_fact replaced hp_facts_print_replaced; }

# Lines PID, cgroup, name (tab separated) of processes that run code which is not on the disk any
# more. Only mappings that are executed count, and not those that never were a package's file.
hp_facts_print_replaced() {
    hp_facts_maps_are_open || return
    hp_facts_gone | awk -F '\t' '!seen[$1]++ && ++count <= 5000 { print $1 }' | while read -r hp_f_pid; do
        hp_facts_of_host "$hp_f_pid" || continue
        hp_facts_cgroup "$hp_f_pid"
        hp_facts_comm "$hp_f_pid" && printf '%s\t%s\t%s\n' "$hp_f_pid" "$hp_f_cgroup" "$hp_f_comm"
    done
    return 0
}

hp_facts_maps_are_open() {
    if ! [ "$(id -u)" = 0 ]; then
        echo 'needs root' >&2
        return 126
    fi
    if ! { read -r hp_f_line </proc/1/maps; } 2>/dev/null; then
        echo 'the maps of process 1 are closed to root here' >&2
        return 126
    fi
}

# PID, path (tab separated) of executed mappings whose file is gone from its place.
hp_facts_gone() {
    grep -asE '^[^ ]+ ..x. .* \(deleted\)$' /proc/[0-9]*/maps | awk '
        $5 != 0 && $6 ~ /^\// && $6 !~ /^\/(memfd:|dev\/|SYSV|\[aio\]|tmp\/|var\/tmp\/|run\/|drm|i915|anon_hugepage)/ {
            split($1, part, "/")
            path = $0
            sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +/, "", path)
            sub(/ \(deleted\)$/, "", path)
            if (!seen[part[3], path]++) print part[3] "\t" path
        }'
}

# hp_facts_of_host PID: it lives, and not in a container, whose files are not this host's packages.
hp_facts_of_host() {
    [ -r "/proc/$1/status" ] || return 1
    while read -r hp_f_key hp_f_value hp_f_more; do
        if [ "$hp_f_key" = NSpid: ]; then
            [ -z "$hp_f_more" ]
            return
        fi
    done 2>/dev/null <"/proc/$1/status"
    return 0
}

hp_facts_comm() { { read -r hp_f_comm <"/proc/$1/comm"; } 2>/dev/null; }

hp_facts_cgroup() {
    hp_f_cgroup=
    [ -r "/proc/$1/cgroup" ] || return 0
    while IFS=: read -r hp_f_key hp_f_value hp_f_more; do
        case $hp_f_value in
            '' | name=systemd) if [ "${#hp_f_more}" -gt 1 ]; then hp_f_cgroup=$hp_f_more; fi ;;
        esac
    done 2>/dev/null <"/proc/$1/cgroup"
}

hp_facts_locks() {
    hp_fact locks hp_facts_print_locks
    hp_fact unattended hp_facts_print_unattended
}

# hp_facts_stores PID: a stage of ours began it, which downloads and simulates and installs nothing. Whatever
# else of ours is at work counts: that changes packages.
hp_facts_stores() {
    hp_f_at=$1
    hp_f_steps=0
    while [ "$hp_f_at" -gt 1 ] && [ $((hp_f_steps += 1)) -le 16 ]; do
        case $({ tr '\0' ' ' <"/proc/$hp_f_at/cmdline"; } 2>/dev/null) in
            */holdpoint-helper\ *\ 0\ run\ *-stage-*) return 0 ;;
        esac
        hp_f_parent=
        while read -r hp_f_key hp_f_value hp_f_more; do
            [ "$hp_f_key" != PPid: ] || hp_f_parent=$hp_f_value
        done 2>/dev/null <"/proc/$hp_f_at/status"
        hp_is_number "$hp_f_parent" || return 1
        hp_f_at=$hp_f_parent
    done
    return 1
}

# hp_facts_simulates PID: as apt is asked to by every reading of ours; it takes no lock then.
hp_facts_simulates() {
    { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null |
        grep -qxE -e '-s|--(simulate|just-print|dry-run|recon|no-act)'
}

# Lines PID, lock|running, name (tab separated).
hp_facts_print_locks() {
    # Where processes of others are hidden, none in sight would mean nothing.
    if ! { read -r hp_f_line </proc/1/comm; } 2>/dev/null || ! [ -r /proc/locks ]; then
        echo 'needs root' >&2
        return 126
    fi
    # The locks are fcntl locks: /proc/locks has them with device (hexadecimal) and inode.
    stat -c '%d %i' /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend /var/lib/apt/lists/lock \
        /var/cache/apt/archives/lock 2>/dev/null | awk '
        FILENAME == "-" {
            minor = $1 % 256 + int($1 / 1048576) * 256
            lock[sprintf("%02x:%02x:%s", int($1 / 256) % 4096, minor, $2)]
            next
        }
        $2 != "->" && ($6 in lock) && !seen[$5]++ { print $5 }' - /proc/locks | while read -r hp_f_pid; do
        hp_facts_comm "$hp_f_pid" || hp_f_comm='a process that is not in sight'
        hp_facts_stores "$hp_f_pid" && continue
        printf '%s\tlock\t%s\n' "$hp_f_pid" "$hp_f_comm"
    done
    grep -asxE 'apt|apt-get|aptitude|synaptic|dpkg|dpkg-deb|dpkg-preconfigu|unattended-upgr|apt\.systemd\.dai' \
        /proc/[0-9]*/comm | while IFS=/ read -r hp_f_comm hp_f_comm hp_f_pid hp_f_comm; do
        hp_facts_of_host "$hp_f_pid" || continue
        # This one waits for the shutdown, always, and changes nothing until then.
        grep -qs unattended-upgrade-shutdown "/proc/$hp_f_pid/cmdline" && continue
        hp_facts_simulates "$hp_f_pid" || hp_facts_stores "$hp_f_pid" && continue
        printf '%s\trunning\t%s\n' "$hp_f_pid" "${hp_f_comm#comm:}"
    done
    return 0
}
