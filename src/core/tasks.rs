//! Which probes are made from where: what the plan wants judged, and the same targets looked at from
//! elsewhere, which tells where a failure lies. Pure.

use std::net::IpAddr;

use super::event::{ProbeId, Vantage};
use super::state::{Reach, State};
use crate::plan::{Plan, Probe, ProbeTarget, VantageKind};
use crate::types::{HostName, Span};

/// What only explains is looked at so often while what it explains is fine: a handshake costs a host some
/// hundredths of a second each time, and it has other work.
const CALM: Span = Span::secs(15);

/// One probe that is to be made, with what its kind needs to know of the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTask {
    /// Which.
    pub id: Subject,
    /// What is looked at, how often.
    pub probe: Probe,
    /// The host that serves the customer; `None` for a control.
    pub host: Option<HostName>,
    /// The customer's own address, where they have one: it goes before any name in a URL.
    pub address: Option<IpAddr>,
    /// From where it is made.
    pub vantage: Vantage,
}

/// What a task looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A customer's probe.
    Customer(ProbeId),
    /// A control of the plan, by its place there.
    Control(u16),
}

impl ProbeTask {
    /// Who makes it: a host, or a further place of the plan; `None` for this machine.
    pub fn place(&self) -> Option<&HostName> {
        match &self.vantage {
            Vantage::Cockpit => None,
            Vantage::Further(place) | Vantage::Peer(place) => Some(place),
            Vantage::Inside => self.host.as_ref(),
        }
    }

    /// Whether it is made at the plan's own pace: it is what the plan wants judged, or a control.
    pub fn is_prompt(&self) -> bool {
        match self.id {
            Subject::Customer(_) => self.vantage.judges(self.probe.from),
            Subject::Control(_) => true,
        }
    }
}

/// How often a probe is made from that vantage while nothing is wrong; what explains is made at
/// the probe's own pace while what it explains fails.
pub fn pace(probe: &Probe, vantage: &Vantage) -> Span {
    if vantage.judges(probe.from) { probe.every } else { probe.every.max(CALM) }
}

/// Every probe that is made, by customer and control, what is judged before what explains it.
pub fn tasks(state: &State) -> Vec<ProbeTask> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let mut tasks = Vec::new();
    for (id, probe) in state.probes.iter().filter(|(_, probe)| super::effect::is_made(&probe.probe)) {
        let Some(customer) = plan.customers.iter().find(|customer| customer.name == id.customer) else {
            continue;
        };
        let from = vantages(state, plan, &probe.probe, &customer.host);
        tasks.extend(from.into_iter().map(|vantage| ProbeTask {
            id: Subject::Customer(id.clone()),
            probe: probe.probe.clone(),
            host: Some(customer.host.clone()),
            address: customer.address,
            vantage,
        }));
    }
    let outside = plan.controls.iter().enumerate().filter(|(_, probe)| probe.from == VantageKind::Outside);
    for (index, probe) in outside.filter(|(_, probe)| super::effect::is_made(probe)) {
        tasks.extend(outer(plan).map(|vantage| ProbeTask {
            id: Subject::Control(u16::try_from(index).unwrap_or(u16::MAX)),
            probe: probe.clone(),
            host: None,
            address: None,
            vantage,
        }));
    }
    tasks
}

/// The cockpit and the plan's further places.
fn outer(plan: &Plan) -> impl Iterator<Item = Vantage> {
    let further = plan.vantages.iter().map(|place| Vantage::Further(place.name.clone()));
    std::iter::once(Vantage::Cockpit).chain(further)
}

