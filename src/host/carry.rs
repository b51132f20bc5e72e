//! Package files that one host has and another needs: what is asked for, what is offered, and the
//! pieces in which one is carried over.
//!
//! Pure: it says which verb comes next and reads what was said to the last one; somebody else asks.
//! Nothing here trusts either host: a piece is checked text, a carriage ends when its pieces are as
//! many as were announced, and whether the whole is the right file the receiving host says by the hash.

use std::fmt;
use std::str::FromStr;

use super::verb::Verb;
use crate::core::Change;
use crate::facts::Section;
use crate::host::outcome::{OutcomeError, StageResult, text_lines};
use crate::types::{BatchId, HostName, PackageId, Sha256, Version};

/// The most bytes of a file that one piece carries (`HP_PIECE_BYTES` of the helper).
pub const PIECE: usize = 512 << 10;
/// The largest file that is carried, in bytes; the helper takes no larger one.
pub const LARGEST: u64 = 2 << 30;
/// The longest line of a piece: the helper breaks at 4096 characters.
const LONGEST_LINE: usize = 4096;

/// A package file by what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileOf {
    /// Which package.
    pub package: PackageId,
    /// In which version.
    pub version: Version,
}

impl fmt::Display for FileOf {
    /// `NAME ARCH VERSION`, as the helper reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package.name, self.package.arch, self.version)
    }
}

/// Words that are no package file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not NAME ARCH VERSION")]
pub struct NoFile;

impl FromStr for FileOf {
    type Err = NoFile;
    fn from_str(text: &str) -> Result<Self, NoFile> {
        let words: Vec<&str> = text.split(' ').collect();
        let [name, arch, version] = words[..] else { return Err(NoFile) };
        let read = || Some((name.parse().ok()?, arch.parse().ok()?, version.parse().ok()?));
        let (name, arch, version) = read().ok_or(NoFile)?;
        Ok(Self { package: PackageId::new(name, arch), version })
    }
}

/// A file that a batch lacks, and the hash that it has to have, where one is agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which file.
    pub file: FileOf,
    /// Its hash; `None`: the receiving host compares it with its index or with what is installed there.
    pub sha256: Option<Sha256>,
}

impl Wanted {
    /// Whether that file may be it.
    pub fn fits(&self, offer: &Offer) -> bool {
        self.file == offer.file && self.sha256.is_none_or(|wanted| wanted == offer.sha256)
    }
}

/// What a stage lacks and others may have: new files by their hash alone, old ones by what is installed.
pub fn wanted(result: &StageResult, changes: &[Change]) -> Vec<Wanted> {
    // It stopped for something else: more files would not help.
    if !result.failed.is_empty() {
        return Vec::new();
    }
    let lacks_new = |package: &PackageId| {
        result.missing_new.iter().any(|missing| missing.package == *package)
            || result.mismatches.iter().any(|mismatch| mismatch.package == *package)
    };
    let lacks_old = |package: &PackageId| result.missing_old.iter().any(|m| m.package == *package);
    let mut files = Vec::new();
    for change in changes {
        let of = |version: &Version| FileOf { package: change.package.clone(), version: version.clone() };
        if lacks_new(&change.package) {
            files.push(Wanted { file: of(&change.to), sha256: change.sha256 });
        }
        if let Some(from) = change.from.as_ref().filter(|_| lacks_old(&change.package)) {
            files.push(Wanted { file: of(from), sha256: None });
        }
    }
    files
}

/// A file that a host says it has: a line of the section `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which file.
    pub file: FileOf,
    /// How large it is, in bytes.
    pub size: u64,
    /// Its hash.
    pub sha256: Sha256,
}

impl Offer {
    /// Reads the section `files`.
    ///
    /// # Errors
    /// The first line that breaks the contract; a size beyond [`LARGEST`] does.
    pub fn parse(section: &Section) -> Result<Vec<Self>, OutcomeError> {
        let read = |text: &str| {
            let (rest, sha256) = text.rsplit_once(' ')?;
            let (file, size) = rest.rsplit_once(' ')?;
            let size = size.parse().ok().filter(|size| (1..=LARGEST).contains(size))?;
            Some(Self { file: file.parse().ok()?, size, sha256: sha256.parse().ok()? })
        };
        text_lines(section)?.iter().map(|line| read(&line.text).ok_or_else(|| line.error())).collect()
    }
}

/// A part of a file as base64, in lines that a helper printed and another one reads.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    text: String,
    bytes: usize,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.bytes)
    }
}

