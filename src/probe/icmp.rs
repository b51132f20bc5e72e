//! ICMP echo: one request, and its reply.
//!
//! An unprivileged socket (`SOCK_DGRAM`) where the kernel lets this process have one
//! (`net.ipv4.ping_group_range`), a raw one otherwise. The kernel gives the unprivileged one its id and
//! sorts replies by it; a raw one hears every ICMP message that comes to this machine, errors that routers
//! send included. Of an unprivileged one the kernel keeps most of those to itself: then nothing answers.
//!
//! What is in a message is in `echo`; here are sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::dialer::{self, DialError};
use super::echo::{Echo, Heard, NONCE};
use super::{Attempt, Deadline};
use crate::core::event::{Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// More than any message that matters; the rest of a longer one is dropped by the kernel.
const LONGEST: usize = 2_048;
/// EPERM and EACCES mean that this process may not; EPROTONOSUPPORT that this kernel has no such sockets.
const EPROTONOSUPPORT: i32 = 93;

/// Which kind of socket an echo goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Unprivileged,
    Raw,
}

impl By {
    fn words(self) -> &'static str {
        match self {
            Self::Unprivileged => "an unprivileged socket",
            Self::Raw => "a raw socket",
        }
    }
}

/// Sends one echo request to the customer's address and waits for its reply. The port of
/// `Sighting::local` is the echo's id.
pub(super) async fn attempt(address: Option<IpAddr>, timeout: Span) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let (socket, by) = match socket(address) {
        Ok(opened) => opened,
        Err(why) => return Attempt::broken(&why),
    };
    let deadline = Deadline::of(timeout);
    let peer = SocketAddr::new(address, 0);
    let mut sighting = Sighting { peer: Some(peer), ..Sighting::default() };
    let result = exchange(socket, by, peer, &deadline, &mut sighting).await;
    let took = deadline.gone();
    let outcome = match result {
        Ok(()) => {
            sighting.phases = Phases { answered: Some(took), ..Phases::default() };
            ProbeOutcome::Ok { took, said: format!("echo by {}", by.words()).into() }
        }
        Err(error) => super::failed(&error, ""),
    };
    Attempt { outcome, sighting }
}

async fn exchange(
    socket: Socket,
    by: By,
    peer: SocketAddr,
    deadline: &Deadline,
    sighting: &mut Sighting,
) -> Result<(), DialError> {
    let own = |error: io::Error| DialError::Local(error.to_string());
    socket.set_nonblocking(true).map_err(own)?;
    // The standard library has no type for such sockets, and one for datagrams says all that is needed.
    let socket = UdpSocket::from_std(socket.into()).map_err(own)?;
    let random = |bytes: &mut [u8]| super::random(bytes).map_err(DialError::Local);
    let (mut id, mut nonce) = ([0; 2], [0; NONCE]);
    random(&mut id)?;
    random(&mut nonce)?;
    let mut echo = Echo { peer: peer.ip(), id: u16::from_be_bytes(id), nonce };
    match by {
        By::Unprivileged => {
            // Errors come to a socket that is connected.
            socket.connect(peer).await.map_err(|error| dialer::why(&error))?;
            let local = socket.local_addr().map_err(own)?;
            echo.id = local.port();
            sighting.local = Some(local);
        }
        By::Raw => {
            // Not connected, since errors come from routers on the way. The routes say which address it has.
            let from = dialer::datagrams(SocketAddr::new(peer.ip(), 9)).await?.1.ip();
            sighting.local = Some(SocketAddr::new(from, echo.id));
        }
    }
    let request = echo.request();
    let sent = match by {
        By::Unprivileged => socket.send(&request).await,
        By::Raw => socket.send_to(&request, peer).await,
    };
    sent.map_err(|error| dialer::why(&error))?;
    match deadline.within(hear(&socket, by, &echo)).await {
        Some(result) => result,
        None => Err(DialError::TimedOut(deadline.timeout)),
    }
}

