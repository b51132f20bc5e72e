//! Scenarios on real things of this machine that are thrown away afterwards.

mod figures;
mod helper;
mod host;
mod rules;
mod throwaway;
mod timer;
mod transcripts;
