//! The one banner: the most important of what is wrong, what runs back, what is held. Ranked; the
//! others are counted. Acknowledging is not clearing.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::activity::runs_on;
use super::alarms;
use super::bar::labels;
use super::header::stamp;
use super::paint::{Canvas, Text, row};
use super::timer;
use crate::core::event::{Cause, HoldScope, Line, ProbeOutcome};
use crate::core::rollback::goes_back;
use crate::core::schedule::{self, BootsBack, WindowPhase};
use crate::core::state::{Batch, Phase, ProbeState, Reach};
use crate::core::{JournalHealth, State, View, alone, fence};
use crate::tui::theme::Role;
use crate::tui::ui::Ui;
use crate::types::{BatchId, HostName, Span, Time};

/// One banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Banner {
    pub(super) role: Role,
    /// Its cause and, where it can come again, since when: by this it is acknowledged.
    pub(in crate::tui) key: String,
    /// What is so.
    pub(super) fact: String,
    /// What can be done, or what follows by itself.
    pub(super) then: String,
    /// What only alarms and countdowns have.
    pub(in crate::tui) more: Option<More>,
}

/// What an alarm's banner has beside its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct More {
    /// The fact in fewer and fewer words, for where there is little room.
    pub(super) brief: Vec<String>,
    /// What follows by itself, where something does.
    pub(super) soon: String,
    /// The alarms that are acknowledged by it in the record; none where it is acknowledged by its key.
    pub(in crate::tui) causes: Vec<Cause>,
    /// Its place among the alarms, and how many there are.
    pub(super) place: (usize, usize),
    pub(super) seen: bool,
}

impl Banner {
    /// Whether it was acknowledged: by anybody where it is an alarm, else by this viewer.
    pub(in crate::tui) fn seen(&self, ui: &Ui) -> bool {
        self.more.as_ref().is_some_and(|more| more.seen) || ui.acknowledged.contains(&self.key)
    }
}

/// The most important banner, if there is one.
pub(in crate::tui) fn of(view: &View, now: Time) -> Option<Banner> {
    all(view, now).into_iter().next()
}

/// Every banner, the most important first.
fn all(view: &View, now: Time) -> Vec<Banner> {
    let sources: [fn(&View, Time) -> Vec<Banner>; 13] = [
        journal,
        overtaken,
        alarms::countdowns,
        rollback_failed,
        rolling,
        alarms::others,
        boot_waits,
        timer::banners,
        past,
        lost,
        failed,
        good,
        held,
    ];
    sources.iter().flat_map(|source| source(view, now)).collect()
}

fn journal(view: &View, now: Time) -> Vec<Banner> {
    let JournalHealth::Failing { since, why } = &view.journal else { return Vec::new() };
    vec![Banner {
        role: Role::Alarm,
        key: format!("journal {since}"),
        fact: format!("journal can't be written for {}: {}", Span::between(*since, now).brief(), why.shown()),
        then: "nothing new starts; a rollback starts all the same (^R, then R)".to_owned(),
        more: None,
    }]
}

/// Another cockpit holds hosts: whatever else is wrong there is its business.
fn overtaken(view: &View, _now: Time) -> Vec<Banner> {
    let Some(fact) = fence::sentence(&view.state) else { return Vec::new() };
    vec![Banner {
        role: Role::Alarm,
        key: fact.clone(),
        fact: format!("{fact}: this one only watches"),
        then: "nothing more is started there from here, nor rolled back: the key is in the other cockpit"
            .to_owned(),
        more: None,
    }]
}

fn of_phase<'v>(view: &'v View, phases: &'v [Phase]) -> impl Iterator<Item = &'v Batch> {
    view.state.in_order().map(AsRef::as_ref).filter(move |batch: &&Batch| phases.contains(&batch.phase))
}

