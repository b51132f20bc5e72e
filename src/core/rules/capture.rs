//! Captures: on each host whose customers have addresses of their own and are probed, as long as probing
//! goes on.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::core::event::{Event, PacketEvent};
use crate::core::state::State;
use crate::types::HostName;

/// The addresses that a host's capture is about, each once.
pub(in crate::core) fn addresses(state: &State, host: &HostName) -> Vec<IpAddr> {
    let customers = state.plan.iter().flat_map(|plan| plan.customers_of(host));
    let probed = customers.filter(|customer| !customer.probes.is_empty());
    let addresses: BTreeSet<IpAddr> = probed.filter_map(|customer| customer.address).collect();
    addresses.into_iter().collect()
}

/// The next captures to start: a host that has not answered yet has none.
pub(super) fn due(state: &State) -> Vec<Event> {
    if state.probing.is_none() {
        return Vec::new();
    }
    let wanted = |host: &&HostName| {
        let none = state.captures.get(*host).is_none_or(|capture| capture.effect.is_none() && !capture.over);
        let greeted = state.hosts.get(*host).is_some_and(|host| host.helper.is_some());
        none && greeted && !addresses(state, host).is_empty()
    };
    let hosts = state.turns.iter().filter(wanted);
    hosts.map(|host| Event::Packet(PacketEvent::Started { host: host.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::{Answer, Input};
    use crate::core::decide::{Circumstances, advance, decide};
    use crate::core::event::{Actor, HelperState, HostEvent, ProbeEvent, Purpose, Record};
    use crate::core::{Effect, effect, fixture};

    fn add(state: &mut State, event: Event) -> Option<Effect> {
        let (actor, session) = (Actor::Holdpoint, "test".to_owned());
        let record = Record { seq: state.seq + 1, at: fixture::opens(), actor, session, epoch: 5, event };
        state.apply(&record);
        effect::of(state, &record).map(|started| started.effect)
    }

    #[test]
    fn a_host_that_answers_is_captured_once_while_probing_goes_on_and_not_again_after_its_end() {
        let text = "[window]\nname = \"n\"\nticket = \"t\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T04:00:00Z\n\
            [[host]]\nname = \"web1\"\nssh = \"web1\"\n[[host]]\nname = \"web2\"\nssh = \"web2\"\n\
            [[customer]]\nname = \"a\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.2\"\nprobes = [\"tcp:443\"]\n\
            [[customer]]\nname = \"b\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\nprobes = [\"tcp:443\"]\n\
            [[customer]]\nname = \"c\"\nhost = \"web2\"\nweight = 1\nprobes = [\"http://c.example/\"]\n";
        let plan = crate::plan::read("window.toml", text).expect("a plan");
        let mut state = State::default();
        state.open(Purpose::Run, &plan, None, fixture::opens());
        let host: HostName = "web1".parse().expect("a name");
        assert_eq!(due(&state), []);
        add(&mut state, Event::Probe(ProbeEvent::WatchStarted));
        assert_eq!(due(&state), [], "nobody has answered");
        for name in ["web1", "web2"] {
            let helper = HelperState { enrolled: true, why_not: None, epoch: 5 };
            add(&mut state, Event::Host(HostEvent::Greeted { host: name.parse().expect("a name"), helper }));
        }
        let started = Event::Packet(PacketEvent::Started { host: host.clone() });
        assert_eq!(due(&state), vec![started.clone()], "web2 has no address to capture");
        let two = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().expect("an address"));
        let effect = add(&mut state, started.clone());
        let id = state.seq;
        assert_eq!(effect, Some(Effect::Capture { host: host.clone(), addresses: two.to_vec() }));
        assert_eq!(due(&state), []);
        let under = Circumstances { now: fixture::opens(), journal_sound: true };
        let answer = Input::Answer { id, answer: Box::new(Answer::CaptureEnded("gone".into())) };
        let events = decide(&state, &answer, under).events;
        assert_eq!(
            events,
            [Event::Packet(PacketEvent::Ended { host: host.clone(), started: id, why: "gone".into() })]
        );
        events.into_iter().for_each(|event| drop(add(&mut state, event)));
        assert_eq!(due(&state), []);
        assert!(!state.pending.contains_key(&id));
        // Another process begins again.
        state.forget_pending();
        add(&mut state, Event::Probe(ProbeEvent::WatchStarted));
        assert_eq!(due(&state), [started]);
        assert!(!advance(&state, under).events.is_empty());
    }
}
