//! The demo's fleet beside processes of the real program: its hosts live in the test, so that a process that
//! is killed, stopped or taken over takes none of them along.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use holdpoint::demo::{self, Pace, Scenario, Setup};
use holdpoint::host::ask::Asker;
use holdpoint::host::outcome::Left;
use holdpoint::host::said::Said;
use holdpoint::host::verb::Verb;
use holdpoint::host::{Destination, Link, Target};
use holdpoint::types::HostName;
use serde_json::Value;

use crate::pty::Terminal;

/// Looks, 20 ms apart, until something is given up.
const LOOKS: u32 = 6_000;

/// Looks until it has come.
pub fn until(what: &str, mut come: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if come() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{what} in vain");
}

/// What a command said, on both of its ways.
pub fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The records of a journal, as far as it is written.
pub fn journal(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Those of one event.
pub fn all(folder: &Path, group: &str, event: &str) -> Vec<Value> {
    let of = |record: &Value| record["event"]["group"] == group && record["event"]["data"]["event"] == event;
    journal(folder).into_iter().filter(of).collect()
}

/// A process that runs; killed when it is dropped.
pub struct Running {
    child: Child,
    out: PathBuf,
}

impl Running {
    /// What it said until now.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("it is ours").map(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended can't be killed, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fleet, a home folder with its plan, and a rehearsal that the real program made.
pub struct Fleet {
    fleet: demo::Fleet,
    runtime: tokio::runtime::Runtime,
    /// The home of all processes.
    pub home: tempfile::TempDir,
    config: String,
}

impl Fleet {
    /// Rehearsed; a batch is watched for so long.
    pub fn rehearsed(bake: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let setup = Setup { pace: Pace::FAST, rehearsed: false };
        let fleet = runtime.block_on(demo::start_with(Scenario::Calm, now(), 17, setup)).expect("a fleet");
        let plan = fleet.plan.replace("bake           = \"10s\"", &format!("bake           = \"{bake}\""));
        assert_ne!(plan, fleet.plan, "the plan says how long");
        fs::write(home.path().join("window.toml"), plan).expect("written");
        let config = fleet.settings.ssh_config.as_ref().expect("a file").display().to_string();
        let fleet = Self { fleet, runtime, home, config };
        let rehearsed = fleet.run(&["rehearse", "window.toml", "--headless"]);
        assert_eq!(rehearsed.status.code(), Some(0), "{}", words(&rehearsed));
        fleet
    }

    /// A path in the home folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
        let home = self.home.path();
        command.args(args).args(["-F", &self.config]).current_dir(home).env_clear();
        command.env("HOME", home).env("USER", "ops").env("PATH", "/usr/bin:/bin").env("TMPDIR", home);
        command.stdin(Stdio::null());
        command
    }

    /// A command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.program(args).output().expect("the binary runs")
    }

    /// A command that goes on.
    pub fn begin(&self, args: &[&str], out: &str) -> Running {
        let out = self.path(out);
        let file = File::create(&out).expect("a file");
        let mut program = self.program(args);
        program.stderr(file.try_clone().expect("a copy")).stdout(file);
        Running { child: program.spawn().expect("it starts"), out }
    }

    /// A command on a terminal.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        let args: Vec<&str> = args.iter().copied().chain(["-F", self.config.as_str()]).collect();
        Terminal::open_in(self.home.path(), 120, 36, &args)
    }

    /// What is left on a host, by its own word.
    pub fn left(&self, host: &str) -> Left {
        let plan = holdpoint::plan::read("window.toml", &self.fleet.plan).expect("a plan");
        let host: HostName = host.parse().expect("a name");
        let ssh = plan.reached().find(|(name, _)| **name == host).expect("it is in the plan").1;
        let target = Target { host, destination: Destination::Ssh(ssh.to_owned()) };
        let asker = Asker::new(Link::new(target, Arc::clone(&self.fleet.settings)));
        let answer = self.runtime.block_on(asker.ask(&Verb::Left, 0)).expect("an answer");
        match Verb::Left.read(&answer) {
            Ok(Said::Left(left)) => left,
            other => panic!("{other:?}"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fleet's clock begins at the time on the wall, as its cockpits' do"
)]
fn now() -> holdpoint::types::Time {
    chrono::Utc::now()
}
