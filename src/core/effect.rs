//! What is to be done outside, as data. An effect is known by the number of the event that started
//! it, starts when that event is durable, and answers once.

use std::net::IpAddr;

use super::change::Change;
use super::event::{
    Arming, BatchEvent, Event, EvidenceEvent, FailureKind, HostEvent, LogEvent, PacketEvent, ProbeEvent,
    Purpose, Record,
};
use super::state::{Host, Reach, State, Work};
use super::tasks::{self, ProbeTask};
use super::{fence, rules};
use crate::plan::{Probe, ProbeTarget, SnapshotArchive, VantageKind};
use crate::types::{BatchId, Blake3, BootId, Epoch, HostName, Nonce, OperationId, Seq, Span};

/// An effect with its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The number of the event that started it.
    pub id: Seq,
    /// What is to be done.
    pub effect: Effect,
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Connect where needed, greet the helper, read all facts.
    Read {
        /// Which host.
        host: HostName,
        /// The epoch to take an enrolled host for, where this process is to change it: whoever holds
        /// a lower one is refused there from then on.
        claim: Option<Epoch>,
    },
    /// Store and hash a batch's packages on the host, simulate both ways.
    Stage(OnHost, Vec<Change>, Supply),
    /// Arm a staged batch's timer, read it back, apply the batch, and set the timer anew.
    Apply(OnHost, Option<Arming>),
    /// Reboot, and wait until the host is back with another boot id.
    Reboot {
        /// Where.
        on: OnHost,
        /// The boot that ends.
        was: BootId,
        /// Whether it is the way back of a reboot.
        after_rollback: bool,
    },
    /// Verify a batch and read the facts again.
    Verify {
        /// Where.
        on: OnHost,
        /// Whether after a rollback.
        after_rollback: bool,
        /// What was to change.
        changes: Vec<Change>,
    },
    /// Roll a batch back; whether a rehearsal does it by design, so that nothing is pinned out.
    Rollback(OnHost, bool),
    /// Ask how a batch's timer stands, or lengthen it.
    Timer {
        /// Where.
        on: OnHost,
        /// The word it was armed with.
        token: Nonce,
        /// By how much longer.
        extend: Option<Span>,
    },
    /// Make a fresh connection, then tell a batch's timer that it is confirmed.
    Confirm {
        /// Where.
        on: OnHost,
        /// What it was armed with.
        arming: Arming,
    },
    /// After a crash: find out what became of the work, and answer as it would have.
    Inspect {
        /// Where.
        on: OnHost,
        /// What was under way.
        work: Work,
        /// For a reboot: the boot that was to end.
        was: Option<BootId>,
        /// What was to change.
        changes: Vec<Change>,
        /// What its timer was armed with.
        arming: Option<Arming>,
        /// Where its package files can be had.
        supply: Supply,
    },
    /// Follow a host's logs until told otherwise; a host that is away is tried again.
    Follow {
        /// On which host.
        host: HostName,
        /// The log files of the plan, by path.
        files: Vec<String>,
    },
    /// Capture the packets of a host's customers until told otherwise; a host that is away is tried again.
    Capture {
        /// On which host.
        host: HostName,
        /// The customers' addresses, each once.
        addresses: Vec<IpAddr>,
    },
    /// Ask a host what it is like, and keep that in the recording.
    Evidence {
        /// Which host.
        host: HostName,
    },
    /// Make these probes until told otherwise.
    Probe {
        /// The probes.
        probes: Vec<ProbeTask>,
        /// The plan's file of certificates beside the system's roots.
        tls_ca: Option<String>,
    },
}

/// Where a batch's work is done, and under which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnHost {
    /// The host.
    pub host: HostName,
    /// The batch.
    pub batch: BatchId,
    /// The operation on the host.
    pub operation: OperationId,
    /// The epoch that this cockpit holds.
    pub epoch: Epoch,
}

/// What a stage goes by beside the changes: where package files can be had beyond a host's own archive and
/// cache, and what the plan asks of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Supply {
    /// Hosts of the plan that answer and have a helper, in the order in which they are asked.
    pub peers: Vec<HostName>,
    /// The plan's snapshot archive.
    pub snapshot: Option<SnapshotArchive>,
    /// Whether the plan asks for a snapshot of the root file system before the first change.
    pub root_snapshot: bool,
}

impl Supply {
    /// Whether there is nowhere else to ask for files.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.snapshot.is_none()
    }
}

