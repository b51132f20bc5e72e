//! The one key table: what each key does and where. The handler looks keys up here, `?` and the
//! hint line are made from it, and the configuration rebinds in it; nothing else names a key.

use super::input::{Key, KeyError};

/// Where a binding works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Everywhere, text fields included.
    Always,
    /// Everywhere but in text fields.
    Screen,
    /// In the panes, with no sheet open.
    Panes,
    /// In the gate sheet.
    Gate,
    /// In the rollback sheet.
    Rollback,
    /// In the sheet that asks whether to roll back.
    Ask,
    /// In a replay.
    Replay,
}

impl Context {
    /// The heading in the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Always => "everywhere, text fields too",
            Self::Screen => "everywhere but in text fields",
            Self::Panes => "in the panes",
            Self::Gate => "in the gate sheet",
            Self::Rollback => "in the rollback sheet",
            Self::Ask => "in the sheet that asks",
            Self::Replay => "in a replay",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is said in words in the table below")]
pub enum Act {
    Rollback,
    RollbackKey,
    HoldAnywhere,
    Hold,
    Continue,
    Scope,
    Keep,
    Answer,
    NextGate,
    PrevGate,
    Fold,
    Acknowledge,
    Mark,
    Down,
    Up,
    Left,
    Right,
    First,
    Last,
    PageDown,
    PageUp,
    NextPane,
    PrevPane,
    Hosts,
    Updates,
    Probes,
    Log,
    Markers,
    Zoom,
    Filter,
    NextMatch,
    PrevMatch,
    Palette,
    Help,
    Back,
    Copy,
    Export,
    Present,
    Follow,
    Theme,
    Redraw,
    Play,
    StepForward,
    StepBack,
    NextChapter,
    PrevChapter,
    Faster,
    Slower,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name by which the configuration rebinds it.
    pub name: &'static str,
    /// What it does.
    pub act: Act,
    /// Where it works.
    pub context: Context,
    /// The keys that do it, the one to show first.
    pub keys: Vec<Key>,
    /// What it does, for the help.
    pub help: &'static str,
    /// A word for the hint line, where it belongs there.
    pub hint: Option<&'static str>,
}

/// The table as it stands after rebinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    bindings: Vec<Binding>,
}

/// Why a key can't be rebound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebindError {
    /// No such name.
    #[error("{0:?} is not the name of a key; `?` in the cockpit lists them")]
    Unknown(String),
    /// The key can't be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Ctrl-R and Ctrl-C stay what they are.
    #[error("{0} can't be rebound: it has to be the same on every machine")]
    Fixed(&'static str),
    /// The key is left to the terminal, or is used already.
    #[error("{key} can't be used for {name}: {why}")]
    Taken {
        /// The key.
        key: Key,
        /// What it was to do.
        name: &'static str,
        /// Why not.
        why: String,
    },
}

/// Keys of flow control, tmux, screen and shells, that the cockpit leaves alone.
const LEFT_ALONE: [char; 7] = ['s', 'q', 'b', 'a', 'd', 'k', 'z'];

