//! The panes: which there are, and how the cursor moves in them.

use super::{Press, Ui};
use crate::core::View;
use crate::tui::keys::Act;
use crate::tui::view;

/// A pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named by what it lists")]
pub enum Pane {
    Hosts,
    Updates,
    Probes,
    Log,
    Markers,
    Gates,
    Packets,
    Matrix,
    Alarms,
    /// The program's own diagnostics: for the operator's terminal alone.
    Diagnostics,
}

impl Pane {
    /// Every pane, in the order of the keys 1 to 5 and then by name alone.
    pub const ALL: [Self; 10] = [
        Self::Hosts,
        Self::Updates,
        Self::Probes,
        Self::Log,
        Self::Markers,
        Self::Gates,
        Self::Packets,
        Self::Matrix,
        Self::Alarms,
        Self::Diagnostics,
    ];

    /// The five that Tab goes round.
    const ROUND: [Self; 5] = [Self::Hosts, Self::Updates, Self::Probes, Self::Log, Self::Markers];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Updates => "updates",
            Self::Probes => "probes",
            Self::Log => "log",
            Self::Markers => "markers",
            Self::Gates => "gates",
            Self::Packets => "packets",
            Self::Matrix => "matrix",
            Self::Alarms => "alarms",
            Self::Diagnostics => "diagnostics",
        }
    }

    pub(super) fn after(self, steps: usize) -> Self {
        let at = Self::ROUND.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ROUND[(at + steps) % Self::ROUND.len()]
    }

    pub(super) fn before(self) -> Self {
        self.after(Self::ROUND.len() - 1)
    }
}

/// Moves the cursor of the pane that has the focus.
pub(super) fn go(ui: &mut Ui, act: Act, view: &View, press: Press) {
    let page = usize::from(ui.size.1 / 3).max(3);
    match ui.pane {
        Pane::Log => {
            let (until, back) = ui.log.still.unwrap_or((view.state.log.pushed(), 0));
            let all = view::log::count(view, ui, until);
            ui.log.still = back_to(act, back, page, all).map(|back| (until, back));
            return;
        }
        Pane::Packets => {
            let (until, back) = ui.packets.unwrap_or((view.state.packets.pushed(), 0));
            let all = view::packets::count(view, ui, press.now, until);
            ui.packets = back_to(act, back, page, all).map(|back| (until, back));
            return;
        }
        Pane::Hosts
        | Pane::Updates
        | Pane::Probes
        | Pane::Markers
        | Pane::Gates
        | Pane::Matrix
        | Pane::Alarms
        | Pane::Diagnostics => {}
    }
    let count = view::rows_in(ui.pane, view, ui, press.now);
    let at = if ui.pane == Pane::Hosts { ui.host_at(view) } else { ui.cursor(ui.pane) };
    let at = at.min(count.saturating_sub(1));
    let to = match act {
        Act::Down => at + 1,
        Act::Up => at.saturating_sub(1),
        Act::PageDown => at + page,
        Act::PageUp => at.saturating_sub(page),
        Act::First => 0,
        Act::Last => count,
        _ => at,
    };
    ui.cursors.insert(ui.pane, to.min(count.saturating_sub(1)));
    if ui.pane == Pane::Hosts {
        // Another host, another list: its cursor begins at what is new.
        ui.cursors.remove(&Pane::Updates);
        (ui.log.still, ui.packets) = (None, None);
    }
}

/// How many rows back the log, or the packets, stand once somebody reads in them, however much comes in;
/// `None`: they are followed again.
fn back_to(act: Act, back: usize, page: usize, all: usize) -> Option<usize> {
    let back = match act {
        Act::Up => back + 1,
        Act::Down => back.saturating_sub(1),
        Act::PageUp => back + page,
        Act::PageDown => back.saturating_sub(page),
        Act::First => all,
        Act::Last => return None,
        _ => back,
    };
    Some(back.min(all.saturating_sub(1)))
}
