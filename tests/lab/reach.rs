//! Why a customer is not reached: faults put in between customers and their services while `holdpoint probe`
//! looks on, each told by its own verdict, and healed. The faults are in `reach.sh`.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::program::{Ran, on_plan, start};

/// Looked at well before the faults come, so that what is normal is known, in seconds.
const BEFORE: u64 = 9;
/// And that long in all: until most attempts that count are from after the faults.
const IN_ALL: u64 = 24;
/// And where answers are late: what takes as long most of the time is what is normal, since `probe` knows no before.
const WHILE_SLOW: u64 = 18;
/// And where ssh itself goes: until that is noticed.
const TO_NOTICE: u64 = 50;

/// Customers of web1, and one of web2, which is a peer.
const CUSTOMERS: &[(&str, &str, &str)] = &[
    ("acme", "web1", "192.0.2.21"),
    ("globex", "web1", "192.0.2.22"),
    ("initech", "web1", "192.0.2.23"),
    ("umbrella", "web1", "192.0.2.24"),
    ("hooli", "web2", "192.0.2.31"),
];

/// A plan that looks at each customer's page, certificate and database every second.
fn plan(fleet: &Fleet) -> PathBuf {
    let probes = |name: &str| format!("  {{ probe = \"postgres:{name}\", {EVERY} }},\n");
    plan_with(fleet, "looking.toml", "", &probes)
}

/// The same with their certificates for those that don't name whom they call, and from a second place outside.
fn plan_of_more_places(fleet: &Fleet) -> PathBuf {
    let probes = |name: &str| format!("  {{ probe = \"tls:443={name}.lab.test\", {EVERY} }},\n");
    plan_with(fleet, "places.toml", "\n[[vantage]]\nname = \"second\"\nssh = \"test1\"\n", &probes)
}

const EVERY: &str = "every = \"1s\", timeout = \"3s\", fails = \"2 of 3\"";

/// A plan with further parts, and for each customer the page and a further probe.
fn plan_with(fleet: &Fleet, file: &str, more: &str, probe: &dyn Fn(&str) -> String) -> PathBuf {
    let mut text =
        "[window]\nname = \"Looking\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T04:00:00Z\n\n\
        [baseline]\nhost = \"test1\"\nssh = \"test1\"\n"
            .to_owned();
    text += &format!("\n[tls]\nca = \"{}\"\n", fleet.ca().display());
    // The operator's own way out: the router, which no fault of a host touches.
    text += "\n[[control]]\nprobe = \"http://192.0.2.2/debian/dists/lab/InRelease\"\nevery = \"1s\"\ntimeout = \"1s\"\nfails = \"2 of 3\"\n";
    text += more;
    for host in ["web1", "web2"] {
        text += &format!("\n[[host]]\nname = \"{host}\"\nssh = \"{host}\"\n");
    }
    for (name, host, address) in CUSTOMERS {
        text += &format!(
            "\n[[customer]]\nname = \"{name}\"\nhost = \"{host}\"\nweight = 10\naddress = \"{address}\"\nprobes = [\n  \
             {{ probe = \"https://{name}.lab.test/who\", body = \"this is {name}\", {EVERY} }},\n{}]\n",
            probe(name)
        );
    }
    let file = fleet.home().join(file);
    fs::write(&file, text).expect("the plan is written");
    file
}

/// A fault: its name in `reach.sh`, at whose address, and the verdict on that customer's page or database.
struct Fault(&'static str, &'static str, &'static str, &'static str);

fn address(customer: &str) -> &'static str {
    CUSTOMERS.iter().find(|(name, ..)| *name == customer).expect("a customer").2
}

/// Looks for so many seconds, and does something to the lab meanwhile; what was seen.
fn looked(fleet: &Fleet, plan: &str, seconds: u64, meanwhile: impl FnOnce()) -> Ran {
    let seconds = format!("{seconds}s");
    let looking = start(fleet, &["probe", plan, "--json", "--for", &seconds]);
    sleep(Duration::from_secs(BEFORE));
    meanwhile();
    looking.end()
}

