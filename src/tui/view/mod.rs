//! What is seen: a function of the view, the viewer's own cursors, the moment and the size. Pure,
//! so that two viewers can draw one state at different sizes, and a replay is the same screen.

pub(super) mod activity;
mod alarm_list;
mod alarms;
mod ask_sheet;
mod baking;
pub(super) mod banner;
mod bar;
mod by_word;
pub(super) mod diagnostics;
mod forms;
mod gate_sheet;
mod gates;
mod header;
mod hosts;
mod listing;
pub(super) mod log;
mod markers;
mod mask;
mod matrix;
pub(super) mod packets;
mod paint;
mod present;
mod probes;
mod rollback_sheet;
mod sheet;
mod small;
mod timeline;
mod timer;
mod traffic;
mod updates;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::{Act, Context};
use super::theme::{Role, Theme};
use super::ui::{Pane, Sheet, Ui};
use crate::core::{View, schedule};
use crate::types::Time;
pub(super) use header::stamp;
use listing::Listing;
pub(super) use packets::chosen as packets_of;
pub(super) use paint::age;
use paint::{Canvas, Text, row};
use sheet::Paper;

/// The size from which on every region has its place.
const COMPLETE: (u16, u16) = (80, 24);
/// The size from which on three panes stand beside each other.
const WIDE: (u16, u16) = (110, 30);

/// Draws the screen: the only entry. Any size, any state; never panics.
pub fn render(view: &View, ui: &Ui, now: Time, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let mask = ui.present.then(|| mask::Mask::of(&view.state));
    let mut canvas = Canvas::new(buf, theme, mask);
    canvas.clear(area, Role::Plain);
    if area.width < COMPLETE.0 || area.height < COMPLETE.1 {
        let middle = small::draw(&mut canvas, view, ui, now, area);
        draw_sheet(&mut canvas, view, ui, now, middle);
        let line = row(area, area.height.saturating_sub(2));
        if area.height >= 4 {
            draw_line(&mut canvas, view, ui, now, line, line);
        }
        return;
    }
    let parts = Parts::of(ui, area);
    if ui.present {
        present::draw(&mut canvas, view, ui, now, parts.header);
    } else {
        header::draw(&mut canvas, view, ui, now, parts.header);
    }
    gates::draw(&mut canvas, view, now, parts.gates);
    // On a screen of few rows a banner may take the place of what is next.
    let tall = parts.banner.height > 1 || !banner::wants_room(view, now);
    let over = if tall { 0 } else { parts.activity.height };
    // And where there is no banner, what is under way has its place.
    let spare = if banner::of(view, now).is_none() { parts.banner.height } else { 0 };
    let lines = activity::lines(theme, view, now, usize::from(area.width));
    let count = (lines.len() as u16).min(parts.activity.height + spare);
    let place = Rect { y: parts.activity.bottom() - count, height: count, ..parts.activity };
    for (at, line) in lines.iter().take(usize::from(count)).enumerate() {
        canvas.text(row(place, at as u16), line);
    }
    let place = Rect { height: parts.banner.height + over, ..parts.banner };
    banner::draw(&mut canvas, view, ui, now, place);
    draw_panes(&mut canvas, view, ui, now, parts.body, parts.wide);
    if let Some(position) = &ui.replay {
        timeline::draw(&mut canvas, position, parts.timeline);
    }
    bar::draw(&mut canvas, view, now, parts.bar);
    draw_hints(&mut canvas, view, ui, now, parts.hints);
    draw_sheet(&mut canvas, view, ui, now, parts.body);
    draw_line(&mut canvas, view, ui, now, parts.hints, parts.body);
}

/// Where the panes are, for the operator's own terminal to draw the diagnostics over.
pub(super) fn body(ui: &Ui, area: Rect) -> Rect {
    if area.width < COMPLETE.0 || area.height < COMPLETE.1 {
        return Rect { height: 0, ..area };
    }
    Parts::of(ui, area).body
}

/// The regions of a screen that has room for all.
struct Parts {
    header: Rect,
    gates: Rect,
    banner: Rect,
    activity: Rect,
    body: Rect,
    timeline: Rect,
    bar: Rect,
    hints: Rect,
    wide: bool,
}

impl Parts {
    fn of(ui: &Ui, area: Rect) -> Self {
        let wide = area.width >= WIDE.0 && area.height >= WIDE.1;
        let two = if wide { 2 } else { 1 };
        let mut y = area.y;
        let mut take = |height: u16| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        };
        let header = take(if ui.present { present::HEIGHT } else { 2 });
        let gates = take(two);
        let banner = take(two);
        let activity = take(1);
        let replay = if ui.replay.is_some() { 2 } else { 0 };
        let above: u16 = header.height + gates.height + banner.height + activity.height;
        let body = take(area.height.saturating_sub(above + replay + 4));
        let timeline = take(replay);
        let bar = take(3);
        let hints = take(1);
        Self { header, gates, banner, activity, body, timeline, bar, hints, wide }
    }
}

