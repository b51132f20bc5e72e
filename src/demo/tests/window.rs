//! A whole rehearsal, and the story's end, on the fleet: the real loop, the real effects, and the pilot at the keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::conductor::{Conductor, clock, shell};
use crate::core::event::{Actor, Check, Event, Flow, Origin, Outcome, PacketEvent, Purpose, Source};
use crate::core::{Command, Intent, Rehearsal, State, describe, pilot};
use crate::demo::tests::fleet::asker;
use crate::demo::{Fleet, Pace, Scenario, Setup, start_with, story};
use crate::host::act::Hosts;
use crate::host::ask::Asker;
use crate::host::operation::Spec;
use crate::host::verb::{Verb, Work};
use crate::host::{Destination, Link, Target};
use crate::journal::MemoryLog;
use crate::plan::{Plan, Policy, Strategy};
use crate::types::{Span, Time};

/// Runs one to its end, `keys` deciding what is done, and gives the state and what was told.
async fn played(
    fleet: &Fleet,
    plan: Plan,
    purpose: Purpose,
    rehearsal: Option<Rehearsal>,
    keys: fn(&State, Time) -> Option<Intent>,
) -> (State, String) {
    let askers = plan.reached().map(|(host, ssh)| {
        let target = Target { host: host.clone(), destination: Destination::Ssh(ssh.to_owned()) };
        Asker::new(Link::new(target, Arc::clone(&fleet.settings)))
    });
    let hosts = Hosts::new(askers.collect::<Vec<_>>(), Arc::new(clock::now));
    let conductor = Conductor::new(MemoryLog::new(), State::default(), "test".to_owned(), 1);
    let (mut handles, task) = shell::spawn(conductor, hosts, Arc::new(Notify::new()));
    let command = |intent| Command { actor: Actor::Person("raj".parse().expect("a name")), intent };
    let open = Intent::Open { purpose, plan: Box::new(plan), rehearsal: rehearsal.map(Box::new) };
    handles.commands.send(command(open)).expect("taken");
    let (mut state, mut told, mut last) = (State::default(), String::new(), None);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let playing = async {
        while state.ended.is_none() {
            let mut records = Vec::new();
            tokio::select! {
                record = handles.records.recv() => records.extend(record),
                _ = look.tick() => {}
            }
            // What the loop decided at once is looked at as one.
            while let Ok(record) = handles.records.try_recv() {
                records.push(record);
            }
            for record in records {
                state.apply(&record);
                if let Event::Packet(PacketEvent::Matched { flow, probe, .. }) = &record.event {
                    let Flow { asked, granted, completed, by_time, .. } = **flow;
                    told.push_str(&format!(
                        "packets of {}: {} {} {completed} {by_time}\n",
                        probe.customer,
                        asked.min(1),
                        granted.min(1)
                    ));
                }
                if let Some(line) = describe::line(&state, &record) {
                    told.push_str(&format!("{} {line}\n", record.at.format("%H:%M:%S%.3f")));
                }
            }
            // As a headless run does: by the loop's own state, not in the middle of what follows.
            let settled = Arc::clone(&handles.views.borrow().state);
            if let Some(intent) = keys(&settled, clock::now())
                && last.as_ref() != Some(&(settled.seq, intent.clone()))
            {
                handles.commands.send(command(intent.clone())).expect("taken");
                last = Some((settled.seq, intent));
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), playing).await;
    drop(handles.commands);
    task.abort();
    assert!(in_time.is_ok(), "no end:\n{told}");
    (state, told)
}

/// The fleet, and its plan cut into as few batches as can be: each waits for the loop's own clock.
async fn fleet(rehearsed: bool) -> (Fleet, Plan) {
    let setup = Setup { pace: Pace::FAST, rehearsed };
    let fleet = start_with(Scenario::Story, clock::now(), 11, setup).await.expect("a fleet");
    let mut plan = crate::plan::read("window.toml", &fleet.plan).expect("a plan");
    plan.policy = Policy { strategy: Strategy::All, max_changes: 100, alone: Vec::new(), ..plan.policy };
    (fleet, plan)
}

#[tokio::test]
async fn a_rehearsal_goes_through_and_freezes_what_the_fleet_says_it_does() {
    let (fleet, plan) = fleet(false).await;
    let (state, told) = played(&fleet, plan, Purpose::Rehearsal, None, pilot::next).await;
    let frozen = state.frozen.as_ref().unwrap_or_else(|| panic!("{told}"));
    assert_eq!(frozen.set, fleet.rehearsal.set);
    assert!(frozen.identical && frozen.reboot.is_some(), "{told}");
    assert_eq!(state.ended.map(|(_, outcome)| outcome), Some(Outcome::Done), "{told}");
}

#[tokio::test]
async fn the_engineer_of_the_story_goes_on_at_web1_and_it_is_rolled_back() {
    let (fleet, mut plan) = fleet(true).await;
    // The last host of the order alone: what comes before it takes its time.
    plan.hosts.retain(|host| host.name.as_str() == "web1");
    plan.customers.retain(|customer| customer.host.as_str() == "web1");
    for probe in plan.customers.iter_mut().flat_map(|customer| &mut customer.probes) {
        (probe.every, probe.timeout) = (Span::ms(700), Span::ms(700));
    }
    let rehearsal = Some(fleet.rehearsal.clone());
    let (state, told) = played(&fleet, plan, Purpose::Run, rehearsal, story).await;
    assert_eq!(state.ended.map(|(_, outcome)| outcome), Some(Outcome::RolledBack), "{told}");
    // A kernel is among it: its way back is a reboot, which takes the addresses once more.
    assert!(state.in_order().any(|batch| batch.rebooted_back), "{told}");
    assert!(told.contains("4 addresses put back"), "{told}");
    // The packets tell the same: whole connections, then a SYN that nobody answers, then connections again.
    if cfg!(target_os = "linux") {
        let (whole, dark) = ("packets of acme: 1 1 true false", "packets of acme: 1 0 false false");
        let first_dark = told.find(dark).unwrap_or_else(|| panic!("{told}"));
        assert!(told.find(whole).is_some_and(|at| at < first_dark), "{told}");
        assert!(told.rfind(whole).is_some_and(|at| at > first_dark), "{told}");
        assert!(state.packets.iter().any(|row| row.by.as_ref().is_some_and(|by| by.as_str() == "eth0")));
    }
}

/// Ends the window once a way back is proved, or given up.
fn until_staged(state: &State, _now: Time) -> Option<Intent> {
    let over = state.in_order().any(|batch| batch.proof.is_some() || batch.failure.is_some());
    (over && state.ended.is_none()).then_some(Intent::End)
}

#[tokio::test]
async fn an_old_version_that_left_web1s_archive_comes_from_test1_through_the_cockpit() {
    let (fleet, mut plan) = fleet(true).await;
    plan.hosts.retain(|host| host.name.as_str() == "web1");
    plan.customers.clear();
    // test1 stored both files for a batch of its own; web1's archive has the old one no more, and of
    // another package nobody has it.
    let word = "a word of its type";
    let spec: Spec = "package\trsync\tamd64\t3.2.7-1\t3.2.7-1+deb12u2\t-\nend\n".parse().expect(word);
    let baseline = asker(&fleet, &plan, "test1");
    let operation: crate::types::OperationId = "before".parse().expect(word);
    let work = Work::Stage(spec);
    let start = Verb::Start { operation: operation.clone(), batch: "rehearsal".parse().expect(word), work };
    baseline.ask(&start, 1).await.expect("started");
    let have = Verb::Have(vec!["rsync amd64 3.2.7-1".parse().expect(word)]);
    while baseline.ask(&have, 0).await.expect("an answer").sections[0].lines.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fleet.lose(1, "rsync amd64 3.2.7-1".parse().expect(word));
    fleet.lose(1, "wget amd64 1.21.3-1+b2".parse().expect(word));
    let rehearsal = Some(fleet.rehearsal.clone());
    let (state, told) = played(&fleet, plan, Purpose::Run, rehearsal, until_staged).await;
    let proof = state.in_order().find_map(|batch| batch.proof.as_ref()).unwrap_or_else(|| panic!("{told}"));
    let of = |name: &str| proof.files.iter().find(|file| file.package.name.as_str() == name).expect("of it");
    let test1 = Origin { source: Source::Host("test1".parse().expect(word)), check: Check::Installed };
    assert_eq!((of("rsync").old.is_some(), &of("rsync").old_from), (true, &Some(test1)), "{told}");
    assert_eq!((of("wget").old, &of("wget").old_from), (None, &None), "{told}");
    let missing: Vec<String> = proof.missing.iter().map(|missing| missing.shown()).collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("wget:amd64: no way back"), "{missing:?}");
}
