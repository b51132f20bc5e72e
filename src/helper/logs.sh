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
# Files are read and nothing else is: what is read from a pipe or a device is gone for whom it is meant. A file that
# is replaced, cut off or made later is followed by its name; who writes it may write to the one before until it is
# told, so that one is read on until it has been still for ten seconds. Who reads nothing for two minutes is gone.
hp_follow() {
    # shellcheck disable=SC2016
    env -i "PATH=$PATH" LC_ALL=C perl -e '
        use strict;
        use Fcntl qw(O_RDONLY O_NONBLOCK O_NOCTTY);
        use POSIX ();
        my ($each_time, $most, @files) = @ARGV;
        my $errors = qr/\[(?:error|crit|alert|emerg|fatal|panic)\]|\b(?:ERROR|CRITICAL|FATAL|PANIC|EMERG)\b/;
        $| = 1;
        # Seconds of a clock that nobody steps: the host sets its own after the reboot.
        my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
        sub seconds { int((POSIX::times())[0] / $ticks) }
        my $journal = { place => "-", lines => 0, errors => 0, out => 0, passed => [0, 0] };
        my @of = map { { %$journal, place => $_, path => $files[$_], passed => [0, 0], before => [] } } 0 .. $#files;
        my $entry = { rest => "" };
        my $followed = open(my $entries, "-|");
        if (defined $followed && !$followed) {
            open STDIN, "<", "/dev/null";
            open STDERR, ">", "/dev/null";
            exec "journalctl", "-f", "-n", "0", "-q", "-a", "-o", "json",
                "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT";
            exit 127;
        }
        sub over { kill TERM => $followed if $followed; exit 0 }
        $SIG{$_} = \&over for qw(PIPE TERM HUP INT ALRM);
        sub say_line {
            my ($of, $line) = @_;
            my $is_entry = $of->{place} eq "-";
            $line = substr $line, 0, $is_entry ? 60000 : 8192;
            $of->{lines}++;
            my $bad = $is_entry ? $line =~ /"PRIORITY"\s*:\s*"[0-3]"/ : $line =~ $errors;
            $of->{errors}++ if $bad;
            # An error passes where others do not any more.
            if ($of->{passed}[$bad ? 1 : 0]++ >= ($bad ? 4 * $most : $most)) { $of->{out}++; return }
            print $is_entry ? ($bad ? "J" : "j") . " $line\n" : ($bad ? "F" : "f") . " $of->{place} $line\n";
        }
        sub take {
            my ($of, $in, $some) = @_;
            if ($in->{skip}) { $some =~ s/^[^\n]*\n// or return; $in->{skip} = 0 }
            my @lines = split /\n/, $in->{rest} . $some, -1;
            $in->{rest} = pop @lines // "";
            say_line($of, $_) for @lines;
            # A line without an end is not waited for, and its rest is no line.
            if (length $in->{rest} > 65536) { say_line($of, $in->{rest}); @$in{qw(rest skip)} = ("", 1) }
        }
        # What an open file has, up to so much; whether there may be more.
        sub drain {
            my ($of, $in) = @_;
            for (1 .. 16) {
                my $read = sysread $in->{from}, my $some, 65536;
                return 0 unless $read;
                $in->{at} += $read;
                $in->{until} = seconds() + 10;
                take($of, $in, $some);
            }
            return 1;
        }
        # The one that another has replaced, and those before it; of one that is left no more is read.
        sub look_before {
            my ($of) = @_;
            my ($more, $now, @left) = (0, seconds());
            for my $in (@{$of->{before}}) { $more = 1 if drain($of, $in) }
            push @left, shift @{$of->{before}} while @{$of->{before}} > 4;
            push @left, grep { $_->{until} <= $now } @{$of->{before}};
            @{$of->{before}} = grep { $_->{until} > $now } @{$of->{before}};
            for my $in (@left) { say_line($of, $in->{rest}) if length $in->{rest} }
            return $more;
        }
        sub unfollowed { my ($of) = @_; print "e $of->{place}\n" unless $of->{said}++ }
        # One round of a file; whether there may be more.
        sub look {
            my ($of, $first) = @_;
            my @is = stat $of->{path};
            my $in = $of->{in};
            my $same = $in && @is && "$is[0] $is[1]" eq $in->{which};
            if ($same && $is[7] < $in->{at}) {
                sysseek $in->{from}, 0, 0;
                @$in{qw(at rest skip)} = (0, "", 0);
            }
            return 1 if $in && drain($of, $in);
            return 0 if $same || !@is;
            if ($in) {
                # Another one is there now.
                $in->{until} = seconds() + 10;
                push @{$of->{before}}, delete $of->{in};
            }
            if (!-f _) { unfollowed($of); return 0 }
            sysopen(my $from, $of->{path}, O_RDONLY | O_NONBLOCK | O_NOCTTY) or do { unfollowed($of); return 0 };
            @is = stat $from;
            return 0 unless -f _;
            $of->{said} = 0;
            $of->{in} = { from => $from, which => "$is[0] $is[1]", at => 0, rest => "" };
            # What was written before is not asked for.
            $of->{in}{at} = sysseek($from, 0, 2) + 0 if $first;
            return !$first;
        }
        look($_, 1) for @of;
        my ($told, $second, $more) = (seconds(), seconds(), 0);
        while (1) {
            alarm 120;
            my $bits = "";
            vec($bits, fileno STDIN, 1) = 1;
            vec($bits, fileno $entries, 1) = 1 if $entries;
            my $ready = select(my $got = $bits, undef, undef, $more ? 0 : @of ? 0.25 : 1);
            next if $ready < 0;
            last if vec($got, fileno STDIN, 1) && !sysread STDIN, my $junk, 4096;
            my $now = seconds();
            if ($now != $second) { $second = $now; $_->{passed} = [0, 0] for $journal, @of }
            if ($entries && vec $got, fileno $entries, 1) {
                if (sysread $entries, my $some, 65536) { take($journal, $entry, $some) }
                else { close $entries; $entries = $followed = undef; unfollowed($journal) }
            }
            $more = 0;
            for my $of (@of) { $more = 1 if look_before($of); $more = 1 if look($of, 0) }
            last unless $entries || @of;
            next if $now - $told < $each_time;
            for my $of (grep { $_->{lines} } $journal, @of) {
                print join(" ", "c", $now - $told, @$of{qw(place lines errors out)}), "\n";
                @$of{qw(lines errors out)} = (0, 0, 0);
            }
            $told = $now;
        }
        over();
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
