//! One host: what it is in the plan, whether it is reached, and what it said about itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::State;
use crate::core::event::{Failure, FailureKind, HelperState};
use crate::facts::Facts;
use crate::plan::Plan;
use crate::types::{HostName, PackageName, Seq, Time, Untrusted};

/// One host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// Whether it is the baseline.
    pub baseline: bool,
    /// Its weight.
    pub weight: u64,
    /// Whether the cockpit reaches it.
    pub reach: Reach,
    /// Its helper, once it greeted.
    pub helper: Option<HelperState>,
    /// Since when its epoch is known to be higher than ours: another cockpit holds it.
    pub overtaken: Option<Time>,
    /// What it said about itself.
    pub facts: Facts,
    /// The effect that is reading it.
    pub reading: Option<Seq>,
    /// When it was last read to the end.
    pub read_at: Option<Time>,
    /// Why it could not be read the last time it was tried.
    pub read_failed: Option<(Time, Failure)>,
    /// Packages put off to the next window.
    pub left: BTreeSet<PackageName>,
    /// Whether its pending changes were cut into batches.
    pub planned: bool,
    /// The highest number that a batch of it ever had: a number is never used twice, since it
    /// names a folder on the host.
    pub last_number: u32,
}

impl Host {
    /// One of the plan, of which nothing is known yet.
    pub(super) fn new(name: &HostName, plan: &Plan) -> Self {
        Self {
            name: name.clone(),
            baseline: plan.baseline.as_ref().is_some_and(|baseline| baseline.host == *name),
            weight: plan.weight(name),
            reach: Reach::Unknown,
            helper: None,
            overtaken: None,
            facts: Facts::default(),
            reading: None,
            read_at: None,
            read_failed: None,
            left: BTreeSet::new(),
            planned: false,
            last_number: 0,
        }
    }
}

/// Whether the cockpit reaches a host.
#[derive(Debug, Clone, PartialEq)]
pub enum Reach {
    /// Never tried.
    Unknown,
    /// It answers.
    Up {
        /// Since when.
        since: Time,
    },
    /// It does not.
    Down {
        /// Since when.
        since: Time,
        /// Why.
        why: Failure,
    },
}

/// What the connections to hosts tell of the cockpit's own network. Its own machine tells nothing of it; nor does a host
/// that answered what is of no use: it is tried again seconds later, or not at all, so that the network may be gone since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Reached {
    /// A host is reached.
    Some,
    /// None is, and one at least may be away.
    None {
        /// Since the first of them was missed.
        since: Time,
    },
    /// None was tried yet, or those that were have answered.
    Unknown,
}

impl Host {
    /// The clock was set back: it was reached, lost and read no later than now.
    pub(super) fn set_back(&mut self, now: Time) {
        match &mut self.reach {
            Reach::Unknown => {}
            Reach::Up { since } | Reach::Down { since, .. } => *since = now.min(*since),
        }
        self.read_at = self.read_at.map(|at| now.min(at));
        if let Some((at, _)) = &mut self.read_failed {
            *at = now.min(*at);
        }
    }
}

impl State {
    /// Whether any host is reached over the network.
    pub(in crate::core) fn reached(&self) -> Reached {
        self.reached_of(|_| true)
    }

    /// The same, of hosts that have customers: the way to the baseline may be another, which goes on when theirs is
    /// gone.
    pub(in crate::core) fn live_reached(&self) -> Reached {
        self.reached_of(|host| !host.baseline)
    }

    fn reached_of(&self, of: impl Fn(&Host) -> bool) -> Reached {
        let mut missed: Option<Time> = None;
        for host in self.hosts.values().filter(|host| of(host) && !self.is_local(&host.name)) {
            match &host.reach {
                Reach::Up { .. } => return Reached::Some,
                Reach::Down { since, why } if may_be_away(why.kind) => {
                    missed = Some(missed.map_or(*since, |first| first.min(*since)));
                }
                Reach::Unknown | Reach::Down { .. } => {}
            }
        }
        missed.map_or(Reached::Unknown, |since| Reached::None { since })
    }

    /// Whether a host is reached over the network.
    pub(in crate::core) fn reaches_a_host(&self) -> bool {
        self.reached() == Reached::Some
    }

    /// Whether a host is the cockpit's own machine and all of its customers' addresses are known to be on it: they are
    /// seen from here without a network. An address that is on a router, or was lost, is not.
    pub(in crate::core) fn is_here(&self, host: &HostName) -> bool {
        let network = self.hosts.get(host).and_then(|host| host.facts.network.as_ref()?.known());
        let own = |address: IpAddr| {
            address.is_loopback()
                || network.is_some_and(|network| network.addresses.iter().any(|own| own.address == address))
        };
        let mut customers = self.plan.iter().flat_map(|plan| &plan.customers);
        self.is_local(host)
            && customers.all(|customer| customer.host != *host || customer.address.is_some_and(own))
    }

    /// Whether a host is the cockpit's own machine.
    pub(in crate::core) fn is_local(&self, host: &HostName) -> bool {
        let Some(plan) = &self.plan else { return false };
        plan.reached().any(|(name, ssh)| name == host && ssh == "local")
    }
}

/// Whether a host that could not be asked may be one that the cockpit's network no longer leads to: it was silent, or
/// something else on the way may have spoken for it (a jump host, a resolver, another machine that has its address now).
/// One that refused the login or the call, or whose answer could not be read, has answered.
fn may_be_away(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable | FailureKind::NoSession | FailureKind::Local | FailureKind::HostKey => true,
        // What a host is asked has longer than a connection that is gone takes to be missed.
        FailureKind::TimedOut
        | FailureKind::Login
        | FailureKind::NotEnrolled
        | FailureKind::Refused
        | FailureKind::Busy
        | FailureKind::Malformed
        | FailureKind::Failed => false,
    }
}

impl Reach {
    /// It is down, for how long as it was already.
    pub(in crate::core) fn lost(&mut self, kind: FailureKind, why: &Untrusted, at: Time) {
        let since = match self {
            Self::Down { since, .. } => *since,
            Self::Unknown | Self::Up { .. } => at,
        };
        *self = Self::Down { since, why: Failure { kind, what: why.clone() } };
    }

    /// It answers; since when, where it did so before.
    pub(in crate::core) fn answers(&mut self, at: Time) {
        match self {
            Self::Up { .. } => {}
            Self::Unknown | Self::Down { .. } => *self = Self::Up { since: at },
        }
    }
}
