mod alarms;
mod ask;
mod rollback;

use proptest::prelude::*;

use super::*;
use crate::core::command::RollbackScope;
use crate::core::gate;
use crate::core::state::Phase;
use crate::tui::sample::Sample;

/// A person at the keys: each press half a second after the one before, if not said otherwise.
struct Hands {
    ui: Ui,
    view: View,
    now: Time,
}

impl Hands {
    fn on(sample: &Sample) -> Self {
        Self { ui: Ui::default(), view: sample.view(), now: sample.now }
    }

    fn after(&mut self, wait: Span, input: UiInput) -> Option<Action> {
        self.now = self.now + wait;
        self.ui.handle(input, &self.view, self.now)
    }

    fn key(&mut self, key: Key) -> Option<Action> {
        self.after(Span::ms(500), UiInput::Key(key))
    }

    fn keys(&mut self, keys: &str) -> Vec<Action> {
        keys.chars().filter_map(|c| self.key(if c == '\n' { Key::Enter } else { Key::Char(c) })).collect()
    }

    fn ctrl_r(&mut self) -> Option<Action> {
        self.key(Key::Ctrl('r'))
    }
}

fn is_hold(action: &Option<Action>) -> bool {
    matches!(action, Some(Action::Intent(Intent::Hold { scope: HoldScope::Window, .. })))
}

fn rollback_of(action: &Option<Action>) -> Option<&RollbackScope> {
    match action {
        Some(Action::Intent(Intent::Rollback { scope, .. })) => Some(scope),
        _ => None,
    }
}

/// What changes a host, or may: nothing that is not in this list may come of a stray key.
fn changes_a_host(action: &Action) -> bool {
    match action {
        Action::Intent(intent) => match intent {
            Intent::Go { .. }
            | Intent::Rollback { .. }
            | Intent::Restage { .. }
            | Intent::Waive { .. }
            | Intent::Confirm { .. }
            | Intent::Keep { .. }
            | Intent::Extend { .. } => true,
            Intent::Open { .. }
            | Intent::Resume { .. }
            | Intent::Refresh { .. }
            | Intent::Hold { .. }
            | Intent::Release { .. }
            | Intent::Leave { .. }
            | Intent::Acknowledge { .. }
            | Intent::Evidence { .. }
            | Intent::Mark { .. }
            | Intent::End => false,
        },
        Action::Quit
        | Action::Acknowledge(_)
        | Action::Copy(_)
        | Action::Export
        | Action::ExportPackets(_)
        | Action::Replay(_)
        | Action::Theme(_)
        | Action::Redraw => false,
    }
}

#[test]
fn go_wants_every_gate_and_the_word() {
    // A gate holds.
    let mut hands = Hands::on(&Sample::held());
    assert_eq!(hands.keys("cGO\n"), vec![]);
    assert!(
        matches!(hands.ui.sheets.last(), Some(Sheet::Gate(sheet)) if sheet.gate == 1),
        "at the held gate"
    );

    // All pass: the word, then Enter.
    let ready = || {
        let mut sample = Sample::before();
        sample.to(crate::tui::sample::at("02:01:00"));
        sample.probe_all("02:01:00");
        Hands::on(&sample)
    };
    let mut hands = ready();
    assert_eq!(hands.keys("c\n"), vec![], "Enter alone");
    assert_eq!(hands.keys("go\n"), vec![], "in lower case");
    assert_eq!(hands.keys("GG\n"), vec![], "half a word");
    hands.keys("GO");
    assert!(matches!(hands.key(Key::Enter), Some(Action::Intent(Intent::Go { .. }))));
    assert!(hands.ui.sheets.is_empty());

    // Pasted, with brackets and without.
    let mut hands = ready();
    hands.keys("c");
    hands.after(Span::ms(500), UiInput::Paste("GO\n".to_owned()));
    assert_eq!(hands.key(Key::Enter), None);
    hands.after(Span::ms(500), UiInput::Key(Key::Char('G')));
    hands.after(Span::ms(1), UiInput::Key(Key::Char('O')));
    assert_eq!(hands.after(Span::ms(1), UiInput::Key(Key::Enter)), None);
}

#[test]
fn a_hold_stands_against_go() {
    let mut sample = Sample::before();
    sample.to(crate::tui::sample::at("02:01:00"));
    sample.probe_all("02:01:00");
    sample.ask(Intent::Hold { scope: HoldScope::Window, why: "x".into() });
    let mut hands = Hands::on(&sample);
    assert_eq!(hands.keys("cGO\n"), vec![]);
    let Some(Action::Intent(Intent::Release { scope })) = hands.keys("q:resume\n").pop() else {
        panic!("no release")
    };
    assert_eq!(scope, HoldScope::Window);
}

