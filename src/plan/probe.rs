//! The short forms of probes, read and written: `ping`, `tcp:443`, `https://host/path`, ...
//!
//! What a probe needs beside its own text (an address, a host to run on) is said in `check`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::error::quoted;
use super::{Limit, ProbeTarget, VantageKind};

/// The forms a probe can have, as messages list them.
pub const FORMS: &str = "ping, tcp:PORT, tls:PORT, tls:PORT:NAME, tls:PORT=NAME, http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH, \
dns:NAME, postgres:DATABASE, exec:WORD WORD...";

/// A text that is no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {right}")]
pub struct ProbeError {
    /// What is wrong, with the text escaped.
    pub what: String,
    /// What would be right.
    pub right: String,
}

impl ProbeError {
    fn new(text: &str, why: &str, right: impl Into<String>) -> Self {
        Self { what: format!("{} is not a probe: {why}", quoted(text)), right: right.into() }
    }
}

impl FromStr for ProbeTarget {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        let no_form = || ProbeError {
            what: format!("{} is not a probe", quoted(text)),
            right: format!("write one of: {FORMS}"),
        };
        if text == "ping" {
            return Ok(Self::Ping);
        }
        let (kind, rest) = text.split_once(':').ok_or_else(no_form)?;
        match kind {
            "tcp" => Ok(Self::Tcp { port: port(text, rest)? }),
            "tls" => {
                let unasked = rest.contains('=');
                let (number, name) = match rest.split_once([':', '=']) {
                    None => (rest, None),
                    Some((number, name)) => (number, Some(name)),
                };
                let port = port(text, number)?;
                Ok(Self::Tls { port, name: name.map(|name| dns_name(text, name)).transpose()?, unasked })
            }
            "http" | "https" => url(text, kind == "https", rest),
            "dns" => Ok(Self::Dns { name: dns_name(text, rest)? }),
            "postgres" => database(text, rest),
            "exec" => words(text, rest),
            _ => Err(no_form()),
        }
    }
}

fn port(text: &str, number: &str) -> Result<u16, ProbeError> {
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|port| digits && *port != 0).ok_or_else(|| {
        ProbeError::new(text, &format!("{} is not a port", quoted(number)), "write a number from 1 to 65535")
    })
}

/// A DNS name of RFC 1035 sizes; `_` is taken as well, since service names have it.
fn is_dns_name(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |l: &str| (1..=63).contains(&l.len()) && !l.starts_with('-') && l.bytes().all(byte);
    labels.len() <= 253 && labels.split('.').all(label)
}

fn dns_name(text: &str, name: &str) -> Result<String, ProbeError> {
    if is_dns_name(name) {
        return Ok(name.to_owned());
    }
    Err(ProbeError::new(
        text,
        &format!("{} is not a DNS name", quoted(name)),
        "write labels of a-z 0-9 - _ with dots between (an international name in its xn-- form)",
    ))
}

fn url(text: &str, tls: bool, rest: &str) -> Result<ProbeTarget, ProbeError> {
    let scheme = if tls { "https" } else { "http" };
    let form = format!("write {scheme}://HOST/PATH or {scheme}://HOST:PORT/PATH");
    let wrong = |why: &str| ProbeError::new(text, why, form.clone());
    let rest = rest.strip_prefix("//").ok_or_else(|| wrong("a URL has two slashes"))?;
    if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains('#') {
        return Err(wrong("a URL has no spaces, no # and only ASCII (write others as %XX)"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(wrong("a URL of a probe names no user"));
    }
    let (host, number) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, behind)) => {
            address.parse::<Ipv6Addr>().map_err(|_| wrong("what is in brackets is not an IPv6 address"))?;
            let number = match behind {
                "" => None,
                _ => Some(behind.strip_prefix(':').ok_or_else(|| wrong("only a port follows the bracket"))?),
            };
            (address, number)
        }
        None if authority.starts_with('[') => return Err(wrong("the bracket is not closed")),
        None => match authority.split_once(':') {
            Some((host, number)) => (host, Some(number)),
            None => (authority, None),
        },
    };
    if !authority.starts_with('[') && !is_dns_name(host) {
        return Err(wrong(&format!("{} is not a host", quoted(host))));
    }
    // 10.0.0.256 and 1.2.3 look like DNS names, and resolvers guess at them.
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(wrong(&format!("{} is not an address", quoted(host))));
    }
    let port = match number {
        Some(number) => port(text, number)?,
        None if tls => 443,
        None => 80,
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(ProbeTarget::Http { tls, host: host.to_owned(), port, path })
}

