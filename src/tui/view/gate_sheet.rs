//! The gate sheet: the fact with its source and age, the consequence of each choice, the items to
//! answer, and the default, which is HOLD.

use std::collections::BTreeSet;

use super::activity::{changes, runs_on};
use super::bar::labels;
use super::gates::{badge, role};
use super::header::stamp;
use super::paint::{Text, age};
use super::sheet::Paper;
use crate::core::View;
use crate::core::command::RollbackScope;
use crate::core::event::HoldScope;
use crate::core::gate::{self, GateName, GateState, Judgement};
use crate::core::snapshot::{self, Cover};
use crate::core::state::Batch;
use crate::core::wayback::{self, WayBack};
use crate::core::{rollback, schedule};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::gate::{GateSheet, Question, WORD, blocked};
use crate::types::{Span, Time, UnitName};

pub(super) fn paper(theme: &Theme, view: &View, sheet: &GateSheet, now: Time, width: usize) -> Paper {
    let waiting = view.state.batches.get(&sheet.batch).filter(|batch| schedule::waits(batch.phase));
    let Some(batch) = waiting else {
        let mut paper = Paper { title: Text::of(Role::SheetTitle, "GATE"), ..Paper::default() };
        let now_is =
            view.state.batches.get(&sheet.batch).map_or("is gone: it was cut anew".to_owned(), |batch| {
                format!("{} is {}", batch.label(), batch.phase.word())
            });
        paper.say("FACT", Role::Plain, &format!("this batch waits no longer: {now_is}"), width);
        paper
            .foot
            .push(Text::of(Role::KeyName, "Esc").add(Role::Plain, " = close   then c = the next batch"));
        return paper;
    };
    let judgements = gate::judge(&view.state, batch, now);
    let Some(judgement) = judgements.get(sheet.gate.min(judgements.len().saturating_sub(1))) else {
        return Paper::default();
    };
    let word = match judgement.state {
        GateState::Clear => "CLEAR",
        GateState::Held => "HELD",
        GateState::Unknown => "UNKNOWN",
        GateState::Waived => "WAIVED",
    };
    let title = Text::of(Role::SheetTitle, format!("GATE {}: {} -- ", judgement.gate, batch.label()))
        .add(role(judgement.state), word);
    let mut paper = Paper { title, ..Paper::default() };
    paper.body.extend(tabs(theme, &judgements, sheet.gate, width.saturating_sub(4)));
    let strong = if judgement.state.passes() { Role::Plain } else { Role::Strong };
    let fact = format!("{} ({})", judgement.reason, source(view, judgement.gate, batch, now));
    paper.say("FACT", strong, &fact, width);
    for line in judgement.evidence.iter().filter(|line| **line != judgement.reason) {
        paper.say("", Role::Dim, line, width);
    }
    paper.say("IF GO", Role::Plain, &if_go(view, batch, now), width);
    let cover = snapshot::cover(&view.state, batch);
    if let Cover::Takes(taking) = cover {
        paper.say("SNAPSHOT", Role::Plain, &snapshot::will(taking), width);
    }
    for (change, class) in wayback::against(batch) {
        let package = &change.package.name;
        match class {
            WayBack::Reversible => {}
            WayBack::SnapshotOnly(why) => match cover.lacking() {
                Some(lacking) => {
                    paper.say("SNAPSHOT", Role::Warn, &format!("{package}, and {lacking}: {why}"), width);
                }
                None => paper.say("", Role::Plain, &format!("{package} is covered by it: {why}"), width),
            },
            WayBack::NoReturn(why) => {
                paper.say("NO RETURN", Role::NotReady, &format!("{package}: {why}"), width);
            }
        }
    }
    let hold =
        format!("nothing new starts on {}. {}", batch.host, runs_on(&view.state, &HoldScope::Window, now));
    paper.say("IF HOLD", Role::Plain, &hold, width);
    items(&mut paper, theme, view, sheet, batch, now);
    paper.foot = foot(view, sheet, batch, &judgements, now);
    paper
}

