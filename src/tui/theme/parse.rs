//! Reading a theme file: every mistake is named with its file and line.

use std::collections::BTreeMap;
use std::str::FromStr;

use ratatui::style::{Color, Modifier};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Given, Role};
use crate::types::Untrusted;

/// A theme file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct ThemeError {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// The longest glyph and the longest word, in columns: the panes are laid out for these.
const GLYPH: usize = 2;
const WORD: usize = 16;

struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    given: BTreeMap<Role, Given>,
}

pub(super) fn parse(file: &str, text: &str) -> Result<BTreeMap<Role, Given>, ThemeError> {
    let mut reader = Reader { file, text, given: BTreeMap::new() };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.error(at, error.message().to_owned())
    })?;
    reader.table("", table.get_ref())?;
    Ok(reader.given)
}

/// What somebody wrote, fit for an error message.
fn quoted(text: &str) -> String {
    format!("\"{}\"", Untrusted::new(text).shown())
}

impl Reader<'_> {
    fn error(&self, at: usize, what: String) -> ThemeError {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        ThemeError { file: self.file.to_owned(), line, what }
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Result<(), ThemeError> {
        for (key, value) in table {
            let dot = if path.is_empty() { "" } else { "." };
            let name = format!("{path}{dot}{}", key.get_ref());
            let group = format!("{name}.");
            if let Some(role) = Role::ALL.iter().find(|role| role.name() == name) {
                let given = self.role(&name, value)?;
                self.given.insert(*role, given);
            } else if let (Some(inner), true) =
                (value.get_ref().as_table(), Role::ALL.iter().any(|role| role.name().starts_with(&group)))
            {
                self.table(&name, inner)?;
            } else {
                let kin = |own: &&str| own.split('.').next() == name.split('.').next();
                let near: Vec<&str> = Role::ALL.iter().map(|role| role.name()).filter(kin).collect();
                let hint =
                    if near.is_empty() { String::new() } else { format!("; there are {}", near.join(", ")) };
                return Err(self.error(key.span().start, format!("{} is no role{hint}", quoted(&name))));
            }
        }
        Ok(())
    }

    fn role(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Given, ThemeError> {
        let at = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.error(at, format!("{name} wants a table such as {{ fg = \"red\" }}")));
        };
        let mut given = Given::default();
        for (key, value) in table {
            let at = value.span().start;
            let word = value.get_ref().as_str();
            match (key.get_ref().as_ref(), word) {
                ("fg", Some(word)) => given.fg = Some(self.colour(at, word)?),
                ("bg", Some(word)) => given.bg = Some(self.colour(at, word)?),
                ("glyph", Some(word)) => given.glyph = Some(self.sign(at, word, GLYPH)?),
                ("word", Some(word)) => given.word = Some(self.sign(at, word, WORD)?),
                ("modifiers", _) => given.modifiers = Some(self.modifiers(value)?),
                ("fg" | "bg" | "glyph" | "word", None) => {
                    return Err(self.error(at, format!("{name}.{} wants a text in quotes", key.get_ref())));
                }
                (other, _) => {
                    let what = format!(
                        "{} is not known in {name}; there are fg, bg, modifiers, glyph, word",
                        quoted(other)
                    );
                    return Err(self.error(key.span().start, what));
                }
            }
        }
        Ok(given)
    }

    fn colour(&self, at: usize, word: &str) -> Result<Color, ThemeError> {
        Color::from_str(word).map_err(|_| {
            self.error(
                at,
                format!(
                    "{} is no colour: write #rrggbb, a number from 0 to 255, reset, or one of black, red, \
                     green, yellow, blue, magenta, cyan, gray, darkgray, lightred, lightgreen, lightyellow, \
                     lightblue, lightmagenta, lightcyan, white",
                    quoted(word)
                ),
            )
        })
    }

    fn sign(&self, at: usize, word: &str, longest: usize) -> Result<String, ThemeError> {
        let shown = Untrusted::new(word).shown();
        if shown == word && unicode_width::UnicodeWidthStr::width(word) <= longest {
            Ok(shown)
        } else {
            Err(self.error(at, format!("{} is not a sign of at most {longest} columns", quoted(word))))
        }
    }

    fn modifiers(&self, value: &Spanned<DeValue<'_>>) -> Result<Modifier, ThemeError> {
        let Some(list) = value.get_ref().as_array() else {
            let what = "modifiers wants a list such as [\"bold\"]".to_owned();
            return Err(self.error(value.span().start, what));
        };
        let mut all = Modifier::empty();
        for item in list {
            all |= match item.get_ref().as_str() {
                Some("bold") => Modifier::BOLD,
                Some("dim") => Modifier::DIM,
                Some("italic") => Modifier::ITALIC,
                Some("underlined") => Modifier::UNDERLINED,
                Some("reversed") => Modifier::REVERSED,
                Some(other) => {
                    let what = format!(
                        "{} is no modifier; there are bold, dim, italic, underlined, reversed",
                        quoted(other)
                    );
                    return Err(self.error(item.span().start, what));
                }
                None => {
                    return Err(self.error(item.span().start, "a modifier is a text in quotes".to_owned()));
                }
            };
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, word) in [
            ("[gate]\nhedl = { fg = \"red\" }\n", 2, "gate.held"),
            ("[gate]\n\nheld = { fg = \"rde\" }\n", 3, "no colour"),
            ("[gate]\nheld = { colour = \"red\" }\n", 2, "fg, bg"),
            ("[gate]\nheld = { modifiers = [\"bold\",\n \"blink\"] }\n", 3, "blink"),
            ("[gate]\nheld = \"red\"\n", 2, "wants a table"),
            ("[gate]\nheld = { fg = 1 }\n", 2, "in quotes"),
            ("[gate]\nheld = { glyph = \"\\u001b\" }\n", 2, "not a sign"),
            ("[gate\n", 1, ""),
            ("[weather]\nrain = {}\n", 1, "is no role"),
        ] {
            let error = parse("own.toml", text).expect_err(text);
            assert_eq!((error.file.as_str(), error.line), ("own.toml", line), "{text}: {error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().starts_with(&format!("own.toml:{line}: ")), "{error}");
        }
    }
}
