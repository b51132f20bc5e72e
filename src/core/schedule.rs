//! The window's clock: phases, estimates, abort-by and cutoffs. Deadlines are UTC moments and time
//! is an argument.

mod arming;

pub(super) use arming::arming;

use std::collections::BTreeMap;

use super::change::Change;
use super::event::Purpose;
use super::risk;
use super::state::{Batch, Phase, State};
use crate::plan::{Class, Plan};
use crate::types::{HostName, Span, Time};

/// Staging and applying one package, where nothing was measured: the slower end of what small
/// hosts need.
const APPLY_EACH: Span = Span::secs(8);
/// Applying anything at all (apt's own start, marks, manifests), where nothing was measured.
const APPLY_BASE: Span = Span::secs(45);
/// A reboot until ssh answers, where none was measured.
const REBOOT: Span = Span::mins(4);
/// Verifying, where none was measured.
const VERIFY: Span = Span::secs(60);

/// A length of time and whether it was measured or only estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How long.
    pub span: Span,
    /// Whether a rehearsal or a run measured it.
    pub measured: bool,
}

impl Estimate {
    /// Nothing is done, which is known.
    pub const NOTHING: Self = Self { span: Span::ZERO, measured: true };

    /// Both after each other; measured only if both are.
    pub fn then(self, other: Self) -> Self {
        Self { span: self.span + other.span, measured: self.measured && other.measured }
    }
}

/// Where the window's clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowPhase {
    /// It opens later.
    Before,
    /// It is open.
    Open,
    /// Abort-by has passed: the default is to roll back.
    PastAbortBy,
    /// It has closed.
    Closed,
}

/// Abort-by with its arithmetic: closes − rollback − verify − margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortBy {
    /// The moment.
    pub at: Time,
    /// When the window closes.
    pub closes: Time,
    /// Rolling back what is applied and unconfirmed or, while nothing is, the batch that is next: the
    /// longest of the hosts, reboots counted.
    pub rollback: Estimate,
    /// Verifying it.
    pub verify: Estimate,
    /// The plan's margin.
    pub margin: Span,
}

/// How long applying these changes takes: in proportion to what the rehearsal measured, but never
/// below a tenth of the plain estimate.
pub fn apply(state: &State, changes: &[Change]) -> Estimate {
    measured(state, changes, |rehearsal| rehearsal.apply)
}

/// How long rolling a batch back takes, until it is to be verified. The way back of a reboot is a reboot,
/// and after that the rollback is run once more: both count from when it is known that there is one.
pub fn rollback(state: &State, batch: &Batch) -> Estimate {
    let pass = rollback_pass(state, batch);
    match boots_back(batch) {
        None => pass,
        // Once its host runs what is to be removed, the reboot is the pass's first part.
        Some(BootsBack::First) if batch.rebooted.is_some() && boots_after(batch) => {
            pass.then(one_reboot(state)).then(second_pass(state))
        }
        Some(BootsBack::First) if batch.rebooted.is_some() => pass,
        Some(BootsBack::First) => pass.then(one_reboot(state)),
        Some(BootsBack::After) => pass.then(one_reboot(state)).then(second_pass(state)),
    }
}

/// The reboot that belongs to a way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootsBack {
    /// Before anything is put back, by the host itself: it runs a kernel that the batch brought.
    First,
    /// After it, and it is run once more then: what was booted for the batch runs still.
    After,
}

/// Whether a reboot belongs to the way back of a batch that is still to come, and when it is.
pub fn boots_back(batch: &Batch) -> Option<BootsBack> {
    if batch.rebooted_back || !reboots(batch) {
        return None;
    }
    let brings = |change: &Change| change.from.is_none() && risk::is_image(&change.package.name);
    Some(if batch.changes.iter().any(brings) { BootsBack::First } else { BootsBack::After })
}

/// Whether a reboot follows a rollback all the same that booted the old kernel first: what else of the batch
/// runs until a reboot was put back after that one.
pub fn boots_after(batch: &Batch) -> bool {
    batch.changes.iter().any(|change| match change.class {
        Class::Libc | Class::Init => true,
        Class::Kernel | Class::Network | Class::Server | Class::Library | Class::Leaf => false,
    })
}

/// How long the pass of a batch's rollback takes that runs, or is next.
pub fn rollback_pass(state: &State, batch: &Batch) -> Estimate {
    if batch.rebooted_back {
        return second_pass(state);
    }
    let pass = measured(state, &batch.changes, |rehearsal| rehearsal.rollback);
    match (boots_back(batch), &batch.rebooted) {
        (Some(BootsBack::First), Some(_)) => one_reboot(state).then(pass),
        (Some(BootsBack::First | BootsBack::After) | None, _) => pass,
    }
}

