//! For the tests of the core: small windows, written down once.

use std::sync::Arc;

use super::change::{Change, Standing};
use super::event::Purpose;
use super::state::{Batch, State};
use crate::facts::{Aged, Boot, Fact};
use crate::plan::{Class, Plan};
use crate::types::{BootId, Time};

/// When every window here opens.
pub(crate) fn opens() -> Time {
    "2026-11-21T22:00:00Z".parse().expect("a moment")
}

/// A plan: a window of so many hours, these hosts, each `NAME` or `NAME GROUP`, and the rest as written.
pub(crate) fn plan(hours: i64, hosts: &[&str], rest: &str) -> Plan {
    let closes = (opens() + chrono::TimeDelta::hours(hours)).format("%FT%TZ");
    let mut text = format!(
        "[window]\nname = \"Updates\"\nticket = \"CHG-4471\"\nopens = 2026-11-21T22:00:00Z\ncloses = {closes}\n"
    );
    for host in hosts {
        let (name, group) = host.split_once(' ').unwrap_or((host, ""));
        text += &format!("\n[[host]]\nname = \"{name}\"\nssh = \"{name}\"\n");
        if !group.is_empty() {
            text += &format!("group = \"{group}\"\n");
        }
    }
    crate::plan::read("window.toml", &format!("{text}\n{rest}")).expect("a plan")
}

/// The same, open, with nothing done yet.
pub(crate) fn window(hours: i64, hosts: &[&str], rest: &str) -> State {
    let mut state = State::default();
    state.open(Purpose::Run, &plan(hours, hosts, rest), None, opens());
    state
}

/// A batch of nothing, planned as the window opened.
pub(crate) fn batch(id: &str, host: &str, number: u32) -> Batch {
    let (id, host) = (id.parse().expect("an id"), host.parse().expect("a host"));
    Batch::new(id, host, number, Vec::new(), opens())
}

/// An untested change of a package of amd64; `-`: it was not there before.
pub(crate) fn change(package: &str, from: &str, to: &str, class: Class) -> Change {
    Change {
        package: format!("{package}:amd64").parse().expect("a package"),
        from: (from != "-").then(|| from.parse().expect("a version")),
        to: to.parse().expect("a version"),
        sha256: None,
        rehearsed: None,
        standing: Standing::Untested,
        security: false,
        source: package.parse().expect("a name"),
        class,
        size: None,
        needs: Vec::new(),
        origin: "".into(),
    }
}

pub(crate) fn boot_id() -> BootId {
    "0a0a0a0a-1111-4222-8333-444444444444".parse().expect("a boot id")
}

/// A host's boot, with the volumes for which it waits at the next one.
pub(crate) fn boot(passphrases: &[&str]) -> Boot {
    Boot {
        boot_id: boot_id(),
        init_started: 1,
        kernel: "6.1".into(),
        kernels: Vec::new(),
        reboot_required: None,
        reboot_asked_by: Vec::new(),
        passphrases: passphrases.iter().map(|name| (*name).into()).collect(),
    }
}

/// What is known of a host's boot; `None`: it was not read.
pub(crate) fn booted(state: &mut State, host: &str, boot: Option<Fact<Boot>>) {
    let host = state.hosts.get_mut(&host.parse().expect("a host")).expect("in the plan");
    Arc::make_mut(host).facts.boot = boot.map(|fact| Aged { at: opens(), fact });
}
