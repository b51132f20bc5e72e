//! Clear when the host answers with a known host key and an enrolled helper.

use super::Finding;
use crate::core::event::FailureKind;
use crate::core::state::{Batch, Reach, State};

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
    let Some(host) = state.hosts.get(&batch.host) else {
        return Finding::held(format!("{} is not in the plan", batch.host), Vec::new());
    };
    match &host.reach {
        Reach::Unknown => return Finding::unknown(format!("{} was not asked", host.name)),
        Reach::Down { why, .. } => {
            let words = match why.kind {
                FailureKind::HostKey => "has a host key that is not the known one",
                FailureKind::Login => "refuses the login",
                FailureKind::NotEnrolled => "is not enrolled",
                FailureKind::Unreachable
                | FailureKind::NoSession
                | FailureKind::Refused
                | FailureKind::Busy
                | FailureKind::Malformed
                | FailureKind::Failed
                | FailureKind::TimedOut
                | FailureKind::Local => "can't be read",
            };
            return Finding::held(format!("{} {words}", host.name), vec![why.what.shown()]);
        }
        Reach::Up { .. } => {}
    }
    match &host.helper {
        None => Finding::unknown(format!("the helper of {} did not greet", host.name)),
        Some(helper) if helper.enrolled => {
            Finding::clear(format!("{} answers, its helper is enrolled", host.name))
        }
        Some(helper) => {
            let why = helper.why_not.iter().map(|why| why.shown()).collect();
            Finding::held(
                format!("{} is not enrolled: holdpoint enroll PLAN --host {}", host.name, host.name),
                why,
            )
        }
    }
}
