//! The operator's terminal: taken over and given back whatever happens, written to by a thread of
//! its own, so that a slow link or a stopped terminal never delays a key.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::queue;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

/// Whether a terminal is taken over now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The panic hook is put in once for the process.
static HOOK: Once = Once::new();

/// A terminal that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// It could not be taken over.
    #[error("taking over the terminal: {0}; the cockpit wants a terminal on its standard output")]
    Enter(#[source] io::Error),
    /// It could not be drawn on.
    #[error("drawing on the terminal: {0}")]
    Draw(#[source] io::Error),
    /// Another cockpit of this process has it.
    #[error("the terminal is taken over already by this process")]
    Taken,
}

/// The terminal while it is taken over; given back when this is dropped, and on a panic.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Raw mode, the alternate screen, bracketed paste, no cursor, no mouse.
    pub fn enter() -> Result<Self, TerminalError> {
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Err(TerminalError::Taken);
        }
        HOOK.call_once(|| {
            // The hook that was there (color-eyre's) speaks on a terminal that is given back.
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        let guard = Self(());
        let enter = || -> io::Result<()> {
            enable_raw_mode()?;
            let mut out = output()?;
            queue!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
            out.flush()
        };
        // Dropping the guard undoes what was done before the error.
        enter().map_err(TerminalError::Enter)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once; harmless when it was not taken.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing more can be done where even this fails: the terminal is gone.
    if let Ok(mut out) = output() {
        let _ = queue!(out, EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = out.flush();
    }
    let _ = disable_raw_mode();
}

/// Standard output without its lock: a writer that is stuck on it must not block giving it back.
fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Bytes of a frame, collected before they go out.
#[derive(Debug, Clone, Default)]
pub(super) struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames as bytes: the difference from the frame before, as one synchronized update.
pub(super) struct Frames {
    terminal: Terminal<CrosstermBackend<Collected>>,
    bytes: Collected,
    area: Rect,
}

impl Frames {
    pub(super) fn new(columns: u16, rows: u16) -> Result<Self, TerminalError> {
        let bytes = Collected::default();
        let area = Rect::new(0, 0, columns, rows);
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let terminal = Terminal::with_options(CrosstermBackend::new(bytes.clone()), options);
        Ok(Self { terminal: terminal.map_err(TerminalError::Draw)?, bytes, area })
    }

    /// Another size; also forgets what is on the screen, so that the next frame is whole.
    pub(super) fn resize(&mut self, columns: u16, rows: u16) -> Result<(), TerminalError> {
        self.area = Rect::new(0, 0, columns, rows);
        self.terminal.resize(self.area).map_err(TerminalError::Draw)
    }

    pub(super) fn again(&mut self) -> Result<(), TerminalError> {
        self.resize(self.area.width, self.area.height)
    }

    pub(super) fn draw(&mut self, render: impl FnOnce(Rect, &mut Buffer)) -> Result<Vec<u8>, TerminalError> {
        let area = self.area;
        self.terminal.draw(|frame| render(area, frame.buffer_mut())).map_err(TerminalError::Draw)?;
        let drawn = self.bytes.take();
        let mut out = Vec::with_capacity(drawn.len() + 16);
        queue!(out, BeginSynchronizedUpdate).map_err(TerminalError::Draw)?;
        out.extend_from_slice(&drawn);
        queue!(out, EndSynchronizedUpdate).map_err(TerminalError::Draw)?;
        Ok(out)
    }
}

/// The thread that writes: one frame at a time, the next is drawn when this one is out.
pub(super) struct Writer {
    to: std::sync::mpsc::Sender<Vec<u8>>,
    done: tokio::sync::mpsc::UnboundedReceiver<io::Result<()>>,
    under_way: usize,
}

impl Writer {
    pub(super) fn start() -> Result<Self, TerminalError> {
        let mut out = output().map_err(TerminalError::Enter)?;
        let (to, frames) = std::sync::mpsc::channel::<Vec<u8>>();
        let (tell, done) = tokio::sync::mpsc::unbounded_channel();
        let write = move || {
            for frame in frames {
                let result = out.write_all(&frame).and_then(|()| out.flush());
                let failed = result.is_err();
                if tell.send(result).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(write);
        thread.map_err(TerminalError::Enter)?;
        Ok(Self { to, done, under_way: 0 })
    }

    /// Whether all that was sent is out.
    pub(super) fn idle(&self) -> bool {
        self.under_way == 0
    }

    /// Sends bytes on their way; never blocks.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        if self.to.send(bytes).is_ok() {
            self.under_way += 1;
        }
    }

    /// Waits for one piece to be out; `false` when the terminal takes no more.
    pub(super) async fn wait(&mut self) -> bool {
        let told = self.done.recv().await;
        self.under_way = self.under_way.saturating_sub(1);
        matches!(told, Some(Ok(())))
    }
}

/// The bytes that ask a terminal to take a text into its clipboard (OSC 52).
pub(super) fn clipboard(text: &str) -> Vec<u8> {
    format!("\x1b]52;c;{}\x07", base64(text.as_bytes())).into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * n) & 63) as usize];
            out.push(if n <= three.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_the_clipboard_can_end_nothing_early() {
        for (text, coded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\x07\x1b\\", "Bxtc")]
        {
            assert_eq!(base64(text.as_bytes()), coded);
        }
        assert_eq!(clipboard("abc"), b"\x1b]52;c;YWJj\x07");
    }

    #[test]
    fn a_frame_is_the_difference_in_one_synchronized_update() {
        let mut frames = Frames::new(20, 4).expect("frames");
        let draw = |frames: &mut Frames, text: &'static str| {
            let bytes = frames.draw(|_, buf| {
                buf.set_string(0, 1, text, ratatui::style::Style::default());
            });
            String::from_utf8(bytes.expect("draws")).expect("text")
        };
        let first = draw(&mut frames, "02:41:07Z");
        assert!(first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"), "{first:?}");
        let second = draw(&mut frames, "02:41:08Z");
        assert!(second.contains('8') && !second.contains("02:41"), "{second:?}");
        frames.again().expect("clears");
        assert!(draw(&mut frames, "02:41:08Z").contains("02:41:08Z"));
    }
}
