//! The dead-man timers of a demo's host: one a batch, which rolls it back unless it is told in time
//! that the customers' path was confirmed.
//!
//! Pure: the moment is given, and what fires is given back as operations; [`super::server`] waits.
//! A host here always has what watches its timers, as one with systemd does, and it goes down for
//! nothing but the verb `reboot`.

use super::left;
use super::model::{Host, Operation, Refused, refused, section};
use crate::core::event::{TimerState, TimerWatch};
use crate::facts::Section;
use crate::host::frame::RefusalCode;
use crate::host::operation::Kind;
use crate::host::verb::ArmTimes;
use crate::types::{BatchId, Blake3, Epoch, Nonce, OperationId, Span, Time};

/// The timer of a batch.
#[derive(Debug)]
pub(super) struct Deadman {
    state: TimerState,
    token: Nonce,
    plan: Blake3,
    /// Of the cockpit that armed it: one that came later may replace it.
    epoch: Epoch,
    deadline: Time,
    /// Nothing sets the deadline beyond.
    cap: Time,
    /// From a declared boot, and from another one at most.
    boot: Span,
    grace: Span,
    /// Whether the end of this boot was declared.
    declared: bool,
    rule: Rule,
    operation: Option<OperationId>,
    why: Option<String>,
}

/// What the deadline counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The boot in which it was set.
    Same,
    /// A boot that was declared.
    Declared,
    /// A boot that nobody declared.
    Undeclared,
}

impl Rule {
    fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Declared => "declared",
            Self::Undeclared => "undeclared",
        }
    }
}

impl Deadman {
    fn is_armed(&self) -> bool {
        self.state == TimerState::Armed
    }

    /// Whether the host still has something to do for it.
    fn is_watched(&self) -> bool {
        match self.state {
            TimerState::Armed | TimerState::Firing => true,
            TimerState::None
            | TimerState::Confirmed
            | TimerState::RolledBack
            | TimerState::RollbackFailed => false,
        }
    }

    fn begins(&mut self, operation: &OperationId) {
        self.state = TimerState::Firing;
        self.operation = Some(operation.clone());
    }
}

/// What fires a timer on these hosts.
pub(super) const WATCH: TimerWatch = TimerWatch::Systemd;

/// With a longer batch id, that of a rollback might be none.
const LONGEST_BATCH: usize = 52;

fn after(now: Time, span: Span) -> Time {
    now + chrono::TimeDelta::milliseconds(i64::try_from(span.as_ms()).unwrap_or(i64::MAX))
}

fn not_armed<T>(state: TimerState) -> Result<T, Refused> {
    refused(RefusalCode::NotArmed, state.word())
}

fn wrong_token<T>() -> Result<T, Refused> {
    refused(RefusalCode::WrongToken, "the timer was armed with other words")
}

impl Host {
    /// Arms a batch's timer; the same word again sets its deadline anew.
    pub(super) fn arm(
        &mut self,
        batch: &BatchId,
        epoch: Epoch,
        token: &Nonce,
        plan: Blake3,
        times: &ArmTimes,
        now: Time,
    ) -> Result<(), Refused> {
        if batch.as_str().len() > LONGEST_BATCH {
            return refused(RefusalCode::Usage, "the batch id is too long for a timer");
        }
        self.admit(epoch)?;
        if !self.batches.get(batch).is_some_and(|batch| batch.staged) {
            return refused(RefusalCode::Usage, "no batch of that name was staged here");
        }
        let begun = self.batches.get(batch).is_some_and(|batch| batch.before.is_some());
        let (mut cap, mut declared) = (after(now, times.cap), false);
        if let Some(there) = self.timers.get(batch) {
            // A reboot that was declared on the old one's account is still to come.
            declared = there.is_armed() && there.declared;
            match there.state {
                TimerState::Armed if there.token == *token && there.plan == plan => cap = there.cap,
                // What is left of an apply that never began stands in nobody's way.
                TimerState::Armed if there.token != *token && (epoch > there.epoch || !begun) => {}
                TimerState::Armed => return wrong_token(),
                // That very apply was rolled back: what comes late arms nothing.
                TimerState::RolledBack if there.token == *token => return not_armed(there.state),
                TimerState::None | TimerState::RolledBack => {}
                TimerState::Confirmed | TimerState::Firing | TimerState::RollbackFailed => {
                    return not_armed(there.state);
                }
            }
        }
        let timer = Deadman {
            state: TimerState::Armed,
            token: token.clone(),
            plan,
            epoch,
            deadline: after(now, times.after).min(cap),
            cap,
            boot: times.boot,
            grace: times.grace,
            declared,
            rule: Rule::Same,
            operation: None,
            why: None,
        };
        self.timers.insert(batch.clone(), timer);
        Ok(())
    }

