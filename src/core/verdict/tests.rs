//! Verdicts on what is put together here; the rows for each fault and the properties are files of their own.

mod evidence;
mod faults;
mod properties;

use std::sync::Arc;

use super::*;
use crate::core::event::{
    Certificate, Event, FailKind, Failure, FailureKind, Flow, PacketEvent, Phases, ProbeEvent, ProbeOutcome,
    Sighting, Tally, Whole,
};
use crate::core::fixture;
use crate::core::state::{Phase, Reach};
use crate::facts::{Address, Aged, Fact, Listener, Network, Protocol, Services};
use crate::plan::VantageKind;
use crate::types::{HostName, Sha256, Span, Untrusted};

const ADDRESS: &str = "192.0.2.32";
const TCP: &str = "\"tcp:443\"";
const HTTPS: &str = "\"https://www.globex.example/\"";

/// Two hosts; acme and globex on web1, hooli on web2, each with this probe to the address of their own.
fn plan(probe: &str) -> String {
    let mut text = String::new();
    for (name, host, last) in [("acme", "web1", 31), ("globex", "web1", 32), ("hooli", "web2", 41)] {
        text += &format!(
            "[[customer]]\nname = \"{name}\"\nhost = \"{host}\"\nweight = 1\naddress = \"192.0.2.{last}\"\nprobes = [{probe}]\n"
        );
    }
    text
}

/// What was seen, put together a fault at a time: everything passed until 22:10, then a batch of web1 was
/// applied, and from 22:20 on it is as a row says.
struct Lab {
    state: State,
}

fn at(secs: i64) -> Time {
    fixture::opens() + chrono::TimeDelta::seconds(1_200 + secs)
}

fn now() -> Time {
    at(11)
}

fn id(customer: &str, index: u16) -> ProbeId {
    ProbeId { customer: customer.parse().expect("a name"), index }
}

fn ok(ms: u64) -> ProbeOutcome {
    ProbeOutcome::Ok { took: Span::ms(ms), said: "200".into() }
}

fn fail(kind: FailKind) -> ProbeOutcome {
    ProbeOutcome::fail(kind, format!("{kind:?}"))
}

fn peer() -> Vantage {
    Vantage::Peer("web2".parse().expect("a host"))
}

fn further() -> Vantage {
    Vantage::Further("paris".parse().expect("a name"))
}

fn shown(hash: u8, against: Option<&str>, until: i64) -> Sighting {
    Sighting {
        local: Some("198.51.100.7:40000".parse().expect("a socket")),
        certificate: Some(Box::new(Certificate {
            sha256: Sha256::from_bytes([hash; 32]),
            names: vec!["www.initech.example".into()],
            issuer: "CA".into(),
            from: at(-9_000_000),
            until: at(until),
            against: against.map(Untrusted::from),
        })),
        ..Sighting::default()
    }
}

/// So many packets: asked, granted, refused, prohibited, data in, data out.
fn flow(n: [u32; 6], completed: bool) -> Flow {
    Flow {
        asked: n[0],
        granted: n[1],
        refused: n[2],
        prohibited: n[3],
        data_in: n[4],
        data_out: n[5],
        completed,
        came_by: Some("eth0".parse().expect("an interface")),
        left_by: Some("eth0".parse().expect("an interface")),
        ..Flow::default()
    }
}

impl Lab {
    fn of(probes: &str) -> Self {
        let mut lab = Self { state: fixture::window(6, &["web1", "web2"], &plan(probes)) };
        let ids: Vec<ProbeId> = lab.state.probes.keys().cloned().collect();
        for probe in &ids {
            for secs in [-900, -898, -896] {
                lab.state.saw(probe, &Vantage::Cockpit, &ok(12), Some(&shown(1, None, 9_000)), at(secs));
                lab.state.saw(probe, &Vantage::Inside, &ok(9), None, at(secs));
            }
        }
        lab.state.freeze_normal(&"web1".parse().expect("a host"));
        lab.state.probing = Some(1);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.apply_started = Some(at(-600));
        batch.enter(Phase::Verified, at(-300));
        lab.state.plan_batch(batch);
        for host in ["web1", "web2"] {
            lab.host(host).reach = Reach::Up { since: at(-800) };
        }
        // Nobody else has trouble, unless a row says so.
        for probe in ids {
            lab.saw(&probe, &Vantage::Cockpit, &ok(12)).saw(&probe, &Vantage::Inside, &ok(9));
        }
        lab
    }

