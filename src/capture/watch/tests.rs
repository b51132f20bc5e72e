use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::capture::SIGN;
use crate::capture::builder::*;
use crate::core::event::{Flow, ProbeId, TcpFlags, Vantage};

const S: u8 = TcpFlags::SYN;
const A: u8 = TcpFlags::ACK;
const SEC: u64 = 1_000_000_000;
/// The cockpit's clock as the capture begins, and by how much the host's is ahead.
const NOW: u64 = 1_700_000_000 * SEC;
const AHEAD: u64 = 3_600 * SEC;
const SERVER: &str = "192.0.2.32:443";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn watch() -> Watch {
    let mut watch = Watch::new("web1".parse().unwrap(), [at(SERVER).ip()]);
    let lines: [&[u8]; 1] = [b"2: eth0: <"];
    watch.begin(Interfaces::read(lines), Some(NOW + AHEAD), NOW);
    let head = stream(link::SLL2, false, true, &[]);
    watch.push(&head, NOW, |_, _| {}).unwrap();
    watch
}

/// A packet of one side, at a moment of the cockpit's clock, into the stream.
fn sees(watch: &mut Watch, moment: u64, src: &str, dst: &str, flags: u8) {
    let way = if dst == SERVER { 0 } else { 4 };
    let seq = if way == 0 { (moment / SEC) as u32 } else { 900 };
    let packet = tcp_packet(at(src), at(dst), flags, seq, if flags & A != 0 { 901 } else { 0 }, &[]);
    let bytes = stream(link::SLL2, false, true, &[(moment + AHEAD, sll2(2, way, 0x0800, &packet))]);
    watch.push(&bytes[24..], moment, |_, _| {}).unwrap();
}

/// A sign of life: the helper's datagram, and tcpdump's counts after it.
fn lives(watch: &mut Watch, moment: u64) {
    let packet = udp_packet(at("127.0.0.1:40009"), SIGN, &[]);
    let bytes = stream(link::SLL2, false, true, &[(moment + AHEAD, sll2(1, 0, 0x0800, &packet))]);
    watch.push(&bytes[24..], moment, |_, _| panic!("a sign is nobody's packet")).unwrap();
    counts(watch, moment);
}

/// tcpdump has counted what has come in.
fn counts(watch: &mut Watch, moment: u64) {
    watch.counted(Some(watch.life.count()), watch.dropped, moment);
}

fn attempt(local: &str, began: u64, ended: u64) -> Attempted {
    Attempted {
        probe: ProbeId { customer: "globex".parse().unwrap(), index: 0 },
        vantage: Vantage::Cockpit,
        local: at(local),
        peer: at(SERVER),
        udp: false,
        began,
        ended,
        at: time(ended),
    }
}

/// What is matched by then, where the capture has shown that it lives just before.
fn matched(watch: &mut Watch, now: u64) -> Vec<Flow> {
    lives(watch, now);
    silent(watch, now)
}

/// The same, where it has shown nothing.
fn silent(watch: &mut Watch, now: u64) -> Vec<Flow> {
    let events = watch.found(now).events;
    let flow = |event| match event {
        PacketEvent::Matched { flow, .. } => Some(*flow),
        _ => None,
    };
    events.into_iter().filter_map(flow).collect()
}

#[test]
fn an_attempt_is_found_by_its_own_port_a_second_after_its_end() {
    let mut watch = watch();
    let began = NOW + 10 * SEC;
    sees(&mut watch, began, "198.51.100.7:51034", SERVER, S);
    sees(&mut watch, began, "198.51.100.8:51035", SERVER, S);
    watch.attempted(attempt("198.51.100.7:51034", began, began + 3 * SEC));
    assert_eq!(matched(&mut watch, began + 3 * SEC), []);
    let found = matched(&mut watch, began + 4 * SEC);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].asked, found[0].granted, found[0].by_time), (1, 0, false));
    assert_eq!(found[0].came_by, Some("eth0".parse().unwrap()));
    assert_eq!(matched(&mut watch, began + 9 * SEC), [], "once");
}

