//! The writer over a disk that can be slow, full, failing or forgetful. Waiting is bounded, and only
//! ever for something the writer says it did.

use std::path::Path;
use std::sync::mpsc;

use super::*;
use crate::core::Event;
use crate::core::event::{Actor, WindowEvent};
use crate::journal::format::Header;
use crate::journal::read::{End, read};
use crate::types::Time;

/// A disk: what is on it, what is only in the page cache, and how it fails.
#[derive(Default)]
struct Disk {
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What a power cut leaves.
    synced: Vec<u8>,
    /// Bytes that fit.
    room: Option<usize>,
    /// Syncs fail; what was written is then dropped as dirty and never reaches `synced` by a later
    /// sync, as Linux does it.
    sync_fails: bool,
    /// From where on bytes were dropped so.
    lost_from: Option<usize>,
    /// Opening fails.
    open_fails: bool,
    /// Bytes that appear at the end when a write fails.
    garbage: Vec<u8>,
    syncs: usize,
    aside: Vec<Vec<u8>>,
    /// A sync waits while this is set.
    slow: bool,
}

#[derive(Clone, Default)]
struct FakeDisk(Arc<(Mutex<Disk>, Condvar)>);

impl FakeDisk {
    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        let answer = act(&mut self.0.0.lock().expect("no test panicked"));
        self.0.1.notify_all();
        answer
    }
}

impl Storage for FakeDisk {
    fn reopen(&mut self) -> io::Result<()> {
        self.with(|disk| if disk.open_fails { Err(io::Error::other("no such device")) } else { Ok(()) })
    }

    fn read(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(io::Cursor::new(self.with(|disk| disk.bytes.clone()))))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            let fits =
                disk.room.map_or(bytes.len(), |room| room.saturating_sub(disk.bytes.len()).min(bytes.len()));
            disk.bytes.extend_from_slice(&bytes[..fits]);
            if fits == bytes.len() {
                return Ok(());
            }
            let garbage = disk.garbage.clone();
            disk.bytes.extend_from_slice(&garbage);
            Err(io::Error::other("no space left on device"))
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let disk = self.0.0.lock().expect("no test panicked");
        let mut disk = self.0.1.wait_while(disk, |disk| disk.slow).expect("no test panicked");
        disk.syncs += 1;
        if disk.sync_fails {
            disk.lost_from = Some(disk.lost_from.unwrap_or(disk.synced.len()));
            return Err(io::Error::other("input/output error"));
        }
        disk.synced = match disk.lost_from {
            // The pages count as clean: nothing writes them again.
            Some(from) => disk.bytes.iter().enumerate().map(|(i, b)| if i < from { *b } else { 0 }).collect(),
            None => disk.bytes.clone(),
        };
        Ok(())
    }

    fn set_aside(&mut self, at: u64) -> io::Result<PathBuf> {
        self.with(|disk| {
            let torn = disk.bytes[at as usize..].to_vec();
            disk.aside.push(torn);
            Ok(PathBuf::from(format!("torn-{}", disk.aside.len())))
        })
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        self.with(|disk| {
            disk.bytes.truncate(at as usize);
            // New pages for new bytes.
            disk.lost_from = None;
            Ok(())
        })
    }

    fn path(&self) -> &Path {
        Path::new("journal.jsonl")
    }
}

fn note(seq: Seq) -> Record {
    Record {
        seq,
        at: Time::UNIX_EPOCH,
        actor: Actor::Holdpoint,
        session: "s".into(),
        epoch: 1,
        event: Event::Window(WindowEvent::Marked { note: format!("note {seq}").into() }),
    }
}

struct Bench {
    disk: FakeDisk,
    log: FileLog,
    woken: mpsc::Receiver<()>,
    news: Vec<LogNews>,
}

const SOON: Duration = Duration::from_secs(20);

impl Bench {
    fn new() -> Self {
        Self::broken(None)
    }

    fn broken(broken: Option<Untrusted>) -> Self {
        let header = Header { program: "0.1.0".into(), created: Time::UNIX_EPOCH, recording: "r".into() };
        let line = header.line().expect("writes");
        let mut head = Head::start();
        head.take(line.as_bytes());
        let disk = FakeDisk::default();
        disk.with(|disk| {
            disk.bytes = (line + "\n").into_bytes();
            disk.synced = disk.bytes.clone();
        });
        let (wake, woken) = mpsc::channel();
        let start = Start { head, broken, lock: None, retry: Duration::from_millis(5) };
        let wake = Box::new(move || wake.send(()).unwrap_or(()));
        let log = FileLog::start(Box::new(disk.clone()), start, wake).expect("starts");
        Self { disk, log, woken, news: Vec::new() }
    }

