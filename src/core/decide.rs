//! What follows from what is asked: a command, an answer, a sample, time passing. Pure: state and
//! moment in, events out. What is to be done outside follows from the events alone (`effect::of`).

use super::command::{Answer, Command, Input, Intent, RollbackScope, Sample};
use super::event::{
    Actor, AlarmEvent, BatchEvent, Event, EvidenceEvent, Failure, FailureKind, GateEvent, HoldScope,
    HostEvent, LogEvent, LogLine, LogSource, Outcome, PacketEvent, ProbeEvent, Samples, Timer, TimerState,
    WindowEvent,
};
use super::state::{Batch, DeadMan, Host, Pending, Phase, State, Unattended, Work};
use super::{
    aftermath, alarm, confirm as confirming, evidence, fence, gate, identity, rollback, rules, schedule,
};
use crate::facts::Facts;
use crate::types::{BatchId, HostName, Seq, Span, Time, Untrusted};

/// What was decided: events to commit, and who caused them.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Who.
    pub actor: Actor,
    /// What happened, in order; empty when nothing follows.
    pub events: Vec<Event>,
}

impl Decision {
    fn by(actor: &Actor, events: Vec<Event>) -> Self {
        Self { actor: actor.clone(), events }
    }

    fn own(events: Vec<Event>) -> Self {
        Self { actor: Actor::Holdpoint, events }
    }
}

/// What a decision is made under.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The moment.
    pub now: Time,
    /// Whether the journal can be written: where it can't, nothing new starts but a rollback.
    pub journal_sound: bool,
}

/// What follows from one input.
pub fn decide(state: &State, input: &Input, under: Circumstances) -> Decision {
    match input {
        Input::Command(command) => decide_command(state, command, under),
        Input::Answer { id, answer } => Decision::own(decide_answer(state, *id, answer)),
        Input::Sample { id, sample } => Decision::own(decide_sample(state, *id, sample)),
        Input::Samples(samples) => Decision::own(vec![Event::Samples(samples.clone())]),
        Input::Tick => Decision::own(Vec::new()),
        Input::ClockStepped(by_ms) => {
            Decision::own(vec![Event::Window(WindowEvent::ClockStepped { by_ms: *by_ms })])
        }
    }
}

/// What follows from the state alone: the next thing that is due, again and again until nothing is.
pub fn advance(state: &State, under: Circumstances) -> Decision {
    Decision::own(rules::due(state, under))
}

fn decide_command(state: &State, command: &Command, under: Circumstances) -> Decision {
    let now = under.now;
    if state.ended.is_some() && !matches!(command.intent, Intent::Resume { .. }) {
        return Decision::by(&command.actor, Vec::new());
    }
    let starts_work = matches!(
        command.intent,
        Intent::Go { .. }
            | Intent::Refresh { .. }
            | Intent::Restage { .. }
            | Intent::Waive { .. }
            | Intent::Confirm { .. }
            | Intent::Extend { .. }
    );
    if starts_work && !under.journal_sound {
        let events =
            refuse(state, None, "the journal can't be written: nothing new starts; a rollback does", now);
        return Decision::by(&command.actor, events);
    }
    let events = match &command.intent {
        Intent::Open { purpose, plan, rehearsal } => {
            if state.purpose.is_some() {
                Vec::new()
            } else {
                vec![Event::Window(WindowEvent::Opened {
                    purpose: *purpose,
                    plan: plan.clone(),
                    rehearsal: rehearsal.clone(),
                    program: env!("CARGO_PKG_VERSION").to_owned(),
                })]
            }
        }
        Intent::Resume { take_over } => vec![Event::Window(WindowEvent::Resumed {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            take_over: take_over.clone(),
        })],
        Intent::Refresh { host } => {
            let idle = |h: &&Host| h.reading.is_none() && host.as_ref().is_none_or(|name| *name == h.name);
            let hosts = state.hosts.values().map(AsRef::as_ref).filter(idle);
            hosts.map(|host| Event::Host(HostEvent::ReadStarted { host: host.name.clone() })).collect()
        }
        Intent::Hold { scope, why } => hold(state, scope, why),
        Intent::Release { scope } => match state.held.iter().any(|held| held.scope == *scope) {
            true => vec![Event::Window(WindowEvent::Released { scope: scope.clone() })],
            false => Vec::new(),
        },
        Intent::Go { batch } => go(state, batch, now),
        Intent::Waive { gate, batch, reason, watch, lasts } => {
            waive(state, gate, batch, (reason, watch), now + *lasts, now)
        }
        Intent::Leave { host, package } => {
            let mut events =
                vec![Event::Gate(GateEvent::Left { host: host.clone(), package: package.clone() })];
            // One that is being staged answers first; it is cut again when that is done.
            let waiting = state.batches_of(host).filter(|batch| waits(batch));
            let why = Untrusted::new(format!("{package} was put off"));
            events.extend(waiting.map(|batch| {
                Event::Batch(BatchEvent::Dropped { batch: batch.id.clone(), why: why.clone() })
            }));
            events
        }
        Intent::Rollback { scope, why } => roll_back(state, scope, why, now),
        Intent::Restage { batch } => match state.batches.get(batch) {
            Some(found) if fence::of(state, &found.host).is_some() => {
                refuse(state, Some(&found.host), fenced(state, found).unwrap_or_default(), now)
            }
            Some(found) if matches!(found.phase, Phase::Staged | Phase::StageFailed) => {
                vec![rules::stage(state, found)]
            }
            Some(found) => {
                let why = format!("{} is {}: it can't be staged again", found.label(), found.phase.word());
                refuse(state, Some(&found.host), why, now)
            }
            None => Vec::new(),
        },
        Intent::Confirm { batch } => confirm(state, batch, now),
        Intent::Extend { batch, by } => extend(state, batch, *by, now),
        Intent::Keep { host, reason } => keep(state, host, reason, now),
        Intent::Acknowledge { cause } => match state.alarms.raised.get(cause) {
            Some(alarm) if alarm.acknowledged.is_none() => {
                vec![Event::Alarm(AlarmEvent::Acknowledged { cause: cause.clone() })]
            }
            Some(_) | None => Vec::new(),
        },
        Intent::Evidence { host } => {
            evidence::wanted(state, host, "asked for by a person").into_iter().collect()
        }
        Intent::Mark { note } => vec![Event::Window(WindowEvent::Marked { note: note.clone() })],
        Intent::End => vec![Event::Window(WindowEvent::Ended { outcome: outcome(state, now) })],
    };
    Decision::by(&command.actor, events)
}

