//! Alarms and lines, driven as the loop does it: what was seen goes in, what is due follows.

mod clock;
mod logs;
mod network;

use std::sync::Arc;

use super::*;
use crate::core::decide::{Circumstances, advance, decide};
use crate::core::event::{
    Actor, AlarmEvent as E, BatchEvent, EvidenceEvent, Failure, FailureKind, HelperState, HostEvent, Line,
    LogEvent, LogSource, ProbeEvent, Record, WindowEvent,
};
use crate::core::{Command, Input, Intent, confirm, fixture, pilot};
use crate::facts::{Aged, Fact, Facts, Services};
use crate::types::HostName;

struct Drive {
    state: State,
    now: Time,
    /// What was decided about alarms, in short.
    told: Vec<String>,
    sound: bool,
}

fn name(text: &str) -> HostName {
    text.parse().expect("a host")
}

fn id(customer: &str) -> ProbeId {
    ProbeId { customer: customer.parse().expect("a name"), index: 0 }
}

fn ok() -> ProbeOutcome {
    ProbeOutcome::Ok { took: Span::ms(9), said: "open".into() }
}

fn no_answer() -> ProbeOutcome {
    ProbeOutcome::fail(crate::core::event::FailKind::NoAnswer, "no answer in 3s")
}

fn batch_id() -> crate::types::BatchId {
    "b1".parse().expect("an id")
}

const LINE: &str = "[[abort]]\nprobes = \"required\"\nfrom = \"outside\"\nfails = \"3 of 5\"\n";

impl Drive {
    /// A window of an hour: web1 serves acme and globex, web2 serves hooli; all pass for a minute, then a
    /// batch of web1 is applied and verified, and ten seconds pass.
    fn new(auto: &str, lines: &str) -> Self {
        let mut text =
            format!("[policy]\nauto_rollback = \"{auto}\"\ncountdown = \"60s\"\nbake = \"30s\"\n{lines}");
        for (customer, host, weight) in [("acme", "web1", 400), ("globex", "web1", 20), ("hooli", "web2", 7)]
        {
            text += &format!(
                "[[customer]]\nname = \"{customer}\"\nhost = \"{host}\"\nweight = {weight}\naddress = \"192.0.2.{weight}\"\nprobes = [\"tcp:443\"]\n"
            )
            .replace("192.0.2.400", "192.0.2.40");
        }
        let now = fixture::opens();
        let mut drive = Self { state: State::default(), now, told: Vec::new(), sound: true };
        let plan = Box::new(fixture::plan(1, &["web1", "web2"], &text));
        let purpose = Purpose::Run;
        drive.add(Event::Window(WindowEvent::Opened {
            purpose,
            plan,
            rehearsal: None,
            program: "test".into(),
        }));
        for host in ["web1", "web2"] {
            let helper = HelperState { enrolled: true, why_not: None, epoch: 1 };
            drive.add(Event::Host(HostEvent::Greeted { host: name(host), helper }));
            drive.add(Event::Host(HostEvent::ReadEnded { host: name(host), started: 0, failure: None }));
        }
        drive.seen(20, &[]);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.applied_as = 1;
        batch.apply_started = Some(drive.now);
        (batch.disturbed, batch.verified_at) = (Some(drive.now), Some(drive.now));
        batch.before = Some(Box::new(Facts {
            services: Some(Aged { at: drive.now, fact: Fact::Known(Services::default()) }),
            ..Facts::default()
        }));
        batch.enter(Phase::Verified, drive.now);
        drive.state.plan_batch(batch);
        drive.state.freeze_normal(&"web1".parse().expect("a host"));
        drive.seen(5, &[]);
        drive.told.clear();
        drive
    }

