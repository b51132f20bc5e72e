//! What goes wrong in a window, and what its operator presses, both at random.

use super::*;

impl Sim {
    pub(super) fn crash(&mut self) {
        let more = self.dice.below(4) as usize;
        let log = self.conductor.take().expect("it is there").log;
        self.picked_up(log.crash(more));
    }

    /// Another process goes on with what was found of the journal.
    pub(super) fn picked_up(&mut self, records: Vec<Record>) {
        self.tell(format!("the cockpit is killed; {} records are found", records.len()));
        self.fold = State::default();
        records.iter().for_each(|record| self.fold.apply(record));
        // What was not written yet has not been.
        self.spent = self.fold.alarms.spent.clone();
        // Nobody waits for what was in flight; operations on hosts go on, and an order that had not reached
        // its host yet arrives when it does.
        for InFlight { started, sent, .. } in self.flight.drain(..) {
            if !sent {
                self.late.push((self.now + Span::ms(self.dice.below(30_000)), started.effect));
            }
        }
        self.failing_since = None;
        self.epoch += 1;
        let log = MemoryLog::holding(records);
        self.conductor = Some(Conductor::new(log, self.fold.clone(), "next".into(), self.epoch));
        if self.fold.purpose.is_some() {
            self.command(Intent::Resume { take_over: None });
        }
    }

    pub(super) fn fault(&mut self) {
        if self.watched && self.dice.once_in(2) {
            return;
        }
        let hosts: Vec<HostName> = self.hosts.keys().cloned().collect();
        let host = hosts[self.dice.below(hosts.len() as u64) as usize].clone();
        match self.dice.below(8) {
            0 => {
                let sim = self.hosts.get_mut(&host).expect("it is there");
                sim.reachable = !sim.reachable;
                let word = if sim.reachable { "is reached again" } else { "is lost" };
                self.tell(format!("{host} {word}"));
            }
            1 => {
                let now = self.now;
                self.hosts.get_mut(&host).expect("it is there").power_cut(now);
                self.tell(format!("{host}: power cut"));
            }
            2 if self.cut_off.is_none() => self.crash(),
            3 if self.failing_since.is_none() => {
                self.tell("the journal's disk is full".into());
                self.failing_since = Some(self.now);
                self.conductor().log.fail("no space left on device");
            }
            3 | 4 => self.heal_journal(),
            5 | 6 => {
                let word = if self.cut_off.is_some() { "is back" } else { "is gone" };
                self.tell(format!("the cockpit's own network {word}"));
                self.cuts += usize::from(self.cut_off.is_none());
                // One that is gone for a few seconds is told from an outage where something else is looked at.
                match self.cut_off {
                    None => self.cut_off = Some(self.now),
                    Some(since) if self.now >= since + Span::secs(20) => self.cut_off = None,
                    Some(_) => {}
                }
            }
            _ => {
                let theirs = Record {
                    seq: 0,
                    at: self.now,
                    actor: Actor::Holdpoint,
                    session: "other".into(),
                    epoch: self.epoch,
                    event: Event::Window(crate::core::event::WindowEvent::Marked { note: "theirs".into() }),
                };
                if self.failing_since.is_none() {
                    self.conductor().log.conflict_next(vec![theirs]);
                }
            }
        }
    }

    pub(super) fn heal_journal(&mut self) {
        if self.failing_since.take().is_some() {
            self.tell("the journal's disk is back".into());
            self.conductor().log.heal();
            let now = self.now;
            let turn = self.conductor().steps(&[], now);
            self.after(turn);
        }
    }

    pub(super) fn operator(&mut self) {
        let next = schedule::next(&self.fold).map(|batch| batch.id.clone());
        let hosts: Vec<HostName> = self.hosts.keys().cloned().collect();
        let host = hosts[self.dice.below(hosts.len() as u64) as usize].clone();
        let pressed = match self.dice.below(18) {
            // Where lines are looked at it goes ahead, and is not taken back by hand.
            0..=5 if self.watched => 6,
            9..=10 if self.watched => 17,
            12..=14 if self.watched => 15,
            other => other,
        };
        let intent = match (pressed, next) {
            (0..=5, Some(batch)) => Intent::Go { batch },
            (6, Some(batch)) => {
                // One who means it: every held gate waived, then GO.
                for gate in gate::GATES {
                    self.command(Intent::Waive {
                        gate: gate.word().into(),
                        batch: batch.clone(),
                        reason: "the customer asked for it".into(),
                        watch: "the probes".into(),
                        lasts: Span::mins(20),
                    });
                }
                Intent::Go { batch }
            }
            (7, Some(batch)) => {
                let gate = gate::GATES[self.dice.below(gate::GATES.len() as u64) as usize];
                Intent::Waive {
                    gate: gate.word().into(),
                    batch,
                    reason: "the customer asked for it".into(),
                    watch: "the probes".into(),
                    lasts: Span::mins(20),
                }
            }
            (8, Some(batch)) => Intent::Restage { batch },
            (9, _) => Intent::Rollback { scope: RollbackScope::Unconfirmed, why: "dice".into() },
            (10, _) => Intent::Rollback { scope: RollbackScope::Host(host), why: "dice".into() },
            (11, _) => Intent::Hold { scope: HoldScope::Host(host), why: "dice".into() },
            (12, _) => Intent::Release { scope: HoldScope::Host(host) },
            (13, _) => Intent::Leave { host, package: "vim".parse().expect("a name") },
            (14, _) => Intent::Refresh { host: Some(host) },
            (15, _) => {
                let undecided = alarm::line::undecided(&self.fold).first().map(|host| (*host).clone());
                Intent::Keep { host: undecided.unwrap_or(host), reason: "dice".into() }
            }
            (_, _) => Intent::Release { scope: HoldScope::Window },
        };
        self.command(intent);
    }
}
