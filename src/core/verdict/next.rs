//! The next thing to look at: one command that only reads, for the host or, where it says so, for the
//! cockpit's own machine. Made of addresses, ports and checked names alone: it is copied into a shell.

use super::Verdict;
use super::seen::Seen;
use crate::facts::Protocol;
use crate::plan::ProbeTarget;
use crate::types::HostName;

/// The command for a verdict; `None` where nothing more is to be looked at, or what it would need is not known.
pub(super) fn of(seen: &Seen<'_>, verdict: Verdict) -> Option<String> {
    let port = seen.port();
    let sockets = |words: &str| port.map(|port| format!("ss {words} 'sport = :{port}'"));
    let listening = |words: &str| {
        let protocol = match seen.protocol() {
            Protocol::Tcp => "t",
            Protocol::Udp => "u",
        };
        sockets(&format!("-l{protocol}n{words}"))
    };
    match verdict {
        Verdict::Reachable => None,
        Verdict::NotArriving | Verdict::HostDown => Some(format!("tracepath -n {}", seen.address()?)),
        Verdict::HostHung => Some(format!("ping -n -c 3 {}", seen.address()?)),
        Verdict::ArpUnanswered => match seen.on_host_now() {
            Some(true) => Some("sysctl -ar 'net.ipv4.conf.*.arp_(ignore|filter|announce)'".to_owned()),
            Some(false) | None => Some(format!("ip address show to {}", seen.address()?)),
        },
        Verdict::DroppedOnHost => match seen.on_host_now() {
            Some(false) => Some(format!("ip address show to {}", seen.address()?)),
            // A packet that the reverse-path filter drops is counted; what a rule drops shows in the rules.
            Some(true) | None => Some(
                "nstat -asz TcpExtIPReversePathFilter TcpExtListenDrops; sudo nft list ruleset".to_owned(),
            ),
        },
        Verdict::RejectedByFirewall => Some("sudo nft list ruleset".to_owned()),
        Verdict::ReplyLost => {
            let caller = seen.probe.own.sighting.as_ref().and_then(|sighting| sighting.local);
            let caller = caller.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
            match (caller, seen.address()) {
                (Some(caller), Some(own)) => Some(format!("ip route get {caller} from {own}")),
                (_, _) => Some("ip route show table all".to_owned()),
            }
        }
        Verdict::NotListening => listening(""),
        Verdict::ServiceDown => {
            Some(failed_unit(seen).unwrap_or_else(|| "systemctl --failed --no-pager".to_owned()))
        }
        Verdict::ServiceHung => listening("p"),
        Verdict::ServiceError => Some("journalctl -p warning --since -5min --no-pager".to_owned()),
        Verdict::WrongCertificate | Verdict::TlsRefused => {
            let name = match (name(seen), &seen.probe.probe.target) {
                (_, ProbeTarget::Tls { unasked: true, .. }) => " -noservername".to_owned(),
                (Some(name), _) => format!(" -servername {name}"),
                (None, _) => String::new(),
            };
            let at = std::net::SocketAddr::new(seen.address()?, port?);
            let read = match verdict == Verdict::WrongCertificate {
                true => " | openssl x509 -noout -subject -dates -ext subjectAltName",
                false => "",
            };
            Some(format!("openssl s_client -connect {at}{name} </dev/null{read}"))
        }
        Verdict::WrongContent => {
            let ProbeTarget::Http { tls, path, .. } = &seen.probe.probe.target else { return None };
            let (name, port) = (name(seen)?, port?);
            let scheme = if *tls { "https" } else { "http" };
            let address = seen.address()?;
            let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            // What the probe itself asks for again and again; of the page as much as tells which one it is.
            let path = Some(path).filter(|path| is_plain(path))?;
            Some(format!(
                "curl -sSi --path-as-is --resolve '{name}:{port}:{address}' '{scheme}://{name}:{port}{path}' | head -c 600"
            ))
        }
        Verdict::DatabaseDown => Some("pg_lsclusters".to_owned()),
        Verdict::Slow => sockets("-tin").map(|sockets| format!("uptime; {sockets}")),
        Verdict::PathSlow => Some(format!("ping -n -c 10 {}", seen.address()?)),
        Verdict::VantageBroken => Some("ip -brief address; ip route".to_owned()),
        Verdict::Unknown => None,
    }
}

/// Whether path and query are of bytes that mean nothing between a shell's single quotes, nor to curl, which makes many
/// addresses of one with brackets or braces.
fn is_plain(path: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"/._~%?&=+,:;@-".contains(&b);
    path.starts_with('/') && path.bytes().all(byte)
}

/// The name that a server is asked for, where it is of the strict pattern of a host's name.
fn name(seen: &Seen<'_>) -> Option<HostName> {
    match &seen.probe.probe.target {
        ProbeTarget::Tls { name, .. } => name.as_ref()?.parse().ok(),
        ProbeTarget::Http { host, .. } => host.parse().ok(),
        ProbeTarget::Ping
        | ProbeTarget::Tcp { .. }
        | ProbeTarget::Dns { .. }
        | ProbeTarget::Postgres { .. }
        | ProbeTarget::Exec { .. } => None,
    }
}

/// The first unit that has failed there, read since the probe fails. A unit's name may hold backslashes.
fn failed_unit(seen: &Seen<'_>) -> Option<String> {
    let read = seen.state.hosts.get(seen.host())?.facts.services.as_ref()?;
    let unit = read.known()?.failed.first().filter(|_| seen.since().is_none_or(|since| read.at >= since))?;
    Some(format!("systemctl status --no-pager -- '{unit}'"))
}
