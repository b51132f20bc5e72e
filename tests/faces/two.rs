//! Two cockpits on one window, and a `clean` beside a window, at length: processes of the real program on hosts
//! that outlive them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use holdpoint::journal::{End, Recording, Take};
use serde_json::Value;

use crate::fleet::{Fleet, all, until, words};

/// How many rollbacks came off, by a journal.
fn back(folder: &Path) -> usize {
    let ended = all(folder, "batch", "rolled-back");
    ended.iter().filter(|record| record["event"]["data"]["result"]["Ok"].is_object()).count()
}

#[test]
fn the_second_cockpit_takes_over_and_rolls_back_and_the_first_one_watches() {
    let fleet = Fleet::rehearsed("180s");
    let (r, r2) = (fleet.path("r"), fleet.path("r2"));
    let mut first = fleet.begin(&["run", "window.toml", "--headless", "--recording", "r"], "first");
    until("a batch that is watched", || !all(&r, "batch", "verified").is_empty());
    assert!(first.ended().is_none(), "{}", first.said());

    // As on another machine: from a copy, while the first one lives and knows nothing of it.
    assert!(Command::new("cp").arg("-a").args([&r, &r2]).status().expect("cp runs").success());
    let mut second = fleet.terminal(&["resume", "r2"]);
    second.wait_for("Type RESUME");
    second.press("RESUME\r");
    second.wait_for("ROLLBACK web2 batch 1");
    let taken =
        |record: &Value| record["event"]["data"]["helper"]["epoch"].as_u64() == record["epoch"].as_u64();
    until("web2 taken", || {
        let hosts = all(&r2, "host", "greeted");
        hosts.iter().any(|record| record["event"]["data"]["host"] == "web2" && taken(record))
    });
    let resumed = &all(&r2, "window", "resumed")[0];
    let how = &resumed["event"]["data"]["take_over"];
    assert_eq!((how["word"].as_str(), how["before"].as_str()), (Some("typed"), Some("not-known")), "{how}");

    // The key in the first one: it says what it could not do, with 30.
    let pressed = fleet.run(&["rollback", "r", "--yes"]);
    assert_eq!(pressed.status.code(), Some(30), "{}\n{}", words(&pressed), first.said());
    let undone = "NOT ROLLED BACK web2 batch 1: another cockpit holds web2, ask there";
    assert!(words(&pressed).contains(undone), "{}", words(&pressed));
    until("its word", || first.said().contains("web2 is held by another cockpit"));
    let done = fleet.left("web2");
    assert_eq!(done.operations, 2, "a stage and an apply: nothing of the first one's came through");
    assert!(done.open.iter().any(|open| open.state.raw() == "armed"), "{done:?}");

    // The key in the second one.
    second.press("\u{12}");
    second.wait_for("new work is already HELD");
    second.rest(Duration::from_millis(600));
    second.press("R");
    second.wait_for("ROLLED BACK, as planned");
    let done = fleet.left("web2");
    assert_eq!((done.operations, done.open.len()), (3, 0), "one rollback, and nothing twice: {done:?}");
    // The first one watches, and has ordered nothing there since.
    assert_eq!((back(&r), all(&r, "batch", "confirmed").len()), (0, 0));
    second.press("\u{1b}");
    second.press(":quit\r");
    second.end();
    if first.ended().is_none() {
        first.signal("-INT");
    }
    until("its end", || {
        if first.ended().is_none() {
            first.signal("-INT");
        }
        first.ended().is_some()
    });

    // Both journals are whole, and each says what happened to its own.
    for (folder, fenced) in [(&r, true), (&r2, false)] {
        let journal = Recording::read(folder, Take::Whole).expect("sound");
        assert_eq!(journal.end, End::Whole);
        let own = all(folder, "window", if fenced { "opened" } else { "resumed" })[0]["epoch"].as_u64();
        let newer = |record: &Value| record["event"]["data"]["helper"]["epoch"].as_u64() > own;
        assert_eq!(all(folder, "host", "greeted").iter().any(newer), fenced, "{}", folder.display());
        assert_eq!(back(folder), usize::from(!fenced));
    }
}

/// What `clean` says of one host.
fn of<'a>(said: &'a Value, host: &str) -> &'a Value {
    let hosts = said["hosts"].as_array().expect("hosts");
    hosts.iter().find(|one| one["host"] == host).expect("it is in the plan")
}

#[test]
fn clean_leaves_alone_what_a_window_has_in_hand_and_what_is_open() {
    let fleet = Fleet::rehearsed("180s");
    let clean = |status: i32| -> Value {
        let cleaned = fleet.run(&["clean", "window.toml", "--yes", "--json"]);
        assert_eq!(cleaned.status.code(), Some(status), "{}", words(&cleaned));
        serde_json::from_slice(&cleaned.stdout).expect("one JSON object")
    };
    let root = fleet.path(".local/state/holdpoint/recordings");
    let mut window = fleet.begin(&["run", "window.toml", "--headless"], "window");
    let folder = || {
        let folders = std::fs::read_dir(&root).expect("recordings").map(|entry| entry.expect("one").path());
        folders.into_iter().find(|folder| {
            !all(folder, "batch", "verified").is_empty() && folder.join("cockpit.sock").exists()
        })
    };
    until("a batch that is watched", || folder().is_some());
    let folder = folder().expect("there");
    assert!(window.ended().is_none(), "{}", window.said());

    // A window of this machine is alive: none of its hosts is touched, the baseline with its rehearsal included.
    let said = clean(20);
    for host in ["test1", "web2"] {
        let alone = of(&said, host)["left_alone"].to_string();
        assert!(
            alone.contains("a cockpit that lives (process ") && alone.contains(&folder.display().to_string()),
            "{host}: {alone}"
        );
        assert_eq!(of(&said, host)["removed"], false, "{said}");
    }
    assert_eq!(of(&said, "web2")["open"][0]["state"], "armed", "{said}");

    // It is cut off: what is open stays, with what to do about it; the rest is cleaned.
    window.signal("-KILL");
    until("its end", || window.ended().is_some());
    let said = clean(20);
    let alone = of(&said, "web2")["left_alone"].to_string();
    for words in ["is open there: armed", "holdpoint resume", "holdpoint rollback"] {
        assert!(alone.contains(words), "{words} in {alone}");
    }
    assert_eq!(of(&said, "web2")["removed"], false, "{said}");
    assert_eq!(of(&said, "test1")["removed"], true, "{said}");

    // Rolled back, and its window is over: everything goes.
    let back = fleet.run(&["rollback", &folder.display().to_string(), "--yes"]);
    assert_eq!(back.status.code(), Some(10), "{}", words(&back));
    let said = clean(0);
    assert_eq!(
        (&of(&said, "web2")["removed"], fleet.left("web2").is_empty()),
        (&true.into(), true),
        "{said}"
    );
}
