# --- probes from here ----------------------------------------------------------------------------
# The probes of the plan as this host sees them: each attempt is one word, made once, answered in one line.
# As whoever calls, who need not be root; what is missing here (openssl, psql, ping) is said. perl-base, which
# every Debian has, is all that it stands on. The words of an attempt, joined by +:
#   ping+MS+ADDRESS  tcp+MS+ADDRESS+PORT  tls+MS+ADDRESS+PORT+[=]NAME  dns+MS+ADDRESS+NAME
#   http+MS+ADDRESS+PORT+HOST+PATH  https+...  postgres+MS+ADDRESS+DATABASE  exec+MS+WORD+WORD...
# MS is its timeout, PATH and WORD are base64url, - stands for what is not there.

hp_verb_probe() {
    [ "$#" -ge 1 ] || hp_refuse usage "probe ATTEMPT..."
    if command -v perl >/dev/null 2>&1; then
        hp_p_said=$(hp_probe_perl "$@" 2>/dev/null)
        hp_p_status=$?
        case $hp_p_status in
            0) ;;
            64) hp_refuse usage "an attempt breaks its pattern" ;;
            *) hp_refuse internal "perl ended with $hp_p_status" ;;
        esac
    else
        hp_p_said=$(hp_probe_none "$#")
    fi
    hp_section probe printf '%s\n' "$hp_p_said"
    hp_done 0
}

# So many attempts, none of them made.
hp_probe_none() {
    hp_p_count=0
    while [ "$hp_p_count" -lt "$1" ]; do
        printf '%s broken 0\tnot looked at: no perl here\n' "$hp_p_count"
        hp_p_count=$((hp_p_count + 1))
    done
}

# The program is perl's standard input, the words are its arguments; nothing of the caller's environment reaches
# it but where its home is (psql looks there for a password). It ends by itself before timeout ends it: twice the
# longest time of an attempt, and two seconds.
hp_probe_perl() {
    timeout -k 1 130 env -i "PATH=$PATH" "HOME=${HOME-/}" LC_ALL=C perl - "$@" <<'HP_PERL'
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton inet_ntop pack_sockaddr_in6 unpack_sockaddr_in6 SOCK_DGRAM IPPROTO_UDP);
use POSIX ();
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);

my ($most, $at_once, $longest) = (60, 24, 60_000);
$SIG{PIPE} = 'IGNORE';

# Milliseconds of a clock that nobody steps; in steps of ten where only perl-base is there.
my $fine = eval { require Time::HiRes; Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()); 1 };

sub now {
    return 1000 * Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) if $fine;
    open my $file, '<', '/proc/uptime' or return 1000 * time;
    my $line = <$file>;
    return $line =~ /^([0-9.]+)/ ? 1000 * $1 : 1000 * time;
}

my ($began, $timeout) = (0, 0);
sub gone { return int(now() - $began) }
sub left { my $left = $began + $timeout - now(); return $left > 0 ? $left : 0 }

sub span {
    my $ms = int shift;
    my ($s, $rest) = (int($ms / 1000), $ms % 1000);
    return $s . 's' if $s && !$rest;
    return $s ? "${s}s${rest}ms" : $rest ? "${rest}ms" : '0s';
}

# --- what came of an attempt: a word, and what else is known

my (%known, $here);
sub ok { return ('ok', join '; ', @_) }
sub fail { my $kind = shift; return ("fail $kind", join '; ', @_) }
# A pass of a part: the rest could not be looked at here.
sub part { return ('part', join '; ', @_) }
sub broken { return ('broken', join '; ', @_) }
sub phases { return join ', ', map { exists $known{$_->[0]} ? "$_->[1] after " . span($known{$_->[0]}) : () }
    ['connected', 'connected'], ['secured', 'TLS'], ['answered', 'answer'] }

sub errno_kind {
    my ($errno, $words) = @_;
    return fail('refused', 'refused') if $errno == POSIX::ECONNREFUSED();
    return fail('no-answer', 'no answer in ' . span($timeout)) if $errno == POSIX::ETIMEDOUT();
    return fail('unreachable', "unreachable: $words")
        if grep { $errno == $_ } POSIX::EHOSTUNREACH(), POSIX::ENETUNREACH(), POSIX::EACCES();
    return broken("this host could not connect: $words")
        if grep { $errno == $_ } POSIX::EPERM(), POSIX::EADDRINUSE(), POSIX::EADDRNOTAVAIL(), POSIX::ENETDOWN(),
            POSIX::ENOMEM(), POSIX::EAFNOSUPPORT(), POSIX::EMFILE();
    return fail('other', "no connection: $words");
}

