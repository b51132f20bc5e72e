use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::event::{Phases, ProbeId};
use crate::plan::{Limit, Probe, VantageKind};

/// Places that answer as they are told, and what they were asked.
#[derive(Default)]
struct Told {
    asked: Mutex<Vec<(String, usize)>>,
    /// Why they can't be asked.
    not: Mutex<Option<Unasked>>,
    takes: Duration,
    /// They look at a part alone.
    in_part: bool,
}

impl Places for Arc<Told> {
    async fn ask(&self, place: &HostName, looks: Vec<Look>) -> Result<Vec<Looked>, Unasked> {
        self.asked.lock().unwrap().push((place.to_string(), looks.len()));
        tokio::time::sleep(self.takes).await;
        if let Some(not) = self.not.lock().unwrap().clone() {
            return Err(not);
        }
        let outcome = ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let looked = Looked {
            outcome,
            whole: !self.in_part,
            local: "192.0.2.9:4001".parse().ok(),
            phases: Phases::default(),
            status: None,
            certificate: None,
        };
        Ok(vec![looked; looks.len()])
    }
}

fn task(index: u16, vantage: Vantage, from: VantageKind, every: Span) -> ProbeTask {
    ProbeTask {
        id: Subject::Customer(ProbeId { customer: "acme".parse().unwrap(), index }),
        probe: Probe {
            target: ProbeTarget::Tcp { port: 443 },
            from,
            every,
            timeout: Span::secs(3),
            delay: Span::ZERO,
            fails: Limit::USUAL,
            required: true,
            body: None,
        },
        host: "web1".parse().ok(),
        address: "192.0.2.1".parse().ok(),
        vantage,
    }
}

