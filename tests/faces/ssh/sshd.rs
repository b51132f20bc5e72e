//! A real sshd of our own on a loopback port, with its own keys, for the current user.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdpoint::host::{Destination, Link, Settings, Target};
use holdpoint::types::Span;
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/sshd";

/// Whether there is an sshd and the client's tools to make keys with; says so if there isn't.
pub fn is_here() -> bool {
    let here = Path::new(PROGRAM).is_file() && Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !here {
        println!("skipped: no sshd here");
    }
    here
}

pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn keygen(file: &Path, kind: &str, passphrase: &str) {
    let file = file.to_str().expect("a plain path");
    run("ssh-keygen", &["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", file]);
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(output.stdout).expect("a plain name").trim().to_owned()
}

fn children(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold blanks and brackets: the parent is the second field after the last of them.
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(of) {
            found.push(id);
            found.extend(children(id));
        }
    }
    found
}

impl Sshd {
    /// Starts one with an ed25519 host key, an accepted ed25519 key `id`, and lines added to its configuration.
    pub fn start(extra: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        keygen(&folder.path().join("host_ed25519"), "ed25519", "");
        keygen(&folder.path().join("id"), "ed25519", "");
        let sshd = Self::on(folder, free_port(), extra);
        sshd.accept("id");
        sshd.know();
        sshd.wait();
        sshd
    }

    fn on(folder: TempDir, port: u16, extra: &str) -> Self {
        let dir = folder.path().display();
        // Commands get this folder as their home: what the user's own shell reads there at its start is
        // not what is tested, may be slow, and may hold a lock that a killed session never gives back.
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_ed25519\nAuthorizedKeysFile {dir}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PidFile none\nLogLevel VERBOSE\nSetEnv HOME={dir}\n{extra}\n"
        );
        std::fs::write(folder.path().join("sshd_config"), text).expect("written");
        let child = Self::spawn(folder.path());
        Self { folder, port, child }
    }

    fn spawn(folder: &Path) -> Child {
        // As root sshd wants this folder, which its package makes at boot; others don't need it.
        let _made_or_not_needed = std::fs::create_dir_all("/run/sshd");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        Command::new(PROGRAM)
            .arg("-D")
            .arg("-e")
            .arg("-f")
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect(PROGRAM)
    }

    fn wait(&self) {
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("sshd does not listen: {}", std::fs::read_to_string(self.file("log")).expect("its log"));
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect(name);
    }

    /// Lets this key in, and no other.
    pub fn accept(&self, key: &str) {
        self.write("authorized_keys", &self.read(&format!("{key}.pub")));
    }

    /// The host key as it stands in a file, without a name.
    pub fn host_key(&self) -> String {
        let line = self.read("host_ed25519.pub");
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    pub fn know(&self) {
        self.write("known_hosts", &format!("[127.0.0.1]:{} {}\n", self.port, self.host_key()));
    }

    /// A client's configuration for this sshd, under the name `target`, with lines added.
    pub fn config(&self, extra: &str) -> String {
        let dir = self.folder.path().display();
        format!(
            "Host target\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {dir}/id\n  UserKnownHostsFile \
             {dir}/known_hosts\n  GlobalKnownHostsFile /dev/null\n{extra}\n",
            self.port,
            user()
        )
    }

    pub fn settings(&self, extra: &str) -> Settings {
        self.write("config", &self.config(extra));
        Settings {
            ssh_config: Some(self.file("config")),
            openssh: Some("/usr/bin/ssh".into()).filter(|ssh: &PathBuf| ssh.is_file()),
            home: Some(self.folder.path().to_owned()),
            local_user: Some(user()),
            connect_timeout: Span::secs(10),
            ..Settings::default()
        }
    }

    pub fn link(&self, extra: &str) -> Link {
        link("target", self.settings(extra))
    }

    /// Ends it and everything that it runs, at once.
    pub fn kill(&mut self) {
        let id = self.child.id();
        let mut all = vec![id];
        all.extend(children(id));
        let mut kill = Command::new("kill");
        kill.arg("-9").args(all.iter().map(ToString::to_string)).stderr(Stdio::null());
        let _gone_or_not = kill.status();
        let _gone_or_not = self.child.wait();
    }

    pub fn start_again(&mut self) {
        self.child = Self::spawn(self.folder.path());
        self.wait();
    }
}

pub fn link(to: &str, settings: Settings) -> Link {
    let host = "web1".parse().expect("a name");
    Link::new(Target { host, destination: Destination::Ssh(to.to_owned()) }, Arc::new(settings))
}

/// An agent of our own.
pub struct SshAgent {
    pub socket: PathBuf,
    child: Child,
}

impl SshAgent {
    pub fn start(folder: &Path, keys: &[&Path]) -> Self {
        let socket = folder.join("agent");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent");
        for _ in 0..200 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for key in keys {
            let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).output();
            assert!(added.expect("ssh-add").status.success(), "{} was not added", key.display());
        }
        Self { socket, child }
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _gone_or_not = self.child.kill();
        let _gone_or_not = self.child.wait();
    }
}
