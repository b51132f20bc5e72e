//! Two processes of the real program in one recording: a window that runs, and a command that speaks to
//! it through its socket, or takes over from it when it hangs. The window is the demo's.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::pty::Terminal;

/// Looks, 20 ms apart, until something is given up.
const LOOKS: u32 = 6_000;

fn program(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    command.args(args).current_dir(home).env_clear().env("HOME", home).env("USER", "ops");
    command.env("PATH", "/usr/bin:/bin").env("TMPDIR", home).stdin(Stdio::null());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    program(home, args).output().expect("the binary runs")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn until(what: &str, mut come: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if come() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{what} in vain");
}

/// A window that runs.
struct Window {
    child: Child,
    home: tempfile::TempDir,
}

impl Window {
    /// Its first batch is being applied.
    fn applying() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out");
        let mut demo =
            program(home.path(), &["demo", "--headless", "--scenario", "calm", "--recording", "r"]);
        let child = demo.stdout(File::create(&out).expect("a file")).stderr(Stdio::null()).spawn();
        let window = Self { child: child.expect("it starts"), home };
        until("an apply", || fs::read_to_string(&out).is_ok_and(|said| said.contains("APPLY started")));
        window
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    }

    fn status(&self) -> Value {
        let status = run(self.home.path(), &["status", "r", "--offline", "--json"]);
        assert_eq!(status.status.code(), Some(0), "{}", words(&status));
        serde_json::from_slice(&status.stdout).expect("one JSON object")
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // One that has ended can't be killed, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_key_of_another_process_goes_through_the_cockpit_that_lives() {
    let mut window = Window::applying();
    let home = window.home.path().to_owned();
    let socket = home.join("r/cockpit.sock").metadata().expect("a socket");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let status = window.status();
    assert_eq!(status["cockpit"]["alive"], true);
    assert_eq!(status["cockpit"]["process"], window.child.id());
    let resumed = run(&home, &["resume", "r", "--headless", "--take-over"]);
    assert_eq!(resumed.status.code(), Some(40), "{}", words(&resumed));
    assert!(words(&resumed).contains("leave that one first"), "{}", words(&resumed));
    let back = run(&home, &["rollback", "r", "--scope", "all", "--take-over"]);
    assert_eq!(back.status.code(), Some(10), "{}", words(&back));
    for said in ["HOLD window: asked for on the command line, process", "ROLLBACK started", "identical: "] {
        assert!(words(&back).contains(said), "{said} in {}", words(&back));
    }
    // The window's own pilot ends it then, as it would after a press of the key.
    assert_eq!(window.child.wait().expect("its end").code(), Some(10));
    assert!(!home.join("r/cockpit.sock").exists(), "nothing is left behind");
    assert_eq!(window.status()["cockpit"], Value::Null);
}

fn journal(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn one_that_hangs_is_taken_over_in_a_copy_under_a_higher_epoch() {
    let window = Window::applying();
    let home = window.home.path().to_owned();
    window.signal("-STOP");
    let status = window.status();
    assert_eq!(status["cockpit"]["alive"], false, "{status}");
    let before = fs::read(home.join("r/journal.jsonl")).expect("a journal");
    // Nobody to type the word, and no option: nothing is done.
    let asked = run(&home, &["rollback", "r"]);
    assert_eq!(asked.status.code(), Some(2), "{}", words(&asked));
    assert!(words(&asked).contains("hangs") && words(&asked).contains("--take-over"), "{}", words(&asked));
    // Its hosts live in the stopped process, so this one can't reach them and does not come to an end.
    let mut over = program(&home, &["rollback", "r", "--take-over"]);
    let mut over = over.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let copy = || -> Option<PathBuf> {
        let mut names = fs::read_dir(&home).expect("a folder").map(|entry| entry.expect("an entry").path());
        names.find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("r-taken-over-")))
    };
    let resumed = |record: &Value| record["event"]["data"]["event"] == "resumed";
    let taken = || copy().is_some_and(|copy| journal(&copy).iter().any(resumed));
    until("a take-over", taken);
    let records = journal(&copy().expect("a copy"));
    let record = records.iter().find(|record| resumed(record)).expect("it is journalled");
    let how = &record["event"]["data"]["take_over"];
    assert_eq!((how["before"].as_str(), how["word"].as_str()), (Some("silent"), Some("option")), "{how}");
    let holder = format!("process {}, ", window.child.id());
    assert!(how["from"].as_str().is_some_and(|from| from.starts_with(&holder)), "{how}");
    assert!(record["epoch"].as_u64() > records[0]["epoch"].as_u64(), "{record}");
    assert!(record["actor"]["person"] == "ops", "{record}");
    assert_eq!(fs::read(home.join("r/journal.jsonl")).expect("a journal"), before, "theirs is not touched");
    over.kill().expect("a kill");
    over.wait().expect("its end");
    // Picked up once more, in its folder and in another copy: the one before is gone, and not known to be.
    let copy = copy().expect("a copy");
    let status = Command::new("cp").args(["-a"]).arg(&copy).arg(home.join("elsewhere")).status();
    assert!(status.expect("cp runs").success());
    for (folder, before) in [(copy, "gone"), (home.join("elsewhere"), "not-known")] {
        let count = journal(&folder).iter().filter(|record| resumed(record)).count();
        let words = ["resume", &folder.display().to_string(), "--headless", "--take-over"].map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut again =
            program(&home, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let all = || journal(&folder).into_iter().filter(|record| resumed(record)).collect::<Vec<_>>();
        until("another take-over", || all().len() > count);
        assert_eq!(all()[count]["event"]["data"]["take_over"]["before"], before);
        again.kill().expect("a kill");
        again.wait().expect("its end");
    }
}

/// In front of a process that holds the recording: says that it lives, and never takes anything.
fn tongue_tied(home: &Path) {
    let socket = home.join("r/cockpit.sock");
    fs::rename(&socket, home.join("r/cockpit.sock.aside")).expect("moved");
    let listener = UnixListener::bind(&socket).expect("binds");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
            let _ = lines.read_line(&mut asked);
            let alive = "{\"format\":\"holdpoint.socket/1\",\"say\":\"alive\",\"process\":4711,\
                \"since\":\"2026-11-21T22:10:31Z\",\"program\":\"x\",\"seq\":9,\"journal_sound\":true,\
                \"tick_age_ms\":20}\n";
            let _ = stream.write_all(alive.as_bytes());
            if asked.contains("rollback") {
                // It holds the connection, and says nothing more.
                std::thread::spawn(move || {
                    sleep(Duration::from_secs(60));
                    drop(stream);
                });
            }
        }
    });
}

