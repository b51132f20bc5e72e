//! The cockpit on the operator's terminal: themes and colours, questions before it takes the screen,
//! and what its end means.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use color_eyre::eyre::Result;
use tokio::sync::mpsc;

use super::session::{FileError, Session, UsageError, actor};
pub use super::typed::OnTerminal;
use crate::cli::{Exit, Screen};
use crate::conductor::clock;
use crate::core::event::Outcome;
use crate::core::{Command, decide, describe};
use crate::host::Settings;
use crate::tui::theme::{BUILT_IN, ColorDepth, Theme};
use crate::tui::{self, Options};

/// Commands that wait for the loop: a person's keys, never many.
const KEYS: usize = 64;

/// The ssh settings of this machine, with questions asked on the terminal until the cockpit has it.
pub fn settings(ssh_file: Option<&Path>) -> (Arc<Settings>, Arc<OnTerminal>) {
    let prompt = Arc::new(OnTerminal::default());
    let settings = Settings {
        prompts: Some(prompt.clone()),
        ssh_config: ssh_file.map(Path::to_owned),
        ..Settings::of_this_machine()
    };
    (Arc::new(settings), prompt)
}

/// How the cockpit is opened.
pub struct Cockpit<'a> {
    /// Theme and the like.
    pub screen: &'a Screen,
    /// Whether for a shared screen.
    pub present: bool,
    /// What asked on the terminal until now.
    pub prompt: &'a OnTerminal,
    /// Whether the window can be picked up again: the demo's can't.
    pub resumable: bool,
}

/// Draws a session until the operator leaves it. Leaving is a hold, not an end: what runs on hosts
/// finishes, and `resume` comes back to it.
pub async fn cockpit(session: Session, how: &Cockpit<'_>) -> Result<Exit> {
    let mut options = options(how.screen, how.present)?;
    options.folder = session.folder.clone();
    // Passphrases and passwords are asked for before the screen is taken.
    let hosts = session.askers.iter().map(|asker| asker.link().connect());
    futures_util::future::join_all(hosts).await;
    how.prompt.close();
    let (intents, mut wanted) = mpsc::channel(KEYS);
    let commands = session.handles.commands.clone();
    let forward = tokio::spawn(async move {
        while let Some(intent) = wanted.recv().await {
            if commands.send(Command { actor: actor(), intent }).is_err() {
                break;
            }
        }
    });
    let mut views = session.handles.views.clone();
    let ended = tui::run(views.clone(), intents, options).await;
    // The last key was a hold: it is on its way before the loop is left.
    forward.await?;
    let state = views.borrow_and_update().state.clone();
    let now = clock::now();
    let outcome = state.ended.map_or_else(|| decide::outcome(&state, now), |(_, outcome)| outcome);
    let folder = session.folder.clone();
    session.finish().await;
    ended?;
    if outcome == Outcome::RollbackIncomplete {
        let at = state.ended.map_or(now, |(at, _)| at);
        println!("{}", describe::ended(&state, outcome, at));
    }
    if let (true, Some(folder), None) = (how.resumable, folder, state.ended) {
        println!("held; holdpoint resume {} goes on, holdpoint rollback takes back", folder.display());
    }
    Ok(outcome.into())
}

/// Themes by name or file, at the colours that the terminal has.
pub fn options(screen: &Screen, present: bool) -> Result<Options> {
    if !std::io::stdout().is_terminal() {
        let what = "the cockpit wants a terminal on standard output; --headless prints a line for each event";
        return Err(UsageError(what.to_owned()).into());
    }
    let env = |name| std::env::var(name).ok();
    let (no_color, colorterm, term) = (env("NO_COLOR"), env("COLORTERM"), env("TERM"));
    let depth = ColorDepth::from_words(no_color.as_deref(), colorterm.as_deref(), term.as_deref());
    let mut options = Options::new(depth, Arc::new(clock::now));
    options.present = present;
    let named = &screen.theme;
    match BUILT_IN.iter().position(|(name, _)| name == named) {
        Some(at) => options.themes.rotate_left(at),
        None if Path::new(named).is_file() => {
            let text = std::fs::read_to_string(named)
                .map_err(|e| FileError(format!("the theme {named} can't be read: {e}")))?;
            let theme = Theme::parse(named, named, &text, depth).map_err(|e| UsageError(e.to_string()))?;
            options.themes.insert(0, theme);
        }
        None => {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            let what = format!("{named:?} is no theme: write one of {}, or a file", names.join(", "));
            return Err(UsageError(what).into());
        }
    }
    Ok(options)
}
