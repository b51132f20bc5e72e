//! What the keys of the panes and of every screen do.

use super::panes::{self, Pane};
use super::text::{Field, Waive};
use super::{Action, Of, Press, Sheet, Ui, gate, rollback};
use crate::core::event::HoldScope;
use crate::core::{Intent, View, alarm, schedule};
use crate::tui::keys::Act;
use crate::tui::palette::{self, Line, Reach};
use crate::tui::replay::ReplayAction;
use crate::tui::view;
use crate::types::{HostName, Time, Untrusted};

impl Ui {
    /// An act in the panes.
    pub(super) fn act(&mut self, act: Act, view: &View, press: Press) -> Option<Action> {
        match act {
            Act::Down | Act::Up | Act::PageDown | Act::PageUp | Act::First | Act::Last => {
                panes::go(self, act, view, press);
            }
            Act::NextMatch => panes::go(self, Act::Down, view, press),
            Act::PrevMatch => panes::go(self, Act::Up, view, press),
            Act::NextPane | Act::Right => self.pane = self.pane.after(1),
            Act::PrevPane | Act::Left => self.pane = self.pane.before(),
            Act::Hosts => self.pane = Pane::Hosts,
            Act::Updates => self.pane = Pane::Updates,
            Act::Probes => self.pane = Pane::Probes,
            Act::Log => self.pane = Pane::Log,
            Act::Markers => self.pane = Pane::Markers,
            Act::Zoom => self.zoom = !self.zoom,
            Act::Filter => {
                let text = self.filter(self.pane).unwrap_or("").to_owned();
                self.sheets.push(Sheet::Filter(self.pane, Field::new(text)));
            }
            Act::Fold => {
                if self.pane == Pane::Hosts {
                    self.pane = Pane::Updates;
                } else if self.pane == Pane::Updates {
                    self.unfolded = !self.unfolded;
                } else if self.pane == Pane::Probes {
                    self.show_packets(Of::Customer);
                }
            }
            Act::Follow if self.pane == Pane::Packets => {
                self.packets = match self.packets {
                    Some(_) => None,
                    None => Some((view.state.packets.pushed(), 0)),
                };
            }
            Act::Follow => {
                self.log.still = match self.log.still {
                    Some(_) => None,
                    None => Some((view.state.log.pushed(), 0)),
                };
            }
            Act::Continue if view.live => gate::open(self, view, press.now),
            Act::Continue | Act::Mark | Act::Acknowledge if !view.live => {
                self.say(press.now, "this is a replay: nothing can be done from a recording");
            }
            Act::Mark => self.sheets.push(Sheet::Mark(Field::default())),
            Act::Acknowledge => return self.acknowledge(view, press.now),
            Act::Export if self.pane == Pane::Packets => match view::packets_of(view, self, press.now) {
                Some(chosen) => {
                    self.say(press.now, format!("packets of {} are being written", chosen.of));
                    return Some(Action::ExportPackets(chosen));
                }
                None => self.say(press.now, "packets are kept by host: choose one"),
            },
            // A recording has no host to ask.
            Act::Export if view.live => {
                let host = self.host(view)?;
                return self.evidence(host.as_str(), view, press.now);
            }
            Act::Play => return Some(Action::Replay(ReplayAction::TogglePlay)),
            Act::StepForward => return Some(Action::Replay(ReplayAction::StepForward)),
            Act::StepBack => return Some(Action::Replay(ReplayAction::StepBack)),
            Act::NextChapter => return Some(Action::Replay(ReplayAction::NextMarker)),
            Act::PrevChapter => return Some(Action::Replay(ReplayAction::PrevMarker)),
            Act::Faster => return Some(Action::Replay(ReplayAction::Faster)),
            Act::Slower => return Some(Action::Replay(ReplayAction::Slower)),
            Act::Back => return self.leave_pane(view),
            other => return self.screen_act(other, view, press),
        }
        None
    }

