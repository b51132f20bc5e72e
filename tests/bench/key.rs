//! From the rollback key to the first byte on the wire to each of 200 hosts, while log lines of all of them flood
//! the loop. The loop, the journal, the effects and ssh are the cockpit's own; hosts and what would be drawn
//! are not in it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use holdpoint::conductor::shell::{self, Outbox, Outside};
use holdpoint::conductor::{Conductor, clock};
use holdpoint::core::command::RollbackScope;
use holdpoint::core::event::{Actor, LogLine, LogSource};
use holdpoint::core::{Command, Intent, Started, State};
use holdpoint::host::act::Hosts;
use holdpoint::host::ask::Asker;
use holdpoint::host::{Destination, Link, Settings, Target};
use holdpoint::journal::{Append, EventLog, Header, Recording};
use holdpoint::types::{HostName, Untrusted};

use crate::timing::{Runs, now};
use crate::{idle, window};

/// The hosts, where none other is asked for.
const HOSTS: usize = 200;
/// Lines that each host has to say in a second.
const LINES: u64 = 200;
/// Nothing may be awaited for so long before the key is pressed.
const QUIET: u32 = 4;
/// It is given up after so many seconds.
const SETTLES: u32 = 240;

/// When the first byte to a host came by, in microseconds after the key; 0 before it.
struct Wire {
    pressed: AtomicBool,
    began: Instant,
    key: AtomicU64,
    first: Vec<AtomicU64>,
}

