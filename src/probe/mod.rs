//! Probes from outside: what is looked at again and again from the cockpit's machine.
//!
//! `dialer` makes every connection, `resolve` finds addresses, and each kind of probe has a file of its own. Nothing here may judge (how many failures are a FAIL is core's), know a state or a
//! screen, or send anything that changes something on a target.

mod certificate; // what stands in one, judged
mod dialer;
mod dns;
mod ear; // the raw socket of icmp
mod echo; // messages of icmp
mod http;
mod icmp;
mod login; // user and password of a database
mod postgres;
mod resolve;
mod roots; // whom this machine trusts
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use regex::bytes::Regex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

pub use certificate::shown_elsewhere;
pub use dialer::{DialError, Dialed, dial, since};

use crate::core::event::{FailKind, ProbeOutcome, Sighting, Vantage};
use crate::core::{ProbeTask, Subject};
use crate::plan::{ProbeTarget, pattern};
use crate::types::{Span, Time, Untrusted};
use resolve::Resolver;
use roots::Roots;

/// Attempts at a time: each has a socket, and a process usually has 1024.
const AT_ONCE: usize = 256;
/// The first attempts are spread over this time, or over the interval where that is shorter.
const SPREAD: Span = Span::secs(1);
/// In so many steps: a timer for each probe alone would keep the machine from sleeping.
const STEPS: u64 = 10;

/// Asks for the moment.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What probes are made with: this machine's names, roots, time, and who its user is for a database.
pub struct Means {
    clock: Clock,
    resolver: Resolver,
    roots: Roots,
    environment: login::Environment,
    ears: ear::Ears,
    patterns: Patterns,
}

/// Patterns of bodies, each made ready once and for all its attempts.
#[derive(Default)]
struct Patterns(Mutex<BTreeMap<String, Result<Arc<Regex>, String>>>);

impl Patterns {
    fn ready(&self, text: &str) -> Result<Arc<Regex>, String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(text) {
            Some(ready) => ready.clone(),
            None => {
                let ready = pattern(text).map(Arc::new);
                all.insert(text.to_owned(), ready.clone());
                ready
            }
        }
    }
}

impl Means {
    /// With the plan's file of certificates beside the system's roots.
    pub fn new(clock: Clock, tls_ca: Option<PathBuf>) -> Self {
        let environment = Arc::new(|word: &str| std::env::var_os(word));
        Self {
            clock,
            resolver: Resolver::new(),
            roots: Roots::new(tls_ca),
            environment,
            ears: ear::Ears::default(),
            patterns: Patterns::default(),
        }
    }

    fn now(&self) -> Time {
        (self.clock)()
    }
}

/// One attempt, with what finds it in a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it went.
    pub outcome: ProbeOutcome,
    /// What else it saw.
    pub sighting: Sighting,
}

impl Attempt {
    /// One that could not be made.
    pub fn broken(why: &str) -> Self {
        Self { outcome: ProbeOutcome::broken(why), sighting: Sighting::default() }
    }
}

/// Makes every probe each `every`, reports every attempt, and never ends by itself unless there is
/// nothing to probe; dropping the future stops it and closes its connections.
///
/// A probe has one attempt at a time: a slow one, or a report that has to wait, puts off the next,
/// and what was missed meanwhile is not made up for.
pub async fn watch<R, F>(probes: Vec<ProbeTask>, means: &Means, report: R)
where
    R: Fn(Subject, Vantage, Attempt) -> F,
    F: Future<Output = ()>,
{
    let free = Semaphore::new(AT_ONCE);
    let count = probes.len();
    let began = Instant::now();
    let watched: FuturesUnordered<_> = probes
        .iter()
        .enumerate()
        .map(|(place, task)| {
            let first = began + offset(place, count, task.probe.every).into();
            watch_one(task, first, means, &free, &report)
        })
        .collect();
    watched.for_each(|()| std::future::ready(())).await;
}

