//! The rollback sheet and its two presses.

use super::*;

#[test]
fn rollback_is_two_presses_and_the_first_holds() {
    for first in [Key::Ctrl('r'), Key::Char('R')] {
        let mut hands = Hands::on(&Sample::failing());
        let action = hands.key(first);
        assert!(is_hold(&action), "{first:?}: {action:?}");
        assert!(matches!(hands.ui.sheets.last(), Some(Sheet::Rollback(_))));
        // A person who lets go of the first R long enough needs no waiting.
        let second = hands.after(Span::ms(1_300), UiInput::Key(Key::Char('R')));
        assert_eq!(rollback_of(&second), Some(&RollbackScope::Unconfirmed), "{first:?}");
    }
}

#[test]
fn the_second_r_counts_from_400_ms_on() {
    let mut hands = Hands::on(&Sample::failing());
    hands.ctrl_r();
    assert_eq!(hands.after(Span::ms(399), UiInput::Key(Key::Char('R'))), None);
    let again = hands.after(Span::ms(1_300), UiInput::Key(Key::Char('R')));
    assert!(rollback_of(&again).is_some());

    let mut hands = Hands::on(&Sample::failing());
    hands.ctrl_r();
    assert!(rollback_of(&hands.after(Span::ms(400), UiInput::Key(Key::Char('R')))).is_some());
}

#[test]
fn a_quick_second_r_waits_to_be_told_from_a_key_held_down() {
    // R, and half a second later R: a press, if nothing follows at once.
    let mut hands = Hands::on(&Sample::failing());
    hands.key(Key::Char('R'));
    assert_eq!(hands.key(Key::Char('R')), None);
    let wake = hands.ui.wake_at().expect("it waits");
    assert_eq!(hands.ui.handle(UiInput::Tick, &hands.view, wake - Span::ms(1)), None);
    let action = hands.ui.handle(UiInput::Tick, &hands.view, wake);
    assert_eq!(rollback_of(&action), Some(&RollbackScope::Unconfirmed));
    assert_eq!(hands.ui.wake_at(), None);
}

#[test]
fn a_key_held_down_never_rolls_back() {
    // Every keyboard: a delay, then repeats; with and without a terminal that can tell.
    for delay in [200_u64, 250, 400, 500, 660, 1_000] {
        for every in [15_u64, 33, 50, 91, 200] {
            for told in [false, true] {
                let mut hands = Hands::on(&Sample::failing());
                hands.key(Key::Char('R'));
                let mut wait = delay;
                for _ in 0..40 {
                    let key = Key::Char('R');
                    let input = if told { UiInput::Repeat(key) } else { UiInput::Key(key) };
                    // The loop gives its tick when it is due.
                    let next = hands.now + Span::ms(wait);
                    if let Some(wake) = hands.ui.wake_at().filter(|wake| *wake <= next) {
                        assert_eq!(
                            hands.ui.handle(UiInput::Tick, &hands.view, wake),
                            None,
                            "{delay} {every}"
                        );
                    }
                    let action = hands.after(Span::ms(wait), input);
                    assert!(rollback_of(&action).is_none(), "{delay} {every} {told}: {action:?}");
                    wait = every;
                }
            }
        }
    }
}

#[test]
fn ctrl_r_twice_does_nothing_more_than_once() {
    let mut hands = Hands::on(&Sample::failing());
    assert!(is_hold(&hands.ctrl_r()));
    for _ in 0..5 {
        assert_eq!(hands.ctrl_r(), None);
    }
    assert_eq!(hands.ui.sheets.len(), 1);
}

#[test]
fn a_burst_or_a_paste_never_confirms() {
    let mut hands = Hands::on(&Sample::failing());
    hands.ctrl_r();
    hands.after(Span::ms(600), UiInput::Key(Key::Char('x')));
    assert_eq!(hands.after(Span::ms(5), UiInput::Key(Key::Char('R'))), None);
    hands.after(Span::ms(600), UiInput::Paste("RRRR".to_owned()));
    assert_eq!(hands.after(Span::ms(5), UiInput::Key(Key::Char('R'))), None);
    assert!(rollback_of(&hands.after(Span::ms(1_300), UiInput::Key(Key::Char('R')))).is_some());
}

#[test]
fn a_clock_that_is_set_back_does_not_lock_the_key() {
    let mut hands = Hands::on(&Sample::failing());
    hands.ctrl_r();
    hands.now = hands.now - Span::mins(60);
    assert_eq!(hands.key(Key::Char('R')), None);
    assert!(rollback_of(&hands.after(Span::ms(1_300), UiInput::Key(Key::Char('R')))).is_some());
}

#[test]
fn confirmed_work_and_all_want_the_word() {
    // Nothing is unconfirmed: the batch confirmed last would go.
    let mut hands = Hands::on(&Sample::held());
    hands.ctrl_r();
    assert_eq!(hands.keys("\nROLLBACX\n"), vec![], "a wrong word");
    assert_eq!(hands.key(Key::Enter), None);
    let actions = hands.keys("ROLLBACK");
    assert_eq!(actions, vec![]);
    assert!(rollback_of(&hands.key(Key::Enter)).is_some());

    // Scope all, though work is unconfirmed.
    let mut hands = Hands::on(&Sample::failing());
    hands.ctrl_r();
    hands.keys("sss");
    assert_eq!(hands.keys("R"), vec![]);
    assert_eq!(hands.keys("OLLBACK"), vec![]);
    assert_eq!(rollback_of(&hands.key(Key::Enter)), Some(&RollbackScope::All));

    // Pasted without brackets.
    let mut hands = Hands::on(&Sample::held());
    hands.ctrl_r();
    hands.now = hands.now + Span::secs(2);
    for c in "ROLLBACK".chars() {
        assert_eq!(hands.after(Span::ms(1), UiInput::Key(Key::Char(c))), None);
    }
    assert_eq!(hands.after(Span::ms(1), UiInput::Key(Key::Enter)), None);
    assert_eq!(hands.key(Key::Enter), None);
}

#[test]
fn s_goes_round_the_scopes_and_never_starts_at_the_cursor() {
    let mut hands = Hands::on(&Sample::failing());
    hands.keys("gjjj");
    assert_eq!(hands.ui.host(&hands.view).map(|h| h.to_string()).as_deref(), Some("web1"));
    hands.ctrl_r();
    let scope = |hands: &Hands| match hands.ui.sheets.last() {
        Some(Sheet::Rollback(sheet)) => sheet.scope(&hands.ui, &hands.view),
        _ => panic!("no sheet"),
    };
    let mut seen = vec![scope(&hands)];
    for _ in 0..4 {
        hands.keys("s");
        seen.push(scope(&hands));
    }
    let host = RollbackScope::Host("web3".parse().expect("host"));
    let round = [
        RollbackScope::Unconfirmed,
        host,
        RollbackScope::Wave,
        RollbackScope::All,
        RollbackScope::Unconfirmed,
    ];
    assert_eq!(seen, round, "web1 has nothing to go back: its row is not taken");
}
