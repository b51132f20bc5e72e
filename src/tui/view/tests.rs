use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::render;
use crate::core::View;
use crate::tui::input::{Key, UiInput};
use crate::tui::replay::{Chapter, Position};
use crate::tui::run::text_of;
use crate::tui::sample::{Sample, at};
use crate::tui::theme::{ColorDepth, Theme};
use crate::tui::ui::Ui;
use crate::types::{Span, Time};

fn screen(view: &View, ui: &Ui, now: Time, columns: u16, rows: u16) -> Buffer {
    let area = Rect::new(0, 0, columns, rows);
    let mut buf = Buffer::empty(area);
    render(view, ui, now, &Theme::built_in("night", ColorDepth::True), area, &mut buf);
    buf
}

fn press(ui: &mut Ui, view: &View, now: Time, keys: &str) -> Time {
    let mut now = now;
    for c in keys.chars() {
        now = now + Span::ms(150);
        let key = match c {
            '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\u{12}' => Key::Ctrl('r'),
            c => Key::Char(c),
        };
        ui.handle(UiInput::Key(key), view, now);
    }
    now
}

/// Every view that is looked at: its name, the state, the keys that lead there.
fn views() -> Vec<(&'static str, Sample, &'static str)> {
    static VIEWS: std::sync::LazyLock<Vec<(&'static str, Sample, &'static str)>> =
        std::sync::LazyLock::new(all_views);
    VIEWS.clone()
}

fn all_views() -> Vec<(&'static str, Sample, &'static str)> {
    vec![
        ("unread", Sample::unread(), ""),
        ("before", Sample::before(), ""),
        ("held", Sample::held(), "gjjj2"),
        ("held_gate_sheet", Sample::held(), "gjjjc"),
        ("held_gates", Sample::held(), "gjjj:pane gates\n"),
        ("held_waive", Sample::held(), "gjjj:waive rehearsed\nraj read its changelog\n"),
        ("one_way", Sample::one_way(), "gj2"),
        ("one_way_gate", Sample::one_way(), "gjc\t\t"),
        ("applying", Sample::applying(), "gjj"),
        ("failing", Sample::failing(), "gjj3"),
        ("failing_rollback_sheet", Sample::failing(), "gjj\u{12}"),
        ("failing_rollback_wave", Sample::failing(), "gjj\u{12}ss"),
        ("counting", Sample::counting(), "3"),
        ("counting_keep", Sample::counting(), ":keep globex moves"),
        ("over", Sample::over(), ""),
        ("over_unseen", Sample::over_unseen(), ""),
        ("flood", Sample::flood(), "gjj"),
        ("alarms", Sample::flood(), "gjj:pane alarms\nj"),
        ("asking", Sample::asking(), ""),
        ("asking_put_off", Sample::asking(), "q"),
        ("kept", Sample::kept(), ""),
        ("past_abort_by", Sample::past_abort_by(), ""),
        ("baking", Sample::baking(), ""),
        ("baking_hold", Sample::baking(), "cH"),
        ("baking_gate_bake", Sample::baking(), "c\t\t\t"),
        ("baking_gate_practised", Sample::baking(), "c\t"),
        ("unconfirmed", Sample::unconfirmed(), ""),
        ("old_code", Sample::old_code(), ""),
        ("old_code_confirm", Sample::old_code(), ":confirm web3\n"),
        ("lost", Sample::lost(), ""),
        ("fired", Sample::fired(), ""),
        ("unwatched", Sample::unwatched(), "R"),
        ("unprobed", Sample::unprobed(), ""),
        ("unprobed_confirm", Sample::unprobed(), ":confirm web2\nweb"),
        ("extend", Sample::baking(), ":extend web3 25"),
        ("extend_cap", Sample::baking(), ":extend web3 600\n"),
        ("baking_confirm", Sample::baking(), ":confirm web3\n"),
        ("rolling", Sample::rolling(), "gjj4"),
        ("all_back", Sample::all_back(), "\u{12}"),
        ("fell_short", Sample::fell_short(), "\u{12}"),
        ("snapshot_gate", Sample::snapshot(), "gjc\t\t"),
        ("back", Sample::back(), "gjj"),
        ("palette", Sample::held(), ":re"),
        ("help", Sample::held(), "?"),
        ("present", Sample::failing(), "gjjv"),
        ("captured", Sample::captured(), "gjj3"),
        ("differing", Sample::differing(), "gjj3j"),
        ("differing_sum", Sample::differing(), "gjj"),
        ("log_filtered", Sample::logged(), "gjj4z/error\n"),
        ("packets", Sample::captured(), "gjj:pane packets\n"),
        ("packets_still", Sample::captured(), "gjj:pane packets\n/[s]\nk"),
        ("packets_unseen", Sample::captured(), "gjjj:packets host\n"),
        ("matrix", Sample::captured(), ":pane matrix\n"),
        ("packets_masked", Sample::captured(), "gjj:packets all\nv"),
    ]
}

