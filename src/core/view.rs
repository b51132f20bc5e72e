//! What a viewer draws: the state, and what stands beside it without being part of the record.

use std::sync::Arc;

use super::state::State;
use crate::types::{Time, Untrusted};

/// One published moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The state.
    pub state: Arc<State>,
    /// Whether the journal can be written.
    pub journal: JournalHealth,
    /// Whether this is live or a replay.
    pub live: bool,
}

/// Whether the journal can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalHealth {
    /// It can.
    Sound,
    /// It can't: nothing new starts, a rollback does all the same.
    Failing {
        /// Since when.
        since: Time,
        /// The error.
        why: Untrusted,
    },
}
