//! `holdpoint unpin`: releases the versions that rollbacks pinned out on the plan's hosts.

use std::path::Path;

use color_eyre::eyre::Result;
use serde_json::{Value, json};

use super::{screen, session};
use crate::cli::{Exit, Unpin};
use crate::core::event::FailureKind;
use crate::facts::Pin;
use crate::host::ask::Asker;
use crate::host::said::Said;
use crate::host::verb::Verb;
use crate::types::{HostName, Untrusted};

/// What a host released, or why it did not, and whether it refused.
type Released = Result<Vec<Pin>, (String, bool)>;

pub async fn unpin(args: Unpin, ssh: Option<&Path>) -> Result<Exit> {
    let read = session::read_plan(&args.plan)?;
    let (settings, _prompt) = screen::settings(ssh);
    let mut all = Vec::new();
    for asker in session::chosen(session::askers(&read.plan, &settings), args.host.as_ref())? {
        let released = release(&asker).await;
        asker.link().close().await;
        if !args.json {
            print(asker.host(), &released);
        }
        all.push((asker.host().clone(), released));
    }
    if args.json {
        println!("{}", Untrusted::json(&as_json(&all).to_string()));
    }
    let exit = |released: &Released| match released {
        Ok(_) => Exit::Done,
        Err((_, true)) => Exit::Held,
        Err((_, false)) => Exit::Unreachable,
    };
    Ok(all.iter().map(|(_, released)| exit(released)).max().unwrap_or(Exit::Done))
}

async fn release(asker: &Asker) -> Released {
    let epoch = session::stored_epoch(asker).await.map_err(|failure| (failure.what.shown(), false))?;
    let answer = asker.ask(&Verb::Unpin, epoch).await.map_err(|failure| {
        let refused = matches!(failure.kind, FailureKind::Busy | FailureKind::Refused);
        (failure.what.shown(), refused)
    })?;
    match Verb::Unpin.read(&answer) {
        Ok(Said::Unpinned(pins)) => Ok(pins),
        Ok(_) => Err(("the helper answered something else".to_owned(), false)),
        Err(error) => Err((error.to_string(), false)),
    }
}

fn print(host: &HostName, released: &Released) {
    match released {
        Ok(pins) if pins.is_empty() => println!("{host}: nothing is pinned out"),
        Ok(pins) => {
            for line in lines(pins) {
                println!("{host}: released {line}");
            }
        }
        Err((why, _)) => eprintln!("{host}: {why}"),
    }
}

/// A line for each rollback, in the order in which the host names them:
/// `nginx:amd64 1.24.0-3, libssl3:amd64 3.0.2, pinned out since 2026-11-21 13:40Z after the rollback of batch b1`
pub fn lines(pins: &[Pin]) -> Vec<String> {
    let of_one_rollback = |a: &Pin, b: &Pin| a.batch == b.batch && a.since == b.since;
    pins.chunk_by(of_one_rollback)
        .map(|pins| {
            let versions: Vec<String> =
                pins.iter().map(|pin| format!("{} {}", pin.package, pin.version)).collect();
            let on = pins[0].since.format("%Y-%m-%d %H:%MZ");
            format!(
                "{}, pinned out since {on} after the rollback of batch {}",
                versions.join(", "),
                pins[0].batch
            )
        })
        .collect()
}

pub fn pin_json(pin: &Pin) -> Value {
    json!({
        "package": pin.package,
        "version": pin.version,
        "since": pin.since,
        "batch": pin.batch,
        "by": pin.by,
    })
}

fn as_json(all: &[(HostName, Released)]) -> Value {
    let host = |(host, released): &(HostName, Released)| match released {
        Ok(pins) => json!({
            "host": host,
            "released": pins.iter().map(pin_json).collect::<Vec<_>>(),
            "error": Value::Null,
        }),
        Err((why, _)) => json!({ "host": host, "released": [], "error": why }),
    };
    json!({ "format": "holdpoint.unpin/1", "hosts": all.iter().map(host).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_rollback_pinned_out_is_one_line() {
        let pin = |package: &str, batch: &str, minute: u32| Pin {
            package: package.parse().expect("a package"),
            version: "2.0-1".parse().expect("a version"),
            since: format!("2026-11-21T13:{minute}:00Z").parse().expect("a time"),
            batch: batch.parse().expect("a batch"),
            by: "timer".into(),
        };
        let said =
            lines(&[pin("nginx:amd64", "b1", 40), pin("curl:amd64", "b1", 40), pin("vim:all", "b2", 41)]);
        assert_eq!(
            said,
            [
                "nginx:amd64 2.0-1, curl:amd64 2.0-1, pinned out since 2026-11-21 13:40Z after the rollback of batch b1",
                "vim:all 2.0-1, pinned out since 2026-11-21 13:41Z after the rollback of batch b2",
            ]
        );
    }
}
