//! The folder that a fleet needs while it runs: its client's key and its hosts' keys, in files, since
//! that is how a cockpit is given them. Private, and removed when the fleet ends.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;

use super::{DemoError, USER};
use crate::host::Settings;

/// How many names are tried.
const NAMES: u32 = 1_000;

/// A private folder.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one under the system's temporary folder.
    pub(super) fn new() -> Result<Self, DemoError> {
        let under = std::env::temp_dir();
        let process = std::process::id();
        let mut refused = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        for number in 0..NAMES {
            let path = under.join(format!("holdpoint-demo-{process}-{number}"));
            // Made, never taken over: somebody else may have put one there.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => refused = error,
                Err(source) => return Err(DemoError::Folder { path, source }),
            }
        }
        Err(DemoError::Folder { path: under, source: refused })
    }

    /// Writes everything down, and says where it is in the words of [`Settings`].
    pub(super) fn settings(&self, client: &PrivateKey, known: &str) -> Result<Settings, DemoError> {
        let text = client.to_openssh(LineEnding::LF).map_err(|error| DemoError::Key(error.to_string()))?;
        let key = self.write("key", &text)?;
        let known_hosts = self.write("known_hosts", known)?;
        // By hand, while the demo runs: ssh -F config ops@ADDRESS.
        let config = self.write(
            "config",
            &format!(
                "Host *\n  User {USER}\n  IdentityFile \"{}\"\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
                 UserKnownHostsFile \"{}\"\n  GlobalKnownHostsFile /dev/null\n",
                key.display(),
                known_hosts.display()
            ),
        )?;
        Ok(Settings { ssh_config: Some(config), ..Settings::default() })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, DemoError> {
        let path = self.0.join(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(DemoError::Folder { path, source }),
        }
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is a folder with a key to a fleet that is gone.
        let _removed_or_not = std::fs::remove_dir_all(&self.0);
    }
}
