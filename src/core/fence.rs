//! Two cockpits: what follows when a host has a higher epoch than this recording. Another cockpit holds
//! it then and every change of ours is refused there, so this one watches and orders nothing more.

use std::sync::Arc;

use super::event::{BatchEvent, Event, Purpose};
use super::state::{Batch, Host, State};
use crate::types::{Epoch, HostName, Time};

/// Another cockpit's hold on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The epoch that the host has.
    pub epoch: Epoch,
    /// Since when that is known here.
    pub since: Time,
}

/// Whether another cockpit holds a host, as far as its host has said. Who only looks holds none.
pub fn of(state: &State, host: &HostName) -> Option<Fence> {
    of_host(state, state.hosts.get(host)?)
}

fn of_host(state: &State, host: &Host) -> Option<Fence> {
    if !state.purpose.is_none_or(Purpose::takes_hosts) {
        return None;
    }
    let epoch = host.helper.as_ref()?.epoch;
    (epoch > state.epoch).then_some(Fence { epoch, since: host.overtaken? })
}

/// Every host that another cockpit holds, by name.
pub fn all(state: &State) -> Vec<(&HostName, Fence)> {
    state.hosts.iter().filter_map(|(name, host)| Some((name, of_host(state, host)?))).collect()
}

/// Batches on hosts that this cockpit may still change.
pub fn ours(state: &State) -> impl Iterator<Item = &Arc<Batch>> {
    state.in_order().filter(|batch| of(state, &batch.host).is_none())
}

/// "another cockpit holds web1, web2 since 02:10:31Z (epoch 9, ours 5)"; nothing where none does.
pub fn sentence(state: &State) -> Option<String> {
    let all = all(state);
    let since = all.iter().map(|(_, fence)| fence.since).min()?;
    let epoch = all.iter().map(|(_, fence)| fence.epoch).max()?;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let (names, at) = (names.join(", "), since.format("%H:%M:%SZ"));
    Some(format!("another cockpit holds {names} since {at} (epoch {epoch}, ours {})", state.epoch))
}

/// What may be begun of what a rule wants: nothing that changes a host which another cockpit holds. It
/// would be refused there, again and again.
pub(super) fn kept(state: &State, mut events: Vec<Event>) -> Vec<Event> {
    events.retain(|event| match event {
        Event::Batch(event) if changes(event) => {
            state.batches.get(event.batch()).is_none_or(|batch| of(state, &batch.host).is_none())
        }
        Event::Batch(_)
        | Event::Window(_)
        | Event::Host(_)
        | Event::Gate(_)
        | Event::Probe(_)
        | Event::Packet(_)
        | Event::Log(_)
        | Event::Alarm(_)
        | Event::Evidence(_)
        | Event::Rehearsal(_)
        | Event::Samples(_) => true,
    });
    events
}

