//! A host of the demo as an ssh server inside this process: connections, commands, the time that
//! work takes, reboots. What it answers is the model's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::capture::{self, Wire};
use super::door;
use super::logs::{self, Follower};
use super::look;
use super::model::{Call, Caller, Host, Reply, Then};
use super::wire::{self, Line};
use super::{Clock, Pace, USER};
use crate::host::frame::End;
use crate::host::verb::Verb;
use crate::types::{OperationId, Span};

/// From asking for a reboot to the end of all connections.
const UNTIL_DOWN: Duration = Duration::from_secs(1);
/// How long a host is down.
const DOWN: Duration = Duration::from_secs(3);
/// The most that a command's input may be, as the helper has it.
const LARGEST_INPUT: usize = 1 << 20;
/// How long a command's input may take, as the helper has it.
const INPUT_WITHIN: Duration = Duration::from_secs(30);

/// Tasks that end together.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(task).abort_handle());
    }

    pub(super) fn abort(&self) {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// How many have not ended yet, those that are told to included.
    pub(super) fn count(&self) -> usize {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().filter(|task| !task.is_finished()).count()
    }
}

/// What goes on until nobody reads it any more.
enum Stream {
    /// Packets of these addresses.
    Packets(Vec<IpAddr>),
    /// Lines of the journal and of these files.
    Logs(Vec<String>),
}

/// One host: its model and all that goes on around it.
pub(super) struct Server {
    model: Mutex<Host>,
    /// Told when something of an operation is new.
    news: Notify,
    /// Told when a deadline may be another one.
    timers: Notify,
    /// One operation at a time.
    turn: tokio::sync::Mutex<()>,
    /// The customers' doors, by their address.
    doors: Vec<(Ipv4Addr, watch::Sender<bool>)>,
    config: Arc<server::Config>,
    /// Who may come in.
    key: PublicKey,
    pace: Pace,
    clock: Clock,
    /// Whether it is on its way down, or down.
    going_down: AtomicBool,
    down: Notify,
    connections: Tasks,
    operations: Tasks,
}

