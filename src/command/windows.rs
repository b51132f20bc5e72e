//! The windows in this machine's recordings, for a command that is about hosts and in nobody's window: which
//! of them are open, and on whose account a batch is on a host. Nothing here writes or takes a lock.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use color_eyre::eyre::Result;

use super::socket::{self, Found};
use crate::core::State;
use crate::core::state::Phase;
use crate::journal::{self, Held, Recording, Take};
use crate::plan::Plan;
use crate::types::{BatchId, HostName};

/// What is known here of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The recording that planned it.
    pub folder: PathBuf,
    /// Whether its window has ended and left nothing of it to be done on the host.
    pub over: bool,
    /// The epoch that it came to.
    epoch: u64,
}

/// A window that a process has in hand now.
struct Live {
    folder: PathBuf,
    /// Which process, and since when.
    who: String,
    /// Its hosts, by name and by how they are reached.
    hosts: BTreeSet<(HostName, String)>,
}

/// The windows of this machine.
pub struct Windows {
    live: Vec<Live>,
    known: BTreeMap<BatchId, Known>,
}

impl Windows {
    /// Looks through the recordings under `root`, and these: which are in hand, and which planned one of
    /// these batches. What can't be read is said and passed over: the hosts refuse by themselves.
    ///
    /// # Errors
    /// Where `root` can't be listed. One that is not there holds nothing.
    pub async fn under(root: &Path, more: &[PathBuf], wanted: &BTreeSet<BatchId>) -> Result<Self> {
        let mut windows = Self { live: Vec::new(), known: BTreeMap::new() };
        for folder in more.iter().cloned().chain(journal::recordings(root)?) {
            let held = Recording::holder(&folder);
            let held = held.unwrap_or_else(|error| {
                tracing::warn!("{}: {error}", folder.display());
                None
            });
            let state = match Recording::read(&folder, Take::SoundPrefix) {
                Ok(journal) => {
                    let mut state = State::default();
                    journal.known().for_each(|record| state.apply(record));
                    state
                }
                Err(error) => {
                    tracing::warn!("{}: {error}", folder.display());
                    continue;
                }
            };
            for batch in wanted.iter().filter_map(|id| state.batches.get(id)) {
                let over = held.is_none() && state.ended.is_some() && !is_on_its_host(batch.phase);
                let known = Known { folder: folder.clone(), over, epoch: state.epoch };
                // A window that was taken over has two: the later one knows what became of the batch.
                match windows.known.entry(batch.id.clone()) {
                    Entry::Vacant(entry) => {
                        entry.insert(known);
                    }
                    Entry::Occupied(mut entry) => {
                        let all_over = over && entry.get().over;
                        if entry.get().epoch < known.epoch {
                            entry.insert(known);
                        }
                        entry.get_mut().over = all_over;
                    }
                }
            }
            if let (Some(held), Some(plan)) = (held, &state.plan) {
                let hosts = plan.reached().map(|(name, ssh)| (name.clone(), ssh.to_owned())).collect();
                windows.live.push(Live { who: who(&folder, &held).await, folder, hosts });
            }
        }
        Ok(windows)
    }

    /// Who has a window with this host in hand, in words.
    pub fn live_on(&self, plan: &Plan, host: &HostName) -> Option<String> {
        let ssh = plan.reached().find(|(name, _)| *name == host).map(|(_, ssh)| ssh);
        // The same machine may have another name in another plan; "local" is the same everywhere here.
        let has = |live: &&Live| live.hosts.iter().any(|(name, to)| name == host || Some(to.as_str()) == ssh);
        let live = self.live.iter().find(has)?;
        let folder = live.folder.display();
        Some(format!(
            "{} has a window with it in hand: end that first, or leave it for a rollback: holdpoint rollback {folder}",
            live.who
        ))
    }

    /// What is known of a batch.
    pub fn known(&self, batch: &BatchId) -> Option<&Known> {
        self.known.get(batch)
    }
}

async fn who(folder: &Path, held: &Held) -> String {
    match socket::find(folder).await {
        Found::Alive(alive) => format!("a cockpit that lives ({})", alive.words()),
        Found::Silent(why) => format!("{}, which does not answer ({why}),", held.words.shown()),
        Found::Nobody => held.words.shown(),
    }
}

/// Whether the host has changes of such a batch that nobody has said yes to, or may have.
fn is_on_its_host(phase: Phase) -> bool {
    match phase {
        Phase::Planned | Phase::Staging | Phase::Staged | Phase::StageFailed => false,
        Phase::Confirmed | Phase::Back | Phase::BackDiffers => false,
        Phase::Applying
        | Phase::Applied
        | Phase::ApplyFailed
        | Phase::Rebooting
        | Phase::Rebooted
        | Phase::Verifying
        | Phase::Verified
        | Phase::Confirming
        | Phase::Unknown
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Comparing
        | Phase::RollbackFailed => true,
    }
}
