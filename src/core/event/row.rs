//! One packet as a capture read it: parsed fields, so that a row costs nothing until it is seen.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::types::{HostName, IfName, Time};

/// One packet on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketRow {
    /// On which host.
    pub host: HostName,
    /// When, by the host's own clock.
    pub at: Time,
    /// By which interface, where the capture tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<IfName>,
    /// The packet.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What one packet said, as far as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which way it went.
    #[serde(default, skip_serializing_if = "Way::is_unknown")]
    pub way: Way,
    /// Its whole length on the wire, in bytes.
    #[serde(default)]
    pub length: u32,
    /// What it was.
    pub what: What,
}

/// Which way a packet went, as the host's kernel says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The capture doesn't tell.
    #[default]
    Unknown,
    /// To this host, or to all.
    In,
    /// From this host.
    Out,
    /// To another host, and seen here all the same.
    Other,
}

impl Way {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// The flags of TCP, as the bits of its header (RFC 9293, 3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The connection ends from this side.
    pub const FIN: u8 = 1;
    /// A connection is asked for, or granted.
    pub const SYN: u8 = 2;
    /// It is refused, or cut.
    pub const RST: u8 = 4;
    /// Data is to be handed on at once.
    pub const PSH: u8 = 8;
    /// Something is acknowledged.
    pub const ACK: u8 = 16;

    /// Whether any of these is set.
    pub fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// As tcpdump writes them: `S.`, `F.`, `P.`, `R`; `none` where none is set.
    pub fn text(self) -> String {
        let signs = [(1, 'F'), (2, 'S'), (4, 'R'), (8, 'P'), (32, 'U'), (64, 'E'), (128, 'W'), (16, '.')];
        let text: String = signs.iter().filter(|(bit, _)| self.any(*bit)).map(|(_, sign)| *sign).collect();
        if text.is_empty() { "none".to_owned() } else { text }
    }
}

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Who has an address, or who has it (RFC 826).
    Arp {
        /// Whether it asks; it answers otherwise.
        asks: bool,
        /// Whose address the sender says is theirs.
        sender: Ipv4Addr,
        /// Whose address is asked for, or who is told.
        target: Ipv4Addr,
    },
    /// The same with IPv6 (RFC 4861).
    Neighbour {
        /// Whether it asks.
        asks: bool,
        /// From.
        src: Ipv6Addr,
        /// To.
        dst: Ipv6Addr,
        /// Whose address it is about.
        target: Ipv6Addr,
    },
    /// TCP.
    Tcp {
        /// From.
        src: SocketAddr,
        /// To.
        dst: SocketAddr,
        /// Its flags.
        flags: TcpFlags,
        /// The number of its first byte.
        seq: u32,
        /// The number that is expected next from the other side.
        ack: u32,
        /// How much may come, unscaled.
        window: u16,
        /// Bytes of data.
        data: u32,
        /// The TLS alert that its data begins with, in the clear (RFC 8446, section 6).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<u8>,
    },
    /// UDP.
    Udp {
        /// From.
        src: SocketAddr,
        /// To.
        dst: SocketAddr,
        /// Bytes of data.
        data: u32,
    },
    /// A ping, or its answer.
    Echo {
        /// From.
        src: IpAddr,
        /// To.
        dst: IpAddr,
        /// Whether it answers.
        reply: bool,
        /// Whose ping.
        id: u16,
        /// Its number.
        seq: u16,
    },
    /// An error by ICMP about a packet that it quotes.
    Error {
        /// Who says so.
        src: IpAddr,
        /// To whom.
        dst: IpAddr,
        /// What.
        why: IcmpError,
        /// The type and code as they stand there.
        code: (u8, u8),
        /// The quoted packet's protocol and ends, as far as they are there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<Quoted>,
    },
    /// A later piece of a packet that came in pieces.
    Fragment {
        /// From.
        src: IpAddr,
        /// To.
        dst: IpAddr,
        /// The number of its protocol.
        protocol: u8,
    },
    /// Any other protocol over IP, or one whose head is not whole.
    Ip {
        /// From.
        src: IpAddr,
        /// To.
        dst: IpAddr,
        /// The number of its protocol.
        protocol: u8,
    },
    /// Not IP; the number of its protocol (EtherType).
    Other {
        /// The number.
        ethertype: u16,
    },
}

/// The packet that an error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// The number of its protocol.
    pub protocol: u8,
    /// From; port 0 where it has none (a ping's id stands in both).
    pub src: SocketAddr,
    /// To.
    pub dst: SocketAddr,
}

/// What an error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcmpError {
    /// Forbidden by a rule.
    Prohibited,
    /// Nobody listens there.
    Port,
    /// No way to the host, or it does not answer for its address.
    Host,
    /// No way to the network, or any other reason.
    Unreachable,
    /// Too large to go on whole.
    TooBig,
    /// Too many routers on the way.
    TimeExceeded,
    /// Anything else.
    Other,
}

impl IcmpError {
    fn words(self) -> &'static str {
        match self {
            Self::Prohibited => "prohibited",
            Self::Port => "port unreachable",
            Self::Host => "host unreachable",
            Self::Unreachable => "unreachable",
            Self::TooBig => "too big",
            Self::TimeExceeded => "time exceeded",
            Self::Other => "error",
        }
    }
}

