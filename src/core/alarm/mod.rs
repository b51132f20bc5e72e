//! Alarms: what calls for a response, raised and cleared by the state alone. Acknowledging is not clearing;
//! what a running apply or a declared reboot is expected to cause raises nothing, and a vantage that does
//! not work is no outage. The lines at which something is rolled back by itself are in `line`.

pub mod line;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::BTreeMap;

use super::event::{AlarmEvent, Cause, Event, ProbeId, ProbeOutcome, Purpose, Vantage};
use super::state::{Alarm, Batch, Health, Host, Logs, Phase, ProbeState, Reach, Series, State};
use super::vantage::vantage_broken;
use super::{effect, fence, verdict};
use crate::plan::{Limit, VantageKind};
use crate::types::{CustomerName, HostName, Span, Time, Untrusted};

/// A host that does not answer for so long has stopped answering: a network that is restarted, or a
/// connection that is made anew, takes seconds.
const GRACE: Span = Span::secs(15);
/// A host counts the lines of its logs for so long before it tells.
const COUNTED: Span = Span::secs(5);
/// More alarms than that within ten minutes are shown as one.
pub const MANY: usize = 10;
/// See [`MANY`].
const FLOOD: Span = Span::mins(10);

/// The next events about alarms and lines. They concern a window alone: a rehearsal has no customers.
pub(super) fn due(state: &State, now: Time) -> Vec<Event> {
    if state.purpose != Some(Purpose::Run) {
        return Vec::new();
    }
    let mut events = line::due(state, now);
    let cleared = state.alarms.raised.iter().filter(|(cause, _)| is_over(state, cause, now));
    events.extend(cleared.map(|(cause, _)| Event::Alarm(AlarmEvent::Cleared { cause: cause.clone() })));
    let new =
        conditions(state, now).into_iter().filter(|(cause, _)| !state.alarms.raised.contains_key(cause));
    events.extend(new.map(|(cause, said)| {
        Event::Alarm(AlarmEvent::Raised { cause, said: Untrusted::new(said.words(state, now)) })
    }));
    events
}

/// What an alarm says when it is raised.
enum Said {
    Probe(ProbeId),
    Words(String),
}

impl Said {
    fn words(self, state: &State, now: Time) -> String {
        match self {
            Self::Probe(id) => verdict::judge(state, &id, now).said,
            Self::Words(words) => words,
        }
    }
}

/// Everything that calls for a response at this moment.
fn conditions(state: &State, now: Time) -> BTreeMap<Cause, Said> {
    let mut all = BTreeMap::new();
    let failing: Vec<(&ProbeId, &ProbeState)> =
        decides(state).filter(|(_, probe)| matters(probe, now)).collect();
    let unanswered: Vec<&Host> =
        state.hosts.values().map(AsRef::as_ref).filter(|h| lost(state, h, now)).collect();
    let further = state.plan.iter().flat_map(|plan| &plan.vantages);
    for place in further.map(|place| Vantage::Further(place.name.clone())) {
        if let Some(why) = vantage_broken(state, &place, now) {
            let words = format!("vantage broken: {}: {why}", words(&Cause::Vantage(place.clone())));
            all.insert(Cause::Vantage(place), Said::Words(words));
        }
    }
    let vantage = Cause::Vantage(Vantage::Cockpit);
    // Until its alarm is over nothing that is seen from there counts. Asked only where something is wrong: it goes
    // through every probe.
    let broken = if state.alarms.raised.contains_key(&vantage) {
        Some(String::new())
    } else if failing.is_empty() && unanswered.is_empty() {
        None
    } else {
        verdict::broken(state, &Vantage::Cockpit, now)
    };
    // What comes over ssh is told all the same, and a host that is missed where another is reached.
    let blind = broken.is_some();
    let alone = blind && !state.reaches_a_host();
    if let Some(why) = broken {
        let words = format!("vantage broken, no outage is seen from it: the cockpit's own network: {why}");
        all.insert(vantage, Said::Words(words));
    }
    let seen = |id: &ProbeId| !blind || host_of(state, &id.customer).is_some_and(|host| state.is_here(host));
    for (id, probe) in failing.into_iter().filter(|(id, _)| seen(id)) {
        if probe.health(now) == Health::Fail && !expected(state, id, probe) {
            all.entry(Cause::Customer(id.customer.clone())).or_insert_with(|| Said::Probe(id.clone()));
        }
    }
    for host in unanswered.into_iter().filter(|_| !alone) {
        if let Reach::Down { since, why } = &host.reach {
            let ago = Span::between(*since, now).brief();
            let words = format!("{} does not answer by ssh for {ago}: {}", host.name, why.what.shown());
            all.insert(Cause::Host(host.name.clone()), Said::Words(words));
        }
    }
    for batch in state.in_order().filter(|batch| batch.phase.unconfirmed() && batch.phase != Phase::Applying)
    {
        for unit in failed_since(state, batch) {
            let words = format!("{}: {unit} has failed since {} was applied", batch.host, batch.label());
            all.insert(Cause::Unit { host: batch.host.clone(), unit: unit.clone() }, Said::Words(words));
        }
    }
    for (host, logs) in state.logs.iter().filter(|(host, logs)| errors(state, host, logs, now)) {
        let words = format!("{host}: {}", logs.words(now));
        all.insert(Cause::Logs(host.clone()), Said::Words(words));
    }
    all
}

