//! The parsers together: on what a real host printed, on that with damage, on anything at all, and on
//! what the fragment prints on this machine.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::fixture::{at, from_bytes, known, sections};
use super::{Domain, Fact, Section, read};
use crate::types::{PackageName, Version};

/// Printed by the fragment on a Debian 12 host, a part of its packages, unchanged lines.
const RECORDED: &str = include_str!("recorded/debian12.txt");

#[test]
fn a_recorded_host_is_read() {
    let read = read(&sections(RECORDED), at(0));
    let [Domain::Packages(packages), Domain::Updates(updates)] = &read[..] else { panic!("{read:?}") };
    let (packages, updates) = (known(packages), known(updates));
    assert_eq!(packages.installed.len(), 40);
    assert_eq!(packages.installed.values().filter(|package| package.auto).count(), 34);
    let told: Vec<String> = updates
        .pending
        .iter()
        .map(|one| {
            let needs: Vec<&str> = one.needs.iter().map(PackageName::as_str).collect();
            let from = one.from.as_ref().map_or("new", Version::as_str);
            let security = if one.security { "security" } else { "-" };
            assert!(one.sha256.is_some() && one.size.is_some(), "{}", one.package);
            format!(
                "{} {from} {} {security} {} {} [{}]",
                one.package,
                one.to,
                one.source,
                one.section.raw(),
                needs.join(" ")
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(updates.lists_at, Some(at(1_795_235_095)));
}

/// Every section that the fragment prints, so that damage meets every parser.
fn whole() -> Vec<Section> {
    let mut all = sections(RECORDED);
    for (name, lines) in [
        ("system", "arch amd64\nhostname web1\nsystemd yes\nclock 1763766000250000000"),
        ("os-release", "ID=debian\nVERSION_ID=\"12\""),
        (
            "boot",
            "boot-id 8e478ee6-9db4-40ef-ae5d-253206de23e8\ninit-stat 1 (systemd) S 0 1 1 0 -1 4194560 4 2 0 5 1 1 2 1 20 0 13 0 24 4\n\
             kernel 6.1.0-37-amd64\nbuild #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)\npackage 6.1.140-1\n\
             image 6.1.0-37-amd64\nimage 6.1.0-9-amd64\nreboot-required yes\nasked-by linux-image-6.1.0-37-amd64\nneedrestart 2",
        ),
        (
            "addresses",
            "[{\"ifname\":\"lo\",\"addr_info\":[{\"family\":\"inet\",\"local\":\"127.0.0.1\",\"prefixlen\":8,\"scope\":\"host\"},\n\
             {\"family\":\"inet6\",\"local\":\"::1\",\"prefixlen\":128,\"scope\":\"host\"}]}]",
        ),
        (
            "routes4",
            "[{\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"dev\":\"eth0\",\"flags\":[]},\n\
             {\"dst\":\"203.0.113.0/24\",\"nexthops\":[{\"gateway\":\"192.0.2.2\",\"dev\":\"eth0\",\"weight\":1}]}]",
        ),
        ("routes6", "[{\"dst\":\"fe80::/64\",\"dev\":\"eth0\",\"protocol\":\"kernel\",\"metric\":256}]"),
        (
            "listeners",
            "tcp LISTEN 0 128 [fe80::1]%eth0:22 [::]:* users:((\"sshd\",pid=8,fd=3))\nudp UNCONN 0 0 *:53 *:*",
        ),
        ("services", "nginx.service loaded failed failed web server"),
        ("storage", "Filesystem 1-blocks Used Available Capacity Mounted on\n/dev/vda 100 40 50 44% /"),
        ("replaced", "812\t/system.slice/ssh.service\tsshd"),
        ("locks", "812\tlock\tapt-get"),
    ] {
        all.push(super::fixture::section(name, lines));
    }
    all
}

#[test]
fn the_whole_answer_is_known_in_the_order_of_the_domains() {
    let read = read(&whole(), at(1_763_766_000));
    assert_eq!(read.len(), 10);
    for domain in &read {
        let text = format!("{domain:?}");
        assert!(text.contains("(Known("), "{text}");
    }
}

/// One damage to an answer.
#[derive(Debug, Clone)]
enum Damage {
    Byte(usize, usize, usize, u8),
    CutLine(usize, usize, usize),
    DropLine(usize, usize),
    TwiceLine(usize, usize),
    Insert(usize, usize, Vec<u8>),
    Status(usize, i32),
    DropSection(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let n = || any::<usize>();
    prop_oneof![
        4 => (n(), n(), n(), any::<u8>()).prop_map(|(s, l, b, to)| Damage::Byte(s, l, b, to)),
        2 => (n(), n(), n()).prop_map(|(s, l, b)| Damage::CutLine(s, l, b)),
        2 => (n(), n()).prop_map(|(s, l)| Damage::DropLine(s, l)),
        1 => (n(), n()).prop_map(|(s, l)| Damage::TwiceLine(s, l)),
        2 => (n(), n(), any::<Vec<u8>>()).prop_map(|(s, l, bytes)| Damage::Insert(s, l, bytes)),
        1 => (n(), any::<i32>()).prop_map(|(s, status)| Damage::Status(s, status)),
        1 => n().prop_map(Damage::DropSection),
    ]
}

fn pick<T>(list: &mut [T], at: usize) -> Option<&mut T> {
    let len = list.len();
    list.get_mut(at % len.max(1))
}

fn apply(sections: &mut Vec<Section>, damage: Damage) {
    fn line(sections: &mut [Section], s: usize, l: usize) -> Option<&mut Vec<u8>> {
        pick(&mut pick(sections, s)?.lines, l)
    }
    match damage {
        Damage::Byte(s, l, b, to) => {
            if let Some(byte) = line(sections, s, l).and_then(|line| pick(line, b)) {
                *byte = to;
            }
        }
        Damage::CutLine(s, l, b) => {
            if let Some(line) = line(sections, s, l) {
                line.truncate(b % (line.len() + 1));
            }
        }
        Damage::DropLine(s, l) => {
            if let Some(section) = pick(sections, s).filter(|section| !section.lines.is_empty()) {
                let at = l % section.lines.len();
                section.lines.remove(at);
            }
        }
        Damage::TwiceLine(s, l) => {
            if let Some(section) = pick(sections, s).filter(|section| !section.lines.is_empty()) {
                let twice = section.lines[l % section.lines.len()].clone();
                section.lines.push(twice);
            }
        }
        Damage::Insert(s, l, bytes) => {
            if let Some(section) = pick(sections, s) {
                let at = l % (section.lines.len() + 1);
                section.lines.insert(at, bytes);
            }
        }
        Damage::Status(s, status) => {
            if let Some(section) = pick(sections, s) {
                section.status = status;
            }
        }
        Damage::DropSection(s) => {
            if !sections.is_empty() {
                let at = s % sections.len();
                sections.remove(at);
            }
        }
    }
}

/// What every answer is read into: facts that can be journalled and read back, reasons that can be
/// shown.
fn sound(sections: &[Section]) -> Result<(), TestCaseError> {
    for domain in read(sections, at(1_763_766_000)) {
        let written = serde_json::to_string(&domain).expect("writes");
        let back: Domain = serde_json::from_str(&written).expect("reads");
        prop_assert_eq!(&back, &domain);
        if let Some(why) = why(&domain) {
            prop_assert!(!why.is_empty() && !why.contains(|c: char| c.is_control()), "{}", why);
        }
    }
    Ok(())
}

fn why(domain: &Domain) -> Option<String> {
    fn of<T>(fact: &Fact<T>) -> Option<String> {
        match fact {
            Fact::Known(_) => None,
            Fact::Unknown(why) => Some(why.raw().to_owned()),
        }
    }
    match domain {
        Domain::System(fact) => of(fact),
        Domain::Boot(fact) => of(fact),
        Domain::Network(fact) => of(fact),
        Domain::Listeners(fact) => of(fact),
        Domain::Packages(fact) => of(fact),
        Domain::Updates(fact) => of(fact),
        Domain::Services(fact) => of(fact),
        Domain::Storage(fact) => of(fact),
        Domain::Replaced(fact) => of(fact),
        Domain::Locks(fact) => of(fact),
    }
}

const NAMES: [&str; 20] = [
    "system",
    "os-release",
    "boot",
    "addresses",
    "routes4",
    "routes6",
    "listeners",
    "dpkg",
    "auto",
    "audit",
    "upgrade",
    "show",
    "depends",
    "policy",
    "lists",
    "services",
    "storage",
    "replaced",
    "locks",
    "other",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_parser_panics_on_a_damaged_answer(damages in prop::collection::vec(damage(), 1..8)) {
        let mut sections = whole();
        for damage in damages {
            apply(&mut sections, damage);
        }
        sound(&sections)?;
    }

    #[test]
    fn no_parser_panics_on_any_bytes(
        lines in prop::collection::vec(prop::collection::vec(any::<Vec<u8>>(), 0..4), NAMES.len()),
        status in prop_oneof![3 => Just(0), 1 => any::<i32>()],
    ) {
        let named = NAMES.iter().zip(lines);
        let sections: Vec<Section> =
            named.map(|(name, lines)| Section { name: (*name).to_owned(), lines, status }).collect();
        sound(&sections)?;
    }

    #[test]
    fn no_parser_panics_on_text_that_is_nearly_right(
        lines in prop::collection::vec(
            prop::collection::vec("(Inst|Remv|Package:|Version:|Depends:| ?\\*\\*\\*|\\[\\{|tcp|x) ?[a-z0-9 .:~|()<=>\\[\\]\t\\-,]{0,40}", 0..6),
            NAMES.len(),
        ),
    ) {
        let named = NAMES.iter().zip(lines);
        let sections: Vec<Section> =
            named.map(|(name, lines)| super::fixture::section(name, &lines.join("\n"))).collect();
        sound(&sections)?;
    }
}

/// As much as the limits let through, chosen to be slow: a test that hangs is one that fails.
#[test]
fn a_hostile_answer_costs_no_more_than_its_length() {
    let filled = |name: &str, most: usize, head: &str, line: &dyn Fn(usize) -> String| {
        let mut lines = head.to_owned();
        for i in 0.. {
            let next = line(i);
            if i >= most || lines.len() + next.len() > 4_190_000 {
                break;
            }
            lines.push_str(&next);
        }
        super::fixture::section(name, &lines)
    };
    let dpkg = filled("dpkg", 16_000, "dpkg\tamd64\t1\tinstall\tok installed\n", &|i| {
        format!("p{i}\tamd64\t1\tinstall\tok installed\n")
    });
    let upgrade = filled(
        "upgrade",
        16_000,
        "16000 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n",
        &|i| format!("Inst p{i} [1] (2 D [amd64])\nRemv p{i} [1]\n"),
    );
    let alternatives: Vec<String> = (0..200).map(|i| format!("p{i} (>= 3)")).collect();
    let depends = filled("depends", 16_000, "", &|i| format!("p{i}\tamd64\t{}\n", alternatives.join("|")));
    let show = filled("show", 8_000, "", &|i| format!("Package: p{i}\nVersion: 2\nArchitecture: amd64\n\n"));
    let policy = filled("policy", 16_000, "p1:\n", &|_| "     2 500 (phased 1%)\n".to_owned());
    let listeners = filled("listeners", 16_000, "", &|i| format!("tcp LISTEN 0 1 *:{} *:*\n", i % 65_536));
    let mut all = vec![dpkg, upgrade, depends, show, policy, listeners];
    all.push(super::fixture::section("lists", ""));
    let read = read(&all, at(0));
    let [Domain::Listeners(Fact::Known(_)), Domain::Updates(Fact::Unknown(why))] = &read[..] else {
        panic!("neither too slow nor too large")
    };
    assert!(why.shown().contains("apt-cache says nothing of p"), "{}", why.shown());
}

/// What the helper's first fragment gives to this one, in small.
const PRELUDE: &str = r#"
set -u
LC_ALL=C; export LC_ALL
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH
hp_begin() { printf '@n begin %s\n' "$1"; }
hp_end() { printf '@n end %s %s\n' "$1" "$2"; }
hp_lines() { sed -e 's/^/|/' -e '$a\'; }
"#;

const FRAGMENT: &str = concat!(
    include_str!("../helper/facts.sh"),
    include_str!("../helper/pins.sh"),
    include_str!("../helper/pause.sh")
);

/// Runs the fragment as a host runs it: the text over standard input, nothing installed.
fn run(tail: &str) -> Vec<Section> {
    let mut shell = Command::new("sh")
        .args(["-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut input = shell.stdin.take().expect("a pipe");
    input.write_all(format!("{PRELUDE}{FRAGMENT}\n{tail}\n").as_bytes()).expect("sh reads");
    drop(input);
    let said = shell.wait_with_output().expect("sh ends");
    assert_eq!(String::from_utf8_lossy(&said.stderr), "", "nothing goes past the frames");
    assert!(said.status.success());
    from_bytes(&said.stdout)
}

fn there(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
    found.is_ok_and(|out| out.status.success())
}

#[test]
fn this_machine_is_read() {
    if !there("dpkg") {
        println!("skipped: no dpkg");
        return;
    }
    let sections = run("hp_facts");
    let read = read(&sections, at(0));
    assert_eq!(read.len(), 10);
    for domain in &read {
        match domain {
            Domain::System(fact) => assert!(!known(fact).hostname.is_empty()),
            Domain::Boot(fact) => assert!(!known(fact).kernel.is_empty()),
            Domain::Network(fact) if there("ip") => {
                assert!(known(fact).addresses.iter().any(|address| address.address.is_loopback()));
            }
            Domain::Packages(fact) => assert!(known(fact).installed.len() > 50),
            Domain::Storage(fact) => {
                assert!(known(fact).iter().any(|one| one.mount.raw() == "/" && one.size > 0))
            }
            Domain::Updates(fact) if sections.iter().any(|one| one.name == "upgrade" && one.status == 0) => {
                println!("{} pending, {} kept", known(fact).pending.len(), known(fact).kept.len());
            }
            // These depend on who runs the test, and where: what matters is that there is a reason.
            Domain::Network(_)
            | Domain::Listeners(_)
            | Domain::Updates(_)
            | Domain::Services(_)
            | Domain::Replaced(_)
            | Domain::Locks(_) => println!("{domain:?}"),
        }
    }
}

#[test]
fn the_helper_asks_apt_for_the_same_machine_as_we_do() {
    assert!(FRAGMENT.contains(&format!("\nHP_PHASING_ID={}\n", super::PHASING_ID)));
}

#[test]
fn only_the_domains_asked_for_are_printed() {
    if !there("dpkg") {
        println!("skipped: no dpkg");
        return;
    }
    let names: Vec<String> =
        run("hp_facts locks no-such-domain system").into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["locks", "unattended", "system", "os-release"]);
}

#[test]
fn a_tool_that_is_missing_or_fails_is_a_status_with_its_reason() {
    // The tools as functions that behave as a host without them, or with broken ones, does.
    let sections =
        run("ss() { return 127; }; df() { echo half; echo 'df: /x: Stale file handle' >&2; return 1; }
timeout() { shift; \"$@\"; }
ip() { case \"$*\" in *addr*) printf '[{\"ifname\":\"lo\",\"addr_info\":[]}]' ;; *) echo '[]' ;; esac; }
hp_facts listeners storage network");
    let read = read(&sections, at(0));
    let [Domain::Network(network), Domain::Listeners(listeners), Domain::Storage(storage)] = &read[..] else {
        panic!("{read:?}")
    };
    assert!(known(network).addresses.is_empty());
    assert_eq!(*listeners, Fact::Unknown("listeners: the tool that tells is not on the host".into()));
    assert_eq!(*storage, Fact::Unknown("storage: ended with status 1: df: /x: Stale file handle".into()));
}

#[test]
fn marks_and_names_reach_apt_as_they_are() {
    // apt as a function that prints what Ubuntu's prints, and shows what it was asked.
    let sections = run(r#"
hp_facts_simulate() {
    printf '%s\n' 'The following upgrades have been deferred due to phasing:' '  distro-info-data' \
        'The following packages have been kept back:' '  libc6:i386 g++' \
        'The following packages will be upgraded:' '  zip' \
        'Inst zip [1] (1:2~x Ubuntu:24.04/noble-updates [amd64])' 'Inst ;reboot [1] (2 X [amd64])' \
        'Inst new:i386 (2 X [i386])'
}
xargs() { while read -r line; do printf 'asked: %s\n' "$* $line"; done; }
hp_facts_print_show() { hp_facts_pending; }
hp_facts updates"#);
    let lines = |name: &str| {
        let section = sections.iter().find(|one| one.name == name).expect(name);
        section.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines("show"), ["zip=1:2~x", "new:i386=2"]);
    assert!(lines("depends")[0].ends_with("zip"));
    let asked: Vec<String> =
        lines("policy").iter().map(|line| line.rsplit(' ').next().expect("a word").to_owned()).collect();
    assert_eq!(asked[..3], ["distro-info-data", "libc6:i386", "g++"]);
}
