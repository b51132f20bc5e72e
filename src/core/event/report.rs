//! What hosts report of a batch: the proof before it, what was done, what was found afterwards.

use serde::{Deserialize, Serialize};

use crate::types::{BootId, HostName, PackageId, Sha256, Span, UnitName, Untrusted, Version};

/// The evidence that a rollback will work, as the host gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Package files that are stored on the host, hashed there.
    pub files: Vec<ProofFile>,
    /// What could not be had or did not match, in words; empty is good.
    pub missing: Vec<Untrusted>,
    /// What apt says would change beyond the batch, forward.
    pub beyond: Vec<Untrusted>,
    /// Why apt says that the reverse would not go; `None` is good.
    pub reverse: Option<Untrusted>,
    /// Bytes needed on the host.
    pub space_needed: u64,
    /// Bytes free there.
    pub space_free: u64,
    /// Units that the packages' scripts restart, as far as that is known beforehand.
    #[serde(default)]
    pub restarts: Vec<UnitName>,
    /// The tools that the rollback itself stands on; `None`: nothing was said of them.
    #[serde(default)]
    pub tools: Option<Tools>,
    /// Packages of the batch on which those tools stand.
    #[serde(default)]
    pub stands_on: Vec<PackageId>,
    /// What becomes of the kernel; `None`: the batch has none, or nothing was said of it.
    #[serde(default)]
    pub kernel: Option<KernelBack>,
    /// The snapshot that the apply takes first; `None`: the plan asks for none, or nothing was said of one.
    #[serde(default)]
    pub snapshot: Option<Snapshot>,
    /// An offline update that is prepared on the host: its next boot would install what nobody rehearsed.
    #[serde(default)]
    pub offline: Option<Untrusted>,
}

/// A snapshot of the root file system, just before the first change of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// The host can take one and no live data shares it.
    Takes(Box<Taking>),
    /// It can't, or live data would go back with it; why.
    Fails(Untrusted),
}

/// A snapshot that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taking {
    /// By what.
    pub kind: SnapshotKind,
    /// Of what: a subvolume, a logical volume, a dataset.
    pub of: Untrusted,
    /// Where it will be.
    pub at: Untrusted,
    /// Folders on other file systems, which are not in it.
    pub apart: Vec<Untrusted>,
    /// What a person does by hand to go back to it, a command each; what begins with `#` is for reading.
    pub back: Vec<Untrusted>,
}

/// What takes a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotKind {
    /// A read-only snapshot of a btrfs subvolume.
    Btrfs,
    /// An LVM snapshot of fixed size: it is lost once more is written than fits in.
    Lvm,
    /// A snapshot of a thin LVM volume.
    LvmThin,
    /// A snapshot of a ZFS dataset.
    Zfs,
}

impl SnapshotKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Btrfs, Self::Lvm, Self::LvmThin, Self::Zfs];

    /// Its word on the wire and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::Lvm => "lvm",
            Self::LvmThin => "lvm-thin",
            Self::Zfs => "zfs",
        }
    }
}

/// What the host said of a batch's snapshot afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotLeft {
    /// It is there: its kind and where.
    There(Untrusted),
    /// It took more than fits in, and holds nothing any more: its kind and where.
    Invalid(Untrusted),
}

/// The tools that a rollback stands on (the shell, dpkg, tar, the C library), where the batch changes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tools {
    /// The batch touches none of them.
    Unneeded,
    /// So many were copied beside the batch with their libraries, and each copy ran there.
    Run(u64),
    /// They could not be copied, or the copies don't run; why.
    Fail(Untrusted),
}

/// The way back of a new kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KernelBack {
    /// The kernel that stays installed and that a rollback boots.
    pub keeps: Option<Untrusted>,
    /// Why the way back to it is not automatic; `None`: the new one is booted once, on trial, and the old one
    /// comes up by itself should that fail.
    pub manual: Option<Untrusted>,
}

/// One change's stored files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFile {
    /// Which package.
    pub package: PackageId,
    /// The version before; `None` where it was not there.
    pub from: Option<Version>,
    /// The version of the batch.
    pub to: Version,
    /// The new file's hash.
    pub new: Sha256,
    /// The old file's hash; `None` where there is no old version.
    pub old: Option<Sha256>,
    /// Where the new file came from; `None` where the host did not say.
    #[serde(default)]
    pub new_from: Option<Origin>,
    /// Where the old file came from; `None` where the host did not say.
    #[serde(default)]
    pub old_from: Option<Origin>,
}

/// Where a stored package file came from, and how it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Where it came from.
    pub source: Source,
    /// How it was checked.
    pub check: Check,
}

