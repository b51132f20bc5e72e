//! The helper's call and frames, from the host's side: a command line becomes a call, an answer
//! becomes bytes. Pure.

use super::model::{Call, Caller, Reply};
use crate::facts::Section;
use crate::helper;
use crate::host::frame::{End, RefusalCode};
use crate::host::verb::Verb;
use crate::types::Nonce;

/// A command line as a shell on the host would see it.
#[derive(Debug)]
pub(super) enum Line {
    /// The helper, with a sound nonce.
    Helper {
        /// In what frames it answers.
        nonce: Nonce,
        /// As whom it runs.
        caller: Caller,
        /// The words after the nonce.
        words: Vec<String>,
    },
    /// The helper, without a sound nonce: it has no way to answer in frames.
    Unsound,
    /// Something else, which is not on these hosts; its first word.
    Other(String),
}

/// The program and its words: sudo and the helper are all there is.
pub(super) fn line(command: &str) -> Line {
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    let (caller, rest) = match words.as_slice() {
        ["sudo", "-n", program, rest @ ..] if *program == helper::PATH => (Caller::Root, rest),
        [program, rest @ ..] if *program == helper::PATH => (Caller::User, rest),
        ["sh", "-s", "--", rest @ ..] => (Caller::Unenrolled, rest),
        _ => return Line::Other(words.first().map_or(String::new(), |word| (*word).to_owned())),
    };
    match rest.split_first().map(|(nonce, rest)| (nonce.parse(), rest)) {
        Some((Ok(nonce), rest)) => {
            Line::Helper { nonce, caller, words: rest.iter().map(|word| (*word).to_owned()).collect() }
        }
        Some((Err(_), _)) | None => Line::Unsound,
    }
}

/// Reads what follows the nonce, and the input.
///
/// # Errors
/// The words of the refusal.
pub(super) fn call(caller: Caller, words: &[String], input: &[u8]) -> Result<Call, String> {
    let [epoch, words @ ..] = words else { return Err("NONCE EPOCH VERB [WORD...]".to_owned()) };
    let epoch = epoch.parse().map_err(|_| "the epoch is not a number")?;
    if words.is_empty() {
        return Err("NONCE EPOCH VERB [WORD...]".to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The helper's own text comes over standard input where it is not installed; no verb takes any then.
    let input = if caller == Caller::Unenrolled { b"" } else { input };
    let input = std::str::from_utf8(input).map_err(|_| "the input is not text")?;
    let verb = Verb::from_words(&words, input).map_err(|error| error.to_string())?;
    Ok(Call { epoch, caller, verb })
}

/// The whole answer, and the status that the helper exits with.
pub(super) fn frames(nonce: &Nonce, caller: Caller, reply: &Reply) -> (Vec<u8>, u32) {
    let mut out = hello(nonce, caller);
    for Section { name, lines, status } in &reply.sections {
        out.extend(format!("@{nonce} begin {name}\n").into_bytes());
        for line in lines {
            out.push(b'|');
            out.extend(line);
            out.push(b'\n');
        }
        out.extend(format!("@{nonce} end {name} {status}\n").into_bytes());
    }
    match &reply.end {
        End::Done(status) => {
            out.extend(format!("@{nonce} done {status}\n").into_bytes());
            (out, u32::try_from(*status).unwrap_or(1))
        }
        End::Refused(refusal) => {
            out.extend(refusal_line(nonce, refusal.code, refusal.words.raw()));
            (out, REFUSED)
        }
    }
}

/// The beginning of an answer that a stream of this kind follows; `None` where it was refused.
pub(super) fn begun(nonce: &Nonce, caller: Caller, reply: &Reply, kind: &str) -> Option<Vec<u8>> {
    if let End::Refused(_) = reply.end {
        return None;
    }
    let (mut out, _) = frames(nonce, caller, reply);
    let done = format!("@{nonce} done 0\n");
    out.truncate(out.len().saturating_sub(done.len()));
    out.extend(format!("@{nonce} stream {kind}\n").into_bytes());
    Some(out)
}

/// The answer to a call that could not be read.
pub(super) fn usage(nonce: &Nonce, caller: Caller, words: &str) -> (Vec<u8>, u32) {
    let mut out = hello(nonce, caller);
    out.extend(refusal_line(nonce, RefusalCode::Usage, words));
    (out, REFUSED)
}

/// What the helper exits with when it refuses.
const REFUSED: u32 = 3;

fn hello(nonce: &Nonce, caller: Caller) -> Vec<u8> {
    let hash = match caller {
        Caller::Root | Caller::User => helper::sha256().to_string(),
        Caller::Unenrolled => "-".to_owned(),
    };
    format!("\n@{nonce} hello {} {hash}\n", helper::VERSION).into_bytes()
}

fn refusal_line(nonce: &Nonce, code: RefusalCode, words: &str) -> Vec<u8> {
    format!("@{nonce} refuse {} {words}\n", code.word()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_the_helper_in_one_of_three_ways_or_nothing() {
        let path = helper::PATH;
        for (text, caller) in [
            (format!("sudo -n {path} abcdefgh1 0 hello"), Caller::Root),
            (format!("{path} abcdefgh1 0 hello"), Caller::User),
            ("sh -s -- abcdefgh1 0 hello".to_owned(), Caller::Unenrolled),
        ] {
            let Line::Helper { nonce, caller: is, words } = line(&text) else { panic!("{text}") };
            assert_eq!((nonce.as_str(), is, words.len()), ("abcdefgh1", caller, 2));
        }
        assert!(matches!(line(&format!("{path} SHORT 0 hello")), Line::Unsound));
        assert!(matches!(line("sudo -n rm -rf /"), Line::Other(word) if word == "sudo"));
        assert!(matches!(line(""), Line::Other(_)));
    }

    #[test]
    fn words_that_are_no_verb_are_refused_with_a_reason() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for bad in ["0", "x hello", "-1 hello", "0 hello more", "0 read op 0 26", "0 nothing"] {
            assert!(call(Caller::Root, &words(bad), b"").is_err(), "{bad}");
        }
        assert!(call(Caller::Root, &words("1 start op stage b"), b"package\tx\n").is_err());
        assert!(call(Caller::Unenrolled, &words("0 facts"), b"#!/bin/sh\n").is_ok());
    }
}
