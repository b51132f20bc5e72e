//! Sockets that the tests of probes call, and watching itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::core::effect::is_made;
use crate::core::event::ProbeId;
use crate::plan::{Limit, Probe, VantageKind};

/// In the year 2030, trusting this fixture beside the system's roots.
pub(super) fn means(tls_ca: Option<&str>) -> Means {
    at("2030-01-01T00:00:00Z", tls_ca.map(fixture))
}

pub(super) fn at(now: &str, tls_ca: Option<String>) -> Means {
    let now: Time = now.parse().unwrap();
    Means::new(Arc::new(move || now), tls_ca.map(Into::into))
}

/// Where a file of the fixtures is.
pub(super) fn fixture(file: &str) -> String {
    format!("{}/src/probe/fixtures/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// A port that stays taken, on which nobody listens.
pub(super) fn nobody() -> SocketAddr {
    let socket = Box::leak(Box::new(TcpSocket::new_v4().unwrap()));
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.local_addr().unwrap()
}

/// A port that is open, with nobody who ever says anything.
pub(super) fn silent(address: &str) -> SocketAddr {
    let listener = Box::leak(Box::new(std::net::TcpListener::bind(address).unwrap()));
    listener.local_addr().unwrap()
}

/// A port whose queue is full, so that the system drops whoever comes.
pub(super) struct Deaf {
    pub(super) address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

pub(super) async fn deaf() -> Deaf {
    deaf_at("127.0.0.1:0".parse().unwrap()).await
}

pub(super) async fn deaf_at(address: SocketAddr) -> Deaf {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
        assert!(queue.len() < 64, "the queue is never full");
    }
    Deaf { address, _listener: listener, _queue: queue }
}

/// An outcome in words.
pub(super) fn words(outcome: &ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Ok { said, .. } => format!("ok: {}", said.shown()),
        ProbeOutcome::Fail { why, .. } => format!("fail: {}", why.shown()),
        ProbeOutcome::Broken { why } => format!("broken: {}", why.shown()),
    }
}

fn task(index: u16, target: &str, to: SocketAddr, every: Span, timeout: Span) -> ProbeTask {
    let target: ProbeTarget = target.parse().unwrap();
    ProbeTask {
        id: Subject::Customer(ProbeId { customer: "acme".parse().unwrap(), index }),
        probe: Probe {
            from: VantageKind::Outside,
            target,
            every,
            timeout,
            delay: Span::ZERO,
            fails: Limit::USUAL,
            required: true,
            body: None,
        },
        host: "web1".parse().ok(),
        address: Some(to.ip()),
        vantage: Vantage::Cockpit,
    }
}

fn tcp(index: u16, to: SocketAddr, every: Span, timeout: Span) -> ProbeTask {
    task(index, &format!("tcp:{}", to.port()), to, every, timeout)
}

#[tokio::test]
async fn what_is_said_to_be_made_is_made_and_nothing_else() {
    let to = nobody();
    let means = means(None);
    for target in ["ping", "tcp:1", "tls:1", "http://a/", "https://a/", "dns:a", "postgres:a", "exec:true"] {
        let task = task(0, target, to, Span::secs(1), Span::secs(5));
        let said = words(&once(&task, Span::secs(5), &means).await.outcome);
        let refused = said.starts_with("broken: this version ");
        assert_eq!(refused, !is_made(&task.probe), "{target}: {said}");
    }
}

#[tokio::test]
async fn every_probe_is_made_again_and_again_at_its_own_pace() {
    let means = means(None);
    let seen = RefCell::new(BTreeMap::<u16, Vec<String>>::new());
    let (open, refused) = (silent("127.0.0.1:0"), nobody());
    let fast = Span::ms(50);
    let tasks = vec![
        tcp(0, open, fast, Span::secs(1)),
        tcp(1, refused, fast, Span::secs(1)),
        tcp(2, open, Span::secs(60), Span::secs(1)),
    ];
    let watching = watch(tasks, &means, async |id, _, attempt| {
        let Subject::Customer(id) = id else { panic!("{id:?}") };
        seen.borrow_mut().entry(id.index).or_default().push(words(&attempt.outcome));
    });
    assert!(tokio::time::timeout(Duration::from_millis(1_200), watching).await.is_err(), "it never ends");
    let seen = seen.into_inner();
    for (index, expected) in [(0, "ok: open"), (1, "fail: refused")] {
        let results = &seen[&index];
        assert!((5..=25).contains(&results.len()), "{}", results.len());
        assert!(results.iter().all(|said| said == expected), "{results:?}");
    }
    assert_eq!(seen[&2], ["ok: open"]);
}

#[tokio::test]
async fn a_slow_probe_is_not_made_twice_at_once_and_what_it_missed_is_not_made_up_for() {
    let means = means(None);
    let deaf = deaf().await;
    let began = Instant::now();
    let starts = RefCell::new(Vec::new());
    let slow = Cell::new(true);
    let open = silent("127.0.0.1:0");
    // Reports of the first three take longer than four intervals: as a slow attempt, or a slow loop.
    let watching = watch(vec![tcp(0, open, Span::ms(100), Span::secs(1))], &means, async |_, _, _| {
        starts.borrow_mut().push(dialer::since(began).as_ms());
        slow.set(starts.borrow().len() <= 3);
        if slow.get() {
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
    });
    let _ = tokio::time::timeout(Duration::from_millis(1_900), watching).await;
    let starts = starts.into_inner();
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..3].iter().all(|gap| *gap >= 440), "{gaps:?}");
    assert!(gaps[3..].iter().all(|gap| *gap >= 20), "bunched: {gaps:?}");
    assert!(gaps.len() >= 4, "{gaps:?}");

    let count = Cell::new(0);
    let watching =
        watch(vec![tcp(0, deaf.address, Span::ms(10), Span::ms(200))], &means, async |_, _, attempt| {
            assert_eq!(words(&attempt.outcome), "fail: no answer in 200ms");
            count.set(count.get() + 1);
        });
    let _ = tokio::time::timeout(Duration::from_millis(1_100), watching).await;
    assert!((2..=5).contains(&count.get()), "{}", count.get());
}

