//! What is typed: the palette with its commands, the filter, a marker's note, the form of a waiver;
//! and the help, made from the tables of keys and commands.

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row};
use super::sheet::Paper;
use crate::core::View;
use crate::tui::keys::{Act, Context, Keys};
use crate::tui::palette::{self, COMMANDS, Line};
use crate::tui::theme::Role;
use crate::tui::ui::text::{Field, QUESTIONS, Waive};
use crate::tui::ui::{Pane, Ui, timer};
use crate::types::{Time, Untrusted};

/// A field with its cursor; of a long text the end before the cursor is in sight.
fn field(field: &Field, width: usize) -> Text {
    let (before, after) = field.split();
    let (before, after) = (Untrusted::new(before).shown(), Untrusted::new(after).shown());
    let room = width.saturating_sub(2);
    let count = before.chars().count();
    let seen: String = before.chars().skip(count.saturating_sub(room)).collect();
    Text::of(Role::Field, seen).add(Role::Cursor, "_").add(Role::Field, format!("{after} "))
}

/// The line that is typed in, in the place of the hint line.
pub(super) fn line(canvas: &mut Canvas<'_>, ask: &str, text: &Field, area: Rect) {
    canvas.clear(area, Role::Field);
    let width = usize::from(area.width).saturating_sub(ask.len() + 1);
    canvas.text(row(area, 0), &Text::of(Role::KeyName, format!(" {ask}")).then(field(text, width)));
}

/// The commands that fit what is typed, above the line.
pub(super) fn commands(canvas: &mut Canvas<'_>, view: &View, text: &Field, now: Time, area: Rect) {
    let found: Vec<_> = palette::matching(text.text(), view.live).collect();
    let outlook = outlook(view, text.text(), now);
    let height = (found.len().max(1) as u16 + 1 + u16::from(outlook.is_some())).min(area.height);
    let place = Rect { y: area.bottom() - height, height, ..area };
    canvas.clear(place, Role::Plain);
    canvas.rule(row(place, 0), '-', Role::SheetLine);
    canvas.text(
        row(place, 0),
        &Text::of(Role::SheetLine, "- ")
            .add(Role::SheetTitle, "commands")
            .add(Role::Dim, " (Tab completes) "),
    );
    if found.is_empty() {
        canvas.text(row(place, 1), &Text::of(Role::Warn, "  no such command"));
    }
    for (at, entry) in found.iter().enumerate() {
        let line = Text::of(Role::Plain, "  ")
            .cell(Role::KeyName, entry.name, 10)
            .cell(Role::Plain, entry.takes, 20)
            .add(Role::Dim, entry.help);
        canvas.text(row(place, at as u16 + 1), &line);
    }
    if let Some(outlook) = outlook {
        canvas.text(row(place, height - 1), &outlook);
    }
}

/// What Enter would come to, of the commands where that is a figure or may be refused.
fn outlook(view: &View, text: &str, now: Time) -> Option<Text> {
    let said = match palette::parse(text, view.live).ok()? {
        Line::Extend { host, by } => timer::extend_preview(view, &host, by, now),
        Line::Confirm(host) => timer::confirm_preview(view, &host, now),
        _ => return None,
    };
    Some(match said {
        Ok(text) => Text::of(Role::KeyName, "  Enter: ").add(Role::Plain, text),
        Err(why) => Text::of(Role::Warn, format!("  {why}")),
    })
}

