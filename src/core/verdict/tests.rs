//! A row for each fault, with what is seen of it, and properties that hold whatever is seen.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::core::event::{
    Certificate, Event, FailKind, Failure, FailureKind, Flow, PacketEvent, Phases, ProbeEvent, ProbeOutcome,
    Sighting, Tally, Whole,
};
use crate::core::state::{Phase, Reach};
use crate::core::{arbitrary, fixture};
use crate::facts::{Address, Aged, Fact, Listener, Network, Protocol, Services};
use crate::types::{HostName, Sha256, Span, Untrusted};

const ADDRESS: &str = "192.0.2.32";

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
        let listener = |at: &&str| Listener {
            protocol: Protocol::Tcp,
            at: at.parse().expect("a socket"),
            program: None,
        };
        let listeners = Fact::Known(listens.iter().map(listener).collect());
        let host = self.host("web1");
        host.facts.network = Some(Aged { at: at(secs), fact: network });
        host.facts.listeners = Some(Aged { at: at(secs), fact: listeners });
        self
    }

    fn ssh_down(&mut self, host: &str) -> &mut Self {
        let why = Failure::new(FailureKind::Unreachable, "no answer in 15s");
        self.host(host).reach = Reach::Down { since: at(5), why };
        self
    }

    fn judged(&self) -> Judgement {
        judge(&self.state, &id("globex", 0), now())
    }
}

/// One fault: its name, the probe, what is seen, the verdict, a part of the sentence, and of the next command.
type Row = (&'static str, &'static str, fn(&mut Lab), Verdict, &'static str, &'static str);

const TCP: &str = "\"tcp:443\"";
const HTTPS: &str = "\"https://www.globex.example/\"";
const POSTGRES: &str = "\"postgres:globex\"";