impl Wire {
    fn micros(&self) -> u64 {
        u64::try_from((now() - self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// The cable to a host: what goes by towards it is noticed.
async fn cable(listener: TcpListener, to: SocketAddr, n: usize, wire: Arc<Wire>) {
    while let Ok((inside, _)) = listener.accept().await {
        let Ok(outside) = TcpStream::connect(to).await else { continue };
        // No-delay on both: what is measured is when it comes, not when it is gathered.
        let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
        let (mut from_cockpit, mut to_cockpit) = inside.into_split();
        let (mut from_host, mut to_host) = outside.into_split();
        let wire = Arc::clone(&wire);
        tokio::spawn(async move {
            let mut buffer = vec![0; 32_768];
            while let Ok(read @ 1..) = from_cockpit.read(&mut buffer).await {
                if wire.pressed.load(Ordering::Acquire) {
                    let at = wire.micros();
                    let _ = wire.first[n].compare_exchange(0, at, Ordering::AcqRel, Ordering::Acquire);
                }
                if to_host.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut from_host, &mut to_cockpit).await });
    }
}

/// The cockpit's own hosts; what floods the loop gets its way in from here.
struct Flooded {
    hosts: Hosts,
    outbox: Arc<Mutex<Option<Outbox>>>,
}

impl Outside for Flooded {
    fn start(&self, started: Started, outbox: &Outbox) {
        self.outbox.lock().expect("no panic").get_or_insert_with(|| outbox.clone());
        self.hosts.start(started, outbox);
    }
}

async fn flood(outbox: Outbox, host: HostName) {
    let mut every = tokio::time::interval(Duration::from_micros(1_000_000 / LINES));
    loop {
        every.tick().await;
        let text = Untrusted::new(
            "Nov 21 22:14:03 web1 app[812]: request 8f1c took 12 ms and was answered with 200",
        );
        outbox.line(LogLine::new(host.clone(), LogSource::Holdpoint, clock::now(), text));
    }
}

fn plan(hosts: usize) -> String {
    let time = |by| (clock::now() + TimeDelta::minutes(by)).to_rfc3339_opts(SecondsFormat::Secs, true);
    // One batch is listed, and is on the hosts: nothing more is cut.
    let mut plan = format!(
        "[window]\nname = \"Key\"\nticket = \"CHG-1\"\nopens = {}\ncloses = {}\n[policy]\nstrategy = \"listed\"\n\
         [[batch]]\npackages = [\"no-such-package\"]\n",
        time(-90),
        time(235)
    );
    for n in 0..hosts {
        write!(plan, "[[host]]\nname = \"{0}\"\nssh = \"{0}\"\n", window::host(n)).expect("a string");
    }
    plan
}

pub fn figure(sizes: &[usize]) {
    for hosts in if sizes.is_empty() { &[HOSTS] } else { sizes } {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let mut fleets = Vec::new();
        let at = idle::hosts_of(&runtime, &mut fleets, *hosts);
        runtime.block_on(key(&at, *hosts));
        // Fleets end inside the runtime that they run in.
        let _inside = runtime.enter();
        drop(fleets);
    }
}

async fn key(at: &[(SocketAddr, String)], hosts: usize) {
    let first = (0..hosts).map(|_| AtomicU64::new(0)).collect();
    let (pressed, key) = (AtomicBool::new(false), AtomicU64::new(0));
    let wire = Arc::new(Wire { pressed, began: now(), key, first });
    // Beside the build, where there is a disk: /tmp may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut ssh = String::new();
    for (n, (to, settings)) in at.iter().take(hosts).enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(cable(listener, *to, n, Arc::clone(&wire)));
        let (host, alias) = (window::host(n), format!("[{}]:{}", to.ip(), to.port()));
        writeln!(ssh, "Host {host}\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias {alias}\n{settings}")
            .expect("a string");
    }
    let config = folder.path().join("ssh_config");
    std::fs::write(&config, ssh).expect("written");
    let settings = Arc::new(Settings { ssh_config: Some(config), ..Settings::default() });

    let text = plan(hosts);
    let plan = holdpoint::plan::read("window.toml", &text).expect("a plan");
    let records = window::unconfirmed(&plan, hosts, clock::now() - TimeDelta::hours(1));
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    let header = Header { program: "bench".into(), created: clock::now(), recording: "bench".into() };
    let recording =
        Recording::create(&folder.path().join("recording"), &text, &header, "bench").expect("a recording");
    let notify = Arc::new(Notify::new());
    let wake = Arc::clone(&notify);
    let mut log = recording.log(Box::new(move || wake.notify_one())).expect("a log");
    assert_eq!(log.append(0, records), Append::Committed);
    let target = |(host, ssh): (&HostName, &str)| Target {
        host: host.clone(),
        destination: Destination::Ssh(ssh.to_owned()),
    };
    let link = |target| Asker::new(Link::new(target, Arc::clone(&settings)));
    let askers: Vec<Asker> = plan.reached().map(target).map(link).collect();
    let outbox = Arc::new(Mutex::new(None));
    let outside = Flooded { hosts: Hosts::new(askers, Arc::new(clock::now)), outbox: Arc::clone(&outbox) };
    let conductor = Conductor::new(log, state, "bench-key".to_owned(), 2);
    let (handles, task) = shell::spawn(conductor, outside, notify);
    let say = |intent| {
        let command = Command { actor: Actor::Holdpoint, intent };
        assert!(handles.commands.send(command).is_ok(), "the loop runs");
    };
    say(Intent::Resume { take_over: None });
    let (mut quiet, mut waited) = (0, 0);
    while quiet < QUIET && waited < SETTLES {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let state = Arc::clone(&handles.views.borrow().state);
        let read = state.hosts.values().filter(|host| host.read_at.is_some()).count();
        quiet = if read == hosts && state.pending.is_empty() { quiet + 1 } else { 0 };
        waited += 1;
    }
    let open = handles.views.borrow().state.in_order().filter(|batch| batch.phase.unconfirmed()).count();
    let Some(outbox) = outbox.lock().expect("no panic").clone().filter(|_| quiet == QUIET && open == hosts)
    else {
        println!("  {hosts} hosts: they never came to rest, {open} unconfirmed: no figure");
        return;
    };
    let floods: Vec<_> = (0..hosts).map(|n| tokio::spawn(flood(outbox.clone(), window::host(n)))).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Here the second press of the key comes in.
    wire.key.store(wire.micros(), Ordering::Release);
    wire.pressed.store(true, Ordering::Release);
    say(Intent::Rollback { scope: RollbackScope::Unconfirmed, why: "the bench".into() });
    for _ in 0..100 {
        if wire.first.iter().all(|first| first.load(Ordering::Acquire) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    let key = wire.key.load(Ordering::Acquire);
    let reached: Vec<Duration> = wire
        .first
        .iter()
        .map(|first| first.load(Ordering::Acquire))
        .filter(|at| *at > 0)
        .map(|at| Duration::from_micros(at.saturating_sub(key)))
        .collect();
    if reached.is_empty() {
        println!("  {hosts} hosts: nothing went out: no figure");
    } else {
        let count = reached.len();
        let rate = LINES * hosts as u64;
        Runs::new(reached).print(
            &format!("{hosts} hosts, {rate} lines/s offered"),
            &format!(" reached {count} of {hosts}; aim: under 100 ms"),
        );
    }
    drop(handles);
    task.abort();
}
