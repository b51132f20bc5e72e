//! The effect that follows a host's logs: its journal and the plan's files over the streams connection, to the
//! log and its counts. A host that is away is tried again; what was written meanwhile is not asked for.

use std::time::Duration;

use serde::Deserialize;

use super::act::Clock;
use super::ask::Asker;
use super::frame::{End, Parser, RefusalCode};
use super::verb::Verb;
use super::{Chunk, OutputStream, Source};
use crate::conductor::shell::Outbox;
use crate::core::Sample;
use crate::core::effect::is_final;
use crate::core::event::{Failure, FailureKind, LogEvent, LogLine, LogSource};
use crate::types::{HostName, Nonce, Seq, Span, Untrusted};

/// Between two tries: longer each time, up to the last. A host that boots is away for seconds.
const WAITS: [u64; 5] = [1, 2, 5, 10, 20];
/// Before a host that has no helper, or lacks what it needs, is asked again, in seconds.
const REFUSED: u64 = 60;
/// The longest line that is kept, in bytes: the helper cuts the text at 8 KiB, and JSON escapes it.
const LONGEST: usize = 64 * 1024;

/// One host's logs, over all streams.
pub(super) struct Task {
    pub(super) id: Seq,
    pub(super) asker: Asker,
    pub(super) outbox: Outbox,
    pub(super) clock: Clock,
}

impl Task {
    /// Follows until that is of no use: why.
    pub(super) async fn run(self, files: Vec<String>) -> Untrusted {
        let verb = Verb::Logs(files.clone());
        let mut told: Option<Untrusted> = None;
        let mut waits = WAITS.iter();
        loop {
            let failure = match self.asker.stream(&verb).await {
                Ok((stream, nonce)) => {
                    let (failure, began) = self.follow(stream, nonce, &files).await;
                    if began {
                        (waits, told) = (WAITS.iter(), None);
                    }
                    failure
                }
                Err(failure) => failure,
            };
            // Once for each reason.
            if told.as_ref() != Some(&failure.what) {
                told = Some(failure.what.clone());
                self.tell(LogEvent::Unseen { host: self.host(), why: failure.what.clone() }).await;
            }
            let wait = match failure.kind {
                kind if is_final(kind) => return failure.what,
                FailureKind::NotEnrolled | FailureKind::Refused => REFUSED,
                _ => *waits.next().unwrap_or(&WAITS[WAITS.len() - 1]),
            };
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    fn host(&self) -> HostName {
        self.asker.host().clone()
    }

    async fn tell(&self, event: LogEvent) {
        self.outbox.sample(self.id, Sample::Log(Box::new(event))).await;
    }

    /// Follows one stream to its end: why it ended, and whether it ever began.
    async fn follow(&self, mut stream: OutputStream, nonce: Nonce, files: &[String]) -> (Failure, bool) {
        let mut lines = Lines::default();
        let mut began = false;
        let mark = format!("@{nonce} stream log");
        let mut head = Vec::new();
        while let Some(Chunk { source, bytes, .. }) = stream.next().await {
            if source == Source::Stderr {
                continue;
            }
            for line in lines.take(&bytes) {
                if began {
                    self.said(&line, files).await;
                } else if line == mark.as_bytes() {
                    began = true;
                    self.tell(LogEvent::Following { host: self.host() }).await;
                } else if head.len() < LONGEST {
                    head.extend(line);
                    head.push(b'\n');
                }
            }
        }
        let host = self.host();
        let failed = |kind, what: String| Failure::new(kind, format!("{host}: {what}"));
        let failure = match (stream.end().await, began) {
            (Err(error), _) => super::ask::failure(&host, &error),
            (Ok(status), true) => {
                failed(FailureKind::Failed, format!("what followed its logs ended: {status}"))
            }
            (Ok(_), false) => {
                let (kind, what) = never_began(nonce, &head);
                failed(kind, what)
            }
        };
        (failure, began)
    }

    async fn said(&self, line: &[u8], files: &[String]) {
        match read(line, files) {
            Some(Said::Line { source, by, error, text }) => {
                let line = LogLine { host: self.host(), source, at: (self.clock)(), by, error, text };
                self.outbox.line(line);
            }
            Some(Said::Count { source, over, lines, errors, left_out }) => {
                let host = self.host();
                self.tell(LogEvent::Counted { host, source, over, lines, errors, left_out }).await;
            }
            Some(Said::Over(source)) => {
                let what = match source {
                    LogSource::File(path) => path.raw().to_owned(),
                    LogSource::Journal | LogSource::Holdpoint | LogSource::Operation(_) => {
                        "its journal".to_owned()
                    }
                };
                let text = Untrusted::new(format!("{what} can't be followed"));
                self.outbox.line(LogLine::new(self.host(), LogSource::Holdpoint, (self.clock)(), text));
            }
            // Nothing that the helper says.
            None => {}
        }
    }
}

/// Why a stream ended before it began.
fn never_began(nonce: Nonce, head: &[u8]) -> (FailureKind, String) {
    let mut parser = Parser::new(nonce);
    match parser.push(head).and_then(|()| parser.finish()).map(|answer| answer.end) {
        Ok(End::Refused(refusal)) => {
            let words = refusal.words.shown();
            let what = match refusal.code {
                RefusalCode::NoTool => format!("{words}: its logs can't be followed"),
                RefusalCode::NeedsRoot => format!("logs need root: {words}"),
                _ => format!("its helper refused to follow logs: {words}"),
            };
            (FailureKind::Refused, what)
        }
        Ok(End::Done(status)) => {
            (FailureKind::Failed, format!("what was to follow its logs ended with {status}"))
        }
        Err(error) => (FailureKind::Unreachable, format!("its logs are not followed: {error}")),
    }
}

/// Whole lines out of bytes as they come.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = piece.strip_suffix(b"\n");
            let room = LONGEST.saturating_sub(self.rest.len());
            let text = whole.unwrap_or(piece);
            self.rest.extend_from_slice(&text[..text.len().min(room)]);
            if whole.is_some() {
                lines.push(std::mem::take(&mut self.rest));
            }
        }
        lines
    }
}

