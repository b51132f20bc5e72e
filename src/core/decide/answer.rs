//! What follows from what comes back: an effect's answer, a sample; and what stands for one that the journal can't
//! hold, or that never began.

use crate::core::command::{Answer, Input, Sample};
use crate::core::event::{
    BatchEvent, Event, EvidenceEvent, Failure, FailureKind, HostEvent, Inspected, LogEvent, PacketEvent,
    ProbeEvent, Samples, Timer, TimerState, WindowEvent,
};
use crate::core::state::{Batch, Pending, Phase, Reach, State, Work};
use crate::core::{identity, rules};
use crate::facts::Facts;
use crate::types::{HostName, Seq, Time, Untrusted};

fn stale(id: Seq, what: &str) -> Vec<Event> {
    vec![Event::Window(WindowEvent::Stale { id, what: Untrusted::new(what) })]
}

pub(super) fn decide_answer(state: &State, id: Seq, answer: &Answer) -> Vec<Event> {
    let Some(pending) = state.pending.get(&id) else { return stale(id, "an answer that nobody waits for") };
    if let Answer::WatchEnded(why) = answer {
        return vec![Event::Probe(ProbeEvent::WatchEnded { started: id, why: why.clone() })];
    }
    let Some(host) = &pending.host else { return stale(id, "an answer of another kind than was asked for") };
    if let (Work::Logs, Answer::LogsEnded(why)) = (pending.work, answer) {
        return vec![Event::Log(LogEvent::FollowEnded { host: host.clone(), started: id, why: why.clone() })];
    }
    if let (Work::Capture, Answer::CaptureEnded(why)) = (pending.work, answer) {
        return vec![Event::Packet(PacketEvent::Ended { host: host.clone(), started: id, why: why.clone() })];
    }
    if let (Work::Read, Answer::Read(result)) = (pending.work, answer) {
        let failure = result.as_ref().err().cloned();
        return vec![Event::Host(HostEvent::ReadEnded { host: host.clone(), started: id, failure })];
    }
    if let (Work::Evidence, Answer::Evidence(result)) = (pending.work, answer) {
        let (host, result) = (host.clone(), result.clone());
        return vec![Event::Evidence(EvidenceEvent::Saved { host, started: id, result })];
    }
    let Some(batch) = pending.batch.as_ref().and_then(|batch| state.batches.get(batch)) else {
        return stale(id, "an answer for a batch that is gone");
    };
    match batch_answer(state, id, pending, batch, answer) {
        Some(event) => vec![Event::Batch(event)],
        None => stale(id, "an answer of another kind than was asked for"),
    }
}

/// The event that an answer makes, where it fits what was asked. An inspection may answer as the
/// work itself would have.
fn batch_answer(
    state: &State,
    id: Seq,
    pending: &Pending,
    batch: &Batch,
    answer: &Answer,
) -> Option<BatchEvent> {
    let name = batch.id.clone();
    let asked = match pending.work {
        Work::Inspect => rules::work_of(batch.phase)?,
        Work::Read
        | Work::Stage
        | Work::Apply
        | Work::Reboot
        | Work::Verify
        | Work::Rollback
        | Work::Timer
        | Work::Confirm
        | Work::Logs
        | Work::Capture
        | Work::Evidence
        | Work::Probe => pending.work,
    };
    let event = match (answer, asked) {
        (Answer::Staged(result), Work::Stage) => {
            BatchEvent::Staged { batch: name, started: id, result: result.clone() }
        }
        (Answer::Applied(result), Work::Apply) => {
            BatchEvent::Applied { batch: name, started: id, result: result.clone() }
        }
        (Answer::Rebooted(result), Work::Reboot) => {
            BatchEvent::Rebooted { batch: name, started: id, result: result.clone() }
        }
        (Answer::Verified(result, took), Work::Verify) => {
            let back = batch.phase == Phase::Comparing;
            let identity = match (result, back, &batch.before) {
                (Ok(report), true, Some(before)) => {
                    let after = state.hosts.get(&batch.host).map(|host| since(&host.facts, batch.since));
                    let back = batch.rolled_back.as_ref();
                    after.map(|after| identity::compare(before, &after, report, back))
                }
                (_, _, _) => None,
            };
            BatchEvent::Verified { batch: name, started: id, result: result.clone(), identity, took: *took }
        }
        (Answer::RolledBack(result), Work::Rollback) => {
            BatchEvent::RolledBack { batch: name, started: id, result: result.clone() }
        }
        (Answer::Timer(result), Work::Timer) => {
            BatchEvent::TimerAnswered { batch: name, started: id, result: result.clone() }
        }
        (Answer::Confirmed(result), Work::Confirm) => confirmed(id, batch, result),
        (Answer::Inspected(found, why), _) => {
            BatchEvent::Inspected { batch: name, started: id, found: *found, why: why.clone() }
        }
        (
            Answer::Read(_)
            | Answer::Staged(_)
            | Answer::Applied(_)
            | Answer::Rebooted(_)
            | Answer::Verified(..)
            | Answer::RolledBack(_)
            | Answer::Timer(_)
            | Answer::Confirmed(_)
            | Answer::LogsEnded(_)
            | Answer::CaptureEnded(_)
            | Answer::Evidence(_)
            | Answer::WatchEnded(_),
            _,
        ) => return None,
    };
    Some(event)
}

