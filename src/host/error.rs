//! What can go wrong between here and a host, and whether trying again can help. Text of peers is
//! [`Untrusted`]; each message says what was tried, on what, and what to do.

use std::path::PathBuf;

use crate::types::{Span, Untrusted};

/// A host key's type and its fingerprint as OpenSSH writes it (`SHA256:` and base64).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrint {
    /// The type, as in `known_hosts`: `ssh-ed25519`, ...
    pub kind: String,
    /// `SHA256:...`
    pub fingerprint: String,
}

impl std::fmt::Display for KeyPrint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.fingerprint)
    }
}

/// Why an address was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its name has no address.
    Resolve,
    /// It answered that nothing listens there.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// A jump host on the way to it was not reached, or does not go on.
    Jump,
    /// Anything else: no route, ...
    Other,
}

/// A failure between here and a host. [`HostError::is_final`] says whether trying again can help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No connection to the address.
    #[error("{address} can't be reached: {detail}")]
    Unreachable {
        /// `host:port` as asked for.
        address: String,
        /// Which kind of failure.
        reach: Reach,
        /// The same in words.
        detail: String,
    },
    /// The connection was closed before the login had finished.
    #[error("{address} closed the connection before the login had finished: {}", .what.shown())]
    Dropped {
        /// `host:port`.
        address: String,
        /// What the peer or the network said.
        what: Untrusted,
    },
    /// The two sides do not speak a common ssh.
    #[error("no ssh session with {address}: {}", .what.shown())]
    Handshake {
        /// `host:port`.
        address: String,
        /// What was found.
        what: Untrusted,
    },
    /// The host showed a key that no `known_hosts` file has.
    #[error(
        "the key of {host} is not known: {key}. Compare the fingerprint with one that you got another way (the \
         console of the machine, its owner), then add it: {add}{}", as_notes(.notes)
    )]
    UnknownKey {
        /// The name under which the key was looked up.
        host: String,
        /// The port.
        port: u16,
        /// The key shown.
        key: Box<KeyPrint>,
        /// The command line that adds it, for after the comparison.
        add: String,
        /// Lines that could have been meant for it: malformed ones, certificate authorities.
        notes: Vec<String>,
    },
    /// The host showed another key than the known one. Never retried, never overridden here.
    #[error(
        "STOP: the key of {host} has changed: it showed {key}, known is {known} ({}:{line}). Either the host was \
         installed anew or somebody is in between: find out before anything else", .file.display()
    )]
    ChangedKey {
        /// The name under which the key was looked up.
        host: String,
        /// The port.
        port: u16,
        /// The key shown.
        key: Box<KeyPrint>,
        /// The key known.
        known: Box<KeyPrint>,
        /// The file of the known key.
        file: PathBuf,
        /// The line of the known key, from 1.
        line: usize,
    },
    /// The host showed a key that is marked `@revoked`. Never retried, never overridden here.
    #[error("STOP: {host} showed a revoked key: {key} ({}:{line})", .file.display())]
    RevokedKey {
        /// The name under which the key was looked up.
        host: String,
        /// The port.
        port: u16,
        /// The key shown.
        key: Box<KeyPrint>,
        /// The file that revokes it.
        file: PathBuf,
        /// The line that revokes it, from 1.
        line: usize,
    },
    /// A `known_hosts` file is there and can't be read: nothing is known then, not "no key".
    #[error("{} can't be read ({what}): without it no host key can be judged", .file.display())]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// The server did not accept who we are.
    #[error(
        "{account} did not let us in. Tried: {}. It accepts: {}{}",
        list(.tried), list(.accepts), as_notes(.notes)
    )]
    Auth {
        /// `user@host:port`.
        account: String,
        /// What was tried, in order: methods with the keys offered (fingerprint, and where it came from).
        tried: Vec<String>,
        /// The methods that the server says it accepts.
        accepts: Vec<String>,
        /// Why something was not tried.
        notes: Vec<String>,
    },
    /// The server accepts a key that is encrypted, and nobody can be asked.
    #[error(
        "the key {} is encrypted and nobody can be asked for its passphrase here: add it to an agent (ssh-add {})",
        .file.display(), .file.display()
    )]
    NeedsPassphrase {
        /// The key file.
        file: PathBuf,
    },
    /// The ssh configuration can't be followed.
    #[error("{place}: {what}")]
    Config {
        /// `file:line`, or what else was read.
        place: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The `ProxyCommand` ended or said something else than ssh.
    #[error("the ProxyCommand for {address} failed ({status}): {}", .stderr.shown())]
    ProxyFailed {
        /// `host:port` that it was to reach.
        address: String,
        /// How it ended.
        status: String,
        /// The last of what it said.
        stderr: Untrusted,
        /// Whether the shell could not start it at all (status 126 or 127).
        not_started: bool,
    },
    /// The connection was lost.
    #[error("the connection to {address} was lost: {}{}", .what.shown(), may(*.started))]
    Lost {
        /// `host:port`.
        address: String,
        /// What was noticed.
        what: Untrusted,
        /// Whether a command had been handed over: then it may have run, in part or whole.
        started: bool,
    },
    /// No end of a command in time. Its channel is closed; the command itself may go on.
    #[error("no answer from {address} within {after}{}", may(*.started))]
    TimedOut {
        /// `host:port`.
        address: String,
        /// How long was waited.
        after: Span,
        /// Whether a command had been handed over.
        started: bool,
    },
    /// The server did not run the command, or the channel broke while the connection held.
    #[error("the command could not be run: {}", .what.shown())]
    Channel {
        /// What was noticed.
        what: Untrusted,
    },
    /// A command on this machine could not be started.
    #[error("{command} could not be started on this machine: {what}")]
    Local {
        /// The command line.
        command: String,
        /// Why.
        what: String,
    },
}

