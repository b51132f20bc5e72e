//! A verb whose answer goes on as a stream: what the helper says before it, why one never began, and how long
//! until it is asked for again. Pure and bounded.

use std::time::Duration;

use crate::core::effect::is_final;
use crate::core::event::{Failure, FailureKind};
use crate::host::frame::{Answer, End, Parser, RefusalCode};
use crate::types::Nonce;

/// The most that comes before the stream, in bytes: interfaces of a host with many.
const LONGEST: usize = 1 << 20;
/// Between two tries, in seconds: longer each time, up to the last. A host that boots is away for seconds.
const WAITS: [u64; 5] = [1, 2, 5, 10, 20];
/// Before a host that has no helper, or lacks what it needs, is asked again, in seconds.
const REFUSED: u64 = 60;

/// A kind of stream, in words.
pub(super) struct Kind {
    /// Its word in the line that it begins after.
    pub(super) word: &'static str,
    /// What of the host gives it.
    pub(super) what: &'static str,
    /// What there is none of without root.
    pub(super) needs: &'static str,
    /// What the helper was to do.
    pub(super) to: &'static str,
    /// What a program that is not there means.
    pub(super) no_tool: &'static str,
}

/// What kind of failure, and its words.
pub(super) type Why = (FailureKind, String);

/// Takes the bytes of an answer up to where the stream begins.
pub(super) struct Head {
    kind: &'static Kind,
    nonce: Nonce,
    bytes: Vec<u8>,
    /// How many of them were looked through.
    looked: usize,
    over: bool,
}

impl Head {
    pub(super) fn new(kind: &'static Kind, nonce: Nonce) -> Self {
        Self { kind, nonce, bytes: Vec::new(), looked: 0, over: false }
    }

    /// Takes bytes; once the stream begins, what was said before it and what came of it already.
    ///
    /// # Errors
    /// What came is no answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<(Answer, Vec<u8>)>, Why> {
        self.bytes.extend_from_slice(bytes);
        let mark = format!("\n@{} stream {}\n", self.nonce, self.kind.word).into_bytes();
        let unseen = self.bytes.get(self.looked..).unwrap_or_default();
        let Some(at) = unseen.windows(mark.len()).position(|here| here == mark) else {
            self.looked = (self.bytes.len() + 1).saturating_sub(mark.len());
            if self.bytes.len() > LONGEST {
                let what = format!("{} says much and does not begin", self.kind.what);
                return Err((FailureKind::Malformed, what));
            }
            return Ok(None);
        };
        let at = self.looked + at;
        let rest = self.bytes.split_off(at + mark.len());
        self.bytes.truncate(at + 1);
        self.over = true;
        // The stream stands where the last frame would.
        self.bytes.extend(format!("@{} done 0\n", self.nonce).into_bytes());
        let mut parser = Parser::new(self.nonce.clone());
        let parsed = parser.push(&self.bytes).and_then(|()| parser.finish());
        let answer =
            parsed.map_err(|error| (FailureKind::Malformed, format!("{}: {error}", self.kind.what)))?;
        Ok(Some((answer, rest)))
    }

    /// Why it never began; `None` where it did.
    pub(super) fn finish(self) -> Option<Why> {
        if self.over {
            return None;
        }
        let Kind { what, needs, to, no_tool, .. } = self.kind;
        let mut parser = Parser::new(self.nonce);
        let parsed = parser.push(&self.bytes).and_then(|()| parser.finish());
        Some(match parsed.map(|answer| answer.end) {
            Ok(End::Refused(refusal)) => {
                let words = refusal.words.shown();
                let said = match refusal.code {
                    RefusalCode::NoTool => format!("{words}: {no_tool}"),
                    RefusalCode::NeedsRoot => format!("{needs} need root: {words}"),
                    _ => format!("its helper refused {to}: {words}"),
                };
                (FailureKind::Refused, said)
            }
            Ok(End::Done(status)) => (FailureKind::Failed, format!("{what} ended with {status}")),
            Err(error) => (FailureKind::Unreachable, format!("{what} did not begin: {error}")),
        })
    }
}

/// How often in a row a stream failed before it began.
#[derive(Debug, Default)]
pub(super) struct Tries(usize);

impl Tries {
    /// It has begun.
    pub(super) fn began(&mut self) {
        self.0 = 0;
    }

    /// How long to wait before it is asked for again; `None` where that is of no use.
    pub(super) fn after(&mut self, failure: &Failure) -> Option<Duration> {
        let wait = match failure.kind {
            kind if is_final(kind) => return None,
            FailureKind::NotEnrolled | FailureKind::Refused => REFUSED,
            _ => {
                self.0 += 1;
                WAITS[(self.0 - 1).min(WAITS.len() - 1)]
            }
        };
        Some(Duration::from_secs(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        word: "pcap",
        what: "its capture",
        needs: "captures",
        to: "to capture",
        no_tool: "apt-get install tcpdump",
    };

    fn head() -> Head {
        Head::new(&KIND, "abcdefgh".parse().unwrap())
    }

    #[test]
    fn what_comes_before_a_stream_is_read_wherever_it_is_cut() {
        let hello = format!("motd\n\n@abcdefgh hello {} -\n", crate::helper::VERSION);
        let section = "@abcdefgh begin clock\n|17\n@abcdefgh end clock 0\n@abcdefgh stream pcap\n";
        let all = [hello.as_bytes(), section.as_bytes(), b"\xd4\xc3\xb2\xa1"].concat();
        for cut in 0..all.len() {
            let mut head = head();
            let mut found = head.push(&all[..cut]).unwrap();
            let mut rest = all[cut..].to_vec();
            if let Some((_, more)) = &mut found {
                rest = [std::mem::take(more), rest].concat();
            } else {
                found = head.push(&rest).unwrap();
                rest = found.as_ref().unwrap().1.clone();
            }
            assert_eq!(rest, b"\xd4\xc3\xb2\xa1");
            assert_eq!(found.unwrap().0.section("clock").unwrap().lines, [b"17"]);
            assert_eq!(head.finish(), None);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let hello = format!("@abcdefgh hello {} -\n", crate::helper::VERSION);
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
            ("@abcdefgh done 3\n", FailureKind::Failed, "its capture ended with 3"),
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
    fn much_before_any_stream_is_refused() {
        let mut head = head();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..16 {
            assert_eq!(head.push(&piece), Ok(None));
        }
        assert!(matches!(head.push(&piece), Err((FailureKind::Malformed, _))));
    }

    #[test]
    fn tries_are_made_more_seldom_until_one_begins() {
        let mut tries = Tries::default();
        let mut after = |kind, began| {
            if began {
                tries.began();
            }
            tries.after(&Failure::new(kind, "why")).map(|wait| wait.as_secs())
        };
        let away = FailureKind::Unreachable;
        let waits: Vec<_> = (0..7).map(|_| after(away, false)).collect();
        assert_eq!(waits, [1, 2, 5, 10, 20, 20, 20].map(Some));
        assert_eq!(after(FailureKind::Refused, false), Some(REFUSED));
        assert_eq!((after(away, true), after(away, false)), (Some(1), Some(2)));
        assert_eq!(after(FailureKind::HostKey, false), None);
    }
}
