//! A new kernel on a throwaway host: what is set for one boot and by default, at each step. The menu and the
//! environment are files; the tools that write them stand in for GRUB's, with its words.

use holdpoint::core::event::{KernelBack, TimerState};
use holdpoint::host::frame::{End, RefusalCode};
use holdpoint::host::operation::{OperationState, Spec};
use holdpoint::host::outcome::RollbackResult;
use holdpoint::host::verb::{Verb, Work};
use holdpoint::types::Untrusted;

use crate::host::{Host, change, host};

/// Kernel packages, the menu of the kernel that runs and of those in /boot, and the tools. `uname` says what
/// runs, from a file; `grub-probe` what /boot is on.
const GRUB: &str = concat!(
    include_str!("index.sh"),
    r#"
mkdir -p /boot/grub /stub
echo 6.1.0-1-hpt >/stub/runs
echo ext2 >/stub/fs
: >/stub/abstraction
stub() { cat >"/usr/bin/$1.new"; chmod 755 "/usr/bin/$1.new"; mv -f "/usr/bin/$1.new" "/usr/bin/$1"; }
stub uname <<'SH'
#!/bin/sh
if [ "${1-}" = -r ]; then cat /stub/runs; else echo throwaway; fi
SH
stub systemd-detect-virt <<'SH'
#!/bin/sh
exit 1
SH
stub grub-probe <<'SH'
#!/bin/sh
cat "/stub/${1#--target=}"
SH
stub grub-editenv <<'SH'
#!/bin/sh
case $2 in
    list) cat "$1" ;;
    set) key=${3%%=*}; sed -i "/^$key=/d" "$1"; echo "$3" >>"$1" ;;
    unset) sed -i "/^$3=/d" "$1" ;;
