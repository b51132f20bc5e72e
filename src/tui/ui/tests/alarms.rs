//! What is acknowledged, and for how long.

use super::*;
use crate::core::alarm::words;
use crate::tui::view::banner;

/// `a`, and what it comes to in the record.
fn acknowledge(sample: &mut Sample, hands: &mut Hands) -> Vec<String> {
    let causes = match hands.key(Key::Char('a')) {
        Some(Action::Acknowledge(causes)) => causes,
        None => Vec::new(),
        other => panic!("{other:?}"),
    };
    let told = causes.iter().map(words).collect();
    causes.into_iter().for_each(|cause| sample.ask(Intent::Acknowledge { cause }));
    hands.view = sample.view();
    told
}

fn seen(hands: &Hands) -> bool {
    banner::of(&hands.view, hands.now).expect("a banner").seen(&hands.ui)
}

#[test]
fn an_alarm_is_acknowledged_in_the_record() {
    let mut sample = Sample::counting();
    let mut hands = Hands::on(&sample);
    assert_eq!(acknowledge(&mut sample, &mut hands), ["customer globex"]);
    assert!(seen(&hands));
    // In a replay there is nobody to tell.
    let mut hands = Hands::on(&Sample::counting());
    hands.view.live = false;
    assert_eq!(hands.key(Key::Char('a')), None);
    assert!(!seen(&hands), "it stands there as it was");
}

#[test]
fn the_next_alarm_of_that_name_is_a_new_one() {
    let mut sample = Sample::failing();
    let mut hands = Hands::on(&sample);
    assert_eq!(acknowledge(&mut sample, &mut hands), ["customer globex"]);
    assert!(seen(&hands));
    for second in 10..20 {
        sample.probe_all(&format!("02:30:{}", second * 3));
    }
    assert!(sample.state.alarms.raised.is_empty(), "it is over");
    for second in 10..20 {
        sample.probe(&format!("02:31:{}", second * 3), Some("globex"));
    }
    (hands.view, hands.now) = (sample.view(), sample.now);
    assert!(!sample.state.alarms.raised.is_empty() && !seen(&hands), "dark again");
}

#[test]
fn a_countdown_is_not_acknowledged_by_what_was_seen_before_it_began() {
    let mut sample = Sample::counting();
    let mut hands = Hands::on(&sample);
    acknowledge(&mut sample, &mut hands);
    assert!(seen(&hands));
    // Another one runs, of the same line, while the alarm is still there.
    let later = hands.now + Span::secs(20);
    let met = sample.state.alarms.lines.values_mut().next().expect("a line");
    met.counts = Some((later, later + Span::secs(60)));
    (hands.view, hands.now) = (sample.view(), later);
    assert!(!seen(&hands), "nobody has seen this one");
    assert_eq!(acknowledge(&mut sample, &mut hands), [] as [&str; 0], "its alarm is acknowledged already");
    assert!(seen(&hands));
    let met = sample.state.alarms.lines.values_mut().next().expect("a line");
    met.counts = Some((later + Span::secs(30), later + Span::secs(90)));
    (hands.view, hands.now) = (sample.view(), later + Span::secs(30));
    assert!(!seen(&hands), "nor the next");
}

#[test]
fn what_is_no_alarm_of_the_record_is_acknowledged_until_it_comes_again() {
    let sample = Sample::failing();
    let mut hands = Hands::on(&sample);
    let failing = |since| crate::core::JournalHealth::Failing { since, why: "disk full".into() };
    hands.view.journal = failing(hands.now);
    assert_eq!(hands.key(Key::Char('a')), None);
    assert!(seen(&hands));
    hands.view.journal = failing(hands.now + Span::mins(5));
    assert!(!seen(&hands), "it failed anew");
}

#[test]
fn a_flood_is_acknowledged_as_a_whole_and_listed() {
    let mut sample = Sample::flood();
    let mut hands = Hands::on(&sample);
    let told = acknowledge(&mut sample, &mut hands);
    assert_eq!((told.len(), told[0].as_str()), (11, "customer globex"));
    assert!(
        hands.view.state.alarms.raised.values().all(|alarm| alarm.acknowledged.is_some()),
        "in the record"
    );
    assert!(hands.keys(":pane alarms\n").is_empty() && hands.ui.pane == Pane::Alarms);
    let listed = crate::tui::view::copied(&hands.view, &hands.ui, hands.now);
    assert!(listed.contains("acknowledged  globex 192.0.2.32:443 outside FAIL"), "{listed}");
    hands.keys("/worker@7\n");
    let listed = crate::tui::view::copied(&hands.view, &hands.ui, hands.now);
    assert!(listed.contains("web3: worker@7.service has failed since web3 batch 1"), "{listed}");
}
