//! Who holds a recording: the lock file's note, and what it tells the next one of the one before.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::core::event::Before;
use crate::types::{Time, Untrusted};

/// The longest note that is read, in bytes.
const NOTE_MAX: u64 = 512;
/// The longest name of a machine that is written down, in bytes.
const MACHINE_MAX: usize = 64;

/// Who held a recording before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// As it wrote itself down; `None` where it did not.
    pub words: Option<Untrusted>,
    /// What is known of it.
    pub before: Before,
}

/// Who holds a recording now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As it wrote itself down.
    pub words: Untrusted,
    /// When it did, by the file's date.
    pub since: Option<Time>,
    /// When its journal was last written to, by the file's date.
    pub wrote: Option<Time>,
}

/// The name of this machine.
pub fn machine() -> Untrusted {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control() && *c != ',').collect();
    match name.char_indices().take_while(|(at, _)| *at < MACHINE_MAX).map(|(_, c)| c).collect::<String>() {
        empty if empty.is_empty() => "a machine without a name".into(),
        name => Untrusted::new(name),
    }
}

/// What stands in a note beside process and session: where this very folder is. A copy of it, and the
/// same recording on another machine, are somewhere else.
fn place(folder: &Path) -> String {
    let number = |found: Metadata| format!("{}:{}", found.dev(), found.ino());
    let folder = folder.metadata().map_or_else(|_| "unknown".to_owned(), number);
    format!("on {}, folder {folder}", machine().raw())
}

/// What the note of a lock file says.
pub fn read(mut lock: &File) -> Option<Untrusted> {
    let mut said = Vec::new();
    lock.rewind().and_then(|()| lock.take(NOTE_MAX).read_to_end(&mut said)).ok()?;
    let said = Untrusted::from_bytes(said.trim_ascii());
    (!said.is_empty()).then_some(said)
}

/// Who held it before, by the note in a lock that was free.
pub fn before(lock: &File, folder: &Path) -> Holder {
    let words = read(lock);
    let here = words.as_ref().is_some_and(|words| words.raw().ends_with(&format!(", {}", place(folder))));
    Holder { words, before: if here { Before::Gone } else { Before::NotKnown } }
}

/// Writes down who holds it now.
///
/// # Errors
/// Where it can't be written, a full disk say: the lock holds all the same.
pub fn write(mut lock: &File, folder: &Path, session: &str) -> std::io::Result<()> {
    let note = format!("process {}, session {session}, {}", std::process::id(), place(folder));
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(note.as_bytes())
}
