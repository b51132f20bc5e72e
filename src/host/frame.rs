//! Reads the frames of a helper's answer out of the bytes that came over a channel.
//!
//! Pure, and bounded whatever a host sends: what is too long is an error before memory is taken for
//! it. Nothing here knows what a section's lines mean.

use crate::facts::Section;
use crate::types::{Nonce, Sha256, Untrusted};

/// The longest line of an answer, its prefix included (the helper cuts at 256 KiB).
pub const LONGEST_LINE: usize = 300 * 1024;
/// The most that the payload of all sections may come to, in bytes.
pub const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// The most sections in one answer.
pub const MOST_SECTIONS: usize = 256;
/// The most noise before the first frame: a login script that prints, not a flood.
pub const MOST_NOISE: usize = 256 * 1024;
/// Each line costs memory beside its bytes, so a flood of empty ones is bounded as well.
const LINE_COST: usize = 32;

/// One whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SHA-256 of the helper on the host; `None` where its text came over standard input.
    pub helper: Option<Sha256>,
    /// What it said, in its order.
    pub sections: Vec<Section>,
    /// How it ended.
    pub end: End,
}

impl Answer {
    /// The section of that name, the first where there are several.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The verb ran; 0 means that it did what it was asked.
    Done(i32),
    /// The verb was not run, and nothing was changed.
    Refused(Refusal),
}

/// Why a helper refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, as a word of the contract.
    pub code: RefusalCode,
    /// Its own words.
    pub words: Untrusted,
}

/// The reasons for which a helper refuses a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// Words or input that break their pattern; a version of the cockpit that doesn't fit.
    Usage,
    /// Another cockpit has taken the host over with a higher epoch.
    StaleEpoch,
    /// Something else is at work.
    Busy,
    /// The verb needs root.
    NeedsRoot,
    /// There is no operation of that id.
    UnknownOperation,
    /// The operation's id is taken by one of another kind, batch or spec.
    ExistsDifferently,
    /// The host has no room for it.
    NoSpace,
    /// The verb needs systemd.
    NoSystemd,
    /// An apply whose dead-man timer is not armed.
    Unarmed,
    /// The batch's timer is not armed, or no more.
    NotArmed,
    /// The batch's timer was armed with other words.
    WrongToken,
    /// It has no such package file.
    NoFile,
    /// What came is not what was announced.
    Mismatch,
    /// A program that the verb needs is not installed there.
    NoTool,
    /// The helper itself could not go on.
    Internal,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::Usage,
        Self::StaleEpoch,
        Self::Busy,
        Self::NeedsRoot,
        Self::UnknownOperation,
        Self::ExistsDifferently,
        Self::NoSpace,
        Self::NoSystemd,
        Self::Unarmed,
        Self::NotArmed,
        Self::WrongToken,
        Self::NoFile,
        Self::Mismatch,
        Self::NoTool,
        Self::Internal,
    ];

    /// Its word in a frame.
    pub fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::StaleEpoch => "stale-epoch",
            Self::Busy => "busy",
            Self::NeedsRoot => "needs-root",
            Self::UnknownOperation => "unknown-operation",
            Self::ExistsDifferently => "exists-differently",
            Self::NoSpace => "no-space",
            Self::NoSystemd => "no-systemd",
            Self::Unarmed => "unarmed",
            Self::NotArmed => "not-armed",
            Self::WrongToken => "wrong-token",
            Self::NoFile => "no-file",
            Self::Mismatch => "mismatch",
            Self::NoTool => "no-tool",
            Self::Internal => "internal",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }
}

/// An answer that can't be trusted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The channel closed, or went silent, before the last frame.
    #[error("the answer broke off {0}; the helper may have done its work: ask again for its state")]
    Lost(Progress),
    /// Much came, and no first frame.
    #[error(
        "the host printed more than {MOST_NOISE} bytes and no answer: look at what its login scripts print"
    )]
    Noise,
    /// The helper speaks another version of the contract.
    #[error("the helper on the host speaks version {0} of the contract, this cockpit speaks {ours}: enrol the host again", ours = crate::helper::VERSION)]
    Version(u32),
    /// A line that is no frame and no payload, or a frame out of its place.
    #[error("the answer holds a line that is out of place: {}", .0.shown())]
    Unexpected(Untrusted),
    /// A line that is longer than any helper sends.
    #[error("the answer holds a line of more than {LONGEST_LINE} bytes")]
    LongLine,
    /// More in all than any helper sends.
    #[error("the answer is larger than {LARGEST_ANSWER} bytes or {MOST_SECTIONS} sections")]
    TooLarge,
}

/// How far an answer had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of the helper's was seen.
    Nothing,
    /// It had begun.
    Begun,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "before it began",
            Self::Begun => "in the middle",
        })
    }
}

/// Takes an answer's bytes as they come.
#[derive(Debug)]
pub struct Parser {
    nonce: Nonce,
    state: State,
    line: Vec<u8>,
    noise: usize,
    taken: usize,
    helper: Option<Sha256>,
    sections: Vec<Section>,
    open: Option<Section>,
    failed: Option<FrameError>,
}

