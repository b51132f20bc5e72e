//! The moments of the sample window that are looked at.

use super::*;
use crate::core::command::RollbackScope;
use crate::core::event::{
    AlarmEvent, Cause, Event, Flow, PacketEvent, PacketRow, Seen, Sighting, TcpFlags, Way, What,
};
use crate::facts::Replaced;
use crate::plan::{AbortLine, AbortProbes, AutoRollback, Limit, VantageKind};

impl Sample {
    /// web2 is done, web1 is next of those that are left: NEWER and UNTESTED hold it.
    pub(crate) fn held() -> Self {
        let mut sample = Self::done_with(&["web2", "web3"]);
        sample.to(at("02:31:40"));
        sample.probe_all("02:31:38");
        sample.ask(Intent::Mark { note: "web1 next; raj reads the changelog of libexpat1".into() });
        sample.to(at("02:31:40"));
        sample
    }

    fn done_with(hosts: &[&str]) -> Self {
        let mut sample = Self::before();
        sample.to(at("02:00:10"));
        sample.probe_all("02:00:08");
        sample.ask(Intent::Mark { note: "open".into() });
        let mut minute = 1;
        // Each batch is watched for its five minutes before the next one starts.
        for host in hosts {
            let name: HostName = host.parse().expect("host");
            while sample.state.batches_of(&name).any(|batch| batch.phase != Phase::Confirmed) {
                let clock = |second| format!("02:{minute:02}:{second:02}");
                sample.probe_all(&clock(5));
                sample.go(host, &clock(10));
                sample.print(host, &clock(20), &["Setting up openssl (3.0.16-1~deb12u1) ..."]);
                sample.applied(host, &clock(40));
                sample.probe_all(&clock(45));
                minute += 5;
                sample.probe_all(&format!("02:{minute:02}:42"));
                minute += 1;
            }
        }
        sample
    }

    /// web2 is to take a database server that refuses its older self.
    pub(crate) fn one_way() -> Self {
        let mut sample = Self::unread();
        let web2: HostName = "web2".parse().expect("host");
        if let Some(list) = sample.updates.get_mut(&web2) {
            list.pending = usual();
            list.kept.clear();
            list.pending.push(pending("mysql-server-8.0", "8.0.36-1", "8.0.41-1", true));
            list.pending.sort_by(|a, b| a.package.cmp(&b.package));
        }
        sample.to(at("01:31:05"));
        sample.probe_all("01:31:05");
        sample
    }

    /// web3's batch is being applied.
    pub(crate) fn applying() -> Self {
        let mut sample = Self::done_with(&["web2"]);
        sample.probe_all("02:28:05");
        sample.go("web3", "02:28:07");
        sample.print(
            "web3",
            "02:28:20",
            &[
                "Reading package lists...",
                "Preparing to unpack .../libssl3_3.0.16-1~deb12u1_amd64.deb ...",
                "Unpacking libssl3:amd64 (3.0.16-1~deb12u1) over (3.0.15-1~deb12u1) ...",
                "Unpacking \u{1b}[31mopenssl\u{1b}[0m (3.0.16-1~deb12u1) ...",
            ],
        );
        sample.probe_all("02:28:31");
        sample.print("web3", "02:28:33", &["Setting up libssl3:amd64 (3.0.16-1~deb12u1) ..."]);
        sample
    }

