//! What apt-get and apt-cache print in the C locale: the simulated transaction, the lists of what is
//! kept back, `policy`.

use std::collections::BTreeMap;

use super::{few_of_a_name, named};
use crate::facts::section::{Unreadable, strict};
use crate::types::{Arch, PackageId, PackageName, Untrusted, Version};

/// What apt would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// What it would install: the package, the version there now (`None` for a new one), the version
    /// that it would have. Sorted by package.
    pub installs: Vec<(PackageId, Option<Version>, Version)>,
    /// What it would remove, sorted.
    pub removals: Vec<PackageId>,
}

/// One line `Inst` of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inst {
    pub from: Option<Version>,
    pub to: Version,
    pub origin: Untrusted,
    pub security: bool,
}

/// A simulation with all that apt says in it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub installs: BTreeMap<PackageId, Inst>,
    /// What is removed and not installed again; without an architecture where apt names none.
    pub removals: Vec<(PackageName, Option<Arch>)>,
    /// Kept back, by apt's names.
    pub kept: Vec<(PackageName, Option<Arch>)>,
    /// Deferred due to phasing, by apt's names.
    pub phased: Vec<(PackageName, Option<Arch>)>,
}

/// Reads what `apt-get -s` printed. `native` is the host's architecture, which apt leaves out: a
/// package for all architectures that is removed is told under it too, as apt does.
///
/// # Errors
/// A line of the transaction that can't be read, or an end that is missing: then nothing of it is
/// true.
pub fn simulation(lines: &[Vec<u8>], native: &Arch) -> Result<Simulation, Unreadable> {
    let lines: Vec<String> = lines.iter().map(|line| crate::facts::section::decode(line)).collect();
    let plan = plan(&lines)?;
    let mut removals: Vec<PackageId> = plan
        .removals
        .into_iter()
        .map(|(name, arch)| PackageId::new(name, arch.unwrap_or_else(|| native.clone())))
        .collect();
    removals.sort();
    removals.dedup();
    let installs = plan.installs.into_iter().map(|(id, inst)| (id, inst.from, inst.to)).collect();
    Ok(Simulation { installs, removals })
}

enum Heading {
    Other,
    Kept,
    Phased,
}

pub(super) fn plan(lines: &[String]) -> Result<Plan, Unreadable> {
    let mut plan = Plan::default();
    let mut counted = None;
    let mut heading = Heading::Other;
    for line in lines {
        if let Some(entries) = line.strip_prefix(' ') {
            let list = match heading {
                Heading::Other => continue,
                Heading::Kept => &mut plan.kept,
                Heading::Phased => &mut plan.phased,
            };
            for entry in entries.split_whitespace() {
                list.push(named(entry)?);
            }
            continue;
        }
        heading = match line.trim_end() {
            "The following packages have been kept back:" | "Not upgrading:" => Heading::Kept,
            // apt 2.5.1 and later; before, what is phased is in the list of what is kept back.
            "The following upgrades have been deferred due to phasing:"
            | "Not upgrading yet due to phasing:" => Heading::Phased,
            _ => Heading::Other,
        };
        if line.starts_with("Inst ") {
            let (id, inst) = install(line)?;
            plan.installs.insert(id, inst);
        } else if line.starts_with("Remv ") || line.starts_with("Purg ") {
            plan.removals.push(named(line.split(' ').nth(1).unwrap_or_default())?);
        } else if let Some(count) = count(line) {
            counted = Some((count, line));
        }
    }
    few_of_a_name(plan.installs.keys())?;
    // apt may take a package out of the way and put its new version back.
    let mut back: BTreeMap<&PackageName, Vec<&Arch>> = BTreeMap::new();
    for id in plan.installs.keys() {
        back.entry(&id.name).or_default().push(&id.arch);
    }
    plan.removals.retain(|(name, arch)| {
        let archs = back.get(name);
        !archs.is_some_and(|archs| arch.as_ref().is_none_or(|arch| archs.contains(&arch)))
    });
    match counted {
        None => Err(Unreadable::new(
            "apt's simulation has no last line that counts",
            lines.last().map_or("", |l| l),
        )),
        Some((count, line)) if count != plan.installs.len() => Err(Unreadable::new(
            format!("apt's simulation has {} installs, not as it counts", plan.installs.len()),
            line,
        )),
        Some(_) => Ok(plan),
    }
}

