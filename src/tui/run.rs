//! The cockpit on the operator's terminal: keys in, screens out, keys first. Whatever ends it, a
//! hold is sent before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::export;
use super::input::UiInput;
use super::keyboard::Keyboard;
use super::keys::Keys;
use super::replay::{Position, ReplayAction};
use super::terminal::{Frames, Guard, TerminalError, Writer, clipboard};
use super::theme::{BUILT_IN, ColorDepth, Theme};
use super::ui::{Action, Ui};
use super::view;
use crate::core::event::HoldScope;
use crate::core::{Intent, View};
use crate::types::{Time, Untrusted};

/// The heartbeat: an idle screen is drawn once a second.
const BEAT: Duration = Duration::from_secs(1);
/// What changes by itself is drawn at most this often; what follows a key is drawn at once.
const PAUSE: Duration = Duration::from_millis(50);
/// Keys that are taken before a screen is drawn, at most.
const TOGETHER: usize = 256;
/// How long the last commands may take to be handed over when the cockpit ends.
const HAND_OVER: Duration = Duration::from_secs(2);

/// How the cockpit is set up.
pub struct Options {
    /// The themes, the first one is shown; `t` goes round.
    pub themes: Vec<Theme>,
    /// The key table.
    pub keys: Keys,
    /// Whether it begins in present mode.
    pub present: bool,
    /// The one clock of the program.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// Where `y` and `x` write: the recording's folder. Without one they write nothing.
    pub folder: Option<PathBuf>,
}

impl Options {
    /// The built-in themes at that depth, the default keys, no folder.
    pub fn new(depth: ColorDepth, clock: Arc<dyn Fn() -> Time + Send + Sync>) -> Self {
        let themes = BUILT_IN.iter().map(|(name, _)| Theme::built_in(name, depth)).collect();
        Self { themes, keys: Keys::default(), present: false, clock, folder: None }
    }
}

/// Why the cockpit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// `:quit`, after a hold. What is on the hosts goes on.
    Quit,
    /// The terminal went away, after a hold.
    Closed,
    /// The process was told to end (SIGTERM), after a hold.
    Terminated,
    /// Nobody publishes views any more.
    Gone,
}

/// Where the views come from.
enum Views {
    Live(watch::Receiver<View>),
    Replay(watch::Receiver<(View, Position)>),
}

/// Where the actions go: a replay has no way to a host.
enum Actions {
    Live(mpsc::Sender<Intent>),
    Replay(mpsc::Sender<ReplayAction>),
}

/// Something on its way out.
enum Out {
    Intent(Intent),
    Replay(ReplayAction),
}

impl Views {
    fn newest(&mut self, ui: &mut Ui) -> View {
        match self {
            Self::Live(views) => views.borrow_and_update().clone(),
            Self::Replay(frames) => {
                let (view, position) = frames.borrow_and_update().clone();
                ui.set_replay(Some(position));
                view
            }
        }
    }

    async fn changed(&mut self) -> bool {
        match self {
            Self::Live(views) => views.changed().await.is_ok(),
            Self::Replay(frames) => frames.changed().await.is_ok(),
        }
    }
}

impl Actions {
    /// Hands the first of these over; cancelling loses nothing. What does not belong here goes
    /// nowhere: a replay has no way to a host.
    async fn hand_over(&self, outbox: &mut VecDeque<Out>) -> bool {
        match self {
            Self::Live(commands) => {
                let Ok(place) = commands.reserve().await else { return false };
                if let Some(Out::Intent(intent)) = outbox.pop_front() {
                    place.send(intent);
                }
            }
            Self::Replay(actions) => {
                let Ok(place) = actions.reserve().await else { return false };
                if let Some(Out::Replay(action)) = outbox.pop_front() {
                    place.send(action);
                }
            }
        }
        true
    }

    fn live(&self) -> bool {
        matches!(self, Self::Live(_))
    }
}

/// The cockpit of a live window, until it ends.
pub async fn run(
    views: watch::Receiver<View>,
    commands: mpsc::Sender<Intent>,
    options: Options,
) -> Result<Ended, TerminalError> {
    Cockpit::start(Views::Live(views), Actions::Live(commands), options)?.run().await
}

