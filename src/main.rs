//! Arguments -> command -> exit status.

use std::process::ExitCode;

use clap::Parser;
use holdpoint::cli::{Cli, Exit};
use holdpoint::command;

fn main() -> ExitCode {
    // Errors are for an operator at night: no back trace unless asked for.
    let hooks = color_eyre::config::HookBuilder::default();
    if let Err(error) = hooks.display_env_section(false).install() {
        eprintln!("holdpoint: {error}");
        return Exit::Internal.into();
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("holdpoint: the runtime can't be started: {error}");
            return Exit::Internal.into();
        }
    };
    let ended = runtime.block_on(command::carry_out(cli));
    // Something may still wait for a host that never answers: it is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("holdpoint: {error:#}");
            command::exit_of(&error).into()
        }
    }
}
