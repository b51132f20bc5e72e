//! A server inside the test that asks questions: what an sshd needs PAM and accounts for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use holdpoint::host::{HostError, Prompt, Question, QuestionKind, Secret, Settings};
use russh::server::{Auth, Config, Handler, Response, run_stream};
use russh::{MethodKind, MethodSet};

use super::sshd::{is_here, keygen, link};

/// Wants the password `first`, then the code `1234`.
struct Asking;

impl Handler for Asking {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        let right = password == "first";
        let next = if right { MethodKind::KeyboardInteractive } else { MethodKind::Password };
        Ok(Auth::Reject { proceed_with_methods: Some(MethodSet::from(&[next][..])), partial_success: right })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response.map(|answers| answers.collect::<Vec<_>>()) {
            None => Ok(Auth::Partial {
                name: "Second factor".into(),
                instructions: "".into(),
                prompts: vec![("Code \u{1b}[31m: ".into(), false)].into(),
            }),
            Some(answers) if answers.iter().map(|a| &a[..]).eq([b"1234"]) => Ok(Auth::Accept),
            Some(_) => Ok(Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::KeyboardInteractive][..])),
                partial_success: false,
            }),
        }
    }
}

/// Gives these answers in turn, then declines, and keeps the questions.
struct Answers {
    answers: Mutex<VecDeque<&'static str>>,
    asked: Mutex<Vec<QuestionKind>>,
}

impl Prompt for Answers {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<Secret>> {
        self.asked.lock().expect("not poisoned").push(question.kind);
        let answer = self.answers.lock().expect("not poisoned").pop_front().map(Secret::new);
        Box::pin(async { answer })
    }
}

/// A server for one connection; its port, and settings that know its key.
async fn serve(folder: &std::path::Path, prompts: Option<Arc<dyn Prompt>>) -> (u16, Settings) {
    let host_key = folder.join("host_key");
    if !host_key.exists() {
        keygen(&host_key, "ed25519", "");
    }
    let key = russh::keys::load_secret_key(&host_key, None).expect("a key");
    let public = key.public_key().to_openssh().expect("writes");
    let config = Arc::new(Config {
        keys: vec![key],
        methods: MethodSet::from(&[MethodKind::Password][..]),
        auth_rejection_time: std::time::Duration::ZERO,
        ..Config::default()
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let session = run_stream(config, stream, Asking).await.expect("a session");
        let _ended_somehow = session.await;
    });
    let known = folder.join("known_hosts");
    std::fs::write(&known, format!("[127.0.0.1]:{port} {public}\n")).expect("written");
    let settings = Settings {
        ssh_config: Some("/dev/null".into()),
        known_hosts: Some(vec![known]),
        prompts,
        ..Settings::default()
    };
    (port, settings)
}

fn answers(answers: &[&'static str]) -> Arc<Answers> {
    Arc::new(Answers { answers: Mutex::new(answers.iter().copied().collect()), asked: Mutex::default() })
}

#[tokio::test]
async fn a_password_and_then_a_code_are_asked_for() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let operator = answers(&["wrong", "first", "0000", "1234"]);
    let (port, settings) = serve(folder.path(), Some(Arc::clone(&operator) as Arc<dyn Prompt>)).await;
    let connected = link(&format!("ops@127.0.0.1:{port}"), settings).connect().await.expect("gets in");
    assert_eq!(connected.login, "password, then keyboard-interactive");
    let asked = operator.asked.lock().expect("not poisoned").clone();
    let account = format!("ops@127.0.0.1:{port}");
    assert_eq!(asked[1], QuestionKind::Password { account, attempt: 2 });
    let QuestionKind::Server { about, text, echo, .. } = &asked[3] else { panic!("{asked:?}") };
    assert_eq!((about.raw(), text.shown().as_str(), *echo), ("Second factor", "Code \\e[31m: ", false));
}

#[tokio::test]
async fn who_cannot_or_will_not_answer_gets_an_error_that_says_so() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (port, settings) = serve(folder.path(), None).await;
    let error = link(&format!("ops@127.0.0.1:{port}"), settings).connect().await.expect_err("nobody to ask");
    let HostError::Auth { accepts, notes, .. } = &error else { panic!("{error}") };
    assert_eq!(accepts, &["password"]);
    assert!(notes[0].contains("nobody can be asked"), "{notes:?}");

    let operator = answers(&["first"]);
    let (port, settings) = serve(folder.path(), Some(operator as Arc<dyn Prompt>)).await;
    let error = link(&format!("ops@127.0.0.1:{port}"), settings).connect().await.expect_err("declined");
    assert!(matches!(error, HostError::Auth { .. }) && error.to_string().contains("not answered"), "{error}");
}
