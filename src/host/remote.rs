//! Probes that hosts and further places make: what is due at one place at about the same time is asked in
//! one question.
//!
//! What the plan wants judged keeps the plan's pace. What only explains is looked at seldom while what it
//! explains is fine, and then takes a host no more than a third of the time: its own work goes before. Once it
//! fails it is looked at at once and every few seconds, and a slow host is left alone for as long as it needed, up
//! to a few seconds. Time that an attempt waits for an answer is no work. There is one question at a time of each
//! kind, so nothing piles up. A place that can't be asked is no failure of any target.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::core::event::{FailKind, ProbeOutcome, Sighting, Vantage};
use crate::core::tasks::pace;
use crate::core::{ProbeTask, Subject};
use crate::host::look::{Look, Looked, MOST};
use crate::plan::ProbeTarget;
use crate::probe::{Attempt, shown_elsewhere};
use crate::types::{HostName, Span, Untrusted};

/// What is due within this time is asked with what is due now.
const TOGETHER: Span = Span::ms(250);
/// The first questions are spread over this time.
const SPREAD: Span = Span::secs(1);
/// What explains a failure is made no more often, and no more seldom.
const QUICK: (Span, Span) = (Span::secs(2), Span::secs(5));
/// Attempts in one question that only explains.
const SOME: usize = 24;
/// Between questions that only explain, at least, and at most however long the last took.
const PAUSE: (Span, Span) = (Span::ms(300), Span::secs(10));
/// The most before a question that explains a failure.
const SHORT_PAUSE: Span = Span::secs(3);
/// How long a place is left alone that can't be asked, and one that must not be asked again and again: its
/// key is wrong, or it refuses the login.
const LEFT_ALONE: (Span, Span) = (Span::secs(2), Span::secs(60));

/// Whoever can be asked to look.
pub trait Places {
    /// What that place says of these, one for each.
    fn ask(
        &self,
        place: &HostName,
        looks: Vec<Look>,
    ) -> impl Future<Output = Result<Vec<Looked>, Unasked>> + Send;
}

/// Why a place could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// In words.
    pub why: Untrusted,
    /// Whether asking again soon is useless, or looks like an attack.
    pub is_final: bool,
}

/// Which targets fail where the plan wants them judged: what explains them is then looked at at once.
#[derive(Debug, Default)]
pub struct Board {
    failing: Mutex<BTreeSet<Subject>>,
    news: Notify,
}

impl Board {
    fn failing(&self) -> MutexGuard<'_, BTreeSet<Subject>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in how an attempt went that is judged; anything but a pass counts.
    pub fn took(&self, subject: &Subject, outcome: &ProbeOutcome) {
        let mut failing = self.failing();
        let changed = match outcome {
            ProbeOutcome::Ok { .. } => {
                failing.remove(subject);
                false
            }
            ProbeOutcome::Fail { .. } | ProbeOutcome::Broken { .. } => failing.insert(subject.clone()),
        };
        drop(failing);
        if changed {
            self.news.notify_waiters();
        }
    }
}

/// Has every task made at its place, again and again, and reports every attempt; never ends by itself unless
/// there is nothing to do. A place has one question at a time of what is judged, for each timeout, and one of what
/// explains.
pub async fn watch<P, R, F>(tasks: Vec<ProbeTask>, places: &P, board: &Board, report: R)
where
    P: Places,
    R: Fn(Subject, Vantage, Attempt) -> F,
    F: Future<Output = ()>,
{
    // An answer comes once the slowest of a question is done: what is judged waits for nothing that may take longer.
    let mut groups: BTreeMap<(HostName, Option<Span>), Vec<ProbeTask>> = BTreeMap::new();
    for task in tasks {
        if let Some(place) = task.place() {
            let timeout = task.is_prompt().then_some(task.probe.timeout);
            groups.entry((place.clone(), timeout)).or_default().push(task);
        }
    }
    let count = groups.len();
    let began = Instant::now();
    let watched: FuturesUnordered<_> = groups
        .into_iter()
        .enumerate()
        .map(|(nth, ((place, timeout), tasks))| {
            let prompt = timeout.is_some();
            let first = began + Span::ms(SPREAD.as_ms() * nth as u64 / count as u64).into();
            let tasks = tasks.into_iter().map(|task| Kept { task, begun: None }).collect();
            let rested = Rested { all: first, failing: first };
            let group = Group { place, prompt, tasks, places, board, rested };
            group.watch(first, &report)
        })
        .collect();
    watched.for_each(|()| std::future::ready(())).await;
}

