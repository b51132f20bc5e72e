//! Units that failed, from systemctl(1).

use super::Services;
use super::read::Sections;
use super::section::strict;
use crate::types::Untrusted;

pub(super) fn read(sections: &Sections) -> Result<Services, Untrusted> {
    let mut failed = Vec::new();
    for line in sections.text("services")? {
        // Older ones put a dot before the name in spite of --plain.
        let unit = line.split_whitespace().find(|word| !["*", "\u{25cf}"].contains(word));
        if let Some(unit) = unit {
            failed.push(strict("a unit", unit, &line)?);
        }
    }
    failed.sort();
    failed.dedup();
    Ok(Services { failed })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section, sections};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    fn services(read: Vec<Domain>) -> Fact<Services> {
        let Some(Domain::Services(fact)) = read.into_iter().next() else { panic!("no services") };
        fact
    }

    #[test]
    fn failed_units_are_read() {
        let lines = "nginx.service                 loaded failed failed A high performance web server\n\
            \u{25cf} mnt-data\\x2dold.mount loaded failed failed /mnt/data-old\n\n";
        let fact = services(read(&[section("services", lines)], at(0)));
        let failed: Vec<&str> = known(&fact).failed.iter().map(|unit| unit.as_str()).collect();
        assert_eq!(failed, ["mnt-data\\x2dold.mount", "nginx.service"]);
        assert!(known(&services(read(&[section("services", "")], at(0)))).failed.is_empty());
    }

    #[test]
    fn without_systemd_nothing_is_known() {
        let answer = "@n begin services\n|stderr: systemd is not process 1\n@n end services 127\n";
        assert_eq!(
            services(read(&sections(answer), at(0))),
            Fact::Unknown("systemd is not process 1".into())
        );
        let fact = services(read(&[section("services", "a;b.service loaded failed")], at(0)));
        assert!(matches!(fact, Fact::Unknown(why) if why.shown().contains("a;b.service")));
    }
}
