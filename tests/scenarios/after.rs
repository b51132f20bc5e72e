//! What is left on a throwaway host after a batch, and what must not act while one is open: pins, the pause
//! of unattended upgrades, `left`, `unpin` and `clean`. By real apt.

use std::time::Duration;

use holdpoint::core::event::TimerState;
use holdpoint::facts::{self, Domain, Fact, Locks, Unattended, Updates};
use holdpoint::host::frame::RefusalCode;
use holdpoint::host::operation::OperationState;
use holdpoint::host::outcome::Left;
use holdpoint::host::said::Said;
use holdpoint::host::verb::{FactWord, Verb, Work};
use holdpoint::types::Time;

use crate::host::{Host, host, plan, updates};

const PAUSE: &str = "/etc/apt/apt.conf.d/zzzz-holdpoint-paused";
const PIN: &str = "/etc/apt/preferences.d/00-holdpoint-b1.pref";

impl Host {
    /// What apt would take.
    fn candidate(&self, package: &str) -> String {
        let script = format!("apt-cache policy {package} | sed -n 's/^  Candidate: //p'");
        self.inside.sh(&script).trim().to_owned()
    }

    fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if is(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("not in 20 s: {what}");
    }

    fn exists(&self, path: &str) -> bool {
        self.inside.sh(&format!("ls {path} 2>/dev/null || :")).trim() == path
    }

    /// Whether apt's own daily run does something, by the way every timer and crontab calls it.
    fn daily_runs(&self) -> bool {
        self.inside.sh(
            "printf 'APT::Periodic::Enable \"1\";\\nAPT::Periodic::Unattended-Upgrade \"always\";\\n' \
                 >/etc/apt/apt.conf.d/20auto-upgrades
             printf '#!/bin/sh\\ncase $1 in --help) echo download-only ;; *) : >/tmp/it-ran ;; esac\\n' \
                 >/usr/local/bin/unattended-upgrade
             chmod 755 /usr/local/bin/unattended-upgrade
             ln -sf /usr/local/bin/unattended-upgrade /usr/bin/unattended-upgrade
             rm -f /tmp/it-ran
             /usr/lib/apt/apt.systemd.daily install </dev/null >/dev/null 2>&1
             rm -f /etc/apt/apt.conf.d/20auto-upgrades",
        );
        self.inside.sh("ls /tmp/it-ran 2>/dev/null || :").contains("it-ran")
    }

    fn paused(&self) -> bool {
        let there = self.exists(PAUSE);
        assert_eq!(self.daily_runs(), !there, "what apt does follows the file");
        there
    }

    fn facts_of(&self, word: FactWord) -> Vec<Domain> {
        let answer = self.ask(&Verb::Facts(vec![word]));
        facts::read(&answer.sections, Time::from_timestamp(1_795_268_400, 0).expect("a time"))
    }

    fn updates_of(&self) -> Updates {
        match self.facts_of(FactWord::Updates).pop() {
            Some(Domain::Updates(Fact::Known(updates))) => updates,
            other => panic!("{other:?}"),
        }
    }

    fn unattended(&self) -> Option<Unattended> {
        match self.facts_of(FactWord::Locks).pop() {
            Some(Domain::Locks(Fact::Known(Locks { unattended, .. }))) => unattended,
            other => panic!("{other:?}"),
        }
    }

    fn left(&self) -> Left {
        match Verb::Left.read(&self.ask(&Verb::Left)) {
            Ok(Said::Left(left)) => left,
            other => panic!("{other:?}"),
        }
    }

    fn confirm_of(&self, batch: &str) -> Verb {
        Verb::Confirm { batch: batch.parse().expect("an id"), token: self.token(), plan: plan() }
    }

    fn stage_all(&self, batch: &str) {
        let (state, _, log) = self.stage(batch, updates());
        assert_eq!(state, OperationState::Done(0), "{log}");
    }
}

/// Puts a further version of hpt-app into the archive.
const NEWER: &str = concat!(
    include_str!("index.sh"),
    "mkdir -p /build/p/DEBIAN
printf 'Package: hpt-app\\nVersion: 2.0-2\\nArchitecture: amd64\\nMaintainer: nobody <nobody@example>\\nDescription: x\\n' \
    >/build/p/DEBIAN/control
dpkg-deb -Znone -b /build/p /archive >/dev/null
index"
);