/// Looks, puts faults in meanwhile, heals them, and holds every verdict against what it should be. Whoever has
/// no fault is reached.
fn round(fleet: &Fleet, plan: &str, faults: &[Fault]) -> Vec<String> {
    let expected = |customer: &str, target: &str| {
        let fault = faults.iter().find(|Fault(_, whose, target_of, _)| {
            (*whose == customer || *whose == "*") && target.starts_with(target_of)
        });
        let web2 = customer == "hooli";
        fault.filter(|fault| !web2 || fault.1 == customer).map_or("reachable", |fault| fault.3)
    };
    let put = |Fault(name, whose, ..): &Fault, to: &str| {
        fleet.reach(name, to, "web1", (*whose != "*").then(|| address(whose)));
    };
    let seconds = if faults.iter().any(|fault| fault.0 == "path-slow") { WHILE_SLOW } else { IN_ALL };
    let ran = looked(fleet, plan, seconds, || faults.iter().for_each(|fault| put(fault, "on")));
    faults.iter().for_each(|fault| put(fault, "off"));
    judged(&ran, expected)
}

/// What it says of each probe of each customer.
fn rows(ran: &Ran) -> Vec<Value> {
    let Ran { out, err, .. } = ran;
    let seen: Value = serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}:\n{out}{err}"));
    assert_eq!(seen["format"], "holdpoint.probe/1");
    let rows = seen["customers"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), CUSTOMERS.len() * 2);
    rows
}

/// Every verdict that is not as expected, in words. Where several are right they stand with a bar between them.
fn judged(ran: &Ran, expected: impl Fn(&str, &str) -> &'static str) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in &rows(ran) {
        let text = |key: &str| row[key].as_str().expect(key);
        let (customer, target) = (text("customer"), text("target"));
        let (expected, found) = (expected(customer, target), text("verdict"));
        if !expected.split('|').any(|right| right == found) {
            wrong.push(format!("{customer} {target}: {found}, not {expected}: {row:#}"));
        }
    }
    wrong
}

#[test]
fn every_fault_between_a_customer_and_their_service_has_its_own_verdict() {
    let Some(fleet) = Fleet::up("reach", &["test1", "web1", "web2"]) else { return };
    let plan = plan(&fleet);
    on_plan(&fleet, "enroll", &plan, &[]).must_end(0);
    let plan = plan.display().to_string();
    let rounds: &[&[Fault]] = &[
        &[],
        &[
            Fault("address-gone", "acme", "https", "dropped-on-host"),
            Fault("arp-ignore", "globex", "https", "arp-unanswered"),
            Fault("nft-reject", "initech", "https", "rejected-by-firewall"),
            Fault("cert-other", "umbrella", "https", "wrong-certificate"),
        ],
        &[
            Fault("address-forgotten", "acme", "https", "arp-unanswered"),
            Fault("asymmetric", "globex", "https", "reply-lost"),
            Fault("upstream", "initech", "https", "not-arriving"),
            Fault("cert-expired", "umbrella", "https", "wrong-certificate"),
        ],
        &[
            Fault("rp-filter", "acme", "https", "dropped-on-host"),
            Fault("errors-500", "globex", "https", "service-error"),
            Fault("database-gone", "initech", "postgres", "database-down"),
            Fault("nft-reject-icmp", "umbrella", "https", "rejected-by-firewall"),
        ],
        &[
            Fault("nft-drop", "acme", "https", "dropped-on-host"),
            Fault("page-other", "globex", "https", "wrong-content"),
        ],
        &[
            Fault("nft-drop-replies", "acme", "https", "dropped-on-host"),
            Fault("slow", "globex", "https", "slow"),
        ],
        &[Fault("other-address", "*", "https", "not-listening")],
        &[
            Fault("nginx-down", "*", "https", "service-down"),
            Fault("postgres-down", "*", "postgres", "database-down"),
        ],
        &[Fault("nginx-hung", "*", "https", "service-hung")],
        &[Fault("path-slow", "acme", "https", "path-slow")],
    ];
    let mut wrong = Vec::new();
    for faults in rounds {
        let names: Vec<&str> = faults.iter().map(|fault| fault.0).collect();
        let found = round(&fleet, &plan, faults);
        println!("{}: {}", names.join(", "), if found.is_empty() { "as expected" } else { "WRONG" });
        wrong.extend(found.into_iter().map(|row| format!("{}: {row}", names.join(", "))));
    }
    assert!(wrong.is_empty(), "{} verdicts are wrong:\n{}", wrong.len(), wrong.join("\n"));
    looked_at_from_everywhere(&fleet);
}

