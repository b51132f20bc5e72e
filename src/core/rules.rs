//! What is due by itself, from the state alone. Since the rules read nothing but the state, they
//! are the same after a crash, on another machine, and in a simulation.

mod capture;
mod logs;
mod read;
mod timer;

use super::change::{Change, Frozen, Rehearsal};
use super::decide::Circumstances;
use super::event::{BatchEvent, Event, HostEvent, Outcome, ProbeEvent, Purpose, RehearsalEvent, WindowEvent};
use super::state::{Batch, DeadMan, Host, Phase, Reach, Round, State, Work};
use super::{alarm, alone, cut, effect, fence, gate, rollback, schedule, standing};
use crate::types::{BatchId, OperationId, Time, Untrusted};
pub(super) use capture::addresses as captured;

/// An apply that was ordered so often and never began is not ordered again before it is staged anew.
pub(super) const ORDERS: u32 = 3;
/// Hosts staged at a time: the archive, not the hosts, is what many would wait for.
const STAGING: usize = 8;

/// The next events that are due, or none. The caller commits them and asks again.
pub fn due(state: &State, under: Circumstances) -> Vec<Event> {
    if state.ended.is_some() || state.plan.is_none() {
        return Vec::new();
    }
    // Rollbacks first, and these alone while the journal can't be written.
    let back: Vec<Event> = rollback::due(state)
        .iter()
        .filter_map(|id| state.batches.get(id))
        .map(|batch| {
            Event::Batch(BatchEvent::RollbackStarted {
                batch: batch.id.clone(),
                operation: operation(state, batch, "rollback"),
            })
        })
        .chain(compare(state))
        .chain(inspect(state))
        .collect();
    let back = fence::kept(state, back);
    if !back.is_empty() {
        return back;
    }
    // A line that is met rolls back also while the journal can't be written.
    let alarms = alarm::due(state, under.now);
    if !alarms.is_empty() || !under.journal_sound {
        return alarms;
    }
    let rules: [fn(&State, Time) -> Vec<Event>; 7] =
        [timer::ask, carry_on, timer::confirm_baked, read::due, plan_batches, stage_batches, rehearse];
    for rule in rules {
        let events = fence::kept(state, rule(state, under.now));
        if !events.is_empty() {
            return events;
        }
    }
    [probe, logs::due]
        .into_iter()
        .map(|rule| rule(state))
        .find(|events| !events.is_empty())
        .unwrap_or_default()
}

/// The work that a phase is in the middle of.
pub(super) fn work_of(phase: Phase) -> Option<Work> {
    match phase {
        Phase::Staging => Some(Work::Stage),
        Phase::Applying => Some(Work::Apply),
        Phase::Rebooting => Some(Work::Reboot),
        Phase::Verifying | Phase::Comparing => Some(Work::Verify),
        Phase::RollingBack => Some(Work::Rollback),
        Phase::Confirming => Some(Work::Confirm),
        Phase::Planned
        | Phase::Staged
        | Phase::StageFailed
        | Phase::Applied
        | Phase::ApplyFailed
        | Phase::Rebooted
        | Phase::Verified
        | Phase::Confirmed
        | Phase::Unknown
        | Phase::RolledBack
        | Phase::Back
        | Phase::BackDiffers
        | Phase::RollbackFailed => None,
    }
}

/// The event that stages a batch.
pub(super) fn stage(state: &State, batch: &Batch) -> Event {
    Event::Batch(BatchEvent::StageStarted {
        batch: batch.id.clone(),
        operation: operation(state, batch, "stage"),
    })
}

