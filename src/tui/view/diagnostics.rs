//! The program's own diagnostics, from tui-logger: global state with a clock of its own, so this is
//! drawn by the operator's own terminal alone, never by a watcher, a replay or a test of screens.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Widget;
use tui_logger::{ExtLogRecord, LogFormatter, TuiLoggerWidget};

use super::paint::cut;
use crate::tui::theme::{Role, Theme};
use crate::types::Untrusted;

/// Formats a record as text that can't act on a terminal.
struct Escaped;

impl LogFormatter for Escaped {
    fn min_width(&self) -> u16 {
        4
    }

    fn format(&self, width: usize, record: &ExtLogRecord) -> Vec<Line<'_>> {
        let text = format!("{:<5} {}: {}", record.level, record.target(), record.msg());
        vec![Line::raw(cut(&Untrusted::new(text).shown(), width))]
    }
}

/// Draws the pane over a place.
pub(in crate::tui) fn draw(theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.width < 8 || area.height < 2 {
        return;
    }
    ratatui::widgets::Clear.render(area, buf);
    buf.set_style(area, theme.style(Role::Plain));
    let title = Rect { height: 1, ..area };
    let name = " diagnostics of holdpoint itself, on this terminal alone ";
    let rule: String = std::iter::repeat_n('-', usize::from(area.width)).collect();
    buf.set_stringn(title.x, title.y, rule, usize::from(title.width), theme.style(Role::Focus));
    buf.set_stringn(title.x + 1, title.y, name, usize::from(title.width - 1), theme.style(Role::Title));
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    TuiLoggerWidget::default()
        .formatter(Box::new(Escaped))
        .style(theme.style(Role::Plain))
        .style_error(theme.style(Role::Bad))
        .style_warn(theme.style(Role::Warn))
        .render(body, buf);
}