impl Default for Keys {
    fn default() -> Self {
        use Act as A;
        use Context as C;
        let ch = Key::Char;
        let line = |name, act, context, keys: &[Key], help, hint| Binding {
            name,
            act,
            context,
            keys: keys.to_vec(),
            help,
            hint,
        };
        let bindings = vec![
            line(
                "rollback",
                A::Rollback,
                C::Always,
                &[Key::Ctrl('r')],
                "hold, and open the rollback sheet",
                None,
            ),
            line("stop", A::HoldAnywhere, C::Always, &[Key::Ctrl('c')], "hold: nothing new starts", None),
            line(
                "rollback-key",
                A::RollbackKey,
                C::Screen,
                &[ch('R')],
                "hold, and open the rollback sheet; in it: roll back",
                None,
            ),
            line("hold", A::Hold, C::Screen, &[ch('H')], "hold the window; :resume releases", None),
            line("back", A::Back, C::Screen, &[Key::Esc, ch('q')], "back, nothing more", None),
            line("help", A::Help, C::Screen, &[ch('?')], "this list", Some("help")),
            line("command", A::Palette, C::Screen, &[ch(':')], "a command by name", Some("command")),
            line(
                "copy",
                A::Copy,
                C::Screen,
                &[ch('y')],
                "copy the row or sheet (OSC 52 and a file)",
                Some("copy"),
            ),
            line(
                "present",
                A::Present,
                C::Screen,
                &[ch('v')],
                "present: large clock, names masked",
                Some("present"),
            ),
            line(
                "export",
                A::Export,
                C::Screen,
                &[ch('x')],
                "save evidence, in the packets' pane packets, else the screen",
                Some("save"),
            ),
            line("theme", A::Theme, C::Screen, &[ch('t')], "the next theme", None),
            line("redraw", A::Redraw, C::Screen, &[Key::Ctrl('l')], "draw the screen anew", None),
            line(
                "scope",
                A::Scope,
                C::Rollback,
                &[ch('s')],
                "scope: unconfirmed > host > wave > all",
                Some("scope"),
            ),
            line("keep", A::Keep, C::Ask, &[ch('k')], "keep what is applied, with a reason", Some("keep")),
            line("answer", A::Answer, C::Gate, &[ch(' ')], "answer the item", Some("answer")),
            line("next-item", A::Down, C::Gate, &[ch('j'), Key::Down], "the next item", None),
            line("previous-item", A::Up, C::Gate, &[ch('k'), Key::Up], "the item before", None),
            line(
                "next-gate",
                A::NextGate,
                C::Gate,
                &[Key::Tab, ch('l'), Key::Right],
                "the next gate",
                Some("next gate"),
            ),
            line(
                "previous-gate",
                A::PrevGate,
                C::Gate,
                &[Key::BackTab, ch('h'), Key::Left],
                "the gate before",
                None,
            ),
            line("play", A::Play, C::Replay, &[ch(' ')], "play, or stand still", Some("play")),
            line("step", A::StepForward, C::Replay, &[ch('.')], "one event on", Some("event")),
            line("step-back", A::StepBack, C::Replay, &[ch(',')], "one event back", None),
            line("next-chapter", A::NextChapter, C::Replay, &[ch(']')], "the next chapter", Some("chapter")),
            line("previous-chapter", A::PrevChapter, C::Replay, &[ch('[')], "the chapter before", None),
            line("faster", A::Faster, C::Replay, &[ch('>')], "twice as fast", Some("faster")),
            line("slower", A::Slower, C::Replay, &[ch('<')], "half as fast", None),
            line("next-pane", A::NextPane, C::Panes, &[Key::Tab], "the next pane", Some("pane")),
            line("previous-pane", A::PrevPane, C::Panes, &[Key::BackTab], "the pane before", None),
            line(
                "continue",
                A::Continue,
                C::Panes,
                &[ch('c')],
                "open the next batch's sheet",
                Some("next batch"),
            ),
            line(
                "fold",
                A::Fold,
                C::Panes,
                &[ch(' '), Key::Enter],
                "in the updates: fold SAME away; in the probes: packets",
                Some("fold"),
            ),
            line(
                "acknowledge",
                A::Acknowledge,
                C::Panes,
                &[ch('a')],
                "acknowledge the banner; clears nothing",
                Some("ack"),
            ),
            line("mark", A::Mark, C::Panes, &[ch('m')], "set a marker with a note", Some("marker")),
            line("filter", A::Filter, C::Panes, &[ch('/')], "filter the pane", Some("filter")),
            line("next-match", A::NextMatch, C::Panes, &[ch('n')], "the next match", None),
            line("previous-match", A::PrevMatch, C::Panes, &[ch('N')], "the match before", None),
            line(
                "follow",
                A::Follow,
                C::Panes,
                &[ch('f')],
                "in the log and the packets: follow",
                Some("follow"),
            ),
            line("zoom", A::Zoom, C::Panes, &[ch('z')], "the pane alone, and back", Some("zoom")),
            line("hosts", A::Hosts, C::Panes, &[ch('1')], "the hosts", None),
            line("updates", A::Updates, C::Panes, &[ch('2')], "the updates", None),
            line("probes", A::Probes, C::Panes, &[ch('3')], "the probes", None),
            line("log", A::Log, C::Panes, &[ch('4')], "the log", None),
            line("markers", A::Markers, C::Panes, &[ch('5')], "the markers", None),
            line("down", A::Down, C::Panes, &[ch('j'), Key::Down], "down", None),
            line("up", A::Up, C::Panes, &[ch('k'), Key::Up], "up", None),
            line("left", A::Left, C::Panes, &[ch('h'), Key::Left], "the pane to the left", None),
            line("right", A::Right, C::Panes, &[ch('l'), Key::Right], "the pane to the right", None),
            line("first", A::First, C::Panes, &[ch('g'), Key::Home], "the first row", None),
            line("last", A::Last, C::Panes, &[ch('G'), Key::End], "the last row", None),
            line("page-down", A::PageDown, C::Panes, &[Key::PageDown], "a page down", None),
            line("page-up", A::PageUp, C::Panes, &[Key::PageUp], "a page up", None),
        ];
        Self { bindings }
    }
}

