//! One line of words for an event: what a headless run prints and a replay lists.

use super::event::{
    Actor, AlarmEvent, BatchEvent, Event, EvidenceEvent, GateEvent, HoldScope, HostEvent, Inspected,
    LogEvent, Outcome, PacketEvent, Pinned, ProbeEvent, ProbeOutcome, Purpose, Record, RehearsalEvent, Timer,
    TimerState, Vantage, WindowEvent,
};
use super::state::{Round, State};
use super::{aftermath, alarm, fence};
use crate::facts::Domain;
use crate::types::{BatchId, Span, Time, Untrusted};

/// A record in words, by the state just after it; `None` for what is not worth a line of its own
/// (single facts, single good probe results, log lines are shown elsewhere).
pub fn line(state: &State, record: &Record) -> Option<String> {
    let text = match &record.event {
        Event::Window(event) => window(state, event, record.at),
        Event::Host(event) => host(state, event)?,
        Event::Batch(event) => batch(state, event)?,
        Event::Gate(event) => gate(state, event),
        Event::Probe(event) => probe(event)?,
        Event::Packet(event) => packet(event)?,
        Event::Log(event) => log(event)?,
        Event::Alarm(event) => alarmed(state, event, record.at)?,
        Event::Evidence(event) => evidence(event)?,
        Event::Rehearsal(event) => rehearsal(event),
        Event::Samples(_) => return None,
    };
    let who = match &record.actor {
        Actor::Person(name) => format!(" ({name})"),
        Actor::Holdpoint => String::new(),
    };
    Some(format!("{}{who}", text))
}

/// The words of a purpose.
pub fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Check => "check",
        Purpose::Probe => "probe",
        Purpose::Rehearsal => "rehearsal",
        Purpose::Run => "window",
    }
}

/// The words of an outcome. A rollback that came off is a good outcome, and said so.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "DONE",
        Outcome::RolledBack => "ROLLED BACK, as planned",
        Outcome::Held => "HELD",
        Outcome::RollbackIncomplete => "ROLLBACK INCOMPLETE",
        Outcome::Unreachable => "a host could not be reached",
    }
}

fn window(state: &State, event: &WindowEvent, at: Time) -> String {
    match event {
        WindowEvent::Opened { purpose: what, plan, rehearsal, .. } => {
            let on = match rehearsal {
                Some(rehearsal) => {
                    format!("{} changes rehearsed on {}", rehearsal.set.len(), rehearsal.baseline)
                }
                None => "no rehearsal".to_owned(),
            };
            format!("{} opened: {} hosts, {on}, plan {}", purpose(*what), plan.hosts.len(), plan.hash.short())
        }
        WindowEvent::Resumed { take_over: None, .. } => "resumed by another process".to_owned(),
        WindowEvent::Resumed { take_over: Some(how), .. } => format!("taken over {}", how.sentence()),
        WindowEvent::Held { scope: at, why } => format!("HOLD {}: {}", scope(at), why.shown()),
        WindowEvent::Released { scope: at } => format!("hold released: {}", scope(at)),
        WindowEvent::Marked { note } => format!("marker: {}", note.shown()),
        WindowEvent::ClockStepped { by_ms } => {
            format!("the clock stepped by {:.1}s, or this machine slept", *by_ms as f64 / 1000.0)
        }
        WindowEvent::Gap { since, lasted, why } => format!(
            "the journal could not be written from {} for {}: {}",
            since.format("%H:%M:%SZ"),
            lasted.brief(),
            why.shown()
        ),
        WindowEvent::Stale { id, what } => format!("ignored, with id {id}: {}", what.shown()),
        WindowEvent::Ended { outcome: how } => format!("ended: {}", ended(state, *how, at)),
    }
}

/// The words of an outcome, with the customers who were not reached at that moment.
pub fn ended(state: &State, how: Outcome, at: Time) -> String {
    let dark: Vec<String> = match how {
        Outcome::RollbackIncomplete => {
            aftermath::dark(state, at).iter().map(|dark| dark.sentence()).collect()
        }
        Outcome::Done | Outcome::RolledBack | Outcome::Held | Outcome::Unreachable => Vec::new(),
    };
    match dark.is_empty() {
        true => outcome(how).to_owned(),
        false => format!("{}; not known to be served: {}", outcome(how), dark.join("; ")),
    }
}

