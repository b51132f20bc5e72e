//! `holdpoint rollback`: the emergency key without the cockpit.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::session::UsageError;
use super::{screen, session, typed};
use crate::cli::{Exit, Rollback, Scope};
use crate::core::command::RollbackScope;
use crate::core::{Intent, rollback as outlook};

pub async fn rollback(args: Rollback, ssh: Option<&Path>) -> Result<Exit> {
    let scope = match (&args.host, args.scope) {
        (Some(host), _) => RollbackScope::Host(host.clone()),
        (None, Some(Scope::Wave)) => RollbackScope::Wave,
        (None, Some(Scope::All)) => RollbackScope::All,
        (None, None) => RollbackScope::Unconfirmed,
    };
    let what = format!(
        "This takes the window in {} over and rolls back: {}.",
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
    if !args.take_over && !typed::confirm(&what, "ROLLBACK", "--take-over")? {
        return Ok(Exit::Held);
    }
    let (settings, _prompt) = screen::settings(ssh);
    let opened = session::pick_up(&args.recording, session::taken(args.sound_prefix), &settings)?;
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
