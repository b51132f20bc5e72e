//! One line of a journal, written and read: the header, the records, the hashes that hold them
//! together. It knows no file and no order; those are in `read` and `file`.
//!
//! A line is a JSON object. Its last field `sum` is the BLAKE3 of every byte of the line before
//! `,"sum":`, so a line shows by itself that it is as it was written; its field `prev` is the
//! BLAKE3 of the whole line before it (without the newline), so no line can be changed, left out
//! or put elsewhere without the next one telling. The last line has no next one: the sum is what
//! covers it.
//!
//! When a version must rise: a new event word in a group needs no new version (a reader that does
//! not know it says so); any other change of what a group's type writes does, with a step in
//! `upcast` for what was written before. A change of the line itself raises [`FORMAT`].

use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize, Serializer, de, ser::SerializeStruct};
use serde_json::value::RawValue;

use super::Refused;
use super::upcast::{self, Lift};
use crate::core::event::{
    Actor, AlarmEvent, BatchEvent, Event, EvidenceEvent, GateEvent, HostEvent, LogEvent, PacketEvent,
    ProbeEvent, Record, RehearsalEvent, Samples, WindowEvent,
};
use crate::types::{Blake3, Epoch, Seq, Time, Untrusted};

/// The version of the journal's lines that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The longest line that is written or read, in bytes: bounded before memory is taken, and room for
/// the facts of a host with tens of thousands of packages.
pub const LINE_MAX: usize = 16 << 20;

/// What stands before the format's version in a header.
const NAME: &str = "holdpoint.journal/";
/// How every journal begins.
pub(super) const BEGINNING: &[u8] = b"{\"format\":\"holdpoint.journal/";
const SUM: &[u8] = b",\"sum\":\"";
/// `,"sum":"` and 64 digits and `"}`.
const SEAL: usize = SUM.len() + 64 + 2;

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of the program that made it.
    pub program: Untrusted,
    /// When it was made.
    pub created: Time,
    /// The recording's own id: a random word.
    pub recording: Untrusted,
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    format: String,
    program: &'a Untrusted,
    created: Time,
    recording: &'a Untrusted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderIn {
    #[serde(rename = "format")]
    _format: String,
    program: Untrusted,
    created: Time,
    recording: Untrusted,
    #[serde(rename = "sum")]
    _sum: Blake3,
}

/// The part of a header that is the same in every format, also in those to come.
#[derive(Deserialize)]
struct AnyHeader {
    format: String,
    program: Option<Untrusted>,
}

/// Why a first line is no header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// It is one of a format that this program can't read.
    Newer { format: u32, program: Option<Untrusted> },
    /// It is none, or a broken one.
    Not(String),
}

impl Header {
    /// The line, without its newline.
    pub(super) fn line(&self) -> Result<String, Refused> {
        let Self { program, created, recording } = self;
        let format = format!("{NAME}{FORMAT}");
        seal(&HeaderOut { format, program, created: *created, recording }, 0)
    }

    /// Reads a line without its newline.
    pub(super) fn read(line: &[u8]) -> Result<Self, HeaderError> {
        let not = |why: String| HeaderError::Not(why);
        let any: AnyHeader = serde_json::from_slice(line).map_err(|e| not(format!("its first line: {e}")))?;
        let format = any.format.strip_prefix(NAME).and_then(|version| version.parse::<u32>().ok());
        match format {
            Some(format) if format > FORMAT => {
                return Err(HeaderError::Newer { format, program: any.program });
            }
            Some(FORMAT) => {}
            Some(_) | None => {
                return Err(not(format!(
                    "its first line calls itself {}",
                    Untrusted::new(any.format).shown()
                )));
            }
        }
        if !is_sound(line) {
            return Err(not("the sum of its first line does not match".to_owned()));
        }
        let header: HeaderIn =
            serde_json::from_slice(line).map_err(|e| not(format!("its first line: {e}")))?;
        Ok(Self { program: header.program, created: header.created, recording: header.recording })
    }
}

#[derive(Serialize)]
struct LineOut<'a> {
    seq: Seq,
    at: Time,
    actor: &'a Actor,
    session: &'a str,
    epoch: Epoch,
    prev: Blake3,
    event: EventOut<'a>,
}

struct EventOut<'a>(&'a Event);

