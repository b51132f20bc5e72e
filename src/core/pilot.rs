//! What a window without anybody at the keys does next: goes on only while every gate is clear,
//! takes back what fails, and stops. Pure, like a person's key it ends in a command.

use super::command::{Intent, RollbackScope};
use super::event::{HoldScope, Purpose};
use super::gate::{self, GateState};
use super::rules::ORDERS;
use super::state::{Batch, Health, Phase, ProbeState, State};
use super::{aftermath, alarm, alone, confirm, effect, fence, schedule};
use crate::plan::{AutoRollback, VantageKind};
use crate::types::{HostName, Span, Time, Untrusted};

/// A gate that can't be told is waited for this long: packages are being stored, facts read.
const PATIENCE: Span = Span::mins(15);

/// The next command, if one is due.
pub fn next(state: &State, now: Time) -> Option<Intent> {
    let plan = state.plan.as_ref()?;
    if state.ended.is_some() {
        return None;
    }
    let busy = fence::ours(state).any(|batch| batch.phase.running() || batch.wanted_back);
    if busy {
        return None;
    }
    // What a line that is met does is agreed, and done by the loop itself.
    if !alarm::line::countdowns(state).is_empty() {
        return None;
    }
    if let Some((batch, why)) = failing(state, now) {
        let tried = batch.phase == Phase::RollbackFailed;
        if tried || (plan.policy.auto_rollback != AutoRollback::Armed && batch.phase == Phase::Verified) {
            return Some(Intent::End);
        }
        let why = Untrusted::new(format!("{}: {why}", batch.label()));
        return Some(Intent::Rollback { scope: RollbackScope::Unconfirmed, why });
    }
    // Past abort-by the default is to roll back: silence is safe, also a vantage's own.
    let late = schedule::abort_by(state).is_some_and(|abort_by| now >= abort_by.at);
    if late
        && state.purpose == Some(Purpose::Run)
        && fence::ours(state).any(|batch| batch.phase.unconfirmed())
    {
        return match plan.policy.auto_rollback {
            // By its countdown; where somebody kept it, by what the host's own timer says.
            AutoRollback::Armed => None,
            AutoRollback::Ask | AutoRollback::Off => Some(Intent::End),
        };
    }
    // What waits for its probes, its reboot or its comparison is waited for.
    if fence::ours(state).any(|batch| batch.phase.unconfirmed()) {
        return None;
    }
    // What another cockpit has taken over is its business from there on.
    let lost = |batch: &Batch| batch.phase.unconfirmed() || batch.wanted_back;
    if state.in_order().any(|batch| fence::of(state, &batch.host).is_some() && lost(batch)) {
        return Some(Intent::End);
    }
    let back = state.in_order().any(|batch| matches!(batch.phase, Phase::Back | Phase::BackDiffers));
    if state.purpose == Some(Purpose::Run) && back {
        return (!aftermath::awaited(state, now)).then_some(Intent::End);
    }
    match state.purpose {
        Some(Purpose::Run) => next_batch(state, now),
        Some(Purpose::Rehearsal) => next_rehearsal(state, now),
        Some(Purpose::Check | Purpose::Probe) | None => None,
    }
}

/// A batch that has to be taken back, and why.
fn failing(state: &State, now: Time) -> Option<(&Batch, String)> {
    fence::ours(state).map(AsRef::as_ref).find_map(|batch: &Batch| match batch.phase {
        // With nobody to say that somebody is there at its boot.
        Phase::Applied => alone::waits(state, batch, now).map(|why| (batch, why)),
        Phase::ApplyFailed | Phase::Unknown | Phase::RollbackFailed => {
            let why = batch.failure.as_ref().map_or_else(|| "it failed".to_owned(), |f| f.what.shown());
            Some((batch, why))
        }
        // Where the plan agrees on lines and armed them, they decide.
        Phase::Verified if agreed(state) => None,
        Phase::Verified => customers_fail(state, batch, now).map(|why| (batch, why)),
        Phase::Planned
        | Phase::Staging
        | Phase::Staged
        | Phase::StageFailed
        | Phase::Applying
        | Phase::Rebooting
        | Phase::Rebooted
        | Phase::Verifying
        | Phase::Confirming
        | Phase::Confirmed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Comparing
        | Phase::Back
        | Phase::BackDiffers => None,
    })
}

fn agreed(state: &State) -> bool {
    state
        .plan
        .as_ref()
        .is_some_and(|plan| !plan.aborts.is_empty() && plan.policy.auto_rollback == AutoRollback::Armed)
}

fn customers_fail(state: &State, batch: &Batch, now: Time) -> Option<String> {
    // A place that sees nothing tells of no customer.
    let seen =
        |from: VantageKind| from != VantageKind::Outside || !alarm::line::is_blind(state, &batch.host, now);
    let required = state.probes_of(&batch.host).filter(|(_, p)| effect::is_made(&p.probe) && p.required());
    let required = required.filter(|(_, p)| seen(p.probe.from) && is_told(state, &batch.host, p, now));
    let mut failing: Vec<&str> =
        required.filter(|(_, p)| p.health(now) == Health::Fail).map(|(id, _)| id.customer.as_str()).collect();
    failing.dedup();
    (!failing.is_empty()).then(|| format!("customers can't reach it from outside: {}", failing.join(", ")))
}

