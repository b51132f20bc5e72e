//! What a capture saw of an attempt, in a few words for a column.

use crate::core::View;
use crate::core::event::Flow;
use crate::core::state::{ProbeState, Series};
use crate::plan::ProbeTarget;
use crate::tui::theme::Role;
use crate::types::{HostName, Time};

/// The width of the words.
pub(super) const WIDTH: usize = 16;

/// Whether any host's capture has said anything: without it there is nothing to show.
pub(super) fn is_known(view: &View) -> bool {
    view.state.captures.values().any(|capture| capture.since.is_some() || capture.unseen.is_some())
}

/// The newest attempt's packets, where the capture of its host has told of one that is not old.
pub(super) fn words(view: &View, host: Option<&HostName>, probe: &ProbeState, now: Time) -> (Role, String) {
    let capture = host.and_then(|host| view.state.captures.get(host));
    let fresh = |series: &Series| {
        let limit = probe.probe.every.as_ms() * 3 + probe.probe.timeout.as_ms();
        let (at, flow) = series.flow.as_ref()?;
        ((now - *at).num_milliseconds() <= i64::try_from(limit).unwrap_or(i64::MAX)).then(|| flow.clone())
    };
    match (fresh(&probe.own), capture) {
        (Some(flow), _) => {
            let (role, text) = flow_words(&flow, &probe.probe.target);
            // Found by address and time: it may be somebody else's.
            (role, if flow.by_time { format!("{text}?") } else { text })
        }
        (None, Some(capture)) if capture.since.is_none() && capture.unseen.is_some() => {
            (Role::Unknown, "not seen".to_owned())
        }
        (None, _) => (Role::Dim, "-".to_owned()),
    }
}

fn flow_words(flow: &Flow, target: &ProbeTarget) -> (Role, String) {
    // Without a connection there is no SYN and no RST, and the caller acknowledges nothing.
    let (tcp, udp) = match target {
        ProbeTarget::Ping => (false, false),
        ProbeTarget::Dns { .. } => (false, true),
        ProbeTarget::Tcp { .. }
        | ProbeTarget::Tls { .. }
        | ProbeTarget::Http { .. }
        | ProbeTarget::Postgres { .. }
        | ProbeTarget::Exec { .. } => (true, false),
    };
    let elsewhere = flow.came_by.is_some() && flow.left_by.is_some() && flow.came_by != flow.left_by;
    let (role, text) = match flow {
        Flow { asked: 0, .. } => (Role::ProbeFail, "none"),
        Flow { granted: 0, refused: 1.., .. } if udp => (Role::ProbeFail, "ICMP refused"),
        Flow { granted: 0, refused: 1.., .. } => (Role::ProbeFail, "RST out"),
        Flow { granted: 0, prohibited: 1.., .. } => (Role::ProbeFail, "forbidden"),
        Flow { granted: 0, .. } if !tcp => (Role::ProbeFail, "in, no reply"),
        Flow { granted: 0, .. } => (Role::ProbeFail, "SYN in, no reply"),
        Flow { left_by: Some(by), completed: false, .. } if elsewhere => {
            return (Role::ProbeFail, format!("out by {by}"));
        }
        Flow { completed: false, .. } if tcp => (Role::ProbeFail, "reply lost"),
        Flow { alert: Some(alert), .. } => return (Role::ProbeShaky, format!("TLS alert {alert}")),
        Flow { data_in: 1.., data_out: 0, .. } => (Role::ProbeShaky, "then silence"),
        Flow { again_out: 2.., .. } => (Role::ProbeShaky, "both, sent again"),
        Flow { .. } => (Role::ProbeOk, "both ways"),
    };
    (role, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_has_its_words_and_they_fit() {
        let asked = || Flow { asked: 1, ..Flow::default() };
        let granted = || Flow { granted: 1, ..asked() };
        let whole = || Flow { completed: true, ..granted() };
        let (one, other) = (Some("eth0".parse().unwrap()), Some("eth1".parse().unwrap()));
        let (tcp, ping) = (&ProbeTarget::Tcp { port: 443 }, &ProbeTarget::Ping);
        let dns = &ProbeTarget::Dns { name: "www.acme.example".to_owned() };
        for (flow, target, words) in [
            (Flow::default(), tcp, "none"),
            (asked(), dns, "in, no reply"),
            (Flow { refused: 1, ..asked() }, dns, "ICMP refused"),
            (Flow { prohibited: 1, ..asked() }, dns, "forbidden"),
            (granted(), dns, "both ways"),
            (asked(), tcp, "SYN in, no reply"),
            (asked(), ping, "in, no reply"),
            (Flow { refused: 1, ..asked() }, tcp, "RST out"),
            (Flow { prohibited: 1, ..asked() }, tcp, "forbidden"),
            (Flow { came_by: one.clone(), left_by: other.clone(), ..granted() }, tcp, "out by eth1"),
            (Flow { came_by: one.clone(), left_by: one.clone(), ..granted() }, tcp, "reply lost"),
            (granted(), ping, "both ways"),
            (whole(), tcp, "both ways"),
            (Flow { came_by: one, left_by: other, ..whole() }, tcp, "both ways"),
            (Flow { data_in: 2, ..whole() }, tcp, "then silence"),
            (Flow { data_in: 2, data_out: 5, again_out: 3, ..whole() }, tcp, "both, sent again"),
            (Flow { alert: Some(112), ..whole() }, tcp, "TLS alert 112"),
        ] {
            let (_, text) = flow_words(&flow, target);
            assert_eq!(text, words, "{target:?}");
            // With the mark of one that was found by its time.
            assert!(text.len() < WIDTH || target == tcp && text.len() == WIDTH, "{text}");
        }
    }
}
