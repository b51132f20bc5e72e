//! Plans read from text: the full example, the smallest one, and what is wrong with others.

use proptest::prelude::*;

use super::Strategy;
use super::*;
use crate::types::Span;

const FULL: &str = include_str!("fixtures/full.toml");
const WRONG: &str = include_str!("fixtures/wrong.toml");

const SMALLEST: &str = "[window]
name = \"Updates\"
opens = 2026-11-21T22:00:00Z
closes = 2026-11-22T00:00:00Z
[[host]]
name = \"web1\"
ssh = \"web1\"
";

/// The smallest plan with more lines behind it: the first of them is line 8.
fn with(more: &str) -> String {
    format!("{SMALLEST}{more}")
}

fn good(text: &str) -> Plan {
    read("window.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn wrong(text: &str) -> String {
    match read("window.toml", text) {
        Err(errors) => errors.to_string(),
        Ok(_) => panic!("this is no error:\n{text}"),
    }
}

fn at(text: &str) -> Time {
    text.parse().expect("a time")
}

#[test]
fn the_full_example_gives_what_it_says() {
    let plan = good(FULL);
    let web1: HostName = "web1".parse().expect("a name");
    assert_eq!(plan.hash, Blake3::of(FULL.as_bytes()));
    assert!(plan.is_sealed_as(FULL) && !plan.is_sealed_as(&format!("{FULL}\n")));
    assert_eq!(
        plan.window,
        Window {
            name: "November security updates".into(),
            ticket: Some("CHG-4471".into()),
            opens: at("2026-11-21T22:00:00Z"),
            closes: at("2026-11-22T00:00:00Z"),
        }
    );
    let baseline = Baseline { host: "test1".parse().expect("a name"), ssh: "ops@192.0.2.10".into() };
    assert_eq!(plan.baseline, Some(baseline));
    assert_eq!(
        plan.hosts,
        [Host {
            name: web1.clone(),
            ssh: "ops@192.0.2.11".into(),
            group: Some("web".into()),
            console: Some("https://kvm.example/web1".into()),
            logs: vec!["/var/log/nginx/error.log".into()],
            weight: 0,
        }]
    );
    let probe = |target, from| Probe {
        target,
        from,
        every: Span::secs(2),
        timeout: Span::secs(3),
        delay: Span::ZERO,
        fails: Limit { fails: 3, of: 5 },
        required: true,
        body: None,
    };
    let https = |host: &str, path: &str| ProbeTarget::Http {
        tls: true,
        host: host.into(),
        port: 443,
        path: path.into(),
    };
    assert_eq!(
        plan.customers,
        [Customer {
            name: "acme".parse().expect("a name"),
            host: web1.clone(),
            weight: 400,
            address: Some("192.0.2.21".parse().expect("an address")),
            probes: vec![
                probe(ProbeTarget::Ping, VantageKind::Outside),
                probe(ProbeTarget::Tcp { port: 443 }, VantageKind::Outside),
                probe(https("www.acme.example", "/health"), VantageKind::Outside),
                probe(ProbeTarget::Postgres { database: "acme".into() }, VantageKind::Inside),
                probe(ProbeTarget::Tcp { port: 443 }, VantageKind::Inside),
            ],
            zone: Some("Europe/Berlin".into()),
        }]
    );
    let policy =
        Policy { strategy: Strategy::Listed, second_person: vec!["drift".into()], ..Policy::default() };
    assert_eq!(plan.policy, policy);
    let line = |probes, from, fails, of| AbortLine { probes, from, fails: Limit { fails, of } };
    assert_eq!(
        plan.aborts,
        [
            line(AbortProbes::Required, VantageKind::Outside, 3, 5),
            line(AbortProbes::Customer("acme".parse().expect("a name")), VantageKind::Inside, 2, 3),
        ]
    );
    assert_eq!(plan.controls, [probe(https("status.example", "/"), VantageKind::Outside)]);
    assert_eq!(
        plan.accepts,
        [Accept {
            host: web1.clone(),
            domain: "network".into(),
            item: "docker0".into(),
            fingerprint: "b3:0123456789abcdef".into(),
            reason: "containers of the build".into(),
            until: at("2027-01-02T00:00:00Z"),
        }]
    );
    let words = |program: &str| vec![program.to_owned(), "{host}".to_owned()];
    assert_eq!(
        plan.hooks,
        [Hook { when: HookWhen::Before, argv: words("lb-drain"), undo: words("lb-ready") }]
    );
    let packages = vec!["openssl".parse().expect("a name"), "libssl3".parse().expect("a name")];
    assert_eq!(plan.batches, [ListedBatch { host: Some(web1.clone()), packages }]);
    assert_eq!((plan.people[0].name.as_str(), plan.people[0].role), ("raj", Role::Approver));
    assert_eq!(plan.tls_ca.as_deref(), Some("/etc/ssl/our-ca.pem"));
    let paris = Vantage { name: "paris".parse().expect("a name"), ssh: "probe@198.51.100.9".into() };
    assert_eq!(plan.vantages, [paris]);
    assert_eq!((plan.weight(&web1), order(&plan)), (400, vec![web1]));
}

#[test]
fn the_smallest_plan_is_a_window_and_a_host() {
    let plan = good(SMALLEST);
    assert_eq!((plan.hosts.len(), plan.baseline.is_none(), &plan.policy), (1, true, &Policy::default()));
    assert_eq!(plan.reference().map(HostName::as_str), Some("web1"));
    let long = SMALLEST.replace("2026-11-22T00:00:00Z", "2026-11-29T03:30:00+05:30");
    assert_eq!(good(&long).window.closes, at("2026-11-28T22:00:00Z"));
    good(&SMALLEST.replace('\n', "\r\n"));
}

#[test]
fn a_plan_with_many_errors_gives_all_of_them_in_one_go() {
    insta::assert_snapshot!(wrong(WRONG), @r#"
    window.toml:5:10: the window closes before it opens (2026-11-21T22:00:00Z); write a later time in closes, or an earlier one in opens
    window.toml:12:8: host "web1" is also the baseline; take one of the two out: the baseline is never a live host
    window.toml:13:8: ssh destination "-oProxyCommand=reboot" begins with - and would be taken for an option; write a name of the ssh configuration, HOST, USER@HOST, or "local" for this machine
    window.toml:18:1: unknown key "wieght" in [[host]]; did you mean "weight"?
    window.toml:21:8: host "web2" is in the plan twice (first on line 16); give each host its own name
    window.toml:24:3: unknown key "custmer" in the plan; did you mean "customer"?
    window.toml:29:10: customer "acme" is on host "web9", which is not in the plan; write one of: web1, web2
    window.toml:30:10: "weight" can't be -1; write a whole number from 0 to 1000000000000
    window.toml:31:11: probe "ping" needs an address, and customer "acme" has none; write address = "192.0.2.21" for this customer, or probe a URL
    window.toml:31:19: "tpc:443" is not a probe; write one of: ping, tcp:PORT, tls:PORT, tls:PORT:NAME, tls:PORT=NAME, http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH, dns:NAME, postgres:DATABASE, exec:WORD WORD...
    window.toml:31:40: a secret is written in "probe"; take it out: a secret is named, never written, since the plan goes into reviews and recordings; keep it in an environment variable or a file (for PostgreSQL ~/.pgpass) and name that
    window.toml:31:85: "5 of 3" is not a number of failures; write "3 of 5": from 1 to 100, and the first no larger than the second
    window.toml:34:17: "10 minutes" is not a length of time; write a number and a unit (ms, s, m, h, d), as in "90s", "10m" or "1h30m"
    window.toml:35:18: "drfit" is none of the words for "second_person"; did you mean "drift"? write one of: plan, order, rehearsed, drift, persists, size, proof, practised, time, health, bake, lock, people
    window.toml:36:26: the order names host "web7", which is not in the plan; write one of: web1, web2
    window.toml:37:17: the strategy is "listed" and no batch is; add a [[batch]] with packages, or write another strategy
    window.toml:38:17: "max_changes" is text; write a whole number from 1 to 100000
    "#);
}

#[test]
fn no_secret_is_ever_quoted() {
    for secret in [
        "[[customer]]\nname = \"a\"\nhost = \"web1\"\nprobes = [\"https://u:hunter2@a/\"]",
        "[[customer]]\nname = \"a\"\nhost = \"web1\"\nprobes = [\"exec:psql password=hunter2\"]",
        "[[customer]]\nname = \"a\"\nhost = \"web1\"\nprobes = [{ probe = \"http://u:hunter2@a/\", from = 1 }]",
        "[[vantage]]\nname = \"a\"\nssh = \"ops:hunter2@192.0.2.1\"",
        "[[vantage]]\nname = \"a\"\nssh = \"ssh://ops:hunter2@192.0.2.1\"",
        "[[hook]]\nwhen = \"before\"\nargv = [\"curl\", \"https://u:hunter2@a/\"]",
        "[[control]]\nprobe = \"https://u:hunter2@a/\"",
        "[policy]\nsnapshot_archive = \"https://u:hunter2@a/\"",
        "[[customer]]\nname = \"a\"\nhost = \"web1\"\ndb_password = \"hunter2\"",
    ] {
        let errors = wrong(&with(secret));
        assert!(errors.contains("a secret is named, never written"), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

/// Lines behind the smallest plan (from line 8), and the one error that they are.
#[test]
fn each_error_is_one_at_its_place_and_says_what_would_be_right() {
    let customer = |more: &str| format!("[[customer]]\nname = \"acme\"\nhost = \"web1\"\n{more}");
    let policy = |more: &str| format!("[policy]\n{more}");
    let accept = |until: &str| {
        format!(
            "[[accept]]\nhost = \"web1\"\ndomain = \"network\"\nitem = \"x\"\nfingerprint = \"b3:01234567\"\nreason = \"r\"\nuntil = {until}"
        )
    };
    let person = |name: &str, key: &str| {
        format!(
            "[[person]]\nname = \"{name}\"\nkey = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlFuPMwRZqJkUqYqmh0p{key}\"\nrole = \"approver\"\n"
        )
    };
    let cases = [
        (
            "[[custmer]]\nname = \"x\"".to_owned(),
            "8:3: unknown key \"custmer\" in the plan; did you mean \"customer\"?",
        ),
        (
            "[frobnicate]".to_owned(),
            "8:2: unknown key \"frobnicate\" in the plan; its keys are: window, baseline",
        ),
        (
            policy("\"a\\u202Eb\" = 1"),
            "9:1: unknown key \"a\\u{202e}b\" in [policy]; its keys are: confirm_within",
        ),
        ("[[policy]]".to_owned(), "8:1: \"policy\" is there once; write [policy]"),
        (
            "[customer]".to_owned(),
            "8:1: \"customer\" is a list of tables; write [[customer]] with two brackets",
        ),
        (
            "[[host]]\nname = \"web1\"\nssh = \"b\"".to_owned(),
            "9:8: host \"web1\" is in the plan twice (first on line 6); give",
        ),
        (
            "[[host]]\nname = \"b\"\nssh = \"web1\"".to_owned(),
            "10:7: ssh destination \"web1\" is there twice (first on line 7)",
        ),
        (
            "[baseline]\nhost = \"t\"\nssh = \"web1\"".to_owned(),
            "7:7: ssh destination \"web1\" is there twice (first on line 10)",
        ),
        (
            "[baseline]\nhost = \"web1\"\nssh = \"t\"".to_owned(),
            "6:8: host \"web1\" is also the baseline; take one",
        ),
        ("[baseline]\nhost = \"t\"".to_owned(), "8:1: [baseline] has no \"ssh\"; write ssh ="),
        (
            "[[host]]\nname = \"a b\"\nssh = \"b\"".to_owned(),
            "9:8: \"a b\" is not a host name; write 1 to 63",
        ),
        ("[[host]]\nname = \"b\"\nssh = \"a b\"".to_owned(), "10:7: ssh destination \"a b\" holds spaces"),
        ("[[host]]\nname = \"b\"\nssh = \"-v\"".to_owned(), "10:7: ssh destination \"-v\" begins with -"),
        (
            "[[host]]\nname = \"b\"\nssh = \"a\\u001bb\"".to_owned(),
            "10:7: \"ssh\" holds characters that can't be seen: \"a\\eb\"",
        ),
        (
            "[[host]]\nname = \"b\"\nssh = \"b\"\nlogs = [\"error.log\"]".to_owned(),
            "11:9: \"error.log\" is not the path",
        ),
        (
            "[[host]]\nname = \"b\"\nssh = \"b\"\ngroup = \"a b\"".to_owned(),
            "11:9: \"a b\" is not a group's name",
        ),
        (
            "[[customer]]\nname = \"acme\"\nhost = \"web9\"".to_owned(),
            "10:8: customer \"acme\" is on host \"web9\", which is not in the plan; write one of: web1",
        ),
        (
            customer("weight = 9_999_999_999_999"),
            "11:10: \"weight\" can't be 9999999999999; write a whole number from 0",
        ),
        (customer("weight = 1.5"), "11:10: \"weight\" is a number with a fraction; write a whole number"),
        (
            customer("weight = 1_000_000_000_000\n[[customer]]\nname = \"b\"\nhost = \"web1\"\nweight = 1"),
            "15:10: the weights on host \"web1\" add up to more than 1000000000000",
        ),
        (
            customer("probes = [\"ping\"]"),
            "11:11: probe \"ping\" needs an address, and customer \"acme\" has none",
        ),
        (
            customer("probes = [{ probe = \"postgres:x\", from = \"outside\" }]"),
            "11:11: probe \"postgres:x\" needs an address",
        ),
        (customer("probes = [\"pong\"]"), "11:11: \"pong\" is not a probe; write one of: ping, tcp:PORT"),
        (customer("probes = \"ping\""), "11:10: \"probes\" is text; write a list in brackets"),
        (customer("probes = [{ from = \"inside\" }]"), "11:11: a probe has no \"probe\"; write probe ="),
        (
            customer("probes = [{ probe = \"http://a/\", evry = \"2s\" }]"),
            "11:34: unknown key \"evry\" in a probe; did you mean \"every\"?",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", every = \"1ms\" }]"),
            "11:42: \"1ms\" is too short for \"every\"; write at least \"100ms\"",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", timeout = \"2\" }]"),
            "11:44: \"2\" is not a length of time; write a number and a unit",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", timeout = 2 }]"),
            "11:44: \"timeout\" is a whole number; write a number and a unit",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", fails = \"6 of 5\" }]"),
            "11:42: \"6 of 5\" is not a number of failures; write \"3 of 5\"",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", required = \"yes\" }]"),
            "11:45: \"required\" is text; write true or false",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", body = \" \" }]"),
            "11:41: \"body\" is empty; write something, or take the line out",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", body = 1 }]"),
            "11:41: \"body\" is a whole number; write text in quotes",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", from = \"inside\", body = \"x\" }]"),
            "11:58: a host is asked for the status of a page and does not look into its body; leave body out, or make \
             the probe from = \"outside\"",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", body = \"a(b\" }]"),
            "11:41: \"a(b\" is not a pattern for the body of probe \"http://a/\" of customer \"acme\": unclosed group; write a \
             regular expression; plain text takes a \\ before each of \\ . + * ? ( ) | [ ] { } ^ $, in TOML between single quotes",
        ),
        (
            customer("address = \"192.0.2.1\"\nprobes = [{ probe = \"tls:443\", body = \"x\" }]"),
            "12:39: probe \"tls:443\" has no body to look into; leave body out, or probe a URL",
        ),
        (
            customer("probes = [{ probe = \"http://a/\", from = \"insde\" }]"),
            "11:41: \"insde\" is none of the words for \"from\"; did you mean \"inside\"? write one of: outside, inside, peer",
        ),
        (
            customer("probes = [{ probe = \"exec:id\", from = \"outside\" }]"),
            "11:39: exec runs on the host itself",
        ),
        (
            customer("probes = [\"http://a\", \"http://a/\"]"),
            "11:23: probe \"http://a/\" is listed twice for customer \"acme\" (first on line 11)",
        ),
        (customer("address = \"192.0.2.300\""), "11:11: \"192.0.2.300\" is not an address"),
        (customer("address = \"0.0.0.0\""), "11:11: 0.0.0.0 is not the address of one customer"),
        (customer("zone = \"Berlin time\""), "11:8: \"Berlin time\" is not a time zone"),
        (format!("{0}{0}", customer("")), "12:8: customer \"acme\" is in the plan twice (first on line 9)"),
        (
            "[[customer]]\nname = \"required\"\nhost = \"web1\"".to_owned(),
            "9:8: a customer can't be called \"required\"",
        ),
        (policy("bake = \"soon\""), "9:8: \"soon\" is not a length of time"),
        (
            policy("confirm_within = \"0s\""),
            "9:18: \"0s\" is too short for \"confirm_within\"; write at least \"30s\"",
        ),
        (
            policy("margin = \"2h\""),
            "9:10: the margin of 2h leaves nothing of the window; write less than \"2h\"",
        ),
        (policy("max_changes = 0"), "9:15: \"max_changes\" can't be 0; write a whole number from 1"),
        (
            policy("alone = [\"kernal\"]"),
            "9:10: \"kernal\" is none of the words for \"alone\"; did you mean \"kernel\"?",
        ),
        (
            policy("alone = [\"libc\", \"libc\"]"),
            "9:18: this class is listed twice (first on line 9); list it once",
        ),
        (
            policy("second_person = [\"drift\"]"),
            "9:17: a second person is wanted and the plan has no approver; add a [[person]]",
        ),
        (
            policy("second_person = [\"drift\"]\n") + &person("raj", "").replace("approver", "watcher"),
            "9:17: a second person is wanted and the plan has no approver",
        ),
        (
            policy("order = [\"web9\"]"),
            "9:10: the order names host \"web9\", which is not in the plan; write one of: web1",
        ),
        (
            policy("order = [\"web1\"]\n[[host]]\nname = \"b\"\nssh = \"b\""),
            "9:9: the order leaves out b; name every live host",
        ),
        (policy("order = [\"web1\", \"web1\"]"), "9:18: this host is listed twice"),
        (
            policy("strategy = \"listed\""),
            "9:12: the strategy is \"listed\" and no batch is; add a [[batch]]",
        ),
        (
            "[[batch]]\npackages = [\"openssl\"]".to_owned(),
            "8:1: batches are listed and the strategy does not use them",
        ),
        (
            format!("{}\n[[batch]]\npackages = []", policy("strategy = \"listed\"")),
            "11:12: a batch has no package",
        ),
        (
            format!(
                "{}\n[[batch]]\npackages = [\"a0\"]\n[[batch]]\nhost = \"web1\"\npackages = [\"a0\"]",
                policy("strategy = \"listed\"")
            ),
            "14:13: package \"a0\" is listed twice (first on line 11)",
        ),
        (policy("snapshot_archive = \"ftp://x\""), "9:20: \"ftp://x\" is not a URL"),
        (
            policy("snapshot_archive = \"https://a/{pool}\""),
            "9:20: \"https://a/{pool}\" has a placeholder that nobody knows; write one of: {name}, {version}",
        ),
        (
            policy("snapshot_archive = \"https://a/pool/\""),
            "9:20: \"https://a/pool/\" is the same for every package; name the file",
        ),
        (
            "[[abort]]\nprobes = \"acme\"".to_owned(),
            "9:10: \"acme\" is neither \"required\" nor a customer of the plan; write one of: required",
        ),
        (
            format!("{}[[abort]]\nprobes = \"acme\"", customer("")),
            "12:10: customer \"acme\" has no probe from outside",
        ),
        (
            "[[control]]\nprobe = \"ping\"".to_owned(),
            "9:9: \"ping\" names no host, and a control has no customer; write a URL",
        ),
        (
            "[[control]]\nprobe = \"https://status.example/\"\nfrom = \"inside\"".to_owned(),
            "10:8: a control tells of the cockpit and of further vantages: a host that sees nothing is an outage",
        ),
        (
            "[[control]]\nprobe = \"https://status.example/\"\nfrom = \"peer\"".to_owned(),
            "10:8: a control tells of the cockpit and of further vantages: a host that sees nothing is an outage",
        ),
        (accept("2026-11-20"), "14:9: this acceptance has ended before the window opens"),
        (
            accept("2027-02-29"),
            "14:9: this is not TOML: invalid date, expected day between 01 and 28; the rest",
        ),
        (accept("\"2027-01-01\""), "14:9: \"until\" is text; write a date without quotes"),
        (accept("2027-01-01").replace("b3:", "b4:"), "12:15: \"b4:01234567\" is not a fingerprint"),
        (accept("2027-01-01").replace("network", "netwrok"), "10:10: \"netwrok\" is none of the words"),
        (
            format!("{0}\n{0}", accept("2027-01-01")),
            "18:8: this difference is accepted twice (first on line 11)",
        ),
        ("[[hook]]\nwhen = \"before\"\nargv = []".to_owned(), "10:8: a hook has no program"),
        (
            "[[hook]]\nwhen = \"before\"\nargv = [\"x\", \"{hots}\"]".to_owned(),
            "10:14: \"{hots}\" has a placeholder that is not known",
        ),
        (
            "[[person]]\nname = \"raj\"\nkey = \"ssh-dss AAAA\"\nrole = \"approver\"".to_owned(),
            "10:7: \"ssh-dss AAAA\" is not an ssh public key",
        ),
        (person("raj", " a") + &person("kim", " b"), "14:7: two people have this key (first on line 10)"),
        (
            person("raj", "a") + &person("raj", "b"),
            "13:8: person \"raj\" is in the plan twice (first on line 9)",
        ),
        (
            "[[vantage]]\nname = \"web1\"\nssh = \"x\"".to_owned(),
            "9:8: vantage \"web1\" has the name of a host",
        ),
        (
            "[[vantage]]\nname = \"inside\"\nssh = \"x\"".to_owned(),
            "9:8: a vantage can't be called \"inside\"",
        ),
        ("[tls]".to_owned(), "8:1: [tls] has no \"ca\"; write ca ="),
    ];
    let mut missed = String::new();
    for (lines, expected) in cases {
        let errors = wrong(&with(&lines));
        if !errors.starts_with(&format!("window.toml:{expected}")) || errors.lines().count() != 1 {
            missed.push_str(&format!("{lines}\nexpected {expected}\ngot      {errors}\n\n"));
        }
    }
    assert!(missed.is_empty(), "\n{missed}");
}

