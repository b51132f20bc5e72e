//! The matrix: customer by place by layer, now and, where that is another word, before the window's first
//! change.

use std::collections::BTreeSet;

use ratatui::layout::Rect;

use super::listing::Listing;
use super::paint::Text;
use crate::core::View;
use crate::core::matrix::{self, Cell, Layer, Mark, Row};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::{Pane, Ui};
use crate::types::{Time, Untrusted};

/// Of a cell: "! FAIL <ok" and a space; where there is less room its spaces go.
const CELL: usize = 11;
const PLACE: usize = 9;

/// The rows that are listed.
fn rows(view: &View, ui: &Ui, now: Time) -> Vec<Row> {
    let filter = ui.filter(Pane::Matrix).map(str::to_lowercase);
    let fits = |row: &Row| {
        filter.as_ref().is_none_or(|filter| {
            row.customer.as_str().to_lowercase().contains(filter.as_str())
                || row.place.to_lowercase().contains(filter.as_str())
        })
    };
    matrix::rows(&view.state, now).into_iter().filter(fits).collect()
}

fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Unknown => "?",
        Mark::Ok => "ok",
        Mark::Fail => "FAIL",
    }
}

fn cell(theme: &Theme, cell: Cell, width: usize) -> (Role, String) {
    let role = match cell.now {
        Mark::Unknown => Role::ProbeUnknown,
        Mark::Ok => Role::ProbeOk,
        Mark::Fail => Role::ProbeFail,
    };
    let space = if width < CELL { "" } else { " " };
    let mut text = format!("{}{space}{}", theme.glyph(role), word(cell.now));
    if cell.before != cell.now && cell.before != Mark::Unknown {
        text.push_str(space);
        text.push('<');
        text.push_str(word(cell.before));
    }
    (role, text)
}

pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let all = rows(view, ui, now);
    let looked: BTreeSet<Layer> = all.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let mut title =
        Text::of(Role::Title, "matrix").add(Role::Dim, "  now, and <before where that was another");
    if let Some(filter) = ui.filter(Pane::Matrix) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    let cells = usize::from(area.width).saturating_sub(3 + PLACE + 8);
    let wide = (cells / looked.len().max(1)).min(CELL);
    let room = usize::from(area.width).saturating_sub(3 + PLACE + looked.len() * wide);
    let name =
        all.iter().map(|row| row.customer.as_str().len()).max().unwrap_or(8).clamp(8, 16).min(room.max(8));
    let mut head =
        Text::of(Role::Dim, " ").cell(Role::Dim, "customer", name + 1).cell(Role::Dim, "from", PLACE + 1);
    for layer in &looked {
        head = head.cell(Role::Dim, layer.word(), wide);
    }
    let cursor = (ui.pane == Pane::Matrix).then(|| ui.cursor(Pane::Matrix).min(all.len().saturating_sub(1)));
    let mut last = None;
    let lines = all.iter().map(|row| {
        // A customer is named once.
        let shown = if last == Some(&row.customer) { "" } else { row.customer.as_str() };
        last = Some(&row.customer);
        let mut text = Text::of(Role::Plain, " ").cell(Role::Strong, shown, name).add(Role::Plain, " ");
        text = text.cell(Role::Plain, &row.place, PLACE).add(Role::Plain, " ");
        for layer in &looked {
            let (role, words) = match row.cells.get(layer) {
                Some(found) => cell(theme, *found, wide),
                None => (Role::Dim, "-".to_owned()),
            };
            text = text.cell(role, &words, wide);
        }
        text
    });
    let rows: Vec<Text> = match lines.collect::<Vec<_>>() {
        none if none.is_empty() => vec![Text::of(Role::Dim, " nothing is looked at")],
        rows => rows,
    };
    let dark = all.iter().filter(|row| row.cells.values().any(|cell| cell.now == Mark::Fail)).count();
    let foot = Text::of(
        if dark > 0 { Role::ProbeFail } else { Role::Dim },
        format!(
            " {dark} of {} views have a layer that fails; a layer above one that fails is not known",
            all.len()
        ),
    );
    Listing { title, head: Some(head), rows, cursor, foot: Some(foot), ..Listing::default() }
}
