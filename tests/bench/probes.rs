//! Probes a second, and how well they keep their intervals, beside fping in the same run.
//!
//! All targets are addresses of this machine's loopback, which answer at once: what is measured is what
//! probing costs here, and no network.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use holdpoint::conductor::clock;
use holdpoint::core::event::{ProbeId, ProbeOutcome, Vantage};
use holdpoint::core::{ProbeTask, Subject};
use holdpoint::plan::{Limit, Probe, ProbeTarget, VantageKind};
use holdpoint::probe::{self, Means};
use holdpoint::types::Span;
use tokio::net::TcpListener;

use crate::timing::{Runs, now, took};

const ROUNDS: usize = 3;
/// Attempts at a time, as many as the cockpit makes.
const AT_ONCE: usize = 256;
/// The shortest interval that a plan may ask for.
const EVERY: Span = Span::ms(100);
/// Of each target that is looked at again and again.
const TIMES: usize = 50;
const TARGETS: usize = 100;

pub fn figure(sizes: &[usize]) {
    let count = sizes.first().copied().unwrap_or(4_000).clamp(1, 60_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let means = Arc::new(Means::new(Arc::new(clock::now), None));
    let port = runtime.block_on(listen());
    let targets: Vec<IpAddr> = (0..count).map(address).collect();
    let fping = runs("fping");
    if !fping {
        println!("  fping is not here: holdpoint alone (apt-get install fping)");
    }
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (what, target) in [("ping", ProbeTarget::Ping), ("tcp", ProbeTarget::Tcp { port })] {
            let tasks: Vec<_> = targets.iter().map(|to| task(0, *to, &target)).collect();
            let means = Arc::clone(&means);
            // As in the cockpit, on one of the threads that hear.
            let (time, failed) =
                took(|| runtime.block_on(runtime.spawn(async move { all(tasks, means).await })));
            if let Some(why) = failed.expect("nobody panicked") {
                println!("  {what} is no figure: {why}");
                continue;
            }
            times.entry(what).or_default().push(time);
        }
        if fping {
            let (time, answered) = took(|| fping_all(&targets));
            if answered == count {
                times.entry("fping").or_default().push(time);
            } else {
                println!("  fping is no figure: {answered} of {count} answered");
            }
        }
    }
    let mut medians = BTreeMap::new();
    for (what, times) in times {
        let runs = Runs::new(times);
        let rate = count as f64 / runs.median().as_secs_f64();
        medians.insert(what, rate);
        runs.print(&format!("{count} by {what}"), &format!("  {rate:.0} a second"));
    }
    if let (Some(ours), Some(theirs)) = (medians.get("ping"), medians.get("fping")) {
        println!("  {:.2} times as many pings as fping  aim: as many", ours / theirs);
    }
    println!("  {TARGETS} targets every {EVERY}, {TIMES} times each: how far each interval is off");
    let kept = runtime.block_on(watched(&means));
    Runs::new(kept).print("ping, watched as a window watches", "");
    if fping {
        Runs::new(fping_watched()).print("fping", "  aim: as accurate");
    }
}

fn address(nth: usize) -> IpAddr {
    let [_, _, high, low] = u32::try_from(nth + 1).unwrap_or(1).to_be_bytes();
    Ipv4Addr::new(127, 9, high, low).into()
}

/// Something that takes connections on every address.
async fn listen() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    port
}

fn task(index: u16, to: IpAddr, target: &ProbeTarget) -> ProbeTask {
    ProbeTask {
        id: Subject::Customer(ProbeId { customer: "bench".parse().expect("a name"), index }),
        probe: Probe {
            target: target.clone(),
            from: VantageKind::Outside,
            every: EVERY,
            timeout: Span::secs(3),
            delay: Span::ZERO,
            fails: Limit::USUAL,
            required: true,
            body: None,
        },
        host: "bench".parse().ok(),
        address: Some(to),
        vantage: Vantage::Cockpit,
    }
}

/// Each once; why one did not pass.
async fn all(tasks: Vec<ProbeTask>, means: Arc<Means>) -> Option<String> {
    let made = futures_util::stream::iter(tasks).map(|task| {
        let means = Arc::clone(&means);
        async move { probe::once(&task, Span::secs(3), &means).await }
    });
    let mut made = made.buffer_unordered(AT_ONCE);
    while let Some(attempt) = made.next().await {
        match attempt.outcome {
            ProbeOutcome::Ok { .. } => {}
            ProbeOutcome::Fail { why, .. } | ProbeOutcome::Broken { why } => return Some(why.shown()),
        }
    }
    None
}

/// How far the time between two results of one target is from what was asked, of all of them.
fn off(seen: &BTreeMap<String, Vec<Duration>>) -> Vec<Duration> {
    let gaps = seen.values().flat_map(|times| times.windows(2).map(|pair| pair[1].abs_diff(pair[0])));
    gaps.map(|gap| gap.abs_diff(EVERY.into())).collect()
}

async fn watched(means: &Means) -> Vec<Duration> {
    let targets = (0..TARGETS).map(address).zip(0..);
    let tasks = targets.map(|(to, index)| task(index, to, &ProbeTarget::Ping)).collect();
    let (began, seen) = (now(), Mutex::new(BTreeMap::<String, Vec<Duration>>::new()));
    let watching = probe::watch(tasks, means, async |id, _, _| {
        let mut seen = seen.lock().expect("nobody panicked");
        seen.entry(format!("{id:?}")).or_default().push(began.elapsed());
    });
    let whole = Duration::from(EVERY) * u32::try_from(TIMES).expect("few");
    // It never ends by itself.
    let _elapsed = tokio::time::timeout(whole, watching).await;
    off(&seen.lock().expect("nobody panicked"))
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// All of them once, as fast as it goes; how many answered.
fn fping_all(targets: &[IpAddr]) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let (list, mut text) = (folder.path().join("targets"), String::new());
    targets.iter().for_each(|to| writeln!(text, "{to}").expect("memory"));
    std::fs::write(&list, text).expect("written");
    let mut command = Command::new("fping");
    // No pause between two packets, which root alone may ask for, and nothing tried twice.
    command.args(["-a", "-i", "0", "-r", "0", "-t", "3000", "-f"]).arg(&list);
    let output = command.stdin(Stdio::null()).output().expect("fping runs");
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
}

/// The same targets and the same interval by fping, by the moments that it prints.
fn fping_watched() -> Vec<Duration> {
    let mut command = Command::new("fping");
    command.args(["-D", "-i", "0", "-p"]).arg(EVERY.as_ms().to_string()).arg("-c").arg(TIMES.to_string());
    command.args((0..TARGETS).map(|nth| address(nth).to_string()));
    let output = command.stdin(Stdio::null()).output().expect("fping runs");
    let mut seen = BTreeMap::<String, Vec<Duration>>::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // [1763760000.12345] 127.9.0.1 : [0], 64 bytes, 0.03 ms (...)
        let parts = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let Some((moment, rest)) = parts else { continue };
        let (Ok(moment), Some(to)) = (moment.parse::<f64>(), rest.split_whitespace().next()) else {
            continue;
        };
        seen.entry(to.to_owned()).or_default().push(Duration::from_secs_f64(moment));
    }
    off(&seen)
}
