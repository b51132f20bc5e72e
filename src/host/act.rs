//! Effects: what the loop wants done on hosts, done. Each runs as a task of its own and answers once.
//!
//! A lost connection is no answer: the work on the host goes on, so it is waited for, and the loop is
//! told that the host is lost and back. Nothing here decides what is done.

mod bootback; // a rollback that goes on after a boot
mod carry; // a stage, and package files that other hosts have
mod contact; // kept connections, watched while nothing is asked
mod evidence; // what a host is like, kept
mod inspect; // after a crash
mod probing; // probes, from wherever they are made
mod timer; // the dead-man timer's part

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::probing::{Askers, Looking, probing};
use super::ask::Asker;
use super::capture::{self, Captures};
use super::ended::{Ended, applied};
use super::frame::Answer as Frames;
use super::logs;
use super::operation::{OperationReport, OperationState, Spec, SpecPackage};
use super::outcome::VerifyResult;
use super::verb::{FactWord, Verb, Work as VerbWork};
use crate::conductor::shell::{Outbox, Outside};
use crate::core::effect::{Effect, OnHost, Started};
use crate::core::event::{Failure, FailureKind, HelperState, Inspected, LogLine, LogSource, VerifyReport};
use crate::core::state::Work;
use crate::core::{Answer, Change, Sample};
use crate::facts::{self, Boot, Domain, Fact};
use crate::probe;
use crate::types::{BootId, HostName, OperationId, Seq, Span, Time, Untrusted};

/// Between two attempts to reach a host that is away: longer each time, up to the last.
const WAITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// How long an order that has not reached the host is tried, in all. After that it is a failure that
/// is seen and decided on.
const ORDER: Duration = Duration::from_secs(10 * 60);
/// How long the end of work that began on a host is waited for: longer than any window.
const WORK: Duration = Duration::from_secs(8 * 60 * 60);
/// How long a host may take to come back from a reboot: servers check memory and disks.
const REBOOT: Duration = Duration::from_secs(20 * 60);
/// How long one question for an operation's news waits on the host, in seconds.
const NEWS: u8 = 20;

/// Asks for the moment.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// The hosts of a plan, and how effects reach them.
pub struct Hosts {
    askers: BTreeMap<HostName, Asker>,
    /// Further places to look from; nothing else is asked of them.
    places: BTreeMap<HostName, Asker>,
    /// Where evidence is kept; nowhere where nothing is recorded.
    recording: Option<PathBuf>,
    clock: Clock,
    captures: Captures,
    folder: Option<PathBuf>,
    /// Hosts whose kept connections are watched.
    watched: Mutex<BTreeSet<HostName>>,
}

impl Hosts {
    /// These hosts.
    pub fn new(askers: impl IntoIterator<Item = Asker>, clock: Clock) -> Self {
        let (places, captures) = (BTreeMap::new(), Captures::new(Arc::clone(&clock)));
        let (recording, folder, watched) = (None, None, Mutex::default());
        Self { askers: by_name(askers), places, recording, clock, captures, folder, watched }
    }

    /// From the first effect on a host on, the loop is told when its kept connection is lost, and when it stands
    /// again: an idle host is asked nothing for minutes, and one that stops answering would be taken for reached.
    fn watch(&self, asker: &Asker, outbox: &Outbox) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.insert(asker.host().clone()) {
            let (host, contact) = (asker.host().clone(), asker.link().contact());
            tokio::spawn(contact::tell(host, contact, outbox.clone()));
        }
    }

    /// The same, with evidence kept in this recording, and captured packets in that folder of it.
    pub fn keeping(mut self, recording: PathBuf, captures: PathBuf) -> Self {
        (self.recording, self.folder) = (Some(recording), Some(captures));
        self
    }

    /// The captures that run, for those who have something to tell them.
    pub fn captures(&self) -> Captures {
        self.captures.clone()
    }

    /// The same, with these further places to look from.
    pub fn with_places(mut self, places: impl IntoIterator<Item = Asker>) -> Self {
        self.places = by_name(places);
        self
    }
}

fn by_name(askers: impl IntoIterator<Item = Asker>) -> BTreeMap<HostName, Asker> {
    askers.into_iter().map(|asker| (asker.host().clone(), asker)).collect()
}