# --- sockets

sub place {
    my ($address, $port) = @_;
    return $address =~ /:/
        ? (AF_INET6, pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)), pack_sockaddr_in6(0, "\0" x 16))
        : (AF_INET, pack_sockaddr_in($port, inet_pton(AF_INET, $address)), pack_sockaddr_in(0, "\0" x 4));
}

sub shown_place {
    my ($packed) = @_;
    return '' unless defined $packed;
    if (sockaddr_family($packed) == AF_INET6) {
        my ($port, $address) = unpack_sockaddr_in6($packed);
        return '[' . inet_ntop(AF_INET6, $address) . "]:$port";
    }
    my ($port, $address) = unpack_sockaddr_in($packed);
    return inet_ntop(AF_INET, $address) . ":$port";
}

sub nonblocking {
    my ($handle) = @_;
    fcntl $handle, F_SETFL, (fcntl($handle, F_GETFL, 0) | O_NONBLOCK);
}

# ready HANDLE READ?: within the time that is left.
sub ready {
    my ($handle, $read) = @_;
    my $set = '';
    vec($set, fileno $handle, 1) = 1;
    my ($r, $w) = $read ? ($set, undef) : (undef, $set);
    return (select $r, $w, undef, left() / 1000) > 0;
}

# The connection, or an empty list and what came of it in $here.
sub dial {
    my ($address, $port) = @_;
    my ($family, $to, $any) = place($address, $port);
    my $socket;
    unless (socket($socket, $family, SOCK_STREAM, 0) && bind($socket, $any)) {
        $here = [errno_kind($! + 0, "$!")];
        return;
    }
    $known{local} = shown_place(getsockname $socket);
    nonblocking($socket);
    if (!connect $socket, $to) {
        if ($! != POSIX::EINPROGRESS()) {
            $here = [errno_kind($! + 0, "$!")];
            return;
        }
        # The address that it goes out by is chosen by now.
        $known{local} = shown_place(getsockname $socket);
        if (!ready($socket, 0)) {
            $here = [fail('no-answer', 'no answer in ' . span($timeout))];
            return;
        }
        my $error = unpack 'i', getsockopt($socket, SOL_SOCKET, SO_ERROR);
        if ($error) {
            local $! = $error;
            $here = [errno_kind($error, "$!")];
            return;
        }
    }
    $known{local} = shown_place(getsockname $socket);
    # A port that called itself: then nobody listens there.
    if ($known{local} eq shown_place($to)) {
        $here = [fail('refused', 'refused')];
        return;
    }
    $known{connected} = gone();
    return $socket;
}

# --- programs

# run INPUT ENOUGH WORD...: no shell. Its status (-1: none), what it printed, its errors, whether its time was over.
# Where it can't be started this ends with what came of the attempt: that is the host's trouble, and no failure.
sub run {
    my ($input, $enough, @words) = @_;
    my ($in_r, $in_w, $out_r, $out_w, $err_r, $err_w);
    pipe($in_r, $in_w) && pipe($out_r, $out_w) && pipe($err_r, $err_w) or die [broken("this host could not start $words[0]: $!")];
    my $pid = fork;
    die [broken("this host could not start $words[0]: $!")] unless defined $pid;
    if (!$pid) {
        POSIX::dup2(fileno $in_r, 0);
        POSIX::dup2(fileno $out_w, 1);
        POSIX::dup2(fileno $err_w, 2);
        POSIX::close($_) for 3 .. 63;
        $SIG{PIPE} = 'DEFAULT';
        if ($known{nobody}) {
            $( = 65534;
            $) = '65534 65534';
            $< = $> = 65534;
            POSIX::_exit(126) if $> == 0 || $< == 0;
            $ENV{HOME} = '/nonexistent';
        }
        delete $known{nobody};
        { no warnings; exec { $words[0] } @words; }
        POSIX::_exit($! == POSIX::ENOENT() ? 127 : 126);
    }
    close $_ for $in_r, $out_w, $err_w;
    nonblocking($in_w);
    syswrite $in_w, $input if length $input;
    # Some of these wait for the end of their input before they look at what comes.
    close $in_w unless $enough;
    my ($out, $err, $done) = ('', '', 0);
    my %open = (fileno $out_r => [$out_r, \$out], fileno $err_r => [$err_r, \$err]);
    while (%open) {
        my $set = '';
        vec($set, $_, 1) = 1 for keys %open;
        last unless (select $set, undef, undef, left() / 1000) > 0;
        for my $fd (keys %open) {
            next unless vec($set, $fd, 1);
            my ($handle, $text) = @{$open{$fd}};
            my $read = sysread $handle, my $piece, 16384;
            if (!$read) { delete $open{$fd}; next }
            $$text .= $piece if length $$text < 65536;
        }
        if ($enough && $enough->($out)) { $done = 1; last }
    }
    my $late = %open && !$done;
    my $status = -1;
    # It has closed its outputs, or is not waited for any longer.
    for my $try (0 .. 9) {
        if (waitpid($pid, POSIX::WNOHANG()) == $pid) { $status = $?; last }
        last if $late || $done;
        select undef, undef, undef, 0.01 * ($try + 1);
    }
    if ($status == -1) { kill 'KILL', $pid; waitpid $pid, 0; }
    return ($status, $out, $err, $late);
}

