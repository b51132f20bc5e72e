//! One file for each command. A command reads its arguments, wires the parts together and turns what
//! comes of it into words and an exit status; it decides nothing about a window itself.

mod check;
mod clean;
mod demo;
mod diagnostics;
mod enroll;
mod headless;
mod init;
mod probe;
mod rehearse;
mod replay;
mod report;
mod resume;
mod rollback;
mod run;
mod screen;
mod session;
mod socket;
mod status;
mod take;
mod typed;
mod unpin;
mod windows;

use clap::CommandFactory;
use color_eyre::eyre::Result;

use crate::cli::{Cli, Command, Exit};
use crate::journal::RecordingError;
use session::{FileError, UsageError};

/// Carries a command out.
pub async fn carry_out(cli: Cli) -> Result<Exit> {
    diagnostics::begin(cli.command.draws());
    let ssh = cli.ssh_file.as_deref();
    match cli.command {
        Command::Demo(args) => demo::demo(args).await,
        Command::Init(args) => init::init(&args),
        Command::Check(args) => check::check(args, ssh).await,
        Command::Enroll(args) => enroll::enroll(args, ssh).await,
        Command::Rehearse(args) => rehearse::rehearse(args, ssh).await,
        Command::Run(args) => run::run(args, ssh).await,
        Command::Rollback(args) => rollback::rollback(args, ssh).await,
        Command::Resume(args) => resume::resume(args, ssh).await,
        Command::Status(args) => status::status(args, ssh).await,
        Command::Replay(args) => replay::replay(args).await,
        Command::Report(args) => report::report(&args),
        Command::Clean(args) => clean::clean(args, ssh).await,
        Command::Probe(args) => probe::probe(args, ssh).await,
        Command::Unpin(args) => unpin::unpin(args, ssh).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "holdpoint", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
            Ok(Exit::Done)
        }
    }
}

/// The exit status of an error: whose it is.
pub fn exit_of(error: &color_eyre::Report) -> Exit {
    if error.downcast_ref::<UsageError>().is_some() {
        Exit::Usage
    } else if error.downcast_ref::<FileError>().is_some() || error.downcast_ref::<RecordingError>().is_some()
    {
        Exit::Unreachable
    } else {
        Exit::Internal
    }
}
