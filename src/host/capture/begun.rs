//! What the helper says of a capture before its packets, and what tcpdump says beside them. Pure and bounded.

use crate::capture::Interfaces;
use crate::facts::Section;
use crate::host::frame::Answer;
use crate::host::stream::Kind;
use crate::types::Untrusted;

/// The longest line of tcpdump's that is looked at, in bytes.
const LONGEST_LINE: usize = 1_024;

/// The stream of the verb `capture`.
pub(super) static KIND: Kind = Kind {
    word: "pcap",
    what: "its capture",
    needs: "captures",
    to: "to capture",
    no_tool: "apt-get install tcpdump",
};

/// What a capture is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) interfaces: Interfaces,
    /// In tcpdump's words, as the helper made it.
    pub(super) filter: String,
    /// The host's clock, in nanoseconds since 1970.
    pub(super) clock: Option<u64>,
}

impl Begun {
    /// From what came before the packets.
    pub(super) fn read(answer: &Answer) -> Self {
        let lines = |name: &str| -> &[Vec<u8>] {
            answer.section(name).map_or(&[], |Section { lines, .. }| lines.as_slice())
        };
        let first = |name: &str| lines(name).first().map(|line| Untrusted::from_bytes(line));
        Self {
            interfaces: Interfaces::read(lines("interfaces").iter().map(Vec::as_slice)),
            filter: first("filter").map(|line| line.shown()).unwrap_or_default(),
            clock: first("clock").and_then(|line| line.raw().trim().parse().ok()),
        }
    }
}

/// Lines of a standard error, as they become whole.
#[derive(Default)]
pub(super) struct Errors {
    rest: Vec<u8>,
    last: Option<Untrusted>,
}

impl Errors {
    /// Each line that is whole by now.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = Untrusted::from_bytes(&std::mem::take(&mut self.rest));
                each(line.raw());
                // What it says when all goes well is no reason.
                let usual = [
                    "data link type",
                    "listening on",
                    "packets captured",
                    "received by filter",
                    "dropped by kernel",
                ];
                if !usual.iter().any(|word| line.raw().contains(word)) {
                    self.last = Some(line);
                }
            } else if self.rest.len() < LONGEST_LINE {
                self.rest.push(*byte);
            }
        }
    }

    /// The last line that may be a reason.
    pub(super) fn last(&self) -> Option<&Untrusted> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::host::stream::Head;

    const SOUND: &str = "motd\n\n@abcdefgh hello 3 -\n@abcdefgh begin interfaces\n|1: lo: <LOOPBACK>\n|2: eth0@if9: <UP>\n\
        @abcdefgh end interfaces 0\n@abcdefgh begin filter\n|(host 192.0.2.1) and not tcp port 22\n@abcdefgh end filter 0\n\
        @abcdefgh begin clock\n|1700000000123456789\n@abcdefgh end clock 0\n@abcdefgh stream pcap\n";

    #[test]
    fn what_comes_before_the_packets_is_read() {
        let sound = SOUND.replace("hello 3", &format!("hello {}", crate::helper::VERSION));
        let mut head = Head::new(&KIND, "abcdefgh".parse().unwrap());
        let (answer, rest) = head.push(&[sound.as_bytes(), b"\xd4\xc3"].concat()).unwrap().unwrap();
        let begun = Begun::read(&answer);
        assert_eq!(rest, b"\xd4\xc3");
        assert_eq!(begun.interfaces.name(2).unwrap().as_str(), "eth0");
        assert_eq!(begun.filter, "(host 192.0.2.1) and not tcp port 22");
        assert_eq!(begun.clock, Some(1_700_000_000_123_456_789));
        let empty = Answer { sections: Vec::new(), ..answer };
        assert_eq!(Begun::read(&empty), Begun::default());
    }

    #[test]
    fn lines_are_bounded_and_the_last_one_that_may_be_a_reason_is_kept() {
        let flood = vec![b'x'; 1 << 20];
        let mut errors = Errors::default();
        let mut lines = Vec::new();
        errors.push(&flood, |_| {});
        errors.push(b"\ntcpdump: listening on any\n12 packets captured\nsudo: no", |line| {
            lines.push(line.to_owned())
        });
        errors.push(b" way\n", |line| lines.push(line.to_owned()));
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 25, 19, 12]);
        assert_eq!(errors.last().unwrap().raw(), "sudo: no way");
    }
}
