//! Any event there can be, for tests that must hold for all of them. Values are as wild as their
//! types allow, so what a strategy here can't make, a journal can't hold.

use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, TimeDelta};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::result::maybe_ok;
use proptest::sample::select;

mod alarm;
mod batch;
mod plans;
mod probe;

pub use alarm::alarm_event;
pub use batch::batch_event;
use plans::class;
pub use plans::plan;
use probe::row;
pub use probe::{evidence_event, flow, outcome, packet_event, probe_event, sighting};

use super::change::{Change, Frozen, Rehearsal, Standing};
use super::event::*;
use super::state::Round;
use crate::facts::{self, Domain, Fact};
use crate::plan::{self, Plan};
use crate::types::*;

/// A name of the type that is asked for.
fn name<T: std::str::FromStr<Err = NameError> + std::fmt::Debug>(
    pattern: &'static str,
) -> impl proptest::strategy::Strategy<Value = T> {
    pattern.prop_map(|text| text.parse().expect("the pattern is the type's"))
}

type Any<T> = BoxedStrategy<T>;

/// A host of a few, so that events meet.
pub fn host() -> Any<HostName> {
    name("(web|db|test)[1-3]|[A-Za-z0-9][A-Za-z0-9._-]{0,8}").boxed()
}

/// A batch of a few.
pub fn batch() -> Any<BatchId> {
    name("(web|db)[1-3]-[1-3]|[a-z0-9][a-z0-9.-]{0,8}").boxed()
}

fn customer() -> Any<CustomerName> {
    name("[A-Za-z0-9][A-Za-z0-9._-]{0,8}").boxed()
}

fn person() -> Any<PersonName> {
    name("[A-Za-z0-9][A-Za-z0-9._@-]{0,8}").boxed()
}

fn package_name() -> Any<PackageName> {
    name("[a-z0-9][a-z0-9+.-]{1,8}").boxed()
}

fn arch() -> Any<Arch> {
    name("amd64|all|[a-z0-9][a-z0-9-]{0,5}").boxed()
}

fn package() -> Any<PackageId> {
    (package_name(), arch()).prop_map(|(name, arch)| PackageId::new(name, arch)).boxed()
}

fn operation() -> Any<OperationId> {
    name("[a-z0-9][a-z0-9.-]{0,8}").boxed()
}

fn unit() -> Any<UnitName> {
    name("[A-Za-z0-9:_.@\\\\-]{1,8}").boxed()
}

fn interface() -> Any<IfName> {
    name("[a-z][a-z0-9@.]{0,8}").boxed()
}

fn boot() -> Any<BootId> {
    name("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").boxed()
}

fn version() -> Any<Version> {
    "([0-9]{1,3}:)?[0-9][0-9a-zA-Z.+~]{0,6}(-[0-9a-z.+~]{1,4})?"
        .prop_map(|text| text.parse().expect("the pattern is a version's"))
        .boxed()
}

fn sha256() -> Any<Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes).boxed()
}

fn blake3() -> Any<Blake3> {
    any::<[u8; 32]>().prop_map(Blake3::from_bytes).boxed()
}

/// Text of every kind of character, those that act on terminals more often than chance has them.
fn text() -> Any<String> {
    let wild = select(
        &['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}', '\n', '"', '\\', '\u{7f}', '\u{e0041}', '\0'][..],
    );
    prop_oneof!["[ -~]{0,12}", vec(prop_oneof![wild, any::<char>()], 0..12).prop_map(String::from_iter),]
        .boxed()
}

fn untrusted() -> Any<Untrusted> {
    prop_oneof![
        20 => text().prop_map(Untrusted::new),
        1 => (4_000..5_000_usize).prop_map(|n| Untrusted::new("\u{202e}x".repeat(n / 4))),
    ]
    .boxed()
}

/// A moment within a century, to the nanosecond.
pub fn time() -> Any<Time> {
    (0..3_155_760_000_i64, 0..1_000_000_000_u32)
        .prop_map(|(secs, nanos)| DateTime::from_timestamp(secs, nanos).expect("a time"))
        .boxed()
}

fn span() -> Any<Span> {
    prop_oneof![0..100_000_u64, any::<u64>()].prop_map(Span::ms).boxed()
}

fn few<T: Clone + std::fmt::Debug + 'static>(each: Any<T>) -> Any<Vec<T>> {
    vec(each, 0..3).boxed()
}

fn texts() -> Any<Vec<Untrusted>> {
    few(untrusted())
}

