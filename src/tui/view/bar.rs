//! The rollback bar: drawn big on every screen, with what the key would do, whether it is ready,
//! how long it takes and when it was last practised.

use ratatui::layout::Rect;

use super::header::stamp;
use super::paint::{Canvas, Text, row};
use crate::core::View;
use crate::core::command::RollbackScope;
use crate::core::rollback::{self, Rollback, goes_back};
use crate::tui::theme::Role;
use crate::types::{BatchId, Time};

/// Confirmed work goes back by a typed word.
const TYPED: &str = "confirmed: typed word";

/// What the bar says.
pub(super) struct Outlook {
    pub(super) role: Role,
    /// "ROLLBACK web3 batch 1 -> as of 02:28Z".
    pub(super) what: String,
    /// READY, NOT READY, ...
    pub(super) word: String,
    /// Its time, its practice, or why it is not ready.
    pub(super) more: String,
}

/// Labels of batches, the rest counted.
pub(super) fn labels(view: &View, ids: &[BatchId], most: usize) -> String {
    let named: Vec<String> = ids
        .iter()
        .take(most)
        .filter_map(|id| view.state.batches.get(id))
        .map(|batch| batch.label())
        .collect();
    let more = ids.len().saturating_sub(most);
    if more > 0 { format!("{} + {more} more", named.join(", ")) } else { named.join(", ") }
}

/// When it was last practised, in words.
pub(super) fn practised(outlook: &Rollback) -> String {
    outlook.practised.map_or("NOT PRACTISED".to_owned(), |at| format!("practised {}", at.format("%m-%d")))
}

/// About how long it takes.
pub(super) fn takes(outlook: &Rollback) -> String {
    let sign = if outlook.takes.measured { "~" } else { "unmeasured ~" };
    format!("{sign}{}", outlook.takes.span.brief())
}

pub(super) fn outlook(canvas: &Canvas<'_>, view: &View, now: Time) -> Outlook {
    let state = &view.state;
    let word = |role: Role| canvas.theme.word(role).to_owned();
    let outlook = rollback::outlook(state, &RollbackScope::Unconfirmed);
    let phase = |id: &BatchId| state.batches.get(id).map(|batch| batch.phase);
    let wanted = |id: &BatchId| state.batches.get(id).is_some_and(|batch| batch.wanted_back);
    let what = match outlook.as_of {
        Some(at) => format!("ROLLBACK {} -> as of {}", labels(view, &outlook.batches, 1), stamp(at, now)),
        None => "ROLLBACK".to_owned(),
    };
    if state.ended.is_some() {
        let more = "holdpoint rollback RECORDING".to_owned();
        return Outlook { role: Role::Nothing, what, word: "ENDED".to_owned(), more };
    }
    if outlook.batches.is_empty() {
        let more = if outlook.practised.is_some() { practised(&outlook) } else { String::new() };
        return Outlook { role: Role::Nothing, what, word: word(Role::Nothing), more };
    }
    if outlook.batches.iter().any(|id| phase(id).is_some_and(goes_back) || wanted(id)) {
        let all = rollback::progress(state);
        let back = all.iter().filter(|(_, step)| step.ended()).count();
        let share = if all.len() > 1 { format!("{back} of {} back  ", all.len()) } else { String::new() };
        let more = format!("{share}{}  {}", takes(&outlook), practised(&outlook));
        return Outlook { role: Role::Running, what, word: word(Role::Running), more };
    }
    if let Some(first) = outlook.missing.first() {
        let others = outlook.missing.len() - 1;
        let more = if others > 0 { format!("{first} (+{others})") } else { first.clone() };
        return Outlook { role: Role::NotReady, what, word: word(Role::NotReady), more };
    }
    let busy = outlook.batches.iter().filter_map(phase).find(|phase| phase.running());
    let mut more = format!("{}  {}", takes(&outlook), practised(&outlook));
    if let Some(phase) = busy {
        more = format!("after {}  {more}", phase.word());
    } else if outlook.confirmed {
        more = format!("{TYPED}  {more}");
    }
    if let Some(first) = outlook.beyond.first() {
        let others = match outlook.beyond.len() {
            1 => String::new(),
            n => format!(" (+{})", n - 1),
        };
        more = format!("but not {first}{others}  {more}");
    }
    Outlook { role: Role::Ready, what, word: word(Role::Ready), more }
}

pub(super) fn draw(canvas: &mut Canvas<'_>, view: &View, now: Time, area: Rect) {
    let outlook = outlook(canvas, view, now);
    canvas.clear(area, Role::Plain);
    canvas.rule(row(area, 0), '=', Role::Line);
    canvas.rule(row(area, 2), '=', Role::Line);
    let middle = row(area, 1);
    let narrow = area.width < 100;
    let Outlook { role, what, word, more } = outlook;
    let block = if narrow {
        format!(" R {what}  {word}  {}", more.replace(TYPED, "by word").replace("  ", " "))
    } else {
        format!(" [[  R  {what}   {word}  {more}  ]] ")
    };
    let key = |text: Text, key: &str| text.add(Role::KeyName, key);
    let hints = if view.live {
        let keys = |text: Text| key(key(text, "^R").add(Role::Plain, ", then "), "R ");
        let hold = key(Text::new(), "H").add(Role::Plain, "=HOLD   ");
        [
            keys(hold.clone().add(Role::Plain, "works everywhere: ")),
            keys(hold),
            key(key(Text::new(), "^R").add(Role::Plain, ","), "R"),
        ]
    } else {
        [Text::of(Role::Dim, "replay: nothing can be started "), Text::of(Role::Dim, "replay "), Text::new()]
    };
    let width = usize::from(middle.width);
    let wide = unicode_width::UnicodeWidthStr::width(block.as_str());
    let [_, _, short] = &hints;
    let nothing = Text::new();
    let fits = hints.iter().find(|hint| wide + hint.width() < width);
    // The bar itself names R; what it says of its state comes before a reminder of ^R.
    let hint = fits.unwrap_or(if narrow { &nothing } else { short });
    let beside = if hint.width() == 0 { 0 } else { hint.width() as u16 + 1 };
    let room = Rect { width: middle.width.saturating_sub(beside), ..middle };
    // The block is as wide as it may be, so that it looks the same whatever it says.
    let block = super::paint::fit(&block, usize::from(room.width));
    let place = Rect { x: room.x, ..room };
    canvas.text(place, &Text::of(role, block));
    canvas.text_right(middle, hint);
}