/// The baseline first: it holds what was rehearsed.
fn supply(state: &State, host: &HostName) -> Supply {
    let helps = |other: &&std::sync::Arc<Host>| {
        other.name != *host
            // After a crash none has been heard yet: who does not answer is passed over.
            && !matches!(other.reach, Reach::Down { .. })
            && other.helper.as_ref().is_some_and(|helper| helper.enrolled)
    };
    let mut peers: Vec<_> = state.hosts.values().filter(helps).collect();
    peers.sort_by_key(|other| !other.baseline);
    let template = state.plan.as_ref().and_then(|plan| plan.policy.snapshot_archive.as_deref());
    Supply {
        peers: peers.into_iter().map(|other| other.name.clone()).collect(),
        // Checked when the plan was read; a journal of an older version may hold another.
        snapshot: template.and_then(|template| SnapshotArchive::parse(template).ok()),
        root_snapshot: state.plan.as_ref().is_some_and(|plan| plan.policy.snapshots),
    }
}

impl Effect {
    /// On which host; `None` for probing.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::Read { host, .. } | Self::Follow { host, .. } => Some(host),
            Self::Capture { host, .. } | Self::Evidence { host } => Some(host),
            Self::Stage(on, _, _) | Self::Apply(on, _) | Self::Rollback(on, _) => Some(&on.host),
            Self::Reboot { on, .. } | Self::Verify { on, .. } | Self::Inspect { on, .. } => Some(&on.host),
            Self::Timer { on, .. } | Self::Confirm { on, .. } => Some(&on.host),
            Self::Probe { .. } => None,
        }
    }

    /// Where package files can be had, where it stages some.
    pub fn supply(&self) -> Option<&Supply> {
        match self {
            Self::Stage(_, _, supply) | Self::Inspect { supply, .. } => Some(supply),
            Self::Read { .. }
            | Self::Apply(..)
            | Self::Rollback(..)
            | Self::Reboot { .. }
            | Self::Verify { .. }
            | Self::Timer { .. }
            | Self::Confirm { .. }
            | Self::Follow { .. }
            | Self::Capture { .. }
            | Self::Evidence { .. }
            | Self::Probe { .. } => None,
        }
    }

    /// Whether it takes part in a rollback: it passes every queue, and starts without a journal
    /// after a wait.
    pub fn urgent(&self) -> bool {
        match self {
            // These only read, and a rollback may wait for what they find.
            Self::Inspect { .. } | Self::Evidence { .. } => true,
            Self::Rollback(..) => true,
            Self::Verify { after_rollback, .. } | Self::Reboot { after_rollback, .. } => *after_rollback,
            Self::Read { .. } | Self::Stage(..) | Self::Apply(..) | Self::Probe { .. } => false,
            Self::Timer { .. } | Self::Confirm { .. } | Self::Follow { .. } => false,
            Self::Capture { .. } => false,
        }
    }
}

/// The effect that a committed record starts, if it starts one: it follows from the record and the
/// state just after it, so no effect can exist without its event.
pub fn of(state: &State, record: &Record) -> Option<Started> {
    let effect = match &record.event {
        Event::Host(HostEvent::ReadStarted { host }) => {
            // A host that another cockpit is known to hold is watched, and not claimed back.
            let claims = state.purpose.is_some_and(Purpose::takes_hosts) && fence::of(state, host).is_none();
            Effect::Read { host: host.clone(), claim: claims.then_some(record.epoch) }
        }
        Event::Batch(event) => of_batch(state, record, event)?,
        Event::Probe(ProbeEvent::WatchStarted) => {
            let plan = state.plan.as_ref()?;
            Effect::Probe { probes: tasks::tasks(state), tls_ca: plan.tls_ca.clone() }
        }
        Event::Log(LogEvent::FollowStarted { host }) => {
            let files = state.plan.iter().flat_map(|plan| &plan.hosts).find(|one| one.name == *host);
            Effect::Follow {
                host: host.clone(),
                files: files.map_or_else(Vec::new, |host| host.logs.clone()),
            }
        }
        Event::Packet(PacketEvent::Started { host }) => {
            Effect::Capture { host: host.clone(), addresses: rules::captured(state, host) }
        }
        Event::Evidence(EvidenceEvent::Started { host, .. }) => Effect::Evidence { host: host.clone() },
        Event::Host(_)
        | Event::Probe(_)
        | Event::Packet(_)
        | Event::Log(_)
        | Event::Alarm(_)
        | Event::Evidence(EvidenceEvent::Saved { .. })
        | Event::Window(_)
        | Event::Gate(_)
        | Event::Rehearsal(_)
        | Event::Samples(_) => {
            return None;
        }
    };
    Some(Started { id: record.seq, effect })
}

