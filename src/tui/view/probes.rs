//! The probes: customer by customer what the newest attempts said, how it was before the window,
//! and how old that is. What fails stands first.

use ratatui::layout::Rect;

use super::banner::failing_since;
use super::listing::{Listing, near};
use super::paint::{Text, age};
use super::traffic;
use crate::core::View;
use crate::core::effect::is_made;
use crate::core::event::{ProbeId, ProbeOutcome, Vantage};
use crate::core::state::{Health, ProbeState};
use crate::core::verdict::{self, Differs, Verdict};
use crate::plan::{ProbeTarget, VantageKind};
use crate::tui::theme::{Role, Theme};
use crate::tui::ui::{Pane, Ui};
use crate::types::{CustomerName, Time, Untrusted};

/// A target in short, as the plan writes it.
pub(super) fn target(target: &ProbeTarget) -> String {
    match target {
        ProbeTarget::Ping => "ping".to_owned(),
        ProbeTarget::Tcp { port } => format!("tcp:{port}"),
        ProbeTarget::Tls { port, .. } => format!("tls:{port}"),
        ProbeTarget::Http { tls, port, .. } => format!("{}:{port}", if *tls { "https" } else { "http" }),
        ProbeTarget::Dns { .. } => "dns".to_owned(),
        ProbeTarget::Postgres { database } => format!("postgres:{}", Untrusted::new(database).shown()),
        ProbeTarget::Exec { argv } => {
            format!("exec:{}", Untrusted::new(argv.first().map_or("", String::as_str)).shown())
        }
    }
}

fn role(health: Health) -> Role {
    match health {
        Health::Ok => Role::ProbeOk,
        Health::Shaky => Role::ProbeShaky,
        Health::Fail => Role::ProbeFail,
        Health::Unknown => Role::ProbeUnknown,
    }
}

/// A probe with what it says, worked out once.
struct Listed<'v> {
    id: &'v ProbeId,
    probe: &'v ProbeState,
    made: bool,
    health: Health,
    /// It answers, and something is otherwise: than before, or seen from elsewhere.
    differs: bool,
    /// That is so until something is done about it.
    lasts: bool,
}

/// The probes in the order in which they are listed.
fn ordered<'v>(view: &'v View, ui: &Ui, now: Time) -> Vec<Listed<'v>> {
    let filter = ui.filter(Pane::Probes).map(str::to_lowercase);
    let fits = |id: &ProbeId, probe: &ProbeState| {
        filter.as_ref().is_none_or(|filter| {
            id.customer.as_str().to_lowercase().contains(filter.as_str())
                || target(&probe.probe.target).to_lowercase().contains(filter.as_str())
        })
    };
    let all = view.state.probes.iter().map(|(id, probe)| (id, probe.as_ref()));
    let listed = |(id, probe): (&'v ProbeId, &'v ProbeState)| {
        let differs = verdict::differs(&view.state, probe, now).unwrap_or_default();
        Listed {
            id,
            probe,
            made: is_made(&probe.probe),
            health: probe.health(now),
            differs: !differs.is_empty(),
            lasts: differs.iter().any(Differs::lasts),
        }
    };
    let mut list: Vec<_> = all.filter(|(id, probe)| fits(id, probe)).map(listed).collect();
    // They come by customer and stay so where these are the same. One late attempt moves no row.
    list.sort_by_key(|listed| (!(listed.made && listed.health == Health::Fail), !listed.made, !listed.lasts));
    list
}

