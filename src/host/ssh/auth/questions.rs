//! What the operator is asked for: the server's questions, a password. Without somebody to ask, a
//! note says that it was not tried.

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use russh::{MethodKind, MethodSet};

use super::{Login, Step};
use crate::host::{HostError, Question, QuestionKind, Secret};
use crate::types::Untrusted;

/// How often a password, or a round of questions, may be wrong.
const ANSWER_TRIES: u32 = 3;

impl Login<'_> {
    async fn ask(&self, kind: QuestionKind) -> Option<Secret> {
        let prompts = self.settings.prompts.as_ref()?;
        prompts.ask(Question { host: self.host.clone(), kind }).await
    }

    fn nobody_to_ask(&mut self, method: &str) -> Step {
        self.notes
            .push(format!("{method} was not tried: nobody can be asked here; use a key, or the cockpit"));
        Step::No
    }

    pub(super) async fn questions(&mut self) -> Result<Step, HostError> {
        let with = "keyboard-interactive";
        if self.settings.prompts.is_none() {
            return Ok(self.nobody_to_ask(with));
        }
        for _ in 0..ANSWER_TRIES {
            let started = self.handle.authenticate_keyboard_interactive_start(&self.to.user, None).await;
            let mut reply = started.map_err(|_| self.gone())?;
            loop {
                match reply {
                    KeyboardInteractiveAuthResponse::Success => {
                        return Ok(self.step(AuthResult::Success, with));
                    }
                    KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                        if self.handle.is_closed() {
                            return Err(self.gone());
                        }
                        let again =
                            !partial_success && remaining_methods.contains(&MethodKind::KeyboardInteractive);
                        let step =
                            self.step(AuthResult::Failure { remaining_methods, partial_success }, with);
                        if !again {
                            return Ok(step);
                        }
                        break;
                    }
                    KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts } => {
                        let about = Untrusted::new([name, instructions].join("\n").trim());
                        let mut answers = Vec::new();
                        for prompt in prompts {
                            let kind = QuestionKind::Server {
                                account: self.account.clone(),
                                about: about.clone(),
                                text: prompt.prompt.into(),
                                echo: prompt.echo,
                            };
                            let Some(answer) = self.ask(kind).await else {
                                self.notes.push("the server's question was not answered".to_owned());
                                self.tried.push(with.to_owned());
                                return Err(self.failed(&MethodSet::empty()));
                            };
                            answers.push(answer.reveal().to_owned());
                        }
                        let answered = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                        reply = answered.map_err(|_| self.gone())?;
                    }
                }
            }
        }
        Ok(Step::No)
    }

    pub(super) async fn password(&mut self) -> Result<Step, HostError> {
        let with = "password";
        if self.settings.prompts.is_none() {
            return Ok(self.nobody_to_ask(with));
        }
        for attempt in 1..=ANSWER_TRIES {
            let Some(answer) =
                self.ask(QuestionKind::Password { account: self.account.clone(), attempt }).await
            else {
                self.notes.push("the password was not given".to_owned());
                return Ok(Step::No);
            };
            let answer = self.handle.authenticate_password(&self.to.user, answer.reveal()).await;
            let answer = self.check(answer)?;
            let step = self.step(answer, with);
            if !matches!(step, Step::No) {
                return Ok(step);
            }
        }
        Ok(Step::No)
    }
}