fn rollback_failed(view: &View, now: Time) -> Vec<Banner> {
    let phases = [Phase::RollbackFailed, Phase::BackDiffers];
    of_phase(view, &phases)
        .map(|batch| {
            let why = match (&batch.failure, &batch.identity) {
                (_, Some(identity)) if batch.phase == Phase::BackDiffers => identity.sentence(),
                (Some(failure), _) => failure.what.shown(),
                (None, _) => "no reason was given".to_owned(),
            };
            let console = console(view, batch);
            Banner {
                role: Role::Alarm,
                key: format!("rollback {} {}", batch.id, batch.since),
                fact: format!(
                    "{}: ROLLBACK INCOMPLETE since {}: {why}",
                    batch.label(),
                    stamp(batch.since, now)
                ),
                then: format!("R tries again{console}"),
                more: None,
            }
        })
        .collect()
}

/// Where a batch stands, within a sentence.
pub(super) fn standing(batch: &Batch) -> &'static str {
    if batch.phase == Phase::Verified { "verified" } else { batch.phase.word() }
}

/// Where a host's console is, as far as the plan says.
fn console(view: &View, batch: &Batch) -> String {
    let plan = view.state.plan.as_ref();
    let host = plan.and_then(|plan| plan.hosts.iter().find(|host| host.name == batch.host));
    host.and_then(|host| host.console.as_ref()).map_or_else(String::new, |console| {
        format!("; console {}", crate::types::Untrusted::new(console).shown())
    })
}

fn rolling(view: &View, now: Time) -> Vec<Banner> {
    let back: Vec<&Batch> = view
        .state
        .in_order()
        .map(AsRef::as_ref)
        .filter(|batch: &&Batch| batch.wanted_back || goes_back(batch.phase))
        .collect();
    let Some(first) = back.iter().find(|batch| goes_back(batch.phase)).or(back.first()) else {
        return Vec::new();
    };
    let takes = schedule::rollback(&view.state, first).then(schedule::verify(&view.state));
    let fact = match (first.phase, first.rollback_started) {
        (Phase::RollingBack, Some(since)) => {
            let ends = stamp(since + takes.span, now);
            let why = if first.by_timer() { "ROLLBACK, its timer fired" } else { "ROLLBACK runs" };
            format!(
                "{why}: {}, {} so far, done about {ends}",
                first.label(),
                Span::between(since, now).clock()
            )
        }
        (Phase::RolledBack | Phase::Comparing, _) => {
            format!("{} is rolled back and is compared with before", first.label())
        }
        (phase, _) => format!("ROLLBACK of {} is queued: it is {}", first.label(), phase.word()),
    };
    let others: Vec<BatchId> =
        back.iter().filter(|batch| batch.id != first.id).map(|batch| batch.id.clone()).collect();
    let held =
        if view.state.held.is_empty() { "nothing new starts until it is back" } else { "new work is HELD" };
    let then = if others.is_empty() {
        format!("{held}; nothing is to be pressed")
    } else {
        format!("also {}; {held}", labels(view, &others, 4))
    };
    vec![Banner { role: Role::Note, key: format!("rolling {}", first.id), fact, then, more: None }]
}

/// Since when a probe has failed without a pass, and its newest reason.
pub(super) fn failing_since(probe: &ProbeState) -> Option<(Time, String)> {
    let since = probe.own.failing_since()?;
    let why = probe.own.results.iter().rev().find_map(|(_, outcome)| match outcome {
        ProbeOutcome::Fail { why, .. } => Some(why.shown()),
        ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. } => None,
    });
    Some((since, why?))
}

/// The first unconfirmed batch of each host that has one.
pub(super) fn open(state: &State) -> BTreeMap<&HostName, &Batch> {
    let mut first = BTreeMap::new();
    for batch in schedule::unconfirmed(state) {
        first.entry(&batch.host).or_insert(batch);
    }
    first
}

