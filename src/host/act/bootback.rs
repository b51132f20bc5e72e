//! A rollback that goes on after a boot: its host runs a kernel that the batch brought, boots the one of before
//! first, and goes on by itself. Nothing is ordered here: it is waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::{Followed, REBOOT, Task, elapsed};
use crate::core::effect::OnHost;
use crate::core::event::{Failure, FailureKind, RollbackReport};
use crate::host::ended::{Ended, boots_back, rolled_back};
use crate::host::verb::Verb;
use crate::types::{OperationId, Span};

impl Task {
    /// What a rollback came to, also where its end is another operation's, in another boot.
    pub(super) async fn rolled_back(&self, on: &OnHost, first: Ended) -> Result<RollbackReport, Failure> {
        let mut seen: Vec<OperationId> = vec![on.operation.clone()];
        let mut booted: Option<Span> = None;
        let mut took = Span::ZERO;
        let mut ended = first;
        while let Some((kernel, so_far)) = boots_back(&ended)? {
            took = took + so_far;
            self.say(format!(
                "kernel {} is booted first: the host is expected to go away, to come back, and to go on by itself",
                kernel.shown()
            ));
            // A second press of the key leads to the first one's operation, which has the boot still before it.
            let (next, boot) = self.goes_on(on, &mut seen).await?;
            ended = next;
            booted = Some(boot);
        }
        let mut report = rolled_back(&ended)?;
        report.took = report.took + took;
        report.booted = booted;
        Ok(report)
    }

    /// The next operation that the host itself started for this batch, at its end; and how long it was away.
    async fn goes_on(&self, on: &OnHost, seen: &mut Vec<OperationId>) -> Result<(Ended, Span), Failure> {
        let mut began = Instant::now();
        self.asker.link().close().await;
        loop {
            let asked = self.timer_of(&Verb::Timer(on.batch.clone()), 0, REBOOT).await;
            let next = match asked {
                Ok(timer) => timer.operation.filter(|next| !seen.contains(next)),
                Err(failure) if matches!(failure.kind, FailureKind::HostKey | FailureKind::Refused) => {
                    return Err(failure);
                }
                // A host that goes down ends what it says anywhere. It goes on by itself, so this is no end of it.
                Err(_) => {
                    self.asker.link().close().await;
                    None
                }
            };
            if let Some(next) = next {
                let away = elapsed(began);
                seen.push(next.clone());
                match self.follow(&next).await? {
                    Followed::Ended(ended) => return Ok((ended, away)),
                    // Cut off: the host starts another one.
                    Followed::Unknown => {
                        began = Instant::now();
                        continue;
                    }
                }
            }
            if began.elapsed() > REBOOT {
                return Err(Failure::new(
                    FailureKind::TimedOut,
                    format!(
                        "{} has not gone on with the rollback {} after its reboot was ordered: look at its console",
                        on.host,
                        elapsed(began).brief()
                    ),
                ));
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
}
