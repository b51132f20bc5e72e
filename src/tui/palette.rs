//! The commands of the palette: one table, from which `:` completes and the help is made.

use super::ui::timer::hosts;
use super::ui::{Of, Pane};
use crate::core::View;
use crate::types::Span;

/// Minutes that a timer is lengthened by, where none are named.
const EXTEND: u64 = 10;
/// The most that one command lengthens a timer by: a day.
const LONGEST: u64 = 1_440;

/// One command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it takes; empty for nothing.
    pub takes: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Where it works.
    pub works: Works,
}

/// Where a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Works {
    /// In a window alone.
    Live,
    /// In a replay alone.
    Replay,
    /// In both.
    Both,
}

const fn entry(name: &'static str, takes: &'static str, help: &'static str, works: Works) -> Entry {
    Entry { name, takes, help, works }
}

/// Every command.
pub const COMMANDS: [Entry; 24] = [
    entry("at", "TIME or N%", "go to a moment of the replay", Works::Replay),
    entry("confirm", "HOST", "confirm by your word, where no probe can", Works::Live),
    entry("continue", "", "open the next batch's sheet", Works::Live),
    entry("copy", "", "copy the row or the sheet", Works::Both),
    entry("evidence", "HOST", "save what a host is like now: routes, rules, sockets, journal", Works::Live),
    entry("export", "", "write what is shown into the recording's folder", Works::Both),
    entry("extend", "HOST MINUTES", "lengthen its dead-man timer; no number: 10", Works::Live),
    entry("filter", "TEXT", "filter the pane; without a text: no filter", Works::Both),
    entry("help", "", "all keys and commands", Works::Both),
    entry("hold", "window|host|batch", "start nothing new", Works::Live),
    entry(
        "keep",
        "REASON",
        "keep what an abort line would roll back; several hosts: HOST REASON",
        Works::Live,
    ),
    entry("leave", "PACKAGE", "put a package of this host off to the next window", Works::Live),
    entry("log", "all|host", "log lines of every host, or of the chosen one", Works::Both),
    entry("mark", "NOTE", "set a marker", Works::Live),
    entry(
        "packets",
        "host|customer|all",
        "packets of the chosen host or customer, or of every host",
        Works::Both,
    ),
    entry(
        "pane",
        "NAME",
        "hosts, updates, probes, log, markers, gates, packets, matrix, alarms, diagnostics",
        Works::Both,
    ),
    entry("present", "", "large clock, names masked", Works::Both),
    entry("quit", "", "hold, then leave the cockpit; what is on the hosts goes on", Works::Both),
    entry("refresh", "HOST", "read a host again; without a name: all", Works::Live),
    entry("restage", "", "store the next batch's packages again", Works::Live),
    entry("resume", "window|host|batch", "release a hold", Works::Live),
    entry("rollback", "", "hold, and open the rollback sheet", Works::Live),
    entry("theme", "NAME", "another theme; without a name: the next", Works::Both),
    entry("waive", "GATE", "pass a held gate of the next batch, with a reason", Works::Live),
];

/// A command as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the command of that name")]
pub enum Line {
    At(String),
    Confirm(String),
    Continue,
    Copy,
    Evidence(String),
    Export,
    Extend { host: String, by: Span },
    Filter(String),
    Help,
    Hold(Reach),
    Keep(String),
    Leave(String),
    Log { all: bool },
    Mark(String),
    Packets(Of),
    Pane(Pane),
    Present,
    Quit,
    Refresh(Option<String>),
    Restage,
    Resume(Option<Reach>),
    Rollback,
    Theme(Option<String>),
    Waive(String),
}

/// How far a hold reaches, as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word itself")]
pub enum Reach {
    Window,
    Host,
    Batch,
}

