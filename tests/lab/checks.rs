//! `check` on hosts where nothing is installed, and on one that is not who it was.

use serde_json::Value;

use crate::fleet::Fleet;
use crate::program::{on_plan, plan};

fn update<'a>(check: &'a Value, host: &str, package: &str) -> &'a Value {
    let hosts = check["hosts"].as_array().expect("hosts");
    let host = hosts.iter().find(|found| found["name"] == host).expect("the host");
    let updates = host["updates"].as_array().expect("updates");
    let whose =
        |update: &&Value| update["subject"].as_str().is_some_and(|s| s.split(':').next() == Some(package));
    updates.iter().find(whose).unwrap_or(&Value::Null)
}

#[test]
fn a_check_reads_hosts_without_anything_installed_and_changes_nothing() {
    let Some(fleet) = Fleet::up("check", &["test1", "web1", "web2"]) else { return };
    let plan = plan(&fleet, &["web1", "web2"], &[]);
    let hosts = ["test1", "web1", "web2"];
    for host in hosts {
        fleet.lab("sudo", &[host, "off"]);
    }
    let before: Vec<_> = hosts.iter().map(|host| fleet.manifest(host)).collect();
    let ran = on_plan(&fleet, "check", &plan, &["--json"]).must_end(20);
    let check: Value = serde_json::from_str(&ran.out).expect("one object, and nothing else");
    assert_eq!(check["format"], "holdpoint.check/1");
    assert_eq!(check["go"], false);
    assert_eq!(check["hosts"].as_array().map(Vec::len), Some(3));
    for host in check["hosts"].as_array().expect("hosts") {
        assert_eq!(host["state"], "up", "{host}");
    }
    let vlan = update(&check, "web1", "hp-vlan-tools");
    assert_eq!((&vlan["standing"], &vlan["to"]), (&"UNTESTED".into(), &"2.0-2".into()), "{vlan}");
    assert!(update(&check, "web2", "hp-vlan-tools").is_null());
    let rsync = update(&check, "web2", "hp-rsync");
    assert_eq!((&rsync["standing"], &rsync["from"]), (&"OTHER-FROM".into(), &"3.2.6-1".into()), "{rsync}");
    assert_eq!(update(&check, "web1", "hp-rsync")["standing"], "SAME");
    assert_eq!(update(&check, "web1", "hp-libssl3")["security"], true);
    // Before any rehearsal the same list is not the same as rehearsed.
    assert_eq!(update(&check, "web1", "hp-libssl3")["rehearsed"], Value::Null);
    let words = on_plan(&fleet, "check", &plan, &[]).must_end(20);
    for (package, why) in [
        ("hp-held", "hold"),
        ("hp-pinned", "pin"),
        ("hp-phased", "phased"),
        ("hp-mailer", "dependency"),
        ("hp-stuck", "dependency"),
    ] {
        let kept = update(&check, "web1", package);
        assert_eq!(kept["standing"], "KEPT", "{package}: {kept}");
        let line = words.out.lines().find(|line| line.contains(package)).unwrap_or_default();
        assert!(line.contains(&format!("({why})")), "{package}: {line}");
    }
    let gates = check["gates"].as_array().expect("gates");
    let held = |gate: &str| {
        let of = gates.iter().filter(|found| found["gate"] == gate);
        of.map(|found| found["state"].as_str().expect("a state")).collect::<Vec<_>>()
    };
    assert!(!held("rehearsed").is_empty() && held("rehearsed").iter().all(|state| *state == "held"));
    assert!(!held("plan").is_empty() && held("plan").iter().all(|state| *state == "held"));
    assert!(held("time").iter().all(|state| *state == "clear"), "{:?}", held("time"));
    for (host, before) in hosts.iter().zip(&before) {
        before.assert_same(&fleet.manifest(host), "after a check");
        fleet.on(host, "test ! -e /var/lib/holdpoint && test ! -e /usr/local/sbin/holdpoint-helper");
    }
    // Without a plan: hosts alone, the first of them the baseline.
    let hosts = crate::program::run(&fleet, &["check", "test1", "web1", "--json"]).must_end(20);
    let check: Value = serde_json::from_str(&hosts.out).expect("one object");
    assert_eq!(update(&check, "web1", "hp-vlan-tools")["standing"], "UNTESTED");
}

#[test]
fn a_host_key_that_changed_is_a_hard_stop() {
    let Some(fleet) = Fleet::up("hostkey", &["test1", "web1"]) else { return };
    let plan = plan(&fleet, &["web1"], &[]);
    fleet.lab("new-hostkey", &["web1"]);
    let ran = on_plan(&fleet, "check", &plan, &[]).must_end(40);
    ran.must_say("STOP");
    let json = on_plan(&fleet, "check", &plan, &["--json"]).must_end(40);
    let check: Value = serde_json::from_str(&json.out).expect("one object");
    assert_eq!(check["go"], false);
    on_plan(&fleet, "enroll", &plan, &[]).must_end(40).must_say("STOP");
    fleet.on("web1", "test ! -e /usr/local/sbin/holdpoint-helper");
    fleet.lab("new-hostkey", &["web1", "--undo"]);
    on_plan(&fleet, "check", &plan, &[]).must_end(20);
}
