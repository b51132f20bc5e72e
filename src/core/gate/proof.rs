//! Clear when old and new packages are stored on the host and hashed, apt simulated both ways, and
//! there is space.

use std::collections::BTreeMap;

use super::Finding;
use crate::core::event::{ProofFile, Source};
use crate::core::state::{Batch, Phase, State};
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
    if against.is_empty() {
        let stored = stored(&proof.files);
        Finding::clear(format!("{stored}, both ways simulated")).with(origins(&proof.files))
    } else {
        // The whole of it: a waiver is given for what stands here, and for nothing that comes later.
        Finding::held(against.join("; "), against)
    }
}

/// "12 files stored and hashed: 10 archive, 1 web2, 1 snapshot".
fn stored(files: &[ProofFile]) -> String {
    let all = files.iter().map(|file| 1 + usize::from(file.old.is_some())).sum::<usize>();
    let mut sources: BTreeMap<&Source, usize> = BTreeMap::new();
    for origin in files.iter().flat_map(|file| [&file.new_from, &file.old_from]).flatten() {
        *sources.entry(&origin.source).or_default() += 1;
    }
    let sources: Vec<String> = sources.iter().map(|(source, n)| format!("{n} {}", source.word())).collect();
    let colon = if sources.is_empty() { "" } else { ": " };
    format!("{all} files stored and hashed{colon}{}", sources.join(", "))
}

/// The way back, package by package: where the old file came from, and how that was checked.
fn origins(files: &[ProofFile]) -> Vec<String> {
    let line = |file: &ProofFile| {
        let origin = file.old_from.as_ref()?;
        let from = word(&file.from);
        Some(format!("{} back to {from}: {}, {}", file.package, origin.source.word(), origin.check.words()))
    };
    files.iter().filter_map(line).collect()
}

fn word(version: &Option<crate::types::Version>) -> String {
    version.as_ref().map_or("-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Check, Origin};
    use crate::types::Sha256;

    fn file(new: Option<Source>, old: Option<(Source, Check)>) -> ProofFile {
        let word = "a word of its type";
        ProofFile {
            package: "rsync:amd64".parse().expect(word),
            from: Some("1".parse().expect(word)),
            to: "2".parse().expect(word),
            new: Sha256::from_bytes([1; 32]),
            old: Some(Sha256::from_bytes([2; 32])),
            new_from: new.map(|source| Origin { source, check: Check::Hash }),
            old_from: old.map(|(source, check)| Origin { source, check }),
        }
    }

    #[test]
    fn where_the_files_came_from_is_counted_and_the_way_back_is_said_one_by_one() {
        let web2 = Source::Host("web2".parse().expect("a host"));
        let files = [
            file(Some(Source::Archive), Some((Source::Archive, Check::Index))),
            file(Some(Source::Archive), Some((web2, Check::Installed))),
            file(Some(Source::Snapshot), Some((Source::Repacked, Check::Unverified))),
        ];
        let said = "6 files stored and hashed: 3 archive, 1 web2, 1 snapshot, 1 repacked";
        assert_eq!(stored(&files), said);
        let lines = [
            "rsync:amd64 back to 1: archive, has the hash of the index",
            "rsync:amd64 back to 1: web2, holds what is installed",
            "rsync:amd64 back to 1: repacked, unverified",
        ];
        assert_eq!(origins(&files), lines);
        // Recordings of versions that did not say it.
        let files = [file(None, None)];
        assert_eq!((stored(&files).as_str(), origins(&files).len()), ("2 files stored and hashed", 0));
    }
}
