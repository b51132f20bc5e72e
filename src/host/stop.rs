//! A word to a task that runs a command: nobody waits for it any more. The word is counted from the
//! moment it is given until the task has ended, so that whoever comes next knows how many commands
//! run on unwanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::HostError;

/// Held by the one who waits; dropping it tells the task.
pub(super) struct Waiting {
    word: Option<oneshot::Sender<()>>,
    unwanted: Arc<AtomicUsize>,
}

/// Held by the task until it has ended.
pub(super) struct Wanted {
    word: oneshot::Receiver<()>,
    heard: bool,
    unwanted: Arc<AtomicUsize>,
}

/// Both ends; `unwanted` counts the tasks that were told and run on.
pub(super) fn pair(unwanted: Arc<AtomicUsize>) -> (Waiting, Wanted) {
    let (tell, word) = oneshot::channel();
    (Waiting { word: Some(tell), unwanted: Arc::clone(&unwanted) }, Wanted { word, heard: false, unwanted })
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Counted first: the task may hear it and end at once.
        self.unwanted.fetch_add(1, Ordering::SeqCst);
        if self.word.take().is_none_or(|word| word.send(()).is_err()) {
            // The task had ended.
            self.unwanted.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Wanted {
    /// Returns when nobody waits any more. Can be cancelled.
    pub(super) async fn no_longer(&mut self) {
        if !self.heard {
            self.heard = (&mut self.word).await.is_ok();
        }
    }

    /// What the task ends with then.
    pub(super) fn error() -> HostError {
        HostError::Channel { what: "nobody waits for it any more".into() }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.word.close();
        if self.heard || self.word.try_recv().is_ok() {
            self.unwanted.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_count_holds_from_the_word_to_the_end() {
        let count = Arc::new(AtomicUsize::new(0));
        let now = || count.load(Ordering::SeqCst);
        let (waiting, mut wanted) = pair(Arc::clone(&count));
        drop(waiting);
        assert_eq!(now(), 1);
        wanted.no_longer().await;
        assert_eq!(now(), 1);
        drop(wanted);
        assert_eq!(now(), 0);

        // A word that is not heard, and one that comes too late.
        let (waiting, wanted) = pair(Arc::clone(&count));
        drop(waiting);
        drop(wanted);
        assert_eq!(now(), 0);
        let (waiting, wanted) = pair(Arc::clone(&count));
        drop(wanted);
        drop(waiting);
        assert_eq!(now(), 0);
    }
}
