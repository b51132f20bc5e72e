//! Any event of alarms.

use proptest::prelude::*;

use super::probe::vantage;
use super::{Any, batch, customer, few, host, time, unit, untrusted};
use crate::core::event::{AlarmEvent, Cause, Line};

fn cause() -> Any<Cause> {
    prop_oneof![
        customer().prop_map(Cause::Customer),
        host().prop_map(Cause::Host),
        (host(), unit()).prop_map(|(host, unit)| Cause::Unit { host, unit }),
        vantage().prop_map(Cause::Vantage),
        host().prop_map(Cause::Logs),
    ]
    .boxed()
}

fn line() -> Any<Line> {
    prop_oneof![(0..4_u16).prop_map(Line::Abort), Just(Line::AbortBy)].boxed()
}

/// Any event of an alarm or a line.
pub fn alarm_event() -> Any<AlarmEvent> {
    use AlarmEvent as E;
    prop_oneof![
        (cause(), untrusted()).prop_map(|(cause, said)| E::Raised { cause, said }),
        cause().prop_map(|cause| E::Acknowledged { cause }),
        cause().prop_map(|cause| E::Cleared { cause }),
        (host(), line(), untrusted(), few(batch())).prop_map(|(host, line, why, batches)| E::LineMet {
            host,
            line,
            why,
            batches
        }),
        (host(), line(), time()).prop_map(|(host, line, until)| E::CountdownStarted { host, line, until }),
        (host(), line(), untrusted()).prop_map(|(host, line, reason)| E::Kept { host, line, reason }),
        (host(), line()).prop_map(|(host, line)| E::Fired { host, line }),
        (host(), line()).prop_map(|(host, line)| E::LineOver { host, line }),
    ]
    .boxed()
}