fn scope(scope: &HoldScope) -> String {
    match scope {
        HoldScope::Window => "window".to_owned(),
        HoldScope::Host(host) => host.to_string(),
        HoldScope::Batch(batch) => format!("batch {batch}"),
    }
}

fn host(state: &State, event: &HostEvent) -> Option<String> {
    Some(match event {
        HostEvent::ReadStarted { .. } => return None,
        HostEvent::Greeted { host, helper } if fence::of(state, host).is_some() => format!(
            "{host} is held by another cockpit (epoch {}, ours {}): this one only watches it",
            helper.epoch, state.epoch
        ),
        HostEvent::Greeted { host, helper } if helper.enrolled => format!("{host} answers, enrolled"),
        HostEvent::Greeted { host, helper } => {
            let why = helper.why_not.as_ref().map_or_else(String::new, |why| format!(": {}", why.shown()));
            format!("{host} answers, not enrolled{why}")
        }
        HostEvent::Learnt { host, domain } => match &**domain {
            Domain::Updates(fact) => match fact.known() {
                Some(updates) => {
                    let security = updates.pending.iter().filter(|pending| pending.security).count();
                    format!(
                        "{host} has {} updates, {security} of them security; {} kept back",
                        updates.pending.len(),
                        updates.kept.len()
                    )
                }
                None => format!("{host}: its updates are not known"),
            },
            Domain::System(_)
            | Domain::Boot(_)
            | Domain::Network(_)
            | Domain::Listeners(_)
            | Domain::Packages(_)
            | Domain::Services(_)
            | Domain::Storage(_)
            | Domain::Replaced(_)
            | Domain::Locks(_) => return None,
        },
        HostEvent::ReadEnded { host, failure: Some(failure), .. } => {
            format!("{host} can't be read: {}", failure.what.shown())
        }
        HostEvent::ReadEnded { failure: None, .. } => return None,
        HostEvent::Cut { host, batches } => format!("{host}: {batches} batches"),
        HostEvent::Lost { host, why } => {
            format!("{host} LOST: {}; what runs there goes on", why.shown())
        }
        HostEvent::NoSession { host, why } => format!("no ssh session with {host}: {}", why.shown()),
        HostEvent::Back { host } => format!("{host} is back"),
    })
}

fn label(state: &State, batch: &BatchId) -> String {
    state.batches.get(batch).map_or_else(|| batch.to_string(), |batch| batch.label())
}

