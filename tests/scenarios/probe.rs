//! The helper's verbs `probe` and `evidence` on a throwaway host: real sockets, this machine's perl, openssl
//! and psql, and what is said where they are not there.

#![expect(clippy::disallowed_methods, reason = "whether it ends in time is asked of the machine's clock")]

use std::time::{Duration, Instant};

use holdpoint::core::event::{FailKind, ProbeOutcome};
use holdpoint::helper;
use holdpoint::host::frame::{Answer, End, Parser, RefusalCode};
use holdpoint::host::look::{Look, Looked};
use holdpoint::host::said::Said;
use holdpoint::host::verb::Verb;
use holdpoint::plan::ProbeTarget;
use holdpoint::types::{Nonce, Span};

use crate::host::{Host, host};

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn look(target: &str, timeout: Span) -> Look {
    let target: ProbeTarget = target.parse().expect("a target");
    Look::new(&target, "127.0.0.1".parse().ok(), timeout).expect("a look")
}

/// Asks as nobody, with the text over standard input, as a place is asked that has no helper.
fn bare(host: &Host, verb: &Verb) -> Answer {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    let command = verb.command_unenrolled(&nonce).expect("it needs no helper");
    let line: Vec<&str> = NOBODY.into_iter().chain(command.split(' ')).collect();
    let output = host.inside.run(&line, helper::TEXT.as_bytes());
    let mut parser = Parser::new(nonce);
    parser.push(&output.stdout).expect("frames");
    parser.finish().unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn looked(host: &Host, looks: &[Look]) -> Vec<Looked> {
    let verb = Verb::Probe(looks.to_vec());
    match verb.read(&bare(host, &verb)) {
        Ok(Said::Looked(looked)) => looked,
        other => panic!("{other:?}"),
    }
}

/// `ok`, `broken` or how it failed, and the words.
fn words(looked: &Looked) -> (String, String) {
    match &looked.outcome {
        ProbeOutcome::Ok { said, .. } if !looked.whole => ("part".to_owned(), said.shown()),
        ProbeOutcome::Ok { said, .. } => ("ok".to_owned(), said.shown()),
        ProbeOutcome::Fail { why, kind } => (format!("{kind:?}"), why.shown()),
        ProbeOutcome::Broken { why } => ("broken".to_owned(), why.shown()),
    }
}

/// Servers inside, which end with it: pages, one that says nothing, and one that cuts off.
const SERVERS: &str = r#"
cat >/tmp/servers.pl <<'PERL'
use IO::Socket::INET;
my %say = (
    8001 => sub { my ($c, $path) = @_;
        my $status = $path =~ m{^/bad} ? '500 Bad' : $path =~ m{^/moved} ? '302 Found' : $path =~ m{^/gone} ? '404 Not' : '200 OK';
        my $length = $path =~ m{^/short} ? 99 : 3;
        print $c "HTTP/1.1 $status\r\nContent-Length: $length\r\n\r\nok\n" },
    8002 => sub { sleep 60 },
    8003 => sub { },
    8004 => sub { my ($c) = @_; print $c "220 mail\r\n" x 9; sleep 60 },
);
for my $port (keys %say) {
    next if fork;
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 20, ReuseAddr => 1) or die;
    while (my $c = $s->accept) {
        if (!fork) {
            my $asked = $port == 8001 || $port == 8003;
            my $line = $asked ? <$c> : '';
            while ($asked && <$c> =~ /\S/) { }
            $say{$port}->($c, (split / /, $line || '')[1]);
            exit;
        }
        close $c;
    }
}
PERL
setsid perl /tmp/servers.pl >/dev/null 2>&1 </dev/null &
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ "$(ss -Htln | grep -c ':800[1-4] ')" = 4 ] && exit 0
    sleep 0.1
done
exit 1
"#;

