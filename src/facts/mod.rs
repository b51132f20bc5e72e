//! What a host said about itself at one moment, by domain, and the pure parsers that read it out of
//! what the host printed.
//!
//! Nothing here may know a connection, a file or a clock. A parser never fails as a whole because
//! of one line: what it can't read is named in the [`Fact::Unknown`] of that domain, and unknown is
//! never drawn as good.

mod boot;
#[cfg(test)]
mod fixture;
mod listeners;
mod locks;
mod network;
mod packages;
mod read;
mod replaced;
pub mod section;
mod services;
mod storage;
mod system;
#[cfg(test)]
mod tests;

pub use packages::{Simulation, pin, simulation};
pub use read::{PHASING_ID, read, read_replaced};
pub use section::{Section, Unreadable};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::types::{
    Arch, BatchId, BootId, IfName, PackageId, PackageName, Sha256, Time, UnitName, Untrusted, Version,
};

/// One domain's facts, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// What the host said.
    Known(T),
    /// Why it is not known: "needs root", "ip: not found", what could not be parsed.
    Unknown(Untrusted),
}

impl<T> Fact<T> {
    /// The facts, where they are known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::Unknown(_) => None,
        }
    }
}

/// One domain as it is read from a host and journalled: facts are journalled one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "domain", content = "fact", rename_all = "kebab-case")]
pub enum Domain {
    /// The system and its release.
    System(Fact<System>),
    /// Boot id, kernels, whether a reboot is asked for.
    Boot(Fact<Boot>),
    /// Addresses and routes.
    Network(Fact<Network>),
    /// Listening sockets.
    Listeners(Fact<Vec<Listener>>),
    /// Installed packages, their marks.
    Packages(Fact<Packages>),
    /// What an upgrade would do, and what it would keep back.
    Updates(Fact<Updates>),
    /// Units that failed.
    Services(Fact<Services>),
    /// Free space where an update needs it.
    Storage(Fact<Vec<Filesystem>>),
    /// Processes that still run deleted or replaced files.
    Replaced(Fact<Vec<Replaced>>),
    /// Who holds the package manager, and what runs by itself.
    Locks(Fact<Locks>),
}

impl Domain {
    /// The same domain, not known for this reason.
    pub fn unknown(&self, why: Untrusted) -> Self {
        match self {
            Self::System(_) => Self::System(Fact::Unknown(why)),
            Self::Boot(_) => Self::Boot(Fact::Unknown(why)),
            Self::Network(_) => Self::Network(Fact::Unknown(why)),
            Self::Listeners(_) => Self::Listeners(Fact::Unknown(why)),
            Self::Packages(_) => Self::Packages(Fact::Unknown(why)),
            Self::Updates(_) => Self::Updates(Fact::Unknown(why)),
            Self::Services(_) => Self::Services(Fact::Unknown(why)),
            Self::Storage(_) => Self::Storage(Fact::Unknown(why)),
            Self::Replaced(_) => Self::Replaced(Fact::Unknown(why)),
            Self::Locks(_) => Self::Locks(Fact::Unknown(why)),
        }
    }
}

/// Everything known about one host; a domain that was never read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the domain of the same name, documented there")]
pub struct Facts {
    pub system: Option<Aged<System>>,
    pub boot: Option<Aged<Boot>>,
    pub network: Option<Aged<Network>>,
    pub listeners: Option<Aged<Vec<Listener>>>,
    pub packages: Option<Aged<Packages>>,
    pub updates: Option<Aged<Updates>>,
    pub services: Option<Aged<Services>>,
    pub storage: Option<Aged<Vec<Filesystem>>>,
    pub replaced: Option<Aged<Vec<Replaced>>>,
    pub locks: Option<Aged<Locks>>,
}

/// A domain's facts and when they were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aged<T> {
    /// When the cockpit had them.
    pub at: Time,
    /// The facts.
    pub fact: Fact<T>,
}

impl<T> Aged<T> {
    /// The facts, where they are known.
    pub fn known(&self) -> Option<&T> {
        self.fact.known()
    }
}

