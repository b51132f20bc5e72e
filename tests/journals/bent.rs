//! A journal cut at every byte, and with every bit turned over: what comes back is a sound prefix,
//! or a loud error that says where; never a record that was not written.

use holdpoint::core::Record;
use holdpoint::journal::{End, ReadError, read};

use crate::reference::{events, numbered};

const V1: &[u8] = include_bytes!("v1-before-probes.jsonl");

/// Where each line begins, and where the last one ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

/// The line, from 0, that a byte belongs to.
fn line_of(starts: &[usize], byte: usize) -> usize {
    starts.partition_point(|start| *start <= byte) - 1
}

#[test]
fn cut_at_every_byte_it_gives_the_sound_prefix() {
    let (records, starts) = (numbered(events()), starts(V1));
    for cut in 0..=V1.len() {
        let line = line_of(&starts, cut);
        let journal = match read(&V1[..cut]) {
            Ok(journal) => journal,
            Err(ReadError::Empty) if cut == 0 => continue,
            Err(ReadError::NoHeader) if line == 0 => continue,
            Err(error) => panic!("cut at {cut}: {error}"),
        };
        match &journal.end {
            End::Whole => assert_eq!(cut, starts[line], "cut at {cut}"),
            End::Torn(torn) => {
                assert_eq!((torn.offset as usize, torn.bytes as usize), (starts[line], cut - starts[line]));
                assert_eq!(torn.line as usize, line + 1);
                assert!(torn.bytes > 0);
            }
            End::Damaged(damage) => panic!("cut at {cut}: {damage}"),
        }
        assert_eq!(journal.into_records().expect("known"), records[..line - 1], "cut at {cut}");
    }
}

/// One bit of each byte by default, another for each byte; all of them with HOLDPOINT_EVERY_BIT=1.
#[test]
fn a_bit_turned_over_is_never_taken() {
    let (records, starts) = (numbered(events()), starts(V1));
    let every = std::env::var_os("HOLDPOINT_EVERY_BIT").is_some();
    if !every {
        println!(
            "left out: {} of {} bits; all with HOLDPOINT_EVERY_BIT=1 cargo test --test journals bit",
            V1.len() * 7,
            V1.len() * 8
        );
    }
    let mut bent = V1.to_vec();
    for byte in 0..V1.len() {
        let bits = if every { 0..8 } else { (byte * 5 % 8)..(byte * 5 % 8 + 1) };
        for bit in bits {
            bent[byte] ^= 1 << bit;
            check(&bent, line_of(&starts, byte), &starts, &records, (byte, bit));
            bent[byte] ^= 1 << bit;
        }
    }
}

fn check(bent: &[u8], line: usize, starts: &[usize], records: &[Record], place: (usize, usize)) {
    match read(bent) {
        Ok(journal) => {
            // Only at the end can it look like a write that did not come to its end: in the last line,
            // or in the newline before it, which makes the last two lines one.
            let End::Torn(torn) = &journal.end else { panic!("{place:?} was taken: {:?}", journal.end) };
            assert!(place.0 + 1 >= starts[starts.len() - 2], "{place:?}");
            assert_eq!(torn.offset as usize, starts[line], "{place:?}");
            assert_eq!(journal.into_records().expect("known"), records[..line - 1], "{place:?}");
        }
        Err(ReadError::Damaged(damage)) => {
            assert_eq!((damage.offset as usize, damage.line as usize), (starts[line], line + 1), "{place:?}");
            assert_eq!(damage.sound as usize, line - 1, "{place:?}");
        }
        Err(ReadError::NotAJournal(_) | ReadError::Newer { .. }) => assert_eq!(line, 0, "{place:?}"),
        Err(error @ (ReadError::Io { .. } | ReadError::Empty | ReadError::NoHeader)) => {
            panic!("{place:?}: {error}")
        }
    }
}
