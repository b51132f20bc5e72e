//! What must be true at every step, judged on the state before it.

use super::*;

impl Sim {
    /// What must be true at the moment an event is committed, judged on the state before it.
    pub(super) fn check_record(&mut self, record: &Record) {
        if !matches!(
            record.event,
            Event::Probe(_) | Event::Packet(_) | Event::Log(_) | Event::Samples(_) | Event::Host(_)
        ) {
            let words: String = format!("{:?}", record.event).chars().take(160).collect();
            self.tell(format!("#{} {words}", record.seq));
        }
        if self.thorough {
            let text = serde_json::to_string(&record.event).expect("every event is written");
            let back: Event = serde_json::from_str(&text).expect("every event is read");
            assert_eq!(back, record.event, "every event round-trips");
        }
        if let Event::Alarm(event) = &record.event {
            self.check_alarm(event, record.at);
        }
        let Event::Batch(event) = &record.event else { return };
        let before = self.fold.batches.get(event.batch());
        if let (true, Some(batch)) = (orders(event), before) {
            let fence = crate::core::fence::of(&self.fold, &batch.host);
            assert_eq!(fence, None, "nothing is ordered where another cockpit is known to hold the host");
        }
        match event {
            BatchEvent::ApplyStarted { .. } => {
                let batch = before.expect("it was planned");
                assert_eq!(batch.phase, Phase::Staged);
                assert!(!self.fold.is_held(batch), "nothing new starts under a hold");
                assert!(batch.proof.is_some(), "the inverse is recorded before the change");
                let judged = gate::judge(&self.fold, batch, record.at);
                assert!(gate::all_pass(&judged), "past a held gate: {judged:?}");
            }
            BatchEvent::Confirmed { batch: id, .. } => {
                let batch = before.expect("it was planned");
                assert_eq!(batch.phase, Phase::Confirming, "unknown is never good");
                let timer = self.hosts[&batch.host].timers.state(id);
                assert_eq!(timer, TimerState::Confirmed, "confirmed is what the host has confirmed");
            }
            BatchEvent::RollbackQueued { batch, .. } => {
                let owed = self.owed.remove(batch);
                let asked = record.actor != Actor::Holdpoint || self.fold.purpose == Some(Purpose::Rehearsal);
                assert!(owed || asked, "nothing but a line rolls back by itself");
            }
            BatchEvent::RollbackStarted { .. } => {
                let batch = before.expect("it was planned");
                for other in self.fold.in_order().filter(|other| other.id != batch.id && changing(other)) {
                    assert!(
                        !schedule::stand_in(&self.fold, &other.host, &batch.host),
                        "{} and {} at once",
                        other.label(),
                        batch.label()
                    );
                }
            }
            _ => {}
        }
    }

    /// What a line may do, judged on the state before it.
    pub(super) fn check_alarm(&mut self, event: &AlarmEvent, at: Time) {
        match event {
            AlarmEvent::Fired { host, line } => {
                let met = self.fold.alarms.line(host, *line).expect("it was met").clone();
                let (_, until) = met.counts.expect("it counted down");
                assert!(met.open() && at >= until, "kept is kept, and the countdown is whole: {met:?}");
                let fence = crate::core::fence::of(&self.fold, host);
                assert_eq!(fence, None, "another cockpit's host is its own");
                let stands = |id: &BatchId| self.fold.batches.get(id).is_some_and(|b| b.phase.unconfirmed());
                assert!(met.batches.iter().any(stands), "what is confirmed stays");
                // A line on what is seen from outside: whatever else was seen, somebody did fail there.
                let batch = met.batches.iter().find_map(|id| self.fold.batches.get(id)).expect("a batch");
                let (began, dark) = (batch.apply_started.expect("it was applied"), self.dark.get(host));
                let failed = dark.is_some_and(|dark| *dark >= began);
                assert!(*line == Line::AbortBy || failed, "a broken vantage rolls nothing back: {met:?}");
                let back = met.batches.iter().filter(|id| stands(id)).cloned();
                self.owed.extend(back.filter(|id| self.fold.batches.get(id).is_some_and(|b| !b.wanted_back)));
                for batch in met.batches {
                    assert!(self.spent.insert((*line, batch)), "one alarm, at most one rollback");
                }
            }
            AlarmEvent::CountdownStarted { host, line, .. } => {
                let met = self.fold.alarms.line(host, *line).expect("it was met");
                assert!(met.open(), "kept is kept: {met:?}");
                let plan = self.fold.plan.as_ref().expect("a plan");
                assert_eq!(plan.policy.auto_rollback, crate::plan::AutoRollback::Armed);
            }
            AlarmEvent::Kept { .. } => self.kept += 1,
            AlarmEvent::Raised { .. }
            | AlarmEvent::Acknowledged { .. }
            | AlarmEvent::Cleared { .. }
            | AlarmEvent::LineMet { .. }
            | AlarmEvent::LineOver { .. } => {}
        }
    }

    /// A countdown ends when it was to end, or a little later: with evidence and what tells of the network.
    pub(super) fn check_countdowns(&self) {
        for (host, line, until) in alarm::line::countdowns(&self.fold) {
            let late = crate::core::evidence::WAITED + Span::secs(20);
            assert!(self.now <= until + late, "{host}: {} was to be decided at {until}", line.word());
        }
    }

    /// Never two hosts of one group are changed at once.
    pub(super) fn check_groups(&self) {
        if self.rivals {
            return;
        }
        let busy = |host: &str| self.hosts[&name(host)].busy(self.now);
        assert!(!(busy("web1") && busy("web2")), "two of one group at once");
    }

    pub(super) fn check_prefixes(&self) {
        let log = &self.conductor.as_ref().expect("it is there").log;
        let mut state = State::default();
        let middle = log.records().len() / 2;
        log.records()[..middle].iter().for_each(|record| state.apply(record));
        let mut rest = state.clone();
        log.records()[middle..].iter().for_each(|record| rest.apply(record));
        assert!(rest == self.fold, "fold of a prefix and then the rest = fold of all");
    }
}

/// Whether an event orders something of its host that takes an epoch.
fn orders(event: &BatchEvent) -> bool {
    matches!(
        event,
        BatchEvent::StageStarted { .. }
            | BatchEvent::ApplyStarted { .. }
            | BatchEvent::RebootStarted { .. }
            | BatchEvent::ConfirmStarted { .. }
            | BatchEvent::RollbackStarted { .. }
            | BatchEvent::InspectStarted { .. }
            | BatchEvent::TimerAsked { extend: Some(_), .. }
    )
}

/// Whether work that changes the host is under way: storing packages is none.
fn changing(batch: &crate::core::state::Batch) -> bool {
    batch.phase.running() && batch.phase != Phase::Staging
}
