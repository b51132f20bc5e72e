//! One raw ICMP socket for each family, and who waits for what: a raw socket hears every ICMP message that
//! comes to this machine, so one for each echo would make all of them hear all.
//!
//! What is heard is given to whoever it is for; the rest is passed over. What a message means is in `echo`.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::Socket;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::echo::{Echo, Heard, behind_header, destination};

/// More than any message that matters; the rest of a longer one is dropped by the kernel.
const LONGEST: usize = 2_048;

/// What the kernel may keep until it is read, in bytes, as far as it lets anybody ask for that.
const KEPT: usize = 1 << 20;
/// Requests that are sent before what has come meanwhile is read: the kernel drops what it has no room for.
const IN_A_ROW: usize = 64;

/// What came of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    pub(super) heard: Heard,
    /// Who says so.
    pub(super) from: IpAddr,
    /// To which of this machine's addresses, where that came with it.
    pub(super) to: Option<IpAddr>,
}

type Waiting = Arc<Mutex<HashMap<u16, (Echo, oneshot::Sender<News>)>>>;

/// The sockets, opened when they are first needed.
#[derive(Default)]
pub(super) struct Ears {
    v4: Mutex<Option<Arc<Ear>>>,
    v6: Mutex<Option<Arc<Ear>>>,
}

/// One socket and the task that reads from it.
pub(super) struct Ear {
    socket: Arc<UdpSocket>,
    waiting: Waiting,
    pace: Semaphore,
    reader: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// An echo that is waited for; dropping it ends that.
pub(super) struct Awaited {
    id: u16,
    waiting: Waiting,
    pub(super) news: oneshot::Receiver<News>,
}

impl Awaited {
    /// Of that echo, under another id where that one is taken: which one comes in the echo.
    fn new(mut echo: Echo, waiting: &Waiting) -> (Echo, Self) {
        let (tell, news) = oneshot::channel();
        let mut all = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // There are 65,536 of them, and never as many attempts.
        while all.contains_key(&echo.id) {
            echo.id = echo.id.wrapping_add(1);
        }
        all.insert(echo.id, (echo.clone(), tell));
        let id = echo.id;
        (echo, Self { id, waiting: Arc::clone(waiting), news })
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.news.close();
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Once it was answered its id was free, and may be another's by now.
        if all.get(&self.id).is_some_and(|(_, tell)| tell.is_closed()) {
            all.remove(&self.id);
        }
    }
}

impl Ears {
    /// The socket for that family, where there is one that works.
    pub(super) fn open(&self, peer: IpAddr) -> Option<Arc<Ear>> {
        let kept = if peer.is_ipv4() { &self.v4 } else { &self.v6 };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|ear| !ear.reader.is_finished()).map(Arc::clone)
    }

    /// The socket for that family; `open` makes a new one where there is none that works.
    pub(super) fn to<E>(&self, peer: IpAddr, open: impl FnOnce() -> Result<Socket, E>) -> Result<Arc<Ear>, E>
    where
        E: From<io::Error>,
    {
        let kept = if peer.is_ipv4() { &self.v4 } else { &self.v6 };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ear) = kept.as_ref().filter(|ear| !ear.reader.is_finished()) {
            return Ok(Arc::clone(ear));
        }
        let ear = Arc::new(Ear::on(open()?, peer.is_ipv4())?);
        *kept = Some(Arc::clone(&ear));
        Ok(ear)
    }
}

impl Ear {
    fn on(socket: Socket, with_header: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Where it gets less, it has less room.
        let _ = socket.set_recv_buffer_size(KEPT);
        // The standard library has no type for such sockets, and one for datagrams does all that is needed.
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let waiting = Waiting::default();
        let reader = tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&waiting), with_header));
        Ok(Self { socket, waiting, pace: Semaphore::new(IN_A_ROW), reader })
    }

    /// Sends the request and tells how it is waited for. Its id is another one where that is taken.
    pub(super) async fn send(&self, echo: Echo) -> io::Result<(u16, Awaited)> {
        let (echo, awaited) = Awaited::new(echo, &self.waiting);
        // It is never closed; were it, a request out of turn is the better mistake.
        let _permit = self.pace.acquire().await;
        self.socket.send_to(&echo.request(), SocketAddr::new(echo.peer, 0)).await?;
        tokio::task::yield_now().await;
        Ok((echo.id, awaited))
    }
}

/// Reads until the socket fails; then the next echo opens another.
async fn listen(socket: Arc<UdpSocket>, waiting: Waiting, with_header: bool) {
    let mut buffer = vec![0; LONGEST];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let message = buffer.get(..length).unwrap_or_default();
        // Of IPv4 a raw socket gives the IP header too.
        let to = if with_header { destination(message) } else { None };
        let message = if with_header { behind_header(message) } else { message };
        give(message, (from.ip(), to), &waiting);
    }
}

/// Tells what was heard to whoever waits for it.
fn give(message: &[u8], (from, to): (IpAddr, Option<IpAddr>), waiting: &Waiting) {
    for id in Echo::ids(message).into_iter().flatten() {
        let mut all = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = all.get(&id).and_then(|(echo, _)| echo.heard(message, from));
        if let Some(heard) = heard
            && let Some((_, tell)) = all.remove(&id)
        {
            // Whoever waited may have gone.
            let _ = tell.send(News { heard, from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::echo::NONCE;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    const NEWS: News = News { heard: Heard::Reply, from: PEER, to: None };

    /// What the peer sends back.
    fn reply(echo: &Echo) -> Vec<u8> {
        let mut message = echo.request();
        message[0] = 0;
        message
    }

    #[test]
    fn an_id_that_is_used_again_before_the_first_was_let_go_stays_the_seconds() {
        let waiting = Waiting::default();
        let echo = |nonce: u8| Echo { peer: PEER, id: 7, nonce: [nonce; NONCE] };
        let (first, mut answered) = Awaited::new(echo(1), &waiting);
        let (beside, _) = Awaited::new(echo(2), &waiting);
        assert_eq!((first.id, beside.id), (7, 8), "a taken id is not given twice");
        give(&reply(&first), (PEER, None), &waiting);
        assert_eq!(answered.news.try_recv(), Ok(NEWS));
        let (second, mut awaited) = Awaited::new(echo(3), &waiting);
        assert_eq!(second.id, 7);
        drop(answered);
        give(&reply(&second), (PEER, None), &waiting);
        assert_eq!(awaited.news.try_recv(), Ok(NEWS));
    }

    #[test]
    fn nothing_stays_of_what_nobody_waits_for() {
        let waiting = Waiting::default();
        let (_, awaited) = Awaited::new(Echo { peer: PEER, id: 7, nonce: [1; NONCE] }, &waiting);
        drop(awaited);
        assert!(waiting.lock().unwrap().is_empty());
    }
}
