//! Who holds the package manager: fcntl locks of dpkg and apt, and package managers at work.

use std::collections::BTreeMap;

use super::read::Sections;
use super::section::{Unreadable, strict};
use super::{Locks, Unattended};
use crate::types::Untrusted;

pub(super) fn read(sections: &Sections) -> Result<Locks, Untrusted> {
    let mut holders: BTreeMap<i64, (bool, String)> = BTreeMap::new();
    for line in sections.text("locks")? {
        let mut fields = line.splitn(3, '\t');
        let (Some(pid), Some(how), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Unreadable::new("locks: not a process, how and its name", &line).into());
        };
        let locks = match how {
            "lock" => true,
            "running" => false,
            _ => return Err(Unreadable::new("locks: neither lock nor running", &line).into()),
        };
        let holder = holders.entry(strict("a process id", pid, &line)?).or_insert((false, name.to_owned()));
        holder.0 |= locks;
    }
    let told = |(pid, (locks, name)): (i64, (bool, String))| {
        let how = if locks { "holds a lock" } else { "runs" };
        Untrusted::new(format!("{name} (process {pid}, {how})"))
    };
    Ok(Locks { holders: holders.into_iter().map(told).collect(), unattended: unattended(sections)? })
}

/// Who can't be asked (a host with another package manager, say) is not known to be quiet.
fn unattended(sections: &Sections) -> Result<Option<Unattended>, Untrusted> {
    let Ok(lines) = sections.text("unattended") else { return Ok(None) };
    match lines.iter().map(|line| line.trim()).find(|line| !line.is_empty()) {
        None => Ok(None),
        Some("on") => Ok(Some(Unattended::On)),
        Some("off") => Ok(Some(Unattended::Off)),
        Some("paused") => Ok(Some(Unattended::Paused)),
        Some(other) => Err(Unreadable::new("unattended: none of on, off, paused", other).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section, sections};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    #[test]
    fn each_holder_is_told_once() {
        let lines = "812\tlock\tapt-get\n-1\tlock\tnot in sight\n812\trunning\tapt-get\n90\trunning\tunattended-upgr\n";
        let read = read(&[section("locks", lines)], at(0));
        let Domain::Locks(fact) = &read[0] else { panic!("{read:?}") };
        let told: Vec<&str> = known(fact).holders.iter().map(Untrusted::raw).collect();
        assert_eq!(
            told,
            [
                "not in sight (process -1, holds a lock)",
                "unattended-upgr (process 90, runs)",
                "apt-get (process 812, holds a lock)"
            ]
        );
    }

    #[test]
    fn whether_a_host_installs_unattended_is_told_or_not_known() {
        let of = |lines: &str| {
            let mut read = read(&[section("locks", ""), section("unattended", lines)], at(0));
            match read.remove(0) {
                Domain::Locks(Fact::Known(locks)) => Ok(locks.unattended),
                other => Err(other),
            }
        };
        assert_eq!(of("on\n"), Ok(Some(Unattended::On)));
        assert_eq!(of("off"), Ok(Some(Unattended::Off)));
        assert_eq!(of("paused"), Ok(Some(Unattended::Paused)));
        assert_eq!(of(""), Ok(None));
        assert!(of("perhaps").is_err());
        let without = read(&[section("locks", "")], at(0));
        assert_eq!(without, [Domain::Locks(Fact::Known(Locks::default()))], "a recording of before");
    }

    #[test]
    fn what_can_not_be_seen_is_not_free() {
        let answer = "@n begin locks\n|stderr: needs root\n@n end locks 126\n";
        assert_eq!(read(&sections(answer), at(0)), [Domain::Locks(Fact::Unknown("needs root".into()))]);
        for bad in ["1\tlock", "x\tlock\ty", "1\tholds\ty"] {
            let read = read(&[section("locks", bad)], at(0));
            assert!(matches!(&read[0], Domain::Locks(Fact::Unknown(_))), "{bad}");
        }
    }
}
