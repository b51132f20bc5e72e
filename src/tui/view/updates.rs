//! A host's updates against what was rehearsed: what is new stands first, what is the same folds
//! away.

use super::listing::Listing;
use super::paint::{Text, cut_version};
use crate::core::change::Standing;
use crate::core::risk;
use crate::core::standing::{self, Row};
use crate::core::state::Host;
use crate::core::{State, View};
use crate::facts::{Fact, KeptWhy};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::{Pane, Ui};
use crate::types::Time;

pub(super) fn role(standing: Standing) -> Role {
    match standing {
        Standing::Same => Role::Same,
        Standing::OtherFrom => Role::OtherFrom,
        Standing::Newer => Role::Newer,
        Standing::Older => Role::Older,
        Standing::Untested => Role::Untested,
        Standing::Missing => Role::Missing,
        Standing::Kept => Role::Kept,
    }
}

fn kept(why: KeptWhy) -> &'static str {
    match why {
        KeptWhy::Hold => "hold",
        KeptWhy::Pin => "pin",
        KeptWhy::Phased => "phased",
        KeptWhy::Dependency => "dependency",
    }
}

/// A row of the pane: an update, or the line that stands for those that are folded away.
enum Shown {
    Update(Row),
    Folded(usize),
}

fn shown(ui: &Ui, rows: Vec<Row>) -> Vec<Shown> {
    let filter = ui.filter(Pane::Updates).map(str::to_lowercase);
    let fits = |row: &Row| {
        filter.as_ref().is_none_or(|filter| {
            row.package.to_string().contains(filter.as_str())
                || row.standing.word().to_lowercase().contains(filter.as_str())
                || (row.security && "security".contains(filter.as_str()))
                || (row.way_back.is_no_return() && ONE_WAY.to_lowercase().contains(filter.as_str()))
                || row.kept.is_some_and(|why| kept(why).contains(filter.as_str()))
        })
    };
    let fold = filter.is_none() && !ui.unfolded;
    let mut list = Vec::new();
    let mut folded = 0;
    for row in rows.into_iter().filter(fits) {
        if fold && row.standing == Standing::Same && !row.left && !row.way_back.is_no_return() {
            folded += 1;
        } else {
            list.push(Shown::Update(row));
        }
    }
    if folded > 0 {
        list.push(Shown::Folded(folded));
    }
    list
}

fn title(state: &State, host: &Host, now: Time) -> Text {
    let mut title = Text::of(Role::KeyName, "[2]").add(Role::Title, format!(" {}", host.name));
    if host.baseline {
        title.push(Role::Title, ": what is rehearsed here");
    } else {
        match &state.rehearsal {
            Some(rehearsal) => {
                let at = rehearsal.at.format("%m-%d");
                title.push(Role::Title, format!(", rehearsed {} {at}", rehearsal.baseline));
            }
            None => {
                let reference = state.plan.as_ref().and_then(|plan| plan.reference());
                let name = reference.map_or_else(|| "no baseline".to_owned(), ToString::to_string);
                title.push(Role::Warn, format!(" against {name}, NOT REHEARSED"));
            }
        }
    }
    if let Some(aged) = &host.facts.updates {
        title.push(Role::Dim, format!("  age {}", super::paint::age(aged.at, now)));
    }
    title
}

pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time, width: usize) -> Listing {
    let state = &view.state;
    let Some(host) = ui.host(view).and_then(|name| state.hosts.get(&name)) else {
        return Listing {
            title: Text::of(Role::KeyName, "[2]").add(Role::Title, " updates"),
            rows: vec![Text::of(Role::Unknown, " no host is known yet")],
            ..Listing::default()
        };
    };
    let mut title = title(state, host, now);
    if let Some(filter) = ui.filter(Pane::Updates) {
        title.push(Role::Warn, format!("  /{}", crate::types::Untrusted::new(filter).shown()));
    }
    let Some(rows) = standing::rows(state, host) else {
        let why = match host.facts.updates.as_ref().map(|aged| &aged.fact) {
            Some(Fact::Unknown(why)) => why.shown(),
            Some(Fact::Known(_)) | None => match (&host.read_failed, host.reading) {
                (_, Some(_)) => "the host is being read".to_owned(),
                (Some((_, failure)), None) => failure.what.shown(),
                (None, None) => "the host was not read yet".to_owned(),
            },
        };
        let rows = super::paint::wrap(&format!("unknown: {why}"), width.saturating_sub(2));
        let rows = rows.into_iter().map(|line| Text::of(Role::Unknown, format!(" {line}"))).collect();
        return Listing { title, rows, ..Listing::default() };
    };
    let foot = foot(state, host, &rows);
    let shown = shown(ui, rows);
    let widths = Widths::of(&shown, width);
    let tested = if widths.0[3] < 9 { "reh." } else { "rehearsed" };
    let head = widths.line(Role::Dim, ["package", "now", "to", tested]).add(Role::Dim, "standing");
    let rows: Vec<Text> = shown.iter().map(|row| line(theme, row, &widths)).collect();
    let cursor =
        (ui.pane == Pane::Updates).then(|| ui.cursor(Pane::Updates).min(rows.len().saturating_sub(1)));
    let rows = if rows.is_empty() { vec![Text::of(Role::Dim, " nothing is pending")] } else { rows };
    Listing { title, head: Some(head), rows, cursor, foot: Some(foot), ..Listing::default() }
}

/// Columns: what the texts want, shared out where there is less.
struct Widths([usize; 4]);

/// What a column keeps before the package's name gives way.
const VERSION: usize = 6;
/// What a standing and its reason take at most; the rest of the reason is cut.
const REASON: usize = 13;
/// Beside the standing of what has no way back.
const ONE_WAY: &str = "NO RETURN";
/// What the package's name keeps.
const NAME: usize = 12;

