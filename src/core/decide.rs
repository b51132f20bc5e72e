//! What follows from what is asked: a command, an answer, a sample, time passing. Pure: state and
//! moment in, events out. What is to be done outside follows from the events alone (`effect::of`).

mod answer;

use answer::{decide_answer, decide_sample};
pub use answer::{never_began, shortened};

use super::command::{Command, Input, Intent, RollbackScope};
use super::event::{
    Actor, AlarmEvent, BatchEvent, Event, GateEvent, HoldScope, HostEvent, LogLine, LogSource, Outcome,
    Samples, WindowEvent,
};
use super::state::{Batch, DeadMan, Host, Phase, State, Unattended};
use super::{aftermath, alarm, confirm as confirming, evidence, fence, gate, rollback, rules, schedule};
use crate::types::{BatchId, HostName, Span, Time, Untrusted};

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
        Input::Contact { host, lost } => {
            Decision::own(answer::decide_contact(state, host, lost.as_ref()).into_iter().collect())
        }
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
