//! Long output as a stream. The reader of a connection always takes what comes and puts it into a
//! bounded queue here; a consumer that is too slow loses bytes, which are counted where they are
//! missing, and never stalls the connection that all other commands of that host share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::stop::Waiting;
use super::{ExitStatus, HostError};

/// Where a chunk came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What becomes of a streamed command's standard input after the bytes given were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// It ends: for commands that read to the end.
    Closed,
    /// It stays open until the [`OutputStream`] is dropped or the connection is lost: for commands
    /// that are to stop then (a capture outlives a lost connection otherwise).
    Held,
}

/// A piece of output, in the order it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it came out.
    pub source: Source,
    /// The bytes; never empty.
    pub bytes: Vec<u8>,
    /// How many bytes of that source were dropped just before these, as nobody read in time.
    pub left_out: u64,
}

/// The most bytes that wait for the consumer of a stream.
pub(super) const QUEUE_BYTES: usize = 8 << 20;

/// What takes the output of a running command. It must never wait.
pub(super) trait Sink: Send + 'static {
    fn take(&mut self, source: Source, bytes: &[u8]);
}

/// Keeps the beginning of both outputs.
pub(super) struct Kept {
    limit: usize,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) left_out: u64,
}

impl Kept {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, stdout: Vec::new(), stderr: Vec::new(), left_out: 0 }
    }
}

impl Sink for Kept {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        let kept = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let room = self.limit.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
        self.left_out += (bytes.len() - room) as u64;
    }
}

#[derive(Default)]
struct Queued {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Dropped since the last chunk of each source was queued.
    dropped: [u64; 2],
    left_out: u64,
    ended: bool,
}

#[derive(Default)]
struct Queue {
    queued: Mutex<Queued>,
    more: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        // Nothing that is done under the lock can leave it half done.
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that the connection fills.
pub(super) struct Feed(Arc<Queue>);

impl Sink for Feed {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut queued = self.0.lock();
        let at = source as usize;
        if queued.bytes + bytes.len() > QUEUE_BYTES {
            queued.dropped[at] += bytes.len() as u64;
            queued.left_out += bytes.len() as u64;
        } else {
            queued.bytes += bytes.len();
            let left_out = std::mem::take(&mut queued.dropped[at]);
            queued.chunks.push_back(Chunk { source, bytes: bytes.to_vec(), left_out });
        }
        drop(queued);
        self.0.more.notify_one();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.more.notify_one();
    }
}

/// The output of a running command. Dropping it closes the command's channel and its standard input.
pub struct OutputStream {
    queue: Arc<Queue>,
    end: oneshot::Receiver<Result<ExitStatus, HostError>>,
    waiting: Waiting,
}

impl OutputStream {
    pub(super) fn new(
        end: oneshot::Receiver<Result<ExitStatus, HostError>>,
        waiting: Waiting,
    ) -> (Feed, Self) {
        let queue = Arc::new(Queue::default());
        (Feed(Arc::clone(&queue)), Self { queue, end, waiting })
    }

    /// The next chunk; `None` when the command has ended or the connection is lost, which
    /// [`OutputStream::end`] then tells apart. Can be cancelled without losing a chunk.
    pub async fn next(&mut self) -> Option<Chunk> {
        loop {
            {
                let mut queued = self.queue.lock();
                if let Some(chunk) = queued.chunks.pop_front() {
                    queued.bytes -= chunk.bytes.len();
                    return Some(chunk);
                }
                if queued.ended {
                    return None;
                }
            }
            // A permit that came between the look and the wait is kept by `Notify`.
            self.queue.more.notified().await;
        }
    }

    /// How many bytes were dropped so far as nobody read in time.
    pub fn left_out(&self) -> u64 {
        self.queue.lock().left_out
    }

    /// Why a command did not start.
    pub(super) async fn failure(&mut self) -> HostError {
        match (&mut self.end).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => HostError::Channel { what: "it did not start".into() },
        }
    }

    /// How the command ended, once [`OutputStream::next`] has given `None`; waits for that otherwise,
    /// dropping what still comes.
    pub async fn end(mut self) -> Result<ExitStatus, HostError> {
        while self.next().await.is_some() {}
        let Self { end, waiting: _waiting, .. } = self;
        end.await
            .unwrap_or_else(|_| Err(HostError::Channel { what: "the task that read it has ended".into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_and_the_rest_counted() {
        let mut kept = Kept::new(4);
        kept.take(Source::Stdout, b"abc");
        kept.take(Source::Stderr, b"12345");
        kept.take(Source::Stdout, b"def");
        assert_eq!(
            (kept.stdout.as_slice(), kept.stderr.as_slice(), kept.left_out),
            (&b"abcd"[..], &b"1234"[..], 3)
        );
    }

    #[tokio::test]
    async fn a_slow_consumer_loses_bytes_and_is_told_where() {
        let (end_tx, end_rx) = oneshot::channel();
        let (waiting, _wanted) = crate::host::stop::pair(Arc::default());
        let (mut feed, mut stream) = OutputStream::new(end_rx, waiting);
        feed.take(Source::Stdout, &vec![1; QUEUE_BYTES]);
        feed.take(Source::Stdout, b"lost");
        feed.take(Source::Stderr, b"gone");
        assert_eq!(stream.next().await.map(|c| (c.bytes.len(), c.left_out)), Some((QUEUE_BYTES, 0)));
        feed.take(Source::Stdout, b"kept");
        drop(feed);
        assert_eq!(
            stream.next().await,
            Some(Chunk { source: Source::Stdout, bytes: b"kept".to_vec(), left_out: 4 })
        );
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.left_out(), 8);
        end_tx.send(Ok(ExitStatus::Code(0))).expect("someone waits");
        assert_eq!(stream.end().await, Ok(ExitStatus::Code(0)));
    }
}
