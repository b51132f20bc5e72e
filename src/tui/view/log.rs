//! The log: what operations print and what holdpoint says of hosts. Only the lines in sight are
//! formatted.

use ratatui::layout::Rect;

use super::listing::Listing;
use super::paint::{Text, wrap};
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
            && filter.as_ref().is_none_or(|filter| said(line).to_lowercase().contains(filter.as_str()))
    })
}

/// Everything that a line's row says, and what its text begins with.
fn said(shown: &LogLine) -> String {
    format!("{} {} {}", line(shown, false, 120).plain(), shown.host, shown.text.shown())
}

/// How many lines there are to go back through.
pub(in crate::tui) fn count(view: &View, ui: &Ui, until: u64) -> usize {
    lines(view, ui, until).count()
}

pub(super) fn listing(view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let (width, height) = (usize::from(area.width), usize::from(area.height.saturating_sub(1)).max(1));
    let (until, back) = ui.log.still.unwrap_or((view.state.log.pushed(), 0));
    let mut shown: Vec<&LogLine> = lines(view, ui, until).skip(back).take(height).collect();
    // Where it stands still the newest line is there as a whole, as far as there is room for it.
    let mut whole = ui.log.still.and_then(|_| shown.first()).map_or_else(Vec::new, |line| whole(line, width));
    let room = height.saturating_sub(1);
    if whole.len() > room {
        whole.truncate(room);
        whole.last_mut().into_iter().for_each(|last| last.push_str(" ~"));
    }
    shown.truncate(height - whole.len());
    shown.reverse();
    let cursor = ui.log.still.and_then(|_| shown.len().checked_sub(1));
    let host = ui.log.all || ui.host(view).is_none();
    let mut rows: Vec<Text> = shown.into_iter().map(|shown| line(shown, host, width)).collect();
    rows.extend(whole.iter().map(|piece| Text::of(Role::Plain, format!("   {piece}"))));
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
    if let Some((role, words)) = shown.as_ref().and_then(|host| errors(view, host, now)) {
        title.push(role, words);
    }
    if let Some(filter) = ui.filter(Pane::Log) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    title.push(Role::Dim, left_out(view, shown.as_ref()));
    if rows.is_empty() {
        rows.push(Text::of(Role::Dim, " no lines"));
    }
    Listing { title, rows, cursor, ..Listing::default() }
}

/// What a line has no room for on its row: all of it on rows of its own, not more than it needs.
fn whole(shown: &LogLine, width: usize) -> Vec<String> {
    if line(shown, false, width).width() <= width {
        return Vec::new();
    }
    wrap(&shown.text.shown(), width.saturating_sub(5))
}