sub has { my ($tool) = @_; return grep { -x "$_/$tool" } split /:/, $ENV{PATH} }
sub first_line { my ($text) = @_; return $text =~ /^\s*(\S.*?)\s*$/m ? $1 : '' }

# --- kinds

# Where it leads, by this host's own resolver: the address of the plan goes before it.
sub address_of {
    my ($address, $host) = @_;
    return $address if $address ne '-';
    return $host if $host =~ /:/ || defined inet_pton(AF_INET, $host);
    my ($status, $out, undef, $late) = run('', undef, 'getent', 'ahosts', $host);
    return $1 if $status == 0 && $out =~ /^(\S+)\s+STREAM/m;
    $here = [broken("$host was not resolved" . ($late ? ' in ' . span($timeout) : ' here'))];
    return;
}

sub tcp {
    my ($address, $port) = @_;
    my $socket = dial($address, $port) or return @$here;
    return ok('open');
}

sub request {
    my ($port, $usual, $host, $path) = @_;
    my $name = $host =~ /:/ ? "[$host]" : $host;
    $name .= ":$port" if $port != $usual;
    return "GET $path HTTP/1.1\r\nhost: $name\r\nuser-agent: holdpoint\r\naccept: */*\r\nconnection: close\r\n\r\n";
}

# Whether an answer is whole: its length, its last chunk. Otherwise the end of the connection says it.
sub whole {
    my ($text) = @_;
    return 0 unless $text =~ /\r?\n\r?\n/g;
    my ($head, $body) = (substr($text, 0, $-[0]), substr($text, $+[0]));
    return 1 if length $body >= 65536;
    return 1 if $head =~ m{^HTTP/1\.[01] (?:1\d\d|204|304)};
    return length $body >= $1 if $head =~ /^content-length:\s*([0-9]{1,12})\s*$/im;
    return $body =~ /(?:^|\r?\n)0\r?\n(?:[^\n]*\n)*?\r?\n\z/ if $head =~ /^transfer-encoding:.*chunked/im;
    return 0;
}

sub judged {
    my ($status) = @_;
    my $told = join '; ', grep { length } phases() . ', all after ' . span(gone());
    return fail($status >= 500 ? 'server-error' : 'content', "status $status; $told") if $status < 200 || $status > 399;
    return ok("$status; $told");
}

