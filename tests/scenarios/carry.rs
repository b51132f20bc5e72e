//! Package files that a host can't get by itself: from another host through the cockpit, from a snapshot
//! archive, repacked at the very last; and none that is not the one.

use holdpoint::core::event::{Check, Origin, Source};
use holdpoint::host::carry::{Carriage, FileOf, Offer, Piece, Taken};
use holdpoint::host::frame::{End, RefusalCode};
use holdpoint::host::operation::{OperationState, Spec};
use holdpoint::host::outcome::{Side, StageResult};
use holdpoint::host::said::Said;
use holdpoint::host::verb::Verb;
use holdpoint::types::Sha256;

use crate::host::{Host, change, host};

/// The old version leaves the archive, its index included, and nothing could repack it.
const GONE: &str = r#"
cd /archive
rm hpt-data_1.0_all.deb
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/^Package: hpt-data\nVersion: 1.0\n/' Packages >Packages.new
mv Packages.new Packages
apt-get -q update >/dev/null 2>&1
rm -f /usr/bin/dpkg-repack
"#;

fn data() -> Spec {
    Spec::new(vec![change("hpt-data:all", "1.0", "2.0")])
}

fn file(text: &str) -> FileOf {
    text.parse().expect("NAME ARCH VERSION")
}

fn offers(host: &Host, files: &[&str]) -> Vec<Offer> {
    let have = Verb::Have(files.iter().map(|text| file(text)).collect());
    match have.read(&host.ask(&have)) {
        Ok(Said::Files(offers)) => offers,
        said => panic!("{said:?}"),
    }
}

fn piece(host: &Host, give: &Verb) -> Piece {
    match give.read(&host.ask(give)) {
        Ok(Said::Piece(piece)) => piece,
        said => panic!("{said:?}"),
    }
}

fn taken(host: &Host, take: &Verb) -> Taken {
    match take.read(&host.ask(take)) {
        Ok(Said::Taken(taken)) => taken,
        said => panic!("{said:?}"),
    }
}

/// Carries a file over as the cockpit does, each piece twice, as after a lost answer. How many pieces.
fn carry(from: &Host, to: &Host, offer: Offer, batch: &str) -> usize {
    let mut carriage = Carriage::new(offer, "web2".parse().expect("a host"), batch.parse().expect("an id"));
    for count in 1.. {
        let piece = piece(from, &carriage.give());
        let bytes = piece.bytes();
        let take = carriage.take(piece).expect("fits");
        let first = taken(to, &take);
        assert_eq!(taken(to, &take), first);
        if carriage.taken(bytes, first).expect("adds up") {
            return count;
        }
    }
    unreachable!("a carriage ends")
}

fn origin(staged: &StageResult, side: Side) -> &Origin {
    let found = staged.sources.iter().find(|(of, _, _)| *of == side);
    found.map(|(_, _, origin)| origin).unwrap_or_else(|| panic!("{staged:#?}"))
}

fn carried(host: &Host) -> String {
    host.inside.sh("ls /var/lib/holdpoint/batches/*/carried 2>/dev/null || :")
}

#[test]
fn what_left_the_archive_comes_from_another_host_and_goes_back_identical() {
    let (Some(peer), Some(host)) = (host(), host()) else { return };
    let (state, staged, log) = peer.stage("rehearsal", data());
    assert_eq!(state, OperationState::Done(0), "{log}");
    let archive = Origin { source: Source::Archive, check: Check::Index };
    assert_eq!((origin(&staged, Side::New), origin(&staged, Side::Old)), (&archive, &archive));
    host.inside.sh(GONE);
    let before = host.portrait();

    let (state, staged, log) = host.stage("b1", data().near());
    assert_eq!((state, staged.missing_old.len()), (OperationState::Done(1), 1), "{staged:#?}\n{log}");
    assert!(!log.contains("simulating"), "others are asked first: {log}");
    let offers = offers(&peer, &["hpt-data all 1.0", "hpt-data all 9.9", "hpt-app amd64 1.0-1"]);
    assert_eq!(offers.len(), 1, "what no batch stored and no cache has is not offered");
    assert_eq!(carry(&peer, &host, offers[0].clone(), "b1"), 1);

    let (state, staged, log) = host.stage("b1", data());
    assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
    assert_eq!(staged.reverse_ok, Some(true), "{log}");
    let from = Origin { source: Source::Host("web2".parse().expect("a host")), check: Check::Installed };
    assert_eq!(origin(&staged, Side::Old), &from);
    assert_eq!(carried(&host), "", "nothing of it is left over");
    // Staged again it is still known where it came from.
    let (state, staged, log) = host.stage("b1", data());
    assert_eq!((state, origin(&staged, Side::Old)), (OperationState::Done(0), &from), "{log}");

    let (state, _, log) = host.apply("b1");
    assert_eq!(state, OperationState::Done(0), "{log}");
    let take =
        Carriage::new(offers[0].clone(), "web2".parse().expect("a host"), "b1".parse().expect("an id"));
    let late = take.take(piece(&peer, &take.give())).expect("fits");
    assert_eq!(host.refused(&late, 5), RefusalCode::Usage, "nothing is taken for what is applied");
    let (state, back, log) = host.rollback("b1");
    assert_eq!((state, back.identical), (OperationState::Done(0), Some(true)), "{log}");
    host.is_as(&before, "at the end");
}

