//! TLS: a handshake over the dialer that goes through whatever certificate is shown, which is judged
//! afterwards: a bad one is to be told apart from no TLS at all, and named.
//!
//! Nothing is sent over a connection whose certificate is not good. What the roots are is in `roots`, what
//! stands in a certificate in `certificate`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{self, Judged, Standing};
use super::{Attempt, Deadline, Means, dialer};
use crate::core::event::{Certificate, FailKind, Phases, ProbeOutcome, Sighting};
use crate::types::{Span, Time};

/// How long a connection that is done with is taken leave of.
const GOODBYE: Span = Span::ms(100);

/// Whom a certificate has to be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The name; `None` takes any.
    pub(super) name: Option<&'a str>,
    /// It is not asked for.
    pub(super) unasked: bool,
}

/// Makes a handshake with the customer's address and judges the certificate; with a name it must be for that.
pub(super) async fn attempt(
    address: Option<IpAddr>,
    port: u16,
    wanted: Wanted<'_>,
    means: &Means,
    timeout: Span,
) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let name = match wanted.name.map(server_name).transpose() {
        Ok(name) => name,
        Err(why) => return Attempt::broken(&why),
    };
    let ask = Ask { name, unasked: wanted.unasked, address, protocols: &[] };
    // Reading the roots is this machine's own time.
    let trust = means.roots.trust().await;
    let deadline = Deadline::of(timeout);
    let peer = SocketAddr::new(address, port);
    let dialed = dialer::dial(peer, timeout).await;
    let mut sighting = Sighting { local: dialed.local, peer: Some(peer), ..Sighting::default() };
    let stream = match dialed.result {
        Ok(stream) => stream,
        Err(error) => return Attempt { outcome: super::failed(&error, ""), sighting },
    };
    sighting.phases.connected = Some(deadline.gone());
    let met = handshake(stream, &ask, &deadline, &mut sighting.phases).await;
    let told = told(&sighting.phases);
    let outcome = match met.judge(&ask, &trust, means.now(), &mut sighting.certificate) {
        Ok(mut stream) => {
            let took = deadline.gone();
            let version = stream.get_ref().1.protocol_version().and_then(|version| version.as_str());
            // "TLSv1_3"
            let version = version.unwrap_or("TLS").replace("TLSv", "TLS ").replace('_', ".");
            goodbye(&mut stream).await;
            let what = sighting.certificate.as_deref().map(certificate::brief).unwrap_or_default();
            let said = format!("{version}, {what}; {told}");
            ProbeOutcome::Ok { took, said: said.into() }
        }
        Err(Refusal::Target(kind, why)) => ProbeOutcome::fail(kind, format!("{why}; {told}")),
        Err(Refusal::Own(why)) => ProbeOutcome::broken(why),
    };
    Attempt { outcome, sighting }
}

/// A name of the plan as TLS knows one; an address stands for itself.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| format!("{name} can't be asked for in TLS"))
}

/// What is asked for in a handshake.
pub(super) struct Ask<'a> {
    /// The name that the certificate must be for; `None` takes any.
    pub(super) name: Option<ServerName<'static>>,
    /// The name is not sent.
    pub(super) unasked: bool,
    /// Whom it goes to.
    pub(super) address: IpAddr,
    /// What is offered to be spoken over it.
    pub(super) protocols: &'a [&'a [u8]],
}

/// Why a handshake led to nothing that may be used.
pub(super) enum Refusal {
    /// It is the target's doing.
    Target(FailKind, String),
    /// This machine can't tell.
    Own(String),
}

/// What came of a handshake.
pub(super) struct Met {
    shown: Shown,
    result: Result<Box<TlsStream<TcpStream>>, (FailKind, String)>,
}

impl Met {
    /// The stream, where the certificate is good; `told` becomes what it says, good or not, also where the
    /// handshake failed after it was shown.
    pub(super) fn judge(
        self,
        ask: &Ask<'_>,
        trust: &super::roots::Trust,
        now: Time,
        told: &mut Option<Box<Certificate>>,
    ) -> Result<Box<TlsStream<TcpStream>>, Refusal> {
        let Shown { chain, signed } = self.shown;
        let judged = chain.split_first().map(|(leaf, others)| {
            certificate::judge(
                &certificate::Chain { leaf, others, signed },
                ask.name.as_ref(),
                trust,
                now,
                &algorithms(),
            )
        });
        let standing = judged.map(|Judged { certificate, standing }| {
            *told = certificate.map(Box::new);
            standing
        });
        let stream = self.result.map_err(|(kind, why)| Refusal::Target(kind, why))?;
        match standing {
            Some(Standing::Good) => Ok(stream),
            Some(Standing::Bad(why)) => Err(Refusal::Target(FailKind::Certificate, why)),
            Some(Standing::Untold(why)) => Err(Refusal::Own(why)),
            None => Err(Refusal::Target(FailKind::Certificate, "no certificate was shown".into())),
        }
    }
}

