//! What holds whatever is seen.

use proptest::prelude::*;

use super::*;
use crate::core::arbitrary;

/// Every phase of work: what somebody waits for, what is expected to hurt, and what is over.
const PHASES: &[Phase] = &[
    Phase::Applying,
    Phase::ApplyFailed,
    Phase::Rebooting,
    Phase::Verifying,
    Phase::Verified,
    Phase::Confirmed,
    Phase::Unknown,
    Phase::RollingBack,
    Phase::Back,
    Phase::RollbackFailed,
];

/// Any outcome, passes as often as all others together.
fn outcome() -> impl Strategy<Value = ProbeOutcome> {
    prop_oneof![arbitrary::outcome(), (0..3_000_u64).prop_map(ok), Just(fail(FailKind::NoAnswer))]
}

/// A probe as one would keep it on paper: every two seconds, three seconds for an answer, 3 of 5.
#[derive(Default)]
struct ByHand {
    all: Vec<(i64, char)>,
    settled: bool,
    failed_before: bool,
}

impl ByHand {
    fn saw(&mut self, secs: i64, outcome: &ProbeOutcome) {
        self.all.push((
            secs,
            match outcome {
                ProbeOutcome::Ok { .. } => 'o',
                ProbeOutcome::Fail { .. } => 'f',
                ProbeOutcome::Broken { .. } => 'b',
            },
        ));
        match self.all.last() {
            Some((_, 'o')) if !self.settled => self.failed_before = false,
            Some((_, 'f')) if !self.settled && self.fails() => self.failed_before = true,
            Some(_) | None => {}
        }
    }

    fn fails(&self) -> bool {
        self.all.iter().rev().take(5).filter(|(_, letter)| *letter == 'f').count() >= 3
    }

    fn passes(&self, now: i64) -> bool {
        self.all.last().is_some_and(|(secs, letter)| *letter == 'o' && now - secs <= 3 * 2 + 3)
            && !self.fails()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is reached is what its own vantage says, and nothing else: the newest attempt passed, is not old,
    /// and fewer failed than the limit. That is counted here by hand, beside whatever else was seen: from
    /// elsewhere, of others, of controls, of packets and of ssh, in the middle of whatever work.
    #[test]
    fn only_what_passes_where_it_is_judged_is_reached(
        seen in proptest::collection::vec((0..6_i64, 0..4_u8, 0..6_u8, outcome(), arbitrary::sighting()), 0..60),
        settled in proptest::option::of(0..60_usize),
        flow in proptest::option::of(arbitrary::flow()),
        tally in any::<Option<(u32, u32, u32, u32)>>(),
        there in any::<bool>(),
        down in (any::<bool>(), any::<bool>()),
        phase in proptest::sample::select(PHASES),
        later in prop_oneof![0..9_i64, 0..90_i64],
    ) {
        let two = "\"tcp:443\", \"https://www.globex.example/\"";
        let control = "[[control]]\nprobe = \"http://status.example/\"\n[[vantage]]\nname = \"paris\"\nssh = \"paris\"\n";
        let mut state = fixture::window(6, &["web1", "web2"], &format!("{control}{}", plan(two)));
        state.probing = Some(1);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.apply_started = Some(at(-60));
        batch.enter(phase, at(-50));
        state.plan_batch(batch);
        let mut lab = Lab { state };
        let mut by_hand = [ByHand::default(), ByHand::default()];
        let (mut secs, all) = (0, [("globex", 0), ("globex", 1), ("acme", 0), ("hooli", 1)]);
        for (place, (pause, of, from, outcome, sighting)) in seen.into_iter().enumerate() {
            secs += pause;
            if settled == Some(place) {
                lab.state.freeze_normal(&"web1".parse().expect("a host"));
                by_hand.iter_mut().for_each(|probe| probe.settled = true);
            }
            let vantage = match from {
                0..=2 => Vantage::Cockpit,
                3 => Vantage::Inside,
                4 => peer(),
                _ => further(),
            };
            let (customer, index) = all[usize::from(of)];
            if vantage == Vantage::Cockpit && customer == "globex" {
                by_hand[usize::from(index)].saw(secs, &outcome);
            }
            if of == 3 && vantage != Vantage::Inside {
                lab.state.saw_control(0, &vantage, &outcome, at(secs));
            }
            lab.state.saw(&id(customer, index), &vantage, &outcome, Some(&sighting), at(secs));
        }
        lab.capture(flow, tally).facts(secs, there, &["0.0.0.0:443"]);
        for host in [("web1", down.0), ("web2", down.1)] {
            lab.host(host.0).reach = match host.1 {
                true => Reach::Down { since: at(secs), why: Failure::new(FailureKind::TimedOut, "no answer") },
                false => Reach::Up { since: at(-800) },
            };
        }
        let now = at(secs + later);
        for (index, probe) in by_hand.iter().enumerate() {
            let judged = judge(&lab.state, &id("globex", index as u16), now);
            prop_assert_eq!(judged.verdict.reached(), probe.passes(secs + later), "{:#?}", judged);
        }
        let required: Vec<_> = by_hand.iter().filter(|probe| !probe.failed_before).collect();
        let counts = if required.is_empty() { by_hand.iter().collect() } else { required };
        let of = of_customer(&lab.state, &"globex".parse().expect("a name"), now);
        let all = counts.iter().all(|probe| probe.passes(secs + later));
        prop_assert_eq!(of.verdict.reached(), all, "{:#?}", of);
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
