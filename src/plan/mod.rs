//! The plan: `window.toml` as it was agreed and reviewed before the window.
//!
//! This file holds the plan as checked. Beside it: `written` is the text with its places, `check`,
//! `customers` and `rules` turn that into a plan with every error at its line and column, `probe` knows the short
//! forms, `order` who comes first, `init` writes a first draft. Nothing here may reach a host, a file
//! or a screen.

mod check;
mod customers;
mod error;
mod hosts;
mod init;
mod order;
mod pattern;
mod probe;
mod rules;
mod seal;
mod snapshot;
mod ssh_config;
#[cfg(test)]
mod tests;
mod text;
mod written;

pub use check::read;
pub use error::{PlanError, PlanErrors};
pub use hosts::{named, of_hosts};
pub use init::{Draft, draft};
pub use order::order;
pub use pattern::pattern;
pub use probe::{FORMS, ProbeError};
pub use rules::{DOMAINS, GATES};
pub use seal::seal;
pub use snapshot::SnapshotArchive;
pub use ssh_config::hosts_of_ssh_config;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::types::{Blake3, CustomerName, HostName, PackageName, PersonName, Span, Time};

/// A plan that has been checked: every name it uses is defined, every time possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The hash of the text it was read from; sealed in the journal when the window opens.
    pub hash: Blake3,
    /// The agreed time.
    pub window: Window,
    /// The test host; without one the host with the smallest weight is the canary.
    pub baseline: Option<Baseline>,
    /// The live hosts, as listed.
    pub hosts: Vec<Host>,
    /// The customers, as listed.
    pub customers: Vec<Customer>,
    /// The rules agreed in calm.
    pub policy: Policy,
    /// Batches as listed, for `strategy = "listed"`.
    pub batches: Vec<ListedBatch>,
    /// Who may do what.
    pub people: Vec<Person>,
    /// A file of certificates (PEM) that probes over TLS trust beside the system's roots: authorities, or a
    /// server's own certificate that is signed by itself. Read on the cockpit's machine.
    #[serde(default, deserialize_with = "text::shown")]
    pub tls_ca: Option<String>,
    /// Targets that say whether a vantage itself works.
    pub controls: Vec<Probe>,
    /// Lines agreed in calm; one that is met means roll back.
    pub aborts: Vec<AbortLine>,
    /// Differences that were looked at.
    pub accepts: Vec<Accept>,
    /// Programs run around each host.
    pub hooks: Vec<Hook>,
    /// Further places to probe from.
    pub vantages: Vec<Vantage>,
}

/// The agreed time, with customers told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What it is for.
    #[serde(deserialize_with = "text::shown")]
    pub name: String,
    /// The change ticket, where there is one.
    #[serde(default, deserialize_with = "text::shown")]
    pub ticket: Option<String>,
    /// When it opens.
    pub opens: Time,
    /// When it closes.
    pub closes: Time,
}

/// The test host on which the updates are rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name.
    pub host: HostName,
    /// How it is reached.
    #[serde(deserialize_with = "text::destination")]
    pub ssh: String,
}

/// A live host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// How it is reached: anything that the ssh configuration knows, or `local`.
    #[serde(deserialize_with = "text::destination")]
    pub ssh: String,
    /// Hosts of one group stand in for each other: never two of them at once.
    #[serde(default, deserialize_with = "text::shown")]
    pub group: Option<String>,
    /// Where its console is, shown when it can't be reached.
    #[serde(default, deserialize_with = "text::shown")]
    pub console: Option<String>,
    /// Log files that are followed.
    #[serde(deserialize_with = "text::shown")]
    pub logs: Vec<String>,
    /// Added to the sum of its customers' weights.
    pub weight: u64,
}

/// A customer: who notices, on which host, and how to tell that they are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The customer's name.
    pub name: CustomerName,
    /// The host that serves them.
    pub host: HostName,
    /// How many people notice.
    pub weight: u64,
    /// Their own address, where they have one.
    pub address: Option<IpAddr>,
    /// What is looked at.
    pub probes: Vec<Probe>,
    /// Their time zone, for notices.
    #[serde(default, deserialize_with = "text::shown")]
    pub zone: Option<String>,
}

