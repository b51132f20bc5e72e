//! The facts and update lists of hosts on real sshds, against the same remote commands by Ansible
//! and by parallel-ssh, in one run.
//!
//! The remote command is the helper's text by `sh -s`, as an unenrolled host is asked. All hosts
//! are this machine, so what the commands themselves cost is the same for all and weighs more than
//! on hosts of their own: `hello`, which does next to nothing there, shows the connections alone.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdpoint::helper;
use holdpoint::host::ask::Asker;
use holdpoint::host::verb::Verb;
use holdpoint::host::{Destination, Link, Settings, Target};

use crate::sshd::{Fleet, user};
use crate::timing::{Runs, took};

const ROUNDS: usize = 3;
/// The marker of the frames of an answer; fixed, since nothing else prints on these channels.
const NONCE: &str = "benchbenchbench1";

/// What is asked of every host.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Hello,
    Facts,
}

impl Asked {
    fn word(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Facts => "facts",
        }
    }

    fn line(self) -> String {
        format!("sh -s -- {NONCE} 0 {}", self.word())
    }
}

/// Asks every host once; an error says why that was no figure.
type Ask = Box<dyn FnMut() -> Result<(), String>>;

/// A way to ask every host, and what is needed for it.
struct Way {
    name: &'static str,
    /// None where the program is not here.
    ask: Option<Ask>,
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn sound(what: &str, output: &Output) -> Result<(), String> {
    let err = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    let cut = |text: &str| text.chars().take(2_000).collect::<String>();
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{what}: {}\n{}\n{}", output.status, cut(&err), cut(&out)))
}

/// `holdpoint check --json HOST...`, the real binary: every host has to say its updates.
fn check(fleet: &Arc<Fleet>) -> Ask {
    let fleet = Arc::clone(fleet);
    Box::new(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
        command.arg("-F").arg(fleet.file("ssh_config")).args(["check", "--json"]).args(fleet.names());
        command.env("HOME", fleet.file("")).env("XDG_STATE_HOME", fleet.file("state"));
        command.env("USER", user()).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        let output = command.output().expect("the binary runs");
        let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("{e}: {}", String::from_utf8_lossy(&output.stderr));
        });
        let hosts = seen["hosts"].as_array().expect("hosts");
        let read = hosts.iter().filter(|host| host["updates"].is_array()).count();
        if read == fleet.names().len() {
            return Ok(());
        }
        Err(format!("{read} hosts were read: {}", seen["gates"]))
    })
}

/// The same ssh client inside this process, for `hello`, which no command of holdpoint asks alone.
fn greet(fleet: &Arc<Fleet>) -> Ask {
    let fleet = Arc::clone(fleet);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    Box::new(move || {
        let settings = Arc::new(Settings {
            ssh_config: Some(fleet.file("ssh_config")),
            home: Some(fleet.file("")),
            local_user: Some(user()),
            agent: None,
            ..Settings::of_this_machine()
        });
        let asker = |name: &String| {
            let host = name.parse().expect("a name");
            let target = Target { host, destination: Destination::Ssh(name.clone()) };
            Asker::new(Link::new(target, Arc::clone(&settings)))
        };
        let askers: Vec<Asker> = fleet.names().iter().map(asker).collect();
        runtime.block_on(async {
            let answers = askers.iter().map(|asker| asker.ask(&Verb::Hello, 0));
            for answer in futures_util::future::join_all(answers).await {
                answer.map_err(|failure| failure.what.shown())?;
            }
            futures_util::future::join_all(askers.iter().map(|asker| asker.link().close())).await;
            Ok(())
        })
    })
}

/// `parallel-ssh -I` with the helper's text as its input, fifty at once.
fn parallel_ssh(fleet: &Arc<Fleet>, asked: Asked) -> Option<Ask> {
    let program = on_path("parallel-ssh")?;
    let fleet = Arc::clone(fleet);
    Some(Box::new(move || {
        let mut command = Command::new(&program);
        command.arg("-h").arg(fleet.file("hosts")).args(["-p", "50", "-t", "0", "-I"]);
        command.arg("-x").arg(format!("-F {}", fleet.file("ssh_config").display()));
        command.arg("-o").arg(fleet.file("said")).arg(asked.line());
        command.stdin(File::open(fleet.file("helper.sh")).expect("the helper"));
        let output = command.output().expect("parallel-ssh runs");
        sound("parallel-ssh", &output)?;
        for name in fleet.names() {
            let said = std::fs::read_to_string(fleet.file("said").join(&name)).expect("an answer");
            if !said.ends_with(&format!("@{NONCE} done 0\n")) {
                return Err(format!("parallel-ssh: the answer of {name} is not whole"));
            }
        }
        Ok(())
    }))
}

