//! `holdpoint resume`: picks a window up after a crash or on another machine.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::screen::{self, Cockpit};
use super::{session, typed};
use crate::cli::{Exit, Resume};

pub async fn resume(args: Resume, ssh: Option<&Path>) -> Result<Exit> {
    let what = format!(
        "This takes the window in {} over: another cockpit that still runs is refused by each host as soon as this one starts something there.",
        args.recording.display()
    );
    if !args.take_over && !typed::confirm(&what, "RESUME", "--take-over")? {
        return Ok(Exit::Held);
    }
    let (settings, prompt) = screen::settings(ssh);
    let opened = session::pick_up(&args.recording, session::taken(args.sound_prefix), &settings)?;
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
