//! The timer's functions by themselves: the text that is installed, without its last lines, in a shell
//! that says what boot, uptime and wall clock there are. No root and no throwaway host.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use holdpoint::helper;

use crate::figures;

/// Runs a script after the helper's functions, with its state in that folder.
fn with_functions(state: &Path, script: &str) -> String {
    let functions = helper::TEXT.strip_suffix("hp_main \"$@\"\nexit\n").expect("its last lines");
    let mut shell = Command::new("sh")
        .args(["-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh");
    let text = format!("{functions}\nHP_STATE='{}'\n{script}\n", state.display());
    shell.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = shell.wait_with_output().expect("ended");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{script}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a reading takes for a package manager at work: not one that simulates, nor what a stage of ours
/// downloads with, or `check` beside a window, and a window that reads while it stores, would hold themselves.
#[test]
fn a_simulation_and_a_stage_are_no_package_manager_at_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let shell = fs::canonicalize("/bin/sh").expect("a shell");
    // By its file a process has its name: this shell is apt-get to whoever looks.
    let apt = folder.path().join("apt-get");
    fs::copy(shell, &apt).expect("copied");
    let apt = apt.display();
    let ours = folder.path().join("holdpoint-helper");
    fs::write(&ours, format!("echo $$ >\"$5\"\n{apt} -c 'read -r line; :' \"$6\"\n:\n")).expect("written");
    let ours = ours.display();
    let script = format!(
        "cd '{}' || exit 1
        mkfifo hold
        exec 3<>hold
        {apt} -c 'read -r line; :' <hold & plain=$!
        {apt} -s <hold & simulates=$!
        sh {ours} N 0 run b1-stage-17.0 stage.pid mark-stage <hold 2>/dev/null & :
        sh {ours} N 0 run b1-apply-17.0 apply.pid mark-apply <hold 2>/dev/null & :
        until [ -s stage.pid ] && [ -s apply.pid ] && grep -qs mark-apply /proc/[0-9]*/cmdline &&
            grep -qs mark-stage /proc/[0-9]*/cmdline; do sleep 0.05; done
        pid_of() {{ grep -las \"$1\" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
            [ \"$(cat /proc/$pid/comm 2>&1)\" = apt-get ] && echo $pid; done; }}
        hp_facts_print_locks >seen
        for one in plain:$plain simulates:$simulates stage:$(pid_of mark-stage) apply:$(pid_of mark-apply); do
            if grep -q \"^${{one#*:}}\tr\" seen; then echo ${{one%%:*}}; else echo not ${{one%%:*}}; fi
        done
        exec 2>/dev/null
        kill $plain $simulates $(pid_of mark-stage) $(pid_of mark-apply)
        wait",
        folder.path().display()
    );
    assert_eq!(with_functions(folder.path(), &script), "plain\nnot simulates\nnot stage\napply\n");
}

/// The host as a script sees it: boot, uptime in seconds, wall clock.
fn at(boot: &str, uptime: u64, now: u64) -> String {
    format!(
        "hp_boot_word() {{ echo {boot}; }}; hp_since_boot_ms() {{ echo {uptime}000; }}; hp_now() {{ echo {now}; }}\n"
    )
}

/// A timer that was armed in boot `a` at 1000 s of uptime and 1 000 000 of wall clock, for 600 s; a declared
/// boot gets 300 s, another one at most 120 s; no deadline beyond 7200 s.
fn armed() -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a folder");
    let timer = state.path().join("batches/b1/timer");
    fs::create_dir_all(&timer).expect("made");
    let terms = "token t\nplan p\nepoch 5\nboot a\ndeadline-ms 1600000\nwall 1000600\nafter-boot 300\ngrace 120\n\
                 cap 7200\ncap-ms 8200000\ncap-wall 1007200\n";
    fs::write(timer.join("terms"), terms).expect("written");
    fs::write(timer.join("armed"), "").expect("written");
    state
}

const LEFT: &str = "hp_timer_left \"$HP_STATE/batches/b1/timer\"; echo \"$HP_RULE $((HP_LEFT / 1000))\"";

#[test]
fn when_a_timer_is_due_follows_from_its_files_the_boot_and_the_clocks() {
    let state = armed();
    let timer = state.path().join("batches/b1/timer");
    for (declared, boot, uptime, now, says) in [
        ("", "a", 1_000, 1_000_000, "same 600"),
        ("", "a", 1_599, 1_000_599, "same 1"),
        ("", "a", 1_600, 1_000_600, "same 0"),
        // Nobody arms or disarms it by setting the clock.
        ("", "a", 1_100, 1, "same 500"),
        ("", "a", 1_100, 9_000_000, "same 500"),
        // Another boot that nobody declared: the wall deadline or 120 s, whichever is earlier.
        ("", "b", 10, 1_000_100, "undeclared 110"),
        ("", "b", 10, 1_000_560, "undeclared 40"),
        ("", "b", 10, 1_000_700, "undeclared 0"),
        ("", "b", 10, 1, "undeclared 110"),
        ("", "b", 130, 1, "undeclared 0"),
        ("", "b", 10, 9_000_000, "undeclared 0"),
        // One that was: from the boot, whatever the clock says.
        ("a\n", "a", 1_100, 1_000_100, "same 500"),
        ("a\n", "b", 10, 1_000_100, "declared 290"),
        ("a\n", "b", 10, 9_000_000, "declared 290"),
        ("a\n", "b", 300, 1, "declared 0"),
        ("a b\n", "b", 100, 1_000_100, "declared 200"),
        // The one after that is not the one that was declared.
        ("a b\n", "c", 10, 1_000_100, "undeclared 110"),
        ("z\n", "b", 10, 1_000_100, "undeclared 110"),
    ] {
        if declared.is_empty() {
            let _ = fs::remove_file(timer.join("declared"));
        } else {
            fs::write(timer.join("declared"), declared).expect("written");
        }
        let said = with_functions(state.path(), &format!("{}{LEFT}", at(boot, uptime, now)));
        assert_eq!(said.trim(), says, "declared {declared:?}, boot {boot} at {uptime} s, {now}");
    }
    // Terms that can't be read are no time that is left.
    fs::write(timer.join("terms"), "token t\ndeadline-ms soon\n").expect("written");
    assert_eq!(
        with_functions(state.path(), &format!("{}{LEFT}", at("a", 1_000, 1_000_000))).trim(),
        "same 0"
    );
}

#[test]
fn terms_go_over_into_the_next_boot_and_a_second_reboot_is_declared_by_itself() {
    let state = armed();
    let run = |boot, uptime, now, script: &str| {
        with_functions(state.path(), &format!("{}{script}", at(boot, uptime, now))).trim().to_owned()
    };
    let extend = |by| format!("hp_timer_change \"$HP_STATE/batches/b1/timer\" {by}; {LEFT}");
    assert_eq!(run("a", 1_100, 1_000_100, &extend(60)), "same 560");
    run("a", 1_100, 1_000_100, "hp_timers_declare");
    assert_eq!(run("b", 100, 1_000_250, LEFT), "declared 200");
    // The first sight of it by the watcher keeps the next one from being taken for it.
    let seen = format!(
        "hp_say() {{ :; }}; hp_watch_said=; {LEFT}; hp_watch_booted \"$HP_STATE/batches/b1/timer\" b1"
    );
    assert_eq!(run("b", 100, 1_000_250, &seen), "declared 200");
    assert_eq!(run("c", 10, 1_000_300, LEFT), "undeclared 110");
    assert_eq!(run("b", 100, 1_000_250, &extend(60)), "same 260");
    // Now the terms are of this boot, and its own end is declared.
    assert_eq!(run("c", 10, 1_000_300, LEFT), "undeclared 110");
    run("b", 150, 1_000_300, "hp_timers_declare");
    assert_eq!(run("c", 10, 1_000_350, LEFT), "declared 290");
    // The cap goes along by the wall clock, which is all that two boots share.
    assert_eq!(run("c", 10, 1_000_350, &extend(100_000)), "same 6850");
}

#[test]
fn a_reboot_that_was_announced_and_did_not_happen_is_taken_back() {
    let state = armed();
    let declared = state.path().join("batches/b1/timer/declared");
    let look = |uptime| {
        let script = format!(
            "{}hp_say() {{ :; }}; hp_watch_writable() {{ :; }}; hp_watch_wait=1000; hp_watch_stuck_since=; hp_watch_said=
             hp_watch_one \"$HP_STATE/batches/b1/timer\" b1",
            at("a", uptime, 1_000_100)
        );
        with_functions(state.path(), &script);
    };
    with_functions(state.path(), &format!("{}hp_timers_declare", at("a", 1_100, 1_000_100)));
    look(1_399);
    assert_eq!(fs::read_to_string(&declared).expect("it may still come"), "a\nat 1100000\n");
    look(1_400);
    assert!(!declared.exists(), "no reboot has begun after five minutes");
    // What comes later is one that nobody declared.
    let said = with_functions(state.path(), &format!("{}{LEFT}", at("b", 10, 1_000_500)));
    assert_eq!(said.trim(), "undeclared 100");
}

#[test]
fn a_timer_is_taken_out_of_hands_that_hang_after_a_time_of_its_own() {
    let state = armed();
    fs::create_dir_all(state.path().join("batches/b2/timer")).expect("made");
    let script = "
        d=$HP_STATE/batches
        mv $d/b1/timer/armed $d/b1/timer/armed.new; : >$d/b2/timer/armed.new
        hp_watch_stuck_since=
        exec 9>>\"$HP_STATE/lock\"; flock 9
        now=10000; hp_uptime_ms() { echo $now; }
        look() { hp_watch_stuck $d/$1/timer $1 && echo $1 taken || echo $1 left; }
        look b1; now=13000; look b1; look b2; now=15000; look b1; look b2
        : >$d/b1/timer/armed.new; rm $d/b1/timer/armed; look b1; now=18000; look b1; look b2";
    let said = with_functions(state.path(), script);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["b1 left", "b1 left", "b2 left", "b1 taken", "b2 left", "b1 left", "b1 left", "b2 taken"]
    );
}

#[test]
fn a_full_disk_keeps_small_notes_and_leaves_what_batches_keep() {
    let state = armed();
    let reserve = state.path().join("batches/b1/reserve");
    fs::write(&reserve, "kept").expect("written");
    // A disk that takes nothing as long as something is put aside on it.
    let full = "
        hp_write() { if [ -e \"$HP_STATE/spare\" ] || [ -e \"$HP_STATE/batches/b1/reserve\" ]; then cat >/dev/null; return 1; fi; cat >\"$1\"; }
        hp_refuse() { echo refused $1; exit 0; }
        sync() { :; }\n";
    let admit = |epoch, batch| format!("{full}HP_EPOCH={epoch}; hp_admit_epoch {batch}; echo admitted");
    let spare = with_functions(state.path(), "hp_spare; wc -c <\"$HP_STATE/spare\"");
    assert_eq!(spare.trim(), "65536");
    // Not for a take-over, whoever is to be rolled back next.
    assert_eq!(with_functions(state.path(), &admit(6, "")).trim(), "refused no-space");
    assert!(reserve.exists() && !state.path().join("spare").exists(), "the small one goes first");
    // For the batch that is rolled back now.
    assert_eq!(with_functions(state.path(), &admit(6, "b1")).trim(), "admitted");
    assert!(!reserve.exists());
    assert_eq!(fs::read_to_string(state.path().join("epoch")).expect("stored"), "6\n");
}

/// The watcher, a confirm and an extension go for the same timer at the same moment, by the functions that
/// do it on a host. All rounds that this was specified with (minutes):
///     HOLDPOINT_RACES=100000 cargo test --test scenarios -- confirm_and_expiry --nocapture
#[test]
fn confirm_and_expiry_have_exactly_one_winner() {
    let specified = 100_000;
    // Without the variable a sample: on a busy machine what fits into 15 s.
    let (rounds, seconds) = match std::env::var("HOLDPOINT_RACES") {
        Ok(number) => (number.parse().expect("HOLDPOINT_RACES is a number"), u32::MAX),
        Err(_) => (300_u32, 15),
    };
    let state = armed();
    let script = format!(
        "{}
        sync() {{ :; }}
        t=$HP_STATE/batches/b1/timer
        cd $t || exit 1
        terms=$(cat terms)
        over() {{ [ -f confirmed ] || [ -f firing ] || [ -f extended ]; }}
        confirm() {{ flock 9; hp_timer_take $t confirmed && : >won.confirmed; }}
        # A second watcher comes in where the first one ends, and no earlier: hp_watch takes that lock.
        expire() {{ flock 7; until [ -f armed ] && hp_timer_expire $t; do ! over || return; done; : >won.firing; }}
        extend() {{ flock 9; hp_change_failed=0; hp_timer_change $t 1 && : >extended; }}
        i=0
        read -r began _ </proc/uptime
        while [ $i -lt {rounds} ]; do
            i=$((i + 1))
            read -r now _ </proc/uptime
            [ $((${{now%.*}} - ${{began%.*}})) -lt {seconds} ] || break
            rm -f confirmed firing extended won.*
            echo \"$terms\" >terms
            : >armed
            case $((i % 6)) in
                0) confirm 9>>lock & expire 7>>watch.lock & ;;
                1) expire 7>>watch.lock & confirm 9>>lock & ;;
                2) extend 9>>lock & expire 7>>watch.lock & ;;
                3) expire 7>>watch.lock & extend 9>>lock & ;;
                4) extend 9>>lock & confirm 9>>lock & expire 7>>watch.lock & ;;
                5) expire 7>>watch.lock & expire 7>>watch.lock & confirm 9>>lock & extend 9>>lock & ;;
            esac
            wait
            said=
            for name in won.confirmed won.firing extended armed armed.due armed.new confirmed firing; do
                [ ! -f $name ] || said=\"$said $name\"
            done
            echo $said
        done",
        at("a", 1_600, 1_000_600)
    );
    let said = with_functions(state.path(), &script);
    let mut counted = std::collections::BTreeMap::new();
    for line in said.lines() {
        *counted.entry(line).or_insert(0_u32) += 1;
    }
    for line in counted.keys() {
        // One file, and at most one of the two; an extension that was granted is never overtaken by expiry.
        let sound = [
            "won.confirmed confirmed",
            "won.firing firing",
            "extended armed",
            "won.confirmed extended confirmed",
        ];
        assert!(sound.contains(line), "{counted:#?}");
    }
    let raced: u32 = counted.values().sum();
    assert!(raced == rounds || (seconds == 15 && raced >= 12), "{raced} of {rounds}");
    for winner in ["won.confirmed confirmed", "won.firing firing"] {
        assert!(counted.contains_key(winner), "no race: {counted:#?}");
    }
    println!("{raced} rounds: {counted:#?}");
    let won = |what: &str| -> u32 {
        counted.iter().filter(|(line, _)| line.starts_with(what)).map(|(_, count)| count).sum()
    };
    figures::report(
        "races of confirm, extension and expiry",
        &format!(
            "{raced} run of {specified}, one winner each: confirm {}, expiry {}, extension and still armed {}",
            won("won.confirmed"),
            won("won.firing"),
            won("extended")
        ),
    );
}

