//! The plan of a simulated window: three live hosts, two of one group, and a baseline.

use super::name;
use super::world::Dice;
use crate::plan::{
    AbortLine, AbortProbes, AutoRollback, Baseline, Customer, Host, Limit, Plan, Policy, Probe, ProbeTarget,
    VantageKind, Window,
};
use crate::types::{Blake3, Span, Time};

pub fn plan(dice: &mut Dice, opens: Time) -> Plan {
    let probe = Probe {
        target: ProbeTarget::Tcp { port: 443 },
        from: VantageKind::Outside,
        every: Span::secs(2),
        timeout: Span::secs(3),
        delay: Span::ZERO,
        fails: Limit { fails: 3, of: 5 },
        required: true,
        body: None,
    };
    let live = ["web1", "web2", "db1"];
    let host = |host: &str| Host {
        name: name(host),
        ssh: format!("ops@{host}"),
        group: host.starts_with("web").then(|| "web".to_owned()),
        console: None,
        logs: Vec::new(),
        weight: 1,
    };
    let customer = |(host, weight): (&str, u64)| Customer {
        name: format!("customer-of-{host}").parse().expect("a name"),
        host: name(host),
        weight,
        address: Some("192.0.2.21".parse().expect("an address")),
        probes: vec![probe.clone()],
        zone: None,
    };
    let policy = Policy {
        max_changes: 1 + dice.below(6) as u32,
        // Short, so that in the time of one story batches are confirmed and timers fire.
        bake: Span::secs(dice.below(30)),
        confirm_within: Span::secs(10 + dice.below(120)),
        countdown: Span::secs(dice.below(30)),
        auto_rollback: [AutoRollback::Armed, AutoRollback::Armed, AutoRollback::Ask, AutoRollback::Off]
            [dice.below(4) as usize],
        ..Policy::default()
    };
    let abort = AbortLine {
        probes: AbortProbes::Required,
        from: VantageKind::Outside,
        // Few attempts fit into the short stories, and one may fail as the cockpit's own network goes.
        fails: Limit { fails: 2, of: 5 },
    };
    let aborts = if dice.once_in(3) { Vec::new() } else { vec![abort] };
    Plan {
        hash: Blake3::of(b"plan"),
        window: Window { name: "simulated".into(), ticket: None, opens, closes: opens + Span::mins(180) },
        baseline: Some(Baseline { host: name("test1"), ssh: "ops@test1".into() }),
        hosts: live.iter().map(|h| host(h)).collect(),
        customers: [("web1", 400), ("web2", 20)].into_iter().map(customer).collect(),
        policy,
        batches: Vec::new(),
        people: Vec::new(),
        tls_ca: None,
        controls: Vec::new(),
        aborts,
        accepts: Vec::new(),
        hooks: Vec::new(),
        vantages: Vec::new(),
    }
}
