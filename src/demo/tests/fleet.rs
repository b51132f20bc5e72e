//! The fleet over real ssh and real listeners, as a cockpit meets it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::core::event::FailureKind;
use crate::demo::{Fleet, Pace, Scenario, Setup, start_on, start_with};
use crate::facts::{self, Boot, Domain, Fact, Facts, KeptWhy};
use crate::host::ask::Asker;
use crate::host::frame::Answer;
use crate::host::operation::{Kind, OperationReport, OperationState, Spec, SpecPackage};
use crate::host::outcome::{ApplyResult, RollbackResult, StageResult, VerifyResult};
use crate::host::verb::{ArmTimes, FactWord, Verb, Work};
use crate::host::{Destination, HostError, Lane, Link, Reach, RemoteCommand, Target};
use crate::plan::{Plan, ProbeTarget};
use crate::types::{BatchId, Blake3, Epoch, OperationId, Span, Time};

fn now() -> Time {
    Time::from_timestamp(1_795_298_400, 0).expect("a time")
}

pub(super) async fn fleet(scenario: Scenario) -> (Fleet, Plan) {
    let setup = Setup { pace: Pace::FAST, rehearsed: false };
    let fleet = start_with(scenario, now(), 7, setup).await.expect("a fleet");
    let plan =
        crate::plan::read("window.toml", &fleet.plan).unwrap_or_else(|e| panic!("{e}\n{}", fleet.plan));
    (fleet, plan)
}

pub(super) fn asker(fleet: &Fleet, plan: &Plan, name: &str) -> Asker {
    let ssh = match &plan.baseline {
        Some(baseline) if baseline.host.as_str() == name => baseline.ssh.clone(),
        _ => plan.hosts.iter().find(|host| host.name.as_str() == name).expect("a host").ssh.clone(),
    };
    let target = Target { host: name.parse().expect("a name"), destination: Destination::Ssh(ssh) };
    Asker::new(Link::new(target, std::sync::Arc::clone(&fleet.settings)))
}

async fn learn(asker: &Asker) -> Facts {
    let answer = asker.ask(&Verb::Facts(vec![]), 0).await.expect("facts");
    let mut facts = Facts::default();
    for domain in facts::read(&answer.sections, now()) {
        facts.learn(now(), domain);
    }
    facts
}

async fn boot(asker: &Asker) -> Boot {
    boot_of(&asker.ask(&Verb::Facts(vec![FactWord::Boot]), 0).await.expect("facts"))
}

fn boot_of(answer: &Answer) -> Boot {
    match facts::read(&answer.sections, now()).pop() {
        Some(Domain::Boot(Fact::Known(boot))) => boot,
        other => panic!("{other:?}"),
    }
}

/// Every target of a host's customers: the TCP one and the page.
fn doors(plan: &Plan, host: &str) -> Vec<(SocketAddr, bool)> {
    let customers = plan.customers.iter().filter(|customer| customer.host.as_str() == host);
    customers
        .flat_map(|customer| {
            customer.probes.iter().map(|probe| match &probe.target {
                ProbeTarget::Tcp { port } => {
                    (SocketAddr::new(customer.address.expect("an address"), *port), false)
                }
                ProbeTarget::Http { host, port, .. } => {
                    (SocketAddr::new(host.parse::<IpAddr>().expect("an address"), *port), true)
                }
                other => panic!("{other}"),
            })
        })
        .collect()
}

/// How many of a host's targets answer, of how many.
async fn reached(plan: &Plan, host: &str) -> (usize, usize) {
    let doors = doors(plan, host);
    let knocks = doors.iter().map(|(at, page)| {
        let knock = async move {
            let mut stream = TcpStream::connect(at).await.ok()?;
            if *page {
                stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
                let mut text = String::new();
                stream.read_to_string(&mut text).await.ok()?;
                text.starts_with("HTTP/1.1 200 OK\r\n").then_some(())?;
            }
            Some(())
        };
        async move { tokio::time::timeout(Duration::from_millis(200), knock).await.ok().flatten() }
    });
    let reached = futures_util::future::join_all(knocks).await;
    (reached.iter().flatten().count(), doors.len())
}

