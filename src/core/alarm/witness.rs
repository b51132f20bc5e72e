//! What else is looked at from the cockpit while a customer fails: the plan's controls, and customers of other
//! hosts. Where none of these has an answer at that moment either, the failure may be the cockpit's own
//! network, which takes seconds to be missed, and may be back by then.

use crate::core::event::{ProbeOutcome, Vantage};
use crate::core::state::{ProbeState, Series, State};
use crate::core::verdict;
use crate::plan::{Probe, VantageKind};
use crate::types::{HostName, Span, Time};

/// A connection that is gone is missed within this long, whether or not anything is asked on it: three keepalives
/// of five seconds without an answer, the wait for the last, and some. Until then the cockpit's own network may
/// be what sees nothing.
pub(super) const MISSED: Span = Span::secs(25);

/// Whether what a probe of a host has failed at a moment says nothing of it, seen from outside: nothing else had
/// an answer when the attempt began, or when it ended. Where ssh goes on all the same for as long as it would take
/// to be missed, the network works. The cockpit's own machine is seen without it.
pub(super) fn in_the_dark<'s>(
    state: &'s State,
    host: &'s HostName,
    probe: &'s ProbeState,
) -> impl Fn(Time) -> bool + use<'s> {
    let outside = probe.probe.from == VantageKind::Outside && !state.is_here(host);
    let all: Vec<Witness<'_>> = if outside { witnesses(state, host).collect() } else { Vec::new() };
    let connected = state.reaches_a_host();
    let timeout = std::time::Duration::from(probe.probe.timeout);
    // What was silent before a sleep was not silent all through it.
    let back = state.alarms.back;
    move |at| {
        let since = match (dark_since(&all, at), dark_since(&all, at - timeout)) {
            (Some(one), Some(other)) => one.min(other),
            (Some(since), None) | (None, Some(since)) => since,
            (None, None) => return false,
        };
        let since = back.map_or(since, |back| since.max(back));
        !(connected && Span::between(since, at) > MISSED)
    }
}

/// Something else that is looked at from the cockpit.
struct Witness<'s> {
    series: &'s Series,
    probe: &'s Probe,
    /// On another host, or on none: its silence says something too.
    elsewhere: bool,
}

/// What a witness said.
enum Said {
    /// It had an answer, if a refusal.
    Answer,
    /// It has had none since then.
    Silence(Time),
}

/// Since when all that is looked at elsewhere has had no answer at a moment; `None` where something had, and
/// where nothing else was looked at lately.
fn dark_since(all: &[Witness<'_>], at: Time) -> Option<Time> {
    let mut dark: Option<Time> = None;
    for witness in all {
        match said(witness, at) {
            Some(Said::Answer) => return None,
            Some(Said::Silence(since)) if witness.elsewhere => dark = dark.max(Some(since)),
            Some(Said::Silence(_)) | None => {}
        }
    }
    dark
}

/// What a witness said at a moment; `None` where it had not been looked at lately.
fn said(Witness { series, probe, .. }: &Witness<'_>, at: Time) -> Option<Said> {
    let until = series.results.iter().rev().skip_while(|(seen, _)| *seen > at);
    let lately = probe.every.as_ms().saturating_mul(3).saturating_add(probe.timeout.as_ms());
    let (newest, _) = until.clone().next()?;
    if Span::between(*newest, at) > Span::ms(lately) {
        return None;
    }
    let silent = until.take_while(|(_, outcome)| verdict::is_silent(outcome));
    Some(silent.last().map_or(Said::Answer, |(since, _)| Said::Silence(*since)))
}

/// The plan's controls, and the customers' probes, of those that have ever passed from there.
fn witnesses<'s>(state: &'s State, host: &'s HostName) -> impl Iterator<Item = Witness<'s>> {
    let worked = |series: &Series| {
        series.before == Some(true)
            || series.results.iter().any(|(_, outcome)| matches!(outcome, ProbeOutcome::Ok { .. }))
    };
    let customers = state.plan.iter().flat_map(|plan| &plan.customers);
    let probes = customers.flat_map(move |customer| {
        state.probes_of_customer(&customer.name).map(move |probe| (probe, customer.host != *host))
    });
    let all = state.controls.iter().map(|control| (control, true)).chain(probes);
    all.filter_map(move |(probe, elsewhere)| {
        let series = probe.from(&Vantage::Cockpit).filter(|series| worked(series))?;
        Some(Witness { series, probe: &probe.probe, elsewhere })
    })
}