/// How many lines are missing: those that were left out on that host, or on all, and those that came here and
/// were too many.
fn left_out(view: &View, host: Option<&HostName>) -> String {
    let logs = view.state.logs.iter().filter(|(name, _)| host.is_none_or(|host| host == *name));
    let there: u64 = logs.map(|(_, logs)| logs.left_out).sum();
    let on = host.map_or("the hosts", HostName::as_str);
    let mut words = match there {
        0 => String::new(),
        there => format!("  {there} lines left out on {on}"),
    };
    if view.state.log_left_out > 0 {
        words.push_str(&format!("  {} left out here", view.state.log_left_out));
    }
    words
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

/// A row: with its host where they are of several, with milliseconds where there is room for them.
fn line(line: &LogLine, host: bool, width: usize) -> Text {
    let by = line.by.as_ref().map(|by| format!("{}: ", by.shown())).unwrap_or_default();
    let text = line.text.shown();
    let (name, ink, from, text) = match &line.source {
        LogSource::Operation(_) => (Role::LogHost, Role::Plain, String::new(), text.as_str()),
        LogSource::Holdpoint => (Role::LogOwn, Role::LogOwn, "holdpoint: ".to_owned(), text.as_str()),
        LogSource::Journal => (Role::LogHost, Role::Plain, by, text.as_str()),
        LogSource::File(path) => {
            (Role::LogHost, Role::Plain, format!("{}: ", file_name(path)), unstamped(&text))
        }
    };
    // A word as well as a colour.
    let (ink, from) = if line.error { (Role::Warn, format!("ERR {from}")) } else { (ink, from) };
    let time = if width >= 100 { "%H:%M:%S%.3fZ" } else { "%H:%M:%SZ" };
    let mut row = Text::of(Role::LogTime, format!(" {} ", line.at.format(time)));
    if host {
        row = row.cell(name, line.host.as_str(), 8).add(Role::Plain, " ");
    }
    row.add(ink, format!("{from}{text}"))
}

/// A line of a file without the date and time that it begins with: the row has when it came, and little room.
fn unstamped(text: &str) -> &str {
    let is = |pattern: &[u8]| {
        let fits = |(seen, wanted): (&u8, &u8)| match wanted {
            b'0' => seen.is_ascii_digit(),
            b'-' => matches!(seen, b'-' | b'/'),
            b' ' => matches!(seen, b' ' | b'T'),
            wanted => seen == wanted,
        };
        text.len() > pattern.len() && text.as_bytes().iter().zip(pattern).all(fits)
    };
    if !is(b"0000-00-00 00:00:00") {
        return text;
    }
    // Its fraction and its offset.
    text.split_once(':').and_then(|(_, rest)| rest.split_once(' ')).map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Samples;
    use crate::tui::sample::Sample;

    #[test]
    fn a_date_and_time_that_a_line_begins_with_is_left_out() {
        for (line, rest) in [
            ("2026/11/21 23:12:44 [error] 612#612: *13 x", "[error] 612#612: *13 x"),
            ("2026-11-21 23:12:44.123 UTC [7] ERROR:  x", "UTC [7] ERROR:  x"),
            ("2026-11-21T23:12:44.123456+01:00 web1 x", "web1 x"),
            ("2026/11/21 23:12:44", "2026/11/21 23:12:44"),
            ("2026/11/21 23:12:4x y z", "2026/11/21 23:12:4x y z"),
            ("127.0.0.1 - - [21/Nov/2026:23:12:44 +0000] x", "127.0.0.1 - - [21/Nov/2026:23:12:44 +0000] x"),
            ("\u{e4}\u{e4}26/11/21 23:12:44 x", "\u{e4}\u{e4}26/11/21 23:12:44 x"),
            ("", ""),
        ] {
            assert_eq!(unstamped(line), rest, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_cut_is_told_as_a_whole() {
        let said = |text: String| {
            let at = "2026-11-21T22:00:00Z".parse().expect("a time");
            let source = LogSource::File("/var/log/nginx/error.log".into());
            LogLine { error: true, ..LogLine::new("web1".parse().expect("a host"), source, at, text.into()) }
        };
        let short = said("2026/11/21 22:00:00 [error] x".to_owned());
        assert_eq!(line(&short, false, 80).plain(), " 22:00:00Z ERR error.log: [error] x");
        assert_eq!(line(&short, true, 120).plain(), " 22:00:00.000Z web1     ERR error.log: [error] x");
        assert_eq!(whole(&short, 80), Vec::<String>::new());
        let long = format!("2026/11/21 22:00:00 [error] {}", "upstream ".repeat(12));
        assert_eq!(whole(&said(long.clone()), 80).join(" ").trim(), long.trim());
    }

    /// A window of a moment before, with lines of a host's own logs.
    fn with(lines: Vec<(LogSource, &str, String)>) -> (Sample, Ui) {
        let mut sample = Sample::applying();
        for (source, by, text) in lines {
            let by = (!by.is_empty()).then(|| by.into());
            let line = LogLine {
                by,
                ..LogLine::new("web3".parse().expect("a host"), source, sample.now, text.into())
            };
            sample.samples(Samples { lines: vec![line], ..Samples::default() });
        }
        let mut ui = Ui::default();
        ui.log.all = true;
        (sample, ui)
    }

    #[test]
    fn a_filter_looks_at_all_that_a_row_says() {
        let file = LogSource::File("/var/log/nginx/error.log".into());
        let (sample, mut ui) = with(vec![
            (LogSource::Journal, "systemd-networkd", "eth0: lost carrier".to_owned()),
            (file, "", "2026/11/21 02:28:00 [error] upstream".to_owned()),
        ]);
        for (filter, found) in [
            ("networkd", 1),
            ("NETWORKD: eth0", 1),
            ("error.log", 1),
            ("error.log: [error]", 1),
            ("2026/11/21", 1),
            ("web3", 1),
            ("nobody", 0),
        ] {
            ui.filters.insert(Pane::Log, filter.to_owned());
            let count = count(&sample.view(), &ui, sample.state.log.pushed());
            assert!(if found > 0 { count >= found } else { count == 0 }, "{filter}: {count}");
        }
    }

    #[test]
    fn the_whole_of_the_newest_line_is_there_where_it_has_room_and_a_sign_where_not() {
        let long = format!("{}its end", "upstream timed out ".repeat(40));
        let (sample, mut ui) = with(vec![(LogSource::Journal, "nginx", long)]);
        ui.log.still = Some((sample.state.log.pushed(), 0));
        let rows = |height| {
            let listing = listing(&sample.view(), &ui, sample.now, Rect::new(0, 0, 80, height));
            assert!(
                listing.rows.len() < usize::from(height)
                    && listing.rows.iter().all(|row| row.width() <= 80 || row.plain().contains("nginx"))
            );
            listing.rows.last().expect("rows").plain()
        };
        assert!(rows(15).ends_with("its end"), "{}", rows(15));
        assert!(rows(4).ends_with(" ~"), "{}", rows(4));
    }

    #[test]
    fn lines_that_are_missing_are_counted_in_the_title() {
        let (mut sample, mut ui) = with(Vec::new());
        let title = |sample: &Sample, ui: &Ui| {
            listing(&sample.view(), ui, sample.now, Rect::new(0, 0, 120, 9)).title.plain()
        };
        assert!(!title(&sample, &ui).contains("left out"));
        for (host, count) in [("web3", 1_200), ("web1", 34)] {
            sample.state.logs.entry(host.parse().expect("a host")).or_default().left_out = count;
        }
        assert!(
            title(&sample, &ui).ends_with("  1234 lines left out on the hosts"),
            "{}",
            title(&sample, &ui)
        );
        sample.state.log_left_out = 7;
        ui.log.all = false;
        let host = ui.host(&sample.view()).expect("a host");
        assert_eq!(host.as_str(), "web3");
        assert!(
            title(&sample, &ui).ends_with("  1200 lines left out on web3  7 left out here"),
            "{}",
            title(&sample, &ui)
        );
    }
}
