//! One batch and where it stands.

use super::DeadMan;
use crate::core::change::Change;
use crate::core::event::{
    ApplyReport, Failure, FailureKind, Identity, Inspected, Proof, RollbackReport, VerifyReport,
};
use crate::facts::Facts;
use crate::types::{BatchId, BootId, HostName, OperationId, Seq, Span, Time, Untrusted};

/// The changes applied together on one host, and what became of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// On which host.
    pub host: HostName,
    /// Its number on that host, from 1, for people: "web1 batch 1".
    pub number: u32,
    /// What is in it.
    pub changes: Vec<Change>,
    /// How often work was started for it: makes the ids of operations differ.
    pub attempts: u32,
    /// Where it stands.
    pub phase: Phase,
    /// Since when it stands there.
    pub since: Time,
    /// The newest operation on the host.
    pub operation: Option<OperationId>,
    /// The evidence that its rollback will work.
    pub proof: Option<Proof>,
    /// The host's facts just before the apply.
    pub before: Option<Box<Facts>>,
    /// When the apply started.
    pub apply_started: Option<Time>,
    /// The number of the event that started the apply: rollbacks go by it, since clocks step.
    pub applied_as: Seq,
    /// What the apply did.
    pub applied: Option<ApplyReport>,
    /// The boot before a reboot.
    pub boot_before: Option<BootId>,
    /// The boot after it, and how long it took.
    pub rebooted: Option<(BootId, Span)>,
    /// Whether it was rebooted again after its rollback.
    pub rebooted_back: bool,
    /// How long the last verifying took.
    pub verify_took: Option<Span>,
    /// How often its apply was ordered and never began.
    pub never_began: u32,
    /// Its dead-man timer, once it was armed or is about to be.
    pub timer: Option<DeadMan>,
    /// When it was verified: the bake is counted from here.
    pub verified_at: Option<Time>,
    /// On what grounds it is, or is being, confirmed.
    pub grounds: Option<String>,
    /// When it could not be confirmed the last time it was tried, and why.
    pub unconfirmed_since: Option<(Time, Failure)>,
    /// Whether a rollback is decided and waits for its turn.
    pub wanted_back: bool,
    /// When the host's packages last changed, or may have, by this batch: facts from before that
    /// say nothing about what is pending now.
    pub changed: Option<Time>,
    /// When what its customers are expected to feel was over the last time: an apply, a reboot, a rollback.
    pub disturbed: Option<Time>,
    /// When the rollback started.
    pub rollback_started: Option<Time>,
    /// What the rollback did.
    pub rolled_back: Option<RollbackReport>,
    /// After a rollback: the comparison with before.
    pub identity: Option<Identity>,
    /// Why the last act failed, where it did.
    pub failure: Option<Failure>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Cut, nothing done.
    Planned,
    /// Its packages are being stored and hashed on the host.
    Staging,
    /// Stored, hashed, both ways simulated.
    Staged,
    /// Staging did not come off.
    StageFailed,
    /// Being applied.
    Applying,
    /// Applied on the host.
    Applied,
    /// The apply, the reboot or the verifying failed: it is to be rolled back.
    ApplyFailed,
    /// The host is rebooting for it.
    Rebooting,
    /// The host is back.
    Rebooted,
    /// Being verified.
    Verifying,
    /// Verified: watched for the bake time, its timer running.
    Verified,
    /// Its timer is being told that it is confirmed.
    Confirming,
    /// Confirmed: its end, when all went well.
    Confirmed,
    /// What became of it can't be told: it is to be rolled back, or inspected again.
    Unknown,
    /// Being rolled back.
    RollingBack,
    /// Rolled back on the host; not compared with before.
    RolledBack,
    /// Being compared with before.
    Comparing,
    /// Rolled back and identical: a good outcome.
    Back,
    /// Rolled back, and something differs from before.
    BackDiffers,
    /// The rollback did not come off.
    RollbackFailed,
}

