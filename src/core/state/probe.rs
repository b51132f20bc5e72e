//! One probe: its newest results from each vantage, and what they say.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::core::event::{Flow, ProbeOutcome, Sighting, Tally, Vantage, Whole};
use crate::plan::{Limit, Probe};
use crate::types::{Seq, Sha256, Span, Time, Untrusted};

/// Results kept for each probe and vantage, the newest; more where a limit looks back further.
const RESULTS: usize = 32;

/// A probe and its newest results.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeState {
    /// What is looked at.
    pub probe: Probe,
    /// How many results are kept: what its own limit counts, and what abort lines do.
    keeps: usize,
    /// Whether what was normal is settled, since a change was started.
    pub settled: bool,
    /// From where the plan wants it made: this judges.
    pub own: Series,
    /// From elsewhere: this explains.
    pub others: BTreeMap<Vantage, Series>,
}

/// What was seen of a probe from one vantage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Whether it passed before the window's first change; `None` until something was seen.
    pub before: Option<bool>,
    /// The newest results, oldest first.
    pub results: VecDeque<(Time, ProbeOutcome)>,
    /// Since when it has failed without a pass, which may be longer ago than the oldest result.
    failing: Option<Time>,
    /// What else the newest attempt saw.
    pub sighting: Option<Arc<Sighting>>,
    /// What it was like before the window's first change, where it passed.
    pub normal: Normal,
    /// What the host's capture saw of the newest attempt that was looked for there, and when that ended.
    pub flow: Option<(Time, Arc<Flow>)>,
    /// When an attempt of its own ended the last time that a firewall of the host refused by ICMP, and none came
    /// through since.
    pub prohibited: Option<Time>,
    /// How long it may be until the next result while nothing is wrong, where that is longer than
    /// between the probe's own.
    pub pace: Span,
}

/// What a target was like before the window's first change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normal {
    /// The certificate that it showed.
    pub certificate: Option<Sha256>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// How long it took, the newest passes.
    pub took: VecDeque<Span>,
}

impl Normal {
    /// The median of how long it took; `None` where it never passed.
    pub fn median(&self) -> Option<Span> {
        let mut all: Vec<Span> = self.took.iter().copied().collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    }
}

/// What is known of a host's capture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capture {
    /// The standing effect that captures.
    pub effect: Option<Seq>,
    /// It ended for good: it is not started again before the window is picked up.
    pub over: bool,
    /// Since when it has run; `None` while it doesn't.
    pub since: Option<Time>,
    /// Why its packets are not seen.
    pub unseen: Option<Untrusted>,
    /// When it told something the last time, if only that nothing passed by.
    pub told: Option<Time>,
    /// How much of what the host saw is known.
    pub whole: Option<Whole>,
    /// By address what passed by lately, and when that was told.
    pub tallies: BTreeMap<IpAddr, VecDeque<(Time, Tally)>>,
    /// Packets that the host's kernel dropped before they were seen.
    pub dropped: u64,
    /// When it told of such the last time.
    pub lossy: Option<Time>,
}

/// What passed by is kept so long: a router that asks in vain for an address asks once a second, and not in
/// each stretch that a capture tells of.
const PASSED: Span = Span::secs(30);

impl Capture {
    pub(in crate::core) fn passed(&mut self, tally: &Tally, at: Time) {
        let all = self.tallies.entry(tally.address).or_default();
        all.push_back((at, tally.clone()));
        while all.front().is_some_and(|(told, _)| Span::between(*told, at) > PASSED) {
            all.pop_front();
        }
    }

    /// The clock was set back: what passed by before that would be of now until the clock has caught up.
    pub(super) fn set_back(&mut self, now: Time) {
        self.tallies.values_mut().for_each(VecDeque::clear);
        for at in [&mut self.since, &mut self.told, &mut self.lossy] {
            *at = at.map(|at| now.min(at));
        }
    }

    /// All that passed by for an address and was told from then on; `None` where nothing was.
    pub fn tally(&self, address: IpAddr, from: Time) -> Option<Tally> {
        let since = self.tallies.get(&address)?.iter().filter(|(at, _)| *at >= from);
        since.map(|(_, tally)| tally.clone()).reduce(|all, one| Tally {
            address,
            arp_asked: all.arp_asked.saturating_add(one.arp_asked),
            arp_answered: all.arp_answered.saturating_add(one.arp_answered),
            came: all.came.saturating_add(one.came),
            left: all.left.saturating_add(one.left),
        })
    }
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

impl Series {
    /// The newest result.
    pub fn last(&self) -> Option<&(Time, ProbeOutcome)> {
        self.results.back()
    }

