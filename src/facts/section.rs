//! One section of a helper's answer: what one tool printed, and how it ended.
//!
//! The frames around it are read elsewhere (`begin NAME`, lines, `end NAME STATUS`); nothing here
//! may know them, nor what the lines mean.

use crate::types::Untrusted;

/// The status of a section whose tool is not installed on the host.
pub const TOOL_MISSING: i32 = 127;
/// The status of a section that only root can produce.
pub const NEEDS_ROOT: i32 = 126;

/// The most lines of a section that are read. A host with a hundred thousand packages, routes or
/// listeners is not one that this program can judge.
const MOST_LINES: usize = 100_000;
/// The most bytes of a section, line ends included: the helper cuts there (`HP_SECTION_BYTES`), so
/// a section that reaches it may be cut.
const MOST_BYTES: usize = 4 << 20;
/// The most bytes of a line: the helper cuts there (`HP_LINE_BYTES`).
const LONGEST_LINE: usize = 256 << 10;
/// How the helper marks what a tool that failed said on its standard error.
const STDERR: &str = "stderr: ";

/// What one tool printed on a host, a line each without its line end, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The section's name, as the frame had it: `os-release`, `dpkg`, ...
    pub name: String,
    /// The lines as they came, any bytes but a newline.
    pub lines: Vec<Vec<u8>>,
    /// How the tool ended: 0 is success, [`TOOL_MISSING`], [`NEEDS_ROOT`], or its own status.
    pub status: i32,
}

/// Something a host printed that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {}", .text.shown())]
pub struct Unreadable {
    what: String,
    text: Untrusted,
}

impl Unreadable {
    /// What was being read, and the text that is not it, which is shown escaped and cut.
    pub(super) fn new(what: impl Into<String>, text: &str) -> Self {
        Self { what: what.into(), text: Untrusted::new(text.chars().take(120).collect::<String>()) }
    }
}

impl From<Unreadable> for Untrusted {
    fn from(why: Unreadable) -> Self {
        Self::new(why.to_string())
    }
}

/// Reads a part of a line strictly, or names that line.
pub(super) fn strict<T: std::str::FromStr>(what: &str, part: &str, line: &str) -> Result<T, Unreadable> {
    part.parse().map_err(|_| Unreadable::new(format!("{what} is not readable in this line"), line))
}

impl Section {
    /// The lines as text, if the tool succeeded and printed no more than is read: bytes that are
    /// not UTF-8 as `\xNN`, which no strict type takes.
    ///
    /// # Errors
    /// Why there is nothing to read, for the screen.
    pub(super) fn text(&self) -> Result<Vec<String>, Untrusted> {
        match self.status {
            0 => self.decoded(),
            NEEDS_ROOT => Err(self.said().unwrap_or_else(|| "needs root".into())),
            TOOL_MISSING => Err(self.said().unwrap_or_else(|| {
                format!("{}: the tool that tells is not on the host", Untrusted::new(&self.name).shown())
                    .into()
            })),
            status => Err(format!(
                "{}: ended with status {status}{}",
                Untrusted::new(&self.name).shown(),
                self.said().map(|said| format!(": {}", said.shown())).unwrap_or_default()
            )
            .into()),
        }
    }

    /// What the tool said on its standard error, the first line of it.
    fn said(&self) -> Option<Untrusted> {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(STDERR.as_bytes()))?;
        Some(Untrusted::from_bytes(line.get(..200).unwrap_or(line)))
    }

    /// The lines as text, whatever the status was.
    pub(super) fn decoded(&self) -> Result<Vec<String>, Untrusted> {
        let over = |what: &str, most: usize| {
            let name = Untrusted::new(&self.name).shown();
            Err(format!("{name}: more than {most} {what}, so it is not read").into())
        };
        if self.lines.len() > MOST_LINES {
            return over("lines", MOST_LINES);
        }
        let mut bytes = 0;
        for line in &self.lines {
            // The helper's cut leaves exactly that many bytes.
            if line.len() >= LONGEST_LINE {
                return over("bytes in a line", LONGEST_LINE - 1);
            }
            bytes += line.len() + 1;
        }
        if bytes >= MOST_BYTES {
            return over("bytes", MOST_BYTES - 1);
        }
        Ok(self.lines.iter().map(|line| decode(line)).collect())
    }
}

pub(super) fn decode(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(status: i32, lines: &[&[u8]]) -> Section {
        Section { name: "tool".to_owned(), lines: lines.iter().map(|line| line.to_vec()).collect(), status }
    }

    #[test]
    fn a_tool_that_failed_says_why_and_gives_no_lines() {
        let why = |status, lines: &[&[u8]]| section(status, lines).text().expect_err("fails").shown();
        assert_eq!(why(126, &[]), "needs root");
        assert_eq!(why(127, &[]), "tool: the tool that tells is not on the host");
        assert_eq!(why(127, &[b"stderr: no systemd"]), "no systemd");
        assert_eq!(
            why(100, &[b"half", b"stderr: E: \x1b[31mbroken"]),
            "tool: ended with status 100: E: \\e[31mbroken"
        );
        assert_eq!(why(2, &[b"x"]), "tool: ended with status 2");
    }

    #[test]
    fn what_is_over_a_limit_is_not_read() {
        let many = Section { lines: vec![Vec::new(); MOST_LINES + 1], ..section(0, &[]) };
        assert!(many.text().expect_err("too many").shown().contains("more than 100000 lines"));
        let long = section(0, &[&vec![b'x'; LONGEST_LINE]]);
        assert!(long.text().expect_err("too long").shown().contains("bytes in a line"));
        let big = Section { lines: vec![vec![b'x'; 1 << 17]; 32], ..section(0, &[]) };
        assert!(big.text().expect_err("too big").shown().contains("bytes, so"));
        assert!(section(0, &[&vec![b'x'; LONGEST_LINE - 1]]).text().is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_stay_visible() {
        assert_eq!(section(0, &[b"a\xffb"]).text().expect("reads"), ["a\\xffb"]);
    }
}