/// One line of the stream.
#[derive(Debug, PartialEq)]
enum Said {
    Line { source: LogSource, by: Option<Untrusted>, error: bool, text: Untrusted },
    Count { source: LogSource, over: Span, lines: u32, errors: u32, left_out: u32 },
    Over(LogSource),
}

/// What the helper says in a line (see `logs.sh`); `None` for what it never says.
fn read(line: &[u8], files: &[String]) -> Option<Said> {
    let source = |place: &[u8]| match place {
        b"-" => Some(LogSource::Journal),
        place => {
            let place: usize = std::str::from_utf8(place).ok()?.parse().ok()?;
            files.get(place).map(|path| LogSource::File(Untrusted::new(path)))
        }
    };
    let (word, rest) = line.split_at_checked(2)?;
    match word {
        b"j " | b"J " => entry(rest, word == b"J "),
        b"f " | b"F " => {
            let at = rest.iter().position(|byte| *byte == b' ')?;
            let text = Untrusted::from_bytes(&rest[at + 1..]);
            Some(Said::Line { source: source(&rest[..at])?, by: None, error: word == b"F ", text })
        }
        b"c " => {
            let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').collect();
            let [over, place, lines, errors, left_out] = words.as_slice() else { return None };
            let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u32>().ok();
            let over = Span::secs(u64::from(number(over)?));
            let (lines, errors, left_out) = (number(lines)?, number(errors)?, number(left_out)?);
            Some(Said::Count { source: source(place)?, over, lines, errors, left_out })
        }
        b"e " => source(rest).map(Said::Over),
        _ => None,
    }
}

/// An entry as `journalctl -o json` writes it: text that is no UTF-8 is a list of bytes there.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE", default)]
    message: Option<Text>,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Option<Text>,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Option<Text>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Words(String),
    Bytes(Vec<u8>),
    Several(Vec<Text>),
}

