//! The words that everything else is written in: strict names, versions, hashes, spans of time, and
//! [`Untrusted`] for all other text that came from outside.
//!
//! Nothing here may know a host, a file, a screen or a clock. Every type that is read from outside
//! is checked when it is made, also when it is read back from a journal.

mod hash;
mod name;
mod span;
mod untrusted;
mod version;

pub use hash::{Blake3, Sha256};
pub use name::{
    Arch, BatchId, BootId, CustomerName, HostName, IfName, NameError, Nonce, OperationId, PackageId,
    PackageName, PersonName, UnitName,
};
pub use span::{Span, SpanError};
pub use untrusted::Untrusted;
pub use version::{Version, VersionError};

/// A moment, always in UTC. No module but the conductor's clock may ask the machine for one.
pub type Time = chrono::DateTime<chrono::Utc>;

/// The number of an event in a journal: the first is 1, and 0 stands for "before the first".
pub type Seq = u64;

/// A number that only grows; a host refuses an older one (two cockpits: the later one wins).
pub type Epoch = u64;