/// Whether it is known by now that its failing is seen by a network that works.
fn is_told(state: &State, host: &HostName, probe: &ProbeState, now: Time) -> bool {
    let since = probe.own.failing_since().filter(|_| probe.probe.from == VantageKind::Outside);
    since.is_none_or(|since| alarm::line::is_seen(state, host, since, now))
        && alarm::is_told(state, host, probe)
}

fn next_batch(state: &State, now: Time) -> Option<Intent> {
    let unread = |host: &&std::sync::Arc<super::state::Host>| {
        !host.baseline && host.read_at.is_none() && host.read_failed.is_none()
    };
    if state.hosts.values().find(unread).is_some() || state.hosts.values().any(|host| host.reading.is_some())
    {
        return None;
    }
    // A host that was read is cut into batches a moment later: until then there is nothing to end.
    let uncut = |host: &&std::sync::Arc<super::state::Host>| {
        let known = host.facts.updates.as_ref().is_some_and(|updates| updates.known().is_some());
        !host.baseline && !host.planned && known
    };
    if state.hosts.values().any(|host| uncut(&host)) {
        return None;
    }
    let Some(batch) = schedule::next(state) else { return Some(Intent::End) };
    // Nobody is here to give the word that confirms it (it would roll itself back), or to find out why an
    // order does not come through.
    let wants_a_person = match batch.never_began >= ORDERS {
        true => Some(format!("{} was ordered {ORDERS} times and never began", batch.label())),
        false => confirm::unprobed(state, batch).then(|| {
            format!("{} is UNPROBED: confirming it wants a person, :confirm {}", batch.host, batch.host)
        }),
    };
    if let Some(why) = wants_a_person {
        if state.is_held(batch) {
            return Some(Intent::End);
        }
        return Some(Intent::Hold { scope: HoldScope::Host(batch.host.clone()), why: Untrusted::new(why) });
    }
    let judged = gate::judge(state, batch, now);
    if gate::all_pass(&judged) && !state.is_held(batch) && probed(state, batch, now) {
        return Some(Intent::Go { batch: batch.id.clone() });
    }
    let opens = state.plan.as_ref().map(|plan| plan.window.opens)?;
    let held = judged.iter().any(|judgement| match judgement.state {
        // A window that is not open yet is waited for.
        GateState::Held => !(judgement.gate == gate::GateName::Time && now < opens),
        GateState::Clear | GateState::Unknown | GateState::Waived => false,
    });
    let waited = Span::between(batch.since.max(opens), now) > PATIENCE;
    (held || waited || state.is_held(batch)).then_some(Intent::End)
}

/// Whether it is known what each probe of the host says before the change; before the window's first, each
/// from outside of all hosts, since with that is settled what they are held against.
fn probed(state: &State, batch: &Batch, now: Time) -> bool {
    let known = |probe: &ProbeState| !effect::is_made(&probe.probe) || !probe.stale(now);
    let mut others = state.probes.values().filter(|p| !p.settled && p.probe.from == VantageKind::Outside);
    state.probes_of(&batch.host).all(|(_, probe)| known(probe)) && others.all(|probe| known(probe))
}

fn next_rehearsal(state: &State, now: Time) -> Option<Intent> {
    if state.frozen.is_some() {
        return Some(Intent::End);
    }
    // What failed was taken back, or somebody wants it to stop: no set can be frozen any more, and
    // the baseline is left as it was found.
    if !state.held.is_empty() {
        let left = state.in_order().any(|batch| batch.phase == Phase::Confirmed);
        let why = Untrusted::new("the rehearsal has stopped");
        return Some(if left { Intent::Rollback { scope: RollbackScope::All, why } } else { Intent::End });
    }
    let host = state.reference()?;
    if host.read_failed.is_some() && host.read_at.is_none() {
        return Some(Intent::End);
    }
    // Read, and what is pending there can't be told: there is nothing to rehearse.
    if host.reading.is_none()
        && host.read_at.is_some()
        && host.facts.updates.as_ref().is_none_or(|updates| updates.known().is_none())
    {
        return Some(Intent::End);
    }
    if host.planned && state.batches_of(&host.name).next().is_none() {
        // Nothing is pending: there is nothing to rehearse.
        return Some(Intent::End);
    }
    let batch = schedule::next(state)?;
    let judged = gate::judge(state, batch, now);
    let held = judged.iter().any(|judgement| judgement.state == GateState::Held);
    let waited = Span::between(batch.since, now) > PATIENCE;
    if held || waited || batch.never_began >= ORDERS {
        let back = state.in_order().any(|batch| batch.phase == Phase::Confirmed);
        let why = Untrusted::new("the rehearsal is held");
        return Some(if back { Intent::Rollback { scope: RollbackScope::All, why } } else { Intent::End });
    }
    None
}

/// What a person who closes the terminal, or whose connection drops, has asked for.
pub fn hold(why: &str) -> Intent {
    Intent::Hold { scope: HoldScope::Window, why: Untrusted::new(why) }
}
