//! What a host prints about itself: the raw sections of the verb `facts`, as `src/helper/facts.sh`
//! makes them from real tools. Pure; what a line means is known to `src/facts` alone.

use std::net::Ipv4Addr;

use super::apt;
use super::model::{Host, section};
use super::work::FREE;
use crate::facts::Section;
use crate::facts::section::NEEDS_ROOT;
use crate::host::verb::FactWord;
use crate::types::Time;

/// The sections of these domains, of all where none is named.
pub(super) fn sections(host: &Host, words: &[FactWord], root: bool, now: Time) -> Vec<Section> {
    let words = if words.is_empty() { &FactWord::ALL } else { words };
    let mut all = Vec::new();
    let mut dpkg_is_there = false;
    let mut dpkg = |all: &mut Vec<Section>| {
        if !std::mem::replace(&mut dpkg_is_there, true) {
            all.push(section("dpkg", installed(host)));
        }
    };
    for word in words {
        match word {
            FactWord::System => {
                all.push(section("system", system(host, now)));
                all.push(section("os-release", OS_RELEASE.lines().map(str::to_owned).collect()));
            }
            FactWord::Boot => all.push(section("boot", boot(host))),
            FactWord::Network => {
                all.push(section("addresses", json(&addresses(host))));
                all.push(section("routes4", json(&routes4(host))));
                all.push(section("routes6", json(ROUTES6)));
            }
            FactWord::Listeners => all.push(section("listeners", listeners(host, root))),
            FactWord::Packages => {
                dpkg(&mut all);
                let auto = host.installed.iter().filter(|(_, here)| here.auto);
                // apt keeps packages for all architectures under the native one.
                all.push(section("auto", auto.map(|(id, _)| format!("{}:amd64", id.name)).collect()));
                all.push(section("audit", Vec::new()));
            }
            FactWord::Updates => {
                dpkg(&mut all);
                all.push(section("upgrade", apt::upgrade(host)));
                all.push(section("show", apt::show(host)));
                all.push(section("depends", apt::depends(host)));
                all.push(section("policy", apt::policy(host)));
                // The lists were fetched before the window, by the host's own timer.
                all.push(section("lists", vec![(now.timestamp() - 14_400).to_string()]));
                all.push(section("pins", host.pin_lines()));
            }
            FactWord::Services => all.push(section("services", Vec::new())),
            FactWord::Storage => all.push(section("storage", storage())),
            FactWord::Replaced => all.push(for_root("replaced", root)),
            FactWord::Locks => {
                all.push(for_root("locks", root));
                let unattended = if host.is_paused() { "paused" } else { "on" };
                all.push(section("unattended", vec![unattended.to_owned()]));
            }
        }
    }
    all
}

/// Nothing to tell, or nothing that could be told.
fn for_root(name: &str, root: bool) -> Section {
    if root {
        return section(name, Vec::new());
    }
    Section { status: NEEDS_ROOT, ..section(name, vec!["stderr: needs root".to_owned()]) }
}

fn system(host: &Host, now: Time) -> Vec<String> {
    vec![
        "arch amd64".to_owned(),
        format!("hostname {}", host.profile.name),
        "systemd yes".to_owned(),
        format!("clock {}", now.timestamp_nanos_opt().unwrap_or_default()),
    ]
}

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n\
HOME_URL=\"https://www.debian.org/\"\nSUPPORT_URL=\"https://www.debian.org/support\"\n\
BUG_REPORT_URL=\"https://bugs.debian.org/\"";

fn boot(host: &Host) -> Vec<String> {
    let package = host.archive.of_host(&host.profile.rows).into_iter().find_map(|row| {
        let image = row.id.name.as_str().strip_prefix("linux-image-")?;
        (image == host.kernel).then(|| row.to.clone().or_else(|| row.from.clone()))?
    });
    let build = package.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let mut lines = vec![
        format!("boot-id {}", host.boot_id()),
        "init-stat 1 (systemd) S 0 1 1 0 -1 4194560 24170 1893265 118 1102 71 187 10031 3214 20 0 1 0 31 \
         104783872 3270 18446744073709551615 1 1 0 0 0 0 671173123 4096 1260 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0"
            .to_owned(),
        format!("kernel {}", host.kernel),
        format!("build #1 SMP PREEMPT_DYNAMIC Debian {build} (2025-02-07)"),
    ];
    let kernels = host.kernels();
    if kernels.contains(&host.kernel) {
        lines.push(format!("package {build}"));
    }
    lines.extend(kernels.iter().map(|image| format!("image {image}")));
    if !host.reboot_asked.is_empty() {
        lines.push("reboot-required yes".to_owned());
        lines.extend(host.reboot_asked.iter().map(|name| format!("asked-by {name}")));
    }
    let newest = kernels.last().is_none_or(|newest| *newest == host.kernel);
    lines.push(format!("needrestart {}", if newest { 1 } else { 3 }));
    lines
}

/// ip's one line, broken between objects as the helper breaks it.
fn json(text: &str) -> Vec<String> {
    text.replace("},{", "},\n{").lines().map(str::to_owned).collect()
}

