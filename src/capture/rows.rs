//! Rows of packets for people: a few out of many, and how many were left out.

use crate::core::event::{PacketRow, Seen};
use crate::types::{HostName, Time};

use super::Interfaces;

/// Rows of one host in one stretch.
const MOST: usize = 16;

/// Rows of one host that wait to be taken.
#[derive(Debug, Default)]
pub(super) struct Rows {
    kept: Vec<(u64, u32, Seen)>,
    left_out: u64,
}

impl Rows {
    pub(super) fn add(&mut self, at: u64, interface: u32, seen: &Seen) {
        if self.kept.len() < MOST {
            self.kept.push((at, interface, *seen));
        } else {
            self.left_out += 1;
        }
    }

    /// What was kept, and how many were left out.
    pub(super) fn take(&mut self, host: &HostName, names: &Interfaces) -> (Vec<PacketRow>, u64) {
        let row = |(at, interface, seen): (u64, u32, Seen)| {
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            let at = Time::from_timestamp_nanos(at);
            PacketRow { host: host.clone(), at, by: names.name(interface), seen }
        };
        (self.kept.drain(..).map(row).collect(), std::mem::take(&mut self.left_out))
    }
}
