//! Links against real sshds of our own: keys, logins, ways through, losses, floods.

mod asks;
mod sshd;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use holdpoint::host::config;
use holdpoint::host::{
    Destination, ExecOutput, ExitStatus, HostError, Lane, Link, Prompt, Question, QuestionKind, Reach,
    RemoteCommand, Secret, Settings, Source, Stdin, Target,
};
use holdpoint::types::Span;
use sshd::{SshAgent, Sshd, keygen, link};

const LIMIT: usize = 1 << 20;
const PATIENCE: Span = Span::secs(20);

/// `sh -s --`: what is written to it is run.
static SCRIPT: LazyLock<RemoteCommand> =
    LazyLock::new(|| RemoteCommand::script::<&str>([]).expect("fixed words"));

async fn sh(link: &Link, text: &str) -> Result<ExecOutput, HostError> {
    link.exec(Lane::Control, &SCRIPT, text.as_bytes().to_vec(), LIMIT, PATIENCE).await
}

async fn works(link: &Link) {
    let output = sh(link, "echo in").await.expect("runs");
    assert_eq!((output.stdout.as_slice(), output.status), (&b"in\n"[..], ExitStatus::Code(0)));
}

#[tokio::test]
async fn a_command_gets_its_input_and_gives_output_and_status() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("Banner none");
    let link = sshd.link("");
    let connected = link.connect().await.expect("connects");
    assert_eq!(connected.address, format!("127.0.0.1:{}", sshd.port));
    assert!(connected.login.starts_with("publickey (SHA256:"), "{}", connected.login);
    assert_eq!(connected.host_key.expect("a key").kind, "ssh-ed25519");

    let output = sh(&link, "echo out; echo err >&2; exit 3").await.expect("runs");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!((output.status, output.left_out), (ExitStatus::Code(3), 0));

    let input: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let cat = RemoteCommand::new(["cat"]).expect("fits");
    let output = link.exec(Lane::Streams, &cat, input.clone(), 4 << 20, PATIENCE).await.expect("runs");
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());

    let output = sh(&link, "kill -9 $$").await.expect("runs");
    assert_eq!(output.status, ExitStatus::Signal("KILL".into()));
    // A command that doesn't read its input ends all the same.
    let yes = RemoteCommand::new(["true"]).expect("fits");
    let output = link.exec(Lane::Control, &yes, input, LIMIT, PATIENCE).await.expect("runs");
    assert!(output.status.success());
    link.close().await;
    works(&link).await;
}

#[tokio::test]
async fn more_than_the_limit_is_cut_counted_and_holds_nothing_up() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let link = sshd.link("");
    let flood = "head -c 40000000 /dev/zero; echo end >&2";
    let flooding = link.exec(Lane::Control, &SCRIPT, flood.into(), 1000, PATIENCE);
    let beside = async {
        for _ in 0..5 {
            works(&link).await;
        }
    };
    let (output, ()) = tokio::join!(flooding, beside);
    let output = output.expect("runs");
    assert_eq!((output.stdout.len(), output.left_out), (1000, 40_000_000 - 1000));
    assert_eq!((output.stderr.as_slice(), output.status), (&b"end\n"[..], ExitStatus::Code(0)));
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stalls_nothing_and_counts_what_it_drops() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let link = sshd.link("");
    let text = "head -c 30000000 /dev/zero; echo done >&2; exit 0\n";
    let mut stream = link.stream(&SCRIPT, text.into(), Stdin::Held).await.expect("starts");
    // The same connection serves others while the queue is full.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let output = link.exec(Lane::Streams, &SCRIPT, b"echo in".to_vec(), LIMIT, PATIENCE).await.expect("runs");
    assert_eq!(output.stdout, b"in\n");
    while stream.left_out() < 20_000_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut read = 0;
    let mut missing = 0;
    while let Some(chunk) = stream.next().await {
        missing += chunk.left_out;
        if chunk.source == Source::Stdout {
            read += chunk.bytes.len() as u64;
        }
    }
    assert!(missing <= stream.left_out());
    assert_eq!(
        read + stream.left_out(),
        30_000_000 + if stream.left_out() > 30_000_000 - read { 5 } else { 0 }
    );
    assert_eq!(stream.end().await, Ok(ExitStatus::Code(0)));
}

