//! What a verdict goes by, in words: the sentence's beginning, and the evidence line by line.

use super::passing::Differs;
use super::place;
use super::seen::{Listens, Look, Packets, Seen, look};
use crate::core::event::{Flow, Vantage};
use crate::core::state::Series;
use crate::plan::{ProbeTarget, VantageKind};
use crate::types::{Span, Untrusted};

impl Seen<'_> {
    /// The place that it is judged from.
    pub(super) fn place(&self) -> String {
        match self.probe.probe.from {
            VantageKind::Outside => "the cockpit's own network".to_owned(),
            VantageKind::Inside => format!("what looks on {}", self.host()),
            VantageKind::Peer => match self.peer() {
                Some(peer) => format!("the peer {peer}"),
                None => "the peer".to_owned(),
            },
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
        lines.extend(super::passing::differences(self.probe).iter().map(Differs::words));
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