#[test]
fn a_host_looks_as_a_user_with_nothing_installed() {
    let Some(host) = host() else { return };
    host.inside.sh(SERVERS);
    let soon = Span::ms(1_500);
    let cases = [
        ("tcp:8001", "ok", "open"),
        ("tcp:1", "Refused", "refused"),
        ("http://a.example:8001/", "ok", "200; connected after "),
        ("http://a.example:8001/moved", "ok", "302; "),
        ("http://a.example:8001/gone", "Content", "status 404; "),
        ("http://a.example:8001/bad", "ServerError", "status 500; "),
        ("http://a.example:8001/short", "Cut", "status 200, body broke off"),
        ("http://a.example:8002/", "Silence", "no answer in 1s500ms; connected after "),
        ("http://a.example:8003/", "Cut", "closed without an answer; "),
        ("http://a.example:8004/", "Cut", "the answer is no HTTP; "),
        ("http://a.example:1/", "Refused", "refused"),
        ("dns:a.example", "Refused", "refused"),
        ("exec:id -un", "ok", "nobody"),
        ("exec:expr 7 - 7", "Command", "status 1"),
        ("exec:false", "Command", "status 1"),
        ("exec:no-such-program", "broken", "no-such-program is not on this host"),
        ("exec:sleep 30", "NoAnswer", "no end in 1s500ms"),
        ("exec:yes", "NoAnswer", "no end in 1s500ms"),
        ("exec:kill -9 0", "", ""),
    ];
    let looks: Vec<Look> = cases.iter().map(|(target, ..)| look(target, soon)).collect();
    let began = Instant::now();
    let looked = looked(&host, &looks);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for ((target, how, said), looked) in cases.iter().zip(&looked) {
        let (is, says) = words(looked);
        assert!(how.is_empty() || is == *how && says.starts_with(said), "{target}: {is}: {says}");
    }
    // Its own end is known, also where nobody listens, and nobody else's.
    let port = |place: usize| looked[place].local.map(|local| local.port());
    assert!((0..4).chain([10]).all(|place| port(place).is_some_and(|port| port > 1_023)), "{looked:?}");
    assert_eq!(port(12), None);
    assert_eq!(looked[2].status, Some(200));
    assert!(looked[2].phases.answered >= looked[2].phases.connected);
    // What took too long is gone with all that it began.
    host.inside.sh("! pgrep -x sleep -u nobody && ! pgrep -x yes");
}

