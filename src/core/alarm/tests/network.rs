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
        drive.no_evidence();
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
    drive.baseline("local");
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
    // The first of these began while nothing had an answer: it does not count either.
    drive.seen(3, &["acme"]);
    assert_eq!(drive.told(), Vec::<String>::new());
    drive.seen(1, &["acme"]);
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

/// The way to the hosts and their customers is gone, a tunnel say, and what is reached by another way goes on: a control,
/// the baseline.
#[test]
fn a_way_to_the_hosts_that_is_gone_rolls_nothing_back_though_another_goes_on() {
    for (control, baseline) in [(true, false), (true, true), (false, true)] {
        for (line, countdown) in [(LINE, 0), (LINE, 8), (LINE, 60), ("", 60)] {
            let of = format!("control {control}, baseline {baseline}, {line:?} {countdown}");
            let mut drive = Drive::new("armed", &format!("{line}{CONTROL}"));
            let looked = |drive: &mut Drive, dark: &[&str]| {
                if control {
                    drive.controlled(1, true);
                }
                drive.seen(1, dark);
            };
            if baseline {
                drive.baseline("test1");
            }
            drive.countdown(countdown);
            for times in 0..60 {
                if times == 10 {
                    drive.lost(&["web1", "web2"]);
                }
                looked(&mut drive, &["acme", "globex", "hooli"]);
                drive.no_evidence();
                assert!(!drive.takes_back(), "{of}: after {times}");
            }
            // One of them is reached again, and all are served: nothing of what was seen until then counts.
            drive.back(&["web2"]);
            looked(&mut drive, &[]);
            let told = drive.told();
            assert!(!told.iter().any(|line| line.ends_with("fired")), "{of}: {told:?}");
            let lines = told.iter().filter(|line| line.ends_with("met") || line.ends_with("over")).count();
            assert_eq!(lines % 2, 0, "what was met is over: {of}: {told:?}");
            // It is back, and web1's customers are not.
            drive.back(&["web1"]);
            for _ in 0..60 {
                looked(&mut drive, &["acme"]);
            }
            let fired = drive.told().iter().any(|line| line.ends_with("fired"));
            assert_eq!((fired, drive.takes_back()), (!line.is_empty(), line.is_empty()), "{of}");
        }
    }
}

/// Hosts that answer again, if with nothing that can be read: what failed until then does not count.
#[test]
fn what_failed_until_a_host_answers_anything_meets_nothing() {
    let mut drive = Drive::new("armed", &format!("{LINE}{CONTROL}"));
    let look = |drive: &mut Drive, dark: &[&str]| {
        drive.controlled(1, true).seen(1, dark);
    };
    drive.lost(&["web1", "web2"]);
    (0..20).for_each(|_| look(&mut drive, &["acme", "globex", "hooli"]));
    for host in ["web1", "web2"] {
        let failure = Some(Failure::new(FailureKind::Busy, "another reading runs"));
        drive.add(Event::Host(HostEvent::ReadEnded { host: name(host), started: 0, failure }));
    }
    look(&mut drive, &[]);
    let met = |drive: &mut Drive| drive.told().iter().any(|line| line == "web1 abort line 1 met");
    assert!(!met(&mut drive));
    (0..5).for_each(|_| look(&mut drive, &["acme"]));
    assert!(met(&mut drive));
}

/// Work on the cockpit's own machine may take the network away: its customers are seen without it, and that counts at
/// once, however short the countdown is. Nothing of it is said of hosts that are reached by that network.
#[test]
fn customers_of_this_machine_count_without_a_network() {
    // Whose address is on no interface of the machine is seen by the network all the same (`here`).
    for (machine, here, control, line) in [
        (true, true, true, LINE),
        (true, true, false, LINE),
        (true, true, true, ""),
        (true, false, true, LINE),
        (true, false, true, ""),
        (false, true, true, LINE),
        (false, true, true, ""),
    ] {
        let local = machine && here;
        let of = format!("machine {machine}, here {here}, control {control}, {line:?}");
        let mut drive = Drive::new("armed", &format!("{line}{CONTROL}"));
        if machine {
            let plan = drive.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
            plan.hosts[0].ssh = "local".into();
            let own = plan.customers.iter_mut().filter(|customer| here && customer.host == name("web1"));
            own.for_each(|customer| customer.address = "127.0.0.9".parse().ok());
            assert!(drive.state.is_local(&name("web1")) && !drive.state.is_local(&name("web2")));
        }
        if control {
            drive.controlled(3, true);
        }
        drive.countdown(0);
        drive.lost(if machine { &["web2"] } else { &["web1", "web2"] });
        let mut taken = false;
        for _ in 0..5 {
            if control {
                drive.controlled(2, false);
            }
            drive.seen(1, &["acme", "globex", "hooli"]);
            drive.no_evidence();
            taken |= drive.takes_back();
        }
        let told = drive.told();
        let fired = told.iter().any(|line| line == "web1 abort line 1 fired");
        assert_eq!(fired || taken, local, "{of}: {told:?}");
        assert_eq!(told.iter().any(|line| line == "raised customer acme"), local, "{of}: {told:?}");
        let broken = verdict::judge(&drive.state, &id("acme"), drive.now).verdict;
        assert_eq!(broken == verdict::Verdict::VantageBroken, !local, "{of}");
    }
}

/// A host whose words can't be read, or that takes too long over a command, has answered by ssh all the same:
/// customers who fail are told of.
#[test]
fn a_host_that_answers_what_nobody_can_read_is_no_lost_network() {
    for kind in [FailureKind::Malformed, FailureKind::TimedOut] {
        let mut drive = Drive::new("armed", LINE);
        for host in ["web1", "web2"] {
            let failure = Some(Failure::new(kind, "no facts"));
            drive.add(Event::Host(HostEvent::ReadEnded { host: name(host), started: 0, failure }));
        }
        drive.seen(5, &["acme"]);
        assert!(drive.told().iter().any(|line| line == "web1 abort line 1 met"), "{kind:?}");
    }
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
