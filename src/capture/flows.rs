//! Conversations with the customers' addresses: who asked, who answered, by which interface. "In" is
//! towards the customer's address. Memory is bounded: the oldest that ended go first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::packet::Frame;
use crate::core::event::{Flow, IcmpError, Tally, TcpFlags, Way, What};
use crate::types::Span;

/// Conversations of one host that are kept.
const MOST: usize = 20_000;
/// How many are kept when there were too many.
const FEWER: usize = MOST * 3 / 4;
/// The same packet on another interface of the host (a bridge, a VLAN, both ends of the loopback) is seen
/// within this time, in nanoseconds.
const SAME: u64 = 20_000_000;
/// A SYN this long after the last packet begins another conversation, also with the same number; in
/// nanoseconds.
const ANEW: u64 = 120_000_000_000;

/// What conversations are found by: the customer's end, the caller's port (a ping's id), the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) server: SocketAddr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Echo,
}

/// One conversation.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub(super) client: IpAddr,
    pub(super) began: u64,
    last: u64,
    /// When its newest packet came in, by the cockpit's steady time.
    pub(super) heard: u64,
    /// Whether an attempt was found to be it.
    pub(super) claimed: bool,
    /// Whether that was by address and time alone: whose port it is may still claim it.
    pub(super) guessed: bool,
    ended: bool,
    counts: Counts,
    came_by: Option<u32>,
    left_by: Option<u32>,
    first_in: Option<u64>,
    first_out: Option<u64>,
    caller: Side,
    host: Side,
}

/// What is counted, as [`Flow`] tells it.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    asked: u32,
    granted: u32,
    completed: bool,
    refused: u32,
    prohibited: u32,
    dropped_by_caller: u32,
    data_in: u32,
    data_out: u32,
    again_in: u32,
    again_out: u32,
    alert: Option<u8>,
}

/// One side's packets.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    /// The number of its first byte.
    first: Option<u32>,
    /// The number after its last byte.
    next: Option<u32>,
    /// Its newest packet and where it was seen, to know the same one elsewhere on the host.
    newest: Option<(u64, Mark, Place)>,
}

/// What tells one packet of a side from the next.
type Mark = (u32, u32, u8, u32);
/// Where a packet was seen: by which interface, and which way.
type Place = (u32, Way);

impl Side {
    /// Whether it is the newest packet seen once more, elsewhere: what is sent again is seen again where
    /// it was seen first.
    fn same(&mut self, at: u64, mark: Mark, place: Place) -> bool {
        let same = self.newest.is_some_and(|(before, other, first)| {
            other == mark && first != place && at.saturating_sub(before) < SAME
        });
        if !same {
            self.newest = Some((at, mark, place));
        }
        same
    }

    /// Whether data of that number and length was sent before.
    fn again(&mut self, seq: u32, length: u32) -> bool {
        let end = seq.wrapping_add(length);
        match self.next {
            // Numbers go round: half of them are before.
            Some(next) if (end.wrapping_sub(next) as i32) <= 0 => {
                // One byte before the next is how a quiet connection is kept alive.
                !(length <= 1 && end == next)
            }
            _ => {
                self.next = Some(end);
                false
            }
        }
    }
}

impl Conversation {
    fn new(client: IpAddr, at: u64) -> Self {
        Self {
            client,
            began: at,
            last: at,
            heard: 0,
            claimed: false,
            guessed: false,
            ended: false,
            counts: Counts::default(),
            came_by: None,
            left_by: None,
            first_in: None,
            first_out: None,
            caller: Side::default(),
            host: Side::default(),
        }
    }

    /// What it came to, with its interfaces by these names.
    pub(super) fn flow(&self, names: &super::Interfaces) -> Flow {
        let Counts {
            asked,
            granted,
            completed,
            refused,
            prohibited,
            dropped_by_caller,
            data_in,
            data_out,
            again_in,
            again_out,
            alert,
        } = self.counts;
        let wait = |(asked, told): (u64, u64)| Span::ms(told.saturating_sub(asked) / 1_000_000);
        Flow {
            asked,
            granted,
            completed,
            refused,
            prohibited,
            dropped_by_caller,
            data_in,
            data_out,
            again_out,
            again_in,
            alert,
            first_byte: self.first_in.zip(self.first_out).map(wait),
            came_by: self.came_by.and_then(|index| names.name(index)),
            left_by: self.left_by.and_then(|index| names.name(index)),
            by_time: false,
        }
    }

