//! The one loop. [`Conductor::step`] is synchronous and knows no clock, file or network, so that a
//! simulation with a seed can drive it; `shell` puts it into tokio, `clock` is the only one.

pub mod clock;
mod gathering;
pub mod shell;
#[cfg(test)]
mod simulation;

use std::sync::Arc;

use crate::core::decide::{self, Circumstances, Decision};
use crate::core::event::{Event, Record, WindowEvent};
use crate::core::{Input, JournalHealth, Started, State, View, effect};
use crate::journal::{Append, EventLog, LogNews, Refused};
use crate::types::{Epoch, Seq, Span, Time, Untrusted};

/// An effect of a rollback starts after this long although the journal could not be written.
pub const ROLLBACK_WAIT: Span = Span::secs(2);
/// How often the rules may follow each other for one input: more would be a rule that feeds itself.
const RULES: usize = 1_000;
/// How often a decision is made again since others' events came first.
const CONFLICTS: usize = 16;

/// The state, the log, and the effects that wait for the log.
pub struct Conductor<L> {
    state: Arc<State>,
    log: L,
    session: String,
    epoch: Epoch,
    waiting: Vec<Waiting>,
    durable: Seq,
    failing: Option<Failing>,
}

struct Waiting {
    started: Started,
    since: Time,
}

struct Failing {
    since: Time,
    why: Untrusted,
}

/// What became of a decision.
enum Taken {
    /// It is in the log.
    Committed,
    /// There was nothing to commit.
    Nothing,
    /// The log can never take it.
    Refused(Refused),
}

/// What one step came to.
#[derive(Debug, Default)]
#[must_use = "effects that are not started never answer"]
pub struct Turn {
    /// Effects that may start now.
    pub start: Vec<Started>,
    /// Records that were committed and applied.
    pub records: Vec<Record>,
    /// Whether the journal's health changed.
    pub health: bool,
}

impl<L: EventLog> Conductor<L> {
    /// Takes a log and the state that its records fold to.
    pub fn new(log: L, state: State, session: String, epoch: Epoch) -> Self {
        let durable = log.last();
        Self { state: Arc::new(state), log, session, epoch, waiting: Vec::new(), durable, failing: None }
    }

    /// What a viewer draws now.
    pub fn view(&self) -> View {
        let journal = match &self.failing {
            None => JournalHealth::Sound,
            Some(failing) => JournalHealth::Failing { since: failing.since, why: failing.why.clone() },
        };
        View { state: Arc::clone(&self.state), journal, live: true }
    }

    /// The state.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Bytes that were committed and are not on the disk.
    pub fn behind(&self) -> usize {
        self.log.behind()
    }

    /// Takes one input in, and whatever follows from it by itself.
    pub fn step(&mut self, input: &Input, now: Time) -> Turn {
        self.steps(std::slice::from_ref(input), now)
    }

    /// Takes several inputs in that came together, one after another, and then what follows from all
    /// of them. With none, what the log has to say: to be called when it wakes the loop.
    pub fn steps(&mut self, inputs: &[Input], now: Time) -> Turn {
        let mut turn = Turn::default();
        self.hear(now, &mut turn);
        for input in inputs {
            self.take(input, now, &mut turn);
        }
        self.follow(now, &mut turn);
        self.release(now, &mut turn);
        turn
    }

    /// Commits what follows from an input. What the journal can't hold is recorded in short: an effect
    /// whose answer is lost would be waited for for ever.
    fn take(&mut self, input: &Input, now: Time, turn: &mut Turn) {
        let Taken::Refused(why) = self.commit(|state, under| decide::decide(state, input, under), now, turn)
        else {
            return;
        };
        let words = match why {
            Refused::TooLong { bytes, most, .. } => {
                format!("what was said does not fit the journal: {bytes} bytes, a line has at most {most}")
            }
            Refused::Unwritable { why, .. } => {
                format!("what was said can't be written to the journal: {why}")
            }
            Refused::Order { .. } => return,
        };
        if let Some(short) = decide::shortened(input, &Untrusted::new(words)) {
            self.commit(|state, under| decide::decide(state, &short, under), now, turn);
        }
    }

    fn circumstances(&self, now: Time) -> Circumstances {
        Circumstances { now, journal_sound: self.failing.is_none() }
    }

