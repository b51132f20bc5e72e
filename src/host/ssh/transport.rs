//! The bytes under an ssh session: TCP, a channel through a jump host, or a `ProxyCommand`.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::connect::Session;
use crate::host::config::{Effective, Proxy};
use crate::host::{HostError, Reach};
use crate::types::{Span, Untrusted};

pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

pub(super) struct Transport {
    pub(super) wire: Box<dyn Wire>,
    /// Where the bytes go, for people: an address, or the way there.
    pub(super) peer: String,
    pub(super) proxy: Option<ProxyChild>,
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens the way to a host; through `via`, if its jump hosts have been connected.
pub(super) async fn open(
    to: &Effective,
    via: Option<&Arc<Session>>,
    timeout: Span,
) -> Result<Transport, HostError> {
    let address = address(&to.host, to.port);
    if let Some(via) = via {
        return through(via, to, &address, timeout).await;
    }
    match &to.proxy {
        Proxy::Command(command) => ProxyChild::start(command, &address),
        // The jump hosts are connected by the caller and come as `via`.
        Proxy::Direct | Proxy::Jump(_) => tcp(to, &address, timeout).await,
    }
}

async fn tcp(to: &Effective, address: &str, timeout: Span) -> Result<Transport, HostError> {
    let failed =
        |reach, detail: String| HostError::Unreachable { address: address.to_owned(), reach, detail };
    let late = |what: &str| failed(Reach::TimedOut, format!("{what} within {timeout}"));
    let resolving = tokio::net::lookup_host((to.host.as_str(), to.port));
    let addresses: Vec<_> = match tokio::time::timeout(timeout.into(), resolving).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(e)) => return Err(failed(Reach::Resolve, format!("its name has no address ({e})"))),
        Err(_) => return Err(late("the name was not resolved")),
    };
    let mut last = failed(Reach::Resolve, "its name has no address".to_owned());
    for peer in addresses {
        match tokio::time::timeout(timeout.into(), TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                // A session of small questions and answers waits for nothing.
                if let Err(e) = stream.set_nodelay(true) {
                    last = failed(Reach::Other, format!("{peer}: {e}"));
                    continue;
                }
                return Ok(Transport { wire: Box::new(stream), peer: peer.to_string(), proxy: None });
            }
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = failed(Reach::Refused, format!("{peer} refuses connections: no sshd listens there"));
            }
            Ok(Err(e)) => last = failed(Reach::Other, format!("{peer}: {e}")),
            Err(_) => last = late(&format!("{peer} did not answer")),
        }
    }
    Err(last)
}

async fn through(
    via: &Arc<Session>,
    to: &Effective,
    address: &str,
    timeout: Span,
) -> Result<Transport, HostError> {
    let failed =
        |reach, detail: String| HostError::Unreachable { address: address.to_owned(), reach, detail };
    let jump = via.address();
    let opening = via.handle().channel_open_direct_tcpip(to.host.clone(), u32::from(to.port), "127.0.0.1", 0);
    match tokio::time::timeout(timeout.into(), opening).await {
        Ok(Ok(channel)) => Ok(Transport {
            wire: Box::new(channel.into_stream()),
            peer: format!("{address} through {jump}"),
            proxy: None,
        }),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
            Err(failed(
                Reach::Jump,
                format!("the jump host {jump} does not forward (AllowTcpForwarding, PermitOpen)"),
            ))
        }
        Ok(Err(russh::Error::ChannelOpenFailure(_))) => {
            Err(failed(Reach::Refused, format!("the jump host {jump} could not connect to it")))
        }
        Ok(Err(_)) => Err(failed(Reach::Jump, format!("the connection to the jump host {jump} was lost"))),
        Err(_) => {
            Err(failed(Reach::TimedOut, format!("no answer through the jump host {jump} within {timeout}")))
        }
    }
}

/// A running `ProxyCommand`. It is killed when it is dropped.
pub(super) struct ProxyChild {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    address: String,
}

/// As much of what a `ProxyCommand` said last is kept.
const SAID: usize = 2048;

impl ProxyChild {
    fn start(command: &str, address: &str) -> Result<Transport, HostError> {
        let failed = |what: String| HostError::ProxyFailed {
            address: address.to_owned(),
            status: what,
            stderr: Untrusted::default(),
            not_started: true,
        };
        // The operator's own command line, as OpenSSH runs it. A group of its own keeps the
        // terminal's signals from it.
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(format!("/bin/sh could not be started: {e}")))?;
        let (Some(stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&said);
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
                let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..read]);
                let over = kept.len().saturating_sub(SAID);
                kept.drain(..over);
            }
        });
        let proxy = Self { child, said, address: address.to_owned() };
        Ok(Transport {
            wire: Box::new(tokio::io::join(stdout, stdin)),
            peer: format!("{address} through its ProxyCommand"),
            proxy: Some(proxy),
        })
    }

    /// What became of it, after the session over it failed.
    pub(super) async fn failure(mut self) -> HostError {
        // Its end follows the end of its output, if that is why the session failed.
        let ended = tokio::time::timeout(Duration::from_millis(500), self.child.wait()).await;
        let (status, code) = match ended {
            Ok(Ok(status)) => (status.to_string(), status.code()),
            Ok(Err(e)) => (e.to_string(), None),
            Err(_) => ("it runs, and gave no ssh session".to_owned(), None),
        };
        // What it said last may still be on its way through the pipe.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        HostError::ProxyFailed {
            address: self.address.clone(),
            status,
            stderr: Untrusted::from_bytes(said.trim_ascii()),
            not_started: matches!(code, Some(126 | 127)),
        }
    }
}
