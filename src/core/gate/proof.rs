//! Clear when old and new packages are stored on the host and hashed, apt simulated both ways, there is
//! space, and putting the old packages back undoes every change.

use super::Finding;
use super::rehearsed::few;
use crate::core::change::Change;
use crate::core::event::{Proof, Tools};
use crate::core::state::{Batch, Phase, State};
use crate::core::wayback::{self, WayBack};
use crate::types::Untrusted;

pub(super) fn judge(_state: &State, batch: &Batch) -> Finding {
    let Some(proof) = &batch.proof else {
        return match (batch.phase, &batch.failure) {
            (Phase::StageFailed, Some(failure)) => {
                Finding::held("staging did not come off", vec![failure.what.shown()])
            }
            (Phase::Staging, _) => Finding::unknown("packages are being stored and hashed on the host"),
            (_, _) => Finding::unknown("nothing is stored on the host yet"),
        };
    };
    let mut against: Vec<String> = proof.missing.iter().map(Untrusted::shown).collect();
    for change in &batch.changes {
        match proof.files.iter().find(|file| file.package == change.package) {
            None => against.push(format!("{}: no file of it is stored", change.package)),
            Some(file) if file.to != change.to => {
                against.push(format!("{}: {} is stored, {} is wanted", change.package, file.to, change.to));
            }
            Some(file) if change.sha256.is_some_and(|sha256| sha256 != file.new) => {
                against.push(format!("{}: the stored file is not the rehearsed one (hash)", change.package));
            }
            Some(file) if change.from.is_some() && file.old.is_none() => {
                against.push(format!(
                    "{}: version {} is not stored: no way back",
                    change.package,
                    word(&change.from)
                ));
            }
            Some(_) => {}
        }
    }
    against.extend(proof.beyond.iter().map(|what| format!("apt would also change {}", what.shown())));
    against
        .extend(proof.reverse.iter().map(|why| format!("the way back does not simulate: {}", why.shown())));
    if proof.space_free < proof.space_needed {
        against.push(format!(
            "{} MiB free, {} MiB needed",
            proof.space_free / (1 << 20),
            proof.space_needed.div_ceil(1 << 20)
        ));
    }
    against.extend(one_way(batch));
    if let Some(why) = proof.kernel.as_ref().and_then(|kernel| kernel.manual.as_ref()) {
        against.push(format!("kernel rollback is not automatic: {}", why.shown()));
    }
    let files = proof.files.iter().map(|file| 1 + usize::from(file.old.is_some())).sum::<usize>();
    if against.is_empty() {
        Finding::clear(format!("{files} files stored and hashed, both ways simulated")).with(evidence(proof))
    } else {
        // The whole of it: a waiver is given for what stands here, and for nothing that comes later.
        Finding::held(against.join("; "), against)
    }
}

/// What of it is known before anything is stored: changes that have no way back.
pub(super) fn beforehand(batch: &Batch) -> Option<Finding> {
    let against = one_way(batch);
    (!against.is_empty()).then(|| Finding::held(against.join("; "), against))
}

/// Changes that putting the old packages back does not undo.
fn one_way(batch: &Batch) -> Vec<String> {
    let words = |(change, class): &(&Change, WayBack)| match class {
        WayBack::Reversible => None,
        WayBack::SnapshotOnly(why) => {
            Some(format!("{}: snapshot only, and no snapshot is taken: {why}", change.package.name))
        }
        WayBack::NoReturn(why) => {
            Some(format!("{}: NO RETURN: {why}; wants a backup, then a waiver", change.package.name))
        }
    };
    wayback::against(batch).iter().filter_map(words).collect()
}

/// What the rollback stands on, where the batch changes that.
fn evidence(proof: &Proof) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Tools::Run(count)) = proof.tools {
        let names: Vec<&str> = proof.stands_on.iter().map(|package| package.name.as_str()).collect();
        lines.push(format!("it changes {}: {count} tools copied beside it, each ran", few(&names)));
    }
    if let Some(kernel) = &proof.kernel {
        let keeps = kernel.keeps.as_ref().map_or_else(String::new, |old| format!("; {} stays", old.shown()));
        lines.push(format!("the new kernel is booted once, on trial{keeps}"));
    }
    lines
}

fn word(version: &Option<crate::types::Version>) -> String {
    version.as_ref().map_or("-".to_owned(), ToString::to_string)
}
