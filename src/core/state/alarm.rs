//! Alarms that are raised, and lines that are met.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::core::event::{Cause, Line};
use crate::types::{BatchId, HostName, Time, Untrusted};

/// Moments of alarms that are kept: enough to see a flood.
const MOMENTS: usize = 64;

/// All alarms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alarms {
    /// Those that are raised, acknowledged ones among them.
    pub raised: BTreeMap<Cause, Alarm>,
    /// Lines that are met, by host.
    pub lines: BTreeMap<(HostName, Line), LineState>,
    /// Lines that have rolled a batch back: none does so twice.
    pub spent: BTreeSet<(Line, BatchId)>,
    /// When the cockpit's own network was back the last time that it was gone.
    pub back: Option<Time>,
    /// When the newest were raised, oldest first.
    pub moments: VecDeque<Time>,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Since when.
    pub since: Time,
    /// What was so when it was raised.
    pub said: Untrusted,
    /// When somebody had seen it.
    pub acknowledged: Option<Time>,
}

/// A line that is met on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct LineState {
    /// Since when.
    pub since: Time,
    /// What met it.
    pub why: Untrusted,
    /// What would be rolled back.
    pub batches: Vec<BatchId>,
    /// The countdown that runs: since when, and when it rolls back.
    pub counts: Option<(Time, Time)>,
    /// When somebody stopped it, and why.
    pub kept: Option<(Time, Untrusted)>,
    /// When it rolled back.
    pub fired: Option<Time>,
}

impl LineState {
    /// Whether what is to become of it is open: nobody has kept it, and it has not fired.
    pub fn open(&self) -> bool {
        self.kept.is_none() && self.fired.is_none()
    }
}

impl Alarms {
    /// The line of a host, where it is met.
    pub fn line(&self, host: &HostName, line: Line) -> Option<&LineState> {
        self.lines.get(&(host.clone(), line))
    }

    pub(in crate::core) fn line_mut(&mut self, host: &HostName, line: Line) -> Option<&mut LineState> {
        self.lines.get_mut(&(host.clone(), line))
    }

    pub(in crate::core) fn note(&mut self, at: Time) {
        if self.moments.len() == MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(at);
    }

    /// Another process picked the window up, or the machine slept: what was agreed on stays, and nobody is
    /// rolled back by a countdown that they could not see. It begins anew there.
    pub(in crate::core) fn forget_countdowns(&mut self) {
        self.lines.values_mut().for_each(|met| met.counts = None);
    }

    /// The clock was set back: nothing began later than now.
    pub(in crate::core) fn set_back(&mut self, now: Time) {
        self.back = self.back.map(|at| now.min(at));
        self.raised.values_mut().for_each(|alarm| alarm.since = now.min(alarm.since));
        self.lines.values_mut().for_each(|met| met.since = now.min(met.since));
        self.moments.iter_mut().for_each(|at| *at = now.min(*at));
    }
}
