//! A million events folded: what opening or seeking in a long recording costs beside reading it.

use holdpoint::core::event::{BatchEvent, HostEvent, Samples, WindowEvent};
use holdpoint::core::{Event, Record};
use std::time::Duration;

use crate::timing::{Runs, took};
use crate::window::{self, Size};

/// Events made at a time; they are numbered anew for each turn, outside the time that counts.
const AT_ONCE: usize = 50_000;
const TURNS: usize = 20;

/// What a window mostly records: of a hundred events about seventy probe results, then log lines,
/// the rest hosts lost and found, batches and notes.
fn event(n: usize, hosts: usize) -> Event {
    let host = n % hosts;
    match n % 100 {
        0..70 => window::seen(host, 11 + n as u64 % 50),
        70..95 => {
            let line = |i: usize| window::line(host, window::at(3_600), ["openssl", "nginx", "curl"][i]);
            Event::Samples(Samples { lines: (0..3).map(line).collect(), ..Default::default() })
        }
        95 => Event::Host(HostEvent::Lost { host: window::host(host), why: "no answer in 30 s".into() }),
        96 => Event::Host(HostEvent::Back { host: window::host(host) }),
        97 => Event::Window(WindowEvent::Marked { note: "raj reads the changelog".into() }),
        98 => {
            let batch = format!("20261121t2130-{}-2", n % 20).parse().expect("an id");
            Event::Batch(BatchEvent::VerifyStarted { batch, after_rollback: false })
        }
        _ => Event::Window(WindowEvent::ClockStepped { by_ms: 2_100 }),
    }
}

pub fn figure(_sizes: &[usize]) {
    const HOSTS: usize = 50;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut writer = window::built(&Size { hosts: HOSTS, cut: 20, lines: 10_000 });
        let made = |n| writer.record(window::at(3_600), event(n, HOSTS));
        let mut records: Vec<Record> = (0..AT_ONCE).map(made).collect();
        let mut total = Duration::ZERO;
        for _ in 0..TURNS {
            total += took(|| records.iter().for_each(|record| writer.state.apply(record))).0;
            for record in &mut records {
                record.seq += AT_ONCE as u64;
            }
        }
        runs.push(total);
    }
    let events = AT_ONCE * TURNS;
    Runs::new(runs).print(&format!("{events} events, {HOSTS} hosts"), "  aim: under 2 s");
}
