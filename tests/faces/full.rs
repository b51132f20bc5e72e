//! The key with the journal's disk really full: a small file system in memory, which needs root. The real
//! program, on hosts that outlive it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use holdpoint::journal::{Recording, Take};

use crate::fleet::{Fleet, all, until};

/// A file system of 4 MiB, mounted in a folder.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"]).arg(&at).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            println!("left out: a file system can't be mounted here (that needs root)");
        }
        mounted.then_some(Self(at))
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let filled = fs::write(self.0.join("ballast"), vec![b'x'; 8 << 20]);
        assert!(filled.is_err(), "it should not fit");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).expect("removed");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn two_presses_roll_back_with_the_journals_disk_full() {
    let fleet = Fleet::rehearsed("180s");
    let Some(small) = Small::mount(fleet.path("small")) else { return };
    let r = fleet.path("small/r");
    let mut terminal = fleet.terminal(&["run", "window.toml", "--recording", "small/r"]);
    terminal.wait_for("waits for GO");
    terminal.press("c");
    terminal.wait_for("type GO, Enter:");
    terminal.press("GO\r");
    until("a batch that is watched", || {
        terminal.rest(Duration::from_millis(50));
        !all(&r, "batch", "verified").is_empty()
    });
    small.fill();
    let written = fs::read(r.join("journal.jsonl")).expect("a journal");
    terminal.press("\u{12}");
    terminal.wait_for("new work is already HELD");
    terminal.rest(Duration::from_millis(600));
    terminal.press("R");
    terminal.wait_for("BACK ok");
    // What it means for the recording stands above all else.
    terminal.wait_for("NOT RECORDED");
    assert_eq!(fleet.left("web2").open.len(), 0, "it is back on its host");
    let now = fs::read(r.join("journal.jsonl")).expect("a journal");
    assert!(now.len() < written.len() + 4_096, "the disk was full: {} then {}", written.len(), now.len());
    assert!(all(&r, "batch", "rolled-back").is_empty(), "nothing of it is written yet");
    // The disk is back, and so is the journal, with all of it.
    small.free();
    until("the journal", || {
        terminal.rest(Duration::from_millis(50));
        !all(&r, "batch", "rolled-back").is_empty()
    });
    terminal.press("\u{1b}");
    terminal.press(":quit\r");
    terminal.end();
    Recording::read(&r, Take::Whole).expect("sound");
}

#[test]
fn the_key_of_another_process_rolls_back_with_the_journals_disk_full() {
    let fleet = Fleet::rehearsed("180s");
    let Some(small) = Small::mount(fleet.path("small")) else { return };
    let r = fleet.path("small/r");
    let mut window = fleet.begin(&["run", "window.toml", "--headless", "--recording", "small/r"], "window");
    until("a batch that is watched", || !all(&r, "batch", "verified").is_empty());
    window.signal("-KILL");
    until("its end", || window.ended().is_some());
    small.fill();
    let mut back = fleet.begin(&["rollback", "small/r", "--yes"], "back");
    until("the host's own word", || fleet.left("web2").open.is_empty());
    until("its word", || back.said().contains("the journal can't be written"));
    assert!(back.ended().is_none(), "{}", back.said());
    assert!(all(&r, "batch", "rolled-back").is_empty(), "nothing of it is written yet");
    small.free();
    until("its end", || back.ended().is_some());
    assert_eq!(back.ended(), Some(Some(10)), "{}", back.said());
    assert_eq!(all(&r, "batch", "rolled-back").len(), 1);
    assert!(!back.said().contains("NOT RECORDED"), "{}", back.said());
    Recording::read(&r, Take::Whole).expect("sound");
}
