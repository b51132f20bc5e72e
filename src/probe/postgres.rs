//! PostgreSQL: a login to the customer's database and `SELECT 1`, over the dialer.
//!
//! Without TLS, as PostgreSQL's own programs do where a server has none; a server that takes nobody without
//! it says so, and those are its words. Nothing is asked but that one constant.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_postgres::error::DbError;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::dialer::{self, DialError};
use super::login::{Environment, Login, Place};
use super::{Attempt, Deadline};
use crate::core::event::{FailKind, ProbeOutcome, Sighting};
use crate::types::Span;

/// Where PostgreSQL listens.
pub(super) const PORT: u16 = 5432;
/// All that a server may say in one attempt, in bytes; a login and one row are a few hundred.
const SAID: u64 = 256 * 1024;
/// Of a message of the server, in characters.
const WORDS: usize = 300;

/// Logs in to the database at the customer's address, as whom the environment says, and asks for 1.
pub(super) async fn attempt(
    address: Option<IpAddr>,
    port: u16,
    database: &str,
    environment: &Environment,
    timeout: Span,
) -> Attempt {
    let Some(address) = address else {
        return Attempt::broken("the customer has no address in the plan");
    };
    let deadline = Deadline::of(timeout);
    let place = Place { host: address, port, database: database.to_owned() };
    let environment = Arc::clone(environment);
    // A home folder may be far away.
    let finding = tokio::task::spawn_blocking(move || Login::find(&place, &environment));
    let login = match deadline.within(finding).await {
        Some(Ok(Ok(login))) => login,
        Some(Ok(Err(why))) => return Attempt::broken(&why),
        Some(Err(error)) => return Attempt::broken(&error.to_string()),
        None => return Attempt::broken(&format!("the password file was not read in {timeout}")),
    };
    let peer = SocketAddr::new(address, port);
    let dialed = dialer::dial(peer, deadline.left()).await;
    let mut sighting = Sighting { local: dialed.local, peer: Some(peer), ..Sighting::default() };
    let stream = match dialed.result {
        Ok(stream) => stream,
        Err(DialError::TimedOut(_)) => {
            return Attempt { outcome: super::failed(&DialError::TimedOut(timeout), ""), sighting };
        }
        Err(error) => return Attempt { outcome: super::failed(&error, ""), sighting },
    };
    let connected = deadline.gone();
    sighting.phases.connected = Some(connected);
    let mut logged_in = None;
    let asked = deadline.within(ask(stream, &login, database, || logged_in = Some(deadline.gone())));
    let result = asked.await;
    let took = deadline.gone();
    let told = match logged_in {
        Some(when) => format!("connected after {connected}, logged in after {when}"),
        None => format!("connected after {connected}"),
    };
    let outcome = match result {
        Some(Ok(())) => {
            sighting.phases.answered = Some(took);
            ProbeOutcome::Ok { took, said: format!("SELECT 1 answered; {told}, all after {took}").into() }
        }
        Some(Err(error)) => {
            let (kind, why) = error.words(login.password.is_some());
            ProbeOutcome::fail(kind, format!("{why}; {told}"))
        }
        None => ProbeOutcome::fail(FailKind::Silence, format!("no answer in {timeout}; {told}")),
    };
    Attempt { outcome, sighting }
}

/// Why there was no 1.
enum Failed {
    Postgres(tokio_postgres::Error),
    /// Another row, or none.
    Answer,
}

async fn ask(
    stream: TcpStream,
    login: &Login,
    database: &str,
    logged_in: impl FnOnce(),
) -> Result<(), Failed> {
    let mut config = Config::new();
    config.user(&login.user).dbname(database).application_name("holdpoint probe");
    if let Some(password) = &login.password {
        config.password(password);
    }
    // The library takes messages of any length into memory.
    let (read, write) = stream.into_split();
    let bounded = tokio::io::join(read.take(SAID), write);
    let (client, connection) = config.connect_raw(bounded, NoTls).await.map_err(Failed::Postgres)?;
    logged_in();
    let talk = async move {
        let answer = client.simple_query("SELECT 1").await.map_err(Failed::Postgres)?;
        let one = answer.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => row.len() == 1 && row.try_get(0).ok().flatten() == Some("1"),
            _ => false,
        });
        // Dropping the client ends the connection as the protocol wants it.
        if one { Ok(()) } else { Err(Failed::Answer) }
    };
    // Within a block, so that it is gone when it has ended: the talk hears of that.
    let connection = async move {
        let _ = connection.await;
    };
    tokio::pin!(talk);
    tokio::pin!(connection);
    let result = tokio::select! {
        biased;
        done = &mut talk => done,
        () = &mut connection => return talk.await,
    };
    // The end is sent, or not; the answer is there.
    let _ = tokio::time::timeout(GOODBYE.into(), connection).await;
    result
}

/// How long the end of a session is waited for.
const GOODBYE: Span = Span::ms(100);

impl Failed {
    fn words(&self, password: bool) -> (FailKind, String) {
        let error = match self {
            Self::Answer => return (FailKind::Database, "SELECT 1 was answered with something else".into()),
            Self::Postgres(error) => error,
        };
        if let Some(said) = error.as_db_error() {
            // Words of pg_hba.conf's refusals, of PostgreSQL 14 and of those before: it answers, and not to a
            // login as this one is.
            let bare = ["no encryption", "SSL off"].iter().any(|word| said.message().contains(word));
            return match bare {
                true => (FailKind::Other, format!("{}; this probe logs in without TLS", server(said))),
                false => (FailKind::Database, server(said)),
            };
        }
        let beneath = std::error::Error::source(error);
        let io = beneath.and_then(|error| error.downcast_ref::<std::io::Error>());
        // A library's word for a login that can't go on, such as a password that is asked for.
        let what = error.to_string();
        let why = beneath.map(|beneath| format!("{what}: {beneath}")).unwrap_or_else(|| what.clone());
        if beneath.is_some_and(|beneath| beneath.to_string() == "password missing") && !password {
            return (FailKind::Other, "the server asks for a password, and none is known here".into());
        }
        match io.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) => {
                (FailKind::Content, format!("the answer is no PostgreSQL: {why}"))
            }
            Some(_) => (FailKind::Cut, format!("the connection ended: {why}")),
            None if error.is_closed() => (FailKind::Cut, "the connection was closed".into()),
            None => (FailKind::Content, format!("the answer is no PostgreSQL: {why}")),
        }
    }
}

/// The server's own words, with its code: "database \"acme\" does not exist (3D000)".
fn server(said: &DbError) -> String {
    let message: String = said.message().chars().take(WORDS).collect();
    let code: String = said.code().code().chars().take(5).collect();
    format!("the server says: {message} ({code})")
}

#[cfg(test)]
mod tests;
