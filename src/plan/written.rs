//! `window.toml` as it is written: tables and values with their places in the text.
//!
//! What can be said of one value alone is said here: its type, its range, whether it may be shown.
//! What values mean for each other is in `check`. Nothing here stops at the first error.

use std::ops::Range;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use toml::de::{DeTable, DeValue};
use toml::value::{Date, Datetime, Offset};

use super::error::{Findings, listed, nearest, quoted};
use super::text::{self, Flaw};
use crate::types::{NameError, Span, Time};

/// A table of the plan.
pub(super) struct Table<'a> {
    /// How it is written, for messages: `[[host]]`.
    label: &'static str,
    /// Where it begins.
    pub at: Range<usize>,
    keys: &'a DeTable<'a>,
    findings: &'a Findings,
}

/// A value of the plan under its key.
pub(super) struct Value<'a> {
    key: &'a str,
    /// Where it stands.
    pub at: Range<usize>,
    raw: &'a DeValue<'a>,
    findings: &'a Findings,
}

impl<'a> Table<'a> {
    /// A table that may have these keys; any other is an error at its own place.
    pub fn open(
        label: &'static str,
        at: Range<usize>,
        keys: &'a DeTable<'a>,
        known: &[&'static str],
        findings: &'a Findings,
    ) -> Self {
        for (key, _) in keys {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let right = if text::is_secret_key(name) {
                text::SECRET_ADVICE.to_owned()
            } else if let Some(meant) = nearest(name, known.iter().copied()) {
                format!("did you mean {}?", quoted(meant))
            } else {
                format!("its keys are: {}", known.join(", "))
            };
            findings.add(&key.span(), format!("unknown key {} in {label}", quoted(name)), right);
        }
        Self { label, at, keys, findings }
    }

    /// Something is wrong with this table as a whole.
    pub fn wrong(&self, what: impl Into<String>, right: impl Into<String>) {
        self.findings.add(&self.at, what, right);
    }

    /// The value of a key that may be left out.
    pub fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let value = self.keys.get(key)?;
        Some(Value { key, at: value.span(), raw: value.get_ref(), findings: self.findings })
    }

    /// The value of a key that has to be there; `example` is a line that would be right.
    pub fn need(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            let what = format!("{} has no {}", self.label, quoted(key));
            self.findings.add(&self.at, what, format!("write {example}"));
        }
        value
    }

    /// The one table of that name, where there is one.
    pub fn section(
        &self,
        key: &'static str,
        label: &'static str,
        known: &[&'static str],
    ) -> Option<Table<'a>> {
        let value = self.get(key)?;
        match value.raw {
            DeValue::Table(keys) => Some(Table::open(label, value.at, keys, known, self.findings)),
            DeValue::Array(_) => {
                value.wrong(format!("{} is there once", quoted(key)), format!("write {label}"));
                None
            }
            _ => value.mistyped(label),
        }
    }

    /// The tables of that name, as many as there are.
    pub fn sections(&self, key: &'static str, label: &'static str, known: &[&'static str]) -> Vec<Table<'a>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.raw else {
            let what = format!("{} is a list of tables", quoted(key));
            value.wrong(what, format!("write {label} with two brackets"));
            return Vec::new();
        };
        let open = |item: &'a toml::Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(keys) => Some(Table::open(label, item.span(), keys, known, self.findings)),
            _ => {
                let value = Value { key, at: item.span(), raw: item.get_ref(), findings: self.findings };
                value.mistyped(label)
            }
        };
        items.iter().filter_map(open).collect()
    }
}

impl<'a> Value<'a> {
    /// Something is wrong with this value.
    pub fn wrong(&self, what: impl Into<String>, right: impl Into<String>) {
        self.findings.add(&self.at, what, right);
    }

    /// This value is a second one of what has to be unique.
    pub fn twice(&self, first: &Range<usize>, what: impl Into<String>, right: impl Into<String>) {
        self.findings.twice(&self.at, first, what, right);
    }

    fn mistyped<T>(&self, right: &str) -> Option<T> {
        let found = match self.raw {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("{} is {found}", quoted(self.key)), format!("write {right}"));
        None
    }