/// A package of 1.2 MB, in the cache of the host that is to give it.
const BIG: &str = r#"
mkdir -p /big/DEBIAN /big/usr/share/hpt-big
head -c 1200000 /dev/urandom >/big/usr/share/hpt-big/data
printf 'Package: hpt-big\nVersion: 1:1.0~rc1+b1\nArchitecture: all\nMaintainer: nobody <nobody@example>\nDescription: a package of a test\n' >/big/DEBIAN/control
dpkg-deb -Znone -b /big /var/cache/apt/archives/hpt-big_1%3a1.0~rc1+b1_all.deb >/dev/null
"#;

#[test]
fn a_file_comes_in_pieces_and_is_used_only_as_the_whole_that_was_announced() {
    let (Some(peer), Some(host)) = (host(), host()) else { return };
    peer.inside.sh(BIG);
    let offer = offers(&peer, &["hpt-big all 1:1.0~rc1+b1"]).remove(0);
    let spec = |sha256: Sha256| {
        let mut new = change("hpt-big:all", "-", "1:1.0~rc1+b1");
        new.sha256 = Some(sha256);
        Spec::new(vec![new])
    };
    let (state, staged, _) = host.stage("b1", spec(offer.sha256).near());
    assert_eq!((state, staged.missing_new.len()), (OperationState::Done(1), 1), "{staged:#?}");

    let carriage =
        Carriage::new(offer.clone(), "web2".parse().expect("a host"), "b1".parse().expect("an id"));
    let first = piece(&peer, &carriage.give());
    let take = |offer: &Offer, offset: u64, piece: &Piece| Verb::Take {
        batch: "b1".parse().expect("an id"),
        file: offer.file.clone(),
        size: offer.size,
        sha256: offer.sha256,
        from: "web2".parse().expect("a host"),
        offset,
        piece: piece.clone(),
    };
    // Out of order, of an older cockpit, for a batch that does not wait for it.
    assert_eq!(host.refused(&take(&offer, 524_288, &first), 5), RefusalCode::Usage);
    assert_eq!(host.refused(&take(&offer, 0, &first), 4), RefusalCode::StaleEpoch);
    let other = Offer { file: file("hpt-data all 1.0"), ..offer.clone() };
    assert_eq!(host.refused(&take(&other, 0, &first), 5), RefusalCode::Usage);
    // Larger than there is room for.
    let huge = Offer { size: 2_000_000_000, ..offer.clone() };
    assert_eq!(host.refused(&take(&huge, 0, &first), 5), RefusalCode::NoSpace);
    // Another file than was announced: of another hash, and of another package.
    let small = Offer { size: first.bytes(), ..offer.clone() };
    assert_eq!(host.refused(&take(&small, 0, &first), 5), RefusalCode::Mismatch);
    assert_eq!(carried(&host), "", "nothing half is kept");

    assert_eq!(carry(&peer, &host, offer.clone(), "b1"), 3);
    let (state, staged, log) = host.stage("b1", spec(offer.sha256));
    assert_eq!(state, OperationState::Done(0), "{staged:#?}\n{log}");
    let from = Origin { source: Source::Host("web2".parse().expect("a host")), check: Check::Hash };
    assert_eq!(origin(&staged, Side::New), &from);
    assert_eq!(staged.packages[0].new, Some(offer.sha256));

    // Whatever a host gives, the rehearsed hash decides.
    let (state, staged, _) = host.stage("b2", spec(Sha256::from_bytes([7; 32])).near());
    assert_eq!((state, staged.missing_new.len()), (OperationState::Done(1), 1));
    carry(&peer, &host, offer, "b2");
    let (state, staged, _) = host.stage("b2", spec(Sha256::from_bytes([7; 32])));
    assert_eq!((state, staged.mismatches.len()), (OperationState::Done(1), 1), "{staged:#?}");
}

