//! The log in a file: a writer thread appends, and one sync serves all that wait for it.
//!
//! After a failed write or sync the kernel may have dropped what was written and still answer the
//! next sync with success. So nothing after the last good sync is trusted: the file is opened
//! again, everything up to that point is read back and compared by its hash, what stands after it
//! is cut off (and set aside, unless it is the beginning of what is about to be written there), and
//! every record that was not durable is written anew.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::read::Head;
use super::storage::Storage;
use super::{Append, EventLog, LogNews, Refused, Wake, check_order, format};
use crate::core::Record;
use crate::types::{Blake3, Seq, Untrusted};

/// How long after a failure writing is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The log of a recording that is being written. Dropping it writes what is left and waits for the
/// disk; [`FileLog::close`] does so and says how it went.
pub struct FileLog {
    last: Seq,
    prev: Blake3,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    told_dead: bool,
    /// Held until the last byte is written.
    _lock: Option<File>,
}

/// Records that were taken and did not reach the disk before the log was closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("records {from} to {to} did not reach the disk: {}", .why.shown())]
pub struct Unwritten {
    /// The first of them.
    pub from: Seq,
    /// The last of them.
    pub to: Seq,
    /// What was tried, on what, and the error.
    pub why: Untrusted,
}

/// What the writer begins with.
pub(super) struct Start {
    /// Where the sound part of the journal ends.
    pub head: Head,
    /// Why the end of the file could not be put in order, where it could not.
    pub broken: Option<Untrusted>,
    /// The lock on the recording.
    pub lock: Option<File>,
    /// How long after a failure writing is tried again.
    pub retry: Duration,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What both sides see.
#[derive(Default)]
struct Desk {
    queued: Vec<u8>,
    /// The number of the last record that was queued.
    last: Seq,
    /// The number of the last record that is durable.
    durable: Seq,
    /// Bytes taken and not durable, queued ones included.
    behind: usize,
    news: Vec<LogNews>,
    closing: bool,
    unwritten: Option<Unwritten>,
}

impl Shared {
    /// The desk stays usable when another thread panicked: what stands on it is whole at any time.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileLog {
    /// Starts the writer. `wake` is called, on the writer's thread, when there is news.
    pub(super) fn start(storage: Box<dyn Storage>, start: Start, wake: Wake) -> io::Result<Self> {
        let Start { head, broken, lock, retry } = start;
        let shared = Arc::new(Shared::default());
        {
            let mut desk = shared.desk();
            (desk.last, desk.durable) = (head.last, head.last);
        }
        let (last, prev) = (head.last, head.prev);
        let writer = Writer {
            storage,
            held_to: head.last,
            head,
            held: Vec::new(),
            failed: None,
            aside: None,
            shared: shared.clone(),
            wake,
            retry,
        };
        let writer =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(broken))?;
        Ok(Self { last, prev, shared, writer: Some(writer), told_dead: false, _lock: lock })
    }

    /// Writes what is left and waits for the disk.
    ///
    /// # Errors
    /// Names the records that did not reach the disk, after one more try.
    pub fn close(mut self) -> Result<(), Unwritten> {
        self.finish();
        match self.shared.desk().unwritten.take() {
            Some(unwritten) => Err(unwritten),
            None => Ok(()),
        }
    }

    fn finish(&mut self) {
        self.shared.desk().closing = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            let mut desk = self.shared.desk();
            let why = Untrusted::new("the journal's writer stopped");
            let (from, to) = (desk.durable + 1, self.last);
            if from <= to {
                desk.unwritten.get_or_insert(Unwritten { from, to, why });
            }
        }
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        self.finish();
    }
}

impl EventLog for FileLog {
    fn append(&mut self, expected: Seq, records: Vec<Record>) -> Append {
        match self.encode(expected, &records) {
            Err(refused) => Append::Refused(refused),
            Ok((lines, prev)) => {
                self.prev = prev;
                self.last += records.len() as Seq;
                let mut desk = self.shared.desk();
                desk.behind += lines.len();
                desk.queued.extend_from_slice(&lines);
                desk.last = self.last;
                drop(desk);
                self.shared.changed.notify_all();
                Append::Committed
            }
        }
    }

    fn poll(&mut self) -> Vec<LogNews> {
        let dead = self.writer.as_ref().is_some_and(JoinHandle::is_finished);
        let mut desk = self.shared.desk();
        let mut news = std::mem::take(&mut desk.news);
        if dead && !self.told_dead {
            self.told_dead = true;
            let why =
                Untrusted::new("the journal's writer stopped; end the program and resume the recording");
            news.push(LogNews::Failed { from: desk.durable + 1, why });
        }
        news
    }

    fn last(&self) -> Seq {
        self.last
    }

    fn behind(&self) -> usize {
        self.shared.desk().behind
    }
}

impl FileLog {
    /// The lines of these records, and the hash of the last of them.
    fn encode(&self, expected: Seq, records: &[Record]) -> Result<(Vec<u8>, Blake3), Refused> {
        check_order(self.last, expected, records)?;
        let mut lines = Vec::new();
        let mut prev = self.prev;
        for record in records {
            let line = format::write(record, prev)?;
            prev = Blake3::of(line.as_bytes());
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
        }
        Ok((lines, prev))
    }
}

