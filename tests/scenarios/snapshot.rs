//! Snapshots of the root file system: btrfs for real, on a loop image; LVM and ZFS by tools that write down
//! what they are asked and pretend.

use std::time::Duration;

use holdpoint::core::event::{Snapshot, SnapshotKind, SnapshotLeft, Taking};
use holdpoint::host::operation::{OperationState, Spec};
use holdpoint::host::verb::Verb;
use holdpoint::types::Untrusted;

use crate::host::{Host, host, host_in, plan, updates};
use crate::throwaway::Throwaway;

const AT: &str = "/var/lib/holdpoint/snapshots/b1";

/// A host whose root is btrfs. Set to any value, it must be there: `.ci/run` sets it where it installed what
/// that takes.
fn btrfs() -> Option<Host> {
    let made = Throwaway::on_btrfs();
    if let (Err(why), Some(_)) = (&made, std::env::var_os("HOLDPOINT_BTRFS")) {
        panic!("no root on btrfs: {why}");
    }
    host_in(made)
}

fn asking() -> Spec {
    updates().with_snapshot(true)
}

fn takes(said: Option<Snapshot>) -> Taking {
    match said {
        Some(Snapshot::Takes(taking)) => *taking,
        said => panic!("it takes none: {said:?}"),
    }
}

fn fails(said: Option<Snapshot>) -> String {
    match said {
        Some(Snapshot::Fails(why)) => why.raw().to_owned(),
        said => panic!("it does not fail: {said:?}"),
    }
}

fn there(what: &str) -> Option<SnapshotLeft> {
    Some(SnapshotLeft::There(Untrusted::new(what)))
}

/// The names of all subvolumes below the root.
fn subvolumes(host: &Host) -> String {
    host.inside.sh("btrfs subvolume list -o / | sed 's/.* path //'")
}

/// What is known of this very moment on the host, that an apply changes.
const STATE: &str = "sha256sum </var/lib/dpkg/status; cat /usr/share/hpt-*/* | sort; cat /etc/hpt-app.conf";

