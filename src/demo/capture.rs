//! What tcpdump would print on a host of the demo: the probes' own connections, as this machine's list of
//! sockets has them. Whoever answers is answered; an address that the host has no more gets nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::capture::builder::{sll2, stream, tcp_packet, udp_packet};
use crate::capture::{SIGN, link};
use crate::core::event::TcpFlags;

/// Where Linux lists its TCP sockets.
const SOCKETS: &str = "/proc/net/tcp";
/// How often they are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// The index of the interface that all of it comes by.
const ETH0: u32 = 2;
/// And of the one that the helper's signs of life come by.
const LO: u32 = 1;
const IPV4: u16 = 0x0800;
/// A sign of life each so many looks.
const SIGNS: u64 = 20;

/// Whether this machine tells its sockets.
pub(super) fn is_there() -> bool {
    std::fs::metadata(SOCKETS).is_ok()
}

/// This machine's sockets now; none where it doesn't tell.
pub(super) fn sockets() -> String {
    std::fs::read_to_string(SOCKETS).unwrap_or_default()
}

/// What the file of a capture begins with.
pub(super) fn head() -> Vec<u8> {
    stream(link::SLL2, false, true, &[])
}

/// How a connection stands, as far as packets can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Asked for, and nothing came.
    Asking,
    /// There, or over.
    Made,
    /// Over, and the host ended it: it had answered.
    Answered,
}

/// The capture of one host.
pub(super) struct Wire {
    addresses: HashSet<IpAddr>,
    /// Connections that were seen, how often each was asked for, and when that was first; in looks.
    known: HashMap<(SocketAddr, SocketAddr), (u32, u64)>,
    looks: u64,
    written: usize,
}

impl Wire {
    /// Of these addresses; what there is of connections already is not news.
    pub(super) fn new(addresses: &[IpAddr], sockets: &str) -> Self {
        let addresses = addresses.iter().copied().collect();
        let mut wire = Self { addresses, known: HashMap::new(), looks: 0, written: 0 };
        let old: Vec<_> = wire.connections(sockets).into_keys().collect();
        wire.known.extend(old.into_iter().map(|ends| (ends, (u32::MAX, 0))));
        wire
    }

    /// The connections to these addresses: caller and customer's end.
    fn connections(&self, sockets: &str) -> HashMap<(SocketAddr, SocketAddr), Standing> {
        let mut found = HashMap::new();
        for line in sockets.lines().skip(1) {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (Some(local), Some(remote), Some(state)) =
                (words.next().and_then(end), words.next().and_then(end), words.next())
            else {
                continue;
            };
            let listens = state == "0A" || remote.port() == 0;
            // The host's own sockets listen at lower ports than those that callers are given.
            let (to_us, from_us) = (
                self.addresses.contains(&remote.ip()) && local.port() > remote.port(),
                self.addresses.contains(&local.ip()) && local.port() < remote.port(),
            );
            let standing = match state {
                "02" => Standing::Asking,
                "06" if from_us => Standing::Answered,
                _ => Standing::Made,
            };
            match (listens, to_us, from_us) {
                (false, true, _) => drop(found.entry((local, remote)).or_insert(standing)),
                (false, _, true) if standing == Standing::Answered => {
                    found.insert((remote, local), standing);
                }
                (false, _, true) => drop(found.entry((remote, local)).or_insert(standing)),
                _ => {}
            }
        }
        found
    }

