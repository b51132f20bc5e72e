//! Screens below 80x24, and present mode: the clock, the state, the banner and the rollback come
//! first, whatever the size; what room is left goes to the hosts.

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row};
use super::{activity, banner, bar, gates, header, hosts, timer};
use crate::core::{View, schedule};
use crate::tui::theme::Role;
use crate::tui::ui::Ui;
use crate::types::Time;

/// The rollback in one line: its key, its state, its scope.
pub(super) fn rollback_line(canvas: &mut Canvas<'_>, view: &View, now: Time, area: Rect) {
    let outlook = bar::outlook(canvas, view, now);
    let what = outlook.what.strip_prefix("ROLLBACK").unwrap_or("").trim().to_owned();
    let text = match area.width {
        0..=13 => format!("R {}", outlook.word),
        14..=29 => format!("R ROLLBACK {}", outlook.word),
        _ => format!(" R ROLLBACK {}  {what}  {}", outlook.word, outlook.more),
    };
    canvas.clear(area, outlook.role);
    canvas.text(row(area, 0), &Text::of(outlook.role, text));
}

/// Clock and what is left, in what room there is.
fn clock_line(canvas: &mut Canvas<'_>, view: &View, now: Time, area: Rect) {
    let standing = header::standing(canvas.theme, view, now);
    let mut text = header::clock(now).add(Role::Plain, " ").then(standing);
    if let Some(plan) = &view.state.plan {
        text = text.add(Role::Left, format!(" {}", header::left(plan, now)));
    }
    canvas.text(row(area, 0), &text);
}

/// Draws all that a small screen has room for; returns the place in the middle that a sheet may take.
pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) -> Rect {
    let nothing = Rect { height: 0, ..area };
    let bottom = row(area, area.height.saturating_sub(1));
    match area.height {
        0 => return nothing,
        1 => {
            // One line: what can be pressed and whether it works, then the clock.
            if area.width > 40 {
                let (left, right) = (Rect { width: area.width - 10, ..area }, area);
                rollback_line(canvas, view, now, left);
                canvas.text_right(right, &header::clock(now));
            } else {
                rollback_line(canvas, view, now, area);
            }
            return nothing;
        }
        _ => {}
    }
    clock_line(canvas, view, now, row(area, 0));
    rollback_line(canvas, view, now, bottom);
    let mut used = 1;
    if area.height >= 3 {
        let place = row(area, 1);
        if banner::of(view, now).is_some() {
            banner::draw(canvas, view, ui, now, place);
        } else if let Some(line) = activity::lines(canvas.theme, view, now, usize::from(area.width)).first() {
            canvas.text(place, line);
        }
        used = 2;
    }
    if area.height >= 5 {
        if let Some(by) = schedule::abort_by(&view.state) {
            let mut text = header::abort_text(canvas.theme, by, now);
            let room = usize::from(area.width).saturating_sub(text.width() + 2);
            if let Some(timer) = timer::next(view, now, room) {
                text = text.add(Role::Plain, "  ").then(timer);
            }
            canvas.text(row(area, 2), &text);
        }
        gates::draw(canvas, view, now, row(area, 3));
        used = 4;
    }
    let middle = Rect { y: area.y + used, height: area.height.saturating_sub(used + 1), ..area };
    if middle.height >= 3 {
        let listing = hosts::listing(canvas.theme, view, ui, now, middle);
        listing.draw(canvas, middle, true);
    }
    // A sheet may take everything between the banner and the rollback.
    let used = used.min(2);
    Rect { y: area.y + used, height: area.height.saturating_sub(used + 1), ..area }
}