fn copies(home: &Path) -> usize {
    let names = fs::read_dir(home).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("r-taken-over-")).count()
}

#[test]
fn one_that_lives_and_takes_nothing_is_taken_over_for_a_word_of_its_own_alone() {
    let window = Window::applying();
    let home = window.home.path().to_owned();
    window.signal("-STOP");
    tongue_tied(&home);

    // The word for the key, and then anything but the other one.
    let mut terminal = Terminal::open_in(&home, 120, 36, &["rollback", "r"]);
    terminal.wait_for("Type ROLLBACK");
    terminal.press("ROLLBACK\r");
    terminal.wait_for("Type TAKE-OVER");
    for said in ["process 4711 since 22:10:31Z", "last sign of life"] {
        assert!(terminal.text().contains(said), "{said} in {}", terminal.text());
    }
    terminal.press("ROLLBACK\r");
    assert_eq!((terminal.end(), copies(&home)), (20, 0));

    // Without a terminal: what was given for the key is not taken for the other.
    let asked = run(&home, &["rollback", "r", "--yes"]);
    assert_eq!((asked.status.code(), copies(&home)), (Some(40), 0), "{}", words(&asked));
    for said in ["process 4711 since 22:10:31Z", "did not take it", "last sign of life", "--take-over"] {
        assert!(words(&asked).contains(said), "{said} in {}", words(&asked));
    }

    let mut terminal = Terminal::open_in(&home, 120, 36, &["rollback", "r"]);
    terminal.wait_for("Type ROLLBACK");
    terminal.press("ROLLBACK\r");
    terminal.wait_for("Type TAKE-OVER");
    terminal.press("TAKE-OVER\r");
    terminal.wait_for("the window goes on in");
    assert_eq!(copies(&home), 1);
    let copy = fs::read_dir(&home).expect("a folder").map(|entry| entry.expect("an entry").path());
    let copy = copy.into_iter().find(|path| path.to_string_lossy().contains("r-taken-over-")).expect("there");
    let resumed = |record: &Value| record["event"]["data"]["event"] == "resumed";
    until("a take-over", || journal(&copy).iter().any(resumed));
    let records = journal(&copy);
    let how = &records.iter().find(|record| resumed(record)).expect("there")["event"]["data"]["take_over"];
    assert_eq!((how["before"].as_str(), how["word"].as_str()), (Some("silent"), Some("typed")), "{how}");
}
