//! The gate sheet: the next batch, its gates one by one, the items to answer, and the typed GO.

use std::collections::BTreeSet;

use super::rollback::type_letter;
use super::text::Field;
use super::{Action, PASTED, Press, Sheet, Ui};
use crate::core::gate::{self, GateName, GateState, Judgement};
use crate::core::state::{Batch, Health, Phase};
use crate::core::{Intent, JournalHealth, View, confirm, schedule};
use crate::tui::input::Key;
use crate::tui::keys::{Act, Context};
use crate::types::{BatchId, Time};

/// What is typed to start a batch.
pub(in crate::tui) const WORD: &str = "GO";

/// The sheet.
#[derive(Debug, Clone)]
pub(in crate::tui) struct GateSheet {
    pub(in crate::tui) batch: BatchId,
    pub(in crate::tui) gate: usize,
    pub(in crate::tui) item: usize,
    pub(in crate::tui) word: String,
    pub(in crate::tui) note: Option<String>,
    answered: BTreeSet<Question>,
    typing: Option<Field>,
}

/// What an item asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum Question {
    /// Nothing: it is there to be seen, and is met or not.
    Seen,
    /// Nobody would notice: said to be known.
    Unprobed,
    /// How many changes go on without having been rehearsed: read off the screen.
    Unrehearsed,
}

/// One item of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Item {
    pub(in crate::tui) question: Question,
    pub(in crate::tui) text: String,
    pub(in crate::tui) met: bool,
}

impl GateSheet {
    /// Whether letters go into an answer.
    pub(in crate::tui) fn answering(&self) -> bool {
        self.typing.is_some()
    }

    /// The answer as far as it is typed.
    pub(in crate::tui) fn typing(&self) -> Option<&Field> {
        self.typing.as_ref()
    }

    /// What is to be seen and answered before GO counts.
    pub(in crate::tui) fn items(&self, view: &View, batch: &Batch, now: Time) -> Vec<Item> {
        let mut items = vec![probes(view, batch, now)];
        // Probes of kinds that this version doesn't make say nothing either.
        if confirm::unprobed(&view.state, batch) {
            items.push(Item {
                question: Question::Unprobed,
                text: format!("UNPROBED: no probe says who is served; wants :confirm {}", batch.host),
                met: self.answered.contains(&Question::Unprobed),
            });
        }
        let waived = gate::judge_one(&view.state, batch, GateName::Rehearsed, now).state == GateState::Waived;
        // A number that the gate itself says; where it says none there is none to read.
        if waived && gate::unrehearsed(&view.state, batch, now) > 0 {
            items.push(Item {
                question: Question::Unrehearsed,
                text: "type how many changes of this batch were not rehearsed:".to_owned(),
                met: self.answered.contains(&Question::Unrehearsed),
            });
        }
        items
    }

    /// The first item that asks something and is not answered.
    fn first_open(&self, view: &View, batch: &Batch, now: Time) -> Option<usize> {
        let open = |item: &Item| !item.met && item.question != Question::Seen;
        self.items(view, batch, now).iter().position(open)
    }

    /// Says why GO does not count. Where that is an open item, it is the one under the cursor now, and so in sight.
    fn refuse(&mut self, why: &str, view: &View, batch: &Batch, now: Time) {
        self.note = Some(format!("GO does not count: {why}"));
        self.item = self.first_open(view, batch, now).unwrap_or(self.item);
    }
}

/// How the customers of the batch's host are served now: to be seen, since what is broken before is
/// not the batch's doing.
fn probes(view: &View, batch: &Batch, now: Time) -> Item {
    let probes: Vec<_> = view
        .state
        .probes_of(&batch.host)
        .map(|(_, probe)| probe)
        .filter(|probe| crate::core::effect::is_made(&probe.probe))
        .collect();
    let passing = probes.iter().filter(|probe| probe.health(now) == Health::Ok).count();
    let age = probes.iter().filter_map(|probe| probe.last()).map(|(at, _)| *at).min();
    let age = age.map_or_else(String::new, |at| format!(", {} old", crate::tui::view::age(at, now)));
    let met = passing == probes.len();
    let text = match probes.len() {
        0 => format!("no probe of {} is made", batch.host),
        n if met => format!("probes of {} pass: {n} of {n}{age}", batch.host),
        n => format!("probes of {} pass: {passing} of {n}{age}", batch.host),
    };
    Item { question: Question::Seen, text, met }
}

/// Why GO does not count now; `None` where it does.
pub(in crate::tui) fn blocked(
    sheet: &GateSheet,
    view: &View,
    batch: &Batch,
    judgements: &[Judgement],
    now: Time,
) -> Option<String> {
    let state = &view.state;
    if let JournalHealth::Failing { .. } = view.journal {
        return Some("the journal can't be written".to_owned());
    }
    if state.ended.is_some() {
        return Some("the window has ended".to_owned());
    }
    if state.is_held(batch) {
        return Some("a hold is in force; :resume releases it".to_owned());
    }
    if let Some(against) = judgements.iter().find(|judgement| !judgement.state.passes()) {
        let word = if against.state == GateState::Unknown { "is unknown" } else { "holds" };
        return Some(format!("gate {} {word}", against.gate));
    }
    if batch.phase != Phase::Staged {
        return Some(format!("{} is {}", batch.label(), batch.phase.word()));
    }
    let earlier = state.batches_of(&batch.host).take_while(|other| other.id != batch.id);
    if let Some(first) = earlier.into_iter().find(|other| schedule::waits(other.phase)) {
        return Some(format!("{} comes first", first.label()));
    }
    sheet.first_open(view, batch, now).map(|_| "an item is open".to_owned())
}

