# --- live data that would share a snapshot -----------------------------------------------------------------

# Where live data is kept on most hosts. One of them that holds a file on the root file system, and there is no
# snapshot: going back to it would throw away what was written since. Of a home folder what a shell and ssh
# keep there does not count. Data elsewhere is found by who writes it.
HP_SNAP_DATA="/srv /home /data /var/www /var/mail /var/vmail /var/opt /var/spool/exim4/input
    /var/spool/postfix/active /var/spool/postfix/deferred /var/spool/postfix/hold /var/spool/postfix/incoming
    /var/lib/cassandra /var/lib/ceph /var/lib/clickhouse /var/lib/containerd /var/lib/containers /var/lib/couchdb
    /var/lib/cyrus /var/lib/docker /var/lib/elasticsearch /var/lib/etcd /var/lib/forgejo /var/lib/gitea
    /var/lib/grafana /var/lib/incus /var/lib/influxdb /var/lib/jenkins /var/lib/kafka /var/lib/kubelet
    /var/lib/ldap /var/lib/libvirt/images /var/lib/lxc /var/lib/lxd /var/lib/machines /var/lib/mariadb
    /var/lib/minio /var/lib/mongo /var/lib/mongodb /var/lib/mysql /var/lib/neo4j /var/lib/opensearch
    /var/lib/postgresql /var/lib/prometheus /var/lib/rabbitmq /var/lib/rancher /var/lib/redis /var/lib/samba
    /var/lib/valkey /var/lib/victoriametrics /var/lib/zookeeper"
# What belongs to a system that is put back, so that it may be told that it is not in a snapshot.
HP_SNAP_SYSTEM="/boot /opt /root /usr/local"

# Whether anything live shares it: then HP_S_WHY with the names.
hp_snap_alone() {
    hp_snap_live >"$HP_BATCH/snap.live"
    hp_s_count=$(wc -l <"$HP_BATCH/snap.live")
    if [ "$hp_s_count" = 0 ]; then
        rm -f "$HP_BATCH/snap.live"
        return 0
    fi
    HP_S_WHY="live data shares it: $(head -n 6 "$HP_BATCH/snap.live" | awk '{ printf "%s%s", sep, $0; sep = ", " }')"
    [ "$hp_s_count" -le 6 ] || HP_S_WHY="$HP_S_WHY and $((hp_s_count - 6)) more"
    rm -f "$HP_BATCH/snap.live"
    return 1
}

hp_snap_live() {
    hp_s_dev=$(stat -c %d /)
    for hp_s_path in $HP_SNAP_DATA; do
        hp_s_there=$(timeout -k 5 10 stat -L -c %d "$hp_s_path" 2>/dev/null)
        # One that does not answer (a mount from a server that is gone) is on another file system.
        [ "$hp_s_there" = "$hp_s_dev" ] || continue
        ! hp_snap_holds "$hp_s_path" || echo "$hp_s_path"
    done
    # A snapshot can't be taken over a file that is swapped to, or would hold what is swapped out.
    awk '$2 == "file" { print $1 }' /proc/swaps 2>/dev/null | while read -r hp_s_path; do
        [ "$(stat -c %d "$hp_s_path" 2>/dev/null)" != "$hp_s_dev" ] || echo "swap in $hp_s_path"
    done | tr -cd ' -~\n'
    hp_snap_writers
}

# What does not answer in time counts as held.
hp_snap_holds() {
    if [ "$1" = /home ]; then
        hp_s_held=$(timeout -k 5 60 find -H /home -xdev \( -name .ssh -o -name .cache -o -name .bash_history -o -name .bash_logout \
            -o -name .bashrc -o -name .profile -o -name .zshrc -o -name .lesshst -o -name .viminfo -o -name .vimrc \
            -o -name .wget-hsts -o -name .selected_editor \) -prune -o -type f -size +0 -print -quit 2>/dev/null)
    else
        # What a web server's package put there is nobody's data.
        hp_s_held=$(timeout -k 5 60 find -H "$1" -xdev -type f -size +0 ! -path /var/www/html/index.html \
            ! -path '/var/www/html/index.*-debian.html' -print -quit 2>/dev/null)
    fi
    [ $? -ge 124 ] || [ -n "$hp_s_held" ]
}

# PROCESS writes FILE: whoever has a file of the root file system open for writing, but what any system has
# open: logs, temporary and cached things, what this, dpkg, apt and the boot keep, leases, locks and pids. By
# the file's own device, since services have mounts of their own.
hp_snap_writers() {
    {
        timeout -k 5 60 find -L /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -type f -printf '%D %p\n' 2>/dev/null
        [ $? -lt 124 ] || echo "unknown"
    } | awk -v dev="$hp_s_dev" '
        $1 == "unknown"
        $1 == dev {
            info = $2; flags = ""
            sub(/\/fd\//, "/fdinfo/", info)
            while ((getline line < info) > 0) if (line ~ /^flags:/) { flags = line; break }
            close(info)
            # The last octal digit says how it was opened: 1 to write, 2 both.
            if (flags ~ /[1256]$/) print $2
        }' | while read -r hp_s_fd; do
        if [ "$hp_s_fd" = unknown ]; then
            echo "somebody, as far as is known: who writes there was not told in 60 s"
            continue
        fi
        hp_s_file=$(readlink "$hp_s_fd" | tr -cd ' -~')
        case $hp_s_file in
            [!/]* | '' | *' (deleted)' | *.lock | *.pid | */lock | */LOCK) continue ;;
            /var/log/* | /tmp/* | /var/tmp/* | /run/* | /var/run/* | /dev/* | /var/cache/* | "$HP_STATE"/*) continue ;;
            /var/lib/dpkg/* | /var/lib/apt/* | /var/lib/systemd/* | /var/lib/dhcp/* | /var/lib/dhcpcd/*) continue ;;
            /var/lib/NetworkManager/* | /var/lib/chrony/* | /var/lib/ntp*/* | /var/spool/rsyslog/*) continue ;;
        esac
        # Closed since, and something else has its number.
        [ "$(stat -L -c %d "$hp_s_fd")" = "$hp_s_dev" ] || continue
        hp_s_pid=${hp_s_fd#/proc/}
        echo "$(tr -cd ' -~' <"/proc/${hp_s_pid%%/*}/comm") writes $hp_s_file"
    done 2>/dev/null | sort -u
}

# Folders with something in them that are on other file systems, and so not in it.
hp_snap_apart() {
    for hp_s_path in $HP_SNAP_SYSTEM $HP_SNAP_DATA; do
        hp_s_there=$(timeout -k 5 10 stat -L -c %d "$hp_s_path" 2>/dev/null) || continue
        [ "$hp_s_there" = "$hp_s_dev" ] ||
            [ -z "$(timeout -k 5 10 find -H "$hp_s_path" -xdev -mindepth 1 -print -quit 2>/dev/null)" ] ||
            echo "$hp_s_path"
    done
}
