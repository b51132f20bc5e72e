//! The dead-man timers of a model host: armed, confirmed or fired, by the host's own time.

use std::collections::BTreeMap;

use super::world::SimHost;
use crate::core::event::{Arming, Timer, TimerState, TimerWatch};
use crate::facts::Fact;
use crate::types::{BatchId, OperationId, Span, Time};

/// How long a rollback by the host itself takes.
const ROLLBACK: Span = Span::secs(12);

#[derive(Debug, Clone)]
pub struct SimTimer {
    arming: Arming,
    deadline: Time,
    pub state: TimerState,
    operation: Option<OperationId>,
    tries: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Timers {
    of: BTreeMap<BatchId, SimTimer>,
    /// How often one fired.
    pub fired: usize,
}

impl Timers {
    pub fn state(&self, batch: &BatchId) -> TimerState {
        self.of.get(batch).map_or(TimerState::None, |timer| timer.state)
    }

    pub fn all(&self) -> impl Iterator<Item = (&BatchId, TimerState)> {
        self.of.iter().map(|(batch, timer)| (batch, timer.state))
    }

    pub fn arm(&mut self, batch: &BatchId, arming: &Arming, now: Time) {
        let deadline = now + arming.apply;
        let timer = SimTimer {
            arming: arming.clone(),
            deadline,
            state: TimerState::Armed,
            operation: None,
            tries: 0,
        };
        self.of.insert(batch.clone(), timer);
    }

    pub fn is_armed(&self, batch: &BatchId) -> bool {
        self.state(batch) == TimerState::Armed
    }

    /// The apply has ended at that moment: the deadline is counted from there.
    pub fn set_anew(&mut self, batch: &BatchId, at: Time) {
        if let Some(timer) = self.of.get_mut(batch).filter(|timer| timer.state == TimerState::Armed) {
            timer.deadline = at + timer.arming.after;
        }
    }

    pub fn extend(&mut self, batch: &BatchId, by: Span) {
        if let Some(timer) = self.of.get_mut(batch).filter(|timer| timer.state == TimerState::Armed) {
            timer.deadline = timer.deadline + by;
        }
    }

    /// What the rename does: it confirms what is armed, and nothing else.
    pub fn confirm(&mut self, batch: &BatchId, arming: &Arming) {
        if let Some(timer) = self.of.get_mut(batch) {
            assert_eq!(timer.arming.token, arming.token, "confirmed by another apply's word");
            if timer.state == TimerState::Armed {
                timer.state = TimerState::Confirmed;
            }
        }
    }

    /// A rollback that was asked for: nothing confirms the batch any more.
    pub fn taken(&mut self, batch: &BatchId, operation: &OperationId) {
        if let Some(timer) = self.of.get_mut(batch).filter(|timer| timer.state != TimerState::Confirmed) {
            timer.state = TimerState::Firing;
            timer.operation = Some(operation.clone());
        }
    }

    pub fn rebooted(&mut self, now: Time, declared: bool) {
        for timer in self.of.values_mut() {
            timer.deadline = match declared {
                true => now + timer.arming.boot,
                false => timer.deadline.min(now + timer.arming.grace),
            };
        }
    }

    pub fn report(&self, batch: &BatchId, now: Time) -> Timer {
        let timer = self.of.get(batch);
        let armed = timer.filter(|timer| timer.state == TimerState::Armed);
        Timer {
            state: self.state(batch),
            token: timer.map(|timer| timer.arming.token.clone()),
            left: armed.map_or(Span::ZERO, |timer| Span::between(now, timer.deadline)),
            watch: if armed.is_some() { TimerWatch::Systemd } else { TimerWatch::None },
            operation: timer.and_then(|timer| timer.operation.clone()),
            why: None,
            replaced: armed.map(|_| Fact::Known(Vec::new())),
        }
    }
}

impl SimHost {
    /// What the watcher on the host does as time passes, whoever is there.
    pub fn watch(&mut self, now: Time) {
        let batches: Vec<BatchId> = self.timers.of.keys().cloned().collect();
        for batch in batches {
            let ended = |host: &Self, timer: &SimTimer| {
                timer.operation.as_ref().is_none_or(|operation| host.has_ended(operation, now))
            };
            let Some(timer) = self.timers.of.get(&batch).cloned() else { continue };
            match timer.state {
                TimerState::Armed if timer.deadline <= now => {
                    self.fire(&batch, timer.deadline.max(self.free_at(now)))
                }
                // Power was cut while it rolled back: again.
                TimerState::Firing if timer.operation.as_ref().is_some_and(|o| self.was_lost(o)) => {
                    self.fire(&batch, now);
                }
                TimerState::Firing if ended(self, &timer) => {
                    if let Some(timer) = self.timers.of.get_mut(&batch) {
                        timer.state = TimerState::RolledBack;
                    }
                }
                TimerState::Armed
                | TimerState::Firing
                | TimerState::None
                | TimerState::Confirmed
                | TimerState::RolledBack
                | TimerState::RollbackFailed => {}
            }
        }
    }

    fn fire(&mut self, batch: &BatchId, at: Time) {
        self.timers.fired += 1;
        let Some(timer) = self.timers.of.get_mut(batch) else { return };
        assert_ne!(timer.state, TimerState::Confirmed, "what is confirmed never fires");
        timer.tries += 1;
        timer.state = TimerState::Firing;
        let id: OperationId = format!("{batch}-deadman.{}", timer.tries).parse().expect("an id");
        timer.operation = Some(id.clone());
        self.roll_back(batch, id, at + ROLLBACK);
    }
}
