//! The rehearsal's own milestones: apply, roll back, apply again, freeze.

use serde::{Deserialize, Serialize};

use crate::core::change::Rehearsal;
use crate::core::state::{Round, State};
use crate::types::{Seq, Time};

/// Something about the rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RehearsalEvent {
    /// The next round of the cycle begins.
    RoundStarted {
        /// Which.
        round: Round,
    },
    /// The set is frozen: the rehearsal is complete.
    Frozen {
        /// What it left.
        rehearsal: Box<Rehearsal>,
    },
}

impl RehearsalEvent {
    pub(crate) fn apply(&self, state: &mut State, _seq: Seq, _at: Time) {
        match self {
            Self::RoundStarted { round } => state.round = *round,
            Self::Frozen { rehearsal } => state.frozen = Some((**rehearsal).clone().into()),
        }
    }
}
