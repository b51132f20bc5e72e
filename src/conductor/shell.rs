//! The loop in tokio: channels in order of priority, effects as tasks, views to whoever draws.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::Instant;

use super::gathering::{Due, GATHER, Gathering};
use super::{Conductor, clock};
use crate::core::event::{LogLine, PacketRow, ProbeOutcome, Record};
use crate::core::{Answer, Command, Input, Sample, Started, View};
use crate::journal::EventLog;
use crate::types::{HostName, Seq, Untrusted};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Samples that wait; a prober that finds it full waits in turn, so none is dropped.
const SAMPLES: usize = 4_096;

/// Records that a slow follower may be behind; it is told how many it missed.
const FOLLOWED: usize = 1_024;

/// Samples that are looked at together, at most: keys come in between.
const TOGETHER: usize = 256;

/// Where an effect reports to.
#[derive(Clone)]
pub struct Outbox {
    answers: mpsc::UnboundedSender<Input>,
    samples: mpsc::Sender<Input>,
    /// When the loop looks at the samples: it is not woken for each.
    sampled: Arc<Due>,
    lines: Arc<Gathering>,
}

impl Outbox {
    /// The one answer of an effect.
    pub fn answer(&self, id: Seq, answer: Answer) {
        // A loop that has ended waits for no answer.
        let _ = self.answers.send(Input::Answer { id, answer: Box::new(answer) });
    }

    /// Something on the way. What belongs to an answer (facts, timers, lost and back) goes the answers' way,
    /// so that it is there before the answer; probe results wait while the loop is behind. One that
    /// passes may wait for others as lines do, any other is looked at at once.
    pub async fn sample(&self, id: Seq, sample: Sample) {
        let flood = match &sample {
            Sample::Seen { .. } | Sample::ControlSeen { .. } | Sample::Packet(_) | Sample::Log(_) => true,
            Sample::Greeted { .. }
            | Sample::Learnt { .. }
            | Sample::Timer { .. }
            | Sample::Lost { .. }
            | Sample::NoSession { .. }
            | Sample::Back { .. } => false,
        };
        let passes = matches!(
            &sample,
            Sample::Packet(_)
                | Sample::Log(_)
                | Sample::Seen { outcome: ProbeOutcome::Ok { .. }, .. }
                | Sample::ControlSeen { outcome: ProbeOutcome::Ok { .. }, .. }
        );
        let input = Input::Sample { id, sample: Box::new(sample) };
        if flood {
            let _ = self.samples.send(input).await;
            self.sampled.by(Instant::now() + if passes { GATHER } else { Duration::ZERO });
        } else {
            let _ = self.answers.send(input);
        }
    }

    /// The connection to a host that is kept while nothing is asked there was lost, or stands again. Goes the
    /// answers' way.
    pub fn contact(&self, host: HostName, lost: Option<Untrusted>) {
        // A loop that has ended looks at no host.
        let _ = self.answers.send(Input::Contact { host, lost });
    }

    /// A log line; left out and counted when there are too many.
    pub fn line(&self, line: LogLine) {
        self.lines.add(line);
    }

    /// Rows of packets, and how many were left out already; more are where there are too many.
    pub fn rows(&self, rows: Vec<PacketRow>, left_out: u64) {
        if !rows.is_empty() || left_out > 0 {
            self.lines.add_rows(rows, left_out);
        }
    }
}

/// An outbox that no loop reads, and what comes of an effect: for tests of those who carry effects out.
#[cfg(test)]
pub fn outbox() -> (Outbox, mpsc::UnboundedReceiver<Input>) {
    let (outbox, read, _) = outbox_with_samples();
    (outbox, read)
}

/// The same, with what comes on the way.
#[cfg(test)]
pub fn outbox_with_samples() -> (Outbox, mpsc::UnboundedReceiver<Input>, mpsc::Receiver<Input>) {
    let (answers, read) = mpsc::unbounded_channel();
    let (samples, sampled) = mpsc::channel(SAMPLES);
    (Outbox { answers, samples, sampled: Arc::default(), lines: Arc::default() }, read, sampled)
}

