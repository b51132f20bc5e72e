//! A fleet of real sshds on this machine, one for each host, and how all three programs reach them.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/sshd";

/// Sshds on ports of 127.0.0.1 with a host key and an accepted key of their own, for the current
/// user; they end with this.
pub struct Fleet {
    folder: TempDir,
    children: Vec<Child>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _gone_or_not = child.kill();
            let _gone_or_not = child.wait();
        }
    }
}

fn keygen(file: &Path) -> Option<()> {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
    made.is_ok_and(|status| status.success()).then_some(())
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(output.stdout).expect("a plain name").trim().to_owned()
}

impl Fleet {
    /// Starts that many; none where there is no sshd or no ssh-keygen.
    pub fn start(count: usize) -> Option<Self> {
        Self::start_with(count, |_| String::new())
    }

    /// The same, with these lines more in the configuration of each.
    pub fn start_with(count: usize, more: impl Fn(usize) -> String) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (host_key, id) = (folder.path().join("host"), folder.path().join("id"));
        if !Path::new(PROGRAM).is_file() || keygen(&host_key).is_none() || keygen(&id).is_none() {
            return None;
        }
        // As root sshd wants this folder, which its package makes at boot; others don't need it.
        let _made_or_not_needed = std::fs::create_dir_all("/run/sshd");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a public key");
        std::fs::write(folder.path().join("authorized_keys"), read("id.pub")).expect("written");
        let host_key = read("host.pub").split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        // All ports are taken at once, so that none is given twice.
        let taken: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port")).collect();
        let ports: Vec<u16> = taken.iter().map(|port| port.local_addr().expect("bound").port()).collect();
        drop(taken);
        let mut fleet = Self { folder, children: Vec::new() };
        let (mut config, mut known) = (String::new(), String::new());
        for (n, port) in ports.iter().enumerate() {
            let dir = fleet.folder.path().display();
            writeln!(known, "[127.0.0.1]:{port} {host_key}").expect("a string");
            write!(
                config,
                "Host {}\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  IdentityFile {dir}/id\n  IdentitiesOnly yes\n  \
                 UserKnownHostsFile {dir}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n",
                name(n),
                user()
            )
            .expect("a string");
            let child = fleet.spawn(n, *port, &more(n));
            fleet.children.push(child);
        }
        fleet.write("ssh_config", &config);
        fleet.write("known_hosts", &known);
        let list = fleet.names().iter().map(|name| format!("{name}\n")).collect::<String>();
        fleet.write("hosts", &list);
        ports.iter().for_each(|port| wait(*port));
        Some(fleet)
    }

    fn spawn(&self, n: usize, port: u16, more: &str) -> Child {
        let dir = self.folder.path().display();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PidFile none\nLogLevel ERROR\nSubsystem sftp internal-sftp\nSetEnv SHLVL=2\n{more}"
        );
        let file = self.write(&format!("sshd_{n}"), &text);
        let mut sshd = Command::new(PROGRAM);
        sshd.args(["-D", "-e", "-f"]).arg(file);
        sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sshd.spawn().expect("sshd starts")
    }

    /// The names of its hosts, as its ssh configuration has them.
    pub fn names(&self) -> Vec<String> {
        (0..self.children.len()).map(name).collect()
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in its folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        std::fs::write(&file, text).expect("written");
        file
    }
}

pub fn name(n: usize) -> String {
    format!("bench{n:03}")
}

fn wait(port: u16) {
    for _ in 0..250 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("sshd does not listen on {port}");
}
