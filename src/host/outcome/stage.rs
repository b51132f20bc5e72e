//! What a stage came to. Nothing here may know a connection or a clock.

use super::{OutcomeError, Trouble, key, said, text_lines};
use crate::core::event::{
    Check, KernelBack, Origin, Snapshot, SnapshotKind, Source, Taking, TimerWatch, Tools,
};
use crate::facts::Section;
use crate::types::{PackageId, Sha256, Span, UnitName, Untrusted, Version};

/// One package as it was staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedPackage {
    /// Which package.
    pub package: PackageId,
    /// The version before; `None`: it is new.
    pub from: Option<Version>,
    /// The version after; `None`: it is removed.
    pub to: Option<Version>,
    /// The hash of the new file on the host; `None`: it is not there.
    pub new: Option<Sha256>,
    /// The hash of the old file on the host; `None`: it is not there.
    pub old: Option<Sha256>,
}

/// A package of the batch whose file could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFile {
    /// Which package.
    pub package: PackageId,
    /// Why, in the helper's words.
    pub why: Untrusted,
}

/// A package file that is not the rehearsed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which package.
    pub package: PackageId,
    /// The hash that was rehearsed.
    pub wanted: Option<Sha256>,
    /// The hash of what the host could get.
    pub got: Sha256,
}

/// Which of a package's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is installed by the batch.
    New,
    /// The one that is put back.
    Old,
}

/// A step of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedInstall {
    /// Which package.
    pub package: PackageId,
    /// The version before; `None`: it is new.
    pub from: Option<Version>,
    /// The version after.
    pub to: Version,
}

/// Room on one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Needed, in bytes.
    pub need: u64,
    /// Free, in bytes.
    pub free: u64,
    /// Where it is mounted.
    pub mount: Untrusted,
}

/// What a stage came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageResult {
    /// Each package of the batch.
    pub packages: Vec<StagedPackage>,
    /// Where stored files came from and how they were checked, as far as it was said.
    pub sources: Vec<(Side, PackageId, Origin)>,
    /// New files that could not be had.
    pub missing_new: Vec<MissingFile>,
    /// Old files that could not be had: there is no way back for these.
    pub missing_old: Vec<MissingFile>,
    /// New files that are not the rehearsed ones.
    pub mismatches: Vec<Mismatch>,
    /// Old files made from what is installed, modified conffiles included.
    pub repacked: Vec<PackageId>,
    /// What installing the staged files would do.
    pub forward: Vec<SimulatedInstall>,
    /// What it would remove.
    pub forward_removes: Vec<PackageId>,
    /// What putting the old files back would do.
    pub reverse: Vec<SimulatedInstall>,
    /// What it would remove.
    pub reverse_removes: Vec<PackageId>,
    /// Whether the way back was simulated and comes to exactly that; `None`: not reached.
    pub reverse_ok: Option<bool>,
    /// Why it does not.
    pub reverse_why: Untrusted,
    /// Room, by file system.
    pub space: Vec<Space>,
    /// Units that the packages' scripts will restart, as far as that is known beforehand.
    pub restarts: Vec<UnitName>,
    /// What would fire a dead-man timer there, or why none could be armed; `None`: it was not reached.
    pub timer: Option<Result<TimerWatch, Untrusted>>,
    /// The tools that the rollback stands on; `None`: nothing was said of them.
    pub tools: Option<Tools>,
    /// Packages of the batch on which those tools stand.
    pub stands_on: Vec<PackageId>,
    /// What becomes of the kernel, where the batch has one.
    pub kernel: Option<KernelBack>,
    /// The snapshot that the apply takes first, or why it can't, where one was asked for.
    pub snapshot: Option<Snapshot>,
    /// An offline update that is prepared there, for its next boot.
    pub offline: Option<Untrusted>,
    /// Why the stage failed.
    pub failed: Vec<Trouble>,
    /// How long it took.
    pub duration: Span,
}