    /// One line of text that may be shown and holds no secret; it may be empty.
    pub fn line(&self) -> Option<&'a str> {
        let DeValue::String(text) = self.raw else {
            return self.mistyped("text in quotes");
        };
        match text::flaw(text) {
            None => return Some(text),
            // A secret is never quoted: the message may be shown, or kept by a pipeline.
            Some(Flaw::Secret) => {
                self.wrong(format!("a secret is written in {}", quoted(self.key)), text::SECRET_ADVICE);
            }
            Some(Flaw::Invisible) => {
                let what =
                    format!("{} holds characters that can't be seen: {}", quoted(self.key), quoted(text));
                self.wrong(what, "write one line of visible characters");
            }
            Some(Flaw::Long) => {
                let what = format!("{} has {} bytes", quoted(self.key), text.len());
                self.wrong(what, format!("write at most {}", text::LONGEST));
            }
        }
        None
    }

    /// As [`Value::line`], and something has to be in it.
    pub fn words(&self) -> Option<&'a str> {
        let line = self.line()?;
        if line.trim().is_empty() {
            self.wrong(format!("{} is empty", quoted(self.key)), "write something, or take the line out");
            return None;
        }
        Some(line)
    }

    /// A name with a pattern of its own.
    pub fn name<T: std::str::FromStr<Err = NameError>>(&self) -> Option<T> {
        let line = self.line()?;
        match line.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(
                    format!("{} is not {}", quoted(line), error.what),
                    format!("write {}", error.rule),
                );
                None
            }
        }
    }

    /// One of these words.
    pub fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let line = self.line()?;
        let found = words.iter().find(|(word, _)| *word == line).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all = || words.iter().map(|(word, _)| *word);
            let what = format!("{} is none of the words for {}", quoted(line), quoted(self.key));
            let meant = nearest(line, all()).map(|word| format!("did you mean {}? ", quoted(word)));
            self.wrong(
                what,
                format!(
                    "{}write one of: {}",
                    meant.unwrap_or_default(),
                    all().collect::<Vec<_>>().join(", ")
                ),
            );
        }
        found
    }

    /// A length of time, not shorter than `least`.
    pub fn span(&self, least: Span) -> Option<Span> {
        let DeValue::String(_) = self.raw else {
            return self.mistyped("a number and a unit in quotes, as in \"90s\", \"10m\" or \"1h30m\"");
        };
        let line = self.line()?;
        let Ok(span) = line.parse::<Span>() else {
            self.wrong(
                format!("{} is not a length of time", quoted(line)),
                "write a number and a unit (ms, s, m, h, d), as in \"90s\", \"10m\" or \"1h30m\"",
            );
            return None;
        };
        if span < least {
            let what = format!("{} is too short for {}", quoted(line), quoted(self.key));
            self.wrong(what, format!("write at least \"{least}\""));
            return None;
        }
        Some(span)
    }

    /// A whole number in a range.
    pub fn number(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.raw else {
            return self.mistyped(&right);
        };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| range.contains(n));
        if value.is_none() {
            let what = format!("{} can't be {}", quoted(self.key), text::cut(&number.to_string()));
            self.wrong(what, format!("write {right}"));
        }
        value
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        match self.raw {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.mistyped("true or false, without quotes"),
        }
    }

    /// The items of a list; each is a value under the same key.
    pub fn items(&self) -> Vec<Value<'a>> {
        let DeValue::Array(items) = self.raw else {
            self.mistyped::<()>("a list in brackets: [\"...\", \"...\"]");
            return Vec::new();
        };
        let value = |item: &'a toml::Spanned<DeValue<'a>>| Value {
            key: self.key,
            at: item.span(),
            raw: item.get_ref(),
            findings: self.findings,
        };
        items.iter().map(value).collect()
    }

    /// Whether this is a list with nothing in it.
    pub fn is_empty_list(&self) -> bool {
        matches!(self.raw, DeValue::Array(items) if items.is_empty())
    }

    /// An inline table, where this is one.
    pub fn inline(&self, label: &'static str, known: &[&'static str]) -> Option<Table<'a>> {
        match self.raw {
            DeValue::Table(keys) => Some(Table::open(label, self.at.clone(), keys, known, self.findings)),
            _ => None,
        }
    }

    /// A moment: date, time and offset from UTC.
    pub fn time(&self) -> Option<Time> {
        const RIGHT: &str = "a moment in UTC without quotes, as in 2026-11-21T22:00:00Z";
        let DeValue::Datetime(written) = self.raw else {
            return self.mistyped(RIGHT);
        };
        let (Some(date), Some(time)) = (written.date, written.time) else {
            return self.mistyped(RIGHT);
        };
        let Some(offset) = written.offset else {
            let what = format!("{written} does not say in which zone it is");
            self.wrong(what, format!("write it with Z for UTC or with an offset: {written}Z"));
            return None;
        };
        let minutes = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes),
        };
        let moment = day(date)
            .zip(NaiveTime::from_hms_opt(
                u32::from(time.hour),
                u32::from(time.minute),
                u32::from(time.second.unwrap_or(0)),
            ))
            .and_then(|(day, time)| day.and_time(time).checked_sub_signed(TimeDelta::minutes(minutes)));
        self.existing(written, moment)
    }

    /// The end of a day in UTC (the date is passed when the day is over), or a moment.
    pub fn day_or_time(&self) -> Option<Time> {
        match self.raw {
            DeValue::Datetime(written @ Datetime { date: Some(date), time: None, .. }) => {
                let next = day(*date).and_then(|day| day.succ_opt()).map(|day| day.and_time(NaiveTime::MIN));
                self.existing(written, next)
            }
            DeValue::Datetime(_) => self.time(),
            _ => self.mistyped("a date without quotes, as in 2027-01-01"),
        }
    }

    fn existing(&self, written: &Datetime, moment: Option<chrono::NaiveDateTime>) -> Option<Time> {
        if moment.is_none() {
            self.wrong(format!("{written} does not exist"), "write a date and a time that a calendar has");
        }
        moment.map(|moment| moment.and_utc())
    }
}

fn day(date: Date) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
}

/// How many names are looked through for the one that was meant: a long plan with a slip in every
/// line must not cost its square.
const LOOKED_AT: usize = 200;

/// "write one of: ..." for names of the plan, with a guess first where there is one.
pub(super) fn choose<'n>(written: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(written, names.clone().take(LOOKED_AT)) {
        Some(meant) if names.clone().count() > 12 => format!("did you mean {}?", quoted(meant)),
        _ => format!("write one of: {}", listed(names)),
    }
}