#[test]
fn a_body_is_a_text_of_a_url() {
    let customer = "[[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\n";
    let line = "probes = [\"http://a/\", { probe = \"https://b/\", body = \"Welcome, \\\"acme\\\"\" }]\n";
    let control = "[[control]]\nprobe = \"https://status.example/\"\nbody = \"All systems\"\n";
    let plan = good(&with(&format!("{customer}{line}{control}")));
    let bodies: Vec<_> = plan.customers[0].probes.iter().map(|probe| probe.body.as_deref()).collect();
    assert_eq!(bodies, [None, Some("Welcome, \"acme\"")]);
    assert_eq!(plan.controls[0].body.as_deref(), Some("All systems"));
    let pattern = good(&with(&format!(
        "{customer}probes = [{{ probe = \"http://a/\", body = 'Welcome, (acme|globex)\\.' }}]\n"
    )));
    assert_eq!(pattern.customers[0].probes[0].body.as_deref(), Some(r"Welcome, (acme|globex)\."));
    let json_of = serde_json::to_string(&pattern).expect("writes");
    assert_eq!(serde_json::from_str::<Plan>(&json_of).expect("reads"), pattern);
    let json = serde_json::to_string(&plan).expect("writes");
    assert_eq!(json.matches("\"body\"").count(), 2, "a plan without it reads as it was written before");
    assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads"), plan);
    assert!(serde_json::from_str::<Plan>(&json.replace("All systems", "x\\u202ey")).is_err());
}

