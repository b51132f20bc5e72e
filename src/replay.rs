//! A cursor over the events of a recording: seek, step, speed, chapters. It calls
//! [`State::apply`] and nothing else, so it can touch no host.

use std::sync::Arc;

use crate::core::event::{AlarmEvent, BatchEvent, Event, GateEvent, Record, WindowEvent};
use crate::core::{JournalHealth, State, View, describe};
use crate::tui::replay::Chapter;
use crate::tui::{Position, ReplayAction};
use crate::types::{Span, Time, Untrusted};

/// States kept on the way, so that going back costs at most this many events.
const EVERY: usize = 2_000;
/// An idle stretch longer than this is cut to it.
const IDLE: Span = Span::secs(5);
/// The fastest.
const FASTEST: u32 = 64;

/// A recording and where in it one stands.
pub struct Replay {
    records: Vec<Record>,
    chapters: Vec<Chapter>,
    kept: Vec<Arc<State>>,
    state: Arc<State>,
    /// How many records are folded in.
    at: usize,
    /// The moment shown: at or after the last record folded in.
    moment: Time,
    playing: bool,
    speed: u32,
    skipped: Option<Span>,
}

/// A place that is nowhere in the recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place in the recording: write a time of day (02:40:31) or a share (30%)")]
pub struct NoPlace(String);

impl Replay {
    /// A recording's records, at its beginning and standing still; `None` where there is none.
    pub fn new(records: Vec<Record>) -> Option<Self> {
        let first = records.first()?.at;
        let mut state = State::default();
        let mut kept = vec![Arc::new(state.clone())];
        let mut chapters = Vec::new();
        for (at, record) in records.iter().enumerate() {
            state.apply(record);
            if (at + 1) % EVERY == 0 {
                kept.push(Arc::new(state.clone()));
            }
            chapters.extend(chapter(&state, record));
        }
        let mut replay = Self {
            records,
            chapters,
            state: Arc::clone(&kept[0]),
            kept,
            at: 0,
            moment: first,
            playing: false,
            speed: 1,
            skipped: None,
        };
        // The first record seals the plan: before it there is nothing to see.
        replay.go(1);
        Some(replay)
    }

    /// What is drawn now.
    pub fn frame(&self) -> (View, Position) {
        let view = View { state: Arc::clone(&self.state), journal: JournalHealth::Sound, live: false };
        let position = Position {
            at: self.moment,
            from: self.records[0].at,
            to: self.end(),
            event: self.state.seq,
            events: self.records[self.records.len() - 1].seq,
            playing: self.playing,
            speed: f64::from(self.speed),
            skipped: self.skipped,
            chapters: self.chapters.clone(),
        };
        (view, position)
    }

    /// The moment shown: ages and gates are judged by it.
    pub fn moment(&self) -> Time {
        self.moment
    }

    /// Whether everything is folded in.
    pub fn is_over(&self) -> bool {
        self.at == self.records.len()
    }

    /// How many times as fast as it happened.
    pub fn set_speed(&mut self, speed: u32) {
        self.speed = speed.clamp(1, FASTEST);
    }

    /// Does what was asked; `Quit` is the caller's.
    ///
    /// # Errors
    /// A place that can't be understood; nothing moves then.
    pub fn act(&mut self, action: &ReplayAction) -> Result<(), NoPlace> {
        self.skipped = None;
        match action {
            ReplayAction::TogglePlay => self.playing = !self.playing && !self.is_over(),
            ReplayAction::StepForward => self.go(self.at + 1),
            ReplayAction::StepBack => self.go(self.at.saturating_sub(1).max(1)),
            ReplayAction::NextMarker => {
                let next =
                    self.chapters.iter().find(|chapter| chapter.at > self.moment).map(|chapter| chapter.at);
                self.seek(next.unwrap_or_else(|| self.end()));
            }
            ReplayAction::PrevMarker => {
                let before = self.chapters.iter().rev().find(|chapter| chapter.at < self.moment);
                self.seek(before.map_or(self.records[0].at, |chapter| chapter.at));
            }
            ReplayAction::Faster => self.speed = (self.speed * 2).min(FASTEST),
            ReplayAction::Slower => self.speed = (self.speed / 2).max(1),
            ReplayAction::At(place) => {
                let moment = self.place(place)?;
                self.seek(moment);
            }
            ReplayAction::Quit => {}
        }
        Ok(())
    }