/// Opens the sheet of the batch that is next, at its first held or unknown gate; where none is, at the item that GO
/// waits for, and at the gate that tells what it asks.
pub(super) fn open(ui: &mut Ui, view: &View, now: Time) {
    let Some(batch) = schedule::next(&view.state) else {
        ui.say(now, "no batch waits: nothing to go on with");
        return;
    };
    let judgements = gate::judge(&view.state, batch, now);
    let held = judgements.iter().position(|judgement| !judgement.state.passes());
    let mut sheet = GateSheet {
        batch: batch.id.clone(),
        gate: 0,
        item: 0,
        word: String::new(),
        note: None,
        answered: BTreeSet::new(),
        typing: None,
    };
    let items = sheet.items(view, batch, now);
    sheet.item = sheet.first_open(view, batch, now).unwrap_or(0);
    let asks = items.get(sheet.item).is_some_and(|item| item.question == Question::Unrehearsed);
    let waived = judgements.iter().position(|judgement| judgement.gate == GateName::Rehearsed);
    sheet.gate = held.or(waived.filter(|_| asks)).unwrap_or(0);
    ui.sheets.push(Sheet::Gate(sheet));
}

/// A press in the sheet, no answer being typed.
pub(super) fn press(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    let act = ui.keys.find(press.key, &[Context::Gate, Context::Screen]);
    let Some(Sheet::Gate(sheet)) = ui.sheets.last_mut() else { return None };
    sheet.note = None;
    let batch = view.state.batches.get(&sheet.batch).filter(|batch| schedule::waits(batch.phase));
    let Some(batch) = batch else {
        return ui.screen_act(act?, view, press);
    };
    let judgements = gate::judge(&view.state, batch, press.now);
    let against = blocked(sheet, view, batch, &judgements, press.now);
    let count = judgements.len().max(1);
    match (press.key, act) {
        (Key::Char(c @ ('G' | 'O')), _) => match against {
            Some(why) => sheet.refuse(&why, view, batch, press.now),
            None => sheet.note = type_letter(&mut sheet.word, c, WORD, press).map(str::to_owned),
        },
        (Key::Backspace, _) => {
            sheet.word.pop();
        }
        (Key::Enter, _) => match against {
            Some(why) => sheet.refuse(&why, view, batch, press.now),
            None if sheet.word != WORD => sheet.note = Some("type GO, then Enter".to_owned()),
            None if press.faster_than(PASTED) => {
                sheet.word.clear();
                sheet.note = Some("the word is typed, not pasted: type it again".to_owned());
            }
            None => {
                let id = sheet.batch.clone();
                ui.say(press.now, format!("GO asked for: {}", batch.label()));
                ui.back();
                return Some(Action::Intent(Intent::Go { batch: id }));
            }
        },
        (_, Some(Act::NextGate)) => sheet.gate = (sheet.gate + 1) % count,
        (_, Some(Act::PrevGate)) => sheet.gate = (sheet.gate + count - 1) % count,
        (_, Some(Act::Down)) => {
            sheet.item = (sheet.item + 1) % sheet.items(view, batch, press.now).len().max(1);
        }
        (_, Some(Act::Up)) => {
            let items = sheet.items(view, batch, press.now).len().max(1);
            sheet.item = (sheet.item + items - 1) % items;
        }
        (_, Some(Act::Answer)) => answer(sheet, view, batch, press),
        (_, Some(act)) => return ui.screen_act(act, view, press),
        (_, None) => {}
    }
    None
}

/// Space: the item under the cursor or, where that asks nothing, the first that is open.
fn answer(sheet: &mut GateSheet, view: &View, batch: &Batch, press: Press) {
    let items = sheet.items(view, batch, press.now);
    let asks = |item: &&Item| item.question != Question::Seen;
    let here = items.get(sheet.item).filter(asks);
    let open = sheet.first_open(view, batch, press.now).and_then(|at| items.get(at));
    let Some(item) = here.or(open) else {
        sheet.note = Some("no item asks anything".to_owned());
        return;
    };
    sheet.item = items.iter().position(|other| other == item).unwrap_or(0);
    match item.question {
        Question::Seen => {}
        Question::Unprobed => {
            if !sheet.answered.remove(&Question::Unprobed) {
                sheet.answered.insert(Question::Unprobed);
            }
        }
        Question::Unrehearsed => sheet.typing = Some(Field::default()),
    }
}

/// A press while an answer is typed.
pub(super) fn type_answer(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    let Some(Sheet::Gate(sheet)) = ui.sheets.last_mut() else { return None };
    sheet.note = None;
    let typing = sheet.typing.as_mut()?;
    match press.key {
        Key::Esc => sheet.typing = None,
        Key::Enter => {
            let right = view
                .state
                .batches
                .get(&sheet.batch)
                .map(|batch| gate::unrehearsed(&view.state, batch, press.now).to_string());
            let same = right.is_some_and(|right| right == typing.text().trim());
            sheet.typing = None;
            if same {
                sheet.answered.insert(Question::Unrehearsed);
            } else {
                sheet.note = Some("that is not the number on the screen".to_owned());
            }
        }
        key => typing.press(key),
    }
    None
}
