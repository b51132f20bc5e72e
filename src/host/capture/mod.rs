//! The effect that captures a host's packets: tcpdump there over the streams connection, its bytes to
//! [`crate::capture`], what that finds to the loop. A host that is away, or has no tcpdump, is tried again;
//! meanwhile nothing is claimed. Must never hold up the connection that all streams of a host share.

mod begun; // what a capture says before its packets
mod kept; // captures/HOST.pcapng
mod steady; // a time that no step of this machine's clock bends

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::begun::{Begun, Errors, KIND};
use self::kept::{Kept, Told};
use self::steady::Steady;
use super::act::Clock;
use super::ask::Asker;
use super::stream::{Head, Tries};
use super::verb::{MOST_CAPTURED, Verb};
use super::{Chunk, ExitStatus, OutputStream, Source};
use crate::capture::pcapng::{About, Writer};
use crate::capture::{self, Attempted, Watch};
use crate::conductor::shell::Outbox;
use crate::core::event::{
    Failure, FailureKind, LogLine, LogSource, PacketEvent, ProbeId, ProbeOutcome, Sighting, Vantage, Whole,
};
use crate::core::{ProbeTask, Sample, Subject};
use crate::plan::ProbeTarget;
use crate::types::{HostName, Seq, Span, Time, Untrusted};

/// As much of a packet is kept, in bytes: the helper tells tcpdump the same.
const SNAP: u32 = 128;
/// What was found is handed on this often while packets come ...
const BUSY: Duration = Duration::from_millis(100);
/// ... and this often while none do.
const IDLE: Duration = Duration::from_secs(1);
/// This machine's clock was set, or it slept, where its time and the steady one come apart by more than this between
/// two looks; in nanoseconds.
const STEP: u64 = 100_000_000;
/// The hash of a file that is written is told this often.
const TELL: Duration = Duration::from_secs(60);

/// What reaches a host's capture from elsewhere in this process.
enum Word {
    Attempted(Box<Attempted>),
    Marked(Time, Untrusted),
    /// What is kept so far is put on the disk and told.
    Save,
    /// Nothing more is kept; answered once that is so and told.
    Enough(oneshot::Sender<()>),
}

/// The captures that run, for those who have something to tell them. Cheap to clone.
#[derive(Clone)]
pub struct Captures {
    running: Arc<Mutex<BTreeMap<HostName, mpsc::UnboundedSender<Word>>>>,
    /// By this one time attempts and packets are compared.
    steady: Arc<Steady>,
}

impl Captures {
    /// None yet; `clock` is this machine's.
    pub fn new(clock: Clock) -> Self {
        Self { running: Arc::default(), steady: Arc::new(Steady::new(clock)) }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<HostName, mpsc::UnboundedSender<Word>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt on a customer of that host has ended: it is looked for in the host's capture, where there
    /// is one.
    pub fn attempted(&self, host: &HostName, attempt: Attempted) {
        if let Some(capture) = self.all().get(host) {
            // One that has ended looks for nothing.
            let _heard_or_not = capture.send(Word::Attempted(Box::new(attempt)));
        }
    }

    /// A marker was set: every capture has it.
    pub fn marked(&self, at: Time, note: &Untrusted) {
        for capture in self.all().values() {
            let _heard_or_not = capture.send(Word::Marked(at, note.clone()));
        }
    }

    /// Evidence of that host is saved: its packets so far are put on the disk, and their hash is told to the
    /// loop. Waits for neither.
    pub fn save(&self, host: &HostName) {
        if let Some(capture) = self.all().get(host) {
            // One that has ended has told it.
            let _heard_or_not = capture.send(Word::Save);
        }
    }

    /// The session ends: what is kept is finished, and its hashes are told to the loop.
    pub async fn enough(&self) {
        let asked: Vec<_> = self
            .all()
            .values()
            .filter_map(|capture| {
                let (done, told) = oneshot::channel();
                capture.send(Word::Enough(done)).is_ok().then_some(told)
            })
            .collect();
        for told in asked {
            // One that ends without a word keeps nothing.
            let _told_or_gone = told.await;
        }
    }

    fn join(&self, host: &HostName) -> mpsc::UnboundedReceiver<Word> {
        let (to, from) = mpsc::unbounded_channel();
        self.all().insert(host.clone(), to);
        from
    }
}

/// What asking another place costs beside the attempts themselves: a program that starts, and the way back.
const ASKED: Span = Span::secs(5);

/// Tells captures of the attempts of one set of probes, each to the host that serves its customer.
pub struct Registrar {
    captures: Captures,
    probes: BTreeMap<ProbeId, (HostName, Span, bool)>,
    /// The longest timeout of them.
    longest: Span,
}

impl Registrar {
    /// For these probes.
    pub fn new(captures: Captures, probes: &[ProbeTask]) -> Self {
        let udp = |task: &ProbeTask| matches!(task.probe.target, ProbeTarget::Dns { .. });
        let known = |task: &ProbeTask| match &task.id {
            Subject::Customer(id) => Some((id.clone(), (task.host.clone()?, task.probe.timeout, udp(task)))),
            Subject::Control(_) => None,
        };
        let longest = probes.iter().map(|task| task.probe.timeout).max().unwrap_or(Span::ZERO);
        Self { captures, probes: probes.iter().filter_map(known).collect(), longest }
    }