    fn passed(&mut self, at: u64, inward: bool, (interface, _): Place, again: bool) {
        self.last = self.last.max(at);
        if interface == 0 {
            return;
        }
        // The innermost of several: it is the one that routes speak of. A packet comes to it last, and
        // leaves it first.
        if inward {
            self.came_by = Some(interface);
        } else if !again {
            self.left_by = Some(interface);
        }
    }

    fn tcp(&mut self, at: u64, inward: bool, place: Place, segment: &Segment) {
        let Segment { flags, seq, ack, data, alert } = *segment;
        let side = if inward { &mut self.caller } else { &mut self.host };
        let same = side.same(at, (seq, ack, flags.0, data), place);
        self.passed(at, inward, place, same);
        if same {
            return;
        }
        let side = if inward { &mut self.caller } else { &mut self.host };
        if flags.any(TcpFlags::SYN) {
            side.first = Some(seq);
            side.next = Some(seq.wrapping_add(1));
        }
        let again = data > 0 && !flags.any(TcpFlags::SYN) && side.again(seq, data);
        let counts = &mut self.counts;
        let rst = flags.any(TcpFlags::RST);
        match (inward, flags.any(TcpFlags::SYN)) {
            (true, true) => counts.asked = counts.asked.saturating_add(1),
            (false, true) if flags.any(TcpFlags::ACK) => counts.granted = counts.granted.saturating_add(1),
            (true, false) if rst => counts.dropped_by_caller = counts.dropped_by_caller.saturating_add(1),
            (false, _) if rst => counts.refused = counts.refused.saturating_add(1),
            (true, false) => {
                // It acknowledges the host's own SYN, or more.
                let granted = self.host.first.is_some_and(|first| (ack.wrapping_sub(first) as i32) > 0);
                counts.completed |= flags.any(TcpFlags::ACK) && granted;
            }
            (false, _) => {}
        }
        // A server that speaks first answers nobody.
        let told = inward || self.first_in.is_some();
        if data > 0 {
            let (count, repeated, first) = if inward {
                (&mut counts.data_in, &mut counts.again_in, &mut self.first_in)
            } else {
                (&mut counts.data_out, &mut counts.again_out, &mut self.first_out)
            };
            *count = count.saturating_add(1);
            *repeated = repeated.saturating_add(u32::from(again));
            if told {
                first.get_or_insert(at);
            }
        }
        if !inward {
            counts.alert = counts.alert.or(alert);
        }
        self.ended |= rst || flags.any(TcpFlags::FIN);
    }

    fn simple(&mut self, at: u64, inward: bool, place: Place, mark: Mark) {
        let side = if inward { &mut self.caller } else { &mut self.host };
        let same = side.same(at, mark, place);
        self.passed(at, inward, place, same);
        if same {
            return;
        }
        let count = if inward { &mut self.counts.asked } else { &mut self.counts.granted };
        *count = count.saturating_add(1);
        self.ended |= !inward;
    }
}

/// Whether a packet begins a conversation of ends that had one.
#[derive(Debug, Clone, Copy)]
enum Begins {
    /// TCP's SYN: where its number is another.
    Syn(u32),
    /// A question without a connection: where the one before was looked at already.
    Question,
    Never,
}

impl Begins {
    fn asked(inward: bool) -> Self {
        if inward { Self::Question } else { Self::Never }
    }
}

struct Segment {
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    data: u32,
    alert: Option<u8>,
}

/// The conversations of one host, and what passed by for each address.
#[derive(Debug)]
pub(super) struct Flows {
    addresses: HashSet<IpAddr>,
    all: HashMap<Key, Vec<Conversation>>,
    count: usize,
    /// Callers that are vantages: theirs stay.
    known: HashSet<IpAddr>,
    /// When something was let go that nobody had looked for.
    pub(super) let_go: Option<u64>,
    tallies: BTreeMap<IpAddr, Tally>,
    /// When what is taken in now came in, by the cockpit's steady time.
    hears: u64,
}