/// Commands that begin as the text does and work here.
pub fn matching(text: &str, live: bool) -> impl Iterator<Item = &'static Entry> {
    let head = text.split_whitespace().next().unwrap_or("").to_owned();
    let whole = text.contains(char::is_whitespace);
    let works = move |entry: &&Entry| match entry.works {
        Works::Live => live,
        Works::Replay => !live,
        Works::Both => true,
    };
    let fits = move |entry: &&Entry| if whole { entry.name == head } else { entry.name.starts_with(&head) };
    COMMANDS.iter().filter(works).filter(fits)
}

/// Reads a command; the error says what would be right. A name may be cut short where one command
/// alone begins so.
pub fn parse(text: &str, live: bool) -> Result<Line, String> {
    let text = text.trim();
    let (head, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if head.is_empty() {
        return Err("no command; ? lists them".to_owned());
    }
    let found: Vec<&Entry> = matching(head, live).collect();
    let exact = found.iter().find(|entry| entry.name == head);
    let entry = match (exact, found.as_slice()) {
        (Some(entry), _) | (None, [entry]) => **entry,
        (None, []) => {
            let elsewhere = COMMANDS.iter().any(|entry| entry.name == head);
            let why = match (elsewhere, live) {
                (false, _) => "there is no such command; ? lists them",
                (true, true) => "that works in a replay alone",
                (true, false) => "nothing can be done from a recording",
            };
            return Err(why.to_owned());
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|entry| entry.name).collect();
            return Err(format!("{} could be meant", names.join(" or ")));
        }
    };
    let wanted = || Err(format!(":{} wants {}", entry.name, entry.takes));
    let word = (!rest.is_empty()).then(|| rest.to_owned());
    let reach = || match rest {
        "window" => Ok(Some(Reach::Window)),
        "host" => Ok(Some(Reach::Host)),
        "batch" => Ok(Some(Reach::Batch)),
        "" => Ok(None),
        _ => Err(format!(":{} takes {}", entry.name, entry.takes)),
    };
    Ok(match (entry.name, word) {
        ("at", Some(word)) => Line::At(word),
        ("keep", Some(words)) => Line::Keep(words),
        ("leave", Some(word)) => Line::Leave(word),
        ("waive", Some(word)) => Line::Waive(word),
        ("confirm", Some(word)) => Line::Confirm(word),
        ("evidence", Some(word)) => Line::Evidence(word),
        ("extend", Some(words)) => extend(&words)?,
        ("pane", Some(word)) => match Pane::ALL.into_iter().find(|pane| pane.name() == word) {
            Some(pane) => Line::Pane(pane),
            None => return wanted(),
        },
        ("log", Some(word)) if word == "all" || word == "host" => Line::Log { all: word == "all" },
        ("packets", None) => Line::Packets(Of::Host),
        ("packets", Some(word)) => match word.as_str() {
            "host" => Line::Packets(Of::Host),
            "customer" => Line::Packets(Of::Customer),
            "all" => Line::Packets(Of::All),
            _ => return wanted(),
        },
        ("at" | "confirm" | "evidence" | "extend" | "keep" | "leave" | "waive" | "pane" | "log", _) => {
            return wanted();
        }
        ("continue", _) => Line::Continue,
        ("copy", _) => Line::Copy,
        ("export", _) => Line::Export,
        ("filter", word) => Line::Filter(word.unwrap_or_default()),
        ("help", _) => Line::Help,
        ("hold", _) => Line::Hold(reach()?.unwrap_or(Reach::Window)),
        ("mark", word) => Line::Mark(word.unwrap_or_default()),
        ("present", _) => Line::Present,
        ("quit", _) => Line::Quit,
        ("refresh", word) => Line::Refresh(word.filter(|word| word != "all")),
        ("restage", _) => Line::Restage,
        ("resume", _) => Line::Resume(reach()?),
        ("rollback", _) => Line::Rollback,
        ("theme", word) => Line::Theme(word),
        _ => return Err("there is no such command; ? lists them".to_owned()),
    })
}

