//! A first draft of `window.toml` from a list of hosts: commented, complete, and one that `read`
//! takes as it stands. Pure: the hosts and the time are given.

use std::collections::BTreeSet;

use chrono::{Days, NaiveTime};

use super::error::quoted;
use super::text;
use crate::types::{HostName, Time, Untrusted};

/// What a draft is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Now; the window is proposed for the evening of the next day (UTC).
    pub now: Time,
    /// The hosts as (name, ssh destination), the baseline among them. A name that can't be one in a
    /// plan is changed, and a host that can't be reached as written becomes a comment.
    pub hosts: Vec<(String, String)>,
}

/// Hosts that stand in where none are known: addresses that belong to nobody (RFC 5737).
const EXAMPLES: [(&str, &str); 3] =
    [("test1", "ops@192.0.2.10"), ("web1", "ops@192.0.2.11"), ("web2", "ops@192.0.2.12")];

/// A commented plan for these hosts. Every host that can be taken is in it, so that nothing has to be
/// filled in before `read` takes it; what has to be looked at is said in its comments. Where there is
/// no such host, example hosts stand in for them.
///
/// A setting that is commented out has no space behind its `#`; prose has one.
pub fn draft(input: &Draft) -> String {
    let (mut hosts, refused) = usable(&input.hosts);
    let example = hosts.is_empty();
    if example {
        hosts = EXAMPLES.map(|(name, ssh)| (name.to_owned(), ssh.to_owned())).to_vec();
    }
    let baseline = baseline_among(&hosts);
    let (opens, closes) = evening(input.now);
    let mut out = format!(
        "# A maintenance window for holdpoint: look at every line, then `holdpoint check` this file.\n\
         # Settings behind a # are the defaults, or examples.\n\n\
         [window]\n\
         name   = \"Security updates\"\n\
         #ticket = \"CHG-0000\"\n\
         opens  = {opens}     # UTC; the time that was agreed, with customers told\n\
         closes = {closes}\n\n"
    );
    if example {
        out.push_str("# EXAMPLES: no hosts were found, so put your own in place of these.\n");
    }
    match baseline.and_then(|at| hosts.get(at).map(|host| (at, host))) {
        Some((_, (name, ssh))) => {
            let why = if is_test(name) {
                "Proposed because of its name"
            } else {
                "LOOK HERE: no host is called test or staging, so this is only the first of the list"
            };
            out.push_str(&format!(
                "# The test host on which the updates are rehearsed: applied, rolled back and applied again.\n\
                 # {why}.\n\
                 [baseline]\nhost = {}\nssh  = {}\n\n",
                literal(name),
                literal(ssh)
            ));
        }
        None => out.push_str(
            "# The test host on which the updates are rehearsed; without one the host with the smallest\n\
             # weight is the canary.\n#[baseline]\n#host = \"test1\"\n#ssh  = \"ops@192.0.2.10\"\n\n",
        ),
    }
    out.push_str(
        "# The live hosts. ssh is anything that ~/.ssh/config knows; \"local\" is this machine.\n\
         # Also possible for each: group (never two of a group at once), console (shown when the host\n\
         # can't be reached), logs (files to follow), weight (added to the sum of its customers').\n",
    );
    let mut first = None;
    for (at, (name, ssh)) in hosts.iter().enumerate() {
        if Some(at) == baseline {
            continue;
        }
        first.get_or_insert(name);
        out.push_str(&format!("[[host]]\nname = {}\nssh  = {}\n\n", literal(name), literal(ssh)));
    }
    if !refused.is_empty() {
        out.push_str("# Left out, since a plan can't take them as they are, or has their machine already:\n");
        for (name, ssh) in refused {
            let shown =
                |text: &str| if secret(text) { "(holds a password)".to_owned() } else { quoted(text) };
            out.push_str(&format!("#  {} {}\n", shown(&name), shown(&ssh)));
        }
        out.push('\n');
    }
    let host = literal(first.map_or("web1", String::as_str));
    out.push_str(&customers(&host));
    out.push_str(POLICY);
    out.push_str(RULES);
    out
}

/// Hosts as (name, ssh destination).
type Pairs = Vec<(String, String)>;

/// The hosts that a plan takes, with names made to fit, and those that it doesn't take.
fn usable(hosts: &[(String, String)]) -> (Pairs, Pairs) {
    let (mut names, mut destinations) = (BTreeSet::new(), BTreeSet::new());
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (name, ssh) in hosts {
        let sound = text::destination_flaw(ssh).is_none() && text::flaw(ssh).is_none() && !secret(ssh);
        match fitting(name, &names) {
            Some(fit) if sound && destinations.insert(ssh) => {
                names.insert(fit.clone());
                taken.push((fit, ssh.clone()));
            }
            _ => refused.push((name.clone(), ssh.clone())),
        }
    }
    (taken, refused)
}