#[tokio::test]
async fn a_stream_that_is_dropped_ends_what_hangs_on_its_input() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let link = sshd.link("");
    let gone = sshd.file("gone");
    let text = format!("echo up; cat >/dev/null; echo x > {}; exit 0\n", gone.display());
    let mut stream = link.stream(&SCRIPT, text.into(), Stdin::Held).await.expect("starts");
    assert_eq!(stream.next().await.expect("a chunk").bytes, b"up\n");
    drop(stream);
    for _ in 0..250 {
        if gone.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the command runs on");
}

#[tokio::test]
async fn commands_that_never_end_block_no_later_ones() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let link = sshd.link("");
    link.connect().await.expect("connects");
    let slow = || link.exec(Lane::Control, &SCRIPT, b"sleep 30".to_vec(), LIMIT, Span::secs(1));
    // More than sshd's MaxSessions in all, eight at a time.
    for _ in 0..2 {
        for result in futures_util::future::join_all((0..8).map(|_| slow())).await {
            let error = result.expect_err("too slow");
            assert!(matches!(error, HostError::TimedOut { started: true, .. }), "{error}");
            assert!(error.may_have_run() && !error.is_final());
        }
    }
    works(&link).await;
}

#[tokio::test]
async fn an_unknown_key_names_its_fingerprint_and_what_would_add_it() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    sshd.write("known_hosts", &format!("@cert-authority * {}\nbroken line\n", sshd.host_key()));
    let error = sshd.link("").connect().await.expect_err("unknown");
    let HostError::UnknownKey { key, add, notes, .. } = &error else { panic!("{error}") };
    let listed =
        std::process::Command::new("ssh-keygen").arg("-lf").arg(sshd.file("host_ed25519.pub")).output();
    let listed = String::from_utf8(listed.expect("ssh-keygen").stdout).expect("text");
    assert!(listed.contains(&key.fingerprint), "{listed}: {key}");
    assert_eq!(
        add,
        &format!("ssh-keyscan -p {} 127.0.0.1 >> {}", sshd.port, sshd.file("known_hosts").display())
    );
    assert!(
        notes.iter().any(|n| n.contains("certificate authority")) && notes.iter().any(|n| n.contains(":2: ")),
        "{notes:?}"
    );
    assert!(error.is_final());

    // What the message says does help.
    let added = std::process::Command::new("sh").arg("-c").arg(add).output().expect("sh");
    assert!(added.status.success());
    works(&sshd.link("")).await;
}

#[tokio::test]
async fn a_changed_key_a_revoked_key_and_an_unreadable_file_stop() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    keygen(&sshd.file("other"), "ed25519", "");
    let other = sshd.read("other.pub");
    sshd.write("known_hosts", &format!("# c\n[127.0.0.1]:{} {other}", sshd.port));
    let error = sshd.link("").connect().await.expect_err("changed");
    let HostError::ChangedKey { file, line, .. } = &error else { panic!("{error}") };
    assert_eq!((file, *line), (&sshd.file("known_hosts"), 2));
    assert!(error.is_final() && error.to_string().starts_with("STOP"), "{error}");
    let error = sshd.link("").fresh(PATIENCE).await.expect_err("changed");
    assert!(matches!(error, HostError::ChangedKey { .. }), "{error}");

    sshd.know();
    sshd.write("known_hosts", &format!("{}@revoked\t* {}\n", sshd.read("known_hosts"), sshd.host_key()));
    let error = sshd.link("").connect().await.expect_err("revoked");
    assert!(matches!(error, HostError::RevokedKey { line: 2, .. }) && error.is_final(), "{error}");

    std::fs::remove_file(sshd.file("known_hosts")).expect("removed");
    std::fs::create_dir(sshd.file("known_hosts")).expect("made");
    let error = sshd.link("").connect().await.expect_err("unreadable");
    assert!(matches!(error, HostError::KnownHosts { .. }) && error.is_final(), "{error}");
}

#[tokio::test]
async fn hashed_names_and_aliases_are_found() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(sshd.file("known_hosts"))
        .output();
    assert!(hashed.expect("ssh-keygen").status.success());
    assert!(sshd.read("known_hosts").starts_with("|1|"));
    works(&sshd.link("")).await;
    sshd.write("known_hosts", &format!("the-alias {}\n", sshd.host_key()));
    works(&sshd.link("HostKeyAlias the-alias")).await;
}

