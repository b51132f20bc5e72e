//! What the real cockpit costs while nothing happens: its processor time, its wake-ups and what it
//! draws. The process that is measured is the cockpit alone: hosts and customers are played by the
//! bench's own process.

use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use holdpoint::conductor::clock;
use holdpoint::demo::{self, Fleet, Pace, Scenario, Setup};

use crate::timing::now;

/// The hosts, where none other is asked for.
const HOSTS: usize = 50;
/// Nothing but probe results may come for so long before it counts as settled.
const QUIET: u32 = 6;
/// It is given up after so many seconds.
const SETTLES: u32 = 180;
const WATCHED: Duration = Duration::from_secs(30);

/// User and system time of a process, in clock ticks.
pub fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; the fields 14 and 15 count from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

pub fn ticks_a_second() -> Option<f64> {
    let output = Command::new("getconf").arg("CLK_TCK").output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// How often the threads of a process went to sleep, so far.
fn sleeps(pid: u32) -> u64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let status = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("status")).ok();
    let count = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    threads.flatten().filter_map(status).filter_map(count).sum()
}

/// The records of a recording so far, those of probe results apart.
fn records(recording: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(recording.join("journal.jsonl")).unwrap_or_default();
    let seen = text.lines().filter(|line| line.contains("\"event\":\"seen\"")).count();
    (seen as u64, (text.lines().count() - seen) as u64)
}

/// Hosts of several demos, which answer over real ssh, and a customer with a TCP listener for each
/// but the first, which is the baseline.
pub struct World {
    /// They end when they are dropped, inside the runtime that they run in.
    fleets: Vec<Fleet>,
    runtime: tokio::runtime::Runtime,
    pub folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.fleets.clear();
    }
}

/// More than that many hosts, of as many demos as it takes: where each answers, and the rest of its ssh settings.
pub fn hosts_of(
    runtime: &tokio::runtime::Runtime,
    fleets: &mut Vec<Fleet>,
    hosts: usize,
) -> Vec<(SocketAddr, String)> {
    let mut all = Vec::new();
    while all.len() <= hosts {
        let seed = fleets.len() as u64;
        // Fast, so that the cockpit has soon done what it does before anybody presses a key.
        let setup = Setup { pace: Pace::FAST, rehearsed: false };
        let fleet = demo::start_with(Scenario::Calm, clock::now(), seed, setup);
        let fleet = runtime.block_on(fleet).expect("hosts");
        let settings = fleet.settings.ssh_config.as_ref().expect("it has one");
        let settings = std::fs::read_to_string(settings).expect("written");
        let settings: String = settings.lines().skip(1).map(|line| format!("{line}\n")).collect();
        let plan = holdpoint::plan::read("the demo's plan", &fleet.plan).expect("a plan");
        for (_, at) in plan.reached() {
            let at = at.rsplit('@').next().and_then(|at| at.parse().ok()).expect("USER@ADDRESS");
            all.push((at, settings.clone()));
        }
        fleets.push(fleet);
    }
    all
}

/// Takes visitors, and lets them go.
async fn keep(listener: tokio::net::TcpListener) {
    while let Ok(visitor) = listener.accept().await {
        drop(visitor);
    }
}

impl World {
    pub fn start(hosts: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = Self { fleets: Vec::new(), runtime, folder };
        let mut ssh = String::new();
        for (count, (at, settings)) in hosts_of(&world.runtime, &mut world.fleets, hosts).iter().enumerate() {
            writeln!(ssh, "Host {}\n  HostName {}\n  Port {}\n{settings}", name(count), at.ip(), at.port())
                .expect("a string");
        }
        let plan = world.plan(hosts);
        std::fs::write(world.folder.path().join("ssh_config"), ssh).expect("written");
        std::fs::write(world.folder.path().join("window.toml"), plan).expect("written");
        world
    }

