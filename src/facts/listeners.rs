//! Listening sockets, from ss(8).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::read::Sections;
use super::section::{Unreadable, strict};
use super::{Listener, Protocol};
use crate::types::Untrusted;

pub(super) fn read(sections: &Sections) -> Result<Vec<Listener>, Untrusted> {
    let mut listeners = Vec::new();
    for line in sections.text("listeners")? {
        if !line.trim().is_empty() {
            listeners.push(listener(&line)?);
        }
    }
    listeners.sort();
    listeners.dedup();
    Ok(listeners)
}

/// `tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=812,fd=3))`
fn listener(line: &str) -> Result<Listener, Unreadable> {
    let mut words = line.split_whitespace();
    let protocol = match words.next() {
        Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        _ => return Err(Unreadable::new("listeners: neither tcp nor udp", line)),
    };
    let Some(at) = words.nth(3) else {
        return Err(Unreadable::new("listeners: no local address in this line", line));
    };
    // A name may hold anything, so it ends at the last sign that can be its end of the first user.
    let program = line.split_once("users:((\"").map(|(_, users)| match users.split_once("\",pid=") {
        Some((name, _)) => Untrusted::new(name),
        None => Untrusted::new(users),
    });
    // Every address of both families is written as `*`.
    let v6_only = at.starts_with("[::]");
    Ok(Listener { protocol, at: address(at, line)?, program, v6_only })
}

/// `0.0.0.0:22`, `[::1]:25`, `*:80` (both families), `[::]:80` (IPv6 alone), `127.0.0.53%lo:53`, `[fe80::1]%eth0:546`.
fn address(at: &str, line: &str) -> Result<SocketAddr, Unreadable> {
    let (host, port) = at.rsplit_once(':').unwrap_or((at, ""));
    let port = if port == "*" { 0 } else { strict("a port", port, line)? };
    let host = host.split('%').next().unwrap_or_default();
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let ip = if host == "*" { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { strict("an address", host, line)? };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, section};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    #[test]
    fn listeners_are_read_with_and_without_their_program() {
        let lines = "udp   UNCONN 0      0      127.0.0.53%lo:53         0.0.0.0:*    users:((\"systemd-resolve\",pid=601,fd=13))\n\
            udp   UNCONN 0      0      [fe80::fc:ff:fe00:1]%eth0:546    [::]:*\n\
            tcp   LISTEN 0      128    0.0.0.0:22      0.0.0.0:*    users:((\"ssh d\",pid=812,fd=3),(\"x\",pid=1,fd=2))\n\
            tcp   LISTEN 0      511    *:80            *:*\n\
            tcp   LISTEN 0      511    *:80            *:*\n\
            tcp   LISTEN 0      511    [::]:443        [::]:*\n\
            tcp   LISTEN 0      128    [::1]:25        [::]:*\n";
        let read = read(&[section("listeners", lines)], at(0));
        let Domain::Listeners(Fact::Known(listeners)) = &read[0] else { panic!("{read:?}") };
        let shown: Vec<String> = listeners
            .iter()
            .map(|l| {
                let only = if l.v6_only { " v6" } else { "" };
                format!("{:?} {} {}{only}", l.protocol, l.at, l.program.as_ref().map_or("-", Untrusted::raw))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Tcp 0.0.0.0:22 ssh d",
                "Tcp [::]:80 -",
                "Tcp [::]:443 - v6",
                "Tcp [::1]:25 -",
                "Udp 127.0.0.53:53 systemd-resolve",
                "Udp [fe80::fc:ff:fe00:1]:546 -",
            ]
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for bad in [
            "sctp LISTEN 0 1 *:1 *:*",
            "tcp LISTEN 0",
            "tcp LISTEN 0 1 300.1.1.1:22 *:*",
            "tcp LISTEN 0 1 *:99999 *:*",
        ] {
            let read = read(&[section("listeners", bad)], at(0));
            let Domain::Listeners(Fact::Unknown(why)) = &read[0] else { panic!("{read:?}") };
            assert!(why.shown().contains(bad), "{}", why.shown());
        }
    }
}
