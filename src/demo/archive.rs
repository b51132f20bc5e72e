//! The packages of the demo: what is installed, what is newer, what needs what. A table that is read
//! once. Pure; nothing here knows a host's state.

use sha2::Digest;

use super::DemoError;
use crate::types::{PackageId, PackageName, Sha256, UnitName, Version};

/// What the demo's hosts have and are offered.
const CATALOGUE: &str = include_str!("catalogue.txt");

/// Every package that there is, in the table's order.
#[derive(Debug)]
pub(super) struct Archive {
    rows: Vec<Row>,
}

/// A package from one version to another.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: PackageId,
    pub source: PackageName,
    pub section: String,
    /// What is installed at first; `None`: it is not.
    pub from: Option<Version>,
    /// What is newer; `None`: nothing.
    pub to: Option<Version>,
    pub security: bool,
    pub auto: bool,
    /// The one host that has it so; `None`: every host that has no row of its own.
    pub only: Option<String>,
    pub kept: Option<Kept>,
    /// What the new version depends on.
    pub depends: Vec<Relation>,
    /// Files of /etc that the new version changes.
    pub changes: Vec<String>,
    /// Files of /etc that it creates.
    pub creates: Vec<String>,
    /// Units that it restarts.
    pub units: Vec<UnitName>,
}

/// Why a newer version is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Held,
    Phased,
    Stuck,
}

/// A dependency as a package's control file writes it.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub name: PackageName,
    /// `>=`, `>>` or `=`, and the version.
    pub bound: Option<(Bound, Version)>,
}

/// How a dependency bounds a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    From,
    After,
    Exactly,
}

impl Relation {
    /// Whether this version is what it asks for.
    pub(super) fn takes(&self, version: &Version) -> bool {
        match &self.bound {
            None => true,
            Some((Bound::From, bound)) => version >= bound,
            Some((Bound::After, bound)) => version > bound,
            Some((Bound::Exactly, bound)) => version == bound,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(" (").unwrap_or((text, ""));
        let bound = match rest.strip_suffix(')').and_then(|bound| bound.split_once(' ')) {
            Some((">=", version)) => Some((Bound::From, version.parse().ok()?)),
            Some((">>", version)) => Some((Bound::After, version.parse().ok()?)),
            Some(("=", version)) => Some((Bound::Exactly, version.parse().ok()?)),
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { name: name.parse().ok()?, bound })
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((bound, version)) = &self.bound else { return write!(f, "{}", self.name) };
        let sign = match bound {
            Bound::From => ">=",
            Bound::After => ">>",
            Bound::Exactly => "=",
        };
        write!(f, "{} ({sign} {version})", self.name)
    }
}

impl Archive {
    /// The demo's own table.
    pub(super) fn of_the_demo() -> Result<Self, DemoError> {
        Self::read(CATALOGUE)
    }

    /// Reads a table.
    pub(super) fn read(text: &str) -> Result<Self, DemoError> {
        let mut rows = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            rows.push(Row::read(line).ok_or_else(|| DemoError::Catalogue(at + 1))?);
        }
        Ok(Self { rows })
    }

    /// The rows of a host: its own where it has one of that package, else everybody's. A name that
    /// no row has gives everybody's.
    pub(super) fn of_host(&self, host: &str) -> Vec<&Row> {
        let own: Vec<&Row> = self.rows.iter().filter(|row| row.only.as_deref() == Some(host)).collect();
        let mut rows: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| row.only.is_none() && !own.iter().any(|other| other.id == row.id))
            .chain(own.iter().copied())
            .collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// The row that leads to a version, or from it: whether the archive has it, and what it brings.
    pub(super) fn release(&self, id: &PackageId, version: &Version) -> Option<(&Row, bool)> {
        let of = || self.rows.iter().filter(|row| row.id == *id);
        let newer = of().find(|row| row.to.as_ref() == Some(version)).map(|row| (row, true));
        newer.or_else(|| of().find(|row| row.from.as_ref() == Some(version)).map(|row| (row, false)))
    }