impl Server {
    pub(super) fn new(
        model: Host,
        doors: Vec<(Ipv4Addr, watch::Sender<bool>)>,
        config: server::Config,
        key: PublicKey,
        pace: Pace,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            model: Mutex::new(model),
            news: Notify::new(),
            timers: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            doors,
            config: Arc::new(config),
            key,
            pace,
            clock,
            going_down: AtomicBool::new(false),
            down: Notify::new(),
            connections: Tasks::default(),
            operations: Tasks::default(),
        })
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Host> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything.
    pub(super) fn stop(&self) {
        self.connections.abort();
        self.operations.abort();
    }

    /// Takes connections, and goes down and comes up when it is told to; for ever.
    pub(super) async fn run(self: Arc<Self>, at: SocketAddr, first: TcpListener) {
        let mut listener = first;
        loop {
            self.watch_timers();
            self.take_connections(&listener).await;
            drop(listener);
            self.connections.abort();
            self.operations.abort();
            self.sync_doors(false);
            tokio::time::sleep(self.pace.of(DOWN)).await;
            self.model().boot(self.clock.now());
            self.going_down.store(false, Ordering::SeqCst);
            self.sync_doors(true);
            self.news.notify_waiters();
            listener = door::reopened(at).await;
        }
    }

    /// Until it goes down.
    async fn take_connections(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.connection(stream),
                    // Too many open files, say: that passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                },
                () = self.down.notified() => return,
            }
        }
    }

    /// One connection. Its bytes go through a pipe of our own, so that a host which goes down takes
    /// them away without a goodbye.
    fn connection(self: &Arc<Self>, mut stream: TcpStream) {
        let visitor = Visitor { server: Arc::clone(self), channels: HashMap::new() };
        let config = Arc::clone(&self.config);
        self.connections.spawn(async move {
            let _set_or_not = stream.set_nodelay(true);
            let (mut ours, theirs) = tokio::io::duplex(256 << 10);
            let session = async {
                if let Ok(session) = server::run_stream(config, theirs, visitor).await {
                    let _ended = session.await;
                }
            };
            let pump = tokio::io::copy_bidirectional(&mut stream, &mut ours);
            // Whichever ends first ends the other.
            tokio::select! {
                () = session => {}
                _ = pump => {}
            }
        });
    }

    /// Opens the doors whose addresses the host has, closes the others; all where it is down.
    pub(super) fn sync_doors(&self, up: bool) {
        let there = self.model().addresses.clone();
        for (address, door) in &self.doors {
            let open = up && there.contains(address);
            door.send_if_modified(|now| std::mem::replace(now, open) != open);
        }
    }

    /// Runs a command line: its output, error output and status.
    async fn command(self: &Arc<Self>, line: &str, input: &mut ChannelReadHalf) -> (Vec<u8>, String, u32) {
        let (nonce, caller, words) = match wire::line(line) {
            Line::Helper { nonce, caller, words } => (nonce, caller, words),
            Line::Unsound => {
                let text = "holdpoint-helper: the nonce is 8 to 64 of a-z 0-9\n";
                return (Vec::new(), text.to_owned(), 2);
            }
            Line::Other(word) => return (Vec::new(), format!("sh: 1: {word}: not found\n"), 127),
        };
        // Only these read their input; all else answers whether it has ended or not.
        let reads = caller == Caller::Unenrolled
            || match words.get(1).map(String::as_str) {
                Some("simulate" | "have" | "give" | "take") => true,
                Some("start") => words.get(3).is_some_and(|kind| kind == "stage"),
                Some(_) | None => false,
            };
        let input = if reads { read_all(input).await } else { Vec::new() };
        let (bytes, status) = match wire::call(caller, &words, &input) {
            Ok(call) => wire::frames(&nonce, caller, &self.ask(&call).await),
            Err(why) => wire::usage(&nonce, caller, &why),
        };
        (bytes, String::new(), status)
    }

    /// Where a command line asks for a stream that can be: of what, and what it begins with.
    async fn stream(self: &Arc<Self>, line: &str) -> Option<(Stream, Vec<u8>)> {
        let Line::Helper { nonce, caller: Caller::Root, words } = wire::line(line) else { return None };
        let call = wire::call(Caller::Root, &words, &[]).ok()?;
        let (stream, kind, first) = match &call.verb {
            Verb::Capture(addresses) => (Stream::Packets(addresses.clone()), "pcap", capture::head()),
            Verb::Logs(files) => (Stream::Logs(files.clone()), "log", Vec::new()),
            _ => return None,
        };
        let mut head = wire::begun(&nonce, Caller::Root, &self.ask(&call).await, kind)?;
        head.extend(first);
        Some((stream, head))
    }

    /// Writes lines of logs until the input ends, or nobody reads.
    async fn write_logs(
        self: &Arc<Self>,
        files: &[String],
        mut read: ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
    ) {
        let mut follower = Follower::new(&self.model(), files);
        let mut looks = tokio::time::interval(logs::LOOK);
        loop {
            tokio::select! {
                message = read.wait() => match message {
                    None | Some(ChannelMsg::Eof | ChannelMsg::Close) => return,
                    Some(_) => {}
                },
                _ = looks.tick() => {
                    let bytes = follower.look(&self.model(), self.clock.now());
                    if !bytes.is_empty() && write.data_bytes(bytes).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Writes packets until the input ends, or nobody reads.
    async fn write_packets(
        self: &Arc<Self>,
        addresses: &[IpAddr],
        mut read: ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
    ) {
        let mut wire = Wire::new(addresses, &capture::sockets());
        let mut looks = tokio::time::interval(capture::LOOK);
        loop {
            tokio::select! {
                message = read.wait() => match message {
                    None | Some(ChannelMsg::Eof | ChannelMsg::Close) => return,
                    Some(_) => {}
                },
                _ = looks.tick() => {
                    let at = self.clock.now().timestamp_nanos_opt().and_then(|at| u64::try_from(at).ok());
                    let has = self.model().addresses.clone();
                    let bytes = wire.look(&capture::sockets(), &has, at.unwrap_or_default());
                    if !bytes.is_empty() && write.data_bytes(bytes).await.is_err() {
                        return;
                    }
                    if let Some(counts) = wire.counts()
                        && write.extended_data_bytes(1, counts.into_bytes()).await.is_err()
                    {
                        return;
                    }
                }
            }
        }
    }

    /// Asks the model, waits where the verb waits, and sets going what follows.
    pub(super) async fn ask(self: &Arc<Self>, call: &Call) -> Reply {
        if let Verb::Read { operation, offset, wait } = &call.verb {
            let news = async {
                loop {
                    let told = self.news.notified();
                    tokio::pin!(told);
                    told.as_mut().enable();
                    if self.model().has_news(operation, *offset) {
                        return;
                    }
                    told.await;
                }
            };
            let wait = Duration::from_secs(u64::from(*wait));
            let _in_time_or_not = tokio::time::timeout(wait, news).await;
        }
        if let Verb::Probe(looks) = &call.verb {
            let own = self.model().own_addresses();
            let knocks = look::elsewhere(&own, looks).await;
            let looked = look::looked(&self.model(), looks, &knocks);
            return Reply { sections: vec![looked], end: End::Done(0), then: None };
        }
        let reply = self.model().answer(call, self.clock.now());
        self.timers.notify_one();
        match &reply.then {
            Some(Then::Operate(operation)) => self.operate(operation.clone()),
            Some(Then::Reboot) => self.reboot(),
            None => {}
        }
        reply
    }

    fn operate(self: &Arc<Self>, operation: OperationId) {
        let host = Arc::clone(self);
        self.operations.spawn(async move {
            let _turn = host.turn.lock().await;
            let steps = host.model().steps(&operation);
            for step in steps {
                tokio::time::sleep(host.pace.of(step.takes)).await;
                host.model().take(&operation, step);
                host.sync_doors(true);
                host.news.notify_waiters();
            }
            if host.model().reboots_itself() {
                host.reboot();
            }
        });
    }

    /// Rolls back what is due, with nobody there; until the host goes down.
    fn watch_timers(self: &Arc<Self>) {
        let host = Arc::clone(self);
        self.operations.spawn(async move {
            loop {
                let begun = host.model().fire(host.clock.now());
                begun.into_iter().for_each(|operation| host.operate(operation));
                let due = host.model().due();
                let told = host.timers.notified();
                match due {
                    Some(due) => {
                        let left = Span::between(host.clock.now(), due).into();
                        let _told_or_due = tokio::time::timeout(left, told).await;
                    }
                    None => told.await,
                }
            }
        });
    }

    fn reboot(self: &Arc<Self>) {
        if !self.going_down.swap(true, Ordering::SeqCst) {
            let host = Arc::clone(self);
            self.operations.spawn(async move {
                tokio::time::sleep(host.pace.of(UNTIL_DOWN)).await;
                host.down.notify_one();
            });
        }
    }
}

/// The whole input of a command, or what came of it in time.
async fn read_all(channel: &mut ChannelReadHalf) -> Vec<u8> {
    let mut input = Vec::new();
    let reading = async {
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    let room = LARGEST_INPUT.saturating_sub(input.len());
                    input.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
                }
                ChannelMsg::Eof | ChannelMsg::Close => return,
                _ => {}
            }
        }
    };
    let _in_time_or_not = tokio::time::timeout(INPUT_WITHIN, reading).await;
    input
}

