//! Package files of a demo's host as other hosts see them: which it has, a piece of one, one that comes
//! from elsewhere. The file of a package is a line of text, whose hash is the one that the archive names.
//! Pure.

use sha2::Digest;

use super::archive::{content, sha256};
use super::model::{Answered, Host, refused, section};
use crate::host::carry::{FileOf, Piece};
use crate::host::frame::RefusalCode;
use crate::host::operation::{Kind, Spec};
use crate::host::verb::Verb;
use crate::types::{BatchId, Epoch, HostName, Sha256};

/// A file that another host gave, for a batch.
#[derive(Debug)]
pub(super) struct Carried {
    batch: BatchId,
    file: FileOf,
    from: HostName,
    sha256: Sha256,
    bytes: Vec<u8>,
    whole: bool,
}

impl Host {
    /// Whether the host's own archive has that file.
    pub(super) fn in_archive(&self, file: &FileOf) -> bool {
        !self.lost.contains(file) && self.archive.release(&file.package, &file.version).is_some()
    }

    /// Who gave that file for a batch, where somebody did.
    pub(super) fn given(&self, batch: &BatchId, file: &FileOf) -> Option<&HostName> {
        let given = |carried: &&Carried| carried.whole && carried.batch == *batch && carried.file == *file;
        self.carried.iter().find(given).map(|carried| &carried.from)
    }

    fn stored(&self, file: &FileOf) -> bool {
        self.batches.iter().filter(|(_, batch)| batch.staged).any(|(id, batch)| {
            let there = self.in_archive(file) || self.given(id, file).is_some();
            there && names(&batch.spec, file)
        })
    }

    /// `have`: those that a batch stored here.
    pub(super) fn have(&self, files: &[FileOf]) -> Answered {
        let line = |file: &FileOf| {
            let bytes = content(&file.package, &file.version).len();
            format!("{file} {bytes} {}", sha256(&file.package, &file.version))
        };
        let lines = files.iter().filter(|file| self.stored(file)).map(line).collect();
        Ok((vec![section("files", lines)], None))
    }

    /// `give`: all of these files fit into one piece.
    pub(super) fn give(&self, file: &FileOf, offset: u64) -> Answered {
        if !self.stored(file) {
            return refused(RefusalCode::NoFile, format!("{} {}", file.package, file.version));
        }
        let text = content(&file.package, &file.version);
        match usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(offset..)) {
            Some(rest) if !rest.is_empty() => Ok((vec![section("piece", vec![encode(rest)])], None)),
            Some(_) | None => refused(RefusalCode::Usage, "the file is shorter than that"),
        }
    }

    /// `take`, with the words of the call.
    pub(super) fn take_piece(&mut self, epoch: Epoch, verb: &Verb) -> Answered {
        let Verb::Take { batch, file, size, sha256, from, offset, piece } = verb else {
            return refused(RefusalCode::Usage, "take BATCH SIZE SHA256 HOST OFFSET");
        };
        self.admit(epoch)?;
        let spec_names = |spec: &str| spec.parse::<Spec>().is_ok_and(|spec| names(&spec, file));
        let waits = |operation: &super::model::Operation| {
            operation.kind == Kind::Stage && operation.batch == *batch && spec_names(&operation.spec)
        };
        let begun = self.batches.get(batch).is_some_and(|batch| batch.before.is_some() && !batch.rolled_back);
        if begun || !self.operations.values().any(waits) {
            return refused(RefusalCode::Usage, "no batch of that name here waits for that package");
        }
        let answer = |next: u64, whole: bool| {
            let whole = if whole { "whole yes" } else { "whole no" };
            Ok((vec![section("taken", vec![format!("next {next}"), whole.to_owned()])], None))
        };
        let same =
            |carried: &Carried| carried.batch == *batch && carried.file == *file && carried.sha256 == *sha256;
        let at = self.carried.iter().position(same);
        if at.is_some_and(|at| self.carried[at].whole) {
            return answer(*size, true);
        }
        let mut bytes = at.map(|at| self.carried.remove(at).bytes).unwrap_or_default();
        let Some(kept) = usize::try_from(*offset).ok().filter(|offset| *offset <= bytes.len()) else {
            return refused(RefusalCode::Usage, "the piece before this one is not here");
        };
        bytes.truncate(kept);
        bytes.extend(decode(piece));
        let there = bytes.len() as u64;
        let whole = there == *size && Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()) == *sha256;
        if there >= *size && !whole {
            let words =
                format!("{} {} is not what was announced; it is not kept", file.package, file.version);
            return refused(RefusalCode::Mismatch, words);
        }
        let (batch, file, from) = (batch.clone(), file.clone(), from.clone());
        self.carried.push(Carried { batch, file, from, sha256: *sha256, bytes, whole });
        answer(there, whole)
    }
}

fn names(spec: &Spec, file: &FileOf) -> bool {
    let of = |package: &crate::host::operation::SpecPackage| {
        let versions = [package.from.as_ref(), package.to.as_ref()];
        package.package == file.package && versions.contains(&Some(&file.version))
    };
    spec.packages().iter().any(of)
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| usize::from(three.get(at).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[all >> (18 - 6 * at) & 63];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn decode(piece: &Piece) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    // A piece is sound base64; its padding and line ends are no letters.
    for letter in piece.text().bytes() {
        let Some(value) = LETTERS.iter().position(|known| *known == letter) else { continue };
        held = held << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_everybody_writes_and_reads() {
        for (bytes, text) in [
            (&b"hello"[..], "aGVsbG8="),
            (b"hell", "aGVsbA=="),
            (b"hello!", "aGVsbG8h"),
            (b"\xff\xfe", "//4="),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(&text.parse().expect("a piece")), bytes, "{text}");
        }
    }
}
