use super::*;
use crate::plan::{Probe, VantageKind};

/// A clock of this machine that runs, and that a test sets.
fn clock() -> (Clock, Arc<Mutex<chrono::TimeDelta>>) {
    let set = Arc::new(Mutex::new(chrono::TimeDelta::zero()));
    let (began, by) = (Instant::now(), Arc::clone(&set));
    let first: Time = "2026-11-22T22:00:00Z".parse().unwrap();
    (Arc::new(move || first + began.elapsed() + *by.lock().unwrap()), set)
}

/// This machine's clock is set by an hour, either way, while a probe's attempt is under way, and its packets come in.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_no_attempt_away_from_its_packets() {
    for hours in [1, -1] {
        let (clock, set) = clock();
        let captures = Captures::new(clock);
        let (host, id): (HostName, ProbeId) =
            ("web1".parse().unwrap(), ProbeId { customer: "acme".parse().unwrap(), index: 0 });
        let mut words = captures.join(&host);
        let probe = Probe {
            target: ProbeTarget::Tcp { port: 443 },
            from: VantageKind::Outside,
            every: Span::secs(2),
            timeout: Span::secs(3),
            delay: Span::ZERO,
            fails: crate::plan::Limit::USUAL,
            required: true,
            body: None,
        };
        let task = ProbeTask {
            id: Subject::Customer(id.clone()),
            vantage: Vantage::Cockpit,
            host: Some(host),
            address: None,
            probe,
        };
        let registrar = Registrar::new(captures.clone(), &[task]);
        tokio::time::advance(Duration::from_secs(10)).await;
        let came = captures.steady.now();
        assert_eq!(captures.steady.ahead(), 0);
        *set.lock().unwrap() = chrono::TimeDelta::hours(hours);
        tokio::time::advance(Duration::from_secs(2)).await;
        let seen = Sighting {
            local: Some("198.51.100.7:51034".parse().unwrap()),
            peer: Some("192.0.2.32:443".parse().unwrap()),
            ..Sighting::default()
        };
        let outcome = ProbeOutcome::fail(crate::core::event::FailKind::NoAnswer, "no answer in 3s");
        registrar.ended(&id, &Vantage::Cockpit, &outcome, &seen);
        let Some(Word::Attempted(attempt)) = words.recv().await else { panic!("it is looked for") };
        assert!(attempt.began <= came && came <= attempt.ended, "{hours}: {attempt:?}, packets at {came}");
        assert_eq!(attempt.ended - attempt.began, 3_000_000_000);
        // What is told of it, and of the wire, is by the clock that the journal goes by.
        let ahead = captures.steady.ahead();
        assert_eq!(ahead, hours * 3_600_000_000_000);
        let now: Time = "2026-11-22T22:00:12Z".parse().unwrap();
        assert_eq!(attempt.at, now + chrono::TimeDelta::hours(hours));
        let whole = Some(Whole { since: now - Duration::from_secs(5), until: now });
        let mut event = PacketEvent::Tallied {
            host: "web1".parse().unwrap(),
            over: Span::secs(5),
            tallies: Vec::new(),
            dropped: 0,
            whole,
        };
        by_the_clock(&mut event, ahead);
        let PacketEvent::Tallied { whole: Some(whole), .. } = event else { panic!("{event:?}") };
        assert_eq!(whole.until, attempt.at);
        assert_eq!(whole.until - whole.since, chrono::TimeDelta::seconds(5));
    }
}
