//! The dead-man timer: what a host does when nobody tells it that all is well.

mod model;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fleet;
use crate::core::event::{Timer, TimerState, TimerWatch};
use crate::demo::archive::Archive;
use crate::demo::model::{Call, Caller, Host, Profile, Reply};
use crate::demo::server::{Server, Tasks};
use crate::demo::{Clock, Pace, Scenario, key, ssh_config, wire};
use crate::host::frame::{Parser, RefusalCode};
use crate::host::operation::{OperationState, Spec, SpecPackage};
use crate::host::said::{Outcome, Said, SaidError};
use crate::host::verb::{ArmTimes, Verb, Work};
use crate::types::{BatchId, Blake3, Epoch, Nonce, OperationId, Span, Time};

const TOKEN: &str = "0123456789abcdef";
const OTHER: &str = "fedcba9876543210";

fn began() -> Time {
    Time::from_timestamp(1_795_298_400, 0).expect("a time")
}

fn batch() -> BatchId {
    "b1".parse().expect("an id")
}

fn plan() -> Blake3 {
    Blake3::of(b"plan")
}

fn arm(token: &str, after: u64) -> Verb {
    let secs = Span::secs;
    let times = ArmTimes { after: secs(after), boot: secs(100), grace: secs(40), cap: secs(300) };
    Verb::Arm { batch: batch(), token: token.parse().expect("a word"), plan: plan(), times }
}

fn confirm(token: &str) -> Verb {
    Verb::Confirm { batch: batch(), token: token.parse().expect("a word"), plan: plan() }
}

fn extend(token: &str, by: u64) -> Verb {
    Verb::Extend { batch: batch(), token: token.parse().expect("a word"), by: Span::secs(by) }
}

fn start(operation: &str, work: Work) -> Verb {
    Verb::Start { operation: operation.parse().expect("an id"), batch: batch(), work }
}

/// web1 of the story, and the one change that darkens its customers.
fn web1() -> (Host, Spec) {
    let profile = Profile {
        name: "web1".to_owned(),
        rows: "web1".to_owned(),
        address: Ipv4Addr::new(192, 0, 2, 11),
        gateway: Ipv4Addr::new(192, 0, 2, 1),
        customers: vec![CUSTOMER],
        by_hand: true,
        listens: Vec::new(),
        seed: 7,
    };
    let host = Host::new(profile, Arc::new(Archive::of_the_demo().expect("reads")));
    let packages = host.offered().0.into_iter().filter(|row| row.id.name.as_str() == "ifupdown");
    let packages = packages.map(|row| SpecPackage {
        package: row.id.clone(),
        from: row.from.clone(),
        to: row.to.clone(),
        sha256: None,
    });
    let spec = Spec::new(packages.collect());
    assert_eq!(spec.packages().len(), 1);
    (host, spec)
}

const CUSTOMER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 21);

/// What an answer says, by the cockpit's own readers.
fn said(verb: &Verb, reply: &Reply) -> Result<Said, SaidError> {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    let (bytes, _) = wire::frames(&nonce, Caller::Root, reply);
    let mut parser = Parser::new(nonce);
    parser.push(&bytes).expect("frames");
    verb.read(&parser.finish().expect("whole"))
}

fn refusal(said: Result<Said, SaidError>) -> (RefusalCode, String) {
    match said {
        Err(SaidError::Refused(refusal)) => (refusal.code, refusal.words.raw().to_owned()),
        other => panic!("{other:?}"),
    }
}

/// A host at work in a time of its own, with its customer's door; nobody has to come over ssh.
struct Rig {
    server: Arc<Server>,
    spec: Spec,
    door: watch::Receiver<bool>,
    since: tokio::time::Instant,
    tasks: Tasks,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.abort();
        self.server.stop();
    }
}

impl Rig {
    async fn new() -> Self {
        let (host, spec) = web1();
        let since = tokio::time::Instant::now();
        let (open, door) = watch::channel(true);
        let config = ssh_config(key(7, "web1").expect("a key"));
        let client = key(7, "client").expect("a key").public_key().clone();
        let clock = Clock { began: began(), since };
        let server = Server::new(host, vec![(CUSTOMER, open)], config, client, Pace::REAL, clock);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let tasks = Tasks::default();
        tasks.spawn(Arc::clone(&server).run(listener.local_addr().expect("an address"), listener));
        Self { server, spec, door, since, tasks }
    }

