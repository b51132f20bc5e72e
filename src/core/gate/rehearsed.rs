//! Clear when each change is SAME or OTHER-FROM of a rehearsal that is young enough. NEWER is clear
//! only once the rehearsed file itself is on the host: the batch then takes that one.

use super::Finding;
use crate::core::change::{Change, Standing};
use crate::core::event::Purpose;
use crate::core::state::{Batch, State};
use crate::types::{Span, Time};

pub(super) fn judge(state: &State, batch: &Batch, now: Time) -> Finding {
    if state.purpose == Some(Purpose::Rehearsal) {
        return Finding::clear("this is the rehearsal");
    }
    let (Some(plan), Some(rehearsal)) = (&state.plan, &state.rehearsal) else {
        let n = batch.changes.len();
        return Finding::held(
            format!("{n} changes, none rehearsed"),
            vec!["no rehearsal was found: holdpoint rehearse PLAN".to_owned()],
        );
    };
    let age = Span::between(rehearsal.at, now);
    if age > plan.policy.rehearsal_max_age {
        return Finding::held(
            format!(
                "the rehearsal is {} old, the plan allows {}",
                age.brief(),
                plan.policy.rehearsal_max_age.brief()
            ),
            vec![format!(
                "rehearsed on {} at {}",
                rehearsal.baseline,
                rehearsal.at.format("%Y-%m-%d %H:%MZ")
            )],
        );
    }
    if !rehearsal.identical {
        return Finding::held(
            format!("on {} the rollback of the rehearsal did not come back to identical", rehearsal.baseline),
            vec!["its recording says what differed: holdpoint replay".to_owned()],
        );
    }
    let (against, open) = sorted(batch);
    let n = batch.changes.len();
    if !against.is_empty() {
        let evidence = against.iter().map(|change| line(change)).collect();
        let words: Vec<&str> = against.iter().map(|change| change.package.name.as_str()).collect();
        return Finding::held(format!("{} of {n} not rehearsed: {}", words.len(), few(&words)), evidence);
    }
    if !open.is_empty() {
        let open = open.len();
        return Finding::unknown(format!(
            "{open} of {n} newer than rehearsed; the rehearsed files are not stored yet"
        ));
    }
    let other = batch.changes.iter().filter(|change| change.standing == Standing::OtherFrom).count();
    let caution = if other > 0 { format!(", {other} from another version") } else { String::new() };
    Finding::clear(format!(
        "{n} of {n} rehearsed on {} {}{caution}",
        rehearsal.baseline,
        rehearsal.at.format("%m-%d")
    ))
}

/// How many changes of the batch this gate names as not rehearsed.
pub(super) fn named(state: &State, batch: &Batch, now: Time) -> usize {
    let (Some(plan), Some(rehearsal)) = (&state.plan, &state.rehearsal) else { return batch.changes.len() };
    if Span::between(rehearsal.at, now) > plan.policy.rehearsal_max_age || !rehearsal.identical {
        return 0;
    }
    let (against, open) = sorted(batch);
    if against.is_empty() { open.len() } else { against.len() }
}

/// What speaks against the batch, and of what that can't be told before it is staged.
fn sorted(batch: &Batch) -> (Vec<&Change>, Vec<&Change>) {
    let (mut against, mut open) = (Vec::new(), Vec::new());
    for change in &batch.changes {
        match change.standing {
            Standing::Same | Standing::OtherFrom => {}
            Standing::Newer => match stored(batch, change) {
                Some(true) => {}
                Some(false) => against.push(change),
                None => open.push(change),
            },
            Standing::Older | Standing::Untested | Standing::Missing | Standing::Kept => against.push(change),
        }
    }
    (against, open)
}

/// Whether the rehearsed file of a change is on the host: `None` before staging.
fn stored(batch: &Batch, change: &Change) -> Option<bool> {
    let proof = batch.proof.as_ref()?;
    let file = proof.files.iter().find(|file| file.package == change.package);
    Some(file.is_some_and(|file| file.to == change.to && Some(file.new) == change.sha256))
}

fn line(change: &Change) -> String {
    let from = change.from.as_ref().map_or("new".to_owned(), ToString::to_string);
    let rehearsed = change.rehearsed.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!(
        "{} {}: {from} -> {}, rehearsed {rehearsed}",
        change.standing.word(),
        change.package.name,
        change.to
    )
}

/// At most four words of a list.
pub(super) fn few(words: &[&str]) -> String {
    let shown = words.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    if words.len() > 4 { format!("{shown} and {} more", words.len() - 4) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixture;
    use crate::core::gate::{GateName, judge_one, unrehearsed};

    /// The number that a waiver asks for is one that stands in the gate's own words.
    #[test]
    fn the_number_is_in_the_words() {
        let mut state = fixture::window(4, &["web1"], "");
        state.rehearsal = None;
        let mut batch = fixture::batch("b1", "web1", 1);
        // The baseline is offered the same, and nobody has rehearsed it.
        let same = |package| Change {
            standing: Standing::Same,
            ..fixture::change(package, "1", "2", crate::plan::Class::Leaf)
        };
        batch.changes = vec![same("less"), same("rsync")];
        let now = fixture::opens();
        let said = judge_one(&state, &batch, GateName::Rehearsed, now).reason;
        assert_eq!((said.as_str(), unrehearsed(&state, &batch, now)), ("2 changes, none rehearsed", 2));
    }
}