/// For the eyes: with HOLDPOINT_SCREENS=FOLDER every screen is written there, cell by cell, for a
/// script that makes a picture of it.
fn for_the_eyes(name: &str, buf: &Buffer) {
    let Ok(folder) = std::env::var("HOLDPOINT_SCREENS") else { return };
    let cell = |cell: &ratatui::buffer::Cell| {
        format!("{}\t{:?}\t{:?}\t{}\n", cell.symbol(), cell.fg, cell.bg, cell.modifier.bits())
    };
    let cells: String = buf.content.iter().map(cell).collect();
    std::fs::write(format!("{folder}/{name}.cells"), cells).expect("writes");
}

/// The screens that are kept and compared: text alone, colours are the theme's.
#[test]
fn screens() {
    for (name, sample, keys) in views() {
        for (columns, rows) in [(120, 36), (80, 24)] {
            let view = sample.view();
            let mut ui = Ui::default();
            ui.handle(UiInput::Resize(columns, rows), &view, sample.now);
            let now = press(&mut ui, &view, sample.now, keys);
            let buf = screen(&view, &ui, now, columns, rows);
            for_the_eyes(&format!("{name}-{columns}"), &buf);
            insta::assert_snapshot!(format!("{name}_{columns}"), text_of(&buf));
        }
    }
}

#[test]
fn a_replay_is_the_same_screen_with_its_timeline() {
    let sample = Sample::failing();
    let mut view = sample.view();
    view.live = false;
    for (columns, rows) in [(120, 36), (80, 24)] {
        let mut ui = Ui::default();
        ui.handle(UiInput::Resize(columns, rows), &view, sample.now);
        let chapter = |clock: &str, label: &str| Chapter { at: at(clock), label: label.into() };
        ui.set_replay(Some(Position {
            at: sample.now,
            from: at("01:30"),
            to: at("03:10"),
            event: sample.state.seq,
            events: 420,
            playing: true,
            speed: 4.0,
            skipped: Some(Span::mins(11)),
            chapters: vec![
                chapter("02:00:08", "open"),
                chapter("02:29:22", "web3: globex FAIL"),
                chapter("02:31:10", "web3 batch 1 rolled back"),
            ],
        }));
        let buf = screen(&view, &ui, sample.now, columns, rows);
        for_the_eyes(&format!("replay-{columns}"), &buf);
        insta::assert_snapshot!(format!("replay_{columns}"), text_of(&buf));
    }
}

