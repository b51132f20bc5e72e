//! How far the way back is, batch by batch, in the order in which they are taken.

use super::{Wait, boots_back, in_turn, waits_for};
use crate::core::schedule::{self, BootsBack};
use crate::core::state::{Batch, Phase, State};
use crate::types::Time;

/// Where the rollback of one batch stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is asked for and has not begun.
    Queued(Wait),
    /// Its packages and files are put back.
    Runs {
        /// Since when.
        since: Time,
        /// When this pass is over, as far as is known.
        ends: Time,
        /// Whether it is the pass after the host was booted back.
        again: bool,
        /// Whether the host boots first, away from a kernel that the batch brought, and then puts back.
        boots: bool,
    },
    /// Its packages are back, and what was booted for it is booted away.
    Reboots {
        /// Since when.
        since: Time,
    },
    /// It is compared with before, or about to be.
    Compares {
        /// Since when.
        since: Time,
    },
    /// Rolled back and identical.
    Back {
        /// Since when.
        at: Time,
    },
    /// Rolled back, and not as before, or not rolled back: the batch says how.
    Incomplete {
        /// Since when.
        at: Time,
    },
}

impl Step {
    /// Whether nothing more comes of it by itself.
    pub fn ended(&self) -> bool {
        match self {
            Self::Back { .. } | Self::Incomplete { .. } => true,
            Self::Queued(_) | Self::Runs { .. } | Self::Reboots { .. } | Self::Compares { .. } => false,
        }
    }
}

/// Every batch whose rollback was asked for or begun, by an operator or by its own host: what was
/// applied last comes first.
pub fn progress(state: &State) -> Vec<(&Batch, Step)> {
    let mut concerned: Vec<&Batch> = state.in_order().map(AsRef::as_ref).collect();
    in_turn(&mut concerned);
    concerned.into_iter().filter_map(|batch| Some((batch, step(state, batch)?))).collect()
}

