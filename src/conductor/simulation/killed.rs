//! The cockpit is killed right after one record of its journal was written, and before anything that was
//! to follow. Another process finds that prefix, in the same folder or in a copy of it elsewhere, takes
//! the hosts under a higher epoch, and the window has a legal end: each batch confirmed or rolled back.

use super::*;

/// Windows that are gone through record by record.
const WINDOWS: u64 = 4;
/// Records of each after which it is killed, in `cargo test`; `HOLDPOINT_KILLS=all` takes every one.
const SAMPLE: u64 = 15;

impl Sim {
    /// Nothing of the turn that wrote this record but the records up to it is ever known.
    pub(super) fn kill(&mut self, at: Seq) {
        self.kill_at = None;
        let mut records = self.conductor.take().expect("it is there").log.crash(usize::MAX);
        records.truncate(at as usize);
        self.picked_up(records);
    }
}

fn purpose(seed: u64) -> Purpose {
    if seed.is_multiple_of(3) { Purpose::Rehearsal } else { Purpose::Run }
}

/// Plays a window in which that happens; how many records there were in the end.
fn play(seed: u64, at: Option<Seq>) -> Seq {
    let mut sim = Sim::new(seed, purpose(seed));
    sim.kill_at = at;
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sim.run();
        assert!(sim.kill_at.is_none() || at > Some(sim.fold.seq), "it was killed");
        sim.check_prefixes();
        let seq = sim.fold.seq;
        // Both ends: somebody takes it back, or nobody is there any more.
        if at.unwrap_or(0).is_multiple_of(2) {
            sim.take_all_back()
        } else {
            sim.leave_alone()
        }
        seq
    }));
    played.unwrap_or_else(|panic| {
        let tail = sim.story.len().saturating_sub(60);
        eprintln!("--- seed {seed}, killed at {at:?}\n{}\n---", sim.story[tail..].join("\n"));
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn a_cockpit_that_is_killed_at_any_record_leaves_a_window_that_another_ends() {
    let all = std::env::var("HOLDPOINT_KILLS").is_ok_and(|which| which == "all");
    let (mut killed, mut records) = (0, 0);
    for seed in 10_000..10_000 + WINDOWS {
        let last = play(seed, None);
        let step = if all { 1 } else { (last / SAMPLE).max(1) };
        // The first record is the opening: before it there is no window.
        for at in (1 + seed % step..=last).step_by(step as usize) {
            play(seed, Some(at));
            killed += 1;
        }
        records += last;
    }
    println!("killed at {killed} of {records} journal records; HOLDPOINT_KILLS=all kills at each");
    assert!(killed >= WINDOWS * SAMPLE, "{killed} of {records}");
}