pub(super) fn listing(theme: &Theme, view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let width = usize::from(area.width);
    let list = ordered(view, ui, now);
    let mut title = Text::of(Role::KeyName, "[3]").add(Role::Title, " probes");
    let newest = list.iter().filter_map(|listed| listed.probe.last()).map(|(at, _)| *at).max();
    match (newest, view.state.probing) {
        (Some(at), Some(_)) => title.push(Role::Dim, format!("  age {}", age(at, now))),
        (Some(at), None) => {
            title.push(Role::Unknown, format!("  NOT PROBING, age {}", age(at, now)));
        }
        (None, _) => title.push(Role::Unknown, "  nothing seen yet"),
    }
    if let Some(filter) = ui.filter(Pane::Probes) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    let name = list.iter().map(|listed| listed.id.customer.as_str().len()).max().unwrap_or(8).clamp(8, 16);
    let cursor = (ui.pane == Pane::Probes).then(|| ui.cursor(Pane::Probes).min(list.len().saturating_sub(1)));
    let sight = near(cursor.unwrap_or(0), usize::from(area.height));
    if traffic::is_known(view) && !list.is_empty() {
        let columns = Columns::of(&list, name, width);
        let row = |(at, listed): (usize, &Listed<'_>)| match sight.contains(&at) {
            true => columns.row(theme, view, listed, now),
            false => Text::new(),
        };
        let rows = list.iter().enumerate().map(row).collect();
        let foot = Some(foot(view, &list, cursor, now, width));
        return Listing { title, head: Some(columns.head()), rows, cursor, foot, ..Listing::default() };
    }
    // Three spaces, outside 10, ms 4, two spaces, before 6, age 4: 29 beside these two.
    let name = name.min(width.saturating_sub(29 + 7).max(6));
    let what = width.saturating_sub(name + 29).clamp(6, 14);
    let head = Text::of(Role::Dim, " ")
        .cell(Role::Dim, "customer", name + 1)
        .cell(Role::Dim, "probe", what + 1)
        .cell(Role::Dim, "outside", 10)
        .right(Role::Dim, "ms", 4)
        .add(Role::Dim, "  ")
        .cell(Role::Dim, "before", 6)
        .right(Role::Dim, "age", 4);
    let rows: Vec<Text> = list
        .iter()
        .enumerate()
        .map(|(at, listed)| {
            if !sight.contains(&at) {
                return Text::new();
            }
            let Listed { id, probe, .. } = listed;
            let (role, word, took) = result(theme, listed, now);
            let before = match probe.own.before {
                Some(true) => (Role::Dim, "ok"),
                Some(false) => (Role::Warn, "FAIL"),
                None => (Role::Dim, "-"),
            };
            let age = probe.last().map_or("-".to_owned(), |(at, _)| age(*at, now));
            let ink = if role == Role::ProbeFail { Role::Strong } else { Role::Plain };
            Text::of(ink, " ")
                .cell(ink, id.customer.as_str(), name)
                .add(ink, " ")
                .cell(ink, &target(&probe.probe.target), what)
                .add(ink, " ")
                .cell(role, &format!("{} {word}", theme.glyph(role)), 10)
                .right(Role::Plain, &took, 4)
                .add(Role::Plain, "  ")
                .cell(before.0, before.1, 6)
                .right(Role::Dim, &age, 4)
        })
        .collect();
    let rows = if rows.is_empty() {
        vec![
            Text::of(Role::Warn, " the plan names no probe: nothing here tells whether"),
            Text::of(Role::Warn, " customers are served"),
        ]
    } else {
        rows
    };
    Listing {
        title,
        head: Some(head),
        rows,
        cursor,
        foot: Some(foot(view, &list, cursor, now, width)),
        ..Listing::default()
    }
}

/// Where packets are captured: what is seen from outside and inside, and what came of it on the wire.
struct Columns {
    name: usize,
    what: usize,
    inside: bool,
    before: bool,
}

impl Columns {
    /// Outside with its milliseconds, and its space.
    const OUTSIDE: usize = 10;
    const INSIDE: usize = 8;
    /// How it was before the window, and the age.
    const BEFORE: usize = 13;

