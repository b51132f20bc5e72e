//! The address of a customer as something that answers: a real listener, which can go dark. Dark
//! means what it meant in the story: a SYN arrives and nothing answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many may wait to be let in while it is open.
const WAITING: u32 = 128;
/// How long a connection of our own may take before the door counts as dark. On this machine an
/// answer takes microseconds.
const ANSWERS_WITHIN: Duration = Duration::from_millis(100);
/// Connections of our own that may fill a listener which takes none. Linux takes one more than it is
/// told; a system that takes many is left with a closed port instead.
const FILLERS: usize = 4;
/// Between two tries at a port that somebody else has taken meanwhile.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a visitor may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener on this address.
pub(super) fn listener(at: SocketAddr, waiting: u32) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A port is had back at once, whatever connections of before are still fading.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(waiting)
}

/// A listener on this address for a visitor's first time.
pub(super) fn open(at: SocketAddr) -> std::io::Result<TcpListener> {
    listener(at, WAITING)
}

/// The same again after it was closed: tries until it is had.
pub(super) async fn reopened(at: SocketAddr) -> TcpListener {
    loop {
        if let Ok(listener) = open(at) {
            return listener;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Keeps the door as it is wanted, until nobody can want anything any more. `first` is open and
/// listens at `at`.
pub(super) async fn keep(at: SocketAddr, first: TcpListener, mut wanted: watch::Receiver<bool>) {
    let mut first = Some(first);
    loop {
        if *wanted.borrow_and_update() {
            let listener = match first.take() {
                Some(listener) => listener,
                None => reopened(at).await,
            };
            serve(&listener, &mut wanted).await;
            if wanted.has_changed().is_err() {
                return;
            }
        } else {
            drop(first.take());
            let _dark = darkness(at).await;
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Answers until that is not wanted any more. Connections end then as well.
async fn serve(listener: &TcpListener, wanted: &mut watch::Receiver<bool>) {
    let mut visitors = JoinSet::new();
    loop {
        tokio::select! {
            visitor = listener.accept() => match visitor {
                Ok((stream, _)) => drop(visitors.spawn(answer(stream))),
                // Too many open files, say: that passes.
                Err(_) => tokio::time::sleep(AGAIN).await,
            },
            Some(_) = visitors.join_next() => {}
            change = wanted.changed() => {
                if change.is_err() || !*wanted.borrow() {
                    return;
                }
            }
        }
    }
}

/// Any request gets the same answer: it is a health page.
async fn answer(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut piece = [0_u8; 1024];
    let asking = async {
        while asked.len() < 16 << 10 {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => asked.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
            if asked.windows(4).any(|end| end == b"\r\n\r\n") {
                return true;
            }
        }
        false
    };
    if let Ok(true) = tokio::time::timeout(PATIENCE, asking).await {
        let page = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        // The visitor may have gone.
        let _sent_or_not = stream.write_all(page).await;
        let _closed_or_not = stream.shutdown().await;
    }
}

/// A listener that nobody takes connections from, and the connections that fill it: whoever comes
/// now gets no answer at all. Nothing where this system can't: the port is closed then.
async fn darkness(at: SocketAddr) -> Option<(TcpListener, Vec<TcpStream>)> {
    let listener = listener(at, 0).ok()?;
    let mut fillers = Vec::new();
    while fillers.len() <= FILLERS {
        match tokio::time::timeout(ANSWERS_WITHIN, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => fillers.push(stream),
            Ok(Err(_)) => return None,
            Err(_) => return Some((listener, fillers)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn page(at: SocketAddr) -> Option<String> {
        let asked = async {
            let mut stream = TcpStream::connect(at).await.ok()?;
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
            let mut page = String::new();
            stream.read_to_string(&mut page).await.ok()?;
            Some(page)
        };
        tokio::time::timeout(Duration::from_millis(300), asked).await.ok()?
    }

    #[tokio::test]
    async fn a_door_answers_goes_dark_and_answers_again() {
        let first = open("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let at = first.local_addr().expect("an address");
        let (want, wanted) = watch::channel(true);
        let keeping = tokio::spawn(keep(at, first, wanted));
        assert!(page(at).await.expect("a page").starts_with("HTTP/1.1 200 OK"));
        for _ in 0..3 {
            want.send(false).expect("kept");
            tokio::time::sleep(Duration::from_millis(150)).await;
            assert_eq!(page(at).await, None);
            // As in the story: not refused, but never answered.
            if cfg!(target_os = "linux") {
                let knock = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(at)).await;
                assert!(knock.is_err(), "{knock:?}");
            }
            want.send(true).expect("kept");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(page(at).await.expect("a page").ends_with("ok\n"));
        }
        drop(want);
        tokio::time::timeout(Duration::from_secs(2), keeping).await.expect("ends").expect("well");
    }
}
