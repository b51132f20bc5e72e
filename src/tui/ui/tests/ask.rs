//! The sheet of a line that is met where the plan says `ask`.

use super::*;

fn asks(hands: &Hands) -> bool {
    hands.ui.asked(&hands.view).is_some()
}

#[test]
fn it_is_there_by_itself_and_r_or_ctrl_r_open_the_rollback_sheet_from_it() {
    for key in [Key::Char('R'), Key::Ctrl('r')] {
        let mut hands = Hands::on(&Sample::asking());
        assert!(asks(&hands));
        assert!(is_hold(&hands.key(key)));
        assert!(matches!(hands.ui.sheets.last(), Some(Sheet::Rollback(_))));
        // Two presses, as everywhere: the second one goes.
        let second = hands.after(Span::secs(2), UiInput::Key(Key::Char('R')));
        assert_eq!(rollback_of(&second), Some(&RollbackScope::Unconfirmed), "{key:?}");
    }
    let mut hands = Hands::on(&Sample::asking());
    assert!(is_hold(&hands.key(Key::Char('H'))) && asks(&hands), "it holds, and still asks");
    for sample in [Sample::counting(), Sample::failing(), Sample::kept()] {
        assert!(!asks(&Hands::on(&sample)), "nothing is asked there");
    }
}

#[test]
fn kept_wants_a_reason_and_esc_puts_it_off_for_good() {
    let mut hands = Hands::on(&Sample::asking());
    assert!(hands.keys("k\n").is_empty(), "no reason");
    assert!(asks(&hands));
    let kept = hands.keys("kthey move\n");
    let [Action::Intent(Intent::Keep { host, reason })] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((host.as_str(), reason.raw()), ("web3", "they move"));
    assert!(hands.key(Key::Esc).is_none() && !asks(&hands), "put off");
    assert!(hands.ui.notice(hands.now).is_some_and(|said| said.contains("HELD")));
    // The panes have their keys again, and the line is decided as before.
    assert!(hands.keys("jjk3").is_empty() && hands.ui.pane == Pane::Probes);
    assert_eq!(hands.keys(":keep they move\n").len(), 1);
}

/// It comes while somebody types, or reads another sheet: not one key goes elsewhere.
#[test]
fn it_takes_no_key_from_a_text_or_another_sheet() {
    let (before, asking) = (Sample::counting(), Sample::asking());
    let mut hands = Hands::on(&before);
    hands.keys(":mark k");
    hands.view = asking.view();
    assert!(!asks(&hands));
    let marked = hands.keys(" qR\n");
    let [Action::Intent(Intent::Mark { note })] = &marked[..] else { panic!("{marked:?}") };
    assert_eq!(note.raw(), "k qR");
    assert!(asks(&hands), "once it is closed");
    hands.keys("?");
    assert!(!asks(&hands) && matches!(hands.ui.sheets.last(), Some(Sheet::Help { .. })));
    hands.keys("q");
    assert!(asks(&hands));
    // What changes nothing alone changes nothing here.
    assert!(hands.keys("\n\n c go\n").iter().all(|action| !changes_a_host(action)));
}
