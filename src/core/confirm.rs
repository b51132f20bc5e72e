//! What confirms a batch: the probes that its customers require, seen after it was verified, with nothing
//! left that runs the code of before; or a person's word where there are none, or where that is left.

use super::event::{BatchEvent, Event, ProbeId, Purpose};
use super::state::{Batch, Health, Phase, ProbeState, State};
use super::{alarm, effect, schedule};
use crate::facts::{Fact, Replaced};
use crate::types::{Time, Untrusted};

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
    if let Some(against) = alarm::line::against(state, batch) {
        return Err(against);
    }
    let old_code = old_code(state, batch);
    if !unprobed(state, batch) {
        if !against(state, batch, now).is_empty() {
            return Err("its probes decide, and not all of them pass".to_owned());
        }
        if old_code == OldCode::None {
            return Err("its probes decide; it is confirmed by itself when they pass".to_owned());
        }
        if old_code == OldCode::NotTold {
            return Err("its host is still asked what runs replaced files".to_owned());
        }
    }
    if let (false, Some(at)) = (baked(state, batch, now), schedule::baked_at(state, batch)) {
        return Err(format!("it is watched until {}", at.format("%H:%M:%SZ")));
    }
    let unprobed = if unprobed(state, batch) { "UNPROBED: " } else { "" };
    let although = old_code.words().map_or_else(String::new, |words| format!(", although {words}"));
    Ok(event(batch, format!("{unprobed}confirmed by a person's word{although}")))
}

/// Whether what the probes have seen is the new code (design.md: confirm holds while processes run
/// deleted or replaced files).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldCode<'a> {
    /// Nothing runs what the batch replaced.
    None,
    /// The host has not said since the batch was verified.
    NotTold,
    /// The host can't tell, and why.
    Unknown(&'a Untrusted),
    /// These do.
    Runs(&'a [Replaced]),
}

impl OldCode<'_> {
    /// What stands against a confirm, in words; `None` where nothing does.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::NotTold => Some("what still runs replaced files is not known yet".to_owned()),
            Self::Unknown(why) => {
                Some(format!("what still runs replaced files can't be told: {}", why.shown()))
            }
            Self::Runs(_) => {
                let path = self.file().map_or_else(|| "files".to_owned(), Untrusted::shown);
                Some(format!("{} still run the replaced {path}", self.who()))
            }
        }
    }

    /// What runs it, by unit where it is of one; empty where nothing is known to.
    pub fn who(&self) -> String {
        let Self::Runs(all) = self else { return String::new() };
        let mut names: Vec<String> = Vec::new();
        for one in *all {
            let process = || format!("{} ({})", one.program.shown(), one.pid);
            let name = one.unit.as_ref().map_or_else(process, ToString::to_string);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    }

    /// A file that they run and that was replaced.
    pub fn file(&self) -> Option<&Untrusted> {
        let Self::Runs(all) = self else { return None };
        all.iter().find_map(|one| one.path.as_ref())
    }
}

/// Services that are named; the others are counted.
const NAMED: usize = 3;

/// What a batch's host says of processes that run what it replaced. A rehearsal has no customers that
/// the old code would serve.
pub fn old_code<'a>(state: &State, batch: &'a Batch) -> OldCode<'a> {
    if state.purpose != Some(Purpose::Run) {
        return OldCode::None;
    }
    // Recorded by a version that had no timer: there is nobody to ask.
    let Some(timer) = &batch.timer else { return OldCode::None };
    match &timer.replaced {
        Some(Fact::Known(all)) if all.is_empty() => OldCode::None,
        Some(Fact::Known(all)) => OldCode::Runs(all),
        Some(Fact::Unknown(why)) => OldCode::Unknown(why),
        None => OldCode::NotTold,
    }
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
    if !against(state, batch, now).is_empty() || old_code(state, batch) != OldCode::None {
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
