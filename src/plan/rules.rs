//! The rules agreed in calm, checked: policy, batches as listed, abort lines, accepted differences,
//! people, hooks, further vantages.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::{Names, Once, destination};
use super::customers::{VANTAGES, limit};
use super::error::quoted;
use super::written::{Table, Value, choose};
use super::{
    AbortLine, AbortProbes, Accept, AutoRollback, Class, Hook, HookWhen, Limit, ListedBatch, Person, Policy,
    Role, SnapshotArchive, Strategy, Vantage, VantageKind,
};
use crate::types::{CustomerName, HostName, PackageName, PersonName, Span, Time};

/// The gates by name, as waivers, `second_person` and JSON name them.
pub const GATES: [&str; 13] = [
    "plan",
    "order",
    "rehearsed",
    "drift",
    "persists",
    "size",
    "proof",
    "practised",
    "time",
    "health",
    "bake",
    "lock",
    "people",
];

/// The domains in which a difference can be accepted.
pub const DOMAINS: [&str; 18] = [
    "system",
    "boot",
    "network",
    "listeners",
    "packages",
    "updates",
    "services",
    "storage",
    "replaced",
    "locks",
    "firewall",
    "sysctl",
    "web",
    "database",
    "package-sources",
    "time",
    "mounts",
    "units",
];

const CLASSES: [(&str, Class); 7] = [
    ("kernel", Class::Kernel),
    ("libc", Class::Libc),
    ("init", Class::Init),
    ("network", Class::Network),
    ("server", Class::Server),
    ("library", Class::Library),
    ("leaf", Class::Leaf),
];

const STRATEGIES: [(&str, Strategy); 6] = [
    ("security-first", Strategy::SecurityFirst),
    ("source", Strategy::Source),
    ("class", Strategy::Class),
    ("one-by-one", Strategy::OneByOne),
    ("all", Strategy::All),
    ("listed", Strategy::Listed),
];

/// The most changes that a batch may be allowed to have: more than any server has packages.
const MOST_CHANGES: u64 = 100_000;

/// The policy, and where it names the strategy.
pub(super) struct PolicyRead<'a> {
    pub policy: Policy,
    strategy: Option<Value<'a>>,
}

/// The policy; `length` is the window's, where it is known.
pub(super) fn policy<'a>(
    top: &Table<'a>,
    names: &Names,
    people: &[Person],
    length: Option<Span>,
) -> PolicyRead<'a> {
    let known = [
        "confirm_within",
        "bake",
        "max_changes",
        "alone",
        "allow_removals",
        "rehearsal_max_age",
        "margin",
        "auto_rollback",
        "countdown",
        "strategy",
        "second_person",
        "order",
        "snapshots",
        "snapshot_archive",
    ];
    let mut policy = Policy::default();
    let Some(table) = top.section("policy", "[policy]", &known) else {
        return PolicyRead { policy, strategy: None };
    };
    let span = |key, least, usual| table.get(key).and_then(|v| v.span(least)).unwrap_or(usual);
    let flag = |key, usual| table.get(key).and_then(|v| v.flag()).unwrap_or(usual);
    // A timer that fires at once, or before the slowest confirm arrives, is no grace.
    policy.confirm_within = span("confirm_within", Span::secs(30), policy.confirm_within);
    policy.bake = span("bake", Span::ZERO, policy.bake);
    policy.rehearsal_max_age = span("rehearsal_max_age", Span::mins(1), policy.rehearsal_max_age);
    policy.countdown = span("countdown", Span::ZERO, policy.countdown);
    policy.margin = span("margin", Span::ZERO, policy.margin);
    if let (Some(length), Some(value)) =
        (length.filter(|length| policy.margin >= *length), table.get("margin"))
    {
        let what = format!("the margin of {} leaves nothing of the window", policy.margin);
        value.wrong(what, format!("write less than \"{length}\", which is how long the window is"));
    }
    policy.allow_removals = flag("allow_removals", policy.allow_removals);
    policy.snapshots = flag("snapshots", policy.snapshots);
    if let Some(most) = table.get("max_changes").and_then(|v| v.number(1..=MOST_CHANGES)) {
        policy.max_changes = u32::try_from(most).unwrap_or(policy.max_changes);
    }
    if let Some(value) = table.get("alone") {
        policy.alone = unique(&value, |item| item.one_of(&CLASSES), "class");
    }
    let words = [("armed", AutoRollback::Armed), ("ask", AutoRollback::Ask), ("off", AutoRollback::Off)];
    if let Some(word) = table.get("auto_rollback").and_then(|v| v.one_of(&words)) {
        policy.auto_rollback = word;
    }
    let strategy = table.get("strategy");
    if let Some(word) = strategy.as_ref().and_then(|v| v.one_of(&STRATEGIES)) {
        policy.strategy = word;
    }
    if let Some(value) = table.get("second_person") {
        let gates = GATES.map(|gate| (gate, gate));
        policy.second_person =
            unique(&value, |item| item.one_of(&gates), "gate").into_iter().map(str::to_owned).collect();
        // People that could not be read have said so themselves.
        let all_read = top.get("person").is_none() || !people.is_empty();
        let nobody = !people.iter().any(|person| person.role == Role::Approver);
        if !policy.second_person.is_empty() && nobody && all_read {
            value.wrong(
                "a second person is wanted and the plan has no approver",
                "add a [[person]] with role = \"approver\"",
            );
        }
    }
    if let Some(value) = table.get("order") {
        policy.order = own_order(&value, names);
    }
    policy.snapshot_archive = table.get("snapshot_archive").and_then(|v| archive(&v));
    PolicyRead { policy, strategy }
}

