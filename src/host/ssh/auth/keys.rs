//! Keys and certificates: the agent's, then those of files, each offered once.

use std::path::Path;
use std::sync::Arc;

use russh::SendError;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

use super::super::keys::{self, KeyFile, Secrecy};
use super::super::settings::Settings;
use super::{Login, Step};
use crate::host::HostError;
use crate::host::config::Agent;
use crate::types::HostName;

impl Login<'_> {
    pub(super) async fn keys(&mut self) -> Result<Step, HostError> {
        let mut files = Vec::new();
        for path in &self.to.identity_files {
            match keys::look(path) {
                Ok(found) => files.extend(found),
                Err(note) => self.notes.push(note),
            }
        }
        let certificates = self.certificates(&files);
        if let Some(step) = self.agents_keys(&files).await? {
            return Ok(step);
        }
        for file in &files {
            if matches!(file.secret, Secrecy::Elsewhere) {
                continue;
            }
            for certificate in &certificates {
                if file.public.as_ref().is_some_and(|public| certificate.public_key() == public.key_data())
                    && let Some(step) = self.file_key(file, Some(certificate)).await?
                {
                    return Ok(step);
                }
            }
            if let Some(step) = self.file_key(file, None).await? {
                return Ok(step);
            }
        }
        Ok(Step::No)
    }

    /// The certificates named, and those beside the key files (`id_x-cert.pub`).
    fn certificates(&mut self, files: &[KeyFile]) -> Vec<Certificate> {
        let mut found = Vec::new();
        let read = |path: &Path| Certificate::read_file(path);
        for path in &self.to.certificate_files {
            match read(path) {
                Ok(certificate) => found.push(certificate),
                Err(e) => self.notes.push(format!("the certificate {} was not offered: {e}", path.display())),
            }
        }
        for file in files {
            let mut beside = file.path.as_os_str().to_owned();
            beside.push("-cert.pub");
            found.extend(read(Path::new(&beside)).ok());
        }
        found
    }

    /// Whether this has not been offered; from now on it has.
    fn first_time(&mut self, what: Vec<u8>) -> bool {
        let new = !self.offered.contains(&what);
        if new {
            self.offered.push(what);
        }
        new
    }

    /// The hash for a key's signature; an RSA key without a common one can't be offered.
    async fn hash(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, HostError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let known = match self.rsa {
            Some(known) => known,
            None => match self.handle.best_supported_rsa_hash().await {
                Ok(Some(best)) => best,
                // A server that doesn't say is asked with the better one.
                Ok(None) => Some(HashAlg::Sha512),
                Err(_) => return Err(self.gone()),
            },
        };
        self.rsa = Some(known);
        Ok(known)
    }

    async fn agents_keys(&mut self, files: &[KeyFile]) -> Result<Option<Step>, HostError> {
        let socket = match &self.to.agent {
            Agent::Nobody => return Ok(None),
            Agent::Socket(socket) => Some(socket.clone()),
            Agent::Environment => self.settings.agent.clone(),
        };
        let Some(socket) = socket else { return Ok(None) };
        let mut agent = match UnixStream::connect(&socket).await {
            Ok(stream) => AgentClient::connect(stream),
            Err(e) => {
                self.notes.push(format!("the agent at {} can't be reached: {e}", socket.display()));
                return Ok(None);
            }
        };
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents that don't know it refuse, and then hold no key that needs it.
            let _bound_or_not = agent.bind_session(binding, false).await;
        }
        let mut held = match agent.request_identities().await {
            Ok(held) => held,
            Err(e) => {
                self.notes.push(format!("the agent at {} gave no list of keys: {e}", socket.display()));
                return Ok(None);
            }
        };
        let named = |key: &PublicKey| {
            files
                .iter()
                .any(|file| file.public.as_ref().is_some_and(|public| public.key_data() == key.key_data()))
        };
        if self.to.identities_only {
            held.retain(|identity| named(&identity.public_key()));
        }
        // As OpenSSH: the keys that the configuration names come first.
        held.sort_by_key(|identity| !named(&identity.public_key()));
        for identity in held {
            if let Some(step) = self.agents_key(&mut agent, identity).await? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    async fn agents_key(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
    ) -> Result<Option<Step>, HostError> {
        let public = identity.public_key().into_owned();
        let hash = self.hash(&public.algorithm()).await?;
        let print = public.fingerprint(HashAlg::Sha256);
        if hash.is_none() && matches!(public.algorithm(), Algorithm::Rsa { .. }) {
            self.notes.push(format!(
                "the RSA key {print} was not offered: the server takes SHA-1 signatures alone"
            ));
            return Ok(None);
        }
        let user = self.to.user.clone();
        let (answer, with) = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                if !self.first_time(encoded(key.key_data())) {
                    return Ok(None);
                }
                let answer = self.handle.authenticate_publickey_with(user, key, hash, agent).await;
                (answer, format!("publickey ({print} of the agent)"))
            }
            AgentIdentity::Certificate { certificate, .. } => {
                if !self.first_time(encoded(&certificate)) {
                    return Ok(None);
                }
                let answer = self.handle.authenticate_certificate_with(user, certificate, hash, agent).await;
                (answer, format!("publickey (certificate of {print} of the agent)"))
            }
        };
        match answer {
            Ok(answer) => {
                let answer = self.check(Ok(answer))?;
                Ok(decided(self.step(answer, &with)))
            }
            Err(e) if !self.handle.is_closed() => {
                self.notes.push(format!("{with}: the agent did not sign: {e}"));
                Ok(None)
            }
            Err(_) => Err(self.gone()),
        }
    }

    async fn file_key(
        &mut self,
        file: &KeyFile,
        certificate: Option<&Certificate>,
    ) -> Result<Option<Step>, HostError> {
        let public = match &file.public {
            Some(public) => public.clone(),
            // An old format that hides even the public half: there is nothing to offer before the passphrase.
            None => match self.settings.keys.private(file, self.host, self.settings.prompts.as_ref()).await {
                Ok(key) => key.public_key().clone(),
                Err(needs) => {
                    self.notes.push(needs.to_string());
                    return Ok(None);
                }
            },
        };
        let print = public.fingerprint(HashAlg::Sha256);
        let what = match certificate {
            Some(certificate) => encoded(certificate),
            None => encoded(public.key_data()),
        };
        if !self.first_time(what) {
            return Ok(None);
        }
        let hash = self.hash(&public.algorithm()).await?;
        if hash.is_none() && matches!(public.algorithm(), Algorithm::Rsa { .. }) {
            self.notes.push(format!(
                "the RSA key {print} was not offered: the server takes SHA-1 signatures alone"
            ));
            return Ok(None);
        }
        let mut signer = FileSigner { file, host: self.host, settings: self.settings };
        let user = self.to.user.clone();
        let (answer, with) = match certificate {
            None => (
                self.handle.authenticate_publickey_with(user, public, hash, &mut signer).await,
                format!("publickey ({print} of {})", file.path.display()),
            ),
            Some(certificate) => (
                self.handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await,
                format!("publickey (certificate of {print} of {})", file.path.display()),
            ),
        };
        match answer {
            Ok(answer) => {
                let answer = self.check(Ok(answer))?;
                Ok(decided(self.step(answer, &with)))
            }
            Err(NotSigned::Gone) => Err(self.gone()),
            Err(NotSigned::Locked(needs)) => {
                self.tried.push(with);
                self.needs.get_or_insert(*needs);
                Ok(None)
            }
            Err(NotSigned::Key(what)) => {
                self.notes.push(format!("{with}: {what}"));
                Ok(None)
            }
        }
    }
}