    fn of(list: &[Listed<'_>], name: usize, width: usize) -> Self {
        let least = 1 + 8 + 1 + 7 + Self::OUTSIDE + 1 + traffic::WIDTH;
        let mut room = width.saturating_sub(least);
        let mut take = |wanted: bool, columns: usize| {
            let fits = wanted && room >= columns;
            room -= if fits { columns } else { 0 };
            fits
        };
        let inside = list.iter().any(|listed| listed.probe.others.contains_key(&Vantage::Inside));
        let (inside, before) = (take(inside, Self::INSIDE), take(true, Self::BEFORE));
        let more = room.min(name.saturating_sub(8));
        Self { name: 8 + more, what: (7 + room - more).min(14), inside, before }
    }

    fn head(&self) -> Text {
        let mut text = Text::of(Role::Dim, " ")
            .cell(Role::Dim, "customer", self.name + 1)
            .cell(Role::Dim, "probe", self.what + 1)
            .cell(Role::Dim, "outside", Self::OUTSIDE);
        if self.inside {
            text = text.cell(Role::Dim, "inside", Self::INSIDE);
        }
        text = text.cell(Role::Dim, "packets", traffic::WIDTH);
        match self.before {
            true => text.add(Role::Dim, "  before  age"),
            false => text,
        }
    }

    fn row(&self, theme: &Theme, view: &View, listed: &Listed<'_>, now: Time) -> Text {
        let Listed { id, probe, .. } = listed;
        let (role, word, took) = result(theme, listed, now);
        let ink = if role == Role::ProbeFail { Role::Strong } else { Role::Plain };
        let with_time = |role: Role, word: &str, took: &str| {
            let took = if role == Role::ProbeOk && took != "-" { format!(" {took}") } else { String::new() };
            format!("{} {word}{took}", theme.glyph(role))
        };
        let plan = view.state.plan.as_ref();
        let customer = plan.and_then(|plan| plan.customers.iter().find(|other| other.name == id.customer));
        let (seen, words) = traffic::words(view, customer.map(|customer| &customer.host), probe, now);
        let mut text = Text::of(ink, " ")
            .cell(ink, id.customer.as_str(), self.name)
            .add(ink, " ")
            .cell(ink, &target(&probe.probe.target), self.what)
            .add(ink, " ")
            .cell(role, &with_time(role, &word, &took), Self::OUTSIDE - 1)
            .add(ink, " ");
        if self.inside {
            let (role, word, took) = match probe.others.get(&Vantage::Inside) {
                Some(series) => {
                    let role = self::role(series.health(&probe.probe, now));
                    let took = match series.last() {
                        Some((_, ProbeOutcome::Ok { took, .. })) => took.as_ms().to_string(),
                        _ => "-".to_owned(),
                    };
                    (role, theme.word(role), took)
                }
                None => (Role::Dim, "-", "-".to_owned()),
            };
            text = text.cell(role, &with_time(role, word, &took), Self::INSIDE - 1).add(ink, " ");
        }
        text = text.cell(seen, &words, traffic::WIDTH);
        if self.before {
            let before = match probe.own.before {
                Some(true) => (Role::Dim, "ok"),
                Some(false) => (Role::Warn, "FAIL"),
                None => (Role::Dim, "-"),
            };
            let age = probe.last().map_or("-".to_owned(), |(at, _)| age(*at, now));
            text = text.add(Role::Plain, "  ").cell(before.0, before.1, 6).right(Role::Dim, &age, 5);
        }
        text
    }
}

/// The word of what answers, and otherwise than before or than from elsewhere.
const DIFFERS: &str = "differs";

fn result(theme: &Theme, listed: &Listed<'_>, now: Time) -> (Role, String, String) {
    let Listed { probe, made, health, differs, .. } = *listed;
    if !made {
        let inside = probe.probe.from != VantageKind::Outside;
        return (Role::Dim, if inside { "inside" } else { "not made" }.to_owned(), String::new());
    }
    let role = if differs { Role::ProbeShaky } else { role(health) };
    let took = match probe.last() {
        Some((_, ProbeOutcome::Ok { took, .. })) if !probe.stale(now) => took.as_ms().to_string(),
        _ => "-".to_owned(),
    };
    let word = match (probe.last(), role) {
        (Some(_), Role::ProbeUnknown) if probe.stale(now) => "stale".to_owned(),
        (Some((_, ProbeOutcome::Broken { .. })), Role::ProbeUnknown) => "not tried".to_owned(),
        (Some(_), Role::ProbeShaky) if differs => DIFFERS.to_owned(),
        (_, role) => theme.word(role).to_owned(),
    };
    (role, word, took)
}

/// The reason of the row under the cursor or, with none, of the first that fails; else the sum.
fn foot(view: &View, list: &[Listed<'_>], cursor: Option<usize>, now: Time, width: usize) -> Text {
    let made = || list.iter().filter(|listed| listed.made);
    if let Some(Listed { id, probe, made, differs, .. }) = cursor.and_then(|at| list.get(at)) {
        let judged = verdict::judge(&view.state, id, now);
        // What is so, as far as it is known; else what the newest attempt said.
        if !matches!(judged.verdict, Verdict::Reachable | Verdict::Unknown) {
            let mut text = Text::of(Role::ProbeFail, format!(" {}", judged.gist));
            if let Some(next) = judged.next {
                let whole = format!("   y copies: {next}");
                let fits = text.width() + whole.len() <= width;
                text.push(Role::Dim, if fits { whole } else { "  y=next".to_owned() });
            }
            return text;
        }
        return match (failing_since(probe), probe.last()) {
            _ if !made => Text::of(Role::Dim, " this version makes no probe of that kind"),
            (Some((since, why)), _) => {
                Text::of(Role::ProbeFail, format!(" since {}: {why}", since.format("%H:%M:%SZ")))
            }
            (None, Some((_, ProbeOutcome::Ok { .. }))) if *differs => {
                Text::of(Role::ProbeShaky, format!(" {}", judged.gist))
            }
            (None, Some((_, ProbeOutcome::Ok { said, .. }))) => {
                Text::of(Role::Dim, format!(" said: {}", said.shown()))
            }
            (None, Some((_, ProbeOutcome::Broken { why }))) => {
                Text::of(Role::Unknown, format!(" not tried: {}", why.shown()))
            }
            (None, _) => Text::of(Role::Dim, " nothing seen yet"),
        };
    }
    let count = |health: Health| made().filter(|listed| listed.health == health).count();
    let mut text = Text::of(Role::Plain, format!(" {} probes:", made().count()));
    for (health, word) in
        [(Health::Fail, "FAIL"), (Health::Shaky, "shaky"), (Health::Unknown, "unknown"), (Health::Ok, "ok")]
    {
        let n = count(health);
        if n > 0 {
            text.push(role(health), format!(" {n} {word}"));
        }
    }
    let differ = made().filter(|listed| listed.differs).count();
    if differ > 0 {
        let s = if differ == 1 { "s" } else { "" };
        text.push(Role::ProbeShaky, format!(", {differ} of them differ{s}"));
    }
    let others = list.len() - made().count();
    if others > 0 {
        text.push(Role::Dim, format!(", {others} not made"));
    }
    text
}

/// Whose probe is under the cursor.
pub(super) fn customer(view: &View, ui: &Ui, now: Time) -> Option<CustomerName> {
    let list = ordered(view, ui, now);
    let at = ui.cursor(Pane::Probes).min(list.len().saturating_sub(1));
    list.get(at).map(|listed| listed.id.customer.clone())
}

/// The command to look at next for the row under the cursor, where its verdict has one.
pub(super) fn next(view: &View, ui: &Ui, now: Time) -> Option<String> {
    let list = ordered(view, ui, now);
    let listed = list.get(ui.cursor(Pane::Probes).min(list.len().saturating_sub(1)))?;
    verdict::judge(&view.state, listed.id, now).next
}

/// How many rows the pane has.
pub(super) fn count(view: &View, ui: &Ui, now: Time) -> usize {
    ordered(view, ui, now).len()
}
