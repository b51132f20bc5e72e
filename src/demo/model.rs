//! One host of the demo, as a value: what is installed, what boots, which addresses it has, which
//! batches and operations it keeps. It answers the helper's verbs as the helper does.
//!
//! Pure: no clock, no socket, no task. What takes time is given back as steps ([`super::work`]), and
//! what happens to connections as [`Then`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::archive::{Archive, Row};
use super::files::Carried;
use super::left::{self, Account};
use super::logs::Journal;
use super::timer::Deadman;
use super::work::Batch;
use super::{apt, capture, facts, look};
use crate::facts::{Pin, Section};
use crate::host::carry::FileOf;
use crate::host::frame::{End, Refusal, RefusalCode};
use crate::host::operation::Kind;
use crate::host::verb::{Verb, Work};
use crate::types::{BatchId, BootId, Epoch, OperationId, PackageId, PackageName, Time, Untrusted, Version};

/// What a host is by its role in the story, and keeps for ever.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    /// Its name, which says as well which rows of the table are its own.
    pub name: String,
    /// Which rows of the table it has; the same as its name where it has some of its own.
    pub rows: String,
    /// Its main address.
    pub address: Ipv4Addr,
    /// The router.
    pub gateway: Ipv4Addr,
    /// The addresses of its customers.
    pub customers: Vec<Ipv4Addr>,
    /// Whether these were added by hand, so that nothing stored brings them back.
    pub by_hand: bool,
    /// The ports that it listens on, and for whom: `sshd`, `nginx`.
    pub listens: Vec<(u16, &'static str)>,
    /// Where its boot ids come from.
    pub seed: u64,
}

/// A package that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    pub version: Version,
    pub auto: bool,
    pub held: bool,
}

/// An operation, as its folder on a real host has it.
#[derive(Debug)]
pub(super) struct Operation {
    pub kind: Kind,
    pub batch: BatchId,
    /// The input that it was started with.
    pub spec: String,
    pub boot: BootId,
    pub log: Vec<u8>,
    /// For a rollback that pins out what it takes back: on whose account.
    pub pins: Option<Account>,
    /// Lines of the result, and the exit status, once it is done.
    pub done: Option<(Vec<String>, i32)>,
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub profile: Profile,
    pub archive: Arc<Archive>,
    pub installed: BTreeMap<PackageId, Here>,
    /// Files of /etc that some package changes, and a word for what is in them.
    pub etc: BTreeMap<String, String>,
    /// The customers' addresses that it has now.
    pub addresses: Vec<Ipv4Addr>,
    boots: u64,
    /// The kernel that runs.
    pub kernel: String,
    /// The kernel that it boots next, where that is not the newest.
    pub(super) boots_next: Option<String>,
    /// Who asked for a reboot since the last one.
    pub reboot_asked: BTreeSet<PackageName>,
    epoch: Epoch,
    /// Whether the helper has made its folder.
    state: bool,
    pub operations: BTreeMap<OperationId, Operation>,
    pub batches: BTreeMap<BatchId, Batch>,
    pub timers: BTreeMap<BatchId, Deadman>,
    /// The epoch that staged each batch.
    pub staged_by: BTreeMap<BatchId, Epoch>,
    /// What was released of the pins of each batch's rollback, and when.
    pub released: Vec<(Pin, Time)>,
    /// Files that its archive has no more.
    pub lost: BTreeSet<FileOf>,
    /// What other hosts gave it.
    pub carried: Vec<Carried>,
    /// What rollbacks pinned out.
    pub pins: Vec<Pin>,
    pub journal: Journal,
}

/// A call of the helper, as it came over ssh.
#[derive(Debug)]
pub(super) struct Call {
    /// The epoch that it carries.
    pub epoch: Epoch,
    /// Who calls: the installed helper as root, the same as another user, or the text over standard
    /// input.
    pub caller: Caller,
    /// What is asked.
    pub verb: Verb,
}

/// As whom a helper runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Root,
    User,
    Unenrolled,
}

/// An answer, and what happens after it.
#[derive(Debug)]
pub(super) struct Reply {
    pub sections: Vec<Section>,
    pub end: End,
    pub then: Option<Then>,
}

/// What an answer sets going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// This operation is to be worked off.
    Operate(OperationId),
    /// The host reboots.
    Reboot,
}

