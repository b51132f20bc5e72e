//! The dead-man timer on hosts with systemd as process 1: nobody is there, and the host comes back by
//! itself.

use std::thread::sleep;
use std::time::Duration;

use crate::figures;
use crate::fleet::{Fleet, Manifest};
use crate::journal::Journal;
use crate::program::{on_plan, plan_within, rehearsed, run, start};

/// The timer's state on a host, as its file says.
fn state(fleet: &Fleet, host: &str) -> String {
    fleet.on(host, "ls /var/lib/holdpoint/batches/*/timer | grep -xE 'armed|confirmed|firing|rolled-back|rollback-failed' || :")
}

/// An update on web1 that was rehearsed, and a cockpit that is killed in its bake.
fn left_alone(fleet: &Fleet, package: &str) -> (String, Manifest) {
    let plan = plan_within(fleet, &["web1"], &[&[package]], "40s");
    rehearsed(fleet, &plan);
    let before = fleet.manifest("web1");
    let folder = fleet.home().join("left-alone").display().to_string();
    let plan = plan.display().to_string();
    let mut window = start(fleet, &["run", &plan, "--headless", "--recording", &folder]);
    window.until("web1 batch 1: verified");
    window.kill();
    assert_eq!(state(fleet, "web1").trim(), "armed");
    let unit =
        "systemctl is-enabled holdpoint-deadman.service && systemctl is-active holdpoint-deadman.service";
    assert_eq!(fleet.on("web1", unit), "enabled\nactive\n");
    (folder, before)
}

/// The update of the story on web1, whose customers are dark afterwards, and nobody is there.
fn left_dark(fleet: &Fleet) -> (String, Manifest) {
    let left = left_alone(fleet, "hp-net-config");
    assert!(!fleet.served_now("192.0.2.21"), "the address is dark");
    assert_eq!(fleet.version("web1", "hp-net-config"), "2.0-1");
    left
}

/// Waits until a host has taken its batch back by itself, and nothing of the timer is left on it.
fn comes_back(fleet: &Fleet, host: &str, within: u32) {
    for _ in 0..within {
        // What watched is taken away a moment after that.
        let unit = "ls /etc/systemd/system/holdpoint-deadman.service 2>/dev/null || :";
        if state(fleet, host).lines().any(|state| state == "rolled-back") && fleet.on(host, unit).is_empty() {
            return;
        }
        sleep(Duration::from_secs(1));
    }
    let log = fleet.on(
        host,
        "cat /var/lib/holdpoint/ops/*deadman*/out.log; systemctl status --no-pager 'holdpoint*' || :",
    );
    panic!("{host} is {} after {within}s:\n{log}", state(fleet, host));
}

/// How late the rollback of a timer began and ended, by the host's own clock, into the report. Only where it
/// fired in the boot in which its terms were written: by other rules they do not say when it was due.
fn how_late(fleet: &Fleet, host: &str, when: &str) {
    // Its timer says that it is over before the operation's own result is written.
    fleet.until_on(host, "ls /var/lib/holdpoint/ops/*-deadman/exit");
    let number = |command: &str| -> i64 { fleet.on(host, command).trim().parse().expect("a number") };
    let began = number("cat /var/lib/holdpoint/ops/*-deadman/intent | sed -n 's/^uptime-ms //p'");
    let took = number("sed -n 's/^duration-ms //p' /var/lib/holdpoint/ops/*-deadman/result");
    let due = number("sed -n 's/^deadline-ms //p' /var/lib/holdpoint/batches/*/timer/terms");
    let init = number("sed -n '1s/^.*) //p' /proc/1/stat | cut -d ' ' -f 20");
    let late = began - (due + init * 10);
    assert!((0..=2_000).contains(&late), "{late} ms after the deadline");
    figures::report(
        &format!("expiry to rolled back, {when}"),
        &format!("began {late} ms after expiry (bound 2000 ms), done after {took} ms more"),
    );
}

