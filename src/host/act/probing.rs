//! The standing effect: probes from this machine, from hosts and from further places.

use std::collections::BTreeMap;

use crate::conductor::shell::Outbox;
use crate::core::effect::is_final;
use crate::core::event::{Sighting, Vantage};
use crate::core::{Answer, ProbeTask, Sample, Subject};
use crate::host::ask::Asker;
use crate::host::capture::Registrar;
use crate::host::look::{Look, Looked};
use crate::host::remote::{self, Board, Places, Unasked};
use crate::host::said::Said;
use crate::host::verb::Verb;
use crate::probe::{self, Attempt, Means};
use crate::types::{HostName, Seq, Untrusted};

/// Whoever can be asked: the plan's hosts and its further places.
pub(super) struct Askers(pub(super) BTreeMap<HostName, Asker>);

impl Places for Askers {
    async fn ask(&self, place: &HostName, looks: Vec<Look>) -> Result<Vec<Looked>, Unasked> {
        let not = |why: Untrusted, is_final| Unasked { why, is_final };
        let Some(asker) = self.0.get(place) else {
            return Err(not("it is not in the plan".into(), true));
        };
        let verb = Verb::Probe(looks);
        match asker.ask(&verb, 0).await {
            Ok(answer) => match verb.read(&answer) {
                Ok(Said::Looked(looked)) => Ok(looked),
                Ok(_) => Err(not("it answers something else".into(), false)),
                Err(error) => Err(not(Untrusted::new(error.to_string()), false)),
            },
            Err(failure) => Err(not(failure.what, is_final(failure.kind))),
        }
    }
}

/// What probes are made with.
pub(super) struct Looking {
    pub(super) places: Askers,
    pub(super) means: Means,
    /// Who looks for the attempts among the packets.
    pub(super) registrar: Registrar,
}

/// Makes them until told otherwise.
pub(super) async fn probing(id: Seq, probes: Vec<ProbeTask>, with: Looking, outbox: Outbox) {
    let Looking { places, means, registrar } = with;
    let (elsewhere, here): (Vec<_>, Vec<_>) = probes.into_iter().partition(|task| task.place().is_some());
    let board = Board::default();
    let judged: BTreeMap<Subject, Vantage> = here
        .iter()
        .chain(&elsewhere)
        .filter(|task| task.is_prompt() && matches!(task.id, Subject::Customer(_)))
        .map(|task| (task.id.clone(), task.vantage.clone()))
        .collect();
    let report = |subject: Subject, vantage: Vantage, attempt: Attempt| {
        if judged.get(&subject) == Some(&vantage) {
            board.took(&subject, &attempt.outcome);
        }
        if let Subject::Customer(probe) = &subject {
            registrar.ended(probe, &vantage, &attempt.outcome, &attempt.sighting);
        }
        let outbox = outbox.clone();
        async move { outbox.sample(id, sample(subject, vantage, attempt)).await }
    };
    tokio::join!(probe::watch(here, &means, report), remote::watch(elsewhere, &places, &board, report));
    outbox.answer(id, Answer::WatchEnded("nothing is left to probe".into()));
}

fn sample(subject: Subject, vantage: Vantage, attempt: Attempt) -> Sample {
    let Attempt { outcome, sighting } = attempt;
    match subject {
        Subject::Customer(probe) => {
            let sighting = Some(Box::new(sighting)).filter(|seen| **seen != Sighting::default());
            Sample::Seen { probe, vantage, outcome, sighting }
        }
        Subject::Control(index) => Sample::ControlSeen { index, vantage, outcome },
    }
}
