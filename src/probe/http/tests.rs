//! Answers of real sockets on this machine's loopback, good and bad.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::probe::tests::{deaf, deaf_at, nobody, silent, words};

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
    let page = Page { host, port: address.port(), path: "/health?x=1" };
    attempt(&page, Some(address.ip()), &Resolver::new(), timeout).await
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
        let request = Page { host, port, path: "/" }.request().unwrap();
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
    let page = |host| Page { host, port: address.port(), path: "/" };
    let resolver = Resolver::new();
    // Another address of the name refuses where the machine has IPv6; the one that answers counts.
    let good = attempt(&page("localhost"), None, &resolver, SOON).await;
    assert!(words(&good.outcome).starts_with("ok: 200;"), "{good:?}");
    assert_eq!(good.sighting.peer, Some(address));
    let refused = Page { port: nobody().port(), ..page("127.0.0.1") };
    assert_eq!(words(&attempt(&refused, None, &resolver, SOON).await.outcome), "fail: refused");
}

#[tokio::test]
async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
    let (address, _task) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let deaf = deaf_at(SocketAddr::new("127.0.0.9".parse().unwrap(), address.port())).await;
    let name = "www.acme.example";
    let page = Page { host: name, port: address.port(), path: "/" };
    let both = vec![deaf.address.ip(), address.ip()];
    let made = attempt(&page, None, &Resolver::knowing(name, both), Span::secs(2)).await;
    assert!(words(&made.outcome).starts_with("ok: 200; connected after 1s"), "{made:?}");
    assert_eq!(made.sighting.peer, Some(address));
    let deaf_twice = vec![deaf.address.ip(), deaf.address.ip()];
    let made = attempt(&page, None, &Resolver::knowing(name, deaf_twice), LATE).await;
    assert_eq!(words(&made.outcome), "fail: 127.0.0.9: no answer in 300ms");
}

#[tokio::test]
async fn a_name_that_is_not_resolved_is_no_failure_of_the_target() {
    // A label of 64 bytes is refused by the resolver itself: nothing leaves the machine.
    let host = "x".repeat(64);
    let page = Page { host: &host, port: 80, path: "/" };
    let said = words(&attempt(&page, None, &Resolver::new(), SOON).await.outcome);
    assert!(said.starts_with("broken: xxx") && said.contains(" was not resolved: "), "{said}");
}

#[tokio::test]
async fn a_path_that_is_no_path_is_never_sent() {
    let page = Page { host: "acme.example", port: 80, path: "/a b" };
    let made = attempt(&page, Some(nobody().ip()), &Resolver::new(), SOON).await;
    assert!(words(&made.outcome).starts_with("broken: \"/a b\" can't be asked for: "), "{made:?}");
    assert_eq!(made.sighting.peer, None);
}