/// From outside, a second place there, inside and a peer, with the packets; and a certificate of somebody else
/// is told to those too that don't say whom they call.
fn looked_at_from_everywhere(fleet: &Fleet) {
    let plan = plan_of_more_places(fleet).display().to_string();
    let ran = looked(fleet, &plan, IN_ALL, || ());
    assert_eq!(judged(&ran, |_, _| "reachable"), Vec::<String>::new());
    for row in
        rows(&ran).iter().filter(|row| row["target"].as_str().is_some_and(|to| to.starts_with("https")))
    {
        for place in ["outside", "inside", "peer"] {
            assert_eq!(row[place]["health"], "ok", "{place}: {row:#}");
        }
        assert!(row["packets"]["granted"].as_u64() >= Some(1), "{row:#}");
        let second =
            |line: &Value| line.as_str().is_some_and(|line| line.starts_with("outside (second): ok"));
        assert!(row["evidence"].as_array().is_some_and(|lines| lines.iter().any(second)), "{row:#}");
    }
    let other = |to| fleet.reach("cert-other", to, "web1", Some(address("umbrella")));
    let ran = looked(fleet, &plan, IN_ALL, || other("on"));
    other("off");
    let expected =
        |customer: &str, _: &str| if customer == "umbrella" { "wrong-certificate" } else { "reachable" };
    assert_eq!(judged(&ran, expected), Vec::<String>::new());
}

/// What befalls a host: commands of the lab that do it and undo it, and the verdicts on the pages and on the databases of
/// web1, and on those of web2. A database is asked on its own host, which can't be where ssh is gone.
struct Blow {
    name: &'static str,
    strike: (&'static str, &'static [&'static str]),
    heal: (&'static str, &'static [&'static str]),
    web1: (&'static str, &'static str),
    web2: (&'static str, &'static str),
}

#[test]
fn what_befalls_a_host_or_the_operator_is_told_from_what_befalls_a_service() {
    let Some(fleet) = Fleet::up("blows", &["test1", "web1", "web2"]) else { return };
    let plan = plan(&fleet);
    on_plan(&fleet, "enroll", &plan, &[]).must_end(0);
    let plan = plan.display().to_string();
    let fine = ("reachable", "reachable");
    let web1: &[&str] = &["web1"];
    let blows = [
        Blow {
            name: "sshd killed",
            strike: ("sshd-kill", web1),
            heal: ("sshd-mend", web1),
            web1: ("reachable", "unknown"),
            web2: fine,
        },
        Blow {
            name: "host frozen",
            strike: ("freeze", web1),
            heal: ("thaw", web1),
            web1: ("host-hung", "unknown"),
            web2: fine,
        },
        Blow {
            name: "cable out",
            strike: ("cut", web1),
            heal: ("mend", web1),
            web1: ("host-down", "unknown"),
            web2: fine,
        },
        Blow {
            name: "the operator's own network gone",
            strike: ("operator-cut", &[]),
            heal: ("operator-mend", &[]),
            web1: ("vantage-broken", "unknown"),
            web2: ("vantage-broken", "unknown"),
        },
        // What comes by ssh comes late: that is told of nobody's service, nor that nothing arrived.
        Blow {
            name: "its ssh at 8 kbit/s",
            strike: ("throttle", web1),
            heal: ("unthrottle", web1),
            web1: ("reachable", "reachable|unknown"),
            web2: fine,
        },
    ];
    let mut wrong = Vec::new();
    for Blow { name, strike, heal, web1, web2 } in blows {
        let ran = looked(&fleet, &plan, TO_NOTICE, || {
            fleet.lab(strike.0, strike.1);
        });
        fleet.lab(heal.0, heal.1);
        let found = judged(&ran, |customer, target| {
            let (page, database) = if customer == "hooli" { web2 } else { web1 };
            if target.starts_with("https") { page } else { database }
        });
        println!("{name}: {}", if found.is_empty() { "as expected" } else { "WRONG" });
        wrong.extend(found.into_iter().map(|row| format!("{name}: {row}")));
    }
    assert!(wrong.is_empty(), "{} verdicts are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
