//! The folder of a recording: modes, the one writer, what is set aside, and what is not followed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use holdpoint::journal::{End, Recording, RecordingError, Take, default_root, folder_name, inside};
use holdpoint::types::Blake3;
use tempfile::TempDir;

use crate::reference::{PLAN, Told, at, events, header, note, numbered, write};

fn scratch() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("above").join("r");
    (scratch, folder)
}

fn refused(folder: &Path, take: Take) -> RecordingError {
    match Recording::open(folder, "other", take) {
        Ok(_) => panic!("{} opened", folder.display()),
        Err(error) => error,
    }
}

fn damage_line(journal: &Path, line: usize) -> usize {
    let mut bytes = fs::read(journal).expect("reads");
    let start = bytes.split_inclusive(|b| *b == b'\n').take(line - 1).map(<[u8]>::len).sum();
    bytes[start + 8] ^= 1;
    fs::write(journal, bytes).expect("writes");
    start
}

#[test]
fn nobody_else_can_read_it() {
    let (_scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), numbered(events()));
    let mut seen = Vec::new();
    let mut all = vec![folder.parent().expect("above").to_owned(), folder.clone()];
    all.extend(fs::read_dir(&folder).expect("lists").map(|entry| entry.expect("an entry").path()));
    for path in all {
        let found = path.symlink_metadata().expect("is there");
        let right = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & 0o7777, right, "{}", path.display());
        seen.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    seen.sort();
    assert_eq!(seen, ["above", "captures", "evidence", "journal.jsonl", "lock", "plan.toml", "r"]);
}

#[test]
fn only_a_folder_that_is_new_or_empty_becomes_a_recording() {
    let (scratch, folder) = scratch();
    fs::create_dir_all(&folder).expect("makes it");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("sets it");
    drop(Recording::create(&folder, PLAN, &header("r", at(0)), "s").expect("an empty one will do"));
    assert_eq!(fs::metadata(&folder).expect("is there").permissions().mode() & 0o777, 0o700);
    let again = Recording::create(&folder, PLAN, &header("r", at(0)), "s").err().expect("not twice");
    assert!(matches!(again, RecordingError::Exists(_)), "{again}");
    let link = scratch.path().join("link");
    symlink(scratch.path().join("elsewhere"), &link).expect("links");
    assert!(matches!(
        Recording::create(&link, PLAN, &header("r", at(0)), "s"),
        Err(RecordingError::Exists(_))
    ));
    assert!(matches!(refused(scratch.path(), Take::Whole), RecordingError::NoRecording(_)));
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let (_scratch, folder) = scratch();
    let recording = Recording::create(&folder, PLAN, &header("r", at(0)), "first").expect("makes it");
    let told = |folder: &Path| {
        let error = refused(folder, Take::Whole);
        assert!(matches!(error, RecordingError::Locked { .. }), "{error}");
        error.to_string()
    };
    let words = format!("process {}, session first", std::process::id());
    assert!(told(&folder).contains(&words), "{}", told(&folder));
    let mut log = Told::new(recording);
    log.append(vec![note(1)]);
    log.durable(1);
    assert!(told(&folder).contains(&words), "the log keeps the lock");
    // Reading needs no lock.
    assert_eq!(Recording::read(&folder, Take::Whole).expect("reads").entries.len(), 1);
    log.close();
    let opened = Recording::open(&folder, "second", Take::Whole).expect("it is free now");
    assert!(told(&folder).contains("session second"));
    drop(opened);
    drop(Recording::open(&folder, "third", Take::Whole).expect("and free again"));
}