#[test]
fn nothing_there_is_said_only_where_the_capture_ran_all_the_while() {
    let direct = |watch: &mut Watch| {
        sees(watch, NOW + SEC, "198.51.100.7:50000", SERVER, S);
        watch.attempted(attempt("198.51.100.7:50000", NOW + SEC, NOW + SEC));
        assert_eq!(matched(watch, NOW + 3 * SEC).len(), 1);
    };
    let (began, ended) = (NOW + 10 * SEC, NOW + 13 * SEC);
    let lost = || attempt("198.51.100.7:51034", began, ended);
    let mut whole = watch();
    direct(&mut whole);
    whole.attempted(lost());
    assert_eq!(matched(&mut whole, ended + SEC), [Flow::default()]);
    type Bend = fn(&mut Watch);
    let bends: [(&str, Bend); 3] = [
        ("the kernel dropped some", |watch| watch.counted(None, 3, NOW + 11 * SEC)),
        ("it was lost", Watch::end),
        ("it was lost and is back", |watch| {
            watch.end();
            watch.begin(Interfaces::default(), None, NOW + 12 * SEC);
        }),
    ];
    for (what, bend) in bends {
        let mut watch = watch();
        direct(&mut watch);
        bend(&mut watch);
        watch.attempted(lost());
        if watch.reader.link().is_none() {
            watch.push(&stream(link::SLL2, false, true, &[]), NOW + 12 * SEC, |_, _| {}).unwrap();
        }
        assert_eq!(matched(&mut watch, ended + SEC), [], "{what}");
        assert_eq!(matched(&mut watch, ended + 20 * SEC), [], "{what}");
    }
}

#[test]
fn a_capture_that_lags_is_waited_for() {
    let mut watch = watch();
    let (began, ended) = (NOW + 10 * SEC, NOW + 13 * SEC);
    watch.attempted(attempt("198.51.100.7:51034", began, ended));
    // Bytes come all the time, and they are old.
    let old = |watch: &mut Watch, now: u64| {
        let packet = sll2(2, 0, 0x0800, &tcp_packet(at("203.0.113.9:9"), at(SERVER), A, 1, 1, &[]));
        let bytes = stream(link::SLL2, false, true, &[(NOW + 9 * SEC + AHEAD, packet)]);
        watch.push(&bytes[24..], now, |_, _| {}).unwrap();
    };
    for n in 1..40 {
        old(&mut watch, ended + n * SEC);
        counts(&mut watch, ended + n * SEC);
        assert_eq!(silent(&mut watch, ended + n * SEC), []);
    }
    sees(&mut watch, began + 1, "198.51.100.7:51034", SERVER, S);
    assert_eq!(matched(&mut watch, ended + 41 * SEC).len(), 1);
}

#[test]
fn nothing_is_told_of_an_attempt_before_a_sign_of_life_from_after_its_end() {
    let (began, ended) = (NOW + 10 * SEC, NOW + 13 * SEC);
    let lost = || attempt("198.51.100.7:51034", began, ended);
    let none = [Flow { by_time: true, ..Flow::default() }];
    // Nothing at all has come: that is no silence on the wire.
    let mut watch = watch();
    watch.attempted(lost());
    for n in 1..30 {
        assert_eq!(silent(&mut watch, ended + n * SEC), [], "{n} s");
    }
    // A packet from later, of whomever, and nobody has counted what was dropped.
    sees(&mut watch, ended + 30 * SEC, "203.0.113.9:9", "192.0.2.32:443", A);
    assert_eq!(silent(&mut watch, ended + 31 * SEC), []);
    // The counts are of before that packet.
    watch.counted(Some(0), 0, ended + 31 * SEC);
    assert_eq!(silent(&mut watch, ended + 31 * SEC), []);
    watch.counted(Some(1), 0, ended + 32 * SEC);
    assert_eq!(silent(&mut watch, ended + 32 * SEC).len(), 1);
    // The sign was under way for long: it is from before the end.
    watch.attempted(attempt("198.51.100.7:51035", began + 60 * SEC, ended + 60 * SEC));
    let packet = sll2(1, 0, 0x0800, &udp_packet(at("127.0.0.1:40009"), SIGN, &[]));
    let sign = stream(link::SLL2, false, true, &[(ended + 59 * SEC + AHEAD, packet)]);
    watch.push(&sign[24..], ended + 75 * SEC, |_, _| {}).unwrap();
    counts(&mut watch, ended + 75 * SEC);
    assert_eq!(silent(&mut watch, ended + 75 * SEC), []);
    assert_eq!(matched(&mut watch, ended + 76 * SEC), none);
    // What was dropped in between may have been it.
    watch.attempted(attempt("198.51.100.7:51036", began + 90 * SEC, ended + 90 * SEC));
    watch.counted(None, 1, ended + 92 * SEC);
    assert_eq!(matched(&mut watch, ended + 93 * SEC), []);
    // And it is not waited for without end.
    watch.attempted(attempt("198.51.100.7:51037", began + 100 * SEC, ended + 100 * SEC));
    assert_eq!(silent(&mut watch, ended + 170 * SEC), []);
    assert_eq!(matched(&mut watch, ended + 171 * SEC), []);
}

