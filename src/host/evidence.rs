//! What a host was like at a moment, as a file for people. Pure.
//!
//! All of it is what a host said, so it is escaped as on a screen: whoever looks at the file with a pager
//! has a terminal too.

use crate::facts::Section;
use crate::types::{HostName, Time, Untrusted};

/// The file's text.
pub fn text(host: &HostName, at: Time, sections: &[Section]) -> String {
    let mut text = format!("{host} at {}, by its own word\n", at.format("%Y-%m-%dT%H:%M:%SZ"));
    for Section { name, lines, status } in sections {
        let how = match status {
            0 => String::new(),
            124 => " (there was no time)".to_owned(),
            127 => " (not there)".to_owned(),
            status => format!(" (status {status})"),
        };
        text.push_str(&format!("\n== {}{how}\n", Untrusted::new(name).shown()));
        for line in lines {
            // A tab is a tab here: the columns of tools stand on it.
            let parts: Vec<String> =
                line.split(|byte| *byte == b'\t').map(|part| Untrusted::from_bytes(part).shown()).collect();
            text.push_str(&parts.join("\t"));
            text.push('\n');
        }
    }
    text
}

/// The file's name: when it was, and of whom.
pub fn name(host: &HostName, at: Time) -> String {
    format!("{}-{host}.txt", at.format("%Y%m%dT%H%M%S%3fZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_does_nothing_to_whoever_reads_it() {
        let at: Time = "2026-11-21T22:04:05.678Z".parse().expect("a moment");
        let host: HostName = "web1".parse().expect("a name");
        let section = |name: &str, lines: &[&[u8]], status| Section {
            name: name.to_owned(),
            lines: lines.iter().map(|line| line.to_vec()).collect(),
            status,
        };
        let sections = [
            section("rules", &[b"0:\tfrom all lookup local", b"\x1b]0;x\x07\xff"], 0),
            section("nft", &[b"not looked at: no nft here"], 127),
            section("journal", &[], 124),
            section("failed", &[b"no bus"], 1),
        ];
        assert_eq!(
            text(&host, at, &sections),
            "web1 at 2026-11-21T22:04:05Z, by its own word\n\
             \n== rules\n0:\tfrom all lookup local\n\\e]0;x\\x07\\xff\n\
             \n== nft (not there)\nnot looked at: no nft here\n\
             \n== journal (there was no time)\n\
             \n== failed (status 1)\nno bus\n"
        );
        assert_eq!(name(&host, at), "20261121T220405678Z-web1.txt");
    }
}
