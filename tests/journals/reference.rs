//! One small journal with events of every group, and the ways to write one.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use holdpoint::core::change::{Change, Frozen, Rehearsal, Standing};
use holdpoint::core::event::{
    Actor, AlarmEvent, ApplyReport, BatchEvent, Cause, Certificate, Check, EvidenceEvent, EvidenceFile,
    FailKind, Failure, FailureKind, Flow, GateEvent, HelperState, HostEvent, Line, LogEvent, LogLine,
    LogSource, Origin, PacketEvent, PacketRow, Phases, ProbeEvent, ProbeId, ProbeOutcome, Proof, ProofFile,
    Purpose, RehearsalEvent, Samples, Seen, Sighting, Source, Tally, TcpFlags, Vantage, Way, What, Whole,
    WindowEvent,
};
use holdpoint::core::state::Round;
use holdpoint::core::{Event, Record};
use holdpoint::facts::{Domain, Fact, Listener, Protocol};
use holdpoint::journal::{Append, EventLog, FileLog, Header, LogNews, Recording};
use holdpoint::plan::Class;
use holdpoint::types::{Blake3, Seq, Sha256, Span, Time, Untrusted};

/// The plan of the reference.
pub const PLAN: &str = r#"[window]
name   = "November security updates"
opens  = 2026-11-21T22:00:00Z
closes = 2026-11-22T00:00:00Z

[baseline]
host = "test1"
ssh  = "ops@192.0.2.10"

[[host]]
name = "web1"
ssh  = "ops@192.0.2.11"

[[customer]]
name    = "acme"
host    = "web1"
weight  = 400
address = "192.0.2.21"
probes  = ["tcp:443"]
"#;

fn word<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// So many seconds after the window opened.
pub fn at(secs: u64) -> Time {
    word::<Time>("2026-11-21T22:00:00Z") + Span::secs(secs)
}

pub fn header(id: &str, created: Time) -> Header {
    Header { program: "0.1.0".into(), created, recording: id.into() }
}

pub fn record(seq: Seq, event: Event) -> Record {
    let actor = if seq % 5 == 1 { Actor::Person(word("raj")) } else { Actor::Holdpoint };
    Record { seq, at: at(seq), actor, session: "k3x9".into(), epoch: 1, event }
}

pub fn numbered(events: Vec<Event>) -> Vec<Record> {
    (1..).zip(events).map(|(seq, event)| record(seq, event)).collect()
}

pub fn note(seq: Seq) -> Record {
    record(seq, Event::Window(WindowEvent::Marked { note: format!("note {seq}").into() }))
}

pub fn opened(purpose: Purpose) -> Event {
    let plan = Box::new(holdpoint::plan::read("window.toml", PLAN).expect("a good plan"));
    Event::Window(WindowEvent::Opened { purpose, plan, rehearsal: None, program: "0.1.0".into() })
}

pub fn frozen(baseline: &str, apply: Span) -> Event {
    let set = vec![Frozen {
        package: word("openssl:amd64"),
        from: Some(word("3.0.14-1~deb12u1")),
        to: word("3.0.15-1~deb12u1"),
        sha256: Sha256::from_bytes([7; 32]),
    }];
    let rehearsal = Box::new(Rehearsal {
        baseline: word(baseline),
        at: at(3_600),
        seq: 17,
        set,
        apply,
        rollback: Span::secs(40),
        reboot: None,
        verify: Span::secs(9),
        identical: true,
    });
    Event::Rehearsal(RehearsalEvent::Frozen { rehearsal })
}

