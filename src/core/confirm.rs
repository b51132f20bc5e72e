//! What confirms a batch: the probes that its customers require, seen after it was verified, or a
//! person's word where there are none.

use super::event::{BatchEvent, Event, ProbeId, Purpose};
use super::state::{Batch, Health, Phase, ProbeState, State};
use super::{effect, schedule};
use crate::types::Time;

/// A person's word, where no probe could say that customers are served.
///
/// # Errors
/// What stands against it, in words.
pub fn by_word(state: &State, batch: &Batch, now: Time) -> Result<Event, String> {
    if batch.wanted_back {
        return Err("it is to be rolled back".to_owned());
    }
    if batch.phase != Phase::Verified {
        return Err(format!("it is {}", batch.phase.word()));
    }
    if !unprobed(state, batch) {
        return Err("its customers' probes decide; it is confirmed by itself when they pass".to_owned());
    }
    if let (false, Some(at)) = (baked(state, batch, now), schedule::baked_at(state, batch)) {
        return Err(format!("it is watched until {}", at.format("%H:%M:%SZ")));
    }
    Ok(event(batch, "UNPROBED: confirmed by a person's word".to_owned()))
}

pub(super) fn event(batch: &Batch, grounds: String) -> Event {
    let batch_id = batch.id.clone();
    Event::Batch(match &batch.timer {
        Some(_) => BatchEvent::ConfirmStarted { batch: batch_id, grounds },
        // Recorded by a version that had no timer: there is nobody to tell.
        None => BatchEvent::Confirmed { batch: batch_id, started: None, grounds },
    })
}

/// The probes that decide: required, and made by this version.
pub fn required<'a>(
    state: &'a State,
    batch: &'a Batch,
) -> impl Iterator<Item = (&'a ProbeId, &'a ProbeState)> {
    let decides = |probe: &ProbeState| effect::is_made(&probe.probe) && probe.required();
    state.probes_of(&batch.host).map(|(id, probe)| (id, &**probe)).filter(move |(_, probe)| decides(probe))
}

/// Those of them that don't pass, or were not seen since the batch was verified.
pub fn against<'a>(state: &'a State, batch: &'a Batch, now: Time) -> Vec<(&'a ProbeId, &'a ProbeState)> {
    let since = batch.verified_at.unwrap_or(batch.since);
    let fresh = move |probe: &ProbeState| probe.last().is_some_and(|(at, _)| *at > since);
    required(state, batch).filter(|(_, probe)| !fresh(probe) || probe.health(now) != Health::Ok).collect()
}

pub(super) fn baked(state: &State, batch: &Batch, now: Time) -> bool {
    schedule::baked_at(state, batch).is_some_and(|at| now >= at)
}

/// Whether nothing would say that the customers of a batch's host are served: no probe that is required
/// and that this version makes.
pub fn unprobed(state: &State, batch: &Batch) -> bool {
    state.purpose == Some(Purpose::Run) && required(state, batch).next().is_none()
}

pub(super) fn grounds(state: &State, batch: &Batch, now: Time) -> Option<String> {
    if state.purpose == Some(Purpose::Rehearsal) {
        return Some("verified on the baseline".to_owned());
    }
    if !against(state, batch, now).is_empty() {
        return None;
    }
    let passed = required(state, batch).count();
    match passed {
        // Nothing says that customers are served: a person's word is wanted.
        0 => None,
        1 => Some("verified, its required probe passes".to_owned()),
        n => Some(format!("verified, its {n} required probes pass")),
    }
}