impl What {
    /// From whom and to whom, where it is about addresses.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        match *self {
            Self::Arp { sender, target, .. } => Some((sender.into(), target.into())),
            Self::Neighbour { src, dst, .. } => Some((src.into(), dst.into())),
            Self::Tcp { src, dst, .. } | Self::Udp { src, dst, .. } => Some((src.ip(), dst.ip())),
            Self::Echo { src, dst, .. }
            | Self::Error { src, dst, .. }
            | Self::Fragment { src, dst, .. }
            | Self::Ip { src, dst, .. } => Some((src, dst)),
            Self::Other { .. } => None,
        }
    }

    /// Whether it is to, from or about that address.
    pub fn concerns(&self, address: IpAddr) -> bool {
        if let Self::Neighbour { target, .. } = self
            && IpAddr::V6(*target) == address
        {
            return true;
        }
        self.ends().is_some_and(|(src, dst)| src == address || dst == address)
    }
}

/// An address and a port as tcpdump writes them: `192.0.2.32.443`.
fn end(socket: SocketAddr) -> String {
    format!("{}:{}", Shown(socket.ip()), socket.port())
}

/// IPv6 in brackets, as everywhere that a port may follow.
struct Shown(IpAddr);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl Seen {
    /// In the manner of tcpdump, without time and interface.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(96);
        // Writing to a String does not fail.
        let _ = match self.what {
            What::Arp { asks: true, sender, target } => write!(text, "ARP who-has {target} tell {sender}"),
            What::Arp { asks: false, sender, target } => write!(text, "ARP {sender} is-at, told {target}"),
            What::Neighbour { asks: true, src, target, .. } => {
                write!(text, "ICMP6 who-has {target} tell {src}")
            }
            What::Neighbour { asks: false, dst, target, .. } => {
                write!(text, "ICMP6 {target} is-at, told {dst}")
            }
            What::Tcp { src, dst, flags, seq, ack, window, data, alert } => {
                let _ = write!(text, "{} > {} [{}]", end(src), end(dst), flags.text());
                if data > 0 || flags.any(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) {
                    let _ = write!(text, " seq {seq}");
                }
                if flags.any(TcpFlags::ACK) {
                    let _ = write!(text, " ack {ack}");
                }
                if let Some(alert) = alert {
                    let _ = write!(text, " TLS alert {alert}");
                }
                write!(text, " win {window} length {data}")
            }
            What::Udp { src, dst, data } => write!(text, "{} > {} UDP length {data}", end(src), end(dst)),
            What::Echo { src, dst, reply, id, seq } => {
                let what = if reply { "reply" } else { "request" };
                write!(text, "{src} > {dst} ICMP echo {what} id {id} seq {seq}")
            }
            What::Error { src, dst, why, code, about } => {
                let _ = write!(text, "{src} > {dst} ICMP {} ({}/{})", why.words(), code.0, code.1);
                match about {
                    Some(about) => write!(text, " for {} > {}", end(about.src), end(about.dst)),
                    None => Ok(()),
                }
            }
            What::Fragment { src, dst, protocol } => {
                write!(text, "{src} > {dst} fragment, protocol {protocol}")
            }
            What::Ip { src, dst, protocol } => {
                write!(text, "{src} > {dst} protocol {protocol} length {}", self.length)
            }
            What::Other { ethertype } => write!(text, "ethertype 0x{ethertype:04x} length {}", self.length),
        };
        text
    }
}

impl PacketRow {
    /// The sign of its way: `<` in, `>` out, `-` neither.
    pub fn sign(&self) -> char {
        match self.seen.way {
            Way::In => '<',
            Way::Out => '>',
            Way::Other | Way::Unknown => '-',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(what: What) -> String {
        Seen { way: Way::In, length: 60, what }.text()
    }

    #[test]
    fn rows_read_as_tcpdump_writes_them() {
        let (src, dst) = ("198.51.100.7:51034".parse().unwrap(), "192.0.2.32:443".parse().unwrap());
        let tcp = |flags, data, alert| What::Tcp {
            src,
            dst,
            flags: TcpFlags(flags),
            seq: 7,
            ack: 9,
            window: 64_240,
            data,
            alert,
        };
        assert_eq!(text(tcp(2, 0, None)), "198.51.100.7:51034 > 192.0.2.32:443 [S] seq 7 win 64240 length 0");
        assert_eq!(
            text(tcp(24, 7, Some(40))),
            "198.51.100.7:51034 > 192.0.2.32:443 [P.] seq 7 ack 9 TLS alert 40 win 64240 length 7"
        );
        let arp = What::Arp {
            asks: true,
            sender: Ipv4Addr::new(192, 0, 2, 1),
            target: Ipv4Addr::new(192, 0, 2, 32),
        };
        assert_eq!(text(arp), "ARP who-has 192.0.2.32 tell 192.0.2.1");
        let about = Quoted { protocol: 6, src, dst };
        let error = What::Error {
            src: dst.ip(),
            dst: src.ip(),
            why: IcmpError::Prohibited,
            code: (3, 13),
            about: Some(about),
        };
        assert_eq!(
            text(error),
            "192.0.2.32 > 198.51.100.7 ICMP prohibited (3/13) for 198.51.100.7:51034 > 192.0.2.32:443"
        );
        assert!(arp.concerns(dst.ip()) && error.concerns(dst.ip()) && !arp.concerns(src.ip()));
    }

    #[test]
    fn a_row_goes_into_the_journal_and_back() {
        let row = PacketRow {
            host: "web1".parse().unwrap(),
            at: "2026-11-21T22:00:00.123456Z".parse().unwrap(),
            by: Some("eth0".parse().unwrap()),
            seen: Seen {
                way: Way::Out,
                length: 42,
                what: What::Udp {
                    src: "[2001:db8::1]:53".parse().unwrap(),
                    dst: "[::1]:9".parse().unwrap(),
                    data: 3,
                },
            },
        };
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<PacketRow>(&text).unwrap(), row);
        assert!(text.len() < 250, "{text}");
        assert_eq!(row.seen.text(), "[2001:db8::1]:53 > [::1]:9 UDP length 3");
    }
}
