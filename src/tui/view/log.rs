//! The log: what operations print and what holdpoint says of hosts. Only the lines in sight are
//! formatted.

use super::listing::Listing;
use super::paint::Text;
use crate::core::View;
use crate::core::event::{LogLine, LogSource};
use crate::core::state::tenths;
use crate::tui::theme::Role;
use crate::tui::ui::{Pane, Ui};
use crate::types::{HostName, Time, Untrusted};

/// Lines that the pane shows, the newest first, from a number of pushed lines backwards.
fn lines<'v>(view: &'v View, ui: &Ui, until: u64) -> impl Iterator<Item = &'v LogLine> + use<'v> {
    let log = &view.state.log;
    let newer = log.pushed().saturating_sub(until) as usize;
    let host: Option<HostName> = if ui.log.all { None } else { ui.host(view) };
    let filter = ui.filter(Pane::Log).map(str::to_lowercase);
    log.iter().rev().skip(newer).filter(move |line| {
        host.as_ref().is_none_or(|host| line.host == *host)
            && filter.as_ref().is_none_or(|filter| line.text.raw().to_lowercase().contains(filter.as_str()))
    })
}

/// How many lines there are to go back through.
pub(in crate::tui) fn count(view: &View, ui: &Ui, until: u64) -> usize {
    lines(view, ui, until).count()
}

pub(super) fn listing(view: &View, ui: &Ui, now: Time, height: usize) -> Listing {
    let (until, back) = ui.log.still.unwrap_or((view.state.log.pushed(), 0));
    let mut rows: Vec<Text> = lines(view, ui, until).skip(back).take(height.max(1)).map(line).collect();
    rows.reverse();
    let of = match (ui.log.all, ui.host(view)) {
        (false, Some(host)) => host.to_string(),
        (true, _) | (false, None) => "all hosts".to_owned(),
    };
    let mut title = Text::of(Role::KeyName, "[4]").add(Role::Title, format!(" log {of}"));
    match ui.log.still {
        None => title.push(Role::Good, "  follow"),
        Some((until, back)) => {
            let newer = view.state.log.pushed().saturating_sub(until);
            title.push(Role::Warn, format!("  still, {back} back, {newer} newer"));
            title = title.add(Role::KeyName, "  f").add(Role::Dim, "=follow");
        }
    }
    let shown = if ui.log.all { None } else { ui.host(view) };
    if let Some((role, words)) = shown.and_then(|host| errors(view, &host, now)) {
        title.push(role, words);
    }
    if let Some(filter) = ui.filter(Pane::Log) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    if view.state.log_left_out > 0 {
        title.push(Role::Dim, format!("  {} lines left out", view.state.log_left_out));
    }
    if rows.is_empty() {
        rows.push(Text::of(Role::Dim, " no lines"));
    }
    Listing { title, rows, ..Listing::default() }
}

/// The last part of a path: the whole of it leaves no room for what the line says.
fn file_name(path: &Untrusted) -> String {
    let shown = path.shown();
    shown.rsplit('/').next().unwrap_or_default().to_owned()
}

/// How often lines of a host tell of errors, against before the window; `None` while that isn't known.
fn errors(view: &View, host: &HostName, now: Time) -> Option<(Role, String)> {
    let logs = view.state.logs.get(host)?;
    if let Some(why) = &logs.unseen {
        return Some((Role::Unknown, format!("  logs not seen: {}", why.shown())));
    }
    let lately = logs.errors_now(now)?;
    let role = if logs.many_errors(None, now) { Role::Warn } else { Role::Dim };
    let before = match logs.errors_before(now) {
        Some(before) => tenths(before),
        None => "?".to_owned(),
    };
    Some((role, format!("  errors {lately}/min (before {before})")))
}

fn line(line: &LogLine) -> Text {
    let by = line.by.as_ref().map(|by| format!("{}: ", by.shown())).unwrap_or_default();
    let (host, ink, from) = match &line.source {
        LogSource::Operation(_) => (Role::LogHost, Role::Plain, String::new()),
        LogSource::Holdpoint => (Role::LogOwn, Role::LogOwn, "holdpoint: ".to_owned()),
        LogSource::Journal => (Role::LogHost, Role::Plain, by),
        LogSource::File(path) => (Role::LogHost, Role::Plain, format!("{}: ", file_name(path))),
    };
    // A word as well as a colour.
    let (ink, from) = if line.error { (Role::Warn, format!("ERR {from}")) } else { (ink, from) };
    Text::of(Role::LogTime, format!(" {} ", line.at.format("%H:%M:%S%.3fZ")))
        .cell(host, line.host.as_str(), 8)
        .add(Role::Plain, " ")
        .add(ink, format!("{from}{}", line.text.shown()))
}
