//! What is left on a demo's host after a batch: what its rollbacks pinned out, and what `clean` takes.
//! Pure.

use super::archive::{Row, size};
use super::model::{Host, section};
use crate::core::event::TimerState;
use crate::facts::{Pin, Section};
use crate::types::{BatchId, Time, Untrusted};

/// On whose account a rollback is, where it pins out what it takes back: since when, and who.
pub(super) type Account = (Time, &'static str);

/// Who comes in on these hosts, by name, and what fires there.
pub(super) const OPERATOR: &str = "root";
pub(super) const TIMER: &str = "timer";

fn line(pin: &Pin) -> String {
    format!("{} {} {} {} {}", pin.package, pin.version, pin.since.timestamp(), pin.batch, pin.by.raw())
}

impl Host {
    /// A batch's rollback: each version that it brought is kept out, with the date of the first time.
    pub(super) fn pin(&mut self, id: &BatchId, (since, by): Account) {
        let Some(batch) = self.batches.get(id).filter(|batch| batch.before.is_some()) else { return };
        if self.pins.iter().any(|pin| pin.batch == *id) {
            return;
        }
        let of = |package: &crate::host::operation::SpecPackage| {
            let (package, version) = (package.package.clone(), package.to.clone()?);
            Some(Pin { package, version, since, batch: id.clone(), by: Untrusted::new(by) })
        };
        let pins: Vec<Pin> = batch.spec.packages().iter().filter_map(of).collect();
        self.pins.extend(pins);
    }

    /// The batch goes on again.
    pub(super) fn unpin_batch(&mut self, id: &BatchId) {
        self.pins.retain(|pin| pin.batch != *id);
    }

    /// The lines of a rollback's result.
    pub(super) fn pinned_by(&self, id: &BatchId) -> impl Iterator<Item = String> {
        let of = self.pins.iter().filter(move |pin| pin.batch == *id);
        of.map(|pin| format!("pinned {} {}", pin.package, pin.version))
    }

    /// What is pinned, as the facts have it.
    pub(super) fn pin_lines(&self) -> Vec<String> {
        self.pins.iter().map(line).collect()
    }

    /// Whether a pin keeps the newer version of this row out.
    pub(super) fn is_pinned(&self, row: &Row) -> bool {
        self.pins.iter().any(|pin| pin.package == row.id && Some(&pin.version) == row.to.as_ref())
    }

    /// Whether a batch is open here: nothing is installed unattended then.
    pub(super) fn is_paused(&self) -> bool {
        self.timers_watched() || self.rollback_failed()
    }

    /// Releases every pin, and says which.
    pub(super) fn unpin(&mut self) -> Section {
        let released = std::mem::take(&mut self.pins);
        section("pins", released.iter().map(|pin| format!("released {}", line(pin))).collect())
    }

    /// Why `clean` would refuse now.
    pub(super) fn clean_held(&self) -> Option<&'static str> {
        if self.running().is_some() {
            Some("an operation is running")
        } else if self.is_paused() {
            Some("a timer is armed or firing, or its rollback failed and needs what is stored")
        } else {
            None
        }
    }

    /// What `clean` would take.
    pub(super) fn left_over(&self) -> Section {
        let mut bytes = 0;
        let mut lines = Vec::new();
        for (id, batch) in &self.batches {
            let both = batch.spec.packages().iter().flat_map(|package| {
                [&package.from, &package.to]
                    .into_iter()
                    .flatten()
                    .map(|version| size(&package.package, version))
            });
            let takes: u64 = both.sum();
            bytes += takes;
            let state = match self.timer_state(id) {
                TimerState::None if batch.rolled_back => TimerState::RolledBack.word(),
                TimerState::None if batch.before.is_some() => "applied",
                TimerState::None => "staged",
                state @ (TimerState::Armed
                | TimerState::Confirmed
                | TimerState::Firing
                | TimerState::RolledBack
                | TimerState::RollbackFailed) => state.word(),
            };
            lines.push(format!("batch {id} {state} {takes}"));
        }
        lines.push(format!("operations {}", self.operations.len()));
        lines.push(format!("bytes {bytes}"));
        lines.extend(self.pins.iter().map(|pin| format!("pin {}", line(pin))));
        lines.push(format!("held {}", self.clean_held().unwrap_or("-")));
        section("left", lines)
    }
}