/// A list in which nothing may be twice.
fn unique<'a, T: Ord + Clone>(
    value: &Value<'a>,
    read: impl Fn(&Value<'a>) -> Option<T>,
    kind: &str,
) -> Vec<T> {
    let mut once = Once::new();
    let read = |item: Value<'a>| {
        let found = read(&item)?;
        once.note(found.clone(), &item, || format!("this {kind} is listed twice"), "list it once");
        Some(found)
    };
    value.items().into_iter().filter_map(read).collect()
}

fn own_order(value: &Value<'_>, names: &Names) -> Vec<HostName> {
    let order = unique(value, |item| names.live_host(item, "the order names"), "host");
    let missing: Vec<_> = names.live.iter().filter(|name| !order.contains(name)).collect();
    // A name in it that is wrong was meant for one of the missing: that is said at the name.
    if !missing.is_empty() && order.len() == value.items().len() && !order.is_empty() {
        let what = format!("the order leaves out {}", super::error::listed(&missing));
        value.wrong(what, "name every live host, or take the order out and have it computed");
    }
    order
}

fn archive(value: &Value<'_>) -> Option<String> {
    let line = value.line()?;
    if line.is_empty() {
        return None;
    }
    if let Err((what, right)) = SnapshotArchive::parse(line) {
        value.wrong(format!("{} {what}", quoted(line)), right);
        return None;
    }
    Some(line.to_owned())
}

/// The batches as listed; they and `strategy = "listed"` want each other.
pub(super) fn batches(top: &Table<'_>, names: &Names, policy: &PolicyRead<'_>) -> Vec<ListedBatch> {
    let tables = top.sections("batch", "[[batch]]", &["host", "packages"]);
    let listed = policy.policy.strategy == Strategy::Listed;
    match (&policy.strategy, tables.first()) {
        (Some(strategy), None) if listed => {
            strategy.wrong(
                "the strategy is \"listed\" and no batch is",
                "add a [[batch]] with packages, or write another strategy",
            );
        }
        (_, Some(first)) if !listed => {
            first.wrong(
                "batches are listed and the strategy does not use them",
                "write strategy = \"listed\" under [policy], or take the batches out",
            );
        }
        _ => {}
    }
    // By package, for which hosts it is listed already, and where.
    type Places = Vec<(Option<HostName>, Range<usize>)>;
    let mut seen: BTreeMap<PackageName, Places> = BTreeMap::new();
    let mut batches = Vec::new();
    for table in tables {
        let given = table.get("host");
        let host = given.as_ref().and_then(|v| names.any_host(v, "a batch is for"));
        let unsure = given.is_some() && host.is_none();
        let value = table.need("packages", "packages = [\"openssl\"]");
        if let Some(value) = value.as_ref().filter(|v| v.is_empty_list()) {
            value.wrong("a batch has no package", "write at least one, or take the batch out");
        }
        let mut packages = Vec::new();
        for item in value.iter().flat_map(Value::items) {
            let Some(name) = item.name::<PackageName>() else { continue };
            let before = seen.entry(name.clone()).or_default();
            // A batch without a host is for all of them.
            let first = before.iter().find(|(other, _)| other.is_none() || host.is_none() || *other == host);
            match first {
                _ if unsure => {}
                Some((_, first)) => {
                    let what = format!("package \"{name}\" is listed twice");
                    item.twice(
                        first,
                        what,
                        "list it once for each host, or once without a host for all of them",
                    );
                }
                None => before.push((host.clone(), item.at.clone())),
            }
            packages.push(name);
        }
        batches.push(ListedBatch { host, packages });
    }
    batches
}

