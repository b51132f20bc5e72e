//! The files that a recording keeps beside its journal, against what the journal says of them: their
//! hashes are in its chain, so that a packet that was changed afterwards shows.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;

use super::recording::{self, CAPTURES};
use super::storage::open_plain;
use crate::core::Record;
use crate::core::event::{Event, EvidenceEvent, EvidenceFile, PacketEvent};
use crate::types::{Blake3, Untrusted};

/// How a file of a recording is not what its journal says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// It is not there. That is no damage by itself: of a host's packets the oldest are let go, and
    /// whoever takes a window over leaves them where they are.
    #[error("{} is not in this folder any more", .0.shown())]
    Gone(Untrusted),
    /// It is there, and not as it was kept.
    #[error("{} is not the file that was kept: {}", .file.shown(), .why.shown())]
    Changed {
        /// Its name inside the recording.
        file: Untrusted,
        /// What differs.
        why: Untrusted,
    },
}

/// The files that the records of a recording name, each as they last speak of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFiles(BTreeMap<String, Kept>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    file: EvidenceFile,
    /// Nothing came into it afterwards.
    over: bool,
}

impl KeptFiles {
    /// Of these records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut all = BTreeMap::new();
        for record in records {
            let (file, over) = match &record.event {
                Event::Evidence(EvidenceEvent::Saved { result: Ok(file), .. }) => (file, true),
                Event::Packet(PacketEvent::Kept { file, over, host }) => {
                    // One that is full was the newest and has got a number: what was said of it is said anew.
                    all.remove(&format!("{CAPTURES}/{host}.pcapng"));
                    (file, *over)
                }
                _ => continue,
            };
            all.insert(file.file.raw().to_owned(), Kept { file: file.clone(), over });
        }
        Self(all)
    }

    /// Those that are not in a recording's folder as the journal says, by name. Reads each of them once: it
    /// takes as long as the disk does.
    pub fn differing(&self, folder: &Path) -> Vec<Differs> {
        self.0.values().filter_map(|kept| look(folder, kept)).collect()
    }
}

fn look(folder: &Path, kept: &Kept) -> Option<Differs> {
    let file = &kept.file.file;
    let changed = |why: &str| Some(Differs::Changed { file: file.clone(), why: Untrusted::new(why) });
    let path = match recording::inside(folder, file.raw()) {
        Ok(path) => path,
        Err(_) => return changed("its name leads out of the recording, and is not followed"),
    };
    match read(&path, kept) {
        Ok(None) => None,
        Ok(Some(why)) => changed(&why),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Differs::Gone(file.clone())),
        Err(error) => changed(&format!("it can't be read: {error}")),
    }
}

/// What differs, in words.
fn read(path: &Path, kept: &Kept) -> io::Result<Option<String>> {
    let EvidenceFile { blake3, bytes, .. } = &kept.file;
    let file = open_plain(path, OpenOptions::new().read(true))?;
    let there = file.metadata()?.len();
    if there < *bytes {
        return Ok(Some(format!("it has {there} bytes, and {bytes} were written")));
    }
    if kept.over && there > *bytes {
        return Ok(Some(format!("it has {there} bytes, and no more than {bytes} were written")));
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut file.take(*bytes), &mut hasher)?;
    let found = Blake3::so_far(&hasher);
    let other = || format!("its hash is {}, and {} was written down", found.short(), blake3.short());
    Ok((found != *blake3).then(other))
}
