//! The matrix: of each customer and each place that they are looked at from, which layer works, now and
//! before the window's first change. It shows at a glance where a path ends: a customer who is dark at `tcp`
//! from outside and fine inside is cut off on the way, one who is dark at `http` everywhere has a service that
//! fails. A layer above one that fails is not known, and a layer that no probe looks at is left out.

use std::collections::BTreeMap;

use super::event::{FailKind, Phases, ProbeId, ProbeOutcome, Vantage};
use super::state::{ProbeState, Series, State};
use super::verdict;
use crate::plan::{ProbeTarget, VantageKind};
use crate::types::{CustomerName, Time};

/// What a path to a customer stands on, from below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the name of a protocol")]
pub enum Layer {
    Arp,
    Ping,
    Tcp,
    Tls,
    Http,
    Dns,
    Database,
}

impl Layer {
    /// Every layer, from below.
    pub const ALL: [Self; 7] =
        [Self::Arp, Self::Ping, Self::Tcp, Self::Tls, Self::Http, Self::Dns, Self::Database];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Ping => "ping",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Database => "database",
        }
    }

    /// What an attempt on a target goes through; nothing of a command on the host.
    fn of(target: &ProbeTarget) -> &'static [Self] {
        match target {
            ProbeTarget::Ping => &[Self::Ping],
            ProbeTarget::Tcp { .. } => &[Self::Tcp],
            ProbeTarget::Tls { .. } => &[Self::Tcp, Self::Tls],
            ProbeTarget::Http { tls: true, .. } => &[Self::Tcp, Self::Tls, Self::Http],
            ProbeTarget::Http { tls: false, .. } => &[Self::Tcp, Self::Http],
            ProbeTarget::Dns { .. } => &[Self::Dns],
            ProbeTarget::Postgres { .. } => &[Self::Tcp, Self::Database],
            ProbeTarget::Exec { .. } => &[],
        }
    }
}

/// How a layer is. Of several probes the worst counts, and what is known outweighs what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Looked at, and not known: too old, not come to, or not possible to look at.
    Unknown,
    /// It works.
    Ok,
    /// It does not.
    Fail,
}

/// A layer now and before the window's first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// By the newest attempt.
    pub now: Mark,
    /// Before anything was changed.
    pub before: Mark,
}

/// One customer from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who.
    pub customer: CustomerName,
    /// From where: "outside", "inside", the name of a host or of a further place.
    pub place: String,
    /// The layers that are looked at from there.
    pub cells: BTreeMap<Layer, Cell>,
}

/// All of it: customers in the order of the plan, and of each the cockpit's own view first.
pub fn rows(state: &State, now: Time) -> Vec<Row> {
    let customers = state.plan.iter().flat_map(|plan| &plan.customers);
    customers.flat_map(|customer| of_customer(state, &customer.name, now)).collect()
}

fn of_customer(state: &State, customer: &CustomerName, now: Time) -> Vec<Row> {
    let id = |index| ProbeId { customer: customer.clone(), index };
    let mut places: BTreeMap<(u8, String), BTreeMap<Layer, Cell>> = BTreeMap::new();
    for (id, probe) in state.probes.range(id(0)..=id(u16::MAX)) {
        let own = std::iter::once((own_place(probe), &probe.own));
        let others = probe.others.iter().map(|(vantage, series)| (place(vantage), series));
        for (place, series) in own.chain(others) {
            let cells = places.entry(place).or_default();
            for (layer, cell) in of_series(probe, series, now) {
                add(cells, layer, cell);
            }
        }
        // Who has an address of their own is asked for by it, which packets alone can tell.
        if let (VantageKind::Outside, Some(arp)) = (probe.probe.from, verdict::arp(state, id, now)) {
            let now = if arp { Mark::Ok } else { Mark::Fail };
            let before = if probe.own.before == Some(true) { Mark::Ok } else { Mark::Unknown };
            add(places.entry(place(&Vantage::Cockpit)).or_default(), Layer::Arp, Cell { now, before });
        }
    }
    let row = |((_, place), cells)| Row { customer: customer.clone(), place, cells };
    places.into_iter().filter(|(_, cells)| !cells.is_empty()).map(row).collect()
}

