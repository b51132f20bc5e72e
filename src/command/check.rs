//! `holdpoint check`: reads every host, judges every gate, says what would hold. Changes nothing.

use std::io::IsTerminal;
use std::path::Path;

use color_eyre::eyre::Result;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::session::{self, UsageError};
use super::{screen, unpin};
use crate::cli::{Check, Exit};
use crate::conductor::clock;
use crate::core::event::Purpose;
use crate::core::gate::{self, GateName, GateState, Judgement};
use crate::core::state::{Batch, Host, Reach, State};
use crate::core::{Intent, Standing, schedule, snapshot, standing};
use crate::facts::{Fact, KeptWhy, Updates};
use crate::plan::{AutoRollback, Plan};
use crate::types::{Span, Time, Untrusted};

/// Hosts that have not answered by then are reported as they are.
const LONGEST: Duration = Duration::from_secs(180);

pub async fn check(args: Check, ssh: Option<&Path>) -> Result<Exit> {
    let plan = plan(&args)?;
    let rehearsal = session::rehearsal(args.rehearsal.as_deref(), &plan)?;
    let (settings, _prompt) = screen::settings(ssh);
    let mut looking = session::look(plan, rehearsal, Purpose::Check, &settings)?;
    let read = |state: &State| {
        let done =
            |host: &Host| host.reading.is_none() && (host.read_at.is_some() || host.read_failed.is_some());
        state.plan.is_some() && state.hosts.values().all(|host| done(host))
    };
    let waited = async {
        while !read(&looking.handles.views.borrow_and_update().state) {
            if looking.handles.views.changed().await.is_err() {
                break;
            }
        }
    };
    // One that hangs is shown as unread; the others are shown all the same.
    let _ = timeout(LONGEST, waited).await;
    let state = looking.handles.views.borrow().state.clone();
    looking.send(Intent::End)?;
    looking.finish().await;
    let seen = Seen::new(&state, clock::now());
    if args.json {
        println!("{}", Untrusted::json(&seen.json().to_string()));
    } else {
        seen.print();
    }
    Ok(seen.exit())
}

/// One plan file, or hosts alone: the first of them is then the baseline, and the window is now.
fn plan(args: &Check) -> Result<Plan> {
    let first = args.subjects.first().map(String::as_str).unwrap_or_default();
    let is_file = first.ends_with(".toml") || Path::new(first).is_file();
    if is_file {
        if let Some(second) = args.subjects.get(1) {
            let what = format!(
                "check takes one plan, or hosts alone: {} stands after {first}",
                Untrusted::new(second).shown()
            );
            return Err(UsageError(what).into());
        }
        return Ok(session::read_plan(Path::new(first))?.plan);
    }
    crate::plan::of_hosts(&args.subjects, clock::now())
        .map_err(|errors| UsageError(errors.to_string()).into())
}

/// What was seen and judged.
struct Seen<'a> {
    state: &'a State,
    now: Time,
    judged: Vec<Judgement>,
    late: Vec<String>,
}