/// The event that applies a batch, where nothing stands against it at this moment.
pub(super) fn start(state: &State, batch: &Batch, now: Time) -> Result<Event, String> {
    if state.is_held(batch) {
        return Err("it is held; :resume releases the hold".to_owned());
    }
    if batch.phase != Phase::Staged {
        return Err(format!("it is {}", batch.phase.word()));
    }
    if batch.never_began >= ORDERS {
        let why = batch.failure.as_ref().map_or_else(String::new, |failure| failure.what.shown());
        return Err(format!("it was ordered {ORDERS} times and never began; :restage tries anew; {why}"));
    }
    let earlier = state.batches_of(&batch.host).take_while(|other| other.id != batch.id);
    if let Some(first) = earlier.into_iter().find(|other| schedule::waits(other.phase)) {
        return Err(format!("{} comes before it", first.label()));
    }
    let judgements = gate::judge(state, batch, now);
    if let Some(against) = judgements.iter().find(|judgement| !judgement.state.passes()) {
        return Err(format!("gate {} is {}: {}", against.gate, against.state.word(), against.reason));
    }
    let operation = operation(state, batch, "apply");
    let arming = schedule::arming(state, batch, now, &operation);
    Ok(Event::Batch(BatchEvent::ApplyStarted { batch: batch.id.clone(), operation, arming }))
}

/// Unique over all processes that ever hold this recording: the records of a rollback that started
/// without a journal may be lost in a crash, and its id must not come again.
fn operation(state: &State, batch: &Batch, word: &str) -> OperationId {
    effect::operation_id(&batch.id, word, state.epoch, batch.attempts)
}

/// After a crash: a batch is in the middle of work that nobody waits for. Ask its host what became
/// of it, never blindly do it again.
fn inspect(state: &State) -> Vec<Event> {
    let awaited = |batch: &Batch| {
        state.pending.values().any(|p| p.batch.as_ref() == Some(&batch.id) && p.work != Work::Timer)
    };
    let lost = state.in_order().filter(|batch| batch.phase.running() && !awaited(batch));
    lost.map(|batch| Event::Batch(BatchEvent::InspectStarted { batch: batch.id.clone() })).collect()
}

fn compare(state: &State) -> Vec<Event> {
    let back = state.in_order().filter(|batch| batch.phase == Phase::RolledBack);
    let compared = back.map(|batch| match &batch.rebooted {
        // What was booted for the batch runs still: the way back of a reboot is a reboot.
        Some((was, _)) if !batch.rebooted_back => {
            Event::Batch(BatchEvent::RebootStarted { batch: batch.id.clone(), was: was.clone() })
        }
        Some(_) | None => {
            Event::Batch(BatchEvent::VerifyStarted { batch: batch.id.clone(), after_rollback: true })
        }
    });
    // Booted back: what lived at runtime alone (addresses, routes) is put back once more, by the same
    // rollback, which changes nothing that is as it was already.
    let booted =
        state.in_order().filter(|batch| batch.phase == Phase::Rebooted && batch.rolled_back.is_some());
    let again = booted.map(|batch| {
        let operation = operation(state, batch, "rollback");
        Event::Batch(BatchEvent::RollbackStarted { batch: batch.id.clone(), operation })
    });
    compared.chain(again).collect()
}

