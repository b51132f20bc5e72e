//! The client's side of a session: the host's key is judged here by our own rules, and whatever the
//! host would open towards us is refused.

use std::sync::{Arc, Mutex, PoisonError};

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Handler, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyBase64, PublicKeyOrCertificate};
use tokio::sync::watch;

use crate::host::config::{Effective, Proxy};
use crate::host::known_hosts::{HostKey, Judgement, KnownHosts, LookUp};
use crate::host::{HostError, KeyPrint};
use crate::types::Untrusted;

/// What the session's task noticed.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) key: Mutex<Option<KeyPrint>>,
    pub(super) banner: Mutex<Untrusted>,
    end: Mutex<Untrusted>,
}

impl Seen {
    fn set<T>(slot: &Mutex<T>, value: T) {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub(super) fn get<T: Clone>(slot: &Mutex<T>) -> T {
        slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the connection ended, in the peer's words or ours.
    pub(super) fn end(&self) -> Untrusted {
        let end = Self::get(&self.end);
        if end.is_empty() { "the connection was closed".into() } else { end }
    }
}

/// What ends a session's task: our own refusal, or anything else.
#[derive(Debug)]
pub(super) enum Broken {
    Refused(Box<HostError>),
    Ssh(russh::Error),
}

impl From<russh::Error> for Broken {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// What is known about the key of a host before it shows one.
pub(super) struct Judge {
    look_up: LookUp,
    port: u16,
    known: KnownHosts,
    add: String,
}

impl Judge {
    pub(super) fn of(to: &Effective) -> Result<Self, HostError> {
        let look_up = LookUp::new(&to.host, to.port, to.host_key_alias.as_deref());
        let file = to
            .known_hosts
            .first()
            .map_or_else(|| "known_hosts".to_owned(), |file| file.display().to_string());
        let add = if to.proxy == Proxy::Direct && to.host_key_alias.is_none() {
            format!("ssh-keyscan -p {} {} >> {file}", to.port, to.host)
        } else {
            // Only ssh itself knows the way there, and the name under which it is kept.
            format!("ssh -p {} {}@{} true", to.port, to.user, to.written)
        };
        Ok(Self { look_up, port: to.port, known: KnownHosts::read(&to.known_hosts)?, add })
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.known.problems().iter().map(ToString::to_string).collect()
    }

    fn judge(&self, key: &HostKey) -> Result<(), HostError> {
        let judgement = self.known.judge(&self.look_up, key);
        let (host, port, key) = (self.look_up.name().to_owned(), self.port, Box::new(key.print()));
        match judgement {
            Judgement::Known(_) => Ok(()),
            Judgement::Unknown { authorities } => {
                let authority =
                    |at| format!("{at} is a certificate authority: host certificates are not used here");
                let notes = authorities.iter().map(authority).chain(self.problems()).collect();
                Err(HostError::UnknownKey { host, port, key, add: self.add.clone(), notes })
            }
            Judgement::Changed { at, known } => {
                let (file, line) = (at.file.to_path_buf(), at.line);
                Err(HostError::ChangedKey { host, port, key, known: Box::new(known), file, line })
            }
            Judgement::Revoked(at) => {
                let (file, line) = (at.file.to_path_buf(), at.line);
                Err(HostError::RevokedKey { host, port, key, file, line })
            }
        }
    }

    /// Host-key algorithms in our order of preference: those of known keys first, so that a host is
    /// asked for the key that it is known by. SHA-1 signatures are not accepted.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
        let all = [
            ("ssh-ed25519", Algorithm::Ed25519),
            ("ecdsa-sha2-nistp256", Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
            ("ecdsa-sha2-nistp384", Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }),
            ("ecdsa-sha2-nistp521", Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 }),
            ("ssh-rsa", rsa(HashAlg::Sha512)),
            ("ssh-rsa", rsa(HashAlg::Sha256)),
        ];
        let kinds = self.known.kinds(&self.look_up);
        let (known, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(kind, _)| kinds.iter().any(|k| k == kind));
        known.into_iter().chain(others).map(|(_, algorithm)| algorithm).collect()
    }
}

/// Judges the host's key and refuses every channel that the host would open: nothing is forwarded.
pub(super) struct Checker {
    pub(super) judge: Arc<Judge>,
    pub(super) seen: Arc<Seen>,
    /// Dropped with the session's task, which others watch for.
    pub(super) _alive: watch::Sender<()>,
}

impl Handler for Checker {
    type Error = Broken;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Broken> {
        // No certificate is asked for, so none may come.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let kind = match key.algorithm() {
            // The key's own type, whatever hash it signs with.
            Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
            other => other.as_str().to_owned(),
        };
        let key = HostKey { kind, blob: key.public_key_bytes() };
        self.judge.judge(&key).map_err(|e| Broken::Refused(Box::new(e)))?;
        Seen::set(&self.seen.key, Some(key.print()));
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Broken> {
        Seen::set(&self.seen.banner, banner.into());
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Broken>) -> Result<(), Broken> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                Seen::set(&self.seen.end, Untrusted::new(info.message));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                if let Broken::Ssh(error) = &error {
                    Seen::set(&self.seen.end, Untrusted::new(error.to_string()));
                }
                Err(error)
            }
        }
    }

    // A host has no business opening channels to us; a handle that is dropped refuses.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Broken> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_algorithms_of_known_keys_come_first_and_sha1_never() {
        let mut blob = 7_u32.to_be_bytes().to_vec();
        blob.extend(b"ssh-rsa");
        let mut known = KnownHosts::default();
        use russh::keys::ssh_encoding::base64::{Base64, Encoding};
        known.add(Path::new("kh"), format!("web1 ssh-rsa {}\n", Base64::encode_string(&blob)).as_bytes());
        let judge = |host| Judge {
            look_up: LookUp::new(host, 22, None),
            port: 22,
            known: known.clone(),
            add: String::new(),
        };
        assert_eq!(judge("web1").algorithms()[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(judge("web2").algorithms()[0], Algorithm::Ed25519);
        assert!(!judge("web1").algorithms().contains(&Algorithm::Rsa { hash: None }));
    }
}
