//! What an operation on a host came to, as the answer of its effect.
//!
//! Pure: no connection, no clock. What can't be read is a failure, and never taken for good.

use super::outcome::{ApplyResult, OutcomeError, RollbackResult, Side, StageResult, Trouble, named};
use crate::core::Change;
use crate::core::event::{ApplyReport, Failure, FailureKind, Proof, ProofFile, RollbackReport, SnapshotLeft};
use crate::facts::Section;
use crate::types::{BootId, HostName, PackageId, Span, Untrusted};

/// An operation that has ended.
pub(super) struct Ended {
    /// On which host.
    pub host: HostName,
    /// Its exit status.
    pub exit: i32,
    /// The boot in which it was done.
    pub boot: BootId,
    /// Its result.
    pub section: Section,
}

impl Ended {
    /// The failure that the operation ended with: its own words where it has some.
    fn failed(&self, what: &str, troubles: &[Trouble]) -> Failure {
        let words: Vec<String> =
            troubles.iter().map(|t| format!("{}: {}", t.code.shown(), t.words.shown())).collect();
        let why = if words.is_empty() { format!("status {}", self.exit) } else { words.join("; ") };
        Failure::new(FailureKind::Failed, format!("{}: {what} did not come off: {why}", self.host))
    }

    pub(super) fn unread(&self, error: &OutcomeError) -> Failure {
        Failure::new(FailureKind::Malformed, format!("{}: {error}", self.host))
    }
}

/// What a stage came to: the evidence that its rollback will work.
pub(super) fn staged(ended: &Ended, changes: &[Change]) -> Result<Proof, Failure> {
    let result = StageResult::parse(&ended.section).map_err(|e| ended.unread(&e))?;
    let mut missing: Vec<Untrusted> = Vec::new();
    let words = |what: &str, package: &dyn std::fmt::Display, why: &str| {
        Untrusted::new(format!("{package}: {what}: {why}"))
    };
    missing.extend(
        result.missing_new.iter().map(|m| words("the new file can't be had", &m.package, &m.why.shown())),
    );
    missing.extend(result.missing_old.iter().map(|m| words("no way back", &m.package, &m.why.shown())));
    missing.extend(
        result
            .mismatches
            .iter()
            .map(|m| words("not the rehearsed file", &m.package, &format!("its SHA-256 is {}", m.got))),
    );
    missing.extend(
        result.failed.iter().map(|t| Untrusted::new(format!("{}: {}", t.code.shown(), t.words.shown()))),
    );
    if let Some(Err(why)) = &result.timer {
        missing.push(Untrusted::new(format!("dead-man timer: {}", why.shown())));
    }
    if ended.exit != 0 && missing.is_empty() {
        return Err(ended.failed("staging", &result.failed));
    }
    let wanted = |package| changes.iter().any(|change| change.package == package);
    let beyond = result
        .forward
        .iter()
        .filter(|step| !wanted(step.package.clone()))
        .map(|step| Untrusted::new(format!("{} to {}", step.package, step.to)));
    let removed =
        result.forward_removes.iter().map(|package| Untrusted::new(format!("{package}, by removing it")));
    let from = |side, package: &PackageId| {
        let found = result.sources.iter().find(|(of, id, _)| *of == side && id == package);
        found.map(|(_, _, origin)| origin.clone())
    };
    let files = result.packages.iter().filter_map(|staged| {
        Some(ProofFile {
            package: staged.package.clone(),
            from: staged.from.clone(),
            to: staged.to.clone()?,
            new: staged.new?,
            old: staged.old,
            new_from: from(Side::New, &staged.package),
            old_from: from(Side::Old, &staged.package),
        })
    });
    let tightest = result.space.iter().min_by_key(|space| space.free.saturating_sub(space.need));
    Ok(Proof {
        files: files.collect(),
        beyond: named(beyond.chain(removed).collect()),
        reverse: match result.reverse_ok {
            Some(true) => None,
            Some(false) => Some(result.reverse_why.clone()),
            None => Some("it was not reached".into()),
        },
        space_needed: tightest.map_or(0, |space| space.need),
        space_free: tightest.map_or(0, |space| space.free),
        missing: named(missing),
        restarts: result.restarts,
        tools: result.tools,
        stands_on: result.stands_on,
        kernel: result.kernel,
        snapshot: result.snapshot,
        offline: result.offline,
    })
}

/// What an apply did.
pub(super) fn applied(ended: &Ended) -> Result<ApplyReport, Failure> {
    let result = ApplyResult::parse(&ended.section).map_err(|e| ended.unread(&e))?;
    let mut troubles = result.failed.clone();
    troubles.extend(result.refused.clone());
    if ended.exit != 0 {
        return Err(ended.failed("the apply", &troubles));
    }
    Ok(ApplyReport {
        took: result.verified.duration,
        etc_changed: result.etc_changed,
        restarted: result.verified.restarted,
        reboot_required: result.reboot_required.unwrap_or(false),
        snapshot: result.snapshot,
    })
}

/// The exit status of a rollback that goes on after a boot, by an operation of its own.
const GOES_ON: i32 = 75;

