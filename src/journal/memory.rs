//! A log in memory, for simulations and tests: deterministic, no thread, and it fails when told to.

use super::{Append, EventLog, LogNews, Refused};
use crate::core::Record;
use crate::types::{Seq, Untrusted};

/// A log that keeps its records in memory. Records are durable at once, unless it was told to hold
/// them back or to fail.
#[derive(Debug, Default)]
pub struct MemoryLog {
    records: Vec<Record>,
    durable: Seq,
    held_back: bool,
    failing: Option<Untrusted>,
    told: bool,
    theirs: Option<Vec<Record>>,
    most: Option<usize>,
    news: Vec<LogNews>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log that begins with these records, all durable, numbered anew from 1.
    pub fn holding(records: Vec<Record>) -> Self {
        let mut log = Self::new();
        log.push_numbered(records);
        log.durable = log.last();
        log
    }

    /// From now on records are taken and not made durable, until [`MemoryLog::release`].
    pub fn hold_back(&mut self) {
        self.held_back = true;
    }

    /// Makes what was held back durable, and what follows at once again.
    pub fn release(&mut self) {
        self.held_back = false;
        self.sync();
    }

    /// Makes what was held back durable up to this number; the rest stays held back.
    pub fn release_to(&mut self, seq: Seq) {
        let to = seq.min(self.last());
        if self.failing.is_none() && to > self.durable {
            self.durable = to;
            self.news.push(LogNews::Durable(to));
        }
    }

    /// From now on nothing can be made durable, until [`MemoryLog::heal`].
    pub fn fail(&mut self, why: impl Into<Untrusted>) {
        self.failing = Some(why.into());
    }

    /// The disk is back: what was kept is made durable.
    pub fn heal(&mut self) {
        self.failing = None;
        if std::mem::take(&mut self.told) {
            self.news.push(LogNews::Healed { torn: None });
        }
        self.sync();
    }

    /// The next append finds that others came first, with these events; they get the numbers that
    /// follow the last, and are durable.
    pub fn conflict_next(&mut self, theirs: Vec<Record>) {
        self.theirs = Some(theirs);
    }

    /// From now on a record whose event takes more bytes than that is refused, as a file refuses a line
    /// that no reader would take.
    pub fn refuse_longer(&mut self, most: usize) {
        self.most = Some(most);
    }

    /// Every committed record, durable or not.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The number up to which records are durable.
    pub fn durable(&self) -> Seq {
        self.durable
    }

    /// The process ends here: what a reader finds afterwards is what is durable and, as writes may
    /// have reached the disk without an answer, up to `more` of the records after that.
    pub fn crash(self, more: usize) -> Vec<Record> {
        let mut records = self.records;
        records.truncate((self.durable as usize).saturating_add(more));
        records
    }

    fn push_numbered(&mut self, records: Vec<Record>) {
        for mut record in records {
            record.seq = self.last() + 1;
            self.records.push(record);
        }
    }

    fn too_long(&self, records: &[Record]) -> Option<Refused> {
        let most = self.most?;
        records.iter().find_map(|Record { seq, event, .. }| match serde_json::to_string(event) {
            Ok(text) if text.len() <= most => None,
            Ok(text) => Some(Refused::TooLong { seq: *seq, bytes: text.len(), most }),
            Err(error) => Some(Refused::Unwritable { seq: *seq, why: error.to_string() }),
        })
    }

    fn sync(&mut self) {
        let last = self.last();
        if self.held_back || last == self.durable {
            return;
        }
        match &self.failing {
            Some(why) if !self.told => {
                self.told = true;
                self.news.push(LogNews::Failed { from: self.durable + 1, why: why.clone() });
            }
            Some(_) => {}
            None => {
                self.durable = last;
                self.news.push(LogNews::Durable(last));
            }
        }
    }
}

impl EventLog for MemoryLog {
    fn append(&mut self, expected: Seq, records: Vec<Record>) -> Append {
        if let Some(theirs) = self.theirs.take() {
            self.push_numbered(theirs);
            self.sync();
        }
        let last = self.last();
        if expected < last {
            return Append::Conflict { theirs: self.records[expected as usize..].to_vec() };
        }
        if let Err(refused) = super::check_order(last, expected, &records) {
            return Append::Refused(refused);
        }
        if let Some(refused) = self.too_long(&records) {
            return Append::Refused(refused);
        }
        self.records.extend(records);
        self.sync();
        Append::Committed
    }

