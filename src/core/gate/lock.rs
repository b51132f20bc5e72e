//! Clear when this cockpit's epoch holds the host, no package manager runs there, and nothing else of
//! this window does: one batch at a time on a host, never two hosts of one group at once.

use super::Finding;
use crate::core::event::Purpose;
use crate::core::schedule;
use crate::core::state::{Batch, State};
use crate::facts::Unattended;
use crate::types::{Span, Time, Untrusted};

/// What a host said of its locks is too old after this long: three of the intervals at which an
/// idle host is read.
const STALE: Span = Span::mins(15);

pub(super) fn judge(state: &State, batch: &Batch, now: Time) -> Finding {
    for other in state.in_order().filter(|other| other.id != batch.id) {
        let same = schedule::stand_in(state, &other.host, &batch.host);
        if same && (other.phase.unconfirmed() || other.wanted_back) {
            let standing = if other.wanted_back { "is to be rolled back" } else { other.phase.clause() };
            return Finding::held(format!("{} {standing}", other.label()), Vec::new());
        }
    }
    // A check takes no host over.
    let takes = state.purpose.is_none_or(Purpose::takes_hosts);
    let stored = state.hosts.get(&batch.host).and_then(|host| host.helper.as_ref()).map(|h| h.epoch);
    if let Some(stored) = stored.filter(|stored| takes && *stored != state.epoch) {
        let who =
            if stored > state.epoch { "another cockpit holds" } else { "this cockpit could not take over" };
        let reason = format!("{who} {}: the epoch there is {stored}, ours {}", batch.host, state.epoch);
        return Finding::held(reason, Vec::new());
    }
    let locks = state.hosts.get(&batch.host).and_then(|host| host.facts.locks.as_ref());
    let Some(locks) = locks else {
        return Finding::unknown(format!("who holds the package manager of {} is not known", batch.host));
    };
    match &locks.fact {
        crate::facts::Fact::Unknown(why) => {
            Finding::unknown(format!("who holds the package manager of {} is not known", batch.host))
                .with(vec![why.shown()])
        }
        crate::facts::Fact::Known(known) if !known.holders.is_empty() => {
            let holders: Vec<String> = known.holders.iter().map(Untrusted::shown).collect();
            Finding::held(format!("a package manager is at work on {}", batch.host), holders)
        }
        crate::facts::Fact::Known(_) if Span::between(locks.at, now) > STALE => {
            let age = Span::between(locks.at, now).brief();
            Finding::unknown(format!("what {} said of its locks is stale", batch.host))
                .with(vec![format!("age {age}")])
        }
        crate::facts::Fact::Known(known) => {
            let held = format!("epoch {} holds it", state.epoch);
            let evidence = std::iter::once(held).chain(known.unattended.map(unattended).map(str::to_owned));
            Finding::clear(format!("no package manager at work on {}", batch.host)).with(evidence.collect())
        }
    }
}

/// What becomes of that while the batch is open: the host pauses it when the batch's timer is armed, before
/// the apply, and ends the pause with the batch.
fn unattended(how: Unattended) -> &'static str {
    match how {
        Unattended::On => "unattended upgrades are on: paused from arming until the batch is over",
        Unattended::Off => "unattended upgrades are off",
        Unattended::Paused => "unattended upgrades are paused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_install_unattended_is_said() {
        for (how, words) in [
            (Unattended::On, "paused from arming until the batch is over"),
            (Unattended::Off, "are off"),
            (Unattended::Paused, "are paused"),
        ] {
            assert!(unattended(how).contains(words), "{how:?}");
        }
    }
}