pub(super) async fn all_reached(plan: &Plan, host: &str) {
    for _ in 0..40 {
        let (reached, of) = reached(plan, host).await;
        if reached == of && of > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{host}: {:?} reached", reached(plan, host).await);
}

pub(super) async fn none_reached(plan: &Plan, host: &str) {
    for _ in 0..40 {
        if reached(plan, host).await.0 == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{host}: {:?} reached", reached(plan, host).await);
}

fn spec(facts: &Facts, names: &[&str]) -> Spec {
    let updates = facts.updates.as_ref().and_then(|updates| updates.known()).expect("updates");
    let packages = names.iter().map(|name| {
        let pending = updates.pending.iter().find(|pending| pending.package.name.as_str() == *name);
        let pending = pending.unwrap_or_else(|| panic!("{name} is not pending"));
        SpecPackage {
            package: pending.package.clone(),
            from: pending.from.clone(),
            to: Some(pending.to.clone()),
            sha256: pending.sha256,
        }
    });
    Spec::new(packages.collect())
}

fn id(text: &str) -> OperationId {
    text.parse().expect("an id")
}

pub(super) fn batch(text: &str) -> BatchId {
    text.parse().expect("an id")
}

fn report(answer: &Answer) -> OperationReport {
    OperationReport::parse(answer.section("state").expect("a state")).expect("reads")
}

/// An answer, asked for again where a host that reboots at the end of its work cuts it off.
async fn answered(asker: &Asker, verb: &Verb) -> Answer {
    for _ in 0..200 {
        match asker.ask(verb, 0).await {
            Ok(answer) => return answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("no answer to {verb:?}")
}

/// Starts an operation and follows it to its end: exit status, result, log, and in how many pieces.
async fn operate(asker: &Asker, operation: &str, name: &str, work: Work) -> (i32, Answer, String, usize) {
    let kind = work.kind();
    let start = Verb::Start { operation: id(operation), batch: batch(name), work };
    assert_eq!(report(&asker.ask(&start, 5).await.expect("starts")).kind, kind);
    let (mut offset, mut log, mut pieces) = (0, String::new(), 0);
    loop {
        let read = Verb::Read { operation: id(operation), offset, wait: 20 };
        let answer = answered(asker, &read).await;
        let lines = &answer.section("log").expect("a log").lines;
        lines.iter().for_each(|line| log.push_str(&format!("{}\n", String::from_utf8_lossy(line))));
        pieces += usize::from(!lines.is_empty());
        let report = report(&answer);
        let moved = report.next > offset;
        offset = report.next;
        match report.state {
            OperationState::Running => {}
            OperationState::Done(_) | OperationState::Unknown if moved => {}
            OperationState::Unknown => panic!("unknown\n{log}"),
            OperationState::Done(exit) => {
                let result = answered(asker, &Verb::Result(id(operation))).await;
                return (exit, result, log, pieces);
            }
        }
    }
}

/// Nothing is applied without a timer; once more, it is set anew.
pub(super) fn arm(name: &str, after: Span) -> Verb {
    let times = ArmTimes { after, boot: Span::mins(10), grace: Span::mins(10), cap: Span::mins(60) };
    let token = "0123456789abcdef".parse().expect("a word");
    Verb::Arm { batch: batch(name), token, plan: Blake3::of(b"plan"), times }
}

pub(super) async fn applied(asker: &Asker, name: &str, packages: &[&str]) -> ApplyResult {
    let facts = learn(asker).await;
    let stage = Work::Stage(spec(&facts, packages));
    let (exit, answer, log, _) = operate(asker, &format!("{name}-stage"), name, stage).await;
    let staged = StageResult::parse(answer.section("result").expect("a result")).expect("reads");
    assert_eq!((exit, staged.reverse_ok), (0, Some(true)), "{staged:?}\n{log}");
    asker.ask(&arm(name, Span::mins(10)), 5).await.expect("arms");
    let (exit, answer, log, pieces) = operate(asker, &format!("{name}-apply"), name, Work::Apply).await;
    assert_eq!(exit, 0, "{log}");
    assert!(pieces > 3, "the log came in {pieces} pieces");
    ApplyResult::parse(answer.section("result").expect("a result")).expect("reads")
}

async fn rolled_back(asker: &Asker, name: &str) -> RollbackResult {
    let was = boot(asker).await;
    let (exit, answer, log, _) = operate(asker, &format!("{name}-rollback"), name, Work::Rollback).await;
    let result = RollbackResult::parse(answer.section("result").expect("a result")).expect("reads");
    let Some(kernel) = &result.boots_back else {
        assert_eq!(exit, 0, "{log}");
        return result;
    };
    // A kernel of the batch runs: the host boots the one of before, and goes on by itself.
    assert_eq!(exit, 75, "{log}");
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let next = Verb::Result(id(&format!("{name}-deadman")));
        let Ok(answer) = asker.ask(&next, 0).await else { continue };
        if report(&answer).state != OperationState::Done(0) {
            continue;
        }
        let now = boot(asker).await;
        assert_eq!((now.kernel.raw(), now.boot_id != was.boot_id), (kernel.raw(), true));
        return RollbackResult::parse(answer.section("result").expect("a result")).expect("reads");
    }
    panic!("it does not go on");
}

async fn rebooted(asker: &Asker, name: &str) -> Boot {
    let was = boot(asker).await.boot_id;
    let order = Verb::Reboot { batch: batch(name), boot: was.clone() };
    asker.ask(&order, 5).await.expect("ordered");
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Before it is down it may still answer, and be cut off in the next answer.
        let Ok(answer) = asker.ask(&Verb::Facts(vec![FactWord::Boot]), 0).await else { continue };
        let now = boot_of(&answer);
        if now.boot_id != was {
            return now;
        }
    }
    panic!("not back");
}

#[tokio::test]
async fn every_host_is_enrolled_and_its_facts_are_all_known() {
    let (fleet, plan) = fleet(Scenario::Story).await;
    for name in ["test1", "web1", "web2", "web3"] {
        let asker = asker(&fleet, &plan, name);
        let state = asker.greet().await.expect("greets");
        assert_eq!((state.enrolled, state.why_not, state.epoch), (true, None, 0), "{name}");
        asker.link().fresh(Span::secs(5)).await.expect("people can come in");
        let facts = learn(&asker).await;
        macro_rules! known {
            ($domain:ident) => {
                match &facts.$domain {
                    Some(aged) => match &aged.fact {
                        Fact::Known(facts) => facts,
                        Fact::Unknown(why) => panic!("{name}: {}", why.shown()),
                    },
                    None => panic!("{name} does not say its {}", stringify!($domain)),
                }
            };
        }
        assert_eq!(known!(system).hostname.raw(), name);
        assert!(known!(system).clock_offset_ms.abs() < 60_000);
        assert_eq!(known!(boot).reboot_required, Some(false));
        let own = if name == "web1" {
            5
        } else if name == "test1" {
            1
        } else {
            3
        };
        let global = known!(network).addresses.iter().filter(|a| a.scope.raw() == "global").count();
        assert_eq!(global, own, "{name}");
        assert!(known!(network).routes.iter().any(|route| route.gateway.is_some()));
        assert!(known!(listeners).iter().all(|listener| listener.program.is_some()));
        assert!(known!(packages).installed.len() > 60 && known!(packages).audit.is_empty());
        let updates = known!(updates);
        assert!(updates.pending.iter().all(|pending| pending.sha256.is_some() && pending.size.is_some()));
        let needs = |package: &str, other: &str| {
            let pending = updates.pending.iter().find(|pending| pending.package.name.as_str() == package);
            pending.expect(package).needs.iter().any(|name| name.as_str() == other)
        };
        assert!(needs("openssl", "libssl3"));
        assert!(needs("linux-image-amd64", "linux-image-6.1.0-31-amd64"));
        assert!(needs("openssh-client", "openssh-server") || needs("openssh-server", "openssh-client"));
        let new = updates.pending.iter().filter(|pending| pending.from.is_none()).count();
        assert_eq!(new, 1);
        let mut kept: Vec<KeptWhy> = updates.kept.iter().map(|kept| kept.why).collect();
        kept.sort();
        assert_eq!(kept, [KeptWhy::Hold, KeptWhy::Phased, KeptWhy::Dependency], "{name}");
        assert!(updates.kept.iter().all(|kept| kept.candidate.is_some()));
        assert!(updates.lists_at.is_some());
        assert!(known!(services).failed.is_empty());
        assert_eq!(known!(storage).len(), 2);
        assert!(known!(replaced).is_empty() && known!(locks).holders.is_empty());
        asker.link().close().await;
    }
    let order: Vec<String> = crate::plan::order(&plan).iter().map(|name| name.to_string()).collect();
    assert_eq!(order, ["web2", "web3", "web1"]);
    for host in ["web1", "web2", "web3"] {
        all_reached(&plan, host).await;
    }
    // What a rehearsal on test1 yields is what test1 is offered.
    let facts = learn(&asker(&fleet, &plan, "test1")).await;
    let pending = &facts.updates.as_ref().and_then(|updates| updates.known()).expect("updates").pending;
    assert_eq!(fleet.rehearsal.set.len(), pending.len());
    assert!(pending.iter().all(|p| fleet.rehearsal.of(&p.package).is_some_and(|frozen| frozen.to == p.to
        && Some(frozen.sha256) == p.sha256
        && frozen.from == p.from)));
}

#[tokio::test]
async fn the_batch_with_the_network_in_it_darkens_web1_alone_and_the_rollback_brings_it_back() {
    let (fleet, plan) = fleet(Scenario::Story).await;
    let web1 = asker(&fleet, &plan, "web1");
    let before = learn(&web1).await;
    let result = applied(&web1, "b1", &["ifupdown", "openssl", "libssl3", "vim-tiny", "vim-common"]).await;
    assert_eq!(result.verified.packages.len(), 5);
    assert_eq!(result.reboot_required, Some(false));
    assert!(result.etc_changed.iter().any(|path| path.raw() == "etc/default/networking"));
    assert!(result.verified.restarted.iter().any(|unit| unit.to_string() == "networking.service"));
    none_reached(&plan, "web1").await;
    // What the host can see of it: the addresses are gone, ssh is fine.
    let gone = learn(&web1).await;
    let count =
        |facts: &Facts| facts.network.as_ref().and_then(|n| n.known()).expect("known").addresses.len();
    assert_eq!(count(&before) - count(&gone), 4);
    let answer = web1.ask(&Verb::Verify(batch("b1")), 0).await.expect("verifies");
    let verified = VerifyResult::parse(&answer.sections).expect("reads");
    assert_eq!(verified.etc_differs.expect("saved").len(), 3);
    for host in ["web2", "web3"] {
        all_reached(&plan, host).await;
    }

    let result = rolled_back(&web1, "b1").await;
    assert_eq!((result.identical, result.addresses_restored.len()), (Some(true), 4));
    assert_eq!(result.etc_restored.len(), 3);
    all_reached(&plan, "web1").await;
    // Everything that a host says is as before, but for its clock.
    let after = learn(&web1).await;
    assert_eq!(after.packages, before.packages);
    assert_eq!((after.network, after.listeners, after.boot), (before.network, before.listeners, before.boot));
    // Once more is as once.
    let (exit, ..) = operate(&web1, "again", "b1", Work::Rollback).await;
    assert_eq!(exit, 0);
    all_reached(&plan, "web1").await;
}

#[tokio::test]
async fn the_same_batch_is_harmless_elsewhere_and_everywhere_in_the_calm() {
    let (story, plan) = fleet(Scenario::Story).await;
    for name in ["web2", "web3"] {
        applied(&asker(&story, &plan, name), "b1", &["ifupdown"]).await;
        all_reached(&plan, name).await;
    }
    applied(&asker(&story, &plan, "test1"), "b1", &["ifupdown"]).await;
    drop(story);
    let (calm, plan) = fleet(Scenario::Calm).await;
    let web1 = asker(&calm, &plan, "web1");
    applied(&web1, "b1", &["ifupdown"]).await;
    all_reached(&plan, "web1").await;
    rebooted(&web1, "b1").await;
    all_reached(&plan, "web1").await;
}

#[tokio::test]
async fn a_kernel_wants_a_reboot_and_the_host_comes_back_in_another_boot() {
    let (fleet, plan) = fleet(Scenario::Story).await;
    let web2 = asker(&fleet, &plan, "web2");
    let kernel = ["linux-image-amd64", "linux-image-6.1.0-31-amd64"];
    let result = applied(&web2, "b1", &kernel).await;
    assert_eq!(result.reboot_required, Some(true));
    let before = boot(&web2).await;
    assert_eq!((before.reboot_required, before.kernels.len()), (Some(true), 2));
    let after = rebooted(&web2, "b1").await;
    assert_eq!((after.kernel.raw(), after.reboot_required), ("6.1.0-31-amd64", Some(false)));
    all_reached(&plan, "web2").await;
    // Asked again after it has happened, nothing happens.
    let order = Verb::Reboot { batch: batch("b1"), boot: before.boot_id };
    web2.ask(&order, 5).await.expect("answered");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(boot(&web2).await.boot_id, after.boot_id);
    // The way back over the reboot, and what was done before it is still on record.
    let result = rolled_back(&web2, "b1").await;
    assert_eq!(result.identical, Some(true));
    let state = web2.ask(&Verb::Result(id("b1-apply")), 0).await.expect("a result");
    let report = report(&state);
    assert_eq!((report.kind, report.state), (Kind::Apply, OperationState::Done(0)));
    assert_ne!(report.boot, report.boot_now);

    // On web1 a reboot loses what nothing stored brings back; a rollback puts it back too.
    let web1 = asker(&fleet, &plan, "web1");
    applied(&web1, "b1", &kernel).await;
    rebooted(&web1, "b1").await;
    none_reached(&plan, "web1").await;
    assert_eq!(rolled_back(&web1, "b1").await.addresses_restored.len(), 4);
    all_reached(&plan, "web1").await;
    // Another reboot loses them again, and a second rollback puts them back.
    rebooted(&web1, "b1").await;
    none_reached(&plan, "web1").await;
    let (exit, answer, log, _) = operate(&web1, "b1-rollback-2", "b1", Work::Rollback).await;
    let again = RollbackResult::parse(answer.section("result").expect("a result")).expect("reads");
    assert_eq!(exit, 0, "{log}");
    assert_eq!((again.addresses_restored.len(), again.verified.restarted.len()), (4, 0));
    all_reached(&plan, "web1").await;
}

#[tokio::test]
async fn epochs_ids_and_strangers_are_refused_as_on_any_host() {
    let (fleet, plan) = fleet(Scenario::Story).await;
    let web3 = asker(&fleet, &plan, "web3");
    let stage = |names: &[&str], facts: &Facts| Work::Stage(spec(facts, names));
    let facts = learn(&web3).await;
    let start =
        |operation: &str, work: Work| Verb::Start { operation: id(operation), batch: batch("b1"), work };
    let refused = async |verb: Verb, epoch: Epoch| web3.ask(&verb, epoch).await.expect_err("refused");
    web3.ask(&start("op-1", stage(&["curl", "libcurl4"], &facts)), 5).await.expect("starts");
    let error = refused(start("op-2", stage(&["less"], &facts)), 4).await;
    assert_eq!(error.kind, FailureKind::Refused);
    // Once more the same words: nothing new starts. Other work under that id: refused.
    web3.ask(&start("op-1", stage(&["curl", "libcurl4"], &facts)), 5).await.expect("the same");
    let error = refused(start("op-1", Work::Apply), 5).await;
    assert!(error.what.raw().contains("op-1"), "{error:?}");
    let busy = refused(Verb::Clean(Vec::new()), 5).await;
    assert!(busy.what.raw().contains("an operation is running"), "{busy:?}");
    let unknown = refused(Verb::Result(id("nothing")), 0).await;
    assert_eq!(unknown.kind, FailureKind::Failed);
    let (exit, ..) = operate(&web3, "op-1", "b1", stage(&["curl", "libcurl4"], &facts)).await;
    assert_eq!(exit, 0);
    // What is not closed under its dependencies, another file than the rehearsed one, a held package.
    let (exit, answer, ..) = operate(&web3, "open", "open", stage(&["curl"], &facts)).await;
    let staged = StageResult::parse(answer.section("result").expect("a result")).expect("reads");
    assert_eq!((exit, staged.failed.len()), (1, 1));
    let mut other = spec(&facts, &["less"]).packages().to_vec();
    other[0].sha256 = Some("ab".repeat(32).parse().expect("a hash"));
    let (exit, answer, ..) = operate(&web3, "other", "other", Work::Stage(Spec::new(other))).await;
    let staged = StageResult::parse(answer.section("result").expect("a result")).expect("reads");
    assert_eq!((exit, staged.mismatches.len()), (1, 1));
    // A later cockpit takes over.
    web3.ask(&Verb::Clean(vec![batch("b1")]), 6).await.expect("cleans");
    assert_eq!(refused(Verb::Clean(Vec::new()), 5).await.kind, FailureKind::Refused);
    assert_eq!(web3.greet().await.expect("greets").epoch, 6);

    // Not enrolled: the text over standard input reads, as somebody without rights.
    let script = RemoteCommand::script(["abcdefgh1", "0", "facts"]).expect("words");
    let exec = |command: RemoteCommand, stdin: Vec<u8>| {
        let link = web3.link().clone();
        async move { link.exec(Lane::Control, &command, stdin, 1 << 20, Span::secs(5)).await.expect("runs") }
    };
    let output = exec(script, crate::helper::TEXT.as_bytes().to_vec()).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("@abcdefgh1 end locks 126\n"), "{text}");
    let output = exec(RemoteCommand::new(["rm", "-rf", "x"]).expect("words"), Vec::new()).await;
    assert_eq!((output.status.success(), output.stderr.as_slice()), (false, &b"sh: 1: rm: not found\n"[..]));
    // Somebody without the fleet's key.
    let stranger =
        crate::host::Settings { ssh_config: fleet.settings.ssh_config.clone(), ..Default::default() };
    let text = std::fs::read_to_string(stranger.ssh_config.as_ref().expect("a file")).expect("text");
    let file = fleet.folder().join("no-key");
    std::fs::write(&file, text.replace("/key\"", "/none\"")).expect("written");
    let stranger = crate::host::Settings { ssh_config: Some(file), ..stranger };
    let link = Link::new(web3.link().target().clone(), std::sync::Arc::new(stranger));
    assert!(matches!(link.connect().await, Err(HostError::Auth { .. })));
}

#[tokio::test]
async fn two_fleets_live_side_by_side_and_leave_nothing() {
    // Networks that no other test takes.
    let start = async |scenario, seed| {
        let setup = Setup { pace: Pace::FAST, rehearsed: false };
        let fleet = start_on(100..=110, scenario, now(), seed, setup).await.expect("a fleet");
        let plan = crate::plan::read("window.toml", &fleet.plan).expect("a plan");
        (fleet, plan)
    };
    let ((first, a), (second, b)) = tokio::join!(start(Scenario::Story, 1), start(Scenario::Calm, 2));
    let ports = |plan: &Plan| -> Vec<SocketAddr> {
        ["web1", "web2", "web3"].iter().flat_map(|host| doors(plan, host)).map(|(at, _)| at).collect()
    };
    assert!(ports(&a).iter().all(|at| !ports(&b).contains(at)));
    let (left, right) = (asker(&first, &a, "web1"), asker(&second, &b, "web1"));
    left.greet().await.expect("greets");
    right.greet().await.expect("greets");
    // Neither fleet's keys open the other.
    assert_ne!(first.folder(), second.folder());
    let folders = [first.folder().to_owned(), second.folder().to_owned()];
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folders[0]), mode(&folders[0].join("key"))), (0o700, 0o600));
    first.stop().await;
    assert!(!folders[0].exists());
    for at in ports(&a) {
        let free = std::net::TcpListener::bind(at);
        assert!(free.is_ok(), "{at}: {free:?}");
    }
    let error = left.link().fresh(Span::secs(2)).await.expect_err("gone");
    assert!(
        matches!(error, HostError::Unreachable { reach: Reach::Refused, .. } | HostError::Config { .. }),
        "{error}"
    );
    all_reached(&b, "web1").await;
    right.ask(&Verb::Hello, 0).await.expect("lives");
    drop(second);
    assert!(!folders[1].exists());
}

