//! ICMP echo: one request, and its reply.
//!
//! An unprivileged socket (`SOCK_DGRAM`) where the kernel lets this process have one
//! (`net.ipv4.ping_group_range`), a raw one otherwise, which is `ear`'s. The kernel gives the unprivileged
//! one its id and sorts replies by it; a raw one also hears the errors that routers send. Of an unprivileged
//! one the kernel keeps most of those to itself: then nothing answers.
//!
//! What is in a message is in `echo`; here are sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::dialer::{self, DialError};
use super::ear::Ear;
use super::echo::{Echo, Heard, NONCE};
use super::{Attempt, Deadline, Means};
use crate::core::event::{Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// More than any message that matters; the rest of a longer one is dropped by the kernel.
const LONGEST: usize = 2_048;
/// EPERM and EACCES mean that this process may not; EPROTONOSUPPORT that this kernel has no such sockets.
const EPROTONOSUPPORT: i32 = 93;

/// How long an answer may take before the routes are asked for this end's address.
const AT_ONCE: Duration = Duration::from_millis(20);

/// Sends one echo request to the customer's address and waits for its reply. The port of
/// `Sighting::local` is the echo's id.
pub(super) async fn attempt(address: Option<IpAddr>, means: &Means, timeout: Span) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let deadline = Deadline::of(timeout);
    let mut sighting = Sighting { peer: Some(SocketAddr::new(address, 0)), ..Sighting::default() };
    // A raw one that is open says that the kernel has no other for this process.
    let open = means.ears.open(address);
    let socket = if open.is_some() { Ok(None) } else { unprivileged(address) };
    let (by, result) = match socket {
        Ok(Some(socket)) => {
            ("echo by an unprivileged socket", by_own(socket, address, &deadline, &mut sighting).await)
        }
        Ok(None) => {
            let ear = open.map_or_else(|| means.ears.to(address, || raw(address)), Ok);
            let result = match ear {
                Ok(ear) => by_raw(address, &ear, &deadline, &mut sighting).await,
                Err(error) => Err(error),
            };
            ("echo by a raw socket", result)
        }
        Err(error) => ("no echo", Err(Failed::from(error))),
    };
    let took = deadline.gone();
    let outcome = match result {
        Ok(()) => {
            sighting.phases = Phases { answered: Some(took), ..Phases::default() };
            ProbeOutcome::Ok { took, said: by.into() }
        }
        Err(Failed::Dial(error)) => failed(&error, by),
        Err(Failed::Socket(why)) => ProbeOutcome::broken(format!("no socket for echoes: {why}")),
    };
    Attempt { outcome, sighting }
}

/// A failure says which socket it was by: the unprivileged one is not told of all that routers say.
fn failed(error: &DialError, by: &str) -> ProbeOutcome {
    match super::failed(error, "") {
        ProbeOutcome::Fail { why, kind } => ProbeOutcome::fail(kind, format!("{} ({by})", why.raw())),
        other @ (ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. }) => other,
    }
}

/// Why there was no reply.
enum Failed {
    Dial(DialError),
    /// There is no socket: this machine's own trouble.
    Socket(String),
}

impl From<DialError> for Failed {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Socket(error.to_string())
    }
}

/// A request to that peer, with numbers that nobody can guess.
fn echo(peer: IpAddr) -> Result<Echo, DialError> {
    let mut random = [0; 2 + NONCE];
    super::random(&mut random).map_err(DialError::Local)?;
    let [high, low, nonce @ ..] = random;
    Ok(Echo { peer, id: u16::from_be_bytes([high, low]), nonce })
}

/// By a socket that is this echo's alone.
async fn by_own(
    socket: Socket,
    peer: IpAddr,
    deadline: &Deadline,
    sighting: &mut Sighting,
) -> Result<(), Failed> {
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket.into())?;
    // Errors come to a socket that is connected.
    socket.connect(SocketAddr::new(peer, 0)).await.map_err(|error| dialer::why(&error))?;
    let local = socket.local_addr()?;
    sighting.local = Some(local);
    // The kernel writes the id.
    let echo = Echo { id: local.port(), ..echo(peer)? };
    socket.send(&echo.request()).await.map_err(|error| dialer::why(&error))?;
    let hear = async {
        let mut buffer = vec![0; LONGEST];
        loop {
            let length = match socket.recv(&mut buffer).await {
                Ok(length) => length,
                // Which ICMP error it was is in the number alone.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Err(DialError::Unreachable("the host takes no echo requests".into()));
                }
                Err(error) => return Err(dialer::why(&error)),
            };
            if let Some(heard) = echo.heard(buffer.get(..length).unwrap_or_default(), peer) {
                return outcome(heard, peer);
            }
        }
    };
    Ok(deadline.within(hear).await.unwrap_or(Err(DialError::TimedOut(deadline.timeout)))?)
}

