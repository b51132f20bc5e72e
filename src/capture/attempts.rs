//! Attempts of probes that have ended, and what of each was seen on the host: found by its own port, which
//! the dialer knows; where a vantage's ports don't come to the host as they are, by address and time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::Interfaces;
use super::flows::{Conversation, Flows, Key, Protocol};
use crate::core::event::{Flow, ProbeId, Vantage};
use crate::types::Time;

/// So long after its end an attempt is looked for, so that late packets are in; in nanoseconds.
const LATE: u64 = 1_000_000_000;
/// A capture that lags behind is given this long, in nanoseconds.
const PATIENCE: u64 = 60_000_000_000;
/// How far two clocks that were compared over a connection may be apart, in nanoseconds.
const SLACK: u64 = 500_000_000;
/// Attempts that wait to be looked for.
const WAITING: usize = 10_000;

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// Of which probe.
    pub probe: ProbeId,
    /// Made from where.
    pub vantage: Vantage,
    /// Its own end; for a ping the port is the echo's id.
    pub local: SocketAddr,
    /// The customer's end; port 0 for a ping.
    pub peer: SocketAddr,
    /// Whether it may have gone over UDP (dns, which turns to TCP for a long answer); a peer without a port
    /// is a ping, all else TCP.
    pub udp: bool,
    /// When it began at the earliest, by the cockpit's steady time, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended, by the same time.
    pub ended: u64,
    /// When it ended, by the cockpit's clock, which may have been set.
    pub at: Time,
}

impl Attempted {
    fn protocol(&self) -> Protocol {
        match (self.udp, self.peer.port()) {
            (true, _) => Protocol::Udp,
            (false, 0) => Protocol::Echo,
            (false, _) => Protocol::Tcp,
        }
    }

    fn key(&self, protocol: Protocol) -> Key {
        Key { server: self.peer, port: self.local.port(), protocol }
    }
}

/// How the capture stands as an attempt is looked for; all moments by the cockpit's steady time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) now: u64,
    /// Since when nothing was missed: it runs, the kernel dropped nothing, nothing was let go, and no clock was set.
    pub(super) whole_since: Option<u64>,
    /// Until when all that the host saw is here; `None` while that is not known.
    pub(super) whole_until: Option<u64>,
    /// What to add to that to have the host's clock, in nanoseconds.
    pub(super) offset: i64,
}

/// Attempts that wait, and what is known of the vantages.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    waiting: VecDeque<Attempted>,
    /// The addresses under which a vantage's own ports were seen on the host.
    callers: BTreeMap<Vantage, BTreeSet<IpAddr>>,
    /// The address under which a vantage's port was seen the last time that it was seen under another one.
    strangers: BTreeMap<Vantage, Option<IpAddr>>,
}

impl Attempts {
    pub(super) fn add(&mut self, attempt: Attempted) {
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(attempt);
    }

    /// Those that are due, each with what was seen of it, once the capture is known to be past their end:
    /// until then what has not come in may still be under way. What can't be told (the capture did not run
    /// all the while, or stays behind) is told of nobody.
    pub(super) fn due(
        &mut self,
        standing: &Standing,
        flows: &mut Flows,
        names: &Interfaces,
    ) -> Vec<(Attempted, Flow)> {
        let mut found = Vec::new();
        let mut later = VecDeque::new();
        for attempt in std::mem::take(&mut self.waiting) {
            if standing.now < attempt.ended.saturating_add(LATE) {
                later.push_back(attempt);
                continue;
            }
            match self.look(&attempt, standing, flows, names) {
                Look::Found(flow) => found.push((attempt, flow)),
                Look::Later => later.push_back(attempt),
                Look::Never => {}
            }
        }
        self.waiting = later;
        found
    }

    fn look(
        &mut self,
        attempt: &Attempted,
        standing: &Standing,
        flows: &mut Flows,
        names: &Interfaces,
    ) -> Look {
        let past = attempt.ended.saturating_add(LATE);
        if standing.whole_until.is_none_or(|until| until < past) {
            let late = standing.now >= attempt.ended.saturating_add(PATIENCE);
            return if late { Look::Never } else { Look::Later };
        }
        let host = |moment: u64| moment.saturating_add_signed(standing.offset);
        let from = host(attempt.began).saturating_sub(SLACK);
        let until = host(attempt.ended).saturating_add(LATE);
        // A port is used again in time: what came in before it began is another's. By when it came in, not by the host's
        // clock: that may have been set back by less than shows, and then what came would be said to be missing.
        let own = |talk: &Conversation| {
            let young = talk.heard.saturating_add(SLACK) >= attempt.began;
            (!talk.claimed || talk.guessed) && young && talk.began <= until
        };
        let ip = attempt.local.ip();
        let protocol = match attempt.protocol() {
            // A query that was asked again over TCP: its end is that connection's.
            Protocol::Udp if flows.of(&attempt.key(Protocol::Tcp)).any(|talk| own(talk)) => Protocol::Tcp,
            protocol => protocol,
        };
        let mut by_port: Vec<&mut Conversation> =
            flows.of(&attempt.key(protocol)).filter(|talk| own(talk)).collect();
        // Its own address first, and then one under which that place came before: anybody may use that port.
        let callers = self.callers.entry(attempt.vantage.clone()).or_default();
        let own = by_port.iter().position(|talk| talk.client == ip);
        let own = own.or_else(|| by_port.iter().position(|talk| callers.contains(&talk.client)));
        if let Some(talk) = own.and_then(|at| by_port.get_mut(at)) {
            (talk.claimed, talk.guessed) = (true, false);
            let (client, flow) = (talk.client, talk.flow(names));
            callers.insert(client);
            flows.know(client);
            return Look::Found(flow);
        }
        // Under another address its port may have come as it is, once: the second time it is no chance.
        if let Some(talk) = by_port.first_mut() {
            (talk.claimed, talk.guessed) = (true, true);
            let (client, flow) = (talk.client, talk.flow(names));
            let strangers = self.strangers.entry(attempt.vantage.clone()).or_default();
            if strangers.replace(client) == Some(client) {
                callers.insert(client);
            }
            return Look::Found(Flow { by_time: true, ..flow });
        }
        // Nothing was there, where it would have been seen.
        if standing.whole_since.is_none_or(|since| since > attempt.began) {
            return Look::Never;
        }
        if !callers.is_empty() {
            return Look::Found(Flow::default());
        }
        let near = |talk: &Conversation| !talk.claimed && talk.began >= from && talk.began <= until;
        let nearest = flows
            .with(attempt.peer, attempt.protocol())
            .filter(|talk| near(talk))
            .min_by_key(|talk| talk.began.abs_diff(host(attempt.began)));
        let flow = match nearest {
            Some(talk) => {
                (talk.claimed, talk.guessed) = (true, true);
                talk.flow(names)
            }
            None => Flow::default(),
        };
        Look::Found(Flow { by_time: true, ..flow })
    }
}

enum Look {
    Found(Flow),
    Later,
    Never,
}
