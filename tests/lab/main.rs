//! Whole windows on real hosts: the built program against the lab of Debian hosts beside this file.
//!
//! They change hosts, need root and take minutes, so they run only when asked for:
//! `HOLDPOINT_LAB=1 cargo test --test lab -- --test-threads 2 --nocapture`.
//! What is asserted is read from the hosts themselves, not from what the program says of them.

mod checks;
mod faults;
#[path = "../scenarios/figures.rs"]
mod figures;
mod fleet;
mod journal;
mod kills;
mod program;
mod reach;
mod terminal;
mod timer;
mod windows;
