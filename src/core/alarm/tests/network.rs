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
