//! What every command that talks to hosts shares: the plan read, the recording opened, the loop
//! started with its hosts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use color_eyre::eyre::{Result, eyre};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Duration;

use super::socket::{self, Desk, Listener};
use crate::conductor::shell::{self, Handles};
use crate::conductor::{Conductor, clock};
use crate::core::event::{Actor, Before, Failure, FailureKind, Purpose, TakeOver, TakeOverWord};
use crate::core::{Command, Intent, JournalHealth, Rehearsal, State, View};
use crate::host::act::Hosts;
use crate::host::ask::Asker;
use crate::host::capture::Captures;
use crate::host::{Destination, Link, Settings, Target};
use crate::journal::{self, Header, MemoryLog, Recording, Take};
use crate::plan::{self, Plan};
use crate::types::{Epoch, HostName, Time};

/// A plan and the text that it was read from.
pub struct ReadPlan {
    /// The plan.
    pub plan: Plan,
    /// Its text, to be sealed.
    pub text: String,
}

/// A mistake of the one who called: a plan with errors, a name that is not there. Exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A file that could not be read or written. Exit status 40.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

/// Reads a plan; every error in it at once.
pub fn read_plan(file: &Path) -> Result<ReadPlan> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|e| FileError(format!("the plan {name} can't be read: {e}; holdpoint init writes one")))?;
    let plan = plan::read(&name, &text).map_err(|errors| UsageError(errors.to_string()))?;
    Ok(ReadPlan { plan, text })
}

/// The folder of a new recording.
pub fn new_folder(asked: Option<&Path>, name: &str, now: Time) -> Result<PathBuf> {
    match asked {
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(journal::default_root()?.join(journal::folder_name(now, name))),
    }
}

/// The rehearsal that a window stands on: the one named, or the newest of the baseline's.
pub fn rehearsal(named: Option<&Path>, plan: &Plan) -> Result<Option<Rehearsal>> {
    let found = match (named, plan.reference()) {
        (Some(folder), _) => match journal::rehearsal_in(folder)? {
            Some(rehearsal) => Some(rehearsal),
            None => {
                return Err(UsageError(format!("{} holds no complete rehearsal", folder.display())).into());
            }
        },
        (None, Some(baseline)) => {
            let found = journal::find_rehearsal(&journal::default_root()?, baseline)?;
            for (path, why) in &found.skipped {
                tracing::warn!("{} was not looked at: {why}", path.display());
            }
            found.newest.map(|(_, rehearsal)| rehearsal)
        }
        (None, None) => None,
    };
    Ok(found)
}

/// Hosts of a plan, not yet connected.
pub fn askers(plan: &Plan, settings: &Arc<Settings>) -> Vec<Asker> {
    let targets =
        plan.reached().map(|(name, ssh)| Target { host: name.clone(), destination: destination(ssh) });
    targets.map(|target| Asker::new(Link::new(target, Arc::clone(settings)))).collect()
}

/// Further places of a plan to look from, not yet connected. They need no helper.
fn places(plan: &Plan, settings: &Arc<Settings>) -> Vec<Asker> {
    let target = |ssh: &str, name: &HostName| Target { host: name.clone(), destination: destination(ssh) };
    let links =
        plan.vantages.iter().map(|place| Link::new(target(&place.ssh, &place.name), Arc::clone(settings)));
    links.map(Asker::bare).collect()
}

/// The epoch that a host has, to ask for something in nobody's window: it fences nobody off.
pub async fn stored_epoch(asker: &Asker) -> Result<Epoch, Failure> {
    let helper = asker.greet().await?;
    match helper.why_not {
        None => Ok(helper.epoch.max(1)),
        Some(why) => Err(Failure::new(FailureKind::NotEnrolled, format!("not enrolled: {}", why.shown()))),
    }
}

fn destination(ssh: &str) -> Destination {
    match ssh {
        "local" => Destination::Local,
        ssh => Destination::Ssh(ssh.to_owned()),
    }
}