    fn append(&mut self, seqs: std::ops::RangeInclusive<Seq>) {
        let before = *seqs.start() - 1;
        assert_eq!(self.log.append(before, seqs.map(note).collect()), Append::Committed);
    }

    /// Waits until that was told, and gives everything told since the last call.
    fn until(&mut self, last: &LogNews) -> Vec<LogNews> {
        loop {
            self.news.extend(self.log.poll());
            if self.news.contains(last) {
                return std::mem::take(&mut self.news);
            }
            self.woken
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("{last:?} was never told: {:?}", self.news));
        }
    }

    /// The disk holds, synced, exactly the records 1 to `last`.
    fn holds(&self, last: Seq) {
        self.disk.with(|disk| {
            let journal = read(&disk.synced[..]).expect("sound");
            assert_eq!(journal.end, End::Whole);
            assert_eq!(journal.into_records().expect("known"), (1..=last).map(note).collect::<Vec<_>>());
        });
    }
}

#[test]
fn one_sync_serves_all_that_wait() {
    let mut bench = Bench::new();
    bench.disk.with(|disk| disk.slow = true);
    bench.append(1..=1);
    // While the first waits for the disk, forty more come one by one.
    while bench.disk.with(|disk| read(&disk.bytes[..]).expect("sound").entries.is_empty()) {
        std::thread::yield_now();
    }
    for seq in 2..=41 {
        bench.append(seq..=seq);
    }
    assert_eq!((bench.log.poll(), bench.log.last()), (vec![], 41));
    assert!(bench.log.behind() > 0);
    bench.disk.with(|disk| disk.slow = false);
    bench.until(&LogNews::Durable(41));
    assert_eq!(bench.disk.with(|disk| disk.syncs), 2, "one for the first, one for all the others");
    assert_eq!(bench.log.behind(), 0);
    bench.holds(41);
}

#[test]
fn a_full_disk_is_told_once_and_nothing_is_lost() {
    let mut bench = Bench::new();
    bench.append(1..=3);
    bench.until(&LogNews::Durable(3));
    bench.disk.with(|disk| disk.room = Some(disk.bytes.len() + 40));
    bench.append(4..=5);
    let why = "writing journal.jsonl failed: no space left on device";
    let failed = LogNews::Failed { from: 4, why: why.into() };
    assert_eq!(bench.until(&failed), std::slice::from_ref(&failed));
    bench.append(6..=9);
    assert!(bench.log.behind() > 0);
    bench.disk.with(|disk| disk.room = None);
    let news = bench.until(&LogNews::Durable(9));
    assert_eq!(
        news,
        [LogNews::Healed { torn: None }, LogNews::Durable(9)],
        "half our own line is no torn end"
    );
    bench.holds(9);
    bench.append(10..=10);
    bench.until(&LogNews::Durable(10));
    bench.holds(10);
}

#[test]
fn after_a_failed_sync_everything_since_the_last_good_one_is_written_anew() {
    let mut bench = Bench::new();
    bench.append(1..=2);
    bench.until(&LogNews::Durable(2));
    bench.disk.with(|disk| disk.sync_fails = true);
    bench.append(3..=4);
    let why = "syncing journal.jsonl failed: input/output error";
    bench.until(&LogNews::Failed { from: 3, why: why.into() });
    // The next sync would say yes, and not have written a byte.
    bench.disk.with(|disk| disk.sync_fails = false);
    bench.until(&LogNews::Durable(4));
    bench.holds(4);
}

#[test]
fn a_foreign_end_is_set_aside() {
    let mut bench = Bench::new();
    bench.append(1..=1);
    bench.until(&LogNews::Durable(1));
    bench.disk.with(|disk| (disk.room, disk.garbage) = (Some(disk.bytes.len() + 1), b"\0\0\0".to_vec()));
    bench.append(2..=2);
    while bench.disk.with(|disk| disk.aside.is_empty()) {
        std::thread::yield_now();
    }
    assert_eq!(bench.disk.with(|disk| disk.aside[0].clone()), b"{\0\0\0");
    bench.disk.with(|disk| disk.room = None);
    let news = bench.until(&LogNews::Durable(2));
    assert!(news.contains(&LogNews::Healed { torn: Some("torn-1".into()) }), "{news:?}");
    bench.holds(2);
}

