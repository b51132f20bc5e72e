//! Lengths of time as people write and read them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Time;

/// A length of time in milliseconds, never negative; written `90s`, `10m`, `2h`, `14d`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a length of time: write a number and a unit (ms, s, m, h, d), as in \"90s\", \"10m\" or \"1h30m\""
)]
pub struct SpanError(String);

/// A hundred years: longer than any window, short enough that adding it to a date can't overflow.
const LONGEST_MS: u64 = 100 * 366 * 86_400_000;

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// That many milliseconds, at most a hundred years.
    pub const fn ms(ms: u64) -> Self {
        Self(if ms > LONGEST_MS { LONGEST_MS } else { ms })
    }

    /// That many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self::ms(secs.saturating_mul(1_000))
    }

    /// That many minutes.
    pub const fn mins(mins: u64) -> Self {
        Self::ms(mins.saturating_mul(60_000))
    }

    /// In whole milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// In whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// From one moment to a later one; zero where the later one is not later.
    pub fn between(from: Time, to: Time) -> Self {
        Self::ms(u64::try_from((to - from).num_milliseconds()).unwrap_or(0))
    }

    /// For people who read it at a glance: `7m`, `1h05m`, `40s`, `350ms`; seconds are rounded up to
    /// minutes from ten minutes on.
    pub fn brief(self) -> String {
        let secs = self.0.div_ceil(1_000);
        match secs {
            0 => "0s".to_owned(),
            _ if self.0 < 1_000 => format!("{}ms", self.0),
            1..=99 => format!("{secs}s"),
            100..=599 if !secs.is_multiple_of(60) => format!("{}m{:02}s", secs / 60, secs % 60),
            _ => {
                let mins = secs.div_ceil(60);
                match (mins / 60, mins % 60) {
                    (0, m) => format!("{m}m"),
                    (h, m) if h < 48 => format!("{h}h{m:02}m"),
                    (h, _) => format!("{}d", h / 24),
                }
            }
        }
    }

    /// As a clock counts it: `55:53`, `01:18:53`.
    pub fn clock(self) -> String {
        let secs = self.as_secs();
        let (h, m, s) = (secs / 3_600, secs / 60 % 60, secs % 60);
        if h > 0 { format!("{h:02}:{m:02}:{s:02}") } else { format!("{m:02}:{s:02}") }
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::ms(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::ZERO, Add::add)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        self.checked_add_signed(delta(span)).unwrap_or(Time::MAX_UTC)
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        self.checked_sub_signed(delta(span)).unwrap_or(Time::MIN_UTC)
    }
}

fn delta(span: Span) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(span.0).unwrap_or(i64::MAX / 2))
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let bad = || SpanError(text.chars().take(40).collect());
        let mut rest = text;
        let mut total = 0_u64;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            let factor = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(bad()),
            };
            let number: u64 = number.parse().map_err(|_| bad())?;
            total = number.checked_mul(factor).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
            rest = tail;
        }
        if total > LONGEST_MS { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Span {
    /// Exactly, in the form that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(<D::Error as serde::de::Error>::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("90s", 90_000),
            ("250ms", 250),
            ("14d", 14 * 86_400_000),
        ] {
            assert_eq!(text.parse(), Ok(Span::ms(ms)), "{text}");
        }
        for bad in ["", "10", "m", "-1s", "1.5h", "10 m", "99999999999999999999s", "999999d", "1x"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_what_people_read() {
        for (ms, brief) in [
            (0, "0s"),
            (350, "350ms"),
            (40_000, "40s"),
            (420_000, "7m"),
            (450_000, "7m30s"),
            (3_900_000, "1h05m"),
        ] {
            assert_eq!(Span::ms(ms).brief(), brief);
        }
        assert_eq!(Span::secs(3_353).clock(), "55:53");
        assert_eq!(Span::secs(4_733).clock(), "01:18:53");
    }

    proptest! {
        #[test]
        fn every_span_reads_back_what_it_writes(ms in 0..LONGEST_MS) {
            prop_assert_eq!(Span::ms(ms).to_string().parse(), Ok(Span::ms(ms)));
        }
    }
}
