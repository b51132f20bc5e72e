//! Answers of real sockets on this machine's loopback, good and bad.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::probe::resolve::Resolver;
use crate::probe::tests::{deaf, deaf_at, means, nobody, silent, words};

/// What a server does with one connection.
enum Act {
    Say(Vec<u8>),
    Wait(u64),
    /// Says this again and again, so often, with a pause in milliseconds.
    Drip(&'static str, usize, u64),
}

/// A server for one connection; gives the request's head and the port that it came from.
async fn server(acts: Vec<Act>) -> (SocketAddr, JoinHandle<(String, u16)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, peer) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut alive = true;
        for act in acts {
            match act {
                Act::Say(bytes) => alive = alive && stream.write_all(&bytes).await.is_ok(),
                Act::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Act::Drip(bytes, times, ms) => {
                    for _ in 0..times {
                        alive = alive && stream.write_all(bytes.as_bytes()).await.is_ok();
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                    }
                }
            }
        }
        (String::from_utf8(head).unwrap(), peer.port())
    });
    (address, task)
}

async fn get(host: &str, address: SocketAddr, timeout: Span) -> Attempt {
    let page = Page { port: address.port(), path: "/health?x=1", ..page(host) };
    attempt(&page, Some(address.ip()), &means(None), timeout).await
}

fn page(host: &str) -> Page<'_> {
    Page { tls: false, host, port: 80, path: "/", body: None }
}

/// Means that know the addresses of a name.
fn knowing(host: &str, addresses: Vec<IpAddr>) -> Means {
    Means { resolver: Resolver::knowing(host, addresses), ..means(None) }
}

fn say(text: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![Act::Say(text.into())]
}

async fn answered(acts: Vec<Act>, timeout: Span) -> String {
    let (address, _task) = server(acts).await;
    words(&get("www.acme.example", address, timeout).await.outcome)
}

const SOON: Span = Span::secs(5);
const LATE: Span = Span::ms(300);