    /// The packets since the last look, as a pcap stream goes on; `has`: the addresses that the host has,
    /// `at`: in nanoseconds since 1970.
    pub(super) fn look(&mut self, sockets: &str, has: &[Ipv4Addr], at: u64) -> Vec<u8> {
        self.looks += 1;
        let now = self.connections(sockets);
        self.known.retain(|ends, _| now.contains_key(ends));
        let mut packets: Vec<Vec<u8>> = Vec::new();
        let mut sorted: Vec<_> = now.into_iter().collect();
        sorted.sort_by_key(|(ends, _)| *ends);
        for ((caller, server), standing) in sorted {
            let there = has.iter().any(|address| IpAddr::V4(*address) == server.ip());
            let (asked, since) = self.known.entry((caller, server)).or_insert((0, self.looks));
            let number = u32::from(caller.port()) * 1_000;
            let mut came = |flags, seq, ack, data: &[u8]| {
                packets.push(sll2(ETH0, 0, IPV4, &tcp_packet(caller, server, flags, seq, ack, data)));
            };
            if standing == Standing::Asking || !there {
                // A second later, and two more after that, as Linux asks again.
                let due = match *asked {
                    0 => 0,
                    1 => 10,
                    2 => 30,
                    _ => u64::MAX,
                };
                if self.looks - *since >= due && (*asked == 0 || standing == Standing::Asking) {
                    *asked += 1;
                    came(TcpFlags::SYN, number, 0, &[]);
                }
                continue;
            }
            if *asked == u32::MAX {
                continue;
            }
            if *asked == 0 {
                came(TcpFlags::SYN, number, 0, &[]);
            }
            *asked = u32::MAX;
            let (ack, fin) = (TcpFlags::ACK, TcpFlags::ACK | TcpFlags::FIN);
            let (mine, theirs) = (number + 1, 5_001);
            let left = |flags, seq, ack, data: &[u8]| {
                sll2(ETH0, 4, IPV4, &tcp_packet(server, caller, flags, seq, ack, data))
            };
            let into = |flags, seq, ack, data: &[u8]| {
                sll2(ETH0, 0, IPV4, &tcp_packet(caller, server, flags, seq, ack, data))
            };
            packets.push(left(TcpFlags::SYN | TcpFlags::ACK, theirs - 1, mine, &[]));
            packets.push(into(ack, mine, theirs, &[]));
            if standing == Standing::Answered {
                let (asked, told) = (b"GET /health HTTP/1.1", b"HTTP/1.1 200 OK");
                packets.push(into(ack | TcpFlags::PSH, mine, theirs, asked));
                packets.push(left(ack | TcpFlags::PSH, theirs, mine + 20, told));
                packets.push(left(fin, theirs + 15, mine + 20, &[]));
            } else {
                packets.push(into(fin, mine, theirs, &[]));
            }
        }
        if self.looks.is_multiple_of(SIGNS) {
            let from = SocketAddr::new(SIGN.ip(), 40_009);
            packets.push(sll2(LO, 0, IPV4, &udp_packet(from, SIGN, &[])));
        }
        self.written += packets.len();
        let packets: Vec<_> = (0..).zip(packets).map(|(nth, packet)| (at + nth * 20_000, packet)).collect();
        stream(link::SLL2, false, true, &packets).split_off(head().len())
    }
}

impl Wire {
    /// What tcpdump says beside the packets after a sign of life: how many it has written.
    pub(super) fn counts(&self) -> Option<String> {
        let n = self.written;
        let line = || {
            format!(
                "tcpdump: {n} packets captured, {n} packets received by filter, 0 packets dropped by kernel\n"
            )
        };
        self.looks.is_multiple_of(SIGNS).then(line)
    }
}

/// `0100007F:01BB`: the address as the machine keeps it, and the port.
fn end(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    let address = Ipv4Addr::from(if cfg!(target_endian = "little") { address.swap_bytes() } else { address });
    Some(SocketAddr::new(address.into(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Reader, frame};
    use crate::core::event::What;

    const LIST: &str = "  sl  local_address rem_address   st tx_queue\n";

    fn line(local: &str, remote: &str, state: &str) -> String {
        format!("   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 0 0 1 1\n")
    }

    fn rows(wire: &mut Wire, list: &str, has: &[Ipv4Addr]) -> Vec<String> {
        let mut reader = Reader::default();
        let mut rows = Vec::new();
        let mut bytes = head();
        bytes.extend(wire.look(list, has, 1_700_000_000_000_000_000));
        reader
            .push(&bytes, |link, raw| {
                let What::Tcp { src, dst, flags, data, .. } = frame(link, raw.length, raw.bytes).seen.what
                else {
                    panic!("no TCP")
                };
                rows.push(format!("{} {} {} {data}", src.port(), dst.port(), flags.text()));
            })
            .unwrap();
        rows
    }

    #[test]
    fn sockets_become_the_packets_that_made_them() {
        let address = Ipv4Addr::new(127, 77, 0, 21);
        // 127.77.0.21:8443 and callers from 127.0.0.1.
        let (server, one, two) = ("15004D7F:20FB", "0100007F:C350", "0100007F:C351");
        let old = format!("{LIST}{}{}", line(server, "00000000:0000", "0A"), line(one, server, "06"));
        let mut wire = Wire::new(&[address.into()], &old);
        assert_eq!(rows(&mut wire, &old, &[address]), Vec::<String>::new());
        let asking = format!("{LIST}{}", line(two, server, "02"));
        assert_eq!(rows(&mut wire, &asking, &[]), ["50001 8443 S 0"]);
        for _ in 0..9 {
            assert_eq!(rows(&mut wire, &asking, &[]), Vec::<String>::new());
        }
        assert_eq!(rows(&mut wire, &asking, &[]), ["50001 8443 S 0"], "again after a second");
        let made = format!("{LIST}{}", line(two, server, "01"));
        assert_eq!(
            rows(&mut wire, &made, &[address]),
            ["8443 50001 S. 0", "50001 8443 . 0", "50001 8443 F. 0"]
        );
        assert_eq!(rows(&mut wire, &made, &[address]), Vec::<String>::new());
        let answered = format!("{LIST}{}", line(server, one, "06"));
        assert_eq!(rows(&mut wire, &answered, &[address]).len(), 6);
        // What fills a dark door is no handshake.
        let filled = format!("{LIST}{}", line(two, server, "01"));
        assert_eq!(rows(&mut wire, &filled, &[]), ["50001 8443 S 0"]);
        assert_eq!(rows(&mut wire, &filled, &[]), Vec::<String>::new());
    }
}
