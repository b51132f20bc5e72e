//! A host's packets, out of what a recording keeps of them, into a file of their own beside it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::capture::pick;
use crate::tui::ui::Chosen;
use crate::types::{Time, Untrusted};

/// The longest file that is read, in bytes: those that are kept are half as long.
const LONGEST: u64 = 64 << 20;

/// Writes them into `folder`, and says how that went.
pub(super) fn packets(folder: &Path, chosen: &Chosen, at: Time) -> String {
    let shown = |path: &Path| Untrusted::from_bytes(path.as_os_str().as_encoded_bytes()).shown();
    let path = folder.join(format!("packets-{}-{}.pcapng", chosen.of, at.format("%Y%m%dT%H%M%SZ")));
    match write(folder, chosen, &path) {
        Ok(0) => format!("no packets of {} are kept", chosen.of),
        Ok(count) => format!("{count} packets of {} written to {}", chosen.of, shown(&path)),
        Err(error) => format!("not written: {error}"),
    }
}

fn write(folder: &Path, chosen: &Chosen, path: &Path) -> io::Result<u64> {
    let (mut out, mut count) = (Vec::new(), 0);
    let mut to = None;
    for file in files(&folder.join("captures"), chosen.host.as_str())? {
        let bytes = read(&file)?;
        out.clear();
        let picked = pick(&bytes, chosen.address, &mut out).map_err(io::Error::other)?;
        if picked == 0 {
            continue;
        }
        count += picked;
        let to = match &mut to {
            Some(to) => to,
            None => to.insert(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?),
        };
        // A file of this form may hold several.
        to.write_all(&out)?;
    }
    Ok(count)
}

/// A host's files, the oldest first.
fn files(folder: &Path, host: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(host)?.strip_suffix(".pcapng"));
        let number = rest.and_then(|rest| match rest.strip_prefix('.') {
            Some(number) => number.parse::<u32>().ok(),
            None => rest.is_empty().then_some(u32::MAX),
        });
        // What is no plain file leads out of the recording.
        if let Some(number) = number.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::builder::{sll2, tcp_packet};
    use crate::capture::pcapng::{About, Writer};
    use crate::capture::{Interfaces, Raw, link};

    fn kept(ports: &[u16]) -> Vec<u8> {
        let (host, interfaces) = ("web1".parse().expect("a name"), Interfaces::default());
        let (filter, note) = ("", "");
        let (link, snap) = (link::SLL2, 128);
        let about =
            About { host: &host, link, snap, interfaces: &interfaces, filter, clock: 0, offset: 0, note };
        let mut writer = Writer::default();
        let mut out = writer.begin(&about);
        for port in ports {
            let from = std::net::SocketAddr::new([198, 51, 100, 7].into(), *port);
            let to = "192.0.2.32:443".parse().expect("an end");
            let bytes = sll2(1, 0, 0x0800, &tcp_packet(from, to, 2, 1, 0, &[]));
            writer.packet(link, &Raw { at: 1, length: 60, bytes: &bytes }, &mut out);
        }
        out
    }

    #[test]
    fn all_files_of_a_host_become_one_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let at: Time = "2026-11-21T22:04:05Z".parse().expect("a moment");
        let chosen = |of: &str, address: Option<&str>| {
            let address = address.map(|address| address.parse().expect("an address"));
            Chosen { host: "web1".parse().expect("a name"), address, of: of.to_owned() }
        };
        assert_eq!(packets(folder.path(), &chosen("web1", None), at), "no packets of web1 are kept");
        let captures = folder.path().join("captures");
        fs::create_dir(&captures).expect("made");
        for (name, ports) in [
            ("web1.pcapng", &[4][..]),
            ("web1.2.pcapng", &[1]),
            ("web1.10.pcapng", &[2, 3]),
            ("web11.pcapng", &[9]),
            ("web1.x.pcapng", &[9]),
        ] {
            fs::write(captures.join(name), kept(ports)).expect("written");
        }
        std::os::unix::fs::symlink("/etc/passwd", captures.join("web1.3.pcapng")).expect("made");
        let said = packets(folder.path(), &chosen("globex", Some("192.0.2.32")), at);
        let path = folder.path().join("packets-globex-20261121T220405Z.pcapng");
        assert_eq!(said, format!("4 packets of globex written to {}", path.display()));
        assert_eq!(fs::read(&path).expect("there"), [kept(&[1]), kept(&[2, 3]), kept(&[4])].concat());
        let none = packets(folder.path(), &chosen("acme", Some("192.0.2.33")), at);
        assert_eq!(none, "no packets of acme are kept");
        assert!(packets(folder.path(), &chosen("globex", None), at).starts_with("not written: "), "once");
    }
}
