//! Connections to hosts: two for each, kept, and made again after a loss. Commands are fixed words
//! ([`RemoteCommand`]); no agent, no X11 and no port is forwarded. Must never run a command twice by
//! itself, never accept a host key that isn't known, and never log an answer or a key.
//!
//! ```text
//! Link -- exec, stream --> channel --> connect::Session -- auth --> login
//!   `-- connect, fresh --> connect --> config::effective, known_hosts, transport (tcp, jump, command)
//! ```

mod auth;
mod channel;
mod checker;
mod connect;
mod keys;
mod settings;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, oneshot, watch};

pub use keys::KeyStore;
pub use settings::{Pacing, Settings};

use self::connect::Session;
use super::output::{Feed, Kept, Stdin};
use super::{ExecOutput, HostError, KeyPrint, OutputStream, RemoteCommand, local, stop};
use crate::types::{HostName, Span, Untrusted};

/// A host and where its commands run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host's name in the plan.
    pub host: HostName,
    /// Where its commands run.
    pub destination: Destination,
}

/// Where commands run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Over ssh: `user@host`, an alias, `host:port`, as in a plan.
    Ssh(String),
    /// On this machine.
    Local,
}

/// How a host's control connection stands, for whoever watches it while nothing is asked there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Contact {
    /// It was never made, or was given up here.
    #[default]
    None,
    /// It stands.
    Stands,
    /// It was lost, and has not been made again.
    Lost(Untrusted),
}

/// Which of a host's two connections a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Verbs, rollback, confirm: never behind a log or a capture.
    Control,
    /// Logs and captures.
    Streams,
}

/// What was learned by connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The address, or the way there, for people.
    pub address: String,
    /// The account.
    pub user: String,
    /// The host's key; none on this machine.
    pub host_key: Option<KeyPrint>,
    /// How we got in, for people: methods, and the key's fingerprint and place.
    pub login: String,
    /// What the server says to everyone.
    pub banner: Untrusted,
    /// Lines of `known_hosts` files that could not be understood.
    pub notes: Vec<String>,
}

/// One host's two connections. A connection is made when it is first needed, and again when it is
/// needed after a loss. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    target: Target,
    settings: Arc<Settings>,
    control: Slot,
    streams: Slot,
    /// Whether goodbye is being said: then nobody connects, or goes on doing so.
    closing: watch::Sender<bool>,
    /// How the control connection stands.
    contact: Arc<watch::Sender<Watched>>,
}

/// A control connection, by its number, and how it stands.
#[derive(Debug, Default)]
struct Watched {
    which: u64,
    contact: Contact,
}

/// Tells how a control connection stands whenever that has changed.
pub struct Watch(watch::Receiver<Watched>);

impl Watch {
    /// How it stands after the next change; what came and went in between is not told. `None` once the link
    /// and its connections are gone.
    pub async fn next(&mut self) -> Option<Contact> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().contact.clone())
    }
}

/// One of the two connections.
#[derive(Default)]
struct Slot {
    kept: Mutex<Standing>,
    /// How many tries to connect have ended.
    tried: AtomicU64,
}

/// What came of the last try to connect.
#[derive(Default)]
enum Standing {
    #[default]
    Not,
    Up(Arc<Session>),
    Failed(HostError),
}

impl Link {
    /// A link that has no connection yet.
    pub fn new(target: Target, settings: Arc<Settings>) -> Self {
        let (control, streams) = (Slot::default(), Slot::default());
        let (closing, contact) = (watch::Sender::new(false), Arc::new(watch::Sender::default()));
        Self(Arc::new(Inner { target, settings, control, streams, closing, contact }))
    }

    /// How the control connection stands, from now on. A kept connection is missed within 20 s, whether or not
    /// anything is asked on it: keepalives are unanswered.
    pub fn contact(&self) -> Watch {
        Watch(self.0.contact.subscribe())
    }