#[tokio::test]
async fn the_host_is_asked_for_the_key_that_it_is_known_by() {
    if !sshd::is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ecdsa = folder.path().join("host_ecdsa");
    keygen(&ecdsa, "ecdsa", "");
    let sshd = Sshd::start(&format!("HostKey {}", ecdsa.display()));
    let key = std::fs::read_to_string(ecdsa.with_extension("pub")).expect("read");
    sshd.write("known_hosts", &format!("[127.0.0.1]:{} {key}", sshd.port));
    let connected = sshd.link("").connect().await.expect("connects");
    assert_eq!(connected.host_key.expect("a key").kind, "ecdsa-sha2-nistp256");
}

#[tokio::test]
async fn the_configuration_is_read_without_openssh_too() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let settings = Settings { openssh: None, ..sshd.settings("") };
    works(&link("target", settings)).await;
    let settings = Settings { openssh: None, ..sshd.settings("Match exec true") };
    let error = link("target", settings).connect().await.expect_err("not understood");
    assert!(
        matches!(error, HostError::Config { .. }) && error.to_string().contains("config:8: match"),
        "{error}"
    );
}

#[tokio::test]
async fn our_reading_of_a_configuration_is_opensshs() {
    if !sshd::is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    let text = "IdentityFile /keys/first\nHost web1 !web2\n HostName %h.example.org\nHost web* !web2\n User ops\n Port 2200\n \
                IdentityFile \"/keys/second\"\n IdentitiesOnly yes\n UserKnownHostsFile /a /b\n ProxyJump a@b:33,c\nHost web2\n \
                ProxyCommand nc %h %p %r %n\n HostKeyAlias=x\n IdentityAgent none\n ConnectTimeout 9\nHost *\n User last\n \
                GlobalKnownHostsFile /dev/null\n UserKnownHostsFile /z\n";
    std::fs::write(&file, text).expect("written");
    let settings = |openssh: Option<&str>| Settings {
        ssh_config: Some(file.clone()),
        openssh: openssh.map(Into::into),
        home: Some("/home/u".into()),
        local_user: Some(sshd::user()),
        ..Settings::default()
    };
    for to in ["web1", "web2", "WEB3", "web4:77", "me@web5", "2001:db8::1", "[2001:db8::1]:5"] {
        let ours = config::effective(to, &settings(None)).await.expect("ours");
        let theirs = config::effective(to, &settings(Some("/usr/bin/ssh"))).await.expect("theirs");
        // It lowers the case of names; so do we where names are compared.
        assert_eq!(config::Effective { host: ours.host.to_ascii_lowercase(), ..ours }, theirs, "{to}");
    }
}

#[tokio::test]
async fn too_many_keys_are_told_as_such() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("MaxAuthTries 2");
    for name in ["a", "b", "c"] {
        keygen(&sshd.file(name), "ed25519", "");
    }
    let (a, b, c) = (sshd.file("a"), sshd.file("b"), sshd.file("c"));
    let agent = SshAgent::start(sshd.folder.path(), &[&a, &b, &c]);
    let settings =
        Settings { agent: Some(agent.socket.clone()), identities: vec![a, b, c], ..sshd.settings("") };
    let error = link("target", settings).connect().await.expect_err("too many");
    assert!(
        matches!(error, HostError::Auth { .. }) && error.to_string().contains("IdentitiesOnly"),
        "{error}"
    );
}

