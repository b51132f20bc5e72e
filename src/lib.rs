//! holdpoint: a terminal cockpit for a maintenance window.
//!
//! The map, in the order data flows:
//!
//! | module | what it is |
//! |---|---|
//! | `types` | strict names, versions, hashes, spans, and text from outside |
//! | `plan` | window.toml -> the plan as checked; order; seal |
//! | `host` | everything said to a host: ssh or this machine, verbs, operations, effects |
//! | `helper` | the POSIX sh that runs on hosts, joined and hashed |
//! | `facts` | what a host said about itself, by domain, and its pure parsers |
//! | `core` | the pure heart: events, state, commands, decisions |
//! | `journal` | append, read, recover, chain, lock |
//! | `conductor` | the one loop and the one clock |
//! | `probe` | one dialer, and a file for each kind of probe |
//! | `capture` | tcpdump's stream -> packets -> conversations, pure; pcapng out |
//! | `tui` | the cockpit: keys, sheets, panes, themes, the terminal |
//! | `replay` | a cursor over events: seek, step, speed, chapters |
//! | `demo` | the embedded fleet: ssh servers inside the process that answer the helper's verbs |
//! | `command` | one file for each command; `cli` has their words |

pub mod capture;
pub mod cli;
pub mod command;
pub mod conductor;
pub mod core;
pub mod demo;
pub mod facts;
pub mod helper;
pub mod host;
pub mod journal;
pub mod plan;
pub mod probe;
pub mod replay;
pub mod tui;
pub mod types;
