//! How an operation goes: the steps of a stage, an apply and a rollback, with the words of their
//! logs and the time that they take. Pure; what a step does to the host is in [`super::work`].

use std::time::Duration;

use super::apt;
use super::archive::{sha256, size};
use super::bootback::GOES_ON;
use super::model::Host;
use super::timer::WATCH;
use super::work::{Act, Batch, FREE, Step};
use crate::host::carry::FileOf;
use crate::host::operation::{Kind, Spec, SpecPackage};
use crate::types::{BatchId, OperationId, PackageId, PackageName, Version};

/// The shortest and the longest that apt works in an apply or a rollback, in milliseconds.
const SHORTEST: u64 = 3_000;
const LONGEST: u64 = 6_000;

/// Packages of the catalogue that bring what the helper copies: the shell, dpkg, tar, and what they run by.
const FEET: [&str; 9] =
    ["apt", "dpkg", "libapt-pkg6.0", "libc6", "liblzma5", "mount", "sed", "tar", "util-linux"];

/// Steps as they are written down, with the time each takes.
struct Script(Vec<Step>);

impl Script {
    fn say(&mut self, ms: u64, line: impl Into<String>) {
        self.all(ms, vec![line.into()], Act::Nothing);
    }

    fn all(&mut self, ms: u64, say: Vec<String>, act: Act) {
        self.0.push(Step { takes: Duration::from_millis(ms), say, act });
    }

    /// The last step: the word of its end in the log.
    fn end(mut self, kind: Kind, result: Vec<String>, exit: i32) -> Vec<Step> {
        let took = self.0.iter().map(|step| step.takes).sum();
        let say = vec![format!("holdpoint: {} ended with {exit}", kind.word())];
        self.all(0, say, Act::End { result, exit, took });
        self.0
    }
}

impl Host {
    /// The steps of an operation, now that it is its turn.
    pub(super) fn steps(&self, id: &OperationId) -> Vec<Step> {
        let Some(operation) = self.operations.get(id) else { return Vec::new() };
        let mut script = Script(Vec::new());
        script.say(100, format!("holdpoint: {} of batch {}", operation.kind.word(), operation.batch));
        match operation.kind {
            Kind::Stage => match operation.spec.parse() {
                Ok(spec) => self.stage(script, spec, &operation.batch),
                // It was read when the operation was started.
                Err(_) => script.end(Kind::Stage, vec!["failed spec".to_owned()], 1),
            },
            Kind::Apply => self.apply(script, &operation.batch),
            Kind::Rollback => self.roll_back(script, self.batches.get(&operation.batch)),
        }
    }

