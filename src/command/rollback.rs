//! `holdpoint rollback`: the emergency key from another process, through the cockpit that runs the window or
//! without one.

use std::path::Path;

use color_eyre::eyre::Result;

use super::headless::{self, AtTheKeys};
use super::session::{self, UsageError};
use super::socket::{self, Asked};
use super::take::{self, Now};
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
    let now = take::look(&args.recording).await?;
    let Some(word) = take::word(args.take_over, &take::warning(&what, &now), "ROLLBACK")? else {
        return Ok(Exit::Held);
    };
    let silent = match now {
        Now::Nobody => None,
        Now::Silent(why) => Some(why),
        Now::Alive(_) => match socket::roll_back(&args.recording, &scope, &mut std::io::stdout()).await? {
            Asked::Ended(exit) => return Ok(exit),
            // It lived a moment ago: what was true when the word was typed may not be true any more.
            Asked::NotTaken(why) => match take::look(&args.recording).await? {
                Now::Nobody => None,
                Now::Alive(_) | Now::Silent(_) => Some(format!("the cockpit in it did not take it ({why})")),
            },
        },
    };
    let take = session::taken(args.sound_prefix);
    let (opened, _prompt) = take::pick_up(&args.recording, take, word, silent.as_deref(), ssh)?;
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