/// A database name that needs no quoting anywhere, of the length PostgreSQL keeps (63 bytes).
fn database(text: &str, name: &str) -> Result<ProbeTarget, ProbeError> {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let good = (1..=63).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(byte);
    if good {
        return Ok(ProbeTarget::Postgres { database: name.to_owned() });
    }
    Err(ProbeError::new(
        text,
        &format!("{} is not a database's name", quoted(name)),
        "write postgres:DATABASE with 1 to 63 of a-z A-Z 0-9 _ . -",
    ))
}

/// The words of a command. Whatever a shell would have read as more than a word is refused, since
/// there is no shell that would read it.
fn words(text: &str, rest: &str) -> Result<ProbeTarget, ProbeError> {
    let right = "write exec:PROGRAM WORD WORD, or put what needs a shell into a script on the host";
    let argv: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    let Some(program) = argv.first() else {
        return Err(ProbeError::new(text, "there is no command", right));
    };
    if program.starts_with('-') || program.contains('=') {
        return Err(ProbeError::new(text, &format!("{} is not a program", quoted(program)), right));
    }
    let acts = |c: char| "'\"\\`$|;<>".contains(c);
    if let Some(word) = argv.iter().find(|word| word.contains(acts) || matches!(word.as_str(), "&" | "&&")) {
        let why = format!("there is no shell that would read {}", quoted(word));
        return Err(ProbeError::new(text, &why, right));
    }
    Ok(ProbeTarget::Exec { argv })
}

impl fmt::Display for ProbeTarget {
    /// The short form, which [`FromStr`] reads back; a default port and the path `/` of a URL are
    /// written as little as people write them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.write_str("ping"),
            Self::Tcp { port } => write!(f, "tcp:{port}"),
            Self::Tls { port, name: None, .. } => write!(f, "tls:{port}"),
            Self::Tls { port, name: Some(name), unasked } => {
                write!(f, "tls:{port}{}{name}", if *unasked { '=' } else { ':' })
            }
            Self::Http { tls, host, port, path } => {
                f.write_str(if *tls { "https://" } else { "http://" })?;
                if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }?;
                if *port != if *tls { 443 } else { 80 } {
                    write!(f, ":{port}")?;
                }
                f.write_str(path)
            }
            Self::Dns { name } => write!(f, "dns:{name}"),
            Self::Postgres { database } => write!(f, "postgres:{database}"),
            Self::Exec { argv } => write!(f, "exec:{}", argv.join(" ")),
        }
    }
}

impl ProbeTarget {
    /// Whether it is made at the customer's own address, so that the customer has to have one.
    pub fn needs_address(&self) -> bool {
        match self {
            Self::Ping | Self::Tcp { .. } | Self::Tls { .. } | Self::Dns { .. } => true,
            Self::Http { .. } | Self::Postgres { .. } | Self::Exec { .. } => false,
        }
    }

    /// From where it is made unless the plan says otherwise: a database and a command are looked at
    /// on the host itself, all else from outside.
    pub fn usual_vantage(&self) -> VantageKind {
        match self {
            Self::Postgres { .. } | Self::Exec { .. } => VantageKind::Inside,
            Self::Ping | Self::Tcp { .. } | Self::Tls { .. } | Self::Http { .. } | Self::Dns { .. } => {
                VantageKind::Outside
            }
        }
    }
}

impl FromStr for Limit {
    type Err = ();

    /// Reads `3 of 5`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (fails, of) = text.split_once(" of ").ok_or(())?;
        let number = |t: &str| {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            t.parse::<u32>().ok().filter(|n| digits && (1..=Self::MOST).contains(n)).ok_or(())
        };
        let limit = Self { fails: number(fails.trim())?, of: number(of.trim())? };
        if limit.fails <= limit.of { Ok(limit) } else { Err(()) }
    }
}

