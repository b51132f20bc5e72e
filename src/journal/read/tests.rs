//! Any record there can be is read back as it was written; anything else is told, never taken.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::Event;
use crate::core::arbitrary;
use crate::core::event::{GateEvent, WindowEvent};
use crate::journal::format::write;

fn header() -> Header {
    Header { program: "0.1.0".into(), created: Time::UNIX_EPOCH, recording: "r1".into() }
}

fn record(seq: Seq, event: Event) -> Record {
    let (actor, session) = (Actor::Holdpoint, "s1".to_owned());
    Record { seq, at: Time::UNIX_EPOCH, actor, session, epoch: 1, event }
}

fn note(seq: Seq) -> Record {
    record(seq, Event::Window(WindowEvent::Marked { note: format!("note {seq}").into() }))
}

/// A journal of these records, as bytes.
fn journal(records: &[Record]) -> Vec<u8> {
    let mut text = header().line().expect("writes") + "\n";
    let mut prev = Blake3::of(text.trim_end().as_bytes());
    for record in records {
        let line = write(record, prev).expect("writes");
        prev = Blake3::of(line.as_bytes());
        text += &line;
        text.push('\n');
    }
    text.into_bytes()
}

/// Adds a line with any fields, as a program of another version might write it: chain and sum are
/// right.
fn add(journal: &mut Vec<u8>, seq: Seq, event: &serde_json::Value) {
    let last = journal.trim_ascii_end().rsplit(|b| *b == b'\n').next().expect("a line");
    let (at, prev) = (Time::UNIX_EPOCH, Blake3::of(last));
    let body = format!(
        r#"{{"seq":{seq},"at":"{}","actor":"holdpoint","session":"s","epoch":1,"prev":"{prev}","event":{event}"#,
        at.to_rfc3339(),
    );
    let sum = Blake3::of(body.as_bytes());
    journal.extend_from_slice(format!("{body},\"sum\":\"{sum}\"}}\n").as_bytes());
}

fn sound(bytes: &[u8]) -> Journal {
    let journal = read(bytes).expect("reads");
    assert_eq!(journal.end, End::Whole);
    journal
}

fn damage(bytes: &[u8]) -> Damage {
    match read(bytes) {
        Err(ReadError::Damaged(damage)) => damage,
        other => panic!("no damage: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_record_is_read_back_as_it_was_written(records in arbitrary::records(6)) {
        let bytes = journal(&records);
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        // `cat` is harmless: only newlines end lines, and nothing acts or hides.
        prop_assert_eq!(text.lines().count(), records.len() + 1);
        for line in text.lines() {
            let shown = Untrusted::json(line);
            prop_assert_eq!(line, shown.as_str());
            prop_assert!(!line.chars().any(char::is_control));
        }
        let read = sound(&bytes);
        prop_assert_eq!(&read.header, &header());
        let back = read.into_records().expect("all are known");
        prop_assert_eq!(&back, &records);
        // `==` of versions is their order; the text has to be the same as well.
        prop_assert_eq!(journal(&back), bytes);
    }

    #[test]
    fn the_groups_and_versions_in_a_journal_are_those_of_the_events(event in arbitrary::event()) {
        let line = write(&record(1, event.clone()), Blake3::of(b"")).expect("writes");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let derived = serde_json::to_value(&event).expect("JSON");
        prop_assert_eq!(&line["event"]["group"], &derived["group"]);
        prop_assert_eq!(&line["event"]["data"], &derived["data"]);
        prop_assert_eq!(&line["event"]["v"], &json!(event.version()));
        let group = line["event"]["group"].as_str().expect("a word");
        let newer = json!({"group": group, "v": event.version() + 1, "data": {}});
        let mut bytes = journal(&[]);
        add(&mut bytes, 1, &newer);
        prop_assert!(matches!(sound(&bytes).entries[..], [Entry::Unknown(_)]));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes[..]);
        let mut after_header = journal(&[note(1)]);
        let sound = after_header.len();
        after_header.extend_from_slice(&bytes);
        let read = read_sound(&after_header[..]).expect("the header is there");
        prop_assert_eq!(read.known().cloned().collect::<Vec<_>>(), [note(1)]);
        match read.end {
            End::Whole => prop_assert_eq!(after_header.len(), sound),
            End::Torn(torn) => prop_assert_eq!(torn.offset, sound as u64),
            End::Damaged(damage) => prop_assert_eq!(damage.offset, sound as u64),
        }
    }
}