#[test]
fn a_rollback_pins_the_bad_versions_alone_until_they_are_released() {
    let Some(host) = host() else { return };
    let before = host.portrait();
    host.stage_all("b1");
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    assert!(!host.exists(PIN), "what went on is not pinned");
    let (state, back, log) = host.rollback("b1");
    assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
    let pinned: Vec<String> =
        back.pinned.iter().map(|one| format!("{} {}", one.package, one.version)).collect();
    let bad = [
        "hpt-lib:amd64 2.0-1",
        "hpt-app:amd64 2.0-1",
        "hpt-data:all 2.0",
        "hpt-tool:amd64 1:2.0-1",
        "hpt-split:amd64 2.0-1",
        "hpt-new:amd64 2.0-1",
    ];
    assert_eq!(pinned, bad);
    assert!(back.cautions.is_empty(), "{:?}", back.cautions);
    host.is_as(&before, "a pin is no difference of /etc");

    // By apt's own word each bad version is out, one that was new included; and nothing would be done.
    for (package, candidate) in [
        ("hpt-app", "1.0-1"),
        ("hpt-data", "1.0"),
        ("hpt-tool", "1:1.0-1"),
        ("hpt-lib", "1.0-1"),
        ("hpt-new", "(none)"),
    ] {
        assert_eq!(host.candidate(package), candidate, "{package}");
    }
    let upgrade = host.inside.sh("apt-get -s upgrade --with-new-pkgs | grep ^Inst || :");
    assert_eq!(upgrade, "");
    // Anybody may read them: who asks without root is told the same.
    assert_eq!(host.inside.sh(&format!("stat -c '%a %U' {PIN}")), "644 root\n");
    let known = host.updates_of();
    let told: Vec<String> = known.pins.iter().map(|pin| format!("{} {}", pin.package, pin.version)).collect();
    assert_eq!(told, bad);
    let kept = known.kept.iter().find(|kept| kept.package.name.as_str() == "hpt-app").expect("it is kept");
    assert_eq!(format!("{:?}", kept.why), "Pin");
    let ours = known.pin_of(&kept.package, kept.candidate.as_ref().expect("a version")).expect("ours");
    assert_eq!((ours.batch.as_str(), ours.by.raw()), ("b1", "root"));

    // The next fix flows.
    host.inside.sh(NEWER);
    assert_eq!(host.candidate("hpt-app"), "2.0-2");

    // Once more is as once, and the date stays; released, the version is offered again.
    let file = host.inside.sh(&format!("cat {PIN}"));
    let (_, again, _) = host.rollback("b1");
    assert_eq!((again.pinned.len(), host.inside.sh(&format!("cat {PIN}"))), (6, file));
    assert_eq!(host.refused(&Verb::Unpin, 4), RefusalCode::StaleEpoch);
    assert_eq!(host.left().pins.len(), 6);
    assert_eq!(host.ask_at(&Verb::Clean(Vec::new()), 5).answer.end, holdpoint::host::frame::End::Done(0));
    assert_eq!((host.left().pins.len(), host.left().is_empty()), (6, true), "clean releases no pin");
    match Verb::Unpin.read(&host.ask(&Verb::Unpin)) {
        Ok(Said::Unpinned(released)) => assert_eq!(released.len(), 6),
        other => panic!("{other:?}"),
    }
    assert_eq!((host.exists(PIN), host.candidate("hpt-data")), (false, "2.0".to_owned()));
    assert_eq!(Verb::Unpin.read(&host.ask(&Verb::Unpin)), Ok(Said::Unpinned(Vec::new())));
}

