//! The packets: rows in the manner of tcpdump, of the chosen host or of one customer. Only the rows in
//! sight are formatted, and where there is a filter those that it looks at.

use std::net::IpAddr;

use ratatui::layout::Rect;

use super::listing::Listing;
use super::paint::{Text, age};
use super::probes;
use crate::core::View;
use crate::core::event::PacketRow;
use crate::tui::theme::Role;
use crate::tui::ui::{Chosen, Of, Pane, Ui};
use crate::types::{CustomerName, HostName, Time, Untrusted};

/// Whose packets are shown.
struct Whose {
    host: Option<HostName>,
    /// Of a customer: their name and address.
    customer: Option<(CustomerName, Option<IpAddr>)>,
}

impl Whose {
    fn of(view: &View, ui: &Ui, now: Time) -> Self {
        let host = ui.host(view);
        match ui.packets_of {
            Of::All => Self { host: None, customer: None },
            Of::Host => Self { host, customer: None },
            Of::Customer => {
                let name = probes::customer(view, ui, now);
                let plan = view.state.plan.as_ref();
                let found = name.and_then(|name| plan?.customers.iter().find(|other| other.name == name));
                match found {
                    Some(found) => Self {
                        host: Some(found.host.clone()),
                        customer: Some((found.name.clone(), found.address)),
                    },
                    None => Self { host, customer: None },
                }
            }
        }
    }

    fn has(&self, row: &PacketRow) -> bool {
        self.host.as_ref().is_none_or(|host| row.host == *host)
            && match &self.customer {
                // Without an address of their own theirs are the host's.
                Some((_, Some(address))) => row.seen.what.concerns(*address),
                Some((_, None)) | None => true,
            }
    }

    fn words(&self) -> String {
        match (&self.host, &self.customer) {
            (Some(host), Some((customer, _))) => format!("{customer} on {host}"),
            (Some(host), None) => host.to_string(),
            (None, _) => "all hosts".to_owned(),
        }
    }
}

/// Whose packets the pane shows, to write what is kept of them; `None` where they are those of all hosts.
pub(in crate::tui) fn chosen(view: &View, ui: &Ui, now: Time) -> Option<Chosen> {
    let Whose { host, customer } = Whose::of(view, ui, now);
    let host = host?;
    // Without an address of their own theirs are the host's.
    let (of, address) = match customer {
        Some((customer, Some(address))) => (customer.to_string(), Some(address)),
        Some((_, None)) | None => (host.to_string(), None),
    };
    Some(Chosen { host, address, of })
}

/// Rows that the pane shows, the newest first, from a number of pushed rows backwards.
fn rows<'v>(view: &'v View, ui: &Ui, now: Time, until: u64) -> impl Iterator<Item = &'v PacketRow> + use<'v> {
    let newer = usize::try_from(view.state.packets.pushed().saturating_sub(until)).unwrap_or(usize::MAX);
    let whose = Whose::of(view, ui, now);
    let filter = ui.filter(Pane::Packets).map(str::to_lowercase);
    view.state.packets.iter().rev().skip(newer).filter(move |row| {
        let fits = |filter: &String| whole(row).to_lowercase().contains(filter.as_str());
        whose.has(row) && filter.as_ref().is_none_or(fits)
    })
}

/// How many rows there are to go back through.
pub(in crate::tui) fn count(view: &View, ui: &Ui, now: Time, until: u64) -> usize {
    rows(view, ui, now, until).count()
}

/// Everything that a row says.
fn whole(row: &PacketRow) -> String {
    let by = row.by.as_ref().map_or_else(String::new, |by| format!(" {by}"));
    format!(
        "{} {}{by} {} {}, {} bytes",
        row.at.format("%H:%M:%S%.6fZ"),
        row.host,
        row.sign(),
        row.seen.text(),
        row.seen.length
    )
}

