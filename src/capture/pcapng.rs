//! What is kept of a capture, for other programs to read: pcapng (draft-ietf-opsawg-pcapng), little-endian,
//! in nanoseconds. An interface of the host is an interface here; what the cockpit knows of the capture
//! (both clocks, filter, drops, markers) is written beside the packets.

use crate::core::event::Way;
use crate::types::HostName;

use super::pcap::Raw;
use super::{Interfaces, frame};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// An entry in systemd's export form: the one block that has a moment and words and no packet, and that other programs
/// show among the packets.
const ENTRY: u32 = 9;
/// Options by their numbers; those of one block mean nothing in another.
const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const EPB_FLAGS: u16 = 2;
const ISB_DROPPED: u16 = 5;
/// The longest text of an option, in bytes.
const LONGEST: usize = 1_024;

/// What a file's beginning says.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// On which host.
    pub host: &'a HostName,
    /// The link type of every packet.
    pub link: u16,
    /// The most that was kept of a packet, in bytes.
    pub snap: u32,
    /// The host's interfaces.
    pub interfaces: &'a Interfaces,
    /// What was captured, in tcpdump's words.
    pub filter: &'a str,
    /// The cockpit's clock as the stream began, in nanoseconds since 1970.
    pub clock: u64,
    /// What to add to it to have the host's clock, which the packets have.
    pub offset: i64,
    /// What else is to be known: what was left out before this file.
    pub note: &'a str,
}

/// Writes blocks; keeps what belongs to the next packet.
#[derive(Debug, Default)]
pub struct Writer {
    /// The host's indexes, in the order of the interfaces here; number 0 is any other.
    indexes: Vec<u32>,
    /// Markers that wait, and when each was set by the host's clock, in nanoseconds since 1970.
    markers: Vec<(u64, String)>,
}

/// A block that is written where it belongs: there are many.
struct Block<'o> {
    out: &'o mut Vec<u8>,
    from: usize,
}

impl<'o> Block<'o> {
    fn new(kind: u32, out: &'o mut Vec<u8>) -> Self {
        let from = out.len();
        out.extend(kind.to_le_bytes());
        out.extend([0; 4]);
        Self { out, from }
    }

    fn add(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Filled up to four.
    fn padded(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        let length = self.out.len() - self.from;
        self.out.resize(self.from + length.next_multiple_of(4), 0);
        self
    }

    fn option(self, number: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(LONGEST)];
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.add(&number.to_le_bytes()).add(&length.to_le_bytes()).padded(value)
    }

    fn text(self, number: u16, text: &str) -> Self {
        self.option(number, cut(text).as_bytes())
    }

    /// Whole: with its length before and after; `options`: whether some were given.
    fn end(self, options: bool) {
        let Self { out, from } = if options { self.add(&[0; 4]) } else { self };
        let length = u32::try_from(out.len() - from + 4).unwrap_or(u32::MAX).to_le_bytes();
        out[from + 4..from + 8].copy_from_slice(&length);
        out.extend(length);
    }
}

/// As much of a text as is written: cut where a character ends.
fn cut(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// A moment as two words, the upper one first.
fn moment(at: u64) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&((at >> 32) as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&(at as u32).to_le_bytes());
    bytes
}