/// Where a package file came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The host's own archive.
    Archive,
    /// What apt had kept on the host.
    Cache,
    /// Another host, through the cockpit.
    Host(HostName),
    /// The plan's snapshot archive.
    Snapshot,
    /// Made from what is installed, its configuration included.
    Repacked,
}

impl Source {
    /// The word on screen; a host's is its name.
    pub fn word(&self) -> &str {
        match self {
            Self::Archive => "archive",
            Self::Cache => "cache",
            Self::Host(host) => host.as_str(),
            Self::Snapshot => "snapshot",
            Self::Repacked => "repacked",
        }
    }
}

/// How a package file was checked on the host that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// It has the hash that the batch names.
    Hash,
    /// It has the hash that apt's index names.
    Index,
    /// It holds, file by file and script by script, what is installed on the host.
    Installed,
    /// Nothing could tell.
    Unverified,
}

impl Check {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Hash, Self::Index, Self::Installed, Self::Unverified];

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Index => "index",
            Self::Installed => "installed",
            Self::Unverified => "unverified",
        }
    }

    /// In words, for the proof.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hash => "has the hash of the batch",
            Self::Index => "has the hash of the index",
            Self::Installed => "holds what is installed",
            Self::Unverified => "unverified",
        }
    }
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplyReport {
    /// How long it took on the host.
    pub took: Span,
    /// Files of `/etc` that it changed.
    pub etc_changed: Vec<Untrusted>,
    /// Units that were restarted by it.
    pub restarted: Vec<UnitName>,
    /// Whether the host asks for a reboot now.
    pub reboot_required: bool,
    /// The snapshot that was taken before the first change; `None`: none, or nothing was said of one.
    #[serde(default)]
    pub snapshot: Option<SnapshotLeft>,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RollbackReport {
    /// How long it took on the host.
    pub took: Span,
    /// Files of `/etc` that were put back.
    pub etc_restored: Vec<Untrusted>,
    /// Files of `/etc` left alone, since somebody else changed them after the batch.
    pub etc_left: Vec<Untrusted>,
    /// Addresses and routes that were put back.
    pub network_restored: Vec<Untrusted>,
    /// Units that were restarted again.
    pub restarted: Vec<UnitName>,
    /// Whether the host itself says that everything the batch touched is as before; `None`: it did not
    /// come to that, or the journal is from before this was recorded.
    #[serde(default)]
    pub identical: Option<bool>,
    /// What is still not as before, in words: addresses that are gone, files of the old packages.
    #[serde(default)]
    pub missing: Vec<Untrusted>,
    /// What could not be done as it should.
    #[serde(default)]
    pub cautions: Vec<Untrusted>,
    /// The versions that are pinned out on the host now, until `holdpoint unpin` releases them.
    #[serde(default)]
    pub pinned: Vec<Pinned>,
    /// The boot in which it was done; `None` in recordings of versions that did not say it.
    #[serde(default)]
    pub boot: Option<BootId>,
    /// Where the host booted first, away from a kernel that the batch brought: how long that took.
    #[serde(default)]
    pub booted: Option<Span>,
}

/// One version of one package that a rollback pinned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Which package.
    pub package: PackageId,
    /// The version that is kept out, and no other.
    pub version: Version,
}

/// What the host says of a batch's packages when asked to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerifyReport {
    /// `dpkg --audit`, a line each; empty is good.
    pub audit: Vec<Untrusted>,
    /// Packages that are not `install ok installed` in the version they should have; empty is good.
    pub wrong: Vec<Untrusted>,
    /// How many files of `/etc` are as before the batch.
    pub etc_same: u64,
    /// Those that are not.
    pub etc_differs: Vec<Untrusted>,
}

/// After a rollback: whether the host is as it was before the batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Packages and marks compared and the same.
    pub packages: u64,
    /// Files of `/etc` the same.
    pub files: u64,
    /// Addresses the same.
    pub addresses: u64,
    /// Listeners the same.
    pub listeners: u64,
    /// Exactly what differs, in words; empty means identical.
    pub differs: Vec<Untrusted>,
}

impl Identity {
    /// "identical: 1204 packages and their marks, 14 files, 5 addresses, 9 listeners", or what differs.
    pub fn sentence(&self) -> String {
        if self.differs.is_empty() {
            format!(
                "identical: {} packages and their marks, {} files, {} addresses, {} listeners",
                self.packages, self.files, self.addresses, self.listeners
            )
        } else {
            let all: Vec<String> = self.differs.iter().map(Untrusted::shown).collect();
            format!("differs in {}: {}", all.len(), all.join("; "))
        }
    }
}

/// What was found on the host of an operation whose answer was never recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inspected {
    /// It never began there.
    NeverBegan,
    /// It began, and how it ended can't be told.
    Unknown,
}
