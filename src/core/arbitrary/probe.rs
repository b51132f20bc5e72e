//! Any event of probes and of captures.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Any, blake3, customer, few, host, interface, result, sha256, span, texts, time, untrusted};
use crate::core::event::{
    Certificate, EvidenceEvent, EvidenceFile, FailKind, Flow, IcmpError, PacketEvent, PacketRow, Phases,
    ProbeEvent, ProbeId, ProbeOutcome, Quoted, Seen, Sighting, Tally, TcpFlags, Vantage, Way, What, Whole,
};

fn probe() -> Any<ProbeId> {
    (customer(), any::<u16>()).prop_map(|(customer, index)| ProbeId { customer, index }).boxed()
}

pub(super) fn vantage() -> Any<Vantage> {
    prop_oneof![
        Just(Vantage::Cockpit),
        host().prop_map(Vantage::Further),
        Just(Vantage::Inside),
        host().prop_map(Vantage::Peer),
    ]
    .boxed()
}

/// Any way to fail.
pub fn fail_kind() -> Any<FailKind> {
    let all = [
        FailKind::NoAnswer,
        FailKind::Refused,
        FailKind::Unreachable,
        FailKind::Cut,
        FailKind::Silence,
        FailKind::TlsRefused,
        FailKind::Certificate,
        FailKind::ServerError,
        FailKind::Content,
        FailKind::Database,
        FailKind::Command,
        FailKind::Other,
    ];
    select(all.to_vec()).boxed()
}

/// How any attempt may go.
pub fn outcome() -> Any<ProbeOutcome> {
    prop_oneof![
        (span(), untrusted()).prop_map(|(took, said)| ProbeOutcome::Ok { took, said }),
        (untrusted(), fail_kind()).prop_map(|(why, kind)| ProbeOutcome::Fail { why, kind }),
        untrusted().prop_map(|why| ProbeOutcome::Broken { why }),
    ]
    .boxed()
}

fn socket() -> Any<SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(address, port)| SocketAddr::new(address, port)).boxed()
}

/// What any attempt may have seen beside how it went.
pub fn sighting() -> Any<Sighting> {
    let phases = (of(span()), of(span()), of(span()), of(span())).prop_map(
        |(resolved, connected, secured, answered)| Phases { resolved, connected, secured, answered },
    );
    let certificate = (sha256(), texts(), untrusted(), time(), time(), of(untrusted())).prop_map(
        |(sha256, names, issuer, from, until, against)| {
            Box::new(Certificate { sha256, names, issuer, from, until, against })
        },
    );
    (of(socket()), of(socket()), phases, of(certificate), of(any::<u16>()))
        .prop_map(|(local, peer, phases, certificate, status)| Sighting {
            local,
            peer,
            phases,
            certificate,
            status,
        })
        .boxed()
}

/// Any event of a probe.
pub fn probe_event() -> Any<ProbeEvent> {
    prop_oneof![
        Just(ProbeEvent::WatchStarted),
        (probe(), vantage(), outcome(), of(sighting().prop_map(Box::new))).prop_map(
            |(probe, vantage, outcome, sighting)| ProbeEvent::Seen { probe, vantage, outcome, sighting }
        ),
        (any::<u16>(), vantage(), outcome()).prop_map(|(index, vantage, outcome)| ProbeEvent::ControlSeen {
            index,
            vantage,
            outcome
        }),
        (any::<u64>(), untrusted()).prop_map(|(started, why)| ProbeEvent::WatchEnded { started, why }),
    ]
    .boxed()
}

/// What may have been seen of an attempt.
pub fn flow() -> Any<Flow> {
    let counts = vec(any::<u32>(), 9);
    (counts, any::<bool>(), of(any::<u8>()), of(span()), of(interface()), of(interface()))
        .prop_map(|(n, completed, alert, first_byte, came_by, left_by)| Flow {
            asked: n[0],
            granted: n[1],
            completed,
            refused: n[2],
            prohibited: n[3],
            dropped_by_caller: n[4],
            data_in: n[5],
            data_out: n[6],
            again_out: n[7],
            again_in: n[8],
            alert,
            first_byte,
            came_by,
            left_by,
            by_time: n[0] % 2 == 1,
        })
        .boxed()
}

