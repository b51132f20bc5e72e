//! The cockpit's own network goes, or works and sees everything fail.

use super::*;

/// A countdown may be over before lost connections are missed; nothing is rolled back by that.
#[test]
fn a_network_that_is_lost_rolls_nothing_back_however_short_the_countdown_is() {
    // With another host that is looked at, and with none: then ssh alone tells.
    for (countdown, alone) in [(0, false), (5, false), (60, false), (0, true), (5, true), (60, true)] {
        let mut drive = Drive::new("armed", LINE);
        let plan = drive.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.policy.countdown = Span::secs(countdown);
        if alone {
            plan.customers.retain(|customer| customer.name.as_str() != "hooli");
            drive.state.probes.remove(&id("hooli"));
        }
        drive.seen(4, &["acme", "globex", "hooli"]);
        // What would be waited for is over at once: it can't be asked.
        if let Some((started, _)) = drive.state.evidence.get(&name("web1")).and_then(|of| of.asked) {
            let result = Err(Failure::new(FailureKind::Unreachable, "gone"));
            drive.add(Event::Evidence(EvidenceEvent::Saved { host: name("web1"), started, result }));
        }
        drive.seen(5, &["acme", "globex", "hooli"]);
        for host in ["web1", "web2"] {
            drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
        }
        drive.seen(120, &["acme", "globex", "hooli"]);
        for host in ["web1", "web2"] {
            drive.add(Event::Host(HostEvent::Back { host: name(host) }));
        }
        drive.seen(20, &[]);
        let told = drive.told();
        assert!(!told.iter().any(|line| line.ends_with("fired")), "{countdown} {alone}: {told:?}");
        // It is about what is seen by a network that works: then it counts again.
        drive.seen(60, &["acme"]);
        assert!(drive.told().iter().any(|line| line.ends_with("fired")), "{countdown} {alone}");
    }
}

/// A probe that is made once a minute passed a moment before the network went: that tells nothing of now.
#[test]
fn what_passed_before_the_network_went_does_not_make_it_work() {
    let mut drive = Drive::new("armed", LINE);
    let slow = Arc::make_mut(drive.state.probes.get_mut(&id("globex")).expect("a probe"));
    (slow.probe.every, slow.probe.timeout) = (Span::secs(120), Span::secs(3));
    for host in ["web1", "web2"] {
        drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
    }
    for _ in 0..50 {
        drive.now = drive.now + Span::secs(2);
        for customer in ["acme", "hooli"] {
            let (probe, vantage, sighting) = (id(customer), Vantage::Cockpit, None);
            drive.add(Event::Probe(ProbeEvent::Seen { probe, vantage, outcome: no_answer(), sighting }));
        }
        drive.follow();
    }
    assert_eq!(drive.told(), ["raised the cockpit's own network"]);
}

/// The cockpit's own machine may be one of the hosts: that it answers says nothing of the network.
#[test]
fn this_machine_answering_is_no_network() {
    let mut drive = Drive::new("armed", LINE);
    let plan = drive.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
    plan.baseline = Some(crate::plan::Baseline { host: name("test1"), ssh: "local".into() });
    let mut test1 = drive.state.hosts[&name("web2")].as_ref().clone();
    test1.name = name("test1");
    drive.state.hosts.insert(name("test1"), Arc::new(test1));
    for host in ["web1", "web2"] {
        drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
    }
    drive.seen(60, &["acme", "globex", "hooli"]);
    assert_eq!(drive.told(), ["raised the cockpit's own network"]);
}

/// With nobody at the keys and no line agreed on, customers that fail are rolled back at once, unless it is
/// the cockpit that sees nothing.
#[test]
fn nobody_at_the_keys_rolls_back_for_a_network_that_is_lost() {
    let mut drive = Drive::new("armed", "");
    drive.seen(3, &["acme"]);
    let back = |drive: &Drive| matches!(pilot::next(&drive.state, drive.now), Some(Intent::Rollback { .. }));
    assert!(back(&drive), "others are served");
    let mut drive = Drive::new("armed", "");
    for times in 0..60 {
        if times == 8 {
            for host in ["web1", "web2"] {
                drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
            }
        }
        drive.seen(1, &["acme", "globex", "hooli"]);
        assert!(!back(&drive), "after {times}");
    }
}

