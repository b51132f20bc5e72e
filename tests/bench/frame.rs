//! A whole frame of the cockpit over a large window.

use std::sync::Arc;

use holdpoint::core::{JournalHealth, View};
use holdpoint::tui::view::render;
use holdpoint::tui::{ColorDepth, Theme, Ui};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::timing::Runs;
use crate::window::{self, Size};

pub fn figure(_sizes: &[usize]) {
    for (hosts, cut) in [(4, 3), (50, 20), (1_000, 150)] {
        let built = window::built(&Size { hosts, cut, lines: 10_000 });
        let state = Arc::new(built.state);
        let (batches, lines) = (state.batches.len(), state.log.len());
        println!("  {hosts} hosts and the baseline, {batches} batches, {lines} log lines");
        let view = View { state, journal: JournalHealth::Sound, live: true };
        let theme = Theme::built_in("night", ColorDepth::True);
        let ui = Ui::default();
        for (width, height) in [(120, 36), (80, 24)] {
            let area = Rect::new(0, 0, width, height);
            let mut buffer = Buffer::empty(area);
            let mut frame = || render(&view, &ui, window::at(3_600), &theme, area, &mut buffer);
            let runs = Runs::of(60, &mut frame);
            let aim = if (hosts, width) == (1_000, 120) { "  aim: under 1 ms" } else { "" };
            runs.print(&format!("frame at {width}x{height}"), aim);
        }
    }
}
