//! Probes and their results. Results are never dropped.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::core::state::{State, Work};
use crate::plan::VantageKind;
use crate::types::{CustomerName, HostName, Seq, Sha256, Span, Time, Untrusted};

/// One probe of one customer: the customer and the probe's place in their list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    /// Whose.
    pub customer: CustomerName,
    /// Which of their probes, from 0.
    pub index: u16,
}

/// Where one attempt was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// Outside: the cockpit's machine.
    #[default]
    Cockpit,
    /// Outside: a further vantage of the plan, by its name there.
    Further(HostName),
    /// Inside: the host that serves the customer.
    Inside,
    /// Another host of the plan.
    Peer(HostName),
}

impl Vantage {
    /// What kind of vantage it is.
    pub fn kind(&self) -> VantageKind {
        match self {
            Self::Cockpit | Self::Further(_) => VantageKind::Outside,
            Self::Inside => VantageKind::Inside,
            Self::Peer(_) => VantageKind::Peer,
        }
    }

    /// Whether a probe that the plan wants made from such a place is judged by what is seen from here; all
    /// that is seen from elsewhere explains it. Outside alone is the cockpit: a further vantage tells more.
    pub fn judges(&self, from: VantageKind) -> bool {
        match self {
            Self::Cockpit => from == VantageKind::Outside,
            Self::Further(_) => false,
            Self::Inside => from == VantageKind::Inside,
            Self::Peer(_) => from == VantageKind::Peer,
        }
    }

    fn is_cockpit(&self) -> bool {
        *self == Self::Cockpit
    }
}

/// How a target failed, as far as one attempt can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailKind {
    /// Nothing answered in time: no connection, no echo, no reply to a query.
    NoAnswer,
    /// Something answered that nobody listens there.
    Refused,
    /// A router, or this machine's routes, said that the target can't be reached.
    Unreachable,
    /// The connection was ended by a reset, or closed before it said what was asked.
    Cut,
    /// Connected, then silence until the timeout.
    Silence,
    /// The TLS handshake was refused: an alert, or no TLS at all.
    TlsRefused,
    /// TLS works, the certificate is not the right one: other names, expired, not trusted.
    Certificate,
    /// An HTTP status of 500 and above, or a name server that says it can't or won't answer (SERVFAIL,
    /// REFUSED).
    ServerError,
    /// Another HTTP status, a redirect, or content that was not expected.
    Content,
    /// The database refused the login, does not exist, or does not answer what it is asked.
    Database,
    /// A command ended with a status other than 0, or a name has no such record.
    Command,
    /// Anything else; what was recorded by a version that did not tell.
    #[default]
    Other,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// It answered as it should, after this long.
    Ok {
        /// How long.
        took: Span,
        /// What it said, in short: a status, say.
        said: Untrusted,
    },
    /// The target did not.
    Fail {
        /// How, in words: "no answer in 3s", "refused", "status 500".
        why: Untrusted,
        /// How, for whoever judges.
        #[serde(default)]
        kind: FailKind,
    },
    /// The attempt itself could not be made: no failure of the target.
    Broken {
        /// Why, in words.
        why: Untrusted,
    },
}

impl ProbeOutcome {
    /// A failure of the target.
    pub fn fail(kind: FailKind, why: impl AsRef<str>) -> Self {
        Self::Fail { why: Untrusted::new(why), kind }
    }

    /// An attempt that could not be made.
    pub fn broken(why: impl AsRef<str>) -> Self {
        Self::Broken { why: Untrusted::new(why) }
    }
}

/// What else one attempt saw: what finds it in a capture, and what is compared with before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// This end of its connection, known on failure too; the address may be the unspecified one then. Of
    /// an echo the port is its id, which is how a capture finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// How long until each phase was over, from the beginning.
    #[serde(default, skip_serializing_if = "Phases::is_empty")]
    pub phases: Phases,
    /// The certificate that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<Certificate>>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// How long until each phase of an attempt was over, counted from its beginning. What it did not come to,
/// or does not have, is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// The name has an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Span>,
    /// The connection is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Span>,
    /// The TLS handshake is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secured: Option<Span>,
    /// The first byte of an answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Span>,
}

impl Phases {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A certificate as a server showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The hash of the leaf's DER form.
    pub sha256: Sha256,
    /// The names that it is for, as they stand in it.
    pub names: Vec<Untrusted>,
    /// Who signed it.
    pub issuer: Untrusted,
    /// From when it is valid.
    pub from: Time,
    /// Until when it is valid.
    pub until: Time,
    /// Why it is not to be trusted for what was asked; `None` where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Untrusted>,
}

/// Something about probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ProbeEvent {
    /// Probing began; this event's number is the effect's id.
    WatchStarted,
    /// One attempt's result.
    Seen {
        /// Which probe.
        probe: ProbeId,
        /// From where.
        #[serde(default, skip_serializing_if = "Vantage::is_cockpit")]
        vantage: Vantage,
        /// How it went.
        outcome: ProbeOutcome,
        /// What else was seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sighting: Option<Box<Sighting>>,
    },
    /// One attempt at a target of the plan's `[[control]]`: it says whether the vantage itself works.
    ControlSeen {
        /// Which control, by its place in the plan, from 0.
        index: u16,
        /// From where.
        #[serde(default, skip_serializing_if = "Vantage::is_cockpit")]
        vantage: Vantage,
        /// How it went.
        outcome: ProbeOutcome,
    },
    /// Probing ended.
    WatchEnded {
        /// The effect's id.
        started: Seq,
        /// Why.
        why: Untrusted,
    },
}

impl ProbeEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::WatchStarted => {
                state.probing = Some(seq);
                state.await_watch(seq, Work::Probe);
            }
            Self::Seen { probe, vantage, outcome, sighting } => {
                state.saw(probe, vantage, outcome, sighting.as_deref(), at);
            }
            Self::ControlSeen { index, vantage, outcome } => state.saw_control(*index, vantage, outcome, at),
            Self::WatchEnded { started, .. } => {
                state.answered(*started);
                if state.probing == Some(*started) {
                    state.probing = None;
                }
            }
        }
    }
}
