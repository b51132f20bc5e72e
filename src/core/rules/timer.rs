//! The dead-man timer's part of what is due: asking hosts how it stands, and confirming what was
//! watched for the bake time.

use crate::core::confirm::{self, OldCode};
use crate::core::event::{BatchEvent, Event};
use crate::core::state::{Batch, DeadMan, Phase, State};
use crate::core::{alarm, fence};
use crate::types::{Span, Time};

/// How often a host is asked how its timer stands: the screen's figure is then never older than this.
const ASK: Span = Span::secs(15);
/// The same once the timer is due, or has fired.
const ASK_DUE: Span = Span::secs(2);
/// The same where nothing watches it, which its host is told to mend each time.
const ASK_UNWATCHED: Span = Span::secs(5);
/// A confirm that did not come off is tried again after this long.
const CONFIRM_AGAIN: Span = Span::secs(10);

/// Hosts whose timer is to be asked for.
pub(super) fn ask(state: &State, now: Time) -> Vec<Event> {
    let awaited = |batch: &Batch| state.pending.values().any(|p| p.batch.as_ref() == Some(&batch.id));
    let due = state.in_order().filter(|batch| {
        let Some(timer) = &batch.timer else { return false };
        let idle = batch.phase.unconfirmed() && !batch.phase.running();
        let back = batch.rolled_back.is_some() && batch.phase != Phase::RollbackFailed;
        let pause = if timer.fired() || timer.fires_at().is_none_or(|at| now > at) { ASK_DUE } else { ASK };
        let pause = if timer.unwatched() { ASK_UNWATCHED } else { pause };
        // A rollback that failed on the host is tried again there at its next boot.
        let pause = if batch.phase == Phase::RollbackFailed { ASK } else { pause };
        // What runs old code is known only once it was asked after the verifying.
        let told = confirm::old_code(state, batch) != OldCode::NotTold;
        let pause = if batch.phase == Phase::Verified && !told { ASK_DUE } else { pause };
        idle && !back
            && !batch.wanted_back
            && !awaited(batch)
            // A clock that was set back must not keep it from being asked.
            && timer.asked_at().is_none_or(|at| now >= at + pause || now < at)
    });
    due.map(|batch| {
        // Lengthened by nothing, its host lets something watch it again.
        let unwatched = batch.timer.as_ref().is_some_and(DeadMan::unwatched);
        let ours = fence::of(state, &batch.host).is_none();
        let extend = (unwatched && ours).then_some(Span::ZERO);
        Event::Batch(BatchEvent::TimerAsked { batch: batch.id.clone(), extend })
    })
    .collect()
}

/// A batch is confirmed when it was watched for the bake time and every required probe of its host's
/// customers passes, seen after the verifying. Confirming stays possible under a hold.
pub(super) fn confirm_baked(state: &State, now: Time) -> Vec<Event> {
    let ready = |batch: &&std::sync::Arc<Batch>| {
        let fired = batch.timer.as_ref().is_some_and(DeadMan::fired);
        let again = batch.unconfirmed_since.as_ref().is_none_or(|(at, _)| now >= *at + CONFIRM_AGAIN);
        let asked = state.pending.values().any(|p| p.batch.as_ref() == Some(&batch.id));
        batch.phase == Phase::Verified
            && !batch.wanted_back
            && !fired
            && !asked
            && again
            && alarm::line::against(state, batch).is_none()
            && confirm::baked(state, batch, now)
    };
    let batches = state.in_order().filter(ready);
    batches.filter_map(|batch| Some(confirm::event(batch, confirm::grounds(state, batch, now)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Timer, TimerState, TimerWatch};
    use crate::core::{decide, fixture, schedule};

    /// Web1 has a verified batch, whose timer is set and watched by that.
    fn watched(by: TimerWatch, timer: TimerState) -> (State, Time) {
        let (mut state, now) = (fixture::window(4, &["web1"], ""), fixture::opens());
        let mut batch = fixture::batch("b1", "web1", 1);
        let operation = "b1-apply-1".parse().expect("an id");
        batch.timer = schedule::arming(&state, &batch, now, &operation).map(DeadMan::new);
        batch.enter(Phase::Verified, now);
        let left = Span::secs(600);
        batch.timer_said(
            &Timer { state: timer, token: None, left, watch: by, operation: None, why: None, replaced: None },
            now,
        );
        state.plan_batch(batch);
        (state, now)
    }

    #[test]
    fn a_timer_that_nothing_watches_gets_that_back() {
        for (by, timer, extend) in [
            (TimerWatch::None, TimerState::Armed, Some(Span::ZERO)),
            (TimerWatch::Systemd, TimerState::Armed, None),
            (TimerWatch::None, TimerState::None, None),
        ] {
            let (state, now) = watched(by, timer);
            let asked = ask(&state, now + ASK);
            let [Event::Batch(BatchEvent::TimerAsked { extend: said, .. })] = &asked[..] else {
                panic!("{by:?} {timer:?}: {asked:?}")
            };
            assert_eq!(*said, extend, "{by:?} {timer:?}");
        }
    }

    /// Set back by an hour the clock keeps nothing from being asked, and set forward it asks at once.
    #[test]
    fn a_clock_that_was_set_back_keeps_nothing_from_being_asked() {
        let (state, now) = watched(TimerWatch::Systemd, TimerState::Armed);
        for (at, asks) in [
            (now + Span::secs(1), false),
            (now + ASK, true),
            (now - Span::secs(3_600), true),
            (now + Span::secs(3_600), true),
        ] {
            // What it runs is told once: what is left is how it stands.
            let mut state = state.clone();
            let mut batch = state.in_order().next().expect("a batch").as_ref().clone();
            if let Some(timer) = &mut batch.timer {
                timer.replaced = Some(crate::facts::Fact::Known(Vec::new()));
            }
            state.plan_batch(batch);
            assert_eq!(!ask(&state, at).is_empty(), asks, "{at}");
        }
    }

    #[test]
    fn an_extension_is_asked_for_where_a_timer_is_set() {
        for (by, timer, goes) in [
            (TimerWatch::Systemd, TimerState::Armed, true),
            (TimerWatch::None, TimerState::Armed, true),
            (TimerWatch::None, TimerState::None, false),
            (TimerWatch::None, TimerState::Confirmed, false),
            (TimerWatch::Systemd, TimerState::Firing, false),
        ] {
            let (state, now) = watched(by, timer);
            let id = state.in_order().next().expect("a batch").id.clone();
            let events = decide::extend(&state, &id, Span::mins(5), now);
            let asked = matches!(&events[..], [Event::Batch(BatchEvent::TimerAsked { extend: Some(_), .. })]);
            assert_eq!(asked, goes, "{by:?} {timer:?}: {events:?}");
        }
    }
}
