//! Decisions about gates: waivers, and changes put off.

use serde::{Deserialize, Serialize};

use crate::core::state::{State, Waiver};
use crate::types::{BatchId, HostName, PackageName, Seq, Time, Untrusted};

/// A decision about a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GateEvent {
    /// A held gate may be passed: recorded with its commitment.
    Waived {
        /// The gate's name.
        gate: String,
        /// For which batch.
        batch: BatchId,
        /// What was failing, as it stood: the waiver holds for this alone.
        failing: Untrusted,
        /// Why it is right to go on.
        reason: Untrusted,
        /// What will be watched.
        watch: Untrusted,
        /// When it is held again by itself.
        until: Time,
    },
    /// A package is put off to the next window.
    Left {
        /// On which host.
        host: HostName,
        /// Which package.
        package: PackageName,
    },
}

impl GateEvent {
    pub(crate) fn apply(&self, state: &mut State, _seq: Seq, at: Time) {
        match self {
            Self::Waived { gate, batch, failing, reason, watch, until } => {
                state.waivers.retain(|waiver| !(waiver.gate == *gate && waiver.batch == *batch));
                state.waivers.push(Waiver {
                    gate: gate.clone(),
                    batch: batch.clone(),
                    failing: failing.clone(),
                    reason: reason.clone(),
                    watch: watch.clone(),
                    until: *until,
                    at,
                });
            }
            Self::Left { host, package } => {
                if let Some(host) = state.host_mut(host) {
                    host.left.insert(package.clone());
                    host.planned = false;
                }
            }
        }
    }
}
