//! Where holdpoint's own diagnostics go: a pane of the cockpit, or standard error. They are never a
//! source of state, and never in a recording.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Begins to take diagnostics: into the pane when the command takes the screen.
pub fn begin(draws: bool) {
    // Libraries speak of keys and packets below a warning; nothing of that belongs on a screen.
    let level = if draws { LevelFilter::INFO } else { LevelFilter::WARN };
    let ours = Targets::new().with_target("holdpoint", level).with_default(LevelFilter::ERROR);
    let begun = if draws {
        tui_logger::set_default_level(tui_logger::LevelFilter::Info);
        tracing_subscriber::registry().with(ours).with(tui_logger::TuiTracingSubscriberLayer).try_init()
    } else {
        let plain = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .without_time()
            .with_target(false);
        tracing_subscriber::registry().with(ours).with(plain).try_init()
    };
    if begun.is_err() {
        eprintln!("holdpoint: diagnostics are taken by another part of this process already");
    }
}