#[test]
fn what_was_durable_is_never_written_over() {
    let mut bench = Bench::new();
    bench.append(1..=1);
    bench.until(&LogNews::Durable(1));
    let before = bench.disk.with(|disk| {
        disk.sync_fails = true;
        disk.bytes[3] ^= 1;
        disk.bytes.clone()
    });
    bench.append(2..=2);
    bench.until(&LogNews::Failed { from: 2, why: "syncing journal.jsonl failed: input/output error".into() });
    bench.disk.with(|disk| disk.sync_fails = false);
    let unwritten = bench.log.close().expect_err("record 2 can't be written");
    assert_eq!((unwritten.from, unwritten.to), (2, 2));
    assert!(unwritten.why.raw().contains("no longer what was written"), "{unwritten}");
    assert!(bench.disk.with(|disk| disk.bytes.starts_with(&before)));
}

#[test]
fn closing_writes_what_is_left() {
    let mut bench = Bench::new();
    bench.append(1..=5);
    let Bench { disk, log, .. } = bench;
    assert_eq!(log.close(), Ok(()));
    let records = disk.with(|disk| read(&disk.synced[..]).expect("sound").into_records().expect("known"));
    assert_eq!(records.len(), 5);

    let mut bench = Bench::new();
    bench.disk.with(|disk| disk.room = Some(0));
    bench.append(1..=5);
    let unwritten = bench.log.close().expect_err("the disk is full");
    assert_eq!((unwritten.from, unwritten.to), (1, 5));
}

#[test]
fn a_log_may_begin_as_one_that_failed() {
    let mut bench = Bench::broken(Some("read-only file system".into()));
    bench.disk.with(|disk| disk.open_fails = true);
    bench.until(&LogNews::Failed { from: 1, why: "read-only file system".into() });
    bench.append(1..=2);
    bench.disk.with(|disk| disk.open_fails = false);
    bench.until(&LogNews::Durable(2));
    bench.holds(2);
}

#[test]
fn numbers_that_do_not_follow_are_refused_and_nothing_is_taken() {
    let mut bench = Bench::new();
    assert_eq!(bench.log.append(4, vec![note(5)]), Append::Refused(Refused::Order { last: 0, found: 5 }));
    bench.append(1..=1);
    bench.until(&LogNews::Durable(1));
    bench.holds(1);
}

#[test]
fn a_panic_elsewhere_does_not_stop_the_writer() {
    let mut bench = Bench::new();
    let shared = bench.log.shared.clone();
    let elsewhere = std::thread::spawn(move || {
        let _desk = shared.desk();
        panic!("on purpose");
    });
    assert!(elsewhere.join().is_err());
    bench.append(1..=1);
    bench.until(&LogNews::Durable(1));
    bench.holds(1);
}

#[test]
fn a_writer_that_stopped_is_told() {
    let Bench { disk, log, .. } = Bench::new();
    drop(log);
    let mut head = Head::start();
    disk.with(|disk| head.take(disk.bytes.trim_ascii_end()));
    let start = Start { head, broken: None, lock: None, retry: RETRY };
    let wake = Box::new(|| panic!("on purpose"));
    let mut log = FileLog::start(Box::new(disk), start, wake).expect("starts");
    assert_eq!(log.append(0, vec![note(1)]), Append::Committed);
    let mut news = Vec::new();
    while !matches!(news.last(), Some(LogNews::Failed { .. })) {
        news.extend(log.poll());
        std::thread::yield_now();
    }
    let why = "the journal's writer stopped; end the program and resume the recording";
    assert_eq!(news, [LogNews::Durable(1), LogNews::Failed { from: 2, why: why.into() }]);
    assert_eq!(log.append(1, vec![note(2)]), Append::Committed);
    assert_eq!(log.poll(), [], "it is told once");
    let unwritten = log.close().expect_err("nobody wrote record 2");
    assert_eq!((unwritten.from, unwritten.to), (2, 2));
}
