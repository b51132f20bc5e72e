//! From a destination to a session that is logged in: jump hosts, key exchange with the host's key
//! judged by our own rules, login, and the tries in between.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use russh::client::{self, Handle};
use russh::{Disconnect, Preferred};
use tokio::sync::{Semaphore, watch};

use super::checker::{Broken, Checker, Judge, Seen};
use super::settings::Settings;
use super::transport::{self, ProxyChild, address};
use super::{Connected, auth};
use crate::host::config::{self, Effective, Proxy};
use crate::host::{HostError, Reach};
use crate::types::{HostName, Span, Untrusted};

/// sshd's `MaxSessions` is 10; two are left to others who share the connection's account limits.
const CHANNELS: usize = 8;
/// Shorter ones dropped live sessions under load.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVES_MISSED: usize = 3;
/// Hosts in a row; more is a loop in the configuration.
const DEEPEST_JUMP: usize = 8;
/// A failed `ProxyCommand` mostly says that the host is down: not worth the tries of a busy sshd.
const PROXY_TRIES: u32 = 3;
/// A login that asks nobody; slow name services on the host are the longest part.
const LOGIN: Span = Span::secs(30);
/// A login that may ask the operator: longer than sshd's `LoginGraceTime` of 120 s.
const LOGIN_WITH_QUESTIONS: Span = Span::secs(150);

/// A session that is logged in.
pub(super) struct Session {
    handle: Handle<Checker>,
    seen: Arc<Seen>,
    ended: watch::Receiver<()>,
    connected: Connected,
    address: String,
    pub(super) channels: Arc<Semaphore>,
    /// Commands that nobody waits for and that run on, each in its place.
    unwanted: Arc<AtomicUsize>,
    // Dropped after the handle: the ways that the bytes take.
    via: Option<Arc<Session>>,
    _proxy: Option<ProxyChild>,
}

impl Session {
    pub(super) fn handle(&self) -> &Handle<Checker> {
        &self.handle
    }

    pub(super) fn connected(&self) -> &Connected {
        &self.connected
    }

    /// Changes no more, and its sender is dropped, once the session's task has ended.
    pub(super) fn ended(&self) -> watch::Receiver<()> {
        self.ended.clone()
    }

    /// What the session's task noticed.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn via(&self) -> Option<&Arc<Session>> {
        self.via.as_ref().filter(|via| !via.is_over())
    }

    pub(super) fn is_over(&self) -> bool {
        self.handle.is_closed()
    }

    /// The count of commands that nobody waits for and that run on.
    pub(super) fn unwanted(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.unwanted)
    }

    /// Whether a new command should get a connection of its own: this one is lost, or half of its
    /// places are taken by commands that nobody waits for and that may never end.
    pub(super) fn is_used_up(&self) -> bool {
        self.is_over() || self.unwanted.load(Ordering::SeqCst) >= CHANNELS / 2
    }

    /// The connection was lost, as far as it is known how.
    pub(super) fn lost(&self, started: bool) -> HostError {
        HostError::Lost { address: self.address.clone(), what: self.seen.end(), started }
    }

    /// Says goodbye, waits until that is sent, and closes the jump hosts in turn if nobody else uses them.
    pub(super) fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            goodbye(&self.handle, self.ended.clone()).await;
            if let Some(via) = &self.via
                && Arc::strong_count(via) == 1
            {
                via.close().await;
            }
        })
    }
}

/// Dropping a handle does not disconnect while a channel lives, so say so.
async fn goodbye(handle: &Handle<Checker>, mut ended: watch::Receiver<()>) {
    let said = async {
        if handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
            // The session's task has ended once its side of this is dropped.
            while ended.changed().await.is_ok() {}
        }
    };
    // A peer that doesn't take the last packet is left behind.
    let _sent_or_not = tokio::time::timeout(Duration::from_secs(1), said).await;
}

/// How far a connection is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Keys are exchanged and the host's is judged.
    Keys,
    /// We are logged in.
    Login,
}

/// Connects to a destination and logs in.
pub(super) async fn connect(host: &HostName, to: &str, settings: &Settings) -> Result<Session, HostError> {
    let to = config::effective(to, settings).await?;
    let via = jump(host, &to, settings, 0).await?;
    match through(host, &to, via, settings, Until::Login).await? {
        Some(session) => Ok(session),
        // `Until::Login` gives a session or an error.
        None => Err(HostError::Channel { what: "no session came of a login".into() }),
    }
}

