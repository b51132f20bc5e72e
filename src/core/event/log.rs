//! Hosts' logs as they grow: whether they are followed, and how many lines told of errors. The lines
//! themselves go with the samples; these counts were made on the host, before any line was left out.

use serde::{Deserialize, Serialize};

use super::samples::LogSource;
use crate::core::state::{State, Work};
use crate::types::{HostName, Seq, Span, Time, Untrusted};

/// Something about a host's logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LogEvent {
    /// Following began; this event's number is the effect's id.
    FollowStarted {
        /// On which host.
        host: HostName,
    },
    /// The host follows its logs.
    Following {
        /// Which host.
        host: HostName,
    },
    /// They are not seen, or not any more.
    Unseen {
        /// On which host.
        host: HostName,
        /// Why.
        why: Untrusted,
    },
    /// Lines of one source within one stretch of time. A stretch without any is not told.
    Counted {
        /// On which host.
        host: HostName,
        /// Of which source.
        source: LogSource,
        /// How long a stretch, until now.
        over: Span,
        /// How many lines.
        lines: u32,
        /// How many of them tell of errors: priority 3 and below in the journal, a level in a file.
        errors: u32,
        /// How many of them were left out on the host.
        left_out: u32,
    },
    /// Following ended.
    FollowEnded {
        /// On which host.
        host: HostName,
        /// The effect's id.
        started: Seq,
        /// Why.
        why: Untrusted,
    },
}

impl LogEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::FollowStarted { host } => {
                state.await_answer(seq, host, None, Work::Logs);
                state.logs.entry(host.clone()).or_default().effect = Some(seq);
            }
            Self::Following { host } => {
                let logs = state.logs.entry(host.clone()).or_default();
                logs.followed(at);
            }
            Self::Unseen { host, why } => {
                let logs = state.logs.entry(host.clone()).or_default();
                logs.lost(at, why);
            }
            Self::Counted { host, errors, left_out, .. } => {
                let logs = state.logs.entry(host.clone()).or_default();
                logs.counted(at, *errors, *left_out);
            }
            Self::FollowEnded { host, started, why } => {
                state.answered(*started);
                let logs = state.logs.entry(host.clone()).or_default();
                if logs.effect == Some(*started) {
                    (logs.effect, logs.over) = (None, true);
                    logs.lost(at, why);
                }
            }
        }
    }
}
