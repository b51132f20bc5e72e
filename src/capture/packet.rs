//! From a frame's bytes to what it said: link layer, addresses, ports. What is cut short says as much as
//! is there; nothing here can fail or panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::core::event::{IcmpError, Quoted, Seen, TcpFlags, Way, What};

/// Link types by their numbers (www.tcpdump.org/linktypes.html).
pub mod link {
    /// Ethernet.
    pub const ETHERNET: u16 = 1;
    /// IP with nothing before it.
    pub const RAW: u16 = 101;
    /// Linux cooked capture.
    pub const SLL: u16 = 113;
    /// Linux cooked capture with the interface's index.
    pub const SLL2: u16 = 276;
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// Tags of VLANs (802.1Q, 802.1ad, and the older 9100): four bytes each.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// VLAN tags within each other, at most; extension headers of IPv6 as well.
const NESTED: usize = 8;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// A frame as it was read: what it said, and the index of its interface, 0 where that is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The interface's index on the host.
    pub interface: u32,
    /// What it said.
    pub seen: Seen,
    /// So many of its bytes are heads; what comes after them is somebody's data.
    pub heads: usize,
}

/// What was read from somewhere on, and how many bytes its heads take from there.
type Headed = (What, usize);

/// Reads one frame of that link type; `length` is what it was on the wire.
pub fn frame(link: u16, length: u32, bytes: &[u8]) -> Frame {
    let other = (What::Other { ethertype: 0 }, 0);
    let after = |long: usize, (what, heads): Headed| (what, long + heads);
    let (interface, way, (what, heads)) = match link {
        link::SLL2 => match bytes.split_at_checked(20) {
            // Protocol, reserved, index, hardware type, packet type, address length, address.
            Some((head, body)) => {
                (be32(head, 4), way(u16::from(head[10])), after(20, net(be16(head, 0), body)))
            }
            None => (0, Way::Unknown, other),
        },
        link::SLL => match bytes.split_at_checked(16) {
            Some((head, body)) => (0, way(be16(head, 0)), after(16, net(be16(head, 14), body))),
            None => (0, Way::Unknown, other),
        },
        link::ETHERNET => match bytes.split_at_checked(14) {
            Some((head, body)) => (0, Way::Unknown, after(14, net(be16(head, 12), body))),
            None => (0, Way::Unknown, other),
        },
        link::RAW => {
            let ethertype = if bytes.first().is_some_and(|first| first >> 4 == 6) { IPV6 } else { IPV4 };
            (0, Way::Unknown, net(ethertype, bytes))
        }
        _ => (0, Way::Unknown, other),
    };
    Frame { interface, seen: Seen { way, length, what }, heads: heads.min(bytes.len()) }
}

