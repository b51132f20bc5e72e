//! Names with a strict pattern. A value of one of these types can be shown, compared and put into
//! an argument of the helper without escaping, since its pattern holds no shell or terminal
//! metacharacter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that does not fit its pattern. The offending text is shown escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct NameError {
    /// What the text should have been, with its article: "a host name".
    pub what: &'static str,
    /// The rule it broke, in words.
    pub rule: &'static str,
    /// The text, cut to 80 characters; `Debug` escapes it.
    pub text: String,
}

impl NameError {
    fn new(what: &'static str, rule: &'static str, text: &str) -> Self {
        Self { what, rule, text: text.chars().take(80).collect() }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError::new($what, $rule, text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

fn within(text: &str, longest: usize, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes.split_first() {
        Some((head, tail)) => bytes.len() <= longest && first(*head) && tail.iter().all(|b| rest(*b)),
        None => false,
    }
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

name!(
    /// The name of a host in a plan: an operator's short word for it, not necessarily its DNS name.
    HostName,
    "a host name",
    "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit",
    |t| within(t, 63, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);
name!(
    /// The name of a customer in a plan.
    CustomerName,
    "a customer name",
    "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit",
    |t| within(t, 63, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);
name!(
    /// The name of a person: an operator, an approver, a watcher.
    PersonName,
    "a person's name",
    "1 to 63 of a-z A-Z 0-9 . _ @ -, beginning with a letter or digit",
    |t| within(t, 63, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
);
name!(
    /// The name of a Debian package without its architecture (Debian policy 5.6.1).
    PackageName,
    "a package name",
    "2 to 128 of a-z 0-9 + - ., beginning with a letter or digit",
    |t| t.len() >= 2 && within(t, 128, lower_or_digit, |b| lower_or_digit(b) || b"+-.".contains(&b))
);
name!(
    /// A Debian architecture: `amd64`, `all`, ...
    Arch,
    "an architecture",
    "1 to 32 of a-z 0-9 -, beginning with a letter or digit",
    |t| within(t, 32, lower_or_digit, |b| lower_or_digit(b) || b == b'-')
);
name!(
    /// The name of a network interface as the kernel has it (at most 15 bytes, `IFNAMSIZ`).
    IfName,
    "an interface name",
    "1 to 15 printable ASCII characters without / : and space",
    |t| t != "." && t != ".." && within(t, 15, |b| b.is_ascii_graphic() && !b"/:".contains(&b), |b| b.is_ascii_graphic() && !b"/:".contains(&b))
);
name!(
    /// The name of a systemd unit, `\x2d` escapes included (systemd.unit(5): at most 255).
    UnitName,
    "a unit name",
    "1 to 255 of A-Z a-z 0-9 : _ . @ \\ -",
    |t| within(t, 255, |b| b.is_ascii_alphanumeric() || b":_.@\\-".contains(&b), |b| b.is_ascii_alphanumeric() || b":_.@\\-".contains(&b))
);
name!(
    /// The id of one detached operation on a host; also the name of its folder there.
    OperationId,
    "an operation id",
    "1 to 64 of a-z 0-9 . -, beginning with a letter or digit",
    |t| within(t, 64, lower_or_digit, |b| lower_or_digit(b) || b".-".contains(&b))
);
name!(
    /// The id of a batch, unique in a window and on its host; also the name of its folder there.
    BatchId,
    "a batch id",
    "1 to 64 of a-z 0-9 . -, beginning with a letter or digit",
    |t| within(t, 64, lower_or_digit, |b| lower_or_digit(b) || b".-".contains(&b))
);
name!(
    /// The kernel's `/proc/sys/kernel/random/boot_id`.
    BootId,
    "a boot id",
    "a UUID in lower case with dashes",
    |t| t.len() == 36
        && t.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
);
name!(
    /// A fresh random word that marks the frames of one answer, so that nothing else on the
    /// channel (a `.bashrc` that prints, a log line) can be taken for a frame.
    Nonce,
    "a nonce",
    "8 to 64 of a-z 0-9",
    |t| t.len() >= 8 && within(t, 64, lower_or_digit, lower_or_digit)
);

impl PersonName {
    /// Somebody at the keys of whom no better name is known.
    pub fn operator() -> Self {
        Self("operator".into())
    }
}

/// A package on a host: its name and, on a multi-arch host, its architecture.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageId {
    /// The package's name.
    pub name: PackageName,
    /// Its architecture as dpkg has it, `all` included.
    pub arch: Arch,
}

impl PackageId {
    /// A package of that name and architecture.
    pub fn new(name: PackageName, arch: Arch) -> Self {
        Self { name, arch }
    }
}

impl FromStr for PackageId {
    type Err = NameError;
    /// Reads `name:arch`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((name, arch)) = text.split_once(':') else {
            return Err(NameError::new("a package with its architecture", "write NAME:ARCH", text));
        };
        Ok(Self { name: name.parse()?, arch: arch.parse()? })
    }
}

impl TryFrom<String> for PackageId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PackageId> for String {
    fn from(id: PackageId) -> String {
        id.to_string()
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.arch)
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_what_their_rule_says_and_nothing_else() {
        for good in ["web1", "db-2.example", "A_b"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
        for bad in ["", "-web", "web 1", "web;1", "web\u{202e}1", "é", &"a".repeat(64), "a\n", "$(x)"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
        for good in ["libc6", "g++", "libstdc++6", "0ad", "linux-image-6.1.0-31-amd64"] {
            assert!(good.parse::<PackageName>().is_ok(), "{good}");
        }
        for bad in ["a", "Libc6", "-x", "x=1", "x:y"] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad:?}");
        }
        assert!("0b6f9e9c-5c0a-4a67-b6a9-93a8a3f0c111".parse::<BootId>().is_ok());
        assert!("0B6F9E9C-5c0a-4a67-b6a9-93a8a3f0c111".parse::<BootId>().is_err());
        assert!("..".parse::<IfName>().is_err());
    }

    #[test]
    fn a_name_read_back_from_json_is_checked_again() {
        assert!(serde_json::from_str::<HostName>("\"web1\"").is_ok());
        assert!(serde_json::from_str::<HostName>("\"web1;reboot\"").is_err());
        let id: PackageId = serde_json::from_str("\"libc6:amd64\"").expect("reads");
        assert_eq!(serde_json::to_string(&id).expect("writes"), "\"libc6:amd64\"");
    }
}
