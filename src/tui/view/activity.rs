//! What is under way, or what is next. Work shows its step, how long it has run and what is left by
//! the estimate; never a share of the whole, which nobody knows.

use super::paint::Text;
use super::{baking, timer};
use crate::core::event::{HoldScope, LogSource};
use crate::core::schedule::{self, Estimate};
use crate::core::state::{Batch, Pending, Phase, Work};
use crate::core::{State, View, confirm, gate};
use crate::tui::theme::{Role, Theme};
use crate::types::{Span, Time};

fn word(work: Work) -> &'static str {
    match work {
        Work::Read => "reading",
        Work::Stage => "staging",
        Work::Apply => "applying",
        Work::Reboot => "rebooting",
        Work::Verify => "verifying",
        Work::Rollback => "rolling back",
        Work::Inspect => "inspecting",
        Work::Probe => "probing",
        Work::Logs => "following logs",
        Work::Timer => "asking for its timer",
        Work::Confirm => "confirming",
        Work::Capture => "capturing",
        Work::Evidence => "saving evidence",
    }
}

fn estimate(state: &State, batch: &Batch, work: Work) -> Option<Estimate> {
    match work {
        Work::Apply => Some(schedule::apply(state, &batch.changes)),
        Work::Reboot => Some(schedule::reboot(state, &batch.changes)),
        Work::Verify => Some(schedule::verify(state)),
        Work::Rollback => Some(schedule::rollback_pass(state, batch)),
        Work::Read
        | Work::Stage
        | Work::Inspect
        | Work::Probe
        | Work::Timer
        | Work::Confirm
        | Work::Logs
        | Work::Capture => None,
        Work::Evidence => None,
    }
}

/// The newest line that the operation of a batch wrote.
fn step(state: &State, batch: &Batch) -> Option<String> {
    let operation = batch.operation.as_ref()?;
    let mut newest = state.log.iter().rev().take(400);
    let line = newest.find(|line| matches!(&line.source, LogSource::Operation(own) if own == operation))?;
    Some(line.text.shown())
}

/// A line for each piece of work on a host, rollbacks first, then for what is watched before it is
/// confirmed, then for what is stored for later; and what is next, where nothing runs.
pub(super) fn lines(theme: &Theme, view: &View, now: Time, width: usize) -> Vec<Text> {
    let state = &view.state;
    let mut work: Vec<_> = state
        .pending
        .values()
        .filter(|pending| pending.batch.is_some() && pending.work != Work::Timer)
        .collect();
    work.sort_by_key(|pending| (pending.work != Work::Rollback, pending.since));
    let of = |pending: &&Pending| {
        let batch = state.batches.get(pending.batch.as_ref()?)?;
        let ran = Span::between(pending.since, now);
        let mut text = Text::of(Role::Busy, format!(" {} RUN  ", theme.glyph(Role::Busy)))
            .add(Role::Strong, batch.label())
            .add(Role::Busy, format!("  {}", word(pending.work)));
        text.push(Role::Plain, format!("  elapsed {}", ran.clock()));
        text = text.then(remaining(estimate(state, batch, pending.work), pending.since, now));
        if let Some(step) = step(state, batch) {
            text = text.add(Role::Dim, "  step: ").add(Role::Plain, step);
        }
        Some(text)
    };
    let (later, work): (Vec<&Pending>, Vec<&Pending>) =
        work.into_iter().partition(|pending| pending.work == Work::Stage);
    let mut lines: Vec<Text> = work.iter().filter_map(of).collect();
    // After a crash or on another machine: the work may go on there, and nobody waits for it here.
    let awaited = |batch: &Batch| state.pending.values().any(|other| other.batch.as_ref() == Some(&batch.id));
    for batch in state.in_order().filter(|batch| batch.phase.running() && !awaited(batch)) {
        let text = Text::of(Role::Unknown, format!(" {} RUN  ", theme.glyph(Role::Unknown)))
            .add(Role::Strong, batch.label())
            .add(Role::Unknown, format!("  {}: its end is unknown, the host is asked", batch.phase.word()));
        lines.push(text);
    }
    let runs = !lines.is_empty() || !later.is_empty();
    let verified = state.in_order().filter(|batch| batch.phase == Phase::Verified && !batch.wanted_back);
    lines.extend(verified.map(|batch| baking::line(theme, state, batch, now, width)));
    lines.extend(later.iter().filter_map(of));
    if !runs {
        lines.push(next(view, now));
    }
    lines
}