/// Any row of a packet.
pub fn row() -> Any<PacketRow> {
    let way = prop_oneof![Just(Way::Unknown), Just(Way::In), Just(Way::Out), Just(Way::Other)];
    let tcp = (socket(), socket(), vec(any::<u32>(), 4), any::<u16>(), of(any::<u8>())).prop_map(
        |(src, dst, n, window, alert)| What::Tcp {
            src,
            dst,
            flags: TcpFlags(n[0].to_be_bytes()[0]),
            seq: n[1],
            ack: n[2],
            window,
            data: n[3],
            alert,
        },
    );
    let error =
        (any::<IpAddr>(), any::<IpAddr>(), any::<(u8, u8)>(), of((any::<u8>(), socket(), socket()).boxed()))
            .prop_map(|(src, dst, code, about)| What::Error {
                src,
                dst,
                why: IcmpError::Prohibited,
                code,
                about: about.map(|(protocol, src, dst)| Quoted { protocol, src, dst }),
            });
    let what = prop_oneof![
        tcp,
        error,
        any::<(bool, std::net::Ipv4Addr, std::net::Ipv4Addr)>()
            .prop_map(|(asks, sender, target)| What::Arp { asks, sender, target }),
        any::<(IpAddr, IpAddr, bool, u16, u16)>().prop_map(|(src, dst, reply, id, seq)| What::Echo {
            src,
            dst,
            reply,
            id,
            seq
        }),
        any::<u16>().prop_map(|ethertype| What::Other { ethertype }),
    ];
    (host(), time(), of(interface()), way, any::<u32>(), what)
        .prop_map(|(host, at, by, way, length, what)| PacketRow {
            host,
            at,
            by,
            seen: Seen { way, length, what },
        })
        .boxed()
}

/// Any event of a capture.
pub fn packet_event() -> Any<PacketEvent> {
    let tally = (any::<IpAddr>(), vec(any::<u32>(), 4)).prop_map(|(address, n)| Tally {
        address,
        arp_asked: n[0],
        arp_answered: n[1],
        came: n[2],
        left: n[3],
    });
    let whole = (time(), time()).prop_map(|(since, until)| Whole { since, until });
    prop_oneof![
        (host(), probe(), vantage(), socket(), of(time()), flow().prop_map(Box::new)).prop_map(
            |(host, probe, vantage, local, ended, flow)| PacketEvent::Matched {
                host,
                probe,
                vantage,
                local,
                ended,
                flow
            }
        ),
        (host(), span(), few(tally.boxed()), any::<u64>(), of(whole)).prop_map(
            |(host, over, tallies, dropped, whole)| PacketEvent::Tallied {
                host,
                over,
                tallies,
                dropped,
                whole
            }
        ),
        host().prop_map(|host| PacketEvent::Running { host }),
        (host(), untrusted()).prop_map(|(host, why)| PacketEvent::Unseen { host, why }),
        host().prop_map(|host| PacketEvent::Started { host }),
        (host(), file(), any::<bool>()).prop_map(|(host, file, over)| PacketEvent::Kept { host, file, over }),
        (host(), any::<u64>(), untrusted()).prop_map(|(host, started, why)| PacketEvent::Ended {
            host,
            started,
            why
        }),
    ]
    .boxed()
}

fn file() -> Any<EvidenceFile> {
    (untrusted(), blake3(), any::<u64>())
        .prop_map(|(file, blake3, bytes)| EvidenceFile { file, blake3, bytes })
        .boxed()
}

/// Any event of evidence.
pub fn evidence_event() -> Any<EvidenceEvent> {
    prop_oneof![
        (host(), untrusted()).prop_map(|(host, why)| EvidenceEvent::Started { host, why }),
        (host(), any::<u64>(), result(file())).prop_map(|(host, started, result)| EvidenceEvent::Saved {
            host,
            started,
            result
        }),
    ]
    .boxed()
}
