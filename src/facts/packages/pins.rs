//! What holdpoint pinned out on a host after rollbacks: a line for each version.

use crate::facts::Pin;
use crate::facts::read::Sections;
use crate::facts::section::{Unreadable, strict};
use crate::types::{Time, Untrusted};

/// A recording from before this was asked has no such section.
pub(super) fn read(sections: &Sections) -> Result<Vec<Pin>, Untrusted> {
    if !sections.has(&["pins"]) {
        return Ok(Vec::new());
    }
    let lines = sections.text("pins")?;
    let pins = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| pin(line));
    Ok(pins.collect::<Result<_, _>>()?)
}

/// `nginx:amd64 1.24.0-3 1795268400 b1 timer`: package, version, since when, batch, on whose account.
///
/// # Errors
/// The line, where it is not of that form.
pub fn pin(line: &str) -> Result<Pin, Unreadable> {
    let words: Vec<&str> = line.split(' ').collect();
    let [package, version, since, batch, by] = words[..] else {
        return Err(Unreadable::new("pins: not package, version, time, batch and account", line));
    };
    let since: i64 = strict("a time", since, line)?;
    Ok(Pin {
        package: strict("a package", package, line)?,
        version: strict("a version", version, line)?,
        since: Time::from_timestamp(since, 0).ok_or_else(|| Unreadable::new("pins: not a time", line))?,
        batch: strict("a batch", batch, line)?,
        by: Untrusted::new(by),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::at;
    use super::*;

    #[test]
    fn a_pin_is_read_whole_or_not_at_all() {
        let read = pin("hpt-tool:amd64 1:2.0-1 1795268400 b1 timer").expect("reads");
        assert_eq!((read.package.to_string(), read.version.as_str()), ("hpt-tool:amd64".into(), "1:2.0-1"));
        assert_eq!((read.since, read.batch.as_str(), read.by.raw()), (at(1_795_268_400), "b1", "timer"));
        for bad in [
            "",
            "hpt-tool:amd64 1 1795268400 b1",
            "hpt-tool:amd64 1 1795268400 b1 ops more",
            "Hpt:amd64 1 1795268400 b1 ops",
            "hpt-tool:amd64 1/2 1795268400 b1 ops",
            "hpt-tool:amd64 1 soon b1 ops",
            "hpt-tool:amd64 1 1795268400 ../b1 ops",
        ] {
            assert!(pin(bad).is_err(), "{bad:?}");
        }
    }
}
