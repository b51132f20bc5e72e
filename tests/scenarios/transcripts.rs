//! What each verb is answered, written down: the helper is held to it here, and whatever answers in
//! its place is to be held to the same files.
//!
//! A transcript is the call (`> VERB WORD...`), its input (`< line`) and the answer, levelled.

use std::fs;
use std::path::{Path, PathBuf};

use holdpoint::host::frame::{Answer, Parser};
use holdpoint::host::said::{Said, SaidError};
use holdpoint::host::verb::Verb;

pub use crate::level::NONCE;
use crate::level::levelled;

/// Set to any value, the scenario writes the files instead of comparing with them.
const WRITE: &str = "HOLDPOINT_WRITE_TRANSCRIPTS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/transcripts")
}

/// One transcript as text.
pub fn transcript(verb: &Verb, raw: &str) -> String {
    let mut text = format!("> {}\n", verb.words().join(" "));
    for line in verb.input().lines() {
        text.push_str(&format!("< {line}\n"));
    }
    text.push_str(&levelled(raw));
    text
}

/// Holds an answer to the file of that name.
pub fn hold(name: &str, verb: &Verb, raw: &str) {
    let path = folder().join(format!("{name}.txt"));
    let now = transcript(verb, raw);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &now).expect("written");
        return;
    }
    let agreed =
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; run with {WRITE}=1", path.display()));
    assert_eq!(now, agreed, "{name}: if this is meant, run with {WRITE}=1 and look at the difference");
}

/// A transcript, taken apart: its verb, and the answer as the cockpit reads it.
fn read(text: &str) -> (Verb, Answer) {
    let call = text.lines().next().and_then(|line| line.strip_prefix("> ")).expect("a call");
    let input: String =
        text.lines().filter_map(|line| line.strip_prefix("< ")).map(|line| format!("{line}\n")).collect();
    let answer: String = text
        .lines()
        .filter(|line| !line.starts_with("> ") && !line.starts_with("< "))
        .map(|line| format!("{line}\n"))
        .collect();
    let words: Vec<&str> = call.split(' ').collect();
    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    parser.push(answer.as_bytes()).expect("frames");
    (Verb::from_words(&words, &input).expect("a verb"), parser.finish().expect("whole"))
}

#[test]
fn every_transcript_reads_as_what_its_verb_says() {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).expect("the transcripts") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let (verb, answer) = read(&text);
        let said = verb.read(&answer);
        let fits = match (&verb, &said) {
            (Verb::Have(_), Ok(Said::Files(_)))
            | (Verb::Give { .. }, Ok(Said::Piece(_)))
            | (Verb::Take { .. }, Ok(Said::Taken(_))) => true,
            (_, Err(SaidError::Refused(refusal))) => name == format!("refuse-{}", refusal.code.word()),
            (Verb::Hello, Ok(Said::Hello(_)))
            | (Verb::Facts(_), Ok(Said::Facts(_)))
            | (Verb::Simulate(_), Ok(Said::Simulation(_)))
            | (Verb::Start { .. }, Ok(Said::Started(_)))
            | (Verb::Read { .. }, Ok(Said::Log(..)))
            | (Verb::Result(_), Ok(Said::Result(Some(_), _)))
            | (Verb::Verify(_), Ok(Said::Verified(_)))
            | (Verb::Claim, Ok(Said::Hello(_)))
            | (Verb::Left, Ok(Said::Left(_)))
            | (Verb::Unpin, Ok(Said::Unpinned(_)))
            | (
                Verb::Arm { .. } | Verb::Confirm { .. } | Verb::Extend { .. } | Verb::Timer(_),
                Ok(Said::Timer(_)),
            )
            | (Verb::Probe(_), Ok(Said::Looked(_)))
            | (Verb::Evidence { .. }, Ok(Said::Evidence(_)))
            | (Verb::Reboot { .. } | Verb::Clean(_), Ok(Said::Done)) => true,
            _ => false,
        };
        assert!(fits, "{name}: {said:?}");
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "arm",
            "claim",
            "clean",
            "confirm",
            "evidence",
            "extend",
            "give",
            "have",
            "hello",
            "left",
            "left-open",
            "probe",
            "read",
            "reboot-already",
            "refuse-busy",
            "refuse-exists-differently",
            "refuse-mismatch",
            "refuse-no-file",
            "refuse-not-armed",
            "refuse-stale-epoch",
            "refuse-unarmed",
            "refuse-unknown-operation",
            "refuse-usage",
            "refuse-wrong-token",
            "result-apply",
            "result-apply-refused",
            "result-rollback",
            "result-stage",
            "simulate",
            "start",
            "take",
            "timer",
            "timer-armed",
            "unpin",
            "verify"
        ]
    );
}
