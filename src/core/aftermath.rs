//! After a rollback: whether the customers of its host are served again. A host that is as it was and
//! whose customers can't be reached is no good end.

use super::effect;
use super::event::{Cause, ProbeOutcome, Purpose};
use super::state::{Batch, Phase, ProbeState, State};
use crate::types::{CustomerName, HostName, Span, Time, Untrusted};

/// Customers are watched this long after a rollback until they are served again; longer only where a
/// probe is made more seldom.
const AFTERMATH: Span = Span::secs(30);

/// A customer who is not known to be served after a rollback on their host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dark {
    /// Who.
    pub customer: CustomerName,
    /// On which host.
    pub host: HostName,
    /// What the first of their required probes says, or that it says nothing.
    pub why: Untrusted,
}

impl Dark {
    /// "acme on web1: no answer in 3s".
    pub fn sentence(&self) -> String {
        format!("{} on {}: {}", self.customer, self.host, self.why.shown())
    }
}

/// The customers who are not known to be served at this moment, of hosts on which a batch was rolled
/// back. Not seen since counts as not served: unknown is never good.
pub fn dark(state: &State, now: Time) -> Vec<Dark> {
    let mut all: Vec<Dark> = Vec::new();
    for batch in back(state) {
        for (id, probe) in required(state, &batch.host) {
            let known = all.iter().any(|dark| dark.customer == id.customer);
            if let (false, Some(why)) = (known, against(probe, put_back(batch), now)) {
                all.push(Dark { customer: id.customer.clone(), host: batch.host.clone(), why });
            }
        }
    }
    all
}

/// Whether the customers of what was rolled back are still to be waited for before the end.
pub fn awaited(state: &State, now: Time) -> bool {
    // A process that picked the window up has seen nothing before it began to look.
    let watching = state.probing.and_then(|id| state.pending.get(&id)).map(|pending| pending.since);
    back(state).any(|batch| {
        let since = watching.map_or(batch.since, |watching| batch.since.max(watching));
        required(state, &batch.host).any(|(id, probe)| {
            let patience = AFTERMATH.max(probe.probe.every + probe.probe.timeout);
            // A recording that ends with an alarm on does not tell that they are served again.
            let alarm = || state.alarms.raised.contains_key(&Cause::Customer(id.customer.clone()));
            now < since + patience && (against(probe, put_back(batch), now).is_some() || alarm())
        })
    })
}

fn back(state: &State) -> impl Iterator<Item = &Batch> {
    let window = state.purpose == Some(Purpose::Run);
    state
        .in_order()
        .map(AsRef::as_ref)
        .filter(move |batch: &&Batch| window && matches!(batch.phase, Phase::Back | Phase::BackDiffers))
}

/// When its host had put everything back; comparing it with before changes nothing more.
fn put_back(batch: &Batch) -> Time {
    batch.changed.unwrap_or(batch.since)
}

fn required<'a>(
    state: &'a State,
    host: &'a HostName,
) -> impl Iterator<Item = (&'a super::event::ProbeId, &'a ProbeState)> {
    let probes = state.probes_of(host).map(|(id, probe)| (id, probe.as_ref()));
    probes.filter(|(_, probe)| effect::is_made(&probe.probe) && probe.required())
}