    fn plan(&self, hosts: usize) -> String {
        let time = |by| (clock::now() + TimeDelta::minutes(by)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut plan = format!(
            "[window]\nname = \"Idle\"\nticket = \"CHG-1\"\nopens = {}\ncloses = {}\n[baseline]\nhost = \"{first}\"\nssh = \"{first}\"\n",
            time(-5),
            time(235),
            first = name(0)
        );
        for n in 1..=hosts {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
            let listener = self.runtime.block_on(listener).expect("a port");
            let port = listener.local_addr().expect("bound").port();
            self.runtime.spawn(keep(listener));
            write!(
                plan,
                "[[host]]\nname = \"{host}\"\nssh = \"{host}\"\n[[customer]]\nname = \"customer{n:03}\"\nhost = \"{host}\"\n\
                 weight = {n}\naddress = \"127.0.0.1\"\nprobes = [\"tcp:{port}\"]\n",
                host = name(n)
            )
            .expect("a string");
        }
        plan
    }

    /// The cockpit that runs its window, with this ssh configuration.
    pub fn cockpit(&self, ssh_config: &Path) -> CommandBuilder {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.env_clear();
        for (key, value) in [("PATH", "/usr/bin:/bin"), ("TERM", "xterm-256color"), ("USER", "bench")] {
            command.env(key, value);
        }
        for key in ["HOME", "TMPDIR"] {
            command.env(key, self.folder.path());
        }
        command.arg("-F");
        command.arg(ssh_config);
        command.arg("run");
        command.arg(file("window.toml"));
        command.arg("--recording");
        command.arg(file("recording"));
        command
    }
}

pub fn name(n: usize) -> String {
    format!("idle{n:03}")
}

pub fn figure(sizes: &[usize]) {
    let (Some(_), Some(rate)) = (ticks(std::process::id()), ticks_a_second()) else {
        println!("  skipped: no /proc here that tells a process's time");
        return;
    };
    for hosts in if sizes.is_empty() { &[HOSTS] } else { sizes } {
        idle(*hosts, rate);
    }
}

/// How far the cockpit has come.
struct Moment {
    at: std::time::Instant,
    ticks: u64,
    sleeps: u64,
    drawn: u64,
    frames: u64,
    seen: u64,
    other: u64,
}

/// What comes from the cockpit's terminal, counted.
#[derive(Default)]
struct Drawn {
    bytes: AtomicU64,
    frames: AtomicU64,
}

fn idle(hosts: usize, rate: f64) {
    let world = World::start(hosts);
    let size = PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut child = pair
        .slave
        .spawn_command(world.cockpit(&world.folder.path().join("ssh_config")))
        .expect("the cockpit starts");
    drop(pair.slave);
    let drawn = Arc::new(Drawn::default());
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let counted = Arc::clone(&drawn);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            counted.bytes.fetch_add(n as u64, Ordering::Relaxed);
            // Each frame is one synchronized update; one that is cut by the buffer's end is rare.
            let begins = buffer[..n].windows(8).filter(|bytes| bytes == b"\x1b[?2026h").count();
            counted.frames.fetch_add(begins as u64, Ordering::Relaxed);
        }
    });
    let pid = child.process_id().expect("a process");
    let recording = world.folder.path().join("recording");
    let moment = || {
        let (seen, other) = records(&recording);
        Some(Moment {
            at: now(),
            ticks: ticks(pid)?,
            sleeps: sleeps(pid),
            drawn: drawn.bytes.load(Ordering::Relaxed),
            frames: drawn.frames.load(Ordering::Relaxed),
            seen,
            other,
        })
    };
    let (mut quiet, mut last, mut waited) = (0, 0, 0);
    while quiet < QUIET && waited < SETTLES {
        std::thread::sleep(Duration::from_secs(1));
        let (seen, other) = records(&recording);
        quiet = if other == last && seen > 0 { quiet + 1 } else { 0 };
        (last, waited) = (other, waited + 1);
    }
    let before = moment();
    std::thread::sleep(WATCHED);
    let after = moment();
    let running = matches!(child.try_wait(), Ok(None));
    child.kill().expect("it ends");
    drop(child.wait());
    drop(pair.master);
    drop(reading.join());
    let (Some(before), Some(after), true) = (before, after, running && quiet == QUIET) else {
        println!("  {hosts} hosts: the cockpit ended, or never came to rest: no figure");
        return;
    };
    let seconds = (after.at - before.at).as_secs_f64();
    let each = |after: u64, before: u64| (after - before) as f64 / seconds;
    println!(
        "  {hosts} hosts, idle for {seconds:.0} s: {:.2} % of one core (aim: under 1 %); each second {:.0} wake-ups, \
         {:.1} probe results, {:.1} other records, {:.1} frames of {:.0} bytes in all",
        each(after.ticks, before.ticks) / rate * 100.0,
        each(after.sleeps, before.sleeps),
        each(after.seen, before.seen),
        each(after.other, before.other),
        each(after.frames, before.frames),
        each(after.drawn, before.drawn)
    );
}