impl Widths {
    fn of(rows: &[Shown], width: usize) -> Self {
        let mut want = [7, 5, 5, 4];
        let mut standing = 8;
        for row in rows {
            let Shown::Update(row) = row else { continue };
            let texts = texts(row);
            for (column, text) in want.iter_mut().zip(texts) {
                *column = (*column).max(text.chars().count().min(40));
            }
            let kept = row.kept.map_or(0, |why| 5 + kept(why).len());
            let one_way = if row.way_back.is_no_return() { ONE_WAY.len() + 1 } else { 0 };
            standing = standing.max(row.standing.word().len() + one_way).max(kept.min(REASON));
        }
        // Spaces between columns, the badge, a glyph and the standing's word.
        let mut room = width.saturating_sub(standing + 9);
        // Where names would be cut to nothing, what is there now gives way whole: what comes, and what was
        // rehearsed, say more. Zoomed, or on a wider screen, it is back.
        if want[0].min(NAME) + 3 * VERSION > room {
            want[1] = 0;
            room += 1;
        }
        while want.iter().sum::<usize>() > room {
            // Versions give way first (they are cut to what differs), then the name, then all.
            let widest = (1..4).filter(|at| want[*at] > VERSION).max_by_key(|at| want[*at]);
            let narrow = widest.or((want[0] > NAME).then_some(0)).or((0..4).max_by_key(|at| want[*at]));
            match narrow {
                Some(at) if want[at] > 3 => want[at] -= 1,
                _ => break,
            }
        }
        if want[3] < 9 && want.iter().sum::<usize>() + 9 - want[3] <= room {
            want[3] = 9;
        }
        Self(want)
    }

    fn line(&self, role: Role, texts: [&str; 4]) -> Text {
        let mut line = Text::of(role, " ");
        for (at, text) in texts.into_iter().enumerate().filter(|(at, _)| self.0[*at] > 0) {
            line = line.cell(role, text, self.0[at]).add(role, " ");
        }
        line.add(role, "  ")
    }
}

fn texts(row: &Row) -> [String; 4] {
    let version = |version: &Option<crate::types::Version>| {
        version.as_ref().map_or("-".to_owned(), ToString::to_string)
    };
    let from = row.from.as_ref().map_or("new".to_owned(), ToString::to_string);
    // What was rehearsed is said where it is another version than the one on offer.
    let rehearsed = match (&row.offered, &row.rehearsed) {
        (Some(offered), Some(rehearsed)) if offered == rehearsed => "=".to_owned(),
        (_, rehearsed) => version(rehearsed),
    };
    [row.package.name.to_string(), from, version(&row.offered), rehearsed]
}

fn line(theme: &Theme, row: &Shown, widths: &Widths) -> Text {
    let row = match row {
        Shown::Folded(n) => {
            return Text::of(Role::Same, format!(" {n} SAME, folded")).add(Role::Dim, " (space)");
        }
        Shown::Update(row) => row,
    };
    let role = if row.left { Role::PutOff } else { role(row.standing) };
    let quiet = matches!(row.standing, Standing::Same | Standing::Kept) || row.left;
    let ink = if quiet { Role::Dim } else { Role::Plain };
    let texts = texts(row);
    let mut line = Text::of(ink, " ");
    for (at, text) in texts.iter().enumerate().filter(|(at, _)| widths.0[*at] > 0) {
        let ink = if at == 0 && !quiet { Role::Strong } else { ink };
        let width = widths.0[at];
        let text = match at {
            0 => text.clone(),
            1 => cut_version(text, &texts[2], width),
            // NEWER and OLDER stand beside what was rehearsed, the others beside what is there.
            2 if texts[3].len() > 1 => cut_version(text, &texts[3], width),
            2 => cut_version(text, &texts[1], width),
            _ => cut_version(text, &texts[2], width),
        };
        line = line.cell(ink, &text, width).add(ink, " ");
    }
    let badge = if row.security { theme.glyph(Role::Security) } else { " " };
    let word = match (row.left, row.kept) {
        (true, _) => format!("{} next window", theme.word(Role::PutOff)),
        (false, Some(why)) => format!("{} {}", theme.word(Role::Kept), kept(why)),
        (false, None) => theme.word(role).to_owned(),
    };
    let line = line.cell(Role::Security, badge, 2).add(role, format!("{} {word}", theme.glyph(role)));
    if row.way_back.is_no_return() { line.add(Role::NotReady, format!(" {ONE_WAY}")) } else { line }
}

fn foot(state: &State, host: &Host, rows: &[Row]) -> Text {
    let pending = rows.iter().filter(|row| row.offered.is_some() && row.kept.is_none()).count();
    let mut text = Text::of(
        Role::Plain,
        format!(" {}{}", super::activity::changes(pending), if rows.is_empty() { "" } else { ":" }),
    );
    let kinds = [
        Standing::Untested,
        Standing::Newer,
        Standing::Older,
        Standing::OtherFrom,
        Standing::Missing,
        Standing::Same,
        Standing::Kept,
    ];
    for standing in kinds {
        let n = rows.iter().filter(|row| row.standing == standing).count();
        if n > 0 {
            text.push(role(standing), format!(" {n} {}", standing.word()));
        }
    }
    if let Some(changes) = standing::changes(state, host).filter(|changes| !changes.is_empty()) {
        text.push(Role::Dim, format!("  risk {:.1}%", risk::of(&changes) * 100.0));
    }
    let security = rows.iter().filter(|row| row.security).count();
    if security > 0 {
        text.push(Role::Security, format!("  {security} security"));
    }
    text
}