impl Text {
    fn read(self) -> Untrusted {
        match self {
            Self::Words(words) => Untrusted::new(words),
            Self::Bytes(bytes) => Untrusted::from_bytes(&bytes),
            Self::Several(mut all) => all.pop().map_or_else(Untrusted::default, Self::read),
        }
    }
}

fn entry(json: &[u8], error: bool) -> Option<Said> {
    let Ok(entry) = serde_json::from_slice::<Entry>(json) else {
        // Cut off by the helper, or another journalctl: as it stands.
        let text = Untrusted::from_bytes(json);
        return Some(Said::Line { source: LogSource::Journal, by: None, error, text });
    };
    let by = entry.identifier.or(entry.unit).map(Text::read);
    Some(Said::Line { source: LogSource::Journal, by, error, text: entry.message?.read() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files() -> Vec<String> {
        vec!["/var/log/a.log".into(), "/var/log/b.log".into()]
    }

    fn line(source: LogSource, by: Option<&str>, error: bool, text: &str) -> Option<Said> {
        Some(Said::Line { source, by: by.map(Into::into), error, text: text.into() })
    }

    #[test]
    fn each_line_of_the_helper_is_read_and_nothing_else() {
        let b = || LogSource::File("/var/log/b.log".into());
        for (said, read_as) in [
            ("f 1 a line", line(b(), None, false, "a line")),
            ("F 1 [error] x", line(b(), None, true, "[error] x")),
            ("f 1 ", line(b(), None, false, "")),
            ("f 2 a file that was not asked for", None),
            (
                r#"j {"MESSAGE":"up","SYSLOG_IDENTIFIER":"nginx","_SYSTEMD_UNIT":"nginx.service"}"#,
                line(LogSource::Journal, Some("nginx"), false, "up"),
            ),
            (
                r#"J {"MESSAGE":[27,91,50,74],"_SYSTEMD_UNIT":"x.service"}"#,
                line(LogSource::Journal, Some("x.service"), true, "\u{1b}[2J"),
            ),
            (r#"j {"MESSAGE":null}"#, None),
            (r#"j {"MESSAGE":"cut o"#, line(LogSource::Journal, None, false, r#"{"MESSAGE":"cut o"#)),
            (
                "c 5 1 10 2 3",
                Some(Said::Count { source: b(), over: Span::secs(5), lines: 10, errors: 2, left_out: 3 }),
            ),
            ("c 5 1 10 2", None),
            ("c 5 x 10 2 3", None),
            ("e -", Some(Said::Over(LogSource::Journal))),
            ("e 7", None),
            ("", None),
            ("x", None),
            ("hello there", None),
        ] {
            assert_eq!(read(said.as_bytes(), &files()), read_as, "{said}");
        }
    }

    #[test]
    fn a_line_comes_whole_however_it_was_cut_and_is_bounded() {
        let all = b"one\ntwo\n\nthree";
        for cut in 0..all.len() {
            let mut lines = Lines::default();
            let mut found = lines.take(&all[..cut]);
            found.extend(lines.take(&all[cut..]));
            assert_eq!(found, [&b"one"[..], b"two", b""]);
        }
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.take(&[b'x'; 4096]).is_empty());
        }
        assert_eq!(lines.take(b"\n")[0].len(), LONGEST);
    }

    #[test]
    fn a_refusal_says_why() {
        let nonce: Nonce = "abcdefgh".parse().unwrap();
        let head = format!(
            "\n@abcdefgh hello {} -\n@abcdefgh refuse no-tool perl is not installed\n",
            crate::helper::VERSION
        );
        let (kind, what) = never_began(nonce.clone(), head.as_bytes());
        assert_eq!(
            (kind, what.as_str()),
            (FailureKind::Refused, "perl is not installed: its logs can't be followed")
        );
        assert_eq!(never_began(nonce, b"motd\n").0, FailureKind::Unreachable);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), word in "[jJfFce] [0-9 -]{0,4}") {
            let _whatever = read(&[word.as_bytes(), &bytes].concat(), &files());
            let _whatever = read(&bytes, &files());
        }
    }
}
