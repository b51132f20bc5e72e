//! What a failure is: the table of what packets, the other vantages and the facts make of each kind.

use super::seen::{Listens, Look, Packets, Seen, alive, counts, look};
use super::{Found, Verdict, place};
use crate::core::event::{FailKind, FailureKind, Flow, Tally, Vantage};
use crate::plan::{ProbeTarget, VantageKind};

pub(super) fn judge(seen: &Seen<'_>, kind: FailKind) -> Found {
    if let Some(found) = host(seen, kind) {
        return found;
    }
    if let Some(found) = database(seen, kind) {
        return found;
    }
    match kind {
        FailKind::NoAnswer | FailKind::Unreachable => silent(seen),
        FailKind::Refused => refused(seen),
        FailKind::Cut => cut(seen),
        FailKind::Silence => silence(seen),
        FailKind::TlsRefused => {
            Found::new(Verdict::TlsRefused, "it connects, and the TLS handshake is refused")
        }
        FailKind::Certificate => Found::new(Verdict::WrongCertificate, certificate(seen)),
        FailKind::ServerError => {
            Found::new(Verdict::ServiceError, "the service answers with an error of its own")
        }
        FailKind::Content => {
            Found::new(Verdict::WrongContent, "it answers, with something else than it should")
        }
        FailKind::Command => command(seen),
        FailKind::Database => {
            Found::new(Verdict::DatabaseDown, "the database refuses the login, or is not there")
        }
        FailKind::Other => match seen.own() {
            Look::Fail { why, .. } => {
                Found::unknown(format!("it fails, and what that means is not known: {}", why.shown()))
            }
            Look::Nothing
            | Look::Stale(_)
            | Look::Broken(_)
            | Look::Ok { .. }
            | Look::Mending
            | Look::Shaky { .. } => Found::unknown("it fails, and how can't be told"),
        },
    }
}

/// Nothing of a whole host answers.
fn host(seen: &Seen<'_>, kind: FailKind) -> Option<Found> {
    let (_, ssh, _) = seen.ssh_down()?;
    // A connection that is refused, a key that is not known, a login that is refused are answers; and a host
    // that sees packets and tells of them lives.
    if !matches!(ssh, FailureKind::Unreachable | FailureKind::TimedOut) || sees(seen) {
        return None;
    }
    let host = seen.host();
    let made = || seen.state.probes_of(host).filter(|(_, probe)| counts(probe));
    let from_outside = || made().filter(|(_, probe)| probe.probe.from == VantageKind::Outside);
    let looks = || from_outside().map(|(_, p)| (look(&p.own, &p.probe, seen.now), &p.probe.target));
    // What is seen from anywhere else, since it fails here.
    let elsewhere = || {
        made().flat_map(|(_, probe)| {
            let target = &probe.probe.target;
            let (others, probed) = (probe.others.iter(), &probe.probe);
            others.map(move |(vantage, series)| (vantage.clone(), seen.explains(series, probed), target))
        })
    };
    match kind {
        FailKind::Silence => {
            // An open port and an echo are the kernel's answers: no process has a part in them.
            let process = |(look, target): (Look<'_>, &ProbeTarget)| match (look, target) {
                (_, ProbeTarget::Ping | ProbeTarget::Tcp { .. }) => false,
                (look, _) => alive(&look) && look.failed() != Some(FailKind::Silence),
            };
            let elsewhere = elsewhere().map(|(_, look, target)| (look, target));
            (!looks().chain(elsewhere).any(process)).then(|| {
                let gist = format!("connections are taken and no process of {host} answers, ssh neither");
                Found::new(Verdict::HostHung, gist)
            })
        }
        FailKind::NoAnswer | FailKind::Unreachable => {
            if let Some((from, ..)) = elsewhere().find(|(_, look, _)| alive(look)) {
                let who = match &from {
                    Vantage::Peer(_) => "its neighbours".to_owned(),
                    Vantage::Inside => "from inside".to_owned(),
                    Vantage::Cockpit | Vantage::Further(_) => format!("elsewhere, {}", place(&from)),
                };
                let gist = format!("{host} answers {who}: it is cut off between there and here");
                return Some(Found::unknown(gist));
            }
            if looks().any(|(look, _)| alive(&look)) {
                return None;
            }
            Some(if seen.place_works() {
                Found::new(Verdict::HostDown, format!("nothing of {host} answers, ssh neither"))
            } else {
                let gist = format!("nothing of {host} answers; whether the way there works is not known");
                Found::unknown(gist)
            })
        }
        FailKind::Refused
        | FailKind::Cut
        | FailKind::TlsRefused
        | FailKind::Certificate
        | FailKind::ServerError
        | FailKind::Content
        | FailKind::Database
        | FailKind::Command
        | FailKind::Other => None,
    }
}

