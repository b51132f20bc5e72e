//! Whether a host comes back from a boot with nobody there. What is not known is never taken for yes.

use super::gate::{self, GateName};
use super::state::{Batch, State};
use crate::facts::Fact;
use crate::types::{Time, Untrusted};

/// Why nobody can count on it that a batch's host comes back from a boot alone; `None`: nothing there asks for
/// anybody.
pub fn against(state: &State, batch: &Batch) -> Option<String> {
    let host = &batch.host;
    let boot = state.hosts.get(host).and_then(|host| host.facts.boot.as_ref());
    let boot = match boot.map(|boot| &boot.fact) {
        Some(Fact::Known(boot)) => boot,
        Some(Fact::Unknown(why)) => {
            return Some(format!(
                "whether {host} comes back from a boot alone is unknown ({}); :refresh {host} reads it again",
                why.shown()
            ));
        }
        None => {
            return Some(format!(
                "whether {host} comes back from a boot alone is unknown: nothing was read of its boot; \
                 :refresh {host} reads it"
            ));
        }
    };
    let names: Vec<String> = boot.passphrases.iter().map(Untrusted::shown).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{host} waits for a disk passphrase at boot ({}): it does not come back alone",
            names.join(", ")
        )
    })
}

/// Whether nothing is known of a host's boot: then nobody can tell that it was booted, and it is not.
pub fn unknown(state: &State, batch: &Batch) -> bool {
    let boot = state.hosts.get(&batch.host).and_then(|host| host.facts.boot.as_ref());
    !boot.is_some_and(|boot| matches!(boot.fact, Fact::Known(_)))
}

/// Why the reboot that a batch's apply asks for waits for a person's word, which is the waiver of the proof:
/// expected before the apply or not.
pub fn waits(state: &State, batch: &Batch, now: Time) -> Option<String> {
    if !batch.applied.as_ref().is_some_and(|report| report.reboot_required) || batch.rebooted.is_some() {
        return None;
    }
    let against = against(state, batch)?;
    if unknown(state, batch) {
        return Some(against);
    }
    (!gate::judge_one(state, batch, GateName::Proof, now).state.passes()).then_some(against)
}

/// The first applied batch whose reboot waits for that, and why.
pub fn waiting(state: &State, now: Time) -> Option<(&Batch, String)> {
    let mut applied = state
        .in_order()
        .map(AsRef::as_ref)
        .filter(|batch: &&Batch| batch.phase == super::state::Phase::Applied && !batch.wanted_back);
    applied.find_map(|batch| Some((batch, waits(state, batch, now)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decide::{Circumstances, advance, decide};
    use crate::core::event::{Actor, ApplyReport, BatchEvent, Event, Proof, Record};
    use crate::core::state::Phase;
    use crate::core::{Command, Input, Intent, fixture, pilot};
    use crate::types::Span;

    /// Web1 is applied, and apt asks for a reboot that nobody expected.
    fn applied(boot: Option<Fact<crate::facts::Boot>>) -> State {
        let mut state = fixture::window(4, &["web1"], "");
        fixture::booted(&mut state, "web1", boot);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.proof = Some(Proof::default());
        assert!(!crate::core::schedule::reboots(&batch), "unexpected");
        batch.applied = Some(ApplyReport { reboot_required: true, ..ApplyReport::default() });
        batch.enter(Phase::Applied, fixture::opens());
        state.plan_batch(batch);
        state
    }

    fn reboots(state: &State, now: Time) -> bool {
        let under = Circumstances { now, journal_sound: true };
        let due = advance(state, under).events;
        due.iter().any(|event| matches!(event, Event::Batch(BatchEvent::RebootStarted { .. })))
    }

    #[test]
    fn a_reboot_that_nobody_expected_waits_for_a_word_where_its_host_may_not_come_back_alone() {
        let now = fixture::opens() + Span::secs(60);
        let known = |names: &[&str]| Some(Fact::Known(fixture::boot(names)));
        assert!(reboots(&applied(known(&[])), now), "by itself, where it comes back alone");
        for boot in [known(&["sda3_crypt"]), Some(Fact::Unknown("needs root".into())), None] {
            let mut state = applied(boot.clone());
            assert!(!reboots(&state, now), "{boot:?}");
            let (batch, why) = waiting(&state, now).expect("said");
            assert_eq!(batch.id.as_str(), "b1");
            // With nobody at the keys it goes back.
            let next = pilot::next(&state, now);
            assert!(
                matches!(&next, Some(Intent::Rollback { why: said, .. }) if said.raw().contains(&why)),
                "{next:?}"
            );
            // A person's word lets it boot, for as long as that holds.
            let intent = Intent::Waive {
                gate: "proof".to_owned(),
                batch: batch.id.clone(),
                reason: "I am at its console".into(),
                watch: "its console".into(),
                lasts: Span::mins(30),
            };
            let under = Circumstances { now, journal_sound: true };
            let command = Input::Command(Command { actor: Actor::Holdpoint, intent });
            for event in decide(&state, &command, under).events {
                let (seq, session) = (state.seq + 1, "test".to_owned());
                state.apply(&Record { seq, at: now, actor: Actor::Holdpoint, session, epoch: 1, event });
            }
            // Which boot ends has to be known all the same, and as long as it is not that stays on screen.
            let known = matches!(boot, Some(Fact::Known(_)));
            assert_eq!(waiting(&state, now).is_none(), known, "{boot:?}");
            assert_eq!(reboots(&state, now), known, "{boot:?}");
            assert!(waiting(&state, now + Span::mins(31)).is_some(), "{boot:?}");
        }
    }
}
