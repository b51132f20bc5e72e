//! The dead-man timer of a batch, as the cockpit sets it and as the host says it stands.
//!
//! The host decides: it fires by its own clock, with nobody there. What stands here is what was asked
//! and what was answered.

use serde::{Deserialize, Serialize};

use crate::facts::{Fact, Replaced};
use crate::types::{Blake3, Nonce, OperationId, Span, Untrusted};

/// What a timer is armed with: a confirm carries the same words, or confirms nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arming {
    /// The word by which this timer is known.
    pub token: Nonce,
    /// The hash of the sealed plan.
    pub plan: Blake3,
    /// From arming until it fires: apply, reboot, verify, bake and `confirm_within`.
    pub apply: Span,
    /// The same once the apply has ended, counted from then: reboot, verify, bake and `confirm_within`.
    pub after: Span,
    /// From a boot that was declared until it fires: verify, bake and `confirm_within`, since servers boot
    /// slowly and their clocks start wrong.
    pub boot: Span,
    /// From a boot that nobody declared, at most: `confirm_within`.
    pub grace: Span,
    /// From the first arming: no extension goes beyond.
    pub cap: Span,
}

/// How a batch's timer stands on its host, as the host said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its state.
    pub state: TimerState,
    /// The word it was armed with.
    pub token: Option<Nonce>,
    /// While armed: until it fires.
    pub left: Span,
    /// What will fire it.
    pub watch: TimerWatch,
    /// The rollback that it started.
    pub operation: Option<OperationId>,
    /// Why that failed, in the host's words.
    pub why: Option<Untrusted>,
    /// While armed: the processes that still run what the batch replaced, sessions left out; `None` where
    /// the host was not asked for them. Until they are started anew its probes have seen the old code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Fact<Vec<Replaced>>>,
}

impl Timer {
    /// Whether the host will roll back by itself unless it is told otherwise.
    pub fn is_armed(&self) -> bool {
        self.state == TimerState::Armed && self.watch != TimerWatch::None
    }
}

/// The states of a timer on the host's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerState {
    /// There is none.
    None,
    /// It fires at its deadline.
    Armed,
    /// It was told that the customers' path was confirmed.
    Confirmed,
    /// Its deadline passed, or a rollback was asked for: the batch is being rolled back.
    Firing,
    /// The batch is rolled back.
    RolledBack,
    /// The rollback did not come off.
    RollbackFailed,
}

impl TimerState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Armed, Self::Confirmed, Self::Firing, Self::RolledBack, Self::RollbackFailed];

    /// Its word, on the host and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Armed => "armed",
            Self::Confirmed => "confirmed",
            Self::Firing => "firing",
            Self::RolledBack => "rolled-back",
            Self::RollbackFailed => "rollback-failed",
        }
    }
}

/// What fires a timer on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerWatch {
    /// Nothing: it would never fire.
    None,
    /// A systemd unit, also after a boot and in emergency mode.
    Systemd,
    /// A process, and cron after a boot.
    Cron,
    /// A process alone: a boot ends it.
    Process,
}

impl TimerWatch {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::None, Self::Systemd, Self::Cron, Self::Process];

    /// Its word, on the host and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Systemd => "systemd",
            Self::Cron => "cron",
            Self::Process => "process",
        }
    }
}