    /// An act that works on every screen, sheets included.
    pub(super) fn screen_act(&mut self, act: Act, view: &View, press: Press) -> Option<Action> {
        match act {
            Act::RollbackKey => return rollback::open(self, view, press),
            Act::Hold => return self.hold(view, press.now, HoldScope::Window),
            Act::Back => self.back(),
            Act::Help => match self.sheets.last() {
                Some(Sheet::Help { .. }) => self.back(),
                _ => self.sheets.push(Sheet::Help { scroll: 0 }),
            },
            Act::Palette => self.sheets.push(Sheet::Palette(Field::default())),
            Act::Copy => {
                let text = view::copied(view, self, press.now);
                return Some(Action::Copy(text));
            }
            Act::Export => return Some(Action::Export),
            Act::Present => self.present = !self.present,
            Act::Theme => return Some(Action::Theme(None)),
            Act::Redraw => return Some(Action::Redraw),
            _ => {}
        }
        None
    }

    /// Back from a pane: the filter first, then the zoom, then the hosts, then the host that is worked
    /// on. In a replay there is
    /// nothing at stake behind the last step, so it ends the replay.
    fn leave_pane(&mut self, view: &View) -> Option<Action> {
        if self.filters.remove(&self.pane).is_some() {
            return None;
        }
        if self.zoom {
            self.zoom = false;
        } else if self.pane != Pane::Hosts {
            self.pane = Pane::Hosts;
        } else if self.cursors.remove(&Pane::Hosts).is_some() {
            // The cursor follows the work again.
        } else if !view.live {
            return Some(Action::Replay(ReplayAction::Quit));
        }
        None
    }

    /// A command of the palette.
    pub(super) fn command(&mut self, text: &str, view: &View, now: Time) -> Option<Action> {
        let line = match palette::parse(text, view.live) {
            Ok(line) => line,
            Err(why) => {
                self.say(now, why);
                return None;
            }
        };
        match line {
            Line::Quit if view.live => return Some(Action::Quit),
            Line::Quit => return Some(Action::Replay(ReplayAction::Quit)),
            Line::At(when) => return Some(Action::Replay(ReplayAction::At(when))),
            Line::Copy => return Some(Action::Copy(view::copied(view, self, now))),
            Line::Export => return Some(Action::Export),
            Line::Theme(name) => return Some(Action::Theme(name)),
            Line::Mark(note) => return Some(mark(&note)),
            Line::Keep(reason) => return self.keep(&reason, view, now),
            Line::Extend { host, by } => return self.extend(&host, by, view, now),
            Line::Confirm(host) => self.open_by_word(&host, view, now),
            Line::Evidence(host) => return self.evidence(&host, view, now),
            Line::Continue => gate::open(self, view, now),
            Line::Help => self.sheets.push(Sheet::Help { scroll: 0 }),
            Line::Present => self.present = !self.present,
            // From a customer's probes to their packets, from anywhere else to the host's.
            Line::Pane(Pane::Packets) if self.pane == Pane::Probes => self.show_packets(Of::Customer),
            Line::Pane(Pane::Packets) => self.show_packets(Of::Host),
            Line::Pane(pane) => self.pane = pane,
            Line::Packets(of) => self.show_packets(of),
            Line::Log { all } => {
                self.log.all = all;
                self.pane = Pane::Log;
            }
            Line::Filter(text) => {
                self.filters.insert(self.pane, text);
            }
            Line::Rollback => {
                let press = Press { key: crate::tui::Key::Enter, before: None, repeat: false, now };
                return rollback::open(self, view, press);
            }
            Line::Hold(reach) => {
                let scope = self.reach(reach, view, now)?;
                return self.hold(view, now, scope);
            }
            Line::Resume(reach) => return self.resume(reach, view, now),
            Line::Leave(package) => return self.leave(&package, view, now),
            Line::Refresh(host) => return self.refresh(host, view, now),
            Line::Restage => match schedule::next(&view.state) {
                Some(batch) => {
                    self.say(now, format!("asked for: {} is stored and hashed again", batch.label()));
                    return Some(Action::Intent(Intent::Restage { batch: batch.id.clone() }));
                }
                None => self.say(now, "no batch waits"),
            },
            Line::Waive(gate) => match Waive::of(&gate, view, now) {
                Ok(form) => self.sheets.push(Sheet::Waive(form)),
                Err(why) => self.say(now, why),
            },
        }
        None
    }

    /// An alarm is acknowledged for everybody, and in the record: it stays so as long as the alarm does, and
    /// the next one of its name is a new one. What is no alarm is acknowledged for this viewer.
    fn acknowledge(&mut self, view: &View, now: Time) -> Option<Action> {
        let Some(banner) = view::banner::of(view, now) else {
            self.say(now, "there is nothing to acknowledge");
            return None;
        };
        self.say(now, "acknowledged; it stays until its cause is gone");
        let causes = banner.more.map_or_else(Vec::new, |more| more.causes);
        if causes.is_empty() {
            self.acknowledged.insert(banner.key);
            return None;
        }
        Some(Action::Acknowledge(causes))
    }