#[test]
fn a_disk_that_is_full_on_the_way_leaves_nothing_half_used() {
    let (Some(peer), Some(host)) = (host(), host()) else { return };
    peer.inside.sh(BIG);
    let offer = offers(&peer, &["hpt-big all 1:1.0~rc1+b1"]).remove(0);
    let mut new = change("hpt-big:all", "-", "1:1.0~rc1+b1");
    new.sha256 = Some(offer.sha256);
    host.stage("b1", Spec::new(vec![new]).near());
    let mut carriage = Carriage::new(offer, "web2".parse().expect("a host"), "b1".parse().expect("an id"));
    let first = piece(&peer, &carriage.give());
    let bytes = first.bytes();
    let answer = taken(&host, &carriage.take(first).expect("fits"));
    assert_eq!((answer.next, carriage.taken(bytes, answer)), (bytes, Ok(false)));
    host.inside.sh("head -c 1G /dev/zero >/var/fill 2>/dev/null || :");
    let second = carriage.take(piece(&peer, &carriage.give())).expect("fits");
    assert_eq!(host.refused(&second, 5), RefusalCode::NoSpace);
    host.inside.sh("rm /var/fill");
    let (state, staged, _) = host.stage("b1", Spec::new(vec![change("hpt-data:all", "1.0", "2.0")]));
    assert_eq!(state, OperationState::Done(0), "{staged:#?}");
    assert_eq!(carried(&host), "");
}

/// Makes a package that says it is hpt-data 1.0, of what is in /forged, and puts it where apt caches.
const FORGE: &str = "dpkg-deb -Znone -b /forged /var/cache/apt/archives/hpt-data_1.0_all.deb >/dev/null";

#[test]
fn an_old_file_that_is_not_what_is_installed_is_never_used() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("cp /archive/hpt-data_1.0_all.deb /true.deb\n{GONE}"));
    for (what, forge) in [
        ("another content", "echo 'data, changed' >/forged/usr/share/hpt-data/data"),
        // The list of sums of the installed one, copied into a file that holds something else.
        (
            "another content under the same sums",
            "cp /var/lib/dpkg/info/hpt-data.md5sums /forged/DEBIAN/md5sums; echo x >/forged/usr/share/hpt-data/data",
        ),
        ("another script", "echo 'touch /forged.ran' >>/forged/DEBIAN/postinst"),
        ("a script less", "rm /forged/DEBIAN/prerm"),
        ("a file more", "mkdir -p /forged/usr/bin; echo x >/forged/usr/bin/hpt-more"),
        ("a file less", "rm -r /forged/usr"),
    ] {
        host.inside.sh(&format!("rm -rf /forged; dpkg-deb -R /true.deb /forged; {forge}; {FORGE}"));
        let (state, staged, log) = host.stage("b1", data());
        assert_eq!(
            (state, staged.missing_old.len()),
            (OperationState::Done(0), 1),
            "{what}: {staged:#?}\n{log}"
        );
        assert_eq!(
            staged.missing_old[0].why.raw(),
            "what was found of 1.0 is not what is installed here",
            "{what}"
        );
        assert_eq!((staged.packages[0].old, staged.reverse_ok), (None, Some(false)), "{what}");
    }
    host.inside.sh("cp /true.deb /var/cache/apt/archives/hpt-data_1.0_all.deb");
    let (state, staged, log) = host.stage("b1", data());
    assert_eq!((state, staged.reverse_ok), (OperationState::Done(0), Some(true)), "{staged:#?}\n{log}");
    assert_eq!(origin(&staged, Side::Old), &Origin { source: Source::Cache, check: Check::Installed });

    // Without a list of sums nothing can tell, and that is said.
    host.inside.sh("rm /var/lib/dpkg/info/hpt-data.md5sums");
    let (state, staged, log) = host.stage("b2", data());
    assert_eq!((state, staged.reverse_ok), (OperationState::Done(0), Some(true)), "{staged:#?}\n{log}");
    assert_eq!(origin(&staged, Side::Old), &Origin { source: Source::Cache, check: Check::Unverified });
}