/// Nothing was done, and why.
pub(super) struct Refused(RefusalCode, String);

pub(super) type Answered = Result<(Vec<Section>, Option<Then>), Refused>;

pub(super) fn refused<T>(code: RefusalCode, words: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(code, words.into()))
}

/// A section of these lines that ended with 0.
pub(super) fn section(name: &str, lines: Vec<String>) -> Section {
    Section { name: name.to_owned(), lines: lines.into_iter().map(String::into_bytes).collect(), status: 0 }
}

impl Host {
    /// A host as it is when the story begins.
    pub(super) fn new(profile: Profile, archive: Arc<Archive>) -> Self {
        let mut host = Self {
            addresses: profile.customers.clone(),
            profile,
            archive: Arc::clone(&archive),
            installed: BTreeMap::new(),
            etc: BTreeMap::new(),
            boots: 1,
            kernel: String::new(),
            boots_next: None,
            reboot_asked: BTreeSet::new(),
            epoch: 0,
            state: false,
            operations: BTreeMap::new(),
            batches: BTreeMap::new(),
            timers: BTreeMap::new(),
            staged_by: BTreeMap::new(),
            released: Vec::new(),
            lost: BTreeSet::new(),
            carried: Vec::new(),
            pins: Vec::new(),
            journal: Journal::default(),
        };
        for row in archive.of_host(&host.profile.rows) {
            let Some(version) = row.from.clone() else { continue };
            for path in &row.changes {
                host.etc.insert(path.clone(), format!("{} {version}", row.id.name));
            }
            let held = row.kept == Some(super::archive::Kept::Held);
            host.installed.insert(row.id.clone(), Here { version, auto: row.auto, held });
        }
        host.kernel = host.kernels().pop().unwrap_or_default();
        host
    }

    /// Answers a call.
    pub(super) fn answer(&mut self, call: &Call, now: Time) -> Reply {
        match self.answered(call, now) {
            Ok((sections, then)) => Reply { sections, end: End::Done(0), then },
            Err(Refused(code, words)) => {
                let refusal = Refusal { code, words: Untrusted::new(words) };
                Reply { sections: Vec::new(), end: End::Refused(refusal), then: None }
            }
        }
    }

