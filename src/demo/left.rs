//! What is left on a demo's host after a batch: what its rollbacks pinned out, and what `clean` takes.
//! Pure.

use super::archive::{Row, size};
use super::model::{Host, section};
use crate::core::event::TimerState;
use crate::facts::{Pin, Section};
use crate::types::{BatchId, Epoch, Time, Untrusted};

/// On whose account a rollback is, where it pins out what it takes back: since when, and who.
pub(super) type Account = (Time, &'static str);

/// Who comes in on these hosts, by name, and what fires there.
pub(super) const OPERATOR: &str = "root";
pub(super) const TIMER: &str = "timer";

fn line(pin: &Pin) -> String {
    format!("{} {} {} {} {}", pin.package, pin.version, pin.since.timestamp(), pin.batch, pin.by.raw())
}

impl Host {
    /// A batch's rollback: each version that it brought is kept out, with the date of the first time. What was
    /// released stays so: nothing but an apply installs here.
    pub(super) fn pin(&mut self, id: &BatchId, (since, by): Account) {
        let Some(batch) = self.batches.get(id).filter(|batch| batch.before.is_some()) else { return };
        let released = self.released.iter().map(|(pin, _)| pin);
        if self.pins.iter().chain(released).any(|pin| pin.batch == *id) {
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
        self.released.retain(|(pin, _)| pin.batch != *id);
    }

    /// The lines of a rollback's result.
    pub(super) fn pinned_by(&self, id: &BatchId) -> impl Iterator<Item = String> {
        let released = self.released.iter().filter(move |(pin, _)| pin.batch == *id).map(|(pin, at)| {
            let at = at.format("%Y-%m-%d %H:%MZ");
            format!("caution {} {} is not pinned out: it was released on {at}", pin.package, pin.version)
        });
        let of = self.pins.iter().filter(move |pin| pin.batch == *id);
        released.chain(of.map(|pin| format!("pinned {} {}", pin.package, pin.version)))
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
    pub(super) fn unpin(&mut self, now: Time) -> Section {
        let released = std::mem::take(&mut self.pins);
        self.released.extend(released.iter().map(|pin| (pin.clone(), now)));
        section("pins", released.iter().map(|pin| format!("released {}", line(pin))).collect())
    }

    /// The batches that a window has not done with: how far each is, and whose it is.
    fn open(&self) -> impl Iterator<Item = (&BatchId, &'static str, Epoch)> {
        self.batches.iter().filter_map(|(id, batch)| {
            let state = match self.timer_state(id) {
                TimerState::None if batch.rolled_back => return None,
                TimerState::None if batch.before.is_some() => "applied",
                TimerState::None if batch.staged => "staged",
                TimerState::None | TimerState::Confirmed | TimerState::RolledBack => return None,
                state @ (TimerState::Armed | TimerState::Firing | TimerState::RollbackFailed) => state.word(),
            };
            Some((id, state, self.staged_by.get(id).copied().unwrap_or_default()))
        })
    }

    /// Why `clean` would refuse one who says that these batches are over.
    pub(super) fn clean_open(&self, over: &[BatchId]) -> Option<String> {
        let (id, state, epoch) = self.open().find(|(id, ..)| !over.contains(id))?;
        Some(format!("batch {id} is open here: {state}, by the window of epoch {epoch}"))
    }

    /// Why `clean` would refuse now, whoever asks.
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
        lines.extend(self.open().map(|(id, state, epoch)| format!("open {id} {state} {epoch}")));
        lines.extend(self.pins.iter().map(|pin| format!("pin {}", line(pin))));
        lines.push(format!("held {}", self.clean_held().unwrap_or("-")));
        section("left", lines)
    }
}
