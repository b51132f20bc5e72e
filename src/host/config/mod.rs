//! The effective ssh configuration of a destination: what OpenSSH would use. Where its client is
//! installed it is asked (`ssh -G`); otherwise a named subset of ssh_config(5) is read here, and a
//! directive that matters and isn't understood is an error that names it. Must never take a
//! destination for an option, and never connect.

mod openssh;
mod subset;

use std::path::{Path, PathBuf};

use super::HostError;
use super::ssh::Settings;
use crate::types::Span;

/// Everything a connection needs to know about a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The destination's host part as it was written, before `HostName`.
    pub written: String,
    /// The host to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// Key files, in the order in which they are offered; the defaults may not exist.
    pub identity_files: Vec<PathBuf>,
    /// Whether an agent's keys are offered only if they are among the key files.
    pub identities_only: bool,
    /// Which agent is asked.
    pub agent: Agent,
    /// Certificates for the keys.
    pub certificate_files: Vec<PathBuf>,
    /// Files of known host keys; those that don't exist are empty.
    pub known_hosts: Vec<PathBuf>,
    /// The name under which the host's key is looked up.
    pub host_key_alias: Option<String>,
    /// The way there.
    pub proxy: Proxy,
    /// How long a connection may take, if it says so.
    pub connect_timeout: Option<Span>,
}

/// Which agent is asked for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// The one named by `SSH_AUTH_SOCK`, if any.
    Environment,
    /// None (`IdentityAgent none`).
    Nobody,
    /// The one behind this socket.
    Socket(PathBuf),
}

/// The way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// TCP from here.
    Direct,
    /// Through these hosts, in order, each a destination of its own.
    Jump(Vec<String>),
    /// Through the standard input and output of this command line, tokens resolved.
    Command(String),
}

/// A destination as a plan or a `ProxyJump` writes it: `[user@]host[:port]`, an alias, or an
/// `ssh://` address; an IPv6 address with a port stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account, if it is written.
    pub user: Option<String>,
    /// The host or alias.
    pub host: String,
    /// The port, if it is written.
    pub port: Option<u16>,
}

impl Place {
    /// Reads a destination.
    ///
    /// # Errors
    /// [`HostError::Config`] for anything that could be an option or mean something to a shell, as
    /// it may end up in a `ProxyCommand`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let bad = |what: &str| HostError::Config {
            place: format!("destination {:?}", text.chars().take(120).collect::<String>()),
            what: what.to_owned(),
        };
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, tail) = inner.split_once(']').ok_or_else(|| bad("a bracket is not closed"))?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').unwrap_or("")) })
        } else {
            match rest.split_once(':') {
                // More than one colon without brackets is an IPv6 address.
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            }
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(bad("the port is not a number from 1 to 65535")),
        };
        let place = Self { user, host: host.to_owned(), port };
        if !host_fits(&place.host) {
            return Err(bad("a host is 1 to 255 of A-Z a-z 0-9 . _ : % + -, not beginning with -"));
        }
        if place.user.as_deref().is_some_and(|user| !user_fits(user)) {
            return Err(bad("a user is 1 to 64 of A-Z a-z 0-9 . _ @ + -, not beginning with -"));
        }
        Ok(place)
    }
}

/// A host, alias or address that is no option and holds nothing that a shell would act on.
fn host_fits(host: &str) -> bool {
    (1..=255).contains(&host.len())
        && !host.starts_with('-')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:%+-".contains(&b))
}

fn user_fits(user: &str) -> bool {
    (1..=64).contains(&user.len())
        && !user.starts_with('-')
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b))
}

/// The effective configuration of a destination.
///
/// # Errors
/// [`HostError::Config`] with what OpenSSH says, or with the file and line of a directive that
/// matters and is not understood.
pub async fn effective(destination: &str, settings: &Settings) -> Result<Effective, HostError> {
    let place = Place::parse(destination)?;
    let raw = match &settings.openssh {
        Some(program) => openssh::ask(program, &place, settings.ssh_config.as_deref()).await?,
        None => subset::read(&place, settings.ssh_config.as_deref(), settings.home.as_deref())?,
    };
    raw.resolve(place, settings)
}

