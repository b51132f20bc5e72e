//! The picture in README.md is the real screen: the shipped recording of the story, drawn while customers are
//! dark and the countdown runs. `HOLDPOINT_WRITE_README=1` writes it anew.

use std::path::Path;
use std::sync::Arc;

use holdpoint::core::alarm::line;
use holdpoint::core::{JournalHealth, State, View};
use holdpoint::journal::{Recording, Take};
use holdpoint::tui::{ColorDepth, Key, Keys, Theme, Ui, UiInput, view};
use holdpoint::types::{Span, Time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const BEGIN: &str = "<!-- screen -->\n";
const END: &str = "<!-- /screen -->";

/// How long the countdown has left in the picture, at the most.
const LEFT: Span = Span::secs(20);

/// What the picture is there for: it is not taken of another moment.
const SHOWN: [&str; 6] = [
    "ALARM acme",
    "outside FAIL",
    "SYN arrives, web1 does not have the address",
    "ROLLS BACK in 0:",
    "SYN in, no reply",
    "ERR error.log",
];

fn screen() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/story");
    let records =
        Recording::read(&folder, Take::Whole).expect("it reads").into_records().expect("known events");
    // The first moment with so little left of the countdown of web1.
    let mut state = State::default();
    let mut now = None;
    for record in &records {
        state.apply(record);
        let soon = |(_, _, until): &(_, _, Time)| Span::between(record.at, *until) <= LEFT;
        if line::countdowns(&state).first().is_some_and(soon) {
            now = Some(record.at);
            break;
        }
    }
    let now = now.expect("a countdown runs");
    let shown = View { state: Arc::new(state), journal: JournalHealth::Sound, live: true };
    let area = Rect::new(0, 0, 120, 36);
    let mut buffer = Buffer::empty(area);
    let theme = Theme::built_in("night", ColorDepth::None);
    let mut ui = Ui::new(Keys::default());
    // The probes have the focus.
    let _nothing_to_do = ui.handle(UiInput::Key(Key::Char('3')), &shown, now);
    view::render(&shown, &ui, now, &theme, area, &mut buffer);
    let row = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    let screen = (0..area.height).map(row).collect::<Vec<_>>().join("\n");
    for words in SHOWN {
        assert!(screen.contains(words), "{words:?} is not in the picture\n{screen}");
    }
    screen
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
