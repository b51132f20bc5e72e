//! The detached work of a host: what each step changes, and what a whole operation comes to.
//!
//! Pure: a step says how long it takes and what it changes; somebody else waits. Which steps there
//! are is in [`super::script`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::bootback::GOES_ON;
use super::model::{Here, Host};
use crate::host::operation::{Kind, Spec};
use crate::types::{BatchId, OperationId, PackageId, Version};

/// A batch, as its folder on a real host has it.
#[derive(Debug)]
pub(super) struct Batch {
    pub spec: Spec,
    pub staged: bool,
    pub rolled_back: bool,
    /// What was there before the apply; `None`: it has not begun.
    pub before: Option<Before>,
    /// /etc as the rollback found it.
    after: BTreeMap<String, String>,
    /// Addresses that the rollback put back, until its result is written.
    restored: Vec<Ipv4Addr>,
    /// Whether the rollback changed packages and restarted their units, until its result is written.
    restarted: bool,
}

/// What is saved before the first change.
#[derive(Debug, Clone)]
pub(super) struct Before {
    pub etc: BTreeMap<String, String>,
    installed: BTreeMap<PackageId, Here>,
    addresses: Vec<Ipv4Addr>,
}

/// One step of an operation.
#[derive(Debug)]
pub(super) struct Step {
    /// How long it takes.
    pub takes: Duration,
    /// What the log says when it is done.
    pub say: Vec<String>,
    /// What it does.
    pub act: Act,
}

/// What a step changes.
#[derive(Debug)]
pub(super) enum Act {
    Nothing,
    /// Keeps the spec and says that everything is there.
    Stage(Spec),
    /// Saves what is there, before the first change.
    Begin,
    /// A package gets another version; `None`: it goes.
    Put(PackageId, Option<Version>),
    /// Files of /etc as they were, marks and addresses as well.
    Restore,
    /// Addresses as they were, alone.
    RestoreNetwork,
    /// The operation is over.
    End {
        /// Its result so far; what is only known at the end is added.
        result: Vec<String>,
        exit: i32,
        /// How long all steps took.
        took: Duration,
    },
}

/// Paths whose words differ between two states of /etc, sorted.
pub(super) fn differing(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let mut paths: Vec<String> = a.keys().chain(b.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| a.get(path) != b.get(path));
    paths
}

impl Host {
    /// Takes a step of an operation: its words into the log, its change into the host.
    pub(super) fn take(&mut self, id: &OperationId, step: Step) {
        let Some(operation) = self.operations.get_mut(id) else { return };
        for line in &step.say {
            operation.log.extend_from_slice(line.as_bytes());
            operation.log.push(b'\n');
        }
        let (kind, batch) = (operation.kind, operation.batch.clone());
        match step.act {
            Act::Nothing => {}
            Act::Stage(spec) => {
                let id = batch.clone();
                let batch = self.batches.entry(batch).or_insert_with(|| Batch {
                    spec: spec.clone(),
                    staged: false,
                    rolled_back: false,
                    before: None,
                    after: BTreeMap::new(),
                    restored: Vec::new(),
                    restarted: false,
                });
                if batch.spec != spec {
                    (batch.before, batch.rolled_back) = (None, false);
                    self.timers.remove(&id);
                }
                (batch.spec, batch.staged) = (spec, true);
            }
            Act::Begin => {
                self.unpin_batch(&batch);
                let before = Before {
                    etc: self.etc.clone(),
                    installed: self.installed.clone(),
                    addresses: self.addresses.clone(),
                };
                if let Some(batch) = self.batches.get_mut(&batch) {
                    (batch.before, batch.rolled_back) = (Some(before), false);
                }
            }
            Act::Put(package, version) => self.put(&package, version),
            Act::Restore => {
                self.restore(&batch);
                self.restore_network(&batch);
            }
            Act::RestoreNetwork => self.restore_network(&batch),
            Act::End { mut result, exit, took } => {
                if let Some(account) = self.operations.get(id).and_then(|operation| operation.pins)
                    && kind == Kind::Rollback
                    && exit != GOES_ON
                {
                    self.pin(&batch, account);
                }
                self.report(kind, exit, &batch, &mut result);
                if let Some(batch) = self.batches.get_mut(&batch) {
                    (batch.restored, batch.restarted) = (Vec::new(), false);
                }
                result.push(format!("duration-ms {}", took.as_millis()));
                if let Some(operation) = self.operations.get_mut(id) {
                    operation.done = Some((result, exit));
                }
                match kind {
                    Kind::Rollback if exit == GOES_ON => self.goes_on(&batch, id),
                    Kind::Rollback => self.rollback_ended(&batch, exit),
                    Kind::Stage | Kind::Apply => {}
                }
            }
        }
    }

