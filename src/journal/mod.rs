//! The journal: what happened, written down before it has effects, read back after a crash.
//!
//! [`EventLog`] is the seam between the conductor and whatever keeps the events: [`FileLog`] is the
//! file of a recording, [`MemoryLog`] one for simulations that can be made to fail. Nothing here
//! may decide anything, reach a host, know a runtime, or ask the machine for the time.

mod file;
mod files;
mod find;
mod format;
mod holder;
mod memory;
mod read;
mod recording;
mod storage;
mod upcast;

pub use file::{FileLog, Unwritten};
pub use files::{Differs, KeptFiles};
pub use find::{Found, find_rehearsal, recordings, rehearsal_in};
pub use format::{FORMAT, Header, LINE_MAX};
pub use holder::{Held, Holder, machine};
pub use memory::MemoryLog;
pub use read::{
    Damage, End, Entry, Journal, ReadError, Reader, Torn, Unknown, UnknownEvents, read, read_sound,
};
pub use recording::{Opened, Recording, RecordingError, Take, default_root, folder_name, inside};

use crate::core::Record;
use crate::types::{Seq, Untrusted};

/// Where events are kept. Taking them never waits for a disk; effects wait for [`LogNews::Durable`].
pub trait EventLog {
    /// Takes records that follow number `expected`. They are committed, so they may be applied, and
    /// not durable yet. Never blocks.
    fn append(&mut self, expected: Seq, records: Vec<Record>) -> Append;

    /// What became durable or failed since the last call, oldest first. Never blocks.
    fn poll(&mut self) -> Vec<LogNews>;

    /// The number of the last committed record; 0 before the first.
    fn last(&self) -> Seq;

    /// Bytes that were taken and are not durable. They grow while the disk is away; whoever feeds
    /// the log leaves samples out (and counts them) when this gets large.
    fn behind(&self) -> usize;
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "records that were not committed must not be applied"]
pub enum Append {
    /// They are in the log.
    Committed,
    /// None of them is: others' records came first. Apply those, then decide again.
    Conflict {
        /// The records after `expected`, in order.
        theirs: Vec<Record>,
    },
    /// None of them is, and trying again won't help.
    Refused(Refused),
}

/// Why records can never be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The numbers don't follow.
    #[error("record {found} can't follow record {last} in the journal; it would have to be {}", .last + 1)]
    Order {
        /// The last number in the log.
        last: Seq,
        /// The number that was to follow.
        found: Seq,
    },
    /// A line longer than a reader takes.
    #[error("record {seq} would take {bytes} bytes in the journal, more than the {most} a line may have")]
    TooLong {
        /// Its number.
        seq: Seq,
        /// The length of its line.
        bytes: usize,
        /// The most a line may have.
        most: usize,
    },
    /// It can't be written as JSON.
    #[error("record {seq} can't be written as JSON: {why}")]
    Unwritable {
        /// Its number.
        seq: Seq,
        /// Why.
        why: String,
    },
}

/// What became of records that were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogNews {
    /// Every record up to this one is on the disk.
    Durable(Seq),
    /// Writing failed; told once, until [`LogNews::Healed`]. The records are kept, and writing is
    /// tried again every second.
    Failed {
        /// The first record that is not on the disk.
        from: Seq,
        /// What was tried, on what, and the error.
        why: Untrusted,
    },
    /// Writing works again, and [`LogNews::Durable`] follows.
    Healed {
        /// Where bytes were set aside that a failed write left and that were not ours to write.
        torn: Option<Untrusted>,
    },
}

/// Called, from whatever thread it happens on, when [`EventLog::poll`] has news. Must not block.
pub type Wake = Box<dyn Fn() + Send>;

/// Whether these records are numbered as those that follow `last`.
fn check_order(last: Seq, expected: Seq, records: &[Record]) -> Result<(), Refused> {
    if expected != last {
        return Err(Refused::Order { last, found: expected.saturating_add(1) });
    }
    for (before, record) in (last..).zip(records) {
        if record.seq != before + 1 {
            return Err(Refused::Order { last: before, found: record.seq });
        }
    }
    Ok(())
}
