//! The dead-man timer on hosts with systemd as process 1: nobody is there, and the host comes back by
//! itself.

use std::thread::sleep;
use std::time::Duration;

use crate::fleet::{Fleet, Manifest};
use crate::journal::Journal;
use crate::program::{plan_within, rehearsed, run, start};

/// The timer's state on a host, as its file says.
fn state(fleet: &Fleet, host: &str) -> String {
    fleet.on(host, "ls /var/lib/holdpoint/batches/*/timer | grep -xE 'armed|confirmed|firing|rolled-back|rollback-failed' || :")
}

/// The update of the story on web1, whose customers are dark afterwards, and a cockpit that is killed then.
fn left_alone(fleet: &Fleet) -> (String, Manifest) {
    let plan = plan_within(fleet, &["web1"], &[&["hp-net-config"]], "40s");
    rehearsed(fleet, &plan);
    let before = fleet.manifest("web1");
    let folder = fleet.home().join("left-alone").display().to_string();
    let plan = plan.display().to_string();
    let mut window = start(fleet, &["run", &plan, "--headless", "--recording", &folder]);
    window.until("web1 batch 1: verified");
    window.kill();
    assert!(!fleet.served_now("192.0.2.21"), "the address is dark");
    assert_eq!(fleet.version("web1", "hp-net-config"), "2.0-1");
    assert_eq!(state(fleet, "web1").trim(), "armed");
    let unit =
        "systemctl is-enabled holdpoint-deadman.service && systemctl is-active holdpoint-deadman.service";
    assert_eq!(fleet.on("web1", unit), "enabled\nactive\n");
    (folder, before)
}

/// Waits until the host has taken the batch back by itself.
fn comes_back(fleet: &Fleet, within: u32) {
    for _ in 0..within {
        if state(fleet, "web1").trim() == "rolled-back" {
            return;
        }
        sleep(Duration::from_secs(1));
    }
    let log = fleet.on(
        "web1",
        "cat /var/lib/holdpoint/ops/*deadman*/out.log; systemctl status --no-pager 'holdpoint*' || :",
    );
    panic!("web1 is {} after {within}s:\n{log}", state(fleet, "web1"));
}

/// The next morning: the recording is picked up, and learns what the host did.
fn is_learnt(fleet: &Fleet, folder: &str) {
    let resumed = run(fleet, &["resume", folder, "--headless", "--take-over"]).must_end(10);
    resumed.must_say("its host has rolled it back by itself");
    let journal = Journal::of(fleet, folder.as_ref());
    assert_eq!(journal.outcome(), "rolled-back");
    assert!(journal.all("batch", "confirmed").is_empty());
    let compared = journal.compared();
    assert_eq!(compared.len(), 1);
    assert!(compared[0].as_array().is_some_and(Vec::is_empty), "{compared:?}");
}

#[test]
fn an_update_that_breaks_the_network_with_nobody_there_is_taken_back_by_its_host() {
    let Some(fleet) = Fleet::up("nobody", &["test1", "web1"]) else { return };
    let (folder, before) = left_alone(&fleet);
    // Not even by its own cable.
    fleet.lab("cut", &["web1"]);
    comes_back(&fleet, 120);
    fleet.lab("mend", &["web1"]);
    assert!(fleet.served("192.0.2.21"), "its customers are served again");
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}

#[test]
fn a_power_cut_in_the_bake_does_not_disarm_the_timer() {
    let Some(fleet) = Fleet::up("power", &["test1", "web1"]) else { return };
    let (folder, before) = left_alone(&fleet);
    fleet.lab("power-cut", &["web1"]);
    fleet.lab("start", &["web1"]);
    comes_back(&fleet, 180);
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    assert!(fleet.served("192.0.2.21"), "its customers are served again");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}
