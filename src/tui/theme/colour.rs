//! Colours at the depth that a terminal has: what it can't show becomes the nearest that it can,
//! and without colour a background becomes reverse video.

use ratatui::style::{Color, Modifier, Style};

/// How many colours a terminal has. The caller finds out (`COLORTERM`, `TERM`, `NO_COLOR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorDepth {
    /// 24 bits.
    True,
    /// The 256 of xterm.
    Indexed,
    /// The sixteen of old.
    Sixteen,
    /// None: modifiers alone.
    None,
}

impl ColorDepth {
    /// From the environment's own words: `NO_COLOR` (any text but the empty one), `COLORTERM`, `TERM`.
    pub fn from_words(no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Self {
        let term = term.unwrap_or("");
        if no_color.is_some_and(|word| !word.is_empty()) || term == "dumb" || term.ends_with("-m") {
            Self::None
        } else if colorterm.is_some_and(|word| word == "truecolor" || word == "24bit") {
            Self::True
        } else if term.contains("256") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }
}

/// The sixteen colours as xterm shows them by default.
const SIXTEEN: [(Color, (u8, u8, u8)); 16] = [
    (Color::Black, (0, 0, 0)),
    (Color::Red, (205, 0, 0)),
    (Color::Green, (0, 205, 0)),
    (Color::Yellow, (205, 205, 0)),
    (Color::Blue, (0, 0, 238)),
    (Color::Magenta, (205, 0, 205)),
    (Color::Cyan, (0, 205, 205)),
    (Color::Gray, (229, 229, 229)),
    (Color::DarkGray, (127, 127, 127)),
    (Color::LightRed, (255, 0, 0)),
    (Color::LightGreen, (0, 255, 0)),
    (Color::LightYellow, (255, 255, 0)),
    (Color::LightBlue, (92, 92, 255)),
    (Color::LightMagenta, (255, 0, 255)),
    (Color::LightCyan, (0, 255, 255)),
    (Color::White, (255, 255, 255)),
];

/// A style at a depth. `own_bg`: whether the background is the role's own and so has a meaning.
pub(super) fn style(
    fg: Option<Color>,
    bg: Option<Color>,
    own_bg: bool,
    modifiers: Modifier,
    depth: ColorDepth,
) -> Style {
    let mut style = Style::default().add_modifier(modifiers);
    if depth == ColorDepth::None {
        return if own_bg { style.add_modifier(Modifier::REVERSED) } else { style };
    }
    style.fg = fg.map(|colour| at(colour, depth));
    style.bg = bg.map(|colour| at(colour, depth));
    if depth == ColorDepth::Sixteen && style.fg == style.bg && style.fg.is_some_and(|c| c != Color::Reset) {
        // Two shades that are one of the sixteen: the text would be gone.
        let dark = style.bg == Some(Color::Black);
        style.fg = Some(if dark { Color::DarkGray } else { Color::Black });
    }
    style
}

fn at(colour: Color, depth: ColorDepth) -> Color {
    match (depth, colour) {
        (ColorDepth::True, colour) => colour,
        (ColorDepth::Indexed, Color::Rgb(r, g, b)) => Color::Indexed(cube(r, g, b)),
        (ColorDepth::Indexed, colour) => colour,
        (ColorDepth::Sixteen | ColorDepth::None, Color::Rgb(r, g, b)) => nearest(r, g, b),
        (ColorDepth::Sixteen | ColorDepth::None, Color::Indexed(index)) => {
            let (r, g, b) = of_index(index);
            nearest(r, g, b)
        }
        (ColorDepth::Sixteen | ColorDepth::None, colour) => colour,
    }
}

const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn distance((r, g, b): (u8, u8, u8), (x, y, z): (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    square(r, x) + square(g, y) + square(b, z)
}

/// The nearest of xterm's 6x6x6 cube and its grey ramp.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    (16..=255).min_by_key(|index| distance((r, g, b), of_index(*index))).unwrap_or(15)
}

fn of_index(index: u8) -> (u8, u8, u8) {
    match index {
        0..=15 => SIXTEEN[usize::from(index)].1,
        16..=231 => {
            let index = usize::from(index - 16);
            (LEVELS[index / 36], LEVELS[index / 6 % 6], LEVELS[index % 6])
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn nearest(r: u8, g: u8, b: u8) -> Color {
    let close = SIXTEEN.iter().min_by_key(|(_, own)| distance((r, g, b), *own));
    close.map_or(Color::Reset, |(colour, _)| *colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_becomes_the_nearest_that_there_is() {
        assert_eq!(at(Color::Rgb(255, 0, 0), ColorDepth::Sixteen), Color::LightRed);
        assert_eq!(at(Color::Rgb(255, 0, 0), ColorDepth::Indexed), Color::Indexed(196));
        assert_eq!(at(Color::Rgb(8, 8, 8), ColorDepth::Indexed), Color::Indexed(232));
        assert_eq!(at(Color::Indexed(196), ColorDepth::Sixteen), Color::LightRed);
    }

    #[test]
    fn without_colour_a_background_of_its_own_is_reversed() {
        let plain = style(Some(Color::Red), Some(Color::Black), false, Modifier::BOLD, ColorDepth::None);
        assert_eq!((plain.fg, plain.bg, plain.add_modifier), (None, None, Modifier::BOLD));
        let own = style(None, Some(Color::Red), true, Modifier::empty(), ColorDepth::None);
        assert_eq!(own.add_modifier, Modifier::REVERSED);
    }

    #[test]
    fn the_environment_says_how_deep() {
        assert_eq!(ColorDepth::from_words(Some("1"), Some("truecolor"), None), ColorDepth::None);
        assert_eq!(ColorDepth::from_words(Some(""), Some("truecolor"), None), ColorDepth::True);
        assert_eq!(ColorDepth::from_words(None, None, Some("screen-256color")), ColorDepth::Indexed);
        assert_eq!(ColorDepth::from_words(None, None, Some("xterm")), ColorDepth::Sixteen);
        assert_eq!(ColorDepth::from_words(None, None, Some("vt100-m")), ColorDepth::None);
    }
}