impl Keys {
    /// What a key does in the first of these contexts that knows it.
    pub fn find(&self, key: Key, contexts: &[Context]) -> Option<Act> {
        contexts.iter().find_map(|context| {
            let mut of = self.bindings.iter().filter(|binding| binding.context == *context);
            of.find(|binding| binding.keys.contains(&key)).map(|binding| binding.act)
        })
    }

    /// The whole table, in the order of the help.
    pub fn all(&self) -> &[Binding] {
        &self.bindings
    }

    /// The key to show for an act.
    pub fn shown(&self, act: Act) -> String {
        let binding = self.bindings.iter().find(|binding| binding.act == act);
        binding.and_then(|binding| binding.keys.first()).map_or_else(String::new, ToString::to_string)
    }

    /// Gives what is called `name` another key, from the configuration.
    pub fn rebind(&mut self, name: &str, key: &str) -> Result<(), RebindError> {
        let key: Key = key.parse()?;
        let Some(at) = self.bindings.iter().position(|binding| binding.name == name) else {
            return Err(RebindError::Unknown(name.chars().take(40).collect()));
        };
        let (name, context, act) = (self.bindings[at].name, self.bindings[at].context, self.bindings[at].act);
        if matches!(act, Act::Rollback | Act::HoldAnywhere) {
            return Err(RebindError::Fixed(name));
        }
        let refuse = |why: String| Err(RebindError::Taken { key, name, why });
        match key {
            Key::Ctrl('r' | 'c') => return refuse("it works everywhere and stays what it is".to_owned()),
            Key::Ctrl(c) if LEFT_ALONE.contains(&c) => {
                return refuse("terminals, multiplexers and shells use it".to_owned());
            }
            Key::Char(c) if c.is_lowercase() && act == Act::RollbackKey => {
                return refuse("no lower-case key changes a host".to_owned());
            }
            _ => {}
        }
        let meets = |other: Context| {
            let both = |a, b| (context, other) == (a, b) || (context, other) == (b, a);
            context == other
                || matches!(context, Context::Always | Context::Screen)
                || matches!(other, Context::Always | Context::Screen)
                || both(Context::Panes, Context::Replay) && key != Key::Char(' ')
        };
        let taken = self.bindings.iter().enumerate();
        let mut taken = taken.filter(|(index, other)| *index != at && meets(other.context));
        if let Some((_, other)) = taken.find(|(_, other)| other.keys.contains(&key)) {
            return refuse(format!("it is {} already", other.name));
        }
        self.bindings[at].keys = vec![key];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let keys = Keys::default();
        for (at, one) in keys.all().iter().enumerate() {
            for other in keys.all().iter().skip(at + 1) {
                let shared = one.keys.iter().find(|key| other.keys.contains(key));
                let overlap = one.context == other.context
                    || matches!(one.context, Context::Always)
                    || matches!(other.context, Context::Always);
                assert!(shared.is_none() || !overlap, "{} and {}: {shared:?}", one.name, other.name);
            }
        }
    }

    #[test]
    fn what_is_left_to_others_is_not_bound() {
        for binding in Keys::default().all() {
            for key in &binding.keys {
                assert!(!matches!(key, Key::Ctrl(c) if LEFT_ALONE.contains(c)), "{}", binding.name);
                assert_ne!(*key, Key::Other);
            }
        }
    }

    #[test]
    fn the_configuration_rebinds_all_but_the_two() {
        let mut keys = Keys::default();
        assert_eq!(keys.rebind("zoom", "Z"), Ok(()));
        assert_eq!(keys.find(Key::Char('Z'), &[Context::Panes]), Some(Act::Zoom));
        assert_eq!(keys.find(Key::Char('z'), &[Context::Panes]), None);
        assert_eq!(keys.rebind("rollback", "X"), Err(RebindError::Fixed("rollback")));
        assert_eq!(keys.rebind("stop", "X"), Err(RebindError::Fixed("stop")));
        for (name, key) in
            [("zoom", "Ctrl-R"), ("zoom", "Ctrl-S"), ("zoom", "H"), ("rollback-key", "r"), ("zoom", "j")]
        {
            assert!(matches!(keys.rebind(name, key), Err(RebindError::Taken { .. })), "{name} {key}");
        }
        assert!(matches!(keys.rebind("fly", "F"), Err(RebindError::Unknown(_))));
        assert!(matches!(keys.rebind("zoom", "F1"), Err(RebindError::Key(_))));
    }
}
