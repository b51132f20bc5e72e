//! The command line: its words, and what exit statuses mean.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::core::event::Outcome;
use crate::types::{BatchId, HostName, Span};

/// A terminal cockpit for a maintenance window.
///
/// Exit status: 0 done, 1 internal error, 2 wrong usage or plan, 10 rolled back cleanly, 20 held at a
/// gate, 21 not all customers reached (of `probe`), 30 rollback incomplete, 40 a host or file could not be reached or read.
#[derive(Debug, Parser)]
#[command(name = "holdpoint", version, max_term_width = 100)]
pub struct Cli {
    /// The ssh configuration to use, as in ssh -F
    #[arg(short = 'F', long = "ssh-file", value_name = "FILE", global = true)]
    pub ssh_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The cockpit on an embedded fleet that plays the story; changes nothing outside itself
    Demo(Demo),
    /// Write a commented window.toml
    Init(Init),
    /// Read every host, judge every gate; changes nothing
    Check(Check),
    /// Install the helper and its sudo rule on hosts
    Enroll(Enroll),
    /// The whole cycle on the baseline: apply, verify, roll back, verify identical, apply again
    Rehearse(Rehearse),
    /// The window
    Run(Run),
    /// The emergency key from another process: through the cockpit that runs the window, or without one
    ///
    /// Where a cockpit lives in the recording it goes through that one, as a press of its key. Where one holds the recording and does not answer, the window goes on in a copy beside it (NAME-taken-over-TIME) under a higher epoch, so that hosts refuse whatever the one that hangs still orders.
    Rollback(Rollback),
    /// Pick a window up after a crash or on another machine
    ///
    /// Raises the epoch: each host refuses an older cockpit from then on. A cockpit that lives in the recording has to be left first; from one that hangs a copy of the recording is taken over.
    Resume(Resume),
    /// Where a window stands, whether its cockpit lives, and what each host's helper says
    Status(Status),
    /// The recorded session, on the same screen
    Replay(Replay),
    /// What happened, for other programs
    Report(Report),
    /// Remove what holdpoint left on hosts, never an armed timer
    Clean(Clean),
    /// Whether each customer is reached, seen from where, and why not; without a window
    Probe(Probe),
    /// Release the versions that rollbacks pinned out
    Unpin(Unpin),
    /// Shell completions
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// The manual page
    Man,
}

impl Command {
    /// Whether it takes the screen.
    pub fn draws(&self) -> bool {
        match self {
            Self::Demo(args) => !args.headless,
            Self::Rehearse(args) => !args.headless,
            Self::Run(args) => !args.headless,
            Self::Resume(args) => !args.headless,
            Self::Replay(_) => true,
            Self::Init(_)
            | Self::Check(_)
            | Self::Probe(_)
            | Self::Enroll(_)
            | Self::Rollback(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Clean(_)
            | Self::Unpin(_)
            | Self::Completions { .. }
            | Self::Man => false,
        }
    }
}

/// What every command that draws takes.
#[derive(Debug, Clone, Args)]
pub struct Screen {
    /// A theme: night, mono, or a file
    #[arg(long, value_name = "THEME", default_value = "night")]
    pub theme: String,
}

/// `holdpoint demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Which story: story, unanswered (nobody rolls back), calm
    #[arg(long, default_value = "story")]
    pub scenario: String,
    /// Play it to its end, a line for each event
    #[arg(long)]
    pub headless: bool,
    /// Keep the recording in this folder
    #[arg(long, value_name = "DIR")]
    pub recording: Option<PathBuf>,
    /// How it is drawn.
    #[command(flatten)]
    pub screen: Screen,
}

/// `holdpoint init`
#[derive(Debug, Args)]
pub struct Init {
    /// Take the hosts of this ssh configuration
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "~/.ssh/config")]
    pub ssh_config: Option<PathBuf>,
    /// Take these hosts, the first as the baseline: NAME, user@address, or NAME=user@address
    pub hosts: Vec<String>,
    /// Where to write; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "window.toml")]
    pub output: PathBuf,
}

