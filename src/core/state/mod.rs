//! What all events together make: the one truth that the screen draws and decisions are made from.
//!
//! Fields are read by everyone and written only by the `apply` of the event groups. Cursors,
//! sheets and scroll positions are a viewer's own and never stand here.

mod alarm;
mod batch;
mod batches;
mod deadman;
mod host;
mod logs;
mod pending;
mod probe;
mod ring;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use alarm::{Alarm, Alarms, LineState};
pub use batch::{Batch, Phase};
pub use batches::Batches;
pub use deadman::{DeadMan, Unattended};
pub(in crate::core) use host::Reached;
pub use host::{Host, Reach};
pub use logs::{Logs, tenths};
pub use pending::{Pending, Work};
pub use probe::{Capture, Health, Normal, ProbeState, Series};
pub use ring::Ring;

use super::change::Rehearsal;
use super::event::{
    Event, Flow, HoldScope, LogEvent, LogLine, LogSource, Outcome, PacketEvent, PacketRow, ProbeEvent,
    ProbeId, ProbeOutcome, Purpose, Record, Samples, Sighting, Vantage, WindowEvent,
};
use super::evidence::Evidence;
use crate::plan::Plan;
use crate::types::{BatchId, CustomerName, Epoch, HostName, Seq, Span, Time, Untrusted};

/// Log lines kept in state; older ones stay in the journal.
const LOG_LINES: usize = 10_000;
/// Rows of packets kept in state; older ones stay in the journal.
const PACKETS: usize = 5_000;
/// Markers kept in state, the newest.
const MARKERS: usize = 1_000;

/// The state of a window at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The last event folded in; 0 before the first.
    pub seq: Seq,
    /// When that was.
    pub at: Option<Time>,
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// What the recording is for.
    pub purpose: Option<Purpose>,
    /// The plan as sealed.
    pub plan: Option<Arc<Plan>>,
    /// Its hosts in the order in which they are taken: worked out once, since every screen asks.
    pub turns: Arc<Vec<HostName>>,
    /// When it was sealed.
    pub opened: Option<Time>,
    /// The rehearsal that the window stands on.
    pub rehearsal: Option<Arc<Rehearsal>>,
    /// What this rehearsal left, once it is complete.
    pub frozen: Option<Arc<Rehearsal>>,
    /// The round of a rehearsal.
    pub round: Round,
    /// How often the recording was picked up by another process.
    pub resumed: u32,
    /// Holds in force.
    pub held: Vec<Held>,
    /// Hosts by name, the baseline among them.
    pub hosts: BTreeMap<HostName, Arc<Host>>,
    /// Batches by id, by host, and in the order in which they were planned.
    pub batches: Batches,
    /// Waivers in force.
    pub waivers: Vec<Waiver>,
    /// Probes and their newest results.
    pub probes: BTreeMap<ProbeId, Arc<ProbeState>>,
    /// The plan's controls and their newest results, as listed there.
    pub controls: Vec<Arc<ProbeState>>,
    /// What captures on hosts see.
    pub captures: BTreeMap<HostName, Capture>,
    /// What is known of hosts' logs.
    pub logs: BTreeMap<HostName, Logs>,
    /// Alarms, and lines that are met.
    pub alarms: Alarms,
    /// Evidence of hosts.
    pub evidence: BTreeMap<HostName, Evidence>,
    /// The standing effect that makes probes.
    pub probing: Option<Seq>,
    /// Effects that were started and have not answered.
    pub pending: BTreeMap<Seq, Pending>,
    /// Markers, oldest first.
    pub markers: VecDeque<Marker>,
    /// The newest log lines.
    pub log: Ring<LogLine>,
    /// Lines that were never recorded.
    pub log_left_out: u64,
    /// The newest rows of packets.
    pub packets: Ring<PacketRow>,
    /// Rows that were never recorded.
    pub packets_left_out: u64,
    /// When and how it ended.
    pub ended: Option<(Time, Outcome)>,
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// How far it reaches.
    pub scope: HoldScope,
    /// Why.
    pub why: Untrusted,
    /// Since when.
    pub at: Time,
}