    fn host(&mut self, name: &str) -> &mut crate::core::state::Host {
        Arc::make_mut(
            self.state.hosts.get_mut(&name.parse::<HostName>().expect("a host")).expect("in the plan"),
        )
    }

    fn saw(&mut self, probe: &ProbeId, from: &Vantage, outcome: &ProbeOutcome) -> &mut Self {
        for secs in [0, 2, 4, 6, 8] {
            self.state.saw(probe, from, outcome, Some(&shown(1, None, 9_000)), at(secs));
        }
        self
    }

    /// What is seen of globex from outside and from inside.
    fn globex(&mut self, outside: ProbeOutcome, inside: ProbeOutcome) -> &mut Self {
        self.saw(&id("globex", 0), &Vantage::Cockpit, &outside);
        self.saw(&id("globex", 0), &Vantage::Inside, &inside)
    }

    /// The same of all of web1's customers.
    fn all(&mut self, outside: ProbeOutcome, inside: ProbeOutcome) -> &mut Self {
        self.saw(&id("acme", 0), &Vantage::Cockpit, &outside).saw(&id("acme", 0), &Vantage::Inside, &inside);
        self.globex(outside, inside)
    }

    /// Nothing new of the inside since 22:10: its newest results are old.
    fn no_inside(&mut self) -> &mut Self {
        for probe in self.state.probes.values_mut() {
            let inside = Arc::make_mut(probe).others.entry(Vantage::Inside).or_default();
            inside.results.retain(|(seen, _)| *seen < at(-800));
        }
        self
    }

    fn capture(&mut self, own: Option<Flow>, tally: Option<(u32, u32, u32, u32)>) -> &mut Self {
        let host: HostName = "web1".parse().expect("a host");
        PacketEvent::Running { host: host.clone() }.apply(&mut self.state, 1, at(-300));
        if let Some(flow) = own {
            let (probe, local) = (id("globex", 0), "198.51.100.7:40000".parse().expect("a socket"));
            let (vantage, flow) = (Vantage::Cockpit, Box::new(flow));
            let ended = Some(at(8));
            PacketEvent::Matched { host: host.clone(), probe, vantage, local, ended, flow }.apply(
                &mut self.state,
                1,
                at(9),
            );
        }
        let address = ADDRESS.parse().expect("an address");
        // While all was well something passed by.
        let tallies = vec![Tally { address, arp_asked: 0, arp_answered: 0, came: 9, left: 9 }];
        PacketEvent::Tallied { host: host.clone(), over: Span::secs(5), tallies, dropped: 0, whole: None }
            .apply(&mut self.state, 1, at(-290));
        let tally = tally.map(|(arp_asked, arp_answered, came, left)| Tally {
            address,
            arp_asked,
            arp_answered,
            came,
            left,
        });
        {
            let tallies = tally.into_iter().collect();
            let whole = Some(Whole { since: at(-300), until: at(8) });
            let over = Span::secs(2);
            PacketEvent::Tallied { host, over, tallies, dropped: 0, whole }.apply(&mut self.state, 1, at(9));
        }
        self
    }

    /// Facts of web1, read at that second: whether the address is there, and who listens.
    fn facts(&mut self, secs: i64, there: bool, listens: &[&str]) -> &mut Self {
        let address = Address {
            interface: "eth0".parse().expect("an interface"),
            address: ADDRESS.parse().expect("an address"),
            prefix: 24,
            scope: "global".into(),
            dynamic: false,
        };
        let addresses = if there { vec![address] } else { Vec::new() };
        let network = Fact::Known(Network { addresses, routes: Vec::new() });
        // "udp 0.0.0.0:53", and as ss writes it "[::]:443" for IPv6 alone and "*:443" for both.
        let listener = |text: &&str| {
            let (protocol, at) = match text.strip_prefix("udp ") {
                Some(at) => (Protocol::Udp, at),
                None => (Protocol::Tcp, *text),
            };
            let v6_only = at.starts_with("[::]");
            let at = at.replace('*', "[::]").parse().expect("a socket");
            Listener { protocol, at, program: None, v6_only }
        };
        let listeners = Fact::Known(listens.iter().map(listener).collect());
        let host = self.host("web1");
        host.facts.network = Some(Aged { at: at(secs), fact: network });
        host.facts.listeners = Some(Aged { at: at(secs), fact: listeners });
        self
    }