/// A running loop.
pub struct Session {
    /// Its channels.
    pub handles: Handles,
    /// Its task: ends when the recording has ended and is on the disk.
    pub task: JoinHandle<()>,
    /// The hosts, to say goodbye.
    pub askers: Vec<Asker>,
    /// Where it is recorded; `None` when it is not.
    pub folder: Option<PathBuf>,
    /// The state that it began with: empty, but for a window that was picked up.
    pub start: Arc<State>,
    /// What other processes speak to; none where nothing is recorded.
    pub listener: Option<Listener>,
    /// Its captures, to finish what they keep.
    captures: Captures,
}

impl Session {
    /// Sends a command in the name of whoever runs this process.
    pub fn send(&self, intent: Intent) -> Result<()> {
        let command = Command { actor: actor(), intent };
        self.handles.commands.send(command).map_err(|_| eyre!("the loop has ended"))
    }

    /// Lets the loop end. What is journalled is on the disk when this returns; where that can't be written,
    /// it is waited for a while, and then said what is not there.
    pub async fn finish(self) {
        let Self { handles, mut task, askers, listener, folder, captures, .. } = self;
        listener.iter().for_each(Listener::remove);
        // While the loop still takes what they tell.
        let _in_time_or_not = tokio::time::timeout(KEPT, captures.enough()).await;
        let (mut ended, failing) = settled(&handles, &mut task).await;
        if let Some(why) = &failing {
            eprintln!(
                "the journal can't be written ({why}): it is waited for, {}s at most; Ctrl-C leaves without it",
                DISK.as_secs()
            );
            ended = await_disk(&handles, &mut task).await;
        }
        drop(handles.commands);
        let ended = match ended {
            Some(ended) => Some(ended),
            // A disk that neither takes nor refuses keeps the loop for ever.
            None => tokio::select! {
                ended = &mut task => Some(ended),
                () = tokio::time::sleep(DISK) => None,
                _ = tokio::signal::ctrl_c() => None,
            },
        };
        if let Some(Err(error)) = &ended {
            tracing::error!("the loop ended badly: {error}");
        }
        // Also where nothing failed as far as was known: what came last may be what the disk did not take.
        if let Some(folder) = &folder {
            let last = handles.views.borrow().state.seq;
            let why = failing.unwrap_or_else(|| "its disk did not take them".to_owned());
            not_recorded(folder, last, &why).iter().for_each(|line| eprintln!("{line}"));
        }
        if let Some(listener) = listener {
            listener.close().await;
        }
        let goodbyes: Vec<_> =
            askers.into_iter().map(|asker| tokio::spawn(async move { asker.link().close().await })).collect();
        for goodbye in goodbyes {
            // One that failed leaves its connection to the end of the process.
            let _ = goodbye.await;
        }
    }
}

/// How long captures are waited for that finish their files.
const KEPT: Duration = Duration::from_secs(2);

/// How long a disk that can't be written is waited for at the end of a command.
const DISK: Duration = Duration::from_secs(30);

/// How the loop ended and why the journal can't be written, each where it is so. A recording that has ended
/// comes to one of the two: its loop ends once all of it is on the disk.
async fn settled(
    handles: &Handles,
    task: &mut JoinHandle<()>,
) -> (Option<Result<(), JoinError>>, Option<String>) {
    let why = |view: &View| match &view.journal {
        JournalHealth::Sound => None,
        JournalHealth::Failing { why, .. } => Some(why.shown()),
    };
    let mut views = handles.views.clone();
    if views.borrow().state.ended.is_some() {
        tokio::select! {
            ended = task => return (Some(ended), None),
            // Gone with the loop, which has ended then.
            _ = views.wait_for(|view| why(view).is_some()) => {}
            () = tokio::time::sleep(DISK) => return (None, Some("its disk does not answer".to_owned())),
            _ = tokio::signal::ctrl_c() => return (None, Some("it was not waited for".to_owned())),
        }
    }
    (None, why(&views.borrow()))
}