/// Values as they stand in a configuration, before tokens, `~` and defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Raw {
    /// Where the values come from, for messages.
    origin: String,
    host_name: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    identity_files: Vec<String>,
    identities_only: Option<bool>,
    identity_agent: Option<String>,
    certificate_files: Vec<String>,
    user_known_hosts: Option<Vec<String>>,
    global_known_hosts: Option<Vec<String>>,
    host_key_alias: Option<String>,
    proxy_jump: Option<String>,
    proxy_command: Option<String>,
    connect_timeout: Option<String>,
}

/// What tokens stand for (ssh_config(5), "TOKENS").
struct Tokens<'a> {
    written: &'a str,
    host: &'a str,
    port: u16,
    user: &'a str,
    local_user: Option<&'a str>,
    home: Option<&'a Path>,
    alias: &'a str,
}

impl Tokens<'_> {
    /// Replaces `%h`, `%n`, `%p`, `%r`, `%u`, `%d`, `%k` and `%%`; any other token is an error.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.written),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('k') => out.push_str(self.alias),
                Some('u') => out.push_str(self.local_user.ok_or("%u is used, and USER is not set here")?),
                Some('d') => match self.home {
                    Some(home) => out.push_str(&home.display().to_string()),
                    None => return Err("%d is used, and there is no home folder here".to_owned()),
                },
                Some(other) => {
                    return Err(format!(
                        "the token %{} in {text:?} is not supported (there are %h %n %p %r %u %d %k %%)",
                        other.escape_debug()
                    ));
                }
                None => return Err(format!("{text:?} ends in the middle of a token")),
            }
        }
        Ok(out)
    }

    /// A file name: tokens, and `~` for the home folder.
    fn file(&self, text: &str) -> Result<PathBuf, String> {
        let text = self.expand(text)?;
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => Err(format!("{text:?} needs a home folder, and there is none here")),
            (None, _) if text.starts_with('~') => {
                Err(format!("{text:?}: only ~/ is supported, not another user's folder"))
            }
            (None, _) => Ok(PathBuf::from(text)),
        }
    }

    fn files(&self, texts: &[String]) -> Result<Vec<PathBuf>, String> {
        texts.iter().filter(|text| !text.eq_ignore_ascii_case("none")).map(|text| self.file(text)).collect()
    }
}

/// The key files that OpenSSH tries when none is named, without those of security keys, which work
/// through an agent only.
const DEFAULT_IDENTITIES: [&str; 3] = ["~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"];
const DEFAULT_USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const DEFAULT_GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

impl Raw {
    fn resolve(self, place: Place, settings: &Settings) -> Result<Effective, HostError> {
        let origin = self.origin.clone();
        self.resolved(place, settings).map_err(|what| HostError::Config { place: origin, what })
    }