/// What was asked, and how many results of each kind there were, after so long by tokio's clock.
async fn after(
    seconds: u64,
    tasks: Vec<ProbeTask>,
    places: &Arc<Told>,
    board: &Board,
) -> (Vec<(String, usize)>, Vec<(Vantage, Attempt)>) {
    let seen = Mutex::new(Vec::new());
    let watching = watch(tasks, places, board, async |_, vantage, attempt| {
        seen.lock().unwrap().push((vantage, attempt));
    });
    let _ended_or_not = tokio::time::timeout(Duration::from_secs(seconds), watching).await;
    (std::mem::take(&mut *places.asked.lock().unwrap()), seen.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_due_at_one_place_is_asked_in_one_question() {
    let places = Arc::new(Told::default());
    let board = Board::default();
    let mut tasks: Vec<ProbeTask> =
        (0..5).map(|n| task(n, Vantage::Inside, VantageKind::Inside, Span::secs(2))).collect();
    tasks.push(task(5, Vantage::Peer("web2".parse().unwrap()), VantageKind::Peer, Span::secs(2)));
    // Made here, not there.
    tasks.push(task(6, Vantage::Cockpit, VantageKind::Outside, Span::secs(2)));
    let (asked, seen) = after(9, tasks, &places, &board).await;
    let of =
        |place: &str| asked.iter().filter(|(name, _)| name == place).map(|(_, n)| *n).collect::<Vec<_>>();
    assert_eq!(of("web1"), [5; 5]);
    assert_eq!(of("web2"), [1; 5]);
    assert_eq!(seen.len(), 30);
    let (_, attempt) = &seen[0];
    assert_eq!(attempt.sighting.local, "192.0.2.9:4001".parse().ok());
    assert_eq!(attempt.sighting.peer, "192.0.2.1:443".parse().ok());
}

#[tokio::test(start_paused = true)]
async fn what_explains_waits_until_what_it_explains_fails() {
    let places = Arc::new(Told::default());
    let board = Board::default();
    let tasks = || vec![task(0, Vantage::Inside, VantageKind::Outside, Span::secs(2))];
    let (asked, _) = after(40, tasks(), &places, &board).await;
    assert_eq!(asked.len(), 3, "at once, then every 15 s");
    let subject = tasks()[0].id.clone();
    let seen = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        board.took(&subject, &ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s"));
        let before = places.asked.lock().unwrap().len();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!((before, places.asked.lock().unwrap().len()), (1, 2), "asked at once");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(places.asked.lock().unwrap().len(), 7, "and every two seconds");
        let ok = ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        board.took(&subject, &ok);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(places.asked.lock().unwrap().len(), 7, "then seldom again");
    };
    tokio::select! {
        _ = after(60, tasks(), &places, &board) => panic!("it has ended"),
        () = seen => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_explains_takes_a_host_a_third_of_the_time_at_most_while_all_is_well() {
    let places = Arc::new(Told { takes: Duration::from_secs(3), ..Told::default() });
    let tasks: Vec<ProbeTask> =
        (0..60).map(|n| task(n, Vantage::Inside, VantageKind::Outside, Span::secs(1))).collect();
    let (asked, seen) = after(90, tasks, &places, &Board::default()).await;
    assert!((10..=11).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|(_, n)| *n == SOME), "{asked:?}");
    assert!(seen.len() >= 60 * 3, "{}", seen.len());
}

/// How old the newest look was at most while the target failed, and how many questions there were at a time.
async fn oldest(takes: Duration, outcome: ProbeOutcome, every: Span, calm: u16) -> (Duration, usize) {
    struct Slow {
        takes: Duration,
        outcome: ProbeOutcome,
        now: Mutex<(usize, usize)>,
    }
    impl Places for Slow {
        async fn ask(&self, _: &HostName, looks: Vec<Look>) -> Result<Vec<Looked>, Unasked> {
            {
                let mut now = self.now.lock().unwrap();
                now.0 += 1;
                now.1 = now.1.max(now.0);
            }
            tokio::time::sleep(self.takes).await;
            self.now.lock().unwrap().0 -= 1;
            let outcome = self.outcome.clone();
            let phases = Phases::default();
            Ok(vec![
                Looked { outcome, whole: true, local: None, phases, status: None, certificate: None };
                looks.len()
            ])
        }
    }
    let places = Slow { takes, outcome, now: Mutex::default() };
    let board = Board::default();
    let tasks: Vec<ProbeTask> =
        (0..=calm).map(|n| task(n, Vantage::Inside, VantageKind::Outside, every)).collect();
    let subject = tasks[0].id.clone();
    let seen = Mutex::new(None);
    let watching = watch(tasks, &places, &board, async |id, _, _| {
        if id == subject {
            *seen.lock().unwrap() = Some(Instant::now());
        }
    });
    let fails = async {
        let mut most = Duration::ZERO;
        // It begins to fail at any moment of the calm turn, and fails for a while, again and again.
        for n in 0..40 {
            tokio::time::sleep(Duration::from_millis(16_000 + 370 * n)).await;
            board.took(&subject, &ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s"));
            let mut newest = Instant::now();
            for _ in 0..600 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                newest = newest.max(seen.lock().unwrap().unwrap_or(newest));
                most = most.max(newest.elapsed());
            }
            board.took(&subject, &ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() });
        }
        most
    };
    tokio::select! {
        () = watching => panic!("it has ended"),
        most = fails => (most, places.now.lock().unwrap().1),
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_explains_a_failure_is_never_old_and_questions_do_not_pile_up() {
    let ok = || ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
    let hangs = || ProbeOutcome::fail(FailKind::Silence, "no answer in 3s");
    for (takes, outcome, every, calm, limit) in [
        // A sound host answers within the pace that it is asked at.
        (100, ok(), 2, 0, 2_200),
        (100, ok(), 2, 20, 2_800),
        // Of a probe that the plan makes once a minute as well.
        (100, ok(), 60, 0, 5_200),
        // A service that hangs: each look takes its timeout, and the next follows at once.
        (3_100, hangs(), 2, 0, 6_600),
        (3_100, hangs(), 2, 20, 6_600),
        // A slow host is given time between two questions, and not for long.
        (5_000, ok(), 2, 0, 13_100),
        (20_000, ok(), 2, 0, 43_100),
    ] {
        let takes = Duration::from_millis(takes);
        let (most, at_a_time) = oldest(takes, outcome.clone(), Span::secs(every), calm).await;
        assert!(most <= Duration::from_millis(limit), "{most:?} with {takes:?} {outcome:?} {every} {calm}");
        assert_eq!(at_a_time, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_can_not_be_asked_is_no_failure_and_is_left_alone() {
    let not = |is_final| Unasked { why: "no route".into(), is_final };
    for (is_final, least, most) in [(false, 8, 11), (true, 1, 1)] {
        let places = Arc::new(Told { not: Mutex::new(Some(not(is_final))), ..Told::default() });
        let tasks = vec![task(0, Vantage::Inside, VantageKind::Inside, Span::secs(1))];
        let (asked, seen) = after(20, tasks, &places, &Board::default()).await;
        assert!((least..=most).contains(&asked.len()), "{}", asked.len());
        let broken = ProbeOutcome::broken("web1 could not be asked: no route");
        assert!(seen.iter().all(|(_, attempt)| attempt.outcome == broken), "{seen:?}");
        assert_eq!(seen.len(), asked.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_the_plan_wants_in_a_body_is_not_said_to_be_there() {
    let places = Arc::new(Told::default());
    let mut page = task(0, Vantage::Inside, VantageKind::Inside, Span::secs(2));
    page.probe.body = Some("welcome".to_owned());
    let mut explains = page.clone();
    explains.probe.from = VantageKind::Outside;
    let (_, seen) = after(1, vec![page, explains], &places, &Board::default()).await;
    let said = "open; its body not looked at";
    let outcomes: Vec<_> = seen.iter().map(|(_, attempt)| attempt.outcome.clone()).collect();
    let ok = ProbeOutcome::Ok { took: Span::ms(1), said: said.into() };
    // What only explains is told as far as it goes; what is judged is not passed by a part.
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.contains(&ok) && outcomes.contains(&ProbeOutcome::broken(said)), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_what_is_judged_is_no_pass() {
    let places = Arc::new(Told { in_part: true, ..Told::default() });
    let outcome = |mut seen: Vec<(Vantage, Attempt)>| seen.remove(0).1.outcome;
    let judged = task(0, Vantage::Inside, VantageKind::Inside, Span::secs(2));
    let (_, seen) = after(1, vec![judged], &places, &Board::default()).await;
    assert_eq!(outcome(seen), ProbeOutcome::broken("open"));
    let explains = task(0, Vantage::Inside, VantageKind::Outside, Span::secs(2));
    let (_, seen) = after(1, vec![explains], &places, &Board::default()).await;
    assert_eq!(outcome(seen), ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() });
}

/// A command that hangs for half a minute makes nothing else of its host stale.
#[tokio::test(start_paused = true)]
async fn what_may_take_long_is_asked_by_itself() {
    let places = Arc::new(Slow);
    let seen = Mutex::new(Vec::new());
    let mut slow = task(0, Vantage::Inside, VantageKind::Inside, Span::secs(2));
    slow.probe.timeout = Span::secs(30);
    let tasks = vec![slow, task(1, Vantage::Inside, VantageKind::Inside, Span::secs(2))];
    let board = Board::default();
    let watching = watch(tasks, &places, &board, async |subject, _, _| {
        if let Subject::Customer(ProbeId { index, .. }) = subject {
            seen.lock().unwrap().push(index);
        }
    });
    let _ended_or_not = tokio::time::timeout(Duration::from_secs(29), watching).await;
    let seen = seen.into_inner().unwrap();
    assert_eq!((seen.contains(&0), seen.len() > 12), (false, true), "{seen:?}");
}

/// A place whose answer takes as long as the slowest may.
struct Slow;

impl Places for Arc<Slow> {
    async fn ask(&self, _: &HostName, looks: Vec<Look>) -> Result<Vec<Looked>, Unasked> {
        let longest = looks.iter().map(Look::timeout).max().unwrap();
        tokio::time::sleep(if longest > Span::secs(3) { longest.into() } else { Duration::from_millis(9) })
            .await;
        let outcome = ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let phases = Phases::default();
        let looked = Looked { outcome, whole: true, local: None, phases, status: None, certificate: None };
        Ok(vec![looked; looks.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_host_can_be_asked_is_said_and_asks_nobody() {
    let places = Arc::new(Told::default());
    let mut bad = task(0, Vantage::Inside, VantageKind::Inside, Span::secs(2));
    bad.address = None;
    let (asked, seen) = after(3, vec![bad], &places, &Board::default()).await;
    assert_eq!(asked, []);
    assert_eq!(seen[0].1.outcome, ProbeOutcome::broken("the customer has no address in the plan"));
}

#[test]
fn a_certificate_that_a_host_was_shown_is_kept_with_what_it_says_against_it() {
    let pem = include_str!("../../probe/fixtures/acme.pem");
    let leaf = pem.split("-----BEGIN CERTIFICATE-----").nth(1).expect("a certificate");
    let text: String = leaf.split("-----END").next().expect("its text").split_whitespace().collect();
    let line = |how: &str, text: &str| {
        let line = format!("0 {how} 9 connected=1 secured=8 certificate={text}\tTLSv1.3");
        let section =
            crate::facts::Section { name: "probe".to_owned(), lines: vec![line.into_bytes()], status: 0 };
        Looked::parse(&section, 1).expect("reads").remove(0)
    };
    for (how, against) in [("ok", None), ("fail certificate", Some("TLSv1.3".into()))] {
        let attempt = attempt(line(how, &text), None);
        let certificate = attempt.sighting.certificate.expect("a certificate");
        assert!(certificate.names.iter().any(|name| name.raw().contains("acme")), "{certificate:?}");
        assert_eq!(certificate.against, against);
    }
    assert_eq!(attempt(line("ok", "AAEC"), None).sighting.certificate, None, "it is none");
}
