//! What the real cockpit costs while 5 hosts stream 20,000 packets a second each, and how soon a key is on its
//! screen meanwhile. The packets come over real sshds; all else that hosts are asked, the hosts of a demo answer
//! behind them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdpoint::capture::builder::{sll2, stream, tcp_packet};
use holdpoint::capture::link;
use holdpoint::core::event::TcpFlags;
use portable_pty::{PtySize, native_pty_system};

use crate::idle::{self, World};
use crate::sshd::{self, Fleet};
use crate::timing::{Runs, now};

/// The word by which an sshd calls this program for the packets of a host.
pub const POUR: &str = "--pour";
const HOSTS: usize = 5;
/// Packets that each host has to show in a second.
const RATE: usize = 20_000;
/// As tcpdump does, what there is is written every so often.
const SLICE: Duration = Duration::from_millis(10);
const WATCHED: Duration = Duration::from_secs(20);
/// All captures have to run within so many seconds.
const SETTLES: u32 = 120;
const KEYS: usize = 30;

/// Writes packets of whole connections with a customer's address until nobody reads any more.
pub fn pour() {
    let head = stream(link::SLL2, false, true, &[]).len();
    let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 443);
    let (mut out, began, mut sent) = (std::io::stdout().lock(), now(), 0_usize);
    loop {
        let due = (began.elapsed().as_secs_f64() * RATE as f64) as usize;
        let epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let at = u64::try_from(epoch.as_nanos()).unwrap_or(0);
        let packets: Vec<(u64, Vec<u8>)> = (sent..due).map(|n| (at, packet(n, server))).collect();
        sent = due.max(sent);
        let bytes = stream(link::SLL2, false, true, &packets).split_off(head);
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            return;
        }
        std::thread::sleep(SLICE);
    }
}

/// The nth: SYN, SYN-ACK, ACK, data both ways, an ACK, of one caller after the other.
fn packet(n: usize, server: SocketAddr) -> Vec<u8> {
    let talk = u32::try_from(n / 6 % 60_000).unwrap_or(0);
    let caller =
        SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + talk)), 1_024 + (talk % 50_000) as u16);
    let (ack, data) = (TcpFlags::ACK, TcpFlags::ACK | TcpFlags::PSH);
    let (inward, packet) = match n % 6 {
        0 => (true, tcp_packet(caller, server, TcpFlags::SYN, talk, 0, &[])),
        1 => (false, tcp_packet(server, caller, TcpFlags::SYN | ack, 7, talk + 1, &[])),
        2 => (true, tcp_packet(caller, server, ack, talk + 1, 8, &[])),
        3 => (true, tcp_packet(caller, server, data, talk + 1, 8, &[22; 60])),
        4 => (false, tcp_packet(server, caller, data, 8, talk + 61, &[22; 60])),
        _ => (true, tcp_packet(caller, server, ack, talk + 61, 68, &[])),
    };
    sll2(2, if inward { 0 } else { 4 }, 0x0800, &packet)
}

/// Sshds in front of the demo's hosts: what is no capture goes on to them.
fn doors(world: &World) -> Option<Fleet> {
    let program = std::env::current_exe().ok()?;
    let behind = world.folder.path().join("ssh_config");
    let script = world.folder.path().join("door");
    // Whoever is root here needs no sudo; at the hosts behind nobody is.
    let text = format!(
        "case $SSH_ORIGINAL_COMMAND in {helper}*) SSH_ORIGINAL_COMMAND=\"sudo -n $SSH_ORIGINAL_COMMAND\" ;; esac\n\
         case $SSH_ORIGINAL_COMMAND in\n\
         *' capture '*) ssh -F '{behind}' \"$1\" \"$SSH_ORIGINAL_COMMAND\" </dev/null && exec '{program}' {POUR} ;;\n\
         *) exec ssh -F '{behind}' \"$1\" \"$SSH_ORIGINAL_COMMAND\" ;;\nesac\n",
        behind = behind.display(),
        program = program.display(),
        helper = holdpoint::helper::PATH,
    );
    std::fs::write(&script, text).ok()?;
    Fleet::start_with(HOSTS + 1, |n| format!("ForceCommand sh '{}' {}\n", script.display(), idle::name(n)))
}