/// A reboot that is asked for and that its host may not come back from alone.
fn boot_waits(view: &View, now: Time) -> Vec<Banner> {
    let waiting = alone::waiting(&view.state, now);
    waiting
        .map(|(batch, why)| Banner {
            role: Role::Alarm,
            key: format!("boot {} {}", batch.id, batch.since),
            fact: format!("{} asks for a reboot, HELD: {why}", batch.label()),
            then: format!(
                "{}, with somebody at its console{}; R rolls back   no answer: its timer does",
                match alone::unknown(&view.state, batch) {
                    true => format!(":refresh {} first, then :waive proof boots it", batch.host),
                    false => ":waive proof boots it".to_owned(),
                },
                console(view, batch)
            ),
            more: None,
        })
        .into_iter()
        .collect()
}

fn past(view: &View, now: Time) -> Vec<Banner> {
    let state = &view.state;
    let open: Vec<String> = schedule::unconfirmed(state).iter().map(|batch| batch.label()).collect();
    let (Some(phase), Some(by)) = (schedule::phase(state, now), schedule::abort_by(state)) else {
        return Vec::new();
    };
    let late = matches!(phase, WindowPhase::PastAbortBy | WindowPhase::Closed);
    if !late || open.is_empty() {
        return Vec::new();
    }
    if alarms::is_counted(state, Line::AbortBy) {
        return Vec::new();
    }
    vec![Banner {
        role: Role::Alarm,
        key: "abort-by".to_owned(),
        fact: format!("ABORT-BY passed at {} and {} is not confirmed", stamp(by.at, now), open.join(", ")),
        then: "the agreed default is to roll back   R=rollback sheet".to_owned(),
        more: None,
    }]
}

fn lost(view: &View, now: Time) -> Vec<Banner> {
    let mut banners = Vec::new();
    for (host, batch) in open(&view.state) {
        let Some(host) = view.state.hosts.get(host) else { continue };
        let Reach::Down { since, why } = &host.reach else { continue };
        // A host that reboots is not there: that is the plan.
        let boots_back = batch.phase == Phase::RollingBack
            && batch.rebooted.is_some()
            && schedule::boots_back(batch) == Some(BootsBack::First);
        if batch.phase == Phase::Rebooting || boots_back {
            continue;
        }
        banners.push(Banner {
            role: Role::Alarm,
            key: format!("lost {} {since}", host.name),
            fact: format!(
                "{} LOST for {}: {}",
                host.name,
                Span::between(*since, now).brief(),
                why.what.shown()
            ),
            then: format!(
                "{} is {}; {}{}",
                batch.label(),
                standing(batch),
                timer::sentence(batch, now)
                    .unwrap_or_else(|| "what runs there goes on, its result is fetched".to_owned()),
                console(view, batch)
            ),
            more: None,
        });
    }
    banners
}

fn failed(view: &View, now: Time) -> Vec<Banner> {
    let phases = [Phase::ApplyFailed, Phase::Unknown];
    of_phase(view, &phases)
        .filter(|batch| !batch.wanted_back)
        .map(|batch| {
            let why =
                batch.failure.as_ref().map_or_else(|| "no reason was given".to_owned(), |f| f.what.shown());
            Banner {
                role: Role::Alarm,
                key: format!("failed {} {}", batch.id, batch.since),
                fact: format!(
                    "{} {} since {}: {why}",
                    batch.label(),
                    batch.phase.word(),
                    stamp(batch.since, now)
                ),
                then: "nothing new starts on it   R=rollback sheet".to_owned(),
                more: None,
            }
        })
        .collect()
}

fn good(view: &View, now: Time) -> Vec<Banner> {
    let phases = [Phase::Back];
    let back: Vec<&Batch> = of_phase(view, &phases).collect();
    let Some(last) = back.iter().max_by_key(|batch| batch.since) else { return Vec::new() };
    let labels: Vec<String> = back.iter().map(|batch| batch.label()).collect();
    let mut then = last.identity.as_ref().map_or_else(String::new, |identity| identity.sentence());
    for caution in last.rolled_back.iter().flat_map(|report| &report.cautions) {
        then.push_str(&format!("; caution: {}", caution.shown()));
    }
    vec![Banner {
        role: Role::Success,
        key: format!("back {}", labels.join(" ")),
        fact: format!("ROLLED BACK, as planned: {} at {}", labels.join(", "), stamp(last.since, now)),
        then,
        more: None,
    }]
}

