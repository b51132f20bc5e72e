//! The dead-man timers in `holdpoint status`: what the recording knows of them, and what their hosts
//! say now. Moments are absolute, by this machine's clock.

use serde_json::{Value, json};

use crate::conductor::clock;
use crate::core::event::{Timer, TimerState};
use crate::core::schedule;
use crate::core::state::{Batch, State};
use crate::host::ask::Asker;
use crate::host::outcome::parse_timer;
use crate::host::verb::Verb;
use crate::types::{BatchId, Span, Time};

/// How a timer stands, and when its host said so.
pub struct Heard {
    batch: BatchId,
    label: String,
    at: Time,
    timer: Result<Timer, String>,
}

/// Asks the host how the timer of an unconfirmed batch stands.
pub async fn ask(asker: &Asker, batch: &Batch) -> Heard {
    let answer = asker.ask(&Verb::Timer(batch.id.clone()), 0).await;
    let timer = answer
        .map_err(|failure| failure.what.shown())
        .and_then(|answer| parse_timer(&answer.sections).map_err(|error| error.to_string()));
    Heard { batch: batch.id.clone(), label: batch.label(), at: clock::now(), timer }
}

impl Heard {
    /// In a line of words.
    pub fn line(&self) -> String {
        let words = match &self.timer {
            Ok(timer) => words(timer, self.at),
            Err(why) => format!("its timer is not known: {why}"),
        };
        format!("{}: {words}", self.label)
    }

    /// For other programs.
    pub fn json(&self, now: Time) -> Value {
        match &self.timer {
            Ok(timer) => {
                let mut value = said(timer, self.at, now);
                value["batch"] = json!(self.batch);
                value
            }
            Err(why) => json!({ "batch": self.batch, "state": "unknown", "error": why }),
        }
    }
}

/// What the recording knows of a batch's timer; null where it has none, or is done with it.
pub fn recorded(batch: &Batch, now: Time) -> Value {
    match &batch.timer {
        Some(known) if batch.phase.unconfirmed() => match &known.said {
            Some((at, timer)) => said(timer, *at, now),
            None => json!({ "state": "unknown" }),
        },
        Some(_) | None => Value::Null,
    }
}

/// The same in words, for a line of its own; nothing where nothing is to be said.
pub fn recorded_line(state: &State, batch: &Batch) -> Option<String> {
    if !batch.phase.unconfirmed() {
        return None;
    }
    let timer = match batch.timer.as_ref().map(|known| &known.said) {
        Some(Some((at, timer))) => format!("{}, said at {}", words(timer, *at), full(*at)),
        Some(None) => "its timer is not known".to_owned(),
        None => "NO TIMER: nothing rolls it back by itself".to_owned(),
    };
    let bakes = schedule::baked_at(state, batch);
    Some(bakes.map_or_else(|| timer.clone(), |at| format!("watched until {}; {timer}", full(at))))
}

fn full(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn said(timer: &Timer, at: Time, now: Time) -> Value {
    let fires_at = timer.is_armed().then(|| at + timer.left);
    json!({
        "state": timer.state,
        "watch": timer.watch,
        "fires_at": fires_at,
        "left_s": fires_at.map(|fires| Span::between(now, fires).as_secs()),
        "said_at": at,
        "operation": timer.operation,
        "why": timer.why,
    })
}

fn words(timer: &Timer, at: Time) -> String {
    let why = timer.why.as_ref().map_or_else(String::new, |why| format!(": {}", why.shown()));
    match timer.state {
        TimerState::Armed if timer.is_armed() => format!(
            "rolls back at {} unless confirmed, in {} ({})",
            full(at + timer.left),
            timer.left.clock(),
            timer.watch.word()
        ),
        TimerState::Armed => "NO TIMER: it is set, and nothing watches it".to_owned(),
        TimerState::None => "NO TIMER: nothing rolls it back by itself".to_owned(),
        TimerState::Confirmed => "confirmed on the host: no timer runs".to_owned(),
        TimerState::Firing => "FIRED: it rolls back by itself".to_owned(),
        TimerState::RolledBack => "FIRED: it rolled back by itself".to_owned(),
        TimerState::RollbackFailed => format!("FIRED, and its rollback failed{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sample::Sample;

    fn open(sample: &Sample) -> &Batch {
        sample.state.in_order().find(|batch| batch.phase.unconfirmed()).expect("an unconfirmed batch")
    }

    #[test]
    fn what_the_recording_knows_is_said_with_absolute_moments() {
        let sample = Sample::baking();
        let value = recorded(open(&sample), sample.now);
        assert_eq!(value["state"], "armed");
        assert_eq!(value["watch"], "systemd");
        assert_eq!(value["fires_at"], "2026-11-21T02:44:50Z");
        assert_eq!(value["left_s"], 890);
        let line = recorded_line(&sample.state, open(&sample)).expect("a line");
        assert!(line.starts_with("watched until 2026-11-21 02:34:10Z; rolls back at 2026-11-21 02:44:50Z"));
        // Long after, it is due: nothing is left, and the moment stays what it was.
        let late = recorded(open(&sample), sample.now + Span::mins(60));
        assert_eq!((&late["left_s"], &late["fires_at"]), (&json!(0), &value["fires_at"]));
    }

    #[test]
    fn a_timer_that_would_not_fire_has_no_moment() {
        let sample = Sample::unwatched();
        let value = recorded(open(&sample), sample.now);
        assert_eq!((&value["state"], &value["fires_at"]), (&json!("armed"), &Value::Null));
        assert!(recorded_line(&sample.state, open(&sample)).expect("a line").contains("NO TIMER"));
        let mut batch = open(&sample).clone();
        batch.timer.as_mut().expect("a timer").said = None;
        assert_eq!(recorded(&batch, sample.now), json!({ "state": "unknown" }));
        batch.timer = None;
        assert_eq!(recorded(&batch, sample.now), Value::Null);
        let done = Sample::held();
        let done = done.state.in_order().next().expect("a batch");
        assert_eq!(recorded_line(&Sample::held().state, done), None);
    }

    #[test]
    fn what_a_host_says_is_for_people_and_programs() {
        let sample = Sample::fired();
        let batch = open(&sample);
        let timer = batch.timer.as_ref().and_then(|known| known.said.clone()).expect("said").1;
        let heard = |timer| Heard { batch: batch.id.clone(), label: batch.label(), at: sample.now, timer };
        let fired = heard(Ok(timer));
        assert_eq!(fired.line(), "web3 batch 1: FIRED: it rolls back by itself");
        let value = fired.json(sample.now);
        assert_eq!((&value["state"], &value["batch"]), (&json!("firing"), &json!(batch.id)));
        let silent = heard(Err("no timer verb".to_owned()));
        assert_eq!(silent.line(), "web3 batch 1: its timer is not known: no timer verb");
        assert_eq!(silent.json(sample.now)["state"], "unknown");
    }
}
