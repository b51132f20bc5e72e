//! Windows from the rehearsal to their end: one that goes well and is taken back the next morning,
//! and the story.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::journal::Journal;
use crate::program::{on_plan, plan, plan_within, rehearsed, run, start};

#[test]
fn what_was_rehearsed_is_applied_and_all_of_it_taken_back() {
    let Some(fleet) = Fleet::up("window", &["test1", "web2"]) else { return };
    // A conffile that was edited on web2, two packages of one source, an update from another
    // version, and a kernel: a new package and a reboot.
    let batches: [&[&str]; 2] = [&["hp-motd-config", "hp-vim-tiny", "hp-rsync"], &["hp-linux-image-amd64"]];
    let plan = plan(&fleet, &["web2"], &batches);
    let rehearsal = rehearsed(&fleet, &plan);
    rehearsal.must_say("rolled back to identical");
    let journal = rehearsal.journal(&fleet);
    let frozen = &journal.all("rehearsal", "frozen")[0]["rehearsal"];
    assert_eq!(frozen["identical"], true);
    assert_eq!(frozen["set"].as_array().map(Vec::len), Some(7), "{frozen}");
    assert_eq!(journal.compared().len(), 2);

    let before = fleet.manifest("web2");
    let boot = fleet.on("web2", "cat /proc/sys/kernel/random/boot_id");
    let window = on_plan(&fleet, "run", &plan, &["--headless"]).must_end(0);
    window.must_say("7 changes rehearsed on test1");
    assert_eq!(window.journal(&fleet).outcome(), "done");
    for (package, version) in [
        ("hp-motd-config", "12.2"),
        ("hp-vim-tiny", "2:9.0.2-1"),
        ("hp-vim-common", "2:9.0.2-1"),
        ("hp-rsync", "3.2.7-2"),
        ("hp-linux-image-amd64", "6.1.2-1"),
        ("hp-linux-image-6.1.0-2", "6.1.2-1"),
        // Not listed, so not touched.
        ("hp-less", "590-1"),
    ] {
        assert_eq!(fleet.version("web2", package), version, "{package}");
    }
    assert!(fleet.on("web2", "apt-mark showauto").lines().any(|name| name == "hp-linux-image-6.1.0-2"));
    assert!(fleet.on("web2", "cat /etc/hp-motd.conf").contains("edited on web2 by hand"));
    assert_ne!(fleet.on("web2", "cat /proc/sys/kernel/random/boot_id"), boot, "it was rebooted");
    assert!(fleet.served("192.0.2.31"));

    let recording = window.recording();
    let folder = recording.display().to_string();
    run(&fleet, &["rollback", &folder, "--scope", "all", "--take-over"]).must_end(10);
    before.assert_same(&fleet.manifest("web2"), "after a rollback of everything");
    let journal = Journal::of(&fleet, &recording);
    assert_eq!(journal.outcome(), "rolled-back");
    let compared = journal.compared();
    assert_eq!(compared.len(), 2);
    assert!(compared.iter().all(|differs| differs.as_array().is_some_and(Vec::is_empty)), "{compared:?}");
    assert!(fleet.served("192.0.2.31"));
}

