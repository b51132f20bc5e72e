//! Clear when old and new packages are stored on the host and hashed, apt simulated both ways, there is
//! space, and putting the old packages back undoes every change.

use std::collections::BTreeMap;

use super::Finding;
use super::rehearsed::few;
use crate::core::change::Change;
use crate::core::event::{Check, Origin, Proof, ProofFile, Source, Tools};
use crate::core::state::{Batch, Phase, State};
use crate::core::wayback::{self, WayBack};
use crate::core::{alone, schedule, snapshot};
use crate::types::{Span, Untrusted};

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
    let Some(proof) = &batch.proof else {
        return match (batch.phase, &batch.failure) {
            (Phase::StageFailed, Some(failure)) => {
                Finding::held("staging did not come off", vec![failure.what.shown()])
            }
            (Phase::Staging, _) => Finding::unknown("packages are being stored and hashed on the host"),
            (_, _) => Finding::unknown("nothing is stored on the host yet")
                .with(snapshot::cover(state, batch).evidence()),
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
    against.extend(one_way(state, batch));
    if let Some(why) = proof.kernel.as_ref().and_then(|kernel| kernel.manual.as_ref()) {
        against.push(format!("kernel rollback is not automatic: {}", why.shown()));
    }
    if let Some(what) = &proof.offline {
        against.push(format!(
            "an offline update is prepared ({}): the next boot would install what was not rehearsed; cancel it there, then :restage",
            what.shown()
        ));
    }
    let alone = alone::against(state, batch);
    let reboots = schedule::reboots(batch) || schedule::reboot(state, &batch.changes).span > Span::ZERO;
    if let (Some(why), true) = (&alone, reboots) {
        against.push(why.clone());
    }
    if against.is_empty() {
        // No reboot is meant; one that comes all the same would be a long one.
        let alone = alone.into_iter().collect();
        let taken = snapshot::cover(state, batch).evidence();
        let evidence = [alone, taken, evidence(proof), origins(&proof.files)].concat();
        Finding::clear(format!("{}, both ways simulated", stored(&proof.files))).with(evidence)
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

/// Where the old files came from, and how that was checked: those that came the usual way as one line, the
/// others one by one.
fn origins(files: &[ProofFile]) -> Vec<String> {
    let usual = |origin: &Origin| match (&origin.source, origin.check) {
        (Source::Archive | Source::Cache, Check::Hash | Check::Index) => true,
        (Source::Archive | Source::Cache, Check::Installed | Check::Unverified) => false,
        (Source::Host(_) | Source::Snapshot | Source::Repacked, _) => false,
    };
    let old = |file: &ProofFile| file.old_from.as_ref().is_some_and(usual);
    let line = |file: &ProofFile| {
        let origin = file.old_from.as_ref().filter(|origin| !usual(origin))?;
        let from = word(&file.from);
        Some(format!("{} back to {from}: {}, {}", file.package, origin.source.word(), origin.check.words()))
    };
    let count = files.iter().filter(|file| old(file)).count();
    let plain = match count {
        0 => None,
        1 => Some("1 old file from the archive or its cache, with the hash of the index".to_owned()),
        n => Some(format!("{n} old files from the archive or its cache, with the hash of the index")),
    };
    files.iter().filter_map(line).chain(plain).collect()
}

/// What of it is known before anything is stored: changes that have no way back.
pub(super) fn beforehand(state: &State, batch: &Batch) -> Option<Finding> {
    let against = one_way(state, batch);
    (!against.is_empty()).then(|| Finding::held(against.join("; "), against))
}

/// Changes that putting the old packages back does not undo, and no snapshot that is taken either.
fn one_way(state: &State, batch: &Batch) -> Vec<String> {
    let lacking = snapshot::cover(state, batch).lacking();
    let words = |(change, class): &(&Change, WayBack)| match class {
        WayBack::Reversible => None,
        WayBack::SnapshotOnly(why) => {
            let lacking = lacking.as_ref()?;
            Some(format!("{}: snapshot only, and {lacking}: {why}", change.package.name))
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
        lines.push(format!(
            "the new kernel is booted once, on trial{keeps}; once it runs, a rollback boots the old one first"
        ));
    }
    lines
}

fn word(version: &Option<crate::types::Version>) -> String {
    version.as_ref().map_or("-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{ApplyReport, KernelBack, Snapshot};
    use crate::core::fixture;
    use crate::core::gate::GateState;
    use crate::facts::Fact;
    use crate::plan::Class;
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
            "rsync:amd64 back to 1: web2, holds what is installed",
            "rsync:amd64 back to 1: repacked, unverified",
            "1 old file from the archive or its cache, with the hash of the index",
        ];
        assert_eq!(origins(&files), lines);
        // Recordings of versions that did not say it.
        let files = [file(None, None)];
        assert_eq!((stored(&files).as_str(), origins(&files).len()), ("2 files stored and hashed", 0));
    }

    fn batch(package: &str, from: &str, to: &str) -> Batch {
        let change = fixture::change(package, from, to, Class::Leaf);
        let file = ProofFile {
            package: change.package.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
            new: Sha256::from_bytes([1; 32]),
            old: Some(Sha256::from_bytes([2; 32])),
            new_from: None,
            old_from: None,
        };
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.changes = vec![change];
        batch.enter(Phase::Staged, fixture::opens());
        batch.proof = Some(Proof { files: vec![file], space_free: 1, ..Proof::default() });
        batch
    }

    fn found(batch: &Batch) -> (GateState, String) {
        let mut state = fixture::window(4, &["web1"], "");
        fixture::booted(&mut state, "web1", Some(Fact::Known(fixture::boot(&[]))));
        let finding = judge(&state, batch);
        (finding.state, [vec![finding.reason], finding.evidence].concat().join(" | "))
    }

    #[test]
    fn what_has_no_way_back_holds_before_and_after_the_proof() {
        let mysql = batch("mysql-server-8.0", "8.0.36-1", "8.0.41-1");
        let (state, words) = found(&mysql);
        assert_eq!(state, GateState::Held);
        assert!(words.starts_with("mysql-server-8.0: NO RETURN: MySQL refuses"), "{words}");
        assert!(words.contains("wants a backup, then a waiver"), "{words}");
        assert!(
            beforehand(&State::default(), &mysql).is_some_and(|finding| finding.state == GateState::Held)
        );
        let nginx = batch("nginx", "1.22.1-9", "1.22.1-10");
        assert_eq!(found(&nginx).0, GateState::Clear);
        assert!(beforehand(&State::default(), &nginx).is_none());
    }

    #[test]
    fn what_the_rollback_stands_on_wants_its_copies() {
        let mut libc = batch("libc6", "2.36-9+deb12u8", "2.36-9+deb12u10");
        let mut say = |tools: Option<Tools>, stands: bool| {
            let package = libc.changes[0].package.clone();
            if let Some(proof) = &mut libc.proof {
                (proof.tools, proof.stands_on) = (tools, if stands { vec![package] } else { Vec::new() });
            }
            found(&libc)
        };
        let (state, words) = say(Some(Tools::Fail("tar is no program of its own here".into())), true);
        assert_eq!(state, GateState::Held);
        let unasked = "libc6: snapshot only, and the plan asks for no snapshots (policy.snapshots): ";
        assert!(words.starts_with(unasked), "{words}");
        assert!(words.contains("tar is no program of its own here"), "{words}");
        let (state, words) = say(Some(Tools::Run(43)), true);
        assert_eq!(state, GateState::Clear);
        assert!(words.contains("it changes libc6: 43 tools copied beside it"), "{words}");
        assert_eq!(say(Some(Tools::Unneeded), false).0, GateState::Clear);
        assert_eq!(say(None, false).0, GateState::Clear, "a recording from before");
    }

    #[test]
    fn a_snapshot_that_is_taken_stands_in_for_what_it_alone_brings_back() {
        let state = snapshot::tests::asking();
        let taking = || Some(Snapshot::Takes(snapshot::tests::taking().into()));
        let fails = || Some(Snapshot::Fails("live data shares it: /var/lib/mysql".into()));
        let found = |package: &str, versions: (&str, &str), said: Option<Snapshot>| {
            let mut batch = batch(package, versions.0, versions.1);
            if let Some(proof) = &mut batch.proof {
                proof.stands_on = vec![batch.changes[0].package.clone()];
                proof.tools = Some(Tools::Fail("tar is no program of its own here".into()));
                proof.snapshot = said;
            }
            let finding = judge(&state, &batch);
            (finding.state, [vec![finding.reason], finding.evidence].concat().join(" | "))
        };
        let libc = ("2.36-9+deb12u8", "2.36-9+deb12u10");
        let (gate, words) = found("libc6", libc, taking());
        assert_eq!(gate, GateState::Clear, "{words}");
        assert!(words.contains("snapshot of /@rootfs is taken before the first change"), "{words}");
        assert!(words.contains("no process writes data there"), "{words}");
        let (gate, words) = found("libc6", libc, fails());
        assert_eq!(gate, GateState::Held);
        let why = "libc6: snapshot only, and no snapshot can be taken: live data shares it: /var/lib/mysql: ";
        assert!(words.starts_with(why), "{words}");
        let (gate, words) = found("libc6", libc, None);
        assert_eq!(gate, GateState::Held);
        assert!(
            words.starts_with("libc6: snapshot only, and the host said nothing of a snapshot: "),
            "{words}"
        );
        // What a snapshot must not hold it does not bring back.
        let (gate, words) = found("mysql-server-8.0", ("8.0.36-1", "8.0.41-1"), taking());
        assert_eq!(gate, GateState::Held);
        assert!(words.starts_with("mysql-server-8.0: NO RETURN: "), "{words}");
    }

    #[test]
    fn a_kernel_without_a_trial_boot_holds() {
        let mut kernel = batch("linux-image-6.1.0-31-amd64", "6.1.128-1", "6.1.129-1");
        let mut say = |manual: Option<&str>| {
            if let Some(proof) = &mut kernel.proof {
                let manual = manual.map(Untrusted::new);
                proof.kernel = Some(KernelBack { keeps: Some("6.1.0-28-amd64".into()), manual });
            }
            found(&kernel)
        };
        let (state, words) = say(Some("GRUB cannot write its environment on lvm"));
        assert_eq!(state, GateState::Held);
        let held = "kernel rollback is not automatic: GRUB cannot write its environment on lvm";
        assert!(words.starts_with(held), "{words}");
        let (state, words) = say(None);
        assert_eq!(state, GateState::Clear);
        let said =
            "booted once, on trial; 6.1.0-28-amd64 stays; once it runs, a rollback boots the old one first";
        assert!(words.contains(said), "{words}");
    }

    #[test]
    fn a_prepared_offline_update_holds_and_is_named() {
        let mut nginx = batch("nginx", "1.22.1-9", "1.22.1-10");
        let what = "/system-update -> /var/lib/PackageKit";
        if let Some(proof) = &mut nginx.proof {
            proof.offline = Some(what.into());
        }
        let (state, words) = found(&nginx);
        assert_eq!(state, GateState::Held);
        assert!(words.contains(what) && words.contains(":restage"), "{words}");
    }

    /// What is known of a host's boot, and whether it is rebooted: the gate, and what it says.
    #[test]
    fn a_host_that_may_wait_for_a_passphrase_is_held_where_it_is_rebooted() {
        let waits = "web1 waits for a disk passphrase at boot (sda3_crypt): it does not come back alone";
        let unread = "whether web1 comes back from a boot alone is unknown: nothing was read of its boot; \
                      :refresh web1 reads it";
        let unknown =
            "whether web1 comes back from a boot alone is unknown (needs root); :refresh web1 reads it again";
        for (boot, said) in [
            (Some(Fact::Known(fixture::boot(&["sda3_crypt"]))), Some(waits)),
            (Some(Fact::Known(fixture::boot(&[]))), None),
            (Some(Fact::Unknown("needs root".into())), Some(unknown)),
            (None, Some(unread)),
        ] {
            let mut state = fixture::window(4, &["web1"], "");
            fixture::booted(&mut state, "web1", boot);
            let mut batch = fixture::batch("b1", "web1", 1);
            batch.proof = Some(Proof::default());
            let told = said.map(str::to_owned);
            let finding = judge(&state, &batch);
            assert_eq!((finding.state, finding.evidence), (GateState::Clear, told.iter().cloned().collect()));
            batch.applied = Some(ApplyReport { reboot_required: true, ..ApplyReport::default() });
            let finding = judge(&state, &batch);
            let wanted = if said.is_some() { GateState::Held } else { GateState::Clear };
            assert_eq!(finding.state, wanted, "{told:?}");
            assert!(told.as_ref().is_none_or(|told| *told == finding.reason), "{}", finding.reason);
        }
    }
}
