//! The engineer of the story, for a demo without anybody at the keys: under the clock they go on
//! where the list differs from test. What follows shows why the gate was there.

use crate::core::event::Cause;
use crate::core::gate::{self, GateState};
use crate::core::state::Phase;
use crate::core::{Intent, State, pilot, schedule};
use crate::types::{Span, Time};

/// How long somebody looks on where customers are dark.
const LOOKS_ON: Span = Span::secs(25);

/// What the engineer does next: as the pilot, but a held gate that can be waived is waived.
pub fn story(state: &State, now: Time) -> Option<Intent> {
    let intent = pilot::next(state, now)?;
    if intent != Intent::End {
        return Some(intent);
    }
    if let Some(waiver) = waiver(state, now) {
        return Some(waiver);
    }
    (!looks_on(state, now)).then_some(intent)
}

/// Whether they look on for a while where customers are dark and nobody rolls back.
fn looks_on(state: &State, now: Time) -> bool {
    let alarms = state.alarms.raised.iter();
    let dark = alarms.filter(|(cause, _)| matches!(cause, Cause::Customer(_))).map(|(_, alarm)| alarm.since);
    let back = state.in_order().any(|batch| batch.phase == Phase::Back);
    !back && dark.min().is_some_and(|since| now < since + LOOKS_ON)
}

fn waiver(state: &State, now: Time) -> Option<Intent> {
    let batch = schedule::next(state)?;
    // With customers cut off there is nothing to go on with.
    if state.is_held(batch) || !schedule::unconfirmed(state).is_empty() {
        return None;
    }
    let judged = gate::judge(state, batch, now);
    let held = judged.iter().find(|judgement| judgement.state == GateState::Held)?;
    held.gate.waivable().then(|| Intent::Waive {
        gate: held.gate.word().to_owned(),
        batch: batch.id.clone(),
        reason: "the story: the window is short, and test1 took nearly the same".into(),
        watch: "the customers of this host, from outside".into(),
        lasts: Span::mins(30),
    })
}
