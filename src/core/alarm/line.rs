//! Abort lines, and abort-by: lines agreed in calm. One that is met on a host with unconfirmed work starts a
//! countdown whose default is to roll that work back; a typed reason keeps it. It goes on when the line is
//! not met any more, since that was agreed. One line rolls a batch back once, and never what another
//! cockpit holds.

use super::witness::{MISSED, in_the_dark};
use super::{calm_from, disturbed, disturbs, failures, passes, series_of};
use crate::core::event::{
    AlarmEvent, BatchEvent, Cause, Event, HoldScope, Line, ProbeId, Vantage, WindowEvent,
};
use crate::core::state::{Batch, DeadMan, LineState, Phase, ProbeState, Reach, Reached, Series, State};
use crate::core::{effect, evidence, fence, rollback, schedule, tasks, verdict};
use crate::plan::{AbortLine, AbortProbes, AutoRollback, Plan, VantageKind};
use crate::types::{BatchId, HostName, Time, Untrusted};

/// The lines of a plan: those that it agrees on, in their order, and abort-by, which every plan has.
fn lines(plan: &Plan) -> impl Iterator<Item = Line> {
    let aborts = (1..=plan.aborts.len()).map(|number| Line::Abort(number as u16));
    aborts.chain([Line::AbortBy])
}

pub(super) fn due(state: &State, now: Time) -> Vec<Event> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let mut events: Vec<Event> = Vec::new();
    for ((host, line), met) in &state.alarms.lines {
        events.extend(follow(state, plan, (host, *line), met, now));
    }
    // What fired a moment ago is queued first: another line has nothing to roll back there then.
    if !events.is_empty() {
        return events;
    }
    for host in hosts(state) {
        for line in lines(plan).filter(|line| state.alarms.line(host, *line).is_none()) {
            let batches: Vec<BatchId> = fresh(state, host, line).map(|batch| batch.id.clone()).collect();
            if batches.is_empty() {
                continue;
            }
            if let Some(why) = met(state, plan, host, line, now) {
                let (host, why) = (host.clone(), Untrusted::new(why));
                // What the host is like is kept before anything is put back there.
                events.extend(evidence::wanted(state, &host, &format!("{} met", line.word())));
                let held = format!("{} met on {host}, and not decided", line.word());
                events.push(Event::Alarm(AlarmEvent::LineMet { host: host.clone(), line, why, batches }));
                match plan.policy.auto_rollback {
                    AutoRollback::Armed => events.extend(countdown(plan, &host, line, now)),
                    // Whoever is asked may not be there: silence holds.
                    AutoRollback::Ask => events.extend(hold(state, held)),
                    AutoRollback::Off => {}
                }
            }
        }
    }
    events
}

