//! Single effects on the fleet, as the loop starts them: what a whole window seldom comes to.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::conductor::shell::Outside;
use crate::conductor::{clock, shell};
use crate::core::change::Standing;
use crate::core::effect::{OnHost, Supply};
use crate::core::event::{
    Actor, Arming, Event, FailureKind, Inspected, PacketEvent, ProbeOutcome, Proof, Purpose, Record, Source,
    TimerState, Vantage, WindowEvent,
};
use crate::core::state::{State, Work as Under};
use crate::core::{Answer, Change, Effect, Input, Sample, Started, tasks};
use crate::demo::tests::fleet::asker;
use crate::demo::{Fleet, Pace, Scenario, Setup, start_with};
use crate::host::act::Hosts;
use crate::host::ask::Asker;
use crate::host::operation::Spec;
use crate::host::verb::{Verb, Work};
use crate::host::{Destination, Link, Target};
use crate::plan::{self, Class, Plan};
use crate::types::{Blake3, HostName, Nonce, Span};

const WORD: &str = "a word of its type";
/// The old version that web1's archive has no more.
const OLD: &str = "rsync amd64 3.2.7-1";

async fn fleet() -> (Fleet, Plan) {
    let setup = Setup { pace: Pace(0.3), rehearsed: false };
    let fleet = start_with(Scenario::Story, clock::now(), 13, setup).await.expect("a fleet");
    let plan = crate::plan::read("window.toml", &fleet.plan).expect("a plan");
    (fleet, plan)
}

