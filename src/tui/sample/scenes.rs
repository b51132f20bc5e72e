//! The moments of the sample window that are looked at.

use super::*;
use crate::core::command::RollbackScope;

impl Sample {
    /// web2 is done, web1 is next of those that are left: NEWER and UNTESTED hold it.
    pub(crate) fn held() -> Self {
        let mut sample = Self::done_with(&["web2", "web3"]);
        sample.to(at("02:31:40"));
        sample.probe_all("02:31:38");
        sample.ask(Intent::Mark { note: "web1 next; raj reads the changelog of libexpat1".into() });
        sample.to(at("02:31:40"));
        sample
    }

    fn done_with(hosts: &[&str]) -> Self {
        let mut sample = Self::before();
        sample.to(at("02:00:10"));
        sample.probe_all("02:00:08");
        sample.ask(Intent::Mark { note: "open".into() });
        let mut minute = 1;
        // Each batch is watched for its five minutes before the next one starts.
        for host in hosts {
            let name: HostName = host.parse().expect("host");
            while sample.state.batches_of(&name).any(|batch| batch.phase != Phase::Confirmed) {
                let clock = |second| format!("02:{minute:02}:{second:02}");
                sample.probe_all(&clock(5));
                sample.go(host, &clock(10));
                sample.print(host, &clock(20), &["Setting up openssl (3.0.16-1~deb12u1) ..."]);
                sample.applied(host, &clock(40));
                sample.probe_all(&clock(45));
                minute += 5;
                sample.probe_all(&format!("02:{minute:02}:42"));
                minute += 1;
            }
        }
        sample
    }

    /// web3's batch is being applied.
    pub(crate) fn applying() -> Self {
        let mut sample = Self::done_with(&["web2"]);
        sample.probe_all("02:28:05");
        sample.go("web3", "02:28:07");
        sample.print(
            "web3",
            "02:28:20",
            &[
                "Reading package lists...",
                "Preparing to unpack .../libssl3_3.0.16-1~deb12u1_amd64.deb ...",
                "Unpacking libssl3:amd64 (3.0.16-1~deb12u1) over (3.0.15-1~deb12u1) ...",
                "Unpacking \u{1b}[31mopenssl\u{1b}[0m (3.0.16-1~deb12u1) ...",
            ],
        );
        sample.probe_all("02:28:31");
        sample.print("web3", "02:28:33", &["Setting up libssl3:amd64 (3.0.16-1~deb12u1) ..."]);
        sample
    }

    /// web3's batch is verified, and its customer is not reached any more.
    pub(crate) fn failing() -> Self {
        let mut sample = Self::applying();
        sample.applied("web3", "02:29:10");
        for second in [12, 17, 22, 27, 32] {
            sample.probe(&format!("02:29:{second}"), Some("globex"));
        }
        sample.to(at("02:29:33"));
        sample
    }

    /// The rollback of web3 runs.
    pub(crate) fn rolling() -> Self {
        let mut sample = Self::failing();
        sample.to(at("02:29:50"));
        sample.ask(Intent::Rollback {
            scope: RollbackScope::Unconfirmed,
            why: "asked for at the cockpit".into(),
        });
        sample.print("web3", "02:30:20", &["dpkg: warning: downgrading openssl from 3.0.16-1~deb12u1"]);
        sample.probe("02:30:21", Some("globex"));
        sample
    }

    /// It came off.
    pub(crate) fn back() -> Self {
        let mut sample = Self::rolling();
        sample.rolled_back("web3", "02:31:10");
        for second in [15, 20, 25, 30, 35] {
            sample.probe_all(&format!("02:31:{second}"));
        }
        sample.to(at("02:31:36"));
        sample
    }
}
