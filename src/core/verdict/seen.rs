//! What a verdict goes by: each vantage's newest word, the packets, the facts, and how old all that is.

use std::net::IpAddr;

use super::sound::broken;
use crate::core::effect;
use crate::core::event::{FailKind, FailureKind, Flow, ProbeId, ProbeOutcome, Tally, Vantage, Whole};
use crate::core::state::{Capture, Health, Host, ProbeState, Reach, Series, State};
use crate::core::tasks::peer;
use crate::facts::{Listener, Protocol};
use crate::plan::{Customer, Probe, ProbeTarget, VantageKind};
use crate::types::{HostName, Span, Time, Untrusted};

/// A capture that works tells something at least so often: every five seconds, and a host may be busy.
const TELLS: Span = Span::secs(15);
/// A kernel sends such errors to one caller once a second, after a few at once (`net.ipv4.icmp_ratelimit`, see
/// icmp(7)): with many probes of one host most get none, and each one now and then.
const PROHIBITED: Span = Span::secs(30);
/// What a capture tells comes a little after what it tells of.
const LATE: Span = Span::secs(5);

/// What one vantage says of a probe.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look<'a> {
    /// It was never seen from there.
    Nothing,
    /// It was last seen then, too long ago.
    Stale(Time),
    /// The newest attempt could not be made.
    Broken(&'a Untrusted),
    /// It passes.
    Ok {
        /// After how long.
        took: Span,
    },
    /// It failed as often as its limit says, and passes now.
    Mending,
    /// The newest attempt failed, and too few to be a FAIL.
    Shaky {
        /// How many of those that its limit counts.
        failed: usize,
        /// How.
        kind: FailKind,
        /// In words.
        why: &'a Untrusted,
    },
    /// It fails.
    Fail {
        /// How.
        kind: FailKind,
        /// In words.
        why: &'a Untrusted,
        /// Since when, without a pass.
        since: Time,
    },
}

impl Look<'_> {
    /// How the newest attempt failed, where it did.
    pub(super) fn failed(&self) -> Option<FailKind> {
        match self {
            Self::Shaky { kind, .. } | Self::Fail { kind, .. } => Some(*kind),
            Self::Nothing | Self::Stale(_) | Self::Broken(_) | Self::Ok { .. } | Self::Mending => None,
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }
}

/// What is known of the packets of a probe on its host.
pub(super) enum Packets<'a> {
    /// Nothing, and why.
    Unseen(String),
    /// What became of its own.
    Own(&'a Flow),
    /// Its own were not told apart; what passed by for its address, where anything did.
    Passing(Option<Tally>),
}

/// Where somebody listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
    /// On that address, or on all.
    There,
    /// On another address alone.
    Elsewhere,
    /// Nowhere.
    Nowhere,
}

/// One probe with all that is known around it.
pub(super) struct Seen<'a> {
    pub(super) state: &'a State,
    pub(super) id: &'a ProbeId,
    pub(super) probe: &'a ProbeState,
    pub(super) customer: &'a Customer,
    pub(super) now: Time,
}

pub(super) fn look<'a>(series: &'a Series, probe: &Probe, now: Time) -> Look<'a> {
    let Some((at, last)) = series.last() else { return Look::Nothing };
    if series.stale(probe, now) {
        return Look::Stale(*at);
    }
    let fails = series.health(probe, now) == Health::Fail;
    match last {
        ProbeOutcome::Broken { why } => Look::Broken(why),
        ProbeOutcome::Ok { .. } if fails => Look::Mending,
        ProbeOutcome::Ok { took, .. } => Look::Ok { took: *took },
        ProbeOutcome::Fail { why, kind } if fails => {
            Look::Fail { kind: *kind, why, since: series.failing_since().unwrap_or(*at) }
        }
        ProbeOutcome::Fail { why, kind } => {
            let newest = series.results.iter().rev().take(probe.fails.of as usize);
            let failed = newest.filter(|(_, outcome)| matches!(outcome, ProbeOutcome::Fail { .. })).count();
            Look::Shaky { failed, kind: *kind, why }
        }
    }
}

impl<'a> Seen<'a> {
    pub(super) fn of(state: &'a State, id: &'a ProbeId, now: Time) -> Option<Self> {
        let probe = state.probes.get(id)?.as_ref();
        let customer = state.plan.as_ref()?.customers.iter().find(|c| c.name == id.customer)?;
        Some(Self { state, id, probe, customer, now })
    }