/// How many packages `2 upgraded, 1 newly installed, 1 downgraded, 0 to remove and 3 not upgraded.`
/// installs.
fn count(line: &str) -> Option<usize> {
    let mut installs = 0_usize;
    if !line.ends_with(" not upgraded.") || !line.contains(" upgraded, ") {
        return None;
    }
    for part in line.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: usize = number.parse().ok()?;
        if ["upgraded", "newly installed", "downgraded", "reinstalled"].contains(&what) {
            installs = installs.checked_add(number)?;
        }
    }
    Some(installs)
}

/// `Inst libc6:i386 [2.36-9] (2.36-10 Debian:12.5/stable, Debian-Security:12/stable-security [i386]) [...]`
fn install(line: &str) -> Result<(PackageId, Inst), Unreadable> {
    let bad = || Unreadable::new("not an install of apt's simulation", line);
    let rest = line.strip_prefix("Inst ").ok_or_else(bad)?;
    let (name, rest) = rest.split_once(' ').ok_or_else(bad)?;
    let (name, foreign) = named(name)?;
    let (from, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (from, rest) = rest.split_once("] ").ok_or_else(bad)?;
            (Some(strict("a version", from, line)?), rest)
        }
        None => (None, rest),
    };
    // What follows the parentheses is apt's own list of what is broken in between.
    let (target, _) = rest.strip_prefix('(').and_then(|rest| rest.split_once("])")).ok_or_else(bad)?;
    let (target, arch) = target.rsplit_once(" [").ok_or_else(bad)?;
    let (to, origin) = target.split_once(' ').unwrap_or((target, ""));
    let arch: Arch = strict("an architecture", arch, line)?;
    if foreign.is_some_and(|foreign| foreign != arch && arch.as_str() != "all") {
        return Err(bad());
    }
    let inst = Inst {
        from,
        to: strict("a version", to, line)?,
        security: origin.split(", ").any(security),
        origin: Untrusted::new(origin),
    };
    Ok((PackageId::new(name, arch), inst))
}

/// Whether one `LABEL:RELEASE/SUITE` is a security archive: Debian's by its label, Ubuntu's by its
/// suite, Ubuntu Pro's by its label.
fn security(origin: &str) -> bool {
    let (label, suite) = origin.rsplit_once('/').unwrap_or((origin, ""));
    suite.ends_with("-security") || label.starts_with("Debian-Security") || label.starts_with("UbuntuESM")
}

/// What `apt-cache policy` says of one package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Policy {
    pub installed: Option<Version>,
    pub candidate: Option<Version>,
    /// Every version there is, and whether it is phased.
    pub versions: Vec<(Version, bool)>,
}

impl Policy {
    /// The newest version that is newer than this one, and whether it is phased.
    pub fn newer_than(&self, from: &Version) -> Option<&(Version, bool)> {
        self.versions.iter().filter(|(version, _)| version > from).max_by(|a, b| a.0.cmp(&b.0))
    }
}

pub(super) type Policies = BTreeMap<(PackageName, Option<Arch>), Policy>;

pub(super) fn policies(lines: &[String]) -> Result<Policies, Unreadable> {
    let mut policies = Policies::new();
    let mut current: Option<&mut Policy> = None;
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            let name =
                line.strip_suffix(':').ok_or_else(|| Unreadable::new("policy: not a package", line))?;
            current = Some(policies.entry(named(name)?).or_default());
            continue;
        }
        let Some(policy) = current.as_deref_mut() else {
            return Err(Unreadable::new("policy: no package before this line", line));
        };
        if let Some(version) = line.strip_prefix("  Installed: ") {
            policy.installed = version_or_none(version, line)?;
        } else if let Some(version) = line.strip_prefix("  Candidate: ") {
            policy.candidate = version_or_none(version, line)?;
        } else if let Some(version) = line.strip_prefix(" *** ").or_else(|| in_table(line)) {
            let text = version.split(' ').next().unwrap_or_default();
            policy.versions.push((strict("a version", text, line)?, version.contains(" (phased ")));
        }
    }
    Ok(policies)
}

