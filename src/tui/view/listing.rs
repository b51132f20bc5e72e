//! A pane: a title, a heading, rows with a cursor, and a line that sums up. What a pane lists is in
//! the file of its name; how panes look is here.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row};
use crate::tui::theme::Role;

/// What a pane shows.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Listing {
    /// Its title.
    pub(super) title: Text,
    /// What its columns are, where it has some.
    pub(super) head: Option<Text>,
    /// Its rows.
    pub(super) rows: Vec<Text>,
    /// A second line of some rows, by their number.
    pub(super) below: BTreeMap<usize, Text>,
    /// The row under the cursor.
    pub(super) cursor: Option<usize>,
    /// What it sums up to.
    pub(super) foot: Option<Text>,
}

/// The rows that may be in sight, of a pane of this height with the cursor there: a long list makes
/// these alone, and leaves the others blank.
pub(super) fn near(cursor: usize, height: usize) -> std::ops::RangeInclusive<usize> {
    cursor.saturating_sub(height)..=cursor + height
}

impl Listing {
    /// Draws the pane; `title`: whether it has a title row of its own here.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, focus: bool) {
        canvas.clear(area, Role::Plain);
        let title = row(area, 0);
        canvas.rule(title, '-', if focus { Role::Focus } else { Role::Line });
        let name = Rect { x: title.x + 1, width: title.width.saturating_sub(1), ..title };
        canvas.text(name, &Text::of(Role::Line, " ").then(self.title.clone()).add(Role::Line, " "));
        let mut body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        if let (Some(head), true) = (&self.head, body.height > 2) {
            canvas.text(row(body, 0), head);
            body = Rect { y: body.y + 1, height: body.height - 1, ..body };
        }
        // The sum stays in sight, however long the list is.
        if let (Some(foot), true) = (&self.foot, body.height > 2) {
            canvas.text(row(body, body.height - 1), foot);
            body.height -= 1;
        }
        let height = usize::from(body.height);
        let cursor = self.cursor.unwrap_or(0).min(self.rows.len().saturating_sub(1));
        let all = self.rows.len() + self.below.len();
        let here = cursor + self.below.range(..cursor).count();
        let top = here.saturating_sub(height / 2).min(all.saturating_sub(height));
        let lines = self.rows.iter().enumerate().flat_map(|(at, text)| {
            let own = (text, self.cursor == Some(at));
            std::iter::once(own).chain(self.below.get(&at).map(|text| (text, false)))
        });
        for (at, (text, here)) in lines.skip(top).take(height).enumerate() {
            let place = row(body, at as u16);
            canvas.text(place, text);
            if here {
                canvas.tint(place, if focus { Role::Cursor } else { Role::Strong });
            }
        }
        if all > height && height > 0 {
            let more = format!(" {}/{} ", cursor + 1, self.rows.len());
            canvas.text_right(
                Rect { width: title.width.saturating_sub(1), ..title },
                &Text::of(Role::Dim, more),
            );
        }
    }
}