/// A new TCP connection and key exchange with a destination, then closed. `via` is a jump host that
/// is connected already.
pub(super) async fn fresh(
    host: &HostName,
    to: &str,
    via: Option<Arc<Session>>,
    settings: &Settings,
) -> Result<(), HostError> {
    let to = config::effective(to, settings).await?;
    let via = match via {
        Some(via) => Some(via),
        None => jump(host, &to, settings, 0).await?,
    };
    through(host, &to, via, settings, Until::Keys).await.map(|_| ())
}

/// Establishes a session, and says goodbye to the jump host if that didn't come to one that uses it.
async fn through(
    host: &HostName,
    to: &Effective,
    via: Option<Arc<Session>>,
    settings: &Settings,
    until: Until,
) -> Result<Option<Session>, HostError> {
    let result = establish(host, to, via.as_ref(), settings, until).await;
    if let Some(via) = via
        && Arc::strong_count(&via) == 1
    {
        via.close().await;
    }
    result
}

/// Connects the jump hosts of a destination, each through the one before, and gives the last.
fn jump<'a>(
    host: &'a HostName,
    to: &'a Effective,
    settings: &'a Settings,
    depth: usize,
) -> BoxFuture<'a, Result<Option<Arc<Session>>, HostError>> {
    Box::pin(async move {
        let Proxy::Jump(hops) = &to.proxy else { return Ok(None) };
        if depth == DEEPEST_JUMP {
            let what =
                format!("ProxyJump goes through more than {DEEPEST_JUMP} hosts in a row: is it a loop?");
            return Err(HostError::Config { place: format!("ssh configuration for {}", to.written), what });
        }
        let mut via: Option<Arc<Session>> = None;
        for hop in hops {
            let mut hop = config::effective(hop, settings).await?;
            match &via {
                // The list outweighs what the later hosts' own configuration says of the way there.
                Some(_) => hop.proxy = Proxy::Direct,
                None => via = jump(host, &hop, settings, depth + 1).await?,
            }
            let hop = through(host, &hop, via, settings, Until::Login).await.map_err(on_the_way)?;
            via = hop.map(Arc::new);
        }
        Ok(via)
    })
}

/// A jump host that is silent says nothing of the host behind it.
fn on_the_way(error: HostError) -> HostError {
    match error {
        HostError::Unreachable { address, detail, .. } => {
            HostError::Unreachable { address, reach: Reach::Jump, detail }
        }
        error => error,
    }
}

/// Takes turns at the address until the login has succeeded, failed, or been dropped too often.
async fn establish(
    host: &HostName,
    to: &Effective,
    via: Option<&Arc<Session>>,
    settings: &Settings,
    until: Until,
) -> Result<Option<Session>, HostError> {
    let judge = Arc::new(Judge::of(to)?);
    // All hosts behind one ProxyCommand share what it goes through.
    let queue = match (&to.proxy, via) {
        (Proxy::Command(command), None) => command.replace(&to.host, "%h"),
        _ => address(&to.host, to.port),
    };
    let mut tried = 0;
    loop {
        tried += 1;
        let turn = settings.pacing.turn(&queue).await;
        let error = match exchange(to, via, settings, &judge).await {
            Ok(exchanged) if until == Until::Keys => {
                goodbye(&exchanged.handle, exchanged.ended).await;
                return Ok(None);
            }
            // From here on nothing is tried again: the operator may have been asked already.
            Ok(exchanged) => return login(exchanged, host, to, via, settings).await.map(Some),
            Err(error) => error,
        };
        drop(turn);
        let tries = match error {
            HostError::Dropped { .. } => settings.pacing.tries(),
            HostError::ProxyFailed { not_started: false, .. } => settings.pacing.tries().min(PROXY_TRIES),
            _ => 1,
        };
        if tried >= tries {
            return Err(error);
        }
        tokio::time::sleep(settings.pacing.wait(tried + 1)).await;
    }
}

/// A session whose keys are exchanged and whose host's key is known.
struct Exchanged {
    handle: Handle<Checker>,
    seen: Arc<Seen>,
    ended: watch::Receiver<()>,
    address: String,
    peer: String,
    proxy: Option<ProxyChild>,
    notes: Vec<String>,
}

