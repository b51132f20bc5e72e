//! `holdpoint run`: the window.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::screen::{self, Cockpit};
use super::session;
use crate::cli::{Exit, Run};
use crate::conductor::clock;
use crate::core::event::Purpose;

pub async fn run(args: Run, ssh: Option<&Path>) -> Result<Exit> {
    let read = session::read_plan(&args.plan)?;
    let rehearsal = session::rehearsal(args.rehearsal.as_deref(), &read.plan)?;
    let folder = session::new_folder(args.recording.as_deref(), &read.plan.window.name, clock::now())?;
    let (settings, prompt) = screen::settings(ssh);
    let opened = session::open(read, Purpose::Run, rehearsal, folder.clone(), &settings)?;
    let exit = if args.headless {
        headless::run(opened, AtTheKeys::Pilot, &mut std::io::stdout()).await?
    } else {
        screen::cockpit(
            opened,
            &Cockpit { screen: &args.screen, present: args.present, prompt: &prompt, resumable: true },
        )
        .await?
    };
    println!("recording: {}", folder.display());
    Ok(exit)
}