impl<'a> Seen<'a> {
    fn new(state: &'a State, now: Time) -> Self {
        let opens = state.plan.as_ref().map_or(now, |plan| plan.window.opens);
        let judge = |batch: &'a std::sync::Arc<Batch>| {
            let one = move |gate: &GateName| {
                // What depends on the clock is judged for when the window opens, so that a check on
                // the day before says what would hold then.
                let at = match gate {
                    GateName::Time | GateName::Rehearsed => now.max(opens),
                    GateName::Plan
                    | GateName::Size
                    | GateName::Proof
                    | GateName::Practised
                    | GateName::Bake
                    | GateName::Lock => now,
                };
                gate::judge_one(state, batch, *gate, at)
            };
            // The proof is made when the window stages the packages; a check stores nothing. What has no
            // way back is known before.
            let gates = gate::GATES.iter().filter(|gate| **gate != GateName::Proof).map(one);
            gates.chain(gate::beforehand(state, batch, now))
        };
        let mut judged: Vec<Judgement> = state.in_order().flat_map(judge).collect();
        judged.extend(state.hosts.values().filter_map(|host| unread(host)));
        Self { state, now, judged, late: late(state, now.max(opens)) }
    }

    fn go(&self) -> bool {
        gate::all_pass(&self.judged) && self.late.is_empty()
    }

    fn exit(&self) -> Exit {
        if self.state.hosts.values().any(|host| host.read_at.is_none()) {
            Exit::Unreachable
        } else if self.go() {
            Exit::Done
        } else {
            Exit::Held
        }
    }

    fn json(&self) -> Value {
        let host = |host: &Host| {
            let rows = standing::rows(self.state, host);
            let updates = rows.map(|rows| rows.iter().map(update).collect::<Vec<_>>());
            let pins = known(host).map(|known| known.pins.iter().map(unpin::pin_json).collect::<Vec<_>>());
            json!({
                "name": host.name,
                "state": state_word(host),
                "updates": updates,
                "pins": pins,
                "drift": Value::Null,
                "persists": Value::Null,
            })
        };
        json!({
            "format": "holdpoint.check/1",
            "go": self.go(),
            "hosts": self.state.hosts.values().map(|h| host(h)).collect::<Vec<_>>(),
            "gates": self.judged,
            "cautions": self.state.plan.iter().filter_map(|plan| by_itself(plan)).collect::<Vec<_>>(),
            "snapshots": snapshot::asked(self.state).then_some("checked-when-staged"),
        })
    }

    fn print(&self) {
        for name in schedule::host_order(self.state) {
            if let Some(host) = self.state.hosts.get(name) {
                print_host(self.state, host);
            }
        }
        println!();
        for judgement in self.judged.iter().filter(|judgement| judgement.state != GateState::Clear) {
            let label =
                judgement.batch.as_ref().and_then(|id| self.state.batches.get(id)).map(|batch| batch.label());
            let of = label.or_else(|| judgement.host.as_ref().map(ToString::to_string)).unwrap_or_default();
            println!("{:<5} {} of {of}: {}", judgement.state.word(), judgement.gate, judgement.reason);
            for line in &judgement.evidence {
                println!("        {line}");
            }
        }
        for line in &self.late {
            println!("HOLD  time: {line}");
        }
        for line in self.state.plan.iter().filter_map(|plan| by_itself(plan)) {
            println!("CAUTION rollback: {line}");
        }
        if snapshot::asked(self.state) {
            println!("snapshots: asked by the plan, checked when staged");
        }
        let word = if self.go() { "GO: nothing would hold" } else { "HOLD" };
        let skipped = "proof is judged when the window has stored the packages";
        println!("{word} ({}; {skipped})", self.now.format("%Y-%m-%d %H:%MZ"));
        if std::io::stdout().is_terminal() && !self.go() {
            println!("exit status 20: held, 40: a host could not be read");
        }
    }
}

/// What is not rolled back by itself when customers fail, where somebody may think that it is: a caution, since
/// the plan may mean it so. Nothing where lines are agreed on and armed, and where nobody is probed.
fn by_itself(plan: &Plan) -> Option<String> {
    let probed = plan.customers.iter().any(|customer| !customer.probes.is_empty());
    let (lines, by) = match (plan.aborts.is_empty(), plan.policy.auto_rollback) {
        (false, AutoRollback::Armed) => return None,
        (true, AutoRollback::Armed) => {
            ("the plan has no [[abort]]", "at abort-by it is (auto_rollback = \"armed\"), and")
        }
        (true, AutoRollback::Ask) => ("the plan has no [[abort]]", "at abort-by somebody is asked, and"),
        (true, AutoRollback::Off) => ("the plan has no [[abort]]", "nor at abort-by;"),
        (false, AutoRollback::Ask) => {
            ("auto_rollback = \"ask\"", "at an [[abort]] and at abort-by somebody is asked, and")
        }
        (false, AutoRollback::Off) => ("auto_rollback = \"off\"", "an [[abort]] and abort-by alarm alone;"),
    };
    let what = "nothing is rolled back by itself in the cockpit when customers fail";
    let timer = "each host's own timer rolls back what is not confirmed";
    probed.then(|| format!("{lines}: {what}; {by} {timer}"))
}

/// A host that could not be read, or whose updates are not known, has no batches and still holds.
fn unread(host: &Host) -> Option<Judgement> {
    let (state, reason, evidence) = match (&host.read_failed, host.read_at, &host.facts.updates) {
        (Some((_, failure)), _, _) => {
            (GateState::Held, format!("{} can't be read", host.name), vec![failure.what.shown()])
        }
        (None, None, _) => (GateState::Unknown, format!("{} did not answer in time", host.name), Vec::new()),
        (None, Some(_), None) => {
            (GateState::Unknown, format!("{} said nothing of its updates", host.name), Vec::new())
        }
        (None, Some(_), Some(aged)) => match &aged.fact {
            Fact::Known(_) => return None,
            Fact::Unknown(why) => {
                (GateState::Unknown, format!("the updates of {} are not known", host.name), vec![why.shown()])
            }
        },
    };
    Some(Judgement {
        gate: GateName::Plan,
        host: Some(host.name.clone()),
        batch: None,
        state,
        reason,
        evidence,
    })
}

