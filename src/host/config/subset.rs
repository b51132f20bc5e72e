//! A named subset of ssh_config(5), for machines without an OpenSSH client. First value wins, as
//! there. A directive that matters and is not in the subset is an error with its file and line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::known_hosts::wildcard;
use super::{HostError, Place, Raw, arguments};

/// As deep as OpenSSH goes.
const DEEPEST_INCLUDE: usize = 16;

/// Directives that change neither where nor how we connect, nor whom we trust more than we do.
/// Forwarding, multiplexing and terminals are not used here; keys are checked more strictly.
const HARMLESS: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "hashknownhosts",
    "hostbasedauthentication",
    "ignoreunknown",
    "ipqos",
    "kbdinteractiveauthentication",
    "challengeresponseauthentication",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "passwordauthentication",
    "permitlocalcommand",
    "permitremoteopen",
    "preferredauthentications",
    "pubkeyauthentication",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "stricthostkeychecking",
    "syslogfacility",
    "tcpkeepalive",
    "tunnel",
    "tunneldevice",
    "updatehostkeys",
    "verifyhostkeydns",
    "visualhostkey",
    "xauthlocation",
];

/// Reads `config`, or the user's and the system's files, for a place.
pub(super) fn read(place: &Place, config: Option<&Path>, home: Option<&Path>) -> Result<Raw, HostError> {
    let mut reader = Reader {
        place,
        home,
        raw: Raw { origin: format!("ssh configuration for {}", place.host), ..Raw::default() },
    };
    match config {
        // A file that was asked for has to be there.
        Some(file) => reader.file(file, true, &mut true, 0)?,
        None => {
            if let Some(home) = home {
                reader.file(&home.join(".ssh/config"), false, &mut true, 0)?;
            }
            reader.file(Path::new("/etc/ssh/ssh_config"), false, &mut true, 0)?;
        }
    }
    Ok(reader.raw)
}

struct Reader<'a> {
    place: &'a Place,
    home: Option<&'a Path>,
    raw: Raw,
}

fn first<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

