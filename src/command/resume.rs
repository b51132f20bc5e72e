//! `holdpoint resume`: picks a window up after a crash or on another machine.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::screen::{self, Cockpit};
use super::session::{self, FileError};
use super::take::{self, Now};
use crate::cli::{Exit, Resume};

pub async fn resume(args: Resume, ssh: Option<&Path>) -> Result<Exit> {
    let what = format!("This takes the window in {} over.", args.recording.display());
    let now = take::look(&args.recording).await?;
    let silent = match &now {
        Now::Nobody => None,
        Now::Silent(silent) => Some(silent),
        Now::Alive(alive) => {
            let what = format!(
                "a cockpit runs the window in {} ({}): leave that one first; holdpoint rollback and holdpoint status \
                 speak to it meanwhile",
                args.recording.display(),
                alive.words()
            );
            return Err(FileError(what).into());
        }
    };
    let Some(word) = take::word(args.take_over, &take::warning(&what, &now), "RESUME", "--take-over")? else {
        return Ok(Exit::Held);
    };
    let take = session::taken(args.sound_prefix);
    let (opened, prompt) = take::pick_up(&args.recording, take, word, silent, ssh)?;
    if args.headless {
        headless::run(opened, AtTheKeys::Pilot, &mut std::io::stdout()).await
    } else {
        screen::cockpit(
            opened,
            &Cockpit { screen: &args.screen, present: false, prompt: &prompt, resumable: true },
        )
        .await
    }
}
