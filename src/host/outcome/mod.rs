//! What an operation came to: the sections `result`, `id` and those of `verify`, as types.
//!
//! Pure. A line that nobody knows is an error and not skipped: the helper's hash is checked before,
//! so it means that something else answered.

use crate::facts::Section;
use crate::types::{Epoch, Untrusted};

mod changed;
mod left;
mod stage;
mod timer;

pub use changed::{ApplyResult, LeftPackage, RollbackResult, Verified, VerifyResult};
pub use left::{Left, LeftBatch, OpenBatch, parse_released};
pub use stage::{Mismatch, MissingFile, Side, SimulatedInstall, Space, StageResult, StagedPackage};
pub use timer::parse as parse_timer;

/// The most lines that one result may have: eight for each of 2,500 packages, more than a release brings.
/// With [`MOST_NAMED`] and [`LONGEST_SAID`] it keeps what any host says well under what one line of the
/// journal may hold.
const MOST_LINES: usize = 20_000;
/// The most paths, cautions and the like that are named one by one: nobody reads more, and the rest is
/// counted.
const MOST_NAMED: usize = 1_000;
/// The longest text of one line that is kept, in bytes: a long path fits, a page does not.
const LONGEST_SAID: usize = 512;

/// A result that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// A line that breaks the contract.
    #[error("line {number} of the helper's section {} is not as agreed: {}", .section.shown(), .text.shown())]
    Line {
        /// Of which section.
        section: Untrusted,
        /// Which line, from 1.
        number: usize,
        /// The line.
        text: Untrusted,
    },
    /// Something that has to be there is not.
    #[error("the helper's section {section} has no {what}")]
    Missing {
        /// Of which section.
        section: &'static str,
        /// What.
        what: &'static str,
    },
    /// The section says of itself that it failed.
    #[error("the helper's section {} ended with status {status}", .section.shown())]
    Failed {
        /// Which section.
        section: Untrusted,
        /// Its status.
        status: i32,
    },
    /// More lines than any helper writes.
    #[error("the helper's section has more than {MOST_LINES} lines")]
    TooLong,
}

/// A line of a section, and where it is.
pub(crate) struct Line<'a> {
    section: &'a str,
    number: usize,
    /// As text; bytes that are no UTF-8 (a path of /etc may hold any) are escaped.
    pub(crate) text: String,
}

impl Line<'_> {
    pub(crate) fn error(&self) -> OutcomeError {
        OutcomeError::Line {
            section: Untrusted::new(self.section),
            number: self.number,
            text: Untrusted::new(&self.text),
        }
    }

    /// The words after the first, which has to be there; exactly as many as asked for.
    fn words<const N: usize>(&self, rest: &str) -> Result<[String; N], OutcomeError> {
        let words: Vec<String> = rest.split(' ').map(str::to_owned).collect();
        words.try_into().map_err(|_| self.error())
    }

    fn read<T: std::str::FromStr>(&self, word: &str) -> Result<T, OutcomeError> {
        word.parse().map_err(|_| self.error())
    }

    fn or_none<T: std::str::FromStr>(&self, word: &str) -> Result<Option<T>, OutcomeError> {
        if word == "-" { Ok(None) } else { self.read(word).map(Some) }
    }

    fn yes(&self, word: &str) -> Result<bool, OutcomeError> {
        self.one_of(word, "yes", "no")
    }

    fn one_of(&self, word: &str, yes: &str, no: &str) -> Result<bool, OutcomeError> {
        if word == yes {
            Ok(true)
        } else if word == no {
            Ok(false)
        } else {
            Err(self.error())
        }
    }
}

/// The lines of a section that succeeded, as text.
pub(crate) fn text_lines(section: &Section) -> Result<Vec<Line<'_>>, OutcomeError> {
    if section.status != 0 {
        return Err(OutcomeError::Failed { section: Untrusted::new(&section.name), status: section.status });
    }
    if section.lines.len() > MOST_LINES {
        return Err(OutcomeError::TooLong);
    }
    let line = |(at, bytes): (usize, &'_ Vec<u8>)| Line {
        section: &section.name,
        number: at + 1,
        text: match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => Untrusted::from_bytes(bytes).raw().to_owned(),
        },
    };
    Ok(section.lines.iter().enumerate().map(line).collect())
}

