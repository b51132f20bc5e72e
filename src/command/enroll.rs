//! `holdpoint enroll`: installs the helper and its sudo rule, or prints what to put into
//! configuration management.

use std::path::Path;

use color_eyre::eyre::{Result, WrapErr};

use super::{screen, session, typed};
use crate::cli::{Enroll, Exit};
use crate::helper::{self, SudoUser};
use crate::host::ask::Asker;
use crate::host::{Lane, RemoteCommand};
use crate::types::{Span, Untrusted};

/// How long an installation may take, asking excepted.
const LONGEST: Span = Span::mins(2);
/// Bytes of output that are kept, for an error message.
const OUTPUT: usize = 16 * 1024;

pub async fn enroll(args: Enroll, ssh: Option<&Path>) -> Result<Exit> {
    if args.print {
        let user: SudoUser = args.user.parse().map_err(|e| session::UsageError(format!("--user: {e}")))?;
        print!("{}", helper::enroll_text(&user));
        return Ok(Exit::Done);
    }
    let read = session::read_plan(&args.plan)?;
    let (settings, _prompt) = screen::settings(ssh);
    let askers = session::chosen(session::askers(&read.plan, &settings), args.host.as_ref())?;
    let mut worst = Exit::Done;
    let mut password = None;
    for asker in askers {
        match one(&asker, &mut password).await {
            Ok(words) => println!("{}: {words}", asker.host()),
            Err(why) => {
                eprintln!("{}: {why}", asker.host());
                worst = worst.max(Exit::Unreachable);
            }
        }
        asker.link().close().await;
    }
    Ok(worst)
}

async fn one(asker: &Asker, password: &mut Option<String>) -> Result<String, String> {
    let connected = asker.link().connect().await.map_err(|e| e.to_string())?;
    let before = asker.greet().await.map_err(|e| e.what.shown())?;
    if before.enrolled {
        return Ok("enrolled already".to_owned());
    }
    let user: SudoUser = connected.user.parse().map_err(|e| format!("its login name: {e}"))?;
    let script = helper::install_script(&user);
    if connected.user == "root" {
        run(asker, &["sh", "-s"], script.into_bytes()).await?;
    } else if run(asker, &["sudo", "-n", "true"], Vec::new()).await.is_ok() {
        run(asker, &["sudo", "-n", "sh", "-s"], script.into_bytes()).await?;
    } else {
        with_password(asker, &connected.user, &script, password).await?;
    }
    asker.forget();
    match asker.greet().await {
        Ok(after) if after.enrolled => Ok("enrolled".to_owned()),
        Ok(after) => {
            let why = after.why_not.map(|why| why.shown()).unwrap_or_default();
            Err(format!("installed, and it still does not answer as it should: {why}"))
        }
        Err(failure) => Err(failure.what.shown()),
    }
}

/// sudo's password is asked for once and tried on the next hosts as well; it is kept nowhere else.
async fn with_password(
    asker: &Asker,
    user: &str,
    script: &str,
    password: &mut Option<String>,
) -> Result<(), String> {
    if password.is_none() {
        let what = format!("{}: sudo password of {user}", asker.host());
        *password = typed::secret(&what).wrap_err("asking").map_err(|e| e.to_string())?;
    }
    let Some(word) = password.clone() else {
        return Err(
            "sudo wants a password, and there is no terminal to ask on: holdpoint enroll --print".into()
        );
    };
    // -k: sudo always reads the password, so the script's first line is never taken for one, nor the
    // password for a line of the script.
    let stdin = [word.as_bytes(), b"\n", script.as_bytes()].concat();
    let installed = run(asker, &["sudo", "-k", "-S", "-p", ":", "sh", "-s"], stdin).await;
    if installed.is_err() {
        *password = None;
    }
    installed
}

async fn run(asker: &Asker, words: &[&str], stdin: Vec<u8>) -> Result<(), String> {
    let command = RemoteCommand::new(words).map_err(|e| e.to_string())?;
    let output = asker.link().exec(Lane::Control, &command, stdin, OUTPUT, LONGEST).await;
    let output = output.map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = Untrusted::from_bytes(&output.stderr).shown();
    Err(format!("{} did not come off: {}", words[0], said.trim_end_matches("\\n")))
}
