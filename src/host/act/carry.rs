//! A stage, and what goes before a way back is given up: package files that the host can't get by itself
//! are looked for on other hosts of the plan and carried over, then the batch is staged once more.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Followed, ORDER, Task, VerbWork, spec};
use crate::core::Answer;
use crate::core::Change;
use crate::core::effect::{OnHost, Supply, second_round};
use crate::core::event::{Failure, FailureKind, Inspected, Proof};
use crate::host::ask::Asker;
use crate::host::carry::{Carriage, Offer, Wanted, wanted};
use crate::host::ended::{Ended, staged};
use crate::host::operation::Spec;
use crate::host::outcome::StageResult;
use crate::host::said::Said;
use crate::host::verb::Verb;
use crate::types::Untrusted;

/// How long peers are waited for, when asked what they have: finding and hashing files takes seconds.
const ASKED: Duration = Duration::from_secs(20);
/// How long still, once others have all that is lacking: for those that come before them in the order.
const GRACE: Duration = Duration::from_secs(2);

impl Task {
    /// Stages a batch. Where there is more to ask than the host's own archive and cache, it is staged from
    /// these alone first, so that nothing is repacked that could be had.
    pub(super) async fn stage(
        &self,
        on: &OnHost,
        changes: &[Change],
        supply: &Supply,
    ) -> Result<Proof, Failure> {
        let spec = spec(changes).with_snapshot(supply.root_snapshot);
        let spec = if supply.is_empty() { spec } else { spec.near() };
        let first = self.operate(on, VerbWork::Stage(spec)).await?;
        if supply.is_empty() {
            return staged(&first, changes);
        }
        self.stage_further(on, changes, supply, first).await
    }

    /// From the end of the first round on.
    async fn stage_further(
        &self,
        on: &OnHost,
        changes: &[Change],
        supply: &Supply,
        first: Ended,
    ) -> Result<Proof, Failure> {
        let result = StageResult::parse(&first.section).map_err(|e| first.unread(&e))?;
        let wanted = wanted(&result, changes);
        if wanted.is_empty() {
            return staged(&first, changes);
        }
        self.look_around(on, &wanted).await;
        let ended = self.operate(&again(on), VerbWork::Stage(further(changes, &wanted, supply))).await?;
        staged(&ended, changes)
    }

    /// After a crash. The second round where it began, else the first and what follows on it: what was
    /// carried over is carried again, which changes nothing.
    pub(super) async fn inspect_stage(&self, on: &OnHost, changes: &[Change], supply: &Supply) -> Answer {
        let second = again(on);
        let (on, last) = match (self.began(&second).await, self.began(on).await) {
            (Ok(true), _) => (&second, true),
            (Ok(false), Ok(true)) => (on, false),
            (Ok(false), Ok(false)) => {
                let why = format!("{} has no operation {}: it never began there", on.host, on.operation);
                return Answer::Inspected(Inspected::NeverBegan, Untrusted::new(why));
            }
            (Err(failure), _) | (_, Err(failure)) => {
                return Answer::Inspected(Inspected::Unknown, failure.what);
            }
        };
        match self.follow(&on.operation).await {
            Ok(Followed::Ended(ended)) if last => Answer::Staged(staged(&ended, changes)),
            Ok(Followed::Ended(ended)) => {
                Answer::Staged(self.stage_further(on, changes, supply, ended).await)
            }
            Ok(Followed::Unknown) => {
                let why = format!("{}: {} is gone and left no result", on.host, on.operation);
                Answer::Inspected(Inspected::Unknown, Untrusted::new(why))
            }
            Err(failure) => Answer::Inspected(Inspected::Unknown, failure.what),
        }
    }