impl Phase {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::Staging => "STAGING",
            Self::Staged => "READY",
            Self::StageFailed => "NO PROOF",
            Self::Applying => "APPLYING",
            Self::Applied => "APPLIED",
            Self::ApplyFailed => "FAILED",
            Self::Rebooting => "REBOOT",
            Self::Rebooted => "BOOTED",
            Self::Verifying => "VERIFY",
            Self::Verified => "BAKE",
            Self::Confirming => "CONFIRM",
            Self::Confirmed => "DONE",
            Self::Unknown => "UNKNOWN",
            Self::RollingBack => "ROLLBACK",
            Self::RolledBack => "BACK",
            Self::Comparing => "COMPARE",
            Self::Back => "BACK ok",
            Self::BackDiffers => "BACK diff",
            Self::RollbackFailed => "RB FAILED",
        }
    }

    /// The same as the end of a sentence about the batch.
    pub fn clause(self) -> &'static str {
        match self {
            Self::Planned => "is planned",
            Self::Staging => "is being staged",
            Self::Staged => "is ready",
            Self::StageFailed => "has no proof",
            Self::Applying => "is being applied",
            Self::Applied => "is applied, not verified",
            Self::ApplyFailed => "failed to apply, and is not back",
            Self::Rebooting => "reboots its host",
            Self::Rebooted => "has rebooted its host, not verified",
            Self::Verifying => "is being verified",
            Self::Verified => "is watched, not confirmed",
            Self::Confirming => "is being confirmed",
            Self::Confirmed => "is confirmed",
            Self::Unknown => "may be on its host: what became of it is not known",
            Self::RollingBack => "is being rolled back",
            Self::RolledBack | Self::Comparing => "is rolled back, not compared",
            Self::Back => "is back",
            Self::BackDiffers => "is rolled back, and its host differs from before",
            Self::RollbackFailed => "could not be rolled back",
        }
    }

    /// Whether something of the batch is, or may be, on the host without being confirmed: what the
    /// rollback key starts with.
    pub fn unconfirmed(self) -> bool {
        match self {
            Self::Applying
            | Self::Applied
            | Self::ApplyFailed
            | Self::Rebooting
            | Self::Rebooted
            | Self::Verifying
            | Self::Verified
            | Self::Confirming
            | Self::Unknown
            | Self::RollingBack
            | Self::RolledBack
            | Self::Comparing
            | Self::RollbackFailed => true,
            Self::Planned
            | Self::Staging
            | Self::Staged
            | Self::StageFailed
            | Self::Confirmed
            | Self::Back
            | Self::BackDiffers => false,
        }
    }

    /// Whether work on the host is under way.
    pub fn running(self) -> bool {
        match self {
            Self::Staging
            | Self::Applying
            | Self::Rebooting
            | Self::Verifying
            | Self::Confirming
            | Self::RollingBack
            | Self::Comparing => true,
            Self::Planned
            | Self::Staged
            | Self::StageFailed
            | Self::Applied
            | Self::ApplyFailed
            | Self::Rebooted
            | Self::Verified
            | Self::Confirmed
            | Self::Unknown
            | Self::RolledBack
            | Self::Back
            | Self::BackDiffers
            | Self::RollbackFailed => false,
        }
    }

    /// Whether a rollback can be started from here: there is something on the host, or may be, and
    /// no rollback is under way or done.
    pub fn can_roll_back(self) -> bool {
        match self {
            Self::Applied
            | Self::ApplyFailed
            | Self::Rebooted
            | Self::Verified
            | Self::Confirmed
            | Self::Unknown
            | Self::RollbackFailed
            | Self::BackDiffers => true,
            // An apply is never killed, and a reboot can't be: the rollback is queued behind it.
            Self::Applying | Self::Rebooting | Self::Verifying | Self::Confirming => false,
            Self::Planned
            | Self::Staging
            | Self::Staged
            | Self::StageFailed
            | Self::RollingBack
            | Self::RolledBack
            | Self::Comparing
            | Self::Back => false,
        }
    }
}

impl Batch {
    /// What people call it: "web1 batch 1".
    pub fn label(&self) -> String {
        format!("{} batch {}", self.host, self.number)
    }