#[test]
fn the_story_ssh_works_customers_are_dark_and_it_is_taken_back() {
    let Some(fleet) = Fleet::up("story", &["test1", "web1"]) else { return };
    let plan = plan(&fleet, &["web1"], &[&["hp-net-config"]]);
    rehearsed(&fleet, &plan).must_say("rolled back to identical");
    let before = fleet.manifest("web1");
    assert!(fleet.served("192.0.2.21"));
    let plan = plan.display().to_string();
    let mut window = start(&fleet, &["run", &plan, "--headless"]);
    window.until("web1 batch 1: verified");
    // As on that night: every look from the inside is good, and no customer gets an answer.
    assert!(!fleet.served_now("192.0.2.21"), "the address is dark");
    assert!(fleet.logs_in("web1"));
    assert_eq!(fleet.version("web1", "hp-net-config"), "2.0-1");
    let ran = window.end().must_end(10);
    ran.must_say("customers can't reach it from outside: ");
    for address in ["192.0.2.21", "192.0.2.22", "192.0.2.23", "192.0.2.24"] {
        assert!(fleet.served(address), "{address} is served again");
    }
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    before.assert_same(&fleet.manifest("web1"), "after the rollback");
    // The bad version alone is out, nothing is paused any more, and the rest is released and cleaned away.
    assert!(fleet.on("web1", "apt-cache policy hp-net-config").contains("Candidate: 1.0-1"));
    fleet.on("web1", "test ! -e /etc/apt/apt.conf.d/zzzz-holdpoint-paused");
    let names: &[&str] = &["check", &plan];
    run(&fleet, names).must_say("PINNED     hp-net-config:all 2.0-1, pinned out since ");
    run(&fleet, &["clean", &plan, "--host", "web1", "--look"]).must_end(0).must_say("web1: removable: ");
    run(&fleet, &["clean", &plan, "--host", "web1", "--yes"]).must_end(0).must_say("web1: removed");
    run(&fleet, &["clean", &plan, "--host", "web1"]).must_end(0).must_say("web1: nothing to remove");
    run(&fleet, &["unpin", &plan, "--host", "web1"])
        .must_end(0)
        .must_say("web1: released hp-net-config:all 2.0-1");
    assert!(fleet.on("web1", "apt-cache policy hp-net-config").contains("Candidate: 2.0-1"));
    let journal = ran.journal(&fleet);
    assert_eq!(journal.outcome(), "rolled-back");
    assert!(journal.all("batch", "confirmed").is_empty());
    let fails = journal.all("probe", "seen").into_iter().filter(|seen| seen["outcome"]["fail"].is_object());
    assert!(fails.count() >= 3, "the failing probes are recorded");
    let compared = journal.compared();
    assert_eq!(compared.len(), 1);
    assert!(compared[0].as_array().is_some_and(Vec::is_empty), "{compared:?}");
}

/// The address of a customer of web1.
const ACME: [u8; 4] = [192, 0, 2, 21];

/// An abort line that was agreed on, with a short countdown, and further words for the policy.
fn with_a_line(plan: &Path, policy: &str) {
    let text = fs::read_to_string(plan).expect("the plan reads");
    let text = text.replace("[policy]\n", &format!("[policy]\n{policy}countdown = \"8s\"\n"))
        + "\n[[abort]]\nprobes = \"required\"\nfrom = \"outside\"\nfails = \"3 of 5\"\n";
    fs::write(plan, text).expect("the plan is written");
}

