//! A viewer's own side of the screen: where the cursor is, which sheet is open, what was pressed.
//! Pure: a key, the view and the moment in, at most one action out. Nothing here knows a terminal,
//! and nothing here is part of the record.
//!
//! Friction is asymmetric: hold is one key, rollback two presses, and going on wants evidence and a
//! typed word. Enter alone, Esc, a paste or a key repeat never change a host.

mod act;
pub(super) mod ask;
pub(super) mod gate;
mod panes;
pub(super) mod rollback;
pub(super) mod text;
pub(super) mod timer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::input::{Key, UiInput};
use super::keys::{Act, Context, Keys};
use super::replay::{Position, ReplayAction};
use crate::core::event::{Cause, HoldScope};
use crate::core::{Intent, View, schedule};
use crate::types::{HostName, Span, Time, Untrusted};
use gate::GateSheet;
pub use panes::Pane;
use rollback::RollbackSheet;
use text::{Field, Waive};
use timer::ByWord;

/// Keys that follow each other faster than this are a burst: a paste without brackets, a key held
/// down. A confirming R in a burst does not count.
pub(super) const BURST: Span = Span::ms(60);
/// Letters of a typed word that follow each other faster than this were not typed.
pub(super) const PASTED: Span = Span::ms(15);
/// How long a notice stays on the hint line.
const NOTICE: Span = Span::secs(8);
/// How many of the last keys the present mode shows.
const PRESSED: usize = 8;

/// What a key comes to, where it comes to something outside the viewer.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Something is wanted of the window.
    Intent(Intent),
    /// These alarms were seen.
    Acknowledge(Vec<Cause>),
    /// Hold, then leave the cockpit; what is on the hosts goes on.
    Quit,
    /// Copy this text.
    Copy(String),
    /// Write what is shown into the export folder.
    Export,
    /// Write a host's packets that are kept into the export folder.
    ExportPackets(Chosen),
    /// Something is wanted of the replay.
    Replay(ReplayAction),
    /// Another theme, by name; the next one where none is named.
    Theme(Option<String>),
    /// Draw the whole screen anew.
    Redraw,
}

/// Whose packets are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// On which host.
    pub host: HostName,
    /// Those of one address; all where none is given.
    pub address: Option<IpAddr>,
    /// Whose they are, in a word.
    pub of: String,
}

/// A sheet over the panes, or a line that is being typed.
#[derive(Debug, Clone)]
pub(super) enum Sheet {
    Help { scroll: usize },
    Gate(GateSheet),
    Rollback(RollbackSheet),
    Waive(Waive),
    ByWord(ByWord),
    Mark(Field),
    Palette(Field),
    Filter(Pane, Field),
}

/// The log pane: what it shows and how far back.
#[derive(Debug, Clone, Default)]
pub(super) struct LogView {
    /// Lines of every host, not of the chosen one alone.
    pub(super) all: bool,
    /// Where it stands still: lines pushed until then, and how many lines further back.
    pub(super) still: Option<(u64, usize)>,
}

/// Whose packets are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Of {
    /// The host under the cursor.
    #[default]
    Host,
    /// The customer whose probe is under the cursor.
    Customer,
    /// Every host.
    All,
}

/// One viewer's cursors, sheets, scroll positions and first presses.
#[derive(Debug, Clone)]
pub struct Ui {
    pub(super) keys: Keys,
    pub(super) size: (u16, u16),
    pub(super) pane: Pane,
    pub(super) zoom: bool,
    pub(super) unfolded: bool,
    pub(super) cursors: BTreeMap<Pane, usize>,
    pub(super) filters: BTreeMap<Pane, String>,
    pub(super) log: LogView,
    /// Where the packets stand still: rows pushed until then, and how many rows further back.
    pub(super) packets: Option<(u64, usize)>,
    pub(super) packets_of: Of,
    pub(super) sheets: Vec<Sheet>,
    pub(super) notice: Option<(Time, String)>,
    /// Banners that are no alarm of the record, by their keys.
    pub(super) acknowledged: BTreeSet<String>,
    /// Lines that were asked about, and put off.
    pub(super) put_off: BTreeSet<ask::Asked>,
    pub(super) present: bool,
    pub(super) pressed: VecDeque<String>,
    pub(super) replay: Option<Position>,
    last: Option<(Key, Time)>,
}

