//! What the real cockpit costs while nothing happens: its processor time and what it draws.

use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::timing::now;

/// Until the demo's hosts are read and its first packages are stored.
const SETTLES: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(10);

/// User and system time of a process, in clock ticks.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; the fields 14 and 15 count from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn ticks_a_second() -> Option<f64> {
    let output = Command::new("getconf").arg("CLK_TCK").output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

pub fn figure(_sizes: &[usize]) {
    let (Some(_), Some(rate)) = (ticks(std::process::id()), ticks_a_second()) else {
        println!("  skipped: no /proc here that tells a process's time");
        return;
    };
    let home = tempfile::tempdir().expect("a folder");
    let size = PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
    command.arg("demo");
    command.env_clear();
    for (key, value) in [("PATH", "/usr/bin:/bin"), ("TERM", "xterm-256color")] {
        command.env(key, value);
    }
    for key in ["HOME", "TMPDIR"] {
        command.env(key, home.path());
    }
    let mut child = pair.slave.spawn_command(command).expect("the demo starts");
    drop(pair.slave);
    let written = Arc::new(AtomicU64::new(0));
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let counted = Arc::clone(&written);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            counted.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    let pid = child.process_id().expect("a process");
    std::thread::sleep(SETTLES);
    let (start, before, drawn) = (now(), ticks(pid), written.load(Ordering::Relaxed));
    std::thread::sleep(WATCHED);
    let (after, drawn) = (ticks(pid), written.load(Ordering::Relaxed) - drawn);
    let seconds = start.elapsed().as_secs_f64();
    let running = matches!(child.try_wait(), Ok(None));
    child.kill().expect("it ends");
    drop(child.wait());
    drop(pair.master);
    drop(reading.join());
    match (before, after) {
        (Some(before), Some(after)) if running => {
            let percent = (after - before) as f64 / rate / seconds * 100.0;
            println!(
                "  the demo's cockpit, idle for {seconds:.0} s: {percent:.2} % of one core, {:.0} bytes a second drawn",
                drawn as f64 / seconds
            );
            println!("  (4 hosts, with the sshds and customers that it plays; aim: under 1 %)");
        }
        _ => println!("  the demo ended by itself: no figure"),
    }
}
