use super::*;
use crate::capture::Interfaces;
use crate::capture::builder::*;
use crate::capture::packet::{frame, link};

const MS: u64 = 1_000_000;
const CLIENT: &str = "198.51.100.7:51034";
const SERVER: &str = "192.0.2.32:443";
const S: u8 = TcpFlags::SYN;
const A: u8 = TcpFlags::ACK;
const R: u8 = TcpFlags::RST;
const F: u8 = TcpFlags::FIN;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn names() -> Interfaces {
    let lines: [&[u8]; 4] = [b"1: lo: <", b"2: eth0: <", b"3: eth1: <", b"4: br0: <"];
    Interfaces::read(lines)
}

struct Host(Flows);

impl Host {
    fn new() -> Self {
        Self(Flows::new([at(SERVER).ip(), at("[2001:db8::32]:0").ip()]))
    }

    /// A packet that comes in or goes out by an interface, at so many milliseconds.
    fn sees(&mut self, ms: u64, interface: u32, way: u8, packet: &[u8]) {
        let ethertype = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        self.0.take(ms * MS, &frame(link::SLL2, 0, &sll2(interface, way, ethertype, packet)));
    }

    fn came(&mut self, ms: u64, flags: u8, seq: u32, ack: u32, data: &[u8]) {
        self.sees(ms, 2, 0, &tcp_packet(at(CLIENT), at(SERVER), flags, seq, ack, data));
    }

    fn left(&mut self, ms: u64, flags: u8, seq: u32, ack: u32, data: &[u8]) {
        self.sees(ms, 2, 4, &tcp_packet(at(SERVER), at(CLIENT), flags, seq, ack, data));
    }

    fn flows(&mut self, protocol: Protocol, server: SocketAddr, port: u16) -> Vec<Flow> {
        self.0.of(&Key { server, port, protocol }).map(|talk| talk.flow(&names())).collect()
    }

    /// The one conversation, without its interfaces.
    fn flow(&mut self) -> Flow {
        let mut flows = self.flows(Protocol::Tcp, at(SERVER), 51_034);
        assert_eq!(flows.len(), 1);
        Flow { came_by: None, left_by: None, ..flows.remove(0) }
    }
}

#[test]
fn a_whole_exchange_is_counted() {
    let mut host = Host::new();
    host.came(0, S, 100, 0, &[]);
    host.left(1, S | A, 900, 101, &[]);
    host.came(2, A, 101, 901, &[]);
    host.came(3, A, 101, 901, &[1; 10]);
    host.left(250, A, 901, 111, &[2; 20]);
    host.left(600, A, 901, 111, &[2; 20]);
    host.left(601, A, 921, 111, &[2; 5]);
    host.came(602, A | F, 111, 926, &[]);
    host.left(603, A | F, 926, 112, &[]);
    let wanted = Flow {
        asked: 1,
        granted: 1,
        completed: true,
        data_in: 1,
        data_out: 3,
        again_out: 1,
        first_byte: Some(Span::ms(247)),
        ..Flow::default()
    };
    assert_eq!(host.flow(), wanted);
}

/// The kernel says of a UDP port that nobody listens on it as it says it with a reset of TCP; of a TCP port and of
/// a ping it never says that, firewalls do.
#[test]
fn a_udp_port_that_nobody_listens_on_is_refused_and_not_forbidden() {
    let mut host = Host::new();
    let (client, server) = (at("198.51.100.7:40000"), at("192.0.2.32:53"));
    let says = |host: &mut Host, code: u8, asked: &[u8]| {
        host.sees(1, 2, 4, &icmp_packet(server.ip(), client.ip(), (3, code), [0; 4], asked));
    };
    let asked = udp_packet(client, server, &[1; 20]);
    host.sees(0, 2, 0, &asked);
    says(&mut host, 3, &asked);
    let flow = host.flows(Protocol::Udp, server, 40_000).remove(0);
    assert_eq!((flow.asked, flow.refused, flow.prohibited), (1, 1, 0));
    let other = udp_packet(at("198.51.100.7:40001"), server, &[1; 20]);
    host.sees(0, 2, 0, &other);
    says(&mut host, 13, &other);
    let flow = host.flows(Protocol::Udp, server, 40_001).remove(0);
    assert_eq!((flow.asked, flow.refused, flow.prohibited), (1, 0, 1));
    let tcp = tcp_packet(client, server, S, 100, 0, &[]);
    host.sees(0, 2, 0, &tcp);
    says(&mut host, 3, &tcp);
    let flow = host.flows(Protocol::Tcp, server, 40_000).remove(0);
    assert_eq!((flow.asked, flow.refused, flow.prohibited), (1, 0, 1));
}

