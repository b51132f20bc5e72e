//! How a process came to hold a recording that another one wrote.

use serde::{Deserialize, Serialize};

use crate::types::Untrusted;

/// One process picked up what another had in hand. Who it was, when, and under which epoch the record
/// around it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOver {
    /// The machine it runs on.
    pub machine: Untrusted,
    /// Its process id there.
    pub process: u32,
    /// What its person gave for it.
    pub word: TakeOverWord,
    /// Who held it before, as that one wrote it down.
    pub from: Option<Untrusted>,
    /// What is known of that one.
    pub before: Before,
}

/// What was given for a take-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakeOverWord {
    /// A word typed on a terminal.
    Typed,
    /// `--take-over` on the command line.
    Option,
}

/// What is known of the process that held a recording before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// It has ended: it let the lock of this very recording go, on this machine.
    Gone,
    /// It may run: the recording was copied, or comes from another machine.
    NotKnown,
    /// It is there, holds the lock, and does not answer.
    Silent,
}

impl TakeOver {
    /// "picked up on ops1 (process 12, word typed); before: process 7 on ops2, which may still run".
    pub fn sentence(&self) -> String {
        let word = match self.word {
            TakeOverWord::Typed => "word typed",
            TakeOverWord::Option => "--take-over",
        };
        let from = self.from.as_ref().map_or_else(|| "not known who".to_owned(), Untrusted::shown);
        let before = match self.before {
            Before::Gone => "which has ended",
            Before::NotKnown => "which may still run",
            Before::Silent => "which is there and does not answer",
        };
        format!("on {} (process {}, {word}); before: {from}, {before}", self.machine.shown(), self.process)
    }
}