    /// An attempt has just ended. One that knows no ends of its own left no packet to look for.
    pub fn ended(&self, probe: &ProbeId, vantage: &Vantage, outcome: &ProbeOutcome, seen: &Sighting) {
        let (Some(local), Some(peer)) = (seen.local, seen.peer) else { return };
        let Some((host, timeout, udp)) = self.probes.get(probe) else { return };
        let (ended, at) = (self.captures.steady.now(), self.captures.steady.clock());
        let took = match outcome {
            ProbeOutcome::Ok { took, .. } => *took,
            // It began no earlier than that.
            ProbeOutcome::Fail { .. } => *timeout,
            ProbeOutcome::Broken { .. } => return,
        };
        // Other places are asked for several at once, and answer when the last is done: it may have been the first.
        let took = if *vantage == Vantage::Cockpit { took } else { took.max(self.longest + ASKED) };
        let began = ended.saturating_sub(took.as_ms().saturating_mul(1_000_000));
        let (probe, vantage) = (probe.clone(), vantage.clone());
        let attempt = Attempted { probe, vantage, local, peer, udp: *udp, began, ended, at };
        self.captures.attempted(host, attempt);
    }
}

/// The moment in nanoseconds since 1970.
fn nanos(at: Time) -> u64 {
    at.timestamp_nanos_opt().and_then(|at| u64::try_from(at).ok()).unwrap_or(0)
}

/// What is found is told by this machine's clock, as everything else in the journal is.
fn by_the_clock(event: &mut PacketEvent, ahead: i64) {
    if let PacketEvent::Tallied { whole: Some(whole), .. } = event {
        let by = chrono::TimeDelta::nanoseconds(ahead);
        let moved = |at: Time| at.checked_add_signed(by).unwrap_or(at);
        *whole = Whole { since: moved(whole.since), until: moved(whole.until) };
    }
}

/// One host's capture, over all its streams.
pub(super) struct Task {
    pub(super) id: Seq,
    pub(super) asker: Asker,
    pub(super) outbox: Outbox,
    pub(super) clock: Clock,
    /// Where packets are kept; nowhere where nothing is recorded.
    pub(super) folder: Option<PathBuf>,
    pub(super) captures: Captures,
}

impl Task {
    /// Captures until that is of no use: why.
    pub(super) async fn run(self, addresses: &[IpAddr]) -> Untrusted {
        let host = self.asker.host().clone();
        let words = self.captures.join(&host);
        let kept = self.folder.as_deref().and_then(|folder| self.kept(folder, &host));
        let watch = Watch::new(host, addresses.iter().copied());
        let mut running = Running {
            task: &self,
            words,
            watch,
            writer: Writer::default(),
            kept,
            ahead: self.captures.steady.ahead(),
            said: None,
            tells: Instant::now() + TELL,
        };
        if addresses.len() > MOST_CAPTURED {
            let more = addresses.len() - MOST_CAPTURED;
            self.say(&format!(
                "{more} customers' addresses are too many for one capture: theirs are not seen"
            ));
        }
        let verb = Verb::Capture(addresses.to_vec());
        let mut tries = Tries::default();
        loop {
            let failure = match self.asker.stream(&verb).await {
                Ok((stream, nonce)) => {
                    let (failure, began) = running.follow(stream, Head::new(&KIND, nonce)).await;
                    if began {
                        tries.began();
                    }
                    failure
                }
                Err(failure) => failure,
            };
            running.unseen(&failure).await;
            let Some(wait) = tries.after(&failure) else {
                running.finish(&mut Blocks::default()).await;
                return failure.what;
            };
            running.wait(wait).await;
        }
    }

    fn kept(&self, folder: &Path, host: &HostName) -> Option<Kept> {
        let (outbox, clock, name) = (self.outbox.clone(), Arc::clone(&self.clock), host.clone());
        let say = move |text: &str| line(&outbox, &clock, &name, text);
        let kept = Kept::new(folder, host, Box::new(say));
        kept.inspect_err(|error| self.say(&format!("packets are not kept: {error}"))).ok()
    }

    /// Not by this machine's clock, which may be set.
    fn now(&self) -> u64 {
        self.captures.steady.now()
    }