impl Serialize for EventOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("event", 3)?;
        out.serialize_field("group", Group::of(self.0).word())?;
        out.serialize_field("v", &self.0.version())?;
        match self.0 {
            Event::Window(data) => out.serialize_field("data", data)?,
            Event::Host(data) => out.serialize_field("data", data)?,
            Event::Batch(data) => out.serialize_field("data", data)?,
            Event::Gate(data) => out.serialize_field("data", data)?,
            Event::Probe(data) => out.serialize_field("data", data)?,
            Event::Packet(data) => out.serialize_field("data", data)?,
            Event::Log(data) => out.serialize_field("data", data)?,
            Event::Alarm(data) => out.serialize_field("data", data)?,
            Event::Evidence(data) => out.serialize_field("data", data)?,
            Event::Rehearsal(data) => out.serialize_field("data", data)?,
            Event::Samples(data) => out.serialize_field("data", data)?,
        }
        out.end()
    }
}

/// The line of a record, without its newline. `prev` is the hash of the line before it.
pub(super) fn write(record: &Record, prev: Blake3) -> Result<String, Refused> {
    let Record { seq, at, actor, session, epoch, event } = record;
    let line = LineOut { seq: *seq, at: *at, actor, session, epoch: *epoch, prev, event: EventOut(event) };
    seal(&line, *seq)
}

/// Writes an object so that showing it is harmless, and ends it with the sum of what it says.
fn seal(object: &impl Serialize, seq: Seq) -> Result<String, Refused> {
    let written =
        serde_json::to_string(object).map_err(|error| Refused::Unwritable { seq, why: error.to_string() })?;
    let mut line = Untrusted::json(&written);
    line.pop();
    let sum = Blake3::of(line.as_bytes());
    line.push_str(&format!(",\"sum\":\"{sum}\"}}"));
    if line.len() > LINE_MAX {
        return Err(Refused::TooLong { seq, bytes: line.len(), most: LINE_MAX });
    }
    Ok(line)
}

/// Whether a line, without its newline, is as it was written.
pub(super) fn is_sound(line: &[u8]) -> bool {
    let Some(at) = line.len().checked_sub(SEAL) else { return false };
    let (body, seal) = line.split_at(at);
    let sum = Blake3::of(body).to_string();
    seal.strip_prefix(SUM).and_then(|rest| rest.strip_suffix(b"\"}")) == Some(sum.as_bytes())
}

/// A record's line, as read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineIn<'a> {
    pub seq: Seq,
    pub at: Time,
    pub actor: Actor,
    pub session: String,
    pub epoch: Epoch,
    pub prev: Blake3,
    #[serde(borrow)]
    pub event: EventIn<'a>,
    #[serde(rename = "sum")]
    _sum: Blake3,
}

/// An event as written: what its data mean depends on group and version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventIn<'a> {
    pub group: Untrusted,
    pub v: u32,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl EventIn<'_> {
    /// The event; `None` where this program does not know the group, the version or the event's
    /// word. An error is an event that says it is known and then does not fit.
    pub(super) fn read(&self, lifts: &[Lift]) -> Result<Option<Event>, String> {
        let Some(group) = Group::named(self.group.raw()) else { return Ok(None) };
        let written;
        let data = match self.v.cmp(&group.version()) {
            std::cmp::Ordering::Greater => return Ok(None),
            std::cmp::Ordering::Equal => self.data.get(),
            std::cmp::Ordering::Less => {
                written = upcast::lift(lifts, group.word(), self.v, group.version(), self.data.get())?;
                &written
            }
        };
        match group.read(data) {
            Ok(event) => Ok(Some(event)),
            Err(_) if self.word().is_some_and(|word| !group.knows(word.raw())) => Ok(None),
            Err(error) => Err(format!("event {} version {}: {error}", group.word(), self.v)),
        }
    }

    /// The event's word within its group, where it has one.
    pub(super) fn word(&self) -> Option<Untrusted> {
        #[derive(Deserialize)]
        struct Word {
            event: Untrusted,
        }
        serde_json::from_str::<Word>(self.data.get()).ok().map(|word| word.event)
    }

    /// The version of the program that writes from here on, where the event tells it.
    pub(super) fn program(&self) -> Option<Untrusted> {
        #[derive(Deserialize)]
        struct Program {
            program: Untrusted,
        }
        if self.group.raw() != Group::Window.word() {
            return None;
        }
        serde_json::from_str::<Program>(self.data.get()).ok().map(|program| program.program)
    }
}

