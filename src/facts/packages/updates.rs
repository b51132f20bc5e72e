//! What an upgrade would do on this host now, what it would keep back and why, and what has to go
//! together.

use std::collections::{BTreeMap, BTreeSet};

use super::apt::{self, Plan, Policies};
use super::stanza::{self, Clause, Index};
use super::{List, installed, pins};
use crate::facts::read::Sections;
use crate::facts::section::{Unreadable, strict};
use crate::facts::{Kept, KeptWhy, Pending, Updates};
use crate::types::{Arch, PackageId, PackageName, Time, Untrusted, Version};

pub(in crate::facts) fn read(sections: &Sections) -> Result<Updates, Untrusted> {
    let plan = apt::plan(&sections.text("upgrade")?)?;
    if let Some((name, _)) = plan.removals.first() {
        // `apt-get upgrade` never removes; if it ever does, this is not the set that was meant.
        return Err(format!("upgrade: apt would remove {name}").into());
    }
    let installed = installed(&sections.text("dpkg")?)?;
    let list = List::of(&installed)?;
    let index = stanza::index(&sections.text("show")?)?;
    let policies = apt::policies(&sections.text("policy")?)?;
    let olds = old_depends(&sections.text("depends")?)?;
    let needs = needs(&plan, &list, &index, &olds);
    let mut pending = Vec::new();
    for (id, inst) in &plan.installs {
        let stanza = index.get(&(id.clone(), inst.to.clone()));
        let stanza = stanza.ok_or_else(|| format!("show: apt-cache says nothing of {id} {}", inst.to))?;
        pending.push(Pending {
            package: id.clone(),
            from: inst.from.clone(),
            to: inst.to.clone(),
            security: inst.security,
            origin: inst.origin.clone(),
            source: stanza.source.clone(),
            section: stanza.section.clone(),
            size: stanza.size,
            sha256: stanza.sha256,
            needs: needs.get(&id.name).map(|names| names.iter().cloned().collect()).unwrap_or_default(),
        });
    }
    let kept = kept(&plan, &list, &policies)?;
    Ok(Updates { pending, kept, lists_at: lists_at(sections)?, pins: pins::read(sections)? })
}

fn lists_at(sections: &Sections) -> Result<Option<Time>, Untrusted> {
    let lines = sections.text("lists")?;
    let Some(line) = lines.iter().find(|line| !line.trim().is_empty()) else { return Ok(None) };
    let seconds: i64 = strict("a time", line.trim(), line)?;
    let at = Time::from_timestamp(seconds, 0);
    Ok(Some(at.ok_or_else(|| Unreadable::new("lists: not a time", line))?))
}

/// What the pending ones need as they are installed now.
fn old_depends(lines: &[String]) -> Result<BTreeMap<PackageName, Vec<Clause>>, Unreadable> {
    let mut all: BTreeMap<PackageName, Vec<Clause>> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.splitn(3, '\t').collect();
        let [name, _, depends] = fields[..] else {
            return Err(Unreadable::new("depends: not three fields", line));
        };
        all.entry(strict("a package", name, line)?).or_default().extend(stanza::clauses(Some(depends))?);
    }
    Ok(all)
}

/// For each pending name the other pending names that have to go with it, in the same batch or an
/// earlier one. Three rules: a clause of the new version that nothing installed satisfies now and a
/// pending one will; something installed that the new version breaks as it is now; a pending one
/// whose installed version needs exactly what is replaced. Provides are not looked at: what they
/// would add, apt's own simulation of the batch finds.
fn needs(
    plan: &Plan,
    list: &List,
    index: &Index,
    olds: &BTreeMap<PackageName, Vec<Clause>>,
) -> BTreeMap<PackageName, BTreeSet<PackageName>> {
    let mut news: BTreeMap<&PackageName, Vec<&Version>> = BTreeMap::new();
    for (id, inst) in &plan.installs {
        news.entry(&id.name).or_default().push(&inst.to);
    }
    let now = |name: &PackageName| -> Vec<&Version> {
        let there = list.named(name).filter(|(_, facts)| facts.status.raw() == "ok installed");
        there.map(|(_, facts)| &facts.version).collect()
    };
    let mut needs: BTreeMap<PackageName, BTreeSet<PackageName>> = BTreeMap::new();
    for (id, inst) in &plan.installs {
        let Some(stanza) = index.get(&(id.clone(), inst.to.clone())) else { continue };
        for clause in &stanza.depends {
            if clause.iter().any(|relation| now(&relation.name).iter().any(|version| relation.takes(version)))
            {
                continue;
            }
            let coming = clause.iter().find(|relation| {
                let versions = news.get(&relation.name);
                versions.is_some_and(|versions| versions.iter().any(|version| relation.takes(version)))
            });
            if let Some(relation) = coming {
                needs.entry(id.name.clone()).or_default().insert(relation.name.clone());
            }
        }
        for relation in stanza.against.iter().flatten() {
            let breaks = now(&relation.name).iter().any(|version| relation.takes(version));
            if breaks && news.contains_key(&relation.name) {
                needs.entry(id.name.clone()).or_default().insert(relation.name.clone());
            }
        }
    }
    for (needy, clauses) in olds {
        for clause in clauses {
            for relation in clause {
                let Some(coming) = news.get(&relation.name) else { continue };
                let held_by = |one: &stanza::Relation| {
                    if one.name == relation.name {
                        coming.iter().any(|version| one.takes(version))
                    } else {
                        now(&one.name).iter().any(|version| one.takes(version))
                    }
                };
                let now_held = now(&relation.name).iter().any(|version| relation.takes(version));
                if now_held && !clause.iter().any(held_by) {
                    needs.entry(relation.name.clone()).or_default().insert(needy.clone());
                }
            }
        }
    }
    for (name, names) in &mut needs {
        names.remove(name);
    }
    needs
}

