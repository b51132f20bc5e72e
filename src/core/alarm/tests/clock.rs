//! The clock jumps, or the machine sleeps.

use super::*;

fn stepped(drive: &mut Drive, secs: i64) {
    drive.now += chrono::TimeDelta::seconds(secs);
    drive.add(Event::Window(WindowEvent::ClockStepped { by_ms: secs * 1_000 }));
    drive.follow();
}

/// What fails after the step counts from then on, not only once the clock has caught up.
#[test]
fn after_a_clock_that_is_set_back_lines_are_met_and_fire() {
    for counts in [false, true] {
        let mut drive = Drive::new("armed", LINE);
        drive.seen(if counts { 3 } else { 0 }, &["acme"]);
        stepped(&mut drive, -3_600);
        drive.told();
        drive.seen(3, &["acme"]);
        let met = drive.told().iter().any(|line| line.ends_with("met"));
        assert_eq!(met, !counts, "met after the step, or counted anew from there");
        drive.seen(32, &["acme"]);
        assert!(drive.told().iter().any(|line| line == "web1 abort line 1 fired"), "{counts}");
    }
}

/// Its host's timer counts by no clock: a bake that began anew would end in the host's own rollback.
#[test]
fn a_clock_that_is_set_back_makes_no_bake_longer() {
    let mut drive = Drive::new("armed", LINE);
    let baked = |drive: &Drive| {
        let batch =
            drive.state.batches.values().find(|batch| batch.verified_at.is_some()).expect("it is watched");
        drive.now.signed_duration_since(batch.verified_at.expect("verified"))
    };
    drive.seen(5, &[]);
    let before = baked(&drive);
    stepped(&mut drive, -3_600);
    assert_eq!(baked(&drive), before);
}

/// An own network that is gone and back is told by moments too; so is a host that is to be tried again.
#[test]
fn a_clock_that_is_set_back_keeps_nothing_waiting_until_it_has_caught_up() {
    let mut drive = Drive::new("armed", LINE);
    drive.lost(&["web1", "web2"]);
    drive.seen(12, &["acme", "globex", "hooli"]);
    drive.back(&["web1", "web2"]);
    drive.seen(1, &[]);
    let failure = Some(Failure::new(FailureKind::Unreachable, "gone"));
    drive.add(Event::Host(HostEvent::ReadEnded { host: name("web2"), started: 0, failure }));
    stepped(&mut drive, -3_600);
    drive.told();
    drive.seen(3, &["acme"]);
    assert_eq!(drive.told()[0], "web1 abort line 1 met");
    drive.now = drive.now + Span::secs(30);
    drive.follow();
    let under = Circumstances { now: drive.now, journal_sound: true };
    let reads = crate::core::rules::due(&drive.state, under);
    let web2 = |event: &Event| matches!(event, Event::Host(HostEvent::ReadStarted { host }) if host.as_str() == "web2");
    assert!(reads.iter().any(web2), "{reads:?}");
}

/// Errors in logs that were told in what is now to come are not the last minute's for an hour.
#[test]
fn errors_from_before_a_clock_was_set_back_grow_old() {
    let mut drive = Drive::new("armed", LINE);
    let logs = drive.state.logs.entry(name("web1")).or_default();
    logs.followed(fixture::opens());
    logs.counted(drive.now, 40, 0);
    stepped(&mut drive, -3_600);
    let errors = |after: u64| drive.state.logs[&name("web1")].errors_now(drive.now + Span::secs(after));
    assert_eq!((errors(61), errors(600)), (Some(0), Some(0)));
    // And those of ten minutes are not all of the last one.
    let mut drive = Drive::new("armed", LINE);
    let now = drive.now;
    let logs = drive.state.logs.entry(name("web1")).or_default();
    logs.followed(now - Span::mins(15));
    // Few are many here: there were none before the first change.
    logs.settle(now - Span::mins(12));
    (1..=40).rev().for_each(|n| logs.counted(now - Span::secs(15 * n), 1, 0));
    stepped(&mut drive, -900);
    let logs = &drive.state.logs[&name("web1")];
    assert!(!logs.many_errors(None, drive.now + Span::secs(30)), "{logs:?}");
    drive.state.logs.entry(name("web1")).or_default().followed(drive.now - Span::mins(2));
    assert_eq!(drive.state.logs[&name("web1")].errors_now(drive.now), Some(3));
}

