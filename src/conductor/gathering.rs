//! Log lines and rows of packets that wait for their record, and when what waits is due.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::core::Input;
use crate::core::event::{LogLine, LogSource, PacketRow, Samples};
use crate::types::HostName;

/// Log lines are gathered this long into one record, and probes that pass until they are looked at.
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// Bytes of log lines in one record, at most; what is beyond is counted.
const GATHERED_BYTES: usize = 64 * 1024;
/// Rows of packets in one record, at most; a host with many gives way to those with few.
const GATHERED_ROWS: usize = 40;

/// When something gathered is due. Nothing wakes while nothing is.
#[derive(Default)]
pub(super) struct Due {
    at: Mutex<Option<Instant>>,
    sooner: Notify,
}

impl Due {
    fn at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At that moment at the latest.
    pub(super) fn by(&self, moment: Instant) {
        let mut at = self.at();
        if at.is_none_or(|at| moment < at) {
            *at = Some(moment);
            self.sooner.notify_one();
        }
    }

    /// Waits for the moment, for ever where there is none. Dropped half way and called again it waits
    /// for the same one.
    pub(super) async fn come(&self) {
        loop {
            let at = *self.at();
            match at {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = self.sooner.notified() => {}
                },
                None => self.sooner.notified().await,
            }
        }
    }

    /// To be called before what is due is taken: what comes meanwhile has a moment of its own.
    pub(super) fn over(&self) {
        *self.at() = None;
    }
}

/// Log lines and rows of packets that wait for their record.
#[derive(Default)]
pub(super) struct Gathering {
    lines: Mutex<Lines>,
    pub(super) due: Due,
}

#[derive(Default)]
struct Lines {
    kept: Vec<LogLine>,
    bytes: usize,
    left_out: u64,
    rows: BTreeMap<HostName, Vec<PacketRow>>,
    rows_left_out: u64,
}

impl Lines {
    fn row(&mut self, row: PacketRow) {
        let host = row.host.clone();
        let own = self.rows.get(&host).map_or(0, Vec::len);
        let all: usize = self.rows.values().map(Vec::len).sum();
        if all >= GATHERED_ROWS {
            self.rows_left_out += 1;
            let most = self.rows.values_mut().max_by_key(|rows| rows.len());
            match most.filter(|rows| rows.len() > own + 1) {
                Some(rows) => drop(rows.pop()),
                None => return,
            }
        }
        self.rows.entry(host).or_default().push(row);
    }
}

/// About how much a line is in its record: a host says who wrote it, as it says the text.
fn size(line: &LogLine) -> usize {
    let source = match &line.source {
        LogSource::File(path) => path.raw().len(),
        LogSource::Operation(_) | LogSource::Holdpoint | LogSource::Journal => 0,
    };
    line.text.raw().len() + line.by.as_ref().map_or(0, |by| by.raw().len()) + source + 64
}

