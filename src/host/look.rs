//! Probes that a host makes: what it is asked, one word each, and what it says of them.
//!
//! Pure. What a host says is bounded and untrusted; what it is asked is what a plan can say and no more.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use russh::keys::ssh_encoding::base64::{Base64, Base64Unpadded, Encoding};

use crate::core::event::{FailKind, Phases, ProbeOutcome};
use crate::facts::Section;
use crate::host::outcome::{OutcomeError, text_lines};
use crate::plan::ProbeTarget;
use crate::types::{Span, Untrusted};

/// Attempts in one question, at most; the helper takes as many words.
pub const MOST: usize = 48;
/// The longest word, in bytes, as the helper has it.
const LONGEST_WORD: usize = 512;
/// The longest timeout of one attempt: the helper takes no longer one.
pub const LONGEST: Span = Span::secs(60);
/// Attempts that a host makes at a time (`$at_once` of the helper).
const AT_ONCE: u64 = 24;
/// The largest certificate, in base64.
const CERTIFICATE: usize = 32 * 1024;

/// One attempt that a host is asked to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    target: ProbeTarget,
    address: Option<IpAddr>,
    timeout: Span,
    word: String,
}

/// A probe that no host can be asked to make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// It has no address, and needs one.
    #[error("the customer has no address in the plan")]
    NoAddress,
    /// It says what no plan can say.
    #[error("it can't be asked of a host")]
    Unsound,
    /// Too many words, or too long ones.
    #[error("it is too long to be asked of a host")]
    TooLong,
}

impl Look {
    /// A look at that target, at the customer's address where they have one.
    ///
    /// # Errors
    /// Why no host can be asked for it.
    pub fn new(target: &ProbeTarget, address: Option<IpAddr>, timeout: Span) -> Result<Self, LookError> {
        // A plan read from a journal may say anything: what was written down has to read as itself.
        if target.to_string().parse().as_ref() != Ok(target) {
            return Err(LookError::Unsound);
        }
        if address.is_none() && target.needs_address() {
            return Err(LookError::NoAddress);
        }
        let timeout = Span::ms(timeout.as_ms().clamp(1, LONGEST.as_ms()));
        let at = address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        let ms = timeout.as_ms();
        let word = match target {
            ProbeTarget::Ping => format!("ping+{ms}+{at}"),
            ProbeTarget::Tcp { port } => format!("tcp+{ms}+{at}+{port}"),
            ProbeTarget::Tls { port, name, unasked } => {
                let unasked = if *unasked { "=" } else { "" };
                format!("tls+{ms}+{at}+{port}+{unasked}{}", name.as_deref().unwrap_or("-"))
            }
            ProbeTarget::Http { tls, host, port, path } => {
                let kind = if *tls { "https" } else { "http" };
                format!("{kind}+{ms}+{at}+{port}+{host}+{}", coded(path))
            }
            ProbeTarget::Dns { name } => format!("dns+{ms}+{at}+{name}"),
            ProbeTarget::Postgres { database } => format!("postgres+{ms}+{at}+{database}"),
            ProbeTarget::Exec { argv } => {
                let words: Vec<String> = argv.iter().map(|word| coded(word)).collect();
                format!("exec+{ms}+{}", words.join("+"))
            }
        };
        if word.len() > LONGEST_WORD {
            return Err(LookError::TooLong);
        }
        // The address is no part of it.
        let address = address.filter(|_| !matches!(target, ProbeTarget::Exec { .. }));
        Ok(Self { target: target.clone(), address, timeout, word })
    }

    /// What is looked at.
    pub fn target(&self) -> &ProbeTarget {
        &self.target
    }

    /// At which address; `None`: where its name leads, or on the host itself.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// How long it may take.
    pub fn timeout(&self) -> Span {
        self.timeout
    }

    /// How long a question of these may take on the host: none of them is begun later than twice the
    /// slowest one's time.
    pub fn all_within(looks: &[Self]) -> Span {
        let slowest = looks.iter().map(|look| look.timeout.as_ms()).max().unwrap_or(0);
        let rounds = (looks.len() as u64).div_ceil(AT_ONCE).clamp(1, 3);
        Span::ms(slowest * rounds + 20_000)
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)
    }
}

impl FromStr for Look {
    type Err = LookError;

