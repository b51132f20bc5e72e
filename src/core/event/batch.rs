//! One batch, from plan to confirm or rollback. What undoes a step is recorded before it is taken:
//! the proof, with the old packages' hashes, stands in the journal before an apply may start.

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::core::change::Change;
use crate::core::identity;
use crate::core::state::{Batch, Phase, State, Work};
use crate::types::{
    BatchId, BootId, HostName, OperationId, PackageId, Seq, Sha256, Span, Time, UnitName, Untrusted, Version,
};

/// The evidence that a rollback will work, as the host gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Package files that are stored on the host, hashed there.
    pub files: Vec<ProofFile>,
    /// What could not be had or did not match, in words; empty is good.
    pub missing: Vec<Untrusted>,
    /// What apt says would change beyond the batch, forward.
    pub beyond: Vec<Untrusted>,
    /// Why apt says that the reverse would not go; `None` is good.
    pub reverse: Option<Untrusted>,
    /// Bytes needed on the host.
    pub space_needed: u64,
    /// Bytes free there.
    pub space_free: u64,
}

/// One change's stored files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFile {
    /// Which package.
    pub package: PackageId,
    /// The version before; `None` where it was not there.
    pub from: Option<Version>,
    /// The version of the batch.
    pub to: Version,
    /// The new file's hash.
    pub new: Sha256,
    /// The old file's hash; `None` where there is no old version.
    pub old: Option<Sha256>,
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplyReport {
    /// How long it took on the host.
    pub took: Span,
    /// Files of `/etc` that it changed.
    pub etc_changed: Vec<Untrusted>,
    /// Units that were restarted by it.
    pub restarted: Vec<UnitName>,
    /// Whether the host asks for a reboot now.
    pub reboot_required: bool,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RollbackReport {
    /// How long it took on the host.
    pub took: Span,
    /// Files of `/etc` that were put back.
    pub etc_restored: Vec<Untrusted>,
    /// Files of `/etc` left alone, since somebody else changed them after the batch.
    pub etc_left: Vec<Untrusted>,
    /// Addresses and routes that were put back.
    pub network_restored: Vec<Untrusted>,
    /// Units that were restarted again.
    pub restarted: Vec<UnitName>,
    /// Whether the host itself says that everything the batch touched is as before; `None`: it did not
    /// come to that, or the journal is from before this was recorded.
    #[serde(default)]
    pub identical: Option<bool>,
    /// What is still not as before, in words: addresses that are gone, files of the old packages.
    #[serde(default)]
    pub missing: Vec<Untrusted>,
    /// What could not be done as it should.
    #[serde(default)]
    pub cautions: Vec<Untrusted>,
}

/// What the host says of a batch's packages when asked to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerifyReport {
    /// `dpkg --audit`, a line each; empty is good.
    pub audit: Vec<Untrusted>,
    /// Packages that are not `install ok installed` in the version they should have; empty is good.
    pub wrong: Vec<Untrusted>,
    /// How many files of `/etc` are as before the batch.
    pub etc_same: u64,
    /// Those that are not.
    pub etc_differs: Vec<Untrusted>,
}

/// After a rollback: whether the host is as it was before the batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Packages and marks compared and the same.
    pub packages: u64,
    /// Files of `/etc` the same.
    pub files: u64,
    /// Addresses the same.
    pub addresses: u64,
    /// Listeners the same.
    pub listeners: u64,
    /// Exactly what differs, in words; empty means identical.
    pub differs: Vec<Untrusted>,
}

impl Identity {
    /// "identical: 1204 packages and their marks, 14 files, 5 addresses, 9 listeners", or what differs.
    pub fn sentence(&self) -> String {
        if self.differs.is_empty() {
            format!(
                "identical: {} packages and their marks, {} files, {} addresses, {} listeners",
                self.packages, self.files, self.addresses, self.listeners
            )
        } else {
            let all: Vec<String> = self.differs.iter().map(Untrusted::shown).collect();
            format!("differs in {}: {}", all.len(), all.join("; "))
        }
    }
}

/// What was found on the host of an operation whose answer was never recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inspected {
    /// It never began there.
    NeverBegan,
    /// It began, and how it ended can't be told.
    Unknown,
}

