//! What holds whatever is seen.

use proptest::prelude::*;

use super::*;
use crate::core::arbitrary;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever else was seen: a required probe that failed from where it is judged is never reachable.
    #[test]
    fn what_failed_is_never_reachable(
        kind in arbitrary::fail_kind(),
        inside in proptest::collection::vec(arbitrary::outcome(), 0..6),
        peers in proptest::collection::vec(arbitrary::outcome(), 0..6),
        flow in proptest::option::of(arbitrary::flow()),
        tally in any::<Option<(u32, u32, u32, u32)>>(),
        there in any::<bool>(),
        ssh in any::<bool>(),
        probe in proptest::sample::select(&[TCP, HTTPS][..]),
        last_ok in any::<bool>(),
    ) {
        let mut lab = Lab::of(probe);
        lab.saw(&id("globex", 0), &Vantage::Cockpit, &fail(kind)).no_inside();
        for outcome in &inside {
            lab.state.saw(&id("globex", 0), &Vantage::Inside, outcome, None, at(9));
        }
        for outcome in &peers {
            lab.state.saw(&id("globex", 0), &peer(), outcome, None, at(9));
        }
        lab.capture(flow, tally).facts(9, there, &["0.0.0.0:443"]);
        if ssh {
            lab.ssh_down("web1");
        }
        if last_ok {
            lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &ok(12), None, at(9));
        }
        let judged = lab.judged();
        prop_assert_ne!(judged.verdict, Verdict::Reachable, "{:#?}", judged);
        prop_assert_eq!(&judged, &lab.judged());
        let of = of_customer(&lab.state, &"globex".parse().expect("a name"), now());
        prop_assert_ne!(of.verdict, Verdict::Reachable);
    }

    /// Any plan, anything seen of it, at any moment.
    #[test]
    fn any_state_is_judged(
        plan in arbitrary::plan(),
        seen in proptest::collection::vec((any::<u8>(), arbitrary::probe_event(), arbitrary::packet_event()), 0..12),
        at in arbitrary::time(),
    ) {
        let mut state = State::default();
        state.open(crate::core::event::Purpose::Run, &plan, None, at);
        let ids: Vec<ProbeId> = state.probes.keys().cloned().collect();
        for (seq, (pick, probe, packet)) in (1..).zip(seen) {
            let any = ids.get(usize::from(pick) % ids.len().max(1));
            if let (Some(id), ProbeEvent::Seen { vantage, outcome, sighting, .. }) = (any, &probe) {
                state.saw(id, vantage, outcome, sighting.as_deref(), at);
            }
            for event in [Event::Probe(probe), Event::Packet(packet)] {
                let actor = crate::core::event::Actor::Holdpoint;
                state.apply(&crate::core::Record { seq, at, actor, session: "test".into(), epoch: 1, event });
            }
        }
        for id in &ids {
            let judged = judge(&state, id, at);
            prop_assert_eq!(&judged, &judge(&state, id, at));
            let text: String = judged.evidence.iter().chain(&judged.next).chain([&judged.said]).cloned().collect();
            prop_assert!(text.chars().all(|c| !c.is_control()), "{}", text.escape_debug());
            of_customer(&state, &id.customer, at);
        }
    }
}
