//! What apt and dpkg print: simulations, and the log of an installation. Pure.

use super::archive::{Row, size};
use super::model::{Host, section};
use crate::facts::Section;
use crate::host::operation::Wanted;
use crate::types::{PackageId, Version};

/// One package at work.
pub(super) struct Change<'a> {
    pub id: &'a PackageId,
    pub from: Option<&'a Version>,
    pub to: Option<&'a Version>,
    /// Whether it sets the network up anew.
    pub network: bool,
}

/// The name as apt prints it: without the architecture, which is the native one or none.
fn names<'a>(ids: impl Iterator<Item = &'a PackageId>) -> Vec<String> {
    let mut words: Vec<String> = ids.map(|id| id.name.to_string()).collect();
    words.sort();
    // apt breaks its lists at 80 columns.
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words {
        if line.len() + word.len() > 76 {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "  " } else { " " });
        line.push_str(&word);
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    lines
}

fn list(lines: &mut Vec<String>, heading: &str, names: Vec<String>) {
    if !names.is_empty() {
        lines.push(heading.to_owned());
        lines.extend(names);
    }
}

const READING: [&str; 3] =
    ["Reading package lists...", "Building dependency tree...", "Reading state information..."];

fn inst(row: &Row, from: Option<&Version>, to: &Version) -> [String; 2] {
    let target = format!("({to} {} [{}])", row.origin(), row.id.arch);
    let from = from.map_or(String::new(), |from| format!("[{from}] "));
    [format!("Inst {} {from}{target}", row.id.name), format!("Conf {} {target}", row.id.name)]
}

/// `apt-get -s upgrade --with-new-pkgs`.
pub(super) fn upgrade(host: &Host) -> Vec<String> {
    let (pending, kept) = host.offered();
    let here = |row: &Row| host.installed.get(&row.id).map(|here| here.version.clone());
    let (new, upgraded): (Vec<&Row>, Vec<&Row>) = pending.iter().partition(|row| here(row).is_none());
    let (phased, back): (Vec<&Row>, Vec<&Row>) =
        kept.iter().partition(|row| row.kept == Some(super::archive::Kept::Phased));
    let mut lines: Vec<String> = READING.iter().map(|line| (*line).to_owned()).collect();
    lines.push("Calculating upgrade...".to_owned());
    let ids = |rows: &[&Row]| names(rows.iter().map(|row| &row.id));
    list(&mut lines, "The following NEW packages will be installed:", ids(&new));
    list(&mut lines, "The following upgrades have been deferred due to phasing:", ids(&phased));
    list(&mut lines, "The following packages have been kept back:", ids(&back));
    list(&mut lines, "The following packages will be upgraded:", ids(&upgraded));
    lines.push(format!(
        "{} upgraded, {} newly installed, 0 to remove and {} not upgraded.",
        upgraded.len(),
        new.len(),
        kept.len()
    ));
    let mut conf = Vec::new();
    for row in &pending {
        let Some(to) = &row.to else { continue };
        let [inst, done] = inst(row, here(row).as_ref(), to);
        lines.push(inst);
        conf.push(done);
    }
    lines.extend(conf);
    lines
}

/// `apt-get -s install` of these.
pub(super) fn simulation(host: &Host, wanted: &[Wanted]) -> Section {
    let mut lines: Vec<String> = READING.iter().map(|line| (*line).to_owned()).collect();
    let (mut removes, mut installs, mut conf) = (Vec::new(), Vec::new(), Vec::new());
    let (mut upgraded, mut new) = (0, 0);
    for one in wanted {
        match one {
            Wanted::Remove(id) => {
                if let Some(here) = host.installed.get(id) {
                    removes.push(format!("Remv {} [{}]", id.name, here.version));
                }
            }
            Wanted::Install(id, to) => {
                let Some((row, _)) = host.archive.release(id, to) else {
                    lines.push(format!("E: Version '{to}' for '{}' was not found", id.name));
                    return Section { status: 100, ..section("simulation", lines) };
                };
                let from = host.installed.get(id).map(|here| &here.version);
                if from == Some(to) {
                    lines.push(format!("{} is already the newest version ({to}).", id.name));
                    continue;
                }
                if from.is_some() {
                    upgraded += 1
                } else {
                    new += 1
                }
                let [inst, done] = inst(row, from, to);
                installs.push(inst);
                conf.push(done);
            }
        }
    }
    let (pending, kept) = host.offered();
    let rest = (pending.len() + kept.len()).saturating_sub(upgraded + new);
    lines.push(format!(
        "{upgraded} upgraded, {new} newly installed, {} to remove and {rest} not upgraded.",
        removes.len()
    ));
    lines.extend(removes.into_iter().chain(installs).chain(conf));
    section("simulation", lines)
}

