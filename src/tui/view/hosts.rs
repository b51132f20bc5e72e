//! The hosts: where each stands, what was done on it, how its customers are, how old that is.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::listing::{Listing, near};
use super::paint::{Text, age as age_of};
use super::{baking, timer};
use crate::core::state::{Batch, Health, Host, Phase, Reach};
use crate::core::verdict::{self, Differs};
use crate::core::{State, View, schedule};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::Ui;
use crate::types::{HostName, Span, Time};

/// From this width on the timer stands in its host's row; else it has a line below.
const INLINE: usize = 60;

/// Where a host stands: its role and its word.
fn standing(theme: &Theme, state: &State, host: &Host, batches: &[&Batch], now: Time) -> (Role, String) {
    let own = |role: Role| (role, theme.word(role).to_owned());
    let open = batches.iter().rev().find(|batch| batch.phase.unconfirmed() || batch.wanted_back);
    if let (Reach::Down { .. }, true) = (&host.reach, host.read_at.is_some() || open.is_some()) {
        return own(Role::HostLost);
    }
    if let Some(batch) = open {
        let role = match batch.phase {
            Phase::ApplyFailed | Phase::RollbackFailed => Role::HostBad,
            Phase::Unknown => Role::HostUnknown,
            _ => Role::HostRun,
        };
        if batch.wanted_back && !batch.phase.running() {
            return (role, "RB QUEUED".to_owned());
        }
        return baking::standing(state, batch, now).unwrap_or((role, batch.phase.word().to_owned()));
    }
    if let Some(batch) = batches.iter().rev().find(|batch| batch.phase == Phase::BackDiffers) {
        return (Role::HostBad, batch.phase.word().to_owned());
    }
    if host.read_at.is_none() {
        return match (&host.read_failed, host.reading) {
            (_, Some(_)) => (Role::HostRun, "READING".to_owned()),
            (Some(_), None) => (Role::HostLost, "NO ANSWER".to_owned()),
            (None, None) => own(Role::HostUnknown),
        };
    }
    if batches.iter().any(|batch| batch.phase == Phase::Back) {
        return (Role::HostDone, Phase::Back.word().to_owned());
    }
    if let Some(batch) = batches.iter().find(|batch| schedule::waits(batch.phase)) {
        let done = batches.iter().any(|other| other.phase == Phase::Confirmed);
        let role = if batch.phase == Phase::StageFailed { Role::HostBad } else { Role::HostWait };
        return match (batch.phase, done) {
            (Phase::Staging | Phase::StageFailed, _) => (role, batch.phase.word().to_owned()),
            _ => own(role),
        };
    }
    if batches.iter().any(|batch| batch.phase == Phase::Confirmed) {
        return own(Role::HostDone);
    }
    if host.baseline {
        return own(Role::HostBase);
    }
    if !host.planned {
        return (Role::HostUnknown, "NOT CUT".to_owned());
    }
    // Held or kept packages may remain; nothing is pending.
    let age = host.read_at.map_or(Span::ZERO, |at| Span::between(at, now));
    if age > Span::mins(15) {
        (Role::HostUnknown, "STALE".to_owned())
    } else {
        (Role::HostDone, "NOTHING".to_owned())
    }
}

/// How a host's customers are, in a word.
fn customers(state: &State, host: &Host, now: Time) -> (Role, String) {
    if host.baseline {
        return (Role::Dim, "test".to_owned());
    }
    let made: Vec<_> =
        state.probes_of(&host.name).filter(|(_, probe)| crate::core::effect::is_made(&probe.probe)).collect();
    let count = |health: Health| made.iter().filter(|(_, probe)| probe.health(now) == health).count();
    // Otherwise than before, or than from elsewhere; one late attempt is not told here.
    let differs = made.iter().any(|(_, probe)| {
        verdict::differs(state, probe, now).is_some_and(|all| all.iter().any(Differs::lasts))
    });
    match (made.len(), count(Health::Fail), count(Health::Shaky), count(Health::Unknown)) {
        (0, ..) => (Role::Warn, "UNPROBED".to_owned()),
        (_, fails, ..) if fails > 0 => (Role::ProbeFail, format!("{fails} FAIL")),
        (_, _, shaky, _) if shaky > 0 => (Role::ProbeShaky, format!("{shaky} shaky")),
        (all, _, _, unknown) if unknown == all => (Role::ProbeUnknown, "probes ?".to_owned()),
        (_, _, _, unknown) if unknown > 0 => (Role::ProbeUnknown, format!("{unknown} probes ?")),
        _ if differs => (Role::ProbeShaky, "differs".to_owned()),
        _ => (Role::ProbeOk, "ok".to_owned()),
    }
}

pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let width = usize::from(area.width);
    let state = &view.state;
    let order = schedule::host_order(state);
    let longest = order.iter().map(|host| host.as_str().len()).max().unwrap_or(4);
    let name_width = longest.clamp(5, width.saturating_sub(20).max(5));
    let cursor = ui.host_at(view);
    let mut of_host: BTreeMap<&HostName, Vec<&Batch>> = BTreeMap::new();
    for batch in state.in_order() {
        of_host.entry(&batch.host).or_default().push(batch);
    }
    let sight = near(cursor, usize::from(area.height));
    let mut rows = Vec::with_capacity(order.len());
    let mut below = BTreeMap::new();
    for (at, name) in order.iter().enumerate() {
        let Some(host) = state.hosts.get(name) else { continue };
        if !sight.contains(&at) {
            rows.push(Text::new());
            continue;
        }
        let batches = of_host.get(name).map_or(&[][..], Vec::as_slice);
        let (role, word) = standing(theme, state, host, batches, now);
        let here = if cursor == at { ">" } else { " " };
        let (served, who) = customers(state, host, now);
        let finished = batches.iter().filter(|batch| batch.phase == Phase::Confirmed).count();
        let share = if batches.is_empty() { String::new() } else { format!("{finished}/{}", batches.len()) };
        let age = host.read_at.map_or_else(|| "-".to_owned(), |at| age_of(at, now));
        let mut text = Text::of(Role::KeyName, here)
            .cell(Role::Strong, name.as_str(), name_width)
            .add(role, format!(" {} ", theme.glyph(role)))
            .cell(role, &word, 9);
        // The age goes first when there is no room, the share of batches next.
        let rest = width.saturating_sub(text.width() + 1);
        if rest >= 18 {
            text = text.right(Role::Dim, &share, 4).add(Role::Plain, " ");
        }
        text = text.cell(served, &format!(" {who}"), rest.min(10));
        if rest >= 15 {
            let room = rest.saturating_sub(if rest >= 18 { 15 } else { 10 });
            text = text.right(Role::Dim, &age, room.min(5));
        }
        let timer = batches.iter().rev().find_map(|batch| timer::line(theme, state, batch, now));
        if let Some(line) = timer {
            if width >= INLINE {
                text = text.add(Role::Plain, " ").then(line);
            } else {
                below.insert(rows.len(), line);
            }
        }
        rows.push(text);
    }
    let count = |of: fn(Phase) -> bool| state.batches.values().filter(|batch| of(batch.phase)).count();
    let (done, open) = (count(|phase| phase == Phase::Confirmed), count(Phase::unconfirmed));
    let foot = format!(" done {done}  open {open}  wait {}", count(schedule::waits));
    Listing {
        title: Text::of(Role::KeyName, "[1]").add(Role::Title, " hosts"),
        head: None,
        cursor: Some(cursor),
        rows,
        below,
        foot: Some(Text::of(Role::Dim, foot)),
    }
}
