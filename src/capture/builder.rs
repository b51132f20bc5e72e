//! Frames and streams, byte by byte: what the demo's hosts send, and what tests read. Checksums are
//! left out; nobody here looks at them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A pcap stream of these packets: when in nanoseconds, and the bytes.
pub fn stream(link: u16, swapped: bool, nanos: bool, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let word = |value: u32| if swapped { value.to_be_bytes() } else { value.to_le_bytes() };
    let half = |value: u16| if swapped { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut out = Vec::new();
    out.extend(word(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }));
    out.extend(half(2));
    out.extend(half(4));
    out.extend([0; 8]);
    out.extend(word(128));
    out.extend(word(u32::from(link)));
    for (at, bytes) in packets {
        let part = (at % 1_000_000_000) as u32;
        out.extend(word((at / 1_000_000_000) as u32));
        out.extend(word(if nanos { part } else { part / 1_000 }));
        out.extend(word(bytes.len() as u32));
        out.extend(word(bytes.len() as u32));
        out.extend(bytes);
    }
    out
}

/// A cooked frame with its interface's index; 0 came to this host, 4 left it.
pub fn sll2(interface: u32, packet_type: u8, ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = ethertype.to_be_bytes().to_vec();
    out.extend([0, 0]);
    out.extend(interface.to_be_bytes());
    out.extend([0, 1, packet_type, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    out.extend(body);
    out
}

/// The same without the index.
pub fn sll(packet_type: u16, ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = packet_type.to_be_bytes().to_vec();
    out.extend([0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    out.extend(ethertype.to_be_bytes());
    out.extend(body);
    out
}

/// Ethernet with VLAN tags: kind and number.
pub fn ethernet(tags: &[(u16, u16)], ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![2; 12];
    for (kind, id) in tags {
        out.extend(kind.to_be_bytes());
        out.extend(id.to_be_bytes());
    }
    out.extend(ethertype.to_be_bytes());
    out.extend(body);
    out
}

/// Who has `target`, or `sender` is here.
pub fn arp_packet(asks: bool, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut out = vec![0, 1, 8, 0, 6, 4, 0, if asks { 1 } else { 2 }];
    out.extend([2, 0, 0, 0, 0, 1]);
    out.extend(sender.octets());
    out.extend([0; 6]);
    out.extend(target.octets());
    out
}

fn ipv4_packet(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((20 + body.len() as u16).to_be_bytes());
    out.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    out.extend(src.octets());
    out.extend(dst.octets());
    out.extend(body);
    out
}

/// IPv6 with that body, whose first header is of that number.
pub fn ipv6_packet(src: Ipv6Addr, dst: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((body.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    out.extend(src.octets());
    out.extend(dst.octets());
    out.extend(body);
    out
}

/// IPv4 where both ends have it, else IPv6.
fn ip_packet(src: IpAddr, dst: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let six = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    match (src, dst) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4_packet(from, to, protocol, body),
        (from, to) => ipv6_packet(six(from), six(to), protocol, body),
    }
}

/// TCP over either IP.
pub fn tcp_packet(src: SocketAddr, dst: SocketAddr, flags: u8, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let mut body = src.port().to_be_bytes().to_vec();
    body.extend(dst.port().to_be_bytes());
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([0x50, flags]);
    body.extend(64_240_u16.to_be_bytes());
    body.extend([0; 4]);
    body.extend(data);
    ip_packet(src.ip(), dst.ip(), 6, &body)
}

/// The head of UDP.
pub fn udp_head(from: u16, to: u16, data: usize) -> Vec<u8> {
    let mut out = from.to_be_bytes().to_vec();
    out.extend(to.to_be_bytes());
    out.extend((8 + data as u16).to_be_bytes());
    out.extend([0; 2]);
    out
}

/// UDP over either IP.
pub fn udp_packet(src: SocketAddr, dst: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut body = udp_head(src.port(), dst.port(), data.len());
    body.extend(data);
    ip_packet(src.ip(), dst.ip(), 17, &body)
}

/// ICMP of that type and code; `rest` is what follows the checksum.
pub fn icmp_packet(src: IpAddr, dst: IpAddr, code: (u8, u8), rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut body = vec![code.0, code.1, 0, 0];
    body.extend(rest);
    body.extend(data);
    let protocol = if src.is_ipv4() { 1 } else { 58 };
    ip_packet(src, dst, protocol, &body)
}