/// What a row has no room for; its ends stand there already.
fn detail(row: &PacketRow) -> String {
    let text = row.seen.text();
    let mut words = text.splitn(4, ' ');
    let said = match (words.nth(1), words.nth(1)) {
        (Some(">"), Some(rest)) => rest,
        _ => text.as_str(),
    };
    let by = row.by.as_ref().map_or_else(String::new, |by| format!(" {by}"));
    let at = row.at.format("%H:%M:%S%.6fZ");
    format!("{at} {}{by} {} {} bytes: {said}", row.host, row.sign(), row.seen.length)
}

pub(super) fn listing(view: &View, ui: &Ui, now: Time, area: Rect) -> Listing {
    let state = &view.state;
    let (until, back) = ui.packets.unwrap_or((state.packets.pushed(), 0));
    // A row for the title, and one for the foot where there is room.
    let body = usize::from(area.height.saturating_sub(1));
    let height = if body > 2 { body - 1 } else { body };
    let mut shown: Vec<&PacketRow> = rows(view, ui, now, until).skip(back).take(height.max(1)).collect();
    shown.reverse();
    let whose = Whose::of(view, ui, now);
    let mut title = Text::of(Role::Title, format!("packets {}", whose.words()));
    match ui.packets {
        None => title.push(Role::Good, "  follow"),
        Some((until, back)) => {
            let newer = state.packets.pushed().saturating_sub(until);
            title.push(Role::Warn, format!("  still, {back} back, {newer} newer"));
        }
    }
    title = title
        .add(Role::KeyName, "  f")
        .add(Role::Dim, if ui.packets.is_none() { "=still" } else { "=follow" });
    if let Some(filter) = ui.filter(Pane::Packets) {
        title.push(Role::Warn, format!("  /{}", Untrusted::new(filter).shown()));
    }
    let cursor = ui.packets.and_then(|_| shown.len().checked_sub(1));
    let foot = match cursor.and_then(|at| shown.get(at)) {
        Some(row) => Text::of(Role::Plain, format!(" {}", detail(row))),
        None => standing(view, &whose, now),
    };
    let mut rows: Vec<Text> = shown.into_iter().map(|row| line(row, whose.host.is_none())).collect();
    if rows.is_empty() {
        rows.push(Text::of(Role::Dim, " no packets"));
    }
    Listing { title, rows, cursor, foot: Some(foot), ..Listing::default() }
}

/// How the captures stand, and what is not here.
fn standing(view: &View, whose: &Whose, now: Time) -> Text {
    let state = &view.state;
    let wanted = |name: &HostName| whose.host.as_ref().is_none_or(|host| host == name);
    let mut text = Text::new();
    let mut none = true;
    for (name, capture) in state.captures.iter().filter(|(name, _)| wanted(name)) {
        if !none {
            text.push(Role::Dim, " ");
        }
        none = false;
        match (&capture.since, &capture.unseen) {
            (Some(since), _) => text.push(Role::Dim, format!(" {name} captured for {}", age(*since, now))),
            (None, Some(why)) => text.push(Role::Unknown, format!(" NOT SEEN: {}", why.shown())),
            (None, None) => text.push(Role::Unknown, format!(" {name}: not captured yet")),
        }
        if capture.dropped > 0 {
            text.push(Role::Warn, format!(", {} dropped by its kernel", capture.dropped));
        }
    }
    if none {
        text.push(Role::Unknown, " nothing is captured: no customer with an address is probed here");
    }
    if state.packets_left_out > 0 {
        text.push(Role::Dim, format!("  {} rows left out; captures/ has all", state.packets_left_out));
    }
    text
}

fn line(row: &PacketRow, host: bool) -> Text {
    let mut text = Text::of(Role::LogTime, format!(" {} ", row.at.format("%H:%M:%S%.3fZ")));
    if host {
        text = text.cell(Role::LogHost, row.host.as_str(), 8).add(Role::Plain, " ");
    }
    let by = row.by.as_ref().map_or("", |by| by.as_str());
    text.add(Role::Strong, format!("{} ", row.sign()))
        .cell(Role::Dim, by, 7)
        .add(Role::Plain, " ")
        .add(Role::Plain, row.seen.text())
}
