//! What passes, and is not as it was before the window's first change: much slower, another certificate,
//! another status.

use super::seen::{Look, Packets, Seen, look};
use super::{Found, Verdict, place};
use crate::core::event::{ProbeOutcome, Vantage};
use crate::core::state::{ProbeState, Series, State};
use crate::plan::VantageKind;
use crate::types::{Span, Time};

/// Slow is more than so many times the normal ...
const TIMES: u64 = 3;
/// ... and so much more than it: what takes a few milliseconds varies.
const MORE: Span = Span::ms(200);
/// Of so many of the newest attempts most have to be slow: one late packet is none.
const NEWEST: usize = 3;

/// What is otherwise about a target that answers: from another place, or than before the window's first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// It fails from other places outside, which work themselves.
    From(Vec<Vantage>),
    /// It shows another certificate.
    Certificate,
    /// Another HTTP status.
    Status {
        /// What it was.
        before: u16,
        /// What it is.
        now: u16,
    },
    /// The newest attempt took much longer.
    Took {
        /// The median of before.
        before: Span,
        /// The newest attempt.
        now: Span,
    },
}

impl Differs {
    /// Whether it is so until something is done about it: one late attempt comes and goes.
    pub fn lasts(&self) -> bool {
        match self {
            Self::From(_) | Self::Certificate | Self::Status { .. } => true,
            Self::Took { .. } => false,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::From(places) => {
                let places: Vec<String> = places.iter().map(place).collect();
                format!("it fails from {}", places.join(", "))
            }
            Self::Certificate => "its certificate is another one than before".to_owned(),
            Self::Status { before, now } => format!("its status was {before} before, and is {now}"),
            Self::Took { before, now } => format!("it takes {now}; before it took {before}"),
        }
    }
}

/// What is otherwise about a probe's target; `None` while it does not answer.
pub fn differs(state: &State, probe: &ProbeState, now: Time) -> Option<Vec<Differs>> {
    if !matches!(look(&probe.own, &probe.probe, now), Look::Ok { .. }) {
        return None;
    }
    Some(failing_elsewhere(state, probe, now).into_iter().chain(differences(probe)).collect())
}

pub(super) fn judge(seen: &Seen<'_>) -> Found {
    let slow = slow(&seen.probe.own) == Some(true);
    if !slow {
        let differences = differences(seen.probe);
        let gist = match (failing_elsewhere(seen.state, seen.probe, seen.now), differences.first()) {
            (Some(places), difference) => {
                let and = difference.map_or_else(String::new, |differs| format!("; {}", differs.words()));
                format!("it answers here; {}{and}", places.words())
            }
            (None, None) => "it answers as it should".to_owned(),
            (None, Some(difference)) => format!("it answers; {}", difference.words()),
        };
        return Found::new(Verdict::Reachable, gist);
    }
    let inside = seen.probe.from(&Vantage::Inside).filter(|_| seen.inside().is_ok());
    let inside = inside.and_then(|inside| as_late(&seen.probe.own, inside).or_else(|| self::slow(inside)));
    let (limit, again) = match (seen.packets(), seen.probe.own.normal.median()) {
        (Packets::Own(flow), Some(normal)) => {
            let late = flow.first_byte.map(|first| first > bound(normal));
            (late, flow.again_in > 0 || flow.again_out > 0)
        }
        (Packets::Own(_) | Packets::Passing(_) | Packets::Unseen(_), _) => (None, false),
    };
    match (inside, limit, again) {
        (Some(true), _, _) => Found::new(Verdict::Slow, "it answers, inside too much later than before"),
        (_, Some(true), _) => {
            Found::new(Verdict::Slow, "it answers, and the first byte leaves much later than before")
        }
        (Some(false), _, _) | (None, Some(false), true) => Found::new(
            Verdict::PathSlow,
            "the service answers as before, and it takes much longer on the way",
        ),
        (None, _, _) => Found::new(
            Verdict::Slow,
            "it answers much later than before; whether the service or the way there is not known",
        ),
    }
}

/// Other places outside from which it fails: they explain and don't judge, and what they see is said where they
/// work themselves.
fn failing_elsewhere(state: &State, probe: &ProbeState, now: Time) -> Option<Differs> {
    let others = probe.others.iter().filter(|(vantage, _)| vantage.kind() == VantageKind::Outside);
    let fails = others.filter(|(_, series)| matches!(look(series, &probe.probe, now), Look::Fail { .. }));
    let works = fails.filter(|(vantage, _)| super::broken(state, vantage, now).is_none());
    let places: Vec<Vantage> = works.map(|(vantage, _)| vantage.clone()).collect();
    (!places.is_empty()).then_some(Differs::From(places))
}

/// Whether what was asked is answered as late inside as it is outside, from the request on: what a look costs the
/// host before that (a program that starts, a handshake) is left out. `None` where not both tell, or it is not
/// the answer that is late.
fn as_late(outside: &Series, inside: &Series) -> Option<bool> {
    let answer = |series: &Series| {
        let phases = series.sighting.as_ref()?.phases;
        Some(phases.answered?.as_ms().saturating_sub(phases.secured.or(phases.connected)?.as_ms()))
    };
    let (outside, inside) = (answer(outside)?, answer(inside)?);
    (outside > MORE.as_ms()).then_some(inside.saturating_mul(2) >= outside)
}

fn bound(normal: Span) -> Span {
    Span::ms(normal.as_ms().saturating_mul(TIMES)).max(normal + MORE)
}

/// Whether most of its newest attempts took much longer than before; `None` where nothing was normal.
fn slow(series: &Series) -> Option<bool> {
    let bound = bound(series.normal.median()?);
    let newest: Vec<bool> = series
        .results
        .iter()
        .rev()
        .take(NEWEST)
        .filter_map(|(_, outcome)| match outcome {
            ProbeOutcome::Ok { took, .. } => Some(*took > bound),
            ProbeOutcome::Fail { .. } | ProbeOutcome::Broken { .. } => None,
        })
        .collect();
    let late = newest.iter().filter(|slow| **slow).count();
    Some(newest.first() == Some(&true) && late * 2 > newest.len())
}

/// What differs from before the window's first change.
pub(super) fn differences(probe: &ProbeState) -> Vec<Differs> {
    let own = &probe.own;
    let mut all = Vec::new();
    let Some(sighting) = own.sighting.as_ref().filter(|_| probe.settled) else { return all };
    if let (Some(before), Some(shown)) = (&own.normal.certificate, &sighting.certificate)
        && *before != shown.sha256
    {
        all.push(Differs::Certificate);
    }
    if let (Some(before), Some(now)) = (own.normal.status, sighting.status)
        && before != now
    {
        all.push(Differs::Status { before, now });
    }
    if let (Some(before), Some((_, ProbeOutcome::Ok { took, .. }))) = (own.normal.median(), own.last())
        && *took > bound(before)
    {
        all.push(Differs::Took { before, now: *took });
    }
    all
}