#[test]
fn a_broken_vantage_is_one_alarm_and_no_outage() {
    let mut drive = Drive::new("armed", LINE);
    // Its connections are gone with it.
    for host in ["web1", "web2"] {
        drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
    }
    drive.seen(12, &["acme", "globex", "hooli"]);
    let raised = ["raised the cockpit's own network"];
    assert_eq!(drive.told(), raised);
    assert!(words(&Cause::Vantage(Vantage::Cockpit)).contains("own network"));
    for host in ["web1", "web2"] {
        drive.add(Event::Host(HostEvent::Back { host: name(host) }));
    }
    drive.seen(1, &[]);
    assert_eq!(drive.told(), ["cleared the cockpit's own network"]);
    // What failed meanwhile does not count; what fails from here on does.
    drive.seen(2, &["acme"]);
    assert_eq!(drive.told(), Vec::<String>::new());
    // An attempt that began while nothing had an answer does not count either.
    drive.seen(2, &["acme"]);
    assert_eq!(drive.told()[0], "web1 abort line 1 met");
    // Its connections take a while to be missed: until then nothing that is seen tells of an outage.
    let mut drive = Drive::new("armed", LINE);
    drive.seen(5, &["acme", "globex", "hooli"]);
    assert_eq!(drive.told(), Vec::<String>::new());
    for host in ["web1", "web2"] {
        drive.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
    }
    drive.seen(60, &["acme", "globex", "hooli"]);
    assert_eq!(drive.told(), ["raised the cockpit's own network"]);
}

/// A network that is gone for a few seconds is missed by nobody, and is no outage.
#[test]
fn a_short_break_of_the_cockpits_network_meets_nothing_and_ssh_that_goes_on_tells_that_it_works() {
    for times in 3..8 {
        let mut drive = Drive::new("armed", LINE);
        drive.seen(times, &["acme", "globex", "hooli"]);
        drive.seen(40, &[]);
        assert_eq!(drive.told(), Vec::<String>::new(), "{times}");
    }
    // All customers of all hosts, for longer than lost connections take to be missed.
    let mut drive = Drive::new("armed", LINE);
    drive.seen(20, &["acme", "globex", "hooli"]);
    assert_eq!(drive.told()[..2], ["web1 abort line 1 met", "web1 abort line 1 in 1m"]);
}

/// What somebody kept with a reason stays kept: a network that goes and comes back meets nothing anew.
#[test]
fn a_line_that_was_kept_stays_kept_through_a_network_that_goes() {
    let mut drive = Drive::new("armed", LINE);
    drive.seen(3, &["acme"]);
    drive.ask(Intent::Keep { host: name("web1"), reason: "the customer moves".into() });
    drive.told();
    drive.lost(&["web1", "web2"]);
    drive.seen(15, &["acme", "globex", "hooli"]);
    drive.back(&["web1", "web2"]);
    drive.seen(60, &["acme"]);
    let lines: Vec<_> = drive.told().into_iter().filter(|line| line.contains("line")).collect();
    assert_eq!(lines, Vec::<String>::new());
    // It is over once all pass, and met anew after that.
    drive.seen(5, &[]);
    assert!(drive.told().contains(&"web1 abort line 1 over".to_owned()));
    drive.seen(3, &["acme"]);
    assert!(drive.told().contains(&"web1 abort line 1 met".to_owned()));
}

/// Customers are served again before the first host is reached by ssh, which is tried once in a while: what
/// failed until then was seen by nobody who could tell why. With no other host to look at, too.
#[test]
fn what_failed_until_a_host_is_reached_again_meets_nothing() {
    for (lines, alone) in [(LINE, false), (LINE, true), ("", true)] {
        let mut drive = Drive::new("armed", lines);
        if alone {
            drive.alone();
        }
        drive.seen(8, &["acme", "globex", "hooli"]);
        drive.lost(&["web1", "web2"]);
        drive.seen(22, &["acme", "globex", "hooli"]);
        // With nobody else to look at it is met, and over once the hosts are missed.
        assert!(!drive.told().iter().any(|line| line.ends_with("fired")));
        let taken_back = |drive: &mut Drive| {
            let headless = matches!(pilot::next(&drive.state, drive.now), Some(Intent::Rollback { .. }));
            headless || drive.told().iter().any(|line| line.ends_with("met"))
        };
        for (nth, back) in [(0, None), (1, None), (2, Some("web2")), (3, Some("web1")), (4, None)] {
            back.into_iter().for_each(|host| drive.back(&[host]));
            drive.seen(1, &[]);
            assert!(!taken_back(&mut drive), "{lines} {alone}: {nth}");
        }
        // From there on it counts.
        drive.seen(8, &["acme"]);
        assert!(taken_back(&mut drive), "{lines} {alone}");
    }
}

const CONTROL: &str = "[[control]]\nprobe = \"https://status.example/\"\n";