/// Why this cockpit can't change a batch's host any more.
fn fenced(state: &State, batch: &Batch) -> Option<String> {
    let fence = fence::of(state, &batch.host)?;
    Some(format!(
        "{}: another cockpit holds {} (epoch {}, ours {}): ask there",
        batch.label(),
        batch.host,
        fence.epoch,
        state.epoch
    ))
}

fn waits(batch: &Batch) -> bool {
    matches!(batch.phase, Phase::Planned | Phase::Staged | Phase::StageFailed)
}

fn hold(state: &State, scope: &HoldScope, why: &Untrusted) -> Vec<Event> {
    if state.held.iter().any(|held| held.scope == *scope) {
        return Vec::new();
    }
    vec![Event::Window(WindowEvent::Held { scope: scope.clone(), why: why.clone() })]
}

/// A batch starts only when every gate passes at this very moment, whatever the screen showed.
fn go(state: &State, id: &BatchId, now: Time) -> Vec<Event> {
    let Some(batch) = state.batches.get(id) else { return Vec::new() };
    match rules::start(state, batch, now) {
        Ok(event) => vec![event],
        Err(why) => refuse(state, Some(&batch.host), format!("{} does not start: {why}", batch.label()), now),
    }
}

/// A person's word, where no probe could say it. Everywhere else the probes decide, and so nobody has to.
fn confirm(state: &State, id: &BatchId, now: Time) -> Vec<Event> {
    let Some(batch) = state.batches.get(id) else { return Vec::new() };
    if let Some(against) = fenced(state, batch) {
        return refuse(state, Some(&batch.host), against, now);
    }
    match confirming::by_word(state, batch, now) {
        Ok(event) => vec![event],
        Err(why) => {
            let what = format!("{} is not confirmed by word: {why}", batch.label());
            refuse(state, Some(&batch.host), what, now)
        }
    }
}

pub(super) fn extend(state: &State, id: &BatchId, by: Span, now: Time) -> Vec<Event> {
    let Some(batch) = state.batches.get(id) else { return Vec::new() };
    if let Some(against) = fenced(state, batch) {
        return refuse(state, Some(&batch.host), against, now);
    }
    let runs = match batch.unattended() {
        Some(Unattended::RollsBack(_) | Unattended::AfterBoot(_)) => true,
        // Set and watched by nothing: then this brings back what watches it.
        Some(Unattended::Nothing) => batch.timer.as_ref().is_some_and(DeadMan::unwatched),
        Some(Unattended::Unknown | Unattended::Confirmed | Unattended::Fired | Unattended::Failed) | None => {
            false
        }
    };
    if !runs {
        let why = format!("{} has no timer that runs", batch.label());
        return refuse(state, Some(&batch.host), why, now);
    }
    vec![Event::Batch(BatchEvent::TimerAsked { batch: id.clone(), extend: Some(by) })]
}

/// Stops what a line would roll back on a host: every line that is met there.
fn keep(state: &State, host: &HostName, reason: &Untrusted, now: Time) -> Vec<Event> {
    if reason.raw().trim().is_empty() {
        return refuse(state, Some(host), "what a line would roll back is kept with a reason alone", now);
    }
    let kept: Vec<Event> = alarm::line::open(state, host)
        .map(|(line, _)| Event::Alarm(AlarmEvent::Kept { host: host.clone(), line, reason: reason.clone() }))
        .collect();
    match kept.is_empty() {
        true => refuse(state, Some(host), format!("no line is met on {host} that could be kept"), now),
        false => kept,
    }
}

