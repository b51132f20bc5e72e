//! What happened: the only thing that is written down, and the only thing that changes state.
//!
//! Events are grouped; each group is a file with its type and what it does to the state. In a
//! journal an event is adjacently tagged with its group and the version of that group's type, so
//! that a reader can tell "unknown" from "broken".

mod alarm;
mod batch;
mod evidence;
mod gate;
mod host;
mod log;
mod packet;
mod probe;
mod rehearsal;
mod report;
mod row;
mod samples;
mod takeover;
mod timer;
mod window;

use serde::{Deserialize, Serialize};

pub use alarm::{AlarmEvent, Cause, Line};
pub use batch::BatchEvent;
pub use evidence::{EvidenceEvent, EvidenceFile};
pub use gate::GateEvent;
pub use host::{HelperState, HostEvent};
pub use log::LogEvent;
pub use packet::{Flow, PacketEvent, Tally, Whole};
pub use probe::{Certificate, FailKind, Phases, ProbeEvent, ProbeId, ProbeOutcome, Sighting, Vantage};
pub use rehearsal::RehearsalEvent;
pub use report::{
    ApplyReport, Check, Identity, Inspected, KernelBack, Origin, Pinned, Proof, ProofFile, RollbackReport,
    Snapshot, SnapshotKind, SnapshotLeft, Source, Taking, Tools, VerifyReport,
};
pub use row::{IcmpError, PacketRow, Quoted, Seen, TcpFlags, Way, What};
pub use samples::{LogLine, LogSource, Samples};
pub use takeover::{Before, TakeOver, TakeOverWord};
pub use timer::{Arming, Timer, TimerState, TimerWatch};
pub use window::{HoldScope, Outcome, Purpose, WindowEvent};

use crate::types::{Epoch, PersonName, Seq, Time, Untrusted};

/// One committed event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1.
    pub seq: Seq,
    /// When it was decided.
    pub at: Time,
    /// Who caused it.
    pub actor: Actor,
    /// The process that wrote it: a random word, new for each start.
    pub session: String,
    /// The epoch that process held.
    pub epoch: Epoch,
    /// What happened.
    pub event: Event,
}

/// Who caused something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person, by the name of their login or of the plan.
    Person(PersonName),
    /// holdpoint itself, by a rule of the plan or of its own.
    Holdpoint,
}

/// Something that happened, by group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "group", content = "data", rename_all = "kebab-case")]
pub enum Event {
    /// The window as a whole.
    Window(WindowEvent),
    /// One host: reading it, losing it.
    Host(HostEvent),
    /// One batch, from plan to confirm or rollback.
    Batch(BatchEvent),
    /// A decision about a gate.
    Gate(GateEvent),
    /// A probe and its results.
    Probe(ProbeEvent),
    /// What captures on hosts saw.
    Packet(PacketEvent),
    /// Hosts' logs as they grow.
    Log(LogEvent),
    /// Alarms, and lines at which something is rolled back by itself.
    Alarm(AlarmEvent),
    /// What hosts were like at a moment.
    Evidence(EvidenceEvent),
    /// The rehearsal's own milestones.
    Rehearsal(RehearsalEvent),
    /// Log lines and the like, as recorded.
    Samples(Samples),
}

impl Event {
    /// The version of the group's type that this program writes.
    pub fn version(&self) -> u32 {
        match self {
            Self::Window(_)
            | Self::Host(_)
            | Self::Batch(_)
            | Self::Gate(_)
            | Self::Probe(_)
            | Self::Packet(_)
            | Self::Log(_)
            | Self::Alarm(_)
            | Self::Evidence(_)
            | Self::Rehearsal(_)
            | Self::Samples(_) => 1,
        }
    }
}

/// Why something that was tried did not come off: stored in the journal, so never a type of the
/// library that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What was tried, on what, and what to do next.
    pub what: Untrusted,
}

/// Kinds of failure that decide what may be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It can't be reached now, and nothing of it answers; trying again may help.
    Unreachable,
    /// No session, and that says nothing of whether it lives: it refuses or ends the connection, its name has no
    /// address, what the way goes through does not work; trying again may help.
    NoSession,
    /// Its host key is unknown, changed or revoked: a hard stop.
    HostKey,
    /// Login was refused.
    Login,
    /// The helper is not installed, too old, or sudo refused it.
    NotEnrolled,
    /// The host refused the verb, with a reason.
    Refused,
    /// Something else is at work there; trying again may help.
    Busy,
    /// What came back could not be read.
    Malformed,
    /// The work ran on the host and failed there.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// This machine could not do its part.
    Local,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: FailureKind, what: impl AsRef<str>) -> Self {
        Self { kind, what: Untrusted::new(what) }
    }
}
