//! The demo's fleet: four hosts inside this process, which answer the helper's verbs over real ssh
//! as real hosts do, and whose customers are served on real listeners of the loopback network.
//!
//! ```text
//! Link -- ssh --> server --> wire (call, frames) --> model (answers) --> facts, apt (what tools print)
//!                    `-- time --> work (steps of an operation) --> model, doors (customers)
//! ```
//!
//! Nothing here may reach beyond this machine's loopback, need root, or know the cockpit: it is
//! spoken to as any host is. It asks no clock but tokio's.

mod apt; // what apt and dpkg print
mod archive; // which packages there are
mod bootback; // a rollback that boots first
mod capture; // packets of the probes on a host
mod door; // a customer's address that answers or goes dark
mod facts; // what a host prints about itself
mod files; // package files that go from host to host
mod folder; // keys and configuration, private, removed at the end
mod ground; // addresses and ports
mod left; // what is left on a host after a batch
mod logs; // lines of its journal and of nginx
mod look; // what a host sees of its customers
mod model; // one host
mod script; // the steps of stage, apply and rollback
mod server; // one host over ssh
mod story; // the engineer who goes on
#[cfg(test)]
mod tests;
mod timer; // dead-man timers
mod window; // the plan's text
mod wire; // command lines and frames
mod work; // what steps change, and what operations come to

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use sha2::Digest;
use tokio::sync::watch;

use self::archive::{Archive, sha256};
use self::folder::Folder;
use self::ground::Ground;
use self::model::{Host, Profile};
use self::server::{Server, Tasks};
pub use self::story::story;
use crate::core::change::{Frozen, Rehearsal};
use crate::host::Settings;
use crate::types::{HostName, Span, Time};

/// The account on the demo's hosts.
const USER: &str = "ops";

/// How the demo goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The story: web1 has four addresses that somebody added by hand, packages that the test host
    /// has not, and one that is newer by now. What sets its network up anew takes the addresses away.
    Story,
    /// The story as it happened: the same, and nobody rolls back.
    Unanswered,
    /// Every host is as the test host is, and everything goes well.
    Calm,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 3] = [Self::Story, Self::Unanswered, Self::Calm];

    /// Whether web1 differs from the test host.
    fn differs(self) -> bool {
        match self {
            Self::Story | Self::Unanswered => true,
            Self::Calm => false,
        }
    }

    /// What the plan says of rolling back by itself.
    fn auto_rollback(self) -> &'static str {
        match self {
            Self::Story | Self::Calm => "armed",
            Self::Unanswered => "off",
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Story => "story",
            Self::Unanswered => "unanswered",
            Self::Calm => "calm",
        }
    }
}

/// A name that no scenario has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scenario of the demo: there are {names}", names = Scenario::ALL.map(Scenario::name).join(", "))]
pub struct ScenarioError(String);

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let known = Self::ALL.into_iter().find(|scenario| scenario.name() == text);
        known.ok_or_else(|| ScenarioError(text.chars().take(80).collect()))
    }
}

/// How fast the hosts work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// As hosts do: an apply takes three to six seconds, a reboot four.
    pub const REAL: Self = Self(1.0);
    /// Thirty times as fast, for tests.
    pub const FAST: Self = Self(1.0 / 30.0);

    fn of(self, span: Duration) -> Duration {
        span.mul_f64(self.0)
    }
}

/// How a fleet is set up, beside its scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// How fast the hosts work.
    pub pace: Pace,
    /// Whether the rehearsal was some days ago: test1 then has its updates already, and
    /// [`Fleet::rehearsal`] is what was recorded of it.
    pub rehearsed: bool,
}

impl Default for Setup {
    /// At the pace of real hosts, with nothing rehearsed yet.
    fn default() -> Self {
        Self { pace: Pace::REAL, rehearsed: false }
    }
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No folder for keys.
    #[error("the demo can't keep its keys in {path}: {source}; look at TMPDIR and the space there", path = .path.display())]
    Folder {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that can't be made or written down.
    #[error("the demo can't make an ssh key: {0}")]
    Key(String),
    /// No port to listen on.
    #[error("the demo can't listen on 127.0.0.1: {0}; it needs a loopback interface")]
    Listen(std::io::Error),
    /// A line of the table of packages.
    #[error("line {0} of the demo's table of packages can't be read; this is a fault of holdpoint")]
    Catalogue(usize),
}

/// Time as the demo's hosts have it: given once, then counted by tokio.
#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Time,
    since: tokio::time::Instant,
}