/// `apt-cache show` of what is pending, in the fields that are read.
pub(super) fn show(host: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    for row in host.offered().0 {
        let Some(to) = &row.to else { continue };
        lines.push(format!("Package: {}", row.id.name));
        if row.source != row.id.name {
            lines.push(format!("Source: {}", row.source));
        }
        lines.push(format!("Version: {to}"));
        lines.push(format!("Architecture: {}", row.id.arch));
        let depends: Vec<String> = row.depends.iter().map(ToString::to_string).collect();
        if !depends.is_empty() {
            lines.push(format!("Depends: {}", depends.join(", ")));
        }
        lines.push(format!("Section: {}", row.section));
        lines.push(format!("Size: {}", size(&row.id, to)));
        lines.push(format!("SHA256: {}", super::archive::sha256(&row.id, to)));
        lines.push(String::new());
    }
    lines
}

/// What the pending ones need as they are installed now.
pub(super) fn depends(host: &Host) -> Vec<String> {
    let here = |row: &&Row| host.installed.get(&row.id).map(|here| (row.id.clone(), here.version.clone()));
    let installed = host.offered().0.iter().filter_map(here).collect::<Vec<_>>();
    let line = |(id, version): (PackageId, Version)| {
        let depends: Vec<String> =
            host.archive.depends(&id, &version).iter().map(ToString::to_string).collect();
        format!("{}\t{}\t, {}", id.name, id.arch, depends.join(", "))
    };
    installed.into_iter().map(line).collect()
}

/// `apt-cache policy` of what is kept back.
pub(super) fn policy(host: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    for row in host.offered().1 {
        let (Some(here), Some(to)) = (host.installed.get(&row.id), &row.to) else { continue };
        let phased = if row.kept == Some(super::archive::Kept::Phased) { " (phased 20%)" } else { "" };
        lines.extend([
            format!("{}:", row.id.name),
            format!("  Installed: {}", here.version),
            format!("  Candidate: {to}"),
            "  Version table:".to_owned(),
            format!("     {to} 500{phased}"),
            "        500 http://deb.example bookworm/main amd64 Packages".to_owned(),
            format!(" *** {} 100", here.version),
            "        100 /var/lib/dpkg/status".to_owned(),
        ]);
    }
    for row in host.archive.of_host(&host.profile.rows).into_iter().filter(|row| host.is_pinned(row)) {
        let (Some(here), Some(to)) = (host.installed.get(&row.id), &row.to) else { continue };
        lines.extend([
            format!("{}:", row.id.name),
            format!("  Installed: {}", here.version),
            format!("  Candidate: {}", here.version),
            "  Version table:".to_owned(),
            format!("     {to} -1"),
            "        500 http://deb.example bookworm/main amd64 Packages".to_owned(),
            format!(" *** {} 100", here.version),
            "        100 /var/lib/dpkg/status".to_owned(),
        ]);
    }
    lines
}

/// A file that is fetched.
pub(super) fn get(number: usize, id: &PackageId, version: &Version) -> String {
    let suite = "http://deb.example bookworm/main";
    format!("Get:{number} {suite} {} {} {version} [{}]", id.arch, id.name, bytes(size(id, version)))
}

/// Bytes as apt prints them.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// `nginx_1%3a1.22_amd64.deb` without its epoch, as dpkg shows it on the way.
fn file(at: usize, id: &PackageId, version: &Version) -> String {
    let version = version.as_str().split_once(':').map_or(version.as_str(), |(_, rest)| rest);
    format!(".../{at:02}-{}_{version}_{}.deb", id.name, id.arch)
}

