//! User and password of a database, as PostgreSQL's own programs find them: PGUSER, PGPASSWORD, and the
//! password file (PGPASSFILE, or `~/.pgpass`).
//!
//! A password goes into the login and nowhere else: no message, no journal, no debug output has it. Source:
//! "The Password File" and "Environment Variables" in PostgreSQL's manual, part libpq.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that is longer is none of passwords.
const LONGEST: u64 = 1024 * 1024;

/// Asks for a word of the environment.
pub(super) type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Who logs in. It has no `Debug`, so that nothing prints it by accident.
pub(super) struct Login {
    pub(super) user: String,
    /// `None` where none is known: servers may trust, or know the user by other means.
    pub(super) password: Option<Vec<u8>>,
}

/// What is logged in to.
#[derive(Clone)]
pub(super) struct Place {
    /// The password file has it as it is written.
    pub(super) host: IpAddr,
    pub(super) port: u16,
    pub(super) database: String,
}

impl Login {
    /// Who this process is for that place, or why that can't be told. It reads a file.
    pub(super) fn find(place: &Place, environment: &Environment) -> Result<Self, String> {
        let word = |name: &str| environment(name).filter(|value| !value.is_empty());
        let user = ["PGUSER", "USER", "LOGNAME"].into_iter().find_map(word);
        let user = user.ok_or("no user is known: set PGUSER")?;
        let user = user.into_string().map_err(|_| "the user's name is no text: set PGUSER")?;
        if let Some(password) = word("PGPASSWORD") {
            return Ok(Self { user, password: Some(password.into_encoded_bytes()) });
        }
        let named = word("PGPASSFILE").map(PathBuf::from);
        let usual = || word("HOME").map(|home| Path::new(&home).join(".pgpass"));
        let Some(path) = named.clone().or_else(usual) else {
            return Ok(Self { user, password: None });
        };
        let name = if named.is_some() { "the file of PGPASSFILE" } else { "~/.pgpass" };
        let text = match read(&path) {
            Ok(text) => text,
            // Nobody said that there is one.
            Err(Trouble::Missing) if named.is_none() => return Ok(Self { user, password: None }),
            Err(Trouble::Missing) => return Err(format!("{name} is not there")),
            Err(Trouble::Open) => {
                return Err(format!("{name} can be read by others and is not used: chmod 600"));
            }
            Err(Trouble::Other(why)) => return Err(format!("{name} can't be read: {why}")),
        };
        let password = matching(&text, place, &user);
        Ok(Self { user, password })
    }
}

enum Trouble {
    Missing,
    /// Others may read it, so PostgreSQL's programs do not.
    Open,
    Other(String),
}

fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let other = |error: std::io::Error| Trouble::Other(error.to_string());
    // A pipe would be waited for without an end, so what it is comes first.
    let found = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Trouble::Missing,
        _ => other(error),
    })?;
    if !found.is_file() {
        return Err(Trouble::Other("it is no plain file".into()));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0 {
        return Err(Trouble::Open);
    }
    let mut text = Vec::new();
    std::fs::File::open(path).map_err(other)?.take(LONGEST).read_to_end(&mut text).map_err(other)?;
    Ok(text)
}

/// The password of the first line that is for this: `hostname:port:database:username:password`, where `*` is
/// anything and a backslash takes a colon or a backslash as it is.
fn matching(text: &[u8], place: &Place, user: &str) -> Option<Vec<u8>> {
    let (host, port) = (place.host.to_string(), place.port.to_string());
    let wanted = [&host, &port, &place.database, user];
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        let mut rest = line;
        for wanted in wanted {
            let (field, starred, behind) = field(rest);
            if !starred && field != wanted.as_bytes() {
                return None;
            }
            rest = behind?;
        }
        // In the password a colon ends it as well, unless it is taken as it is.
        Some(field(rest).0)
    })
}

/// The first field of a line, whether it is a bare `*`, and what is behind its colon.
fn field(line: &[u8]) -> (Vec<u8>, bool, Option<&[u8]>) {
    let mut field = Vec::new();
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => field.push(bytes.next().map_or(b'\\', |(_, taken)| *taken)),
            b':' => return (field, &line[..at] == b"*", Some(&line[at + 1..])),
            other => field.push(*other),
        }
    }
    (field, line == b"*", None)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place(host: &str) -> Place {
        Place { host: host.parse().unwrap(), port: 5432, database: "acme".into() }
    }

    fn found(text: &str) -> Option<String> {
        matching(text.as_bytes(), &place("192.0.2.21"), "ops")
            .map(|password| String::from_utf8(password).unwrap())
    }

    #[test]
    fn the_first_line_that_is_for_it_counts() {
        for (text, expected) in [
            ("192.0.2.21:5432:acme:ops:secret", Some("secret")),
            ("*:*:*:*:any", Some("any")),
            (
                "# 192.0.2.21:5432:acme:ops:no\n\nhost:5432:acme:ops:no\n*:*:acme:ops:yes\n*:*:*:*:late\n",
                Some("yes"),
            ),
            ("*:*:*:ops:with\\:colon\\\\ and space \r\n", Some("with:colon\\ and space ")),
            ("*:*:*:ops:ends:here", Some("ends")),
            ("*:*:*:ops:", Some("")),
            ("\\*:*:*:ops:no", None),
            ("*:5433:*:*:no", None),
            ("*:*:globex:*:no", None),
            ("*:*:*:postgres:no", None),
            ("*:*:*:ops", None),
            ("", None),
        ] {
            assert_eq!(found(text).as_deref(), expected, "{text}");
        }
        let line = b"2001\\:db8\\:\\:1:5432:acme:ops:six";
        assert_eq!(matching(line, &place("2001:db8::1"), "ops"), Some(b"six".to_vec()));
    }

    /// The words of an environment, and the login that they make.
    fn find(words: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
        let words: Vec<(String, OsString)> =
            words.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(*value))).collect();
        let environment: Environment = Arc::new(move |name: &str| {
            words.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        });
        let login = Login::find(&place("192.0.2.21"), &environment)?;
        Ok((login.user, login.password.map(|password| String::from_utf8(password).unwrap())))
    }

    #[test]
    fn words_go_before_files_and_files_that_others_can_read_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let said = |words: &[(&str, &str)]| find(words).err().unwrap();
        assert_eq!(find(&[("USER", "me"), ("HOME", home)]), Ok(("me".into(), None)));
        assert_eq!(said(&[("HOME", home)]), "no user is known: set PGUSER");
        let file = folder.path().join(".pgpass");
        std::fs::write(&file, "*:*:*:*:kept").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let at_home = [("PGUSER", "ops"), ("HOME", home)];
        assert_eq!(said(&at_home), "~/.pgpass can be read by others and is not used: chmod 600");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find(&at_home), Ok(("ops".into(), Some("kept".into()))));
        let word = [("PGUSER", "ops"), ("HOME", home), ("PGPASSWORD", "word")];
        assert_eq!(find(&word), Ok(("ops".into(), Some("word".into()))));
        let missing = [("PGUSER", "ops"), ("HOME", home), ("PGPASSFILE", "/nowhere/at/all")];
        assert_eq!(said(&missing), "the file of PGPASSFILE is not there");
        let folder = [("PGUSER", "ops"), ("PGPASSFILE", home)];
        assert_eq!(said(&folder), "the file of PGPASSFILE can't be read: it is no plain file");
    }
}
