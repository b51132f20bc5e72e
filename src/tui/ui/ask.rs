//! The sheet of a line that is met where the plan says `ask`: roll back, or keep, with a reason. It is there by
//! itself as long as nobody has answered, under whatever is open: it takes no key from a text field or from
//! another sheet. Closed, it does not come again for the same line; nothing was rolled back, nothing kept.

use super::text::Field;
use super::{Action, Press, Sheet, Ui};
use crate::core::View;
use crate::core::alarm::line;
use crate::core::event::Line;
use crate::plan::AutoRollback;
use crate::tui::keys::{Act, Context};
use crate::types::{HostName, Time};

/// A line that is met on a host, and since when: what a viewer has put off.
pub(in crate::tui) type Asked = (HostName, Line, Time);

impl Ui {
    /// What is asked at this moment, where nothing else is open.
    pub(in crate::tui) fn asked(&self, view: &View) -> Option<Asked> {
        let asks = view.state.plan.as_ref()?.policy.auto_rollback == AutoRollback::Ask;
        if !asks || !view.live || !self.sheets.is_empty() || view.state.ended.is_some() {
            return None;
        }
        let hosts = line::undecided(&view.state).into_iter();
        let all = hosts.flat_map(|host| {
            line::open(&view.state, host).map(|(line, met)| (host.clone(), line, met.since))
        });
        all.into_iter().find(|asked| !self.put_off.contains(asked))
    }
}

/// A press in the sheet.
pub(super) fn press(ui: &mut Ui, asked: Asked, view: &View, press: Press) -> Option<Action> {
    match ui.keys.find(press.key, &[Context::Ask, Context::Screen])? {
        Act::Keep => {
            let field = Field::new(format!("keep {} ", asked.0));
            ui.sheets.push(Sheet::Palette(field));
        }
        Act::Back => {
            ui.say(press.now, format!("{} is not decided: HELD. R=sheet, or :keep REASON", asked.1.word()));
            ui.put_off.insert(asked);
        }
        act => return ui.screen_act(act, view, press),
    }
    None
}
