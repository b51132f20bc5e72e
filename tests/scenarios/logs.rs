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
    host.inside.sh("ps -e -o comm= | grep -x -e perl -e journalctl || :")
}

#[test]
fn lines_come_as_they_are_written_counted_by_what_they_tell_and_end_with_the_input() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("echo old >'{FILE}'; : >/var/log/other.log"));
    let running = Running::begin(&host, &verb());
    running.wait_for("it begins", |running| String::from_utf8_lossy(&running.told()).contains("stream log"));
    // Who follows is there a moment after that.
    running.wait_for("it follows", |_| following(&host).contains("perl"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.inside.sh(&format!(
        "cd /var/log; echo 'a line; $(id) `id`' >>'{FILE}'; echo '[error] broken' >>'{FILE}'; mv '{FILE}' gone; \
         sleep 1; echo 'FATAL after it was turned over' >>'{FILE}'; seq 1 300 >>other.log"
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
    assert_eq!(left(&host), "");
}

/// What still follows something, once it has had time to end.
fn left(host: &Host) -> String {
    for _ in 0..50 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        if following(host).is_empty() {
            break;
        }
    }
    following(host)
}

#[test]
fn only_files_are_read_by_their_names_whatever_becomes_of_them() {
    let Some(host) = host() else { return };
    let paths = ["a", "pipe", "dir", "later", "link", "zero", "gone/x"];
    host.inside.sh(
        "mkdir -p /var/log/odd/dir; cd /var/log/odd; echo old >a; mkfifo pipe; ln -s a link; ln -s /dev/zero zero; \
         (echo for the other one >pipe) >/dev/null 2>&1 </dev/null & :",
    );
    let running =
        Running::begin(&host, &Verb::Logs(paths.iter().map(|name| format!("/var/log/odd/{name}")).collect()));
    running.wait_for("what is no file is named", |running| {
        let told = running.told();
        ["e 1", "e 2", "e 5"]
            .iter()
            .all(|line| String::from_utf8_lossy(&told).lines().any(|one| one == *line))
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.inside.sh(
        "cd /var/log/odd; echo one >>a; printf 'no end' >>a; echo first >later; sleep 1; echo ' and FATAL' >>a; \
         mv a a.1; printf 'end of the old' >>a.1; sleep 2; echo 'a new file' >a; sleep 2; : >a; echo cut >>a; sleep 2; \
         head -c 3000000 /dev/zero >>a; echo >>a; printf 'bin\\0\\377\\n' >>a; mkdir gone; echo made >gone/x",
    );
    let wanted: [&[u8]; 8] = [
        b"f 0 one",
        b"F 0 no end and FATAL",
        b"f 3 first",
        b"f 0 end of the old",
        b"f 4 a new file",
        b"f 0 cut",
        b"f 0 bin\0\xff",
        b"f 6 made",
    ];
    let has = |running: &Running, line: &[u8]| {
        let line = [b"\n", line, b"\n"].concat();
        running.told().windows(line.len()).any(|here| here == line)
    };
    running.wait_for("all of it", |running| wanted.iter().all(|line| has(running, line)));
    // A line of megabytes is one line, and short.
    running.wait_for("all is counted", |running| counted(&lines(running), "0")[0] == 7);
    assert!(running.told().len() < 64 * 1024, "{}", running.told().len());
    assert!(!has(&running, b"f 0 old"));
    // Nobody has taken what was meant for another.
    assert_eq!(host.inside.sh("cat /var/log/odd/pipe").trim(), "for the other one");
    // A connection that is cut: nobody reads, and the shell is gone.
    drop(running);
    host.inside.sh("echo more >>/var/log/odd/a");
    assert_eq!(left(&host), "");
}

/// logrotate with `create`: the new file is there before the service is told to write into it.
#[test]
fn what_is_written_to_a_file_after_another_took_its_place_is_told_as_well() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("echo old >'{FILE}'; : >/var/log/other.log"));
    let running = Running::begin(&host, &verb());
    running.wait_for("it follows", |_| following(&host).contains("perl"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.inside.sh(&format!(
        "cd /var/log; exec 5>>'{FILE}'; echo before >&5; mv '{FILE}' gone; : >'{FILE}'; sleep 1; \
         echo '[error] to the old one' >&5; sleep 1; echo 'to the new one' >>'{FILE}'; sleep 1; printf 'an end' >&5"
    ));
    let wanted = ["f 1 before", "F 1 [error] to the old one", "f 1 to the new one"];
    running.wait_for("all of it", |running| {
        let all = lines(running);
        wanted.iter().all(|line| all.iter().any(|one| one == line)) && counted(&all, "1") == [3, 1]
    });
    // Still for ten seconds it is left.
    let open = "ls -l /proc/$(pgrep -x perl)/fd | grep -c gone || :";
    assert_eq!(host.inside.sh(open).trim(), "1");
    std::thread::sleep(std::time::Duration::from_secs(5));
    running.wait_for("it is left", |_| host.inside.sh(open).trim() == "0");
    assert!(lines(&running).iter().any(|line| line == "f 1 an end"), "{:?}", lines(&running));
    running.end();
    assert_eq!(left(&host), "");
}

/// chrony after a reboot: the host's clock is put back by an hour.
#[test]
fn a_clock_that_is_stepped_back_ends_no_counting() {
    let Some(host) = host() else { return };
    // Another time of day for whom the helper starts by that name.
    host.inside.sh(
        r#"printf '%s\n' '#!/bin/sh' \
            'step="BEGIN { *CORE::GLOBAL::time = sub () { CORE::time() - (-e q(/stepped) ? 3600 : 0) } }"' \
            '[ "$1" = -e ] || exec /usr/bin/perl "$@"' 'shift' 'exec /usr/bin/perl -e "$step" -e "$@"' >/usr/sbin/perl
        chmod 755 /usr/sbin/perl; : >/var/log/other.log"#,
    );
    let running = Running::begin(&host, &verb());
    running.wait_for("it follows", |_| following(&host).contains("perl"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.inside.sh("touch /stepped; seq 1 10 >>/var/log/other.log");
    running.wait_for("all is counted", |running| counted(&lines(running), "0") == [10, 0]);
    running.end();
    assert_eq!(left(&host), "");
}

#[test]
fn what_is_no_path_is_refused() {
    let Some(host) = host() else { return };
    for path in ["relative.log", "/var/log/a\nb.log", ""] {
        assert_eq!(host.refused(&Verb::Logs(vec![path.into()]), 0), RefusalCode::Usage, "{path:?}");
    }
}
