//! Logging in: the agent's keys, key files, certificates, then what the operator is asked for.
//! Answers are handed to the server and forgotten.

mod keys;
mod questions;

use russh::client::{AuthResult, Handle};
use russh::keys::HashAlg;
use russh::{MethodKind, MethodSet};

use super::checker::{Checker, Seen};
use super::settings::Settings;
use super::transport::address;
use crate::host::HostError;
use crate::host::config::Effective;
use crate::types::HostName;

/// Logs in; gives how, in words.
pub(in crate::host::ssh) async fn login(
    handle: &mut Handle<Checker>,
    host: &HostName,
    to: &Effective,
    settings: &Settings,
    seen: &Seen,
) -> Result<String, HostError> {
    let address = address(&to.host, to.port);
    let account = format!("{}@{address}", to.user);
    let mut login = Login {
        handle,
        host,
        to,
        settings,
        seen,
        address,
        account,
        rsa: None,
        tried: Vec::new(),
        notes: Vec::new(),
        needs: None,
        offered: Vec::new(),
    };
    login.run().await
}

struct Login<'a> {
    handle: &'a mut Handle<Checker>,
    host: &'a HostName,
    to: &'a Effective,
    settings: &'a Settings,
    seen: &'a Seen,
    address: String,
    account: String,
    /// The hash for RSA signatures, once it was asked for: `Some(None)` if the server takes SHA-1 alone.
    rsa: Option<Option<HashAlg>>,
    tried: Vec<String>,
    notes: Vec<String>,
    /// A key that the server would take and that could not be decrypted.
    needs: Option<HostError>,
    /// What was offered, so that no key is offered twice.
    offered: Vec<Vec<u8>>,
}

/// What came of one method.
enum Step {
    In(String),
    /// It was right and more is wanted.
    Partly(MethodSet),
    No,
}

impl Login<'_> {
    async fn run(&mut self) -> Result<String, HostError> {
        let answer = self.handle.authenticate_none(&self.to.user).await;
        let mut accepts = match self.check(answer)? {
            AuthResult::Success => return Ok("nothing asked".to_owned()),
            AuthResult::Failure { remaining_methods, .. } => remaining_methods,
        };
        let mut done: Vec<MethodKind> = Vec::new();
        let mut how: Vec<String> = Vec::new();
        loop {
            let preferred = [MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password];
            let Some(method) = preferred.into_iter().find(|m| accepts.contains(m) && !done.contains(m))
            else {
                return Err(self.failed(&accepts));
            };
            done.push(method);
            let step = match method {
                MethodKind::PublicKey => self.keys().await?,
                MethodKind::KeyboardInteractive => self.questions().await?,
                MethodKind::Password => self.password().await?,
                MethodKind::None | MethodKind::HostBased | MethodKind::GssapiWithMic => Step::No,
            };
            match step {
                Step::In(with) => {
                    how.push(with);
                    return Ok(how.join(", then "));
                }
                Step::Partly(remaining) => {
                    how.extend(self.tried.last().cloned());
                    accepts = remaining;
                    // A second key may be wanted after the first.
                    done.retain(|m| *m != method);
                }
                Step::No => {}
            }
        }
    }

    /// Tells "no" from "the connection is gone", which russh both calls a failure.
    fn check(&self, answer: Result<AuthResult, russh::Error>) -> Result<AuthResult, HostError> {
        match answer {
            Ok(AuthResult::Failure { .. }) if self.handle.is_closed() => Err(self.gone()),
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.gone()),
        }
    }

    fn gone(&self) -> HostError {
        let what = self.seen.end();
        // OpenSSH says so when MaxAuthTries is used up: another try would offer the same keys.
        if what.raw().contains("Too many authentication failures") {
            let mut notes = self.notes.clone();
            notes.push(format!(
                "it ended the login: {}; name the key (IdentityFile, IdentitiesOnly yes)",
                what.shown()
            ));
            return HostError::Auth {
                account: self.account.clone(),
                tried: self.tried.clone(),
                accepts: Vec::new(),
                notes,
            };
        }
        HostError::Dropped { address: self.address.clone(), what }
    }

    fn failed(&mut self, accepts: &MethodSet) -> HostError {
        if let Some(needs) = self.needs.take() {
            return needs;
        }
        HostError::Auth {
            account: self.account.clone(),
            tried: std::mem::take(&mut self.tried),
            accepts: accepts.iter().map(|m| <&str>::from(m).to_owned()).collect(),
            notes: std::mem::take(&mut self.notes),
        }
    }

    fn step(&mut self, answer: AuthResult, with: &str) -> Step {
        self.tried.push(with.to_owned());
        match answer {
            AuthResult::Success => Step::In(with.to_owned()),
            AuthResult::Failure { remaining_methods, partial_success: true } => {
                Step::Partly(remaining_methods)
            }
            AuthResult::Failure { partial_success: false, .. } => Step::No,
        }
    }
}
