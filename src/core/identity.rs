//! Whether a host is, after a rollback, as it was before the batch.

use std::collections::BTreeSet;

use super::event::{Identity, VerifyReport};
use crate::facts::{Facts, Network, Packages};
use crate::types::Untrusted;

/// Differences that are named one by one; beyond that they are counted.
const NAMED: usize = 50;

/// Compares a host's facts from just before a batch with those from after its rollback, and takes
/// in what the host says of `/etc`. What is unknown on either side differs: unknown is never good.
pub fn compare(before: &Facts, after: &Facts, report: &VerifyReport) -> Identity {
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
    if differs.len() > NAMED {
        let more = differs.len() - NAMED;
        differs.truncate(NAMED);
        differs.push(Untrusted::new(format!("and {more} more")));
    }
    identity
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