/// A recorded decision to pass a held gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiver {
    /// The gate's name.
    pub gate: String,
    /// For which batch.
    pub batch: BatchId,
    /// What was failing when it was given; when that changes the gate is held again.
    pub failing: Untrusted,
    /// Why it is right to go on.
    pub reason: Untrusted,
    /// What will be watched.
    pub watch: Untrusted,
    /// When it ends by itself.
    pub until: Time,
    /// When it was given.
    pub at: Time,
}

/// A note at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// Its event.
    pub seq: Seq,
    /// When.
    pub at: Time,
    /// The note.
    pub note: Untrusted,
}

/// The round of a rehearsal: apply, roll back, apply again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Round {
    /// Applied and verified for the first time.
    First,
    /// Rolled back and compared with before.
    Back,
    /// Applied and verified again; then the set is frozen.
    Second,
}

impl Default for State {
    fn default() -> Self {
        Self {
            seq: 0,
            at: None,
            epoch: 0,
            purpose: None,
            plan: None,
            turns: Arc::default(),
            opened: None,
            rehearsal: None,
            frozen: None,
            round: Round::First,
            resumed: 0,
            held: Vec::new(),
            hosts: BTreeMap::new(),
            batches: Batches::default(),
            waivers: Vec::new(),
            probes: BTreeMap::new(),
            controls: Vec::new(),
            captures: BTreeMap::new(),
            logs: BTreeMap::new(),
            alarms: Alarms::default(),
            evidence: BTreeMap::new(),
            probing: None,
            pending: BTreeMap::new(),
            markers: VecDeque::new(),
            log: Ring::new(LOG_LINES),
            log_left_out: 0,
            packets: Ring::new(PACKETS),
            packets_left_out: 0,
            ended: None,
        }
    }
}

impl State {
    /// Takes one committed record in. Never panics, whatever the record says: a recording may come
    /// from elsewhere.
    pub fn apply(&mut self, record: &Record) {
        // What a process that is gone followed ended with its last record.
        if let (Event::Window(WindowEvent::Resumed { .. }), Some(at)) = (&record.event, self.at) {
            self.logs.values_mut().for_each(|logs| logs.left(at));
        }
        self.seq = record.seq;
        self.at = Some(record.at);
        self.epoch = self.epoch.max(record.epoch);
        let (seq, at) = (record.seq, record.at);
        match &record.event {
            Event::Window(event) => event.apply(self, seq, at),
            Event::Host(event) => event.apply(self, seq, at),
            Event::Batch(event) => event.apply(self, seq, at),
            Event::Gate(event) => event.apply(self, seq, at),
            Event::Probe(event) => event.apply(self, seq, at),
            Event::Packet(event) => event.apply(self, seq, at),
            Event::Log(event) => event.apply(self, seq, at),
            Event::Alarm(event) => event.apply(self, seq, at),
            Event::Evidence(event) => event.apply(self, seq, at),
            Event::Rehearsal(event) => event.apply(self, seq, at),
            Event::Samples(samples) => samples.apply(self, seq, at),
        }
    }

    /// Batches of a host, in the order in which they were planned.
    pub fn batches_of<'a>(&'a self, host: &'a HostName) -> impl DoubleEndedIterator<Item = &'a Arc<Batch>> {
        self.batches.of(host)
    }

    /// All batches, in the order in which they were planned.
    pub fn in_order(&self) -> impl DoubleEndedIterator<Item = &Arc<Batch>> {
        self.batches.values()
    }

    /// Whether a hold covers this batch.
    pub fn is_held(&self, batch: &Batch) -> bool {
        self.held.iter().any(|held| match &held.scope {
            HoldScope::Window => true,
            HoldScope::Host(host) => *host == batch.host,
            HoldScope::Batch(id) => *id == batch.id,
        })
    }

