//! The cockpit's side: made, listening, answering, removed.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, interval, timeout};

use super::super::{headless, session};
use super::{ANSWER_MAX, Alive, Answer, Ask, FORMAT, Lines, MADE, NAME, REQUEST_MAX, Request, Say, address};
use crate::conductor::clock;
use crate::conductor::shell::Handles;
use crate::core::command::RollbackScope;
use crate::core::event::{Actor, Outcome, Record};
use crate::core::{Command, Intent, JournalHealth, State, View, decide, describe, rollback};
use crate::types::{BatchId, Time, Untrusted};

/// Connections at a time. One more and the oldest goes: who hangs never keeps the key from coming in.
const MOST: usize = 16;
/// A request is waited for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Nobody who does not read is waited for longer.
const UNREAD: Duration = Duration::from_secs(5);
/// A sign of life while nothing happens.
const PULSE: Duration = Duration::from_secs(1);
/// At the end of a cockpit those who follow hear how it ended, for so long at most.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the loop has put out for others to look at, and where commands go.
#[derive(Clone)]
pub struct Desk {
    commands: mpsc::WeakUnboundedSender<Command>,
    views: watch::Receiver<View>,
    followers: broadcast::WeakSender<Record>,
    ticks: watch::Receiver<Instant>,
    since: Time,
}

impl Desk {
    /// Of a running loop.
    pub fn of(handles: &Handles) -> Self {
        Self {
            commands: handles.commands.downgrade(),
            views: handles.views.clone(),
            followers: handles.followers.clone(),
            ticks: handles.ticks.clone(),
            since: clock::now(),
        }
    }