/// What another host gave may say all the right things in its lists, and hold what no list has a sum for.
#[test]
fn a_carried_file_holds_nothing_that_is_not_on_record() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("cp /archive/hpt-data_1.0_all.deb /true.deb\n{GONE}"));
    let (state, staged, _) = host.stage("b1", data().near());
    assert_eq!((state, staged.missing_old.len()), (OperationState::Done(1), 1), "{staged:#?}");
    let folder = "/var/lib/holdpoint/batches/b1/carried";
    let give = format!(
        "mkdir -p {folder}; dpkg-deb -Znone -b /forged {folder}/hpt-data_1.0_all.deb >/dev/null
         echo web2 >{folder}/hpt-data_1.0_all.deb.from"
    );
    let share = "/forged/usr/share/hpt-data";
    for (what, forge) in [
        ("a file that runs as root", format!("chmod 4755 {share}/data")),
        ("a file for everybody to write", format!("chmod 666 {share}/data")),
        ("another owner", format!("chown 1234 {share}/data")),
        (
            "a link in a file's place",
            format!("cp {share}/data /same; rm {share}/data; ln -s /same {share}/data"),
        ),
        ("a link more", format!("ln -s /etc/shadow {share}/more")),
        ("a link more to a folder", format!("ln -s /etc {share}/more")),
        ("a hard link more", format!("ln {share}/data {share}/more")),
        ("a device more", format!("mknod {share}/more c 1 3")),
        ("a pipe more", format!("mkfifo {share}/more")),
        ("a folder more", format!("mkdir -m 1777 {share}/more")),
        ("a folder with its group's right", format!("chmod 2775 {share}")),
    ] {
        host.inside.sh(&format!("rm -rf /forged {folder}; dpkg-deb -R /true.deb /forged; {forge}; {give}"));
        let (_, staged, log) = host.stage("b1", data());
        assert_eq!(staged.missing_old.len(), 1, "{what}: {staged:#?}\n{log}");
        assert_eq!((staged.packages[0].old, staged.reverse_ok), (None, Some(false)), "{what}");
    }
    host.inside.sh(&format!("rm -rf /forged {folder}; dpkg-deb -R /true.deb /forged; {give}"));
    let (state, staged, log) = host.stage("b1", data());
    assert_eq!((state, staged.reverse_ok), (OperationState::Done(0), Some(true)), "{staged:#?}\n{log}");
    assert_eq!(origin(&staged, Side::Old).check, Check::Installed);
}

/// What stands in for dpkg-repack: the file as it was, so that a rollback of it can be judged.
const REPACK: &str = r#"
printf '#!/bin/sh\ncp /true.deb hpt-data_1.0_all.deb\n' >/usr/bin/dpkg-repack
chmod 755 /usr/bin/dpkg-repack
"#;

#[test]
fn a_snapshot_archive_is_asked_after_all_others_and_repacking_is_the_last() {
    let Some(host) = host() else { return };
    host.inside.sh(&format!("cp /archive/hpt-data_1.0_all.deb /true.deb\n{GONE}\n{REPACK}"));
    let with_url = |url: &str| data().with_urls(vec![(file("hpt-data all 1.0"), url.to_owned())]);
    let url = "http://127.0.0.1:8099/pool/h%2B/hpt-data_1.0_all.deb";

    // Not reached, and then not the one: repacked, which is said and is nothing to give to others.
    let (state, staged, log) = host.stage("b1", with_url(url));
    assert_eq!((state, staged.reverse_ok), (OperationState::Done(0), Some(true)), "{staged:#?}\n{log}");
    let repacked = Origin { source: Source::Repacked, check: Check::Unverified };
    assert_eq!((staged.repacked.len(), origin(&staged, Side::Old)), (1, &repacked));
    assert!(offers(&host, &["hpt-data all 1.0"]).is_empty());
    let give = Verb::Give { file: file("hpt-data all 1.0"), offset: 0 };
    assert_eq!(host.refused(&give, 0), RefusalCode::NoFile);
    // Near means near, also where it was repacked before.
    let (state, staged, _) = host.stage("b1", data().near());
    assert_eq!((state, staged.missing_old.len(), staged.repacked.len()), (OperationState::Done(1), 1, 0));

    host.inside
        .sh("mkdir -p /srv/pool/h+; cp /archive/hpt-lib_1.0-1_amd64.deb /srv/pool/h+/hpt-data_1.0_all.deb");
    let served = host.inside.run(&["busybox", "httpd", "-p", "127.0.0.1:8099", "-h", "/srv"], b"");
    if !served.status.success() {
        println!("skipped: busybox can't serve: {}", String::from_utf8_lossy(&served.stderr));
        return;
    }
    let (_, staged, log) = host.stage("b1", with_url(url));
    assert_eq!(origin(&staged, Side::Old), &repacked, "{log}");
    host.inside.sh("cp /true.deb /srv/pool/h+/hpt-data_1.0_all.deb");
    let (state, staged, log) = host.stage("b1", with_url(url));
    assert_eq!((state, staged.reverse_ok), (OperationState::Done(0), Some(true)), "{staged:#?}\n{log}");
    let snapshot = Origin { source: Source::Snapshot, check: Check::Installed };
    assert_eq!((staged.repacked.len(), origin(&staged, Side::Old)), (0, &snapshot));
    // What came from there can be given on.
    assert_eq!(offers(&host, &["hpt-data all 1.0"]).len(), 1);

    // And a new file, where a hash is agreed that it can be held to.
    let hash = host.inside.sh("sha256sum /archive/hpt-data_2.0_all.deb | cut -c 1-64");
    host.inside.sh("mv /archive/hpt-data_2.0_all.deb /srv/pool/new.deb");
    for (hash, exit) in [("ab".repeat(32), 1), (hash.trim().to_owned(), 0)] {
        let mut new = change("hpt-data:all", "1.0", "2.0");
        new.sha256 = Some(hash.parse().expect("a hash"));
        let urls = vec![(file("hpt-data all 2.0"), "http://127.0.0.1:8099/pool/new.deb".to_owned())];
        let (state, staged, log) = host.stage("b2", Spec::new(vec![new]).with_urls(urls));
        assert_eq!(state, OperationState::Done(exit), "{staged:#?}\n{log}");
        assert_eq!(staged.mismatches.len(), usize::from(exit == 1));
    }
}

