//! The dead-man timer on the screen: when what is unconfirmed goes back by itself, that nothing would
//! make it, or that this is not known.

use super::banner::{Banner, standing};
use super::header::stamp;
use super::paint::{Text, age};
use crate::core::state::{Batch, Unattended};
use crate::core::{State, View, schedule};
use crate::tui::theme::{Role, Theme};
use crate::types::{Span, Time};

/// What a host said of its timer is as good as new for this long: it is asked every 15 seconds.
const FRESH: Span = Span::secs(40);
/// A timer that fires within this time, at most, is an alarm.
const NEAR: Span = Span::mins(3);

/// Time that is left, in few columns: `4:10`, `14:10`, `1h24m`.
pub(super) fn left(span: Span) -> String {
    let secs = span.as_secs();
    if secs < 3_600 { format!("{}:{:02}", secs / 60, secs % 60) } else { span.brief() }
}

/// The line of a batch below its host: 26 columns are enough for it. It stays when the host is lost,
/// since its timer runs on there.
pub(super) fn line(theme: &Theme, batch: &Batch, now: Time) -> Option<Text> {
    let (role, text) = short(batch, now)?;
    let glyph = theme.glyph(role);
    let sign = if glyph.is_empty() { " " } else { glyph };
    Some(Text::of(role, format!(" {sign} {text}")))
}

fn short(batch: &Batch, now: Time) -> Option<(Role, String)> {
    let known = batch.timer.as_ref();
    let said = known.and_then(|known| known.said.as_ref());
    Some(match batch.unattended()? {
        Unattended::RollsBack(at) if at <= now => (Role::Bad, format!("DUE {}, not heard", stamp(at, now))),
        Unattended::RollsBack(at) => {
            let heard = said.map_or(now, |(heard, _)| *heard);
            let old = Span::between(heard, now) > FRESH;
            let more = if old {
                format!(", age {}", age(heard, now))
            } else {
                format!(" in {}", left(Span::between(now, at)))
            };
            let role = if Span::between(now, at) < NEAR { Role::Warn } else { Role::Plain };
            (role, format!("fires {}{more}", stamp(at, now)))
        }
        // Set, and nothing that would fire it.
        Unattended::Nothing if said.is_some_and(|(_, timer)| timer.left > Span::ZERO) => {
            (Role::Bad, "NO TIMER (not watched)".to_owned())
        }
        Unattended::Nothing => (Role::Bad, "NO TIMER, nothing fires".to_owned()),
        Unattended::Unknown => (Role::Unknown, "timer unknown".to_owned()),
        Unattended::Confirmed => (Role::Plain, "confirmed on the host".to_owned()),
        Unattended::Fired => (Role::Busy, "FIRED: it rolls back".to_owned()),
        Unattended::Failed => (Role::Bad, "FIRED: rollback failed".to_owned()),
    })
}

/// What a batch's host does with nobody there, in a sentence without its full stop.
pub(super) fn sentence(batch: &Batch, now: Time) -> Option<String> {
    let host = &batch.host;
    Some(match batch.unattended()? {
        Unattended::RollsBack(at) if at <= now => {
            format!("{host} was to roll back at {} and was not heard since", stamp(at, now))
        }
        Unattended::RollsBack(at) => format!("{host} rolls back at {} unless confirmed", stamp(at, now)),
        Unattended::Nothing => format!("{host} has NO TIMER: it does not roll back by itself"),
        Unattended::Unknown => format!("whether {host} rolls back by itself is not known"),
        Unattended::Confirmed => format!("{host} was confirmed on the host itself: no timer runs"),
        Unattended::Fired => format!("{host} rolls back by itself: its timer fired"),
        Unattended::Failed => format!("the timer of {host} fired, and its rollback failed"),
    })
}

/// The timer that fires next.
fn nearest(state: &State) -> Option<(&Batch, Time)> {
    let open = schedule::unconfirmed(state).into_iter();
    open.filter_map(|batch| Some((batch, batch.fires_at()?))).min_by_key(|(_, at)| *at)
}

/// The timer that fires next, in at most that many columns; first of all that there is none.
pub(super) fn next(view: &View, now: Time, width: usize) -> Option<Text> {
    let state = &view.state;
    let missing = |batch: &&Batch| batch.unattended() == Some(Unattended::Nothing);
    let (role, words) = if let Some(batch) = schedule::unconfirmed(state).into_iter().find(missing) {
        (Role::Bad, vec![format!("{} has NO TIMER", batch.host), "NO TIMER".to_owned()])
    } else {
        let (batch, at) = nearest(state)?;
        let host = &batch.host;
        let (word, role) = match Span::between(now, at) {
            Span::ZERO => ("was due", Role::Bad),
            left if left < NEAR => ("fires", Role::Warn),
            _ => ("fires", Role::Strong),
        };
        let when = format!("{word} {}", stamp(at, now));
        let away = if at > now { format!(" in {}", left(Span::between(now, at))) } else { String::new() };
        (role, vec![format!("{host} {when}{away}"), format!("{host} {when}"), when])
    };
    let fits = words.into_iter().find(|text| text.chars().count() <= width)?;
    Some(Text::of(role, fits))
}

/// An alarm where a timer is missing, or fires soon.
pub(super) fn banners(view: &View, now: Time) -> Vec<Banner> {
    let grace = view.state.plan.as_ref().map_or(NEAR, |plan| plan.policy.confirm_within);
    let near = NEAR.min(Span::ms(grace.as_ms() / 2));
    let one = |batch: &Batch| match batch.unattended()? {
        // One from before there were timers has none, and that is no alarm.
        Unattended::Nothing if batch.timer.is_some() => Some(Banner {
            role: Role::Alarm,
            key: format!("no timer {}", batch.id),
            fact: format!("{} has NO TIMER: it does not roll back by itself", batch.host),
            then: format!("{} is {}, not confirmed   R=rollback sheet", batch.label(), standing(batch)),
        }),
        Unattended::RollsBack(at) if at > now && Span::between(now, at) < near => Some(Banner {
            role: Role::Alarm,
            key: format!("fires {} {at}", batch.id),
            fact: format!(
                "{} rolls back by itself in {}, at {}: {} is not confirmed",
                batch.host,
                left(Span::between(now, at)),
                stamp(at, now),
                batch.label()
            ),
            then: format!("lengthen: :extend {} 10   R=rollback sheet", batch.host),
        }),
        Unattended::Nothing
        | Unattended::RollsBack(_)
        | Unattended::Unknown
        | Unattended::Confirmed
        | Unattended::Fired
        | Unattended::Failed => None,
    };
    schedule::unconfirmed(&view.state).into_iter().filter_map(one).collect()
}
