//! What is wrong with a plan, and where: every error at once, in the order of the lines.
//!
//! Nothing here knows what a plan is; it turns offsets into lines and columns and text into
//! something that may be shown.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use crate::types::Untrusted;

/// One thing that is wrong in a plan. `Display` is one line, safe to show:
/// `window.toml:12:9: what is wrong; what would be right`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {what}; {right}", Untrusted::new(file).shown())]
pub struct PlanError {
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// Everything that is wrong in a plan, in the order of the lines; never empty. `Display` is one
/// line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(Vec<PlanError>);

impl PlanErrors {
    /// The errors, in the order of the lines.
    pub fn list(&self) -> &[PlanError] {
        &self.0
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}

/// Something wrong, by its place in the text.
#[derive(Debug)]
struct Finding {
    at: usize,
    /// Where the other half of it is: the first of two, say.
    first: Option<usize>,
    what: String,
    right: String,
}

/// Collects what is wrong while a text is read. Shared by reference, so that every reader of a part
/// can add to it.
#[derive(Debug, Default)]
pub(super) struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    /// Something is wrong at this place.
    pub fn add(&self, at: &Range<usize>, what: impl Into<String>, right: impl Into<String>) {
        let (what, right) = (what.into(), right.into());
        self.0.borrow_mut().push(Finding { at: at.start, first: None, what, right });
    }

    /// Something is there twice; the message names the line of the first.
    pub fn twice(
        &self,
        at: &Range<usize>,
        first: &Range<usize>,
        what: impl Into<String>,
        right: impl Into<String>,
    ) {
        let (what, right) = (what.into(), right.into());
        self.0.borrow_mut().push(Finding { at: at.start, first: Some(first.start), what, right });
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The findings with their lines and columns.
    pub fn located(self, file: &str, text: &str) -> PlanErrors {
        let mut findings = self.0.into_inner();
        findings.sort_by_key(|finding| finding.at);
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let line = |at: usize| starts.partition_point(|start| *start <= at);
        // One walk over the text for all of them: a text of a megabyte on one line, all of it
        // wrong, must not cost its square.
        let mut chars = text.char_indices().peekable();
        let (mut row, mut column) = (1, 1);
        let mut errors = Vec::with_capacity(findings.len());
        for finding in findings {
            while let Some((_, c)) = chars.next_if(|(at, _)| *at < finding.at) {
                (row, column) = if c == '\n' { (row + 1, 1) } else { (row, column + 1) };
            }
            let first = finding.first.map(|at| format!(" (first on line {})", line(at)));
            errors.push(PlanError {
                file: file.to_owned(),
                line: row,
                column,
                what: finding.what + first.as_deref().unwrap_or_default(),
                right: finding.right,
            });
        }
        errors.dedup();
        PlanErrors(errors)
    }
}

/// How many names a message lists before it says how many more there are.
const LISTED: usize = 12;
/// How much of a text a message quotes, in characters.
const QUOTED: usize = 80;

/// A text of the plan in a message: in quotes, escaped and cut.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("\"{}{more}\"", Untrusted::new(cut).shown().replace('"', "\\\""))
}

/// Names in a message: `a, b, c`.
pub(super) fn listed<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.get(..LISTED) {
        Some(head) if names.len() > LISTED => {
            format!("{} and {} more", head.join(", "), names.len() - LISTED)
        }
        _ => names.join(", "),
    }
}

/// The one of these words that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer word is no slip of a short one, and the cost stays small.
    let word: Vec<char> = word.chars().take(40).flat_map(char::to_lowercase).collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    among
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals, replacements and swaps of neighbours that turn one word into the other
/// (optimal string alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        (before, above) = (above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        let words = ["customer", "control", "host", "name", "ssh"];
        for (slip, meant) in [
            ("custmer", Some("customer")),
            ("Hosts", Some("host")),
            ("nmae", Some("name")),
            ("naem", Some("name")),
            ("anem", None),
            ("shs", Some("ssh")),
            ("sssh", Some("ssh")),
            ("", None),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(slip, words), meant, "{slip}");
        }
        let word: Vec<char> = "kitten".chars().collect();
        assert_eq!(distance(&word, "sitting"), 3);
        assert_eq!(distance(&word, ""), 6);
        assert_eq!(distance(&[], "abc"), 3);
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let text = "é = 1\r\nab\n";
        let findings = Findings::default();
        findings.add(&(8..9), "b", "c");
        findings.twice(&(3..4), &(8..9), "a", "b");
        findings.add(&(99..99), "end", "more");
        let errors = findings.located("x\u{1b}.toml", text).to_string();
        assert_eq!(
            errors,
            "x\\e.toml:1:3: a (first on line 2); b\nx\\e.toml:2:1: b; c\nx\\e.toml:3:1: end; more"
        );
    }

    #[test]
    fn what_a_message_quotes_is_escaped_and_cut() {
        assert_eq!(quoted("a\u{202e}\"b"), "\"a\\u{202e}\\\"b\"");
        assert_eq!(quoted(&"x".repeat(100)), format!("\"{}...\"", "x".repeat(80)));
        assert_eq!(listed(0..14), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more");
    }
}