/// Whether the host tells of packets that came in since it fails.
fn sees(seen: &Seen<'_>) -> bool {
    match seen.packets() {
        Packets::Own(flow) => arrived(flow) || left(flow),
        Packets::Passing(tally) => tally.is_some_and(|tally| tally.came > 0),
        Packets::Unseen(_) => false,
    }
}

/// A database that is asked on its own host: what keeps it from answering is the database.
fn database(seen: &Seen<'_>, kind: FailKind) -> Option<Found> {
    let ProbeTarget::Postgres { .. } = &seen.probe.probe.target else { return None };
    let near = seen.judged_inside() || seen.inside().failed() == Some(kind);
    let gist = match kind {
        FailKind::Refused if near => "nobody listens where the database should",
        FailKind::NoAnswer | FailKind::Unreachable if near => "the database does not answer on its own host",
        FailKind::Cut if near => "the database closes the connection",
        FailKind::Refused | FailKind::NoAnswer | FailKind::Unreachable | FailKind::Cut => return None,
        FailKind::Silence
        | FailKind::TlsRefused
        | FailKind::Certificate
        | FailKind::ServerError
        | FailKind::Content
        | FailKind::Database
        | FailKind::Command
        | FailKind::Other => return None,
    };
    Some(Found::new(Verdict::DatabaseDown, gist))
}

/// Nothing answers.
fn silent(seen: &Seen<'_>) -> Found {
    let host = seen.host();
    match seen.packets() {
        Packets::Own(flow) if arrived(flow) => lost(seen, flow),
        // Seen leaving and never seen coming: the capture began in the middle.
        Packets::Own(flow) if left(flow) => {
            Found::unknown("answers leave, and what they answer was not seen")
        }
        Packets::Own(_) | Packets::Passing(None) => not_there(seen),
        Packets::Passing(Some(Tally { came: 0, .. })) => not_there(seen),
        Packets::Passing(Some(Tally { left: 0, .. })) => dropped(seen),
        Packets::Passing(Some(_)) => {
            Found::unknown(format!("packets come and go on {host}; its own could not be told apart"))
        }
        Packets::Unseen(_) if seen.inside().failed() == Some(FailKind::Refused) => listening(seen, false),
        Packets::Unseen(_) if seen.judged_inside() => {
            Found::unknown("nothing answers, on the host itself; why is not known")
        }
        Packets::Unseen(_) => Found::unknown("no answer; whether it arrives on the host is not known"),
    }
}

fn arrived(flow: &Flow) -> bool {
    flow.asked > 0 || flow.data_in > 0
}

fn left(flow: &Flow) -> bool {
    flow.granted > 0 || flow.refused > 0 || flow.prohibited > 0 || flow.data_out > 0
}

/// None of it on the host's wire.
fn not_there(seen: &Seen<'_>) -> Found {
    let host = seen.host();
    match (seen.arp_unanswered(), seen.on_host_now()) {
        (true, Some(false)) => Found::new(
            Verdict::ArpUnanswered,
            format!("the router asks for the address, which is on no interface of {host}"),
        ),
        (true, Some(true) | None) => Found::new(
            Verdict::ArpUnanswered,
            format!("the router asks for the address, and {host} does not answer for it"),
        ),
        (false, _) => Found::new(
            Verdict::NotArriving,
            format!("nothing of it comes in on {host}: not announced, or dropped on the way"),
        ),
    }
}