    fn add(&mut self, event: Event) {
        if let Event::Alarm(event) = &event {
            self.told.push(match event {
                E::Raised { cause, .. } => format!("raised {}", words(cause)),
                E::Acknowledged { cause } => format!("acknowledged {}", words(cause)),
                E::Cleared { cause } => format!("cleared {}", words(cause)),
                E::LineMet { host, line, .. } => format!("{host} {} met", line.word()),
                E::CountdownStarted { host, line, until } => {
                    format!("{host} {} in {}", line.word(), Span::between(self.now, *until))
                }
                E::Kept { host, line, .. } => format!("{host} {} kept", line.word()),
                E::Fired { host, line } => format!("{host} {} fired", line.word()),
                E::LineOver { host, line } => format!("{host} {} over", line.word()),
            });
        }
        if let Event::Batch(BatchEvent::RollbackQueued { batch, .. }) = &event {
            self.told.push(format!("queued {batch}"));
        }
        let (seq, actor, session) = (self.state.seq + 1, Actor::Holdpoint, "test".to_owned());
        self.state.apply(&Record { seq, at: self.now, actor, session, epoch: 1, event });
    }

    fn follow(&mut self) {
        for _ in 0..100 {
            let under = Circumstances { now: self.now, journal_sound: self.sound };
            // The alarms' part alone: hosts are not here to answer.
            let events = due(&self.state, under.now);
            if events.is_empty() {
                return;
            }
            events.into_iter().for_each(|event| self.add(event));
        }
        panic!("a rule feeds itself: {:?}", self.told);
    }

    fn ask(&mut self, intent: Intent) {
        let under = Circumstances { now: self.now, journal_sound: self.sound };
        let command = Input::Command(Command { actor: Actor::Holdpoint, intent });
        decide(&self.state, &command, under).events.into_iter().for_each(|event| self.add(event));
        self.follow();
    }

    /// So many attempts of every probe, two seconds apart; those of these customers fail.
    fn seen(&mut self, times: usize, dark: &[&str]) -> &mut Self {
        for _ in 0..times {
            self.now = self.now + Span::secs(2);
            for customer in ["acme", "globex", "hooli"] {
                let outcome = if dark.contains(&customer) { no_answer() } else { ok() };
                let (probe, vantage, sighting) = (id(customer), Vantage::Cockpit, None);
                self.add(Event::Probe(ProbeEvent::Seen { probe, vantage, outcome, sighting }));
            }
            self.follow();
        }
        self
    }

    /// So many attempts of the control, half a second apart.
    fn controlled(&mut self, times: usize, passes: bool) -> &mut Self {
        for _ in 0..times {
            self.now = self.now + Span::ms(500);
            let outcome = if passes { ok() } else { no_answer() };
            self.add(Event::Probe(ProbeEvent::ControlSeen { index: 0, vantage: Vantage::Cockpit, outcome }));
            self.follow();
        }
        self
    }

    fn lost(&mut self, hosts: &[&str]) {
        for host in hosts {
            self.add(Event::Host(HostEvent::Lost { host: name(host), why: "no answer in 15s".into() }));
        }
    }

    fn back(&mut self, hosts: &[&str]) {
        for host in hosts {
            self.add(Event::Host(HostEvent::Back { host: name(host) }));
        }
    }

    /// A baseline that is reached so; `local` is this machine.
    fn baseline(&mut self, ssh: &str) {
        let plan = self.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.baseline = Some(crate::plan::Baseline { host: name("test1"), ssh: ssh.into() });
        let mut test1 = self.state.hosts[&name("web2")].as_ref().clone();
        (test1.name, test1.baseline) = (name("test1"), true);
        self.state.hosts.insert(name("test1"), Arc::new(test1));
    }

    fn countdown(&mut self, secs: u64) {
        let plan = self.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.policy.countdown = Span::secs(secs);
    }

    /// Evidence of web1 that was asked for can't be had: nobody waits for it.
    fn no_evidence(&mut self) {
        if let Some((started, _)) = self.state.evidence.get(&name("web1")).and_then(|of| of.asked) {
            let result = Err(Failure::new(FailureKind::Unreachable, "gone"));
            self.add(Event::Evidence(EvidenceEvent::Saved { host: name("web1"), started, result }));
        }
    }

    /// Whether nobody at the keys would take something back now.
    fn takes_back(&self) -> bool {
        matches!(pilot::next(&self.state, self.now), Some(Intent::Rollback { .. }))
    }

    /// Nobody but web1's customers is looked at.
    fn alone(&mut self) {
        let plan = self.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.customers.retain(|customer| customer.name.as_str() != "hooli");
        self.state.probes.remove(&id("hooli"));
    }

