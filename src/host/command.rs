//! Command lines that hold no data, and what comes of running one. Must never take a word that a
//! shell could read as more than itself.

use std::fmt;

use crate::types::Untrusted;

/// A command line made of words of a strict pattern, so that a shell on a host reads exactly these
/// words. Everything else (names, versions, scripts) travels over standard input.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteCommand {
    words: Vec<String>,
}

/// A word that can't be part of a command line; shown escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be a word of a command line: 1 to 4096 of A-Z a-z 0-9 . _ / = : @ + -; the first word has no = \
     and doesn't begin with -"
)]
pub struct CommandError(String);

/// The longest word, in bytes: as long as a path may be on Linux (`PATH_MAX`).
const LONGEST_WORD: usize = 4096;

impl RemoteCommand {
    /// A program and its arguments. Each word is 1 to 4096 of `A-Z a-z 0-9 . _ / = : @ + -`; the first
    /// is a program, not an option and not an assignment.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Self, CommandError> {
        let mut checked = Vec::new();
        for word in words {
            let word = word.as_ref();
            let first = checked.is_empty();
            let fits = !word.is_empty()
                && word.len() <= LONGEST_WORD
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/=:@+-".contains(&b))
                && !(first && (word.starts_with('-') || word.contains('=')));
            if !fits {
                return Err(CommandError(word.chars().take(80).collect()));
            }
            checked.push(word.to_owned());
        }
        if checked.is_empty() {
            return Err(CommandError(String::new()));
        }
        Ok(Self { words: checked })
    }

    /// `sh -s -- WORDS`: the shell reads its script from standard input, the words are its arguments.
    pub fn script<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Self, CommandError> {
        let fixed = ["sh", "-s", "--"].map(str::to_owned);
        Self::new(fixed.into_iter().chain(words.into_iter().map(|w| w.as_ref().to_owned())))
    }

    /// The program and its arguments; at least one word.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

impl fmt::Display for RemoteCommand {
    /// As the host's shell gets it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this status.
    Code(u32),
    /// A signal ended it; the name as the host gave it, without `SIG`.
    Signal(Untrusted),
}

impl ExitStatus {
    /// Whether it returned 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            Self::Signal(name) => write!(f, "signal {}", name.shown()),
        }
    }
}

/// All that came of running a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// The beginning of standard output, at most the limit asked for.
    pub stdout: Vec<u8>,
    /// The beginning of standard error, at most the limit asked for.
    pub stderr: Vec<u8>,
    /// How many bytes of both were read and left out.
    pub left_out: u64,
    /// How it ended.
    pub status: ExitStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_joined_by_spaces() {
        let command =
            RemoteCommand::new(["sudo", "-n", "/usr/lib/holdpoint/helper", "facts=all"]).expect("fits");
        assert_eq!(command.to_string(), "sudo -n /usr/lib/holdpoint/helper facts=all");
        assert_eq!(RemoteCommand::script(["a", "b"]).expect("fits").to_string(), "sh -s -- a b");
        assert_eq!(RemoteCommand::script::<&str>([]).expect("fits").to_string(), "sh -s --");
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_refused() {
        for bad in
            ["", "a b", "a;b", "$x", "`x`", "a\nb", "*", "~", "a'b", "\"", "\\", "é", "-x", "A=b", "a&", "#"]
        {
            assert!(RemoteCommand::new([bad]).is_err(), "{bad:?}");
        }
        assert!(RemoteCommand::new(["ok", "a b"]).is_err());
        assert!(RemoteCommand::new::<&str>([]).is_err());
        assert!(RemoteCommand::new(["a".repeat(LONGEST_WORD + 1)]).is_err());
    }

    proptest! {
        #[test]
        fn a_command_line_has_no_metacharacter(words in prop::collection::vec(any::<String>(), 1..4)) {
            if let Ok(command) = RemoteCommand::new(&words) {
                let line = command.to_string();
                prop_assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._/=:@+-".contains(&b)));
                prop_assert_eq!(line.split(' ').count(), words.len());
            }
        }
    }
}
