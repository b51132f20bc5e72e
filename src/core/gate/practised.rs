//! Clear when a rollback was rehearsed and verified identical, so that its time is known. What of a batch was
//! not in the set that went back then is said: whether that may go on is the gate `rehearsed`'s to judge.

use super::Finding;
use super::rehearsed::few;
use crate::core::change::{Change, Frozen};
use crate::core::event::Purpose;
use crate::core::state::{Batch, State};

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
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
                    .with(vec![on_which_set(&batch.changes, &rehearsal.set)])
            } else {
                Finding::held(format!("rehearsed {at}, and NOT identical afterwards: {what}"), Vec::new())
            }
        }
    }
}

/// How much of a batch was in the set that was rolled back then.
fn on_which_set(changes: &[Change], set: &[Frozen]) -> String {
    let went_back =
        |change: &&Change| set.iter().any(|one| one.package == change.package && one.to == change.to);
    let others: Vec<&str> =
        changes.iter().filter(|one| !went_back(one)).map(|one| one.package.name.as_str()).collect();
    let (all, there) = (changes.len(), changes.len() - others.len());
    if others.is_empty() {
        format!("all {all} of this batch went back in that set")
    } else {
        format!("{there} of {all} of this batch went back in that set; not {}", few(&others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Standing;
    use crate::plan::Class;
    use crate::types::Sha256;

    fn change(name: &str, to: &str) -> Change {
        Change {
            package: format!("{name}:amd64").parse().expect("a package"),
            from: None,
            to: to.parse().expect("a version"),
            sha256: None,
            rehearsed: None,
            standing: Standing::Same,
            security: false,
            source: name.parse().expect("a name"),
            class: Class::Leaf,
            size: None,
            needs: Vec::new(),
            origin: "".into(),
        }
    }

    #[test]
    fn it_says_on_which_set() {
        let frozen = |name: &str, to: &str| Frozen {
            package: change(name, to).package,
            from: None,
            to: to.parse().expect("a version"),
            sha256: Sha256::from_bytes([7; 32]),
        };
        let set = [frozen("nginx", "2"), frozen("rsync", "2")];
        let all = [change("nginx", "2"), change("rsync", "2")];
        assert_eq!(on_which_set(&all, &set), "all 2 of this batch went back in that set");
        // Another version is another change.
        let some = [change("nginx", "3"), change("rsync", "2"), change("curl", "2")];
        assert_eq!(on_which_set(&some, &set), "1 of 3 of this batch went back in that set; not nginx, curl");
    }
}
