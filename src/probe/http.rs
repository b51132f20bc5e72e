//! HTTP and HTTPS: one GET on a connection of its own, over the dialer, TLS beneath where the URL says so.
//!
//! The body is read up to a bound, looked through where the plan has a pattern for it, and thrown away;
//! redirects are not followed, since the customer's server has answered with them. Over TLS nothing is
//! asked of a server whose certificate is not good.

use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dialer::{self, DialError};
use super::{Attempt, Deadline, Means, tls};
use crate::core::event::{FailKind, Phases, ProbeOutcome, Sighting};
use crate::types::Span;

/// As much of a body is read, and looked through; what is longer is good as far as it was read.
const BODY: usize = 64 * 1024;
/// Status line and headers, at most.
const HEAD: usize = 64 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
const AGENT: &str = concat!("holdpoint/", env!("CARGO_PKG_VERSION"));

/// What is asked for.
pub(super) struct Page<'a> {
    /// Whether over TLS.
    pub(super) tls: bool,
    /// The host of the URL; an IPv6 address without its brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: &'a str,
    /// What the body must match.
    pub(super) body: Option<&'a Regex>,
}

/// Gets the page from the customer's address or, without one, from where the name leads. `timeout`
/// is for everything together: name, connection, answer and body.
pub(super) async fn attempt(
    page: &Page<'_>,
    address: Option<IpAddr>,
    means: &Means,
    timeout: Span,
) -> Attempt {
    let request = match page.request() {
        Ok(request) => request,
        Err(why) => return Attempt::broken(&format!("{:?} can't be asked for: {why}", page.path)),
    };
    let name = match page.tls.then(|| tls::server_name(page.host)).transpose() {
        Ok(name) => name,
        Err(why) => return Attempt::broken(&why),
    };
    // Reading the roots is this machine's own time.
    let trust = if page.tls { Some(means.roots.trust().await) } else { None };
    let deadline = Deadline::of(timeout);
    let mut phases = Phases::default();
    let addresses = match address {
        Some(address) => vec![address],
        None => match deadline.within(means.resolver.addresses(page.host)).await {
            Some(Ok(addresses)) => {
                phases.resolved = Some(deadline.gone());
                addresses
            }
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
                phases.connected = Some(deadline.gone());
                let mut sighting =
                    Sighting { local: dialed.local, peer: Some(peer), phases, ..Sighting::default() };
                let outcome = match (name, trust) {
                    (Some(name), Some(trust)) => {
                        let ask =
                            tls::Ask { name: Some(name), unasked: false, address, protocols: &[b"http/1.1"] };
                        let met = tls::handshake(stream, &ask, &deadline, &mut sighting.phases).await;
                        match met.judge(&ask, &trust, means.now(), &mut sighting.certificate) {
                            Ok(stream) => exchange(stream, request, page, &deadline, &mut sighting).await,
                            Err(tls::Refusal::Target(kind, why)) => {
                                ProbeOutcome::fail(kind, format!("{why}; {}", told(&sighting.phases)))
                            }
                            Err(tls::Refusal::Own(why)) => ProbeOutcome::broken(why),
                        }
                    }
                    _ => exchange(stream, request, page, &deadline, &mut sighting).await,
                };
                return Attempt { outcome, sighting };
            }
            // The share of the last address ends where the attempt ends.
            Err(DialError::TimedOut(_)) if share == 1 => DialError::TimedOut(timeout),
            Err(error) => error,
        };
        // What the target did says more than what this machine could not do, say over IPv6.
        if tried == 0 || !matches!(error, DialError::Local(_)) {
            let at = if count > 1 { format!("{address}: ") } else { String::new() };
            let sighting = Sighting { local: dialed.local, peer: Some(peer), phases, ..Sighting::default() };
            attempt = Attempt { outcome: super::failed(&error, &at), sighting };
        }
    }
    attempt
}