/// dpkg's name of a package: with its architecture where several may be installed side by side.
fn full(id: &PackageId) -> String {
    if id.name.as_str().starts_with("lib") && id.arch.as_str() != "all" {
        id.to_string()
    } else {
        id.name.to_string()
    }
}

/// What apt says before it begins.
pub(super) fn opening(changes: &[Change<'_>], kept: usize) -> Vec<String> {
    let of = |take: fn(&Change<'_>) -> bool| names(changes.iter().filter(|c| take(c)).map(|c| c.id));
    let count = |take: fn(&Change<'_>) -> bool| changes.iter().filter(|c| take(c)).count();
    let new: fn(&Change<'_>) -> bool = |c| c.from.is_none();
    let gone: fn(&Change<'_>) -> bool = |c| c.to.is_none();
    let up: fn(&Change<'_>) -> bool = |c| c.from.is_some() && c.to > c.from;
    let down: fn(&Change<'_>) -> bool = |c| c.from.is_some() && c.to.is_some() && c.to < c.from;
    let mut lines: Vec<String> = READING.iter().map(|line| (*line).to_owned()).collect();
    list(&mut lines, "The following packages will be REMOVED:", of(gone));
    list(&mut lines, "The following NEW packages will be installed:", of(new));
    list(&mut lines, "The following packages will be upgraded:", of(up));
    list(&mut lines, "The following packages will be DOWNGRADED:", of(down));
    let mut counts = format!("{} upgraded, {} newly installed, ", count(up), count(new));
    if count(down) > 0 {
        counts.push_str(&format!("{} downgraded, ", count(down)));
    }
    lines.push(format!("{counts}{} to remove and {kept} not upgraded.", count(gone)));
    let sum: u64 = changes.iter().filter_map(|c| c.to.map(|to| size(c.id, to))).sum();
    lines.push(format!("Need to get 0 B/{} of archives.", bytes(sum)));
    lines.push("(Reading database ... 41287 files and directories currently installed.)".to_owned());
    lines
}

/// dpkg unpacks one.
pub(super) fn unpacking(at: usize, change: &Change<'_>) -> Vec<String> {
    let name = full(change.id);
    match (change.from, change.to) {
        (Some(from), None) => vec![format!("Removing {name} ({from}) ...")],
        (None, Some(to)) => vec![
            format!("Selecting previously unselected package {name}."),
            format!("Preparing to unpack {} ...", file(at, change.id, to)),
            format!("Unpacking {name} ({to}) ..."),
        ],
        (Some(from), Some(to)) => {
            let mut lines = vec![
                format!("Preparing to unpack {} ...", file(at, change.id, to)),
                format!("Unpacking {name} ({to}) over ({from}) ..."),
            ];
            if to < from {
                let warning = format!("dpkg: warning: downgrading {name} from {from} to {to}");
                lines.insert(0, warning);
            }
            lines
        }
        (None, None) => Vec::new(),
    }
}

/// dpkg sets one up.
pub(super) fn setting_up(change: &Change<'_>) -> Vec<String> {
    let Some(to) = change.to else { return Vec::new() };
    let mut lines = vec![format!("Setting up {} ({to}) ...", full(change.id))];
    if change.network {
        lines.push("Restarting networking.service: configuring from /etc/network/interfaces ...".to_owned());
    }
    if change.id.name.as_str().starts_with("linux-image-6") {
        let kernel = change.id.name.as_str().trim_start_matches("linux-image-");
        lines.push(format!("update-initramfs: Generating /boot/initrd.img-{kernel}"));
        lines.push("Generating grub configuration file ...".to_owned());
    }
    lines
}

/// What runs once all are set up.
pub(super) fn triggers() -> Vec<String> {
    vec!["Processing triggers for man-db (2.11.2-2) ...".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_break_as_apts_do_and_sizes_read_as_its() {
        let ids: Vec<PackageId> =
            (0..30).map(|n| format!("package-{n}:amd64").parse().expect("an id")).collect();
        let lines = names(ids.iter());
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|line| line.len() <= 80 && line.starts_with("  ")));
        assert_eq!(
            (bytes(900), bytes(24_576), bytes(1_340_000)),
            ("900 B".into(), "24 kB".into(), "1.3 MB".into())
        );
    }
}
