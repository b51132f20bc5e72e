//! Addresses and routes, from the JSON of ip(8).

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::read::Sections;
use super::section::strict;
use super::{Address, Network, Route};
use crate::types::{IfName, Untrusted};

/// A routing table of the whole internet is not one that is compared between hosts.
const MOST: usize = 50_000;

#[derive(Deserialize)]
struct Link {
    // iproute2 prints an empty object for a link that a filter left out.
    ifname: Option<String>,
    #[serde(default)]
    addr_info: Vec<Info>,
}

#[derive(Deserialize)]
struct Info {
    local: Option<IpAddr>,
    prefixlen: Option<u8>,
    scope: Option<String>,
    #[serde(default)]
    dynamic: bool,
}

#[derive(Deserialize)]
struct Path {
    #[serde(rename = "type")]
    kind: Option<String>,
    dst: Option<String>,
    table: Option<String>,
    protocol: Option<String>,
    metric: Option<u32>,
    #[serde(flatten)]
    hop: Hop,
    #[serde(default)]
    nexthops: Vec<Hop>,
}

#[derive(Deserialize)]
struct Hop {
    gateway: Option<IpAddr>,
    /// A gateway of the other family (RFC 5549).
    via: Option<Via>,
    dev: Option<String>,
}

#[derive(Deserialize)]
struct Via {
    host: IpAddr,
}

pub(super) fn read(sections: &Sections) -> Result<Network, Untrusted> {
    let links: Vec<Link> = json(sections, "addresses")?;
    let mut addresses = Vec::new();
    for link in links {
        let Some(ifname) = link.ifname else { continue };
        let interface = interface(&ifname)?;
        for info in link.addr_info {
            let Some(address) = info.local else { continue };
            let widest = if address.is_ipv4() { 32 } else { 128 };
            let prefix = info.prefixlen.filter(|prefix| *prefix <= widest);
            addresses.push(Address {
                interface: interface.clone(),
                address,
                prefix: prefix
                    .ok_or_else(|| format!("addresses: {address} on {interface} has no valid prefix"))?,
                scope: Untrusted::new(info.scope.as_deref().unwrap_or("global")),
                dynamic: info.dynamic,
            });
        }
    }
    let mut routes = Vec::new();
    for (section, default) in [("routes4", "default"), ("routes6", "::/0")] {
        for path in json::<Vec<Path>>(sections, section)? {
            route(path, default, &mut routes)?;
        }
    }
    if addresses.len() > MOST || routes.len() > MOST {
        return Err(format!("network: more than {MOST} addresses or routes").into());
    }
    addresses.sort();
    addresses.dedup();
    routes.sort();
    routes.dedup();
    Ok(Network { addresses, routes })
}

fn route(path: Path, default: &str, routes: &mut Vec<Route>) -> Result<(), Untrusted> {
    // What ip leaves out is its default.
    let table = path.table.as_deref().unwrap_or("main");
    if table == "local" {
        return Ok(());
    }
    let destination = match path.dst.as_deref() {
        Some("default") => default,
        Some(destination) => destination,
        None => return Err(format!("{default}: a route has no destination").into()),
    };
    let destination = match path.kind.as_deref() {
        None | Some("unicast") => destination.to_owned(),
        Some(kind) => format!("{kind} {destination}"),
    };
    let hops = if path.nexthops.is_empty() { vec![path.hop] } else { path.nexthops };
    for hop in hops {
        routes.push(Route {
            table: Untrusted::new(table),
            destination: Untrusted::new(&destination),
            gateway: hop.gateway.or(hop.via.map(|via| via.host)),
            interface: hop.dev.as_deref().map(interface).transpose()?,
            protocol: Untrusted::new(path.protocol.as_deref().unwrap_or("boot")),
            metric: path.metric.unwrap_or(0),
        });
    }
    Ok(())
}

fn interface(name: &str) -> Result<IfName, Untrusted> {
    Ok(strict("an interface", name, name)?)
}

