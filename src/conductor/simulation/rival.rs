//! Two cockpits at length. Somebody goes on with a copy of the recording while the first cockpit still
//! runs: both press keys on the same hosts. Each host obeys the higher epoch alone, the first one notices
//! and orders nothing more, and what nobody confirms its host takes back.

use super::*;
use crate::core::fence;

/// Windows of two cockpits in `cargo test`; `HOLDPOINT_SEEDS` asks for more.
const PAIRS: u64 = 60;

/// What one process has in hand, beside the one that is at work.
struct Cockpit {
    conductor: Option<Conductor<MemoryLog>>,
    epoch: Epoch,
    flight: Vec<InFlight>,
    fold: State,
    failing_since: Option<Time>,
}

impl Sim {
    /// The other one is at work.
    fn turn_to(&mut self, other: &mut Cockpit) {
        std::mem::swap(&mut self.conductor, &mut other.conductor);
        std::mem::swap(&mut self.epoch, &mut other.epoch);
        std::mem::swap(&mut self.flight, &mut other.flight);
        std::mem::swap(&mut self.fold, &mut other.fold);
        std::mem::swap(&mut self.failing_since, &mut other.failing_since);
    }

    /// Another machine takes a copy of the recording over, as far as it is on the disk. The first one, who
    /// is not asked, is what is returned.
    fn taken_over(&mut self) -> Cockpit {
        let log = &self.conductor().log;
        let copied = log.records()[..log.durable() as usize].to_vec();
        self.tell(format!("another cockpit takes a copy over, {} records", copied.len()));
        let mut second = State::default();
        copied.iter().for_each(|record| second.apply(record));
        let epoch = self.epoch + 1;
        let conductor = Conductor::new(MemoryLog::holding(copied), second.clone(), "second".into(), epoch);
        let mut other = Cockpit {
            conductor: Some(conductor),
            epoch,
            flight: Vec::new(),
            fold: second,
            failing_since: None,
        };
        self.turn_to(&mut other);
        self.command(Intent::Resume { take_over: None });
        other
    }

    fn step(&mut self) {
        match self.dice.below(10) {
            0 | 1 => self.operator(),
            2..=5 => self.deliver(),
            6 => self.see(),
            _ => self.pass_time(),
        }
    }
}

#[derive(Debug, Default)]
struct Pairs {
    refused: usize,
    noticed: usize,
    confirmed: usize,
    fired: usize,
}

fn play(seed: u64) -> Pairs {
    let mut sim = Sim::new(seed, Purpose::Run);
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let alone = 20 + sim.dice.below(200);
        (0..alone).for_each(|_| sim.step());
        sim.rivals = true;
        let mut first = sim.taken_over();
        for _ in 0..400 {
            if sim.dice.once_in(2) {
                sim.turn_to(&mut first);
                sim.step();
                sim.turn_to(&mut first);
            } else {
                sim.step();
            }
        }
        // Whoever is on its way arrives; a host is read every few minutes by both.
        for _ in 0..120 {
            sim.now = sim.now + Span::secs(15);
            sim.watch();
            for _ in 0..2 {
                sim.turn_to(&mut first);
                sim.input(&Input::Tick);
                (0..8).for_each(|_| sim.deliver());
            }
        }
        assert_eq!(fence::all(&sim.fold), Vec::new(), "nobody holds anything against the second");
        let held: Vec<HostName> = fence::all(&first.fold).into_iter().map(|(host, _)| host.clone()).collect();
        // What the first one is told to do from there on changes nothing and orders nothing.
        let before: Vec<_> = sim.hosts.values().map(|host| host.started.len()).collect();
        sim.turn_to(&mut first);
        sim.command(Intent::Rollback { scope: RollbackScope::All, why: "the first one's key".into() });
        for host in &held {
            let queued = sim.fold.batches_of(host).any(|batch| batch.wanted_back && batch.phase.running());
            assert!(!queued, "{host} is not rolled back by one who does not hold it");
        }
        sim.turn_to(&mut first);
        let after: Vec<_> = sim.hosts.values().map(|host| host.started.len()).collect();
        if held.len() == sim.hosts.len() {
            assert_eq!(before, after, "its key begins nothing on any host");
        }
        sim.leave_alone();
        held.len()
    }));
    let noticed = played.unwrap_or_else(|panic| {
        let tail = sim.story.len().saturating_sub(80);
        eprintln!("--- seed {seed}\n{}\n---", sim.story[tail..].join("\n"));
        std::panic::resume_unwind(panic)
    });
    let confirmed = sim.hosts.values().flat_map(|host| host.timers.all());
    Pairs {
        refused: sim.refused,
        noticed,
        confirmed: confirmed.filter(|(_, state)| *state == TimerState::Confirmed).count(),
        fired: sim.hosts.values().map(|host| host.timers.fired).sum(),
    }
}

#[test]
fn two_cockpits_at_once_and_one_wins() {
    let number = std::env::var("HOLDPOINT_SEEDS").ok().and_then(|text| text.parse::<u64>().ok());
    let pairs = number.unwrap_or(PAIRS);
    let all = (20_000..20_000 + pairs).map(play).fold(Pairs::default(), |sum, one| Pairs {
        refused: sum.refused + one.refused,
        noticed: sum.noticed + one.noticed,
        confirmed: sum.confirmed + one.confirmed,
        fired: sum.fired + one.fired,
    });
    println!("{pairs} pairs of cockpits: {all:?}");
    assert!(all.refused > 0 && all.fired > 0, "{all:?}");
    assert_eq!(all.noticed as u64, pairs * 4, "the first one notices on every host");
}
