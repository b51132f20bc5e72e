//! What booted, and what would boot next.

use super::Boot;
use super::read::Sections;
use super::section::{Unreadable, strict};
use crate::types::{Untrusted, Version};

/// More kernels than anybody keeps; `/boot` is not a place to fill our memory from.
const MOST_KERNELS: usize = 200;

pub(super) fn read(sections: &Sections) -> Result<Boot, Untrusted> {
    let lines = sections.text("boot")?;
    let all = |key: &'static str| {
        lines
            .iter()
            .filter_map(move |line| line.split_once(' ').filter(|(word, _)| *word == key).map(|(_, v)| v))
    };
    let one = |key: &'static str| {
        all(key).next().ok_or_else(|| Untrusted::new(format!("boot: the host does not say its {key}")))
    };
    let kernel = one("kernel")?;
    let mut kernels: Vec<&str> = all("image").filter(|image| !image.ends_with(".old")).collect();
    if kernels.len() > MOST_KERNELS {
        return Err(format!("boot: more than {MOST_KERNELS} kernels in /boot").into());
    }
    kernels.sort_by_cached_key(|image| std::cmp::Reverse((version(image), (*image).to_owned())));
    let evidence = [
        all("reboot-required").any(|said| said == "yes").then_some(true),
        needrestart(all("needrestart").next()),
        newer_image(kernel, &kernels),
        newer_package(kernel, all("package").next(), all("build")),
    ];
    // One yes is enough; a no only says that this one way of asking found nothing.
    let reboot_required = if evidence.contains(&Some(true)) {
        Some(true)
    } else {
        evidence.contains(&Some(false)).then_some(false)
    };
    let init = one("init-stat")?;
    Ok(Boot {
        boot_id: strict("a boot id", one("boot-id")?, one("boot-id")?)?,
        init_started: init_started(init)?,
        kernel: Untrusted::new(kernel),
        kernels: kernels.into_iter().map(Untrusted::new).collect(),
        reboot_required,
        // Any package's script may write to that file; a line that is no package's name takes
        // nothing from the fact that a reboot is asked for.
        reboot_asked_by: all("asked-by").filter_map(|name| name.trim().parse().ok()).collect(),
        passphrases: all("passphrase").take(MOST_KERNELS).map(Untrusted::new).collect(),
    })
}

/// Field 22 of `/proc/PID/stat` (proc(5)); field 2, the name in parentheses, may itself hold
/// spaces and parentheses.
fn init_started(stat: &str) -> Result<u64, Unreadable> {
    let field = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19));
    strict("the start of process 1", field.unwrap_or_default(), stat)
}

/// needrestart(1), batch mode: 1 no newer kernel, 2 an ABI-compatible one, 3 a newer version, 0
/// unknown.
fn needrestart(ksta: Option<&str>) -> Option<bool> {
    match ksta?.trim() {
        "1" => Some(false),
        "2" | "3" => Some(true),
        _ => None,
    }
}

/// Whether an installed kernel of the running one's flavour is newer. Where the running one is not
/// among the installed ones (a container, a kernel from elsewhere) nothing follows.
fn newer_image(running: &str, kernels: &[&str]) -> Option<bool> {
    if !kernels.contains(&running) {
        return None;
    }
    let now = version(running)?;
    let newer = |image: &&str| {
        flavour(image) == flavour(running) && version(image).is_some_and(|version| version > now)
    };
    Some(kernels.iter().any(newer))
}

/// Kernels are ordered as versions are; a name that begins with a letter (`rescue`) is no version.
fn version(kernel: &str) -> Option<Version> {
    kernel.starts_with(|first: char| first.is_ascii_digit()).then(|| kernel.parse().ok())?
}

/// Whether the package of the running kernel is newer than the build that runs: an update that
/// keeps the kernel's name overwrites its image. Debian writes the package's version into `uname -v`,
/// Ubuntu into `/proc/version_signature`.
fn newer_package<'a>(
    kernel: &str,
    package: Option<&str>,
    mut builds: impl Iterator<Item = &'a str>,
) -> Option<bool> {
    let package: Version = package?.parse().ok()?;
    let built: Version = builds.find_map(|build| {
        let mut words =
            build.split_whitespace().skip_while(|word| !["Debian", "Ubuntu"].contains(word)).skip(1);
        let version = words.next()?;
        let flavour = format!("-{}", flavour(kernel));
        version.strip_suffix(flavour.as_str()).unwrap_or(version).parse().ok()
    })?;
    Some(package > built)
}

