//! The operator's keyboard, read by a thread of its own.
//!
//! crossterm, asked to read from a terminal that is gone, reads for ever (its loop takes an end of file for
//! no news). In the loop that draws, that would keep the hold from being sent which a closed terminal means.
//! So a hang-up is looked for first, and whatever happens in here, the loop goes on.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

/// What the keyboard sends.
pub struct Keyboard(mpsc::UnboundedReceiver<io::Result<Event>>);

impl Keyboard {
    /// Starts to read. The thread ends with the terminal, or with the process.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn open() -> io::Result<Self> {
        let (send, events) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            loop {
                let read = await_key().and_then(|()| event::read());
                let failed = read.is_err();
                if send.send(read).is_err() || failed {
                    return;
                }
                // What came in one piece was parsed as one. Not zero: then nothing parsed is looked for.
                while let Ok(true) = event::poll(Duration::from_millis(1)) {
                    if send.send(event::read()).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self(events))
    }

    /// The next event; `None`, or an error, where the terminal is gone.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        self.0.recv().await
    }

    /// One that is there already.
    pub fn ready(&mut self) -> Option<Event> {
        self.0.try_recv().ok()?.ok()
    }
}

/// Waits until there is something to read, where the keys come from standard input.
fn await_key() -> io::Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(());
    }
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    loop {
        match poll(&mut fds, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    let flags = fds[0].revents();
    if flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal is gone"));
    }
    Ok(())
}
