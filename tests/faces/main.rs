//! The faces that holdpoint shows to the world, tested against the real thing.

mod cli;
mod fleet;
mod full;
mod map;
mod postgres;
mod pty;
mod readme;
mod socket;
mod ssh;
mod terminal;
mod two;
