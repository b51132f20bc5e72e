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
mod probe;

pub use alarm::alarm_event;
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

/// A text that a plan may hold: one line of visible characters.
fn line() -> Any<String> {
    "[ -~\u{e9}\u{6f22}\u{1f574}]{0,12}".boxed()
}

fn destination() -> Any<String> {
    "(ops@)?[a-z0-9]{1,8}".boxed()
}

fn target() -> Any<plan::ProbeTarget> {
    use plan::ProbeTarget as T;
    prop_oneof![
        Just(T::Ping),
        any::<u16>().prop_map(|port| T::Tcp { port }),
        (any::<u16>(), of(line())).prop_map(|(port, name)| T::Tls { port, name }),
        (any::<bool>(), line(), any::<u16>(), line()).prop_map(|(tls, host, port, path)| T::Http {
            tls,
            host,
            port,
            path
        }),
        line().prop_map(|name| T::Dns { name }),
        line().prop_map(|database| T::Postgres { database }),
        few(line()).prop_map(|argv| T::Exec { argv }),
    ]
    .boxed()
}

fn vantage() -> Any<plan::VantageKind> {
    use plan::VantageKind as V;
    select(&[V::Outside, V::Inside, V::Peer][..]).boxed()
}

fn limit() -> Any<plan::Limit> {
    any::<(u32, u32)>().prop_map(|(fails, of)| plan::Limit { fails, of }).boxed()
}

fn probe() -> Any<plan::Probe> {
    (target(), vantage(), span(), span(), span(), limit(), any::<bool>(), of(line()))
        .prop_map(|(target, from, every, timeout, delay, fails, required, body)| plan::Probe {
            target,
            from,
            every,
            timeout,
            delay,
            fails,
            required,
            body,
        })
        .boxed()
}

fn class() -> Any<plan::Class> {
    use plan::Class as C;
    select(&[C::Kernel, C::Libc, C::Init, C::Network, C::Server, C::Library, C::Leaf][..]).boxed()
}

fn policy() -> Any<plan::Policy> {
    use plan::{AutoRollback as A, Strategy as S};
    let auto = select(&[A::Armed, A::Ask, A::Off][..]);
    let strategy = select(&[S::SecurityFirst, S::Source, S::Class, S::OneByOne, S::All, S::Listed][..]);
    let spans = (span(), span(), span(), span(), span());
    let rest = (any::<(u32, bool, bool)>(), few(class()), few(line()), few(host()), of(line()));
    (spans, auto, strategy, rest)
        .prop_map(|((confirm_within, bake, rehearsal_max_age, margin, countdown), auto_rollback, strategy, rest)| {
            let ((max_changes, allow_removals, snapshots), alone, second_person, order, snapshot_archive) = rest;
            plan::Policy {
                confirm_within,
                bake,
                max_changes,
                alone,
                allow_removals,
                rehearsal_max_age,
                margin,
                auto_rollback,
                countdown,
                strategy,
                second_person,
                order,
                snapshots,
                snapshot_archive,
            }
        })
        .boxed()
}

fn live_host() -> Any<plan::Host> {
    (host(), destination(), of(line()), of(line()), few(line()), any::<u64>())
        .prop_map(|(name, ssh, group, console, logs, weight)| plan::Host {
            name,
            ssh,
            group,
            console,
            logs,
            weight,
        })
        .boxed()
}

fn plan_customer() -> Any<plan::Customer> {
    (customer(), host(), any::<u64>(), of(any::<IpAddr>()), few(probe()), of(line()))
        .prop_map(|(name, host, weight, address, probes, zone)| plan::Customer {
            name,
            host,
            weight,
            address,
            probes,
            zone,
        })
        .boxed()
}

fn abort_line() -> Any<plan::AbortLine> {
    let probes =
        prop_oneof![Just(plan::AbortProbes::Required), customer().prop_map(plan::AbortProbes::Customer),];
    (probes, vantage(), limit())
        .prop_map(|(probes, from, fails)| plan::AbortLine { probes, from, fails })
        .boxed()
}

fn accept() -> Any<plan::Accept> {
    (host(), line(), line(), line(), line(), time())
        .prop_map(|(host, domain, item, fingerprint, reason, until)| plan::Accept {
            host,
            domain,
            item,
            fingerprint,
            reason,
            until,
        })
        .boxed()
}

fn hook() -> Any<plan::Hook> {
    let when = select(&[plan::HookWhen::Before, plan::HookWhen::After][..]);
    (when, few(line()), few(line())).prop_map(|(when, argv, undo)| plan::Hook { when, argv, undo }).boxed()
}

fn plan_person() -> Any<plan::Person> {
    let role = select(&[plan::Role::Approver, plan::Role::Watcher][..]);
    (person(), line(), role).prop_map(|(name, key, role)| plan::Person { name, key, role }).boxed()
}