#[test]
fn the_clock_is_told_best_by_what_came_quickest() {
    let mut watch = Watch::new("web1".parse().unwrap(), [at(SERVER).ip()]);
    // What the host said of its clock was under way for four seconds.
    watch.begin(Interfaces::default(), Some(NOW + AHEAD - 4 * SEC), NOW);
    watch.push(&stream(link::SLL2, false, true, &[]), NOW, |_, _| {}).unwrap();
    watch.attempted(attempt("198.51.100.7:51034", NOW + 6 * SEC, NOW + 8 * SEC));
    // From before the attempt's end, and not late: by that clock it would be from after it.
    lives(&mut watch, NOW + 6 * SEC);
    assert_eq!(silent(&mut watch, NOW + 10 * SEC), []);
    assert_eq!(matched(&mut watch, NOW + 11 * SEC).len(), 1);
    // A host that tells nothing of its clock: the packets do.
    let mut watch = Watch::new("web1".parse().unwrap(), [at(SERVER).ip()]);
    watch.begin(Interfaces::default(), None, NOW);
    watch.push(&stream(link::SLL2, false, true, &[]), NOW, |_, _| {}).unwrap();
    lives(&mut watch, NOW + SEC);
    assert_eq!(watch.offset(), i64::try_from(AHEAD).unwrap());
}

#[test]
fn behind_a_translated_address_it_is_found_by_address_and_time_and_said_so() {
    let mut watch = watch();
    let began = NOW + 10 * SEC;
    // The vantage's port is 51034; what comes to the host is another.
    sees(&mut watch, began, "203.0.113.1:1025", SERVER, S);
    sees(&mut watch, began, SERVER, "203.0.113.1:1025", S | A);
    watch.attempted(attempt("10.0.0.5:51034", began, began + SEC / 10));
    let found = matched(&mut watch, began + 2 * SEC);
    assert_eq!((found[0].asked, found[0].granted, found[0].by_time), (1, 1, true));
    // Nothing to that address from anyone: that is known, in the weaker form.
    watch.attempted(attempt("10.0.0.5:51035", began + 20 * SEC, began + 23 * SEC));
    assert_eq!(matched(&mut watch, began + 25 * SEC), [Flow { by_time: true, ..Flow::default() }]);
    // Where the ports were once seen as they are, nobody else's packets are taken for its own.
    sees(&mut watch, began + 30 * SEC, "10.0.0.5:51036", SERVER, S);
    watch.attempted(attempt("10.0.0.5:51036", began + 30 * SEC, began + 30 * SEC));
    assert!(!matched(&mut watch, began + 32 * SEC)[0].by_time);
    sees(&mut watch, began + 40 * SEC, "203.0.113.1:1026", SERVER, S);
    watch.attempted(attempt("10.0.0.5:51037", began + 40 * SEC, began + 43 * SEC));
    assert_eq!(matched(&mut watch, began + 45 * SEC), [Flow::default()]);
}

