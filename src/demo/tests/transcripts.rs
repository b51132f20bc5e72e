//! The demo's hosts are held to the transcripts that the real helper is held to
//! (`tests/scenarios/transcripts`), so that the two can't part.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use self::level::NONCE;
use crate::demo::archive::Archive;
use crate::demo::model::{Caller, Host, Profile, Then};
use crate::demo::wire;
use crate::host::frame::{Answer, Parser};
use crate::host::verb::{FactWord, Verb};
use crate::types::{Nonce, OperationId, Time};

#[path = "../../../tests/scenarios/level.rs"]
mod level;

/// The tiny packages that the transcripts were made with.
const TABLE: &str = "\
hpt-lib|amd64|hpt-lib|misc|1.0-1|2.0-1|auto
hpt-app|amd64|hpt-app|misc|1.0-1|2.0-1||hpt-lib (>= 2.0), hpt-new|etc/hpt-app.conf etc/hpt-app.d +etc/hpt-app.d/since-2 etc/hpt-app.generated etc/hpt-app.link
hpt-data|all|hpt-data|misc|1.0|2.0|auto
hpt-tool|amd64|hpt-tool|misc|1:1.0-1|1:2.0-1||hpt-lib (>= 2.0)|+etc/hpt-tool.conf.dpkg-dist
hpt-split|amd64|hpt-split|misc|1.0-1|2.0-1|
hpt-new|amd64|hpt-new|misc|-|2.0-1|||+etc/hpt-new.conf
";

fn host() -> Host {
    let profile = Profile {
        name: "throwaway".to_owned(),
        rows: String::new(),
        address: Ipv4Addr::new(192, 0, 2, 10),
        gateway: Ipv4Addr::new(192, 0, 2, 1),
        customers: Vec::new(),
        by_hand: false,
        listens: Vec::new(),
        seed: 1,
    };
    Host::new(profile, Arc::new(Archive::read(TABLE).expect("reads")))
}

/// Asks as the transcript does, and gives the answer's bytes and what follows.
fn ask(host: &mut Host, words: &[String], input: &str, epoch: u64) -> (String, Option<Then>) {
    let nonce: Nonce = NONCE.parse().expect("a nonce");
    let words: Vec<String> = std::iter::once(epoch.to_string()).chain(words.iter().cloned()).collect();
    let call = wire::call(Caller::Root, &words, input.as_bytes()).expect("a call");
    let reply = host.answer(&call, Time::from_timestamp(1_763_700_000, 0).expect("a time"));
    let (bytes, _) = wire::frames(&nonce, Caller::Root, &reply);
    (String::from_utf8(bytes).expect("text"), reply.then)
}

/// Works an operation off.
pub(super) fn work(host: &mut Host, then: Option<Then>) {
    if let Some(Then::Operate(id)) = then {
        for step in host.steps(&id) {
            host.take(&id, step);
        }
    }
}

/// As the scenarios level, but that where a package comes from is said otherwise for an archive in a folder.
fn levelled(raw: &str) -> String {
    level::levelled(raw).replace(" Debian:12.9/stable [", " localhost [")
}

/// A transcript: the words of its call, the input, the answer.
fn read(name: &str) -> (Vec<String>, String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/transcripts/{name}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut lines = text.lines();
    let call = lines.next().and_then(|line| line.strip_prefix("> ")).expect("a call");
    let of =
        |keep: &dyn Fn(&str) -> Option<String>| text.lines().skip(1).filter_map(keep).collect::<String>();
    let input = of(&|line| line.strip_prefix("< ").map(|line| format!("{line}\n")));
    let answer = of(&|line| (!line.starts_with("< ")).then(|| format!("{line}\n")));
    (call.split(' ').map(str::to_owned).collect(), input, answer)
}

fn parsed(raw: &str) -> Answer {
    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    parser.push(raw.as_bytes()).expect("frames");
    parser.finish().expect("whole")
}

