//! What a rollback stands on: a batch that changes the shell, tar, dpkg or the C library itself, and breaks
//! it. The real packages of this machine, packed again under a later version.

use holdpoint::core::event::{TimerState, Tools};
use holdpoint::host::operation::{OperationState, Spec};
use holdpoint::types::PackageId;

use crate::host::{Host, change, host};

/// Packs installed packages again, as they are and once more with a version that is later. The machine may
/// have packages that want the C library in exactly its version: they are told not to mind.
const PACK: &str = concat!(
    include_str!("index.sh"),
    r#"
pack() {
    rm -rf /build/p
    mkdir -p /build/p/DEBIAN
    dpkg -L "$1" | while IFS= read -r path; do
        case $path in
            /. | /etc/* | /usr/share/doc/* | /usr/share/man/* | /usr/share/locale/* | /usr/share/lintian/*) continue ;;
        esac
        if [ "${path#/}" = "$path" ] || [ -d "$path" ]; then continue; fi
        printf '%s\n' ".$path"
    done >/build/list
    # By the paths that dpkg has, whatever part of them is a link on a merged /usr.
    (cd / && tar -cf - --ignore-failed-read -T /build/list) | tar -C /build/p -xpf -
    dpkg -s "$1" | awk -v version="$2" '
        /^[^ ]/ { skip = /^(Status|Conffiles|Installed-Size|Depends|Pre-Depends|Breaks|Conflicts|Replaces|Provides|Config-Version):/ }
        /^Version:/ { print "Version: " version; next } !skip { print }' >/build/p/DEBIAN/control
    if [ -n "${3-}" ]; then mkdir -p /build/p/usr/lib; printf '%s\n' "$3" >>/build/p/usr/lib/hpt-newer-"$1"; fi
    dpkg-deb -Znone -b /build/p /archive >/dev/null
}
for name in $PACKAGES; do
    version=$(dpkg-query -W -f '${Version}' "$name")
    pack "$name" "$version"
    pack "$name" "$version+hpt1" newer
    echo "$name $(dpkg --print-architecture) $version"
done
sed -i 's/\(libc6\|libc-bin\|dpkg\|tar\|dash\) (= [^)]*)/\1/g' /var/lib/dpkg/status
index
"#
);

fn pack(host: &Host, packages: &str) -> Spec {
    let listed = host.inside.sh(&format!("PACKAGES='{packages}'\n{PACK}"));
    let lines = listed.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    Spec::new(
        lines
            .map(|words| {
                change(&format!("{}:{}", words[0], words[1]), words[2], &format!("{}+hpt1", words[2]))
            })
            .collect(),
    )
}

#[test]
fn a_base_that_the_batch_breaks_is_put_back_by_the_kept_copies() {
    let Some(host) = host() else { return };
    let spec = pack(&host, "libc6 dash tar dpkg coreutils");
    let before = host.portrait();
    let base = "sha256sum /bin/sh /bin/tar /usr/bin/dpkg /usr/bin/dpkg-deb /bin/mv \
        /lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2; readlink -f /lib /bin; ls -ld /lib /bin";
    let was = host.inside.sh(base);
    for (batch, damage) in [
        (
            "tar",
            "printf '#!/bin/false\\n' >/bin/tar.new; chmod 755 /bin/tar.new; mv -f /bin/tar.new /bin/tar",
        ),
        ("dpkg", "rm /usr/bin/dpkg /usr/bin/dpkg-deb"),
    ] {
        let (state, staged, log) = host.stage(batch, spec.clone());
        assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
        assert!(matches!(staged.tools, Some(Tools::Run(count)) if count > 30), "{:?}\n{log}", staged.tools);
        let wanted: Vec<PackageId> = spec.packages().iter().map(|package| package.package.clone()).collect();
        assert_eq!(staged.stands_on, wanted, "each of them");
        let (state, applied, log) = host.apply(batch);
        assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
        host.inside.sh(&format!("test -e /usr/lib/hpt-newer-libc6; {damage}"));
        let (state, back, log) = host.rollback(batch);
        assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
        assert!(back.cautions.iter().any(|words| words.raw().contains("kept copies")), "{back:#?}\n{log}");
        assert_eq!(host.inside.sh(base), was, "after {batch}");
        host.is_as(&before, batch);
    }
}

/// Nothing new can be started on the host then, so nobody can ask for anything: the timer fires.
#[test]
fn a_host_without_a_shell_or_a_c_library_rolls_back_by_itself() {
    let Some(host) = host() else { return };
    let spec = pack(&host, "libc6 dash");
    host.inside.sh(": >/empty; chmod 755 /empty");
    let base = "sha256sum /bin/sh /bin/dash /lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2; ls -ld /lib /bin";
    let (before, was) = (host.portrait(), host.inside.sh(base));
    for (batch, damage) in [
        ("libc", "cp /empty /e; exec mv -f /e /lib/x86_64-linux-gnu/libc.so.6"),
        ("loader", "cp /empty /e; exec mv -f /e /lib64/ld-linux-x86-64.so.2"),
        ("sh", "cp /empty /e; exec mv -f /e /bin/sh"),
    ] {
        let (state, staged, log) = host.stage(batch, spec.clone());
        assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
        let (state, applied, log) = host.apply(batch);
        assert_eq!(state, OperationState::Done(0), "{applied:#?}\n{log}");
        host.ask(&host.arm_for(batch, 3));
        host.inside.sh(damage);
        let mut patience = 600;
        // A command inside is the question whether anything can be started there again.
        while !host.inside.run(&["/bin/sh", "-c", ":"], b"").status.success() {
            patience -= 1;
            assert!(patience > 0, "{batch}: nothing starts there");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        let timer = host.over(batch);
        assert_eq!(timer.state, TimerState::RolledBack, "{batch}: {timer:?}\n{}", host.traces());
        assert_eq!(host.inside.sh(base), was, "after {batch}\n{}", host.traces());
        host.is_as(&before, batch);
    }
}