/// It arrives, and the caller has nothing.
fn lost(seen: &Seen<'_>, flow: &Flow) -> Found {
    let host = seen.host();
    if flow.prohibited > 0 {
        return Found::new(
            Verdict::RejectedByFirewall,
            format!("it arrives, and a firewall on {host} refuses it"),
        );
    }
    // What was granted and acknowledged did come through: those are not the packets of this failure.
    if flow.completed {
        return Found::unknown("the packets that were found are of an attempt that came through");
    }
    if !left(flow) {
        return dropped(seen);
    }
    let gist = match (&flow.came_by, &flow.left_by) {
        (Some(came), Some(left)) if came != left => {
            format!("SYN arrives by {came}, the answer leaves by {left}: it does not come back")
        }
        _ => "it arrives and an answer leaves, which does not come back".to_owned(),
    };
    Found::new(Verdict::ReplyLost, gist)
}

fn dropped(seen: &Seen<'_>) -> Found {
    if seen.prohibited() {
        let gist =
            format!("it arrives, and a firewall on {} refuses it, without saying so each time", seen.host());
        return Found::new(Verdict::RejectedByFirewall, gist);
    }
    let syn = match seen.probe.probe.target {
        ProbeTarget::Ping => "echo request",
        ProbeTarget::Dns { .. } => "query",
        ProbeTarget::Tcp { .. }
        | ProbeTarget::Tls { .. }
        | ProbeTarget::Http { .. }
        | ProbeTarget::Postgres { .. }
        | ProbeTarget::Exec { .. } => "SYN",
    };
    let gist = match seen.on_host_now() {
        Some(false) => format!("{syn} arrives, {} does not have the address", seen.host()),
        Some(true) | None => format!("{syn} arrives, host does not answer"),
    };
    Found::new(Verdict::DroppedOnHost, gist)
}

/// Something says that nobody listens.
fn refused(seen: &Seen<'_>) -> Found {
    let host = seen.host();
    match seen.packets() {
        Packets::Own(flow) if flow.prohibited > 0 => Found::new(
            Verdict::RejectedByFirewall,
            format!("it arrives, and a firewall on {host} refuses it"),
        ),
        Packets::Own(flow) if !arrived(flow) && !left(flow) => Found::new(
            Verdict::NotArriving,
            format!("it is refused on the way: nothing of it comes in on {host}"),
        ),
        Packets::Own(flow) if flow.refused == 0 => {
            Found::unknown(format!("something refuses it that is not {host}: it sends no refusal"))
        }
        Packets::Own(_) => listening(seen, true),
        Packets::Passing(_) | Packets::Unseen(_) => listening(seen, false),
    }
}

/// It is refused: by whoever would listen, or by a firewall. `here`: the refusal was seen to leave the host;
/// otherwise whoever else has the address may send it.
fn listening(seen: &Seen<'_>, here: bool) -> Found {
    let host = seen.host();
    let (inside, listens) = (seen.inside(), seen.listens());
    let near = if seen.judged_inside() { seen.own() } else { inside };
    if inside.is_ok() || (listens == Some(Listens::There) && near.failed() != Some(FailKind::Refused)) {
        let gist = match inside.is_ok() {
            true => "it is refused from outside, and answers inside",
            false => "it is refused, although somebody listens there",
        };
        return match here {
            true => Found::new(Verdict::RejectedByFirewall, format!("{gist}: a firewall refuses it")),
            false => Found::unknown(format!("{gist}; whether {host} refuses it was not seen")),
        };
    }
    let told = listens.is_some_and(|listens| listens != Listens::There);
    if near.failed() != Some(FailKind::Refused) && !told {
        return Found::unknown(format!(
            "it is refused; whether nobody listens or a firewall refuses it: neither inside nor the listeners of {host} are known"
        ));
    }
    let siblings = seen.siblings();
    let up = siblings.iter().any(Look::is_ok);
    let all_refused =
        !siblings.is_empty() && siblings.iter().all(|look| look.failed() == Some(FailKind::Refused));
    let port = seen.port().unwrap_or_default();
    if listens == Some(Listens::Nowhere) || (all_refused && listens.is_none()) {
        return Found::new(Verdict::ServiceDown, format!("nobody listens on port {port} of {host}"));
    }
    let gist = match up || listens == Some(Listens::Elsewhere) {
        true => format!("port {port} of {host} is listened on at other addresses, not at this one"),
        false => format!("nobody listens on port {port} of this address"),
    };
    Found::new(Verdict::NotListening, gist)
}

