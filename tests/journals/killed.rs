//! A writer that is killed: what it was told is durable is there, and the journal is sound.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use holdpoint::journal::{End, LogNews, Recording, Take};
use holdpoint::types::Seq;

use crate::reference::{PLAN, Told, at, header, note};

const FOLDER: &str = "HOLDPOINT_TEST_FOLDER";

/// The process that is killed: it writes until then, and says what is durable.
#[test]
#[ignore = "it never ends by itself: the test below starts and kills it"]
fn writer() {
    let folder = std::env::var_os(FOLDER).expect("started by the test below");
    let recording = Recording::create(Path::new(&folder), PLAN, &header("r", at(0)), "s").expect("makes it");
    let mut log = Told::new(recording);
    let mut next: Seq = 1;
    loop {
        log.append((next..next + 3).map(note).collect());
        next += 3;
        let news = log.until(|news| matches!(news, LogNews::Durable(_)));
        if let Some(LogNews::Durable(seq)) = news.last() {
            println!("durable {seq}");
        }
    }
}

#[test]
fn what_was_durable_survives_a_kill() {
    let scratch = tempfile::tempdir().expect("a folder");
    for (round, enough) in [1, 40, 200].into_iter().enumerate() {
        let folder = scratch.path().join(format!("r{round}"));
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "killed::writer", "--ignored", "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let durable: Seq = out
            .lines()
            .filter_map(|line| line.expect("a line").split_once("durable ")?.1.parse().ok())
            .find(|seq| *seq >= enough)
            .expect("it writes");
        child.kill().expect("kills");
        child.wait().expect("ends");
        let opened = Recording::open(&folder, "s2", Take::Whole).expect("the kernel let the lock go");
        let last = opened.records.len() as Seq;
        assert!(last >= durable, "{last} records, {durable} were durable");
        assert_eq!(opened.records, (1..=last).map(note).collect::<Vec<_>>());
        let mut log = Told::new(opened.recording);
        log.append(vec![note(last + 1)]);
        log.close();
        let journal = Recording::read(&folder, Take::Whole).expect("sound");
        assert_eq!((journal.end, journal.entries.len() as Seq), (End::Whole, last + 1));
    }
}
