//! What stands in a certificate, and whether it is good for what was asked: pure.
//!
//! All that is wrong with one is said, not the first thing alone; whatever a server wrote stays untrusted.

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use sha2::Digest as _;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::roots::Trust;
use crate::core::event::Certificate;
use crate::types::{Sha256, Time, Untrusted};

/// Names of one certificate that are kept; some have thousands.
const NAMES: usize = 16;
/// Of one name, or of one that signed, in characters; RFC 5280 has names of 253.
const LONG: usize = 256;
/// How many of them a sentence has.
const SAID: usize = 3;

/// What a server showed.
pub(super) struct Chain<'a> {
    pub(super) leaf: &'a CertificateDer<'static>,
    pub(super) others: &'a [CertificateDer<'static>],
    /// Whether it proved that it has the leaf's key; `None` where the handshake ended before that.
    pub(super) signed: Option<bool>,
}

/// What was found.
pub(super) struct Judged {
    /// What stands in it; `None` where it can't be read.
    pub(super) certificate: Option<Certificate>,
    pub(super) standing: Standing,
}

/// Whether a certificate is good for what was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// It is not, and what it is instead.
    Bad(String),
    /// This machine can't tell: it lacks what to compare it with.
    Untold(String),
}

/// Judges what was shown, against the name (`None`: any), the moment, and who is trusted.
pub(super) fn judge(
    chain: &Chain<'_>,
    name: Option<&ServerName<'_>>,
    trust: &Trust,
    now: Time,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Judged {
    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(chain.leaf).into());
    let Some(read) = X509::from_der(chain.leaf).ok().and_then(|x509| Read::of(&x509)) else {
        let why = format!("the certificate can't be read (sha256 {sha256})");
        return Judged { certificate: None, standing: Standing::Bad(why) };
    };
    let mut against = Vec::new();
    let parsed = ParsedCertificate::try_from(chain.leaf);
    if let Some(name) = name
        && !parsed.as_ref().is_ok_and(|parsed| verify_server_name(parsed, name).is_ok())
    {
        against.push(format!("not for {}", name.to_str()));
    }
    let dated = (read.from..=read.until).contains(&now);
    if read.until < now {
        against.push(format!("expired at {}", minute(read.until)));
    }
    if now < read.from {
        against.push(format!("not valid before {}", minute(read.from)));
    }
    let trusted = match trust.listed.contains(chain.leaf) {
        // Listed for itself, as a server's own certificate that nobody else signed.
        true => Ok(()),
        false => parsed.and_then(|parsed| {
            let at = u64::try_from(now.timestamp()).unwrap_or(0);
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
            verify_server_cert_signed_by_trust_anchor(&parsed, &trust.store, chain.others, at, algorithms.all)
        }),
    };
    let mut untold = None;
    if let Err(error) = trusted
        && let Some(why) = distrust(&error, &read, dated)
    {
        match &trust.trouble {
            Some(trouble) => untold = Some(format!("{why}, but {trouble}")),
            None => against.push(why),
        }
    }
    if chain.signed == Some(false) {
        against.push("the server did not prove that it has the key".to_owned());
    }
    let words = against.join("; ");
    let certificate = read.certificate(sha256, (!words.is_empty()).then(|| Untrusted::new(&words)));
    let standing = match untold {
        _ if !words.is_empty() => {
            let whose = read.whose();
            Standing::Bad(format!("certificate for {whose}, until {}: {words}", minute(read.until)))
        }
        Some(untold) => Standing::Untold(untold),
        None => Standing::Good,
    };
    Judged { certificate: Some(certificate), standing }
}

/// What stands in a certificate that another machine was shown, with what that one says against it; `None`
/// where it can't be read. Nothing is judged here.
pub fn shown_elsewhere(der: &[u8], against: Option<Untrusted>) -> Option<Certificate> {
    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(der).into());
    let read = X509::from_der(der).ok().and_then(|x509| Read::of(&x509))?;
    Some(read.certificate(sha256, against))
}

/// Whom a good certificate is for, and until when.
pub(super) fn brief(certificate: &Certificate) -> String {
    let names: Vec<&str> = certificate.names.iter().map(Untrusted::raw).collect();
    format!("certificate for {}, until {}", some(&names), minute(certificate.until))
}

/// Why nobody who is trusted stands behind it; `None` where that is said already. `dated` is whether its dates
/// are good.
fn distrust(error: &Error, read: &Read, dated: bool) -> Option<String> {
    let Error::InvalidCertificate(error) = error else {
        return Some(format!("not trusted here: {error}"));
    };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
            if !dated =>
        {
            None
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("one that it is signed with has expired".to_owned())
        }
        _ if read.issuer == read.subject => Some("signed by itself, and not listed in [tls] ca".to_owned()),
        CertificateError::UnknownIssuer => {
            Some(format!("signed by {}, whom nothing here trusts", known(&read.issuer)))
        }
        error => Some(format!("not trusted here: {error}")),
    }
}

/// What is needed of an X.509 certificate.
struct Read {
    names: Vec<String>,
    subject: String,
    issuer: String,
    from: Time,
    until: Time,
}

impl Read {
    fn certificate(&self, sha256: Sha256, against: Option<Untrusted>) -> Certificate {
        Certificate {
            sha256,
            names: self.names.iter().take(NAMES).map(Untrusted::new).collect(),
            issuer: Untrusted::new(&self.issuer),
            from: self.from,
            until: self.until,
            against,
        }
    }

    /// `None` where its dates are none.
    fn of(x509: &X509) -> Option<Self> {
        let tbs = x509.tbs_certificate();
        let moment = |time: x509_cert::time::Time| {
            let secs = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
            Time::from_timestamp(secs, 0)
        };
        let names = match tbs.get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(spelled).collect(),
            // None, or none that can be read: then it is for nobody.
            Ok(None) | Err(_) => Vec::new(),
        };
        Some(Self {
            names,
            subject: tbs.subject().to_string().chars().take(LONG).collect(),
            issuer: tbs.issuer().to_string().chars().take(LONG).collect(),
            from: moment(tbs.validity().not_before)?,
            until: moment(tbs.validity().not_after)?,
        })
    }

    fn whose(&self) -> String {
        if self.names.is_empty() {
            return format!("no name (its subject is {})", known(&self.subject));
        }
        some(&self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A name that a server can be reached by.
fn spelled(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().chars().take(LONG).collect()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(|four| std::net::IpAddr::from(four).to_string());
            let sixteen = <[u8; 16]>::try_from(bytes).map(|all| std::net::IpAddr::from(all).to_string());
            four.or(sixteen).ok()
        }
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

fn known(name: &str) -> &str {
    if name.is_empty() { "nobody" } else { name }
}

fn some(names: &[&str]) -> String {
    match names.get(..SAID) {
        _ if names.is_empty() => "no name".to_owned(),
        Some(first) if names.len() > SAID => format!("{} and {} more", first.join(", "), names.len() - SAID),
        _ => names.join(", "),
    }
}

fn minute(time: Time) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}
