//! A large window, made of records as a journal would hold them.

use std::fmt::Write;

use holdpoint::core::event::{
    Actor, ApplyReport, BatchEvent, HelperState, HostEvent, LogLine, LogSource, ProbeEvent, ProbeId,
    ProbeOutcome, Proof, Purpose, Samples, Vantage, VerifyReport, WindowEvent,
};
use holdpoint::core::{Event, Frozen, Record, Rehearsal, State, standing};
use holdpoint::facts::{Domain, Fact, Locks, Packages, Pending, Updates};
use holdpoint::plan::Plan;
use holdpoint::types::{BatchId, HostName, OperationId, PackageId, Seq, Sha256, Span, Time, Untrusted};

/// How large.
pub struct Size {
    /// Live hosts, each with a customer and a tcp probe.
    pub hosts: usize,
    /// Hosts whose updates were cut into two batches; the first batch of half of these is confirmed.
    pub cut: usize,
    /// Log lines, of all hosts in turn.
    pub lines: usize,
}

/// Updates that every host has pending.
const UPDATES: usize = 40;

/// A moment of the window: so many seconds after it opened.
pub fn at(seconds: i64) -> Time {
    let opens: Time = "2026-11-21T22:00:00Z".parse().expect("a moment");
    opens + chrono::TimeDelta::seconds(seconds)
}

pub fn host(n: usize) -> HostName {
    format!("web{n:04}").parse().expect("a name")
}

/// The probe of a host's customer.
pub fn probe(n: usize) -> ProbeId {
    ProbeId { customer: format!("customer{n:04}").parse().expect("a name"), index: 0 }
}

pub fn seen(n: usize, ms: u64) -> Event {
    let outcome = ProbeOutcome::Ok { took: Span::ms(ms), said: "connected".into() };
    Event::Probe(ProbeEvent::Seen { probe: probe(n), vantage: Vantage::Cockpit, outcome, sighting: None })
}

pub fn line(n: usize, at: Time, what: &str) -> LogLine {
    let source = LogSource::Operation(operation(n));
    let text =
        Untrusted::new(format!("Unpacking {what}:amd64 (3.0.16-1~deb12u1) over (3.0.15-1~deb12u1) ..."));
    LogLine::new(host(n), source, at, text)
}

fn operation(n: usize) -> OperationId {
    format!("20261121t2200-{n}-1-apply").parse().expect("an id")
}

fn plan(hosts: usize) -> Plan {
    let mut text = String::from(
        "[window]\nname = \"A large window\"\nticket = \"CHG-4471\"\nopens = 2026-11-21T22:00:00Z\n\
         closes = 2026-11-22T04:00:00Z\n[baseline]\nhost = \"test1\"\nssh = \"ops@192.0.2.10\"\n",
    );
    for n in 0..hosts {
        write!(
            text,
            "[[host]]\nname = \"{host}\"\nssh = \"ops@{host}\"\n[[customer]]\nname = \"{customer}\"\nhost = \"{host}\"\n\
             weight = {weight}\naddress = \"198.51.100.{last}\"\nprobes = [\"tcp:443\"]\n",
            host = host(n),
            customer = probe(n).customer,
            weight = 10 + (n * 37) % 500,
            last = n % 250 + 1,
        )
        .expect("a string");
    }
    holdpoint::plan::read("window.toml", &text).expect("a plan")
}

fn sha(text: &str) -> Sha256 {
    Sha256::from_bytes(*blake3::hash(text.as_bytes()).as_bytes())
}

fn pending() -> Vec<Pending> {
    let one = |n: usize| {
        let name = format!("package{n:02}");
        Pending {
            package: PackageId::new(name.parse().expect("a name"), "amd64".parse().expect("an architecture")),
            from: Some(format!("1.{n}-1").parse().expect("a version")),
            to: format!("1.{n}-1+deb12u1").parse().expect("a version"),
            security: n.is_multiple_of(2),
            origin: "Debian-Security:12/stable-security".into(),
            source: name.parse().expect("a name"),
            section: "net".into(),
            size: Some(812_000),
            sha256: Some(sha(&name)),
            needs: Vec::new(),
        }
    };
    (0..UPDATES).map(one).collect()
}