/// The kernel's own word for where a packet goes (packet(7), `sll_pkttype`).
fn way(packet_type: u16) -> Way {
    match packet_type {
        0..=2 => Way::In,
        3 => Way::Other,
        4 => Way::Out,
        _ => Way::Unknown,
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn v4(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

fn v6(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut sixteen = [0; 16];
    sixteen.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(sixteen)
}

fn net(mut ethertype: u16, mut bytes: &[u8]) -> Headed {
    let mut tags = 0;
    for _ in 0..NESTED {
        if !VLAN.contains(&ethertype) {
            break;
        }
        let Some((tag, rest)) = bytes.split_at_checked(4) else { break };
        (ethertype, bytes, tags) = (be16(tag, 2), rest, tags + 4);
    }
    let read = match ethertype {
        IPV4 => ipv4(bytes),
        IPV6 => ipv6(bytes),
        ARP => arp(bytes),
        _ => None,
    };
    let (what, heads) = read.unwrap_or((What::Other { ethertype }, 0));
    (what, tags + heads)
}

/// ARP for IPv4 over hardware addresses of six bytes: all that is met here.
fn arp(bytes: &[u8]) -> Option<Headed> {
    let bytes = bytes.get(..28)?;
    let what = What::Arp { asks: be16(bytes, 6) == 1, sender: v4(bytes, 14), target: v4(bytes, 24) };
    (be16(bytes, 2) == IPV4 && bytes[4] == 6 && bytes[5] == 4).then_some((what, bytes.len()))
}

fn ipv4(bytes: &[u8]) -> Option<Headed> {
    let head = bytes.get(..20)?;
    let long = usize::from(head[0] & 15) * 4;
    if head[0] >> 4 != 4 || long < 20 {
        return None;
    }
    let (src, dst, protocol) = (IpAddr::V4(v4(head, 12)), IpAddr::V4(v4(head, 16)), head[9]);
    // What comes after belongs to the frame: short ones are filled up. None at all: the network card cuts
    // it into packets later.
    let total = usize::from(be16(head, 2));
    let body = bytes.get(long..).unwrap_or_default();
    let wire = total.saturating_sub(long);
    let body = if total == 0 { body } else { body.get(..wire).unwrap_or(body) };
    if be16(head, 6) & 0x1fff != 0 {
        return Some((What::Fragment { src, dst, protocol }, long));
    }
    let wire = if total == 0 { body.len() } else { wire };
    let (what, heads) = transport(protocol, src, dst, body, wire);
    Some((what, long + heads))
}

fn ipv6(bytes: &[u8]) -> Option<Headed> {
    let head = bytes.get(..40)?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let (from, to) = (v6(head, 8), v6(head, 24));
    let (src, dst) = (IpAddr::V6(from), IpAddr::V6(to));
    let total = usize::from(be16(head, 4));
    let mut body = &bytes[40..];
    if total != 0 {
        body = body.get(..total).unwrap_or(body);
    }
    let mut wire = if total == 0 { body.len() } else { total };
    let (mut next, mut before) = (head[6], 40);
    for _ in 0..NESTED {
        let long = match (next, body.get(..2)) {
            // Hop by hop, routing, destination options: eight bytes and as many more eights as they say.
            (0 | 43 | 60, Some(two)) => 8 + usize::from(two[1]) * 8,
            // Authentication counts in fours.
            (51, Some(two)) => 8 + usize::from(two[1]) * 4,
            (44, Some(_)) => {
                let Some(piece) = body.get(..8) else { break };
                if be16(piece, 2) & 0xfff8 != 0 {
                    return Some((What::Fragment { src, dst, protocol: piece[0] }, before + 8));
                }
                8
            }
            _ => break,
        };
        next = body[0];
        body = body.get(long..).unwrap_or_default();
        wire = wire.saturating_sub(long);
        before += long;
    }
    if next == ICMP6 && matches!(body.first(), Some(135 | 136)) {
        let asks = body[0] == 135;
        return Some(match body.get(..24) {
            // With the option that tells the hardware address (RFC 4861).
            Some(body) => (What::Neighbour { asks, src: from, dst: to, target: v6(body, 8) }, before + 32),
            None => (What::Ip { src, dst, protocol: next }, before),
        });
    }
    let (what, heads) = transport(next, src, dst, body, wire);
    Some((what, before + heads))
}

/// `wire`: how long the body was before it was cut.
fn transport(protocol: u8, src: IpAddr, dst: IpAddr, body: &[u8], wire: usize) -> Headed {
    let read = match protocol {
        TCP => tcp(src, dst, body, wire),
        UDP => body.get(..8).map(|head| {
            let (src, dst) = (SocketAddr::new(src, be16(head, 0)), SocketAddr::new(dst, be16(head, 2)));
            (What::Udp { src, dst, data: count(wire.saturating_sub(8)) }, 8)
        }),
        ICMP | ICMP6 => icmp(protocol == ICMP6, src, dst, body),
        _ => None,
    };
    read.unwrap_or((What::Ip { src, dst, protocol }, 0))
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn tcp(src: IpAddr, dst: IpAddr, body: &[u8], wire: usize) -> Option<Headed> {
    let head = body.get(..20)?;
    let long = usize::from(head[12] >> 4) * 4;
    if long < 20 {
        return None;
    }
    let data = body.get(long..).unwrap_or_default();
    // A record of type alert, of a version 3.x, two bytes long: level and number, in the clear.
    let alert = match data {
        [21, 3, _, 0, 2, _, number, ..] => Some(*number),
        _ => None,
    };
    let what = What::Tcp {
        src: SocketAddr::new(src, be16(head, 0)),
        dst: SocketAddr::new(dst, be16(head, 2)),
        flags: TcpFlags(head[13]),
        seq: be32(head, 4),
        ack: be32(head, 8),
        window: be16(head, 14),
        data: count(wire.saturating_sub(long)),
        alert,
    };
    Some((what, long))
}

fn icmp(six: bool, src: IpAddr, dst: IpAddr, body: &[u8]) -> Option<Headed> {
    let head = body.get(..8)?;
    let code = (head[0], head[1]);
    let echo = |reply| (What::Echo { src, dst, reply, id: be16(head, 4), seq: be16(head, 6) }, 8);
    let why = match (six, code) {
        (false, (8, _)) | (true, (128, _)) => return Some(echo(false)),
        (false, (0, _)) | (true, (129, _)) => return Some(echo(true)),
        // RFC 792, 1122 and 1812; RFC 4443.
        (false, (3, 9 | 10 | 13)) | (true, (1, 1 | 5 | 6)) => IcmpError::Prohibited,
        (false, (3, 3)) | (true, (1, 4)) => IcmpError::Port,
        (false, (3, 1 | 7)) | (true, (1, 3)) => IcmpError::Host,
        (false, (3, 4)) | (true, (2, _)) => IcmpError::TooBig,
        (false, (3, _)) | (true, (1, _)) => IcmpError::Unreachable,
        (false, (11, _)) | (true, (3, _)) => IcmpError::TimeExceeded,
        (false, (4 | 5 | 12, _)) | (true, (4, _)) => IcmpError::Other,
        _ => return None,
    };
    let (about, heads) = quoted(six, &body[8..]).unzip();
    Some((What::Error { src, dst, why, code, about }, 8 + heads.unwrap_or(0)))
}

/// The packet within an error: its head and at least eight bytes more (RFC 792).
fn quoted(six: bool, bytes: &[u8]) -> Option<(Quoted, usize)> {
    let (protocol, src, dst, long): (u8, IpAddr, IpAddr, usize) = if six {
        let head = bytes.get(..40)?;
        (head[6], v6(head, 8).into(), v6(head, 24).into(), 40)
    } else {
        let head = bytes.get(..20)?;
        let long = usize::from(head[0] & 15) * 4;
        (head[9], v4(head, 12).into(), v4(head, 16).into(), long.max(20))
    };
    let (from, to) = match (protocol, bytes.get(long..long + 8)) {
        (TCP | UDP, Some(head)) => (be16(head, 0), be16(head, 2)),
        // A ping's id in both places.
        (ICMP | ICMP6, Some(head)) => (be16(head, 4), be16(head, 4)),
        _ => (0, 0),
    };
    Some((Quoted { protocol, src: SocketAddr::new(src, from), dst: SocketAddr::new(dst, to) }, long + 8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::builder::*;

    const CLIENT: &str = "198.51.100.7:51034";
    const SERVER: &str = "192.0.2.32:443";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn six(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn syn() -> Vec<u8> {
        tcp_packet(at(CLIENT), at(SERVER), TcpFlags::SYN, 1_000, 0, &[])
    }

    #[test]
    fn the_same_packet_is_read_behind_every_link() {
        let wanted = What::Tcp {
            src: at(CLIENT),
            dst: at(SERVER),
            flags: TcpFlags(2),
            seq: 1_000,
            ack: 0,
            window: 64_240,
            data: 0,
            alert: None,
        };
        for (link, bytes, interface, way) in [
            (link::SLL2, sll2(3, 0, IPV4, &syn()), 3, Way::In),
            (link::SLL2, sll2(7, 4, IPV4, &syn()), 7, Way::Out),
            (link::SLL2, sll2(7, 3, IPV4, &syn()), 7, Way::Other),
            (link::SLL, sll(4, IPV4, &syn()), 0, Way::Out),
            (link::ETHERNET, ethernet(&[], IPV4, &syn()), 0, Way::Unknown),
            (link::ETHERNET, ethernet(&[(0x88a8, 5), (0x8100, 10)], IPV4, &syn()), 0, Way::Unknown),
            (link::RAW, syn(), 0, Way::Unknown),
        ] {
            let frame = frame(link, 60, &bytes);
            let heads = bytes.len();
            assert_eq!(
                frame,
                Frame { interface, seen: Seen { way, length: 60, what: wanted }, heads },
                "{link}"
            );
        }
        assert_eq!(frame(228, 9, &syn()).seen.what, What::Other { ethertype: 0 });
        assert_eq!(
            frame(link::SLL2, 9, &sll2(1, 0, 0x88cc, &[1])).seen.what,
            What::Other { ethertype: 0x88cc }
        );
    }

    fn what(bytes: &[u8]) -> What {
        frame(link::RAW, 0, bytes).seen.what
    }

    #[test]
    fn heads_end_where_somebodys_data_begins() {
        let secret = b"GET /?token=secret";
        let (src, dst) = (at(CLIENT), at(SERVER));
        let (six_src, six_dst) = (at("[2001:db8::7]:51034"), at("[2001:db8::32]:443"));
        let heads = |bytes: &[u8]| frame(link::RAW, 0, bytes).heads;
        for packet in [
            tcp_packet(src, dst, TcpFlags::ACK, 5, 6, secret),
            tcp_packet(six_src, six_dst, TcpFlags::ACK, 5, 6, secret),
            udp_packet(src, dst, secret),
            icmp_packet(src.ip(), dst.ip(), (8, 0), [0x12, 0x34, 0, 7], secret),
        ] {
            let kept = heads(&packet);
            assert_eq!(&packet[kept..], secret, "{packet:02x?}");
            // The heads alone say the same.
            assert_eq!(what(&packet[..kept]), what(&packet), "{packet:02x?}");
            // What a short frame is filled up with, and what a capture cut off, change nothing.
            assert_eq!(heads(&[&packet[..], &[0; 9]].concat()), kept);
            assert_eq!(heads(&packet[..kept]), kept);
        }
        // An error quotes a packet: its heads are heads, its data is data.
        let about = udp_packet(dst, src, secret);
        let error = icmp_packet(src.ip(), dst.ip(), (3, 13), [0; 4], &about);
        assert_eq!(&error[heads(&error)..], secret);
        // Of what is not understood nothing but where it was is kept.
        assert_eq!(frame(link::SLL2, 9, &sll2(1, 0, 0x88cc, secret)).heads, 20);
        assert_eq!(frame(228, 9, secret).heads, 0);
    }

    #[test]
    fn data_is_counted_as_it_was_on_the_wire_and_alerts_are_read() {
        let alert = [21, 3, 3, 0, 2, 2, 40];
        let packet = tcp_packet(at(SERVER), at(CLIENT), TcpFlags::PSH | TcpFlags::ACK, 5, 6, &alert);
        assert!(matches!(what(&packet), What::Tcp { alert: Some(40), data: 7, .. }));
        let long = tcp_packet(at(SERVER), at(CLIENT), TcpFlags::ACK, 5, 6, &[0; 900]);
        assert!(matches!(what(&long[..108]), What::Tcp { alert: None, data: 900, .. }));
        // Filled up to the shortest frame of Ethernet.
        let mut short = tcp_packet(at(SERVER), at(CLIENT), TcpFlags::ACK, 5, 6, &[]);
        short.extend([0; 6]);
        assert!(matches!(what(&short), What::Tcp { data: 0, .. }));
        assert!(matches!(what(&udp_packet(at(CLIENT), at(SERVER), &[1; 30])), What::Udp { data: 30, .. }));
    }

    #[test]
    fn what_is_cut_short_says_what_is_there() {
        let packet = syn();
        assert!(matches!(what(&packet[..30]), What::Ip { protocol: TCP, .. }));
        assert_eq!(what(&packet[..12]), What::Other { ethertype: IPV4 });
        assert_eq!(what(&[]), What::Other { ethertype: IPV4 });
    }

    #[test]
    fn pieces_of_a_packet_are_told_from_its_first() {
        let mut first = syn();
        first[6] = 0x20; // more follow
        assert!(matches!(what(&first), What::Tcp { .. }));
        let mut later = syn();
        later[7] = 5;
        let (src, dst) = (at(CLIENT).ip(), at(SERVER).ip());
        assert_eq!(what(&later), What::Fragment { src, dst, protocol: TCP });
        let (src, dst) = (six("2001:db8::7"), six("2001:db8::32"));
        let piece = [UDP, 0, 0, 1, 0, 0, 0, 9];
        let six = ipv6_packet(src, dst, 44, &[&piece[..], &udp_head(1, 2, 0)[..]].concat());
        assert!(matches!(what(&six), What::Udp { .. }));
        let piece = [UDP, 0, 1, 0, 0, 0, 0, 9];
        let six = ipv6_packet(src, dst, 44, &piece);
        assert_eq!(what(&six), What::Fragment { src: src.into(), dst: dst.into(), protocol: UDP });
    }

    #[test]
    fn extension_headers_are_passed_over() {
        let (src, dst) = (at("[2001:db8::7]:53000"), at("[2001:db8::32]:443"));
        let hop = [60, 0, 5, 2, 0, 0, 0, 0];
        let options = [TCP, 1, 1, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0];
        let plain = tcp_packet(src, dst, TcpFlags::SYN, 9, 0, &[1, 2]);
        let body = [&hop[..], &options[..], &plain[40..]].concat();
        let (from, to) = (six("2001:db8::7"), six("2001:db8::32"));
        assert_eq!(what(&ipv6_packet(from, to, 0, &body)), what(&plain));
        assert!(matches!(what(&plain), What::Tcp { data: 2, seq: 9, .. }));
    }

    #[test]
    fn arp_and_neighbours_are_read() {
        let (router, address) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 32));
        let frame = |bytes: Vec<u8>| frame(link::SLL2, 28, &sll2(2, 1, ARP, &bytes)).seen;
        let asked = frame(arp_packet(true, router, address));
        assert_eq!(
            (asked.way, asked.what),
            (Way::In, What::Arp { asks: true, sender: router, target: address })
        );
        let told = frame(arp_packet(false, address, router)).what;
        assert_eq!(told, What::Arp { asks: false, sender: address, target: router });
        let (src, dst, target) = (six("fe80::1"), six("ff02::1:ff00:32"), six("2001:db8::32"));
        for (kind, asks) in [(135, true), (136, false)] {
            let mut body = vec![kind, 0, 0, 0, 0, 0, 0, 0];
            body.extend(target.octets());
            assert_eq!(
                what(&ipv6_packet(src, dst, ICMP6, &body)),
                What::Neighbour { asks, src, dst, target }
            );
        }
    }

    #[test]
    fn errors_say_why_and_quote_the_packet() {
        let (src, dst) = (at(SERVER), at(CLIENT));
        let about = Some(Quoted { protocol: TCP, src: dst, dst: src });
        for (code, why) in [
            ((3, 13), IcmpError::Prohibited),
            ((3, 10), IcmpError::Prohibited),
            ((3, 3), IcmpError::Port),
            ((3, 1), IcmpError::Host),
            ((3, 0), IcmpError::Unreachable),
            ((3, 4), IcmpError::TooBig),
            ((11, 0), IcmpError::TimeExceeded),
        ] {
            let packet = icmp_packet(src.ip(), dst.ip(), code, [0; 4], &syn()[..28]);
            assert_eq!(what(&packet), What::Error { src: src.ip(), dst: dst.ip(), why, code, about });
        }
        let (src, dst) = (at("[2001:db8::32]:443"), at("[2001:db8::7]:53000"));
        let asked = tcp_packet(dst, src, TcpFlags::SYN, 1, 0, &[]);
        let packet = icmp_packet(src.ip(), dst.ip(), (1, 1), [0; 4], &asked);
        let about = Some(Quoted { protocol: TCP, src: dst, dst: src });
        let why = IcmpError::Prohibited;
        assert_eq!(what(&packet), What::Error { src: src.ip(), dst: dst.ip(), why, code: (1, 1), about });
        let ping = icmp_packet(src.ip(), dst.ip(), (128, 0), [0x12, 0x34, 0, 7], &[]);
        assert_eq!(
            what(&ping),
            What::Echo { src: src.ip(), dst: dst.ip(), reply: false, id: 0x1234, seq: 7 }
        );
        let cut = icmp_packet(at(SERVER).ip(), at(CLIENT).ip(), (3, 3), [0; 4], &[]);
        assert!(matches!(what(&cut), What::Error { about: None, .. }));
    }

    fn links() -> impl Strategy<Value = u16> {
        prop::sample::select(vec![link::SLL2, link::SLL, link::ETHERNET, link::RAW, 9])
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_something(link in links(), bytes in prop::collection::vec(any::<u8>(), 0..160)) {
            let _some_text = frame(link, 7, &bytes).seen.text();
        }

        #[test]
        fn a_sound_packet_bent_or_cut_anywhere_is_read_as_something(
            which in 0_usize..6, bend in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let six = (at("[2001:db8::7]:53000"), at("[2001:db8::32]:443"));
            let packet = match which {
                0 => sll2(2, 0, IPV4, &syn()),
                1 => sll2(2, 0, IPV6, &tcp_packet(six.0, six.1, 24, 1, 2, &[21, 3, 3, 0, 2, 2, 40])),
                2 => sll2(2, 0, IPV4, &icmp_packet(at(SERVER).ip(), at(CLIENT).ip(), (3, 13), [0; 4], &syn())),
                3 => sll2(2, 0, ARP, &arp_packet(true, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)),
                4 => sll2(2, 0, IPV6, &ipv6_packet(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, 0, &[60, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0])),
                _ => sll2(2, 4, IPV6, &icmp_packet(six.0.ip(), six.1.ip(), (1, 4), [0; 4], &tcp_packet(six.1, six.0, 2, 1, 2, &[]))),
            };
            let mut bent = packet[..=cut.index(packet.len())].to_vec();
            for (at, value) in bend {
                let at = at.index(bent.len());
                bent[at] = value;
            }
            let _some_text = frame(link::SLL2, 7, &bent).seen.text();
        }
    }
}