/// What stands against a probe's passing since then; `None` where it passes. What it said before
/// counts neither way, and fewer failures than its limit don't make a customer dark who was reached.
fn against(probe: &ProbeState, since: Time, now: Time) -> Option<Untrusted> {
    let newest = probe.own.results.iter().rev().take(probe.probe.fails.of as usize);
    let seen: Vec<&ProbeOutcome> = newest.filter(|(at, _)| *at > since).map(|(_, outcome)| outcome).collect();
    let Some(last) = seen.first() else { return Some("not seen since the rollback".into()) };
    if probe.stale(now) {
        return Some("not seen any more".into());
    }
    match last {
        ProbeOutcome::Ok { .. } => None,
        ProbeOutcome::Broken { why } => {
            Some(Untrusted::new(format!("its probe could not be made: {}", why.raw())))
        }
        ProbeOutcome::Fail { why, .. } => {
            let failed = seen.iter().filter(|outcome| matches!(outcome, ProbeOutcome::Fail { .. })).count();
            let reached = seen.iter().any(|outcome| matches!(outcome, ProbeOutcome::Ok { .. }));
            let few = failed < probe.probe.fails.fails as usize;
            (!(reached && few)).then(|| why.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decide::outcome;
    use crate::core::event::{FailKind, Outcome, ProbeId, Vantage};
    use crate::core::{describe, fixture};

    const ACME: &str = r#"[[customer]]
name    = "acme"
host    = "web1"
weight  = 400
address = "192.0.2.21"
probes  = [{ probe = "tcp:443", every = "5s", timeout = "3s", fails = "3 of 5" }]
"#;

    /// So many seconds after the batch came to where it is.
    fn at(secs: i64) -> Time {
        fixture::opens() + chrono::TimeDelta::seconds(1_800 + secs)
    }

    /// A window with one batch in this phase since 0 s, and what the customer's probe said when: `+`
    /// it passed, `-` it failed, `?` it could not be made.
    fn window(phase: Phase, said: &[(i64, char)]) -> State {
        let mut state = fixture::window(2, &["web1"], ACME);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.enter(phase, at(0));
        state.plan_batch(batch);
        let id = ProbeId { customer: "acme".parse().expect("a customer"), index: 0 };
        for (secs, sign) in said {
            let outcome = match sign {
                '+' => ProbeOutcome::Ok { took: Span::ms(9), said: "open".into() },
                '-' => ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s"),
                _ => ProbeOutcome::Broken { why: "no route".into() },
            };
            state.saw(&id, &Vantage::Cockpit, &outcome, None, at(*secs));
            if *secs == -60 {
                // The batch was applied here: what was normal is settled.
                state.freeze_normal(&"web1".parse().expect("a host"));
            }
        }
        state
    }

    #[test]
    fn a_rollback_is_complete_when_the_customers_are_served_again() {
        use Outcome::{Done, RollbackIncomplete as Incomplete, RolledBack};
        let (back, differs) = (Phase::Back, Phase::BackDiffers);
        let failing = [(-20, '-'), (-15, '-'), (-10, '-'), (-5, '-')];
        let then = |more: &[(i64, char)]| [&[(-60, '+')][..], &failing, more].concat();
        let (none, no_answer) = ("not seen since the rollback", "no answer in 3s");
        let broken = "its probe could not be made: no route";
        // The phase, what was said, now; what the end would be, who is dark and why, whether it waits.
        for (phase, said, now, end, why, waits) in [
            (back, then(&[(3, '+')]), 4, RolledBack, None, false),
            // Still failing: waited for, and then it is not complete.
            (back, then(&[(3, '-')]), 4, Incomplete, Some(no_answer), true),
            (back, then(&[(3, '-'), (24, '-'), (29, '-')]), 30, Incomplete, Some(no_answer), false),
            // Nothing seen since is not known, and never good.
            (back, then(&[]), 1, Incomplete, Some(none), true),
            (back, then(&[]), 31, Incomplete, Some(none), false),
            (back, vec![(-60, '+')], 1, Incomplete, Some(none), true),
            (back, vec![], 1, Incomplete, Some(none), true),
            // It passed, and then nothing more was seen; or it could not be looked at.
            (back, then(&[(3, '+')]), 60, Incomplete, Some("not seen any more"), false),
            (back, then(&[(3, '+'), (8, '?')]), 9, Incomplete, Some(broken), true),
            // One lost packet among passes is not a customer cut off, three are.
            (back, then(&[(3, '+'), (8, '+'), (13, '-')]), 14, RolledBack, None, false),
            (back, then(&[(3, '+'), (8, '-'), (13, '-'), (18, '-')]), 19, Incomplete, Some(no_answer), true),
            // What failed before the window is not required.
            (back, failing.to_vec(), 31, RolledBack, None, false),
            (differs, then(&[(3, '+')]), 4, Incomplete, None, false),
            (differs, then(&[(3, '-'), (24, '-')]), 31, Incomplete, Some(no_answer), false),
            // Without a rollback the customers are the gates' and the alarms' affair.
            (Phase::Confirmed, then(&[(3, '-')]), 4, Done, None, false),
        ] {
            let state = window(phase, &said);
            let dark: Vec<String> = dark(&state, at(now)).iter().map(Dark::sentence).collect();
            let wanted: Vec<String> = why.iter().map(|why| format!("acme on web1: {why}")).collect();
            let told = format!("{phase:?} {said:?} at {now}");
            assert_eq!(dark, wanted, "{told}");
            assert_eq!((outcome(&state, at(now)), awaited(&state, at(now))), (end, waits), "{told}");
            let words = describe::ended(&state, end, at(now));
            assert_eq!(words.contains("acme on web1"), why.is_some(), "{words}");
        }
    }

    #[test]
    fn an_alarm_that_is_on_is_waited_for_as_long_as_the_customers_are() {
        let served = [(-60, '+'), (-20, '-'), (-15, '-'), (-10, '-'), (3, '+')];
        let mut state = window(Phase::Back, &served);
        assert!(!awaited(&state, at(4)));
        let alarm = crate::core::state::Alarm { since: at(-10), said: "dark".into(), acknowledged: None };
        state.alarms.raised.insert(Cause::Customer("acme".parse().expect("a customer")), alarm.clone());
        assert!(awaited(&state, at(4)) && !awaited(&state, at(31)));
        // What else is wrong is no matter of the rollback's.
        state.alarms.raised.clear();
        state.alarms.raised.insert(Cause::Customer("globex".parse().expect("a customer")), alarm);
        assert!(!awaited(&state, at(4)));
    }

    #[test]
    fn who_picks_a_window_up_looks_first() {
        let mut state = window(Phase::Back, &[(-60, '+'), (-5, '-')]);
        assert!(!awaited(&state, at(600)));
        state.at = Some(at(595));
        state.probing = Some(77);
        state.await_watch(77, crate::core::state::Work::Probe);
        assert!(awaited(&state, at(600)) && !awaited(&state, at(626)));
    }

    #[test]
    fn a_rehearsal_has_no_customers() {
        let mut state = window(Phase::Back, &[(3, '-')]);
        state.purpose = Some(Purpose::Rehearsal);
        assert_eq!((dark(&state, at(4)), awaited(&state, at(4))), (Vec::new(), false));
    }
}
