//! The cockpit on a real pseudo-terminal: this test binary starts itself there.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::*;
use crate::tui::sample::Sample;

const TOLD: &str = "HOLDPOINT_TEST_COCKPIT";

/// What runs on the pseudo-terminal; does nothing in an ordinary run of the tests.
#[test]
fn child() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let (what, file) = told.split_once(' ').expect("two words");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    let said = runtime.expect("a runtime").block_on(async {
        let (publish, views) = watch::channel(Sample::failing().view());
        let (commands, mut taken) = mpsc::channel(16);
        let options = Options::new(ColorDepth::Sixteen, Arc::new(crate::conductor::clock::now));
        if what == "panic" {
            tokio::spawn(async {
                tokio::time::sleep(Duration::from_millis(700)).await;
                panic!("as the test wants");
            });
        }
        let ended = run(views, commands, options).await;
        drop(publish);
        let mut said = format!("{ended:?}\n");
        while let Some(intent) = taken.recv().await {
            said.push_str(&format!("{intent:?}\n"));
        }
        said
    });
    std::fs::write(file, said).expect("writes");
}

struct Desk {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    seen: Receiver<Vec<u8>>,
    raw: Vec<u8>,
    screen: vt100::Parser,
    file: tempfile::NamedTempFile,
}

impl Desk {
    fn with(what: &str, columns: u16, rows: u16) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "tui::run::tests::child", "--nocapture", "--test-threads=1"]);
        command.env(TOLD, format!("{what} {}", file.path().display()));
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("starts");
        drop(pair.slave);
        let mut out = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let (tell, seen) = channel();
        std::thread::spawn(move || {
            let mut buf = [0; 8192];
            while let Ok(n) = out.read(&mut buf) {
                if n == 0 || tell.send(buf[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            master: Some(pair.master),
            keys: Some(keys),
            child,
            seen,
            raw: Vec::new(),
            screen: vt100::Parser::new(
                rows.try_into().expect("rows"),
                columns.try_into().expect("columns"),
                0,
            ),
            file,
        }
    }

    fn see(&mut self, wanted: &str) -> String {
        for _ in 0..300 {
            let text = self.screen.screen().contents();
            if text.contains(wanted) {
                return text;
            }
            if let Ok(bytes) = self.seen.recv_timeout(Duration::from_millis(50)) {
                self.screen.process(&bytes);
                self.raw.extend_from_slice(&bytes);
            }
        }
        panic!("{wanted} was never seen:\n{}", self.screen.screen().contents());
    }

    fn press(&mut self, bytes: &[u8]) {
        let keys = self.keys.as_mut().expect("keys");
        keys.write_all(bytes).and_then(|()| keys.flush()).expect("presses");
    }

    /// Waits for the end; what the child wrote about it.
    fn end(mut self) -> (String, String) {
        for _ in 0..300 {
            if self.child.try_wait().expect("waits").is_some() {
                break;
            }
            match self.seen.recv_timeout(Duration::from_millis(50)) {
                Ok(bytes) => self.raw.extend_from_slice(&bytes),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        // One that hangs must not outlive its test.
        let _ = self.child.kill();
        while let Ok(bytes) = self.seen.recv_timeout(Duration::from_millis(200)) {
            self.raw.extend_from_slice(&bytes);
        }
        let said = std::fs::read_to_string(self.file.path()).expect("reads");
        (said, String::from_utf8_lossy(&self.raw).into_owned())
    }
}

/// What gives the terminal back: the alternate screen is left, pasted text comes plain again, the
/// cursor is there.
fn is_given_back(raw: &str) -> bool {
    ["\x1b[?1049l", "\x1b[?2004l", "\x1b[?25h"].iter().all(|code| raw.contains(code))
}

#[test]
fn two_presses_roll_back_and_quit_holds() {
    let mut desk = Desk::with("run", 120, 36);
    desk.see("practised 11-19");
    desk.press(b"\x12");
    desk.see("press  R  to start");
    std::thread::sleep(Duration::from_millis(450));
    desk.press(b"R");
    desk.see("ROLLBACK asked for: web3 batch 1");
    desk.press(b":quit\r");
    let (said, raw) = desk.end();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(lines[0], "Ok(Quit)");
    assert!(lines[1].starts_with("Hold") && lines[3].starts_with("Hold"), "{said}");
    assert!(lines[2].starts_with("Rollback { scope: Unconfirmed"), "{said}");
    assert!(is_given_back(&raw), "{raw:?}");
}

#[test]
fn a_closed_terminal_means_hold() {
    let mut desk = Desk::with("run", 80, 24);
    desk.see("practised 11-19");
    desk.keys = None;
    desk.master = None;
    // The thread that reads has the terminal open too, until the next heartbeat finds nobody listening.
    desk.seen = channel().1;
    let (said, _) = desk.end();
    assert!(said.starts_with("Ok(Closed)\nHold"), "{said:?}");
}

#[test]
fn a_paste_of_capitals_starts_nothing() {
    let mut desk = Desk::with("run", 80, 24);
    desk.see("practised 11-19");
    desk.press(b"\x1b[200~RRRR ROLLBACK\rGO\r\x1b[201~");
    desk.press(b"RRRRRRRR");
    desk.see("new work is already HELD");
    std::thread::sleep(Duration::from_millis(600));
    desk.press(b"\x1b[200~RR\x1b[201~");
    desk.press(b"\x03");
    desk.see("HOLD asked for");
    desk.press(b"\x1b");
    std::thread::sleep(Duration::from_millis(200));
    desk.press(b":quit\r");
    let (said, _) = desk.end();
    assert!(said.starts_with("Ok(Quit)\nHold") && !said.contains("Rollback"), "{said}");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut desk = Desk::with("panic", 80, 24);
    desk.see("practised 11-19");
    let (_, raw) = {
        for _ in 0..100 {
            if let Ok(bytes) = desk.seen.recv_timeout(Duration::from_millis(50)) {
                desk.raw.extend_from_slice(&bytes);
            }
            if String::from_utf8_lossy(&desk.raw).contains("as the test wants") {
                break;
            }
        }
        desk.child.kill().expect("ends");
        desk.end()
    };
    let back = raw.find("\x1b[?1049l").expect("given back");
    let spoke = raw.find("as the test wants").expect("it spoke");
    assert!(back < spoke && is_given_back(&raw), "{raw:?}");
}