/// After an apply: reboot where it is asked for, then verify. A hold lets what runs finish, and a
/// reboot is something new.
fn carry_on(state: &State, now: Time) -> Vec<Event> {
    let mut events = Vec::new();
    // Its host is taking it back: there is nothing to carry on with. One that was taken back goes on.
    let fired =
        |batch: &Batch| batch.rolled_back.is_none() && batch.timer.as_ref().is_some_and(DeadMan::fired);
    for batch in state.in_order().filter(|batch| !batch.wanted_back && !fired(batch)) {
        let reboot = batch.applied.as_ref().is_some_and(|report| report.reboot_required);
        match batch.phase {
            Phase::Applied if reboot => {
                let boot = state.hosts.get(&batch.host).and_then(|host| host.facts.boot.as_ref()?.known());
                // From a host that may wait for somebody at boot it waits for a word, here as at the gate.
                let waits = alone::waits(state, batch, now).is_some();
                if let (false, false, Some(boot)) = (state.is_held(batch), waits, boot) {
                    let was = boot.boot_id.clone();
                    events.push(Event::Batch(BatchEvent::RebootStarted { batch: batch.id.clone(), was }));
                }
            }
            // Part of a way back: that goes on by itself, whatever else may not begin.
            Phase::Rebooted if batch.rolled_back.is_some() => {}
            Phase::Applied | Phase::Rebooted => {
                let verify = BatchEvent::VerifyStarted { batch: batch.id.clone(), after_rollback: false };
                events.push(Event::Batch(verify));
            }
            Phase::Planned
            | Phase::Staging
            | Phase::Staged
            | Phase::StageFailed
            | Phase::Applying
            | Phase::ApplyFailed
            | Phase::Rebooting
            | Phase::Verifying
            | Phase::Verified
            | Phase::Confirming
            | Phase::Confirmed
            | Phase::Unknown
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Comparing
            | Phase::Back
            | Phase::BackDiffers
            | Phase::RollbackFailed => {}
        }
    }
    events
}

/// A rehearsal concerns the baseline alone.
pub(super) fn concerned(state: &State, host: &Host) -> bool {
    state.purpose != Some(Purpose::Rehearsal) || is_reference(state, host)
}

fn is_reference(state: &State, host: &Host) -> bool {
    state.plan.as_ref().and_then(|plan| plan.reference()).is_some_and(|name| *name == host.name)
}

fn plan_batches(state: &State, _now: Time) -> Vec<Event> {
    // Nothing is to be changed, and nobody asks what would be.
    if state.purpose == Some(Purpose::Probe) {
        return Vec::new();
    }
    let Some(plan) = &state.plan else { return Vec::new() };
    let asked = |host: &Host| host.read_at.is_some() || host.read_failed.is_some();
    if !state.reference().is_some_and(|reference| asked(reference)) {
        return Vec::new();
    }
    let rehearsal = state.purpose == Some(Purpose::Rehearsal);
    let mut events = Vec::new();
    for host in state.hosts.values().filter(|host| !host.planned && concerned(state, host)) {
        // In a window the baseline has had its updates; it is there to compare with.
        if (host.baseline && !rehearsal) || !settled(state, host) {
            continue;
        }
        let Some(changes) = standing::changes(state, host) else { continue };
        let batches = cut::cut(&host.name, &changes, &plan.policy, &plan.batches);
        let count = batches.len() as u32;
        // One that was being staged while the host was to be cut again.
        let left_over = state.batches_of(&host.name).filter(|batch| schedule::waits(batch.phase));
        events.extend(left_over.map(|batch| {
            Event::Batch(BatchEvent::Dropped { batch: batch.id.clone(), why: "the host is cut again".into() })
        }));
        events.extend(planned(state, host, batches));
        events.push(Event::Host(HostEvent::Cut { host: host.name.clone(), batches: count }));
    }
    events
}

/// Whether what a host said is pending is from after the last change on it, and no change is under
/// way.
fn settled(state: &State, host: &Host) -> bool {
    let Some(updates) = &host.facts.updates else { return false };
    state.batches_of(&host.name).all(|batch| {
        let idle = !batch.phase.running() && !batch.phase.unconfirmed() && !batch.wanted_back;
        idle && batch.changed.is_none_or(|changed| updates.at > changed)
    })
}

fn planned(state: &State, host: &Host, batches: Vec<Vec<Change>>) -> Vec<Event> {
    let index = state.hosts.keys().position(|name| *name == host.name).unwrap_or(0);
    let stamp = state.opened.map_or_else(String::new, |at| at.format("%y%m%d%H%M%S").to_string());
    let numbered = (host.last_number.saturating_add(1)..).zip(batches);
    numbered
        .filter_map(|(number, changes)| {
            // Unique on the host over all windows: its folder there is named so.
            let batch: BatchId = format!("{stamp}-{index}-{number}").parse().ok()?;
            Some(Event::Batch(BatchEvent::Planned { batch, host: host.name.clone(), number, changes }))
        })
        .collect()
}

