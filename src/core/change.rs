//! One thing going from one state to another, and what a rehearsal says of it.

use serde::{Deserialize, Serialize};

use crate::plan::Class;
use crate::types::{HostName, PackageId, PackageName, Seq, Sha256, Span, Time, Untrusted, Version};

/// One package going from one version to another on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which package.
    pub package: PackageId,
    /// From which version; `None` for a package that is new.
    pub from: Option<Version>,
    /// To which version. Where the host is offered something newer than was rehearsed, this is
    /// the rehearsed one.
    pub to: Version,
    /// The package file's hash: the rehearsed one where there is one, else the archive's.
    pub sha256: Option<Sha256>,
    /// The version that was rehearsed, where one was.
    pub rehearsed: Option<Version>,
    /// How it relates to the frozen set or, before any rehearsal, to the baseline.
    pub standing: Standing,
    /// Whether it comes from a security archive.
    pub security: bool,
    /// Its source package: what is built together is taken together.
    pub source: PackageName,
    /// What breaks when it does.
    pub class: Class,
    /// The size of its package file in bytes, where the index says.
    pub size: Option<u64>,
    /// Pending packages that have to go with it.
    pub needs: Vec<PackageName>,
    /// Where it comes from, for people.
    pub origin: Untrusted,
}

/// How one update relates to the frozen set or, before any rehearsal, to what the baseline has
/// pending or installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Standing {
    /// Rehearsed: same target, same origin version.
    Same,
    /// Same target, from another version.
    OtherFrom,
    /// The host is offered something newer than was rehearsed.
    Newer,
    /// The host is offered something older than was rehearsed.
    Older,
    /// Not on the baseline at all.
    Untested,
    /// Rehearsed, but not offered here.
    Missing,
    /// Not upgraded although a newer version is there.
    Kept,
}

impl Standing {
    /// The word on screen and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "SAME",
            Self::OtherFrom => "OTHER-FROM",
            Self::Newer => "NEWER",
            Self::Older => "OLDER",
            Self::Untested => "UNTESTED",
            Self::Missing => "MISSING",
            Self::Kept => "KEPT",
        }
    }
}

/// One package of the frozen set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Which package.
    pub package: PackageId,
    /// From which version the baseline took it; `None` where it was new there.
    pub from: Option<Version>,
    /// The version that was rehearsed.
    pub to: Version,
    /// The hash of its package file.
    pub sha256: Sha256,
}

/// What a rehearsal left: the frozen set and how long things took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// On which baseline.
    pub baseline: HostName,
    /// When it ended.
    pub at: Time,
    /// The last event of its journal, to find it again.
    pub seq: Seq,
    /// The frozen set, sorted by package.
    pub set: Vec<Frozen>,
    /// How long apply took for the whole set.
    pub apply: Span,
    /// How long the rollback took for the whole set.
    pub rollback: Span,
    /// How long the reboot took, where there was one.
    pub reboot: Option<Span>,
    /// How long verifying took.
    pub verify: Span,
    /// Whether the rollback was verified to be identical.
    pub identical: bool,
}

impl Rehearsal {
    /// What was rehearsed of this package.
    pub fn of(&self, package: &PackageId) -> Option<&Frozen> {
        self.set.binary_search_by(|frozen| frozen.package.cmp(package)).ok().map(|at| &self.set[at])
    }
}
