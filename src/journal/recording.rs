//! The folder that a window leaves: journal, sealed plan, captures, evidence. It makes the folder,
//! lets one process at a time write to it, and puts a torn end in order; what the records mean is
//! none of its business.
//!
//! Nothing inside a recording is followed out of it: a recording may come from elsewhere.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::file::{FileLog, RETRY, Start};
use super::holder::{self, Held, Holder};
use super::read::{Damage, End, Head, Journal, ReadError, Reader, Torn, UnknownEvents};
use super::storage::{FileStorage, Storage, create_private, open_plain, sync_folder};
use super::{Header, Refused, Wake};
use crate::core::Record;
use crate::types::{Blake3, Time, Untrusted};

const JOURNAL: &str = "journal.jsonl";
const PLAN: &str = "plan.toml";
const LOCK: &str = "lock";
pub(super) const CAPTURES: &str = "captures";
const EVIDENCE: &str = "evidence";
/// Who holds it, where it did not say.
const NOT_WRITTEN: &str = "it did not write down which";
/// The longest plan that is read back, in bytes.
const PLAN_MAX: u64 = 16 << 20;

/// A recording that this process may write to, and no other until it is let go.
pub struct Recording {
    folder: PathBuf,
    storage: FileStorage,
    start: Start,
}

/// A recording that was opened to go on with it.
pub struct Opened {
    /// The recording.
    pub recording: Recording,
    /// The journal's first line.
    pub header: Header,
    /// All its records.
    pub records: Vec<Record>,
    /// How the journal ended before it was put in order.
    pub end: End,
    /// Where its torn or damaged end was set aside.
    pub aside: Option<PathBuf>,
    /// Who held it before.
    pub before: Holder,
}

/// How much of a journal is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All of it: damage is an error.
    Whole,
    /// What is sound before the first damage.
    SoundPrefix,
}

/// Why a recording could not be made, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// An act on a file failed.
    #[error("{tried} {} failed: {source}", .path.display())]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// There is something already.
    #[error("{} is there already and not empty: name another folder for the recording", .0.display())]
    Exists(PathBuf),
    /// There is no journal.
    #[error("{} is no recording: it holds no {JOURNAL}", .0.display())]
    NoRecording(PathBuf),
    /// Another process writes to it.
    #[error(
        "the recording {} is being written by another holdpoint ({}): end that one, or look on with status or replay",
        .folder.display(), .holder.shown()
    )]
    Locked {
        /// The recording.
        folder: PathBuf,
        /// Its process and session, as it wrote them down.
        holder: Untrusted,
    },
    /// A name that leads out of the recording.
    #[error("{} is no name of a file inside the recording: it is not followed", .0.shown())]
    Outside(Untrusted),
    /// The journal can't be read.
    #[error("{}: {source}", .path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// It holds events that this program does not know.
    #[error("{}: {source}", .path.display())]
    Unknown {
        /// The journal's file.
        path: PathBuf,
        /// Which.
        source: UnknownEvents,
    },
    /// Its header can't be written.
    #[error("the journal's header: {0}")]
    Header(#[from] Refused),
    /// The plan in the folder is not the one that was sealed.
    #[error("{} is not the plan that was sealed (its hash is {found}, sealed was {sealed}): bring it back", .path.display())]
    PlanChanged {
        /// The plan's file.
        path: PathBuf,
        /// The hash in the journal.
        sealed: Blake3,
        /// The hash of the file.
        found: Blake3,
    },
    /// There is no place for recordings.
    #[error("there is no home folder to keep recordings in: name one with --recording")]
    NoHome,
}

fn tried<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RecordingError + 'a {
    move |source| RecordingError::Io { tried: what, path: path.to_owned(), source }
}

