//! What a host may be asked: every verb of the helper, typed once.
//!
//! Nothing here may send anything. A verb's words and input are made of checked types alone, so
//! none of them needs quoting; what free text there is goes nowhere near a command line.

use russh::keys::ssh_encoding::base64::{Base64, Encoding as _};
use std::net::IpAddr;

use crate::helper;
use crate::host::carry::{FileOf, LARGEST, Piece};
use crate::host::look::{self, Look};
use crate::host::operation::{Kind, Spec, Wanted};
use crate::types::{BatchId, Blake3, BootId, Epoch, HostName, Nonce, OperationId, Sha256, Span};

/// A question or an order to one host's helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Who is there: user, root or not, the epoch that the host has.
    Hello,
    /// What the host says about itself; no domain means all of them.
    Facts(Vec<FactWord>),
    /// What apt would do if asked for these.
    Simulate(Vec<Wanted>),
    /// Which of these package files it could give to another host.
    Have(Vec<FileOf>),
    /// A piece of such a file.
    Give {
        /// Which file.
        file: FileOf,
        /// From which byte on.
        offset: u64,
    },
    /// Takes a piece of a file that another host has, for the next stage of a batch.
    Take {
        /// Which batch lacks it.
        batch: BatchId,
        /// Which file.
        file: FileOf,
        /// The size of the whole, in bytes.
        size: u64,
        /// The hash of the whole: without it nothing is used.
        sha256: Sha256,
        /// Who has it.
        from: HostName,
        /// Where the piece belongs, in bytes.
        offset: u64,
        /// The piece.
        piece: Piece,
    },
    /// Starts a detached operation, or says how the one of that id stands.
    Start {
        /// Its id: the same one again starts nothing.
        operation: OperationId,
        /// The batch it works on.
        batch: BatchId,
        /// What it does.
        work: Work,
    },
    /// The log of an operation from a byte on, and how it stands.
    Read {
        /// Which one.
        operation: OperationId,
        /// Where to go on, in bytes; the last answer's `next`.
        offset: u64,
        /// How long the host waits for news, in seconds; at most [`LONGEST_WAIT`] is asked for.
        wait: u8,
    },
    /// What an operation came to.
    Result(OperationId),
    /// How a batch's packages and /etc compare with before.
    Verify(BatchId),
    /// Reboots, if the host is still in that boot.
    Reboot {
        /// On whose account.
        batch: BatchId,
        /// The boot that is to end: asked again after the reboot, nothing happens.
        boot: BootId,
    },
    /// Arms a batch's dead-man timer, or sets the deadline of one with that token anew.
    Arm {
        /// For which batch.
        batch: BatchId,
        /// The word by which it is known.
        token: Nonce,
        /// The hash of the sealed plan.
        plan: Blake3,
        /// When it fires.
        times: ArmTimes,
    },
    /// Confirms a batch: its timer never fires.
    Confirm {
        /// Which batch.
        batch: BatchId,
        /// The word it was armed with.
        token: Nonce,
        /// The plan it was armed under.
        plan: Blake3,
    },
    /// Lengthens a timer.
    Extend {
        /// Of which batch.
        batch: BatchId,
        /// The word it was armed with.
        token: Nonce,
        /// By how much; whole seconds, up to the cap it was armed with.
        by: Span,
    },
    /// How a batch's timer stands.
    Timer(BatchId),
    /// Follows the journal and these files, by absolute path, until its standard input ends.
    Logs(Vec<String>),
    /// Captures packets of these addresses until its standard input ends: a few sections, then a pcap
    /// stream as it comes. At most [`MOST_CAPTURED`] are sent.
    Capture(Vec<IpAddr>),
    /// Takes the host for this epoch: whoever holds a lower one is refused from now on.
    Claim,
    /// What batches and operations left on the host, and what is pinned out there.
    Left,
    /// Removes what batches and operations left on the host; refused while a batch is open there that is
    /// none of these, which the caller knows to be over.
    Clean(Vec<BatchId>),
    /// Releases what rollbacks pinned out.
    Unpin,
    /// Makes these attempts, once each: as whoever logs in, and with nothing installed.
    Probe(Vec<Look>),
    /// What the host is like right now, for whoever looks into it later; it changes nothing.
    Evidence {
        /// How far back its journal goes, in minutes; at most [`LONGEST_JOURNAL`] is asked for.
        minutes: u16,
    },
}