/// Something that happened to a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum BatchEvent {
    /// It was cut from a host's pending changes.
    Planned {
        /// Its id.
        batch: BatchId,
        /// On which host.
        host: HostName,
        /// Its number on that host, from 1.
        number: u32,
        /// What is in it.
        changes: Vec<Change>,
    },
    /// It was taken back before anything of it started.
    Dropped {
        /// Its id.
        batch: BatchId,
        /// Why.
        why: Untrusted,
    },
    /// Its packages are being fetched to the host, hashed, and both ways simulated.
    StageStarted {
        /// Its id.
        batch: BatchId,
        /// The operation on the host.
        operation: OperationId,
    },
    /// Staging ended.
    Staged {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// The evidence.
        result: Result<Proof, Failure>,
    },
    /// Its changes are being applied. The proof before it is the inverse.
    ApplyStarted {
        /// Its id.
        batch: BatchId,
        /// The operation on the host.
        operation: OperationId,
    },
    /// The apply ended.
    Applied {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// What it did.
        result: Result<ApplyReport, Failure>,
    },
    /// The host is being rebooted for it.
    RebootStarted {
        /// Its id.
        batch: BatchId,
        /// The boot that ends.
        was: BootId,
    },
    /// The reboot ended.
    Rebooted {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// The new boot, and how long it took.
        result: Result<(BootId, Span), Failure>,
    },
    /// It is being verified, after an apply or after a rollback.
    VerifyStarted {
        /// Its id.
        batch: BatchId,
        /// Whether after a rollback.
        after_rollback: bool,
    },
    /// Verifying ended.
    Verified {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// What the host says.
        result: Result<VerifyReport, Failure>,
        /// After a rollback: the comparison with before.
        identity: Option<Identity>,
        /// How long verifying took.
        took: Span,
    },
    /// It is confirmed: the end of a batch.
    Confirmed {
        /// Its id.
        batch: BatchId,
        /// On what grounds, in words.
        grounds: String,
    },
    /// It was decided to roll it back; it starts when its turn comes.
    RollbackQueued {
        /// Its id.
        batch: BatchId,
        /// Why, in words.
        why: Untrusted,
    },
    /// It is being rolled back.
    RollbackStarted {
        /// Its id.
        batch: BatchId,
        /// The operation on the host.
        operation: OperationId,
    },
    /// The rollback ended on the host; verifying follows.
    RolledBack {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// What it did.
        result: Result<RollbackReport, Failure>,
    },
    /// After a crash: the host is asked what became of the work.
    InspectStarted {
        /// Its id.
        batch: BatchId,
    },
    /// After a crash: what was found, where it was not the answer itself.
    Inspected {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// What was found.
        found: Inspected,
        /// In words.
        why: Untrusted,
    },
}

impl BatchEvent {
    /// Which batch it happened to.
    pub fn batch(&self) -> &BatchId {
        match self {
            Self::Planned { batch, .. }
            | Self::Dropped { batch, .. }
            | Self::StageStarted { batch, .. }
            | Self::Staged { batch, .. }
            | Self::ApplyStarted { batch, .. }
            | Self::Applied { batch, .. }
            | Self::RebootStarted { batch, .. }
            | Self::Rebooted { batch, .. }
            | Self::VerifyStarted { batch, .. }
            | Self::Verified { batch, .. }
            | Self::Confirmed { batch, .. }
            | Self::RollbackQueued { batch, .. }
            | Self::RollbackStarted { batch, .. }
            | Self::RolledBack { batch, .. }
            | Self::InspectStarted { batch }
            | Self::Inspected { batch, .. } => batch,
        }
    }

    /// The work that this event starts on a host, if it starts any.
    fn starts(&self) -> Option<Work> {
        match self {
            Self::StageStarted { .. } => Some(Work::Stage),
            Self::ApplyStarted { .. } => Some(Work::Apply),
            Self::RebootStarted { .. } => Some(Work::Reboot),
            Self::VerifyStarted { .. } => Some(Work::Verify),
            Self::RollbackStarted { .. } => Some(Work::Rollback),
            Self::InspectStarted { .. } => Some(Work::Inspect),
            Self::Planned { .. }
            | Self::Dropped { .. }
            | Self::Staged { .. }
            | Self::Applied { .. }
            | Self::Rebooted { .. }
            | Self::Verified { .. }
            | Self::Confirmed { .. }
            | Self::RollbackQueued { .. }
            | Self::RolledBack { .. }
            | Self::Inspected { .. } => None,
        }
    }

