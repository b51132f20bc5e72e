//! Everything that is said to a host, over ssh or on this machine, and what it answers.
//!
//! Nothing here decides anything about a window: it connects, runs a fixed command line, and
//! gives back what came. Data never becomes shell: a command is made of words of a strict pattern
//! ([`RemoteCommand`]), all else travels over standard input. What a host says is bytes or
//! [`crate::types::Untrusted`]. What is a pure type or parser here (verbs, frames, operations,
//! outcomes) may know no connection and no clock.

pub mod act; // effects: what the loop wants done, done
pub mod ask; // a verb to a host's helper, and its answer
pub mod capture; // packets on a host, live and kept
pub mod carry; // package files that go from one host to another
pub mod config; // the effective ssh configuration of a destination
pub mod evidence; // what a host is like at a moment, kept
pub mod frame; // the helper's answer: nonce, sections, done or refused
pub mod known_hosts; // which key belongs to which host
pub mod local; // the same commands on this machine
mod logs; // a host's logs as they grow
pub mod look; // probes that a host makes
pub mod operation; // detached work on a host: what starts it, how it stands
pub mod outcome; // what an operation came to: stage, apply, rollback; and the verb verify
pub mod remote; // probes that hosts and further places make
pub mod said; // an answer, read by the verb that it answers
pub mod ssh; // connections, kept and made again
pub mod verb; // what a host may be asked, in its words

mod command; // command lines, and what comes of running one
mod ended; // an operation that has ended, as the answer of its effect
mod error; // what can go wrong between here and a host
mod output; // long output as a stream that never stalls a connection
mod prompt; // questions that a connection asks the operator
mod stop;
mod stream; // a verb whose answer goes on, up to where the stream begins // how a command learns that nobody waits for it

pub use command::{CommandError, ExecOutput, ExitStatus, RemoteCommand};
pub use error::{HostError, KeyPrint, Reach};
pub use output::{Chunk, OutputStream, Source, Stdin};
pub use prompt::{Prompt, Question, QuestionKind, Secret};
pub use ssh::{Connected, Contact, Destination, KeyStore, Lane, Link, Pacing, Settings, Target, Watch};