    fn answered(&mut self, call: &Call, now: Time) -> Answered {
        let only = |section| Ok((vec![section], None));
        match &call.verb {
            Verb::Hello => return only(section("id", self.identity(call.caller))),
            Verb::Facts(words) => {
                return Ok((facts::sections(self, words, call.caller == Caller::Root, now), None));
            }
            Verb::Probe(looks) => return only(look::looked(self, looks, &[])),
            Verb::Evidence { .. } => return Ok((look::evidence(self, now), None)),
            Verb::Simulate(_)
            | Verb::Have(_)
            | Verb::Give { .. }
            | Verb::Take { .. }
            | Verb::Start { .. }
            | Verb::Read { .. }
            | Verb::Result(_)
            | Verb::Verify(_)
            | Verb::Reboot { .. }
            | Verb::Arm { .. }
            | Verb::Confirm { .. }
            | Verb::Extend { .. }
            | Verb::Timer(_)
            | Verb::Logs(_)
            | Verb::Capture(_)
            | Verb::Claim
            | Verb::Left
            | Verb::Clean(_)
            | Verb::Unpin => {}
        }
        match call.caller {
            Caller::Root => self.state = true,
            Caller::User => return refused(RefusalCode::NeedsRoot, "this verb needs root"),
            Caller::Unenrolled => {
                return refused(RefusalCode::Usage, "this verb is for the installed helper");
            }
        }
        match &call.verb {
            Verb::Hello | Verb::Facts(_) | Verb::Probe(_) | Verb::Evidence { .. } => Ok((Vec::new(), None)),
            Verb::Simulate(wanted) => only(apt::simulation(self, wanted)),
            Verb::Have(files) => self.have(files),
            Verb::Give { file, offset } => self.give(file, *offset),
            take @ Verb::Take { .. } => self.take_piece(call.epoch, take),
            Verb::Start { operation, batch, work } => self.start(call.epoch, operation, batch, work, now),
            Verb::Read { operation, offset, .. } => self.read(operation, *offset),
            Verb::Result(operation) => {
                let done = self.operation(operation)?;
                let result = match &done.done {
                    Some((lines, _)) => section("result", lines.clone()),
                    None => Section { status: 1, ..section("result", Vec::new()) },
                };
                Ok((vec![result, self.state_of(done, done.log.len())], None))
            }
            Verb::Verify(batch) => self.verify(batch),
            Verb::Reboot { boot, .. } => {
                self.admit(call.epoch)?;
                if *boot != self.boot_id() {
                    return Ok((Vec::new(), None));
                }
                if self.running().is_some() {
                    return refused(RefusalCode::Busy, "an operation is running");
                }
                self.declare_reboot();
                Ok((Vec::new(), Some(Then::Reboot)))
            }
            Verb::Arm { batch, token, plan, times } => {
                self.arm(batch, call.epoch, token, *plan, times, now)?;
                only(self.timer(batch, now))
            }
            Verb::Confirm { batch, token, plan } => {
                self.admit(call.epoch)?;
                self.confirm(batch, token, *plan)?;
                only(self.timer(batch, now))
            }
            Verb::Extend { batch, token, by } => {
                self.admit(call.epoch)?;
                self.extend(batch, token, *by)?;
                only(self.timer(batch, now))
            }
            Verb::Timer(batch) => {
                let mut sections = vec![self.timer(batch, now)];
                // What a service of this fleet loads it loads anew as soon as it is replaced.
                if self.is_armed(batch) && self.batches.get(batch).is_some_and(|batch| batch.before.is_some())
                {
                    sections.push(section("replaced", Vec::new()));
                }
                Ok((sections, None))
            }
            Verb::Claim => {
                self.admit(call.epoch)?;
                only(section("id", self.identity(call.caller)))
            }
            Verb::Clean(over) => {
                self.admit(call.epoch)?;
                if let Some(why) = self.clean_held() {
                    return refused(RefusalCode::Busy, why);
                }
                if let Some(why) = self.clean_open(over) {
                    return refused(RefusalCode::Busy, why);
                }
                self.operations.clear();
                self.batches.clear();
                self.timers.clear();
                self.carried.clear();
                Ok((Vec::new(), None))
            }
            Verb::Left => only(self.left_over()),
            Verb::Logs(_) => Ok((Vec::new(), None)),
            Verb::Capture(_) if !capture::is_there() => {
                refused(RefusalCode::NoTool, "tcpdump is not installed")
            }
            Verb::Capture(addresses) => {
                let hosts: Vec<String> = addresses.iter().map(|address| format!("host {address}")).collect();
                let filter = format!("({}) and not tcp port 22", hosts.join(" or "));
                let nanos = now.timestamp_nanos_opt().unwrap_or_default();
                let interfaces = ["1: lo: <LOOPBACK,UP>", "2: eth0: <BROADCAST,UP>"].map(str::to_owned);
                let sections = vec![
                    section("interfaces", interfaces.to_vec()),
                    section("filter", vec![filter]),
                    section("clock", vec![nanos.to_string()]),
                ];
                Ok((sections, None))
            }
            Verb::Unpin => {
                self.admit(call.epoch)?;
                if self.running().is_some() {
                    return refused(RefusalCode::Busy, "an operation is running");
                }
                only(self.unpin(now))
            }
        }
    }

    fn identity(&self, caller: Caller) -> Vec<String> {
        let root = caller == Caller::Root;
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        vec![
            format!("uid {}", if root { 0 } else { 1000 }),
            format!("user {}", if root { "root" } else { "ops" }),
            format!("root {}", yes(root)),
            format!("state {}", yes(self.state)),
            if root { format!("epoch {}", self.epoch) } else { "epoch -".to_owned() },
            format!("enrolled {}", yes(caller != Caller::Unenrolled)),
        ]
    }

    /// The later cockpit wins.
    pub(super) fn admit(&mut self, epoch: Epoch) -> Result<(), Refused> {
        if epoch == 0 {
            return refused(RefusalCode::Usage, "this verb needs an epoch");
        }
        if epoch < self.epoch {
            return refused(RefusalCode::StaleEpoch, self.epoch.to_string());
        }
        self.epoch = epoch;
        Ok(())
    }