    /// The same with packets captured: web3's customer is asked for and does not answer; web1 has no tcpdump.
    pub(crate) fn captured() -> Self {
        let mut sample = Self::failing();
        let captures: Vec<(Seq, HostName)> = sample
            .state
            .pending
            .iter()
            .filter(|(_, pending)| pending.work == Work::Capture)
            .filter_map(|(id, pending)| Some((*id, pending.host.clone()?)))
            .collect();
        for (id, host) in captures {
            let event = if host.as_str() == "web1" {
                let why = "web1: tcpdump is not installed: apt-get install tcpdump".into();
                PacketEvent::Unseen { host, why }
            } else {
                PacketEvent::Running { host }
            };
            sample.say(id, Said::Packet(Box::new(event)));
        }
        let id = sample.waiting(Work::Probe);
        let customers = sample.state.plan.as_ref().expect("a plan").customers.clone();
        let probes: Vec<ProbeId> = sample.state.probes.keys().cloned().collect();
        for probe in probes {
            let customer = customers.iter().find(|other| other.name == probe.customer).expect("theirs");
            let outcome = ProbeOutcome::Ok { took: Span::ms(31), said: "open".into() };
            let inside =
                Said::Seen { probe: probe.clone(), vantage: Vantage::Inside, outcome, sighting: None };
            sample.say(id, inside);
            let dark = customer.host.as_str() == "web3";
            let (granted, completed) = (u32::from(!dark), !dark);
            let flow =
                Box::new(Flow { asked: if dark { 3 } else { 1 }, granted, completed, ..Flow::default() });
            let (host, local) = (customer.host.clone(), "203.0.113.5:51034".parse().expect("an end"));
            if host.as_str() != "web1" {
                let (vantage, ended) = (Vantage::Cockpit, None);
                let matched = PacketEvent::Matched { host, probe, vantage, local, ended, flow };
                sample.say(id, Said::Packet(Box::new(matched)));
            }
        }
        let now = sample.now;
        let row = |milliseconds: i64, way, by: &str, what| PacketRow {
            host: "web3".parse().expect("host"),
            at: now - chrono::TimeDelta::milliseconds(milliseconds),
            by: Some(by.parse().expect("an interface")),
            seen: Seen { way, length: 60, what },
        };
        let (client, server) =
            ("203.0.113.5:51034".parse().expect("an end"), "192.0.2.32:443".parse().expect("an end"));
        let syn = || What::Tcp {
            src: client,
            dst: server,
            flags: TcpFlags(TcpFlags::SYN),
            seq: 1_811_442_017,
            ack: 0,
            window: 64_240,
            data: 0,
            alert: None,
        };
        let (router, address) =
            ("192.0.2.1".parse().expect("an address"), "192.0.2.32".parse().expect("an address"));
        let rows = vec![
            row(3_100, Way::In, "eth0", What::Arp { asks: true, sender: router, target: address }),
            row(3_099, Way::Out, "eth0", What::Arp { asks: false, sender: address, target: router }),
            row(3_098, Way::In, "eth0", syn()),
            row(2_080, Way::In, "eth0", syn()),
            row(64, Way::In, "eth0", syn()),
        ];
        sample.input(Input::Samples(Samples { rows, rows_left_out: 7, ..Samples::default() }));
        sample
    }

    /// The same, and some who answer do so otherwise: acme's page has another status than before, hooli is not
    /// reached from paris, and initech's newest echo is late.
    pub(crate) fn differing() -> Self {
        let mut sample = Self::captured();
        let id = sample.waiting(Work::Probe);
        let of = |customer: &str, index| ProbeId { customer: customer.parse().expect("a customer"), index };
        let took = |ms| ProbeOutcome::Ok { took: Span::ms(ms), said: "302".into() };
        let acme = of("acme", 1);
        if let Some(probe) = sample.state.probes.get_mut(&acme) {
            std::sync::Arc::make_mut(probe).own.normal.status = Some(200);
        }
        let sighting = Some(Box::new(Sighting { status: Some(302), ..Sighting::default() }));
        let vantage = Vantage::Cockpit;
        sample.say(id, Said::Seen { probe: acme, vantage: vantage.clone(), outcome: took(18), sighting });
        let (probe, sighting) = (of("initech", 1), Some(Box::default()));
        sample.say(id, Said::Seen { probe, vantage, outcome: took(612), sighting });
        for _ in 0..3 {
            let vantage = Vantage::Further("paris".parse().expect("a place"));
            let outcome = ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s");
            sample.say(id, Said::Seen { probe: of("hooli", 0), vantage, outcome, sighting: None });
        }
        sample
    }

