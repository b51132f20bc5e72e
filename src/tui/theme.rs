//! Themes: how each meaning looks. A role is a meaning (`gate.held`), never a place on the screen;
//! it has a colour, modifiers, a glyph and a word, so that colour is never the only sign.

mod colour;
mod parse;

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

pub use colour::ColorDepth;
pub use parse::ThemeError;

/// The themes that are built in, by name.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("night", include_str!("../../themes/night.toml")),
    ("day", include_str!("../../themes/day.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("okabe-ito", include_str!("../../themes/okabe-ito.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

macro_rules! roles {
    ($($role:ident $name:literal, $parent:ident, $glyph:literal, $word:literal;)+) => {
        /// A meaning that can be seen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is documented by its name in a theme file")]
        pub enum Role { $($role,)+ }

        impl Role {
            /// Every role.
            pub const ALL: &[Self] = &[$(Self::$role,)+];

            /// Its name in a theme file.
            pub fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)+ }
            }

            /// The role whose colours it takes where a theme leaves it out; itself at the root.
            fn parent(self) -> Self {
                match self { $(Self::$role => Self::$parent,)+ }
            }

            fn signs(self) -> (&'static str, &'static str) {
                match self { $(Self::$role => ($glyph, $word),)+ }
            }
        }
    };
}

roles! {
    Plain "text.plain", Plain, "", "";
    Dim "text.dim", Plain, "", "";
    Strong "text.strong", Plain, "", "";
    KeyName "text.key", Strong, "", "";
    Cursor "text.cursor", Strong, ">", "";
    Field "text.field", Strong, "", "";
    Line "frame.line", Dim, "", "";
    Title "frame.title", Plain, "", "";
    Focus "frame.focus", Strong, "", "";
    Good "state.good", Plain, "+", "ok";
    Warn "state.warn", Strong, "~", "";
    Bad "state.bad", Strong, "!", "";
    Unknown "state.unknown", Warn, "?", "unknown";
    Busy "state.busy", Strong, "*", "";
    Clock "clock.now", Strong, "", "";
    Left "clock.left", Plain, "", "";
    Beat "clock.beat", Busy, "*", "LIVE";
    Frozen "clock.frozen", Bad, "!", "NOT LIVE";
    Replay "clock.replay", Warn, "=", "REPLAY";
    AbortOk "abort.ok", Strong, "", "ABORT-BY";
    AbortNear "abort.near", Warn, "", "ABORT-BY";
    AbortPast "abort.past", Bad, "", "PAST ABORT-BY";
    Held "window.held", Warn, "=", "HELD";
    Open "window.open", Good, "", "OPEN";
    Shut "window.closed", Dim, "", "";
    GateClear "gate.clear", Good, "+", "ok";
    GateHeld "gate.held", Bad, "!", "HOLD";
    GateUnknown "gate.unknown", Unknown, "?", "unknown";
    GateWaived "gate.waived", Warn, "~", "waived";
    Same "standing.same", Good, "", "SAME";
    OtherFrom "standing.other-from", Warn, "~", "OTHER-FROM";
    Newer "standing.newer", Bad, "!", "NEWER";
    Older "standing.older", Bad, "!", "OLDER";
    Untested "standing.untested", Bad, "!", "UNTESTED";
    Missing "standing.missing", Warn, "-", "MISSING";
    Kept "standing.kept", Dim, ".", "KEPT";
    Security "update.security", Strong, "S", "security";
    PutOff "update.left", Dim, ".", "LEFT";
    ProbeOk "probe.ok", Good, "+", "ok";
    ProbeShaky "probe.shaky", Warn, "~", "shaky";
    ProbeFail "probe.fail", Bad, "!", "FAIL";
    ProbeUnknown "probe.unknown", Unknown, "?", "unknown";
    HostBase "host.base", Plain, " ", "BASE";
    HostWait "host.wait", Plain, " ", "WAIT";
    HostRun "host.run", Busy, "*", "";
    HostDone "host.done", Good, "+", "DONE";
    HostBad "host.failed", Bad, "!", "";
    HostLost "host.lost", Bad, "!", "LOST";
    HostUnknown "host.unknown", Unknown, "?", "UNREAD";
    Alarm "banner.alarm", Bad, "!", "ALARM";
    Caution "banner.caution", Warn, "!", "CAUTION";
    Note "banner.note", Plain, "=", "";
    Success "banner.good", Good, "+", "";
    Ready "rollback.ready", Good, "", "READY";
    NotReady "rollback.not-ready", Bad, "!", "NOT READY";
    Running "rollback.running", Busy, "*", "RUNNING";
    Nothing "rollback.nothing", Dim, "", "NOTHING APPLIED";
    SheetLine "sheet.line", Strong, "", "";
    SheetTitle "sheet.title", Strong, "", "";
    SheetLabel "sheet.label", Strong, "", "";
    RollbackLine "sheet.rollback", Bad, "", "";
    LogTime "log.time", Dim, "", "";
    LogHost "log.host", Plain, "", "";
    LogOwn "log.own", Strong, "", "";
    Marker "marker.flag", Strong, "", "";
    BarPast "bar.past", Dim, "#", "";
    BarLeft "bar.left", Dim, ".", "";
    BarMark "bar.mark", Strong, "|", "";
}

