//! What the rollback key would do now: which batches, in which order, whether it is ready; and how far
//! it is once it was pressed.

mod progress;

pub use progress::{Step, progress};

use super::change::Change;
use super::command::RollbackScope;
use super::fence;
use super::schedule::{self, Estimate};
use super::snapshot;
use super::state::{Batch, Phase, State};
use super::wayback::{self, WayBack};
use crate::types::{BatchId, HostName, Time, Untrusted};

/// What a rollback of one scope would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// The batches, in the order in which they would be rolled back.
    pub batches: Vec<BatchId>,
    /// Confirmed batches that stay as they are.
    pub stays: Vec<BatchId>,
    /// Whether confirmed work is among the batches: then the key wants a typed word.
    pub confirmed: bool,
    /// How many changes are taken back.
    pub changes: usize,
    /// Files of `/etc` that are put back, as far as is known.
    pub files: usize,
    /// Whether all of it is asked for or on its way already: the key starts nothing more.
    pub under_way: bool,
    /// What keeps it from being ready, in words; empty means READY.
    pub missing: Vec<String>,
    /// What it does not bring back, ready as it is: a package or the kernel, and in a word why.
    pub beyond: Vec<String>,
    /// How long it takes, reboots and verifying included.
    pub takes: Estimate,
    /// The moment that the hosts go back to: the start of the first of the batches.
    pub as_of: Option<Time>,
    /// When a rollback was last practised and verified identical.
    pub practised: Option<Time>,
}

/// Whether a batch's way back has begun on its host.
pub fn goes_back(phase: Phase) -> bool {
    matches!(phase, Phase::RollingBack | Phase::RolledBack | Phase::Comparing)
}

/// Batches of a scope, newest first: what was applied last is taken back first.
pub fn batches(state: &State, scope: &RollbackScope) -> Vec<BatchId> {
    let eligible = |batch: &&Batch| batch.phase.unconfirmed() || batch.phase.can_roll_back();
    let all: Vec<&Batch> = state.in_order().map(AsRef::as_ref).filter(eligible).collect();
    let mut chosen: Vec<&Batch> = match scope {
        RollbackScope::Unconfirmed => {
            let open: Vec<&Batch> = all.iter().copied().filter(|batch| batch.phase.unconfirmed()).collect();
            if open.is_empty() {
                let last = all.iter().copied().filter(|batch| batch.phase == Phase::Confirmed);
                last.max_by_key(|batch| batch.applied_as).into_iter().collect()
            } else {
                open
            }
        }
        RollbackScope::Host(host) => all.into_iter().filter(|batch| batch.host == *host).collect(),
        RollbackScope::Wave => {
            let newest = all.iter().max_by_key(|batch| batch.applied_as).map(|batch| batch.host.clone());
            all.into_iter().filter(|batch| Some(&batch.host) == newest.as_ref()).collect()
        }
        RollbackScope::All => all,
    };
    in_turn(&mut chosen);
    chosen.into_iter().map(|batch| batch.id.clone()).collect()
}

/// What the key would do for this scope.
pub fn outlook(state: &State, scope: &RollbackScope) -> Rollback {
    let ids = batches(state, scope);
    let chosen: Vec<&Batch> = ids.iter().filter_map(|id| state.batches.get(id)).map(AsRef::as_ref).collect();
    let stays = state
        .in_order()
        .filter(|batch| batch.phase == Phase::Confirmed && !batch.wanted_back && !ids.contains(&batch.id))
        .map(|batch| batch.id.clone())
        .collect();
    let missing = chosen.iter().flat_map(|batch| lacking(state, batch)).collect();
    let takes = if chosen.is_empty() {
        Estimate::NOTHING
    } else {
        schedule::way_back(state, &chosen).then(schedule::verify(state))
    };
    let practised =
        state.rehearsal.as_ref().filter(|rehearsal| rehearsal.identical).map(|rehearsal| rehearsal.at);
    Rollback {
        confirmed: chosen.iter().any(|batch| batch.phase == Phase::Confirmed),
        changes: chosen.iter().map(|batch| batch.changes.len()).sum(),
        files: chosen
            .iter()
            .filter_map(|batch| batch.applied.as_ref())
            .map(|report| report.etc_changed.len())
            .sum(),
        as_of: chosen.iter().filter_map(|batch| batch.apply_started).min(),
        under_way: !chosen.is_empty()
            && chosen.iter().all(|batch| {
                fence::of(state, &batch.host).is_none() && (batch.wanted_back || goes_back(batch.phase))
            }),
        batches: ids,
        stays,
        missing,
        beyond: chosen.iter().flat_map(|batch| beyond(state, batch)).collect(),
        takes,
        practised,
    }
}

/// What a batch lacks for its rollback.
fn lacking(state: &State, batch: &Batch) -> Vec<String> {
    if let Some(fence) = fence::of(state, &batch.host) {
        let (label, epoch) = (batch.label(), fence.epoch);
        return vec![format!(
            "{label}: another cockpit holds its host (epoch {epoch}, ours {})",
            state.epoch
        )];
    }
    let Some(proof) = &batch.proof else {
        return vec![format!("{}: no old packages are stored", batch.label())];
    };
    let mut lacking: Vec<String> =
        proof.missing.iter().map(|what| format!("{}: {}", batch.label(), what.shown())).collect();
    for file in proof.files.iter().filter(|file| file.from.is_some() && file.old.is_none()) {
        lacking.push(format!("{}: the old {} is not stored", batch.label(), file.package));
    }
    lacking.extend(proof.reverse.iter().map(|why| format!("{}: {}", batch.label(), Untrusted::shown(why))));
    lacking
}

