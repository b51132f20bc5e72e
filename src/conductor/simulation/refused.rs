//! What a host says can be longer than a line of the journal may be: the effect has its answer all
//! the same, and the window goes on.

use super::*;
use crate::core::Answer;
use crate::core::event::{FailureKind, Proof, VerifyReport};
use crate::facts::{Domain, Fact, Listener, Protocol};
use crate::types::Untrusted;

/// More than any record of the simulation needs, less than what is sent below.
const MOST: usize = 64 * 1024;

/// Goes on, with the first seed in which nothing comes before it, until an effect of this kind is
/// under way, and takes it out of the hosts' hands.
fn until(wanted: fn(&Effect) -> bool) -> (Sim, Seq) {
    for seed in 0..20 {
        let mut sim = Sim::new(seed, Purpose::Rehearsal);
        sim.conductor().log.refuse_longer(MOST);
        for _ in 0..200 {
            sim.now = sim.now + Span::secs(5);
            sim.input(&Input::Tick);
            if let Some(at) = sim.flight.iter().position(|f| wanted(&f.started.effect)) {
                let id = sim.flight.remove(at).started.id;
                return (sim, id);
            }
            sim.deliver();
        }
    }
    panic!("no such effect");
}

fn huge() -> Vec<Untrusted> {
    vec![Untrusted::new("x".repeat(1_000)); 100]
}

fn answer(sim: &mut Sim, id: Seq, answer: Answer) -> crate::core::state::Batch {
    let batch = sim.fold.pending[&id].batch.clone().expect("it is of a batch");
    sim.input(&Input::Answer { id, answer: Box::new(answer) });
    assert!(!sim.fold.pending.contains_key(&id), "it has answered");
    (*sim.fold.batches[&batch]).clone()
}

#[test]
fn an_answer_that_does_not_fit_the_journal_is_a_failure_of_its_kind() {
    let (mut sim, id) = until(|effect| matches!(effect, Effect::Stage(..)));
    let batch = answer(&mut sim, id, Answer::Staged(Ok(Proof { missing: huge(), ..Proof::default() })));
    let failure = batch.failure.expect("it failed");
    assert_eq!((batch.phase, failure.kind), (Phase::StageFailed, FailureKind::Malformed));
    assert!(failure.what.raw().starts_with("what was said does not fit the journal: 10"), "{failure:?}");
    sim.take_all_back();
}

#[test]
fn a_verifying_that_does_not_fit_the_journal_is_taken_back() {
    let (mut sim, id) = until(|effect| matches!(effect, Effect::Verify { .. }));
    let report = VerifyReport { etc_differs: huge(), ..VerifyReport::default() };
    let batch = answer(&mut sim, id, Answer::Verified(Ok(report), Span::secs(3)));
    assert_eq!((batch.phase, batch.verify_took), (Phase::ApplyFailed, Some(Span::secs(3))));
    sim.take_all_back();
}

#[test]
fn facts_that_do_not_fit_the_journal_are_not_known() {
    let (mut sim, id) = until(|effect| matches!(effect, Effect::Read { .. }));
    let host = sim.fold.pending[&id].host.clone().expect("it is of a host");
    let listener = Listener {
        protocol: Protocol::Tcp,
        at: "192.0.2.11:443".parse().expect("an address"),
        program: Some("x".repeat(1_000).into()),
        v6_only: false,
    };
    let domain = Domain::Listeners(Fact::Known(vec![listener; 100]));
    sim.input(&Input::Sample { id, sample: Box::new(Sample::Learnt { host: host.clone(), domain }) });
    let listeners = sim.fold.hosts[&host].facts.listeners.clone().expect("they were asked for");
    let Fact::Unknown(why) = listeners.fact else { panic!("{listeners:?}") };
    assert!(why.raw().contains("does not fit the journal"), "{why:?}");
}

#[test]
fn lines_that_do_not_fit_the_journal_are_counted() {
    use crate::core::event::{LogLine, LogSource, Samples};
    let mut sim = Sim::new(7, Purpose::Rehearsal);
    sim.conductor().log.refuse_longer(MOST);
    let line = LogLine::new(name("test1"), LogSource::Holdpoint, sim.now, Untrusted::new("x".repeat(1_000)));
    let before = sim.fold.log_left_out;
    sim.input(&Input::Samples(Samples { lines: vec![line; 100], left_out: 3, ..Samples::default() }));
    assert_eq!(sim.fold.log_left_out, before + 103);
}
