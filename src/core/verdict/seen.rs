//! What a verdict goes by: each vantage's newest word, the packets, the facts, and how old all that is.

use std::net::IpAddr;

use super::place;
use crate::core::effect;
use crate::core::event::{FailKind, FailureKind, Flow, ProbeId, ProbeOutcome, Tally, Vantage};
use crate::core::state::{Batch, Health, Host, ProbeState, Reach, Series, State};
use crate::core::vantage::vantage_broken;
use crate::facts::{Listener, Protocol};
use crate::plan::{Customer, Probe, ProbeTarget, VantageKind};
use crate::types::{HostName, Span, Time, Untrusted};

/// A capture that works tells something at least so often: every five seconds, and a host may be busy.
const TELLS: Span = Span::secs(15);
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

    pub(super) fn packets(&self) -> Packets<'a> {
        if self.judged_inside() {
            return Packets::Unseen("it is made on the host itself".to_owned());
        }
        let since = self.since();
        let host = self.host();
        let capture = self.state.captures.get(host);
        // Whatever says that something was not there can be one of those.
        let lossy = capture.and_then(|capture| capture.lossy).filter(|at| self.is_young(*at));
        if lossy.is_some_and(|at| since.is_none_or(|since| at >= since)) {
            return Packets::Unseen(format!("the kernel of {host} dropped some before they were seen"));
        }
        if let Some((at, flow)) = &self.probe.own.flow
            && self.is_young(*at)
            && since.is_none_or(|since| *at >= since)
        {
            return Packets::Own(flow);
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
            (Some(_), _) if !capture.told.is_some_and(|at| Span::between(at, self.now) <= TELLS) => {
                Packets::Unseen(format!("the capture on {host} tells nothing"))
            }
            (Some(_), _) => Packets::Passing(self.tally()),
        }
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
        let at_port = |listener: &&Listener| listener.protocol == Protocol::Tcp && listener.at.port() == port;
        let here = |listener: &Listener| {
            let ip = listener.at.ip();
            // A socket on `::` takes IPv4 too, unless it says otherwise, which the facts don't tell.
            ip == address || (ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4()))
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
            other(&host.name) && !is_local(self.state, &host.name) && matches!(host.reach, Reach::Up { .. })
        };
        elsewhere.any(|(_, p)| p.probe.from == from && look(&p.own, &p.probe, self.now).is_ok())
            || self.state.hosts.values().any(|host| reached(host))
    }

    fn vantage(&self) -> Vantage {
        match self.probe.probe.from {
            // Peers are several; what breaks one is told by what each of them sees.
            VantageKind::Outside | VantageKind::Peer => Vantage::Cockpit,
            VantageKind::Inside => Vantage::Inside,
        }
    }

    /// Why nothing that is seen from where it is judged says anything.
    pub(super) fn broken(&self) -> Option<String> {
        match self.probe.probe.from {
            VantageKind::Outside => broken(self.state, &self.vantage(), self.now),
            VantageKind::Inside | VantageKind::Peer => None,
        }
    }

    /// The place that it is judged from.
    pub(super) fn place(&self) -> String {
        match self.probe.probe.from {
            VantageKind::Outside => "the cockpit's own network".to_owned(),
            VantageKind::Inside => format!("what looks on {}", self.host()),
            VantageKind::Peer => "the peer".to_owned(),
        }
    }

    /// Why nothing new is seen.
    pub(super) fn why_stale(&self) -> String {
        match (self.state.probing, self.ssh_down(), self.judged_inside()) {
            (None, _, _) => "nothing is probed".to_owned(),
            (Some(_), Some((_, _, why)), true) => format!("{} is not reached by ssh: {why}", self.host()),
            (Some(_), _, _) => "its attempts don't come back".to_owned(),
        }
    }

    /// "globex 192.0.2.32:443".
    pub(super) fn name(&self) -> String {
        let at = |port: u16| match self.address() {
            Some(address) => std::net::SocketAddr::new(address, port).to_string(),
            None => format!("port {port}"),
        };
        let what = match &self.probe.probe.target {
            ProbeTarget::Ping => {
                format!("ping {}", self.address().map_or_else(|| "-".to_owned(), |a| a.to_string()))
            }
            ProbeTarget::Tcp { port } | ProbeTarget::Tls { port, .. } => at(*port),
            ProbeTarget::Http { host, port, .. } if self.address().is_none() => {
                format!("{}:{port}", Untrusted::new(host).shown())
            }
            ProbeTarget::Http { port, .. } => at(*port),
            ProbeTarget::Dns { name } => format!("dns {}", Untrusted::new(name).shown()),
            ProbeTarget::Postgres { database } => format!("postgres {}", Untrusted::new(database).shown()),
            ProbeTarget::Exec { argv } => {
                format!("exec {}", Untrusted::new(argv.first().map_or("", String::as_str)).shown())
            }
        };
        format!("{} {what}", self.id.customer)
    }

    /// "outside FAIL 36s, inside ok".
    pub(super) fn heading(&self) -> String {
        let own = match self.probe.probe.from {
            VantageKind::Outside => "outside",
            VantageKind::Inside => "inside",
            VantageKind::Peer => "from a peer",
        };
        let own = format!("{own} {}", self.word(self.own()));
        match self.judged_inside() {
            true => own,
            false => format!("{own}, inside {}", self.word(self.inside())),
        }
    }

    fn word(&self, look: Look<'_>) -> String {
        match look {
            Look::Nothing => "not seen".to_owned(),
            Look::Stale(at) => format!("not seen for {}", Span::between(at, self.now).brief()),
            Look::Broken(_) => "not tried".to_owned(),
            Look::Ok { .. } => "ok".to_owned(),
            Look::Mending => "ok again".to_owned(),
            Look::Shaky { .. } => "shaky".to_owned(),
            Look::Fail { since, .. } => format!("FAIL {}", Span::between(since, self.now).brief()),
        }
    }

    /// What was seen, from where, and how old it is; what is missing, and why.
    pub(super) fn evidence(&self) -> Vec<String> {
        let mut lines = vec![self.line(self.own_word(), self.own(), Some(&self.probe.own))];
        if !self.judged_inside() {
            let inside = self.probe.from(&Vantage::Inside);
            lines.push(self.line("inside".to_owned(), self.inside(), inside));
        }
        for (vantage, series) in self.probe.others.iter().filter(|(v, _)| **v != Vantage::Inside) {
            lines.push(self.line(place(vantage), look(series, &self.probe.probe, self.now), Some(series)));
        }
        if !self.judged_inside() {
            lines.push(self.packet_line());
        }
        if let Some(tally) = self.tally().filter(|tally| tally.arp_asked > 0) {
            lines.push(format!(
                "ARP on {}: {} asked, {} answered",
                self.host(),
                tally.arp_asked,
                tally.arp_answered
            ));
        }
        if let (Some((on, at)), Some(address)) = (self.on_host(), self.address()) {
            let ago = Span::between(at, self.now).brief();
            let is = if on { "is" } else { "is NOT" };
            lines.push(format!("facts, {ago} old: {address} {is} on an interface of {}", self.host()));
        }
        if let (Some(listens), Some(port)) = (self.listens(), self.port()) {
            lines.push(match listens {
                Listens::There => format!("facts: port {port} is listened on there"),
                Listens::Elsewhere => format!("facts: port {port} is listened on at other addresses alone"),
                Listens::Nowhere => format!("facts: nobody listens on port {port}"),
            });
        }
        lines.extend(super::passing::differences(self));
        if let Some((since, _, why)) = self.ssh_down() {
            let ago = Span::between(since, self.now).brief();
            lines.push(format!("{} is not reached by ssh for {ago}: {why}", self.host()));
        }
        lines
    }

    fn own_word(&self) -> String {
        match self.probe.probe.from {
            VantageKind::Outside => place(&Vantage::Cockpit),
            VantageKind::Inside => place(&Vantage::Inside),
            VantageKind::Peer => "peer".to_owned(),
        }
    }

    fn line(&self, place: String, look: Look<'_>, series: Option<&Series>) -> String {
        let age = series.and_then(Series::last).map(|(at, _)| Span::between(*at, self.now).brief());
        let age = age.map_or_else(String::new, |age| format!(", {age} old"));
        match look {
            Look::Nothing => format!("{place}: not seen"),
            Look::Stale(_) => format!("{place}: nothing new{age}"),
            Look::Broken(why) => format!("{place}: could not be made: {}{age}", why.shown()),
            Look::Ok { took } => format!("{place}: ok in {took}{age}"),
            Look::Mending => format!("{place}: passes again{age}"),
            Look::Shaky { why, .. } => format!("{place}: failed: {}{age}", why.shown()),
            Look::Fail { why, since, .. } => {
                format!("{place}: FAIL since {}: {}{age}", since.format("%H:%M:%SZ"), why.shown())
            }
        }
    }

    fn packet_line(&self) -> String {
        let host = self.host();
        match self.packets() {
            Packets::Unseen(why) => format!("packets are not seen: {why}"),
            Packets::Own(flow) if *flow == Flow::default() => {
                format!("packets on {host}: nothing of the newest attempt came in")
            }
            Packets::Own(flow) => {
                let by = |word: &str, name: &Option<crate::types::IfName>| {
                    name.as_ref().map_or_else(String::new, |name| format!(" {word} {name}"))
                };
                format!(
                    "packets on {host}: {} asked{}, {} granted{}, {} refused, {} prohibited, data {} in {} out",
                    flow.asked,
                    by("by", &flow.came_by),
                    flow.granted,
                    by("by", &flow.left_by),
                    flow.refused,
                    flow.prohibited,
                    flow.data_in,
                    flow.data_out
                )
            }
            Packets::Passing(None) => format!("packets on {host}: none for its address"),
            Packets::Passing(Some(tally)) => format!(
                "packets on {host}: its own are not told apart; {} to its address, {} from it",
                tally.came, tally.left
            ),
        }
    }
}

