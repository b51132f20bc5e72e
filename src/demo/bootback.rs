//! A rollback that finds a kernel of its batch running: the host boots the one of before first, and goes on by
//! itself after that. Pure, as the rest of the model.

use super::model::Host;
use super::work::Batch;
use crate::types::{BatchId, OperationId};

/// The exit status of a rollback that goes on after a boot.
pub(super) const GOES_ON: i32 = 75;

impl Host {
    /// The kernel that a rollback of this batch boots first: the newest that the batch did not bring.
    pub(super) fn boots_back(&self, batch: &Batch) -> Option<String> {
        let brought = |kernel: &str| {
            let image = format!("linux-image-{kernel}");
            batch.spec.packages().iter().any(|p| p.from.is_none() && p.package.name.as_str() == image)
        };
        let mut kernels = self.kernels();
        if !brought(&self.kernel) || !kernels.contains(&self.kernel) {
            return None;
        }
        kernels.retain(|kernel| !brought(kernel));
        kernels.pop()
    }

    /// A rollback ended so far that the host reboots for it.
    pub(super) fn goes_on(&mut self, batch: &BatchId, operation: &OperationId) {
        self.boots_next = self.batches.get(batch).and_then(|there| self.boots_back(there));
        self.fires(batch, operation);
        self.declare_reboot();
    }

    /// Whether it reboots by itself now.
    pub(super) fn reboots_itself(&self) -> bool {
        self.boots_next.is_some()
    }
}