#[test]
fn what_this_program_does_not_know_is_kept_and_named() {
    let mut bytes = journal(&[note(1)]);
    add(&mut bytes, 2, &json!({"group": "window", "v": 1, "data": {"event": "resumed", "program": "0.7.0"}}));
    add(&mut bytes, 3, &json!({"group": "alarm", "v": 1, "data": {"event": "rung"}}));
    add(&mut bytes, 4, &json!({"group": "gate", "v": 9, "data": [1, 2]}));
    add(&mut bytes, 5, &json!({"group": "batch", "v": 1, "data": {"event": "moved", "batch": "x"}}));
    add(&mut bytes, 6, &json!({"group": "window", "v": 1, "data": {"event": "marked", "note": "n"}}));
    let journal = sound(&bytes);
    let seen: Vec<String> = journal
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Known(_) => None,
            Entry::Unknown(u) => {
                let word = u.word.as_ref().map_or("-".to_owned(), Untrusted::shown);
                Some(format!("{} {} {} {word} {}", u.seq, u.group.shown(), u.version, u.program.shown()))
            }
        })
        .collect();
    assert_eq!(seen, ["3 alarm 1 rung 0.7.0", "4 gate 9 - 0.7.0", "5 batch 1 moved 0.7.0"]);
    assert_eq!(journal.known().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 6]);
    let refused = journal.into_records().expect_err("three are unknown");
    assert_eq!(
        refused.to_string(),
        "3 of the journal's records are of events that this program does not know, the first is record 3 \
         (alarm version 1): use holdpoint 0.7.0 or newer; it can still be replayed"
    );
}

#[test]
fn a_known_event_that_does_not_fit_is_damage() {
    for event in [
        json!({"group": "window", "v": 1, "data": {"event": "marked"}}),
        json!({"group": "window", "v": 1, "data": {"no": "word"}}),
        json!({"group": "window", "v": 1, "data": 7}),
        json!({"group": "host", "v": 1, "data": {"event": "back", "host": "web1;reboot"}}),
        json!({"group": "samples", "v": 1, "data": {"event": "marked"}}),
        json!({"group": "window", "v": 0, "data": {"event": "marked", "note": "n"}}),
        json!({"group": "window", "v": 1, "data": {"event": "marked", "note": "n"}, "more": 1}),
    ] {
        let mut bytes = journal(&[note(1)]);
        let offset = bytes.len() as u64;
        add(&mut bytes, 2, &event);
        let damage = damage(&bytes);
        assert_eq!((damage.offset, damage.line, damage.sound), (offset, 3, 1), "{event}: {}", damage.why);
    }
}

#[test]
fn an_older_version_is_lifted() {
    const STEPS: &[Lift] = &[Lift {
        group: "gate",
        from: 0,
        step: |mut value| {
            value["reason"] = "none was asked for".into();
            Ok(value)
        },
    }];
    let mut bytes = journal(&[]);
    let old = json!({"event": "waived", "gate": "size", "batch": "web1-1", "failing": "f", "watch": "w",
        "until": "2026-11-21T22:00:00Z"});
    add(&mut bytes, 1, &json!({"group": "gate", "v": 0, "data": old}));
    let mut reader = Reader::lifting(&bytes[..], STEPS).expect("reads");
    let Some(Ok(Entry::Known(record))) = reader.next() else { panic!("not lifted") };
    let Event::Gate(GateEvent::Waived { reason, watch, .. }) = record.event else { panic!("another event") };
    assert_eq!((reason.raw(), watch.raw()), ("none was asked for", "w"));
    assert!(damage(&bytes).why.contains("has no step"), "without the step it can't be read");
}

