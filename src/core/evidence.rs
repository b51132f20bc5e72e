//! Evidence of a host: when it is asked for, and whether it is there. Pure.

use super::event::{Event, EvidenceEvent, EvidenceFile, Failure};
use super::state::State;
use crate::types::{HostName, Seq, Span, Time, Untrusted};

/// What is known of a host's evidence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The effect that is asking for it, and since when.
    pub asked: Option<(Seq, Time)>,
    /// What the last one came to, and when.
    pub saved: Option<(Time, Result<EvidenceFile, Failure>)>,
}

/// How long evidence is waited for by whoever has something to do after it: the host takes less
/// (`HP_E_SECONDS` of the helper), and one that can't be asked must keep no rollback waiting.
pub const WAITED: Span = Span::secs(40);

/// The event that has a host asked for evidence now; `None` where it is being asked already, and where
/// there is no such host.
pub fn wanted(state: &State, host: &HostName, why: &str) -> Option<Event> {
    let under_way = state.evidence.get(host).is_some_and(|of| of.asked.is_some());
    let event = EvidenceEvent::Started { host: host.clone(), why: Untrusted::new(why) };
    (state.hosts.contains_key(host) && !under_way).then_some(Event::Evidence(event))
}

/// Whether evidence of a host that was asked for at or after `since` is not waited for any longer: it is kept,
/// it failed, or [`WAITED`] is over. Also where nobody asked.
pub fn is_over(state: &State, host: &HostName, since: Time, now: Time) -> bool {
    let Some(of) = state.evidence.get(host) else { return true };
    if of.saved.as_ref().is_some_and(|(at, _)| *at >= since) {
        return true;
    }
    match of.asked {
        // A clock that was set back must not make it longer.
        Some((_, at)) => now >= at + WAITED || now < at,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Actor, FailureKind, Record};
    use crate::core::{effect, fixture};

    fn apply(state: &mut State, at: Time, event: Event) -> Record {
        let (seq, session) = (state.seq + 1, "test".to_owned());
        let record = Record { seq, at, actor: Actor::Holdpoint, session, epoch: 1, event };
        state.apply(&record);
        record
    }

    #[test]
    fn evidence_is_asked_for_once_at_a_time_and_waited_for_no_longer_than_agreed() {
        let mut state = fixture::window(4, &["web1"], "");
        let (web1, other) = ("web1".parse().expect("a host"), "web9".parse().expect("a host"));
        let (began, why) = (fixture::opens(), "before the rollback");
        assert_eq!(wanted(&state, &other, why), None);
        assert!(is_over(&state, &web1, began, began), "nobody asked");
        let event = wanted(&state, &web1, why).expect("an event");
        let record = apply(&mut state, began, event);
        let started = effect::of(&state, &record).expect("an effect");
        assert_eq!(started.effect.host(), Some(&web1));
        assert!(started.effect.urgent(), "a rollback waits for it");
        assert_eq!(wanted(&state, &web1, why), None, "it is under way");
        assert!(!is_over(&state, &web1, began, began + Span::secs(39)));
        assert!(is_over(&state, &web1, began, began + WAITED));

        let (host, failure) = (web1.clone(), Failure::new(FailureKind::Unreachable, "gone"));
        let saved = EvidenceEvent::Saved { host, started: record.seq, result: Err(failure) };
        let after = began + Span::secs(5);
        apply(&mut state, after, Event::Evidence(saved));
        assert!(state.pending.is_empty());
        assert!(is_over(&state, &web1, began, after), "a failure is an end too");
        // Asked again: what was saved before is no answer to it.
        let event = wanted(&state, &web1, why).expect("an event");
        apply(&mut state, after + Span::secs(1), event);
        assert!(!is_over(&state, &web1, after + Span::secs(1), after + Span::secs(2)));
    }
}