async fn exchange(
    to: &Effective,
    via: Option<&Arc<Session>>,
    settings: &Settings,
    judge: &Arc<Judge>,
) -> Result<Exchanged, HostError> {
    let timeout = to.connect_timeout.filter(|t| *t > Span::ZERO).unwrap_or(settings.connect_timeout);
    let transport = transport::open(to, via, timeout).await?;
    let address = address(&to.host, to.port);
    let seen = Arc::new(Seen::default());
    let (alive, ended) = watch::channel(());
    let checker = Checker { judge: Arc::clone(judge), seen: Arc::clone(&seen), _alive: alive };
    let config = Arc::new(client::Config {
        preferred: Preferred { key: Cow::Owned(judge.algorithms()), ..Preferred::DEFAULT },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MISSED,
        nodelay: true,
        ..client::Config::default()
    });
    let exchange = client::connect_stream(config, transport.wire, checker);
    let exchanged = match tokio::time::timeout(timeout.into(), exchange).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(Broken::Refused(refusal))) => Err(*refusal),
        Ok(Err(Broken::Ssh(error))) => Err(of_handshake(&address, error)),
        // A busy sshd drops; one that takes a connection and is silent hangs, and so would the next try.
        Err(_) => Err(HostError::Unreachable {
            address: address.clone(),
            reach: Reach::TimedOut,
            detail: format!("the connection is taken, and no key exchange follows within {timeout}"),
        }),
    };
    match (exchanged, transport.proxy) {
        (Ok(handle), proxy) => Ok(Exchanged {
            handle,
            seen,
            ended,
            address,
            peer: transport.peer,
            proxy,
            notes: judge.problems(),
        }),
        // What it said tells more than that no session came of it.
        (Err(HostError::Dropped { .. } | HostError::Unreachable { .. }), Some(proxy)) => {
            Err(proxy.failure().await)
        }
        (Err(error), _) => Err(error),
    }
}

async fn login(
    exchanged: Exchanged,
    host: &HostName,
    to: &Effective,
    via: Option<&Arc<Session>>,
    settings: &Settings,
) -> Result<Session, HostError> {
    let Exchanged { mut handle, seen, ended, address, peer, proxy, notes } = exchanged;
    let limit = if settings.prompts.is_some() { LOGIN_WITH_QUESTIONS } else { LOGIN };
    let login = auth::login(&mut handle, host, to, settings, &seen);
    let login = match tokio::time::timeout(limit.into(), login).await {
        Ok(Ok(how)) => how,
        Ok(Err(error)) => {
            goodbye(&handle, ended).await;
            return Err(error);
        }
        Err(_) => {
            return Err(HostError::Dropped { address, what: format!("no login within {limit}").into() });
        }
    };
    let connected = Connected {
        address: peer,
        user: to.user.clone(),
        host_key: Seen::get(&seen.key),
        login,
        banner: Seen::get(&seen.banner),
        notes,
    };
    Ok(Session {
        handle,
        seen,
        ended,
        connected,
        address,
        channels: Arc::new(Semaphore::new(CHANNELS)),
        unwanted: Arc::default(),
        via: via.cloned(),
        _proxy: proxy,
    })
}

/// What a key exchange that came to nothing says. What a busy or restarting sshd does may pass; what
/// two sides can't agree on does not.
fn of_handshake(address: &str, error: russh::Error) -> HostError {
    let address = address.to_owned();
    let for_good = |what: Untrusted| HostError::Handshake { address: address.clone(), what };
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            for_good(format!("no common algorithm ({kind:?}); it offers {}", theirs.join(",")).into())
        }
        russh::Error::Version => for_good("what answers there does not speak ssh 2".into()),
        russh::Error::WrongServerSig => for_good("it does not hold the key that it showed".into()),
        russh::Error::UnknownKey => for_good("it showed a certificate that was not asked for".into()),
        other => HostError::Dropped { address, what: Untrusted::new(other.to_string()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_sides_cannot_agree_on_is_final() {
        assert!(of_handshake("h:22", russh::Error::Version).is_final());
        assert!(!of_handshake("h:22", russh::Error::Disconnect).is_final());
    }
}
