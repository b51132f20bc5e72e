//! Detached work on a host: what starts it, and how it stands.
//!
//! Pure types, the writer of a spec and the parser of the section `state`. What an operation came to
//! is read in [`crate::host::outcome`].

use std::fmt;
use std::str::FromStr;

use crate::facts::Section;
use crate::host::carry::FileOf;
use crate::host::outcome::{OutcomeError, text_lines};
use crate::types::{BatchId, BootId, PackageId, Sha256, Version};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Fetches, checks and simulates everything that apply and rollback need.
    Stage,
    /// Installs what was staged.
    Apply,
    /// Brings back what was before the apply.
    Rollback,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Stage, Self::Apply, Self::Rollback];

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
        }
    }
}

/// One change of a package in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecPackage {
    /// Which package.
    pub package: PackageId,
    /// The version there now; `None`: it is newly installed.
    pub from: Option<Version>,
    /// The version it will have; `None`: it is removed.
    pub to: Option<Version>,
    /// The hash of the rehearsed package file; `None`: the archive's is taken, and its hash reported.
    pub sha256: Option<Sha256>,
}

/// A batch as it is given to the host to stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    packages: Vec<SpecPackage>,
    near: bool,
    snapshot: bool,
    urls: Vec<(FileOf, String)>,
}

impl Spec {
    /// A batch of these changes.
    pub fn new(packages: Vec<SpecPackage>) -> Self {
        Self { packages, near: false, snapshot: false, urls: Vec::new() }
    }

    /// The same from the host's archive and cache alone: what these don't have is said to be missing,
    /// and nothing is repacked.
    pub fn near(self) -> Self {
        Self { near: true, ..self }
    }

    /// The same, with a snapshot of the root file system before the first change where `asked`.
    pub fn with_snapshot(self, asked: bool) -> Self {
        Self { snapshot: asked, ..self }
    }

    /// Whether a snapshot of the root file system is asked for.
    pub fn asks_for_snapshot(&self) -> bool {
        self.snapshot
    }

    /// The same, with where a snapshot archive has these files.
    pub fn with_urls(self, urls: Vec<(FileOf, String)>) -> Self {
        Self { urls, ..self }
    }

    /// Whether only the host's archive and cache are asked.
    pub fn is_near(&self) -> bool {
        self.near
    }

    /// The batch itself, without the ways in which its files may be had and what is done beside it.
    pub fn batch(self) -> Self {
        Self::new(self.packages)
    }

    /// The changes.
    pub fn packages(&self) -> &[SpecPackage] {
        &self.packages
    }

    /// The text that goes to the helper, its last line `end` included.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.packages {
            text.push_str(&format!(
                "package\t{}\t{}\t{}\t{}\t{}\n",
                change.package.name,
                change.package.arch,
                or_dash(&change.from),
                or_dash(&change.to),
                or_dash(&change.sha256),
            ));
        }
        if self.near {
            text.push_str("sources\tnear\n");
        }
        if self.snapshot {
            text.push_str("snapshot\n");
        }
        for (FileOf { package, version }, url) in &self.urls {
            text.push_str(&format!("url\t{}\t{}\t{version}\t{url}\n", package.name, package.arch));
        }
        text.push_str("end\n");
        text
    }
}

/// A spec or a wish that is not written as agreed; which line of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the input to the helper is not as agreed")]
pub struct SpecError(usize);

impl FromStr for Spec {
    type Err = SpecError;

    /// Reads what [`Spec::text`] writes, for what answers in the helper's place.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        fn or_none<T: FromStr>(word: &str) -> Option<Option<T>> {
            if word == "-" { Some(None) } else { word.parse().ok().map(Some) }
        }
        let lines = text.strip_suffix("end\n").ok_or(SpecError(text.lines().count()))?;
        let mut spec = Self::new(Vec::new());
        for (at, line) in lines.lines().enumerate() {
            let words: Vec<&str> = line.split('\t').collect();
            match words[..] {
                ["sources", "near"] if !spec.near => {
                    spec.near = true;
                    continue;
                }
                ["snapshot"] if !spec.snapshot => {
                    spec.snapshot = true;
                    continue;
                }
                ["url", name, arch, version, url] if url.starts_with("http") => {
                    let file = format!("{name} {arch} {version}").parse().map_err(|_| SpecError(at + 1))?;
                    spec.urls.push((file, url.to_owned()));
                    continue;
                }
                _ => {}
            }
            let read = || match words[..] {
                ["package", name, arch, from, to, sha256] => Some(SpecPackage {
                    package: PackageId::new(name.parse().ok()?, arch.parse().ok()?),
                    from: or_none(from)?,
                    to: or_none(to)?,
                    sha256: or_none(sha256)?,
                }),
                _ => None,
            };
            spec.packages.push(read().ok_or(SpecError(at + 1))?);
        }
        Ok(spec)
    }
}

impl FromStr for Wanted {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let read = || match text.split_once('=') {
            Some((package, version)) => Some(Self::Install(package.parse().ok()?, version.parse().ok()?)),
            None => Some(Self::Remove(text.strip_suffix('-')?.parse().ok()?)),
        };
        read().ok_or(SpecError(1))
    }
}