/// The cockpit of a replay, until it ends. It can send nothing but [`ReplayAction`]s.
pub async fn run_replay(
    frames: watch::Receiver<(View, Position)>,
    actions: mpsc::Sender<ReplayAction>,
    options: Options,
) -> Result<Ended, TerminalError> {
    Cockpit::start(Views::Replay(frames), Actions::Replay(actions), options)?.run().await
}

struct Cockpit {
    views: Views,
    actions: Actions,
    ui: Ui,
    view: View,
    themes: Vec<Theme>,
    theme: usize,
    clock: Arc<dyn Fn() -> Time + Send + Sync>,
    folder: Option<PathBuf>,
    outbox: VecDeque<Out>,
    /// Packets that are being written: what is said of it at the end.
    exporting: Option<JoinHandle<String>>,
    frames: Frames,
    size: (u16, u16),
    writer: Writer,
    // The last field is dropped last: the terminal is given back when nothing is drawn any more.
    _guard: Guard,
}

/// What woke the loop.
enum Woke {
    Input(Option<std::io::Result<crossterm::event::Event>>),
    Resized,
    Tick,
    HandedOver(bool),
    HungUp,
    Told,
    Changed(bool),
    Written(bool),
    Paused,
    Exported(String),
    Beat,
}

impl Cockpit {
    fn start(mut views: Views, actions: Actions, options: Options) -> Result<Self, TerminalError> {
        let mut ui = Ui::new(options.keys);
        ui.set_present(options.present);
        let view = views.newest(&mut ui);
        let guard = Guard::enter()?;
        // A terminal that does not know its size says 0.
        let size = match crossterm::terminal::size().map_err(TerminalError::Enter)? {
            (0, _) | (_, 0) => (80, 24),
            size => size,
        };
        let now = (options.clock)();
        ui.handle(UiInput::Resize(size.0, size.1), &view, now);
        let mut themes = options.themes;
        if themes.is_empty() {
            themes.push(Theme::built_in("night", ColorDepth::None));
        }
        let mut frames = Frames::new(size.0, size.1)?;
        frames.again()?;
        Ok(Self {
            views,
            actions,
            ui,
            view,
            themes,
            theme: 0,
            clock: options.clock,
            folder: options.folder,
            outbox: VecDeque::new(),
            exporting: None,
            frames,
            size,
            writer: Writer::start()?,
            _guard: guard,
        })
    }

    /// The moment that is shown: the replay's own in a replay.
    fn shown_now(&self) -> Time {
        self.ui.replay.as_ref().map_or_else(|| (self.clock)(), |position| position.at)
    }