pub fn figure(_sizes: &[usize]) {
    let Some(rate) = idle::ticks_a_second() else {
        println!("  skipped: no getconf here that tells the unit of a process's time");
        return;
    };
    let world = World::start(HOSTS);
    let Some(doors) = doors(&world) else {
        println!("  skipped: no sshd or no ssh-keygen here");
        return;
    };
    let config = std::fs::read_to_string(doors.file("ssh_config")).expect("written");
    let renamed = (0..=HOSTS).fold(config, |config, n| {
        config.replace(&format!("Host {}\n", sshd::name(n)), &format!("Host {}\n", idle::name(n)))
    });
    let config = doors.write("cockpit_config", &renamed);
    let size = PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut child = pair.slave.spawn_command(world.cockpit(&config)).expect("the cockpit starts");
    drop(pair.slave);
    let cells = |n: u16| std::num::NonZero::new(n).expect("a terminal has cells");
    let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(size.rows), cells(size.cols), 0)));
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let drawn = Arc::clone(&screen);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            drawn.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..n]);
        }
    });
    let mut keys = pair.master.take_writer().expect("a keyboard");
    let shown = || screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents();
    let journal = world.folder.path().join("recording/journal.jsonl");
    let told = |what: &str| {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"group\":\"packet\"") && line.contains(what)).count()
    };
    let running = "\"event\":\"running\"";
    let settled = (0..SETTLES).any(|_| {
        std::thread::sleep(Duration::from_secs(1));
        told(running) >= HOSTS
    });
    let pid = child.process_id().expect("a process");
    if settled {
        // What a fleet's first reading costs is no matter here.
        std::thread::sleep(Duration::from_secs(10));
        let again = told(running);
        let (began, before) = (now(), idle::ticks(pid));
        std::thread::sleep(WATCHED);
        let (seconds, after) = (began.elapsed().as_secs_f64(), idle::ticks(pid));
        let delays = (0..KEYS).filter_map(|n| pressed(n, &mut keys, &shown)).collect::<Vec<_>>();
        match (before, after) {
            (Some(before), Some(after)) => println!(
                "  {HOSTS} hosts x {RATE} packets a second: {:.1} % of one core, drawing and ssh too (aim: under 50 %)",
                (after - before) as f64 / rate / seconds * 100.0
            ),
            _ => println!("  the cockpit ended: no figure"),
        }
        println!(
            "  captures begun anew meanwhile, since this machine was too slow: {}",
            told(running) - again
        );
        let few = delays.len() < KEYS;
        if few {
            println!("  {} of {KEYS} keys were not on the screen within 2 s", KEYS - delays.len());
        }
        if !delays.is_empty() {
            Runs::new(delays).print("from a key to the screen", "  aim: under 50 ms");
        }
    } else {
        println!("  {} of {HOSTS} captures ran in the end: no figure\n{}", told(running), shown());
    }
    // It may have ended by itself.
    let _ended_or_not = (child.kill(), child.wait());
    drop(pair.master);
    drop(reading.join());
}

/// Opens the help, or closes it, and waits until the screen shows that: how long it took.
fn pressed(n: usize, keys: &mut dyn Write, shown: &dyn Fn() -> String) -> Option<Duration> {
    // Keys of people come at no fixed moment of a frame.
    std::thread::sleep(Duration::from_millis(150 + 37 * (n as u64 % 7)));
    let opens = n.is_multiple_of(2);
    let began = now();
    keys.write_all(if opens { b"?" } else { b"q" }).and_then(|()| keys.flush()).expect("typed");
    while began.elapsed() < Duration::from_secs(2) {
        if shown().contains(HELP) == opens {
            return Some(began.elapsed());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    None
}

/// Words that stand in the help alone.
const HELP: &str = "KEYS AND COMMANDS";