#[tokio::test]
async fn where_there_is_one_address_the_story_is_the_same() {
    let setup = Setup { pace: Pace::FAST, rehearsed: false };
    #[expect(clippy::reversed_empty_ranges, reason = "no network at all")]
    let none = 1..=0;
    let fleet = start_on(none, Scenario::Story, now(), 7, setup).await.expect("a fleet");
    let plan = crate::plan::read("window.toml", &fleet.plan).unwrap_or_else(|e| panic!("{e}"));
    let web1 = asker(&fleet, &plan, "web1");
    assert!(doors(&plan, "web1").iter().all(|(at, _)| at.ip().to_string() == "127.0.0.1"));
    all_reached(&plan, "web1").await;
    applied(&web1, "b1", &["ifupdown"]).await;
    none_reached(&plan, "web1").await;
    all_reached(&plan, "web2").await;
    assert_eq!(rolled_back(&web1, "b1").await.addresses_restored.len(), 4);
    all_reached(&plan, "web1").await;
}

#[tokio::test]
async fn a_fleet_may_have_its_rehearsal_behind_it() {
    let setup = Setup { pace: Pace::FAST, rehearsed: true };
    let fleet = start_with(Scenario::Story, now(), 7, setup).await.expect("a fleet");
    let plan = crate::plan::read("window.toml", &fleet.plan).expect("a plan");
    let test1 = learn(&asker(&fleet, &plan, "test1")).await;
    assert!(test1.updates.as_ref().and_then(|updates| updates.known()).expect("updates").pending.is_empty());
    let installed = &test1.packages.as_ref().and_then(|p| p.known()).expect("packages").installed;
    for frozen in &fleet.rehearsal.set {
        assert_eq!(installed.get(&frozen.package).map(|here| &here.version), Some(&frozen.to));
    }
    assert_eq!(boot(&asker(&fleet, &plan, "test1")).await.kernel.raw(), "6.1.0-31-amd64");
}

#[test]
fn a_scenario_that_is_none_is_told_which_there_are() {
    assert_eq!("story".parse(), Ok(Scenario::Story));
    let error = "panic".parse::<Scenario>().expect_err("none");
    assert_eq!(
        error.to_string(),
        "\"panic\" is not a scenario of the demo: there are story, unanswered, calm"
    );
}
