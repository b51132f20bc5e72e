//! An answer, read by the verb that it answers.
//!
//! Pure. The helper and whatever answers in its place (the demo's hosts) are held to the same
//! transcripts through this one reading.

use crate::core::event::Timer;
use crate::facts::{Pin, Section};
use crate::host::carry::{Offer, Piece, Taken};
use crate::host::frame::{Answer, End, Refusal};
use crate::host::look::Looked;
use crate::host::operation::{Kind, OperationReport, OperationState};
use crate::host::outcome::{
    ApplyResult, Identity, Left, OutcomeError, RollbackResult, StageResult, VerifyResult, parse_released,
    parse_timer,
};
use crate::host::verb::Verb;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Who is there.
    Hello(Identity),
    /// Raw sections; `facts` owns their meaning.
    Facts(Vec<Section>),
    /// What apt printed; `facts` owns its meaning.
    Simulation(Section),
    /// Package files that it could give.
    Files(Vec<Offer>),
    /// A piece of one.
    Piece(Piece),
    /// How much of one has arrived.
    Taken(Taken),
    /// How an operation stands, after it was asked to start.
    Started(OperationReport),
    /// A piece of its log, and how it stands.
    Log(Vec<Vec<u8>>, OperationReport),
    /// What it came to, once it is done, and how it stands.
    Result(Option<Box<Outcome>>, OperationReport),
    /// How a batch compares with before.
    Verified(VerifyResult),
    /// How a batch's dead-man timer stands.
    Timer(Timer),
    /// What is left on the host.
    Left(Left),
    /// What was released.
    Unpinned(Vec<Pin>),
    /// What became of each attempt, as they were asked for.
    Looked(Vec<Looked>),
    /// Raw sections; nobody reads them but people.
    Evidence(Vec<Section>),
    /// It was done.
    Done,
}

/// What an operation came to, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a stage.
    Stage(StageResult),
    /// Of an apply.
    Apply(ApplyResult),
    /// Of a rollback.
    Rollback(RollbackResult),
}

/// An answer that does not say what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// The helper refused: nothing was done.
    #[error("the host's helper refused ({}): {}", .0.code.word(), .0.words.shown())]
    Refused(Refusal),
    /// The helper ran the verb and could not do it.
    #[error("the host's helper ended with status {0}")]
    Failed(i32),
    /// A section that can't be read.
    #[error(transparent)]
    Section(#[from] OutcomeError),
}

impl Verb {
    /// What an answer to this verb says.
    ///
    /// # Errors
    /// That it was refused, that it failed, or what in it can't be read.
    pub fn read(&self, answer: &Answer) -> Result<Said, SaidError> {
        match &answer.end {
            End::Refused(refusal) => return Err(SaidError::Refused(refusal.clone())),
            End::Done(0) => {}
            End::Done(status) => return Err(SaidError::Failed(*status)),
        }
        let section = |name: &'static str| {
            answer.section(name).ok_or(OutcomeError::Missing { section: "answer", what: name })
        };
        let report = || OperationReport::parse(section("state")?);
        Ok(match self {
            Self::Hello | Self::Claim => Said::Hello(Identity::parse(section("id")?)?),
            Self::Facts(_) => Said::Facts(answer.sections.clone()),
            Self::Simulate(_) => Said::Simulation(section("simulation")?.clone()),
            Self::Have(_) => Said::Files(Offer::parse(section("files")?)?),
            Self::Give { .. } => Said::Piece(Piece::parse(section("piece")?)?),
            Self::Take { .. } => Said::Taken(Taken::parse(section("taken")?)?),
            Self::Start { .. } => Said::Started(report()?),
            Self::Read { .. } => Said::Log(section("log")?.lines.clone(), report()?),
            Self::Result(_) => {
                let report = report()?;
                let outcome = match report.state {
                    OperationState::Running | OperationState::Unknown => None,
                    OperationState::Done(_) => {
                        let result = section("result")?;
                        Some(Box::new(match report.kind {
                            Kind::Stage => Outcome::Stage(StageResult::parse(result)?),
                            Kind::Apply => Outcome::Apply(ApplyResult::parse(result)?),
                            Kind::Rollback => Outcome::Rollback(RollbackResult::parse(result)?),
                        }))
                    }
                };
                Said::Result(outcome, report)
            }
            Self::Verify(_) => Said::Verified(VerifyResult::parse(&answer.sections)?),
            Self::Arm { .. } | Self::Confirm { .. } | Self::Extend { .. } | Self::Timer(_) => {
                Said::Timer(parse_timer(&answer.sections)?)
            }
            Self::Left => Said::Left(Left::parse(section("left")?)?),
            Self::Unpin => Said::Unpinned(parse_released(section("pins")?)?),
            // Its answer is a stream, read as it comes.
            Self::Reboot { .. } | Self::Clean(_) | Self::Capture(_) | Self::Logs(_) => Said::Done,
            Self::Probe(looks) => Said::Looked(Looked::parse(section("probe")?, looks.len())?),
            Self::Evidence { .. } => Said::Evidence(answer.sections.clone()),
        })
    }
}
