//! Installed packages and what apt would do with them: dpkg's list here, apt's words in `apt`,
//! package indexes and their relations in `stanza`, what follows for the updates in `updates`,
//! what holdpoint itself pinned out in `pins`.
//!
//! Nothing here decides what to install: apt decides, on the host.

mod apt;
mod pins;
mod stanza;
pub(super) mod updates;

pub use apt::{Simulation, simulation};
pub use pins::pin;

use std::collections::{BTreeMap, BTreeSet};

use super::read::Sections;
use super::section::{Unreadable, strict};
use super::{Installed, Packages};
use crate::types::{Arch, PackageId, PackageName, Untrusted};

pub(super) fn read(sections: &Sections) -> Result<Packages, Untrusted> {
    let mut installed = installed(&sections.text("dpkg")?)?;
    let list = List::of(&installed)?;
    let mut automatic = BTreeSet::new();
    for line in sections.text("auto")? {
        let (name, arch) = named(&line)?;
        // apt keeps packages for all architectures under the native one.
        automatic.extend(list.find(&name, arch.as_ref().filter(|arch| **arch != list.native)));
    }
    for (package, facts) in &mut installed {
        facts.auto = automatic.contains(package);
    }
    // dpkg ends with 1 where it finds something; with no line at all it failed.
    let audit = sections.need("audit")?;
    let lines = if audit.status == 0 || audit.lines.is_empty() { audit.text()? } else { audit.decoded()? };
    Ok(Packages {
        installed,
        audit: lines.into_iter().filter(|line| !line.is_empty()).map(Untrusted::new).collect(),
    })
}

/// dpkg's list: name, architecture, version, what is wanted, how it is.
fn installed(lines: &[String]) -> Result<BTreeMap<PackageId, Installed>, Untrusted> {
    let mut installed = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, arch, version, want, status] = fields[..] else {
            return Err(Unreadable::new("dpkg: not five fields", line).into());
        };
        // Of a package removed long ago dpkg may keep a line without an architecture.
        if status.ends_with(" not-installed") || (arch.is_empty() && status.ends_with(" config-files")) {
            continue;
        }
        let id = PackageId::new(strict("a package", name, line)?, strict("an architecture", arch, line)?);
        let facts = Installed {
            version: strict("a version", version, line)?,
            status: Untrusted::new(status),
            auto: false,
            held: want == "hold",
        };
        if installed.insert(id, facts).is_some() {
            return Err(Unreadable::new("dpkg: a package twice", line).into());
        }
    }
    few_of_a_name(installed.keys())?;
    Ok(installed)
}

/// What is judged for each pair of packages that share a name must stay small, whatever a host says:
/// Debian has ten architectures.
const MOST_OF_A_NAME: usize = 32;

fn few_of_a_name<'a>(sorted: impl Iterator<Item = &'a PackageId>) -> Result<(), Unreadable> {
    let mut run: Option<(&PackageName, usize)> = None;
    for id in sorted {
        let count = run.filter(|(name, _)| **name == id.name).map_or(0, |(_, count)| count) + 1;
        if count > MOST_OF_A_NAME {
            return Err(Unreadable::new("one package in too many architectures", id.name.as_str()));
        }
        run = Some((&id.name, count));
    }
    Ok(())
}

/// Finds installed packages by the names that apt prints: apt leaves the architecture out where it
/// is the native one, or none.
struct List<'a> {
    installed: &'a BTreeMap<PackageId, Installed>,
    native: Arch,
}

impl<'a> List<'a> {
    fn of(installed: &'a BTreeMap<PackageId, Installed>) -> Result<Self, Untrusted> {
        // dpkg's native architecture is the one that dpkg itself was built for.
        let native = installed.keys().find(|id| id.name.as_str() == "dpkg").map(|id| id.arch.clone());
        let native = native.ok_or_else(|| Untrusted::from("dpkg: the list has no package dpkg"))?;
        Ok(Self { installed, native })
    }

    /// All of that name, whatever their architecture.
    fn named(&self, name: &PackageName) -> impl Iterator<Item = (&'a PackageId, &'a Installed)> + use<'a> {
        // `0` is before every architecture, which begins with a letter.
        let name = name.clone();
        let all = self.installed;
        let from = "0".parse().ok().map(|first: Arch| PackageId::new(name.clone(), first));
        let range = from.map(|from| all.range(from..));
        range.into_iter().flatten().take_while(move |(id, _)| id.name == name)
    }

    fn find(&self, name: &PackageName, arch: Option<&Arch>) -> Option<PackageId> {
        let ids: Vec<&PackageId> = self.named(name).map(|(id, _)| id).collect();
        let is = |wanted: &str| ids.iter().find(|id| id.arch.as_str() == wanted);
        let found = match arch {
            Some(arch) => is(arch.as_str()),
            None => is(self.native.as_str()).or_else(|| is("all")),
        };
        found.map(|id| (*id).clone())
    }
}