impl Facts {
    /// Takes one domain's newest facts in.
    pub fn learn(&mut self, at: Time, domain: Domain) {
        match domain {
            Domain::System(fact) => self.system = Some(Aged { at, fact }),
            Domain::Boot(fact) => self.boot = Some(Aged { at, fact }),
            Domain::Network(fact) => self.network = Some(Aged { at, fact }),
            Domain::Listeners(fact) => self.listeners = Some(Aged { at, fact }),
            Domain::Packages(fact) => self.packages = Some(Aged { at, fact }),
            Domain::Updates(fact) => self.updates = Some(Aged { at, fact }),
            Domain::Services(fact) => self.services = Some(Aged { at, fact }),
            Domain::Storage(fact) => self.storage = Some(Aged { at, fact }),
            Domain::Replaced(fact) => self.replaced = Some(Aged { at, fact }),
            Domain::Locks(fact) => self.locks = Some(Aged { at, fact }),
        }
    }
}

/// The system and its release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// `ID` of os-release: `debian`, `ubuntu`.
    pub id: Untrusted,
    /// `VERSION_ID` of os-release.
    pub release: Untrusted,
    /// dpkg's native architecture.
    pub arch: Arch,
    /// The host's own name.
    pub hostname: Untrusted,
    /// Whether systemd is process 1 (`/run/systemd/system` exists).
    pub systemd: bool,
    /// The host's clock minus the cockpit's, in milliseconds, as far as one answer can tell.
    pub clock_offset_ms: i64,
}

/// What booted, and what would boot next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's boot id.
    pub boot_id: BootId,
    /// When process 1 started, in clock ticks since boot (`/proc/1/stat` field 22); with the boot
    /// id it tells a container's reboot.
    pub init_started: u64,
    /// `uname -r`.
    pub kernel: Untrusted,
    /// Kernels installed, newest first, as in `/boot/vmlinuz-*`.
    pub kernels: Vec<Untrusted>,
    /// Whether a reboot is asked for, by `/run/reboot-required`, by a newer kernel, or by
    /// needrestart; `None` where nothing on the host can tell.
    pub reboot_required: Option<bool>,
    /// Who asked (`/run/reboot-required.pkgs`).
    pub reboot_asked_by: Vec<PackageName>,
    /// Volumes for which a boot waits until somebody types a passphrase (`/etc/crypttab`).
    #[serde(default)]
    pub passphrases: Vec<Untrusted>,
}

/// Addresses and routes as the kernel has them now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Network {
    /// Every address, sorted.
    pub addresses: Vec<Address>,
    /// Every route of every table but `local`, sorted.
    pub routes: Vec<Route>,
}

/// One address on one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// On which interface.
    pub interface: IfName,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix in bits.
    pub prefix: u8,
    /// `global`, `link`, `host`, ...
    pub scope: Untrusted,
    /// Whether a lease or an advertisement gave it (it then has a lifetime).
    pub dynamic: bool,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The table: `main`, or a name or number.
    pub table: Untrusted,
    /// `default` (of IPv6: `::/0`, so that the two stay apart) or a prefix; before it the type, where
    /// that is not unicast: `blackhole 10.0.0.0/8`.
    pub destination: Untrusted,
    /// The gateway, where there is one.
    pub gateway: Option<IpAddr>,
    /// The interface, where there is one.
    pub interface: Option<IfName>,
    /// `boot`, `static`, `dhcp`, `kernel`, ...
    pub protocol: Untrusted,
    /// The metric; 0 where none is set.
    pub metric: u32,
}

/// A socket that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// Where it listens; an unspecified address means every address: `::` those of IPv4 too, unless it is for
    /// IPv6 alone.
    pub at: SocketAddr,
    /// The program's name, where the host could tell (that needs root).
    pub program: Option<Untrusted>,
    /// Whether it is on every address of IPv6 and on none of IPv4; older journals don't tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub v6_only: bool,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "named by their standards")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Installed packages and their marks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packages {
    /// Every package that dpkg knows and that is not just `not-installed`.
    pub installed: BTreeMap<PackageId, Installed>,
    /// What `dpkg --audit` printed, a line each; empty is good.
    pub audit: Vec<Untrusted>,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// dpkg's `db:Status-Abbrev`-like state in words: `ok installed` is the only good one.
    pub status: Untrusted,
    /// Whether apt has it marked as automatically installed.
    pub auto: bool,
    /// Whether it is held.
    pub held: bool,
}

