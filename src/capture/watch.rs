//! One host's capture while it runs: bytes in, findings out.

use std::net::IpAddr;

use super::attempts::{Attempted, Attempts, Standing};
use super::flows::Flows;
use super::life::{self, Life};
use super::packet::{self, Frame};
use super::pcap::{PcapError, Raw, Reader};
use super::rows::Rows;
use super::{Interfaces, link};
use crate::core::event::{PacketEvent, PacketRow, Seen, Whole};
use crate::types::{HostName, Span, Time};

/// What passed by is told this often, in nanoseconds.
const TOLD: u64 = 5_000_000_000;

/// Packets come in the order of time, but for those that two processors took at once: one that is this much
/// older than one before it shows that the host's clock was set back; in nanoseconds.
const BACK: u64 = 400_000_000;

/// Of two packets the one may be under way for so much longer than the other; a host's clock that is ahead by more than
/// that of what it was known to be has been set, or this machine slept; in nanoseconds.
const AHEAD: u64 = 500_000_000;

/// What a capture has to say at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What goes into the journal.
    pub events: Vec<PacketEvent>,
    /// Rows for people.
    pub rows: Vec<PacketRow>,
    /// How many rows were left out.
    pub left_out: u64,
}

/// One host's capture. It outlives the stream that feeds it: attempts wait over a lost connection, and
/// what vantages are known to be stays.
#[derive(Debug)]
pub struct Watch {
    host: HostName,
    interfaces: Interfaces,
    reader: Reader,
    flows: Flows,
    attempts: Attempts,
    rows: Rows,
    /// Since when nothing was missed.
    whole_since: Option<u64>,
    life: Life,
    /// What to add to the cockpit's steady time to have the host's; `None` until something of the stream told.
    offset: Option<i64>,
    told: u64,
    dropped: u64,
    new_drops: u64,
}

