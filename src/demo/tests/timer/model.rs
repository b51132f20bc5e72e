//! What only the model alone shows: what comes in another order than on a host that works, and what
//! fails.

use std::time::Duration;

use super::{CUSTOMER, TOKEN, arm, batch, began, confirm, refusal, said, start, web1};
use crate::core::event::TimerState;
use crate::demo::model::{Call, Caller, Host};
use crate::demo::tests::transcripts;
use crate::demo::work::{Act, Step};
use crate::host::frame::RefusalCode;
use crate::host::operation::Spec;
use crate::host::said::{Said, SaidError};
use crate::host::verb::{Verb, Work};
use crate::types::{BatchId, OperationId};

/// Asks the model alone, at the moment the story begins.
fn answered(host: &mut Host, verb: Verb) -> Result<Said, SaidError> {
    let reply = host.answer(&Call { epoch: 5, caller: Caller::Root, verb: verb.clone() }, began());
    said(&verb, &reply)
}

fn works(host: &mut Host, verb: Verb) {
    let call = Call { epoch: 5, caller: Caller::Root, verb };
    let then = host.answer(&call, began()).then;
    assert!(then.is_some());
    transcripts::work(host, then);
}

#[test]
fn after_a_rollback_of_what_never_began_it_never_begins() {
    let (mut host, spec) = web1();
    works(&mut host, start("stage", Work::Stage(spec)));
    answered(&mut host, arm(TOKEN, 60)).expect("arms");
    // The apply was started, and the rollback is faster.
    let apply = Call { epoch: 5, caller: Caller::Root, verb: start("apply", Work::Apply) };
    let later = host.answer(&apply, began()).then;
    works(&mut host, start("back", Work::Rollback));
    transcripts::work(&mut host, later);
    assert!(came_to(&mut host, "apply").contains("not-staged"));
    assert_eq!(host.addresses, [CUSTOMER]);
    // Nor is it armed again before it is staged again.
    assert_eq!(refusal(answered(&mut host, arm(TOKEN, 60))).0, RefusalCode::Usage);
}

#[test]
fn a_rollback_that_failed_says_why_and_is_tried_again_after_a_boot() {
    let (mut host, spec) = web1();
    works(&mut host, start("stage", Work::Stage(spec)));
    answered(&mut host, arm(TOKEN, 60)).expect("arms");
    works(&mut host, start("apply", Work::Apply));
    let due = began() + chrono::TimeDelta::seconds(60);
    assert_eq!((host.due(), host.fire(began())), (Some(due), Vec::new()));
    let begun = host.fire(due);
    assert_eq!(begun.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b1-deadman"]);
    let act = Act::End { result: Vec::new(), exit: 1, took: Duration::ZERO };
    host.take(&begun[0], Step { takes: Duration::ZERO, say: Vec::new(), act });
    let Ok(Said::Timer(timer)) = answered(&mut host, Verb::Timer(batch())) else { panic!("no timer") };
    assert_eq!(timer.state, TimerState::RollbackFailed);
    assert_eq!(timer.why.map(|why| why.raw().to_owned()).as_deref(), Some("the rollback ended with 1"));
    assert_eq!(
        refusal(answered(&mut host, confirm(TOKEN))),
        (RefusalCode::NotArmed, "rollback-failed".to_owned())
    );
    // Once in a boot.
    assert!(host.fire(due).is_empty());
    host.boot(due);
    let again = host.fire(due);
    assert_eq!(again.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b1-deadman.2"]);
    assert!(host.fire(due).is_empty());
    for step in host.steps(&again[0]) {
        host.take(&again[0], step);
    }
    let Ok(Said::Timer(timer)) = answered(&mut host, Verb::Timer(batch())) else { panic!("no timer") };
    assert_eq!((timer.state, timer.why), (TimerState::RolledBack, None));
    assert_eq!(host.addresses, [CUSTOMER]);
}

#[test]
fn a_batch_whose_name_leaves_no_room_for_a_rollbacks_id_is_not_armed() {
    let (mut host, spec) = web1();
    let long: BatchId = "b".repeat(60).parse().expect("an id");
    let id: OperationId = "stage".parse().expect("an id");
    works(&mut host, Verb::Start { operation: id, batch: long.clone(), work: Work::Stage(spec) });
    let Verb::Arm { token, plan, times, .. } = arm(TOKEN, 60) else { unreachable!() };
    let refused = refusal(answered(&mut host, Verb::Arm { batch: long, token, plan, times }));
    assert_eq!(refused, (RefusalCode::Usage, "the batch id is too long for a timer".to_owned()));
}

#[test]
fn a_timer_that_fires_before_the_applys_turn_keeps_it_from_beginning() {
    let (mut host, spec) = web1();
    works(&mut host, start("stage", Work::Stage(spec.clone())));
    answered(&mut host, arm(TOKEN, 60)).expect("arms");
    // What it watches is not staged over.
    let mut other = spec.packages().to_vec();
    other[0].sha256 = Some("ab".repeat(32).parse().expect("a hash"));
    works(&mut host, start("other", Work::Stage(Spec::new(other))));
    assert!(came_to(&mut host, "other").contains("a timer watches another batch of this name"));
    let apply = Call { epoch: 5, caller: Caller::Root, verb: start("apply", Work::Apply) };
    let later = host.answer(&apply, began()).then;
    assert_eq!(host.fire(began() + chrono::TimeDelta::seconds(60)).len(), 1);
    transcripts::work(&mut host, later);
    assert!(came_to(&mut host, "apply").contains("unarmed"));
    assert_eq!(host.addresses, [CUSTOMER]);
}

/// What an operation came to, as it is shown when something is wrong.
fn came_to(host: &mut Host, operation: &str) -> String {
    match answered(host, Verb::Result(operation.parse().expect("an id"))) {
        Ok(Said::Result(Some(outcome), _)) => format!("{outcome:?}"),
        other => panic!("{other:?}"),
    }
}
