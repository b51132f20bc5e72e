//! Any plan.

use super::*;

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
        (any::<u16>(), of(line()), any::<bool>()).prop_map(|(port, name, unasked)| T::Tls {
            port,
            name,
            unasked
        }),
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

pub(super) fn class() -> Any<plan::Class> {
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
