//! Taking a recording over: from one who is gone, and from one who is there and does not answer.

use std::path::{Path, PathBuf};

use color_eyre::eyre::Result;

use super::session::{self, FileError, Session, Taking};
use super::socket::{self, Alive, Found};
use super::{screen, typed};
use crate::conductor::clock;
use crate::core::event::TakeOverWord;
use crate::journal::{Held, Recording, Take};
use crate::types::{Span, Time};

/// Who has a recording in hand.
pub enum Now {
    /// Nobody.
    Nobody,
    /// A cockpit that answers.
    Alive(Alive),
    /// One that holds the lock and does not answer.
    Silent(Silent),
}

/// A cockpit that holds a recording and does not do what it is asked.
pub struct Silent {
    /// Its process, and since when.
    who: String,
    /// What it does instead.
    why: String,
    /// When it was last seen to live: its last answer, or the last that it wrote.
    sign: Option<Time>,
}

impl Silent {
    fn of(held: &Held, why: String) -> Self {
        let since = held.since.map_or_else(String::new, |at| format!(", since {}", at.format("%H:%M:%SZ")));
        Self { who: format!("{}{since},", held.words.shown()), why, sign: held.wrote }
    }

    /// One that answered, and did not take what it was asked for.
    pub fn tongue_tied(alive: &Alive, why: &str) -> Self {
        let why = format!("lives and did not take it ({why})");
        Self { who: alive.words(), why, sign: Some(clock::now()) }
    }

    /// It holds, and what it does, and its last sign of life.
    pub fn words(&self) -> String {
        let sign = self.sign.map_or_else(
            || "no sign of life is known".to_owned(),
            |at| {
                let ago = (clock::now() - at).num_milliseconds().max(0).unsigned_abs();
                format!(
                    "its last sign of life is of {}, {} ago",
                    at.format("%H:%M:%SZ"),
                    Span::ms(ago).brief()
                )
            },
        );
        format!("{} holds it and {}; {sign}", self.who, self.why)
    }
}

/// Looks who has a recording in hand, for a few seconds at most.
///
/// # Errors
/// Where there is no recording.
pub async fn look(recording: &Path) -> Result<Now> {
    // First the lock: a socket that a dead cockpit left says nothing.
    let Some(held) = Recording::holder(recording)? else { return Ok(Now::Nobody) };
    Ok(match socket::find(recording).await {
        Found::Alive(alive) => Now::Alive(alive),
        Found::Silent(why) => Now::Silent(Silent::of(&held, format!("does not answer ({why})"))),
        // It may have ended meanwhile.
        Found::Nobody => match Recording::holder(recording)? {
            None => Now::Nobody,
            Some(held) => Now::Silent(Silent::of(&held, "has no socket".to_owned())),
        },
    })
}

/// What a person is told before they type the word.
pub fn warning(what: &str, now: &Now) -> String {
    match now {
        Now::Nobody => format!(
            "{what} Another cockpit that still runs elsewhere, on a copy of it, is refused by each host from then on."
        ),
        Now::Alive(alive) => format!("{what} The cockpit in it lives ({}) and does it.", alive.words()),
        Now::Silent(silent) => format!(
            "{what} The cockpit in it hangs: {}. The window goes on in a copy of the recording, under a higher \
             epoch: whatever the one that hangs still orders is refused by each host from then on.",
            silent.words()
        ),
    }
}

/// The word, typed or given as an option; `None` where it was not given.
///
/// # Errors
/// Where nobody could type it: `instead` names the option that stands for it.
pub fn word(given: bool, what: &str, word: &str, instead: &str) -> Result<Option<TakeOverWord>> {
    if given {
        return Ok(Some(TakeOverWord::Option));
    }
    Ok(typed::confirm(what, word, instead)?.then_some(TakeOverWord::Typed))
}

/// Picks the window up: in its recording, or in a copy of it where one that hangs holds that.
///
/// # Errors
/// Where it can't be read or written.
pub fn pick_up(
    recording: &Path,
    take: Take,
    word: TakeOverWord,
    silent: Option<&Silent>,
    ssh: Option<&Path>,
) -> Result<(Session, std::sync::Arc<screen::OnTerminal>)> {
    let (settings, prompt) = screen::settings(ssh);
    let how = Taking { word, silent: silent.is_some() };
    let Some(silent) = silent else {
        return Ok((session::pick_up(recording, take, &how, &settings)?, prompt));
    };
    let copy = copied(recording)?;
    eprintln!("{}: the window goes on in {}", silent.words(), copy.display());
    Ok((session::pick_up(&copy, take, &how, &settings)?, prompt))
}

/// A copy of a recording beside it; where nothing can be written there, among temporary files.
fn copied(recording: &Path) -> Result<PathBuf> {
    let whole = recording.canonicalize().map_err(|e| FileError(format!("{}: {e}", recording.display())))?;
    let name = whole.file_name().map_or_else(|| "recording".into(), |name| name.to_string_lossy());
    let name = format!("{name}-taken-over-{}", clock::now().format("%Y%m%dT%H%M%SZ"));
    let places = [whole.parent().map(Path::to_owned), Some(std::env::temp_dir())];
    let mut why = String::new();
    for place in places.into_iter().flatten() {
        let copy = place.join(&name);
        match Recording::copy(&whole, &copy) {
            Ok(()) => return Ok(copy),
            Err(error) => why = error.to_string(),
        }
    }
    Err(FileError(why).into())
}
