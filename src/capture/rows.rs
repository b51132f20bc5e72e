//! Rows of packets for people: a few out of many, and how many were left out.

use std::net::IpAddr;

use crate::core::event::{PacketRow, Seen};
use crate::types::{HostName, Time};

use super::Interfaces;

/// Rows of one host in one stretch.
const MOST: usize = 16;

/// Rows of one host that wait to be taken. Each address has its share: one that is dark shows beside one that
/// everybody asks.
#[derive(Debug, Default)]
pub(super) struct Rows {
    kept: Vec<Row>,
    left_out: u64,
}

#[derive(Debug)]
struct Row {
    at: u64,
    interface: u32,
    seen: Seen,
    /// Which customer's address it is about.
    whose: Option<IpAddr>,
}

impl Rows {
    pub(super) fn add(&mut self, at: u64, interface: u32, seen: &Seen, whose: Option<IpAddr>) {
        let row = Row { at, interface, seen: *seen, whose };
        if self.kept.len() < MOST {
            self.kept.push(row);
            return;
        }
        self.left_out += 1;
        if let Some(place) = self.too_many(whose) {
            self.kept.remove(place);
            self.kept.push(row);
        }
    }

    /// The newest row of the address that has the most, where that has two more than this one.
    fn too_many(&self, whose: Option<IpAddr>) -> Option<usize> {
        let count = |whose: Option<IpAddr>| self.kept.iter().filter(|row| row.whose == whose).count();
        let rows = self.kept.iter().enumerate().map(|(place, row)| (count(row.whose), place));
        let (most, place) = rows.max()?;
        (most > count(whose) + 1).then_some(place)
    }

    /// What was kept, and how many were left out.
    pub(super) fn take(&mut self, host: &HostName, names: &Interfaces) -> (Vec<PacketRow>, u64) {
        let row = |Row { at, interface, seen, whose: _ }: Row| {
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            let at = Time::from_timestamp_nanos(at);
            PacketRow { host: host.clone(), at, by: names.name(interface), seen }
        };
        (self.kept.drain(..).map(row).collect(), std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Way, What};

    #[test]
    fn an_address_that_few_ask_shows_beside_one_that_all_ask() {
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let seen = Seen { way: Way::In, length: 40, what: What::Other { ethertype: 0 } };
        let mut rows = Rows::default();
        for n in 0..400 {
            let whose = match n {
                30 | 90 | 310 => Some(address(32)),
                50..60 => Some(address(33)),
                70 => None,
                _ => Some(address(31)),
            };
            rows.add(n, 2, &seen, whose);
        }
        let count = |whose| rows.kept.iter().filter(|row| row.whose == whose).count();
        let shares = [Some(address(31)), Some(address(32)), Some(address(33)), None].map(count);
        assert_eq!(shares, [6, 3, 6, 1], "{rows:?}");
        assert!(rows.kept.is_sorted_by_key(|row| row.at));
        assert_eq!((rows.kept.len(), rows.left_out), (MOST, 400 - MOST as u64));
    }
}
