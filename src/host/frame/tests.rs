use super::*;
use proptest::prelude::*;

const NONCE: &str = "n0nce123";

fn read(bytes: &[u8]) -> Result<Answer, FrameError> {
    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    parser.push(bytes)?;
    parser.finish()
}

#[test]
fn an_answer_is_its_sections_and_its_end() {
    let answer = read(
        b"Welcome to web1!\n\n@n0nce123 hello 4 -\n@n0nce123 begin os\n|NAME=x\n||pipe\n|@n0nce123 done 0\n|\n@n0nce123 end os 127\n@n0nce123 done 0\nlogout\n",
    )
    .expect("reads");
    assert_eq!(answer.helper, None);
    assert_eq!(answer.end, End::Done(0));
    let os = answer.section("os").expect("there");
    assert_eq!(os.status, 127);
    // A payload that looks like a frame stays payload.
    assert_eq!(os.lines, [&b"NAME=x"[..], b"|pipe", b"@n0nce123 done 0", b""]);
}

#[test]
fn a_refusal_has_its_code_and_words() {
    let answer = read(b"@n0nce123 hello 4 -\n@n0nce123 refuse stale-epoch 9\n").expect("reads");
    assert_eq!(
        answer.end,
        End::Refused(Refusal { code: RefusalCode::StaleEpoch, words: Untrusted::new("9") })
    );
    for code in RefusalCode::ALL {
        assert_eq!(RefusalCode::from_word(code.word()), Some(code));
    }
}

#[test]
fn frames_of_another_nonce_are_noise_before_and_an_error_after() {
    assert_eq!(read(b"@0therone hello 4 -\n@0therone done 0\n"), Err(FrameError::Lost(Progress::Nothing)));
    assert!(matches!(read(b"@n0nce123 hello 4 -\n@0therone done 0\n"), Err(FrameError::Unexpected(_))));
}

#[test]
fn what_breaks_the_contract_is_an_error() {
    for bad in [
        "@n0nce123 hello 4 -\nstray\n@n0nce123 done 0\n",
        "@n0nce123 hello 4 -\n|payload outside\n",
        "@n0nce123 hello 4 -\n@n0nce123 begin a\n@n0nce123 begin b\n",
        "@n0nce123 hello 4 -\n@n0nce123 begin a\n@n0nce123 end b 0\n",
        "@n0nce123 hello 4 -\n@n0nce123 begin a\n@n0nce123 done 0\n",
        "@n0nce123 hello 4 -\n@n0nce123 begin A/../b\n",
        "@n0nce123 hello 4 -\n@n0nce123 hello 4 -\n",
        "@n0nce123 hello 4 -\n@n0nce123 done zero\n",
        "@n0nce123 hello 4 -\n@n0nce123 refuse because\n",
        "@n0nce123 hello 4 nothash\n",
        "@n0nce123 hello one -\n",
    ] {
        assert!(matches!(read(bad.as_bytes()), Err(FrameError::Unexpected(_))), "{bad:?}");
    }
    assert_eq!(read(b"@n0nce123 hello 2 -\n"), Err(FrameError::Version(2)));
}

#[test]
fn an_answer_without_its_end_is_lost() {
    assert_eq!(read(b""), Err(FrameError::Lost(Progress::Nothing)));
    assert_eq!(read(b"@n0nce123 hello 4 -\n@n0nce123 done 0"), Err(FrameError::Lost(Progress::Begun)));
}

#[test]
fn floods_end_in_an_error_and_not_in_memory() {
    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    let flood = vec![b'x'; 64 * 1024];
    let mut pushed = 0;
    while parser.push(&flood).is_ok() {
        pushed += flood.len();
        assert!(pushed <= MOST_NOISE);
    }
    assert_eq!(parser.finish(), Err(FrameError::Noise));

    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    parser.push(b"@n0nce123 hello 4 -\n@n0nce123 begin a\n|").expect("fits");
    let mut pushed = 0;
    while parser.push(&flood).is_ok() {
        pushed += flood.len();
        assert!(pushed <= LONGEST_LINE);
    }
    assert_eq!(parser.finish(), Err(FrameError::LongLine));

    let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
    parser.push(b"@n0nce123 hello 4 -\n@n0nce123 begin a\n").expect("fits");
    let empty = b"|\n".repeat(32 * 1024);
    let mut pushed = 0_usize;
    while parser.push(&empty).is_ok() {
        pushed += 1;
        assert!(pushed <= LARGEST_ANSWER / LINE_COST / (32 * 1024));
    }
    assert_eq!(parser.finish(), Err(FrameError::TooLarge));

    let mut many = b"@n0nce123 hello 4 -\n".to_vec();
    many.extend(b"@n0nce123 begin a\n@n0nce123 end a 0\n".repeat(MOST_SECTIONS + 1));
    assert_eq!(read(&many), Err(FrameError::TooLarge));
}

/// Lines of a hostile host: frames, halves of frames and bytes.
fn hostile_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"@n0nce123 hello 4 -".to_vec()),
        Just(b"@n0nce123 begin a".to_vec()),
        Just(b"@n0nce123 end a 0".to_vec()),
        Just(b"@n0nce123 done 0".to_vec()),
        Just(b"@n0nce123 refuse busy".to_vec()),
        "@n0nce123 [ -~]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut line| {
            line.insert(0, b'|');
            line
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic_and_pieces_read_as_the_whole(
        lines in prop::collection::vec(hostile_line(), 0..24),
        cuts in prop::collection::vec(1_usize..9, 1..20),
    ) {
        let bytes = lines.join(&b'\n');
        let whole = read(&bytes);
        let mut parser = Parser::new(NONCE.parse().expect("a nonce"));
        let mut rest = &bytes[..];
        let mut outcome = Ok(());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() || outcome.is_err() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            outcome = parser.push(head);
            rest = tail;
        }
        prop_assert_eq!(whole, parser.finish());
    }

    #[test]
    fn payload_comes_through_as_it_is(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let lines: Vec<Vec<u8>> = lines
            .into_iter()
            .map(|line| line.into_iter().filter(|b| *b != b'\n').collect())
            .collect();
        let mut bytes = b"@n0nce123 hello 4 -\n@n0nce123 begin a\n".to_vec();
        for line in &lines {
            bytes.push(b'|');
            bytes.extend(line);
            bytes.push(b'\n');
        }
        bytes.extend(b"@n0nce123 end a 3\n@n0nce123 done 0\n");
        let answer = read(&bytes).expect("reads");
        prop_assert_eq!(&answer.sections[0].lines, &lines);
        prop_assert_eq!(answer.sections[0].status, 3);
    }
}