impl Recording {
    /// Makes a recording in a folder that is not there yet, or empty, and seals the plan's text in
    /// it. On return all of it is on the disk. `session` names this process to a second writer.
    ///
    /// # Errors
    /// Where the folder holds something already, or can't be written.
    pub fn create(folder: &Path, plan: &str, header: &Header, session: &str) -> Result<Self, RecordingError> {
        make_folder(folder)?;
        let (lock, _) = lock(folder, session)?;
        let first = header.line()? + "\n";
        for name in [CAPTURES, EVIDENCE] {
            let path = folder.join(name);
            DirBuilder::new().mode(0o700).create(&path).map_err(tried("making the folder", &path))?;
        }
        write_new(&folder.join(PLAN), plan.as_bytes())?;
        let path = folder.join(JOURNAL);
        write_new(&path, first.as_bytes())?;
        // The names of the files, and the name of the folder itself.
        sync_folder(&path).map_err(tried("syncing", folder))?;
        sync_folder(folder).map_err(tried("syncing the folder above", folder))?;
        let mut head = Head::start();
        head.take(first.trim_end().as_bytes());
        Ok(Self::standing(folder, head, None, lock))
    }

    /// Opens a recording to go on with it: takes its lock, reads its journal, sets a torn end aside
    /// and cuts it off. Where only that last act fails, on a full disk say, the recording opens all
    /// the same and its log begins as one that failed, so that a rollback is never kept waiting.
    ///
    /// # Errors
    /// Where another process writes to it, the journal is damaged (unless the sound prefix is
    /// asked for), or holds events that this program does not know.
    pub fn open(folder: &Path, session: &str, take: Take) -> Result<Opened, RecordingError> {
        let path = journal_of(folder)?;
        let (lock, before) = lock(folder, session)?;
        let (journal, head) = read_journal(&path, take)?;
        let Journal { header, end, .. } = &journal;
        let (header, end) = (header.clone(), end.clone());
        let records = journal
            .into_records()
            .map_err(|source| RecordingError::Unknown { path: path.clone(), source })?;
        let mut recording = Self::standing(folder, head, None, lock);
        let aside = match &end {
            End::Whole => None,
            End::Torn(Torn { offset, .. }) | End::Damaged(Damage { offset, .. }) => {
                match recording.cut(*offset) {
                    Ok(aside) => Some(aside),
                    Err(error) => {
                        recording.start.broken = Some(error.to_string().into());
                        None
                    }
                }
            }
        };
        Ok(Opened { recording, header, records, end, aside, before })
    }

    /// Writes a new file into a recording's folder for evidence, and gives its name inside the recording,
    /// its hash and its size in bytes. On return it is on the disk.
    ///
    /// # Errors
    /// Where the name leads elsewhere, the file is there already, or can't be written.
    pub fn keep_evidence(
        folder: &Path,
        name: &str,
        bytes: &[u8],
    ) -> Result<(String, Blake3, u64), RecordingError> {
        let sound = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(sound) {
            return Err(RecordingError::Outside(Untrusted::new(name)));
        }
        let path = folder.join(EVIDENCE).join(name);
        write_new(&path, bytes)?;
        sync_folder(&path).map_err(tried("syncing", &path))?;
        Ok((format!("{EVIDENCE}/{name}"), Blake3::of(bytes), bytes.len() as u64))
    }