    fn resolved(self, place: Place, settings: &Settings) -> Result<Effective, String> {
        let home = settings.home.as_deref();
        let local_user = settings.local_user.as_deref();
        let port = place.port.or(self.port).unwrap_or(22);
        let user = match place.user.clone().or(self.user) {
            Some(user) => user,
            None => local_user.ok_or("no User for it, and USER is not set here")?.to_owned(),
        };
        if !user_fits(&user) {
            return Err(format!("User {user:?} has a character that no account has"));
        }
        let mut tokens = Tokens {
            written: &place.host,
            host: &place.host,
            port,
            user: &user,
            local_user,
            home,
            alias: self.host_key_alias.as_deref().unwrap_or(&place.host),
        };
        let host = match &self.host_name {
            Some(name) => tokens.expand(name)?,
            None => place.host.clone(),
        };
        if !host_fits(&host) {
            return Err(format!("HostName {host:?} has a character that no host has"));
        }
        tokens.host = &host;
        if self.host_key_alias.is_none() {
            tokens.alias = &host;
        }

        let none = |text: &&String| text.eq_ignore_ascii_case("none");
        let or_default = |named: Option<Vec<String>>, default: [&str; 2]| match named {
            Some(named) => named,
            // Without a home folder the files in it aren't there either.
            None => default
                .iter()
                .filter(|f| home.is_some() || !f.starts_with('~'))
                .map(|f| (*f).to_owned())
                .collect(),
        };
        let known_hosts = match &settings.known_hosts {
            Some(files) => files.clone(),
            None => {
                let mut files = tokens.files(&or_default(self.user_known_hosts, DEFAULT_USER_KNOWN_HOSTS))?;
                files.extend(tokens.files(&or_default(self.global_known_hosts, DEFAULT_GLOBAL_KNOWN_HOSTS))?);
                files
            }
        };
        let mut identity_files = settings.identities.clone();
        if self.identity_files.is_empty() {
            let defaults = DEFAULT_IDENTITIES.iter().filter(|_| home.is_some());
            identity_files.extend(tokens.files(&defaults.map(|f| (*f).to_owned()).collect::<Vec<_>>())?);
        } else {
            identity_files.extend(tokens.files(&self.identity_files)?);
        }
        let agent = match self.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => Agent::Environment,
            Some(text) if text.eq_ignore_ascii_case("none") => Agent::Nobody,
            Some(text) if text.starts_with('$') => {
                let name = text.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}');
                std::env::var_os(name).map_or(Agent::Nobody, |socket| Agent::Socket(socket.into()))
            }
            Some(text) => Agent::Socket(tokens.file(text)?),
        };
        let proxy = match (
            self.proxy_jump.as_ref().filter(|t| !none(t)),
            self.proxy_command.as_ref().filter(|t| !none(t)),
        ) {
            (Some(hops), _) => {
                let hops: Vec<String> = hops.split(',').map(|hop| hop.trim().to_owned()).collect();
                for hop in &hops {
                    Place::parse(hop).map_err(|e| format!("ProxyJump: {e}"))?;
                }
                Proxy::Jump(hops)
            }
            (None, Some(command)) => Proxy::Command(tokens.expand(command)?),
            (None, None) => Proxy::Direct,
        };
        let connect_timeout = match self.connect_timeout.as_deref() {
            None | Some("none") => None,
            Some(text) => Some(match text.parse::<u64>() {
                Ok(secs) => Span::secs(secs),
                Err(_) => text.parse().map_err(|e| format!("ConnectTimeout: {e}"))?,
            }),
        };
        Ok(Effective {
            identity_files,
            identities_only: self.identities_only.unwrap_or(false),
            agent,
            certificate_files: tokens.files(&self.certificate_files)?,
            known_hosts,
            proxy,
            connect_timeout,
            port,
            host_key_alias: self.host_key_alias,
            written: place.host.clone(),
            host,
            user,
        })
    }
}