fn network_of(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

fn mac(host: &Host) -> String {
    let [_, b, c, d] = host.profile.address.octets();
    format!("52:54:00:{b:02x}:{c:02x}:{d:02x}")
}

fn addresses(host: &Host) -> String {
    let forever = "\"valid_life_time\":4294967295,\"preferred_life_time\":4294967295";
    let main = host.profile.address;
    let [a, b, c, _] = main.octets();
    let broadcast = Ipv4Addr::new(a, b, c, 255);
    let mut infos = vec![format!(
        "{{\"family\":\"inet\",\"local\":\"{main}\",\"prefixlen\":24,\"broadcast\":\"{broadcast}\",\
         \"scope\":\"global\",\"label\":\"eth0\",{forever}}}"
    )];
    infos.extend(host.addresses.iter().map(|address| {
        format!(
            "{{\"family\":\"inet\",\"local\":\"{address}\",\"prefixlen\":24,\"scope\":\"global\",\
             \"secondary\":true,\"label\":\"eth0\",{forever}}}"
        )
    }));
    format!(
        "[{{\"ifindex\":1,\"ifname\":\"lo\",\"flags\":[\"LOOPBACK\",\"UP\",\"LOWER_UP\"],\"mtu\":65536,\
         \"qdisc\":\"noqueue\",\"operstate\":\"UNKNOWN\",\"group\":\"default\",\"txqlen\":1000,\
         \"link_type\":\"loopback\",\"address\":\"00:00:00:00:00:00\",\"broadcast\":\"00:00:00:00:00:00\",\
         \"addr_info\":[{{\"family\":\"inet\",\"local\":\"127.0.0.1\",\"prefixlen\":8,\"scope\":\"host\",\
         \"label\":\"lo\",{forever}}},{{\"family\":\"inet6\",\"local\":\"::1\",\"prefixlen\":128,\
         \"scope\":\"host\",{forever}}}]}},{{\"ifindex\":2,\"ifname\":\"eth0\",\"flags\":[\"BROADCAST\",\
         \"MULTICAST\",\"UP\",\"LOWER_UP\"],\"mtu\":1500,\"qdisc\":\"fq_codel\",\"operstate\":\"UP\",\
         \"group\":\"default\",\"txqlen\":1000,\"link_type\":\"ether\",\"address\":\"{}\",\
         \"broadcast\":\"ff:ff:ff:ff:ff:ff\",\"addr_info\":[{}]}}]",
        mac(host),
        infos.join(",")
    )
}

fn routes4(host: &Host) -> String {
    let (main, gateway) = (host.profile.address, host.profile.gateway);
    let mut routes = vec![
        format!("{{\"dst\":\"default\",\"gateway\":\"{gateway}\",\"dev\":\"eth0\",\"flags\":[\"onlink\"]}}"),
        format!(
            "{{\"dst\":\"{}/24\",\"dev\":\"eth0\",\"protocol\":\"kernel\",\"scope\":\"link\",\
             \"prefsrc\":\"{main}\",\"flags\":[]}}",
            network_of(main)
        ),
    ];
    for address in std::iter::once(&main).chain(&host.addresses) {
        routes.push(format!(
            "{{\"type\":\"local\",\"dst\":\"{address}\",\"dev\":\"eth0\",\"table\":\"local\",\
             \"protocol\":\"kernel\",\"scope\":\"host\",\"prefsrc\":\"{main}\",\"flags\":[]}}"
        ));
    }
    format!("[{}]", routes.join(","))
}

const ROUTES6: &str = "[{\"dst\":\"::1\",\"dev\":\"lo\",\"protocol\":\"kernel\",\"metric\":256,\"flags\":[],\
\"pref\":\"medium\"},{\"type\":\"local\",\"dst\":\"::1\",\"dev\":\"lo\",\"table\":\"local\",\"protocol\":\"kernel\",\
\"metric\":0,\"flags\":[],\"pref\":\"medium\"}]";

fn listeners(host: &Host, root: bool) -> Vec<String> {
    let listens = host.profile.listens.iter().enumerate();
    let line = |(at, (port, program)): (usize, &(u16, &str))| {
        let users = format!(" users:((\"{program}\",pid={},fd={}))", 612 + at * 77, 3 + at);
        let users = if root { users } else { String::new() };
        format!("tcp   LISTEN 0      511    0.0.0.0:{port}    0.0.0.0:*    {}", users.trim_start())
    };
    listens.map(line).collect()
}

fn installed(host: &Host) -> Vec<String> {
    let line = |(id, here): (&crate::types::PackageId, &super::model::Here)| {
        let want = if here.held { "hold" } else { "install" };
        format!("{}\t{}\t{}\t{want}\tok installed", id.name, id.arch, here.version)
    };
    host.installed.iter().map(line).collect()
}

fn storage() -> Vec<String> {
    const SIZE: u64 = 21_474_836_480;
    const BOOT: u64 = 1_020_702_720;
    let root = |mount: &str| format!("/dev/vda1 {SIZE} {} {FREE} 45% {mount}", SIZE - FREE);
    let mut lines = vec!["Filesystem 1-blocks Used Available Capacity Mounted on".to_owned()];
    // df names the mount of each folder it is asked for, so the root comes several times.
    lines.extend((0..7).map(|_| root("/")));
    lines.push(format!("/dev/vda2 {BOOT} 190840832 {} 20% /boot", BOOT - 190_840_832));
    lines
}
