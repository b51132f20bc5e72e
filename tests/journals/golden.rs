//! The journal that each release wrote stays readable. `v1.jsonl` is what the program writes now; a
//! change of what is written, once it is meant, is made as `holdpoint::journal` says (a step that
//! lifts what is old), and the golden file of a released version is never written anew.

use std::path::Path;

use holdpoint::core::State;
use holdpoint::core::event::{Cause, ProbeOutcome, Purpose};
use holdpoint::core::state::{Phase, Reach, Round, Work};
use holdpoint::journal::{End, read};
use holdpoint::types::{HostName, Span};

use crate::reference::{all, at, events, header, numbered, write};

const V1: &[u8] = include_bytes!("v1.jsonl");
/// As it was written before there were packets, logs, evidence and alarms.
const BEFORE: &[u8] = include_bytes!("v1-before-probes.jsonl");

#[test]
fn packets_logs_evidence_and_alarms_read_and_fold() {
    let journal = read(V1).expect("it is sound");
    assert_eq!(journal.end, End::Whole);
    let records = journal.into_records().expect("all are known");
    assert_eq!(records, numbered(all()));
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    let host: HostName = "web1".parse().expect("a name");
    assert!(state.captures[&host].unseen.is_some() && state.logs[&host].unseen.is_some());
    assert_eq!((state.packets.pushed(), state.packets_left_out, state.log.pushed()), (1, 7, 2));
    let probe = state.probes.values().next().expect("acme's");
    assert_eq!(probe.others.len(), 2);
    assert_eq!(probe.own.flow.as_ref().map(|(_, flow)| (flow.asked, flow.by_time)), Some((2, true)));
    let raised: Vec<&Cause> = state.alarms.raised.keys().collect();
    let acme = "acme".parse().expect("a name");
    assert_eq!(raised, [&Cause::Customer(acme), &Cause::Logs(host.clone())]);
    assert!(state.alarms.raised[&Cause::Logs(host.clone())].acknowledged.is_some());
    assert!(state.alarms.lines.is_empty());
    let saved = state.evidence[&host].saved.as_ref().expect("saved");
    assert_eq!(saved.1.as_ref().map(|file| file.bytes), Ok(619));
}

#[test]
fn the_golden_journal_reads_and_folds() {
    let journal = read(BEFORE).expect("it is sound");
    assert_eq!(journal.end, End::Whole);
    assert_eq!(journal.header, header("golden", at(0)));
    let records = journal.into_records().expect("all are known");
    assert_eq!(records, numbered(events()));

    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    assert_eq!((state.seq, state.at, state.epoch), (17, Some(at(17)), 1));
    assert_eq!((state.purpose, state.opened), (Some(Purpose::Rehearsal), Some(at(1))));
    assert_eq!(state.round, Round::Back);
    assert_eq!(state.frozen.as_ref().map(|r| (r.apply, r.set.len())), Some((Span::ms(8_250), 1)));
    let web1 = &state.hosts[&"web1".parse().expect("a name")];
    let Reach::Down { since, why } = &web1.reach else { panic!("{:?}", web1.reach) };
    assert_eq!((*since, why.what.raw()), (at(5), "no answer from web1 in 3s"));
    let listeners = web1.facts.listeners.as_ref().and_then(|aged| aged.known()).expect("known");
    assert_eq!(listeners[0].program.as_ref().map(|p| p.shown()).as_deref(), Some("nginx\\u{202e}\\e[2J"));
    let batch = &state.batches[&"web1-1".parse().expect("an id")];
    assert_eq!((batch.phase, batch.since), (Phase::Applied, at(14)));
    assert_eq!(batch.changes[0].to.as_str(), "3.0.15-1~deb12u1");
    assert_eq!(batch.proof.as_ref().map(|proof| proof.files.len()), Some(1));
    assert_eq!(state.waivers.len(), 1);
    assert_eq!(state.waivers[0].until, at(1_800));
    let probe = state.probes.values().next().expect("acme's");
    assert!(matches!(probe.last(), Some((_, ProbeOutcome::Ok { .. }))));
    let waiting: Vec<Work> = state.pending.values().map(|pending| pending.work).collect();
    assert_eq!(waiting, [Work::Probe]);
    assert_eq!((state.log_left_out, state.markers.len()), (3, 1));
}

#[test]
fn what_is_written_now_is_the_golden_journal() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("r");
    write(&folder, &header("golden", at(0)), numbered(all()));
    let written = std::fs::read(folder.join("journal.jsonl")).expect("reads");
    // Until the first release the golden journal may follow the types.
    if std::env::var_os("HOLDPOINT_WRITE_GOLDEN").is_some() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/v1.jsonl");
        std::fs::write(golden, &written).expect("writes");
        return;
    }
    let (written, golden) = (String::from_utf8(written).expect("UTF-8"), str::from_utf8(V1).expect("UTF-8"));
    for (line, (written, golden)) in (1..).zip(written.lines().zip(golden.lines())) {
        assert_eq!(written, golden, "line {line}");
    }
    assert_eq!(written, golden);
}