#[tokio::test]
async fn no_more_attempts_at_once_than_there_may_be() {
    let means = means(None);
    let deaf = deaf().await;
    let often = Span::secs(60);
    let tasks = (0..300).map(|index| tcp(index, deaf.address, often, Span::secs(2))).collect();
    let (now, first) = (Instant::now(), RefCell::new(Vec::new()));
    let all = tokio::sync::Notify::new();
    let watching = watch(tasks, &means, async |id, _, attempt| {
        assert_eq!(words(&attempt.outcome), "fail: no answer in 2s");
        let Subject::Customer(id) = id else { panic!("{id:?}") };
        first.borrow_mut().push((id.index, dialer::since(now).as_ms()));
        if first.borrow().len() == 300 {
            all.notify_one();
        }
    });
    tokio::select! {
        () = watching => panic!("it ended"),
        () = all.notified() => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => {}
    }
    let first = first.into_inner();
    assert_eq!(first.len(), 300, "each has its turn");
    // The first 256 take two seconds each from their own beginning; the others wait for them.
    let late = first.iter().filter(|(index, at)| usize::from(*index) >= AT_ONCE && *at >= 3_900).count();
    assert_eq!(late, 300 - AT_ONCE);
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let tasks = vec![tcp(0, to, Span::ms(20), Span::secs(1))];
    let task = tokio::spawn(async move { watch(tasks, &means(None), async |_, _, _| {}).await });
    listener.accept().await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // What was under way is in the queue; after that nobody comes.
    let quiet = Duration::from_millis(300);
    let mut after = 0;
    while tokio::time::timeout(quiet, listener.accept()).await.is_ok() {
        after += 1;
        assert!(after < 3, "it goes on");
    }
}

#[tokio::test]
async fn nothing_to_watch_is_soon_watched() {
    watch(Vec::new(), &means(None), async |_, _, _| {}).await;
}

#[test]
fn first_attempts_are_spread() {
    let offsets =
        |count: usize, every| (0..count).map(|n| offset(n, count, every).as_ms()).collect::<Vec<_>>();
    assert_eq!(offsets(1, Span::secs(2)), [0]);
    assert_eq!(offsets(4, Span::secs(2)), [0, 200, 500, 700]);
    assert_eq!(offsets(4, Span::ms(100)), [0, 20, 50, 70]);
    // In ten steps of seventy.
    let many = offsets(700, Span::secs(60));
    assert!(many.chunks(70).zip((0..).step_by(100)).all(|(step, at)| step.iter().all(|ms| *ms == at)));
    assert_eq!(many.last(), Some(&900));
}