#[test]
fn a_btrfs_snapshot_holds_what_was_there_before_the_first_change_and_goes_with_the_end() {
    let Some(host) = btrfs() else { return };
    let before = host.portrait();
    let state_before = host.inside.sh(STATE);
    host.inside.sh("btrfs subvolume create /var/lib/machines >/dev/null; echo image >/var/lib/machines/one");

    // Nothing is taken at stage; what a person would do is said.
    let (state, staged, log) = host.stage("b1", asking());
    assert_eq!(state, OperationState::Done(0), "{log}");
    let taking = takes(staged.snapshot);
    assert_eq!((taking.kind, taking.of.raw(), taking.at.raw()), (SnapshotKind::Btrfs, "/@rootfs", AT));
    assert!(taking.apart.iter().any(|path| path.raw() == "/var/lib/machines"), "{:?}", taking.apart);
    assert!(staged.space.iter().any(|space| space.mount.raw() == "/@rootfs" && space.need < space.free));
    assert_eq!(subvolumes(&host), "@rootfs/var/lib/machines\n");
    // Without the wish there is none, and nothing is said of one.
    let (_, unasked, _) = host.stage("b0", updates());
    assert_eq!(unasked.snapshot, None);

    // The first package's own script finds it there, as everything still is.
    host.inside.sh("echo 'hpt-lib 2.0-1 preinst slow' >/killpoint");
    let apply = host.start_armed("b1");
    host.ask(&apply);
    while host.inside.sh("pgrep -f 'sleep 300' || :").is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.inside.sh(&format!("chroot {AT} sh -c '{STATE}'")), state_before);
    let (state, answer, log) = host.follow(&apply);
    assert_eq!(state, OperationState::Done(0), "{log}");
    let said = answer.section("result").expect("a result");
    let line = format!("snapshot taken btrfs {AT}").into_bytes();
    assert!(said.lines.contains(&line), "{log}");
    assert_ne!(host.inside.sh(STATE), state_before);
    assert_eq!(host.inside.sh(&format!("chroot {AT} sh -c '{STATE}'")), state_before);
    let written = host.inside.run(&["touch", &format!("{AT}/etc/new")], b"");
    assert!(!written.status.success(), "it can't be written to");
    let output = host.inside.run(&["setpriv", "--reuid=65534", "--clear-groups", "ls", AT], b"");
    assert!(!output.status.success(), "old programs in it are nobody's to run");
    assert!(host.inside.sh(LEFT).contains(&format!("|snapshot btrfs {AT}\n")));
    // What is reserved for the rollback lies on blocks that the snapshot does not hold: to remove it frees them.
    let reserve =
        host.inside.sh("btrfs filesystem du -s --raw /var/lib/holdpoint/batches/b1/reserve | tail -n 1");
    let [total, exclusive, ..] = reserve.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{reserve}")
    };
    assert!(total == exclusive && total.parse::<u64>().is_ok_and(|bytes| bytes > 16 << 20), "{reserve}");

    // A rollback that comes off has no more use for it.
    host.inside.sh("pkill -f 'sleep 300' || :");
    let (state, back, log) = host.rollback("b1");
    assert_eq!((state, back.identical, back.snapshot), (OperationState::Done(0), Some(true), None), "{log}");
    host.is_as(&before, "after the rollback");
    assert_eq!(subvolumes(&host), "@rootfs/var/lib/machines\n");
    assert!(!host.inside.sh(LEFT).contains("|snapshot"));

    // Applied once more and confirmed, it goes as well.
    let (state, applied, log) = host.apply("b1");
    assert_eq!((state, applied.snapshot), (OperationState::Done(0), there(&format!("btrfs {AT}"))), "{log}");
    assert_eq!(subvolumes(&host), format!("@rootfs/var/lib/machines\n@rootfs{AT}\n"));
    // Booted by no name, as here, the default subvolume is what a person sets.
    let commands: Vec<&str> = taking.back.iter().map(Untrusted::raw).collect();
    let device = type_in(&host, &commands);
    host.inside.sh(&format!("mkdir /next; mount {device} /next"));
    assert_eq!(host.inside.sh(&format!("chroot /next sh -c '{STATE}'")), state_before);
    assert_eq!(host.inside.sh("cat /next/var/lib/machines/one; touch /next/etc/written"), "image\n");
    host.inside.sh("umount /next /mnt");
    host.ask(&confirm(&host));
    assert_eq!(subvolumes(&host), "");
}

/// What a person does, but for the boot at the end: the file system's device.
fn type_in(host: &Host, commands: &[&str]) -> String {
    assert_eq!(commands.last(), Some(&"reboot"));
    for command in &commands[..commands.len() - 1] {
        let output = host.inside.run(&["sh", "-c", command], b"");
        // Where the versions differ `diff` ends with 1, as it should.
        let good = if command.starts_with("diff ") { 1 } else { 0 };
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(good), "{command}: {words}");
    }
    let mounts = commands.iter().find_map(|line| line.strip_prefix("mkdir -p /mnt && mount -o subvolid=5 "));
    mounts.and_then(|rest| rest.split(' ').next()).expect("a mount").to_owned()
}

const LEFT: &str = "/usr/local/sbin/holdpoint-helper test1nonce 0 left";

fn confirm(host: &Host) -> Verb {
    Verb::Confirm { batch: "b1".parse().expect("an id"), token: host.token(), plan: plan() }
}