    fn ssh_down(&mut self, host: &str) -> &mut Self {
        self.ssh_fails(host, FailureKind::Unreachable, "no answer in 15s")
    }

    fn ssh_fails(&mut self, host: &str, kind: FailureKind, what: &str) -> &mut Self {
        self.host(host).reach = Reach::Down { since: at(5), why: Failure::new(kind, what) };
        self
    }

    /// Under globex's address nothing was ever seen on the host's wire.
    fn never_seen(&mut self) -> &mut Self {
        for capture in self.state.captures.values_mut() {
            capture.tallies.clear();
        }
        self
    }

    fn judged(&self) -> Judgement {
        judge(&self.state, &id("globex", 0), now())
    }
}
#[test]
fn what_is_missing_or_old_is_said_and_never_good() {
    let mut lab = Lab::of(TCP);
    lab.globex(fail(FailKind::NoAnswer), ok(9));
    let host: HostName = "web1".parse().expect("a host");
    PacketEvent::Unseen { host, why: "tcpdump is not installed".into() }.apply(&mut lab.state, 1, at(-300));
    let judged = lab.judged();
    assert_eq!(judged.verdict, Verdict::Unknown);
    assert!(
        judged.evidence.iter().any(|l| l == "packets are not seen: tcpdump is not installed"),
        "{judged:#?}"
    );
    // Later nothing new was seen: what was, says nothing any more.
    let mut fine = Lab::of(TCP);
    fine.ssh_down("web1");
    let judged = judge(&fine.state, &id("globex", 0), at(60));
    assert_eq!(judged.verdict, Verdict::Unknown, "{judged:#?}");
    assert!(judged.said.contains("not seen since 22:20:08Z"), "{}", judged.said);
    // A customer who is served while ssh is down: said beside it.
    let judged = fine.judged();
    assert!(judged.evidence.iter().any(|l| l.starts_with("web1 is not reached by ssh")), "{judged:#?}");
}

#[test]
fn fewer_failures_than_the_limit_are_no_verdict_and_another_certificate_is_said() {
    let mut lab = Lab::of(HTTPS);
    lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &fail(FailKind::NoAnswer), None, at(9));
    let judged = lab.judged();
    assert_eq!(judged.verdict, Verdict::Unknown);
    assert!(judged.said.contains("1 failed, 3 of 5 mean FAIL"), "{}", judged.said);
    let mut lab = Lab::of(HTTPS);
    lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &ok(12), Some(&shown(2, None, 9_000)), at(9));
    let judged = lab.judged();
    assert_eq!(judged.verdict, Verdict::Reachable);
    assert!(
        judged.said.ends_with("it answers; its certificate is another one than before"),
        "{}",
        judged.said
    );
}

#[test]
fn a_customer_is_as_bad_as_the_worst_of_what_is_required() {
    let two = "\"tcp:443\", \"https://www.globex.example/\"";
    let mut lab = Lab::of(two);
    let of = |lab: &Lab| of_customer(&lab.state, &"globex".parse().expect("a name"), now());
    assert_eq!(of(&lab).verdict, Verdict::Reachable);
    lab.saw(&id("globex", 1), &Vantage::Cockpit, &fail(FailKind::ServerError));
    assert_eq!(of(&lab).verdict, Verdict::ServiceError);
    lab.globex(fail(FailKind::NoAnswer), ok(9)).capture(Some(Flow::default()), None);
    assert_eq!(of(&lab).verdict, Verdict::NotArriving);
    // What failed before the window is not required, and does not speak for them.
    let mut lab = Lab::of(two);
    lab.saw(&id("globex", 1), &Vantage::Cockpit, &fail(FailKind::ServerError));
    if let Some(probe) = lab.state.probes.get_mut(&id("globex", 1)) {
        Arc::make_mut(probe).own.before = Some(false);
    }
    assert_eq!(of(&lab).verdict, Verdict::Reachable);
    let listed = "failed before any change, so not required: https://www.globex.example/";
    assert!(of(&lab).evidence.iter().any(|line| line == listed), "{:#?}", of(&lab));
    // A place that does not work explains nothing of what is seen to be wrong on the host itself.
    let mut lab = Lab::of("\"tcp:443\", \"postgres:globex\"");
    for probe in lab.state.probes.values_mut().filter(|probe| probe.probe.from == VantageKind::Inside) {
        Arc::make_mut(probe).others.clear();
    }
    lab.all(fail(FailKind::Unreachable), ok(9)).ssh_down("web1").ssh_down("web2");
    lab.saw(&id("hooli", 0), &Vantage::Cockpit, &fail(FailKind::Unreachable));
    assert_eq!(of(&lab).verdict, Verdict::VantageBroken);
    lab.saw(&id("globex", 1), &Vantage::Inside, &fail(FailKind::Database));
    assert_eq!(of(&lab).verdict, Verdict::DatabaseDown);
    let nobody = of_customer(&lab.state, &"nobody".parse().expect("a name"), now());
    assert_eq!(nobody.verdict, Verdict::Unknown);
}

