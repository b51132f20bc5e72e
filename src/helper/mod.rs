//! The POSIX sh that runs on hosts: fragments joined at compile time, their hashes, and the text
//! that installs them.
//!
//! Nothing here may talk to a host. The text has no test back door and no setting: what the tests
//! run is, byte for byte, what is installed.

use std::sync::LazyLock;

use sha2::Digest;

use crate::types::{Blake3, NameError, Sha256};

/// The whole helper. Its last line calls it; all before are functions, so a text that arrives cut
/// off does nothing.
pub const TEXT: &str = concat!(
    include_str!("00-frame.sh"),
    "\n",
    include_str!("facts.sh"),
    "\n",
    include_str!("packages.sh"),
    "\n",
    include_str!("stage.sh"),
    "\n",
    include_str!("carry.sh"),
    "\n",
    include_str!("saved.sh"),
    "\n",
    include_str!("feet.sh"),
    "\n",
    include_str!("kernel.sh"),
    "\n",
    include_str!("live.sh"),
    "\n",
    include_str!("snapshot.sh"),
    "\n",
    include_str!("bootback.sh"),
    "\n",
    include_str!("apply.sh"),
    "\n",
    include_str!("rollback.sh"),
    "\n",
    include_str!("replaced.sh"),
    "\n",
    include_str!("pins.sh"),
    "\n",
    include_str!("pause.sh"),
    "\n",
    include_str!("offline.sh"),
    "\n",
    include_str!("timer.sh"),
    "\n",
    include_str!("arm.sh"),
    "\n",
    include_str!("watch.sh"),
    "\n",
    include_str!("console.sh"),
    "\n",
    include_str!("operation.sh"),
    "\n",
    include_str!("left.sh"),
    "\n",
    include_str!("logs.sh"),
    "\n",
    include_str!("capture.sh"),
    "\n",
    include_str!("probe.sh"),
    "\n",
    include_str!("evidence.sh"),
    "\n",
    include_str!("main.sh"),
);

/// The version of the contract that [`TEXT`] speaks; its first frame says it.
pub const VERSION: u32 = 4;

/// Where the helper is installed, root's and mode 0755.
pub const PATH: &str = "/usr/local/sbin/holdpoint-helper";

/// Where the sudo rule is installed, root's and mode 0440.
pub const SUDOERS_PATH: &str = "/etc/sudoers.d/holdpoint";

/// The hash of [`TEXT`], for the journal.
pub fn hash() -> Blake3 {
    static HASH: LazyLock<Blake3> = LazyLock::new(|| Blake3::of(TEXT.as_bytes()));
    *HASH
}

/// The SHA-256 of [`TEXT`]: what an enrolled host says in its first frame when it has this helper.
pub fn sha256() -> Sha256 {
    static HASH: LazyLock<Sha256> =
        LazyLock::new(|| Sha256::from_bytes(sha2::Sha256::digest(TEXT.as_bytes()).into()));
    *HASH
}

/// The name of a user on a host, as it may stand in a sudo rule: the pattern of useradd(8), at most
/// 32 characters, without the trailing `$` of machine accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SudoUser(Box<str>);

impl SudoUser {
    /// The checked name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SudoUser {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound = !text.is_empty()
            && text.len() <= 32
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        // ALL is a word of sudoers; lower case alone keeps it out.
        if sound {
            Ok(Self(text.into()))
        } else {
            Err(NameError {
                what: "a user name for a sudo rule",
                rule: "1 to 32 of a-z 0-9 _ -, beginning with a letter or _",
                text: text.chars().take(80).collect(),
            })
        }
    }
}

/// The one sudo rule: that user may call the helper as root, without a password, and nothing else.
/// The helper checks its words itself.
pub fn sudoers(user: &SudoUser) -> String {
    format!("{} ALL=(root) NOPASSWD: {PATH}\n", user.as_str())
}

/// A script that, run as root, installs the helper and the rule: each checked first, then renamed
/// into place. It carries the helper's text within itself and reads no input.
pub fn install_script(user: &SudoUser) -> String {
    include_str!("install.sh")
        .replace("@RULE@", sudoers(user).trim_end())
        .replace("@USER@", user.as_str())
        .replace("@SHA256@", &sha256().to_string())
        // Last, so that nothing inside the helper is taken for a mark.
        .replace("@HELPER@", TEXT)
}