/// What has to be on every screen that has room for a word of it.
#[test]
fn the_clock_and_the_rollback_are_on_every_screen() {
    for (name, sample, keys) in views() {
        let view = sample.view();
        for (columns, rows) in
            [(200, 60), (120, 36), (80, 24), (79, 24), (80, 23), (60, 12), (40, 8), (30, 4), (30, 2), (24, 1)]
        {
            let mut ui = Ui::default();
            ui.handle(UiInput::Resize(columns, rows), &view, sample.now);
            let now = press(&mut ui, &view, sample.now, keys);
            let text = text_of(&screen(&view, &ui, now, columns, rows));
            assert!(text.contains("ROLLBACK"), "{name} {columns}x{rows}:\n{text}");
            if !ui.present && rows > 1 {
                let clock = now.format("%H:%M:%SZ").to_string();
                assert!(text.contains(&clock), "{name} {columns}x{rows}:\n{text}");
            }
            if rows >= 24 && columns >= 80 {
                assert!(text.contains("ABORT-BY"), "{name} {columns}x{rows}:\n{text}");
            }
            if name == "failing_rollback_sheet" && rows >= 4 {
                assert!(text.contains("press  R  to start"), "{name} {columns}x{rows}:\n{text}");
            }
        }
    }
}

#[test]
fn present_mode_shows_no_name_and_no_address() {
    for (name, sample, keys) in views() {
        let view = sample.view();
        for (columns, rows) in [(120, 36), (80, 24), (70, 16), (40, 8)] {
            let mut ui = Ui::default();
            ui.handle(UiInput::Resize(columns, rows), &view, sample.now);
            ui.set_present(true);
            let keys = keys.replace('v', "");
            let now = press(&mut ui, &view, sample.now, &keys);
            let text = text_of(&screen(&view, &ui, now, columns, rows));
            for secret in ["web1", "web2", "web3", "test1", "acme", "globex", "initech", "hooli", "192.0.2."]
            {
                // What the operator types, and the marker that quotes a host, are masked as well.
                assert!(!text.contains(secret), "{name} {columns}x{rows} {secret}:\n{text}");
            }
        }
    }
}

/// cockpit.md, rule 13: an idle screen is thrifty.
#[test]
fn an_idle_screen_costs_less_than_2_kb_a_second() {
    for sample in [Sample::before(), Sample::applying(), Sample::failing(), Sample::rolling()] {
        let view = sample.view();
        let ui = Ui::default();
        let theme = Theme::built_in("night", ColorDepth::True);
        for (columns, rows) in [(80, 24), (120, 36), (200, 60)] {
            let mut frames = crate::tui::terminal::Frames::new(columns, rows).expect("frames");
            let mut sizes = Vec::new();
            for second in 0..20 {
                let now = sample.now + Span::secs(second);
                let bytes =
                    frames.draw(|area, buf| render(&view, &ui, now, &theme, area, buf)).expect("draws");
                sizes.push(bytes.len());
            }
            // The first frame is whole; later a row may change its word, when a probe grows stale.
            let idle = &sizes[1..];
            let mean = idle.iter().sum::<usize>() / idle.len();
            assert!(mean > 0 && mean < 1_000, "{columns}x{rows}: {sizes:?}");
        }
    }
}