impl Clock {
    fn now(self) -> Time {
        let passed = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began + chrono::TimeDelta::milliseconds(passed)
    }
}

/// A fleet that runs. It ends, with all that it has on this machine, when it is dropped.
pub struct Fleet {
    /// The text of its `window.toml`.
    pub plan: String,
    /// What links need to reach its hosts: it trusts their keys and logs in with the demo's own.
    pub settings: Arc<Settings>,
    /// What rehearsing on test1 yields, or has yielded two days ago ([`Setup::rehearsed`]).
    pub rehearsal: Rehearsal,
    servers: Vec<Arc<Server>>,
    tasks: Tasks,
    _claim: Option<tokio::net::TcpListener>,
    /// Removed when the fleet is dropped.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is there to be dropped"))]
    folder: Folder,
}

/// Starts a fleet at the pace of real hosts, nothing rehearsed yet. `now` is the hosts' time too. The
/// same seed gives the same keys and boot ids: they guard nothing but this fleet.
///
/// # Errors
/// What of this machine the fleet could not have.
pub async fn start(scenario: Scenario, now: Time, seed: u64) -> Result<Fleet, DemoError> {
    start_with(scenario, now, seed, Setup::default()).await
}

/// What the story says of a host.
struct Role {
    name: &'static str,
    group: Option<&'static str>,
    /// The last number of its address.
    number: u8,
    /// Name, weight, last number of the address, time zone.
    customers: &'static [(&'static str, u64, u8, &'static str)],
}

/// The baseline first.
const ROLES: [Role; 4] = [
    Role { name: "test1", group: None, number: 10, customers: &[] },
    Role {
        name: "web1",
        group: None,
        number: 11,
        customers: &[
            ("acme", 400, 21, "Europe/Berlin"),
            ("globex", 250, 22, "America/New_York"),
            ("initech", 120, 23, "America/Chicago"),
            ("umbrella", 80, 24, "Europe/London"),
        ],
    },
    Role {
        name: "web2",
        group: Some("web"),
        number: 12,
        customers: &[("hooli", 20, 31, "America/Los_Angeles"), ("stark", 15, 32, "America/New_York")],
    },
    Role {
        name: "web3",
        group: Some("web"),
        number: 13,
        customers: &[("wayne", 60, 41, "America/New_York"), ("tyrell", 40, 42, "America/Los_Angeles")],
    },
];

/// Starts a fleet.
///
/// # Errors
/// What of this machine the fleet could not have.
pub async fn start_with(scenario: Scenario, now: Time, seed: u64, setup: Setup) -> Result<Fleet, DemoError> {
    start_on(ground::NETWORKS, scenario, now, seed, setup).await
}

/// Starts a fleet on the first of these networks that is free, else on ports of one address.
async fn start_on(
    networks: RangeInclusive<u8>,
    scenario: Scenario,
    now: Time,
    seed: u64,
    setup: Setup,
) -> Result<Fleet, DemoError> {
    let archive = Arc::new(Archive::of_the_demo()?);
    let folder = Folder::new()?;
    let client = key(seed, "client")?;
    let clock = Clock { began: now, since: tokio::time::Instant::now() };
    let numbers: Vec<Vec<u8>> =
        ROLES.iter().map(|role| role.customers.iter().map(|customer| customer.2).collect()).collect();
    let wanted: Vec<ground::Numbers<'_>> =
        ROLES.iter().zip(&numbers).map(|(role, customers)| (role.number, customers.as_slice())).collect();
    let Ground { gateway, plots, claim } = ground::take(&wanted, networks)?;

    let tasks = Tasks::default();
    let (mut servers, mut entries, mut known) = (Vec::new(), Vec::new(), String::new());
    for (role, plot) in ROLES.iter().zip(plots) {
        let host_key = key(seed, role.name)?;
        let line = |key: &PublicKey| key.to_openssh().map_err(|error| DemoError::Key(error.to_string()));
        known.push_str(&format!(
            "[{}]:{} {}\n",
            plot.ssh.at.ip(),
            plot.ssh.at.port(),
            line(host_key.public_key())?
        ));
        let mut listens = vec![(plot.ssh.at.port(), "sshd")];
        let (mut doors, mut customers) = (Vec::new(), Vec::new());
        let addresses = plot.customers.iter().map(|place| place.address).collect();
        for (place, (name, weight, _, zone)) in plot.customers.into_iter().zip(role.customers) {
            customers.push(window::Customer {
                name,
                weight: *weight,
                zone,
                http: place.http.at,
                https: place.https.at,
            });
            for stand in [place.http, place.https] {
                listens.push((stand.at.port(), "nginx"));
                let (open, wanted) = watch::channel(true);
                tasks.spawn(door::keep(stand.at, stand.listener, wanted));
                doors.push((place.address, open));
            }
        }
        listens.sort_unstable();
        listens.dedup();
        entries.push(window::Entry { name: role.name, group: role.group, ssh: plot.ssh.at, customers });
        let story = scenario.differs();
        let profile = Profile {
            name: role.name.to_owned(),
            // A name that no row has stands for everybody's rows.
            rows: if story { role.name } else { "" }.to_owned(),
            address: plot.address,
            gateway,
            customers: addresses,
            by_hand: story && role.name == "web1",
            listens,
            seed,
        };
        let mut model = Host::new(profile, Arc::clone(&archive));
        if setup.rehearsed && role.name == BASELINE {
            rehearsed(&mut model, now);
        }
        let server =
            Server::new(model, doors, ssh_config(host_key), client.public_key().clone(), setup.pace, clock);
        tasks.spawn(Arc::clone(&server).run(plot.ssh.at, plot.ssh.listener));
        servers.push(server);
    }
    let settings = Arc::new(folder.settings(&client, &known)?);
    let rehearsal = rehearsal(scenario, &archive, now);
    let plan = window::text(&entries, scenario.auto_rollback(), now);
    Ok(Fleet { plan, settings, rehearsal, servers, tasks, _claim: claim, folder })
}

