//! Echo requests and what is heard of them, as bytes: pure.
//!
//! RFC 792 for IPv4, RFC 4443 for IPv6. A reply counts where peer, id, sequence and the random bytes of
//! the request all are as they were sent; an error counts where it quotes the request.

use std::net::IpAddr;

/// Random bytes of each request: nobody who did not see it can answer it.
pub(super) const NONCE: usize = 16;
const SEQUENCE: u16 = 1;
/// Type, code, checksum, id, sequence.
const HEAD: usize = 8;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) peer: IpAddr,
    pub(super) id: u16,
    pub(super) nonce: [u8; NONCE],
}

/// What a message means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the reply.
    Reply,
    /// It says that the request did not arrive.
    Unreachable(&'static str),
}

impl Echo {
    /// The message as it is sent.
    pub(super) fn request(&self) -> Vec<u8> {
        let kind = match self.peer {
            IpAddr::V4(_) => 8,
            IpAddr::V6(_) => 128,
        };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(self.id.to_be_bytes());
        message.extend(SEQUENCE.to_be_bytes());
        message.extend(self.nonce);
        // Of IPv6 it covers addresses that the kernel knows; so the kernel writes it.
        if self.peer.is_ipv4() {
            let sum = checksum(&message).to_be_bytes();
            message[2..4].copy_from_slice(&sum);
        }
        message
    }

    /// The ids that a message may be about: its own, and that of a request which an error quotes behind an
    /// IPv4 header, or an IPv6 one.
    pub(super) fn ids(message: &[u8]) -> [Option<u16>; 3] {
        let at = |bytes: Option<&[u8]>| {
            bytes.and_then(|b| b.get(4..6)).map(|id| u16::from_be_bytes([id[0], id[1]]))
        };
        let quoted = message.get(HEAD..).unwrap_or_default();
        [at(Some(message)), at(Some(behind_header(quoted))), at(quoted.get(40..))]
    }

    /// What this ICMP message says of the request; `None` for whatever has nothing to do with it.
    pub(super) fn heard(&self, message: &[u8], from: IpAddr) -> Option<Heard> {
        let (head, rest) = message.split_at_checked(HEAD)?;
        let (kind, code) = (head[0], head[1]);
        let reply = match self.peer {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => 129,
        };
        if kind == reply {
            let ours = from == self.peer && self.is_numbered(&head[4..]) && rest == self.nonce;
            return ours.then_some(Heard::Reply);
        }
        let why = match self.peer {
            IpAddr::V4(_) => unreachable_v4(kind, code)?,
            IpAddr::V6(_) => unreachable_v6(kind, code)?,
        };
        self.is_quoted(rest).then_some(Heard::Unreachable(why))
    }

    fn is_numbered(&self, numbers: &[u8]) -> bool {
        let [id, sequence] = [self.id, SEQUENCE].map(u16::to_be_bytes);
        numbers == [id, sequence].concat()
    }

    /// Whether an error quotes this request: its IP header, and at least the head behind it.
    fn is_quoted(&self, packet: &[u8]) -> bool {
        let (to, behind) = match self.peer {
            IpAddr::V4(_) => (packet.get(16..20), behind_header(packet)),
            IpAddr::V6(_) => (packet.get(24..40), packet.get(40..).unwrap_or_default()),
        };
        let ours = match self.peer {
            IpAddr::V4(peer) => to == Some(&peer.octets()),
            IpAddr::V6(peer) => to == Some(&peer.octets()),
        };
        let kind = self.request()[0];
        ours && behind.first() == Some(&kind) && behind.get(4..HEAD).is_some_and(|n| self.is_numbered(n))
    }
}

/// What an IPv4 packet carries; nothing where it is none.
pub(super) fn behind_header(packet: &[u8]) -> &[u8] {
    let first = packet.first().copied().unwrap_or_default();
    let length = usize::from(first & 0x0f) * 4;
    let good = first >> 4 == 4 && length >= 20;
    packet.get(length..).filter(|_| good).unwrap_or_default()
}

/// To whom an IPv4 packet is.
pub(super) fn destination(packet: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some(octets.into())
}

fn unreachable_v4(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (3, 0 | 6 | 11) => "no route to its network",
        (3, 1 | 7 | 8 | 12) => "no such host on its network",
        (3, 9 | 10 | 13) => "forbidden by a filter",
        (3, _) => "not delivered",
        (11, _) => "the way there goes in a circle",
        _ => return None,
    })
}

fn unreachable_v6(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "no route to its network",
        (1, 1 | 5 | 6) => "forbidden by a filter",
        (1, 3) => "no such host on its network",
        (1, _) => "not delivered",
        (3, _) => "the way there goes in a circle",
        _ => return None,
    })
}