#[test]
fn each_way_of_failing_looks_its_own_way() {
    type Steps = fn(&mut Host);
    let table: [(&str, Steps, Flow); 6] = [
        (
            "nothing answers",
            |host| (0..3).for_each(|n| host.came(n * 1_000, S, 100, 0, &[])),
            Flow { asked: 3, ..Flow::default() },
        ),
        (
            "the answer is lost",
            |host| {
                host.came(0, S, 100, 0, &[]);
                host.left(1, S | A, 900, 101, &[]);
                host.came(1_000, S, 100, 0, &[]);
                host.left(1_001, S | A, 900, 101, &[]);
            },
            Flow { asked: 2, granted: 2, ..Flow::default() },
        ),
        (
            "refused",
            |host| {
                host.came(0, S, 100, 0, &[]);
                host.left(1, R | A, 0, 101, &[]);
            },
            Flow { asked: 1, refused: 1, ..Flow::default() },
        ),
        (
            "forbidden",
            |host| {
                host.came(0, S, 100, 0, &[]);
                let asked = tcp_packet(at(CLIENT), at(SERVER), S, 100, 0, &[]);
                host.sees(1, 2, 4, &icmp_packet(at(SERVER).ip(), at(CLIENT).ip(), (3, 13), [0; 4], &asked));
                // A router's word to this host about another connection is none of it.
                host.sees(
                    2,
                    2,
                    0,
                    &icmp_packet(at("10.0.0.1:0").ip(), at(SERVER).ip(), (3, 13), [0; 4], &asked),
                );
            },
            Flow { asked: 1, prohibited: 1, ..Flow::default() },
        ),
        (
            "an alert",
            |host| {
                host.came(0, S, 100, 0, &[]);
                host.left(1, S | A, 900, 101, &[]);
                host.came(2, A, 101, 901, &[22; 30]);
                host.left(5, A, 901, 131, &[21, 3, 3, 0, 2, 2, 112]);
                host.came(6, R, 131, 0, &[]);
            },
            Flow {
                asked: 1,
                granted: 1,
                completed: true,
                data_in: 1,
                data_out: 1,
                dropped_by_caller: 1,
                alert: Some(112),
                first_byte: Some(Span::ms(3)),
                ..Flow::default()
            },
        ),
        (
            "the caller repeats, and keeps alive",
            |host| {
                host.came(0, S, u32::MAX - 2, 0, &[]);
                host.left(1, S | A, 900, u32::MAX - 1, &[]);
                // The numbers go round in the middle of it.
                host.came(2, A, u32::MAX - 1, 901, &[1; 10]);
                host.came(300, A, u32::MAX - 1, 901, &[1; 10]);
                host.came(9_000, A, 7, 901, &[1]);
            },
            Flow { asked: 1, granted: 1, completed: true, data_in: 3, again_in: 1, ..Flow::default() },
        ),
    ];
    for (what, steps, wanted) in table {
        let mut host = Host::new();
        steps(&mut host);
        assert_eq!(host.flow(), wanted, "{what}");
    }
}

#[test]
fn one_packet_on_several_interfaces_is_one_and_the_innermost_counts() {
    let mut host = Host::new();
    let (asked, granted) = (
        tcp_packet(at(CLIENT), at(SERVER), S, 100, 0, &[]),
        tcp_packet(at(SERVER), at(CLIENT), S | A, 900, 101, &[]),
    );
    host.sees(0, 2, 0, &asked);
    host.sees(0, 4, 0, &asked);
    host.sees(1, 4, 4, &granted);
    host.sees(1, 3, 4, &granted);
    // Sent again at once, where it was first: that is another.
    host.sees(10, 2, 0, &asked);
    let flow = host.flows(Protocol::Tcp, at(SERVER), 51_034).remove(0);
    assert_eq!((flow.asked, flow.granted), (2, 1));
    assert_eq!((flow.came_by, flow.left_by), (Some("eth0".parse().unwrap()), Some("br0".parse().unwrap())));
}

#[test]
fn an_answer_by_another_interface_shows() {
    let mut host = Host::new();
    host.came(0, S, 100, 0, &[]);
    host.sees(1, 3, 4, &tcp_packet(at(SERVER), at(CLIENT), S | A, 900, 101, &[]));
    let flow = host.flows(Protocol::Tcp, at(SERVER), 51_034).remove(0);
    assert_eq!((flow.came_by, flow.left_by), (Some("eth0".parse().unwrap()), Some("eth1".parse().unwrap())));
}

#[test]
fn a_port_that_is_used_again_is_another_conversation() {
    let mut host = Host::new();
    host.came(0, S, 100, 0, &[]);
    host.came(5_000, S, 7_777, 0, &[]);
    host.left(5_001, S | A, 900, 7_778, &[]);
    let flows = host.flows(Protocol::Tcp, at(SERVER), 51_034);
    assert_eq!(flows.iter().map(|flow| (flow.asked, flow.granted)).collect::<Vec<_>>(), [(1, 0), (1, 1)]);
}