/// Makes the handshake, and says when it was over.
pub(super) async fn handshake(
    stream: TcpStream,
    ask: &Ask<'_>,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Met {
    let recorder = Arc::new(Recorder { shown: Mutex::default(), algorithms: algorithms() });
    let result = match config(ask, &recorder) {
        Ok(config) => {
            // An address is never sent as a name, so that whoever asks for none gets what all get.
            let name = ask.name.clone().filter(|_| !ask.unasked);
            let name = name.unwrap_or_else(|| ServerName::from(ask.address));
            match deadline.within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
                Some(Ok(stream)) => {
                    phases.secured = Some(deadline.gone());
                    Ok(Box::new(stream))
                }
                Some(Err(error)) => Err(why(&error)),
                None => Err((FailKind::Silence, format!("no TLS in {}", deadline.timeout))),
            }
        }
        Err(error) => Err((FailKind::Other, error.to_string())),
    };
    let shown = std::mem::take(&mut *recorder.shown.lock().unwrap_or_else(PoisonError::into_inner));
    Met { shown, result }
}

/// Ends a connection as TLS wants it, so that the other side sees no breach.
pub(super) async fn goodbye(stream: &mut TlsStream<TcpStream>) {
    // The answer is there already; a peer that does not take leave costs a moment.
    let _ = tokio::time::timeout(GOODBYE.into(), stream.shutdown()).await;
}

/// What a failed handshake, or a connection that ended over TLS, means.
pub(super) fn why(error: &io::Error) -> (FailKind, String) {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::AlertReceived(alert)), _) => {
            (FailKind::TlsRefused, format!("TLS refused: the server says {}", alert_words(*alert)))
        }
        (Some(rustls::Error::InvalidMessage(_)), _) => {
            (FailKind::TlsRefused, "TLS refused: the answer is no TLS".to_owned())
        }
        (Some(error), _) => (FailKind::TlsRefused, format!("TLS refused: {error}")),
        (None, io::ErrorKind::UnexpectedEof) => {
            (FailKind::Cut, "the connection was closed in the TLS handshake".to_owned())
        }
        (None, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            (FailKind::Cut, "the connection was reset in the TLS handshake".to_owned())
        }
        (None, _) => (FailKind::Other, error.to_string()),
    }
}

/// As the standard writes it: "unrecognized_name".
fn alert_words(alert: rustls::AlertDescription) -> String {
    let name = alert.as_str().map_or_else(|| format!("alert {}", u8::from(alert)), str::to_owned);
    let mut words = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() && !words.ends_with(' ') {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    // The library writes it in another English than the standard.
    words.replace("unrecognised", "unrecognized")
}

fn told(phases: &Phases) -> String {
    let part = |what: &str, when: Option<Span>| when.map(|span| format!("{what} after {span}"));
    let parts = [part("connected", phases.connected), part("secured", phases.secured)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

fn config(ask: &Ask<'_>, recorder: &Arc<Recorder>) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(recorder) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    // A session that is taken up again shows no certificate.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = ask.protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// What a server showed of itself.
#[derive(Debug, Default)]
struct Shown {
    /// The certificates as they came, the server's own first.
    chain: Vec<CertificateDer<'static>>,
    /// Whether it proved that it has the key, where it came to that.
    signed: Option<bool>,
}

/// Takes down what is shown, and lets the handshake go on.
#[derive(Debug)]
struct Recorder {
    shown: Mutex<Shown>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Recorder {
    fn signed(
        &self,
        valid: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).signed = Some(valid.is_ok());
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(others).map(|der| der.clone().into_owned()).collect();
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).chain = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(rustls::crypto::verify_tls12_signature(message, leaf, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(rustls::crypto::verify_tls13_signature(message, leaf, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(super) mod tests;