/// One thing that is looked at, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What.
    pub target: ProbeTarget,
    /// From where.
    pub from: VantageKind,
    /// How often.
    pub every: Span,
    /// When an attempt counts as failed.
    pub timeout: Span,
    /// How long after an apply it is first expected to pass.
    pub delay: Span,
    /// How many of how many attempts mean FAIL.
    pub fails: Limit,
    /// Whether it must pass (it is never required where it failed before the window).
    pub required: bool,
    /// What the body of an HTTP or HTTPS answer must match somewhere within its first 64 KiB: a regular expression, as
    /// [`pattern()`] makes it ready.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::shown")]
    pub body: Option<String>,
}

/// `fails = "3 of 5"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// This many failed ...
    pub fails: u32,
    /// ... of this many attempts.
    pub of: u32,
}

/// What a probe looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ProbeTarget {
    /// ICMP echo to the customer's address: by an unprivileged socket where the kernel lets this group have
    /// one (`net.ipv4.ping_group_range`), by a raw one otherwise.
    Ping,
    /// A TCP connection to the customer's address.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A TLS handshake with the customer's address. The certificate must be valid now and be signed by an
    /// authority that the system or the plan's `[tls] ca` trusts, or be listed there itself.
    Tls {
        /// The port.
        port: u16,
        /// The name that is asked for and must be on the certificate. Without one no name is asked for (the
        /// server shows what it shows to whoever comes by address) and the certificate may be for any name.
        #[serde(default, deserialize_with = "text::shown")]
        name: Option<String>,
        /// The name must be on the certificate and is not asked for: for customers who have an address each, and whose
        /// callers send no name (no SNI).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
    /// An HTTP or HTTPS request, to the customer's address where they have one. Over TLS the certificate must
    /// be for the URL's host, and is judged as with `Tls`.
    Http {
        /// Whether over TLS.
        tls: bool,
        /// The host of the URL; an IPv6 address without its brackets.
        #[serde(deserialize_with = "text::shown")]
        host: String,
        /// The port.
        port: u16,
        /// Path and query.
        #[serde(deserialize_with = "text::shown")]
        path: String,
    },
    /// A DNS query to the customer's address, for IPv4 addresses and, where there are none, IPv6 ones.
    Dns {
        /// The name asked for.
        #[serde(deserialize_with = "text::shown")]
        name: String,
    },
    /// A PostgreSQL login and `SELECT 1`, on port 5432. User and password are those that PostgreSQL's own
    /// programs would take: PGUSER, PGPASSWORD, PGPASSFILE, `~/.pgpass`.
    Postgres {
        /// The database.
        #[serde(deserialize_with = "text::shown")]
        database: String,
    },
    /// A read-only command on the host: its words, no shell.
    Exec {
        /// The words.
        #[serde(deserialize_with = "text::shown")]
        argv: Vec<String>,
    },
}

/// Where a probe is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VantageKind {
    /// The cockpit's machine, or a further vantage of the plan.
    Outside,
    /// The host itself.
    Inside,
    /// Another host.
    Peer,
}

/// The rules agreed in calm; every field has the default of design.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The timer's grace after apply, reboot, verify and bake.
    pub confirm_within: Span,
    /// The time a batch is watched before it is confirmed.
    pub bake: Span,
    /// Changes in one batch, at most.
    pub max_changes: u32,
    /// Classes that take a batch of their own.
    pub alone: Vec<Class>,
    /// Whether a package may be removed.
    pub allow_removals: bool,
    /// How old a rehearsal may be.
    pub rehearsal_max_age: Span,
    /// Kept free before the window closes.
    pub margin: Span,
    /// What happens at an abort line and at abort-by.
    pub auto_rollback: AutoRollback,
    /// How long the countdown to an automatic rollback lasts.
    pub countdown: Span,
    /// How the pending changes are cut into batches.
    pub strategy: Strategy,
    /// Gates whose waiver wants a second person, by name.
    #[serde(deserialize_with = "text::shown")]
    pub second_person: Vec<String>,
    /// The order of hosts, overriding the computed one; judged by the gate.
    pub order: Vec<HostName>,
    /// Whether file system snapshots are taken where a host can.
    pub snapshots: bool,
    /// A URL template for packages the archive no longer has: see [`SnapshotArchive`].
    #[serde(default, deserialize_with = "text::shown")]
    pub snapshot_archive: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            confirm_within: Span::mins(10),
            bake: Span::mins(10),
            max_changes: 15,
            alone: vec![Class::Kernel, Class::Libc, Class::Init],
            allow_removals: false,
            rehearsal_max_age: Span::secs(14 * 86_400),
            margin: Span::mins(6),
            auto_rollback: AutoRollback::Armed,
            countdown: Span::secs(60),
            strategy: Strategy::SecurityFirst,
            second_person: Vec::new(),
            order: Vec::new(),
            snapshots: false,
            snapshot_archive: None,
        }
    }
}