/// What is kept: the lists of the simulation, and what a pin by name keeps without a word there.
fn kept(plan: &Plan, list: &List, policies: &Policies) -> Result<Vec<Kept>, Untrusted> {
    let mut kept: BTreeMap<PackageId, Kept> = BTreeMap::new();
    for (names, listed) in [(&plan.phased, Some(KeptWhy::Phased)), (&plan.kept, Some(KeptWhy::Dependency))] {
        for (name, arch) in names {
            let one = judge(name, arch.as_ref(), listed, list, policies)?;
            if let Some(one) = one {
                kept.entry(one.package.clone()).or_insert(one);
            }
        }
    }
    for (name, arch) in policies.keys() {
        let Some(one) = judge(name, arch.as_ref(), None, list, policies)? else { continue };
        if !plan.installs.contains_key(&one.package) {
            kept.entry(one.package.clone()).or_insert(one);
        }
    }
    Ok(kept.into_values().collect())
}

/// `listed` is what the list says in which apt names the package; `None` if it is in none.
fn judge(
    name: &PackageName,
    arch: Option<&Arch>,
    listed: Option<KeptWhy>,
    list: &List,
    policies: &Policies,
) -> Result<Option<Kept>, Untrusted> {
    let Some(package) = list.find(name, arch) else {
        return match listed {
            Some(_) => Err(format!("upgrade: apt keeps {name} back, which dpkg does not list").into()),
            None => Ok(None),
        };
    };
    let Some(facts) = list.installed.get(&package) else { return Ok(None) };
    let from = facts.version.clone();
    let policy = policies.get(&(name.clone(), arch.cloned()));
    let newer = policy.and_then(|policy| policy.newer_than(&from));
    let (candidate, phased) =
        newer.map_or((None, false), |(version, phased)| (Some(version.clone()), *phased));
    // apt's own candidate, where it is newer than what is there: a pin may choose less than the newest.
    let chosen = policy.and_then(|policy| policy.candidate.clone()).filter(|chosen| *chosen > from);
    let why = match listed {
        _ if facts.held => KeptWhy::Hold,
        Some(KeptWhy::Phased) => KeptWhy::Phased,
        _ if phased => KeptWhy::Phased,
        Some(KeptWhy::Dependency | KeptWhy::Hold | KeptWhy::Pin) if policy.is_none() || chosen.is_some() => {
            KeptWhy::Dependency
        }
        Some(KeptWhy::Dependency | KeptWhy::Hold | KeptWhy::Pin) => KeptWhy::Pin,
        // In no list: kept only if there is something newer that a pin does not let through.
        None if candidate.is_none() || chosen.is_some() || facts.status.raw() != "ok installed" => {
            return Ok(None);
        }
        None => KeptWhy::Pin,
    };
    Ok(Some(Kept { package, from, candidate: chosen.or(candidate), why }))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{at, known, section};
    use super::*;
    use crate::facts::{Domain, Fact, Section, read};

    /// A host: dpkg's list as `NAME ARCH VERSION WANT`, the simulation's lines, index stanzas as
    /// `NAME ARCH VERSION; FIELD; ...`, installed relations as `NAME; RELATIONS`, the policy.
    fn host(dpkg: &[&str], upgrade: &str, show: &[&str], depends: &[&str], policy: &str) -> Vec<Section> {
        let dpkg: Vec<String> = ["dpkg amd64 1.21 install"]
            .iter()
            .chain(dpkg)
            .map(|line| format!("{}\tok installed", line.replace(' ', "\t")))
            .collect();
        let show: Vec<String> = show
            .iter()
            .map(|one| {
                let mut fields = one.split("; ");
                let words: Vec<&str> = fields.next().expect("words").split(' ').collect();
                let rest: Vec<&str> = fields.collect();
                let [name, arch, version] = words[..] else { panic!("{one}") };
                format!("Package: {name}\nArchitecture: {arch}\nVersion: {version}\n{}\n\n", rest.join("\n"))
            })
            .collect();
        let depends: Vec<String> = depends
            .iter()
            .map(|one| {
                one.split_once("; ").map(|(name, all)| format!("{name}\tamd64\t, {all}")).expect("relations")
            })
            .collect();
        let installs = upgrade.lines().filter(|line| line.starts_with("Inst ")).count();
        let upgrade =
            format!("{installs} upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n{upgrade}");
        vec![
            section("dpkg", &dpkg.join("\n")),
            section("upgrade", &upgrade),
            section("show", &show.concat()),
            section("depends", &depends.join("\n")),
            section("policy", policy),
            section("lists", "1795235095"),
        ]
    }

    fn updates(sections: &[Section]) -> Fact<Updates> {
        let mut read = read(sections, at(0));
        let Domain::Updates(fact) = read.remove(0) else { panic!("{read:?}") };
        fact
    }

    fn needs_of(sections: &[Section]) -> Vec<String> {
        let fact = updates(sections);
        let told = |one: &Pending| {
            let needs: Vec<&str> = one.needs.iter().map(PackageName::as_str).collect();
            format!("{} <- {}", one.package, needs.join(" "))
        };
        known(&fact).pending.iter().map(told).collect()
    }

    #[test]
    fn a_versioned_relation_that_is_not_met_now_makes_a_need() {
        let sections = host(
            &["libssl3 amd64 3.0.1 install", "openssl amd64 3.0.1 install", "zip amd64 1 install"],
            "Inst libssl3 [3.0.1] (3.0.2 D:12/s [amd64])\nInst openssl [3.0.1] (3.0.2 D:12/s [amd64])\n\
             Inst zip [1] (2 D:12/s [amd64])\n",
            &[
                "libssl3 amd64 3.0.2; Depends: libc6 (>= 2.36)",
                "openssl amd64 3.0.2; Depends: libssl3 (>= 3.0.2), zip",
                "zip amd64 2; Depends: libssl3 (>= 3.0.0)",
            ],
            &[],
            "",
        );
        assert_eq!(needs_of(&sections), ["libssl3:amd64 <- ", "openssl:amd64 <- libssl3", "zip:amd64 <- "]);
    }

    #[test]
    fn an_exact_relation_takes_both_along() {
        let sections = host(
            &["libssl3 amd64 3.0.1 install", "libssl-dev amd64 3.0.1 install"],
            "Inst libssl3 [3.0.1] (3.0.2 D:12/s [amd64])\nInst libssl-dev [3.0.1] (3.0.2 D:12/s [amd64])\n",
            &["libssl3 amd64 3.0.2", "libssl-dev amd64 3.0.2; Depends: libssl3 (= 3.0.2)"],
            &["libssl-dev; libssl3 (= 3.0.1)"],
            "",
        );
        assert_eq!(needs_of(&sections), ["libssl-dev:amd64 <- libssl3", "libssl3:amd64 <- libssl-dev"]);
    }

    #[test]
    fn a_new_package_is_needed_where_no_alternative_is_there_already() {
        let sections = host(
            &["linux-image-amd64 amd64 6.1.140-1 install", "initramfs-tools all 0.142 install"],
            "Inst linux-image-6.1.0-40-amd64 (6.1.153-1 D-S:12/s-security [amd64])\n\
             Inst linux-image-amd64 [6.1.140-1] (6.1.153-1 D-S:12/s-security [amd64])\n\
             Inst dracut-core (1 D:12/s [amd64])\n",
            &[
                "linux-image-6.1.0-40-amd64 amd64 6.1.153-1; Source: linux-signed-amd64 (6.1.153+1); Section: kernel; \
                 Depends: initramfs-tools (>= 0.120+deb8u2) | dracut-core",
                "linux-image-amd64 amd64 6.1.153-1; Depends: linux-image-6.1.0-40-amd64 (= 6.1.153-1)",
                "dracut-core amd64 1",
            ],
            &[],
            "",
        );
        assert_eq!(
            needs_of(&sections),
            [
                "dracut-core:amd64 <- ",
                "linux-image-6.1.0-40-amd64:amd64 <- ",
                "linux-image-amd64:amd64 <- linux-image-6.1.0-40-amd64"
            ]
        );
        let fact = updates(&sections);
        let kernel = &known(&fact).pending[1];
        assert_eq!((kernel.source.as_str(), kernel.section.raw()), ("linux-signed-amd64", "kernel"));
        assert!(kernel.security && kernel.from.is_none() && kernel.sha256.is_none());
    }

    #[test]
    fn what_the_new_version_breaks_goes_with_it() {
        let sections = host(
            &["nscd amd64 1 install", "libc6 amd64 1 install", "libc6 i386 1 install"],
            "Inst libc6 [1] (2 D:12/s [amd64]) [libc6:i386 ]\nInst libc6:i386 [1] (2 D:12/s [i386])\n\
             Inst nscd [1] (2 D:12/s [amd64])\n",
            &["libc6 amd64 2; Breaks: nscd (<< 2), absent (<< 9)", "libc6 i386 2", "nscd amd64 2"],
            &[],
            "",
        );
        assert_eq!(needs_of(&sections), ["libc6:amd64 <- nscd", "libc6:i386 <- nscd", "nscd:amd64 <- "]);
    }

    #[test]
    fn each_way_of_being_kept_has_its_why() {
        let lists = "The following upgrades have been deferred due to phasing:\n  distro-info-data\n\
            The following packages have been kept back:\n  dep held old-phased pinned-release libc6:i386\n\
            The following packages will be upgraded:\n";
        let table = |name: &str, candidate: &str, newest: &str| {
            format!(
                "{name}:\n  Installed: 1\n  Candidate: {candidate}\n  Version table:\n     {newest}\n\
                 \x20       500 http://x y/main amd64 Packages\n *** 1 100\n        100 /var/lib/dpkg/status\n"
            )
        };
        let policy = [
            table("dep", "2", "2 500"),
            table("held", "2", "2 500"),
            table("old-phased", "2", "2 500 (phased 20%)"),
            table("distro-info-data", "1", "2 1 (phased 0%)"),
            table("pinned-release", "1", "2 -1"),
            table("libc6:i386", "2", "2 500"),
            table("pinned", "1", "2 -1"),
            table("pinned-to-newest", "1", "1 1001"),
            table("pinned-but-moving", "2", "3 500"),
            table("not-installed", "1", "2 -1"),
        ]
        .concat();
        let names =
            ["dep", "old-phased", "pinned-release", "pinned", "pinned-to-newest", "pinned-but-moving"];
        let mut dpkg: Vec<String> = names.iter().map(|name| format!("{name} amd64 1 install")).collect();
        dpkg.extend(
            [
                "held amd64 1 hold",
                "distro-info-data all 1 install",
                "libc6 amd64 1 install",
                "libc6 i386 1 install",
            ]
            .map(str::to_owned),
        );
        let dpkg: Vec<&str> = dpkg.iter().map(String::as_str).collect();
        let sections = host(
            &dpkg,
            &format!("{lists}Inst pinned-but-moving [1] (2 D:12/s [amd64])\n"),
            &["pinned-but-moving amd64 2"],
            &[],
            &policy,
        );
        let fact = updates(&sections);
        let told: Vec<String> = known(&fact)
            .kept
            .iter()
            .map(|kept| {
                let candidate = kept.candidate.as_ref().map_or("-", Version::as_str);
                format!("{} {} {candidate} {:?}", kept.package, kept.from, kept.why)
            })
            .collect();
        assert_eq!(
            told,
            [
                "dep:amd64 1 2 Dependency",
                "distro-info-data:all 1 2 Phased",
                "held:amd64 1 2 Hold",
                "libc6:i386 1 2 Dependency",
                "old-phased:amd64 1 2 Phased",
                "pinned:amd64 1 2 Pin",
                "pinned-release:amd64 1 2 Pin",
            ]
        );
        assert_eq!(known(&fact).lists_at, Some(at(1_795_235_095)));
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        let whole =
            host(&["zip amd64 1 install"], "Inst zip [1] (2 D:12/s [amd64])\n", &["zip amd64 2"], &[], "");
        assert!(matches!(updates(&whole), Fact::Known(_)));
        for missing in ["dpkg", "show", "depends", "policy", "lists"] {
            let less: Vec<Section> =
                whole.iter().filter(|section| section.name != missing).cloned().collect();
            let Fact::Unknown(why) = updates(&less) else { panic!("{missing}") };
            assert!(why.shown().contains(missing), "{}", why.shown());
        }
        let mut unindexed = whole.clone();
        unindexed[2].lines.clear();
        assert!(
            matches!(updates(&unindexed), Fact::Unknown(why) if why.shown().contains("nothing of zip:amd64 2"))
        );
        let mut removing = whole;
        removing[1].lines.push(b"Remv mawk [1]".to_vec());
        assert!(
            matches!(updates(&removing), Fact::Unknown(why) if why.shown().contains("would remove mawk"))
        );
    }
}
