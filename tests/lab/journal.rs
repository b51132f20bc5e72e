//! What a recording says, through `report --format json`.

use std::path::Path;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::program;

/// The events of a recording.
pub struct Journal(Vec<Value>);

impl Journal {
    /// Of a recording.
    pub fn of(fleet: &Fleet, recording: &Path) -> Self {
        let folder = recording.display().to_string();
        let ran = program::run(fleet, &["report", &folder, "--format", "json"]).must_end(0);
        let line = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        Self(ran.out.lines().map(line).collect())
    }

    /// The data of the events of one kind, in order.
    pub fn all(&self, group: &str, kind: &str) -> Vec<&Value> {
        let of = self.0.iter().map(|line| &line["event"]).filter(|event| event["group"] == group);
        of.map(|event| &event["data"]).filter(|data| data["event"] == kind).collect()
    }

    /// The sequence numbers of the events of one kind.
    pub fn seqs(&self, group: &str, kind: &str) -> Vec<u64> {
        let of = |line: &&Value| line["event"]["group"] == group && line["event"]["data"]["event"] == kind;
        self.0.iter().filter(of).filter_map(|line| line["seq"].as_u64()).collect()
    }

    /// How it ended, the last time.
    pub fn outcome(&self) -> &str {
        let ended = self.all("window", "ended");
        ended.last().and_then(|data| data["outcome"].as_str()).expect("it ended")
    }

    /// What comparisons after rollbacks found, as lists of differences.
    pub fn compared(&self) -> Vec<&Value> {
        let verified = self.all("batch", "verified").into_iter();
        verified.map(|data| &data["identity"]["differs"]).filter(|differs| !differs.is_null()).collect()
    }
}
