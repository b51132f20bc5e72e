//! The program under test: plans for it, its runs, and what they came to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::journal::Journal;

/// A run that hangs is ended after this many seconds, and is a failure.
const LONGEST: u32 = 240;

/// A customer of the lab: name, host, weight, address.
type Customer = (&'static str, &'static str, u32, &'static str);

const CUSTOMERS: &[Customer] = &[
    ("acme", "web1", 400, "192.0.2.21"),
    ("umbrella", "web1", 30, "192.0.2.24"),
    ("hooli", "web2", 20, "192.0.2.31"),
    ("wayne", "web3", 10, "192.0.2.41"),
];

/// One that runs, or ran.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    words: String,
}

/// What a run came to.
pub struct Ran {
    /// Its exit status.
    pub exit: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    words: String,
}

/// A plan for some hosts and their customers, with batches as listed, in a window that is open.
pub fn plan(fleet: &Fleet, hosts: &[&str], batches: &[&[&str]]) -> PathBuf {
    plan_within(fleet, hosts, batches, "2m")
}

/// The same, to be confirmed within so long.
pub fn plan_within(fleet: &Fleet, hosts: &[&str], batches: &[&[&str]], confirm: &str) -> PathBuf {
    let at = |when: &str| {
        let date =
            Command::new("date").args(["-u", "-d", when, "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date");
        String::from_utf8_lossy(&date.stdout).trim().to_owned()
    };
    let mut text = format!(
        "[window]\nname = \"Lab updates\"\nopens = {}\ncloses = {}\n\n[baseline]\nhost = \"test1\"\nssh = \"test1\"\n",
        at("-1 hour"),
        at("+3 hours"),
    );
    for host in hosts {
        text += &format!("\n[[host]]\nname = \"{host}\"\nssh = \"{host}\"\n");
    }
    for (name, _, weight, address) in CUSTOMERS.iter().filter(|(_, host, ..)| hosts.contains(host)) {
        let host = CUSTOMERS.iter().find(|customer| customer.0 == *name).expect("itself").1;
        text += &format!(
            "\n[[customer]]\nname = \"{name}\"\nhost = \"{host}\"\nweight = {weight}\naddress = \"{address}\"\n\
             probes = [\"tcp:443\", \"http://www.{name}.example/health\"]\n"
        );
    }
    // Watched for a short while: what is waited for here is that it is watched at all.
    text += &format!("\n[policy]\nbake = \"5s\"\nconfirm_within = \"{confirm}\"\n");
    if !batches.is_empty() {
        text += "strategy = \"listed\"\n";
    }
    for batch in batches {
        text += &format!("\n[[batch]]\npackages = {batch:?}\n");
    }
    let file = fleet.home().join("plan.toml");
    fs::write(&file, text).expect("the plan is written");
    file
}

/// Starts the program at the operator's place.
pub fn start(fleet: &Fleet, words: &[&str]) -> Running {
    let count = fs::read_dir(fleet.home()).expect("the home").count();
    let place = |end: &str| fleet.home().join(format!("{count}.{end}"));
    let (out, err) = (place("out"), place("err"));
    let mut command = fleet.at_the_operators();
    command.arg(env!("CARGO_BIN_EXE_holdpoint")).arg("-F").arg(fleet.ssh_config()).args(words);
    command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
    let child = command.spawn().expect("the program starts");
    Running { child, out, err, words: words.join(" ") }
}

/// Runs the program to its end.
pub fn run(fleet: &Fleet, words: &[&str]) -> Ran {
    start(fleet, words).end()
}

/// The same, with the plan as its last word but for options.
pub fn on_plan(fleet: &Fleet, command: &str, plan: &Path, options: &[&str]) -> Ran {
    let plan = plan.display().to_string();
    let words: Vec<&str> = [command, &plan].iter().chain(options).copied().collect();
    run(fleet, &words)
}

/// Enrolls the hosts of a plan and rehearses it, to a frozen set.
pub fn rehearsed(fleet: &Fleet, plan: &Path) -> Ran {
    on_plan(fleet, "enroll", plan, &[]).must_end(0);
    let rehearsal = on_plan(fleet, "rehearse", plan, &["--headless"]).must_end(0);
    rehearsal.must_say("FROZEN");
    rehearsal
}

impl Running {
    /// What it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Waits until it has said something.
    pub fn until(&mut self, words: &str) {
        for _ in 0..LONGEST * 20 {
            if self.said().contains(words) {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("its status") {
                let err = fs::read_to_string(&self.err).unwrap_or_default();
                panic!("{}: ended ({status}) before it said {words}:\n{}{err}", self.words, self.said());
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{}: did not say {words}:\n{}", self.words, self.said());
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("its end");
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        for _ in 0..LONGEST * 20 {
            if let Some(status) = self.child.try_wait().expect("its status") {
                let out = self.said();
                let err = fs::read_to_string(&self.err).unwrap_or_default();
                return Ran { exit: status.code().unwrap_or(-1), out, err, words: self.words.clone() };
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{}: does not end:\n{}", self.words, self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended can't be killed, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// That it ended with this status.
    pub fn must_end(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{}:\n{}{}", self.words, self.out, self.err);
        self
    }

    /// That it said this, on either output.
    pub fn must_say(&self, words: &str) {
        let said = self.out.contains(words) || self.err.contains(words);
        assert!(said, "{} does not say {words}:\n{}{}", self.words, self.out, self.err);
    }

    /// The recording that it names at its end.
    pub fn recording(&self) -> PathBuf {
        let line = self.out.lines().find_map(|line| line.strip_prefix("recording: "));
        line.unwrap_or_else(|| panic!("{} names no recording:\n{}", self.words, self.out)).into()
    }

    /// The journal of that recording.
    pub fn journal(&self, fleet: &Fleet) -> Journal {
        Journal::of(fleet, &self.recording())
    }
}