impl Limit {
    /// The most attempts that are looked back at: more than three minutes at the usual two seconds.
    pub const MOST: u32 = 100;
    /// `3 of 5`, unless the plan says otherwise.
    pub const USUAL: Self = Self { fails: 3, of: 5 };
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.fails, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn http(tls: bool, host: &str, port: u16, path: &str) -> ProbeTarget {
        ProbeTarget::Http { tls, host: host.into(), port, path: path.into() }
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, target, written) in [
            ("ping", ProbeTarget::Ping, "ping"),
            ("tcp:443", ProbeTarget::Tcp { port: 443 }, "tcp:443"),
            ("tls:443", ProbeTarget::Tls { port: 443, name: None, unasked: false }, "tls:443"),
            (
                "tls:8443:www.acme.example",
                ProbeTarget::Tls { port: 8443, name: Some("www.acme.example".into()), unasked: false },
                "tls:8443:www.acme.example",
            ),
            (
                "tls:443=www.acme.example",
                ProbeTarget::Tls { port: 443, name: Some("www.acme.example".into()), unasked: true },
                "tls:443=www.acme.example",
            ),
            ("http://acme.example", http(false, "acme.example", 80, "/"), "http://acme.example/"),
            (
                "https://a.example:8443/x?y=1",
                http(true, "a.example", 8443, "/x?y=1"),
                "https://a.example:8443/x?y=1",
            ),
            ("https://a.example?y", http(true, "a.example", 443, "/?y"), "https://a.example/?y"),
            ("http://192.0.2.1:443/", http(false, "192.0.2.1", 443, "/"), "http://192.0.2.1:443/"),
            ("https://[2001:db8::1]:443/x", http(true, "2001:db8::1", 443, "/x"), "https://[2001:db8::1]/x"),
            (
                "dns:_sip.acme.example.",
                ProbeTarget::Dns { name: "_sip.acme.example.".into() },
                "dns:_sip.acme.example.",
            ),
            ("postgres:acme", ProbeTarget::Postgres { database: "acme".into() }, "postgres:acme"),
            (
                "exec:systemctl  is-active nginx",
                ProbeTarget::Exec { argv: vec!["systemctl".into(), "is-active".into(), "nginx".into()] },
                "exec:systemctl is-active nginx",
            ),
        ] {
            assert_eq!(text.parse(), Ok(target.clone()), "{text}");
            assert_eq!(target.to_string(), written);
            assert_eq!(written.parse(), Ok(target), "{written}");
        }
    }

    #[test]
    fn what_is_no_probe_is_refused_with_what_would_be_right() {
        for (text, part) in [
            ("", "write one of: ping, tcp:PORT"),
            ("Ping", "write one of: ping, tcp:PORT"),
            ("tpc:443", "write one of: ping, tcp:PORT"),
            ("tcp:0", "write a number from 1 to 65535"),
            ("tcp:65536", "write a number from 1 to 65535"),
            ("tcp:+1", "write a number from 1 to 65535"),
            ("tcp:", "write a number from 1 to 65535"),
            ("tls:443:", "is not a DNS name"),
            ("tls:443:-x", "is not a DNS name"),
            ("tls:443=", "is not a DNS name"),
            ("tls:443:a=b", "is not a DNS name"),
            ("tls:443=a:b", "is not a DNS name"),
            ("tls:=a", "write a number from 1 to 65535"),
            ("http:/x", "two slashes"),
            ("http:///x", "is not a host"),
            ("http://a b/", "no spaces"),
            ("http://a/#x", "no #"),
            ("http://me@a/", "names no user"),
            ("http://a:0/", "is not a port"),
            ("http://a:/", "is not a port"),
            ("http://[::1/", "bracket is not closed"),
            ("http://[x]/", "not an IPv6 address"),
            ("http://[::1]x/", "only a port"),
            ("http://10.0.0.256/", "is not an address"),
            ("dns:", "is not a DNS name"),
            ("dns:a..b", "is not a DNS name"),
            ("postgres:a b", "is not a database's name"),
            ("postgres:-c", "is not a database's name"),
            ("exec:", "no command"),
            ("exec: ", "no command"),
            ("exec:-x", "is not a program"),
            ("exec:A=b c", "is not a program"),
            ("exec:a | b", "no shell"),
            ("exec:sh -c 'x y'", "no shell"),
            ("exec:a && b", "no shell"),
            ("exec:a $(b)", "no shell"),
        ] {
            let error = text.parse::<ProbeTarget>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_limit_is_some_of_at_least_as_many() {
        assert_eq!("3 of 5".parse(), Ok(Limit { fails: 3, of: 5 }));
        assert_eq!("1 of 1".parse::<Limit>().map(|l| l.to_string()), Ok("1 of 1".to_owned()));
        for bad in ["", "3", "3/5", "0 of 5", "6 of 5", "3 of 101", "-1 of 5", "+1 of 5", "3of5", "a of b"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_is_written(text in "(ping|(tcp|tls|http|https|dns|postgres|exec):)(//)?[ -~]{0,24}") {
            if let Ok(target) = text.parse::<ProbeTarget>() {
                prop_assert_eq!(target.to_string().parse(), Ok(target));
            }
        }
    }
}