/// It begins, and is cut off.
fn cut(seen: &Seen<'_>) -> Found {
    let near = seen.judged_inside() || seen.inside().failed() == Some(FailKind::Cut);
    match (near, seen.packets()) {
        (true, _) => Found::new(
            Verdict::ServiceError,
            "the service closes the connection before it says what was asked",
        ),
        (false, Packets::Own(flow)) if flow.refused == 0 && flow.completed => Found::unknown(format!(
            "the connection is cut, and not by {}: no reset leaves there",
            seen.host()
        )),
        (false, Packets::Own(_) | Packets::Passing(_) | Packets::Unseen(_)) => {
            Found::unknown("the connection is cut; by whom is not known")
        }
    }
}

/// It connects, and then there is nothing.
fn silence(seen: &Seen<'_>) -> Found {
    let hung = |what: &str| Found::new(Verdict::ServiceHung, what);
    let quiet = |look: &Look<'_>| matches!(look.failed(), Some(FailKind::Silence | FailKind::NoAnswer));
    if seen.judged_inside() || quiet(&seen.inside()) {
        return hung("it connects, then silence, inside too: the service hangs");
    }
    let flow = match seen.packets() {
        Packets::Own(flow) => Some(flow),
        Packets::Passing(_) | Packets::Unseen(_) => None,
    };
    match flow {
        // One packet that is sent again is no more than a lost one.
        Some(flow) if flow.data_out > 0 && flow.again_out > 1 => Found::new(
            Verdict::ReplyLost,
            "it connects, and the answer leaves again and again without coming through",
        ),
        Some(flow) if flow.data_in > 0 && flow.data_out == 0 => match seen.inside() {
            // The answer was there in time: something on the host keeps it from leaving.
            Look::Ok { took } if took.as_ms().saturating_mul(2) <= seen.probe.probe.timeout.as_ms() => {
                Found::new(
                    Verdict::DroppedOnHost,
                    "it connects and what is asked arrives, inside answers, and no answer leaves",
                )
            }
            Look::Ok { took } => hung(&format!(
                "it connects and what is asked arrives, then silence; inside it takes {took}: the service hangs"
            )),
            Look::Nothing
            | Look::Stale(_)
            | Look::Broken(_)
            | Look::Mending
            | Look::Shaky { .. }
            | Look::Fail { .. } => {
                hung("it connects and what is asked arrives, then silence: the service hangs")
            }
        },
        Some(flow) if flow.completed && flow.data_in == 0 => {
            Found::unknown("it connects, and what is asked then does not arrive on the host")
        }
        Some(_) | None if seen.peers().any(|look| quiet(&look)) => {
            hung("it connects, then silence, from a peer too: the service hangs")
        }
        Some(_) | None => Found::unknown("it connects, then silence; whether the service hangs is not known"),
    }
}

fn command(seen: &Seen<'_>) -> Found {
    match seen.probe.probe.target {
        ProbeTarget::Dns { .. } => {
            Found::new(Verdict::WrongContent, "the name server answers, without that name")
        }
        ProbeTarget::Exec { .. }
        | ProbeTarget::Ping
        | ProbeTarget::Tcp { .. }
        | ProbeTarget::Tls { .. }
        | ProbeTarget::Http { .. }
        | ProbeTarget::Postgres { .. } => Found::new(Verdict::ServiceError, "the command fails on the host"),
    }
}

fn certificate(seen: &Seen<'_>) -> String {
    let shown = seen.probe.own.sighting.as_ref().and_then(|sighting| sighting.certificate.as_ref());
    match shown {
        Some(shown) if shown.until < seen.now => {
            format!("it shows a certificate that expired on {}", shown.until.format("%Y-%m-%d"))
        }
        Some(shown) => match (&shown.against, shown.names.first()) {
            (Some(against), _) => format!("it shows a wrong certificate: {}", against.shown()),
            (None, Some(name)) => format!("it shows a wrong certificate, for {}", name.shown()),
            (None, None) => "it shows a wrong certificate".to_owned(),
        },
        None => "it shows a wrong certificate".to_owned(),
    }
}