#[test]
fn a_host_that_calls_its_own_address_is_one_conversation() {
    let mut host = Host::new();
    let (client, server) = (at("192.0.2.32:40000"), at(SERVER));
    for (ms, packet) in [
        (0, tcp_packet(client, server, S, 100, 0, &[])),
        (1, tcp_packet(server, client, S | A, 900, 101, &[])),
        (2, tcp_packet(client, server, A, 101, 901, &[])),
    ] {
        host.sees(ms, 1, 4, &packet);
        host.sees(ms, 1, 0, &packet);
    }
    let flow = host.flows(Protocol::Tcp, server, 40_000).remove(0);
    assert_eq!((flow.asked, flow.granted, flow.completed), (1, 1, true));
    assert_eq!(host.flows(Protocol::Tcp, client, 443), []);
    let tally = host.0.tallies().remove(0);
    assert_eq!((tally.came, tally.left), (3, 3));
}

#[test]
fn pings_are_found_by_their_id_and_udp_by_its_port() {
    let mut host = Host::new();
    let (client, server) = (at(CLIENT).ip(), at(SERVER).ip());
    let ping = |kind, seq| icmp_packet(client, server, (kind, 0), [0x12, 0x34, 0, seq], &[]);
    host.sees(0, 2, 0, &ping(8, 1));
    host.sees(1, 2, 4, &icmp_packet(server, client, (0, 0), [0x12, 0x34, 0, 1], &[]));
    host.sees(1_000, 2, 0, &ping(8, 2));
    let server = SocketAddr::new(server, 0);
    let flow = host.flows(Protocol::Echo, server, 0x1234).remove(0);
    assert_eq!((flow.asked, flow.granted), (2, 1));
    // Once it was looked at, the next question is another conversation and a late answer is not.
    host.0.of(&Key { server, port: 0x1234, protocol: Protocol::Echo }).for_each(|talk| talk.claimed = true);
    host.sees(1_001, 2, 4, &icmp_packet(server.ip(), client, (0, 0), [0x12, 0x34, 0, 2], &[]));
    host.sees(2_000, 2, 0, &ping(8, 3));
    let flows = host.flows(Protocol::Echo, server, 0x1234);
    assert_eq!(flows.iter().map(|flow| (flow.asked, flow.granted)).collect::<Vec<_>>(), [(2, 2), (1, 0)]);
    host.sees(0, 2, 0, &udp_packet(at(CLIENT), at("192.0.2.32:53"), &[1; 9]));
    host.sees(0, 2, 0, &udp_packet(at(CLIENT), at("192.0.2.99:53"), &[1; 9]));
    assert_eq!(host.flows(Protocol::Udp, at("192.0.2.32:53"), 51_034).remove(0).asked, 1);
    assert_eq!(host.flows(Protocol::Udp, at("192.0.2.99:53"), 51_034), []);
}

#[test]
fn what_passes_by_is_tallied_for_each_address() {
    let mut host = Host::new();
    let (router, address) = (std::net::Ipv4Addr::new(192, 0, 2, 1), std::net::Ipv4Addr::new(192, 0, 2, 32));
    let arp = |host: &mut Host, way, packet: Vec<u8>| {
        host.0.take(0, &frame(link::SLL2, 0, &sll2(2, way, 0x0806, &packet)));
    };
    arp(&mut host, 1, arp_packet(true, router, address));
    arp(&mut host, 1, arp_packet(true, router, address));
    arp(&mut host, 4, arp_packet(false, address, router));
    // Its own announcement, its own question, another host's answer.
    arp(&mut host, 1, arp_packet(true, address, address));
    arp(&mut host, 4, arp_packet(true, address, router));
    arp(&mut host, 0, arp_packet(false, address, router));
    host.came(0, S, 100, 0, &[]);
    host.left(1, S | A, 900, 101, &[]);
    host.came(2, A, 101, 901, &[]);
    // To another host: not this one's.
    host.sees(3, 2, 3, &tcp_packet(at(CLIENT), at(SERVER), A, 101, 901, &[]));
    let six = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap();
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend(six("2001:db8::32").octets());
    host.sees(4, 2, 2, &ipv6_packet(six("fe80::1"), six("ff02::1:ff00:32"), 58, &body));
    let address = IpAddr::from(address);
    assert_eq!(
        host.0.tallies(),
        [
            Tally { address, arp_asked: 2, arp_answered: 1, came: 2, left: 1 },
            Tally { address: six("2001:db8::32").into(), arp_asked: 1, arp_answered: 0, came: 0, left: 0 },
        ]
    );
    assert_eq!(host.0.tallies(), []);
}

#[test]
fn memory_is_bounded_and_a_vantages_own_stay_longest() {
    let mut host = Host::new();
    host.0.know(at(CLIENT).ip());
    host.came(0, S, 1, 0, &[]);
    for n in 0..2 * MOST as u32 {
        let client = SocketAddr::new(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), 1_000);
        host.sees(u64::from(n), 2, 0, &tcp_packet(client, at(SERVER), S, n, 0, &[]));
        assert!(host.0.len() <= MOST);
    }
    assert_eq!(host.flow().asked, 1);
    assert!(host.0.let_go.is_some());
    let newest = IpAddr::from((0x0a00_0000 + 2 * MOST as u32 - 1).to_be_bytes());
    assert!(
        host.0
            .of(&Key { server: at(SERVER), port: 1_000, protocol: Protocol::Tcp })
            .any(|talk| talk.client == newest)
    );
}