/// "No" to one key is nothing yet: there may be another.
fn decided(step: Step) -> Option<Step> {
    match step {
        Step::No => None,
        Step::In(_) | Step::Partly(_) => Some(step),
    }
}

fn encoded(what: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    // Encoding into memory fails for lengths beyond 32 bits alone, which no key that was read has.
    let _encoded = what.encode(&mut out);
    out
}

/// Signs with a key file once the server has said that it takes the key: only then a passphrase is
/// worth asking for.
struct FileSigner<'a> {
    file: &'a KeyFile,
    host: &'a HostName,
    settings: &'a Settings,
}

enum NotSigned {
    Gone,
    Locked(Box<HostError>),
    Key(String),
}

impl From<SendError> for NotSigned {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for FileSigner<'_> {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, NotSigned> {
        let prompts = self.settings.prompts.as_ref();
        let key: Arc<PrivateKey> = self
            .settings
            .keys
            .private(self.file, self.host, prompts)
            .await
            .map_err(|needs| NotSigned::Locked(Box::new(needs)))?;
        let signature = match key.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&to_sign),
            other => other.try_sign(&to_sign),
        };
        let signature = signature.map_err(|e| NotSigned::Key(format!("could not sign: {e}")))?;
        // What was signed, then the signature with its length (RFC 4252, 7).
        encoded(&signature).encode(&mut to_sign).map_err(|e| NotSigned::Key(e.to_string()))?;
        Ok(to_sign)
    }
}
