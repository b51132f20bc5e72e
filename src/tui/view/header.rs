//! The clock line, and abort-by with its arithmetic and its bar: always on screen.

use ratatui::layout::Rect;

use super::paint::{Canvas, Text, row};
use crate::core::event::Outcome;
use crate::core::schedule::{self, AbortBy, Estimate, WindowPhase};
use crate::core::{JournalHealth, View};
use crate::plan::Plan;
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::Ui;
use crate::types::{Span, Time, Untrusted};

/// Abort-by is near from here on.
const NEAR: Span = Span::mins(10);

/// Turns with the seconds: a screen that stands still is seen to.
const BEAT: [char; 4] = ['|', '/', '-', '\\'];

pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) {
    let clock = row(area, 0);
    canvas.text(clock, &clock_line(canvas.theme, view, ui, now, usize::from(clock.width)));
    let abort = row(area, 1);
    let text = abort_line(canvas.theme, view, now);
    let used = text.width() as u16 + 3;
    canvas.text(abort, &text);
    if let (Some(plan), Some(by)) = (&view.state.plan, schedule::abort_by(&view.state))
        && abort.width > used + 24
    {
        let bar = Rect { x: abort.x + used, width: abort.width - used - 1, ..abort };
        canvas.text(bar, &self::bar(canvas.theme, plan, by, now, usize::from(bar.width)));
    }
}

/// The clock with its heart beating.
pub(super) fn clock(now: Time) -> Text {
    Text::of(Role::Clock, now.format("%H:%M:%SZ").to_string())
}

/// Whether what is shown is live, and a sign that turns each second.
pub(super) fn beat(theme: &Theme, view: &View, ui: &Ui, now: Time) -> Text {
    let sign = BEAT[(now.timestamp().rem_euclid(4)) as usize];
    match (&ui.replay, view.live) {
        (_, true) => Text::of(Role::Beat, format!("{} {sign}", theme.word(Role::Beat))),
        (Some(position), false) => {
            let playing = if position.playing { sign } else { '=' };
            Text::of(Role::Replay, format!(" {} {playing} ", theme.word(Role::Replay)))
        }
        (None, false) => Text::of(Role::Replay, format!(" {} ", theme.word(Role::Replay))),
    }
}

/// Where the window stands, in a word or two.
pub(super) fn standing(theme: &Theme, view: &View, now: Time) -> Text {
    let state = &view.state;
    if let Some((at, outcome)) = state.ended {
        let word = match outcome {
            Outcome::Done => "done",
            Outcome::RolledBack => "rolled back, as planned",
            Outcome::Held => "held at a gate",
            Outcome::RollbackIncomplete => "rollback incomplete",
            Outcome::Unreachable => "not all reached",
        };
        return Text::of(Role::Strong, format!("ENDED {}: {word}", at.format("%H:%MZ")));
    }
    if let Some(held) = state.held.first() {
        let word = format!(" {} since {} ", theme.word(Role::Held), held.at.format("%H:%MZ"));
        return Text::of(Role::Held, word);
    }
    match schedule::phase(state, now) {
        None => Text::of(Role::Unknown, "no plan yet"),
        Some(WindowPhase::Before) => Text::of(Role::Shut, "NOT OPEN"),
        Some(WindowPhase::Open) => Text::of(Role::Open, theme.word(Role::Open)),
        Some(WindowPhase::PastAbortBy) => Text::of(Role::AbortPast, theme.word(Role::AbortPast)),
        Some(WindowPhase::Closed) => Text::of(Role::Bad, "CLOSED"),
    }
}

/// What is left of the window, in one piece.
pub(super) fn left(plan: &Plan, now: Time) -> String {
    let window = &plan.window;
    if now < window.opens {
        format!("opens {} in {}", stamp(window.opens, now), Span::between(now, window.opens).clock())
    } else if now < window.closes {
        format!("ends {}  left {}", stamp(window.closes, now), Span::between(now, window.closes).clock())
    } else {
        format!("closed {}, {} ago", stamp(window.closes, now), Span::between(window.closes, now).brief())
    }
}

/// A moment: with its date where that is another day's.
pub(in crate::tui) fn stamp(at: Time, now: Time) -> String {
    let day = if at.date_naive() == now.date_naive() { "%H:%MZ" } else { "%m-%d %H:%MZ" };
    at.format(day).to_string()
}

