//! The way back of each change, classed beforehand: the old package can be put back and works; or a
//! snapshot alone would bring the host back; or nothing does.
//!
//! Pure: a change and what its host proved, to a class with the reason in words.

mod table;

use super::change::Change;
use super::event::{Proof, Tools};
use super::state::Batch;
use crate::types::{PackageName, Version};

/// How one change can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// The old package is put back, and nothing that is known speaks against its working then.
    Reversible,
    /// A snapshot of the host alone would bring it back; why.
    SnapshotOnly(String),
    /// What was there before can't come back by itself, a backup apart; why.
    NoReturn(String),
}

impl WayBack {
    /// The word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Reversible => "reversible",
            Self::SnapshotOnly(_) => "snapshot-only",
            Self::NoReturn(_) => "no-return",
        }
    }

    /// Why it is not reversible; `None` where it is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Reversible => None,
            Self::SnapshotOnly(why) | Self::NoReturn(why) => Some(why),
        }
    }

    /// Whether nothing but a backup brings it back.
    pub fn is_no_return(&self) -> bool {
        matches!(self, Self::NoReturn(_))
    }
}

/// What the table says of a package that goes from one version to another, before anything is known of
/// its host. A package that is new leaves nothing that an older self could refuse.
pub fn known(package: &PackageName, from: Option<&Version>, to: &Version) -> WayBack {
    let Some(from) = from else { return WayBack::Reversible };
    let row = table::ROWS.iter().find(|row| row.names.iter().any(|name| named(name, package.as_str())));
    match row {
        Some(row) if from.leading(row.same) != to.leading(row.same) => WayBack::NoReturn(row.why.to_owned()),
        Some(_) | None => WayBack::Reversible,
    }
}

/// A name of the table: whole, or the beginning before its `*`.
fn named(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

/// The class of a change, with what its host proved; `None`: nothing was proved yet.
pub fn of(change: &Change, proof: Option<&Proof>) -> WayBack {
    let known = known(&change.package.name, change.from.as_ref(), &change.to);
    if known != WayBack::Reversible {
        return known;
    }
    let stands = |proof: &&Proof| proof.stands_on.contains(&change.package);
    match proof.filter(stands).and_then(|proof| proof.tools.as_ref()) {
        Some(Tools::Fail(why)) => WayBack::SnapshotOnly(format!(
            "the rollback itself stands on it, and copies of the tools can't take its place: {}",
            why.shown()
        )),
        Some(Tools::Unneeded | Tools::Run(_)) | None => WayBack::Reversible,
    }
}

/// The changes of a batch that are not reversible, and why.
pub fn against(batch: &Batch) -> Vec<(&Change, WayBack)> {
    let classed = batch.changes.iter().map(|change| (change, of(change, batch.proof.as_ref())));
    classed.filter(|(_, class)| *class != WayBack::Reversible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_follows_from_package_and_versions() {
        let back = |package: &str, from: &str, to: &str| {
            let version = |text: &str| text.parse::<Version>().expect("a version");
            let from = (from != "-").then(|| version(from));
            known(&package.parse().expect("a name"), from.as_ref(), &version(to)).word()
        };
        for (package, from, to, wanted) in [
            ("mysql-server-8.0", "8.0.36-0ubuntu0.22.04.1", "8.0.37-0ubuntu0.22.04.3", "no-return"),
            ("mysql-server-8.0", "8.0.36-0ubuntu0.22.04.1", "8.0.36-0ubuntu0.22.04.2", "reversible"),
            ("mysql-client-8.0", "8.0.36-1", "8.0.37-1", "reversible"),
            ("mysql-server-8.0", "-", "8.0.37-1", "reversible"),
            ("mariadb-server", "1:10.11.6-0+deb12u1", "1:10.11.11-0+deb12u1", "reversible"),
            ("mariadb-server", "1:10.11.6-0+deb12u1", "1:11.8.3-0+deb13u1", "no-return"),
            ("mariadb-server", "10.11.6-1", "1:10.11.6-1", "no-return"),
            ("postgresql-15", "15.8-0+deb12u1", "15.10-0+deb12u1", "reversible"),
            ("redis-server", "5:7.0.15-1~deb12u1", "5:7.0.15-1~deb12u5", "reversible"),
            ("redis-server", "5:7.0.15-1~deb12u1", "5:7.2.4-1", "no-return"),
            ("elasticsearch", "8.13.2", "8.13.3", "no-return"),
            ("gitlab-ee", "17.4.1-ee.0", "17.4.2-ee.0", "no-return"),
            ("slapd", "2.5.13+dfsg-5", "2.5.19+dfsg-1", "reversible"),
            ("slapd", "2.4.57+dfsg-3+deb11u1", "2.5.13+dfsg-5", "no-return"),
            ("nginx", "1.22.1-9", "1.26.0-1", "reversible"),
        ] {
            assert_eq!(back(package, from, to), wanted, "{package} {from} -> {to}");
        }
    }

    #[test]
    fn every_row_of_the_table_says_what_it_holds() {
        for row in table::ROWS {
            assert!((1..=3).contains(&row.same) && !row.why.is_empty(), "{:?}", row.names);
            for name in row.names {
                let name = name.trim_end_matches('*');
                assert!(name.parse::<PackageName>().is_ok() || name.ends_with('-'), "{name}");
            }
        }
    }
}
