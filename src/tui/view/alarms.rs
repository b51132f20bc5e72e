//! The banners of alarms, and of the lines at which something is rolled back by itself.

use super::banner::{Banner, More, failing_since, open, standing};
use crate::core::alarm;
use crate::core::alarm::line::{self, Waits};
use crate::core::event::{Cause, Line, ProbeId};
use crate::core::state::{Alarm, LineState};
use crate::core::verdict::Verdict;
use crate::core::{State, View, verdict};
use crate::plan::AutoRollback;
use crate::tui::theme::Role;
use crate::types::{CustomerName, HostName, Span, Time};

/// Whether a countdown of that line runs somewhere.
pub(super) fn is_counted(state: &State, line: Line) -> bool {
    line::countdowns(state).iter().any(|(_, other, _)| *other == line)
}

/// What an alarm says now, in full; and in fewer and fewer words, where it can be said so.
pub(super) fn fact(state: &State, cause: &Cause, alarm: &Alarm, now: Time) -> (String, Vec<String>) {
    match cause {
        Cause::Customer(customer) => {
            let judged = verdict::of_customer(state, customer, now);
            let brief = match (failing(state, customer, now), judged.verdict) {
                (Some((since, why)), Verdict::Unknown) => format!("FAIL {since}: {why}"),
                (Some((since, _)), _) => format!("FAIL {since}: {}", judged.gist),
                (None, verdict) => format!("{}: {}", verdict.word(), judged.gist),
            };
            let mut fewer = vec![format!("{customer} {brief}"), format!("{customer}: {}", judged.gist)];
            if !judged.heading.is_empty() {
                fewer.insert(0, format!("{customer} {}: {}", judged.heading, judged.gist));
            }
            (judged.said, fewer)
        }
        Cause::Logs(host) => (logs(state, host, alarm, now), Vec::new()),
        Cause::Host(_) | Cause::Unit { .. } | Cause::Vantage(_) => (alarm.said.shown(), Vec::new()),
    }
}

/// How often a host's logs tell of errors now, and since when that is an alarm; while they are not seen, what
/// was so when it was raised.
fn logs(state: &State, host: &HostName, alarm: &Alarm, now: Time) -> String {
    let ago = Span::between(alarm.since, now).brief();
    match state.logs.get(host) {
        Some(logs) if logs.since.is_some() => format!("{host}: {}; for {ago}", logs.words(now)),
        Some(_) | None => format!("{}, {ago} ago; its logs are not seen now", alarm.said.shown()),
    }
}

/// For how long the first of a customer's required probes that fails does so, and how.
fn failing(state: &State, customer: &CustomerName, now: Time) -> Option<(String, String)> {
    let id = |index| ProbeId { customer: customer.clone(), index };
    let mut all = state.probes.range(id(0)..=id(u16::MAX)).filter(|(_, probe)| probe.required());
    let (since, why) = all.find_map(|(_, probe)| failing_since(probe))?;
    Some((Span::between(since, now).brief(), why))
}

/// The first alarm about a host, with its place among all.
fn first_of<'s>(state: &'s State, host: &HostName) -> Option<(usize, &'s Cause, &'s Alarm)> {
    let ranked = alarm::ranked(state).into_iter().enumerate();
    let mut of_host = ranked.filter(|(_, (cause, _))| alarm::host(state, cause).as_ref() == Some(host));
    of_host.next().map(|(place, (cause, alarm))| (place + 1, cause, alarm))
}

/// What is so on a host at this moment, where a line is met.
pub(super) fn so(state: &State, host: &HostName, line: Line, now: Time) -> String {
    let calm = state.plan.as_ref().is_some_and(|plan| line::is_calm(state, plan, host, line, now));
    match first_of(state, host) {
        Some((_, cause, alarm)) => fact(state, cause, alarm, now).0,
        None if calm => format!("all that the line is about on {host} passes again"),
        None => format!("no alarm is raised on {host}"),
    }
}

/// A countdown for each host where one runs: it is not covered by anything that waits.
pub(super) fn countdowns(view: &View, now: Time) -> Vec<Banner> {
    let state = &view.state;
    let all = line::countdowns(state).into_iter();
    all.map(|(host, line, until)| {
        let when = when(state, host, line, until, now);
        let first = first_of(state, host);
        let since = state.alarms.line(host, line).and_then(|met| met.counts).map(|(since, _)| since);
        let (fact, brief) = match first {
            Some((_, cause, alarm)) => fact(state, cause, alarm, now),
            None => {
                let why = state.alarms.line(host, line).map_or_else(String::new, |met| met.why.shown());
                (format!("{host}: {why}"), Vec::new())
            }
        };
        let calm = state.plan.as_ref().is_some_and(|plan| line::is_calm(state, plan, host, line, now));
        let again = if calm { ", passes again" } else { "" };
        let then = format!(
            "{host}: {}{again}: ROLLS BACK {when}   R=sheet   :keep needs a reason",
            met(state, line)
        );
        let more = More {
            brief,
            soon: format!("{host} ROLLS BACK {when}"),
            causes: first
                .filter(|(_, _, alarm)| alarm.acknowledged.is_none())
                .map(|(_, cause, _)| cause.clone())
                .into_iter()
                .collect(),
            place: first.map_or((0, 0), |(place, _, _)| (place, state.alarms.raised.len())),
            // Whoever acknowledged the alarm before it began has not seen it.
            seen: first.is_some_and(|(_, _, alarm)| {
                alarm.acknowledged.is_some_and(|at| since.is_none_or(|since| at >= since))
            }),
        };
        let key = format!("line {host} {} {}", line.word(), since.unwrap_or(until));
        Banner { role: Role::Alarm, key, fact, then, more: Some(more) }
    })
    .collect()
}

