//! HTTP without TLS: one GET on a connection of its own, over the dialer.
//!
//! The body is read and thrown away, up to a bound; redirects are not followed, since the customer's
//! server has answered with them.

use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::dialer::{self, DialError};
use super::resolve::Resolver;
use super::{Attempt, Deadline};
use crate::core::event::{FailKind, Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// As much of a body is read; what is longer is good as far as it was read.
const BODY: usize = 64 * 1024;
/// Status line and headers, at most.
const HEAD: usize = 64 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
const AGENT: &str = concat!("holdpoint/", env!("CARGO_PKG_VERSION"));

/// What is asked for.
pub(super) struct Page<'a> {
    /// The host of the URL; an IPv6 address without its brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: &'a str,
}

/// Gets the page from the customer's address or, without one, from where the name leads. `timeout`
/// is for everything together: name, connection, answer and body.
pub(super) async fn attempt(
    page: &Page<'_>,
    address: Option<IpAddr>,
    resolver: &Resolver,
    timeout: Span,
) -> Attempt {
    let request = match page.request() {
        Ok(request) => request,
        Err(why) => return Attempt::broken(&format!("{:?} can't be asked for: {why}", page.path)),
    };
    let deadline = Deadline::of(timeout);
    let addresses = match address {
        Some(address) => vec![address],
        None => match deadline.within(resolver.addresses(page.host)).await {
            Some(Ok(addresses)) => addresses,
            // No packet went to the target, so it did not fail.
            Some(Err(why)) => return Attempt::broken(&format!("{} was not resolved: {why}", page.host)),
            None => return Attempt::broken(&format!("{} was not resolved in {timeout}", page.host)),
        },
    };
    let mut attempt = Attempt::broken("the name has no address");
    let count = addresses.len().min(ADDRESSES);
    for (tried, address) in addresses.into_iter().take(count).enumerate() {
        let peer = SocketAddr::new(address, page.port);
        // An address that swallows everything leaves time for the others.
        let share = u64::try_from(count - tried).unwrap_or(1);
        let dialed = dialer::dial(peer, Span::ms(deadline.left().as_ms() / share)).await;
        let error = match dialed.result {
            Ok(stream) => {
                let connected = deadline.gone();
                let mut attempt = exchange(stream, request, &deadline, connected).await;
                (attempt.sighting.local, attempt.sighting.peer) = (dialed.local, Some(peer));
                return attempt;
            }
            // The share of the last address ends where the attempt ends.
            Err(DialError::TimedOut(_)) if share == 1 => DialError::TimedOut(timeout),
            Err(error) => error,
        };
        // What the target did says more than what this machine could not do, say over IPv6.
        if tried == 0 || !matches!(error, DialError::Local(_)) {
            let at = if count > 1 { format!("{address}: ") } else { String::new() };
            let sighting = Sighting { local: dialed.local, peer: Some(peer), ..Sighting::default() };
            attempt = Attempt { outcome: super::failed(&error, &at), sighting };
        }
    }
    attempt
}

impl Page<'_> {
    fn request(&self) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_owned() };
        let host = if self.port == 80 { host } else { format!("{host}:{}", self.port) };
        let path = PathAndQuery::try_from(self.path)?;
        Request::builder()
            .method(Method::GET)
            .uri(Uri::builder().path_and_query(path).build()?)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::new())
    }
}

/// When things happened, from the beginning of the attempt, in words.
fn told(phases: &Phases) -> String {
    let connected = phases.connected.map(|span| format!("connected after {span}"));
    let answered = phases.answered.map(|span| format!("answer after {span}"));
    connected.into_iter().chain(answered).collect::<Vec<_>>().join(", ")
}

/// Why an answer is no good.
enum Bad {
    /// It did not come, or not whole, in time.
    Late,
    /// It is no HTTP, or broke off.
    Broken(hyper::Error),
}

async fn exchange(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    deadline: &Deadline,
    connected: Span,
) -> Attempt {
    let mut phases = Phases { connected: Some(connected), ..Phases::default() };
    let mut status = None;
    let asked = deadline.within(ask(stream, request, |came| {
        status = Some(came);
        phases.answered = Some(deadline.gone());
    }));
    let bad = match asked.await {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(Bad::Broken(error)),
        None => Some(Bad::Late),
    };
    let took = deadline.gone();
    let fail = |kind, why: String| ProbeOutcome::fail(kind, why);
    let told = told(&phases);
    let outcome = match (status, bad) {
        // A bad status is the reason, whatever became of its body.
        (Some(status), _) if !is_good(status) => {
            let kind = if status.is_server_error() { FailKind::ServerError } else { FailKind::Content };
            fail(kind, format!("status {}; {told}, all after {took}", status.as_u16()))
        }
        (Some(status), None) => {
            let said = format!("{}; {told}, all after {took}", status.as_u16());
            ProbeOutcome::Ok { took, said: said.into() }
        }
        (Some(status), Some(Bad::Late)) => {
            let timeout = deadline.timeout;
            fail(
                FailKind::Silence,
                format!("status {}, body not whole in {timeout}; {told}", status.as_u16()),
            )
        }
        (Some(status), Some(Bad::Broken(error))) => {
            let why = reason(&error);
            fail(FailKind::Cut, format!("status {}, body broke off: {why}; {told}", status.as_u16()))
        }
        (None, Some(Bad::Broken(error))) => fail(FailKind::Cut, format!("{}; {told}", reason(&error))),
        (None, Some(Bad::Late) | None) => {
            fail(FailKind::Silence, format!("no answer in {}; {told}", deadline.timeout))
        }
    };
    let status = status.map(|status| status.as_u16());
    Attempt { outcome, sighting: Sighting { phases, status, ..Sighting::default() } }
}

/// Sends the request and reads the answer; says at once what status came.
async fn ask(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    came: impl FnOnce(StatusCode),
) -> Result<(), hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let talk = async move {
        let mut answer = sender.send_request(request).await?;
        came(answer.status());
        let mut read = 0;
        while read < BODY {
            match answer.frame().await {
                Some(frame) => read += frame?.data_ref().map_or(0, Bytes::len),
                None => break,
            }
        }
        Ok(())
    };
    tokio::pin!(talk);
    // The connection moves the bytes; when it has ended, the talk knows all that it will know.
    tokio::select! {
        biased;
        done = &mut talk => done,
        _ = connection => talk.await,
    }
}

fn is_good(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

/// hyper's words and those of what lies beneath; some quote the answer.
fn reason(error: &hyper::Error) -> String {
    let what = if error.is_parse() { "the answer is no HTTP: " } else { "" };
    let beneath = std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
    format!("{what}{error}{beneath}")
}

#[cfg(test)]
mod tests;