esac
SH
stub grub-reboot <<'SH'
#!/bin/sh
grub-editenv /boot/grub/grubenv set "next_entry=$1"
SH
stub grub-set-default <<'SH'
#!/bin/sh
grub-editenv /boot/grub/grubenv unset next_entry
grub-editenv /boot/grub/grubenv set "saved_entry=$1"
SH
stub update-grub <<'SH'
#!/bin/sh
GRUB_DEFAULT=0 GRUB_CMDLINE_LINUX=
[ ! -f /etc/default/grub ] || . /etc/default/grub
for f in /etc/default/grub.d/*.cfg; do [ ! -f "$f" ] || . "$f"; done
{
    # As 00_header of GRUB writes it.
    [ "$GRUB_DEFAULT" != saved ] || GRUB_DEFAULT='${saved_entry}'
    echo "set default=\"$GRUB_DEFAULT\""
    echo "menuentry 'Debian GNU/Linux' --class debian \$menuentry_id_option 'gnulinux-simple-0b1c' {"
    echo "}"
    echo "submenu 'Advanced options for Debian GNU/Linux' \$menuentry_id_option 'gnulinux-advanced-0b1c' {"
    for image in $(ls /boot/vmlinuz-* | sort -rV); do
        r=${image#/boot/vmlinuz-}
        for kind in advanced recovery; do
            printf "\tmenuentry 'Debian GNU/Linux, with Linux %s' --class debian \$menuentry_id_option 'gnulinux-%s-%s-0b1c' {\n" "$r" "$r" "$kind"
            printf "\t\tlinux /vmlinuz-%s ro %s\n\t}\n" "$r" "$GRUB_CMDLINE_LINUX"
        done
    done
    echo "}"
} >/boot/grub/grub.cfg
SH
: >/boot/grub/grubenv
rm -f /boot/vmlinuz-* /boot/initrd.img-*
image() {
    mkdir -p /build/p/DEBIAN /build/p/boot
    echo "image $2" >"/build/p/boot/vmlinuz-$1"
    printf 'Package: linux-image-%s\nVersion: %s\nArchitecture: amd64\nMaintainer: nobody <nobody@example>\nDescription: a kernel\n' "$1" "$2" >/build/p/DEBIAN/control
    printf '#!/bin/sh\necho "initrd %s" >/boot/initrd.img-%s\nupdate-grub\n' "$2" "$1" >/build/p/DEBIAN/postinst
    printf '#!/bin/sh\nif [ "$1" = remove ]; then rm -f /boot/initrd.img-%s; update-grub; fi\n' "$1" >/build/p/DEBIAN/postrm
    chmod 755 /build/p/DEBIAN/postinst /build/p/DEBIAN/postrm
    dpkg-deb -Znone -b /build/p /archive >/dev/null
    rm -rf /build/p
}
image 6.1.0-1-hpt 6.1.1-1
image 6.1.0-1-hpt 6.1.2-1
image 6.1.0-2-hpt 6.1.5-1
index
apt-get -qq -y -o Dpkg::Use-Pty=0 install linux-image-6.1.0-1-hpt=6.1.1-1 >/tmp/install 2>&1
update-grub
"#
);

const OLD: &str = "gnulinux-advanced-0b1c>gnulinux-6.1.0-1-hpt-advanced-0b1c";
const NEW: &str = "gnulinux-advanced-0b1c>gnulinux-6.1.0-2-hpt-advanced-0b1c";

fn with_grub() -> Option<Host> {
    let host = host()?;
    host.inside.sh(GRUB);
    Some(host)
}

fn new_kernel() -> Spec {
    Spec::new(vec![change("linux-image-6.1.0-2-hpt:amd64", "-", "6.1.5-1")])
}

/// GRUB's environment, the default of its menu, and whether a panic reboots.
fn grub(host: &Host) -> (String, String, bool) {
    let environment = host.inside.sh("sort /boot/grub/grubenv");
    let default = host.inside.sh("sed -n 's/^set default=//p' /boot/grub/grub.cfg");
    let panic = host.inside.sh("grep -c panic=30 /boot/grub/grub.cfg || :");
    (environment, default.trim().replace('"', "").replace("${saved_entry}", "saved"), panic.trim() != "0")
}

#[test]
fn a_new_kernel_is_booted_once_and_kept_by_the_confirm_alone() {
    let Some(host) = with_grub() else { return };
    let before =
        (host.portrait(), grub(&host), host.inside.sh("sha256sum /boot/vmlinuz-* /boot/initrd.img-*"));
    for confirmed in [false, true] {
        let batch = if confirmed { "kept" } else { "back" };
        let (state, staged, log) = host.stage(batch, new_kernel());
        assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
        let kernel = KernelBack { keeps: Some("6.1.0-1-hpt".into()), manual: None };
        assert_eq!(staged.kernel, Some(kernel), "{log}");
        assert!(staged.space.iter().any(|space| space.need > 33_554_432), "{:?}", staged.space);
        assert_eq!(grub(&host), before.1, "a stage changes nothing");
        let (state, applied, log) = host.apply(batch);
        assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
        assert_eq!(applied.reboot_required, Some(true), "the trial is a boot");
        assert!(applied.etc_changed.is_empty(), "what stands for the trial is nobody's change: {applied:#?}");
        let trial = (format!("next_entry={NEW}\nsaved_entry={OLD}\n"), "saved".to_owned(), true);
        assert_eq!(grub(&host), trial, "{log}");
        // GRUB takes the word out as it boots by it. The host is asked to confirm before that kernel runs.
        let refused = host.ask_at(&host.confirm(batch), 5).answer.end;
        assert!(matches!(&refused, End::Refused(r) if r.code == RefusalCode::Internal), "{refused:?}");
        host.inside.sh("sed -i /^next_entry=/d /boot/grub/grubenv; echo 6.1.0-2-hpt >/stub/runs");
        if confirmed {
            host.ask(&host.confirm(batch));
            assert_eq!(
                grub(&host),
                (String::new(), "0".to_owned(), false),
                "the newest is the default again"
            );
            assert_eq!(host.timer(batch).state, TimerState::Confirmed);
            assert_eq!(host.inside.sh("ls -d /etc/default/grub.d 2>/dev/null || :"), "", "nothing is left");
        } else {
            // The trial boot did not last: the old one came up by itself.
            host.inside.sh("echo 6.1.0-1-hpt >/stub/runs");
            let (state, back, log) = host.rollback(batch);
            assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
            let images = host.inside.sh("sha256sum /boot/vmlinuz-* /boot/initrd.img-*");
            assert_eq!((grub(&host), images), (before.1.clone(), before.2.clone()));
            host.is_as(&before.0, "at the end");
        }
    }
}

/// What brings the watcher back after a boot, where there is no systemd; and what orders one.
const CRON: &str = r#"
mkdir -p /etc/cron.d
cp /bin/sleep /tmp/cron; setsid /tmp/cron 6000 </dev/null >/dev/null 2>&1 &
printf '#!/bin/sh\n[ ! -f /stub/refuses ] || exit 1\necho ordered >>/stub/reboots\n' >/usr/sbin/reboot
chmod 755 /usr/sbin/reboot
until grep -qsx cron /proc/[0-9]*/comm; do sleep 0.05; done
"#;