/// One connection's side of the ssh server.
struct Visitor {
    server: Arc<Server>,
    /// Sessions that have not said yet what they run.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let welcome = user == USER && key.public_key.key_data() == self.server.key.key_data();
        Ok(if welcome { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (Some(channel), Ok(line)) = (self.channels.remove(&id), std::str::from_utf8(command)) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let host = Arc::clone(&self.server);
        let line = line.to_owned();
        self.server.connections.spawn(async move {
            let (mut read, write) = channel.split();
            if let Some((stream, head)) = host.stream(&line).await {
                let _sent = write.data_bytes(head).await;
                match stream {
                    Stream::Packets(addresses) => host.write_packets(&addresses, read, &write).await,
                    Stream::Logs(files) => host.write_logs(&files, read, &write).await,
                }
                let _sent = write.exit_status(0).await;
                let _sent = write.close().await;
                return;
            }
            let (output, errors, status) = host.command(&line, &mut read).await;
            // What is sent to somebody who has gone is lost, as on any host.
            let _sent = write.data_bytes(output).await;
            if !errors.is_empty() {
                let _sent = write.extended_data_bytes(1, errors.into_bytes()).await;
            }
            let _sent = write.exit_status(status).await;
            let _sent = write.eof().await;
            let _sent = write.close().await;
        });
        Ok(())
    }
}
