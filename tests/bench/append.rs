//! Records into a recording's journal, until the disk has them.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use holdpoint::core::Record;
use holdpoint::journal::{Append, EventLog, FileLog, Header, LogNews, Recording};
use holdpoint::types::Seq;

use crate::timing::{Runs, took};
use crate::window;

struct Log {
    log: FileLog,
    woken: Receiver<()>,
    _folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        // Beside the build, where there is a disk: /tmp may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let header = Header { program: "bench".into(), created: window::at(0), recording: "bench".into() };
        let path: &Path = &folder.path().join("recording");
        let recording = Recording::create(path, "# no plan\n", &header, "bench").expect("a recording");
        let (wake, woken) = channel();
        let tell = move || {
            // Nobody listens any more once the figure is done.
            let _heard_or_not = wake.send(());
        };
        let log = recording.log(Box::new(tell)).expect("a log");
        Self { log, woken, _folder: folder }
    }

    fn append(&mut self, records: Vec<Record>) {
        let expected = self.log.last();
        assert_eq!(self.log.append(expected, records), Append::Committed);
    }

    fn wait(&mut self, until: Seq) {
        loop {
            for news in self.log.poll() {
                match news {
                    LogNews::Durable(seq) if seq >= until => return,
                    LogNews::Durable(_) | LogNews::Healed { .. } => {}
                    LogNews::Failed { why, .. } => panic!("{}", why.shown()),
                }
            }
            self.woken.recv().expect("the writer lives");
        }
    }
}

fn records(from: Seq, count: u64) -> Vec<Record> {
    let one = |seq: Seq| window::record(seq, window::at(3_600), window::seen(seq as usize % 1_000, 17));
    (from..from + count).map(one).collect()
}

pub fn figure(_sizes: &[usize]) {
    let mut log = Log::new();
    let alone = Runs::of(50, || {
        let next = log.log.last() + 1;
        log.append(records(next, 1));
        log.wait(next);
    });
    alone.print("one record until it is durable", "");
    let sync = Runs::of(50, sync_alone());
    sync.print("  of which the disk: 300 bytes and fdatasync", "");
    const MANY: u64 = 50_000;
    for each in [1, 20] {
        let runs = (0..5).map(|_| {
            let mut log = Log::new();
            let batches: Vec<_> = (0..MANY / each).map(|n| records(n * each + 1, each)).collect();
            let work = || {
                batches.into_iter().for_each(|some| log.append(some));
                log.wait(MANY);
            };
            took(work).0
        });
        let runs = Runs::new(runs.collect());
        let rate = MANY as f64 / runs.median().as_secs_f64();
        runs.print(
            &format!("{MANY} records, {each} an append, then wait"),
            &format!("  {rate:.0} records a second"),
        );
    }
}

/// What the disk takes for as much, without a journal.
fn sync_alone() -> impl FnMut() {
    use std::io::Write;
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    move || {
        file.write_all(&[b'x'; 300]).expect("written");
        file.sync_data().expect("synced");
    }
}