/// Confirmed is what the host says is confirmed, and nothing else.
fn confirmed(id: Seq, batch: &Batch, result: &Result<Timer, Failure>) -> BatchEvent {
    let name = batch.id.clone();
    match result {
        Ok(timer) if timer.state == TimerState::Confirmed => BatchEvent::Confirmed {
            batch: name,
            started: Some(id),
            grounds: batch.grounds.clone().unwrap_or_default(),
        },
        Ok(timer) => {
            let what = format!("the timer of {} is {}", batch.label(), timer.state.word());
            let failure = Failure::new(FailureKind::Refused, what);
            BatchEvent::ConfirmFailed { batch: name, started: id, failure, timer: Some(timer.clone()) }
        }
        Err(failure) => {
            BatchEvent::ConfirmFailed { batch: name, started: id, failure: failure.clone(), timer: None }
        }
    }
}

/// Facts that were read since a moment; older ones say nothing about what was done after them.
fn since(facts: &Facts, from: Time) -> Facts {
    let mut facts = facts.clone();
    facts.packages = facts.packages.filter(|aged| aged.at >= from);
    facts.boot = facts.boot.filter(|aged| aged.at >= from);
    facts.network = facts.network.filter(|aged| aged.at >= from);
    facts.listeners = facts.listeners.filter(|aged| aged.at >= from);
    facts
}

pub(super) fn decide_sample(state: &State, id: Seq, sample: &Sample) -> Vec<Event> {
    if !state.pending.contains_key(&id) {
        return stale(id, "a sample that nobody waits for");
    }
    let down = |host: &HostName| match state.hosts.get(host).map(|host| &host.reach) {
        Some(Reach::Down { why, .. }) => Some(why.kind),
        Some(Reach::Unknown | Reach::Up { .. }) | None => None,
    };
    match sample {
        Sample::Greeted { host, helper } => {
            vec![Event::Host(HostEvent::Greeted { host: host.clone(), helper: helper.clone() })]
        }
        Sample::Learnt { host, domain } => {
            vec![Event::Host(HostEvent::Learnt { host: host.clone(), domain: Box::new(domain.clone()) })]
        }
        Sample::Timer { batch, timer } if state.batches.contains_key(batch) => {
            vec![Event::Batch(BatchEvent::TimerSeen { batch: batch.clone(), timer: timer.clone() })]
        }
        Sample::Timer { .. } => Vec::new(),
        Sample::Lost { host, why } if matches!(down(host), None | Some(FailureKind::NoSession)) => {
            vec![Event::Host(HostEvent::Lost { host: host.clone(), why: why.clone() })]
        }
        Sample::NoSession { host, why } if down(host) != Some(FailureKind::NoSession) => {
            vec![Event::Host(HostEvent::NoSession { host: host.clone(), why: why.clone() })]
        }
        Sample::Back { host } if down(host).is_some() => {
            vec![Event::Host(HostEvent::Back { host: host.clone() })]
        }
        Sample::Lost { .. } | Sample::NoSession { .. } | Sample::Back { .. } => Vec::new(),
        Sample::Seen { probe, vantage, outcome, sighting } => {
            vec![Event::Probe(ProbeEvent::Seen {
                probe: probe.clone(),
                vantage: vantage.clone(),
                outcome: outcome.clone(),
                sighting: sighting.clone(),
            })]
        }
        Sample::ControlSeen { index, vantage, outcome } => {
            let (vantage, outcome) = (vantage.clone(), outcome.clone());
            vec![Event::Probe(ProbeEvent::ControlSeen { index: *index, vantage, outcome })]
        }
        Sample::Packet(event) => vec![Event::Packet((**event).clone())],
        Sample::Log(event) => vec![Event::Log((**event).clone())],
    }
}