fn faults() -> Vec<Row> {
    use FailKind as K;
    use Verdict as V;
    vec![
        (
            "all is well",
            TCP,
            |lab| {
                lab.capture(Some(flow([1, 1, 0, 0, 1, 1], true)), None);
            },
            V::Reachable,
            "outside ok, inside ok: it answers",
            "",
        ),
        (
            "address gone, the router remembers its MAC",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9))
                    .capture(Some(flow([3, 0, 0, 0, 0, 0], false)), Some((0, 0, 3, 0)));
                lab.facts(9, false, &["0.0.0.0:443"]);
            },
            V::DroppedOnHost,
            "SYN arrives, web1 does not have the address",
            "ip address show to 192.0.2.32",
        ),
        (
            "the same, with facts from before alone",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([3, 0, 0, 0, 0, 0], false)), None);
                lab.facts(-300, true, &["0.0.0.0:443"]);
            },
            V::DroppedOnHost,
            "outside FAIL 11s, inside ok: SYN arrives, host does not answer",
            "nstat -asz",
        ),
        (
            "address gone, the router asks again",
            TCP,
            |lab| {
                lab.globex(fail(K::Unreachable), fail(K::NoAnswer))
                    .capture(Some(Flow::default()), Some((9, 0, 0, 0)));
                lab.facts(9, false, &["0.0.0.0:443"]);
            },
            V::ArpUnanswered,
            "on no interface of web1",
            "ip address show",
        ),
        (
            "arp_ignore",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(Flow::default()), Some((9, 0, 0, 0)));
                lab.facts(9, true, &["0.0.0.0:443"]);
            },
            V::ArpUnanswered,
            "web1 does not answer for it",
            "arp_(ignore",
        ),
        (
            "reverse-path filter",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9))
                    .capture(Some(flow([3, 0, 0, 0, 0, 0], false)), Some((0, 0, 3, 0)));
                lab.facts(9, true, &["0.0.0.0:443"]);
            },
            V::DroppedOnHost,
            "host does not answer",
            "TcpExtIPReversePathFilter",
        ),
        (
            "asymmetric routes",
            TCP,
            |lab| {
                let mut flow = flow([3, 3, 0, 0, 0, 0], false);
                flow.left_by = Some("eth1".parse().expect("an interface"));
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow), None);
            },
            V::ReplyLost,
            "SYN arrives by eth0, the answer leaves by eth1",
            "ip route get 198.51.100.7 from 192.0.2.32",
        ),
        (
            "nft drop",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([4, 0, 0, 0, 0, 0], false)), None);
            },
            V::DroppedOnHost,
            "host does not answer",
            "nft list ruleset",
        ),
        (
            "drop of the replies behind the host's wire",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([3, 9, 0, 0, 0, 0], false)), None);
            },
            V::ReplyLost,
            "an answer leaves, which does not come back",
            "ip route get",
        ),
        (
            "drop of the replies after the handshake",
            HTTPS,
            |lab| {
                let mut flow = flow([1, 1, 0, 0, 2, 3], true);
                flow.again_out = 4;
                lab.globex(fail(K::Silence), ok(9)).capture(Some(flow), None);
            },
            V::ReplyLost,
            "leaves again and again",
            "ip route get",
        ),
        (
            "reject with a reset",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), ok(9)).capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
            },
            V::RejectedByFirewall,
            "refused from outside, and answers inside",
            "nft list ruleset",
        ),
        (
            "reject with a reset, the listeners tell",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), ok(9)).capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
                lab.no_inside().facts(9, true, &["192.0.2.32:443"]);
            },
            V::RejectedByFirewall,
            "although somebody listens there",
            "nft",
        ),
        (
            "reject with ICMP",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), ok(9)).capture(Some(flow([1, 0, 0, 1, 0, 0], false)), None);
            },
            V::RejectedByFirewall,
            "a firewall on web1 refuses it",
            "nft",
        ),
        (
            "drop upstream",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(Flow::default()), None);
            },
            V::NotArriving,
            "nothing of it comes in on web1",
            "tracepath -n 192.0.2.32",
        ),
        (
            "drop upstream, the probe's own packets not told apart",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(None, None);
            },
            V::NotArriving,
            "nothing of it comes in on web1",
            "tracepath",
        ),
        (
            "a capture that tells nothing",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9));
                let host = "web1".parse().expect("a host");
                PacketEvent::Running { host }.apply(&mut lab.state, 1, at(-300));
            },
            V::Unknown,
            "whether it arrives on the host is not known",
            "",
        ),
        (
            "reject upstream",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), ok(9)).capture(Some(Flow::default()), None);
            },
            V::NotArriving,
            "refused on the way",
            "tracepath",
        ),
        (
            "nginx bound to another address",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), fail(K::Refused))
                    .capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
            },
            V::NotListening,
            "at other addresses, not at this one",
            "ss -ltn 'sport = :443'",
        ),
        (
            "nginx down",
            TCP,
            |lab| {
                lab.all(fail(K::Refused), fail(K::Refused))
                    .capture(Some(flow([1, 0, 1, 0, 0, 0], false)), None);
            },
            V::ServiceDown,
            "nobody listens on port 443 of web1",
            "systemctl --failed",
        ),
        (
            "nginx down, the listeners tell",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), fail(K::Refused)).facts(9, true, &["0.0.0.0:22"]);
                let unit = "nginx.service".parse().expect("a unit");
                lab.host("web1").facts.services =
                    Some(Aged { at: at(9), fact: Fact::Known(Services { failed: vec![unit] }) });
            },
            V::ServiceDown,
            "nobody listens on port 443 of web1",
            "systemctl status --no-pager -- 'nginx.service'",
        ),
        (
            "nginx stopped by SIGSTOP",
            HTTPS,
            |lab| {
                lab.all(fail(K::Silence), fail(K::Silence))
                    .capture(Some(flow([1, 1, 0, 0, 1, 0], true)), None);
            },
            V::ServiceHung,
            "inside too: the service hangs",
            "ss -ltnp",
        ),
        (
            "nginx stopped, the inside not seen",
            HTTPS,
            |lab| {
                lab.all(fail(K::Silence), ok(9))
                    .no_inside()
                    .capture(Some(flow([1, 1, 0, 0, 1, 0], true)), None);
            },
            V::ServiceHung,
            "what is asked arrives, then silence",
            "ss -ltnp",
        ),
        (
            "another customer's certificate",
            HTTPS,
            |lab| {
                lab.globex(fail(K::Certificate), fail(K::Certificate));
                let seen = shown(9, Some("it is for www.initech.example"), 9_000);
                lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &fail(K::Certificate), Some(&seen), at(9));
            },
            V::WrongCertificate,
            "it is for www.initech.example",
            "openssl s_client -connect 192.0.2.32:443 -servername www.globex.example",
        ),
        (
            "an expired certificate",
            HTTPS,
            |lab| {
                lab.globex(fail(K::Certificate), fail(K::Certificate));
                let seen = shown(9, Some("it has expired"), -90_000);
                lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &fail(K::Certificate), Some(&seen), at(9));
            },
            V::WrongCertificate,
            "expired on 2026-11-20",
            "openssl",
        ),
        (
            "TLS refused",
            HTTPS,
            |lab| {
                lab.globex(fail(K::TlsRefused), fail(K::TlsRefused));
            },
            V::TlsRefused,
            "the TLS handshake is refused",
            "openssl s_client",
        ),
        (
            "another customer's page",
            HTTPS,
            |lab| {
                lab.globex(fail(K::Content), fail(K::Content));
            },
            V::WrongContent,
            "something else than it should",
            "curl -sSI --resolve www.globex.example:443:192.0.2.32",
        ),
        (
            "errors 500",
            HTTPS,
            |lab| {
                lab.globex(fail(K::ServerError), fail(K::ServerError));
            },
            V::ServiceError,
            "an error of its own",
            "journalctl",
        ),
        (
            "PostgreSQL down",
            POSTGRES,
            |lab| {
                lab.globex(ok(9), fail(K::Refused));
            },
            V::DatabaseDown,
            "inside FAIL 11s: nobody listens where the database should",
            "pg_lsclusters",
        ),
        (
            "one database gone",
            POSTGRES,
            |lab| {
                lab.globex(ok(9), fail(K::Database));
            },
            V::DatabaseDown,
            "refuses the login, or is not there",
            "pg_lsclusters",
        ),
        (
            "nginx stopped, the inside seen before that alone",
            HTTPS,
            |lab| {
                lab.all(fail(K::Silence), ok(9)).capture(Some(flow([1, 1, 0, 0, 1, 0], true)), None);
                for probe in lab.state.probes.values_mut() {
                    let inside = Arc::make_mut(probe).others.entry(Vantage::Inside).or_default();
                    inside.results.retain(|(seen, _)| *seen < at(0));
                    inside.results.push_back((at(-1), ok(9)));
                }
            },
            V::ServiceHung,
            "what is asked arrives, then silence",
            "ss -ltnp",
        ),
        (
            "slow service, where a look from inside takes its time anyway",
            HTTPS,
            |lab| {
                let answered = |secured, answered| Sighting {
                    phases: Phases {
                        connected: Some(Span::ms(2)),
                        secured: Some(Span::ms(secured)),
                        answered: Some(Span::ms(answered)),
                        ..Phases::default()
                    },
                    ..Sighting::default()
                };
                for secs in [0, 2, 4, 6, 8] {
                    for (from, took, sighting) in [
                        (Vantage::Cockpit, 900, answered(8, 899)),
                        // Not three times its normal, which is long: the program that looks has to start.
                        (Vantage::Inside, 1_100, answered(250, 1_090)),
                    ] {
                        let mut probe = lab.state.probes[&id("globex", 0)].as_ref().clone();
                        if from == Vantage::Inside {
                            let inside = probe.others.entry(from.clone()).or_default();
                            inside.normal.took = [Span::ms(600)].into();
                        }
                        lab.state.probes.insert(id("globex", 0), Arc::new(probe));
                        lab.state.saw(&id("globex", 0), &from, &ok(took), Some(&sighting), at(secs));
                    }
                }
            },
            V::Slow,
            "inside too much later than before",
            "uptime",
        ),
        (
            "slow service",
            HTTPS,
            |lab| {
                lab.globex(ok(900), ok(890));
            },
            V::Slow,
            "inside too much later than before",
            "uptime",
        ),
        (
            "slow service, the packets tell",
            HTTPS,
            |lab| {
                let mut flow = flow([1, 1, 0, 0, 1, 1], true);
                flow.first_byte = Some(Span::ms(850));
                lab.globex(ok(900), ok(9)).no_inside().capture(Some(flow), None);
            },
            V::Slow,
            "the first byte leaves much later",
            "uptime",
        ),
        (
            "slow path",
            HTTPS,
            |lab| {
                lab.globex(ok(900), ok(10));
            },
            V::PathSlow,
            "much longer on the way",
            "ping -n -c 10",
        ),
        (
            "host frozen",
            HTTPS,
            |lab| {
                lab.all(fail(K::Silence), ok(9)).no_inside().ssh_down("web1");
            },
            V::HostHung,
            "no process of web1 answers, ssh neither",
            "ping",
        ),
        (
            "cable out",
            TCP,
            |lab| {
                lab.all(fail(K::NoAnswer), ok(9)).no_inside().ssh_down("web1");
                lab.saw(&id("globex", 0), &peer(), &fail(K::NoAnswer));
            },
            V::HostDown,
            "nothing of web1 answers, ssh neither",
            "tracepath",
        ),
        (
            "cut off between the host and here",
            TCP,
            |lab| {
                lab.all(fail(K::NoAnswer), ok(9)).no_inside().ssh_down("web1");
                lab.saw(&id("globex", 0), &peer(), &ok(3));
            },
            V::Unknown,
            "web1 answers its neighbours",
            "",
        ),
        (
            "sshd killed while customers are fine",
            HTTPS,
            |lab| {
                lab.no_inside().ssh_down("web1");
            },
            V::Reachable,
            "it answers",
            "",
        ),
        (
            "sshd killed and a customer dark",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).no_inside().ssh_down("web1");
            },
            V::Unknown,
            "whether it arrives on the host is not known",
            "",
        ),
        (
            "the cockpit's own network gone",
            TCP,
            |lab| {
                lab.all(fail(K::Unreachable), ok(9)).no_inside().ssh_down("web1").ssh_down("web2");
                lab.saw(&id("hooli", 0), &Vantage::Cockpit, &fail(K::Unreachable));
            },
            V::VantageBroken,
            "the cockpit's own network does not work",
            "ip route",
        ),
        (
            "the same, attempts can't be made",
            TCP,
            |lab| {
                lab.all(ProbeOutcome::broken("no route"), ok(9)).no_inside();
                lab.saw(&id("hooli", 0), &Vantage::Cockpit, &ProbeOutcome::broken("no route"));
            },
            V::VantageBroken,
            "no route",
            "ip route",
        ),
        (
            "every customer of every host, while ssh works",
            TCP,
            |lab| {
                lab.all(fail(K::NoAnswer), ok(9)).saw(&id("hooli", 0), &Vantage::Cockpit, &fail(K::NoAnswer));
            },
            V::Unknown,
            "whether it arrives on the host is not known",
            "",
        ),
        (
            "no packets, inside refuses",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), fail(K::Refused));
            },
            V::NotListening,
            "at other addresses, not at this one",
            "ss",
        ),
        (
            "refused, and nothing else known",
            TCP,
            |lab| {
                lab.globex(fail(K::Refused), ok(9)).no_inside();
            },
            V::Unknown,
            "whether nobody listens or a firewall refuses it",
            "",
        ),
        (
            "silence, and nothing else known",
            HTTPS,
            |lab| {
                lab.globex(fail(K::Silence), ok(9)).no_inside();
            },
            V::Unknown,
            "whether the service hangs is not known",
            "",
        ),
        (
            "packets of another attempt",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([1, 1, 0, 0, 1, 1], true)), None);
            },
            V::Unknown,
            "of an attempt that came through",
            "",
        ),
        (
            "the attempt could not be made",
            TCP,
            |lab| {
                lab.globex(ProbeOutcome::broken("no socket"), ok(9));
            },
            V::Unknown,
            "it could not be looked at: no socket",
            "",
        ),
    ]
}

