//! Handshakes with real servers on this machine's loopback, with certificates good and bad.

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::probe::certificate::Chain;
use crate::probe::tests::{at, deaf, fixture, means, nobody, silent, words};

const SOON: Span = Span::secs(5);

/// A server's side of TLS, with these certificates of the fixtures.
pub(in crate::probe) fn acceptor(files: &[&str]) -> TlsAcceptor {
    let der = |file: &&str| CertificateDer::from_pem_file(fixture(file)).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(files.iter().map(der).collect(), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that shows these to everybody; gives the names that it was asked for.
async fn server(files: &[&str]) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Option<String>>) {
    let (acceptor, listener) = (acceptor(files), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (names, asked) = tokio::sync::mpsc::unbounded_channel();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = names.send(stream.get_ref().1.server_name().map(str::to_owned));
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    (address, asked)
}

async fn shake(to: SocketAddr, name: Option<&str>, means: &Means) -> Attempt {
    attempt(Some(to.ip()), to.port(), Wanted { name, unasked: false }, means, SOON).await
}

fn kind(attempt: &Attempt) -> Option<FailKind> {
    match attempt.outcome {
        ProbeOutcome::Fail { kind, .. } => Some(kind),
        ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. } => None,
    }
}

#[tokio::test]
async fn a_good_certificate_is_taken_down_with_names_dates_and_fingerprint() {
    let (to, mut asked) = server(&["acme.pem"]).await;
    let made = shake(to, Some("www.acme.example"), &means(Some("ca.pem"))).await;
    let said = words(&made.outcome);
    assert!(
        said.starts_with("ok: TLS 1.3, certificate for www.acme.example, *.shop.acme.example, until 2"),
        "{said}"
    );
    assert!(said.contains("; connected after ") && said.contains(", secured after "), "{said}");
    assert_eq!(asked.recv().await.unwrap().as_deref(), Some("www.acme.example"));
    let certificate = made.sighting.certificate.unwrap();
    let names: Vec<_> = certificate.names.iter().map(|name| name.shown()).collect();
    assert_eq!(names, ["www.acme.example", "*.shop.acme.example"]);
    assert_eq!(certificate.issuer.shown(), "CN=Test CA of holdpoint");
    assert_eq!(certificate.against, None);
    assert!((certificate.until - certificate.from).num_days() == 36_500, "{certificate:?}");
    let der = CertificateDer::from_pem_file(fixture("acme.pem")).unwrap();
    assert_eq!(certificate.sha256.to_string(), fingerprint(&der));
    assert_eq!((made.sighting.peer, made.sighting.local.is_some()), (Some(to), true));
    assert!(made.sighting.phases.secured >= made.sighting.phases.connected);
}

/// A customer with an address of their own, whose callers send no name: what they are shown has to be theirs.
#[tokio::test]
async fn a_name_that_is_not_asked_for_has_to_be_on_the_certificate_all_the_same() {
    let (to, mut asked) = server(&["acme.pem"]).await;
    for (name, expected) in
        [("www.acme.example", "ok: TLS 1.3, "), ("globex.example", ": not for globex.example; ")]
    {
        let wanted = Wanted { name: Some(name), unasked: true };
        let made = attempt(Some(to.ip()), to.port(), wanted, &means(Some("ca.pem")), SOON).await;
        let said = words(&made.outcome);
        assert!(said.contains(expected), "{said}");
        assert_eq!(asked.recv().await.unwrap(), None, "no name is sent");
    }
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn certificates_for_others_and_of_other_times_and_of_nobody_known_are_told_apart() {
    let later = fixture_trust("2200-01-01T00:00:00Z");
    let earlier = fixture_trust("2020-01-01T00:00:00Z");
    let ca = means(Some("ca.pem"));
    let own = means(Some("own.pem"));
    let www = Some("www.acme.example");
    for (files, name, means, expected) in [
        (&["acme.pem"][..], www, &ca, "ok"),
        (&["acme.pem"], Some("a.shop.acme.example."), &ca, "ok"),
        // By address, no name is required.
        (&["acme.pem"], None, &ca, "ok"),
        (&["acme.pem", "ca.pem"], www, &ca, "ok"),
        (&["address.pem"], Some("127.0.0.1"), &ca, "ok"),
        // Listed for itself.
        (&["own.pem"], Some("own.example"), &own, "ok"),
        (&["own.pem"], None, &own, "ok"),
        (
            &["own.pem"],
            www,
            &own,
            "certificate for own.example, until 2126-10-28 20:04 UTC: not for www.acme.example",
        ),
        (&["acme.pem"], Some("globex.example"), &ca, ": not for globex.example; connected"),
        (&["acme.pem"], Some("127.0.0.1"), &ca, ": not for 127.0.0.1; connected"),
        (&["address.pem"], www, &ca, "certificate for 127.0.0.1, ::1, until "),
        (&["unnamed.pem"], www, &ca, "certificate for no name (its subject is CN=www.acme.example), until "),
        (&["acme.pem"], www, &later, ": expired at 2126-"),
        (&["acme.pem"], None, &earlier, ": not valid before 2026-"),
        (
            &["acme.pem"],
            www,
            &own,
            ": signed by CN=Test CA of holdpoint, whom nothing here trusts; connected",
        ),
        (
            &["acme.pem"],
            None,
            &own,
            ": signed by CN=Test CA of holdpoint, whom nothing here trusts; connected",
        ),
        (&["own.pem"], None, &ca, ": signed by itself, and not listed in [tls] ca; connected"),
        (&["own.pem"], www, &later, ": not for www.acme.example; expired at "),
        (&["hostile.pem"], www, &ca, "certificate for www.\\e[31mevil.example, until "),
    ] {
        let (to, _asked) = server(files).await;
        let made = shake(to, name, means).await;
        let said = words(&made.outcome);
        let certificate = made.sighting.certificate.as_deref().unwrap();
        if expected == "ok" {
            assert!(said.starts_with("ok: TLS"), "{files:?} {name:?}: {said}");
            assert_eq!(certificate.against, None);
        } else {
            assert!(said.starts_with("fail: certificate for "), "{files:?} {name:?}: {said}");
            assert!(said.contains(expected), "{files:?} {name:?}: {said}");
            assert_eq!(kind(&made), Some(FailKind::Certificate));
            let against = certificate.against.as_ref().unwrap().shown();
            assert!(said.contains(&against), "{against}: {said}");
        }
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

/// Trusting the test's authority, at another time.
fn fixture_trust(now: &str) -> Means {
    at(now, Some(fixture("ca.pem")))
}

#[tokio::test]
async fn without_a_name_none_is_asked_for() {
    let (to, mut asked) = server(&["acme.pem"]).await;
    shake(to, None, &means(Some("ca.pem"))).await;
    assert_eq!(asked.recv().await, Some(None));
    shake(to, Some("127.0.0.1"), &means(Some("ca.pem"))).await;
    assert_eq!(asked.recv().await, Some(None), "an address is no name");
}

#[tokio::test]
async fn what_this_machine_lacks_is_no_failure_of_the_target() {
    let (to, _asked) = server(&["acme.pem"]).await;
    let missing = || means(Some("there-is-none.pem"));
    let said = words(&shake(to, None, &missing()).await.outcome);
    assert!(
        said.starts_with("broken: signed by CN=Test CA of holdpoint, whom nothing here trusts, but"),
        "{said}"
    );
    assert!(said.contains("[tls] ca of the plan, ") && said.contains("there-is-none.pem: "), "{said}");
    // What is wrong without any root is wrong.
    let made = shake(to, Some("globex.example"), &missing()).await;
    assert_eq!(kind(&made), Some(FailKind::Certificate), "{made:?}");
    let made = attempt(None, 443, Wanted { name: None, unasked: false }, &missing(), SOON).await;
    assert_eq!(words(&made.outcome), "broken: the customer has no address in the plan");
}

#[tokio::test]
async fn no_tls_an_alert_and_silence_are_three_things() {
    let ca = means(Some("ca.pem"));
    for (says, expected, kind_of) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "fail: TLS refused: the answer is no TLS; connected",
            FailKind::TlsRefused,
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
            "fail: TLS refused: the answer is no TLS",
            FailKind::TlsRefused,
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x70",
            "fail: TLS refused: the server says unrecognized_name",
            FailKind::TlsRefused,
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x28",
            "fail: TLS refused: the server says handshake_failure",
            FailKind::TlsRefused,
        ),
        (b"", "fail: the connection was closed in the TLS handshake", FailKind::Cut),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole of what the client says, so that closing is no reset.
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(says).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let made = shake(to, Some("www.acme.example"), &ca).await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(kind(&made), Some(kind_of), "{said}");
        assert!(made.sighting.phases.connected.is_some() && made.sighting.phases.secured.is_none());
    }
    let quiet = silent("127.0.0.1:0");
    let deaf = deaf().await;
    for (to, expected, kind_of) in [
        (quiet, "fail: no TLS in 300ms; connected after ", FailKind::Silence),
        (deaf.address, "fail: no answer in 300ms", FailKind::NoAnswer),
        (nobody(), "fail: refused", FailKind::Refused),
    ] {
        let made =
            attempt(Some(to.ip()), to.port(), Wanted { name: None, unasked: false }, &ca, Span::ms(300))
                .await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(kind(&made), Some(kind_of));
        assert_ne!(made.sighting.local.unwrap().port(), 0);
    }
}

#[tokio::test]
async fn a_server_without_the_key_is_found_out() {
    // Of a chain whose first is another's certificate the signature can't be right.
    let shown = Chain {
        leaf: &CertificateDer::from_pem_file(fixture("acme.pem")).unwrap(),
        others: &[],
        signed: Some(false),
    };
    let trust = means(Some("ca.pem")).roots.trust().await;
    let judged =
        certificate::judge(&shown, None, &trust, "2030-01-01T00:00:00Z".parse().unwrap(), &algorithms());
    let Standing::Bad(why) = judged.standing else { panic!("{:?}", judged.standing) };
    assert!(why.ends_with(": the server did not prove that it has the key"), "{why}");
    let garbage = CertificateDer::from(b"no certificate".to_vec());
    let shown = Chain { leaf: &garbage, ..shown };
    let judged =
        certificate::judge(&shown, None, &trust, "2030-01-01T00:00:00Z".parse().unwrap(), &algorithms());
    assert!(matches!(&judged.standing, Standing::Bad(why) if why.contains("can't be read")));
    assert_eq!(judged.certificate, None);
}

#[test]
fn alerts_have_the_words_of_the_standard() {
    for (number, expected) in
        [(112, "unrecognized_name"), (40, "handshake_failure"), (70, "protocol_version"), (200, "alert 200")]
    {
        assert_eq!(alert_words(rustls::AlertDescription::from(number)), expected);
    }
}
