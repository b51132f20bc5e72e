//! What the helper says before it hands the stream over to tcpdump, and what tcpdump says beside it. Pure
//! and bounded.

use crate::capture::Interfaces;
use crate::core::event::FailureKind;
use crate::facts::Section;
use crate::host::frame::{End, Parser, RefusalCode};
use crate::types::{Nonce, Untrusted};

/// The most that comes before the packets, in bytes: interfaces of a host with many.
const LONGEST: usize = 1 << 20;
/// The longest line of tcpdump's that is looked at, in bytes.
const LONGEST_LINE: usize = 1_024;

/// What a capture is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) interfaces: Interfaces,
    /// In tcpdump's words, as the helper made it.
    pub(super) filter: String,
    /// The host's clock, in nanoseconds since 1970.
    pub(super) clock: Option<u64>,
}

/// Takes the bytes of an answer up to where the packets begin.
pub(super) struct Head {
    nonce: Nonce,
    bytes: Vec<u8>,
    /// Packets have begun.
    over: bool,
}

/// What kind of failure, and its words.
type Why = (FailureKind, String);

impl Head {
    pub(super) fn new(nonce: Nonce) -> Self {
        Self { nonce, bytes: Vec::new(), over: false }
    }

    /// Takes bytes; once the packets begin, what was said before them and what came of them already.
    ///
    /// # Errors
    /// What came is no answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<(Begun, Vec<u8>)>, Why> {
        self.bytes.extend_from_slice(bytes);
        let mark = format!("\n@{} stream pcap\n", self.nonce).into_bytes();
        let Some(at) = self.bytes.windows(mark.len()).position(|here| here == mark) else {
            if self.bytes.len() > LONGEST {
                return Err((FailureKind::Malformed, "its capture says much and does not begin".to_owned()));
            }
            return Ok(None);
        };
        let rest = self.bytes.split_off(at + mark.len());
        self.bytes.truncate(at + 1);
        self.over = true;
        // The stream stands where the last frame would.
        self.bytes.extend(format!("@{} done 0\n", self.nonce).into_bytes());
        let mut parser = Parser::new(self.nonce.clone());
        let parsed = parser.push(&self.bytes).and_then(|()| parser.finish());
        let answer = parsed.map_err(|error| (FailureKind::Malformed, format!("its capture: {error}")))?;
        let lines = |name: &str| -> &[Vec<u8>] {
            answer.section(name).map_or(&[], |Section { lines, .. }| lines.as_slice())
        };
        let first = |name: &str| lines(name).first().map(|line| Untrusted::from_bytes(line));
        let begun = Begun {
            interfaces: Interfaces::read(lines("interfaces").iter().map(Vec::as_slice)),
            filter: first("filter").map(|line| line.shown()).unwrap_or_default(),
            clock: first("clock").and_then(|line| line.raw().trim().parse().ok()),
        };
        Ok(Some((begun, rest)))
    }

    /// Why it never began; `None` where it did.
    pub(super) fn finish(self) -> Option<Why> {
        if self.over {
            return None;
        }
        let mut parser = Parser::new(self.nonce);
        let parsed = parser.push(&self.bytes).and_then(|()| parser.finish());
        Some(match parsed.map(|answer| answer.end) {
            Ok(End::Refused(refusal)) => {
                let words = refusal.words.shown();
                match refusal.code {
                    RefusalCode::NoTool => {
                        (FailureKind::Refused, format!("{words}: apt-get install tcpdump"))
                    }
                    RefusalCode::NeedsRoot => (FailureKind::Refused, format!("captures need root: {words}")),
                    _ => (FailureKind::Refused, format!("its helper refused to capture: {words}")),
                }
            }
            Ok(End::Done(status)) => (FailureKind::Failed, format!("its capture ended with {status}")),
            Err(error) => (FailureKind::Unreachable, format!("its capture did not begin: {error}")),
        })
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

    const NONCE: &str = "abcdefgh";

    fn head() -> Head {
        Head::new(NONCE.parse().unwrap())
    }

    const SOUND: &str = "motd\n\n@abcdefgh hello 3 -\n@abcdefgh begin interfaces\n|1: lo: <LOOPBACK>\n|2: eth0@if9: <UP>\n\
        @abcdefgh end interfaces 0\n@abcdefgh begin filter\n|(host 192.0.2.1) and not tcp port 22\n@abcdefgh end filter 0\n\
        @abcdefgh begin clock\n|1700000000123456789\n@abcdefgh end clock 0\n@abcdefgh stream pcap\n";

    fn sound() -> String {
        SOUND.replace("hello 3", &format!("hello {}", crate::helper::VERSION))
    }

    #[test]
    fn what_comes_before_the_packets_is_read_wherever_it_is_cut() {
        let all = [sound().as_bytes(), b"\xd4\xc3\xb2\xa1"].concat();
        for cut in 0..all.len() {
            let mut head = head();
            let first = head.push(&all[..cut]).unwrap();
            let mut rest = all[cut..].to_vec();
            let begun = match first {
                Some((begun, more)) => {
                    rest = [more, rest].concat();
                    begun
                }
                None => {
                    let (begun, more) = head.push(&rest).unwrap().unwrap();
                    rest = more;
                    begun
                }
            };
            assert_eq!(rest, b"\xd4\xc3\xb2\xa1");
            assert_eq!(begun.interfaces.name(2).unwrap().as_str(), "eth0");
            assert_eq!(begun.filter, "(host 192.0.2.1) and not tcp port 22");
            assert_eq!(begun.clock, Some(1_700_000_000_123_456_789));
            assert_eq!(head.finish(), None);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let hello = format!("@{NONCE} hello {} -\n", crate::helper::VERSION);
        for (text, kind, words) in [
            (
                "@abcdefgh refuse no-tool tcpdump is not installed\n",
                FailureKind::Refused,
                "tcpdump is not installed: apt-get install tcpdump",
            ),
            (
                "@abcdefgh refuse needs-root this verb needs root\n",
                FailureKind::Refused,
                "captures need root: this verb needs root",
            ),
            (
                "@abcdefgh refuse usage no such verb\n",
                FailureKind::Refused,
                "its helper refused to capture: no such verb",
            ),
            ("", FailureKind::Unreachable, "its capture did not begin: the answer broke off in the middle"),
        ] {
            let mut head = head();
            assert_eq!(head.push(format!("\n{hello}{text}").as_bytes()), Ok(None));
            let (found, what) = head.finish().unwrap();
            assert_eq!(found, kind);
            assert!(what.starts_with(words), "{what}");
        }
    }

    #[test]
    fn much_before_any_packet_is_refused_and_lines_are_bounded() {
        let mut head = head();
        let flood = vec![b'x'; LONGEST + 1];
        assert!(matches!(head.push(&flood), Err((FailureKind::Malformed, _))));
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
