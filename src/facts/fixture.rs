//! For the tests of the parsers: answers as a host frames them, written down as text.

use super::{Fact, Section};
use crate::types::Time;

/// The sections of a written answer; the nonce is `n`.
pub(super) fn sections(answer: &str) -> Vec<Section> {
    from_bytes(answer.as_bytes())
}

pub(super) fn from_bytes(answer: &[u8]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in answer.split(|b| *b == b'\n') {
        if let Some(payload) = line.strip_prefix(b"|") {
            sections.last_mut().expect("a section is open").lines.push(payload.to_vec());
            continue;
        }
        let words: Vec<String> =
            line.split(|b| *b == b' ').map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["@n", "begin", name] => {
                sections.push(Section { name: name.to_owned(), lines: Vec::new(), status: -1 });
            }
            ["@n", "end", name, status] => {
                let open = sections.last_mut().expect("a section is open");
                assert_eq!(open.name, name);
                open.status = status.parse().expect("a status");
            }
            [""] => {}
            _ => panic!("not a frame: {words:?}"),
        }
    }
    sections
}

/// One section that succeeded, with these lines.
pub(super) fn section(name: &str, lines: &str) -> Section {
    Section {
        name: name.to_owned(),
        lines: lines.lines().map(|line| line.as_bytes().to_vec()).collect(),
        status: 0,
    }
}

pub(super) fn at(seconds: i64) -> Time {
    Time::from_timestamp(seconds, 0).expect("a time")
}

#[track_caller]
pub(super) fn known<T>(fact: &Fact<T>) -> &T {
    match fact {
        Fact::Known(facts) => facts,
        Fact::Unknown(why) => panic!("unknown: {}", why.shown()),
    }
}
