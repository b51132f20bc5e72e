use proptest::prelude::*;

use super::*;

fn look(target: &str, address: Option<&str>) -> Result<Look, LookError> {
    let address = address.map(|address| address.parse().expect("an address"));
    Look::new(&target.parse().expect("a target"), address, Span::secs(3))
}

#[test]
fn each_kind_has_its_word_and_reads_back() {
    for (target, address, word) in [
        ("ping", Some("192.0.2.1"), "ping+3000+192.0.2.1"),
        ("tcp:443", Some("2001:db8::1"), "tcp+3000+2001:db8::1+443"),
        ("tls:443", Some("192.0.2.1"), "tls+3000+192.0.2.1+443+-"),
        ("tls:443:a.example", Some("192.0.2.1"), "tls+3000+192.0.2.1+443+a.example"),
        ("tls:443=a.example", Some("192.0.2.1"), "tls+3000+192.0.2.1+443+=a.example"),
        ("https://a.example/x?y=1", Some("192.0.2.1"), "https+3000+192.0.2.1+443+a.example+L3g_eT0x"),
        ("http://[2001:db8::1]:81/", None, "http+3000+-+81+2001:db8::1+Lw"),
        ("dns:_sip.a.example.", Some("192.0.2.1"), "dns+3000+192.0.2.1+_sip.a.example."),
        ("postgres:acme_1", None, "postgres+3000+-+acme_1"),
        ("exec:systemctl is-active nginx", None, "exec+3000+c3lzdGVtY3Rs+aXMtYWN0aXZl+bmdpbng"),
        // It is made on the host, whatever the customer's address.
        ("exec:true", Some("192.0.2.1"), "exec+3000+dHJ1ZQ"),
    ] {
        let look = look(target, address).expect(target);
        assert_eq!(look.to_string(), word);
        assert_eq!(word.parse(), Ok(look), "{word}");
    }
}

#[test]
fn what_no_plan_says_is_asked_of_no_host() {
    for target in ["ping", "tcp:1", "tls:1", "dns:a"] {
        assert_eq!(look(target, None), Err(LookError::NoAddress), "{target}");
    }
    let exec = |words: &[&str]| ProbeTarget::Exec { argv: words.iter().map(|w| (*w).to_owned()).collect() };
    let page = |host: &str, path: &str| ProbeTarget::Http {
        tls: false,
        host: host.to_owned(),
        port: 80,
        path: path.to_owned(),
    };
    for bad in [
        exec(&[]),
        exec(&[""]),
        exec(&["-x"]),
        exec(&["A=b"]),
        exec(&["a b"]),
        exec(&["a", "b\nc"]),
        exec(&["a;b"]),
        exec(&["a", "'"]),
        exec(&["$(a)"]),
        page("a b", "/"),
        page("-a", "/"),
        page("a", "/ x"),
        page("a", "/\r\nHost: b"),
        page("a", "x"),
        ProbeTarget::Postgres { database: "-c".to_owned() },
        ProbeTarget::Postgres { database: "a b".to_owned() },
        ProbeTarget::Dns { name: "a+b".to_owned() },
        ProbeTarget::Tls { port: 443, name: Some("-".to_owned()), unasked: false },
        ProbeTarget::Tls { port: 443, name: None, unasked: true },
        ProbeTarget::Tcp { port: 0 },
    ] {
        let address = "192.0.2.1".parse().ok();
        assert_eq!(Look::new(&bad, address, Span::secs(1)), Err(LookError::Unsound), "{bad:?}");
    }
    let long = exec(&["echo", &"x".repeat(600)]);
    assert_eq!(Look::new(&long, None, Span::secs(1)), Err(LookError::TooLong));
    for bad in
        ["", "ping", "ping+0+192.0.2.1", "ping+60001+192.0.2.1", "tcp+1+192.0.2.1+", "tcp+01+192.0.2.1+1"]
    {
        assert!(bad.parse::<Look>().is_err(), "{bad:?}");
    }
}

