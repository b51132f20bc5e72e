//! Where the demo stands on this machine: addresses of the loopback network and ports, so chosen
//! that two demos at once don't meet.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::TcpListener;

use super::DemoError;
use super::door;

/// The ssh port of the hosts where they have addresses of their own.
const SSH: u16 = 2222;
/// The ports of the customers where they have addresses of their own.
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
/// The networks that are tried, by their third number, before ports of one address are taken.
pub(super) const NETWORKS: RangeInclusive<u8> = 1..=60;

/// A listener, and where it is.
pub(super) struct Stand {
    pub at: SocketAddr,
    pub listener: TcpListener,
}

/// The stands of a customer.
pub(super) struct Place {
    /// The address as its host has it.
    pub address: Ipv4Addr,
    pub http: Stand,
    pub https: Stand,
}

/// The stands of a host.
pub(super) struct Plot {
    /// The address as the host has it.
    pub address: Ipv4Addr,
    pub ssh: Stand,
    pub customers: Vec<Place>,
}

/// All stands.
pub(super) struct Ground {
    /// The router's address.
    pub gateway: Ipv4Addr,
    pub plots: Vec<Plot>,
    /// Kept so that no other demo takes this network.
    pub claim: Option<TcpListener>,
}

/// Last numbers of a host's address and of its customers'.
pub(super) type Numbers<'a> = (u8, &'a [u8]);

/// Takes a network of its own where the system has one, `127.77.N.x`; else ports of 127.0.0.1, and
/// the addresses that the hosts say they have are of the network for documentation (RFC 5737).
pub(super) fn take(hosts: &[Numbers<'_>], networks: RangeInclusive<u8>) -> Result<Ground, DemoError> {
    for third in networks {
        if let Ok(ground) = own_network(Ipv4Addr::new(127, 77, third, 0), hosts) {
            return Ok(ground);
        }
    }
    one_address(hosts)
}

fn number(network: Ipv4Addr, last: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, last)
}

fn stand(address: Ipv4Addr, port: u16) -> std::io::Result<Stand> {
    let listener = door::open(SocketAddr::from((address, port)))?;
    Ok(Stand { at: listener.local_addr()?, listener })
}

fn own_network(network: Ipv4Addr, hosts: &[Numbers<'_>]) -> std::io::Result<Ground> {
    let gateway = number(network, 1);
    let claim = stand(gateway, SSH)?.listener;
    let place = |last: &u8| {
        let address = number(network, *last);
        Ok(Place { address, http: stand(address, HTTP)?, https: stand(address, HTTPS)? })
    };
    let plot = |(last, customers): &Numbers<'_>| {
        let address = number(network, *last);
        let customers = customers.iter().map(place).collect::<std::io::Result<_>>()?;
        Ok(Plot { address, ssh: stand(address, SSH)?, customers })
    };
    let plots = hosts.iter().map(plot).collect::<std::io::Result<_>>()?;
    Ok(Ground { gateway, plots, claim: Some(claim) })
}

fn one_address(hosts: &[Numbers<'_>]) -> Result<Ground, DemoError> {
    let network = Ipv4Addr::new(192, 0, 2, 0);
    let any = || stand(Ipv4Addr::LOCALHOST, 0).map_err(DemoError::Listen);
    let mut plots = Vec::new();
    for (last, customers) in hosts {
        let mut places = Vec::new();
        for last in *customers {
            places.push(Place { address: number(network, *last), http: any()?, https: any()? });
        }
        plots.push(Plot { address: number(network, *last), ssh: any()?, customers: places });
    }
    Ok(Ground { gateway: number(network, 1), plots, claim: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &[Numbers<'_>] = &[(10, &[]), (11, &[21, 22])];

    #[tokio::test]
    async fn two_of_them_never_share_an_address() {
        let first = take(HOSTS, 200..=210).expect("a ground");
        let second = take(HOSTS, 200..=210).expect("another");
        let all = |ground: &Ground| -> Vec<SocketAddr> {
            let places = ground.plots.iter().flat_map(|plot| {
                let customers = plot.customers.iter().flat_map(|place| [place.http.at, place.https.at]);
                customers.chain([plot.ssh.at]).collect::<Vec<_>>()
            });
            places.collect()
        };
        assert_eq!(all(&first).len(), 6);
        assert!(all(&first).iter().all(|at| !all(&second).contains(at)));
        // What is given back can be had again.
        let at = all(&first);
        drop(first);
        if at.iter().any(|at| *at.ip().to_string() != *"127.0.0.1") {
            assert_eq!(all(&take(HOSTS, 200..=210).expect("again")), at);
        }
    }

    #[tokio::test]
    async fn where_there_is_one_address_it_goes_by_ports() {
        let ground = one_address(HOSTS).expect("a ground");
        assert!(ground.plots.iter().all(|plot| plot.ssh.at.ip() == Ipv4Addr::LOCALHOST));
        assert_eq!(ground.plots[1].customers[0].address, Ipv4Addr::new(192, 0, 2, 21));
    }
}
