//! What captures on hosts saw: what became of each probe's own packets, and what passed by for each
//! customer's address. Rows for people to read go with the samples; a verdict stands on these.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::evidence::EvidenceFile;
use super::probe::{ProbeId, Vantage};
use crate::core::state::{State, Work};
use crate::types::{HostName, IfName, Seq, Span, Time, Untrusted};

/// One attempt's packets as the host saw them; "in" is towards the customer's address. All zero: it was
/// looked for, the capture ran all the while, and nothing of it was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// Connections asked for (SYN), repeats included; for a ping the echo requests.
    pub asked: u32,
    /// Connections granted (SYN and ACK), repeats included; for a ping the echo replies.
    pub granted: u32,
    /// The caller's own ACK came: the grant reached them.
    pub completed: bool,
    /// Resets from the host; where there is no connection (UDP), its word that the port is not listened on.
    pub refused: u32,
    /// Refusals by ICMP from the host: administratively prohibited, and where it is not UDP port unreachable,
    /// which firewalls alone say there.
    pub prohibited: u32,
    /// Resets from the caller.
    pub dropped_by_caller: u32,
    /// Packets with data from the caller.
    pub data_in: u32,
    /// Packets with data from the host.
    pub data_out: u32,
    /// Packets that the host sent again.
    pub again_out: u32,
    /// Packets that the caller sent again.
    pub again_in: u32,
    /// The TLS alert that the host sent in the clear, by its number (RFC 8446, section 6).
    pub alert: Option<u8>,
    /// From the caller's first data to the host's first data.
    pub first_byte: Option<Span>,
    /// By which interface it came.
    pub came_by: Option<IfName>,
    /// By which interface the answer left.
    pub left_by: Option<IfName>,
    /// It was found by address and time alone, since the vantage's own ports are not those that come to
    /// the host (NAT, a load balancer) or were never seen there: it may be somebody else's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_time: bool,
}

/// What passed by for one address within one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The customer's address.
    pub address: IpAddr,
    /// Who-has for it (neighbour solicitations with IPv6).
    pub arp_asked: u32,
    /// Answers of this host to them.
    pub arp_answered: u32,
    /// Packets to it.
    pub came: u32,
    /// Packets from it.
    pub left: u32,
}

/// How much of what a host saw is known: everything between these moments of the cockpit's clock has come in,
/// and nothing of it was dropped. What is not there did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// From then on.
    pub since: Time,
    /// Until then.
    pub until: Time,
}

/// Something about captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum PacketEvent {
    /// A host's packets are to be captured; this event's number is the effect's id.
    Started {
        /// On which host.
        host: HostName,
    },
    /// Nobody tries any more.
    Ended {
        /// On which host.
        host: HostName,
        /// The effect's id.
        started: Seq,
        /// Why.
        why: Untrusted,
    },
    /// What a host's capture saw of one attempt of a probe.
    Matched {
        /// On which host.
        host: HostName,
        /// Of which probe.
        probe: ProbeId,
        /// Made from where.
        vantage: Vantage,
        /// The attempt's own end, as it is in its [`super::Sighting`].
        local: SocketAddr,
        /// When the attempt ended; `None` in older journals.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Time>,
        /// What was seen.
        flow: Box<Flow>,
    },
    /// What passed by on a host.
    Tallied {
        /// On which host.
        host: HostName,
        /// How long a stretch.
        over: Span,
        /// By address; those with nothing at all are left out.
        tallies: Vec<Tally>,
        /// Packets that the host's kernel dropped before they were seen.
        dropped: u64,
        /// How much of it all is known by now; `None` while a capture gives no sign of life.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<Whole>,
    },
    /// A capture is running.
    Running {
        /// On which host.
        host: HostName,
    },
    /// A host's packets are not seen, or not any more.
    Unseen {
        /// On which host.
        host: HostName,
        /// Why.
        why: Untrusted,
    },
    /// Packets are kept in a file of the recording: this is how much of it, and its hash.
    Kept {
        /// Of which host.
        host: HostName,
        /// The file, as far as it was written.
        file: EvidenceFile,
        /// Nothing more comes into it.
        over: bool,
    },
}

impl PacketEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::Started { host } => {
                state.await_answer(seq, host, None, Work::Capture);
                state.captures.entry(host.clone()).or_default().effect = Some(seq);
            }
            Self::Ended { host, started, why } => {
                state.answered(*started);
                let capture = state.captures.entry(host.clone()).or_default();
                if capture.effect == Some(*started) {
                    (capture.effect, capture.over) = (None, true);
                    (capture.since, capture.whole, capture.unseen) = (None, None, Some(why.clone()));
                }
            }
            Self::Matched { probe, vantage, ended, flow, .. } => {
                // The clock may have been set back since.
                state.matched(probe, vantage, flow, ended.map_or(at, |ended| ended.min(at)));
            }
            Self::Tallied { host, tallies, dropped, whole, .. } => {
                let capture = state.captures.entry(host.clone()).or_default();
                for tally in tallies {
                    capture.passed(tally, at);
                }
                capture.told = Some(at);
                capture.whole = *whole;
                capture.dropped = capture.dropped.saturating_add(*dropped);
                capture.lossy = if *dropped > 0 { Some(at) } else { capture.lossy };
            }
            Self::Running { host } => {
                let capture = state.captures.entry(host.clone()).or_default();
                (capture.since, capture.whole, capture.unseen) = (Some(at), None, None);
            }
            // Of the recording, and nothing that decides.
            Self::Kept { .. } => {}
            Self::Unseen { host, why } => {
                let capture = state.captures.entry(host.clone()).or_default();
                (capture.since, capture.whole, capture.unseen) = (None, None, Some(why.clone()));
            }
        }
    }
}
