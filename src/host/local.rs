//! The same commands on this machine: the same words, no shell, no connection.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::oneshot;

use super::output::{Sink, Source, Stdin};
use super::stop::Wanted;
use super::{ExitStatus, HostError, RemoteCommand};
use crate::types::Untrusted;

/// Runs a command until it ends or nobody waits for it, which kills it. `started` is told when it runs.
pub(super) async fn run<S: Sink>(
    command: RemoteCommand,
    (input, after): (Vec<u8>, Stdin),
    mut sink: S,
    mut wanted: Wanted,
    started: oneshot::Sender<()>,
) -> Result<(ExitStatus, S), HostError> {
    let failed = |what: String| HostError::Local { command: command.to_string(), what };
    let mut words = command.words().iter();
    let program = words.next().ok_or_else(|| failed("it is empty".to_owned()))?;
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The terminal's signals are for the cockpit.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let _told_or_not = started.send(());
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("it has no pipes".to_owned()));
    };

    let writing = async move {
        // A command may end without reading all of it.
        let _read_or_not = stdin.write_all(&input).await;
        match after {
            Stdin::Closed => drop(stdin),
            Stdin::Held => std::future::pending::<()>().await,
        }
    };
    tokio::pin!(writing);
    let mut written = false;
    let (mut out, mut err) = (vec![0; 32 << 10], vec![0; 8 << 10]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            read = chunk(&mut stdout, &mut out), if out_open => match read {
                0 => out_open = false,
                read => sink.take(Source::Stdout, &out[..read]),
            },
            read = chunk(&mut stderr, &mut err), if err_open => match read {
                0 => err_open = false,
                read => sink.take(Source::Stderr, &err[..read]),
            },
            () = &mut writing, if !written => written = true,
            () = wanted.no_longer() => return Err(Wanted::error()),
        }
    }
    let ended = tokio::select! {
        ended = child.wait() => ended.map_err(|e| HostError::Channel { what: e.to_string().into() })?,
        () = wanted.no_longer() => return Err(Wanted::error()),
    };
    let status = match (ended.code(), ended.signal()) {
        (Some(code), _) => ExitStatus::Code(code.unsigned_abs()),
        (None, signal) => ExitStatus::Signal(signal_name(signal.unwrap_or_default())),
    };
    Ok((status, sink))
}

/// The names that ssh has for signals (RFC 4254, 6.10), so that both ways say the same; others by number.
fn signal_name(number: i32) -> Untrusted {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        other => return other.to_string().into(),
    };
    name.into()
}

/// The next bytes; none at the end, also when that is an error.
async fn chunk(from: &mut (impl AsyncRead + Unpin), into: &mut [u8]) -> usize {
    from.read(into).await.unwrap_or(0)
}
