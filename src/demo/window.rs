//! The plan of the demo, as somebody would have written it: `window.toml` with this fleet's
//! addresses. Pure.

use std::net::SocketAddr;

use chrono::SecondsFormat;

use super::USER;
use crate::types::{Span, Time};

/// A host of the plan.
pub(super) struct Entry {
    pub name: &'static str,
    pub group: Option<&'static str>,
    pub ssh: SocketAddr,
    pub customers: Vec<Customer>,
}

/// A customer of the plan.
pub(super) struct Customer {
    pub name: &'static str,
    pub weight: u64,
    pub zone: &'static str,
    pub http: SocketAddr,
    pub https: SocketAddr,
}

/// How long the window is open before the demo begins, and how long it lasts.
const OPEN_FOR: Span = Span::mins(1);
const LASTS: Span = Span::mins(120);

/// The plan's text. The first entry is the baseline. Times that people wait through are short: it is
/// a demo.
pub(super) fn text(entries: &[Entry], auto_rollback: &str, now: Time) -> String {
    let opens = now - chrono::TimeDelta::milliseconds(i64::try_from(OPEN_FOR.as_ms()).unwrap_or(0));
    let closes = opens + chrono::TimeDelta::milliseconds(i64::try_from(LASTS.as_ms()).unwrap_or(0));
    let time = |time: Time| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = format!(
        "# The plan of the demo: four hosts inside this process, on addresses of this machine alone.\n\
         [window]\n\
         name   = \"November security updates\"\n\
         ticket = \"CHG-4471\"\n\
         opens  = {}\n\
         closes = {}\n",
        time(opens),
        time(closes)
    );
    for (at, entry) in entries.iter().enumerate() {
        if at == 0 {
            text.push_str(&format!(
                "\n[baseline]\nhost = \"{}\"\nssh  = \"{USER}@{}\"\n",
                entry.name, entry.ssh
            ));
            continue;
        }
        text.push_str(&format!(
            "\n[[host]]\nname    = \"{}\"\nssh     = \"{USER}@{}\"\n",
            entry.name, entry.ssh
        ));
        if let Some(group) = entry.group {
            text.push_str(&format!("group   = \"{group}\"\n"));
        }
        text.push_str(&format!(
            "console = \"https://kvm.example/{}\"\nlogs    = [\"/var/log/nginx/error.log\"]\n",
            entry.name
        ));
        for customer in &entry.customers {
            text.push_str(&format!(
                "\n[[customer]]\nname    = \"{}\"\nhost    = \"{}\"\nweight  = {}\naddress = \"{}\"\n\
                 probes  = [\"tcp:{}\", \"http://{}/health\"]\nzone    = \"{}\"\n",
                customer.name,
                entry.name,
                customer.weight,
                customer.https.ip(),
                customer.https.port(),
                customer.http,
                customer.zone
            ));
        }
    }
    text.push_str(&format!("\n[policy]\nauto_rollback  = \"{auto_rollback}\"\n"));
    text.push_str(
        "confirm_within = \"2m\"\nbake           = \"10s\"\nmargin         = \"2m\"\ncountdown      = \"30s\"\nmax_changes    = 40\nalone          = [\"kernel\"]\n\
         \n[[abort]]\nprobes = \"required\"\nfrom   = \"outside\"\nfails  = \"3 of 5\"\n",
    );
    text
}
