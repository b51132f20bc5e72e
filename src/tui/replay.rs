//! What a replay tells the cockpit beside the state, and what the cockpit asks of it. The state is
//! the same as in the window; moving in it can't touch a host, since the only actions are these.

use crate::types::{Seq, Span, Time, Untrusted};

/// Where a replay stands: shown as the timeline below the panes.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The moment shown.
    pub at: Time,
    /// When the recording begins.
    pub from: Time,
    /// When it ends.
    pub to: Time,
    /// The number of the last event taken in.
    pub event: Seq,
    /// The number of the recording's last event.
    pub events: Seq,
    /// Whether it plays by itself.
    pub playing: bool,
    /// How many seconds of the recording pass in one second.
    pub speed: f64,
    /// The idle stretch that is being skipped, where one is.
    pub skipped: Option<Span>,
    /// Its chapters, oldest first.
    pub chapters: Vec<Chapter>,
}

/// A moment that can be jumped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// When.
    pub at: Time,
    /// What happened.
    pub label: Untrusted,
}

/// What is asked of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayAction {
    /// Play, or stand still.
    TogglePlay,
    /// One event on.
    StepForward,
    /// One event back.
    StepBack,
    /// To the next chapter.
    NextMarker,
    /// To the chapter before.
    PrevMarker,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// To a moment as it was typed: `02:40:31`, `30%`.
    At(String),
    /// End the replay.
    Quit,
}