/// Hosts of ours with unconfirmed work.
fn hosts(state: &State) -> Vec<&HostName> {
    let mut hosts: Vec<&HostName> =
        fence::ours(state).filter(|batch| batch.phase.unconfirmed()).map(|batch| &batch.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// Whether a line can still roll a batch back: nobody else has, or is about to.
fn stands(state: &State, batch: &Batch) -> bool {
    batch.phase.unconfirmed()
        && batch.phase != Phase::RollbackFailed
        && !batch.wanted_back
        && !rollback::is_under_way(batch)
        && !batch.timer.as_ref().is_some_and(DeadMan::fired)
        && fence::of(state, &batch.host).is_none()
}

/// What a line that is not met yet may be met for. What a running apply or reboot does is expected; abort-by
/// doesn't wait for it: the rollback is queued behind it.
fn fresh<'s>(state: &'s State, host: &'s HostName, line: Line) -> impl Iterator<Item = &'s Batch> {
    let batches = state.batches_of(host).map(AsRef::as_ref);
    batches.filter(move |batch: &&Batch| {
        let calm = match line {
            Line::Abort(_) => !matches!(batch.phase, Phase::Applying | Phase::Rebooting),
            Line::AbortBy => true,
        };
        calm && stands(state, batch) && !state.alarms.spent.contains(&(line, batch.id.clone()))
    })
}

/// What meets a line on a host at this moment, in words.
pub fn met(state: &State, plan: &Plan, host: &HostName, line: Line, now: Time) -> Option<String> {
    match line {
        Line::AbortBy => {
            let by = schedule::abort_by(state)?.at;
            (now >= by).then(|| format!("abort-by has passed at {}", by.format("%H:%M:%SZ")))
        }
        Line::Abort(number) => {
            let line = abort(plan, number)?;
            let probes = of_line(state, host, line);
            let mut failing = probes.filter_map(|(id, probe)| {
                let dark = in_the_dark(state, host, probe);
                let fails = series_of(probe, line.from).any(|(vantage, series)| {
                    let Some(from) = counts_from(state, host, probe, line.from, vantage, now) else {
                        return false;
                    };
                    let counts = |at: Time| from.is_none_or(|from| at > from) && !dark(at);
                    !series.stale(&probe.probe, now)
                        && failures(series, line.fails, counts) >= line.fails.fails as usize
                });
                fails.then(|| id.customer.to_string())
            });
            let first = failing.next()?;
            // A place that does not work sees everything fail.
            if line.from == VantageKind::Outside && is_blind(state, host, now) {
                return None;
            }
            let mut names = vec![first];
            names.extend(failing);
            names.dedup();
            let from = match line.from {
                VantageKind::Outside => "outside",
                VantageKind::Inside => "inside",
                VantageKind::Peer => "a peer",
            };
            Some(format!("{} FAIL from {from}, {} attempts", names.join(", "), line.fails))
        }
    }
}

/// From when on what is seen of a probe from such a place counts against its host, `Some(None)` where all of
/// it does; `None` where none does, since the place itself is worked on, is not reached or does not work.
fn counts_from(
    state: &State,
    host: &HostName,
    probe: &ProbeState,
    from: VantageKind,
    vantage: Option<&Vantage>,
    now: Time,
) -> Option<Option<Time>> {
    let calm = calm_from(state, host, probe);
    match from {
        VantageKind::Inside => Some(calm),
        VantageKind::Outside => Some(calm.max(told_from(state, host)?)),
        VantageKind::Peer => {
            let peer = match vantage {
                Some(Vantage::Peer(peer)) => peer.clone(),
                Some(Vantage::Cockpit | Vantage::Further(_) | Vantage::Inside) => return None,
                None => tasks::peer(state, state.plan.as_ref()?, host)?,
            };
            let worked_on = state.batches_of(&peer).any(|batch| disturbs(batch.phase));
            let broken = verdict::broken(state, &Vantage::Peer(peer.clone()), now).is_some();
            let up = up_since(state, &peer).filter(|_| !worked_on && !broken)?;
            Some(calm.max(disturbed(state, &peer)).max(Some(up)))
        }
    }
}

/// From when on what is seen of a host from outside tells of it, `Some(None)` where all of it does: until it was
/// reached again, the way there could not be told from the host. `None` while no host that has customers is reached.
/// The cockpit's own machine has no way to it that could go.
///
/// The baseline says nothing here: it may be reached by another way. The price is paid by a plan whose live hosts are
/// all lost at once, one that has a single one say: what is seen from outside meets no line there until ssh is back. What
/// a line wants could not be done from here before that either, and would then be done to a host that may have been
/// healthy all along; meanwhile the host's own timer decides.
pub(super) fn told_from(state: &State, host: &HostName) -> Option<Option<Time>> {
    if state.is_here(host) {
        return Some(state.alarms.back);
    }
    let away = matches!(state.live_reached(), Reached::None { .. });
    (!away).then(|| state.alarms.back.max(up_since(state, host)))
}

fn up_since(state: &State, host: &HostName) -> Option<Time> {
    match state.hosts.get(host)?.reach {
        Reach::Up { since } => Some(since),
        Reach::Unknown | Reach::Down { .. } => None,
    }
}

/// Whether the cockpit's own network does not work, or nothing tells whether it does: what is seen of a host from
/// there is no outage then. The cockpit's own machine is seen without it; work there that takes that network away is what
/// lines are for.
pub(in crate::core) fn is_blind(state: &State, host: &HostName, now: Time) -> bool {
    if state.is_here(host) {
        return false;
    }
    state.alarms.raised.contains_key(&Cause::Vantage(Vantage::Cockpit))
        || verdict::broken(state, &Vantage::Cockpit, now).is_some()
        || cut_off(state)
}

/// Whether no host is reached by ssh, and nothing has come back from any since they are missed. That may be
/// the hosts; where it is, their own timers roll them back, and from here nobody could.
fn cut_off(state: &State) -> bool {
    match state.reached() {
        Reached::None { since } => !came_back(state, since),
        Reached::Some | Reached::Unknown => false,
    }
}

/// Whether anything that is looked at from the cockpit has answered since then, if with a refusal.
fn came_back(state: &State, since: Time) -> bool {
    let mut all = state.probes.values().chain(&state.controls);
    all.any(|probe| has_answered(probe, since))
}

/// The same, of customers alone whose host is reached over the network: a control may be reached by another way, which
/// goes on when theirs is gone.
fn hosts_answer(state: &State, since: Time) -> bool {
    let remote = state.hosts.keys().filter(|host| !state.is_local(host));
    remote.flat_map(|host| state.probes_of(host)).any(|(_, probe)| has_answered(probe, since))
}

fn has_answered(probe: &ProbeState, since: Time) -> bool {
    probe.from(&Vantage::Cockpit).is_some_and(|series: &Series| {
        let newest = series.last().filter(|(at, _)| *at >= since);
        newest.is_some() && verdict::silent_since(series).is_none()
    })
}

/// Whether it is known by now that what met a line is seen by a network that works. A countdown may be
/// shorter than the time until a lost one is missed.
fn is_told(state: &State, plan: &Plan, (host, line): (&HostName, Line), met: &LineState, now: Time) -> bool {
    !from_outside(plan, line) || is_seen(state, host, met.since, now)
}

/// Whether what the cockpit has seen of a host since then is seen by a network that works, as far as can be told. What
/// was so before that network came back, or before a sleep, says nothing of now.
pub(in crate::core) fn is_seen(state: &State, host: &HostName, since: Time, now: Time) -> bool {
    let since = state.alarms.back.map_or(since, |back| since.max(back));
    state.is_here(host) || now >= since + MISSED || hosts_answer(state, since)
}

/// Whether a line stands on what is seen from outside.
fn from_outside(plan: &Plan, line: Line) -> bool {
    match line {
        Line::Abort(number) => abort(plan, number).is_some_and(|line| line.from == VantageKind::Outside),
        Line::AbortBy => false,
    }
}

fn abort(plan: &Plan, number: u16) -> Option<&AbortLine> {
    plan.aborts.get(usize::from(number).checked_sub(1)?)
}

/// The probes of a host that a line is about.
fn of_line<'s>(
    state: &'s State,
    host: &'s HostName,
    line: &'s AbortLine,
) -> impl Iterator<Item = (&'s ProbeId, &'s ProbeState)> {
    let all = state.probes_of(host).map(|(id, probe)| (id, probe.as_ref()));
    all.filter(move |(id, probe)| match &line.probes {
        AbortProbes::Required => probe.required() && effect::is_made(&probe.probe),
        AbortProbes::Customer(customer) => id.customer == *customer,
    })
}

/// Whether all that a line is about passes again: fewer failures than its limit alone would let it come and go.
pub fn is_calm(state: &State, plan: &Plan, host: &HostName, line: Line, now: Time) -> bool {
    match line {
        Line::AbortBy => schedule::abort_by(state).is_some_and(|by| now < by.at),
        Line::Abort(number) => abort(plan, number).is_none_or(|line| {
            of_line(state, host, line).all(|(_, probe)| {
                series_of(probe, line.from).all(|(_, series)| passes(probe, series, line.fails, now))
            })
        }),
    }
}

/// The countdown that a line starts, where the plan armed that.
fn countdown(plan: &Plan, host: &HostName, line: Line, now: Time) -> Option<Event> {
    match plan.policy.auto_rollback {
        AutoRollback::Armed => {
            let until = now + plan.policy.countdown;
            Some(Event::Alarm(AlarmEvent::CountdownStarted { host: host.clone(), line, until }))
        }
        AutoRollback::Ask | AutoRollback::Off => None,
    }
}

/// What becomes of a line that is met.
fn follow(state: &State, plan: &Plan, of: (&HostName, Line), met: &LineState, now: Time) -> Vec<Event> {
    let (host, line) = of;
    let over = || vec![Event::Alarm(AlarmEvent::LineOver { host: host.clone(), line })];
    let batches: Vec<&Batch> =
        met.batches.iter().filter_map(|id| state.batches.get(id)).map(AsRef::as_ref).collect();
    let left: Vec<&Batch> = batches.into_iter().filter(|batch| stands(state, batch)).collect();
    // It was met before anybody could tell that it is the cockpit that sees nothing. What somebody kept stays
    // kept: forgotten, it would be met anew once the network is back.
    let unseen = || is_blind(state, host, now) || told_from(state, host).is_none();
    let blind = || met.kept.is_none() && from_outside(plan, line) && unseen();
    if left.is_empty() || blind() {
        return over();
    }
    match met.counts {
        // A clock that was set back would make it longer than was agreed.
        Some((from, _)) if now < from => countdown(plan, host, line, now).into_iter().collect(),
        // Evidence is waited for, in bounded time: a host that can't be asked keeps no rollback waiting.
        Some((_, until)) if now >= until && waits(state, plan, of, met, now).is_none() => {
            fire(state, of, met, &left)
        }
        Some(_) => Vec::new(),
        // It was met before another process picked the window up, and nobody has decided: it begins anew.
        None if met.open() && plan.policy.auto_rollback == AutoRollback::Armed => {
            let evidence = evidence::wanted(state, host, &format!("{} met, picked up", line.word()));
            evidence.into_iter().chain(countdown(plan, host, line, now)).collect()
        }
        None if is_calm(state, plan, host, line, now) => over(),
        None => Vec::new(),
    }
}

/// What a countdown that is over waits for, each no longer than until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Evidence of the host is asked for.
    Evidence(Time),
    /// It is not known yet that what met the line is seen by a network that works.
    Network(Time),
}