/// When a timer fires: whole seconds, rounded up where they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmTimes {
    /// From now.
    pub after: Span,
    /// From the next boot, where it is declared.
    pub boot: Span,
    /// From a boot that is not, at most.
    pub grace: Span,
    /// From the first arming: nothing sets the deadline beyond.
    pub cap: Span,
}

/// Whole seconds, rounded up: a timer never fires before its time.
fn seconds(span: Span) -> u64 {
    span.as_ms().div_ceil(1_000)
}

/// A path as one word: base64 in the alphabet for names (RFC 4648, section 5).
fn path_word(path: &str) -> String {
    Base64::encode_string(path.as_bytes()).replace('+', "-").replace('/', "_")
}

fn word_path(word: &str) -> Option<String> {
    let plain = word.replace('-', "+").replace('_', "/");
    String::from_utf8(Base64::decode_vec(&plain).ok()?).ok()
}

/// The work of an operation as it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Fetches, checks and simulates everything.
    Stage(Spec),
    /// Installs what was staged.
    Apply,
    /// Brings back what was before the apply.
    Rollback,
    /// The same, as a rehearsal does it by design: nothing is pinned out.
    RehearsedRollback,
}

impl Work {
    /// What kind of operation it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Stage(_) => Kind::Stage,
            Self::Apply => Kind::Apply,
            Self::Rollback | Self::RehearsedRollback => Kind::Rollback,
        }
    }
}

/// A domain of facts, in the word that the helper knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the domain of facts of the same name")]
pub enum FactWord {
    System,
    Boot,
    Network,
    Listeners,
    Packages,
    Updates,
    Services,
    Storage,
    Replaced,
    Locks,
}

impl FactWord {
    /// Every domain, in the order in which a host is asked.
    pub const ALL: [Self; 10] = [
        Self::System,
        Self::Boot,
        Self::Network,
        Self::Listeners,
        Self::Packages,
        Self::Updates,
        Self::Services,
        Self::Storage,
        Self::Replaced,
        Self::Locks,
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Boot => "boot",
            Self::Network => "network",
            Self::Listeners => "listeners",
            Self::Packages => "packages",
            Self::Updates => "updates",
            Self::Services => "services",
            Self::Storage => "storage",
            Self::Replaced => "replaced",
            Self::Locks => "locks",
        }
    }
}

/// Words that are no verb of the helper; it would refuse them as `usage`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no verb of the helper with its words and input")]
pub struct VerbError(String);

/// The word after a batch that says that its rollback is a rehearsal's.
const REHEARSED: &str = "rehearsed";

/// How far back a host's journal is kept as evidence, in minutes, at most.
pub const LONGEST_JOURNAL: u16 = 240;

/// The longest that the helper waits in `read`, in seconds.
pub const LONGEST_WAIT: u8 = 25;

/// Log files of one host that are followed.
pub const MOST_LOGS: usize = 16;
/// The longest word that a helper takes, in characters.
const LONGEST_WORD: usize = 512;
/// Addresses of one capture: what the kernel takes as a filter is bounded.
pub const MOST_CAPTURED: usize = 400;
/// Addresses in one word: the helper takes 512 characters.
const IN_A_WORD: usize = 12;