#[test]
fn the_longest_timeout_is_the_hosts() {
    let asked = Look::new(&ProbeTarget::Ping, "192.0.2.1".parse().ok(), Span::secs(3_600)).expect("sound");
    assert_eq!(asked.to_string(), "ping+60000+192.0.2.1");
    let none = Look::new(&ProbeTarget::Ping, "192.0.2.1".parse().ok(), Span::ZERO).expect("sound");
    assert_eq!(none.to_string(), "ping+1+192.0.2.1");
}

fn section(lines: &[&str]) -> Section {
    let lines = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    Section { name: "probe".to_owned(), lines, status: 0 }
}

#[test]
fn lines_are_read_as_what_was_seen() {
    let lines = [
        "0 ok 12 local=192.0.2.9:40001 connected=1 secured=5 answered=11 status=200 certificate=AAEC\t200; fine",
        "1 fail tls-refused 3 connected=1\tTLS refused: alert handshake failure",
        "2 broken 0\tnot looked at: no ping here",
        "3 part 4 connected=1\topen; login not looked at: no psql here",
    ];
    let looked = Looked::parse(&section(&lines), 4).expect("reads");
    assert_eq!(looked[0].outcome, ProbeOutcome::Ok { took: Span::ms(12), said: "200; fine".into() });
    assert_eq!(looked[0].local, "192.0.2.9:40001".parse().ok());
    assert_eq!((looked[0].status, looked[0].certificate.as_deref()), (Some(200), Some(&[0, 1, 2][..])));
    let phases = looked[0].phases;
    let expected = [None, Some(1), Some(5), Some(11)].map(|ms: Option<u64>| ms.map(Span::ms));
    assert_eq!([phases.resolved, phases.connected, phases.secured, phases.answered], expected);
    let refused = ProbeOutcome::fail(FailKind::TlsRefused, "TLS refused: alert handshake failure");
    assert_eq!(looked[1].outcome, refused);
    assert_eq!(looked[2].outcome, ProbeOutcome::broken("not looked at: no ping here"));
    let said = "open; login not looked at: no psql here".into();
    assert_eq!(looked[3].outcome, ProbeOutcome::Ok { took: Span::ms(4), said });
    assert_eq!(looked.iter().map(|looked| looked.whole).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn what_breaks_the_contract_is_refused() {
    for bad in [
        "",
        "0 ok 12",
        "1 ok 12\tx",
        "0 ok\tx",
        "0 ok x\tx",
        "0 fail 12\tx",
        "0 fail strange 12\tx",
        "0 nice 12\tx",
        "0 ok 12 local=x\tx",
        "0 ok 12 status=42\tx",
        "0 ok 12 certificate=!\tx",
        "0 ok 12 more=1\tx",
        "0 ok  12\tx",
    ] {
        assert!(Looked::parse(&section(&[bad]), 1).is_err(), "{bad:?}");
    }
    assert!(Looked::parse(&section(&["0 ok 1\tx"]), 2).is_err());
    assert!(Looked::parse(&section(&["0 ok 1\tx", "1 ok 1\tx"]), 1).is_err());
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4), n in 0usize..4) {
        let _read_or_not = Looked::parse(&Section { name: "probe".to_owned(), lines, status: 0 }, n);
    }

    #[test]
    fn what_is_read_back_is_what_was_asked(
        text in "(ping|(tcp|tls|http|https|dns|postgres|exec):)(//)?[ -~]{0,40}",
        address in prop::option::of(any::<IpAddr>()),
        ms in any::<u64>(),
    ) {
        if let Ok(target) = text.parse::<ProbeTarget>()
            && let Ok(look) = Look::new(&target, address, Span::ms(ms))
        {
            let word = look.to_string();
            prop_assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:+=-".contains(&b)), "{}", word);
            prop_assert_eq!(look.target(), &target);
            prop_assert_eq!(word.parse(), Ok(look));
        }
    }
}
