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
    let badges = |list: &[&Judgement]| -> Vec<Text> {
        list.iter().map(|judgement| badge(canvas.theme, judgement)).collect()
    };
    let (passing, against) = (badges(&passing), badges(&against));
    let clear = |n: usize| {
        let sign = canvas.theme.glyph(Role::GateClear);
        Text::of(Role::GateClear, format!("{sign} {n} ok"))
    };
    let more = |n: usize| {
        let sign = canvas.theme.glyph(Role::GateHeld);
        Text::of(Role::GateHeld, format!("{sign} {n} more"))
    };
    let key = if view.live { Text::of(Role::KeyName, "c").add(Role::Dim, "=open ") } else { Text::new() };
    let width = usize::from(area.width);
    let room = width.saturating_sub(head.len());
    let counted =
        if passing.is_empty() { Text::new() } else { Text::of(Role::Plain, GAP).then(clear(passing.len())) };
    if area.height < 2 {
        // One line: what stands against it first, then how many are clear.
        let text = Text::of(Role::Strong, head)
            .then(fold(&against, room.saturating_sub(counted.width()), more))
            .then(counted);
        canvas.text(row(area, 0), &text);
        if text.width() + key.width() < width {
            canvas.text_right(row(area, 0), &key);
        }
        return;
    }
    let mut used = key.width();
    let fits = |badge: &&Text| {
        used += badge.width() + GAP.len();
        used <= room
    };
    let first = against.iter().take_while(fits).count();
    let (first, rest) = against.split_at(first);
    let above = if against.is_empty() {
        Text::of(Role::Good, "  all clear or waived: GO is yours to type")
    } else {
        fold(first, room, more)
    };
    let below = if rest.is_empty() {
        fold(&passing, room, clear)
    } else {
        fold(rest, room.saturating_sub(counted.width()), more).then(counted)
    };
    canvas.text(row(area, 0), &Text::of(Role::Strong, head.clone()).then(above));
    canvas.text_right(row(area, 0), &key);
    canvas.text(row(area, 1), &Text::of(Role::Plain, " ".repeat(head.len())).then(below));
}

/// What stands between two gates.
const GAP: &str = "  ";

/// Gates beside each other, as many as there is room for; the others are counted.
fn fold(badges: &[Text], room: usize, count: impl Fn(usize) -> Text) -> Text {
    let next = |text: Text, piece: Text| text.add(Role::Plain, GAP).then(piece);
    let whole = badges.iter().cloned().fold(Text::new(), next);
    if whole.width() <= room {
        return whole;
    }
    let mut text = Text::new();
    for (at, badge) in badges.iter().enumerate() {
        let left = badges.len() - at;
        let tail = if left > 1 { count(left - 1).width() + GAP.len() } else { 0 };
        if text.width() + GAP.len() + badge.width() + tail > room {
            return next(text, count(left));
        }
        text = next(text, badge.clone());
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_that_have_no_room_are_counted() {
        let badges: Vec<Text> =
            ["! plan HOLD", "? proof unknown", "! bake HOLD"].map(|text| Text::of(Role::Plain, text)).into();
        let count = |n: usize| Text::of(Role::Plain, format!("! {n} more"));
        let fold = |room| fold(&badges, room, count).plain();
        assert_eq!(fold(43), "  ! plan HOLD  ? proof unknown  ! bake HOLD");
        assert_eq!(fold(42), "  ! plan HOLD  ? proof unknown  ! 1 more");
        assert_eq!(fold(39), "  ! plan HOLD  ! 2 more");
        assert_eq!(fold(10), "  ! 3 more");
        assert_eq!(super::fold(&[], 10, count).plain(), "");
    }
}