    /// The same, staged.
    async fn staged() -> Self {
        let rig = Self::new().await;
        rig.asked(start("stage", Work::Stage(rig.spec.clone())), 5).await.expect("starts");
        assert_eq!(rig.ended("stage").await.0, 0);
        rig
    }

    /// The same, armed for so many seconds from now, and applied: the customer is not served.
    async fn applied(after: u64) -> Self {
        let rig = Self::staged().await;
        rig.timer(arm(TOKEN, after), 5).await;
        rig.asked(start("apply", Work::Apply), 5).await.expect("starts");
        assert_eq!(rig.ended("apply").await.0, 0);
        assert!(!rig.served());
        rig
    }

    async fn raw(&self, verb: &Verb, epoch: Epoch) -> Reply {
        let call = Call { epoch, caller: Caller::Root, verb: verb.clone() };
        self.server.ask(&call).await
    }

    async fn asked(&self, verb: Verb, epoch: Epoch) -> Result<Said, SaidError> {
        said(&verb, &self.raw(&verb, epoch).await)
    }

    async fn timer(&self, verb: Verb, epoch: Epoch) -> Timer {
        match self.asked(verb, epoch).await {
            Ok(Said::Timer(timer)) => timer,
            other => panic!("{other:?}"),
        }
    }

    async fn stands(&self) -> Timer {
        self.timer(Verb::Timer(batch()), 0).await
    }

    /// Which boot its deadline counts by, in the host's word.
    async fn rule(&self) -> String {
        let reply = self.raw(&Verb::Timer(batch()), 0).await;
        let lines = reply.sections[0].lines.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        lines.filter_map(|line| line.strip_prefix("boot ").map(str::to_owned)).collect()
    }

