//! Packets read a second on one core, against `tshark -T fields` on the same file; and what 5 hosts that
//! stream 20,000 packets a second each would take of a core.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use holdpoint::capture::builder::{sll2, stream, tcp_packet};
use holdpoint::capture::pcapng::{About, Writer};
use holdpoint::capture::{Interfaces, Reader, Watch, frame, link};
use holdpoint::core::event::TcpFlags;

use crate::timing::{Runs, took};

const PACKETS: usize = 300_000;
const SERVERS: u8 = 8;
/// As much as came over ssh at a time.
const CHUNK: usize = 32 << 10;
/// Five hosts, 20,000 packets a second each.
const STREAMED: f64 = 100_000.0;

/// Whole connections of many callers: SYN, SYN-ACK, ACK, data both ways, an ACK.
fn file() -> Vec<u8> {
    let (ack, data) = (TcpFlags::ACK, TcpFlags::ACK | TcpFlags::PSH);
    let mut packets = Vec::with_capacity(PACKETS);
    for n in 0..PACKETS {
        let talk = n / 6;
        let client = SocketAddr::new(
            IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (talk as u32 % 60_000))),
            1_024 + (talk % 50_000) as u16,
        );
        let server = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 20 + talk as u8 % SERVERS).into(), 443);
        let isn = talk as u32;
        let (inward, packet) = match n % 6 {
            0 => (true, tcp_packet(client, server, TcpFlags::SYN, isn, 0, &[])),
            1 => (false, tcp_packet(server, client, TcpFlags::SYN | ack, 7, isn + 1, &[])),
            2 => (true, tcp_packet(client, server, ack, isn + 1, 8, &[])),
            3 => (true, tcp_packet(client, server, data, isn + 1, 8, &[22; 60])),
            4 => (false, tcp_packet(server, client, data, 8, isn + 61, &[22; 60])),
            _ => (true, tcp_packet(client, server, ack, isn + 61, 68, &[])),
        };
        let at = 1_700_000_000_000_000_000 + n as u64 * 10_000;
        packets.push((at, sll2(2, if inward { 0 } else { 4 }, 0x0800, &packet)));
    }
    stream(link::SLL2, false, true, &packets)
}

fn watch() -> Watch {
    let addresses = (0..SERVERS).map(|n| IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20 + n)));
    Watch::new("web1".parse().expect("a name"), addresses)
}

fn rate(what: &str, runs: &Runs) -> f64 {
    let rate = PACKETS as f64 / runs.min().as_secs_f64();
    runs.print(what, &format!("  {:.2} million a second at best", rate / 1e6));
    rate
}

pub fn figure(_sizes: &[usize]) {
    let bytes = file();
    println!("  {PACKETS} packets, {} MB", bytes.len() / 1_000_000);
    let read = Runs::of(5, || {
        let (mut reader, mut count) = (Reader::default(), 0);
        for chunk in bytes.chunks(CHUNK) {
            let each = |link, raw: holdpoint::capture::Raw<'_>| {
                count += usize::from(std::hint::black_box(frame(link, raw.length, raw.bytes)).interface == 2);
            };
            reader.push(chunk, each).expect("a stream");
        }
        assert_eq!(count, PACKETS);
    });
    let ours = rate("read and parsed", &read);
    let interfaces = || Interfaces::read([&b"2: eth0: <"[..]]);
    let host = "web1".parse().expect("a name");
    let whole = Runs::of(5, || {
        let (mut watch, mut writer, mut kept) = (watch(), Writer::default(), Vec::new());
        let names = interfaces();
        watch.begin(interfaces(), None, 0);
        let (filter, note) = ("", "");
        let about = About {
            host: &host,
            link: link::SLL2,
            snap: 128,
            interfaces: &names,
            filter,
            clock: 0,
            offset: 0,
            note,
        };
        let mut written = writer.begin(&about).len();
        for (nth, chunk) in bytes.chunks(CHUNK).enumerate() {
            watch.push(chunk, nth as u64, |link, raw| writer.packet(link, raw, &mut kept)).expect("a stream");
            written += kept.len();
            kept.clear();
            std::hint::black_box(watch.found(nth as u64));
        }
        written
    });
    let rate_whole = rate("with conversations, rows and pcapng", &whole);
    println!(
        "  5 hosts x 20,000 packets a second: {:.1} % of a core, without ssh and disk (aim: under 50 %)",
        STREAMED / rate_whole * 100.0
    );
    match tshark(&bytes) {
        Ok(span) => {
            let theirs = PACKETS as f64 / span.as_secs_f64();
            println!(
                "  tshark -T fields: {:.3} million a second; ours is {:.0} times as fast (aim: 10)",
                theirs / 1e6,
                ours / theirs
            );
        }
        Err(why) => println!("  not compared: tshark: {why}: apt-get install tshark"),
    }
}

/// The fields that we read as well.
fn tshark(bytes: &[u8]) -> std::io::Result<Duration> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    let fields = [
        "frame.time_epoch",
        "sll.pkttype",
        "ip.src",
        "ip.dst",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.flags",
        "tcp.seq_raw",
        "tcp.ack_raw",
        "tcp.len",
    ];
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(file.path()).args(["-T", "fields"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (span, status) = took(|| command.status());
    match status? {
        status if status.success() => Ok(span),
        status => Err(std::io::Error::other(status.to_string())),
    }
}