#[test]
fn an_edit_with_its_sum_made_right_still_breaks_the_chain() {
    let whole = journal(&[note(1), note(2), note(3)]);
    let other = journal(&[record(1, Event::Window(WindowEvent::Marked { note: "other".into() }))]);
    let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (whole, other) = (lines(&whole), lines(&other));
    // Another first record: the second does not follow it.
    let edited = [&whole[0], &other[1], &whole[2], &whole[3]].map(|line| &line[..]).concat();
    assert_eq!((damage(&edited).line, damage(&edited).sound), (3, 1));
    // One left out, at the end as well: that is no torn write.
    let shorter = [&whole[0], &whole[1], &whole[3]].map(|line| &line[..]).concat();
    assert_eq!((damage(&shorter).line, damage(&shorter).sound), (3, 1));
    // One twice.
    let twice = [&whole[0], &whole[1], &whole[1]].map(|line| &line[..]).concat();
    assert!(damage(&twice).to_string().contains("line 3"), "{}", damage(&twice));
    // A number that does not follow, with chain and sum right.
    let mut bytes = journal(&[note(1)]);
    add(&mut bytes, 3, &json!({"group": "window", "v": 1, "data": {"event": "marked", "note": "n"}}));
    assert_eq!(damage(&bytes).why, "record 3 can't follow record 1");
}

#[test]
fn what_is_no_journal_says_so() {
    assert!(matches!(read(&b""[..]), Err(ReadError::Empty)));
    for not in ["x", "\n", "{}\n", "{\"format\":\"holdpoint.check/1\"}\n", "\u{7f}ELF\n\n\n"] {
        assert!(matches!(read(not.as_bytes()), Err(ReadError::NotAJournal(_))), "{not:?}");
    }
    let line = header().line().expect("writes");
    for cut in 1..line.len() {
        assert!(matches!(read(&line.as_bytes()[..cut]), Err(ReadError::NoHeader)), "{cut}");
    }
    let newer = "{\"format\":\"holdpoint.journal/2\",\"program\":\"3.1.0\",\"whatever\":[]}\n";
    let error = read(newer.as_bytes()).expect_err("newer");
    assert_eq!(
        error.to_string(),
        "the journal is of format 2, and this program reads up to 1: use holdpoint 3.1.0 or newer"
    );
}

/// Letters without end, and a count of how many were taken.
struct Flood<'a>(&'a std::cell::Cell<usize>);

impl Read for Flood<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        into.fill(b'x');
        self.0.set(self.0.get() + into.len());
        Ok(into.len())
    }
}

#[test]
fn a_line_without_end_is_bounded() {
    let taken = std::cell::Cell::new(0);
    let bytes = journal(&[note(1)]);
    let offset = bytes.len() as u64;
    let input = io::BufReader::new((&bytes[..]).chain(Flood(&taken)));
    let Err(ReadError::Damaged(damage)) = read(input) else { panic!("no damage") };
    assert_eq!((damage.offset, damage.line), (offset, 3));
    assert!(damage.why.contains("longer than"), "{}", damage.why);
    assert!(taken.get() < LINE_MAX + (1 << 16), "{} bytes taken", taken.get());
    assert!(read(io::BufReader::new(Flood(&taken))).is_err());
}

#[test]
fn a_record_too_long_to_be_read_back_is_not_written() {
    let line = |bytes: usize| {
        let (host, source) = ("web1".parse().expect("a name"), crate::core::event::LogSource::Holdpoint);
        crate::core::event::LogLine::new(host, source, Time::UNIX_EPOCH, "x".repeat(bytes).into())
    };
    let lines = vec![line(4_000); LINE_MAX / 4_000];
    let samples = crate::core::event::Samples { lines, ..Default::default() };
    let error = write(&record(7, Event::Samples(samples)), Blake3::of(b"")).expect_err("too long");
    assert!(matches!(error, crate::journal::Refused::TooLong { seq: 7, .. }), "{error}");
}
