//! The cockpit is killed when its journal has come to a record, and the window picked up: in its folder,
//! or in a copy of it, as on another machine. A few records by a seed; `HOLDPOINT_LAB_KILLS=all` takes
//! every one, `HOLDPOINT_SEED` another few.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::figures;
use crate::fleet::Fleet;
use crate::journal::Journal;
use crate::program::{plan, rehearsed, run, start};

/// Records after which it is killed, unless all are asked for.
const SAMPLE: u64 = 4;
/// Looks for a record, 2 ms apart, until it is given up.
const LOOKS: u32 = 60_000;

fn records(recording: &Path) -> u64 {
    let text = fs::read_to_string(recording.join("journal.jsonl")).unwrap_or_default();
    (text.matches('\n').count() as u64).saturating_sub(1)
}

/// What resuming and rolling back may end with after a kill at any record: done or taken back, and where
/// there was no window yet, nothing to pick up.
fn legal(fleet: &Fleet, recording: &Path) -> i32 {
    let folder = recording.display().to_string();
    let resumed = run(fleet, &["resume", &folder, "--headless", "--take-over"]);
    assert!(
        [0, 10, 20].contains(&resumed.exit),
        "{}: {}\n{}{}",
        folder,
        resumed.exit,
        resumed.out,
        resumed.err
    );
    let journal = Journal::of(fleet, recording);
    assert!(!journal.all("window", "resumed").is_empty());
    // Nothing is applied twice under two names.
    let started = journal.all("batch", "apply-started").len();
    assert!(started <= 2, "{started} applies were ordered for one batch");
    resumed.exit
}

#[test]
fn a_cockpit_that_is_killed_at_journal_records_is_resumed_here_or_elsewhere() {
    let Some(fleet) = Fleet::up("kills", &["test1", "web2"]) else { return };
    let plan = plan(&fleet, &["web2"], &[&["hp-less"]]);
    rehearsed(&fleet, &plan);
    let plan = plan.display().to_string();
    let before = fleet.manifest("web2");
    let whole = fleet.home().join("whole");
    let folder = whole.display().to_string();
    run(&fleet, &["run", &plan, "--headless", "--recording", &folder]).must_end(0);
    let last = records(&whole);
    run(&fleet, &["rollback", &folder, "--scope", "all", "--take-over"]).must_end(10);
    // What was rolled back is pinned out, and each window is to have it pending again.
    let release = || run(&fleet, &["unpin", &plan]).must_end(0);
    release();
    let all = std::env::var("HOLDPOINT_LAB_KILLS").is_ok_and(|which| which == "all");
    let seed: u64 = std::env::var("HOLDPOINT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let step = if all { 1 } else { last / SAMPLE };
    let points: Vec<u64> = (1 + seed % step.max(1)..last).step_by(step.max(1) as usize).collect();
    for at in &points {
        let recording = fleet.home().join(format!("killed-{at}"));
        let folder = recording.display().to_string();
        let window = start(&fleet, &["run", &plan, "--headless", "--recording", &folder]);
        for _ in 0..LOOKS {
            if records(&recording) >= *at {
                break;
            }
            sleep(Duration::from_millis(2));
        }
        window.kill();
        let elsewhere = fleet.home().join(format!("elsewhere-{at}"));
        let taken = if at % 2 == 0 {
            assert!(
                Command::new("cp").arg("-a").args([&recording, &elsewhere]).status().expect("cp").success()
            );
            &elsewhere
        } else {
            &recording
        };
        let exit = legal(&fleet, taken);
        let folder = taken.display().to_string();
        let back = run(&fleet, &["rollback", &folder, "--scope", "all", "--take-over"]);
        assert!([0, 10, 20].contains(&back.exit), "{}\n{}{}", back.exit, back.out, back.err);
        release();
        before.assert_same(&fleet.manifest("web2"), "after a kill, a resume and a rollback of everything");
        println!("killed at record {at} of {last}: resumed with {exit}, rolled back with {}", back.exit);
    }
    println!("killed at {} of {last} records; HOLDPOINT_LAB_KILLS=all kills at each", points.len());
    figures::report(
        "cockpits killed at records of their journal",
        &format!("{} of {last}, each picked up and its host taken back identical", points.len()),
    );
}