sub http {
    my ($address, $port, $host, $path) = @_;
    $address = address_of($address, $host) or return @$here;
    my $socket = dial($address, $port) or return @$here;
    my $request = request($port, 80, $host, $path);
    return fail('cut', "the connection broke: $!") unless defined syswrite $socket, $request;
    my ($text, $end) = ('', '');
    until ($end) {
        if (!ready($socket, 1)) { $end = 'late'; last }
        my $read = sysread $socket, my $piece, 16384;
        if (!defined $read) { $end = "broke: $!"; last }
        if (!$read) { $end = 'closed'; last }
        $text .= $piece;
        if (!exists $known{status} && $text =~ m{^HTTP/1\.[01] ([1-5]\d\d)[ \r\n]}) {
            ($known{status}, $known{answered}) = ($1, gone());
        }
        $end = 'whole' if whole($text) || length $text > 131072;
        $end = 'no HTTP' if !exists $known{status} && length $text > 64;
    }
    my $told = phases();
    if (exists $known{status}) {
        my $status = $known{status};
        return judged($status) if $status < 200 || $status > 399 || $end eq 'whole';
        return fail('silence', "status $status, body not whole in " . span($timeout), $told) if $end eq 'late';
        return judged($status) if $end eq 'closed' && $text !~ /^(?:content-length|transfer-encoding):/im;
        return fail('cut', "status $status, body broke off", $told);
    }
    return fail('silence', 'no answer in ' . span($timeout), $told) if $end eq 'late';
    return fail('cut', 'the answer is no HTTP', $told) if length $text;
    return fail('cut', $end eq 'closed' ? 'closed without an answer' : "the connection $end", $told);
}

# tls(ADDRESS, PORT, NAME, REQUEST): a handshake by openssl, and what is said over it.
sub tls {
    my ($address, $port, $name, $request) = @_;
    my $socket = dial($address, $port) or return @$here;
    close $socket;
    # The handshake has a connection and a port of its own, and nobody tells which.
    delete $known{local};
    my $at = ($address =~ /:/ ? "[$address]" : $address) . ":$port";
    # A name that is on the certificate, and is not asked for.
    my $unasked = $name =~ s/^=//;
    return tls_by_curl($at, $unasked ? '-' : $name, $request) unless has('openssl');
    my $is_address = $name =~ /:/ || defined inet_pton(AF_INET, $name);
    my @words = ('openssl', 's_client', '-connect', $at);
    push @words, $name eq '-' || $unasked || $is_address ? '-noservername' : ('-servername', $name);
    push @words, $is_address ? '-verify_ip' : '-verify_hostname', $name if $name ne '-';
    push @words, '-ign_eof' if defined $request;
    my $enough = sub {
        my ($out) = @_;
        $known{secured} = gone() if !exists $known{secured} && $out =~ /Cipher is (?!\(NONE\))/;
        return 0 unless defined $request && $out =~ m{^HTTP/1\.[01] ([1-5]\d\d)[ \r\n]}m;
        ($known{status}, $known{answered}) = ($1, gone()) unless exists $known{status};
        return whole(substr $out, $-[0]);
    };
    my ($status, $out, $err, $late) = run(defined $request ? $request : "Q\n", $enough, @words);
    if ($out =~ /-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+\/=\s]{1,24000}?)-----END CERTIFICATE-----/) {
        ($known{certificate} = $1) =~ s/\s+//g;
    }
    if (!exists $known{secured}) {
        delete $known{certificate};
        return fail('silence', 'no TLS handshake in ' . span($timeout), phases()) if $late;
        return fail('tls-refused', "TLS refused: alert $1", phases()) if $err =~ /alert ([a-z ]+?)(?: number)?\s*:/;
        return fail('tls-refused', 'no TLS there', phases()) if $err =~ /wrong version number|packet length too long/;
        return fail('cut', 'closed in the TLS handshake', phases()) if $err =~ /unexpected eof|errno=|reset/;
        return fail('tls-refused', 'no TLS handshake: ' . first_line($err), phases());
    }
    my @against = $err =~ /verify error:num=(\d+:[^\n]*)/g;
    my ($wrong) = grep { /^(?:9|10|62|64):/ } @against;
    my $said = $wrong || $against[0] || '';
    $said =~ s/^\d+://;
    return fail('certificate', "its certificate: $said", phases()) if $wrong;
    my $trust = length $said ? "; not checked here: who signed it ($said)" : '';
    my $how = $out =~ /, (TLSv[0-9.]+), Cipher is/ ? $1 : 'TLS';
    return ok($how . $trust, phases()) unless defined $request;
    if (!exists $known{status}) {
        return fail('silence', 'no answer in ' . span($timeout), phases()) if $late;
        return fail('cut', 'closed without an answer', phases());
    }
    return fail('silence', "status $known{status}, body not whole in " . span($timeout), phases())
        if $late && $known{status} < 400;
    return judged($known{status});
}