#[test]
fn the_commands_of_a_failed_rollback_bring_the_root_back_from_its_snapshot() {
    let Some(host) = btrfs() else { return };
    let state_before = host.inside.sh(STATE);
    host.inside.sh("btrfs subvolume create /var/lib/machines >/dev/null; echo image >/var/lib/machines/one");
    // By the name of the subvolume, as Debian boots.
    host.inside.sh("echo 'ro rootflags=subvol=@rootfs quiet' >/cmdline; mount --bind /cmdline /proc/cmdline");
    let (state, staged, log) = host.stage("b1", asking());
    assert_eq!(state, OperationState::Done(0), "{log}");
    let taking = takes(staged.snapshot);
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    // The stored old files are gone: the rollback can't come off.
    host.inside.sh("rm /var/lib/holdpoint/batches/b1/old/*");
    let (state, back, log) = host.rollback("b1");
    assert_eq!((state, back.snapshot), (OperationState::Done(1), there(&format!("btrfs {AT}"))), "{log}");
    let why = host.inside.sh("cat /var/lib/holdpoint/batches/b1/timer/why");
    assert!(why.contains(&format!("a snapshot of before is kept: btrfs {AT}")), "{why}");
    let console = host.inside.sh("/usr/local/sbin/holdpoint-helper console status");
    assert!(console.contains("Nothing puts it back by itself. By hand:"), "{console}");
    for command in &taking.back {
        assert!(console.contains(&format!("    {}\n", command.raw())), "{console}\n{command:?}");
    }
    // What is in the way of a clean keeps it.
    assert_eq!(host.ask_at(&Verb::Clean(Vec::new()), 5).answer.end, busy());
    assert_eq!(subvolumes(&host), format!("@rootfs/var/lib/machines\n@rootfs{AT}\n"));

    // A person does what it says, but for the boot.
    let commands: Vec<&str> = taking.back.iter().map(Untrusted::raw).collect();
    let device = type_in(&host, &commands);
    host.inside.sh(&format!("mkdir /next; mount -o subvol=@rootfs {device} /next"));
    assert_eq!(host.inside.sh(&format!("chroot /next sh -c '{STATE}'")), state_before);
    assert_eq!(host.inside.sh("cat /next/var/lib/machines/one; touch /next/etc/written"), "image\n");
    // The helper in the new root: the batch never began there, and nothing of the snapshot is looked for.
    let next = "mount -t proc proc /next/proc; mount -t tmpfs tmpfs /next/run; mount --rbind /dev /next/dev
        printf 'kind btrfs\nof /@rootfs\nat /var/lib/holdpoint/snapshots/b1\nneed 1\n' \
            >/next/var/lib/holdpoint/batches/b1/snap.taken
        rm -f /next/var/lib/holdpoint/batches/b1/timer/armed
        chroot /next /usr/local/sbin/holdpoint-helper test1nonce 5 clean b1
        ls -A /next/var/lib/holdpoint/batches /next/var/lib/holdpoint/snapshots 2>&1";
    let said = host.inside.sh(&format!("set +e\n{next}\n:"));
    assert!(said.contains("done 0"), "{said}");
    assert!(said.contains("No such file"), "{said}");
}

fn busy() -> holdpoint::host::frame::End {
    use holdpoint::host::frame::{End, Refusal, RefusalCode};
    let words = "a timer is armed or firing, or its rollback failed and needs what is stored";
    End::Refused(Refusal { code: RefusalCode::Busy, words: words.into() })
}

