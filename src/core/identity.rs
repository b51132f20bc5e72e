//! Whether a host is, after a rollback, as it was before the batch.

use std::collections::BTreeSet;

use super::event::{Identity, RollbackReport, VerifyReport};
use crate::facts::{Facts, Network, Packages};
use crate::types::Untrusted;

/// Differences that are named one by one; beyond that they are counted.
const NAMED: usize = 50;

/// Compares a host's facts from just before a batch with those from after its rollback, and takes
/// in what the host says of `/etc` and what its rollback itself found missing. What is unknown on
/// either side differs: unknown is never good.
pub fn compare(
    before: &Facts,
    after: &Facts,
    report: &VerifyReport,
    rolled_back: Option<&RollbackReport>,
) -> Identity {
    let mut identity = Identity { files: report.etc_same, ..Identity::default() };
    let differs = &mut identity.differs;
    differs.extend(report.etc_differs.iter().map(|path| Untrusted::new(format!("file {}", path.raw()))));
    match (known(&before.packages), known(&after.packages)) {
        (Some(was), Some(is)) => identity.packages = packages(was, is, differs),
        (_, _) => differs.push("packages: not known".into()),
    }
    // Packages alone don't tell that the batch's kernel still runs, without its modules perhaps.
    match (known(&before.boot), known(&after.boot)) {
        (Some(was), Some(is)) if was.kernel != is.kernel => {
            let words = format!("kernel: {} runs, {} did: reboot", is.kernel.raw(), was.kernel.raw());
            differs.push(Untrusted::new(words));
        }
        (Some(_), None) => differs.push("kernel: not known".into()),
        // Where nothing was known before there is nothing to compare with.
        (Some(_) | None, Some(_)) | (None, None) => {}
    }
    match (known(&before.network), known(&after.network)) {
        (Some(was), Some(is)) => identity.addresses = network(was, is, differs),
        (_, _) => differs.push("addresses: not known".into()),
    }
    match (known(&before.listeners), known(&after.listeners)) {
        (Some(was), Some(is)) => {
            let was: BTreeSet<_> = was.iter().map(|listener| (listener.protocol, listener.at)).collect();
            let is: BTreeSet<_> = is.iter().map(|listener| (listener.protocol, listener.at)).collect();
            identity.listeners = was.intersection(&is).count() as u64;
            for (protocol, at) in was.difference(&is) {
                differs.push(Untrusted::new(format!("{protocol:?} {at}: nothing listens any more")));
            }
            for (protocol, at) in is.difference(&was) {
                // Ports above the privileged ones come and go with clients of the host's own.
                if at.port() < 1024 {
                    differs.push(Untrusted::new(format!("{protocol:?} {at}: something new listens")));
                }
            }
        }
        (_, _) => differs.push("listeners: not known".into()),
    }
    if let Some(back) = rolled_back {
        found_missing(back, differs);
    }
    if differs.len() > NAMED {
        let more = differs.len() - NAMED;
        differs.truncate(NAMED);
        differs.push(Untrusted::new(format!("and {more} more")));
    }
    identity
}

/// What the rollback itself found not as before, where the facts don't say so already.
fn found_missing(back: &RollbackReport, differs: &mut Vec<Untrusted>) {
    let new: Vec<Untrusted> = back.missing.iter().filter(|what| !differs.contains(what)).cloned().collect();
    differs.extend(new.iter().map(|what| Untrusted::new(format!("{}, said the rollback", what.raw()))));
    if back.identical == Some(false) && differs.is_empty() {
        differs.push("not identical, said the rollback, and not in what".into());
    }
}

/// Two passes of one rollback as one: a host that was booted back is rolled back once more, and what
/// the first pass did stays done. What is not as before is what the last one says.
pub(super) fn both(first: &RollbackReport, last: &RollbackReport) -> RollbackReport {
    fn all<T: Clone + PartialEq>(first: &[T], last: &[T], undone: &[T]) -> Vec<T> {
        let kept = first.iter().filter(|one| !last.contains(one) && !undone.contains(one));
        kept.chain(last).cloned().collect()
    }
    RollbackReport {
        took: first.took + last.took,
        etc_restored: all(&first.etc_restored, &last.etc_restored, &last.etc_left),
        etc_left: all(&first.etc_left, &last.etc_left, &last.etc_restored),
        network_restored: all(&first.network_restored, &last.network_restored, &[]),
        restarted: all(&first.restarted, &last.restarted, &[]),
        identical: last.identical,
        missing: last.missing.clone(),
        cautions: all(&first.cautions, &last.cautions, &[]),
        pinned: all(&first.pinned, &last.pinned, &[]),
        boot: last.boot.clone(),
        booted: first.booted.or(last.booted),
    }
}

fn known<T>(fact: &Option<crate::facts::Aged<T>>) -> Option<&T> {
    fact.as_ref().and_then(|aged| aged.known())
}

/// Packages and their marks; returns how many are the same.
fn packages(was: &Packages, is: &Packages, differs: &mut Vec<Untrusted>) -> u64 {
    let mut same = 0;
    for (id, old) in &was.installed {
        match is.installed.get(id) {
            None => differs.push(Untrusted::new(format!("package {id}: gone, was {}", old.version))),
            Some(new) if new.version.as_str() != old.version.as_str() => {
                differs.push(Untrusted::new(format!("package {id}: {} , was {}", new.version, old.version)));
            }
            Some(new) if new.status != old.status => {
                differs.push(Untrusted::new(format!(
                    "package {id}: {}, was {}",
                    new.status.raw(),
                    old.status.raw()
                )));
            }
            Some(new) if (new.auto, new.held) != (old.auto, old.held) => {
                differs.push(Untrusted::new(format!("package {id}: its marks differ (automatic, held)")));
            }
            Some(_) => same += 1,
        }
    }
    for (id, new) in is.installed.iter().filter(|(id, _)| !was.installed.contains_key(*id)) {
        differs.push(Untrusted::new(format!("package {id}: {} is there, was not", new.version)));
    }
    same
}

