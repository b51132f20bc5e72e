//! Which hosts are read, and how soon again.

use super::concerned;
use crate::core::event::{Event, HostEvent, Purpose};
use crate::core::state::{Host, Phase, Reach, State};
use crate::core::{alarm, effect, schedule};
use crate::types::{Span, Time};

/// A host that could not be read is tried again after this long.
const RETRY: Span = Span::secs(30);
/// An idle host is read again after this long, so that its lock facts don't go stale.
const REREAD: Span = Span::mins(5);
/// So long after it was verified, and so long before it may be confirmed, a batch's host is read once more each: a unit
/// that fails some time after the change is known while somebody can still do something. In a bake shorter than both
/// that is halfway, once.
const LOOK: Span = Span::secs(30);
/// A reading takes seconds: one that would not be over before the bake is left out. The verifying has read the host.
const READING: Span = Span::secs(5);

/// Hosts that are to be read: never read, lost, to be told more of, or read long ago.
pub(super) fn due(state: &State, now: Time) -> Vec<Event> {
    let wanted = |host: &&Host| {
        let busy = state.batches_of(&host.name).any(|batch| batch.phase.running());
        if host.reading.is_some() || busy || !concerned(state, host) {
            return false;
        }
        match (&host.read_failed, host.read_at) {
            // A wrong key or a refused login does not mend itself, and trying again looks like an attack.
            (Some((_, failure)), _) if effect::is_final(failure.kind) => false,
            (Some((at, _)), _) => state.purpose != Some(Purpose::Check) && now >= *at + RETRY,
            (None, None) => true,
            // A window was picked up: what a host said to another process says nothing of it now.
            (None, Some(_)) if host.reach == Reach::Unknown => true,
            (None, Some(_)) if alarm::wants_reading(state, host) => true,
            // Its connection is gone: it is made anew, and not all the time to one that drops every one.
            (None, Some(at)) if matches!(host.reach, Reach::Down { .. }) => {
                state.purpose != Some(Purpose::Check) && now >= at + RETRY
            }
            (None, Some(at)) => {
                let due = || now >= at + REREAD || outdated(state, host) || watched(state, host, at, now);
                state.purpose == Some(Purpose::Run) && due()
            }
        }
    };
    let hosts = state.hosts.values().map(AsRef::as_ref).filter(wanted);
    hosts.map(|host| Event::Host(HostEvent::ReadStarted { host: host.name.clone() })).collect()
}

/// Whether a host is to be cut again and what it said is from before the last change on it.
fn outdated(state: &State, host: &Host) -> bool {
    let said = host.facts.updates.as_ref().map(|updates| updates.at);
    !host.planned && state.batches_of(&host.name).any(|batch| batch.changed > said)
}

