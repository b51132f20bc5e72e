//! `holdpoint init`: a commented window.toml to begin with.

use std::io::Write;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Result, WrapErr};

use super::session::{FileError, UsageError};
use crate::cli::{Exit, Init};
use crate::conductor::clock;
use crate::plan::{self, Draft};

pub fn init(args: &Init) -> Result<Exit> {
    let mut hosts = Vec::new();
    if let Some(file) = &args.ssh_config {
        hosts.extend(hosts_of(&home(file))?);
    }
    for word in &args.hosts {
        let (name, ssh) = plan::named(word);
        hosts.push((name.to_owned(), ssh.to_owned()));
    }
    let text = plan::draft(&Draft { now: clock::now(), hosts });
    if args.output == Path::new("-") {
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let shown = args.output.display();
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.output);
    let mut file = match file {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(
                UsageError(format!("{shown} is there already; name another file with --output")).into()
            );
        }
        Err(e) => return Err(FileError(format!("{shown} can't be written: {e}")).into()),
    };
    file.write_all(text.as_bytes()).wrap_err_with(|| format!("writing {shown}"))?;
    println!("{shown} written: look it through, then holdpoint check {shown}");
    Ok(Exit::Done)
}

fn hosts_of(file: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| FileError(format!("the ssh configuration {} can't be read: {e}", file.display())))?;
    let base = file.parent().map(Path::to_owned).unwrap_or_default();
    Ok(plan::hosts_of_ssh_config(&text, |pattern| included(&base, pattern)))
}

/// The texts of the files that an Include names: a path, or a folder's files by a `*` at the end.
fn included(base: &Path, pattern: &str) -> Vec<String> {
    let path = home(Path::new(pattern));
    let path = if path.is_absolute() { path } else { base.join(path) };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let Some((head, tail)) = name.split_once('*') else {
        return std::fs::read_to_string(&path).into_iter().collect();
    };
    let Some(folder) = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    let fits = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    };
    files.iter().filter(|file| fits(file)).filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// `~/` as the shell would have it, for a default that no shell has seen.
fn home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        (_, _) => path.to_owned(),
    }
}
