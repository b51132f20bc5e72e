//! One host's capture while it runs: bytes in, findings out.

use std::net::IpAddr;

use super::attempts::{Attempted, Attempts, Standing};
use super::flows::Flows;
use super::packet::{self, Frame};
use super::pcap::{PcapError, Raw, Reader};
use super::rows::Rows;
use super::{Interfaces, link};
use crate::core::event::{PacketEvent, PacketRow, Seen};
use crate::types::{HostName, Span};

/// What passed by is told this often, in nanoseconds.
const TOLD: u64 = 5_000_000_000;

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
    heard: u64,
    newest: u64,
    offset: i64,
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
            heard: 0,
            newest: 0,
            offset: 0,
            told: 0,
            dropped: 0,
            new_drops: 0,
        }
    }

    /// A stream begins. `now`: the cockpit's clock; `clock`: the host's at that moment, where it said;
    /// both in nanoseconds since 1970.
    pub fn begin(&mut self, interfaces: Interfaces, clock: Option<u64>, now: u64) {
        self.reader = Reader::default();
        self.interfaces = interfaces;
        self.offset = clock.map_or(0, |clock| clock.wrapping_sub(now) as i64);
        (self.whole_since, self.heard, self.told, self.dropped) = (Some(now), now, now, 0);
    }

    /// The stream has ended: what was not seen from now on says nothing.
    pub fn end(&mut self) {
        self.whole_since = None;
    }

    /// What to add to the cockpit's clock to have the host's, in nanoseconds.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Takes bytes of the stream; `each` gets every packet as it came.
    ///
    /// # Errors
    /// Where it is no pcap stream, or out of step: it has to begin anew.
    pub fn push(
        &mut self,
        bytes: &[u8],
        now: u64,
        mut each: impl FnMut(u16, &Raw<'_>),
    ) -> Result<(), PcapError> {
        self.heard = now;
        let Self { reader, flows, rows, newest, .. } = self;
        reader.push(bytes, |link, raw| {
            let frame @ Frame { interface, seen } = packet::frame(link, raw.length, raw.bytes);
            flows.take(raw.at, &frame);
            rows.add(raw.at, interface, &Seen { length: wire(link, raw.length), ..seen });
            *newest = (*newest).max(raw.at);
            each(link, &raw);
        })
    }

    /// The kernel dropped that many so far in this stream.
    pub fn dropped(&mut self, count: u64, now: u64) {
        let more = count.saturating_sub(self.dropped);
        if more > 0 {
            (self.dropped, self.whole_since) = (count, self.whole_since.map(|_| now));
            self.new_drops = self.new_drops.saturating_add(more);
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
            let at = host.saturating_add_signed(self.offset.saturating_neg());
            self.whole_since = self.whole_since.map(|since| since.max(at).max(now));
        }
        let standing = Standing {
            now,
            whole_since: self.whole_since,
            heard: self.heard,
            newest: self.newest.saturating_add_signed(self.offset.saturating_neg()),
            offset: self.offset,
        };
        for (attempt, flow) in self.attempts.due(&standing, &mut self.flows, &self.interfaces) {
            let Attempted { probe, vantage, local, .. } = attempt;
            let (host, flow) = (self.host.clone(), Box::new(flow));
            events.push(PacketEvent::Matched { host, probe, vantage, local, flow });
        }
        if now.saturating_sub(self.told) >= TOLD {
            let over = Span::ms(now.saturating_sub(self.told) / 1_000_000);
            self.told = now;
            let (tallies, dropped) = (self.flows.tallies(), std::mem::take(&mut self.new_drops));
            // Also where nothing passed by: silence on the wire is to be told from that of a capture.
            let runs = self.whole_since.is_some();
            if runs || !tallies.is_empty() || dropped > 0 {
                events.push(PacketEvent::Tallied { host: self.host.clone(), over, tallies, dropped });
            }
        }
        Found { events, rows, left_out }
    }
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
