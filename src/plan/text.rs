//! What text of a plan may hold: one line of visible characters, and no secret.
//!
//! The same rule holds when a plan is read back from a journal, which may be somebody else's.

use serde::{Deserialize, Deserializer};

use crate::types::Untrusted;

/// The longest text in a plan, in bytes.
pub(super) const LONGEST: usize = 2048;

/// What to do about a secret in the plan.
pub(super) const SECRET_ADVICE: &str = "take it out: a secret is named, never written, since the plan goes into reviews and \
recordings; keep it in an environment variable or a file (for PostgreSQL ~/.pgpass) and name that";

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A control or invisible character, a line break.
    Invisible,
    /// More than [`LONGEST`] bytes.
    Long,
    /// A password in a URL, a private key, `password=...`.
    Secret,
}

/// Why this text is refused, if it is.
pub(super) fn flaw(text: &str) -> Option<Flaw> {
    if has_secret(text) {
        Some(Flaw::Secret)
    } else if text.len() > LONGEST {
        Some(Flaw::Long)
    } else if Untrusted::new(text).shown() != text {
        Some(Flaw::Invisible)
    } else {
        None
    }
}

/// The head of a long number or word, for a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Whether a key's name asks for a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key: String = key.chars().take(80).collect::<String>().to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "api_key", "private_key"].iter().any(|word| key.contains(word))
}

/// Words that, followed by `=` and something, are a secret written out.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "pgpassword",
    "passphrase",
    "secret",
    "token",
    "access_token",
    "api_key",
    "apikey",
];

fn has_secret(text: &str) -> bool {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY") {
        return true;
    }
    text.split("://").skip(1).any(|rest| has_password(rest.split_whitespace().next().unwrap_or_default()))
        || text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '='))
            .filter_map(|word| word.split_once('='))
            .any(|(name, value)| !value.is_empty() && NAMES.contains(&name.to_ascii_lowercase().as_str()))
}

/// Whether what follows `://`, or an ssh destination, has `user:password@` in it. A password may
/// hold a slash that should have been written as %2f, so `@` is looked for behind one as well,
/// unless what precedes the slash is a port.
pub(super) fn has_password(rest: &str) -> bool {
    let Some((user, behind)) = rest.rsplit_once('@').and_then(|(info, _)| info.split_once(':')) else {
        return false;
    };
    let port_and_path =
        behind.split_once('/').is_some_and(|(port, _)| port.bytes().all(|b| b.is_ascii_digit()));
    !user.contains('/') && !behind.is_empty() && !port_and_path
}

/// What is wrong with an ssh destination, if something is. It must never be taken for an option, and
/// needs no quoting wherever it ends up; OpenSSH itself refuses most of these characters since 9.6.
pub(super) fn destination_flaw(text: &str) -> Option<&'static str> {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    if text.is_empty() || host.is_empty() || text.starts_with('@') {
        Some("is empty or half of one")
    } else if text.starts_with('-') || host.starts_with('-') {
        Some("begins with - and would be taken for an option")
    } else if text.len() > 255 {
        Some("is longer than 255 bytes")
    } else if text.chars().any(|c| !c.is_ascii_graphic() || "'\"\\`$;&|<>(){}*?!#,".contains(c)) {
        Some("holds spaces or characters that a destination can't have")
    } else {
        None
    }
}

/// Texts that may be shown as they are.
pub(super) trait Shown {
    /// Whether every one of them is one line of visible characters.
    fn can_be_shown(&self) -> bool;
}

impl Shown for String {
    fn can_be_shown(&self) -> bool {
        matches!(flaw(self), None | Some(Flaw::Secret))
    }
}

impl Shown for Option<String> {
    fn can_be_shown(&self) -> bool {
        self.as_ref().is_none_or(Shown::can_be_shown)
    }
}

impl Shown for Vec<String> {
    fn can_be_shown(&self) -> bool {
        self.iter().all(Shown::can_be_shown)
    }
}

/// For `#[serde(deserialize_with)]`: a plan that is read back, from a recording of somebody else
/// say, has no text that could act on a terminal.
///
/// # Errors
/// Where one has.
pub(super) fn shown<'de, T: Shown + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = T::deserialize(from)?;
    if text.can_be_shown() {
        Ok(text)
    } else {
        Err(serde::de::Error::custom(
            "a text of the plan holds characters that can't be seen, or is too long; it was not written by holdpoint",
        ))
    }
}

/// As [`shown`], for an ssh destination, which has to be one here as well.
///
/// # Errors
/// Where it is none.
pub(super) fn destination<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match destination_flaw(&text) {
        None => Ok(text),
        Some(flaw) => Err(serde::de::Error::custom(format!("an ssh destination of the plan {flaw}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_seen_and_what_only_looks_like_one_is_not() {
        for secret in [
            "https://user:pw@host/",
            "exec:psql postgres://u:p@db/x",
            "http://u:pa/ss@host",
            "https://:pw@host",
            "postgres:host=x password=y",
            "exec:env PGPASSWORD=x psql",
            "https://h/health?token=abc",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ] {
            assert_eq!(flaw(secret), Some(Flaw::Secret), "{secret}");
        }
        for plain in [
            "https://host:8443/path@x",
            "https://user@host/",
            "https://h/?csrf_token=1",
            "why a password is needed",
            "ops@[2001:db8::1]",
            "https://h/?token=",
        ] {
            assert_eq!(flaw(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_destination_is_no_option_and_needs_no_quoting() {
        for good in
            ["web1", "ops@192.0.2.10", "ops@[2001:db8::1]:22", "local", "ssh://ops@web1:2222", "a%eth0"]
        {
            assert_eq!(destination_flaw(good), None, "{good}");
        }
        for bad in
            ["", "ops@", "@web", "-oProxyCommand=x", "ops@-oX", "a b", "a\u{1b}", "a;b", "$(x)", "é", "a,b"]
        {
            assert!(destination_flaw(bad).is_some(), "{bad}");
        }
        assert!(destination_flaw(&"x".repeat(256)).is_some());
    }

    #[test]
    fn a_line_is_visible_and_short() {
        assert_eq!(flaw("é 漢"), None);
        assert_eq!(flaw("a\nb"), Some(Flaw::Invisible));
        assert_eq!(flaw("a\u{202e}b"), Some(Flaw::Invisible));
        assert_eq!(flaw(&"x".repeat(LONGEST + 1)), Some(Flaw::Long));
    }
}
