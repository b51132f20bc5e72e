//! `holdpoint probe`: whether each customer is reached, seen from where, and why not; without a window.
//! Changes nothing.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use color_eyre::eyre::Result;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::screen;
use super::session::{self, UsageError};
use crate::cli::{Exit, Probe};
use crate::conductor::clock;
use crate::core::Intent;
use crate::core::effect::is_made;
use crate::core::event::{ProbeId, ProbeOutcome, Purpose, Vantage};
use crate::core::state::{Health, ProbeState, Reach, Series, State};
use crate::core::verdict::{self, Differs, Judgement, Verdict};
use crate::plan::{Customer, VantageKind};
use crate::types::{Span, Time, Untrusted};

pub async fn probe(args: Probe, ssh: Option<&Path>) -> Result<Exit> {
    let plan = session::read_plan(&args.plan)?.plan;
    if plan.customers.iter().all(|customer| customer.probes.is_empty()) {
        let what = format!(
            "{} names no probe of any customer, so nothing can be looked at; [[customer]] probes = [\"tcp:443\"] does",
            args.plan.display()
        );
        return Err(UsageError(what).into());
    }
    if args.lasts == Span::ZERO {
        let what = "--for 0s looks at nothing: every probe is unknown until it was made; --for 10s is enough for most";
        return Err(UsageError(what.to_owned()).into());
    }
    let (settings, _prompt) = screen::settings(ssh);
    let mut looking = session::look(plan, None, Purpose::Probe, &settings)?;
    let until = Instant::now() + args.lasts.into();
    // A person sees at once what changes; a program gets one object in the end.
    let live = !args.json && std::io::stdout().is_terminal();
    let mut told = BTreeMap::new();
    loop {
        tokio::select! {
            changed = looking.handles.views.changed() => {
                if changed.is_err() {
                    break;
                }
                let state = looking.handles.views.borrow_and_update().state.clone();
                if live {
                    tell(&state, clock::now(), &mut told);
                }
            }
            () = sleep_until(until) => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    // Broken off at once, every probe is listed all the same, as unknown.
    let opened = looking.handles.views.wait_for(|view| view.state.plan.is_some());
    let _ = timeout(Duration::from_secs(5), opened).await;
    let state = looking.handles.views.borrow().state.clone();
    let now = clock::now();
    looking.send(Intent::End)?;
    looking.finish().await;
    let rows = rows(&state, now);
    if args.json {
        let mut all: Vec<Value> = rows.iter().map(|row| row.json(&state, now)).collect();
        all.extend(unprobed(&state).map(unprobed_json));
        let all = json!({ "format": "holdpoint.probe/1", "customers": all });
        println!("{}", Untrusted::json(&all.to_string()));
    } else {
        print(&rows, now);
        for customer in unprobed(&state) {
            println!("{}: no probe tells whether they are served", customer.name);
        }
    }
    Ok(exit(&state, &rows))
}

/// What was said of a probe last: its verdict, and what is otherwise though it answers.
type Told = (Verdict, Vec<Differs>);

/// What changes, a line each.
fn tell(state: &State, now: Time, told: &mut BTreeMap<ProbeId, Told>) {
    for row in rows(state, now) {
        let word = row.judged.verdict;
        let news = (word, row.differs.iter().filter(|differs| differs.lasts()).cloned().collect());
        if told.get(row.id) != Some(&news) {
            println!("{} {:<14} {}", now.format("%H:%M:%SZ"), word.word(), row.judged.said);
            told.insert(row.id.clone(), news);
        }
    }
}

/// One probe of one customer, judged.
struct Row<'a> {
    id: &'a ProbeId,
    customer: &'a Customer,
    probe: &'a ProbeState,
    judged: Judgement,
    /// What is otherwise though it answers.
    differs: Vec<Differs>,
    /// Whether the exit status goes by it.
    counts: bool,
}

fn rows(state: &State, now: Time) -> Vec<Row<'_>> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let found = state.probes.iter().filter_map(|(id, probe)| {
        let customer = plan.customers.iter().find(|customer| customer.name == id.customer)?;
        let counts = is_made(&probe.probe) && (probe.probe.required || !is_required(state, customer));
        let differs = verdict::differs(state, probe, now).unwrap_or_default();
        Some(Row { id, customer, probe, judged: verdict::judge(state, id, now), differs, counts })
    });
    found.collect()
}