/// The pass after the reboot finds the packages back already: it has the fixed part alone.
fn second_pass(state: &State) -> Estimate {
    measured(state, &[], |rehearsal| rehearsal.rollback)
}

/// How long rolling these batches back takes: hosts side by side, the batches of one host one after
/// another, and so hosts of one group.
pub fn way_back(state: &State, batches: &[&Batch]) -> Estimate {
    let mut lanes: BTreeMap<String, Estimate> = BTreeMap::new();
    for batch in batches {
        let lane = lanes.entry(lane(state, &batch.host)).or_insert(Estimate::NOTHING);
        *lane = lane.then(rollback(state, batch));
    }
    lanes.into_values().max_by_key(|estimate| estimate.span).unwrap_or(Estimate::NOTHING)
}

/// Whether its host was rebooted for a batch, or will be as far as is known.
pub(super) fn reboots(batch: &Batch) -> bool {
    batch.rebooted.is_some()
        || batch.phase == Phase::Rebooting
        || batch.applied.as_ref().is_some_and(|report| report.reboot_required)
        || wants_reboot(&batch.changes)
}

fn wants_reboot(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.class == crate::plan::Class::Kernel)
}

fn measured(state: &State, changes: &[Change], of: impl Fn(&super::change::Rehearsal) -> Span) -> Estimate {
    let plain = APPLY_BASE + Span::ms(APPLY_EACH.as_ms().saturating_mul(changes.len() as u64));
    match &state.rehearsal {
        // One batch has the fixed part of the whole set and its share of the rest, and what was
        // measured on one host is doubled for another: hosts differ.
        Some(rehearsal) if !rehearsal.set.is_empty() => {
            let whole = of(rehearsal).as_ms().saturating_mul(2);
            let share = whole / 2 + whole * (changes.len() as u64) / (2 * rehearsal.set.len() as u64);
            Estimate { span: Span::ms(share.max(plain.as_ms() / 10)), measured: true }
        }
        Some(_) | None => Estimate { span: plain, measured: false },
    }
}

/// How long a reboot takes, for changes that want one.
pub fn reboot(state: &State, changes: &[Change]) -> Estimate {
    if wants_reboot(changes) || reboot_of_any(state) { one_reboot(state) } else { Estimate::NOTHING }
}

/// Whether the rehearsal rebooted for something that no kernel of its set explains: then it may have been any
/// of its changes.
fn reboot_of_any(state: &State) -> bool {
    state.rehearsal.as_ref().is_some_and(|rehearsal| {
        let kernel = |name| risk::class_of(name) == crate::plan::Class::Kernel;
        rehearsal.reboot.is_some() && !rehearsal.set.iter().any(|frozen| kernel(&frozen.package.name))
    })
}

fn one_reboot(state: &State) -> Estimate {
    match state.rehearsal.as_ref().and_then(|rehearsal| rehearsal.reboot) {
        Some(span) => Estimate { span: Span::ms(span.as_ms().saturating_mul(2)), measured: true },
        None => Estimate { span: REBOOT, measured: false },
    }
}

/// How long verifying takes.
pub fn verify(state: &State) -> Estimate {
    match &state.rehearsal {
        Some(rehearsal) => {
            let span = Span::ms(rehearsal.verify.as_ms().saturating_mul(2)).max(Span::secs(10));
            Estimate { span, measured: true }
        }
        None => Estimate { span: VERIFY, measured: false },
    }
}

/// How long a batch is watched, timer running, before it is confirmed. A rehearsal has no customers to
/// watch.
pub fn bake(state: &State) -> Span {
    match (&state.plan, state.purpose) {
        (Some(plan), Some(Purpose::Run)) => plan.policy.bake,
        (_, _) => Span::ZERO,
    }
}

/// When a batch was watched long enough; `None` before it is verified.
pub fn baked_at(state: &State, batch: &Batch) -> Option<Time> {
    Some(batch.verified_at? + bake(state))
}

/// Abort-by as it stands now: for what is applied and unconfirmed or, while nothing is, for the
/// batch that would be next. `None` before a plan is sealed.
pub fn abort_by(state: &State) -> Option<AbortBy> {
    let open: Vec<&Batch> = unconfirmed(state);
    let next = if open.is_empty() { next(state).into_iter().collect() } else { open };
    abort_by_for(state, &next)
}

/// Abort-by of one batch, as if it were started on top of what is unconfirmed now.
pub fn abort_by_of(state: &State, batch: &Batch) -> Option<AbortBy> {
    let mut all = unconfirmed(state);
    if !all.iter().any(|other| other.id == batch.id) {
        all.push(batch);
    }
    abort_by_for(state, &all)
}

