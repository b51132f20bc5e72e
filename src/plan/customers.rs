//! The customers of a plan and what is probed for them; the controls too, which are probes of nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check::{Names, Once};
use super::error::quoted;
use super::pattern;
use super::probe::ProbeError;
use super::written::{Table, Value};
use super::{Customer, Host, Limit, Probe, ProbeTarget, VantageKind};
use crate::types::{CustomerName, HostName, Span};

/// The largest weight, of a customer and of all customers of a host: more people than there are.
pub(super) const HEAVIEST: u64 = 1_000_000_000_000;
/// The shortest time between two attempts: a probe must not be a load.
const FASTEST: Span = Span::ms(100);
/// The words for where a probe is made from.
pub(super) const VANTAGES: [(&str, VantageKind); 3] =
    [("outside", VantageKind::Outside), ("inside", VantageKind::Inside), ("peer", VantageKind::Peer)];

/// The customers; their names go into `names`, and their weights are added to those of their hosts.
pub(super) fn customers(top: &Table<'_>, names: &mut Names, hosts: &[Host]) -> Vec<Customer> {
    let known = ["name", "host", "weight", "address", "probes", "zone"];
    let mut once = Once::new();
    let mut weights: BTreeMap<HostName, u64> = hosts.iter().map(|h| (h.name.clone(), h.weight)).collect();
    let mut customers = Vec::new();
    for table in top.sections("customer", "[[customer]]", &known) {
        let name = table.need("name", "name = \"acme\"");
        let checked: Option<CustomerName> = name.as_ref().and_then(Value::name);
        let whose = checked.as_ref().map_or("a customer".to_owned(), |name| format!("customer \"{name}\""));
        if let (Some(value), Some(name)) = (&name, &checked) {
            once.note(
                name.clone(),
                value,
                || format!("{whose} is in the plan twice"),
                "give each customer its own name",
            );
            if name.as_str() == "required" {
                value.wrong(
                    "a customer can't be called \"required\"",
                    "write another name: abort lines use that word",
                );
            }
        }
        let host = table
            .need("host", "host = \"web1\", the live host that serves this customer")
            .and_then(|v| names.live_host(&v, &format!("{whose} is on")));
        let weight = table.get("weight");
        let heavy = weight.as_ref().and_then(|v| v.number(0..=HEAVIEST)).unwrap_or(0);
        if let Some((host, sum)) = host.as_ref().and_then(|h| weights.get_mut(h).map(|sum| (h, sum))) {
            *sum = sum.saturating_add(heavy);
            if let (true, Some(value)) = (*sum > HEAVIEST, &weight) {
                let what = format!("the weights on host \"{host}\" add up to more than {HEAVIEST}");
                value.wrong(what, "write how many people notice");
            }
        }
        let address = table.get("address");
        let given = address.is_some();
        let address = address.and_then(|v| own_address(&v));
        let (probes, whole) = match table.get("probes") {
            Some(value) => probes(&value, &whose, given),
            None => (Vec::new(), true),
        };
        let zone = table.get("zone").and_then(|v| zone(&v));
        if let Some(name) = &checked {
            let places = whole.then(|| probes.iter().map(|probe| probe.from).collect());
            names.customers.entry(name.clone()).or_insert(places);
        }
        if let (Some(name), Some(host)) = (checked, host) {
            customers.push(Customer { name, host, weight: heavy, address, probes, zone });
        }
    }
    customers
}

fn own_address(value: &Value<'_>) -> Option<IpAddr> {
    let line = value.line()?;
    let Ok(address) = line.parse::<IpAddr>() else {
        value.wrong(
            format!("{} is not an address", quoted(line)),
            "write one, as in \"192.0.2.21\" or \"2001:db8::21\"",
        );
        return None;
    };
    let everybody = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || everybody {
        value.wrong(
            format!("{address} is not the address of one customer"),
            "write the customer's own address",
        );
        return None;
    }
    Some(address)
}

/// The shape of a name of the IANA time zone database; whether there is one is seen when a notice is
/// written, since the database is the machine's.
fn zone(value: &Value<'_>) -> Option<String> {
    let line = value.line()?;
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"_+-".contains(&b);
    let part = |p: &str| !p.is_empty() && p.bytes().all(byte);
    if line.len() > 64 || !line.starts_with(|c: char| c.is_ascii_alphabetic()) || !line.split('/').all(part) {
        value.wrong(
            format!("{} is not a time zone", quoted(line)),
            "write one as in \"Europe/Berlin\" or \"UTC\"",
        );
        return None;
    }
    Some(line.to_owned())
}

/// The probes of a customer, and whether every one of them could be read.
fn probes(value: &Value<'_>, whose: &str, has_address: bool) -> (Vec<Probe>, bool) {
    let known = ["probe", "from", "every", "timeout", "delay", "fails", "required", "body"];
    let mut once = Once::new();
    let mut probes = Vec::new();
    let items = value.items();
    let all = items.len();
    for item in items {
        let (target, probe) = match item.inline("a probe", &known) {
            Some(table) => {
                let target = table.need("probe", "probe = \"tcp:443\"").and_then(|v| target(&v));
                (target.clone(), long_form(&table, target, whose))
            }
            None => {
                let target = target(&item);
                (target.clone(), target.map(usual))
            }
        };
        // Said even where the rest of a long form is wrong.
        let outside_database = probe.as_ref().is_some_and(|p| {
            matches!(p.target, ProbeTarget::Postgres { .. }) && p.from != VantageKind::Inside
        });
        if let Some(target) = target.filter(|t| (t.needs_address() || outside_database) && !has_address) {
            let what =
                format!("probe {} needs an address, and {whose} has none", quoted(&target.to_string()));
            item.wrong(what, "write address = \"192.0.2.21\" for this customer, or probe a URL");
        }
        if let Some(probe) = probe {
            let again = || format!("probe {} is listed twice for {whose}", quoted(&probe.target.to_string()));
            once.note(
                (probe.target.clone(), probe.from),
                &item,
                again,
                "list it once for each place it is made from",
            );
            probes.push(probe);
        }
    }
    let whole = probes.len() == all;
    (probes, whole)
}