/// A task, and when it was last begun.
struct Kept {
    task: ProbeTask,
    begun: Option<Instant>,
}

/// Tasks of one place that are asked for together.
struct Group<'p, P> {
    place: HostName,
    prompt: bool,
    tasks: Vec<Kept>,
    places: &'p P,
    board: &'p Board,
    rested: Rested,
}

/// From when on a place may be asked again.
struct Rested {
    all: Instant,
    /// For what explains a failure.
    failing: Instant,
}

impl<P: Places> Group<'_, P> {
    async fn watch<R, F>(mut self, first: Instant, report: &R)
    where
        R: Fn(Subject, Vantage, Attempt) -> F,
        F: Future<Output = ()>,
    {
        tokio::time::sleep_until(first).await;
        loop {
            let board = self.board;
            let news = board.news.notified();
            tokio::pin!(news);
            // From here on none is missed.
            news.as_mut().enable();
            let now = Instant::now();
            let due = self.due(now);
            let Some(due) = due.first().filter(|(at, _)| *at <= now).map(|_| due.clone()) else {
                let Some((soonest, _)) = due.first() else { return };
                tokio::select! {
                    () = tokio::time::sleep_until(*soonest) => {}
                    () = news, if !self.prompt => {}
                }
                continue;
            };
            let most = if self.prompt { MOST } else { SOME };
            let chosen: Vec<usize> = due
                .into_iter()
                .filter(|(at, _)| *at <= now + TOGETHER.into())
                .take(most)
                .map(|(_, which)| which)
                .collect();
            let rest = self.ask(&chosen, now, report).await;
            let now = Instant::now();
            self.rested = Rested { all: now + rest.all.into(), failing: now + rest.failing.into() };
        }
    }

    /// When each is due, the soonest first.
    fn due(&self, now: Instant) -> Vec<(Instant, usize)> {
        let failing = self.board.failing();
        let when = |kept: &Kept| {
            let probe = &kept.task.probe;
            let (every, rested) = match kept.task.is_prompt() {
                // A plan can't say "every 0s".
                true => (probe.every.max(Span::ms(1)), self.rested.all),
                false if failing.contains(&kept.task.id) => {
                    (probe.every.min(QUICK.1).max(QUICK.0), self.rested.failing)
                }
                false => (pace(probe, &kept.task.vantage), self.rested.all),
            };
            kept.begun.map_or(now, |begun| begun + every.into()).max(rested)
        };
        let mut due: Vec<_> = self.tasks.iter().enumerate().map(|(at, kept)| (when(kept), at)).collect();
        due.sort_unstable();
        due
    }

    /// Asks for these and reports them; says how long the place is then left alone.
    async fn ask<R, F>(&mut self, chosen: &[usize], now: Instant, report: &R) -> Rest
    where
        R: Fn(Subject, Vantage, Attempt) -> F,
        F: Future<Output = ()>,
    {
        let mut looks = Vec::new();
        let mut asked = Vec::new();
        let mut made = Vec::new();
        for which in chosen.iter().copied() {
            let Some(kept) = self.tasks.get_mut(which) else { continue };
            kept.begun = Some(now);
            let task = &kept.task;
            match Look::new(&task.probe.target, task.address, task.probe.timeout) {
                Ok(look) => {
                    looks.push(look);
                    asked.push(which);
                }
                Err(error) => made.push((which, Attempt::broken(&error.to_string()))),
            }
        }
        let mut rest = Span::ZERO;
        if !looks.is_empty() {
            match self.places.ask(&self.place, looks).await {
                Ok(looked) => {
                    let attempts = looked.into_iter();
                    made.extend(asked.into_iter().zip(attempts).map(|(which, looked)| {
                        let task = self.tasks.get(which).map(|kept| &kept.task);
                        let mut whole = looked.whole;
                        let mut attempt = attempt(looked, task.and_then(peer));
                        // Hosts are asked for the status alone: what was not looked at is said.
                        if let ProbeOutcome::Ok { said, .. } = &mut attempt.outcome
                            && task.is_some_and(|task| task.probe.body.is_some())
                        {
                            *said = Untrusted::new(format!("{}; its body not looked at", said.raw()));
                            whole = false;
                        }
                        // A part explains something, and is no pass of what the plan wants judged from there.
                        if let (false, ProbeOutcome::Ok { said, .. }) = (whole, &attempt.outcome)
                            && task.is_some_and(is_judged)
                        {
                            attempt.outcome = ProbeOutcome::Broken { why: said.clone() };
                        }
                        (which, attempt)
                    }));
                }
                Err(Unasked { why, is_final }) => {
                    let attempt =
                        Attempt::broken(&format!("{} could not be asked: {}", self.place, why.raw()));
                    made.extend(asked.into_iter().map(|which| (which, attempt.clone())));
                    rest = if is_final { LEFT_ALONE.1 } else { LEFT_ALONE.0 };
                }
            }
        }
        let took = crate::probe::since(now);
        // One that waits for an answer in vain keeps nobody at work.
        let in_vain = |(which, attempt): &(usize, Attempt)| {
            let timeout = self.tasks.get(*which)?.task.probe.timeout;
            matches!(attempt.outcome, ProbeOutcome::Fail { kind: FailKind::NoAnswer | FailKind::Silence, .. })
                .then_some(timeout)
        };
        let waited = made.iter().filter_map(in_vain).max().unwrap_or(Span::ZERO);
        let work = Span::ms(took.as_ms().saturating_sub(waited.as_ms()));
        for (which, attempt) in made {
            let Some(Kept { task, .. }) = self.tasks.get(which) else { continue };
            report(task.id.clone(), task.vantage.clone(), attempt).await;
        }
        if self.prompt {
            return Rest { all: rest, failing: rest };
        }
        let pause = Span::ms(work.as_ms().saturating_mul(2)).max(PAUSE.0).min(PAUSE.1);
        Rest { all: rest.max(pause), failing: rest.max(work.max(PAUSE.0).min(SHORT_PAUSE)) }
    }
}