/// Where a rollback goes on after a boot: the kernel that is booted, and how long it has taken so far.
pub(super) fn boots_back(ended: &Ended) -> Result<Option<(Untrusted, Span)>, Failure> {
    if ended.exit != GOES_ON {
        return Ok(None);
    }
    let result = RollbackResult::parse(&ended.section).map_err(|e| ended.unread(&e))?;
    // A second press of the key finds the boot on its way.
    let kernel = result.boots_back.unwrap_or_else(|| "of before".into());
    Ok(Some((kernel, result.verified.duration)))
}

/// What a rollback did, and what it found not as before.
pub(super) fn rolled_back(ended: &Ended) -> Result<RollbackReport, Failure> {
    let result = RollbackResult::parse(&ended.section).map_err(|e| ended.unread(&e))?;
    // In the words of the comparison of facts, so that the two say a thing once.
    let addresses = result.addresses_missing.iter().map(|(interface, address)| {
        Untrusted::new(format!("address {} on {interface}: gone", address.raw()))
    });
    let files = result.files_differ.iter();
    let files = files.map(|(package, words)| Untrusted::new(format!("file of {package}: {}", words.raw())));
    let missing = named(addresses.chain(files).collect());
    if ended.exit != 0 {
        let said = missing.iter().map(|words| ("not as before", words));
        let said = said.chain(result.cautions.iter().map(|words| ("caution", words)));
        let snapshot = result.snapshot.as_ref().map(|left| match left {
            SnapshotLeft::There(what) => ("a snapshot of before is kept", what),
            SnapshotLeft::Invalid(what) => {
                ("the snapshot of before is full and holds nothing any more", what)
            }
        });
        let said =
            said.chain(snapshot).map(|(code, words)| Trouble { code: code.into(), words: words.clone() });
        let troubles: Vec<Trouble> = result.failed.iter().cloned().chain(said).collect();
        return Err(ended.failed("the rollback", &troubles));
    }
    let addresses = result.addresses_restored.iter();
    let network =
        addresses.map(|(interface, address)| Untrusted::new(format!("{} on {interface}", address.raw())));
    Ok(RollbackReport {
        took: result.verified.duration,
        etc_restored: result.etc_restored,
        etc_left: result.etc_left,
        network_restored: named(network.chain(result.routes_restored.iter().cloned()).collect()),
        restarted: result.verified.restarted,
        identical: result.identical,
        missing,
        cautions: result.cautions,
        pinned: result.pinned,
        boot: Some(ended.boot.clone()),
        booted: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: i32, text: &str) -> Ended {
        let lines = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        let section = Section { name: "result".into(), lines, status: 0 };
        let boot = "0a0a0a0a-1111-4222-8333-444444444444".parse().expect("a boot id");
        Ended { host: "web1".parse().expect("a name"), exit, boot, section }
    }

    const SAID: &str = "caution the state at the start could not be saved whole
address-missing eth0 192.0.2.21/24
file-differs libc6:amd64 usr/lib/x: Mod time differs
identical no
";

    #[test]
    fn a_rollback_keeps_what_the_host_says_is_not_as_before() {
        let report = rolled_back(&ended(0, SAID)).expect("it came off");
        let missing: Vec<&str> = report.missing.iter().map(Untrusted::raw).collect();
        let file = "file of libc6:amd64: usr/lib/x: Mod time differs";
        assert_eq!(missing, ["address 192.0.2.21/24 on eth0: gone", file]);
        assert_eq!((report.identical, report.cautions.len()), (Some(false), 1));
        let report = rolled_back(&ended(0, "identical yes\n")).expect("it came off");
        assert_eq!((report.identical, report.missing.len()), (Some(true), 0));
    }

    #[test]
    fn a_rollback_that_did_not_come_off_says_why() {
        let failure = rolled_back(&ended(1, SAID)).expect_err("it did not come off");
        assert_eq!(
            failure.what.raw(),
            "web1: the rollback did not come off: not as before: address 192.0.2.21/24 on eth0: gone; \
             not as before: file of libc6:amd64: usr/lib/x: Mod time differs; \
             caution: the state at the start could not be saved whole"
        );
    }

    #[test]
    fn a_rollback_that_goes_on_after_a_boot_is_no_end() {
        let (kernel, took) = boots_back(&ended(75, "boots-back 6.1.0-28-amd64\nduration-ms 900\n"))
            .expect("reads")
            .expect("goes on");
        assert_eq!((kernel.raw(), took), ("6.1.0-28-amd64", Span::ms(900)));
        assert_eq!(boots_back(&ended(0, "identical yes\n")).expect("reads"), None);
        assert_eq!(boots_back(&ended(1, "boots-back 6.1.0-28-amd64\n")).expect("reads"), None);
    }

    #[test]
    fn what_is_missing_is_cut_and_counted() {
        let lines: String = (0..1_005).map(|n| format!("address-missing eth0 2001:db8::{n}/64\n")).collect();
        let report = rolled_back(&ended(0, &lines)).expect("it came off");
        assert_eq!((report.missing.len(), report.missing[1_000].raw()), (1_001, "and 5 more"));
    }
}
