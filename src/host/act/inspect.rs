//! After a crash of the cockpit: what became of the work that was under way.

use super::{Followed, Task, WORK, applied};
use crate::core::Answer;
use crate::core::effect::OnHost;
use crate::core::event::{Arming, FailureKind, Inspected};
use crate::core::state::Work;
use crate::host::verb::Verb;
use crate::types::{BootId, Span, Untrusted};

impl Task {
    /// After a crash: what became of the work, answered as the work itself would have.
    pub(super) async fn inspect(
        &self,
        on: &OnHost,
        work: Work,
        was: Option<&BootId>,
        arming: Option<&Arming>,
    ) -> Answer {
        // First of all: what another cockpit has asked for, and what has not reached the host yet, must not
        // begin after it was looked for in vain.
        if let Err(failure) = self.claim(on.epoch, WORK).await {
            return Answer::Inspected(Inspected::Unknown, failure.what);
        }
        match work {
            Work::Reboot => match (self.ask_until(&Verb::Hello, 0, WORK).await, self.boot().await) {
                (Ok(_), Ok(boot)) if Some(&boot.boot_id) != was => {
                    Answer::Rebooted(Ok((boot.boot_id, Span::ZERO)))
                }
                (Ok(_), Ok(_)) => {
                    Answer::Inspected(Inspected::NeverBegan, "the host is still in its old boot".into())
                }
                (Err(failure), _) | (_, Err(failure)) => Answer::Inspected(Inspected::Unknown, failure.what),
            },
            // Verifying only reads: it is simply done again.
            Work::Verify
            | Work::Read
            | Work::Inspect
            | Work::Probe
            | Work::Logs
            | Work::Capture
            | Work::Evidence
            | Work::Timer => {
                Answer::Inspected(Inspected::NeverBegan, "it only reads, and is done again".into())
            }
            // Confirming twice confirms once.
            Work::Confirm => match arming {
                Some(arming) => self.confirm(on, arming).await,
                None => Answer::Inspected(Inspected::NeverBegan, "there is no timer".into()),
            },
            Work::Apply => {
                let answer = self.inspect_operation(on, work).await;
                if matches!(answer, Answer::Applied(_)) {
                    self.set_anew(on, arming).await;
                }
                answer
            }
            // A stage is looked for by its two rounds.
            Work::Stage | Work::Rollback => self.inspect_operation(on, work).await,
        }
    }

    async fn inspect_operation(&self, on: &OnHost, work: Work) -> Answer {
        let read = Verb::Read { operation: on.operation.clone(), offset: 0, wait: 0 };
        let followed = match self.ask_until(&read, 0, WORK).await {
            Ok(_) => self.follow(&on.operation).await,
            Err(failure) if failure.kind == FailureKind::Failed => {
                let why = format!("{} has no operation {}: it never began there", on.host, on.operation);
                return Answer::Inspected(Inspected::NeverBegan, Untrusted::new(why));
            }
            Err(failure) => Err(failure),
        };
        match followed {
            Ok(Followed::Ended(ended)) => match work {
                Work::Apply => Answer::Applied(applied(&ended)),
                Work::Rollback
                | Work::Stage
                | Work::Read
                | Work::Reboot
                | Work::Verify
                | Work::Inspect
                | Work::Timer
                | Work::Confirm
                | Work::Logs
                | Work::Capture
                | Work::Evidence
                | Work::Probe => Answer::RolledBack(self.rolled_back(on, ended).await),
            },
            Ok(Followed::Unknown) => {
                let why = format!("{}: {} is gone and left no result", on.host, on.operation);
                Answer::Inspected(Inspected::Unknown, Untrusted::new(why))
            }
            Err(failure) => Answer::Inspected(Inspected::Unknown, failure.what),
        }
    }
}
