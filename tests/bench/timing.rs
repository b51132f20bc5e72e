//! The small clock of the figures: how long something took, several times over.

use std::time::{Duration, Instant};

/// The clock, asked here alone.
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
    Instant::now()
}

/// How long this took, and what it gave.
pub fn took<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = now();
    let out = work();
    (start.elapsed(), out)
}

/// How long several runs took, sorted.
pub struct Runs(Vec<Duration>);

impl Runs {
    /// What was measured elsewhere.
    ///
    /// # Panics
    /// Where nothing was measured.
    pub fn new(mut runs: Vec<Duration>) -> Self {
        assert!(!runs.is_empty(), "something was measured");
        runs.sort();
        Self(runs)
    }

    /// That many runs of the same work, after one that is not counted.
    pub fn of<T>(count: usize, mut work: impl FnMut() -> T) -> Self {
        std::hint::black_box(work());
        Self::new((0..count).map(|_| took(|| std::hint::black_box(work())).0).collect())
    }

    /// The one in the middle.
    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// The shortest.
    pub fn min(&self) -> Duration {
        self.0[0]
    }

    /// A line: what, then min, median and max, and what else is to be said.
    pub fn print(&self, what: &str, more: &str) {
        let max = self.0[self.0.len() - 1];
        println!(
            "  {what:<44} min {:>9}  median {:>9}  max {:>9}  ({} runs){more}",
            brief(self.min()),
            brief(self.median()),
            brief(max),
            self.0.len()
        );
    }
}

/// In the unit that suits it.
pub fn brief(span: Duration) -> String {
    let micros = span.as_secs_f64() * 1e6;
    if micros < 1_000.0 {
        format!("{micros:.1} us")
    } else if micros < 1_000_000.0 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}
