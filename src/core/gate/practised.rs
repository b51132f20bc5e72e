//! Clear when a rollback was rehearsed and verified identical, so that its time is known.

use super::Finding;
use crate::core::event::Purpose;
use crate::core::state::State;

pub(super) fn judge(state: &State) -> Finding {
    if state.purpose == Some(Purpose::Rehearsal) {
        return Finding::clear("the rehearsal practises it");
    }
    match &state.rehearsal {
        None => Finding::held("no rollback was rehearsed", Vec::new()),
        Some(rehearsal) => {
            let what = format!(
                "{} changes on {}, rolled back in {}",
                rehearsal.set.len(),
                rehearsal.baseline,
                rehearsal.rollback.brief()
            );
            let at = rehearsal.at.format("%m-%d");
            if rehearsal.identical {
                Finding::clear(format!("rehearsed {at}: {what}, verified identical"))
            } else {
                Finding::held(format!("rehearsed {at}, and NOT identical afterwards: {what}"), Vec::new())
            }
        }
    }
}
