//! What stands for a batch with a snapshot of its host: none is asked for, one is taken first, or why not;
//! and what that says on screen.
//!
//! Pure: the plan's wish and what the host found when it staged the batch. Nothing here puts one back.

use super::event::{Snapshot, SnapshotKind, SnapshotLeft, Taking};
use super::state::{Batch, Phase, State};
use crate::types::Untrusted;

/// How a batch stands to a snapshot of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover<'a> {
    /// The plan asks for none.
    Unasked,
    /// The plan asks, and the host has said nothing of it yet.
    Unsaid,
    /// It is taken just before the first change.
    Takes(&'a Taking),
    /// The plan asks, and the host takes none; why.
    Fails(&'a Untrusted),
    /// It was taken, and more was written since than fits in: its kind and where.
    Lost(&'a Untrusted),
}

/// How a batch stands to it.
pub fn cover<'a>(state: &State, batch: &'a Batch) -> Cover<'a> {
    if let Some(SnapshotLeft::Invalid(what)) =
        batch.applied.as_ref().and_then(|report| report.snapshot.as_ref())
    {
        return Cover::Lost(what);
    }
    match batch.proof.as_ref().and_then(|proof| proof.snapshot.as_ref()) {
        Some(Snapshot::Takes(taking)) => Cover::Takes(taking),
        Some(Snapshot::Fails(why)) => Cover::Fails(why),
        None if asked(state) => Cover::Unsaid,
        None => Cover::Unasked,
    }
}

/// Whether the plan asks for snapshots.
pub fn asked(state: &State) -> bool {
    state.plan.as_ref().is_some_and(|plan| plan.policy.snapshots)
}

impl Cover<'_> {
    /// Why nothing stands in for a change that a snapshot alone would bring back; `None`: one does.
    pub fn lacking(self) -> Option<String> {
        match self {
            Self::Unasked => Some("the plan asks for no snapshots (policy.snapshots)".to_owned()),
            Self::Unsaid => Some("the host said nothing of a snapshot".to_owned()),
            Self::Takes(_) => None,
            Self::Fails(why) => Some(format!("no snapshot can be taken: {}", why.shown())),
            Self::Lost(what) => {
                Some(format!("its snapshot is full and holds nothing any more: {}", what.shown()))
            }
        }
    }

    /// The lines of evidence on it.
    pub fn evidence(self) -> Vec<String> {
        match self {
            Self::Unasked => Vec::new(),
            Self::Unsaid => vec!["snapshot: asked by the plan, checked when staged".to_owned()],
            Self::Takes(taking) => vec![will(taking), alone(taking)],
            Self::Fails(why) => {
                vec![format!("snapshot: asked by the plan, and none is taken: {}", why.shown())]
            }
            Self::Lost(_) => self.lacking().into_iter().collect(),
        }
    }
}

/// "a btrfs snapshot of /@rootfs is taken before the first change: /var/lib/holdpoint/snapshots/b1".
pub fn will(taking: &Taking) -> String {
    format!(
        "a {} snapshot of {} is taken before the first change: {}",
        taking.kind.word(),
        taking.of.shown(),
        taking.at.shown()
    )
}

/// Why live data does not share it.
fn alone(taking: &Taking) -> String {
    let apart: Vec<String> = taking.apart.iter().map(Untrusted::shown).collect();
    let apart = match apart.is_empty() {
        true => String::new(),
        false => format!("; on other file systems, and not in it: {}", apart.join(", ")),
    };
    format!("no known data folder on it holds a file, and no process writes data there{apart}")
}

/// What is known of a batch's snapshot, for the rollback sheet; and whether it is bad. Once the batch is
/// confirmed or back there is none any more.
pub fn said(state: &State, batch: &Batch) -> Option<(String, bool)> {
    if batch.applied.is_some() && !batch.phase.unconfirmed() {
        return None;
    }
    let left = batch.applied.as_ref().and_then(|report| report.snapshot.as_ref());
    match (left, cover(state, batch)) {
        (Some(SnapshotLeft::There(what)), _) if batch.phase == Phase::RollbackFailed => Some((
            format!(
                "{} is kept{}, never put back by itself; by hand, as `holdpoint-helper console status` on {} says",
                what.shown(),
                if may_be_full(batch) { " unless it is full since (then it holds nothing)" } else { "" },
                batch.host
            ),
            false,
        )),
        (Some(SnapshotLeft::There(what)), _) => Some((
            format!(
                "{}, from before the batch; removed once that is confirmed or back, never put back by itself",
                what.shown()
            ),
            false,
        )),
        (Some(SnapshotLeft::Invalid(what)), _) => {
            Some((format!("{} took more than fits into it, and holds nothing any more", what.shown()), true))
        }
        (None, Cover::Takes(taking)) if batch.phase.unconfirmed() => Some((
            format!(
                "{} {}, if the apply came that far; never put back by itself",
                taking.kind.word(),
                taking.at.shown()
            ),
            false,
        )),
        (None, Cover::Takes(taking)) => Some((will(taking), false)),
        (None, Cover::Fails(why)) => Some((format!("none was taken: {}", why.shown()), false)),
        (None, Cover::Unsaid | Cover::Unasked | Cover::Lost(_)) => None,
    }
}