fn batch(state: &State, event: &BatchEvent) -> Option<String> {
    let label = label(state, event.batch());
    Some(match event {
        BatchEvent::Planned { changes, .. } => {
            let risk = super::risk::of(changes) * 100.0;
            format!("{label}: planned, {} changes, risk {risk:.1}%", changes.len())
        }
        BatchEvent::Dropped { why, .. } => format!("batch {label} taken back: {}", why.shown()),
        BatchEvent::StageStarted { .. } => format!("{label}: storing and hashing its packages on the host"),
        BatchEvent::Staged { result: Ok(proof), .. } => {
            let against = proof.missing.len() + proof.beyond.len() + usize::from(proof.reverse.is_some());
            match against {
                0 => format!("{label}: stored, hashed, both ways simulated"),
                n => format!("{label}: stored, {n} things stand against its rollback"),
            }
        }
        BatchEvent::Staged { result: Err(failure), .. } => {
            format!("{label}: not stored: {}", failure.what.shown())
        }
        BatchEvent::ApplyStarted { .. } => format!("{label}: APPLY started"),
        BatchEvent::Applied { result: Ok(report), .. } => {
            let reboot = if report.reboot_required { ", wants a reboot" } else { "" };
            format!(
                "{label}: applied in {}, {} files of /etc changed{reboot}",
                report.took.brief(),
                report.etc_changed.len()
            )
        }
        BatchEvent::Applied { result: Err(failure), .. } => {
            format!("{label}: APPLY FAILED: {}", failure.what.shown())
        }
        BatchEvent::RebootStarted { .. } => format!("{label}: REBOOT started"),
        BatchEvent::Rebooted { result: Ok((_, took)), .. } => format!("{label}: back after {}", took.brief()),
        BatchEvent::Rebooted { result: Err(failure), .. } => {
            format!("{label}: REBOOT FAILED: {}", failure.what.shown())
        }
        BatchEvent::VerifyStarted { after_rollback: false, .. } => format!("{label}: verifying"),
        BatchEvent::VerifyStarted { after_rollback: true, .. } => format!("{label}: comparing with before"),
        BatchEvent::Verified { result: Err(failure), .. } => {
            format!("{label}: could not be verified: {}", failure.what.shown())
        }
        BatchEvent::Verified { result: Ok(_), identity: Some(identity), .. } => {
            format!("{label}: {}", identity.sentence())
        }
        BatchEvent::Verified { result: Ok(report), identity: None, .. } => {
            match report.audit.len() + report.wrong.len() {
                0 => format!("{label}: verified"),
                n => format!("{label}: VERIFY FAILED, {n} things are not as they should be"),
            }
        }
        BatchEvent::TimerSeen { timer, .. } => {
            format!("{label}: {}", timer_words(state, event.batch(), timer))
        }
        BatchEvent::TimerAsked { extend: None, .. } => return None,
        BatchEvent::TimerAsked { extend: Some(Span::ZERO), .. } => {
            format!("{label}: nothing watches its timer: its host is told to start that again")
        }
        BatchEvent::TimerAsked { extend: Some(by), .. } => {
            format!("{label}: its timer is to be lengthened by {}", by.brief())
        }
        BatchEvent::TimerAnswered { result: Ok(timer), .. } => {
            // Asked every few seconds: what runs as it should is on screen, and no news. Nor is the timer of
            // a rollback that was asked for: it is taken by that.
            let asked = state.batches.get(event.batch()).is_some_and(|batch| batch.taken_back_here());
            if timer.is_armed() || asked {
                return None;
            }
            format!("{label}: {}", timer_words(state, event.batch(), timer))
        }
        BatchEvent::TimerAnswered { result: Err(failure), .. } => {
            format!("{label}: how its timer stands is not known: {}", failure.what.shown())
        }
        BatchEvent::ConfirmStarted { grounds, .. } => format!("{label}: confirming: {grounds}"),
        BatchEvent::ConfirmFailed { failure, .. } => {
            format!("{label}: NOT confirmed: {}", failure.what.shown())
        }
        BatchEvent::Confirmed { grounds, .. } => format!("{label}: CONFIRMED: {grounds}"),
        BatchEvent::RollbackQueued { why, .. } => format!("{label}: to be rolled back: {}", why.shown()),
        BatchEvent::RollbackStarted { .. } => format!("{label}: ROLLBACK started"),
        BatchEvent::RolledBack { result: Ok(report), .. } => {
            let not_as_before = match (&report.missing[..], report.identical) {
                ([], Some(false)) => "; NOT as before by the host's own word".to_owned(),
                ([], Some(true) | None) => String::new(),
                (missing, _) => format!("; NOT as before: {}", some(missing)),
            };
            let cautions = match &report.cautions[..] {
                [] => String::new(),
                cautions => format!("; caution: {}", some(cautions)),
            };
            format!(
                "{label}: rolled back in {}, {} files of /etc and {} addresses put back{not_as_before}{cautions}{}",
                report.took.brief(),
                report.etc_restored.len(),
                report.network_restored.len(),
                pinned(&report.pinned)
            )
        }
        BatchEvent::RolledBack { result: Err(failure), .. } => {
            format!("{label}: ROLLBACK FAILED: {}", failure.what.shown())
        }
        BatchEvent::InspectStarted { .. } => format!("{label}: asking its host what became of the work"),
        BatchEvent::Inspected { found: Inspected::NeverBegan, why, .. } => {
            format!("{label}: never began: {}", why.shown())
        }
        BatchEvent::Inspected { found: Inspected::Unknown, why, .. } => {
            format!("{label}: UNKNOWN: {}", why.shown())
        }
    })
}

/// How a timer stands: what will happen, and when, where nobody does anything.
fn timer_words(state: &State, batch: &BatchId, timer: &Timer) -> String {
    let why = timer.why.as_ref().map_or_else(String::new, |why| format!(": {}", why.shown()));
    match (timer.state, state.batches.get(batch).and_then(|batch| batch.fires_at())) {
        (TimerState::Armed, Some(at)) => format!(
            "dead-man timer armed, rolls back by itself at {} unless confirmed ({})",
            at.format("%H:%M:%SZ"),
            timer.watch.word()
        ),
        (TimerState::Armed, None) => "its dead-man timer is set, and NOTHING watches it".to_owned(),
        (TimerState::None, _) => "it has NO dead-man timer".to_owned(),
        (TimerState::Confirmed, _) => "its dead-man timer is confirmed, and fires no more".to_owned(),
        (TimerState::Firing, _) => "its host rolls it back by itself".to_owned(),
        (TimerState::RolledBack, _) => "its host has rolled it back by itself".to_owned(),
        (TimerState::RollbackFailed, _) => format!("its host could NOT roll it back{why}"),
    }
}