fn of_batch(state: &State, record: &Record, event: &BatchEvent) -> Option<Effect> {
    let batch = state.batches.get(event.batch())?;
    let on = |operation: OperationId| OnHost {
        host: batch.host.clone(),
        batch: batch.id.clone(),
        operation,
        epoch: record.epoch,
    };
    // Work without an operation of its own on the host is known by a name all the same.
    let named = |word: &str| operation_id(&batch.id, word, record.epoch, batch.attempts);
    Some(match event {
        BatchEvent::StageStarted { operation, .. } => {
            Effect::Stage(on(operation.clone()), batch.changes.clone(), supply(state, &batch.host))
        }
        BatchEvent::ApplyStarted { operation, arming, .. } => {
            Effect::Apply(on(operation.clone()), arming.clone())
        }
        BatchEvent::TimerAsked { extend, .. } => {
            let token = batch.timer.as_ref()?.arming.token.clone();
            Effect::Timer { on: on(named("timer")), token, extend: *extend }
        }
        BatchEvent::ConfirmStarted { .. } => {
            Effect::Confirm { on: on(named("confirm")), arming: batch.timer.as_ref()?.arming.clone() }
        }
        BatchEvent::RebootStarted { was, .. } => Effect::Reboot {
            on: on(named("reboot")),
            was: was.clone(),
            after_rollback: batch.rolled_back.is_some(),
        },
        BatchEvent::VerifyStarted { after_rollback, .. } => Effect::Verify {
            on: on(named("verify")),
            after_rollback: *after_rollback,
            changes: batch.changes.clone(),
        },
        BatchEvent::RollbackStarted { operation, .. } => {
            Effect::Rollback(on(operation.clone()), state.purpose == Some(Purpose::Rehearsal))
        }
        BatchEvent::InspectStarted { .. } => Effect::Inspect {
            on: on(batch.operation.clone().unwrap_or_else(|| named("inspect"))),
            work: rules::work_of(batch.phase)?,
            was: batch.boot_before.clone(),
            changes: batch.changes.clone(),
            arming: batch.timer.as_ref().map(|timer| timer.arming.clone()),
            supply: supply(state, &batch.host),
        },
        BatchEvent::Planned { .. }
        | BatchEvent::Dropped { .. }
        | BatchEvent::Staged { .. }
        | BatchEvent::Applied { .. }
        | BatchEvent::Rebooted { .. }
        | BatchEvent::Verified { .. }
        | BatchEvent::TimerSeen { .. }
        | BatchEvent::TimerAnswered { .. }
        | BatchEvent::Confirmed { .. }
        | BatchEvent::ConfirmFailed { .. }
        | BatchEvent::RollbackQueued { .. }
        | BatchEvent::RolledBack { .. }
        | BatchEvent::Inspected { .. } => return None,
    })
}

/// The id of a batch's operation on its host.
pub(super) fn operation_id(batch: &BatchId, word: &str, epoch: Epoch, attempt: u32) -> OperationId {
    let text = format!("{batch}-{word}-{epoch}.{attempt}");
    // A batch id is short and of the same pattern, so this always parses; were it ever too long,
    // its hash is as good a name.
    text.parse().unwrap_or_else(|_| {
        let hash = Blake3::of(text.as_bytes()).to_string();
        #[expect(clippy::unwrap_used, reason = "64 hexadecimal digits fit the pattern of an operation id")]
        hash.parse().unwrap()
    })
}

/// The id of the second round of a stage, once other hosts were asked: it follows from the first, so that
/// it is found again after a crash.
pub fn second_round(operation: &OperationId) -> OperationId {
    let text = format!("{operation}.2");
    text.parse().unwrap_or_else(|_| {
        let hash = Blake3::of(text.as_bytes()).to_string();
        #[expect(clippy::unwrap_used, reason = "64 hexadecimal digits fit the pattern of an operation id")]
        hash.parse().unwrap()
    })
}

/// The word by which the timer of one apply is known. It names that apply under that plan and need not
/// be secret: who could send it to the helper is root there.
pub(super) fn token(plan: &Blake3, operation: &OperationId) -> Nonce {
    let hash = Blake3::of(format!("{plan} {operation}").as_bytes()).to_string();
    #[expect(clippy::unwrap_used, reason = "32 hexadecimal digits fit the pattern of a nonce")]
    hash[..32].parse().unwrap()
}

/// Whether a probe of that kind can be made from where the plan wants it: everything but a command, which is
/// the host's own.
pub fn is_made(probe: &Probe) -> bool {
    match probe.from {
        VantageKind::Inside => true,
        VantageKind::Outside | VantageKind::Peer => match probe.target {
            ProbeTarget::Ping
            | ProbeTarget::Tcp { .. }
            | ProbeTarget::Tls { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Dns { .. }
            | ProbeTarget::Postgres { .. } => true,
            ProbeTarget::Exec { .. } => false,
        },
    }
}

/// Whether trying again by itself is useless, or looks like an attack.
pub fn is_final(kind: FailureKind) -> bool {
    match kind {
        FailureKind::HostKey | FailureKind::Login => true,
        FailureKind::Unreachable
        | FailureKind::NoSession
        | FailureKind::NotEnrolled
        | FailureKind::Refused
        | FailureKind::Busy
        | FailureKind::Malformed
        | FailureKind::Failed
        | FailureKind::TimedOut
        | FailureKind::Local => false,
    }
}
