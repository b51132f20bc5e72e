//! The engineer of the story, for a demo without anybody at the keys: under the clock they go on
//! where the list differs from test. What follows shows why the gate was there.

use crate::core::gate::{self, GateState};
use crate::core::state::Phase;
use crate::core::{Intent, State, pilot, schedule};
use crate::types::{Span, Time};

/// How long somebody looks on.
const LOOKS_ON: Span = Span::secs(40);

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

/// Whether they look on for a while at what was applied, is not confirmed and is not rolled back by itself.
fn looks_on(state: &State, now: Time) -> bool {
    let open = schedule::unconfirmed(state).into_iter().filter(|batch| batch.phase == Phase::Verified);
    open.map(|batch| batch.since).max().is_some_and(|since| now < since + LOOKS_ON)
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
