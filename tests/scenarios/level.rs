//! What differs from host to host and from moment to moment is levelled in a transcript: hashes, boot ids,
//! sizes, durations, and what apt and dpkg print around the lines that are read.
//!
//! The scenarios that write the transcripts and the demo's tests that are held to them take this one file.

/// The nonce of every transcript.
pub const NONCE: &str = "test1nonce";

/// Lines whose numbers are a host's own, or a moment's.
const COUNTS: [&str; 10] = [
    "|space ",
    "|duration-ms ",
    "|identical ",
    "|next ",
    "|left ",
    "|hpt-data all ",
    "|batch ",
    "|bytes ",
    "|pin ",
    "|released ",
];

/// An answer, levelled.
pub fn levelled(raw: &str) -> String {
    let (mut section, mut evidence) = ("", false);
    let mut text = String::new();
    for line in raw.lines() {
        if let Some(rest) = line.strip_prefix(&format!("@{NONCE} ")) {
            section = rest.strip_prefix("begin ").unwrap_or("");
            if section == "now" {
                evidence = true;
            }
            // What a host is like is its own, what is installed there too.
            if let Some((name, _)) = rest.strip_prefix("end ").and_then(|end| end.split_once(' '))
                && evidence
            {
                text.push_str(&format!("@{NONCE} end {name} 0\n"));
                continue;
            }
        }
        let read = match (section, line.strip_prefix('|')) {
            ("piece", Some(_)) => {
                // What is in a file is each host's own, but that it is a piece.
                section = "rest";
                text.push_str("|aGVsbG8=\n");
                false
            }
            ("rest", Some(_)) => false,
            (_, Some(_)) if evidence => false,
            ("probe", Some(payload)) => {
                let (head, said) = payload.split_once('\t').unwrap_or((payload, ""));
                let words: Vec<String> = head.split(' ').enumerate().map(looked).collect();
                text.push_str(&format!("|{}\t{said}\n", words.join(" ")));
                false
            }
            ("simulation", Some(payload)) => {
                ["Inst ", "Remv ", "Conf "].iter().any(|start| payload.starts_with(start))
            }
            ("log", Some(payload)) => payload.starts_with("holdpoint: "),
            (_, Some(_)) => true,
            (_, None) => !line.is_empty(),
        };
        if read {
            let words: Vec<String> = line.split(' ').map(|word| level(line, word)).collect();
            text.push_str(&words.join(" "));
            text.push('\n');
        }
    }
    text
}

/// A word of what became of an attempt: how long it took and from which port are of the moment.
fn looked((nth, word): (usize, &str)) -> String {
    let number = word.bytes().all(|b| b.is_ascii_digit());
    match word.split_once('=') {
        None if number && nth > 0 => "0".to_owned(),
        None | Some(("status", _)) => word.to_owned(),
        Some(("local", _)) => "local=0.0.0.0:1".to_owned(),
        Some((key, _)) => format!("{key}=0"),
    }
}

/// One word, levelled by what it is or by the line it stands in.
fn level(line: &str, word: &str) -> String {
    let hex =
        |word: &str| word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-');
    let number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    if word.len() == 64 && hex(word) {
        "0".repeat(64)
    } else if word.len() == 36 && hex(word) && word.matches('-').count() == 4 {
        "00000000-0000-0000-0000-000000000000".to_owned()
    } else if line == "|left 0" {
        // Whether there is time left is no matter of the moment.
        word.to_owned()
    } else if number && COUNTS.iter().any(|start| line.starts_with(start)) {
        "1".to_owned()
    } else if ["cron", "process"].contains(&word)
        && ["|watch ", "|timer ok "].iter().any(|s| line.starts_with(s))
    {
        // By what a host watches is the host's; that it watches is the same everywhere.
        "systemd".to_owned()
    } else {
        word.to_owned()
    }
}
