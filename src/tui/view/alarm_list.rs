//! The raised alarms, each on a row, the most important first: the banner shows one of them, or their number.

use super::alarms;
use super::listing::Listing;
use super::paint::{Text, age};
use crate::core::{View, alarm};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::{Pane, Ui};
use crate::types::{Time, Untrusted};

pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time) -> Listing {
    let state = &view.state;
    let filter = ui.filter(Pane::Alarms).map(str::to_lowercase);
    let ranked = alarm::ranked(state);
    let new = ranked.iter().filter(|(_, alarm)| alarm.acknowledged.is_none()).count();
    let all = ranked.iter().map(|(cause, alarm)| {
        let seen = alarm.acknowledged.is_some();
        let role = if seen { Role::Caution } else { Role::Alarm };
        let words = if seen { "acknowledged  " } else { "" };
        Text::of(role, format!(" {} ", theme.glyph(role)))
            .add(Role::LogTime, format!("{} ", alarm.since.format("%H:%M:%SZ")))
            .cell(Role::Dim, &age(alarm.since, now), 5)
            .add(Role::Dim, format!(" {words}"))
            .add(Role::Plain, alarms::fact(state, cause, alarm, now).0)
    });
    let fits = |row: &Text| filter.as_ref().is_none_or(|filter| row.plain().to_lowercase().contains(filter));
    let mut rows: Vec<Text> = all.filter(fits).collect();
    let mut title = Text::of(Role::Title, format!("alarms  {}, {new} not acknowledged", ranked.len()));
    title.push(Role::Dim, format!("  {} raised in ten minutes", alarm::lately(state, now)));
    if let Some(filter) = ui.filter(Pane::Alarms) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    if rows.is_empty() {
        rows.push(Text::of(Role::Dim, " none"));
    }
    let cursor = (ui.pane == Pane::Alarms).then(|| ui.cursor(Pane::Alarms).min(rows.len() - 1));
    Listing { title, rows, cursor, ..Listing::default() }
}
