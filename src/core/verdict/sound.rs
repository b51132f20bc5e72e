//! Whether a place that one looks from works, as far as what is seen from there tells.

use std::collections::BTreeSet;

use super::seen::{Look, answered, counts, look};
use crate::core::event::{ProbeId, ProbeOutcome, Vantage};
use crate::core::state::{Batch, Series, State};
use crate::core::tasks::peer;
use crate::core::vantage::vantage_broken;
use crate::plan::{Probe, VantageKind};
use crate::types::Time;

/// Why nothing that is seen from this vantage says anything about a target: its controls say so or, without
/// any that was looked at, the hosts that nothing was done to.
pub(in crate::core) fn broken(state: &State, vantage: &Vantage, now: Time) -> Option<String> {
    vantage_broken(state, vantage, now).or_else(|| unsound(state, vantage, now))
}

/// Why nothing that is seen from this vantage says anything about a target. Without controls the hosts that
/// nothing is under way on serve as such: where a probe of theirs passed before, and nothing at all has come
/// back from there since it fails, it is the vantage. A cockpit that still reaches a host by ssh has a network.
fn unsound(state: &State, vantage: &Vantage, now: Time) -> Option<String> {
    // A control that passes from there shows that it works.
    let mut sound = state.controls.iter().filter_map(|control| Some((control, control.from(vantage)?)));
    if sound.any(|(control, series)| look(series, &control.probe, now).is_ok()) {
        return None;
    }
    let customers = || state.plan.iter().flat_map(|plan| &plan.customers);
    let touched = |id: &ProbeId| {
        let host = customers().find(|customer| customer.name == id.customer).map(|customer| &customer.host);
        host.is_none_or(|host| state.batches_of(host).any(|batch| is_open(batch)))
    };
    // Of what peers judge, that which this one looks at.
    let looks = |id: &ProbeId, probe: &Probe| match (vantage, probe.from) {
        (Vantage::Peer(looker), VantageKind::Peer) => {
            let host =
                customers().find(|customer| customer.name == id.customer).map(|customer| &customer.host);
            let plan = state.plan.as_ref();
            host.zip(plan).and_then(|(host, plan)| peer(state, plan, host)).as_ref() == Some(looker)
        }
        (Vantage::Peer(_) | Vantage::Cockpit | Vantage::Further(_) | Vantage::Inside, _) => true,
    };
    let all = || {
        let made = state.probes.iter().filter(|(id, probe)| counts(probe) && looks(id, &probe.probe));
        made.filter_map(|(id, probe)| Some((id, &probe.probe, probe.from(vantage)?)))
    };
    // One host that nothing comes back from explains itself: without another a peer can't be told from it.
    if matches!(vantage, Vantage::Peer(_)) {
        let host = |id: &ProbeId| Some(&customers().find(|customer| customer.name == id.customer)?.host);
        let hosts: BTreeSet<_> =
            all().filter(|(_, _, series)| series.last().is_some()).filter_map(|(id, ..)| host(id)).collect();
        if hosts.len() < 2 {
            return None;
        }
    }
    let (mut controls, mut since, mut why) = (0, None, None);
    for (_, probe, series) in all().filter(|(id, _, series)| series.before == Some(true) && !touched(id)) {
        let words = match look(series, probe, now) {
            Look::Ok { .. } | Look::Mending | Look::Shaky { .. } | Look::Nothing | Look::Stale(_) => continue,
            Look::Fail { why, .. } | Look::Broken(why) => why,
        };
        // One attempt that fails is followed by others before it says anything of what else was seen since.
        let run = series.results.iter().rev().take_while(|(_, outcome)| is_silent(outcome)).count();
        let Some(silent) = silent_since(series).filter(|_| run >= probe.fails.fails as usize) else {
            continue;
        };
        (controls, since) = (controls + 1, since.max(Some(silent)));
        why.get_or_insert(words);
    }
    let (since, why) = (since?, why?.shown());
    let connected = *vantage == Vantage::Cockpit && state.reaches_a_host();
    let came_back = |(at, outcome): &(Time, ProbeOutcome)| match outcome {
        ProbeOutcome::Ok { .. } => *at >= since,
        ProbeOutcome::Fail { kind, .. } => *at >= since && (connected || answered(*kind)),
        ProbeOutcome::Broken { .. } => false,
    };
    if all().any(|(_, _, series)| series.last().is_some_and(came_back)) {
        return None;
    }
    Some(match controls {
        1 => format!("nothing passes from there, a host that is not worked on neither: {why}"),
        n => format!("nothing passes from there, {n} probes of hosts that are not worked on neither: {why}"),
    })
}

/// Whether work on its host may be what its customers feel.
fn is_open(batch: &Batch) -> bool {
    batch.phase.unconfirmed() || batch.phase.running() || batch.wanted_back
}

/// Since when nothing has come back, no refusal either; `None` where the newest attempt had an answer.
pub(in crate::core) fn silent_since(series: &Series) -> Option<Time> {
    series.results.iter().rev().take_while(|(_, outcome)| is_silent(outcome)).last().map(|(at, _)| *at)
}

/// Whether nothing came back to an attempt, no refusal either.
pub(in crate::core) fn is_silent(outcome: &ProbeOutcome) -> bool {
    match outcome {
        ProbeOutcome::Ok { .. } => false,
        ProbeOutcome::Fail { kind, .. } => !answered(*kind),
        ProbeOutcome::Broken { .. } => true,
    }
}