#[test]
fn a_rehearsal_pins_nothing_and_an_apply_takes_its_own_pin_off() {
    let Some(host) = host() else { return };
    host.stage_all("b1");
    host.apply("b1");
    let (state, back, log) = host.operate("b1", Work::RehearsedRollback);
    assert_eq!(state, OperationState::Done(0), "{log}");
    assert!(!host.exists(PIN), "{back:?}");
    // Expiry pins, also in a rehearsal: nobody was there. What is applied again is not bad any more.
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    host.ask(&host.arm_for("b1", 1));
    host.over("b1");
    let text = host.inside.sh(&format!("cat {PIN}"));
    assert!(text.contains("nobody had confirmed it in time"), "{text}");
    let (state, applied, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
    assert!(!host.exists(PIN));
    // A pin of the host's own that comes before ours is said, since ours then keeps nothing out.
    host.inside.sh("printf 'Package: hpt-app\\nPin: version *\\nPin-Priority: 990\\n' >/etc/apt/preferences");
    let (state, back, log) = host.rollback("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    let cautions: Vec<&str> = back.cautions.iter().map(|caution| caution.raw()).collect();
    assert_eq!(
        cautions,
        ["hpt-app:amd64 2.0-1 is not kept out: another pin of this host comes before holdpoint's"]
    );
    assert_eq!(host.candidate("hpt-app"), "2.0-1");
}

#[test]
fn unattended_upgrades_are_paused_from_arming_to_every_end() {
    let Some(host) = host() else { return };
    assert!(!host.paused());
    host.stage_all("b1");
    assert!(!host.paused(), "what is staged may lie for days");

    // Confirmed.
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    assert!(host.paused());
    assert_eq!(host.unattended(), Some(Unattended::Paused));
    let text = host.inside.sh("run-parts --lsbsysinit /etc/update-motd.d");
    assert!(text.contains("Unattended upgrades are paused until then."), "{text}");
    host.ask(&host.confirm_of("b1"));
    assert!(!host.paused(), "confirmed");

    // Rolled back by the operator.
    host.rollback("b1");
    host.ask(&host.arm("b1"));
    assert!(host.paused());
    host.rollback("b1");
    assert!(!host.paused(), "rolled back");

    // Expired; and what is gone while a batch is open comes back.
    host.stage_all("b1");
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    host.inside.sh(&format!("rm {PAUSE}"));
    host.until("the watcher sees to it", |host| host.exists(PAUSE));
    assert!(host.paused());
    host.ask(&host.arm_for("b1", 1));
    assert_eq!(host.over("b1").state, TimerState::RolledBack);
    // The watcher sees to that once its rollback is told.
    host.until("the pause ends", |host| !host.exists(PAUSE));
    assert!(!host.paused(), "expired");

    // Two at once: the last one ends it.
    host.stage_all("b1");
    host.stage_all("b2");
    host.ask(&host.arm("b1"));
    host.ask(&host.arm("b2"));
    host.ask(&Verb::Confirm { batch: "b2".parse().expect("an id"), token: host.token(), plan: plan() });
    assert!(host.paused(), "b1 is open");
    host.ask(&host.confirm_of("b1"));
    assert!(!host.paused());

    // Killed between the end of a batch and the end of the pause: the watcher of the next boot, and clean.
    let boot = "sh /var/lib/holdpoint/deadman deadman0 0 watch </dev/null >/dev/null 2>&1 || :";
    let clean = "/usr/local/sbin/holdpoint-helper abcdefgh1 5 clean >/dev/null";
    host.until("the watcher leaves", |host| !host.exists("/var/lib/holdpoint/watch.pid"));
    for restores in [boot, clean] {
        host.inside.sh("printf '// holdpoint: left\\nAPT::Periodic::Enable \"0\";\\n' >/etc/apt/apt.conf.d/zzzz-holdpoint-paused");
        assert!(host.paused());
        host.inside.sh(restores);
        assert!(!host.paused(), "{restores}");
    }
}

const MASK: &str = "/etc/systemd/system-generators/systemd-system-update-generator";

/// An offline update that was prepared is named at the stage, and no boot of an open batch installs it; at every
/// end it is as it was.
#[test]
fn a_prepared_offline_update_is_named_and_waits_until_the_batch_is_over() {
    let Some(host) = host() else { return };
    host.inside.sh(
        "for f in /usr/lib/systemd/system-generators/systemd-system-update-generator; do mkdir -p ${f%/*}; [ -e $f ] || : >$f; done
         rm -rf /etc/systemd/system-generators
         printf '#!/bin/sh\necho ordered >>/reboots\n' >/usr/sbin/reboot; chmod 755 /usr/sbin/reboot",
    );
    assert_eq!(host.stage("none", updates()).1.offline, None);
    for link in ["/system-update", "/etc/system-update"] {
        host.inside.sh(&format!("mkdir -p /var/lib/PackageKit; ln -s /var/lib/PackageKit {link}"));
        let (state, staged, log) = host.stage("named", updates());
        assert_eq!(state, OperationState::Done(0), "{log}");
        let said = staged.offline.expect("named");
        assert_eq!(said.raw(), format!("{link} -> /var/lib/PackageKit"));
        host.inside.sh(&format!("rm {link}"));
    }
    host.inside.sh("ln -s /var/lib/PackageKit /system-update");
    let before = host.portrait();
    let reboot = || {
        let boot = host.inside.sh("cat /proc/sys/kernel/random/boot_id").trim().parse().expect("a boot id");
        Verb::Reboot { batch: "b1".parse().expect("an id"), boot }
    };
    // Waived, it is applied; and the boot that it is asked for does not go to what was prepared.
    for end in ["confirmed", "rolled back", "expired"] {
        host.stage_all("b1");
        assert_eq!(host.refused(&reboot(), 5), RefusalCode::Internal, "nothing keeps this boot from it");
        let (state, _, log) = host.apply("b1");
        assert_eq!(state, OperationState::Done(0), "{log}");
        assert_eq!(host.inside.sh(&format!("readlink {MASK}")), "/dev/null\n");
        host.inside.sh("rm -f /reboots");
        host.ask(&reboot());
        host.until("the reboot is ordered", |host| host.exists("/reboots"));
        match end {
            "confirmed" => {
                host.ask(&host.confirm_of("b1"));
            }
            "rolled back" => {
                host.inside.sh(&format!("rm {MASK}"));
                host.until("the watcher sees to it", |host| host.exists(MASK));
            }
            _ => {
                host.ask(&host.arm_for("b1", 1));
                assert_eq!(host.over("b1").state, TimerState::RolledBack);
            }
        }
        if end != "expired" {
            host.rollback("b1");
        }
        assert!(!host.exists("/etc/systemd/system-generators"), "{end}");
        assert_eq!(
            host.inside.sh("readlink /system-update"),
            "/var/lib/PackageKit\n",
            "it is its owner's: {end}"
        );
        host.is_as(&before, end);
    }
    // What somebody else has put there is left, and then nothing is applied and no boot ordered.
    host.inside
        .sh(&format!("mkdir -p /etc/systemd/system-generators; echo '#!/bin/sh' >{MASK}; rm -f /reboots"));
    host.stage_all("b1");
    let (state, applied, _) = host.apply("b1");
    let refused = applied.refused.expect("a reason");
    assert_eq!((state, refused.code.raw()), (OperationState::Done(2), "offline-update"));
    assert!(
        refused.words.raw().contains("/system-update -> /var/lib/PackageKit"),
        "{}",
        refused.words.shown()
    );
    assert_eq!(host.refused(&reboot(), 5), RefusalCode::Internal);
    host.rollback("b1");
    assert_eq!(host.inside.sh(&format!("cat {MASK}; ls /reboots 2>/dev/null || :")), "#!/bin/sh\n");
}

#[test]
fn after_a_rollback_that_failed_the_pause_stays_until_one_comes_off() {
    let Some(host) = host() else { return };
    host.stage_all("b1");
    host.apply("b1");
    host.inside.sh("mv /archive /archive.gone; mv /var/lib/holdpoint/batches/b1/old /old; mkdir /var/lib/holdpoint/batches/b1/old");
    let (state, back, _) = host.rollback("b1");
    assert_eq!(state, OperationState::Done(1));
    assert_eq!(back.pinned.len(), 6, "the bad versions are out all the same");
    std::thread::sleep(Duration::from_secs(2));
    assert!(host.paused());
    let text = host.inside.sh("run-parts --lsbsysinit /etc/update-motd.d");
    assert!(text.contains("Unattended upgrades stay paused until it comes off."), "{text}");
    assert!(host.left().held.is_some());
    assert_eq!(host.refused(&Verb::Clean(Vec::new()), 5), RefusalCode::Busy);
    host.inside.sh("rmdir /var/lib/holdpoint/batches/b1/old; mv /old /var/lib/holdpoint/batches/b1/old");
    let (state, _, log) = host.rollback("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    assert!(!host.paused());
}

#[test]
fn what_can_not_be_paused_is_not_applied_to_and_what_is_not_ours_stays() {
    let Some(host) = host() else { return };
    host.stage_all("b1");
    // Somebody's own file of that name.
    host.inside.sh(&format!("echo 'APT::Periodic::Verbose \"1\";' >{PAUSE}"));
    let (state, applied, _) = host.apply("b1");
    let refused = applied.refused.expect("a reason");
    assert_eq!((state, refused.code.raw()), (OperationState::Done(2), "unpaused"));
    assert!(refused.words.raw().contains(PAUSE), "{}", refused.words.shown());
    host.rollback("b1");
    host.ask(&Verb::Clean(Vec::new()));
    assert_eq!(host.inside.sh(&format!("cat {PAUSE}")), "APT::Periodic::Verbose \"1\";\n");
    host.inside.sh(&format!("rm {PAUSE}"));

    // One that began before the pause is waited for.
    host.stage_all("b1");
    host.inside.sh("cp /bin/sleep /tmp/unattended-upgrade
         setsid /tmp/unattended-upgrade 4 </dev/null >/dev/null 2>&1 &");
    let (state, applied, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
    assert!(applied.verified.duration >= holdpoint::types::Span::secs(3), "{:?}", applied.verified.duration);
}

#[test]
fn what_was_released_stays_released_until_it_is_installed_again() {
    let Some(host) = host() else { return };
    host.stage_all("b1");
    host.apply("b1");
    let (_, back, log) = host.rollback("b1");
    assert_eq!(back.pinned.len(), 6, "{log}");
    host.ask(&Verb::Unpin);
    assert!(!host.exists(PIN));
    // The batch is rolled back once more: nothing of it is kept out anew, and that is said with its date.
    let (state, again, log) = host.rollback("b1");
    assert_eq!((state, again.pinned.len()), (OperationState::Done(0), 0), "{again:#?}\n{log}");
    assert!(!host.exists(PIN));
    let day = host.inside.sh("date -u +%Y-%m-%d");
    let released = format!("hpt-app:amd64 2.0-1 is not pinned out: it was released on {}", day.trim());
    assert_eq!(again.cautions.len(), 6, "{:?}", again.cautions);
    assert!(
        again.cautions.iter().any(|caution| caution.raw().starts_with(&released)),
        "{:?}",
        again.cautions
    );
    assert_eq!(host.candidate("hpt-data"), "2.0");
    // One of them is installed again, and does harm again: that one alone is kept out.
    host.inside.sh("apt-get -qq -y install hpt-data=2.0 >/dev/null 2>&1");
    let (state, back, log) = host.rollback("b1");
    let pinned: Vec<String> =
        back.pinned.iter().map(|one| format!("{} {}", one.package, one.version)).collect();
    assert_eq!((state, pinned), (OperationState::Done(0), vec!["hpt-data:all 2.0".to_owned()]), "{log}");
    assert_eq!(
        (host.candidate("hpt-data"), back.cautions.len()),
        ("1.0".to_owned(), 5),
        "{:?}",
        back.cautions
    );
    // What is applied again forgets all of that.
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    let (_, back, log) = host.rollback("b1");
    assert_eq!((back.pinned.len(), back.cautions.len()), (6, 0), "{log}");
}

#[test]
fn clean_is_refused_while_a_batch_is_open_unless_its_window_is_known_to_be_over() {
    let Some(host) = host() else { return };
    let clean = |over: &[&str]| Verb::Clean(over.iter().map(|id| id.parse().expect("an id")).collect());
    let open = || {
        let open = host.left().open;
        let words = open.iter().map(|open| format!("{} {} {}", open.id, open.state.raw(), open.epoch));
        words.collect::<Vec<_>>()
    };
    host.stage_all("b1");
    assert_eq!(open(), ["b1 staged 5"]);
    assert_eq!(host.left().held, None, "its window may be known to be over");
    for others in [&[][..], &["b0"]] {
        assert_eq!(host.refused(&clean(others), 5), RefusalCode::Busy, "{others:?}");
    }
    assert!(host.exists("/var/lib/holdpoint/batches/b1/staged"), "nothing was taken");
    // What is armed is over for nobody.
    host.apply("b1");
    assert_eq!(open(), ["b1 armed 5"]);
    assert_eq!(host.refused(&clean(&["b1"]), 5), RefusalCode::Busy);
    host.rollback("b1");
    host.stage_all("b2");
    assert_eq!(open(), ["b2 staged 5"], "what went back is not open");
    assert_eq!(host.refused(&clean(&["b1"]), 5), RefusalCode::Busy);
    host.ask(&clean(&["b2"]));
    assert!(host.left().is_empty());
    // Rolled back before it began: it is over by itself.
    host.stage_all("b3");
    host.rollback("b3");
    assert_eq!(open(), Vec::<String>::new());
    // And so is what was confirmed.
    host.stage_all("b4");
    host.apply("b4");
    host.ask(&host.confirm_of("b4"));
    assert_eq!(open(), Vec::<String>::new());
    host.ask(&clean(&[]));
    assert!(host.left().is_empty());
}