    pub(super) fn put(&mut self, id: &PackageId, version: Option<Version>) {
        let Some(version) = version else {
            self.installed.remove(id);
            return;
        };
        if let Some((row, newer)) = self.archive.release(id, &version) {
            // dpkg brings new conffiles, and leaves them where they are when it goes back.
            let paths = row.changes.iter().chain(&row.creates);
            for path in paths.filter(|_| newer) {
                self.etc.insert(path.clone(), format!("{} {version}", id.name));
            }
        }
        let units = self.archive.release(id, &version).map(|(row, _)| row.units.clone());
        for unit in units.into_iter().flatten() {
            self.journal.say("systemd", format!("Restarted {unit}."));
        }
        let auto = self.installed.get(id).is_none_or(|here| here.auto);
        let held = self.installed.get(id).is_some_and(|here| here.held);
        self.installed.insert(id.clone(), Here { version, auto, held });
        // As Debian's hook does: whatever kernel runs.
        if id.name.as_str().starts_with("linux-image-6") {
            self.reboot_asked.insert(id.name.clone());
        }
        if id.name.as_str() == "ifupdown" {
            self.reload_network();
        }
    }

    /// /etc and marks of before the batch.
    fn restore(&mut self, id: &BatchId) {
        let Some(batch) = self.batches.get_mut(id) else { return };
        let Some(before) = batch.before.clone() else { return };
        batch.after.clone_from(&self.etc);
        batch.rolled_back = true;
        for path in differing(&before.etc, &self.etc) {
            match before.etc.get(&path) {
                Some(words) => self.etc.insert(path, words.clone()),
                None => self.etc.remove(&path),
            };
        }
        for package in batch.spec.packages() {
            if let (Some(here), Some(was)) =
                (self.installed.get_mut(&package.package), before.installed.get(&package.package))
            {
                (here.auto, here.held) = (was.auto, was.held);
            }
        }
        batch.restarted = true;
    }

    /// Addresses of before the batch that are gone, in every pass.
    fn restore_network(&mut self, id: &BatchId) {
        let Some(batch) = self.batches.get_mut(id) else { return };
        let Some(before) = &batch.before else { return };
        let gone = before.addresses.iter().filter(|address| !self.addresses.contains(address));
        batch.restored = gone.copied().collect();
        self.addresses.extend(&batch.restored);
        for address in &batch.restored {
            self.journal.say("holdpoint", format!("{address} is back on eth0"));
        }
    }

    /// What an apply or a rollback is found to have come to, in the order in which the helper says it.
    fn report(&self, kind: Kind, exit: i32, id: &BatchId, result: &mut Vec<String>) {
        let Some(batch) = self.batches.get(id) else { return };
        let Some(before) = batch.before.as_ref().filter(|_| exit == 0) else { return };
        let units = batch.spec.packages().iter().filter_map(|package| {
            let to = package.to.as_ref()?;
            self.archive.release(&package.package, to).map(|(row, _)| row.units.clone())
        });
        let restarted = units.flatten().map(|unit| format!("unit-restarted {unit}"));
        match kind {
            Kind::Stage => {}
            Kind::Apply => {
                result.extend(differing(&before.etc, &self.etc).iter().map(|p| format!("etc-changed {p}")));
                result.extend(restarted);
                result.extend(self.packages(&batch.spec));
                result.extend(
                    ["apt-exit 0", "audit clean", "dependencies met", "marks same"].map(str::to_owned),
                );
                let wanted = if self.reboot_asked.is_empty() { "no" } else { "yes" };
                result.push(format!("reboot-required {wanted}"));
            }
            Kind::Rollback => {
                let addresses = batch.restored.iter();
                result.extend(addresses.map(|address| format!("address-restored eth0 {address}/24")));
                // A second rollback leaves the units alone.
                result.extend(restarted.filter(|_| batch.restarted));
                result.extend(self.packages(&batch.spec));
                result.extend(self.pinned_by(id));
                let put_back = differing(&before.etc, &batch.after);
                result.extend(put_back.iter().map(|path| format!("etc-restored {path}")));
                result.extend(
                    ["marks same", "audit clean", "dependencies met", "identical yes"].map(str::to_owned),
                );
            }
        }
    }
}

/// Free on every file system, in bytes.
pub(super) const FREE: u64 = 11_811_160_064;
