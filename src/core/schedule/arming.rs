//! What a batch's dead-man timer is armed with. Deadlines of a group are staggered, so that timers that fire
//! with nobody there never take two of its hosts at once.

use super::{apply, bake, one_reboot, reboot, rollback, stand_in, verify};
use crate::core::effect;
use crate::core::event::Arming;
use crate::core::state::{Batch, State, Unattended};
use crate::types::{OperationId, Span, Time};

/// What the timer of a batch that is applied now is armed with.
pub(in crate::core) fn arming(
    state: &State,
    batch: &Batch,
    now: Time,
    operation: &OperationId,
) -> Option<Arming> {
    let plan = state.plan.as_ref()?;
    let confirm_within = plan.policy.confirm_within;
    // Whatever starts the count, an apply that ends at once or a boot that comes at once, and whoever
    // declared it: not before its peers are done.
    let least = stagger(state, batch, now);
    let boot = verify(state).span + bake(state) + confirm_within;
    let after = reboot(state, &batch.changes).span + boot;
    let first = apply(state, &batch.changes).span + after.max(least);
    Some(Arming {
        token: effect::token(&plan.hash, operation),
        plan: plan.hash,
        apply: first,
        after: after.max(least),
        boot: boot.max(least),
        grace: confirm_within.max(least),
        // Past the window's end nobody is there to extend it, and its customers were told so.
        cap: Span::between(now, plan.window.closes).max(first) + confirm_within,
    })
}

/// How long from now the timer of a host may not fire, so that timers that fire with nobody there never take
/// two hosts of a group at once: until each armed peer would have rolled back, rebooted and been verified, and
/// the plan's margin. Zero where no peer has one.
fn stagger(state: &State, batch: &Batch, now: Time) -> Span {
    let peers = state.in_order().filter(|other| {
        other.host != batch.host && other.phase.unconfirmed() && stand_in(state, &other.host, &batch.host)
    });
    let margin = state.plan.as_ref().map_or(Span::ZERO, |plan| plan.policy.margin);
    let clear = peers.filter_map(|peer| {
        let fires = fires_by(state, peer, now)?.max(now);
        Some(fires + (rollback(state, peer).span + verify(state).span + margin))
    });
    clear.max().map_or(Span::ZERO, |at| Span::between(now, at))
}

/// When the timer of a batch fires at the latest, as far as is known here; `None` where nothing fires.
fn fires_by(state: &State, batch: &Batch, now: Time) -> Option<Time> {
    match batch.unattended()? {
        Unattended::RollsBack(at) => Some(at),
        Unattended::AfterBoot(after) => Some(now + (one_reboot(state).span + after)),
        // Armed, and not heard of since.
        Unattended::Unknown => Some(batch.apply_started? + batch.timer.as_ref()?.arming.apply),
        // It is at it.
        Unattended::Fired | Unattended::Failed => Some(now),
        Unattended::Nothing | Unattended::Confirmed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Timer, TimerState, TimerWatch};
    use crate::core::fixture;
    use crate::core::state::{DeadMan, Phase};

    /// What `db1` or `web2` is armed with while web1 stands like that, against what it would be alone.
    fn armed(host: &str, peer: Phase, said: Option<(TimerState, u64)>) -> (Arming, Arming) {
        let hosts = ["web1 web", "web2 web", "db1"];
        let (mut state, now) = (fixture::window(4, &hosts, "[policy]\nmargin = \"5m\"\n"), fixture::opens());
        let operation = "b2-apply-1".parse().expect("an id");
        let this = fixture::batch("b2", host, 1);
        let alone = arming(&state, &this, now, &operation).expect("a plan");
        let mut web1 = fixture::batch("b1", "web1", 1);
        web1.apply_started = Some(now);
        web1.phase = peer;
        web1.timer = Some(DeadMan::new(alone.clone()));
        web1.timer.as_mut().expect("a timer").said = said.map(|(state, left)| {
            let (left, watch) = (Span::secs(left), TimerWatch::Systemd);
            (now, Timer { state, token: None, left, watch, operation: None, why: None, replaced: None })
        });
        state.plan_batch(web1);
        (alone, arming(&state, &this, now, &operation).expect("a plan"))
    }

    #[test]
    fn a_peers_timer_is_let_fire_and_roll_back_before_this_one_may() {
        // Rolling back nothing is 45 s, verifying 60 s, the margin 5 min; a reboot 4 min.
        const BACK: u64 = 45 + 60 + 300;
        for (peer, said, least) in [
            (Phase::Verified, Some((TimerState::Armed, 3_000)), 3_000 + BACK),
            (Phase::Unknown, Some((TimerState::Armed, 0)), BACK),
            (Phase::Applying, Some((TimerState::Firing, 0)), BACK),
        ] {
            let (alone, with) = armed("web2", peer, said);
            let least = Span::secs(least);
            let told = format!("{peer:?} {said:?}: {with:?}");
            assert_eq!(with.after, alone.after.max(least), "{told}");
            assert_eq!(with.boot, alone.boot.max(least), "{told}");
            assert_eq!(with.grace, alone.grace.max(least), "{told}");
            assert!(with.apply >= with.after && with.cap >= with.apply, "{told}");
        }
        // In its reboot it fires later than it said before.
        let (alone, with) = armed("web2", Phase::Rebooting, Some((TimerState::Armed, 1)));
        assert_eq!(with.after, (alone.boot + Span::secs(240 + 240 + 45 + BACK)).max(alone.after));
        // Not heard of since it was armed: when it was to fire at the latest.
        let (alone, with) = armed("web2", Phase::Applying, None);
        assert_eq!(with.after, alone.apply + Span::secs(BACK));
    }

    #[test]
    fn hosts_that_do_not_stand_in_for_each_other_do_not_wait() {
        for (host, peer, said) in [
            ("db1", Phase::Verified, Some((TimerState::Armed, 3_000))),
            ("web1", Phase::Verified, Some((TimerState::Armed, 3_000))),
            ("web2", Phase::Confirmed, Some((TimerState::Confirmed, 0))),
            ("web2", Phase::Verified, Some((TimerState::Confirmed, 0))),
            ("web2", Phase::Verified, Some((TimerState::None, 0))),
        ] {
            let (alone, with) = armed(host, peer, said);
            assert_eq!(with, alone, "{host} {peer:?} {said:?}");
        }
    }
}