    /// web3 logs by its journal and a file of its own.
    pub(crate) fn logged() -> Self {
        let mut sample = Self::failing();
        let host: HostName = "web3".parse().expect("host");
        let line = |source, by: Option<&str>, error, clock: &str, text: &str| LogLine {
            by: by.map(Into::into),
            error,
            ..LogLine::new(host.clone(), source, at(clock), text.into())
        };
        let file = || LogSource::File("/var/log/nginx/error.log".into());
        let lines = vec![
            line(LogSource::Journal, Some("nginx.service"), false, "02:29:11", "Reloaded nginx.service"),
            line(LogSource::Journal, Some("sshd"), false, "02:29:14", "Accepted publickey for ops"),
            line(
                file(),
                None,
                true,
                "02:29:20",
                "2026/11/21 02:29:20 [error] 812#812: *7 upstream timed out (110: Connection timed out) while \
                 connecting to upstream, client: 203.0.113.9, server: globex.example, request: \"GET / HTTP/1.1\"",
            ),
            line(LogSource::Journal, Some("kernel"), false, "02:29:25", "eth0: link is up"),
            line(
                file(),
                None,
                true,
                "02:29:30",
                "2026/11/21 02:29:30 [error] 812#812: *9 connect() failed (113: No route to host)",
            ),
        ];
        sample.samples(Samples { lines, ..Samples::default() });
        sample
    }

    /// web3's batch is verified, and its customer is not reached any more.
    pub(crate) fn failing() -> Self {
        let mut sample = Self::applying();
        sample.applied("web3", "02:29:10");
        for second in [12, 17, 22, 27, 32] {
            sample.probe(&format!("02:29:{second}"), Some("globex"));
        }
        sample.to(at("02:29:33"));
        sample
    }

    /// The same with packets, and with an abort line that the plan agrees on: its countdown runs.
    pub(crate) fn counting() -> Self {
        Self::met(AutoRollback::Armed, Span::secs(60))
    }

    /// The same with a shorter one, which is over: evidence of the host is still asked for.
    pub(crate) fn over() -> Self {
        let mut sample = Self::met(AutoRollback::Armed, Span::secs(20));
        sample.to(at("02:29:43"));
        sample
    }

    /// Evidence is there, and nothing has answered since that tells of the network.
    pub(crate) fn over_unseen() -> Self {
        let mut sample = Self::over();
        let met = at("02:29:22");
        for probe in sample.state.probes.values_mut() {
            let others = &mut std::sync::Arc::make_mut(probe).own.results;
            others.retain(|(at, outcome)| *at < met || matches!(outcome, ProbeOutcome::Fail { .. }));
        }
        let failure = Failure::new(FailureKind::Failed, "no room");
        sample.answer(sample.waiting(Work::Evidence), Answer::Evidence(Err(failure)));
        sample.to(at("02:29:45"));
        sample
    }

    /// The same where the plan says that somebody is asked.
    pub(crate) fn asking() -> Self {
        Self::met(AutoRollback::Ask, Span::secs(60))
    }

    fn met(auto: AutoRollback, countdown: Span) -> Self {
        let mut sample = Self::applying();
        if let Some(plan) = sample.state.plan.as_mut().map(std::sync::Arc::make_mut) {
            plan.policy.auto_rollback = auto;
            plan.policy.countdown = countdown;
            plan.aborts.push(AbortLine {
                probes: AbortProbes::Required,
                from: VantageKind::Outside,
                fails: Limit::USUAL,
            });
        }
        sample.applied("web3", "02:29:10");
        let host: HostName = "web3".parse().expect("host");
        let probe = ProbeId { customer: "globex".parse().expect("customer"), index: 0 };
        let id = sample.waiting(Work::Probe);
        sample.say(id, Said::Packet(Box::new(PacketEvent::Running { host: host.clone() })));
        for second in [12, 17, 22, 27, 32] {
            sample.probe(&format!("02:29:{second}"), Some("globex"));
            let (vantage, sighting) = (Vantage::Inside, None);
            let outcome = ProbeOutcome::Ok { took: Span::ms(12), said: "connected".into() };
            sample.say(id, Said::Seen { probe: probe.clone(), vantage, outcome, sighting });
            let flow = Flow { asked: 3, came_by: "eth0".parse().ok(), ..Flow::default() };
            sample.say(
                id,
                Said::Packet(Box::new(PacketEvent::Matched {
                    host: host.clone(),
                    probe: probe.clone(),
                    vantage: Vantage::Cockpit,
                    local: "198.51.100.7:40110".parse().expect("a socket"),
                    ended: None,
                    flow: Box::new(flow),
                })),
            );
        }
        sample.to(at("02:29:36"));
        // Which addresses are there was not told.
        if let Some(web3) = sample.state.hosts.get_mut(&host) {
            std::sync::Arc::make_mut(web3).facts.network = None;
        }
        sample
    }

