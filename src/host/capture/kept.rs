//! What is kept of captures: `captures/HOST.pcapng` in the recording, a thread for each host so that no
//! disk holds up what reads packets. Bounded: a full file becomes `HOST.1.pcapng`, and so on; the oldest
//! goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::types::HostName;

/// The most of one file, in bytes.
const FILE: u64 = 32 << 20;
/// Files of one host.
const FILES: u32 = 4;
/// Pieces that wait for the disk; what comes meanwhile is left out and said.
const WAITING: usize = 64;

/// Told in words.
pub(super) type Say = Box<dyn Fn(&str) + Send>;

/// Whole blocks, and what a new file begins with.
struct Piece {
    head: Arc<[u8]>,
    blocks: Vec<u8>,
    /// Whether a new file begins with it in any case: another stream.
    anew: bool,
}

/// Where one host's packets go.
pub(super) struct Kept {
    to: SyncSender<Piece>,
    head: Arc<[u8]>,
    anew: bool,
    /// Packets that the disk was too slow for, or that it did not take.
    left_out: u64,
}

impl Kept {
    /// Files in that folder. Nothing is made before the first packet.
    /// `say` is told what was let go, and when the disk fails.
    pub(super) fn new(folder: &Path, host: &HostName, say: Say) -> io::Result<Self> {
        let (to, from) = sync_channel(WAITING);
        let files = Files { folder: folder.to_owned(), host: host.clone(), open: None, limit: FILE, say };
        std::thread::Builder::new().name(format!("keep-{host}")).spawn(move || write(files, &from))?;
        Ok(Self { to, head: Arc::from([]), anew: true, left_out: 0 })
    }

    /// A stream begins: what each of its files begins with.
    pub(super) fn begin(&mut self, head: Vec<u8>) {
        (self.head, self.anew) = (head.into(), true);
    }

    /// Whole blocks of so many packets.
    pub(super) fn keep(&mut self, blocks: Vec<u8>, packets: u64) {
        let piece = Piece { head: Arc::clone(&self.head), blocks, anew: self.anew };
        match self.to.try_send(piece) {
            Ok(()) => self.anew = false,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.left_out += packets,
        }
    }

    /// How many packets were left out since this was asked last.
    pub(super) fn left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// Until nobody sends any more, or the disk fails: then the sender finds the channel closed.
fn write(mut files: Files, from: &Receiver<Piece>) {
    for piece in from {
        if let Err(error) = files.take(&piece) {
            (files.say)(&format!("packets are not kept any more: {}: {error}", files.path(0).display()));
            return;
        }
    }
}

struct Files {
    folder: PathBuf,
    host: HostName,
    open: Option<(File, u64)>,
    limit: u64,
    say: Say,
}

impl Files {
    fn path(&self, number: u32) -> PathBuf {
        let number = if number == 0 { String::new() } else { format!(".{number}") };
        self.folder.join(format!("{}{number}.pcapng", self.host))
    }

    fn take(&mut self, piece: &Piece) -> io::Result<()> {
        let size = piece.blocks.len() as u64;
        let full = self.open.as_ref().is_some_and(|(_, written)| written + size > self.limit);
        // An empty file of another stream is as good as none.
        if piece.anew || full || self.open.is_none() {
            self.turn()?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(0))?;
            let (file, written) = self.open.insert((file, 0));
            file.write_all(&piece.head)?;
            *written = piece.head.len() as u64;
        }
        if let Some((file, written)) = &mut self.open {
            file.write_all(&piece.blocks)?;
            *written += size;
        }
        Ok(())
    }

    /// Each file gets the next number; the oldest goes.
    fn turn(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (0..FILES).rev() {
            let (path, next) = (self.path(number), self.path(number + 1));
            let moved = if number + 1 == FILES { fs::remove_file(&path) } else { fs::rename(&path, &next) };
            match moved {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) if number + 1 == FILES => {
                    let size = (self.limit * u64::from(FILES)) >> 20;
                    (self.say)(&format!("the oldest packets were let go: {size} MiB of a host are kept"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_bounded_closed_to_others_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let host = "web1".parse().unwrap();
        let mut files =
            Files { folder: folder.path().to_owned(), host, open: None, limit: 10, say: Box::new(|_| {}) };
        let piece =
            |word: &str, anew| Piece { head: Arc::from(*b"H:"), blocks: word.as_bytes().to_vec(), anew };
        for (word, anew) in [("aaaa", true), ("bbbb", false), ("cccc", false), ("d", true)] {
            files.take(&piece(word, anew)).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(names(folder.path()), ["web1.1.pcapng", "web1.2.pcapng", "web1.pcapng"]);
        assert_eq!((read("web1.pcapng"), read("web1.1.pcapng")), ("H:d".to_owned(), "H:cccc".to_owned()));
        assert_eq!(read("web1.2.pcapng"), "H:aaaabbbb");
        for _ in 0..9 {
            files.take(&piece("e", true)).unwrap();
        }
        assert_eq!(names(folder.path()).len(), FILES as usize);
        let mode = fs::metadata(folder.path().join("web1.pcapng")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_is_gone_loses_packets_and_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        let say: Say = Box::new(move |text| drop(told.send(text.to_owned())));
        let mut kept = Kept::new(&folder.path().join("gone"), &"web1".parse().unwrap(), say).unwrap();
        kept.begin(b"head".to_vec());
        let mut left_out = 0;
        for _ in 0..200 {
            kept.keep(b"blocks".to_vec(), 2);
            left_out += kept.left_out();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(left_out > 0);
        assert!(heard.recv().unwrap().starts_with("packets are not kept any more: "));
    }
}
