//! What a journal's file can do: the few acts that [`super::FileLog`] is made of, so that each of
//! them can be made to fail in a test. It knows bytes and paths, not lines.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The acts. Each may fail, and after a failure nothing is assumed of what stands after the last
/// byte that was synced.
pub(super) trait Storage: Send {
    /// Opens it again: a descriptor on which a sync failed is not used any more.
    fn reopen(&mut self) -> io::Result<()>;
    /// Everything in it, from the start.
    fn read(&mut self) -> io::Result<Box<dyn Read + '_>>;
    /// Writes at its end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Copies what stands from `at` on into a file of its own, and answers with that file's path.
    fn set_aside(&mut self, at: u64) -> io::Result<PathBuf>;
    /// Cuts off what stands from `at` on.
    fn cut(&mut self, at: u64) -> io::Result<()>;
    /// What it is called in messages.
    fn path(&self) -> &Path;
}

/// A real file.
pub(super) struct FileStorage {
    path: PathBuf,
    file: Option<File>,
}

impl FileStorage {
    /// The file at `path`, which is opened by [`Storage::reopen`].
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.reopen()?;
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("the file is not open"))
    }
}

impl Storage for FileStorage {
    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        self.file = Some(open_plain(&self.path, OpenOptions::new().read(true).append(true))?);
        Ok(())
    }

    fn read(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let file = self.file()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(file))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn set_aside(&mut self, at: u64) -> io::Result<PathBuf> {
        let (mut out, aside) = new_beside(&self.path)?;
        let copied = (|| {
            let file = self.file()?;
            file.seek(SeekFrom::Start(at))?;
            io::copy(file, &mut out)?;
            out.sync_all()?;
            sync_folder(&aside)
        })();
        match copied {
            Ok(()) => Ok(aside),
            Err(error) => {
                // Half a copy is of no use, and the next try makes a whole one.
                std::fs::remove_file(&aside).or_else(|gone| match gone.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(gone),
                })?;
                Err(error)
            }
        }
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        let file = self.file()?;
        file.set_len(at)?;
        file.sync_all()
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a file that has to be an ordinary one: no link is followed and no pipe waited for.
pub(super) fn open_plain(path: &Path, how: &OpenOptions) -> io::Result<File> {
    let found = path.symlink_metadata()?;
    check_plain(&found)?;
    let file = how.open(path)?;
    let opened = file.metadata()?;
    if (found.dev(), found.ino()) != (opened.dev(), opened.ino()) {
        return Err(not_plain());
    }
    Ok(file)
}

fn check_plain(found: &Metadata) -> io::Result<()> {
    if found.is_file() { Ok(()) } else { Err(not_plain()) }
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is a link or no ordinary file, and is not followed")
}

/// Creates a file that only its owner can read; one that is there already is an error.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes sure that the name of a new file, not only its content, is on the disk.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

/// A new file beside `journal.jsonl`: `journal.torn-1`, or the first number that is free.
fn new_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    for n in 1..=9_999 {
        let aside = path.with_extension(format!("torn-{n}"));
        match create_private(&aside) {
            Ok(file) => return Ok((file, aside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("9999 torn ends were set aside already; move them away"))
}
