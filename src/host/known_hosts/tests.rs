use super::*;
use proptest::prelude::*;
use std::process::Command;

const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";
const ED2: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn key(text: &str) -> HostKey {
    let (kind, blob) = text.split_once(' ').expect("two fields");
    HostKey { kind: kind.to_owned(), blob: Base64::decode_vec(blob).expect("base64") }
}

/// A key of another type, not valid as a point but well formed as a line.
fn ecdsa() -> String {
    let mut blob = Vec::new();
    blob.extend(19_u32.to_be_bytes());
    blob.extend(b"ecdsa-sha2-nistp256");
    format!("ecdsa-sha2-nistp256 {}", Base64::encode_string(&blob))
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text.as_bytes());
    known
}

fn judge(text: &str, host: &str, port: u16, key_text: &str) -> Judgement {
    known(text).judge(&LookUp::new(host, port, None), &key(key_text))
}

fn at(line: usize) -> At {
    At { file: Path::new("kh").into(), line }
}

#[test]
fn a_fingerprint_is_opensshs() {
    // ssh-keygen -lf on the same key.
    let print = key(ED2).print();
    assert_eq!(print.kind, "ssh-ed25519");
    assert_eq!(print.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
}

#[test]
fn names_ports_wildcards_and_negation() {
    let text = format!(
        "web1,192.0.2.1 {ED}\n[web2]:2222\t{ED}\t comment here\n*.example.org,!bad.example.org {ED}\nweb? {ED2}\n"
    );
    assert_eq!(judge(&text, "WEB1", 22, ED), Judgement::Known(at(1)));
    assert_eq!(judge(&text, "192.0.2.1", 22, ED), Judgement::Known(at(1)));
    assert_eq!(judge(&text, "web2", 2222, ED), Judgement::Known(at(2)));
    assert_eq!(judge(&text, "a.example.org", 22, ED), Judgement::Known(at(3)));
    assert_eq!(judge(&text, "bad.example.org", 22, ED), Judgement::Unknown { authorities: vec![] });
    assert_eq!(judge(&text, "web9", 22, ED2), Judgement::Known(at(4)));
    assert!(matches!(judge(&text, "web9", 22, ED), Judgement::Changed { at: a, .. } if a == at(4)));
}

#[test]
fn an_equal_key_without_the_port_is_the_same_host_and_another_one_says_nothing() {
    let text = format!("web1 {ED}\n");
    assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Known(at(1)));
    assert_eq!(judge(&text, "web1", 2222, ED2), Judgement::Unknown { authorities: vec![] });
    assert_eq!(known(&text).judge(&LookUp::new("x", 2222, Some("WEB1")), &key(ED)), Judgement::Known(at(1)));
}

#[test]
fn a_revoked_key_is_refused_wherever_the_line_stands() {
    let text = format!("web1 {ED}\n@revoked * {ED}\n");
    assert_eq!(judge(&text, "web1", 22, ED), Judgement::Revoked(at(2)));
    assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Revoked(at(2)));
    let text = format!("@revoked\tweb1\t{ED}\n[web1]:2222 {ED}\n");
    assert_eq!(judge(&text, "web1", 2222, ED), Judgement::Revoked(at(1)));
    assert_eq!(judge(&text, "web2", 22, ED), Judgement::Unknown { authorities: vec![] });
}

#[test]
fn a_key_of_another_type_is_a_changed_key() {
    let text = format!("web1 {}\n", ecdsa());
    let Judgement::Changed { known, .. } = judge(&text, "web1", 22, ED) else { panic!("not changed") };
    assert_eq!(known.kind, "ecdsa-sha2-nistp256");
    let both = format!("web1 {}\nweb1 {ED}\n", ecdsa());
    assert_eq!(judge(&both, "web1", 22, ED), Judgement::Known(at(2)));
    assert_eq!(
        super::tests::known(&both).kinds(&LookUp::new("web1", 22, None)),
        ["ecdsa-sha2-nistp256", "ssh-ed25519"]
    );
}

#[test]
fn an_authority_is_named_and_never_taken_for_a_key() {
    let text = format!("@cert-authority *.example.org {ED}\n");
    assert_eq!(judge(&text, "a.example.org", 22, ED), Judgement::Unknown { authorities: vec![at(1)] });
}

