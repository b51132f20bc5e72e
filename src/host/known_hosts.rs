//! Which key belongs to which host: `known_hosts` files, read line by line and matched here
//! (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Must never take a file that can't be read, or a line
//! that can't be understood, for "no key", and never write to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::{digest, hmac};
use russh::keys::ssh_encoding::base64::{Base64, Base64Unpadded, Encoding};

use super::{HostError, KeyPrint};

/// The largest file that is read, in bytes: a million hosts fit.
const LARGEST_FILE: u64 = 256 << 20;

/// A host's public key as it stands in files and goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The type: `ssh-ed25519`, ...
    pub kind: String,
    /// The encoded key.
    pub blob: Vec<u8>,
}

impl HostKey {
    /// Type and SHA-256 fingerprint.
    pub fn print(&self) -> KeyPrint {
        let hash = digest::digest(&digest::SHA256, &self.blob);
        let fingerprint = format!("SHA256:{}", Base64Unpadded::encode_string(hash.as_ref()));
        KeyPrint { kind: self.kind.clone(), fingerprint }
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that could not be understood. The others are used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub at: At,
    /// What is wrong with it, in our words.
    pub what: &'static str,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Key,
    Revoked,
    Authority,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// HMAC-SHA1 of the name under a salt of the line's own.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// Patterns, each with whether it is negated.
    Patterns(Vec<(bool, Vec<u8>)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: At,
    mark: Mark,
    hosts: Hosts,
    key: HostKey,
}

/// What the files say about a key that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is the known key.
    Known(At),
    /// The host is not known. Certificate authorities that stand for it are listed: host certificates
    /// are not used here.
    Unknown {
        /// Lines marked `@cert-authority` that match the host.
        authorities: Vec<At>,
    },
    /// The host is known with another key (of the same type, if there is one).
    Changed {
        /// Where the known key is.
        at: At,
        /// The known key.
        known: KeyPrint,
    },
    /// This very key is marked `@revoked` for the host.
    Revoked(At),
}

/// The name under which a host's keys are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    /// `host`, `[host]:port` for another port than 22, or the `HostKeyAlias`.
    name: String,
    /// The host without its port, under which OpenSSH accepts an equal key too.
    bare: Option<String>,
}

impl LookUp {
    /// For a host and port as they are connected to, or the `HostKeyAlias` that replaces both.
    pub fn new(host: &str, port: u16, alias: Option<&str>) -> Self {
        match alias {
            Some(alias) => Self { name: alias.to_ascii_lowercase(), bare: None },
            None if port == 22 => Self { name: host.to_ascii_lowercase(), bare: None },
            None => {
                let host = host.to_ascii_lowercase();
                Self { name: format!("[{host}]:{port}"), bare: Some(host) }
            }
        }
    }

    /// The name as it stands in a file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The lines of all files, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    lines: Vec<Line>,
    problems: Vec<Problem>,
}

impl KnownHosts {
    /// Reads these files. One that isn't there is empty.
    ///
    /// # Errors
    /// [`HostError::KnownHosts`] if one is there and can't be read.
    pub fn read(files: &[PathBuf]) -> Result<Self, HostError> {
        let mut all = Self::default();
        for file in files {
            let unreadable = |what: String| HostError::KnownHosts { file: file.clone(), what };
            let text = match std::fs::metadata(file) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(unreadable(e.to_string())),
                Ok(found) if found.len() > LARGEST_FILE => {
                    return Err(unreadable(format!("larger than {LARGEST_FILE} bytes")));
                }
                Ok(_) => std::fs::read(file).map_err(|e| unreadable(e.to_string()))?,
            };
            all.add(file, &text);
        }
        Ok(all)
    }

    /// Adds the lines of one file's text.
    pub fn add(&mut self, file: &Path, text: &[u8]) {
        let file: Arc<Path> = file.into();
        for (index, line) in text.split(|b| *b == b'\n').enumerate() {
            let at = At { file: Arc::clone(&file), line: index + 1 };
            match parse(line) {
                Ok(None) => {}
                Ok(Some((mark, hosts, key))) => self.lines.push(Line { at, mark, hosts, key }),
                Err(what) => self.problems.push(Problem { at, what }),
            }
        }
    }

    /// The lines that could not be understood.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What the files say about this key of this host. A revocation outweighs all else.
    pub fn judge(&self, host: &LookUp, key: &HostKey) -> Judgement {
        let names: Vec<&str> = std::iter::once(host.name()).chain(host.bare.as_deref()).collect();
        let revoked = |line: &&Line| {
            line.mark == Mark::Revoked
                && line.key.blob == key.blob
                && names.iter().any(|n| line.hosts.match_name(n))
        };
        if let Some(line) = self.lines.iter().find(revoked) {
            return Judgement::Revoked(line.at.clone());
        }
        let of_host = self.keys_of(host.name());
        if let Some(line) = of_host.iter().find(|line| line.key.blob == key.blob) {
            return Judgement::Known(line.at.clone());
        }
        // A known key of another type counts as changed too: its type was asked for first, so the
        // host would have shown it if it still had it.
        if let Some(line) = of_host.iter().find(|line| line.key.kind == key.kind).or(of_host.first()) {
            return Judgement::Changed { at: line.at.clone(), known: line.key.print() };
        }
        // As OpenSSH does: the same key under the name without a port is the same host.
        let bare = host.bare.as_deref().map(|bare| self.keys_of(bare)).unwrap_or_default();
        if let Some(line) = bare.iter().find(|line| line.key.blob == key.blob) {
            return Judgement::Known(line.at.clone());
        }
        let authority = |line: &&Line| line.mark == Mark::Authority && line.hosts.match_name(host.name());
        Judgement::Unknown {
            authorities: self.lines.iter().filter(authority).map(|l| l.at.clone()).collect(),
        }
    }

    /// The types of the keys known for this host, each once, in the order of the files: a server is
    /// asked for these first.
    pub fn kinds(&self, host: &LookUp) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        let names = std::iter::once(host.name()).chain(host.bare.as_deref());
        for line in names.flat_map(|name| self.keys_of(name)) {
            if !kinds.contains(&line.key.kind) {
                kinds.push(line.key.kind.clone());
            }
        }
        kinds
    }

    /// The line numbers, from 1, of all lines that match this name, whatever their mark: what
    /// `ssh-keygen -F NAME` finds.
    pub fn lines_for(&self, name: &str) -> Vec<usize> {
        let name = name.to_ascii_lowercase();
        self.lines.iter().filter(|line| line.hosts.match_name(&name)).map(|line| line.at.line).collect()
    }

    fn keys_of(&self, name: &str) -> Vec<&Line> {
        self.lines.iter().filter(|line| line.mark == Mark::Key && line.hosts.match_name(name)).collect()
    }
}

