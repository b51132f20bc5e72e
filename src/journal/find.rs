//! Finding the rehearsal that a window stands on, among recordings. The journals themselves are the
//! source; there is no index that could part from them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::read::{Entry, ReadError, Reader};
use super::recording::{Recording, RecordingError};
use crate::core::Event;
use crate::core::change::Rehearsal;
use crate::core::event::{Purpose, RehearsalEvent, WindowEvent};
use crate::types::{HostName, Time};

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest rehearsal of the baseline, and the recording it is in.
    pub newest: Option<(PathBuf, Rehearsal)>,
    /// Recordings that are newer than that, or all where there is none, and could not be read, with
    /// why: a rehearsal may be among them.
    pub skipped: Vec<(PathBuf, RecordingError)>,
}

/// The folders in `root` that hold a recording, by name.
///
/// # Errors
/// Where `root` can't be listed. One that is not there holds nothing.
pub fn recordings(root: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let mut found = folders(root)?;
    found.retain(|path| !matches!(Recording::reader(path), Err(RecordingError::NoRecording(_))));
    found.sort();
    Ok(found)
}

fn folders(root: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let listed = |source| RecordingError::Io { tried: "listing", path: root.to_owned(), source };
    let entries = match root.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(listed(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(listed)?;
        // The kind of the entry itself: a link to a folder is none.
        if entry.file_type().map_err(listed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// The newest complete rehearsal of a baseline among the recordings in `root`. They are looked at
/// newest first, by the time in their headers; of a recording that is no rehearsal only the
/// beginning is read.
///
/// # Errors
/// Where `root` can't be listed. One that is not there holds nothing.
pub fn find_rehearsal(root: &Path, baseline: &HostName) -> Result<Found, RecordingError> {
    let mut found = Found::default();
    let mut recordings: Vec<(Time, PathBuf)> = Vec::new();
    for path in folders(root)? {
        match Recording::reader(&path) {
            Ok(reader) => recordings.push((reader.header().created, path)),
            Err(RecordingError::NoRecording(_)) => {}
            Err(error) => found.skipped.push((path, error)),
        }
    }
    recordings.sort_by(|a, b| b.cmp(a));
    for (_, path) in recordings {
        match look(&path, Some(baseline)) {
            Ok(None) => {}
            Ok(Some(rehearsal)) => {
                found.newest = Some((path, rehearsal));
                break;
            }
            Err(error) => found.skipped.push((path, error)),
        }
    }
    Ok(found)
}

/// The rehearsal that a recording left, if it is one that was completed.
///
/// # Errors
/// Where the journal can't be read or is damaged.
pub fn rehearsal_in(folder: &Path) -> Result<Option<Rehearsal>, RecordingError> {
    look(folder, None)
}

fn look(folder: &Path, baseline: Option<&HostName>) -> Result<Option<Rehearsal>, RecordingError> {
    frozen(Recording::reader(folder)?, baseline)
        .map_err(|source| RecordingError::Journal { path: folder.to_owned(), source })
}

/// The last frozen set of a journal, of this baseline where one is named.
fn frozen(
    reader: Reader<BufReader<File>>,
    baseline: Option<&HostName>,
) -> Result<Option<Rehearsal>, ReadError> {
    let mut frozen = None;
    for entry in reader {
        let Entry::Known(record) = entry? else { continue };
        match record.event {
            // What it is for stands first, so that the rest need not be read.
            Event::Window(WindowEvent::Opened { purpose, plan, .. })
                if purpose != Purpose::Rehearsal
                    || baseline.is_some_and(|name| plan.reference() != Some(name)) =>
            {
                return Ok(None);
            }
            Event::Rehearsal(RehearsalEvent::Frozen { rehearsal })
                if baseline.is_none_or(|name| rehearsal.baseline == *name) =>
            {
                frozen = Some(*rehearsal);
            }
            Event::Window(_)
            | Event::Host(_)
            | Event::Batch(_)
            | Event::Gate(_)
            | Event::Probe(_)
            | Event::Packet(_)
            | Event::Log(_)
            | Event::Alarm(_)
            | Event::Evidence(_)
            | Event::Rehearsal(_)
            | Event::Samples(_) => {}
        }
    }
    Ok(frozen)
}