/// Addresses and routes; returns how many addresses are the same.
fn network(was: &Network, is: &Network, differs: &mut Vec<Untrusted>) -> u64 {
    // An address is where it is and how long its prefix is: scope and lifetime follow from it, and
    // a link-local one follows from the interface.
    let fixed = |network: &Network| -> BTreeSet<_> {
        let kept = network.addresses.iter().filter(|address| !address.dynamic);
        kept.map(|address| (address.interface.clone(), address.address, address.prefix)).collect()
    };
    let (old, new) = (fixed(was), fixed(is));
    for (interface, address, prefix) in old.difference(&new) {
        differs.push(Untrusted::new(format!("address {address}/{prefix} on {interface}: gone")));
    }
    for (interface, address, prefix) in new.difference(&old) {
        differs.push(Untrusted::new(format!("address {address}/{prefix} on {interface}: new")));
    }
    let routes = |network: &Network| -> BTreeSet<_> {
        let kept = network
            .routes
            .iter()
            .filter(|route| route.protocol.raw() != "dhcp" && route.protocol.raw() != "ra");
        kept.map(|r| (r.table.clone(), r.destination.clone(), r.gateway, r.interface.clone())).collect()
    };
    let (old_routes, new_routes) = (routes(was), routes(is));
    for (table, destination, _, _) in old_routes.difference(&new_routes) {
        differs.push(Untrusted::new(format!("route {} in {}: gone", destination.raw(), table.raw())));
    }
    for (table, destination, _, _) in new_routes.difference(&old_routes) {
        differs.push(Untrusted::new(format!("route {} in {}: new", destination.raw(), table.raw())));
    }
    old.intersection(&new).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Pinned;
    use crate::facts::{Address, Aged, Fact};
    use crate::types::{Span, Time};

    fn texts(texts: &[&str]) -> Vec<Untrusted> {
        texts.iter().map(Untrusted::new).collect()
    }

    fn aged<T>(known: T) -> Option<Aged<T>> {
        Some(Aged { at: Time::UNIX_EPOCH, fact: Fact::Known(known) })
    }

    /// A host of which everything that is compared is known, with these addresses.
    fn facts(addresses: &[&str]) -> Facts {
        let address = |text: &&str| Address {
            interface: "eth0".parse().expect("an interface"),
            address: text.parse().expect("an address"),
            prefix: 24,
            scope: "global".into(),
            dynamic: false,
        };
        Facts {
            packages: aged(Packages::default()),
            network: aged(Network { addresses: addresses.iter().map(address).collect(), routes: Vec::new() }),
            listeners: aged(Vec::new()),
            ..Facts::default()
        }
    }

    fn differs(after: &[&str], back: &RollbackReport) -> Vec<String> {
        let (before, after) = (facts(&["192.0.2.21"]), facts(after));
        let identity = compare(&before, &after, &VerifyReport::default(), Some(back));
        identity.differs.iter().map(Untrusted::shown).collect()
    }

    #[test]
    fn what_the_rollback_found_missing_differs_once() {
        let gone = "address 192.0.2.21/24 on eth0: gone";
        let back = |identical, missing: &[&str]| RollbackReport {
            identical,
            missing: texts(missing),
            ..RollbackReport::default()
        };
        let here: &[&str] = &["192.0.2.21"];
        for (after, back, wanted) in [
            (here, back(Some(true), &[]), vec![]),
            // A journal from before this was recorded, or a rollback that had nothing to say.
            (here, back(None, &[]), vec![]),
            (here, back(Some(false), &[gone]), vec![format!("{gone}, said the rollback")]),
            (&[], back(Some(false), &[gone]), vec![gone.to_owned()]),
            (&[], back(Some(true), &[]), vec![gone.to_owned()]),
            (
                here,
                back(Some(false), &[]),
                vec!["not identical, said the rollback, and not in what".to_owned()],
            ),
        ] {
            assert_eq!(differs(after, &back), wanted, "{after:?} {back:?}");
        }
    }

    #[test]
    fn two_passes_are_one_rollback_and_the_last_says_what_is_missing() {
        let first = RollbackReport {
            took: Span::secs(80),
            etc_restored: texts(&["etc/a", "etc/b"]),
            etc_left: texts(&["etc/c"]),
            network_restored: texts(&["192.0.2.21/24 on eth0"]),
            restarted: vec!["nginx.service".parse().expect("a unit")],
            identical: Some(false),
            missing: texts(&["address 192.0.2.22/24 on eth0: gone"]),
            cautions: texts(&["slow"]),
            pinned: vec![Pinned {
                package: "nginx:amd64".parse().expect("a package"),
                version: "1.24.0-3".parse().expect("a version"),
            }],
            ..RollbackReport::default()
        };
        let last = RollbackReport {
            took: Span::secs(3),
            etc_restored: texts(&["etc/a", "etc/c"]),
            etc_left: texts(&["etc/b"]),
            network_restored: texts(&["192.0.2.21/24 on eth0"]),
            identical: Some(true),
            ..RollbackReport::default()
        };
        let one = both(&first, &last);
        assert_eq!((one.took, one.identical, one.missing.len()), (Span::secs(83), Some(true), 0));
        assert_eq!((one.etc_restored, one.etc_left), (texts(&["etc/a", "etc/c"]), texts(&["etc/b"])));
        assert_eq!(one.network_restored, first.network_restored);
        assert_eq!(
            (one.restarted, one.cautions, one.pinned),
            (first.restarted, first.cautions, first.pinned)
        );
    }
}