/// Parts of a value: separated by blanks, with double quotes around what holds one.
fn arguments(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => found.extend(current.take()),
            c => current.get_or_insert_default().push(c),
        }
    }
    found.extend(current);
    (!quoted).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn destinations() {
        for (text, user, host, port) in [
            ("web1", None, "web1", None),
            ("ops@192.0.2.10", Some("ops"), "192.0.2.10", None),
            ("ops@web1:2222", Some("ops"), "web1", Some(2222)),
            ("2001:db8::1", None, "2001:db8::1", None),
            ("a@[2001:db8::1]:22", Some("a"), "2001:db8::1", Some(22)),
            ("a@b@c", Some("a@b"), "c", None),
            ("ssh://a@b:3", Some("a"), "b", Some(3)),
            ("fe80::1%eth0", None, "fe80::1%eth0", None),
        ] {
            let place = Place::parse(text).expect(text);
            assert_eq!(
                (place.user.as_deref(), place.host.as_str(), place.port),
                (user, host, port),
                "{text}"
            );
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "a@-x",
            "-l@host",
            "a b",
            "a;b",
            "$(x)",
            "h:0",
            "h:99999",
            "h:x",
            "[::1",
            "@h",
            "h/x",
            "é",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn settings() -> Settings {
        Settings {
            home: Some("/home/u".into()),
            local_user: Some("me".into()),
            openssh: None,
            ..Settings::default()
        }
    }

    fn place(text: &str) -> Place {
        Place::parse(text).expect(text)
    }

    #[test]
    fn tokens_and_tildes_are_resolved() {
        let raw = Raw {
            host_name: Some("%h.example.org".into()),
            identity_files: vec!["~/.ssh/%r_%h".into(), "%d/%u".into(), "none".into()],
            proxy_command: Some("nc -X %n %h %p 100%%".into()),
            identity_agent: Some("~/agent".into()),
            connect_timeout: Some("7".into()),
            user_known_hosts: Some(vec!["none".into()]),
            ..Raw::default()
        };
        let found = raw.resolve(place("ops@web1:2222"), &settings()).expect("resolves");
        assert_eq!((found.host.as_str(), found.port, found.user.as_str()), ("web1.example.org", 2222, "ops"));
        assert_eq!(
            found.identity_files,
            [PathBuf::from("/home/u/.ssh/ops_web1.example.org"), PathBuf::from("/home/u/me")]
        );
        assert_eq!(found.proxy, Proxy::Command("nc -X web1 web1.example.org 2222 100%".into()));
        assert_eq!(found.agent, Agent::Socket("/home/u/agent".into()));
        assert_eq!(found.connect_timeout, Some(Span::secs(7)));
        assert_eq!(found.known_hosts, DEFAULT_GLOBAL_KNOWN_HOSTS.map(PathBuf::from));
    }

    #[test]
    fn defaults_are_opensshs() {
        let found = Raw::default().resolve(place("web1"), &settings()).expect("resolves");
        assert_eq!((found.port, found.user.as_str()), (22, "me"));
        assert_eq!(found.known_hosts[0], PathBuf::from("/home/u/.ssh/known_hosts"));
        assert_eq!(found.known_hosts.len(), 4);
        assert_eq!(found.identity_files.len(), 3);
        assert_eq!(found.agent, Agent::Environment);
    }

    #[test]
    fn what_cannot_be_resolved_is_said() {
        for raw in [
            Raw { proxy_command: Some("nc %C".into()), ..Raw::default() },
            Raw { host_name: Some("a;b".into()), ..Raw::default() },
            Raw { user: Some("a`b".into()), ..Raw::default() },
            Raw { proxy_jump: Some("-oProxyCommand=x".into()), ..Raw::default() },
            Raw { connect_timeout: Some("soon".into()), ..Raw::default() },
            Raw { identity_files: vec!["~other/key".into()], ..Raw::default() },
        ] {
            let error = raw.clone().resolve(place("web1"), &settings()).expect_err("refused");
            assert!(matches!(error, HostError::Config { .. }), "{raw:?}: {error}");
        }
    }

    #[test]
    fn quotes_hold_blanks() {
        assert_eq!(arguments("a  \"b c\" d\"e\"").expect("closed"), ["a", "b c", "de"]);
        assert_eq!(arguments(""), Some(vec![]));
        assert_eq!(arguments("\"a"), None);
    }

    proptest! {
        #[test]
        fn no_destination_is_an_option_or_shell(text in any::<String>()) {
            if let Ok(place) = Place::parse(&text) {
                for part in [Some(&place.host), place.user.as_ref()].into_iter().flatten() {
                    prop_assert!(!part.starts_with('-'));
                    prop_assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:%@+-".contains(&b)));
                }
            }
        }
    }
}
