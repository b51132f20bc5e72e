//! What an apply or a rollback came to, and what `verify` finds afterwards. Nothing here may know a
//! connection or a clock.

use super::{Line, OutcomeError, Trouble, key, named, said, text_lines};
use crate::core::event::{Pinned, SnapshotLeft};
use crate::facts::Section;
use crate::types::{IfName, PackageId, Span, UnitName, Untrusted, Version};

/// One package as an apply or a rollback left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftPackage {
    /// Which package.
    pub package: PackageId,
    /// Its version; `None`: none is on record.
    pub version: Option<Version>,
    /// dpkg's words: `install ok installed` is the good ones.
    pub status: Untrusted,
}

impl LeftPackage {
    fn read(line: &Line<'_>, rest: &str) -> Result<Self, OutcomeError> {
        let (package, rest) = key(rest);
        let (version, status) = key(rest);
        Ok(Self { package: line.read(package)?, version: line.or_none(version)?, status: said(status) })
    }
}

/// What was verified after an apply or a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Each package of the batch.
    pub packages: Vec<LeftPackage>,
    /// Whether dpkg's audit was empty; `None`: not reached.
    pub audit_clean: Option<bool>,
    /// Whether apt found every dependency met; `None`: not reached.
    pub dependencies_met: Option<bool>,
    /// Whether the marks (automatic, hold) are those of before; `None`: not reached.
    pub marks_same: Option<bool>,
    /// Units that were started anew.
    pub restarted: Vec<UnitName>,
    /// How long it took.
    pub duration: Span,
}

impl Verified {
    /// Takes a line that applies and rollbacks share; `false` where it is none.
    fn take(&mut self, line: &Line<'_>, word: &str, rest: &str) -> Result<bool, OutcomeError> {
        match word {
            "package" => self.packages.push(LeftPackage::read(line, rest)?),
            "audit" => {
                self.audit_clean = Some(match rest {
                    "clean" => true,
                    count => {
                        line.read::<u64>(count)?;
                        false
                    }
                });
            }
            "dependencies" => self.dependencies_met = Some(line.one_of(rest, "met", "unmet")?),
            "marks" => self.marks_same = Some(line.one_of(rest, "same", "differ")?),
            "unit-restarted" => self.restarted.push(line.read(rest)?),
            "duration-ms" => self.duration = Span::ms(line.read(rest)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What is said of a snapshot once it was taken.
fn snapshot(line: &Line<'_>, rest: &str) -> Result<SnapshotLeft, OutcomeError> {
    match key(rest) {
        ("taken" | "kept", what) => Ok(SnapshotLeft::There(said(what))),
        ("invalid", what) => Ok(SnapshotLeft::Invalid(said(what))),
        _ => Err(line.error()),
    }
}

/// What an apply came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplyResult {
    /// What was verified.
    pub verified: Verified,
    /// Paths of /etc that changed.
    pub etc_changed: Vec<Untrusted>,
    /// apt's exit status; `None`: apt was not asked.
    pub apt_exit: Option<i32>,
    /// Whether `/run/reboot-required` is there; `None`: not reached.
    pub reboot_required: Option<bool>,
    /// The snapshot that was taken before the first change.
    pub snapshot: Option<SnapshotLeft>,
    /// Why nothing was touched.
    pub refused: Option<Trouble>,
    /// Why it failed otherwise.
    pub failed: Vec<Trouble>,
}

impl ApplyResult {
    /// Reads the section `result` of an apply.
    ///
    /// # Errors
    /// The first line that breaks the contract.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let mut result = Self::default();
        for line in text_lines(section)? {
            let (word, rest) = key(&line.text);
            if result.verified.take(&line, word, rest)? {
                continue;
            }
            match word {
                "etc-changed" => result.etc_changed.push(said(rest)),
                "apt-exit" => result.apt_exit = Some(line.read(rest)?),
                "reboot-required" => result.reboot_required = Some(line.yes(rest)?),
                "snapshot" => result.snapshot = Some(snapshot(&line, rest)?),
                "refused" => result.refused = Some(Trouble::read(rest)),
                "failed" => result.failed.push(Trouble::read(rest)),
                _ => return Err(line.error()),
            }
        }
        result.etc_changed = named(result.etc_changed);
        Ok(result)
    }
}

/// What a rollback came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RollbackResult {
    /// What was verified.
    pub verified: Verified,
    /// The apply had not touched anything.
    pub never_began: bool,
    /// Paths of /etc that are as before again.
    pub etc_restored: Vec<Untrusted>,
    /// Paths of /etc that the batch changed and that somebody else has changed since: left.
    pub etc_left: Vec<Untrusted>,
    /// Files of the old packages that are missing or changed since before, in tar's words.
    pub files_differ: Vec<(PackageId, Untrusted)>,
    /// Addresses put back: interface, and address with its prefix.
    pub addresses_restored: Vec<(IfName, Untrusted)>,
    /// Addresses of before that are still gone.
    pub addresses_missing: Vec<(IfName, Untrusted)>,
    /// Routes put back.
    pub routes_restored: Vec<Untrusted>,
    /// Everything that the batch touched is as before; `None`: not reached.
    pub identical: Option<bool>,
    /// What could not be done as it should.
    pub cautions: Vec<Untrusted>,
    /// The versions that are pinned out now.
    pub pinned: Vec<Pinned>,
    /// The snapshot of before the batch, where the rollback failed and there is one.
    pub snapshot: Option<SnapshotLeft>,
    /// The kernel that is booted before anything is put back: it goes on after that, by an operation of its own.
    pub boots_back: Option<Untrusted>,
    /// Why it failed otherwise.
    pub failed: Vec<Trouble>,
}

impl RollbackResult {
    /// Reads the section `result` of a rollback.
    ///
    /// # Errors
    /// The first line that breaks the contract.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let mut result = Self::default();
        for line in text_lines(section)? {
            let (word, rest) = key(&line.text);
            if result.verified.take(&line, word, rest)? {
                continue;
            }
            let address = || -> Result<(IfName, Untrusted), OutcomeError> {
                let [interface, address] = line.words(rest)?;
                Ok((line.read(&interface)?, said(&address)))
            };
            match word {
                "never-began" => result.never_began = true,
                "etc-restored" => result.etc_restored.push(said(rest)),
                "etc-left" => result.etc_left.push(said(rest)),
                "file-differs" => {
                    let (package, words) = key(rest);
                    result.files_differ.push((line.read(package)?, said(words)));
                }
                "address-restored" => result.addresses_restored.push(address()?),
                "address-missing" => result.addresses_missing.push(address()?),
                "route-restored" => result.routes_restored.push(said(rest)),
                "identical" => result.identical = Some(line.yes(rest)?),
                "caution" => result.cautions.push(said(rest)),
                "pinned" => {
                    let [package, version] = line.words(rest)?;
                    let (package, version) = (line.read(&package)?, line.read(&version)?);
                    result.pinned.push(Pinned { package, version });
                }
                "snapshot" => result.snapshot = Some(snapshot(&line, rest)?),
                "boots-back" => result.boots_back = Some(said(rest)),
                "failed" => result.failed.push(Trouble::read(rest)),
                _ => return Err(line.error()),
            }
        }
        for list in [
            &mut result.etc_restored,
            &mut result.etc_left,
            &mut result.routes_restored,
            &mut result.cautions,
        ] {
            *list = named(std::mem::take(list));
        }
        Ok(result)
    }
}

