//! Free space, from df(1).

use std::collections::BTreeMap;

use super::Filesystem;
use super::read::Sections;
use super::section::Unreadable;
use crate::types::Untrusted;

pub(super) fn read(sections: &Sections) -> Result<Vec<Filesystem>, Untrusted> {
    let mut mounts = BTreeMap::new();
    for line in sections.text("storage")?.iter().skip(1) {
        let filesystem =
            filesystem(line).ok_or_else(|| Unreadable::new("storage: not a line of df", line))?;
        mounts.insert(filesystem.mount.clone(), filesystem);
    }
    Ok(mounts.into_values().collect())
}

/// `/dev/vda1 270553174016 20929683456 76643065856 22% /`: device and mount may hold spaces, so the
/// three numbers and the percentage are what is looked for.
fn filesystem(line: &str) -> Option<Filesystem> {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(4).enumerate().skip(1).find_map(|(at, window)| {
        let [size, used, _, percent] = window else { return None };
        let (size, used): (u64, u64) = (size.parse().ok()?, used.parse().ok()?);
        let mount = words.get(at + 4..)?;
        if mount.is_empty() || !(percent.ends_with('%') || *percent == "-") {
            return None;
        }
        // df's "available" leaves out what is reserved for root, and an update runs as root.
        Some(Filesystem { mount: Untrusted::new(mount.join(" ")), free: size.checked_sub(used)?, size })
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    fn storage(lines: &str) -> Fact<Vec<Filesystem>> {
        let mut read = read(&[section("storage", lines)], at(0));
        let Domain::Storage(fact) = read.remove(0) else { panic!("{read:?}") };
        fact
    }

    #[test]
    fn each_mount_is_told_once_with_what_root_may_use() {
        let fact = storage(
            "Filesystem         1-blocks        Used   Available Capacity Mounted on\n\
             /dev/vda       270553174016 18545188864 79027560448      20% /\n\
             /dev/vda       270553174016 18545188864 79027560448      20% /\n\
             //nas/a b      100 40 50 40% /boot/with space\n\
             tmpfs          0 0 0 - /run\n",
        );
        let told: Vec<String> =
            known(&fact).iter().map(|f| format!("{} {} {}", f.mount.raw(), f.free, f.size)).collect();
        assert_eq!(told, ["/ 252007985152 270553174016", "/boot/with space 60 100", "/run 0 0"]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for bad in ["df: /x: No such file", "/dev/vda 10 20 0 0% /", "/dev/vda 1 1 1 1%"] {
            let Fact::Unknown(why) = storage(&format!("head\n{bad}")) else { panic!("{bad}") };
            assert!(why.shown().contains(bad), "{}", why.shown());
        }
    }
}
