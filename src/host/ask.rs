//! A verb to a host's helper, and its answer: which way it is called, the frames, and what a
//! failure is called in the journal.

use std::sync::{Arc, Mutex, PoisonError};

use super::frame::{Answer, End, FrameError, Parser, RefusalCode};
use super::outcome::Identity;
use super::verb::Verb;
use super::{HostError, Lane, Link, OutputStream, Reach, RemoteCommand, Stdin};
use crate::core::event::{Failure, FailureKind, HelperState};
use crate::helper;
use crate::types::{Epoch, HostName, Nonce, Untrusted};

/// Bytes kept of one answer: what the frame parser takes, and some noise.
const LIMIT: usize = super::frame::LARGEST_ANSWER + super::frame::MOST_NOISE;

/// One host as one asks it.
#[derive(Clone)]
pub struct Asker {
    link: Link,
    way: Arc<Mutex<Option<Way>>>,
    newer: Arc<Mutex<Option<Epoch>>>,
}

/// How a host's helper is called.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// The installed one, by sudo or as root.
    Enrolled { as_root: bool },
    /// Its text over standard input, for reading only, and why not the other.
    Bare { why: Untrusted },
}

impl Asker {
    /// Asks over this link.
    pub fn new(link: Link) -> Self {
        Self { link, way: Arc::default(), newer: Arc::default() }
    }

    /// Asks a place that has no helper and is asked for none: the text goes over standard input.
    pub fn bare(link: Link) -> Self {
        let asker = Self::new(link);
        let why = "it is a place to look from".into();
        *asker.way.lock().unwrap_or_else(PoisonError::into_inner) = Some(Way::Bare { why });
        asker
    }

    /// The host's name.
    pub fn host(&self) -> &HostName {
        &self.link.target().host
    }

    /// The link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Connects where needed, and finds out how the helper is to be called.
    pub async fn greet(&self) -> Result<HelperState, Failure> {
        let connected = self.link.connect().await.map_err(|e| failure(self.host(), &e))?;
        let as_root = connected.user == "root";
        let (way, epoch) = match self.call(&Verb::Hello, 0, &Way::Enrolled { as_root }).await {
            Ok(answer) => match identity(&answer) {
                Ok((identity, current)) => enrolled(as_root, &identity, current),
                Err(why) => (Way::Bare { why }, 0),
            },
            Err(failure) => match failure.kind {
                // The connection is sound, so it is the call that was refused.
                FailureKind::NotEnrolled
                | FailureKind::Refused
                | FailureKind::Malformed
                | FailureKind::Failed => (Way::Bare { why: failure.what }, 0),
                // A slow answer says nothing about the helper: what was known of it stays.
                FailureKind::Unreachable
                | FailureKind::NoSession
                | FailureKind::TimedOut
                | FailureKind::Busy
                | FailureKind::HostKey
                | FailureKind::Login
                | FailureKind::Local => return Err(failure),
            },
        };
        let state = match &way {
            Way::Enrolled { .. } => HelperState { enrolled: true, why_not: None, epoch },
            Way::Bare { why } => HelperState { enrolled: false, why_not: Some(why.clone()), epoch },
        };
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
        Ok(state)
    }

    /// Asks a verb. A refusal by the helper is a failure with its words.
    pub async fn ask(&self, verb: &Verb, epoch: Epoch) -> Result<Answer, Failure> {
        self.call(verb, epoch, &self.way().await?).await
    }

    /// Calls a verb whose answer does not end by itself, on the streams connection, its input held open: the
    /// end of that ends it. The word of its frames comes with it.
    pub async fn stream(&self, verb: &Verb) -> Result<(OutputStream, Nonce), Failure> {
        let as_root = match self.way().await? {
            Way::Enrolled { as_root } => as_root,
            Way::Bare { why } => return Err(self.not_enrolled(&why)),
        };
        let nonce = nonce();
        let line = verb.command(&nonce, 0, as_root);
        let command = RemoteCommand::new(line.split(' '));
        let command = command.map_err(|e| Failure::new(FailureKind::Local, e.to_string()))?;
        let stream = self.link.stream(&command, Vec::new(), Stdin::Held).await;
        Ok((stream.map_err(|e| failure(self.host(), &e))?, nonce))
    }

    async fn way(&self) -> Result<Way, Failure> {
        let known = || self.way.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(way) = known() {
            return Ok(way);
        }
        self.greet().await?;
        Ok(known().unwrap_or(Way::Bare { why: "the helper did not greet".into() }))
    }

    fn not_enrolled(&self, why: &Untrusted) -> Failure {
        let host = self.host();
        let what = format!("{host} is not enrolled ({}): holdpoint enroll PLAN --host {host}", why.shown());
        Failure::new(FailureKind::NotEnrolled, what)
    }