#[test]
fn a_window_has_a_length_and_a_plan_has_hosts() {
    let closes = |closes: &str| wrong(&SMALLEST.replace("2026-11-22T00:00:00Z", closes));
    for (written, expected) in [
        (
            "2026-11-21T22:00:00Z",
            "4:10: the window closes at the moment it opens (2026-11-21T22:00:00Z); write",
        ),
        (
            "2026-11-21T23:00:00+02:00",
            "4:10: the window closes before it opens (2026-11-21T22:00:00Z); write",
        ),
        ("2026-11-22T00:00:00", "4:10: 2026-11-22T00:00:00 does not say in which zone it is; write"),
        ("2026-11-22", "4:10: \"closes\" is a date or a time; write a moment in UTC"),
        ("\"2026-11-22T00:00:00Z\"", "4:10: \"closes\" is text; write a moment in UTC without quotes"),
    ] {
        let errors = closes(written);
        assert!(errors.starts_with(&format!("window.toml:{expected}")), "{written}: {errors}");
    }
    let head = SMALLEST.split("[[host]]").next().expect("a head");
    assert_eq!(
        wrong(head),
        "window.toml:1:1: the plan has no host; write a [[host]] with name and ssh for each live host"
    );
    assert_eq!(wrong(&format!("host = []\n{head}")), wrong(head));
    assert_eq!(wrong("").lines().count(), 2, "no window and no host: {}", wrong(""));
    assert!(wrong(&"#".repeat(2 << 20)).contains("bytes; write at most"));
    assert_eq!(wrong(&format!("a = {}", "[".repeat(500_000))).lines().count(), 1, "no stack is that deep");
    assert!(wrong(&format!("{}a = 1", "a.".repeat(200_000))).contains("window.toml:1:"));
    assert!(wrong(&format!("[{}a]", "a.".repeat(200_000))).contains("window.toml:1:"));
}

