//! Probes of a real PostgreSQL, through `holdpoint probe`: who logs in comes from the password file, and a refusal
//! has the server's own words.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// PostgreSQL does not run as root; of a test that does, it gets this user.
const NOBODY: u32 = 65_534;

/// Where this system has the server's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = packaged.chain(std::env::split_paths(&path)).collect::<Vec<_>>();
    let whole = |folder: &PathBuf| ["initdb", "pg_ctl", "psql"].iter().all(|name| folder.join(name).exists());
    all.into_iter().find(whole)
}

/// A server of its own on two addresses of this machine, which ends with the test.
struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    addresses: [String; 2],
}

impl Server {
    fn start(programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if is_root(folder.path()) {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("another's");
        }
        let third = std::process::id() % 250;
        let server =
            Self { programs, folder, addresses: [1, 2].map(|last| format!("127.78.{third}.{last}")) };
        std::fs::write(server.path("password"), "kept in a file").expect("written");
        std::fs::set_permissions(server.path("password"), Permissions::from_mode(0o644)).expect("readable");
        let (data, password) = (server.path("data"), server.path("password"));
        let words = ["-D", &data, "-U", "ops", "-A", "scram-sha-256", "--pwfile", &password, "--no-sync"];
        done(&server.run("initdb", &words));
        let listen = format!("-h {} -p 5432 -k '' -F", server.addresses.join(","));
        done(&server.run("pg_ctl", &["-D", &data, "-w", "-l", &server.path("log"), "-o", &listen, "start"]));
        let words = ["-h", &server.addresses[0], "-U", "ops", "-d", "postgres", "-c", "create database acme"];
        done(&server.run("psql", &words));
        server
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    fn run(&self, program: &str, words: &[&str]) -> Output {
        let mut command = Command::new(self.programs.join(program));
        command.args(words).env_clear().env("PGPASSWORD", "kept in a file").env("PATH", "/usr/bin:/bin");
        command.current_dir(self.folder.path()).stdin(std::process::Stdio::null());
        if std::fs::metadata(self.folder.path()).is_ok_and(|found| owner(&found) == NOBODY) {
            command.gid(NOBODY).uid(NOBODY);
        }
        // A server that is started keeps what it inherits: so no pipe, which would be waited for.
        let out = std::fs::File::create(self.folder.path().join(format!("{program}.out"))).expect("a file");
        let status = command.stdout(out.try_clone().expect("a file")).stderr(out).status().expect("it runs");
        let said = std::fs::read(self.folder.path().join(format!("{program}.out"))).expect("readable");
        Output { status, stdout: said, stderr: Vec::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "stop"]);
    }
}

fn owner(found: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(found)
}

fn is_root(own: &Path) -> bool {
    std::fs::metadata(own).is_ok_and(|found| owner(&found) == 0)
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_login_counts_and_a_refusal_has_the_servers_words() {
    let Some(programs) = programs() else {
        println!("skipped: no PostgreSQL here");
        return;
    };
    let server = Server::start(programs);
    let home = tempfile::tempdir().expect("a folder");
    let [first, second] = &server.addresses;
    let pgpass = home.path().join(".pgpass");
    std::fs::write(&pgpass, format!("{second}:*:*:*:not that one\n*:5432:*:ops:kept in a file\n"))
        .expect("written");
    std::fs::set_permissions(&pgpass, Permissions::from_mode(0o600)).expect("private");
    let probe = |database: &str| {
        format!(
            "{{ probe = \"postgres:{database}\", from = \"outside\", every = \"1s\", fails = \"1 of 1\" }}"
        )
    };
    let customer = |name: &str, address: &str, probes: &[String]| {
        format!(
            "[[customer]]\nname = \"{name}\"\nhost = \"db1\"\nweight = 1\naddress = \"{address}\"\nprobes = [{}]\n",
            probes.join(", ")
        )
    };
    let plan = format!(
        "[window]\nname = \"x\"\nopens = 2026-11-21T22:00:00Z\ncloses = 2026-11-22T02:00:00Z\n\
         [[host]]\nname = \"db1\"\nssh = \"local\"\n{}{}",
        customer("acme", first, &[probe("acme"), probe("gone")]),
        customer("globex", second, &[probe("acme")]),
    );
    std::fs::write(home.path().join("window.toml"), plan).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_holdpoint"))
        .args(["probe", "window.toml", "--for", "6s", "--json"])
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"))
        .env("PATH", "/usr/bin:/bin")
        .env("PGUSER", "ops")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let json: Value = serde_json::from_str(&said).expect("one object");
    let rows = json["customers"].as_array().expect("rows");
    let outside = |at: usize| {
        let seen = &rows[at]["outside"];
        format!("{}: {}", seen["health"].as_str().unwrap_or("?"), seen["said"].as_str().unwrap_or("?"))
    };
    assert!(outside(0).starts_with("ok: SELECT 1 answered; connected after "), "{said}");
    assert!(
        outside(1).starts_with("fail: the server says: database \"gone\" does not exist (3D000); connected"),
        "{said}"
    );
    assert!(
        outside(2)
            .starts_with("fail: the server says: password authentication failed for user \"ops\" (28P01)"),
        "{said}"
    );
    let words = [&output.stdout[..], &output.stderr].concat();
    assert!(!String::from_utf8_lossy(&words).contains("kept in a file"), "a password is never shown");
}