/// "in 0:24", and what a countdown that is over still waits for.
fn when(state: &State, host: &HostName, line: Line, until: Time, now: Time) -> String {
    let most = |until: Time| left(Span::between(now, until));
    match line::waits_for(state, host, line, now) {
        Some(Waits::Evidence(until)) => format!("in {} at most, evidence first", most(until)),
        Some(Waits::Network(until)) => format!("in {} at most, if network works", most(until)),
        None if now >= until => "now".to_owned(),
        None => format!("in {}", most(until)),
    }
}

/// "0:24".
fn left(span: Span) -> String {
    let secs = span.as_ms().div_ceil(1_000);
    format!("{}:{:02}", secs / 60, secs % 60)
}

/// "abort line 1 met (agreed 11-19)": a line is agreed on by the plan, which is sealed as the window opens.
pub(super) fn met(state: &State, line: Line) -> String {
    match (line, state.opened) {
        (Line::Abort(_), Some(at)) => format!("{} met (agreed {})", line.word(), at.format("%m-%d")),
        (Line::Abort(_), None) => format!("{} met", line.word()),
        (Line::AbortBy, _) => "abort-by passed".to_owned(),
    }
}

/// The alarms that no countdown shows, the most important first; a flood as one.
pub(super) fn others(view: &View, now: Time) -> Vec<Banner> {
    let state = &view.state;
    let ranked = alarm::ranked(state);
    let of = ranked.len();
    if alarm::is_flood(state, now) && of > alarm::MANY {
        return vec![flood(state, &ranked, now)];
    }
    let counted: Vec<_> = line::countdowns(state)
        .into_iter()
        .filter_map(|(host, _, _)| first_of(state, host))
        .map(|(_, cause, _)| cause)
        .collect();
    let open = open(state);
    let shown = ranked.iter().enumerate().filter(|(_, (cause, _))| {
        // A host with unconfirmed work that is lost has a banner of its own, which says what its timer does.
        let lost = matches!(cause, Cause::Host(host) if open.contains_key(host));
        !counted.contains(cause) && !lost
    });
    shown
        .map(|(place, (cause, alarm))| {
            let (fact, brief) = fact(state, cause, alarm, now);
            let host = alarm::host(state, cause);
            Banner {
                role: Role::Alarm,
                key: format!("alarm {} {}", alarm::words(cause), alarm.since),
                fact,
                then: host.map_or_else(
                    || "no outage is told from there; probes from elsewhere and ssh tell more".to_owned(),
                    |host| then(state, &host, now),
                ),
                more: Some(More {
                    brief,
                    soon: String::new(),
                    causes: vec![(*cause).clone()],
                    place: (place + 1, of),
                    seen: alarm.acknowledged.is_some(),
                }),
            }
        })
        .collect()
}

/// What can be done about an alarm on a host, or was.
fn then(state: &State, host: &HostName, now: Time) -> String {
    let mut lines = state.alarms.lines.iter().filter(|((other, _), _)| other == host);
    if let Some(((_, line), met)) = lines.find(|(_, met)| met.fired.is_none()) {
        return format!("{host}: {}", undecided(state, *line, met, now));
    }
    match open(state).get(host) {
        Some(batch) => {
            format!("{} is {}, not confirmed   R=rollback sheet  H=hold", batch.label(), standing(batch))
        }
        None => format!("nothing on {host} is unconfirmed   R=rollback sheet  H=hold"),
    }
}

/// A line that is met and rolls nothing back by itself.
fn undecided(state: &State, line: Line, met: &LineState, now: Time) -> String {
    if let Some((at, reason)) = &met.kept {
        let ago = Span::between(*at, now).brief();
        return format!("{} KEPT {ago} ago: {}   R=sheet", line.word(), reason.shown());
    }
    let auto = state.plan.as_ref().map(|plan| plan.policy.auto_rollback);
    let words = self::met(state, line);
    match auto {
        Some(AutoRollback::Off) => format!("{words}: nothing is rolled back by itself   R=sheet"),
        Some(AutoRollback::Ask | AutoRollback::Armed) | None => {
            format!("{words}: roll back?   R=sheet   :keep REASON   no answer: nothing is rolled back")
        }
    }
}

/// So many at once that each alone says nothing.
fn flood(state: &State, ranked: &[(&Cause, &Alarm)], now: Time) -> Banner {
    let mut hosts: Vec<String> = ranked
        .iter()
        .filter_map(|(cause, _)| alarm::host(state, cause))
        .map(|host| host.to_string())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let (of, lately) = (ranked.len(), alarm::lately(state, now));
    Banner {
        role: Role::Alarm,
        key: String::new(),
        fact: format!("{of} alarms, {lately} in ten minutes, on {}", hosts.join(", ")),
        then: ":pane alarms lists them   R=rollback sheet  H=hold".to_owned(),
        more: Some(More {
            brief: Vec::new(),
            soon: String::new(),
            causes: ranked.iter().map(|(cause, _)| (*cause).clone()).collect(),
            place: (0, 0),
            seen: ranked.iter().all(|(_, alarm)| alarm.acknowledged.is_some()),
        }),
    }
}
