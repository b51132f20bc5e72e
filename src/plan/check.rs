//! From the text to a checked plan: the window and the hosts, and the names that all else refers
//! to. Customers are in `customers`, the rules agreed in calm (policy, abort lines, ...) in `rules`.
//!
//! Every error is found in one go: a part that is wrong yields nothing, says so, and the rest goes on.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;

use toml::de::DeTable;

use super::customers::{self, HEAVIEST};
use super::error::{Findings, PlanErrors, quoted};
use super::written::{Table, Value, choose};
use super::{Baseline, Host, Plan, VantageKind, Window, rules, seal, text};
use crate::types::{CustomerName, HostName, Span, Time, Untrusted};

/// The longest text of a plan, in bytes.
const LONGEST: usize = 1 << 20;

/// Reads a plan. `file` is only its name for messages.
///
/// # Errors
/// Everything that is wrong with it at once, each with line and column; what is no TOML at all is
/// one error, since what follows it can't be trusted.
pub fn read(file: &str, text: &str) -> Result<Plan, PlanErrors> {
    let findings = Findings::default();
    let plan = if text.len() > LONGEST {
        findings.add(
            &(0..0),
            format!("the plan has {} bytes", text.len()),
            format!("write at most {LONGEST}"),
        );
        None
    } else {
        let (document, flaws) = DeTable::parse_recoverable(text);
        // The first by its place: those behind it may only follow from it.
        let place = |error: &toml::de::Error| error.span().map_or(text.len(), |span| span.start);
        match flaws.iter().min_by_key(|error| place(error)) {
            Some(error) => {
                let why = Untrusted::new(error.message()).shown();
                let at = place(error);
                findings.add(
                    &(at..at),
                    format!("this is not TOML: {why}"),
                    "the rest is checked once this is right",
                );
                None
            }
            None => checked(document.get_ref(), text, &findings),
        }
    };
    match plan {
        Some(plan) if findings.is_empty() => Ok(plan),
        _ => Err(findings.located(file, text)),
    }
}

/// The names of a plan, for whatever refers to them.
pub(super) struct Names {
    /// The live hosts.
    pub live: BTreeSet<HostName>,
    /// The baseline.
    pub baseline: Option<HostName>,
    /// The customers with the places from which they are probed; `None` where a probe is wrong, so
    /// that nothing can be said of it.
    pub customers: BTreeMap<CustomerName, Option<BTreeSet<VantageKind>>>,
}

impl Names {
    fn is_baseline(&self, name: &HostName) -> bool {
        self.baseline.as_ref() == Some(name)
    }

    /// A live host by name; `whose` says what refers to it: `customer "acme" is on`.
    pub fn live_host(&self, value: &Value<'_>, whose: &str) -> Option<HostName> {
        let name: HostName = value.name()?;
        if self.live.contains(&name) {
            return Some(name);
        }
        let why = if self.is_baseline(&name) {
            "is the baseline and not a live host"
        } else {
            "is not in the plan"
        };
        self.missing(value, &name, whose, why);
        None
    }

    /// A live host or the baseline by name.
    pub fn any_host(&self, value: &Value<'_>, whose: &str) -> Option<HostName> {
        let name: HostName = value.name()?;
        if self.live.contains(&name) || self.is_baseline(&name) {
            return Some(name);
        }
        self.missing(value, &name, whose, "is not in the plan");
        None
    }

    fn missing(&self, value: &Value<'_>, name: &HostName, whose: &str, why: &str) {
        // A plan without a host is told so once, not once more for each that refers to one.
        if !self.live.is_empty() {
            let live = self.live.iter().map(HostName::as_str);
            value.wrong(format!("{whose} host \"{name}\", which {why}"), choose(name.as_str(), live));
        }
    }
}

/// The first of each name, to tell a second one.
pub(super) struct Once<K>(BTreeMap<K, Range<usize>>);

impl<K: Ord> Once<K> {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes it, and says that it is there already, if it is.
    pub fn note(&mut self, key: K, value: &Value<'_>, what: impl FnOnce() -> String, right: &str) {
        match self.0.entry(key) {
            Entry::Occupied(first) => value.twice(first.get(), what(), right),
            Entry::Vacant(place) => {
                place.insert(value.at.clone());
            }
        }
    }
}

fn checked<'a>(document: &'a DeTable<'a>, text: &str, findings: &'a Findings) -> Option<Plan> {
    let known = [
        "window", "baseline", "host", "customer", "policy", "abort", "control", "accept", "hook", "batch",
        "person", "tls", "vantage",
    ];
    let top = Table::open("the plan", 0..0, document, &known, findings);
    let window = window(&top);

    let mut destinations = Once::new();
    let baseline = baseline(&top, &mut destinations);
    let mut names = Names { live: BTreeSet::new(), baseline: baseline.name, customers: BTreeMap::new() };
    let hosts = hosts(&top, &mut names, &mut destinations);
    let customers = customers::customers(&top, &mut names, &hosts);

    let length = window.as_ref().map(|w| Span::between(w.opens, w.closes));
    let people = rules::people(&top);
    let policy = rules::policy(&top, &names, &people, length);
    let batches = rules::batches(&top, &names, &policy);
    let aborts = rules::aborts(&top, &names);
    let accepts = rules::accepts(&top, &names, window.as_ref().map(|w| w.opens));
    let vantages = rules::vantages(&top, &names);
    let tls_ca = rules::tls_ca(&top);
    let controls = customers::controls(&top);
    let hooks = rules::hooks(&top);
    // Only now, so that nothing above is left unread because of the window.
    Some(Plan {
        hash: seal::seal(text),
        window: window?,
        baseline: baseline.whole,
        hosts,
        customers,
        policy: policy.policy,
        batches,
        people,
        tls_ca,
        controls,
        aborts,
        accepts,
        hooks,
        vantages,
    })
}

