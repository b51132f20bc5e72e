//! A journal, read line by line with the chain checked: what is sound comes back, a torn end is
//! reported, and damage anywhere else is a loud stop. It reads bytes from anywhere and never panics,
//! whatever they are; memory is bounded by the longest line.

use std::io::{self, BufRead, Read};

use super::format::{self, Header, HeaderError, LINE_MAX, LineIn};
use super::upcast::{LIFTS, Lift};
use crate::core::Record;
use crate::core::event::Actor;
use crate::types::{Blake3, Epoch, Seq, Time, Untrusted};

/// A journal that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Its first line.
    pub header: Header,
    /// Its records, numbered from 1 without a gap.
    pub entries: Vec<Entry>,
    /// How it ended.
    pub end: End,
}

/// One record of a journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// One that this program understands.
    Known(Box<Record>),
    /// One that it does not: kept, marked on screen, never skipped in silence.
    Unknown(Unknown),
}

impl Entry {
    /// Its number.
    pub fn seq(&self) -> Seq {
        match self {
            Self::Known(record) => record.seq,
            Self::Unknown(unknown) => unknown.seq,
        }
    }

    /// When it was decided.
    pub fn at(&self) -> Time {
        match self {
            Self::Known(record) => record.at,
            Self::Unknown(unknown) => unknown.at,
        }
    }
}

/// A record of an event that this program does not know: a newer one wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its number.
    pub seq: Seq,
    /// When it was decided.
    pub at: Time,
    /// Who caused it.
    pub actor: Actor,
    /// The process that wrote it.
    pub session: String,
    /// The epoch that process held.
    pub epoch: Epoch,
    /// The event's group.
    pub group: Untrusted,
    /// The version of the group's type.
    pub version: u32,
    /// The event's word within its group, where it has one.
    pub word: Option<Untrusted>,
    /// The version of the program that wrote it.
    pub program: Untrusted,
}

/// How a journal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a whole line.
    Whole,
    /// With a line that was not written to its end, which is left out.
    Torn(Torn),
    /// With damage, and what stands after it is left out: only [`read_sound`] ends so.
    Damaged(Damage),
}

/// A last line that was not written to its end. No effect had waited for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the last line of the journal (line {line}, byte {offset}) is torn: {why}; its {bytes} bytes are left out"
)]
pub struct Torn {
    /// Where it begins, in bytes from the start.
    pub offset: u64,
    /// Which line it is, from 1.
    pub line: u64,
    /// How many bytes of it are there.
    pub bytes: u64,
    /// How it shows.
    pub why: &'static str,
}

/// A line that is not what was written, with more after it, or one that does not belong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal is damaged at line {line} (byte {offset}): {why}. The {sound} records before it are sound: \
     bring the file back from a copy, or go on with those alone"
)]
pub struct Damage {
    /// Where the line begins, in bytes from the start.
    pub offset: u64,
    /// Which line it is, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
    /// How many records before it are sound.
    pub sound: Seq,
}

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("reading the journal failed at byte {offset}: {source}")]
    Io {
        /// How far it was read.
        offset: u64,
        /// The error.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("the journal is empty: the recording was cut off before anything was written")]
    Empty,
    /// It ends within its first line.
    #[error("the journal ends within its first line: the recording was cut off before anything happened")]
    NoHeader,
    /// It is something else.
    #[error("this is not a journal of holdpoint: {0}")]
    NotAJournal(String),
    /// It is of a format that this program can't read.
    #[error(
        "the journal is of format {format}, and this program reads up to {}: use holdpoint {} or newer",
        format::FORMAT, .program.as_ref().map_or("of that format".to_owned(), Untrusted::shown)
    )]
    Newer {
        /// Its format.
        format: u32,
        /// The version of the program that made it, where it says so.
        program: Option<Untrusted>,
    },
    /// It is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Events that this program does not know stand in the way of going on with a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} of the journal's records are of events that this program does not know, the first is record {} ({} \
     version {}): use holdpoint {} or newer; it can still be replayed",
    .first.seq, .first.group.shown(), .first.version, .program.shown()
)]
pub struct UnknownEvents {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: Box<Unknown>,
    /// The version of the program that wrote the last of them.
    pub program: Untrusted,
}