impl HostError {
    /// Whether trying again can't help until somebody changes something: keys, configuration,
    /// programs. The others may pass by themselves.
    pub fn is_final(&self) -> bool {
        match self {
            Self::UnknownKey { .. }
            | Self::ChangedKey { .. }
            | Self::RevokedKey { .. }
            | Self::KnownHosts { .. }
            | Self::Handshake { .. }
            | Self::Auth { .. }
            | Self::NeedsPassphrase { .. }
            | Self::Config { .. }
            | Self::Local { .. } => true,
            Self::ProxyFailed { not_started, .. } => *not_started,
            Self::Unreachable { .. }
            | Self::Dropped { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Channel { .. } => false,
        }
    }

    /// Whether a command may have run although there is no result: the state of the host is unknown
    /// and has to be looked at, never assumed.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Lost { started, .. } | Self::TimedOut { started, .. } => *started,
            Self::Channel { .. } => true,
            Self::Unreachable { .. }
            | Self::Dropped { .. }
            | Self::Handshake { .. }
            | Self::UnknownKey { .. }
            | Self::ChangedKey { .. }
            | Self::RevokedKey { .. }
            | Self::KnownHosts { .. }
            | Self::Auth { .. }
            | Self::NeedsPassphrase { .. }
            | Self::Config { .. }
            | Self::ProxyFailed { .. }
            | Self::Local { .. } => false,
        }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

fn as_notes(notes: &[String]) -> String {
    notes.iter().map(|note| format!("\n  note: {note}")).collect()
}

fn may(started: bool) -> &'static str {
    if started {
        "; the command had been handed over and may have run"
    } else {
        "; no command had been handed over"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_wrote_is_escaped_in_messages() {
        let error = HostError::Dropped { address: "h:22".into(), what: "\u{1b}[2Jbye".into() };
        assert!(error.to_string().ends_with("\\e[2Jbye"), "{error}");
        assert!(!error.is_final());
    }

    #[test]
    fn lost_says_whether_a_command_may_have_run() {
        let lost = |started| HostError::Lost { address: "h:22".into(), what: "closed".into(), started };
        assert!(lost(true).may_have_run() && !lost(false).may_have_run());
        assert!(lost(true).to_string().contains("may have run"));
    }
}
