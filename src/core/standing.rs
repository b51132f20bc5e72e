//! How a host's pending updates relate to what was rehearsed.

use std::collections::BTreeSet;

use super::change::{Change, Rehearsal, Standing};
use super::risk;
use super::state::{Host, State};
use super::wayback::{self, WayBack};
use crate::facts::{KeptWhy, Pending};
use crate::types::{PackageId, Version};

/// One row of a host's update list against the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which package.
    pub package: PackageId,
    /// The version there now; `None` where it would be new.
    pub from: Option<Version>,
    /// What the host is offered; `None` where it is not offered anything (MISSING).
    pub offered: Option<Version>,
    /// What was rehearsed or, without a rehearsal, what the baseline has pending or installed.
    pub rehearsed: Option<Version>,
    /// How they relate.
    pub standing: Standing,
    /// Why it is kept back, where it is.
    pub kept: Option<KeptWhy>,
    /// Whether it comes from a security archive.
    pub security: bool,
    /// Whether it was put off to the next window.
    pub left: bool,
    /// How it can be taken back, as far as that is known before its packages are stored.
    pub way_back: WayBack,
}

/// The whole list of a host: what is pending, what was rehearsed and is not offered, what is kept
/// back. `None` until the host's updates are known.
pub fn rows(state: &State, host: &Host) -> Option<Vec<Row>> {
    let updates = host.facts.updates.as_ref()?.known()?;
    let rehearsal = state.rehearsal.as_deref();
    let mut rows: Vec<Row> = updates
        .pending
        .iter()
        .map(|pending| {
            let (rehearsed, standing) = stand(state, rehearsal, pending);
            let name = &pending.package.name;
            Row {
                way_back: wayback::known(name, pending.from.as_ref(), target(rehearsal, pending, standing)),
                package: pending.package.clone(),
                from: pending.from.clone(),
                offered: Some(pending.to.clone()),
                rehearsed,
                standing,
                kept: None,
                security: pending.security,
                left: host.left.contains(&pending.package.name),
            }
        })
        .collect();
    rows.extend(updates.kept.iter().map(|kept| Row {
        package: kept.package.clone(),
        from: Some(kept.from.clone()),
        offered: kept.candidate.clone(),
        rehearsed: rehearsal.and_then(|r| r.of(&kept.package)).map(|frozen| frozen.to.clone()),
        standing: Standing::Kept,
        kept: Some(kept.why),
        security: false,
        left: false,
        way_back: WayBack::Reversible,
    }));
    if let Some(rehearsal) = rehearsal {
        rows.extend(missing(host, rehearsal, &rows));
    }
    rows.sort_by(|a, b| rank(a.standing).cmp(&rank(b.standing)).then_with(|| a.package.cmp(&b.package)));
    Some(rows)
}

/// The version that a window would install: the rehearsed one, unless the host is offered an older one.
fn target<'a>(rehearsal: Option<&'a Rehearsal>, pending: &'a Pending, standing: Standing) -> &'a Version {
    match rehearsal.and_then(|rehearsal| rehearsal.of(&pending.package)) {
        Some(frozen) if standing != Standing::Older => &frozen.to,
        Some(_) | None => &pending.to,
    }
}

/// What is new stands first, what was rehearsed last.
fn rank(standing: Standing) -> u8 {
    match standing {
        Standing::Untested => 0,
        Standing::Newer => 1,
        Standing::Older => 2,
        Standing::OtherFrom => 3,
        Standing::Missing => 4,
        Standing::Kept => 5,
        Standing::Same => 6,
    }
}

fn stand(state: &State, rehearsal: Option<&Rehearsal>, pending: &Pending) -> (Option<Version>, Standing) {
    if let Some(rehearsal) = rehearsal {
        return match rehearsal.of(&pending.package) {
            None => (None, Standing::Untested),
            Some(frozen) => {
                let standing = compare(&pending.to, &frozen.to, pending.from == frozen.from);
                (Some(frozen.to.clone()), standing)
            }
        };
    }
    // Before any rehearsal: what the baseline has pending or installed. `rehearsed` stays `None`,
    // and the gate is held: the same list is not the same as a rehearsal.
    let Some(reference) = state.reference() else { return (None, Standing::Untested) };
    let theirs = reference.facts.updates.as_ref().and_then(|updates| updates.known());
    if let Some(other) = theirs.and_then(|u| u.pending.iter().find(|p| p.package == pending.package)) {
        return (None, compare(&pending.to, &other.to, pending.from == other.from));
    }
    let installed = reference.facts.packages.as_ref().and_then(|packages| packages.known());
    match installed.and_then(|packages| packages.installed.get(&pending.package)) {
        Some(there) => (None, compare(&pending.to, &there.version, false)),
        None => (None, Standing::Untested),
    }
}

fn compare(offered: &Version, rehearsed: &Version, same_from: bool) -> Standing {
    match offered.cmp(rehearsed) {
        std::cmp::Ordering::Equal if same_from => Standing::Same,
        std::cmp::Ordering::Equal => Standing::OtherFrom,
        std::cmp::Ordering::Greater => Standing::Newer,
        std::cmp::Ordering::Less => Standing::Older,
    }
}

/// Rehearsed, installed here in an older version, and not offered.
fn missing(host: &Host, rehearsal: &Rehearsal, rows: &[Row]) -> Vec<Row> {
    let listed: BTreeSet<&PackageId> = rows.iter().map(|row| &row.package).collect();
    let installed = host.facts.packages.as_ref().and_then(|packages| packages.known());
    let mut found = Vec::new();
    for frozen in &rehearsal.set {
        let here = installed.and_then(|packages| packages.installed.get(&frozen.package));
        if let Some(here) = here
            && !listed.contains(&frozen.package)
            && here.version < frozen.to
        {
            found.push(Row {
                package: frozen.package.clone(),
                from: Some(here.version.clone()),
                offered: None,
                rehearsed: Some(frozen.to.clone()),
                standing: Standing::Missing,
                kept: None,
                security: false,
                left: false,
                way_back: WayBack::Reversible,
            });
        }
    }
    found
}

/// The changes that a host's pending updates come to: the rehearsed version where one was
/// rehearsed, and nothing that was put off. `None` until the updates are known.
pub fn changes(state: &State, host: &Host) -> Option<Vec<Change>> {
    let updates = host.facts.updates.as_ref()?.known()?;
    let rehearsal = state.rehearsal.as_deref();
    let changes = updates
        .pending
        .iter()
        .filter(|pending| !host.left.contains(&pending.package.name))
        .map(|pending| {
            let (rehearsed, standing) = stand(state, rehearsal, pending);
            let frozen = rehearsal.and_then(|r| r.of(&pending.package));
            // The window installs the frozen set; what is newer is left for the next window.
            let (to, sha256) = match frozen {
                Some(frozen) if standing != Standing::Older => (frozen.to.clone(), Some(frozen.sha256)),
                Some(_) | None => (pending.to.clone(), pending.sha256),
            };
            Change {
                package: pending.package.clone(),
                from: pending.from.clone(),
                to,
                sha256,
                rehearsed,
                standing,
                security: pending.security,
                source: pending.source.clone(),
                class: risk::class_of(&pending.package.name),
                size: pending.size,
                needs: pending.needs.clone(),
                origin: pending.origin.clone(),
            }
        })
        .collect();
    Some(changes)
}