    /// Lets that much time of the viewer's pass: the moment moves on by the speed, and a stretch in
    /// which nothing happens is cut.
    pub fn pass(&mut self, real: Span) {
        if !self.playing {
            return;
        }
        self.skipped = None;
        let mut moment = self.moment + Span::ms(real.as_ms().saturating_mul(u64::from(self.speed)));
        if let Some(next) = self.records.get(self.at)
            && next.at > moment + IDLE
        {
            self.skipped = Some(Span::between(moment, next.at));
            moment = next.at - Span::ms(500);
        }
        self.seek(moment.min(self.end()));
        self.playing = !self.is_over();
    }

    fn end(&self) -> Time {
        // A clock that stepped back must not make the end lie before the beginning.
        self.records.iter().map(|record| record.at).max().unwrap_or(self.moment)
    }

    fn place(&self, text: &str) -> Result<Time, NoPlace> {
        let bad = || NoPlace(text.chars().take(40).collect());
        let (from, to) = (self.records[0].at, self.end());
        if let Some(share) = text.trim().strip_suffix('%') {
            let share: u64 = share.trim().parse().map_err(|_| bad())?;
            // At the end the end itself, and not a part of a millisecond before it.
            let part = Span::ms(Span::between(from, to).as_ms() * share.min(100) / 100);
            return Ok(if share >= 100 { to } else { from + part });
        }
        let clock = text.trim().trim_end_matches(['Z', 'z']);
        let clock = if clock.matches(':').count() == 1 { format!("{clock}:00") } else { clock.to_owned() };
        let time: chrono::NaiveTime = clock.parse().map_err(|_| bad())?;
        let on = from.date_naive().and_time(time).and_utc();
        // A window over midnight: the time of day is on the next day then.
        Ok(if on < from { on + Span::secs(86_400) } else { on })
    }

    fn seek(&mut self, moment: Time) {
        // Times may step back in a recording; the order of the records is what counts.
        let to = self.records.iter().take_while(|record| record.at <= moment).count();
        self.go(to.max(1));
        self.moment = self.moment.max(moment);
    }

    fn go(&mut self, to: usize) {
        let to = to.min(self.records.len());
        if to < self.at {
            let kept = to / EVERY;
            self.state = Arc::clone(&self.kept[kept]);
            self.at = kept * EVERY;
        }
        let state = Arc::make_mut(&mut self.state);
        for record in &self.records[self.at..to] {
            state.apply(record);
        }
        self.at = to;
        if let Some(last) = to.checked_sub(1).and_then(|last| self.records.get(last)) {
            self.moment = last.at;
        }
    }
}

/// The moments worth a jump: markers, decisions, batches, rollbacks.
fn chapter(state: &State, record: &Record) -> Option<Chapter> {
    let worth = match &record.event {
        Event::Window(
            WindowEvent::Opened { .. }
            | WindowEvent::Resumed { .. }
            | WindowEvent::Held { .. }
            | WindowEvent::Marked { .. }
            | WindowEvent::Gap { .. }
            | WindowEvent::Ended { .. },
        ) => true,
        Event::Batch(
            BatchEvent::ApplyStarted { .. }
            | BatchEvent::Applied { .. }
            | BatchEvent::RebootStarted { .. }
            | BatchEvent::Confirmed { .. }
            | BatchEvent::RollbackStarted { .. }
            | BatchEvent::RolledBack { .. },
        ) => true,
        Event::Batch(BatchEvent::Verified { identity, .. }) => identity.is_some(),
        Event::Alarm(
            AlarmEvent::LineMet { .. }
            | AlarmEvent::Kept { .. }
            | AlarmEvent::Fired { .. }
            | AlarmEvent::Raised { .. },
        ) => true,
        Event::Gate(GateEvent::Waived { .. } | GateEvent::Left { .. }) | Event::Rehearsal(_) => true,
        Event::Window(
            WindowEvent::Released { .. } | WindowEvent::ClockStepped { .. } | WindowEvent::Stale { .. },
        )
        | Event::Batch(_)
        | Event::Host(_)
        | Event::Probe(_)
        | Event::Packet(_)
        | Event::Log(_)
        | Event::Alarm(_)
        | Event::Evidence(_)
        | Event::Samples(_) => false,
    };
    let line = worth.then(|| describe::line(state, record)).flatten()?;
    Some(Chapter { at: record.at, label: Untrusted::new(line) })
}
