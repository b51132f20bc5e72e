use super::*;

fn every_verb() -> Vec<Verb> {
    let operation: OperationId = "op-1".parse().expect("an id");
    let batch: BatchId = "b1".parse().expect("an id");
    let boot: BootId = "0b6f9e9c-5c0a-4a67-b6a9-93a8a3f0c111".parse().expect("a boot id");
    let token: Nonce = "0123456789abcdef".parse().expect("a word");
    let plan = Blake3::of(b"plan");
    let spec: Spec = "package\tlibc6\tamd64\t1\t2\t-\nend\n".parse().expect("a spec");
    vec![
        Verb::Hello,
        Verb::Facts(vec![]),
        Verb::Facts(vec![FactWord::System, FactWord::Boot]),
        Verb::Simulate(vec![Wanted::Install(
            "libc6:amd64".parse().expect("a package"),
            "1:2~a+b".parse().expect("a version"),
        )]),
        Verb::Have(vec!["libc6 amd64 1:2~a+b".parse().expect("a file")]),
        Verb::Give { file: "libc6 amd64 1:2~a+b".parse().expect("a file"), offset: 7 },
        Verb::Take {
            batch: batch.clone(),
            file: "libc6 amd64 1:2~a+b".parse().expect("a file"),
            size: 9,
            sha256: Sha256::from_bytes([0xab; 32]),
            from: "web_2".parse().expect("a host"),
            offset: 7,
            piece: "aGVsbG8=".parse().expect("a piece"),
        },
        Verb::Start { operation: operation.clone(), batch: batch.clone(), work: Work::Stage(spec) },
        Verb::Start { operation: operation.clone(), batch: batch.clone(), work: Work::Apply },
        Verb::Start { operation: operation.clone(), batch: batch.clone(), work: Work::Rollback },
        Verb::Start { operation: operation.clone(), batch: batch.clone(), work: Work::RehearsedRollback },
        Verb::Read { operation: operation.clone(), offset: 7, wait: 200 },
        Verb::Result(operation),
        Verb::Verify(batch.clone()),
        Verb::Reboot { batch: batch.clone(), boot },
        Verb::Arm {
            batch: batch.clone(),
            token: token.clone(),
            plan,
            times: ArmTimes {
                after: Span::ms(60_001),
                boot: Span::secs(50),
                grace: Span::secs(40),
                cap: Span::secs(3_600),
            },
        },
        Verb::Confirm { batch: batch.clone(), token: token.clone(), plan },
        Verb::Extend { batch: batch.clone(), token, by: Span::mins(10) },
        Verb::Timer(batch),
        Verb::Claim,
        Verb::Left,
        Verb::Clean(Vec::new()),
        Verb::Clean(vec!["b1".parse().expect("an id")]),
        Verb::Unpin,
        Verb::Probe(vec![
            "tcp+3000+2001:db8::1+443".parse().expect("a look"),
            "exec+3000+dHJ1ZQ".parse().expect("a look"),
        ]),
        Verb::Evidence { minutes: 1_000 },
    ]
}

#[test]
fn no_verb_has_a_character_that_a_shell_would_act_on() {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    for verb in every_verb() {
        let command = verb.command(&nonce, 7, false);
        assert!(command.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:+=/ -".contains(&b)), "{command}");
    }
}

#[test]
fn the_words_are_those_of_the_contract() {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    let commands: Vec<String> = every_verb()
        .iter()
        .map(|verb| verb.command(&nonce, 7, true)[helper::PATH.len()..].to_owned())
        .collect();
    assert_eq!(
        commands,
        [
            " abcdefgh1 0 hello",
            " abcdefgh1 0 facts",
            " abcdefgh1 0 facts system boot",
            " abcdefgh1 0 simulate",
            " abcdefgh1 0 have",
            " abcdefgh1 0 give 7",
            " abcdefgh1 7 take b1 9 HASH web_2 7",
            " abcdefgh1 7 start op-1 stage b1",
            " abcdefgh1 7 start op-1 apply b1",
            " abcdefgh1 7 start op-1 rollback b1",
            " abcdefgh1 7 start op-1 rollback b1 rehearsed",
            " abcdefgh1 0 read op-1 7 25",
            " abcdefgh1 0 result op-1",
            " abcdefgh1 0 verify b1",
            " abcdefgh1 7 reboot b1 0b6f9e9c-5c0a-4a67-b6a9-93a8a3f0c111",
            " abcdefgh1 7 arm b1 0123456789abcdef PLAN 61 50 40 3600",
            " abcdefgh1 7 confirm b1 0123456789abcdef PLAN",
            " abcdefgh1 7 extend b1 0123456789abcdef 600",
            " abcdefgh1 0 timer b1",
            " abcdefgh1 7 claim",
            " abcdefgh1 0 left",
            " abcdefgh1 7 clean",
            " abcdefgh1 7 clean b1",
            " abcdefgh1 7 unpin",
            " abcdefgh1 0 probe tcp+3000+2001:db8::1+443 exec+3000+dHJ1ZQ",
            " abcdefgh1 0 evidence 240",
        ]
        .map(|line| line.replace("PLAN", &Blake3::of(b"plan").to_string()).replace("HASH", &"ab".repeat(32)))
    );
}

#[test]
fn a_verb_reads_back_from_its_words() {
    for verb in every_verb() {
        let words = verb.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let back = Verb::from_words(&words, &verb.input()).expect("reads");
        assert_eq!(back.words(), words);
        assert_eq!(back.input(), verb.input());
    }
    for bad in [
        &["hello", "x"][..],
        &[],
        &["read", "op", "0", "26"],
        &["start", "op", "stage", "b"],
        &["run", "op"],
        &["arm", "b1", "0123456789abcdef", "plan", "1", "1", "1", "1"],
        &["have"],
        &["give", "0"],
        &["take", "b1", "9", "ab", "web2", "0"],
        &["timer"],
        &["probe"],
        &["probe", "ping"],
        &["evidence"],
        &["evidence", "0"],
        &["evidence", "241"],
    ] {
        assert!(Verb::from_words(bad, "").is_err(), "{bad:?}");
    }
}

#[test]
fn what_changes_a_host_needs_it_enrolled() {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    for verb in every_verb() {
        assert!(!(verb.mutates() && verb.runs_unenrolled()), "{verb:?}");
        assert!(!verb.runs_unenrolled() || verb.input().is_empty(), "{verb:?}");
        assert_eq!(verb.command_unenrolled(&nonce).is_some(), verb.runs_unenrolled());
    }
    assert_eq!(every_verb()[3].input(), "libc6:amd64=1:2~a+b\nend\n");
}

#[test]
fn a_probe_never_goes_by_way_of_sudo_and_is_no_longer_than_a_command_line() {
    let nonce: Nonce = "abcdefgh1".parse().expect("a nonce");
    for verb in every_verb() {
        let sudo = verb.command(&nonce, 7, false).starts_with("sudo ");
        assert_eq!(sudo, !verb.runs_as_login(), "{verb:?}");
    }
    let argv = ["exec:", &"x".repeat(360)].concat();
    let longest = Look::new(&argv.parse().expect("a target"), None, Span::secs(1)).expect("a look");
    let verb = Verb::Probe(vec![longest; look::MOST]);
    // A shell gets it as one argument: Linux takes 128 KiB.
    assert!(verb.command(&nonce, 7, false).len() < 64 << 10);
    assert!(verb.timeout() < Span::secs(30), "{}", verb.timeout());
}