sub tls_by_curl {
    my ($at, $name, $request) = @_;
    return part('open; TLS not looked at: no openssl and no curl here') unless has('curl');
    my ($path, $host) = ('/', $name eq '-' ? $at : $name);
    ($path, $host) = ($1, $2) if defined $request && $request =~ /^GET (\S+) .*?\r\nhost: (\S+)/;
    # Without a name there is none in the handshake either: an address is none.
    my $url = 'https://' . (defined $request ? $host : $name eq '-' ? $at : "$name:" . ($at =~ /(\d+)$/)[0]) . $path;
    my ($status, $out, $err, $late) = run('', undef, 'curl', '-q', '-s', '-S', '-k', '-g', '-o', '/dev/null',
        '--path-as-is', '--noproxy', '*', '--max-time', left() / 1000, '--connect-to', "::$at",
        '-w', '%{http_code} %{time_appconnect} %{time_starttransfer}', $url);
    return fail('silence', 'no TLS handshake, or no answer after it, in ' . span($timeout), phases()) if $late;
    my ($code, $secured, $answered) = $out =~ /^(\d{3}) ([0-9.]+) ([0-9.]+)$/ or return broken('curl: ' . first_line($err));
    $known{secured} = $known{connected} + int(1000 * $secured) if $secured > 0;
    if (!exists $known{secured}) {
        return fail('silence', 'no TLS handshake in ' . span($timeout), phases()) if $err =~ /\(28\)/;
        return fail('tls-refused', 'no TLS handshake: ' . first_line($err), phases());
    }
    my $unseen = 'its certificate not looked at: no openssl here';
    return part("TLS; $unseen", phases()) unless defined $request;
    if ($code == 0) {
        return fail('silence', 'no answer in ' . span($timeout), phases()) if $err =~ /\(28\)/;
        return fail('cut', 'closed without an answer', phases());
    }
    ($known{status}, $known{answered}) = ($code, $known{connected} + int(1000 * $answered));
    my ($word, $said) = judged($code);
    return $word eq 'ok' ? part($said, $unseen) : ($word, $said);
}

sub https {
    my ($address, $port, $host, $path) = @_;
    $address = address_of($address, $host) or return @$here;
    return tls($address, $port, $host, request($port, 443, $host, $path));
}

sub ping {
    my ($address) = @_;
    return broken('not looked at: no ping here') unless has('ping');
    my $wait = int(($timeout + 999) / 1000);
    my ($status, $out, $err, $late) = run('', undef, 'ping', '-n', '-c', '1', '-W', $wait, $address);
    return ok("echo after $1 ms") if $status == 0 && $out =~ /time[=<]([0-9.]+) ?ms/;
    return fail('unreachable', "unreachable: $1") if "$out$err" =~ /((?:Destination|Network)[A-Za-z ]* unreachable)/i;
    return fail('no-answer', 'no answer in ' . span($timeout)) if $late || $status == 256;
    return broken('ping: ' . (first_line($err) || 'it did not say why'));
}

sub dns {
    my ($address, $name) = @_;
    my ($family, $to) = place($address, 53);
    my $socket;
    return errno_kind($! + 0, "$!")
        unless socket($socket, $family, SOCK_DGRAM, IPPROTO_UDP) && connect($socket, $to);
    $known{local} = shown_place(getsockname $socket);
    my $id = ($$ + int now()) % 65536;
    my $query = pack('n6', $id, 0x0100, 1, 0, 0, 0) . join('', map { pack 'C/a', $_ } split /\./, $name) . pack('Cnn', 0, 1, 1);
    send $socket, $query, 0 or return errno_kind($! + 0, "$!");
    while (ready($socket, 1)) {
        defined recv $socket, my $answer, 4096, 0 or return errno_kind($! + 0, "$!");
        next if length $answer < 12;
        my ($its, $flags, undef, $count) = unpack 'n4', $answer;
        next unless $its == $id && $flags & 0x8000;
        $known{answered} = gone();
        my $code = $flags & 15;
        return fail('command', "$name: no such name (NXDOMAIN)") if $code == 3;
        return fail('other', "$name: " . ({ 2 => 'SERVFAIL', 5 => 'REFUSED' }->{$code} || "code $code")) if $code;
        return fail('command', "$name: no address") unless $count;
        return ok("$count record" . ($count == 1 ? '' : 's'));
    }
    return fail('no-answer', 'no answer in ' . span($timeout));
}

