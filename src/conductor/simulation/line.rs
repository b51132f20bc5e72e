//! Customers go dark after an apply: a line that was agreed rolls it back, unless somebody keeps it.

use super::*;
use crate::core::event::{AlarmEvent, Cause};
use crate::plan::{AbortLine, AbortProbes, AutoRollback, Limit, VantageKind};

/// A window whose update of web2 cuts its customers off, with one abort line and these words for it.
fn window(seed: u64, auto: AutoRollback) -> Sim {
    sealed(seed, auto, Span::secs(60))
}

fn sealed(seed: u64, auto: AutoRollback, countdown: Span) -> Sim {
    let mut sim = Sim::new(seed, Purpose::Run);
    // The plan of a seed has a line or none: the one that is looked at here is put into the very first record.
    let mut plan = sim.fold.plan.as_ref().expect("a plan").as_ref().clone();
    plan.aborts = vec![AbortLine {
        probes: AbortProbes::Required,
        from: VantageKind::Outside,
        fails: Limit { fails: 3, of: 5 },
    }];
    // The host that is next has customers as well.
    let mut of_db1 = plan.customers[0].clone();
    (of_db1.name, of_db1.host) = ("customer-of-db1".parse().expect("a name"), name("db1"));
    plan.customers.push(of_db1);
    (plan.policy.auto_rollback, plan.policy.countdown) = (auto, countdown);
    (plan.policy.bake, plan.policy.confirm_within) = (Span::mins(30), Span::mins(30));
    sim.conductor = Some(Conductor::new(MemoryLog::new(), State::default(), "first".into(), 1));
    (sim.fold, sim.flight, sim.story) = (State::default(), Vec::new(), Vec::new());
    for host in sim.hosts.values_mut() {
        host.breaks = true;
    }
    sim.command(Intent::Open { purpose: Purpose::Run, plan: Box::new(plan), rehearsal: None });
    sim
}

/// The same with an operator and faults, as the dice have it.
pub(super) fn story(seed: u64) -> Sim {
    let mut sim = sealed(seed, AutoRollback::Armed, Span::secs(seed % 30));
    sim.watched = true;
    sim
}

pub(super) fn pass(sim: &mut Sim) {
    sim.now = sim.now + Span::secs(2);
    sim.watch();
    sim.miss();
    sim.fail_reads();
    sim.input(&Input::Tick);
    sim.check_countdowns();
    for _ in 0..6 {
        sim.deliver();
    }
    sim.see();
}

fn phase(sim: &Sim) -> Option<Phase> {
    sim.fold.batches_of(&name("web2")).next().map(|batch| batch.phase)
}

/// Goes on until the line is met on web2; `None` where an apply of this seed fails.
fn dark(sim: &mut Sim) -> Option<()> {
    until(sim, |sim| !sim.fold.alarms.lines.is_empty())
}

/// Goes on, with web2's first batch started, until that is so.
fn until(sim: &mut Sim, so: impl Fn(&Sim) -> bool) -> Option<()> {
    for _ in 0..400 {
        pass(sim);
        if so(sim) {
            return Some(());
        }
        let web2 = name("web2");
        let staged = sim.fold.batches_of(&web2).next().filter(|b| b.phase == Phase::Staged);
        let Some(batch) = staged.map(|batch| batch.id.clone()) else { continue };
        for gate in gate::GATES {
            sim.command(Intent::Waive {
                gate: gate.word().into(),
                batch: batch.clone(),
                reason: "the story".into(),
                watch: "the probes".into(),
                lasts: Span::mins(20),
            });
        }
        sim.command(Intent::Go { batch });
    }
    None
}

/// What was recorded of lines.
fn lines(sim: &Sim) -> Vec<String> {
    let log = &sim.conductor.as_ref().expect("it is there").log;
    let words = log.records().iter().filter_map(|record| match &record.event {
        Event::Alarm(AlarmEvent::LineMet { .. }) => Some("met"),
        Event::Alarm(AlarmEvent::CountdownStarted { .. }) => Some("counts"),
        Event::Alarm(AlarmEvent::Kept { .. }) => Some("kept"),
        Event::Alarm(AlarmEvent::Fired { .. }) => Some("fired"),
        Event::Batch(BatchEvent::RollbackQueued { .. }) => Some("rollback"),
        _ => None,
    });
    words.map(str::to_owned).collect()
}

/// Windows of several seeds in which the line is met.
fn met(auto: AutoRollback) -> Vec<Sim> {
    let all: Vec<Sim> = (0..40)
        .map(|seed| window(seed, auto))
        .filter_map(|mut sim| dark(&mut sim).map(|()| sim))
        .take(5)
        .collect();
    assert_eq!(all.len(), 5, "applies fail now and then, not always");
    all
}

#[test]
fn customers_dark_after_an_apply_are_rolled_back_with_nobody_there() {
    for mut sim in met(AutoRollback::Armed) {
        let since = sim.now;
        while phase(&sim) != Some(Phase::Back) {
            assert!(sim.now < since + Span::mins(10), "{}", sim.story.join("\n"));
            pass(&mut sim);
        }
        assert_eq!(lines(&sim), ["met", "counts", "fired", "rollback"]);
        let host = &sim.hosts[&name("web2")];
        assert_eq!(host.installed, host.first, "as it was");
        // The customers are back, and nothing more is taken back.
        for _ in 0..30 {
            pass(&mut sim);
        }
        assert!(sim.fold.alarms.raised.is_empty(), "{:?}", sim.fold.alarms);
        assert_eq!(lines(&sim), ["met", "counts", "fired", "rollback"]);
    }
}