async fn hear(socket: &UdpSocket, by: By, echo: &Echo) -> Result<(), DialError> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(heard) => heard,
            // Which ICMP error it was is in the number alone.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(DialError::Unreachable("the host takes no echo requests".into()));
            }
            Err(error) => return Err(dialer::why(&error)),
        };
        let message = buffer.get(..length).unwrap_or_default();
        // Of IPv4 a raw socket gives the IP header too.
        let message = match by {
            By::Raw if echo.peer.is_ipv4() => super::echo::behind_header(message),
            By::Raw | By::Unprivileged => message,
        };
        match echo.heard(message, from.ip()) {
            Some(Heard::Reply) => return Ok(()),
            Some(Heard::Unreachable(why)) => {
                return Err(DialError::Unreachable(format!("{why}, says {}", from.ip())));
            }
            None => {}
        }
    }
}

/// A socket for echoes, or why there is none: that is this machine's own trouble.
fn socket(to: IpAddr) -> Result<(Socket, By), String> {
    let (domain, protocol) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let unprivileged = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => return Ok((socket, By::Unprivileged)),
        Err(error) => error,
    };
    if !is_denied(&unprivileged) {
        return Err(format!("no socket for echoes: {unprivileged}"));
    }
    match Socket::new(domain, Type::RAW, Some(protocol)) {
        Ok(socket) => Ok((socket, By::Raw)),
        Err(error) if is_denied(&error) => {
            Err("no socket for echoes: set net.ipv4.ping_group_range so that it \
             has your group, or give holdpoint CAP_NET_RAW"
                .to_owned())
        }
        Err(error) => Err(format!("no socket for echoes: {error}")),
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied || error.raw_os_error() == Some(EPROTONOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::FailKind;
    use crate::probe::tests::words;

    /// Whether this process may have a socket for echoes; the words say why not.
    fn may(to: &str) -> bool {
        let opened = socket(to.parse().unwrap());
        if let Err(why) = &opened {
            assert!(why.starts_with("no socket for echoes: "), "{why}");
            println!("skipped: {why}");
        }
        opened.is_ok()
    }

    #[tokio::test]
    async fn this_machine_answers_itself_and_the_port_is_the_id() {
        for to in ["127.0.0.1", "127.0.0.9", "::1"].into_iter().filter(|to| may(to)) {
            let made = attempt(Some(to.parse().unwrap()), Span::secs(5)).await;
            let said = words(&made.outcome);
            assert!(
                ["ok: echo by an unprivileged socket", "ok: echo by a raw socket"].contains(&said.as_str()),
                "{to}: {said}"
            );
            let local = made.sighting.local.unwrap();
            assert!(local.ip().is_loopback() && local.port() != 0, "{local}");
            assert_eq!(made.sighting.peer, Some(SocketAddr::new(to.parse().unwrap(), 0)));
            assert!(made.sighting.phases.answered.is_some());
        }
    }

    #[tokio::test]
    async fn many_at_once_take_each_its_own_reply() {
        if !may("127.0.0.1") {
            return;
        }
        let many = (0..64).map(|_| attempt(Some("127.0.0.1".parse().unwrap()), Span::secs(5)));
        let made = futures_util::future::join_all(many).await;
        let mut ids: Vec<u16> = made.iter().map(|made| made.sighting.local.unwrap().port()).collect();
        assert!(made.iter().all(|made| words(&made.outcome).starts_with("ok: ")), "{made:?}");
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() > 56, "random ids: {ids:?}");
    }

    #[tokio::test]
    async fn silence_is_no_answer_and_a_route_to_nowhere_is_told() {
        if !may("127.0.0.1") {
            return;
        }
        // Nobody may send to the broadcast address without asking for it, so the kernel refuses.
        let made = attempt(Some("255.255.255.255".parse().unwrap()), Span::ms(300)).await;
        assert!(!words(&made.outcome).starts_with("ok"), "{made:?}");
        // Multicast to a group that nobody here is in is answered by nobody.
        let made = attempt(Some("240.0.0.1".parse().unwrap()), Span::ms(300)).await;
        match made.outcome {
            ProbeOutcome::Fail { kind, .. } => {
                assert!(matches!(kind, FailKind::NoAnswer | FailKind::Unreachable), "{kind:?}");
            }
            other => {
                assert!(words(&other).starts_with("broken: this machine could not connect"), "{other:?}")
            }
        }
        let made = attempt(None, Span::secs(1)).await;
        assert_eq!(words(&made.outcome), "broken: the customer has no address in the plan");
    }
}