/// A play of one task, without gathering Ansible's own facts, forks 50, pipelined.
fn ansible(fleet: &Arc<Fleet>, asked: Asked, module: &'static str) -> Option<Ask> {
    let program = on_path("ansible-playbook")?;
    let helper = fleet.file("helper.sh");
    let task = match module {
        // Copies the text to each host and runs it there, without Python.
        "script" => {
            format!("ansible.builtin.script:\n        cmd: {} {NONCE} 0 {}", helper.display(), asked.word())
        }
        _ => format!(
            "ansible.builtin.command:\n        cmd: {}\n        stdin: \"{{{{ lookup('file', '{}') }}}}\"",
            asked.line(),
            helper.display()
        ),
    };
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n    - {task}\n");
    let file = fleet.write(&format!("{module}-{}.yml", asked.word()), &play);
    let fleet = Arc::clone(fleet);
    let mut round = 0;
    Some(Box::new(move || {
        // Each run makes its own connections, as the others do.
        round += 1;
        let sockets = fleet.file(&format!("cp-{}-{}-{round}", &module[..1], &asked.word()[..1]));
        let mut command = Command::new(&program);
        command.arg("-i").arg(fleet.file("hosts")).args(["-f", "50"]).arg(&file);
        command
            .env("ANSIBLE_PIPELINING", "True")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_CONFIG", fleet.file("ansible.cfg"));
        command.env("ANSIBLE_SSH_CONTROL_PATH_DIR", sockets).env("HOME", fleet.file(""));
        // Named, so that no time goes into looking for one.
        command.env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3");
        let args = "-o ControlMaster=auto -o ControlPersist=5s";
        command.env("ANSIBLE_SSH_ARGS", format!("-F {} {args}", fleet.file("ssh_config").display()));
        let output = command.stdin(Stdio::null()).output().expect("ansible-playbook runs");
        sound("ansible-playbook", &output)
    }))
}

fn compare(fleet: &Arc<Fleet>, asked: Asked) {
    let own = match asked {
        Asked::Facts => Way { name: "holdpoint check --json", ask: Some(check(fleet)) },
        Asked::Hello => Way { name: "holdpoint's ssh, hello", ask: Some(greet(fleet)) },
    };
    let mut ways = [
        own,
        Way { name: "parallel-ssh -p 50", ask: parallel_ssh(fleet, asked) },
        Way { name: "ansible -f 50, script", ask: ansible(fleet, asked, "script") },
        Way { name: "ansible -f 50, command", ask: ansible(fleet, asked, "command") },
    ];
    // Round by round, so that a load on this machine meets all of them.
    let mut spans: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (way, spans) in ways.iter_mut().zip(&mut spans) {
            let Some(ask) = &mut way.ask else { continue };
            match took(ask) {
                (span, Ok(())) => spans.push(span),
                (_, Err(why)) => println!("  {}: no figure: {why}", way.name),
            }
        }
    }
    let mut own = None;
    for (way, spans) in ways.iter().zip(spans) {
        if way.ask.is_none() {
            println!(
                "  {:<44} skipped: no {} here",
                way.name,
                way.name.split(' ').next().unwrap_or_default()
            );
        }
        if spans.is_empty() {
            continue;
        }
        let runs = Runs::new(spans);
        if way.name.starts_with("holdpoint") {
            own = Some(runs.median());
        }
        let ratio = own.map(|own| format!("  x {:.2}", runs.median().as_secs_f64() / own.as_secs_f64()));
        runs.print(&format!("{}: {}", asked.word(), way.name), &ratio.unwrap_or_default());
    }
}

/// The fleet of each size asked for; without one, of 24.
pub fn figure(sizes: &[usize]) {
    for count in if sizes.is_empty() { &[24][..] } else { sizes } {
        let Some(fleet) = Fleet::start(*count) else {
            println!("  skipped: no sshd and ssh-keygen here");
            return;
        };
        println!(
            "  {count} hosts; x: how many times holdpoint's median (aim: ansible 8, parallel-ssh 1 or more)"
        );
        fleet.write("helper.sh", helper::TEXT);
        fleet.write("ansible.cfg", "");
        let fleet = Arc::new(fleet);
        compare(&fleet, Asked::Hello);
        compare(&fleet, Asked::Facts);
    }
}