/// Whether an event begins something that its host obeys under its epoch alone.
fn changes(event: &BatchEvent) -> bool {
    match event {
        BatchEvent::StageStarted { .. }
        | BatchEvent::ApplyStarted { .. }
        | BatchEvent::RebootStarted { .. }
        | BatchEvent::ConfirmStarted { .. }
        | BatchEvent::RollbackStarted { .. }
        | BatchEvent::InspectStarted { .. }
        | BatchEvent::TimerAsked { extend: Some(_), .. } => true,
        BatchEvent::Planned { .. }
        | BatchEvent::Dropped { .. }
        | BatchEvent::Staged { .. }
        | BatchEvent::Applied { .. }
        | BatchEvent::Rebooted { .. }
        | BatchEvent::VerifyStarted { .. }
        | BatchEvent::Verified { .. }
        | BatchEvent::TimerSeen { .. }
        | BatchEvent::TimerAsked { extend: None, .. }
        | BatchEvent::TimerAnswered { .. }
        | BatchEvent::Confirmed { .. }
        | BatchEvent::ConfirmFailed { .. }
        | BatchEvent::RollbackQueued { .. }
        | BatchEvent::RolledBack { .. }
        | BatchEvent::Inspected { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::RollbackScope;
    use crate::core::decide::{Circumstances, advance, decide};
    use crate::core::event::{Actor, HelperState, HostEvent, Record, Samples, WindowEvent};
    use crate::core::{Command, Effect, Input, Intent, effect, fixture};

    fn now() -> Time {
        "2026-11-21T22:10:31Z".parse().expect("a time")
    }

    fn add(state: &mut State, epoch: Epoch, event: Event) -> Record {
        let (actor, session) = (Actor::Holdpoint, "test".to_owned());
        let record = Record { seq: state.seq + 1, at: now(), actor, session, epoch, event };
        state.apply(&record);
        record
    }

    fn greeted(epoch: Epoch) -> Event {
        let helper = HelperState { enrolled: true, why_not: None, epoch };
        Event::Host(HostEvent::Greeted { host: "web1".parse().expect("a name"), helper })
    }

    /// One batch is applied, under epoch 5, and the host has epoch 9.
    fn overtaken(purpose: Purpose) -> State {
        let mut state = State::default();
        let plan = Box::new(fixture::plan(6, &["web1"], ""));
        let opened = WindowEvent::Opened { purpose, plan, rehearsal: None, program: "test".to_owned() };
        add(&mut state, 5, Event::Window(opened));
        add(&mut state, 5, greeted(5));
        assert_eq!(all(&state), Vec::new());
        let (batch, host) = ("b-1".parse().expect("an id"), "web1".parse().expect("a name"));
        add(&mut state, 5, Event::Batch(BatchEvent::Planned { batch, host, number: 1, changes: Vec::new() }));
        let operation = "b-1-apply-5.1".parse().expect("an id");
        let batch: crate::types::BatchId = "b-1".parse().expect("an id");
        add(&mut state, 5, Event::Batch(BatchEvent::ApplyStarted { batch, operation, arming: None }));
        add(&mut state, 5, greeted(9));
        state
    }

    #[test]
    fn a_host_with_a_higher_epoch_is_another_cockpits_until_it_is_taken_over() {
        let mut state = overtaken(Purpose::Run);
        let words = "another cockpit holds web1 since 22:10:31Z (epoch 9, ours 5)";
        assert_eq!(sentence(&state).as_deref(), Some(words));
        assert_eq!(ours(&state).count(), 0);
        let read = HostEvent::ReadStarted { host: "web1".parse().expect("a name") };
        let record = add(&mut state, 5, Event::Host(read));
        let effect = effect::of(&state, &record).expect("it is read all the same").effect;
        assert!(matches!(effect, Effect::Read { claim: None, .. }), "and not claimed back: {effect:?}");
        // Picked up by us: ours is the higher one then.
        let resumed = WindowEvent::Resumed { program: "test".to_owned(), take_over: None };
        add(&mut state, 10, Event::Window(resumed));
        assert_eq!((sentence(&state), ours(&state).count()), (None, 1));
    }

    #[test]
    fn a_check_holds_nothing_and_loses_nothing() {
        assert_eq!(sentence(&overtaken(Purpose::Check)), None);
    }

    #[test]
    fn the_key_says_where_to_ask_and_no_rule_tries_again() {
        let mut state = overtaken(Purpose::Run);
        let under = Circumstances { now: now(), journal_sound: true };
        let intent = Intent::Rollback { scope: RollbackScope::All, why: "the key".into() };
        let command = Input::Command(Command { actor: Actor::Holdpoint, intent });
        let events = decide(&state, &command, under).events;
        assert!(events.iter().any(|event| matches!(event, Event::Window(WindowEvent::Held { .. }))));
        let [Event::Samples(Samples { lines, .. })] = &events[1..] else { panic!("{events:?}") };
        assert_eq!(
            lines[0].text.raw(),
            "web1 batch 1: another cockpit holds web1 (epoch 9, ours 5): ask there"
        );
        // It is in the middle of work that nobody waits for: not even that is asked for as an order.
        state.forget_pending();
        add(&mut state, 5, greeted(9));
        let due = advance(&state, under).events;
        assert!(!due.iter().any(|e| matches!(e, Event::Batch(event) if changes(event))), "{due:?}");
    }
}
