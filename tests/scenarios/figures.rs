//! Counts of what was raced and killed, one line a figure, appended to a file: `HOLDPOINT_REPORT`, or
//! `holdpoint-report.txt` in the folder of the build. The lab's tests write to the same one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Appends `WHAT: FIGURE` and prints it.
pub fn report(what: &str, figure: &str) {
    let line = format!("{what}: {figure}\n");
    print!("{line}");
    let default = || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("holdpoint-report.txt");
    let path = std::env::var_os("HOLDPOINT_REPORT").map_or_else(default, PathBuf::from);
    // One write of one line, so that tests side by side do not mix theirs.
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{}: {error}", path.display());
    }
}
