//! The sheet of a line that is met where the plan says `ask`: what is so, what follows from each answer, and from
//! none.

use super::alarms;
use super::bar::{labels, practised, takes};
use super::paint::Text;
use super::sheet::Paper;
use super::timer;
use crate::core::View;
use crate::core::command::RollbackScope;
use crate::core::rollback;
use crate::core::state::Batch;
use crate::tui::theme::Role;
use crate::tui::ui::ask::Asked;
use crate::types::{BatchId, Span, Time};

pub(super) fn paper(view: &View, (host, line, since): &Asked, now: Time, width: usize) -> Paper {
    let state = &view.state;
    let ago = Span::between(*since, now).brief();
    let title = Text::of(Role::RollbackLine, format!("ROLL BACK {host}?"))
        .add(Role::Plain, format!("   {}, {ago} ago", alarms::met(state, *line)));
    let mut paper = Paper { title, line: Some(Role::RollbackLine), ..Paper::default() };
    let Some(met) = state.alarms.line(host, *line) else { return paper };
    paper.say("FACT", Role::Strong, &alarms::so(state, host, *line, now), width);
    let why = met.why.shown();
    paper.say(
        "LINE",
        Role::Plain,
        &format!("{}: {why}, at {}", line.word(), since.format("%H:%M:%SZ")),
        width,
    );
    let batches: Vec<&Batch> =
        met.batches.iter().filter_map(|id| state.batches.get(id)).map(AsRef::as_ref).collect();
    let ids: Vec<BatchId> = batches.iter().map(|batch| batch.id.clone()).collect();
    let outlook = rollback::outlook(state, &RollbackScope::Unconfirmed);
    let ready = match outlook.missing.is_empty() {
        true => "READY".to_owned(),
        false => format!("NOT READY: {}", outlook.missing.join("; ")),
    };
    let back = format!(
        "{} goes back to what was there, {}, {}, {ready}. The rollback sheet opens; R there starts it.",
        labels(view, &ids, 3),
        takes(&outlook),
        practised(&outlook)
    );
    paper.say("IF R", Role::Plain, &back, width);
    let keep = "what is applied stays, with a reason that is recorded with your name; its probes then decide \
                whether it is confirmed. The line counts anew once all has passed.";
    paper.say("IF KEPT", Role::Plain, keep, width);
    let mut nothing = "HELD: nothing new starts, nothing is rolled back from here".to_owned();
    for sentence in batches.iter().filter_map(|batch| timer::sentence(batch, now)) {
        nothing.push_str("; ");
        nothing.push_str(&sentence);
    }
    paper.say("NO ANSWER", Role::Plain, &format!("{nothing}."), width);
    paper.foot.push(
        Text::of(Role::NotReady, " R ")
            .add(Role::Plain, " = rollback sheet   ")
            .add(Role::KeyName, "k")
            .add(Role::Plain, " = keep, with a reason   ")
            .add(Role::KeyName, "Esc")
            .add(Role::Plain, " = later, stays HELD"),
    );
    paper
}