impl Outside for Hosts {
    fn start(&self, started: Started, outbox: &Outbox) {
        let Started { id, effect } = started;
        let outbox = outbox.clone();
        if let Effect::Probe { probes, tls_ca } = effect {
            let means = probe::Means::new(Arc::clone(&self.clock), tls_ca.map(Into::into));
            let registrar = capture::Registrar::new(self.captures.clone(), &probes);
            let askers = self.askers.iter().chain(&self.places);
            let places = Askers(askers.map(|(name, asker)| (name.clone(), asker.clone())).collect());
            tokio::spawn(probing(id, probes, Looking { places, means, registrar }, outbox));
            return;
        }
        let peers = effect.supply().into_iter().flat_map(|supply| &supply.peers);
        let peers = peers.filter_map(|peer| self.askers.get(peer)).cloned().collect();
        let Some(asker) = effect.host().and_then(|host| self.askers.get(host)).cloned() else {
            outbox.answer(id, Answer::Inspected(Inspected::NeverBegan, "the host is not in the plan".into()));
            return;
        };
        self.watch(&asker, &outbox);
        if let Effect::Follow { files, .. } = effect {
            let task = logs::Task { id, asker, outbox: outbox.clone(), clock: Arc::clone(&self.clock) };
            tokio::spawn(async move { outbox.answer(id, Answer::LogsEnded(task.run(files).await)) });
            return;
        }
        if let Effect::Capture { addresses, .. } = effect {
            let (clock, folder) = (Arc::clone(&self.clock), self.folder.clone());
            let captures = self.captures.clone();
            let task = capture::Task { id, asker, outbox: outbox.clone(), clock, folder, captures };
            tokio::spawn(async move { outbox.answer(id, Answer::CaptureEnded(task.run(&addresses).await)) });
            return;
        }
        let (clock, recording) = (Arc::clone(&self.clock), self.recording.clone());
        let captures = self.captures.clone();
        let task = Task { id, asker, peers, outbox, recording, clock, captures };
        tokio::spawn(async move {
            let answer = task.carry_out(effect).await;
            task.outbox.answer(id, answer);
        });
    }
}

/// One effect on one host.
struct Task {
    id: Seq,
    asker: Asker,
    /// Who may have package files that this host lacks.
    peers: Vec<Asker>,
    outbox: Outbox,
    /// Where evidence is kept.
    recording: Option<PathBuf>,
    clock: Clock,
    captures: Captures,
}

impl Task {
    async fn carry_out(&self, effect: Effect) -> Answer {
        match effect {
            Effect::Read { claim, .. } => Answer::Read(self.read(claim).await),
            Effect::Stage(on, changes, supply) => Answer::Staged(self.stage(&on, &changes, &supply).await),
            Effect::Apply(on, arming) => self.apply(&on, arming.as_ref()).await,
            Effect::Timer { on, token, extend } => self.timer(&on, &token, extend).await,
            Effect::Confirm { on, arming } => self.confirm(&on, &arming).await,
            Effect::Rollback(on, rehearsed) => {
                let work = if rehearsed { VerbWork::RehearsedRollback } else { VerbWork::Rollback };
                Answer::RolledBack(match self.operate(&on, work).await {
                    Ok(ended) => self.rolled_back(&on, ended).await,
                    Err(failure) => Err(failure),
                })
            }
            Effect::Reboot { on, was, .. } => Answer::Rebooted(self.reboot(&on, &was).await),
            Effect::Verify { on, after_rollback, changes } => {
                let began = Instant::now();
                let report = self.verify(&on, after_rollback, &changes).await;
                Answer::Verified(report, elapsed(began))
            }
            Effect::Inspect { on, work: Work::Stage, changes, supply, .. } => {
                match self.claim(on.epoch, WORK).await {
                    Ok(()) => self.inspect_stage(&on, &changes, &supply).await,
                    Err(failure) => Answer::Inspected(Inspected::Unknown, failure.what),
                }
            }
            Effect::Inspect { on, work, was, arming, .. } => {
                self.inspect(&on, work, was.as_ref(), arming.as_ref()).await
            }
            // Started elsewhere: they go on until told otherwise.
            Effect::Probe { .. } | Effect::Follow { .. } | Effect::Capture { .. } => {
                Answer::WatchEnded("not started here".into())
            }
            Effect::Evidence { .. } => Answer::Evidence(self.evidence().await),
        }
    }

    fn say(&self, text: impl AsRef<str>) {
        self.line(LogSource::Holdpoint, Untrusted::new(text));
    }

    fn line(&self, source: LogSource, text: Untrusted) {
        let host = self.asker.host().clone();
        self.outbox.line(LogLine::new(host, source, (self.clock)(), text));
    }

