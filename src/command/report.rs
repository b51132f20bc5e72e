//! `holdpoint report`: what happened, for other programs.

use std::io::{BufWriter, Write};

use color_eyre::eyre::Result;

use super::session::FileError;
use crate::cli::{Exit, Report, ReportFormat};
use crate::journal::{Differs, End, KeptFiles, Recording, Take};
use crate::types::Untrusted;

pub fn report(args: &Report) -> Result<Exit> {
    match args.format {
        ReportFormat::Json => json(args),
    }
}

/// One event a line, as in the journal without its chain: sequence number, time, actor, event. What the
/// recording keeps beside the journal is compared with the hashes in it.
fn json(args: &Report) -> Result<Exit> {
    let journal = Recording::read(&args.recording, Take::SoundPrefix)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for entry in &journal.entries {
        let line = match entry {
            crate::journal::Entry::Known(record) => serde_json::json!({
                "format": "holdpoint.report/1",
                "seq": record.seq,
                "at": record.at,
                "actor": record.actor,
                "session": record.session,
                "epoch": record.epoch,
                "event": record.event,
            }),
            crate::journal::Entry::Unknown(unknown) => serde_json::json!({
                "format": "holdpoint.report/1",
                "seq": unknown.seq,
                "at": unknown.at,
                "unknown": { "group": unknown.group, "version": unknown.version },
            }),
        };
        writeln!(out, "{}", Untrusted::json(&line.to_string()))?;
    }
    out.flush()?;
    let differing = KeptFiles::of(journal.known()).differing(&args.recording);
    for differs in &differing {
        eprintln!("{differs}");
    }
    match &journal.end {
        End::Damaged(damage) => return Err(FileError(damage.to_string()).into()),
        End::Torn(torn) => {
            eprintln!("the journal's last line is torn, at byte {}: it is left out", torn.offset);
        }
        End::Whole => {}
    }
    match differing.iter().filter(|differs| matches!(differs, Differs::Changed { .. })).count() {
        0 => Ok(Exit::Done),
        count => {
            let folder = args.recording.display();
            let words = "of its files are not as the journal says; the journal itself is sound";
            Err(FileError(format!("{folder}: {count} {words}")).into())
        }
    }
}