/// What of a batch does not come back with its old packages.
fn beyond(state: &State, batch: &Batch) -> Vec<String> {
    let uncovered = snapshot::cover(state, batch).lacking().is_some();
    let words = |(change, class): &(&Change, WayBack)| match class {
        WayBack::Reversible => None,
        WayBack::SnapshotOnly(_) if !uncovered => None,
        WayBack::SnapshotOnly(_) => Some(format!("{} (snapshot only)", change.package.name)),
        WayBack::NoReturn(_) => Some(format!("{} (NO RETURN)", change.package.name)),
    };
    let manual =
        batch.proof.as_ref().and_then(|proof| proof.kernel.as_ref()).is_some_and(|k| k.manual.is_some());
    let kernel = manual.then(|| "the kernel (by hand)".to_owned());
    wayback::against(batch).iter().filter_map(words).chain(kernel).collect()
}

/// Why a rollback that is asked for has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Another cockpit holds its host: nothing that is ordered here counts there.
    Fenced,
    /// Nothing stands in its way: it begins now.
    Nothing,
    /// Its own work is under way, which is never cut short.
    Work(Phase),
    /// What was applied later on the same host goes first.
    After(BatchId),
    /// A host that it stands in for is taken back, or worked on: never both at once.
    Group(HostName),
}

/// What was applied last is taken back first.
fn in_turn(batches: &mut [&Batch]) {
    batches.sort_by_key(|batch| std::cmp::Reverse(batch.applied_as));
}

/// Whether its way back has begun and goes on by itself, the reboot that belongs to it included.
pub fn is_under_way(batch: &Batch) -> bool {
    goes_back(batch.phase) || boots_back(batch)
}

/// Whether it is in the reboot that belongs to its way back, or comes from there.
fn boots_back(batch: &Batch) -> bool {
    batch.rolled_back.is_some() && matches!(batch.phase, Phase::Rebooting | Phase::Rebooted)
}

/// Hosts that no rollback may begin on: something is done there. Storing the packages of another batch
/// changes nothing, and never keeps a rollback waiting; a rollback that waits for its comparison keeps
/// its place.
fn busy(state: &State) -> Vec<HostName> {
    let works =
        |batch: &Batch| (batch.phase.running() && batch.phase != Phase::Staging) || is_under_way(batch);
    state.in_order().filter(|batch| works(batch)).map(|batch| batch.host.clone()).collect()
}

/// What was applied later on the same host goes first, also while it can't start yet; where its
/// rollback did not come off, taking back what lies under it would make things worse.
fn after<'s>(state: &'s State, batch: &Batch) -> Option<&'s Batch> {
    let later = |other: &&Batch| {
        other.host == batch.host
            && other.applied_as > batch.applied_as
            && (other.wanted_back || other.phase.unconfirmed())
    };
    state.in_order().map(AsRef::as_ref).find(later)
}

/// What keeps a rollback that is asked for.
fn waits_for(state: &State, batch: &Batch) -> Wait {
    if fence::of(state, &batch.host).is_some() {
        return Wait::Fenced;
    }
    if !batch.phase.can_roll_back() {
        return Wait::Work(batch.phase);
    }
    if let Some(later) = after(state, batch) {
        return Wait::After(later.id.clone());
    }
    let ahead = |other: &&Batch| {
        other.wanted_back && other.phase.can_roll_back() && other.applied_as > batch.applied_as
    };
    let first = state.in_order().map(AsRef::as_ref).filter(ahead).map(|other| other.host.clone());
    let peer = busy(state).into_iter().chain(first).find(|host| schedule::stand_in(state, host, &batch.host));
    peer.map_or(Wait::Nothing, Wait::Group)
}

/// The next queued batches that may be rolled back now: one at a time on a host, never two hosts of
/// one group at once.
pub fn due(state: &State) -> Vec<BatchId> {
    let mut busy = busy(state);
    let mut wanted: Vec<&Batch> = state
        .in_order()
        .map(AsRef::as_ref)
        .filter(|batch: &&Batch| batch.wanted_back && batch.phase.can_roll_back())
        .collect();
    in_turn(&mut wanted);
    let mut due = Vec::new();
    for batch in wanted {
        let blocked = busy.iter().any(|host| schedule::stand_in(state, host, &batch.host));
        if after(state, batch).is_none() && !blocked {
            busy.push(batch.host.clone());
            due.push(batch.id.clone());
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{KernelBack, Proof};
    use crate::core::fixture;
    use crate::plan::Class;

    #[test]
    fn what_does_not_come_back_is_named_though_all_else_is_ready() {
        let mut state = fixture::window(4, &["web1"], "");
        let mut batch = fixture::batch("b1", "web1", 1);
        let (from, to) = ("8.0.36-0ubuntu0.22.04.1", "8.0.37-0ubuntu0.22.04.3");
        batch.changes = vec![fixture::change("mysql-server-8.0", from, to, Class::Server)];
        let kernel = KernelBack { keeps: None, manual: Some("no GRUB".into()) };
        batch.proof = Some(Proof { kernel: Some(kernel), ..Proof::default() });
        batch.enter(Phase::Verified, fixture::opens());
        state.plan_batch(batch.clone());
        let found = outlook(&state, &RollbackScope::Unconfirmed);
        assert_eq!(found.beyond, ["mysql-server-8.0 (NO RETURN)", "the kernel (by hand)"]);
        batch.changes = vec![fixture::change("nginx", "1", "2", Class::Server)];
        batch.proof = Some(Proof::default());
        state.plan_batch(batch);
        assert_eq!(outlook(&state, &RollbackScope::Unconfirmed).beyond, Vec::<String>::new());
    }
}
