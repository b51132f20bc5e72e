//! Scenarios on real things of this machine that are thrown away afterwards.

mod after;
mod capture;
mod carry;
mod feet;
mod figures;
mod helper;
mod host;
mod kernel;
mod level;
mod logs;
mod probe;
mod rules;
mod snapshot;
mod stream;
mod throwaway;
mod timer;
mod transcripts;
