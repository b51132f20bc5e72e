//! How far a capture's stream is known to be whole: silence on a wire is to be told from that of a slow
//! connection, which may hold back minutes of packets.
//!
//! tcpdump is asked for its counts every few seconds, and just before that the helper sends a datagram that
//! the capture sees. Once as many packets have come in as tcpdump had counted, all that the host saw before
//! the last of them is here, and what its kernel dropped until then is known. Counts and packets come by two
//! ways that may overtake each other, so neither says it alone.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::core::event::{Seen, What};

/// Where the helper sends its datagrams: to nobody, on the host itself (the port is "discard").
pub const SIGN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Moments are noted so far apart, in nanoseconds.
const STEP: u64 = 100_000_000;
/// Moments that wait to be counted.
const MOST: usize = 600;

/// Whether a packet is the helper's own sign, which nobody wants to see.
pub(super) fn is_sign(seen: &Seen) -> bool {
    matches!(seen.what, What::Udp { dst, .. } if dst == SIGN)
}

/// What came of one stream, and what was counted of it.
#[derive(Debug, Default)]
pub(super) struct Life {
    came: u64,
    newest: u64,
    /// So many packets had come in by a moment of the host's clock.
    marks: VecDeque<(u64, u64)>,
    counted: u64,
    until: Option<u64>,
}

impl Life {
    /// A packet has come in; `at` by the host's clock, in nanoseconds since 1970.
    pub(super) fn came(&mut self, at: u64) {
        self.came += 1;
        self.newest = self.newest.max(at);
        if self.marks.back().is_none_or(|(_, last)| self.newest - last >= STEP) {
            if self.marks.len() == MOST {
                self.marks.pop_front();
            }
            self.marks.push_back((self.came, self.newest));
            self.settle();
        }
    }

    /// The host's clock was set: moments from before say nothing of those from now on.
    pub(super) fn clock_set(&mut self) {
        (self.newest, self.until) = (0, None);
        self.marks.clear();
    }

    /// The newest packet's moment, by the host's clock.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// tcpdump has counted so many packets by now.
    pub(super) fn counted(&mut self, packets: u64) {
        self.counted = self.counted.max(packets);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((_, at)) = self.marks.front().filter(|(came, _)| *came <= self.counted) {
            self.until = Some(*at);
            self.marks.pop_front();
        }
    }

    /// How many packets have come in.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.came
    }

    /// Until when, by the host's clock, everything that it saw is here; `None` while that is not known.
    pub(super) fn until(&self) -> Option<u64> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEC: u64 = 1_000_000_000;

    #[test]
    fn it_is_whole_as_far_as_both_have_come() {
        let mut life = Life::default();
        life.came(10 * SEC);
        assert_eq!(life.until(), None, "nobody has counted");
        life.counted(1);
        assert_eq!(life.until(), Some(10 * SEC));
        // The counts overtake the packets.
        life.counted(3);
        assert_eq!(life.until(), Some(10 * SEC));
        life.came(12 * SEC);
        assert_eq!(life.until(), Some(12 * SEC));
        // The packets are ahead.
        for n in 13..20 {
            life.came(n * SEC);
        }
        assert_eq!(life.until(), Some(13 * SEC));
        life.counted(2);
        assert_eq!(life.until(), Some(13 * SEC));
        life.counted(9);
        assert_eq!(life.until(), Some(19 * SEC));
    }

    proptest! {
        /// A host sees packets and counts them; each of the two ways hands on what it has in its own time. What is
        /// then said to be whole is.
        #[test]
        fn it_never_says_more_than_has_come(
            gaps in prop::collection::vec(0_u64..3 * SEC, 1..60),
            counts in prop::collection::vec((0_usize..60, 0_usize..60), 0..12),
        ) {
            let mut at = SEC;
            let packets: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
            let mut life = Life::default();
            // How many packets were counted, and how many had come in as the count did.
            let mut counts: Vec<_> = counts.into_iter()
                .map(|(counted, came)| (counted.min(packets.len()), came.min(packets.len()))).collect();
            counts.sort_unstable_by_key(|(counted, came)| (*came, *counted));
            let (mut in_hand, mut counted_most) = (0, 0);
            for (counted, came) in counts {
                for packet in &packets[in_hand..came.max(in_hand)] {
                    life.came(*packet);
                }
                in_hand = in_hand.max(came);
                life.counted(counted as u64);
                counted_most = counted_most.max(counted);
                let whole = in_hand.min(counted_most);
                let limit = whole.checked_sub(1).map(|last| packets[last]);
                prop_assert!(life.until() <= limit, "{:?} {:?}", life.until(), limit);
            }
        }
    }
}