    /// Commits what is decided; decides again when others' events came first.
    fn commit(
        &mut self,
        decide: impl Fn(&State, Circumstances) -> Decision,
        now: Time,
        turn: &mut Turn,
    ) -> Taken {
        for _ in 0..CONFLICTS {
            let decision = decide(&self.state, self.circumstances(now));
            if decision.events.is_empty() {
                return Taken::Nothing;
            }
            let first = self.state.seq + 1;
            let records: Vec<Record> = (first..)
                .zip(decision.events)
                .map(|(seq, event)| Record {
                    seq,
                    at: now,
                    actor: decision.actor.clone(),
                    session: self.session.clone(),
                    epoch: self.epoch,
                    event,
                })
                .collect();
            match self.log.append(self.state.seq, records.clone()) {
                Append::Committed => {
                    self.take_in(records, now, true, turn);
                    return Taken::Committed;
                }
                Append::Conflict { theirs } => self.take_in(theirs, now, false, turn),
                Append::Refused(why) => {
                    tracing::error!("the journal refuses what was decided: {why}");
                    return Taken::Refused(why);
                }
            }
        }
        tracing::error!("others write faster than this cockpit can decide; the input is dropped");
        Taken::Nothing
    }

    fn take_in(&mut self, records: Vec<Record>, now: Time, ours: bool, turn: &mut Turn) {
        let state = Arc::make_mut(&mut self.state);
        for record in &records {
            state.apply(record);
            if let (true, Some(started)) = (ours, effect::of(state, record)) {
                self.waiting.push(Waiting { started, since: now });
            }
        }
        turn.records.extend(records);
    }

    fn follow(&mut self, now: Time, turn: &mut Turn) {
        for _ in 0..RULES {
            match self.commit(decide::advance, now, turn) {
                Taken::Committed => {}
                Taken::Nothing | Taken::Refused(_) => return,
            }
        }
        tracing::error!("a rule feeds itself; it is left alone until the next input");
    }

    fn hear(&mut self, now: Time, turn: &mut Turn) {
        for news in self.log.poll() {
            match news {
                LogNews::Durable(seq) => self.durable = self.durable.max(seq),
                LogNews::Failed { from: _, why } => {
                    if self.failing.is_none() {
                        self.failing = Some(Failing { since: now, why: why.clone() });
                        turn.health = true;
                        self.cancel(&why, now, turn);
                    }
                }
                LogNews::Healed { torn: _ } => {
                    if let Some(failing) = self.failing.take() {
                        turn.health = true;
                        let event = Event::Window(WindowEvent::Gap {
                            since: failing.since,
                            lasted: Span::between(failing.since, now),
                            why: failing.why,
                        });
                        let decision =
                            Decision { actor: crate::core::event::Actor::Holdpoint, events: vec![event] };
                        self.commit(|_, _| decision.clone(), now, turn);
                    }
                }
            }
        }
    }

    /// What was decided before the journal failed and has not started never starts; a rollback does.
    fn cancel(&mut self, why: &Untrusted, now: Time, turn: &mut Turn) {
        let (kept, cancelled): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.started.effect.urgent());
        self.waiting = kept;
        for waiting in cancelled {
            let id = waiting.started.id;
            let Some(work) = self.state.pending.get(&id).map(|pending| pending.work) else { continue };
            let words = Untrusted::new(format!("not started, the journal can't be written: {}", why.raw()));
            let Some(answer) = decide::never_began(work, &words) else { continue };
            let answer = Box::new(answer);
            let input = Input::Answer { id, answer };
            self.take(&input, now, turn);
        }
    }

    /// Effects start when their event is durable; those of a rollback also after a wait.
    fn release(&mut self, now: Time, turn: &mut Turn) {
        let durable = self.durable;
        let (ready, kept): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|waiting| {
            let waited = waiting.started.effect.urgent() && now >= waiting.since + ROLLBACK_WAIT;
            waiting.started.id <= durable || waited
        });
        self.waiting = kept;
        // What takes part in a rollback goes out first.
        let (urgent, other): (Vec<_>, Vec<_>) =
            ready.into_iter().map(|waiting| waiting.started).partition(|started| started.effect.urgent());
        turn.start.extend(urgent);
        turn.start.extend(other);
    }
}
