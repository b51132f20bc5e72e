# --- captures -----------------------------------------------------------------------------------
#
# Packets to and from the customers' addresses, as tcpdump writes them, for as long as standard input is
# open: a cockpit that is gone leaves no capture behind.

# An address as it may stand in a filter: IPv4 or IPv6 in figures, nothing that tcpdump would resolve.
hp_is_address() {
    case $1 in
        *[!0-9a-f.:]* | '' | .* | *.) return 1 ;;
        *:*:*) [ "${#1}" -le 45 ] ;;
        *.*.*.*.* | *[!0-9.]* | *..*) return 1 ;;
        *.*.*.*) [ "${#1}" -le 15 ] ;;
        *) return 1 ;;
    esac
}

# hp_ssh_end: address and port of this host that the cockpit's own connection comes to. sudo keeps it from
# us, so whoever started us is asked; empty where nobody says.
hp_ssh_end() {
    hp_pid=$$
    for _ in 1 2 3 4 5 6; do
        hp_said=$(tr '\0' '\n' 2>/dev/null <"/proc/$hp_pid/environ" | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
        # shellcheck disable=SC2086
        set -- $hp_said
        if [ "$#" = 4 ]; then
            # Without the interface that an address of one link has behind it.
            echo "${3%%%*} $4"
            return
        fi
        hp_pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$hp_pid/status" 2>/dev/null)
        [ "${hp_pid:-0}" -gt 1 ] || return
    done
}

# hp_capture_filter ADDRESS...: what is of interest, and the signs of life, without what the capture itself sends
# home.
hp_capture_filter() {
    hp_filter=
    hp_six=
    for hp_address in "$@"; do
        hp_filter="${hp_filter:+$hp_filter or }host $hp_address"
        case $hp_address in *:*) hp_six=1 ;; esac
    done
    # Questions for an IPv6 address go to a group of hosts, and name it inside.
    [ -z "$hp_six" ] || hp_filter="$hp_filter or (icmp6 and (ip6[40] = 135 or ip6[40] = 136))"
    hp_own=$(hp_ssh_end)
    hp_own_address=${hp_own% *}
    hp_own_port=${hp_own#* }
    if [ -n "$hp_own" ] && hp_is_address "$hp_own_address" && hp_is_number "$hp_own_port"; then
        hp_own="(tcp port $hp_own_port and host $hp_own_address)"
    else
        hp_own="tcp port 22"
    fi
    echo "(($hp_filter) and not $hp_own) or (udp dst port 9 and dst host 127.0.0.1)"
}

# hp_capture_signs PID: every two seconds a datagram to nobody, which the capture sees, and then tcpdump says how
# many packets it has written, and how many the kernel dropped: until then the cockpit has them all, or knows
# that it has not. Without perl there are the counts alone. Ends with tcpdump.
hp_capture_signs() {
    if command -v perl >/dev/null 2>&1; then
        # shellcheck disable=SC2016
        exec perl -e '
            use Socket;
            my $at = pack_sockaddr_in(9, INADDR_LOOPBACK);
            while (kill 0 => $ARGV[0]) {
                select undef, undef, undef, 1.9;
                # One that is kept, or never connected, stands among what listens on the host.
                my $to;
                socket($to, PF_INET, SOCK_DGRAM, 0) and connect($to, $at) and send($to, "", 0);
                select undef, undef, undef, 0.1;
                kill USR1 => $ARGV[0] or last;
            }
        ' "$1"
    fi
    while sleep 2 && kill -USR1 "$1"; do :; done
}

hp_capture_clock() { date +%s%N; }

hp_capture_interfaces() { ip -o link; }

hp_capture_said() { printf '%s\n' "$hp_expression"; }

# The words are addresses, joined by + so that many fit.
hp_verb_capture() {
    hp_need_root
    [ "$#" -ge 1 ] || hp_refuse usage "capture ADDRESS[+ADDRESS...]..."
    hp_words=$*
    hp_old_ifs=$IFS
    IFS=' +'
    # shellcheck disable=SC2086
    set -- $hp_words
    IFS=$hp_old_ifs
    [ "$#" -ge 1 ] && [ "$#" -le 400 ] || hp_refuse usage "1 to 400 addresses"
    for hp_address in "$@"; do
        hp_is_address "$hp_address" || hp_refuse usage "not an address"
    done
    command -v tcpdump >/dev/null 2>&1 || hp_refuse no-tool "tcpdump is not installed"
    hp_expression=$(hp_capture_filter "$@")
    # Older ones know no link type that tells the interface.
    hp_link=LINUX_SLL2
    tcpdump -i any -L 2>&1 | grep -q LINUX_SLL2 || hp_link=LINUX_SLL
    hp_compiled=$(tcpdump -i any -y "$hp_link" -d "$hp_expression" 2>&1 >/dev/null) ||
        hp_refuse internal "tcpdump: $(printf '%s' "$hp_compiled" | tail -n 1 | tr -cd '[:print:]' | cut -c 1-200)"
    hp_section interfaces hp_capture_interfaces
    hp_section filter hp_capture_said
    # Last: the cockpit compares it with its own as this comes.
    hp_section clock hp_capture_clock
    printf '@%s stream pcap\n' "$HP_NONCE"
    exec 4<&0
    tcpdump -i any -y "$hp_link" -U --immediate-mode -s 128 -n -B 8192 -w - "$hp_expression" </dev/null 4<&- &
    hp_tcpdump=$!
    {
        cat >/dev/null <&4
        kill "$hp_tcpdump"
    } >/dev/null 2>&1 &
    hp_waiter=$!
    exec 4<&-
    hp_capture_signs "$hp_tcpdump" >/dev/null 2>&1 </dev/null &
    hp_ticker=$!
    wait "$hp_tcpdump"
    hp_status=$?
    kill "$hp_waiter" "$hp_ticker" 2>/dev/null
    exit "$hp_status"
}