/// The same story as the scenario that writes the transcripts, in its order: with which epoch each
/// is asked.
const STORY: &[(&str, u64)] = &[
    ("hello", 0),
    ("simulate", 0),
    ("start", 5),
    ("read", 0),
    ("result-stage", 0),
    ("left-open", 0),
    ("refuse-busy", 5),
    ("have", 0),
    ("give", 0),
    ("refuse-no-file", 0),
    ("take", 5),
    ("refuse-mismatch", 5),
    ("refuse-unarmed", 5),
    ("arm", 5),
    ("* op-1 apply", 5),
    ("result-apply", 0),
    ("* op-2 apply", 5),
    ("result-apply-refused", 0),
    ("verify", 0),
    ("extend", 5),
    ("timer-armed", 0),
    ("refuse-wrong-token", 5),
    ("confirm", 5),
    ("timer", 0),
    ("refuse-not-armed", 5),
    ("* op-3 rollback", 5),
    ("result-rollback", 0),
    ("refuse-exists-differently", 5),
    ("refuse-stale-epoch", 4),
    ("refuse-unknown-operation", 0),
    ("refuse-usage", 0),
    ("reboot-already", 5),
    ("claim", 5),
    ("probe", 0),
    ("evidence", 0),
    ("left", 0),
    ("unpin", 5),
    ("clean", 5),
];

#[test]
fn the_demo_answers_every_verb_as_the_helpers_transcripts_say() {
    let mut host = host();
    let mut held = Vec::new();
    for (name, epoch) in STORY {
        // What the transcripts don't show: the starts in between.
        if let Some(start) = name.strip_prefix("* ") {
            let (id, kind) = start.split_once(' ').expect("an operation and a kind");
            let words = ["start", id, kind, "b1"].map(str::to_owned);
            let (_, then) = ask(&mut host, &words, "", *epoch);
            assert_eq!(then, Some(Then::Operate(id.parse::<OperationId>().expect("an id"))), "{name}");
            work(&mut host, then);
            continue;
        }
        let (words, input, agreed) = read(name);
        let (raw, then) = ask(&mut host, &words, &input, *epoch);
        assert_eq!(levelled(&raw), agreed, "{name}");
        // And a cockpit reads both alike, by the same strict parsers.
        let verb: Vec<&str> = words.iter().map(String::as_str).collect();
        let verb = Verb::from_words(&verb, &input).expect("a verb");
        let (ours, theirs) = (verb.read(&parsed(&raw)), verb.read(&parsed(&agreed)));
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(theirs), "{name}");
            }
            (ours, theirs) => assert_eq!(ours, theirs, "{name}"),
        }
        work(&mut host, then);
        held.push((*name).to_owned());
    }
    // None of the files is left out.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/transcripts");
    let mut files: Vec<String> = fs::read_dir(folder)
        .expect("the transcripts")
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    files.sort();
    held.sort();
    assert_eq!(held, files);
}

/// The sections of each domain, as the helper's own text makes them: `hp_fact NAME` in the function
/// `hp_facts_DOMAIN`.
fn sections_of_the_helper(domain: &str) -> Vec<String> {
    let start = format!("\nhp_facts_{domain}() {{");
    let body = crate::helper::TEXT.split_once(&start).map(|(_, rest)| rest).expect(domain);
    // A function of one line ends on it, others at the first bracket that stands alone.
    let body = body
        .split_once('\n')
        .filter(|(line, _)| line.ends_with('}'))
        .map_or_else(|| body.split_once("\n}\n").map(|(body, _)| body).expect(domain), |(line, _)| line);
    let mut names = Vec::new();
    for line in body.split(['\n', ';']) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["hp_fact", name, ..] => names.push((*name).to_owned()),
            ["hp_facts_dpkg", ..] => names.push("dpkg".to_owned()),
            _ => {}
        }
    }
    names
}

#[test]
fn the_demo_says_its_facts_in_the_sections_of_the_helper() {
    let mut host = host();
    for word in FactWord::ALL {
        let (raw, _) = ask(&mut host, &["facts".to_owned(), word.word().to_owned()], "", 0);
        let names: Vec<String> = parsed(&raw).sections.into_iter().map(|section| section.name).collect();
        assert_eq!(names, sections_of_the_helper(word.word()), "{}", word.word());
        assert!(!names.is_empty());
    }
    // All of them in one answer: what two domains stand on is there once.
    let (raw, _) = ask(&mut host, &["facts".to_owned()], "", 0);
    let mut names: Vec<String> = parsed(&raw).sections.into_iter().map(|section| section.name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
