//! The cockpit on a real pseudo-terminal, by its keys alone.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::fleet::Fleet;
use crate::journal::Journal;
use crate::program::{plan, rehearsed};

const ROWS: u16 = 36;
const COLUMNS: u16 = 120;
/// How often a screen is looked at before what is waited for counts as not coming: a minute.
const LOOKS: u32 = 1_200;

struct Terminal {
    // Closing it would close the terminal.
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn open(fleet: &Fleet, words: &[&str]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let begin = fleet.at_the_operators();
        let mut command = CommandBuilder::new(begin.get_program());
        command.args(begin.get_args());
        command.arg(env!("CARGO_BIN_EXE_holdpoint"));
        command.arg("-F");
        command.arg(fleet.ssh_config());
        command.args(words);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let mut out = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let (tell, seen) = channel();
        spawn(move || {
            let mut buf = [0; 8192];
            while let Ok(n) = out.read(&mut buf) {
                if n == 0 || tell.send(buf[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen =
            vt100::Parser::new(ROWS.try_into().expect("rows"), COLUMNS.try_into().expect("columns"), 0);
        Self { _master: pair.master, keys, child, seen, screen }
    }

    /// Waits until a screen shows all of this; that screen.
    fn see(&mut self, wanted: &[&str]) -> String {
        for _ in 0..LOOKS {
            let text = self.screen.screen().contents();
            if wanted.iter().all(|words| text.contains(words)) {
                return text;
            }
            if let Ok(bytes) = self.seen.recv_timeout(Duration::from_millis(50)) {
                self.screen.process(&bytes);
            }
        }
        panic!("{wanted:?} was never seen:\n{}", self.screen.screen().contents());
    }

    /// Types as a person does: what comes in a burst is taken for a paste and starts nothing.
    fn type_in(&mut self, keys: &str) {
        for key in keys.bytes() {
            sleep(Duration::from_millis(200));
            self.press(&[key]);
        }
    }

    fn press(&mut self, bytes: &[u8]) {
        self.keys.write_all(bytes).and_then(|()| self.keys.flush()).expect("keys go in");
    }

    /// Waits for the end; the exit status.
    fn end(mut self) -> u32 {
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status.exit_code();
            }
            while self.seen.try_recv().is_ok() {}
            sleep(Duration::from_millis(50));
        }
        panic!("the cockpit does not end");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended can't be killed, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_engineer_sees_it_and_takes_it_back_by_two_presses() {
    let Some(fleet) = Fleet::up("cockpit", &["test1", "web1"]) else { return };
    let plan = plan(&fleet, &["web1"], &[&["hp-net-config"]]);
    rehearsed(&fleet, &plan);
    let before = fleet.manifest("web1");
    let folder = fleet.home().join("seen").display().to_string();
    let plan = plan.display().to_string();
    let mut cockpit = Terminal::open(&fleet, &["run", &plan, "--recording", &folder]);
    cockpit.see(&["GO is yours to type"]);
    cockpit.press(b"c");
    cockpit.see(&["type GO"]);
    cockpit.type_in("GO\r");
    cockpit.see(&["FAIL"]);
    assert!(!fleet.served_now("192.0.2.21"), "the address is dark");
    assert_eq!(fleet.version("web1", "hp-net-config"), "2.0-1");
    cockpit.press(b"\x12");
    cockpit.see(&["press  R  to start"]);
    sleep(Duration::from_millis(500));
    cockpit.press(b"R");
    cockpit.see(&["ROLLED BACK, as planned"]);
    assert!(fleet.served("192.0.2.21"));
    before.assert_same(&fleet.manifest("web1"), "after the rollback");
    cockpit.see(&["4 probes: 4 ok"]);
    // Each of them once more, since what is not seen after a rollback is not known.
    sleep(Duration::from_secs(4));
    cockpit.press(b":quit\r");
    assert_eq!(cockpit.end(), 10);
    let journal = Journal::of(&fleet, Path::new(&folder));
    assert_eq!(journal.all("batch", "apply-started").len(), 1);
    assert_eq!(journal.all("batch", "rolled-back").len(), 1);
}