fn or_dash<T: fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "-".to_owned(), T::to_string)
}

/// One thing to ask apt to simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This package in this version.
    Install(PackageId, Version),
    /// This package gone.
    Remove(PackageId),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install(package, version) => write!(f, "{package}={version}"),
            Self::Remove(package) => write!(f, "{package}-"),
        }
    }
}

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// At work.
    Running,
    /// Ended, with this exit status: 0 done and verified, 1 failed, 2 refused before any change.
    Done(i32),
    /// No result, and its process is gone or the host has booted since. Never drawn as good.
    Unknown,
}

/// The section `state` of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationReport {
    /// What it does.
    pub kind: Kind,
    /// On which batch.
    pub batch: BatchId,
    /// How it stands.
    pub state: OperationState,
    /// Where to go on reading its log, in bytes.
    pub next: u64,
    /// The boot in which it was started.
    pub boot: BootId,
    /// The boot that the host is in now.
    pub boot_now: BootId,
}

impl OperationReport {
    /// Reads the section `state`.
    ///
    /// # Errors
    /// The first line that breaks the contract, or a line that is missing.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let (mut kind, mut batch, mut status, mut exit, mut next, mut boot, mut boot_now) =
            (None, None, None, None, None, None, None);
        for line in text_lines(section)? {
            let bad = || line.error();
            let (key, value) = line.text.split_once(' ').ok_or_else(bad)?;
            match key {
                "kind" => kind = Some(Kind::ALL.into_iter().find(|k| k.word() == value).ok_or_else(bad)?),
                "batch" => batch = Some(value.parse().map_err(|_| bad())?),
                "status" => status = Some(value.to_owned()),
                "exit" => exit = Some(value.parse::<i32>().map_err(|_| bad())?),
                "next" => next = Some(value.parse().map_err(|_| bad())?),
                "boot" => boot = Some(value.parse().map_err(|_| bad())?),
                "boot-now" => boot_now = Some(value.parse().map_err(|_| bad())?),
                _ => return Err(bad()),
            }
        }
        let missing = |what| OutcomeError::Missing { section: "state", what };
        let state = match (status.ok_or_else(|| missing("status"))?.as_str(), exit) {
            ("running", None) => OperationState::Running,
            ("done", Some(exit)) => OperationState::Done(exit),
            ("unknown", None) => OperationState::Unknown,
            _ => return Err(missing("status that fits its exit")),
        };
        Ok(Self {
            kind: kind.ok_or_else(|| missing("kind"))?,
            batch: batch.ok_or_else(|| missing("batch"))?,
            state,
            next: next.ok_or_else(|| missing("next"))?,
            boot: boot.ok_or_else(|| missing("boot"))?,
            boot_now: boot_now.ok_or_else(|| missing("boot-now"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(text: &str) -> Section {
        Section {
            name: "state".into(),
            lines: text.lines().map(|l| l.as_bytes().to_vec()).collect(),
            status: 0,
        }
    }

    const BOOT: &str = "0b6f9e9c-5c0a-4a67-b6a9-93a8a3f0c111";

    #[test]
    fn a_state_reads_as_one_of_three() {
        let text =
            |status: &str| format!("kind apply\nbatch b1\n{status}\nnext 12\nboot {BOOT}\nboot-now {BOOT}\n");
        let report = OperationReport::parse(&state(&text("status running"))).expect("reads");
        assert_eq!((report.kind, report.state, report.next), (Kind::Apply, OperationState::Running, 12));
        let report = OperationReport::parse(&state(&text("status done\nexit 2"))).expect("reads");
        assert_eq!(report.state, OperationState::Done(2));
        let report = OperationReport::parse(&state(&text("status unknown"))).expect("reads");
        assert_eq!(report.state, OperationState::Unknown);
        // Done without an exit status is not done, and a word nobody knows is no state.
        for bad in ["status done", "status running\nexit 0", "status good", "exit 0", "status unknown\nstray"]
        {
            assert!(OperationReport::parse(&state(&text(bad))).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_spec_is_written_as_the_helper_reads_it() {
        let spec = Spec::new(vec![
            SpecPackage {
                package: "libc6:amd64".parse().expect("a package"),
                from: Some("2.36-9".parse().expect("a version")),
                to: Some("1:2.36-9+deb12u1".parse().expect("a version")),
                sha256: Some("ab".repeat(32).parse().expect("a hash")),
            },
            SpecPackage {
                package: "new:all".parse().expect("a package"),
                from: None,
                to: Some("1".parse().expect("a version")),
                sha256: None,
            },
        ]);
        assert_eq!(
            spec.text(),
            format!(
                "package\tlibc6\tamd64\t2.36-9\t1:2.36-9+deb12u1\t{}\npackage\tnew\tall\t-\t1\t-\nend\n",
                "ab".repeat(32)
            )
        );
    }

    proptest! {
        #[test]
        fn no_state_panics(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12)) {
            let section = Section { name: "state".into(), lines, status: 0 };
            let _ = OperationReport::parse(&section);
        }
    }
}