impl Page<'_> {
    fn request(&self) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_owned() };
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.port == usual { host } else { format!("{host}:{}", self.port) };
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
    let part = |what: &str, when: Option<Span>| when.map(|span| format!("{what} after {span}"));
    let parts = [
        part("connected", phases.connected),
        part("secured", phases.secured),
        part("answer", phases.answered),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Why an answer is no good.
enum Bad {
    /// It did not come, or not whole, in time.
    Late,
    /// It is no HTTP, or broke off.
    Broken(hyper::Error),
}

/// What came of an answer.
#[derive(Default)]
struct Came {
    status: Option<StatusCode>,
    body: Vec<u8>,
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    page: &Page<'_>,
    deadline: &Deadline,
    sighting: &mut Sighting,
) -> ProbeOutcome {
    let mut came = Came::default();
    let phases = &mut sighting.phases;
    let asked = deadline.within(ask(stream, request, &mut came, || phases.answered = Some(deadline.gone())));
    let bad = match asked.await {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(Bad::Broken(error)),
        None => Some(Bad::Late),
    };
    let took = deadline.gone();
    let fail = |kind, why: String| ProbeOutcome::fail(kind, why);
    let told = told(&sighting.phases);
    sighting.status = came.status.map(|status| status.as_u16());
    let length = came.body.len();
    let whole = bad.is_none() && came.status.is_some_and(is_good);
    let differs = match page.body.filter(|_| whole) {
        Some(pattern) => !is_match(pattern, came.body).await,
        None => false,
    };
    match (came.status, bad) {
        // A bad status is the reason, whatever became of its body.
        (Some(status), _) if !is_good(status) => {
            let kind = if status.is_server_error() { FailKind::ServerError } else { FailKind::Content };
            fail(kind, format!("status {}; {told}, all after {took}", status.as_u16()))
        }
        (Some(status), None) => match page.body.filter(|_| differs) {
            None => {
                let said = format!("{}; {told}, all after {took}", status.as_u16());
                ProbeOutcome::Ok { took, said: said.into() }
            }
            Some(pattern) => {
                let read = if length < BODY { "the body" } else { "the body's first 64 KiB" };
                let status = status.as_u16();
                fail(
                    FailKind::Content,
                    format!("status {status}, {read} has no match for \"{pattern}\"; {told}"),
                )
            }
        },
        (Some(status), Some(Bad::Late)) => {
            let timeout = deadline.timeout;
            fail(
                FailKind::Silence,
                format!("status {}, body not whole in {timeout}; {told}", status.as_u16()),
            )
        }
        (Some(status), Some(Bad::Broken(error))) => {
            let (_, why) = reason(&error);
            fail(FailKind::Cut, format!("status {}, body broke off: {why}; {told}", status.as_u16()))
        }
        (None, Some(Bad::Broken(error))) => {
            let (kind, why) = reason(&error);
            fail(kind, format!("{why}; {told}"))
        }
        (None, Some(Bad::Late) | None) => {
            fail(FailKind::Silence, format!("no answer in {}; {told}", deadline.timeout))
        }
    }
}

/// Sends the request and reads the answer into `came`; says at once when its head is there.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    came: &mut Came,
    answered: impl FnOnce(),
) -> Result<(), hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let talk = async move {
        let mut answer = sender.send_request(request).await?;
        came.status = Some(answer.status());
        answered();
        while came.body.len() < BODY {
            match answer.frame().await {
                Some(frame) => {
                    if let Some(bytes) = frame?.data_ref() {
                        came.body.extend_from_slice(&bytes[..bytes.len().min(BODY - came.body.len())]);
                    }
                }
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

/// A page that somebody else wrote may take long to search: that keeps nothing else waiting.
async fn is_match(pattern: &Regex, body: Vec<u8>) -> bool {
    let pattern = pattern.clone();
    tokio::task::spawn_blocking(move || pattern.is_match(&body)).await.unwrap_or(false)
}

fn is_good(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

/// hyper's words and those of what lies beneath; some quote the answer.
fn reason(error: &hyper::Error) -> (FailKind, String) {
    let beneath = std::error::Error::source(error);
    // A server that wants a certificate of its client says so where the answer was to come.
    if let Some(io) = beneath.and_then(|error| error.downcast_ref::<std::io::Error>())
        && io.get_ref().is_some_and(|error| error.is::<rustls::Error>())
    {
        return tls::why(io);
    }
    let parse = error.is_parse();
    let what = if parse { "the answer is no HTTP: " } else { "" };
    let beneath = beneath.map(|e| format!(": {e}")).unwrap_or_default();
    (if parse { FailKind::Content } else { FailKind::Cut }, format!("{what}{error}{beneath}"))
}

#[cfg(test)]
mod tests;