    fn start(&mut self, epoch: Epoch, id: &OperationId, batch: &BatchId, work: &Work, now: Time) -> Answered {
        let spec = match work {
            Work::Stage(spec) => {
                let names: BTreeSet<&PackageId> = spec.packages().iter().map(|p| &p.package).collect();
                if names.len() != spec.packages().len() || names.is_empty() {
                    return refused(RefusalCode::Usage, "the spec breaks its pattern: no package");
                }
                if spec.packages().iter().any(|package| package.from == package.to) {
                    return refused(RefusalCode::Usage, "the spec breaks its pattern: line 1");
                }
                spec.text()
            }
            Work::Apply | Work::Rollback | Work::RehearsedRollback => String::new(),
        };
        self.admit(epoch)?;
        let kind = work.kind();
        if let Some(there) = self.operations.get(id) {
            if there.kind != kind || there.batch != *batch || there.spec != spec {
                return refused(RefusalCode::ExistsDifferently, id.to_string());
            }
            return Ok((vec![self.state_of(there, 0)], None));
        }
        if kind != Kind::Rollback && self.running().is_some() {
            return refused(RefusalCode::Busy, "an operation is running");
        }
        match kind {
            Kind::Stage => {}
            Kind::Apply => self.need_armed(batch, now)?,
            Kind::Rollback => self.rolls_back(batch, id),
        }
        let boot = self.boot_id();
        if kind == Kind::Stage {
            self.staged_by.insert(batch.clone(), epoch);
        }
        let pins = (*work != Work::RehearsedRollback).then_some((now, left::OPERATOR));
        let (batch, log) = (batch.clone(), Vec::new());
        let operation = Operation { kind, batch, spec, boot, log, pins, done: None };
        let state = self.state_of(&operation, 0);
        self.operations.insert(id.clone(), operation);
        Ok((vec![state], Some(Then::Operate(id.clone()))))
    }

    fn operation(&self, id: &OperationId) -> Result<&Operation, Refused> {
        match self.operations.get(id) {
            Some(operation) => Ok(operation),
            None => refused(RefusalCode::UnknownOperation, id.to_string()),
        }
    }

    /// Whether a read from there on would have something to say.
    pub(super) fn has_news(&self, id: &OperationId, offset: u64) -> bool {
        let Some(operation) = self.operations.get(id) else { return true };
        operation.done.is_some()
            || operation.boot != self.boot_id()
            || u64::try_from(operation.log.len()).is_ok_and(|there| there != offset)
    }