    /// Probes of a host's customers.
    pub fn probes_of<'a>(
        &'a self,
        host: &'a HostName,
    ) -> impl Iterator<Item = (&'a ProbeId, &'a Arc<ProbeState>)> {
        let customers = self.plan.iter().flat_map(move |plan| plan.customers_of(host));
        customers.flat_map(|customer| {
            let id = |index| ProbeId { customer: customer.name.clone(), index };
            self.probes.range(id(0)..=id(u16::MAX))
        })
    }

    /// Probes of one customer.
    pub fn probes_of_customer(&self, customer: &CustomerName) -> impl Iterator<Item = &Arc<ProbeState>> {
        let id = |index| ProbeId { customer: customer.clone(), index };
        self.probes.range(id(0)..=id(u16::MAX)).map(|(_, probe)| probe)
    }

    /// Whether an event that was just applied can be shown with the next second: a probe that passes
    /// as ever, rows of packets, lines of a host's own logs. On many hosts they come all the time, and nobody
    /// waits for one.
    pub fn is_routine(&self, event: &Event) -> bool {
        match event {
            Event::Probe(ProbeEvent::Seen { probe, vantage, .. }) => {
                self.probes.get(probe).is_some_and(|probe| probe.as_ever(vantage))
            }
            Event::Probe(ProbeEvent::ControlSeen { index, vantage, .. }) => {
                self.controls.get(usize::from(*index)).is_some_and(|control| control.as_ever(vantage))
            }
            // They stand beside results, which are shown at once where it matters.
            Event::Packet(PacketEvent::Tallied { .. } | PacketEvent::Kept { .. })
            | Event::Log(LogEvent::Counted { .. }) => true,
            Event::Log(_) => false,
            Event::Packet(PacketEvent::Matched { flow, .. }) => flow.completed || flow.granted >= flow.asked,
            // Rows, and lines of hosts' own logs: they come all the time, and in floods.
            Event::Samples(Samples { lines, .. }) => lines.iter().all(|line| match line.source {
                LogSource::Journal | LogSource::File(_) => true,
                LogSource::Operation(_) | LogSource::Holdpoint => false,
            }),
            Event::Packet(
                PacketEvent::Running { .. }
                | PacketEvent::Unseen { .. }
                | PacketEvent::Started { .. }
                | PacketEvent::Ended { .. },
            ) => false,
            Event::Probe(ProbeEvent::WatchStarted | ProbeEvent::WatchEnded { .. })
            | Event::Window(_)
            | Event::Host(_)
            | Event::Batch(_)
            | Event::Gate(_)
            | Event::Alarm(_)
            | Event::Evidence(_)
            | Event::Rehearsal(_) => false,
        }
    }

    /// The host that stands in for the baseline.
    pub fn reference(&self) -> Option<&Arc<Host>> {
        self.hosts.get(self.plan.as_ref()?.reference()?)
    }

    pub(super) fn open(&mut self, purpose: Purpose, plan: &Plan, rehearsal: Option<&Rehearsal>, at: Time) {
        self.purpose = Some(purpose);
        self.opened = Some(at);
        self.rehearsal = rehearsal.cloned().map(Arc::new);
        for (name, _) in plan.reached() {
            self.hosts.insert(name.clone(), Arc::new(Host::new(name, plan)));
        }
        let counted = plan.aborts.iter().map(|line| line.fails.of).max().unwrap_or_default();
        for customer in &plan.customers {
            for (index, probe) in customer.probes.iter().enumerate() {
                let id = ProbeId { customer: customer.name.clone(), index: index as u16 };
                self.probes.insert(id, Arc::new(ProbeState::new(probe.clone(), counted)));
            }
        }
        let controls = plan.controls.iter().map(|probe| Arc::new(ProbeState::new(probe.clone(), 0)));
        self.controls = controls.collect();
        self.turns = Arc::new(super::schedule::turns(plan));
        self.plan = Some(Arc::new(plan.clone()));
    }

    pub(super) fn host_mut(&mut self, name: &HostName) -> Option<&mut Host> {
        self.hosts.get_mut(name).map(Arc::make_mut)
    }

    pub(crate) fn batch_mut(&mut self, id: &BatchId) -> Option<&mut Batch> {
        self.batches.get_mut(id)
    }

    pub(super) fn plan_batch(&mut self, batch: Batch) {
        if let Some(host) = self.host_mut(&batch.host) {
            host.last_number = host.last_number.max(batch.number);
        }
        self.batches.insert(batch);
    }

    pub(super) fn drop_batch(&mut self, id: &BatchId) {
        self.batches.remove(id);
    }

    /// The rollback of a batch did not come off: what was applied before it on that host is not taken
    /// back from under it, unless somebody asks again.
    pub(super) fn leave_under(&mut self, id: &BatchId) {
        let Some((host, applied_as)) = self.batches.get(id).map(|b| (b.host.clone(), b.applied_as)) else {
            return;
        };
        let under: Vec<BatchId> = self
            .batches_of(&host)
            .filter(|batch| batch.wanted_back && batch.applied_as < applied_as)
            .map(|batch| batch.id.clone())
            .collect();
        for id in under {
            if let Some(batch) = self.batch_mut(&id) {
                batch.wanted_back = false;
            }
        }
    }

    pub(super) fn mark(&mut self, seq: Seq, at: Time, note: Untrusted) {
        if self.markers.len() == MARKERS {
            self.markers.pop_front();
        }
        self.markers.push_back(Marker { seq, at, note });
    }

    /// The clock jumped. Set back, nothing that is counted from has happened later than now: it would count
    /// from nowhere until the clock has caught up. Set forward, or stopped in a sleep, a countdown was seen by
    /// nobody: it begins anew, and the network may have been gone meanwhile.
    pub(super) fn clock_stepped(&mut self, by_ms: i64, now: Time) {
        // What was told of the wire by then was told by another clock: nothing is missing there until it is told anew.
        self.captures.values_mut().for_each(|capture| capture.whole = None);
        if by_ms >= 0 {
            self.alarms.forget_countdowns();
            self.alarms.back = Some(now);
            return;
        }
        let by = Span::ms(by_ms.unsigned_abs());
        self.hosts.values_mut().for_each(|host| Arc::make_mut(host).set_back(now));
        let probes = self.probes.values_mut().chain(&mut self.controls);
        probes.for_each(|probe| Arc::make_mut(probe).set_back(now));
        let all: Vec<BatchId> = self.batches.values().map(|batch| batch.id.clone()).collect();
        for id in all {
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            batch.disturbed = batch.disturbed.map(|at| now.min(at));
            batch.changed = batch.changed.map(|at| now.min(at));
            // Its host counts on meanwhile: a bake that is to be waited for anew would end in the host's own rollback.
            batch.since = now.min(batch.since - by);
            batch.verified_at = batch.verified_at.map(|at| now.min(at - by));
            batch.unconfirmed_since = batch.unconfirmed_since.take().map(|(at, why)| (now.min(at - by), why));
        }
        self.logs.values_mut().for_each(|logs| logs.set_back(by, now));
        self.captures.values_mut().for_each(|capture| capture.set_back(now));
        self.alarms.set_back(now);
    }

    pub(super) fn saw(
        &mut self,
        id: &ProbeId,
        vantage: &Vantage,
        outcome: &ProbeOutcome,
        seen: Option<&Sighting>,
        at: Time,
    ) {
        let Some(probe) = self.probes.get_mut(id).map(Arc::make_mut) else { return };
        probe.saw(vantage, outcome, seen, at);
    }

    pub(super) fn saw_control(&mut self, index: u16, vantage: &Vantage, outcome: &ProbeOutcome, at: Time) {
        let Some(control) = self.controls.get_mut(usize::from(index)).map(Arc::make_mut) else { return };
        control.saw(vantage, outcome, None, at);
    }

    pub(super) fn matched(&mut self, id: &ProbeId, vantage: &Vantage, flow: &Flow, at: Time) {
        let Some(probe) = self.probes.get_mut(id).map(Arc::make_mut) else { return };
        probe.matched(vantage, flow, at);
    }

    /// A change of a host starts. With the window's first what each probe was before is settled, with the
    /// host's own first how often its logs told of errors.
    pub(super) fn freeze_normal(&mut self, host: &HostName) {
        for probe in self.probes.values_mut() {
            if !probe.settled {
                Arc::make_mut(probe).settled = true;
            }
        }
        if let (Some(at), Some(logs)) = (self.at, self.logs.get_mut(host)) {
            logs.settle(at);
        }
    }
}
