//! The system and its release: os-release(5), dpkg's architecture, the host's clock.

use super::System;
use super::read::Sections;
use super::section::{Unreadable, strict};
use crate::types::{Time, Untrusted};

pub(super) fn read(sections: &Sections, cockpit_now: Time) -> Result<System, Untrusted> {
    let lines = sections.text("system")?;
    let value = |key: &str| {
        let line = lines.iter().find(|line| line.split_once(' ').is_some_and(|(word, _)| word == key));
        line.and_then(|line| line.split_once(' '))
            .map(|(_, value)| (value, value))
            .ok_or_else(|| Untrusted::new(format!("system: the host does not say its {key}")))
    };
    let (arch, line) = value("arch")?;
    let arch = strict("an architecture", arch, line)?;
    let (clock, line) = value("clock")?;
    let nanos: i64 = strict("a clock in nanoseconds", clock, line)?;
    let systemd = match value("systemd")?.0 {
        "yes" => true,
        "no" => false,
        other => return Err(Unreadable::new("systemd is neither yes nor no", other).into()),
    };
    let (mut id, mut release) = (Untrusted::from("linux"), Untrusted::default());
    for line in sections.text("os-release")? {
        if let Some(value) = line.strip_prefix("ID=") {
            id = Untrusted::new(unquoted(value));
        } else if let Some(value) = line.strip_prefix("VERSION_ID=") {
            release = Untrusted::new(unquoted(value));
        }
    }
    Ok(System {
        id,
        release,
        arch,
        hostname: Untrusted::new(value("hostname")?.0),
        systemd,
        clock_offset_ms: (nanos / 1_000_000).saturating_sub(cockpit_now.timestamp_millis()),
    })
}

/// os-release(5) quotes as a shell does; of that, only what occurs is undone.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, sections};
    use crate::facts::{Domain, Fact, read};

    const SYSTEM: &str = "@n begin system\n|arch amd64\n|hostname web1\n|systemd yes\n\
        |clock 1763766000250000000\n@n end system 0\n";
    const OS_RELEASE: &str = "@n begin os-release\n|PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n\
        |VERSION_ID=\"12\"\n|ID=debian\n@n end os-release 0\n";

    #[test]
    fn a_system_is_read_with_its_clock_against_ours() {
        let read = read(&sections(&format!("{SYSTEM}{OS_RELEASE}")), at(1_763_766_000));
        let Domain::System(fact) = &read[0] else { panic!("{read:?}") };
        let system = known(fact);
        assert_eq!((system.id.raw(), system.release.raw()), ("debian", "12"));
        assert_eq!((system.arch.as_str(), system.hostname.raw()), ("amd64", "web1"));
        assert!(system.systemd);
        assert_eq!(system.clock_offset_ms, 250);
    }

    #[test]
    fn what_it_does_not_say_is_named() {
        for (without, why) in [
            ("|clock 1763766000250000000\n", "does not say its clock"),
            ("|arch amd64\n", "does not say its arch"),
            (OS_RELEASE, "no section os-release"),
        ] {
            let text = format!("{SYSTEM}{OS_RELEASE}").replace(without, "");
            let read = read(&sections(&text), at(0));
            let Domain::System(Fact::Unknown(said)) = &read[0] else { panic!("{read:?}") };
            assert!(said.shown().contains(why), "{}", said.shown());
        }
        let text = format!("{SYSTEM}{OS_RELEASE}").replace("clock 17637", "clock \u{202e}");
        let read = read(&sections(&text), at(0));
        let Domain::System(Fact::Unknown(said)) = &read[0] else { panic!("{read:?}") };
        assert!(said.raw().contains("\\u{202e}66000"), "{}", said.shown());
    }
}