    /// Somebody kept what it would have rolled back.
    pub(crate) fn kept() -> Self {
        let mut sample = Self::counting();
        let reason = "globex moves its DNS at this moment, by phone with them".into();
        sample.ask(Intent::Keep { host: "web3".parse().expect("host"), reason });
        sample.probe("02:30:58", Some("globex"));
        sample
    }

    /// Past abort-by web3's batch is unconfirmed, and nobody is dark.
    pub(crate) fn past_abort_by() -> Self {
        let mut sample = Self::applying();
        sample.applied("web3", "02:29:10");
        let by = crate::core::schedule::abort_by(&sample.state).expect("a plan").at;
        if let Some(batch) = sample.state.batch_mut(&sample.batch("web3").id) {
            // Watched for so long that it is not confirmed before.
            batch.verified_at = Some(by);
        }
        sample.to(by + Span::secs(12));
        sample
    }

    /// The rollback of web3 runs.
    pub(crate) fn rolling() -> Self {
        let mut sample = Self::failing();
        sample.to(at("02:29:50"));
        sample.ask(Intent::Rollback {
            scope: RollbackScope::Unconfirmed,
            why: "asked for at the cockpit".into(),
        });
        sample.print("web3", "02:30:20", &["dpkg: warning: downgrading openssl from 3.0.16-1~deb12u1"]);
        sample.probe("02:30:21", Some("globex"));
        sample
    }

    /// Everything goes back: web3 and web2 side by side, web2's first batch after its second.
    pub(crate) fn all_back() -> Self {
        let mut sample = Self::failing();
        sample.to(at("02:29:50"));
        sample.ask(Intent::Rollback { scope: RollbackScope::All, why: "asked for at the cockpit".into() });
        sample.probe("02:30:21", Some("globex"));
        sample
    }

    /// It came off.
    pub(crate) fn back() -> Self {
        let mut sample = Self::rolling();
        sample.rolled_back("web3", "02:31:10");
        for second in [15, 20, 25, 30, 35] {
            sample.probe_all(&format!("02:31:{second}"));
        }
        sample.to(at("02:31:36"));
        sample
    }

    /// The plan asks for snapshots: one is to be taken before web2's first change.
    pub(crate) fn snapshot() -> Self {
        let mut sample = Self::of(&PLAN.replace("[policy]", "[policy]\nsnapshots = true"));
        sample.to(at("02:00:10"));
        sample.probe_all("02:00:12");
        sample
    }

    /// It was taken, and web2's rollback does not come off.
    pub(crate) fn fell_short() -> Self {
        let mut sample = Self::snapshot();
        sample.go("web2", "02:01:10");
        sample.applied("web2", "02:01:40");
        sample.to(at("02:02:50"));
        sample.ask(Intent::Rollback {
            scope: RollbackScope::Unconfirmed,
            why: "asked for at the cockpit".into(),
        });
        sample.to(at("02:04:10"));
        let why = format!("web2: the rollback did not come off: a snapshot of before is kept: {TAKEN}");
        let failure = Failure::new(FailureKind::Failed, why);
        sample.answer(sample.waiting(Work::Rollback), Answer::RolledBack(Err(failure)));
        sample
    }

    /// web3's batch is verified and watched; all its customers are served.
    pub(crate) fn baking() -> Self {
        let mut sample = Self::applying();
        sample.applied("web3", "02:29:10");
        sample.probe_all("02:29:57");
        sample.to(at("02:30:00"));
        sample
    }

    /// It was watched long enough, and two services still run the library of before.
    pub(crate) fn old_code() -> Self {
        let mut sample = Self::baking();
        let batch = sample.batch("web3").id;
        let runs = |pid, program: &str, unit: &str| Replaced {
            pid,
            program: program.into(),
            unit: Some(unit).filter(|unit| !unit.is_empty()).and_then(|unit| unit.parse().ok()),
            path: Some("/lib/x86_64-linux-gnu/libssl.so.3".into()),
        };
        if let Some((timer, _)) = sample.timers.get_mut(&batch) {
            let all = vec![
                runs(811, "nginx", "nginx.service"),
                runs(812, "nginx", "nginx.service"),
                runs(913, "php-fpm", ""),
            ];
            timer.replaced = Some(Fact::Known(all));
        }
        sample.probe_all("02:34:05");
        sample.probe_all("02:34:20");
        sample.probe_all("02:34:24");
        sample
    }