    /// A control connection stands: its end is told, unless another has taken its place by then.
    fn watch_over(&self, session: &Session) {
        let (mut ended, seen) = (session.ended(), session.seen());
        let contact = Arc::clone(&self.0.contact);
        let mut which = 0;
        contact.send_modify(|now| {
            *now = Watched { which: now.which + 1, contact: Contact::Stands };
            which = now.which;
        });
        tokio::spawn(async move {
            // The session's task has ended once its side of this is dropped.
            while ended.changed().await.is_ok() {}
            contact.send_if_modified(|now| {
                let lost = now.which == which && now.contact == Contact::Stands;
                if lost {
                    now.contact = Contact::Lost(seen.end());
                }
                lost
            });
        });
    }

    /// The control connection is given up here: its end is no loss.
    fn give_up(&self) {
        self.0.contact.send_if_modified(|now| {
            let stood = now.contact == Contact::Stands;
            if stood {
                now.contact = Contact::None;
            }
            stood
        });
    }

    /// The host that it leads to.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Makes sure that the control connection stands.
    pub async fn connect(&self) -> Result<Connected, HostError> {
        match &self.0.target.destination {
            Destination::Ssh(to) => Ok(self.session(Lane::Control, to).await?.connected().clone()),
            Destination::Local => Ok(Connected {
                address: "this machine".to_owned(),
                user: self.0.settings.local_user.clone().unwrap_or_default(),
                host_key: None,
                login: "nothing asked".to_owned(),
                banner: Untrusted::default(),
                notes: Vec::new(),
            }),
        }
    }

    /// Runs a command with `stdin` written and closed. Of each output the first `limit` bytes are
    /// kept; the rest is read, counted and left out. `timeout` runs from when the connection stands.
    ///
    /// # Errors
    /// After [`HostError::may_have_run`] the command may have run: it is never tried again here. What was
    /// lost before it was handed over is tried once more.
    pub async fn exec(
        &self,
        lane: Lane,
        command: &RemoteCommand,
        stdin: Vec<u8>,
        limit: usize,
        timeout: Span,
    ) -> Result<ExecOutput, HostError> {
        match self.exec_once(lane, command, stdin.clone(), limit, timeout).await {
            // A connection that was kept may have died with nobody there to notice: a host that booted, a
            // firewall that forgot. Nothing had been handed over, so it is handed to a new one.
            Err(HostError::Lost { started: false, .. }) => {
                self.exec_once(lane, command, stdin, limit, timeout).await
            }
            ended => ended,
        }
    }

    async fn exec_once(
        &self,
        lane: Lane,
        command: &RemoteCommand,
        stdin: Vec<u8>,
        limit: usize,
        timeout: Span,
    ) -> Result<ExecOutput, HostError> {
        let (started, mut has_started) = oneshot::channel();
        let input = (stdin, Stdin::Closed);
        let (running, address, _waiting) = match &self.0.target.destination {
            Destination::Ssh(to) => {
                let session = self.session(lane, to).await?;
                let address = session.address().to_owned();
                let (waiting, wanted) = stop::pair(session.unwanted());
                let run = channel::run(session, command.clone(), input, Kept::new(limit), wanted, started);
                (tokio::spawn(run), address, waiting)
            }
            Destination::Local => {
                let (waiting, wanted) = stop::pair(Arc::default());
                let run = local::run(command.clone(), input, Kept::new(limit), wanted, started);
                (tokio::spawn(run), "this machine".to_owned(), waiting)
            }
        };
        match tokio::time::timeout(timeout.into(), running).await {
            Ok(Ok(ended)) => {
                let (status, kept) = ended?;
                Ok(ExecOutput { stdout: kept.stdout, stderr: kept.stderr, left_out: kept.left_out, status })
            }
            Ok(Err(e)) => Err(HostError::Channel { what: e.to_string().into() }),
            Err(_) => {
                Err(HostError::TimedOut { address, after: timeout, started: has_started.try_recv().is_ok() })
            }
        }
    }