/// Whether a host's logs tell of many errors that no work there is expected to cause: restarts do, and the
/// counts of a stretch are told at its end.
fn errors(state: &State, host: &HostName, logs: &Logs, now: Time) -> bool {
    let disturbed = state.batches_of(host).filter_map(|batch| batch.disturbed).max();
    let from = disturbed.map(|at| at + COUNTED);
    logs.many_errors(from, now)
        && fence::of(state, host).is_none()
        && !state.batches_of(host).any(|batch| disturbs(batch.phase))
}

/// The probes that decide: required, and made by this version.
fn decides(state: &State) -> impl Iterator<Item = (&ProbeId, &ProbeState)> {
    let all = state.probes.iter().map(|(id, probe)| (id, probe.as_ref()));
    all.filter(|(_, probe)| effect::is_made(&probe.probe) && probe.required())
}

/// Whether the newest attempt says that something is wrong, or could not be made.
fn matters(probe: &ProbeState, now: Time) -> bool {
    let wrong = |outcome: &ProbeOutcome| match outcome {
        ProbeOutcome::Ok { .. } => false,
        ProbeOutcome::Fail { .. } | ProbeOutcome::Broken { .. } => true,
    };
    probe.last().is_some_and(|(_, outcome)| wrong(outcome)) && !probe.stale(now)
}

/// Whether a failing probe is what work on its host is expected to cause: an apply restarts services, a
/// reboot ends all of them, and a rollback does both. It is expected until a little after, as the plan says.
fn expected(state: &State, id: &ProbeId, probe: &ProbeState) -> bool {
    let Some(host) = host_of(state, &id.customer) else { return true };
    if state.batches_of(host).any(|batch| disturbs(batch.phase)) {
        return true;
    }
    let from = calm_from(state, host, probe);
    let counts = counted(state, host, probe, from);
    failures(&probe.own, probe.probe.fails, counts) < probe.probe.fails.fails as usize
}

/// Whether a failing probe of a host says that its customers fail, and not the place that sees it.
pub(super) fn is_told(state: &State, host: &HostName, probe: &ProbeState) -> bool {
    let outside = probe.probe.from == VantageKind::Outside;
    let Some(from) = (if outside { line::told_from(state, host) } else { Some(None) }) else { return false };
    let counts = counted(state, host, probe, from);
    failures(&probe.own, probe.probe.fails, counts) >= probe.probe.fails.fails as usize
}

/// Which failures of a probe count against its host: those after a moment that were not seen in the dark.
fn counted<'s>(
    state: &'s State,
    host: &'s HostName,
    probe: &'s ProbeState,
    from: Option<Time>,
) -> impl Fn(Time) -> bool + use<'s> {
    let dark = witness::in_the_dark(state, host, probe);
    move |at| from.is_none_or(|from| at > from) && !dark(at)
}

fn host_of<'s>(state: &'s State, customer: &CustomerName) -> Option<&'s HostName> {
    let plan = state.plan.as_ref()?;
    plan.customers.iter().find(|other| other.name == *customer).map(|customer| &customer.host)
}