#[test]
fn a_waiver_wants_its_three_answers_and_then_a_number_read_off_the_screen() {
    let mut sample = Sample::held();
    let mut hands = Hands::on(&sample);
    assert_eq!(hands.keys(":waive rehearsed because Raj read it\n"), vec![]);
    assert!(hands.ui.notice(hands.now).is_some_and(|said| said.contains(":waive rehearsed, and no more")));
    assert_eq!(hands.keys(":waive plan\n"), vec![], "can't be waived");
    assert!(hands.ui.sheets.is_empty());
    assert_eq!(hands.keys(":waive rehearsed\n\n\n"), vec![], "Enter alone gives no waiver");
    assert_eq!(hands.keys("Raj read it\n"), vec![]);
    assert_eq!(hands.keys("initech, acme\n"), vec![]);
    let action = hands.key(Key::Enter);
    let Some(Action::Intent(intent)) = action else { panic!("no waiver: {action:?}") };
    let Intent::Waive { gate, reason, watch, lasts, .. } = &intent else { panic!("{intent:?}") };
    assert_eq!(
        (gate.as_str(), reason.raw(), watch.raw(), *lasts),
        ("rehearsed", "Raj read it", "initech, acme", Span::mins(30))
    );

    sample.now = hands.now;
    sample.ask(intent.clone());
    hands.view = sample.view();
    assert_eq!(hands.keys("cGO\n"), vec![], "an item is open");
    assert_eq!(hands.keys(" 7\nGO\n"), vec![], "not the number");
    // The number is the gate's own: of two that stand against the rehearsal one takes the rehearsed file.
    let batch = crate::core::schedule::next(&hands.view.state).expect("a batch waits");
    let said = gate::judge_one(&hands.view.state, batch, gate::GateName::Rehearsed, hands.now).reason;
    let (number, of) = said.split_once(" of ").expect("a number");
    assert!(number == "1" && of.contains("not rehearsed"), "{said}");
    let actions = hands.keys(&format!(" {number}\nGO\n"));
    assert!(matches!(actions.as_slice(), [Action::Intent(Intent::Go { .. })]), "{actions:?}");
}

#[test]
fn holds_come_from_h_and_from_ctrl_c_wherever_it_is_pressed() {
    let mut hands = Hands::on(&Sample::applying());
    assert!(is_hold(&hands.key(Key::Char('H'))));
    assert!(
        hands.ui.notice(hands.now).is_some_and(|said| said.contains("web3 batch 1 APPLYING runs to its end"))
    );
    hands.keys("/H");
    assert!(is_hold(&hands.key(Key::Ctrl('c'))), "in a text field");

    // And what fires all the same, with who can still confirm it.
    for (sample, want) in [
        (Sample::baking(), "web3 rolls back at 02:44Z unless confirmed by its probes."),
        (Sample::unprobed(), "web2 rolls back at 02:17Z unless confirmed (:confirm web2)."),
        (Sample::unwatched(), "web3 has NO TIMER"),
        (Sample::fired(), "web3 rolls back by itself: its timer fired"),
    ] {
        let mut hands = Hands::on(&sample);
        hands.key(Key::Char('H'));
        let said = hands.ui.notice(hands.now).expect("it is said");
        assert!(said.contains(want), "{said}");
    }
    assert_eq!(hands.keys("q"), vec![]);
}

#[test]
fn a_confirm_by_word_wants_the_hosts_name_and_nothing_else_counts() {
    let mut hands = Hands::on(&Sample::unprobed());
    assert_eq!(hands.keys(":confirm web2\n\n\n"), vec![], "Enter alone confirms nothing");
    assert!(matches!(hands.ui.sheets.last(), Some(Sheet::ByWord(_))));
    assert_eq!(hands.after(Span::ms(500), UiInput::Paste("web2".to_owned())), None);
    assert_eq!(hands.key(Key::Enter), None, "a pasted name is none");
    for c in "web2".chars() {
        hands.after(Span::ms(2), UiInput::Key(Key::Char(c)));
    }
    assert_eq!(hands.key(Key::Enter), None, "nor is one in a burst");
    assert_eq!(hands.keys("web3\n"), vec![], "nor another host's");
    // The rollback is reachable from here as well, and a closed form confirms nothing.
    assert!(is_hold(&hands.ctrl_r()));
    hands.key(Key::Esc);
    assert!(matches!(hands.ui.sheets.last(), Some(Sheet::ByWord(_))));
    let actions = hands.keys("web2\n");
    let open = hands.view.state.in_order().find(|batch| batch.phase.unconfirmed());
    let batch = open.expect("a batch").id.clone();
    assert_eq!(actions, vec![Action::Intent(Intent::Confirm { batch })]);
    assert!(hands.ui.sheets.is_empty());
}

