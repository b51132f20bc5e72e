//! What a host of the demo sees of its customers and of others', and what it is like at a moment: the
//! helper's verbs `probe` and `evidence`. Nothing is installed there but what minimal Debian has.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use super::model::{Host, section};
use crate::facts::Section;
use crate::host::look::Look;
use crate::plan::ProbeTarget;
use crate::types::Span;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knock {
    /// It is taken.
    Open,
    /// Nobody listens.
    Refused,
    /// Nothing answers.
    Dark,
}

impl Host {
    /// Where it is at home, whether it has the address at this moment or not.
    pub(super) fn own_addresses(&self) -> Vec<IpAddr> {
        let all = std::iter::once(&self.profile.address).chain(&self.profile.customers);
        all.map(|address| IpAddr::V4(*address)).collect()
    }
}

/// The section `probe`; `knocks` is what became of connections to others, as [`elsewhere`] has found out.
pub(super) fn looked(host: &Host, looks: &[Look], knocks: &[Option<Knock>]) -> Section {
    let lines = looks.iter().enumerate().map(|(place, look)| {
        let knock = at(look)
            .map(|to| own(host, to).or(knocks.get(place).copied().flatten()).unwrap_or(Knock::Refused));
        format!("{place} {}", line(look, knock))
    });
    section("probe", lines.collect())
}

/// What becomes of connections to what is none of this host's own, by trying.
pub(super) async fn elsewhere(own_addresses: &[IpAddr], looks: &[Look]) -> Vec<Option<Knock>> {
    let knocks = looks.iter().map(|look| async move {
        let to = at(look).filter(|to| !own_addresses.contains(&to.ip()))?;
        Some(match tokio::time::timeout(look.timeout().into(), TcpStream::connect(to)).await {
            Ok(Ok(_)) => Knock::Open,
            Ok(Err(_)) => Knock::Refused,
            Err(_) => Knock::Dark,
        })
    });
    futures_util::future::join_all(knocks).await
}