/// The host boots that kernel: another boot id, no process of before, and what cron starts.
fn boots(host: &Host, kernel: &str) {
    host.inside.sh(&format!(
        "if read -r pid _ 2>/dev/null </var/lib/holdpoint/watch.pid; then kill $pid; while [ -d /proc/$pid ]; do sleep 0.05; done; fi
         echo {kernel} >/stub/runs
         sed -i /^next_entry=/d /boot/grub/grubenv
         cat /proc/sys/kernel/random/uuid >/stub/boot_id.new
         umount /proc/sys/kernel/random/boot_id 2>/dev/null || :
         mv /stub/boot_id.new /stub/boot_id
         mount --bind /stub/boot_id /proc/sys/kernel/random/boot_id
         if [ -f /etc/cron.d/holdpoint-deadman ]; then setsid /bin/sh /var/lib/holdpoint/deadman deadman0 0 watch </dev/null >/dev/null 2>&1 & fi"
    ));
}

fn kernels(host: &Host) -> String {
    host.inside.sh("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' 'linux-image-6.1.0-?-hpt' | grep ' installed' || :")
}

fn said(host: &Host, operation: &str) -> RollbackResult {
    let operation = operation.parse().expect("an id");
    let answer = host.ask(&Verb::Result(operation));
    RollbackResult::parse(answer.section("result").expect("a result")).expect("reads")
}

const BOTH: &str = "linux-image-6.1.0-1-hpt installed\nlinux-image-6.1.0-2-hpt installed\n";

/// The kernel that runs is never removed: the one of before is booted first, whoever rolls back and whatever
/// GRUB's default is by then, and the rest goes on by itself.
#[test]
fn a_rollback_boots_the_old_kernel_before_it_removes_the_new_one() {
    let Some(host) = with_grub() else { return };
    host.inside.sh(CRON);
    let before = (host.portrait(), grub(&host));
    for (batch, confirmed, by_key) in
        [("key", false, true), ("timer", false, false), ("confirmed", true, true)]
    {
        host.inside.sh("rm -f /stub/reboots");
        let (state, _, log) = host.stage(batch, new_kernel());
        assert_eq!(state, OperationState::Done(0), "{log}");
        let (state, applied, log) = host.apply(batch);
        assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
        boots(&host, "6.1.0-2-hpt");
        if confirmed {
            host.ask(&host.confirm(batch));
            assert_eq!(grub(&host).1, "0", "the newest is the default");
        }
        let operation = if by_key {
            let start = host.start(batch, Work::Rollback);
            host.ask(&start);
            let (state, _, log) = host.follow(&start);
            assert_eq!(state, OperationState::Done(75), "{log}");
            let Verb::Start { operation, .. } = &start else { panic!("no start") };
            operation.as_str().to_owned()
        } else {
            host.ask(&host.arm_for(batch, 0));
            host.inside.sh("until [ -s /stub/reboots ]; do sleep 0.1; done");
            format!("{batch}-deadman")
        };
        let first = said(&host, &operation);
        assert_eq!(first.boots_back.as_ref().map(Untrusted::raw), Some("6.1.0-1-hpt"), "{first:#?}");
        host.inside.sh("until [ -s /stub/reboots ]; do sleep 0.1; done");
        assert_eq!(kernels(&host), BOTH, "nothing is removed under what runs");
        let held = (format!("saved_entry={OLD}\n"), "saved".to_owned(), true);
        assert_eq!(grub(&host), held, "the next boot is into the old one, whatever is newer");
        assert_eq!(host.timer(batch).state, TimerState::Firing, "it goes on");
        // For as long as it may still come it is waited for, by the watcher and by another press of the key.
        let again = host.start(batch, Work::Rollback);
        host.ask(&again);
        assert_eq!(host.follow(&again).0, OperationState::Done(75));
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert_eq!(host.timer(batch).state, TimerState::Firing);
        boots(&host, "6.1.0-1-hpt");
        let timer = host.over(batch);
        assert_eq!(timer.state, TimerState::RolledBack, "{timer:?}: {}", host.traces());
        let last = said(&host, timer.operation.expect("one").as_str());
        assert_eq!((last.identical, last.boots_back), (Some(true), None), "{}", host.traces());
        assert!(last.cautions.is_empty(), "{:?}", last.cautions);
        assert_eq!(host.inside.sh("cat /stub/reboots"), "ordered\n", "once");
        assert_eq!(
            (kernels(&host).as_str(), grub(&host)),
            ("linux-image-6.1.0-1-hpt installed\n", before.1.clone())
        );
        host.is_as(&before.0, batch);
    }
}