    fn read(&self, id: &OperationId, offset: u64) -> Answered {
        /// As much as the helper gives at a time.
        const PIECE: usize = 262_144;
        let operation = self.operation(id)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| operation.log.get(offset..));
        let Some(rest) = rest else {
            return refused(RefusalCode::Usage, "the log is shorter than that");
        };
        // The log grows by whole lines alone, so only a cut can leave half a line.
        let mut piece = rest.get(..PIECE).unwrap_or(rest);
        if piece.len() < rest.len()
            && let Some(last) = piece.iter().rposition(|byte| *byte == b'\n')
        {
            piece = &piece[..=last];
        }
        let mut lines: Vec<Vec<u8>> = piece.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let next = operation.log.len() - rest.len() + piece.len();
        let log = Section { name: "log".to_owned(), lines, status: 0 };
        Ok((vec![log, self.state_of(operation, next)], None))
    }

    fn state_of(&self, operation: &Operation, next: usize) -> Section {
        let mut lines = vec![format!("kind {}", operation.kind.word()), format!("batch {}", operation.batch)];
        match &operation.done {
            Some((_, exit)) => lines.extend(["status done".to_owned(), format!("exit {exit}")]),
            None if operation.boot == self.boot_id() => lines.push("status running".to_owned()),
            None => lines.push("status unknown".to_owned()),
        }
        lines.extend([
            format!("next {next}"),
            format!("boot {}", operation.boot),
            format!("boot-now {}", self.boot_id()),
        ]);
        section("state", lines)
    }

    fn verify(&self, batch: &BatchId) -> Answered {
        let Some(batch) = self.batches.get(batch) else {
            return refused(RefusalCode::Usage, "no batch of that name was staged here");
        };
        let etc = match &batch.before {
            Some(before) => {
                let differs = super::work::differing(&before.etc, &self.etc);
                let same = UNCHANGED + before.etc.len().saturating_sub(differs.len());
                let mut lines = vec![format!("identical {same}")];
                lines.extend(differs.into_iter().map(|path| format!("differs {path}")));
                section("etc", lines)
            }
            None => {
                let words = "nothing was saved: the apply of this batch never began";
                Section { status: 1, ..section("etc", vec![words.to_owned()]) }
            }
        };
        let versions = batch.spec.packages().iter().map(|package| self.left(&package.package)).collect();
        Ok((vec![section("audit", Vec::new()), section("versions", versions), etc], None))
    }

    /// A package in the words of `verify` and of results.
    pub(super) fn left(&self, id: &PackageId) -> String {
        match self.installed.get(id) {
            Some(here) => {
                let want = if here.held { "hold" } else { "install" };
                format!("{id} {} {want} ok installed", here.version)
            }
            None => format!("{id} - unknown ok not-installed"),
        }
    }

    /// The first operation that is at work.
    pub(super) fn running(&self) -> Option<&OperationId> {
        let boot = self.boot_id();
        let at_work = |operation: &Operation| operation.done.is_none() && operation.boot == boot;
        self.operations.iter().find(|(_, operation)| at_work(operation)).map(|(id, _)| id)
    }

    /// What is newer than what is installed, by package: what `upgrade --with-new-pkgs` would take,
    /// and what it would keep.
    pub(super) fn offered(&self) -> (Vec<&Row>, Vec<&Row>) {
        let rows = self.archive.of_host(&self.profile.rows);
        let rows: Vec<&Row> = rows.into_iter().filter(|row| !self.is_pinned(row)).collect();
        let newer = |row: &&&Row| match (self.installed.get(&row.id), &row.to) {
            (Some(here), Some(to)) => here.version < *to,
            (None | Some(_), None) | (None, Some(_)) => false,
        };
        let (mut pending, mut kept) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(newer) {
            if row.kept.is_some() { kept.push(*row) } else { pending.push(*row) }
        }
        // A new package comes because something pending needs it.
        let new: Vec<&Row> = rows
            .iter()
            .filter(|row| row.from.is_none() && !self.installed.contains_key(&row.id))
            .filter(|row| pending.iter().any(|p| p.depends.iter().any(|needs| needs.name == row.id.name)))
            .copied()
            .collect();
        pending.extend(new);
        pending.sort_by(|a, b| a.id.cmp(&b.id));
        (pending, kept)
    }

    /// The kernels that are installed, the newest last.
    pub(super) fn kernels(&self) -> Vec<String> {
        let names = self.installed.keys().filter_map(|id| id.name.as_str().strip_prefix("linux-image-6"));
        let mut kernels: Vec<(Option<Version>, String)> =
            names.map(|rest| format!("6{rest}")).map(|kernel| (kernel.parse().ok(), kernel)).collect();
        kernels.sort();
        kernels.into_iter().map(|(_, kernel)| kernel).collect()
    }

    /// The boot that it is in: another one after each reboot, the same for the same seed.
    pub(super) fn boot_id(&self) -> BootId {
        let hash = crate::types::Blake3::of(
            format!("{} {} {}", self.profile.seed, self.profile.name, self.boots).as_bytes(),
        );
        let hex = hash.to_string().rsplit(':').next().unwrap_or_default().to_owned();
        let piece = |from: usize, to: usize| hex.get(from..to).unwrap_or("0").to_owned();
        let text = format!(
            "{}-{}-4{}-a{}-{}",
            piece(0, 8),
            piece(8, 12),
            piece(13, 16),
            piece(17, 20),
            piece(20, 32)
        );
        #[expect(clippy::unwrap_used, reason = "64 hexadecimal digits, cut to the form of a boot id")]
        text.parse().unwrap()
    }

    /// The host comes up: the newest kernel or the one that was named, and the network as it is stored.
    pub(super) fn boot(&mut self, now: Time) {
        self.boots += 1;
        self.timers_boot(now);
        let newest = self.kernels().pop().unwrap_or_default();
        self.kernel = self.boots_next.take().unwrap_or(newest);
        self.reboot_asked.clear();
        self.journal.say("kernel", format!("Linux version {}", self.kernel));
        self.reload_network();
    }

    /// What is stored is what there is; what was added by hand is gone.
    pub(super) fn reload_network(&mut self) {
        if self.profile.by_hand {
            self.addresses.clear();
        }
        self.journal.say("systemd", "Reloaded networking.service - Raise network interfaces.".to_owned());
    }
}

/// Files of /etc that no package of the story touches.
const UNCHANGED: usize = 1_874;
