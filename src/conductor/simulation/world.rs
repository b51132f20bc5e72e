//! A model of hosts: what is installed, which operations ran, what is lost when power or a
//! connection goes. It knows nothing of the conductor.

use std::collections::{BTreeMap, BTreeSet};

use super::timer::Timers;
use crate::core::Change;
use crate::core::effect::{Effect, OnHost};
use crate::core::event::{
    ApplyReport, FailKind, Failure, FailureKind, HelperState, Inspected, ProbeOutcome, Proof, ProofFile,
    RollbackReport, VerifyReport,
};
use crate::core::state::Work;
use crate::core::{Answer, Sample};
use crate::facts::{
    Boot, Domain, Fact, Installed, Listener, Locks, Network, Packages, Pending, Protocol, Services, Updates,
};
use crate::types::{
    BatchId, BootId, Epoch, HostName, OperationId, PackageId, PackageName, Sha256, Span, Time, UnitName,
    Version,
};

/// A small generator with a seed: the story of a seed is the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Ending {
    Staged(Proof),
    Applied(Result<ApplyReport, Failure>),
    RolledBack,
    /// Power went while it ran: no result will ever be there.
    Lost,
}

#[derive(Debug, Clone)]
struct Operation {
    done: Time,
    ending: Ending,
}

/// One host of the model.
#[derive(Debug, Clone)]
pub struct SimHost {
    pub installed: BTreeMap<PackageId, Version>,
    pub first: BTreeMap<PackageId, Version>,
    offered: Vec<(PackageName, &'static str, &'static str, bool)>,
    pub timers: Timers,
    /// The highest epoch that came: a lower one is refused.
    pub epoch: Epoch,
    stored: BTreeMap<BatchId, Vec<Change>>,
    before: BTreeMap<BatchId, BTreeMap<PackageId, Version>>,
    operations: BTreeMap<OperationId, Operation>,
    pub started: BTreeSet<OperationId>,
    boots: u64,
    pub reachable: bool,
    /// Whether the updates break what customers see.
    pub breaks: bool,
    /// Units that have failed.
    pub failed: Vec<UnitName>,
}

