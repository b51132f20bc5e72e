//! Text fields: the palette, the filter, a marker's note, the form of a waiver. Ctrl-R and Ctrl-C
//! never reach them; everything else does.

use tui_input::{Input, InputRequest};

use super::act::mark;
use super::panes::Pane;
use super::{Action, Press, Sheet, Ui};
use crate::core::gate::{self, GateName, GateState};
use crate::core::{Intent, View, alone, schedule};
use crate::tui::input::Key;
use crate::tui::palette;
use crate::types::{BatchId, Span, Time, Untrusted};

/// The longest text of a field, in characters.
const LONGEST: usize = 400;
/// How long a waiver holds, where nothing else is typed.
const LASTS: &str = "30m";

/// One line of text with its cursor.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Field(Input);

impl Field {
    pub(in crate::tui) fn new(text: String) -> Self {
        Self(Input::new(text))
    }

    /// What is typed.
    pub(in crate::tui) fn text(&self) -> &str {
        self.0.value()
    }

    /// What is typed before the cursor, and after it.
    pub(in crate::tui) fn split(&self) -> (String, String) {
        let before: String = self.text().chars().take(self.0.cursor()).collect();
        let after: String = self.text().chars().skip(self.0.cursor()).collect();
        (before, after)
    }

    pub(super) fn press(&mut self, key: Key) {
        let request = match key {
            Key::Char(c) if self.text().chars().count() < LONGEST => InputRequest::InsertChar(c),
            Key::Backspace => InputRequest::DeletePrevChar,
            Key::Delete => InputRequest::DeleteNextChar,
            Key::Left => InputRequest::GoToPrevChar,
            Key::Right => InputRequest::GoToNextChar,
            Key::Home => InputRequest::GoToStart,
            Key::End | Key::Ctrl('e') => InputRequest::GoToEnd,
            Key::Ctrl('u') => InputRequest::DeleteFromStart,
            Key::Ctrl('w') => InputRequest::DeletePrevWord,
            _ => return,
        };
        self.0.handle(request);
    }

    fn paste(&mut self, text: &str) {
        for c in text.chars() {
            // A field has one line; what a paste holds beyond it is a space, never an Enter.
            self.press(Key::Char(if c.is_control() { ' ' } else { c }));
        }
    }
}

/// The form of a waiver: three questions, one after another.
#[derive(Debug, Clone)]
pub(in crate::tui) struct Waive {
    pub(in crate::tui) gate: GateName,
    pub(in crate::tui) batch: BatchId,
    pub(in crate::tui) failing: String,
    pub(in crate::tui) fields: [Field; 3],
    pub(in crate::tui) at: usize,
    pub(in crate::tui) note: Option<String>,
}

/// What the form asks.
pub(in crate::tui) const QUESTIONS: [&str; 3] =
    ["why it is right to go on", "what will be watched", "for how long"];

impl Waive {
    /// The form for a gate of the batch that is next, or of one whose reboot waits for it; or why there is none.
    pub(super) fn of(word: &str, view: &View, now: Time) -> Result<Self, String> {
        let named = |word: &str| gate::GATES.into_iter().find(|gate| gate.word() == word);
        let Some(gate) = named(word) else {
            if let Some(gate) = word.split_whitespace().next().and_then(named) {
                return Err(format!(
                    ":waive {gate}, and no more: what else there is to say is asked for then"
                ));
            }
            let names: Vec<&str> = gate::GATES.iter().map(|gate| gate.word()).collect();
            return Err(format!("there are the gates {}", names.join(", ")));
        };
        let boot = alone::waiting(&view.state, now).map(|(batch, _)| batch);
        let boot = boot.filter(|_| gate == GateName::Proof);
        let Some(batch) = boot.or_else(|| schedule::next(&view.state)) else {
            return Err("no batch waits".to_owned());
        };
        let judgement = gate::judge_one(&view.state, batch, gate, now);
        if !gate.waivable() {
            return Err(format!("gate {gate} can't be waived: without it nothing could be done or undone"));
        }
        if judgement.state != GateState::Held {
            return Err(format!("gate {gate} is {}; a waiver passes a held gate", judgement.state.word()));
        }
        Ok(Self {
            gate,
            batch: batch.id.clone(),
            failing: judgement.reason,
            fields: [Field::default(), Field::default(), Field::new(LASTS.to_owned())],
            at: 0,
            note: None,
        })
    }

