//! A sheet over the panes: a frame, lines that wrap, and a foot that is always in sight.

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row, wrap};
use crate::tui::theme::Role;

/// What a sheet says.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Paper {
    pub(super) title: Text,
    pub(super) body: Vec<Text>,
    /// Its last lines: what can be pressed. Never cut off.
    pub(super) foot: Vec<Text>,
    /// Lines scrolled away at the top.
    pub(super) scroll: usize,
    /// The line of the body that the cursor is on: in sight, whatever is scrolled.
    pub(super) cursor: Option<usize>,
    pub(super) line: Option<Role>,
}

impl Paper {
    /// A line with a label, its text wrapped beside it.
    pub(super) fn say(&mut self, label: &str, role: Role, text: &str, width: usize) {
        let inner = width.saturating_sub(LABEL + 4);
        for (at, part) in wrap(text, inner).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.body.push(Text::new().cell(Role::SheetLabel, label, LABEL).add(role, part));
        }
    }

    /// The text of it, for copying.
    pub(super) fn plain(&self) -> String {
        let lines = std::iter::once(&self.title).chain(&self.body).chain(&self.foot);
        lines.map(Text::plain).collect::<Vec<_>>().join("\n")
    }

    /// How wide it is within a place.
    pub(super) fn width(area: Rect) -> usize {
        usize::from(area.width.min(WIDEST))
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let frame = self.line.unwrap_or(Role::SheetLine);
        let width = Self::width(area) as u16;
        let want = (self.body.len() + self.foot.len() + 2) as u16;
        let height = want.min(area.height);
        let x = area.x + (area.width - width) / 2;
        let y = area.y + (area.height - height) / 2;
        let area = Rect { x, y, width, height };
        canvas.clear(area, Role::Plain);
        // Where there is no room for a frame, what is said has it.
        let framed = area.height > self.foot.len() as u16 + 3 && area.width > 20;
        let inner = if framed {
            canvas.rule(row(area, 0), '-', frame);
            canvas.rule(row(area, height - 1), '-', frame);
            let right = Rect { x: area.right() - 1, width: 1, ..area };
            for wall in [Rect { width: 1, ..area }, right] {
                canvas.wall(wall, '|', frame);
                canvas.text(row(wall, 0), &Text::of(frame, "+"));
                canvas.text(row(wall, height - 1), &Text::of(frame, "+"));
            }
            let name = Rect { x: area.x + 2, width: area.width - 4, ..row(area, 0) };
            canvas.text(name, &Text::of(frame, " ").then(self.title.clone()).add(frame, " "));
            Rect { x: area.x + 2, y: area.y + 1, width: area.width - 4, height: area.height - 2 }
        } else {
            area
        };
        let foot = (self.foot.len() as u16).min(inner.height);
        let body = Rect { height: inner.height - foot, ..inner };
        let (rows, room) = (self.body.len(), usize::from(body.height));
        let least = self.cursor.map_or(0, |at| (at + 1).saturating_sub(room));
        let top = self.scroll.max(least).min(rows.saturating_sub(room));
        for (at, text) in self.body.iter().skip(top).take(room).enumerate() {
            canvas.text(row(body, at as u16), text);
        }
        if rows > room && room > 0 {
            let more = format!(" {} more ", rows - room - top.min(rows - room));
            if rows - room > top {
                canvas.text_right(row(body, body.height - 1), &Text::of(Role::Dim, more));
            }
        }
        // With less room than the foot wants, its first lines are what is to be pressed.
        for (at, text) in self.foot.iter().take(usize::from(foot)).enumerate() {
            canvas.text(row(Rect { y: body.bottom(), height: foot, ..inner }, at as u16), text);
        }
    }
}

const LABEL: usize = 10;
const WIDEST: u16 = 96;
