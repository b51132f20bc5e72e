//! Verdicts: what the probes of all vantages, the packets, the facts and the host's reach together say about
//! one probe, or one customer. A pure function of the state and the moment: the same inputs, the same words.
//!
//! It never says more than its evidence: what is stale or missing leads to the weaker verdict or to
//! `unknown`, and is named in the evidence. What it goes by is in `seen`, what fails is judged in `failing`,
//! what passes in `passing`, the next thing to look at is in `next`.

mod failing;
mod next;
mod passing;
mod said;
mod seen;
mod sound;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::event::{Flow, ProbeId, Vantage};
use super::state::{ProbeState, State};
use crate::types::{CustomerName, Time, Untrusted};
pub use passing::{Differs, differs};
use seen::{Look, Packets, Seen, counts};
pub(super) use sound::{broken, is_silent, silent_since};

/// What is so, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It answers as it should.
    Reachable,
    /// Nothing of it comes in on the host's wire.
    NotArriving,
    /// The router asks for the address, and nobody answers.
    ArpUnanswered,
    /// It arrives, and no answer leaves.
    DroppedOnHost,
    /// A firewall refuses it.
    RejectedByFirewall,
    /// An answer leaves, by the wrong interface or into nothing.
    ReplyLost,
    /// Nobody listens on that address and port.
    NotListening,
    /// Nobody listens on that port at all, or the unit has failed.
    ServiceDown,
    /// It connects, and then there is silence.
    ServiceHung,
    /// It answers with an error of its own.
    ServiceError,
    /// The certificate is not the right one.
    WrongCertificate,
    /// The TLS handshake is refused.
    TlsRefused,
    /// It answers with something else than it should.
    WrongContent,
    /// The database does not answer, or has no such database.
    DatabaseDown,
    /// It answers, much later than before.
    Slow,
    /// The service answers as fast as before, and it takes much longer on the way.
    PathSlow,
    /// Connections are taken and no process answers, ssh neither.
    HostHung,
    /// Nothing of the host answers.
    HostDown,
    /// The place that one looks from does not work.
    VantageBroken,
    /// What is so can't be told.
    Unknown,
}

impl Verdict {
    /// The word on screen and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::NotArriving => "not-arriving",
            Self::ArpUnanswered => "arp-unanswered",
            Self::DroppedOnHost => "dropped-on-host",
            Self::RejectedByFirewall => "rejected-by-firewall",
            Self::ReplyLost => "reply-lost",
            Self::NotListening => "not-listening",
            Self::ServiceDown => "service-down",
            Self::ServiceHung => "service-hung",
            Self::ServiceError => "service-error",
            Self::WrongCertificate => "wrong-certificate",
            Self::TlsRefused => "tls-refused",
            Self::WrongContent => "wrong-content",
            Self::DatabaseDown => "database-down",
            Self::Slow => "slow",
            Self::PathSlow => "path-slow",
            Self::HostHung => "host-hung",
            Self::HostDown => "host-down",
            Self::VantageBroken => "vantage-broken",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the customer gets what they ask for, late perhaps.
    pub fn reached(self) -> bool {
        match self {
            Self::Reachable | Self::Slow | Self::PathSlow => true,
            Self::NotArriving
            | Self::ArpUnanswered
            | Self::DroppedOnHost
            | Self::RejectedByFirewall
            | Self::ReplyLost
            | Self::NotListening
            | Self::ServiceDown
            | Self::ServiceHung
            | Self::ServiceError
            | Self::WrongCertificate
            | Self::TlsRefused
            | Self::WrongContent
            | Self::DatabaseDown
            | Self::HostHung
            | Self::HostDown
            | Self::VantageBroken
            | Self::Unknown => false,
        }
    }

    /// How much of the rest it explains: of several probes of one customer the highest speaks. Lower layers
    /// explain higher ones; what is not known is worse than slow, since it may be anything. A vantage that does
    /// not work explains nothing that is seen to be wrong from another.
    fn weight(self) -> u8 {
        match self {
            Self::Reachable => 0,
            Self::PathSlow => 1,
            Self::Slow => 2,
            Self::Unknown => 3,
            Self::VantageBroken => 4,
            Self::WrongContent => 5,
            Self::ServiceError => 6,
            Self::WrongCertificate => 7,
            Self::TlsRefused => 8,
            Self::DatabaseDown => 9,
            Self::ServiceHung => 10,
            Self::NotListening => 11,
            Self::ServiceDown => 12,
            Self::ReplyLost => 13,
            Self::RejectedByFirewall => 14,
            Self::DroppedOnHost => 15,
            Self::ArpUnanswered => 16,
            Self::NotArriving => 17,
            Self::HostHung => 18,
            Self::HostDown => 19,
        }
    }
}

/// A verdict with what it stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The word.
    pub verdict: Verdict,
    /// One sentence: whose, what, seen from where, and what is so.
    pub said: String,
    /// The middle of that sentence: seen from where, "outside FAIL 36s, inside ok".
    pub heading: String,
    /// The end of that sentence alone: what is so.
    pub gist: String,
    /// What it stands on, a line each, and what is missing.
    pub evidence: Vec<String>,
    /// The next thing to look at: a command that only reads, ready to copy, made of checked types alone.
    pub next: Option<String>,
}

