//! Scenarios on real things of this machine that are thrown away afterwards.

mod helper;
mod throwaway;
mod transcripts;