/// Has that host store both files of the change, as for a batch of its own.
async fn store(fleet: &Fleet, plan: &Plan, host: &str) {
    let asker = asker(fleet, plan, host);
    let spec: Spec = "package\trsync\tamd64\t3.2.7-1\t3.2.7-1+deb12u2\t-\nend\n".parse().expect(WORD);
    let (operation, batch) = ("before".parse().expect(WORD), "rehearsal".parse().expect(WORD));
    let start = Verb::Start { operation, batch, work: Work::Stage(spec) };
    asker.ask(&start, 1).await.expect("started");
    let have = Verb::Have(vec![OLD.parse().expect(WORD)]);
    while asker.ask(&have, 0).await.expect("an answer").sections[0].lines.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn change() -> Change {
    Change {
        package: "rsync:amd64".parse().expect(WORD),
        from: Some("3.2.7-1".parse().expect(WORD)),
        to: "3.2.7-1+deb12u2".parse().expect(WORD),
        sha256: None,
        rehearsed: None,
        standing: Standing::Same,
        security: false,
        source: "rsync".parse().expect(WORD),
        class: Class::Library,
        size: None,
        needs: Vec::new(),
        origin: "".into(),
    }
}

fn on(operation: &str, epoch: u64) -> OnHost {
    let (host, batch) = ("web1".parse().expect(WORD), "b1".parse().expect(WORD));
    OnHost { host, batch, operation: operation.parse().expect(WORD), epoch }
}

fn supply(peers: &[&str]) -> Supply {
    Supply {
        peers: peers.iter().map(|peer| peer.parse().expect(WORD)).collect(),
        snapshot: None,
        root_snapshot: false,
    }
}

fn hosts(fleet: &Fleet, plan: &Plan, more: Vec<Asker>) -> Hosts {
    let named = ["test1", "web1", "web2"].map(|name| asker(fleet, plan, name));
    Hosts::new(named.into_iter().chain(more), Arc::new(clock::now))
}

async fn answer(hosts: &Hosts, effect: Effect) -> Answer {
    let (outbox, mut inputs) = shell::outbox();
    hosts.start(Started { id: 7, effect }, &outbox);
    loop {
        if let Input::Answer { answer, .. } = inputs.recv().await.expect("an answer") {
            return *answer;
        }
    }
}

fn proof(answer: Answer) -> Proof {
    match answer {
        Answer::Staged(Ok(proof)) => proof,
        other => panic!("{other:?}"),
    }
}

/// Where the old file came from.
fn from(proof: &Proof) -> Source {
    proof.files[0].old_from.clone().expect("it is there").source
}

#[tokio::test]
async fn a_peer_that_is_dead_keeps_nobody_waiting_and_the_first_that_has_it_gives_it() {
    let (fleet, plan) = fleet().await;
    store(&fleet, &plan, "test1").await;
    store(&fleet, &plan, "web2").await;
    // Machines whose kernel takes connections, and on which nothing runs any more.
    let dead =
        [TcpListener::bind("127.0.0.1:0").expect("binds"), TcpListener::bind("127.0.0.1:0").expect("binds")];
    let askers = dead.iter().zip(["dead1", "dead2"]).map(|(dead, name)| {
        let destination = Destination::Ssh(format!("ops@{}", dead.local_addr().expect("an address")));
        let target = Target { host: name.parse().expect(WORD), destination };
        Asker::new(Link::new(target, Arc::clone(&fleet.settings)))
    });
    let hosts = hosts(&fleet, &plan, askers.collect());
    for (operation, peers, giver) in [
        ("s1", ["dead1", "web2", "dead2", "test1"], "web2"),
        ("s2", ["dead1", "test1", "dead2", "web2"], "test1"),
    ] {
        {
            let mut web1 = fleet.servers[1].model();
            web1.lost.insert(OLD.parse().expect(WORD));
            web1.carried.clear();
            web1.batches.clear();
        }
        let began = Instant::now();
        let staged = answer(&hosts, Effect::Stage(on(operation, 5), vec![change()], supply(&peers))).await;
        assert_eq!(from(&proof(staged)), Source::Host(giver.parse().expect(WORD)));
        // A connection is waited for 10 s, and there are two.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

/// A cockpit that dies in the first or in the second round of a stage, and another that looks what became of it.
#[tokio::test]
async fn a_stage_of_two_rounds_is_found_again_in_either_and_nothing_is_done_twice() {
    for cut in ["s1", "s1.2"] {
        let (fleet, plan) = fleet().await;
        store(&fleet, &plan, "test1").await;
        fleet.lose(1, OLD.parse().expect(WORD));
        let dies = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let dies = dies.expect("a runtime");
        let first = hosts(&fleet, &plan, Vec::new());
        let stage = Effect::Stage(on("s1", 5), vec![change()], supply(&["test1"]));
        let staging = dies.spawn(async move { answer(&first, stage).await });
        let cut = cut.parse().expect(WORD);
        while !fleet.servers[1].model().operations.contains_key(&cut) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(!staging.is_finished(), "it was to be cut off in the middle");
        dies.shutdown_background();
        let inspect = |operation: &str| Effect::Inspect {
            on: on(operation, 6),
            work: Under::Stage,
            was: None,
            changes: vec![change()],
            arming: None,
            supply: supply(&["test1"]),
        };
        let second = hosts(&fleet, &plan, Vec::new());
        let found = proof(answer(&second, inspect("s1")).await);
        assert_eq!(from(&found), Source::Host("test1".parse().expect(WORD)), "{found:?}");
        let operations: Vec<String> =
            fleet.servers[1].model().operations.keys().map(ToString::to_string).collect();
        assert_eq!(operations, ["s1", "s1.2"], "cut off in {cut}");
        match answer(&second, inspect("s9")).await {
            Answer::Inspected(Inspected::NeverBegan, why) => assert!(why.raw().contains("s9"), "{why:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_lengthened_is_asked_how_it_stands_also_where_that_was_refused() {
    let (fleet, plan) = fleet().await;
    let hosts = hosts(&fleet, &plan, Vec::new());
    let token: Nonce = "abcdefgh12".parse().expect(WORD);
    let sealed = Blake3::of(b"plan");
    let span = Span::secs;
    let arming = Arming {
        token: token.clone(),
        plan: sealed,
        apply: span(100),
        after: span(100),
        boot: span(100),
        grace: span(100),
        cap: span(1_000),
    };
    proof(answer(&hosts, Effect::Stage(on("s1", 5), vec![change()], Supply::default())).await);
    let applied = answer(&hosts, Effect::Apply(on("a1", 5), Some(arming))).await;
    assert!(matches!(applied, Answer::Applied(Ok(_))), "{applied:?}");
    let extend = |epoch| Effect::Timer { on: on("a1", epoch), token: token.clone(), extend: Some(span(300)) };
    let timer = async |epoch| match answer(&hosts, extend(epoch)).await {
        Answer::Timer(timer) => timer,
        other => panic!("{other:?}"),
    };
    // Lengthened, and asked: with what a confirm waits for, which an extension alone does not say.
    let longer = timer(5).await.expect("an answer");
    assert!(longer.is_armed() && longer.replaced.is_some(), "{longer:?}");
    assert!(longer.left > span(300), "{longer:?}");
    // Another cockpit holds the host: refused, and it stands as it did.
    let web1 = asker(&fleet, &plan, "web1");
    web1.ask(&Verb::Claim, 9).await.expect("claims");
    let refused = timer(5).await.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::Refused, "{refused:?}");
    // Confirmed meanwhile: there is nothing to lengthen, and that is the answer.
    let confirm = Verb::Confirm { batch: "b1".parse().expect(WORD), token: token.clone(), plan: sealed };
    web1.ask(&confirm, 9).await.expect("confirms");
    assert_eq!(timer(9).await.expect("an answer").state, TimerState::Confirmed);
}

/// The demo's customers, looked at from inside, from a peer and from a further place, over real ssh.
#[tokio::test]
async fn hosts_peers_and_further_places_look_at_the_same_targets() {
    let (fleet, mut plan) = fleet().await;
    let paris: HostName = "paris".parse().expect(WORD);
    plan.vantages.push(plan::Vantage { name: paris.clone(), ssh: String::new() });
    let mut state = State::default();
    let opened = WindowEvent::Opened {
        purpose: Purpose::Run,
        plan: Box::new(plan.clone()),
        rehearsal: None,
        program: "test".to_owned(),
    };
    let record = Record {
        seq: 1,
        at: clock::now(),
        actor: Actor::Holdpoint,
        session: "test".to_owned(),
        epoch: 1,
        event: Event::Window(opened),
    };
    state.apply(&record);
    let mut probes = tasks::tasks(&state);
    probes.retain(|task| task.host.as_ref().is_some_and(|host| host.as_str() == "web1"));
    // A place of its own: the machine of test1, without a helper.
    let to = plan.baseline.as_ref().expect("a baseline").ssh.clone();
    let target = Target { host: paris.clone(), destination: Destination::Ssh(to) };
    let further = Asker::bare(Link::new(target, Arc::clone(&fleet.settings)));
    let hosts = hosts(&fleet, &plan, Vec::new()).with_places([further]);
    let (outbox, _answers, mut samples) = shell::outbox_with_samples();
    hosts.start(Started { id: 7, effect: Effect::Probe { probes, tls_ca: None } }, &outbox);
    let wanted = [
        Vantage::Cockpit,
        Vantage::Inside,
        Vantage::Peer("web2".parse().expect(WORD)),
        Vantage::Further(paris),
    ];
    let mut passed = BTreeSet::new();
    let all = async {
        // Four customers, two probes each.
        while passed.len() < wanted.len() * 8 {
            let Some(Input::Sample { sample, .. }) = samples.recv().await else { panic!("it has ended") };
            let Sample::Seen { probe, vantage, outcome, sighting } = *sample else { panic!("{sample:?}") };
            assert!(wanted.contains(&vantage), "{vantage:?}");
            assert!(matches!(outcome, ProbeOutcome::Ok { .. }), "{vantage:?}: {outcome:?}");
            // What the demo's hosts say that they saw is no connection whose port packets could be found by.
            let own = vantage == Vantage::Cockpit;
            assert!(sighting.is_some_and(|seen| seen.local.is_some() == own && seen.peer.is_some()));
            passed.insert((probe, vantage));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("in time");

    // The addresses go: outside and peer have no answer, and the host itself has none either.
    let web1 = &fleet.servers[1];
    web1.model().addresses.clear();
    web1.sync_doors(true);
    let mut failed = BTreeSet::new();
    let all = async {
        while failed.len() < wanted.len() * 8 {
            let Some(Input::Sample { sample, .. }) = samples.recv().await else { panic!("it has ended") };
            if let Sample::Seen { probe, vantage, outcome: ProbeOutcome::Fail { .. }, .. } = *sample {
                failed.insert((probe, vantage));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("well before the calm pace is over");
}

#[tokio::test]
async fn evidence_is_kept_in_the_recording_and_nobody_elses() {
    let (fleet, plan) = fleet().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("evidence")).expect("made");
    let host: HostName = "web1".parse().expect(WORD);
    let ask = |hosts: Hosts| async move {
        match answer(&hosts, Effect::Evidence { host: "web1".parse().expect(WORD) }).await {
            Answer::Evidence(result) => result,
            other => panic!("{other:?}"),
        }
    };
    let recorded =
        || hosts(&fleet, &plan, Vec::new()).keeping(folder.path().to_owned(), folder.path().join("captures"));
    let kept = ask(recorded()).await.expect("kept");
    let path = folder.path().join(kept.file.raw());
    let bytes = std::fs::read(&path).expect("there");
    assert_eq!((Blake3::of(&bytes), bytes.len() as u64), (kept.blake3, kept.bytes));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = String::from_utf8(bytes).expect("text");
    assert!(text.starts_with(&format!("{host} at ")) && text.contains("== addresses\n"), "{text}");
    let nowhere = ask(hosts(&fleet, &plan, Vec::new())).await.expect_err("nothing is recorded");
    assert_eq!(nowhere.kind, FailureKind::Local);
    std::fs::remove_dir_all(folder.path().join("evidence")).expect("gone");
    let lost = ask(recorded()).await.expect_err("there is no folder");
    assert_eq!(lost.kind, FailureKind::Local);
}

/// A line is met: what was captured until then is not lost with the cockpit, nor changed unseen.
#[tokio::test]
async fn packets_so_far_are_hashed_when_evidence_of_their_host_is_saved() {
    let (fleet, plan) = fleet().await;
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["evidence", "captures"] {
        std::fs::create_dir(folder.path().join(name)).expect("made");
    }
    let hosts = hosts(&fleet, &plan, Vec::new());
    let hosts = hosts.keeping(folder.path().to_owned(), folder.path().join("captures"));
    let web1 = || -> HostName { "web1".parse().expect(WORD) };
    let customer = plan.customers.iter().find(|customer| customer.host == web1()).expect("a customer");
    let address = customer.address.expect("an address");
    let (outbox, _inputs, mut samples) = shell::outbox_with_samples();
    hosts.start(
        Started { id: 7, effect: Effect::Capture { host: web1(), addresses: vec![address] } },
        &outbox,
    );
    let mut told = async || loop {
        let sample = match samples.recv().await.expect("it goes on") {
            Input::Sample { sample, .. } => *sample,
            other => panic!("{other:?}"),
        };
        match sample {
            Sample::Packet(event) => match *event {
                PacketEvent::Running { .. } => return None,
                PacketEvent::Kept { file, over, .. } => return Some((file, over)),
                _ => {}
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told().await, None, "it runs");
    let path = folder.path().join("captures/web1.pcapng");
    for _ in 0..200 {
        if path.exists() {
            break;
        }
        // Whether anybody listens there is no matter.
        let _there_or_not = tokio::net::TcpStream::connect((address, 8443)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nothing passes by any more: the marker's packet does not come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let captures = hosts.captures();
    let mark = |text: &str| captures.marked("2026-11-22T22:00:00Z".parse().expect("a time"), &text.into());
    let has = |text: &str| {
        let bytes = std::fs::read(&path).expect("there");
        bytes.windows(text.len()).any(|here| here == text.as_bytes())
    };
    mark("before the evidence");
    assert!(matches!(answer(&hosts, Effect::Evidence { host: web1() }).await, Answer::Evidence(Ok(_))));
    let told = tokio::time::timeout(Duration::from_secs(10), told()).await;
    let (file, over) = told.expect("long before its minute is over").expect("a file");
    assert_eq!((file.file.raw(), over), ("captures/web1.pcapng", false));
    let bytes = std::fs::read(&path).expect("there");
    let length = usize::try_from(file.bytes).expect("small");
    assert_eq!(Blake3::of(&bytes[..length]), file.blake3);
    assert!(has("22:00:00Z before the evidence"), "what is saved has it");
    mark("at the end");
    captures.enough().await;
    assert!(has("22:00:00Z at the end"), "what is left has it");
}

/// A way to a host that can go silent, as an uplink does that dies: nothing is closed, and nothing comes.
async fn relay(to: String, silent: tokio::sync::watch::Receiver<bool>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (to, mut silent) = (to.clone(), silent.clone());
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(to).await.expect("connects");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    () = async { drop(silent.wait_for(|silent| *silent).await) } => std::future::pending().await,
                }
            });
        }
    });
    port
}

/// Nothing is asked on an idle host for minutes. That it is not reached any more is told to the loop all the same,
/// within the time after which nothing that is seen counts as seen by a network that works; and that it is back.
#[tokio::test]
async fn an_idle_host_whose_way_goes_silent_is_missed_and_one_that_is_given_up_is_not() {
    let (fleet, plan) = fleet().await;
    let direct = asker(&fleet, &plan, "web1");
    let Destination::Ssh(ssh) = &direct.link().target().destination else { panic!("by ssh") };
    let (_, at) = ssh.split_once('@').expect("an account");
    let (silence, silent) = tokio::sync::watch::channel(false);
    let port = relay(at.to_owned(), silent).await;
    // The same host key, by another way.
    let file = fleet.settings.ssh_config.as_ref().expect("a file").with_file_name("known_hosts");
    let known = std::fs::read_to_string(&file).expect("read");
    let (ip, was) = at.rsplit_once(':').expect("a port");
    let line = known.lines().find(|line| line.starts_with(&format!("[{ip}]:{was} "))).expect("its key");
    let (_, key) = line.split_once(' ').expect("a key");
    std::fs::write(file, format!("{known}[127.0.0.1]:{port} {key}\n")).expect("written");
    let destination = Destination::Ssh(format!("ops@127.0.0.1:{port}"));
    let web1: HostName = "web1".parse().expect(WORD);
    let asker =
        Asker::new(Link::new(Target { host: web1.clone(), destination }, Arc::clone(&fleet.settings)));
    let hosts = Hosts::new([asker.clone()], Arc::new(clock::now));
    let (outbox, mut inputs) = shell::outbox();
    let read = || Started { id: 7, effect: Effect::Read { host: web1.clone(), claim: None } };
    hosts.start(read(), &outbox);
    while !matches!(inputs.recv().await, Some(Input::Answer { .. })) {}
    // What is given up here is not lost.
    asker.link().close().await;
    hosts.start(read(), &outbox);
    while !matches!(inputs.recv().await, Some(Input::Answer { .. })) {}
    let began = Instant::now();
    silence.send_replace(true);
    let lost = tokio::time::timeout(Duration::from_secs(22), inputs.recv()).await.expect("in time");
    assert!(matches!(&lost, Some(Input::Contact { host, lost: Some(_) }) if *host == web1), "{lost:?}");
    assert!(began.elapsed() > Duration::from_secs(10), "a short silence is no loss: {:?}", began.elapsed());
    silence.send_replace(false);
    hosts.start(read(), &outbox);
    let back = inputs.recv().await;
    assert!(matches!(&back, Some(Input::Contact { lost: None, .. })), "{back:?}");
}