    fn say(&self, text: &str) {
        line(&self.outbox, &self.clock, self.asker.host(), text);
    }

    async fn tell(&self, event: PacketEvent) {
        self.outbox.sample(self.id, Sample::Packet(Box::new(event))).await;
    }

    async fn tell_kept(&self, told: Vec<Told>) {
        for (file, over) in told {
            let host = self.asker.host().clone();
            self.tell(PacketEvent::Kept { host, file, over }).await;
        }
    }
}

fn line(outbox: &Outbox, clock: &Clock, host: &HostName, text: &str) {
    let (host, at, text) = (host.clone(), clock(), Untrusted::new(text));
    outbox.line(LogLine::new(host, LogSource::Holdpoint, at, text));
}

struct Running<'a> {
    task: &'a Task,
    words: mpsc::UnboundedReceiver<Word>,
    watch: Watch,
    writer: Writer,
    kept: Option<Kept>,
    /// What was to be added to the steady time to have this machine's, in nanoseconds.
    ahead: i64,
    /// Why packets are not seen, as it was told last; none while they are.
    said: Option<Untrusted>,
    /// When the hash of the file that is written is told next.
    tells: Instant,
}

impl Running<'_> {
    async fn word(&mut self, word: Word, blocks: &mut Blocks) {
        match word {
            Word::Enough(done) => {
                self.finish(blocks).await;
                // Whoever asked may have gone.
                let _heard_or_not = done.send(());
            }
            Word::Save => {
                if let Some(kept) = self.kept.as_mut().filter(|kept| kept.begun()) {
                    self.writer.waiting(&mut blocks.bytes);
                    if blocks.hand_on(Some(kept)) {
                        self.writer.written();
                    }
                    kept.tell();
                }
            }
            Word::Attempted(attempt) => self.watch.attempted(*attempt),
            Word::Marked(at, note) => {
                let steady = nanos(at).saturating_add_signed(self.ahead.saturating_neg());
                let there = steady.saturating_add_signed(self.watch.offset());
                self.writer.mark(there, &format!("{} {}", at.format("%H:%M:%SZ"), note.shown()));
            }
        }
    }

    /// Nothing more is kept: the markers that no packet took stand at the end of the file.
    async fn finish(&mut self, blocks: &mut Blocks) {
        let Some(kept) = self.kept.take() else { return };
        let mut last = std::mem::take(&mut blocks.bytes);
        if kept.begun() {
            self.writer.waiting(&mut last);
            self.writer.written();
        }
        let told = tokio::task::spawn_blocking(|| kept.end(last)).await.unwrap_or_default();
        self.task.tell_kept(told).await;
    }

    /// Waits, and hears what others say meanwhile.
    async fn wait(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                Some(word) = self.words.recv() => self.word(word, &mut Blocks::default()).await,
            }
        }
        self.hand_on().await;
    }

    async fn hand_on(&mut self) {
        let now = self.task.now();
        let ahead = self.task.captures.steady.ahead();
        if std::mem::replace(&mut self.ahead, ahead).abs_diff(ahead) > STEP {
            self.watch.stepped(now);
        }
        let found = self.watch.found(now);
        self.task.outbox.rows(found.rows, found.left_out);
        for mut event in found.events {
            by_the_clock(&mut event, ahead);
            self.task.tell(event).await;
        }
        let Some(kept) = &self.kept else { return };
        if Instant::now() >= self.tells {
            kept.tell();
            self.tells = Instant::now() + TELL;
        }
        let told = kept.told();
        self.task.tell_kept(told).await;
    }

    /// Told once for each reason.
    async fn unseen(&mut self, failure: &Failure) {
        self.watch.end();
        if self.said.as_ref() != Some(&failure.what) {
            self.said = Some(failure.what.clone());
            let host = self.task.asker.host().clone();
            self.task.tell(PacketEvent::Unseen { host, why: failure.what.clone() }).await;
        }
    }

    /// Follows a stream to its end: why it ended, and whether it ever began.
    async fn follow(&mut self, mut stream: OutputStream, mut head: Head) -> (Failure, bool) {
        let host = self.task.asker.host().clone();
        let (mut began, mut errors) = (false, Errors::default());
        let mut next = Instant::now() + IDLE;
        let failed = |kind, what: String| Failure::new(kind, format!("{host}: {what}"));
        let late = Instant::now() + Duration::from(Verb::Capture(Vec::new()).timeout());
        let mut blocks = Blocks::default();
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => {
                    if !began && Instant::now() > late {
                        return (failed(FailureKind::TimedOut, "its capture did not begin in time".into()), began);
                    }
                    blocks.hand_on(self.kept.as_mut());
                    self.hand_on().await;
                    next = Instant::now() + IDLE;
                }
                chunk = stream.next() => match chunk {
                    Some(Chunk { source: Source::Stderr, bytes, .. }) => {
                        errors.push(&bytes, |line| self.said(line, &mut blocks));
                    }
                    // What is missing would be taken for a packet.
                    Some(Chunk { left_out, .. }) if left_out > 0 => {
                        let what = "its capture was faster than this machine: begun anew";
                        return (failed(FailureKind::Local, what.into()), began);
                    }
                    Some(Chunk { bytes, .. }) => {
                        let packets = if began {
                            bytes
                        } else {
                            match head.push(&bytes) {
                                Ok(None) => continue,
                                Ok(Some((answer, rest))) => {
                                    began = true;
                                    self.begin(Begun::read(&answer), &mut blocks).await;
                                    rest
                                }
                                Err((kind, what)) => return (failed(kind, what), began),
                            }
                        };
                        if let Err(error) = self.take(&packets, &mut blocks) {
                            return (failed(FailureKind::Malformed, error.to_string()), began);
                        }
                        next = next.min(Instant::now() + BUSY);
                    }
                    None => {
                        blocks.hand_on(self.kept.as_mut());
                        return (ended(&host, head.finish(), stream, errors.last()).await, began);
                    }
                },
                Some(word) = self.words.recv() => self.word(word, &mut blocks).await,
            }
        }
    }

    async fn begin(&mut self, begun: Begun, blocks: &mut Blocks) {
        let host = self.task.asker.host().clone();
        let now = self.task.now();
        self.watch.begin(begun.interfaces.clone(), begun.clock, now);
        blocks.about = Some((begun, now));
        self.said = None;
        self.task.tell(PacketEvent::Running { host }).await;
    }

    fn take(&mut self, bytes: &[u8], blocks: &mut Blocks) -> Result<(), capture::PcapError> {
        let now = self.task.now();
        let Self { task, watch, writer, kept, ahead, .. } = self;
        let (offset, host) = (watch.offset(), task.asker.host());
        watch.push(bytes, now, |link, raw| {
            let Some(kept) = kept else { return };
            if let Some((begun, clock)) = blocks.about.take() {
                let left_out = kept.left_out();
                let note = if left_out > 0 {
                    format!("{left_out} packets before it left out")
                } else {
                    String::new()
                };
                let about = About {
                    host,
                    link,
                    snap: SNAP,
                    interfaces: &begun.interfaces,
                    filter: &begun.filter,
                    clock: clock.saturating_add_signed(*ahead),
                    offset: offset.saturating_sub(*ahead),
                    note: &note,
                };
                kept.begin(writer.begin(&about));
            }
            writer.packet(link, raw, &mut blocks.bytes);
            blocks.packets += 1;
        })
    }

    /// What tcpdump says beside the packets: counts, and why it ends.
    fn said(&mut self, line: &str, blocks: &mut Blocks) {
        let Some(count) = capture::dropped(line) else { return };
        let now = self.task.now();
        self.watch.counted(capture::captured(line), count, now);
        if count > 0 && self.kept.is_some() && blocks.about.is_none() {
            let there = now.saturating_add_signed(self.watch.offset());
            self.writer.dropped(there, count, &mut blocks.bytes);
        }
    }
}

