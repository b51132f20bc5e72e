//! A window without the cockpit: the pilot at the keys, a line for each event, and an exit status.

use std::collections::BTreeMap;
use std::sync::Arc;

use color_eyre::eyre::Result;
use tokio::time::{Duration, interval};

use super::session::{Session, actor};
use crate::cli::Exit;
use crate::conductor::clock;
use crate::core::event::{Outcome, ProbeId, Purpose, Record};
use crate::core::state::{Phase, Unattended};
use crate::core::verdict::{self, Differs, Judgement, Verdict};
use crate::core::{Command, Intent, State, aftermath, describe, fence, gate, pilot, rollback, schedule};
use crate::demo;
use crate::types::{BatchId, CustomerName, Time};

/// How often the pilot looks, beside at every event: some things become due as time passes.
const LOOK: Duration = Duration::from_millis(500);

/// Who decides what is done next.
pub enum AtTheKeys {
    /// The pilot.
    Pilot,
    /// The engineer of the demo's story, who goes on where the pilot stops.
    Story,
    /// Nobody: what was asked for is finished, then it ends.
    Finisher {
        /// The batches whose rollback was asked for.
        asked: Vec<BatchId>,
    },
}

/// Runs a session to its end and prints a line for each event.
pub async fn run(mut session: Session, keys: AtTheKeys, out: &mut dyn std::io::Write) -> Result<Exit> {
    let start = Arc::clone(&session.start);
    // What is printed goes record by record. What is decided goes by the loop's own state, in which
    // all that follows from a record has followed: between two records hosts are read and not cut.
    let mut told = (*start).clone();
    let mut look = interval(LOOK);
    let mut last: Option<(u64, Intent)> = None;
    let mut held = false;
    let mut verdicts = Verdicts::default();
    let mut taken_in = false;
    loop {
        tokio::select! {
            record = session.handles.records.recv() => match record {
                Some(record) => {
                    tell(&mut told, &record, out)?;
                    if told.ended.is_some() {
                        break;
                    }
                }
                None => break,
            },
            _ = look.tick() => {}
            _ = tokio::signal::ctrl_c() => {
                // As in the cockpit: a hold, not an end; what runs finishes. The second one leaves it there.
                if held {
                    break;
                }
                held = true;
                session.send(pilot::hold("Ctrl-C"))?;
            }
        }
        let state = Arc::clone(&session.handles.views.borrow().state);
        verdicts.tell(&state, clock::now(), out)?;
        let intent = match &keys {
            // A window that was picked up is not this process's before the loop says so.
            _ if start.plan.is_some() && state.resumed == start.resumed => None,
            AtTheKeys::Pilot => pilot::next(&state, clock::now()),
            AtTheKeys::Story => demo::story(&state, clock::now()),
            AtTheKeys::Finisher { asked } => {
                taken_in = taken_in || asked.iter().all(|batch| is_taken_in(&start, &state, batch));
                (taken_in && finished(&state, clock::now())).then_some(Intent::End)
            }
        };
        if let Some(intent) = intent
            && last.as_ref() != Some(&(state.seq, intent.clone()))
        {
            let _ = session.handles.commands.send(Command { actor: actor(), intent: intent.clone() });
            last = Some((state.seq, intent));
        }
    }
    let mut outcome = told.ended.map(|(_, outcome)| outcome);
    if let AtTheKeys::Finisher { asked } = &keys {
        let undone = out_of_reach(&told, asked);
        undone.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        if !undone.is_empty() {
            outcome = Some(Outcome::RollbackIncomplete);
        }
    }
    if outcome == Some(Outcome::Held) {
        why(&told).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    timers(&told).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    session.finish().await;
    Ok(outcome.map_or(if held { Exit::Held } else { Exit::Internal }, Exit::from))
}

/// What holds: the hold itself, and the gates of the batch that would come next.
pub(super) fn why(state: &State) -> Vec<String> {
    let mut lines: Vec<String> =
        state.held.iter().map(|held| format!("HOLD  {}", held.why.shown())).collect();
    lines.extend(fence::sentence(state).map(|words| format!("HOLD  {words}: this one only watched")));
    let Some(batch) = schedule::next(state) else { return lines };
    let judged = gate::judge(state, batch, clock::now());
    for judgement in judged.iter().filter(|judgement| !judgement.state.passes()) {
        let (word, gate) = (judgement.state.word(), judgement.gate);
        lines.push(format!("{word:<5} {gate} of {}: {}", batch.label(), judgement.reason));
        lines.extend(judgement.evidence.iter().map(|line| format!("        {line}")));
    }
    lines
}

/// What happens on hosts by itself, now that nobody watches.
pub(super) fn timers(state: &State) -> Vec<String> {
    let words = state.in_order().filter_map(|batch| {
        let when = match batch.unattended()? {
            Unattended::RollsBack(at) => format!("at {}", at.format("%H:%M:%SZ")),
            Unattended::AfterBoot(after) => format!("{} after its reboot", after.brief()),
            Unattended::Unknown
            | Unattended::Nothing
            | Unattended::Confirmed
            | Unattended::Fired
            | Unattended::Failed => return None,
        };
        let label = batch.label();
        Some(format!(
            "TIMER {label} is rolled back by its host {when} unless it is confirmed (holdpoint resume)"
        ))
    });
    words.collect()
}

/// Whether the loop has heard that a batch is to be rolled back, or was about it already, or can't: another
/// cockpit holds its host.
pub(super) fn is_taken_in(start: &State, state: &State, batch: &BatchId) -> bool {
    let (Some(before), Some(batch)) = (start.batches.get(batch), state.batches.get(batch)) else {
        return true;
    };
    batch.wanted_back
        || fence::of(state, &batch.host).is_some()
        // Confirmed in between: what was asked for then is not what there is to be asked for now.
        || (before.phase.unconfirmed() && !batch.phase.unconfirmed())
        || batch.rollback_started != before.rollback_started
        || matches!(before.phase, Phase::RollingBack | Phase::RolledBack | Phase::Comparing)
}

/// What was asked for and stays undone, since another cockpit holds its host.
pub(super) fn out_of_reach(state: &State, asked: &[BatchId]) -> Vec<String> {
    let batches = asked.iter().filter_map(|id| state.batches.get(id));
    let fenced =
        batches.filter(|batch| batch.phase != Phase::Back && fence::of(state, &batch.host).is_some());
    fenced
        .map(|batch| {
            format!("NOT ROLLED BACK {}: another cockpit holds {}, ask there", batch.label(), batch.host)
        })
        .collect()
}

/// Whether everything that was asked for has come to an end, and the customers have been looked at. On a
/// host that another cockpit holds nothing comes to an end here.
pub(super) fn finished(state: &State, now: Time) -> bool {
    !aftermath::awaited(state, now)
        && !fence::ours(state)
            .any(|batch| batch.wanted_back || batch.phase.running() || rollback::is_under_way(batch))
}

/// What was said of each customer last.
#[derive(Default)]
struct Verdicts {
    of: BTreeMap<CustomerName, Verdict>,
    /// What is otherwise about each of their probes, though it answers.
    differs: BTreeMap<ProbeId, Vec<Differs>>,
}

impl Verdicts {
    /// A line for each customer of whom something else is so than was said last, and for each of their probes
    /// that answers otherwise than it did.
    fn tell(&mut self, state: &State, now: Time, out: &mut dyn std::io::Write) -> Result<()> {
        if state.purpose != Some(Purpose::Run) {
            return Ok(());
        }
        let mut line = |judged: &Judgement| -> Result<()> {
            let (at, word) = (now.format("%H:%M:%S%.3fZ"), judged.verdict.word());
            writeln!(out, "{at} verdict {word}: {}", judged.said)?;
            Ok(out.flush()?)
        };
        for customer in state.plan.iter().flat_map(|plan| &plan.customers) {
            let worst = verdict::of_customer(state, &customer.name, now);
            let news = self.is_news(&customer.name, worst.verdict);
            if news {
                line(&worst)?;
            }
            let id = |index| ProbeId { customer: customer.name.clone(), index };
            for (id, probe) in state.probes.range(id(0)..=id(u16::MAX)) {
                let Some(differs) = verdict::differs(state, probe, now) else { continue };
                if self.differs_anew(id, differs) {
                    let judged = verdict::judge(state, id, now);
                    // The line above may have said it.
                    if !(news && judged.said == worst.said) {
                        line(&judged)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether something else is otherwise than was said last. One late attempt is none: where it lasts, that is
    /// a verdict.
    fn differs_anew(&mut self, id: &ProbeId, mut differs: Vec<Differs>) -> bool {
        differs.retain(Differs::lasts);
        let last = self.differs.insert(id.clone(), differs.clone()).unwrap_or_default();
        last != differs
    }

    /// Whether it is: that somebody is reached from the beginning is none, nor that nothing is known.
    fn is_news(&mut self, customer: &CustomerName, verdict: Verdict) -> bool {
        if verdict == Verdict::Unknown {
            return false;
        }
        let last = self.of.insert(customer.clone(), verdict).unwrap_or(Verdict::Reachable);
        last != verdict
    }
}

fn tell(state: &mut State, record: &Record, out: &mut dyn std::io::Write) -> Result<()> {
    state.apply(record);
    if let Some(line) = describe::line(state, record) {
        writeln!(out, "{} {line}", record.at.format("%H:%M:%S%.3fZ"))?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sample::Sample;
    use crate::types::Span;

    #[test]
    fn what_answers_otherwise_than_before_or_elsewhere_is_said_once() {
        let mut verdicts = Verdicts::default();
        let mut said = |state: &State, now: Time| {
            let mut out = Vec::new();
            verdicts.tell(state, now, &mut out).expect("it writes");
            let text = String::from_utf8(out).expect("text");
            text.lines().map(|line| line.split_once(" verdict ").expect("a verdict").1.to_owned()).collect()
        };
        let captured = Sample::captured();
        let before: Vec<String> = said(&captured.state, captured.now);
        assert!(before.len() == 1 && before[0].starts_with("dropped-on-host: globex"), "{before:?}");
        let differing = Sample::differing();
        let lines: Vec<String> = said(&differing.state, differing.now);
        let wanted = ["its status was 200 before, and is 302", "it fails from outside (paris)"];
        assert_eq!(lines.len(), wanted.len(), "one late echo is none: {lines:?}");
        for (line, wanted) in lines.iter().zip(wanted) {
            assert!(line.starts_with("reachable: ") && line.ends_with(wanted), "{line}");
        }
        let later = differing.now + Span::secs(2);
        assert_eq!(said(&differing.state, later), Vec::<String>::new());
        // As it was: that is news too.
        let again: Vec<String> = said(&captured.state, later);
        assert_eq!(again.len(), wanted.len(), "{again:?}");
        assert!(again.iter().all(|line| line.ends_with("it answers as it should")), "{again:?}");
    }

    #[test]
    fn what_changes_is_news_and_what_is_not_known_is_none() {
        let mut verdicts = Verdicts::default();
        let acme: CustomerName = "acme".parse().expect("a name");
        for (verdict, news) in [
            (Verdict::Unknown, false),
            (Verdict::Reachable, false),
            (Verdict::Unknown, false),
            (Verdict::DroppedOnHost, true),
            (Verdict::DroppedOnHost, false),
            (Verdict::Unknown, false),
            (Verdict::ServiceDown, true),
            (Verdict::Unknown, false),
            (Verdict::Reachable, true),
            (Verdict::Reachable, false),
        ] {
            assert_eq!(verdicts.is_news(&acme, verdict), news, "{verdict:?}");
        }
        let other = "globex".parse().expect("a name");
        assert!(Verdicts::default().is_news(&other, Verdict::NotArriving), "dark from the beginning");
    }
}