    fn show_packets(&mut self, of: Of) {
        (self.pane, self.packets_of, self.packets) = (Pane::Packets, of, None);
    }

    /// What a hold's word means here: the host under the cursor, the batch that is next on it.
    fn reach(&mut self, reach: Reach, view: &View, now: Time) -> Option<HoldScope> {
        let host = self.host(view);
        let scope = match (reach, host) {
            (Reach::Window, _) => Some(HoldScope::Window),
            (Reach::Host, Some(host)) => Some(HoldScope::Host(host)),
            (Reach::Batch, Some(host)) => {
                let mut of_host = view.state.batches_of(&host);
                let next = of_host.find(|batch| schedule::waits(batch.phase));
                next.map(|batch| HoldScope::Batch(batch.id.clone()))
            }
            (Reach::Host | Reach::Batch, None) => None,
        };
        if scope.is_none() {
            self.say(now, "no host or waiting batch under the cursor");
        }
        scope
    }

    /// `:keep REASON`, or `:keep HOST REASON` where several hosts count down.
    fn keep(&mut self, words: &str, view: &View, now: Time) -> Option<Action> {
        let hosts = alarm::line::undecided(&view.state);
        let (first, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let named = hosts.iter().find(|host| host.as_str() == first);
        let (host, reason) = match (named, hosts.as_slice()) {
            (Some(host), _) => (*host, rest.trim()),
            (None, [host]) => (*host, words.trim()),
            (None, []) => {
                self.say(now, "no abort line is met: there is nothing to keep");
                return None;
            }
            (None, [..]) => {
                self.say(now, "a line is met on several hosts: :keep HOST REASON");
                return None;
            }
        };
        if reason.is_empty() {
            self.say(now, format!(":keep {host} wants a reason: it is recorded with your name"));
            return None;
        }
        self.say(now, format!("asked for: {host} keeps what is applied; recorded with your name"));
        Some(Action::Intent(Intent::Keep { host: host.clone(), reason: Untrusted::new(reason) }))
    }

    fn resume(&mut self, reach: Option<Reach>, view: &View, now: Time) -> Option<Action> {
        let scope = match reach {
            Some(reach) => self.reach(reach, view, now)?,
            None => match view.state.held.last() {
                Some(held) => held.scope.clone(),
                None => {
                    self.say(now, "no hold is in force");
                    return None;
                }
            },
        };
        self.say(now, "release asked for; each batch still wants its own GO");
        Some(Action::Intent(Intent::Release { scope }))
    }

    fn leave(&mut self, package: &str, view: &View, now: Time) -> Option<Action> {
        let host = self.host(view)?;
        match package.parse() {
            Ok(package) => {
                self.say(now, format!("asked for: {package} on {host} is left for the next window"));
                Some(Action::Intent(Intent::Leave { host, package }))
            }
            Err(error) => {
                self.say(now, Untrusted::new(error.to_string()).shown());
                None
            }
        }
    }

    fn refresh(&mut self, host: Option<String>, view: &View, now: Time) -> Option<Action> {
        let host = match host {
            None => None,
            Some(name) => Some(self.named(&name, view, now)?),
        };
        Some(Action::Intent(Intent::Refresh { host }))
    }

    fn evidence(&mut self, host: &str, view: &View, now: Time) -> Option<Action> {
        let host = self.named(host, view, now)?;
        self.say(now, format!("evidence of {host} is being saved"));
        Some(Action::Intent(Intent::Evidence { host }))
    }

    /// The host of that name; where there is none that is said.
    fn named(&mut self, name: &str, view: &View, now: Time) -> Option<HostName> {
        let found = view.state.hosts.keys().find(|host| host.as_str() == name).cloned();
        if found.is_none() {
            self.say(now, format!("{} is not a host of the plan", Untrusted::new(name).shown()));
        }
        found
    }
}

/// A marker with its note.
pub(super) fn mark(note: &str) -> Action {
    let note = note.trim();
    let note = if note.is_empty() { "marker" } else { note };
    Action::Intent(Intent::Mark { note: Untrusted::new(note) })
}