    fn stage(&self, mut script: Script, spec: Spec, batch: &BatchId) -> Vec<Step> {
        let near = spec.is_near();
        let snapshot = spec.asks_for_snapshot();
        let spec = spec.batch();
        let there = self.batches.get(batch);
        let has = |id: &PackageId, version: &Version| {
            let file = FileOf { package: id.clone(), version: version.clone() };
            self.in_archive(&file).then_some(None).or_else(|| self.given(batch, &file).map(Some))
        };
        if there.is_some_and(|batch| batch.before.is_some() && !batch.rolled_back) {
            let why = "failed already-begun this batch was applied; its way back is kept as it is";
            return script.end(Kind::Stage, vec![why.to_owned()], 1);
        }
        if there.is_some_and(|batch| batch.spec != spec) && self.is_watched(batch) {
            let why = "failed armed a timer watches another batch of this name";
            return script.end(Kind::Stage, vec![why.to_owned()], 1);
        }
        let sum: u64 = spec
            .packages()
            .iter()
            .flat_map(|package| [&package.from, &package.to].map(|version| (&package.package, version)))
            .filter_map(|(id, version)| version.as_ref().map(|version| size(id, version)))
            .sum();
        let space = format!("space need {} free {FREE} mount /", sum * 2 + 67_108_864);
        let mut result = vec![space, format!("timer ok {}", WATCH.word())];
        let (mut failed, mut way_back) = (false, true);
        let (mut news, mut olds) = (Vec::new(), Vec::new());
        for SpecPackage { package: id, to, sha256: wanted, .. } in spec.packages() {
            let Some(to) = to else { continue };
            if has(id, to).is_none() {
                result.push(format!("missing-new {id} neither the archive nor the cache has {to}"));
                failed = true;
            } else if wanted.is_some_and(|wanted| wanted != sha256(id, to)) {
                let wanted = wanted.map(|hash| hash.to_string()).unwrap_or_default();
                result.push(format!("mismatch {id} {wanted} {}", sha256(id, to)));
                failed = true;
            } else {
                news.push((id, to));
            }
        }
        for SpecPackage { package: id, from, .. } in spec.packages() {
            let Some(from) = from else { continue };
            if has(id, from).is_some() {
                olds.push((id, from));
            } else {
                result.push(format!("missing-old {id} neither the archive nor the cache has {from}"));
                (way_back, failed) = (false, failed || near);
            }
        }
        let staged = there.is_some_and(|batch| batch.staged && batch.spec == spec);
        for files in [&news, &olds] {
            if !staged && !files.is_empty() {
                script.say(150, format!("holdpoint: fetching {} package files", files.len()));
                let each = 900 / files.len() as u64;
                for (at, (id, version)) in files.iter().enumerate() {
                    script.say(each, apt::get(at + 1, id, version));
                }
            }
        }
        for SpecPackage { package: id, from, to, sha256: wanted } in spec.packages() {
            let hash = |version: &Option<Version>| match version {
                Some(version) if has(id, version).is_some() => sha256(id, version).to_string(),
                Some(_) | None => "-".to_owned(),
            };
            let or_dash =
                |version: &Option<Version>| version.as_ref().map_or("-".to_owned(), Version::to_string);
            result.push(format!(
                "package {} {} {} {} {} {}",
                id.name,
                id.arch,
                or_dash(from),
                or_dash(to),
                hash(to),
                hash(from)
            ));
            let checks = [
                ("new", to, if wanted.is_some() { "hash" } else { "index" }, "hash"),
                ("old", from, "index", "installed"),
            ];
            for (side, version, own, given) in checks {
                result.extend(version.as_ref().and_then(|version| has(id, version)).map(|from| match from {
                    None => format!("source {side} {id} archive {own}"),
                    Some(host) => format!("source {side} {id} host {given} {host}"),
                }));
            }
        }
        if failed {
            return script.end(Kind::Stage, result, 1);
        }
        script.say(400, "holdpoint: simulating the apply");
        if let Err(why) = self.closed(&spec) {
            script.say(50, format!("E: {why}"));
            result.push(
                "failed forward apt cannot install these files alone; its words are in the log".to_owned(),
            );
            return script.end(Kind::Stage, result, 1);
        }
        result.extend(simulated(&spec, "forward", "forward-remove", false));
        script.say(400, "holdpoint: simulating the rollback");
        if way_back {
            result.extend(simulated(&spec, "reverse-install", "reverse-remove", true));
            result.push("reverse ok".to_owned());
        } else {
            result.push("reverse fails an old package file is missing".to_owned());
        }
        for package in spec.packages() {
            let row = package.to.as_ref().and_then(|to| self.archive.release(&package.package, to));
            result.extend(row.iter().flat_map(|(row, _)| &row.units).map(|unit| format!("restarts {unit}")));
        }
        let stands =
            |package: &&SpecPackage| package.from.is_some() && FEET.contains(&package.package.name.as_str());
        let feet: Vec<String> =
            spec.packages().iter().filter(stands).map(|p| format!("stands-on {}", p.package)).collect();
        script.say(100, "holdpoint: copying the tools that the rollback stands on");
        let tools = if feet.is_empty() { "tools unneeded" } else { "tools ok 43" };
        result.extend(feet);
        result.push(tools.to_owned());
        if spec
            .packages()
            .iter()
            .any(|p| p.from.is_none() && p.package.name.as_str().starts_with("linux-image-6"))
        {
            result.extend(["kernel keeps 6.1.0-28-amd64", "kernel trial"].map(str::to_owned));
        }
        if snapshot {
            script.say(100, "holdpoint: looking whether a snapshot can be taken");
            let why = "/ is on overlay, and snapshots are taken of btrfs, LVM and ZFS alone";
            result.push(format!("snapshot fails {why}"));
        }
        script.all(100, Vec::new(), Act::Stage(spec));
        script.end(Kind::Stage, result, 0)
    }

    /// Whether these changes can be made alone: every dependency of what comes is there or comes too,
    /// and nothing that is held is touched.
    fn closed(&self, spec: &Spec) -> Result<(), String> {
        let coming = |id: &PackageId| spec.packages().iter().find(|package| package.package == *id);
        let after = |name: &PackageName| {
            let stays = self.installed.iter().filter(|(id, _)| id.name == *name && coming(id).is_none());
            let stays = stays.map(|(_, here)| here.version.clone());
            let comes = spec.packages().iter().filter(|package| package.package.name == *name);
            stays.chain(comes.filter_map(|package| package.to.clone())).collect::<Vec<Version>>()
        };
        for package in spec.packages() {
            if self.installed.get(&package.package).is_some_and(|here| here.held) {
                return Err(
                    "Held packages were changed and -y was used without --allow-change-held-packages."
                        .to_owned(),
                );
            }
            let Some(to) = &package.to else { continue };
            for relation in self.archive.depends(&package.package, to) {
                if !after(&relation.name).iter().any(|version| relation.takes(version)) {
                    return Err(format!(
                        "{} : Depends: {relation} but it is not going to be installed",
                        package.package
                    ));
                }
            }
        }
        Ok(())
    }

