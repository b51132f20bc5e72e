//! A verified batch on its way to being confirmed: how long it is still watched, which probes decide,
//! and what it waits for.

use super::header::stamp;
use super::paint::Text;
use super::probes::target;
use super::timer::left;
use crate::core::confirm::{self, OldCode};
use crate::core::state::{Batch, Health, Phase, ProbeState};
use crate::core::{State, schedule};
use crate::tui::theme::{Role, Theme};
use crate::types::{Span, Time, Untrusted};

/// Required probes that are named; the others are counted.
const NAMED: usize = 2;

/// How long a batch is still watched; `None` where it is not.
fn watched(state: &State, batch: &Batch, now: Time) -> Option<Span> {
    let at = schedule::baked_at(state, batch).filter(|at| batch.phase == Phase::Verified && now < *at)?;
    Some(Span::between(now, at))
}

/// Where a verified batch stands, in at most nine columns.
pub(super) fn standing(state: &State, batch: &Batch, now: Time) -> Option<(Role, String)> {
    if batch.phase != Phase::Verified {
        return None;
    }
    Some(match watched(state, batch, now) {
        Some(span) => (Role::HostRun, format!("BAKE {}", left(span))),
        None if confirm::unprobed(state, batch) => (Role::HostUnknown, "CONFIRM?".to_owned()),
        None => (Role::HostRun, "BAKED".to_owned()),
    })
}

/// The line of a verified batch.
pub(super) fn line(theme: &Theme, state: &State, batch: &Batch, now: Time, width: usize) -> Text {
    let wide = width >= 100;
    let watched = watched(state, batch, now);
    let (role, word) = if watched.is_some() { (Role::Busy, "BAKE") } else { (Role::Warn, "OPEN") };
    let mut head = Text::of(role, format!(" {} {word} ", theme.glyph(role))).add(Role::Strong, batch.label());
    if let Some(span) = watched {
        head.push(Role::Busy, format!("  {} left", left(span)));
    }
    let fires = batch.fires_at().filter(|_| wide);
    let fires = fires.map_or_else(String::new, |at| format!("  else rolls back {}", stamp(at, now)));
    // Fewer are named before it is cut off when it rolls back by itself.
    let with = |named: usize| {
        let (role, what) = confirming(state, batch, watched.is_some(), now, (wide, named));
        head.clone().add(role, format!("  {what}")).add(Role::Dim, fires.clone())
    };
    let mut texts = (0..=NAMED).rev().map(with);
    texts.find(|text| text.width() <= width).unwrap_or_else(|| with(0))
}

fn confirming(
    state: &State,
    batch: &Batch,
    bakes: bool,
    now: Time,
    (wide, named): (bool, usize),
) -> (Role, String) {
    if let Some((at, failure)) = &batch.unconfirmed_since {
        let (when, why) = (at.format("%H:%M:%SZ"), failure.what.shown());
        // What a person said is not said again by itself.
        let then = if confirm::unprobed(state, batch) {
            format!("wants :confirm {} again", batch.host)
        } else {
            "tried again".to_owned()
        };
        return (Role::Warn, format!("NOT CONFIRMED {when}, {then}: {why}"));
    }
    if confirm::unprobed(state, batch) {
        let ask = format!(":confirm {}", batch.host);
        let text =
            if bakes { format!("UNPROBED: then wants {ask}") } else { format!("UNPROBED: wants {ask}") };
        return (Role::Warn, text);
    }
    let against = confirm::against(state, batch, now);
    // One that passed before the verifying only has to be seen again.
    let failing: Vec<_> = against.iter().filter(|(_, probe)| probe.health(now) != Health::Ok).collect();
    let open = if bakes { &failing } else { &against.iter().collect() };
    if let (true, Some(words)) = (open.is_empty(), old(state, batch, bakes)) {
        return (Role::Warn, words);
    }
    if open.is_empty() {
        let Some(at) = schedule::baked_at(state, batch).filter(|_| bakes) else {
            return (Role::Plain, "is about to be confirmed".to_owned());
        };
        let probes = match confirm::required(state, batch).count() {
            1 => "1 required probe passes".to_owned(),
            n => format!("{n} required probes pass"),
        };
        let how = if wide { "confirmed by itself at" } else { "confirmed" };
        return (Role::Plain, format!("{how} {} when {probes}", stamp(at, now)));
    }
    let wait = if bakes { "then waits for" } else { "not confirmed: waits for" };
    let all = open.len();
    let more = all.saturating_sub(named);
    let first: Vec<String> = open
        .iter()
        .take(named)
        .map(|(id, probe)| format!("{} {} {}", id.customer, target(&probe.probe.target), word(probe, now)))
        .collect();
    let what = match (first.is_empty(), more) {
        (true, 1) => "1 required probe".to_owned(),
        (true, _) => format!("{all} required probes"),
        (false, 0) => first.join(", "),
        (false, _) => format!("{} and {more} more", first.join(", ")),
    };
    (Role::Warn, format!("{wait} {what}"))
}

/// What still runs the code of before: the probes have seen that, not the new one.
fn old(state: &State, batch: &Batch, bakes: bool) -> Option<String> {
    let old_code = confirm::old_code(state, batch);
    let words = match old_code {
        OldCode::Runs(_) => {
            let file = old_code.file().map_or_else(|| "files".to_owned(), Untrusted::shown);
            let name = file.rsplit('/').next().unwrap_or(&file);
            format!("{} run old {name}", old_code.who())
        }
        OldCode::Unknown(_) => old_code.words()?,
        // Told within moments of the verifying.
        OldCode::NotTold if bakes => return None,
        OldCode::NotTold | OldCode::None => return old_code.words(),
    };
    let wait = if bakes { "then waits" } else { "not confirmed" };
    Some(format!("{wait}: {words}; restart there, or :confirm {}", batch.host))
}

fn word(probe: &ProbeState, now: Time) -> &'static str {
    match probe.health(now) {
        Health::Fail => "FAIL",
        Health::Shaky => "shaky",
        Health::Unknown => "unknown",
        Health::Ok => "not seen since the verifying",
    }
}