fn window(top: &Table<'_>) -> Option<Window> {
    let Some(table) = top.section("window", "[window]", &["name", "ticket", "opens", "closes"]) else {
        top.need("window", "[window] with name, opens and closes");
        return None;
    };
    let name = table.need("name", "name = \"what this window is for\"").and_then(|v| v.words());
    let ticket = table.get("ticket").and_then(|v| v.words());
    let opens = table.need("opens", "opens = 2026-11-21T22:00:00Z").and_then(|v| v.time());
    let closes = table.need("closes", "closes = 2026-11-22T00:00:00Z");
    let end = closes.as_ref().and_then(Value::time);
    let (opens, closes, end): (Time, _, Time) = (opens?, closes?, end?);
    if end <= opens {
        let how = if end == opens { "at the moment it opens" } else { "before it opens" };
        closes.wrong(
            format!("the window closes {how} ({})", opens.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
            "write a later time in closes, or an earlier one in opens",
        );
        return None;
    }
    Some(Window { name: name?.to_owned(), ticket: ticket.map(str::to_owned), opens, closes: end })
}

/// The baseline, and its name even where the rest is wrong.
#[derive(Default)]
struct BaselineRead {
    name: Option<HostName>,
    whole: Option<Baseline>,
}

fn baseline(top: &Table<'_>, destinations: &mut Once<String>) -> BaselineRead {
    let Some(table) = top.section("baseline", "[baseline]", &["host", "ssh"]) else {
        return BaselineRead::default();
    };
    let name: Option<HostName> = table.need("host", "host = \"test1\"").and_then(|v| v.name());
    let ssh = table.need("ssh", "ssh = \"test1\"").and_then(|v| destination(&v, destinations));
    let whole = name.clone().zip(ssh).map(|(host, ssh)| Baseline { host, ssh });
    BaselineRead { name, whole }
}

/// How a host is reached. Two hosts with one destination are one machine, and one of them is a slip:
/// with the baseline among them, the rehearsal would run on a live host.
pub(super) fn destination(value: &Value<'_>, destinations: &mut Once<String>) -> Option<String> {
    let line = value.line()?;
    let user = line.strip_prefix("ssh://").unwrap_or(line);
    if text::has_password(user) {
        value.wrong("a password is written in the ssh destination", text::SECRET_ADVICE);
        return None;
    }
    if let Some(flaw) = text::destination_flaw(line) {
        let right = "write a name of the ssh configuration, HOST, USER@HOST, or \"local\" for this machine";
        value.wrong(format!("ssh destination {} {flaw}", quoted(line)), right);
        return None;
    }
    let again = || format!("ssh destination {} is there twice", quoted(line));
    destinations.note(
        line.to_owned(),
        value,
        again,
        "give each host its own: two names for one machine are a slip",
    );
    Some(line.to_owned())
}

fn hosts(top: &Table<'_>, names: &mut Names, destinations: &mut Once<String>) -> Vec<Host> {
    let known = ["name", "ssh", "group", "console", "logs", "weight"];
    let tables = top.sections("host", "[[host]]", &known);
    if tables.is_empty() && top.get("host").is_none_or(|value| value.is_empty_list()) {
        top.wrong("the plan has no host", "write a [[host]] with name and ssh for each live host");
    }
    let mut once = Once::new();
    let mut hosts = Vec::new();
    for table in tables {
        let name = table.need("name", "name = \"web1\"");
        let checked: Option<HostName> = name.as_ref().and_then(Value::name);
        if let (Some(value), Some(name)) = (&name, &checked) {
            if names.is_baseline(name) {
                let what = format!("host \"{name}\" is also the baseline");
                value.wrong(what, "take one of the two out: the baseline is never a live host");
            }
            let again = || format!("host \"{name}\" is in the plan twice");
            once.note(name.clone(), value, again, "give each host its own name");
            names.live.insert(name.clone());
        }
        let ssh = table.need("ssh", "ssh = \"web1\"").and_then(|v| destination(&v, destinations));
        let group = table.get("group").and_then(|v| group(&v));
        let console = table.get("console").and_then(|v| v.words()).map(str::to_owned);
        let logs = table.get("logs").map(|v| logs(&v)).unwrap_or_default();
        let weight = table.get("weight").and_then(|v| v.number(0..=HEAVIEST)).unwrap_or(0);
        if let (Some(name), Some(ssh)) = (checked, ssh) {
            hosts.push(Host { name, ssh, group, console, logs, weight });
        }
    }
    hosts
}

fn group(value: &Value<'_>) -> Option<String> {
    let line = value.line()?;
    // A group is a word like a host's name, and is shown where names are.
    if line.parse::<HostName>().is_err() {
        value.wrong(format!("{} is not a group's name", quoted(line)), "write one word of a-z A-Z 0-9 . _ -");
        return None;
    }
    Some(line.to_owned())
}

fn logs(value: &Value<'_>) -> Vec<String> {
    let mut once = Once::new();
    let path = |item: Value<'_>| {
        let line = item.line()?;
        let byte = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@:,=~%".contains(&b);
        let climbs = line.split('/').any(|part| part == "..");
        if !line.starts_with('/') || line.ends_with('/') || climbs || !line.bytes().all(byte) {
            let right = "write an absolute path without spaces, as in \"/var/log/nginx/error.log\"";
            item.wrong(format!("{} is not the path of a log file", quoted(line)), right);
            return None;
        }
        once.note(line.to_owned(), &item, || format!("log {} is listed twice", quoted(line)), "list it once");
        Some(line.to_owned())
    };
    value.items().into_iter().filter_map(path).collect()
}