    /// The timer never fires. Said again, it is so still: the first answer may have been lost.
    pub(super) fn confirm(&mut self, batch: &BatchId, token: &Nonce, plan: Blake3) -> Result<(), Refused> {
        let Some(timer) = self.timers.get_mut(batch) else { return not_armed(TimerState::None) };
        let same = timer.token == *token && timer.plan == plan;
        match timer.state {
            TimerState::Armed | TimerState::Confirmed if same => {
                timer.state = TimerState::Confirmed;
                Ok(())
            }
            TimerState::Armed | TimerState::Confirmed => wrong_token(),
            state @ (TimerState::None
            | TimerState::Firing
            | TimerState::RolledBack
            | TimerState::RollbackFailed) => not_armed(state),
        }
    }

    /// Lengthens, up to the cap, and never shortens.
    pub(super) fn extend(&mut self, batch: &BatchId, token: &Nonce, by: Span) -> Result<(), Refused> {
        let Some(timer) = self.timers.get_mut(batch) else { return not_armed(TimerState::None) };
        if !timer.is_armed() {
            return not_armed(timer.state);
        }
        if timer.token != *token {
            return wrong_token();
        }
        timer.deadline = timer.deadline.max(after(timer.deadline, by).min(timer.cap));
        timer.rule = Rule::Same;
        Ok(())
    }

    /// How a batch's timer stands, as the helper says it.
    pub(super) fn timer(&self, batch: &BatchId, now: Time) -> Section {
        let timer = self.timers.get(batch);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let armed = timer.filter(|timer| timer.is_armed());
        let left = armed.map_or(0, |timer| Span::between(now, timer.deadline).as_ms().div_ceil(1_000));
        let watch = if self.timers_watched() { WATCH } else { TimerWatch::None };
        let lines = vec![
            format!("state {}", timer.map_or(TimerState::None, |timer| timer.state).word()),
            format!("token {}", or_dash(timer.map(|timer| timer.token.to_string()))),
            format!("plan {}", or_dash(timer.map(|timer| timer.plan.to_string()))),
            format!("left {left}"),
            format!("boot {}", armed.map_or(Rule::Same, |timer| timer.rule).word()),
            format!("watch {}", watch.word()),
            format!(
                "operation {}",
                or_dash(timer.and_then(|t| t.operation.as_ref()).map(ToString::to_string))
            ),
            format!("why {}", or_dash(timer.and_then(|timer| timer.why.clone()))),
        ];
        section("timer", lines)
    }

    /// How that of a batch stands.
    pub(super) fn timer_state(&self, batch: &BatchId) -> TimerState {
        self.timers.get(batch).map_or(TimerState::None, |timer| timer.state)
    }

    /// Whether a rollback failed: the way back stays until another try comes off.
    pub(super) fn rollback_failed(&self) -> bool {
        self.timers.values().any(|timer| timer.state == TimerState::RollbackFailed)
    }

    /// Whether a timer of this host may still have to roll something back.
    pub(super) fn timers_watched(&self) -> bool {
        self.timers.values().any(Deadman::is_watched)
    }

    /// Nothing is applied that would stay if nobody came back.
    pub(super) fn need_armed(&self, batch: &BatchId, now: Time) -> Result<(), Refused> {
        match self.timers.get(batch) {
            Some(timer) if timer.is_armed() && timer.deadline > now => Ok(()),
            Some(_) | None => refused(RefusalCode::Unarmed, "the batch's timer is not armed"),
        }
    }

    /// Whether it is armed at this moment: it may have fired while something waited its turn.
    pub(super) fn is_armed(&self, batch: &BatchId) -> bool {
        self.timers.get(batch).is_some_and(Deadman::is_armed)
    }

    /// Whether this batch has a timer that may still have to roll it back.
    pub(super) fn is_watched(&self, batch: &BatchId) -> bool {
        self.timers.get(batch).is_some_and(Deadman::is_watched)
    }

    /// Somebody rolls the batch back: its timer is taken along, so that no confirm comes in between. One
    /// that fires already goes on with the operation that it has.
    pub(super) fn rolls_back(&mut self, batch: &BatchId, operation: &OperationId) {
        let Some(timer) = self.timers.get_mut(batch) else { return };
        match timer.state {
            TimerState::Armed | TimerState::RollbackFailed => timer.begins(operation),
            TimerState::None | TimerState::Confirmed | TimerState::Firing | TimerState::RolledBack => {}
        }
    }