/// `holdpoint check`
#[derive(Debug, Args)]
pub struct Check {
    /// One plan file, or hosts alone: the first is then the baseline
    #[arg(required = true, value_name = "PLAN|HOST")]
    pub subjects: Vec<String>,
    /// Judge against this rehearsal's recording
    #[arg(long, value_name = "RECORDING")]
    pub rehearsal: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `holdpoint enroll`
#[derive(Debug, Args)]
pub struct Enroll {
    /// The plan
    pub plan: PathBuf,
    /// This host alone
    #[arg(long)]
    pub host: Option<HostName>,
    /// Print what to put into configuration management, and touch nothing
    #[arg(long)]
    pub print: bool,
    /// With --print: the login name that may call the helper
    #[arg(long, default_value = "ops")]
    pub user: String,
}

/// `holdpoint rehearse`
#[derive(Debug, Args)]
pub struct Rehearse {
    /// The plan
    pub plan: PathBuf,
    /// Without the cockpit, a line for each event
    #[arg(long)]
    pub headless: bool,
    /// Where the recording goes
    #[arg(long, value_name = "DIR")]
    pub recording: Option<PathBuf>,
    /// How it is drawn.
    #[command(flatten)]
    pub screen: Screen,
}

/// `holdpoint run`
#[derive(Debug, Args)]
pub struct Run {
    /// The plan
    pub plan: PathBuf,
    /// Without the cockpit: goes on only while every gate is clear
    #[arg(long)]
    pub headless: bool,
    /// The rehearsal's recording; found by itself where it is kept in the usual place
    #[arg(long, value_name = "RECORDING")]
    pub rehearsal: Option<PathBuf>,
    /// Where the recording goes
    #[arg(long, value_name = "DIR")]
    pub recording: Option<PathBuf>,
    /// For a shared screen: large clock, names and addresses masked
    #[arg(long)]
    pub present: bool,
    /// How it is drawn.
    #[command(flatten)]
    pub screen: Screen,
}

/// `holdpoint rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    /// The window's recording
    pub recording: PathBuf,
    /// Everything of this host, confirmed work included
    #[arg(long, conflicts_with = "scope")]
    pub host: Option<HostName>,
    /// How far; without it what is unconfirmed
    #[arg(long, value_enum)]
    pub scope: Option<Scope>,
    /// Don't ask for the typed word; from a cockpit that holds the window and does not answer nothing is
    /// taken over
    #[arg(long)]
    pub yes: bool,
    /// Don't ask for any typed word, and take over from a cockpit that holds the window and does not take the
    /// rollback
    #[arg(long)]
    pub take_over: bool,
    /// Where the journal is damaged: go by what is sound before the damage
    #[arg(long)]
    pub sound_prefix: bool,
}

/// How far a rollback reaches.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Scope {
    /// Everything of the newest host, the one whose batch was applied last, confirmed work included
    Wave,
    /// Everything of every host, confirmed work included
    All,
}

/// `holdpoint resume`
#[derive(Debug, Args)]
pub struct Resume {
    /// The window's recording
    pub recording: PathBuf,
    /// Without the cockpit
    #[arg(long)]
    pub headless: bool,
    /// Don't ask for the typed word, also where another cockpit may still run
    #[arg(long)]
    pub take_over: bool,
    /// Where the journal is damaged: go by what is sound before the damage
    #[arg(long)]
    pub sound_prefix: bool,
    /// How it is drawn.
    #[command(flatten)]
    pub screen: Screen,
}

/// `holdpoint status`
#[derive(Debug, Args)]
pub struct Status {
    /// The window's recording
    pub recording: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Don't ask the hosts
    #[arg(long)]
    pub offline: bool,
}

/// `holdpoint replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording
    pub recording: PathBuf,
    /// Begin at this time of day (02:40:31) or at this share (30%)
    #[arg(long)]
    pub at: Option<String>,
    /// How many times as fast
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub speed: u32,
    /// For a shared screen: large clock, names and addresses masked
    #[arg(long)]
    pub present: bool,
    /// How it is drawn.
    #[command(flatten)]
    pub screen: Screen,
}

/// `holdpoint report`
#[derive(Debug, Args)]
pub struct Report {
    /// The recording
    pub recording: PathBuf,
    /// In which form
    #[arg(long, value_enum, default_value = "json")]
    pub format: ReportFormat,
}

/// `holdpoint probe`
#[derive(Debug, Args)]
pub struct Probe {
    /// The plan
    pub plan: PathBuf,
    /// How long to look before judging
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub lasts: Span,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `holdpoint clean`
#[derive(Debug, Args)]
pub struct Clean {
    /// The plan
    pub plan: PathBuf,
    /// This host alone
    #[arg(long)]
    pub host: Option<HostName>,
    /// Show what is there and remove nothing
    #[arg(long, conflicts_with = "yes")]
    pub look: bool,
    /// A window's recording that is not kept in the usual place: what that window has done with may go; can be
    /// given more than once
    #[arg(long, value_name = "RECORDING")]
    pub recording: Vec<PathBuf>,
    /// This batch is given up: it was never begun, and its window, whose recording is not here, is over; can be
    /// given more than once
    #[arg(long, value_name = "BATCH")]
    pub abandon: Vec<BatchId>,
    /// Don't ask for the typed word
    #[arg(long)]
    pub yes: bool,
    /// One JSON object on standard output; with --yes or --look
    #[arg(long)]
    pub json: bool,
}

/// `holdpoint unpin`
#[derive(Debug, Args)]
pub struct Unpin {
    /// The plan
    pub plan: PathBuf,
    /// This host alone
    #[arg(long)]
    pub host: Option<HostName>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportFormat {
    /// One event a line
    Json,
}

/// What a command ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 10: rolled back cleanly.
    RolledBack,
    /// 20: held at a gate.
    Held,
    /// 21: not all customers are reached.
    NotReached,
    /// 40: a host or file could not be reached or read.
    Unreachable,
    /// 30: a rollback is incomplete.
    RollbackIncomplete,
    /// 2: wrong usage, or a plan with errors.
    Usage,
    /// 1: an error of holdpoint's own.
    Internal,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::RolledBack => 10,
            Self::Held => 20,
            Self::NotReached => 21,
            Self::RollbackIncomplete => 30,
            Self::Unreachable => 40,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::RolledBack => Self::RolledBack,
            Outcome::Held => Self::Held,
            Outcome::RollbackIncomplete => Self::RollbackIncomplete,
            Outcome::Unreachable => Self::Unreachable,
        }
    }
}