impl StageResult {
    /// Reads the section `result` of a stage.
    ///
    /// # Errors
    /// The first line that breaks the contract.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let mut result = Self::default();
        for line in text_lines(section)? {
            let (word, rest) = key(&line.text);
            let missing = || -> Result<MissingFile, OutcomeError> {
                let (package, why) = key(rest);
                Ok(MissingFile { package: line.read(package)?, why: said(why) })
            };
            let install = || -> Result<SimulatedInstall, OutcomeError> {
                let [package, from, to] = line.words(rest)?;
                Ok(SimulatedInstall {
                    package: line.read(&package)?,
                    from: line.or_none(&from)?,
                    to: line.read(&to)?,
                })
            };
            match word {
                "package" => {
                    let [name, arch, from, to, new, old] = line.words(rest)?;
                    result.packages.push(StagedPackage {
                        package: PackageId::new(line.read(&name)?, line.read(&arch)?),
                        from: line.or_none(&from)?,
                        to: line.or_none(&to)?,
                        new: line.or_none(&new)?,
                        old: line.or_none(&old)?,
                    });
                }
                "missing-new" => result.missing_new.push(missing()?),
                "missing-old" => result.missing_old.push(missing()?),
                "mismatch" => {
                    let [package, wanted, got] = line.words(rest)?;
                    result.mismatches.push(Mismatch {
                        package: line.read(&package)?,
                        wanted: line.or_none(&wanted)?,
                        got: line.read(&got)?,
                    });
                }
                "source" => {
                    let words: Vec<&str> = rest.split(' ').collect();
                    let read = || {
                        let (side, package, source, check, host) = match words[..] {
                            [side, package, source, check] => (side, package, source, check, None),
                            [side, package, source, check, host] => {
                                (side, package, source, check, Some(host))
                            }
                            _ => return None,
                        };
                        let side = match side {
                            "new" => Side::New,
                            "old" => Side::Old,
                            _ => return None,
                        };
                        let source = match (source, host) {
                            ("archive", None) => Source::Archive,
                            ("cache", None) => Source::Cache,
                            ("host", Some(host)) => Source::Host(host.parse().ok()?),
                            ("snapshot", None) => Source::Snapshot,
                            ("repacked", None) => Source::Repacked,
                            _ => return None,
                        };
                        let check = Check::ALL.into_iter().find(|known| known.word() == check)?;
                        Some((side, package.parse().ok()?, Origin { source, check }))
                    };
                    result.sources.push(read().ok_or_else(|| line.error())?);
                }
                "offline-update" => result.offline = Some(said(rest)),
                "repacked" => result.repacked.push(line.read(rest)?),
                "forward" => result.forward.push(install()?),
                "forward-remove" => result.forward_removes.push(line.read(rest)?),
                "reverse-install" => result.reverse.push(install()?),
                "reverse-remove" => result.reverse_removes.push(line.read(rest)?),
                "reverse" => {
                    let (verdict, why) = key(rest);
                    result.reverse_ok = Some(line.one_of(verdict, "ok", "fails")?);
                    result.reverse_why = said(why);
                }
                "space" => {
                    let [need_word, need, free_word, free, mount_word, mount] = line.words(rest)?;
                    if (need_word.as_str(), free_word.as_str(), mount_word.as_str())
                        != ("need", "free", "mount")
                    {
                        return Err(line.error());
                    }
                    result.space.push(Space {
                        need: line.read(&need)?,
                        free: line.read(&free)?,
                        mount: said(&mount),
                    });
                }
                "timer" => {
                    let (verdict, rest) = key(rest);
                    let known = TimerWatch::ALL.into_iter().filter(|watch| *watch != TimerWatch::None);
                    result.timer = Some(if line.one_of(verdict, "ok", "fails")? {
                        Ok(known
                            .into_iter()
                            .find(|watch| watch.word() == rest)
                            .ok_or_else(|| line.error())?)
                    } else {
                        Err(said(rest))
                    });
                }
                "tools" => {
                    result.tools = Some(match key(rest) {
                        ("unneeded", "") => Tools::Unneeded,
                        ("ok", count) => Tools::Run(line.read(count)?),
                        ("fails", why) => Tools::Fail(said(why)),
                        _ => return Err(line.error()),
                    });
                }
                "stands-on" => result.stands_on.push(line.read(rest)?),
                "kernel" => {
                    let kernel = result.kernel.get_or_insert_default();
                    match key(rest) {
                        ("trial", "") => kernel.manual = None,
                        ("keeps", release) => kernel.keeps = Some(said(release)),
                        ("manual", why) => kernel.manual = Some(said(why)),
                        _ => return Err(line.error()),
                    }
                }
                "snapshot" => {
                    let (verdict, rest) = key(rest);
                    match (verdict, &mut result.snapshot) {
                        ("fails", None) => result.snapshot = Some(Snapshot::Fails(said(rest))),
                        ("ok", None) => {
                            let (kind, of) = key(rest);
                            let kind = SnapshotKind::ALL.into_iter().find(|known| known.word() == kind);
                            result.snapshot = Some(Snapshot::Takes(Box::new(Taking {
                                kind: kind.ok_or_else(|| line.error())?,
                                of: said(of),
                                at: said(""),
                                apart: Vec::new(),
                                back: Vec::new(),
                            })));
                        }
                        ("at", Some(Snapshot::Takes(taking))) => taking.at = said(rest),
                        ("apart", Some(Snapshot::Takes(taking))) => taking.apart.push(said(rest)),
                        ("back", Some(Snapshot::Takes(taking))) => taking.back.push(said(rest)),
                        _ => return Err(line.error()),
                    }
                }
                "restarts" => result.restarts.push(line.read(rest)?),
                "failed" => result.failed.push(Trouble::read(rest)),
                "duration-ms" => result.duration = Span::ms(line.read(rest)?),
                _ => return Err(line.error()),
            }
        }
        Ok(result)
    }
}
