//! Words that are typed on a terminal: a confirm that costs a thought, a password that is not shown.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Mutex;

use color_eyre::eyre::{Result, WrapErr};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal;

use super::session::UsageError;
use crate::host::{Prompt, Question, QuestionKind, Secret};
use crate::types::Untrusted;

/// Asks for a word to be typed. Without a terminal nobody can, and that is an error that names the
/// option that stands for it.
pub fn confirm(what: &str, word: &str, instead: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(
            UsageError(format!(
                "not done, since nobody can be asked here: it wants the word {word} typed on a terminal, or {instead}. {what}"
            ))
            .into()
        );
    }
    eprint!("{what}\nType {word} to go on, anything else ends here: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).wrap_err("reading from the terminal")?;
    Ok(line.trim() == word)
}

/// Asks for a secret without showing it; `None` where there is no terminal or it was put off by Esc
/// or Ctrl-C.
pub fn secret(what: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    eprint!("{what}: ");
    std::io::stderr().flush()?;
    terminal::enable_raw_mode().wrap_err("hiding what is typed")?;
    let typed = read_secret();
    terminal::disable_raw_mode().wrap_err("showing again what is typed")?;
    eprintln!();
    typed
}

fn read_secret() -> Result<Option<String>> {
    let mut text = String::new();
    loop {
        let Event::Key(key) = read().wrap_err("reading from the terminal")? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(Some(text)),
            KeyCode::Esc => return Ok(None),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(None),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(c) => text.push(c),
            _ => {}
        }
    }
}

/// Asks on the terminal what a connection wants to know: before the cockpit takes the screen.
#[derive(Default)]
pub struct OnTerminal {
    /// One question at a time, however many hosts connect at once.
    one: tokio::sync::Mutex<()>,
    /// Once somebody put a question off, nobody is asked again by this process.
    off: Mutex<bool>,
}

impl OnTerminal {
    /// From now on nobody is asked: the cockpit has the screen.
    pub fn close(&self) {
        *self.off.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
    }
}

impl Prompt for OnTerminal {
    fn ask(&self, question: Question) -> futures_util::future::BoxFuture<'_, Option<Secret>> {
        Box::pin(async move {
            let _one = self.one.lock().await;
            if *self.off.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
                return None;
            }
            let words = words(&question);
            let typed = tokio::task::spawn_blocking(move || secret(&words)).await;
            typed.ok().and_then(Result::ok).flatten().map(Secret::new)
        })
    }
}

fn words(question: &Question) -> String {
    match &question.kind {
        QuestionKind::Passphrase { file, .. } => {
            let file = Untrusted::new(file.display().to_string());
            format!("{}: passphrase of {}", question.host, file.shown())
        }
        QuestionKind::Password { account, .. } => {
            format!("{}: password of {}", question.host, Untrusted::new(account).shown())
        }
        QuestionKind::Server { account, about, text, .. } => format!(
            "{}: {} asks {} {}",
            question.host,
            Untrusted::new(account).shown(),
            about.shown(),
            text.shown()
        ),
    }
}