fn step(state: &State, batch: &Batch) -> Option<Step> {
    if batch.wanted_back {
        return Some(Step::Queued(waits_for(state, batch)));
    }
    let since = batch.since;
    Some(match batch.phase {
        Phase::RollingBack => Step::Runs {
            since,
            ends: since + schedule::rollback_pass(state, batch).span,
            again: batch.rebooted_back,
            boots: batch.rebooted.is_some() && schedule::boots_back(batch) == Some(BootsBack::First),
        },
        Phase::Rebooting if boots_back(batch) => Step::Reboots { since },
        Phase::Rebooted if boots_back(batch) => Step::Runs {
            since,
            ends: since + schedule::rollback_pass(state, batch).span,
            again: true,
            boots: false,
        },
        Phase::RolledBack | Phase::Comparing => Step::Compares { since },
        Phase::Back => Step::Back { at: since },
        Phase::BackDiffers | Phase::RollbackFailed => Step::Incomplete { at: since },
        Phase::Planned
        | Phase::Staging
        | Phase::Staged
        | Phase::StageFailed
        | Phase::Applying
        | Phase::Applied
        | Phase::ApplyFailed
        | Phase::Rebooting
        | Phase::Rebooted
        | Phase::Verifying
        | Phase::Verified
        | Phase::Confirming
        | Phase::Confirmed
        | Phase::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{BatchEvent, RollbackReport};
    use crate::core::fixture::{self, opens};
    use crate::core::rollback::due;
    use crate::plan::Class;
    use crate::types::Span;

    /// Batches as HOST-NUMBER, applied in this order, each with its phase and whether it is asked back.
    fn window(batches: &[(&str, Phase, bool)]) -> State {
        let mut state = fixture::window(2, &["web1 web", "web2 web", "db1"], "");
        for (nth, (id, phase, wanted)) in batches.iter().enumerate() {
            let (host, number) = id.split_once('-').expect("HOST-NUMBER");
            let mut batch = fixture::batch(id, host, number.parse().expect("a number"));
            batch.enter(*phase, opens() + Span::secs(nth as u64));
            batch.applied_as = 10 + nth as u64;
            batch.wanted_back = *wanted;
            state.plan_batch(batch);
        }
        state
    }

    fn told(state: &State) -> String {
        let line = |(batch, step): (&Batch, Step)| match step {
            Step::Queued(Wait::Fenced) => format!("{} fenced", batch.id),
            Step::Queued(Wait::Nothing) => format!("{} now", batch.id),
            Step::Queued(Wait::Work(phase)) => format!("{} after {}", batch.id, phase.word()),
            Step::Queued(Wait::After(later)) => format!("{} after {later}", batch.id),
            Step::Queued(Wait::Group(host)) => format!("{} not with {host}", batch.id),
            Step::Runs { ends, again, boots, .. } => {
                let how = if again { " again" } else { "" };
                let first = if boots { " boots and" } else { "" };
                format!("{}{first} runs until {}{how}", batch.id, ends.format("%H:%M:%S"))
            }
            Step::Reboots { .. } => format!("{} reboots", batch.id),
            Step::Compares { .. } => format!("{} compares", batch.id),
            Step::Back { .. } => format!("{} back", batch.id),
            Step::Incomplete { .. } => format!("{} incomplete", batch.id),
        };
        progress(state).into_iter().map(line).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_batch_says_what_it_does_or_waits_for() {
        use Phase::*;
        for (batches, wanted) in [
            (vec![("web1-1", Verified, false), ("web1-2", Staged, false)], ""),
            // Newest first on one host, and never two of a group: db1 stands alone.
            (
                vec![
                    ("web1-1", Confirmed, true),
                    ("web1-2", Verified, true),
                    ("web2-1", Confirmed, true),
                    ("db1-1", Verified, true),
                ],
                "db1-1 now, web2-1 now, web1-2 not with web2, web1-1 after web1-2",
            ),
            (
                vec![("web1-1", Confirmed, true), ("web2-1", RollingBack, false), ("db1-1", Applying, true)],
                "db1-1 after APPLYING, web2-1 runs until 22:00:46, web1-1 not with web2",
            ),
            // Its own host is at work: with another batch.
            (
                vec![("web1-1", Verified, true), ("web1-2", Comparing, false)],
                "web1-2 compares, web1-1 after web1-2",
            ),
            (
                vec![
                    ("db1-1", BackDiffers, false),
                    ("web1-1", RollbackFailed, false),
                    ("web2-1", Back, false),
                ],
                "web2-1 back, web1-1 incomplete, db1-1 incomplete",
            ),
        ] {
            let state = window(&batches);
            assert_eq!(told(&state), wanted, "{batches:?}");
            // What begins now by its words is what the rule starts.
            let now: Vec<_> = progress(&state)
                .into_iter()
                .filter(|(_, step)| *step == Step::Queued(Wait::Nothing))
                .map(|(batch, _)| batch.id.clone())
                .collect();
            assert_eq!(now, due(&state), "{batches:?}");
        }
    }

    /// Between the reboot back and the second pass its runtime addresses are missing still.
    #[test]
    fn a_peer_waits_until_the_reboot_back_is_over_too() {
        for phase in [Phase::Rebooting, Phase::Rebooted, Phase::RolledBack] {
            let mut state = window(&[("web1-1", phase, false), ("web2-1", Phase::Verified, true)]);
            let mut batch = state.in_order().next().expect("a batch").as_ref().clone();
            batch.rolled_back = Some(RollbackReport::default());
            state.plan_batch(batch);
            assert_eq!(due(&state), Vec::new(), "{phase:?}");
        }
    }

    #[test]
    fn a_reboot_belongs_to_the_way_back_only_after_it_began() {
        let rebooting = window(&[("db1-1", Phase::Rebooting, false)]);
        assert_eq!(told(&rebooting), "");
        let mut state = rebooting;
        let mut batch = state.in_order().next().expect("a batch").as_ref().clone();
        batch.rolled_back = Some(RollbackReport::default());
        state.plan_batch(batch.clone());
        assert_eq!(told(&state), "db1-1 reboots");
        batch.rebooted_back = true;
        batch.enter(Phase::RollingBack, opens());
        state.plan_batch(batch);
        assert_eq!(told(&state), "db1-1 runs until 22:00:45 again");
    }
    /// Its host runs a kernel that the batch brought: it boots before anything is put back, and the time says so.
    #[test]
    fn a_boot_before_anything_is_put_back_is_said_and_counted() {
        let mut state = window(&[("db1-1", Phase::RollingBack, false)]);
        let mut batch = state.in_order().next().expect("a batch").as_ref().clone();
        batch.changes = vec![fixture::change("linux-image-6.1.0-31-amd64", "-", "6.1.129-1", Class::Kernel)];
        state.plan_batch(batch.clone());
        assert_eq!(told(&state), "db1-1 runs until 22:00:53", "it was not booted yet");
        batch.rebooted = Some((fixture::boot_id(), Span::secs(50)));
        state.plan_batch(batch.clone());
        assert_eq!(told(&state), "db1-1 boots and runs until 22:04:53");
        // It ended in another boot than the trial's: nothing is rebooted for it once more.
        let other: crate::types::BootId = "0b0b0b0b-1111-4222-8333-444444444444".parse().expect("a boot id");
        for (boot, back) in [(&other, true), (&fixture::boot_id(), false)] {
            let report = RollbackReport { boot: Some(boot.clone()), ..RollbackReport::default() };
            let mut state = state.clone();
            let ended = BatchEvent::RolledBack { batch: batch.id.clone(), started: 1, result: Ok(report) };
            ended.apply(&mut state, 2, opens());
            let batch = state.in_order().next().expect("a batch");
            assert_eq!((batch.phase, batch.rebooted_back), (Phase::RolledBack, back));
        }
        // Where something else of it wanted the reboot (the C library, in the same batch or by itself) any other
        // boot since came before that was put back: the reboot that follows is still to come.
        let libc = fixture::change("libc6", "2.36-9+deb12u8", "2.36-9+deb12u9", Class::Libc);
        for changes in [vec![libc.clone()], [batch.changes.clone(), vec![libc]].concat()] {
            let mut state = state.clone();
            let mut batch = batch.clone();
            batch.changes = changes;
            state.plan_batch(batch.clone());
            let report = RollbackReport { boot: Some(other.clone()), ..RollbackReport::default() };
            let ended = BatchEvent::RolledBack { batch: batch.id.clone(), started: 1, result: Ok(report) };
            ended.apply(&mut state, 2, opens());
            assert!(!state.in_order().next().expect("a batch").rebooted_back);
        }
    }
}