    /// Whether an operation is on the host.
    async fn began(&self, on: &OnHost) -> Result<bool, Failure> {
        let read = Verb::Read { operation: on.operation.clone(), offset: 0, wait: 0 };
        match self.ask_until(&read, 0, super::WORK).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.kind == FailureKind::Failed => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Asks every other host what it has of what is lacking, and takes each file from the first of them, in
    /// the plan's order, that has it. Whoever does not answer, or gives what can't be used, is said and passed
    /// over: the second round finds out what is there.
    async fn look_around(&self, on: &OnHost, wanted: &[Wanted]) {
        let offered = self.offered(wanted).await;
        for wanted in wanted {
            let file = &wanted.file;
            let having = self.peers.iter().zip(&offered).filter_map(|(peer, offers)| {
                offers.iter().find(|offer| wanted.fits(offer)).map(|offer| (peer, offer))
            });
            for (peer, offer) in having {
                let what = format!("{} {} from {}", file.package, file.version, peer.host());
                match self.carry(on, peer, offer.clone()).await {
                    Ok(()) => {
                        self.say(format!("carried over: {what}"));
                        break;
                    }
                    Err(failure) => self.say(format!("not carried over: {what}: {}", failure.what.raw())),
                }
            }
        }
    }

    /// What each peer offers, in their order: all are asked at once, each on its own connection, under the
    /// limits that any work on hosts is under. One that is dead keeps nobody waiting for its own time-out:
    /// once others have all of it, and at the latest after [`ASKED`], it is passed over.
    async fn offered(&self, wanted: &[Wanted]) -> Vec<Vec<Offer>> {
        let have = Verb::Have(wanted.iter().map(|wanted| wanted.file.clone()).collect());
        let (said, mut hear) = tokio::sync::mpsc::unbounded_channel();
        for (at, peer) in self.peers.iter().cloned().enumerate() {
            let (have, said) = (have.clone(), said.clone());
            // A task of its own: what is under way on a connection is not broken off in the middle.
            tokio::spawn(async move {
                // Nobody may be waiting for it any more.
                let _ = said.send((at, peer_said(&peer, &have).await));
            });
        }
        drop(said);
        let mut offered: Vec<Option<Vec<Offer>>> = vec![None; self.peers.len()];
        let mut until = Instant::now() + ASKED;
        while let Ok(Some((at, said))) = timeout_at(until, hear.recv()).await {
            let why = match said {
                Ok(Said::Files(offers)) => {
                    offered[at] = Some(offers);
                    let has =
                        |wanted: &Wanted| offered.iter().flatten().flatten().any(|offer| wanted.fits(offer));
                    if wanted.iter().all(has) {
                        until = until.min(Instant::now() + GRACE);
                    }
                    continue;
                }
                Ok(_) => "it answered something else".to_owned(),
                Err(failure) => failure.what.raw().to_owned(),
            };
            offered[at] = Some(Vec::new());
            self.say(format!("{} can't help with package files: {why}", self.peers[at].host()));
        }
        for (peer, _) in self.peers.iter().zip(&offered).filter(|(_, offers)| offers.is_none()) {
            self.say(format!(
                "{} is not waited for any longer: package files of others are taken",
                peer.host()
            ));
        }
        offered.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// One file, piece by piece.
    async fn carry(&self, on: &OnHost, peer: &Asker, offer: Offer) -> Result<(), Failure> {
        let odd = |what: &str| Failure::new(FailureKind::Malformed, format!("{}: {what}", peer.host()));
        let mut carriage = Carriage::new(offer, peer.host().clone(), on.batch.clone());
        loop {
            let Said::Piece(piece) = peer_said(peer, &carriage.give()).await? else {
                return Err(odd("it gave no piece"));
            };
            let bytes = piece.bytes();
            let take = carriage.take(piece).map_err(|e| odd(&e.to_string()))?;
            let answer = self.ask_until(&take, on.epoch, ORDER).await?;
            match take.read(&answer) {
                Ok(Said::Taken(taken)) => {
                    if carriage.taken(bytes, taken).map_err(|e| self.malformed(&e.to_string()))? {
                        return Ok(());
                    }
                }
                Ok(_) => return Err(self.malformed("it did not say what it took")),
                Err(error) => return Err(self.malformed(&error.to_string())),
            }
        }
    }
}

async fn peer_said(peer: &Asker, verb: &Verb) -> Result<Said, Failure> {
    let answer = peer.ask(verb, 0).await?;
    verb.read(&answer).map_err(|e| Failure::new(FailureKind::Malformed, format!("{}: {e}", peer.host())))
}

fn again(on: &OnHost) -> OnHost {
    OnHost { operation: second_round(&on.operation), ..on.clone() }
}

/// The second round: everything goes, and the snapshot archive is named for what was lacking.
fn further(changes: &[Change], wanted: &[Wanted], supply: &Supply) -> Spec {
    let urls = supply.snapshot.iter().flat_map(|archive| {
        wanted.iter().filter_map(move |wanted| {
            let file = &wanted.file;
            let change = changes.iter().find(|change| change.package == file.package)?;
            Some((file.clone(), archive.url(&file.package, &file.version, &change.source)?))
        })
    });
    spec(changes).with_urls(urls.collect()).with_snapshot(supply.root_snapshot)
}
