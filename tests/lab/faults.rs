//! The fault matrix, on whole windows: the line cut, the cockpit killed, the archive gone, a package
//! that does not install, a full disk.

use std::thread::sleep;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::journal::Journal;
use crate::program::{on_plan, plan, rehearsed, run, start};

/// How many seconds hp-slow's postinst takes on a host.
fn slow(fleet: &Fleet, host: &str, seconds: u32) {
    fleet.on(host, &format!("mkdir -p /etc/hp-slow && echo {seconds} >/etc/hp-slow/postinst"));
}

/// In the middle of hp-slow's postinst.
const SLEEPS: &str = "grep -qs 'postinst sleeps' /var/lib/holdpoint/ops/*-apply-*/out.log";

#[test]
fn a_line_that_is_cut_in_the_middle_of_an_apply() {
    let Some(fleet) = Fleet::up("cut", &["test1", "web2"]) else { return };
    slow(&fleet, "test1", 0);
    slow(&fleet, "web2", 25);
    let plan = plan(&fleet, &["web2"], &[&["hp-slow"]]);
    rehearsed(&fleet, &plan);
    let plan = plan.display().to_string();
    let window = start(&fleet, &["run", &plan, "--headless"]);
    fleet.until_on("web2", SLEEPS);
    fleet.lab("cut", &["web2"]);
    sleep(Duration::from_secs(20));
    fleet.lab("mend", &["web2"]);
    let ran = window.end().must_end(0);
    assert_eq!(fleet.version("web2", "hp-slow"), "1-2");
    assert_eq!(fleet.operations("web2", "apply"), 1);
    let journal = ran.journal(&fleet);
    assert_eq!(journal.outcome(), "done");
    let lost = journal.seqs("host", "lost");
    let back = journal.seqs("host", "back");
    assert!(!lost.is_empty() && lost[0] < *back.last().expect("back"), "lost {lost:?}, back {back:?}");
}

#[test]
fn a_cockpit_that_is_killed_in_the_middle_of_an_apply() {
    let Some(fleet) = Fleet::up("killed", &["test1", "web2"]) else { return };
    slow(&fleet, "test1", 0);
    slow(&fleet, "web2", 8);
    let plan = plan(&fleet, &["web2"], &[&["hp-slow"], &["hp-less"]]);
    rehearsed(&fleet, &plan);
    let plan = plan.display().to_string();
    let recording = fleet.home().join("killed");
    let folder = recording.display().to_string();
    let window = start(&fleet, &["run", &plan, "--headless", "--recording", &folder]);
    fleet.until_on("web2", SLEEPS);
    window.kill();
    let resumed = run(&fleet, &["resume", &folder, "--headless", "--take-over"]).must_end(0);
    resumed.must_say("asking its host what became of the work");
    assert_eq!(fleet.version("web2", "hp-slow"), "1-2");
    assert_eq!(fleet.version("web2", "hp-less"), "590-2");
    // One for each batch: what was under way was found again, not done again.
    assert_eq!(fleet.operations("web2", "apply"), 2);
    let journal = Journal::of(&fleet, &recording);
    assert_eq!(journal.outcome(), "done");
    assert_eq!(journal.all("batch", "apply-started").len(), 2);
    assert_eq!(journal.all("window", "resumed").len(), 1);
    assert_eq!(journal.all("batch", "confirmed").len(), 2);
}

#[test]
fn an_archive_that_is_gone() {
    let Some(fleet) = Fleet::up("archive", &["test1", "web2"]) else { return };
    let plan = plan(&fleet, &["web2"], &[&["hp-less"]]);
    rehearsed(&fleet, &plan);
    let before = fleet.manifest("web2");
    fleet.lab("archive-down", &[]);
    // Nobody has its files: not the archive, and not the host where they were rehearsed.
    fleet.on("test1", "mv /var/lib/holdpoint/batches /var/lib/holdpoint/away");
    let ran = on_plan(&fleet, "run", &plan, &["--headless"]).must_end(20);
    ran.must_say("HOLD  proof of web2 batch 1: hp-less:all: the new file can't be had");
    assert_eq!(ran.journal(&fleet).outcome(), "held");
    before.assert_same(&fleet.manifest("web2"), "after a stage that could not be");
    assert_eq!(fleet.operations("web2", "apply"), 0);
    // That host has them: the cockpit carries both over, with the archive as gone as before.
    fleet.on("test1", "cd /var/lib/holdpoint && rm -rf batches && mv away batches");
    let ran = on_plan(&fleet, "run", &plan, &["--headless"]).must_end(0);
    assert_eq!(fleet.version("web2", "hp-less"), "590-2");
    let journal = ran.journal(&fleet);
    let file = &journal.all("batch", "staged").last().expect("staged")["result"]["Ok"]["files"][0];
    for side in ["new_from", "old_from"] {
        assert_eq!(file[side]["source"]["host"], "test1", "{file}");
    }
}

#[test]
fn a_package_that_does_not_install_is_taken_back_in_the_rehearsal() {
    let Some(fleet) = Fleet::up("broken", &["test1", "web2"]) else { return };
    let plan = plan(&fleet, &["web2"], &[&["hp-less"], &["hp-broken"]]);
    fleet.lab("suite", &["test1", "lab-broken"]);
    on_plan(&fleet, "enroll", &plan, &[]).must_end(0);
    let before = fleet.manifest("test1");
    let ran = on_plan(&fleet, "rehearse", &plan, &["--headless"]).must_end(10);
    ran.must_say("APPLY FAILED");
    before.assert_same(&fleet.manifest("test1"), "after a rehearsal that failed");
    let journal = ran.journal(&fleet);
    assert_eq!(journal.outcome(), "rolled-back");
    assert!(journal.all("rehearsal", "frozen").is_empty());
}

#[test]
fn a_full_disk() {
    let Some(fleet) = Fleet::up("full", &["test1", "web2"]) else { return };
    let plan = plan(&fleet, &["web2"], &[&["hp-big"]]);
    rehearsed(&fleet, &plan);
    let before = fleet.manifest("web2");
    for (left, why) in [("8192", "no-space"), ("0", "no space to store the spec")] {
        fleet.lab("fill-disk", &["web2", left]);
        let ran = on_plan(&fleet, "run", &plan, &["--headless"]).must_end(20);
        ran.must_say("HOLD  proof of web2 batch 1");
        ran.must_say(why);
        assert_eq!(ran.journal(&fleet).outcome(), "held");
        assert_eq!(fleet.operations("web2", "apply"), 0, "{left} KiB left");
        before.assert_same(&fleet.manifest("web2"), "on a full disk");
        fleet.lab("unfill", &["web2"]);
    }
    // And once there is room, all is well.
    on_plan(&fleet, "run", &plan, &["--headless"]).must_end(0);
    assert_eq!(fleet.version("web2", "hp-big"), "1-2");
}