/// Blocks of packets on their way to the disk.
#[derive(Default)]
struct Blocks {
    /// What a stream began with and when, until its first packet has told the link type.
    about: Option<(Begun, u64)>,
    bytes: Vec<u8>,
    packets: u64,
}

impl Blocks {
    /// Whether all that there was is on its way.
    fn hand_on(&mut self, kept: Option<&mut Kept>) -> bool {
        let Some(kept) = kept.filter(|_| !self.bytes.is_empty()) else { return true };
        kept.keep(std::mem::take(&mut self.bytes), std::mem::take(&mut self.packets))
    }
}

/// Why a stream ended by itself.
async fn ended(
    host: &HostName,
    head: Option<(FailureKind, String)>,
    stream: OutputStream,
    said: Option<&Untrusted>,
) -> Failure {
    let end = stream.end().await;
    let words = |status: &ExitStatus| match said {
        Some(said) => said.raw().to_owned(),
        None => status.to_string(),
    };
    match (end, head) {
        (Err(error), _) => super::ask::failure(host, &error),
        // It was refused in so many words.
        (Ok(_), Some((FailureKind::Refused, what))) => {
            Failure::new(FailureKind::Refused, format!("{host}: {what}"))
        }
        // No helper answers: sudo said no, or something else is there.
        (Ok(status), Some((kind, what))) => Failure::new(kind, format!("{host}: {what}; {}", words(&status))),
        (Ok(status), None) => {
            Failure::new(FailureKind::Failed, format!("{host}: its tcpdump ended: {}", words(&status)))
        }
    }
}

#[cfg(test)]
mod tests;