/// The next `sync` of everything is somebody's moment to take the package manager's lock for some seconds.
const LOCKS: &str = r#"
mv /usr/bin/sync /stub/sync
cat >/usr/bin/sync <<'SH'
#!/bin/sh
if [ $# = 0 ] && mkdir /stub/took 2>/dev/null; then
    setsid flock /var/lib/dpkg/lock-frontend sleep 3 </dev/null >/dev/null 2>&1 &
    sleep 0.3
fi
exec /stub/sync "$@"
SH
chmod 755 /usr/bin/sync
"#;

/// A rollback that was killed between its intent and its order is followed by another, which gives the order.
#[test]
fn a_boot_that_was_intended_and_never_ordered_is_ordered() {
    let Some(host) = with_grub() else { return };
    host.inside.sh(CRON);
    let before = (host.portrait(), grub(&host));
    assert_eq!(host.stage("b1", new_kernel()).0, OperationState::Done(0));
    assert_eq!(host.apply("b1").0, OperationState::Done(0));
    boots(&host, "6.1.0-2-hpt");
    // As it leaves it: the intent is younger than any boot that may still come.
    host.inside.sh(
        "printf 'ended %s\nat 99999999999\nto 6.1.0-1-hpt\n' \"$(cat /proc/sys/kernel/random/boot_id).$(sed 's/^.*) //' /proc/1/stat | cut -d ' ' -f 20)\" \
            >/var/lib/holdpoint/batches/b1/boot-back",
    );
    let start = host.start("b1", Work::Rollback);
    host.ask(&start);
    let (state, _, log) = host.follow(&start);
    assert_eq!(state, OperationState::Done(75), "{log}");
    host.inside.sh("until [ -s /stub/reboots ]; do sleep 0.1; done");
    boots(&host, "6.1.0-1-hpt");
    assert_eq!(host.over("b1").state, TimerState::RolledBack, "{}", host.traces());
    assert_eq!(host.inside.sh("cat /stub/reboots"), "ordered\n", "once");
    assert_eq!(grub(&host), before.1);
    host.is_as(&before.0, "at the end");
}

/// Where it can't be booted away, or runs again after that, it keeps its packages, the rest goes back, and the
/// rollback has failed by that; the next boot is into the old one, and ends it.
#[test]
fn a_kernel_that_runs_and_cannot_be_booted_away_keeps_its_packages() {
    let Some(host) = with_grub() else { return };
    host.inside.sh(CRON);
    let before = (host.portrait(), grub(&host));
    for (number, (setup, undo, why)) in [
        ("echo 'sda3_crypt UUID=1 none luks' >/etc/crypttab.new; mv /etc/crypttab.new /stub/; cp /stub/crypttab.new /etc/crypttab",
         "rm /etc/crypttab", "this host waits for a disk passphrase at boot (sda3_crypt), and nobody may be there"),
        ("mv /usr/bin/grub-set-default /stub/", "mv /stub/grub-set-default /usr/bin/", "there is no grub-set-default"),
        ("touch /stub/refuses", "rm /stub/refuses", "the reboot was refused"),
        // Somebody begins as the rollback ends, after all that was looked at before: it is not booted under them.
        (LOCKS, "mv /stub/sync /usr/bin/sync", "a package manager was at work when it was to be ordered"),
        ("touch /stub/again", "rm /stub/again", "it was booted away once and runs again"),
    ]
    .into_iter()
    .enumerate()
    {
        let batch = &format!("k{number}");
        host.inside.sh("rm -f /stub/reboots");
        let both = Spec::new(vec![
            change("linux-image-6.1.0-2-hpt:amd64", "-", "6.1.5-1"),
            change("hpt-data:all", "1.0", "2.0"),
        ]);
        assert_eq!(host.stage(batch, both).0, OperationState::Done(0));
        assert_eq!(host.apply(batch).0, OperationState::Done(0));
        boots(&host, "6.1.0-2-hpt");
        host.inside.sh(setup);
        host.ask(&host.start(batch, Work::Rollback));
        if why.ends_with("runs again") {
            host.inside.sh("until [ -s /stub/reboots ]; do sleep 0.1; done");
            boots(&host, "6.1.0-2-hpt");
        }
        let timer = host.over(batch);
        assert_eq!(timer.state, TimerState::RollbackFailed, "{why}: {}", host.traces());
        let words = timer.why.expect("says why");
        assert!(words.raw().contains(&format!("6.1.0-2-hpt runs, so its packages stay: {why}")), "{words:?}");
        assert_eq!(kernels(&host), BOTH, "{why}");
        let last = said(&host, timer.operation.expect("one").as_str());
        assert_eq!(last.identical, Some(false), "{why}");
        assert_eq!(host.inside.sh("dpkg-query -W -f '${Version}' hpt-data"), "1.0", "the rest is back: {why}");
        // It does not loop: nothing more is ordered, and nothing more is tried in this boot.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        assert_eq!(host.timer(batch).state, TimerState::RollbackFailed);
        let ordered = if why.ends_with("runs again") { "1" } else { "0" };
        assert_eq!(host.inside.sh("cat /stub/reboots 2>/dev/null | wc -l").trim(), ordered, "{why}");
        host.inside.sh(undo);
        if !why.starts_with("there is no") {
            assert_eq!(grub(&host).0, format!("saved_entry={OLD}\n"), "{why}");
            assert!(words.raw().contains("the next boot is into 6.1.0-1-hpt"), "{words:?}");
        }
        boots(&host, "6.1.0-1-hpt");
        host.inside.sh(&format!("until [ -f /var/lib/holdpoint/batches/{batch}/timer/rolled-back ]; do sleep 0.1; done"));
        assert_eq!((kernels(&host).as_str(), grub(&host)), ("linux-image-6.1.0-1-hpt installed\n", before.1.clone()));
        host.is_as(&before.0, why);
    }
}

/// A copy of an image that a full disk or a kill cut off is seen, and never put back over a whole one.
#[test]
fn half_an_image_is_never_used() {
    let Some(host) = with_grub() else { return };
    let images = "sha256sum /boot/vmlinuz-* /boot/initrd.img-*";
    let (before, was) = (host.portrait(), host.inside.sh(images));
    let same = || Spec::new(vec![change("linux-image-6.1.0-1-hpt:amd64", "6.1.1-1", "6.1.2-1")]);
    host.inside.sh("cp /usr/bin/cp /stub/cp");
    // The first copy out of /boot writes half of it and then fails, or its helper is killed.
    for (batch, then) in [("full", "exit 1"), ("killed", "kill -9 $PPID; exit 1")] {
        let (state, _, log) = host.stage(batch, same());
        assert_eq!(state, OperationState::Done(0), "{log}");
        host.inside.sh(&format!(
            "cat >/usr/bin/cp.new <<'SH'
#!/bin/sh
case \"$*\" in
    *\"-a /boot/\"*) head -c 4 \"$2\" >\"$3/${{2##*/}}\"; {then} ;;
esac
exec /stub/cp \"$@\"
SH
             chmod 755 /usr/bin/cp.new; mv -f /usr/bin/cp.new /usr/bin/cp"
        ));
        let folder = format!("/var/lib/holdpoint/batches/{batch}");
        if batch == "full" {
            let (state, applied, log) = host.apply(batch);
            assert_eq!(state, OperationState::Done(2), "{applied:#?}\n{log}");
            assert_eq!(applied.refused.expect("refused").code.raw(), "kernel");
        } else {
            let start = host.start_armed(batch);
            host.ask(&start);
            assert_eq!(host.follow(&start).0, OperationState::Unknown);
            assert_eq!(
                host.inside.sh(&format!("ls {folder}/boot.part")),
                "vmlinuz-6.1.0-1-hpt\n",
                "half is there"
            );
        }
        assert_eq!(host.inside.sh(&format!("ls -d {folder}/boot 2>/dev/null || :")), "", "{batch}");
        host.inside.sh("/stub/cp /stub/cp /usr/bin/cp.new; mv -f /usr/bin/cp.new /usr/bin/cp");
        let (state, back, log) = host.rollback(batch);
        assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
        assert!(!log.contains("putting back /boot"), "{log}");
        assert_eq!(host.inside.sh(images), was, "{batch}");
        host.is_as(&before, batch);
    }
    // The next apply takes whole ones, whatever was left.
    assert_eq!(host.stage("killed", same()).0, OperationState::Done(0));
    let (state, _, log) = host.apply("killed");
    assert_eq!(state, OperationState::Done(0), "{log}");
    let (state, back, log) = host.rollback("killed");
    assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
    assert_eq!(host.inside.sh(images), was);
}

#[test]
fn where_no_trial_can_be_set_up_that_is_said() {
    let Some(host) = with_grub() else { return };
    for (number, (setup, undo, why)) in [
        ("echo lvm >/stub/abstraction", ": >/stub/abstraction", "GRUB cannot write its environment on lvm"),
        (
            "echo 'diskfilter mdraid1x' >/stub/abstraction",
            ": >/stub/abstraction",
            "GRUB cannot write its environment on diskfilter mdraid1x",
        ),
        ("echo btrfs >/stub/fs", "echo ext2 >/stub/fs", "GRUB cannot write its environment on btrfs"),
        (
            "echo 5.0-other >/stub/runs",
            "echo 6.1.0-1-hpt >/stub/runs",
            "GRUB's menu has no entry for 5.0-other, which runs",
        ),
        ("mv /usr/bin/grub-reboot /stub/", "mv /stub/grub-reboot /usr/bin/", "there is no grub-reboot"),
    ]
    .into_iter()
    .enumerate()
    {
        host.inside.sh(setup);
        let (state, staged, log) = host.stage(&format!("n{number}"), new_kernel());
        host.inside.sh(undo);
        assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
        let said = staged.kernel.and_then(|kernel| kernel.manual).expect("said");
        assert_eq!(said.raw(), why);
    }
    // It can be waived: then it goes on as it always did, and back.
    host.inside.sh("echo lvm >/stub/abstraction");
    let was = grub(&host);
    host.stage("waived", new_kernel());
    let (state, applied, log) = host.apply("waived");
    assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
    assert_eq!(grub(&host), was, "GRUB is left alone");
    let (state, back, log) = host.rollback("waived");
    assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
}

#[test]
fn an_image_that_is_overwritten_comes_back_with_its_initrd() {
    let Some(host) = with_grub() else { return };
    let images = "sha256sum /boot/vmlinuz-* /boot/initrd.img-*; cat /boot/initrd.img-*";
    // What the admin has made of the initrd is in no package.
    host.inside.sh("echo 'by hand' >>/boot/initrd.img-6.1.0-1-hpt");
    let (before, was) = (host.portrait(), host.inside.sh(images));
    let same = Spec::new(vec![change("linux-image-6.1.0-1-hpt:amd64", "6.1.1-1", "6.1.2-1")]);
    let (state, staged, log) = host.stage("same", same);
    assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
    let kernel = staged.kernel.expect("said");
    assert!(kernel.manual.is_some_and(|why| why.raw().contains("overwrites the kernel that runs")));
    assert_eq!(kernel.keeps, None);
    let (state, applied, log) = host.apply("same");
    assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
    assert_ne!(host.inside.sh(images), was);
    let (state, back, log) = host.rollback("same");
    assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
    assert_eq!(host.inside.sh(images), was);
    host.is_as(&before, "at the end");
}