    /// Whatever ran old code on a host was started anew.
    pub(crate) fn restarted(&mut self, host: &str) {
        let batch = self.batch(host).id;
        if let Some((timer, _)) = self.timers.get_mut(&batch) {
            timer.replaced = Some(Fact::Known(Vec::new()));
        }
    }

    /// It was watched long enough, and the host does not take the confirm.
    pub(crate) fn unconfirmed() -> Self {
        let mut sample = Self::baking();
        sample.deaf = true;
        sample.probe_all("02:34:05");
        sample.probe_all("02:34:10");
        sample.to(at("02:34:14"));
        sample
    }

    /// web3 is lost while its timer runs.
    pub(crate) fn lost() -> Self {
        let mut sample = Self::baking();
        let web3: HostName = "web3".parse().expect("host");
        sample.silent.insert(web3.clone());
        sample.to(at("02:30:20"));
        let asked = sample.waiting(Work::Timer);
        sample.say(asked, Said::Lost { host: web3, why: "no answer in 10s".into() });
        for clock in ["02:31:12", "02:31:17", "02:31:22", "02:31:27", "02:31:32"] {
            sample.probe(clock, Some("globex"));
        }
        sample.to(at("02:31:35"));
        sample
    }

    /// Nobody was there in time: web3 rolls back by itself, and says so.
    pub(crate) fn fired() -> Self {
        let mut sample = Self::baking();
        let batch = sample.batch("web3").id;
        for minute in 30..45 {
            sample.probe(&format!("02:{minute}:30"), Some("globex"));
        }
        let fires = sample.timers[&batch].1;
        if let Some((timer, _)) = sample.timers.get_mut(&batch) {
            timer.state = TimerState::Firing;
            timer.operation = format!("{batch}-deadman").parse().ok();
        }
        sample.probe("02:44:50", Some("globex"));
        sample.to(fires + Span::secs(25));
        sample.probe("02:45:16", Some("globex"));
        sample
    }

    /// web3's host says that nothing watches its timer.
    pub(crate) fn unwatched() -> Self {
        let mut sample = Self::baking();
        let batch = sample.batch("web3").id;
        if let Some((timer, _)) = sample.timers.get_mut(&batch) {
            timer.watch = TimerWatch::None;
        }
        sample.probe_all("02:30:27");
        sample.to(at("02:30:30"));
        sample
    }

    /// globex is dark, and so many units have failed with it that they are shown as one.
    pub(crate) fn flood() -> Self {
        let mut sample = Self::failing();
        let host: HostName = "web3".parse().expect("host");
        let units = (1..=10).map(|n| {
            let unit = format!("worker@{n}.service");
            let said = format!("web3: {unit} has failed since web3 batch 1 was applied").into();
            let cause = Cause::Unit { host: host.clone(), unit: unit.parse().expect("a unit") };
            Event::Alarm(AlarmEvent::Raised { cause, said })
        });
        sample.commit(Decision { actor: Actor::Holdpoint, events: units.collect() });
        sample
    }

    /// The last customer of the plan has other probes, as the plan writes them.
    pub(crate) fn with_probes(customer: &str, probes: &str) -> Self {
        let named = format!("name = \"{customer}\"");
        let (head, tail) = PLAN.split_once(&named).expect("a customer");
        let mut sample = Self::of(&format!("{head}{named}{}", tail.replace("[\"tcp:443\"]", probes)));
        sample.to(at("02:00:10"));
        sample
    }

    /// web2 has customers of whom no probe is required: a person's word is wanted.
    pub(crate) fn unprobed() -> Self {
        let mut sample = Self::with_probes("hooli", r#"[{ probe = "tcp:443", required = false }]"#);
        sample.probe_all("02:00:08");
        sample.go("web2", "02:01:10");
        sample.applied("web2", "02:01:40");
        sample.probe_all("02:06:42");
        sample.to(at("02:06:45"));
        sample
    }
}
