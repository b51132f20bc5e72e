//! The cockpit: what the operator sees and presses.
//!
//! Views are functions of the state ([`view::render`]); cursors, sheets, scroll positions and first
//! presses live in a viewer's own [`Ui`]. Nothing here may decide what follows from a key beyond
//! naming the intent, reach a host, or ask the machine for the time: `now` is an argument, and only
//! `run` and `terminal` touch the terminal.

mod export; // packets into a file of their own
pub mod input;
mod keyboard;
pub mod keys;
pub mod palette;
pub mod replay;
pub mod run;
#[cfg(test)]
pub(crate) mod sample;
pub mod terminal;
pub mod theme;
pub mod ui;
pub mod view;

pub use input::{Key, UiInput};
pub use keys::Keys;
pub use replay::{Position, ReplayAction};
pub use run::{Ended, Options, run, run_replay};
pub use theme::{ColorDepth, Theme};
pub use ui::{Action, Ui};