/// How one role looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paint {
    /// Colours and modifiers.
    pub style: Style,
    /// Its glyph; may be empty.
    pub glyph: String,
    /// Its word; may be empty.
    pub word: String,
}

/// How every role looks, for one depth of colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    paints: BTreeMap<Role, Paint>,
}

impl Theme {
    /// A built-in theme; `night` where there is none of that name.
    pub fn built_in(name: &str, depth: ColorDepth) -> Self {
        let (name, text) = BUILT_IN.iter().find(|(own, _)| *own == name).copied().unwrap_or(BUILT_IN[0]);
        // Built-in themes are read by a test; were one broken all the same, the cockpit would be
        // plain, not gone.
        Self::parse(name, &format!("themes/{name}.toml"), text, depth).unwrap_or_else(|_| Self::plain())
    }

    /// Reads a theme file's text. An unknown role, colour or modifier is an error that names
    /// `file:line`; a role that is left out falls back to its kin.
    pub fn parse(name: &str, file: &str, text: &str, depth: ColorDepth) -> Result<Self, ThemeError> {
        let given = parse::parse(file, text)?;
        let mut theme = Self::plain();
        theme.name = name.to_owned();
        for role in Role::ALL {
            theme.paints.insert(*role, resolve(*role, &given, depth));
        }
        Ok(theme)
    }

    fn plain() -> Self {
        let given = BTreeMap::new();
        let paints = Role::ALL.iter().map(|role| (*role, resolve(*role, &given, ColorDepth::None)));
        Self { name: "plain".to_owned(), paints: paints.collect() }
    }

    /// Colours and modifiers of a role.
    pub fn style(&self, role: Role) -> Style {
        self.paints.get(&role).map_or_else(Style::default, |paint| paint.style)
    }

    /// The glyph of a role.
    pub fn glyph(&self, role: Role) -> &str {
        self.paints.get(&role).map_or("", |paint| &paint.glyph)
    }

    /// The word of a role.
    pub fn word(&self, role: Role) -> &str {
        self.paints.get(&role).map_or("", |paint| &paint.word)
    }
}

/// What a theme file says of one role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Given {
    fg: Option<Color>,
    bg: Option<Color>,
    modifiers: Option<Modifier>,
    glyph: Option<String>,
    word: Option<String>,
}

