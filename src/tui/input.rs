//! What reaches the cockpit from a keyboard, in our own words, so that tests, watchers and the
//! terminal all feed the same handler.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// One thing that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UiInput {
    /// A key was pressed.
    Key(Key),
    /// A key is being held down, where the terminal can tell.
    Repeat(Key),
    /// Text was pasted (bracketed paste).
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// Time passed: a press that was waiting to be told from a key repeat may count now.
    Tick,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the key of that name")]
pub enum Key {
    Char(char),
    /// With Ctrl; the character in lower case.
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// Any other, which is left alone.
    Other,
}

impl UiInput {
    /// From what crossterm read; `None` for what the cockpit does not look at (the mouse, focus, a
    /// key going up).
    pub fn from_crossterm(event: Event) -> Option<Self> {
        match event {
            Event::Key(event) => {
                let key = key(event.code, event.modifiers);
                match event.kind {
                    KeyEventKind::Press => Some(Self::Key(key)),
                    KeyEventKind::Repeat => Some(Self::Repeat(key)),
                    KeyEventKind::Release => None,
                }
            }
            Event::Paste(text) => Some(Self::Paste(text)),
            Event::Resize(columns, rows) => Some(Self::Resize(columns, rows)),
            Event::Mouse(_) | Event::FocusGained | Event::FocusLost => None,
        }
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Key {
    if modifiers.contains(KeyModifiers::ALT) {
        return Key::Other;
    }
    match code {
        // Many terminals send Ctrl-H for the backspace key.
        KeyCode::Char('h') if modifiers.contains(KeyModifiers::CONTROL) => Key::Backspace,
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::SHIFT) => Key::Char(c.to_ascii_uppercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => Key::Other,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Char(' ') => "Space",
            Self::Char(c) => return write!(f, "{c}"),
            Self::Ctrl(c) => return write!(f, "^{}", c.to_ascii_uppercase()),
            Self::Enter => "Enter",
            Self::Esc => "Esc",
            Self::Tab => "Tab",
            Self::BackTab => "S-Tab",
            Self::Backspace => "Bksp",
            Self::Delete => "Del",
            Self::Up => "Up",
            Self::Down => "Down",
            Self::Left => "Left",
            Self::Right => "Right",
            Self::Home => "Home",
            Self::End => "End",
            Self::PageUp => "PgUp",
            Self::PageDown => "PgDn",
            Self::Other => "other",
        };
        f.write_str(word)
    }
}

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key: write one character, a name such as \"Space\" or \"PgDn\", or \"Ctrl-L\"")]
pub struct KeyError(pub String);

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return Ok(Self::Char(c));
        }
        let ctrl = text.strip_prefix("Ctrl-").or_else(|| text.strip_prefix('^'));
        if let Some(rest) = ctrl {
            let mut chars = rest.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                return Ok(Self::Ctrl(c.to_ascii_lowercase()));
            }
        }
        let named = [
            Self::Char(' '),
            Self::Enter,
            Self::Esc,
            Self::Tab,
            Self::BackTab,
            Self::Backspace,
            Self::Delete,
            Self::Up,
            Self::Down,
            Self::Left,
            Self::Right,
            Self::Home,
            Self::End,
            Self::PageUp,
            Self::PageDown,
        ];
        let found = named.into_iter().find(|key| key.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| KeyError(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn keys_read_back_what_they_are_called() {
        for key in [Key::Char('R'), Key::Ctrl('r'), Key::Char(' '), Key::PageUp, Key::Esc] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!("Ctrl-L".parse(), Ok(Key::Ctrl('l')));
        assert!("".parse::<Key>().is_err() && "F1".parse::<Key>().is_err());
    }

    #[test]
    fn shift_alt_and_releases_are_told_apart() {
        let press = |code, modifiers| UiInput::from_crossterm(Event::Key(KeyEvent::new(code, modifiers)));
        let shifted = press(KeyCode::Char('r'), KeyModifiers::SHIFT);
        assert_eq!(shifted, Some(UiInput::Key(Key::Char('R'))));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::ALT), Some(UiInput::Key(Key::Other)));
        let mut up = KeyEvent::new(KeyCode::Char('R'), KeyModifiers::NONE);
        up.kind = KeyEventKind::Release;
        assert_eq!(UiInput::from_crossterm(Event::Key(up)), None);
        up.kind = KeyEventKind::Repeat;
        assert_eq!(UiInput::from_crossterm(Event::Key(up)), Some(UiInput::Repeat(Key::Char('R'))));
    }
}