/// Whether a batch of a host is watched, and the host was not read since it was to be looked at once more.
fn watched(state: &State, host: &Host, read: Time, now: Time) -> bool {
    let bake = schedule::bake(state);
    let half = Span::ms(bake.as_ms() / 2);
    let late = Span::ms(bake.as_ms().saturating_sub(LOOK.as_ms()));
    let baking = state.batches_of(&host.name).filter(|batch| batch.phase == Phase::Verified);
    let looks = baking.filter_map(|batch| batch.verified_at);
    let mut looks = looks.flat_map(|at| [at + LOOK.min(half), at + late.max(half)]);
    half >= READING && looks.any(|look| now >= look && read < look)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::decide::Circumstances;
    use crate::core::event::{Actor, AlarmEvent, Cause, Failure, FailureKind, HelperState, Record};
    use crate::core::fixture;
    use crate::facts::{Aged, Domain, Fact, Facts, Services};
    use crate::types::HostName;

    fn web1() -> HostName {
        "web1".parse().expect("a host")
    }

    fn add(state: &mut State, at: Time, event: Event) {
        let (seq, session) = (state.seq + 1, "test".to_owned());
        state.apply(&Record { seq, at, actor: Actor::Holdpoint, session, epoch: 1, event });
    }

    /// A host that nothing is done on and whose connection is gone is tried again at once and then every half
    /// minute, not with its next turn; one that drops every connection is not tried all the time.
    #[test]
    fn a_lost_idle_host_is_tried_again_soon() {
        let mut state = fixture::window(4, &["web1"], "");
        let mut now = fixture::opens();
        let add = |state: &mut State, now: Time, event: HostEvent| add(state, now, Event::Host(event));
        let reads = |state: &State, now: Time| !due(state, now).is_empty();
        add(&mut state, now, HostEvent::ReadEnded { host: web1(), started: 0, failure: None });
        now = now + Span::secs(60);
        assert!(!reads(&state, now), "an idle host is left alone");
        add(&mut state, now, HostEvent::Lost { host: web1(), why: "gone".into() });
        assert!(reads(&state, now));
        let failure = Some(Failure::new(FailureKind::Unreachable, "no answer"));
        add(&mut state, now, HostEvent::ReadEnded { host: web1(), started: 0, failure });
        assert!(!reads(&state, now + Span::secs(29)) && reads(&state, now + Span::secs(30)));
        now = now + Span::secs(30);
        add(&mut state, now, HostEvent::ReadEnded { host: web1(), started: 0, failure: None });
        assert!(!reads(&state, now + Span::secs(1)));
        add(&mut state, now, HostEvent::Lost { host: web1(), why: "gone".into() });
        assert!(!reads(&state, now + Span::secs(29)) && reads(&state, now + Span::secs(30)));
    }

    /// A unit that fails some time after the verifying is known while its batch is watched, for a few readings.
    #[test]
    fn a_unit_that_fails_in_the_bake_is_told_before_its_end() {
        let unit = "nginx.service".parse().expect("a unit");
        let services = |failed: &[crate::types::UnitName]| Fact::Known(Services { failed: failed.to_vec() });
        for (bake, wanted) in [(8, &[][..]), (10, &[5]), (50, &[25]), (90, &[30, 60]), (600, &[30, 330, 570])]
        {
            let mut state = fixture::window(4, &["web1"], &format!("[policy]\nbake = \"{bake}s\"\n"));
            let verified = fixture::opens() + Span::secs(60);
            let helper = HelperState { enrolled: true, why_not: None, epoch: 1 };
            let host = |event| Event::Host(event);
            add(&mut state, verified, host(HostEvent::Greeted { host: web1(), helper }));
            let ended = || host(HostEvent::ReadEnded { host: web1(), started: 0, failure: None });
            add(&mut state, verified - Span::secs(9), ended());
            let mut batch = fixture::batch("b1", "web1", 1);
            (batch.disturbed, batch.verified_at) = (Some(verified - Span::secs(5)), Some(verified));
            let services_before = Some(Aged { at: verified, fact: services(&[]) });
            batch.before = Some(Box::new(Facts { services: services_before, ..Facts::default() }));
            batch.enter(Phase::Verified, verified);
            state.plan_batch(batch);
            Arc::make_mut(state.hosts.get_mut(&web1()).expect("a host")).planned = true;
            let (mut reads, mut raised) = (Vec::new(), None);
            for second in 1..bake {
                let now = verified + Span::secs(second);
                for _ in 0..10 {
                    for event in super::super::due(&state, Circumstances { now, journal_sound: true }) {
                        let read = matches!(event, Event::Host(HostEvent::ReadStarted { .. }));
                        if let Event::Alarm(AlarmEvent::Raised { cause: Cause::Unit { .. }, .. }) = &event {
                            raised.get_or_insert(second);
                        }
                        add(&mut state, now, event);
                        if read {
                            reads.push(second);
                            let domain = Box::new(Domain::Services(services(std::slice::from_ref(&unit))));
                            add(&mut state, now, host(HostEvent::Learnt { host: web1(), domain }));
                            add(&mut state, now, ended());
                        }
                    }
                }
            }
            assert_eq!(reads, wanted, "{bake}");
            assert_eq!(raised, wanted.first().copied(), "{bake}");
        }
    }
}