fn add(cells: &mut BTreeMap<Layer, Cell>, layer: Layer, cell: Cell) {
    let kept = cells.entry(layer).or_insert(cell);
    *kept = Cell { now: kept.now.max(cell.now), before: kept.before.max(cell.before) };
}

fn place(vantage: &Vantage) -> (u8, String) {
    match vantage {
        Vantage::Cockpit => (0, "outside".to_owned()),
        Vantage::Further(name) => (1, name.to_string()),
        Vantage::Peer(host) => (2, host.to_string()),
        Vantage::Inside => (3, "inside".to_owned()),
    }
}

fn own_place(probe: &ProbeState) -> (u8, String) {
    match probe.probe.from {
        VantageKind::Outside => place(&Vantage::Cockpit),
        VantageKind::Inside => place(&Vantage::Inside),
        VantageKind::Peer => (2, "peer".to_owned()),
    }
}

fn of_series(probe: &ProbeState, series: &Series, now: Time) -> Vec<(Layer, Cell)> {
    let layers = Layer::of(&probe.probe.target);
    let last = layers.len().saturating_sub(1);
    let phases = series.sighting.as_ref().map(|sighting| sighting.phases).unwrap_or_default();
    // The first that fails; those below it work, those above are not come to.
    let failing = match series.last() {
        Some((_, ProbeOutcome::Fail { kind, .. })) => Some(first_failing(layers, *kind, phases)),
        Some((_, ProbeOutcome::Ok { .. } | ProbeOutcome::Broken { .. })) | None => None,
    };
    let passes = matches!(series.last(), Some((_, ProbeOutcome::Ok { .. })));
    let stale = series.stale(&probe.probe, now);
    let mark = |at: usize| match failing {
        _ if stale => Mark::Unknown,
        Some(first) if at < first => Mark::Ok,
        Some(first) if at == first => Mark::Fail,
        None if passes => Mark::Ok,
        Some(_) | None => Mark::Unknown,
    };
    let before = |at: usize| match series.before {
        Some(true) => Mark::Ok,
        Some(false) if at == last => Mark::Fail,
        Some(false) | None => Mark::Unknown,
    };
    layers
        .iter()
        .enumerate()
        .map(|(at, layer)| (*layer, Cell { now: mark(at), before: before(at) }))
        .collect()
}