fn failure() -> Any<Failure> {
    let kind = select(
        &[
            FailureKind::Unreachable,
            FailureKind::NoSession,
            FailureKind::HostKey,
            FailureKind::Login,
            FailureKind::NotEnrolled,
            FailureKind::Refused,
            FailureKind::Malformed,
            FailureKind::Failed,
            FailureKind::TimedOut,
            FailureKind::Local,
        ][..],
    );
    (kind, untrusted()).prop_map(|(kind, what)| Failure { kind, what }).boxed()
}

fn result<T: Clone + std::fmt::Debug + 'static>(ok: Any<T>) -> Any<Result<T, Failure>> {
    maybe_ok(ok, failure()).boxed()
}

// --- the plan

/// A rehearsal.
pub fn rehearsal() -> Any<Rehearsal> {
    let frozen = (package(), of(version()), version(), sha256())
        .prop_map(|(package, from, to, sha256)| Frozen { package, from, to, sha256 });
    let times = (span(), span(), of(span()), span());
    (host(), time(), any::<u64>(), few(frozen.boxed()), times, any::<bool>())
        .prop_map(|(baseline, at, seq, set, (apply, rollback, reboot, verify), identical)| Rehearsal {
            baseline,
            at,
            seq,
            set,
            apply,
            rollback,
            reboot,
            verify,
            identical,
        })
        .boxed()
}

// --- facts

fn fact<T: Clone + std::fmt::Debug + 'static>(known: Any<T>) -> Any<Fact<T>> {
    prop_oneof![4 => known.prop_map(Fact::Known), 1 => untrusted().prop_map(Fact::Unknown)].boxed()
}

fn replaced() -> Any<facts::Replaced> {
    (any::<u32>(), untrusted(), of(unit()), of(untrusted()))
        .prop_map(|(pid, program, unit, path)| facts::Replaced { pid, program, unit, path })
        .boxed()
}

fn network() -> Any<facts::Network> {
    let address = (interface(), any::<IpAddr>(), any::<u8>(), untrusted(), any::<bool>()).prop_map(
        |(interface, address, prefix, scope, dynamic)| facts::Address {
            interface,
            address,
            prefix,
            scope,
            dynamic,
        },
    );
    let route = (untrusted(), untrusted(), of(any::<IpAddr>()), of(interface()), untrusted(), any::<u32>())
        .prop_map(|(table, destination, gateway, interface, protocol, metric)| facts::Route {
            table,
            destination,
            gateway,
            interface,
            protocol,
            metric,
        });
    (few(address.boxed()), few(route.boxed()))
        .prop_map(|(addresses, routes)| facts::Network { addresses, routes })
        .boxed()
}

fn updates() -> Any<facts::Updates> {
    use facts::KeptWhy as K;
    let why = select(&[K::Hold, K::Pin, K::Phased, K::Dependency][..]);
    let kept = (package(), version(), of(version()), why)
        .prop_map(|(package, from, candidate, why)| facts::Kept { package, from, candidate, why });
    let what = (package(), of(version()), version(), any::<bool>());
    let whence =
        (untrusted(), package_name(), untrusted(), of(any::<u64>()), of(sha256()), few(package_name()));
    let pending = (what, whence).prop_map(|((package, from, to, security), whence)| {
        let (origin, source, section, size, sha256, needs) = whence;
        facts::Pending { package, from, to, security, origin, source, section, size, sha256, needs }
    });
    let pin = (package(), version(), time(), batch(), untrusted());
    let pin = pin.prop_map(|(package, version, since, batch, by)| facts::Pin {
        package,
        version,
        since,
        batch,
        by,
    });
    (few(pending.boxed()), few(kept.boxed()), of(time()), few(pin.boxed()))
        .prop_map(|(pending, kept, lists_at, pins)| facts::Updates { pending, kept, lists_at, pins })
        .boxed()
}

fn locks() -> Any<facts::Locks> {
    use facts::Unattended as U;
    let unattended = of(select(&[U::On, U::Off, U::Paused][..]).boxed());
    (texts(), unattended).prop_map(|(holders, unattended)| facts::Locks { holders, unattended }).boxed()
}

