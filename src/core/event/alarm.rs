//! Alarms, and the lines at which something is rolled back by itself.

use serde::{Deserialize, Serialize};

use super::probe::Vantage;
use crate::core::state::{Alarm, LineState, State};
use crate::types::{BatchId, CustomerName, HostName, Seq, Time, UnitName, Untrusted};

/// What an alarm is about: by this it is told from others, acknowledged and cleared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A customer's required probes fail.
    Customer(CustomerName),
    /// A host stopped answering.
    Host(HostName),
    /// A unit has failed since a batch was applied.
    Unit {
        /// On which host.
        host: HostName,
        /// Which.
        unit: UnitName,
    },
    /// A place that one looks from does not work: no outage.
    Vantage(Vantage),
    /// The logs of a host tell of many more errors than they did before its first change.
    Logs(HostName),
}

/// A line at which the agreed default is to roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// An `[[abort]]` of the plan, by its place there, from 1.
    Abort(u16),
    /// Abort-by has passed.
    AbortBy,
}

impl Line {
    /// "abort line 1", "abort-by".
    pub fn word(self) -> String {
        match self {
            Self::Abort(number) => format!("abort line {number}"),
            Self::AbortBy => "abort-by".to_owned(),
        }
    }
}

/// Something about alarms and lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AlarmEvent {
    /// An alarm began.
    Raised {
        /// About what.
        cause: Cause,
        /// What was so, in a sentence.
        said: Untrusted,
    },
    /// Somebody has seen it; it stays until its cause is gone.
    Acknowledged {
        /// Which.
        cause: Cause,
    },
    /// Its cause is gone.
    Cleared {
        /// Which.
        cause: Cause,
    },
    /// A line is met on a host with unconfirmed work: evidence is saved from here on.
    LineMet {
        /// On which host.
        host: HostName,
        /// Which line.
        line: Line,
        /// What met it.
        why: Untrusted,
        /// What would be rolled back.
        batches: Vec<BatchId>,
    },
    /// Its default is to roll back, at that moment.
    CountdownStarted {
        /// On which host.
        host: HostName,
        /// Which line.
        line: Line,
        /// When.
        until: Time,
    },
    /// Somebody stopped that, with a reason.
    Kept {
        /// On which host.
        host: HostName,
        /// Which line.
        line: Line,
        /// Why.
        reason: Untrusted,
    },
    /// Nobody did: it is rolled back.
    Fired {
        /// On which host.
        host: HostName,
        /// Which line.
        line: Line,
    },
    /// The line concerns nothing there any more: it is not met, or what it was about is gone.
    LineOver {
        /// On which host.
        host: HostName,
        /// Which line.
        line: Line,
    },
}

impl AlarmEvent {
    pub(crate) fn apply(&self, state: &mut State, seq: Seq, at: Time) {
        match self {
            Self::Raised { cause, said } => {
                state.alarms.note(at);
                let alarm = Alarm { since: at, said: said.clone(), acknowledged: None };
                state.alarms.raised.entry(cause.clone()).or_insert(alarm);
            }
            Self::Acknowledged { cause } => {
                if let Some(alarm) = state.alarms.raised.get_mut(cause) {
                    alarm.acknowledged.get_or_insert(at);
                }
            }
            Self::Cleared { cause } => {
                state.alarms.raised.remove(cause);
                if *cause == Cause::Vantage(Vantage::Cockpit) {
                    state.alarms.back = Some(at);
                }
            }
            Self::LineMet { host, line, why, batches } => {
                let met = LineState {
                    since: at,
                    why: why.clone(),
                    batches: batches.clone(),
                    counts: None,
                    kept: None,
                    fired: None,
                };
                state.alarms.lines.insert((host.clone(), *line), met);
                state.mark(seq, at, Untrusted::new(format!("{host}: {} met", line.word())));
            }
            Self::CountdownStarted { host, line, until } => {
                if let Some(met) = state.alarms.line_mut(host, *line) {
                    met.counts = Some((at, *until));
                }
            }
            Self::Kept { host, line, reason } => {
                if let Some(met) = state.alarms.line_mut(host, *line) {
                    (met.kept, met.counts) = (Some((at, reason.clone())), None);
                }
            }
            Self::Fired { host, line } => {
                if let Some(met) = state.alarms.line_mut(host, *line) {
                    (met.fired, met.counts) = (Some(at), None);
                    let spent: Vec<_> = met.batches.iter().map(|batch| (*line, batch.clone())).collect();
                    state.alarms.spent.extend(spent);
                }
            }
            Self::LineOver { host, line } => {
                state.alarms.lines.remove(&(host.clone(), *line));
            }
        }
    }
}
