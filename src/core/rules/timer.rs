//! The dead-man timer's part of what is due: asking hosts how it stands, and confirming what was
//! watched for the bake time.

use crate::core::event::{BatchEvent, Event, Purpose};
use crate::core::state::{Batch, DeadMan, Health, Phase, State};
use crate::core::{effect, schedule};
use crate::types::{Span, Time};

/// How often a host is asked how its timer stands: the screen's figure is then never older than this.
const ASK: Span = Span::secs(15);
/// The same once the timer is due, or has fired.
const ASK_DUE: Span = Span::secs(2);
/// A confirm that did not come off is tried again after this long.
const CONFIRM_AGAIN: Span = Span::secs(10);

/// Hosts whose timer is to be asked for.
pub(super) fn ask(state: &State, now: Time) -> Vec<Event> {
    let awaited = |batch: &Batch| state.pending.values().any(|p| p.batch.as_ref() == Some(&batch.id));
    let due = state.in_order().filter(|batch| {
        let Some(timer) = &batch.timer else { return false };
        let idle = batch.phase.unconfirmed() && !batch.phase.running() && batch.phase != Phase::RolledBack;
        let pause = if timer.fired() || timer.fires_at().is_none_or(|at| now > at) { ASK_DUE } else { ASK };
        // A rollback that failed on the host is tried again there at its next boot.
        let pause = if batch.phase == Phase::RollbackFailed { ASK } else { pause };
        idle && !batch.wanted_back && !awaited(batch) && timer.asked_at().is_none_or(|at| now >= at + pause)
    });
    due.map(|batch| Event::Batch(BatchEvent::TimerAsked { batch: batch.id.clone(), extend: None })).collect()
}

/// A batch is confirmed when it was watched for the bake time and every required probe of its host's
/// customers passes, seen after the verifying. Confirming stays possible under a hold.
pub(super) fn confirm(state: &State, now: Time) -> Vec<Event> {
    let ready = |batch: &&std::sync::Arc<Batch>| {
        let fired = batch.timer.as_ref().is_some_and(DeadMan::fired);
        let again = batch.unconfirmed_since.as_ref().is_none_or(|(at, _)| now >= *at + CONFIRM_AGAIN);
        let asked = state.pending.values().any(|p| p.batch.as_ref() == Some(&batch.id));
        batch.phase == Phase::Verified
            && !batch.wanted_back
            && !fired
            && !asked
            && again
            && baked(state, batch, now)
    };
    let batches = state.in_order().filter(ready);
    batches.filter_map(|batch| Some(confirming(batch, grounds(state, batch, now)?))).collect()
}

/// A person's word, where no probe could say that customers are served.
///
/// # Errors
/// What stands against it, in words.
pub fn by_word(state: &State, batch: &Batch, now: Time) -> Result<Event, String> {
    if batch.phase != Phase::Verified || batch.wanted_back {
        return Err(format!("it is {}", batch.phase.word()));
    }
    if !unprobed(state, batch) {
        return Err("its customers' probes decide; it is confirmed by itself when they pass".to_owned());
    }
    if let (false, Some(at)) = (baked(state, batch, now), schedule::baked_at(state, batch)) {
        return Err(format!("it is watched until {}", at.format("%H:%M:%SZ")));
    }
    Ok(confirming(batch, "UNPROBED: confirmed by a person's word".to_owned()))
}

fn confirming(batch: &Batch, grounds: String) -> Event {
    let batch_id = batch.id.clone();
    Event::Batch(match &batch.timer {
        Some(_) => BatchEvent::ConfirmStarted { batch: batch_id, grounds },
        // Recorded by a version that had no timer: there is nobody to tell.
        None => BatchEvent::Confirmed { batch: batch_id, started: None, grounds },
    })
}

fn baked(state: &State, batch: &Batch, now: Time) -> bool {
    schedule::baked_at(state, batch).is_some_and(|at| now >= at)
}

/// Whether nothing would say that the customers of a batch's host are served: no probe that is required
/// and that this version makes.
pub fn unprobed(state: &State, batch: &Batch) -> bool {
    state.purpose == Some(Purpose::Run)
        && !state.probes_of(&batch.host).any(|(_, p)| effect::is_made(&p.probe) && p.required())
}

fn grounds(state: &State, batch: &Batch, now: Time) -> Option<String> {
    if state.purpose == Some(Purpose::Rehearsal) {
        return Some("verified on the baseline".to_owned());
    }
    let mut passed = 0;
    for (_, probe) in state.probes_of(&batch.host).filter(|(_, p)| effect::is_made(&p.probe) && p.required())
    {
        let fresh = probe.last().is_some_and(|(at, _)| *at > batch.verified_at.unwrap_or(batch.since));
        if !fresh || probe.health(now) != Health::Ok {
            return None;
        }
        passed += 1;
    }
    match passed {
        // Nothing says that customers are served: a person's word is wanted.
        0 => None,
        1 => Some("verified, its required probe passes".to_owned()),
        n => Some(format!("verified, its {n} required probes pass")),
    }
}
