//! `holdpoint demo`: the cockpit on the embedded fleet. Changes nothing outside this process but a
//! recording in a temporary folder, or in the one named.

use color_eyre::eyre::{Result, WrapErr};

use super::headless::{self, AtTheKeys};
use super::screen::{self, Cockpit};
use super::session::{self, ReadPlan, UsageError};
use super::typed::OnTerminal;
use crate::cli::{Demo, Exit};
use crate::conductor::clock;
use crate::core::event::Purpose;
use crate::demo::{self, Pace, Scenario, Setup};
use crate::plan;

pub async fn demo(args: Demo) -> Result<Exit> {
    let scenario: Scenario =
        args.scenario.parse().map_err(|e: demo::ScenarioError| UsageError(e.to_string()))?;
    let now = clock::now();
    // With nobody watching, the hosts need not take their time.
    let pace = if args.headless { Pace::FAST } else { Pace::REAL };
    let setup = Setup { pace, rehearsed: true };
    let fleet = demo::start_with(scenario, now, 1, setup).await?;
    let plan = plan::read("the demo's plan", &fleet.plan).wrap_err("this is a fault of holdpoint")?;
    let read = ReadPlan { plan, text: fleet.plan.clone() };
    let kept = args.recording.is_some();
    let folder = match args.recording {
        Some(folder) => folder,
        None => std::env::temp_dir().join(format!("holdpoint-demo-{}", session::session_word())),
    };
    let opened =
        session::open(read, Purpose::Run, Some(fleet.rehearsal.clone()), folder.clone(), &fleet.settings)?;
    let exit = if args.headless {
        headless::run(opened, AtTheKeys::Story, &mut std::io::stdout()).await
    } else {
        let prompt = OnTerminal::default();
        screen::cockpit(
            opened,
            &Cockpit { screen: &args.screen, present: false, prompt: &prompt, resumable: false },
        )
        .await
    };
    fleet.stop().await;
    if kept {
        println!("recording: {}", folder.display());
    } else {
        std::fs::remove_dir_all(&folder).wrap_err_with(|| format!("removing {}", folder.display()))?;
    }
    exit
}
