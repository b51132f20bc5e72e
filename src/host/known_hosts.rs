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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";
    const ED2: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn key(text: &str) -> HostKey {
        let (kind, blob) = text.split_once(' ').expect("two fields");
        HostKey { kind: kind.to_owned(), blob: Base64::decode_vec(blob).expect("base64") }
    }

    /// A key of another type, not valid as a point but well formed as a line.
    fn ecdsa() -> String {
        let mut blob = Vec::new();
        blob.extend(19_u32.to_be_bytes());
        blob.extend(b"ecdsa-sha2-nistp256");
        format!("ecdsa-sha2-nistp256 {}", Base64::encode_string(&blob))
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), text.as_bytes());
        known
    }

    fn judge(text: &str, host: &str, port: u16, key_text: &str) -> Judgement {
        known(text).judge(&LookUp::new(host, port, None), &key(key_text))
    }

    fn at(line: usize) -> At {
        At { file: Path::new("kh").into(), line }
    }

    #[test]
    fn a_fingerprint_is_opensshs() {
        // ssh-keygen -lf on the same key.
        let print = key(ED2).print();
        assert_eq!(print.kind, "ssh-ed25519");
        assert_eq!(print.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
    }

    #[test]
    fn names_ports_wildcards_and_negation() {
        let text = format!(
            "web1,192.0.2.1 {ED}\n[web2]:2222\t{ED}\t comment here\n*.example.org,!bad.example.org {ED}\nweb? {ED2}\n"
        );
        assert_eq!(judge(&text, "WEB1", 22, ED), Judgement::Known(at(1)));
        assert_eq!(judge(&text, "192.0.2.1", 22, ED), Judgement::Known(at(1)));
        assert_eq!(judge(&text, "web2", 2222, ED), Judgement::Known(at(2)));
        assert_eq!(judge(&text, "a.example.org", 22, ED), Judgement::Known(at(3)));
        assert_eq!(judge(&text, "bad.example.org", 22, ED), Judgement::Unknown { authorities: vec![] });
        assert_eq!(judge(&text, "web9", 22, ED2), Judgement::Known(at(4)));
        assert!(matches!(judge(&text, "web9", 22, ED), Judgement::Changed { at: a, .. } if a == at(4)));
    }

    #[test]
    fn an_equal_key_without_the_port_is_the_same_host_and_another_one_says_nothing() {
        let text = format!("web1 {ED}\n");
        assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Known(at(1)));
        assert_eq!(judge(&text, "web1", 2222, ED2), Judgement::Unknown { authorities: vec![] });
        assert_eq!(
            known(&text).judge(&LookUp::new("x", 2222, Some("WEB1")), &key(ED)),
            Judgement::Known(at(1))
        );
    }

    #[test]
    fn a_revoked_key_is_refused_wherever_the_line_stands() {
        let text = format!("web1 {ED}\n@revoked * {ED}\n");
        assert_eq!(judge(&text, "web1", 22, ED), Judgement::Revoked(at(2)));
        assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Revoked(at(2)));
        let text = format!("@revoked\tweb1\t{ED}\n[web1]:2222 {ED}\n");
        assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Revoked(at(1)));
        assert_eq!(judge(&text, "web2", 22, ED), Judgement::Unknown { authorities: vec![] });
    }

    #[test]
    fn a_key_of_another_type_is_a_changed_key() {
        let text = format!("web1 {}\n", ecdsa());
        let Judgement::Changed { known, .. } = judge(&text, "web1", 22, ED) else { panic!("not changed") };
        assert_eq!(known.kind, "ecdsa-sha2-nistp256");
        let both = format!("web1 {}\nweb1 {ED}\n", ecdsa());
        assert_eq!(judge(&both, "web1", 22, ED), Judgement::Known(at(2)));
        assert_eq!(
            super::tests::known(&both).kinds(&LookUp::new("web1", 22, None)),
            ["ecdsa-sha2-nistp256", "ssh-ed25519"]
        );
    }

    #[test]
    fn an_authority_is_named_and_never_taken_for_a_key() {
        let text = format!("@cert-authority *.example.org {ED}\n");
        assert_eq!(judge(&text, "a.example.org", 22, ED), Judgement::Unknown { authorities: vec![at(1)] });
    }

    #[test]
    fn malformed_lines_are_named_and_do_not_stop_reading() {
        let text = format!(
            "# comment\n\n   \t\nweb1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 ####\nweb1 ssh-rsa {}\n@bogus web1 {ED}\n\
             |1|short|x {ED}\n@revoked @revoked web1 {ED}\n@revoked\n  web1 {ED}\r\n",
            ED.split_once(' ').expect("two").1
        );
        let known = known(&text);
        assert_eq!(
            known.problems().iter().map(|p| p.at.line).collect::<Vec<_>>(),
            [4, 5, 6, 7, 8, 9, 10, 11]
        );
        assert_eq!(known.problems()[0].to_string(), "kh:4: no key type");
        assert_eq!(known.judge(&LookUp::new("web1", 22, None), &key(ED)), Judgement::Known(at(12)));
    }

    #[test]
    fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing");
        assert_eq!(KnownHosts::read(&[missing]), Ok(KnownHosts::default()));
        // A folder can't be read as a file, whoever asks.
        let error = KnownHosts::read(&[folder.path().to_owned()]).expect_err("a folder");
        assert!(matches!(error, HostError::KnownHosts { .. }), "{error}");
    }

    #[test]
    fn wildcards_take_no_time() {
        assert!(!wildcard("*a".repeat(200).as_bytes(), "a".repeat(150).as_bytes()));
        assert!(wildcard(b"*a*b?", b"xxaxbxbz"));
        assert!(wildcard(b"", b"") && !wildcard(b"", b"a") && wildcard(b"**", b""));
    }

    /// `ssh-keygen -F`: the line numbers found, or nothing if there is none.
    fn keygen_finds(file: &Path, name: &str) -> Option<Vec<usize>> {
        let out = Command::new("ssh-keygen").arg("-F").arg(name).arg("-f").arg(file).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let number =
            |l: &str| l.split(" line ").nth(1).and_then(|r| r.split_whitespace().next()?.parse().ok());
        Some(text.lines().filter(|l| l.starts_with('#')).filter_map(number).collect())
    }

    fn keygen_is_here() -> bool {
        let here = Command::new("ssh-keygen").arg("-?").output().is_ok();
        if !here {
            println!("skipped: no ssh-keygen here");
        }
        here
    }

    #[test]
    fn ssh_keygen_finds_the_same_lines() {
        if !keygen_is_here() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("known_hosts");
        let plain = format!(
            "web1,192.0.2.1 {ED}\n[web2]:2222\t{ED2}\n# web3 {ED}\n*.example.org,!bad.example.org {ED}\n\
             @revoked web4 {ED}\n@cert-authority web5 {ED}\nweb6\t\t{ED} c\n  web7 {ED}\n[2001:db8::1]:22 {ED}\n2001:db8::2 {ED}\n"
        );
        std::fs::write(&file, &plain).expect("written");
        let names = [
            // ssh lowers names before it looks them up; ssh-keygen does not.
            "web1",
            "192.0.2.1",
            "[web2]:2222",
            "web2",
            "web3",
            "a.example.org",
            "bad.example.org",
            "web4",
            "web5",
            "web6",
            "web7",
            "2001:db8::2",
            "[2001:db8::1]:22",
            "nothing",
        ];
        let compare = |file: &Path| {
            let mut ours = KnownHosts::default();
            ours.add(file, &std::fs::read(file).expect("read"));
            for name in names {
                assert_eq!(
                    Some(ours.lines_for(name)),
                    keygen_finds(file, name),
                    "{name} in {}",
                    file.display()
                );
            }
        };
        compare(&file);
        let status = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().expect("hashed");
        assert!(status.status.success(), "{status:?}");
        let hashed = std::fs::read_to_string(&file).expect("read");
        assert!(hashed.contains("|1|"), "nothing was hashed");
        compare(&file);
    }

    fn host_field() -> impl Strategy<Value = String> {
        prop::collection::vec("!?[ab*?]{1,4}(\\.[ab*]{1,2})?|\\[[ab*]{1,3}\\]:2[12]", 1..4)
            .prop_map(|v| v.join(","))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn ssh_keygen_agrees_on_generated_files(
            fields in prop::collection::vec(host_field(), 1..6),
            name in "[ab]{1,4}(\\.[ab]{1,2})?|\\[[ab]{1,3}\\]:2[12]",
        ) {
            if keygen_is_here() {
                let folder = tempfile::tempdir().expect("a folder");
                let file = folder.path().join("known_hosts");
                let text: String = fields.iter().map(|f| format!("{f} {ED}\n")).collect();
                std::fs::write(&file, &text).expect("written");
                prop_assert_eq!(Some(known(&text).lines_for(&name)), keygen_finds(&file, &name), "{} in {}", name, text);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..400), name in any::<String>()) {
            let mut known = KnownHosts::default();
            known.add(Path::new("kh"), &text);
            known.judge(&LookUp::new(&name, 22, None), &key(ED));
        }

        #[test]
        fn no_line_of_the_right_shape_makes_it_panic(
            line in "(@revoked |@cert-authority\t)?[!*?a-z,|1=\\[\\]:]{0,20}[ \t](ssh-ed25519|ssh-rsa)[ \t][A-Za-z0-9+/=]{0,60}"
        ) {
            let known = known(&line);
            known.judge(&LookUp::new("a", 2222, None), &key(ED));
        }

        #[test]
        fn a_name_matches_itself_and_a_star(name in "[a-z0-9.:-]{1,30}") {
            prop_assert!(wildcard(name.as_bytes(), name.as_bytes()));
            prop_assert!(wildcard(b"*", name.as_bytes()));
            let longer = format!("{}x", name);
            prop_assert!(!wildcard(longer.as_bytes(), name.as_bytes()));
        }
    }
}
