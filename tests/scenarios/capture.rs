//! The verb `capture` on a throwaway host: with a tcpdump that only says how it was called, and with the
//! real one where this machine has it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use holdpoint::capture::{Reader, SIGN, captured, dropped, frame};
use holdpoint::core::event::{TcpFlags, Way, What};
use holdpoint::helper;
use holdpoint::host::frame::RefusalCode;
use holdpoint::host::verb::Verb;

use crate::host::{Host, host};
use crate::stream::Running;
use crate::transcripts::NONCE;

const ADDRESS: &str = "192.0.2.32";

fn verb(addresses: &[&str]) -> Verb {
    Verb::Capture(addresses.iter().map(|text| text.parse().expect("an address")).collect())
}

/// The end of each filter: the helper's own signs of life.
const SIGNS: &str = " or (udp dst port 9 and dst host 127.0.0.1)";

/// A tcpdump that writes down its words and runs until it is told not to.
const STUB: &str = "cat >/usr/sbin/tcpdump <<'EOS'
#!/bin/sh
case \" $* \" in
    *' -L '*) echo 'LINUX_SLL2 (Linux cooked v2)'; exit 0 ;;
    *' -d '*) exit 0 ;;
esac
printf '%s\\n' \"$@\" >/tmp/called
trap 'echo counts >&2; exit 0' TERM
trap 'echo \"tcpdump: 1 packet captured, 9 packets received by filter, 4 packets dropped by kernel\" >&2' USR1
printf PCAP
while :; do sleep 0.1; done
EOS
chmod 755 /usr/sbin/tcpdump";

fn processes(host: &Host) -> String {
    host.inside
        .sh("ps -e -o args= | grep -v -e '^ps ' -e grep | grep -e tcpdump -e holdpoint-helper -e perl || :")
}

#[test]
fn a_capture_lives_as_long_as_its_input_and_says_what_was_dropped() {
    let Some(host) = host() else { return };
    host.inside.sh(STUB);
    let running = Running::begin(&host, &verb(&[ADDRESS, "2001:db8::32"]));
    running.wait_for("it begins", |running| running.told().ends_with(b"stream pcap\nPCAP"));
    let (head, _) = running.parts("pcap");
    assert!(head.contains("|1: lo"), "{head}");
    let filter = format!(
        "((host 192.0.2.32 or host 2001:db8::32 or (icmp6 and (ip6[40] = 135 or ip6[40] = 136))) and not tcp port 22){SIGNS}"
    );
    assert!(head.contains(&format!("|{filter}\n")), "{head}");
    let called = host.inside.sh("cat /tmp/called");
    let words: Vec<&str> = called.lines().collect();
    assert_eq!(
        words.join(" "),
        format!("-i any -y LINUX_SLL2 -U --immediate-mode -s 128 -n -B 8192 -w - {filter}")
    );
    running.wait_for("it says what was dropped", |running| {
        running.errors().lines().any(|line| dropped(line) == Some(4))
    });
    assert!(processes(&host).contains("tcpdump"));
    let ended = running.end();
    ended.wait_for("its last words", |running| running.errors().ends_with("counts\n"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(processes(&host), "", "nothing is left");
}

#[test]
fn a_connection_that_is_cut_leaves_nothing() {
    let Some(host) = host() else { return };
    host.inside.sh(STUB);
    let running = Running::begin(&host, &verb(&[ADDRESS]));
    running.wait_for("it begins", |running| running.told().ends_with(b"stream pcap\nPCAP"));
    running.wait_for("its signs", |_| processes(&host).contains("perl"));
    // The shell is gone first, and its input with it.
    drop(running);
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(100));
        if processes(&host).is_empty() {
            break;
        }
    }
    assert_eq!(processes(&host), "", "nothing is left");
}

#[test]
fn the_cockpits_own_connection_is_left_out() {
    let Some(host) = host() else { return };
    host.inside.sh(STUB);
    // As under sshd and sudo: whoever started the helper knows, and the helper is not told.
    let script = format!(
        "SSH_CONNECTION='198.51.100.7 51034 192.0.2.10 2222' sh -c 'env -i {} {NONCE} 0 capture {ADDRESS} </dev/null; :'",
        helper::PATH
    );
    let told = host.inside.sh(&script);
    let wanted = format!("|((host 192.0.2.32) and not (tcp port 2222 and host 192.0.2.10)){SIGNS}\n");
    assert!(told.contains(&wanted), "{told}");
    // What is no address there never comes near a filter.
    let scoped = script.replace("192.0.2.10 2222", "fe80::1%eth0 2222");
    assert!(host.inside.sh(&scoped).contains("not (tcp port 2222 and host fe80::1))"));
    let bent = script.replace("192.0.2.10 2222", "x;y 2222");
    assert!(host.inside.sh(&bent).contains(&format!("|((host 192.0.2.32) and not tcp port 22){SIGNS}\n")));
}

