//! The picture in README.md is the real screen: the shipped recording of the story, drawn at the moment
//! before the rollback starts. `HOLDPOINT_WRITE_README=1` writes it anew.

use std::path::Path;
use std::sync::Arc;

use holdpoint::core::event::{BatchEvent, Event};
use holdpoint::core::{JournalHealth, State, View};
use holdpoint::journal::{Recording, Take};
use holdpoint::tui::{ColorDepth, Keys, Theme, Ui, view};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const BEGIN: &str = "<!-- screen -->\n";
const END: &str = "<!-- /screen -->";

fn screen() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/story");
    let records =
        Recording::read(&folder, Take::Whole).expect("it reads").into_records().expect("known events");
    let back = |event: &Event| matches!(event, Event::Batch(BatchEvent::RollbackQueued { .. }));
    // The record before is the hold; the one before that is the last probe result.
    let before = records.iter().position(|record| back(&record.event)).expect("it is rolled back") - 1;
    let mut state = State::default();
    records[..before].iter().for_each(|record| state.apply(record));
    let now = records[before - 1].at;
    let shown = View { state: Arc::new(state), journal: JournalHealth::Sound, live: true };
    let area = Rect::new(0, 0, 120, 36);
    let mut buffer = Buffer::empty(area);
    let theme = Theme::built_in("night", ColorDepth::None);
    view::render(&shown, &Ui::new(Keys::default()), now, &theme, area, &mut buffer);
    let row = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..area.height).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_picture_is_the_real_screen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).expect("a README");
    let (head, rest) = text.split_once(BEGIN).expect("a place for the picture");
    let (picture, tail) = rest.split_once(END).expect("its end");
    let now = format!("```\n{}\n```\n", screen());
    if std::env::var_os("HOLDPOINT_WRITE_README").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{now}{END}{tail}")).expect("written");
    } else {
        assert!(
            picture == now,
            "README.md shows another screen: HOLDPOINT_WRITE_README=1 cargo test --test faces readme"
        );
    }
}