/// What is known of a press beside its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    pub(super) key: Key,
    /// The key before it, and how long ago that was.
    pub(super) before: Option<(Key, Span)>,
    /// The terminal said that the key is being held down.
    pub(super) repeat: bool,
    pub(super) now: Time,
}

impl Press {
    /// Whether it came with others, faster than anybody presses one after another.
    pub(super) fn faster_than(&self, limit: Span) -> bool {
        self.repeat || self.before.is_some_and(|(_, ago)| ago < limit)
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self::new(Keys::default())
    }
}

impl Ui {
    /// A viewer with these keys, before anything was pressed.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            size: (120, 36),
            pane: Pane::Hosts,
            zoom: false,
            unfolded: false,
            cursors: BTreeMap::new(),
            filters: BTreeMap::new(),
            log: LogView::default(),
            packets: None,
            packets_of: Of::Host,
            sheets: Vec::new(),
            notice: None,
            acknowledged: BTreeSet::new(),
            put_off: BTreeSet::new(),
            present: false,
            pressed: VecDeque::new(),
            replay: None,
            last: None,
        }
    }

    /// Begins in present mode, or leaves it.
    pub fn set_present(&mut self, present: bool) {
        self.present = present;
    }

    /// Where the replay stands; the timeline is drawn from it.
    pub fn set_replay(&mut self, position: Option<Position>) {
        self.replay = position;
    }

    /// Says something on the hint line for a few seconds.
    pub fn say(&mut self, now: Time, what: impl Into<String>) {
        self.notice = Some((now, what.into()));
    }

    /// The notice, while it is young.
    pub(super) fn notice(&self, now: Time) -> Option<&str> {
        let (at, what) = self.notice.as_ref()?;
        (Span::between(*at, now) < NOTICE).then_some(what)
    }

    /// When a [`UiInput::Tick`] is wanted at the latest: a press waits to be told from a key repeat.
    pub fn wake_at(&self) -> Option<Time> {
        match self.sheets.last() {
            Some(Sheet::Rollback(sheet)) => sheet.wake_at(),
            _ => None,
        }
    }

    /// Whether the operator asked for the diagnostics pane, which only their own terminal draws.
    pub fn wants_diagnostics(&self) -> bool {
        self.pane == Pane::Diagnostics && self.sheets.is_empty()
    }

    /// Takes one input; what it comes to outside, if to anything.
    pub fn handle(&mut self, input: UiInput, view: &View, now: Time) -> Option<Action> {
        match input {
            UiInput::Resize(columns, rows) => {
                self.size = (columns, rows);
                None
            }
            UiInput::Tick => rollback::tick(self, view, now),
            UiInput::Paste(text) => {
                // What follows a paste at once belongs to it.
                self.last = Some((Key::Other, now));
                self.paste(&text);
                None
            }
            UiInput::Key(key) => self.press(key, false, view, now),
            UiInput::Repeat(key) => self.press(key, true, view, now),
        }
    }

    fn press(&mut self, key: Key, repeat: bool, view: &View, now: Time) -> Option<Action> {
        let before = self.last.map(|(key, at)| (key, Span::between(at, now)));
        let press = Press { key, before, repeat, now };
        self.last = Some((key, now));
        if self.pressed.len() == PRESSED {
            self.pressed.pop_front();
        }
        if !self.in_text() {
            self.pressed.push_back(key.to_string());
        }
        // The two that work everywhere come first, whatever is open.
        match self.keys.find(key, &[Context::Always]) {
            Some(Act::Rollback) => return rollback::open(self, view, press),
            Some(Act::HoldAnywhere) => return self.hold(view, now, HoldScope::Window),
            _ => {}
        }
        match self.sheets.last() {
            Some(Sheet::Rollback(_)) => rollback::press(self, view, press),
            Some(Sheet::Gate(sheet)) if sheet.answering() => gate::type_answer(self, view, press),
            Some(Sheet::Gate(_)) => gate::press(self, view, press),
            Some(Sheet::Help { .. }) => self.press_help(view, press),
            Some(Sheet::ByWord(_)) => timer::press(self, view, press),
            Some(Sheet::Waive(_) | Sheet::Mark(_) | Sheet::Palette(_) | Sheet::Filter(..)) => {
                text::press(self, view, press)
            }
            None => {
                if let Some(asked) = self.asked(view) {
                    return ask::press(self, asked, view, press);
                }
                let contexts: &[Context] = if view.live {
                    &[Context::Panes, Context::Screen]
                } else {
                    &[Context::Replay, Context::Panes, Context::Screen]
                };
                match self.keys.find(key, contexts) {
                    Some(act) => self.act(act, view, press),
                    None => None,
                }
            }
        }
    }

    fn press_help(&mut self, view: &View, press: Press) -> Option<Action> {
        let act = self.keys.find(press.key, &[Context::Panes, Context::Screen])?;
        let Some(Sheet::Help { scroll }) = self.sheets.last_mut() else { return None };
        match act {
            Act::Down => *scroll += 1,
            Act::Up => *scroll = scroll.saturating_sub(1),
            Act::PageDown | Act::Fold => *scroll += 10,
            Act::PageUp => *scroll = scroll.saturating_sub(10),
            Act::First => *scroll = 0,
            Act::Last => *scroll = usize::MAX / 2,
            _ => return self.screen_act(act, view, press),
        }
        None
    }

    /// Whether letters go into a text.
    pub(super) fn in_text(&self) -> bool {
        match self.sheets.last() {
            Some(
                Sheet::Waive(_) | Sheet::ByWord(_) | Sheet::Mark(_) | Sheet::Palette(_) | Sheet::Filter(..),
            ) => true,
            Some(Sheet::Gate(sheet)) => sheet.answering(),
            Some(Sheet::Rollback(_) | Sheet::Help { .. }) | None => false,
        }
    }

    /// Holds, and says what that does not stop.
    pub(super) fn hold(&mut self, view: &View, now: Time, scope: HoldScope) -> Option<Action> {
        if !view.live {
            self.say(now, "this is a replay: there is nothing to hold");
            return None;
        }
        let runs = super::view::activity::runs_on(&view.state, &scope, now);
        self.say(now, format!("HOLD asked for. {runs}"));
        Some(Action::Intent(Intent::Hold { scope, why: Untrusted::new("asked for at the cockpit") }))
    }

    /// The host under the cursor.
    pub(super) fn host(&self, view: &View) -> Option<HostName> {
        schedule::host_order(&view.state).get(self.host_at(view)).cloned()
    }

    /// The row of the hosts under the cursor. Until somebody moves it, it follows the work: the host
    /// with unconfirmed changes, else the one that is next.
    pub(super) fn host_at(&self, view: &View) -> usize {
        let order = schedule::host_order(&view.state);
        let last = order.len().saturating_sub(1);
        if let Some(at) = self.cursors.get(&Pane::Hosts) {
            return (*at).min(last);
        }
        let open = schedule::unconfirmed(&view.state).first().map(|batch| batch.host.clone());
        let busy = open.or_else(|| schedule::next(&view.state).map(|batch| batch.host.clone()));
        busy.and_then(|host| order.iter().position(|other| *other == host)).unwrap_or(0)
    }

    pub(super) fn cursor(&self, pane: Pane) -> usize {
        self.cursors.get(&pane).copied().unwrap_or(0)
    }

    pub(super) fn filter(&self, pane: Pane) -> Option<&str> {
        self.filters.get(&pane).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Closes the sheet on top.
    pub(super) fn back(&mut self) {
        self.sheets.pop();
    }
}

#[cfg(test)]
mod tests;