/// One of LVM with a fixed size takes so much and no more; what it said last may be old.
fn may_be_full(batch: &Batch) -> bool {
    let taking = batch.proof.as_ref().and_then(|proof| proof.snapshot.as_ref());
    matches!(taking, Some(Snapshot::Takes(taking)) if taking.kind == SnapshotKind::Lvm)
}

/// What a person may do on the host to go back to the snapshot, where it is kept and the rollback did not come
/// off: a command each, what looks first comes first.
pub fn by_hand<'a>(state: &State, batch: &'a Batch) -> &'a [Untrusted] {
    if batch.phase != Phase::RollbackFailed {
        return &[];
    }
    match cover(state, batch) {
        Cover::Takes(taking) => &taking.back,
        Cover::Unasked | Cover::Unsaid | Cover::Fails(_) | Cover::Lost(_) => &[],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::core::event::{ApplyReport, Proof, SnapshotKind};
    use crate::types::Time;

    pub(crate) fn taking() -> Taking {
        Taking {
            kind: SnapshotKind::Btrfs,
            of: "/@rootfs".into(),
            at: "/var/lib/holdpoint/snapshots/b1".into(),
            apart: vec!["/boot".into(), "/srv".into()],
            back: vec!["btrfs subvolume show /var/lib/holdpoint/snapshots/b1".into(), "reboot".into()],
        }
    }

    const PLAN: &str = "[window]\nname = \"Updates\"\nopens = 2026-11-21T22:00:00Z\n\
        closes = 2026-11-22T02:00:00Z\n[[host]]\nname = \"web1\"\nssh = \"web1\"\n[policy]\nsnapshots = true\n";

    pub(crate) fn asking() -> State {
        let plan = crate::plan::read("window.toml", PLAN).expect("a plan");
        let mut state = State::default();
        state.open(crate::core::event::Purpose::Run, &plan, None, plan.window.opens);
        state
    }

    fn batch(snapshot: Option<Snapshot>) -> Batch {
        let (id, host) = ("b1".parse().expect("an id"), "web1".parse().expect("a host"));
        let mut batch = Batch::new(id, host, 1, Vec::new(), Time::default());
        batch.proof = Some(Proof { snapshot, ..Proof::default() });
        batch
    }

    #[test]
    fn the_cover_follows_from_the_plan_and_from_what_the_host_found() {
        let fails = || Some(Snapshot::Fails("live data shares it: /srv".into()));
        let takes = || Some(Snapshot::Takes(taking().into()));
        for (asks, snapshot, lacking, evidence) in [
            (false, None, Some("the plan asks for no snapshots"), None),
            (
                true,
                None,
                Some("the host said nothing"),
                Some("snapshot: asked by the plan, checked when staged"),
            ),
            (
                true,
                takes(),
                None,
                Some("a btrfs snapshot of /@rootfs is taken before the first change: /var"),
            ),
            // Staged under a plan that asked: it is taken all the same.
            (
                false,
                takes(),
                None,
                Some("a btrfs snapshot of /@rootfs is taken before the first change: /var"),
            ),
            (
                true,
                fails(),
                Some("no snapshot can be taken: live data shares it: /srv"),
                Some("snapshot: asked by the plan, and none is taken: live data shares it: /srv"),
            ),
        ] {
            let state = if asks { asking() } else { State::default() };
            let batch = batch(snapshot);
            let cover = cover(&state, &batch);
            let starts = |said: Option<String>, with: Option<&str>| match (said, with) {
                (Some(said), Some(with)) => said.starts_with(with),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(starts(cover.lacking(), lacking), "{cover:?}: {:?}", cover.lacking());
            assert!(starts(cover.evidence().first().cloned(), evidence), "{:?}", cover.evidence());
        }
        let batch = batch(takes());
        let why = cover(&State::default(), &batch).evidence().pop().expect("a second line");
        assert!(
            why.ends_with("no process writes data there; on other file systems, and not in it: /boot, /srv")
        );
    }

    #[test]
    fn the_commands_are_for_a_rollback_that_failed_and_a_snapshot_that_holds() {
        let state = asking();
        let mut failed = batch(Some(Snapshot::Takes(taking().into())));
        assert!(by_hand(&state, &failed).is_empty());
        failed.enter(Phase::RollbackFailed, Time::default());
        assert_eq!(by_hand(&state, &failed).len(), 2);
        let mut left = |snapshot: SnapshotLeft| {
            failed.applied = Some(ApplyReport { snapshot: Some(snapshot), ..ApplyReport::default() });
            (by_hand(&state, &failed).len(), said(&state, &failed).expect("said"))
        };
        let (commands, (words, bad)) =
            left(SnapshotLeft::There("btrfs /var/lib/holdpoint/snapshots/b1".into()));
        assert_eq!((commands, bad), (2, false));
        assert!(words.contains(" is kept, never put back by itself; by hand, as "), "{words}");
        let (commands, (words, bad)) = left(SnapshotLeft::Invalid("lvm vg/holdpoint-b1".into()));
        assert_eq!((commands, bad), (0, true));
        assert_eq!(words, "lvm vg/holdpoint-b1 took more than fits into it, and holds nothing any more");
    }
}
