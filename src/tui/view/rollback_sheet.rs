//! The rollback sheet: what would go back, what stays, what is not put back, and how to start it.

use std::collections::BTreeSet;

use super::bar::{labels, practised, takes};
use super::gate_sheet::units_named;
use super::header::stamp;
use super::paint::Text;
use super::sheet::Paper;
use super::timer;
use crate::core::rollback::{self, Rollback, Step, Wait};
use crate::core::schedule::{self, BootsBack};
use crate::core::state::{Batch, Phase, Unattended};
use crate::core::wayback::{self, WayBack};
use crate::core::{View, alone, snapshot};
use crate::tui::theme::Role;
use crate::tui::ui::Ui;
use crate::tui::ui::rollback::{Reach, RollbackSheet, WORD, wants_word};
use crate::types::{Span, Time, UnitName};

fn word(reach: Reach) -> &'static str {
    match reach {
        Reach::Unconfirmed => "unconfirmed",
        Reach::Host => "host",
        Reach::Wave => "wave",
        Reach::All => "all",
    }
}

pub(super) fn paper(view: &View, ui: &Ui, sheet: &RollbackSheet, now: Time, width: usize) -> Paper {
    let outlook = rollback::outlook(&view.state, &sheet.scope(ui, view));
    let title = Text::of(Role::RollbackLine, "ROLLBACK").add(Role::Plain, "   new work is already HELD");
    let mut paper = Paper { title, line: Some(Role::RollbackLine), ..Paper::default() };
    let chosen: Vec<&Batch> =
        outlook.batches.iter().filter_map(|id| view.state.batches.get(id)).map(AsRef::as_ref).collect();
    progress(&mut paper, view, now, width);
    if chosen.is_empty() {
        paper.say("WILL", Role::Plain, "nothing: no batch is on any host", width);
    } else if outlook.under_way {
        paper.say("WILL", Role::Plain, "nothing more: all of this scope is on its way back", width);
    } else {
        paper.say("WILL", Role::Strong, &will(view, &outlook, &chosen, now), width);
        boots(&mut paper, view, &chosen, width);
        waits(&mut paper, &chosen, width);
        unpressed(&mut paper, &chosen, now, width);
    }
    scope(&mut paper, view, ui, sheet, &outlook, width);
    if !chosen.is_empty() {
        paper.say("KEEPS", Role::Plain, "database writes; nothing under /var/lib is put back", width);
        no_return(&mut paper, view, &chosen, width);
        snapshots(&mut paper, view, &chosen, width);
    }
    if !outlook.missing.is_empty() {
        by_hand(&mut paper, &outlook, &chosen, width);
    }
    paper.foot = foot(sheet, &outlook);
    paper
}

fn will(view: &View, outlook: &Rollback, chosen: &[&Batch], now: Time) -> String {
    let packages =
        if outlook.changes == 1 { "1 package".to_owned() } else { format!("{} packages", outlook.changes) };
    let files = match outlook.files {
        0 => "files of /etc that it changed".to_owned(),
        1 => "1 file of /etc that it changed".to_owned(),
        n => format!("{n} files of /etc that it changed"),
    };
    let done = stamp(now + outlook.takes.span, now);
    format!(
        "{}: {packages} to what was there, {files}, {}, comparing with before; {}, done about {done}; {}",
        labels(view, &outlook.batches, 4),
        restarts(chosen),
        takes(outlook),
        practised(outlook),
    )
}

/// The most batches whose progress has a line of its own: at 80x24 the sheet keeps room for the rest.
const LINES: usize = 5;

/// What is on its way back already, and how far it is.
fn progress(paper: &mut Paper, view: &View, now: Time, width: usize) {
    let all = rollback::progress(&view.state);
    if all.iter().all(|(_, step)| step.ended()) {
        return;
    }
    // What runs says most, then what waits, then what is over.
    let rank = |step: &Step| match step {
        Step::Incomplete { .. } => 0,
        Step::Runs { .. } | Step::Reboots { .. } | Step::Compares { .. } => 1,
        Step::Queued(_) => 2,
        Step::Back { .. } => 3,
    };
    let mut shown: Vec<_> = all.iter().collect();
    shown.sort_by_key(|(_, step)| rank(step));
    let mut label = "PROGRESS";
    for (batch, step) in shown.iter().take(LINES) {
        let role = if matches!(step, Step::Incomplete { .. }) { Role::NotReady } else { Role::Plain };
        paper.say(label, role, &format!("{} {}", batch.label(), words(view, step, now)), width);
        label = "";
    }
    if let Some(left) = shown.get(LINES..).filter(|left| !left.is_empty()) {
        let over = all.iter().filter(|(_, step)| step.ended()).count();
        let text = format!("and {} more; {over} of {} at their end", left.len(), all.len());
        paper.say("", Role::Dim, &text, width);
    }
}

