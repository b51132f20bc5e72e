//! Name servers on this machine's loopback that answer well, badly, and for somebody else.

use proptest::prelude::*;
use simple_dns::ResourceRecord;
use simple_dns::rdata::{A, AAAA};
use tokio::net::TcpListener;

use super::*;
use crate::probe::tests::words;

const SOON: Span = Span::secs(5);
const LATE: Span = Span::ms(300);

/// A name server: what it answers to each message, none or several of them.
async fn server(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            for answer in answers(&buffer[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    address
}

/// An answer to that message, with these addresses of the kind that was asked for.
fn reply(query: &[u8], code: RCODE, addresses: &[IpAddr]) -> Packet<'static> {
    let query = Packet::parse(query).unwrap();
    let mut reply = Packet::new_reply(query.id());
    *reply.rcode_mut() = code;
    let question = query.questions[0].clone().into_owned();
    for address in addresses {
        let data = match (address, question.qtype) {
            (IpAddr::V4(a), QTYPE::TYPE(TYPE::A)) => RData::A(A { address: u32::from(*a) }),
            (IpAddr::V6(a), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA { address: u128::from(*a) }),
            _ => continue,
        };
        reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
    }
    reply.questions.push(question);
    reply
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().unwrap()
}

async fn ask(to: SocketAddr, timeout: Span) -> Attempt {
    attempt(Some(to.ip()), to.port(), "WWW.acme.example.", timeout).await
}

fn kind(attempt: &Attempt) -> Option<FailKind> {
    match attempt.outcome {
        ProbeOutcome::Fail { kind, .. } => Some(kind),
        ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. } => None,
    }
}

#[tokio::test]
async fn addresses_of_either_kind_are_an_answer_and_errors_are_told_apart() {
    let v4 = |last: u8| IpAddr::from([192, 0, 2, last]);
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    for (code, addresses, expected, fails) in [
        (RCODE::NoError, vec![v4(1)], "ok: 192.0.2.1", None),
        (RCODE::NoError, vec![v6], "ok: 2001:db8::1", None),
        (RCODE::NoError, (1..6).map(v4).collect(), "ok: 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more", None),
        (RCODE::NoError, Vec::new(), "fail: WWW.acme.example. has no address", Some(FailKind::Command)),
        (RCODE::NameError, Vec::new(), "fail: there is no such name (NXDOMAIN)", Some(FailKind::Command)),
        (
            RCODE::ServerFailure,
            Vec::new(),
            "fail: the server can't answer (SERVFAIL)",
            Some(FailKind::ServerError),
        ),
        (RCODE::Refused, Vec::new(), "fail: the server won't answer (REFUSED)", Some(FailKind::ServerError)),
        (
            RCODE::NotImplemented,
            Vec::new(),
            "fail: the server answers with NotImplemented",
            Some(FailKind::ServerError),
        ),
    ] {
        let to = server(move |query| vec![bytes(&reply(query, code, &addresses))]).await;
        let made = ask(to, SOON).await;
        assert_eq!(words(&made.outcome), expected);
        assert_eq!(kind(&made), fails);
        assert_eq!(made.sighting.peer, Some(to));
        assert_ne!(made.sighting.local.unwrap().port(), 0);
        assert!(made.sighting.phases.answered.is_some());
    }
}

#[tokio::test]
async fn what_is_no_answer_to_this_question_is_passed_over() {
    // Another id, another name, another kind, a question: then the right one.
    let others = |query: &[u8]| {
        let good = reply(query, RCODE::NoError, &[IpAddr::from([192, 0, 2, 1])]);
        let mut id = good.clone();
        id.set_id(good.id() ^ 1);
        let mut name = good.clone();
        name.questions[0].qname = Name::new_unchecked("www.globex.example");
        let mut kind = good.clone();
        kind.questions[0].qtype = QTYPE::TYPE(TYPE::MX);
        let mut none = good.clone();
        none.questions.clear();
        let mut all: Vec<_> = [&id, &name, &kind, &none].map(bytes).to_vec();
        all.push(query.to_vec());
        all.push(b"\x00".to_vec());
        (all, bytes(&good))
    };
    let to = server(move |query| {
        let (mut all, good) = others(query);
        all.push(good);
        all
    })
    .await;
    assert_eq!(words(&ask(to, SOON).await.outcome), "ok: 192.0.2.1");
    let to = server(move |query| others(query).0).await;
    let made = ask(to, LATE).await;
    assert_eq!(words(&made.outcome), "fail: no answer in 300ms; 6 messages were answers to something else");
    assert_eq!(kind(&made), Some(FailKind::NoAnswer));
}