    async fn run(mut self) -> Result<Ended, TerminalError> {
        let mut input = Keyboard::open().map_err(TerminalError::Enter)?;
        let mut resized = signal(SignalKind::window_change()).map_err(TerminalError::Enter)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(TerminalError::Enter)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(TerminalError::Enter)?;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
        let (mut changed, mut pressed) = (true, false);
        loop {
            if self.writer.idle() && (pressed || changed && pause.is_none()) {
                self.draw()?;
                (changed, pressed) = (false, false);
                // The views of an idle window come once a second too: those are enough.
                beat.reset();
                pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
            }
            let now = (self.clock)();
            let wake = self.ui.wake_at().map(|at| (at - now).to_std().unwrap_or_default());
            let woke = tokio::select! {
                biased;
                event = input.next() => Woke::Input(event),
                _ = resized.recv() => Woke::Resized,
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Woke::Tick,
                sent = self.actions.hand_over(&mut self.outbox), if !self.outbox.is_empty() => Woke::HandedOver(sent),
                _ = hangup.recv() => Woke::HungUp,
                _ = terminate.recv() => Woke::Told,
                written = self.writer.wait(), if !self.writer.idle() => Woke::Written(written),
                there = self.views.changed() => Woke::Changed(there),
                () = until(&mut pause), if pause.is_some() => Woke::Paused,
                said = exported(&mut self.exporting), if self.exporting.is_some() => Woke::Exported(said),
                _ = beat.tick() => Woke::Beat,
            };
            match woke {
                Woke::Input(Some(Ok(event))) => {
                    pressed = true;
                    if let Some(ended) = self.input(event).await? {
                        return Ok(self.end(ended).await);
                    }
                    // What came together is taken together: drawing in between would put time
                    // between keys that had none.
                    for _ in 0..TOGETHER {
                        let Some(event) = input.ready() else { break };
                        if let Some(ended) = self.input(event).await? {
                            return Ok(self.end(ended).await);
                        }
                    }
                }
                Woke::Resized => {
                    if let Ok((columns, rows)) = crossterm::terminal::size() {
                        pressed = true;
                        self.input(crossterm::event::Event::Resize(columns, rows)).await?;
                    }
                }
                // The terminal is gone: the silence that follows is safe.
                Woke::Input(Some(Err(_)) | None) | Woke::HungUp | Woke::Written(false) => {
                    return Ok(self.end(Ended::Closed).await);
                }
                Woke::Told => return Ok(self.end(Ended::Terminated).await),
                Woke::Tick => {
                    pressed = true;
                    let action = self.ui.handle(UiInput::Tick, &self.view, (self.clock)());
                    if let Some(ended) = self.act(action).await? {
                        return Ok(self.end(ended).await);
                    }
                }
                Woke::Changed(true) => {
                    self.view = self.views.newest(&mut self.ui);
                    changed = true;
                }
                Woke::Changed(false) | Woke::HandedOver(false) => return Ok(Ended::Gone),
                Woke::Paused => pause = None,
                Woke::Exported(said) => {
                    self.exporting = None;
                    self.ui.say((self.clock)(), said);
                    changed = true;
                }
                Woke::HandedOver(true) | Woke::Written(true) => {}
                Woke::Beat => changed = true,
            }
        }
    }

    async fn input(&mut self, event: crossterm::event::Event) -> Result<Option<Ended>, TerminalError> {
        let Some(input) = UiInput::from_crossterm(event) else { return Ok(None) };
        if let UiInput::Resize(columns, rows) = input {
            self.size = (columns.max(1), rows.max(1));
            self.frames.resize(self.size.0, self.size.1)?;
        }
        let action = self.ui.handle(input, &self.view, (self.clock)());
        self.act(action).await
    }

    async fn act(&mut self, action: Option<Action>) -> Result<Option<Ended>, TerminalError> {
        let now = (self.clock)();
        match action {
            None => {}
            Some(Action::Intent(intent)) => self.outbox.push_back(Out::Intent(intent)),
            Some(Action::Acknowledge(causes)) => {
                let intents = causes.into_iter().map(|cause| Intent::Acknowledge { cause });
                self.outbox.extend(intents.map(Out::Intent));
            }
            Some(Action::Replay(ReplayAction::Quit) | Action::Quit) => return Ok(Some(Ended::Quit)),
            Some(Action::Replay(action)) => self.outbox.push_back(Out::Replay(action)),
            Some(Action::Copy(text)) => self.copy(&text, now).await,
            Some(Action::Export) => self.export(now).await,
            Some(Action::ExportPackets(chosen)) => match (&self.folder, &self.exporting) {
                (_, Some(_)) => self.ui.say(now, "packets are being written already"),
                (None, None) => self.ui.say(now, "there is no recording's folder to write into"),
                (Some(folder), None) => {
                    let (folder, at) = (folder.clone(), self.shown_now());
                    let write = move || export::packets(&folder, &chosen, at);
                    self.exporting = Some(tokio::task::spawn_blocking(write));
                }
            },
            Some(Action::Theme(name)) => self.change_theme(name, now),
            Some(Action::Redraw) => self.frames.again()?,
        }
        Ok(None)
    }

    fn change_theme(&mut self, name: Option<String>, now: Time) {
        let next = match &name {
            None => Some((self.theme + 1) % self.themes.len()),
            Some(name) => self.themes.iter().position(|theme| theme.name == *name),
        };
        match next {
            Some(next) => {
                self.theme = next;
                self.ui.say(now, format!("theme {}", self.themes[next].name));
            }
            None => {
                let names: Vec<&str> = self.themes.iter().map(|theme| theme.name.as_str()).collect();
                self.ui.say(now, format!("there are the themes {}", names.join(", ")));
            }
        }
    }

