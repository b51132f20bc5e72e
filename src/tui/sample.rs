//! States for tests, made as real ones are: the core decides, its events are applied, and hosts
//! answer what is put into their mouths here.

mod scenes;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::command::{Answer, Command, Input, Intent, Sample as Said};
use crate::core::decide::{Circumstances, Decision, advance, decide};
use crate::core::event::{
    Actor, ApplyReport, FailKind, Failure, FailureKind, HelperState, LogLine, LogSource, ProbeId,
    ProbeOutcome, Proof, ProofFile, Purpose, RollbackReport, Samples, Snapshot, SnapshotLeft, Timer,
    TimerState, TimerWatch, Vantage, VerifyReport,
};
use crate::core::state::{Phase, Work};
use crate::core::{Change, Frozen, JournalHealth, Record, Rehearsal, State, View};
use crate::facts::{Address, Domain, Fact, Kept, KeptWhy, Locks, Network, Packages, Pending, Updates};
use crate::plan::{Plan, VantageKind};
use crate::types::{BatchId, HostName, PackageId, Seq, Sha256, Span, Time, Untrusted};

/// A plan as people write it: small before large, customers with probes.
const PLAN: &str = r#"
[window]
name   = "November security updates"
ticket = "CHG-4471"
opens  = 2026-11-21T02:00:00Z
closes = 2026-11-21T04:00:00Z

[policy]
bake = "5m"

[baseline]
host = "test1"
ssh  = "ops@192.0.2.10"

[[host]]
name = "web1"
ssh  = "ops@192.0.2.11"

[[host]]
name = "web2"
ssh  = "ops@192.0.2.12"

[[host]]
name = "web3"
ssh  = "ops@192.0.2.13"

[[customer]]
name = "acme"
host = "web1"
weight = 400
address = "192.0.2.21"
probes = ["tcp:443", "http://www.acme.example/health"]

[[customer]]
name = "initech"
host = "web1"
weight = 200
address = "192.0.2.22"
probes = ["tcp:443", "ping"]

[[customer]]
name = "globex"
host = "web3"
weight = 150
address = "192.0.2.32"
probes = ["tcp:443"]

[[customer]]
name = "hooli"
host = "web2"
weight = 40
address = "192.0.2.41"
probes = ["tcp:443"]
"#;

/// A moment of the night of the sample window.
pub(crate) fn at(clock: &str) -> Time {
    let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
    format!("2026-11-21T{clock}Z").parse().expect("a moment")
}

fn package(name: &str) -> PackageId {
    PackageId::new(name.parse().expect(name), "amd64".parse().expect("arch"))
}

fn sha(name: &str) -> Sha256 {
    Sha256::from_bytes(*blake3::hash(name.as_bytes()).as_bytes())
}

fn pending(name: &str, from: &str, to: &str, security: bool) -> Pending {
    Pending {
        package: package(name),
        from: Some(from.parse().expect(from)),
        to: to.parse().expect(to),
        security,
        origin: "Debian-Security:12/stable-security".into(),
        source: name.parse().expect(name),
        section: "net".into(),
        size: Some(812_000),
        sha256: Some(sha(&format!("{name}{to}"))),
        needs: Vec::new(),
    }
}

/// What every host of the sample has pending.
fn usual() -> Vec<Pending> {
    let mut list = vec![
        pending("curl", "7.88.1-10+deb12u7", "7.88.1-10+deb12u8", true),
        pending("ifupdown", "0.8.41", "0.8.44", false),
        pending("libssl3", "3.0.15-1~deb12u1", "3.0.16-1~deb12u1", true),
        pending("nginx", "1.22.1-9", "1.22.1-9+deb12u1", true),
        pending("openssl", "3.0.15-1~deb12u1", "3.0.16-1~deb12u1", true),
        pending("rsync", "3.2.7-1", "3.2.7-1+deb12u2", true),
        pending("tzdata", "2024a-0+deb12u1", "2025a-0+deb12u1", false),
    ];
    list.sort_by(|a, b| a.package.cmp(&b.package));
    list
}

/// A state in the making.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) state: State,
    pub(crate) now: Time,
    seq: Seq,
    updates: BTreeMap<HostName, Updates>,
    /// How the hosts' timers stand there, and when they fire.
    timers: BTreeMap<BatchId, (Timer, Time)>,
    /// Hosts that don't answer.
    silent: BTreeSet<HostName>,
    /// Whether confirms don't reach their host.
    deaf: bool,
}