/// How long a place is left alone: in general, and by what explains a failure.
struct Rest {
    all: Span,
    failing: Span,
}

/// Whether the plan wants that target judged by what is seen from there.
fn is_judged(task: &ProbeTask) -> bool {
    match task.id {
        Subject::Customer(_) => task.vantage.judges(task.probe.from),
        Subject::Control(_) => false,
    }
}

/// The other end, where the plan says it.
fn peer(task: &ProbeTask) -> Option<SocketAddr> {
    let port = match &task.probe.target {
        ProbeTarget::Tcp { port } | ProbeTarget::Tls { port, .. } | ProbeTarget::Http { port, .. } => *port,
        ProbeTarget::Dns { .. } => 53,
        ProbeTarget::Ping | ProbeTarget::Postgres { .. } | ProbeTarget::Exec { .. } => return None,
    };
    Some(SocketAddr::new(task.address?, port))
}

fn attempt(looked: Looked, peer: Option<SocketAddr>) -> Attempt {
    let Looked { outcome, whole: _, local, phases, status, certificate } = looked;
    let against = match &outcome {
        ProbeOutcome::Fail { why, kind: FailKind::Certificate } => Some(why.clone()),
        ProbeOutcome::Ok { .. } | ProbeOutcome::Fail { .. } | ProbeOutcome::Broken { .. } => None,
    };
    let certificate = certificate.and_then(|der| shown_elsewhere(&der, against)).map(Box::new);
    let sighting = Sighting { local, peer, phases, certificate, status };
    Attempt { outcome, sighting }
}

#[cfg(test)]
mod tests;