/// Events of every group, in an order that makes sense, with text that is not harmless.
pub fn events() -> Vec<Event> {
    let batch = || word("web1-1");
    let change = Change {
        package: word("openssl:amd64"),
        from: Some(word("3.0.14-1~deb12u1")),
        to: word("3.0.15-1~deb12u1"),
        sha256: Some(Sha256::from_bytes([7; 32])),
        rehearsed: None,
        standing: Standing::Untested,
        security: true,
        source: word("openssl"),
        class: Class::Library,
        size: Some(1_430_000),
        needs: vec![word("libssl3")],
        origin: "Debian-Security:12/stable-security".into(),
    };
    let file = ProofFile {
        package: word("openssl:amd64"),
        from: Some(word("3.0.14-1~deb12u1")),
        to: word("3.0.15-1~deb12u1"),
        new: Sha256::from_bytes([7; 32]),
        old: Some(Sha256::from_bytes([6; 32])),
        new_from: Some(Origin { source: Source::Archive, check: Check::Hash }),
        old_from: Some(Origin { source: Source::Host(word("web2")), check: Check::Installed }),
    };
    let proof = Proof { files: vec![file], space_needed: 9_000, space_free: 1 << 33, ..Proof::default() };
    let listener = Listener {
        protocol: Protocol::Tcp,
        at: word("192.0.2.21:443"),
        program: Some("nginx\u{202e}\u{1b}[2J".into()),
        v6_only: false,
    };
    let lost = Failure::new(FailureKind::Unreachable, "no answer from web1 in 3s");
    let text = Untrusted::from_bytes(b"Setting up openssl \xff\x9b ...\r");
    let line = LogLine::new(word("web1"), LogSource::Operation(word("apply-web1-1")), at(12), text);
    let helper = HelperState { enrolled: true, why_not: None, epoch: 1 };
    vec![
        opened(Purpose::Rehearsal),
        Event::Host(HostEvent::ReadStarted { host: word("web1") }),
        Event::Host(HostEvent::Greeted { host: word("web1"), helper }),
        Event::Host(HostEvent::Learnt {
            host: word("web1"),
            domain: Box::new(Domain::Listeners(Fact::Known(vec![listener]))),
        }),
        Event::Host(HostEvent::ReadEnded { host: word("web1"), started: 2, failure: Some(lost) }),
        Event::Probe(ProbeEvent::WatchStarted),
        Event::Probe(ProbeEvent::Seen {
            probe: ProbeId { customer: word("acme"), index: 0 },
            vantage: Vantage::Cockpit,
            outcome: ProbeOutcome::Ok { took: Span::ms(12), said: "open".into() },
            sighting: None,
        }),
        Event::Batch(BatchEvent::Planned {
            batch: batch(),
            host: word("web1"),
            number: 1,
            changes: vec![change],
        }),
        Event::Batch(BatchEvent::StageStarted { batch: batch(), operation: word("stage-web1-1") }),
        Event::Batch(BatchEvent::Staged { batch: batch(), started: 9, result: Ok(proof) }),
        Event::Gate(GateEvent::Waived {
            gate: "rehearsed".into(),
            batch: batch(),
            failing: "1 UNTESTED".into(),
            reason: "a small fix; read its diff".into(),
            watch: "acme's 443".into(),
            until: at(1_800),
        }),
        Event::Batch(BatchEvent::ApplyStarted {
            batch: batch(),
            operation: word("apply-web1-1"),
            arming: None,
        }),
        Event::Samples(Samples { lines: vec![line], left_out: 3, ..Default::default() }),
        Event::Batch(BatchEvent::Applied {
            batch: batch(),
            started: 12,
            result: Ok(ApplyReport { took: Span::ms(8_250), ..ApplyReport::default() }),
        }),
        Event::Rehearsal(RehearsalEvent::RoundStarted { round: Round::Back }),
        frozen("test1", Span::ms(8_250)),
        Event::Window(WindowEvent::Marked { note: "tea\u{200b}".into() }),
    ]
}

/// What the golden journal holds: all that there was before, and what came to it.
pub fn all() -> Vec<Event> {
    events().into_iter().chain(dark()).collect()
}