    fn tick_age_ms(&self) -> u64 {
        u64::try_from(self.ticks.borrow().elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn alive(&self) -> Alive {
        let view = self.views.borrow();
        Alive {
            process: std::process::id(),
            since: self.since,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            seq: view.state.seq,
            journal_sound: view.journal == JournalHealth::Sound,
            tick_age_ms: self.tick_age_ms(),
        }
    }

    fn state(&self) -> std::sync::Arc<State> {
        std::sync::Arc::clone(&self.views.borrow().state)
    }
}

/// A socket that is listened to, until it is closed or dropped.
pub struct Listener {
    path: PathBuf,
    /// Its file's number: a later cockpit's socket is not ours to remove.
    inode: u64,
    task: JoinHandle<()>,
    close: Option<oneshot::Sender<()>>,
}

impl Listener {
    /// Nobody new comes in from here. To be called while the recording's lock is held.
    pub fn remove(&self) {
        let ours = self.path.symlink_metadata().is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("the cockpit's socket {} is left behind: {error}", self.path.display());
        }
    }

    /// Ends it, to be called when the loop has ended: those who follow hear how.
    pub async fn close(mut self) {
        if let Some(close) = self.close.take() {
            // Its task may have ended by itself.
            let _ = close.send(());
        }
        let _ = timeout(GOODBYE, &mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        self.remove();
    }
}

/// Listens in a recording whose lock is held by this process: so whatever socket is there already was left
/// by one that is gone, and is replaced.
///
/// # Errors
/// Where it can't be made: then the cockpit runs all the same, and can't be spoken to.
pub fn listen(folder: &Path, desk: Desk) -> io::Result<Listener> {
    let path = folder.join(NAME);
    let made = folder.join(MADE);
    match std::fs::remove_file(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let (_open, at) = address(folder, MADE)?;
    let socket = UnixListener::bind(at)?;
    std::fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    let inode = made.symlink_metadata()?.ino();
    std::fs::rename(&made, &path)?;
    let (close, closed) = oneshot::channel();
    let task = tokio::spawn(serve(socket, desk, closed));
    Ok(Listener { path, inode, task, close: Some(close) })
}

async fn serve(socket: UnixListener, desk: Desk, mut closed: oneshot::Receiver<()>) {
    let mut open: VecDeque<Served> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many open files, say: that passes.
                    tracing::warn!("the cockpit's socket: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            _ = &mut closed => break,
        };
        open.retain(|served| !served.0.is_finished());
        while open.len() >= MOST {
            open.pop_front();
        }
        let desk = desk.clone();
        open.push_back(Served(tokio::spawn(async move {
            if let Err(error) = attend(stream, &desk).await {
                tracing::debug!("one who asked through the socket: {error}");
            }
        })));
    }
    drop(socket);
    for mut served in open {
        let _ = (&mut served.0).await;
    }
}

/// A connection's task; nobody's when it is dropped.
struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether one who connects is heard: this process's own user, or root.
pub(super) fn heard(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

struct Line {
    to: OwnedWriteHalf,
}

impl Line {
    /// One line, within a time: who does not read it is left.
    async fn say(&mut self, say: Say) -> io::Result<()> {
        let answer = Answer { format: FORMAT.to_owned(), say };
        let mut text = Untrusted::json(&serde_json::to_string(&answer)?);
        text.push('\n');
        timeout(UNREAD, self.to.write_all(text.as_bytes()))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn refuse(&mut self, why: impl Into<String>, mistake: bool) -> io::Result<()> {
        self.say(Say::Refused { why: why.into(), mistake }).await
    }
}

async fn attend(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (from, to) = stream.into_split();
    let mut line = Line { to };
    if !heard(peer.uid(), rustix::process::geteuid().as_raw()) {
        return line.refuse("this cockpit belongs to another user", true).await;
    }
    let mut lines = Lines::new(from, REQUEST_MAX);
    let request: Request = match timeout(PATIENCE, lines.next()).await {
        Err(_) => return line.refuse("nothing was asked", true).await,
        Ok(Err(error)) => {
            return line.refuse(format!("what was asked is not understood: {error}"), true).await;
        }
        Ok(Ok(request)) => request,
    };
    if request.format != FORMAT {
        return line.refuse(format!("this cockpit speaks {FORMAT}"), true).await;
    }
    line.say(Say::Alive(desk.alive())).await?;
    match request.ask {
        Ask::Status => Ok(()),
        Ask::Rollback { scope } => {
            let actor = request.actor.map_or_else(session::actor, Actor::Person);
            let from = peer.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
            let why = Untrusted::new(format!("asked for on the command line{from}"));
            roll_back(line, desk, actor, scope.into(), why).await
        }
    }
}

/// The key: what was asked is on its way when this begins to tell.
async fn roll_back(
    mut line: Line,
    desk: &Desk,
    actor: Actor,
    scope: RollbackScope,
    why: Untrusted,
) -> io::Result<()> {
    if !desk.alive().turns() {
        return line.refuse("its loop hangs", false).await;
    }
    let (Some(commands), Some(followers)) = (desk.commands.upgrade(), desk.followers.upgrade()) else {
        return line.refuse("it has ended", false).await;
    };
    let start = desk.state();
    if start.ended.is_some() {
        return line.refuse("it has ended", false).await;
    }
    if let RollbackScope::Host(host) = &scope
        && !start.hosts.contains_key(host)
    {
        return line.refuse(format!("{host} is not in the plan of this window"), true).await;
    }
    let outlook = rollback::outlook(&start, &scope);
    // Followed from before it is asked: nothing that comes of it is missed.
    let records = followers.subscribe();
    drop(followers);
    if commands.send(Command { actor, intent: Intent::Rollback { scope, why } }).is_err() {
        return line.refuse("it has ended", false).await;
    }
    drop(commands);
    line.say(Say::Accepted { not_ready: bounded(outlook.missing) }).await?;
    follow(line, desk, &start, &outlook.batches, records).await
}

/// The most lines of one answer, and the most characters of one of them: an answer has to fit one line.
const LINES: usize = 40;
const LONGEST: usize = 300;

fn bounded(lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    let kept = lines.into_iter().take(LINES).map(|line| line.chars().take(LONGEST).collect());
    kept.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

async fn follow(
    mut line: Line,
    desk: &Desk,
    start: &State,
    asked: &[BatchId],
    mut records: broadcast::Receiver<Record>,
) -> io::Result<()> {
    let mut pulse = interval(PULSE);
    let mut taken_in = false;
    loop {
        let mut left = false;
        tokio::select! {
            record = records.recv() => match record {
                Ok(record) => {
                    if let Some(text) = describe::line(&desk.state(), &record) {
                        let text = text.chars().take(ANSWER_MAX / 16).collect();
                        line.say(Say::Event { at: record.at, text }).await?;
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    let text = format!("{missed} events are left out here; the journal has them");
                    line.say(Say::Event { at: clock::now(), text }).await?;
                }
                Err(RecvError::Closed) => left = true,
            },
            _ = pulse.tick() => line.say(Say::Pulse { tick_age_ms: desk.tick_age_ms() }).await?,
        }
        let (state, now) = (desk.state(), clock::now());
        taken_in = taken_in || asked.iter().all(|batch| headless::is_taken_in(start, &state, batch));
        let outcome = match state.ended {
            Some((_, outcome)) => Some(outcome),
            None => (taken_in && headless::finished(&state, now)).then(|| decide::outcome(&state, now)),
        };
        // What is left to be told comes first.
        match outcome {
            Some(outcome) if left || records.is_empty() => {
                let text = describe::ended(&state, outcome, now);
                let mut notes = headless::timers(&state);
                if outcome == Outcome::Held {
                    notes.splice(0..0, headless::why(&state));
                }
                let undone = headless::out_of_reach(&state, asked);
                let outcome = if undone.is_empty() { outcome } else { Outcome::RollbackIncomplete };
                let notes = bounded([undone, notes].concat());
                let ended = state.ended.is_some();
                return line.say(Say::Done { outcome, ended, text, notes }).await;
            }
            None if left => return line.say(Say::Left).await,
            Some(_) | None => {}
        }
    }
}
