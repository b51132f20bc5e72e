//! Probes and their results. Results are never dropped.

use serde::{Deserialize, Serialize};

use crate::core::state::{State, Work};
use crate::types::{CustomerName, Seq, Span, Time, Untrusted};

/// One probe of one customer: the customer and the probe's place in their list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    /// Whose.
    pub customer: CustomerName,
    /// Which of their probes, from 0.
    pub index: u16,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// It answered as it should, after this long.
    Ok {
        /// How long.
        took: Span,
        /// What it said, in short: a status, say.
        said: Untrusted,
    },
    /// The target did not.
    Fail {
        /// How, in words: "no answer in 3s", "refused", "status 500".
        why: Untrusted,
    },
    /// The attempt itself could not be made: no failure of the target.
    Broken {
        /// Why, in words.
        why: Untrusted,
    },
}

/// Something about probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ProbeEvent {
    /// Probing began; this event's number is the effect's id.
    WatchStarted,
    /// One attempt's result.
    Seen {
        /// Which probe.
        probe: ProbeId,
        /// How it went.
        outcome: ProbeOutcome,
    },
    /// Probing ended.
    WatchEnded {
        /// The effect's id.
        started: Seq,
        /// Why.
        why: Untrusted,
    },
}

impl ProbeEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::WatchStarted => {
                state.probing = Some(seq);
                state.await_watch(seq, Work::Probe);
            }
            Self::Seen { probe, outcome } => state.saw(probe, outcome, at),
            Self::WatchEnded { started, .. } => {
                state.answered(*started);
                if state.probing == Some(*started) {
                    state.probing = None;
                }
            }
        }
    }
}