/// What a kept connection tells: a host that was reached is lost, or one that was lost is back. One that was
/// reached and could not be read, or never was, is none of these.
pub(super) fn decide_contact(state: &State, host: &HostName, lost: Option<&Untrusted>) -> Option<Event> {
    let (name, reach) = (host.clone(), &state.hosts.get(host)?.reach);
    match (reach, lost) {
        (Reach::Up { .. }, Some(why)) => Some(HostEvent::Lost { host: name, why: why.clone() }),
        (Reach::Down { why, .. }, None) if why.kind == FailureKind::Unreachable => {
            Some(HostEvent::Back { host: name })
        }
        (Reach::Unknown | Reach::Up { .. } | Reach::Down { .. }, _) => None,
    }
    .map(Event::Host)
}

/// The same input in short, where the journal can't hold what it says: an answer becomes a failure of
/// its kind, facts become unknown, lines are counted.
///
/// `None` for what is short by its nature, or whose sender has to hear of it: there is nothing that
/// could stand for it.
pub fn shortened(input: &Input, why: &Untrusted) -> Option<Input> {
    match input {
        Input::Answer { id, answer } => {
            Some(Input::Answer { id: *id, answer: Box::new(failed(answer, why)) })
        }
        Input::Sample { id, sample } => match &**sample {
            Sample::Learnt { host, domain } => {
                let sample = Sample::Learnt { host: host.clone(), domain: domain.unknown(why.clone()) };
                Some(Input::Sample { id: *id, sample: Box::new(sample) })
            }
            Sample::Greeted { .. }
            | Sample::Timer { .. }
            | Sample::Lost { .. }
            | Sample::NoSession { .. }
            | Sample::Back { .. }
            | Sample::Packet(_)
            | Sample::Log(_)
            | Sample::ControlSeen { .. }
            | Sample::Seen { .. } => None,
        },
        Input::Samples(Samples { lines, left_out, rows, rows_left_out }) => Some(Input::Samples(Samples {
            left_out: left_out.saturating_add(lines.len() as u64),
            rows_left_out: rows_left_out.saturating_add(rows.len() as u64),
            ..Samples::default()
        })),
        Input::Command(_) | Input::Contact { .. } | Input::Tick | Input::ClockStepped(_) => None,
    }
}

/// The answer of the same kind that says that it can't be used.
fn failed(answer: &Answer, why: &Untrusted) -> Answer {
    let failure = Failure { kind: FailureKind::Malformed, what: why.clone() };
    match answer {
        Answer::Read(_) => Answer::Read(Err(failure)),
        Answer::Staged(_) => Answer::Staged(Err(failure)),
        Answer::Applied(_) => Answer::Applied(Err(failure)),
        Answer::Rebooted(_) => Answer::Rebooted(Err(failure)),
        Answer::Verified(_, took) => Answer::Verified(Err(failure), *took),
        Answer::RolledBack(_) => Answer::RolledBack(Err(failure)),
        Answer::Timer(_) => Answer::Timer(Err(failure)),
        Answer::Confirmed(_) => Answer::Confirmed(Err(failure)),
        Answer::Evidence(_) => Answer::Evidence(Err(failure)),
        Answer::Inspected(found, _) => Answer::Inspected(*found, why.clone()),
        Answer::WatchEnded(_) => Answer::WatchEnded(why.clone()),
        Answer::LogsEnded(_) => Answer::LogsEnded(why.clone()),
        Answer::CaptureEnded(_) => Answer::CaptureEnded(why.clone()),
    }
}

/// The answer of an effect that was decided and never started, since the journal could not be
/// written: nothing of it is on any host.
///
/// `None` for an inspection: that it was not made says nothing about the work it was to look at.
pub fn never_began(work: Work, why: &Untrusted) -> Option<Answer> {
    let failure = Failure { kind: FailureKind::Local, what: why.clone() };
    Some(match work {
        Work::Read => Answer::Read(Err(failure)),
        Work::Probe => Answer::WatchEnded(why.clone()),
        Work::Logs => Answer::LogsEnded(why.clone()),
        Work::Capture => Answer::CaptureEnded(why.clone()),
        Work::Timer => Answer::Timer(Err(failure)),
        Work::Confirm => Answer::Confirmed(Err(failure)),
        Work::Evidence => Answer::Evidence(Err(failure)),
        Work::Stage | Work::Apply | Work::Reboot | Work::Verify | Work::Rollback => {
            Answer::Inspected(Inspected::NeverBegan, why.clone())
        }
        Work::Inspect => return None,
    })
}