impl Verb {
    /// The verb and its words, as the helper takes them after nonce and epoch.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Hello => vec!["hello".into()],
            Self::Facts(domains) => {
                let mut words = vec!["facts".to_owned()];
                words.extend(domains.iter().map(|domain| domain.word().to_owned()));
                words
            }
            Self::Simulate(_) => vec!["simulate".into()],
            Self::Have(_) => vec!["have".into()],
            Self::Give { offset, .. } => vec!["give".into(), offset.to_string()],
            Self::Take { batch, size, sha256, from, offset, .. } => vec![
                "take".into(),
                batch.to_string(),
                size.to_string(),
                sha256.to_string(),
                from.to_string(),
                offset.to_string(),
            ],
            Self::Start { operation, batch, work } => {
                let mut words = vec!["start".to_owned(), operation.to_string()];
                words.extend([work.kind().word().to_owned(), batch.to_string()]);
                words.extend((*work == Work::RehearsedRollback).then(|| REHEARSED.to_owned()));
                words
            }
            Self::Read { operation, offset, wait } => vec![
                "read".into(),
                operation.to_string(),
                offset.to_string(),
                (*wait).min(LONGEST_WAIT).to_string(),
            ],
            Self::Result(operation) => vec!["result".into(), operation.to_string()],
            Self::Verify(batch) => vec!["verify".into(), batch.to_string()],
            Self::Reboot { batch, boot } => vec!["reboot".into(), batch.to_string(), boot.to_string()],
            Self::Arm { batch, token, plan, times } => {
                let mut words =
                    vec!["arm".to_owned(), batch.to_string(), token.to_string(), plan.to_string()];
                let times = [times.after, times.boot, times.grace, times.cap];
                words.extend(times.map(|time| seconds(time).to_string()));
                words
            }
            Self::Confirm { batch, token, plan } => {
                vec!["confirm".into(), batch.to_string(), token.to_string(), plan.to_string()]
            }
            Self::Extend { batch, token, by } => {
                vec!["extend".into(), batch.to_string(), token.to_string(), seconds(*by).to_string()]
            }
            Self::Timer(batch) => vec!["timer".into(), batch.to_string()],
            Self::Logs(files) => {
                let coded = files.iter().map(|path| path_word(path));
                let fit = coded.filter(|word| word.len() <= LONGEST_WORD).take(MOST_LOGS);
                std::iter::once("logs".to_owned()).chain(fit).collect()
            }
            Self::Capture(addresses) => {
                let mut words = vec!["capture".to_owned()];
                let taken = &addresses[..addresses.len().min(MOST_CAPTURED)];
                words.extend(taken.chunks(IN_A_WORD).map(|some| {
                    let some: Vec<String> = some.iter().map(ToString::to_string).collect();
                    some.join("+")
                }));
                words
            }
            Self::Claim => vec!["claim".into()],
            Self::Left => vec!["left".into()],
            Self::Clean(over) => {
                let mut words = vec!["clean".to_owned()];
                words.extend(over.iter().map(ToString::to_string));
                words
            }
            Self::Unpin => vec!["unpin".into()],
            Self::Probe(looks) => {
                let mut words = vec!["probe".to_owned()];
                words.extend(looks.iter().map(ToString::to_string));
                words
            }
            Self::Evidence { minutes } => {
                vec!["evidence".into(), (*minutes).clamp(1, LONGEST_JOURNAL).to_string()]
            }
        }
    }

    /// Reads a verb back from its words and input, for what answers in the helper's place.
    ///
    /// # Errors
    /// The words, where the helper would refuse them.
    pub fn from_words(words: &[&str], input: &str) -> Result<Self, VerbError> {
        let bad = || VerbError(words.join(" ").chars().take(200).collect());
        fn read<T: std::str::FromStr>(word: &str) -> Option<T> {
            word.parse().ok()
        }
        let verb = match words {
            ["hello"] => Some(Self::Hello),
            ["facts", domains @ ..] => domains
                .iter()
                .map(|word| FactWord::ALL.into_iter().find(|domain| domain.word() == *word))
                .collect::<Option<Vec<_>>>()
                .map(Self::Facts),
            ["simulate"] => input
                .strip_suffix("end\n")
                .and_then(|lines| lines.lines().map(read).collect::<Option<Vec<Wanted>>>())
                .map(Self::Simulate),
            ["have"] => input
                .strip_suffix("end\n")
                .and_then(|lines| lines.lines().map(read).collect::<Option<Vec<FileOf>>>())
                .filter(|files| !files.is_empty())
                .map(Self::Have),
            ["give", offset] => {
                let file = input.strip_suffix("\nend\n").and_then(read);
                file.zip(read(offset)).map(|(file, offset)| Self::Give { file, offset })
            }
            ["take", batch, size, sha256, from, offset] => {
                let take = || {
                    let (file, piece) = input.strip_suffix("end\n")?.split_once('\n')?;
                    Some(Self::Take {
                        batch: read(batch)?,
                        file: read(file)?,
                        size: read(size).filter(|size| (1..=LARGEST).contains(size))?,
                        sha256: read(sha256)?,
                        from: read(from)?,
                        offset: read(offset)?,
                        piece: read(piece)?,
                    })
                };
                take()
            }
            ["start", operation, kind, batch] => {
                let work = match Kind::ALL.into_iter().find(|known| known.word() == *kind) {
                    Some(Kind::Stage) => read(input).map(Work::Stage),
                    Some(Kind::Apply) => Some(Work::Apply),
                    Some(Kind::Rollback) => Some(Work::Rollback),
                    None => None,
                };
                read(operation).zip(read(batch)).zip(work).map(|((operation, batch), work)| Self::Start {
                    operation,
                    batch,
                    work,
                })
            }
            ["start", operation, "rollback", batch, REHEARSED] => read(operation)
                .zip(read(batch))
                .map(|(operation, batch)| Self::Start { operation, batch, work: Work::RehearsedRollback }),
            ["read", operation, offset, wait] => read(operation)
                .zip(read(offset))
                .zip(read(wait).filter(|wait| *wait <= LONGEST_WAIT))
                .map(|((operation, offset), wait)| Self::Read { operation, offset, wait }),
            ["result", operation] => read(operation).map(Self::Result),
            ["verify", batch] => read(batch).map(Self::Verify),
            ["reboot", batch, boot] => {
                read(batch).zip(read(boot)).map(|(batch, boot)| Self::Reboot { batch, boot })
            }
            ["arm", batch, token, plan, after, boot, grace, cap] => {
                let span = |word| read(word).map(Span::secs);
                let times = || {
                    Some(ArmTimes {
                        after: span(after)?,
                        boot: span(boot)?,
                        grace: span(grace)?,
                        cap: span(cap)?,
                    })
                };
                read(batch)
                    .zip(read(token))
                    .zip(read(plan))
                    .zip(times())
                    .map(|(((batch, token), plan), times)| Self::Arm { batch, token, plan, times })
            }
            ["confirm", batch, token, plan] => read(batch)
                .zip(read(token))
                .zip(read(plan))
                .map(|((batch, token), plan)| Self::Confirm { batch, token, plan }),
            ["extend", batch, token, by] => read(batch)
                .zip(read(token))
                .zip(read(by).map(Span::secs))
                .map(|((batch, token), by)| Self::Extend { batch, token, by }),
            ["timer", batch] => read(batch).map(Self::Timer),
            ["logs", files @ ..] => {
                files.iter().map(|word| word_path(word)).collect::<Option<_>>().map(Self::Logs)
            }
            ["capture", words @ ..] => words
                .iter()
                .flat_map(|word| word.split('+'))
                .map(read)
                .collect::<Option<Vec<IpAddr>>>()
                .filter(|addresses| !addresses.is_empty())
                .map(Self::Capture),
            ["claim"] => Some(Self::Claim),
            ["left"] => Some(Self::Left),
            ["clean", over @ ..] => over.iter().map(|id| read(id)).collect::<Option<_>>().map(Self::Clean),
            ["unpin"] => Some(Self::Unpin),
            ["probe", looks @ ..] if (1..=look::MOST).contains(&looks.len()) => {
                looks.iter().map(|word| read(word)).collect::<Option<_>>().map(Self::Probe)
            }
            ["evidence", minutes] => read(minutes)
                .filter(|minutes| (1..=LONGEST_JOURNAL).contains(minutes))
                .map(|minutes| Self::Evidence { minutes }),
            _ => None,
        };
        verb.ok_or_else(bad)
    }

    /// What goes to the helper's standard input; empty for most. It ends with the line `end`, so
    /// that the host can tell a whole input from one that a lost connection cut off.
    pub fn input(&self) -> String {
        match self {
            Self::Simulate(wanted) => {
                let mut text: String = wanted.iter().map(|wanted| format!("{wanted}\n")).collect();
                text.push_str("end\n");
                text
            }
            Self::Have(files) => {
                let mut text: String = files.iter().map(|file| format!("{file}\n")).collect();
                text.push_str("end\n");
                text
            }
            // A version may have a character that a shell acts on.
            Self::Give { file, .. } => format!("{file}\nend\n"),
            Self::Take { file, piece, .. } => format!("{file}\n{}end\n", piece.text()),
            Self::Start { work: Work::Stage(spec), .. } => spec.text(),
            Self::Start { work: Work::Apply | Work::Rollback | Work::RehearsedRollback, .. }
            | Self::Hello
            | Self::Facts(_)
            | Self::Read { .. }
            | Self::Result(_)
            | Self::Verify(_)
            | Self::Reboot { .. }
            | Self::Arm { .. }
            | Self::Confirm { .. }
            | Self::Extend { .. }
            | Self::Timer(_)
            | Self::Logs(_)
            | Self::Capture(_)
            | Self::Claim
            | Self::Left
            | Self::Clean(_)
            | Self::Unpin
            | Self::Probe(_)
            | Self::Evidence { .. } => String::new(),
        }
    }

    /// Whether it changes something on the host; it then has to carry the window's epoch.
    pub fn mutates(&self) -> bool {
        match self {
            Self::Start { .. }
            | Self::Take { .. }
            | Self::Reboot { .. }
            | Self::Arm { .. }
            | Self::Confirm { .. }
            | Self::Extend { .. }
            | Self::Claim
            | Self::Clean(_)
            | Self::Unpin => true,
            Self::Hello
            | Self::Facts(_)
            | Self::Simulate(_)
            | Self::Have(_)
            | Self::Give { .. }
            | Self::Read { .. }
            | Self::Result(_)
            | Self::Timer(_)
            | Self::Logs(_)
            | Self::Capture(_)
            | Self::Left
            | Self::Probe(_)
            | Self::Evidence { .. }
            | Self::Verify(_) => false,
        }
    }

    /// Whether it may be asked of a host with nothing installed: the helper's text then comes over
    /// standard input, so only what takes no input of its own and needs no root.
    pub fn runs_unenrolled(&self) -> bool {
        match self {
            Self::Hello | Self::Facts(_) | Self::Probe(_) | Self::Evidence { .. } => true,
            Self::Simulate(_)
            | Self::Have(_)
            | Self::Give { .. }
            | Self::Take { .. }
            | Self::Start { .. }
            | Self::Read { .. }
            | Self::Result(_)
            | Self::Verify(_)
            | Self::Reboot { .. }
            | Self::Arm { .. }
            | Self::Confirm { .. }
            | Self::Extend { .. }
            | Self::Timer(_)
            | Self::Logs(_)
            | Self::Capture(_)
            | Self::Claim
            | Self::Left
            | Self::Clean(_)
            | Self::Unpin => false,
        }
    }

    /// Whether it never runs as root by way of sudo: what it looks at, a user can look at, and a command of
    /// the plan is no reason to become root.
    pub fn runs_as_login(&self) -> bool {
        matches!(self, Self::Probe(_))
    }

    /// After how long without a whole answer it counts as lost. Work itself has no limit here: it
    /// is detached, and only asked about.
    pub fn timeout(&self) -> Span {
        match self {
            Self::Hello | Self::Result(_) | Self::Reboot { .. } | Self::Timer(_) => Span::secs(30),
            // Until its stream begins; that has no end of its own.
            Self::Logs(_) => Span::secs(30),
            Self::Extend { .. } | Self::Claim => Span::secs(30),
            // Until its stream begins; that has no end of its own.
            Self::Capture(_) => Span::secs(30),
            // A confirm may have GRUB's menu made anew, which looks at every disk.
            Self::Start { .. } | Self::Arm { .. } | Self::Confirm { .. } => Span::secs(90),
            Self::Clean(_) | Self::Unpin | Self::Give { .. } | Self::Take { .. } => Span::secs(90),
            Self::Facts(_) | Self::Simulate(_) | Self::Verify(_) | Self::Have(_) | Self::Left => {
                Span::secs(120)
            }
            Self::Probe(looks) => Look::all_within(looks),
            Self::Evidence { .. } => Span::secs(45),
            Self::Read { wait, .. } => Span::secs(15 + u64::from((*wait).min(LONGEST_WAIT))),
        }
    }

    /// The command line for an enrolled host: through sudo, or directly where the login is root's.
    /// It holds no character that a shell would act on.
    pub fn command(&self, nonce: &Nonce, epoch: Epoch, as_root: bool) -> String {
        let sudo = if as_root || self.runs_as_login() { "" } else { "sudo -n " };
        format!("{sudo}{} {}", helper::PATH, self.call(nonce, epoch))
    }

    /// The command line for a host with nothing installed, where [`Verb::runs_unenrolled`]; the
    /// helper's text is its standard input.
    pub fn command_unenrolled(&self, nonce: &Nonce) -> Option<String> {
        self.runs_unenrolled().then(|| format!("sh -s -- {}", self.call(nonce, 0)))
    }

    fn call(&self, nonce: &Nonce, epoch: Epoch) -> String {
        let epoch = if self.mutates() { epoch } else { 0 };
        format!("{nonce} {epoch} {}", self.words().join(" "))
    }
}

#[cfg(test)]
mod tests;
