//! What captures on hosts say: tcpdump's stream becomes packets, packets become conversations, and the
//! probes' own attempts are found among them before any row is dropped.
//!
//! ```text
//! bytes -- pcap --> frames -- packet --> seen -- flows --> conversations, tallies
//!                                          |                    '-- attempts --> PacketEvent::Matched
//!                                          '-- rows, for whoever looks; pcapng, as it came
//! ```
//!
//! Pure: no clock, no task, no file; moments are given. Nothing here may panic, whatever the bytes are,
//! and nothing here judges: what a flow means is for a verdict to say.

mod attempts; // attempts of probes, found among the conversations
pub mod builder; // frames byte by byte, for the demo and for tests
mod flows; // conversations and tallies
mod life; // how far a stream is known to be whole
mod packet; // a frame's bytes -> what it said
mod pcap; // tcpdump's stream -> frames
pub mod pcapng; // what is kept, for other programs to read
mod rows; // rows, bounded
mod watch; // one host's capture

use std::collections::BTreeMap;

pub use attempts::Attempted;
pub use life::SIGN;
pub use packet::{Frame, frame, link};
pub use pcap::{PcapError, Raw, Reader};
pub use watch::{Found, Watch};

use crate::types::IfName;

/// Interfaces of a host by their index there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces(BTreeMap<u32, IfName>);

impl Interfaces {
    /// From lines of `ip -o link`: `2: eth0@if5: <BROADCAST,...`. Lines that are none are passed over.
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let line = |line: &[u8]| {
            let text = std::str::from_utf8(line).ok()?;
            let mut parts = text.splitn(3, ": ");
            let index = parts.next()?.trim().parse().ok()?;
            let name = parts.next()?;
            Some((index, name.split('@').next()?.parse().ok()?))
        };
        Self(lines.into_iter().filter_map(line).collect())
    }

    /// The name of that index; `None` where it came later than the list.
    pub fn name(&self, index: u32) -> Option<IfName> {
        self.0.get(&index).cloned()
    }

    /// All of them, by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &IfName)> {
        self.0.iter().map(|(index, name)| (*index, name))
    }
}

/// Packets that the kernel dropped so far, from what tcpdump says on its standard error; `None` in any other
/// line.
pub fn dropped(line: &str) -> Option<u64> {
    number(line, " dropped by kernel")
}

/// Packets that tcpdump has written so far, from the same line.
pub fn captured(line: &str) -> Option<u64> {
    number(line, " captured")
}

/// The number in "3 packets" before that word.
fn number(line: &str, word: &str) -> Option<u64> {
    let before = &line[..line.find(word)?];
    let before = before.strip_suffix(" packets").or_else(|| before.strip_suffix(" packet"))?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_from_what_ip_prints() {
        let lines: [&[u8]; 4] = [
            b"1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default",
            b"12: eth0@if13: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue",
            b"Object \"link\" is unknown",
            b"\xff",
        ];
        let read = Interfaces::read(lines);
        let names: Vec<String> = read.iter().map(|(index, name)| format!("{index} {name}")).collect();
        assert_eq!(names, ["1 lo", "12 eth0"]);
        assert_eq!(read.name(3), None);
    }

    #[test]
    fn counts_are_read_from_what_tcpdump_says() {
        for (line, written, lost) in [
            ("3 packets dropped by kernel", None, Some(3)),
            (
                "tcpdump: 12 packets captured, 13 packets received by filter, 40 packets dropped by kernel",
                Some(12),
                Some(40),
            ),
            ("1 packet captured, 9 packets received by filter, 1 packet dropped by kernel", Some(1), Some(1)),
            ("12 packets received by filter", None, None),
            ("packets dropped by kernel", None, None),
            (" captured", None, None),
            ("99999999999999999999999 packets dropped by kernel", None, None),
        ] {
            assert_eq!((captured(line), dropped(line)), (written, lost), "{line}");
        }
    }
}