/// Why nothing that is seen from this vantage says anything about a target: its controls say so or, without
/// any that was looked at, the hosts that nothing was done to.
pub(in crate::core) fn broken(state: &State, vantage: &Vantage, now: Time) -> Option<String> {
    vantage_broken(state, vantage, now).or_else(|| unsound(state, vantage, now))
}

/// Why nothing that is seen from this vantage says anything about a target. Without controls the hosts that
/// nothing is under way on serve as such: where a probe of theirs passed before, and nothing at all has come
/// back from there since it fails, it is the vantage. A cockpit that still reaches a host by ssh has a network.
fn unsound(state: &State, vantage: &Vantage, now: Time) -> Option<String> {
    // A control that passes from there shows that it works.
    let mut sound = state.controls.iter().filter_map(|control| Some((control, control.from(vantage)?)));
    if sound.any(|(control, series)| look(series, &control.probe, now).is_ok()) {
        return None;
    }
    let customers = || state.plan.iter().flat_map(|plan| &plan.customers);
    let touched = |id: &ProbeId| {
        let host = customers().find(|customer| customer.name == id.customer).map(|customer| &customer.host);
        host.is_none_or(|host| state.batches_of(host).any(|batch| is_open(batch)))
    };
    let all = || {
        let made = state.probes.iter().filter(|(_, probe)| counts(probe));
        made.filter_map(|(id, probe)| Some((id, &probe.probe, probe.from(vantage)?)))
    };
    let (mut controls, mut since, mut why) = (0, None, None);
    for (_, probe, series) in all().filter(|(id, _, series)| series.before == Some(true) && !touched(id)) {
        let words = match look(series, probe, now) {
            Look::Ok { .. } | Look::Mending | Look::Shaky { .. } | Look::Nothing | Look::Stale(_) => continue,
            Look::Fail { why, .. } | Look::Broken(why) => why,
        };
        // One attempt that fails is followed by others before it says anything of what else was seen since.
        let run = series.results.iter().rev().take_while(|(_, outcome)| is_silent(outcome)).count();
        let Some(silent) = silent_since(series).filter(|_| run >= probe.fails.fails as usize) else {
            continue;
        };
        (controls, since) = (controls + 1, since.max(Some(silent)));
        why.get_or_insert(words);
    }
    let (since, why) = (since?, why?.shown());
    let connected = *vantage == Vantage::Cockpit && reaches_a_host(state);
    let came_back = |(at, outcome): &(Time, ProbeOutcome)| match outcome {
        ProbeOutcome::Ok { .. } => *at >= since,
        ProbeOutcome::Fail { kind, .. } => *at >= since && (connected || answered(*kind)),
        ProbeOutcome::Broken { .. } => false,
    };
    if all().any(|(_, _, series)| series.last().is_some_and(came_back)) {
        return None;
    }
    Some(match controls {
        1 => format!("nothing passes from there, a host that is not worked on neither: {why}"),
        n => format!("nothing passes from there, {n} probes of hosts that are not worked on neither: {why}"),
    })
}

