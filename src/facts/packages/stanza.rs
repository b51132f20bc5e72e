//! Package index stanzas as `apt-cache show` prints them (deb822), and the relations in them (Debian
//! policy chapter 7).

use std::collections::BTreeMap;

use crate::facts::section::{Unreadable, strict};
use crate::types::{PackageId, PackageName, Sha256, Untrusted, Version};

/// One relation to a package: its name and, where it is a versioned one, how and to what version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub name: PackageName,
    pub version: Option<(Bound, Version)>,
}

/// How a version is bound (policy 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Before,
    UpTo,
    Exactly,
    From,
    After,
}

impl Relation {
    /// Whether that version is what the relation names.
    pub fn takes(&self, version: &Version) -> bool {
        match &self.version {
            None => true,
            Some((Bound::Before, bound)) => version < bound,
            Some((Bound::UpTo, bound)) => version <= bound,
            Some((Bound::Exactly, bound)) => version == bound,
            Some((Bound::From, bound)) => version >= bound,
            Some((Bound::After, bound)) => version > bound,
        }
    }
}

/// One clause: any of these.
pub(super) type Clause = Vec<Relation>;

/// One version of one package in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stanza {
    pub source: PackageName,
    pub section: Untrusted,
    pub size: Option<u64>,
    pub sha256: Option<Sha256>,
    /// Pre-Depends and Depends.
    pub depends: Vec<Clause>,
    /// Breaks and Conflicts.
    pub against: Vec<Clause>,
}

pub(super) type Index = BTreeMap<(PackageId, Version), Stanza>;

/// Reads all stanzas. Of two for one version of one package the first that has a hash counts.
pub(super) fn index(lines: &[String]) -> Result<Index, Unreadable> {
    let mut index = Index::new();
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = "";
    for line in lines.iter().map(String::as_str).chain([""]) {
        if line.trim().is_empty() {
            close(&mut index, &std::mem::take(&mut fields))?;
        } else if line.starts_with([' ', '\t']) {
            let field =
                fields.get_mut(last).ok_or_else(|| Unreadable::new("show: continues nothing", line))?;
            field.push_str(line);
        } else {
            let (key, value) =
                line.split_once(':').ok_or_else(|| Unreadable::new("show: not a field", line))?;
            if key == "Package" {
                // Two stanzas with nothing between: where one run of apt-cache ended.
                close(&mut index, &std::mem::take(&mut fields))?;
            }
            last = key;
            fields.insert(key, value.trim().to_owned());
        }
    }
    Ok(index)
}

fn close(index: &mut Index, fields: &BTreeMap<&str, String>) -> Result<(), Unreadable> {
    let Some(name) = fields.get("Package") else { return Ok(()) };
    let get = |key: &str| fields.get(key).map(String::as_str);
    let need =
        |key: &str| get(key).ok_or_else(|| Unreadable::new(format!("show: a package without {key}"), name));
    let package: PackageName = strict("a package", name, name)?;
    let arch = need("Architecture")?;
    let version: Version = strict("a version", need("Version")?, name)?;
    // `Source: glibc (2.36-9)`: the version is there where it is not the package's own.
    let source = match get("Source").and_then(|source| source.split_whitespace().next()) {
        Some(source) => strict("a source package", source, source)?,
        None => package.clone(),
    };
    let stanza = Stanza {
        source,
        section: Untrusted::new(get("Section").unwrap_or_default()),
        size: get("Size").map(|size| strict("a size", size, name)).transpose()?,
        sha256: get("SHA256").map(|hash| strict("a SHA-256", hash, name)).transpose()?,
        depends: [clauses(get("Pre-Depends"))?, clauses(get("Depends"))?].concat(),
        against: [clauses(get("Breaks"))?, clauses(get("Conflicts"))?].concat(),
    };
    let id = PackageId::new(package, strict("an architecture", arch, name)?);
    match index.entry((id, version)) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(stanza);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            if entry.get().sha256.is_none() {
                entry.insert(stanza);
            }
        }
    }
    Ok(())
}

/// The most alternatives of one clause; Debian's longest has about thirty. They are compared with each
/// other, so their number must stay small whatever a host says.
const MOST_ALTERNATIVES: usize = 256;

