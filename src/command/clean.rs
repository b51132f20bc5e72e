//! `holdpoint clean`: removes what batches and operations left on the plan's hosts. A host that a window of
//! this machine has in hand, or on which a batch is open, is left alone and said so; the host itself refuses
//! that as well. What is pinned out stays: `holdpoint unpin` releases that.

use std::path::Path;

use color_eyre::eyre::Result;
use serde_json::{Value, json};

use super::session::UsageError;
use super::windows::Windows;
use super::{screen, session, typed};
use crate::cli::{Clean, Exit};
use crate::core::event::FailureKind;
use crate::host::ask::Asker;
use crate::host::outcome::Left;
use crate::host::said::Said;
use crate::host::verb::Verb;
use crate::journal;
use crate::plan::Plan;
use crate::types::{BatchId, HostName, Untrusted};

/// What came of one host.
enum Came {
    /// Nobody has to be asked: there is nothing, or nothing that may go.
    Shown,
    /// Removed.
    Removed,
    /// The host did not do it: why, and whether it refused.
    Failed { why: String, refused: bool },
}

struct One {
    asker: Asker,
    left: Result<Left, String>,
    /// Why it is left alone, and what to do about it.
    alone: Vec<String>,
    came: Came,
}

impl One {
    fn host(&self) -> &HostName {
        self.asker.host()
    }

    fn goes(&self) -> bool {
        self.alone.is_empty() && self.left.as_ref().is_ok_and(|left| !left.is_empty())
    }

    fn exit(&self) -> Exit {
        match (&self.left, &self.came) {
            (Err(_), _) | (_, Came::Failed { refused: false, .. }) => Exit::Unreachable,
            (Ok(_), Came::Failed { refused: true, .. }) => Exit::Held,
            (Ok(left), Came::Shown) if !self.alone.is_empty() && !left.is_empty() => Exit::Held,
            (Ok(_), Came::Shown | Came::Removed) => Exit::Done,
        }
    }
}

pub async fn clean(args: Clean, ssh: Option<&Path>) -> Result<Exit> {
    let read = session::read_plan(&args.plan)?;
    if args.json && !args.yes && !args.look {
        let what = "clean --json asks nothing: it wants --yes, or --look to remove nothing";
        return Err(UsageError(what.into()).into());
    }
    let (settings, _prompt) = screen::settings(ssh);
    let mut all = Vec::new();
    for asker in session::chosen(session::askers(&read.plan, &settings), args.host.as_ref())? {
        let left = ask(&asker).await;
        all.push(One { asker, left, alone: Vec::new(), came: Came::Shown });
    }
    let open = all.iter().filter_map(|one| one.left.as_ref().ok()).flat_map(|left| &left.open);
    let open = open.map(|open| open.id.clone()).collect();
    let windows = Windows::under(&journal::default_root()?, &args.recording, &open).await?;
    for one in &mut all {
        one.alone = alone(&windows, &read.plan, one, &args.abandon);
    }
    if !args.json {
        all.iter().for_each(print_left);
    }
    let some_go = all.iter().any(One::goes);
    let what = "This removes from these hosts what is listed as removable: the stored packages, so the way back \
                of confirmed batches, and the logs. A window that another machine has in hand, with no batch open on \
                these hosts now, loses what it has stored there.";
    let refused = some_go && !args.look && !args.yes && !typed::confirm(what, "CLEAN", "--yes")?;
    if some_go && !args.look && !refused {
        for one in all.iter_mut().filter(|one| one.goes()) {
            let open = one.left.iter().flat_map(|left| &left.open).map(|open| open.id.clone()).collect();
            one.came = remove(&one.asker, open).await;
            if !args.json {
                print_came(one);
            }
        }
    }
    for one in &all {
        one.asker.link().close().await;
    }
    if args.json {
        println!("{}", Untrusted::json(&as_json(&all).to_string()));
    }
    let worst = all.iter().map(One::exit).max().unwrap_or(Exit::Done);
    Ok(if refused { worst.max(Exit::Held) } else { worst })
}

