//! A batch's dead-man timer, as far as the cockpit knows: what it was armed with, and what its host
//! said last. The host fires by its own clock; here is when that is expected.

use super::{Batch, Phase};
use crate::core::event::{Arming, Failure, Timer, TimerState};
use crate::types::{Time, Untrusted};

/// A batch's dead-man timer.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadMan {
    /// What it is armed with.
    pub arming: Arming,
    /// What its host said last, and when; `None` until it has said that it is armed.
    pub said: Option<(Time, Timer)>,
    /// When its host was asked in vain the last time, since it last said something.
    pub unanswered: Option<Time>,
}

impl DeadMan {
    pub(in crate::core) fn new(arming: Arming) -> Self {
        Self { arming, said: None, unanswered: None }
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

    /// When its host was last heard or asked.
    pub fn asked_at(&self) -> Option<Time> {
        self.said.as_ref().map(|(at, _)| *at).max(self.unanswered)
    }
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
        if self.phase.unconfirmed() { self.timer.as_ref()?.fires_at() } else { None }
    }

    pub(in crate::core) fn timer_said(&mut self, timer: &Timer, at: Time) {
        if let Some(known) = &mut self.timer {
            known.said = Some((at, timer.clone()));
            known.unanswered = None;
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
            Phase::RollbackFailed => timer.operation.is_some() && timer.operation != self.operation,
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
        if waiting && has_fired(timer.state) {
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