impl Flows {
    pub(super) fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            all: HashMap::new(),
            count: 0,
            known: HashSet::new(),
            let_go: None,
            tallies: BTreeMap::new(),
            hears: 0,
        }
    }

    /// What is taken in from here on came in then, by the cockpit's steady time.
    pub(super) fn hear(&mut self, now: u64) {
        self.hears = now;
    }

    /// Takes a packet in; `at` by the host's clock.
    pub(super) fn take(&mut self, at: u64, frame: &Frame) {
        let way = frame.seen.way;
        if way == Way::Other {
            return;
        }
        self.tally(frame);
        let place = (frame.interface, way);
        match frame.seen.what {
            What::Tcp { src, dst, flags, seq, ack, data, alert, .. } => {
                let asks = flags.any(TcpFlags::SYN) && !flags.any(TcpFlags::ACK);
                let Some((inward, key, client)) = self.sides(Protocol::Tcp, src, dst, asks) else { return };
                let begins = if asks { Begins::Syn(seq) } else { Begins::Never };
                let talk = self.conversation(key, client, at, begins);
                talk.tcp(at, inward, place, &Segment { flags, seq, ack, data, alert });
            }
            What::Udp { src, dst, data } => {
                let Some((inward, key, client)) = self.sides(Protocol::Udp, src, dst, false) else { return };
                let talk = self.conversation(key, client, at, Begins::asked(inward));
                talk.simple(at, inward, place, (0, 0, 0, data));
            }
            What::Echo { src, dst, reply, id, seq } => {
                let (server, client) = if reply { (src, dst) } else { (dst, src) };
                if !self.addresses.contains(&server) {
                    return;
                }
                let key = Key { server: SocketAddr::new(server, 0), port: id, protocol: Protocol::Echo };
                let talk = self.conversation(key, client, at, Begins::asked(!reply));
                talk.simple(at, !reply, place, (u32::from(seq), 0, 0, 0));
            }
            What::Error { about: Some(about), why, src, .. } => {
                let refuses = matches!(why, IcmpError::Prohibited | IcmpError::Port);
                // The loopback interface shows what the host says to itself as coming in.
                if !refuses || way == Way::In && !self.addresses.contains(&src) {
                    return;
                }
                let (protocol, server) = match about.protocol {
                    6 => (Protocol::Tcp, about.dst),
                    17 => (Protocol::Udp, about.dst),
                    1 | 58 => (Protocol::Echo, SocketAddr::new(about.dst.ip(), 0)),
                    _ => return,
                };
                if !self.addresses.contains(&server.ip()) {
                    return;
                }
                let key = Key { server, port: about.src.port(), protocol };
                let talk = self.conversation(key, about.src.ip(), at, Begins::Never);
                if !talk.host.same(at, (0, 0, 0, u32::from(about.protocol)), place) {
                    let count = match (why, protocol) {
                        // The kernel's own word that nobody listens there, which some firewalls use too.
                        (IcmpError::Port, Protocol::Udp) => &mut talk.counts.refused,
                        (_, Protocol::Tcp | Protocol::Udp | Protocol::Echo) => &mut talk.counts.prohibited,
                    };
                    *count = count.saturating_add(1);
                }
                talk.passed(at, false, place, false);
            }
            What::Arp { .. }
            | What::Neighbour { .. }
            | What::Error { .. }
            | What::Fragment { .. }
            | What::Ip { .. }
            | What::Other { .. } => {}
        }
    }

    /// Whether a packet goes towards the customer's address, and the conversation's key and caller.
    /// With both ends on this host the ends that are known already tell, and else who asks.
    fn sides(
        &self,
        protocol: Protocol,
        src: SocketAddr,
        dst: SocketAddr,
        asks: bool,
    ) -> Option<(bool, Key, IpAddr)> {
        let key = |server: SocketAddr, client: SocketAddr| Key { server, port: client.port(), protocol };
        let (to, from) = (key(dst, src), key(src, dst));
        let inward = match (self.addresses.contains(&dst.ip()), self.addresses.contains(&src.ip())) {
            (false, false) => return None,
            (true, false) => true,
            (false, true) => false,
            (true, true) => asks || self.all.contains_key(&to) || !self.all.contains_key(&from),
        };
        Some(if inward { (true, to, src.ip()) } else { (false, from, dst.ip()) })
    }

    /// The newest conversation of these ends; another one where a SYN of another number begins it.
    fn conversation(&mut self, key: Key, client: IpAddr, at: u64, begins: Begins) -> &mut Conversation {
        let of_key = self.all.get(&key);
        let found = of_key.and_then(|talks| talks.iter().rposition(|talk| talk.client == client));
        let continues = |talk: &Conversation| match begins {
            Begins::Syn(seq) => {
                talk.caller.first.is_none_or(|first| first == seq) && at.saturating_sub(talk.last) < ANEW
            }
            Begins::Question => !talk.claimed,
            Begins::Never => true,
        };
        let found = found.filter(|at| of_key.is_some_and(|talks| continues(&talks[*at])));
        if found.is_none() && self.count >= MOST {
            self.make_room(at);
        }
        let talks = self.all.entry(key).or_default();
        let place = match found {
            Some(place) => place,
            None => {
                self.count += 1;
                talks.push(Conversation::new(client, at));
                talks.len() - 1
            }
        };
        let talk = &mut talks[place];
        talk.heard = self.hears;
        talk
    }

    /// Lets the oldest go, those first that were looked at or have ended, and the vantages' own last.
    fn make_room(&mut self, at: u64) {
        let rank = |talk: &Conversation, known: &HashSet<IpAddr>| {
            (known.contains(&talk.client) && !talk.claimed, !talk.claimed, !talk.ended, talk.last)
        };
        let mut ranks: Vec<_> = self.all.values().flatten().map(|talk| rank(talk, &self.known)).collect();
        let gone = ranks.len().saturating_sub(FEWER);
        if gone == 0 {
            return;
        }
        let (_, limit, _) = ranks.select_nth_unstable(gone - 1);
        let limit = *limit;
        let (known, mut unseen) = (&self.known, false);
        self.all.retain(|_, talks| {
            talks.retain(|talk| {
                let stays = rank(talk, known) > limit;
                unseen |= !stays && !talk.claimed;
                stays
            });
            !talks.is_empty()
        });
        self.count = self.all.values().map(Vec::len).sum();
        if unseen {
            self.let_go = Some(at);
        }
    }

    fn tally(&mut self, frame: &Frame) {
        let way = frame.seen.way;
        let mut bump = |address: IpAddr, add: fn(&mut Tally)| {
            if self.addresses.contains(&address) {
                let none = || Tally { address, arp_asked: 0, arp_answered: 0, came: 0, left: 0 };
                add(self.tallies.entry(address).or_insert_with(none));
            }
        };
        let asked = |tally: &mut Tally| tally.arp_asked = tally.arp_asked.saturating_add(1);
        let answered = |tally: &mut Tally| tally.arp_answered = tally.arp_answered.saturating_add(1);
        match frame.seen.what {
            // One that asks for their own address announces it.
            What::Arp { asks: true, sender, target } => {
                if way != Way::Out && sender != target {
                    bump(target.into(), asked);
                }
            }
            What::Arp { asks: false, sender, .. } if way != Way::In => bump(sender.into(), answered),
            What::Neighbour { asks: true, src, target, .. } => {
                if way != Way::Out && src != target {
                    bump(target.into(), asked);
                }
            }
            What::Neighbour { asks: false, target, .. } if way != Way::In => bump(target.into(), answered),
            What::Arp { .. } | What::Neighbour { .. } => {}
            what => {
                let Some((src, dst)) = what.ends() else { return };
                if way != Way::Out {
                    bump(dst, |tally| tally.came = tally.came.saturating_add(1));
                }
                if way != Way::In {
                    bump(src, |tally| tally.left = tally.left.saturating_add(1));
                }
            }
        }
    }

    /// Which customer's address a packet is about.
    pub(super) fn whose(&self, what: What) -> Option<IpAddr> {
        let ends: Option<(IpAddr, IpAddr)> = match what {
            What::Arp { sender, target, .. } => Some((target.into(), sender.into())),
            What::Neighbour { src, target, .. } => Some((target.into(), src.into())),
            what => what.ends().map(|(src, dst)| (dst, src)),
        };
        let (to, from) = ends?;
        [to, from].into_iter().find(|address| self.addresses.contains(address))
    }

    /// What passed by since this was asked last; addresses with nothing are left out.
    pub(super) fn tallies(&mut self) -> Vec<Tally> {
        std::mem::take(&mut self.tallies).into_values().collect()
    }

    /// The conversations of that key.
    pub(super) fn of(&mut self, key: &Key) -> impl Iterator<Item = &mut Conversation> {
        self.all.get_mut(key).into_iter().flatten()
    }

    /// Every conversation with that end.
    pub(super) fn with(
        &mut self,
        server: SocketAddr,
        protocol: Protocol,
    ) -> impl Iterator<Item = &mut Conversation> {
        let fits = move |key: &Key| key.server == server && key.protocol == protocol;
        self.all.iter_mut().filter(move |(key, _)| fits(key)).flat_map(|(_, talks)| talks)
    }

    /// A caller that was found to be a vantage.
    pub(super) fn know(&mut self, client: IpAddr) {
        self.known.insert(client);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests;
