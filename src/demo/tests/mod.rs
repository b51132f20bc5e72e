//! The fleet as a cockpit meets it, over ssh; and the model, held to the helper's transcripts.

mod effects;
mod fleet;
mod timer;
mod transcripts;
mod window;