#[test]
fn malformed_lines_are_named_and_do_not_stop_reading() {
    let text = format!(
        "# comment\n\n   \t\nweb1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 ####\nweb1 ssh-rsa {}\n@bogus web1 {ED}\n\
         |1|short|x {ED}\n@revoked @revoked web1 {ED}\n@revoked\n  web1 {ED}\r\n",
        ED.split_once(' ').expect("two").1
    );
    let known = known(&text);
    assert_eq!(known.problems().iter().map(|p| p.at.line).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(known.problems()[0].to_string(), "kh:4: no key type");
    assert_eq!(known.judge(&LookUp::new("web1", 22, None), &key(ED)), Judgement::Known(at(12)));
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    assert_eq!(KnownHosts::read(&[missing]), Ok(KnownHosts::default()));
    // A folder can't be read as a file, whoever asks.
    let error = KnownHosts::read(&[folder.path().to_owned()]).expect_err("a folder");
    assert!(matches!(error, HostError::KnownHosts { .. }), "{error}");
}

#[test]
fn wildcards_take_no_time() {
    assert!(!wildcard("*a".repeat(200).as_bytes(), "a".repeat(150).as_bytes()));
    assert!(wildcard(b"*a*b?", b"xxaxbxbz"));
    assert!(wildcard(b"", b"") && !wildcard(b"", b"a") && wildcard(b"**", b""));
}

/// `ssh-keygen -F`: the line numbers found, or nothing if there is none.
fn keygen_finds(file: &Path, name: &str) -> Option<Vec<usize>> {
    let out = Command::new("ssh-keygen").arg("-F").arg(name).arg("-f").arg(file).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let number = |l: &str| l.split(" line ").nth(1).and_then(|r| r.split_whitespace().next()?.parse().ok());
    Some(text.lines().filter(|l| l.starts_with('#')).filter_map(number).collect())
}

fn keygen_is_here() -> bool {
    let here = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !here {
        println!("skipped: no ssh-keygen here");
    }
    here
}

#[test]
fn ssh_keygen_finds_the_same_lines() {
    if !keygen_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("known_hosts");
    let plain = format!(
        "web1,192.0.2.1 {ED}\n[web2]:2222\t{ED2}\n# web3 {ED}\n*.example.org,!bad.example.org {ED}\n\
         @revoked web4 {ED}\n@cert-authority web5 {ED}\nweb6\t\t{ED} c\n  web7 {ED}\n[2001:db8::1]:22 {ED}\n2001:db8::2 {ED}\n"
    );
    std::fs::write(&file, &plain).expect("written");
    let names = [
        // ssh lowers names before it looks them up; ssh-keygen does not.
        "web1",
        "192.0.2.1",
        "[web2]:2222",
        "web2",
        "web3",
        "a.example.org",
        "bad.example.org",
        "web4",
        "web5",
        "web6",
        "web7",
        "2001:db8::2",
        "[2001:db8::1]:22",
        "nothing",
    ];
    let compare = |file: &Path| {
        let mut ours = KnownHosts::default();
        ours.add(file, &std::fs::read(file).expect("read"));
        for name in names {
            assert_eq!(Some(ours.lines_for(name)), keygen_finds(file, name), "{name} in {}", file.display());
        }
    };
    compare(&file);
    let status = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().expect("hashed");
    assert!(status.status.success(), "{status:?}");
    let hashed = std::fs::read_to_string(&file).expect("read");
    assert!(hashed.contains("|1|"), "nothing was hashed");
    compare(&file);
}

fn host_field() -> impl Strategy<Value = String> {
    prop::collection::vec("!?[ab*?]{1,4}(\\.[ab*]{1,2})?|\\[[ab*]{1,3}\\]:2[12]", 1..4)
        .prop_map(|v| v.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ssh_keygen_agrees_on_generated_files(
        fields in prop::collection::vec(host_field(), 1..6),
        name in "[ab]{1,4}(\\.[ab]{1,2})?|\\[[ab]{1,3}\\]:2[12]",
    ) {
        if keygen_is_here() {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("known_hosts");
            let text: String = fields.iter().map(|f| format!("{f} {ED}\n")).collect();
            std::fs::write(&file, &text).expect("written");
            prop_assert_eq!(Some(known(&text).lines_for(&name)), keygen_finds(&file, &name), "{} in {}", name, text);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..400), name in any::<String>()) {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), &text);
        known.judge(&LookUp::new(&name, 22, None), &key(ED));
    }

    #[test]
    fn no_line_of_the_right_shape_makes_it_panic(
        line in "(@revoked |@cert-authority\t)?[!*?a-z,|1=\\[\\]:]{0,20}[ \t](ssh-ed25519|ssh-rsa)[ \t][A-Za-z0-9+/=]{0,60}"
    ) {
        let known = known(&line);
        known.judge(&LookUp::new("a", 2222, None), &key(ED));
    }

    #[test]
    fn a_name_matches_itself_and_a_star(name in "[a-z0-9.:-]{1,30}") {
        prop_assert!(wildcard(name.as_bytes(), name.as_bytes()));
        prop_assert!(wildcard(b"*", name.as_bytes()));
        let longer = format!("{}x", name);
        prop_assert!(!wildcard(longer.as_bytes(), name.as_bytes()));
    }
}