pub fn package(name: &PackageName) -> PackageId {
    PackageId::new(name.clone(), "amd64".parse().expect("an architecture"))
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

fn hash(name: &PackageName, version: &Version) -> Sha256 {
    Sha256::from_bytes(*blake3::hash(format!("{name} {version}").as_bytes()).as_bytes())
}

/// The epoch that an effect carries, where it changes something or claims.
pub fn effect_epoch(effect: &Effect) -> Option<Epoch> {
    match effect {
        Effect::Read { claim, .. } => *claim,
        Effect::Stage(on, ..)
        | Effect::Apply(on, _)
        | Effect::Rollback(on, _)
        | Effect::Reboot { on, .. }
        | Effect::Confirm { on, .. }
        | Effect::Timer { on, extend: Some(_), .. }
        | Effect::Inspect { on, .. } => Some(on.epoch),
        Effect::Timer { extend: None, .. }
        | Effect::Verify { .. }
        | Effect::Follow { .. }
        | Effect::Capture { .. }
        | Effect::Evidence { .. }
        | Effect::Probe { .. } => None,
    }
}

fn refused(effect: &Effect) -> Answer {
    let failure = Failure::new(FailureKind::Refused, "stale-epoch");
    match effect {
        Effect::Read { .. } => Answer::Read(Err(failure)),
        Effect::Stage(..) => Answer::Staged(Err(failure)),
        Effect::Apply(..) => Answer::Applied(Err(failure)),
        Effect::Rollback(..) => Answer::RolledBack(Err(failure)),
        Effect::Reboot { .. } => Answer::Rebooted(Err(failure)),
        Effect::Timer { .. } => Answer::Timer(Err(failure)),
        Effect::Confirm { .. } => Answer::Confirmed(Err(failure)),
        Effect::Inspect { .. }
        | Effect::Verify { .. }
        | Effect::Follow { .. }
        | Effect::Capture { .. }
        | Effect::Probe { .. } => Answer::Inspected(Inspected::Unknown, failure.what),
        Effect::Evidence { .. } => Answer::Evidence(Err(failure)),
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(FailureKind::Failed, why)
}

impl SimHost {
    /// A host with some packages, most of which have an update.
    pub fn new(dice: &mut Dice, odd: bool) -> Self {
        let names =
            ["libssl3", "openssl", "nginx", "vim", "libc6", "linux-image-6", "ifupdown", "curl", "zlib1g"];
        let mut offered = Vec::new();
        let mut installed = BTreeMap::new();
        for name in names {
            let name: PackageName = name.parse().expect("a name");
            installed.insert(package(&name), version("1.0-1"));
            if dice.below(10) < 7 {
                // An odd host is offered something that the baseline never saw.
                let to = if odd && dice.once_in(4) { "1.0-3" } else { "1.0-2" };
                let security = name.as_str().starts_with('l');
                offered.push((name, "1.0-1", to, security));
            }
        }
        Self {
            first: installed.clone(),
            installed,
            offered,
            timers: Timers::default(),
            epoch: 0,
            stored: BTreeMap::new(),
            before: BTreeMap::new(),
            operations: BTreeMap::new(),
            started: BTreeSet::new(),
            boots: dice.below(1 << 40),
            reachable: true,
            breaks: dice.once_in(5),
            failed: Vec::new(),
        }
    }

    fn boot(&self) -> BootId {
        format!("00000000-0000-0000-0000-{:012x}", self.boots & 0xffff_ffff_ffff).parse().expect("a boot id")
    }

    /// Power is cut and comes back: what ran is lost in the middle.
    pub fn power_cut(&mut self, now: Time) {
        self.boots += 1;
        self.timers.rebooted(now, false);
        for operation in self.operations.values_mut().filter(|operation| operation.done > now) {
            operation.done = now;
            operation.ending = Ending::Lost;
        }
    }

    /// Whether an apply or a rollback is at work.
    pub fn busy(&self, now: Time) -> bool {
        let change = |operation: &&Operation| !matches!(operation.ending, Ending::Staged(_));
        self.operations.values().filter(change).any(|operation| operation.done > now)
    }

    /// What reading it yields.
    pub fn facts(&self) -> Vec<Domain> {
        let pending = self.offered.iter().filter_map(|(name, _, to, security)| {
            let id = package(name);
            let from = self.installed.get(&id)?;
            let to = version(to);
            (*from < to).then(|| Pending {
                package: id.clone(),
                from: Some(from.clone()),
                security: *security,
                origin: "Debian".into(),
                source: if name.as_str() == "libssl3" {
                    "openssl".parse().expect("name")
                } else {
                    name.clone()
                },
                section: "libs".into(),
                size: Some(1_000),
                sha256: Some(hash(name, &to)),
                needs: Vec::new(),
                to,
            })
        });
        let installed = self.installed.iter().map(|(id, version)| {
            let package = Installed {
                version: version.clone(),
                status: "ok installed".into(),
                auto: false,
                held: false,
            };
            (id.clone(), package)
        });
        let boot = Boot {
            boot_id: self.boot(),
            init_started: 1,
            kernel: "6.1".into(),
            kernels: Vec::new(),
            reboot_required: Some(false),
            reboot_asked_by: Vec::new(),
            passphrases: Vec::new(),
        };
        let listener = Listener {
            protocol: Protocol::Tcp,
            at: "0.0.0.0:443".parse().expect("an address"),
            program: None,
            v6_only: false,
        };
        vec![
            Domain::Boot(Fact::Known(boot)),
            Domain::Network(Fact::Known(Network::default())),
            Domain::Listeners(Fact::Known(vec![listener])),
            Domain::Packages(Fact::Known(Packages { installed: installed.collect(), audit: Vec::new() })),
            Domain::Updates(Fact::Known(Updates { pending: pending.collect(), ..Updates::default() })),
            Domain::Services(Fact::Known(Services { failed: self.failed.clone() })),
            Domain::Locks(Fact::Known(Locks::default())),
        ]
    }

    pub fn has_ended(&self, operation: &OperationId, now: Time) -> bool {
        self.operations.get(operation).is_none_or(|operation| operation.done <= now)
    }

    pub fn was_lost(&self, operation: &OperationId) -> bool {
        self.operations.get(operation).is_some_and(|operation| operation.ending == Ending::Lost)
    }

    /// When nothing that changes it is at work.
    pub fn free_at(&self, now: Time) -> Time {
        let change = |operation: &&Operation| !matches!(operation.ending, Ending::Staged(_));
        self.operations.values().filter(change).map(|operation| operation.done).fold(now, Time::max)
    }

    pub fn greeting(&self, host: &HostName) -> Sample {
        let helper = HelperState { enrolled: true, why_not: None, epoch: self.epoch };
        Sample::Greeted { host: host.clone(), helper }
    }

    /// What its customers see now.
    pub fn served(&self) -> ProbeOutcome {
        let changed = self.installed != self.first;
        if self.breaks && changed {
            ProbeOutcome::fail(FailKind::NoAnswer, "no answer in 3s")
        } else {
            ProbeOutcome::Ok { took: Span::ms(12), said: "200".into() }
        }
    }

    /// Whether an order of that epoch is obeyed; a higher one is stored.
    fn admit(&mut self, epoch: Epoch) -> bool {
        let admitted = epoch >= self.epoch;
        self.epoch = self.epoch.max(epoch);
        admitted
    }

    /// Begins an effect; returns when it will have an answer.
    pub fn begin(&mut self, effect: &Effect, now: Time, dice: &mut Dice) -> Time {
        let takes = Span::ms(500 + dice.below(20_000));
        if !effect_epoch(effect).is_none_or(|epoch| self.admit(epoch)) {
            return now;
        }
        let fails = dice.once_in(15);
        match effect {
            Effect::Stage(on, changes, _) => self.begin_stage(on, changes, now + takes, fails),
            Effect::Apply(on, arming) => {
                let Some(changes) = self.stored.get(&on.batch).cloned() else { return now };
                let arming = arming.as_ref().expect("armed before apply");
                if self.timers.is_armed(&on.batch) || self.started.contains(&on.operation) {
                    return now;
                }
                self.timers.arm(&on.batch, arming, now);
                let done = self.begin_apply(on, &changes, now + takes, fails, dice);
                self.timers.set_anew(&on.batch, done);
                done
            }
            Effect::Rollback(on, _) => self.begin_rollback(on, now + takes),
            Effect::Reboot { .. } => {
                self.boots += 1;
                self.timers.rebooted(now, true);
                now + takes
            }
            Effect::Timer { on, extend, .. } => {
                if let Some(by) = extend {
                    self.timers.extend(&on.batch, *by);
                }
                now + Span::ms(200)
            }
            Effect::Confirm { on, arming } => {
                self.timers.confirm(&on.batch, arming);
                now + Span::ms(200)
            }
            Effect::Inspect { on, work: Work::Confirm, arming: Some(arming), .. } => {
                self.timers.confirm(&on.batch, arming);
                now + Span::ms(200)
            }
            Effect::Inspect { on, .. } => self.operations.get(&on.operation).map_or(now, |o| o.done.max(now)),
            Effect::Read { .. }
            | Effect::Verify { .. }
            | Effect::Follow { .. }
            | Effect::Probe { .. }
            | Effect::Evidence { .. }
            | Effect::Capture { .. } => now + takes,
        }
    }

    fn operate(&mut self, on: &OnHost, done: Time, ending: Ending) -> Time {
        assert!(self.started.insert(on.operation.clone()), "{} started twice", on.operation);
        self.operations.insert(on.operation.clone(), Operation { done, ending });
        done
    }

    fn begin_stage(&mut self, on: &OnHost, changes: &[Change], done: Time, fails: bool) -> Time {
        self.stored.insert(on.batch.clone(), changes.to_vec());
        let files = changes.iter().map(|change| ProofFile {
            package: change.package.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
            new: hash(&change.package.name, &change.to),
            old: change.from.as_ref().map(|from| hash(&change.package.name, from)),
            new_from: None,
            old_from: None,
        });
        let proof = Proof {
            files: files.collect(),
            missing: if fails { vec!["an archive does not answer".into()] } else { Vec::new() },
            beyond: Vec::new(),
            reverse: None,
            space_needed: 1,
            space_free: 2,
            ..Proof::default()
        };
        self.operate(on, done, Ending::Staged(proof))
    }

    fn begin_apply(
        &mut self,
        on: &OnHost,
        changes: &[Change],
        done: Time,
        fails: bool,
        dice: &mut Dice,
    ) -> Time {
        assert!(self.timers.is_armed(&on.batch), "armed before apply");
        self.before.insert(on.batch.clone(), self.installed.clone());
        let upto = if fails { changes.len() / 2 } else { changes.len() };
        for change in &changes[..upto] {
            self.installed.insert(change.package.clone(), change.to.clone());
        }
        let report =
            ApplyReport { took: Span::secs(5), reboot_required: dice.once_in(6), ..ApplyReport::default() };
        let result = if fails { Err(failed("dpkg stopped half-way")) } else { Ok(report) };
        self.operate(on, done, Ending::Applied(result))
    }

    fn begin_rollback(&mut self, on: &OnHost, done: Time) -> Time {
        // It waits its turn behind what its host does by itself.
        let done = done.max(self.free_at(done));
        self.timers.taken(&on.batch, &on.operation);
        self.roll_back(&on.batch, on.operation.clone(), done)
    }

    /// What it was before the batch, whoever asks.
    pub fn roll_back(&mut self, batch: &BatchId, operation: OperationId, done: Time) -> Time {
        match self.before.get(batch) {
            Some(before) => {
                for change in self.stored.get(batch).into_iter().flatten() {
                    match before.get(&change.package) {
                        Some(version) => self.installed.insert(change.package.clone(), version.clone()),
                        None => self.installed.remove(&change.package),
                    };
                }
            }
            // It never began: what comes late finds nothing to apply.
            None => {
                self.stored.remove(batch);
            }
        }
        assert!(self.started.insert(operation.clone()), "{operation} started twice");
        self.operations.insert(operation, Operation { done, ending: Ending::RolledBack });
        done
    }

    /// The answer of an effect that is done.
    pub fn answer(&self, effect: &Effect, now: Time) -> Answer {
        if effect_epoch(effect).is_some_and(|epoch| epoch < self.epoch) {
            return refused(effect);
        }
        match effect {
            Effect::Read { .. } => Answer::Read(Ok(())),
            Effect::Stage(on, ..) | Effect::Apply(on, _) | Effect::Rollback(on, _) => self.ended(on, effect),
            Effect::Timer { on, .. } => Answer::Timer(Ok(self.timers.report(&on.batch, now))),
            Effect::Confirm { on, .. } | Effect::Inspect { on, work: Work::Confirm, .. } => {
                Answer::Confirmed(Ok(self.timers.report(&on.batch, now)))
            }
            Effect::Reboot { .. } => Answer::Rebooted(Ok((self.boot(), Span::secs(20)))),
            Effect::Verify { after_rollback, changes, .. } => {
                Answer::Verified(Ok(self.verify(*after_rollback, changes)), Span::secs(2))
            }
            Effect::Inspect { on, work, was, .. } => match work {
                Work::Reboot if Some(self.boot()) != *was => {
                    Answer::Rebooted(Ok((self.boot(), Span::secs(20))))
                }
                Work::Reboot | Work::Verify | Work::Timer | Work::Confirm | Work::Evidence => {
                    Answer::Inspected(Inspected::NeverBegan, "it never began".into())
                }
                Work::Stage
                | Work::Apply
                | Work::Rollback
                | Work::Read
                | Work::Inspect
                | Work::Probe
                | Work::Capture
                | Work::Logs => self.ended(on, effect),
            },
            Effect::Evidence { .. } => Answer::Evidence(Err(failed("nothing is kept here"))),
            Effect::Probe { .. } => Answer::WatchEnded("the end".into()),
            Effect::Follow { .. } => Answer::LogsEnded("the end".into()),
            Effect::Capture { .. } => Answer::CaptureEnded("the end".into()),
        }
    }

    fn ended(&self, on: &OnHost, effect: &Effect) -> Answer {
        match self.operations.get(&on.operation).map(|operation| &operation.ending) {
            None => Answer::Inspected(Inspected::NeverBegan, "no such operation".into()),
            Some(Ending::Staged(proof)) => Answer::Staged(Ok(proof.clone())),
            Some(Ending::Applied(result)) => Answer::Applied(result.clone()),
            Some(Ending::RolledBack) => Answer::RolledBack(Ok(RollbackReport::default())),
            Some(Ending::Lost) => match effect {
                Effect::Stage(..) => Answer::Staged(Err(failed("power went"))),
                Effect::Apply(..) => Answer::Applied(Err(failed("power went"))),
                Effect::Rollback(..) => Answer::RolledBack(Err(failed("power went"))),
                Effect::Read { .. }
                | Effect::Reboot { .. }
                | Effect::Verify { .. }
                | Effect::Inspect { .. }
                | Effect::Timer { .. }
                | Effect::Confirm { .. }
                | Effect::Follow { .. }
                | Effect::Capture { .. }
                | Effect::Evidence { .. }
                | Effect::Probe { .. } => Answer::Inspected(Inspected::Unknown, "power went".into()),
            },
        }
    }

    fn verify(&self, after_rollback: bool, wanted: &[Change]) -> VerifyReport {
        let should =
            |change: &Change| if after_rollback { change.from.clone() } else { Some(change.to.clone()) };
        let wrong =
            wanted.iter().filter(|change| self.installed.get(&change.package) != should(change).as_ref());
        VerifyReport {
            wrong: wrong.map(|c| format!("{}", c.package).into()).collect(),
            ..VerifyReport::default()
        }
    }
}
