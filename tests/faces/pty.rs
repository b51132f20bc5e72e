//! The real program on a pseudo-terminal: keys in, the screen read by an independent terminal parser.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

/// How long a screen may take to show something: a batch of the demo at its real pace, and then some.
const PATIENCE: Duration = Duration::from_secs(90);

/// A stretch of real time: these tests sit where a person sits, outside the program's clock.
struct Pause(Instant, Duration);

impl Pause {
    #[expect(clippy::disallowed_methods, reason = "a person's patience runs on the clock on the wall")]
    fn new(length: Duration) -> Self {
        Self(Instant::now(), length)
    }

    fn left(&self) -> Option<Duration> {
        self.1.checked_sub(self.0.elapsed()).filter(|left| !left.is_zero())
    }
}

/// The real program in a terminal of its own.
pub struct Terminal {
    screen: vt100::Parser,
    bytes: mpsc::Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    /// Its own; where it is, nothing may be left in it at the end.
    home: Option<tempfile::TempDir>,
    pty: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    /// With a home folder of its own.
    pub fn open(cols: u16, rows: u16, args: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut terminal = Self::open_in(home.path(), cols, rows, args);
        terminal.home = Some(home);
        terminal
    }

    /// In somebody's home folder.
    pub fn open_in(home: &Path, cols: u16, rows: u16, args: &[&str]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.args(args);
        command.env_clear();
        command.env("HOME", home);
        command.env("TMPDIR", home);
        command.env("USER", "ops");
        command.env("PATH", "/usr/bin:/bin");
        command.env("TERM", "xterm-256color");
        command.cwd(home);
        let child = pty.slave.spawn_command(command).expect("the binary runs");
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let keys = pty.master.take_writer().expect("a writer");
        let (send, bytes) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let cells = |n: u16| std::num::NonZero::new(n).expect("a terminal has cells");
        let screen = vt100::Parser::new(cells(rows), cells(cols), 0);
        Self { screen, bytes, keys, child, home: None, pty: pty.master }
    }

    fn take(&mut self, wait: Duration) -> bool {
        match self.bytes.recv_timeout(wait) {
            Ok(bytes) => {
                self.screen.process(&bytes);
                true
            }
            Err(_) => false,
        }
    }

    /// What the screen shows.
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Looks on until the screen shows these words.
    pub fn wait_for(&mut self, words: &str) {
        let pause = Pause::new(PATIENCE);
        while !self.text().contains(words) {
            let left = pause.left();
            assert!(left.is_some(), "{words:?} never came:\n{}", self.text());
            self.take(left.unwrap_or_default().min(Duration::from_millis(200)));
        }
    }

    /// Looks on for so long.
    pub fn rest(&mut self, length: Duration) {
        let pause = Pause::new(length);
        while let Some(left) = pause.left() {
            self.take(left);
        }
    }

    /// Gives it another size, as a window manager does.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let cells = |n: u16| std::num::NonZero::new(n).expect("a terminal has cells");
        self.screen.screen_mut().set_size(cells(rows), cells(cols));
        self.pty.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("resized");
    }

    /// Keys as a person types them, one after another: a busy screen must not make them a burst.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.keys.write_all(key.to_string().as_bytes()).expect("typed");
            self.keys.flush().expect("typed");
            self.rest(Duration::from_millis(300));
        }
    }

    /// Looks on to its end, for its status.
    pub fn end(mut self) -> i32 {
        while self.take(Duration::from_secs(20)) {}
        let status = self.child.wait().expect("it ends");
        assert!(!self.screen.screen().alternate_screen(), "the terminal is given back");
        if let Some(home) = &self.home {
            let left: Vec<_> = std::fs::read_dir(home.path()).expect("a folder").collect();
            assert!(left.is_empty(), "{left:?}");
        }
        i32::try_from(status.exit_code()).expect("a status")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended can't be killed, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
