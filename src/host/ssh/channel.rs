//! One command on one channel. What comes is always taken at once: russh holds up a whole connection
//! when a hundred messages of one channel wait to be read.

use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::oneshot;

use super::connect::Session;
use crate::host::output::{Sink, Source, Stdin};
use crate::host::stop::Wanted;
use crate::host::{ExitStatus, HostError, RemoteCommand};
use crate::types::Untrusted;

/// Runs a command in a task of its own, so that a caller who gives up leaves no channel open: `wanted`
/// ends it. `started` is told when the command is handed over. The
/// sink comes back with the status.
pub(super) async fn run<S: Sink>(
    session: Arc<Session>,
    command: RemoteCommand,
    stdin: (Vec<u8>, Stdin),
    mut sink: S,
    mut wanted: Wanted,
    started: oneshot::Sender<()>,
) -> Result<(ExitStatus, S), HostError> {
    let permit = tokio::select! {
        permit = Arc::clone(&session.channels).acquire_owned() => permit,
        () = wanted.no_longer() => return Err(Wanted::error()),
    };
    let channel = match session.handle().channel_open_session().await {
        Ok(channel) => channel,
        Err(russh::Error::ChannelOpenFailure(why)) if !session.is_over() => {
            return Err(HostError::Channel { what: format!("the server opens no channel ({why:?})").into() });
        }
        Err(_) => return Err(session.lost(false)),
    };
    if channel.exec(true, command.to_string()).await.is_err() {
        return Err(session.lost(false));
    }
    // Nobody may wait for it.
    let _told_or_not = started.send(());
    let result = pump(&session, channel, stdin, &mut sink, &mut wanted).await;
    drop(permit);
    result.map(|status| (status, sink))
}

async fn pump<S: Sink>(
    session: &Session,
    channel: Channel<Msg>,
    (input, after): (Vec<u8>, Stdin),
    sink: &mut S,
    wanted: &mut Wanted,
) -> Result<ExitStatus, HostError> {
    let (mut read, write) = channel.split();
    let writing = async {
        // An error here is seen on the reading side as well, with its reason.
        if write.data_bytes(input).await.is_ok() && after == Stdin::Closed {
            let _sent_or_lost = write.eof().await;
        }
    };
    tokio::pin!(writing);
    let mut written = false;
    let mut status = None;
    let result = loop {
        let message = tokio::select! {
            // Reading goes first, so that nothing waits in the connection.
            biased;
            message = read.wait() => message,
            () = wanted.no_longer() => break Err(Wanted::error()),
            () = &mut writing, if !written => {
                written = true;
                continue;
            }
        };
        match message {
            Some(ChannelMsg::Data { data }) => sink.take(Source::Stdout, &data),
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => sink.take(Source::Stderr, &data),
            Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(ExitStatus::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                status = Some(ExitStatus::Signal(name(&signal_name)))
            }
            Some(ChannelMsg::Failure) => {
                break Err(HostError::Channel { what: "the server refuses to run commands".into() });
            }
            Some(ChannelMsg::Close) | None => {
                return match status {
                    Some(status) => Ok(status),
                    None => Err(without_status(session).await),
                };
            }
            // Acknowledgements, windows, the end of output: the status and the close follow.
            Some(_) => {}
        }
    };
    // sshd keeps the place of a channel that we close until its command has ended, so it stays taken
    // here as well (and `wanted` goes on counting it): another command there would be refused.
    if write.close().await.is_ok() {
        closed(&mut read).await;
    }
    result
}

/// A channel that ends without a status has either lost its connection, which may show a moment
/// later, or its server can't say how the command ended.
async fn without_status(session: &Session) -> HostError {
    for _ in 0..20 {
        if session.is_over() {
            return session.lost(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    HostError::Channel { what: "the server did not say how it ended".into() }
}

async fn closed(read: &mut ChannelReadHalf) {
    while let Some(message) = read.wait().await {
        if matches!(message, ChannelMsg::Close) {
            return;
        }
    }
}

fn name(signal: &Sig) -> Untrusted {
    match signal {
        Sig::Custom(name) => Untrusted::new(name),
        // `Debug` of the others is their name.
        known => format!("{known:?}").into(),
    }
}