/// Whether the plan requires any of a customer's probes that can be made.
fn is_required(state: &State, customer: &Customer) -> bool {
    let mut all = state.probes_of_customer(&customer.name);
    all.any(|probe| probe.probe.required && is_made(&probe.probe))
}

/// Whether every customer is known to be reached: by the probes that the plan requires, or by all of theirs
/// where it requires none. Nothing is changed here, so one that fails from the first look on is no trouble of
/// before, which a window would leave alone: it is what was asked. Of a customer without a probe nobody knows.
/// Not all reached goes before a host that could not be read.
fn exit(state: &State, rows: &[Row<'_>]) -> Exit {
    let Some(plan) = &state.plan else { return Exit::NotReached };
    let reached = |customer: &Customer| {
        let mut theirs =
            rows.iter().filter(|row| row.counts && row.customer.name == customer.name).peekable();
        theirs.peek().is_some() && theirs.all(|row| row.judged.verdict.reached())
    };
    if !plan.customers.iter().all(reached) {
        return Exit::NotReached;
    }
    let mut asked = plan.customers.iter().filter_map(|customer| state.hosts.get(&customer.host));
    let unread = asked.any(|host| !matches!(host.reach, Reach::Up { .. }));
    if unread { Exit::Unreachable } else { Exit::Done }
}

/// Customers of whom nothing is looked at.
fn unprobed(state: &State) -> impl Iterator<Item = &Customer> {
    let customers = state.plan.iter().flat_map(|plan| &plan.customers);
    customers.filter(|customer| customer.probes.is_empty())
}

fn unprobed_json(customer: &Customer) -> Value {
    json!({
        "customer": customer.name,
        "host": customer.host,
        "target": Value::Null,
        "required": Value::Null,
        "outside": Value::Null,
        "inside": Value::Null,
        "peer": Value::Null,
        "packets": Value::Null,
        "verdict": Verdict::Unknown,
        "said": format!("{}: no probe tells whether they are served", customer.name),
        "evidence": [],
        "next": Value::Null,
    })
}

impl Row<'_> {
    /// Whether it answers in time, from wherever it is looked at.
    fn is_as_it_should(&self) -> bool {
        self.judged.verdict == Verdict::Reachable && self.differs.is_empty()
    }

    fn outside(&self) -> Option<&Series> {
        self.probe.from(&Vantage::Cockpit)
    }

    fn inside(&self) -> Option<&Series> {
        self.probe.from(&Vantage::Inside)
    }

    /// From another host; the plan decides which.
    fn peer(&self) -> Option<&Series> {
        if self.probe.probe.from == VantageKind::Peer {
            return Some(&self.probe.own);
        }
        let mut others = self.probe.others.iter();
        others.find(|(vantage, _)| matches!(vantage, Vantage::Peer(_))).map(|(_, series)| series)
    }

    fn json(&self, state: &State, now: Time) -> Value {
        let seen =
            |series: Option<&Series>| series.map_or(Value::Null, |series| seen_json(self.probe, series, now));
        json!({
            "customer": self.customer.name,
            "host": self.customer.host,
            "target": self.probe.probe.target.to_string(),
            "required": self.counts,
            "outside": seen(self.outside()),
            "inside": seen(self.inside()),
            "peer": seen(self.peer()),
            "packets": verdict::packets(state, self.id, now),
            "verdict": self.judged.verdict,
            "said": self.judged.said,
            "evidence": self.judged.evidence,
            "next": self.judged.next,
        })
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Shaky => "shaky",
        Health::Fail => "FAIL",
        Health::Unknown => "unknown",
    }
}

fn seen_json(probe: &ProbeState, series: &Series, now: Time) -> Value {
    let Some((at, outcome)) = series.last() else { return Value::Null };
    let (took, said) = match outcome {
        ProbeOutcome::Ok { took, said } => (Some(took.as_ms()), said),
        ProbeOutcome::Fail { why, .. } | ProbeOutcome::Broken { why } => (None, why),
    };
    json!({
        "health": word(series.health(&probe.probe, now)).to_lowercase(),
        "ms": took,
        "said": said.raw(),
        "age_ms": Span::between(*at, now).as_ms(),
    })
}