/// What somebody else's attempt was taken for by time stays its owner's: the cockpit's own is never said to be
/// missing for that.
#[test]
fn what_was_taken_by_time_is_found_by_its_own_port_all_the_same() {
    let mut watch = watch();
    let began = NOW + 10 * SEC;
    // The cockpit's ports come as they are.
    sees(&mut watch, began, "198.51.100.7:51000", SERVER, S);
    watch.attempted(attempt("198.51.100.7:51000", began, began + SEC));
    assert!(!matched(&mut watch, began + 3 * SEC)[0].by_time);
    // A peer behind a translated address is done with before the cockpit's attempt is.
    sees(&mut watch, began + 20 * SEC, "198.51.100.7:51001", SERVER, S);
    let peer = Vantage::Peer("web2".parse().unwrap());
    let other = attempt("10.0.0.5:40000", began + 20 * SEC, began + 21 * SEC);
    watch.attempted(Attempted { vantage: peer, ..other });
    watch.attempted(attempt("198.51.100.7:51001", began + 20 * SEC, began + 23 * SEC));
    let found = matched(&mut watch, began + 22 * SEC);
    assert_eq!((found.len(), found[0].asked, found[0].by_time), (1, 1, true));
    let found = matched(&mut watch, began + 24 * SEC);
    assert_eq!((found.len(), found[0].asked, found[0].by_time), (1, 1, false));
}

#[test]
fn a_name_that_was_asked_for_again_over_tcp_is_found_there() {
    let mut watch = watch();
    let began = NOW + 10 * SEC;
    sees(&mut watch, began, "198.51.100.7:51034", SERVER, S);
    watch.attempted(Attempted { udp: true, ..attempt("198.51.100.7:51034", began, began + SEC) });
    let found = matched(&mut watch, began + 3 * SEC);
    assert_eq!((found.len(), found[0].asked, found[0].by_time), (1, 1, false));
}

