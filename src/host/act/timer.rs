//! The dead-man timer's part of effects: armed and read back before an apply, set anew after it, asked,
//! lengthened, told that its batch is confirmed.

use std::time::Duration;

use super::{Task, VerbWork, WORK, applied};
use crate::core::effect::OnHost;
use crate::core::event::{Arming, Failure, FailureKind, Inspected, Timer, TimerState};
use crate::core::{Answer, Sample};
use crate::host::outcome::parse_timer;
use crate::host::verb::{ArmTimes, Verb};
use crate::types::{Nonce, Span, Untrusted};

/// How long the fresh connection before a confirm may take: three tries of a patient operator.
const FRESH: Span = Span::secs(15);

impl Task {
    /// Nothing is applied before its timer is armed and the host has said that something watches it.
    pub(super) async fn apply(&self, on: &OnHost, arming: Option<&Arming>) -> Answer {
        if let Some(arming) = arming {
            let never = |why: String| Answer::Inspected(Inspected::NeverBegan, Untrusted::new(why));
            match self.arm(on, arming, arming.apply).await {
                Ok(timer) if timer.is_armed() => {}
                Ok(timer) => {
                    let (state, watch) = (timer.state.word(), timer.watch.word());
                    return never(format!(
                        "{}: its dead-man timer reads back as {state}, watched by {watch}: nothing was changed",
                        on.host
                    ));
                }
                Err(failure) => {
                    return never(format!(
                        "{}: its dead-man timer could not be armed, nothing was changed: {}",
                        on.host,
                        failure.what.raw()
                    ));
                }
            }
        }
        let result = self.operate(on, VerbWork::Apply).await.and_then(|ended| applied(&ended));
        self.set_anew(on, arming).await;
        Answer::Applied(result)
    }

    /// The apply has ended: from here on it is counted what is still to come.
    pub(super) async fn set_anew(&self, on: &OnHost, arming: Option<&Arming>) {
        let Some(arming) = arming else { return };
        let Err(failure) = self.arm(on, arming, arming.after).await else { return };
        self.say(format!("the timer could not be set anew: {}", failure.what.raw()));
        // It may have fired by now, and then nothing is to be carried on with.
        if let Ok(timer) = self.timer_of(&Verb::Timer(on.batch.clone()), 0, super::ORDER).await {
            self.outbox.sample(self.id, Sample::Timer { batch: on.batch.clone(), timer }).await;
        }
    }

    async fn arm(&self, on: &OnHost, arming: &Arming, after: Span) -> Result<Timer, Failure> {
        let times = ArmTimes { after, boot: arming.boot, grace: arming.grace, cap: arming.cap };
        let verb =
            Verb::Arm { batch: on.batch.clone(), token: arming.token.clone(), plan: arming.plan, times };
        let timer = self.timer_of(&verb, on.epoch, super::ORDER).await?;
        let sample = Sample::Timer { batch: on.batch.clone(), timer: timer.clone() };
        self.outbox.sample(self.id, sample).await;
        Ok(timer)
    }

    /// How a timer stands. A host that is away is waited for: its timer runs without anybody.
    pub(super) async fn timer(&self, on: &OnHost, token: &Nonce, extend: Option<Span>) -> Answer {
        let batch = on.batch.clone();
        Answer::Timer(match extend {
            None => self.timer_of(&Verb::Timer(batch), 0, WORK).await,
            Some(by) => {
                let verb = Verb::Extend { batch: batch.clone(), token: token.clone(), by };
                let extended = self.timer_of(&verb, on.epoch, Duration::ZERO).await;
                // How it stands in full, also where it was refused: it may have fired, or was confirmed there.
                match (self.timer_of(&Verb::Timer(batch), 0, Duration::ZERO).await, extended) {
                    (Ok(timer), Err(failure)) if timer.state == TimerState::Armed => Err(failure),
                    (Ok(timer), _) => Ok(timer),
                    (Err(_), extended) => extended,
                }
            }
        })
    }

    /// A confirm wants a connection made now, key exchange and all: what is connected since before the
    /// apply proves nothing. One that does not come off is told at once, and tried again by the core.
    pub(super) async fn confirm(&self, on: &OnHost, arming: &Arming) -> Answer {
        if let Err(error) = self.asker.link().fresh(FRESH).await {
            let failure = crate::host::ask::failure(&on.host, &error);
            let what = format!("no fresh connection, so no confirm: {}", failure.what.raw());
            return Answer::Confirmed(Err(Failure { kind: failure.kind, what: Untrusted::new(what) }));
        }
        let verb = Verb::Confirm { batch: on.batch.clone(), token: arming.token.clone(), plan: arming.plan };
        let answer = match self.timer_of(&verb, on.epoch, Duration::ZERO).await {
            // Refused, or the answer was lost: the host says which.
            Err(failure) => match self.timer_of(&Verb::Timer(on.batch.clone()), 0, Duration::ZERO).await {
                Ok(timer) if timer.state != TimerState::Armed => Ok(timer),
                Ok(_) | Err(_) => Err(failure),
            },
            Ok(timer) => Ok(timer),
        };
        Answer::Confirmed(answer)
    }

    pub(super) async fn timer_of(
        &self,
        verb: &Verb,
        epoch: u64,
        patience: Duration,
    ) -> Result<Timer, Failure> {
        let answer = self.ask_until(verb, epoch, patience).await?;
        parse_timer(&answer.sections)
            .map_err(|e| Failure::new(FailureKind::Malformed, format!("{}: {e}", self.asker.host())))
    }

    /// Takes the host for this epoch: whoever holds a lower one, and whatever of theirs is still on its
    /// way, is refused there from now on.
    pub(super) async fn claim(&self, epoch: u64, patience: Duration) -> Result<(), Failure> {
        self.ask_until(&Verb::Claim, epoch, patience).await.map(drop)
    }
}