fn print(rows: &[Row<'_>], now: Time) {
    let wide = |text: fn(&Row<'_>) -> String| rows.iter().map(|row| text(row).len()).max().unwrap_or(0);
    let customer = wide(|row| row.customer.name.to_string());
    let target = wide(target);
    for row in rows {
        let seen = |name: &str, series: Option<&Series>| match series
            .and_then(|series| Some((series, series.last()?)))
        {
            None => format!("{name} -"),
            Some((series, (_, ProbeOutcome::Ok { took, .. }))) => {
                format!("{name} {} {took}", word(series.health(&row.probe.probe, now)))
            }
            Some((series, _)) => format!("{name} {}", word(series.health(&row.probe.probe, now))),
        };
        println!(
            "{:<customer$}  {:<target$}  {:<20}  {}, {}, {}{}",
            row.customer.name.as_str(),
            self::target(row),
            row.judged.verdict.word(),
            seen("outside", row.outside()),
            seen("inside", row.inside()),
            seen("peer", row.peer()),
            if row.counts { "" } else { ", not required" },
        );
        if !row.is_as_it_should() {
            println!("    {}", row.judged.said);
            row.judged.evidence.iter().for_each(|line| println!("      {line}"));
            row.judged.next.iter().for_each(|line| println!("      next: {line}"));
        }
    }
    println!("{} ({})", sum(rows), now.format("%Y-%m-%d %H:%MZ"));
}

/// "1 of 3 answer as they should, 1 otherwise".
fn sum(rows: &[Row<'_>]) -> String {
    let reached = rows.iter().filter(|row| row.judged.verdict.reached()).count();
    let as_they_should = rows.iter().filter(|row| row.is_as_it_should()).count();
    let words = format!("{as_they_should} of {} answer as they should", rows.len());
    match reached - as_they_should {
        0 => words,
        others => format!("{words}, {others} otherwise"),
    }
}

/// What is looked at, as the plan writes it.
fn target(row: &Row<'_>) -> String {
    Untrusted::new(row.probe.probe.target.to_string()).shown()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sample::Sample;

    /// The sample's window, with other probes of hooli, who passes unless it is said that they fail.
    fn looked(hooli: &str, fails: Option<&str>) -> Sample {
        let mut sample = Sample::with_probes("hooli", hooli);
        for second in 10..20 {
            sample.probe(&format!("02:00:{}", second * 2), fails);
        }
        sample
    }

    #[test]
    fn every_customer_is_to_be_reached() {
        let optional = r#"[{ probe = "tcp:443", required = false }]"#;
        let both = r#"["tcp:443", "tcp:80"]"#;
        let beside = r#"["tcp:443", { probe = "tcp:80", required = false }]"#;
        for (hooli, fails, wanted) in [
            (r#"["tcp:443"]"#, None, Exit::Done),
            (r#"["tcp:443"]"#, Some("hooli"), Exit::NotReached),
            (optional, None, Exit::Done),
            (optional, Some("hooli"), Exit::NotReached),
            (beside, None, Exit::Done),
            (beside, Some("hooli#1"), Exit::Done),
            (beside, Some("hooli#0"), Exit::NotReached),
            // Dark from the first look on: in a window it would be a trouble of before.
            (both, Some("hooli#0"), Exit::NotReached),
            (both, Some("hooli#1"), Exit::NotReached),
            (both, None, Exit::Done),
            ("[]", None, Exit::NotReached),
        ] {
            let sample = looked(hooli, fails);
            let rows = rows(&sample.state, sample.now);
            assert_eq!(exit(&sample.state, &rows), wanted, "{hooli} {fails:?}");
        }
        assert_eq!(exit(&State::default(), &[]), Exit::NotReached);
    }

    #[test]
    fn who_answers_otherwise_than_before_is_counted_apart() {
        let sample = Sample::differing();
        let rows = rows(&sample.state, sample.now);
        assert_eq!(sum(&rows), "2 of 6 answer as they should, 3 otherwise");
        let differ: Vec<String> = rows.iter().filter(|row| !row.is_as_it_should()).map(target).collect();
        assert_eq!(differ, ["http://www.acme.example/health", "tcp:443", "tcp:443", "ping"]);
    }

    #[test]
    fn what_is_judged_from_another_host_is_seen_from_there() {
        let sample = looked(r#"[{ probe = "tcp:443", from = "peer" }]"#, None);
        let rows = rows(&sample.state, sample.now);
        let row = rows.iter().find(|row| row.customer.name.as_str() == "hooli").expect("a row");
        let json = row.json(&sample.state, sample.now);
        assert_eq!(json["peer"]["health"], "ok", "{json:#}");
        assert!(json["outside"].is_null() && json["inside"].is_null(), "{json:#}");
    }
}
