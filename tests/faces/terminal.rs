//! The cockpit in a real terminal: the real binary, keys in, the screen read by an independent terminal
//! parser.

use std::io::{Read, Write};
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

struct Terminal {
    screen: vt100::Parser,
    bytes: mpsc::Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    home: tempfile::TempDir,
    _pty: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    fn open(cols: u16, rows: u16, args: &[&str]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let home = tempfile::tempdir().expect("a folder");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.args(args);
        command.env_clear();
        command.env("HOME", home.path());
        command.env("TMPDIR", home.path());
        command.env("TERM", "xterm-256color");
        command.cwd(home.path());
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
        Self { screen, bytes, keys, child, home, _pty: pty.master }
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

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    fn wait_for(&mut self, words: &str) {
        let pause = Pause::new(PATIENCE);
        while !self.text().contains(words) {
            let left = pause.left();
            assert!(left.is_some(), "{words:?} never came:\n{}", self.text());
            self.take(left.unwrap_or_default().min(Duration::from_millis(200)));
        }
    }

    /// Looks on for so long.
    fn rest(&mut self, length: Duration) {
        let pause = Pause::new(length);
        while let Some(left) = pause.left() {
            self.take(left);
        }
    }

    /// Keys as a person types them, one after another: a busy screen must not make them a burst.
    fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.keys.write_all(key.to_string().as_bytes()).expect("typed");
            self.keys.flush().expect("typed");
            self.rest(Duration::from_millis(300));
        }
    }

    fn end(mut self) -> i32 {
        while self.take(Duration::from_secs(20)) {}
        let status = self.child.wait().expect("it ends");
        assert!(!self.screen.screen().alternate_screen(), "the terminal is given back");
        let left: Vec<_> = std::fs::read_dir(self.home.path()).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
        i32::try_from(status.exit_code()).expect("a status")
    }
}

fn a_batch_goes_on_and_comes_back(cols: u16, rows: u16) {
    let mut terminal = Terminal::open(cols, rows, &["demo"]);
    terminal.wait_for("waits for GO");
    // Nothing here starts anything: Enter alone, Esc, lower-case keys.
    terminal.press("\rjk\u{1b}");
    assert!(!terminal.text().contains("applying"), "{}", terminal.text());
    // Each answered by the screen before the next: Esc and a letter that are read at once are Alt.
    terminal.press("c");
    terminal.wait_for("type GO, Enter:");
    terminal.press("GO\r");
    terminal.wait_for("applying");
    terminal.press("\u{12}");
    terminal.wait_for("new work is already HELD");
    // On a machine so slow that the batch was confirmed by now, the sheet asks for the word.
    terminal.press(if terminal.text().contains("type ROLLBACK") { "ROLLBACK\r" } else { "  R" });
    terminal.wait_for("ROLLED BACK, as planned");
    // Until every customer was seen to be served again: not known is not good.
    terminal.rest(Duration::from_secs(8));
    terminal.press("\u{1b}");
    terminal.press(":quit\r");
    // Held with batches that wait: 20 stands before 10.
    assert!([10, 20].contains(&terminal.end()));
}

#[test]
fn two_presses_roll_a_batch_back_at_120x36() {
    a_batch_goes_on_and_comes_back(120, 36);
}

#[test]
fn two_presses_roll_a_batch_back_at_80x24() {
    a_batch_goes_on_and_comes_back(80, 24);
}

#[test]
fn a_recording_is_replayed_on_the_same_screen() {
    let story = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/story");
    let mut terminal = Terminal::open(120, 36, &["replay", story, "--at", "97%"]);
    terminal.wait_for("web1");
    terminal.press(":at 100%\r");
    terminal.wait_for("ROLLED BACK, as planned");
    terminal.press(":quit\r");
    assert_eq!(terminal.end(), 0);
}
