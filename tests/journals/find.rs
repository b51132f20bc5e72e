//! The rehearsal that a window stands on is the newest of its baseline, and found in the journals
//! themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use holdpoint::core::Event;
use holdpoint::core::event::Purpose;
use holdpoint::journal::{find_rehearsal, rehearsal_in};
use holdpoint::types::{HostName, Span, Time};

use crate::reference::{at, frozen, header, numbered, opened, write};

fn record(root: &Path, name: &str, created: Time, events: Vec<Event>) {
    write(&root.join(name), &header(name, created), numbered(events));
}

fn found(root: &Path, baseline: &str) -> (Option<(String, u64)>, Vec<String>) {
    let baseline: HostName = baseline.parse().expect("a name");
    let found = find_rehearsal(root, &baseline).expect("lists");
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let newest = found.newest.map(|(path, rehearsal)| (name(&path), rehearsal.apply.as_secs()));
    (newest, found.skipped.iter().map(|(path, _)| name(path)).collect())
}

#[test]
fn the_newest_rehearsal_of_the_baseline_is_found() {
    let scratch = tempfile::tempdir().expect("a folder");
    let root = scratch.path();
    assert_eq!(found(&root.join("never-made"), "test1"), (None, vec![]));
    assert_eq!(found(root, "test1"), (None, vec![]));

    let done = |secs| vec![opened(Purpose::Rehearsal), frozen("test1", Span::secs(secs))];
    // Names say nothing: the headers' times do.
    record(root, "z-oldest", at(10), done(1));
    record(root, "a-newest", at(30), done(3));
    record(root, "m-middle", at(20), done(2));
    // Newer ones that are no rehearsal of it: a run, one that was not completed, another baseline.
    record(root, "run", at(40), vec![opened(Purpose::Run), frozen("test1", Span::secs(4))]);
    record(root, "unfinished", at(50), vec![opened(Purpose::Rehearsal)]);
    record(root, "other", at(60), vec![opened(Purpose::Rehearsal), frozen("test2", Span::secs(6))]);
    fs::create_dir(root.join("no-recording")).expect("makes it");
    fs::write(root.join("a-file"), "x").expect("writes");
    symlink(root.join("a-newest"), root.join("a-link")).expect("links");
    assert_eq!(found(root, "test1"), (Some(("a-newest".into(), 3)), vec![]));
    assert_eq!(found(root, "web1"), (None, vec![]));
    assert_eq!(rehearsal_in(&root.join("m-middle")).expect("reads").map(|r| r.apply), Some(Span::secs(2)));
    assert_eq!(rehearsal_in(&root.join("run")).expect("reads"), None);

    // A newer one that can't be read is named, and does not hide the older.
    let journal = root.join("a-newest").join("journal.jsonl");
    let mut bytes = fs::read(&journal).expect("reads");
    let second = bytes.iter().position(|b| *b == b'\n').expect("a line") + 1;
    bytes[second + 8] ^= 1;
    fs::write(&journal, bytes).expect("writes");
    assert_eq!(found(root, "test1"), (Some(("m-middle".into(), 2)), vec!["a-newest".into()]));
    assert!(rehearsal_in(&root.join("a-newest")).is_err());
}