impl Reader<'_> {
    /// Reads one file; `active` says whether what stands outside a Host block of its own applies.
    fn file(&mut self, file: &Path, needed: bool, active: &mut bool, depth: usize) -> Result<(), HostError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            // A pattern may match a folder: OpenSSH finds no line in it.
            Err(e) if !needed && matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {
                return Ok(());
            }
            Err(e) => {
                return Err(HostError::Config {
                    place: file.display().to_string(),
                    what: format!("can't be read: {e}"),
                });
            }
        };
        for (index, line) in text.lines().enumerate() {
            let place = || format!("{}:{}", file.display(), index + 1);
            let wrong = |what: String| HostError::Config { place: place(), what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
            let (keyword, rest) = line.split_at(end);
            let rest = rest.trim_start();
            let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
            let values = arguments(rest).ok_or_else(|| wrong("a quote is not closed".to_owned()))?;
            let keyword = keyword.to_ascii_lowercase();
            if values.is_empty() {
                return Err(wrong(format!("{keyword} without a value")));
            }
            match keyword.as_str() {
                "host" => *active = self.meant(&values),
                "match" if values.len() == 1 && values[0].eq_ignore_ascii_case("all") => *active = true,
                "include" => {
                    for pattern in &values {
                        for included in self.included(pattern, file).map_err(&wrong)? {
                            if depth == DEEPEST_INCLUDE {
                                return Err(wrong(format!("more than {DEEPEST_INCLUDE} files deep")));
                            }
                            // A Host line in the included file ends with that file.
                            let mut inner = *active;
                            if *active {
                                self.file(&included, false, &mut inner, depth + 1)?;
                            }
                        }
                    }
                }
                _ if !*active && keyword != "match" => {}
                _ => self.directive(&keyword, values, rest).map_err(wrong)?,
            }
        }
        Ok(())
    }

    fn directive(&mut self, keyword: &str, values: Vec<String>, rest: &str) -> Result<(), String> {
        let raw = &mut self.raw;
        let one = values[0].clone();
        match keyword {
            "hostname" => first(&mut raw.host_name, one),
            "user" => first(&mut raw.user, one),
            "port" => first(&mut raw.port, one.parse().map_err(|_| format!("Port {one:?} is no port"))?),
            "identityfile" => raw.identity_files.push(one),
            "identitiesonly" => first(&mut raw.identities_only, one.eq_ignore_ascii_case("yes")),
            "identityagent" => first(&mut raw.identity_agent, one),
            "certificatefile" => raw.certificate_files.push(one),
            "userknownhostsfile" => first(&mut raw.user_known_hosts, values),
            "globalknownhostsfile" => first(&mut raw.global_known_hosts, values),
            "hostkeyalias" => first(&mut raw.host_key_alias, one),
            // Whichever of the two comes first keeps the other out (ssh_config(5), ProxyJump).
            "proxyjump" if raw.proxy_command.is_none() => first(&mut raw.proxy_jump, one),
            "proxycommand" if raw.proxy_jump.is_none() => first(&mut raw.proxy_command, rest.to_owned()),
            "proxyjump" | "proxycommand" => {}
            "connecttimeout" => first(&mut raw.connect_timeout, one),
            _ if HARMLESS.contains(&keyword) => {}
            _ => {
                return Err(format!(
                    "{keyword} is not understood here and may matter: install the OpenSSH client, which is then asked \
                     instead, or name a simpler configuration"
                ));
            }
        }
        Ok(())
    }

    /// Whether a Host line means the place. A negated pattern that matches outweighs the others.
    fn meant(&self, patterns: &[String]) -> bool {
        let matches = |pattern: &str| wildcard(pattern.as_bytes(), self.place.host.as_bytes());
        let mut meant = false;
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(pattern) if matches(pattern) => return false,
                Some(_) => {}
                None => meant |= matches(pattern),
            }
        }
        meant
    }

    /// The files that an Include means, in order. Wildcards are understood in the last part.
    fn included(&self, pattern: &str, from: &Path) -> Result<Vec<PathBuf>, String> {
        let path = match (pattern.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => {
                return Err("Include ~/ needs a home folder, and there is none here".to_owned());
            }
            (None, _) => {
                let folder = match self.home {
                    Some(home) if !from.starts_with("/etc/ssh") => home.join(".ssh"),
                    _ => PathBuf::from("/etc/ssh"),
                };
                folder.join(pattern)
            }
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
            return Err(format!("Include {pattern:?} names no file"));
        };
        if folder.to_string_lossy().contains(['*', '?', '[']) || name.contains('[') {
            return Err(format!(
                "Include {pattern:?}: * and ? are understood in the last part of the path alone"
            ));
        }
        if !name.contains(['*', '?']) {
            return Ok(vec![path]);
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
        let fits = |n: &str| wildcard(name.as_bytes(), n.as_bytes()) && !n.starts_with('.');
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(fits))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_text(text: &str, host: &str) -> Result<Raw, HostError> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(".ssh")).expect("made");
        std::fs::write(folder.path().join(".ssh/extra.conf"), "Host web*\n  User from-extra\n")
            .expect("written");
        let file = folder.path().join("config");
        std::fs::write(&file, text).expect("written");
        read(&Place::parse(host).expect(host), Some(&file), Some(folder.path()))
    }

    #[test]
    fn the_first_value_wins_and_blocks_are_matched() {
        let text = "# c\nHost !web9 web*\n  HostName=192.0.2.7\n\tPort 2222\n  IdentityFile \"~/.ssh/my key\"\n  IdentityFile b\n\
                    Host *\n  Port 22\n  User ops\n  ProxyJump a,b\n  ProxyCommand nc %h %p\n  IdentitiesOnly yes\n";
        let raw = read_text(text, "web1").expect("reads");
        assert_eq!(
            (raw.host_name.as_deref(), raw.port, raw.user.as_deref()),
            (Some("192.0.2.7"), Some(2222), Some("ops"))
        );
        assert_eq!(raw.identity_files, ["~/.ssh/my key", "b"]);
        assert_eq!((raw.proxy_jump.as_deref(), raw.proxy_command), (Some("a,b"), None));
        assert_eq!(raw.identities_only, Some(true));
        assert_eq!(read_text(text, "web9").expect("reads").port, Some(22));
    }

    #[test]
    fn included_files_are_read_where_they_apply() {
        assert_eq!(read_text("Include *.conf\n", "web1").expect("reads").user.as_deref(), Some("from-extra"));
        assert_eq!(
            read_text("Include extra.conf\nUser x\n", "db1").expect("reads").user.as_deref(),
            Some("x")
        );
        assert_eq!(read_text("Host db1\nInclude *.conf\n", "web1").expect("reads").user, None);
    }

    #[test]
    fn what_matters_and_is_not_understood_is_named_with_its_line() {
        for text in [
            "\nMatch exec true\n",
            "\nRevokedHostKeys /x\n",
            "\nNoSuchThing yes\n",
            "\nHostName\n",
            "\nUser \"a\n",
        ] {
            let error = read_text(text, "web1").expect_err("refused");
            assert!(error.to_string().contains("config:2: "), "{error}");
        }
        // Not in a block that isn't meant, nor when it changes nothing here.
        assert!(
            read_text("Host other\nBindAddress ::1\nHost *\nForwardAgent yes\nMatch all\nUser x\n", "web1")
                .is_ok()
        );
        // A Match may apply to any host: it can't be passed over.
        assert!(read_text("Host other\nMatch user x\n", "web1").is_err());
    }

    #[test]
    fn an_include_that_matches_a_folder_finds_nothing_in_it() {
        assert!(read_text("Include /bi*\n", "web1").is_ok());
    }

    #[test]
    fn a_file_that_was_asked_for_has_to_be_there() {
        let missing = Path::new("/nonexistent/config");
        assert!(read(&Place::parse("h").expect("h"), Some(missing), None).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "((Host|Match|User|Port|Include|ProxyJump|x)[ =\"]{0,2}[a-z0-9*?!~/%\"]{0,12}\n){0,6}"
        ) {
            if let Err(error) = read_text(&text, "web1") {
                // An Include of all there is finds files of this machine that are no text.
                let named = ["config:", "can't be read"].iter().any(|words| error.to_string().contains(words));
                prop_assert!(named, "{}", error);
            }
        }
    }
}