    /// What a version depends on. An older one needed the older of what is needed now.
    pub(super) fn depends(&self, id: &PackageId, version: &Version) -> Vec<Relation> {
        match self.release(id, version) {
            None => Vec::new(),
            Some((row, true)) => row.depends.clone(),
            Some((row, false)) => row
                .depends
                .iter()
                .filter_map(|relation| {
                    let bound = match &relation.bound {
                        None => None,
                        Some((bound, version)) => {
                            let named = |row: &&Row| row.id.name == relation.name;
                            let before = self.rows.iter().filter(named).find_map(|row| match &row.to {
                                Some(to) if to == version => row.from.clone().map(Some),
                                _ => None,
                            });
                            // A package that is new was not needed before.
                            let new = self.rows.iter().filter(named).all(|row| row.from.is_none());
                            if new {
                                return None;
                            }
                            before.flatten().map(|from| (*bound, from))
                        }
                    };
                    Some(Relation { name: relation.name.clone(), bound })
                })
                .collect(),
        }
    }
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('|');
        let mut next = || fields.next().unwrap_or_default().trim();
        let (name, arch, source, section, from, to, flags, depends, etc, units) =
            (next(), next(), next(), next(), next(), next(), next(), next(), next(), next());
        let version = |text: &str| match text {
            "-" => Some(None),
            text => text.parse().ok().map(Some),
        };
        let mut row = Self {
            id: PackageId::new(name.parse().ok()?, arch.parse().ok()?),
            source: source.parse().ok()?,
            section: section.to_owned(),
            from: version(from)?,
            to: version(to)?,
            security: false,
            auto: false,
            only: None,
            kept: None,
            depends: depends
                .split(", ")
                .filter(|d| !d.is_empty())
                .map(Relation::read)
                .collect::<Option<_>>()?,
            changes: Vec::new(),
            creates: Vec::new(),
            units: units.split_whitespace().map(|unit| unit.parse().ok()).collect::<Option<_>>()?,
        };
        for path in etc.split_whitespace() {
            match path.strip_prefix('+') {
                Some(path) => row.creates.push(path.to_owned()),
                None => row.changes.push(path.to_owned()),
            }
        }
        for flag in flags.split_whitespace() {
            match flag {
                "security" => row.security = true,
                "auto" => row.auto = true,
                "held" => row.kept = Some(Kept::Held),
                "phased" => row.kept = Some(Kept::Phased),
                "stuck" => row.kept = Some(Kept::Stuck),
                host => row.only = Some(host.strip_prefix('@')?.to_owned()),
            }
        }
        Some(row)
    }

    /// Where apt has it from, as it prints it.
    pub(super) fn origin(&self) -> &'static str {
        if self.security { "Debian-Security:12/stable-security" } else { "Debian:12.9/stable" }
    }
}

/// The hash of a package file: the same on every host, as an archive's is.
pub(super) fn sha256(id: &PackageId, version: &Version) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(content(id, version).as_bytes()).into())
}

/// A package file, which nobody unpacks.
pub(super) fn content(id: &PackageId, version: &Version) -> String {
    format!("holdpoint demo: {id} {version}\n")
}

/// The size of a package file in bytes: from 24 KiB to 4 MiB by its name, a kernel's as large as
/// they are.
pub(super) fn size(id: &PackageId, version: &Version) -> u64 {
    if id.name.as_str().starts_with("linux-image-6") {
        return 68_912_344;
    }
    let hash = sha256(id, version).to_string();
    let draw = hash.get(..8).and_then(|head| u64::from_str_radix(head, 16).ok()).unwrap_or(0);
    24_576 + draw % 4_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_demos_table_reads_and_has_what_the_story_needs() {
        let archive = Archive::of_the_demo().expect("reads");
        let pending = |host: &str| -> BTreeSet<String> {
            archive
                .of_host(host)
                .iter()
                .filter(|row| row.to.is_some() && row.kept.is_none())
                .map(|row| row.id.name.to_string())
                .collect()
        };
        let (test1, web1) = (pending("test1"), pending("web1"));
        assert!((48..=56).contains(&test1.len()), "{}", test1.len());
        let untested: Vec<&String> = web1.difference(&test1).collect();
        assert_eq!(untested, ["bridge-utils", "haproxy", "libgd3", "libnginx-mod-http-geoip2"]);
        assert_eq!(pending("web2"), test1);
        let of = |host: &str, name: &str| {
            let rows = archive.of_host(host);
            rows.iter().find(|row| row.id.name.as_str() == name).map(|row| (row.from.clone(), row.to.clone()))
        };
        assert!(of("web1", "nginx") > of("test1", "nginx"));
        assert!(of("web3", "tzdata").expect("there").0 < of("test1", "tzdata").expect("there").0);
        assert_eq!(of("web3", "tzdata").expect("there").1, of("test1", "tzdata").expect("there").1);
        let kept: BTreeSet<_> = archive
            .of_host("web1")
            .iter()
            .filter_map(|row| row.kept.map(|kept| format!("{kept:?}")))
            .collect();
        assert_eq!(kept.len(), 3);
    }

    #[test]
    fn every_dependency_is_there_and_met_by_what_is_offered() {
        let archive = Archive::of_the_demo().expect("reads");
        for host in ["test1", "web1", "web2", "web3"] {
            let rows = archive.of_host(host);
            for row in &rows {
                let versions = [row.from.as_ref(), row.to.as_ref()];
                for (at, version) in versions.into_iter().enumerate() {
                    let Some(version) = version else { continue };
                    for relation in archive.depends(&row.id, version) {
                        let met = rows.iter().filter(|other| other.id.name == relation.name).any(|other| {
                            let there = if at == 0 { other.from.as_ref() } else { other.to.as_ref() };
                            there.is_some_and(|version| relation.takes(version))
                        });
                        assert!(met, "{host}: {} {version} needs {relation}", row.id);
                    }
                }
            }
        }
    }

    #[test]
    fn a_broken_table_names_its_line() {
        for bad in ["x", "UPPER|amd64|s|s|1|2|", "ab|amd64|ab|s|1|2|wrong", "ab|amd64|ab|s|1|2||b (< 1)"] {
            assert!(
                matches!(Archive::read(&format!("# first\n{bad}\n")), Err(DemoError::Catalogue(2))),
                "{bad}"
            );
        }
    }
}
