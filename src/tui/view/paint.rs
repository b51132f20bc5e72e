//! Putting text on cells: clipped to its place, cut by display width with a visible mark, masked in
//! present mode. Everything that is drawn goes through here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::mask::Mask;
use crate::tui::theme::{Role, Theme};
use crate::types::{Span, Time};

/// What stands where a text was cut.
const CUT: char = '~';

/// A line of text in pieces, each with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::tui) struct Text(pub(super) Vec<(Role, String)>);

impl Text {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(role: Role, text: impl Into<String>) -> Self {
        Self::new().add(role, text)
    }

    pub(super) fn add(mut self, role: Role, text: impl Into<String>) -> Self {
        self.push(role, text);
        self
    }

    pub(super) fn push(&mut self, role: Role, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push((role, text));
        }
    }

    /// A piece that takes exactly that many columns.
    pub(super) fn cell(self, role: Role, text: &str, width: usize) -> Self {
        self.add(role, fit(text, width))
    }

    /// A piece that takes exactly that many columns and stands at their right end.
    pub(super) fn right(self, role: Role, text: &str, width: usize) -> Self {
        let text = cut(text, width);
        let space = width.saturating_sub(text.width());
        self.add(role, format!("{}{text}", " ".repeat(space)))
    }

    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// The text without its meanings.
    pub(in crate::tui) fn plain(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect::<String>().trim_end().to_owned()
    }
}

/// At most that many columns; what is cut ends in `~`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    if width > 0 {
        out.push(CUT);
    }
    out
}

/// A version beside the one that it is compared with, in a column that may be too narrow: what both
/// begin with gives way first, so that what differs stays in sight.
pub(super) fn cut_version(version: &str, other: &str, width: usize) -> String {
    let length = version.chars().count();
    if length <= width || width < 4 {
        return cut(version, width);
    }
    let same = version.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    // The cut mark takes a column, and so does a sign of what was the same.
    let drop = (length + 1 - width).min(same.saturating_sub(1));
    if drop == 0 {
        return cut(version, width);
    }
    let tail: String = version.chars().skip(drop).collect();
    cut(&format!("{CUT}{tail}"), width)
}

/// How old something is, in whole seconds.
pub(in crate::tui) fn age(at: Time, now: Time) -> String {
    Span::secs(Span::between(at, now).as_secs()).brief()
}

/// Exactly that many columns.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut out = cut(text, width);
    let space = width.saturating_sub(out.width());
    out.extend(std::iter::repeat_n(' ', space));
    out
}

/// Breaks a text at spaces into lines of at most that many columns; a longer word is broken.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let wide = word.width();
        let space = usize::from(used > 0);
        if used + space + wide <= width {
            if let Some(line) = lines.last_mut() {
                line.push_str(if space > 0 { " " } else { "" });
                line.push_str(word);
            }
            used += space + wide;
            continue;
        }
        if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += wide;
        }
    }
    lines
}

