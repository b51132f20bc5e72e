//! Any event of a batch.

use super::*;

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