# The local socket before the address: that is the database itself, whatever the network does.
sub postgres {
    my ($address, $database) = @_;
    my $path = '/var/run/postgresql/.s.PGSQL.5432';
    if (!has('psql')) {
        my $not = 'login not looked at: no psql here';
        if (-S $path) {
            socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or return broken("socket: $!");
            return errno_kind($! + 0, "$!") unless connect $socket, pack_sockaddr_un($path);
            return part("its socket is open; $not");
        }
        my $socket = dial($address eq '-' ? '127.0.0.1' : $address, 5432) or return @$here;
        return part("open; $not");
    }
    my @words = ('psql', '-X', '-w', '-A', '-t', '-q', '-d', $database, '-c', 'SELECT 1');
    push @words, '-h', $address if !-S $path && $address ne '-';
    my ($status, $out, $err, $late) = run('', undef, @words);
    return ok('SELECT 1') if $status == 0 && $out =~ /^1$/m;
    return fail('silence', 'no answer in ' . span($timeout)) if $late;
    my $why = $err =~ /((?:FATAL|ERROR|PANIC):.*)/ ? $1 : first_line($err);
    $why =~ s/\s+/ /g;
    # It answers, and this login is none of its trouble.
    return fail('other', $why) if $err =~ /no password supplied/;
    return fail('database', $why) if $err =~ /FATAL:|ERROR:/;
    return fail('refused', $why) if $err =~ /No such file or directory|Connection refused/;
    return fail('no-answer', $why) if $err =~ /timeout expired|timed out/;
    return fail('unreachable', $why) if $err =~ /unreachable|No route/;
    return fail('other', $why || 'psql did not say why');
}

# The plan's own words, never as root and never through a shell.
sub command {
    my @words = @_;
    $known{nobody} = 1 if $> == 0;
    my ($status, $out, $err, $late) = run('', undef, @words);
    my $line = first_line($out) || first_line($err);
    my $as = delete $known{nobody} ? ' (as nobody: the login is root)' : '';
    return fail('no-answer', 'no end in ' . span($timeout)) if $late || $status == -1;
    return broken("$words[0] is not on this host, or not for this user$as") if $status >> 8 == 127 || $status >> 8 == 126;
    return ok($line || 'status 0') if $status == 0;
    my $how = $status & 127 ? 'signal ' . ($status & 127) : 'status ' . ($status >> 8);
    return fail('command', "$how$as", length $line ? $line : ());
}

# --- the words, checked

sub base64 {
    my ($text) = @_;
    # Not the empty list: a word that is none would be left out.
    return undef unless $text =~ /\A[A-Za-z0-9_-]+\z/ && length($text) % 4 != 1;
    $text =~ tr{A-Za-z0-9\-_}{ -_};
    return join '', map { unpack 'u', chr(32 + int(length($_) * 3 / 4)) . $_ } $text =~ /(.{1,60})/gs;
}