    /// Reads the word back, for what answers in the helper's place.
    fn from_str(text: &str) -> Result<Self, LookError> {
        let read = || -> Option<Self> {
            let words: Vec<&str> = text.split('+').collect();
            let (target, at) = match words[..] {
                ["ping", _, at] => ("ping".to_owned(), at),
                ["tcp", _, at, port] => (format!("tcp:{port}"), at),
                ["tls", _, at, port, "-"] => (format!("tls:{port}"), at),
                ["tls", _, at, port, name] => match name.strip_prefix('=') {
                    Some(name) => (format!("tls:{port}={name}"), at),
                    None => (format!("tls:{port}:{name}"), at),
                },
                [kind @ ("http" | "https"), _, at, port, host, path] => {
                    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                    (format!("{kind}://{host}:{port}{}", decoded(path)?), at)
                }
                ["dns", _, at, name] => (format!("dns:{name}"), at),
                ["postgres", _, at, database] => (format!("postgres:{database}"), at),
                ["exec", _, ref words @ ..] => {
                    let words = words.iter().map(|word| decoded(word)).collect::<Option<Vec<_>>>()?;
                    (format!("exec:{}", words.join(" ")), "-")
                }
                _ => return None,
            };
            let address = if at == "-" { None } else { Some(at.parse().ok()?) };
            let timeout = words.get(1)?.parse().ok().filter(|ms| (1..=LONGEST.as_ms()).contains(ms))?;
            let look = Self::new(&target.parse().ok()?, address, Span::ms(timeout)).ok()?;
            // One way to write each.
            (look.word == text).then_some(look)
        };
        read().ok_or(LookError::Unsound)
    }
}

/// As base64url (RFC 4648, section 5) without padding: no letter of it is one of the word's own.
fn coded(text: &str) -> String {
    Base64Unpadded::encode_string(text.as_bytes()).replace('+', "-").replace('/', "_")
}

fn decoded(word: &str) -> Option<String> {
    if word.contains(['+', '/']) {
        return None;
    }
    let bytes = Base64Unpadded::decode_vec(&word.replace('-', "+").replace('_', "/")).ok()?;
    String::from_utf8(bytes).ok()
}

/// What a host says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How it went.
    pub outcome: ProbeOutcome,
    /// Whether all of it was looked at: a pass without a tool that is not there is of a part alone.
    pub whole: bool,
    /// The host's own end of its connection, where it is known.
    pub local: Option<SocketAddr>,
    /// When its phases were over.
    pub phases: Phases,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The leaf certificate that was shown, in DER form.
    pub certificate: Option<Vec<u8>>,
}

impl Looked {
    /// Reads the section `probe`, which answers so many attempts, in their order.
    ///
    /// # Errors
    /// The first line that breaks the contract.
    pub fn parse(section: &Section, asked: usize) -> Result<Vec<Self>, OutcomeError> {
        let lines = text_lines(section)?;
        if lines.len() != asked {
            return Err(OutcomeError::Missing { section: "probe", what: "as many lines as were asked for" });
        }
        let read = |(place, line): (usize, &str)| Self::line(place, line);
        let all = lines.iter().enumerate();
        all.map(|(place, line)| read((place, &line.text)).ok_or_else(|| line.error())).collect()
    }

    fn line(place: usize, line: &str) -> Option<Self> {
        let (head, said) = line.split_once('\t')?;
        let said = Untrusted::new(said);
        let mut words = head.split(' ');
        if words.next()?.parse() != Ok(place) {
            return None;
        }
        let word = words.next()?;
        let kind = if word == "fail" { Some(kind(words.next()?)?) } else { None };
        let took = Span::ms(words.next()?.parse().ok()?);
        let outcome = match (word, kind) {
            ("ok" | "part", None) => ProbeOutcome::Ok { took, said },
            ("fail", Some(kind)) => ProbeOutcome::Fail { why: said, kind },
            ("broken", None) => ProbeOutcome::Broken { why: said },
            _ => return None,
        };
        let mut looked = Self {
            outcome,
            whole: word != "part",
            local: None,
            phases: Phases::default(),
            status: None,
            certificate: None,
        };
        for word in words {
            let (key, value) = word.split_once('=')?;
            let span = || value.parse().ok().map(Span::ms);
            match key {
                "local" => looked.local = Some(value.parse().ok()?),
                "connected" => looked.phases.connected = Some(span()?),
                "secured" => looked.phases.secured = Some(span()?),
                "answered" => looked.phases.answered = Some(span()?),
                "status" => {
                    looked.status = Some(value.parse().ok().filter(|status| (100..600).contains(status))?);
                }
                "certificate" if value.len() <= CERTIFICATE => {
                    looked.certificate = Some(Base64::decode_vec(value).ok()?);
                }
                _ => return None,
            }
        }
        Some(looked)
    }
}

/// The words of the helper, which are those of the journal.
fn kind(word: &str) -> Option<FailKind> {
    Some(match word {
        "no-answer" => FailKind::NoAnswer,
        "refused" => FailKind::Refused,
        "unreachable" => FailKind::Unreachable,
        "cut" => FailKind::Cut,
        "silence" => FailKind::Silence,
        "tls-refused" => FailKind::TlsRefused,
        "certificate" => FailKind::Certificate,
        "server-error" => FailKind::ServerError,
        "content" => FailKind::Content,
        "database" => FailKind::Database,
        "command" => FailKind::Command,
        "other" => FailKind::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