/// Work that customers are expected to feel.
fn disturbs(phase: Phase) -> bool {
    match phase {
        Phase::Applying | Phase::Rebooting | Phase::RollingBack => true,
        Phase::Planned
        | Phase::Staging
        | Phase::Staged
        | Phase::StageFailed
        | Phase::Applied
        | Phase::ApplyFailed
        | Phase::Rebooted
        | Phase::Verifying
        | Phase::Verified
        | Phase::Confirming
        | Phase::Confirmed
        | Phase::Unknown
        | Phase::RolledBack
        | Phase::Comparing
        | Phase::Back
        | Phase::BackDiffers
        | Phase::RollbackFailed => false,
    }
}

/// From when on what a probe says of its host counts: when what the work there is expected to cause is over,
/// and the cockpit's own network was back, the last time that either was so. `None`: neither was.
fn calm_from(state: &State, host: &HostName, probe: &ProbeState) -> Option<Time> {
    let back = state.alarms.back.filter(|_| probe.probe.from == VantageKind::Outside);
    disturbed(state, host).map(|last| last + probe.probe.delay).max(back)
}

/// When work on a host that customers are expected to feel was at its end, the last time.
fn disturbed(state: &State, host: &HostName) -> Option<Time> {
    state.batches_of(host).filter_map(|batch| batch.disturbed).max()
}

/// How many of the newest attempts that a limit counts have failed, of those at a moment that counts.
fn failures(series: &Series, limit: Limit, counts: impl Fn(Time) -> bool) -> usize {
    let newest = series.results.iter().rev().take(limit.of as usize);
    let failed = newest.filter(|(_, outcome)| matches!(outcome, ProbeOutcome::Fail { .. }));
    failed.filter(|(at, _)| counts(*at)).count()
}

/// Whether the newest attempts that a limit counts all passed, and are not old.
fn passes(probe: &ProbeState, series: &Series, limit: Limit, now: Time) -> bool {
    let last = series.last().is_some_and(|(_, outcome)| matches!(outcome, ProbeOutcome::Ok { .. }));
    last && !series.stale(&probe.probe, now) && failures(series, limit, |_| true) == 0
}

/// Whether a host that answered before has stopped, and nothing that is under way explains it.
fn lost(state: &State, host: &Host, now: Time) -> bool {
    let Reach::Down { since, .. } = &host.reach else { return false };
    !host.baseline
        && host.read_at.is_some()
        && now >= *since + GRACE
        && fence::of(state, &host.name).is_none()
        && !state.batches_of(&host.name).any(|batch| disturbs(batch.phase))
}

/// Units that have failed since a batch was applied, as its host said after that.
fn failed_since<'s>(state: &'s State, batch: &Batch) -> Vec<&'s crate::types::UnitName> {
    let services = state.hosts.get(&batch.host).and_then(|host| host.facts.services.as_ref());
    let before = batch.before.as_ref().and_then(|before| before.services.as_ref()?.known());
    let (Some(read), Some(before)) = (services, before) else { return Vec::new() };
    let after = batch.disturbed.is_some_and(|at| read.at > at);
    let failed =
        read.known().filter(|_| after).map(|services| services.failed.as_slice()).unwrap_or_default();
    failed.iter().filter(|unit| !before.failed.contains(unit)).collect()
}

/// Whether the cause of an alarm is gone. What is not seen any more is not gone.
fn is_over(state: &State, cause: &Cause, now: Time) -> bool {
    match cause {
        Cause::Customer(customer) => {
            let mut of = decides(state).filter(|(id, _)| id.customer == *customer);
            of.all(|(_, probe)| passes(probe, &probe.own, probe.probe.fails, now))
        }
        Cause::Host(host) => state.hosts.get(host).is_none_or(|host| matches!(host.reach, Reach::Up { .. })),
        Cause::Unit { host, unit } => {
            let read = state.hosts.get(host).and_then(|host| host.facts.services.as_ref());
            let services = read.and_then(|read| read.known());
            services.is_some_and(|services| !services.failed.contains(unit))
        }
        Cause::Vantage(vantage) => {
            let probes = state.probes.values().filter(|probe| effect::is_made(&probe.probe));
            let mut seen =
                state.controls.iter().chain(probes).filter_map(|probe| Some((probe, probe.from(vantage)?)));
            verdict::broken(state, vantage, now).is_none()
                && seen.any(|(probe, series)| passes(probe, series, Limit { fails: 1, of: 1 }, now))
        }
        Cause::Logs(host) => state.logs.get(host).is_none_or(|logs| logs.few_errors(now)),
    }
}