/// Whoever carries effects out: each is started as a task of its own and answers once.
pub trait Outside {
    /// Starts one effect. Must not block.
    fn start(&self, started: Started, outbox: &Outbox);
}

/// The handles of a running loop.
pub struct Handles {
    /// Where commands go; they are served before everything else.
    pub commands: mpsc::UnboundedSender<Command>,
    /// What is to be drawn.
    pub views: watch::Receiver<View>,
    /// Every committed record, for whoever prints them.
    pub records: mpsc::UnboundedReceiver<Record>,
    /// Committed records for those who look on from outside; the loop never waits for one, and its end is
    /// the end of them.
    pub followers: broadcast::WeakSender<Record>,
    /// When the loop last looked at the time: one that hangs is known by it.
    pub ticks: watch::Receiver<Instant>,
}

/// Puts a conductor into a task. It ends when the recording has ended and everything is on the
/// disk, or when all command senders are gone; `wake` is notified by the log.
pub fn spawn<L, O>(
    conductor: Conductor<L>,
    outside: O,
    wake: Arc<Notify>,
) -> (Handles, tokio::task::JoinHandle<()>)
where
    L: EventLog + Send + 'static,
    O: Outside + Send + 'static,
{
    let (commands, inbox) = mpsc::unbounded_channel();
    let (views_out, views) = watch::channel(conductor.view());
    let (records_out, records) = mpsc::unbounded_channel();
    let (followers, _) = broadcast::channel(FOLLOWED);
    let (ticks_out, ticks) = watch::channel(Instant::now());
    let outlets =
        Outlets { views: views_out, records: records_out, followers: followers.clone(), ticks: ticks_out };
    let task = tokio::spawn(run(conductor, outside, wake, inbox, outlets));
    (Handles { commands, views, records, followers: followers.downgrade(), ticks }, task)
}

/// What the loop tells, to whom it may concern.
struct Outlets {
    views: watch::Sender<View>,
    records: mpsc::UnboundedSender<Record>,
    followers: broadcast::Sender<Record>,
    ticks: watch::Sender<Instant>,
}

