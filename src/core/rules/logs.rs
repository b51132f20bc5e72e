//! Logs: of each host that is to be changed, as long as the window goes on, so that what is usual is known
//! before the first change.

use crate::core::event::{Event, LogEvent, Purpose};
use crate::core::state::State;
use crate::types::HostName;

/// What is to be followed next. A host that has not greeted yet may not have a helper that could.
pub(super) fn due(state: &State) -> Vec<Event> {
    if state.purpose != Some(Purpose::Run) {
        return Vec::new();
    }
    let wanted = |host: &&HostName| {
        let none = state.logs.get(*host).is_none_or(|logs| logs.effect.is_none() && !logs.over);
        none && state.hosts.get(*host).is_some_and(|host| host.helper.is_some() && !host.baseline)
    };
    let hosts = state.turns.iter().filter(wanted);
    hosts.map(|host| Event::Log(LogEvent::FollowStarted { host: host.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::{Answer, Input};
    use crate::core::decide::{Circumstances, decide};
    use crate::core::event::{Actor, HelperState, HostEvent, Record};
    use crate::core::{Effect, effect, fixture};

    fn add(state: &mut State, event: Event) -> Option<Effect> {
        let (actor, session) = (Actor::Holdpoint, "test".to_owned());
        let record = Record { seq: state.seq + 1, at: fixture::opens(), actor, session, epoch: 5, event };
        state.apply(&record);
        effect::of(state, &record).map(|started| started.effect)
    }

    #[test]
    fn logs_of_a_host_that_answers_are_followed_once_with_the_plans_files() {
        let text = "[window]\nname = \"n\"\nticket = \"t\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T04:00:00Z\n\
            [baseline]\nhost = \"test1\"\nssh = \"test1\"\n\
            [[host]]\nname = \"web1\"\nssh = \"web1\"\nlogs = [\"/var/log/nginx/error.log\"]\n";
        let plan = crate::plan::read("window.toml", text).expect("a plan");
        let mut state = State::default();
        state.open(Purpose::Run, &plan, None, fixture::opens());
        assert_eq!(due(&state), []);
        for name in ["test1", "web1"] {
            let helper = HelperState { enrolled: true, why_not: None, epoch: 5 };
            add(&mut state, Event::Host(HostEvent::Greeted { host: name.parse().expect("a name"), helper }));
        }
        let host: HostName = "web1".parse().expect("a name");
        let started = Event::Log(LogEvent::FollowStarted { host: host.clone() });
        assert_eq!(due(&state), std::slice::from_ref(&started), "the baseline is not changed");
        let effect = add(&mut state, started.clone());
        let id = state.seq;
        let files = vec!["/var/log/nginx/error.log".to_owned()];
        assert_eq!(effect, Some(Effect::Follow { host: host.clone(), files }));
        assert_eq!(due(&state), []);
        let under = Circumstances { now: fixture::opens(), journal_sound: true };
        let answer = Input::Answer { id, answer: Box::new(Answer::LogsEnded("no perl".into())) };
        let events = decide(&state, &answer, under).events;
        let ended = LogEvent::FollowEnded { host: host.clone(), started: id, why: "no perl".into() };
        assert_eq!(events, [Event::Log(ended)]);
        events.into_iter().for_each(|event| drop(add(&mut state, event)));
        assert_eq!((due(&state), state.pending.contains_key(&id)), (Vec::new(), false));
        assert_eq!(state.logs[&host].unseen.as_ref().map(|why| why.raw()), Some("no perl"));
        // Another process begins again.
        state.forget_pending();
        assert_eq!(due(&state), [started]);
    }
}