impl Gathering {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, line: LogLine) {
        let mut lines = self.lines();
        let bytes = size(&line);
        if lines.bytes + bytes > GATHERED_BYTES {
            lines.left_out += 1;
        } else {
            lines.bytes += bytes;
            lines.kept.push(line);
        }
        self.due.by(Instant::now() + GATHER);
    }

    pub(super) fn add_rows(&self, rows: Vec<PacketRow>, left_out: u64) {
        let mut lines = self.lines();
        rows.into_iter().for_each(|row| lines.row(row));
        lines.rows_left_out += left_out;
        self.due.by(Instant::now() + GATHER);
    }

    /// None where a line was taken along before its moment came.
    pub(super) fn take(&self) -> Option<Input> {
        let mut lines = self.lines();
        self.due.over();
        let Lines { kept, left_out, rows, rows_left_out, .. } = std::mem::take(&mut *lines);
        let rows = rows.into_values().flatten().collect();
        let samples = Samples { lines: kept, left_out, rows, rows_left_out };
        (samples != Samples::default()).then_some(Input::Samples(samples))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::conductor::clock;
    use crate::types::Untrusted;

    fn line(bytes: usize) -> LogLine {
        let host = "web1".parse().expect("a name");
        LogLine::new(host, LogSource::Holdpoint, clock::now(), Untrusted::new("x".repeat(bytes)))
    }

    fn taken(gathering: &Gathering) -> (usize, u64) {
        let Some(Input::Samples(samples)) = gathering.take() else { panic!("no lines") };
        (samples.lines.len(), samples.left_out)
    }

    #[test]
    fn lines_are_bounded_by_all_that_a_host_says_in_them() {
        let long = || Untrusted::new("x".repeat(4_000));
        let by = LogLine { by: Some(long()), ..line(1) };
        let file = LogLine { source: LogSource::File(long()), ..line(1) };
        for line in [line(4_000), by, file] {
            let gathering = Gathering::default();
            (0..100).for_each(|_| gathering.add(line.clone()));
            let (kept, left_out) = taken(&gathering);
            assert!(kept <= GATHERED_BYTES / 4_000, "{kept} are kept");
            assert_eq!(kept as u64 + left_out, 100);
        }
    }

    #[test]
    fn rows_are_bounded_and_a_busy_host_gives_way() {
        let row = |host: &str| {
            use crate::core::event::{Seen, Way, What};
            let seen = Seen { way: Way::In, length: 60, what: What::Other { ethertype: 1 } };
            PacketRow { host: host.parse().expect("a name"), at: clock::now(), by: None, seen }
        };
        let gathering = Gathering::default();
        gathering.add_rows(vec![row("web1"); 100], 5);
        gathering.add_rows(vec![row("web2"); 10], 0);
        gathering.add_rows(vec![row("web3"); 30], 0);
        let Some(Input::Samples(samples)) = gathering.take() else { panic!("no rows") };
        let of = |host: &str| samples.rows.iter().filter(|row| row.host.as_str() == host).count();
        assert_eq!(samples.rows.len(), GATHERED_ROWS);
        assert_eq!((of("web1"), of("web2"), of("web3")), (15, 10, 15));
        assert_eq!(samples.rows_left_out, 105 + 40 - GATHERED_ROWS as u64);
    }

    /// Nothing becomes due in twice the time that a line would take.
    async fn quiet(gathering: &Gathering) -> bool {
        tokio::time::timeout(GATHER * 2, gathering.due.come()).await.is_err()
    }

    #[tokio::test]
    async fn lines_are_due_together_and_nothing_is_due_while_nothing_is_said() {
        let gathering = Gathering::default();
        assert!(quiet(&gathering).await);
        for _ in 0..2 {
            let said = Instant::now();
            gathering.add(line(5));
            let due = gathering.due.at().expect("a moment");
            // Given up half way, as the loop does for what is more urgent: the moment stays.
            for _ in 0..3 {
                assert!(gathering.due.come().now_or_never().is_none());
                gathering.add(line(5));
            }
            assert_eq!(*gathering.due.at(), Some(due));
            gathering.due.come().await;
            assert!(said.elapsed() >= GATHER);
            assert_eq!(taken(&gathering), (4, 0));
            assert!(gathering.take().is_none(), "all was taken");
            assert!(quiet(&gathering).await);
        }
    }

    #[tokio::test]
    async fn one_that_waits_already_is_woken_by_the_first_line() {
        let gathering = Arc::new(Gathering::default());
        let there = Arc::clone(&gathering);
        let waiting = tokio::spawn(async move { there.due.come().await });
        tokio::time::sleep(GATHER).await;
        gathering.add(line(5));
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time").expect("well");
    }

    #[tokio::test]
    async fn a_sooner_moment_counts_and_a_later_one_does_not() {
        let due = Due::default();
        let (hour, began) = (Duration::from_secs(3_600), Instant::now());
        due.by(began + hour);
        assert!(tokio::time::timeout(GATHER, due.come()).await.is_err());
        let sooner = async {
            tokio::time::sleep(GATHER).await;
            due.by(Instant::now());
            due.by(began + hour * 2);
        };
        let both = async { tokio::join!(due.come(), sooner) };
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("woken for the sooner one");
        due.over();
        assert!(due.come().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_is_beyond_the_bytes_of_a_record_is_counted() {
        let gathering = Gathering::default();
        let all = 2 * GATHERED_BYTES / 1_000;
        for _ in 0..all {
            gathering.add(line(1_000));
        }
        let fit = GATHERED_BYTES / (1_000 + 64);
        assert_eq!(taken(&gathering), (fit, (all - fit) as u64));
        gathering.add(line(1_000));
        gathering.due.come().await;
        assert_eq!(taken(&gathering), (1, 0), "the next record has room again");
    }
}