sub is_address {
    my ($text) = @_;
    return $text =~ /:/ ? defined inet_pton(AF_INET6, $text) : defined inet_pton(AF_INET, $text);
}
sub is_number { my ($text, $from, $to) = @_; return $text =~ /\A[1-9][0-9]{0,6}\z/ && $text >= $from && $text <= $to }
sub is_port { return is_number($_[0], 1, 65535) }
sub is_name { my ($text) = @_; return length $text <= 253 && $text =~ /\A(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.?\z/ }
sub is_host { my ($text) = @_; return $text =~ /:/ ? is_address($text) : is_name($text) }
sub is_path { my ($text) = @_; return defined $text && $text =~ m{\A/[\x21-\x7e]*\z} }
# As the plan has it: what a shell would read otherwise is in no word, and the first is no option.
sub is_word { my ($text) = @_; return defined $text && $text =~ /\A[^\x00-\x20\x7f'"\\`\$|;<>]{1,500}\z/ }

my %kinds = (
    ping => [\&ping, 1, sub { is_address($_[0]) }],
    tcp => [\&tcp, 2, sub { is_address($_[0]) && is_port($_[1]) }],
    tls => [\&tls, 3, sub { is_address($_[0]) && is_port($_[1]) && ($_[2] eq '-' || is_name($_[2] =~ s/\A=//r)) }],
    dns => [\&dns, 2, sub { is_address($_[0]) && is_name($_[1]) }],
    postgres => [\&postgres, 2, sub { ($_[0] eq '-' || is_address($_[0])) && $_[1] =~ /\A[A-Za-z0-9_.][A-Za-z0-9_.-]{0,62}\z/ }],
    exec => [\&command, -1, sub { !(grep { !is_word($_) } @_) && $_[0] !~ /\A-|=/ }],
);
my $page = sub { ($_[0] eq '-' || is_address($_[0])) && is_port($_[1]) && is_host($_[2]) && is_path($_[3]) };
$kinds{http} = [\&http, 4, $page];
$kinds{https} = [\&https, 4, $page];

sub refuse { exit 64 }

my @attempts;
for my $word (@ARGV) {
    my ($kind, $ms, @words) = split /\+/, $word, -1;
    my $known = defined $ms && $kinds{$kind} or refuse();
    my ($make, $count, $check) = @$known;
    refuse() unless is_number($ms, 1, $longest) && @words && ($count < 0 || @words == $count);
    @words = map { base64($_) } @words if $kind eq 'exec';
    $words[3] = base64($words[3]) if $count == 4;
    refuse() if grep { !defined } @words or !$check->(@words);
    push @attempts, [$ms, $make, @words];
}
refuse() if !@attempts || @attempts > $most;

# --- all of them, each a process of its own that is waited for so long and no longer

sub answer {
    my ($place, $word, $words) = @_;
    $words =~ tr/\x00-\x1f\x7f/ /;
    my @more = map { exists $known{$_} ? "$_=$known{$_}" : () } qw(local connected secured answered status certificate);
    return join(' ', $place, $word, gone(), @more) . "\t" . substr($words, 0, 300) . "\n";
}

my $slowest = 0;
for (@attempts) { $slowest = $_->[0] if $_->[0] > $slowest }
my $until = now() + 2 * $slowest + 2000;
$| = 1;
my (%running, @lines);
my $next = 0;
# Whoever ends this ends what it began.
$SIG{$_} = sub { kill 'KILL', map { -$_->{pid} } values %running; POSIX::_exit(1) } for qw(TERM HUP INT);

while ($next < @attempts || %running) {
    while ($next < @attempts && keys %running < $at_once && now() < $until) {
        my $place = $next++;
        my ($ms, $make, @words) = @{$attempts[$place]};
        pipe my $read, my $write or last;
        my $pid = fork;
        last unless defined $pid;
        if (!$pid) {
            close $read;
            # Nothing that hears of its end holds the caller's connection open.
            open STDIN, '<', '/dev/null';
            open STDOUT, '>', '/dev/null';
            $SIG{$_} = 'DEFAULT' for qw(TERM HUP INT);
            setpgrp 0, 0;
            ($began, $timeout) = (now(), $ms);
            my ($word, $words) = eval { $make->(@words) };
            ($word, $words) = ref $@ ? @{$@} : broken("it broke off: $@") unless defined $word;
            syswrite $write, answer($place, $word, $words);
            POSIX::_exit(0);
        }
        close $write;
        $running{fileno $read} = { read => $read, pid => $pid, place => $place, text => '', until => now() + $ms + 500 };
    }
    my ($set, $soonest) = ('', $until);
    for my $fd (keys %running) {
        vec($set, $fd, 1) = 1;
        $soonest = $running{$fd}{until} if $running{$fd}{until} < $soonest;
    }
    my $wait = $soonest - now();
    select $set, undef, undef, $wait > 0 ? $wait / 1000 : 0 if %running;
    for my $fd (keys %running) {
        my $one = $running{$fd};
        my $over = now() >= $one->{until} || now() >= $until + 500;
        if (vec($set, $fd, 1)) {
            my $read = sysread $one->{read}, my $piece, 65536;
            if ($read) { $one->{text} .= $piece; next }
            $over = 1;
        }
        next unless $over;
        # Its whole group: what it began and what that began.
        kill 'KILL', -$one->{pid}, $one->{pid};
        waitpid $one->{pid}, 0;
        delete $running{$fd};
        $lines[$one->{place}] = $one->{text} if $one->{text} =~ /\A[^\n]+\n\z/;
    }
    last if now() >= $until && !%running;
}
for my $place (0 .. $#attempts) {
    my $ended = $place < $next ? 'the attempt did not end in its time' : 'there was no time for it';
    print $lines[$place] // "$place broken 0\t$ended\n";
}
HP_PERL
}