#[test]
fn a_torn_end_is_set_aside_and_the_journal_goes_on() {
    let (_scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), numbered(events()));
    let journal = folder.join("journal.jsonl");
    let whole = fs::read(&journal).expect("reads");
    let torn = b"{\"seq\":18,\"at\":\"2026-";
    let tear = || {
        let mut file = OpenOptions::new().append(true).open(&journal).expect("opens");
        file.write_all(torn).expect("writes");
    };
    tear();
    let reading = Recording::read(&folder, Take::Whole).expect("reads");
    assert!(matches!(reading.end, End::Torn(_)));
    assert_eq!(fs::read(&journal).expect("reads").len(), whole.len() + torn.len(), "reading changes nothing");

    let opened = Recording::open(&folder, "s2", Take::Whole).expect("opens");
    let End::Torn(report) = &opened.end else { panic!("{:?}", opened.end) };
    assert_eq!((report.offset, report.bytes), (whole.len() as u64, torn.len() as u64));
    let aside = opened.aside.clone().expect("it was set aside");
    assert_eq!(aside.file_name().and_then(|name| name.to_str()), Some("journal.torn-1"));
    assert_eq!(fs::read(&aside).expect("reads"), torn);
    assert_eq!(fs::metadata(&aside).expect("is there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read(&journal).expect("reads"), whole);
    assert_eq!(opened.records, numbered(events()));
    let mut log = Told::new(opened.recording);
    log.append(vec![note(18)]);
    log.close();

    tear();
    let opened = Recording::open(&folder, "s3", Take::Whole).expect("opens");
    assert_eq!(opened.aside, Some(folder.join("journal.torn-2")));
    assert_eq!(opened.records.len(), 18);
    assert_eq!(opened.records[17], note(18));
}

#[test]
fn damage_stops_unless_the_sound_prefix_is_asked_for() {
    let (_scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), numbered(events()));
    let journal = folder.join("journal.jsonl");
    let start = damage_line(&journal, 9);
    let bent = fs::read(&journal).expect("reads");
    let error = refused(&folder, Take::Whole).to_string();
    assert!(error.contains(&format!("line 9 (byte {start})")), "{error}");
    assert!(error.contains("The 7 records before it are sound"), "{error}");
    assert!(Recording::read(&folder, Take::Whole).is_err());
    assert_eq!(Recording::read(&folder, Take::SoundPrefix).expect("reads").entries.len(), 7);
    assert_eq!(fs::read(&journal).expect("reads"), bent, "nothing is changed until that is decided");

    let opened = Recording::open(&folder, "s2", Take::SoundPrefix).expect("opens");
    assert_eq!(opened.records, numbered(events())[..7]);
    assert_eq!(fs::read(opened.aside.expect("set aside")).expect("reads"), bent[start..]);
    let mut log = Told::new(opened.recording);
    log.append(vec![note(8)]);
    log.close();
    let journal = Recording::read(&folder, Take::Whole).expect("sound again");
    assert_eq!((journal.end, journal.entries.len()), (End::Whole, 8));
}

#[test]
fn what_a_newer_program_wrote_is_refused_and_left_as_it_is() {
    let (_scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), vec![note(1)]);
    let journal = folder.join("journal.jsonl");
    let mut text = fs::read_to_string(&journal).expect("reads");
    let prev = Blake3::of(text.lines().last().expect("a line").as_bytes());
    let body = format!(
        r#"{{"seq":2,"at":"2026-11-21T22:00:02Z","actor":"holdpoint","session":"s","epoch":1,"prev":"{prev}","event":{{"group":"weather","v":1,"data":{{}}}}"#
    );
    text += &format!("{body},\"sum\":\"{}\"}}\n{{\"seq\"", Blake3::of(body.as_bytes()));
    fs::write(&journal, &text).expect("writes");
    let error = refused(&folder, Take::Whole);
    assert!(matches!(error, RecordingError::Unknown { .. }), "{error}");
    assert!(error.to_string().contains("use holdpoint 0.1.0 or newer"), "{error}");
    assert_eq!(fs::read_to_string(&journal).expect("reads"), text);
    assert_eq!(Recording::read(&folder, Take::Whole).expect("it still replays").entries.len(), 2);
}