fn abort_by_for(state: &State, batches: &[&Batch]) -> Option<AbortBy> {
    let plan = state.plan.as_ref()?;
    let rollback = way_back(state, batches);
    let verify = verify(state);
    let closes = plan.window.closes;
    let margin = plan.policy.margin;
    let at = closes - (rollback.span + verify.span + margin);
    Some(AbortBy { at, closes, rollback, verify, margin })
}

/// Hosts of one lane are rolled back one after another.
fn lane(state: &State, host: &HostName) -> String {
    let plan = state.plan.as_ref();
    let group =
        plan.and_then(|plan| plan.hosts.iter().find(|h| h.name == *host)).and_then(|h| h.group.clone());
    group.map_or_else(|| format!("host {host}"), |group| format!("group {group}"))
}

/// Whether two hosts stand in for each other: never both at once.
pub fn stand_in(state: &State, a: &HostName, b: &HostName) -> bool {
    lane(state, a) == lane(state, b)
}

/// The last moment at which a batch may start: its own abort-by − apply − reboot − verify − bake.
pub fn cutoff(state: &State, batch: &Batch) -> Option<Time> {
    let abort_by = abort_by_of(state, batch)?;
    let work = apply(state, &batch.changes).span + reboot(state, &batch.changes).span + verify(state).span;
    Some(abort_by.at - work - bake(state))
}

/// Where the window's clock stands.
pub fn phase(state: &State, now: Time) -> Option<WindowPhase> {
    let plan = state.plan.as_ref()?;
    Some(if now < plan.window.opens {
        WindowPhase::Before
    } else if now >= plan.window.closes {
        WindowPhase::Closed
    } else if abort_by(state).is_some_and(|abort_by| now >= abort_by.at) {
        WindowPhase::PastAbortBy
    } else {
        WindowPhase::Open
    })
}

/// What is on a host, or may be, and is not confirmed.
pub fn unconfirmed(state: &State) -> Vec<&Batch> {
    state.in_order().filter(|batch| batch.phase.unconfirmed()).map(AsRef::as_ref).collect()
}

/// The batch that is next: hosts in the plan's order, a host's batches in theirs.
pub fn next(state: &State) -> Option<&Batch> {
    let plan = state.plan.as_ref()?;
    // One pass over the batches and one over the hosts: every screen asks, and some more than once.
    let mut first: BTreeMap<&HostName, &Batch> = BTreeMap::new();
    for batch in state.in_order().filter(|batch| waits(batch.phase)) {
        first.entry(&batch.host).or_insert(batch);
    }
    if let (Some(Purpose::Run), Some(baseline)) = (state.purpose, &plan.baseline) {
        first.remove(&baseline.host);
    }
    if first.is_empty() {
        return None;
    }
    host_order(state).iter().find_map(|host| first.get(host).copied())
}

/// Whether nothing of a batch was applied: it waits for its turn.
pub fn waits(phase: Phase) -> bool {
    matches!(phase, Phase::Planned | Phase::Staging | Phase::Staged | Phase::StageFailed)
}

/// Hosts in the order in which they are taken: the baseline, then the live hosts in the plan's order.
pub fn host_order(state: &State) -> &[HostName] {
    &state.turns
}