pub(super) fn aborts(top: &Table<'_>, names: &Names) -> Vec<AbortLine> {
    let read = |table: Table<'_>| {
        let value = table.need("probes", "probes = \"required\"");
        let probes = value.as_ref().and_then(|v| abort_probes(v, names));
        let from = table.get("from").and_then(|v| v.one_of(&VANTAGES)).unwrap_or(VantageKind::Outside);
        let fails = table.get("fails").and_then(|v| limit(&v)).unwrap_or(Limit::USUAL);
        let (value, probes) = (value?, probes?);
        if let AbortProbes::Customer(customer) = &probes {
            let seen = names.customers.get(customer).and_then(Option::as_ref);
            if seen.is_some_and(|places| !places.contains(&from)) {
                let word = VANTAGES.iter().find(|(_, kind)| *kind == from).map_or("", |(word, _)| word);
                let what =
                    format!("customer \"{customer}\" has no probe from {word}, so this line is never met");
                value.wrong(what, "write another from, or add such a probe to the customer");
            }
        }
        Some(AbortLine { probes, from, fails })
    };
    let known = ["probes", "from", "fails"];
    top.sections("abort", "[[abort]]", &known).into_iter().filter_map(read).collect()
}

fn abort_probes(value: &Value<'_>, names: &Names) -> Option<AbortProbes> {
    if value.line()? == "required" {
        return Some(AbortProbes::Required);
    }
    let name: CustomerName = value.name()?;
    if names.customers.contains_key(&name) {
        return Some(AbortProbes::Customer(name));
    }
    let words = std::iter::once("required").chain(names.customers.keys().map(CustomerName::as_str));
    let right = choose(name.as_str(), words);
    value.wrong(format!("\"{name}\" is neither \"required\" nor a customer of the plan"), right);
    None
}

/// The accepted differences; `opens` is when the window does, where that is known.
pub(super) fn accepts(top: &Table<'_>, names: &Names, opens: Option<Time>) -> Vec<Accept> {
    let mut once = Once::new();
    let domains = DOMAINS.map(|domain| (domain, domain));
    let read = |table: Table<'_>| {
        let host = table
            .need("host", "host = \"web1\"")
            .and_then(|v| names.any_host(&v, "a difference is accepted on"));
        let domain = table.need("domain", "domain = \"network\"").and_then(|v| v.one_of(&domains));
        let item = table.need("item", "item = \"docker0\", as the gate names it");
        let item_name = item.as_ref().and_then(|v| v.words());
        let fingerprint = table
            .need("fingerprint", "fingerprint = \"b3:...\", as the gate shows it")
            .and_then(|v| fingerprint(&v));
        let reason = table.need("reason", "reason = \"why it is fine\"").and_then(|v| v.words());
        let until = table.need("until", "until = 2027-01-01");
        let ends = until.as_ref().and_then(Value::day_or_time);
        if let (Some(value), Some(ends), Some(opens)) = (&until, ends, opens)
            && ends <= opens
        {
            value.wrong(
                "this acceptance has ended before the window opens",
                "look at the difference again and write a later date, or take it out",
            );
        }
        let accept = Accept {
            host: host?,
            domain: domain?.to_owned(),
            item: item_name?.to_owned(),
            fingerprint: fingerprint?,
            reason: reason?.to_owned(),
            until: ends?,
        };
        if let Some(value) = &item {
            let key = (accept.host.clone(), accept.domain.clone(), accept.item.clone());
            once.note(key, value, || "this difference is accepted twice".to_owned(), "keep one of the two");
        }
        Some(accept)
    };
    let known = ["host", "domain", "item", "fingerprint", "reason", "until"];
    top.sections("accept", "[[accept]]", &known).into_iter().filter_map(read).collect()
}

/// `b3:` and at least eight digits of a BLAKE3 hash.
fn fingerprint(value: &Value<'_>) -> Option<String> {
    let line = value.line()?;
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let digits = line.strip_prefix("b3:").filter(|d| (8..=64).contains(&d.len()) && d.bytes().all(digit));
    if digits.is_none() {
        value.wrong(
            format!("{} is not a fingerprint", quoted(line)),
            "copy it from the gate: b3: and 8 to 64 of 0-9 a-f",
        );
        return None;
    }
    Some(line.to_owned())
}

pub(super) fn hooks(top: &Table<'_>) -> Vec<Hook> {
    let read = |table: Table<'_>| {
        let moments = [("before", HookWhen::Before), ("after", HookWhen::After)];
        let when = table.need("when", "when = \"before\"").and_then(|v| v.one_of(&moments));
        let argv = table.need("argv", "argv = [\"lb-drain\", \"{host}\"]");
        let words = argv.as_ref().map(command).unwrap_or_default();
        let undo = table.get("undo").map(|v| command(&v)).unwrap_or_default();
        if let Some(value) = argv.as_ref().filter(|v| v.is_empty_list()) {
            value.wrong("a hook has no program", "write its words: argv = [\"lb-drain\", \"{host}\"]");
        }
        Some(Hook { when: when?, argv: words, undo })
    };
    top.sections("hook", "[[hook]]", &["when", "argv", "undo"]).into_iter().filter_map(read).collect()
}