fn waive(
    state: &State,
    gate: &str,
    id: &BatchId,
    (reason, watch): (&Untrusted, &Untrusted),
    until: Time,
    now: Time,
) -> Vec<Event> {
    let Some(batch) = state.batches.get(id) else { return Vec::new() };
    let Some(name) = gate::GATES.iter().find(|name| name.word() == gate) else {
        let why = format!("there is no gate {}", Untrusted::new(gate).shown());
        return refuse(state, Some(&batch.host), why, now);
    };
    let judgement = gate::judge_one(state, batch, *name, now);
    let against = if !name.waivable() {
        Some(format!("gate {name} can't be waived: {}", judgement.reason))
    } else if judgement.state != gate::GateState::Held {
        Some(format!("gate {name} is {}, only a held gate is waived", judgement.state.word()))
    } else if reason.raw().trim().is_empty() || watch.raw().trim().is_empty() {
        Some("a waiver wants a reason, and what will be watched".to_owned())
    } else {
        None
    };
    if let Some(why) = against {
        return refuse(state, Some(&batch.host), why, now);
    }
    vec![Event::Gate(GateEvent::Waived {
        gate: gate.to_owned(),
        batch: id.clone(),
        failing: Untrusted::new(judgement.reason),
        reason: reason.clone(),
        watch: watch.clone(),
        until,
    })]
}

fn roll_back(state: &State, scope: &RollbackScope, why: &Untrusted, now: Time) -> Vec<Event> {
    let mut events = hold(state, &HoldScope::Window, why);
    for id in rollback::batches(state, scope) {
        let Some(batch) = state.batches.get(&id) else { continue };
        if let Some(against) = fenced(state, batch) {
            events.extend(refuse(state, Some(&batch.host), against, now));
            continue;
        }
        if !batch.wanted_back && !rollback::goes_back(batch.phase) {
            events.push(Event::Batch(BatchEvent::RollbackQueued { batch: id, why: why.clone() }));
        }
    }
    events
}

/// What somebody wanted and does not get, where they and the postmortem see it.
fn refuse(state: &State, host: Option<&HostName>, why: impl AsRef<str>, now: Time) -> Vec<Event> {
    let Some(host) = host.or_else(|| state.hosts.keys().next()) else { return Vec::new() };
    let line = LogLine::new(host.clone(), LogSource::Holdpoint, now, Untrusted::new(why.as_ref()));
    vec![Event::Samples(Samples { lines: vec![line], ..Samples::default() })]
}

/// How it ends at this moment: 30 before 40 before 20 before 10, in the words of exit statuses. What was
/// rolled back is complete only when the customers of its host are served again.
pub fn outcome(state: &State, now: Time) -> Outcome {
    let any = |test: fn(&Batch) -> bool| state.in_order().any(|batch| test(batch));
    let incomplete = |batch: &Batch| {
        batch.phase == Phase::RollbackFailed
            || batch.phase == Phase::BackDiffers
            || (batch.wanted_back || batch.rollback_started.is_some()) && batch.phase.unconfirmed()
    };
    // One that was read and whose updates are not known was not read to any purpose.
    let blind = |host: &Host| {
        host.read_at.is_some() && host.facts.updates.as_ref().is_none_or(|updates| updates.known().is_none())
    };
    let unreachable = |host: &Host| {
        (host.read_at.is_none() && host.read_failed.is_some())
            || (blind(host) && rules::concerned(state, host))
    };
    if any(incomplete) || !aftermath::dark(state, now).is_empty() {
        Outcome::RollbackIncomplete
    } else if state.hosts.values().any(|host| unreachable(host)) {
        Outcome::Unreachable
    } else if any(|batch| batch.phase.unconfirmed())
        || any(|batch| schedule::waits(batch.phase)) && !any(|batch| batch.phase == Phase::Back)
    {
        Outcome::Held
    } else if any(|batch| batch.phase == Phase::Back) && state.frozen.is_none() {
        Outcome::RolledBack
    } else {
        Outcome::Done
    }
}

fn stale(id: Seq, what: &str) -> Vec<Event> {
    vec![Event::Window(WindowEvent::Stale { id, what: Untrusted::new(what) })]
}

fn decide_answer(state: &State, id: Seq, answer: &Answer) -> Vec<Event> {
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

fn decide_sample(state: &State, id: Seq, sample: &Sample) -> Vec<Event> {
    if !state.pending.contains_key(&id) {
        return stale(id, "a sample that nobody waits for");
    }
    let down = |host: &HostName| {
        state.hosts.get(host).is_some_and(|host| matches!(host.reach, super::state::Reach::Down { .. }))
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
        Sample::Lost { host, why } if !down(host) => {
            vec![Event::Host(HostEvent::Lost { host: host.clone(), why: why.clone() })]
        }
        Sample::Back { host } if down(host) => vec![Event::Host(HostEvent::Back { host: host.clone() })],
        Sample::Lost { .. } | Sample::Back { .. } => Vec::new(),
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
        Input::Command(_) | Input::Tick | Input::ClockStepped(_) => None,
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
            Answer::Inspected(super::event::Inspected::NeverBegan, why.clone())
        }
        Work::Inspect => return None,
    })
}
