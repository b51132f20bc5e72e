//! Text that somebody else wrote: a host, a network, a file from elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest text that is kept, in bytes; what is longer is cut, and says so.
const LONGEST: usize = 4096;
/// Where a longer text is cut: the note about the cut has to fit as well, or it would be cut again
/// when it is read back.
const CUT: usize = LONGEST - 40;
/// Combining marks on one character that are shown as they are; a taller pile is escaped.
const MARKS: usize = 2;

/// Text from outside. It has no `Display` and does not deref to `str`: the one way to a screen, a
/// report or a log is [`Untrusted::shown`], which makes every character that could act on a
/// terminal, or hide, visible.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
#[serde(from = "String")]
pub struct Untrusted(Box<str>);

impl Untrusted {
    /// Takes text that is already known to be UTF-8. More than 4096 bytes are cut.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if text.len() <= LONGEST {
            return Self(text.into());
        }
        let mut end = CUT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}[cut: {} more bytes]", &text[..end], text.len() - end).into())
    }

    /// Takes bytes; those that are not UTF-8 become `\xNN` at once, so that they can be told from
    /// a character that stands for "unknown".
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // Bounded before it is decoded, so that a gigabyte line costs no gigabyte.
        let (head, more) = bytes.split_at(bytes.len().min(LONGEST));
        let mut text = String::with_capacity(head.len());
        for chunk in head.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        if more.is_empty() {
            return Self::new(text);
        }
        let mut end = text.len().min(CUT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(&format!("[cut: {} bytes in all]", bytes.len()));
        Self(text.into())
    }

    /// What may be shown: C0 and C1 controls, DEL, bidi controls, zero-width and other invisible
    /// characters, line and paragraph separators, tags, variation selectors and piles of combining
    /// marks become visible escapes (`\e`, `\x07`, `\u{202e}`); nothing is removed. A tab becomes
    /// `\t` and a newline `\n`, since a cell grid has neither.
    pub fn shown(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        let mut marks = 0;
        for c in self.0.chars() {
            marks = if is_mark(c) { marks + 1 } else { 0 };
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\u{1b}' => out.push_str("\\e"),
                c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                    out.push_str(&format!("\\x{:02x}", u32::from(c)))
                }
                c if hides_or_acts(c) || marks > MARKS => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                c => out.push(c),
            }
        }
        out
    }

    /// The text as it came, for comparing and parsing; never for showing.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Characters that change how others are drawn, or are not drawn at all.
fn hides_or_acts(c: char) -> bool {
    matches!(u32::from(c),
        0x80..=0x9f                 // C1: CSI, OSC, ... in one character
        | 0xad                      // soft hyphen
        | 0x034f                    // combining grapheme joiner
        | 0x061c                    // Arabic letter mark
        | 0x115f | 0x1160 | 0x3164 | 0xffa0 // Hangul fillers
        | 0x17b4 | 0x17b5           // Khmer inherent vowels
        | 0x180b..=0x180f           // Mongolian selectors
        | 0x200b..=0x200f           // zero width, directional marks
        | 0x2028..=0x202e           // line and paragraph separators, bidi overrides
        | 0x2060..=0x206f           // word joiner, bidi isolates
        | 0xd800..=0xf8ff           // surrogates (not a char), private use
        | 0xfe00..=0xfe0f           // variation selectors
        | 0xfeff                    // byte order mark
        | 0xfff0..=0xfffb           // specials
        | 0x1bca0..=0x1bca3         // shorthand format controls
        | 0x1d173..=0x1d17a         // musical format controls
        | 0xe0000..=0x10ffff        // tags, selectors, private planes
    )
}

/// Combining marks of the ranges that stack.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x0610..=0x061a
        | 0x064b..=0x065f | 0x06d6..=0x06ed | 0x0e31 | 0x0e34..=0x0e3a | 0x0e47..=0x0e4e
        | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Serialize for Untrusted {
    /// The value itself: a JSON writer of this crate must escape what [`Untrusted::shown`] escapes
    /// (see [`Untrusted::json`]), which `\u` does without changing the value.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl Untrusted {
    /// Escapes, in JSON that is already written, every character that could act on a terminal, as
    /// `\uXXXX`: the value stays the same, and `cat` of a journal is harmless.
    pub fn json(written: &str) -> String {
        let mut out = String::with_capacity(written.len());
        for c in written.chars() {
            if hides_or_acts(c) || c == '\u{7f}' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                out.push(c);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_or_hides_is_shown_as_an_escape() {
        for (raw, shown) in [
            ("plain é 漢", "plain é 漢"),
            ("\u{1b}[31mred", "\\e[31mred"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{7}\u{7f}", "a\\x07\\x7f"),
            ("two\nlines\t", "two\\nlines\\t"),
            ("\u{e0041}", "\\u{e0041}"),
            ("e\u{301}\u{301}\u{301}", "e\u{301}\u{301}\\u{301}"),
        ] {
            assert_eq!(Untrusted::new(raw).shown(), shown);
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_kept_as_escapes() {
        assert_eq!(Untrusted::from_bytes(b"a\xff\x9bb").shown(), "a\\xff\\x9bb");
        let long = Untrusted::from_bytes(&vec![b'x'; 1 << 20]);
        assert!(long.raw().len() < LONGEST + 80, "{}", long.raw().len());
        assert!(long.shown().ends_with("bytes in all]"));
    }

    proptest! {
        #[test]
        fn nothing_shown_can_act(text in any::<String>()) {
            let shown = Untrusted::new(&text).shown();
            prop_assert!(shown.chars().all(|c| !c.is_control() && !hides_or_acts(c)));
        }

        #[test]
        fn json_keeps_the_value(text in any::<String>()) {
            let written = serde_json::to_string(&Untrusted::new(&text)).expect("writes");
            let escaped = Untrusted::json(&written);
            prop_assert!(escaped.chars().all(|c| !hides_or_acts(c)));
            let back: Untrusted = serde_json::from_str(&escaped).expect("reads");
            prop_assert_eq!(back, Untrusted::new(&text));
        }
    }
}