async fn ask(asker: &Asker) -> Result<Left, String> {
    let helper = asker.greet().await.map_err(|failure| failure.what.shown())?;
    if let Some(why) = helper.why_not {
        return Err(format!("not enrolled: {}", why.shown()));
    }
    let answer = asker.ask(&Verb::Left, 0).await.map_err(|failure| failure.what.shown())?;
    match Verb::Left.read(&answer) {
        Ok(Said::Left(left)) => Ok(left),
        Ok(_) => Err("the helper answered something else".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Why a host is left alone, each with what to do about it; nothing where it may be cleaned.
fn alone(windows: &Windows, plan: &Plan, one: &One, abandoned: &[BatchId]) -> Vec<String> {
    let Ok(left) = &one.left else { return Vec::new() };
    let mut why: Vec<String> = windows.live_on(plan, one.host()).into_iter().collect();
    for open in &left.open {
        let known = windows.known(&open.id);
        if open.is_idle() && (known.is_some_and(|known| known.over) || abandoned.contains(&open.id)) {
            continue;
        }
        let what = format!("batch {} is open there: {}, epoch {}", open.id, open.state.shown(), open.epoch);
        why.push(match known.map(|known| known.folder.display()) {
            Some(folder) => format!(
                "{what}: holdpoint resume {folder} goes on and confirms it, holdpoint rollback {folder} takes it back"
            ),
            None if open.is_idle() => format!(
                "{what}: where its recording is, its window goes on or is over (--recording); where that is lost, \
                 --abandon {}",
                open.id
            ),
            None => format!(
                "{what}: its recording is not here: resume it there, to confirm it or to roll it back, or wait for its \
                 timer"
            ),
        });
    }
    // What stands against it beside open batches: those say it better.
    let said = left.open.iter().any(|open| !open.is_idle());
    why.extend(left.held.as_ref().filter(|_| !said).map(Untrusted::shown));
    why
}

async fn remove(asker: &Asker, over: Vec<BatchId>) -> Came {
    let epoch = match session::stored_epoch(asker).await {
        Ok(epoch) => epoch,
        Err(failure) => return Came::Failed { why: failure.what.shown(), refused: false },
    };
    match asker.ask(&Verb::Clean(over), epoch).await {
        Ok(_) => Came::Removed,
        Err(failure) => {
            let refused = matches!(failure.kind, FailureKind::Busy | FailureKind::Refused);
            Came::Failed { why: failure.what.shown(), refused }
        }
    }
}

fn print_left(one: &One) {
    let host = one.host();
    let left = match &one.left {
        Ok(left) => left,
        Err(why) => return eprintln!("{host}: {why}"),
    };
    if left.is_empty() {
        println!("{host}: nothing to remove");
    } else {
        let what = format!(
            "{} batches and {} operations, {}",
            left.batches.len(),
            left.operations,
            size(left.bytes)
        );
        match one.alone.is_empty() {
            true => println!("{host}: removable: {what}"),
            false => println!("{host}: left alone: {what}"),
        }
        one.alone.iter().for_each(|why| println!("    {why}"));
    }
    for batch in &left.batches {
        println!("    {:<24} {:<16} {}", batch.id.as_str(), batch.state.shown(), size(batch.bytes));
    }
    for snapshot in &left.snapshots {
        println!("    snapshot {}", snapshot.shown());
    }
    if !left.pins.is_empty() {
        println!("    {} versions stay pinned out: holdpoint unpin releases them", left.pins.len());
    }
}

fn print_came(one: &One) {
    match &one.came {
        Came::Shown => {}
        Came::Removed => println!("{}: removed", one.host()),
        Came::Failed { why, .. } => eprintln!("{}: NOT removed: {why}", one.host()),
    }
}

/// `12.3 MiB`
fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn as_json(all: &[One]) -> Value {
    let host = |one: &One| {
        let left = one.left.as_ref().ok();
        let batches = left.map(|left| {
            let batch = |batch: &crate::host::outcome::LeftBatch| {
                json!({ "batch": batch.id, "state": batch.state, "bytes": batch.bytes })
            };
            left.batches.iter().map(batch).collect::<Vec<_>>()
        });
        let error = match (&one.left, &one.came) {
            (Err(why), _) | (_, Came::Failed { why, .. }) => Some(why),
            (Ok(_), Came::Shown | Came::Removed) => None,
        };
        json!({
            "host": one.host(),
            "batches": batches,
            "operations": left.map(|left| left.operations),
            "bytes": left.map(|left| left.bytes),
            "snapshots": left.map(|left| &left.snapshots),
            "open": left.map(|left| left.open.iter().map(|open| json!({
                "batch": open.id,
                "state": open.state,
                "epoch": open.epoch,
            })).collect::<Vec<_>>()),
            "left_alone": one.alone,
            "held": left.and_then(|left| left.held.as_ref()),
            "pins": left.map(|left| left.pins.len()),
            "removed": matches!(one.came, Came::Removed),
            "error": error,
        })
    };
    json!({ "format": "holdpoint.clean/1", "hosts": all.iter().map(host).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, wanted) in [(0, "0.0 MiB"), (1 << 20, "1.0 MiB"), (12_900_000, "12.3 MiB")] {
            assert_eq!(size(bytes), wanted);
        }
    }
}