#[tokio::test]
async fn the_customers_address_is_asked_for_the_name_in_the_url() {
    let (address, task) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let attempt = get("www.acme.example", address, SOON).await;
    let (head, port) = task.await.unwrap();
    assert!(head.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{head}");
    let host = format!("host: www.acme.example:{}\r\n", address.port());
    assert!(head.contains(&host), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(attempt.sighting.local.unwrap().port(), port);
    assert_eq!(attempt.sighting.peer, Some(address));
    let said = words(&attempt.outcome);
    assert!(said.starts_with("ok: 200; connected after "), "{said}");
    assert!(said.contains(", answer after ") && said.contains(", all after "), "{said}");
}

#[test]
fn the_usual_port_is_not_in_the_host_header_and_an_ipv6_address_has_brackets() {
    for (host, port, header) in [
        ("acme.example", 80, "acme.example"),
        ("2001:db8::1", 80, "[2001:db8::1]"),
        ("2001:db8::1", 8080, "[2001:db8::1]:8080"),
    ] {
        let request = Page { port, ..page(host) }.request().unwrap();
        assert_eq!(request.headers()[HOST], header);
    }
}

#[tokio::test]
async fn good_answers() {
    let huge =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec(), vec![b'x'; 9_000_000]].concat();
    for (acts, start) in [
        (say("HTTP/1.1 204 No Content\r\n\r\n"), "ok: 204;"),
        (say("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), "ok: 302;"),
        // Without a length the end of the connection is the end of the body.
        (say("HTTP/1.1 200 OK\r\n\r\nsome body"), "ok: 200;"),
        (say("HTTP/1.0 200 OK\r\n\r\nold"), "ok: 200;"),
        (say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "ok: 200;"),
        (say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "ok: 200;"),
        (say(huge), "ok: 200;"),
    ] {
        let said = answered(acts, SOON).await;
        assert!(said.starts_with(start), "{said}");
    }
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_its_bound() {
    let piece: &'static str = Box::leak("x".repeat(16 * 1024).into_boxed_str());
    let acts = vec![Act::Say(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Act::Drip(piece, 10_000, 5)];
    let said = answered(acts, SOON).await;
    assert!(said.starts_with("ok: 200;"), "{said}");
}

#[tokio::test]
async fn bad_answers() {
    let headers: String = (0..20_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (acts, part) in [
        (say("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "fail: status 500; connected"),
        (say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "fail: status 404;"),
        // A bad status is the reason, though its body broke off.
        (say("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nx"), "fail: status 503; connected"),
        (say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "fail: status 101;"),
        (say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), "fail: status 200, body broke off:"),
        (
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "fail: status 200, body broke off:",
        ),
        (say("SSH-2.0-OpenSSH_9.2\r\n"), "fail: the answer is no HTTP:"),
        (say(b"\x15\x03\x01\x00\x02\x02\x46".to_vec()), "fail: the answer is no HTTP:"),
        (say("HTTP/1.1 99999 \r\n\r\n"), "fail: the answer is no HTTP:"),
        (say("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), "fail: the answer is no HTTP:"),
        (say(format!("HTTP/1.1 200 OK\r\n{headers}\r\n")), "fail: the answer is no HTTP:"),
        (say("HTTP/1.1 200"), "fail: connection closed"),
        (Vec::new(), "fail: connection closed"),
    ] {
        let said = answered(acts, SOON).await;
        assert!(said.starts_with(part), "{said}");
    }
}

#[tokio::test]
async fn whatever_is_slow_ends_with_the_attempt() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    for (acts, part) in [
        (vec![Act::Wait(9_000)], "fail: no answer in 300ms; connected after "),
        (
            vec![Act::Drip("HTTP/1.1 200 OK\r\nX: 1", 1, 0), Act::Drip("1", 1_000, 20)],
            "fail: no answer in 300ms;",
        ),
        (vec![Act::Say(head.into()), Act::Drip("x", 100, 90)], "fail: status 200, body not whole in 300ms;"),
        (vec![Act::Say(b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()), Act::Wait(9_000)], "fail: status 500;"),
    ] {
        let began = Instant::now();
        let said = answered(acts, LATE).await;
        assert!(said.starts_with(part), "{said}");
        let took = dialer::since(began).as_ms();
        assert!((300..3_000).contains(&took), "{took}");
    }
}

#[tokio::test]
async fn without_a_connection_the_words_are_the_dialers_and_the_port_is_known() {
    let deaf = deaf().await;
    for (to, expected) in [
        (nobody(), "fail: refused"),
        (deaf.address, "fail: no answer in 300ms"),
        (silent("127.0.0.1:0"), "fail: no answer in 300ms; connected after "),
    ] {
        let attempt = get("www.acme.example", to, LATE).await;
        let said = words(&attempt.outcome);
        assert!(said.starts_with(expected), "{said}");
        assert_ne!(attempt.sighting.local.unwrap().port(), 0);
        assert_eq!(attempt.sighting.peer, Some(to));
    }
}

#[tokio::test]
async fn without_a_customers_address_the_name_leads() {
    let (address, _task) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let page = |host| Page { port: address.port(), ..page(host) };
    let means = means(None);
    // Another address of the name refuses where the machine has IPv6; the one that answers counts.
    let good = attempt(&page("localhost"), None, &means, SOON).await;
    assert!(words(&good.outcome).starts_with("ok: 200;"), "{good:?}");
    assert_eq!(good.sighting.peer, Some(address));
    let refused = Page { port: nobody().port(), ..page("127.0.0.1") };
    assert_eq!(words(&attempt(&refused, None, &means, SOON).await.outcome), "fail: refused");
}

#[tokio::test]
async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
    let (address, _task) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let deaf = deaf_at(SocketAddr::new("127.0.0.9".parse().unwrap(), address.port())).await;
    let name = "www.acme.example";
    let page = Page { port: address.port(), ..page(name) };
    let both = vec![deaf.address.ip(), address.ip()];
    let made = attempt(&page, None, &knowing(name, both), Span::secs(2)).await;
    assert!(words(&made.outcome).starts_with("ok: 200; connected after 1s"), "{made:?}");
    assert_eq!(made.sighting.peer, Some(address));
    let deaf_twice = vec![deaf.address.ip(), deaf.address.ip()];
    let made = attempt(&page, None, &knowing(name, deaf_twice), LATE).await;
    assert_eq!(words(&made.outcome), "fail: 127.0.0.9: no answer in 300ms");
}

#[tokio::test]
async fn a_name_that_is_not_resolved_is_no_failure_of_the_target() {
    // A label of 64 bytes is refused by the resolver itself: nothing leaves the machine.
    let host = "x".repeat(64);
    let page = page(&host);
    let said = words(&attempt(&page, None, &means(None), SOON).await.outcome);
    assert!(said.starts_with("broken: xxx") && said.contains(" was not resolved: "), "{said}");
}

#[tokio::test]
async fn a_path_that_is_no_path_is_never_sent() {
    let page = Page { path: "/a b", ..page("acme.example") };
    let made = attempt(&page, Some(nobody().ip()), &means(None), SOON).await;
    assert!(words(&made.outcome).starts_with("broken: \"/a b\" can't be asked for: "), "{made:?}");
    assert_eq!(made.sighting.peer, None);
}

#[tokio::test]
async fn a_pattern_of_the_plan_is_looked_for_within_the_bound() {
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let padded = |before: usize| answer(&("x".repeat(before) + "Welcome, acme"));
    let piece: &'static str = Box::leak("Welcome, acm".repeat(1_024).into_boxed_str());
    let endless = vec![Act::Say(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Act::Drip(piece, 10_000, 5)];
    for (acts, expected) in [
        (say(answer("<h1>Welcome, acme</h1>")), "ok: 200;"),
        // In two pieces.
        (
            vec![
                Act::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nWelco".to_vec()),
                Act::Wait(30),
                Act::Say(b"me, acme".to_vec()),
            ],
            "ok: 200;",
        ),
        (say(padded(BODY - 13)), "ok: 200;"),
        (
            say(padded(BODY - 12)),
            "fail: status 200, the body's first 64 KiB has no match for \"Welcome, (acme|initech)\"; connected",
        ),
        (
            say(answer("<h1>Welcome, globex</h1>")),
            "fail: status 200, the body has no match for \"Welcome, (acme|initech)\"; connected",
        ),
        (say(answer("welcome, acme")), "fail: status 200, the body has no"),
        (say(answer("")), "fail: status 200, the body has no"),
        (say("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), "fail: status 302, the body has no"),
        (endless, "fail: status 200, the body's first 64 KiB has no"),
        // A bad status is the reason.
        (say("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "fail: status 500;"),
    ] {
        let (address, _task) = server(acts).await;
        let body = crate::plan::pattern("Welcome, (acme|initech)").unwrap();
        let page = Page { port: address.port(), body: Some(&body), ..page("www.acme.example") };
        let made = attempt(&page, Some(address.ip()), &means(None), SOON).await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{expected}: {said}");
        if said.contains("has no") {
            assert!(matches!(made.outcome, ProbeOutcome::Fail { kind: FailKind::Content, .. }));
        }
    }
}

/// A server of HTTPS for one connection; gives the head that it was asked, where it came to that.
async fn secure(files: &[&str], answer: &'static [u8]) -> (SocketAddr, JoinHandle<Option<String>>) {
    let acceptor = tls::tests::acceptor(files);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        String::from_utf8(head).ok()
    });
    (address, task)
}

#[tokio::test]
async fn https_asks_the_customers_address_for_the_name_and_has_all_phases() {
    let (address, task) = secure(&["acme.pem"], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let page = Page { tls: true, port: address.port(), ..page("www.acme.example") };
    let made = attempt(&page, Some(address.ip()), &means(Some("ca.pem")), SOON).await;
    let said = words(&made.outcome);
    assert!(said.starts_with("ok: 200; connected after ") && said.contains(", secured after "), "{said}");
    let host = format!("host: www.acme.example:{}\r\n", address.port());
    assert!(task.await.unwrap().unwrap().contains(&host));
    let Sighting { local, peer, phases, certificate, status } = made.sighting;
    assert_eq!((local.is_some(), peer, status), (true, Some(address), Some(200)));
    assert_eq!(certificate.unwrap().against, None);
    assert!(phases.connected <= phases.secured && phases.secured <= phases.answered, "{phases:?}");
    let request = Page { port: 443, ..page }.request().unwrap();
    assert_eq!(request.headers()[HOST], "www.acme.example");
}

#[tokio::test]
async fn nothing_is_asked_of_a_server_with_a_certificate_that_is_not_good() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (files, host, expected) in [
        (["acme.pem"], "www.globex.example", "not for www.globex.example; connected after "),
        (["own.pem"], "own.example", "signed by itself, and not listed in [tls] ca; connected after "),
    ] {
        let (address, task) = secure(&files, answer).await;
        let page = Page { tls: true, port: address.port(), ..page(host) };
        let made = attempt(&page, Some(address.ip()), &means(Some("ca.pem")), SOON).await;
        let said = words(&made.outcome);
        assert!(said.starts_with("fail: certificate for ") && said.contains(expected), "{said}");
        assert!(matches!(made.outcome, ProbeOutcome::Fail { kind: FailKind::Certificate, .. }));
        assert!(made.sighting.certificate.is_some() && made.sighting.status.is_none());
        assert_eq!(task.await.unwrap(), None, "it was asked for nothing");
    }
    // The address in a URL is asked for by no name, and the certificate has to have it.
    let (address, task) = secure(&["address.pem"], answer).await;
    let page = Page { tls: true, port: address.port(), ..page("127.0.0.1") };
    let made = attempt(&page, None, &means(Some("ca.pem")), SOON).await;
    assert!(words(&made.outcome).starts_with("ok: 200;"), "{made:?}");
    assert!(task.await.unwrap().is_some());
}

#[tokio::test]
async fn plain_http_where_tls_was_expected_is_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let page = Page { tls: true, port: address.port(), ..page("www.acme.example") };
    let made = attempt(&page, Some(address.ip()), &means(None), SOON).await;
    let said = words(&made.outcome);
    assert!(said.starts_with("fail: TLS refused: the answer is no TLS; connected after "), "{said}");
    assert!(matches!(made.outcome, ProbeOutcome::Fail { kind: FailKind::TlsRefused, .. }));
}
