//! A throwaway host: this machine's own system under an overlay whose upper layer is in memory, in
//! namespaces of its own (mounts, processes, network). Its real dpkg and apt are used, and nothing
//! that happens there is left or seen outside. It needs root and overlay mounts.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

/// A throwaway host. It ends, with every process in it, when it is dropped.
pub struct Throwaway {
    holder: Child,
    /// Closing it ends the holder, and with it the namespace.
    stdin: Option<ChildStdin>,
    pid: u32,
    root: PathBuf,
    _folder: tempfile::TempDir,
}

const SETUP: &str = r#"
set -eu
cd "$1"
mount -t tmpfs -o size=768m tmpfs .
cd "$1"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
read -r pid _ </proc/self/stat
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -p root/run/lock
mount --rbind /dev root/dev
ip link set lo up 2>/dev/null || :
echo "ready $pid"
cat >/dev/null
"#;

/// Whether nobody works on this machine's own packages: an overlay over a dpkg that is half way
/// through something would show that, and change under the test.
fn packages_are_at_rest() -> bool {
    let held = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"].iter().any(|path| {
        let Ok(file) = fs::metadata(path) else { return false };
        let (major, minor) =
            ((file.dev() >> 8) & 0xfff, (file.dev() & 0xff) | ((file.dev() >> 12) & 0xf_ff00));
        let id = format!(" {major:02x}:{minor:02x}:{} ", file.ino());
        fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains(&id))
    });
    let audit = Command::new("dpkg").arg("--audit").output();
    !held && audit.is_ok_and(|output| output.stdout.is_empty())
}

impl Throwaway {
    /// A fresh one, or why this machine can't have one.
    pub fn new() -> Result<Self, String> {
        Self::made(SETUP)
    }

    /// One whose root is a subvolume of a btrfs of its own, with a part of this machine's system copied into
    /// it; or why this machine can't have one.
    pub fn on_btrfs() -> Result<Self, String> {
        if !["/usr/sbin", "/sbin"].iter().any(|dir| PathBuf::from(dir).join("mkfs.btrfs").exists()) {
            return Err("btrfs-progs is not installed".to_owned());
        }
        Self::made(include_str!("btrfs.sh"))
    }

    fn made(setup: &str) -> Result<Self, String> {
        for tool in ["unshare", "nsenter", "dpkg-deb", "apt-get", "dpkg"] {
            if !["/usr/bin", "/usr/sbin", "/bin"].iter().any(|dir| PathBuf::from(dir).join(tool).exists()) {
                return Err(format!("{tool} is not installed"));
            }
        }
        let mut waited = 0;
        while !packages_are_at_rest() {
            if waited == 60 {
                return Err("this machine's own packages are being changed, or half done".to_owned());
            }
            waited += 1;
            std::thread::sleep(Duration::from_secs(1));
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut holder = Command::new("unshare")
            .args([
                "-m",
                "-p",
                "-n",
                "-f",
                "--kill-child",
                "--propagation",
                "private",
                "sh",
                "-c",
                setup,
                "sh",
            ])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        let Some(pid) = line.strip_prefix("ready ").and_then(|pid| pid.trim().parse().ok()) else {
            let output = holder.wait_with_output().map_err(|e| e.to_string())?;
            return Err(format!("no throwaway root: {}", String::from_utf8_lossy(&output.stderr).trim()));
        };
        let stdin = holder.stdin.take();
        let root = folder.path().join("root");
        Ok(Self { holder, stdin, pid, root, _folder: folder })
    }

    /// A command inside, not yet run.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-m", "-p", "-n", "chroot"])
            .arg(&self.root)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command inside with that input.
    pub fn run(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().expect("nsenter");
        // A command that doesn't read its input may have ended: that is no failure of the test.
        let _ = child.stdin.take().expect("piped").write_all(input);
        child.wait_with_output().expect("ended")
    }

    /// Runs a shell script inside, which has to succeed, and gives what it printed.
    pub fn sh(&self, script: &str) -> String {
        let output = self.run(&["sh", "-eu", "-s"], script.as_bytes());
        assert!(
            output.status.success(),
            "script failed:\n{script}\n--- stdout\n{}\n--- stderr\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