#[test]
fn nothing_is_followed_out_of_a_recording() {
    let (scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), vec![note(1)]);
    symlink("/", folder.join("captures").join("root")).expect("links");
    for bad in ["", ".", "..", "../r/journal.jsonl", "/etc/passwd", "captures/../../x", "captures/root/x"] {
        assert!(matches!(inside(&folder, bad), Err(RecordingError::Outside(_))), "{bad}");
    }
    assert_eq!(inside(&folder, "captures/1.pcapng").expect("inside"), folder.join("captures/1.pcapng"));

    let elsewhere = scratch.path().join("elsewhere.jsonl");
    let journal = folder.join("journal.jsonl");
    fs::rename(&journal, &elsewhere).expect("moves");
    symlink(&elsewhere, &journal).expect("links");
    assert!(matches!(Recording::read(&folder, Take::Whole), Err(RecordingError::Outside(_))));
    assert!(matches!(refused(&folder, Take::Whole), RecordingError::Outside(_)));
    fs::remove_file(&journal).expect("removes");
    fs::create_dir(&journal).expect("makes it");
    assert!(matches!(Recording::read(&folder, Take::Whole), Err(RecordingError::Io { .. })));
}

#[test]
fn a_pipe_in_place_of_a_file_is_not_waited_for() {
    for name in ["journal.jsonl", "lock"] {
        let (_scratch, folder) = scratch();
        write(&folder, &header("r", at(0)), vec![note(1)]);
        let path = folder.join(name);
        fs::remove_file(&path).expect("removes");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("runs");
        assert!(made.success());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(refused(&folder, Take::Whole).to_string()));
        let error = told.recv_timeout(std::time::Duration::from_secs(20)).expect("it does not wait");
        assert!(error.contains("no ordinary file") && error.contains(name), "{error}");
    }
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed() {
    let (scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), vec![note(1)]);
    let precious = scratch.path().join("precious");
    fs::write(&precious, "kept").expect("writes");
    fs::remove_file(folder.join("lock")).expect("removes");
    symlink(&precious, folder.join("lock")).expect("links");
    assert!(matches!(refused(&folder, Take::Whole), RecordingError::Io { .. }));
    assert_eq!(fs::read_to_string(&precious).expect("reads"), "kept");
}

#[test]
fn the_plan_is_the_one_that_was_sealed() {
    let (_scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), vec![note(1)]);
    let sealed = holdpoint::plan::seal(PLAN);
    assert_eq!(Recording::sealed_plan(&folder, sealed).expect("reads"), PLAN);
    fs::write(folder.join("plan.toml"), PLAN.replace("400", "4")).expect("writes");
    assert!(matches!(Recording::sealed_plan(&folder, sealed), Err(RecordingError::PlanChanged { .. })));
}

#[test]
fn names_of_folders_are_plain_and_sort_by_time() {
    assert_eq!(folder_name(at(0), "November security updates"), "20261121T220000Z-november-security-updates");
    assert_eq!(folder_name(at(0), "../$(x) \u{202e} A"), "20261121T220000Z-x-a");
    assert_eq!(folder_name(at(0), "\u{6f22}"), "20261121T220000Z");
    assert_eq!(folder_name(at(0), &"long ".repeat(40)).len(), 16 + 1 + 48);
    assert!(folder_name(at(0), "z") < folder_name(at(1), "a"));
    assert!(default_root().expect("a home").ends_with("holdpoint/recordings"));
}

