//! Two cockpits: what follows when a host has a higher epoch than this recording. Another cockpit holds
//! it then and every change of ours is refused there, so this one watches and orders nothing more.

use std::sync::Arc;

use super::event::{BatchEvent, Event, Purpose};
use super::state::{Batch, Host, State};
use crate::types::{Epoch, HostName, Time};

/// Another cockpit's hold on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The epoch that the host has.
    pub epoch: Epoch,
    /// Since when that is known here.
    pub since: Time,
}

/// Whether another cockpit holds a host, as far as its host has said. A check holds none itself.
pub fn of(state: &State, host: &HostName) -> Option<Fence> {
    of_host(state, state.hosts.get(host)?)
}

fn of_host(state: &State, host: &Host) -> Option<Fence> {
    if state.purpose == Some(Purpose::Check) {
        return None;
    }
    let epoch = host.helper.as_ref()?.epoch;
    (epoch > state.epoch).then_some(Fence { epoch, since: host.overtaken? })
}

/// Every host that another cockpit holds, by name.
pub fn all(state: &State) -> Vec<(&HostName, Fence)> {
    state.hosts.iter().filter_map(|(name, host)| Some((name, of_host(state, host)?))).collect()
}

/// Batches on hosts that this cockpit may still change.
pub fn ours(state: &State) -> impl Iterator<Item = &Arc<Batch>> {
    state.in_order().filter(|batch| of(state, &batch.host).is_none())
}

/// "another cockpit holds web1, web2 since 02:10:31Z (epoch 9, ours 5)"; nothing where none does.
pub fn sentence(state: &State) -> Option<String> {
    let all = all(state);
    let since = all.iter().map(|(_, fence)| fence.since).min()?;
    let epoch = all.iter().map(|(_, fence)| fence.epoch).max()?;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let (names, at) = (names.join(", "), since.format("%H:%M:%SZ"));
    Some(format!("another cockpit holds {names} since {at} (epoch {epoch}, ours {})", state.epoch))
}

/// What may be begun of what a rule wants: nothing that changes a host which another cockpit holds. It
/// would be refused there, again and again.
pub(super) fn kept(state: &State, mut events: Vec<Event>) -> Vec<Event> {
    events.retain(|event| match event {
        Event::Batch(event) if changes(event) => {
            state.batches.get(event.batch()).is_none_or(|batch| of(state, &batch.host).is_none())
        }
        Event::Batch(_)
        | Event::Window(_)
        | Event::Host(_)
        | Event::Gate(_)
        | Event::Probe(_)
        | Event::Rehearsal(_)
        | Event::Samples(_) => true,
    });
    events
}

/// Whether an event begins something that its host obeys under its epoch alone.
fn changes(event: &BatchEvent) -> bool {
    match event {
        BatchEvent::StageStarted { .. }
        | BatchEvent::ApplyStarted { .. }
        | BatchEvent::RebootStarted { .. }
        | BatchEvent::ConfirmStarted { .. }
        | BatchEvent::RollbackStarted { .. }
        | BatchEvent::InspectStarted { .. }
        | BatchEvent::TimerAsked { extend: Some(_), .. } => true,
        BatchEvent::Planned { .. }
        | BatchEvent::Dropped { .. }
        | BatchEvent::Staged { .. }
        | BatchEvent::Applied { .. }
        | BatchEvent::Rebooted { .. }
        | BatchEvent::VerifyStarted { .. }
        | BatchEvent::Verified { .. }
        | BatchEvent::TimerSeen { .. }
        | BatchEvent::TimerAsked { extend: None, .. }
        | BatchEvent::TimerAnswered { .. }
        | BatchEvent::Confirmed { .. }
        | BatchEvent::ConfirmFailed { .. }
        | BatchEvent::RollbackQueued { .. }
        | BatchEvent::RolledBack { .. }
        | BatchEvent::Inspected { .. } => false,
    }
}