fn rehearsal() -> Rehearsal {
    // Some are not in the frozen set, so that the pane of updates has rows that don't fold.
    let set = pending().into_iter().skip(6).map(|p| Frozen {
        package: p.package,
        from: p.from,
        to: p.to,
        sha256: p.sha256.expect("a hash"),
    });
    Rehearsal {
        baseline: "test1".parse().expect("a name"),
        at: at(-86_400),
        seq: 900,
        set: set.collect(),
        apply: Span::secs(95),
        rollback: Span::secs(105),
        reboot: None,
        verify: Span::secs(20),
        identical: true,
    }
}

/// Gives events their numbers.
pub struct Writer {
    pub state: State,
    seq: Seq,
}

impl Writer {
    pub fn record(&mut self, at: Time, event: Event) -> Record {
        self.seq += 1;
        record(self.seq, at, event)
    }

    fn take(&mut self, at: Time, event: Event) -> Seq {
        let record = self.record(at, event);
        self.state.apply(&record);
        self.seq
    }
}

pub fn record(seq: Seq, at: Time, event: Event) -> Record {
    Record { seq, at, actor: Actor::Holdpoint, session: "bench".to_owned(), epoch: 1, event }
}

/// A window of that size an hour after it opened: everything read, some batches confirmed, one
/// being applied.
pub fn built(size: &Size) -> Writer {
    let mut writer = Writer { state: State::default(), seq: 0 };
    let opened = WindowEvent::Opened {
        purpose: Purpose::Run,
        plan: Box::new(plan(size.hosts)),
        rehearsal: Some(Box::new(rehearsal())),
        program: "bench".to_owned(),
    };
    writer.take(at(-1800), Event::Window(opened));
    let baseline: HostName = "test1".parse().expect("a name");
    for name in (0..size.hosts).map(host).chain([baseline]) {
        read(&mut writer, name);
    }
    writer.take(at(-60), Event::Probe(ProbeEvent::WatchStarted));
    let mut applying = None;
    for n in 0..size.cut {
        let ids = cut(&mut writer, n);
        if n < size.cut / 2 {
            confirmed(&mut writer, n, &ids[0]);
        } else if applying.is_none() {
            applying = Some((n, ids[0].clone()));
        }
    }
    if let Some((n, batch)) = applying {
        stage(&mut writer, &batch);
        let started = BatchEvent::ApplyStarted { batch, operation: operation(n), arming: None };
        writer.take(at(3_590), Event::Batch(started));
    }
    for n in 0..size.hosts {
        for second in [3_588, 3_593, 3_598] {
            writer.take(at(second), seen(n, 11 + n as u64 % 40));
        }
    }
    let lines: Vec<LogLine> = (0..size.lines).map(|n| line(n % size.hosts, at(3_590), "libssl3")).collect();
    for some in lines.chunks(50) {
        writer.take(at(3_599), Event::Samples(Samples { lines: some.to_vec(), ..Default::default() }));
    }
    writer
}

fn read(writer: &mut Writer, host: HostName) {
    let started = writer.take(at(-1790), Event::Host(HostEvent::ReadStarted { host: host.clone() }));
    let helper = HelperState { enrolled: true, why_not: None, epoch: 1 };
    writer.take(at(-1789), Event::Host(HostEvent::Greeted { host: host.clone(), helper }));
    let updates =
        Updates { pending: pending(), kept: Vec::new(), lists_at: Some(at(-3600)), pins: Vec::new() };
    for domain in [
        Domain::Locks(Fact::Known(Locks::default())),
        Domain::Packages(Fact::Known(Packages::default())),
        Domain::Updates(Fact::Known(updates)),
    ] {
        let domain = Box::new(domain);
        writer.take(at(-1788), Event::Host(HostEvent::Learnt { host: host.clone(), domain }));
    }
    writer.take(at(3_500), Event::Host(HostEvent::ReadEnded { host, started, failure: None }));
}