fn stage_batches(state: &State, _now: Time) -> Vec<Event> {
    if !state.purpose.is_none_or(Purpose::takes_hosts) {
        return Vec::new();
    }
    let under_way = state.in_order().filter(|batch| batch.phase == Phase::Staging).count();
    let mut events = Vec::new();
    for name in schedule::host_order(state) {
        let Some(host) = state.hosts.get(name) else { continue };
        let ready =
            matches!(host.reach, Reach::Up { .. }) && host.helper.as_ref().is_some_and(|h| h.enrolled);
        let busy = state.batches_of(name).any(|batch| batch.phase.unconfirmed() || batch.phase.running());
        let first = state.batches_of(name).find(|batch| schedule::waits(batch.phase));
        if let (true, false, Some(batch)) = (ready, busy, first)
            && batch.phase == Phase::Planned
            && !state.is_held(batch)
            && under_way + events.len() < STAGING
        {
            events.push(stage(state, batch));
        }
    }
    events
}

/// The cycle on the baseline: apply, verify, roll back, verify identical, apply again, freeze.
fn rehearse(state: &State, now: Time) -> Vec<Event> {
    if state.purpose != Some(Purpose::Rehearsal) || state.frozen.is_some() {
        return Vec::new();
    }
    let Some(host) = state.reference().filter(|host| host.planned) else { return Vec::new() };
    let of_round: Vec<&Batch> = state.batches_of(&host.name).map(AsRef::as_ref).collect();
    let half = of_round.len() / 2;
    match state.round {
        Round::First => apply_all(state, &of_round, now).unwrap_or_else(|| {
            if of_round.is_empty() {
                return Vec::new();
            }
            let mut events = vec![Event::Rehearsal(RehearsalEvent::RoundStarted { round: Round::Back })];
            events.extend(of_round.iter().map(|batch| {
                let why = Untrusted::new("the rehearsal practises it");
                Event::Batch(BatchEvent::RollbackQueued { batch: batch.id.clone(), why })
            }));
            events
        }),
        Round::Back => {
            if !of_round.iter().all(|batch| matches!(batch.phase, Phase::Back | Phase::BackDiffers)) {
                return Vec::new();
            }
            let mut events = vec![Event::Rehearsal(RehearsalEvent::RoundStarted { round: Round::Second })];
            events.extend(planned(state, host, of_round.iter().map(|batch| exactly(batch)).collect()));
            events
        }
        Round::Second => apply_all(state, &of_round[half..], now)
            .unwrap_or_else(|| freeze(state, host, &of_round[..half], &of_round[half..], now)),
    }
}

/// Starts the next batch of a round; `None` when all are confirmed. One that fails stops the cycle.
fn apply_all(state: &State, batches: &[&Batch], now: Time) -> Option<Vec<Event>> {
    match batches.iter().find(|batch| batch.phase != Phase::Confirmed) {
        None => None,
        Some(batch) if batch.phase == Phase::Staged => Some(start(state, batch, now).into_iter().collect()),
        Some(_) => Some(Vec::new()),
    }
}

/// The same changes again, by the very files that were stored.
fn exactly(batch: &Batch) -> Vec<Change> {
    let mut changes = batch.changes.clone();
    for change in &mut changes {
        let files = batch.proof.iter().flat_map(|proof| &proof.files);
        if let Some(file) = files.into_iter().find(|file| file.package == change.package) {
            change.sha256 = Some(file.new);
        }
    }
    changes
}

