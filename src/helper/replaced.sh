# --- processes that run what a batch replaced ---------------------------------------------------------

# Until they are started anew, whatever probes them has seen the old code.

# Paths of the batch's packages as they were before it, below a merged /usr: what may be replaced.
hp_batch_paths() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] && continue
        [ "$hp_a" = all ] || hp_n=$hp_n:$hp_a
        dpkg-query -L "$hp_n" 2>/dev/null
    done <<LIST | sed -E 's,^/usr/(lib|lib32|lib64|libx32|bin|sbin)/,/\1/,' | sort -u
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# Lines PID, cgroup, name, path (tab separated). Sessions are left out: whoever is logged in serves no
# customer, and the cockpit's own session began before the apply.
hp_batch_replaced() {
    hp_facts_maps_are_open || return
    [ -r "$HP_BATCH/files.paths" ] || {
        echo 'what was there before was not noted' >&2
        return 1
    }
    hp_facts_gone | awk -F '\t' -v paths="$HP_BATCH/files.paths" '
        BEGIN { while ((getline line < paths) > 0) known[line] = 1 }
        {
            path = $2
            if (match(path, /^\/usr\/(lib|lib32|lib64|libx32|bin|sbin)\//)) path = substr(path, 5)
            # What dpkg unpacks beside a file, and what it moves out of its way.
            sub(/\.dpkg-(new|tmp)$/, "", path)
            if (path in known && !seen[$1]++ && ++count <= 100) print $1 FS path
        }' | while IFS=$HP_TAB read -r hp_f_pid hp_f_path; do
        hp_facts_of_host "$hp_f_pid" && ! hp_is_session "$hp_f_pid" || continue
        hp_facts_cgroup "$hp_f_pid"
        hp_replaced_comm=$(tr '\t' ' ' <"/proc/$hp_f_pid/comm") 2>/dev/null || continue
        printf '%s\t%s\t%s\t%s\n' "$hp_f_pid" "$hp_f_cgroup" "$hp_replaced_comm" "$hp_f_path"
    done
    return 0
}

# hp_is_session PID: part of somebody's login, with logind or as sshd names its sessions without.
hp_is_session() {
    hp_facts_cgroup "$1"
    case $hp_f_cgroup in
        */user.slice/*) return 0 ;;
    esac
    case $(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) in
        'sshd: '*'[listener]'*) return 1 ;;
        'sshd: '* | 'sshd-session: '*) return 0 ;;
    esac
    return 1
}