/// One control that is down itself, while customers are served: that is no broken vantage.
#[test]
fn a_control_that_fails_alone_turns_nothing_off() {
    let mut drive = Drive::new("armed", &format!("{LINE}{CONTROL}"));
    drive.controlled(3, true);
    drive.controlled(10, false);
    assert_eq!(drive.told(), Vec::<String>::new());
    for _ in 0..3 {
        drive.seen(1, &["acme"]).controlled(1, false);
    }
    assert_eq!(drive.told(), ["web1 abort line 1 met", "web1 abort line 1 in 1m", "raised customer acme"]);
    // Nobody is served since the control fails: there it tells.
    let mut drive = Drive::new("armed", &format!("{LINE}{CONTROL}"));
    drive.controlled(3, true);
    for _ in 0..10 {
        drive.controlled(1, false).seen(1, &["acme", "globex", "hooli"]);
    }
    assert_eq!(drive.told(), ["raised the cockpit's own network"]);
}

/// What comes over ssh is told whatever is seen from outside.
#[test]
fn units_and_lost_hosts_alarm_while_the_vantage_is_broken() {
    let mut drive = Drive::new("armed", &format!("{LINE}{CONTROL}"));
    drive.controlled(3, true);
    let dark = |drive: &mut Drive, times: usize| {
        for _ in 0..times {
            drive.controlled(1, false).seen(1, &["acme", "globex", "hooli"]);
        }
        drive.told()
    };
    assert_eq!(dark(&mut drive, 5), ["raised the cockpit's own network"]);
    let unit: crate::types::UnitName = "nginx.service".parse().expect("a unit");
    let (at, fact) = (drive.now, Fact::Known(Services { failed: vec![unit] }));
    let host = Arc::make_mut(drive.state.hosts.get_mut(&name("web1")).expect("a host"));
    host.facts.services = Some(Aged { at, fact });
    assert_eq!(dark(&mut drive, 2), ["raised nginx.service on web1"]);
    drive.lost(&["web1"]);
    assert_eq!(dark(&mut drive, 12), ["raised host web1"], "web2 is reached");
    drive.lost(&["web2"]);
    assert_eq!(dark(&mut drive, 20), Vec::<String>::new(), "none is: that is the network's");
}

/// The way to the hosts and their customers is gone, a tunnel say, and a control that is reached by another way passes
/// all along.
#[test]
fn a_way_to_the_hosts_that_is_gone_rolls_nothing_back_though_a_control_passes() {
    let back = |drive: &Drive| matches!(pilot::next(&drive.state, drive.now), Some(Intent::Rollback { .. }));
    for (line, countdown) in [(LINE, 0), (LINE, 8), (LINE, 60), ("", 60)] {
        let mut drive = Drive::new("armed", &format!("{line}{CONTROL}"));
        let plan = drive.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.policy.countdown = Span::secs(countdown);
        for times in 0..60 {
            if times == 10 {
                drive.lost(&["web1", "web2"]);
            }
            drive.controlled(1, true).seen(1, &["acme", "globex", "hooli"]);
            assert!(!back(&drive), "{line} {countdown}: after {times}");
        }
        let told = drive.told();
        assert!(!told.iter().any(|line| line.ends_with("fired")), "{countdown}: {told:?}");
        // It is back, and web1's customers are not.
        drive.back(&["web1", "web2"]);
        for _ in 0..60 {
            drive.controlled(1, true).seen(1, &["acme"]);
        }
        let fired = drive.told().iter().any(|line| line.ends_with("fired"));
        assert_eq!((fired, back(&drive)), (!line.is_empty(), line.is_empty()), "{countdown}");
    }
}

/// A host whose words can't be read has answered all the same: customers who fail are told of.
#[test]
fn a_host_that_answers_what_nobody_can_read_is_no_lost_network() {
    let mut drive = Drive::new("armed", LINE);
    for host in ["web1", "web2"] {
        let failure = Some(Failure::new(FailureKind::Malformed, "no facts"));
        drive.add(Event::Host(HostEvent::ReadEnded { host: name(host), started: 0, failure }));
    }
    drive.seen(5, &["acme"]);
    assert!(drive.told().iter().any(|line| line == "web1 abort line 1 met"));
}

/// A host that is tried again and again is lost since it was, not since the last try.
#[test]
fn a_lost_host_that_is_tried_again_is_lost_as_long_as_before() {
    let mut drive = Drive::new("armed", LINE);
    drive.lost(&["web1"]);
    let since = drive.state.hosts[&name("web1")].reach.clone();
    for _ in 0..2 {
        drive.seen(15, &[]);
        let failure = Some(Failure::new(FailureKind::Unreachable, "no answer in 15s"));
        drive.add(Event::Host(HostEvent::ReadEnded { host: name("web1"), started: 0, failure }));
    }
    assert_eq!(drive.state.hosts[&name("web1")].reach, since);
}
