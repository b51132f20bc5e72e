//! TCP: connect, then close.
//!
//! Whether anything is said behind the open port is for another kind to find out.

use std::net::{IpAddr, SocketAddr};

use super::{Attempt, dialer};
use crate::core::event::{Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// Connects to the customer's address.
pub(super) async fn attempt(address: Option<IpAddr>, port: u16, timeout: Span) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let to = SocketAddr::new(address, port);
    let dialed = dialer::dial(to, timeout).await;
    let mut sighting = Sighting { local: dialed.local, peer: Some(to), ..Sighting::default() };
    let outcome = match dialed.result {
        Ok(_closed_here) => {
            sighting.phases = Phases { connected: Some(dialed.took), ..Phases::default() };
            ProbeOutcome::Ok { took: dialed.took, said: "open".into() }
        }
        Err(error) => super::failed(&error, ""),
    };
    Attempt { outcome, sighting }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{deaf, nobody, silent, words};

    #[tokio::test]
    async fn open_refused_and_silent_are_three_answers() {
        let open = silent("127.0.0.1:0");
        let deaf = deaf().await;
        for (to, expected) in
            [(open, "ok: open"), (nobody(), "fail: refused"), (deaf.address, "fail: no answer in 300ms")]
        {
            let attempt = attempt(Some(to.ip()), to.port(), Span::ms(300)).await;
            assert_eq!(words(&attempt.outcome), expected);
            assert_eq!(attempt.sighting.peer, Some(to));
            assert_ne!(attempt.sighting.local.unwrap().port(), 0);
        }
    }

    #[tokio::test]
    async fn without_an_address_nothing_can_be_tried() {
        let attempt = attempt(None, 443, Span::secs(1)).await;
        assert_eq!(words(&attempt.outcome), "broken: the customer has no address in the plan");
        assert_eq!(attempt.sighting, Sighting::default());
    }
}