/// Units by name; those beyond six are counted.
pub(super) fn units_named<'a>(units: impl ExactSizeIterator<Item = &'a UnitName>) -> String {
    let count = units.len();
    let named: Vec<&str> = units.take(6).map(UnitName::as_str).collect();
    let more = if count > 6 { format!(" and {} more", count - 6) } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// The gates beside each other, in as many lines as that takes; the one that is open in brackets.
fn tabs(theme: &Theme, judgements: &[Judgement], open: usize, room: usize) -> Vec<Text> {
    let mut lines = vec![Text::new()];
    for (at, other) in judgements.iter().enumerate() {
        let (left, right) = if at == open { ("[", "]") } else { (" ", " ") };
        let tab = Text::of(Role::KeyName, left).then(badge(theme, other)).add(Role::KeyName, right);
        match lines.last_mut() {
            Some(line) if line.width() + tab.width() <= room => *line = std::mem::take(line).then(tab),
            _ => lines.push(tab),
        }
    }
    lines
}

/// What a gate's fact rests on, and how old that is.
fn source(view: &View, gate: GateName, batch: &Batch, now: Time) -> String {
    match gate {
        GateName::Plan | GateName::Rehearsed | GateName::Size | GateName::Proof | GateName::Lock => {
            let read = view.state.hosts.get(&batch.host).and_then(|host| host.read_at);
            let read =
                read.map_or_else(|| "never read".to_owned(), |at| format!("read {} ago", age(at, now)));
            format!("{}, {read}", batch.host)
        }
        GateName::Practised => "the rehearsal".to_owned(),
        GateName::Time => "the plan and this clock".to_owned(),
        GateName::Bake => "this window".to_owned(),
    }
}

fn if_go(view: &View, batch: &Batch, now: Time) -> String {
    let state = &view.state;
    let reboot = schedule::reboot(state, &batch.changes).span;
    let reboot =
        if reboot == Span::ZERO { String::new() } else { format!(" and a reboot ({})", reboot.brief()) };
    let apply = schedule::apply(state, &batch.changes).span.brief();
    let mut text =
        format!("{}{reboot} on {}, about {apply} to apply", changes(batch.changes.len()), batch.host);
    let units = batch.proof.iter().flat_map(|proof| &proof.restarts);
    let units: BTreeSet<&UnitName> = units.collect();
    if !units.is_empty() {
        text.push_str(&format!("; restarts {}", units_named(units.into_iter())));
    }
    if let (Some(today), Some(then)) = (schedule::abort_by(state), schedule::abort_by_of(state, batch)) {
        if today.rollback.span == then.rollback.span {
            text.push_str(&format!("; rollback takes {}", then.rollback.span.brief()));
        } else {
            let (was, is) = (today.rollback.span.brief(), then.rollback.span.brief());
            text.push_str(&format!("; rollback grows {was} -> {is}"));
        }
        text.push_str(&format!("; abort-by {}", stamp(then.at, now)));
    }
    if let Some(cutoff) = schedule::cutoff(state, batch) {
        text.push_str(&format!("; has to start before {}", stamp(cutoff, now)));
    }
    text
}

fn items(paper: &mut Paper, theme: &Theme, view: &View, sheet: &GateSheet, batch: &Batch, now: Time) {
    for (at, item) in sheet.items(view, batch, now).into_iter().enumerate() {
        let (mark, ink) = match (item.question, item.met) {
            (_, true) => ("[x]", Role::Plain),
            (Question::Seen, false) => ("[!]", Role::Warn),
            (_, false) => ("[ ]", Role::Strong),
        };
        if at == sheet.item {
            paper.cursor = Some(paper.body.len());
        }
        let here = if at == sheet.item { theme.glyph(Role::Cursor) } else { " " };
        let mut line = Text::of(Role::KeyName, here).add(ink, format!("{mark} {}", item.text));
        if let (Question::Unrehearsed, Some(field)) = (item.question, sheet.typing()) {
            let (before, after) = field.split();
            line = line.add(Role::Plain, " ").add(Role::Field, format!("{before}_{after}"));
        } else if item.question == Question::Unrehearsed && !item.met {
            line = line.add(Role::Plain, " __").add(Role::Dim, "  (space)");
        } else if item.question == Question::Unprobed && !item.met {
            line = line.add(Role::Dim, "  (space)");
        }
        paper.body.push(line);
    }
}

fn foot(view: &View, sheet: &GateSheet, batch: &Batch, judgements: &[Judgement], now: Time) -> Vec<Text> {
    let against = blocked(sheet, view, batch, judgements, now);
    let back = rollback::batches(&view.state, &RollbackScope::Unconfirmed);
    let back = if back.is_empty() { String::new() } else { format!(" {}", labels(view, &back, 1)) };
    let mut line = Text::of(Role::Held, "[ HOLD ]")
        .add(Role::Plain, " default   ")
        .add(Role::KeyName, "R")
        .add(Role::Plain, format!(" ROLLBACK{back}   "));
    line = match &against {
        Some(why) => line.add(Role::Plain, "GO: ").add(Role::Warn, why.clone()),
        None => {
            let rest = "_".repeat(WORD.len().saturating_sub(sheet.word.len()));
            line.add(Role::Plain, "type ")
                .add(Role::KeyName, WORD)
                .add(Role::Plain, format!(", Enter: start {}  ", batch.label()))
                .add(Role::Field, format!("[{}{rest}]", sheet.word))
        }
    };
    let mut last = Text::of(Role::Dim, "No answer: HOLD.   Tab = next gate   Esc = close");
    let waivable = judgements.iter().any(|j| j.state == GateState::Held && j.gate.waivable());
    if waivable {
        last.push(Role::Dim, "   :waive GATE");
    }
    let mut lines = vec![line, last];
    if let Some(note) = &sheet.note {
        lines.insert(1, Text::of(Role::Warn, note.clone()));
    }
    lines
}
