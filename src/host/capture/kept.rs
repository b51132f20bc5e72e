//! What is kept of captures: `captures/HOST.pcapng` in the recording, a thread for each host so that no
//! disk holds up what reads packets. Bounded: a full file becomes `HOST.1.pcapng`, the next one `HOST.2.pcapng`,
//! and so on; the oldest goes. Of each file the journal has the hash, at its end and now and then before: of a
//! session that broke off too it can be told that this is the file, and how far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::core::event::EvidenceFile;
use crate::types::{Blake3, HostName, Untrusted};

/// The most of one file, in bytes.
const FILE: u64 = 32 << 20;
/// Files of one host, that which is written included.
const FILES: usize = 4;
/// Pieces that wait for the disk; what comes meanwhile is left out and said.
const WAITING: usize = 64;
/// The folder's name in the recording.
const FOLDER: &str = "captures";

/// Told in words.
pub(super) type Say = Box<dyn Fn(&str) + Send>;

/// A file, and whether nothing more comes into it.
pub(super) type Told = (EvidenceFile, bool);

/// What a thread is given.
enum Job {
    Piece(Piece),
    /// What is there of the file by now is told.
    Tell,
}

/// Whole blocks, and what a new file begins with.
struct Piece {
    head: Arc<[u8]>,
    blocks: Vec<u8>,
    /// Whether a new file begins with it in any case: another stream.
    anew: bool,
}

/// Where one host's packets go.
pub(super) struct Kept {
    to: SyncSender<Job>,
    told: Receiver<Told>,
    thread: JoinHandle<()>,
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
        let (tell, told) = mpsc::channel();
        let files =
            Files { folder: folder.to_owned(), host: host.clone(), open: None, limit: FILE, say, tell };
        let thread =
            std::thread::Builder::new().name(format!("keep-{host}")).spawn(move || write(files, &from))?;
        Ok(Self { to, told, thread, head: Arc::from([]), anew: true, left_out: 0 })
    }

    /// A stream begins: what each of its files begins with.
    pub(super) fn begin(&mut self, head: Vec<u8>) {
        (self.head, self.anew) = (head.into(), true);
    }

    /// Whether there is a file to add to, or the beginning of one.
    pub(super) fn begun(&self) -> bool {
        !self.head.is_empty()
    }

    fn piece(&self, blocks: Vec<u8>) -> Job {
        Job::Piece(Piece { head: Arc::clone(&self.head), blocks, anew: self.anew })
    }

    /// Whole blocks of so many packets; whether they are on their way to the disk.
    pub(super) fn keep(&mut self, blocks: Vec<u8>, packets: u64) -> bool {
        match self.to.try_send(self.piece(blocks)) {
            Ok(()) => {
                self.anew = false;
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.left_out += packets;
                false
            }
        }
    }

    /// How many packets were left out since this was asked last.
    pub(super) fn left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Has the file under way told. A disk that is behind tells it later.
    pub(super) fn tell(&self) {
        let _later = self.to.try_send(Job::Tell);
    }

    /// What was told since this was asked last.
    pub(super) fn told(&self) -> Vec<Told> {
        self.told.try_iter().collect()
    }

    /// Nothing more comes but these blocks: waits for the disk, and says what is left to tell.
    pub(super) fn end(self, blocks: Vec<u8>) -> Vec<Told> {
        if !blocks.is_empty() {
            // A disk that failed has said so.
            let _kept_or_not = self.to.send(self.piece(blocks));
        }
        drop(self.to);
        let _ended_or_not = self.thread.join();
        self.told.try_iter().collect()
    }
}

/// Until nobody sends any more, or the disk fails: then the sender finds the channel closed.
fn write(mut files: Files, from: &Receiver<Job>) {
    for job in from {
        let done = match job {
            Job::Piece(piece) => files.take(&piece),
            Job::Tell => files.tell_open(),
        };
        if let Err(error) = done {
            let path = files.newest();
            (files.say)(&format!("packets are not kept any more: {}: {error}", path.display()));
            return;
        }
    }
    files.end();
}

/// The file that is written.
struct Open {
    file: File,
    written: u64,
    hash: blake3::Hasher,
    /// How much of it was told already.
    told: u64,
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }
}

struct Files {
    folder: PathBuf,
    host: HostName,
    open: Option<Open>,
    limit: u64,
    say: Say,
    tell: Sender<Told>,
}

impl Files {
    fn newest(&self) -> PathBuf {
        self.folder.join(format!("{}.pcapng", self.host))
    }

    fn older(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{}.{number}.pcapng", self.host))
    }

