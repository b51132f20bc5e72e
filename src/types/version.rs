//! Debian versions and their order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Debian version, `[epoch:]upstream[-revision]` (Debian policy 5.6.12). Compared as
/// `dpkg --compare-versions` does, so two that are written differently can be equal in order
/// (`1.0` and `1.00`) without being the same text; `==` follows the order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(std::sync::Arc<str>);

/// A text that is no Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Debian version ([epoch:]upstream[-revision] of A-Z a-z 0-9 . + - : ~)")]
pub struct VersionError(String);

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The epoch and the first `n` numbers of the upstream version: what names a series of releases. A number
    /// ends where its digits end; one that is missing or too long for a `u64` counts as 0.
    pub fn leading(&self, n: usize) -> (u64, Vec<u64>) {
        let (epoch, upstream, _) = self.parts();
        let upstream = std::str::from_utf8(upstream).unwrap_or_default();
        let number = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().unwrap_or(0)
        };
        let mut numbers: Vec<u64> = upstream.split('.').take(n).map(number).collect();
        numbers.resize(n, 0);
        (epoch, numbers)
    }

    fn parts(&self) -> (u64, &[u8], &[u8]) {
        // The constructor has checked that the epoch is a number.
        let (epoch, rest) = match self.0.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, &*self.0),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream.as_bytes(), revision.as_bytes())
    }
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

/// `verrevcmp` of dpkg: runs of other characters by weight and runs of digits by value, in turn.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit())
        {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (na, rest_a) = digits(a);
        let (nb, rest_b) = digits(b);
        // Without leading zeros the longer run is the larger number, however long both are.
        let order = na.len().cmp(&nb.len()).then_with(|| na.cmp(nb));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|c| *c != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ea, ua, ra) = self.parts();
        let (eb, ub, rb) = other.parts();
        ea.cmp(&eb).then_with(|| compare(ua, ub)).then_with(|| compare(ra, rb))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bad = || VersionError(text.chars().take(80).collect());
        let rest = match text.split_once(':') {
            // dpkg: an epoch is a number that fits an int.
            Some((epoch, rest)) => {
                let digits = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
                if !digits || epoch.parse::<i32>().is_err() {
                    return Err(bad());
                }
                rest
            }
            None => text,
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".+-:~".contains(&b);
        if rest.is_empty() || text.len() > 256 || !rest.bytes().all(allowed) || rest.starts_with('-') {
            return Err(bad());
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.0.as_ref().to_owned()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect(text)
    }

    #[test]
    fn the_order_is_dpkgs() {
        let rising = [
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-2",
            "1.0a",
            "1.0+x",
            "1.2",
            "1.10",
            "1:0.1",
        ];
        for pair in rising.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert_eq!(version("1.0"), version("0:1.00"));
        assert_eq!(version("1.0"), version("1.0-0"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in ["", ":1", "a:1", "1 2", "1_2", "1;2", "99999999999:1", "-1", "é"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    /// A fixed sequence (Knuth's MMIX generator), so that a failure can be seen again.
    struct Seeded(u64);

    impl Seeded {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).expect("31 bits") % end
        }

        fn version(&mut self) -> String {
            const PARTS: [&str; 24] = [
                "0",
                "00",
                "1",
                "01",
                "9",
                "10",
                "2.36",
                "20230311",
                "18446744073709551616",
                ".",
                ".0",
                "~",
                "~~",
                "+",
                "-",
                "-0",
                "-1",
                "a",
                "Z",
                "rc1",
                "~rc1",
                "+b1",
                "+deb12u1",
                "~bpo12+1",
            ];
            let mut text = ["", "", "", "0:", "1:", "2147483647:"][self.below(6)].to_owned();
            text.push_str(["0", "1", "1.0", "2.36", "6.1"][self.below(5)]);
            for _ in 0..self.below(5) {
                text.push_str(PARTS[self.below(PARTS.len())]);
            }
            text
        }
    }

    #[test]
    fn the_order_is_that_of_the_dpkg_on_this_machine() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        if !Command::new("dpkg").arg("--version").output().is_ok_and(|out| out.status.success()) {
            println!("skipped: no dpkg");
            return;
        }
        let mut seeded = Seeded(20_261_121);
        let mut asked = String::new();
        for _ in 0..3000 {
            let a = seeded.version();
            // Half of the pairs differ at the end only: far apart ones are no question.
            let b = if seeded.below(2) == 0 {
                seeded.version()
            } else {
                format!("{a}{}", ["~", "0", "-1", ".", "a"][seeded.below(5)])
            };
            if let (Ok(one), Ok(other)) = (a.parse::<Version>(), b.parse::<Version>()) {
                let how = match one.cmp(&other) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                asked.push_str(&format!("{a} {how} {b}\n"));
            }
        }
        // One shell, and one dpkg for each pair: it is asked only whether we are right. Status 2 is a
        // version that dpkg itself refuses (an empty revision).
        let script = "while read -r a how b; do dpkg --compare-versions \"$a\" \"$how\" \"$b\" 2>/dev/null; echo \"$? $a $how $b\"; done";
        let shell =
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut shell = shell.expect("sh starts");
        let mut input = shell.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()));
        let said = shell.wait_with_output().expect("sh ends");
        writer.join().expect("no panic").expect("sh reads");
        let said = String::from_utf8(said.stdout).expect("text");
        let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("1 ")).collect();
        assert_eq!(wrong, Vec::<&str>::new(), "dpkg orders these otherwise");
        let agreed = said.lines().filter(|line| line.starts_with("0 ")).count();
        assert!(agreed > 2500, "only {agreed} pairs were compared");
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[0-9a-z.+~-]{1,12}", b in "[0-9a-z.+~-]{1,12}", c in "[0-9a-z.+~-]{1,12}") {
            if let (Ok(a), Ok(b), Ok(c)) = (a.parse::<Version>(), b.parse::<Version>(), c.parse::<Version>()) {
                prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
                if a <= b && b <= c {
                    prop_assert!(a <= c);
                }
            }
        }
    }
}
