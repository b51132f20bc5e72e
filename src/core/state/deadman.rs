//! A batch's dead-man timer, as far as the cockpit knows: what it was armed with, and what its host
//! said last. The host fires by its own clock; here is when that is expected.

use super::{Batch, Phase};
use crate::core::event::{Arming, Failure, Timer, TimerState, TimerWatch};
use crate::facts::{Fact, Replaced};
use crate::types::{OperationId, Span, Time, Untrusted};

/// A batch's dead-man timer.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadMan {
    /// What it is armed with.
    pub arming: Arming,
    /// What its host said last, and when; `None` until it has said that it is armed.
    pub said: Option<(Time, Timer)>,
    /// When its host was asked in vain the last time, since it last said something.
    pub unanswered: Option<Time>,
    /// Which processes still run what the batch replaced, once its host has said so since the batch was
    /// verified.
    pub replaced: Option<Fact<Vec<Replaced>>>,
}

impl DeadMan {
    pub(in crate::core) fn new(arming: Arming) -> Self {
        Self { arming, said: None, unanswered: None, replaced: None }
    }

    /// When it fires, by this machine's clock, as its host said last; `None` where it is not armed.
    pub fn fires_at(&self) -> Option<Time> {
        let (at, timer) = self.said.as_ref()?;
        timer.is_armed().then(|| *at + timer.left)
    }

    /// Whether it fired, or was made to by a rollback that somebody asked for.
    pub fn fired(&self) -> bool {
        self.said.as_ref().is_some_and(|(_, timer)| has_fired(timer.state))
    }

    /// Whether its host said that it is set and that nothing watches it: it would never fire.
    pub fn unwatched(&self) -> bool {
        let unwatched = |timer: &Timer| timer.state == TimerState::Armed && timer.watch == TimerWatch::None;
        self.said.as_ref().is_some_and(|(_, timer)| unwatched(timer))
    }

    /// When its host was last heard or asked.
    pub fn asked_at(&self) -> Option<Time> {
        self.said.as_ref().map(|(at, _)| *at).max(self.unanswered)
    }
}

/// What the host of an unconfirmed batch does with nobody there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unattended {
    /// It has not said how the timer stands.
    Unknown,
    /// It rolls back by itself at that moment, by this machine's clock.
    RollsBack(Time),
    /// It is being rebooted, and rolls back by itself so long after it is up: the deadline of before the
    /// reboot counts no more.
    AfterBoot(Span),
    /// Nothing: no timer is set, or nothing watches it.
    Nothing,
    /// Nothing any more: it was told there that the batch is confirmed.
    Confirmed,
    /// It rolls back by itself now.
    Fired,
    /// It could not roll back.
    Failed,
}

fn has_fired(state: TimerState) -> bool {
    match state {
        TimerState::Firing | TimerState::RolledBack | TimerState::RollbackFailed => true,
        TimerState::None | TimerState::Armed | TimerState::Confirmed => false,
    }
}

impl Batch {
    /// When its host rolls it back by itself unless it is confirmed; `None` where nothing will fire.
    pub fn fires_at(&self) -> Option<Time> {
        match self.unattended()? {
            Unattended::RollsBack(at) => Some(at),
            Unattended::Unknown
            | Unattended::AfterBoot(_)
            | Unattended::Nothing
            | Unattended::Confirmed
            | Unattended::Fired
            | Unattended::Failed => None,
        }
    }

    /// What its host does with nobody there; `None` where nothing of the batch is open, and while it goes
    /// back because somebody asked for that.
    pub fn unattended(&self) -> Option<Unattended> {
        if !self.phase.unconfirmed() {
            return None;
        }
        if matches!(self.phase, Phase::RollingBack | Phase::RolledBack | Phase::Comparing) {
            return self.by_timer().then_some(Unattended::Fired);
        }
        // Taken back here, and rebooted or compared: its timer was taken by that.
        if self.rolled_back.is_some() && self.phase != Phase::RollbackFailed {
            return None;
        }
        let Some(known) = &self.timer else { return Some(Unattended::Nothing) };
        let Some((at, timer)) = &known.said else { return Some(Unattended::Unknown) };
        // What it said before a rollback was begun says nothing of what it does now.
        if self.rollback_started.is_some_and(|started| *at < started) {
            return Some(Unattended::Unknown);
        }
        Some(match timer.state {
            TimerState::Armed if timer.is_armed() && self.phase == Phase::Rebooting => {
                Unattended::AfterBoot(known.arming.boot)
            }
            TimerState::Armed if timer.is_armed() => Unattended::RollsBack(*at + timer.left),
            TimerState::Armed | TimerState::None => Unattended::Nothing,
            TimerState::Confirmed => Unattended::Confirmed,
            TimerState::Firing | TimerState::RolledBack => Unattended::Fired,
            TimerState::RollbackFailed => Unattended::Failed,
        })
    }

