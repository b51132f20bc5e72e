//! A server that speaks enough of PostgreSQL's protocol to refuse, to answer and to misbehave. The real one is
//! met in `tests/faces`.

use std::ffi::OsString;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::probe::tests::{deaf, nobody, silent, words};

const SOON: Span = Span::secs(5);

/// One message of the server: a letter, a length, a body.
fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[letter], &length[..], body].concat()
}

/// What it refuses with.
fn refusal(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0").as_bytes())
}

fn welcome() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

fn row(value: &str) -> Vec<u8> {
    let column = [&b"?column?\0"[..], &[0; 6], &23_u32.to_be_bytes(), &[0, 4], &[0xff; 4], &[0; 2]].concat();
    let value = [&[0, 1][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()].concat();
    let all = [
        message(b'T', &[&[0, 1][..], &column].concat()),
        message(b'D', &value),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ];
    all.concat()
}

/// A server for one login; says these, one after each message of the client (where there is nothing, it ends the
/// connection), and gives what it was told.
async fn server(says: Vec<Vec<u8>>) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut told, mut buffer) = (Vec::new(), [0; 4_096]);
        for say in says {
            if say.is_empty() {
                let _ = stream.shutdown().await;
                break;
            }
            let Ok(length) = stream.read(&mut buffer).await else { return told };
            told.extend_from_slice(&buffer[..length]);
            let _ = stream.write_all(&say).await;
        }
        let _ = tokio::time::timeout(SOON.into(), stream.read_to_end(&mut told)).await;
        told
    });
    (address, task)
}

fn as_user(words: &'static [(&'static str, &'static str)]) -> Environment {
    Arc::new(|name: &str| {
        words.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    })
}

const OPS: &[(&str, &str)] = &[("PGUSER", "ops"), ("PGPASSWORD", "secret of ops")];

async fn log_in(to: SocketAddr, words: &'static [(&'static str, &'static str)], timeout: Span) -> Attempt {
    attempt(Some(to.ip()), to.port(), "acme", &as_user(words), timeout).await
}

fn kind(attempt: &Attempt) -> Option<FailKind> {
    match attempt.outcome {
        ProbeOutcome::Fail { kind, .. } => Some(kind),
        ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. } => None,
    }
}

#[tokio::test]
async fn a_login_and_one_row_are_an_answer_and_nothing_else_is_asked() {
    let (to, task) = server(vec![welcome(), row("1")]).await;
    let made = log_in(to, OPS, SOON).await;
    let said = words(&made.outcome);
    assert!(said.starts_with("ok: SELECT 1 answered; connected after "), "{said}");
    assert!(said.contains(", logged in after ") && said.contains(", all after "), "{said}");
    let told = String::from_utf8_lossy(&task.await.unwrap()).into_owned();
    for part in ["user\0ops\0", "database\0acme\0", "SELECT 1\0"] {
        assert!(told.contains(part), "{told:?}");
    }
    assert!(told.ends_with("X\0\0\0\u{4}"), "it takes leave: {told:?}");
    assert!(!told.contains("secret"), "nobody asked for it: {told:?}");
    assert_eq!((made.sighting.peer, made.sighting.local.is_some()), (Some(to), true));
    assert!(made.sighting.phases.connected <= made.sighting.phases.answered);
}