/// The thread's side.
struct Writer {
    storage: Box<dyn Storage>,
    /// Where the durable part ends; its `prev` is of no use here.
    head: Head,
    /// Lines that were taken from the queue and are not durable.
    held: Vec<u8>,
    /// The number of the last record among them.
    held_to: Seq,
    /// Why writing fails, since it does.
    failed: Option<Untrusted>,
    /// Where a foreign end was set aside already, while it could not be cut off yet.
    aside: Option<PathBuf>,
    shared: Arc<Shared>,
    wake: Wake,
    retry: Duration,
}

impl Writer {
    fn run(mut self, broken: Option<Untrusted>) {
        if let Some(why) = broken {
            self.fail(why);
        }
        loop {
            let closing = self.wait();
            let was_failed = self.failed.is_some();
            if !was_failed && self.held.is_empty() {
                if closing {
                    return;
                }
                continue;
            }
            let done = if was_failed { self.heal() } else { self.write().map(|()| None) };
            match done {
                Ok(torn) => self.durable(was_failed, torn),
                Err(why) if closing && was_failed => return self.give_up(why),
                Err(why) => self.fail(why),
            }
        }
    }

    /// Waits for something to do and takes what is queued. Whether the log is being closed.
    fn wait(&mut self) -> bool {
        let shared = self.shared.clone();
        let desk = shared.desk();
        let mut desk = if self.failed.is_some() {
            // New records don't shorten the wait: they would make it a busy loop.
            let waited = shared.changed.wait_timeout_while(desk, self.retry, |desk| !desk.closing);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let idle = |desk: &mut Desk| desk.queued.is_empty() && !desk.closing;
            shared.changed.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner)
        };
        self.held.append(&mut desk.queued);
        self.held_to = desk.last;
        desk.closing
    }

    fn write(&mut self) -> Result<(), Untrusted> {
        let appended = self.storage.append(&self.held);
        self.tried("writing", appended)?;
        let synced = self.storage.sync();
        self.tried("syncing", synced)
    }

    /// Puts the file in order and writes everything that is not durable. Where a foreign end was
    /// set aside, if there was one.
    fn heal(&mut self) -> Result<Option<PathBuf>, Untrusted> {
        let reopened = self.storage.reopen();
        self.tried("opening", reopened)?;
        let read = self.compare();
        let end = self.tried("reading back", read)?;
        if end == Tail::Foreign && self.aside.is_none() {
            let aside = self.storage.set_aside(self.head.offset);
            self.aside = Some(self.tried("setting aside the torn end of", aside)?);
        }
        if end != Tail::None {
            let cut = self.storage.cut(self.head.offset);
            self.tried("cutting the torn end off", cut)?;
        }
        self.write()?;
        Ok(self.aside.take())
    }

    /// Reads back what is durable, and tells what stands after it.
    fn compare(&mut self) -> io::Result<Tail> {
        let mut input = self.storage.read()?;
        let mut hash = blake3::Hasher::new();
        let read = io::copy(&mut input.by_ref().take(self.head.offset), &mut hash)?;
        if read != self.head.offset || hash.finalize() != self.head.bytes.finalize() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "its first {} bytes, up to record {}, are no longer what was written; it is left as it is",
                    self.head.offset, self.head.last
                ),
            ));
        }
        let mut tail = Vec::new();
        input.take(self.held.len() as u64 + 1).read_to_end(&mut tail)?;
        Ok(match tail.is_empty() {
            true => Tail::None,
            false if self.held.starts_with(&tail) => Tail::Ours,
            false => Tail::Foreign,
        })
    }

    fn tried<T>(&self, what: &str, result: io::Result<T>) -> Result<T, Untrusted> {
        result.map_err(|error| {
            Untrusted::new(format!("{what} {} failed: {error}", self.storage.path().display()))
        })
    }

    fn durable(&mut self, healed: bool, torn: Option<PathBuf>) {
        let advanced = self.held_to > self.head.last;
        self.head.bytes.update(&self.held);
        self.head.offset += self.held.len() as u64;
        self.head.last = self.held_to;
        self.failed = None;
        let mut desk = self.shared.desk();
        desk.behind -= self.held.len();
        desk.durable = self.held_to;
        if healed {
            desk.news.push(LogNews::Healed { torn: torn.map(|path| path.display().to_string().into()) });
        }
        if advanced {
            // Only the newest counts.
            if matches!(desk.news.last(), Some(LogNews::Durable(_))) {
                desk.news.pop();
            }
            desk.news.push(LogNews::Durable(self.head.last));
        }
        drop(desk);
        self.held.clear();
        (self.wake)();
    }

    fn fail(&mut self, why: Untrusted) {
        let first = self.failed.is_none();
        self.failed = Some(why.clone());
        if first {
            self.shared.desk().news.push(LogNews::Failed { from: self.head.last + 1, why });
            (self.wake)();
        }
    }

    fn give_up(self, why: Untrusted) {
        if self.held_to > self.head.last {
            let unwritten = Unwritten { from: self.head.last + 1, to: self.held_to, why };
            self.shared.desk().unwritten = Some(unwritten);
        }
    }
}

/// What stands after the durable part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    None,
    /// The beginning of what is to be written there: nothing is lost when it is cut off.
    Ours,
    /// Something else.
    Foreign,
}

#[cfg(test)]
mod tests;
