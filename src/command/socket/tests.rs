use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::cli::Exit;
use crate::conductor::shell::{self, Handles, Outbox, Outside};
use crate::conductor::{Conductor, clock};
use crate::core::event::{
    Actor, BatchEvent, Event, Failure, FailureKind, HostEvent, Purpose, Record, WindowEvent,
};
use crate::core::{Answer as HostAnswer, Command, Effect, Intent, Started, State};
use crate::journal::MemoryLog;

const PLAN: &str = "[window]\nname = \"n\"\nticket = \"t\"\nopens = 2026-11-21T22:00:00Z\n\
    closes = 2036-11-22T04:00:00Z\n[[host]]\nname = \"web1\"\nssh = \"web1\"\n";

/// Hosts that answer nothing, or nothing but that a rollback failed, and that at once.
enum Hosts {
    Refuse,
    Silent,
}

impl Outside for Hosts {
    fn start(&self, started: Started, outbox: &Outbox) {
        if matches!(self, Self::Silent) {
            return;
        }
        let failure = || Failure::new(FailureKind::Unreachable, "no host here");
        match started.effect {
            Effect::Rollback(..) => outbox.answer(started.id, HostAnswer::RolledBack(Err(failure()))),
            Effect::Read { .. } => outbox.answer(started.id, HostAnswer::Read(Err(failure()))),
            _ => {}
        }
    }
}

struct Window {
    handles: Handles,
    listener: Option<Listener>,
    _scratch: tempfile::TempDir,
    folder: PathBuf,
}

/// A window in which one batch is applied and not confirmed, on a host that refuses its rollback.
fn window(under: &str) -> Window {
    window_of(under, Hosts::Refuse)
}

fn window_of(under: &str, hosts: Hosts) -> Window {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join(under);
    std::fs::create_dir_all(&folder).expect("a folder");
    let batch: crate::types::BatchId = "b-1".parse().expect("an id");
    let host: HostName = "web1".parse().expect("a name");
    let events = vec![
        Event::Window(WindowEvent::Opened {
            purpose: Purpose::Run,
            plan: Box::new(crate::plan::read("window.toml", PLAN).expect("a plan")),
            rehearsal: None,
            program: "test".to_owned(),
        }),
        Event::Host(HostEvent::Cut { host: host.clone(), batches: 1 }),
        Event::Batch(BatchEvent::Planned { batch: batch.clone(), host, number: 1, changes: Vec::new() }),
        Event::Batch(BatchEvent::ApplyStarted {
            batch: batch.clone(),
            operation: "b-1-apply-1.1".parse().expect("an id"),
            arming: None,
        }),
        Event::Batch(BatchEvent::Inspected {
            batch,
            started: 4,
            found: crate::core::event::Inspected::Unknown,
            why: "nobody knows".into(),
        }),
    ];
    let record = |(seq, event)| Record {
        seq,
        at: clock::now(),
        actor: Actor::Holdpoint,
        session: "before".to_owned(),
        epoch: 1,
        event,
    };
    let records: Vec<Record> = (1..).zip(events).map(record).collect();
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    let conductor = Conductor::new(MemoryLog::holding(records), state, "test".to_owned(), 2);
    let (handles, _task) = shell::spawn(conductor, hosts, Arc::new(Notify::new()));
    let listener = Some(listen(&folder, Desk::of(&handles)).expect("listens"));
    Window { handles, listener, _scratch: scratch, folder }
}

async fn rolled_back(folder: &Path, scope: &RollbackScope) -> (Result<Asked, String>, String) {
    let mut out = Vec::new();
    let asked = roll_back(folder, scope, &mut out).await.map_err(|error| error.to_string());
    (asked, String::from_utf8(out).expect("text"))
}

