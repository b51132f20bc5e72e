//! `holdpoint replay`: the recorded session, on the same screen.

use std::sync::{Arc, Mutex, PoisonError};

use color_eyre::eyre::Result;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::screen;
use super::session::{FileError, UsageError};
use crate::cli::{Exit, Replay as Args};
use crate::core::View;
use crate::journal::{End, Entry, KeptFiles, Recording, Take};
use crate::replay::Replay;
use crate::tui::{self, Position, ReplayAction};
use crate::types::Span;

/// A frame of the replay.
const FRAME: Duration = Duration::from_millis(100);
/// Actions that wait: a person's keys.
const KEYS: usize = 64;

pub async fn replay(args: Args) -> Result<Exit> {
    let journal = Recording::read(&args.recording, Take::SoundPrefix)?;
    let mut notes = Vec::new();
    match &journal.end {
        End::Whole => {}
        End::Torn(torn) => notes.push(format!("its last line is torn at byte {}", torn.offset)),
        End::Damaged(damage) => notes.push(format!("only what is sound is shown: {damage}")),
    }
    let unknown = journal.entries.iter().filter(|entry| matches!(entry, Entry::Unknown(_))).count();
    if unknown > 0 {
        notes.push(format!("{unknown} events of a newer holdpoint are left out"));
    }
    let (kept, folder) = (KeptFiles::of(journal.known()), args.recording.clone());
    // Beside the screen: packets can be many, and the first frame waits for none of them.
    let differing = tokio::task::spawn_blocking(move || kept.differing(&folder));
    let records = journal.known().cloned().collect();
    let mut replay = Replay::new(records)
        .ok_or_else(|| FileError(format!("{} holds no event", args.recording.display())))?;
    replay.set_speed(args.speed);
    if let Some(place) = &args.at {
        replay.act(&ReplayAction::At(place.clone())).map_err(|e| UsageError(e.to_string()))?;
    }
    let mut options = screen::options(&args.screen, args.present)?;
    // In a replay "now" is the moment shown: ages and gates are what they were.
    let moment = Arc::new(Mutex::new(replay.moment()));
    let shown = Arc::clone(&moment);
    options.clock = Arc::new(move || *shown.lock().unwrap_or_else(PoisonError::into_inner));
    options.folder = Some(args.recording.clone());
    let (frames, view) = watch::channel(replay.frame());
    let (actions, wanted) = mpsc::channel(KEYS);
    let playing = tokio::spawn(play(replay, frames, wanted, moment));
    tui::run_replay(view, actions, options).await?;
    playing.abort();
    notes.extend(differing.await?.iter().map(ToString::to_string));
    for note in notes {
        eprintln!("{}: {note}", args.recording.display());
    }
    Ok(Exit::Done)
}

async fn play(
    mut replay: Replay,
    frames: watch::Sender<(View, Position)>,
    mut wanted: mpsc::Receiver<ReplayAction>,
    moment: Arc<Mutex<crate::types::Time>>,
) {
    let mut frame = interval(FRAME);
    frame.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            action = wanted.recv() => match action {
                None | Some(ReplayAction::Quit) => return,
                // A place that can't be understood moves nothing; the palette shows what was typed.
                Some(action) => if let Err(why) = replay.act(&action) { tracing::warn!("{why}") },
            },
            _ = frame.tick() => {
                replay.pass(Span::ms(FRAME.as_millis() as u64));
            }
        }
        *moment.lock().unwrap_or_else(PoisonError::into_inner) = replay.moment();
        let next = replay.frame();
        frames.send_if_modified(|shown| {
            let changed = shown.1 != next.1;
            *shown = next;
            changed
        });
    }
}
