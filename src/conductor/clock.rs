//! The one clock.

use crate::types::Time;

/// A step of the wall clock against the steady one that is worth an event, in milliseconds.
const STEP_MS: i64 = 2_000;

/// The moment, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
pub fn now() -> Time {
    chrono::Utc::now()
}

/// Notices when the wall clock jumps, or the machine slept: the steady clock stands still in a
/// suspend, the wall clock does not.
pub struct Steps {
    wall: Time,
    steady: std::time::Instant,
}

impl Steps {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
    pub fn new() -> Self {
        Self { wall: now(), steady: std::time::Instant::now() }
    }

    /// By how many milliseconds the wall clock jumped since the last time, if it did.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
    pub fn stepped(&mut self) -> Option<i64> {
        let (wall, steady) = (now(), std::time::Instant::now());
        let by = jump((wall - self.wall).num_milliseconds(), (steady - self.steady).as_millis());
        (self.wall, self.steady) = (wall, steady);
        by
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

fn jump(wall_ms: i64, steady_ms: u128) -> Option<i64> {
    let by = wall_ms - i64::try_from(steady_ms).unwrap_or(i64::MAX);
    (by.abs() > STEP_MS).then_some(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_told_from_time_passing() {
        assert_eq!(jump(1_000, 1_001), None);
        assert_eq!(jump(3_600_000, 1_000), Some(3_599_000));
        assert_eq!(jump(-3_600_000, 1_000), Some(-3_601_000));
    }
}