#[tokio::test]
async fn an_agent_signs_and_identities_only_is_respected() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    keygen(&sshd.file("held"), "ed25519", "");
    let agent = SshAgent::start(sshd.folder.path(), &[&sshd.file("held")]);
    sshd.accept("held");
    let through_agent = || Settings { agent: Some(agent.socket.clone()), ..sshd.settings("") };
    let connected = link("target", through_agent()).connect().await.expect("connects");
    assert!(connected.login.contains("of the agent"), "{}", connected.login);

    let only = Settings { agent: Some(agent.socket.clone()), ..sshd.settings("IdentitiesOnly yes") };
    let error = link("target", only).connect().await.expect_err("the key is not named");
    let HostError::Auth { tried, accepts, .. } = &error else { panic!("{error}") };
    assert_eq!((tried.len(), accepts.as_slice()), (1, &["publickey".to_owned()][..]), "{tried:?}");
    assert!(error.is_final());

    // Named by its public half alone.
    std::fs::remove_file(sshd.file("held")).expect("removed");
    let named = format!("IdentitiesOnly yes\nIdentityFile {}", sshd.file("held").display());
    let only = Settings { agent: Some(agent.socket.clone()), ..sshd.settings(&named) };
    works(&link("target", only)).await;
    let socket = format!("IdentityAgent {}", agent.socket.display());
    works(&sshd.link(&socket)).await;
    let error =
        link("target", Settings { agent: Some(agent.socket.clone()), ..sshd.settings("IdentityAgent none") });
    assert!(error.connect().await.is_err());
}

/// Answers passphrases, and counts.
struct Answers {
    secret: &'static str,
    asked: AtomicU32,
}

impl Prompt for Answers {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<Secret>> {
        assert!(matches!(question.kind, QuestionKind::Passphrase { .. }), "{question:?}");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Some(Secret::new(self.secret)) })
    }
}