fn secret(ssh: &str) -> bool {
    text::flaw(ssh) == Some(text::Flaw::Secret)
        || text::has_password(ssh.strip_prefix("ssh://").unwrap_or(ssh))
}

/// A host name near to this one that is not taken; `None` where nothing of it is left.
fn fitting(name: &str, taken: &BTreeSet<String>) -> Option<String> {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mapped: String = name.chars().map(keep).collect();
    let base: String =
        mapped.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().take(56).collect();
    let numbered = (2..10_000).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone())
        .chain(numbered)
        .find(|fit| !taken.contains(fit))
        .filter(|fit| fit.parse::<HostName>().is_ok() && !base.is_empty())
}

fn is_test(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("test") || name.starts_with("staging")
}

/// Which host is proposed as the baseline. The only host there is has to be a live one.
fn baseline_among(hosts: &[(String, String)]) -> Option<usize> {
    if hosts.len() < 2 {
        return None;
    }
    Some(hosts.iter().position(|(name, _)| is_test(name)).unwrap_or(0))
}

/// From 22:00 to 24:00 UTC of the next day, as TOML has it.
fn evening(now: Time) -> (String, String) {
    let day = |days| now.date_naive().checked_add_days(Days::new(days)).unwrap_or(now.date_naive());
    let at =
        |day: chrono::NaiveDate, time: NaiveTime| day.and_time(time).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let late = NaiveTime::from_hms_opt(22, 0, 0).unwrap_or(NaiveTime::MIN);
    (at(day(1), late), at(day(2), NaiveTime::MIN))
}

/// A TOML string.
fn literal(text: &str) -> String {
    // What gets here has been checked and needs no escape; it is escaped all the same.
    format!("\"{}\"", Untrusted::new(text).shown().replace('\\', "\\\\").replace('"', "\\\""))
}

fn customers(host: &str) -> String {
    format!(
        "# Customers make the plan worth more: each gives its host a weight, and so the order (small\n\
         # before large), and says by its probes whether it is served. A host without any is UNPROBED.\n\
         # Forms of probes: {forms}.\n\
         # The long form: {{ probe = \"tcp:443\", from = \"inside\", every = \"2s\", timeout = \"3s\", delay = \"0s\",\n\
         # fails = \"3 of 5\", required = true }}; a URL takes body = 'a regular expression' for its page too.\n\
         # Certificates must be for the URL's host (or NAME), valid, and trusted by this system or [tls] ca;\n\
         # tls:PORT takes a trusted one for any name. Databases: PGUSER, PGPASSWORD and ~/.pgpass of whoever\n\
         # runs the cockpit; never the plan.\n\
         #[[customer]]\n\
         #name    = \"acme\"\n\
         #host    = {host}\n\
         #weight  = 400                # how many people notice\n\
         #address = \"192.0.2.21\"\n\
         #probes  = [\"ping\", \"tcp:443\", \"https://www.acme.example/health\"]\n\
         #zone    = \"Europe/Berlin\"    # for notices\n\n",
        forms = super::FORMS
    )
}

/// Every line of the policy with its default; a test holds them to `Policy::default`.
const POLICY: &str = r#"#[policy]
# The grace of the timer on the host after apply, reboot, verify and bake; then it rolls back by itself.
#confirm_within    = "10m"
# How long a batch is watched before it is confirmed.
#bake              = "10m"
# Changes in one batch, at most.
#max_changes       = 15
# Classes that take a batch of their own.
#alone             = ["kernel", "libc", "init"]
# Whether a package may be removed.
#allow_removals    = false
# How old a rehearsal may be.
#rehearsal_max_age = "14d"
# Kept free before the window closes.
#margin            = "6m"
# At an abort line and at abort-by: armed = countdown, then roll back; ask = a sheet, silence holds;
# off = alarm only. The host's own timer fires regardless.
#auto_rollback     = "armed"
# How long that countdown lasts.
#countdown         = "60s"
# How changes are cut into batches: security-first, source, class, one-by-one, all or listed.
#strategy          = "security-first"
# Gates for which a waiver wants a second person, as in ["drift", "proof"].
#second_person     = []
# The order of hosts, in place of the computed one; name all of them.
#order             = []
# Take a snapshot of the root file system before the first change of each batch, where a host can (btrfs, LVM,
# ZFS) and no live data shares it. Nothing puts one back by itself.
#snapshots         = false
# Where package files are that the archive no longer has: a URL template, fetched by the hosts with apt's
# own downloader after their archive, their cache and the other hosts of the plan. In braces: filename (as
# a pool has it, without the epoch), aptname (as apt's cache has it, the epoch's colon as %3a), name,
# version, arch, source, prefix (the pool's folder of the source: o, libx). For a plain folder of .debs
# "https://debs.example/{filename}"; for Debian's snapshots
# "https://snapshot.debian.org/archive/debian/20261101T000000Z/pool/main/{prefix}/{source}/{filename}".
#snapshot_archive  = ""

"#;

