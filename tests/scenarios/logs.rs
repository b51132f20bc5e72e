//! The verb `logs` on a throwaway host: lines of files as they grow, counted, and nothing left behind.

use holdpoint::host::frame::RefusalCode;
use holdpoint::host::verb::Verb;

use crate::host::{Host, host};
use crate::stream::Running;

const FILE: &str = "/var/log/of the site.log";

fn verb() -> Verb {
    Verb::Logs(vec!["/var/log/other.log".into(), FILE.into()])
}

fn lines(running: &Running) -> Vec<String> {
    let (_, stream) = running.parts("log");
    String::from_utf8_lossy(&stream).lines().map(str::to_owned).collect()
}

/// Lines and errors of the file at that place, as they were counted.
fn counted(all: &[String], place: &str) -> [u32; 2] {
    let words =
        all.iter().filter_map(|line| line.strip_prefix("c ")).map(|line| line.split(' ').collect::<Vec<_>>());
    let of = words.filter(|words| words[1] == place);
    of.fold([0, 0], |[lines, errors], words| {
        let number = |at: usize| words[at].parse::<u32>().expect("a number");
        [lines + number(2), errors + number(3)]
    })
}

fn following(host: &Host) -> String {
    host.inside.sh("ps -e -o args= | grep -v -e '^ps ' -e grep | grep -e 'tail -n 0' -e 'journalctl -f' || :")
}

#[test]
fn lines_come_as_they_are_written_counted_by_what_they_tell_and_end_with_the_input() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("echo old >'{FILE}'; : >/var/log/other.log"));
    let running = Running::begin(&host, &verb());
    running.wait_for("it begins", |running| String::from_utf8_lossy(&running.told()).contains("stream log"));
    // Who follows is there a moment after that.
    running.wait_for("two are followed", |_| following(&host).matches("tail -n 0").count() == 2);
    std::thread::sleep(std::time::Duration::from_millis(300));
    host.inside.sh(&format!(
        "cd /var/log; echo 'a line; $(id) `id`' >>'{FILE}'; echo '[error] broken' >>'{FILE}'; mv '{FILE}' gone; \
         echo 'FATAL after it was turned over' >>'{FILE}'; seq 1 300 >>other.log"
    ));
    running.wait_for("all is counted", |running| {
        let all = lines(running);
        counted(&all, "0") == [300, 0] && counted(&all, "1") == [3, 2]
    });
    let all = lines(&running);
    for line in
        ["f 1 a line; $(id) `id`", "F 1 [error] broken", "F 1 FATAL after it was turned over", "f 0 1"]
    {
        assert!(all.iter().any(|one| one == line), "{line}: {all:?}");
    }
    assert!(!all.iter().any(|line| line.contains("old")), "{all:?}");
    let passed = all.iter().filter(|line| line.starts_with("f 0 ")).count();
    assert!((50..300).contains(&passed), "{passed} of 300 passed");
    running.end();
    let left = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        following(&host).is_empty()
    });
    assert!(left, "{}", following(&host));
}

#[test]
fn what_is_no_path_is_refused() {
    let Some(host) = host() else { return };
    for path in ["relative.log", "/var/log/a\nb.log", ""] {
        assert_eq!(host.refused(&Verb::Logs(vec![path.into()]), 0), RefusalCode::Usage, "{path:?}");
    }
}
