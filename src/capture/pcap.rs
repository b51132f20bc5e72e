//! The pcap stream that tcpdump writes: both byte orders, microseconds and nanoseconds, bounded, and
//! a last packet that is not whole is no error.

/// The file's head, in bytes.
const HEAD: usize = 24;
/// The head of each packet, in bytes.
const PACKET: usize = 16;
/// The most of one packet that is taken; tcpdump's own bound (`MAXIMUM_SNAPLEN`).
const LONGEST: u32 = 262_144;

/// One packet as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    /// When, by the host's clock, in nanoseconds since 1970.
    pub at: u64,
    /// How long it was on the wire, in bytes.
    pub length: u32,
    /// As much of it as was kept.
    pub bytes: &'a [u8],
}

/// Bytes that are no pcap stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// It begins with something else.
    #[error("what came is no pcap stream: it begins with {0:08x}")]
    Magic(u32),
    /// A version that nobody writes.
    #[error("the pcap stream is of version {0}.{1}, known is 2.4")]
    Version(u16, u16),
    /// A length that no capture has: the stream is out of step.
    #[error("the pcap stream is out of step: a packet of {0} bytes")]
    Length(u32),
}

#[derive(Debug, Clone, Copy)]
struct Form {
    swapped: bool,
    nanos: bool,
    link: u16,
}

/// Takes a stream's bytes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    form: Option<Form>,
    /// What is not a whole packet yet; never longer than one.
    rest: Vec<u8>,
    failed: Option<PcapError>,
}

fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    if swapped { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

fn half(bytes: &[u8], at: usize, swapped: bool) -> u16 {
    let mut two = [0; 2];
    two.copy_from_slice(&bytes[at..at + 2]);
    if swapped { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
}

impl Form {
    fn read(head: &[u8]) -> Result<Self, PcapError> {
        let (swapped, nanos) = match word(head, 0, false) {
            0xa1b2_c3d4 => (false, false),
            0xa1b2_3c4d => (false, true),
            0xd4c3_b2a1 => (true, false),
            0x4d3c_b2a1 => (true, true),
            other => return Err(PcapError::Magic(other)),
        };
        let version = (half(head, 4, swapped), half(head, 6, swapped));
        if version != (2, 4) {
            return Err(PcapError::Version(version.0, version.1));
        }
        // The upper bits say how long a checksum follows each frame.
        let link = word(head, 20, swapped) & 0xffff;
        Ok(Self { swapped, nanos, link: link as u16 })
    }

    /// The packet at the beginning of these bytes and how many it takes; `None` while it is not whole.
    fn packet<'a>(&self, bytes: &'a [u8]) -> Result<Option<(Raw<'a>, usize)>, PcapError> {
        if bytes.len() < PACKET {
            return Ok(None);
        }
        let kept = word(bytes, 8, self.swapped);
        if kept > LONGEST {
            return Err(PcapError::Length(kept));
        }
        let end = PACKET + kept as usize;
        let Some(packet) = bytes.get(PACKET..end) else { return Ok(None) };
        let (secs, part) = (word(bytes, 0, self.swapped), word(bytes, 4, self.swapped));
        let part = if self.nanos { u64::from(part) } else { u64::from(part) * 1_000 };
        let at = u64::from(secs) * 1_000_000_000 + part;
        Ok(Some((Raw { at, length: word(bytes, 12, self.swapped), bytes: packet }, end)))
    }
}

impl Reader {
    /// The number of the link type, once the head has come.
    pub fn link(&self) -> Option<u16> {
        self.form.map(|form| form.link)
    }

    /// How many bytes of a packet that is not whole wait here.
    pub fn waits(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next bytes and gives each packet that is whole by now. After an error the stream is
    /// lost; more bytes change nothing.
    ///
    /// # Errors
    /// The first thing that is wrong with the stream.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(u16, Raw<'_>)) -> Result<(), PcapError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let pushed = self.take(bytes, &mut each);
        if let Err(error) = &pushed {
            self.failed = Some(error.clone());
            self.rest = Vec::new();
        }
        pushed
    }

    fn take(&mut self, mut bytes: &[u8], each: &mut impl FnMut(u16, Raw<'_>)) -> Result<(), PcapError> {
        let form = match self.form {
            Some(form) => form,
            None => {
                let missing = HEAD.saturating_sub(self.rest.len()).min(bytes.len());
                self.rest.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if self.rest.len() < HEAD {
                    return Ok(());
                }
                let form = Form::read(&self.rest)?;
                self.rest.clear();
                *self.form.insert(form)
            }
        };
        // What was left over is made whole first; all others are read where they are.
        while !self.rest.is_empty() && !bytes.is_empty() {
            let wanted = match self.rest.len() {
                have if have < PACKET => PACKET - have,
                have => {
                    let kept = word(&self.rest, 8, form.swapped);
                    if kept > LONGEST {
                        return Err(PcapError::Length(kept));
                    }
                    PACKET + kept as usize - have
                }
            };
            let now = wanted.min(bytes.len());
            self.rest.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            if let Some((raw, _)) = form.packet(&self.rest)? {
                each(form.link, raw);
                self.rest.clear();
            }
        }
        while let Some((raw, taken)) = form.packet(bytes)? {
            each(form.link, raw);
            bytes = &bytes[taken..];
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::builder::stream;

    type Taken = Vec<(u16, u64, u32, Vec<u8>)>;

    fn read(pieces: &[&[u8]]) -> (Taken, Result<(), PcapError>, usize) {
        let mut reader = Reader::default();
        let mut taken = Vec::new();
        let mut end = Ok(());
        for piece in pieces {
            end = reader.push(piece, |link, raw| taken.push((link, raw.at, raw.length, raw.bytes.to_vec())));
        }
        (taken, end, reader.waits())
    }

    #[test]
    fn both_orders_and_both_resolutions_are_read() {
        let packets = [(1_700_000_000_123_456_000_u64, vec![1, 2, 3]), (1_700_000_001_000_000_000, vec![])];
        for (swapped, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
            let bytes = stream(276, swapped, nanos, &packets);
            let (taken, end, rest) = read(&[&bytes]);
            assert_eq!((end, rest), (Ok(()), 0));
            assert_eq!(
                taken,
                [(276, packets[0].0, 3, vec![1, 2, 3]), (276, packets[1].0, 0, vec![])],
                "{swapped} {nanos}"
            );
        }
    }

    #[test]
    fn a_torn_tail_waits_and_a_wrong_length_ends_it() {
        let bytes = stream(1, false, false, &[(1_000, vec![7; 40]), (2_000, vec![8; 40])]);
        let (taken, end, rest) = read(&[&bytes[..bytes.len() - 5]]);
        assert_eq!((taken.len(), end, rest), (1, Ok(()), PACKET + 35));
        let mut bent = bytes.clone();
        bent[HEAD + 8..HEAD + 12].copy_from_slice(&[0xff; 4]);
        assert_eq!(read(&[&bent]).1, Err(PcapError::Length(u32::MAX)));
        assert_eq!(read(&[&bent[..HEAD + 14], &bent[HEAD + 14..]]).1, Err(PcapError::Length(u32::MAX)));
        assert_eq!(
            read(&[b"sudo: a password is required, and more words"]).1,
            Err(PcapError::Magic(0x6f64_7573))
        );
        assert!(matches!(read(&[&[0xd4, 0xc3, 0xb2, 0xa1], &[9; 20]]).1, Err(PcapError::Version(..))));
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_any_pieces(
            packets in prop::collection::vec((0_u64..4_000_000_000, prop::collection::vec(any::<u8>(), 0..90)), 0..12),
            swapped in any::<bool>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let packets: Vec<_> = packets.into_iter().map(|(at, bytes)| (at * 1_000, bytes)).collect();
            let bytes = stream(113, swapped, false, &packets);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|two| &bytes[two[0]..two[1]]).collect();
            let (taken, end, rest) = read(&pieces);
            prop_assert_eq!((end, rest), (Ok(()), 0));
            prop_assert_eq!(taken, read(&[&bytes]).0);
        }

        #[test]
        fn any_bytes_are_bounded_and_never_panic(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8), sound in any::<bool>(),
        ) {
            let head = stream(276, false, true, &[]);
            let mut all: Vec<&[u8]> = if sound { vec![&head] } else { Vec::new() };
            all.extend(pieces.iter().map(Vec::as_slice));
            let (_, _, rest) = read(&all);
            prop_assert!(rest <= LONGEST as usize + PACKET);
        }
    }
}
