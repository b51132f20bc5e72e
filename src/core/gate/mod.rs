//! Gates: hold points. Each is a pure function of the state and the moment to a judgement with its
//! evidence. Unknown and stale never pass. A gate that is not built is not listed.

mod bake;
mod lock;
mod plan;
mod practised;
mod proof;
mod rehearsed;
mod size;
mod time;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::state::{Batch, State};
use crate::types::{BatchId, HostName, Time};

/// The gates that are built, in the order in which they are shown.
pub const GATES: [GateName; 8] = [
    GateName::Plan,
    GateName::Rehearsed,
    GateName::Size,
    GateName::Proof,
    GateName::Practised,
    GateName::Time,
    GateName::Bake,
    GateName::Lock,
];

/// A gate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateName {
    /// Every host answers with a known host key and an enrolled helper.
    Plan,
    /// Each change is SAME or OTHER-FROM of a rehearsal that is young enough.
    Rehearsed,
    /// At most `max_changes`, `alone` classes by themselves.
    Size,
    /// Old and new packages stored and hashed, both ways simulated, space free.
    Proof,
    /// A rollback of this set was rehearsed and verified identical; its time is known.
    Practised,
    /// The window is open and now is before this batch's cutoff.
    Time,
    /// The batch before was watched for the bake time, and confirmed.
    Bake,
    /// This cockpit's epoch holds the host, and no package manager runs there.
    Lock,
}

impl GateName {
    /// The word on screen, in JSON and in `:waive`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Rehearsed => "rehearsed",
            Self::Size => "size",
            Self::Proof => "proof",
            Self::Practised => "practised",
            Self::Time => "time",
            Self::Bake => "bake",
            Self::Lock => "lock",
        }
    }

    /// Whether a waiver can pass it. Without a way to reach the host as root, or with another
    /// package manager at work there, nothing could be done or undone, whatever anybody decides.
    pub fn waivable(self) -> bool {
        match self {
            Self::Rehearsed | Self::Size | Self::Proof | Self::Practised | Self::Time | Self::Bake => true,
            Self::Plan | Self::Lock => false,
        }
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A gate's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateState {
    /// Its condition is met.
    Clear,
    /// Its condition is not met.
    Held,
    /// Whether it is met can't be told: never passes.
    Unknown,
    /// Held, and a recorded decision passes it.
    Waived,
}

impl GateState {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "ok",
            Self::Held => "HOLD",
            Self::Unknown => "?",
            Self::Waived => "waived",
        }
    }

    /// Whether it lets a batch start.
    pub fn passes(self) -> bool {
        match self {
            Self::Clear | Self::Waived => true,
            Self::Held | Self::Unknown => false,
        }
    }
}

/// What a gate says of one batch at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which gate.
    pub gate: GateName,
    /// On which host; `None` for the whole window.
    pub host: Option<HostName>,
    /// For which batch.
    pub batch: Option<BatchId>,
    /// Its state.
    pub state: GateState,
    /// Why, in one sentence: the fact, with its value.
    pub reason: String,
    /// What that rests on, a line each.
    pub evidence: Vec<String>,
}

/// What a gate found, before it is put in its place.
struct Finding {
    state: GateState,
    reason: String,
    evidence: Vec<String>,
}

impl Finding {
    fn clear(reason: impl Into<String>) -> Self {
        Self { state: GateState::Clear, reason: reason.into(), evidence: Vec::new() }
    }

    fn held(reason: impl Into<String>, evidence: Vec<String>) -> Self {
        Self { state: GateState::Held, reason: reason.into(), evidence }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self { state: GateState::Unknown, reason: reason.into(), evidence: Vec::new() }
    }

    fn with(mut self, evidence: Vec<String>) -> Self {
        self.evidence = evidence;
        self
    }
}

/// What every gate says of a batch now.
pub fn judge(state: &State, batch: &Batch, now: Time) -> Vec<Judgement> {
    GATES.iter().map(|gate| judge_one(state, batch, *gate, now)).collect()
}

/// How many changes of a batch gate rehearsed says are not rehearsed; none where it is held for its age, say.
pub fn unrehearsed(state: &State, batch: &Batch, now: Time) -> usize {
    rehearsed::named(state, batch, now)
}

/// What one gate says of a batch now, waivers counted.
pub fn judge_one(state: &State, batch: &Batch, gate: GateName, now: Time) -> Judgement {
    let finding = match gate {
        GateName::Plan => plan::judge(state, batch),
        GateName::Rehearsed => rehearsed::judge(state, batch, now),
        GateName::Size => size::judge(state, batch),
        GateName::Proof => proof::judge(state, batch),
        GateName::Practised => practised::judge(state, batch),
        GateName::Bake => bake::judge(state, batch),
        GateName::Time => time::judge(state, batch, now),
        GateName::Lock => lock::judge(state, batch, now),
    };
    placed(state, batch, gate, now, finding)
}

/// What the proof of a batch will hold for, as far as that is known before anything is stored: changes
/// without a way back. `None`: nothing is known against it.
pub fn beforehand(state: &State, batch: &Batch, now: Time) -> Option<Judgement> {
    proof::beforehand(state, batch).map(|finding| placed(state, batch, GateName::Proof, now, finding))
}

fn placed(state: &State, batch: &Batch, gate: GateName, now: Time, finding: Finding) -> Judgement {
    let waiver = state.waivers.iter().find(|waiver| waiver.gate == gate.word() && waiver.batch == batch.id);
    let mut judgement = Judgement {
        gate,
        host: Some(batch.host.clone()),
        batch: Some(batch.id.clone()),
        state: finding.state,
        reason: finding.reason,
        evidence: finding.evidence,
    };
    if let (GateState::Held, Some(waiver)) = (judgement.state, waiver) {
        // A waiver was given for what was failing then, and for a time; anything else holds again.
        if waiver.until <= now {
            judgement.evidence.push(format!("the waiver of {} has ended", waiver.at.format("%H:%MZ")));
        } else if waiver.failing.raw() != judgement.reason {
            judgement.evidence.push(format!("waived for something else: {}", waiver.failing.shown()));
        } else {
            judgement.state = GateState::Waived;
            judgement.evidence.push(format!(
                "waived until {}: {}; watched: {}",
                waiver.until.format("%H:%MZ"),
                waiver.reason.shown(),
                waiver.watch.shown()
            ));
        }
    }
    judgement
}

/// Whether every gate lets the batch start now.
pub fn all_pass(judgements: &[Judgement]) -> bool {
    judgements.iter().all(|judgement| judgement.state.passes())
}
