//! Many windows as the dice have them, and the invariants through each.

use super::*;

/// Seeds in `cargo test`; `HOLDPOINT_SEEDS` asks for more, `HOLDPOINT_SEED` for one and its story.
const SEEDS: u64 = 1_000;

/// What happened in windows, so that a simulation in which it never does is seen.
#[derive(Debug, Default)]
struct Tally {
    events: Seq,
    confirmed: usize,
    fired: usize,
    late: usize,
    lines: usize,
    kept: usize,
    cuts: usize,
}

fn play(seed: u64) -> Tally {
    let purpose = if seed.is_multiple_of(5) { Purpose::Rehearsal } else { Purpose::Run };
    // In some of them customers go dark, and nobody takes back what a line is there for.
    let watched = purpose == Purpose::Run && seed % 8 == 3;
    let mut sim = if watched { line::story(seed) } else { Sim::new(seed, purpose) };
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sim.run();
        sim.check_prefixes();
        if seed % 3 == 1 {
            sim.leave_alone();
        } else {
            sim.take_all_back();
            sim.check_prefixes();
        }
    }));
    if let Err(panic) = played {
        let whole = std::env::var_os("HOLDPOINT_SEED").is_some();
        let tail = if whole { 0 } else { sim.story.len().saturating_sub(60) };
        eprintln!("--- seed {seed}: the story's end\n{}\n---", sim.story[tail..].join("\n"));
        std::panic::resume_unwind(panic);
    }
    let all = sim.hosts.values().flat_map(|host| host.timers.all());
    Tally {
        events: sim.fold.seq,
        confirmed: all.filter(|(_, state)| *state == TimerState::Confirmed).count(),
        fired: sim.hosts.values().map(|host| host.timers.fired).sum(),
        late: sim.came_late,
        lines: sim.spent.len(),
        kept: sim.kept,
        cuts: sim.cuts,
    }
}

#[test]
fn a_thousand_windows_keep_the_invariants() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("HOLDPOINT_SEED") {
        play(seed);
        return;
    }
    let seeds = number("HOLDPOINT_SEEDS").unwrap_or(SEEDS);
    let all = (0..seeds).map(play).fold(Tally::default(), |sum, one| Tally {
        events: sum.events + one.events,
        confirmed: sum.confirmed + one.confirmed,
        fired: sum.fired + one.fired,
        late: sum.late + one.late,
        lines: sum.lines + one.lines,
        kept: sum.kept + one.kept,
        cuts: sum.cuts + one.cuts,
    });
    println!("{seeds} windows: {all:?}");
    // A simulation in which nothing happens proves nothing.
    assert!(all.events > seeds * 100, "{all:?}");
    let some = usize::try_from(seeds / 100).expect("a number");
    assert!(seeds < 100 || (all.confirmed > some && all.fired > some && all.late > 0), "{all:?}");
    assert!(seeds < 1_000 || (all.cuts > 100 && all.lines > some && all.kept > 0), "{all:?}");
}