    /// Whether the newest result is older than three intervals and a timeout, or there is none.
    pub fn stale(&self, probe: &Probe, now: Time) -> bool {
        let every = probe.every.max(self.pace).as_ms();
        let limit = every.saturating_mul(3).saturating_add(probe.timeout.as_ms());
        self.last()
            .is_none_or(|(at, _)| (now - *at).num_milliseconds() > i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// Whether the newest result says what all before it that are kept said: it passes.
    fn as_ever(&self) -> bool {
        let ok = |(_, outcome): &(Time, ProbeOutcome)| matches!(outcome, ProbeOutcome::Ok { .. });
        self.results.len() > 1 && self.results.iter().all(ok)
    }

    /// How many of the newest attempts that its limit counts have failed.
    fn failed(&self, probe: &Probe) -> u32 {
        let newest = self.results.iter().rev().take(probe.fails.of as usize);
        let failed = newest.filter(|(_, outcome)| matches!(outcome, ProbeOutcome::Fail { .. })).count();
        u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// Since when it has failed without a pass; attempts that could not be made count neither way.
    pub fn failing_since(&self) -> Option<Time> {
        self.failing
    }

    /// What its newest results say, `fails` of `of` counted from the end.
    pub fn health(&self, probe: &Probe, now: Time) -> Health {
        if self.stale(probe, now) {
            return Health::Unknown;
        }
        let failed = self.failed(probe);
        match self.last() {
            None | Some((_, ProbeOutcome::Broken { .. })) => Health::Unknown,
            Some(_) if failed >= probe.fails.fails => Health::Fail,
            Some((_, ProbeOutcome::Fail { .. })) => Health::Shaky,
            Some((_, ProbeOutcome::Ok { .. })) => Health::Ok,
        }
    }

    /// Takes a result in; what was normal is learnt until it is settled.
    fn saw(
        &mut self,
        of: (&Probe, usize),
        settled: bool,
        outcome: &ProbeOutcome,
        seen: Option<&Sighting>,
        at: Time,
    ) {
        let (probe, keeps) = of;
        if self.results.len() >= keeps {
            self.results.pop_front();
        }
        self.results.push_back((at, outcome.clone()));
        match outcome {
            ProbeOutcome::Ok { .. } => self.failing = None,
            ProbeOutcome::Fail { .. } => self.failing = self.failing.or(Some(at)),
            ProbeOutcome::Broken { .. } => {}
        }
        self.sighting = seen.cloned().map(Arc::new);
        if settled {
            return;
        }
        match outcome {
            ProbeOutcome::Ok { took, .. } => {
                self.before = Some(true);
                if self.normal.took.len() == RESULTS {
                    self.normal.took.pop_front();
                }
                self.normal.took.push_back(*took);
                self.normal.status = seen.and_then(|seen| seen.status);
                let shown = seen.and_then(|seen| seen.certificate.as_ref());
                self.normal.certificate = shown.map(|certificate| certificate.sha256);
            }
            // One lost packet must not make a probe optional for the whole window.
            ProbeOutcome::Fail { .. } if self.failed(probe) >= probe.fails.fails => {
                self.before = Some(false);
            }
            ProbeOutcome::Fail { .. } | ProbeOutcome::Broken { .. } => {}
        }
    }
}

impl ProbeState {
    /// A probe of which nothing was seen yet, of whose attempts lines count so many.
    pub(super) fn new(probe: Probe, counted: u32) -> Self {
        let keeps = RESULTS.max(probe.fails.of.max(counted).min(Limit::MOST) as usize);
        Self { probe, keeps, settled: false, own: Series::default(), others: BTreeMap::new() }
    }

    /// What was seen from that vantage; `None` where it is not the probe's own and nothing was.
    pub fn from(&self, vantage: &Vantage) -> Option<&Series> {
        if vantage.judges(self.probe.from) { Some(&self.own) } else { self.others.get(vantage) }
    }

    /// Whether it must pass: the plan says so and it passed before the window.
    pub fn required(&self) -> bool {
        self.probe.required && self.own.before != Some(false)
    }

    /// The newest result from where it is judged.
    pub fn last(&self) -> Option<&(Time, ProbeOutcome)> {
        self.own.last()
    }

    /// Whether that is older than three intervals and a timeout, or there is none.
    pub fn stale(&self, now: Time) -> bool {
        self.own.stale(&self.probe, now)
    }

    /// What the newest results say from where it is judged.
    pub fn health(&self, now: Time) -> Health {
        self.own.health(&self.probe, now)
    }

    /// Whether the newest result from that vantage says what all before it that are kept said: it passes.
    pub(super) fn as_ever(&self, vantage: &Vantage) -> bool {
        self.from(vantage).is_some_and(Series::as_ever)
    }

    fn series(&mut self, vantage: &Vantage) -> &mut Series {
        if vantage.judges(self.probe.from) {
            &mut self.own
        } else {
            let pace = crate::core::tasks::pace(&self.probe, vantage);
            self.others.entry(vantage.clone()).or_insert_with(|| Series { pace, ..Series::default() })
        }
    }

    pub(super) fn saw(
        &mut self,
        vantage: &Vantage,
        outcome: &ProbeOutcome,
        seen: Option<&Sighting>,
        at: Time,
    ) {
        let (probe, keeps, settled) = (self.probe.clone(), self.keeps, self.settled);
        self.series(vantage).saw((&probe, keeps), settled, outcome, seen, at);
    }

    /// The clock was set back: nothing was seen later than now.
    pub(super) fn set_back(&mut self, now: Time) {
        for series in std::iter::once(&mut self.own).chain(self.others.values_mut()) {
            series.results.iter_mut().for_each(|(at, _)| *at = now.min(*at));
            series.failing = series.failing.map(|at| now.min(at));
            // Whether it began to fail before or after those attempts can't be told any more.
            (series.flow, series.prohibited) = (None, None);
        }
    }

    pub(super) fn matched(&mut self, vantage: &Vantage, flow: &Flow, at: Time) {
        let series = self.series(vantage);
        if flow.completed {
            series.prohibited = None;
        } else if flow.prohibited > 0 && !flow.by_time {
            series.prohibited = series.prohibited.max(Some(at));
        }
        if series.flow.as_ref().is_none_or(|(before, _)| *before <= at) {
            series.flow = Some((at, Arc::new(flow.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::event::{Event, FailKind, HostEvent, ProbeEvent, ProbeId};
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
            let vantage = Vantage::Cockpit;
            state.saw(&id, &vantage, &outcome, None, at);
            let (probe, sighting) = (id.clone(), None);
            state.is_routine(&Event::Probe(ProbeEvent::Seen { probe, vantage, outcome, sighting }))
        };
        let ok = || ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let first: Vec<bool> = (0..3).map(|_| seen(ok())).collect();
        assert_eq!(first, [false, true, true]);
        assert!(!seen(ProbeOutcome::fail(FailKind::Refused, "refused")));
        // As long as a failure is in sight, somebody watches whether it comes again.
        let after: Vec<bool> = (0..32).map(|_| seen(ok())).collect();
        assert_eq!(after.iter().position(|routine| *routine), Some(31));
        assert!(!seen(ProbeOutcome::Broken { why: "no socket".into() }));
        let back = HostEvent::Back { host: "web1".parse().expect("a name") };
        assert!(!state.is_routine(&Event::Host(back)));
    }

    /// Since when it fails is told for as long as it does, however many attempts that was.
    #[test]
    fn since_when_it_fails_does_not_slide() {
        let at = |secs: u64| crate::core::fixture::opens() + Span::secs(secs);
        let plan = crate::core::fixture::plan(
            4,
            &["web1"],
            "[[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\n\
            probes = [{ probe = \"tcp:443\", fails = \"40 of 60\" }]\n",
        );
        let mut state = State::default();
        state.open(crate::core::event::Purpose::Run, &plan, None, at(0));
        let id = ProbeId { customer: "acme".parse().expect("a name"), index: 0 };
        let mut seen = |outcome: ProbeOutcome, secs: u64| {
            state.saw(&id, &Vantage::Cockpit, &outcome, None, at(secs));
            (state.probes[&id].own.failing_since(), state.probes[&id].health(at(secs)))
        };
        let ok = || ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let fail = || ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s");
        let broken = || ProbeOutcome::Broken { why: "no socket".into() };
        assert_eq!(seen(ok(), 0), (None, Health::Ok));
        assert_eq!(seen(broken(), 2).0, None, "what could not be made is no failure");
        for nth in 2..500 {
            let outcome = if nth % 50 == 0 { broken() } else { fail() };
            assert_eq!(seen(outcome, nth * 2).0, Some(at(4)), "after {nth}");
        }
        assert_eq!(seen(fail(), 1_000).1, Health::Fail, "by its own long limit");
        for nth in 0..60 {
            assert_eq!(seen(ok(), 1_002 + nth * 2).0, None);
        }
        assert_eq!(seen(fail(), 1_200).0, Some(at(1_200)));
    }
}
