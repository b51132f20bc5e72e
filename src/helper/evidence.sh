# --- evidence ------------------------------------------------------------------------------------
# What this host is like right now, for whoever looks into it later: before it is rolled back by itself, say.
# Reads only. As root it sees more; without, a part that needs root says so by its status. All of it in
# bounded time: each part has a few seconds, all together have HP_E_SECONDS, and what had no time says so. The
# parts that a rollback or the next minute would change come first. No command line, no environment: passwords
# stand there.

HP_E_SECONDS=25
# The most of one part, in bytes; of the journal it is the newest.
HP_E_BYTES=262144

hp_verb_evidence() {
    [ "$#" = 1 ] && hp_is_number "$1" && [ "$1" -ge 1 ] && [ "$1" -le 240 ] ||
        hp_refuse usage "evidence MINUTES"
    hp_e_until=$(($(hp_uptime_ms) + HP_E_SECONDS * 1000))
    hp_evidence now hp_evidence_now
    hp_evidence addresses ip -d addr show
    hp_evidence routes ip route show table all
    hp_evidence routes6 ip -6 route show table all
    hp_evidence rules ip rule show
    hp_evidence rules6 ip -6 rule show
    hp_evidence neighbours ip -s neigh show
    hp_evidence listeners ss -H -tulnp
    hp_evidence links ip -s -s link show
    hp_evidence nft nft list ruleset
    hp_evidence iptables iptables-save -c
    hp_evidence ip6tables ip6tables-save -c
    hp_evidence sockets ss -s
    hp_evidence connections ss -tn
    hp_evidence sysctl hp_evidence_sysctl
    hp_evidence failed systemctl list-units --state=failed --plain --no-legend --no-pager
    hp_evidence processes ps -eo pid,ppid,stat,etimes,rss,wchan:20,comm --sort=pid
    hp_evidence memory cat /proc/meminfo /proc/loadavg /proc/pressure/cpu /proc/pressure/io
    hp_evidence journal journalctl --no-pager -q -o short-iso --since "-${1}min" -n 5000
    hp_evidence storage df -Pl
    hp_done 0
}

# hp_evidence NAME COMMAND [ARG...]: a section, as long as there is time. What is missing has status 127, what took
# too long 124.
hp_evidence() {
    hp_e_name=$1
    shift
    hp_e_left=$((hp_e_until - $(hp_uptime_ms)))
    if [ "$hp_e_left" -le 0 ]; then
        hp_section "$hp_e_name" hp_evidence_late
        return
    fi
    [ "$hp_e_left" -le 4000 ] || hp_e_left=4000
    hp_e_left=$((hp_e_left / 1000 + 1))
    hp_section "$hp_e_name" hp_evidence_part "$@"
}

hp_evidence_late() {
    echo 'not looked at: there was no time'
    return 124
}

hp_evidence_part() {
    case $1 in
        hp_*) "$@" ;;
        *)
            if ! command -v "$1" >/dev/null 2>&1; then
                echo "not looked at: no $1 here"
                return 127
            fi
            # The status of the command, and not that of what cuts it.
            {
                hp_e_status=$({
                    {
                        timeout -k 1 "$hp_e_left" "$@" 2>&1 3>&- 4>&-
                        echo "$?" >&3
                    } | tail -c "$HP_E_BYTES" >&4
                } 3>&1)
            } 4>&1
            return "${hp_e_status:-1}"
            ;;
    esac
}

hp_evidence_now() {
    date -u '+%Y-%m-%dT%H:%M:%SZ'
    echo "uptime $(hp_uptime_ms) ms"
    echo "boot $(hp_boot_id)"
    uname -a
    echo "as $(id -un 2>/dev/null || id -u)"
}

# What decides about a packet before any rule is asked.
hp_evidence_sysctl() {
    for hp_e_file in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding \
        /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/arp_ignore \
        /proc/sys/net/ipv4/conf/*/arp_announce /proc/sys/net/ipv4/conf/*/arp_filter \
        /proc/sys/net/ipv4/conf/*/accept_local /proc/sys/net/ipv4/conf/*/forwarding; do
        { read -r hp_e_value <"$hp_e_file"; } 2>/dev/null && printf '%s = %s\n' "${hp_e_file#/proc/sys/}" "$hp_e_value"
    done
    return 0
}