/// A version in the table stands at column 5; where it comes from stands further right, and the
/// headings before it further left.
fn in_table(line: &str) -> Option<&str> {
    line.strip_prefix("     ").filter(|rest| !rest.starts_with(' '))
}

fn version_or_none(text: &str, line: &str) -> Result<Option<Version>, Unreadable> {
    if text == "(none)" { Ok(None) } else { strict("a version", text, line).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn amd64() -> Arch {
        "amd64".parse().expect("arch")
    }

    #[test]
    fn lines_of_a_transaction_are_read() {
        let table: &[(&str, &str)] = &[
            (
                "Inst dpkg [1.21.22] (1.21.23 Debian:12.15/oldstable [amd64])",
                "dpkg:amd64 1.21.22 1.21.23 Debian:12.15/oldstable -",
            ),
            (
                "Inst login [1:4.13+dfsg1-1] (1:4.13+dfsg1-2 Debian:12.15/oldstable [amd64]) []",
                "login:amd64 1:4.13+dfsg1-1 1:4.13+dfsg1-2 Debian:12.15/oldstable -",
            ),
            (
                "Inst perl [5.36.0-7] (5.36.0-8 Debian-Security:12/oldstable-security [amd64]) [perl:amd64 ]",
                "perl:amd64 5.36.0-7 5.36.0-8 Debian-Security:12/oldstable-security security",
            ),
            (
                "Inst libc6:i386 [2.36-9] (2.36-10 Debian:12.5/stable, Debian-Security:12/stable-security [i386])",
                "libc6:i386 2.36-9 2.36-10 Debian:12.5/stable, Debian-Security:12/stable-security security",
            ),
            (
                "Inst linux-image-6.8.0-45-generic (6.8.0-45.45 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [amd64])",
                "linux-image-6.8.0-45-generic:amd64 - 6.8.0-45.45 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security security",
            ),
            (
                "Inst imagemagick [8:6.9] (8:6.9+esm1 UbuntuESMApps:22.04/jammy-apps-security [amd64])",
                "imagemagick:amd64 8:6.9 8:6.9+esm1 UbuntuESMApps:22.04/jammy-apps-security security",
            ),
            (
                "Inst docker-ce [5:24.0.1-1] (5:24.0.2-1 Docker CE:bookworm [amd64])",
                "docker-ce:amd64 5:24.0.1-1 5:24.0.2-1 Docker CE:bookworm -",
            ),
            ("Inst own (1.0 local-deb [all])", "own:all - 1.0 local-deb -"),
            ("Inst own (1.0 [all])", "own:all - 1.0  -"),
            ("Inst tzdata [1] (2 A \u{202e}label:x/y [all])", "tzdata:all 1 2 A \u{202e}label:x/y -"),
        ];
        for (line, wanted) in table {
            let (id, inst) = install(line).expect(line);
            let from = inst.from.map_or("-".to_owned(), |from| from.to_string());
            let security = if inst.security { "security" } else { "-" };
            assert_eq!(
                format!("{id} {from} {} {} {security}", inst.to, inst.origin.raw()),
                *wanted,
                "{line}"
            );
        }
        for bad in [
            "Inst dpkg",
            "Inst dpkg [1.21.22]",
            "Inst dpkg [1.21.22 (1.21.23 Debian [amd64])",
            "Inst dpkg [1.21.22] (1.21.23 Debian [amd64]",
            "Inst DPKG [1.21.22] (1.21.23 Debian [amd64])",
            "Inst dpkg [1_2] (1.21.23 Debian [amd64])",
            "Inst dpkg [1] (1;2 Debian [amd64])",
            "Inst libc6:i386 [1] (2 Debian [amd64])",
        ] {
            assert!(install(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_simulation_is_whole_or_nothing() {
        let text = "NOTE: This is only a simulation!\n\
            \x20     apt-get needs root privileges for real execution.\n\
            Reading package lists...\n\
            The following packages will be REMOVED:\n  exim4 exim4-base:i386 mawk\n\
            1 upgraded, 1 newly installed, 1 downgraded, 2 to remove and 4 not upgraded.\n\
            Remv exim4 [4.96-15]\nPurg exim4-base:i386 [4.96-15]\nRemv mawk [1.3.4]\n\
            Inst mawk [1.3.4] (1.3.3 Debian:12 [amd64])\nInst postfix (3.7.11-0 Debian:12 [amd64])\n\
            Inst bash [1] (2 Debian:12 [amd64])\nConf bash (2 Debian:12 [amd64])\n";
        let read = simulation(&lines(text), &amd64()).expect("reads");
        let removals: Vec<String> = read.removals.iter().map(ToString::to_string).collect();
        assert_eq!(removals, ["exim4:amd64", "exim4-base:i386"]);
        assert_eq!(read.installs.len(), 3);
        assert_eq!(read.installs[2].0.to_string(), "postfix:amd64");
        assert_eq!(read.installs[2].1, None);
        // Cut anywhere, a line less, a line more: not a smaller transaction, but none.
        let all = lines(text);
        for end in 0..9 {
            assert!(simulation(&all[..end], &amd64()).is_err(), "{end}");
        }
        let mut more = all.clone();
        more.push(b"Inst zip (1 Debian:12 [amd64])".to_vec());
        assert!(simulation(&more, &amd64()).is_err());
        assert!(simulation(&lines("E: Unable to locate package x"), &amd64()).is_err());
        let none = "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.";
        assert_eq!(simulation(&lines(none), &amd64()), Ok(Simulation::default()));
    }

    #[test]
    fn what_is_kept_back_is_told_from_what_is_phased() {
        let text = "Calculating upgrade...\n\
            The following upgrades have been deferred due to phasing:\n  distro-info-data libc6:i386\n\
            The following packages have been kept back:\n  linux-image-amd64 openssl\n  bash\n\
            The following packages will be upgraded:\n  zip\n\
            0 upgraded, 0 newly installed, 0 to remove and 5 not upgraded.\n";
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let plan = plan(&lines).expect("reads");
        let names = |list: &[(PackageName, Option<Arch>)]| {
            list.iter()
                .map(|(name, arch)| format!("{name}:{}", arch.as_ref().map_or("", Arch::as_str)))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&plan.kept), ["linux-image-amd64:", "openssl:", "bash:"]);
        assert_eq!(names(&plan.phased), ["distro-info-data:", "libc6:i386"]);
    }

    #[test]
    fn policies_are_read_with_phases() {
        let text = "bash:\n  Installed: 5.2.15-2+b8\n  Candidate: 5.2.15-2+b8\n  Version table:\n     5.2.15-2+b13 -1\n\
            \x20       500 http://deb.example/debian bookworm/main amd64 Packages\n *** 5.2.15-2+b8 100\n\
            \x20       100 /var/lib/dpkg/status\n\
            gir1.2-gstreamer-1.0:\n  Installed: 1.20.1-1\n  Candidate: 1.20.3-0ubuntu1\n  Version table:\n\
            \x20    1.20.3-0ubuntu1 500 (phased 30%)\n        500 http://archive.example/ubuntu jammy-updates/main amd64 Packages\n\
            \x20*** 1.20.1-1 500\n        100 /var/lib/dpkg/status\n\
            nothing:i386:\n  Installed: (none)\n  Candidate: (none)\n  Package pin: 1.0\n  Version table:\n";
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let policies = policies(&lines).expect("reads");
        let get = |name: &str| &policies[&named(name).expect("a name")];
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert_eq!(get("bash").candidate, Some(version("5.2.15-2+b8")));
        assert_eq!(get("bash").newer_than(&version("5.2.15-2+b8")), Some(&(version("5.2.15-2+b13"), false)));
        assert_eq!(
            get("gir1.2-gstreamer-1.0").newer_than(&version("1.20.1-1")),
            Some(&(version("1.20.3-0ubuntu1"), true))
        );
        assert_eq!(get("nothing:i386"), &Policy::default());
        assert!(super::policies(&["  Installed: 1".to_owned()]).is_err());
        assert!(super::policies(&["N: Unable to locate".to_owned()]).is_err());
    }
}