/// A class of packages by what breaks when one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words of the plan; core::risk says what belongs to each")]
pub enum Class {
    Kernel,
    Libc,
    Init,
    Network,
    Server,
    Library,
    Leaf,
}

/// What happens at an abort line and at abort-by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoRollback {
    /// A countdown, then roll back.
    Armed,
    /// A sheet; silence holds.
    Ask,
    /// An alarm only.
    Off,
}

/// How the pending changes are cut into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Security updates first, then the others.
    SecurityFirst,
    /// One batch for each source package.
    Source,
    /// One batch for each class.
    Class,
    /// One change and what it needs.
    OneByOne,
    /// All at once.
    All,
    /// As `[[batch]]` lists them.
    Listed,
}

/// A batch as the plan lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedBatch {
    /// On which host; `None` for every host that has the packages pending.
    pub host: Option<HostName>,
    /// Which packages; what they need comes with them.
    pub packages: Vec<PackageName>,
}

/// Somebody with a say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their name.
    pub name: PersonName,
    /// Their ssh public key, one line.
    #[serde(deserialize_with = "text::shown")]
    pub key: String,
    /// What they may do.
    pub role: Role,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May agree to a waiver, hold and roll back.
    Approver,
    /// May hold and roll back.
    Watcher,
}

/// A line agreed in calm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortLine {
    /// Whose probes: everything that is required, or one customer's.
    pub probes: AbortProbes,
    /// Seen from where.
    pub from: VantageKind,
    /// How many failures meet it.
    pub fails: Limit,
}

/// Whose probes an abort line is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbortProbes {
    /// Every required probe.
    Required,
    /// One customer's.
    Customer(CustomerName),
}

/// A difference that was looked at; held again when its fingerprint changes or the date passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// On which host.
    pub host: HostName,
    /// In which domain of facts.
    #[serde(deserialize_with = "text::shown")]
    pub domain: String,
    /// Which item.
    #[serde(deserialize_with = "text::shown")]
    pub item: String,
    /// What it looked like.
    #[serde(deserialize_with = "text::shown")]
    pub fingerprint: String,
    /// Why it is fine.
    #[serde(deserialize_with = "text::shown")]
    pub reason: String,
    /// Until when; a date alone is passed when that day is over in UTC.
    pub until: Time,
}

/// A program on the cockpit's machine that is run around each host, no shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When it is run.
    pub when: HookWhen,
    /// Its words; `{host}` stands for the host's name.
    #[serde(deserialize_with = "text::shown")]
    pub argv: Vec<String>,
    /// What undoes it.
    #[serde(deserialize_with = "text::shown")]
    pub undo: Vec<String>,
}

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookWhen {
    /// Before the host's first batch.
    Before,
    /// After its last.
    After,
}

/// A further place to probe from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vantage {
    /// Its name.
    pub name: HostName,
    /// How it is reached.
    #[serde(deserialize_with = "text::destination")]
    pub ssh: String,
}

impl Plan {
    /// The customers on a host, as listed.
    pub fn customers_of<'a>(&'a self, host: &'a HostName) -> impl Iterator<Item = &'a Customer> {
        self.customers.iter().filter(move |customer| customer.host == *host)
    }

    /// A host's weight: its own and the sum of its customers'. The baseline's is zero.
    pub fn weight(&self, host: &HostName) -> u64 {
        let own = self.hosts.iter().find(|h| h.name == *host).map_or(0, |h| h.weight);
        self.customers_of(host).fold(own, |sum, customer| sum.saturating_add(customer.weight))
    }

    /// The host that stands in for the baseline: the baseline itself or, without one, the canary,
    /// which is the live host with the smallest weight (the first listed of several).
    pub fn reference(&self) -> Option<&HostName> {
        match &self.baseline {
            Some(baseline) => Some(&baseline.host),
            None => self.hosts.iter().min_by_key(|host| self.weight(&host.name)).map(|host| &host.name),
        }
    }

    /// Every host with how it is reached, the baseline first.
    pub fn reached(&self) -> impl Iterator<Item = (&HostName, &str)> {
        let baseline = self.baseline.iter().map(|b| (&b.host, b.ssh.as_str()));
        baseline.chain(self.hosts.iter().map(|h| (&h.name, h.ssh.as_str())))
    }
}
