# --- logs ---------------------------------------------------------------------------------------
#
# The journal and log files as they grow, for as long as standard input is open: a cockpit that is gone
# leaves nothing that follows them. Lines are counted here, before any is left out.

# A path as the cockpit sends it: base64 in the alphabet for names (RFC 4648, section 5). Absolute, on one line.
hp_log_path() {
    hp_path=$(printf '%s' "$1" | tr -- '-_' '+/' | base64 -d 2>/dev/null && echo .) || return 1
    hp_path=${hp_path%.}
    case $hp_path in
        /*) ;;
        *) return 1 ;;
    esac
    [ "$hp_path" = "$(printf '%s' "$hp_path" | tr -d '\000-\037\177')" ] && [ "${#hp_path}" -le 4096 ]
}

# hp_follow EVERY MOST FILE...: each line with what it is of: `j` and an entry of the journal as JSON, `f`, the
# file's place in the list and the text; in capitals where it tells of an error. In between `c` with seconds, place (`-` for the journal), lines, lines
# that tell of errors, lines left out: every EVERY seconds, where there were any. MOST: so many lines of one
# source pass in a second, and four times as many that tell of errors. `e`: a source that can't be followed.
hp_follow() {
    # shellcheck disable=SC2016
    perl -e '
        use strict;
        my ($each_time, $most, @files) = @ARGV;
        my $errors = qr/\[(?:error|crit|alert|emerg|fatal|panic)\]|\b(?:ERROR|CRITICAL|FATAL|PANIC|EMERG)\b/;
        $| = 1;
        my @of;
        sub follow {
            my ($place, @words) = @_;
            my $pid = open(my $from, "-|") // return;
            if (!$pid) {
                open STDIN, "<", "/dev/null";
                open STDERR, ">", "/dev/null";
                exec { $words[0] } @words;
                exit 127;
            }
            push @of, { place => $place, from => $from, pid => $pid, rest => "", lines => 0, errors => 0, out => 0,
                passed => [0, 0] };
        }
        follow("-", "journalctl", "-f", "-n", "0", "-q", "-a", "-o", "json",
            "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT");
        for my $n (0 .. $#files) { follow($n, "tail", "-n", "0", "-F", "--", $files[$n]) }
        sub say_line {
            my ($of, $line) = @_;
            $of->{lines}++;
            my $bad = $of->{place} eq "-" ? $line =~ /"PRIORITY"\s*:\s*"[0-3]"/ : $line =~ $errors;
            $of->{errors}++ if $bad;
            # An error passes where others do not any more.
            if ($of->{passed}[$bad ? 1 : 0]++ >= ($bad ? 4 * $most : $most)) { $of->{out}++; return }
            print $of->{place} eq "-" ? ($bad ? "J" : "j") . " $line\n" : ($bad ? "F" : "f") . " $of->{place} $line\n";
        }
        my ($told, $second) = (time, time);
        while (@of) {
            my $bits = "";
            vec($bits, fileno STDIN, 1) = 1;
            vec($bits, fileno $_->{from}, 1) = 1 for @of;
            my $ready = select(my $got = $bits, undef, undef, 1);
            next if $ready < 0;
            last if vec($got, fileno STDIN, 1) && !sysread STDIN, my $junk, 4096;
            my $now = time;
            if ($now != $second) { $second = $now; $_->{passed} = [0, 0] for @of }
            for my $of (grep { vec $got, fileno $_->{from}, 1 } @of) {
                my $read = sysread $of->{from}, my $some, 65536;
                if (!$read) { $of->{over} = 1; print "e $of->{place}\n"; next }
                $of->{rest} .= $some;
                while ($of->{rest} =~ s/^([^\n]*)\n//) { say_line($of, substr($1, 0, 8192)) }
                # A line without an end is not waited for.
                if (length $of->{rest} > 65536) { say_line($of, substr($of->{rest}, 0, 8192)); $of->{rest} = "" }
            }
            @of = grep { !$_->{over} } @of;
            next if $now - $told < $each_time;
            for my $of (grep { $_->{lines} } @of) {
                print join(" ", "c", $now - $told, @$of{qw(place lines errors out)}), "\n";
                @$of{qw(lines errors out)} = (0, 0, 0);
            }
            $told = $now;
        }
        kill "TERM", map { $_->{pid} } @of;
    ' -- "$@"
}

# The words are paths of log files, in the order of the plan.
hp_verb_logs() {
    hp_need_root
    [ "$#" -le 16 ] || hp_refuse usage "at most 16 files"
    for hp_word in "$@"; do
        hp_log_path "$hp_word" || hp_refuse usage "not the path of a log file"
    done
    command -v perl >/dev/null 2>&1 || hp_refuse no-tool "perl is not installed"
    # Paths have no newline, and nothing in them is read as a pattern.
    hp_count=$#
    while [ "$hp_count" -gt 0 ]; do
        hp_log_path "$1"
        shift
        set -- "$@" "$hp_path"
        hp_count=$((hp_count - 1))
    done
    printf '@%s stream log\n' "$HP_NONCE"
    hp_follow 5 50 "$@"
    exit
}
