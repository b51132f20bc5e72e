//! A plan from hosts alone, for a check without a plan: the first is the baseline, the window is now.

use super::{Plan, PlanErrors, read};
use crate::types::{HostName, Span, Time};

/// How long the window of a plan without a window is.
const LASTS: Span = Span::mins(120);

/// A plan of these destinations (`NAME=user@address`, `user@address` or an alias). One alone is a live
/// host without a baseline.
///
/// # Errors
/// As for a plan that was written: what is wrong with which host.
pub fn of_hosts(hosts: &[String], now: Time) -> Result<Plan, PlanErrors> {
    let mut text = format!(
        "[window]\nname = \"check\"\nopens = {}\ncloses = {}\n",
        now.format("%Y-%m-%dT%H:%M:%SZ"),
        (now + LASTS).format("%Y-%m-%dT%H:%M:%SZ")
    );
    for (at, host) in hosts.iter().enumerate() {
        let (name, ssh) = named(host);
        let name =
            name.parse::<HostName>().map_or_else(|_| format!("host{}", at + 1), |name| name.to_string());
        let ssh = toml::Value::String(ssh.to_owned());
        if at == 0 && hosts.len() > 1 {
            text.push_str(&format!("[baseline]\nhost = \"{name}\"\nssh = {ssh}\n"));
        } else {
            text.push_str(&format!("[[host]]\nname = \"{name}\"\nssh = {ssh}\n"));
        }
    }
    read("the hosts given", &text)
}

/// `NAME=DESTINATION`, or a destination and the name that stands in it.
pub fn named(word: &str) -> (&str, &str) {
    match word.split_once('=') {
        Some((name, ssh)) if name.parse::<HostName>().is_ok() => (name, ssh),
        Some(_) | None => (name_of(word), word),
    }
}

/// A short name for a destination: what stands after the user, up to the first dot of a name.
fn name_of(destination: &str) -> &str {
    let host = destination.rsplit_once('@').map_or(destination, |(_, host)| host);
    if host.parse::<std::net::IpAddr>().is_ok() { host } else { host.split('.').next().unwrap_or(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str]) -> Vec<String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let plan = of_hosts(&hosts, "2026-11-21T22:00:00Z".parse().expect("a time")).expect("a plan");
        plan.reached().map(|(name, ssh)| format!("{name} {ssh}")).collect()
    }

    #[test]
    fn the_first_of_several_is_the_baseline() {
        assert_eq!(
            names(&["ops@test1.example", "web=ops@192.0.2.11"]),
            ["test1 ops@test1.example", "web ops@192.0.2.11"]
        );
        assert_eq!(names(&["local"]), ["local local"]);
        assert_eq!(names(&["ops@192.0.2.1", "b"]), ["192.0.2.1 ops@192.0.2.1", "b b"]);
    }

    #[test]
    fn what_no_plan_would_take_is_refused() {
        let bad = ["-oProxyCommand=x".to_owned(), "b".to_owned()];
        assert!(of_hosts(&bad, "2026-11-21T22:00:00Z".parse().expect("a time")).is_err());
    }
}