    /// Forgets how the helper is called: after a reboot, say, or an enrolment.
    pub fn forget(&self) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The epoch for which an order was refused as too old, told once: another cockpit holds the host.
    pub fn overtaken(&self) -> Option<Epoch> {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn call(&self, verb: &Verb, epoch: Epoch, way: &Way) -> Result<Answer, Failure> {
        let nonce = nonce();
        let (line, stdin) = match way {
            Way::Enrolled { as_root } => (verb.command(&nonce, epoch, *as_root), verb.input().into_bytes()),
            Way::Bare { why } => match verb.command_unenrolled(&nonce) {
                Some(line) => (line, helper::TEXT.as_bytes().to_vec()),
                None => return Err(self.not_enrolled(why)),
            },
        };
        let words: Vec<&str> = line.split(' ').collect();
        let command = match words.as_slice() {
            ["sh", "-s", "--", rest @ ..] => RemoteCommand::script(rest),
            words => RemoteCommand::new(words),
        };
        let command = command.map_err(|e| Failure::new(FailureKind::Local, e.to_string()))?;
        // Probes come all the time, and never before an order.
        let lane = if verb.runs_as_login() { Lane::Streams } else { Lane::Control };
        let output = self.link.exec(lane, &command, stdin, LIMIT, verb.timeout()).await;
        let output = output.map_err(|e| failure(self.host(), &e))?;
        let mut parser = Parser::new(nonce);
        let parsed = parser.push(&output.stdout).and_then(|()| parser.finish());
        let answer = parsed.map_err(|e| self.not_understood(verb, way, &e, &output.stderr))?;
        match &answer.end {
            End::Done(_) => Ok(answer),
            End::Refused(refusal) => {
                let words = refusal.words.shown();
                let what = match refusal.code {
                    RefusalCode::StaleEpoch => {
                        let newer = refusal.words.raw().trim().parse().ok();
                        *self.newer.lock().unwrap_or_else(PoisonError::into_inner) = newer;
                        format!(
                            "another cockpit holds {}: {} is refused, the epoch there is {words}, ours {epoch}",
                            self.host(),
                            verb.words()[0]
                        )
                    }
                    _ => format!("{} refused {}: {words}", self.host(), verb.words()[0]),
                };
                let kind = match refusal.code {
                    RefusalCode::NeedsRoot => FailureKind::NotEnrolled,
                    RefusalCode::UnknownOperation => FailureKind::Failed,
                    RefusalCode::Busy => FailureKind::Busy,
                    RefusalCode::Usage
                    | RefusalCode::StaleEpoch
                    | RefusalCode::ExistsDifferently
                    | RefusalCode::NoSpace
                    | RefusalCode::NoSystemd
                    | RefusalCode::Unarmed
                    | RefusalCode::NotArmed
                    | RefusalCode::WrongToken
                    | RefusalCode::NoFile
                    | RefusalCode::Mismatch
                    | RefusalCode::NoTool
                    | RefusalCode::Internal => FailureKind::Refused,
                };
                Err(Failure::new(kind, what))
            }
        }
    }

    /// What came was no answer: no helper there, sudo said no, or something hostile.
    fn not_understood(&self, verb: &Verb, way: &Way, error: &FrameError, stderr: &[u8]) -> Failure {
        let said = Untrusted::from_bytes(&stderr[..stderr.len().min(400)]);
        let host = self.host();
        match (way, error) {
            (Way::Enrolled { .. }, FrameError::Lost(super::frame::Progress::Nothing)) => {
                let why = if said.is_empty() {
                    "no helper answers".to_owned()
                } else {
                    said.raw().trim().to_owned()
                };
                Failure::new(FailureKind::NotEnrolled, why)
            }
            (_, FrameError::Lost(_)) => Failure::new(
                FailureKind::Unreachable,
                format!("{host}: {} broke off: {error}; {}", verb.words()[0], said.raw().trim()),
            ),
            (_, _) => Failure::new(FailureKind::Malformed, format!("{host}: {}: {error}", verb.words()[0])),
        }
    }
}

fn identity(answer: &Answer) -> Result<(Identity, bool), Untrusted> {
    let section = answer.section("id").ok_or("the helper did not say who it is")?;
    let identity = Identity::parse(section).map_err(|e| Untrusted::new(e.to_string()))?;
    Ok((identity, answer.helper == Some(helper::sha256())))
}

fn enrolled(as_root: bool, identity: &Identity, current: bool) -> (Way, Epoch) {
    let epoch = identity.epoch.unwrap_or(0);
    if !identity.root {
        return (Way::Bare { why: "sudo does not make it root".into() }, epoch);
    }
    if !current {
        let why = "the helper on the host is of another version: enrol the host again";
        return (Way::Bare { why: why.into() }, epoch);
    }
    (Way::Enrolled { as_root }, epoch)
}

/// A fresh word for one answer. It need not be secret from root of the host, only from what else
/// may print on the channel.
fn nonce() -> Nonce {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's own randomness, seeded by the system for each process and hasher.
    let word = |_| format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish());
    let text: String = (0..2).map(word).collect();
    #[expect(clippy::unwrap_used, reason = "32 hexadecimal digits fit the pattern of a nonce")]
    text.parse().unwrap()
}

/// What a failed connection or command is called in the journal.
pub fn failure(host: &HostName, error: &HostError) -> Failure {
    let kind = match error {
        HostError::UnknownKey { .. }
        | HostError::ChangedKey { .. }
        | HostError::RevokedKey { .. }
        | HostError::KnownHosts { .. } => FailureKind::HostKey,
        HostError::Auth { .. } | HostError::NeedsPassphrase { .. } => FailureKind::Login,
        HostError::Config { .. } | HostError::Local { .. } => FailureKind::Local,
        HostError::Unreachable { reach: Reach::Resolve | Reach::Refused | Reach::Jump, .. }
        | HostError::Dropped { .. }
        | HostError::Handshake { .. }
        | HostError::ProxyFailed { .. }
        | HostError::Channel { .. } => FailureKind::NoSession,
        HostError::Unreachable { reach: Reach::TimedOut | Reach::Other, .. } | HostError::Lost { .. } => {
            FailureKind::Unreachable
        }
        HostError::TimedOut { .. } => FailureKind::TimedOut,
    };
    Failure::new(kind, format!("{host}: {error}"))
}
