//! The hosts that an ssh configuration names, for a first draft of a plan.
//!
//! Only names are taken from it: how a host is reached stays in that configuration, and ssh reads it
//! there. The text may be anything; what can't be read is passed over.

/// Files within files, as OpenSSH limits them (`READCONF_MAX_DEPTH`).
const DEEPEST: usize = 16;
/// Files in all, blocks and hosts that are looked at: bounds on what a hostile or endless
/// configuration can cost.
const MOST_FILES: usize = 256;
const MOST_BLOCKS: usize = 4_096;
const MOST_HOSTS: usize = 1_024;

/// One `Host` block: its patterns, and the user it gives.
struct Block {
    patterns: Vec<String>,
    user: Option<String>,
}

/// The hosts of an ssh configuration as (name, ssh destination), in the order of the file: the
/// concrete names of `Host` lines, without patterns and negations, and without those that are
/// reached as the user `git`, on which there is no shell. Both parts are the alias, since that is
/// what the configuration knows.
///
/// `include` is asked for the texts of the files that one pattern of an `Include` line names.
pub fn hosts_of_ssh_config(text: &str, include: impl FnMut(&str) -> Vec<String>) -> Vec<(String, String)> {
    let mut reader = Reader { include, files: 0, blocks: Vec::new() };
    reader.read(text, None, 0);
    let blocks = reader.blocks;
    let mut hosts: Vec<(String, String)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for alias in blocks.iter().flat_map(|block| &block.patterns) {
        let concrete = !alias.contains(['*', '?', '!']) && super::text::destination_flaw(alias).is_none();
        if !concrete || hosts.len() >= MOST_HOSTS || !seen.insert(alias.as_str()) {
            continue;
        }
        // As ssh does: the first value that applies counts.
        let user =
            blocks.iter().filter(|block| applies(block, alias)).find_map(|block| block.user.as_deref());
        let named = blocks.iter().any(|block| block.patterns.contains(alias) && applies(block, alias));
        if named && user != Some("git") {
            hosts.push((alias.clone(), alias.clone()));
        }
    }
    hosts
}

struct Reader<I> {
    include: I,
    files: usize,
    blocks: Vec<Block>,
}

impl<I: FnMut(&str) -> Vec<String>> Reader<I> {
    /// Reads one file; `outer` is the block in which it was included.
    fn read(&mut self, text: &str, outer: Option<usize>, depth: usize) {
        let mut current = outer;
        for line in text.lines() {
            let Some((keyword, words)) = directive(line) else { continue };
            match keyword.as_str() {
                "host" if self.blocks.len() < MOST_BLOCKS => {
                    self.blocks.push(Block { patterns: words, user: None });
                    current = Some(self.blocks.len() - 1);
                }
                // What a Match block says is for some connections only.
                "host" | "match" => current = None,
                "user" => {
                    if let Some(block) = current.and_then(|at| self.blocks.get_mut(at))
                        && block.user.is_none()
                    {
                        block.user = words.into_iter().next();
                    }
                }
                "include" if depth < DEEPEST => {
                    for pattern in &words {
                        if self.files >= MOST_FILES {
                            return;
                        }
                        for text in (self.include)(pattern) {
                            self.files += 1;
                            if self.files <= MOST_FILES {
                                self.read(&text, current, depth + 1);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// A line's keyword in lower case and its words; quotes hold a word together, as in ssh_config(5).
fn directive(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=' || c == '"').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    for c in rest.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '#' if !quoted && !begun => break,
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                begun = true;
                word.push(c);
            }
        }
    }
    if begun {
        words.push(word);
    }
    Some((keyword.to_ascii_lowercase(), words))
}

/// Whether a block is for this host: a pattern matches and no negated one does.
fn applies(block: &Block, host: &str) -> bool {
    let negated = |p: &String| p.strip_prefix('!').is_some_and(|p| matches(p.as_bytes(), host.as_bytes()));
    block.patterns.iter().any(|p| matches(p.as_bytes(), host.as_bytes()))
        && !block.patterns.iter().any(negated)
}

/// `*` and `?`, without going back further than the last star, so that no pattern is slow.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<String> {
        hosts_of_ssh_config(text, |_| Vec::new()).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn concrete_names_are_taken_in_the_order_of_the_file() {
        let text = "
            # servers
            Host web1 web2 *.example !bad   # two of them
                HostName 192.0.2.11
            HOST=web3
            Host \"web4\" web1
            host web[1]
            Host *
                User ops
            Match host web5
                User git
            Host -oProxyCommand=x $(reboot) a;b gone !gone
            Host last";
        assert_eq!(names(text), ["web1", "web2", "web3", "web4", "web[1]", "last"]);
    }

    #[test]
    fn hosts_that_are_only_for_git_are_left_out() {
        let text = "Host github.com gitlab\n User git\nHost web1\n User ops\nHost *\n User git\nHost web2\nHost forge\nUser \"git\"";
        assert_eq!(names(text), ["web1"], "web2 and forge get User git from Host *, as in ssh");
        assert_eq!(
            names("Host forge.example\nHost *.example !web.example\nUser git\nHost web.example"),
            ["web.example"]
        );
    }

    #[test]
    fn included_files_are_read_in_place_and_never_without_end() {
        let mut asked = Vec::new();
        let hosts = hosts_of_ssh_config("Include conf.d/* \"my hosts\"\nHost c\nInclude user", |pattern| {
            asked.push(pattern.to_owned());
            match pattern {
                "conf.d/*" => vec!["Host a".into(), "Host b".into()],
                "user" => vec!["User git".into()],
                _ => Vec::new(),
            }
        });
        assert_eq!(asked, ["conf.d/*", "my hosts", "user"]);
        assert_eq!(hosts, [("a".to_owned(), "a".to_owned()), ("b".to_owned(), "b".to_owned())]);

        let mut files = 0;
        let endless = hosts_of_ssh_config("Include x", |_| {
            files += 2;
            vec!["Host a\nInclude x x".into(), "Include x\nHost b".into()]
        });
        assert_eq!(endless.len(), 2);
        assert!(files <= MOST_FILES + 2 * DEEPEST, "{files}");
    }

    #[test]
    fn a_hostile_pattern_is_not_slow_and_a_flood_is_cut() {
        assert!(!matches("*a".repeat(500).as_bytes(), "a".repeat(499).as_bytes()));
        assert!(matches(b"*.ex?mple*", b"a.example"));
        let flood: String = (0..3_000).map(|i| format!("Host h{i}\n")).collect();
        assert_eq!(names(&flood).len(), MOST_HOSTS);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?i)((host|user|include|match)[ =]|[ -~]{0,8}|\n|\\PC){0,40}") {
            for (name, destination) in hosts_of_ssh_config(&text, |p| vec![format!("Host {p}")]) {
                prop_assert_eq!(super::super::text::destination_flaw(&destination), None);
                prop_assert_eq!(name, destination);
            }
        }
    }
}
