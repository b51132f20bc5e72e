//! A live window's ear: other processes of the same person speak to it through a socket in its
//! recording. What comes in is turned into commands like those of keys, or into questions; what goes out
//! is what the loop has published. Nothing here decides, and nothing here can keep the loop waiting.
//!
//! One request a connection, a line of JSON each way; both sides take lines of bounded length from
//! nobody but this machine's same user or root.

mod ask;
mod listen;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Duration;

pub use ask::{Asked, Found, find, roll_back};
pub use listen::{Desk, Listener, listen};

use crate::core::command::RollbackScope;
use crate::core::event::Outcome;
use crate::types::{HostName, PersonName, Seq, Time};

/// What both sides speak.
const FORMAT: &str = "holdpoint.socket/1";
/// Its name in a recording.
const NAME: &str = "cockpit.sock";
/// The name under which it is made, before its mode is right.
const MADE: &str = "cockpit.sock.new";
/// The longest path that a socket's address takes on every system, in bytes.
const PATH_MAX: usize = 100;
/// The longest request, in bytes.
const REQUEST_MAX: usize = 4 << 10;
/// The longest line of an answer, in bytes.
const ANSWER_MAX: usize = 64 << 10;
/// A loop that has not looked at the time for so long hangs: it does so each second.
const HANGS: Duration = Duration::from_secs(5);

/// What is wanted of a cockpit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    format: String,
    /// Who asks, by login name.
    actor: Option<PersonName>,
    #[serde(flatten)]
    ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Ask {
    /// Whether it lives.
    Status,
    /// The emergency key.
    Rollback { scope: Reach },
}

/// How far a rollback reaches, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reach {
    Unconfirmed,
    Host(HostName),
    Wave,
    All,
}

impl From<Reach> for RollbackScope {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Unconfirmed => Self::Unconfirmed,
            Reach::Host(host) => Self::Host(host),
            Reach::Wave => Self::Wave,
            Reach::All => Self::All,
        }
    }
}

impl From<&RollbackScope> for Reach {
    fn from(scope: &RollbackScope) -> Self {
        match scope {
            RollbackScope::Unconfirmed => Self::Unconfirmed,
            RollbackScope::Host(host) => Self::Host(host.clone()),
            RollbackScope::Wave => Self::Wave,
            RollbackScope::All => Self::All,
        }
    }
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    format: String,
    #[serde(flatten)]
    say: Say,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
enum Say {
    /// Always first.
    Alive(Alive),
    /// It was not taken, with why.
    Refused { why: String, mistake: bool },
    /// It was handed to the loop, as a key is; what stands against it.
    Accepted { not_ready: Vec<String> },
    /// Something happened.
    Event { at: Time, text: String },
    /// It lives, while nothing happens.
    Pulse { tick_age_ms: u64 },
    /// All that was asked for has come to an end: how the window stands, with what holds and which
    /// timers run.
    Done { outcome: Outcome, ended: bool, text: String, notes: Vec<String> },
    /// The cockpit is left before that.
    Left,
}

/// A cockpit that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Its process.
    pub process: u32,
    /// Since when it runs.
    pub since: Time,
    /// The program's version.
    pub program: String,
    /// The last event that it has committed; the journal on the disk may be behind.
    pub seq: Seq,
    /// Whether its journal can be written.
    pub journal_sound: bool,
    /// How long ago its loop looked at the time, in milliseconds; it does so each second.
    pub tick_age_ms: u64,
}

impl Alive {
    /// Whether its loop turns.
    pub fn turns(&self) -> bool {
        u128::from(self.tick_age_ms) < HANGS.as_millis()
    }

    /// "process 12 since 02:10:31Z".
    pub fn words(&self) -> String {
        format!("process {} since {}", self.process, self.since.format("%H:%M:%SZ"))
    }
}

/// A line that was not one.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("it broke off: {0}")]
    Io(#[from] io::Error),
    #[error("it ended before its line did")]
    Ended,
    #[error("its line is longer than {0} bytes")]
    TooLong(usize),
    #[error("its line is none of {FORMAT}: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads lines of bounded length, and keeps what came after one.
struct Lines<R> {
    from: R,
    read: Vec<u8>,
    most: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(from: R, most: usize) -> Self {
        Self { from, read: Vec::new(), most }
    }

    /// The next line. Dropped half way and called again it loses nothing.
    async fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, LineError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.read.len() >= self.most {
                return Err(LineError::TooLong(self.most));
            }
            let mut some = [0; 1_024];
            match self.from.read(&mut some).await? {
                0 => return Err(LineError::Ended),
                n => self.read.extend_from_slice(&some[..n]),
            }
        }
    }
}

/// The address of a socket in a recording. One whose path is too long for an address is reached through
/// its folder, which has to stay open meanwhile.
fn address(folder: &Path, name: &str) -> io::Result<(Option<File>, PathBuf)> {
    let path = folder.join(name);
    if path.as_os_str().len() <= PATH_MAX {
        return Ok((None, path));
    }
    let open = File::open(folder)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
    Ok((Some(open), path))
}
