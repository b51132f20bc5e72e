//! What was started and has not answered.

use super::{Logs, Reach, State};
use crate::types::{BatchId, HostName, Seq, Time};

/// An effect that was started and has not answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// On which host; `None` for probing.
    pub host: Option<HostName>,
    /// For which batch, if for one.
    pub batch: Option<BatchId>,
    /// What is done.
    pub work: Work,
    /// Since when.
    pub since: Time,
}

/// What an effect does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the events that start them")]
pub enum Work {
    Read,
    Stage,
    Apply,
    Reboot,
    Verify,
    Rollback,
    Inspect,
    Probe,
    Timer,
    Confirm,
    Capture,
    Evidence,
    Logs,
}

impl State {
    pub(in crate::core) fn await_answer(
        &mut self,
        id: Seq,
        host: &HostName,
        batch: Option<&BatchId>,
        work: Work,
    ) {
        let Some(since) = self.at else { return };
        let pending = Pending { host: Some(host.clone()), batch: batch.cloned(), work, since };
        self.pending.insert(id, pending);
    }

    pub(in crate::core) fn await_watch(&mut self, id: Seq, work: Work) {
        let Some(since) = self.at else { return };
        self.pending.insert(id, Pending { host: None, batch: None, work, since });
    }

    pub(in crate::core) fn answered(&mut self, id: Seq) {
        self.pending.remove(&id);
    }

    /// After another process picked the recording up nobody waits for anything: reads and probes
    /// are simply made again, and a batch in the middle of work is inspected.
    pub(in crate::core) fn forget_pending(&mut self) {
        self.pending.clear();
        self.probing = None;
        self.logs.values_mut().for_each(Logs::forget);
        for capture in self.captures.values_mut() {
            (capture.effect, capture.over, capture.since) = (None, false, None);
            capture.whole = None;
        }
        self.alarms.forget_countdowns();
        self.evidence.values_mut().for_each(|of| of.asked = None);
        let names: Vec<HostName> = self.hosts.keys().cloned().collect();
        for name in names {
            if let Some(host) = self.host_mut(&name) {
                host.reading = None;
                host.reach = Reach::Unknown;
                // Whoever picks a window up asks every host anew, also one that refused before.
                host.read_failed = None;
            }
        }
    }
}