#[test]
fn without_its_snapshot_nothing_is_applied_and_none_is_left_over() {
    let Some(host) = btrfs() else { return };
    let before = host.inside.sh(STATE);
    let stage = || {
        let (state, staged, log) = host.stage("b1", asking());
        assert_eq!(state, OperationState::Done(0), "{log}");
        staged.snapshot
    };

    // Live data, by where it is and by who writes it.
    host.inside.sh("mkdir -p /srv/shop /var/lib/mysql /var/lib/redis; echo order >/srv/shop/orders");
    host.inside.sh("echo row >/var/lib/mysql/ibdata1");
    let why = fails(stage());
    assert_eq!(why, "live data shares it: /srv, /var/lib/mysql");
    host.inside.sh("rm -r /srv/shop /var/lib/mysql; btrfs subvolume create /var/lib/mysql >/dev/null");
    host.inside.sh("echo row >/var/lib/mysql/ibdata1; mkdir -p /home/ops/.ssh /opt/shop");
    host.inside.sh("echo key >/home/ops/.ssh/authorized_keys; echo 'ls' >/home/ops/.bash_history");
    host.inside.sh(
        "setsid sh -c 'exec 3>>/opt/shop/orders.db; exec 4>>/var/log/shop; exec sleep 400' >/dev/null 2>&1 &",
    );
    let why = fails(stage());
    assert_eq!(why, "live data shares it: sleep writes /opt/shop/orders.db");
    host.inside.sh("pkill -f 'sleep 400'; sleep 0.3");
    let taking = takes(stage());
    assert!(taking.apart.iter().any(|path| path.raw() == "/var/lib/mysql"), "{:?}", taking.apart);

    // Data that came between: the look is repeated, and nothing has changed.
    host.inside.sh("echo order >/srv/orders");
    let refused = |what: &str| {
        let (state, applied, log) = host.apply("b1");
        assert_eq!(state, OperationState::Done(2), "{log}");
        let refused = applied.refused.expect("refused");
        assert_eq!(refused.code.raw(), "no-snapshot");
        assert!(refused.words.raw().starts_with(what), "{refused:?}");
        assert_eq!(host.inside.sh(STATE), before, "{what}");
        assert_eq!(subvolumes(&host), "@rootfs/var/lib/mysql\n", "{what}");
        assert_eq!(host.inside.sh("ls /var/lib/holdpoint/batches/b1 | grep -e begun -e snap.taken || :"), "");
    };
    refused("live data shares it: /srv");
    host.inside.sh("rm /srv/orders");
    // A tool that fails, one that lies, one that leaves half a thing.
    host.inside.sh("mv /usr/bin/btrfs /usr/bin/btrfs.real");
    let tool = |script: &str| {
        let script = format!("#!/bin/sh\nreal=/usr/bin/btrfs.real\n{script}\nexec $real \"$@\"\n");
        let output = host
            .inside
            .run(&["sh", "-c", "cat >/usr/bin/btrfs; chmod 755 /usr/bin/btrfs"], script.as_bytes());
        assert!(output.status.success());
    };
    tool("[ \"$1 $2\" != 'subvolume snapshot' ] || { echo 'ERROR: no' >&2; exit 1; }");
    refused("it could not be taken; the words of its tool are in the log");
    tool("[ \"$1 $2\" != 'subvolume snapshot' ] || exit 0");
    refused("it was taken, and it is not there");
    tool(
        "[ \"$1 $2\" != 'subvolume snapshot' ] || { echo >>/var/lib/dpkg/status.new; exec $real subvolume create \"$5\"; }",
    );
    refused("it was taken, and it does not hold what dpkg knows now");
    host.inside.sh("mv /usr/bin/btrfs.real /usr/bin/btrfs; rm /var/lib/dpkg/status.new");
    // Something of that name that is not ours stays.
    host.inside.sh(&format!(
        "mkdir -p {}; btrfs subvolume create {AT} >/dev/null; echo ours >{AT}/file",
        &AT[..AT.len() - 3]
    ));
    let (state, applied, _) = host.apply("b1");
    let refused = applied.refused.expect("refused");
    assert_eq!((state, refused.code.raw()), (OperationState::Done(2), "no-snapshot"));
    assert_eq!(host.inside.sh(&format!("cat {AT}/file; btrfs subvolume delete {AT} >/dev/null")), "ours\n");

    // Killed between the snapshot and the first change: the next call removes it.
    for (end, kept) in [("apply", true), ("clean", false)] {
        host.inside.sh("mv /usr/bin/btrfs /usr/bin/btrfs.real");
        tool(
            "if [ \"$1 $2\" = 'subvolume snapshot' ]; then $real \"$@\"; kill -9 $(cut -d ' ' -f 1 /var/lib/holdpoint/ops/*/pid); exit 0; fi",
        );
        let apply = host.start_armed("b1");
        host.ask(&apply);
        assert_eq!(host.follow(&apply).0, OperationState::Unknown, "{end}");
        host.inside.sh("mv /usr/bin/btrfs.real /usr/bin/btrfs");
        assert_eq!(subvolumes(&host), format!("@rootfs/var/lib/mysql\n@rootfs{AT}\n"), "{end}");
        host.inside.sh("test ! -e /var/lib/holdpoint/batches/b1/begun");
        if kept {
            let (state, applied, log) = host.apply("b1");
            assert_eq!(
                (state, applied.snapshot),
                (OperationState::Done(0), there(&format!("btrfs {AT}"))),
                "{log}"
            );
            let (state, _, log) = host.rollback("b1");
            assert_eq!(state, OperationState::Done(0), "{log}");
        } else {
            host.inside.sh("rm /var/lib/holdpoint/batches/b1/timer/armed");
            host.ask(&Verb::Clean(vec!["b1".parse().expect("a batch")]));
        }
        assert_eq!(subvolumes(&host), "@rootfs/var/lib/mysql\n", "{end}");
        assert_eq!(host.inside.sh(STATE), before, "{end}");
        takes(stage());
    }
}