fn listing(theme: &Theme, pane: Pane, view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let width = usize::from(area.width);
    match pane {
        Pane::Hosts => hosts::listing(theme, view, ui, now, area),
        Pane::Updates => updates::listing(theme, view, ui, now, width),
        Pane::Probes => probes::listing(theme, view, ui, now, area),
        Pane::Log => log::listing(view, ui, now, area),
        Pane::Markers => markers::listing(view, ui),
        Pane::Gates => gates::listing(theme, view, ui, now, width),
        Pane::Packets => packets::listing(view, ui, now, area),
        Pane::Matrix => matrix::listing(theme, view, ui, now, area),
        Pane::Alarms => alarm_list::listing(theme, view, ui, now),
        Pane::Diagnostics => Listing {
            title: Text::of(Role::Title, "diagnostics"),
            rows: vec![Text::of(Role::Dim, " these are shown on the operator's own terminal alone")],
            ..Listing::default()
        },
    }
}

fn draw_pane(canvas: &mut Canvas<'_>, pane: Pane, view: &View, ui: &Ui, now: Time, area: Rect) {
    let listing = listing(canvas.theme, pane, view, ui, now, area);
    listing.draw(canvas, area, ui.pane == pane);
}

fn draw_panes(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, body: Rect, wide: bool) {
    // A row of packets, of the matrix, or what an alarm says, wants the whole width of a small screen.
    let broad = matches!(ui.pane, Pane::Packets | Pane::Matrix | Pane::Alarms);
    if ui.zoom || ui.pane == Pane::Diagnostics || broad && !wide {
        draw_pane(canvas, ui.pane, view, ui, now, body);
        return;
    }
    let markers = if wide { 3 } else { 0 };
    let log = if wide { (body.height / 3).max(5) } else { 4 };
    let upper = Rect { height: body.height.saturating_sub(log + markers), ..body };
    let below = Rect { y: upper.bottom(), height: log, ..body };
    let hosts_width = 28;
    let left = Rect { width: hosts_width, ..upper };
    let rest = Rect { x: left.right() + 1, width: upper.width - hosts_width - 1, ..upper };
    draw_pane(canvas, Pane::Hosts, view, ui, now, left);
    let wall = Rect { x: left.right(), width: 1, y: upper.y + 1, height: upper.height.saturating_sub(1) };
    canvas.text(row(Rect { x: left.right(), width: 1, ..upper }, 0), &Text::of(Role::Line, "+"));
    canvas.wall(wall, '|', Role::Line);
    if wide && broad {
        draw_pane(canvas, ui.pane, view, ui, now, rest);
        let last = Rect { y: below.bottom(), height: markers, ..body };
        draw_pane(canvas, Pane::Log, view, ui, now, below);
        draw_pane(canvas, Pane::Markers, view, ui, now, last);
        return;
    }
    if wide {
        // With the focus it has room for what is seen from elsewhere.
        let (most, share) = if ui.pane == Pane::Probes { (56, 62) } else { (46, 51) };
        let probes_width = most.min(rest.width * share / 100);
        let middle = Rect { width: rest.width - probes_width - 1, ..rest };
        let right = Rect { x: middle.right() + 1, width: probes_width, ..rest };
        let first = if matches!(ui.pane, Pane::Gates) { Pane::Gates } else { Pane::Updates };
        draw_pane(canvas, first, view, ui, now, middle);
        draw_pane(canvas, Pane::Probes, view, ui, now, right);
        canvas.text(row(Rect { x: middle.right(), width: 1, ..upper }, 0), &Text::of(Role::Line, "+"));
        canvas.wall(Rect { x: middle.right(), ..wall }, '|', Role::Line);
        let last = Rect { y: below.bottom(), height: markers, ..body };
        draw_pane(canvas, Pane::Log, view, ui, now, below);
        draw_pane(canvas, Pane::Markers, view, ui, now, last);
        return;
    }
    let right = match ui.pane {
        Pane::Hosts | Pane::Log | Pane::Diagnostics => Pane::Updates,
        pane => pane,
    };
    draw_pane(canvas, right, view, ui, now, rest);
    draw_pane(canvas, Pane::Log, view, ui, now, below);
}

