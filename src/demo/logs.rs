//! What a host of the demo writes into its journal and into nginx's error log, as the helper's verb `logs`
//! streams it: restarts, a cron job now and then, and many errors while customers' addresses are gone.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::model::Host;
use crate::types::Time;

/// How often it is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Looks in a second.
const SECOND: u64 = 4;
/// Lines are counted this often, in looks, as the helper does.
const COUNTED: u64 = 5 * SECOND;
/// Entries of the journal that are kept for whoever follows.
const KEPT: usize = 500;

/// A host's journal.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<(&'static str, String)>,
    /// How many there ever were.
    written: u64,
}

impl Journal {
    pub(super) fn say(&mut self, by: &'static str, text: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back((by, text));
        self.written += 1;
    }

    /// The entries after the first so many.
    fn since(&self, seen: u64) -> impl Iterator<Item = &(&'static str, String)> {
        let new = usize::try_from(self.written.saturating_sub(seen)).unwrap_or(usize::MAX);
        self.entries.iter().skip(self.entries.len().saturating_sub(new))
    }
}

/// One who follows a host's logs.
#[derive(Debug)]
pub(super) struct Follower {
    /// nginx's error log among the files that were asked for.
    file: Option<usize>,
    /// Entries of the journal that were there before, or were told.
    seen: u64,
    looks: u64,
    /// nginx's number of the connection.
    connection: u64,
    /// Lines since they were counted last, and errors: of the journal, and of the file.
    counts: [(u32, u32); 2],
}

impl Follower {
    /// From now on.
    pub(super) fn new(host: &Host, files: &[String]) -> Self {
        let file = files.iter().position(|path| path.ends_with("/nginx/error.log"));
        Self { file, seen: host.journal.written, looks: 0, connection: 40, counts: [(0, 0); 2] }
    }

    /// What was written since the last look.
    pub(super) fn look(&mut self, host: &Host, now: Time) -> Vec<u8> {
        let mut out = String::new();
        for (by, text) in host.journal.since(self.seen) {
            self.journal(&mut out, by, text);
        }
        self.seen = host.journal.written;
        self.quiet(&mut out, host, now);
        self.dark(&mut out, host, now);
        self.looks += 1;
        if self.looks.is_multiple_of(COUNTED) {
            self.count(&mut out);
        }
        out.into_bytes()
    }

    /// What is there on any day.
    fn quiet(&mut self, out: &mut String, host: &Host, now: Time) {
        match self.looks % (60 * SECOND) {
            30 => {
                self.journal(out, "CRON", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)")
            }
            90 => {
                let client = host.profile.gateway;
                let words = "open() \"/var/www/html/favicon.ico\" failed (2: No such file or directory)";
                self.file(out, now, "error", &format!("{words}, client: {client}, server: _"));
            }
            170 => self.file(out, now, "warn", "an upstream response is buffered to a temporary file"),
            _ => {}
        }
    }

    /// What is passed on to customers' addresses that the host has not any more comes back from nowhere: each
    /// is asked for once a second.
    fn dark(&mut self, out: &mut String, host: &Host, now: Time) {
        let turn = self.looks % SECOND;
        let all = host.profile.customers.iter().zip(0_u64..);
        let gone: Vec<&Ipv4Addr> = all
            .filter(|(address, nth)| !host.addresses.contains(address) && nth % SECOND == turn)
            .map(|(address, _)| address)
            .collect();
        for address in gone {
            let port =
                host.profile.listens.iter().find(|(_, who)| *who == "nginx").map_or(80, |(port, _)| *port);
            let client = host.profile.address;
            let words = "upstream timed out (110: Connection timed out) while connecting to upstream";
            let upstream = format!("upstream: \"http://{address}:{port}/health\"");
            self.file(out, now, "error", &format!("{words}, client: {client}, {upstream}"));
        }
    }

