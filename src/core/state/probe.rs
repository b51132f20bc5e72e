//! One probe: its newest results, and what they say.

use std::collections::VecDeque;

use crate::core::event::ProbeOutcome;
use crate::plan::Probe;
use crate::types::Time;

/// A probe and its newest results.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeState {
    /// What is looked at.
    pub probe: Probe,
    /// Whether it passed before the window's first change; `None` until something was seen.
    pub before: Option<bool>,
    /// Whether that is settled, since a change was started.
    pub settled: bool,
    /// The newest results, oldest first.
    pub results: VecDeque<(Time, ProbeOutcome)>,
}

/// What a probe's newest results say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It passes.
    Ok,
    /// Some of its newest attempts failed, fewer than its limit.
    Shaky,
    /// It failed as often as its limit says.
    Fail,
    /// Nothing was seen, or nothing recent, or attempts could not be made.
    Unknown,
}

impl ProbeState {
    /// Whether it must pass: the plan says so and it passed before the window.
    pub fn required(&self) -> bool {
        self.probe.required && self.before != Some(false)
    }

    /// The newest result.
    pub fn last(&self) -> Option<&(Time, ProbeOutcome)> {
        self.results.back()
    }

    /// Whether the newest result is older than three intervals and a timeout, or there is none.
    pub fn stale(&self, now: Time) -> bool {
        let limit = self.probe.every.as_ms() * 3 + self.probe.timeout.as_ms();
        self.last().is_none_or(|(at, _)| (now - *at).num_milliseconds() > limit as i64)
    }

    /// Whether the newest result says what all before it that are kept said: it passes.
    pub(super) fn as_ever(&self) -> bool {
        let ok = |(_, outcome): &(Time, ProbeOutcome)| matches!(outcome, ProbeOutcome::Ok { .. });
        self.results.len() > 1 && self.results.iter().all(ok)
    }

    /// How many of the newest attempts that its limit counts have failed.
    pub(super) fn failed(&self) -> u32 {
        let newest = self.results.iter().rev().take(self.probe.fails.of as usize);
        let failed = newest.filter(|(_, outcome)| matches!(outcome, ProbeOutcome::Fail { .. })).count();
        u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// What its newest results say, `fails` of `of` counted from the end.
    pub fn health(&self, now: Time) -> Health {
        if self.stale(now) {
            return Health::Unknown;
        }
        let failed = self.failed();
        match self.last() {
            None | Some((_, ProbeOutcome::Broken { .. })) => Health::Unknown,
            Some(_) if failed >= self.probe.fails.fails => Health::Fail,
            Some((_, ProbeOutcome::Fail { .. })) => Health::Shaky,
            Some((_, ProbeOutcome::Ok { .. })) => Health::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::event::{Event, HostEvent, ProbeEvent, ProbeId};
    use crate::core::state::State;
    use crate::types::Span;

    use super::*;

    #[test]
    fn a_pass_after_passes_alone_is_routine() {
        let plan = "[window]\nname = \"n\"\nticket = \"t\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T04:00:00Z\n\
            [[host]]\nname = \"web1\"\nssh = \"web1\"\n\
            [[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\nprobes = [\"tcp:443\"]\n";
        let plan = crate::plan::read("window.toml", plan).expect("a plan");
        let mut state = State::default();
        let at: Time = "2026-11-21T22:00:00Z".parse().expect("a moment");
        state.open(crate::core::event::Purpose::Run, &plan, None, at);
        let id = ProbeId { customer: "acme".parse().expect("a name"), index: 0 };
        let mut seen = |outcome: ProbeOutcome| {
            state.saw(&id, &outcome, at);
            state.is_routine(&Event::Probe(ProbeEvent::Seen { probe: id.clone(), outcome }))
        };
        let ok = || ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let first: Vec<bool> = (0..3).map(|_| seen(ok())).collect();
        assert_eq!(first, [false, true, true]);
        assert!(!seen(ProbeOutcome::Fail { why: "refused".into() }));
        // As long as a failure is in sight, somebody watches whether it comes again.
        let after: Vec<bool> = (0..32).map(|_| seen(ok())).collect();
        assert_eq!(after.iter().position(|routine| *routine), Some(31));
        assert!(!seen(ProbeOutcome::Broken { why: "no socket".into() }));
        let back = HostEvent::Back { host: "web1".parse().expect("a name") };
        assert!(!state.is_routine(&Event::Host(back)));
    }
}