    /// The id of the effect that this event answers, if it answers one.
    pub fn answers(&self) -> Option<Seq> {
        match self {
            Self::Staged { started, .. }
            | Self::Applied { started, .. }
            | Self::Rebooted { started, .. }
            | Self::Verified { started, .. }
            | Self::RolledBack { started, .. }
            | Self::Inspected { started, .. } => Some(*started),
            Self::Planned { .. }
            | Self::Dropped { .. }
            | Self::StageStarted { .. }
            | Self::ApplyStarted { .. }
            | Self::RebootStarted { .. }
            | Self::VerifyStarted { .. }
            | Self::Confirmed { .. }
            | Self::RollbackQueued { .. }
            | Self::RollbackStarted { .. }
            | Self::InspectStarted { .. } => None,
        }
    }

    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        if let Self::Planned { batch, host, number, changes } = self {
            state.plan_batch(Batch::new(batch.clone(), host.clone(), *number, changes.clone(), at));
            return;
        }
        if let Self::Dropped { batch, .. } = self {
            state.drop_batch(batch);
            return;
        }
        if let Some(id) = self.answers() {
            state.answered(id);
        }
        let Some(host) = state.batches.get(self.batch()).map(|batch| batch.host.clone()) else { return };
        if let Some(work) = self.starts() {
            state.await_answer(seq, &host, Some(self.batch()), work);
        }
        let applies = matches!(self, Self::ApplyStarted { .. });
        if applies {
            state.freeze_normal();
        }
        let before = if applies { state.hosts.get(&host).map(|host| host.facts.clone()) } else { None };
        let Some(batch) = state.batch_mut(self.batch()) else { return };
        if matches!(
            self,
            Self::ApplyStarted { .. }
                | Self::Applied { .. }
                | Self::RollbackStarted { .. }
                | Self::RolledBack { .. }
        ) {
            batch.changed = Some(at);
        }
        if self.starts().is_some() {
            batch.attempts = batch.attempts.saturating_add(1);
        }
        match self {
            Self::Planned { .. } | Self::Dropped { .. } => {}
            Self::StageStarted { operation, .. } => {
                batch.operation = Some(operation.clone());
                batch.enter(Phase::Staging, at);
            }
            Self::Staged { result, .. } => match result {
                Ok(proof) => {
                    batch.proof = Some(proof.clone());
                    batch.enter(Phase::Staged, at);
                }
                Err(failure) => {
                    batch.proof = None;
                    batch.failure = Some(failure.clone());
                    batch.enter(Phase::StageFailed, at);
                }
            },
            Self::ApplyStarted { operation, .. } => {
                batch.operation = Some(operation.clone());
                batch.before = before.map(Box::new);
                batch.failure = None;
                batch.apply_started = Some(at);
                batch.applied_as = seq;
                batch.enter(Phase::Applying, at);
            }
            Self::Applied { result, .. } => match result {
                Ok(report) => {
                    batch.applied = Some(report.clone());
                    batch.enter(Phase::Applied, at);
                }
                Err(failure) => batch.fail(Phase::ApplyFailed, failure, at),
            },
            Self::RebootStarted { was, .. } => {
                batch.boot_before = Some(was.clone());
                batch.enter(Phase::Rebooting, at);
            }
            Self::Rebooted { result, .. } => match result {
                Ok((boot, took)) => {
                    batch.rebooted = Some((boot.clone(), *took));
                    batch.rebooted_back = batch.rolled_back.is_some();
                    batch.enter(Phase::Rebooted, at);
                }
                Err(failure) if batch.rolled_back.is_some() => batch.fail(Phase::RollbackFailed, failure, at),
                Err(failure) => batch.fail(Phase::ApplyFailed, failure, at),
            },
            Self::VerifyStarted { after_rollback, .. } => {
                let phase = if *after_rollback { Phase::Comparing } else { Phase::Verifying };
                batch.enter(phase, at);
            }
            Self::Verified { result, identity, took, .. } => {
                batch.verify_took = Some(*took);
                batch.verified(result, identity.as_ref(), at);
            }
            Self::Confirmed { .. } => batch.enter(Phase::Confirmed, at),
            Self::RollbackQueued { .. } => {
                batch.wanted_back = true;
            }
            Self::RollbackStarted { operation, .. } => {
                batch.operation = Some(operation.clone());
                batch.wanted_back = false;
                batch.failure = None;
                batch.rollback_started = Some(at);
                batch.enter(Phase::RollingBack, at);
            }
            Self::RolledBack { result, .. } => match result {
                Ok(report) => {
                    let first = batch.rolled_back.as_ref().filter(|_| batch.rebooted_back);
                    batch.rolled_back = Some(match first {
                        Some(first) => identity::both(first, report),
                        None => report.clone(),
                    });
                    batch.enter(Phase::RolledBack, at);
                }
                Err(failure) => batch.fail(Phase::RollbackFailed, failure, at),
            },
            Self::InspectStarted { .. } => {}
            Self::Inspected { found, why, .. } => batch.inspected(*found, why, at),
        }
        if batch.phase == Phase::RollbackFailed {
            state.leave_under(self.batch());
        }
    }
}
