//! The rollback sheet and its two presses. The first holds and opens the sheet; the second is a
//! capital R that counts from 400 ms after the sheet opened, and neither as part of a burst nor as
//! a key held down.
//!
//! A key that is held down sends itself again after the keyboard's own delay (200 ms to 1 s), which
//! a terminal can't tell from a second press. So an R that follows the R that opened the sheet within
//! that delay waits for a moment: had it been a repeat, the next one would come by then.

use super::{Action, BURST, PASTED, Press, Sheet, Ui};
use crate::core::command::RollbackScope;
use crate::core::event::HoldScope;
use crate::core::rollback::{self, Rollback};
use crate::core::{Intent, View};
use crate::tui::input::Key;
use crate::tui::keys::{Act, Context};
use crate::types::{HostName, Span, Time, Untrusted};

/// The confirming R counts from this long after the sheet opened (cockpit.md, rule 6).
const COUNTS_FROM: Span = Span::ms(400);
/// The longest delay before a held key repeats itself, with room to spare.
const REPEAT_DELAY: Span = Span::ms(1_200);
/// The longest time between two repeats of a held key, with room to spare.
const REPEAT_EVERY: Span = Span::ms(250);
/// What is typed where confirmed work would go back.
pub(in crate::tui) const WORD: &str = "ROLLBACK";

/// How far the sheet's rollback reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Reach {
    Unconfirmed,
    Host,
    Wave,
    All,
}

/// The sheet.
#[derive(Debug, Clone)]
pub(in crate::tui) struct RollbackSheet {
    opened: Time,
    pub(in crate::tui) reach: Reach,
    pub(in crate::tui) word: String,
    /// An R that waits to be told from a repeat.
    pub(in crate::tui) waits: Option<Time>,
    pub(in crate::tui) note: Option<&'static str>,
}

impl RollbackSheet {
    pub(super) fn wake_at(&self) -> Option<Time> {
        self.waits.map(|since| since + REPEAT_EVERY)
    }

    /// The scope in the words of the core.
    pub(in crate::tui) fn scope(&self, ui: &Ui, view: &View) -> RollbackScope {
        match self.reach {
            Reach::Unconfirmed => RollbackScope::Unconfirmed,
            Reach::Host => host(ui, view).map_or(RollbackScope::Unconfirmed, RollbackScope::Host),
            Reach::Wave => RollbackScope::Wave,
            Reach::All => RollbackScope::All,
        }
    }
}

/// Scope `host`: the one under the cursor where it has something to go back, else that of the
/// unconfirmed work.
fn host(ui: &Ui, view: &View) -> Option<HostName> {
    let has =
        |host: &HostName| !rollback::batches(&view.state, &RollbackScope::Host(host.clone())).is_empty();
    ui.host(view).filter(has).or_else(|| {
        let ids = rollback::batches(&view.state, &RollbackScope::Unconfirmed);
        ids.first().and_then(|id| view.state.batches.get(id)).map(|batch| batch.host.clone())
    })
}

/// Whether the typed word is wanted: confirmed work would go back, or the scope is `all`.
pub(in crate::tui) fn wants_word(reach: Reach, outlook: &Rollback) -> bool {
    !outlook.under_way && (outlook.confirmed || (reach == Reach::All && !outlook.batches.is_empty()))
}

/// The first press: hold, and open the sheet. Pressed again it does nothing more.
pub(super) fn open(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    if !view.live {
        ui.say(press.now, "this is a replay: it can't touch a host");
        return None;
    }
    if let Some(Sheet::Rollback(sheet)) = ui.sheets.last_mut() {
        if sheet.waits.take().is_some() {
            sheet.note = Some("not started: another key came; press R once");
        }
        return None;
    }
    // A sheet that lies under others comes to the top anew.
    ui.sheets.retain(|sheet| !matches!(sheet, Sheet::Rollback(_)));
    ui.sheets.push(Sheet::Rollback(RollbackSheet {
        opened: press.now,
        reach: Reach::Unconfirmed,
        word: String::new(),
        waits: None,
        note: None,
    }));
    let why = Untrusted::new("the rollback sheet was opened");
    Some(Action::Intent(Intent::Hold { scope: HoldScope::Window, why }))
}