#[test]
fn who_held_it_before_is_known_in_its_own_folder_alone() {
    use holdpoint::core::event::Before;
    let (scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), numbered(events()));
    assert!(matches!(Recording::holder(&folder), Ok(None)));
    let opened = Recording::open(&folder, "second", Take::Whole).expect("opens");
    assert_eq!(opened.before.before, Before::Gone);
    // It is held: who holds it is told, and a copy can be made all the same, in the middle of a line too.
    let holder = Recording::holder(&folder).expect("tried").expect("it is held");
    let process = format!("process {}, session second, on ", std::process::id());
    assert!(holder.words.raw().starts_with(&process), "{holder:?}");
    assert!(holder.since >= holder.wrote && holder.wrote.is_some(), "{holder:?}");
    let mut journal = OpenOptions::new().append(true).open(folder.join("journal.jsonl")).expect("opens");
    journal.write_all(b"{\"seq\":").expect("writes");
    let copy = scratch.path().join("copy");
    Recording::copy(&folder, &copy).expect("copies");
    let copied = Recording::open(&copy, "third", Take::Whole).expect("opens");
    assert_eq!(copied.records, opened.records);
    assert_eq!((copied.before.before, copied.before.words), (Before::NotKnown, Some(holder.words)));
    assert!(copied.aside.is_some(), "the torn end is set aside in the copy");
    let again = Recording::copy(&folder, &copy).expect_err("not over another");
    assert!(matches!(again, RecordingError::Exists(_)), "{again}");
    for name in ["journal.jsonl", "plan.toml", "lock"] {
        let mode = fs::metadata(copy.join(name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn files_that_were_changed_or_taken_away_afterwards_are_named() {
    use holdpoint::core::event::{Event, EvidenceEvent, EvidenceFile, PacketEvent};
    use holdpoint::journal::KeptFiles;
    let (scratch, folder) = scratch();
    write(&folder, &header("r", at(0)), vec![note(1)]);
    let host: holdpoint::types::HostName = "web1".parse().expect("a host");
    let of = |name: &str, text: &str| EvidenceFile {
        file: name.into(),
        blake3: Blake3::of(text.as_bytes()),
        bytes: text.len() as u64,
    };
    let kept = |name: &str, text: &str, over| {
        Event::Packet(PacketEvent::Kept { host: host.clone(), file: of(name, text), over })
    };
    let saved = |name: &str, text: &str| {
        Event::Evidence(EvidenceEvent::Saved { host: host.clone(), started: 1, result: Ok(of(name, text)) })
    };
    let put = |name: &str, text: &str| fs::write(folder.join(name), text).expect("writes");
    let told = |events: &[Event]| -> Vec<String> {
        let records = numbered(events.to_vec());
        KeptFiles::of(&records).differing(&folder).iter().map(ToString::to_string).collect()
    };
    let mut events = vec![
        saved("evidence/a.txt", "routes"),
        kept("captures/web1.pcapng", "one", false),
        // The first file is full: it was renamed, and the newest is another.
        kept("captures/web1.1.pcapng", "one, two", true),
        kept("captures/web1.pcapng", "thr", false),
    ];
    put("evidence/a.txt", "routes");
    put("captures/web1.1.pcapng", "one, two");
    put("captures/web1.pcapng", "three, of which the journal does not know all");
    assert_eq!(told(&events), [""; 0]);
    // The same name, and what the journal said of another file under it does not count.
    assert_eq!(told(&events[..3]), [""; 0]);
    // Nothing more was to come.
    events.push(kept("captures/web1.pcapng", "thr", true));
    let words = "captures/web1.pcapng is not the file that was kept: it has 45 bytes, and no more than 3 were written";
    assert_eq!(told(&events), [words]);
    put("captures/web1.pcapng", "thr");
    assert_eq!(told(&events), [""; 0]);

    put("captures/web1.1.pcapng", "one, twO");
    put("evidence/a.txt", "route");
    fs::remove_file(folder.join("captures/web1.pcapng")).expect("removes");
    let (found, was) = (Blake3::of(b"one, twO").short(), Blake3::of(b"one, two").short());
    let expected = [
        format!(
            "captures/web1.1.pcapng is not the file that was kept: its hash is {found}, and {was} was written down"
        ),
        "captures/web1.pcapng is not in this folder any more".to_owned(),
        "evidence/a.txt is not the file that was kept: it has 5 bytes, and 6 were written".to_owned(),
    ];
    assert_eq!(told(&events), expected);

    // No name leads out of the folder, and no link is followed.
    let precious = scratch.path().join("precious");
    fs::write(&precious, "x").expect("writes");
    symlink(&precious, folder.join("evidence/b.txt")).expect("links");
    let outside =
        [saved("../../precious", "x"), saved("evidence/b.txt", "x"), saved("evidence\u{1b}[2J", "x")];
    let out = "is not the file that was kept: its name leads out of the recording, and is not followed";
    let expected = [
        format!("../../precious {out}"),
        "evidence\\e[2J is not in this folder any more".to_owned(),
        format!("evidence/b.txt {out}"),
    ];
    assert_eq!(told(&outside), expected);
}