    /// The numbers of those that are full, the oldest first.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number: Option<u32> = name.to_str().and_then(|name| {
                name.strip_prefix(self.host.as_str())?
                    .strip_prefix('.')?
                    .strip_suffix(".pcapng")?
                    .parse()
                    .ok()
            });
            all.extend(number);
        }
        all.sort_unstable();
        Ok(all)
    }

    fn take(&mut self, piece: &Piece) -> io::Result<()> {
        let size = piece.blocks.len() as u64;
        let full = self.open.as_ref().is_some_and(|open| open.written + size > self.limit);
        // An empty file of another stream is as good as none.
        if piece.anew || full || self.open.is_none() {
            self.turn()?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.newest())?;
            let open = Open { file, written: 0, hash: blake3::Hasher::new(), told: 0 };
            self.open.insert(open).write(&piece.head)?;
        }
        match &mut self.open {
            Some(open) => open.write(&piece.blocks),
            None => Ok(()),
        }
    }

    /// The newest file gets its number, and is told by it; the oldest goes.
    fn turn(&mut self) -> io::Result<()> {
        let numbers = self.numbers()?;
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        let there = match fs::rename(self.newest(), self.older(next)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        match self.open.take() {
            Some(open) if there => self.told(&self.older(next), &open.hash, open.written, true),
            None if there => self.told_again(&self.older(next))?,
            Some(_) | None => {}
        }
        let count = numbers.len() + usize::from(there);
        for number in numbers.iter().take((count + 1).saturating_sub(FILES)) {
            fs::remove_file(self.older(*number))?;
            let size = (self.limit * FILES as u64) >> 20;
            (self.say)(&format!("the oldest packets were let go: {size} MiB of a host are kept"));
        }
        Ok(())
    }

    /// One that an earlier session left.
    fn told_again(&self, path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut file = File::open(path)?;
        let (mut hash, mut length, mut piece) = (blake3::Hasher::new(), 0, vec![0; 64 << 10]);
        loop {
            match file.read(&mut piece)? {
                0 => break,
                count => {
                    hash.update(&piece[..count]);
                    length += count as u64;
                }
            }
        }
        self.told(path, &hash, length, true);
        Ok(())
    }

    fn told(&self, path: &Path, hash: &blake3::Hasher, bytes: u64, over: bool) {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let file = Untrusted::new(format!("{FOLDER}/{name}"));
        // Nobody to tell: the capture is over.
        let _heard_or_not =
            self.tell.send((EvidenceFile { file, blake3: Blake3::so_far(hash), bytes }, over));
    }

    /// So much of the file under way is on the disk.
    fn tell_open(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.told < open.written) else { return Ok(()) };
        open.file.sync_data()?;
        open.told = open.written;
        let (hash, bytes) = (open.hash.clone(), open.written);
        self.told(&self.newest(), &hash, bytes, false);
        Ok(())
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            let _synced_or_not = open.file.sync_data();
            self.told(&self.newest(), &open.hash, open.written, true);
        }
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
        let (tell, told) = mpsc::channel();
        let say: Say = Box::new(|_| {});
        let mut files = Files { folder: folder.path().to_owned(), host, open: None, limit: 10, say, tell };
        let piece =
            |word: &str, anew| Piece { head: Arc::from(*b"H:"), blocks: word.as_bytes().to_vec(), anew };
        for (word, anew) in [("aaaa", true), ("bbbb", false), ("cccc", false), ("d", true)] {
            files.take(&piece(word, anew)).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(names(folder.path()), ["web1.1.pcapng", "web1.2.pcapng", "web1.pcapng"]);
        assert_eq!((read("web1.pcapng"), read("web1.2.pcapng")), ("H:d".to_owned(), "H:cccc".to_owned()));
        assert_eq!(read("web1.1.pcapng"), "H:aaaabbbb");
        // Each by the name that it keeps, with the hash of what is in it.
        let file = |name: &str, text: &str, over| {
            let (bytes, blake3) = (text.len() as u64, Blake3::of(text.as_bytes()));
            (EvidenceFile { file: Untrusted::new(format!("captures/{name}")), blake3, bytes }, over)
        };
        let all: Vec<Told> = told.try_iter().collect();
        assert_eq!(all, [file("web1.1.pcapng", "H:aaaabbbb", true), file("web1.2.pcapng", "H:cccc", true)]);
        files.tell_open().unwrap();
        files.tell_open().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [file("web1.pcapng", "H:d", false)], "once");
        // An earlier session's, of which nothing more is known.
        files.open = None;
        files.take(&piece("e", true)).unwrap();
        files.end();
        let all: Vec<Told> = told.try_iter().collect();
        assert_eq!(all, [file("web1.3.pcapng", "H:d", true), file("web1.pcapng", "H:e", true)]);
        for _ in 0..9 {
            files.take(&piece("e", true)).unwrap();
        }
        let left = ["web1.10.pcapng", "web1.11.pcapng", "web1.12.pcapng", "web1.pcapng"];
        assert_eq!(names(folder.path()), left);
        let mode = fs::metadata(folder.path().join("web1.pcapng")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// What comes last waits for a disk that is behind.
    #[test]
    fn the_last_blocks_are_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::new(folder.path(), &"web1".parse().unwrap(), Box::new(|_| {})).unwrap();
        assert!(!kept.begun());
        kept.begin(b"head".to_vec());
        assert!(kept.begun());
        let taken = (0..5_000).filter(|_| kept.keep(b"b".to_vec(), 1)).count();
        let told = kept.end(b"last".to_vec());
        let text = fs::read_to_string(folder.path().join("web1.pcapng")).unwrap();
        assert_eq!(text, format!("head{}last", "b".repeat(taken)));
        assert_eq!(
            told.last().map(|(file, over)| (file.blake3, *over)),
            Some((Blake3::of(text.as_bytes()), true))
        );
    }

    #[test]
    fn a_folder_that_is_gone_loses_packets_and_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let (told, heard) = mpsc::channel();
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