/// A press in the sheet.
pub(super) fn press(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    let act = ui.keys.find(press.key, &[Context::Rollback, Context::Screen]);
    let Some(Sheet::Rollback(sheet)) = ui.sheets.last() else { return None };
    let outlook = rollback::outlook(&view.state, &sheet.scope(ui, view));
    let word = wants_word(sheet.reach, &outlook);
    let ended = view.state.ended.is_some();
    let Some(Sheet::Rollback(sheet)) = ui.sheets.last_mut() else { return None };
    let waited = sheet.waits.take().is_some();
    sheet.note = None;
    if ended && (act == Some(Act::RollbackKey) || press.key == Key::Enter) {
        sheet.note = Some("the window has ended: holdpoint rollback RECORDING, from a shell");
        return None;
    }
    if waited && act != Some(Act::Back) {
        // Two within a moment: a key held down, or a burst.
        sheet.note = Some("not started: keys came in a burst; press R once");
        return None;
    }
    match (press.key, act) {
        (Key::Char(c), _) if word && WORD.contains(c) => {
            sheet.note = type_letter(&mut sheet.word, c, WORD, press);
        }
        (Key::Backspace, _) => {
            sheet.word.pop();
        }
        (Key::Enter, _) if word && sheet.word == WORD && !press.faster_than(PASTED) => {
            return confirmed(ui, view, press.now);
        }
        (Key::Enter, _) => {
            sheet.note =
                Some(if word { "type ROLLBACK, then Enter" } else { "Enter does nothing here: R starts it" });
        }
        (_, Some(Act::RollbackKey)) => return second(ui, view, &outlook, press),
        (_, Some(Act::Scope)) => {
            sheet.word.clear();
            sheet.reach = match sheet.reach {
                Reach::Unconfirmed => Reach::Host,
                Reach::Host => Reach::Wave,
                Reach::Wave => Reach::All,
                Reach::All => Reach::Unconfirmed,
            };
        }
        (_, Some(act)) => return ui.screen_act(act, view, press),
        (_, None) => {}
    }
    None
}

/// One more letter of a typed word. Letters that come faster than a hand start it anew.
pub(super) fn type_letter(
    word: &mut String,
    letter: char,
    whole: &str,
    press: Press,
) -> Option<&'static str> {
    if press.faster_than(PASTED) {
        word.clear();
        return Some("the word is typed, not pasted: type it again");
    }
    word.push(letter);
    if !whole.starts_with(word.as_str()) {
        word.clear();
        if whole.starts_with(letter) {
            word.push(letter);
        }
        return Some("that was another letter: type the word from its beginning");
    }
    None
}

/// The second press.
fn second(ui: &mut Ui, view: &View, outlook: &Rollback, press: Press) -> Option<Action> {
    let Some(Sheet::Rollback(sheet)) = ui.sheets.last_mut() else { return None };
    if outlook.batches.is_empty() {
        sheet.note = Some("nothing to roll back: nothing is applied");
        return None;
    }
    if outlook.under_way {
        sheet.note = Some("all of it is on its way back already");
        return None;
    }
    // A clock that was set back must not lock the key.
    if press.now < sheet.opened {
        sheet.opened = press.now;
    }
    if Span::between(sheet.opened, press.now) < COUNTS_FROM {
        sheet.note = Some("R counts a moment after the sheet opened; press it again");
        return None;
    }
    if press.faster_than(BURST) {
        sheet.note = Some("R came in a burst or as a repeat; press it once");
        return None;
    }
    let may_repeat = press.before.is_some_and(|(before, ago)| before == press.key && ago < REPEAT_DELAY);
    if may_repeat {
        sheet.waits = Some(press.now);
        return None;
    }
    confirmed(ui, view, press.now)
}

/// Time passed: an R that waited was a press of its own.
pub(super) fn tick(ui: &mut Ui, view: &View, now: Time) -> Option<Action> {
    let Some(Sheet::Rollback(sheet)) = ui.sheets.last_mut() else { return None };
    let since = sheet.waits?;
    if now < since {
        sheet.waits = Some(now);
        return None;
    }
    if Span::between(since, now) < REPEAT_EVERY {
        return None;
    }
    sheet.waits = None;
    confirmed(ui, view, now)
}

fn confirmed(ui: &mut Ui, view: &View, now: Time) -> Option<Action> {
    let Some(Sheet::Rollback(sheet)) = ui.sheets.pop() else { return None };
    let scope = sheet.scope(ui, view);
    let labels: Vec<String> = rollback::batches(&view.state, &scope)
        .iter()
        .filter_map(|id| view.state.batches.get(id))
        .map(|batch| batch.label())
        .collect();
    ui.say(now, format!("ROLLBACK asked for: {}", labels.join(", ")));
    let why = Untrusted::new("asked for at the cockpit");
    Some(Action::Intent(Intent::Rollback { scope, why }))
}
