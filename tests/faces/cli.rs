//! The command line, run as the real binary with an empty home: words, exit statuses, what is printed
//! where.

use std::path::Path;
use std::process::{Command, Output};

fn holdpoint(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdpoint"))
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", home)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs")
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn ended(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "out: {}\nerr: {}", out(output), err(output));
}

#[test]
fn every_error_of_a_plan_is_told_with_its_place() {
    let home = home();
    let plan = "[window]\nname = \"x\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-21T21:00:00Z\ncolour = 1\n\
                [[host]]\nname = \"web1\"\nssh = \"-oProxyCommand=x\"\n\
                [[customer]]\nname = \"acme\"\nhost = \"web9\"\nprobes = [\"tcp:99999\", \"gopher\"]\n";
    std::fs::write(home.path().join("window.toml"), plan).expect("written");
    let output = holdpoint(home.path(), &["check", "window.toml"]);
    ended(&output, 2);
    for place in ["window.toml:4:", "window.toml:5:", "window.toml:8:", "window.toml:11:", "window.toml:12:"]
    {
        assert!(err(&output).contains(place), "{place} in {}", err(&output));
    }
}

#[test]
fn what_is_not_there_or_not_wanted_is_said() {
    let home = home();
    let missing = holdpoint(home.path(), &["check", "nothing.toml"]);
    ended(&missing, 40);
    assert!(
        err(&missing).contains("nothing.toml") && err(&missing).contains("holdpoint init"),
        "{}",
        err(&missing)
    );
    ended(&holdpoint(home.path(), &["report", "nowhere"]), 40);
    ended(&holdpoint(home.path(), &["frobnicate"]), 2);
    ended(&holdpoint(home.path(), &["demo", "--scenario", "tragedy"]), 2);
    let dark = holdpoint(home.path(), &["demo"]);
    ended(&dark, 2);
    assert!(err(&dark).contains("--headless"), "{}", err(&dark));
}

#[test]
fn init_writes_a_plan_that_check_reads_and_never_over_another() {
    let home = home();
    ended(&holdpoint(home.path(), &["init", "test1=ops@192.0.2.10", "ops@192.0.2.11"]), 0);
    let text = std::fs::read_to_string(home.path().join("window.toml")).expect("a plan");
    let plan = holdpoint::plan::read("window.toml", &text).expect("it reads");
    assert_eq!(plan.reached().count(), 2);
    ended(&holdpoint(home.path(), &["init", "ops@192.0.2.12"]), 2);
    assert_eq!(std::fs::read_to_string(home.path().join("window.toml")).expect("a plan"), text);
}

#[test]
fn a_host_that_is_not_there_is_told_and_nothing_else_is_kept_waiting() {
    let home = home();
    // A port of this machine on which nothing listens.
    let output = holdpoint(home.path(), &["check", "--json", "gone=ops@127.0.0.1:1", "here=local"]);
    ended(&output, 40);
    let json: serde_json::Value = serde_json::from_str(&out(&output)).expect("one JSON object");
    assert_eq!(json["format"], "holdpoint.check/1");
    assert_eq!(json["go"], false);
    let state = |name: &str| {
        let hosts = json["hosts"].as_array().expect("hosts");
        hosts.iter().find(|host| host["name"] == name).expect("it is there")["state"].clone()
    };
    assert_eq!(state("gone"), "down");
    assert_eq!(state("here"), "up");
}