/// The next morning: the recording is picked up, and learns what the host did.
fn is_learnt(fleet: &Fleet, folder: &str) {
    let resumed = run(fleet, &["resume", folder, "--headless", "--take-over"]).must_end(10);
    resumed.must_say("its host has rolled it back by itself");
    has_come_back(&Journal::of(fleet, folder.as_ref()));
}

/// Nothing was confirmed, and what was compared is as it was.
fn has_come_back(journal: &Journal) {
    assert_eq!(journal.outcome(), "rolled-back");
    assert!(journal.all("batch", "confirmed").is_empty());
    let compared = journal.compared();
    assert_eq!(compared.len(), 1);
    assert!(compared[0].as_array().is_some_and(Vec::is_empty), "{compared:?}");
}

#[test]
fn an_update_that_breaks_the_network_with_nobody_there_is_taken_back_by_its_host() {
    let Some(fleet) = Fleet::up("nobody", &["test1", "web1"]) else { return };
    let (folder, before) = left_dark(&fleet);
    // Not even by its own cable.
    fleet.lab("cut", &["web1"]);
    comes_back(&fleet, "web1", 120);
    how_late(&fleet, "web1", "the cable out");
    fleet.lab("mend", &["web1"]);
    assert!(fleet.served("192.0.2.21"), "its customers are served again");
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}

#[test]
fn a_power_cut_in_the_bake_does_not_disarm_the_timer() {
    let Some(fleet) = Fleet::up("power", &["test1", "web1"]) else { return };
    let (folder, before) = left_dark(&fleet);
    fleet.lab("power-cut", &["web1"]);
    fleet.lab("start", &["web1"]);
    comes_back(&fleet, "web1", 180);
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    assert!(fleet.served("192.0.2.21"), "its customers are served again");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}

#[test]
fn a_reboot_that_nobody_declared_does_not_disarm_the_timer() {
    let Some(fleet) = Fleet::up("undeclared", &["test1", "web1"]) else { return };
    let (folder, before) = left_dark(&fleet);
    let boot = fleet.on("web1", "cat /proc/sys/kernel/random/boot_id");
    // By somebody who knows nothing of a window, as a person at the console would.
    fleet.lab("reboot", &["web1"]);
    assert_ne!(fleet.on("web1", "cat /proc/sys/kernel/random/boot_id"), boot, "it was rebooted");
    comes_back(&fleet, "web1", 120);
    let said = fleet.on("web1", "journalctl --no-pager -u holdpoint-deadman.service");
    assert!(said.contains("this boot was undeclared to the timer of batch"), "{said}");
    assert_eq!(fleet.version("web1", "hp-net-config"), "1.0-1");
    assert!(fleet.served("192.0.2.21"), "its customers are served again");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}

/// The hosts that know of the update that breaks what `/etc/hp-break` names, and web1, which asks for it.
fn breaks(fleet: &Fleet, what: &str) {
    for host in ["test1", "web1"] {
        fleet.lab("suite", &[host, "lab-broken"]);
    }
    fleet.on("web1", &format!("echo {what} >/etc/hp-break"));
}

#[test]
fn a_boot_into_emergency_mode_is_taken_back_and_goes_on() {
    let Some(fleet) = Fleet::up("emergency", &["test1", "web1"]) else { return };
    breaks(&fleet, "boot");
    let (folder, before) = left_alone(&fleet, "hp-break");
    assert!(fleet.on("web1", "cat /etc/fstab").contains("hp-missing"));
    fleet.lab("reboot", &["web1", "--no-wait"]);
    // No sshd, no network, no ordinary unit: the watcher is there.
    fleet.until_on(
        "web1",
        "systemctl is-active -q emergency.target && systemctl is-active -q holdpoint-deadman.service",
    );
    assert!(!fleet.logs_in("web1"));
    comes_back(&fleet, "web1", 120);
    fleet.lab("wait", &["web1"]);
    assert_eq!(fleet.on("web1", "systemctl is-active emergency.target || :").trim(), "inactive");
    assert!(!fleet.on("web1", "cat /etc/fstab").contains("hp-missing"));
    let failed =
        fleet.on("web1", "systemctl list-units --state=failed --plain --no-legend | grep holdpoint || :");
    assert_eq!(failed, "", "what watched has ended well");
    assert!(fleet.served("192.0.2.21"), "the boot has gone on");
    assert_eq!(fleet.version("web1", "hp-break"), "1.0-1");
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    is_learnt(&fleet, &folder);
}

