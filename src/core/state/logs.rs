//! A host's logs: whether they are followed, and how often lines tell of errors, now and before its first
//! change.

use std::collections::VecDeque;

use crate::types::{Seq, Span, Time, Untrusted};

/// Counts kept, the newest: at one each five seconds and source, more than ten minutes.
const COUNTS: usize = 512;
/// What "now" is.
const NEWEST: Span = Span::mins(1);
/// Fewer within a minute are not many.
const MANY: u64 = 10;
/// Followed for less than that, what is usual is not known.
const ENOUGH: Span = Span::mins(1);

/// A host's logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logs {
    /// The effect that follows them.
    pub effect: Option<Seq>,
    /// Whether it has ended for good.
    pub over: bool,
    /// Since when they are followed; `None` while they aren't.
    pub since: Option<Time>,
    /// Why they are not seen.
    pub unseen: Option<Untrusted>,
    /// Lines that were left out on the host.
    pub left_out: u64,
    /// How often there were errors before the host's first change.
    before: Before,
    /// Errors lately: when they were told, and how many.
    lately: VecDeque<(Time, u32)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Before {
    errors: u64,
    /// Followed for so long, the stretch that goes on left out.
    seen: Span,
    settled: bool,
}

impl Logs {
    pub(in crate::core) fn followed(&mut self, at: Time) {
        (self.since, self.unseen) = (Some(at), None);
    }

    pub(in crate::core) fn lost(&mut self, at: Time, why: &Untrusted) {
        self.add_up(at);
        (self.since, self.unseen) = (None, Some(why.clone()));
    }

    pub(in crate::core) fn counted(&mut self, at: Time, errors: u32, left_out: u32) {
        self.left_out = self.left_out.saturating_add(u64::from(left_out));
        if !self.before.settled {
            self.before.errors = self.before.errors.saturating_add(u64::from(errors));
        }
        if errors > 0 {
            if self.lately.len() == COUNTS {
                self.lately.pop_front();
            }
            self.lately.push_back((at, errors));
        }
    }

    /// Whoever followed them was last heard of at that moment: nobody followed them after it.
    pub(in crate::core) fn left(&mut self, at: Time) {
        self.add_up(at);
        self.since = None;
    }

    /// Another process picked the recording up: it follows them itself.
    pub(in crate::core) fn forget(&mut self) {
        (self.effect, self.over, self.since) = (None, false, None);
    }

    /// The clock was set back by so much: what was told until now was told as long ago as before. What was
    /// followed until then is not counted as long.
    pub(in crate::core) fn set_back(&mut self, by: Span, now: Time) {
        self.since = self.since.map(|at| now.min(at));
        self.lately.iter_mut().for_each(|(at, _)| *at = now.min(*at - by));
    }

    /// The first change starts: what was usual is settled now.
    pub(in crate::core) fn settle(&mut self, at: Time) {
        self.add_up(at);
        self.before.settled = true;
    }

    fn add_up(&mut self, at: Time) {
        if let Some(since) = self.since.filter(|_| !self.before.settled) {
            self.before.seen = self.before.seen + Span::between(since, at);
        }
    }

    /// Lines that told of errors in the newest minute; `None` while they are not followed that long.
    pub fn errors_now(&self, now: Time) -> Option<u64> {
        self.since.filter(|since| Span::between(*since, now) >= NEWEST)?;
        Some(self.newest(None, now))
    }

    /// Lines that told of errors in the newest minute, as far as they were seen and were told after a moment.
    fn newest(&self, from: Option<Time>, now: Time) -> u64 {
        let newest = self.lately.iter().rev().take_while(|(at, _)| Span::between(*at, now) < NEWEST);
        let newest = newest.filter(|(at, _)| from.is_none_or(|from| *at > from));
        newest.map(|(_, errors)| u64::from(*errors)).sum()
    }

    /// The same for an average minute before the host's first change, in tenths; `None` where they were not
    /// followed for a minute by then.
    pub fn errors_before(&self, now: Time) -> Option<u64> {
        let going_on = self.since.filter(|_| !self.before.settled).map(|since| Span::between(since, now));
        let seen = self.before.seen + going_on.unwrap_or_default();
        (seen >= ENOUGH).then(|| self.before.errors.saturating_mul(600_000) / seen.as_ms())
    }

    /// Whether there are many more errors now than were usual: at least ten within a minute, and three times as
    /// many. Those that were told until a moment don't count, and a minute that was not seen to its end can
    /// have had more, not fewer.
    pub fn many_errors(&self, from: Option<Time>, now: Time) -> bool {
        let Some(usual) = self.errors_before(now).filter(|_| self.since.is_some() && self.before.settled)
        else {
            return false;
        };
        let lately = self.newest(from, now);
        lately >= MANY && lately.saturating_mul(10) >= usual.saturating_mul(3)
    }

    /// Whether a whole minute was seen with fewer than half as many errors as would be many: fewer than many
    /// alone would let an alarm come and go.
    pub fn few_errors(&self, now: Time) -> bool {
        let (Some(lately), Some(usual)) = (self.errors_now(now), self.errors_before(now)) else {
            return false;
        };
        let lately = lately.saturating_mul(2);
        lately < MANY || lately.saturating_mul(10) < usual.saturating_mul(3)
    }

