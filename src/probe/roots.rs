//! Whom this machine trusts: the system's roots and the plan's `[tls] ca`.
//!
//! They are read once, beside the loop; where the plan's file can't be read, again after a while, since
//! somebody may be putting it there.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use std::sync::Arc;

use crate::types::{Span, Untrusted};

/// A file that could not be read is tried again after this time.
const AGAIN: Span = Span::secs(30);

/// Where the roots come from, and what they were when they were read.
pub(super) struct Roots {
    ca: Option<PathBuf>,
    read: Mutex<Option<(Instant, Arc<Trust>)>>,
}

/// Whom to trust.
#[derive(Debug)]
pub(super) struct Trust {
    /// The system's roots and the authorities of the plan's file.
    pub(super) store: RootCertStore,
    /// What the plan's file holds, as it stands there: a server's own certificate may be among it.
    pub(super) listed: Vec<CertificateDer<'static>>,
    /// Why there are none of the system, or none of the plan.
    pub(super) trouble: Option<String>,
}

impl Roots {
    pub(super) fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, read: Mutex::default() }
    }

    /// What is trusted; read now, where it has not been.
    pub(super) async fn trust(&self) -> Arc<Trust> {
        let mut read = self.read.lock().await;
        if let Some((at, trust)) = &*read
            && (trust.trouble.is_none() || at.elapsed() < AGAIN.into())
        {
            return Arc::clone(trust);
        }
        let ca = self.ca.clone();
        let trust = tokio::task::spawn_blocking(move || Trust::read(ca)).await.unwrap_or_else(|error| {
            Trust { store: RootCertStore::empty(), listed: Vec::new(), trouble: Some(error.to_string()) }
        });
        let trust = Arc::new(trust);
        *read = Some((Instant::now(), Arc::clone(&trust)));
        trust
    }
}

impl Trust {
    fn read(ca: Option<PathBuf>) -> Self {
        let system = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // A few odd ones among the system's own are no trouble.
        let (count, _) = store.add_parsable_certificates(system.certs);
        let mut trouble = Vec::new();
        if count == 0 {
            let why = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            trouble.push(format!("this machine has no trusted roots{why} (Debian: ca-certificates)"));
        }
        let listed = match ca.map(|path| (listed(&path), path)) {
            None => Vec::new(),
            Some((Ok(listed), _)) => listed,
            Some((Err(why), path)) => {
                let path = Untrusted::new(path.to_string_lossy()).shown();
                trouble.push(format!("[tls] ca of the plan, {path}: {why}"));
                Vec::new()
            }
        };
        // What is no authority, and odd, is taken for what it is by itself.
        store.add_parsable_certificates(listed.iter().cloned());
        Self { store, listed, trouble: (!trouble.is_empty()).then(|| trouble.join("; ")) }
    }
}

fn listed(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate is in it".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named_and_tried_again() {
        tokio::time::pause();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let roots = Roots::new(Some(path.clone()));
        let missing = roots.trust().await;
        assert!(missing.trouble.as_deref().unwrap().contains("[tls] ca of the plan"), "{missing:?}");
        std::fs::write(&path, "nothing of the kind").unwrap();
        assert!(Arc::ptr_eq(&missing, &roots.trust().await), "not at once");
        tokio::time::advance(AGAIN.into()).await;
        let empty = roots.trust().await;
        assert!(empty.trouble.as_deref().unwrap().contains("no certificate is in it"), "{empty:?}");
        std::fs::write(&path, include_str!("fixtures/ca.pem")).unwrap();
        tokio::time::advance(AGAIN.into()).await;
        let there = roots.trust().await;
        assert_eq!(there.listed.len(), 1);
        assert!(!there.trouble.as_deref().unwrap_or_default().contains("[tls] ca"), "{there:?}");
    }
}