/// A plan, not one that makes sense.
pub fn plan() -> Any<Plan> {
    let window = (line(), of(line()), time(), time())
        .prop_map(|(name, ticket, opens, closes)| plan::Window { name, ticket, opens, closes });
    let baseline = of((host(), destination()).prop_map(|(host, ssh)| plan::Baseline { host, ssh }));
    let batches = few((of(host()), few(package_name()))
        .prop_map(|(host, packages)| plan::ListedBatch { host, packages })
        .boxed());
    let vantages = few((host(), destination()).prop_map(|(name, ssh)| plan::Vantage { name, ssh }).boxed());
    let first = (blake3(), window, baseline, few(live_host()), few(plan_customer()), policy(), batches);
    let second = (
        few(plan_person()),
        of(line()),
        few(probe()),
        few(abort_line()),
        few(accept()),
        few(hook()),
        vantages,
    );
    (first, second)
        .prop_map(|(first, second)| {
            let (hash, window, baseline, hosts, customers, policy, batches) = first;
            let (people, tls_ca, controls, aborts, accepts, hooks, vantages) = second;
            Plan {
                hash,
                window,
                baseline,
                hosts,
                customers,
                policy,
                batches,
                people,
                tls_ca,
                controls,
                aborts,
                accepts,
                hooks,
                vantages,
            }
        })
        .boxed()
}

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
        host().prop_map(|host| E::Back { host }),
    ]
    .boxed()
}

fn change() -> Any<Change> {
    use Standing as S;
    let standing = select(&[S::Same, S::OtherFrom, S::Newer, S::Older, S::Untested, S::Missing, S::Kept][..]);
    let what = (package(), of(version()), version(), of(sha256()), of(version()), standing);
    let rest = (any::<bool>(), package_name(), class(), of(any::<u64>()), few(package_name()), untrusted());
    (what, rest)
        .prop_map(|((package, from, to, sha256, rehearsed, standing), rest)| {
            let (security, source, class, size, needs, origin) = rest;
            Change {
                package,
                from,
                to,
                sha256,
                rehearsed,
                standing,
                security,
                source,
                class,
                size,
                needs,
                origin,
            }
        })
        .boxed()
}

fn proof() -> Any<Proof> {
    let source = prop_oneof![
        Just(Source::Archive),
        Just(Source::Cache),
        host().prop_map(Source::Host),
        Just(Source::Snapshot),
        Just(Source::Repacked)
    ];
    let origin = (source, select(Check::ALL.to_vec()));
    let origin = of(origin.prop_map(|(source, check)| Origin { source, check }).boxed());
    let file = (package(), of(version()), version(), sha256(), of(sha256()), origin.clone(), origin)
        .prop_map(|(package, from, to, new, old, new_from, old_from)| ProofFile {
            package,
            from,
            to,
            new,
            old,
            new_from,
            old_from,
        });
    let tools = prop_oneof![
        Just(Tools::Unneeded),
        any::<u64>().prop_map(Tools::Run),
        untrusted().prop_map(Tools::Fail)
    ];
    let kernel =
        (of(untrusted()), of(untrusted())).prop_map(|(keeps, manual)| KernelBack { keeps, manual }).boxed();
    let taking = (select(SnapshotKind::ALL.to_vec()), untrusted(), untrusted(), texts(), texts());
    let taking = taking
        .prop_map(|(kind, of, at, apart, back)| Snapshot::Takes(Taking { kind, of, at, apart, back }.into()));
    let snapshot = prop_oneof![taking, untrusted().prop_map(Snapshot::Fails)].boxed();
    let way = (few(unit()), of(tools.boxed()), few(package()), of(kernel), of(snapshot), of(untrusted()));
    let files = (few(file.boxed()), texts(), texts(), of(untrusted()), any::<u64>(), any::<u64>());
    (files, way)
        .prop_map(|((files, missing, beyond, reverse, space_needed, space_free), way)| {
            let (restarts, tools, stands_on, kernel, snapshot, offline) = way;
            Proof {
                files,
                missing,
                beyond,
                reverse,
                space_needed,
                space_free,
                restarts,
                tools,
                stands_on,
                kernel,
                snapshot,
                offline,
            }
        })
        .boxed()
}

fn apply_report() -> Any<ApplyReport> {
    let snapshot =
        prop_oneof![untrusted().prop_map(SnapshotLeft::There), untrusted().prop_map(SnapshotLeft::Invalid)];
    (span(), texts(), few(unit()), any::<bool>(), of(snapshot.boxed()))
        .prop_map(|(took, etc_changed, restarted, reboot_required, snapshot)| ApplyReport {
            took,
            etc_changed,
            restarted,
            reboot_required,
            snapshot,
        })
        .boxed()
}

