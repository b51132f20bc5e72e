//! The places from which one looks: which of them is to be believed. Pure.

use super::event::{FailKind, ProbeOutcome, Vantage};
use super::state::{ProbeState, Series, State};
use crate::types::Time;

/// Why nothing that is seen from this vantage says anything about a target; `None` where it is not known to
/// be broken.
///
/// Every control that is made from there fails by its own limit. An attempt that could not be made (a name
/// that is not resolved, a place that can't be asked) counts as failed where that control had passed from
/// there: it is the vantage that has changed. Without a control, or with none that was looked at lately,
/// nothing is known: that is not broken. Nor is it where a customer's probe has passed from there since they
/// fail: it is the controls that are down.
pub fn vantage_broken(state: &State, vantage: &Vantage, now: Time) -> Option<String> {
    let looked: Vec<(&ProbeState, &Series)> = state
        .controls
        .iter()
        .filter_map(|control| Some((control.as_ref(), control.from(vantage)?)))
        .filter(|(control, series)| !series.stale(&control.probe, now))
        .collect();
    let fails = |(control, series): &(&ProbeState, &Series)| failing(control, series);
    let (first, series) = looked.first().filter(|_| looked.iter().all(fails))?;
    let since = looked.iter().filter_map(|(_, series)| failing_since(series)).max()?;
    let mut others = state.probes.values().filter_map(|probe| probe.from(vantage));
    let passed =
        |(at, outcome): &(Time, ProbeOutcome)| matches!(outcome, ProbeOutcome::Ok { .. }) && *at > since;
    if others.any(|series| series.last().is_some_and(passed)) {
        return None;
    }
    let why = match series.last() {
        Some((_, ProbeOutcome::Fail { why, .. } | ProbeOutcome::Broken { why })) => why.shown(),
        Some((_, ProbeOutcome::Ok { .. })) | None => "it failed until now".to_owned(),
    };
    Some(match looked.len() {
        1 => format!("its control {} fails: {why}", first.probe.target),
        n => format!("all {n} controls fail, {} with: {why}", first.probe.target),
    })
}

/// Whether something came back from a target that failed so: then the way to it works, whatever is wrong there.
fn answers(kind: FailKind) -> bool {
    match kind {
        FailKind::Refused
        | FailKind::TlsRefused
        | FailKind::Certificate
        | FailKind::ServerError
        | FailKind::Content
        | FailKind::Database
        | FailKind::Command => true,
        FailKind::NoAnswer | FailKind::Unreachable | FailKind::Cut | FailKind::Silence | FailKind::Other => {
            false
        }
    }
}

/// Since when a control has not passed, of the attempts that are kept.
fn failing_since(series: &Series) -> Option<Time> {
    let run =
        series.results.iter().rev().take_while(|(_, outcome)| !matches!(outcome, ProbeOutcome::Ok { .. }));
    run.last().map(|(at, _)| *at)
}

/// As often as its limit says, of its newest attempts. One that was made just now and passed clears it.
fn failing(control: &ProbeState, series: &Series) -> bool {
    let passed_once = series.before == Some(true)
        || series.results.iter().any(|(_, outcome)| matches!(outcome, ProbeOutcome::Ok { .. }));
    let counts = |outcome: &ProbeOutcome| match outcome {
        ProbeOutcome::Ok { .. } => false,
        ProbeOutcome::Fail { kind, .. } => !answers(*kind),
        ProbeOutcome::Broken { .. } => passed_once,
    };
    let limit = control.probe.fails;
    let newest = series.results.iter().rev().take(limit.of as usize);
    let failed = newest.filter(|(_, outcome)| counts(outcome)).count();
    failed >= limit.fails as usize && series.last().is_some_and(|(_, last)| counts(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Actor, Event, ProbeEvent, Record};
    use crate::core::fixture;
    use crate::types::Span;

    const CONTROLS: &str = "[[control]]\nprobe = \"http://status.example/\"\nfails = \"2 of 3\"\n\
        [[control]]\nprobe = \"http://192.0.2.99/\"\nfails = \"2 of 3\"\n\
        [[vantage]]\nname = \"paris\"\nssh = \"paris\"\n";

    /// What was seen of controls, as `CONTROL:LETTERS` with o ok, f fail, a an answer that is no good, b broken, a second
    /// apart.
    fn seen(from: &Vantage, all: &[&str]) -> (State, Time) {
        let mut state = fixture::window(4, &["web1"], CONTROLS);
        let mut now = fixture::opens();
        for part in all {
            let (index, letters) = part.split_once(':').expect("a control and letters");
            for letter in letters.chars() {
                now = now + Span::secs(1);
                let outcome = match letter {
                    'o' => ProbeOutcome::Ok { took: Span::ms(3), said: "200".into() },
                    'f' => ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s"),
                    'a' => ProbeOutcome::fail(FailKind::Content, "status 404"),
                    _ => ProbeOutcome::broken("status.example was not resolved"),
                };
                let index = index.parse().expect("a number");
                let event = ProbeEvent::ControlSeen { index, vantage: from.clone(), outcome };
                let record = Record {
                    seq: state.seq + 1,
                    at: now,
                    actor: Actor::Holdpoint,
                    session: "test".to_owned(),
                    epoch: 1,
                    event: Event::Probe(event),
                };
                state.apply(&record);
            }
        }
        (state, now)
    }

    #[test]
    fn a_vantage_is_broken_when_all_its_controls_fail_and_unknown_without_any() {
        for (all, broken) in [
            (&[][..], false),
            (&["0:ff"], true),
            (&["0:of"], false),
            (&["0:ffo"], false),
            (&["0:fof"], true),
            (&["0:ff", "1:oo"], false),
            (&["0:ff", "1:of"], false),
            (&["0:ff", "1:ff"], true),
            // Whatever answers was reached.
            (&["0:aaa"], false),
            (&["0:faf"], true),
            (&["0:ffa"], false),
            // What could not be made says something only where it could be made before.
            (&["0:bbb"], false),
            (&["0:obb"], true),
            (&["0:obb", "1:bbb"], false),
            (&["0:obb", "1:obb"], true),
            // A control that the plan has not.
            (&["7:ff"], false),
        ] {
            for from in [Vantage::Cockpit, Vantage::Further("paris".parse().expect("a name"))] {
                let (state, now) = seen(&from, all);
                assert_eq!(vantage_broken(&state, &from, now).is_some(), broken, "{all:?} from {from:?}");
                // From elsewhere nothing was seen.
                for other in [Vantage::Inside, Vantage::Further("rome".parse().expect("a name"))] {
                    assert_eq!(vantage_broken(&state, &other, now), None);
                }
                // Old results say nothing.
                assert_eq!(vantage_broken(&state, &from, now + Span::secs(60)), None);
            }
        }
    }

    #[test]
    fn it_says_which_control_and_why() {
        let (state, now) = seen(&Vantage::Cockpit, &["0:ff"]);
        let why = vantage_broken(&state, &Vantage::Cockpit, now);
        assert_eq!(why.as_deref(), Some("its control http://status.example/ fails: no answer in 3s"));
        let (state, now) = seen(&Vantage::Cockpit, &["0:ff", "1:ff"]);
        let why = vantage_broken(&state, &Vantage::Cockpit, now);
        let all = "all 2 controls fail, http://status.example/ with: no answer in 3s";
        assert_eq!(why.as_deref(), Some(all));
    }
}