    /// A rollback of this batch goes on after a boot: its timer fires until then, also where it was confirmed.
    pub(super) fn fires(&mut self, batch: &BatchId, operation: &OperationId) {
        if let Some(timer) = self.timers.get_mut(batch)
            && timer.state != TimerState::Firing
        {
            timer.begins(operation);
        }
    }

    /// A rollback of this batch is over, whoever started it.
    pub(super) fn rollback_ended(&mut self, id: &BatchId, exit: i32) {
        // What never began is not to begin any more.
        if let Some(batch) = self.batches.get_mut(id).filter(|batch| batch.before.is_none()) {
            batch.staged = false;
        }
        let Some(timer) = self.timers.get_mut(id) else { return };
        match timer.state {
            // Confirmed before, and rolled back all the same: it may be armed for another round.
            TimerState::Firing | TimerState::RollbackFailed | TimerState::Confirmed if exit == 0 => {
                (timer.state, timer.why) = (TimerState::RolledBack, None);
            }
            TimerState::Firing => {
                timer.state = TimerState::RollbackFailed;
                timer.why = Some(format!("the rollback ended with {exit}"));
            }
            TimerState::None
            | TimerState::Armed
            | TimerState::Confirmed
            | TimerState::RolledBack
            | TimerState::RollbackFailed => {}
        }
    }

    /// When the next timer is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.timers.values().filter(|timer| timer.is_armed()).map(|timer| timer.deadline).min()
    }

    /// The rollbacks that begin now: of timers that are due, and again of those whose rollback a boot
    /// cut off or which failed before it.
    pub(super) fn fire(&mut self, now: Time) -> Vec<OperationId> {
        let boot = self.boot_id();
        let of_another_boot = |timer: &Deadman| {
            let operation = timer.operation.as_ref().and_then(|id| self.operations.get(id));
            operation.is_some_and(|operation| operation.boot != boot)
        };
        let begins = |timer: &Deadman| match timer.state {
            TimerState::Armed => timer.deadline <= now,
            TimerState::Firing | TimerState::RollbackFailed => of_another_boot(timer),
            TimerState::None | TimerState::Confirmed | TimerState::RolledBack => false,
        };
        let begin: Vec<BatchId> =
            self.timers.iter().filter(|(_, timer)| begins(timer)).map(|(batch, _)| batch.clone()).collect();
        let mut operations = Vec::new();
        for batch in begin {
            let Some(id) = self.deadman_id(&batch) else { continue };
            let before = self.timers.get(&batch).and_then(|timer| timer.operation.clone());
            if let Some(timer) = self.timers.get_mut(&batch) {
                timer.begins(&id);
            }
            let (kind, boot) = (Kind::Rollback, boot.clone());
            let (spec, log) = (String::new(), Vec::new());
            // Whether versions are pinned out is as it was for the one before.
            let pins = match before.and_then(|before| self.operations.get(&before)) {
                Some(before) => before.pins.map(|_| (now, left::TIMER)),
                None => Some((now, left::TIMER)),
            };
            let operation = Operation { kind, batch, spec, boot, log, pins, done: None };
            self.operations.insert(id.clone(), operation);
            operations.push(id);
        }
        operations
    }

    /// The id of the next rollback that a batch's timer starts; `None` where that makes no id.
    fn deadman_id(&self, batch: &BatchId) -> Option<OperationId> {
        let mut name = format!("{batch}-deadman");
        let mut number = 1;
        loop {
            let id: OperationId = name.parse().ok()?;
            if !self.operations.contains_key(&id) {
                return Some(id);
            }
            number += 1;
            name = format!("{batch}-deadman.{number}");
        }
    }

    /// The end of this boot is known to whoever armed a timer.
    pub(super) fn declare_reboot(&mut self) {
        for timer in self.timers.values_mut().filter(|timer| timer.is_armed()) {
            timer.declared = true;
        }
    }

    /// The host is up again: from here on other deadlines count.
    pub(super) fn timers_boot(&mut self, now: Time) {
        for timer in self.timers.values_mut().filter(|timer| timer.is_armed()) {
            (timer.deadline, timer.rule) = if std::mem::take(&mut timer.declared) {
                (after(now, timer.boot), Rule::Declared)
            } else {
                (timer.deadline.min(after(now, timer.grace)), Rule::Undeclared)
            };
        }
    }
}