#[test]
fn text_from_hosts_acts_on_nothing() {
    let mut sample = Sample::applying();
    sample.print(
        "web3",
        "02:28:34",
        &[
            "\u{1b}]0;owned\u{7}\u{202e}gnp.exe \u{200b}x\u{9b}31m",
            "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        ],
    );
    let view = sample.view();
    let mut ui = Ui::default();
    press(&mut ui, &view, sample.now, "gjj4z");
    for columns in 20..120 {
        let text = text_of(&screen(&view, &ui, sample.now, columns, 30));
        let acts = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{200b}' | '\u{9b}'));
        assert!(!text.contains(acts), "{columns}:\n{text}");
    }
    assert!(text_of(&screen(&view, &ui, sample.now, 120, 36)).contains("\\e]0;owned\\x07\\u{202e}gnp.exe"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Never refuses, never panics: any size, any state, whatever was pressed.
    #[test]
    fn any_size_draws(
        columns in 1_u16..180, rows in 1_u16..60, which in 0_usize..27, present in any::<bool>(),
        more in "[a-zA-Z0-9:?/ \t\n]{0,12}", late in 0_u64..9_000, live in any::<bool>(),
    ) {
        let (_, sample, keys) = views().swap_remove(which);
        let mut view = sample.view();
        view.live = live;
        let mut ui = Ui::default();
        ui.set_present(present);
        ui.handle(UiInput::Resize(columns, rows), &view, sample.now);
        let now = press(&mut ui, &view, sample.now, &format!("{keys}{more}"));
        screen(&view, &ui, now + Span::secs(late), columns, rows);
    }

    /// Nor does a state that no window of ours would come to.
    #[test]
    fn any_state_draws(
        events in prop::collection::vec(crate::core::arbitrary::event(), 0..60),
        columns in 1_u16..180, rows in 1_u16..60, keys in "[a-zA-Z0-9:?/ \t\n]{0,12}",
    ) {
        let mut state = crate::core::State::default();
        for (seq, mut event) in (1..).zip(events) {
            if let crate::core::Event::Samples(samples) = &mut event {
                // A sum of counts near the end of what a number holds is not this test's concern.
                samples.left_out %= 1_000;
            }
            let record = crate::core::Record {
                seq, at: at("02:10"), actor: crate::core::event::Actor::Holdpoint,
                session: "s".to_owned(), epoch: 1, event,
            };
            state.apply(&record);
        }
        let view = View { state: std::sync::Arc::new(state), journal: crate::core::JournalHealth::Sound, live: true };
        let mut ui = Ui::default();
        ui.handle(UiInput::Resize(columns, rows), &view, at("02:10"));
        let now = press(&mut ui, &view, at("02:10"), &keys);
        screen(&view, &ui, now, columns, rows);
    }
}

#[test]
fn one_that_was_overtaken_says_that_it_only_watches() {
    use crate::core::event::{Actor, Event, HelperState, HostEvent, Record};
    let mut sample = Sample::unconfirmed();
    let helper = HelperState { enrolled: true, why_not: None, epoch: sample.state.epoch + 1 };
    let event = Event::Host(HostEvent::Greeted { host: "web1".parse().expect("a name"), helper });
    let (seq, at, epoch) = (sample.state.seq + 1, sample.now, sample.state.epoch);
    let (actor, session) = (Actor::Holdpoint, "test".to_owned());
    sample.state.apply(&Record { seq, at, actor, session, epoch, event });
    for (columns, rows) in [(160, 45), (80, 24)] {
        let (view, ui) = (sample.view(), Ui::default());
        let text = text_of(&screen(&view, &ui, sample.now, columns, rows));
        assert!(text.contains("another cockpit holds web1 since "), "{columns}:\n{text}");
    }
}

/// In a small terminal a sheet has more lines than room.
#[test]
fn the_item_that_go_waits_for_is_in_sight() {
    let mut sample = Sample::held();
    let batch = crate::core::schedule::next(&sample.state).expect("a batch waits").id.clone();
    sample.ask(crate::core::Intent::Waive {
        gate: "rehearsed".into(),
        batch,
        reason: "Raj read it".into(),
        watch: "initech, acme".into(),
        lasts: Span::mins(30),
    });
    let view = sample.view();
    let asked = "type how many changes of this batch were not rehearsed:";
    for rows in 14..=24 {
        let mut ui = Ui::default();
        ui.handle(UiInput::Resize(80, rows), &view, sample.now);
        let now = press(&mut ui, &view, sample.now, "c");
        let text = text_of(&screen(&view, &ui, now, 80, rows));
        assert!(
            text.contains("GATE rehearsed") && text.contains(&format!(">[ ] {asked}")),
            "{rows} rows:\n{text}"
        );
        let now = press(&mut ui, &view, now, "k");
        let now = press(&mut ui, &view, now, "G");
        let text = text_of(&screen(&view, &ui, now, 80, rows));
        assert!(text.contains("GO does not count: an item is open"), "{text}");
        assert!(text.contains(&format!(">[ ] {asked}")), "{rows} rows:\n{text}");
    }
}