/// A host and a number of minutes, 10 where none is named.
fn extend(words: &str) -> Result<Line, String> {
    let wanted = || ":extend wants HOST MINUTES: a number from 1 to 1440".to_owned();
    let mut words = words.split_whitespace();
    let (Some(host), minutes, None) = (words.next(), words.next(), words.next()) else {
        return Err(wanted());
    };
    let minutes: u64 = minutes.map_or(Ok(EXTEND), str::parse).map_err(|_| wanted())?;
    if !(1..=LONGEST).contains(&minutes) {
        return Err(wanted());
    }
    Ok(Line::Extend { host: host.to_owned(), by: Span::mins(minutes) })
}

/// What Tab makes of what is typed: a command's name, or the name of a host with something unconfirmed,
/// where one alone fits.
pub fn complete(text: &str, view: &View) -> Option<String> {
    let found: Vec<_> = matching(text, view.live).collect();
    let [entry] = found.as_slice() else { return None };
    let Some((_, begun)) = text.split_once(char::is_whitespace) else {
        let space = if entry.takes.is_empty() { "" } else { " " };
        return Some(format!("{}{space}", entry.name));
    };
    if !matches!(entry.name, "confirm" | "extend") {
        return None;
    }
    let mut fits: Vec<_> = hosts(view).filter(|host| host.as_str().starts_with(begun.trim_start())).collect();
    fits.dedup();
    let [host] = fits.as_slice() else { return None };
    let space = if entry.name == "extend" { " " } else { "" };
    Some(format!("{} {host}{space}", entry.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_whole_or_cut_short() {
        assert_eq!(parse("waive rehearsed", true), Ok(Line::Waive("rehearsed".to_owned())));
        assert_eq!(parse(" q ", true), Ok(Line::Quit));
        assert_eq!(parse("resume host", true), Ok(Line::Resume(Some(Reach::Host))));
        assert_eq!(parse("pane gates", true), Ok(Line::Pane(Pane::Gates)));
        let by = |minutes| Line::Extend { host: "web3".to_owned(), by: Span::mins(minutes) };
        assert_eq!(parse("extend web3", true), Ok(by(10)));
        assert_eq!(parse("extend web3 25", true), Ok(by(25)));
        assert_eq!(parse("confirm web3", true), Ok(Line::Confirm("web3".to_owned())));
        assert_eq!(parse("at 30%", false), Ok(Line::At("30%".to_owned())));
        for (text, live, word) in [
            ("", true, "no command"),
            ("fly", true, "no such command"),
            ("re", true, "refresh or restage or resume"),
            ("waive", true, "wants GATE"),
            ("keep", true, "wants REASON"),
            ("pane attic", true, "wants NAME"),
            ("packets attic", true, "wants host|customer|all"),
            ("at 30%", true, "replay alone"),
            ("waive rehearsed", false, "from a recording"),
            ("hold world", true, "window|host|batch"),
            ("confirm", true, "wants HOST"),
            ("extend", true, "wants HOST MINUTES"),
            ("extend web3 0", true, "from 1 to 1440"),
            ("extend web3 1441", true, "from 1 to 1440"),
            ("extend web3 -5", true, "from 1 to 1440"),
            ("extend web3 5 6", true, "from 1 to 1440"),
            ("confirm web3", false, "from a recording"),
            ("con", true, "confirm or continue"),
            ("evidence", true, "wants HOST"),
        ] {
            let error = parse(text, live).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn the_help_names_every_pane() {
        let entry = COMMANDS.iter().find(|entry| entry.name == "pane").expect("the command");
        let named: Vec<&str> = entry.help.split(", ").collect();
        assert_eq!(named, Pane::ALL.map(Pane::name));
    }

    #[test]
    fn every_command_of_the_table_can_be_given() {
        for entry in COMMANDS {
            let live = entry.works != Works::Replay;
            let rest = match entry.name {
                "pane" => "log",
                "log" | "packets" => "all",
                "hold" | "resume" => "host",
                _ => "word",
            };
            assert!(parse(&format!("{} {rest}", entry.name), live).is_ok(), "{}", entry.name);
        }
    }
}
