//! What is asked: commands of people and of rules, answers of effects, samples, and time passing.

use super::change::Rehearsal;
use super::event::{
    Actor, ApplyReport, Cause, EvidenceFile, Failure, HelperState, HoldScope, Inspected, LogEvent,
    PacketEvent, ProbeId, ProbeOutcome, Proof, Purpose, RollbackReport, Samples, Sighting, TakeOver, Timer,
    Vantage, VerifyReport,
};
use crate::facts::Domain;
use crate::plan::Plan;
use crate::types::{BatchId, BootId, HostName, PackageName, Seq, Span, Untrusted};

/// Something that somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Who.
    pub actor: Actor,
    /// What.
    pub intent: Intent,
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Begin the recording.
    Open {
        /// What for.
        purpose: Purpose,
        /// The plan.
        plan: Box<Plan>,
        /// The rehearsal it stands on.
        rehearsal: Option<Box<Rehearsal>>,
    },
    /// Pick the recording up after a crash or on another machine.
    Resume {
        /// How it came to this process.
        take_over: Option<Box<TakeOver>>,
    },
    /// Read a host's facts again; all hosts where none is named.
    Refresh {
        /// Which.
        host: Option<HostName>,
    },
    /// Start nothing new.
    Hold {
        /// How far.
        scope: HoldScope,
        /// Why.
        why: Untrusted,
    },
    /// Take a hold back.
    Release {
        /// How far.
        scope: HoldScope,
    },
    /// Start a batch: every gate must be clear or waived at this moment.
    Go {
        /// Which.
        batch: BatchId,
    },
    /// Pass a held gate, with a commitment.
    Waive {
        /// The gate's name.
        gate: String,
        /// For which batch.
        batch: BatchId,
        /// Why it is right to go on.
        reason: Untrusted,
        /// What will be watched.
        watch: Untrusted,
        /// How long it holds.
        lasts: Span,
    },
    /// Put a package off to the next window.
    Leave {
        /// On which host.
        host: HostName,
        /// Which package.
        package: PackageName,
    },
    /// Roll back.
    Rollback {
        /// How far.
        scope: RollbackScope,
        /// Why.
        why: Untrusted,
    },
    /// Try the staging of a batch again.
    Restage {
        /// Which.
        batch: BatchId,
    },
    /// Confirm a batch whose host has no probe that could say that its customers are served: a
    /// person's word.
    Confirm {
        /// Which.
        batch: BatchId,
    },
    /// Lengthen a batch's dead-man timer.
    Extend {
        /// Which.
        batch: BatchId,
        /// By how much.
        by: Span,
    },
    /// Keep what a line that is met would roll back.
    Keep {
        /// On which host.
        host: HostName,
        /// Why.
        reason: Untrusted,
    },
    /// An alarm was seen.
    Acknowledge {
        /// Which.
        cause: Cause,
    },
    /// Keep what a host is like now.
    Evidence {
        /// Which host.
        host: HostName,
    },
    /// Note this moment.
    Mark {
        /// The note.
        note: Untrusted,
    },
    /// End the recording.
    End,
}

/// How far a rollback reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackScope {
    /// Whatever is on a host and not confirmed; where there is nothing, the batch confirmed last.
    Unconfirmed,
    /// Everything of one host, confirmed work included.
    Host(HostName),
    /// Everything of the newest host, the one whose batch was applied last: a wave is one host here.
    Wave,
    /// Everything.
    All,
}

/// All that reaches the loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody wants something.
    Command(Command),
    /// An effect answers, once.
    Answer {
        /// The effect's id: the number of the event that started it.
        id: Seq,
        /// The answer.
        answer: Box<Answer>,
    },
    /// An effect reports on the way.
    Sample {
        /// The effect's id.
        id: Seq,
        /// What.
        sample: Box<Sample>,
    },
    /// Log lines and rows of packets of the last 100 ms.
    Samples(Samples),
    /// The connection to a host that is kept while nothing is asked there was lost, or stands again.
    Contact {
        /// Which host.
        host: HostName,
        /// How the loss was noticed; `None`: it stands again.
        lost: Option<Untrusted>,
    },
    /// Time passed.
    Tick,
    /// The clock jumped, or the machine slept, by that many milliseconds.
    ClockStepped(i64),
}

/// What an effect answers in the end.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Of a read: it ended, or why not.
    Read(Result<(), Failure>),
    /// Of staging.
    Staged(Result<Proof, Failure>),
    /// Of an apply.
    Applied(Result<ApplyReport, Failure>),
    /// Of a reboot: the new boot and how long it took.
    Rebooted(Result<(BootId, Span), Failure>),
    /// Of verifying, and how long it took.
    Verified(Result<VerifyReport, Failure>, Span),
    /// Of a rollback.
    RolledBack(Result<RollbackReport, Failure>),
    /// Of asking how a timer stands, or of lengthening it.
    Timer(Result<Timer, Failure>),
    /// Of confirming: how the timer stands then.
    Confirmed(Result<Timer, Failure>),
    /// Of an inspection that found no answer.
    Inspected(Inspected, Untrusted),
    /// Of asking for evidence: the file it is kept in.
    Evidence(Result<EvidenceFile, Failure>),
    /// Of probing: why it ended.
    WatchEnded(Untrusted),
    /// Of following logs: why it ended.
    LogsEnded(Untrusted),
    /// Of capturing: why it ended.
    CaptureEnded(Untrusted),
}

/// What an effect reports on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A host's helper.
    Greeted {
        /// Which host.
        host: HostName,
        /// Its helper.
        helper: HelperState,
    },
    /// One domain of a host's facts.
    Learnt {
        /// Which host.
        host: HostName,
        /// The facts.
        domain: Domain,
    },
    /// How a batch's timer stands.
    Timer {
        /// Of which batch.
        batch: BatchId,
        /// The timer.
        timer: Timer,
    },
    /// A host was lost.
    Lost {
        /// Which host.
        host: HostName,
        /// How it was noticed.
        why: Untrusted,
    },
    /// There is no session with a host, and that says nothing of whether it lives: it refuses or ends the connection,
    /// its name has no address, or what the way there goes through does not work.
    NoSession {
        /// Which host.
        host: HostName,
        /// How it was noticed.
        why: Untrusted,
    },
    /// A host is back.
    Back {
        /// Which host.
        host: HostName,
    },
    /// A probe's result.
    Seen {
        /// Which probe.
        probe: ProbeId,
        /// From where.
        vantage: Vantage,
        /// How it went.
        outcome: ProbeOutcome,
        /// What else was seen.
        sighting: Option<Box<Sighting>>,
    },
    /// A control's result.
    ControlSeen {
        /// Which control, by its place in the plan.
        index: u16,
        /// From where.
        vantage: Vantage,
        /// How it went.
        outcome: ProbeOutcome,
    },
    /// What a capture saw.
    Packet(Box<PacketEvent>),
    /// What is to be told of a host's logs beside their lines.
    Log(Box<LogEvent>),
}
