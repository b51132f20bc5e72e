//! Errors in a host's logs: when they are an alarm, and what that alarm does.

use super::*;

/// A host's logs that were followed for two minutes before its first change, with so many errors then.
fn followed(drive: &mut Drive, host: &str, errors: u32) {
    let mut logs = Logs::default();
    logs.followed(drive.now - Span::mins(2));
    logs.counted(drive.now - Span::mins(2), errors, 0);
    logs.settle(drive.now);
    drive.state.logs.insert(name(host), logs);
}

/// A stretch of five seconds passes in which a host's logs told of so many errors.
fn errors(drive: &mut Drive, host: &str, errors: u32) {
    drive.now = drive.now + Span::secs(5);
    let (over, source) = (Span::secs(5), LogSource::Journal);
    let counted = LogEvent::Counted { host: name(host), source, over, lines: errors, errors, left_out: 0 };
    drive.add(Event::Log(counted));
    drive.follow();
}

#[test]
fn many_errors_in_a_hosts_logs_are_an_alarm_until_they_are_few_for_a_minute() {
    let raised = "raised errors in the logs of web1";
    // How many before in two minutes, the phase of its batch, errors in each stretch, and what is told.
    for (before, phase, stretches, wanted) in [
        (0, Phase::Verified, &[9, 0, 0][..], &[][..]),
        (0, Phase::Verified, &[9, 1], &[raised]),
        (0, Phase::Confirmed, &[0, 10], &[raised]),
        (10, Phase::Verified, &[5, 5, 4], &[]),
        (10, Phase::Verified, &[5, 5, 5], &[raised]),
        // What the work itself is expected to cause.
        (0, Phase::Applying, &[50, 50], &[]),
        (0, Phase::Rebooting, &[50, 50], &[]),
        (0, Phase::RollingBack, &[50, 50], &[]),
    ] {
        let mut drive = Drive::new("armed", LINE);
        followed(&mut drive, "web1", before);
        drive.batch(|batch| batch.phase = phase);
        stretches.iter().for_each(|count| errors(&mut drive, "web1", *count));
        assert_eq!(drive.told(), wanted, "{before} {phase:?} {stretches:?}");
    }
    // A stretch that was told as the apply ended was about the apply.
    let mut drive = Drive::new("armed", LINE);
    followed(&mut drive, "web1", 0);
    let over = drive.now;
    drive.batch(|batch| batch.disturbed = Some(over));
    errors(&mut drive, "web1", 50);
    assert_eq!(drive.told(), Vec::<String>::new());
    errors(&mut drive, "web1", 10);
    assert_eq!(drive.told(), [raised]);
    let words = drive.state.alarms.raised[&Cause::Logs(name("web1"))].said.shown();
    assert_eq!(
        words,
        "web1: its logs have 60 errors in the last minute, 0.0 a minute before its first change"
    );
    // Acknowledged it stays; what is not seen any more is not over.
    drive.ask(Intent::Acknowledge { cause: Cause::Logs(name("web1")) });
    assert_eq!(drive.told(), ["acknowledged errors in the logs of web1"]);
    drive.add(Event::Log(LogEvent::Unseen { host: name("web1"), why: "gone".into() }));
    (0..30).for_each(|_| errors(&mut drive, "web1", 0));
    assert_eq!(drive.told(), Vec::<String>::new());
    drive.add(Event::Log(LogEvent::Following { host: name("web1") }));
    (0..11).for_each(|_| errors(&mut drive, "web1", 0));
    assert_eq!(drive.told(), Vec::<String>::new(), "a whole minute is waited for");
    errors(&mut drive, "web1", 4);
    assert_eq!(drive.told(), ["cleared errors in the logs of web1"]);
    // No line of the plan is met by it: customers decide.
    assert!(drive.state.alarms.lines.is_empty());
}

#[test]
fn errors_in_logs_rank_below_all_else_and_nothing_is_told_of_anothers_host() {
    let mut drive = Drive::new("off", LINE);
    followed(&mut drive, "web1", 0);
    errors(&mut drive, "web1", 99);
    drive.seen(3, &["globex", "hooli"]);
    let ranked: Vec<String> = ranked(&drive.state).iter().map(|(cause, _)| words(cause)).collect();
    assert_eq!(ranked, ["customer globex", "customer hooli", "errors in the logs of web1"]);
    assert_eq!(host(&drive.state, &Cause::Logs(name("web1"))), Some(name("web1")));
    let mut drive = Drive::new("off", LINE);
    followed(&mut drive, "web1", 0);
    let helper = HelperState { enrolled: true, why_not: None, epoch: 9 };
    drive.add(Event::Host(HostEvent::Greeted { host: name("web1"), helper }));
    errors(&mut drive, "web1", 99);
    assert_eq!(drive.told(), Vec::<String>::new(), "another cockpit holds it, and works there");
}