/// The groups of events that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Window,
    Host,
    Batch,
    Gate,
    Probe,
    Packet,
    Alarm,
    Evidence,
    Log,
    Rehearsal,
    Samples,
}

impl Group {
    const ALL: [Self; 11] = [
        Self::Window,
        Self::Host,
        Self::Batch,
        Self::Gate,
        Self::Probe,
        Self::Packet,
        Self::Log,
        Self::Alarm,
        Self::Evidence,
        Self::Rehearsal,
        Self::Samples,
    ];

    fn of(event: &Event) -> Self {
        match event {
            Event::Window(_) => Self::Window,
            Event::Host(_) => Self::Host,
            Event::Batch(_) => Self::Batch,
            Event::Gate(_) => Self::Gate,
            Event::Probe(_) => Self::Probe,
            Event::Packet(_) => Self::Packet,
            Event::Log(_) => Self::Log,
            Event::Alarm(_) => Self::Alarm,
            Event::Evidence(_) => Self::Evidence,
            Event::Rehearsal(_) => Self::Rehearsal,
            Event::Samples(_) => Self::Samples,
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Host => "host",
            Self::Batch => "batch",
            Self::Gate => "gate",
            Self::Probe => "probe",
            Self::Packet => "packet",
            Self::Log => "log",
            Self::Alarm => "alarm",
            Self::Evidence => "evidence",
            Self::Rehearsal => "rehearsal",
            Self::Samples => "samples",
        }
    }

    /// The version that this program writes: the same as [`Event::version`], which a test holds.
    fn version(self) -> u32 {
        match self {
            Self::Window
            | Self::Host
            | Self::Batch
            | Self::Gate
            | Self::Probe
            | Self::Packet
            | Self::Log
            | Self::Alarm
            | Self::Evidence
            | Self::Rehearsal
            | Self::Samples => 1,
        }
    }

    fn read(self, data: &str) -> serde_json::Result<Event> {
        Ok(match self {
            Self::Window => Event::Window(serde_json::from_str(data)?),
            Self::Host => Event::Host(serde_json::from_str(data)?),
            Self::Batch => Event::Batch(serde_json::from_str(data)?),
            Self::Gate => Event::Gate(serde_json::from_str(data)?),
            Self::Probe => Event::Probe(serde_json::from_str(data)?),
            Self::Packet => Event::Packet(serde_json::from_str(data)?),
            Self::Log => Event::Log(serde_json::from_str(data)?),
            Self::Alarm => Event::Alarm(serde_json::from_str(data)?),
            Self::Evidence => Event::Evidence(serde_json::from_str(data)?),
            Self::Rehearsal => Event::Rehearsal(serde_json::from_str(data)?),
            Self::Samples => Event::Samples(serde_json::from_str(data)?),
        })
    }

    /// Whether the group has an event of that word.
    fn knows(self, word: &str) -> bool {
        match self {
            Self::Window => has_word::<WindowEvent>(word),
            Self::Host => has_word::<HostEvent>(word),
            Self::Batch => has_word::<BatchEvent>(word),
            Self::Gate => has_word::<GateEvent>(word),
            Self::Probe => has_word::<ProbeEvent>(word),
            Self::Packet => has_word::<PacketEvent>(word),
            Self::Log => has_word::<LogEvent>(word),
            Self::Alarm => has_word::<AlarmEvent>(word),
            Self::Evidence => has_word::<EvidenceEvent>(word),
            Self::Rehearsal => has_word::<RehearsalEvent>(word),
            // One shape, without a word.
            Self::Samples => has_word::<Samples>(word),
        }
    }
}

/// Asks the type itself whether it has a variant of that word, so that no second list of words can
/// part from the first: only an unknown variant answers with [`WordError::Unknown`].
fn has_word<'de, T: Deserialize<'de>>(word: &'de str) -> bool {
    let fields = MapDeserializer::<_, WordError>::new(std::iter::once(("event", word)));
    !matches!(T::deserialize(fields), Err(WordError::Unknown))
}

#[derive(Debug, thiserror::Error)]
enum WordError {
    #[error("unknown event")]
    Unknown,
    #[error("something else")]
    Other,
}

impl de::Error for WordError {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self::Other
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }
}
