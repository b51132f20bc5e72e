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
/// A timer that fires within this time, at most, is near.
const NEAR: Span = Span::mins(3);

/// From here on a timer is near: three minutes, or half of the plan's grace where that is less. By then
/// confirming has been possible for a while.
fn near(state: &State) -> Span {
    state.plan.as_ref().map_or(NEAR, |plan| NEAR.min(Span::ms(plan.policy.confirm_within.as_ms() / 2)))
}

/// Time that is left, in few columns: `4:10`, `14:10`, `1h24m`.
pub(super) fn left(span: Span) -> String {
    let secs = span.as_secs();
    if secs < 3_600 { format!("{}:{:02}", secs / 60, secs % 60) } else { span.brief() }
}

/// The line of a batch below its host: 26 columns are enough for it. It stays when the host is lost,
/// since its timer runs on there.
pub(super) fn line(theme: &Theme, state: &State, batch: &Batch, now: Time) -> Option<Text> {
    let (role, text) = short(batch, near(state), now)?;
    let glyph = theme.glyph(role);
    let sign = if glyph.is_empty() { " " } else { glyph };
    Some(Text::of(role, format!(" {sign} {text}")))
}

fn short(batch: &Batch, near: Span, now: Time) -> Option<(Role, String)> {
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
            let role = if Span::between(now, at) < near { Role::Warn } else { Role::Plain };
            (role, format!("fires {}{more}", stamp(at, now)))
        }
        Unattended::AfterBoot(after) => (Role::Plain, format!("fires {} after boot", left(after))),
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
        Unattended::AfterBoot(after) => {
            format!("{host} reboots, and rolls back {} after it is up unless confirmed", left(after))
        }
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
            left if left < near(state) => ("fires", Role::Warn),
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
    let near = near(&view.state);
    let one = |batch: &Batch| match batch.unattended()? {
        // One from before there were timers has none, and that is no alarm.
        Unattended::Nothing if batch.timer.is_some() => Some(Banner {
            role: Role::Alarm,
            key: format!("no timer {}", batch.id),
            fact: format!("{} has NO TIMER: it does not roll back by itself", batch.host),
            then: format!("{} is {}, not confirmed   R=rollback sheet", batch.label(), standing(batch)),
            more: None,
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
            more: None,
        }),
        Unattended::Nothing
        | Unattended::RollsBack(_)
        | Unattended::AfterBoot(_)
        | Unattended::Unknown
        | Unattended::Confirmed
        | Unattended::Fired
        | Unattended::Failed => None,
    };
    schedule::unconfirmed(&view.state).into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::ColorDepth;
    use crate::tui::sample::{Sample, at};

    fn web3(sample: &Sample) -> &Batch {
        sample.state.in_order().find(|batch| batch.phase.unconfirmed()).expect("an unconfirmed batch")
    }

    #[test]
    fn time_that_is_left_takes_few_columns() {
        for (span, want) in [(9, "0:09"), (250, "4:10"), (899, "14:59"), (3_599, "59:59"), (5_040, "1h24m")] {
            assert_eq!(left(Span::secs(span)), want);
        }
    }

    #[test]
    fn the_line_below_a_host_says_what_its_timer_does_and_fits() {
        let theme = Theme::built_in("mono", ColorDepth::None);
        let line = |sample: &Sample, now: Time| {
            let line = line(&theme, &sample.state, web3(sample), now).expect("a line");
            assert!(line.width() <= 26, "{line:?}");
            line.plain().trim().to_owned()
        };
        let baking = Sample::baking();
        assert_eq!(line(&baking, baking.now), "fires 02:44Z in 14:50");
        let lost = Sample::lost();
        assert_eq!(line(&lost, lost.now), "fires 02:44Z, age 98s");
        assert_eq!(line(&lost, at("02:39:59")), "fires 02:44Z, age 11m");
        assert_eq!(line(&lost, at("02:50")), "! DUE 02:44Z, not heard");
        let fired = Sample::fired();
        assert_eq!(line(&fired, fired.now), "* FIRED: it rolls back");
        let unwatched = Sample::unwatched();
        assert_eq!(line(&unwatched, unwatched.now), "! NO TIMER (not watched)");
        let mut batch = web3(&baking).clone();
        batch.timer.as_mut().expect("a timer").said = None;
        assert_eq!(short(&batch, NEAR, baking.now), Some((Role::Unknown, "timer unknown".to_owned())));
        batch.timer = None;
        assert_eq!(short(&batch, NEAR, baking.now), Some((Role::Bad, "NO TIMER, nothing fires".to_owned())));
    }

    #[test]
    fn a_planned_reboot_shows_what_counts_once_the_host_is_up() {
        let baking = Sample::baking();
        let mut batch = web3(&baking).clone();
        batch.phase = crate::core::state::Phase::Rebooting;
        batch.timer.as_mut().expect("a timer").arming.boot = Span::secs(545);
        // The old deadline is not drawn, not even when it has passed.
        for now in [baking.now, at("02:59")] {
            assert_eq!(short(&batch, NEAR, now), Some((Role::Plain, "fires 9:05 after boot".to_owned())));
        }
        assert_eq!(
            sentence(&batch, baking.now).as_deref(),
            Some("web3 reboots, and rolls back 9:05 after it is up unless confirmed")
        );
        assert_eq!(batch.fires_at(), None);
    }

    #[test]
    fn an_alarm_comes_where_a_timer_is_missing_or_fires_soon() {
        let keys = |sample: &Sample, now: Time| -> Vec<String> {
            banners(&sample.view(), now).into_iter().map(|banner| banner.fact).collect()
        };
        let baking = Sample::baking();
        assert!(keys(&baking, baking.now).is_empty());
        assert!(keys(&baking, at("02:41:40")).is_empty(), "3:10 are left");
        let near = keys(&baking, at("02:42:00"));
        assert!(near[0].starts_with("web3 rolls back by itself in 2:50, at 02:44Z"), "{near:?}");
        let unwatched = Sample::unwatched();
        assert_eq!(keys(&unwatched, unwatched.now).len(), 1);
        assert!(keys(&Sample::rolling(), at("02:44:00")).is_empty(), "it goes back already");
    }

    #[test]
    fn the_next_timer_is_said_in_the_room_there_is() {
        let baking = Sample::baking();
        let text = |width| next(&baking.view(), baking.now, width).map(|text| text.plain());
        assert_eq!(text(40).as_deref(), Some("web3 fires 02:44Z in 14:50"));
        assert_eq!(text(25).as_deref(), Some("web3 fires 02:44Z"));
        assert_eq!(text(12).as_deref(), Some("fires 02:44Z"));
        assert_eq!(text(11), None);
        assert_eq!(next(&Sample::rolling().view(), baking.now, 80), None);
    }
}
