//! Questions that a connection asks the operator. Only the cockpit answers them; without one a
//! connection fails and says which question it could not ask. No answer is kept, logged or shown.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;

use crate::types::{HostName, Untrusted};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The host for which it is asked.
    pub host: HostName,
    /// What is asked.
    pub kind: QuestionKind,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuestionKind {
    /// The passphrase of a key file of the operator's.
    Passphrase {
        /// The key file.
        file: PathBuf,
        /// The try, from 1.
        attempt: u32,
    },
    /// The password of an account.
    Password {
        /// The account, as `user@host`.
        account: String,
        /// The try, from 1.
        attempt: u32,
    },
    /// A question of the server's own (keyboard-interactive).
    Server {
        /// The account, as `user@host`.
        account: String,
        /// The server's heading and instructions.
        about: Untrusted,
        /// The server's words for this question.
        text: Untrusted,
        /// Whether the answer may be shown while it is typed.
        echo: bool,
    },
}

/// An answer that must not be seen: no `Display`, and `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes an answer.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The answer, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Asks the operator. The connection waits as long as the server does (`LoginGraceTime`, two minutes
/// on a stock sshd).
pub trait Prompt: Send + Sync {
    /// Asks one question; `None` when the operator declined.
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<Secret>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