fn words(view: &View, step: &Step, now: Time) -> String {
    let elapsed = |since: Time| Span::between(since, now).clock();
    match step {
        Step::Queued(Wait::Fenced) => "waits: another cockpit holds its host, ask there".to_owned(),
        Step::Queued(Wait::Nothing) => "begins now".to_owned(),
        Step::Queued(Wait::Work(phase)) => {
            format!("waits: it is {}, which is never cut short", phase.word())
        }
        Step::Queued(Wait::After(later)) => {
            let later =
                view.state.batches.get(later).map_or_else(|| "a later batch".to_owned(), |b| b.label());
            format!("waits: {later} goes first")
        }
        Step::Queued(Wait::Group(host)) => format!("waits for {host}: never two of a group at once"),
        Step::Runs { since, ends, boots: true, .. } => {
            let ends = stamp(*ends, now);
            format!("boots its old kernel, then puts back, {} so far, about {ends}", elapsed(*since))
        }
        Step::Runs { since, ends, again: false, .. } => {
            format!("puts back, {} so far, about {}", elapsed(*since), stamp(*ends, now))
        }
        Step::Runs { since, ends, again: true, .. } => {
            format!(
                "puts back once more after its boot, {} so far, about {}",
                elapsed(*since),
                stamp(*ends, now)
            )
        }
        Step::Reboots { since } => format!("boots back, {} so far", elapsed(*since)),
        Step::Compares { since } => format!("is compared with before, {} so far", elapsed(*since)),
        Step::Back { at } => format!("ROLLED BACK at {}", stamp(*at, now)),
        Step::Incomplete { at } => format!("INCOMPLETE since {}", stamp(*at, now)),
    }
}

/// What is not back as it was, even with every package back: in words, package by package.
fn no_return(paper: &mut Paper, view: &View, chosen: &[&Batch], width: usize) {
    let mut one_way = Vec::new();
    let mut wanted = Vec::new();
    for batch in chosen {
        for (change, class) in wayback::against(batch) {
            let package = &change.package.name;
            match class {
                WayBack::Reversible => {}
                WayBack::SnapshotOnly(why) => {
                    let lacking = snapshot::cover(&view.state, batch).lacking();
                    wanted.extend(lacking.map(|lacking| format!("{package}: {why}; {lacking}")));
                }
                WayBack::NoReturn(why) => one_way.push(format!("{package}: {why}")),
            }
        }
    }
    if one_way.is_empty() {
        let what = if chosen.len() == 1 { "in this batch" } else { "in these batches" };
        paper.say("NO RETURN", Role::Plain, &format!("nothing known {what}"), width);
    } else {
        paper.say("NO RETURN", Role::NotReady, &one_way.join("; "), width);
    }
    if !wanted.is_empty() {
        paper.say("SNAPSHOT", Role::Warn, &format!("would be wanted: {}", wanted.join("; ")), width);
    }
}

/// Snapshots of before; and what a person does with one where the rollback did not come off.
fn snapshots(paper: &mut Paper, view: &View, chosen: &[&Batch], width: usize) {
    for batch in chosen {
        let Some((text, bad)) = snapshot::said(&view.state, batch) else { continue };
        let role = if bad { Role::NotReady } else { Role::Plain };
        paper.say("SNAPSHOT", role, &format!("{}: {text}", batch.label()), width);
        let commands = snapshot::by_hand(&view.state, batch);
        let mut label = "BY HAND";
        for command in commands {
            paper.say(label, Role::Plain, &command.shown(), width);
            label = "";
        }
    }
}

/// Units that run the old code again: those that the apply restarted, or before that those it is known to.
fn restarts(chosen: &[&Batch]) -> String {
    let of = |batch: &&Batch| match (&batch.applied, &batch.proof) {
        (Some(report), _) => report.restarted.clone(),
        (None, Some(proof)) => proof.restarts.clone(),
        (None, None) => Vec::new(),
    };
    let units: BTreeSet<UnitName> = chosen.iter().flat_map(of).collect();
    match units.len() {
        0 => "restarts".to_owned(),
        _ => format!("restarts {}", units_named(units.iter())),
    }
}

/// The reboots that belong to it, and where a host may not make its own.
fn boots(paper: &mut Paper, view: &View, chosen: &[&Batch], width: usize) {
    let mut label = "BOOTS";
    for batch in chosen {
        let host = &batch.host;
        let (role, text) = match (schedule::boots_back(batch), alone::against(&view.state, batch)) {
            (None, _) => continue,
            (Some(BootsBack::After), _) => (Role::Plain, format!("{host} once its packages are back")),
            (Some(BootsBack::First), None) => {
                (Role::Plain, format!("{host} into its old kernel before the new one is removed, by itself"))
            }
            (Some(BootsBack::First), Some(why)) => {
                (Role::Warn, format!("{why}; a new kernel that runs stays until somebody boots it"))
            }
        };
        paper.say(label, role, &text, width);
        label = "";
    }
}

