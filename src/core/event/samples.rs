//! Log lines and rows of packets, a record for each 100 ms at most, capped, with counts of what was left
//! out.

use serde::{Deserialize, Serialize};

use super::row::PacketRow;
use crate::core::state::State;
use crate::types::{HostName, OperationId, Seq, Time, Untrusted};

/// Where a line came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// An operation's output.
    Operation(OperationId),
    /// holdpoint itself, about a host.
    Holdpoint,
    /// The host's journal.
    Journal,
    /// A log file of the plan, by its path.
    File(Untrusted),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Of which host.
    pub host: HostName,
    /// From where.
    pub source: LogSource,
    /// When the cockpit had it.
    pub at: Time,
    /// What wrote it, where the journal tells: a unit, or a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Untrusted>,
    /// Whether it tells of an error.
    #[serde(default, skip_serializing_if = "is_not")]
    pub error: bool,
    /// The line.
    pub text: Untrusted,
}

impl LogLine {
    /// A line of an operation, or of holdpoint itself.
    pub fn new(host: HostName, source: LogSource, at: Time, text: Untrusted) -> Self {
        Self { host, source, at, by: None, error: false, text }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// What came in within one stretch of 100 ms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// The lines that were kept, oldest first.
    pub lines: Vec<LogLine>,
    /// How many were left out.
    pub left_out: u64,
    /// The rows of packets that were kept, oldest first for each host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<PacketRow>,
    /// How many were left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rows_left_out: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Samples {
    pub(crate) fn apply(&self, state: &mut State, _seq: Seq, _at: Time) {
        for line in &self.lines {
            state.log.push(line.clone());
        }
        state.log_left_out = state.log_left_out.saturating_add(self.left_out);
        for row in &self.rows {
            state.packets.push(row.clone());
        }
        state.packets_left_out = state.packets_left_out.saturating_add(self.rows_left_out);
    }
}