impl Piece {
    /// Takes the lines of a piece: base64 whose padding stands at the end alone, of 1 to [`PIECE`] bytes.
    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut text, mut bytes, mut padded) = (String::new(), 0, false);
        for line in lines {
            let body = line.strip_suffix(b"==").or_else(|| line.strip_suffix(b"=")).unwrap_or(line);
            let sound = body.iter().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(b));
            if padded || !sound || line.is_empty() || line.len() % 4 != 0 || line.len() > LONGEST_LINE {
                return None;
            }
            padded = body.len() < line.len();
            bytes += body.len() * 3 / 4;
            text.push_str(std::str::from_utf8(line).ok()?);
            text.push('\n');
            if bytes > PIECE {
                return None;
            }
        }
        (bytes > 0).then_some(Self { text, bytes })
    }

    /// Reads the section `piece`.
    ///
    /// # Errors
    /// That it is no piece.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        text_lines(section)?;
        let piece = Self::read(section.lines.iter().map(Vec::as_slice));
        piece.ok_or(OutcomeError::Missing { section: "piece", what: "sound base64" })
    }

    /// The input of `take`: the lines as they came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes of the file it is.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}

impl FromStr for Piece {
    type Err = NoFile;
    fn from_str(text: &str) -> Result<Self, NoFile> {
        Self::read(text.lines().map(str::as_bytes)).ok_or(NoFile)
    }
}

/// How much of a file has arrived: the section `taken`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Where to go on, in bytes.
    pub next: u64,
    /// Whether the whole of it is there, with its hash.
    pub whole: bool,
}

impl Taken {
    /// Reads the section `taken`.
    ///
    /// # Errors
    /// The first line that breaks the contract, or a line that is missing.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let (mut next, mut whole) = (None, None);
        for line in text_lines(section)? {
            match line.text.split_once(' ') {
                Some(("next", bytes)) => next = Some(bytes.parse().map_err(|_| line.error())?),
                Some(("whole", "yes")) => whole = Some(true),
                Some(("whole", "no")) => whole = Some(false),
                _ => return Err(line.error()),
            }
        }
        let missing = |what| OutcomeError::Missing { section: "taken", what };
        Ok(Self { next: next.ok_or_else(|| missing("next"))?, whole: whole.ok_or_else(|| missing("whole"))? })
    }
}

/// One file on its way from one host to another.
#[derive(Debug)]
pub struct Carriage {
    offer: Offer,
    from: HostName,
    batch: BatchId,
    offset: u64,
}

/// A host that does not say what a carriage needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// More came than was announced, or the file ended before.
    #[error("the file is not as long as was announced")]
    Length,
    /// The receiving host does not count as the pieces do.
    #[error("the pieces don't add up on the host that takes them")]
    Count,
}

impl Carriage {
    /// That file, from that host, for that batch.
    pub fn new(offer: Offer, from: HostName, batch: BatchId) -> Self {
        Self { offer, from, batch, offset: 0 }
    }

    /// What to ask of the host that has it.
    pub fn give(&self) -> Verb {
        Verb::Give { file: self.offer.file.clone(), offset: self.offset }
    }

    /// What to tell the host that needs it.
    ///
    /// # Errors
    /// The piece goes beyond the end of the file.
    pub fn take(&self, piece: Piece) -> Result<Verb, CarryError> {
        if self.offset + piece.bytes() > self.offer.size {
            return Err(CarryError::Length);
        }
        Ok(Verb::Take {
            batch: self.batch.clone(),
            file: self.offer.file.clone(),
            size: self.offer.size,
            sha256: self.offer.sha256,
            from: self.from.clone(),
            offset: self.offset,
            piece,
        })
    }