#[tokio::test]
async fn refusals_are_the_servers_own_words() {
    for (says, expected) in [
        (
            vec![refusal("3D000", "database \"acme\" does not exist")],
            "fail: the server says: database \"acme\" does not exist (3D000); connected after ",
        ),
        (
            vec![refusal("28P01", "password authentication failed for user \"ops\"")],
            "fail: the server says: password authentication failed for user \"ops\" (28P01); connected",
        ),
        (
            vec![refusal(
                "28000",
                "no pg_hba.conf entry for host \"a\", user \"ops\", database \"acme\", no encryption",
            )],
            "fail: the server says: no pg_hba.conf entry for host \"a\", user \"ops\", database \"acme\", no encryption \
             (28000); this probe logs in without TLS; connected",
        ),
        (
            vec![refusal("57P03", "the database system is starting up")],
            "fail: the server says: the database system",
        ),
        (
            vec![refusal("XX000", "\u{1b}[2Jgone\u{202e}")],
            "fail: the server says: \\e[2Jgone\\u{202e} (XX000)",
        ),
        (
            vec![welcome(), refusal("57P01", "terminating connection")],
            "fail: the server says: terminating connection (57P01); connected",
        ),
        (vec![welcome(), row("2")], "fail: SELECT 1 was answered with something else; connected"),
    ] {
        let (to, _task) = server(says).await;
        let made = log_in(to, OPS, SOON).await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{said}");
        let bare = said.contains("without TLS");
        let expected = if bare { FailKind::Other } else { FailKind::Database };
        assert_eq!(kind(&made), Some(expected), "{said}");
        assert!(!format!("{made:?}").contains("secret"));
    }
}

#[tokio::test]
async fn a_password_that_is_asked_for_and_not_known_is_said() {
    let asks = message(b'R', &3_u32.to_be_bytes());
    let (to, _task) = server(vec![asks.clone()]).await;
    let made = log_in(to, &[("PGUSER", "ops")], SOON).await;
    let said = words(&made.outcome);
    assert!(
        said.starts_with("fail: the server asks for a password, and none is known here; connected"),
        "{said}"
    );
    assert_eq!(kind(&made), Some(FailKind::Other));
    let (to, task) = server(vec![asks, welcome(), row("1")]).await;
    assert!(words(&log_in(to, OPS, SOON).await.outcome).starts_with("ok: "));
    assert!(String::from_utf8_lossy(&task.await.unwrap()).contains("secret of ops\0"));
}

#[tokio::test]
async fn what_is_no_database_is_told_apart_from_silence() {
    let endless = message(b'N', &vec![b'x'; 1 << 20]);
    let huge = [&b"R"[..], &0x7fff_fff0_u32.to_be_bytes(), b"\0\0\0\0"].concat();
    for (says, expected, fails) in [
        (
            vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new()],
            "fail: ",
            &[FailKind::Content, FailKind::Cut][..],
        ),
        (
            vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Vec::new()],
            "fail: ",
            &[FailKind::Content, FailKind::Cut],
        ),
        (vec![Vec::new()], "fail: the connection was closed; connected", &[FailKind::Cut]),
        (vec![welcome(), Vec::new()], "fail: the connection was closed; connected", &[FailKind::Cut]),
        (vec![huge, Vec::new()], "fail: the connection ", &[FailKind::Cut]),
        // More than is read of anybody: as if it had ended.
        (vec![endless], "fail: the connection ended: ", &[FailKind::Cut]),
    ] {
        let (to, _task) = server(says).await;
        let made = log_in(to, OPS, SOON).await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{said}");
        assert!(fails.contains(&kind(&made).unwrap()), "{said}");
    }
    let deaf = deaf().await;
    for (to, expected, fails) in [
        (silent("127.0.0.1:0"), "fail: no answer in 300ms; connected after ", FailKind::Silence),
        (deaf.address, "fail: no answer in 300ms", FailKind::NoAnswer),
        (nobody(), "fail: refused", FailKind::Refused),
    ] {
        let made = log_in(to, OPS, Span::ms(300)).await;
        let said = words(&made.outcome);
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(kind(&made), Some(fails));
        assert_ne!(made.sighting.local.unwrap().port(), 0);
    }
}

#[tokio::test]
async fn without_a_user_nothing_is_tried() {
    let made = log_in(nobody(), &[], SOON).await;
    assert_eq!(words(&made.outcome), "broken: no user is known: set PGUSER");
    assert_eq!(made.sighting, Sighting::default());
}