/// What `enroll --print` shows: what to put where, for configuration management.
pub fn enroll_text(user: &SudoUser) -> String {
    let rule = if user.as_str() == "root" {
        "1. No sudo rule is needed: the cockpit comes in as root.\n".to_owned()
    } else {
        format!(
            "1. {SUDOERS_PATH}  owner root:root, mode 0440, this one line\n   (check it with visudo -cf before it goes in place):\n\n{}",
            sudoers(user)
        )
    };
    format!(
        "# holdpoint: what an enrolled host has. Put it into configuration management as it is.\n\
         # The helper keeps its state in /var/lib/holdpoint (made by itself, root:root, mode 0700).\n\
         # While a batch waits for its confirmation there are also, made and removed by the helper:\n\
         # holdpoint-deadman.service (or /etc/cron.d/holdpoint-deadman where there is no systemd) and\n\
         # /etc/update-motd.d/60-holdpoint, and /etc/apt/apt.conf.d/zzzz-holdpoint-paused, which pauses unattended\n\
         # upgrades; where the plan asks for one, a snapshot of before: /var/lib/holdpoint/snapshots/BATCH, the volume\n\
         # holdpoint-BATCH or the ZFS snapshot @holdpoint-BATCH; while a new kernel is on trial, /etc/default/grub.d/holdpoint.cfg. After a rollback\n\
         # /etc/apt/preferences.d/00-holdpoint-BATCH.pref keeps the versions out that were rolled back, until\n\
         # holdpoint unpin releases them.\n\n\
         {rule}\n\
         2. {PATH}  owner root:root, mode 0755\n   \
         SHA-256 {}\n   all that follows after this line:\n{TEXT}",
        sha256()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn the_text_is_one_script_that_only_acts_on_its_last_lines() {
        assert!(TEXT.starts_with("#!/bin/sh\n"));
        assert!(TEXT.contains(&format!("\nHP_VERSION={VERSION}\n")));
        assert!(TEXT.ends_with("\nhp_main \"$@\"\nexit\n"));
        assert!(TEXT.is_ascii(), "the helper is ASCII");
        assert!(TEXT.contains(&format!("\nHP_PATH={PATH}\n")));
    }

    #[test]
    fn the_text_cut_off_anywhere_does_nothing() {
        // Cut at line ends: that is where a shell that reads as it goes would act.
        let lines: Vec<&str> = TEXT.lines().collect();
        for kept in (10..lines.len() - 2).step_by(97) {
            let cut = lines[..kept].join("\n");
            let mut sh = Command::new("sh")
                .args(["-s", "--", "abcdefgh", "0", "hello"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("sh");
            sh.stdin.take().expect("stdin").write_all(cut.as_bytes()).expect("written");
            let output = sh.wait_with_output().expect("ended");
            assert!(output.stdout.is_empty(), "cut after line {kept}");
        }
    }

    #[test]
    fn shellcheck_finds_nothing() {
        let user: SudoUser = "ops".parse().expect("a user");
        for text in [TEXT.to_owned(), install_script(&user)] {
            let mut check = match Command::new("shellcheck")
                .args(["-s", "sh", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
            {
                Ok(child) => child,
                Err(error) => {
                    println!("skipped: shellcheck: {error}");
                    return;
                }
            };
            check.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
            let output = check.wait_with_output().expect("ended");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    #[test]
    fn a_user_that_could_widen_the_rule_is_refused() {
        for bad in ["", "ALL", "%sudo", "ops,root", "ops ALL", "-x", "o\nroot", "#0", "é", &"a".repeat(33)] {
            assert!(bad.parse::<SudoUser>().is_err(), "{bad:?}");
        }
        let user: SudoUser = "ops_1-x".parse().expect("a user");
        assert_eq!(sudoers(&user), "ops_1-x ALL=(root) NOPASSWD: /usr/local/sbin/holdpoint-helper\n");
    }

    #[test]
    fn the_install_script_carries_the_helper_and_its_hash() {
        let script = install_script(&"ops".parse().expect("a user"));
        assert!(script.contains(&format!("ENDS-HERE'\n{TEXT}HOLDPOINT-HELPER-ENDS-HERE\n")));
        assert!(script.contains(&sha256().to_string()));
        assert!(!script.contains("@USER@") && !script.contains("@RULE@"));
        assert!(enroll_text(&"ops".parse().expect("a user")).contains(TEXT));
    }
}