fn rollback_report() -> Any<RollbackReport> {
    let pinned = (package(), version()).prop_map(|(package, version)| Pinned { package, version });
    let said = (of(any::<bool>()), texts(), texts(), few(pinned.boxed()), of(boot()), of(span()));
    (span(), texts(), texts(), texts(), few(unit()), said)
        .prop_map(|(took, etc_restored, etc_left, network_restored, restarted, said)| RollbackReport {
            took,
            etc_restored,
            etc_left,
            network_restored,
            restarted,
            identical: said.0,
            missing: said.1,
            cautions: said.2,
            pinned: said.3,
            boot: said.4,
            booted: said.5,
        })
        .boxed()
}

fn verify_report() -> Any<VerifyReport> {
    (texts(), texts(), any::<u64>(), texts())
        .prop_map(|(audit, wrong, etc_same, etc_differs)| VerifyReport {
            audit,
            wrong,
            etc_same,
            etc_differs,
        })
        .boxed()
}

fn identity() -> Any<Identity> {
    (any::<[u64; 4]>(), texts())
        .prop_map(|([packages, files, addresses, listeners], differs)| Identity {
            packages,
            files,
            addresses,
            listeners,
            differs,
        })
        .boxed()
}

/// Any event of a batch.
pub fn batch_event() -> Any<BatchEvent> {
    use BatchEvent as E;
    let found = select(&[Inspected::NeverBegan, Inspected::Unknown][..]);
    let id = any::<u64>;
    let forward =
        prop_oneof![
            (batch(), host(), any::<u32>(), few(change()))
                .prop_map(|(batch, host, number, changes)| E::Planned { batch, host, number, changes }),
            (batch(), untrusted()).prop_map(|(batch, why)| E::Dropped { batch, why }),
            (batch(), operation()).prop_map(|(batch, operation)| E::StageStarted { batch, operation }),
            (batch(), id(), result(proof())).prop_map(|(batch, started, result)| E::Staged {
                batch,
                started,
                result
            }),
            (batch(), operation(), of(arming())).prop_map(|(batch, operation, arming)| E::ApplyStarted {
                batch,
                operation,
                arming
            }),
            (batch(), id(), result(apply_report())).prop_map(|(batch, started, result)| E::Applied {
                batch,
                started,
                result
            }),
            (batch(), boot()).prop_map(|(batch, was)| E::RebootStarted { batch, was }),
            (batch(), id(), result((boot(), span()).boxed()))
                .prop_map(|(batch, started, result)| E::Rebooted { batch, started, result }),
            (batch(), any::<bool>())
                .prop_map(|(batch, after_rollback)| E::VerifyStarted { batch, after_rollback }),
        ];
    let back = prop_oneof![
        (batch(), id(), result(verify_report()), of(identity()), span()).prop_map(
            |(batch, started, result, identity, took)| E::Verified { batch, started, result, identity, took }
        ),
        (batch(), of(id().boxed()), text()).prop_map(|(batch, started, grounds)| E::Confirmed {
            batch,
            started,
            grounds
        }),
        (batch(), untrusted()).prop_map(|(batch, why)| E::RollbackQueued { batch, why }),
        (batch(), operation()).prop_map(|(batch, operation)| E::RollbackStarted { batch, operation }),
        (batch(), id(), result(rollback_report())).prop_map(|(batch, started, result)| E::RolledBack {
            batch,
            started,
            result
        }),
        batch().prop_map(|batch| E::InspectStarted { batch }),
        (batch(), id(), found, untrusted()).prop_map(|(batch, started, found, why)| E::Inspected {
            batch,
            started,
            found,
            why
        }),
    ];
    let timed = prop_oneof![
        (batch(), timer()).prop_map(|(batch, timer)| E::TimerSeen { batch, timer }),
        (batch(), of(span())).prop_map(|(batch, extend)| E::TimerAsked { batch, extend }),
        (batch(), id(), result(timer())).prop_map(|(batch, started, result)| E::TimerAnswered {
            batch,
            started,
            result
        }),
        (batch(), text()).prop_map(|(batch, grounds)| E::ConfirmStarted { batch, grounds }),
        (batch(), id(), failure(), of(timer())).prop_map(|(batch, started, failure, timer)| {
            E::ConfirmFailed { batch, started, failure, timer }
        }),
    ];
    prop_oneof![forward, back, timed].boxed()
}

fn nonce() -> Any<Nonce> {
    "[a-z0-9]{8,32}".prop_map(|text| text.parse().expect("a word")).boxed()
}

fn arming() -> Any<Arming> {
    (nonce(), blake3(), [span(), span(), span(), span(), span()])
        .prop_map(|(token, plan, [apply, after, boot, grace, cap])| Arming {
            token,
            plan,
            apply,
            after,
            boot,
            grace,
            cap,
        })
        .boxed()
}

fn timer() -> Any<Timer> {
    let state = select(&TimerState::ALL[..]);
    let watch = select(&TimerWatch::ALL[..]);
    (state, of(nonce()), span(), watch, of(operation()), of(untrusted()), of(fact(few(replaced()))))
        .prop_map(|(state, token, left, watch, operation, why, replaced)| Timer {
            state,
            token,
            left,
            watch,
            operation,
            why,
            replaced,
        })
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
