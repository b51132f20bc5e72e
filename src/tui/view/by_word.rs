//! The form of a confirm by a person's word: what that would be said on, and what follows from either.

use super::activity::changes;
use super::paint::Text;
use super::sheet::Paper;
use super::timer;
use crate::core::View;
use crate::core::confirm::{self, OldCode};
use crate::tui::theme::Role;
use crate::tui::ui::timer::ByWord;
use crate::types::Time;

pub(super) fn paper(view: &View, form: &ByWord, now: Time, width: usize) -> Paper {
    let host = &form.host;
    let Some(batch) = view.state.batches.get(&form.batch) else { return Paper::default() };
    let title = Text::of(Role::SheetTitle, format!("CONFIRM {} by your word", batch.label()));
    let mut paper = Paper { title, ..Paper::default() };
    if confirm::unprobed(&view.state, batch) {
        let fact = format!(
            "{host} is UNPROBED: nothing here looks at its customers from outside. That ssh answers, or that \
             somebody can log in, says nothing of them."
        );
        paper.say("FACT", Role::Strong, &fact, width);
    }
    let old_code = confirm::old_code(&view.state, batch);
    if let Some(words) = old_code.words() {
        let fact = match old_code {
            OldCode::Runs(_) if !confirm::unprobed(&view.state, batch) => {
                format!("{words}. What the probes have seen there is the code of before.")
            }
            OldCode::Runs(_) => format!("{words}: that is the code of before."),
            OldCode::None | OldCode::NotTold | OldCode::Unknown(_) => words,
        };
        paper.say("OLD CODE", Role::Strong, &fact, width);
    }
    let then = format!(
        "its timer is stopped and {} stay on {host}; a rollback then is one of confirmed work. Your name \
         is recorded.",
        changes(batch.changes.len())
    );
    paper.say("IF YES", Role::Plain, &then, width);
    let stays = format!("{} is {}", batch.label(), batch.phase.word());
    paper.say("IF NOT", Role::Plain, &timer::sentence(batch, now).unwrap_or(stays), width);
    let rest = "_".repeat(host.as_str().len().saturating_sub(form.word.len()));
    paper.foot.push(
        Text::of(Role::Plain, "type the host's name ")
            .add(Role::KeyName, host.as_str())
            .add(Role::Plain, ", then Enter: confirm  ")
            .add(Role::Field, "[")
            .add(Role::Field, format!("{}{rest}", form.word))
            .add(Role::Field, "]"),
    );
    paper.foot.push(Text::of(Role::KeyName, "Esc").add(Role::Plain, " = close, not confirmed"));
    if let Some(note) = &form.note {
        paper.foot.insert(1, Text::of(Role::Warn, note.clone()));
    }
    paper
}