#[test]
fn what_is_no_address_or_has_no_tcpdump_is_refused() {
    let Some(host) = host() else { return };
    host.inside.sh(STUB);
    for bad in
        ["", "web1", "192.0.2", "192.0.2.1.", "1.2.3.4.5", "192.0.2.1-9", "::g", "a:b", "192..2.1", "+"]
    {
        let refused = host.call(&["0", "capture", bad], b"").expect("an answer");
        let holdpoint::host::frame::End::Refused(refusal) = refused.answer.end else { panic!("{bad}") };
        assert_eq!(refusal.code, RefusalCode::Usage, "{bad}");
    }
    host.inside.sh("rm -f /usr/sbin/tcpdump /usr/bin/tcpdump");
    assert_eq!(host.refused(&verb(&[ADDRESS]), 5), RefusalCode::NoTool);
}

#[test]
fn the_real_tcpdump_shows_who_was_asked_and_what_came() {
    let Some(host) = host() else { return };
    if host.inside.sh("command -v tcpdump || :").is_empty() {
        println!("skipped: tcpdump is not installed: apt-get install tcpdump");
        return;
    }
    host.inside.sh(&format!("ip addr add {ADDRESS}/32 dev lo; ip addr add 192.0.2.99/32 dev lo"));
    let running = Running::begin(&host, &verb(&[ADDRESS, "192.0.2.99"]));
    running.wait_for("it listens", |running| running.errors().contains("listening on any"));
    // Nobody listens there; the other port is not looked at.
    host.inside.sh(&format!(
        "bash -c 'exec 3<>/dev/tcp/{ADDRESS}/9' 2>/dev/null || :; bash -c 'exec 3<>/dev/tcp/{ADDRESS}/22' 2>/dev/null || :;
         bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>/dev/null || :"
    ));
    let all = |running: &Running| {
        let mut found = Vec::new();
        let told = running.told();
        let begun = told.windows(12).any(|here| here == b"stream pcap\n");
        if begun {
            let (_, bytes) = running.parts("pcap");
            let mut reader = Reader::default();
            reader
                .push(&bytes, |link, raw| found.push(frame(link, raw.length, raw.bytes)))
                .expect("a stream");
        }
        found
    };
    let is_sign = |what: What| matches!(what, What::Udp { dst, .. } if dst == SIGN);
    let packets = |running: &Running| -> Vec<_> {
        all(running).into_iter().filter(|frame| !is_sign(frame.seen.what)).collect()
    };
    running.wait_for("two packets", |running| packets(running).len() >= 2);
    // On a wire with nothing on it: signs of life, and counts that have them in.
    running.wait_for("two signs, and their counts", |running| {
        let came = all(running);
        let signs = came.iter().filter(|frame| is_sign(frame.seen.what)).count();
        let counted = running.errors().lines().filter_map(captured).max();
        signs >= 2 && counted.is_some_and(|counted| counted >= 4 && counted <= came.len() as u64)
    });
    // The signs are sent by nobody who listens: a host is compared with before, and that would differ.
    assert_eq!(host.inside.sh("ss -Hlun"), "", "nothing listens for UDP there");
    let ended = running.end();
    let found = packets(&ended);
    assert_eq!(found.len(), 2, "{found:?}");
    let server: SocketAddr = format!("{ADDRESS}:9").parse().expect("an end");
    let What::Tcp { dst, flags, src, .. } = found[0].seen.what else { panic!("{found:?}") };
    assert_eq!(
        (dst, flags, found[0].seen.way, found[0].interface),
        (server, TcpFlags(TcpFlags::SYN), Way::In, 1)
    );
    assert_eq!(src.ip(), ADDRESS.parse::<IpAddr>().expect("an address"));
    let What::Tcp { src, flags, .. } = found[1].seen.what else { panic!("{found:?}") };
    assert_eq!((src, flags.any(TcpFlags::RST)), (server, true));
    ended.wait_for("the counts", |running| running.errors().lines().any(|line| dropped(line) == Some(0)));
}
