//! The time by which attempts and packets are compared: it begins as this machine's clock and goes on by the steady one,
//! so that a clock that is set meanwhile moves neither against the other. It stands still while this machine sleeps: then
//! the hosts' clocks run ahead of it, as if they had been set.

use tokio::time::Instant;

use super::{Clock, nanos};
use crate::types::Time;

pub(super) struct Steady {
    clock: Clock,
    began: Instant,
    from: u64,
}

impl Steady {
    pub(super) fn new(clock: Clock) -> Self {
        let from = nanos(clock());
        Self { clock, began: Instant::now(), from }
    }

    /// In nanoseconds since 1970, as this machine's clock said as it began.
    pub(super) fn now(&self) -> u64 {
        let gone = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.from.saturating_add(gone)
    }

    /// The moment by this machine's clock.
    pub(super) fn clock(&self) -> Time {
        (self.clock)()
    }

    /// What to add to have the moment by this machine's clock, in nanoseconds.
    pub(super) fn ahead(&self) -> i64 {
        nanos(self.clock()).wrapping_sub(self.now()) as i64
    }
}