#[test]
fn each_fault_has_its_verdict() {
    for (name, probe, fault, verdict, said, next) in faults() {
        let mut lab = Lab::of(probe);
        fault(&mut lab);
        let judged = lab.judged();
        assert_eq!(judged.verdict, verdict, "{name}: {judged:#?}");
        assert!(judged.said.contains(said), "{name}: {judged:#?}");
        assert!(judged.said.starts_with("globex "), "{name}: {}", judged.said);
        match (&judged.next, next) {
            (None, "") => {}
            (Some(command), _) => assert!(!next.is_empty() && command.contains(next), "{name}: {command}"),
            (None, _) => panic!("{name}: nothing next"),
        }
        assert_eq!(judged, lab.judged(), "{name}: the same inputs, the same words");
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
    let nobody = of_customer(&lab.state, &"nobody".parse().expect("a name"), now());
    assert_eq!(nobody.verdict, Verdict::Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever else was seen: a required probe that failed from where it is judged is never reachable.
    #[test]
    fn what_failed_is_never_reachable(
        kind in arbitrary::fail_kind(),
        inside in proptest::collection::vec(arbitrary::outcome(), 0..6),
        peers in proptest::collection::vec(arbitrary::outcome(), 0..6),
        flow in proptest::option::of(arbitrary::flow()),
        tally in any::<Option<(u32, u32, u32, u32)>>(),
        there in any::<bool>(),
        ssh in any::<bool>(),
        probe in proptest::sample::select(&[TCP, HTTPS][..]),
        last_ok in any::<bool>(),
    ) {
        let mut lab = Lab::of(probe);
        lab.saw(&id("globex", 0), &Vantage::Cockpit, &fail(kind)).no_inside();
        for outcome in &inside {
            lab.state.saw(&id("globex", 0), &Vantage::Inside, outcome, None, at(9));
        }
        for outcome in &peers {
            lab.state.saw(&id("globex", 0), &peer(), outcome, None, at(9));
        }
        lab.capture(flow, tally).facts(9, there, &["0.0.0.0:443"]);
        if ssh {
            lab.ssh_down("web1");
        }
        if last_ok {
            lab.state.saw(&id("globex", 0), &Vantage::Cockpit, &ok(12), None, at(9));
        }
        let judged = lab.judged();
        prop_assert_ne!(judged.verdict, Verdict::Reachable, "{:#?}", judged);
        prop_assert_eq!(&judged, &lab.judged());
        let of = of_customer(&lab.state, &"globex".parse().expect("a name"), now());
        prop_assert_ne!(of.verdict, Verdict::Reachable);
    }

    /// Any plan, anything seen of it, at any moment.
    #[test]
    fn any_state_is_judged(
        plan in arbitrary::plan(),
        seen in proptest::collection::vec((any::<u8>(), arbitrary::probe_event(), arbitrary::packet_event()), 0..12),
        at in arbitrary::time(),
    ) {
        let mut state = State::default();
        state.open(crate::core::event::Purpose::Run, &plan, None, at);
        let ids: Vec<ProbeId> = state.probes.keys().cloned().collect();
        for (seq, (pick, probe, packet)) in (1..).zip(seen) {
            let any = ids.get(usize::from(pick) % ids.len().max(1));
            if let (Some(id), ProbeEvent::Seen { vantage, outcome, sighting, .. }) = (any, &probe) {
                state.saw(id, vantage, outcome, sighting.as_deref(), at);
            }
            for event in [Event::Probe(probe), Event::Packet(packet)] {
                let actor = crate::core::event::Actor::Holdpoint;
                state.apply(&crate::core::Record { seq, at, actor, session: "test".into(), epoch: 1, event });
            }
        }
        for id in &ids {
            let judged = judge(&state, id, at);
            prop_assert_eq!(&judged, &judge(&state, id, at));
            let text: String = judged.evidence.iter().chain(&judged.next).chain([&judged.said]).cloned().collect();
            prop_assert!(text.chars().all(|c| !c.is_control()), "{}", text.escape_debug());
            of_customer(&state, &id.customer, at);
        }
    }
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