fn freeze(state: &State, host: &Host, first: &[&Batch], second: &[&Batch], now: Time) -> Vec<Event> {
    let mut set: Vec<Frozen> = second
        .iter()
        .flat_map(|batch| batch.proof.iter().flat_map(|proof| &proof.files))
        .map(|file| Frozen {
            package: file.package.clone(),
            from: file.from.clone(),
            to: file.to.clone(),
            sha256: file.new,
        })
        .collect();
    set.sort_by(|a, b| a.package.cmp(&b.package));
    let to = first.iter().chain(second).filter_map(|batch| batch.rebooted.as_ref().map(|(_, took)| *took));
    let back = first.iter().filter_map(|batch| batch.rolled_back.as_ref()?.booted);
    let reboots = to.chain(back);
    let rehearsal = Rehearsal {
        baseline: host.name.clone(),
        at: now,
        seq: state.seq,
        set,
        apply: first.iter().filter_map(|batch| batch.applied.as_ref()).map(|report| report.took).sum(),
        rollback: first.iter().filter_map(|batch| batch.rolled_back.as_ref()).map(|report| report.took).sum(),
        reboot: reboots.max(),
        verify: first.iter().filter_map(|batch| batch.verify_took).max().unwrap_or_default(),
        identical: first.iter().all(|batch| batch.phase == Phase::Back),
    };
    let outcome = if rehearsal.identical { Outcome::Done } else { Outcome::RollbackIncomplete };
    vec![
        Event::Rehearsal(RehearsalEvent::Frozen { rehearsal: Box::new(rehearsal) }),
        Event::Window(WindowEvent::Ended { outcome }),
    ]
}

fn probe(state: &State) -> Vec<Event> {
    let made = state.probes.values().any(|probe| effect::is_made(&probe.probe));
    let looks = matches!(state.purpose, Some(Purpose::Run | Purpose::Probe));
    if looks && state.probing.is_none() && made {
        return vec![Event::Probe(ProbeEvent::WatchStarted)];
    }
    capture::due(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Actor, Record, RollbackReport};
    use crate::core::fixture;
    use crate::types::Span;

    /// A way back goes on to its end with a journal that can't be written: the reboot back, the second pass after
    /// it and the comparison, each an effect that passes every queue. Nothing else begins.
    #[test]
    fn a_way_back_goes_on_without_a_journal_through_its_reboot_and_second_pass() {
        let under = Circumstances { now: fixture::opens(), journal_sound: false };
        let trial = || Some((fixture::boot_id(), Span::secs(50)));
        for (phase, rebooted, back, wanted) in [
            (Phase::RolledBack, trial(), false, "reboot"),
            (Phase::Rebooted, trial(), true, "rollback"),
            (Phase::RolledBack, trial(), true, "compare"),
            (Phase::RolledBack, None, false, "compare"),
            (Phase::Applied, None, false, "nothing"),
        ] {
            let mut state = fixture::window(4, &["web1"], "");
            fixture::booted(&mut state, "web1", Some(crate::facts::Fact::Known(fixture::boot(&[]))));
            let mut batch = fixture::batch("b1", "web1", 1);
            batch.rolled_back = (phase != Phase::Applied).then(RollbackReport::default);
            (batch.rebooted, batch.rebooted_back) = (rebooted, back);
            batch.enter(phase, fixture::opens());
            state.plan_batch(batch);
            let events = due(&state, under);
            let found = match &events[..] {
                [Event::Batch(BatchEvent::RebootStarted { .. })] => "reboot",
                [Event::Batch(BatchEvent::RollbackStarted { .. })] => "rollback",
                [Event::Batch(BatchEvent::VerifyStarted { after_rollback: true, .. })] => "compare",
                [] => "nothing",
                other => panic!("{phase:?}: {other:?}"),
            };
            assert_eq!(found, wanted, "{phase:?} {back}");
            for event in events {
                let (seq, at, session) = (state.seq + 1, under.now, "test".to_owned());
                let record = Record { seq, at, actor: Actor::Holdpoint, session, epoch: 1, event };
                state.apply(&record);
                assert!(effect::of(&state, &record).expect("an effect").effect.urgent(), "{wanted}");
            }
        }
    }
}
