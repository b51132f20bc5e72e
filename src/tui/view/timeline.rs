//! The timeline of a replay, with its chapters.

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row};
use crate::tui::replay::Position;
use crate::tui::theme::Role;
use crate::types::{Span, Time};

/// Draws the timeline in two rows: the bar, and the chapter before and after.
pub(super) fn draw(canvas: &mut Canvas<'_>, position: &Position, area: Rect) {
    canvas.clear(area, Role::Plain);
    let head = format!(
        " {} {}x  {}/{} ",
        if position.playing { ">" } else { "=" },
        position.speed,
        position.event,
        position.events
    );
    let first = row(area, 0);
    canvas.text(first, &Text::of(Role::Strong, head.clone()));
    let used = head.len() as u16;
    if first.width > used + 10 {
        let place = Rect { x: first.x + used, width: first.width - used - 1, ..first };
        let inner = usize::from(place.width.saturating_sub(2));
        let here = at(position, position.at, inner);
        let mut signs: Vec<(Role, char)> = (0..inner)
            .map(|cell| if cell < here { (Role::BarPast, '=') } else { (Role::Line, '-') })
            .collect();
        for chapter in &position.chapters {
            if let Some(cell) = signs.get_mut(at(position, chapter.at, inner)) {
                *cell = (Role::Marker, 'v');
            }
        }
        if let Some(cell) = signs.get_mut(here) {
            *cell = (Role::Clock, '#');
        }
        let mut bar = Text::of(Role::Line, "[");
        for (role, sign) in signs {
            bar.push(role, sign.to_string());
        }
        canvas.text(place, &bar.add(Role::Line, "]"));
    }
    let before = position.chapters.iter().rfind(|chapter| chapter.at <= position.at);
    let after = position.chapters.iter().find(|chapter| chapter.at > position.at);
    let mut text = Text::of(Role::Plain, " ");
    if let Some(skipped) = position.skipped {
        text.push(Role::Replay, format!(" idle {} skipped ", skipped.brief()));
        text.push(Role::Plain, " ");
    }
    if let Some(chapter) = before {
        text.push(Role::LogTime, format!("{} ", chapter.at.format("%H:%M:%SZ")));
        text.push(Role::Strong, chapter.label.shown());
    }
    if let Some(chapter) = after {
        let ahead = Span::between(position.at, chapter.at).brief();
        text =
            text.add(Role::KeyName, "   ] ").add(Role::Dim, format!("in {ahead}: {}", chapter.label.shown()));
    }
    canvas.text(row(area, 1), &text);
}

fn at(position: &Position, moment: Time, cells: usize) -> usize {
    let whole = Span::between(position.from, position.to).as_ms().max(1);
    let passed = Span::between(position.from, moment).as_ms().min(whole);
    let cell = u128::from(passed) * cells as u128 / u128::from(whole);
    (cell as usize).min(cells.saturating_sub(1))
}