/// The form of a waiver: a waiver costs a commitment.
pub(super) fn waive(view: &View, form: &Waive, width: usize) -> Paper {
    let label = view.state.batches.get(&form.batch).map_or_else(String::new, |batch| batch.label());
    let title = Text::of(Role::SheetTitle, format!("WAIVE gate {}: {label}", form.gate));
    let mut paper = Paper { title, ..Paper::default() };
    paper.say("HELD BY", Role::Strong, &form.failing, width);
    paper.say(
        "A WAIVER",
        Role::Plain,
        "is recorded with your name, this finding and what you write. It passes this finding alone: \
         when the finding changes, or its time is over, the gate is held again by itself.",
        width,
    );
    for (at, question) in QUESTIONS.iter().enumerate() {
        let here = if at == form.at { ">" } else { " " };
        let head = Text::of(Role::KeyName, here).cell(Role::Plain, question, 26);
        let text = &form.fields[at];
        let value = if at == form.at {
            field(text, width.saturating_sub(32))
        } else {
            Text::of(Role::Plain, Untrusted::new(text.text()).shown())
        };
        paper.body.push(head.then(value));
    }
    paper.foot.push(
        Text::of(Role::KeyName, "Enter")
            .add(Role::Plain, " = next, at the end: waive   ")
            .add(Role::KeyName, "Esc")
            .add(Role::Plain, " = close, stays held"),
    );
    if let Some(note) = &form.note {
        paper.foot.push(Text::of(Role::Warn, note.clone()));
    }
    paper
}

/// The note of a marker.
pub(super) fn mark(text: &Field, width: usize) -> Paper {
    let mut paper = Paper { title: Text::of(Role::SheetTitle, "MARKER"), ..Paper::default() };
    paper.body.push(Text::of(Role::Plain, "note  ").then(field(text, width.saturating_sub(12))));
    paper.foot.push(
        Text::of(Role::KeyName, "Enter")
            .add(Role::Plain, " = set   ")
            .add(Role::KeyName, "Esc")
            .add(Role::Plain, " = close"),
    );
    paper
}

/// All keys and commands.
pub(super) fn help(keys: &Keys, scroll: usize) -> Paper {
    let title = Text::of(Role::SheetTitle, "KEYS AND COMMANDS").add(Role::Dim, "  j k scroll, Esc closes");
    let mut paper = Paper { title, scroll, ..Paper::default() };
    let contexts = [
        Context::Always,
        Context::Screen,
        Context::Panes,
        Context::Gate,
        Context::Rollback,
        Context::Ask,
        Context::Replay,
    ];
    for context in contexts {
        paper.body.push(Text::of(Role::SheetLabel, context.heading()));
        for binding in keys.all().iter().filter(|binding| binding.context == context) {
            let names: Vec<String> = binding.keys.iter().map(ToString::to_string).collect();
            paper.body.push(
                Text::of(Role::Plain, "  ")
                    .cell(Role::KeyName, &names.join(" "), 12)
                    .add(Role::Plain, binding.help),
            );
        }
    }
    paper.body.push(Text::of(Role::SheetLabel, "commands"));
    for entry in COMMANDS {
        let name = format!(":{} {}", entry.name, entry.takes);
        paper
            .body
            .push(Text::of(Role::Plain, "  ").cell(Role::KeyName, &name, 28).add(Role::Plain, entry.help));
    }
    paper
}

/// The keys that work now, for the last line.
pub(super) fn hints(ui: &Ui, contexts: &[Context], works: impl Fn(Act) -> bool, width: usize) -> Text {
    let mut text = Text::of(Role::Plain, " ");
    for context in contexts {
        for binding in
            ui.keys.all().iter().filter(|binding| binding.context == *context && works(binding.act))
        {
            let (Some(hint), Some(key)) = (binding.hint, binding.keys.first()) else { continue };
            // What is saved is what the pane is of.
            let hint = match (binding.act, contexts.contains(&Context::Panes), ui.pane) {
                (Act::Export, true, Pane::Packets) => "pcapng",
                (Act::Export, true, _) if !contexts.contains(&Context::Replay) => "evidence",
                _ => hint,
            };
            let piece = Text::of(Role::KeyName, key.to_string()).add(Role::Dim, format!(" {hint}  "));
            if text.width() + piece.width() <= width {
                text = text.then(piece);
            }
        }
    }
    text
}