/// What a rollback pinned out, and how it is released.
fn pinned(pinned: &[Pinned]) -> String {
    if pinned.is_empty() {
        return String::new();
    }
    let versions = pinned.iter().map(|one| Untrusted::new(format!("{} {}", one.package, one.version)));
    format!("; pinned out: {} (release: holdpoint unpin PLAN)", some(&versions.collect::<Vec<_>>()))
}

/// As many of a list as fit a line, and how many more there are.
fn some(list: &[Untrusted]) -> String {
    const SHOWN: usize = 4;
    let mut words: Vec<String> = list.iter().take(SHOWN).map(Untrusted::shown).collect();
    if list.len() > SHOWN {
        words.push(format!("and {} more", list.len() - SHOWN));
    }
    words.join(", ")
}

fn gate(state: &State, event: &GateEvent) -> String {
    match event {
        GateEvent::Waived { gate, batch, failing, reason, watch, until } => format!(
            "gate {} of {} WAIVED until {}: {}; because {}; watched: {}",
            Untrusted::new(gate).shown(),
            label(state, batch),
            until.format("%H:%MZ"),
            failing.shown(),
            reason.shown(),
            watch.shown()
        ),
        GateEvent::Left { host, package } => format!("{host}: {package} is left for the next window"),
    }
}

fn probe(event: &ProbeEvent) -> Option<String> {
    match event {
        ProbeEvent::WatchStarted => Some("probing started".to_owned()),
        ProbeEvent::WatchEnded { why, .. } => Some(format!("probing ended: {}", why.shown())),
        ProbeEvent::Seen { probe, vantage, outcome, .. } => {
            went(&format!("probe {}#{}", probe.customer, probe.index), vantage, outcome)
        }
        ProbeEvent::ControlSeen { index, vantage, outcome } => {
            went(&format!("control {index}"), vantage, outcome)
        }
    }
}

fn went(what: &str, vantage: &Vantage, outcome: &ProbeOutcome) -> Option<String> {
    let from = seen_from(vantage);
    match outcome {
        ProbeOutcome::Ok { .. } => None,
        ProbeOutcome::Fail { why, .. } => Some(format!("{what}{from} FAIL: {}", why.shown())),
        ProbeOutcome::Broken { why } => Some(format!("{what}{from} could not be made: {}", why.shown())),
    }
}

/// Nothing for the cockpit: it is where one looks from.
fn seen_from(vantage: &Vantage) -> String {
    match vantage {
        Vantage::Cockpit => String::new(),
        Vantage::Further(name) => format!(" from {name}"),
        Vantage::Inside => " from inside".to_owned(),
        Vantage::Peer(host) => format!(" from {host}"),
    }
}

/// Of a flood the first alarms have lines of their own, then one says that there are more.
fn alarmed(state: &State, event: &AlarmEvent, at: Time) -> Option<String> {
    Some(match event {
        AlarmEvent::Raised { said, .. } if !alarm::is_flood(state, at) => format!("ALARM {}", said.shown()),
        AlarmEvent::Raised { .. } => match alarm::lately(state, at) == alarm::MANY + 1 {
            true => format!("ALARMS: more than {} in ten minutes, from here on counted", alarm::MANY),
            false => return None,
        },
        AlarmEvent::Acknowledged { cause } => format!("alarm acknowledged: {}", alarm::words(cause)),
        AlarmEvent::Cleared { cause } => format!("alarm over: {}", alarm::words(cause)),
        AlarmEvent::LineMet { host, line, why, .. } => {
            format!("{host}: {} met: {}", line.word(), why.shown())
        }
        AlarmEvent::CountdownStarted { host, line, until } => format!(
            "{host}: {}: ROLLS BACK at {} unless it is kept with a reason",
            line.word(),
            until.format("%H:%M:%SZ")
        ),
        AlarmEvent::Kept { host, line, reason } => {
            format!("{host}: KEPT, {} rolls nothing back: {}", line.word(), reason.shown())
        }
        AlarmEvent::Fired { host, line } => {
            format!("{host}: {}: nobody kept it, ROLLED BACK now", line.word())
        }
        AlarmEvent::LineOver { host, line } => format!("{host}: {} concerns nothing there now", line.word()),
    })
}