/// `NAME` or `NAME:ARCH`.
fn named(text: &str) -> Result<(PackageName, Option<Arch>), Unreadable> {
    let text = text.trim();
    let (name, arch) = text.split_once(':').map_or((text, None), |(name, arch)| (name, Some(arch)));
    let arch = arch.map(|arch| strict("an architecture", arch, text)).transpose()?;
    Ok((strict("a package", name, text)?, arch))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section};
    use super::*;
    use crate::facts::{Domain, Fact, Section, read};

    const DPKG: &str = "dpkg\tamd64\t1.21.22\tinstall\tok installed\n\
        libc6\tamd64\t2.36-9+deb12u10\tinstall\tok installed\n\
        libc6\ti386\t2.36-9+deb12u10\tinstall\tok installed\n\
        adduser\tall\t3.134\thold\tok installed\n\
        gone\tamd64\t1:2~rc1-1\tdeinstall\tok config-files\n\
        never\tamd64\t\tunknown\tok not-installed\n\
        broken\tamd64\t1-1\tinstall\treinstreq half-installed\n";

    fn packages(dpkg: &str, auto: &str, audit: Section) -> Fact<Packages> {
        let mut read = read(&[section("dpkg", dpkg), section("auto", auto), audit], at(0));
        let Domain::Packages(fact) = read.remove(0) else { panic!("{read:?}") };
        fact
    }

    #[test]
    fn the_list_is_read_with_its_marks() {
        let auto = "libc6:amd64\nadduser:amd64\nnotthere:amd64\n";
        let fact = packages(DPKG, auto, section("audit", ""));
        let told: Vec<String> = known(&fact)
            .installed
            .iter()
            .map(|(id, p)| format!("{id} {} {} auto={} held={}", p.version, p.status.raw(), p.auto, p.held))
            .collect();
        assert_eq!(
            told,
            [
                "adduser:all 3.134 ok installed auto=true held=true",
                "broken:amd64 1-1 reinstreq half-installed auto=false held=false",
                "dpkg:amd64 1.21.22 ok installed auto=false held=false",
                "gone:amd64 1:2~rc1-1 ok config-files auto=false held=false",
                "libc6:amd64 2.36-9+deb12u10 ok installed auto=true held=false",
                "libc6:i386 2.36-9+deb12u10 ok installed auto=false held=false",
            ]
        );
        assert!(known(&fact).audit.is_empty());
    }

    #[test]
    fn an_audit_that_finds_something_is_told_and_one_that_fails_is_unknown() {
        let found =
            Section { status: 1, ..section("audit", "The following packages are ...\n broken  text\n") };
        assert_eq!(known(&packages(DPKG, "", found)).audit.len(), 2);
        let failed = Section { status: 2, ..section("audit", "") };
        assert!(matches!(packages(DPKG, "", failed), Fact::Unknown(_)));
    }

    #[test]
    fn a_list_with_a_line_that_is_none_is_unknown() {
        for bad in [
            "dpkg\tamd64\t1\tinstall",
            "Dpkg\tamd64\t1\tinstall\tok installed",
            "dpkg\tamd64\t1 2\tinstall\tok installed",
        ] {
            let Fact::Unknown(why) = packages(&format!("{DPKG}{bad}"), "", section("audit", "")) else {
                panic!("{bad}")
            };
            assert!(why.shown().contains(&Untrusted::new(bad).shown()), "{}", why.shown());
        }
        let many: String = (0..33).map(|i| format!("zip\ta{i}\t1\tinstall\tok installed\n")).collect();
        assert!(matches!(packages(&format!("{DPKG}{many}"), "", section("audit", "")), Fact::Unknown(_)));
        let old = "aspell\t\t1\tdeinstall\tok config-files\n";
        assert_eq!(known(&packages(&format!("{DPKG}{old}"), "", section("audit", ""))).installed.len(), 6);
        let no_dpkg = DPKG.replace("dpkg\tamd64\t1.21.22\tinstall\tok installed\n", "");
        assert!(matches!(packages(&no_dpkg, "", section("audit", "")), Fact::Unknown(_)));
    }
}