#[tokio::test]
async fn the_key_goes_in_as_a_command_and_is_followed_to_its_end() {
    let window = window("r");
    let (asked, out) = rolled_back(&window.folder, &RollbackScope::Unconfirmed).await;
    // The host refused: 30, as without a cockpit, and told as there.
    assert_eq!(asked, Ok(Asked::Ended(Exit::RollbackIncomplete)), "{out}");
    for words in ["HOLD window: asked for on the command line, process ", "ROLLBACK started", "no host here"]
    {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(out.trim_end().ends_with("ROLLBACK INCOMPLETE; the window stays open in its cockpit"), "{out}");
    let state = Arc::clone(&window.handles.views.borrow().state);
    assert!(state.ended.is_none(), "a rollback does not end the window of others");
    assert!(!state.held.is_empty(), "it holds first, as the key does");
}

#[tokio::test]
async fn a_host_that_is_not_in_the_plan_is_the_callers_mistake() {
    let window = window("r");
    let (asked, out) = rolled_back(&window.folder, &RollbackScope::Host("web9".parse().expect("name"))).await;
    assert_eq!(asked, Err("web9 is not in the plan of this window".to_owned()), "{out}");
    assert!(window.handles.views.borrow().state.held.is_empty(), "nothing was asked of the loop");
}

#[tokio::test]
async fn status_learns_that_it_lives_and_its_socket_is_private() {
    let mut window = window("r");
    let Found::Alive(alive) = find(&window.folder).await else { panic!("it lives") };
    assert_eq!((alive.process, alive.seq), (std::process::id(), window.handles.views.borrow().state.seq));
    assert!(alive.journal_sound && alive.turns());
    let socket = window.folder.join(NAME);
    assert_eq!(socket.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    window.listener.take().expect("it listens").close().await;
    assert!(!socket.exists() && !window.folder.join(MADE).exists());
    assert_eq!(find(&window.folder).await, Found::Nobody);
}

#[tokio::test]
async fn a_path_longer_than_an_address_takes() {
    let window = window(&"a-long-name-of-a-folder/".repeat(12));
    assert!(window.folder.as_os_str().len() > 108);
    assert!(matches!(find(&window.folder).await, Found::Alive(_)));
}

#[tokio::test]
async fn what_a_dead_cockpit_left_is_nobody_and_is_replaced() {
    let scratch = tempfile::tempdir().expect("a folder");
    for name in [NAME, MADE] {
        drop(StdListener::bind(scratch.path().join(name)).expect("binds"));
    }
    assert_eq!(find(scratch.path()).await, Found::Nobody);
    let window = window("r");
    let listener = listen(scratch.path(), Desk::of(&window.handles)).expect("listens");
    assert!(matches!(find(scratch.path()).await, Found::Alive(_)));
    // A later cockpit's socket is not removed by the one before.
    let later = listen(scratch.path(), Desk::of(&window.handles)).expect("listens");
    drop(listener);
    assert!(matches!(find(scratch.path()).await, Found::Alive(_)));
    drop(later);
    assert!(!scratch.path().join(NAME).exists());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_is_told_from_one_that_is_not_there() {
    let scratch = tempfile::tempdir().expect("a folder");
    // As of a stopped process: the kernel takes the connection, nobody ever reads it.
    let _stopped = StdListener::bind(scratch.path().join(NAME)).expect("binds");
    let Found::Silent(why) = find(scratch.path()).await else { panic!("it is silent") };
    assert_eq!(why, "no answer in 3s");
    let (asked, out) = rolled_back(scratch.path(), &RollbackScope::All).await;
    assert!(matches!(asked, Ok(Asked::NotTaken(_))), "{asked:?} {out}");
}

#[tokio::test]
async fn a_loop_that_hangs_is_not_taken_for_alive_and_gets_no_command() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (commands, mut inbox) = mpsc::unbounded_channel();
    let window = window("r");
    let long_ago = tokio::time::Instant::now() - HANGS * 3;
    let (_ticks, ticks) = tokio::sync::watch::channel(long_ago);
    let Handles { views, records, followers, .. } = window.handles;
    let hung = Handles { commands, views, records, followers, ticks };
    let _listener = listen(scratch.path(), Desk::of(&hung)).expect("listens");
    let Found::Silent(why) = find(scratch.path()).await else { panic!("it hangs") };
    assert!(why.contains("its loop has not turned for 15s"), "{why}");
    let (asked, _) = rolled_back(scratch.path(), &RollbackScope::All).await;
    assert!(matches!(asked, Ok(Asked::NotTaken(_))), "{asked:?}");
    assert!(inbox.try_recv().is_err(), "it would be carried out after another took over");
}

/// What comes back for one line.
async fn answer(folder: &Path, line: &[u8]) -> String {
    let mut stream = UnixStream::connect(folder.join(NAME)).await.expect("connects");
    // Longer ones are left half way.
    let _ = stream.write_all(line).await;
    let mut lines = BufReader::new(stream).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        last = line;
    }
    last
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_and_changes_nothing() {
    let window = window("r");
    let long = [&b"{\"format\":\""[..], &vec![b'x'; REQUEST_MAX * 3]].concat();
    let cases: [(&[u8], &str); 5] = [
        (b"hello\n", "not understood"),
        (b"{\"format\":\"holdpoint.socket/2\",\"ask\":\"status\"}\n", "speaks holdpoint.socket/1"),
        (b"{\"format\":\"holdpoint.socket/1\",\"ask\":\"shell\"}\n", "not understood"),
        (
            b"{\"format\":\"holdpoint.socket/1\",\"ask\":\"rollback\",\"scope\":{\"host\":\"a;b\"}}\n",
            "not understood",
        ),
        (&long, "longer than 4096 bytes"),
    ];
    for (line, words) in cases {
        let said = answer(&window.folder, line).await;
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(window.handles.views.borrow().state.held.is_empty());
}

#[tokio::test]
async fn those_who_hang_keep_nobody_waiting() {
    let window = window("r");
    let mut hanging = Vec::new();
    for _ in 0..50 {
        hanging.push(UnixStream::connect(window.folder.join(NAME)).await.expect("connects"));
    }
    let began = tokio::time::Instant::now();
    assert!(matches!(find(&window.folder).await, Found::Alive(_)));
    let (asked, out) = rolled_back(&window.folder, &RollbackScope::Unconfirmed).await;
    assert_eq!(asked, Ok(Asked::Ended(Exit::RollbackIncomplete)), "{out}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_who_follows_hears_that_the_cockpit_was_left() {
    // The rollback has no end before the cockpit has: so it is the cockpit's end that is heard.
    let window = window_of("r", Hosts::Silent);
    let asked = r#"{"format":"holdpoint.socket/1","ask":"rollback","scope":"all"}"#;
    // Nobody reads this one, and the loop goes on all the same.
    let mut unread = UnixStream::connect(window.folder.join(NAME)).await.expect("connects");
    unread.write_all(format!("{asked}\n").as_bytes()).await.expect("written");
    let mut views = window.handles.views.clone();
    views.wait_for(|view| !view.state.held.is_empty()).await.expect("it was asked");
    let actor = Actor::Holdpoint;
    window.handles.commands.send(Command { actor, intent: Intent::End }).expect("taken");
    views.wait_for(|view| view.state.ended.is_some()).await.expect("it ended");
    drop(window.handles);
    window.listener.expect("it listens").close().await;
    let mut lines = BufReader::new(unread).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        last = line;
    }
    assert!(last.contains("\"say\":\"done\"") && last.contains("\"ended\":true"), "{last}");
}

#[test]
fn only_the_same_user_and_root_are_heard() {
    let cases = [(1_000, 1_000, true), (0, 1_000, true), (1_001, 1_000, false), (1_000, 0, false)];
    for (peer, own, heard) in cases {
        assert_eq!(super::listen::heard(peer, own), heard, "{peer} speaks to {own}");
    }
}