/// What `verify` says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyResult {
    /// What dpkg's audit printed; empty is good.
    pub audit: Vec<Untrusted>,
    /// Each package of the batch.
    pub packages: Vec<LeftPackage>,
    /// How many files of /etc are as before.
    pub etc_same: u64,
    /// Paths of /etc that differ from before; `None`: nothing was saved, the apply never began.
    pub etc_differs: Option<Vec<Untrusted>>,
}

impl VerifyResult {
    /// Reads the three sections of `verify`.
    ///
    /// # Errors
    /// The first line that breaks the contract, or a section that is missing.
    pub fn parse(sections: &[Section]) -> Result<Self, OutcomeError> {
        let find = |name: &'static str| {
            sections
                .iter()
                .find(|section| section.name == name)
                .ok_or(OutcomeError::Missing { section: "verify", what: name })
        };
        let packages = text_lines(find("versions")?)?
            .iter()
            .map(|line| LeftPackage::read(line, &line.text))
            .collect::<Result<_, _>>()?;
        let etc = find("etc")?;
        let (mut etc_same, mut etc_differs) = (0, None);
        if etc.status == 0 {
            let mut paths = Vec::new();
            for line in text_lines(etc)? {
                match key(&line.text) {
                    ("identical", count) => etc_same = line.read(count)?,
                    ("differs", path) => paths.push(said(path)),
                    _ => return Err(line.error()),
                }
            }
            etc_differs = Some(named(paths));
        } else if etc.status != 1 {
            // 1 is "nothing was saved"; anything else is a comparison that failed, and never "the same".
            return Err(OutcomeError::Failed { section: Untrusted::new("etc"), status: etc.status });
        }
        let audit = find("audit")?;
        if audit.status != 0 && audit.lines.is_empty() {
            return Err(OutcomeError::Failed { section: Untrusted::new("audit"), status: audit.status });
        }
        Ok(Self {
            audit: named(audit.lines.iter().map(|line| said(Untrusted::from_bytes(line).raw())).collect()),
            packages,
            etc_same,
            etc_differs,
        })
    }
}