impl Sample {
    /// Opened, read, cut into batches: half an hour before the window.
    pub(crate) fn before() -> Self {
        let mut sample = Self::unread();
        sample.to(at("01:31:05"));
        sample.probe_all("01:31:05");
        sample
    }

    /// Opened, and nothing read yet.
    pub(crate) fn unread() -> Self {
        Self::of(PLAN)
    }

    fn of(plan: &str) -> Self {
        let plan = crate::plan::read("window.toml", plan).expect("the sample plan");
        let mut updates = BTreeMap::new();
        for host in ["test1", "web1", "web2", "web3"] {
            let mut list = Updates {
                pending: usual(),
                kept: Vec::new(),
                lists_at: Some(at("01:20")),
                ..Updates::default()
            };
            if host == "test1" {
                list.pending.clear();
            }
            if host == "web1" {
                list.pending.push(pending("libexpat1", "2.5.0-1+deb12u1", "2.5.0-1+deb12u2", true));
                list.pending.retain(|pending| pending.package.name.as_str() != "nginx");
                list.pending.push(pending("nginx", "1.22.1-9", "1.22.1-9+deb12u2", true));
                list.pending.sort_by(|a, b| a.package.cmp(&b.package));
                list.kept.push(Kept {
                    package: package("postgresql-15"),
                    from: "15.10-0+deb12u1".parse().expect("version"),
                    candidate: Some("15.12-0+deb12u2".parse().expect("version")),
                    why: KeptWhy::Hold,
                });
            }
            updates.insert(host.parse().expect(host), list);
        }
        let mut sample = Self {
            state: State::default(),
            now: at("01:30"),
            seq: 0,
            updates,
            timers: BTreeMap::new(),
            silent: BTreeSet::new(),
            deaf: false,
        };
        sample.open(plan);
        sample
    }

    fn open(&mut self, plan: Plan) {
        let mut set: Vec<Frozen> = usual()
            .into_iter()
            .map(|p| Frozen {
                sha256: sha(&format!("{}{}", p.package.name, p.to)),
                package: p.package,
                from: p.from,
                to: p.to,
            })
            .collect();
        set.sort_by(|a, b| a.package.cmp(&b.package));
        let rehearsal = Rehearsal {
            baseline: "test1".parse().expect("host"),
            at: at("01:00") - Span::secs(2 * 86_400),
            seq: 900,
            set,
            apply: Span::secs(95),
            rollback: Span::secs(105),
            reboot: None,
            verify: Span::secs(20),
            identical: true,
        };
        let intent = Intent::Open {
            purpose: Purpose::Run,
            plan: Box::new(plan),
            rehearsal: Some(Box::new(rehearsal)),
        };
        self.ask(intent);
    }

    fn under(&self) -> Circumstances {
        Circumstances { now: self.now, journal_sound: true }
    }

    fn commit(&mut self, decision: Decision) {
        for event in decision.events {
            self.seq += 1;
            let record = Record {
                seq: self.seq,
                at: self.now,
                actor: decision.actor.clone(),
                session: "sample".to_owned(),
                epoch: 1,
                event,
            };
            self.state.apply(&record);
        }
    }

    fn input(&mut self, input: Input) {
        let decision = decide(&self.state, &input, self.under());
        self.commit(decision);
        for _ in 0..200 {
            let due = advance(&self.state, self.under());
            if due.events.is_empty() {
                break;
            }
            self.commit(due);
        }
    }

    pub(crate) fn ask(&mut self, intent: Intent) {
        let actor = Actor::Person("mira".parse().expect("person"));
        self.input(Input::Command(Command { actor, intent }));
    }