/// Where it leads, where that can be said.
fn at(look: &Look) -> Option<SocketAddr> {
    let (address, port) = match look.target() {
        ProbeTarget::Tcp { port } | ProbeTarget::Tls { port, .. } => (look.address()?, *port),
        ProbeTarget::Http { host, port, .. } => (look.address().or_else(|| host.parse().ok())?, *port),
        ProbeTarget::Postgres { .. } => (IpAddr::from([127, 0, 0, 1]), 5432),
        ProbeTarget::Ping => (look.address()?, 0),
        ProbeTarget::Dns { .. } => (look.address()?, 53),
        ProbeTarget::Exec { .. } => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// What becomes of a connection to an address of its own; `None` where it is none.
fn own(host: &Host, to: SocketAddr) -> Option<Knock> {
    let is = |address: &std::net::Ipv4Addr| IpAddr::V4(*address) == to.ip();
    let profile = &host.profile;
    if is(&profile.address) || host.addresses.iter().any(is) {
        let listens = to.port() == 0 || profile.listens.iter().any(|(port, _)| *port == to.port());
        return Some(if listens { Knock::Open } else { Knock::Refused });
    }
    host.own_addresses().contains(&to.ip()).then_some(Knock::Dark)
}

fn line(look: &Look, knock: Option<Knock>) -> String {
    // Without an end of its own: what is made up here sends no packets that could be found by it.
    let late = || {
        let timeout = look.timeout();
        format!("fail no-answer {}\tno answer in {timeout}", timeout.as_ms())
    };
    let refused = || "fail refused 0 local=0.0.0.0:40000\trefused".to_owned();
    let open = |more: &str| format!("ok 1 {more}");
    // As the helper has it: a pass of what could be looked at, and no more.
    let part = |more: &str| format!("part 1 {more}");
    match (look.target(), knock) {
        (ProbeTarget::Exec { argv }, _) => command(argv),
        (ProbeTarget::Ping, Some(Knock::Open)) => "ok 1\techo after 0.05 ms".to_owned(),
        (ProbeTarget::Ping, Some(Knock::Refused | Knock::Dark)) => {
            format!("fail no-answer {}\tno answer in {}", look.timeout().as_ms(), look.timeout())
        }
        (ProbeTarget::Tcp { .. }, Some(Knock::Open)) => open("connected=0\topen"),
        (ProbeTarget::Tls { .. } | ProbeTarget::Http { tls: true, .. }, Some(Knock::Open)) => {
            part("connected=0\topen; TLS not looked at: no openssl and no curl here")
        }
        (ProbeTarget::Http { tls: false, .. }, Some(Knock::Open)) => {
            let said =
                format!("200; connected after {0}, answer after {1}, all after {1}", Span::ZERO, Span::ms(1));
            open(&format!("connected=0 answered=1 status=200\t{said}"))
        }
        (ProbeTarget::Postgres { .. }, Some(Knock::Open)) => {
            part("connected=0\topen; login not looked at: no psql here")
        }
        (ProbeTarget::Dns { .. }, Some(Knock::Open)) => open("answered=1\t1 record"),
        (_, Some(Knock::Refused)) => refused(),
        (_, Some(Knock::Dark)) => late(),
        (_, None) => "broken 0\tit was not resolved here".to_owned(),
    }
}

/// A unit is active; that is all that is asked of these hosts.
fn command(argv: &[String]) -> String {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match words[..] {
        ["true"] => "ok 1\tstatus 0".to_owned(),
        ["systemctl", "is-active", _] => "ok 3\tactive".to_owned(),
        [program, ..] => format!("broken 1\t{program} is not on this host, or not for this user"),
        [] => "broken 0\tno command".to_owned(),
    }
}

/// The parts of the helper's verb `evidence`, in its order.
const PARTS: [&str; 20] = [
    "now",
    "addresses",
    "routes",
    "routes6",
    "rules",
    "rules6",
    "neighbours",
    "listeners",
    "links",
    "nft",
    "iptables",
    "ip6tables",
    "sockets",
    "connections",
    "sysctl",
    "failed",
    "processes",
    "memory",
    "journal",
    "storage",
];

/// What the host is like: its addresses and what listens; the rest is as good as any.
pub(super) fn evidence(host: &Host, now: crate::types::Time) -> Vec<Section> {
    let part = |name: &&str| match *name {
        "now" => section(name, vec![now.format("%Y-%m-%dT%H:%M:%SZ").to_string()]),
        "addresses" => {
            let all = std::iter::once(&host.profile.address).chain(&host.addresses);
            section(name, all.map(|address| format!("    inet {address}/24 scope global eth0")).collect())
        }
        "routes" => section(name, vec![format!("default via {} dev eth0", host.profile.gateway)]),
        "listeners" => {
            let listens = host.profile.listens.iter();
            section(name, listens.map(|(port, who)| format!("tcp LISTEN 0 511 *:{port} *:* {who}")).collect())
        }
        "nft" | "iptables" | "ip6tables" => {
            let tool = if *name == "nft" { "nft".to_owned() } else { format!("{name}-save") };
            Section { status: 127, ..section(name, vec![format!("not looked at: no {tool} here")]) }
        }
        _ => section(name, Vec::new()),
    };
    PARTS.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::look::Looked;

    /// As on a Debian with nothing more on it: what was not looked at is no pass of the whole.
    #[test]
    fn a_part_is_none_of_the_whole() {
        let targets =
            ["tcp:443", "tls:443", "https://www.acme.example/", "postgres:acme", "http://www.acme.example/"];
        let looks: Vec<Look> = targets
            .iter()
            .map(|text| {
                let target: ProbeTarget = text.parse().expect("a target");
                Look::new(&target, Some(IpAddr::from([192, 0, 2, 1])), Span::secs(3)).expect("a look")
            })
            .collect();
        let lines = looks
            .iter()
            .enumerate()
            .map(|(place, look)| format!("{place} {}", line(look, Some(Knock::Open))));
        let looked = Looked::parse(&section("probe", lines.collect()), looks.len()).expect("it reads");
        let whole: Vec<bool> = looked.iter().map(|looked| looked.whole).collect();
        assert_eq!(whole, [true, false, false, false, true]);
    }
}