    fn draw(&mut self) -> Result<(), TerminalError> {
        let now = self.shown_now();
        let theme = &self.themes[self.theme];
        let (ui, view, live) = (&self.ui, &self.view, self.actions.live());
        let bytes = self.frames.draw(|area, buf| {
            view::render(view, ui, now, theme, area, buf);
            if live && ui.wants_diagnostics() {
                view::diagnostics::draw(theme, view::body(ui, area), buf);
            }
        })?;
        self.writer.send(bytes);
        Ok(())
    }

    /// The text to the terminal's clipboard and to a file: no terminal says whether it took it.
    async fn copy(&mut self, text: &str, now: Time) {
        self.writer.send(clipboard(text));
        let count = text.chars().count();
        let said = match self.write("copied.txt", &format!("{text}\n")).await {
            None => format!("sent {count} characters to the terminal's clipboard"),
            Some(Ok(path)) => {
                format!("sent {count} characters to the terminal's clipboard, and to {}", named(&path))
            }
            Some(Err(why)) => format!("sent to the terminal's clipboard; not to a file: {why}"),
        };
        self.ui.say(now, said);
    }

    /// What is shown, as text.
    async fn export(&mut self, now: Time) {
        let mut buf = Buffer::empty(Rect::new(0, 0, self.size.0, self.size.1));
        let area = buf.area;
        view::render(&self.view, &self.ui, self.shown_now(), &self.themes[self.theme], area, &mut buf);
        let text = format!("{}\n{}\n", text_of(&buf), view::copied(&self.view, &self.ui, self.shown_now()));
        let name = format!("screen-{}.txt", self.shown_now().format("%Y%m%dT%H%M%SZ"));
        let said = match self.write(&name, &text).await {
            None => "there is no recording's folder to write into".to_owned(),
            Some(Ok(path)) => format!("written to {}", named(&path)),
            Some(Err(why)) => format!("not written: {why}"),
        };
        self.ui.say(now, said);
    }

    async fn write(&self, name: &str, text: &str) -> Option<std::io::Result<PathBuf>> {
        let folder = self.folder.as_ref()?;
        let path = folder.join(name);
        let write = async {
            let mut options = tokio::fs::OpenOptions::new();
            options.create(true).append(true).mode(0o600);
            let mut file = options.open(&path).await?;
            file.write_all(text.as_bytes()).await?;
            file.flush().await
        };
        Some(write.await.map(|()| path.clone()))
    }

    /// Holds, hands over what is on its way, and goes.
    async fn end(mut self, ended: Ended) -> Ended {
        if self.actions.live() {
            let why = match ended {
                Ended::Quit => "the cockpit was left",
                Ended::Closed => "the cockpit's terminal went away",
                Ended::Terminated | Ended::Gone => "the cockpit was told to end",
            };
            let hold = Intent::Hold { scope: HoldScope::Window, why: Untrusted::new(why) };
            self.outbox.push_back(Out::Intent(hold));
        } else {
            self.outbox.push_back(Out::Replay(ReplayAction::Quit));
        }
        let actions = &self.actions;
        let outbox = &mut self.outbox;
        let all = async { while !outbox.is_empty() && actions.hand_over(outbox).await {} };
        // A loop that takes no command for so long has other troubles; the journal will tell.
        let _ = tokio::time::timeout(HAND_OVER, all).await;
        ended
    }
}

async fn until(pause: &mut Option<std::pin::Pin<Box<tokio::time::Sleep>>>) {
    if let Some(sleep) = pause {
        sleep.await;
    }
}

/// What is said of packets that were written; never where none are.
async fn exported(exporting: &mut Option<JoinHandle<String>>) -> String {
    match exporting {
        Some(task) => task.await.unwrap_or_else(|error| format!("not written: {error}")),
        None => std::future::pending().await,
    }
}

fn named(path: &Path) -> String {
    Untrusted::from_bytes(path.as_os_str().as_encoded_bytes()).shown()
}

/// A screen as lines of text.
pub(super) fn text_of(buf: &Buffer) -> String {
    let mut lines = Vec::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in buf.area.left()..buf.area.right() {
            let symbol = buf[(x, y)].symbol();
            // The second cell of a wide character holds nothing of its own.
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1) - 1;
            } else {
                skip -= 1;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