/// The host that an alarm is about; `None` for a vantage.
pub fn host(state: &State, cause: &Cause) -> Option<HostName> {
    match cause {
        Cause::Customer(customer) => host_of(state, customer).cloned(),
        Cause::Host(host) | Cause::Unit { host, .. } | Cause::Logs(host) => Some(host.clone()),
        Cause::Vantage(_) => None,
    }
}

/// Whether a host is to be read again, since something began to fail there after it was read: who listens,
/// and which addresses are there, tell one cause from another.
pub(super) fn wants_reading(state: &State, host: &Host) -> bool {
    let after = |since: Time| host.read_at.is_none_or(|read| since > read);
    if !matches!(host.reach, Reach::Up { .. }) {
        return false;
    }
    // Nobody is called while one only looks.
    if state.purpose == Some(Purpose::Probe) {
        let mut fails = state.probes_of(&host.name).filter_map(|(_, probe)| probe.own.failing_since());
        return fails.any(after);
    }
    state.alarms.raised.iter().any(|(cause, alarm)| match cause {
        Cause::Customer(customer) => host_of(state, customer) == Some(&host.name) && after(alarm.since),
        Cause::Host(_) | Cause::Unit { .. } | Cause::Vantage(_) | Cause::Logs(_) => false,
    })
}

/// The raised alarms, the most important first: a vantage that is broken, customers by their weight, hosts,
/// units, logs; what was acknowledged after what was not.
pub fn ranked(state: &State) -> Vec<(&Cause, &Alarm)> {
    let weight = |cause: &Cause| {
        let customers = state.plan.iter().flat_map(|plan| &plan.customers);
        match cause {
            Cause::Vantage(_) => (0, 0),
            Cause::Customer(name) => {
                let weight = customers.into_iter().find(|c| c.name == *name).map_or(0, |c| c.weight);
                (1, u64::MAX - weight)
            }
            Cause::Host(_) => (2, 0),
            Cause::Unit { .. } => (3, 0),
            Cause::Logs(_) => (4, 0),
        }
    };
    let mut all: Vec<_> = state.alarms.raised.iter().collect();
    all.sort_by_key(|(cause, alarm)| (alarm.acknowledged.is_some(), weight(cause), alarm.since));
    all
}

/// Whether so many alarms came within a short time that they are shown as one.
pub fn is_flood(state: &State, now: Time) -> bool {
    lately(state, now) > MANY
}

/// How many alarms were raised within ten minutes.
pub fn lately(state: &State, now: Time) -> usize {
    state.alarms.moments.iter().filter(|at| Span::between(**at, now) < FLOOD).count()
}

/// A cause in a few words.
pub fn words(cause: &Cause) -> String {
    match cause {
        Cause::Customer(customer) => format!("customer {customer}"),
        Cause::Host(host) => format!("host {host}"),
        Cause::Unit { host, unit } => format!("{unit} on {host}"),
        Cause::Logs(host) => format!("errors in the logs of {host}"),
        Cause::Vantage(Vantage::Cockpit) => "the cockpit's own network".to_owned(),
        Cause::Vantage(Vantage::Further(name)) => format!("vantage {name}"),
        Cause::Vantage(Vantage::Inside) => "the view from inside".to_owned(),
        Cause::Vantage(Vantage::Peer(host)) => format!("the view from {host}"),
    }
}

/// What was seen of a probe from that kind of place, and from which: where it is judged or, elsewhere, all
/// that explain it. What failed before any change says nothing of it; nor does what explains and never passed.
fn series_of(probe: &ProbeState, from: VantageKind) -> impl Iterator<Item = (Option<&Vantage>, &Series)> {
    let own = (probe.probe.from == from && probe.own.before != Some(false)).then_some((None, &probe.own));
    let others = probe.others.iter().filter(move |(vantage, series)| {
        probe.probe.from != from && vantage.kind() == from && series.before == Some(true)
    });
    own.into_iter().chain(others.map(|(vantage, series)| (Some(vantage), series)))
}