#[test]
fn a_capture_says_that_nothing_came_once_it_is_known_past_a_whole_attempt() {
    let words = |whole: Option<(i64, i64)>, tally| {
        let mut lab = Lab::of(TCP);
        lab.globex(fail(FailKind::NoAnswer), ok(9)).capture(None, tally);
        let capture = lab.state.captures.values_mut().next().expect("it captures");
        capture.whole = whole.map(|(since, until)| Whole { since: at(since), until: at(until) });
        let judged = lab.judged();
        (judged.verdict, judged.evidence.join("\n"))
    };
    // It fails since second 0, an attempt takes 3 s and comes every 2.
    for (whole, tally, verdict, why) in [
        (None, None, Verdict::Unknown, "not known yet: no sign of life"),
        (
            Some((-300, -1)),
            None,
            Verdict::Unknown,
            "not known yet: the capture on web1 has told of all until",
        ),
        (Some((-300, 4)), None, Verdict::Unknown, "not known yet"),
        (Some((-300, 5)), None, Verdict::NotArriving, "none for its address"),
        // Something was dropped meanwhile.
        (Some((4, 8)), None, Verdict::Unknown, "not known yet"),
        (Some((3, 8)), None, Verdict::NotArriving, "none for its address"),
        // What arrives may be answered later.
        (Some((-300, 4)), Some((0, 0, 3, 0)), Verdict::Unknown, "not known yet"),
        (Some((-300, 5)), Some((0, 0, 3, 0)), Verdict::DroppedOnHost, "3 to its address, 0 from it"),
        // What is there is there.
        (None, Some((0, 0, 3, 3)), Verdict::Unknown, "3 to its address, 3 from it"),
    ] {
        let (found, evidence) = words(whole, tally);
        assert_eq!(found, verdict, "{whole:?} {tally:?}\n{evidence}");
        assert!(evidence.contains(why), "{whole:?} {tally:?}\n{evidence}");
    }
}

/// What was told of the wire before a clock was set says nothing of what fails since; what is told anew does.
#[test]
fn what_was_told_of_the_wire_by_another_clock_is_no_evidence() {
    for by in [3_600, -3_600] {
        let mut lab = Lab::of(TCP);
        lab.globex(fail(FailKind::NoAnswer), ok(9)).capture(Some(Flow::default()), None);
        assert_eq!(lab.judged().verdict, Verdict::NotArriving);
        let set = now() + chrono::TimeDelta::seconds(by);
        lab.state.clock_stepped(by * 1_000, set);
        assert!(lab.state.captures.values().all(|capture| capture.whole.is_none()));
        let after = |secs: u64| set + Span::secs(secs);
        let mut verdict = |from: u64, until: u64, whole: bool| {
            for secs in (from..until).step_by(2) {
                let outcome = fail(FailKind::NoAnswer);
                lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &outcome, None, after(secs));
            }
            if whole {
                let (host, over) = ("web1".parse().expect("a host"), Span::secs(5));
                let whole = Some(Whole { since: set, until: after(until - 2) });
                let told = PacketEvent::Tallied { host, over, tallies: Vec::new(), dropped: 0, whole };
                told.apply(&mut lab.state, 1, after(until));
            }
            judge(&lab.state, &id("globex", 0), after(until)).verdict
        };
        assert_eq!(verdict(2, 8, false), Verdict::Unknown, "{by}");
        assert_eq!(verdict(8, 20, true), Verdict::NotArriving, "{by}");
        // One that ended before the clock was set is told late: it is not the newest until the clock has caught up.
        let (host, probe) = ("web1".parse().expect("a host"), id("globex", 0));
        let (vantage, local) = (Vantage::Cockpit, "198.51.100.7:40000".parse().expect("a socket"));
        let (ended, flow) = (Some(at(8)), Box::new(Flow::default()));
        PacketEvent::Matched { host, probe, vantage, local, ended, flow }.apply(&mut lab.state, 1, after(21));
        let newest = lab.state.probes[&id("globex", 0)].own.flow.as_ref().map(|(at, _)| *at);
        assert!(newest.is_some_and(|at| at <= after(21)), "{by}: {newest:?}");
    }
}

