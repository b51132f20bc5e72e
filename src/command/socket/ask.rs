//! The other side: a command that finds a cockpit alive in its recording and speaks to it.

use std::io::{self, Write};
use std::path::Path;

use color_eyre::eyre::Result;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::time::{Duration, Instant, timeout};

use super::super::session::{UsageError, actor};
use super::{
    ANSWER_MAX, Alive, Answer, Ask, FORMAT, HANGS, LineError, Lines, NAME, Reach, Request, Say, address,
};
use crate::cli::Exit;
use crate::core::command::RollbackScope;
use crate::core::event::Actor;
use crate::types::Untrusted;

/// A cockpit that lives answers within this.
const ANSWERS: Duration = Duration::from_secs(3);
/// One that is followed says something each second; after so long it is given up.
const SILENT: Duration = Duration::from_secs(10);

/// What is in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No cockpit that could be spoken to.
    Nobody,
    /// One that answers, and whose loop turns.
    Alive(Alive),
    /// One that is there and does not answer, or whose loop hangs; in words.
    Silent(String),
}

/// Looks for a cockpit in a recording, for a few seconds at most.
pub async fn find(folder: &Path) -> Found {
    let asked = async {
        let mut lines = ask(folder, Ask::Status).await?;
        lines.next::<Answer>().await
    };
    match timeout(ANSWERS, asked).await {
        Err(_) => Found::Silent(format!("no answer in {}s", ANSWERS.as_secs())),
        Ok(Err(LineError::Io(error))) if nobody(&error) => Found::Nobody,
        // It went away while it was asked.
        Ok(Err(LineError::Ended)) => Found::Nobody,
        Ok(Err(error)) => Found::Silent(error.to_string()),
        Ok(Ok(Answer { say: Say::Alive(alive), .. })) if alive.turns() => Found::Alive(alive),
        Ok(Ok(Answer { say: Say::Alive(alive), .. })) => Found::Silent(hangs(&alive)),
        Ok(Ok(Answer { say: Say::Refused { why, .. }, .. })) => {
            Found::Silent(format!("it refuses: {}", Untrusted::new(why).shown()))
        }
        Ok(Ok(_)) => Found::Silent("it answers something else".to_owned()),
    }
}

fn hangs(alive: &Alive) -> String {
    format!("{}: its loop has not turned for {}s", alive.words(), alive.tick_age_ms / 1_000)
}

fn nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

async fn ask(folder: &Path, ask: Ask) -> Result<Lines<OwnedReadHalf>, LineError> {
    let (_open, at) = address(folder, NAME)?;
    let (from, mut to) = UnixStream::connect(at).await?.into_split();
    let actor = match actor() {
        Actor::Person(name) => Some(name),
        Actor::Holdpoint => None,
    };
    let request = Request { format: FORMAT.to_owned(), actor, ask };
    let mut text = serde_json::to_string(&request)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await?;
    // Its half is closed by this; nothing more is asked.
    drop(to);
    Ok(Lines::new(from, ANSWER_MAX))
}

/// What became of a rollback that was asked of a cockpit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It came to an end, with this status.
    Ended(Exit),
    /// It was not taken: the cockpit hangs or has gone. In words.
    NotTaken(String),
}

/// The key, pressed in a cockpit that lives: prints what comes of it, until all of it has an end.
///
/// # Errors
/// Where what is asked is a mistake, or nothing can be printed.
pub async fn roll_back(folder: &Path, scope: &RollbackScope, out: &mut dyn Write) -> Result<Asked> {
    let not_taken = |why: String| Ok(Asked::NotTaken(why));
    let mut lines = match timeout(ANSWERS, ask(folder, Ask::Rollback { scope: Reach::from(scope) })).await {
        Err(_) => return not_taken(format!("no answer in {}s", ANSWERS.as_secs())),
        Ok(Err(error)) => return not_taken(error.to_string()),
        Ok(Ok(lines)) => lines,
    };
    let mut accepted = false;
    let mut heard = Instant::now();
    loop {
        let patience = if accepted { SILENT } else { ANSWERS };
        let why = match timeout(patience.saturating_sub(heard.elapsed()), lines.next::<Answer>()).await {
            Err(_) => format!("the cockpit has said nothing for {}s", patience.as_secs()),
            Ok(Err(error)) => format!("the cockpit: {error}"),
            Ok(Ok(answer)) => match answer.say {
                Say::Alive(alive) if !alive.turns() => return not_taken(hangs(&alive)),
                Say::Alive(_) => continue,
                Say::Refused { why, mistake: true } => {
                    return Err(UsageError(Untrusted::new(why).shown()).into());
                }
                Say::Refused { why, mistake: false } => return not_taken(Untrusted::new(why).shown()),
                Say::Accepted { not_ready } => {
                    accepted = true;
                    heard = Instant::now();
                    for line in not_ready {
                        eprintln!("NOT READY: {}", Untrusted::new(line).shown());
                    }
                    continue;
                }
                Say::Event { at, text } => {
                    heard = Instant::now();
                    writeln!(out, "{} {}", at.format("%H:%M:%S%.3fZ"), Untrusted::new(text).shown())?;
                    out.flush()?;
                    continue;
                }
                // A pulse of one whose loop hangs is none.
                Say::Pulse { tick_age_ms } => {
                    if u128::from(tick_age_ms) < HANGS.as_millis() {
                        heard = Instant::now();
                    }
                    continue;
                }
                Say::Done { outcome, ended, text, notes } => {
                    for note in notes {
                        writeln!(out, "{}", Untrusted::new(note).shown())?;
                    }
                    let then = if ended { "" } else { "; the window stays open in its cockpit" };
                    writeln!(out, "{}{then}", Untrusted::new(text).shown())?;
                    return Ok(Asked::Ended(outcome.into()));
                }
                Say::Left => "the cockpit was left".to_owned(),
            },
        };
        if !accepted {
            return not_taken(why);
        }
        writeln!(out, "{why} before the rollback had an end: holdpoint rollback {} again", folder.display())?;
        return Ok(Asked::Ended(Exit::RollbackIncomplete));
    }
}