/// What `apt-get upgrade --with-new-pkgs` would do now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Updates {
    /// What would change, sorted by package.
    pub pending: Vec<Pending>,
    /// What is kept back, with why, sorted by package.
    pub kept: Vec<Kept>,
    /// When the host last fetched its package lists (the newest change of a file in apt's lists, by
    /// the host's clock); `None` where nothing tells.
    pub lists_at: Option<Time>,
    /// What holdpoint pinned out there after rollbacks, in the order of its files.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

impl Updates {
    /// The pin of holdpoint's own that keeps that version of a package out.
    pub fn pin_of(&self, package: &PackageId, version: &Version) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.package == *package && pin.version == *version)
    }
}

/// One version that a rollback pinned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which package.
    pub package: PackageId,
    /// The version that is kept out, and no other.
    pub version: Version,
    /// Since when, by the host's clock.
    pub since: Time,
    /// The batch that was rolled back.
    pub batch: BatchId,
    /// On whose account: `timer` where nobody had confirmed in time, or who came in on the host.
    pub by: Untrusted,
}

/// One package that would be upgraded or newly installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which package.
    pub package: PackageId,
    /// The version there now; `None` for a new one.
    pub from: Option<Version>,
    /// The version it would have.
    pub to: Version,
    /// Whether the archive it comes from is a security archive.
    pub security: bool,
    /// The archive's origin, label and suite as apt has them, for people.
    pub origin: Untrusted,
    /// Its source package.
    pub source: PackageName,
    /// The archive's section: `libs`, `kernel`, `net`, ...
    pub section: Untrusted,
    /// The package file's size in bytes; `None` where the index doesn't say.
    pub size: Option<u64>,
    /// The package file's hash in the index.
    pub sha256: Option<Sha256>,
    /// Other names among the pending ones that have to go with it, or before it: what it depends on
    /// in a version that is not there yet, new packages it depends on, what it breaks as that is now,
    /// and what needs exactly its present version. Sorted.
    pub needs: Vec<PackageName>,
}

/// One package that is not upgraded although a newer version is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which package.
    pub package: PackageId,
    /// The version there now.
    pub from: Version,
    /// The version it is kept from, where apt says it: apt's candidate, or where a pin holds that
    /// back the newest there is.
    pub candidate: Option<Version>,
    /// Why.
    pub why: KeptWhy,
}

/// Why a package is kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptWhy {
    /// It is on hold.
    Hold,
    /// A pin keeps it at its version.
    Pin,
    /// Its update is phased and this host's turn has not come.
    Phased,
    /// Something it needs, or a removal it would take, stands against it.
    Dependency,
}

/// Units and how they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Services {
    /// Units in state `failed`, sorted.
    pub failed: Vec<UnitName>,
}

/// One file system that an update writes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// `/`, `/var`, `/boot`: where it is mounted.
    pub mount: Untrusted,
    /// Free to root, in bytes.
    pub free: u64,
    /// In all, in bytes.
    pub size: u64,
}

/// A process that runs a file which is no longer the one on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Replaced {
    /// Its id.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`).
    pub program: Untrusted,
    /// The unit it belongs to, where its cgroup tells.
    pub unit: Option<UnitName>,
    /// The file, where it was asked for a batch: then it is one that the batch replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Untrusted>,
}

/// Who holds the package manager.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Locks {
    /// Programs that hold a lock of dpkg or apt, or that are a package manager at work, with their
    /// process: `apt-get (process 812, holds a lock)`.
    pub holders: Vec<Untrusted>,
    /// Whether something installs packages there by itself; `None`: the journal is from before this was
    /// asked, or nothing tells.
    #[serde(default)]
    pub unattended: Option<Unattended>,
}

/// Whether a host installs packages unattended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unattended {
    /// It does, by its own settings.
    On,
    /// It does not, by its own settings.
    Off,
    /// holdpoint has paused it, while a batch is open.
    Paused,
}