async fn run<L: EventLog, O: Outside>(
    mut conductor: Conductor<L>,
    outside: O,
    wake: Arc<Notify>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    outlets: Outlets,
) {
    let (answers_in, mut answers) = mpsc::unbounded_channel();
    let (samples_in, mut samples) = mpsc::channel(SAMPLES);
    let outbox =
        Outbox { answers: answers_in, samples: samples_in, sampled: Arc::default(), lines: Arc::default() };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut steps = clock::Steps::new();
    // Whether the views are behind by what is routine.
    let mut behind = false;
    // A recording that had ended is picked up to go on: its first command is waited for.
    let mut begun = conductor.state().ended.is_none();
    loop {
        // Keys first, then the log and time, then answers, then samples.
        let mut ticked = false;
        let mut inputs = tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => {
                    begun = true;
                    vec![Input::Command(command)]
                }
                None => break,
            },
            () = wake.notified() => Vec::new(),
            _ = tick.tick() => {
                ticked = true;
                outlets.ticks.send_replace(Instant::now());
                vec![Input::Tick]
            }
            Some(answer) = answers.recv() => vec![answer],
            () = outbox.lines.due.come() => match outbox.lines.take() {
                Some(lines) => vec![lines],
                None => continue,
            },
            () = outbox.sampled.come() => {
                outbox.sampled.over();
                let some: Vec<Input> =
                    std::iter::from_fn(|| samples.try_recv().ok()).take(TOGETHER).collect();
                if some.len() == TOGETHER {
                    outbox.sampled.by(Instant::now());
                }
                some
            }
        };
        // Before anything else that comes after it: what is due by the clock would be decided by a jump.
        if let Some(by_ms) = steps.stepped() {
            inputs.insert(0, Input::ClockStepped(by_ms));
        }
        let turn = conductor.steps(&inputs, clock::now());
        for started in turn.start {
            outside.start(started, &outbox);
        }
        // What is routine is shown with the next tick: fifty hosts would be drawn all the time.
        let state = conductor.state();
        let urgent = turn.health || turn.records.iter().any(|record| !state.is_routine(&record.event));
        behind |= !turn.records.is_empty();
        if urgent || behind && ticked {
            outlets.views.send_replace(conductor.view());
            behind = false;
        }
        for record in turn.records {
            if outlets.followers.receiver_count() > 0 {
                // The last of them may have gone this moment.
                let _ = outlets.followers.send(record.clone());
            }
            // Nobody may be printing.
            let _ = outlets.records.send(record);
        }
        if begun && conductor.state().ended.is_some() && conductor.behind() == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Intent;
    use crate::core::effect::Effect;
    use crate::core::event::{Actor, ProbeId, Purpose, Vantage};
    use crate::core::state::State;
    use crate::journal::MemoryLog;
    use crate::types::{PersonName, Span};

    /// Hands on what it is told to start.
    struct Told(mpsc::UnboundedSender<(Started, Outbox)>);

    impl Outside for Told {
        fn start(&self, started: Started, outbox: &Outbox) {
            let _heard_or_not = self.0.send((started, outbox.clone()));
        }
    }

    const PLAN: &str = "[window]\nname = \"n\"\nticket = \"t\"\nopens = 2026-11-21T22:00:00Z\n\
        closes = 2026-11-22T04:00:00Z\n[[host]]\nname = \"web1\"\nssh = \"web1\"\n[[customer]]\nname = \"acme\"\n\
        host = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\nprobes = [\"tcp:443\"]\n";

    #[tokio::test]
    async fn probes_that_pass_as_ever_are_shown_with_the_tick_and_none_is_lost() {
        let (told, mut started) = mpsc::unbounded_channel();
        let conductor = Conductor::new(MemoryLog::new(), State::default(), "test".to_owned(), 1);
        let (mut handles, _task) = spawn(conductor, Told(told), Arc::new(Notify::new()));
        let plan = Box::new(crate::plan::read("window.toml", PLAN).expect("a plan"));
        let open = Intent::Open { purpose: Purpose::Run, plan, rehearsal: None };
        let actor = Actor::Person(PersonName::operator());
        handles.commands.send(Command { actor, intent: open }).expect("taken");
        let (id, outbox) = loop {
            let (started, outbox) = started.recv().await.expect("the probes are started");
            if let Effect::Probe { .. } = started.effect {
                break (started.id, outbox);
            }
        };
        let probe = ProbeId { customer: "acme".parse().expect("a name"), index: 0 };
        let seen = |outcome| {
            let (probe, vantage) = (probe.clone(), Vantage::Cockpit);
            outbox.sample(id, Sample::Seen { probe, vantage, outcome, sighting: None })
        };
        let ok = || ProbeOutcome::Ok { took: Span::ms(1), said: "open".into() };
        let results = |view: &View| view.state.probes[&probe].own.results.len();
        seen(ok()).await;
        handles.views.wait_for(|view| results(view) == 1).await.expect("shown");
        let (began, mut drawn) = (Instant::now(), 0);
        for _ in 0..20 {
            seen(ok()).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            drawn += u64::from(handles.views.has_changed().expect("it lives"));
            handles.views.mark_unchanged();
        }
        let ticks = began.elapsed().as_secs() + 1;
        assert!(drawn <= ticks, "{drawn} views in {ticks} ticks");
        let all = handles.views.wait_for(|view| results(view) == 21);
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("with a tick").expect("shown");
    }
}