/// The helper breaks ip's one line between objects; a host without any route of a family prints
/// nothing, or an empty list.
fn json<T: DeserializeOwned + Default>(sections: &Sections, name: &str) -> Result<T, Untrusted> {
    let text = sections.text(name)?.join("\n");
    if text.trim().is_empty() && name != "addresses" {
        return Ok(T::default());
    }
    serde_json::from_str(&text).map_err(|why| {
        let line = text.lines().nth(why.line().saturating_sub(1)).unwrap_or_default();
        let near: String = line.chars().skip(why.column().saturating_sub(40)).take(60).collect();
        format!("{name}: not the JSON of ip: {why}, near {}", Untrusted::new(near).shown()).into()
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    const ADDRESSES: &str = r#"[{"ifindex":1,"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},
{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]},{"ifindex":2,"ifname":"ens3","addr_info":[{"family":"inet","local":"192.0.2.11","prefixlen":24,"broadcast":"192.0.2.255","scope":"global","dynamic":true,"label":"ens3","valid_life_time":86314},
{"family":"inet","local":"192.0.2.21","address":"192.0.2.1","prefixlen":32,"scope":"global","label":"ens3:acme"}]},{},{"ifname":"veth0","link_index":5,"addr_info":[]}]"#;
    const ROUTES4: &str = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"ens3","protocol":"dhcp","metric":100,"flags":[]},
{"dst":"192.0.2.0/24","dev":"ens3","protocol":"kernel","scope":"link","prefsrc":"192.0.2.11","flags":[]},
{"type":"blackhole","dst":"10.0.0.0/8","table":"100","protocol":"static","flags":[]},
{"dst":"198.51.100.0/24","via":{"family":"inet6","host":"fe80::1"},"dev":"ens3","flags":[]},
{"dst":"203.0.113.0/24","protocol":"static","flags":[],"nexthops":[{"gateway":"192.0.2.2","dev":"ens3","weight":1,"flags":[]},{"gateway":"192.0.2.3","dev":"ens3","weight":1,"flags":[]}]},
{"type":"local","dst":"127.0.0.1","dev":"lo","table":"local","protocol":"kernel","scope":"host","flags":[]}]"#;

    fn network(addresses: &str, routes4: &str, routes6: &str) -> Fact<Network> {
        let sections =
            [section("addresses", addresses), section("routes4", routes4), section("routes6", routes6)];
        let mut read = read(&sections, at(0));
        let Domain::Network(fact) = read.remove(0) else { panic!("{read:?}") };
        fact
    }

    #[test]
    fn addresses_and_routes_are_read_and_sorted() {
        let fact = network(ADDRESSES, ROUTES4, "");
        let network = known(&fact);
        let addresses: Vec<String> = network
            .addresses
            .iter()
            .map(|a| format!("{} {}/{} {}", a.interface, a.address, a.prefix, a.dynamic))
            .collect();
        assert_eq!(
            addresses,
            [
                "ens3 192.0.2.11/24 true",
                "ens3 192.0.2.21/32 false",
                "lo 127.0.0.1/8 false",
                "lo ::1/128 false"
            ]
        );
        let routes: Vec<String> = network
            .routes
            .iter()
            .map(|r| {
                let gateway = r.gateway.map_or("-".to_owned(), |g| g.to_string());
                let interface = r.interface.as_ref().map_or("-", IfName::as_str);
                let (table, destination, protocol) = (r.table.raw(), r.destination.raw(), r.protocol.raw());
                format!("{table} {destination} {gateway} {interface} {protocol} {}", r.metric)
            })
            .collect();
        assert_eq!(
            routes,
            [
                "100 blackhole 10.0.0.0/8 - - static 0",
                "main 192.0.2.0/24 - ens3 kernel 0",
                "main 198.51.100.0/24 fe80::1 ens3 boot 0",
                "main 203.0.113.0/24 192.0.2.2 ens3 static 0",
                "main 203.0.113.0/24 192.0.2.3 ens3 static 0",
                "main default 192.0.2.1 ens3 dhcp 100",
            ]
        );
    }

    #[test]
    fn the_default_routes_of_both_families_stay_two() {
        let route = r#"[{"dst":"default","dev":"wg0","flags":[]}]"#;
        let fact = network(ADDRESSES, route, route);
        assert_eq!(known(&fact).routes.len(), 2);
    }

    #[test]
    fn what_is_no_json_of_ip_is_unknown_and_named() {
        for (addresses, routes, why) in [
            ("", "", "addresses: not the JSON"),
            (r#"[{"ifname":"e/th0","addr_info":[{"local":"192.0.2.1","prefixlen":24}]}]"#, "", "e/th0"),
            (r#"[{"ifname":"eth0","addr_info":[{"local":"192.0.2.1","prefixlen":33}]}]"#, "", "valid prefix"),
            (ADDRESSES, "[{\"dst\":\"default\",\"gateway\":\"\u{1b}]\"}]", "routes4: not the JSON"),
            (ADDRESSES, r#"[{"gateway":"192.0.2.1"}]"#, "no destination"),
        ] {
            let Fact::Unknown(said) = network(addresses, routes, "") else { panic!("{addresses} {routes}") };
            assert!(said.shown().contains(why), "{}", said.shown());
            assert!(!said.raw().contains('\u{1b}'), "{}", said.shown());
        }
    }
}