/// When the probe at this place of so many is first made, so that not all are in one millisecond, and
/// not each in one of its own.
fn offset(place: usize, count: usize, every: Span) -> Span {
    let (place, count) = (place as u64, (count as u64).max(1));
    let spread = SPREAD.min(every).as_ms();
    Span::ms(place * STEPS / count * spread / STEPS)
}

async fn watch_one<R, F>(task: &ProbeTask, first: Instant, means: &Means, free: &Semaphore, report: &R)
where
    R: Fn(Subject, Vantage, Attempt) -> F,
    F: Future<Output = ()>,
{
    // A plan can't say "every 0s", and a timer can't do it.
    let every = task.probe.every.max(Span::ms(1));
    let mut due = tokio::time::interval_at(first, every.into());
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let made = {
            // It is never closed; were it, an attempt without a permit is the better mistake.
            let _permit = free.acquire().await;
            attempt(task, task.probe.timeout, means).await
        };
        report(task.id.clone(), task.vantage.clone(), made).await;
    }
}

/// Makes one probe once; `timeout` is for the whole attempt, the lookup of a name included.
pub async fn once(task: &ProbeTask, timeout: Span, means: &Means) -> Attempt {
    attempt(task, timeout, means).await
}

async fn attempt(task: &ProbeTask, timeout: Span, means: &Means) -> Attempt {
    let target = &task.probe.target;
    match target {
        ProbeTarget::Ping => icmp::attempt(task.address, means, timeout).await,
        ProbeTarget::Tcp { port } => tcp::attempt(task.address, *port, timeout).await,
        ProbeTarget::Tls { port, name, unasked } => {
            let wanted = tls::Wanted { name: name.as_deref(), unasked: *unasked };
            tls::attempt(task.address, *port, wanted, means, timeout).await
        }
        ProbeTarget::Http { tls, host, port, path } => {
            let body = match task.probe.body.as_deref().map(|text| means.patterns.ready(text)).transpose() {
                Ok(body) => body,
                // A plan that was read before bodies were patterns.
                Err(why) => return Attempt::broken(&format!("its body pattern can't be used: {why}")),
            };
            let page = http::Page { tls: *tls, host, port: *port, path, body: body.as_deref() };
            http::attempt(&page, task.address, means, timeout).await
        }
        ProbeTarget::Dns { name } => dns::attempt(task.address, dns::PORT, name, timeout).await,
        ProbeTarget::Postgres { database } => {
            postgres::attempt(task.address, postgres::PORT, database, &means.environment, timeout).await
        }
        ProbeTarget::Exec { .. } => Attempt::broken(&format!("this version does not make {target}")),
    }
}

/// What a failed connection is: a failure of the target, unless this machine is to blame. `at` goes
/// before the words.
fn failed(error: &DialError, at: &str) -> ProbeOutcome {
    let why = Untrusted::from(format!("{at}{error}"));
    let kind = match error {
        DialError::Local(_) => return ProbeOutcome::Broken { why },
        DialError::Refused => FailKind::Refused,
        DialError::TimedOut(_) => FailKind::NoAnswer,
        DialError::Unreachable(_) => FailKind::Unreachable,
        DialError::Other(_) => FailKind::Other,
    };
    ProbeOutcome::Fail { why, kind }
}

/// Fills these with bytes that nobody can guess, or says why not.
fn random(bytes: &mut [u8]) -> Result<(), String> {
    use ring::rand::SecureRandom as _;
    ring::rand::SystemRandom::new().fill(bytes).map_err(|_| "no random numbers".to_owned())
}

/// The time that one attempt has, for all its parts together.
struct Deadline {
    began: Instant,
    timeout: Span,
}

impl Deadline {
    fn of(timeout: Span) -> Self {
        Self { began: Instant::now(), timeout }
    }

    fn gone(&self) -> Span {
        dialer::since(self.began)
    }

    fn left(&self) -> Span {
        Span::ms(self.timeout.as_ms().saturating_sub(self.gone().as_ms()))
    }

    /// What the future gives, or `None` if it doesn't in time.
    async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.began + self.timeout.into(), future).await.ok()
    }
}
