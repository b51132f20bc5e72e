//! The recordings that ship: each is sound, and a replay of it ends where its events end.

use std::path::{Path, PathBuf};

use holdpoint::core::State;
use holdpoint::core::event::Outcome;
use holdpoint::core::state::Phase;
use holdpoint::journal::{End, KeptFiles, Recording, Take};
use holdpoint::replay::Replay;
use holdpoint::tui::view::render;
use holdpoint::tui::{ColorDepth, ReplayAction, Theme, Ui, UiInput};
use holdpoint::types::Span;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let entries = std::fs::read_dir(folder).expect("recordings ship");
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn read(folder: &Path) -> (State, Replay) {
    let journal = Recording::read(folder, Take::Whole).expect("it reads");
    assert_eq!(journal.end, End::Whole, "{}", folder.display());
    let records = journal.into_records().expect("every event is known");
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    (state, Replay::new(records).expect("it holds events"))
}

#[test]
fn each_replays_to_its_end() {
    let shipped = shipped();
    assert_eq!(shipped.len(), 2, "{shipped:?}");
    for folder in shipped {
        let (state, mut replay) = read(&folder);
        replay.set_speed(64);
        replay.act(&ReplayAction::TogglePlay).expect("it plays");
        let mut frames = 0;
        while !replay.is_over() {
            replay.pass(Span::ms(100));
            frames += 1;
            assert!(frames < 100_000, "{} never ends", folder.display());
        }
        assert!(*replay.frame().0.state == state, "{}", folder.display());
    }
}

#[test]
fn what_each_keeps_beside_its_journal_is_what_the_journal_says() {
    for folder in shipped() {
        let journal = Recording::read(&folder, Take::Whole).expect("it reads");
        let kept = KeptFiles::of(journal.known());
        assert!(kept != KeptFiles::default(), "{}: packets are kept", folder.display());
        assert_eq!(kept.differing(&folder), [], "{}", folder.display());
    }
}

#[test]
fn seeking_and_stepping_give_the_same_state_as_playing() {
    for folder in shipped() {
        let (state, mut replay) = read(&folder);
        let at = |replay: &Replay| replay.frame().1.event;
        replay.act(&ReplayAction::At("50%".into())).expect("a place");
        let middle = at(&replay);
        assert!(middle > 1 && middle < state.seq, "{middle} of {}", state.seq);
        let there = replay.frame().0.state;
        replay.act(&ReplayAction::StepForward).expect("a step");
        assert_eq!(at(&replay), middle + 1);
        replay.act(&ReplayAction::StepBack).expect("a step");
        assert!(*replay.frame().0.state == *there);
        replay.act(&ReplayAction::At("100%".into())).expect("a place");
        assert!(*replay.frame().0.state == state);
        replay.act(&ReplayAction::PrevMarker).expect("a chapter");
        assert!(at(&replay) < state.seq);
        assert!(replay.act(&ReplayAction::At("noon".into())).is_err());
    }
}

#[test]
fn the_story_ends_as_it_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let (with, _) = read(&folder.join("story"));
    assert_eq!(with.ended.map(|(_, outcome)| outcome), Some(Outcome::RolledBack));
    assert!(with.in_order().any(|batch| batch.phase == Phase::Back && batch.host.as_str() == "web1"));
    let (without, _) = read(&folder.join("unanswered"));
    assert_eq!(without.ended.map(|(_, outcome)| outcome), Some(Outcome::Held));
    assert!(without.in_order().any(|batch| batch.phase == Phase::Verified && batch.host.as_str() == "web1"));
}

/// What stands on the screen at a moment of a replay, row by row.
fn screen(replay: &Replay) -> String {
    let ((view, position), mut ui) = (replay.frame(), Ui::default());
    let now = position.at;
    ui.handle(UiInput::Resize(120, 36), &view, now);
    ui.set_replay(Some(position));
    let area = Rect::new(0, 0, 120, 36);
    let mut buffer = Buffer::empty(area);
    render(&view, &ui, now, &Theme::built_in("night", ColorDepth::None), area, &mut buffer);
    let rows = buffer.content.chunks(usize::from(area.width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
}

/// Whoever opens a recording sees what it is about: the packets of an attempt, what is wrong in a sentence, and
/// the countdown, all on one screen.
#[test]
fn a_frame_of_each_shows_packets_a_verdict_and_a_countdown() {
    for folder in shipped() {
        let (_, mut replay) = read(&folder);
        replay.set_speed(1);
        replay.act(&ReplayAction::TogglePlay).expect("it plays");
        // Where nobody is asked to answer it is the host's own timer that counts.
        let counts = if folder.ends_with("story") { "ROLLS BACK in 0:" } else { "   fires 04:05Z in 2:" };
        let wanted = ["SYN in, no reply", "SYN arrives, web1 does not have the address", counts];
        let mut best = (0, String::new());
        while !replay.is_over() && best.0 < wanted.len() {
            replay.pass(Span::secs(2));
            let text = screen(&replay);
            let found = wanted.iter().filter(|words| text.contains(**words)).count();
            if found > best.0 {
                best = (found, text);
            }
        }
        assert_eq!(best.0, wanted.len(), "{}: at most\n{}", folder.display(), best.1);
    }
}
