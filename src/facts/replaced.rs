//! Processes that run files which are not on the disk any more.

use super::Replaced;
use super::read::Sections;
use super::section::{Unreadable, strict};
use crate::types::{UnitName, Untrusted};

pub(super) fn read(sections: &Sections) -> Result<Vec<Replaced>, Untrusted> {
    let mut replaced = Vec::new();
    for line in sections.text("replaced")? {
        let mut fields = line.splitn(4, '\t');
        let (Some(pid), Some(cgroup), Some(program)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Unreadable::new("replaced: not a process, its cgroup and its name", &line).into());
        };
        replaced.push(Replaced {
            pid: strict("a process id", pid, &line)?,
            program: Untrusted::new(program),
            unit: unit(cgroup),
            path: fields.next().map(Untrusted::new),
        });
    }
    replaced.sort();
    replaced.dedup();
    Ok(replaced)
}

/// The unit that the system's systemd restarts: the outermost service or scope of the path, so that a
/// process of a user's own manager belongs to `user@1000.service`.
fn unit(cgroup: &str) -> Option<UnitName> {
    let outermost = cgroup.split('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"));
    outermost.and_then(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section, sections};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    #[test]
    fn a_process_is_read_with_its_unit() {
        let lines = "812\t/system.slice/ssh.service\tsshd\n\
            90\t/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\ta\x1b]0;b\n\
            7\t\tsh\n\
            9\t/user.slice/user-0.slice/session-3.scope\tname\t/usr/lib/a\tb.so\n";
        let read = read(&[section("replaced", lines)], at(0));
        let Domain::Replaced(fact) = &read[0] else { panic!("{read:?}") };
        let told: Vec<String> = known(fact)
            .iter()
            .map(|r| {
                let unit = r.unit.as_ref().map_or("-", UnitName::as_str);
                let path = r.path.as_ref().map_or_else(String::new, |path| format!(" {}", path.shown()));
                format!("{} {} {unit}{path}", r.pid, r.program.shown())
            })
            .collect();
        assert_eq!(
            told,
            [
                "7 sh -",
                "9 name session-3.scope /usr/lib/a\\tb.so",
                "90 a\\e]0;b user@1000.service",
                "812 sshd ssh.service"
            ]
        );
    }

    #[test]
    fn only_root_can_tell() {
        let answer = "@n begin replaced\n|stderr: needs root\n@n end replaced 126\n";
        assert_eq!(read(&sections(answer), at(0)), [Domain::Replaced(Fact::Unknown("needs root".into()))]);
        let read = read(&[section("replaced", "1\tx")], at(0));
        assert!(matches!(&read[0], Domain::Replaced(Fact::Unknown(_))));
    }
}