/// A peer from which nothing passes any more, other hosts' customers neither, says nothing of them.
#[test]
fn a_peer_that_does_not_work_is_no_fault_of_those_that_it_looks_at() {
    let mut text = String::new();
    for (name, host, last) in [("acme", "web1", 31), ("hooli", "web2", 41), ("initech", "web3", 51)] {
        text += &format!(
            "[[customer]]\nname = \"{name}\"\nhost = \"{host}\"\nweight = 1\naddress = \"192.0.2.{last}\"\n\
            probes = [{{ probe = \"tcp:443\", from = \"peer\" }}]\n"
        );
    }
    let looked = |text: &str, outcomes: [ProbeOutcome; 3]| {
        let mut lab = Lab { state: fixture::window(6, &["web1", "web2", "web3"], text) };
        let from = |name: &str| Vantage::Peer(name.parse().expect("a host"));
        // Each by the first host that is another: web1 is looked at from web2.
        let lookers = [("acme", from("web2")), ("hooli", from("web1")), ("initech", from("web1"))];
        for (name, from) in &lookers {
            for secs in [-900, -898, -896] {
                lab.state.saw(&id(name, 0), from, &ok(12), None, at(secs));
            }
        }
        lab.state.freeze_normal(&"web1".parse().expect("a host"));
        lab.state.probing = Some(1);
        let mut batch = fixture::batch("b1", "web1", 1);
        batch.apply_started = Some(at(-600));
        batch.enter(Phase::Verified, at(-300));
        lab.state.plan_batch(batch);
        for ((name, from), outcome) in lookers.iter().zip(outcomes) {
            lab.saw(&id(name, 0), from, &outcome);
        }
        judge(&lab.state, &id("hooli", 0), now())
    };
    let lost = || fail(FailKind::NoAnswer);
    let judged = looked(&text, [ok(12), lost(), lost()]);
    assert_eq!(judged.verdict, Verdict::VantageBroken, "{judged:#?}");
    assert!(
        judged.said.contains("the peer web1 does not work: nothing passes from there"),
        "{}",
        judged.said
    );
    assert_ne!(looked(&text, [ok(12), lost(), ok(12)]).verdict, Verdict::VantageBroken);
    // A peer that looks at one host alone can't be told from that host.
    text = text.replace("web3", "web2");
    assert_ne!(looked(&text, [ok(12), lost(), lost()]).verdict, Verdict::VantageBroken);
    assert_ne!(looked(&text, [ok(12), fail(FailKind::Refused), lost()]).verdict, Verdict::VantageBroken);
}

/// What is copied into a shell: the probe's own page, where its path means nothing to a shell.
#[test]
fn the_next_look_at_a_wrong_page_is_at_that_page() {
    let next = |path: &str| {
        let mut lab = Lab::of(&format!("\"https://www.globex.example{path}\""));
        lab.globex(fail(FailKind::Content), ok(9));
        let judged = lab.judged();
        assert_eq!(judged.verdict, Verdict::WrongContent, "{judged:#?}");
        judged.next
    };
    let command = |path: &str| {
        format!(
            "curl -sSi --path-as-is --resolve 'www.globex.example:443:192.0.2.32' 'https://www.globex.example:443{path}' | head -c 600"
        )
    };
    for path in ["/", "/shop/index.html?lang=de&page=1", "/?x", "/%7Eacme/a_b-c.d"] {
        assert_eq!(next(path), Some(command(path)));
    }
    for path in ["/it's", "/'$(id)'", "/`id`", "/a\\\\b", "/[1-9]", "/{a,b}", "/$HOME", "/a|b", "/!x", "/*"] {
        assert_eq!(next(path), None, "{path}");
    }
}
