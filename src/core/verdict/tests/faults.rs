//! A row for each fault, with what is seen of it.

use super::*;

/// One fault: its name, the probe, what is seen, the verdict, a part of the sentence, and of the next command.
type Row = (&'static str, &'static str, fn(&mut Lab), Verdict, &'static str, &'static str);

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
            "reject with ICMP, of which a kernel sends one a second: the attempt before was told",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([1, 0, 0, 1, 0, 0], false)), None);
                lab.capture(Some(flow([1, 0, 0, 0, 0, 0], false)), None);
            },
            V::RejectedByFirewall,
            "refuses it, without saying so each time",
            "nft",
        ),
        (
            "reject with ICMP before, and one came through since",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([1, 0, 0, 1, 0, 0], false)), None);
                lab.capture(Some(flow([1, 1, 0, 0, 1, 1], true)), None);
                lab.capture(Some(flow([1, 0, 0, 0, 0, 0], false)), None);
            },
            V::DroppedOnHost,
            "SYN arrives, host does not answer",
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
            "curl -sSi --path-as-is --resolve 'www.globex.example:443:192.0.2.32' 'https://www.globex.example:443/' | head -c 600",
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
            "cut off between the host and here, a further place sees it",
            TCP,
            |lab| {
                lab.all(fail(K::NoAnswer), ok(9)).no_inside().ssh_down("web1");
                lab.saw(&id("acme", 0), &further(), &ok(3));
            },
            V::Unknown,
            "web1 answers elsewhere, outside (paris)",
            "",
        ),
        (
            "cable out, the neighbour saw it well before that",
            TCP,
            |lab| {
                lab.all(fail(K::NoAnswer), ok(9)).no_inside().ssh_down("web1");
                lab.state.saw(&id("acme", 0), &peer(), &ok(3), None, at(-1));
                lab.state.saw(&id("globex", 0), &peer(), &ok(3), None, at(-1));
            },
            V::HostDown,
            "nothing of web1 answers, ssh neither",
            "tracepath",
        ),
        (
            "silence here, an answer elsewhere: no process hangs",
            HTTPS,
            |lab| {
                lab.all(fail(K::Silence), ok(9)).no_inside().ssh_down("web1");
                lab.saw(&id("acme", 0), &further(), &ok(3));
            },
            V::Unknown,
            "whether the service hangs is not known",
            "",
        ),
        (
            "packets that the kernel dropped may have been any",
            TCP,
            |lab| {
                lab.globex(fail(K::NoAnswer), ok(9)).capture(Some(flow([3, 0, 0, 0, 0, 0], false)), None);
                let (host, tallies) = ("web1".parse().expect("a host"), Vec::new());
                let told =
                    PacketEvent::Tallied { host, over: Span::secs(2), tallies, dropped: 7, whole: None };
                told.apply(&mut lab.state, 1, at(9));
            },
            V::Unknown,
            "whether it arrives on the host is not known",
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