    /// Time passes; hosts that are asked for their facts and timers answer at once, staging ends.
    pub(crate) fn to(&mut self, now: Time) {
        self.now = now;
        self.input(Input::Tick);
        for _ in 0..20 {
            let answers = |work: Work| matches!(work, Work::Read | Work::Stage | Work::Timer | Work::Confirm);
            let due = self.state.pending.iter().find(|(_, pending)| {
                let away = pending.host.as_ref().is_some_and(|host| self.silent.contains(host));
                answers(pending.work) && !away
            });
            let Some((id, pending)) = due.map(|(id, pending)| (*id, pending.clone())) else { break };
            let Some(host) = pending.host.clone() else { break };
            match (pending.work, pending.batch) {
                (Work::Stage, Some(batch)) => {
                    let changes = self.state.batches[&batch].changes.clone();
                    let asked = crate::core::snapshot::asked(&self.state);
                    let snapshot =
                        asked.then(|| Snapshot::Takes(crate::core::snapshot::tests::taking().into()));
                    self.answer(id, Answer::Staged(Ok(Proof { snapshot, ..proof(&changes) })));
                }
                (Work::Timer, Some(batch)) => self.answer(id, Answer::Timer(Ok(self.timer(&batch)))),
                (Work::Confirm, Some(_)) if self.deaf => {
                    let what = "no fresh connection, so no confirm: web3: connection refused";
                    let failure = Failure::new(FailureKind::Unreachable, what);
                    self.answer(id, Answer::Confirmed(Err(failure)));
                }
                (Work::Confirm, Some(batch)) => {
                    if let Some((timer, _)) = self.timers.get_mut(&batch) {
                        timer.state = TimerState::Confirmed;
                    }
                    self.answer(id, Answer::Confirmed(Ok(self.timer(&batch))));
                }
                _ => {
                    let helper = HelperState { enrolled: true, why_not: None, epoch: 1 };
                    self.say(id, Said::Greeted { host: host.clone(), helper });
                    self.learn(id, &host);
                    self.answer(id, Answer::Read(Ok(())));
                }
            }
        }
    }

    /// How a batch's timer stands on its host now.
    fn timer(&self, batch: &BatchId) -> Timer {
        let (timer, fires) = &self.timers[batch];
        Timer { left: Span::between(self.now, *fires), ..timer.clone() }
    }

    /// The host's timer is armed, or set anew, and read back.
    fn arm(&mut self, effect: Seq, batch: &BatchId, after: Span) {
        let timer = Timer {
            state: TimerState::Armed,
            token: None,
            left: after,
            watch: TimerWatch::Systemd,
            operation: None,
            why: None,
            replaced: Some(Fact::Known(Vec::new())),
        };
        self.timers.insert(batch.clone(), (timer.clone(), self.now + after));
        self.say(effect, Said::Timer { batch: batch.clone(), timer });
    }

    fn learn(&mut self, id: Seq, host: &HostName) {
        let address = Address {
            interface: "eth0".parse().expect("interface"),
            address: "192.0.2.11".parse().expect("address"),
            prefix: 24,
            scope: "global".into(),
            dynamic: false,
        };
        let network = Network { addresses: vec![address], routes: Vec::new() };
        let updates = self.updates[host].clone();
        for domain in [
            Domain::Locks(Fact::Known(Locks::default())),
            Domain::Updates(Fact::Known(updates)),
            Domain::Packages(Fact::Known(Packages::default())),
            Domain::Network(Fact::Known(network)),
            Domain::Listeners(Fact::Known(Vec::new())),
        ] {
            self.say(id, Said::Learnt { host: host.clone(), domain });
        }
    }

    fn say(&mut self, id: Seq, sample: Said) {
        self.input(Input::Sample { id, sample: Box::new(sample) });
    }

    fn answer(&mut self, id: Seq, answer: Answer) {
        self.input(Input::Answer { id, answer: Box::new(answer) });
    }

    fn waiting(&self, work: Work) -> Seq {
        let found = self.state.pending.iter().find(|(_, pending)| pending.work == work);
        *found.unwrap_or_else(|| panic!("nothing is {work:?}: {:?}", self.state.pending)).0
    }

    fn batch(&self, host: &str) -> crate::core::state::Batch {
        let host: HostName = host.parse().expect(host);
        let found = self.state.batches_of(&host).find(|b| b.phase != Phase::Confirmed);
        found.expect("a batch").as_ref().clone()
    }

    /// GO for the first batch of a host that is open.
    pub(crate) fn go(&mut self, host: &str, clock: &str) {
        self.to(at(clock));
        let batch = self.batch(host).id;
        self.ask(Intent::Go { batch: batch.clone() });
        assert_eq!(self.state.batches[&batch].phase, Phase::Applying, "{:?}", self.state.log.iter().last());
        let after = self.state.batches[&batch].timer.as_ref().expect("a timer").arming.apply;
        self.arm(self.waiting(Work::Apply), &batch, after);
    }

    pub(crate) fn print(&mut self, host: &str, clock: &str, lines: &[&str]) {
        self.to(at(clock));
        let operation = self.batch(host).operation.expect("an operation");
        let host: HostName = host.parse().expect("host");
        let line = |text: &&str| {
            let source = LogSource::Operation(operation.clone());
            LogLine::new(host.clone(), source, at(clock), Untrusted::new(text))
        };
        let lines = lines.iter().map(line).collect();
        self.samples(Samples { lines, ..Samples::default() });
    }