/// Which of these an attempt failed at, as far as its failure and how far it came tell.
fn first_failing(layers: &[Layer], kind: FailKind, phases: Phases) -> usize {
    let last = layers.len().saturating_sub(1);
    let at = |layer: Layer| layers.iter().position(|other| *other == layer).unwrap_or(last);
    let come_to = layers.iter().take_while(|layer| match layer {
        Layer::Tcp => phases.connected.is_some(),
        Layer::Tls => phases.secured.is_some(),
        Layer::Arp | Layer::Ping | Layer::Http | Layer::Dns | Layer::Database => false,
    });
    let reached = come_to.count().min(last);
    match kind {
        FailKind::TlsRefused | FailKind::Certificate => at(Layer::Tls),
        FailKind::ServerError | FailKind::Content | FailKind::Database | FailKind::Command => last,
        // It connected, as its word says.
        FailKind::Silence => reached.max(1.min(last)),
        FailKind::NoAnswer | FailKind::Refused | FailKind::Unreachable | FailKind::Cut | FailKind::Other => {
            reached
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Sighting;
    use crate::core::fixture;
    use crate::types::Span;

    const CUSTOMER: &str = "[[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.21\"\n\
        probes = [\"https://acme.example/\", \"tcp:443\", { probe = \"postgres:acme\", from = \"inside\" }]\n";

    fn at(secs: i64) -> Time {
        fixture::opens() + chrono::TimeDelta::seconds(1_800 + secs)
    }

    fn id(index: u16) -> ProbeId {
        ProbeId { customer: "acme".parse().expect("a customer"), index }
    }

    fn told(state: &State, now: Time) -> Vec<String> {
        let mark = |mark| match mark {
            Mark::Unknown => "?",
            Mark::Ok => "ok",
            Mark::Fail => "FAIL",
        };
        let cell = |(layer, cell): (&Layer, &Cell)| {
            format!(" {} {}<{}", layer.word(), mark(cell.now), mark(cell.before))
        };
        let row = |row: Row| format!("{}{}", row.place, row.cells.iter().map(cell).collect::<String>());
        rows(state, now).into_iter().map(row).collect()
    }

    #[test]
    fn each_place_tells_up_to_where_it_comes() {
        let mut state = fixture::window(2, &["web1"], CUSTOMER);
        let ok = || ProbeOutcome::Ok { took: Span::ms(9), said: "200".into() };
        let secs = |secs: u64| Some(Span::ms(secs));
        assert_eq!(
            told(&state, at(0)),
            ["outside tcp ?<? tls ?<? http ?<?", "inside tcp ?<? database ?<?"],
            "nothing was seen"
        );
        for (index, vantage) in [(0, Vantage::Cockpit), (1, Vantage::Cockpit), (2, Vantage::Inside)] {
            state.saw(&id(index), &vantage, &ok(), None, at(-5));
        }
        state.saw(&id(0), &Vantage::Inside, &ok(), None, at(-5));
        state.freeze_normal(&"web1".parse().expect("a host"));
        assert_eq!(
            told(&state, at(-4)),
            [
                "outside arp ok<ok tcp ok<ok tls ok<ok http ok<ok",
                "inside tcp ok<ok tls ok<ok http ok<ok database ok<ok"
            ]
        );
        let all = Phases { connected: secs(1), secured: secs(2), ..Phases::default() };
        let connected = Phases { connected: secs(1), ..Phases::default() };
        let none = Phases::default();
        for (kind, phases, wanted) in [
            (FailKind::NoAnswer, none, "tcp FAIL<ok tls ?<ok http ?<ok"),
            (FailKind::Refused, none, "tcp FAIL<ok tls ?<ok http ?<ok"),
            // The other probe of the same layer connects: the worse counts.
            (FailKind::Cut, connected, "tcp ok<ok tls FAIL<ok http ?<ok"),
            (FailKind::Silence, none, "tcp ok<ok tls FAIL<ok http ?<ok"),
            (FailKind::Silence, all, "tcp ok<ok tls ok<ok http FAIL<ok"),
            (FailKind::Certificate, connected, "tcp ok<ok tls FAIL<ok http ?<ok"),
            (FailKind::ServerError, none, "tcp ok<ok tls ok<ok http FAIL<ok"),
        ] {
            let seen = Sighting { phases, ..Sighting::default() };
            state.saw(&id(0), &Vantage::Cockpit, &ProbeOutcome::fail(kind, "why"), Some(&seen), at(0));
            let rows = told(&state, at(1));
            assert!(rows[0].ends_with(wanted), "{kind:?}: {}", rows[0]);
        }
        // What is too old is not known, and what was before stays.
        assert_eq!(told(&state, at(900))[0], "outside tcp ?<ok tls ?<ok http ?<ok");
    }

    #[test]
    fn what_could_not_be_looked_at_is_no_failure_and_what_failed_before_is_said() {
        let mut state = fixture::window(2, &["web1"], CUSTOMER);
        let down = ProbeOutcome::fail(FailKind::ServerError, "500");
        for secs in [-9, -7, -5] {
            state.saw(&id(0), &Vantage::Cockpit, &down, None, at(secs));
        }
        state.freeze_normal(&"web1".parse().expect("a host"));
        assert_eq!(told(&state, at(-4))[0], "outside tcp ok<? tls ok<? http FAIL<FAIL");
        state.saw(&id(0), &Vantage::Cockpit, &ProbeOutcome::broken("no route"), None, at(0));
        assert_eq!(told(&state, at(1))[0], "outside tcp ?<? tls ?<? http ?<FAIL");
    }
}
