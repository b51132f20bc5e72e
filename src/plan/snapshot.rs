//! Where package files are that the archive no longer has: the URL template of `[policy]
//! snapshot_archive`, checked and filled in.
//!
//! Pure. What comes out is made of characters that the helper's own pattern for a URL has, so that it
//! passes there as one word of a spec.

use crate::types::{PackageId, PackageName, Version};

/// The longest URL that a host is given, in bytes; the helper holds it to the same.
const LONGEST: usize = 1024;

/// What stands in braces, and what is put there: values are encoded as RFC 3986 asks (2.1, 2.3).
pub const PLACEHOLDERS: [(&str, &str); 7] = [
    ("name", "the package"),
    ("version", "its whole version, epoch included"),
    ("arch", "its architecture"),
    ("source", "its source package"),
    ("prefix", "the pool's folder of that source: o for openssl, libx for libxml2"),
    ("filename", "the file as a pool has it: NAME_VERSION_ARCH.deb, without the epoch"),
    ("aptname", "the file as apt names it in its cache: with the epoch, its colon as %3a"),
];

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotArchive(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(&'static str),
}

impl SnapshotArchive {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, in words that quote none of it.
    pub fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')) else {
            return Err(("is not a URL", "write http:// or https://, a host and a path"));
        };
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        if !named || port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            let right = "write HOST or HOST:PORT; what a login needs is in apt's own auth.conf on the hosts";
            return Err(("does not name a host", right));
        }
        let mut parts = vec![Part::Text(text[..text.len() - path.len()].to_owned())];
        let mut left = path;
        while let Some((before, after)) = left.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            let Some((word, rest)) = after.split_once('}') else {
                return Err(("has a brace that is not closed", "write a placeholder as {name}"));
            };
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == word);
            let right = "write one of: {name}, {version}, {arch}, {source}, {prefix}, {filename}, {aptname}";
            parts.push(Part::Value(known.ok_or(("has a placeholder that nobody knows", right))?.0));
            left = rest;
        }
        parts.push(Part::Text(left.to_owned()));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~/%=&?,:-".contains(&b);
        if parts.iter().skip(1).any(|part| matches!(part, Part::Text(text) if !text.bytes().all(plain))) {
            let right = "write letters, digits and . _ ~ / % = & ? , : - outside of the braces";
            return Err(("has characters that a template may not have", right));
        }
        let has = |word: &'static str| parts.contains(&Part::Value(word));
        if !(has("filename") || has("aptname") || (has("name") && has("version"))) {
            let right = "name the file: {filename}, {aptname}, or {name} and {version}";
            return Err(("is the same for every package", right));
        }
        Ok(Self(parts))
    }

    /// Where that version of a package is; `None`: it would be longer than a host takes.
    pub fn url(&self, package: &PackageId, version: &Version, source: &PackageName) -> Option<String> {
        let whole = version.as_str();
        let bare = whole.split_once(':').map_or(whole, |(_, bare)| bare);
        let mut url = String::new();
        for part in &self.0 {
            let value = match part {
                Part::Text(text) => {
                    url.push_str(text);
                    continue;
                }
                Part::Value("name") => package.name.to_string(),
                Part::Value("version") => whole.to_owned(),
                Part::Value("arch") => package.arch.to_string(),
                Part::Value("source") => source.to_string(),
                Part::Value("prefix") => prefix(source.as_str()).to_owned(),
                Part::Value("filename") => format!("{}_{bare}_{}.deb", package.name, package.arch),
                Part::Value(_) => {
                    format!("{}_{}_{}.deb", package.name, whole.replace(':', "%3a"), package.arch)
                }
            };
            encode(&value, &mut url);
        }
        (url.len() <= LONGEST).then_some(url)
    }
}

/// The folder of a source in a Debian pool: `lib` counts as no letter.
fn prefix(source: &str) -> &str {
    let letters = if source.len() > 3 && source.starts_with("lib") { 4 } else { 1 };
    source.get(..letters).unwrap_or(source)
}

fn encode(value: &str, url: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(template: &str, package: &str, version: &str, source: &str) -> Option<String> {
        let template = SnapshotArchive::parse(template).expect("a template");
        let read = "a package, a version, a source";
        template.url(
            &package.parse().expect(read),
            &version.parse().expect(read),
            &source.parse().expect(read),
        )
    }

    #[test]
    fn a_template_is_filled_in_and_its_values_are_encoded() {
        let pool =
            "https://snapshot.example/archive/debian/20261101T000000Z/pool/main/{prefix}/{source}/{filename}";
        assert_eq!(
            url(pool, "libssl3:amd64", "3.0.15-1~deb12u1", "openssl").as_deref(),
            Some(
                "https://snapshot.example/archive/debian/20261101T000000Z/pool/main/o/openssl/libssl3_3.0.15-1~deb12u1_amd64.deb"
            )
        );
        for (template, right) in [
            ("http://a:8080/{aptname}", "http://a:8080/libstdc%2B%2B6_2%253a12.2%2B1_amd64.deb"),
            ("http://a/{filename}", "http://a/libstdc%2B%2B6_12.2%2B1_amd64.deb"),
            ("http://a/?n={name}&v={version}&a={arch}", "http://a/?n=libstdc%2B%2B6&v=2%3A12.2%2B1&a=amd64"),
            (
                "http://a/{prefix}/{source}/{filename}",
                "http://a/libx/libxml2/libstdc%2B%2B6_12.2%2B1_amd64.deb",
            ),
        ] {
            let filled = url(template, "libstdc++6:amd64", "2:12.2+1", "libxml2");
            assert_eq!(filled.as_deref(), Some(right), "{template}");
        }
        assert_eq!(
            url("http://a/{filename}", "x1:all", &"1+".repeat(120), "x1").map(|url| url.len()),
            Some(500)
        );
        assert_eq!(url("http://a/{filename}{aptname}{version}", "x1:all", &"1+".repeat(128), "x1"), None);
    }

    #[test]
    fn what_is_no_template_is_refused_and_says_what_would_be_right() {
        for (bad, what) in [
            ("ftp://a/{filename}", "is not a URL"),
            ("file:///srv/{filename}", "is not a URL"),
            ("https://a", "is not a URL"),
            ("https:///{filename}", "does not name a host"),
            ("https://u:p@a/{filename}", "does not name a host"),
            ("https://$(x)/{filename}", "does not name a host"),
            ("https://{name}.example/{version}", "does not name a host"),
            ("https://a/{file}", "has a placeholder that nobody knows"),
            ("https://a/{filename", "has a brace that is not closed"),
            ("https://a/{filename};reboot", "has characters that a template may not have"),
            ("https://a/`x`/{filename}", "has characters that a template may not have"),
            ("https://a/x y/{filename}", "has characters that a template may not have"),
            ("https://a/filename}", "has characters that a template may not have"),
            ("https://a/pool/", "is the same for every package"),
            ("https://a/{name}_{arch}.deb", "is the same for every package"),
        ] {
            assert_eq!(SnapshotArchive::parse(bad).map_err(|(what, _)| what), Err(what), "{bad}");
        }
    }
}