/// The checksum of RFC 1071.
fn checksum(message: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let sum: u32 = message.chunks(2).map(word).sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn echo(peer: &str) -> Echo {
        Echo { peer: peer.parse().unwrap(), id: 0x1234, nonce: *b"sixteen bytes !!" }
    }

    /// What the target sends back.
    fn reply(echo: &Echo) -> Vec<u8> {
        let mut message = echo.request();
        message[0] = if echo.peer.is_ipv4() { 0 } else { 129 };
        message
    }

    /// An error that quotes what was sent.
    fn error(echo: &Echo, kind: u8, code: u8, quoted: usize) -> Vec<u8> {
        let header = match echo.peer {
            IpAddr::V4(peer) => [&[0x45, 0, 0, 0], &[0; 12][..], &peer.octets()].concat(),
            IpAddr::V6(peer) => [&[0x60, 0, 0, 0], &[0; 20][..], &peer.octets()].concat(),
        };
        let request = echo.request();
        [&[kind, code, 0, 0, 0, 0, 0, 0], &header[..], &request[..quoted]].concat()
    }

    #[test]
    fn a_request_has_the_checksum_that_the_standard_asks_for() {
        let request = echo("192.0.2.1").request();
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(checksum(&request), 0, "over all of it, the sum included");
        // The example of RFC 1071.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(echo("2001:db8::1").request()[..2], [128, 0]);
    }

    #[test]
    fn a_reply_counts_from_its_peer_with_its_numbers_and_bytes() {
        for peer in ["192.0.2.1", "2001:db8::1"] {
            let echo = echo(peer);
            let good = reply(&echo);
            assert_eq!(echo.heard(&good, echo.peer), Some(Heard::Reply));
            assert!(Echo::ids(&good).contains(&Some(0x1234)));
            assert_eq!(echo.heard(&echo.request(), echo.peer), None, "our own, seen on the loopback");
            let other = if echo.peer.is_ipv4() { "192.0.2.2" } else { "2001:db8::2" };
            assert_eq!(echo.heard(&good, other.parse().unwrap()), None);
            for at in (0..good.len()).filter(|at| ![1, 2, 3].contains(at)) {
                let mut bent = good.clone();
                bent[at] ^= 0x40;
                assert_eq!(echo.heard(&bent, echo.peer), None, "byte {at}");
            }
            assert_eq!(echo.heard(&good[..good.len() - 1], echo.peer), None);
        }
    }

    #[test]
    fn errors_that_quote_the_request_are_its_own() {
        let router = |peer: &Echo| if peer.peer.is_ipv4() { "198.51.100.1" } else { "2001:db8:1::1" };
        for (peer, kind, code, expected) in [
            ("192.0.2.1", 3, 0, Some("no route to its network")),
            ("192.0.2.1", 3, 1, Some("no such host on its network")),
            ("192.0.2.1", 3, 13, Some("forbidden by a filter")),
            ("192.0.2.1", 11, 0, Some("the way there goes in a circle")),
            ("192.0.2.1", 4, 0, None),
            ("2001:db8::1", 1, 0, Some("no route to its network")),
            ("2001:db8::1", 1, 3, Some("no such host on its network")),
            ("2001:db8::1", 3, 0, Some("the way there goes in a circle")),
            ("2001:db8::1", 135, 0, None),
        ] {
            let echo = echo(peer);
            let from = router(&echo).parse().unwrap();
            let message = error(&echo, kind, code, 8);
            assert!(Echo::ids(&message).contains(&Some(0x1234)));
            assert_eq!(echo.heard(&message, from), expected.map(Heard::Unreachable), "{peer} {kind} {code}");
            let other = Echo { id: 0x1235, ..echo.clone() };
            assert_eq!(other.heard(&message, from), None, "somebody else's");
            assert_eq!(echo.heard(&error(&echo, kind, code, 7), from), None, "too little of it");
        }
    }

    #[test]
    fn behind_an_ip_header_with_options_is_the_message() {
        let packet = [&[0x46][..], &[0; 23], b"rest"].concat();
        assert_eq!(behind_header(&packet), b"rest");
        for bad in [&[][..], &[0x45], &[0x44; 40], &[0x60; 40]] {
            assert_eq!(behind_header(bad), b"");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_passed_over(
            message in prop::collection::vec(any::<u8>(), 0..120),
            kind in prop::sample::select(&[0_u8, 1, 3, 11, 129][..]),
        ) {
            for peer in ["192.0.2.1", "2001:db8::1"] {
                let echo = echo(peer);
                let heard = echo.heard(&[&[kind], &message[..]].concat(), echo.peer);
                // Nobody guesses sixteen bytes.
                prop_assert_ne!(heard, Some(Heard::Reply));
                let _ = (behind_header(&message), Echo::ids(&message));
            }
        }
    }
}