fn evidence(event: &EvidenceEvent) -> Option<String> {
    match event {
        EvidenceEvent::Started { .. } => None,
        EvidenceEvent::Saved { host, result: Ok(kept), .. } => {
            Some(format!("{host}: evidence saved: {} ({} bytes)", kept.file.shown(), kept.bytes))
        }
        EvidenceEvent::Saved { host, result: Err(failure), .. } => {
            Some(format!("{host}: no evidence saved: {}", failure.what.shown()))
        }
    }
}

fn packet(event: &PacketEvent) -> Option<String> {
    match event {
        PacketEvent::Matched { .. }
        | PacketEvent::Tallied { .. }
        | PacketEvent::Started { .. }
        | PacketEvent::Ended { .. } => None,
        PacketEvent::Kept { over: false, .. } => None,
        PacketEvent::Kept { host, file, over: true } => {
            Some(format!("{host}: its packets are kept: {} ({} bytes)", file.file.shown(), file.bytes))
        }
        PacketEvent::Running { host } => Some(format!("{host}: its packets are captured")),
        PacketEvent::Unseen { host, why } => {
            Some(format!("{host}: its packets are not seen: {}", why.shown()))
        }
    }
}

fn log(event: &LogEvent) -> Option<String> {
    match event {
        LogEvent::FollowStarted { .. } | LogEvent::Counted { .. } | LogEvent::FollowEnded { .. } => None,
        LogEvent::Following { host } => Some(format!("{host}: its logs are followed")),
        LogEvent::Unseen { host, why } => Some(format!("{host}: its logs are not seen: {}", why.shown())),
    }
}

fn rehearsal(event: &RehearsalEvent) -> String {
    match event {
        RehearsalEvent::RoundStarted { round: Round::First } => "round 1: apply".to_owned(),
        RehearsalEvent::RoundStarted { round: Round::Back } => {
            "round 2: roll back, verify identical".to_owned()
        }
        RehearsalEvent::RoundStarted { round: Round::Second } => "round 3: apply again".to_owned(),
        RehearsalEvent::Frozen { rehearsal } => format!(
            "FROZEN: {} changes; apply {}, rollback {}, {}",
            rehearsal.set.len(),
            rehearsal.apply.brief(),
            rehearsal.rollback.brief(),
            if rehearsal.identical { "rolled back to identical" } else { "the rollback was NOT identical" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::RollbackReport;

    #[test]
    fn a_rollback_says_what_it_pinned_out_and_how_that_is_released() {
        let one = |name: &str, version: &str| Pinned {
            package: name.parse().expect("a package"),
            version: version.parse().expect("a version"),
        };
        assert_eq!(pinned(&[]), "");
        assert_eq!(
            pinned(&[one("nginx:amd64", "1.24.0-3"), one("libssl3:amd64", "3.0.2")]),
            "; pinned out: nginx:amd64 1.24.0-3, libssl3:amd64 3.0.2 (release: holdpoint unpin PLAN)"
        );
    }

    #[test]
    fn a_rollback_says_what_is_not_as_before_and_what_it_could_not_do() {
        let texts = |n: usize| (0..n).map(|n| Untrusted::new(format!("thing {n}"))).collect::<Vec<_>>();
        for (identical, missing, cautions, wanted) in [
            (Some(true), 0, 0, ""),
            (None, 0, 0, ""),
            (Some(false), 0, 0, "; NOT as before by the host's own word"),
            (Some(false), 2, 1, "; NOT as before: thing 0, thing 1; caution: thing 0"),
            (Some(false), 6, 0, "; NOT as before: thing 0, thing 1, thing 2, thing 3, and 2 more"),
        ] {
            let (missing, cautions) = (texts(missing), texts(cautions));
            let report = RollbackReport { identical, missing, cautions, ..RollbackReport::default() };
            let batch_id = "b1".parse().expect("a batch");
            let event = BatchEvent::RolledBack { batch: batch_id, started: 3, result: Ok(report) };
            let line = batch(&State::default(), &event);
            assert_eq!(
                line,
                Some(format!("b1: rolled back in 0s, 0 files of /etc and 0 addresses put back{wanted}"))
            );
        }
    }
}