/// What it waits for at a moment; `None` where nothing is in its way.
fn waits(state: &State, plan: &Plan, of: (&HostName, Line), met: &LineState, now: Time) -> Option<Waits> {
    let (host, _) = of;
    let since = state.alarms.back.map_or(met.since, |back| met.since.max(back));
    let network = (!is_told(state, plan, of, met, now)).then(|| since + MISSED);
    if evidence::is_over(state, host, met.since, now) {
        return network.map(Waits::Network);
    }
    let asked = state.evidence.get(host).and_then(|of| of.asked);
    let evidence = asked.map_or(now, |(_, at)| at + evidence::WAITED);
    Some(Waits::Evidence(network.map_or(evidence, |network| network.max(evidence))))
}

/// What the countdown of a line waits for; `None` while it runs, where there is none, and where it is over and
/// nothing is in its way.
pub fn waits_for(state: &State, host: &HostName, line: Line, now: Time) -> Option<Waits> {
    let met = state.alarms.line(host, line)?;
    let (_, until) = met.counts?;
    (now >= until).then(|| waits(state, state.plan.as_ref()?, (host, line), met, now))?
}

/// Nothing new starts in the window; nothing where that is so already.
fn hold(state: &State, why: impl AsRef<str>) -> Option<Event> {
    let held = state.held.iter().any(|held| held.scope == HoldScope::Window);
    let (scope, why) = (HoldScope::Window, Untrusted::new(why));
    (!held).then_some(Event::Window(WindowEvent::Held { scope, why }))
}

