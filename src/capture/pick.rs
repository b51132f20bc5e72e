//! One address's packets out of what was kept, as a file of the same form.

use std::net::IpAddr;

use super::packet::frame;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// The longest block that is looked at, in bytes: of ours none is nearly so long.
const LONGEST: usize = 1 << 20;

/// Bytes that are no file of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no pcapng file from byte {0} on")]
pub struct NotKept(usize);

/// Adds to `out` what `file` has of that address, of all addresses where none is given, and says how many packets that
/// is. A last block that is not whole is left out: the file may still be written.
///
/// # Errors
/// Where it is not of the form that a [`super::pcapng::Writer`] gives it.
pub fn pick(file: &[u8], address: Option<IpAddr>, out: &mut Vec<u8>) -> Result<u64, NotKept> {
    let (mut at, mut link, mut picked) = (0, 0, 0);
    while let Some(head) = file.get(at..at + 12) {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, length) = (word(0), word(4) as usize);
        let little = kind != SECTION || word(8) == 0x1a2b_3c4d;
        if !little || length < 12 || length % 4 != 0 || length > LONGEST || (at == 0 && kind != SECTION) {
            return Err(NotKept(at));
        }
        let Some(block) = file.get(at..at + length) else { break };
        let concerns = match kind {
            INTERFACE => {
                link = u16::from_le_bytes([head[8], head[9]]);
                true
            }
            PACKET => {
                let number = |at: usize| {
                    block.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                };
                let (Some(kept), Some(whole)) = (number(20), number(24)) else { return Err(NotKept(at)) };
                let Some(bytes) = block.get(28..28_usize.saturating_add(kept as usize)) else {
                    return Err(NotKept(at));
                };
                let what = frame(link, whole, bytes).seen.what;
                let its = address.is_none_or(|address| what.concerns(address));
                picked += u64::from(its);
                its
            }
            _ => true,
        };
        if concerns {
            out.extend_from_slice(block);
        }
        at += length;
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::builder::*;
    use crate::capture::pcapng::{About, Writer};
    use crate::capture::{Interfaces, Raw, link};

    /// Packets of these callers to these ends, as they are kept.
    fn kept(ends: &[(&str, &str)]) -> Vec<u8> {
        let host = "web1".parse().unwrap();
        let interfaces = Interfaces::read([&b"7: eth0: <"[..]]);
        let about = About {
            host: &host,
            link: link::SLL2,
            snap: 128,
            interfaces: &interfaces,
            filter: "",
            clock: 0,
            offset: 0,
            note: "",
        };
        let mut writer = Writer::default();
        let mut out = writer.begin(&about);
        for (src, dst) in ends {
            let packet = tcp_packet(src.parse().unwrap(), dst.parse().unwrap(), 2, 9, 0, &[]);
            let bytes = sll2(7, 0, 0x0800, &packet);
            writer.packet(link::SLL2, &Raw { at: 1, length: 60, bytes: &bytes }, &mut out);
        }
        out
    }

    const A: &str = "192.0.2.32:443";
    const B: &str = "192.0.2.33:443";
    const CALLER: &str = "198.51.100.7:51034";

    #[test]
    fn the_packets_of_an_address_are_picked_and_the_rest_is_as_it_was() {
        let all = kept(&[(CALLER, A), (B, CALLER), (A, CALLER)]);
        let mut out = Vec::new();
        assert_eq!(pick(&all, Some("192.0.2.32".parse().unwrap()), &mut out), Ok(2));
        assert_eq!(out, kept(&[(CALLER, A), (A, CALLER)]));
        out.clear();
        assert_eq!((pick(&all, None, &mut out), &out), (Ok(3), &all));
        // Cut off anywhere: whole packets.
        for cut in 0..all.len() {
            out.clear();
            let picked = pick(&all[..cut], None, &mut out).unwrap();
            assert!(picked < 3 && all.starts_with(&out));
        }
        assert_eq!(pick(b"a file of another kind", None, &mut out), Err(NotKept(0)));
    }

    proptest! {
        #[test]
        fn any_bytes_end_well(cut in any::<prop::sample::Index>(), bend in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut all = kept(&[(CALLER, A), (B, CALLER)]);
            let cut = cut.index(all.len());
            all[cut] = bend;
            let _whatever = pick(&all, Some("192.0.2.32".parse().unwrap()), &mut Vec::new());
            all.truncate(cut);
            all.extend(rest);
            let _whatever = pick(&all, None, &mut Vec::new());
        }
    }
}
