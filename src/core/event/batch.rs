//! One batch, from plan to confirm or rollback. What undoes a step is recorded before it is taken:
//! the proof, with the old packages' hashes, stands in the journal before an apply may start.

use serde::{Deserialize, Serialize};

use super::{ApplyReport, Arming, Failure, Identity, Inspected, Proof, RollbackReport, Timer, VerifyReport};
use crate::core::change::Change;
use crate::core::identity;
use crate::core::schedule::{self, BootsBack};
use crate::core::state::{Batch, DeadMan, Phase, State, Work};
use crate::types::{BatchId, BootId, HostName, OperationId, Seq, Span, Time, Untrusted};

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
    /// Its changes are being applied. The proof before it is the inverse; the timer is armed first.
    ApplyStarted {
        /// Its id.
        batch: BatchId,
        /// The operation on the host.
        operation: OperationId,
        /// What its dead-man timer is armed with; `None` in recordings of versions that had none.
        #[serde(default)]
        arming: Option<Arming>,
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
    /// How its timer stands, as its host said on the way.
    TimerSeen {
        /// Its id.
        batch: BatchId,
        /// The timer.
        timer: Timer,
    },
    /// Its host is asked how the timer stands, or to lengthen it.
    TimerAsked {
        /// Its id.
        batch: BatchId,
        /// By how much longer, where it is asked for.
        extend: Option<Span>,
    },
    /// How the timer stands.
    TimerAnswered {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// The timer.
        result: Result<Timer, Failure>,
    },
    /// The timer is being told that the batch is confirmed.
    ConfirmStarted {
        /// Its id.
        batch: BatchId,
        /// On what grounds, in words.
        grounds: String,
    },
    /// It is confirmed, and its timer will not fire: the end of a batch.
    Confirmed {
        /// Its id.
        batch: BatchId,
        /// The effect's id; `None` where there was no timer to be told.
        #[serde(default)]
        started: Option<Seq>,
        /// On what grounds, in words.
        grounds: String,
    },
    /// It could not be confirmed: the timer runs on, or has fired.
    ConfirmFailed {
        /// Its id.
        batch: BatchId,
        /// The effect's id.
        started: Seq,
        /// Why.
        failure: Failure,
        /// How the timer stands, where the host said so.
        timer: Option<Timer>,
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
            | Self::TimerSeen { batch, .. }
            | Self::TimerAsked { batch, .. }
            | Self::TimerAnswered { batch, .. }
            | Self::ConfirmStarted { batch, .. }
            | Self::Confirmed { batch, .. }
            | Self::ConfirmFailed { batch, .. }
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
            Self::TimerAsked { .. } => Some(Work::Timer),
            Self::ConfirmStarted { .. } => Some(Work::Confirm),
            Self::TimerSeen { .. }
            | Self::TimerAnswered { .. }
            | Self::ConfirmFailed { .. }
            | Self::Planned { .. }
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
            | Self::TimerAnswered { started, .. }
            | Self::ConfirmFailed { started, .. }
            | Self::Inspected { started, .. } => Some(*started),
            Self::Confirmed { started, .. } => *started,
            Self::TimerSeen { .. }
            | Self::TimerAsked { .. }
            | Self::ConfirmStarted { .. }
            | Self::Planned { .. }
            | Self::Dropped { .. }
            | Self::StageStarted { .. }
            | Self::ApplyStarted { .. }
            | Self::RebootStarted { .. }
            | Self::VerifyStarted { .. }
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
            state.freeze_normal(&host);
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
        if matches!(self, Self::Applied { .. } | Self::Rebooted { .. } | Self::RolledBack { .. }) {
            batch.disturbed = Some(at);
        }
        // Asking how a timer stands is no operation on the host.
        if self.starts().is_some_and(|work| work != Work::Timer) {
            batch.attempts = batch.attempts.saturating_add(1);
        }
        match self {
            Self::Planned { .. } | Self::Dropped { .. } => {}
            Self::StageStarted { operation, .. } => {
                batch.operation = Some(operation.clone());
                batch.never_began = 0;
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
            Self::ApplyStarted { operation, arming, .. } => {
                batch.operation = Some(operation.clone());
                batch.timer = arming.clone().map(DeadMan::new);
                batch.verified_at = None;
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
            Self::TimerSeen { timer, .. } => batch.timer_said(timer, at),
            Self::TimerAsked { .. } => {}
            Self::TimerAnswered { result, .. } => batch.timer_answered(result, at),
            Self::ConfirmStarted { grounds, .. } => {
                batch.grounds = Some(grounds.clone());
                batch.enter(Phase::Confirming, at);
            }
            Self::Confirmed { grounds, .. } => batch.confirmed(grounds, at),
            Self::ConfirmFailed { failure, timer, .. } => batch.not_confirmed(failure, timer.as_ref(), at),
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
                    // The host may have booted the old kernel for it by itself, or been booted into it by others.
                    // Any other boot since leaves what was put back after it unbooted.
                    if let (Some(done), Some((trial, _))) = (&report.boot, &batch.rebooted)
                        && done != trial
                        && schedule::boots_back(batch) == Some(BootsBack::First)
                        && !schedule::boots_after(batch)
                    {
                        batch.rebooted_back = true;
                    }
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