/// Until the disk is back, the time is over, or a person leaves; with how the loop ended, where it did.
async fn await_disk(handles: &Handles, task: &mut JoinHandle<()>) -> Option<Result<(), JoinError>> {
    let mut views = handles.views.clone();
    tokio::select! {
        ended = task => Some(ended),
        _ = views.wait_for(|view| view.journal == JournalHealth::Sound) => None,
        () = tokio::time::sleep(DISK) => None,
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// What happened and is not in the journal, in a line: nobody is to take it for all.
fn not_recorded(folder: &Path, last: u64, why: &str) -> Option<String> {
    let journal = Recording::read(folder, Take::SoundPrefix).ok();
    let there =
        journal.and_then(|journal| journal.known().last().map(|record| record.seq)).unwrap_or_default();
    (there < last).then(|| {
        format!(
            "NOT RECORDED: events {} to {last} are not in {} ({why}). What was done on hosts is done: holdpoint \
             resume reads it from them",
            there + 1,
            folder.display()
        )
    })
}

/// Who runs this process, by login name.
pub fn actor() -> Actor {
    let name = ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok());
    let name = name.and_then(|name| name.parse().ok());
    name.map_or_else(|| Actor::Person(crate::types::PersonName::operator()), Actor::Person)
}

/// A word that names this process in the journal.
pub fn session_word() -> String {
    use std::hash::{BuildHasher, Hasher};
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

/// An epoch higher than that of every window before it, on every host: seconds since 1970. A window
/// that is picked up takes at least one more than it had.
pub fn epoch(now: Time, had: Epoch) -> Epoch {
    u64::try_from(now.timestamp()).unwrap_or(0).max(had + 1)
}

/// Opens a window or rehearsal with a recording of its own.
pub fn open(
    read: ReadPlan,
    purpose: Purpose,
    rehearsal: Option<Rehearsal>,
    folder: PathBuf,
    settings: &Arc<Settings>,
) -> Result<Session> {
    let now = clock::now();
    let word = session_word();
    let header =
        Header { program: env!("CARGO_PKG_VERSION").into(), created: now, recording: session_word().into() };
    let recording = Recording::create(&folder, &read.text, &header, &word)?;
    let (wake, notify) = waker();
    let captures = recording.captures();
    let log = recording.log(wake)?;
    let conductor = Conductor::new(log, State::default(), word, epoch(now, 0));
    let askers = askers(&read.plan, settings);
    let start = Arc::clone(conductor.state());
    let places = places(&read.plan, settings);
    let (handles, task, kept) = spawn(conductor, &askers, places, Some((folder.clone(), captures)), notify);
    let listener = ear(&folder, &handles);
    let session = Session { handles, task, askers, folder: Some(folder), start, listener, captures: kept };
    session.send(Intent::Open { purpose, plan: Box::new(read.plan), rehearsal: rehearsal.map(Box::new) })?;
    Ok(session)
}

/// What a take-over goes by.
#[derive(Debug, Clone, Copy)]
pub struct Taking {
    /// What was given for it.
    pub word: TakeOverWord,
    /// Whether the one before is there and does not answer.
    pub silent: bool,
}

/// Listens for other processes. Where that can't be, the window runs all the same.
fn ear(folder: &Path, handles: &Handles) -> Option<Listener> {
    socket::listen(folder, Desk::of(handles))
        .inspect_err(|error| {
            tracing::warn!(
                "no socket in {}: {error}; rollback and status can't speak to this cockpit",
                folder.display()
            );
        })
        .ok()
}

/// Picks a recording up: its lock taken, its epoch raised.
///
/// # Errors
/// Where another process writes to it, or it is damaged and only `take` of what is sound was not asked for.
pub fn pick_up(folder: &Path, take: Take, how: &Taking, settings: &Arc<Settings>) -> Result<Session> {
    let word = session_word();
    let opened = Recording::open(folder, &word, take)?;
    let take_over = TakeOver {
        machine: journal::machine(),
        process: std::process::id(),
        word: how.word,
        from: opened.before.words.clone(),
        before: if how.silent { Before::Silent } else { opened.before.before },
    };
    if let Some(aside) = &opened.aside {
        tracing::warn!("the journal's torn end was set aside: {}", aside.display());
    }
    let mut state = State::default();
    opened.records.iter().for_each(|record| state.apply(record));
    let plan = state.plan.clone().ok_or_else(|| {
        UsageError(format!(
            "{} holds no window: its journal ends before the plan was sealed",
            folder.display()
        ))
    })?;
    // Told and not stopped: a rollback must not fail for a file that it doesn't need.
    if let Err(why) = Recording::sealed_plan(folder, plan.hash) {
        tracing::warn!("{why}; the plan in the journal is followed");
    }
    let (wake, notify) = waker();
    let captures = opened.recording.captures();
    let log = opened.recording.log(wake)?;
    // Another machine's clock may be ahead of this one's: what the hosts have counts as well.
    let known = state.hosts.values().filter_map(|host| Some(host.helper.as_ref()?.epoch));
    let epoch = epoch(clock::now(), known.chain([state.epoch]).max().unwrap_or_default());
    let conductor = Conductor::new(log, state, word, epoch);
    let askers = askers(&plan, settings);
    let start = Arc::clone(conductor.state());
    let keep = Some((folder.to_owned(), captures));
    let (handles, task, kept) = spawn(conductor, &askers, places(&plan, settings), keep, notify);
    let listener = ear(folder, &handles);
    let session =
        Session { handles, task, askers, folder: Some(folder.to_owned()), start, listener, captures: kept };
    session.send(Intent::Resume { take_over: Some(Box::new(take_over)) })?;
    Ok(session)
}

/// How much of a journal a command that picks it up was told to take.
pub fn taken(sound_prefix: bool) -> Take {
    if sound_prefix { Take::SoundPrefix } else { Take::Whole }
}

/// Looking alone: nothing is recorded.
pub fn look(
    plan: Plan,
    rehearsal: Option<Rehearsal>,
    purpose: Purpose,
    settings: &Arc<Settings>,
) -> Result<Session> {
    let conductor = Conductor::new(MemoryLog::new(), State::default(), session_word(), 0);
    let askers = askers(&plan, settings);
    // A log in memory has its news at once and wakes nobody.
    let start = Arc::clone(conductor.state());
    let (handles, task, kept) =
        spawn(conductor, &askers, places(&plan, settings), None, Arc::new(Notify::new()));
    let session = Session { handles, task, askers, folder: None, start, listener: None, captures: kept };
    session.send(Intent::Open { purpose, plan: Box::new(plan), rehearsal: rehearsal.map(Box::new) })?;
    Ok(session)
}

fn waker() -> (journal::Wake, Arc<Notify>) {
    let notify = Arc::new(Notify::new());
    let waked = Arc::clone(&notify);
    (Box::new(move || waked.notify_one()), notify)
}

fn spawn<L: journal::EventLog + Send + 'static>(
    conductor: Conductor<L>,
    askers: &[Asker],
    places: Vec<Asker>,
    keep: Option<(PathBuf, PathBuf)>,
    notify: Arc<Notify>,
) -> (Handles, JoinHandle<()>, Captures) {
    let mut hosts = Hosts::new(askers.iter().cloned(), Arc::new(clock::now)).with_places(places);
    if let Some((recording, captures)) = keep {
        hosts = hosts.keeping(recording, captures);
    }
    let captures = hosts.captures();
    let (handles, task) = shell::spawn(conductor, hosts, notify);
    tokio::spawn(tell_markers(handles.views.clone(), captures.clone()));
    (handles, task, captures)
}

/// Markers also stand beside the packets; until the loop has ended.
async fn tell_markers(mut views: watch::Receiver<View>, captures: Captures) {
    let mut told = views.borrow().state.seq;
    while views.changed().await.is_ok() {
        let state = Arc::clone(&views.borrow_and_update().state);
        for marker in state.markers.iter().filter(|marker| marker.seq > told) {
            captures.marked(marker.at, &marker.note);
        }
        told = state.seq;
    }
}

/// The hosts that a command is about: all, or the one named.
pub fn chosen(askers: Vec<Asker>, host: Option<&HostName>) -> Result<Vec<Asker>> {
    let Some(name) = host else { return Ok(askers) };
    let names: Vec<String> = askers.iter().map(|asker| asker.host().to_string()).collect();
    let chosen: Vec<Asker> = askers.into_iter().filter(|asker| asker.host() == name).collect();
    if chosen.is_empty() {
        return Err(UsageError(format!("{name} is not in the plan; it has {}", names.join(", "))).into());
    }
    Ok(chosen)
}