    /// Who holds a recording now, as that one wrote itself down. The lock is tried, and let go again.
    ///
    /// # Errors
    /// Where there is no recording, or its lock can't be tried.
    pub fn holder(folder: &Path) -> Result<Option<Held>, RecordingError> {
        let journal = journal_of(folder)?;
        let path = folder.join(LOCK);
        let file = match open_plain(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(tried("opening", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let written =
                    |found: io::Result<fs::Metadata>| Some(Time::from(found.ok()?.modified().ok()?));
                Ok(Some(Held {
                    words: holder::read(&file).unwrap_or_else(|| NOT_WRITTEN.into()),
                    since: written(file.metadata()),
                    wrote: written(journal.symlink_metadata()),
                }))
            }
            Err(TryLockError::Error(error)) => Err(tried("locking", &path)(error)),
        }
    }

    /// Copies what a window needs to go on into a new folder: its journal as far as it is written, its
    /// plan, and the note of who holds it. That one may be writing: what is torn is cut off when the copy
    /// is opened. Captures and evidence stay where they are.
    ///
    /// # Errors
    /// Where it can't be read, or the new folder is there already or can't be written.
    pub fn copy(folder: &Path, to: &Path) -> Result<(), RecordingError> {
        journal_of(folder)?;
        make_folder(to)?;
        for name in [CAPTURES, EVIDENCE] {
            let path = to.join(name);
            DirBuilder::new().mode(0o700).create(&path).map_err(tried("making the folder", &path))?;
        }
        for name in [PLAN, LOCK, JOURNAL] {
            let (source, path) = (inside(folder, name)?, to.join(name));
            let mut from =
                open_plain(&source, OpenOptions::new().read(true)).map_err(tried("opening", &source))?;
            let mut file = create_private(&path).map_err(tried("creating", &path))?;
            io::copy(&mut from, &mut file)
                .and_then(|_| file.sync_all())
                .map_err(tried("copying the recording to", &path))?;
        }
        sync_folder(&to.join(JOURNAL)).map_err(tried("syncing", to))?;
        sync_folder(to).map_err(tried("syncing the folder above", to))
    }

    /// Reads the journal of a recording, which may be one that is being written: nothing is
    /// changed, and a last line that is not whole yet is reported as torn.
    ///
    /// # Errors
    /// Where it can't be read, is no journal, or is damaged (unless the sound prefix is asked for).
    pub fn read(folder: &Path, take: Take) -> Result<Journal, RecordingError> {
        Ok(read_journal(&journal_of(folder)?, take)?.0)
    }

    /// The journal of a recording, to be read entry by entry.
    ///
    /// # Errors
    /// Where it can't be read or is no journal.
    pub fn reader(folder: &Path) -> Result<Reader<BufReader<File>>, RecordingError> {
        open_reader(&journal_of(folder)?)
    }

    /// The text of the plan, checked against the hash under which it was sealed.
    ///
    /// # Errors
    /// Where it can't be read, or is another.
    pub fn sealed_plan(folder: &Path, sealed: Blake3) -> Result<String, RecordingError> {
        let path = inside(folder, PLAN)?;
        let file =
            open_plain(&path, OpenOptions::new().read(true)).map_err(tried("opening the plan", &path))?;
        let mut text = Vec::new();
        file.take(PLAN_MAX).read_to_end(&mut text).map_err(tried("reading the plan", &path))?;
        let found = Blake3::of(&text);
        match String::from_utf8(text) {
            Ok(text) if found == sealed => Ok(text),
            Ok(_) | Err(_) => Err(RecordingError::PlanChanged { path, sealed, found }),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where captures go.
    pub fn captures(&self) -> PathBuf {
        self.folder.join(CAPTURES)
    }

    /// Where evidence goes.
    pub fn evidence(&self) -> PathBuf {
        self.folder.join(EVIDENCE)
    }

    /// Begins to write. The lock stays with the log. `wake` is called, on another thread, when the
    /// log has news.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn log(self, wake: Wake) -> Result<FileLog, RecordingError> {
        let Self { folder, storage, start } = self;
        FileLog::start(Box::new(storage), start, wake)
            .map_err(tried("starting the journal's writer for", &folder))
    }

    fn standing(folder: &Path, head: Head, broken: Option<Untrusted>, lock: File) -> Self {
        Self {
            folder: folder.to_owned(),
            storage: FileStorage::at(folder.join(JOURNAL)),
            start: Start { head, broken, lock: Some(lock), retry: RETRY },
        }
    }

    fn cut(&mut self, at: u64) -> Result<PathBuf, RecordingError> {
        let path = self.folder.join(JOURNAL);
        let aside = self.storage.set_aside(at).map_err(tried("setting aside the torn end of", &path))?;
        self.storage.cut(at).map_err(tried("cutting the torn end off", &path))?;
        Ok(aside)
    }
}

/// Where recordings are kept unless told otherwise: `holdpoint/recordings` under the XDG state
/// folder.
///
/// # Errors
/// Where there is no home folder.
pub fn default_root() -> Result<PathBuf, RecordingError> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::Xdg::new().map_err(|_| RecordingError::NoHome)?;
    let state = base.state_dir().ok_or(RecordingError::NoHome)?;
    Ok(state.join("holdpoint").join("recordings"))
}

/// The name of a new recording's folder, `20261121T220000Z-november-security-updates`: newer ones
/// sort after older ones, and nothing in it means anything to a shell or a terminal.
pub fn folder_name(created: Time, name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if words.len() >= 48 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            words.push(c.to_ascii_lowercase());
        } else if !words.is_empty() && !words.ends_with('-') {
            words.push('-');
        }
    }
    let stamp = created.format("%Y%m%dT%H%M%SZ");
    match words.trim_end_matches('-') {
        "" => stamp.to_string(),
        words => format!("{stamp}-{words}"),
    }
}

