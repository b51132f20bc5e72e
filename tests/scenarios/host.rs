//! The throwaway host as a cockpit talks to it, and the tiny packages' batch.

use std::sync::atomic::{AtomicU32, Ordering};

use holdpoint::helper;
use holdpoint::host::frame::{Answer, End, FrameError, Parser, RefusalCode};
use holdpoint::host::operation::{OperationReport, OperationState, Spec, SpecPackage};
use holdpoint::host::outcome::{ApplyResult, RollbackResult, StageResult, VerifyResult};
use holdpoint::host::verb::{ArmTimes, Verb, Work};
use holdpoint::types::{Blake3, Epoch, Nonce, Span};

use crate::figures;
use crate::throwaway::Throwaway;
use crate::transcripts;

/// The word that the timers of these tests are known by.
pub const TOKEN: &str = "0123456789abcdef";

/// The plan that they are armed under.
pub fn plan() -> Blake3 {
    Blake3::of(b"a sealed plan")
}

/// A throwaway host with the helper installed and the tiny packages at their first versions.
pub struct Host {
    /// Its inside.
    pub inside: Throwaway,
    operations: AtomicU32,
    /// How often something that was rolled back was armed again: each apply has a word of its own.
    rounds: AtomicU32,
}

/// The answer, and what its bytes were.
pub struct Asked {
    pub answer: Answer,
    pub raw: String,
}

/// A fresh one; `None`, and why, where this machine can't have one.
pub fn host() -> Option<Host> {
    host_in(Throwaway::new())
}

/// One in that throwaway; `None`, and why, where there is none.
pub fn host_in(inside: Result<Throwaway, String>) -> Option<Host> {
    match inside {
        Ok(inside) => {
            inside.sh(concat!(include_str!("index.sh"), include_str!("fleet.sh")));
            let output = inside.run(
                &[
                    "sh",
                    "-c",
                    "cat >/usr/local/sbin/holdpoint-helper && chmod 755 /usr/local/sbin/holdpoint-helper",
                ],
                helper::TEXT.as_bytes(),
            );
            assert!(output.status.success());
            Some(Host { inside, operations: AtomicU32::new(0), rounds: AtomicU32::new(0) })
        }
        Err(reason) => {
            println!("skipped: {reason}");
            None
        }
    }
}