/// Splits a line into its first word and the rest; a line of one word has an empty rest.
fn key(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// What a host says in its own words, cut where it is longer than anybody reads.
fn said(text: &str) -> Untrusted {
    let mut end = text.len().min(LONGEST_SAID);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text.len() - end {
        0 => Untrusted::new(text),
        more => Untrusted::new(format!("{}[cut: {more} more bytes]", &text[..end])),
    }
}

/// As many as are named one by one, and then how many more there are.
pub(crate) fn named(mut list: Vec<Untrusted>) -> Vec<Untrusted> {
    if list.len() > MOST_NAMED {
        let more = list.len() - MOST_NAMED;
        list.truncate(MOST_NAMED);
        list.push(Untrusted::new(format!("and {more} more")));
    }
    list
}

/// What a host's helper says of itself: the section `id` of `hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The user's name.
    pub user: Untrusted,
    /// Whether the helper runs as root.
    pub root: bool,
    /// Whether holdpoint has ever kept anything on the host.
    pub state: bool,
    /// The epoch that the host has; `None` where that needs root.
    pub epoch: Option<Epoch>,
    /// Whether it is the installed helper that answers.
    pub enrolled: bool,
}

impl Identity {
    /// Reads the section `id`.
    ///
    /// # Errors
    /// The first line that breaks the contract, or a line that is missing.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let (mut uid, mut user, mut root, mut state, mut epoch, mut enrolled) =
            (None, None, None, None, None, None);
        for line in text_lines(section)? {
            let (word, rest) = key(&line.text);
            match word {
                "uid" => uid = Some(line.read(rest)?),
                "user" => user = Some(Untrusted::new(rest)),
                "root" => root = Some(line.yes(rest)?),
                "state" => state = Some(line.yes(rest)?),
                "epoch" => epoch = Some(line.or_none(rest)?),
                "enrolled" => enrolled = Some(line.yes(rest)?),
                _ => return Err(line.error()),
            }
        }
        let missing = |what| OutcomeError::Missing { section: "id", what };
        Ok(Self {
            uid: uid.ok_or_else(|| missing("uid"))?,
            user: user.ok_or_else(|| missing("user"))?,
            root: root.ok_or_else(|| missing("root"))?,
            state: state.ok_or_else(|| missing("state"))?,
            epoch: epoch.ok_or_else(|| missing("epoch"))?,
            enrolled: enrolled.ok_or_else(|| missing("enrolled"))?,
        })
    }
}

/// Why an operation failed or refused, as a word and words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The word: `no-space`, `audit`, `from-differs`, `mismatch`, ...
    pub code: Untrusted,
    /// What it was about.
    pub words: Untrusted,
}