    /// Waits for the end of an operation: its status, and what it came to.
    async fn ended(&self, operation: &str) -> (i32, Box<Outcome>) {
        let id: OperationId = operation.parse().expect("an id");
        for _ in 0..1_000 {
            match self.asked(Verb::Result(id.clone()), 0).await {
                Ok(Said::Result(Some(outcome), report)) => match report.state {
                    OperationState::Done(exit) => return (exit, outcome),
                    state => panic!("{state:?}"),
                },
                Ok(Said::Result(None, report)) => assert_eq!(report.state, OperationState::Running),
                other => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{operation} does not end");
    }

    fn served(&self) -> bool {
        *self.door.borrow()
    }

    /// Nothing happens until so many seconds after this moment.
    async fn pass(&self, secs: u64) {
        tokio::time::sleep(Duration::from_secs(secs)).await;
    }

    fn passed(&self) -> Duration {
        self.since.elapsed()
    }

    async fn reboot(&self) {
        let Ok(Said::Result(_, report)) = self.asked(Verb::Result("stage".parse().expect("an id")), 0).await
        else {
            panic!("no report")
        };
        let boot = report.boot_now;
        self.asked(Verb::Reboot { batch: batch(), boot }, 5).await.expect("ordered");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_applied_without_an_armed_timer() {
    let rig = Rig::new().await;
    assert_eq!(refusal(rig.asked(arm(TOKEN, 60), 5).await).0, RefusalCode::Usage);
    let rig = Rig::staged().await;
    assert_eq!(rig.stands().await.state, TimerState::None);
    assert_eq!(refusal(rig.asked(start("apply", Work::Apply), 5).await).0, RefusalCode::Unarmed);
    // Nothing of it is left: the same words start it once the timer is armed.
    let timer = rig.timer(arm(TOKEN, 60), 5).await;
    assert!(timer.is_armed());
    assert_eq!((timer.left, timer.watch), (Span::secs(60), TimerWatch::Systemd));
    assert_eq!(timer.token.map(|token| token.to_string()).as_deref(), Some(TOKEN));
    rig.asked(start("apply", Work::Apply), 5).await.expect("starts");
    assert_eq!(rig.ended("apply").await.0, 0);
    // What was confirmed is not armed.
    rig.timer(confirm(TOKEN), 5).await;
    assert_eq!(refusal(rig.asked(start("again", Work::Apply), 5).await).0, RefusalCode::Unarmed);
}

#[tokio::test(start_paused = true)]
async fn with_nobody_there_the_host_rolls_back_and_customers_are_served_again() {
    let rig = Rig::applied(60).await;
    let left = rig.stands().await.left;
    assert!(left > Span::secs(40) && left < Span::secs(60), "{left:?}");
    tokio::time::sleep(Duration::from(left) - Duration::from_secs(1)).await;
    assert_eq!((rig.stands().await.state, rig.served()), (TimerState::Armed, false));
    rig.pass(1).await;
    let timer = rig.stands().await;
    assert_eq!((timer.state, timer.left), (TimerState::Firing, Span::ZERO));
    assert_eq!(timer.operation.map(|id| id.to_string()).as_deref(), Some("b1-deadman"));
    // Whoever comes now is too late.
    let late = (RefusalCode::NotArmed, "firing".to_owned());
    assert_eq!(refusal(rig.asked(confirm(TOKEN), 5).await), late);
    assert_eq!(refusal(rig.asked(extend(TOKEN, 60), 5).await), late);
    assert_eq!(refusal(rig.asked(arm(TOKEN, 60), 5).await), late);
    assert_eq!(refusal(rig.asked(Verb::Clean(Vec::new()), 5).await).0, RefusalCode::Busy);
    // The operation is read as any.
    let (exit, outcome) = rig.ended("b1-deadman").await;
    let Outcome::Rollback(result) = *outcome else { panic!("{outcome:?}") };
    assert_eq!((exit, result.identical, result.addresses_restored.len()), (0, Some(true), 1));
    let read = Verb::Read { operation: "b1-deadman".parse().expect("an id"), offset: 0, wait: 0 };
    assert!(matches!(rig.asked(read, 0).await, Ok(Said::Log(..))));
    let timer = rig.stands().await;
    assert_eq!((timer.state, timer.watch, timer.why), (TimerState::RolledBack, TimerWatch::None, None));
    assert!(rig.served());
    assert_eq!(
        refusal(rig.asked(confirm(TOKEN), 5).await),
        (RefusalCode::NotArmed, "rolled-back".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_confirmed_never_fires() {
    let rig = Rig::applied(60).await;
    let other = Verb::Confirm {
        batch: batch(),
        token: TOKEN.parse().expect("a word"),
        plan: Blake3::of(b"another plan"),
    };
    for wrong in [confirm(OTHER), other] {
        assert_eq!(refusal(rig.asked(wrong, 5).await).0, RefusalCode::WrongToken);
    }
    assert!(rig.stands().await.is_armed());
    // Twice, as after an answer that was lost.
    for _ in 0..2 {
        let timer = rig.timer(confirm(TOKEN), 5).await;
        assert_eq!((timer.state, timer.left), (TimerState::Confirmed, Span::ZERO));
    }
    let gone = (RefusalCode::NotArmed, "confirmed".to_owned());
    assert_eq!(refusal(rig.asked(confirm(OTHER), 5).await).0, RefusalCode::WrongToken);
    assert_eq!(refusal(rig.asked(arm(TOKEN, 60), 5).await), gone);
    assert_eq!(refusal(rig.asked(extend(TOKEN, 60), 5).await), gone);
    rig.pass(3_600).await;
    assert_eq!((rig.stands().await.state, rig.served()), (TimerState::Confirmed, false));
    // Rolled back all the same, it may be armed for another round.
    rig.asked(start("back", Work::Rollback), 5).await.expect("starts");
    assert_eq!(rig.stands().await.state, TimerState::Confirmed);
    assert_eq!(rig.ended("back").await.0, 0);
    assert_eq!((rig.stands().await.state, rig.served()), (TimerState::RolledBack, true));
    // By another word: what comes late of the first apply arms nothing.
    let over = (RefusalCode::NotArmed, "rolled-back".to_owned());
    assert_eq!(refusal(rig.asked(arm(TOKEN, 60), 5).await), over);
    assert!(rig.timer(arm(OTHER, 60), 5).await.is_armed());
    // And what has no timer has none to confirm.
    let rig = Rig::staged().await;
    assert_eq!(refusal(rig.asked(confirm(TOKEN), 5).await), (RefusalCode::NotArmed, "none".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_extension_lengthens_up_to_the_cap() {
    let rig = Rig::staged().await;
    rig.timer(arm(TOKEN, 60), 5).await;
    assert_eq!(rig.timer(extend(TOKEN, 30), 5).await.left, Span::secs(90));
    assert_eq!(refusal(rig.asked(extend(OTHER, 30), 5).await).0, RefusalCode::WrongToken);
    rig.pass(80).await;
    assert_eq!(rig.stands().await.left, Span::secs(10));
    // The cap counts from the arming.
    for _ in 0..2 {
        assert_eq!(rig.timer(extend(TOKEN, 600), 5).await.left, Span::secs(220));
    }
    rig.pass(219).await;
    assert_eq!(rig.stands().await.state, TimerState::Armed);
    rig.pass(2).await;
    assert_ne!(rig.stands().await.state, TimerState::Armed);
}

#[tokio::test(start_paused = true)]
async fn the_same_word_again_sets_the_deadline_anew() {
    let rig = Rig::staged().await;
    rig.timer(arm(TOKEN, 60), 5).await;
    rig.pass(30).await;
    // Both ways, and never beyond the cap of the first arming.
    assert_eq!(rig.timer(arm(TOKEN, 100), 5).await.left, Span::secs(100));
    assert_eq!(rig.timer(arm(TOKEN, 20), 5).await.left, Span::secs(20));
    assert_eq!(rig.timer(arm(TOKEN, 900), 5).await.left, Span::secs(270));
    assert_eq!(rig.timer(arm(TOKEN, 20), 5).await.left, Span::secs(20));
    rig.pass(19).await;
    assert_eq!(rig.stands().await.state, TimerState::Armed);
    rig.pass(2).await;
    assert_ne!(rig.stands().await.state, TimerState::Armed);
}

#[tokio::test(start_paused = true)]
async fn who_claims_a_host_takes_its_timers_over() {
    let rig = Rig::applied(200).await;
    // Another word of the same cockpit's time is somebody else's.
    assert_eq!(refusal(rig.asked(arm(OTHER, 60), 5).await).0, RefusalCode::WrongToken);
    let Ok(Said::Hello(identity)) = rig.asked(Verb::Claim, 6).await else { panic!("no identity") };
    assert_eq!((identity.epoch, identity.root, identity.enrolled), (Some(6), true, true));
    let stale = (RefusalCode::StaleEpoch, "6".to_owned());
    let back = start("back", Work::Rollback);
    for verb in [arm(TOKEN, 60), confirm(TOKEN), extend(TOKEN, 60), back, Verb::Claim] {
        assert_eq!(refusal(rig.asked(verb, 5).await), stale);
    }
    // To look needs no epoch, and nothing has changed.
    assert!(rig.stands().await.is_armed());
    let timer = rig.timer(arm(OTHER, 60), 6).await;
    assert_eq!(timer.token.map(|token| token.to_string()).as_deref(), Some(OTHER));
    assert_eq!(refusal(rig.asked(confirm(TOKEN), 6).await).0, RefusalCode::WrongToken);
    assert_eq!(rig.timer(confirm(OTHER), 6).await.state, TimerState::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn a_declared_reboot_counts_from_the_boot() {
    let rig = Rig::applied(60).await;
    assert_eq!(rig.rule().await, "same");
    rig.reboot().await;
    // Down after one second, up after three more; the watcher saw the boot at once.
    rig.pass(5).await;
    let left = rig.stands().await.left;
    assert!(left > Span::secs(97) && left <= Span::secs(100), "{left:?}");
    assert_eq!(rig.rule().await, "declared");
    tokio::time::sleep(Duration::from(left) - Duration::from_secs(1)).await;
    assert_eq!((rig.stands().await.state, rig.served()), (TimerState::Armed, false));
    rig.pass(2).await;
    assert_eq!(rig.stands().await.state, TimerState::Firing);
    assert_eq!(rig.ended("b1-deadman").await.0, 0);
    assert!(rig.served());
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_was_not_declared_counts_by_the_earlier_of_two() {
    for (after, most) in [(200, 40), (20, 15)] {
        let rig = Rig::staged().await;
        // On its way down already: whoever arms now has not declared this reboot.
        rig.reboot().await;
        rig.timer(arm(TOKEN, after), 5).await;
        rig.pass(5).await;
        let left = rig.stands().await.left;
        assert!(left <= Span::secs(most) && left > Span::secs(most - 3), "{left:?} of {after}");
        assert_eq!(rig.rule().await, "undeclared");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_a_boot_cut_off_begins_again() {
    let rig = Rig::applied(60).await;
    let left = Duration::from(rig.stands().await.left);
    tokio::time::sleep(left - Duration::from_millis(500)).await;
    rig.reboot().await;
    rig.pass(10).await;
    // The first one was cut off; no deadline is waited for a second time.
    let timer = rig.stands().await;
    assert_eq!(timer.operation.map(|id| id.to_string()).as_deref(), Some("b1-deadman.2"));
    assert_eq!(rig.ended("b1-deadman.2").await.0, 0);
    assert_eq!((rig.stands().await.state, rig.served()), (TimerState::RolledBack, true));
    assert!(rig.passed() < left + Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn whoever_rolls_back_takes_the_timer_along_and_may_arm_it_again() {
    let rig = Rig::applied(60).await;
    assert_eq!(refusal(rig.asked(Verb::Clean(Vec::new()), 5).await).0, RefusalCode::Busy);
    rig.asked(start("back", Work::Rollback), 5).await.expect("starts");
    let timer = rig.stands().await;
    assert_eq!(timer.state, TimerState::Firing);
    assert_eq!(timer.operation.map(|id| id.to_string()).as_deref(), Some("back"));
    assert_eq!(refusal(rig.asked(confirm(TOKEN), 5).await), (RefusalCode::NotArmed, "firing".to_owned()));
    assert_eq!(rig.ended("back").await.0, 0);
    assert_eq!(rig.stands().await.state, TimerState::RolledBack);
    // Its own deadline starts nothing more.
    rig.pass(120).await;
    let unknown = rig.asked(Verb::Result("b1-deadman".parse().expect("an id")), 0).await;
    assert_eq!(refusal(unknown).0, RefusalCode::UnknownOperation);
    // As a rehearsal does: the same once more.
    assert!(rig.timer(arm(OTHER, 60), 5).await.is_armed());
    rig.asked(start("apply-2", Work::Apply), 5).await.expect("starts");
    assert_eq!(rig.ended("apply-2").await.0, 0);
    rig.asked(start("back-2", Work::Rollback), 5).await.expect("starts");
    assert_eq!(rig.ended("back-2").await.0, 0);
    rig.asked(Verb::Clean(Vec::new()), 5).await.expect("cleans");
    assert_eq!(rig.stands().await.state, TimerState::None);
}

/// The same over real ssh, with real doors and the time of this machine.
#[tokio::test]
async fn over_ssh_a_host_that_is_left_alone_serves_its_customers_again() {
    let (fleet, plan) = fleet::fleet(Scenario::Story).await;
    let web1 = fleet::asker(&fleet, &plan, "web1");
    fleet::applied(&web1, "b1", &["ifupdown"]).await;
    fleet::none_reached(&plan, "web1").await;
    web1.ask(&fleet::arm("b1", Span::secs(1)), 5).await.expect("arms");
    web1.link().close().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet::all_reached(&plan, "web1").await;
    let answer = web1.ask(&Verb::Timer(fleet::batch("b1")), 0).await.expect("answers");
    let Ok(Said::Timer(timer)) = Verb::Timer(fleet::batch("b1")).read(&answer) else { panic!("{answer:?}") };
    assert!([TimerState::Firing, TimerState::RolledBack].contains(&timer.state), "{timer:?}");
}