#[test]
fn what_is_not_installed_is_said_and_the_layer_below_looked_at() {
    let Some(host) = host() else { return };
    host.inside.sh(SERVERS);
    let has = |tool: &str| !host.inside.sh(&format!("command -v {tool} || :")).is_empty();
    let targets =
        ["tls:8443:www.acme.example", "https://www.acme.example:8443/", "tls:8443", "tls:8443:other.example"];
    let looks: Vec<Look> = targets.iter().map(|target| look(target, Span::secs(10))).collect();
    if has("openssl") {
        host.inside.sh(
            "cd /tmp && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k -out c \
             -days 2 -subj /CN=www.acme.example -addext subjectAltName=DNS:www.acme.example 2>/dev/null
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k2 -out c2 \
             -days 2 -subj /CN=other.example -addext subjectAltName=DNS:other.example 2>/dev/null
             setsid openssl s_server -accept 127.0.0.1:8443 -key k -cert c -www >/dev/null 2>&1 </dev/null &
             setsid openssl s_server -accept 127.0.0.1:8444 -key k -cert c -servername www.acme.example \
             -key2 k2 -cert2 c2 -www >/dev/null 2>&1 </dev/null &
             for n in 1 2 3 4 5 6 7 8 9 10; do [ $(ss -Htln | grep -cE ':844[34] ') = 2 ] && exit 0; sleep 0.2; done; exit 1",
        );
        // At the second one whoever asks for the name is shown the other certificate.
        let unasked = ["tls:8444=www.acme.example", "tls:8444=other.example", "tls:8444:www.acme.example"];
        let unasked: Vec<Look> = unasked.iter().map(|target| look(target, Span::secs(10))).collect();
        let said: Vec<String> = looked(&host, &unasked).iter().map(|looked| words(looked).0).collect();
        assert_eq!(said, ["ok", "Certificate", "Certificate"]);
        let seen = looked(&host, &looks);
        let expected = [
            "ok: TLSv1.3; not checked here: who signed it",
            "ok: 200; ",
            "ok: TLSv1.3",
            "Certificate: its certificate: ",
        ];
        for (expected, looked) in expected.iter().zip(&seen) {
            let (is, says) = words(looked);
            assert!(format!("{is}: {says}").starts_with(expected), "{expected}: {is}: {says}");
            assert!(looked.certificate.as_ref().is_some_and(|der| der.len() > 200), "{looked:?}");
            assert!(looked.phases.secured >= looked.phases.connected);
        }
        let not_tls = looked(&host, &[look("tls:8004", Span::secs(5)), look("tls:8002", Span::ms(800))]);
        let (refused, silent) = (words(&not_tls[0]), words(&not_tls[1]));
        assert_eq!(
            (refused.0.as_str(), refused.1.starts_with("no TLS there")),
            ("TlsRefused", true),
            "{refused:?}"
        );
        assert_eq!(silent.0, "Silence", "{silent:?}");
    }
    if has("openssl") && has("curl") {
        host.inside.sh("for tool in /usr/bin/openssl /bin/openssl; do rm -f $tool; done");
        let seen = looked(&host, &looks[..3]);
        let said: Vec<String> = seen.iter().map(|looked| words(looked).1).collect();
        assert!(said[0].starts_with("TLS; its certificate not looked at: no openssl here"), "{said:?}");
        assert!(said[1].starts_with("200; "), "{said:?}");
        assert!(said[2].starts_with("TLS; "), "{said:?}");
    }
    host.inside.sh("rm -f /usr/bin/openssl /usr/bin/curl /usr/bin/psql /usr/bin/ping /bin/ping");
    let looks =
        ["tls:8001", "https://a.example:8001/", "ping", "postgres:acme"].map(|t| look(t, Span::secs(2)));
    let seen: Vec<_> = looked(&host, &looks).iter().map(words).collect();
    let open = ("part".to_owned(), "open; TLS not looked at: no openssl and no curl here".to_owned());
    assert_eq!(seen[..2], [open.clone(), open]);
    assert_eq!(seen[2], ("broken".to_owned(), "not looked at: no ping here".to_owned()));
    assert_eq!(seen[3].0, "Refused", "{:?}", seen[3]);
    // A database that listens on its socket alone.
    host.inside.sh(
        "mkdir -p /var/run/postgresql && chmod 755 /var/run/postgresql && setsid perl -MIO::Socket::UNIX -e '
         umask 0; my $s = IO::Socket::UNIX->new(Local => \"/var/run/postgresql/.s.PGSQL.5432\", Listen => 5) or die; sleep 600' \
         >/dev/null 2>&1 </dev/null &
         for n in 1 2 3 4 5 6 7 8 9 10; do [ -S /var/run/postgresql/.s.PGSQL.5432 ] && exit 0; sleep 0.2; done; exit 1",
    );
    let seen = words(&looked(&host, &looks[3..])[0]);
    assert_eq!(seen, ("part".to_owned(), "its socket is open; login not looked at: no psql here".to_owned()));
    host.inside.sh("rm -f /usr/bin/perl /bin/perl");
    let seen: Vec<_> = looked(&host, &looks).iter().map(words).collect();
    assert_eq!(seen, vec![("broken".to_owned(), "not looked at: no perl here".to_owned()); 4]);
}

#[test]
fn a_question_ends_in_bounded_time_whatever_is_asked() {
    let Some(host) = host() else { return };
    let looks = vec![look("exec:sleep 30", Span::ms(700)); 48];
    let began = Instant::now();
    let seen = looked(&host, &looks);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let late = |looked: &Looked| {
        matches!(
            &looked.outcome,
            ProbeOutcome::Fail { kind: FailKind::NoAnswer, .. } | ProbeOutcome::Broken { .. }
        )
    };
    assert!(seen.iter().all(late), "{seen:?}");
    host.inside.sh("! pgrep -x sleep -u nobody");
    // As root it is asked nothing of the plan's own words.
    let verb = Verb::Probe(vec![look("exec:id -u", Span::secs(5))]);
    let Ok(Said::Looked(seen)) = verb.read(&host.ask(&verb)) else { panic!("no answer") };
    assert_eq!(words(&seen[0]), ("ok".to_owned(), "65534".to_owned()));
}

#[test]
fn hostile_attempts_are_refused_and_nothing_runs() {
    let Some(host) = host() else { return };
    let long = format!("exec+1000+{}", "dHJ1ZQ".repeat(90));
    let many = vec!["ping+1+127.0.0.1"; 61];
    let coded = |text: &str| {
        use std::fmt::Write as _;
        let bits: String = text.bytes().fold(String::new(), |mut bits, byte| {
            let _ = write!(bits, "{byte:08b}");
            bits
        });
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let six = |piece: &[u8]| {
            usize::from_str_radix(&format!("{:0<6}", String::from_utf8_lossy(piece)), 2).unwrap()
        };
        bits.as_bytes().chunks(6).map(|piece| char::from(letters[six(piece)])).collect::<String>()
    };
    assert_eq!(coded("true"), "dHJ1ZQ");
    let exec = |text: &str| format!("exec+1000+dG91Y2g+{}", coded(text));
    let page = |text: &str| format!("http+1000+127.0.0.1+80+a.example+{}", coded(text));
    let mut bad: Vec<String> = [
        "ping+1000+a.example",
        "ping+1000+127.0.0.1+1",
        "ping+0+127.0.0.1",
        "ping+99999999+127.0.0.1",
        "ping+1000",
        "tcp+1000+127.0.0.1+0",
        "tcp+1000+127.0.0.1+65536",
        "tcp+1000+127.0.0.1+-1",
        "tcp+1000+-+1",
        "tcp+1000+1.2.3+1",
        "tls+1000+127.0.0.1+443+-x",
        "tls+1000+127.0.0.1+443+a..b",
        "tls+1000+127.0.0.1+443+=",
        "tls+1000+127.0.0.1+443+=-",
        "tls+1000+127.0.0.1+443+==a",
        "postgres+1000+-+-c",
        "postgres+1000+-+a=b",
        "postgres+1000+a.example+b",
        "dns+1000+127.0.0.1+-x",
        "exec+1000",
        "exec+1000+",
        "exec+1000+LXg",
        "exec+1000+QT1i",
        "exec+1000+dHJ1ZQ+",
        "exec+1000+A",
        "shell+1000+dHJ1ZQ",
        "http+1000+127.0.0.1+80+a+",
        "http+1000+127.0.0.1+80+-x+Lw",
    ]
    .map(str::to_owned)
    .to_vec();
    bad.extend(["/tmp/x y", "a\nb", "'", "\"", "`x`", "$(x)", "a;b", "a|b", "<x", "\u{7f}", "\0"].map(exec));
    bad.extend(["", "x", "/ x", "/\r\nx: y", "/\u{e9}", "/\0"].map(page));
    bad.push(long);
    for word in &bad {
        let words = ["0", "probe", word.as_str()];
        let asked = host.call(&words, b"").unwrap_or_else(|error| panic!("{word}: {error}"));
        let End::Refused(refusal) = asked.answer.end else { panic!("{word}: {}", asked.raw) };
        assert_eq!(refusal.code, RefusalCode::Usage, "{word}");
        // With good ones beside it, none is made.
        let words = ["0", "probe", "exec+1000+dG91Y2g+L3RtcC9tYWRl", word.as_str()];
        assert!(matches!(host.call(&words, b"").expect("an answer").answer.end, End::Refused(_)), "{word}");
    }
    let words = [&["0", "probe"][..], &many].concat();
    assert!(matches!(host.call(&words, b"").expect("an answer").answer.end, End::Refused(_)));
    assert!(matches!(host.call(&["0", "probe"], b"").expect("an answer").answer.end, End::Refused(_)));
    host.inside.sh("! [ -e /tmp/made ]");
    for words in [
        &["0", "evidence"][..],
        &["0", "evidence", "0"],
        &["0", "evidence", "241"],
        &["0", "evidence", "1", "2"],
    ] {
        assert!(matches!(host.call(words, b"").expect("an answer").answer.end, End::Refused(_)), "{words:?}");
    }
}

#[test]
fn evidence_is_there_in_bounded_time_whatever_hangs() {
    let Some(host) = host() else { return };
    host.inside.sh("ip addr add 192.0.2.77/32 dev lo");
    let verb = Verb::Evidence { minutes: 5 };
    let shown = |answer: &Answer, name: &str| {
        let section = answer.section(name).unwrap_or_else(|| panic!("{name}"));
        (String::from_utf8_lossy(&section.lines.join(&b'\n')).into_owned(), section.status)
    };
    for answer in [host.ask(&verb), bare(&host, &verb)] {
        let (addresses, status) = shown(&answer, "addresses");
        assert!(addresses.contains("192.0.2.77/32") && status == 0, "{addresses}");
        assert!(shown(&answer, "listeners").1 == 0 && shown(&answer, "processes").0.contains("COMMAND"));
    }
    // Tools that never end, one that floods, and one that is not there.
    host.inside.sh(
        "cd /usr/bin && for tool in ss ps; do rm -f /usr/sbin/$tool /sbin/$tool $tool; printf '#!/bin/sh\\nsleep 100\\n' >$tool; \
         chmod 755 $tool; done; rm -f journalctl; printf '#!/bin/sh\\nyes\\n' >journalctl; chmod 755 journalctl
         rm -f systemctl /bin/systemctl",
    );
    let began = Instant::now();
    let answer = bare(&host, &verb);
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    assert_eq!(answer.end, End::Done(0));
    assert_eq!(shown(&answer, "listeners").1, 124);
    assert_eq!(shown(&answer, "failed"), ("not looked at: no systemctl here".to_owned(), 127));
    let (journal, status) = shown(&answer, "journal");
    assert!(status == 124 && journal.len() < 300_000, "{status}, {} bytes", journal.len());
}