/// Where things are drawn.
pub(in crate::tui) struct Canvas<'a> {
    buf: &'a mut Buffer,
    pub(super) theme: &'a Theme,
    mask: Option<Mask>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(buf: &'a mut Buffer, theme: &'a Theme, mask: Option<Mask>) -> Self {
        Self { buf, theme, mask }
    }

    /// Empties a place.
    pub(super) fn clear(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buf.area);
        let style = self.theme.style(role);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                self.buf[(x, y)].reset();
                self.buf[(x, y)].set_style(style);
            }
        }
    }

    /// Colours and modifiers over what is there.
    pub(super) fn tint(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        let style = Style { fg: None, ..style };
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// A line of text in the first row of a place, cut at its end.
    pub(super) fn text(&mut self, area: Rect, text: &Text) {
        let area = area.intersection(self.buf.area);
        if area.width == 0 || area.height == 0 {
            return;
        }
        let pieces: Vec<(Role, String)> =
            text.0.iter().map(|(role, piece)| (*role, self.masked(piece))).collect();
        let whole: usize = pieces.iter().map(|(_, piece)| piece.width()).sum();
        let mut left = usize::from(area.width);
        let mut x = area.x;
        // Trailing space may fall off unseen.
        let seen: usize = Text(pieces.clone()).plain().width();
        let tight = seen > left && whole > left;
        for (role, piece) in pieces {
            let room = if tight { left.saturating_sub(1) } else { left };
            if room == 0 {
                break;
            }
            let (next, _) = self.buf.set_stringn(x, area.y, &piece, room, self.theme.style(role));
            left = left.saturating_sub(usize::from(next.saturating_sub(x)));
            x = next;
        }
        if tight {
            let style = self.theme.style(Role::Dim);
            self.buf.set_stringn(area.right() - 1, area.y, CUT.to_string(), 1, Style { bg: None, ..style });
        }
    }

    /// A piece as it may be seen; one that fills a column fills it still.
    fn masked(&self, piece: &str) -> String {
        let Some(mask) = &self.mask else { return piece.to_owned() };
        let masked = mask.apply(piece);
        if piece.ends_with(' ') && masked.width() != piece.width() {
            return fit(masked.trim_end(), piece.width());
        }
        masked
    }

    /// A line of text at the right end of a place; nothing where it has no room.
    pub(super) fn text_right(&mut self, area: Rect, text: &Text) {
        let width = text.width() as u16;
        if width <= area.width {
            let x = area.right() - width;
            self.text(Rect { x, width, ..area }, text);
        }
    }

    /// One character over a whole row.
    pub(super) fn rule(&mut self, area: Rect, sign: char, role: Role) {
        let line: String = std::iter::repeat_n(sign, usize::from(area.width)).collect();
        self.text(area, &Text::of(role, line));
    }

    /// One character down a column.
    pub(super) fn wall(&mut self, area: Rect, sign: char, role: Role) {
        for y in area.top()..area.bottom() {
            self.text(Rect { y, height: 1, width: 1, ..area }, &Text::of(role, sign.to_string()));
        }
    }
}

/// A row of a place, counted from its top; empty where the place has no such row.
pub(super) fn row(area: Rect, at: u16) -> Rect {
    if at < area.height { Rect { y: area.y + at, height: 1, ..area } } else { Rect { height: 0, ..area } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_too_wide_is_cut_where_it_shows() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde~");
        assert_eq!(cut("漢字漢字", 4), "漢~");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(fit("漢", 4), "漢  ");
        assert_eq!(cut_version("2.36-9+deb12u10", "2.36-9+deb12u9", 8), "~eb12u10");
        assert_eq!(cut_version("2025a-0+deb12u1", "2024a-0+deb12u1", 9), "~25a-0+d~");
        assert_eq!(cut_version("1.2", "1.1", 8), "1.2");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(
            text in any::<String>(), x in 0_u16..20, y in 0_u16..6, width in 0_u16..30, height in 0_u16..4,
        ) {
            let shown = crate::types::Untrusted::new(&text).shown();
            let area = Rect { x: 2, y: 1, width: 12, height: 3 };
            let mut buf = Buffer::empty(area);
            let theme = Theme::built_in("night", crate::tui::ColorDepth::True);
            let place = Rect { x, y, width, height };
            Canvas::new(&mut buf, &theme, None).text(place, &Text::of(Role::Bad, shown.clone()));
            let inside = place.intersection(area);
            for (at, cell) in buf.content.iter().enumerate() {
                let (cx, cy) = buf.pos_of(at);
                let here = inside.contains((cx, cy).into());
                prop_assert!(here || cell.symbol() == " ", "{cx},{cy}: {:?}", cell.symbol());
            }
            prop_assert!(cut(&shown, usize::from(width)).width() <= usize::from(width));
            // A line holds one character at least, and the widest there is (U+17D8) takes three columns.
            for line in wrap(&shown, usize::from(width)) {
                prop_assert!(line.width() <= usize::from(width).max(3));
            }
        }
    }
}
