//! The pure heart: what happened (events), what that makes (state), what is asked (commands), and
//! what follows (decisions).
//!
//! No tokio, no screen, no ssh, no file and no clock: time is an argument. Only [`State::apply`]
//! changes state, and only for committed records; folding the journal gives the live state.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod aftermath;
pub mod alarm;
pub mod alone;
#[cfg(test)]
pub(crate) mod arbitrary;
pub mod change;
pub mod command;
pub mod confirm;
pub mod cut;
pub mod decide;
pub mod describe;
pub mod effect;
pub mod event;
pub mod evidence;
pub mod fence;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gate;
pub mod identity;
pub mod matrix;
pub mod pilot;
pub mod risk;
pub mod rollback;
mod rules;
pub mod schedule;
pub mod snapshot;
pub mod standing;
pub mod state;
pub mod tasks;
pub mod vantage;
pub mod verdict;
pub mod view;
pub mod wayback;

pub use change::{Change, Frozen, Rehearsal, Standing};
pub use command::{Answer, Command, Input, Intent, Sample};
pub use effect::{Effect, Started};
pub use event::{Event, Record};
pub use state::State;
pub use tasks::{ProbeTask, Subject};
pub use view::{JournalHealth, View};
