//! `holdpoint rollback`: the emergency key from another process, through the cockpit that runs the window or
//! without one.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::session::{self, FileError, UsageError};
use super::socket::{self, Asked};
use super::take::{self, Now, Silent};
use crate::cli::{Exit, Rollback, Scope};
use crate::core::command::RollbackScope;
use crate::core::event::TakeOverWord;
use crate::core::{Intent, rollback as outlook};

pub async fn rollback(args: Rollback, ssh: Option<&Path>) -> Result<Exit> {
    let scope = match (&args.host, args.scope) {
        (Some(host), _) => RollbackScope::Host(host.clone()),
        (None, Some(Scope::Wave)) => RollbackScope::Wave,
        (None, Some(Scope::All)) => RollbackScope::All,
        (None, None) => RollbackScope::Unconfirmed,
    };
    let what = format!(
        "This rolls back the window in {}: {}.",
        args.recording.display(),
        match &scope {
            RollbackScope::Unconfirmed => "what is unconfirmed, or the batch confirmed last".to_owned(),
            RollbackScope::Host(host) => format!("everything of {host}, confirmed work included"),
            RollbackScope::Wave =>
                "everything of the newest host, the one whose batch was applied last, confirmed work included"
                    .to_owned(),
            RollbackScope::All => "everything, confirmed work included".to_owned(),
        }
    );
    let (word, silent) = match press(&args, &scope, &what).await? {
        Pressed::Ended(exit) => return Ok(exit),
        Pressed::Take { word, silent } => (word, silent),
    };
    let take = session::taken(args.sound_prefix);
    let (opened, _prompt) = take::pick_up(&args.recording, take, word, silent.as_ref(), ssh)?;
    if let RollbackScope::Host(host) = &scope
        && !opened.start.hosts.contains_key(host)
    {
        opened.finish().await;
        return Err(UsageError(format!("{host} is not in the plan of this window")).into());
    }
    let outlook = outlook::outlook(&opened.start, &scope);
    for line in outlook.missing {
        eprintln!("NOT READY: {line}");
    }
    opened.send(Intent::Rollback { scope, why: "asked for on the command line".into() })?;
    let keys = AtTheKeys::Finisher { asked: outlook.batches };
    headless::run(opened, keys, &mut std::io::stdout()).await
}

/// What came of the key, as far as it can be pressed without taking the recording over.
enum Pressed {
    /// It has ended: by the cockpit that runs the window, or since a word was not given.
    Ended(Exit),
    /// The recording is to be taken over: for which word, and from whom.
    Take { word: TakeOverWord, silent: Option<Silent> },
}

/// Presses the key in the cockpit that lives. One that does not take it is another decision than the
/// rollback, so it has a word of its own.
async fn press(args: &Rollback, scope: &RollbackScope, what: &str) -> Result<Pressed> {
    let now = take::look(&args.recording).await?;
    let warning = take::warning(what, &now);
    let alive = match now {
        Now::Nobody => None,
        Now::Alive(alive) => Some(alive),
        Now::Silent(silent) => return take_over(args, scope, what, silent).await,
    };
    let Some(word) = take::word(args.yes || args.take_over, &warning, "ROLLBACK", "--yes")? else {
        return Ok(Pressed::Ended(Exit::Held));
    };
    let Some(alive) = alive else { return Ok(Pressed::Take { word, silent: None }) };
    match socket::roll_back(&args.recording, scope, &mut std::io::stdout()).await? {
        Asked::Ended(exit) => Ok(Pressed::Ended(exit)),
        // It lived a moment ago: what was true when the word was typed may not be true any more.
        Asked::NotTaken(why) => match take::look(&args.recording).await? {
            Now::Nobody => Ok(Pressed::Take { word, silent: None }),
            Now::Silent(silent) => take_over(args, scope, what, silent).await,
            Now::Alive(_) => take_over(args, scope, what, Silent::tongue_tied(&alive, &why)).await,
        },
    }
}

/// Asks whether the recording is taken over from one that holds it. The word may take its time: the one
/// that holds it is asked once more before it is taken over.
async fn take_over(args: &Rollback, scope: &RollbackScope, what: &str, silent: Silent) -> Result<Pressed> {
    if args.take_over {
        return Ok(Pressed::Take { word: TakeOverWord::Option, silent: Some(silent) });
    }
    let recording = args.recording.display();
    if args.yes {
        let what = format!(
            "nothing was taken over: {}; --yes does not take over from one that holds the window: holdpoint \
             rollback {recording} --take-over does, and holdpoint status {recording} says whether it lives",
            silent.words()
        );
        return Err(FileError(what).into());
    }
    let warning = take::warning(what, &Now::Silent(silent));
    let Some(word) = take::word(false, &warning, "TAKE-OVER", "--take-over")? else {
        return Ok(Pressed::Ended(Exit::Held));
    };
    let silent = match take::look(&args.recording).await? {
        Now::Nobody => None,
        Now::Silent(silent) => Some(silent),
        Now::Alive(alive) => match socket::roll_back(&args.recording, scope, &mut std::io::stdout()).await? {
            Asked::Ended(exit) => return Ok(Pressed::Ended(exit)),
            Asked::NotTaken(why) => Some(Silent::tongue_tied(&alive, &why)),
        },
    };
    Ok(Pressed::Take { word, silent })
}