#[test]
fn what_is_no_toml_is_one_error_at_its_place() {
    insta::assert_snapshot!(wrong(&with("[policy]\nbake = 10m\n[x")), @r#"window.toml:9:8: this is not TOML: string values must be quoted, expected literal string; the rest is checked once this is right"#);
    insta::assert_snapshot!(wrong(&with("[policy]\n[policy]\n")), @r#"window.toml:9:2: this is not TOML: duplicate key; the rest is checked once this is right"#);
    insta::assert_snapshot!(wrong("a = \"\u{1b}[2J"), @r#"window.toml:1:6: this is not TOML: invalid basic string, expected non-double-quote visible characters, `\`; the rest is checked once this is right"#);
}

#[test]
fn a_plan_reads_back_from_json_and_text_that_could_act_does_not() {
    for text in [FULL, SMALLEST] {
        let plan = good(text);
        let json = serde_json::to_string(&plan).expect("writes");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads"), plan);
    }
    let json = serde_json::to_string(&good(FULL)).expect("writes");
    for place in ["CHG-4471", "lb-drain", "containers of the build", "/health", "error.log", "probe@198"] {
        let hostile = json.replace(place, "x\\u202ey");
        assert_ne!(hostile, json, "{place}");
        assert!(serde_json::from_str::<Plan>(&hostile).is_err(), "{place}");
    }
    let option = json.replace("ops@192.0.2.11", "-oProxyCommand=x");
    assert_ne!(option, json);
    assert!(serde_json::from_str::<Plan>(&option).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Err(errors) = read("window.toml", &text) {
            prop_assert!(!errors.list().is_empty());
        }
    }

    /// A good plan, cut, doubled and overwritten at places: it is read, or it is refused with errors
    /// that are inside the text, in order, and can be shown.
    #[test]
    fn a_mutated_plan_is_read_or_refused(
        edits in prop::collection::vec((0..FULL.len(), 0..40_usize, prop_oneof![
            Just(String::new()), "[ -~\n]{0,12}", "\\PC{0,4}",
            Just("[[host]]\n".to_owned()), Just("-1".to_owned()), Just("\"\"".to_owned()), Just("[]".to_owned()),
            Just("{}".to_owned()), Just("true".to_owned()), Just("2026-11-21".to_owned()),
        ]), 1..4),
    ) {
        // All of it is ASCII, so every place is a boundary until an edit says otherwise.
        let mut text = FULL.to_owned();
        for (start, length, put) in edits {
            let start = (0..=start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (start + length).min(text.len());
            let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.replace_range(start..end, &put);
        }
        match read("window.toml", &text) {
            Ok(plan) => {
                let json = serde_json::to_string(&plan).expect("writes");
                prop_assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads"), plan);
            }
            Err(errors) => {
                prop_assert!(!errors.list().is_empty());
                let lines = text.split('\n').count();
                let mut before = (1, 1);
                for error in errors.list() {
                    prop_assert!(error.line <= lines && (error.line, error.column) >= before, "{}", errors);
                    before = (error.line, error.column);
                    let shown = error.to_string();
                    prop_assert_eq!(crate::types::Untrusted::new(&shown).shown(), shown);
                }
            }
        }
    }
}