impl Journal {
    /// The records that this program understands; a replay marks the others.
    pub fn known(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Known(record) => Some(&**record),
            Entry::Unknown(_) => None,
        })
    }

    /// All records, for going on with the window.
    ///
    /// # Errors
    /// Where there is one that this program does not know: a state without it would be wrong.
    pub fn into_records(self) -> Result<Vec<Record>, UnknownEvents> {
        let mut records = Vec::with_capacity(self.entries.len());
        let mut unknown: Vec<Unknown> = Vec::new();
        for entry in self.entries {
            match entry {
                Entry::Known(record) => records.push(*record),
                Entry::Unknown(entry) => unknown.push(entry),
            }
        }
        let count = unknown.len();
        let Some(program) = unknown.last().map(|last| last.program.clone()) else { return Ok(records) };
        match unknown.into_iter().next() {
            Some(first) => Err(UnknownEvents { count, first: Box::new(first), program }),
            None => Ok(records),
        }
    }
}

/// Where a journal stands: what the next line follows.
#[derive(Clone)]
pub(super) struct Head {
    /// The number of the last record.
    pub last: Seq,
    /// The hash of the last line.
    pub prev: Blake3,
    /// The length of all whole lines, in bytes.
    pub offset: u64,
    /// The hash of all of them so far.
    pub bytes: blake3::Hasher,
}

impl Head {
    /// Before the first line.
    pub(super) fn start() -> Self {
        Self { last: 0, prev: Blake3::of(b""), offset: 0, bytes: blake3::Hasher::new() }
    }

    /// Takes a whole line in, given without its newline.
    pub(super) fn take(&mut self, line: &[u8]) {
        self.prev = Blake3::of(line);
        self.offset += line.len() as u64 + 1;
        self.bytes.update(line).update(b"\n");
    }
}

/// Reads a journal to its end.
///
/// # Errors
/// Where it can't be read, is no journal, or is damaged; a torn end is no error.
pub fn read(input: impl BufRead) -> Result<Journal, ReadError> {
    let journal = read_sound(input)?;
    match journal.end {
        End::Damaged(damage) => Err(damage.into()),
        End::Whole | End::Torn(_) => Ok(journal),
    }
}

/// Reads the longest sound beginning of a journal; damage is how it ends.
///
/// # Errors
/// Where it can't be read or is no journal.
pub fn read_sound(input: impl BufRead) -> Result<Journal, ReadError> {
    Ok(Reader::new(input)?.into_whole()?.0)
}

/// Reads a journal entry by entry: for those that stop early, or keep nothing.
pub struct Reader<R> {
    input: R,
    lifts: &'static [Lift],
    header: Header,
    program: Untrusted,
    head: Head,
    line: u64,
    torn: Option<Torn>,
    over: bool,
    buffer: Vec<u8>,
}

/// What stands where a line is expected.
enum Next {
    /// A whole line, in the buffer without its newline.
    Line,
    /// Bytes without a newline, and then the end.
    Part,
    /// More bytes than a line may have.
    TooLong,
    /// The end.
    End,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Where there is none that this program can read.
    pub fn new(input: R) -> Result<Self, ReadError> {
        Self::lifting(input, LIFTS)
    }