/// What else there is.
const RULES: &str = r#"# Lines agreed in calm: one that is met means roll back.
#[[abort]]
#probes = "required"             # or a customer's name
#from   = "outside"
#fails  = "3 of 5"

# Says whether the place that probes are made from works itself.
#[[control]]
#probe = "https://status.example/"

# Programs of this machine around each host, without a shell.
#[[hook]]
#when = "before"
#argv = ["lb-drain", "{host}"]
#undo = ["lb-ready", "{host}"]

# Further places to probe from.
#[[vantage]]
#name = "paris"
#ssh  = "probe@198.51.100.9"
"#;

#[cfg(test)]
mod tests {
    use super::super::{Plan, Policy, Probe, ProbeTarget, read};
    use super::*;
    use proptest::prelude::*;

    fn input(hosts: &[(&str, &str)]) -> Draft {
        let hosts = hosts.iter().map(|(name, ssh)| (name.to_string(), ssh.to_string())).collect();
        Draft { now: "2026-12-30T23:59:59Z".parse().expect("a time"), hosts }
    }

    fn plan(text: &str) -> Plan {
        read("window.toml", text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    /// With every setting that is commented out taken in.
    fn uncommented(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn a_draft_parses_and_proposes_the_test_host_and_tomorrow() {
        let text = draft(&input(&[("web1", "web1"), ("staging-a", "ops@192.0.2.9"), ("web2", "web2")]));
        let plan = plan(&text);
        assert_eq!(plan.window.opens, "2026-12-31T22:00:00Z".parse::<Time>().expect("a time"));
        assert_eq!(plan.window.closes, "2027-01-01T00:00:00Z".parse::<Time>().expect("a time"));
        let baseline = plan.baseline.expect("a baseline");
        assert_eq!((baseline.host.as_str(), baseline.ssh.as_str()), ("staging-a", "ops@192.0.2.9"));
        assert_eq!(plan.hosts.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["web1", "web2"]);
        assert_eq!(plan.policy, Policy::default());
        assert!(plan.customers.is_empty());
        assert!(!text.contains("LOOK HERE") && !text.contains("EXAMPLES"), "{text}");
    }

    #[test]
    fn without_a_test_host_the_first_is_proposed_loudly_and_one_host_is_a_live_one() {
        let text = draft(&input(&[("db1", "db1"), ("db2", "db2")]));
        assert!(text.contains("LOOK HERE"), "{text}");
        assert_eq!(plan(&text).baseline.map(|b| b.host.to_string()), Some("db1".to_owned()));
        let one = plan(&draft(&input(&[("test1", "local")])));
        assert_eq!((one.baseline, one.hosts.len()), (None, 1));
    }

    #[test]
    fn without_hosts_it_is_a_template_with_examples() {
        let text = draft(&input(&[]));
        assert!(text.contains("EXAMPLES"), "{text}");
        assert_eq!(plan(&text).hosts.len(), 2);
    }

    #[test]
    fn every_setting_behind_a_hash_is_one_and_the_policy_is_the_default() {
        let plan = plan(&uncommented(&draft(&input(&[("test1", "a"), ("web1", "b")]))));
        assert_eq!(plan.policy, Policy::default());
        assert_eq!(plan.window.ticket.as_deref(), Some("CHG-0000"));
        let [customer] = plan.customers.as_slice() else { panic!("{:?}", plan.customers) };
        assert_eq!(customer.host.as_str(), "web1");
        assert!(matches!(customer.probes.as_slice(), [Probe { target: ProbeTarget::Ping, .. }, _, _]));
        assert_eq!(
            (plan.aborts.len(), plan.controls.len(), plan.hooks.len(), plan.vantages.len()),
            (1, 1, 1, 1)
        );
        for key in [
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
        ] {
            assert!(POLICY.contains(&format!("\n#{key} ")), "{key}");
        }
    }

    #[test]
    fn hosts_that_a_plan_can_not_take_are_named_in_a_comment() {
        let text = draft(&input(&[
            ("web 1", "web1"),
            ("web-1", "web2"),
            ("\u{1b}[2J\n[[host]]", "-oProxyCommand=x"),
            ("again", "web1"),
            ("", "web3"),
            ("pw", "ops:secret@web4"),
        ]));
        let plan = plan(&text);
        assert_eq!(plan.baseline.map(|b| b.host.to_string()), Some("web-1".to_owned()));
        assert_eq!(plan.hosts.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["web-1-2"]);
        assert!(text.contains("#  \"\\e[2J\\n[[host]]\" \"-oProxyCommand=x\"\n"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("secret"), "{text}");
    }

    proptest! {
        #[test]
        fn every_draft_parses(
            hosts in prop::collection::vec((any::<String>(), prop_oneof!["[a-z@:-]{0,6}", any::<String>()]), 0..6),
        ) {
            let text = draft(&Draft { hosts, ..input(&[]) });
            prop_assert!(read("window.toml", &text).is_ok(), "{}", text);
        }
    }
}