fn domain() -> Any<Domain> {
    let system = (untrusted(), untrusted(), arch(), untrusted(), any::<bool>(), any::<i64>()).prop_map(
        |(id, release, arch, hostname, systemd, clock_offset_ms)| facts::System {
            id,
            release,
            arch,
            hostname,
            systemd,
            clock_offset_ms,
        },
    );
    let booted =
        (boot(), any::<u64>(), untrusted(), texts(), of(any::<bool>()), few(package_name()), texts())
            .prop_map(
                |(boot_id, init_started, kernel, kernels, reboot_required, reboot_asked_by, passphrases)| {
                    facts::Boot {
                        boot_id,
                        init_started,
                        kernel,
                        kernels,
                        reboot_required,
                        reboot_asked_by,
                        passphrases,
                    }
                },
            );
    let protocol = select(&[facts::Protocol::Tcp, facts::Protocol::Udp][..]);
    // A flow label and a scope are no part of an address in text.
    let socket = any::<(IpAddr, u16)>().prop_map(SocketAddr::from);
    let listener = (protocol, socket, of(untrusted())).prop_map(|(protocol, at, program)| facts::Listener {
        v6_only: at.ip().is_unspecified() && at.is_ipv6(),
        protocol,
        at,
        program,
    });
    let installed = (version(), untrusted(), any::<bool>(), any::<bool>())
        .prop_map(|(version, status, auto, held)| facts::Installed { version, status, auto, held });
    let packages = (btree_map(package(), installed, 0..3), texts())
        .prop_map(|(installed, audit)| facts::Packages { installed, audit });
    let filesystem = (untrusted(), any::<u64>(), any::<u64>())
        .prop_map(|(mount, free, size)| facts::Filesystem { mount, free, size });
    prop_oneof![
        fact(system.boxed()).prop_map(Domain::System),
        fact(booted.boxed()).prop_map(Domain::Boot),
        fact(network()).prop_map(Domain::Network),
        fact(few(listener.boxed())).prop_map(Domain::Listeners),
        fact(packages.boxed()).prop_map(Domain::Packages),
        fact(updates()).prop_map(Domain::Updates),
        fact(few(unit()).prop_map(|failed| facts::Services { failed }).boxed()).prop_map(Domain::Services),
        fact(few(filesystem.boxed())).prop_map(Domain::Storage),
        fact(few(replaced())).prop_map(Domain::Replaced),
        fact(locks().boxed()).prop_map(Domain::Locks),
    ]
    .boxed()
}

// --- events, a strategy for each group

fn scope() -> Any<HoldScope> {
    prop_oneof![
        Just(HoldScope::Window),
        host().prop_map(HoldScope::Host),
        batch().prop_map(HoldScope::Batch),
    ]
    .boxed()
}

fn take_over() -> Any<TakeOver> {
    let word = select(&[TakeOverWord::Typed, TakeOverWord::Option][..]);
    let before = select(&[Before::Gone, Before::NotKnown, Before::Silent][..]);
    (untrusted(), any::<u32>(), word, of(untrusted()), before)
        .prop_map(|(machine, process, word, from, before)| TakeOver { machine, process, word, from, before })
        .boxed()
}

/// Any event of the window.
pub fn window_event() -> Any<WindowEvent> {
    use WindowEvent as E;
    let purpose = select(&[Purpose::Check, Purpose::Probe, Purpose::Rehearsal, Purpose::Run][..]);
    let outcome = select(
        &[
            Outcome::Done,
            Outcome::RolledBack,
            Outcome::Held,
            Outcome::RollbackIncomplete,
            Outcome::Unreachable,
        ][..],
    );
    prop_oneof![
        (purpose, plan(), of(rehearsal()), text()).prop_map(|(purpose, plan, rehearsal, program)| {
            E::Opened { purpose, plan: Box::new(plan), rehearsal: rehearsal.map(Box::new), program }
        }),
        (text(), of(take_over()))
            .prop_map(|(program, take_over)| E::Resumed { program, take_over: take_over.map(Box::new) }),
        (scope(), untrusted()).prop_map(|(scope, why)| E::Held { scope, why }),
        scope().prop_map(|scope| E::Released { scope }),
        untrusted().prop_map(|note| E::Marked { note }),
        any::<i64>().prop_map(|by_ms| E::ClockStepped { by_ms }),
        (time(), span(), untrusted()).prop_map(|(since, lasted, why)| E::Gap { since, lasted, why }),
        (any::<u64>(), untrusted()).prop_map(|(id, what)| E::Stale { id, what }),
        outcome.prop_map(|outcome| E::Ended { outcome }),
    ]
    .boxed()
}