/// The network takes seconds to come back after a sleep: what was silent just before it was not silent all through it.
#[test]
fn what_is_not_answered_right_after_a_sleep_is_no_outage() {
    let all = ["acme", "globex", "hooli"];
    // With another host that is looked at, and with none: then it may be met, and waits.
    for (line, alone) in [(LINE, false), ("", false), (LINE, true), ("", true)] {
        let mut drive = Drive::new("armed", line);
        drive.countdown(5);
        if alone {
            drive.alone();
        }
        drive.seen(1, &all);
        stepped(&mut drive, 600);
        for _ in 0..6 {
            drive.seen(1, &all);
            drive.no_evidence();
            assert!(!drive.takes_back(), "{line:?} {alone}");
        }
        let bad = if alone { "fired" } else { "met" };
        assert!(!drive.told().iter().any(|line| line.ends_with(bad)), "{line:?} {alone}");
    }
}

/// What met a line before a sleep was seen by the network of then: a countdown that begins anew is not over before it is
/// known whether there is one.
#[test]
fn what_was_met_before_a_sleep_fires_only_once_the_network_is_known_to_work() {
    let all = ["acme", "globex", "hooli"];
    for gone in [true, false] {
        let mut drive = Drive::new("armed", LINE);
        drive.countdown(5);
        drive.seen(3, &["acme"]);
        assert_eq!(drive.told()[0], "web1 abort line 1 met");
        stepped(&mut drive, 600);
        drive.no_evidence();
        // Short of what a lost connection takes to be missed.
        drive.seen(12, if gone { &all } else { &["acme"] });
        let fired = |drive: &mut Drive| drive.told().iter().any(|line| line == "web1 abort line 1 fired");
        assert_eq!(fired(&mut drive), !gone, "{gone}");
        drive.lost(&["web1", "web2"]);
        drive.seen(60, &all);
        assert!(!fired(&mut drive), "{gone}");
    }
}

/// A lid that was closed in a countdown: whoever opens it has the whole time to keep it.
#[test]
fn a_countdown_that_nobody_saw_begins_anew_in_full() {
    for secs in [5, 120] {
        let mut drive = Drive::new("armed", LINE);
        drive.seen(3, &["acme"]);
        drive.seen(25, &["acme"]);
        drive.told();
        stepped(&mut drive, secs);
        assert_eq!(drive.told(), ["web1 abort line 1 in 1m"], "{secs}");
        drive.seen(29, &["acme"]);
        assert_eq!(drive.told(), Vec::<String>::new());
        drive.seen(3, &["acme"]);
        assert!(drive.told().iter().any(|line| line == "web1 abort line 1 fired"));
    }
    // What was kept stays so.
    let mut drive = Drive::new("armed", LINE);
    drive.seen(3, &["acme"]);
    drive.ask(Intent::Keep { host: name("web1"), reason: "they move".into() });
    drive.told();
    stepped(&mut drive, 120);
    drive.seen(40, &["acme"]);
    assert_eq!(drive.told(), Vec::<String>::new());
}

#[test]
fn a_clock_that_is_set_back_lengthens_no_countdown() {
    let mut drive = Drive::new("armed", LINE);
    drive.seen(3, &["acme"]);
    drive.told();
    drive.now = drive.now - Span::secs(3_600);
    drive.follow();
    assert_eq!(drive.told(), ["web1 abort line 1 in 1m"]);
    drive.now = drive.now + Span::secs(60);
    drive.follow();
    assert_eq!(drive.told()[0], "web1 abort line 1 fired");
}