/// Nobody kept it: what is unconfirmed there is rolled back, and nothing new starts.
fn fire(state: &State, (host, line): (&HostName, Line), met: &LineState, batches: &[&Batch]) -> Vec<Event> {
    let why = Untrusted::new(format!("{} met: {}; nobody kept it", line.word(), met.why.raw()));
    let mut events = vec![Event::Alarm(AlarmEvent::Fired { host: host.clone(), line })];
    events.extend(hold(state, why.raw()));
    events.extend(
        batches.iter().map(|batch| {
            Event::Batch(BatchEvent::RollbackQueued { batch: batch.id.clone(), why: why.clone() })
        }),
    );
    events
}

/// The lines of a host of which it is open what becomes of them.
pub fn open<'s>(state: &'s State, host: &'s HostName) -> impl Iterator<Item = (Line, &'s LineState)> {
    let of_host = state.alarms.lines.iter().filter(move |((other, _), _)| other == host);
    of_host.filter(|(_, met)| met.open()).map(|((_, line), met)| (*line, met))
}

/// The countdowns that run, the one that ends first before the others.
pub fn countdowns(state: &State) -> Vec<(&HostName, Line, Time)> {
    let mut all: Vec<_> = state
        .alarms
        .lines
        .iter()
        .filter_map(|((host, line), met)| Some((host, *line, met.counts?.1)))
        .collect();
    all.sort_by_key(|(_, _, until)| *until);
    all
}

/// The hosts with a line that is met and not decided, the soonest countdown first.
pub fn undecided(state: &State) -> Vec<&HostName> {
    let open = state.alarms.lines.iter().filter(|(_, met)| met.open());
    let mut all: Vec<_> = open.map(|((host, _), met)| (met.counts.map(|(_, until)| until), host)).collect();
    all.sort_by_key(|(until, host)| (until.is_none(), *until, *host));
    let mut hosts: Vec<&HostName> = Vec::new();
    for (_, host) in all {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// What stands against confirming a batch: a line that is met for it and not decided. Where a line only
/// alarms there is nothing to decide, and the probes say whether it is confirmed.
pub fn against(state: &State, batch: &Batch) -> Option<String> {
    if state.plan.as_ref()?.policy.auto_rollback == AutoRollback::Off {
        return None;
    }
    let (line, _) = open(state, &batch.host).find(|(_, met)| met.batches.contains(&batch.id))?;
    Some(format!("{} is met and not decided: roll back, or :keep REASON", line.word()))
}