/// The base's old files are unpacked whole before any of them is put anywhere: what a full disk cut off is not.
#[test]
fn half_a_file_of_the_base_is_never_put_in_place() {
    let state = tempfile::tempdir().expect("a folder");
    let restore = |ends: &str| {
        let script = format!(
            "HP_FEET=$HP_STATE/tools; mkdir -p $HP_FEET $HP_STATE/bin
             printf '#!/bin/sh\\n' >$HP_STATE/bin/ldconfig; chmod 755 $HP_STATE/bin/ldconfig
             PATH=$HP_STATE/bin:$PATH
             echo $HP_STATE/libc6_1_amd64.deb >$HP_FEET/debs; echo dash >$HP_FEET/sh.link
             hp_say() {{ echo \"say $*\"; }}; hp_result() {{ :; }}; sync() {{ :; }}
             hp_feet() {{ :; }}; hp_feet_try() {{ :; }}; hp_feet_sound() {{ return 1; }}
             tar() {{ mkdir -p $HP_FEET/out/lib; printf half >$HP_FEET/out/lib/libc.so.6; return {ends}; }}
             hp_feet_put() {{ echo \"put $1\"; }}
             hp_feet_restore; ls $HP_FEET"
        );
        with_functions(state.path(), &script)
    };
    let whole = restore("0");
    assert!(whole.contains("put lib/libc.so.6\n"), "{whole}");
    let half = restore("2");
    assert!(!half.contains("put lib") && half.contains("could not be unpacked: libc6_1_amd64.deb"), "{half}");
    assert!(!half.lines().any(|line| line == "out"), "nothing of it is left over: {half}");
}

/// Copies of the base's tools count once they are proven and flushed; a stage that was killed on the way left
/// none that are used, and one that changed since is seen before an apply.
#[test]
fn half_a_copy_of_the_base_is_never_stood_on() {
    let state = tempfile::tempdir().expect("a folder");
    let script = "
        HP_BATCH=$HP_STATE/batches/b1; mkdir -p $HP_BATCH/tools/bin $HP_BATCH/tools/lib $HP_STATE/ops/o1
        echo 'batch b1' >$HP_STATE/ops/o1/intent
        printf whole >$HP_BATCH/tools/bin/tar; (cd $HP_BATCH/tools && sha256sum bin/tar >sums)
        hp_feet_quick() { return 1; }; hp_feet_on() { echo on; }; hp_feet_sound() { return 1; }; hp_wait_for_dpkg() { :; }
        hp_feet_restore() { echo restored; }; hp_feet_off() { :; }
        hp_feet_begin o1; hp_feet_stand; HP_FEET_ON=; echo unproven
        : >$HP_BATCH/tools/ok
        hp_feet_begin o1; hp_feet_stand; echo proven
        hp_feet_intact && echo intact
        printf who >$HP_BATCH/tools/bin/tar; hp_feet_intact || echo 'seen'
        rm $HP_BATCH/tools/bin/tar; hp_feet_intact 2>/dev/null || echo 'seen'";
    let said = with_functions(state.path(), script);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["unproven", "on", "on", "restored", "proven", "intact", "seen", "seen"]
    );
}

#[test]
fn volumes_that_wait_for_a_passphrase_are_told_from_those_that_do_not() {
    let state = tempfile::tempdir().expect("a folder");
    let table = "# a comment\n\nroot_crypt UUID=1 none luks,discard\nshort /dev/sdb1\ndash /dev/sdc1 - luks\n\
        keyed UUID=2 /etc/key luks\nswap /dev/sdd1 /dev/urandom swap\ntpm UUID=3 none luks,tpm2-device=auto\n\
        later UUID=4 none luks,noauto\nlazy UUID=5 none nofail\nscript UUID=6 none luks,keyscript=/lib/passdev\n\
        keyring UUID=7 none luks,keyscript=decrypt_keyctl,initramfs\n";
    fs::write(state.path().join("crypttab"), table).expect("written");
    let said = with_functions(state.path(), "hp_facts_passphrases <\"$HP_STATE/crypttab\"");
    let names = ["root_crypt", "short", "dash", "keyring"].map(|name| format!("passphrase {name}"));
    assert_eq!(said.lines().collect::<Vec<_>>(), names);
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("holdpoint-deadman.service");
    let text = with_functions(folder.path(), "HP_STATE=/var/lib/holdpoint; hp_unit_text");
    fs::write(&unit, &text).expect("written");
    for line in [
        "DefaultDependencies=no",
        "WantedBy=multi-user.target emergency.target rescue.target",
        "Restart=always",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}: {text}");
    }
    match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("holdpoint-deadman"), "{said}");
        }
        Err(error) => println!("skipped: systemd-analyze: {error}"),
    }
}