/// The words of a program on the cockpit's machine; `{host}` is the one placeholder.
fn command(value: &Value<'_>) -> Vec<String> {
    let mut words = Vec::new();
    for (i, item) in value.items().iter().enumerate() {
        let Some(line) = (if i == 0 { item.words() } else { item.line() }) else { continue };
        let placeholder = |part: &&str| {
            let name = part.split_once('}').map(|(name, _)| name);
            name.is_some_and(|n| {
                n != "host" && !n.is_empty() && n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
        };
        if line.split('{').skip(1).any(|part| placeholder(&part)) {
            item.wrong(
                format!("{} has a placeholder that is not known", quoted(line)),
                "write {host}, which stands for the host's name",
            );
        }
        words.push(line.to_owned());
    }
    words
}

pub(super) fn people(top: &Table<'_>) -> Vec<Person> {
    let (mut names, mut keys) = (Once::new(), Once::new());
    let read = |table: Table<'_>| {
        let value = table.need("name", "name = \"raj\"");
        let name: Option<PersonName> = value.as_ref().and_then(Value::name);
        if let (Some(value), Some(name)) = (&value, &name) {
            let again = || format!("person \"{name}\" is in the plan twice");
            names.note(name.clone(), value, again, "give each person a name of their own");
        }
        let key = table.need("key", "key = \"ssh-ed25519 AAAA...\"").and_then(|v| {
            let key = public_key(&v)?;
            // The second person has to be another one. The comment is no part of a key.
            let body: Vec<String> = key.split_whitespace().take(2).map(str::to_owned).collect();
            keys.note(
                body,
                &v,
                || "two people have this key".to_owned(),
                "give each person the key that they alone hold",
            );
            Some(key)
        });
        let roles = [("approver", Role::Approver), ("watcher", Role::Watcher)];
        let role = table.need("role", "role = \"approver\"").and_then(|v| v.one_of(&roles));
        Some(Person { name: name?, key: key?, role: role? })
    };
    top.sections("person", "[[person]]", &["name", "key", "role"]).into_iter().filter_map(read).collect()
}

/// An OpenSSH public key on one line. Whether it is a sound key is seen when a signature is checked.
fn public_key(value: &Value<'_>) -> Option<String> {
    const KINDS: [&str; 7] = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-rsa",
    ];
    let line = value.line()?;
    let mut parts = line.split_whitespace();
    let kind = parts.next().filter(|kind| KINDS.contains(kind));
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    // Every key begins with the length of its kind: three zero bytes.
    let body = parts.next().filter(|b| b.len() >= 40 && b.starts_with("AAAA") && b.bytes().all(base64));
    if kind.is_none() || body.is_none() {
        let right = "write the one line of their .pub file, as in \"ssh-ed25519 AAAA...\"";
        value.wrong(format!("{} is not an ssh public key", quoted(line)), right);
        return None;
    }
    Some(line.to_owned())
}

pub(super) fn vantages(top: &Table<'_>, names: &Names) -> Vec<Vantage> {
    // A vantage may well be on the baseline's machine, so its destinations are looked at alone.
    let (mut once, mut destinations) = (Once::new(), Once::new());
    let read = |table: Table<'_>| {
        let value = table.need("name", "name = \"paris\"");
        let name: Option<HostName> = value.as_ref().and_then(Value::name);
        if let (Some(value), Some(name)) = (&value, &name) {
            let again = || format!("vantage \"{name}\" is in the plan twice");
            once.note(name.clone(), value, again, "give each vantage its own name");
            if names.live.contains(name) || names.baseline.as_ref() == Some(name) {
                value
                    .wrong(format!("vantage \"{name}\" has the name of a host"), "give it a name of its own");
            }
            if VANTAGES.iter().any(|(word, _)| *word == name.as_str()) {
                let what =
                    format!("a vantage can't be called \"{name}\": the word says from where a probe is made");
                value.wrong(what, "give it the name of its place");
            }
        }
        let ssh = table
            .need("ssh", "ssh = \"probe@198.51.100.9\"")
            .and_then(|v| destination(&v, &mut destinations));
        Some(Vantage { name: name?, ssh: ssh? })
    };
    top.sections("vantage", "[[vantage]]", &["name", "ssh"]).into_iter().filter_map(read).collect()
}

pub(super) fn tls_ca(top: &Table<'_>) -> Option<String> {
    let table = top.section("tls", "[tls]", &["ca"])?;
    table.need("ca", "ca = \"/etc/ssl/our-ca.pem\"").and_then(|v| v.words()).map(str::to_owned)
}