    fn lifting(mut input: R, lifts: &'static [Lift]) -> Result<Self, ReadError> {
        let mut buffer = Vec::new();
        let next =
            next_line(&mut input, &mut buffer).map_err(|source| ReadError::Io { offset: 0, source })?;
        let start = &buffer[..buffer.len().min(format::BEGINNING.len())];
        match next {
            Next::End => return Err(ReadError::Empty),
            Next::Part if format::BEGINNING.starts_with(start) => return Err(ReadError::NoHeader),
            Next::Line => {}
            Next::Part | Next::TooLong => {
                return Err(ReadError::NotAJournal("its first line is no header".to_owned()));
            }
        }
        let header = Header::read(&buffer).map_err(|error| match error {
            HeaderError::Newer { format, program } => ReadError::Newer { format, program },
            HeaderError::Not(why) => ReadError::NotAJournal(why),
        })?;
        let mut head = Head::start();
        head.take(&buffer);
        let program = header.program.clone();
        Ok(Self { input, lifts, header, program, head, line: 1, torn: None, over: false, buffer })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The torn end, once that was reached.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Reads the rest, up to the end or the first damage.
    pub(super) fn into_whole(mut self) -> Result<(Journal, Head), ReadError> {
        let mut entries = Vec::new();
        let damage = loop {
            match self.next() {
                Some(Ok(entry)) => entries.push(entry),
                Some(Err(ReadError::Damaged(damage))) => break Some(damage),
                Some(Err(error)) => return Err(error),
                None => break None,
            }
        };
        let end = match (damage, self.torn) {
            (Some(damage), _) => End::Damaged(damage),
            (None, Some(torn)) => End::Torn(torn),
            (None, None) => End::Whole,
        };
        Ok((Journal { header: self.header, entries, end }, self.head))
    }

    fn step(&mut self) -> Result<Option<Entry>, ReadError> {
        let offset = self.head.offset;
        let io = |source| ReadError::Io { offset, source };
        let next = next_line(&mut self.input, &mut self.buffer).map_err(io)?;
        self.line += 1;
        match next {
            Next::End => return Ok(None),
            Next::Part => {
                self.tear(self.buffer.len() as u64, "it has no newline");
                return Ok(None);
            }
            Next::TooLong => {
                return Err(self.damage(format!("it is longer than {LINE_MAX} bytes")).into());
            }
            Next::Line => {}
        }
        if !format::is_sound(&self.buffer) {
            // At the very end this is a write that did not come to its end; with more after it, it
            // is damage.
            if self.input.fill_buf().map_err(io)?.is_empty() {
                self.tear(self.buffer.len() as u64 + 1, "its sum does not match");
                return Ok(None);
            }
            return Err(self.damage("its sum does not match".to_owned()).into());
        }
        let entry = self.entry().map_err(|why| self.damage(why))?;
        self.head.last = entry.seq();
        self.head.take(&self.buffer);
        Ok(Some(entry))
    }

    /// The entry that the buffer holds; the error says what is wrong with it.
    fn entry(&mut self) -> Result<Entry, String> {
        let line: LineIn = serde_json::from_slice(&self.buffer).map_err(|error| error.to_string())?;
        if line.prev != self.head.prev {
            return Err("the chain breaks: it does not follow the line before it".to_owned());
        }
        if Some(line.seq) != self.head.last.checked_add(1) {
            return Err(format!("record {} can't follow record {}", line.seq, self.head.last));
        }
        if let Some(program) = line.event.program() {
            self.program = program;
        }
        let LineIn { seq, at, actor, session, epoch, event, .. } = line;
        Ok(match event.read(self.lifts)? {
            Some(event) => Entry::Known(Box::new(Record { seq, at, actor, session, epoch, event })),
            None => Entry::Unknown(Unknown {
                seq,
                at,
                actor,
                session,
                epoch,
                word: event.word(),
                version: event.v,
                group: event.group,
                program: self.program.clone(),
            }),
        })
    }

    fn tear(&mut self, bytes: u64, why: &'static str) {
        self.torn = Some(Torn { offset: self.head.offset, line: self.line, bytes, why });
    }

    fn damage(&self, why: String) -> Damage {
        Damage { offset: self.head.offset, line: self.line, why, sound: self.head.last }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// Reads up to the next newline, and never more than the longest line.
fn next_line(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Next> {
    buffer.clear();
    let read = input.take(LINE_MAX as u64 + 1).read_until(b'\n', buffer)?;
    Ok(match buffer.last() {
        None => Next::End,
        Some(b'\n') => {
            buffer.pop();
            Next::Line
        }
        Some(_) if read > LINE_MAX => Next::TooLong,
        Some(_) => Next::Part,
    })
}

#[cfg(test)]
mod tests;
