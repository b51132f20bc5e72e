//! Present mode: a large clock and abort-by for a room that watches, and the last keys pressed.
//! Names and addresses are masked where text is put on the screen.

use ratatui::layout::Rect;

use super::header;
use super::paint::{Canvas, Text, row};
use crate::core::{View, schedule};
use crate::tui::theme::Role;
use crate::tui::ui::Ui;
use crate::types::{Span, Time};

/// Digits of three rows, of the ASCII that every terminal has.
const DIGITS: [[&str; 3]; 10] = [
    [" _ ", "| |", "|_|"],
    ["   ", "  |", "  |"],
    [" _ ", " _|", "|_ "],
    [" _ ", " _|", " _|"],
    ["   ", "|_|", "  |"],
    [" _ ", "|_ ", " _|"],
    [" _ ", "|_ ", "|_|"],
    [" _ ", "  |", "  |"],
    [" _ ", "|_|", "|_|"],
    [" _ ", "|_|", " _|"],
];

fn large(text: &str) -> [String; 3] {
    let mut rows = [String::new(), String::new(), String::new()];
    for c in text.chars() {
        let digit = c.to_digit(10).and_then(|n| DIGITS.get(n as usize));
        let parts = match (digit, c) {
            (Some(parts), _) => *parts,
            (None, ':') => [" ", ".", "."],
            (None, '-') => ["   ", " _ ", "   "],
            (None, _) => ["  ", "  ", "  "],
        };
        for (row, part) in rows.iter_mut().zip(parts) {
            row.push_str(part);
        }
    }
    rows
}

/// How many rows the large clock takes.
pub(super) const HEIGHT: u16 = 4;

pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) {
    let clock = large(&now.format("%H:%M:%S").to_string());
    let by = schedule::abort_by(&view.state);
    let away = by.map(|by| if now < by.at { Span::between(now, by.at).clock() } else { "-".to_owned() });
    let away = large(&away.unwrap_or_default());
    let role = by.map_or(Role::Dim, |by| header::abort_role(by, now));
    for at in 0..3 {
        let text = Text::of(Role::Plain, " ").add(Role::Clock, clock[at].clone()).add(Role::Plain, "      ");
        let text = match role {
            // A background would hide the figures' shape.
            Role::AbortPast => text.add(Role::Bad, away[at].clone()),
            Role::AbortNear => text.add(Role::Warn, away[at].clone()),
            _ => text.add(Role::Strong, away[at].clone()),
        };
        canvas.text(row(area, at as u16), &text);
    }
    let keys: Vec<&str> = ui.pressed.iter().map(String::as_str).collect();
    let keys = Text::of(Role::Dim, "PRESENT, names masked  keys ")
        .add(Role::KeyName, keys.join(" "))
        .add(Role::Plain, " ");
    canvas.text_right(row(area, 0), &keys);
    let beat = header::beat(canvas.theme, view, ui, now).add(Role::Plain, "  ");
    let standing = beat.then(header::standing(canvas.theme, view, now)).add(Role::Plain, " ");
    canvas.text_right(row(area, 1), &standing);
    if let Some(plan) = &view.state.plan {
        canvas.text_right(row(area, 2), &Text::of(Role::Left, format!("{} ", header::left(plan, now))));
    }
    let mut label = Text::of(Role::Dim, " UTC");
    label = label.cell(Role::Plain, "", 27);
    if let Some(by) = by {
        label = label.then(header::abort_text(canvas.theme, by, now));
    }
    let room = usize::from(area.width).saturating_sub(label.width() + 2);
    if let Some(timer) = super::timer::next(view, now, room) {
        label = label.add(Role::Plain, "  ").then(timer);
    }
    canvas.text(row(area, 3), &label);
}