impl Trouble {
    fn read(rest: &str) -> Self {
        let (code, words) = key(rest);
        Self { code: said(code), words: said(words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::TimerWatch;
    use crate::types::Span;
    use proptest::prelude::*;

    fn section(text: &str) -> Section {
        Section {
            name: "result".into(),
            lines: text.lines().map(|l| l.as_bytes().to_vec()).collect(),
            status: 0,
        }
    }

    #[test]
    fn a_stage_says_what_there_is_and_what_is_missing() {
        let (new, old) = ("ab".repeat(32), "cd".repeat(32));
        let result = StageResult::parse(&section(&format!(
            "space need 10 free 20 mount /var\npackage libc6 amd64 1:1 2 {new} {old}\nmissing-old x1:all the archive has it no more\nmismatch y1:all {new} {old}\nforward libc6:amd64 1:1 2\nforward-remove z1:amd64\nreverse-install libc6:amd64 2 1:1\nreverse fails an old package file is missing\nrestarts nginx.service\nduration-ms 1500\n"
        )))
        .expect("reads");
        assert_eq!(result.packages[0].new.map(|h| h.to_string()), Some(new));
        assert_eq!(result.missing_old[0].why.raw(), "the archive has it no more");
        assert_eq!(
            (result.reverse_ok, result.reverse_why.raw()),
            (Some(false), "an old package file is missing")
        );
        assert_eq!((result.space[0].need, result.space[0].free), (10, 20));
        assert_eq!(result.duration, Span::ms(1500));
        assert_eq!(result.timer, None, "it was not reached");
        let timer = |line: &str| StageResult::parse(&section(line)).map(|result| result.timer);
        assert_eq!(timer("timer ok cron\n"), Ok(Some(Ok(TimerWatch::Cron))));
        assert_eq!(
            timer("timer fails systemctl does not answer\n"),
            Ok(Some(Err("systemctl does not answer".into())))
        );
        for bad in ["timer ok none\n", "timer ok hope\n", "timer maybe\n"] {
            assert!(timer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_not_reached_is_none_and_never_good() {
        let applied = ApplyResult::parse(&section("refused audit dpkg says no\n")).expect("reads");
        assert_eq!(applied.verified.audit_clean, None);
        assert_eq!(applied.refused.expect("refused").code.raw(), "audit");
        let back = RollbackResult::parse(&section("audit 3\nidentical no\netc-left etc/x\n")).expect("reads");
        assert_eq!((back.verified.audit_clean, back.identical), (Some(false), Some(false)));
        let back = RollbackResult::parse(&section("")).expect("reads");
        assert_eq!(back.identical, None);
    }

    #[test]
    fn a_line_that_nobody_knows_is_named() {
        let error =
            ApplyResult::parse(&section("audit clean\nidentical yes\n")).expect_err("not of an apply");
        assert!(matches!(error, OutcomeError::Line { number: 2, .. }));
        for bad in [
            "audit dirty",
            "package x1 1 s",
            "package x1:all",
            "identical maybe",
            "duration-ms -1",
            "unit-restarted a b",
        ] {
            assert!(RollbackResult::parse(&section(bad)).is_err(), "{bad}");
        }
        let mut failed = section("audit clean");
        failed.status = 1;
        assert!(matches!(ApplyResult::parse(&failed), Err(OutcomeError::Failed { status: 1, .. })));
    }

    #[test]
    fn a_path_that_is_no_utf8_is_escaped_and_loses_nothing_else() {
        let mut lines = section("audit clean").lines;
        lines.push(b"etc-changed etc/caf\xe9".to_vec());
        let result = ApplyResult::parse(&Section { name: "result".into(), lines, status: 0 }).expect("reads");
        assert_eq!(result.etc_changed[0].raw(), "etc/caf\\xe9");
    }

    #[test]
    fn long_lists_are_cut_and_counted_and_long_words_are_cut() {
        let many = |word: &str| (0..MOST_NAMED + 5).map(|n| format!("{word} etc/{n}\n")).collect::<String>();
        let check = |list: &[Untrusted]| {
            assert_eq!((list.len(), list[MOST_NAMED].raw()), (MOST_NAMED + 1, "and 5 more"));
        };
        check(&ApplyResult::parse(&section(&many("etc-changed"))).expect("reads").etc_changed);
        for word in ["etc-restored", "etc-left", "route-restored", "caution"] {
            let back = RollbackResult::parse(&section(&many(word))).expect("reads");
            let lists = [back.etc_restored, back.etc_left, back.routes_restored, back.cautions];
            check(lists.iter().find(|list| !list.is_empty()).expect("one of them"));
        }
        let verify = |name: &str, text: &str| Section { name: name.into(), ..section(text) };
        let sections = [verify("audit", &many("x")), verify("versions", ""), verify("etc", &many("differs"))];
        let verified = VerifyResult::parse(&sections).expect("reads");
        check(&verified.audit);
        check(&verified.etc_differs.expect("compared"));

        let long = format!("caution {}é{}\n", "x".repeat(LONGEST_SAID - 1), "y".repeat(100));
        let back = RollbackResult::parse(&section(&long)).expect("reads");
        let cut = format!("{}[cut: 102 more bytes]", "x".repeat(LONGEST_SAID - 1));
        assert_eq!(back.cautions[0].raw(), cut);
        let flood = "audit clean\n".repeat(MOST_LINES + 1);
        assert_eq!(ApplyResult::parse(&section(&flood)), Err(OutcomeError::TooLong));
    }

    /// Lines that begin like real ones.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let words = prop_oneof![
            Just("package"),
            Just("missing-new"),
            Just("mismatch"),
            Just("forward"),
            Just("reverse"),
            Just("space need 1 free"),
            Just("audit"),
            Just("etc-left"),
            Just("address-restored"),
            Just("uid"),
            Just("identical"),
            Just("duration-ms"),
            Just("differs"),
            Just("file-differs"),
            Just(""),
        ];
        (words, prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(word, rest)| {
            let mut line = word.as_bytes().to_vec();
            line.push(b' ');
            line.extend(rest);
            line
        })
    }

    proptest! {
        #[test]
        fn no_section_panics(lines in prop::collection::vec(line(), 0..8)) {
            let mut sections: Vec<Section> = ["audit", "versions", "etc"]
                .into_iter()
                .map(|name| Section { name: name.into(), lines: lines.clone(), status: 0 })
                .collect();
            let _ = StageResult::parse(&sections[0]);
            let _ = ApplyResult::parse(&sections[0]);
            let _ = RollbackResult::parse(&sections[0]);
            let _ = Identity::parse(&sections[0]);
            let _ = VerifyResult::parse(&sections);
            sections[1].lines.clear();
            let _ = VerifyResult::parse(&sections);
        }
    }
}