/// `a (>= 1), b | c:any (= 2) [amd64] <!nocheck>`
pub(super) fn clauses(field: Option<&str>) -> Result<Vec<Clause>, Unreadable> {
    let mut clauses = Vec::new();
    for clause in field.unwrap_or_default().split(',').filter(|clause| !clause.trim().is_empty()) {
        if clause.bytes().filter(|byte| *byte == b'|').count() >= MOST_ALTERNATIVES {
            return Err(Unreadable::new("a relation with too many alternatives", clause));
        }
        clauses.push(clause.split('|').map(relation).collect::<Result<Clause, Unreadable>>()?);
    }
    Ok(clauses)
}

fn relation(text: &str) -> Result<Relation, Unreadable> {
    let bad = || Unreadable::new("not a relation to a package", text);
    let (text, version) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let (bound, _) = rest.split_once(')').ok_or_else(bad)?;
            let bound = bound.trim();
            let at = bound.find(|c| !"<>=".contains(c)).ok_or_else(bad)?;
            let (how, version) = bound.split_at(at);
            // `<` and `>` are old spellings of `<=` and `>=`.
            let how = match how {
                "<<" => Bound::Before,
                "<=" | "<" => Bound::UpTo,
                "=" => Bound::Exactly,
                ">=" | ">" => Bound::From,
                ">>" => Bound::After,
                _ => return Err(bad()),
            };
            (name, Some((how, version.trim().parse().map_err(|_| bad())?)))
        }
    };
    let word = text.split_whitespace().next().ok_or_else(bad)?;
    let name = word.split(':').next().unwrap_or_default();
    Ok(Relation { name: name.parse().map_err(|_| bad())?, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read() {
        let read = clauses(Some(
            "libc6 (>= 2.36), aa:any | bb (<< 1:2~), cc (=1) [amd64] <!nocheck>, dd (>> 1), ee (<= 1), ff (< 1)",
        ));
        let read = read.expect("reads");
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert_eq!(read.len(), 6);
        assert!(read[0][0].takes(&version("2.36")) && !read[0][0].takes(&version("2.35")));
        assert_eq!(read[1].len(), 2);
        assert_eq!(read[1][0].name.as_str(), "aa");
        assert!(read[1][1].takes(&version("1:1")) && !read[1][1].takes(&version("1:2")));
        assert!(read[2][0].takes(&version("1")) && !read[2][0].takes(&version("1.1")));
        assert!(
            !read[3][0].takes(&version("1"))
                && read[4][0].takes(&version("1"))
                && read[5][0].takes(&version("1"))
        );
    }

    #[test]
    fn stanzas_are_read() {
        let hash = "a".repeat(64);
        let text = format!(
            "Package: libc6\nVersion: 2.36-10\nArchitecture: i386\nSource: glibc\nSection: libs\nSize: 12\nSHA256: {hash}\n\
             Depends: libgcc-s1,\n libcrypt1 (>= 1:4.4.10-10~)\nBreaks: nscd (<< 2.36-10)\n\n\
             Package: tz\nVersion: 1\nArchitecture: all\n\nPackage: tz\nVersion: 1\nArchitecture: all\nSHA256: {hash}\n\
             Package: zip\nVersion: 1:3\nArchitecture: amd64\nSource: zip-src (3.0)"
        );
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let index = index(&lines).expect("reads");
        let get = |id: &str, version: &str| {
            &index[&(id.parse().expect("a package"), version.parse().expect("a version"))]
        };
        let libc = get("libc6:i386", "2.36-10");
        assert_eq!((libc.source.as_str(), libc.section.raw(), libc.size), ("glibc", "libs", Some(12)));
        assert_eq!((libc.depends.len(), libc.against.len()), (2, 1));
        assert!(get("tz:all", "1").sha256.is_some());
        assert_eq!(get("zip:amd64", "1:3").source.as_str(), "zip-src");
    }

    #[test]
    fn alternatives_are_bounded() {
        assert_eq!(clauses(Some(&vec!["aa"; 256].join("|"))).expect("reads")[0].len(), 256);
        assert!(clauses(Some(&vec!["aa"; 257].join("|"))).is_err());
    }

    #[test]
    fn what_is_no_stanza_is_named() {
        for bad in [
            " continues",
            "no field",
            "Package: x",
            "Package: xx\nArchitecture: amd64\nVersion: 1\nSHA256: zz",
            "Package: xx\nArchitecture: amd64\nVersion: 1\nDepends: a (? 1)",
            "Package: xx\nArchitecture: amd64\nVersion: 1\nDepends: libc6 (>= 1",
            "Package: xx\nArchitecture: amd64\nVersion: 1\nDepends: libc6 (>=)",
        ] {
            let lines: Vec<String> = bad.lines().map(str::to_owned).collect();
            assert!(index(&lines).is_err(), "{bad}");
        }
    }
}