    fn poll(&mut self) -> Vec<LogNews> {
        std::mem::take(&mut self.news)
    }

    fn last(&self) -> Seq {
        self.records.len() as Seq
    }

    /// Counted as one byte a record: nothing is encoded here.
    fn behind(&self) -> usize {
        self.records.len() - self.durable as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Event;
    use crate::core::event::{Actor, WindowEvent};
    use crate::types::Time;

    fn note(seq: Seq) -> Record {
        Record {
            seq,
            at: Time::UNIX_EPOCH,
            actor: Actor::Holdpoint,
            session: "s".into(),
            epoch: 1,
            event: Event::Window(WindowEvent::Marked { note: format!("note {seq}").into() }),
        }
    }

    #[test]
    fn records_are_durable_at_once_unless_held_back() {
        let mut log = MemoryLog::new();
        assert_eq!(log.append(0, vec![note(1), note(2)]), Append::Committed);
        assert_eq!(log.poll(), [LogNews::Durable(2)]);
        log.hold_back();
        assert_eq!(log.append(2, vec![note(3), note(4)]), Append::Committed);
        assert_eq!((log.poll(), log.last(), log.durable(), log.behind()), (vec![], 4, 2, 2));
        log.release_to(3);
        assert_eq!(log.poll(), [LogNews::Durable(3)]);
        log.release();
        assert_eq!(log.poll(), [LogNews::Durable(4)]);
    }

    #[test]
    fn a_failure_is_told_once_and_nothing_is_lost_when_it_heals() {
        let mut log = MemoryLog::new();
        log.fail("no space left");
        assert_eq!(log.poll(), []);
        assert_eq!(log.append(0, vec![note(1)]), Append::Committed);
        assert_eq!(log.append(1, vec![note(2)]), Append::Committed);
        assert_eq!(log.poll(), [LogNews::Failed { from: 1, why: "no space left".into() }]);
        log.release_to(1);
        assert_eq!(log.durable(), 0);
        log.heal();
        assert_eq!(log.poll(), [LogNews::Healed { torn: None }, LogNews::Durable(2)]);
    }

    #[test]
    fn a_failure_that_nothing_met_is_never_told() {
        let mut log = MemoryLog::new();
        log.fail("no space left");
        log.heal();
        assert_eq!(log.poll(), []);
    }

    #[test]
    fn a_conflict_gives_what_others_wrote_and_takes_nothing() {
        let mut log = MemoryLog::holding(vec![note(7)]);
        log.conflict_next(vec![note(9)]);
        let theirs = Record { seq: 2, ..note(9) };
        assert_eq!(log.append(1, vec![note(2)]), Append::Conflict { theirs: vec![theirs.clone()] });
        assert_eq!(log.records(), [Record { seq: 1, ..note(7) }, theirs]);
        assert_eq!(log.append(2, vec![note(3)]), Append::Committed);
        assert_eq!(log.durable(), 3);
    }

    #[test]
    fn numbers_that_do_not_follow_are_refused() {
        let mut log = MemoryLog::new();
        assert_eq!(log.append(1, vec![note(2)]), Append::Refused(Refused::Order { last: 0, found: 2 }));
        assert_eq!(log.append(0, vec![note(2)]), Append::Refused(Refused::Order { last: 0, found: 2 }));
        assert_eq!(
            log.append(0, vec![note(1), note(3)]),
            Append::Refused(Refused::Order { last: 1, found: 3 })
        );
        assert_eq!(log.last(), 0);
    }

    #[test]
    fn a_record_that_is_too_long_is_refused_and_nothing_of_its_append_is_taken() {
        let mut log = MemoryLog::new();
        log.refuse_longer(100);
        let mut long = note(2);
        long.event = Event::Window(WindowEvent::Marked { note: "x".repeat(200).into() });
        let refused = log.append(0, vec![note(1), long]);
        assert!(
            matches!(refused, Append::Refused(Refused::TooLong { seq: 2, most: 100, .. })),
            "{refused:?}"
        );
        assert_eq!((log.append(0, vec![note(1)]), log.last()), (Append::Committed, 1));
    }

    #[test]
    fn a_crash_leaves_what_is_durable_and_maybe_a_little_more() {
        let mut log = MemoryLog::new();
        let _ = log.append(0, vec![note(1)]);
        log.hold_back();
        let _ = log.append(1, vec![note(2), note(3)]);
        assert_eq!(log.crash(1), [note(1), note(2)]);
    }
}
