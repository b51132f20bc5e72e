//! Clear when a batch has at most `max_changes`, and `alone` classes are by themselves.

use std::collections::BTreeSet;

use super::Finding;
use crate::core::risk;
use crate::core::state::{Batch, State};

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
    let Some(plan) = &state.plan else { return Finding::unknown("there is no plan") };
    let n = batch.changes.len();
    let max = plan.policy.max_changes as usize;
    let risk = format!("risk {:.1}%", risk::of(&batch.changes) * 100.0);
    if n > max {
        return Finding::held(format!("{n} changes in one batch, the plan allows {max}"), vec![risk]);
    }
    for class in &plan.policy.alone {
        let own: Vec<_> = batch.changes.iter().filter(|change| change.class == *class).collect();
        // What is built with them (headers, say) goes with them: it can't be torn from its source.
        let sources: BTreeSet<_> = own.iter().map(|change| &change.source).collect();
        let others =
            batch.changes.iter().filter(|change| change.class != *class && !sources.contains(&change.source));
        let names: Vec<String> =
            others.map(|change| format!("goes with them: {}", change.package.name)).collect();
        if !own.is_empty() && !names.is_empty() {
            let word = format!("{class:?}").to_lowercase();
            let reason =
                format!("{word} changes want a batch of their own, {} others go with them", names.len());
            return Finding::held(reason, names);
        }
    }
    Finding::clear(format!("{n} changes, at most {max}; {risk}")).with(vec![risk])
}