/// Any event of a host.
pub fn host_event() -> Any<HostEvent> {
    use HostEvent as E;
    let helper = (any::<bool>(), of(untrusted()), any::<u64>())
        .prop_map(|(enrolled, why_not, epoch)| HelperState { enrolled, why_not, epoch });
    prop_oneof![
        host().prop_map(|host| E::ReadStarted { host }),
        (host(), helper).prop_map(|(host, helper)| E::Greeted { host, helper }),
        (host(), domain()).prop_map(|(host, domain)| E::Learnt { host, domain: Box::new(domain) }),
        (host(), any::<u64>(), of(failure())).prop_map(|(host, started, failure)| E::ReadEnded {
            host,
            started,
            failure
        }),
        (host(), untrusted()).prop_map(|(host, why)| E::Lost { host, why }),
        (host(), untrusted()).prop_map(|(host, why)| E::NoSession { host, why }),
        host().prop_map(|host| E::Back { host }),
    ]
    .boxed()
}

/// Any decision about a gate.
pub fn gate_event() -> Any<GateEvent> {
    prop_oneof![
        (text(), batch(), untrusted(), untrusted(), untrusted(), time()).prop_map(
            |(gate, batch, failing, reason, watch, until)| GateEvent::Waived {
                gate,
                batch,
                failing,
                reason,
                watch,
                until,
            }
        ),
        (host(), package_name()).prop_map(|(host, package)| GateEvent::Left { host, package }),
    ]
    .boxed()
}

/// Any event of a rehearsal.
pub fn rehearsal_event() -> Any<RehearsalEvent> {
    let round = select(&[Round::First, Round::Back, Round::Second][..]);
    prop_oneof![
        round.prop_map(|round| RehearsalEvent::RoundStarted { round }),
        rehearsal().prop_map(|rehearsal| RehearsalEvent::Frozen { rehearsal: Box::new(rehearsal) }),
    ]
    .boxed()
}

fn log_source() -> Any<LogSource> {
    prop_oneof![
        Just(LogSource::Holdpoint),
        operation().prop_map(LogSource::Operation),
        Just(LogSource::Journal),
        untrusted().prop_map(LogSource::File),
    ]
    .boxed()
}

/// Any event of a host's logs.
pub fn log_event() -> Any<LogEvent> {
    prop_oneof![
        host().prop_map(|host| LogEvent::FollowStarted { host }),
        host().prop_map(|host| LogEvent::Following { host }),
        (host(), untrusted()).prop_map(|(host, why)| LogEvent::Unseen { host, why }),
        (host(), log_source(), span(), any::<(u32, u32, u32)>()).prop_map(
            |(host, source, over, (lines, errors, left_out))| LogEvent::Counted {
                host,
                source,
                over,
                lines,
                errors,
                left_out
            }
        ),
        (host(), any::<u64>(), untrusted()).prop_map(|(host, started, why)| LogEvent::FollowEnded {
            host,
            started,
            why
        }),
    ]
    .boxed()
}

/// Any samples.
pub fn samples() -> Any<Samples> {
    let line = (host(), log_source(), time(), of(untrusted()), any::<bool>(), untrusted())
        .prop_map(|(host, source, at, by, error, text)| LogLine { host, source, at, by, error, text });
    (few(line.boxed()), any::<u64>(), few(row()), any::<u64>())
        .prop_map(|(lines, left_out, rows, rows_left_out)| Samples { lines, left_out, rows, rows_left_out })
        .boxed()
}

/// Any event of any group.
pub fn event() -> Any<Event> {
    prop_oneof![
        window_event().prop_map(Event::Window),
        host_event().prop_map(Event::Host),
        batch_event().prop_map(Event::Batch),
        gate_event().prop_map(Event::Gate),
        probe_event().prop_map(Event::Probe),
        packet_event().prop_map(Event::Packet),
        log_event().prop_map(Event::Log),
        alarm_event().prop_map(Event::Alarm),
        evidence_event().prop_map(Event::Evidence),
        rehearsal_event().prop_map(Event::Rehearsal),
        samples().prop_map(Event::Samples),
    ]
    .boxed()
}

fn actor() -> Any<Actor> {
    prop_oneof![person().prop_map(Actor::Person), Just(Actor::Holdpoint)].boxed()
}

/// Records with any events, numbered from 1, their times never going back.
pub fn records(most: usize) -> Any<Vec<Record>> {
    let each = (actor(), "[a-z0-9]{1,8}", any::<u64>(), event(), 0..5_000_i64);
    (time(), vec(each, 0..=most))
        .prop_map(|(mut at, all)| {
            let numbered = (1..).zip(all);
            let record = |(seq, (actor, session, epoch, event, after))| {
                at += TimeDelta::milliseconds(after);
                Record { seq, at, actor, session, epoch, event }
            };
            numbered.map(record).collect()
        })
        .boxed()
}