/// The path of a file inside a recording, by a name that the journal gives it: relative, without
/// `..`, and through no link.
///
/// # Errors
/// Where the name leads elsewhere.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf, RecordingError> {
    let outside = || RecordingError::Outside(Untrusted::new(name));
    let mut path = folder.to_owned();
    for part in Path::new(name).components() {
        let Component::Normal(part) = part else { return Err(outside()) };
        path.push(part);
        if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            return Err(outside());
        }
    }
    if path == folder { Err(outside()) } else { Ok(path) }
}

fn journal_of(folder: &Path) -> Result<PathBuf, RecordingError> {
    let path = inside(folder, JOURNAL)?;
    match path.symlink_metadata() {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(RecordingError::NoRecording(folder.to_owned()))
        }
        Err(error) => Err(tried("looking at", &path)(error)),
    }
}

fn open_reader(path: &Path) -> Result<Reader<BufReader<File>>, RecordingError> {
    let file = open_plain(path, OpenOptions::new().read(true)).map_err(tried("opening", path))?;
    Reader::new(BufReader::with_capacity(64 << 10, file))
        .map_err(|source| RecordingError::Journal { path: path.to_owned(), source })
}

fn read_journal(path: &Path, take: Take) -> Result<(Journal, Head), RecordingError> {
    let (journal, head) = open_reader(path)?
        .into_whole()
        .map_err(|source| RecordingError::Journal { path: path.to_owned(), source })?;
    match (take, &journal.end) {
        (Take::Whole, End::Damaged(damage)) => {
            Err(RecordingError::Journal { path: path.to_owned(), source: damage.clone().into() })
        }
        (Take::Whole | Take::SoundPrefix, _) => Ok((journal, head)),
    }
}

fn make_folder(folder: &Path) -> Result<(), RecordingError> {
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut above = DirBuilder::new();
        above.recursive(true).mode(0o700).create(parent).map_err(tried("making the folder", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_folder = folder.symlink_metadata().is_ok_and(|found| found.is_dir());
            let empty =
                is_folder && folder.read_dir().map_err(tried("reading the folder", folder))?.next().is_none();
            if !empty {
                return Err(RecordingError::Exists(folder.to_owned()));
            }
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(folder, private).map_err(tried("setting the mode of", folder))
        }
        Err(error) => Err(tried("making the folder", folder)(error)),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), RecordingError> {
    let mut file = create_private(path).map_err(tried("creating", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(tried("writing", path))
}

/// Takes the lock of a recording. The kernel lets it go when the process ends, however it ends.
fn lock(folder: &Path, session: &str) -> Result<(File, Holder), RecordingError> {
    let path = folder.join(LOCK);
    let file = match create_private(&path) {
        Ok(_) => open_plain(&path, OpenOptions::new().read(true).write(true)),
        // On a file system that went read-only a lock is still possible, and a rollback needed.
        Err(_) => open_plain(&path, OpenOptions::new().read(true).write(true))
            .or_else(|_| open_plain(&path, OpenOptions::new().read(true))),
    }
    .map_err(tried("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = holder::read(&file).unwrap_or_else(|| NOT_WRITTEN.into());
            return Err(RecordingError::Locked { folder: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(tried("locking", &path)(error)),
    }
    let before = holder::before(&file, folder);
    // Where the note can't be written, a full disk say, the lock holds all the same.
    if holder::write(&file, folder, session).is_err() {
        tracing::warn!(path = %path.display(), "the lock is held, and could not be labelled");
    }
    Ok((file, before))
}