    /// Whether its newest operation is the rollback that its host began by itself: those have ids of
    /// their own.
    pub fn by_timer(&self) -> bool {
        self.operation.as_ref().is_some_and(|id| self.is_timers(id))
    }

    fn is_timers(&self, id: &OperationId) -> bool {
        id.as_str().strip_prefix(self.id.as_str()).is_some_and(|rest| rest.starts_with("-deadman"))
    }

    /// No extension of its timer goes beyond this moment.
    pub fn timer_cap(&self) -> Option<Time> {
        Some(self.apply_started? + self.timer.as_ref()?.arming.cap)
    }

    /// Whether its newest rollback was asked for here, and not begun by its host.
    pub(in crate::core) fn taken_back_here(&self) -> bool {
        self.rollback_started.is_some() && !self.by_timer()
    }

    pub(in crate::core) fn timer_said(&mut self, timer: &Timer, at: Time) {
        if let Some(known) = &mut self.timer {
            known.said = Some((at, timer.clone()));
            known.unanswered = None;
            if let Some(replaced) = &timer.replaced {
                known.replaced = Some(replaced.clone());
            }
        }
    }

    pub(in crate::core) fn timer_answered(&mut self, result: &Result<Timer, Failure>, at: Time) {
        match result {
            Ok(timer) => {
                self.timer_said(timer, at);
                self.adopt(timer, at);
            }
            Err(_) => {
                if let Some(known) = &mut self.timer {
                    known.unanswered = Some(at);
                }
            }
        }
    }

    pub(in crate::core) fn confirmed(&mut self, grounds: &str, at: Time) {
        self.grounds = Some(grounds.to_owned());
        self.unconfirmed_since = None;
        self.enter(Phase::Confirmed, at);
    }

    pub(in crate::core) fn not_confirmed(&mut self, failure: &Failure, timer: Option<&Timer>, at: Time) {
        self.unconfirmed_since = Some((at, failure.clone()));
        if self.phase == Phase::Confirming {
            self.enter(Phase::Verified, at);
        }
        if let Some(timer) = timer {
            self.timer_said(timer, at);
            self.adopt(timer, at);
        }
    }

    /// The host is rolling back, or has: its operation is followed like one that was asked for.
    fn adopt(&mut self, timer: &Timer, at: Time) {
        let waiting = match self.phase {
            Phase::Applied | Phase::ApplyFailed | Phase::Rebooted | Phase::Verified | Phase::Unknown => true,
            // The host tries again by itself at its next boot.
            Phase::RollbackFailed => {
                timer.operation != self.operation
                    && timer.operation.as_ref().is_some_and(|id| self.is_timers(id))
            }
            Phase::Planned
            | Phase::Staging
            | Phase::Staged
            | Phase::StageFailed
            | Phase::Applying
            | Phase::Rebooting
            | Phase::Verifying
            | Phase::Confirming
            | Phase::Confirmed
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Comparing
            | Phase::Back
            | Phase::BackDiffers => false,
        };
        // One that this cockpit has taken back goes its own way from there: a reboot, a second pass, the
        // comparison. Its timer has fired as well, since that is how a rollback begins.
        let ours = self.rolled_back.is_some() && self.phase != Phase::RollbackFailed;
        if waiting && !ours && has_fired(timer.state) {
            self.operation = timer.operation.clone();
            self.wanted_back = false;
            self.changed = Some(at);
            self.rollback_started = Some(at);
            self.failure = timer
                .why
                .clone()
                .map(|what: Untrusted| Failure { kind: crate::core::event::FailureKind::Failed, what });
            self.enter(Phase::RollingBack, at);
        }
    }
}