#[test]
fn rows_are_few_and_the_rest_counted_and_tallies_come_every_five_seconds() {
    let mut watch = watch();
    for n in 0..40 {
        sees(&mut watch, NOW + SEC + n, "198.51.100.7:51034", SERVER, A);
    }
    let found = watch.found(NOW + 2 * SEC);
    assert_eq!((found.rows.len() as u64 + found.left_out, found.events.len()), (40, 0));
    let row = &found.rows[0];
    assert_eq!(
        (row.host.as_str(), row.by.as_ref().map(ToString::to_string)),
        ("web1", Some("eth0".to_owned()))
    );
    assert_eq!((row.sign(), row.seen.length), ('<', 40));
    watch.counted(Some(40), 7, NOW + 3 * SEC);
    watch.counted(Some(40), 9, NOW + 4 * SEC);
    let events = watch.found(NOW + 5 * SEC).events;
    let [PacketEvent::Tallied { over, tallies, dropped, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((over.as_ms(), tallies.len(), tallies[0].came, *dropped), (5_000, 1, 40, 9));
    // Also where nothing passed by; but not where nobody looks.
    let quiet = watch.found(NOW + 10 * SEC).events;
    assert!(
        matches!(quiet.as_slice(), [PacketEvent::Tallied { tallies, dropped: 0, whole: None, .. }] if tallies.is_empty())
    );
    // How far it is known: from the drops on, until the sign.
    lives(&mut watch, NOW + 14 * SEC);
    let events = watch.found(NOW + 15 * SEC).events;
    let [PacketEvent::Tallied { whole: Some(Whole { since, until }), .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((*since, *until), (time(NOW + 4 * SEC), time(NOW + 14 * SEC)));
    watch.end();
    assert_eq!(watch.found(NOW + 20 * SEC), Found::default());
}

proptest! {
    #[test]
    fn any_stream_and_any_attempts_end_well(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..12),
        ports in prop::collection::vec((any::<u16>(), any::<u32>(), any::<u32>()), 0..6),
        clock in any::<Option<u64>>(),
    ) {
        let mut watch = watch();
        watch.begin(Interfaces::default(), clock, NOW);
        let head = stream(link::SLL2, false, true, &[]);
        let mut at = NOW;
        let _ = watch.push(&head, at, |_, _| {});
        for piece in &pieces {
            at += SEC;
            // As packets, so that not all is out of step at once.
            let bytes = stream(link::SLL2, false, true, &[(at, piece.clone())]);
            let _ = watch.push(&bytes[24..], at, |_, _| {});
            let _ = watch.push(piece, at, |_, _| {});
        }
        for (port, began, took) in ports {
            let began = NOW + u64::from(began);
            watch.attempted(attempt(&format!("0.0.0.0:{port}"), began, began + u64::from(took)));
            let found = watch.found(at + 30 * SEC);
            prop_assert!(found.rows.len() < 100);
        }
    }
}

/// A host's clock that is set back, as timesyncd does after a boot: what arrives afterwards is found.
#[test]
fn a_clock_that_is_set_back_hides_nothing_that_comes_after_it() {
    let mut watch = watch();
    let own = "198.51.100.7:51034";
    sees(&mut watch, NOW + SEC, own, SERVER, S);
    watch.attempted(attempt(own, NOW + SEC, NOW + SEC));
    assert_eq!(matched(&mut watch, NOW + 3 * SEC)[0].asked, 1);
    // From here on the host's clock is five seconds behind what it was.
    let set_back = |watch: &mut Watch, moment: u64, port: u16| {
        let packet = tcp_packet(at(&format!("198.51.100.7:{port}")), at(SERVER), S, u32::from(port), 0, &[]);
        let frame = sll2(2, 0, 0x0800, &packet);
        let bytes = stream(link::SLL2, false, true, &[(moment + AHEAD - 5 * SEC, frame)]);
        watch.push(&bytes[24..], moment, |_, _| {}).unwrap();
        counts(watch, moment);
    };
    let began = NOW + 10 * SEC;
    set_back(&mut watch, began - 6 * SEC, 40_000);
    set_back(&mut watch, began, 51_035);
    set_back(&mut watch, began + 2 * SEC, 40_001);
    // One that went on as it was set is not said to be missing, and one that came is found.
    watch.attempted(attempt("198.51.100.7:51040", NOW + SEC, NOW + 5 * SEC));
    watch.attempted(attempt("198.51.100.7:51035", began, began + SEC / 2));
    let found = silent(&mut watch, began + 3 * SEC);
    assert_eq!(found.iter().map(|flow| (flow.asked, flow.by_time)).collect::<Vec<_>>(), [(1, false)]);
    assert_eq!(watch.offset(), i64::try_from(AHEAD - 5 * SEC).unwrap());
}

/// Anybody may come from the port that an attempt has: that is no attempt's own, and tells nothing of its vantage.
#[test]
fn a_stranger_with_the_same_port_is_not_taken_for_the_probe() {
    let mut watch = watch();
    let began = |n: u64| NOW + 10 * n * SEC;
    sees(&mut watch, began(1), "203.0.113.9:51034", SERVER, S);
    watch.attempted(attempt("198.51.100.7:51034", began(1), began(1) + 3 * SEC));
    let found = matched(&mut watch, began(1) + 5 * SEC);
    assert_eq!((found.len(), found[0].asked, found[0].by_time), (1, 1, true));
    watch.attempted(attempt("198.51.100.7:51035", began(2), began(2) + 3 * SEC));
    assert!(matched(&mut watch, began(2) + 5 * SEC)[0].by_time, "its own ports were never seen");
    // It comes under its own address, beside a stranger.
    sees(&mut watch, began(3), "203.0.113.8:51036", SERVER, S);
    sees(&mut watch, began(3), "198.51.100.7:51036", SERVER, S);
    sees(&mut watch, began(3), SERVER, "198.51.100.7:51036", S | A);
    watch.attempted(attempt("198.51.100.7:51036", began(3), began(3) + SEC));
    let found = matched(&mut watch, began(3) + 3 * SEC);
    assert_eq!((found[0].granted, found[0].by_time), (1, false));
    // Under a translated address whose ports stay what they are: twice is no chance.
    let mut watch = self::watch();
    for (n, by_time) in [(1, true), (2, true), (3, false)] {
        sees(&mut watch, began(n), &format!("203.0.113.1:{}", 51_000 + n), SERVER, S);
        watch.attempted(attempt(&format!("10.0.0.5:{}", 51_000 + n), began(n), began(n) + SEC));
        let found = matched(&mut watch, began(n) + 3 * SEC);
        assert_eq!((found[0].asked, found[0].by_time), (1, by_time), "{n}");
    }
}

/// The cockpit's ports come as they are, and the host's clock is set by less than shows, or forward: of what came
/// nothing is said to be missing, and what is missing later is said again.
#[test]
fn a_clock_that_is_set_a_little_makes_nothing_missing() {
    for by in [-2_300_i64, -900, 900, 30_000] {
        let mut watch = watch();
        let began = |n: u64| NOW + n * 10 * SEC;
        sees(&mut watch, began(1), "198.51.100.7:51000", SERVER, S);
        watch.attempted(attempt("198.51.100.7:51000", began(1), began(1) + SEC));
        assert!(!matched(&mut watch, began(1) + 3 * SEC)[0].by_time);
        // One comes in before the clock is set and is looked for after that; one begins then and does not come.
        let late = began(2) - SEC / 2;
        sees(&mut watch, late, "198.51.100.7:51001", SERVER, S);
        watch.attempted(attempt("198.51.100.7:51001", late, late + SEC / 4));
        watch.attempted(attempt("198.51.100.7:51009", late, late + 3 * SEC));
        let host = |moment: u64| (moment + AHEAD).saturating_add_signed(by * 1_000_000);
        let set = |watch: &mut Watch, moment: u64, src: &str, dst: SocketAddr| {
            let frame = match dst == SIGN {
                true => sll2(1, 0, 0x0800, &udp_packet(at(src), dst, &[])),
                false => sll2(2, 0, 0x0800, &tcp_packet(at(src), dst, S, 77, 0, &[])),
            };
            let bytes = stream(link::SLL2, false, true, &[(host(moment), frame)]);
            watch.push(&bytes[24..], moment, |_, _| {}).unwrap();
            counts(watch, moment);
        };
        let came = began(2) + 2 * SEC + SEC / 2;
        set(&mut watch, came, "198.51.100.7:51002", at(SERVER));
        watch.attempted(attempt("198.51.100.7:51002", came, came + SEC));
        let mut found = Vec::new();
        for n in 0..20 {
            let moment = came + n * SEC / 2;
            set(&mut watch, moment, "127.0.0.1:40009", SIGN);
            found.extend(silent(&mut watch, moment));
        }
        let missing = |found: &[Flow]| found.iter().filter(|flow| flow.asked == 0).count();
        // That which did not come was under way as the clock was set: said where that does not show in the clock alone.
        let lost = usize::from(by < 0);
        assert_eq!((found.len(), missing(&found)), (2 + lost, lost), "{by} ms: {found:?}");
        let (began, ended) = (began(4), began(4) + 3 * SEC);
        watch.attempted(attempt("198.51.100.7:51003", began, ended));
        set(&mut watch, ended + 4 * SEC, "127.0.0.1:40009", SIGN);
        assert_eq!(silent(&mut watch, ended + 4 * SEC), [Flow::default()], "{by} ms");
    }
}

/// Set here, or after a sleep: what was under way then is not said to be missing.
#[test]
fn what_was_under_way_as_this_machines_clock_was_set_is_not_said_to_be_missing() {
    for steps in [false, true] {
        let mut watch = watch();
        let began = NOW + 10 * SEC;
        sees(&mut watch, began, "198.51.100.7:51000", SERVER, S);
        watch.attempted(attempt("198.51.100.7:51000", began, began + SEC));
        assert_eq!(matched(&mut watch, began + 3 * SEC).len(), 1);
        watch.attempted(attempt("198.51.100.7:51001", began + 10 * SEC, began + 13 * SEC));
        if steps {
            watch.stepped(began + 11 * SEC);
        }
        let missing = if steps { vec![] } else { vec![Flow::default()] };
        assert_eq!(matched(&mut watch, began + 15 * SEC), missing);
    }
}