    fn press(&mut self, key: Key) -> Option<Intent> {
        self.note = None;
        let last = self.fields.len() - 1;
        match key {
            Key::Up | Key::BackTab => self.at = self.at.saturating_sub(1),
            Key::Down | Key::Tab => self.at = (self.at + 1).min(last),
            Key::Enter => {
                if let Some(empty) = self.fields.iter().position(|field| field.text().trim().is_empty()) {
                    // Enter goes on to what is open; a field left empty is said.
                    self.note = (empty <= self.at).then(|| format!("{} is wanted", QUESTIONS[empty]));
                    self.at = empty;
                    return None;
                }
                if self.at < last {
                    self.at += 1;
                    return None;
                }
                match self.fields[last].text().trim().parse::<Span>() {
                    Ok(lasts) if lasts > Span::ZERO => {
                        let text = |at: usize| Untrusted::new(self.fields[at].text().trim());
                        return Some(Intent::Waive {
                            gate: self.gate.word().to_owned(),
                            batch: self.batch.clone(),
                            reason: text(0),
                            watch: text(1),
                            lasts,
                        });
                    }
                    Ok(_) => self.note = Some("a waiver lasts longer than nothing".to_owned()),
                    Err(error) => self.note = Some(Untrusted::new(error.to_string()).shown()),
                }
            }
            key => self.fields[self.at].press(key),
        }
        None
    }
}

impl Ui {
    /// Pasted text goes where text is typed; typed words (`GO`, `ROLLBACK`) take none.
    pub(super) fn paste(&mut self, text: &str) {
        match self.sheets.last_mut() {
            Some(Sheet::Waive(form)) => form.fields[form.at].paste(text),
            Some(Sheet::Mark(field) | Sheet::Palette(field) | Sheet::Filter(_, field)) => field.paste(text),
            Some(Sheet::ByWord(_) | Sheet::Rollback(_) | Sheet::Gate(_) | Sheet::Help { .. }) | None => {}
        }
    }
}

/// A press in a text field.
pub(super) fn press(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    if press.key == Key::Esc {
        ui.back();
        return None;
    }
    let enter = press.key == Key::Enter;
    match ui.sheets.last_mut()? {
        Sheet::Waive(form) => {
            let intent = form.press(press.key)?;
            ui.back();
            ui.say(press.now, "waiver asked for; it is recorded with what was failing");
            return Some(Action::Intent(intent));
        }
        Sheet::Mark(field) if enter => {
            let action = mark(field.text());
            ui.back();
            return Some(action);
        }
        Sheet::Filter(pane, field) if enter => {
            let (pane, text) = (*pane, field.text().to_owned());
            ui.back();
            set_filter(ui, pane, text);
        }
        Sheet::Palette(field) if enter => {
            let text = field.text().to_owned();
            ui.back();
            if text.trim().is_empty() {
                return None;
            }
            return ui.command(&text, view, press.now);
        }
        Sheet::Palette(field) if press.key == Key::Tab => {
            if let Some(text) = palette::complete(field.text(), view) {
                *field = Field::new(text);
            }
        }
        Sheet::Palette(field) if press.key == Key::Backspace && field.text().is_empty() => ui.back(),
        Sheet::Mark(field) | Sheet::Palette(field) | Sheet::Filter(_, field) => field.press(press.key),
        Sheet::Help { .. } | Sheet::Gate(_) | Sheet::ByWord(_) | Sheet::Rollback(_) => {}
    }
    None
}

fn set_filter(ui: &mut Ui, pane: Pane, text: String) {
    ui.cursors.remove(&pane);
    ui.log.still = if pane == Pane::Log { None } else { ui.log.still };
    ui.packets = if pane == Pane::Packets { None } else { ui.packets };
    if text.trim().is_empty() {
        ui.filters.remove(&pane);
    } else {
        ui.filters.insert(pane, text.trim().to_owned());
    }
}