/// What is seen of customers who go dark, and what follows from it, after [`events`].
fn dark() -> Vec<Event> {
    let host = || word("web1");
    let probe = || ProbeId { customer: word("acme"), index: 0 };
    let local = word("0.0.0.0:51034");
    let flow = Flow { asked: 2, came_by: Some(word("eth0")), by_time: true, ..Flow::default() };
    let tally = Tally { address: word("192.0.2.21"), arp_asked: 3, arp_answered: 0, came: 9, left: 0 };
    let what = What::Tcp {
        src: word("203.0.113.5:51034"),
        dst: word("192.0.2.21:443"),
        flags: TcpFlags(TcpFlags::SYN),
        seq: 1_811_442_017,
        ack: 0,
        window: 64_240,
        data: 0,
        alert: None,
    };
    let row = PacketRow { host: host(), at: at(21), by: None, seen: Seen { way: Way::In, length: 60, what } };
    let error = LogLine {
        by: Some("nginx\u{1b}[2J".into()),
        error: true,
        ..LogLine::new(host(), LogSource::Journal, at(22), "[error] upstream timed out".into())
    };
    let sighting = Sighting {
        local: Some(local),
        peer: Some(word("192.0.2.21:443")),
        phases: Phases { connected: Some(Span::ms(3)), ..Phases::default() },
        certificate: Some(Box::new(Certificate {
            sha256: Sha256::from_bytes([5; 32]),
            names: vec!["acme.example".into()],
            issuer: "CN=ca".into(),
            from: at(0),
            until: at(9_000),
            against: None,
        })),
        status: Some(200),
    };
    let (line, batches) = (Line::Abort(1), vec![word("web1-1")]);
    let why = || "acme FAIL from outside, 3 of 5 attempts".into();
    let alarm = Event::Alarm;
    vec![
        Event::Packet(PacketEvent::Started { host: host() }),
        Event::Packet(PacketEvent::Running { host: host() }),
        Event::Log(LogEvent::FollowStarted { host: host() }),
        Event::Log(LogEvent::Following { host: host() }),
        Event::Probe(ProbeEvent::Seen {
            probe: probe(),
            vantage: Vantage::Peer(word("web2")),
            outcome: ProbeOutcome::Ok { took: Span::ms(3), said: "200".into() },
            sighting: Some(Box::new(sighting)),
        }),
        Event::Probe(ProbeEvent::Seen {
            probe: probe(),
            vantage: Vantage::Inside,
            outcome: ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s"),
            sighting: None,
        }),
        Event::Packet(PacketEvent::Matched {
            host: host(),
            probe: probe(),
            vantage: Vantage::Cockpit,
            local,
            ended: Some(at(23)),
            flow: Box::new(flow),
        }),
        Event::Packet(PacketEvent::Tallied {
            host: host(),
            over: Span::secs(5),
            tallies: vec![tally],
            dropped: 2,
            whole: Some(Whole { since: at(19), until: at(25) }),
        }),
        Event::Packet(PacketEvent::Kept {
            host: host(),
            file: EvidenceFile {
                file: "captures/web1.pcapng".into(),
                blake3: Blake3::of(b"y"),
                bytes: 1_840,
            },
            over: false,
        }),
        Event::Samples(Samples {
            lines: vec![error],
            rows: vec![row],
            rows_left_out: 7,
            ..Samples::default()
        }),
        Event::Log(LogEvent::Counted {
            host: host(),
            source: LogSource::File("/var/log/nginx/error.log".into()),
            over: Span::secs(5),
            lines: 40,
            errors: 38,
            left_out: 1,
        }),
        alarm(AlarmEvent::Raised { cause: Cause::Customer(word("acme")), said: why() }),
        alarm(AlarmEvent::Raised { cause: Cause::Logs(host()), said: "its logs have 38 errors".into() }),
        alarm(AlarmEvent::Raised {
            cause: Cause::Unit { host: host(), unit: word("nginx.service") },
            said: "it has failed".into(),
        }),
        alarm(AlarmEvent::Acknowledged { cause: Cause::Logs(host()) }),
        Event::Evidence(EvidenceEvent::Started { host: host(), why: "abort line 1 met".into() }),
        alarm(AlarmEvent::LineMet { host: host(), line, why: why(), batches }),
        alarm(AlarmEvent::CountdownStarted { host: host(), line, until: at(100) }),
        Event::Evidence(EvidenceEvent::Saved {
            host: host(),
            started: 32,
            result: Ok(EvidenceFile { file: "evidence/x.txt".into(), blake3: Blake3::of(b"x"), bytes: 619 }),
        }),
        alarm(AlarmEvent::Kept { host: host(), line, reason: "the customer moves".into() }),
        alarm(AlarmEvent::LineOver { host: host(), line }),
        alarm(AlarmEvent::Cleared { cause: Cause::Unit { host: host(), unit: word("nginx.service") } }),
        Event::Packet(PacketEvent::Unseen { host: host(), why: "tcpdump is not installed".into() }),
        Event::Log(LogEvent::Unseen { host: host(), why: "perl is not installed".into() }),
    ]
}

/// Waits for what the log says, and no longer than twenty seconds.
pub struct Told {
    log: FileLog,
    woken: mpsc::Receiver<()>,
    news: Vec<LogNews>,
}

impl Told {
    pub fn new(recording: Recording) -> Self {
        let (wake, woken) = mpsc::channel();
        let log = recording.log(Box::new(move || wake.send(()).unwrap_or(()))).expect("starts");
        Self { log, woken, news: Vec::new() }
    }

    pub fn append(&mut self, records: Vec<Record>) {
        let expected = self.log.last();
        assert_eq!(self.log.append(expected, records), Append::Committed);
    }

    /// Everything that was told up to the first news that fits.
    pub fn until(&mut self, fits: impl Fn(&LogNews) -> bool) -> Vec<LogNews> {
        loop {
            self.news.extend(self.log.poll());
            if let Some(at) = self.news.iter().position(&fits) {
                return self.news.drain(..=at).collect();
            }
            let waited = self.woken.recv_timeout(Duration::from_secs(20));
            assert!(waited.is_ok(), "never told; told was {:?}", self.news);
        }
    }

    pub fn durable(&mut self, seq: Seq) -> Vec<LogNews> {
        self.until(|news| *news == LogNews::Durable(seq))
    }

    pub fn close(self) {
        assert_eq!(self.log.close(), Ok(()));
    }
}

/// Makes a recording of these records.
pub fn write(folder: &Path, header: &Header, records: Vec<Record>) {
    let recording = Recording::create(folder, PLAN, header, "k3x9").expect("makes it");
    let mut told = Told::new(recording);
    told.append(records);
    told.close();
}