fn remaining(estimate: Option<Estimate>, since: Time, now: Time) -> Text {
    let Some(estimate) = estimate else { return Text::of(Role::Dim, "  no estimate") };
    let about = if estimate.measured { "est." } else { "est. unmeasured" };
    let ends = since + estimate.span;
    if now < ends {
        Text::of(
            Role::Plain,
            format!("  left {} ({about} {})", Span::between(now, ends).clock(), estimate.span.brief()),
        )
    } else {
        let over = Span::between(ends, now).clock();
        Text::of(Role::Warn, format!("  {over} over the estimate of {}", estimate.span.brief()))
    }
}

/// What is next, and what holds it.
fn next(view: &View, now: Time) -> Text {
    let state = &view.state;
    let reading: Vec<String> = state
        .hosts
        .values()
        .filter(|host| host.reading.is_some())
        .map(|host| host.name.to_string())
        .collect();
    let Some(batch) = schedule::next(state) else {
        let (role, text) = if !reading.is_empty() {
            (Role::Busy, format!(" reading {}", reading.join(", ")))
        } else if state.ended.is_some() {
            (Role::Dim, " the window has ended; :quit leaves".to_owned())
        } else if state.batches.is_empty() {
            (Role::Dim, " nothing is planned yet".to_owned())
        } else {
            (Role::Dim, " no batch waits".to_owned())
        };
        return Text::of(role, text);
    };
    let all = state.batches_of(&batch.host).count();
    let security = batch.changes.iter().filter(|change| change.security).count();
    let mut text = Text::of(Role::Dim, " NEXT   ")
        .add(Role::Strong, format!("{} of {all}", batch.label()))
        .add(Role::Plain, format!("  {}", changes(batch.changes.len())));
    let against: Vec<&str> = gate::judge(state, batch, now)
        .iter()
        .filter(|judgement| !judgement.state.passes())
        .map(|judgement| judgement.gate.word())
        .collect();
    if against.is_empty() {
        text.push(Role::Dim, "  waits for GO");
    } else {
        text = text.add(Role::Dim, "  waits for ").add(Role::Plain, against.join(", "));
    }
    if let Some(cutoff) = schedule::cutoff(state, batch) {
        text.push(Role::Dim, format!("  start by {}", super::header::stamp(cutoff, now)));
    }
    // Last, since a narrow screen cuts the end and the updates count them too.
    if security > 0 {
        text.push(Role::Security, format!("  {security} security"));
    }
    if !reading.is_empty() {
        text.push(Role::Dim, format!("  (reading {})", reading.join(", ")));
    }
    text
}

pub(super) fn changes(n: usize) -> String {
    if n == 1 { "1 change".to_owned() } else { format!("{n} changes") }
}

/// What a hold of this scope does not stop, in a sentence.
pub(in crate::tui) fn runs_on(state: &State, scope: &HoldScope, now: Time) -> String {
    let inside = |batch: &Batch| match scope {
        HoldScope::Window => true,
        HoldScope::Host(host) => *host == batch.host,
        HoldScope::Batch(id) => *id == batch.id,
    };
    let mut parts = Vec::new();
    for batch in state.in_order().filter(|batch| inside(batch)) {
        let label = batch.label();
        if batch.wanted_back {
            parts.push(format!("{label} rolls back"));
            continue;
        }
        if batch.phase.running() {
            parts.push(format!("{label} {} runs to its end", batch.phase.word()));
        }
        let verified = batch.phase == Phase::Verified;
        let unprobed = verified && confirm::unprobed(state, batch);
        match (timer::sentence(batch, now), batch.fires_at().is_some_and(|at| at > now)) {
            // Confirming stays possible: by whom is said with when it would go back.
            (Some(fires), true) if unprobed => parts.push(format!("{fires} (:confirm {})", batch.host)),
            (Some(fires), true) if verified => parts.push(format!("{fires} by its probes")),
            (Some(fires), _) => parts.push(fires),
            (None, _) => {}
        }
    }
    if parts.is_empty() { "Nothing runs.".to_owned() } else { format!("Not stopped: {}.", parts.join("; ")) }
}