    fn journal(&mut self, out: &mut String, by: &str, text: &str) {
        let entry = serde_json::json!({ "SYSLOG_IDENTIFIER": by, "PRIORITY": "6", "MESSAGE": text });
        out.push_str(&format!("j {entry}\n"));
        self.counts[0].0 += 1;
    }

    fn file(&mut self, out: &mut String, now: Time, level: &str, text: &str) {
        let Some(place) = self.file else { return };
        self.connection += 1;
        let error = level == "error";
        let (sign, at) = (if error { 'F' } else { 'f' }, now.format("%Y/%m/%d %H:%M:%S"));
        out.push_str(&format!("{sign} {place} {at} [{level}] 612#612: *{} {text}\n", self.connection));
        self.counts[1].0 += 1;
        self.counts[1].1 += u32::from(error);
    }

    fn count(&mut self, out: &mut String) {
        let places = ["-".to_owned(), self.file.map_or(String::new(), |place| place.to_string())];
        for (place, (lines, errors)) in places.into_iter().zip(std::mem::take(&mut self.counts)) {
            if lines > 0 {
                out.push_str(&format!("c {} {place} {lines} {errors} 0\n", COUNTED / SECOND));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::demo::archive::Archive;
    use crate::demo::model::Profile;

    fn host() -> Host {
        let profile = Profile {
            name: "web1".to_owned(),
            rows: "web1".to_owned(),
            address: Ipv4Addr::new(192, 0, 2, 11),
            gateway: Ipv4Addr::new(192, 0, 2, 1),
            customers: (21..25).map(|last| Ipv4Addr::new(192, 0, 2, last)).collect(),
            by_hand: true,
            listens: vec![(8080, "nginx")],
            seed: 1,
        };
        Host::new(profile, Arc::new(Archive::of_the_demo().expect("reads")))
    }

    /// What is written in so many seconds.
    fn seconds(follower: &mut Follower, host: &Host, count: u64) -> Vec<String> {
        let now = Time::from_timestamp(1_763_700_000, 0).expect("a time");
        let all = (0..count * SECOND).flat_map(|_| follower.look(host, now));
        let all = String::from_utf8(all.collect()).expect("text");
        all.lines().map(str::to_owned).collect()
    }

    fn errors(lines: &[String]) -> usize {
        lines.iter().filter(|line| line.starts_with("F 1 ")).count()
    }

    #[test]
    fn it_is_quiet_until_addresses_are_gone_and_again_once_they_are_back() {
        let mut host = host();
        let mut follower =
            Follower::new(&host, &["/var/log/a.log".into(), "/var/log/nginx/error.log".into()]);
        let quiet = seconds(&mut follower, &host, 60);
        assert!((1..3).contains(&errors(&quiet)), "{quiet:#?}");
        let id = "ifupdown:amd64".parse().expect("a package");
        host.put(&id, Some("0.8.44".parse().expect("a version")));
        let dark = seconds(&mut follower, &host, 15);
        assert!(dark[0].starts_with("j ") && dark[0].contains("Restarted networking.service."), "{dark:#?}");
        assert!(dark[1].contains("Reloaded networking.service"), "{dark:#?}");
        assert_eq!(errors(&dark), 60, "each of four, each second");
        let shown = dark.iter().find(|line| line.starts_with('F')).expect("an error");
        assert!(shown.contains(" [error] 612#612: *") && shown.contains("192.0.2.21:8080"), "{shown}");
        assert!(dark.iter().any(|line| line == "c 5 1 20 20 0"), "{dark:#?}");
        host.addresses = host.profile.customers.clone();
        assert!(errors(&seconds(&mut follower, &host, 15)) <= 1);
        // Whoever comes later is not told what was before, and a log that was not asked for is not told.
        let mut later = Follower::new(&host, &[]);
        let lines = seconds(&mut later, &host, 60);
        assert!(lines.iter().all(|line| line.starts_with("j ") || line.starts_with("c 5 - ")), "{lines:#?}");
    }
}