/// Whether work on its host may be what its customers feel.
fn is_open(batch: &Batch) -> bool {
    batch.phase.unconfirmed() || batch.phase.running() || batch.wanted_back
}

/// Whether the cockpit reaches a host over the network: its own machine tells nothing of that.
pub(in crate::core) fn reaches_a_host(state: &State) -> bool {
    state.hosts.values().any(|host| matches!(host.reach, Reach::Up { .. }) && !is_local(state, &host.name))
}

/// Whether a host is the cockpit's own machine.
pub(in crate::core) fn is_local(state: &State, host: &HostName) -> bool {
    let Some(plan) = &state.plan else { return false };
    plan.reached().any(|(name, ssh)| name == host && ssh == "local")
}

/// Since when nothing has come back, no refusal either; `None` where the newest attempt had an answer.
pub(in crate::core) fn silent_since(series: &Series) -> Option<Time> {
    series.results.iter().rev().take_while(|(_, outcome)| is_silent(outcome)).last().map(|(at, _)| *at)
}

/// Whether nothing came back to an attempt, no refusal either.
pub(in crate::core) fn is_silent(outcome: &ProbeOutcome) -> bool {
    match outcome {
        ProbeOutcome::Ok { .. } => false,
        ProbeOutcome::Fail { kind, .. } => !answered(*kind),
        ProbeOutcome::Broken { .. } => true,
    }
}

/// Whether a probe has a say: this version makes it, or the recording holds results of it.
pub(super) fn counts(probe: &ProbeState) -> bool {
    effect::is_made(&probe.probe) || probe.last().is_some()
}

/// Whether a failure shows that packets came back.
fn answered(kind: FailKind) -> bool {
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