#[test]
fn the_demo_plays_the_story_to_its_end_and_leaves_nothing() {
    let home = home();
    let kept = home.path().join("story");
    let output = holdpoint(home.path(), &["demo", "--headless", "--recording", "story"]);
    ended(&output, 10);
    for words in [
        "CONFIRMED",
        "WAIVED",
        "FAIL: no answer",
        "ROLLBACK started",
        "identical: ",
        "ROLLED BACK, as planned",
    ] {
        assert!(out(&output).contains(words), "{words} in {}", out(&output));
    }
    let report = holdpoint(home.path(), &["report", "story"]);
    ended(&report, 0);
    let lines: Vec<serde_json::Value> =
        out(&report).lines().map(|line| serde_json::from_str(line).expect("one event a line")).collect();
    assert!(lines.len() > 100 && lines.iter().all(|line| line["format"] == "holdpoint.report/1"));
    let status = holdpoint(home.path(), &["status", "story", "--offline", "--json"]);
    ended(&status, 0);
    let json: serde_json::Value = serde_json::from_str(&out(&status)).expect("one JSON object");
    assert_eq!(
        (json["format"].as_str(), json["ended"].as_str()),
        (Some("holdpoint.status/1"), Some("rolled-back"))
    );
    std::fs::remove_dir_all(&kept).expect("the recording is there");
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_calm_window_goes_through_without_anybody() {
    let home = home();
    let output = holdpoint(home.path(), &["demo", "--headless", "--scenario", "calm"]);
    ended(&output, 0);
    assert!(out(&output).contains("ended: DONE"), "{}", out(&output));
}

#[test]
fn what_is_left_on_hosts_is_not_removed_unasked_and_a_silent_host_is_said() {
    let home = home();
    // Nobody listens on the discard port of this machine.
    let plan = "[window]\nname = \"x\"\nopens = 2026-11-21T21:00:00Z\ncloses = 2026-11-21T22:00:00Z\n\
                [[host]]\nname = \"web1\"\nssh = \"ops@127.0.0.1:9\"\n";
    std::fs::write(home.path().join("window.toml"), plan).expect("written");
    ended(&holdpoint(home.path(), &["clean", "window.toml", "--json"]), 2);
    ended(&holdpoint(home.path(), &["unpin", "window.toml", "--host", "web9"]), 2);
    for (words, format) in [
        (&["clean", "window.toml", "--json", "--yes"][..], "holdpoint.clean/1"),
        (&["unpin", "window.toml", "--json"], "holdpoint.unpin/1"),
    ] {
        let output = holdpoint(home.path(), words);
        ended(&output, 40);
        let object: serde_json::Value = serde_json::from_str(&out(&output)).expect("one object");
        assert_eq!((&object["format"], &object["hosts"][0]["host"]), (&format.into(), &"web1".into()));
        assert!(object["hosts"][0]["error"].is_string(), "{object}");
    }
}

#[test]
fn probe_says_of_each_customer_whether_they_are_reached_and_why_not() {
    let home = home();
    let listens = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = listens.local_addr().expect("bound").port();
    // Taken, so that nobody else gets it, and never listened on.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let closed = taken.local_addr().expect("bound").port();
    let plan = |probes: &str| {
        let text = format!(
            "[window]\nname = \"x\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T02:00:00Z\n\
             [[host]]\nname = \"web1\"\nssh = \"local\"\n\
             [[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"127.0.0.1\"\nprobes = [{probes}]\n"
        );
        std::fs::write(home.path().join("window.toml"), text).expect("written");
    };
    let asked = |port: u16| format!("{{ probe = \"tcp:{port}\", every = \"500ms\", fails = \"2 of 3\" }}");
    let looked =
        |words: &[&str]| holdpoint(home.path(), &[&["probe", "window.toml", "--for", "4s"], words].concat());

    plan(&asked(open));
    let output = looked(&[]);
    ended(&output, 0);
    assert!(out(&output).contains("1 of 1 answer as they should"), "{}", out(&output));
    plan(&asked(closed));
    let output = looked(&["--json"]);
    ended(&output, 21);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["format"], "holdpoint.probe/1");
    let row = &json["customers"][0];
    assert_eq!((&row["customer"], &row["host"]), (&"acme".into(), &"web1".into()));
    assert_eq!(row["target"], format!("tcp:{closed}"));
    assert_eq!(row["outside"]["health"], "fail");
    assert_ne!(row["verdict"], "reachable");
    assert!(row["evidence"].as_array().is_some_and(|lines| !lines.is_empty()), "{row:#}");

    // Of one customer, dark from the first look on: the text, the object and the status say the same.
    plan(&format!("{}, {}", asked(open), asked(closed)));
    let output = looked(&[]);
    ended(&output, 21);
    assert!(out(&output).contains("1 of 2 answer as they should ("), "{}", out(&output));
    assert!(!out(&output).contains("not required"), "{}", out(&output));
    let output = looked(&["--json"]);
    ended(&output, 21);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    let verdicts: Vec<_> = json["customers"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (&row["verdict"], &row["required"]))
        .collect();
    assert_eq!(verdicts[0], (&"reachable".into(), &true.into()));
    assert!(*verdicts[1].0 != "reachable" && *verdicts[1].1 == true, "{json:#}");
    // What the plan does not require is said, and no reason for the status.
    let optional = asked(closed).replace(" }", ", required = false }");
    plan(&format!("{}, {optional}", asked(open)));
    let output = looked(&[]);
    ended(&output, 0);
    assert!(out(&output).contains(", not required\n"), "{}", out(&output));

    plan("");
    let nothing = looked(&[]);
    ended(&nothing, 2);
    assert!(err(&nothing).contains("names no probe"), "{}", err(&nothing));
}
