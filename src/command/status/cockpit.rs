//! The cockpit in `holdpoint status`: whether one is alive in the recording, by its own word.

use serde_json::{Value, json};

use crate::command::socket::Found;
use crate::types::{Seq, Span};

/// In a line of words, beside a journal that ends with this event.
pub fn line(found: &Found, journalled: Seq) -> String {
    match found {
        Found::Alive(alive) => {
            let looked = Span::ms(alive.tick_age_ms).brief();
            let journal = match alive.journal_sound {
                true => String::new(),
                false => format!(
                    "; its journal can't be written, it is {} events ahead of it",
                    alive.seq.saturating_sub(journalled)
                ),
            };
            format!(
                "a cockpit is alive, {}, its loop turned {looked} ago{journal}; holdpoint rollback goes through it",
                alive.words()
            )
        }
        Found::Silent(why) => {
            format!(
                "a cockpit is there and does not answer ({why}); holdpoint rollback asks for a word to take over from it"
            )
        }
        Found::Nobody => {
            "no cockpit answers here; it was cut off, or runs on another copy (holdpoint resume, \
                          holdpoint rollback)"
                .to_owned()
        }
    }
}

/// For other programs; null where none answers.
pub fn json(found: &Found) -> Value {
    match found {
        Found::Alive(alive) => json!({
            "alive": true,
            "process": alive.process,
            "since": alive.since,
            "program": alive.program,
            "seq": alive.seq,
            "journal_sound": alive.journal_sound,
            "tick_age_ms": alive.tick_age_ms,
        }),
        Found::Silent(why) => json!({ "alive": false, "why": why }),
        Found::Nobody => Value::Null,
    }
}