/// That order, worked out from a plan.
pub(super) fn turns(plan: &Plan) -> Vec<HostName> {
    let baseline = plan.baseline.iter().map(|baseline| baseline.host.clone());
    baseline.chain(crate::plan::order(plan)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Rehearsal;
    use crate::core::command::RollbackScope;
    use crate::core::event::{ApplyReport, Purpose};
    use crate::core::fixture;
    use crate::core::rollback::outlook;
    use crate::plan::Class;

    fn change(class: Class) -> Change {
        fixture::change("linux-image-amd64", "6.1.128-1", "6.1.129-1", class)
    }

    /// A window with one batch of one change on web1.
    fn window(class: Class, rehearsed: Option<Option<Span>>, shape: fn(&mut Batch)) -> State {
        let mut state = State::default();
        let opened = fixture::opens();
        let rehearsal = rehearsed.map(|reboot| Rehearsal {
            baseline: "test1".parse().expect("a host"),
            at: opened,
            seq: 1,
            set: vec![crate::core::change::Frozen {
                package: change(class).package,
                from: None,
                to: change(class).to,
                sha256: crate::types::Sha256::from_bytes([7; 32]),
            }],
            apply: Span::secs(60),
            rollback: Span::secs(40),
            reboot,
            verify: Span::secs(10),
            identical: true,
        });
        state.open(Purpose::Run, &fixture::plan(2, &["web1"], ""), rehearsal.as_ref(), opened);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.changes = vec![change(class)];
        batch.enter(Phase::Verified, opened);
        shape(&mut batch);
        state.plan_batch(batch);
        state
    }

    #[test]
    fn the_way_back_of_a_reboot_is_a_reboot_and_a_second_pass() {
        let (kernel, other) = (Class::Kernel, Class::Library);
        let nothing: fn(&mut Batch) = |_| {};
        let waits: fn(&mut Batch) = |batch| batch.phase = Phase::Staged;
        let wants: fn(&mut Batch) = |batch| {
            batch.applied = Some(ApplyReport { reboot_required: true, ..ApplyReport::default() });
        };
        let rebooted: fn(&mut Batch) = |batch| batch.rebooted = Some((fixture::boot_id(), Span::secs(50)));
        let back: fn(&mut Batch) = |batch| {
            batch.rebooted = Some((fixture::boot_id(), Span::secs(50)));
            batch.rebooted_back = true;
        };
        // Unmeasured a pass is 45 s and 8 s for each package, a reboot 4 min. Measured, one batch of the
        // whole set takes twice the 40 s of the rehearsal, the second pass 40 s, a reboot of 50 s 100 s.
        let measured = Some(Some(Span::secs(50)));
        for (class, rehearsed, shape, secs, sure) in [
            (other, None, nothing, 53, false),
            (kernel, None, nothing, 53 + 240 + 45, false),
            (kernel, None, waits, 53 + 240 + 45, false),
            (other, None, wants, 53 + 240 + 45, false),
            (other, None, rebooted, 53 + 240 + 45, false),
            (kernel, None, back, 45, false),
            (other, measured, nothing, 80, true),
            (kernel, measured, nothing, 80 + 100 + 40, true),
            (other, measured, rebooted, 80 + 100 + 40, true),
            (kernel, measured, back, 40, true),
            // Rehearsed, but without a reboot: what is added is an estimate.
            (other, Some(None), wants, 80 + 240 + 40, false),
        ] {
            let state = window(class, rehearsed, shape);
            let batch = state.in_order().next().expect("a batch");
            let told = format!("{class:?} {rehearsed:?} {batch:?}");
            let wanted = Estimate { span: Span::secs(secs), measured: sure };
            assert_eq!(rollback(&state, batch), wanted, "{told}");
            let by = abort_by(&state).expect("there is a plan");
            assert_eq!(by.rollback, wanted, "{told}");
            assert_eq!(by.at, by.closes - (wanted.span + by.verify.span + by.margin), "{told}");
            if batch.phase == Phase::Verified {
                let takes = outlook(&state, &RollbackScope::Unconfirmed).takes;
                assert_eq!(takes, wanted.then(verify(&state)), "{told}");
            }
            let work = apply(&state, &batch.changes).span
                + reboot(&state, &batch.changes).span
                + verify(&state).span
                + bake(&state);
            assert_eq!(cutoff(&state, batch), Some(by.at - work), "{told}");
        }
    }

    #[test]
    fn away_from_a_kernel_that_the_batch_brought_the_reboot_is_the_first_part() {
        let mut state = window(Class::Kernel, Some(Some(Span::secs(50))), |_| {});
        let mut batch = state.in_order().next().expect("a batch").as_ref().clone();
        batch.changes.push(fixture::change("linux-image-6.1.0-31-amd64", "-", "6.1.129-1", Class::Kernel));
        // A batch of two of a set of one: 40 s fixed and 80 s; a reboot of 50 s is counted as 100 s.
        for (rebooted, back, pass, whole, boots) in [
            (false, false, 120, 220, Some(BootsBack::First)),
            (true, false, 220, 220, Some(BootsBack::First)),
            (true, true, 40, 40, None),
        ] {
            batch.rebooted = rebooted.then(|| (fixture::boot_id(), Span::secs(50)));
            batch.rebooted_back = back;
            state.plan_batch(batch.clone());
            let found =
                (rollback_pass(&state, &batch).span, rollback(&state, &batch).span, boots_back(&batch));
            assert_eq!(found, (Span::secs(pass), Span::secs(whole), boots), "{rebooted} {back}");
        }
    }

    #[test]
    fn a_reboot_is_counted_for_the_changes_that_want_one() {
        let rehearsed = |class, package: &str| {
            let mut state = window(class, Some(Some(Span::secs(50))), |_| {});
            let rehearsal = state.rehearsal.as_mut().map(std::sync::Arc::make_mut).expect("rehearsed");
            rehearsal.set[0].package = package.parse().expect("a package");
            reboot(&state, &[change(class)]).span
        };
        assert_eq!(rehearsed(Class::Kernel, "linux-image-amd64:amd64"), Span::secs(100));
        // The kernel of the set explains the reboot that was measured.
        assert_eq!(rehearsed(Class::Library, "linux-image-amd64:amd64"), Span::ZERO);
        // Nothing in the set does: it may have been any of its changes.
        assert_eq!(rehearsed(Class::Library, "libssl3:amd64"), Span::secs(100));
    }
}