/// A verdict before it is put into words.
struct Found {
    verdict: Verdict,
    gist: String,
    next: Option<String>,
}

impl Found {
    fn new(verdict: Verdict, gist: impl Into<String>) -> Self {
        Self { verdict, gist: gist.into(), next: None }
    }

    fn unknown(gist: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, gist)
    }
}

/// What is so about one probe.
pub fn judge(state: &State, id: &ProbeId, now: Time) -> Judgement {
    let Some(seen) = Seen::of(state, id, now) else {
        let said = format!("{}#{}: the plan has no such probe", id.customer, id.index);
        let (evidence, gist) = (Vec::new(), "the plan has no such probe".to_owned());
        let heading = String::new();
        return Judgement { verdict: Verdict::Unknown, said, heading, gist, evidence, next: None };
    };
    let mut found = found(&seen);
    if found.next.is_none() {
        found.next = next::of(&seen, found.verdict);
    }
    let Found { verdict, gist, next } = found;
    let heading = seen.heading();
    let said = format!("{} {heading}: {gist}", seen.name());
    Judgement { verdict, said, heading, gist, evidence: seen.evidence(), next }
}

/// What the host's wire saw of a probe's newest attempt, where that is known and not of before it failed; where
/// it was found by address and time alone it says so, and no verdict stands on it.
pub fn packets<'s>(state: &'s State, id: &'s ProbeId, now: Time) -> Option<&'s Flow> {
    let seen = Seen::of(state, id, now)?;
    match seen.packets() {
        Packets::Own(flow) => Some(flow),
        Packets::Passing(_) | Packets::Unseen(_) => seen.newest_flow().filter(|flow| flow.by_time),
    }
}

fn found(seen: &Seen<'_>) -> Found {
    if !counts(seen.probe) {
        return Found::unknown("this version makes no probe of that kind");
    }
    let own = seen.own();
    // What passes from there shows that the vantage works.
    if !matches!(own, Look::Ok { .. })
        && let Some(why) = seen.broken()
    {
        return Found::new(Verdict::VantageBroken, format!("{} does not work: {why}", seen.place()));
    }
    match own {
        Look::Nothing => Found::unknown("nothing was seen of it yet"),
        Look::Stale(at) => {
            Found::unknown(format!("not seen since {}: {}", at.format("%H:%M:%SZ"), seen.why_stale()))
        }
        Look::Broken(why) => Found::unknown(format!("it could not be looked at: {}", why.shown())),
        Look::Mending => {
            Found::unknown("it failed as often as its limit says, and the newest attempt passes")
        }
        Look::Shaky { failed, why, .. } => {
            let limit = seen.probe.probe.fails;
            Found::unknown(format!("{failed} failed, {limit} mean FAIL: {}", why.shown()))
        }
        Look::Fail { kind, .. } => failing::judge(seen, kind),
        Look::Ok { .. } => passing::judge(seen),
    }
}

/// What is so about one customer: the worst of what their required probes say; where none is required, of
/// all that are made.
pub fn of_customer(state: &State, customer: &CustomerName, now: Time) -> Judgement {
    let id = |index| ProbeId { customer: customer.clone(), index };
    let made = || {
        let all = state.probes.range(id(0)..=id(u16::MAX));
        all.filter(|(_, probe)| counts(probe))
    };
    let required = made().any(|(_, probe)| probe.required());
    let counts = made().filter(|(_, probe)| !required || probe.required());
    let mut worst: Option<Judgement> = None;
    for (id, _) in counts {
        let judgement = judge(state, id, now);
        if worst.as_ref().is_none_or(|worst| judgement.verdict.weight() > worst.verdict.weight()) {
            worst = Some(judgement);
        }
    }
    let mut worst = worst.unwrap_or_else(|| {
        let gist = "no probe tells whether they are served".to_owned();
        let (said, heading, evidence) = (format!("{customer}: {gist}"), String::new(), Vec::new());
        Judgement { verdict: Verdict::Unknown, said, heading, gist, evidence, next: None }
    });
    if !required {
        worst.evidence.push("none of their probes is required".to_owned());
    }
    // What the window did not break is none of its business, and said all the same.
    let failed = made().filter(|(_, probe)| probe.probe.required && !probe.required());
    let was =
        |probe: &ProbeState| format!("failed before any change, so not required: {}", probe.probe.target);
    worst.evidence.extend(failed.map(|(_, probe)| Untrusted::new(was(probe)).shown()));
    worst
}

/// Whether the router has an answer when it asks for the address of a probe's customer; `None` where nothing
/// tells.
pub(super) fn arp(state: &State, id: &ProbeId, now: Time) -> Option<bool> {
    let seen = Seen::of(state, id, now)?;
    seen.arp()
}

/// The customers' word for a vantage.
fn place(vantage: &Vantage) -> String {
    match vantage {
        Vantage::Cockpit => "outside".to_owned(),
        Vantage::Further(name) => format!("outside ({name})"),
        Vantage::Inside => "inside".to_owned(),
        Vantage::Peer(host) => format!("peer ({host})"),
    }
}
