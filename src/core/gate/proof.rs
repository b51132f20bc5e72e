//! Clear when old and new packages are stored on the host and hashed, apt simulated both ways, and
//! there is space.

use super::Finding;
use crate::core::schedule;
use crate::core::state::{Batch, Phase, State};
use crate::facts::Fact;
use crate::types::Untrusted;

pub(super) fn judge(state: &State, batch: &Batch) -> Finding {
    let Some(proof) = &batch.proof else {
        return match (batch.phase, &batch.failure) {
            (Phase::StageFailed, Some(failure)) => {
                Finding::held("staging did not come off", vec![failure.what.shown()])
            }
            (Phase::Staging, _) => Finding::unknown("packages are being stored and hashed on the host"),
            (_, _) => Finding::unknown("nothing is stored on the host yet"),
        };
    };
    let mut against: Vec<String> = proof.missing.iter().map(Untrusted::shown).collect();
    for change in &batch.changes {
        match proof.files.iter().find(|file| file.package == change.package) {
            None => against.push(format!("{}: no file of it is stored", change.package)),
            Some(file) if file.to != change.to => {
                against.push(format!("{}: {} is stored, {} is wanted", change.package, file.to, change.to));
            }
            Some(file) if change.sha256.is_some_and(|sha256| sha256 != file.new) => {
                against.push(format!("{}: the stored file is not the rehearsed one (hash)", change.package));
            }
            Some(file) if change.from.is_some() && file.old.is_none() => {
                against.push(format!(
                    "{}: version {} is not stored: no way back",
                    change.package,
                    word(&change.from)
                ));
            }
            Some(_) => {}
        }
    }
    against.extend(proof.beyond.iter().map(|what| format!("apt would also change {}", what.shown())));
    against
        .extend(proof.reverse.iter().map(|why| format!("the way back does not simulate: {}", why.shown())));
    if proof.space_free < proof.space_needed {
        against.push(format!(
            "{} MiB free, {} MiB needed",
            proof.space_free / (1 << 20),
            proof.space_needed.div_ceil(1 << 20)
        ));
    }
    let alone = alone(state, batch);
    if let (Some(why), true) = (&alone, schedule::reboots(batch)) {
        against.push(why.clone());
    }
    let files = proof.files.iter().map(|file| 1 + usize::from(file.old.is_some())).sum::<usize>();
    if against.is_empty() {
        // No reboot is meant; one that comes all the same would be a long one.
        Finding::clear(format!("{files} files stored and hashed, both ways simulated"))
            .with(alone.into_iter().collect())
    } else {
        // The whole of it: a waiver is given for what stands here, and for nothing that comes later.
        Finding::held(against.join("; "), against)
    }
}

/// Whether its host would not come back from a boot by itself, and why.
fn alone(state: &State, batch: &Batch) -> Option<String> {
    let Fact::Known(boot) = &state.hosts.get(&batch.host)?.facts.boot.as_ref()?.fact else { return None };
    let names: Vec<String> = boot.passphrases.iter().map(Untrusted::shown).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} waits for a disk passphrase at boot ({}): it does not come back alone",
            batch.host,
            names.join(", ")
        )
    })
}

fn word(version: &Option<crate::types::Version>) -> String {
    version.as_ref().map_or("-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::ApplyReport;
    use crate::core::gate::GateState;
    use crate::facts::{Aged, Boot};

    const PLAN: &str = "[window]\nname = \"Updates\"\nopens = 2026-11-21T22:00:00Z\n\
        closes = 2026-11-22T02:00:00Z\n[[host]]\nname = \"web1\"\nssh = \"web1\"\n";

    #[test]
    fn a_host_that_waits_for_a_passphrase_is_held_where_it_is_rebooted() {
        let plan = crate::plan::read("window.toml", PLAN).expect("a plan");
        let now = plan.window.opens;
        let mut state = State::default();
        state.open(crate::core::event::Purpose::Run, &plan, None, now);
        let id = "0a0a0a0a-1111-4222-8333-444444444444".parse().expect("a boot id");
        let boot = Boot {
            boot_id: id,
            init_started: 1,
            kernel: "6.1".into(),
            kernels: Vec::new(),
            reboot_required: None,
            reboot_asked_by: Vec::new(),
            passphrases: vec!["sda3_crypt".into()],
        };
        let host = state.hosts.values_mut().next().expect("web1");
        std::sync::Arc::make_mut(host).facts.boot = Some(Aged { at: now, fact: Fact::Known(boot) });
        let (batch, web1) = ("b1".parse().expect("an id"), "web1".parse().expect("a host"));
        let mut batch = Batch::new(batch, web1, 1, Vec::new(), now);
        batch.proof = Some(crate::core::event::Proof::default());
        let said = "web1 waits for a disk passphrase at boot (sda3_crypt): it does not come back alone";
        let finding = judge(&state, &batch);
        assert_eq!((finding.state, finding.evidence), (GateState::Clear, vec![said.to_owned()]));
        batch.applied = Some(ApplyReport { reboot_required: true, ..ApplyReport::default() });
        let finding = judge(&state, &batch);
        assert_eq!((finding.state, finding.reason), (GateState::Held, said.to_owned()));
    }
}
