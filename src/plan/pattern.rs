//! What the body of an answer must match: a regular expression, bounded in what it may cost.

use regex::bytes::{Regex, RegexBuilder};

/// The most that one takes as it is made ready, in bytes; and the same of what it remembers while it looks.
const MOST: usize = 1 << 18;

/// A body's pattern, made ready. It is looked for in bytes as they came: what is no UTF-8 matches no letter.
///
/// # Errors
/// Where it is none, or would cost too much: why, in words for the end of a sentence.
pub fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MOST).dfa_size_limit(MOST).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large; repeat less".to_owned(),
        // Its last line says what; those before it show where, in columns.
        other => {
            let all = other.to_string();
            let last = all.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_ready_or_said_why_not() {
        for (text, body, found) in [
            ("Welcome, acme", &b"<h1>Welcome, acme</h1>"[..], true),
            ("Welcome, (acme|globex)", b"Welcome, globex", true),
            ("(?i)welcome", b"WELCOME", true),
            ("^ok$", b"ok", true),
            ("(?m)^ok$", b"not\nok\nnot", true),
            (r"v[0-9]+\.[0-9]+", b"v12.3", true),
            (r"\w+\s\d", "Gr\u{fc}\u{df}e 7".as_bytes(), true),
            ("Gr\u{fc}\u{df}e", "Gr\u{fc}\u{df}e".as_bytes(), true),
            // Beside bytes that are no text.
            ("ok", b"\xff\xfeok\x80", true),
            ("a.c", b"a\xffc", false),
            ("welcome", b"Welcome", false),
        ] {
            assert_eq!(pattern(text).unwrap().is_match(body), found, "{text}");
        }
        for (text, why) in [
            ("(", "unclosed group"),
            ("[a", "unclosed character class"),
            ("*x", "repetition operator missing expression"),
            (r"(\w{100}){100}", "it is too large; repeat less"),
        ] {
            assert_eq!(pattern(text).unwrap_err(), why, "{text}");
        }
        let deep = "(".repeat(2_000) + &")".repeat(2_000);
        assert!(pattern(&deep).is_err());
    }
}
