//! `holdpoint status`: where a window stands, and what each host's helper says, and whether its cockpit
//! lives. Takes no lock.

mod cockpit;
mod timer;

use std::path::Path;

use color_eyre::eyre::Result;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::socket::{self, Found};
use super::{screen, session};
use crate::cli::{Exit, Status};
use crate::conductor::clock;
use crate::core::event::Failure;
use crate::core::state::{Batch, State};
use crate::core::{aftermath, describe, schedule};
use crate::host::ask::Asker;
use crate::host::operation::{OperationReport, OperationState};
use crate::host::verb::Verb;
use crate::journal::{Recording, Take};
use crate::types::{HostName, Untrusted};

/// How long one host is waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// What a host's helper says.
struct Said {
    host: HostName,
    words: Result<Words, String>,
}

/// Its lines, and how the timers of what is unconfirmed there stand.
#[derive(Default)]
struct Words {
    lines: Vec<String>,
    timers: Vec<timer::Heard>,
}

pub async fn status(args: Status, ssh: Option<&Path>) -> Result<Exit> {
    // Asked first: what it has journalled by then is in what is read next.
    let found = socket::find(&args.recording).await;
    let journal = Recording::read(&args.recording, Take::Whole)?;
    let mut state = State::default();
    journal.known().for_each(|record| state.apply(record));
    let Some(plan) = state.plan.clone() else {
        let what = format!(
            "{} holds no window: its journal ends before the plan was sealed",
            args.recording.display()
        );
        return Err(session::FileError(what).into());
    };
    let mut said = Vec::new();
    if !args.offline {
        let (settings, _prompt) = screen::settings(ssh);
        let asked = session::askers(&plan, &settings).into_iter().map(|asker| {
            let batches: Vec<Batch> = state.batches_of(asker.host()).map(|batch| (**batch).clone()).collect();
            tokio::spawn(async move {
                let words = timeout(LONGEST, ask(&asker, &batches)).await;
                let words = words.unwrap_or_else(|_| Err("no answer in 20s".to_owned()));
                asker.link().close().await;
                Said { host: asker.host().clone(), words }
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            said.push(asked.await?);
        }
    }
    if args.json {
        println!("{}", Untrusted::json(&as_json(&state, &said, &found).to_string()));
    } else {
        print(&state, &said, &found);
    }
    let silent = said.iter().any(|said| said.words.is_err());
    Ok(if silent { Exit::Unreachable } else { Exit::Done })
}

/// What the helper says of itself and of the newest operation of each batch.
async fn ask(asker: &Asker, batches: &[Batch]) -> Result<Words, String> {
    let words = |failure: Failure| failure.what.shown();
    let helper = asker.greet().await.map_err(words)?;
    let mut all = Words::default();
    match helper.why_not {
        None => all.lines.push(format!("enrolled, epoch {}", helper.epoch)),
        Some(why) => {
            all.lines.push(format!("not enrolled: {}", why.shown()));
            return Ok(all);
        }
    }
    for batch in batches {
        if batch.phase.unconfirmed() {
            let heard = timer::ask(asker, batch).await;
            all.lines.push(heard.line());
            all.timers.push(heard);
        }
        let Some(operation) = batch.operation.clone() else { continue };
        let answer = asker.ask(&Verb::Read { operation, offset: 0, wait: 0 }, 0).await;
        let report = answer.map_err(words).and_then(|answer| {
            let section = answer.section("state").ok_or("no state")?;
            OperationReport::parse(section).map_err(|e| e.to_string())
        });
        all.lines.push(match report {
            Ok(report) => format!("{}: {} {}", batch.label(), report.kind.word(), state_word(report.state)),
            Err(why) => format!("{}: {why}", batch.label()),
        });
    }
    Ok(all)
}

fn state_word(state: OperationState) -> String {
    match state {
        OperationState::Running => "running".to_owned(),
        OperationState::Done(0) => "done".to_owned(),
        OperationState::Done(exit) => format!("failed, status {exit}"),
        OperationState::Unknown => "UNKNOWN".to_owned(),
    }
}

fn as_json(state: &State, said: &[Said], found: &Found) -> Value {
    let now = clock::now();
    let batch = |batch: &Batch| {
        json!({
            "batch": batch.id,
            "label": batch.label(),
            "host": batch.host,
            "state": batch.phase.word(),
            "since": batch.since,
            "changes": batch.changes.len(),
            "failure": batch.failure.as_ref().map(|failure| &failure.what),
            "bakes_until": schedule::baked_at(state, batch).filter(|_| batch.phase.unconfirmed()),
            "timer": timer::recorded(batch, now),
        })
    };
    let host = |said: &Said| match &said.words {
        Ok(words) => json!({
            "host": said.host,
            "says": words.lines,
            "timers": words.timers.iter().map(|heard| heard.json(now)).collect::<Vec<_>>(),
            "error": Value::Null,
        }),
        Err(why) => json!({ "host": said.host, "says": Value::Null, "timers": [], "error": why }),
    };
    let dark = state.ended.map_or_else(Vec::new, |(at, _)| aftermath::dark(state, at));
    json!({
        "format": "holdpoint.status/1",
        "purpose": state.purpose,
        "seq": state.seq,
        "at": state.at,
        "cockpit": cockpit::json(found),
        "ended": state.ended.map(|(_, outcome)| outcome),
        "not_served": dark.iter().map(|dark| json!({
            "customer": dark.customer,
            "host": dark.host,
            "why": dark.why,
        })).collect::<Vec<_>>(),
        "abort_by": schedule::abort_by(state).map(|abort_by| abort_by.at),
        "batches": state.in_order().map(|b| batch(b)).collect::<Vec<_>>(),
        "hosts": said.iter().map(host).collect::<Vec<_>>(),
    })
}

fn print(state: &State, said: &[Said], found: &Found) {
    let purpose = state.purpose.map(describe::purpose).unwrap_or("nothing");
    let at = state.at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string());
    println!("{purpose}, last event {} at {at}", state.seq);
    match state.ended {
        Some((at, outcome)) => println!("ended: {}", describe::ended(state, outcome, at)),
        None => println!("not ended: {}", cockpit::line(found, state.seq)),
    }
    if let Some(abort_by) = schedule::abort_by(state) {
        println!("abort-by {}", abort_by.at.format("%Y-%m-%d %H:%MZ"));
    }
    for batch in state.in_order() {
        println!("  {:<20} {:<10} {} changes", batch.label(), batch.phase.word(), batch.changes.len());
        if let Some(line) = timer::recorded_line(state, batch) {
            println!("  {:<20} {line}", "");
        }
    }
    for said in said {
        match &said.words {
            Ok(words) => words.lines.iter().for_each(|line| println!("  {}: {line}", said.host)),
            Err(why) => println!("  {}: {why}", said.host),
        }
    }
}