/// Calls that change something, since the last look.
fn calls(host: &Host) -> Vec<String> {
    let calls = host.inside.sh(": >>/calls; cat /calls; : >/calls");
    let changes = |call: &&str| {
        ["lvcreate ", "lvremove ", "mount ", "zfs snapshot ", "zfs destroy "]
            .iter()
            .any(|start| call.starts_with(start))
    };
    calls.lines().filter(changes).map(str::to_owned).collect()
}

#[test]
fn lvm_and_zfs_are_asked_for_one_and_told_to_remove_it() {
    let Some(host) = host() else { return };
    let plain = fails(host.stage("b0", asking()).1.snapshot);
    assert!(
        plain.starts_with("/ is on overlay, and snapshots are taken of btrfs, LVM and ZFS alone"),
        "{plain}"
    );
    host.inside.sh(include_str!("volumes.sh"));
    let set = |kind: &str, free: &str| host.inside.sh(&format!("echo {kind} >/kind; echo {free} >/free"));
    let mnt = "/var/lib/holdpoint/batches/b1/snap.mnt";
    let lvm = "vg0/holdpoint-b1";
    let zfs = "rpool/ROOT/debian@holdpoint-b1";
    for (kind, of, at, took, back, gone) in [
        (
            SnapshotKind::Lvm,
            "vg0/root",
            lvm,
            vec![
                "lvcreate -y -s -L SIZEb -n holdpoint-b1 vg0/root".to_owned(),
                format!("mount -o ro,noload /dev/{lvm} {mnt}"),
            ],
            vec![
                "lvs -o lv_name,origin,lv_attr,data_percent vg0/holdpoint-b1",
                "mkdir -p /mnt && mount -o ro,noload /dev/vg0/holdpoint-b1 /mnt",
                "diff /mnt/var/lib/dpkg/status /var/lib/dpkg/status",
                "umount /mnt",
                "# it takes back all that was written there since, at the next boot, and is used up by that:",
                "lvconvert --merge vg0/holdpoint-b1",
                "reboot",
            ],
            "lvremove -f -y vg0/holdpoint-b1",
        ),
        (
            SnapshotKind::LvmThin,
            "vg0/root",
            lvm,
            vec![
                "lvcreate -y -s -kn -n holdpoint-b1 vg0/root".to_owned(),
                format!("mount -o ro,noload /dev/{lvm} {mnt}"),
            ],
            vec!["lvs -o lv_name,origin,lv_attr,data_percent vg0/holdpoint-b1"],
            "lvremove -f -y vg0/holdpoint-b1",
        ),
        (
            SnapshotKind::Zfs,
            "rpool/ROOT/debian",
            zfs,
            vec![format!("zfs snapshot {zfs}")],
            vec![
                "zfs list -t snapshot -s creation rpool/ROOT/debian",
                "zfs diff rpool/ROOT/debian@holdpoint-b1",
                "# from a rescue boot with ZFS, not from the running system:",
                "zpool import -N -R /mnt rpool",
                "# it takes back all that was written there since; snapshots newer than it are in its way",
                "zfs rollback rpool/ROOT/debian@holdpoint-b1",
                "zpool export rpool",
                "reboot",
            ],
            "zfs destroy rpool/ROOT/debian@holdpoint-b1",
        ),
    ] {
        let word = kind.word();
        // No room for what it may grow by.
        set(word, "1048576");
        let (state, staged, log) = host.stage("b1", asking());
        assert_eq!(state, OperationState::Done(0), "{word}: {log}");
        let why = fails(staged.snapshot);
        assert!(why.starts_with("it may grow by "), "{word}: {why}");
        set(word, "107374182400");
        let (state, staged, log) = host.stage("b1", asking());
        assert_eq!(state, OperationState::Done(0), "{word}: {log}");
        let taking = takes(staged.snapshot);
        assert_eq!((taking.kind, taking.of.raw(), taking.at.raw()), (kind, of, at));
        let lines: Vec<&str> = taking.back.iter().map(Untrusted::raw).collect();
        assert_eq!(lines[..back.len()], back[..], "{word}");
        let need = staged.space.iter().find(|space| space.mount.raw() == of).expect("its room").need;
        assert_eq!(calls(&host), Vec::<String>::new(), "{word}: nothing is taken at stage");

        // Its tool fails: nothing changes.
        let fails = if kind == SnapshotKind::Zfs { "zfs snapshot" } else { "lvcreate -y" };
        host.inside.sh(&format!("echo '{fails}' >/fail"));
        let (state, applied, log) = host.apply("b1");
        assert_eq!(state, OperationState::Done(2), "{word}: {log}");
        assert_eq!(applied.refused.expect("refused").code.raw(), "no-snapshot");
        assert_eq!(host.inside.sh("cat /usr/share/hpt-lib/data"), "lib 1\n");
        host.inside.sh("rm /fail");
        calls(&host);

        let (state, applied, log) = host.apply("b1");
        let what = format!("{word} {at}");
        assert_eq!((state, applied.snapshot), (OperationState::Done(0), there(&what)), "{word}: {log}");
        let took: Vec<String> = took.iter().map(|call| call.replace("SIZE", &need.to_string())).collect();
        assert_eq!(calls(&host), took, "{word}");
        let left = host.inside.sh(&format!("cat /there; {LEFT}"));
        assert!(left.contains(&format!("|snapshot {what}\n")), "{left}");
        let (state, back, log) = host.rollback("b1");
        assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{word}: {log}");
        assert_eq!(calls(&host), [gone], "{word}");
        // Whoever applies it again and confirms has none left either.
        let (state, _, log) = host.apply("b1");
        assert_eq!(state, OperationState::Done(0), "{word}: {log}");
        calls(&host);
        host.ask(&confirm(&host));
        assert_eq!(
            (calls(&host), host.inside.sh("cat /there")),
            (vec![gone.to_owned()], String::new()),
            "{word}"
        );
        let (state, _, log) = host.rollback("b1");
        assert_eq!(state, OperationState::Done(0), "{word}: {log}");
        assert_eq!(host.inside.sh("grep ' /var/lib/holdpoint' /proc/self/mounts || :"), "", "{word}");
    }

    // One that took more than fits in: said, and not offered any more.
    set("lvm", "107374182400");
    assert_eq!(host.stage("b1", asking()).0, OperationState::Done(0));
    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    host.inside.sh(": >/full; rm /var/lib/holdpoint/batches/b1/old/*");
    let (state, back, log) = host.rollback("b1");
    let full = SnapshotLeft::Invalid(Untrusted::new("lvm vg0/holdpoint-b1"));
    assert_eq!((state, back.snapshot), (OperationState::Done(1), Some(full)), "{log}");
    let console = host.inside.sh("/usr/local/sbin/holdpoint-helper console status");
    assert!(console.contains("The snapshot of before is full, and holds nothing any more"), "{console}");
    assert!(!console.contains("lvconvert"), "{console}");
}
