//! A new kernel on a throwaway host: what is set for one boot and by default, at each step. The menu and the
//! environment are files; the tools that write them stand in for GRUB's, with its words.

use holdpoint::core::event::{KernelBack, TimerState};
use holdpoint::host::frame::{End, RefusalCode};
use holdpoint::host::operation::{OperationState, Spec};

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
            let (state, back, log) = host.rollback(batch);
            assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{back:#?}\n{log}");
            assert!(
                back.cautions.iter().any(|words| words.raw().contains("until the next boot")),
                "{back:#?}"
            );
            host.inside.sh("echo 6.1.0-1-hpt >/stub/runs");
            let images = host.inside.sh("sha256sum /boot/vmlinuz-* /boot/initrd.img-*");
            assert_eq!((grub(&host), images), (before.1.clone(), before.2.clone()));
            host.is_as(&before.0, "at the end");
        }
    }
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