/// `cloud-amd64` of `6.1.0-31-cloud-amd64`: the words after the last that begins with a digit.
fn flavour(kernel: &str) -> &str {
    let mut start = 0;
    for (at, _) in kernel.match_indices('-') {
        if kernel.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit) {
            start = 0;
        } else if start == 0 {
            start = at + 1;
        }
    }
    if start == 0 { "" } else { &kernel[start..] }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, known, section};
    use super::*;
    use crate::facts::{Domain, Fact, read};

    const BASE: &str = "boot-id 8e478ee6-9db4-40ef-ae5d-253206de23e8\n\
        init-stat 1 (a (b) c) S 0 1 1 0 -1 4194560 42829 27086019 0 5011 195 1103 29950 11552 20 0 13 0 24 49262592\n";

    fn boot(rest: &str) -> Fact<Boot> {
        let mut read = read(&[section("boot", &format!("{BASE}{rest}"))], at(0));
        let Domain::Boot(fact) = read.remove(0) else { panic!("{read:?}") };
        fact
    }

    #[test]
    fn the_start_of_process_1_is_read_past_any_name() {
        assert_eq!(known(&boot("kernel 6.1\n")).init_started, 24);
    }

    #[test]
    fn a_reboot_is_asked_for_by_any_of_four_and_denied_only_on_evidence() {
        let debian = "kernel 6.1.0-37-amd64\nbuild #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)\n";
        let ubuntu = "kernel 5.15.0-91-generic\nbuild #101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023\n\
            build Ubuntu 5.15.0-91.101-generic 5.15.131\n";
        let table: &[(&str, &str, Option<bool>)] = &[
            (debian, "", None),
            (debian, "image 6.1.0-37-amd64\n", Some(false)),
            (debian, "image 6.1.0-37-amd64\nimage 6.1.0-9-amd64\n", Some(false)),
            (debian, "image 6.1.0-37-amd64\nimage 6.1.0-40-amd64\n", Some(true)),
            (debian, "image 6.1.0-37-amd64\nimage 6.1.0-40-cloud-amd64\n", Some(false)),
            (debian, "image 6.1.0-40-amd64\n", None),
            (debian, "reboot-required yes\n", Some(true)),
            (debian, "needrestart 0\n", None),
            (debian, "needrestart 1\n", Some(false)),
            (debian, "needrestart 2\nimage 6.1.0-37-amd64\n", Some(true)),
            (debian, "package 6.1.140-1\n", Some(false)),
            (debian, "package 6.1.147-1\nimage 6.1.0-37-amd64\n", Some(true)),
            (ubuntu, "package 5.15.0-91.101\n", Some(false)),
            (ubuntu, "package 5.15.0-91.102\n", Some(true)),
            ("kernel 6.18.44-fc\nbuild #1 SMP @0\n", "package 6.18\n", None),
        ];
        for (base, rest, wanted) in table {
            assert_eq!(known(&boot(&format!("{base}{rest}"))).reboot_required, *wanted, "{base}{rest}");
        }
    }

    #[test]
    fn kernels_come_newest_first_and_askers_by_name() {
        let fact = boot(
            "kernel 6.1.0-9-amd64\nimage 6.1.0-10-amd64\nimage 6.1.0-9-amd64\nimage 6.1.0-9-amd64.old\n\
             image rescue\nasked-by linux-image-6.1.0-10-amd64\nasked-by *** restart ***\n",
        );
        let boot = known(&fact);
        let kernels: Vec<&str> = boot.kernels.iter().map(Untrusted::raw).collect();
        assert_eq!(kernels, ["6.1.0-10-amd64", "6.1.0-9-amd64", "rescue"]);
        assert_eq!(boot.reboot_asked_by.len(), 1);
    }

    #[test]
    fn volumes_that_wait_for_a_passphrase_are_named() {
        assert!(known(&boot("kernel 6.1\n")).passphrases.is_empty());
        let fact = boot("kernel 6.1\npassphrase sda3_crypt\npassphrase data\n");
        let names: Vec<&str> = known(&fact).passphrases.iter().map(Untrusted::raw).collect();
        assert_eq!(names, ["sda3_crypt", "data"]);
    }

    #[test]
    fn flavours() {
        for (kernel, wanted) in [
            ("6.1.0-31-amd64", "amd64"),
            ("6.1.0-31-cloud-amd64", "cloud-amd64"),
            ("5.10.0-0.deb10.16-rt-amd64", "rt-amd64"),
            ("5.15.0-91-generic", "generic"),
            ("6.18.44", ""),
            ("", ""),
        ] {
            assert_eq!(flavour(kernel), wanted, "{kernel}");
        }
    }

    #[test]
    fn a_boot_id_that_is_none_is_named() {
        let read = read(&[section("boot", "boot-id x\x1b[2J\nkernel 6\ninit-stat 1 (a) S\n")], at(0));
        let Domain::Boot(Fact::Unknown(why)) = &read[0] else { panic!("{read:?}") };
        assert!(!why.shown().is_empty() && !why.raw().contains('\x1b'), "{}", why.shown());
    }
}