impl Host {
    pub fn call(&self, words: &[&str], input: &[u8]) -> Result<Asked, FrameError> {
        let nonce: Nonce = transcripts::NONCE.parse().expect("a nonce");
        let mut line = vec![helper::PATH, nonce.as_str()];
        line.extend(words);
        let output = self.inside.run(&line, input);
        let mut parser = Parser::new(nonce);
        parser.push(&output.stdout)?;
        let raw = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = parser.finish()?;
        // A refusal may leave the words of the tool that failed beside it.
        assert!(
            output.stderr.is_empty() || matches!(answer.end, End::Refused(_)),
            "{words:?} printed on its error output: {}\n{raw}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Asked { answer, raw })
    }

    pub fn ask_at(&self, verb: &Verb, epoch: Epoch) -> Asked {
        let epoch = if verb.mutates() { epoch } else { 0 }.to_string();
        let words = verb.words();
        let mut line = vec![epoch.as_str()];
        line.extend(words.iter().map(String::as_str));
        self.call(&line, verb.input().as_bytes()).unwrap_or_else(|error| panic!("{verb:?}: {error}"))
    }

    pub fn ask(&self, verb: &Verb) -> Answer {
        let asked = self.ask_at(verb, 5);
        assert_eq!(asked.answer.end, End::Done(0), "{verb:?}\n{}", asked.raw);
        asked.answer
    }

    pub fn refused(&self, verb: &Verb, epoch: Epoch) -> RefusalCode {
        match self.ask_at(verb, epoch).answer.end {
            End::Refused(refusal) => refusal.code,
            End::Done(status) => panic!("{verb:?} was done with {status}"),
        }
    }

    pub fn start(&self, batch: &str, work: Work) -> Verb {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        Verb::Start {
            operation: format!("op-{number}").parse().expect("an id"),
            batch: batch.parse().expect("an id"),
            work,
        }
    }

    /// The word of the newest arming.
    pub fn token(&self) -> Nonce {
        match self.rounds.load(Ordering::Relaxed) {
            0 => TOKEN.parse().expect("a token"),
            round => format!("anotherround{round}").parse().expect("a token"),
        }
    }

    /// The order to arm a batch's timer, with times that no test waits for.
    pub fn arm(&self, batch: &str) -> Verb {
        self.arm_for(batch, 600)
    }

    /// The same, so that it fires after so many seconds.
    pub fn arm_for(&self, batch: &str, after: u64) -> Verb {
        let over = format!("ls /var/lib/holdpoint/batches/{batch}/timer/rolled-back 2>/dev/null || :");
        if !self.inside.sh(&over).is_empty() {
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
        Verb::Arm {
            batch: batch.parse().expect("an id"),
            token: self.token(),
            plan: plan(),
            times: ArmTimes {
                after: Span::secs(after),
                boot: Span::secs(300),
                grace: Span::secs(120),
                cap: Span::secs(7_200),
            },
        }
    }

    /// The order to start an apply, of a batch that is armed by now.
    pub fn start_armed(&self, batch: &str) -> Verb {
        self.ask(&self.arm(batch));
        self.start(batch, Work::Apply)
    }

    /// Starts an operation, reads it to its end, and gives its exit status, its `result` and its log.
    pub fn operate(&self, batch: &str, work: Work) -> (OperationState, Answer, String) {
        let start = match work {
            Work::Apply => self.start_armed(batch),
            Work::Stage(_) | Work::Rollback | Work::RehearsedRollback => self.start(batch, work),
        };
        self.ask(&start);
        self.follow(&start)
    }

    pub fn follow(&self, start: &Verb) -> (OperationState, Answer, String) {
        let Verb::Start { operation, .. } = start else { panic!("no start") };
        let mut offset = 0;
        let mut log = String::new();
        loop {
            let answer = self.ask(&Verb::Read { operation: operation.clone(), offset, wait: 20 });
            let report = report(&answer);
            let lines = &answer.section("log").expect("a log").lines;
            for line in lines {
                log.push_str(&String::from_utf8_lossy(line));
                log.push('\n');
            }
            offset = report.next;
            if report.state != OperationState::Running && lines.is_empty() {
                return (report.state, self.ask(&Verb::Result(operation.clone())), log);
            }
        }
    }

    pub fn stage(&self, batch: &str, spec: Spec) -> (OperationState, StageResult, String) {
        let (state, answer, log) = self.operate(batch, Work::Stage(spec));
        let result = StageResult::parse(answer.section("result").expect("a result"));
        (state, result.unwrap_or_else(|e| panic!("{e}\n{log}")), log)
    }

    pub fn apply(&self, batch: &str) -> (OperationState, ApplyResult, String) {
        let (state, answer, log) = self.operate(batch, Work::Apply);
        let result = ApplyResult::parse(answer.section("result").expect("a result"));
        (state, result.unwrap_or_else(|e| panic!("{e}\n{log}")), log)
    }

    pub fn rollback(&self, batch: &str) -> (OperationState, RollbackResult, String) {
        let (state, answer, log) = self.operate(batch, Work::Rollback);
        let result = RollbackResult::parse(answer.section("result").expect("a result"));
        (state, result.unwrap_or_else(|e| panic!("{e}\n{log}")), log)
    }

    pub fn verify(&self, batch: &str) -> VerifyResult {
        let answer = self.ask(&Verb::Verify(batch.parse().expect("an id")));
        VerifyResult::parse(&answer.sections).expect("reads")
    }

    /// Everything about the tiny packages and /etc that a rollback has to bring back, as text.
    pub fn portrait(&self) -> String {
        self.inside.sh(
            "cd /
             dpkg-query -W -f '${Package} ${Version} ${db:Status-Want} ${db:Status-Eflag} ${db:Status-Status}\\n' 'hpt-*' | sort
             dpkg --audit
             apt-mark showauto | grep hpt- | sort || :
             apt-mark showhold
             find etc \\( -path etc/ld.so.cache -o -path 'etc/apt/preferences.d/00-holdpoint-*' \\) -prune -o -printf '%p %y %m %u %g %l\\n' | sort
             find etc -type f -not -path etc/ld.so.cache -not -path 'etc/apt/preferences.d/00-holdpoint-*' -print0 | sort -z | xargs -0 sha256sum
             cat usr/share/hpt-*/* | sort",
        )
    }
}

impl Host {
    /// The portrait is as it was; else only the lines that differ are shown.
    pub fn is_as(&self, before: &str, when: &str) {
        let now = self.portrait();
        let gone: Vec<&str> =
            before.lines().filter(|line| !now.lines().any(|other| other == *line)).collect();
        let come: Vec<&str> =
            now.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
        assert!(gone.is_empty() && come.is_empty(), "{when}: gone {gone:#?}, come {come:#?}");
    }
}

pub fn report(answer: &Answer) -> OperationReport {
    OperationReport::parse(answer.section("state").expect("a state")).expect("reads")
}

pub fn change(package: &str, from: &str, to: &str) -> SpecPackage {
    let version = |text: &str| (text != "-").then(|| text.parse().expect("a version"));
    SpecPackage {
        package: package.parse().expect("a package"),
        from: version(from),
        to: version(to),
        sha256: None,
    }
}

/// The six updates and the new package.
pub fn updates() -> Spec {
    Spec::new(vec![
        change("hpt-lib:amd64", "1.0-1", "2.0-1"),
        change("hpt-app:amd64", "1.0-1", "2.0-1"),
        change("hpt-data:all", "1.0", "2.0"),
        change("hpt-tool:amd64", "1:1.0-1", "1:2.0-1"),
        change("hpt-split:amd64", "1.0-1", "2.0-1"),
        change("hpt-new:amd64", "-", "2.0-1"),
    ])
}

/// A count of kill points, each of which ended as it should.
pub fn killed(what: &str, run: usize, of: usize) {
    let seed = std::env::var("HOLDPOINT_SEED").unwrap_or_else(|_| "the default".to_owned());
    figures::report(what, &format!("{run} run of {of}, seed {seed}: each came back identical"));
}
