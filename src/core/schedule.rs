//! The window's clock: phases, estimates, abort-by and cutoffs. Deadlines are UTC moments and time
//! is an argument.

use std::collections::BTreeMap;

use super::change::Change;
use super::effect;
use super::event::{Arming, Purpose};
use super::state::{Batch, Phase, State};
use crate::plan::Plan;
use crate::types::{HostName, OperationId, Span, Time};

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
    /// Rolling back what is applied and unconfirmed or, while nothing is, the batch that is next.
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

/// How long rolling these changes back takes.
pub fn rollback(state: &State, changes: &[Change]) -> Estimate {
    measured(state, changes, |rehearsal| rehearsal.rollback)
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
    let measured = state.rehearsal.as_ref().and_then(|rehearsal| rehearsal.reboot);
    let wanted = changes.iter().any(|change| change.class == crate::plan::Class::Kernel);
    match (measured, wanted) {
        (Some(span), _) => Estimate { span: Span::ms(span.as_ms() * 2), measured: true },
        (None, true) => Estimate { span: REBOOT, measured: false },
        (None, false) => Estimate { span: Span::ZERO, measured: true },
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

/// What the timer of a batch that is applied now is armed with.
pub(super) fn arming(state: &State, batch: &Batch, now: Time, operation: &OperationId) -> Option<Arming> {
    let plan = state.plan.as_ref()?;
    let confirm_within = plan.policy.confirm_within;
    let boot = verify(state).span + bake(state) + confirm_within;
    let after = reboot(state, &batch.changes).span + boot;
    let first = apply(state, &batch.changes).span + after;
    Some(Arming {
        token: effect::token(&plan.hash, operation),
        plan: plan.hash,
        apply: first,
        after,
        boot,
        grace: confirm_within,
        // Past the window's end nobody is there to extend it, and its customers were told so.
        cap: Span::between(now, plan.window.closes).max(first) + confirm_within,
    })
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
    // The critical path: hosts roll back side by side, the batches of one host one after another,
    // and so do hosts of one group.
    let mut lanes: BTreeMap<String, Estimate> = BTreeMap::new();
    for batch in batches {
        let span = rollback(state, &batch.changes);
        let lane =
            lanes.entry(lane(state, &batch.host)).or_insert(Estimate { span: Span::ZERO, measured: true });
        *lane = lane.then(span);
    }
    let rollback = lanes
        .into_values()
        .max_by_key(|estimate| estimate.span)
        .unwrap_or(Estimate { span: Span::ZERO, measured: true });
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
