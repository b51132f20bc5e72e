//! The window as a whole: opened, held, released, resumed, ended.

use serde::{Deserialize, Serialize};

use super::TakeOver;
use crate::core::change::Rehearsal;
use crate::core::state::{Held, State};
use crate::plan::Plan;
use crate::types::{BatchId, HostName, Span, Time, Untrusted};

/// What a recording is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Reading every host and judging every gate.
    Check,
    /// The whole cycle on the baseline.
    Rehearsal,
    /// The window.
    Run,
    /// Looking whether customers are reached, without a window.
    Probe,
}

impl Purpose {
    /// Whether hosts are taken for this process's own, to be changed; else they are looked at.
    pub fn takes_hosts(self) -> bool {
        match self {
            Self::Rehearsal | Self::Run => true,
            Self::Check | Self::Probe => false,
        }
    }
}

/// How far a hold reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldScope {
    /// Everything.
    Window,
    /// One host.
    Host(HostName),
    /// One batch.
    Batch(BatchId),
}

/// How a window or rehearsal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was planned is confirmed.
    Done,
    /// Something was rolled back, and verified.
    RolledBack,
    /// A gate held.
    Held,
    /// A rollback did not come off.
    RollbackIncomplete,
    /// A host or file could not be reached or read.
    Unreachable,
}

/// Something that happened to the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum WindowEvent {
    /// The plan was sealed and the recording began.
    Opened {
        /// What for.
        purpose: Purpose,
        /// The plan as sealed.
        plan: Box<Plan>,
        /// The rehearsal it stands on, where one was found.
        rehearsal: Option<Box<Rehearsal>>,
        /// The program's version.
        program: String,
    },
    /// Another process picked the recording up.
    Resumed {
        /// The program's version.
        program: String,
        /// How it came to hold it; versions before this one did not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        take_over: Option<Box<TakeOver>>,
    },
    /// Nothing new starts within the scope.
    Held {
        /// How far.
        scope: HoldScope,
        /// Why, in words.
        why: Untrusted,
    },
    /// A hold was taken back.
    Released {
        /// How far.
        scope: HoldScope,
    },
    /// A note at this moment.
    Marked {
        /// The note.
        note: Untrusted,
    },
    /// The clock jumped, or the machine slept, by more than two seconds.
    ClockStepped {
        /// By how many milliseconds; negative when it went back.
        by_ms: i64,
    },
    /// The journal could not be written for a while; what happened in that time was recorded late.
    Gap {
        /// Since when.
        since: Time,
        /// For how long.
        lasted: Span,
        /// The error of the first failure.
        why: Untrusted,
    },
    /// An answer came for work that nobody waits for any more.
    Stale {
        /// The id it carried.
        id: u64,
        /// What it was.
        what: Untrusted,
    },
    /// The end.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

impl WindowEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: u64, at: Time) {
        match self {
            Self::Opened { purpose, plan, rehearsal, program: _ } => {
                state.open(*purpose, plan, rehearsal.as_deref(), at);
            }
            Self::Resumed { program: _, take_over: _ } => {
                state.resumed += 1;
                // One that had ended goes on: the emergency key works the morning after, too.
                state.ended = None;
                state.forget_pending();
            }
            Self::Held { scope, why } => {
                if !state.held.iter().any(|held| held.scope == *scope) {
                    state.held.push(Held { scope: scope.clone(), why: why.clone(), at });
                }
            }
            Self::Released { scope } => state.held.retain(|held| held.scope != *scope),
            Self::Marked { note } => state.mark(seq, at, note.clone()),
            Self::ClockStepped { by_ms } => state.clock_stepped(*by_ms, at),
            Self::Stale { .. } | Self::Gap { .. } => {}
            Self::Ended { outcome } => state.ended = Some((at, *outcome)),
        }
    }
}
