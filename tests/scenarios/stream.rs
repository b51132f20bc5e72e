//! A verb of the helper whose answer goes on until its standard input ends.

use std::io::Read;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdpoint::helper;
use holdpoint::host::verb::Verb;

use crate::host::Host;
use crate::transcripts::NONCE;

/// A verb under way whose answer is a stream, and what came of it.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
}

fn gather(mut from: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&all);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            into.lock().expect("sound").extend_from_slice(&piece[..count]);
        }
    });
    all
}

impl Running {
    /// Calls the verb.
    pub fn begin(host: &Host, verb: &Verb) -> Self {
        let mut words = vec![helper::PATH.to_owned(), NONCE.to_owned(), "0".to_owned()];
        words.extend(verb.words());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = host.inside.command(&words).stdin(Stdio::piped()).spawn().expect("nsenter");
        let out = gather(child.stdout.take().expect("piped"));
        let err = gather(child.stderr.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, out, err }
    }

    /// Everything on its standard output so far.
    pub fn told(&self) -> Vec<u8> {
        self.out.lock().expect("sound").clone()
    }

    /// Everything on its standard error so far.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().expect("sound")).into_owned()
    }

    /// Waits until it is so.
    pub fn wait_for(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if is(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: {}\n{}", String::from_utf8_lossy(&self.told()), self.errors());
    }

    /// What was said before the stream of that kind, and the stream.
    pub fn parts(&self, kind: &str) -> (String, Vec<u8>) {
        let told = self.told();
        let mark = format!("\n@{NONCE} stream {kind}\n").into_bytes();
        let at = told.windows(mark.len()).position(|here| here == mark).expect("a stream");
        (String::from_utf8_lossy(&told[..at]).into_owned(), told[at + mark.len()..].to_vec())
    }

    /// Its input ends, and so does it, in time.
    pub fn end(mut self) -> Self {
        drop(self.stdin.take());
        for _ in 0..100 {
            if self.child.try_wait().expect("asked").is_some() {
                return self;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it runs on without its input");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_or_not = self.child.kill();
        let _reaped = self.child.wait();
    }
}
