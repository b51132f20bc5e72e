//! The cockpit in a real terminal: the real binary, keys in, the screen read by an independent terminal
//! parser.

use std::time::Duration;

use crate::pty::Terminal;

fn a_batch_goes_on_and_comes_back(cols: u16, rows: u16) {
    let mut terminal = Terminal::open(cols, rows, &["demo"]);
    terminal.wait_for("waits for GO");
    // Nothing here starts anything: Enter alone, Esc, lower-case keys.
    terminal.press("\rjk\u{1b}");
    assert!(!terminal.text().contains("applying"), "{}", terminal.text());
    // Each answered by the screen before the next: Esc and a letter that are read at once are Alt.
    terminal.press("c");
    terminal.wait_for("type GO, Enter:");
    terminal.press("GO\r");
    terminal.wait_for("applying");
    terminal.press("\u{12}");
    terminal.wait_for("new work is already HELD");
    // On a machine so slow that the batch was confirmed by now, the sheet asks for the word.
    terminal.press(if terminal.text().contains("type ROLLBACK") { "ROLLBACK\r" } else { "  R" });
    terminal.wait_for("ROLLED BACK, as planned");
    // Until every customer was seen to be served again: not known is not good.
    terminal.rest(Duration::from_secs(8));
    terminal.press("\u{1b}");
    terminal.press(":quit\r");
    // Held with batches that wait: 20 stands before 10.
    assert!([10, 20].contains(&terminal.end()));
}

#[test]
fn two_presses_roll_a_batch_back_at_120x36() {
    a_batch_goes_on_and_comes_back(120, 36);
}

#[test]
fn two_presses_roll_a_batch_back_at_80x24() {
    a_batch_goes_on_and_comes_back(80, 24);
}

#[test]
fn a_recording_is_replayed_on_the_same_screen() {
    let story = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/story");
    let mut terminal = Terminal::open(120, 36, &["replay", story, "--at", "97%"]);
    terminal.wait_for("web1");
    terminal.press(":at 100%\r");
    terminal.wait_for("ROLLED BACK, as planned");
    terminal.press(":quit\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_first_key_after_a_resize_counts() {
    let story = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/story");
    let mut terminal = Terminal::open(120, 36, &["replay", story, "--at", "97%"]);
    terminal.wait_for("web1");
    for (cols, rows) in [(80, 24), (120, 36)] {
        terminal.resize(cols, rows);
        terminal.rest(Duration::from_secs(1));
        terminal.press("?");
        terminal.wait_for("KEYS AND COMMANDS");
        terminal.press("\u{1b}");
        terminal.rest(Duration::from_millis(500));
        assert!(!terminal.text().contains("KEYS AND COMMANDS"), "{}", terminal.text());
    }
    terminal.press(":quit\r");
    assert_eq!(terminal.end(), 0);
}
