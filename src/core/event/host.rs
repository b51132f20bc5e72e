//! One host: reading what it says, losing it and finding it again.

use serde::{Deserialize, Serialize};

use super::{Failure, FailureKind};
use crate::core::state::{Reached, State};
use crate::facts::Domain;
use crate::types::{Epoch, HostName, Seq, Time, Untrusted};

/// What a host's helper said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperState {
    /// Whether the helper is installed, is this program's, and may be run as root.
    pub enrolled: bool,
    /// What stands against it, in words, where something does.
    pub why_not: Option<Untrusted>,
    /// The epoch the host has seen.
    pub epoch: Epoch,
}

/// Something that happened to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum HostEvent {
    /// Its facts are being read; this event's number is the effect's id.
    ReadStarted {
        /// Which host.
        host: HostName,
    },
    /// It answered, and this is its helper.
    Greeted {
        /// Which host.
        host: HostName,
        /// Its helper.
        helper: HelperState,
    },
    /// One domain of its facts.
    Learnt {
        /// Which host.
        host: HostName,
        /// The facts.
        domain: Box<Domain>,
    },
    /// Reading ended.
    ReadEnded {
        /// Which host.
        host: HostName,
        /// The effect's id.
        started: Seq,
        /// Why it failed, where it did.
        failure: Option<Failure>,
    },
    /// Its pending changes were cut into batches.
    Cut {
        /// Which host.
        host: HostName,
        /// How many batches; 0 where nothing is pending.
        batches: u32,
    },
    /// The connection was lost; what runs on the host goes on.
    Lost {
        /// Which host.
        host: HostName,
        /// How it was noticed.
        why: Untrusted,
    },
    /// There is no session with it, and that says nothing of whether it lives: it refuses or ends the connection, its
    /// name has no address, or what the way there goes through does not work.
    NoSession {
        /// Which host.
        host: HostName,
        /// How it was noticed.
        why: Untrusted,
    },
    /// The connection is back.
    Back {
        /// Which host.
        host: HostName,
    },
}

impl HostEvent {
    /// Which host it happened to.
    pub fn host(&self) -> &HostName {
        match self {
            Self::ReadStarted { host }
            | Self::Greeted { host, .. }
            | Self::Learnt { host, .. }
            | Self::ReadEnded { host, .. }
            | Self::Cut { host, .. }
            | Self::Lost { host, .. }
            | Self::NoSession { host, .. }
            | Self::Back { host } => host,
        }
    }

    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        if let Self::ReadStarted { host } = self {
            state.await_answer(seq, host, None, crate::core::state::Work::Read);
        }
        if let Self::ReadEnded { started, .. } = self {
            state.answered(*started);
        }
        let (ours, before) = (state.epoch, away(state));
        let Some(host) = state.host_mut(self.host()) else { return };
        match self {
            Self::ReadStarted { .. } => host.reading = Some(seq),
            Self::Greeted { helper, .. } => {
                host.helper = Some(helper.clone());
                host.overtaken = (helper.epoch > ours).then(|| host.overtaken.unwrap_or(at));
                host.reach.answers(at);
            }
            Self::Learnt { domain, .. } => host.facts.learn(at, (**domain).clone()),
            Self::ReadEnded { failure, .. } => {
                host.reading = None;
                match failure {
                    Some(failure) => {
                        host.read_failed = Some((at, failure.clone()));
                        host.reach.lost(failure.kind, &failure.what, at);
                    }
                    None => {
                        host.read_failed = None;
                        host.read_at = Some(at);
                        host.reach.answers(at);
                    }
                }
            }
            Self::Cut { .. } => host.planned = true,
            Self::Lost { why, .. } => host.reach.lost(FailureKind::Unreachable, why, at),
            Self::NoSession { why, .. } => host.reach.lost(FailureKind::NoSession, why, at),
            Self::Back { .. } => host.reach.answers(at),
        }
        // Until then nothing that is seen from here could be told from a network that is gone, or from a way to the
        // hosts that is.
        if before.iter().zip(away(state)).any(|(before, now)| *before && !now) {
            state.alarms.back = Some(at);
        }
    }
}

/// Whether the cockpit's network may lead to no host any more, and to none with customers.
fn away(state: &State) -> [bool; 2] {
    [state.reached(), state.live_reached()].map(|reached| matches!(reached, Reached::None { .. }))
}