/// What does not fit the window, when every batch is taken in its order.
fn late(state: &State, from: Time) -> Vec<String> {
    let mut clock = from;
    let mut late = Vec::new();
    let order = schedule::host_order(state);
    for batch in order.iter().flat_map(|host| state.batches_of(host)) {
        if schedule::cutoff(state, batch).is_some_and(|cutoff| clock >= cutoff) {
            late.push(format!(
                "{} does not fit: it would start at {}, after its cutoff",
                batch.label(),
                clock.format("%H:%MZ")
            ));
        }
        let work = schedule::apply(state, &batch.changes)
            .then(schedule::reboot(state, &batch.changes))
            .then(schedule::verify(state));
        clock = clock + work.span;
    }
    late
}

fn update(row: &standing::Row) -> Value {
    json!({
        "kind": "package",
        "subject": row.package,
        "from": row.from,
        "to": row.offered,
        "rehearsed": row.rehearsed,
        "standing": row.standing.word(),
        "security": row.security,
        "way_back": row.way_back.word(),
        "way_back_reason": row.way_back.reason(),
    })
}

fn known(host: &Host) -> Option<&Updates> {
    host.facts.updates.as_ref().and_then(|aged| aged.known())
}

fn state_word(host: &Host) -> &'static str {
    match &host.reach {
        Reach::Unknown => "unknown",
        Reach::Up { .. } => "up",
        Reach::Down { .. } => "down",
    }
}

fn print_host(state: &State, host: &Host) {
    let role = if host.baseline { " (baseline)" } else { "" };
    let age = host.facts.updates.as_ref().and_then(|aged| aged.known()).and_then(|updates| updates.lists_at);
    let lists = age.map_or_else(String::new, |at| {
        format!(", lists {} old", Span::between(at, host.read_at.unwrap_or(at)).brief())
    });
    println!("{}{role}: {}{lists}", host.name, state_word(host));
    if let Some((_, failure)) = &host.read_failed {
        println!("    {}", failure.what.shown());
    }
    for line in known(host).map_or_else(Vec::new, |known| unpin::lines(&known.pins)) {
        println!("    PINNED     {line}; release: holdpoint unpin");
    }
    let Some(rows) = standing::rows(state, host) else { return };
    let quiet = |row: &&standing::Row| row.standing == Standing::Same && !row.way_back.is_no_return();
    let same = rows.iter().filter(quiet).count();
    for row in rows.iter().filter(|row| !quiet(row)) {
        let version = |version: &Option<crate::types::Version>| {
            version.as_ref().map_or("-".to_owned(), ToString::to_string)
        };
        let ours = known(host).and_then(|known| known.pin_of(&row.package, row.offered.as_ref()?));
        let kept = match (row.kept, ours) {
            (Some(KeptWhy::Pin), Some(pin)) => {
                format!(" (pinned by holdpoint since {} after a rollback)", pin.since.format("%Y-%m-%d"))
            }
            (why, _) => why.map_or_else(String::new, |why| format!(" ({why:?})").to_lowercase()),
        };
        let security = if row.security { " security" } else { "" };
        let one_way = if row.way_back.is_no_return() { " NO RETURN" } else { "" };
        println!(
            "    {:<10} {:<32} {} -> {}, rehearsed {}{kept}{security}{one_way}",
            row.standing.word(),
            row.package.to_string(),
            version(&row.from),
            version(&row.offered),
            version(&row.rehearsed)
        );
    }
    if same > 0 {
        println!("    SAME       {same} more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixture;

    #[test]
    fn what_is_not_rolled_back_by_itself_is_said() {
        let acme = "[[customer]]\nname = \"acme\"\nhost = \"web1\"\nweight = 1\naddress = \"192.0.2.1\"\nprobes = [\"tcp:443\"]\n";
        let line = "[[abort]]\nprobes = \"required\"\n";
        for (auto, lines, customers, part) in [
            ("armed", line, acme, None),
            ("armed", "", acme, Some("no [[abort]]: nothing is rolled back by itself")),
            ("armed", "", acme, Some("at abort-by it is")),
            ("armed", "", "", None),
            ("ask", line, acme, Some("somebody is asked")),
            ("ask", "", acme, Some("somebody is asked")),
            ("off", line, acme, Some("alarm alone")),
            ("off", "", acme, Some("nor at abort-by; each host's own timer")),
        ] {
            let plan = fixture::plan(
                4,
                &["web1"],
                &format!("[policy]\nauto_rollback = \"{auto}\"\n{lines}{customers}"),
            );
            let said = by_itself(&plan);
            assert_eq!(said.is_some(), part.is_some(), "{auto} {lines}: {said:?}");
            assert!(said.iter().zip(part).all(|(said, part)| said.contains(part)), "{auto}: {said:?}");
        }
    }
}
