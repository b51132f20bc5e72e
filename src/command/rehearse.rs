//! `holdpoint rehearse`: the whole cycle on the baseline; leaves a recording that `run` finds.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::screen::{self, Cockpit};
use super::session;
use crate::cli::{Exit, Rehearse};
use crate::conductor::clock;
use crate::core::event::Purpose;

pub async fn rehearse(args: Rehearse, ssh: Option<&Path>) -> Result<Exit> {
    let read = session::read_plan(&args.plan)?;
    if read.plan.baseline.is_none() {
        let what = "a rehearsal applies, reboots and rolls back: the plan needs a [baseline] for it, a host without \
                    customers; on a live host it would do so outside the window";
        return Err(session::UsageError(what.to_owned()).into());
    }
    let folder = session::new_folder(
        args.recording.as_deref(),
        &format!("rehearsal {}", read.plan.window.name),
        clock::now(),
    )?;
    let (settings, prompt) = screen::settings(ssh);
    let opened = session::open(read, Purpose::Rehearsal, None, folder.clone(), &settings)?;
    let exit = if args.headless {
        headless::run(opened, AtTheKeys::Pilot, &mut std::io::stdout()).await?
    } else {
        screen::cockpit(
            opened,
            &Cockpit { screen: &args.screen, present: false, prompt: &prompt, resumable: true },
        )
        .await?
    };
    println!("recording: {}", folder.display());
    Ok(exit)
}