    pub(super) fn host(&self) -> &'a HostName {
        &self.customer.host
    }

    fn facts_of_host(&self) -> Option<&'a Host> {
        self.state.hosts.get(self.host()).map(AsRef::as_ref)
    }

    /// From where it is judged.
    pub(super) fn own(&self) -> Look<'a> {
        look(&self.probe.own, &self.probe.probe, self.now)
    }

    /// Whether an attempt at this address and port, from the same place, was lately refused by the host's firewall, by
    /// ICMP.
    pub(super) fn prohibited(&self) -> bool {
        let of = |seen: &Seen<'_>| (seen.address(), seen.port(), seen.protocol(), seen.probe.probe.from);
        let here = self.state.probes_of(self.host()).filter_map(|(id, _)| Seen::of(self.state, id, self.now));
        let mut same = here.filter(|other| self.address().is_some() && of(other) == of(self));
        same.any(|other| {
            other.probe.own.prohibited.is_some_and(|at| Span::between(at, self.now) <= PROHIBITED)
        })
    }

    /// Whether it is judged by what is seen on the host itself.
    pub(super) fn judged_inside(&self) -> bool {
        self.probe.probe.from == VantageKind::Inside
    }

    pub(super) fn inside(&self) -> Look<'a> {
        let inside = self.probe.from(&Vantage::Inside);
        inside.map_or(Look::Nothing, |series| self.explains(series, &self.probe.probe))
    }

    /// What is seen from elsewhere. What was seen there before it began to fail here explains nothing.
    pub(super) fn explains(&self, series: &'a Series, probe: &Probe) -> Look<'a> {
        match (series.last(), self.since()) {
            (Some((at, _)), Some(since)) if *at < since => Look::Stale(*at),
            (Some(_) | None, _) => look(series, probe, self.now),
        }
    }

    /// What other hosts say of it.
    pub(super) fn peers(&self) -> impl Iterator<Item = Look<'a>> {
        let (now, probe) = (self.now, self.probe);
        let peers = probe.others.iter().filter(|(vantage, _)| vantage.kind() == VantageKind::Peer);
        let own = (probe.probe.from == VantageKind::Peer).then_some(&probe.own);
        let others = peers.map(|(_, series)| self.explains(series, &probe.probe));
        others.chain(own.into_iter().map(move |series| look(series, &probe.probe, now)))
    }

    /// Since when it fails without a pass.
    pub(super) fn since(&self) -> Option<Time> {
        self.probe.own.failing_since()
    }

    /// The port that it is made to.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.probe.probe.target {
            ProbeTarget::Tcp { port } | ProbeTarget::Tls { port, .. } | ProbeTarget::Http { port, .. } => {
                Some(*port)
            }
            ProbeTarget::Postgres { .. } => Some(5432),
            ProbeTarget::Dns { .. } => Some(53),
            ProbeTarget::Ping | ProbeTarget::Exec { .. } => None,
        }
    }

    /// By what it is asked.
    pub(super) fn protocol(&self) -> Protocol {
        match &self.probe.probe.target {
            ProbeTarget::Dns { .. } => Protocol::Udp,
            ProbeTarget::Ping
            | ProbeTarget::Tcp { .. }
            | ProbeTarget::Tls { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Postgres { .. }
            | ProbeTarget::Exec { .. } => Protocol::Tcp,
        }
    }

    /// The address that it is made to: the customer's own or, without one, where the newest attempt went.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let went = || Some(self.probe.own.sighting.as_ref()?.peer?.ip());
        self.customer.address.or_else(went).filter(|address| !address.is_unspecified())
    }

    /// What a result must not be older than.
    fn young(&self) -> Span {
        let probe = &self.probe.probe;
        Span::ms(probe.every.as_ms().saturating_mul(3).saturating_add(probe.timeout.as_ms())) + LATE
    }

    fn is_young(&self, at: Time) -> bool {
        Span::between(at, self.now) <= self.young()
    }

    /// What passed by for its address lately.
    pub(super) fn tally(&self) -> Option<Tally> {
        let capture = self.state.captures.get(self.host())?;
        let young = self.now - std::time::Duration::from(self.young());
        capture.tally(self.address()?, self.since().unwrap_or(young))
    }

    /// Whether ARP asks for its address and nobody answers.
    pub(super) fn arp_unanswered(&self) -> bool {
        self.tally().is_some_and(|tally| tally.arp_asked > 0 && tally.arp_answered == 0)
    }

    /// Whether its address is answered for: what comes in was sent to a MAC.
    pub(super) fn arp(&self) -> Option<bool> {
        let came = matches!(self.packets(), Packets::Own(flow) if flow.asked > 0 || flow.data_in > 0);
        if self.own().is_ok() || came {
            return Some(true);
        }
        self.arp_unanswered().then_some(false)
    }

    pub(super) fn packets(&self) -> Packets<'a> {
        if self.judged_inside() {
            return Packets::Unseen("it is made on the host itself".to_owned());
        }
        let host = self.host();
        let capture = self.state.captures.get(host);
        if let Some(why) = self.lossy() {
            return Packets::Unseen(why);
        }
        match self.newest_flow() {
            // A load balancer, or an address that is translated: under that address nothing ever comes.
            Some(flow) if *flow == Flow::default() && !self.is_carried() => {
                return Packets::Unseen(self.not_carried());
            }
            Some(flow) if !flow.by_time => return Packets::Own(flow),
            // Somebody else's, for all that is known.
            Some(_) | None => {}
        }
        let Some(capture) = capture else {
            return Packets::Unseen(format!("nothing captures on {host}"));
        };
        match (capture.since, &capture.unseen) {
            (None, Some(why)) => Packets::Unseen(why.shown()),
            (None, None) => Packets::Unseen(format!("nothing captures on {host}")),
            (Some(from), _) if Span::between(from, self.now) < self.young() => Packets::Unseen(format!(
                "the capture on {host} has run for {} alone",
                Span::between(from, self.now).brief()
            )),
            (Some(_), _) if self.address().is_none() => {
                Packets::Unseen("the address that it goes to is not known".to_owned())
            }
            // Silence of a capture is no silence on the wire.
            (Some(_), _) if capture.told.is_none_or(|at| Span::between(at, self.now) > TELLS) => {
                Packets::Unseen(format!("the capture on {host} tells nothing"))
            }
            (Some(_), _) => match self.tally() {
                // What is there is there; what is not may still be under way.
                Some(tally) if tally.came > 0 && tally.left > 0 => Packets::Passing(Some(tally)),
                tally => match self.why_not_whole(capture) {
                    Some(why) => Packets::Unseen(why),
                    None if tally.is_none() && !self.is_carried() => Packets::Unseen(self.not_carried()),
                    None => Packets::Passing(tally),
                },
            },
        }
    }

    /// Why what was not seen may have been there: the kernel dropped some.
    fn lossy(&self) -> Option<String> {
        let since = self.since();
        let lossy = self.state.captures.get(self.host())?.lossy.filter(|at| self.is_young(*at))?;
        since
            .is_none_or(|since| lossy >= since)
            .then(|| format!("the kernel of {} dropped some before they were seen", self.host()))
    }

    /// What the capture took for the newest attempt's packets, where that is not old; found by address and time
    /// alone it may be somebody else's.
    pub(super) fn newest_flow(&self) -> Option<&'a Flow> {
        let (at, flow) = self.probe.own.flow.as_ref()?;
        let is_new = self.is_young(*at) && self.since().is_none_or(|since| *at >= since);
        is_new.then_some(flow.as_ref())
    }

    /// Whether its address is known to be used on the host's wire: the capture has seen something of it, or the
    /// host has it. Otherwise that nothing comes says nothing: it may come under another address.
    fn is_carried(&self) -> bool {
        let Some(address) = self.address() else { return false };
        let capture = self.state.captures.get(self.host());
        capture.is_some_and(|capture| capture.tallies.contains_key(&address))
            || self.on_host().is_some_and(|(on, _)| on)
    }

    fn not_carried(&self) -> String {
        format!("its own packets were never found on {}", self.host())
    }

    /// Why a capture does not yet tell what has not come: a whole attempt since it fails has to lie within what
    /// is known of the wire; `None` where one does.
    fn why_not_whole(&self, capture: &Capture) -> Option<String> {
        let host = self.host();
        let Some(Whole { since, until }) = capture.whole else {
            return Some(format!("not known yet: no sign of life of the capture on {host}"));
        };
        let probe = &self.probe.probe;
        let begins = self.since().unwrap_or(self.now - std::time::Duration::from(self.young())).max(since);
        let attempt = std::time::Duration::from(probe.every + probe.timeout);
        (until < begins + attempt).then(|| {
            let behind = Span::between(until, self.now).brief();
            let until = until.format("%H:%M:%SZ");
            format!("not known yet: the capture on {host} has told of all until {until}, {behind} ago")
        })
    }

    /// Whether its address is on the host, and when that was read.
    pub(super) fn on_host(&self) -> Option<(bool, Time)> {
        let network = self.facts_of_host()?.facts.network.as_ref()?;
        let address = self.address()?;
        Some((network.known()?.addresses.iter().any(|own| own.address == address), network.at))
    }

    /// The same, where it was read since the probe fails: what was so before says nothing of now.
    pub(super) fn on_host_now(&self) -> Option<bool> {
        let (on, at) = self.on_host()?;
        self.since().is_none_or(|since| at >= since).then_some(on)
    }

    /// Where somebody listens on its port, as read since the probe fails.
    pub(super) fn listens(&self) -> Option<Listens> {
        let read = self.facts_of_host()?.facts.listeners.as_ref()?;
        if self.since().is_some_and(|since| read.at < since) {
            return None;
        }
        let (port, address) = (self.port()?, self.address()?);
        let protocol = self.protocol();
        let at_port = |listener: &&Listener| listener.protocol == protocol && listener.at.port() == port;
        let here = |listener: &Listener| {
            let ip = listener.at.ip();
            let family = ip.is_ipv6() == address.is_ipv6() || (ip.is_ipv6() && !listener.v6_only);
            ip == address || (ip.is_unspecified() && family)
        };
        let all: Vec<&Listener> = read.known()?.iter().filter(at_port).collect();
        Some(match all.iter().any(|listener| here(listener)) {
            true => Listens::There,
            false if all.is_empty() => Listens::Nowhere,
            false => Listens::Elsewhere,
        })
    }

    /// The other probes to its port on the same host, as they are judged.
    pub(super) fn siblings(&self) -> Vec<Look<'a>> {
        let port = self.port();
        let others = self.state.probes_of(self.host()).filter(|(id, other)| {
            let same = Self { probe: other, id, ..*self }.port() == port && port.is_some();
            same && id.customer != self.id.customer && counts(other)
        });
        others.map(|(_, other)| look(&other.own, &other.probe, self.now)).collect()
    }

    /// Since when the host does not answer by ssh, and why.
    pub(super) fn ssh_down(&self) -> Option<(Time, FailureKind, String)> {
        match &self.facts_of_host()?.reach {
            Reach::Down { since, why } => Some((*since, why.kind, why.what.shown())),
            Reach::Unknown | Reach::Up { .. } => None,
        }
    }

    /// Whether the place that it is judged from is known to work: something on another host passes from
    /// there, or answers by ssh.
    pub(super) fn place_works(&self) -> bool {
        let other = |host: &HostName| host != self.host();
        let probes = self.state.plan.iter().flat_map(|plan| &plan.customers);
        let mut elsewhere = probes.filter(|customer| other(&customer.host)).flat_map(|customer| {
            let id = |index| ProbeId { customer: customer.name.clone(), index };
            self.state.probes.range(id(0)..=id(u16::MAX))
        });
        let from = self.probe.probe.from;
        let reached = |host: &Host| {
            other(&host.name) && !self.state.is_local(&host.name) && matches!(host.reach, Reach::Up { .. })
        };
        elsewhere.any(|(_, p)| p.probe.from == from && look(&p.own, &p.probe, self.now).is_ok())
            || self.state.hosts.values().any(|host| reached(host))
    }

    /// Why nothing that is seen from where it is judged says anything. The cockpit's own machine is seen from there
    /// without a network.
    pub(super) fn broken(&self) -> Option<String> {
        match self.probe.probe.from {
            VantageKind::Outside if self.state.is_here(self.host()) => None,
            VantageKind::Outside => broken(self.state, &Vantage::Cockpit, self.now),
            VantageKind::Peer => broken(self.state, &Vantage::Peer(self.peer()?), self.now),
            VantageKind::Inside => None,
        }
    }

    /// The other host that looks at its host.
    pub(super) fn peer(&self) -> Option<HostName> {
        peer(self.state, self.state.plan.as_ref()?, self.host())
    }
}

/// Whether a probe has a say: this version makes it, or the recording holds results of it.
pub(super) fn counts(probe: &ProbeState) -> bool {
    effect::is_made(&probe.probe) || probe.last().is_some()
}

/// Whether a failure shows that packets came back.
pub(super) fn answered(kind: FailKind) -> bool {
    match kind {
        FailKind::Refused
        | FailKind::Cut
        | FailKind::Silence
        | FailKind::TlsRefused
        | FailKind::Certificate
        | FailKind::ServerError
        | FailKind::Content
        | FailKind::Database
        | FailKind::Command => true,
        FailKind::NoAnswer | FailKind::Unreachable | FailKind::Other => false,
    }
}

/// Whether a look shows that the host's kernel at least answers.
pub(super) fn alive(look: &Look<'_>) -> bool {
    match look {
        Look::Ok { .. } | Look::Mending => true,
        Look::Shaky { kind, .. } | Look::Fail { kind, .. } => answered(*kind),
        Look::Nothing | Look::Stale(_) | Look::Broken(_) => false,
    }
}