    pub(in crate::core) fn new(
        id: BatchId,
        host: HostName,
        number: u32,
        changes: Vec<Change>,
        at: Time,
    ) -> Self {
        Self {
            id,
            host,
            number,
            changes,
            attempts: 0,
            phase: Phase::Planned,
            since: at,
            operation: None,
            proof: None,
            before: None,
            apply_started: None,
            applied_as: 0,
            applied: None,
            boot_before: None,
            rebooted: None,
            rebooted_back: false,
            verify_took: None,
            never_began: 0,
            timer: None,
            verified_at: None,
            grounds: None,
            unconfirmed_since: None,
            wanted_back: false,
            changed: None,
            disturbed: None,
            rollback_started: None,
            rolled_back: None,
            identity: None,
            failure: None,
        }
    }

    pub(in crate::core) fn enter(&mut self, phase: Phase, at: Time) {
        self.phase = phase;
        self.since = at;
    }

    pub(in crate::core) fn fail(&mut self, phase: Phase, failure: &Failure, at: Time) {
        self.failure = Some(failure.clone());
        self.enter(phase, at);
    }

    pub(in crate::core) fn verified(
        &mut self,
        result: &Result<VerifyReport, Failure>,
        identity: Option<&Identity>,
        at: Time,
    ) {
        let back = self.phase == Phase::Comparing;
        self.identity = identity.cloned();
        match (result, back) {
            (Ok(report), false) => match problem(report) {
                None => {
                    self.verified_at = Some(at);
                    // What ran before that says nothing of what runs now.
                    if let Some(timer) = &mut self.timer {
                        timer.replaced = None;
                    }
                    self.enter(Phase::Verified, at);
                }
                Some(what) => self.fail(Phase::ApplyFailed, &Failure::new(FailureKind::Failed, what), at),
            },
            (Ok(report), true) => {
                let differs = identity.is_none_or(|identity| !identity.differs.is_empty());
                match problem(report) {
                    Some(what) => {
                        self.fail(Phase::RollbackFailed, &Failure::new(FailureKind::Failed, what), at);
                    }
                    None if differs => self.enter(Phase::BackDiffers, at),
                    None => self.enter(Phase::Back, at),
                }
            }
            (Err(failure), false) => self.fail(Phase::ApplyFailed, failure, at),
            (Err(failure), true) => self.fail(Phase::RollbackFailed, failure, at),
        }
    }

    /// After a crash: it began nowhere, or how it ended can't be told.
    pub(in crate::core) fn inspected(&mut self, found: Inspected, why: &Untrusted, at: Time) {
        let failure = Failure { kind: FailureKind::Failed, what: why.clone() };
        match (found, self.phase) {
            (Inspected::NeverBegan, Phase::Staging) => self.enter(Phase::Planned, at),
            (Inspected::NeverBegan, Phase::Applying) => {
                // There is nothing to take back.
                self.wanted_back = false;
                self.never_began = self.never_began.saturating_add(1);
                self.enter(Phase::Staged, at);
                self.failure = Some(failure);
            }
            (Inspected::NeverBegan, Phase::Rebooting) if self.rolled_back.is_some() => {
                self.enter(Phase::RolledBack, at);
            }
            (Inspected::NeverBegan, Phase::Rebooting) => self.enter(Phase::Applied, at),
            // One that has been rebooted is not rebooted again.
            (Inspected::NeverBegan, Phase::Verifying) if self.rebooted.is_some() => {
                self.enter(Phase::Rebooted, at);
            }
            (Inspected::NeverBegan, Phase::Verifying) => self.enter(Phase::Applied, at),
            (Inspected::NeverBegan, Phase::Comparing) => self.enter(Phase::RolledBack, at),
            (Inspected::NeverBegan, Phase::RollingBack) => {
                // It was wanted, so it is wanted still.
                self.wanted_back = true;
                self.fail(Phase::Unknown, &failure, at);
            }
            // What its timer does is asked anew.
            (_, Phase::Confirming) => self.enter(Phase::Verified, at),
            (Inspected::Unknown, Phase::RollingBack) => self.fail(Phase::RollbackFailed, &failure, at),
            (Inspected::Unknown, Phase::Staging) => self.fail(Phase::StageFailed, &failure, at),
            (Inspected::Unknown | Inspected::NeverBegan, _) => self.fail(Phase::Unknown, &failure, at),
        }
    }
}

fn problem(report: &VerifyReport) -> Option<String> {
    let lines: Vec<String> = report.audit.iter().chain(&report.wrong).map(Untrusted::shown).collect();
    if lines.is_empty() { None } else { Some(lines.join("; ")) }
}
