//! A lab of hosts for one test: brought up, asked, harmed, and taken down whatever happens.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

/// Hosts of one test, and the folder that is the operator's home.
pub struct Fleet {
    run: String,
    home: TempDir,
    ssh_config: PathBuf,
}

/// What a host is, as far as a rollback has to bring it back.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest(String);

impl Fleet {
    /// Brings hosts up and lets `ops` use sudo on them; `None`, and a line that says why, where the
    /// lab is not wanted or can't be had.
    pub fn up(test: &str, hosts: &[&str]) -> Option<Self> {
        if std::env::var("HOLDPOINT_LAB").as_deref() != Ok("1") {
            println!("skipped: HOLDPOINT_LAB=1 runs it");
            return None;
        }
        let need = Command::new(LAB).arg("need").output().expect("lab need");
        if !need.status.success() {
            println!("skipped: {}", String::from_utf8_lossy(&need.stdout).trim());
            return None;
        }
        let run = format!("{test}-{}", std::process::id());
        // From here on dropping it takes the lab down, however far it came up.
        let mut fleet = Self { run, home: tempfile::tempdir().expect("a home"), ssh_config: PathBuf::new() };
        let up: Vec<&str> = ["up", &fleet.run].iter().chain(hosts).copied().collect();
        must(Command::new(LAB).args(up));
        fleet.ssh_config = PathBuf::from(fleet.env("LAB_SSH_CONFIG"));
        for host in hosts {
            fleet.lab("sudo", &[host]);
        }
        Some(fleet)
    }

    fn env(&self, name: &str) -> String {
        let all = self.lab("env", &[]);
        let value = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
        value.and_then(|value| value.strip_suffix('\'')).expect(name).to_owned()
    }

    /// A command of the lab on this run, which must come off; what it printed.
    pub fn lab(&self, command: &str, words: &[&str]) -> String {
        must(Command::new(LAB).arg(command).arg(&self.run).args(words))
    }

    /// The beginning of a command that runs at the operator's place. It replaces itself, so that a
    /// signal to it is one to the command.
    pub fn at_the_operators(&self) -> Command {
        let mut command = Command::new(LAB);
        let state = format!("XDG_STATE_HOME={}", self.home.path().join("state").display());
        let home = format!("HOME={}", self.home.path().display());
        command.args(["exec", &self.run, "env", &state, &home]);
        command.stdin(Stdio::null());
        command
    }

    /// Puts a fault in between customers and their services (`on`), or takes it back (`off`): of a host, or of one
    /// address there.
    pub fn reach(&self, fault: &str, to: &str, host: &str, address: Option<&str>) {
        let words = [fault, to, &self.run, host].into_iter().chain(address);
        must(Command::new(LAB).arg("reach").args(words));
    }

    /// The certificate of who signed the hosts' own.
    pub fn ca(&self) -> PathBuf {
        self.env("LAB_CA").into()
    }

    /// The ssh configuration that knows the hosts.
    pub fn ssh_config(&self) -> &Path {
        &self.ssh_config
    }

    /// The operator's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A shell command as root on a host's console, also without its network; what it printed.
    pub fn on(&self, host: &str, shell: &str) -> String {
        self.lab("console", &[host, "sh", "-c", shell])
    }

    /// Waits until a shell command on a host's console says yes.
    pub fn until_on(&self, host: &str, shell: &str) {
        let asked = || {
            Command::new(LAB)
                .args(["console", &self.run, host, "sh", "-c", shell])
                .output()
                .expect("lab console")
        };
        for _ in 0..300 {
            if asked().status.success() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{host} did not come to: {shell}");
    }

    /// The version of a package that is installed on a host, soundly.
    pub fn version(&self, host: &str, package: &str) -> String {
        let all =
            self.on(host, &format!("dpkg-query -W -f '${{db:Status-Abbrev}}${{Version}}' {package} || :"));
        all.strip_prefix("ii ").or(all.strip_prefix("hi ")).unwrap_or("").to_owned()
    }

    /// What a host is now: packages and their marks, every file of /etc but holdpoint's pins, addresses,
    /// kernels.
    pub fn manifest(&self, host: &str) -> Manifest {
        Manifest(self.on(
            host,
            "set -e; dpkg -l | sed 1,5d; dpkg --audit; apt-mark showauto; apt-mark showhold
             cd /etc; find . -type f ! -path './apt/preferences.d/00-holdpoint-*' -printf '%m %u %p ' -exec sha256sum {} + | sort
             find . -type l -printf '%p -> %l\\n' | sort
             ip -o addr show scope global | awk '{ print $2, $3, $4 }'; ls /boot",
        ))
    }

    /// Whether a customer's address is served, seen from the operator's place; tried for a while, as
    /// the router remembers an address that was dark.
    pub fn served(&self, address: &str) -> bool {
        (0..20).any(|tried| {
            if tried > 0 {
                sleep(Duration::from_millis(300));
            }
            self.served_now(address)
        })
    }

    /// Whether it is served at this moment.
    pub fn served_now(&self, address: &str) -> bool {
        let ask = format!(
            "exec 3<>/dev/tcp/{address}/80 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q healthy <&3"
        );
        let asked = self.at_the_operators().args(["timeout", "2", "bash", "-c", &ask]).output();
        asked.expect("bash").status.success()
    }

    /// Whether a login on a host works.
    pub fn logs_in(&self, host: &str) -> bool {
        let asked = Command::new(LAB).args(["ssh", &self.run, host, "true"]).stdin(Stdio::null()).output();
        asked.expect("lab ssh").status.success()
    }

    /// How many operations of a kind a host's helper was asked for.
    pub fn operations(&self, host: &str, kind: &str) -> usize {
        self.on(host, &format!("ls /var/lib/holdpoint/ops 2>/dev/null | grep -c -- -{kind}- || :"))
            .trim()
            .parse()
            .expect("a number")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let down = Command::new(LAB).args(["down", &self.run]).output();
        if !down.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("lab down {}: {down:?}", self.run);
        }
    }
}

impl Manifest {
    /// That two are the same, else the lines in which they differ.
    pub fn assert_same(&self, other: &Self, when: &str) {
        let differs: Vec<String> =
            only("before", &self.0, &other.0).chain(only("after", &other.0, &self.0)).collect();
        assert!(differs.is_empty(), "{when}, the host is not what it was:\n{}", differs.join("\n"));
    }
}

fn only<'a>(word: &'a str, one: &'a str, other: &'a str) -> impl Iterator<Item = String> + 'a {
    let there = |line: &&str| !other.lines().any(|known| known == *line);
    one.lines().filter(there).map(move |line| format!("{word}: {line}"))
}

fn must(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("the lab starts");
    let words = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{words}");
    String::from_utf8(stdout).expect("text")
}