fn cut(writer: &mut Writer, n: usize) -> [BatchId; 2] {
    let host = host(n);
    let changes = standing::changes(&writer.state, &writer.state.hosts[&host]).expect("it was read");
    let ids = [1, 2].map(|number| format!("20261121t2130-{n}-{number}").parse::<BatchId>().expect("an id"));
    for (at_, some) in changes.chunks(changes.len().div_ceil(2)).enumerate() {
        let planned = BatchEvent::Planned {
            batch: ids[at_].clone(),
            host: host.clone(),
            number: at_ as u32 + 1,
            changes: some.to_vec(),
        };
        writer.take(at(-1700), Event::Batch(planned));
    }
    writer.take(at(-1700), Event::Host(HostEvent::Cut { host, batches: 2 }));
    ids
}

fn stage(writer: &mut Writer, batch: &BatchId) {
    let operation: OperationId = format!("{batch}-stage").parse().expect("an id");
    let stage = BatchEvent::StageStarted { batch: batch.clone(), operation };
    let started = writer.take(at(60), Event::Batch(stage));
    let staged = BatchEvent::Staged { batch: batch.clone(), started, result: Ok(Proof::default()) };
    writer.take(at(70), Event::Batch(staged));
}

fn confirmed(writer: &mut Writer, n: usize, batch: &BatchId) {
    stage(writer, batch);
    for event in work(writer, n, batch) {
        writer.take(at(200), event);
    }
}

/// What follows the staging of a batch that comes off.
fn work(writer: &mut Writer, n: usize, batch: &BatchId) -> [Event; 3] {
    let batch = batch.clone();
    let apply = BatchEvent::ApplyStarted { batch: batch.clone(), operation: operation(n), arming: None };
    let started = writer.take(at(80), Event::Batch(apply));
    let applied = BatchEvent::Applied { batch: batch.clone(), started, result: Ok(ApplyReport::default()) };
    writer.take(at(150), Event::Batch(applied));
    let verify = BatchEvent::VerifyStarted { batch: batch.clone(), after_rollback: false };
    let started = writer.take(at(151), Event::Batch(verify));
    let verified = BatchEvent::Verified {
        batch: batch.clone(),
        started,
        result: Ok(VerifyReport::default()),
        identity: None,
        took: Span::secs(11),
    };
    let confirmed =
        BatchEvent::Confirmed { batch, started: None, grounds: "verified, probes pass".to_owned() };
    let read = HostEvent::Back { host: host(n) };
    [Event::Batch(verified), Event::Host(read), Event::Batch(confirmed)]
}

/// The records of a window, an hour ago, in which one batch on each host is verified and not confirmed, with no
/// timer that would be asked for.
pub fn unconfirmed(plan: &Plan, hosts: usize, at: Time) -> Vec<Record> {
    let mut records = Vec::new();
    let mut say = |event: Event| -> Seq {
        let seq = records.len() as Seq + 1;
        records.push(record(seq, at, event));
        seq
    };
    say(Event::Window(WindowEvent::Opened {
        purpose: Purpose::Run,
        plan: Box::new(plan.clone()),
        rehearsal: None,
        program: "bench".to_owned(),
    }));
    for n in 0..hosts {
        let batch = format!("20261121t2130-{n}-1").parse::<BatchId>().expect("an id");
        let word = |what: &str| format!("{batch}-{what}").parse::<OperationId>().expect("an id");
        let id = || batch.clone();
        let mut say = |event| say(Event::Batch(event));
        say(BatchEvent::Planned { batch: id(), host: host(n), number: 1, changes: Vec::new() });
        let started = say(BatchEvent::StageStarted { batch: id(), operation: word("stage") });
        say(BatchEvent::Staged { batch: id(), started, result: Ok(Proof::default()) });
        let started = say(BatchEvent::ApplyStarted { batch: id(), operation: word("apply"), arming: None });
        say(BatchEvent::Applied { batch: id(), started, result: Ok(ApplyReport::default()) });
        let started = say(BatchEvent::VerifyStarted { batch: id(), after_rollback: false });
        let (result, took) = (Ok(VerifyReport::default()), Span::secs(11));
        say(BatchEvent::Verified { batch: id(), started, result, identity: None, took });
    }
    records
}
