//! What all links of a cockpit share: where configuration and keys are, who is asked, and how many
//! handshakes an address gets at a time.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::keys::KeyStore;
use crate::host::Prompt;
use crate::types::Span;

/// What all links of a cockpit share.
pub struct Settings {
    /// An ssh configuration to read instead of the user's and the system's.
    pub ssh_config: Option<PathBuf>,
    /// The OpenSSH client that is asked for the effective configuration; without one a named subset
    /// of ssh_config(5) is read.
    pub openssh: Option<PathBuf>,
    /// Files of known host keys to use instead of the configured ones.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// Key files to offer before the configured ones.
    pub identities: Vec<PathBuf>,
    /// The agent's socket, from `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// The name of the account on this machine, from `USER` or `LOGNAME`.
    pub local_user: Option<String>,
    /// How long a TCP connection, and then a key exchange, may take; `ConnectTimeout` outweighs it.
    pub connect_timeout: Span,
    /// Who is asked for passphrases and the like; nobody in a run without a cockpit.
    pub prompts: Option<Arc<dyn Prompt>>,
    /// How many handshakes an address gets at a time.
    pub pacing: Pacing,
    /// Keys that were read, so that a passphrase is asked once.
    pub keys: KeyStore,
}

impl Default for Settings {
    /// Nothing of this machine: no home folder, no agent, no OpenSSH client, nobody to ask.
    fn default() -> Self {
        Self {
            ssh_config: None,
            openssh: None,
            known_hosts: None,
            identities: Vec::new(),
            agent: None,
            home: None,
            local_user: None,
            connect_timeout: Span::secs(10),
            prompts: None,
            pacing: Pacing::default(),
            keys: KeyStore::default(),
        }
    }
}

impl Settings {
    /// As a user of this machine's `ssh` would have it: home folder, agent, and the OpenSSH client
    /// where it is on the `PATH`.
    pub fn of_this_machine() -> Self {
        let found = |folder: PathBuf| Some(folder.join("ssh")).filter(|program| program.is_file());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
        Self {
            openssh: std::env::split_paths(&path).find_map(found),
            agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            home: etcetera::home_dir().ok(),
            local_user: name("USER").or_else(|| name("LOGNAME")),
            ..Self::default()
        }
    }
}

/// How many handshakes an address gets at a time, and how those that it dropped are tried again. A
/// stock sshd drops logins at random from the tenth on that is not finished (`MaxStartups 10:30:100`).
pub struct Pacing {
    at_once: usize,
    tries: u32,
    first_wait: Duration,
    addresses: Mutex<HashMap<String, Arc<Semaphore>>>,
    random: RandomState,
}

impl Default for Pacing {
    /// Eight at a time (200 of 200 got in), eight tries, which take about ten seconds.
    fn default() -> Self {
        Self::new(8, 8, Span::ms(200))
    }
}

/// No wait between two tries is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Pacing {
    /// `at_once` handshakes to one address, each tried at most `tries` times, with waits that double
    /// from `first_wait`, spread by half of themselves.
    pub fn new(at_once: usize, tries: u32, first_wait: Span) -> Self {
        Self {
            at_once: at_once.max(1),
            tries: tries.max(1),
            first_wait: first_wait.into(),
            addresses: Mutex::default(),
            random: RandomState::new(),
        }
    }

    /// How often a dropped handshake is tried in all.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Waits for a turn at this address; the turn ends when the permit is dropped.
    pub(super) async fn turn(&self, address: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.at_once));
            Arc::clone(addresses.entry(address.to_owned()).or_insert_with(new))
        };
        // Never closed, so there is always a permit in the end.
        turns.acquire_owned().await.ok()
    }

    /// The wait before try number `next` (the second is 2).
    pub(super) fn wait(&self, next: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << next.saturating_sub(2).min(16)).min(LONGEST_WAIT);
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(DRAWS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        // From a half to one and a half of it.
        doubled.mul_f64(0.5 + (hasher.finish() % 1_000) as f64 / 1_000.0)
    }
}

static DRAWS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_differ() {
        let pacing = Pacing::default();
        for next in 2..40 {
            assert!(pacing.wait(next) >= Duration::from_millis(100));
            assert!(pacing.wait(next) <= LONGEST_WAIT.mul_f64(1.5));
        }
        let draws: std::collections::BTreeSet<_> = (0..20).map(|_| pacing.wait(2)).collect();
        assert!(draws.len() > 1, "no jitter: {draws:?}");
    }

    #[tokio::test]
    async fn an_address_gets_so_many_turns_and_another_its_own() {
        let pacing = Pacing::new(2, 1, Span::ZERO);
        let turns = (pacing.turn("a:22").await, pacing.turn("a:22").await);
        assert!(tokio::time::timeout(Duration::from_millis(20), pacing.turn("a:22")).await.is_err());
        assert!(pacing.turn("b:22").await.is_some());
        drop(turns);
        assert!(pacing.turn("a:22").await.is_some());
    }
}