/// Its probes pass, and have seen the code of before: it stays open until that is gone, or a person says
/// that they know.
#[test]
fn what_runs_old_code_keeps_a_batch_open_until_it_is_gone_or_a_word_is_given() {
    let mut sample = Sample::old_code();
    let batch = sample.state.in_order().find(|batch| batch.phase.unconfirmed()).expect("one").id.clone();
    assert_eq!(sample.state.batches[&batch].phase, Phase::Verified, "watched long enough, and open");
    let mut hands = Hands::on(&sample);
    // No slower than a probe's result counts.
    let typed: Vec<Action> = ":confirm web3\nweb3\n"
        .chars()
        .filter_map(|c| {
            let key = if c == '\n' { Key::Enter } else { Key::Char(c) };
            hands.after(Span::ms(150), UiInput::Key(key))
        })
        .collect();
    assert_eq!(typed, vec![Action::Intent(Intent::Confirm { batch: batch.clone() })]);
    let mut by_word = sample.clone();
    by_word.ask(Intent::Confirm { batch: batch.clone() });
    by_word.to(by_word.now);
    let there = &by_word.state.batches[&batch];
    assert_eq!(there.phase, Phase::Confirmed);
    assert_eq!(
        there.grounds.as_deref(),
        Some(
            "confirmed by a person's word, although nginx.service, php-fpm (913) still run the replaced \
             /lib/x86_64-linux-gnu/libssl.so.3"
        )
    );
    // Where its probes don't pass no word goes past them.
    let mut failing = sample.clone();
    for second in 25..31 {
        failing.probe(&format!("02:34:{second}"), Some("globex"));
    }
    let mut hands = Hands::on(&failing);
    assert_eq!(hands.keys(":confirm web3\n"), vec![]);
    assert!(hands.ui.notice(hands.now).is_some_and(|said| said.contains("not all of them pass")));
    // The services were started anew: its host says so when it is asked next.
    sample.restarted("web3");
    sample.probe_all("02:34:35");
    sample.probe_all("02:34:41");
    let there = &sample.state.batches[&batch];
    assert_eq!(
        (there.phase, there.grounds.as_deref()),
        (Phase::Confirmed, Some("verified, its required probe passes"))
    );
}

