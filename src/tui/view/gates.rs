//! The gates of the batch that is next: the strip under the clock, and the pane that lists them
//! with their evidence. A gate that is not built is not listed.

use ratatui::layout::Rect;

use super::listing::Listing;
use super::paint::{Canvas, Text, row, wrap};
use crate::core::gate::{self, GateState, Judgement};
use crate::core::{View, schedule};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::{Pane, Ui};
use crate::types::Time;

pub(super) fn role(state: GateState) -> Role {
    match state {
        GateState::Clear => Role::GateClear,
        GateState::Held => Role::GateHeld,
        GateState::Unknown => Role::GateUnknown,
        GateState::Waived => Role::GateWaived,
    }
}

/// A gate as it stands in a row of gates.
pub(super) fn badge(theme: &Theme, judgement: &Judgement) -> Text {
    let role = role(judgement.state);
    let strong = if judgement.state == GateState::Clear { Role::Dim } else { Role::Plain };
    Text::of(role, format!("{} ", theme.glyph(role)))
        .add(strong, format!("{} ", judgement.gate))
        .add(role, theme.word(role))
}

pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, now: Time, area: Rect) {
    let Some(batch) = schedule::next(&view.state) else {
        let why = if view.state.batches.is_empty() { "no batch is cut yet" } else { "no batch waits" };
        canvas.text(row(area, 0), &Text::of(Role::Dim, format!(" GATES  {why}")));
        return;
    };
    let judgements = gate::judge(&view.state, batch, now);
    let (passing, against): (Vec<_>, Vec<_>) = judgements.iter().partition(|j| j.state.passes());
    let head = format!(" GATES {} ", batch.label());
    let badges = |list: &[&Judgement]| {
        list.iter().fold(Text::new(), |text, judgement| {
            text.add(Role::Plain, "  ").then(badge(canvas.theme, judgement))
        })
    };
    let key = if view.live { Text::of(Role::KeyName, "c").add(Role::Dim, "=open ") } else { Text::new() };
    if area.height >= 2 {
        let first = if against.is_empty() {
            Text::of(Role::Good, "  all clear or waived: GO is yours to type")
        } else {
            badges(&against)
        };
        canvas.text(row(area, 0), &Text::of(Role::Strong, head.clone()).then(first));
        canvas.text_right(row(area, 0), &key);
        let indent = " ".repeat(head.len());
        canvas.text(row(area, 1), &Text::of(Role::Plain, indent).then(badges(&passing)));
        return;
    }
    // One line: what stands against it first, then how many are clear.
    let mut text = Text::of(Role::Strong, head).then(badges(&against));
    if !passing.is_empty() {
        text.push(Role::GateClear, format!("  {} {} ok", canvas.theme.glyph(Role::GateClear), passing.len()));
    }
    canvas.text(row(area, 0), &text);
    if text.width() + key.width() < usize::from(area.width) {
        canvas.text_right(row(area, 0), &key);
    }
}

/// The pane: every gate with its reason, and what that rests on.
pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time, width: usize) -> Listing {
    let host = ui.host(view);
    let mut waiting = host.iter().flat_map(|host| view.state.batches_of(host));
    let own = waiting.find(|batch| schedule::waits(batch.phase)).map(AsRef::as_ref);
    let Some(batch) = own.or_else(|| schedule::next(&view.state)) else {
        return Listing {
            title: Text::of(Role::Title, "gates"),
            rows: vec![Text::of(Role::Dim, " no batch waits")],
            ..Listing::default()
        };
    };
    let mut rows = Vec::new();
    for judgement in gate::judge(&view.state, batch, now) {
        let role = role(judgement.state);
        let head = Text::new().cell(role, &format!(" {} {}", theme.glyph(role), judgement.gate), 13).cell(
            role,
            theme.word(role),
            9,
        );
        let (indent, room) = (" ".repeat(22), width.saturating_sub(23).max(12));
        for (at, part) in wrap(&judgement.reason, room).into_iter().enumerate() {
            let head = if at == 0 { head.clone() } else { Text::of(Role::Plain, indent.clone()) };
            rows.push(head.add(Role::Plain, part));
        }
        for line in judgement.evidence.iter().filter(|line| **line != judgement.reason) {
            rows.extend(
                wrap(line, room).into_iter().map(|part| Text::of(Role::Dim, format!("{indent}{part}"))),
            );
        }
    }
    let title = Text::of(Role::Title, format!("gates of {}", batch.label()));
    Listing { title, cursor: Some(ui.cursor(Pane::Gates).min(rows.len() - 1)), rows, ..Listing::default() }
}