    /// Lines and rows come in.
    pub(crate) fn samples(&mut self, samples: Samples) {
        self.input(Input::Samples(samples));
    }

    /// The apply and the verifying come off.
    pub(crate) fn applied(&mut self, host: &str, clock: &str) {
        self.to(at(clock));
        let batch = self.batch(host);
        let name: HostName = host.parse().expect("host");
        let list = self.updates.get_mut(&name).expect("updates");
        list.pending.retain(|p| !batch.changes.iter().any(|change| change.package == p.package));
        let report = ApplyReport {
            snapshot: crate::core::snapshot::asked(&self.state).then(|| SnapshotLeft::There(TAKEN.into())),
            took: Span::secs(70),
            etc_changed: vec!["/etc/nginx/nginx.conf".into(), "/etc/default/ifupdown".into()],
            restarted: vec![
                "nginx.service".parse().expect("unit"),
                "networking.service".parse().expect("unit"),
            ],
            reboot_required: false,
        };
        self.arm(self.waiting(Work::Apply), &batch.id, batch.timer.as_ref().expect("a timer").arming.after);
        self.answer(self.waiting(Work::Apply), Answer::Applied(Ok(report)));
        self.verified(&name);
    }

    fn verified(&mut self, host: &HostName) {
        let id = self.waiting(Work::Verify);
        self.learn(id, host);
        let report = VerifyReport { etc_same: 14, ..VerifyReport::default() };
        self.answer(id, Answer::Verified(Ok(report), Span::secs(11)));
    }

    pub(crate) fn rolled_back(&mut self, host: &str, clock: &str) {
        self.to(at(clock));
        let report = RollbackReport { took: Span::secs(80), ..RollbackReport::default() };
        self.answer(self.waiting(Work::Rollback), Answer::RolledBack(Ok(report)));
        self.verified(&host.parse().expect("host"));
    }

    /// One result of every probe that is made, all good but those of one customer ("hooli"), or one of theirs
    /// ("hooli#1").
    pub(crate) fn probe(&mut self, clock: &str, fails: Option<&str>) {
        self.to(at(clock));
        let id = self.waiting(Work::Probe);
        let probes: Vec<(ProbeId, VantageKind)> = self
            .state
            .probes
            .iter()
            .filter(|(_, probe)| crate::core::effect::is_made(&probe.probe))
            .map(|(id, probe)| (id.clone(), probe.probe.from))
            .collect();
        for (nth, (probe, from)) in probes.into_iter().enumerate() {
            let one = format!("{}#{}", probe.customer, probe.index);
            let outcome = if fails.is_some_and(|fails| fails == probe.customer.as_str() || fails == one) {
                ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s")
            } else {
                ProbeOutcome::Ok { took: Span::ms(11 + 7 * nth as u64), said: "connected".into() }
            };
            let vantage = match from {
                VantageKind::Outside => Vantage::Cockpit,
                VantageKind::Inside => Vantage::Inside,
                VantageKind::Peer => Vantage::Peer("web2".parse().expect("a host")),
            };
            self.say(id, Said::Seen { probe, vantage, outcome, sighting: None });
        }
        self.to(at(clock));
    }

    pub(crate) fn probe_all(&mut self, clock: &str) {
        self.probe(clock, None);
    }

    pub(crate) fn view(&self) -> View {
        View { state: std::sync::Arc::new(self.state.clone()), journal: JournalHealth::Sound, live: true }
    }
}

/// Where the snapshot is, once it was taken.
const TAKEN: &str = "btrfs /var/lib/holdpoint/snapshots/b1";

fn proof(changes: &[Change]) -> Proof {
    let file = |change: &Change| ProofFile {
        package: change.package.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        new: change.sha256.unwrap_or_else(|| sha("new")),
        old: change.from.as_ref().map(|from| sha(&from.to_string())),
        new_from: None,
        old_from: None,
    };
    let nginx = changes.iter().any(|change| change.package.name.as_str() == "nginx");
    Proof {
        restarts: if nginx { vec!["nginx.service".parse().expect("a unit")] } else { Vec::new() },
        files: changes.iter().map(file).collect(),
        space_needed: 1 << 20,
        space_free: 1 << 30,
        ..Proof::default()
    }
}