/// Work that is never cut short: the rollback comes after it.
fn waits(paper: &mut Paper, chosen: &[&Batch], width: usize) {
    for batch in chosen {
        let text = match batch.phase {
            Phase::Applying | Phase::Rebooting | Phase::Verifying => {
                format!(
                    "{} is {}: that is never cut short, the rollback follows it",
                    batch.label(),
                    batch.phase.word()
                )
            }
            _ => continue,
        };
        paper.say("WAITS", Role::Warn, &text, width);
    }
}

/// What becomes of it with nothing pressed.
fn unpressed(paper: &mut Paper, chosen: &[&Batch], now: Time, width: usize) {
    let mut label = "UNPRESSED";
    for batch in chosen {
        let Some(text) = timer::sentence(batch, now) else { continue };
        let missing = batch.unattended() == Some(Unattended::Nothing);
        paper.say(label, if missing { Role::NotReady } else { Role::Plain }, &text, width);
        label = "";
    }
}

fn scope(paper: &mut Paper, view: &View, ui: &Ui, sheet: &RollbackSheet, outlook: &Rollback, width: usize) {
    let stays = if outlook.stays.is_empty() {
        "nothing that is confirmed".to_owned()
    } else {
        format!("{} (confirmed)", labels(view, &outlook.stays, 4))
    };
    paper.say("STAYS", Role::Plain, &stays, width);
    let mut line =
        Text::new().cell(Role::SheetLabel, "SCOPE", 10).add(Role::KeyName, "s").add(Role::Plain, " = ");
    for (at, reach) in [Reach::Unconfirmed, Reach::Host, Reach::Wave, Reach::All].into_iter().enumerate() {
        if at > 0 {
            line.push(Role::Dim, " > ");
        }
        let name = match (reach, sheet.reach == reach, sheet.scope(ui, view)) {
            (Reach::Host, true, crate::core::command::RollbackScope::Host(host)) => format!("[host {host}]"),
            (Reach::Unconfirmed, true, _) if wants_word(reach, outlook) => {
                "[last confirmed: nothing is open]".to_owned()
            }
            // No two hosts are taken together, so the newest wave is the newest host.
            (Reach::Wave, true, _) => format!("[wave: newest host{}]", newest(view, outlook)),
            (reach, true, _) => format!("[{}]", word(reach)),
            (reach, false, _) => word(reach).to_owned(),
        };
        line.push(if sheet.reach == reach { Role::Strong } else { Role::Dim }, name);
    }
    paper.body.push(line);
}

/// The host that these batches are of, after a space; nothing where there are none.
fn newest(view: &View, outlook: &Rollback) -> String {
    let first = outlook.batches.first().and_then(|id| view.state.batches.get(id));
    first.map_or_else(String::new, |batch| format!(" {}", batch.host))
}

/// Why it is not ready, and what a person can do on the host.
fn by_hand(paper: &mut Paper, outlook: &Rollback, chosen: &[&Batch], width: usize) {
    for why in &outlook.missing {
        paper.say("NOT READY", Role::NotReady, why, width);
    }
    for batch in chosen {
        let old: Vec<String> = batch
            .changes
            .iter()
            .filter_map(|change| change.from.as_ref().map(|from| format!("{}={from}", change.package.name)))
            .collect();
        let text = format!("on {}: apt-get install --allow-downgrades {}", batch.host, old.join(" "));
        paper.say("BY HAND", Role::Plain, &text, width);
    }
}

fn foot(sheet: &RollbackSheet, outlook: &Rollback) -> Vec<Text> {
    let close = Text::of(Role::KeyName, "Esc").add(Role::Plain, " = close, stays HELD");
    let start = if outlook.batches.is_empty() || outlook.under_way {
        Text::of(Role::Dim, "nothing more to start   ")
    } else if wants_word(sheet.reach, outlook) {
        let rest = "_".repeat(WORD.len().saturating_sub(sheet.word.len()));
        Text::of(Role::Plain, "confirmed: type ")
            .add(Role::KeyName, WORD)
            .add(Role::Plain, ", then Enter  ")
            .add(Role::Field, format!("[{}{rest}]", sheet.word))
            .add(Role::Plain, "   ")
    } else if sheet.waits.is_some() {
        Text::of(Role::Running, " R taken: starting ").add(Role::Plain, "     ")
    } else {
        Text::of(Role::Plain, "press ")
            .add(Role::NotReady, " R ")
            .add(
                Role::Plain,
                if outlook.missing.is_empty() { " to start" } else { " to start what is stored" },
            )
            .add(Role::Plain, "           ")
    };
    let mut lines = vec![start.then(close)];
    if let Some(note) = sheet.note {
        lines.push(Text::of(Role::Warn, note));
    }
    lines
}