fn target(value: &Value<'_>) -> Option<ProbeTarget> {
    let line = value.line()?;
    match line.parse() {
        Ok(target) => Some(target),
        Err(ProbeError { what, right }) => {
            value.wrong(what, right);
            None
        }
    }
}

/// A probe with everything as usual.
fn usual(target: ProbeTarget) -> Probe {
    Probe {
        from: target.usual_vantage(),
        target,
        every: Span::secs(2),
        timeout: Span::secs(3),
        delay: Span::ZERO,
        fails: Limit::USUAL,
        required: true,
        body: None,
    }
}

/// A probe with what its table says, and everything else as usual.
fn long_form(table: &Table<'_>, target: Option<ProbeTarget>, whose: &str) -> Option<Probe> {
    let from = table.get("from");
    let vantage = from.as_ref().and_then(|v| v.one_of(&VANTAGES));
    let every = table.get("every").and_then(|v| v.span(FASTEST));
    let timeout = table.get("timeout").and_then(|v| v.span(FASTEST));
    let delay = table.get("delay").and_then(|v| v.span(Span::ZERO));
    let fails = table.get("fails").and_then(|v| limit(&v));
    let required = table.get("required").and_then(|v| v.flag());
    let written = table.get("body");
    let body = written.as_ref().and_then(Value::words).map(str::to_owned);
    let plain = usual(target?);
    if let (ProbeTarget::Exec { .. }, Some(value), Some(VantageKind::Outside | VantageKind::Peer)) =
        (&plain.target, &from, vantage)
    {
        value.wrong("exec runs on the host itself", "write from = \"inside\", or leave it out");
    }
    if let (false, Some(value)) = (matches!(plain.target, ProbeTarget::Http { .. }), &written) {
        let what = format!("probe {} has no body to look into", quoted(&plain.target.to_string()));
        value.wrong(what, "leave body out, or probe a URL");
    } else if let (Some(value), VantageKind::Inside | VantageKind::Peer) =
        (&written, vantage.unwrap_or(plain.from))
    {
        let what = "a host is asked for the status of a page and does not look into its body";
        value.wrong(what, "leave body out, or make the probe from = \"outside\"");
    } else if let (Some(value), Some(Err(why))) = (&written, body.as_deref().map(pattern)) {
        let (text, of) = (quoted(body.as_deref().unwrap_or_default()), quoted(&plain.target.to_string()));
        value.wrong(
            format!("{text} is not a pattern for the body of probe {of} of {whose}: {why}"),
            "write a regular expression; plain text takes a \\ before each of \\ . + * ? ( ) | [ ] { } ^ $, in TOML between single \
             quotes",
        );
    }
    Some(Probe {
        from: vantage.unwrap_or(plain.from),
        every: every.unwrap_or(plain.every),
        timeout: timeout.unwrap_or(plain.timeout),
        delay: delay.unwrap_or(plain.delay),
        fails: fails.unwrap_or(plain.fails),
        required: required.unwrap_or(plain.required),
        body,
        target: plain.target,
    })
}

pub(super) fn limit(value: &Value<'_>) -> Option<Limit> {
    let line = value.line()?;
    let limit = line.parse().ok();
    if limit.is_none() {
        let what = format!("{} is not a number of failures", quoted(line));
        value.wrong(
            what,
            format!("write \"3 of 5\": from 1 to {}, and the first no larger than the second", Limit::MOST),
        );
    }
    limit
}

/// A control belongs to no customer, so its target has to be in its own text.
pub(super) fn controls(top: &Table<'_>) -> Vec<Probe> {
    let read = |table: Table<'_>| {
        let value = table.need("probe", "probe = \"https://status.example/\"");
        let probe = long_form(&table, value.as_ref().and_then(target), "a control")?;
        // What fails on a host itself, its way out included, is what is watched there, and no excuse for it.
        if let (Some(from), VantageKind::Inside | VantageKind::Peer) = (table.get("from"), probe.from) {
            let what = "a control tells of the cockpit and of further vantages: a host that sees nothing is an \
                        outage of its own, not a broken vantage";
            from.wrong(what, "take from out: a control is made from the cockpit and from each [[vantage]]");
            return None;
        }
        match (&probe.target, &value) {
            (ProbeTarget::Http { .. }, _) | (_, None) => Some(probe),
            (other, Some(value)) => {
                let what =
                    format!("{} names no host, and a control has no customer", quoted(&other.to_string()));
                value.wrong(what, "write a URL, as in probe = \"https://status.example/\"");
                None
            }
        }
    };
    let known = ["probe", "from", "every", "timeout", "fails", "body"];
    top.sections("control", "[[control]]", &known).into_iter().filter_map(read).collect()
}