    /// Runs a command on the streams connection and gives its output as it comes. What nobody reads
    /// in time is dropped and counted.
    pub async fn stream(
        &self,
        command: &RemoteCommand,
        stdin: Vec<u8>,
        after: Stdin,
    ) -> Result<OutputStream, HostError> {
        let (started, has_started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let command = command.clone();
        let input = (stdin, after);
        let mut stream = match &self.0.target.destination {
            Destination::Ssh(to) => {
                let session = self.session(Lane::Streams, to).await?;
                let (waiting, wanted) = stop::pair(session.unwanted());
                let (feed, stream) = OutputStream::new(ended, waiting);
                tokio::spawn(async move {
                    finish(end, channel::run(session, command, input, feed, wanted, started).await);
                });
                stream
            }
            Destination::Local => {
                let (waiting, wanted) = stop::pair(Arc::default());
                let (feed, stream) = OutputStream::new(ended, waiting);
                tokio::spawn(async move {
                    finish(end, local::run(command, input, feed, wanted, started).await);
                });
                stream
            }
        };
        match has_started.await {
            Ok(()) => Ok(stream),
            // It never started, so the reason is there.
            Err(_) => Err(stream.failure().await),
        }
    }

    /// A new TCP connection to the host with a key exchange in which its key is judged, then closed:
    /// the proof that people can still come in. Jump hosts that are connected are used again.
    pub async fn fresh(&self, timeout: Span) -> Result<(), HostError> {
        let Destination::Ssh(to) = &self.0.target.destination else { return Ok(()) };
        let proof = async {
            let via = match &*self.0.control.kept.lock().await {
                Standing::Up(session) => session.via().cloned(),
                Standing::Not | Standing::Failed(_) => None,
            };
            connect::fresh(&self.0.target.host, to, via, &self.0.settings).await
        };
        match tokio::time::timeout(timeout.into(), proof).await {
            Ok(proved) => proved,
            Err(_) => Err(HostError::TimedOut { address: to.clone(), after: timeout, started: false }),
        }
    }

    /// Says goodbye on both connections. Whoever waits for one waits no longer; the next command connects again.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        self.give_up();
        for slot in [&self.0.control, &self.0.streams] {
            if let Standing::Up(session) = std::mem::take(&mut *slot.kept.lock().await) {
                session.close().await;
            }
        }
        self.0.closing.send_replace(false);
    }

    async fn session(&self, lane: Lane, to: &str) -> Result<Arc<Session>, HostError> {
        let mut closing = self.0.closing.subscribe();
        tokio::select! {
            biased;
            // Its sender lives in this link.
            _ = closing.wait_for(|closing| *closing) => {
                let what = "the connection is given up here".into();
                Err(HostError::Lost { address: to.to_owned(), what, started: false })
            }
            session = self.made(lane, to) => session,
        }
    }

    /// The connection, made if it does not stand. Those who ask while a try is under way share what comes of it: on a
    /// host that hangs each would wait for the tries of all before it.
    async fn made(&self, lane: Lane, to: &str) -> Result<Arc<Session>, HostError> {
        let slot = match lane {
            Lane::Control => &self.0.control,
            Lane::Streams => &self.0.streams,
        };
        let tried = slot.tried.load(Ordering::SeqCst);
        let mut kept = slot.kept.lock().await;
        match &*kept {
            Standing::Up(session) if !session.is_used_up() => return Ok(Arc::clone(session)),
            Standing::Failed(error) if slot.tried.load(Ordering::SeqCst) != tried => {
                return Err(error.clone());
            }
            Standing::Not | Standing::Up(_) | Standing::Failed(_) => {}
        }
        // One that still stands is used up: another takes its place.
        if lane == Lane::Control && matches!(&*kept, Standing::Up(session) if !session.is_over()) {
            self.give_up();
        }
        *kept = Standing::Not;
        let made = connect::connect(&self.0.target.host, to, &self.0.settings).await.map(Arc::new);
        *kept = match &made {
            Ok(session) => {
                if lane == Lane::Control {
                    self.watch_over(session);
                }
                Standing::Up(Arc::clone(session))
            }
            Err(error) => Standing::Failed(error.clone()),
        };
        slot.tried.fetch_add(1, Ordering::SeqCst);
        made
    }
}

/// Tells how a streamed command ended, and then that no more output comes.
fn finish(
    end: oneshot::Sender<Result<super::ExitStatus, HostError>>,
    result: Result<(super::ExitStatus, Feed), HostError>,
) {
    // Nobody may wait for it.
    let _told_or_not = match result {
        Ok((status, _feed)) => end.send(Ok(status)),
        Err(error) => end.send(Err(error)),
    };
}
