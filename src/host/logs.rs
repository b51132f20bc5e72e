//! The effect that follows a host's logs: its journal and the plan's files over the streams connection, to the
//! log and its counts. A host that is away is tried again; what was written meanwhile is not asked for.

use std::time::Duration;

use serde::Deserialize;

use super::act::Clock;
use super::ask::Asker;
use super::stream::{Head, Kind, Tries};
use super::verb::Verb;
use super::{Chunk, OutputStream, Source};
use crate::conductor::shell::Outbox;
use crate::core::Sample;
use crate::core::event::{Failure, FailureKind, LogEvent, LogLine, LogSource};
use crate::types::{HostName, Nonce, Seq, Span, Untrusted};

/// The longest line that is kept, in bytes: the helper cuts the text at 8 KiB, and JSON escapes it.
const LONGEST: usize = 64 * 1024;

/// The stream of the verb `logs`.
static KIND: Kind = Kind {
    word: "log",
    what: "what follows its logs",
    needs: "logs",
    to: "to follow logs",
    no_tool: "its logs can't be followed",
};

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
        let mut tries = Tries::default();
        loop {
            let failure = match self.asker.stream(&verb).await {
                Ok((stream, nonce)) => {
                    let (failure, began) = self.follow(stream, nonce, &files).await;
                    if began {
                        tries.began();
                        told = None;
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
            let Some(wait) = tries.after(&failure) else { return failure.what };
            tokio::time::sleep(wait).await;
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
        let host = self.host();
        let failed = |kind, what: String| Failure::new(kind, format!("{host}: {what}"));
        let (mut lines, mut head) = (Lines::default(), Head::new(&KIND, nonce));
        let mut began = false;
        let late = tokio::time::Instant::now() + Duration::from(Verb::Logs(Vec::new()).timeout());
        loop {
            let chunk = tokio::select! {
                chunk = stream.next() => chunk,
                () = tokio::time::sleep_until(late), if !began => {
                    let what = "what follows its logs did not begin in time".to_owned();
                    return (failed(FailureKind::TimedOut, what), began);
                }
            };
            let Some(Chunk { source, bytes, left_out }) = chunk else { break };
            if source == Source::Stderr {
                continue;
            }
            if left_out > 0 {
                lines.skip();
            }
            let rest = match began {
                true => bytes,
                false => match head.push(&bytes) {
                    Ok(None) => continue,
                    Ok(Some((_, rest))) => {
                        began = true;
                        self.tell(LogEvent::Following { host: self.host() }).await;
                        rest
                    }
                    Err((kind, what)) => return (failed(kind, what), began),
                },
            };
            for line in lines.take(&rest) {
                self.said(&line, files).await;
            }
        }
        let failure = match (stream.end().await, head.finish()) {
            (Err(error), _) => super::ask::failure(&host, &error),
            (Ok(_), Some((kind, what))) => failed(kind, what),
            (Ok(status), None) => {
                failed(FailureKind::Failed, format!("what follows its logs ended: {status}"))
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

/// Whole lines out of bytes as they come.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// What comes next is the end of a line whose beginning was left out.
    torn: bool,
}

impl Lines {
    /// Something is missing here: what stands before it and after it are no line.
    fn skip(&mut self) {
        self.rest.clear();
        self.torn = true;
    }

    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = piece.strip_suffix(b"\n");
            let room = LONGEST.saturating_sub(self.rest.len());
            let text = whole.unwrap_or(piece);
            self.rest.extend_from_slice(&text[..text.len().min(room)]);
            if whole.is_some() {
                let line = std::mem::take(&mut self.rest);
                if !std::mem::take(&mut self.torn) {
                    lines.push(line);
                }
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
    fn what_was_torn_is_no_line() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\ntw"), [b"one"]);
        lines.skip();
        assert_eq!(lines.take(b"ree\nfour\n"), [b"four"]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), word in "[jJfFce] [0-9 -]{0,4}") {
            let _whatever = read(&[word.as_bytes(), &bytes].concat(), &files());
            let _whatever = read(&bytes, &files());
        }
    }
}
