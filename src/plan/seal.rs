//! The seal: the hash by which a plan is the one that was reviewed.
//!
//! It is of the text, not of what was understood, so that a comment somebody relied on can't change
//! unseen either.

use super::Plan;
use crate::types::Blake3;

/// The seal of a plan's text: BLAKE3 of its bytes as they are in the file.
pub fn seal(text: &str) -> Blake3 {
    Blake3::of(text.as_bytes())
}

impl Plan {
    /// Whether this plan was read from exactly that text.
    pub fn is_sealed_as(&self, text: &str) -> bool {
        self.hash == seal(text)
    }
}