/// One line: nothing for an empty one or a comment.
fn parse(line: &[u8]) -> Result<Option<(Mark, Hosts, HostKey)>, &'static str> {
    let mut fields = Fields(line.strip_suffix(b"\r").unwrap_or(line));
    let Some(mut field) = fields.next() else { return Ok(None) };
    if field.starts_with(b"#") {
        return Ok(None);
    }
    let mark = match field {
        b"@revoked" => Mark::Revoked,
        b"@cert-authority" => Mark::Authority,
        _ if field.starts_with(b"@") => {
            return Err("an unknown marker (there are @revoked and @cert-authority)");
        }
        _ => Mark::Key,
    };
    if mark != Mark::Key {
        field = fields.next().ok_or("a marker without a host")?;
        if field.starts_with(b"@") {
            return Err("two markers");
        }
    }
    let hosts = Hosts::parse(field)?;
    let kind = fields.next().ok_or("no key type")?;
    let encoded = fields.next().ok_or("no key")?;
    let kind = std::str::from_utf8(kind).map_err(|_| "a key type that is no text")?;
    let encoded = std::str::from_utf8(encoded).map_err(|_| "a key that is not base64")?;
    let blob = Base64::decode_vec(encoded).map_err(|_| "a key that is not base64")?;
    // The encoded key begins with its type's name, length first (RFC 4253, 6.6).
    let named = blob.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.get(..length)
    });
    if named != Some(kind.as_bytes()) {
        return Err("a key that is not of the type named");
    }
    Ok(Some((mark, hosts, HostKey { kind: kind.to_owned(), blob })))
}

/// The fields of a line, parted by spaces and tabs.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let blank = |b: &u8| *b == b' ' || *b == b'\t';
        let start = self.0.iter().position(|b| !blank(b))?;
        let rest = &self.0[start..];
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        let (field, rest) = rest.split_at(end);
        self.0 = rest;
        Some(field)
    }
}

impl Hosts {
    fn parse(field: &[u8]) -> Result<Self, &'static str> {
        if let Some(hashed) = field.strip_prefix(b"|") {
            let bad = "a hashed name that is not |1|salt|hash";
            let text = std::str::from_utf8(hashed).map_err(|_| bad)?;
            let mut parts = text.split('|');
            let (Some("1"), Some(salt), Some(hash), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(bad);
            };
            let salt = Base64::decode_vec(salt).map_err(|_| bad)?;
            let hash = Base64::decode_vec(hash).map_err(|_| bad)?;
            // Both are as long as a SHA-1.
            if salt.len() != 20 || hash.len() != 20 {
                return Err(bad);
            }
            return Ok(Self::Hashed { salt, hash });
        }
        let pattern = |text: &[u8]| match text.strip_prefix(b"!") {
            Some(text) => (true, text.to_ascii_lowercase()),
            None => (false, text.to_ascii_lowercase()),
        };
        Ok(Self::Patterns(field.split(|b| *b == b',').map(pattern).collect()))
    }

    /// Whether this name, in lower case, is meant. A negated pattern that matches outweighs the others.
    fn match_name(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
            Self::Patterns(patterns) => {
                let mut matching =
                    patterns.iter().filter(|(_, pattern)| wildcard(pattern, name.as_bytes())).peekable();
                matching.peek().is_some() && matching.all(|(negated, _)| !negated)
            }
        }
    }
}

/// `*` stands for any run of characters, `?` for one (ssh_config(5), "PATTERNS"). Takes time in
/// proportion to both lengths multiplied, whatever the pattern.
pub(super) fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests;