/// What the sheet on top says, where one is open that is a sheet.
fn paper(theme: &Theme, view: &View, ui: &Ui, now: Time, width: usize) -> Option<Paper> {
    let Some(sheet) = ui.sheets.last() else {
        return Some(ask_sheet::paper(view, &ui.asked(view)?, now, width));
    };
    Some(match sheet {
        Sheet::Help { scroll } => forms::help(&ui.keys, *scroll),
        Sheet::Gate(sheet) => gate_sheet::paper(theme, view, sheet, now, width),
        Sheet::Rollback(sheet) => rollback_sheet::paper(view, ui, sheet, now, width),
        Sheet::Waive(form) => forms::waive(view, form, width),
        Sheet::ByWord(form) => by_word::paper(view, form, now, width),
        Sheet::Mark(field) => forms::mark(field, width),
        Sheet::Palette(_) | Sheet::Filter(..) => return None,
    })
}

fn draw_sheet(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    if let Some(paper) = paper(canvas.theme, view, ui, now, Paper::width(area)) {
        paper.draw(canvas, area);
    }
}

/// The line that is typed in, where one is.
fn draw_line(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, place: Rect, above: Rect) {
    match ui.sheets.last() {
        Some(Sheet::Palette(field)) => {
            if above.height > 2 {
                forms::commands(canvas, view, field, now, above);
            }
            forms::line(canvas, ":", field, place);
        }
        Some(Sheet::Filter(pane, field)) => {
            forms::line(canvas, &format!("filter {} /", pane.name()), field, place);
        }
        _ => {}
    }
}

fn draw_hints(canvas: &mut Canvas<'_>, view: &View, ui: &Ui, now: Time, area: Rect) {
    if let Some(notice) = ui.notice(now) {
        canvas.text(area, &Text::of(Role::Strong, format!(" {notice}")));
        return;
    }
    let contexts: &[Context] = match ui.sheets.last() {
        Some(Sheet::Gate(sheet)) if sheet.answering() => &[],
        Some(Sheet::Gate(_)) => &[Context::Gate, Context::Screen],
        Some(Sheet::Rollback(_)) => &[Context::Rollback, Context::Screen],
        Some(Sheet::Help { .. }) => &[],
        Some(Sheet::Waive(_) | Sheet::ByWord(_) | Sheet::Mark(_) | Sheet::Palette(_) | Sheet::Filter(..)) => {
            &[]
        }
        None if ui.asked(view).is_some() => &[Context::Ask, Context::Screen],
        None if view.live => &[Context::Panes, Context::Screen],
        None => &[Context::Replay, Context::Panes, Context::Screen],
    };
    let works = |act: Act| match act {
        Act::Continue => view.live && schedule::next(&view.state).is_some(),
        Act::Mark => view.live,
        Act::Fold => ui.pane == Pane::Updates && view.live,
        Act::Follow => matches!(ui.pane, Pane::Log | Pane::Packets),
        Act::Acknowledge => {
            let banner = banner::of(view, now).filter(|_| view.live);
            banner.is_some_and(|banner| banner.role == Role::Alarm && !banner.seen(ui))
        }
        _ => true,
    };
    canvas.text(area, &forms::hints(ui, contexts, works, usize::from(area.width)));
}

/// How many rows a pane has, for its cursor.
pub(super) fn rows_in(pane: Pane, view: &View, ui: &Ui, now: Time) -> usize {
    // The theme has no say in how many rows there are.
    let plain = Theme::built_in("mono", super::ColorDepth::None);
    match pane {
        Pane::Probes => probes::count(view, ui, now),
        Pane::Log | Pane::Packets | Pane::Diagnostics => 0,
        Pane::Hosts | Pane::Updates | Pane::Markers | Pane::Gates | Pane::Matrix | Pane::Alarms => {
            listing(&plain, pane, view, ui, now, Rect::new(0, 0, 120, 36)).rows.len()
        }
    }
}

/// What `y` copies: the sheet on top, else the row under the cursor, else the pane.
pub(super) fn copied(view: &View, ui: &Ui, now: Time) -> String {
    let plain = Theme::built_in("mono", super::ColorDepth::None);
    let text = match paper(&plain, view, ui, now, 100) {
        Some(paper) => paper.plain(),
        // What a verdict says to look at next is what is wanted of its row.
        None if ui.pane == Pane::Probes && probes::next(view, ui, now).is_some() => {
            probes::next(view, ui, now).unwrap_or_default()
        }
        None => {
            let listing = listing(&plain, ui.pane, view, ui, now, Rect::new(0, 0, 200, 60));
            match listing.cursor.and_then(|at| listing.rows.get(at)) {
                Some(text) => text.plain().trim().to_owned(),
                None => listing.rows.iter().map(Text::plain).collect::<Vec<_>>().join("\n"),
            }
        }
    };
    if ui.present { mask::Mask::of(&view.state).apply(&text) } else { text }
}

#[cfg(test)]
mod tests;