/// Nanoseconds since 1970, for people.
fn written(at: u64) -> String {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    crate::types::Time::from_timestamp_nanos(at).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

impl Writer {
    /// The beginning of a file, and of each further one.
    pub fn begin(&mut self, about: &About<'_>) -> Vec<u8> {
        let About { host, link, snap, interfaces, filter, clock, offset, note } = about;
        let mut out = Vec::new();
        let there = clock.saturating_add_signed(*offset);
        let seconds = *offset as f64 / 1e9;
        let mut comment = format!(
            "packets of {host} by its own clock: {} there was {} at the cockpit (offset {seconds:+.6} s)",
            written(there),
            written(*clock)
        );
        if !note.is_empty() {
            comment.push_str("; ");
            comment.push_str(note);
        }
        Block::new(SECTION, &mut out)
            .add(&0x1a2b_3c4d_u32.to_le_bytes())
            .add(&[1, 0, 0, 0])
            .add(&[0xff; 8])
            .text(USER_APPLICATION, concat!("holdpoint ", env!("CARGO_PKG_VERSION")))
            .text(COMMENT, &comment)
            .end(true);
        self.indexes = interfaces.iter().map(|(index, _)| index).collect();
        let names = std::iter::once("any").chain(interfaces.iter().map(|(_, name)| name.as_str()));
        for name in names {
            // The first byte of a filter says that it is words.
            let words = [b"\0", filter.as_bytes()].concat();
            Block::new(INTERFACE, &mut out)
                .add(&link.to_le_bytes())
                .add(&[0; 2])
                .add(&snap.to_le_bytes())
                .text(IF_NAME, name)
                .option(IF_TSRESOL, &[9])
                .option(IF_FILTER, &words)
                .end(true);
        }
        out
    }

    /// A packet: its heads. What it carried is somebody's, and is not kept.
    pub fn packet(&mut self, link: u16, raw: &Raw<'_>, out: &mut Vec<u8>) {
        let seen = frame(link, raw.length, raw.bytes);
        let bytes = raw.bytes.get(..seen.heads).unwrap_or(raw.bytes);
        let number = self.indexes.iter().position(|index| *index == seen.interface);
        let number = number.map_or(0, |at| u32::try_from(at + 1).unwrap_or(0));
        let kept = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut block = Block::new(PACKET, out)
            .add(&number.to_le_bytes())
            .add(&moment(raw.at))
            .add(&kept.to_le_bytes())
            .add(&raw.length.to_le_bytes())
            .padded(bytes);
        let way: u32 = match seen.seen.way {
            Way::In => 1,
            Way::Out => 2,
            Way::Other | Way::Unknown => 0,
        };
        let options = way != 0 || !self.markers.is_empty();
        if way != 0 {
            block = block.option(EPB_FLAGS, &way.to_le_bytes());
        }
        for (_, marker) in self.markers.drain(..) {
            block = block.text(COMMENT, &marker);
        }
        block.end(options);
    }

    /// A marker that was set at that moment of the host's clock: a comment of the next packet. Of many that wait the
    /// newest stay.
    pub fn mark(&mut self, at: u64, text: &str) {
        if self.markers.len() == 16 {
            self.markers.remove(0);
        }
        self.markers.push((at, text.to_owned()));
    }

    /// The markers that still wait, as entries of their own: no packet is to come, or not in time.
    pub fn waiting(&self, out: &mut Vec<u8>) {
        for (at, marker) in &self.markers {
            // A line is a field.
            let words: String = marker.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let words = cut(&words);
            let entry = format!(
                "__REALTIME_TIMESTAMP={}\nSYSLOG_IDENTIFIER=holdpoint\nMESSAGE={words}\n",
                at / 1_000
            );
            Block::new(ENTRY, out).padded(entry.as_bytes()).end(false);
        }
    }

    /// Those are in the file.
    pub fn written(&mut self) {
        self.markers.clear();
    }

    /// How many packets the kernel dropped so far, at a moment of the host's clock.
    pub fn dropped(&self, at: u64, count: u64, out: &mut Vec<u8>) {
        Block::new(STATISTICS, out)
            .add(&0_u32.to_le_bytes())
            .add(&moment(at))
            .option(ISB_DROPPED, &count.to_le_bytes())
            .end(true);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::capture::builder::*;
    use crate::capture::link;

    fn file() -> Vec<u8> {
        let host = "web1".parse().unwrap();
        let lines: [&[u8]; 2] = [b"1: lo: <", b"7: eth0: <"];
        let interfaces = Interfaces::read(lines);
        let about = About {
            host: &host,
            link: link::SLL2,
            snap: 128,
            interfaces: &interfaces,
            filter: "(host 192.0.2.32) and not tcp port 22",
            clock: 1_700_000_000_500_000_000,
            offset: -2_500_000_000,
            note: "12 packets left out",
        };
        let mut writer = Writer::default();
        let mut out = writer.begin(&about);
        let (src, dst) = ("198.51.100.7:51034".parse().unwrap(), "192.0.2.32:443".parse().unwrap());
        let syn = sll2(7, 0, 0x0800, &tcp_packet(src, dst, 2, 9, 0, &[]));
        let raw = |at, bytes| Raw { at, length: 60, bytes };
        writer.packet(link::SLL2, &raw(1_700_000_001_123_456_789, &syn), &mut out);
        writer.mark(1_700_000_001_500_000_000, "m1 web3 batch 1 applied");
        writer.packet(
            link::SLL2,
            &raw(1_700_000_002_000_000_001, &sll2(99, 4, 0x0800, &tcp_packet(dst, src, 18, 1, 10, &[]))),
            &mut out,
        );
        writer.dropped(1_700_000_003_000_000_000, 40, &mut out);
        // Nothing comes after these.
        writer.mark(1_700_000_004_000_000_000, "m2 rolled back");
        writer.mark(1_700_000_005_000_000_000, "m3 line\nMESSAGE=bent");
        writer.waiting(&mut out);
        writer.written();
        writer.waiting(&mut out);
        out
    }

    /// Type and body of each block; the length stands before and after.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = word(bytes, 4) as usize;
            assert_eq!((length % 4, word(bytes, length - 4) as usize), (0, length));
            found.push((word(bytes, 0), bytes[8..length - 4].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    #[test]
    fn blocks_are_whole_and_each_says_its_part() {
        let blocks = blocks(&file());
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [SECTION, INTERFACE, INTERFACE, INTERFACE, PACKET, PACKET, STATISTICS, ENTRY, ENTRY]
        );
        let text = |at: usize| String::from_utf8_lossy(&blocks[at].1).into_owned();
        assert!(
            text(0).contains("2023-11-14T22:13:18.000000Z there was 2023-11-14T22:13:20.500000Z"),
            "{}",
            text(0)
        );
        assert!(text(0).contains("offset -2.500000 s") && text(0).contains("12 packets left out"));
        assert!(text(3).contains("eth0") && text(3).contains("(host 192.0.2.32)"));
        // The second packet's interface came later than the list, and the marker is its comment.
        assert_eq!((blocks[4].1[0], blocks[5].1[0]), (2, 0));
        assert!(!text(4).contains("batch") && text(5).contains("m1 web3 batch 1 applied"));
    }

    /// What another program makes of it.
    #[test]
    fn tshark_reads_it() {
        let mut path = tempfile::NamedTempFile::new().unwrap();
        path.write_all(&file()).unwrap();
        let fields = [
            "frame.interface_name",
            "frame.time_epoch",
            "tcp.srcport",
            "frame.comment",
            "frame.packet_flags_direction",
            "_ws.col.Info",
        ];
        let mut command = Command::new("tshark");
        command.args(["-n", "-r"]).arg(path.path()).args(["-T", "fields", "-E", "separator=|"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = match command.stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: tshark: {error}");
                return;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(lines[0].starts_with("eth0|1700000001.123456789|51034||"), "{text}");
        assert!(lines[1].starts_with("any|1700000002.000000001|443|m1 web3 batch 1 applied|"), "{text}");
        // What waited for a packet that did not come stands at its own moment.
        assert!(lines[2].starts_with("|1700000004.000000"), "{text}");
        assert!(lines[2].ends_with("|m2 rolled back"), "{text}");
        assert!(lines[3].ends_with("|m3 line MESSAGE=bent"), "{text}");
    }
}