#[test]
fn an_update_that_takes_sshd_away_is_never_confirmed_and_taken_back_by_its_host() {
    let Some(fleet) = Fleet::up("sshd", &["test1", "web1"]) else { return };
    breaks(&fleet, "sshd");
    let plan = plan_within(&fleet, &["web1"], &[&["hp-break"]], "40s");
    rehearsed(&fleet, &plan);
    let before = fleet.manifest("web1");
    let plan = plan.display().to_string();
    let window = start(&fleet, &["run", &plan, "--headless"]);
    fleet.until_on("web1", "grep -qs 'sshd is gone' /var/lib/holdpoint/ops/*-apply-*/out.log");
    assert!(!fleet.logs_in("web1"), "nobody comes in");
    assert!(fleet.served("192.0.2.21"), "its customers notice nothing");
    comes_back(&fleet, "web1", 150);
    how_late(&fleet, "web1", "sshd gone");
    assert!(fleet.logs_in("web1"), "sshd is back");
    assert_eq!(fleet.version("web1", "hp-break"), "1.0-1");
    let ran = window.end().must_end(10);
    before.assert_same(&fleet.manifest("web1"), "after its host took it back");
    has_come_back(&ran.journal(&fleet));
}

#[test]
fn a_cable_that_is_out_in_the_apply_and_another_time_in_the_reboot() {
    let Some(fleet) = Fleet::up("cable", &["test1", "web2"]) else { return };
    let slow = |host: &str, seconds: u32| {
        fleet.on(host, &format!("mkdir -p /etc/hp-slow && echo {seconds} >/etc/hp-slow/postinst"));
    };
    slow("test1", 0);
    slow("web2", 8);
    let plan = plan_within(&fleet, &["web2"], &[&["hp-slow"], &["hp-linux-image-amd64"]], "30s");
    rehearsed(&fleet, &plan);
    let window = start(&fleet, &["run", &plan.display().to_string(), "--headless"]);
    fleet.until_on("web2", "grep -qs 'postinst sleeps' /var/lib/holdpoint/ops/*-apply-*/out.log");
    fleet.lab("cut", &["web2"]);
    comes_back(&fleet, "web2", 240);
    fleet.lab("mend", &["web2"]);
    let ran = window.end().must_end(10);
    assert_eq!(fleet.version("web2", "hp-slow"), "1-1");
    has_come_back(&ran.journal(&fleet));
    slow("web2", 0);

    // What was rolled back is pinned out; released, it is pending again. It goes well now, and the second one's reboot is declared; nobody sees its end.
    let boot = fleet.on("web2", "cat /proc/sys/kernel/random/boot_id");
    on_plan(&fleet, "unpin", &plan, &[]).must_end(0);
    let mut window = start(&fleet, &["run", &plan.display().to_string(), "--headless"]);
    window.until("web2 batch 2: applied");
    fleet.until_on("web2", "cat /var/lib/holdpoint/batches/*/timer/declared");
    fleet.lab("cut", &["web2"]);
    fleet.until_on("web2", &format!("[ $(cat /proc/sys/kernel/random/boot_id) != {} ]", boot.trim()));
    let said = "journalctl --no-pager -b -u holdpoint-deadman.service | grep -q 'this boot was declared'";
    fleet.until_on("web2", said);
    let second = "ls /var/lib/holdpoint/batches/*-2/timer/rolled-back";
    for _ in 0..8 {
        if !fleet.on("web2", &format!("{second} 2>/dev/null || :")).is_empty() {
            break;
        }
        sleep(Duration::from_secs(15));
    }
    fleet.on("web2", second);
    fleet.lab("mend", &["web2"]);
    window.end().must_end(10);
    assert_eq!(fleet.version("web2", "hp-linux-image-amd64"), "6.1.1-1");
    assert_eq!(fleet.version("web2", "hp-slow"), "1-2", "what was confirmed stays");
}