#[tokio::test]
async fn an_answer_from_another_port_is_never_heard() {
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let good = reply(&buffer[..length], RCODE::NoError, &[IpAddr::from([192, 0, 2, 1])]);
        other.send_to(&bytes(&good), from).unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(words(&ask(to, LATE).await.outcome), "fail: no answer in 300ms");
}

#[tokio::test]
async fn what_is_cut_off_is_asked_for_again_by_tcp() {
    // UDP and TCP on one port; the kernel gives one that is free for both, sooner or later.
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut cut = reply(&buffer[..length], RCODE::NoError, &[]);
            cut.set_flags(PacketFlag::TRUNCATION);
            socket.send_to(&bytes(&cut), from).await.unwrap();
        }
    });
    let serving = tokio::spawn(async move {
        let (mut stream, peer) = listener.accept().await.unwrap();
        let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut query).await.unwrap();
        let many: Vec<IpAddr> = (0..200).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let answer = bytes(&reply(&query, RCODE::NoError, &many));
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        drop(stream);
        // The second is silent.
        let (_stream, _) = listener.accept().await.unwrap();
        let _keep = (peer, std::future::pending::<()>().await);
    });
    let made = ask(to, SOON).await;
    assert_eq!(words(&made.outcome), "ok: 192.0.2.0, 192.0.2.1, 192.0.2.2 and 197 more");
    assert!(made.sighting.phases.connected.is_some());
    let made = ask(to, LATE).await;
    assert_eq!(words(&made.outcome), "fail: the answer is cut off, and by TCP: no answer in 300ms");
    assert_eq!(kind(&made), Some(FailKind::Silence));
    serving.abort();
    assert!(serving.await.is_err());
    let made = ask(to, SOON).await;
    assert_eq!(words(&made.outcome), "fail: the answer is cut off, and by TCP: refused");
    assert_eq!(kind(&made), Some(FailKind::Refused));
}

#[tokio::test]
async fn nobody_silence_and_garbage() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let made = ask(closed, SOON).await;
    assert_eq!((words(&made.outcome).as_str(), kind(&made)), ("fail: refused", Some(FailKind::Refused)));
    let quiet = server(|_| Vec::new()).await;
    let made = ask(quiet, LATE).await;
    assert_eq!(
        (words(&made.outcome).as_str(), kind(&made)),
        ("fail: no answer in 300ms", Some(FailKind::NoAnswer))
    );
    // With the right id and nothing right behind it.
    let garbage =
        server(|query| vec![[&query[..2], b"\x80\x00\x00\x01\xff\xff\x00\x00\x00\x00\xc0\x0c"].concat()])
            .await;
    let made = ask(garbage, SOON).await;
    assert_eq!(
        (words(&made.outcome).as_str(), kind(&made)),
        ("fail: the answer can't be read", Some(FailKind::Content))
    );
    let made = attempt(None, PORT, "a", SOON).await;
    assert_eq!(words(&made.outcome), "broken: the customer has no address in the plan");
}

proptest! {
    /// Whatever comes is read to an end, and never by luck taken for the addresses of another name.
    #[test]
    fn any_message_is_read_or_refused(
        rest in prop::collection::vec(any::<u8>(), 0..200),
        flags in any::<[u8; 2]>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let query = Query { id: 0x1234, name: "www.acme.example", kind: TYPE::A };
        let _ = query.heard(&[&[0x12, 0x34, flags[0] | 0x80, flags[1]], &rest[..]].concat());
        let asked = query.message().unwrap();
        let mut good = bytes(&reply(&asked, RCODE::NoError, &[IpAddr::from([192, 0, 2, 1])]));
        prop_assert_eq!(query.heard(&good), Some(Heard::Answer(Answer::Addresses("192.0.2.1".into()))));
        for (at, byte) in edits {
            *at.get_mut(&mut good) = byte;
        }
        let _ = query.heard(&good);
        prop_assert_eq!(query.heard(&asked), None);
    }
}
