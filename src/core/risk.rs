//! What breaks when a package does, and how likely that is.
//!
//! The classes and figures are judgement, not measurement: they order batches and make "how much
//! at once" visible. They are data, so that a team can argue about a line of a table.

use crate::core::change::{Change, Standing};
use crate::plan::Class;
use crate::types::PackageName;

/// Whether a package is the image of one kernel, which it is named after: `linux-image-6.1.0-31-amd64`, and not
/// the metapackage that leads to it.
pub fn is_image(name: &PackageName) -> bool {
    let release =
        ["linux-image-unsigned-", "linux-image-"].iter().find_map(|kind| name.as_str().strip_prefix(kind));
    release.is_some_and(|release| release.starts_with(|first: char| first.is_ascii_digit()))
}

/// Names (whole, or a prefix ending in `*`) of each class, the first that fits counts.
const CLASSES: &[(Class, &[&str])] = &[
    (
        Class::Kernel,
        &[
            "linux-image-*",
            "linux-headers-*",
            "linux-modules-*",
            "linux-base",
            "grub*",
            "initramfs-tools*",
            "dracut*",
            "intel-microcode",
            "amd64-microcode",
            "firmware-*",
            "dkms",
            "*-kernel-image-*",
            "*-linux-image-*",
        ],
    ),
    (
        Class::Libc,
        &[
            "libc6*",
            "libc-bin",
            "locales",
            "libgcc-s1",
            "libstdc++6",
            "libcrypt1",
            "dpkg",
            "apt",
            "libapt-pkg*",
            "tar",
            "dash",
            "bash",
            "coreutils",
            "perl-base",
        ],
    ),
    (
        Class::Init,
        &[
            "systemd*",
            "libsystemd*",
            "udev",
            "libudev1",
            "init",
            "init-system-helpers",
            "dbus*",
            "sysvinit*",
            "openrc",
            "libpam*",
            "util-linux",
            "mount",
        ],
    ),
    (
        Class::Network,
        &[
            "ifupdown*",
            "iproute2",
            "netplan*",
            "network-manager*",
            "isc-dhcp*",
            "dhcpcd*",
            "nftables",
            "iptables*",
            "libnftables*",
            "keepalived",
            "wireguard*",
            "openvpn",
            "resolvconf",
            "bridge-utils",
            "vlan",
            "ethtool",
            "openssh-server",
            "*-net-*",
            "*-ifupdown*",
        ],
    ),
    (
        Class::Server,
        &[
            "nginx*",
            "apache2*",
            "haproxy",
            "varnish",
            "postgresql*",
            "mariadb*",
            "mysql*",
            "redis*",
            "memcached",
            "rabbitmq*",
            "postfix",
            "exim4*",
            "dovecot*",
            "bind9*",
            "unbound",
            "php*",
            "containerd*",
            "docker*",
            "libvirt*",
            "qemu*",
            "*-nginx*",
            "*-postgres*",
        ],
    ),
    (Class::Library, &["lib*"]),
];

/// The chance, in 1/1000, that a change of this class breaks something customers notice, when it
/// was rehearsed. Source: our own judgement, ordered by what an outage of the class takes down.
fn permille(class: Class) -> f64 {
    match class {
        Class::Kernel => 20.0,
        Class::Libc => 12.0,
        Class::Init => 12.0,
        Class::Network => 10.0,
        Class::Server => 6.0,
        Class::Library => 2.0,
        Class::Leaf => 1.0,
    }
}

/// What was not rehearsed as it is going to run is this many times as likely to break.
const UNREHEARSED: f64 = 4.0;

/// The class of a package by its name.
pub fn class_of(package: &PackageName) -> Class {
    let name = package.as_str();
    for (class, patterns) in CLASSES {
        if patterns.iter().any(|pattern| fits(pattern, name)) {
            return *class;
        }
    }
    Class::Leaf
}

fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(tail), None) => name.ends_with(tail),
        (None, Some(head)) => name.starts_with(head),
        (None, None) => name == pattern,
    }
}

/// The risk of one change, from 0 to 1.
pub fn of_change(change: &Change) -> f64 {
    let p = permille(change.class) / 1000.0;
    match change.standing {
        Standing::Same => p,
        Standing::OtherFrom => p * 2.0,
        Standing::Newer | Standing::Older | Standing::Untested | Standing::Missing | Standing::Kept => {
            (p * UNREHEARSED).min(1.0)
        }
    }
}

/// The risk of changes taken together: 1 − Π(1 − pᵢ).
pub fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> f64 {
    1.0 - changes.into_iter().map(|change| 1.0 - of_change(change)).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_by_name() {
        for (name, class) in [
            ("linux-image-6.1.0-31-amd64", Class::Kernel),
            ("libc6", Class::Libc),
            ("systemd-sysv", Class::Init),
            ("ifupdown", Class::Network),
            ("nginx-core", Class::Server),
            ("libssl3", Class::Library),
            ("cowsay", Class::Leaf),
        ] {
            assert_eq!(class_of(&name.parse().expect(name)), class, "{name}");
        }
    }
}