#[test]
fn the_story_with_nobody_there_an_abort_line_rolls_back_and_one_recording_tells_it_all() {
    let Some(fleet) = Fleet::up("alone", &["test1", "web1"]) else { return };
    let plan = plan(&fleet, &["web1"], &[&["hp-net-config", "hp-linux-image-amd64"]]);
    // Kernel and network in one batch, as on that night.
    with_a_line(&plan, "alone = []\n");
    rehearsed(&fleet, &plan).must_say("rolled back to identical");
    let before = fleet.manifest("web1");
    let ran = on_plan(&fleet, "run", &plan, &["--headless"]).must_end(10);
    before.assert_same(&fleet.manifest("web1"), "after the rollback");
    for address in ["192.0.2.21", "192.0.2.22", "192.0.2.23", "192.0.2.24"] {
        assert!(fleet.served(address), "{address} is served again");
    }
    let journal = ran.journal(&fleet);
    assert_eq!(journal.outcome(), "rolled-back");
    assert!(journal.all("batch", "confirmed").is_empty());
    // In this order: rebooted, dark and said so, the agreed line met, evidence saved, rolled back, served again.
    let first = |group: &str, kind: &str| {
        *journal.seqs(group, kind).first().unwrap_or_else(|| panic!("no {group} {kind}:\n{}", ran.out))
    };
    let told = [
        first("batch", "rebooted"),
        first("alarm", "line-met"),
        first("alarm", "countdown-started"),
        first("evidence", "saved"),
        first("alarm", "fired"),
        first("batch", "rollback-started"),
        first("alarm", "cleared"),
    ];
    assert!(told.is_sorted(), "{told:?}:\n{}", ran.out);
    assert_eq!(journal.all("alarm", "fired").len(), 1, "one alarm, one rollback");
    // At once, or as soon as the capture and the facts that begin anew after the reboot tell it.
    let names_it = ["which is on no interface of web1", "web1 does not have the address"]
        .map(|words| ran.out.contains(words));
    assert!(names_it.contains(&true), "{}", ran.out);
    // What proves it is in the recording, and is what the journal says.
    let recording = ran.recording();
    let saved = &journal.all("evidence", "saved")[0]["result"]["Ok"];
    let evidence =
        fs::read_to_string(recording.join(saved["file"].as_str().expect("a file"))).expect("evidence");
    for part in ["192.0.2.11/24", "default via", ":443"] {
        assert!(evidence.contains(part), "{part} in {evidence}");
    }
    assert!(!evidence.contains("192.0.2.21/24"), "the address was gone: {evidence}");
    let files = fs::read_dir(recording.join("captures")).expect("captures");
    let files: Vec<Vec<u8>> =
        files.map(|file| fs::read(file.expect("a file").path()).expect("bytes")).collect();
    for packets in &files {
        assert!(packets.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "pcapng begins with a section header");
    }
    let holds =
        |length: usize, is: &dyn Fn(&[u8]) -> bool| files.iter().any(|file| file.windows(length).any(is));
    // From its destination on: a SYN to acme's port 443, from when all was well.
    let asked =
        |at: &[u8]| at.starts_with(&ACME) && at[6..8] == 443_u16.to_be_bytes() && at[17] & 0x3f == 0x02;
    assert!(holds(18, &asked), "somebody asked for acme");
    // And from its hardware type on: the router asking who has that address, which is all that came afterwards.
    let who_has = |at: &[u8]| at.starts_with(&[0, 1, 8, 0, 6, 4, 0, 1]) && at.ends_with(&ACME);
    assert!(holds(28, &who_has), "the router asked for acme's MAC");
    assert!(journal.all("packet", "matched").len() > 3, "probes were found among the packets");
}

#[test]
fn the_operators_own_network_goes_in_the_bake_and_nothing_is_rolled_back_for_it() {
    let Some(fleet) = Fleet::up("blind", &["test1", "web1"]) else { return };
    let plan = plan_within(&fleet, &["web1"], &[&["hp-less"]], "8m");
    with_a_line(&plan, "");
    let text = fs::read_to_string(&plan).expect("the plan reads");
    fs::write(&plan, text.replace("bake = \"5s\"", "bake = \"40s\"")).expect("the plan is written");
    rehearsed(&fleet, &plan);
    let plan = plan.display().to_string();
    let mut window = start(&fleet, &["run", &plan, "--headless"]);
    window.until("web1 batch 1: verified");
    sleep(Duration::from_secs(5));
    fleet.lab("operator-cut", &[]);
    // Longer than every line, countdown and patience with a single host.
    sleep(Duration::from_secs(110));
    fleet.lab("operator-mend", &[]);
    let ran = window.end().must_end(0);
    let journal = ran.journal(&fleet);
    assert_eq!(journal.outcome(), "done", "{}", ran.out);
    for (group, kind) in [("alarm", "fired"), ("batch", "rollback-queued"), ("batch", "rollback-started")] {
        assert!(journal.all(group, kind).is_empty(), "{group} {kind}:\n{}", ran.out);
    }
    let fails = journal.all("probe", "seen").into_iter().filter(|seen| seen["outcome"]["fail"].is_object());
    assert!(fails.count() >= 5, "the probes saw nothing meanwhile");
    assert_eq!(fleet.version("web1", "hp-less"), "590-2");
}