    async fn read(&self, claim: Option<u64>) -> Result<(), Failure> {
        let mut helper = self.asker.greet().await?;
        if let Some(epoch) = claim.filter(|_| helper.enrolled) {
            match self.claim(epoch, Duration::ZERO).await {
                Ok(()) => helper.epoch = epoch,
                // It can be read all the same; gate lock holds, since the epoch on the host is not ours.
                Err(failure) => {
                    self.say(format!("the host was not taken over: {}", failure.what.raw()));
                    // The epoch of the first greeting may be from before it was taken over by another.
                    helper = self.asker.greet().await?;
                }
            }
        }
        let host = self.asker.host().clone();
        self.outbox.sample(self.id, Sample::Greeted { host, helper }).await;
        self.learn(Duration::ZERO).await
    }

    async fn learn(&self, patience: Duration) -> Result<(), Failure> {
        let answer = self.ask_until(&Verb::Facts(Vec::new()), 0, patience).await?;
        for domain in facts::read(&answer.sections, (self.clock)()) {
            let host = self.asker.host().clone();
            self.outbox.sample(self.id, Sample::Learnt { host, domain }).await;
        }
        Ok(())
    }

    /// Asks until there is an answer, for as long as it may take. The loop is told when the host is
    /// lost and when it is back.
    async fn ask_until(&self, verb: &Verb, epoch: u64, limit: Duration) -> Result<Frames, Failure> {
        let deadline = Instant::now() + limit;
        let mut lost = None;
        let mut waits = WAITS.iter().copied();
        let host = self.asker.host().clone();
        loop {
            match self.asker.ask(verb, epoch).await {
                Ok(answer) => {
                    if lost.is_some() {
                        self.outbox.sample(self.id, Sample::Back { host }).await;
                    }
                    return Ok(answer);
                }
                Err(failure) if may_pass(failure.kind) && Instant::now() < deadline => {
                    // Told once, and again where silence turns into an answer or the other way round. Where what is asked
                    // takes too long, or something else is in its way, the host answers.
                    let answers = failure.kind == FailureKind::NoSession;
                    let away = answers || failure.kind == FailureKind::Unreachable;
                    if away && lost.replace(answers) != Some(answers) {
                        let (host, why) = (host.clone(), failure.what.clone());
                        let sample = if answers {
                            Sample::NoSession { host, why }
                        } else {
                            Sample::Lost { host, why }
                        };
                        self.outbox.sample(self.id, sample).await;
                    }
                    tokio::time::sleep(waits.next().unwrap_or(WAITS[WAITS.len() - 1])).await;
                }
                Err(failure) => {
                    // Told before the answer, so that nothing more is tried there.
                    if let Some(epoch) = self.asker.overtaken() {
                        let helper = HelperState { enrolled: true, why_not: None, epoch };
                        self.outbox.sample(self.id, Sample::Greeted { host, helper }).await;
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Starts an operation and follows it to its end. Starting again what was started starts nothing,
    /// so an order whose answer was lost is simply given again.
    async fn operate(&self, on: &OnHost, work: VerbWork) -> Result<Ended, Failure> {
        let start = Verb::Start { operation: on.operation.clone(), batch: on.batch.clone(), work };
        self.ask_until(&start, on.epoch, ORDER).await?;
        match self.follow(&on.operation).await? {
            Followed::Ended(ended) => Ok(ended),
            Followed::Unknown => Err(Failure::new(
                FailureKind::Failed,
                format!(
                    "{}: how {} ended can't be told: its process is gone and left no result",
                    on.host, on.operation
                ),
            )),
        }
    }

    async fn follow(&self, operation: &OperationId) -> Result<Followed, Failure> {
        let mut offset = 0;
        loop {
            let read = Verb::Read { operation: operation.clone(), offset, wait: NEWS };
            let answer = self.ask_until(&read, 0, WORK).await?;
            let log = answer.section("log").into_iter().flat_map(|section| &section.lines);
            for line in log {
                self.line(LogSource::Operation(operation.clone()), Untrusted::from_bytes(line));
            }
            let report = self.report(&answer)?;
            let moved = report.next > offset;
            offset = report.next;
            match report.state {
                OperationState::Running => {}
                // The rest of the log first.
                OperationState::Done(_) | OperationState::Unknown if moved => {}
                OperationState::Unknown => return Ok(Followed::Unknown),
                OperationState::Done(exit) => {
                    let answer = self.ask_until(&Verb::Result(operation.clone()), 0, WORK).await?;
                    let section = answer.section("result").cloned();
                    let section = section.ok_or_else(|| self.malformed("the operation has no result"))?;
                    let (host, boot) = (self.asker.host().clone(), report.boot);
                    return Ok(Followed::Ended(Ended { host, exit, boot, section }));
                }
            }
        }
    }

    fn report(&self, answer: &Frames) -> Result<OperationReport, Failure> {
        let section = answer.section("state").ok_or_else(|| self.malformed("the operation has no state"))?;
        OperationReport::parse(section).map_err(|e| self.malformed(&e.to_string()))
    }

    fn malformed(&self, what: &str) -> Failure {
        Failure::new(FailureKind::Malformed, format!("{}: {what}", self.asker.host()))
    }

    async fn boot(&self) -> Result<Boot, Failure> {
        let answer = self.asker.ask(&Verb::Facts(vec![FactWord::Boot]), 0).await?;
        let domains = facts::read(&answer.sections, (self.clock)());
        let boot = domains.into_iter().find_map(|domain| match domain {
            Domain::Boot(Fact::Known(boot)) => Some(boot),
            _ => None,
        });
        boot.ok_or_else(|| self.malformed("its boot id can't be read"))
    }

    /// A reboot is over when the host shows another boot id twice.
    async fn reboot(&self, on: &OnHost, was: &BootId) -> Result<(BootId, Span), Failure> {
        let began = Instant::now();
        let order = Verb::Reboot { batch: on.batch.clone(), boot: was.clone() };
        self.ask_until(&order, on.epoch, ORDER).await?;
        self.say("reboot ordered; the host is expected to go away and come back");
        self.asker.link().close().await;
        let mut seen: Option<BootId> = None;
        while began.elapsed() < REBOOT {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let Ok(boot) = self.boot().await else {
                // A connection that died with the host is of no use any more.
                self.asker.link().close().await;
                continue;
            };
            if boot.boot_id == *was {
                continue;
            }
            if seen.as_ref() == Some(&boot.boot_id) {
                self.say(format!("back after {} with another boot id", elapsed(began).brief()));
                return Ok((boot.boot_id, elapsed(began)));
            }
            seen = Some(boot.boot_id);
        }
        Err(Failure::new(
            FailureKind::TimedOut,
            format!(
                "{} is not back {} after its reboot was ordered: look at its console",
                on.host,
                elapsed(began).brief()
            ),
        ))
    }

    async fn verify(&self, on: &OnHost, back: bool, changes: &[Change]) -> Result<VerifyReport, Failure> {
        let answer = self.ask_until(&Verb::Verify(on.batch.clone()), 0, ORDER).await?;
        let result = VerifyResult::parse(&answer.sections).map_err(|e| self.malformed(&e.to_string()))?;
        // The facts of before say nothing about what was done since.
        self.learn(ORDER).await?;
        let wrong = changes.iter().filter_map(|change| {
            let wanted = if back { change.from.as_ref() } else { Some(&change.to) };
            let left = result.packages.iter().find(|left| left.package == change.package);
            let version = left.and_then(|left| left.version.as_ref());
            let status = left.map(|left| left.status.raw()).unwrap_or_default();
            let right = match (wanted, version) {
                (Some(wanted), Some(version)) => {
                    wanted.as_str() == version.as_str() && status == "install ok installed"
                }
                // What was not there before is gone, or only its configuration is left.
                (None, _) => !status.ends_with(" installed"),
                (Some(_), None) => false,
            };
            let words =
                |version: Option<&crate::types::Version>| version.map_or("-".to_owned(), ToString::to_string);
            (!right).then(|| {
                Untrusted::new(format!(
                    "{}: {} ({status}), wanted {}",
                    change.package,
                    words(version),
                    words(wanted)
                ))
            })
        });
        Ok(VerifyReport {
            wrong: wrong.collect(),
            etc_same: result.etc_same,
            // None: nothing was saved, since the apply never began; so nothing of it can differ.
            etc_differs: result.etc_differs.unwrap_or_default(),
            audit: result.audit,
        })
    }
}

/// How following an operation ended.
enum Followed {
    Ended(Ended),
    Unknown,
}

fn may_pass(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable | FailureKind::NoSession | FailureKind::TimedOut | FailureKind::Busy => true,
        FailureKind::HostKey
        | FailureKind::Login
        | FailureKind::NotEnrolled
        | FailureKind::Refused
        | FailureKind::Malformed
        | FailureKind::Failed
        | FailureKind::Local => false,
    }
}

fn elapsed(since: Instant) -> Span {
    Span::ms(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}

fn spec(changes: &[Change]) -> Spec {
    let packages = changes.iter().map(|change| SpecPackage {
        package: change.package.clone(),
        from: change.from.clone(),
        to: Some(change.to.clone()),
        sha256: change.sha256,
    });
    Spec::new(packages.collect())
}
