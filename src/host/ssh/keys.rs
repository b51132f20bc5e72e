//! Key files: which key is in one, and the key itself once it is needed. A passphrase is asked once
//! for each file and forgotten; the decrypted key stays in memory like an agent's. Nothing here is
//! written or logged.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{PrivateKey, PublicKey, decode_secret_key, load_public_key};

use crate::host::{HostError, Prompt, Question, QuestionKind};
use crate::types::HostName;

/// A key file larger than this is none.
const LARGEST_FILE: u64 = 64 << 10;
/// How often a passphrase may be wrong.
const PASSPHRASE_TRIES: u32 = 3;

/// What is in a key file, as far as it can be known without a passphrase.
#[derive(Clone)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// Missing when an old format hides it and there is no `.pub` beside it.
    pub(super) public: Option<PublicKey>,
    pub(super) secret: Secrecy,
}

#[derive(Clone)]
pub(super) enum Secrecy {
    Open(Arc<PrivateKey>),
    Encrypted,
    /// The file holds a public key alone: the agent has the rest.
    Elsewhere,
}

/// Keys that were decrypted, so that a passphrase is asked once for each file. Starts empty.
#[derive(Default)]
pub struct KeyStore {
    open: Mutex<HashMap<PathBuf, Arc<PrivateKey>>>,
    /// One question at a time, so that twenty hosts that want one key ask once.
    asking: tokio::sync::Mutex<()>,
}

/// Looks into a key file. `Ok(None)` if there is none.
///
/// # Errors
/// Why a file that is there is not used, for the notes of an authentication failure.
pub(super) fn look(path: &Path) -> Result<Option<KeyFile>, String> {
    let public_beside = || {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        load_public_key(PathBuf::from(beside)).ok()
    };
    let skipped = |why: String| format!("the key {} was not offered: {why}", path.display());
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let elsewhere =
                |public| KeyFile { path: path.to_owned(), public: Some(public), secret: Secrecy::Elsewhere };
            return Ok(public_beside().map(elsewhere));
        }
        Err(e) => return Err(skipped(e.to_string())),
    };
    if !found.is_file() || found.len() > LARGEST_FILE {
        return Err(skipped("it is no key file".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| skipped(e.to_string()))?;
    if !text.contains("PRIVATE KEY") {
        let public = load_public_key(path).map_err(|e| skipped(e.to_string()))?;
        return Ok(Some(KeyFile { path: path.to_owned(), public: Some(public), secret: Secrecy::Elsewhere }));
    }
    // As OpenSSH: a key that others can read is no secret.
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(skipped(format!("others can read it (mode {mode:04o}); chmod 600 it")));
    }
    let file = |public, secret| Ok(Some(KeyFile { path: path.to_owned(), public, secret }));
    if text.contains("BEGIN OPENSSH PRIVATE KEY") {
        let key = PrivateKey::from_openssh(&text).map_err(|e| skipped(e.to_string()))?;
        let public = Some(key.public_key().clone());
        return file(
            public,
            if key.is_encrypted() { Secrecy::Encrypted } else { Secrecy::Open(Arc::new(key)) },
        );
    }
    if text.contains("ENCRYPTED") {
        return file(public_beside(), Secrecy::Encrypted);
    }
    let key = decode_secret_key(&text, None).map_err(|e| skipped(e.to_string()))?;
    file(Some(key.public_key().clone()), Secrecy::Open(Arc::new(key)))
}

impl KeyStore {
    /// The private key of a file, decrypted with a passphrase that is asked for if need be.
    ///
    /// # Errors
    /// [`HostError::NeedsPassphrase`] if nobody can be asked, declined, or was wrong three times.
    pub(super) async fn private(
        &self,
        file: &KeyFile,
        host: &HostName,
        prompts: Option<&Arc<dyn Prompt>>,
    ) -> Result<Arc<PrivateKey>, HostError> {
        let needs = || HostError::NeedsPassphrase { file: file.path.clone() };
        match &file.secret {
            Secrecy::Open(key) => return Ok(Arc::clone(key)),
            Secrecy::Elsewhere => return Err(needs()),
            Secrecy::Encrypted => {}
        }
        if let Some(key) = self.kept(&file.path) {
            return Ok(key);
        }
        let prompts = prompts.ok_or_else(needs)?;
        let _one = self.asking.lock().await;
        if let Some(key) = self.kept(&file.path) {
            return Ok(key);
        }
        let text = std::fs::read_to_string(&file.path).map_err(|_| needs())?;
        for attempt in 1..=PASSPHRASE_TRIES {
            let kind = QuestionKind::Passphrase { file: file.path.clone(), attempt };
            let answer = prompts.ask(Question { host: host.clone(), kind }).await.ok_or_else(needs)?;
            let text = text.clone();
            // bcrypt takes its time: not on a thread that serves connections.
            let decrypted =
                tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(answer.reveal()))).await;
            if let Ok(Ok(key)) = decrypted {
                let key = Arc::new(key);
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(file.path.clone(), Arc::clone(&key));
                return Ok(key);
            }
        }
        Err(needs())
    }

    fn kept(&self, path: &Path) -> Option<Arc<PrivateKey>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }
}