fn held(view: &View, now: Time) -> Vec<Banner> {
    let state = &view.state;
    let Some(held) = state.held.iter().min_by_key(|held| &held.scope) else { return Vec::new() };
    let what = match &held.scope {
        HoldScope::Window => "the window".to_owned(),
        HoldScope::Host(host) => host.to_string(),
        HoldScope::Batch(id) => {
            state.batches.get(id).map_or_else(|| "a batch".to_owned(), |batch| batch.label())
        }
    };
    vec![Banner {
        role: Role::Note,
        key: format!("held {what} {}", held.at),
        fact: format!("HOLD on {what} since {}: {}", stamp(held.at, now), held.why.shown()),
        then: format!(":resume releases.  {}", runs_on(state, &held.scope, now)),
        more: None,
    }]
}

/// Whether it may take the place of what is next: work that runs is never covered.
pub(super) fn wants_room(view: &View, now: Time) -> bool {
    let working = view.state.in_order().any(|batch| batch.phase.running());
    of(view, now).is_some_and(|banner| !working || banner.role == Role::Alarm)
}

pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) {
    let banners = all(view, now);
    let Some(banner) = banners.first() else { return };
    let seen = banner.seen(ui);
    let role = if seen && banner.role == Role::Alarm { Role::Caution } else { banner.role };
    canvas.clear(area, role);
    let sign = canvas.theme.glyph(role);
    let word = canvas.theme.word(banner.role);
    let gap = if word.is_empty() { "" } else { " " };
    let mut tail = String::new();
    match banner.more.as_ref().map(|more| more.place) {
        Some((place, of)) if of > 0 => tail.push_str(&format!("  alarm {place}/{of}")),
        Some(_) | None if banners.len() > 1 => tail.push_str(&format!("  1/{}", banners.len())),
        Some(_) | None => {}
    }
    if seen {
        tail.push_str("  acknowledged");
    } else if banner.role == Role::Alarm && view.live {
        tail.push_str("  a=ack");
    }
    tail.push(' ');
    let first = row(area, 0);
    let room = Rect { width: first.width.saturating_sub(tail.len() as u16), ..first };
    let head = format!(" {sign} {word}{gap}");
    let width = usize::from(room.width).saturating_sub(head.chars().count());
    let brief = banner.more.iter().flat_map(|more| &more.brief);
    let all: Vec<&String> = std::iter::once(&banner.fact).chain(brief).collect();
    let within = |width: usize| {
        let fits = all.iter().find(|fact| fact.chars().count() <= width);
        fits.or(all.last()).map_or("", |fact| fact.as_str())
    };
    if area.height >= 2 {
        canvas.text(room, &Text::of(role, format!("{head}{}", within(width))));
        let soon = banner.more.as_ref().map(|more| &more.soon).filter(|soon| !soon.is_empty());
        let then = match soon {
            Some(soon) if banner.then.chars().count() + 3 > usize::from(area.width) => {
                format!("   {soon}   R=sheet   :keep REASON")
            }
            Some(_) | None => format!("   {}", banner.then),
        };
        canvas.text(row(area, 1), &Text::of(role, then));
    } else {
        // What happens by itself is seen, whatever else is cut off.
        let soon = banner.more.as_ref().map_or("", |more| more.soon.as_str());
        let gap = if soon.is_empty() { "" } else { "  " };
        let fact = within(width.saturating_sub(soon.len() + gap.len()));
        canvas.text(room, &Text::of(role, format!("{head}{soon}{gap}{fact}  {}", banner.then)));
    }
    canvas.text_right(first, &Text::of(role, tail));
}