    fn apply(&self, mut script: Script, id: &BatchId) -> Vec<Step> {
        let refuse = |mut script: Script, words: String| {
            script.say(50, format!("holdpoint: refused: {words}"));
            script.end(Kind::Apply, vec![format!("refused {words}")], 2)
        };
        let Some(batch) = self.batches.get(id).filter(|batch| batch.staged) else {
            return refuse(script, "not-staged this batch was not staged".to_owned());
        };
        if batch.before.is_some() && !batch.rolled_back {
            let words = "already-begun this batch was applied before and was not rolled back";
            return refuse(script, words.to_owned());
        }
        let there = |id: &PackageId| self.installed.get(id).map(|here| &here.version);
        if let Some(other) = batch.spec.packages().iter().find(|p| there(&p.package) != p.from.as_ref()) {
            let from = other.from.as_ref().map_or("-".to_owned(), Version::to_string);
            return refuse(
                script,
                format!("from-differs {} {from} {}", other.package, self.left(&other.package)),
            );
        }
        if !self.is_armed(id) {
            return refuse(script, "unarmed the batch's timer is not armed any more".to_owned());
        }
        script.all(
            300,
            vec!["holdpoint: saving marks, /etc, addresses, routes and units".to_owned()],
            Act::Begin,
        );
        script.say(50, "holdpoint: installing");
        let changes: Vec<apt::Change> = batch
            .spec
            .packages()
            .iter()
            .map(|package| apt::Change {
                id: &package.package,
                from: package.from.as_ref(),
                to: package.to.as_ref(),
                network: package.package.name.as_str() == "ifupdown",
            })
            .collect();
        self.install(&mut script, &changes);
        script.say(100, "holdpoint: apt ended with 0");
        script.end(Kind::Apply, Vec::new(), 0)
    }

    /// apt at work on these changes: first all are unpacked, then each is set up.
    fn install(&self, script: &mut Script, changes: &[apt::Change<'_>]) {
        let budget = (SHORTEST + changes.len() as u64 * 150).min(LONGEST);
        let each = budget / (changes.len().max(1) as u64 * 2);
        script.all(250, apt::opening(changes, self.offered().1.len()), Act::Nothing);
        for (at, change) in changes.iter().enumerate() {
            script.all(each, apt::unpacking(at, change), Act::Nothing);
        }
        for change in changes {
            let put = Act::Put(change.id.clone(), change.to.cloned());
            script.all(each, apt::setting_up(change), put);
        }
        script.all(100, apt::triggers(), Act::Nothing);
    }

    fn roll_back(&self, mut script: Script, batch: Option<&Batch>) -> Vec<Step> {
        let Some((batch, _)) = batch.and_then(|batch| batch.before.as_ref().map(|before| (batch, before)))
        else {
            let mut result = vec!["never-began".to_owned()];
            if let Some(batch) = batch {
                result.extend(self.packages(&batch.spec));
            }
            result.extend(["audit clean".to_owned(), "identical yes".to_owned()]);
            return script.end(Kind::Rollback, result, 0);
        };
        if batch.rolled_back {
            let words =
                "holdpoint: rolled back before: only addresses and routes are put back, and all is verified";
            script.all(300, vec![words.to_owned()], Act::RestoreNetwork);
            return script.end(Kind::Rollback, Vec::new(), 0);
        }
        if let Some(old) = self.boots_back(batch) {
            script.say(
                100,
                format!("holdpoint: kernel {} of this batch runs: booting {old} first", self.kernel),
            );
            return script.end(Kind::Rollback, vec![format!("boots-back {old}")], GOES_ON);
        }
        let there = |id: &PackageId| self.installed.get(id).map(|here| &here.version);
        let changes: Vec<apt::Change> = batch
            .spec
            .packages()
            .iter()
            .filter(|package| there(&package.package) != package.from.as_ref())
            .map(|package| apt::Change {
                id: &package.package,
                from: there(&package.package),
                to: package.from.as_ref(),
                network: package.package.name.as_str() == "ifupdown",
            })
            .collect();
        script.say(100, "holdpoint: putting the old versions back (round 1)");
        self.install(&mut script, &changes);
        script.all(250, vec!["holdpoint: putting /etc back".to_owned()], Act::Nothing);
        script.all(100, Vec::new(), Act::Restore);
        script.end(Kind::Rollback, Vec::new(), 0)
    }

    /// The packages of a batch, as lines of a result.
    pub(super) fn packages(&self, spec: &Spec) -> Vec<String> {
        spec.packages().iter().map(|package| format!("package {}", self.left(&package.package))).collect()
    }
}

/// The steps of a simulation, sorted as the helper sorts them.
fn simulated(spec: &Spec, install: &str, remove: &str, back: bool) -> Vec<String> {
    let (mut installs, mut removals) = (Vec::new(), Vec::new());
    for package in spec.packages() {
        let (from, to) = if back { (&package.to, &package.from) } else { (&package.from, &package.to) };
        match to {
            Some(to) => {
                let from = from.as_ref().map_or("-".to_owned(), Version::to_string);
                installs.push(format!("{install} {} {from} {to}", package.package));
            }
            None => removals.push(format!("{remove} {}", package.package)),
        }
    }
    installs.sort();
    removals.sort();
    installs.into_iter().chain(removals).collect()
}