#[tokio::test]
async fn an_encrypted_key_is_asked_for_once_and_named_where_nobody_can_be_asked() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    keygen(&sshd.file("locked"), "ed25519", "open sesame");
    sshd.accept("locked");
    let named = format!("IdentityFile {}", sshd.file("locked").display());
    let error = sshd.link(&named).connect().await.expect_err("locked");
    assert_eq!(error, HostError::NeedsPassphrase { file: sshd.file("locked") });

    let answers = Arc::new(Answers { secret: "open sesame", asked: AtomicU32::new(0) });
    let prompts: Arc<dyn Prompt> = Arc::clone(&answers) as Arc<dyn Prompt>;
    let link = link("target", Settings { prompts: Some(prompts), ..sshd.settings(&named) });
    works(&link).await;
    let streams = link.exec(Lane::Streams, &SCRIPT, b"echo in".to_vec(), LIMIT, PATIENCE).await;
    assert!(streams.expect("runs").status.success());
    assert_eq!(answers.asked.load(Ordering::SeqCst), 1);

    let wrong = Arc::new(Answers { secret: "wrong", asked: AtomicU32::new(0) });
    let prompts: Arc<dyn Prompt> = Arc::clone(&wrong) as Arc<dyn Prompt>;
    let link = sshd::link("target", Settings { prompts: Some(prompts), ..sshd.settings(&named) });
    assert!(matches!(link.connect().await, Err(HostError::NeedsPassphrase { .. })));
    assert_eq!(wrong.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_rsa_key_alone_and_a_host_with_an_rsa_key_alone_work() {
    if !sshd::is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let rsa = folder.path().join("rsa");
    keygen(&rsa, "rsa", "");
    let sshd =
        Sshd::start(&format!("HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256\nHostKey {}", rsa.display()));
    let public = std::fs::read_to_string(rsa.with_extension("pub")).expect("read");
    sshd.write("authorized_keys", &public);
    sshd.write("known_hosts", &format!("[127.0.0.1]:{} {public}", sshd.port));
    let settings = Settings { identities: vec![rsa.clone()], ..sshd.settings("") };
    let connected = link("target", settings).connect().await.expect("connects");
    assert_eq!(connected.host_key.expect("a key").kind, "ssh-rsa");

    let agent = SshAgent::start(folder.path(), &[&rsa]);
    works(&link("target", Settings { agent: Some(agent.socket.clone()), ..sshd.settings("") })).await;
}

#[tokio::test]
async fn a_certificate_of_a_key_file_lets_in() {
    if !sshd::is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("authority");
    keygen(&authority, "ed25519", "");
    let sshd = Sshd::start(&format!("TrustedUserCAKeys {}.pub", authority.display()));
    sshd.write("authorized_keys", "");
    assert!(matches!(sshd.link("").connect().await, Err(HostError::Auth { .. })));
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-s", authority.to_str().expect("plain"), "-I", "test", "-n", &sshd::user()])
        .arg(sshd.file("id.pub"))
        .output();
    assert!(signed.expect("ssh-keygen").status.success());
    let connected = sshd.link("").connect().await.expect("connects");
    assert!(connected.login.contains("certificate"), "{}", connected.login);
}

#[tokio::test]
async fn a_jump_host_leads_on_and_its_own_key_is_checked() {
    if !sshd::is_here() {
        return;
    }
    let (jump, mut behind) = (Sshd::start(""), Sshd::start(""));
    let hop = jump.config("").replace("Host target", "Host jump");
    let extra = format!("  ProxyJump jump\n{hop}");
    let link = behind.link(&extra);
    let connected = link.connect().await.expect("connects");
    assert!(connected.address.contains("through 127.0.0.1"), "{}", connected.address);
    works(&link).await;
    link.fresh(PATIENCE).await.expect("fresh through the same jump host");
    link.close().await;

    let closed = jump.port;
    let other = extra.replace(&format!("Port {closed}"), &format!("Port {}", behind.port));
    // The wrong key on the way is as hard a stop as at its end.
    let error = behind.link(&other).connect().await.expect_err("another host's key");
    assert!(matches!(error, HostError::UnknownKey { .. }), "{error}");

    behind.kill();
    // A link reads the configuration as it is written last.
    let dead = behind.link(&extra).connect().await.expect_err("nothing is behind");
    assert!(matches!(dead, HostError::Unreachable { reach: Reach::Refused, .. }), "{dead}");
    assert!(!dead.is_final());
    let no_way = behind.link(&other).connect().await.expect_err("no jump host");
    assert!(matches!(no_way, HostError::Unreachable { reach: Reach::Jump, .. }), "{no_way}");
    assert!(!no_way.is_final());

    let loops = behind.link("  ProxyJump target");
    let error = loops.connect().await.expect_err("a loop");
    assert!(matches!(error, HostError::Config { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_command_leads_on_and_says_why_it_failed() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let plain = sshd.config("").replace("Host target", "Host plain");
    sshd.write("plain_config", &plain);
    let command = format!(
        "ProxyCommand ssh -F {} -o BatchMode=yes -W %h:%p {} plain",
        sshd.file("plain_config").display(),
        "-o IdentityAgent=none"
    );
    works(&sshd.link(&command)).await;

    let error =
        sshd.link("ProxyCommand echo '\u{1b}[31mno way' >&2; exit 4").connect().await.expect_err("fails");
    let HostError::ProxyFailed { stderr, .. } = &error else { panic!("{error}") };
    assert_eq!(stderr.shown(), "\\e[31mno way");
    let error = sshd.link("ProxyCommand /nonexistent/program").connect().await.expect_err("fails");
    assert!(matches!(error, HostError::ProxyFailed { not_started: true, .. }) && error.is_final(), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_and_made_again() {
    if !sshd::is_here() {
        return;
    }
    let mut sshd = Sshd::start("");
    let link = sshd.link("");
    works(&link).await;
    let running = link.clone();
    let task = tokio::spawn(async move { sh(&running, "echo begun; sleep 30").await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    sshd.kill();
    let error = task.await.expect("joins").expect_err("lost");
    assert!(matches!(error, HostError::Lost { started: true, .. }), "{error}");
    assert!(error.may_have_run() && !error.is_final());

    let error = link.connect().await.expect_err("nothing listens");
    assert!(matches!(error, HostError::Unreachable { reach: Reach::Refused, .. }), "{error}");
    assert!(link.fresh(PATIENCE).await.is_err());
    sshd.start_again();
    works(&link).await;
}

#[tokio::test]
async fn fresh_needs_no_login_and_leaves_the_kept_connection_alone() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let link = sshd.link("");
    works(&link).await;
    sshd.write("authorized_keys", "");
    link.fresh(PATIENCE).await.expect("keys are exchanged");
    works(&link).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_at_once_get_in_to_a_stock_sshd() {
    if !sshd::is_here() {
        return;
    }
    let sshd = Sshd::start("");
    let settings = Arc::new(sshd.settings(""));
    let links: Vec<Link> = (0..40)
        .map(|n| {
            let host = format!("web{n}").parse().expect("a name");
            Link::new(Target { host, destination: Destination::Ssh("target".into()) }, Arc::clone(&settings))
        })
        .collect();
    for result in futures_util::future::join_all(links.iter().map(Link::connect)).await {
        result.expect("gets in");
    }
    for link in &links {
        works(link).await;
    }
}

#[tokio::test]
async fn what_is_dropped_before_it_begins_is_tried_again_and_then_told() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let seen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let settings = Settings {
        local_user: Some("me".into()),
        known_hosts: Some(Vec::new()),
        ssh_config: Some("/dev/null".into()),
        pacing: holdpoint::host::Pacing::new(8, 3, Span::ms(1)),
        ..Settings::default()
    };
    let error = link(&format!("127.0.0.1:{port}"), settings).connect().await.expect_err("dropped");
    assert!(matches!(error, HostError::Dropped { .. }) && !error.is_final(), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

/// What takes connections and never says a word, as the kernel of a frozen host does; and how many it has taken.
async fn frozen() -> (u16, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let seen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    (port, seen)
}

fn patient(timeout: Span) -> Settings {
    Settings {
        local_user: Some("me".into()),
        known_hosts: Some(Vec::new()),
        ssh_config: Some("/dev/null".into()),
        connect_timeout: timeout,
        ..Settings::default()
    }
}

#[tokio::test]
async fn those_who_wait_for_a_host_that_hangs_share_one_try() {
    let (port, seen) = frozen().await;
    let link = link(&format!("127.0.0.1:{port}"), patient(Span::ms(700)));
    let callers: Vec<_> = (0..5).map(|_| link.clone()).collect();
    for result in futures_util::future::join_all(callers.iter().map(Link::connect)).await {
        let error = result.expect_err("it is silent");
        let words = "the connection is taken, and no key exchange follows within 700ms";
        assert!(error.to_string().contains(words) && !error.is_final(), "{error}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 1, "five who wait are one try, and it is not repeated");
    // Who comes later asks anew.
    link.connect().await.expect_err("still silent");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_goodbye_does_not_wait_for_a_host_that_hangs() {
    let (port, seen) = frozen().await;
    let link = link(&format!("127.0.0.1:{port}"), patient(Span::secs(3_600)));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.connect().await })
        })
        .collect();
    while seen.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    link.close().await;
    for waiting in waiting {
        let error = waiting.await.expect("no panic").expect_err("given up");
        assert!(matches!(error, HostError::Lost { started: false, .. }), "{error}");
    }
}

#[tokio::test]
async fn this_machine_runs_the_same_words() {
    let target = Target { host: "here".parse().expect("a name"), destination: Destination::Local };
    let link = Link::new(target, Arc::new(Settings::default()));
    link.connect().await.expect("always");
    link.fresh(PATIENCE).await.expect("always");
    let output = sh(&link, "echo out; echo err >&2; exit 3").await.expect("runs");
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status, ExitStatus::Code(3));
    assert_eq!(sh(&link, "kill -9 $$").await.expect("runs").status, ExitStatus::Signal("KILL".into()));

    let flood = link.exec(Lane::Control, &SCRIPT, b"head -c 5000000 /dev/zero".to_vec(), 10, PATIENCE).await;
    assert_eq!(flood.expect("runs").left_out, 5_000_000 - 10);
    let slow = link.exec(Lane::Control, &SCRIPT, b"sleep 30".to_vec(), 10, Span::ms(100)).await;
    assert!(matches!(slow, Err(HostError::TimedOut { started: true, .. })));
    let missing = RemoteCommand::new(["/nonexistent/program"]).expect("fits");
    let error = link.exec(Lane::Control, &missing, vec![], 10, PATIENCE).await.expect_err("not there");
    assert!(matches!(error, HostError::Local { .. }) && error.is_final() && !error.may_have_run(), "{error}");

    let mut stream = link
        .stream(&SCRIPT, b"echo one; echo two; cat >/dev/null".to_vec(), Stdin::Closed)
        .await
        .expect("starts");
    let mut read = Vec::new();
    while let Some(chunk) = stream.next().await {
        read.extend(chunk.bytes);
    }
    assert_eq!((read.as_slice(), stream.end().await), (&b"one\ntwo\n"[..], Ok(ExitStatus::Code(0))));
    let error = link.stream(&missing, vec![], Stdin::Closed).await.err().expect("not there");
    assert!(matches!(error, HostError::Local { .. }), "{error}");
}