    /// "its logs have 48 errors in the last minute, 1.5 a minute before its first change", as far as that is known.
    pub fn words(&self, now: Time) -> String {
        let lately = self.newest(None, now);
        let before = self
            .errors_before(now)
            .map_or("not known".to_owned(), |before| format!("{} a minute", tenths(before)));
        format!("its logs have {lately} errors in the last minute, {before} before its first change")
    }
}

/// "1.5"
pub fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Time {
        crate::core::fixture::opens() + chrono::TimeDelta::seconds(secs)
    }

    #[test]
    fn errors_are_many_by_what_was_usual_before_the_first_change() {
        let mut logs = Logs::default();
        assert_eq!((logs.errors_now(at(0)), logs.errors_before(at(0))), (None, None));
        logs.followed(at(0));
        logs.counted(at(5), 2, 0);
        assert_eq!(logs.errors_before(at(30)), None, "half a minute tells nothing");
        assert_eq!(logs.errors_before(at(120)), Some(10), "one in a minute");
        // A gap does not count as quiet.
        logs.lost(at(120), &"gone".into());
        logs.followed(at(600));
        assert_eq!(logs.errors_before(at(720)), Some(5));
        for n in 0..30 {
            logs.counted(at(721 + n), 1, 0);
        }
        assert!(!logs.many_errors(None, at(751)), "before a change it is what is usual");
        logs.settle(at(760));
        let usual = logs.errors_before(at(9_999));
        assert_eq!(usual, Some(68), "32 in 280 s");
        logs.counted(at(800), 20, 3);
        assert_eq!((logs.errors_now(at(801)), logs.many_errors(None, at(801))), (Some(29), true));
        assert_eq!((logs.errors_now(at(861)), logs.many_errors(None, at(861))), (Some(0), false));
        assert_eq!(logs.errors_before(at(9_999)), usual, "settled");
        assert_eq!(logs.left_out, 3);
    }

    /// Nobody followed them between two processes: that was no quiet time.
    #[test]
    fn the_time_between_two_processes_is_not_counted_as_quiet() {
        use crate::core::event::{Actor, Event, LogEvent, Record, WindowEvent};
        let mut state = crate::core::fixture::window(4, &["web1"], "");
        let host: crate::types::HostName = "web1".parse().expect("a host");
        let mut add = |secs: i64, event: Event| {
            let (actor, session) = (Actor::Holdpoint, "test".to_owned());
            let record = Record { seq: state.seq + 1, at: at(secs), actor, session, epoch: 1, event };
            state.apply(&record);
            state.logs.get(&host).and_then(|logs| logs.errors_before(at(secs)))
        };
        let host = || "web1".parse().expect("a host");
        add(0, Event::Log(LogEvent::FollowStarted { host: host() }));
        add(0, Event::Log(LogEvent::Following { host: host() }));
        let (source, over) = (crate::core::event::LogSource::Journal, Span::secs(5));
        add(
            60,
            Event::Log(LogEvent::Counted { host: host(), source, over, lines: 12, errors: 12, left_out: 0 }),
        );
        assert_eq!(
            add(7_200, Event::Window(WindowEvent::Resumed { program: "test".into(), take_over: None })),
            Some(120),
            "12 in the minute that was followed"
        );
    }

    #[test]
    fn few_errors_are_not_many_where_there_were_none() {
        let mut logs = Logs::default();
        logs.followed(at(0));
        logs.settle(at(120));
        logs.counted(at(200), 9, 0);
        assert!(!logs.many_errors(None, at(201)));
        logs.counted(at(205), 1, 0);
        assert!(logs.many_errors(None, at(206)));
        assert!(!logs.many_errors(Some(at(200)), at(206)), "what was told until then does not count");
        logs.lost(at(207), &"gone".into());
        assert!(!logs.many_errors(None, at(208)), "what is not seen is not known");
        // Back, and what comes in the first seconds is at least as much in a minute.
        logs.followed(at(210));
        assert!(!logs.few_errors(at(210)));
        logs.counted(at(215), 10, 0);
        assert!(logs.many_errors(None, at(216)) && logs.errors_now(at(216)).is_none());
        // Below half of what is many it is over, and once a whole minute was seen.
        logs.counted(at(260), 5, 0);
        assert!(!logs.few_errors(at(272)) && !logs.many_errors(None, at(276)), "five are neither");
        assert!(logs.few_errors(at(330)));
    }

    #[test]
    fn lines_of_hosts_own_logs_wait_for_the_next_second_and_operations_do_not() {
        use crate::core::event::{Event, LogLine, LogSource, Samples};
        let line = |source| LogLine::new("web1".parse().expect("a host"), source, at(0), "x".into());
        let (journal, file) = (line(LogSource::Journal), line(LogSource::File("/a.log".into())));
        let (own, apt) = (
            line(LogSource::Holdpoint),
            line(LogSource::Operation("apply-web1-1".parse().expect("an operation"))),
        );
        for (lines, left_out, routine) in [
            (vec![], 0, true),
            (vec![journal.clone(), file.clone()], 0, true),
            (vec![file.clone()], 900, true),
            (vec![file, own], 0, false),
            (vec![journal, apt], 7, false),
        ] {
            let samples = Samples { lines, left_out, ..Samples::default() };
            let told = format!("{samples:?}");
            let state = crate::core::state::State::default();
            assert_eq!(state.is_routine(&Event::Samples(samples)), routine, "{told}");
        }
    }
}