fn clock_line(theme: &Theme, view: &View, ui: &Ui, now: Time, width: usize) -> Text {
    let plan = view.state.plan.as_ref();
    let ticket = plan.map_or_else(String::new, |plan| {
        let name = plan.window.ticket.as_ref().unwrap_or(&plan.window.name);
        super::paint::cut(&Untrusted::new(name).shown(), 24)
    });
    let recorded = match view.journal {
        JournalHealth::Sound => Text::of(Role::Dim, "REC"),
        JournalHealth::Failing { .. } => Text::of(Role::Bad, "NOT RECORDED"),
    };
    let wide = width >= 100;
    let mut head = Text::new();
    if wide {
        head.push(Role::Dim, " holdpoint");
    }
    head = head.add(Role::Strong, format!(" {ticket}  "));
    if wide {
        head = head.then(recorded).add(Role::Plain, "  ");
    }
    head = head.then(beat(theme, view, ui, now)).add(Role::Plain, "  ").then(standing(theme, view, now));
    let mut tail = clock(now);
    if let Some(plan) = plan {
        let gap = if wide { "   WINDOW " } else { "  " };
        tail = tail.add(Role::Dim, gap).add(Role::Left, left(plan, now));
    }
    tail.push(Role::Plain, " ");
    let room = width.saturating_sub(head.width() + tail.width());
    if let Some(timer) = super::timer::next(view, now, room.saturating_sub(3)) {
        head = head.add(Role::Plain, "  ").then(timer);
    }
    let space = width.saturating_sub(head.width() + tail.width()).max(1);
    head.add(Role::Plain, " ".repeat(space)).then(tail)
}

/// What abort-by says of itself.
pub(super) fn abort_role(by: AbortBy, now: Time) -> Role {
    if now >= by.at {
        Role::AbortPast
    } else if Span::between(now, by.at) < NEAR {
        Role::AbortNear
    } else {
        Role::AbortOk
    }
}

fn about(estimate: Estimate) -> String {
    let sign = if estimate.measured { "" } else { "~" };
    format!("{sign}{}", estimate.span.brief())
}

/// Abort-by with how far away it is.
pub(super) fn abort_text(theme: &Theme, by: AbortBy, now: Time) -> Text {
    let role = abort_role(by, now);
    let when = stamp(by.at, now);
    let word = theme.word(role);
    let away = if now < by.at {
        format!("in {}", Span::between(now, by.at).clock())
    } else {
        format!("{} ago", Span::between(by.at, now).brief())
    };
    let text = match role {
        Role::AbortOk => format!("{word} {when}  {away}"),
        _ => format!(" {word} {when}  {away} "),
    };
    Text::of(role, text)
}

fn abort_line(theme: &Theme, view: &View, now: Time) -> Text {
    let Some(by) = schedule::abort_by(&view.state) else {
        return Text::of(Role::Unknown, " ABORT-BY unknown: no plan is sealed yet");
    };
    if view.state.batches.is_empty() {
        let text = Text::of(Role::Plain, " ").then(abort_text(theme, by, now));
        return text.add(Role::Unknown, "  at the latest: no batch is cut yet");
    }
    let sums = format!(
        "  {} - rollback {} - verify {} - margin {}",
        stamp(by.closes, now),
        about(by.rollback),
        about(by.verify),
        by.margin.brief()
    );
    Text::of(Role::Plain, " ").then(abort_text(theme, by, now)).add(Role::Dim, sums)
}

/// From opening to closing: what has passed, and where abort-by stands.
fn bar(theme: &Theme, plan: &Plan, by: AbortBy, now: Time, width: usize) -> Text {
    let inner = width.saturating_sub(2);
    let whole = Span::between(plan.window.opens, plan.window.closes).as_ms().max(1);
    let at = |moment: Time| {
        let passed = Span::between(plan.window.opens, moment).as_ms().min(whole);
        (passed as u128 * inner as u128 / u128::from(whole)) as usize
    };
    let (here, line) = (at(now), at(by.at).min(inner.saturating_sub(1)));
    let mut text = Text::of(Role::Line, "[");
    for cell in 0..inner {
        let role = if cell == line {
            Role::BarMark
        } else if cell < here {
            Role::BarPast
        } else {
            Role::BarLeft
        };
        text.push(role, theme.glyph(role));
    }
    text.add(Role::Line, "]")
}
