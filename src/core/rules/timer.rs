//! The dead-man timer's part of what is due: asking hosts how it stands, and confirming what was
//! watched for the bake time.

use crate::core::confirm::{self, OldCode};
use crate::core::event::{BatchEvent, Event};
use crate::core::state::{Batch, DeadMan, Phase, State};
use crate::types::{Span, Time};

/// How often a host is asked how its timer stands: the screen's figure is then never older than this.
const ASK: Span = Span::secs(15);
/// The same once the timer is due, or has fired.
const ASK_DUE: Span = Span::secs(2);
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
        // A rollback that failed on the host is tried again there at its next boot.
        let pause = if batch.phase == Phase::RollbackFailed { ASK } else { pause };
        // What runs old code is known only once it was asked after the verifying.
        let old_code = batch.phase == Phase::Verified
            && confirm::old_code(state, batch) == OldCode::NotTold
            && timer.asked_at() <= batch.verified_at;
        idle && !back
            && !batch.wanted_back
            && !awaited(batch)
            && (old_code || timer.asked_at().is_none_or(|at| now >= at + pause))
    });
    due.map(|batch| Event::Batch(BatchEvent::TimerAsked { batch: batch.id.clone(), extend: None })).collect()
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
            && confirm::baked(state, batch, now)
    };
    let batches = state.in_order().filter(ready);
    batches.filter_map(|batch| Some(confirm::event(batch, confirm::grounds(state, batch, now)?))).collect()
}
