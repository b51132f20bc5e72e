//! A host's evidence: asked for once, written into the recording.

use super::Task;
use crate::core::event::{EvidenceFile, Failure, FailureKind};
use crate::host::evidence;
use crate::host::verb::Verb;
use crate::journal::Recording;
use crate::types::Untrusted;

/// How far back the host's journal goes, in minutes: an apply, a reboot and the time after it.
const MINUTES: u16 = 60;

impl Task {
    /// Asked once and not again: it is of this moment, and somebody may wait for it to roll back.
    pub(super) async fn evidence(&self) -> Result<EvidenceFile, Failure> {
        let local = |what: String| Failure::new(FailureKind::Local, what);
        let Some(folder) = self.recording.clone() else {
            return Err(local("nothing is recorded here, so there is nowhere to keep it".to_owned()));
        };
        // They are here already, and the host may not answer.
        self.captures.save(self.asker.host());
        let answer = self.asker.ask(&Verb::Evidence { minutes: MINUTES }, 0).await?;
        let host = self.asker.host().clone();
        let at = (self.clock)();
        let kept = move || {
            let text = evidence::text(&host, at, &answer.sections);
            Recording::keep_evidence(&folder, &evidence::name(&host, at), text.as_bytes())
        };
        let kept = tokio::task::spawn_blocking(kept).await.map_err(|error| local(error.to_string()))?;
        let (file, blake3, bytes) = kept.map_err(|error| local(error.to_string()))?;
        Ok(EvidenceFile { file: Untrusted::new(file), blake3, bytes })
    }
}