impl Watch {
    /// A capture that has not begun, of the customers' addresses on that host.
    pub fn new(host: HostName, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            host,
            interfaces: Interfaces::default(),
            reader: Reader::default(),
            flows: Flows::new(addresses),
            attempts: Attempts::default(),
            rows: Rows::default(),
            whole_since: None,
            life: Life::default(),
            offset: None,
            told: 0,
            dropped: 0,
            new_drops: 0,
        }
    }

    /// A stream begins. `now`: the cockpit's steady time, as everywhere here; `clock`: the host's at that moment, where it said;
    /// both in nanoseconds since 1970.
    pub fn begin(&mut self, interfaces: Interfaces, clock: Option<u64>, now: u64) {
        (self.reader, self.life, self.interfaces) = (Reader::default(), Life::default(), interfaces);
        self.offset = clock.map(|clock| clock.wrapping_sub(now) as i64);
        (self.whole_since, self.told, self.dropped) = (Some(now), now, 0);
    }

    /// The stream has ended: what was not seen from now on says nothing.
    pub fn end(&mut self) {
        self.whole_since = None;
    }

    /// This machine's clock was set, or it slept: what was not seen of what began before says nothing.
    pub fn stepped(&mut self, now: u64) {
        self.whole_since = self.whole_since.map(|_| now);
    }

    /// What to add to the cockpit's steady time to have the host's, in nanoseconds.
    pub fn offset(&self) -> i64 {
        self.offset.unwrap_or(0)
    }

    /// A moment of the host's clock by the cockpit's steady time.
    fn here(&self, host: u64) -> u64 {
        host.saturating_add_signed(self.offset().saturating_neg())
    }

    /// Takes bytes of the stream; `each` gets every packet as it came, but for the helper's own signs.
    ///
    /// # Errors
    /// Where it is no pcap stream, or out of step: it has to begin anew.
    pub fn push(
        &mut self,
        bytes: &[u8],
        now: u64,
        mut each: impl FnMut(u16, &Raw<'_>),
    ) -> Result<(), PcapError> {
        let Self { reader, flows, rows, life, offset, whole_since, .. } = self;
        flows.hear(now);
        reader.push(bytes, |link, raw| {
            // What told best of the clock tells of another one then. What came before is not looked for by this
            // one: until now nothing is said to be missing.
            if raw.at.saturating_add(BACK) < life.newest() {
                life.clock_set();
                (*offset, *whole_since) = (None, whole_since.map(|_| now));
            }
            // What says the time is under way for a while: nothing arrives before it was sent, so of all that
            // tell, the one that was quickest tells it best.
            let ahead = raw.at.wrapping_sub(now) as i64;
            if offset.is_some_and(|offset| ahead > offset && ahead.abs_diff(offset) > AHEAD) {
                // By what was known of the clock nothing from before is looked for.
                *whole_since = whole_since.map(|_| now);
            }
            *offset = Some(offset.map_or(ahead, |offset| offset.max(ahead)));
            life.came(raw.at);
            let frame @ Frame { interface, seen, heads: _ } = packet::frame(link, raw.length, raw.bytes);
            if life::is_sign(&seen) {
                return;
            }
            flows.take(raw.at, &frame);
            let whose = flows.whose(seen.what);
            rows.add(raw.at, interface, &Seen { length: wire(link, raw.length), ..seen }, whose);
            each(link, &raw);
        })
    }

    /// tcpdump says how many packets of this stream it has written so far, where it says it, and how many the
    /// kernel dropped.
    pub fn counted(&mut self, captured: Option<u64>, dropped: u64, now: u64) {
        let more = dropped.saturating_sub(self.dropped);
        if more > 0 {
            (self.dropped, self.whole_since) = (dropped, self.whole_since.map(|_| now));
            self.new_drops = self.new_drops.saturating_add(more);
        }
        if let Some(captured) = captured {
            self.life.counted(captured);
        }
    }

    /// An attempt has ended: it is looked for a moment later.
    pub fn attempted(&mut self, attempt: Attempted) {
        self.attempts.add(attempt);
    }

    /// What there is to say by now.
    pub fn found(&mut self, now: u64) -> Found {
        let (rows, left_out) = self.rows.take(&self.host, &self.interfaces);
        let mut events = Vec::new();
        if let Some(host) = self.flows.let_go.take() {
            // Somebody's conversation was let go unseen: from then on all is there again.
            let at = self.here(host);
            self.whole_since = self.whole_since.map(|since| since.max(at).max(now));
        }
        let whole_until = self.life.until().map(|until| self.here(until));
        let standing = Standing { now, whole_since: self.whole_since, whole_until, offset: self.offset() };
        for (attempt, flow) in self.attempts.due(&standing, &mut self.flows, &self.interfaces) {
            let Attempted { probe, vantage, local, at, .. } = attempt;
            let (host, flow, ended) = (self.host.clone(), Box::new(flow), Some(at));
            events.push(PacketEvent::Matched { host, probe, vantage, local, ended, flow });
        }
        if now.saturating_sub(self.told) >= TOLD {
            let over = Span::ms(now.saturating_sub(self.told) / 1_000_000);
            self.told = now;
            let (tallies, dropped) = (self.flows.tallies(), std::mem::take(&mut self.new_drops));
            // Also where nothing passed by: silence on the wire is to be told from that of a capture.
            let runs = self.whole_since.is_some();
            if runs || !tallies.is_empty() || dropped > 0 {
                let whole = self.whole_since.zip(whole_until).filter(|(since, until)| since < until);
                let whole = whole.map(|(since, until)| Whole { since: time(since), until: time(until) });
                events.push(PacketEvent::Tallied { host: self.host.clone(), over, tallies, dropped, whole });
            }
        }
        Found { events, rows, left_out }
    }
}

/// Of nanoseconds since 1970.
fn time(at: u64) -> Time {
    Time::from_timestamp_nanos(i64::try_from(at).unwrap_or(i64::MAX))
}

/// A packet's length without what the cooked capture puts before it.
fn wire(link: u16, length: u32) -> u32 {
    match link {
        link::SLL2 => length.saturating_sub(20),
        link::SLL => length.saturating_sub(16),
        _ => length,
    }
}

#[cfg(test)]
mod tests;
