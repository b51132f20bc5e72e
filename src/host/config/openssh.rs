//! OpenSSH's own word for a destination: `ssh -G`, with Match, Include and defaults resolved. The
//! command connects to nothing.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{HostError, Place, Raw, arguments};
use crate::types::Untrusted;

/// Longer than a `Match exec` or a slow resolver should take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `program` (the OpenSSH client) for the configuration of a place.
pub(super) async fn ask(program: &Path, place: &Place, config: Option<&Path>) -> Result<Raw, HostError> {
    let mut command = Command::new(program);
    command.arg("-G");
    if let Some(config) = config {
        command.arg("-F").arg(config);
    }
    if let Some(user) = &place.user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = place.port {
        command.arg("-p").arg(port.to_string());
    }
    // A place never begins with a dash; `--` says so again.
    command.arg("--").arg(&place.host);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let origin = format!("ssh -G {}", place.host);
    let wrong = |what: String| HostError::Config { place: origin.clone(), what };
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => return Err(wrong(format!("{} could not be started: {e}", program.display()))),
        Err(_) => return Err(wrong(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    if !output.status.success() {
        return Err(wrong(Untrusted::from_bytes(output.stderr.trim_ascii()).shown()));
    }
    parse(&String::from_utf8_lossy(&output.stdout), origin.clone()).map_err(wrong)
}

/// Reads the answer: a keyword in lower case and its value on each line.
fn parse(text: &str, origin: String) -> Result<Raw, String> {
    let mut raw = Raw { origin, ..Raw::default() };
    for line in text.lines() {
        let Some((keyword, value)) = line.split_once(' ') else { continue };
        let one = || value.to_owned();
        let several = || arguments(value).ok_or_else(|| format!("{keyword}: a quote is not closed"));
        match keyword {
            "hostname" => raw.host_name = Some(one()),
            "user" => raw.user = Some(one()),
            "port" => raw.port = Some(value.parse().map_err(|_| format!("port {value:?} is no port"))?),
            "identityfile" => raw.identity_files.push(one()),
            "identitiesonly" => raw.identities_only = Some(value == "yes"),
            "identityagent" => raw.identity_agent = Some(one()),
            "certificatefile" => raw.certificate_files.push(one()),
            "userknownhostsfile" => raw.user_known_hosts = Some(several()?),
            "globalknownhostsfile" => raw.global_known_hosts = Some(several()?),
            "hostkeyalias" => raw.host_key_alias = Some(one()),
            "proxyjump" => raw.proxy_jump = Some(one()),
            "proxycommand" => raw.proxy_command = Some(one()),
            "connecttimeout" => raw.connect_timeout = Some(one()),
            // These change who we trust or where we connect from, and can't be followed here.
            "revokedhostkeys" | "bindaddress" | "bindinterface" | "knownhostscommand" if value != "none" => {
                return Err(format!(
                    "{keyword} is set and not supported here; use @revoked lines in known_hosts, or a \
                                    configuration of its own for this destination"
                ));
            }
            "proxyusefdpass" if value == "yes" => {
                return Err("ProxyUseFdpass is set and not supported here".to_owned());
            }
            // The answer lists some eighty keywords; the others don't change where and how we connect.
            _ => {}
        }
    }
    // `ssh -G` has resolved HostName itself: a % in it is an IPv6 scope now, not a token.
    raw.host_name = raw.host_name.map(|name| name.replace('%', "%%"));
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read() {
        let raw = parse(
            "host x\nuser ops\nhostname fe80::1%eth0\nport 2222\nidentityfile ~/.ssh/a\nidentityfile ~/b c\n\
             identitiesonly yes\nuserknownhostsfile /a /b\nproxyjump a@b:33,c\nconnecttimeout none\nforwardagent no\n",
            "ssh -G x".into(),
        )
        .expect("reads");
        assert_eq!(raw.host_name.as_deref(), Some("fe80::1%%eth0"));
        assert_eq!(raw.port, Some(2222));
        assert_eq!(raw.identity_files, ["~/.ssh/a", "~/b c"]);
        assert_eq!(raw.identities_only, Some(true));
        assert_eq!(raw.user_known_hosts, Some(vec!["/a".to_owned(), "/b".to_owned()]));
        assert_eq!(raw.proxy_jump.as_deref(), Some("a@b:33,c"));
    }

    #[test]
    fn what_changes_trust_and_cannot_be_followed_is_an_error() {
        for line in ["revokedhostkeys /x", "bindaddress 192.0.2.1", "proxyusefdpass yes", "port many"] {
            assert!(parse(line, String::new()).is_err(), "{line}");
        }
        assert!(parse("revokedhostkeys none\nproxyusefdpass no", String::new()).is_ok());
    }
}
