//! Evidence: what a host was like at a moment, kept in the recording.

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::core::evidence::Evidence;
use crate::core::state::{State, Work};
use crate::types::{Blake3, HostName, Seq, Time, Untrusted};

/// A file of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// Its name inside the recording.
    pub file: Untrusted,
    /// The hash of what is in it.
    pub blake3: Blake3,
    /// How large it is.
    pub bytes: u64,
}

/// Something about evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EvidenceEvent {
    /// A host is asked what it is like; this event's number is the effect's id.
    Started {
        /// Which host.
        host: HostName,
        /// What for.
        why: Untrusted,
    },
    /// It is kept, or not.
    Saved {
        /// Of which host.
        host: HostName,
        /// The effect's id.
        started: Seq,
        /// The file, or why there is none.
        result: Result<EvidenceFile, Failure>,
    },
}

impl EvidenceEvent {
    /// Which host it is about.
    pub fn host(&self) -> &HostName {
        match self {
            Self::Started { host, .. } | Self::Saved { host, .. } => host,
        }
    }

    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::Started { host, .. } => {
                state.await_answer(seq, host, None, Work::Evidence);
                let of = state.evidence.entry(host.clone()).or_default();
                of.asked = Some((seq, at));
            }
            Self::Saved { host, started, result } => {
                state.answered(*started);
                let Evidence { asked, saved } = state.evidence.entry(host.clone()).or_default();
                if asked.is_some_and(|(seq, _)| seq == *started) {
                    *asked = None;
                }
                *saved = Some((at, result.clone()));
            }
        }
    }
}