    fn batch(&mut self, change: impl FnOnce(&mut Batch)) {
        let mut batch = self.state.batches.get(&batch_id()).expect("a batch").as_ref().clone();
        change(&mut batch);
        self.state.plan_batch(batch);
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn a_line_that_is_met_counts_down_and_rolls_back_once() {
    let mut drive = Drive::new("armed", LINE);
    drive.seen(2, &["globex"]);
    assert_eq!(drive.told(), Vec::<String>::new(), "two of five are none");
    drive.seen(1, &["globex"]);
    assert_eq!(drive.told(), ["web1 abort line 1 met", "web1 abort line 1 in 1m", "raised customer globex"]);
    let batch = drive.state.batches.get(&batch_id()).expect("a batch").clone();
    assert!(confirm::by_word(&drive.state, &batch, drive.now + Span::secs(40)).is_err());
    assert_eq!(pilot::next(&drive.state, drive.now), None, "the countdown decides");
    // It goes on though the customers are back: that was agreed.
    drive.seen(29, &[]);
    assert_eq!(drive.told(), ["cleared customer globex"]);
    let plan = drive.state.plan.clone().expect("a plan");
    assert!(is_calm_on_web1(&drive, &plan));
    drive.seen(1, &[]);
    assert_eq!(drive.told(), ["web1 abort line 1 fired", "queued b1", "web1 abort line 1 over"]);
    assert_eq!(drive.state.held.len(), 1, "nothing new starts");
    // The rollback did not come off, and the customers are dark: that is for a person.
    drive.batch(|batch| {
        batch.wanted_back = false;
        batch.phase = Phase::RollbackFailed;
    });
    drive.seen(40, &["globex"]);
    assert_eq!(drive.told(), ["raised customer globex"]);
    // Nor does the line fire again on the same batch, whatever became of it.
    drive.batch(|batch| batch.phase = Phase::Verified);
    drive.seen(40, &["globex"]);
    assert_eq!(drive.told(), Vec::<String>::new());
}

fn is_calm_on_web1(drive: &Drive, plan: &crate::plan::Plan) -> bool {
    line::is_calm(&drive.state, plan, &name("web1"), Line::Abort(1), drive.now)
}

/// What the host was like is asked for as the line is met, and waited for no longer than was agreed.
#[test]
fn evidence_comes_first_in_bounded_time() {
    for (answers, fires) in [(true, 10), (false, 40)] {
        let mut drive = Drive::new("armed", LINE);
        let plan = drive.state.plan.as_mut().map(Arc::make_mut).expect("a plan");
        plan.policy.countdown = Span::secs(10);
        drive.seen(3, &["acme"]);
        let (started, since) = drive.state.evidence[&name("web1")].asked.expect("it is asked for");
        if answers {
            drive.now = drive.now + Span::secs(1);
            let result = Err(Failure::new(FailureKind::TimedOut, "no answer"));
            drive.add(Event::Evidence(EvidenceEvent::Saved { host: name("web1"), started, result }));
        }
        let fired = |drive: &Drive| drive.told.iter().any(|line| line.ends_with("fired"));
        while !fired(&drive) {
            drive.seen(1, &["acme"]);
        }
        let took = Span::between(since, drive.now).as_secs();
        assert!((fires..fires + 4).contains(&took), "{answers}: {took}");
    }
}

#[test]
fn a_typed_reason_keeps_it_until_the_line_is_met_anew() {
    let mut drive = Drive::new("armed", LINE);
    drive.seen(3, &["acme"]);
    drive.told();
    drive.ask(Intent::Keep { host: name("web1"), reason: "  ".into() });
    drive.ask(Intent::Keep { host: name("web2"), reason: "wrong host".into() });
    assert_eq!(drive.told(), Vec::<String>::new(), "a reason, and a host that counts down");
    drive.ask(Intent::Keep { host: name("web1"), reason: "the customer moves".into() });
    assert_eq!(drive.told(), ["web1 abort line 1 kept"]);
    drive.seen(60, &["acme"]);
    assert_eq!(drive.told(), Vec::<String>::new(), "kept is kept");
    assert_eq!(pilot::next(&drive.state, drive.now), None);
    drive.seen(5, &[]);
    assert_eq!(drive.told(), ["web1 abort line 1 over", "cleared customer acme"]);
    drive.seen(3, &["acme"]);
    assert_eq!(drive.told(), ["web1 abort line 1 met", "web1 abort line 1 in 1m", "raised customer acme"]);
}

/// A limit looks back as far as plans may say.
#[test]
fn a_long_limit_is_met_and_not_before() {
    let mut drive = Drive::new("armed", &LINE.replace("3 of 5", "60 of 100"));
    drive.seen(59, &["acme"]);
    assert_eq!(drive.told(), ["raised customer acme"]);
    drive.seen(1, &["acme"]);
    assert_eq!(drive.told()[0], "web1 abort line 1 met");
}

#[test]
fn ask_waits_and_off_only_alarms() {
    for auto in ["ask", "off"] {
        let mut drive = Drive::new(auto, LINE);
        drive.seen(60, &["acme"]);
        assert_eq!(drive.told(), ["web1 abort line 1 met", "raised customer acme"], "{auto}");
        drive.seen(5, &[]);
        assert_eq!(drive.told(), ["web1 abort line 1 over", "cleared customer acme"], "{auto}");
    }
    // Without a line nothing is rolled back for a probe, and the alarm is there all the same.
    let mut drive = Drive::new("armed", "");
    drive.seen(60, &["acme"]);
    assert_eq!(drive.told(), ["raised customer acme"]);
}

#[test]
fn a_line_is_about_whom_it_names_and_about_unconfirmed_work_alone() {
    let lines = "[[abort]]\nprobes = \"globex\"\nfails = \"2 of 5\"\n[[abort]]\nprobes = \"hooli\"\nfails = \"1 of 5\"\n";
    let mut drive = Drive::new("armed", lines);
    drive.seen(5, &["acme", "hooli"]);
    assert_eq!(drive.told(), ["raised customer acme", "raised customer hooli"]);
    drive.seen(2, &["acme", "globex"]);
    assert!(drive.told().contains(&"web1 abort line 1 met".to_owned()));
    // Confirmed in the meantime, or taken over by another cockpit: it concerns nothing any more.
    drive.batch(|batch| batch.phase = Phase::Confirmed);
    drive.seen(1, &["acme", "globex"]);
    assert_eq!(drive.told(), ["web1 abort line 1 over", "raised customer globex"]);
    let mut drive = Drive::new("armed", LINE);
    let helper = HelperState { enrolled: true, why_not: None, epoch: 9 };
    drive.add(Event::Host(HostEvent::Greeted { host: name("web1"), helper }));
    drive.seen(40, &["acme"]);
    assert_eq!(drive.told(), ["raised customer acme"]);
}

#[test]
fn what_work_is_expected_to_cause_meets_nothing() {
    for phase in [Phase::Applying, Phase::Rebooting, Phase::RollingBack] {
        let mut drive = Drive::new("armed", LINE);
        drive.batch(|batch| batch.phase = phase);
        drive.seen(20, &["acme", "globex"]);
        assert_eq!(drive.told(), Vec::<String>::new(), "{phase:?}");
        // What failed until then does not count, what fails after it does.
        let over = drive.now;
        drive.batch(|batch| {
            batch.phase = Phase::Verified;
            batch.disturbed = Some(over);
        });
        drive.seen(2, &["acme"]);
        assert_eq!(drive.told(), Vec::<String>::new(), "{phase:?}");
        drive.seen(1, &["acme"]);
        let met = ["web1 abort line 1 met", "web1 abort line 1 in 1m", "raised customer acme"];
        assert_eq!(drive.told(), met, "{phase:?}");
    }
}

#[test]
fn past_abort_by_the_same_countdown_decides() {
    for (auto, wanted) in [
        (
            "armed",
            &[
                "web1 abort-by met",
                "web1 abort-by in 1m",
                "web1 abort-by fired",
                "queued b1",
                "web1 abort-by over",
            ][..],
        ),
        ("ask", &["web1 abort-by met"][..]),
    ] {
        let mut drive = Drive::new(auto, "");
        drive.seen(28 * 60, &[]);
        assert_eq!(drive.told(), wanted, "{auto}");
    }
    let mut drive = Drive::new("armed", "");
    drive.seen(24 * 60, &[]);
    assert_eq!(drive.told(), Vec::<String>::new(), "not before");
}

/// What was agreed on survives the process that counted down: whole, since nobody could see it run out.
#[test]
fn another_process_counts_down_anew_and_what_was_kept_stays_kept() {
    for (auto, keeps, told) in [
        ("armed", false, &["web1 abort line 1 in 1m", "web1 abort line 1 fired", "queued b1"][..]),
        ("armed", true, &[][..]),
        ("ask", false, &[][..]),
    ] {
        let mut drive = Drive::new(auto, LINE);
        drive.seen(3, &["acme"]);
        if keeps {
            drive.ask(Intent::Keep { host: name("web1"), reason: "they move".into() });
        }
        drive.told();
        drive.now = drive.now + Span::secs(600);
        drive.add(Event::Window(WindowEvent::Resumed { program: "test".into(), take_over: None }));
        drive.follow();
        let asked = drive.state.evidence[&name("web1")].asked.is_some();
        assert_eq!(asked, told.len() > 1, "evidence is asked for again, as nobody answers the first");
        for host in ["web1", "web2"] {
            drive.add(Event::Host(HostEvent::Back { host: name(host) }));
        }
        drive.seen(25, &["acme"]);
        assert!(!drive.told.iter().any(|line| line.ends_with("fired")), "{:?}", drive.told);
        drive.seen(35, &["acme"]);
        let lines: Vec<_> = drive.told().into_iter().filter(|line| !line.contains("acme")).collect();
        assert_eq!(lines[..told.len()], *told, "{auto} {keeps}");
        assert!(lines.len() <= told.len() + 1, "{lines:?}");
    }
}

/// What is seen from a place that is worked on, or that never saw it pass, meets no line.
#[test]
fn other_places_count_where_they_work_and_have_seen_it_pass() {
    let line =
        |from: &str| format!("[[abort]]\nprobes = \"required\"\nfrom = \"{from}\"\nfails = \"3 of 5\"\n");
    let peer = Vantage::Peer(name("web2"));
    for (from, vantage) in [("peer", &peer), ("inside", &Vantage::Inside)] {
        for (passed, worked_on, meets) in [(true, false, true), (false, false, false), (true, true, false)] {
            let mut drive = Drive::new("armed", &line(from));
            if passed {
                let series = Arc::make_mut(drive.state.probes.get_mut(&id("acme")).expect("a probe"));
                series.others.entry(vantage.clone()).or_default().before = Some(true);
            }
            if worked_on {
                let mut batch = fixture::batch("b2", "web2", 1);
                batch.enter(Phase::Rebooting, drive.now);
                drive.state.plan_batch(batch);
            }
            for _ in 0..5 {
                drive.now = drive.now + Span::secs(2);
                let (probe, vantage, sighting) = (id("acme"), vantage.clone(), None);
                drive.add(Event::Probe(ProbeEvent::Seen { probe, vantage, outcome: no_answer(), sighting }));
                drive.follow();
            }
            let met = drive.told().iter().any(|line| line == "web1 abort line 1 met");
            let meets = meets || (from == "inside" && passed);
            assert_eq!(met, meets, "{from}, passed {passed}, worked on {worked_on}");
        }
    }
}

/// Where lines only alarm nothing is to be decided: who is served again is confirmed.
#[test]
fn a_line_that_only_alarms_stands_against_no_confirm() {
    for (auto, stands) in [("armed", true), ("ask", true), ("off", false)] {
        let mut drive = Drive::new(auto, LINE);
        drive.seen(3, &["acme"]);
        let batch = drive.state.batches.get(&batch_id()).expect("a batch").clone();
        assert_eq!(line::against(&drive.state, &batch).is_some(), stands, "{auto}");
    }
}

#[test]
fn without_a_journal_a_line_still_rolls_back() {
    let mut drive = Drive::new("armed", LINE);
    drive.seen(3, &["acme"]);
    let under = Circumstances { now: drive.now + Span::secs(60), journal_sound: false };
    let events = advance(&drive.state, under).events;
    assert!(matches!(&events[0], Event::Alarm(E::Fired { .. })), "{events:?}");
}

#[test]
fn a_host_that_stopped_and_a_unit_that_failed() {
    let mut drive = Drive::new("armed", "");
    drive.add(Event::Host(HostEvent::Lost { host: name("web1"), why: "no answer in 15s".into() }));
    drive.seen(6, &[]);
    assert_eq!(drive.told(), Vec::<String>::new(), "a restarted network takes seconds");
    drive.seen(3, &[]);
    assert_eq!(drive.told(), ["raised host web1"]);
    drive.add(Event::Host(HostEvent::Back { host: name("web1") }));
    let unit: crate::types::UnitName = "nginx.service".parse().expect("a unit");
    let learn = |drive: &mut Drive, failed: &[crate::types::UnitName]| {
        let at = drive.now;
        let host = Arc::make_mut(drive.state.hosts.get_mut(&name("web1")).expect("a host"));
        let fact = Fact::Known(Services { failed: failed.to_vec() });
        host.facts.services = Some(Aged { at, fact });
        drive.seen(1, &[]);
    };
    learn(&mut drive, std::slice::from_ref(&unit));
    assert_eq!(drive.told(), ["cleared host web1", "raised nginx.service on web1"]);
    learn(&mut drive, &[]);
    assert_eq!(drive.told(), ["cleared nginx.service on web1"]);
    // One that had failed before the batch is none of its doing.
    drive.batch(|batch| {
        let services =
            Some(Aged { at: fixture::opens(), fact: Fact::Known(Services { failed: vec![unit.clone()] }) });
        batch.before = Some(Box::new(Facts { services, ..Facts::default() }));
    });
    learn(&mut drive, std::slice::from_ref(&unit));
    assert_eq!(drive.told(), Vec::<String>::new());
    // A login that never worked is no host that stopped.
    let failure = Some(Failure::new(FailureKind::Login, "refused"));
    let host = Arc::make_mut(drive.state.hosts.get_mut(&name("web2")).expect("a host"));
    host.read_at = None;
    drive.add(Event::Host(HostEvent::ReadEnded { host: name("web2"), started: 0, failure }));
    drive.seen(20, &[]);
    assert_eq!(drive.told(), Vec::<String>::new());
}

#[test]
fn seen_is_not_over_and_a_flood_is_one() {
    let mut drive = Drive::new("off", "");
    drive.seen(3, &["globex"]).seen(3, &["globex", "acme"]);
    drive.told();
    let causes =
        |drive: &Drive| ranked(&drive.state).iter().map(|(cause, _)| words(cause)).collect::<Vec<_>>();
    assert_eq!(causes(&drive), ["customer acme", "customer globex"], "by weight");
    let acme = Cause::Customer("acme".parse().expect("a name"));
    drive.ask(Intent::Acknowledge { cause: acme.clone() });
    drive.ask(Intent::Acknowledge { cause: acme });
    assert_eq!(drive.told(), ["acknowledged customer acme"]);
    assert_eq!(causes(&drive), ["customer globex", "customer acme"], "and still there");
    for _ in 0..5 {
        drive.seen(5, &[]).seen(3, &["acme", "globex"]);
    }
    assert!(is_flood(&drive.state, drive.now));
    assert!(!is_flood(&drive.state, drive.now + Span::mins(11)));
}

#[test]
fn what_began_to_fail_is_read_again_once() {
    let mut drive = Drive::new("off", "");
    let wants = |drive: &Drive| wants_reading(&drive.state, &drive.state.hosts[&name("web1")]);
    assert!(!wants(&drive));
    drive.seen(3, &["acme"]);
    assert!(wants(&drive));
    drive.now = drive.now + Span::secs(1);
    drive.add(Event::Host(HostEvent::ReadEnded { host: name("web1"), started: 0, failure: None }));
    drive.seen(3, &["acme"]);
    assert!(!wants(&drive));
}
