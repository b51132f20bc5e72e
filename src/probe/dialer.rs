//! The one dialer: it makes every connection and every socket for datagrams of every probe, so that each
//! is known by its own port, also where connecting fails, and can be found in a capture by it. Sockets
//! for echoes, which have an id instead of a port, are `icmp`'s.
//!
//! It must not know what is said over a connection, nor resolve names.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::Instant;

use crate::types::Span;

/// How one attempt to connect went.
#[derive(Debug)]
pub struct Dialed {
    /// This end. Where connecting failed its address is the one that the routes choose (the unspecified one where
    /// there is no route) and its port is the one that was used; `None` where there was not even a socket.
    pub local: Option<SocketAddr>,
    /// The connection, or why there is none.
    pub result: Result<TcpStream, DialError>,
    /// How long it took.
    pub took: Span,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Something answered that nobody listens there.
    #[error("refused")]
    Refused,
    /// Nothing answered within this time.
    #[error("no answer in {0}")]
    TimedOut(Span),
    /// A router, or this machine's routes, said that the target can't be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// This machine could not make the attempt; that says nothing about the target.
    #[error("this machine could not connect: {0}")]
    Local(String),
    /// Anything else that went wrong on the way to the target.
    #[error("no connection: {0}")]
    Other(String),
}

/// Connects to `to` and gives up after `timeout`.
pub async fn dial(to: SocketAddr, timeout: Span) -> Dialed {
    let began = Instant::now();
    let (local, result) = match socket(to) {
        Ok((socket, local)) => match tokio::time::timeout(timeout.into(), connect(socket, to)).await {
            Ok(Ok(stream)) => (stream.local_addr().ok().or(Some(local)), Ok(stream)),
            Ok(Err(error)) => (Some(chosen(to, local)), Err(error)),
            Err(_) => (Some(chosen(to, local)), Err(DialError::TimedOut(timeout))),
        },
        // Whatever fails before the first packet is this machine's own trouble.
        Err(error) => (None, Err(DialError::Local(error.to_string()))),
    };
    Dialed { local, result, took: since(began) }
}

/// A socket that sends datagrams to `to`, takes them from there alone, and hears of its errors.
pub(super) async fn datagrams(to: SocketAddr) -> Result<(UdpSocket, SocketAddr), DialError> {
    // Before the first packet everything is this machine's own trouble, but its routes say of the target
    // that it can't be reached.
    let own = |error: io::Error| DialError::Local(error.to_string());
    let socket = UdpSocket::bind(SocketAddr::new(unspecified(to.ip()), 0)).await.map_err(own)?;
    socket.connect(to).await.map_err(|error| why(&error))?;
    let local = socket.local_addr().map_err(own)?;
    Ok((socket, local))
}

/// How long ago that was, by the steady clock.
pub fn since(began: Instant) -> Span {
    Span::ms(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// A socket that has its port before it connects: after a failed connect there is nobody to ask.
fn socket(to: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = match to.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(unspecified(to.ip()), 0))?;
    let local = socket.local_addr()?;
    Ok((socket, local))
}

/// This end of a connection that failed: the system had chosen its address as it connected, and chooses the same
/// one for a datagram, of which none is sent.
fn chosen(to: SocketAddr, local: SocketAddr) -> SocketAddr {
    SocketAddr::new(route(to.ip()).unwrap_or(local.ip()), local.port())
}

/// The address that the routes choose for what is sent to `to`. Nothing is sent for it.
pub(super) fn route(to: IpAddr) -> Result<IpAddr, DialError> {
    /// Any port will do; nobody listens on this one ("discard").
    const PORT: u16 = 9;
    let own = |error: io::Error| DialError::Local(error.to_string());
    let socket = std::net::UdpSocket::bind(SocketAddr::new(unspecified(to), 0)).map_err(own)?;
    socket.connect(SocketAddr::new(to, PORT)).map_err(|error| why(&error))?;
    Ok(socket.local_addr().map_err(own)?.ip())
}

/// No address in particular, of the same family.
pub(super) fn unspecified(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

async fn connect(socket: TcpSocket, to: SocketAddr) -> Result<TcpStream, DialError> {
    let stream = socket.connect(to).await.map_err(|error| why(&error))?;
    // TCP lets a socket connect to itself when its own port is the one it calls on its own machine:
    // then nobody listens there.
    if stream.local_addr().is_ok_and(|local| local == to) {
        return Err(DialError::Refused);
    }
    Ok(stream)
}

/// EPERM, the same number on every Unix: this machine's own firewall. EACCES, which the standard
/// library gives the same kind, is also what an IPv6 router's "administratively prohibited" becomes.
const EPERM: i32 = 1;

/// What an error on the way to the target means.
pub(super) fn why(error: &io::Error) -> DialError {
    match error.kind() {
        ErrorKind::ConnectionRefused => DialError::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            DialError::Unreachable(error.to_string())
        }
        ErrorKind::PermissionDenied if error.raw_os_error() != Some(EPERM) => {
            DialError::Unreachable(error.to_string())
        }
        ErrorKind::PermissionDenied
        | ErrorKind::AddrInUse
        | ErrorKind::AddrNotAvailable
        | ErrorKind::NetworkDown
        | ErrorKind::OutOfMemory => DialError::Local(error.to_string()),
        _ => DialError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{deaf, nobody, silent};

    const SOON: Span = Span::secs(5);

    #[tokio::test]
    async fn an_open_port_is_connected_to_and_both_ends_agree_on_our_port() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialed = dial(listener.local_addr().unwrap(), SOON).await;
        let (_accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(dialed.local, Some(peer));
        assert!(dialed.result.is_ok());
    }

    #[tokio::test]
    async fn a_refused_connection_has_a_port_too() {
        let dialed = dial(nobody(), SOON).await;
        assert_eq!(dialed.result.unwrap_err(), DialError::Refused);
        let local = dialed.local.unwrap();
        assert_ne!(local.port(), 0);
        assert!(local.ip().is_loopback(), "whose it is shows in a capture: {local}");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_answers_ends_in_time_and_has_a_port_too() {
        let deaf = deaf().await;
        let dialed = dial(deaf.address, Span::ms(300)).await;
        assert_eq!(dialed.result.unwrap_err(), DialError::TimedOut(Span::ms(300)));
        assert_ne!(dialed.local.unwrap().port(), 0);
        assert!((300..3_000).contains(&dialed.took.as_ms()), "{}", dialed.took);
    }

    #[tokio::test]
    async fn other_addresses_of_this_machine_and_ipv6_are_dialed_as_well() {
        for address in ["127.0.0.9:0", "[::1]:0"] {
            let to = silent(address);
            let dialed = dial(to, SOON).await;
            assert!(dialed.result.is_ok(), "{address}: {:?}", dialed.result);
            assert_eq!(dialed.local.unwrap().is_ipv6(), to.is_ipv6());
        }
    }

    #[tokio::test]
    async fn a_socket_that_calls_itself_is_refused() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert_eq!(connect(socket, own).await.unwrap_err(), DialError::Refused);
    }

    #[test]
    fn errors_of_this_machine_are_told_from_the_targets() {
        // Numbers of Linux: EPERM, EACCES, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH,
        // ECONNRESET, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH.
        for (number, local) in [
            (1, true),
            (13, false),
            (98, true),
            (99, true),
            (100, true),
            (101, false),
            (104, false),
            (110, false),
            (111, false),
            (113, false),
        ] {
            let error = why(&io::Error::from_raw_os_error(number));
            assert_eq!(matches!(error, DialError::Local(_)), local, "{number}: {error:?}");
        }
    }
}