/// From where a probe is made, its own vantage first.
fn vantages(state: &State, plan: &Plan, probe: &Probe, host: &HostName) -> Vec<Vantage> {
    let peer = || peer(state, plan, host).map(Vantage::Peer);
    match (probe.from, &probe.target) {
        (VantageKind::Inside, _) => vec![Vantage::Inside],
        (VantageKind::Peer, _) => peer().into_iter().collect(),
        (
            VantageKind::Outside,
            ProbeTarget::Ping
            | ProbeTarget::Tcp { .. }
            | ProbeTarget::Tls { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Dns { .. },
        ) => {
            let mut all = vec![Vantage::Cockpit, Vantage::Inside];
            all.extend(peer());
            all.extend(outer(plan).skip(1));
            all
        }
        // Who may log in from where is the database's own matter.
        (VantageKind::Outside, ProbeTarget::Postgres { .. }) => vec![Vantage::Cockpit, Vantage::Inside],
        // A plan can't say so.
        (VantageKind::Outside, ProbeTarget::Exec { .. }) => vec![Vantage::Cockpit],
    }
}

/// The first other host of the plan that is not known to be down, the baseline last; the first of them all
/// where every one is.
pub(super) fn peer(state: &State, plan: &Plan, host: &HostName) -> Option<HostName> {
    let live = plan.hosts.iter().map(|host| &host.name);
    let others = live.chain(plan.baseline.iter().map(|baseline| &baseline.host)).filter(|name| *name != host);
    let down = |name: &&HostName| {
        state.hosts.get(*name).is_some_and(|host| matches!(host.reach, Reach::Down { .. }))
    };
    others.clone().find(|name| !down(name)).or_else(|| others.clone().next()).cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::event::{Failure, FailureKind};
    use crate::core::fixture;

    const BASELINE: &str = "[baseline]\nhost = \"test1\"\nssh = \"test1\"\n";
    const PARIS: &str = "[[vantage]]\nname = \"paris\"\nssh = \"paris\"\n";

    fn plan(probe: &str, rest: &str) -> String {
        format!(
            "{rest}[[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\nprobes = [{probe}]\n"
        )
    }

    /// From where the tasks are made, in their order, with a `!` where it is what is judged.
    fn made(state: &State) -> Vec<String> {
        let word = |task: &ProbeTask| {
            let from = match &task.vantage {
                Vantage::Cockpit => "cockpit".to_owned(),
                Vantage::Further(place) => format!("further {place}"),
                Vantage::Inside => "inside".to_owned(),
                Vantage::Peer(host) => format!("peer {host}"),
            };
            let what = match &task.id {
                Subject::Customer(_) => String::new(),
                Subject::Control(index) => format!("control {index} "),
            };
            format!("{what}{from}{}", if task.is_prompt() { "!" } else { "" })
        };
        tasks(state).iter().map(word).collect()
    }

    #[test]
    fn what_is_judged_from_outside_is_looked_at_from_everywhere_else_too() {
        for (probe, rest, hosts, expected) in [
            ("\"tcp:443\"", "", &["web1"][..], &["cockpit!", "inside"][..]),
            ("\"tcp:443\"", "", &["web1", "web2", "web3"], &["cockpit!", "inside", "peer web2"]),
            ("\"tcp:443\"", BASELINE, &["web1"], &["cockpit!", "inside", "peer test1"]),
            ("\"tcp:443\"", BASELINE, &["web1", "web2"], &["cockpit!", "inside", "peer web2"]),
            ("\"http://a.example/\"", PARIS, &["web1"], &["cockpit!", "inside", "further paris"]),
            ("{ probe = \"tcp:443\", from = \"inside\" }", PARIS, &["web1", "web2"], &["inside!"]),
            ("{ probe = \"tcp:443\", from = \"peer\" }", PARIS, &["web1", "web2"], &["peer web2!"]),
            ("{ probe = \"tcp:443\", from = \"peer\" }", "", &["web1"], &[]),
            ("\"postgres:acme\"", PARIS, &["web1", "web2"], &["inside!"]),
            ("\"exec:systemctl is-active nginx\"", PARIS, &["web1", "web2"], &["inside!"]),
            (
                "\"tcp:443\"",
                "[[control]]\nprobe = \"http://status.example/\"\n[[vantage]]\nname = \"paris\"\nssh = \"paris\"\n",
                &["web1"],
                &["cockpit!", "inside", "further paris", "control 0 cockpit!", "control 0 further paris!"],
            ),
        ] {
            let state = fixture::window(4, hosts, &plan(probe, rest));
            assert_eq!(made(&state), expected, "{probe} on {hosts:?}\n{rest}");
        }
    }

    #[test]
    fn a_peer_that_is_down_is_passed_over() {
        let mut state = fixture::window(4, &["web1", "web2", "web3"], &plan("\"tcp:443\"", BASELINE));
        let down = |state: &mut State, name: &str| {
            let host = state.hosts.get_mut(&name.parse().expect("a host")).expect("in the plan");
            let why = Failure::new(FailureKind::Unreachable, "gone");
            Arc::make_mut(host).reach = Reach::Down { since: fixture::opens(), why };
        };
        down(&mut state, "web2");
        assert_eq!(made(&state)[2], "peer web3");
        down(&mut state, "web3");
        assert_eq!(made(&state)[2], "peer test1");
        down(&mut state, "test1");
        assert_eq!(made(&state)[2], "peer web2");
    }

    #[test]
    fn a_task_knows_who_makes_it_and_what_explains_is_in_no_hurry() {
        let state = fixture::window(4, &["web1", "web2"], &plan("\"tcp:443\"", PARIS));
        let places =
            tasks(&state).iter().map(|task| task.place().map(ToString::to_string)).collect::<Vec<_>>();
        assert_eq!(places, [None, Some("web1".into()), Some("web2".into()), Some("paris".into())]);
        let paces = tasks(&state).iter().map(|task| pace(&task.probe, &task.vantage)).collect::<Vec<_>>();
        assert_eq!(paces, [Span::secs(2), Span::secs(15), Span::secs(15), Span::secs(15)]);
        let mut slow = tasks(&state)[0].probe.clone();
        slow.every = Span::secs(60);
        assert_eq!(pace(&slow, &Vantage::Inside), Span::secs(60));
    }
}