#[test]
fn where_probes_decide_no_word_does() {
    for (sample, command, why) in [
        (Sample::baking(), ":confirm web3\n", "its probes decide"),
        (Sample::lost(), ":confirm web3\n", "its probes decide"),
        (Sample::applying(), ":confirm web3\n", "it is APPLYING"),
        (Sample::held(), ":confirm web3\n", "nothing on web3 is unconfirmed"),
        (Sample::baking(), ":confirm moon\n", "not a host of the plan"),
    ] {
        let mut hands = Hands::on(&sample);
        assert_eq!(hands.keys(command), vec![]);
        assert!(hands.ui.sheets.is_empty(), "{why}");
        let said = hands.ui.notice(hands.now).expect("it is said");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_timer_is_lengthened_by_minutes_up_to_its_cap() {
    let mut hands = Hands::on(&Sample::baking());
    let web3 = hands.view.state.in_order().find(|batch| batch.phase.unconfirmed()).expect("one").clone();
    for (command, minutes, said) in [
        (":extend web3\n", 10, "rolls back at 02:54Z instead of 02:44Z"),
        (":ext web3 25\n", 25, "rolls back at 03:09Z instead of 02:44Z"),
        (":extend web3 600\n", 600, "rolls back at 04:10Z instead of 02:44Z; no later than 04:10Z"),
    ] {
        let want = Intent::Extend { batch: web3.id.clone(), by: Span::mins(minutes) };
        assert_eq!(hands.keys(command), vec![Action::Intent(want)]);
        let notice = hands.ui.notice(hands.now).expect("it is said");
        assert!(notice.contains(said), "{notice}");
    }
    // One that nothing watches gets that back.
    let mut unwatched = Hands::on(&Sample::unwatched());
    assert_eq!(unwatched.keys(":extend web3 10\n").len(), 1);
    let notice = unwatched.ui.notice(unwatched.now).expect("it is said");
    assert!(notice.contains("starts again what watches its timer"), "{notice}");
    for (sample, why) in
        [(Sample::fired(), "no timer that runs"), (Sample::held(), "nothing on web3 is unconfirmed")]
    {
        let mut hands = Hands::on(&sample);
        assert_eq!(hands.keys(":extend web3 10\n"), vec![]);
        let notice = hands.ui.notice(hands.now).expect("it is said");
        assert!(notice.contains(why), "{notice}");
    }
}

#[test]
fn tab_completes_the_host_that_has_something_unconfirmed() {
    let mut hands = Hands::on(&Sample::baking());
    let typed = |hands: &Hands| match hands.ui.sheets.last() {
        Some(Sheet::Palette(field)) => field.text().to_owned(),
        other => panic!("{other:?}"),
    };
    hands.keys(":ext");
    hands.key(Key::Tab);
    assert_eq!(typed(&hands), "extend ");
    hands.keys("w");
    hands.key(Key::Tab);
    assert_eq!(typed(&hands), "extend web3 ");
}

#[test]
fn commands_become_what_they_say() {
    let mut hands = Hands::on(&Sample::held());
    hands.keys("gjjj");
    let web1: HostName = "web1".parse().expect("host");
    for (keys, want) in [
        (
            ":leave libexpat1\n",
            Intent::Leave { host: web1.clone(), package: "libexpat1".parse().expect("name") },
        ),
        (":refresh\n", Intent::Refresh { host: None }),
        (":refresh web1\n", Intent::Refresh { host: Some(web1) }),
        (":mark tea\n", Intent::Mark { note: "tea".into() }),
        ("mtea\n", Intent::Mark { note: "tea".into() }),
    ] {
        assert_eq!(hands.keys(keys), vec![Action::Intent(want)], "{keys}");
    }
    assert_eq!(hands.keys(":quit\n"), vec![Action::Quit]);
    assert_eq!(hands.keys(":pane gates\n:theme mono\n"), vec![Action::Theme(Some("mono".to_owned()))]);
    assert_eq!(hands.ui.pane, Pane::Gates);
    assert_eq!(hands.keys(":at 02:40\n:fly\n:refresh moon\n:leave A;B\n"), vec![]);
}

#[test]
fn the_cursor_follows_the_work_until_it_is_moved() {
    let host = |hands: &Hands| hands.ui.host(&hands.view).map(|host| host.to_string());
    let mut hands = Hands::on(&Sample::failing());
    assert_eq!(host(&hands).as_deref(), Some("web3"));
    hands.keys("j");
    assert_eq!(host(&hands).as_deref(), Some("web1"));
    hands.keys("kk");
    assert_eq!(host(&hands).as_deref(), Some("web2"));
    hands.keys("q");
    assert_eq!(host(&hands).as_deref(), Some("web3"));
}

#[test]
fn a_replay_asks_nothing_of_a_window() {
    let mut hands = Hands::on(&Sample::failing());
    hands.view.live = false;
    assert_eq!(hands.ctrl_r(), None);
    assert_eq!(hands.keys("RHcm:hold\n:quit"), vec![]);
    assert_eq!(hands.key(Key::Enter), Some(Action::Replay(ReplayAction::Quit)));
    let played = hands.keys(" .,][");
    let want = [
        ReplayAction::TogglePlay,
        ReplayAction::StepForward,
        ReplayAction::StepBack,
        ReplayAction::NextMarker,
        ReplayAction::PrevMarker,
    ];
    assert_eq!(played, want.map(Action::Replay));
    assert_eq!(
        hands.keys("><:at 30%\n"),
        [ReplayAction::Faster, ReplayAction::Slower, ReplayAction::At("30%".to_owned())].map(Action::Replay)
    );
    assert_eq!(hands.keys("2q"), vec![]);
    assert_eq!(hands.keys("q"), vec![Action::Replay(ReplayAction::Quit)]);
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        6 => proptest::char::range('!', '~').prop_map(Key::Char),
        4 => prop::sample::select(vec!['c', ':', '/', 'm', '?', 's', 'R', 'H', ' ', 'v', 'z', '2', '4', 'G', 'O', 'q']).prop_map(Key::Char),
        3 => prop::sample::select(vec![Key::Enter, Key::Esc, Key::Tab, Key::Up, Key::Down, Key::Backspace, Key::PageDown]),
        1 => prop::sample::select(vec![Key::Ctrl('r'), Key::Ctrl('c'), Key::Ctrl('l')]),
    ]
}

fn any_input() -> impl Strategy<Value = (UiInput, u64)> {
    let input = prop_oneof![
        12 => any_key().prop_map(UiInput::Key),
        1 => any_key().prop_map(UiInput::Repeat),
        1 => ".{0,12}".prop_map(UiInput::Paste),
        1 => (1_u16..200, 1_u16..60).prop_map(|(w, h)| UiInput::Resize(w, h)),
    ];
    (input, prop::sample::select(vec![1_u64, 20, 150, 400, 900]))
}

/// Every sample, made once.
static SAMPLES: std::sync::LazyLock<Vec<Sample>> = std::sync::LazyLock::new(samples);

fn samples() -> Vec<Sample> {
    vec![
        Sample::unread(),
        Sample::before(),
        Sample::held(),
        Sample::failing(),
        Sample::rolling(),
        Sample::back(),
        Sample::unprobed(),
        Sample::lost(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Wherever somebody is - any pane, sheet, text field, size - Ctrl-R and then R roll back.
    #[test]
    fn rollback_is_reachable_from_everywhere(history in prop::collection::vec(any_input(), 0..40)) {
        let mut hands = Hands::on(&SAMPLES[3]);
        for (input, wait) in history {
            hands.after(Span::ms(wait), input);
        }
        let open = matches!(hands.ui.sheets.last(), Some(Sheet::Rollback(_)));
        if open {
            // The sheet is open already, perhaps with another scope: closed, it begins anew.
            hands.key(Key::Esc);
        }
        let first = hands.ctrl_r();
        prop_assert!(is_hold(&first), "{first:?}");
        let second = hands.after(Span::ms(400), UiInput::Key(Key::Char('R')));
        prop_assert_eq!(rollback_of(&second), Some(&RollbackScope::Unconfirmed));
    }

    /// No lower-case key, no Enter, no Esc, no paste and no repeat changes a host.
    #[test]
    fn nothing_stray_changes_a_host(history in prop::collection::vec(any_input(), 0..60), which in 0_usize..8) {
        let mut hands = Hands::on(&SAMPLES[which]);
        for (input, wait) in history {
            // What may be typed on purpose is left out: capitals, and the palette.
            let stray = match &input {
                UiInput::Key(Key::Char(c)) => !c.is_uppercase() && *c != ':',
                _ => true,
            };
            if stray && let Some(action) = hands.after(Span::ms(wait), input.clone()) {
                prop_assert!(!changes_a_host(&action), "{input:?}: {action:?}");
            }
            if let Some(wake) = hands.ui.wake_at() {
                let action = hands.ui.handle(UiInput::Tick, &hands.view, wake);
                prop_assert!(action.is_none());
            }
        }
    }
}

#[test]
fn keeping_costs_a_typed_reason() {
    let mut hands = Hands::on(&Sample::counting());
    assert_eq!(hands.keys(":keep\n"), []);
    assert_eq!(hands.keys(":keep web3\n"), [], "a host is no reason");
    for (typed, wanted) in [("globex moves", "globex moves"), ("web3 globex moves", "globex moves")] {
        let actions = hands.keys(&format!(":keep {typed}\n"));
        let [Action::Intent(Intent::Keep { host, reason })] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!((host.as_str(), reason.raw()), ("web3", wanted));
    }
    let mut hands = Hands::on(&Sample::failing());
    assert_eq!(hands.keys(":keep globex moves\n"), [], "no line is met");
}

#[test]
fn the_probe_under_the_cursor_says_what_to_look_at_next() {
    let mut hands = Hands::on(&Sample::counting());
    hands.keys("3");
    let action = hands.key(Key::Char('y'));
    let Some(Action::Copy(text)) = action else { panic!("{action:?}") };
    assert!(text.starts_with("nstat -asz"), "{text}");
}

#[test]
fn x_saves_evidence_of_the_host_and_in_the_packets_what_is_kept_of_them() {
    let mut hands = Hands::on(&Sample::before());
    let host = hands.ui.host(&hands.view).expect("one is chosen");
    let evidence = Action::Intent(Intent::Evidence { host: host.clone() });
    assert_eq!(hands.key(Key::Char('x')), Some(evidence));
    hands.ui.command("packets host", &hands.view, hands.now);
    let chosen = Chosen { of: host.to_string(), host, address: None };
    assert_eq!(hands.key(Key::Char('x')), Some(Action::ExportPackets(chosen)));
    hands.ui.command("packets all", &hands.view, hands.now);
    assert_eq!(hands.key(Key::Char('x')), None);
    // A recording has no host to ask.
    let mut replay = Hands::on(&Sample::before());
    replay.view.live = false;
    assert_eq!(replay.key(Key::Char('x')), Some(Action::Export));
}
