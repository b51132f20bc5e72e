//! Clear when the window is open and now is before this batch's cutoff.

use super::Finding;
use crate::core::event::Purpose;
use crate::core::schedule;
use crate::core::state::{Batch, State};
use crate::types::{Span, Time};

pub(super) fn judge(state: &State, batch: &Batch, now: Time) -> Finding {
    if state.purpose == Some(Purpose::Rehearsal) {
        return Finding::clear("a rehearsal needs no window");
    }
    let (Some(plan), Some(cutoff), Some(abort_by)) =
        (&state.plan, schedule::cutoff(state, batch), schedule::abort_by_of(state, batch))
    else {
        return Finding::unknown("there is no plan");
    };
    let window = &plan.window;
    let arithmetic = vec![format!(
        "abort-by {} = {} - rollback {} - verify {} - margin {}; cutoff {}",
        abort_by.at.format("%H:%MZ"),
        abort_by.closes.format("%H:%MZ"),
        abort_by.rollback.span.brief(),
        abort_by.verify.span.brief(),
        abort_by.margin.brief(),
        cutoff.format("%H:%MZ"),
    )];
    // The reason holds no running time: a waiver is given for a reason, and would end each second.
    if now < window.opens {
        Finding::held(format!("the window opens at {}", window.opens.format("%Y-%m-%d %H:%MZ")), arithmetic)
    } else if now >= window.closes {
        Finding::held(format!("the window closed at {}", window.closes.format("%Y-%m-%d %H:%MZ")), arithmetic)
    } else if now >= cutoff {
        Finding::held(
            format!("the last moment to start this batch was {}", cutoff.format("%H:%MZ")),
            arithmetic,
        )
    } else {
        Finding::clear(format!(
            "{} left to start it, until {}",
            Span::between(now, cutoff).brief(),
            cutoff.format("%H:%MZ")
        ))
        .with(arithmetic)
    }
}