/// By the socket that all such echoes share.
async fn by_raw(peer: IpAddr, ear: &Ear, deadline: &Deadline, sighting: &mut Sighting) -> Result<(), Failed> {
    let (id, mut awaited) = ear.send(echo(peer)?).await.map_err(|error| dialer::why(&error))?;
    // What comes at once says itself to which of our addresses; else the routes tell while they are as they were.
    let mut local = None;
    let news = match tokio::time::timeout(AT_ONCE, &mut awaited.news).await {
        Ok(news) => Some(news),
        Err(_) => {
            local = dialer::route(peer).ok();
            deadline.within(&mut awaited.news).await
        }
    };
    let told = news.as_ref().and_then(|news| news.as_ref().ok()?.to);
    let local = told.or(local).or_else(|| dialer::route(peer).ok());
    sighting.local = local.map(|from| SocketAddr::new(from, id));
    match news {
        Some(Ok(news)) => Ok(outcome(news.heard, news.from)?),
        // The socket is gone; the next echo has another.
        Some(Err(_)) => Err(Failed::Socket("it failed while the reply was waited for".into())),
        None => Err(DialError::TimedOut(deadline.timeout).into()),
    }
}

fn outcome(heard: Heard, from: IpAddr) -> Result<(), DialError> {
    match heard {
        Heard::Reply => Ok(()),
        Heard::Unreachable(why) => Err(DialError::Unreachable(format!("{why}, says {from}"))),
    }
}

fn kind_of(to: IpAddr) -> (Domain, Protocol) {
    match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    }
}

/// A socket for one echo; `None` where the kernel has none for this process.
fn unprivileged(to: IpAddr) -> io::Result<Option<Socket>> {
    let (domain, protocol) = kind_of(to);
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if is_denied(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn raw(to: IpAddr) -> Result<Socket, Failed> {
    let (domain, protocol) = kind_of(to);
    Socket::new(domain, Type::RAW, Some(protocol)).map_err(|error| match is_denied(&error) {
        true => Failed::Socket(
            "set net.ipv4.ping_group_range so that it has your group, or give holdpoint CAP_NET_RAW".into(),
        ),
        false => error.into(),
    })
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied || error.raw_os_error() == Some(EPROTONOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::FailKind;
    use crate::probe::tests::{means, words};

    /// Whether this process may have a socket for echoes.
    fn may(to: &str) -> bool {
        let to = to.parse().unwrap();
        let may = unprivileged(to).is_ok_and(|socket| socket.is_some()) || raw(to).is_ok();
        if !may {
            println!("skipped: this process may have no socket for echoes");
        }
        may
    }

    #[tokio::test]
    async fn this_machine_answers_itself_and_the_port_is_the_id() {
        for to in ["127.0.0.1", "127.0.0.9", "::1"].into_iter().filter(|to| may(to)) {
            let made = attempt(Some(to.parse().unwrap()), &means(None), Span::secs(5)).await;
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

    #[test]
    fn a_failure_says_by_which_socket_too() {
        for error in [DialError::TimedOut(Span::secs(3)), DialError::Unreachable("no route".into())] {
            let said = words(&failed(&error, "echo by a raw socket"));
            assert!(said.starts_with("fail: ") && said.ends_with(" (echo by a raw socket)"), "{said}");
        }
        // What could not be sent went by no socket.
        let own = words(&failed(&DialError::Local("no buffers".into()), "echo by a raw socket"));
        assert!(own.starts_with("broken: ") && !own.contains("echo by"), "{own}");
    }

    #[tokio::test]
    async fn many_at_once_take_each_its_own_reply() {
        if !may("127.0.0.1") {
            return;
        }
        let means = means(None);
        let many = (0..500).map(|_| attempt(Some("127.0.0.1".parse().unwrap()), &means, Span::secs(5)));
        let made = futures_util::future::join_all(many).await;
        let failed = made.iter().map(|made| words(&made.outcome)).find(|said| !said.starts_with("ok: "));
        assert_eq!(failed, None);
        let mut ids: Vec<u16> = made.iter().map(|made| made.sighting.local.unwrap().port()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 500, "each has an id of its own");
    }

    #[tokio::test]
    async fn silence_is_no_answer_and_a_route_to_nowhere_is_told() {
        if !may("127.0.0.1") {
            return;
        }
        let means = means(None);
        // Nobody may send to the broadcast address without asking for it, so the kernel refuses.
        let made = attempt(Some("255.255.255.255".parse().unwrap()), &means, Span::ms(300)).await;
        assert!(!words(&made.outcome).starts_with("ok"), "{made:?}");
        // Nor is there a way to what is reserved.
        let made = attempt(Some("240.0.0.1".parse().unwrap()), &means, Span::ms(300)).await;
        match made.outcome {
            ProbeOutcome::Fail { kind, .. } => {
                assert!(matches!(kind, FailKind::NoAnswer | FailKind::Unreachable), "{kind:?}");
            }
            other => {
                assert!(words(&other).starts_with("broken: this machine could not connect"), "{other:?}")
            }
        }
        let made = attempt(None, &means, Span::secs(1)).await;
        assert_eq!(words(&made.outcome), "broken: the customer has no address in the plan");
    }
}
