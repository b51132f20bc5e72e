//! A disk that really is full, and one that really went read-only: a small file system in memory,
//! which needs root. Without, the same is tested with a fake disk beside the writer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holdpoint::journal::{End, LogNews, Recording, Take};
use tempfile::TempDir;

use crate::reference::{PLAN, Told, at, header, note};

/// A file system of 256 KiB.
struct Small {
    folder: TempDir,
}

fn run(argv: &[&str], on: &Path) -> bool {
    let (program, words) = argv.split_first().expect("a program");
    let status = Command::new(program).args(words).arg(on).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = run(&["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"], folder.path());
        if !mounted {
            println!("left out: a file system can't be mounted here (that needs root)");
            return None;
        }
        Some(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let filled = fs::write(self.path("ballast"), vec![b'x'; 512 << 10]);
        assert!(filled.is_err(), "it should not fit");
    }

    fn free(&self) {
        fs::remove_file(self.path("ballast")).expect("removes");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run(&["umount"], self.folder.path());
    }
}

fn failed(news: &LogNews) -> bool {
    matches!(news, LogNews::Failed { .. })
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(small) = Small::mount() else { return };
    let folder = small.path("r");
    let recording = Recording::create(&folder, PLAN, &header("r", at(0)), "s").expect("makes it");
    let mut log = Told::new(recording);
    log.append((1..=10).map(note).collect());
    log.durable(10);
    small.fill();
    log.append((11..=60).map(note).collect());
    let news = log.until(failed);
    let Some(LogNews::Failed { from: 11, why }) = news.last() else { panic!("{news:?}") };
    assert!(why.raw().contains("No space left on device"), "{}", why.shown());
    log.append(vec![note(61)]);
    small.free();
    let news = log.durable(61);
    assert_eq!(news, [LogNews::Healed { torn: None }, LogNews::Durable(61)]);
    log.close();
    let journal = Recording::read(&folder, Take::Whole).expect("sound");
    assert_eq!(journal.end, End::Whole);
    assert_eq!(journal.into_records().expect("known"), (1..=61).map(note).collect::<Vec<_>>());
    assert!(!folder.join("journal.torn-1").exists(), "half our own line is nothing to keep");
}

#[test]
fn a_recording_opens_on_a_full_disk_and_on_one_that_is_read_only() {
    let Some(small) = Small::mount() else { return };
    let folder = small.path("r");
    let recording = Recording::create(&folder, PLAN, &header("r", at(0)), "s").expect("makes it");
    let mut log = Told::new(recording);
    log.append((1..=3).map(note).collect());
    log.close();
    let journal = folder.join("journal.jsonl");
    let mut torn = fs::read(&journal).expect("reads");
    torn.extend_from_slice(b"{\"seq\":4,\"torn");
    fs::write(&journal, &torn).expect("writes");
    small.fill();

    let opened = Recording::open(&folder, "s2", Take::Whole).expect("a rollback must not wait for space");
    assert_eq!((opened.records.len(), opened.aside), (3, None));
    let mut log = Told::new(opened.recording);
    let news = log.until(failed);
    assert!(matches!(news.last(), Some(LogNews::Failed { from: 4, .. })), "{news:?}");
    log.append(vec![note(4)]);
    small.free();
    let news = log.durable(4);
    // The torn end is not the beginning of what is written now.
    let aside = folder.join("journal.torn-1");
    let healed = LogNews::Healed { torn: Some(aside.display().to_string().into()) };
    assert_eq!(news, [healed, LogNews::Durable(4)]);
    assert_eq!(fs::read(&aside).expect("reads"), b"{\"seq\":4,\"torn");
    log.close();

    assert!(run(&["mount", "-o", "remount,ro"], small.folder.path()), "it can be made read-only");
    let opened = Recording::open(&folder, "s3", Take::Whole).expect("nor for a disk that can be written");
    let mut log = Told::new(opened.recording);
    log.append(vec![note(5)]);
    let news = log.until(failed);
    assert!(matches!(news.last(), Some(LogNews::Failed { from: 5, .. })), "{news:?}");
    assert!(run(&["mount", "-o", "remount,rw"], small.folder.path()), "it can be made writable");
    log.durable(5);
    log.close();
    let journal = Recording::read(&folder, Take::Whole).expect("sound");
    assert_eq!(journal.into_records().expect("known"), (1..=5).map(note).collect::<Vec<_>>());
}
