//! What batches and operations left on a host, and what was released of what rollbacks pinned out.

use super::{OutcomeError, key, said, text_lines};
use crate::facts::{Pin, Section, pin};
use crate::types::{BatchId, Epoch, Untrusted};

/// What is left on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Batches that are kept there.
    pub batches: Vec<LeftBatch>,
    /// How many operations have a log there.
    pub operations: u64,
    /// What all of it takes, in bytes.
    pub bytes: u64,
    /// Snapshots of before a batch that are kept there: kind and where.
    pub snapshots: Vec<Untrusted>,
    /// Batches that a window has not done with.
    pub open: Vec<OpenBatch>,
    /// What is pinned out there: `unpin` releases it, `clean` does not.
    pub pins: Vec<Pin>,
    /// Why `clean` would refuse now, whoever asks; beside that it does for each that is open.
    pub held: Option<Untrusted>,
}

/// One batch that is kept on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBatch {
    /// Which.
    pub id: BatchId,
    /// How far it came, in the helper's word: `staged`, `applied`, or how its timer stands.
    pub state: Untrusted,
    /// What its packages and saved files take, in bytes.
    pub bytes: u64,
}

/// One that is open: staged and not begun, applied and not confirmed, or on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBatch {
    /// Which.
    pub id: BatchId,
    /// How far it came, in the helper's word.
    pub state: Untrusted,
    /// The highest epoch that worked on it; 0 where none is known.
    pub epoch: Epoch,
}

impl OpenBatch {
    /// Whether nothing on the host needs it: a window that is over has no use for it.
    pub fn is_idle(&self) -> bool {
        self.state.raw() == "staged"
    }
}

impl Left {
    /// Whether there is nothing that `clean` would remove.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.operations == 0
    }

    /// Reads the section `left`.
    ///
    /// # Errors
    /// The first line that breaks the contract, or a line that is missing.
    pub fn parse(section: &Section) -> Result<Self, OutcomeError> {
        let (mut batches, mut snapshots) = (Vec::new(), Vec::new());
        let (mut open, mut pins) = (Vec::new(), Vec::new());
        let (mut operations, mut bytes, mut held) = (None, None, None);
        for line in text_lines(section)? {
            let (word, rest) = key(&line.text);
            match word {
                "batch" => {
                    let [id, state, bytes] = line.words(rest)?;
                    let (id, bytes) = (line.read(&id)?, line.read(&bytes)?);
                    batches.push(LeftBatch { id, state: said(&state), bytes });
                }
                "open" => {
                    let [id, state, epoch] = line.words(rest)?;
                    let (id, epoch) = (line.read(&id)?, line.read(&epoch)?);
                    open.push(OpenBatch { id, state: said(&state), epoch });
                }
                "operations" => operations = Some(line.read(rest)?),
                "bytes" => bytes = Some(line.read(rest)?),
                "snapshot" => snapshots.push(said(rest)),
                "pin" => pins.push(pin(rest).map_err(|_| line.error())?),
                "held" => held = Some((rest != "-").then(|| said(rest))),
                _ => return Err(line.error()),
            }
        }
        let missing = |what| OutcomeError::Missing { section: "left", what };
        Ok(Self {
            batches,
            operations: operations.ok_or_else(|| missing("operations"))?,
            bytes: bytes.ok_or_else(|| missing("bytes"))?,
            snapshots,
            open,
            pins,
            held: held.ok_or_else(|| missing("held"))?,
        })
    }
}

/// Reads the section `pins` of `unpin`: what was released.
///
/// # Errors
/// The first line that breaks the contract.
pub fn parse_released(section: &Section) -> Result<Vec<Pin>, OutcomeError> {
    let lines = text_lines(section)?;
    let released = lines.iter().map(|line| match key(&line.text) {
        ("released", rest) => pin(rest).map_err(|_| line.error()),
        _ => Err(line.error()),
    });
    released.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        let lines = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        Section { name: "left".into(), lines, status: 0 }
    }

    #[test]
    fn what_is_left_is_read_whole_or_not_at_all() {
        let text = "batch b1 confirmed 4096\nbatch b2 staged 8192\noperations 3\nbytes 12288\n\
                    open b2 staged 1795268400\npin zip:amd64 2 1795268400 b0 ops\nheld -\n";
        let left = Left::parse(&section(text)).expect("reads");
        assert_eq!((left.batches.len(), left.operations, left.bytes), (2, 3, 12_288));
        assert_eq!((left.pins.len(), left.held.clone(), left.is_empty()), (1, None, false));
        let open: Vec<_> =
            left.open.iter().map(|open| (open.id.as_str(), open.epoch, open.is_idle())).collect();
        assert_eq!(open, [("b2", 1_795_268_400, true)]);
        let held = Left::parse(&section("operations 0\nbytes 0\nheld a timer is armed\n")).expect("reads");
        assert_eq!(held.held, Some("a timer is armed".into()));
        assert!(held.is_empty());
        for bad in ["", "operations 0\nbytes 0", "operations 0\nbytes 0\nheld -\nstray", "batch b1 staged"] {
            assert!(Left::parse(&section(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_released_is_named_by_version() {
        let released = parse_released(&section("released zip:amd64 2 1795268400 b0 ops\n")).expect("reads");
        assert_eq!((released.len(), released[0].version.as_str()), (1, "2"));
        assert_eq!(parse_released(&section("")).expect("reads"), []);
        assert!(parse_released(&section("zip:amd64 2 1795268400 b0 ops")).is_err());
        let failed = Section { status: 1, ..section("") };
        assert!(parse_released(&failed).is_err(), "half done is not done");
    }
}