/// The test host.
const BASELINE: &str = "test1";

impl Fleet {
    fn end(&self) {
        self.tasks.abort();
        self.servers.iter().for_each(|server| server.stop());
    }

    /// Ends the fleet and waits until its ports are free again, a second at most.
    pub async fn stop(self) {
        self.end();
        for _ in 0..100 {
            if self.tasks.count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[cfg(test)]
impl Fleet {
    fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// That host's archive has that file no more.
    fn lose(&self, host: usize, file: crate::host::carry::FileOf) {
        self.servers[host].model().lost.insert(file);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end();
    }
}

/// An ed25519 key, the same for the same seed and name.
fn key(seed: u64, name: &str) -> Result<PrivateKey, DemoError> {
    let seed = sha2::Sha256::digest(format!("holdpoint demo key {seed} {name}").as_bytes());
    let pair = Ed25519Keypair::from_seed(&seed.into());
    PrivateKey::new(pair.into(), format!("holdpoint demo {name}"))
        .map_err(|error| DemoError::Key(error.to_string()))
}

fn ssh_config(key: PrivateKey) -> russh::server::Config {
    let mut methods = MethodSet::empty();
    methods.push(russh::MethodKind::PublicKey);
    russh::server::Config {
        server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.2p1".into()),
        methods,
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        inactivity_timeout: None,
        nodelay: true,
        ..russh::server::Config::default()
    }
}

/// The test host after its rehearsal: everything is applied, and it has rebooted.
fn rehearsed(host: &mut Host, now: Time) {
    let pending: Vec<_> = host.offered().0.iter().map(|row| (row.id.clone(), row.to.clone())).collect();
    for (id, to) in pending {
        host.put(&id, to);
    }
    host.boot(now);
}

/// What rehearsing on the test host yields: everything that it is offered, and how long it took.
fn rehearsal(scenario: Scenario, archive: &Archive, now: Time) -> Rehearsal {
    let host = if scenario.differs() { BASELINE } else { "" };
    let set = archive.of_host(host).into_iter().filter(|row| row.kept.is_none()).filter_map(|row| {
        let to = row.to.clone()?;
        Some(Frozen { package: row.id.clone(), from: row.from.clone(), sha256: sha256(&row.id, &to), to })
    });
    #[expect(clippy::unwrap_used, reason = "the constant is a host's name")]
    let baseline: HostName = BASELINE.parse().unwrap();
    Rehearsal {
        baseline,
        at: now - chrono::TimeDelta::days(2),
        seq: 1,
        set: set.collect(),
        // As long as it takes at the pace of real hosts, in the three batches that the plan comes to.
        apply: Span::ms(20_000),
        rollback: Span::ms(20_000),
        reboot: Some(Span::ms(5_500)),
        verify: Span::ms(300),
        identical: true,
    }
}
