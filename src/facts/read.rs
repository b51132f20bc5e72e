//! From the sections of one answer to the facts of its domains.
//!
//! Knows which sections make up a domain, and nothing of what their lines mean: that is in the
//! file of each domain.

use super::{
    Domain, Fact, Replaced, Section, boot, listeners, locks, network, packages, replaced, services, storage,
    system,
};
use crate::types::{Time, Untrusted};

/// The word that stands for the machine when apt decides whether a phased update is this host's turn:
/// one for all hosts, so that their lists can be compared. The helper's `facts` uses it; whatever else
/// asks apt to simulate has to use the same.
pub const PHASING_ID: &str = "holdpoint";

/// The sections of one answer, by name. Where a host sends two of one name the first counts.
pub(super) struct Sections<'a>(&'a [Section]);

impl<'a> Sections<'a> {
    fn get(&self, name: &str) -> Option<&'a Section> {
        self.0.iter().find(|section| section.name == name)
    }

    pub(super) fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    /// A section that the domain can't do without.
    pub(super) fn need(&self, name: &str) -> Result<&'a Section, Untrusted> {
        self.get(name).ok_or_else(|| format!("the host's answer has no section {name}").into())
    }

    /// The lines of a section that the domain can't do without.
    pub(super) fn text(&self, name: &str) -> Result<Vec<String>, Untrusted> {
        self.need(name)?.text()
    }
}

/// What these sections say, a domain each, in a fixed order. A domain of which no section is there
/// was not asked for, and is not in the answer. `cockpit_now` is the cockpit's clock when the answer
/// came, against which the host's clock is held.
pub fn read(sections: &[Section], cockpit_now: Time) -> Vec<Domain> {
    let sections = &Sections(sections);
    let mut domains = Vec::new();
    if sections.has(&["system", "os-release"]) {
        domains.push(Domain::System(fact(system::read(sections, cockpit_now))));
    }
    if sections.has(&["boot"]) {
        domains.push(Domain::Boot(fact(boot::read(sections))));
    }
    if sections.has(&["addresses", "routes4", "routes6"]) {
        domains.push(Domain::Network(fact(network::read(sections))));
    }
    if sections.has(&["listeners"]) {
        domains.push(Domain::Listeners(fact(listeners::read(sections))));
    }
    // The section `dpkg` belongs to updates as well, so it does not tell what was asked for.
    if sections.has(&["auto", "audit"]) {
        domains.push(Domain::Packages(fact(packages::read(sections))));
    }
    if sections.has(&["upgrade"]) {
        domains.push(Domain::Updates(fact(packages::updates::read(sections))));
    }
    if sections.has(&["services"]) {
        domains.push(Domain::Services(fact(services::read(sections))));
    }
    if sections.has(&["storage"]) {
        domains.push(Domain::Storage(fact(storage::read(sections))));
    }
    if sections.has(&["replaced"]) {
        domains.push(Domain::Replaced(fact(replaced::read(sections))));
    }
    if sections.has(&["locks", "unattended"]) {
        domains.push(Domain::Locks(fact(locks::read(sections))));
    }
    domains
}

/// Which processes run what a batch replaced, as its host said beside its timer; `None` where it said
/// nothing of that.
pub fn read_replaced(sections: &[Section]) -> Option<Fact<Vec<Replaced>>> {
    let sections = &Sections(sections);
    sections.has(&["replaced"]).then(|| fact(replaced::read(sections)))
}

fn fact<T>(read: Result<T, Untrusted>) -> Fact<T> {
    match read {
        Ok(facts) => Fact::Known(facts),
        Err(why) => Fact::Unknown(why),
    }
}