    /// Reads how far it has come after a piece of so many bytes; whether it is there. Each piece brings
    /// it on, so it ends.
    ///
    /// # Errors
    /// The host counts otherwise.
    pub fn taken(&mut self, bytes: u64, taken: Taken) -> Result<bool, CarryError> {
        if taken.whole {
            return Ok(true);
        }
        self.offset += bytes;
        if taken.next != self.offset || self.offset >= self.offer.size {
            return Err(CarryError::Count);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Standing;
    use crate::plan::Class;

    fn section(text: &str) -> Section {
        let lines = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        Section { name: "files".into(), lines, status: 0 }
    }

    #[test]
    fn offers_and_what_was_taken_read_strictly() {
        let hash = "ab".repeat(32);
        let offers = Offer::parse(&section(&format!("libc6 amd64 1:2-3 77 {hash}\n"))).expect("reads");
        assert_eq!((offers[0].file.to_string().as_str(), offers[0].size), ("libc6 amd64 1:2-3", 77));
        for bad in
            ["libc6 amd64 1:2-3 77", "libc6 amd64 1 0 HASH", "libc6 amd64 1 2147483649 HASH", "a b c d e", ""]
        {
            assert!(Offer::parse(&section(&format!("{}\n", bad.replace("HASH", &hash)))).is_err(), "{bad}");
        }
        assert_eq!(Taken::parse(&section("next 5\nwhole no\n")), Ok(Taken { next: 5, whole: false }));
        for bad in ["next 5\n", "whole yes\n", "next x\nwhole no\n", "next 5\nwhole maybe\n"] {
            assert!(Taken::parse(&section(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_piece_is_base64_and_nothing_else() {
        for (text, bytes) in [("aGVsbG8=\n", 5), ("aGVsbG8h\naA==\n", 7), ("aGVsbG8h\n", 6)] {
            assert_eq!(text.parse::<Piece>().map(|piece| piece.bytes()), Ok(bytes), "{text}");
        }
        let long = format!("{}\n", "a".repeat(LONGEST_LINE + 4));
        let many = format!("{}\n", "a".repeat(LONGEST_LINE)).repeat(PIECE / 3072 + 1);
        for bad in ["", "aGVsbG8\n", "aA==\naA==\n", "$(x)\n", "a b=\n", "====\n", "\n", &long, &many] {
            assert_eq!(bad.parse::<Piece>(), Err(NoFile), "{:?}", &bad[..bad.len().min(20)]);
        }
    }

    #[test]
    fn a_carriage_goes_piece_by_piece_and_ends() {
        let offer = Offer {
            file: "libc6 amd64 2-3".parse().expect("a file"),
            size: 8,
            sha256: Sha256::from_bytes([1; 32]),
        };
        let new =
            || Carriage::new(offer.clone(), "web2".parse().expect("a host"), "b1".parse().expect("an id"));
        let piece = || "aGVsbG8=".parse::<Piece>().expect("a piece");
        let mut carriage = new();
        assert_eq!(carriage.give().words(), ["give", "0"]);
        let take = carriage.take(piece()).expect("fits");
        assert_eq!(take.words()[1..], ["b1", "8", &offer.sha256.to_string(), "web2", "0"]);
        assert_eq!(take.input(), "libc6 amd64 2-3\naGVsbG8=\nend\n");
        assert_eq!(carriage.taken(5, Taken { next: 5, whole: false }), Ok(false));
        assert_eq!(carriage.give().words()[1], "5");
        assert_eq!(carriage.take(piece()), Err(CarryError::Length));
        assert_eq!(carriage.taken(3, Taken { next: 8, whole: true }), Ok(true));
        // Whoever counts otherwise, or has all of it and not the whole, keeps nobody going.
        assert_eq!(new().taken(5, Taken { next: 4, whole: false }), Err(CarryError::Count));
        assert_eq!(new().taken(8, Taken { next: 8, whole: false }), Err(CarryError::Count));
    }

    fn change(name: &str, from: Option<&str>) -> Change {
        Change {
            package: format!("{name}:amd64").parse().expect("a package"),
            from: from.map(|from| from.parse().expect("a version")),
            to: "2".parse().expect("a version"),
            sha256: Some(Sha256::from_bytes([1; 32])),
            rehearsed: None,
            standing: Standing::Same,
            security: false,
            source: name.parse().expect("a name"),
            class: Class::Library,
            size: None,
            needs: Vec::new(),
            origin: "".into(),
        }
    }

    #[test]
    fn a_stage_lacks_what_it_says_and_nothing_else() {
        let hash = "ab".repeat(32);
        let changes =
            [change("a1", Some("1")), change("b1", Some("1")), change("c1", None), change("d1", Some("1"))];
        let lacks = |text: &str| {
            let files = wanted(&StageResult::parse(&section(text)).expect("reads"), &changes);
            files.iter().map(|w| format!("{} {}", w.file, w.sha256.is_some())).collect::<Vec<_>>()
        };
        let text = format!(
            "missing-new a1:amd64 gone\nmissing-old b1:amd64 gone\nmismatch c1:amd64 {hash} {hash}\nmissing-old c1:amd64 gone\n"
        );
        assert_eq!(lacks(&text), ["a1 amd64 2 true", "b1 amd64 1 false", "c1 amd64 2 true"]);
        assert!(lacks(&format!("{text}failed no-space /\n")).is_empty());
        assert!(lacks("duration-ms 1\n").is_empty());
        let offer = |hash: u8| Offer {
            file: "a1 amd64 2".parse().expect("a file"),
            size: 1,
            sha256: Sha256::from_bytes([hash; 32]),
        };
        let result = StageResult::parse(&section(&text)).expect("reads");
        let files = wanted(&result, &changes);
        assert!(files[0].fits(&offer(1)) && !files[0].fits(&offer(2)) && !files[1].fits(&offer(1)));
    }
}