fn resolve(role: Role, given: &BTreeMap<Role, Given>, depth: ColorDepth) -> Paint {
    let (glyph, word) = role.signs();
    // Colours and modifiers come together from the nearest kin that has any; signs are the role's own.
    let mut from = role;
    while !given.contains_key(&from) && from.parent() != from {
        from = from.parent();
    }
    let plain = given.get(&Role::Plain);
    let look = given.get(&from);
    let fg = look.and_then(|look| look.fg).or_else(|| plain.and_then(|plain| plain.fg));
    let bg = look.and_then(|look| look.bg).or_else(|| plain.and_then(|plain| plain.bg));
    let own_bg = look.and_then(|look| look.bg).is_some() && from != Role::Plain;
    let modifiers = look.and_then(|look| look.modifiers).unwrap_or_default();
    let own = given.get(&role);
    let sign = |mine: Option<&String>, default: &str| mine.cloned().unwrap_or_else(|| default.to_owned());
    Paint {
        style: colour::style(fg, bg, own_bg, modifiers, depth),
        glyph: sign(own.and_then(|own| own.glyph.as_ref()), glyph),
        word: sign(own.and_then(|own| own.word.as_ref()), word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_themes_read_at_every_depth() {
        for (name, text) in BUILT_IN {
            for depth in [ColorDepth::True, ColorDepth::Indexed, ColorDepth::Sixteen, ColorDepth::None] {
                let theme = Theme::parse(name, name, text, depth).expect(name);
                for role in Role::ALL {
                    let style = theme.style(*role);
                    let allowed = |colour: Option<Color>| match (colour, depth) {
                        (None | Some(Color::Reset), _) | (Some(_), ColorDepth::True) => true,
                        (Some(Color::Rgb(..)), _) | (Some(_), ColorDepth::None) => false,
                        (Some(Color::Indexed(_)), depth) => depth == ColorDepth::Indexed,
                        (Some(_), _) => true,
                    };
                    assert!(allowed(style.fg) && allowed(style.bg), "{name} {role:?} {depth:?}: {style:?}");
                }
            }
        }
    }

    /// Text on a ground of its own colour is gone, whatever a theme says.
    #[test]
    fn no_built_in_theme_hides_text() {
        for (name, _) in BUILT_IN {
            for depth in [ColorDepth::True, ColorDepth::Indexed, ColorDepth::Sixteen] {
                let theme = Theme::built_in(name, depth);
                let ground = theme.style(Role::Plain).bg;
                for role in Role::ALL {
                    let style = theme.style(*role);
                    let same = style.fg.is_some() && style.fg == style.bg && style.fg != Some(Color::Reset);
                    assert!(!same, "{name} {role:?} {depth:?}: {style:?}");
                    let bare = style.bg == ground && style.fg == ground && ground != Some(Color::Reset);
                    assert!(!bare, "{name} {role:?} {depth:?}");
                }
            }
        }
    }

    #[test]
    fn no_state_is_told_by_colour_alone() {
        // Roles that stand for each other's opposite differ in glyph or word.
        for group in [
            &[Role::GateClear, Role::GateHeld, Role::GateUnknown, Role::GateWaived][..],
            &[Role::ProbeOk, Role::ProbeShaky, Role::ProbeFail, Role::ProbeUnknown],
            &[Role::Ready, Role::NotReady, Role::Running, Role::Nothing],
            &[Role::Beat, Role::Frozen, Role::Replay],
        ] {
            for (name, _) in BUILT_IN {
                let theme = Theme::built_in(name, ColorDepth::None);
                let signs: std::collections::BTreeSet<_> =
                    group.iter().map(|role| (theme.glyph(*role), theme.word(*role))).collect();
                assert_eq!(signs.len(), group.len(), "{name} {group:?}");
                assert!(
                    group.iter().all(|role| theme.word(*role).is_ascii() && theme.glyph(*role).is_ascii())
                );
            }
        }
    }

    #[test]
    fn what_a_theme_leaves_out_falls_back_to_its_kin() {
        let text =
            "[text]\nplain = { fg = \"white\" }\n[state]\nbad = { fg = \"red\", modifiers = [\"bold\"] }\n";
        let theme = Theme::parse("own", "own.toml", text, ColorDepth::Sixteen).expect("reads");
        assert_eq!(theme.style(Role::GateHeld).fg, Some(Color::Red));
        assert_eq!(theme.style(Role::Kept).fg, Some(Color::White));
        assert_eq!(theme.word(Role::GateHeld), "HOLD");
    }
}
