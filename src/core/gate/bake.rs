//! Clear when what was applied before was watched for the bake time, and confirmed: one batch at a time is
//! on its way in the whole window, so that what customers feel has one cause.

use super::Finding;
use crate::core::schedule;
use crate::core::state::{Batch, Phase, State};

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
    let open: Vec<_> = state
        .in_order()
        .filter(|other| other.id != batch.id && (other.phase.unconfirmed() || other.wanted_back))
        .collect();
    let Some(first) = open.first() else {
        let bake = schedule::bake(state).brief();
        return Finding::clear(format!("nothing before it is unconfirmed; each batch is watched for {bake}"));
    };
    // No running time in the reason: a waiver is given for a reason, and would end each second.
    let reason = match (first.phase, schedule::baked_at(state, first)) {
        (Phase::Verified | Phase::Confirming, Some(at)) => {
            format!("{} is watched until {}, and not confirmed", first.label(), at.format("%H:%M:%SZ"))
        }
        (phase, _) => format!("{} {}", first.label(), phase.clause()),
    };
    let others = open.iter().skip(1);
    let others = others.map(|other| format!("and {} {}", other.label(), other.phase.clause()));
    Finding::held(reason, others.collect())
}