#[derive(Debug)]
enum State {
    Noise,
    Frames,
    Ended(End),
}

impl Parser {
    /// A parser for the answer to the call that carried this nonce.
    pub fn new(nonce: Nonce) -> Self {
        Self {
            nonce,
            state: State::Noise,
            line: Vec::new(),
            noise: 0,
            taken: 0,
            helper: None,
            sections: Vec::new(),
            open: None,
            failed: None,
        }
    }

    /// Whether the last frame has come, so that nothing more is waited for.
    pub fn is_whole(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Takes the next bytes. After an error the answer is lost; more bytes change nothing.
    ///
    /// # Errors
    /// The first thing that is wrong with the answer.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !bytes.is_empty() && !self.is_whole() {
            let (piece, rest, ends) = match bytes.iter().position(|b| *b == b'\n') {
                Some(at) => (&bytes[..at], &bytes[at + 1..], true),
                None => (bytes, &bytes[..0], false),
            };
            bytes = rest;
            if let Err(error) = self.take(piece, ends) {
                self.line = Vec::new();
                self.sections = Vec::new();
                self.open = None;
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    /// The whole answer, once the channel has closed or [`Parser::is_whole`].
    ///
    /// # Errors
    /// What was wrong, or that the answer broke off.
    pub fn finish(self) -> Result<Answer, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.state {
            State::Noise => Err(FrameError::Lost(Progress::Nothing)),
            State::Frames => Err(FrameError::Lost(Progress::Begun)),
            State::Ended(end) => Ok(Answer { helper: self.helper, sections: self.sections, end }),
        }
    }

    fn take(&mut self, piece: &[u8], ends: bool) -> Result<(), FrameError> {
        if let State::Noise = self.state {
            self.noise += piece.len() + 1;
            if self.noise > MOST_NOISE {
                return Err(FrameError::Noise);
            }
        } else if self.line.len() + piece.len() > LONGEST_LINE {
            return Err(FrameError::LongLine);
        }
        self.line.extend_from_slice(piece);
        if !ends {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        match self.state {
            State::Noise => self.noise_or_hello(&line),
            State::Frames => self.frame(&line),
            State::Ended(_) => Ok(()),
        }
    }

    /// The words after `@NONCE `, where the line is a frame of ours.
    fn words<'a>(&self, line: &'a [u8]) -> Option<&'a str> {
        let rest =
            line.strip_prefix(b"@")?.strip_prefix(self.nonce.as_str().as_bytes())?.strip_prefix(b" ")?;
        std::str::from_utf8(rest).ok()
    }

    fn noise_or_hello(&mut self, line: &[u8]) -> Result<(), FrameError> {
        let Some(words) = self.words(line) else { return Ok(()) };
        let unexpected = || FrameError::Unexpected(Untrusted::from_bytes(line));
        let mut words = words.split(' ');
        let (Some("hello"), Some(version), Some(hash), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(unexpected());
        };
        let version: u32 = version.parse().map_err(|_| unexpected())?;
        if version != crate::helper::VERSION {
            return Err(FrameError::Version(version));
        }
        self.helper = match hash {
            "-" => None,
            hash => Some(hash.parse().map_err(|_| unexpected())?),
        };
        self.state = State::Frames;
        Ok(())
    }

    fn frame(&mut self, line: &[u8]) -> Result<(), FrameError> {
        let unexpected = || FrameError::Unexpected(Untrusted::from_bytes(line));
        if let (Some(payload), Some(open)) = (line.strip_prefix(b"|"), &mut self.open) {
            self.taken += payload.len() + LINE_COST;
            if self.taken > LARGEST_ANSWER {
                return Err(FrameError::TooLarge);
            }
            open.lines.push(payload.to_vec());
            return Ok(());
        }
        let words = self.words(line).ok_or_else(unexpected)?;
        let (kind, rest) = words.split_once(' ').ok_or_else(unexpected)?;
        match (kind, self.open.take()) {
            ("begin", None) => {
                if !is_section_name(rest) {
                    return Err(unexpected());
                }
                if self.sections.len() == MOST_SECTIONS {
                    return Err(FrameError::TooLarge);
                }
                self.open = Some(Section { name: rest.to_owned(), lines: Vec::new(), status: 0 });
            }
            ("end", Some(mut section)) => {
                let (name, status) = rest.split_once(' ').ok_or_else(unexpected)?;
                if name != section.name {
                    return Err(unexpected());
                }
                section.status = status.parse().map_err(|_| unexpected())?;
                self.sections.push(section);
            }
            ("done", None) => {
                self.state = State::Ended(End::Done(rest.parse().map_err(|_| unexpected())?));
            }
            ("refuse", None) => {
                let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
                let code = RefusalCode::from_word(code).ok_or_else(unexpected)?;
                self.state = State::Ended(End::Refused(Refusal { code, words: Untrusted::new(words) }));
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}

fn is_section_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests;
