//! What a person asks of a dead-man timer: to lengthen it, and to confirm by their word where no probe
//! could. Confirming wants the host's name typed; lengthening takes nothing away, and wants no more than
//! its command.

use super::rollback::type_letter;
use super::{Action, PASTED, Press, Sheet, Ui};
use crate::core::state::{Batch, DeadMan};
use crate::core::{Intent, View, confirm};
use crate::tui::input::Key;
use crate::types::{BatchId, HostName, Span, Time, Untrusted};

/// The form of a confirm by a person's word.
#[derive(Debug, Clone)]
pub(in crate::tui) struct ByWord {
    pub(in crate::tui) batch: BatchId,
    pub(in crate::tui) host: HostName,
    pub(in crate::tui) word: String,
    pub(in crate::tui) note: Option<String>,
}

/// The unconfirmed batch of a host, by the host's name as it was typed.
fn open_batch<'v>(view: &'v View, host: &str) -> Result<&'v Batch, String> {
    let Some(name) = view.state.hosts.keys().find(|name| name.as_str() == host) else {
        return Err(format!("{} is not a host of the plan", Untrusted::new(host).shown()));
    };
    let mut open = view.state.batches_of(name).rev().filter(|batch| batch.phase.unconfirmed());
    open.next().map(AsRef::as_ref).ok_or_else(|| format!("nothing on {name} is unconfirmed"))
}

/// The hosts that have something unconfirmed: what a name may be completed to.
pub(in crate::tui) fn hosts(view: &View) -> impl Iterator<Item = &HostName> {
    view.state.in_order().filter(|batch| batch.phase.unconfirmed()).map(|batch| &batch.host)
}

/// The batch that a word would confirm, or why none would.
fn confirmable<'v>(view: &'v View, host: &str, now: Time) -> Result<&'v Batch, String> {
    let batch = open_batch(view, host)?;
    match confirm::by_word(&view.state, batch, now) {
        Ok(_) => Ok(batch),
        Err(why) => Err(format!("{}: {why}", batch.label())),
    }
}

/// The batch whose timer would be lengthened, and to when, in words; or why it would not.
fn lengthened<'v>(view: &'v View, host: &str, by: Span, now: Time) -> Result<(&'v Batch, String), String> {
    let batch = open_batch(view, host)?;
    if batch.timer.as_ref().is_some_and(DeadMan::unwatched) {
        return Ok((batch, format!("{} starts again what watches its timer, and lengthens it", batch.host)));
    }
    let Some(fires) = batch.fires_at() else {
        return Err(format!("{} has no timer that runs", batch.label()));
    };
    let stamp = |at| crate::tui::view::stamp(at, now);
    let cap = batch.timer_cap().unwrap_or(fires);
    if cap <= fires {
        return Err(format!("{} fires at {}: no extension goes beyond", batch.host, stamp(fires)));
    }
    let to = (fires + by).min(cap);
    let (is, latest) = (stamp(fires), stamp(cap));
    Ok((batch, format!("{} rolls back at {} instead of {is}; no later than {latest}", batch.host, stamp(to))))
}

/// What Enter would come to.
pub(in crate::tui) fn extend_preview(view: &View, host: &str, by: Span, now: Time) -> Result<String, String> {
    lengthened(view, host, by, now).map(|(_, text)| text)
}

/// The same of a confirm: its form opens, or why it does not.
pub(in crate::tui) fn confirm_preview(view: &View, host: &str, now: Time) -> Result<String, String> {
    confirmable(view, host, now).map(|batch| format!("opens the form for {}", batch.label()))
}

impl Ui {
    /// `:extend HOST MINUTES`.
    pub(super) fn extend(&mut self, host: &str, by: Span, view: &View, now: Time) -> Option<Action> {
        match lengthened(view, host, by, now) {
            Ok((batch, text)) => {
                self.say(now, format!("asked for: {text}"));
                Some(Action::Intent(Intent::Extend { batch: batch.id.clone(), by }))
            }
            Err(why) => {
                self.say(now, why);
                None
            }
        }
    }

    /// `:confirm HOST`: opens the form, or says why nothing is to be confirmed by word.
    pub(super) fn open_by_word(&mut self, host: &str, view: &View, now: Time) {
        match confirmable(view, host, now) {
            Ok(batch) => self.sheets.push(Sheet::ByWord(ByWord {
                batch: batch.id.clone(),
                host: batch.host.clone(),
                word: String::new(),
                note: None,
            })),
            Err(why) => self.say(now, why),
        }
    }
}

/// A press in the form.
pub(super) fn press(ui: &mut Ui, view: &View, press: Press) -> Option<Action> {
    let Some(Sheet::ByWord(form)) = ui.sheets.last_mut() else { return None };
    form.note = None;
    match press.key {
        Key::Esc => ui.back(),
        Key::Backspace => {
            form.word.pop();
        }
        Key::Char(c) => {
            form.note = type_letter(&mut form.word, c, form.host.as_str(), press).map(str::to_owned);
        }
        Key::Enter if form.word != form.host.as_str() => {
            form.note = Some(format!("type {}, then Enter", form.host));
        }
        Key::Enter if press.faster_than(PASTED) => {
            form.word.clear();
            form.note = Some("the word is typed, not pasted: type it again".to_owned());
        }
        Key::Enter => {
            // What was so when the form opened may not be so any more.
            match confirmable(view, form.host.as_str(), press.now) {
                Ok(batch) if batch.id == form.batch => {
                    let (id, label) = (batch.id.clone(), batch.label());
                    ui.back();
                    ui.say(press.now, format!("confirm asked for: {label}; recorded as your word"));
                    return Some(Action::Intent(Intent::Confirm { batch: id }));
                }
                Ok(_) => form.note = Some("another batch is unconfirmed there now".to_owned()),
                Err(why) => form.note = Some(why),
            }
        }
        _ => {}
    }
    None
}
