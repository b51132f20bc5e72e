//! The markers that people set, and the milestones of batches beside them.

use super::listing::Listing;
use super::paint::Text;
use crate::core::View;
use crate::tui::theme::Role;
use crate::tui::ui::{Pane, Ui};

pub(super) fn listing(view: &View, ui: &Ui) -> Listing {
    let markers = &view.state.markers;
    let rows: Vec<Text> = markers
        .iter()
        .enumerate()
        .rev()
        .map(|(at, marker)| {
            Text::of(Role::Marker, format!(" m{} ", at + 1))
                .add(Role::LogTime, format!("{} ", marker.at.format("%H:%M:%SZ")))
                .add(Role::Plain, marker.note.shown())
        })
        .collect();
    let rows =
        if rows.is_empty() { vec![Text::of(Role::Dim, " none; m sets one with a note")] } else { rows };
    let cursor = (ui.pane == Pane::Markers).then(|| ui.cursor(Pane::Markers).min(rows.len() - 1));
    let title = Text::of(Role::KeyName, "[5]").add(Role::Title, " markers, newest first");
    Listing { title, rows, cursor, ..Listing::default() }
}