#[test]
fn what_is_kept_is_not_rolled_back() {
    for mut sim in met(AutoRollback::Armed) {
        sim.command(Intent::Keep { host: name("web2"), reason: "they move at this moment".into() });
        for _ in 0..120 {
            pass(&mut sim);
        }
        assert_eq!(lines(&sim), ["met", "counts", "kept"]);
        assert!(phase(&sim).is_some_and(Phase::unconfirmed) && !sim.fold.alarms.raised.is_empty());
    }
}

#[test]
fn asked_nobody_answers_and_nothing_is_rolled_back() {
    for mut sim in met(AutoRollback::Ask) {
        for _ in 0..120 {
            pass(&mut sim);
        }
        assert_eq!(lines(&sim), ["met"]);
    }
}

/// A countdown that another process can't have seen is begun anew there, and rolls back once.
#[test]
fn a_cockpit_that_dies_in_the_countdown_begins_it_anew() {
    for mut sim in met(AutoRollback::Armed) {
        for _ in 0..25 {
            pass(&mut sim);
        }
        sim.crash();
        let resumed = sim.now;
        while phase(&sim) != Some(Phase::Back) {
            assert!(sim.now < resumed + Span::mins(15), "{}", sim.story.join("\n"));
            pass(&mut sim);
        }
        let lines = lines(&sim);
        assert_eq!(lines.iter().filter(|word| *word == "fired").count(), 1, "{lines:?}");
        let of = |what: &str| lines.iter().filter(|word| *word == what).count();
        assert_eq!((of("met"), of("counts")), (1, 2), "{lines:?}");
    }
}

/// The cockpit's own network goes for that long while web2 is watched, and its customers are served: nothing is
/// rolled back.
#[test]
fn a_network_that_goes_for_a_while_rolls_nothing_back() {
    for (seed, secs) in (0..).zip([6, 10, 14, 18, 24, 60, 120]) {
        let seeds = (seed..40).step_by(7);
        let watched = seeds.map(|seed| window(seed, AutoRollback::Armed)).find_map(|mut sim| {
            sim.hosts.values_mut().for_each(|host| host.breaks = false);
            until(&mut sim, |sim| phase(sim) == Some(Phase::Verified)).map(|()| sim)
        });
        let mut sim = watched.expect("applies fail now and then, not always");
        sim.cut_off = Some(sim.now);
        for _ in 0..secs / 2 {
            pass(&mut sim);
        }
        sim.cut_off = None;
        for _ in 0..60 {
            pass(&mut sim);
        }
        let lines = lines(&sim);
        assert!(!lines.iter().any(|word| word == "fired"), "{secs} s: {lines:?}\n{}", sim.story.join("\n"));
        assert!(phase(&sim).is_some_and(|phase| phase != Phase::RollingBack && phase != Phase::Back));
    }
}

/// It goes in the countdown of a real outage: what is seen again afterwards counts down anew, and rolls back once.
#[test]
fn an_outage_is_told_again_when_the_network_is_back() {
    for mut sim in met(AutoRollback::Armed) {
        sim.cut_off = Some(sim.now);
        for _ in 0..30 {
            pass(&mut sim);
        }
        assert!(!lines(&sim).contains(&"fired".to_owned()), "{}", sim.story.join("\n"));
        sim.cut_off = None;
        let back = sim.now;
        while phase(&sim) != Some(Phase::Back) {
            assert!(sim.now < back + Span::mins(10), "{}", sim.story.join("\n"));
            pass(&mut sim);
        }
        assert_eq!(lines(&sim).iter().filter(|word| *word == "fired").count(), 1);
    }
}

/// A unit that fails by an apply is told by the verifying, one that fails a while after it long before the bake is over.
#[test]
fn a_unit_that_failed_since_its_batch_is_told_in_time() {
    for (since, within) in [(Phase::Applying, Span::secs(10)), (Phase::Verified, Span::secs(60))] {
        let failed = (0..40).map(|seed| window(seed, AutoRollback::Armed)).find_map(|mut sim| {
            sim.hosts.values_mut().for_each(|host| host.breaks = false);
            until(&mut sim, |sim| phase(sim) == Some(since))?;
            sim.hosts.get_mut(&name("web2")).expect("a host").failed =
                vec!["nginx.service".parse().expect("a unit")];
            until(&mut sim, |sim| phase(sim) == Some(Phase::Verified)).map(|()| sim)
        });
        let mut sim = failed.expect("applies fail now and then, not always");
        let verified = sim.now;
        let told = |sim: &Sim| {
            let mut raised = sim.fold.alarms.raised.keys();
            raised.any(|cause| matches!(cause, Cause::Unit { host, .. } if *host == name("web2")))
        };
        while !told(&sim) {
            assert!(sim.now < verified + within, "{since:?}: {}", sim.story.join("\n"));
            pass(&mut sim);
        }
    }
}