#[test]
fn hostile_words_about_files_are_refused() {
    let Some(host) = host() else { return };
    let (hash, zeds) = ("ab".repeat(32), "zz".repeat(32));
    let refused = |words: &[&str], input: &str| {
        let asked = host.call(words, input.as_bytes()).unwrap_or_else(|e| panic!("{words:?} {input:?}: {e}"));
        let End::Refused(refusal) = asked.answer.end else { panic!("{words:?} {input:?}: {}", asked.raw) };
        assert_eq!(refusal.code, RefusalCode::Usage, "{words:?} {input:?}");
    };
    let good = ["1", "take", "b", "5", &hash, "web2", "0"];
    for words in [
        &["0", "give", "-1"][..],
        &["0", "give"],
        &["0", "have", "hpt-data"],
        &["1", "take", "../b", "5", &hash, "web2", "0"],
        &["1", "take", "b", "0", &hash, "web2", "0"],
        &["1", "take", "b", "2147483649", &hash, "web2", "0"],
        &["1", "take", "b", "5", &hash[1..], "web2", "0"],
        &["1", "take", "b", "5", &zeds, "web2", "0"],
        &["1", "take", "b", "5", &hash, "-web2", "0"],
        &["1", "take", "b", "5", &hash, "web:2", "0"],
        &["1", "take", "b", "5", &hash, "web2", "x"],
        &["1", "take", "b", "5", &hash, "web2"],
        // There is no batch yet.
        &good,
    ] {
        refused(words, "hpt-data all 1.0\naGVsbG8=\nend\n");
    }
    host.stage("b", data());
    let long = format!("hpt-data all {}\nend\n", "1".repeat(300));
    for file in
        ["", "end\n", "hpt-data all\nend\n", "../x all 1\nend\n", "x1 a_l 1\nend\n", "-o all 1\nend\n", &long]
    {
        refused(&["0", "give", "0"], file);
        refused(&good, &file.replace("end", "aGVsbG8=\nend"));
    }
    refused(&["0", "give", "0"], "hpt-data all 1.0\nhpt-data all 1.0\nend\n");
    for files in ["", "end\n", "hpt-data all\nend\n", "hpt-data all 1;x\nend\n", "-o all 1\nend\n"] {
        refused(&["0", "have"], files);
    }
    for lines in ["", "end\n", "aGVsbG8=\n", "aGVs bG8=\nend\n", "$(x)\nend\n", "aGVsbG8\nend\n"] {
        refused(&good, &format!("hpt-data all 1.0\n{lines}"));
    }
    let line = "package\thpt-data\tall\t1.0\t2.0\t-\n";
    for more in [
        "sources\tfar\n",
        "sources\tnear\nsources\tnear\n",
        "url\thpt-data\tall\t1.0\tfile:///etc/shadow\n",
        "url\thpt-data\tall\t1.0\thttp://a/$(x)\n",
        "url\thpt-data\tall\t1.0\thttp://a/;x\n",
        "url\thpt-data\tall\t1.0\thttp://u:p@a/x\n",
        "url\thpt-data\tall\t-\thttp://a/x\n",
        "url\thpt-data\tall\t1.0\thttp://a/x y\n",
    ] {
        refused(&["1", "start", "op", "stage", "c"], &format!("{line}{more}end\n"));
    }
    assert_eq!(
        host.inside.sh("ls /var/lib/holdpoint | grep -e have -e piece || :"),
        "",
        "nothing is left over"
    );
}
