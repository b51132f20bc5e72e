//! The map of the modules: which may use which. An edge that is not in the table fails here, so that
//! data keeps flowing in one direction.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module, and the modules it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("facts", &["types"]),
    ("plan", &["types"]),
    ("helper", &["types"]),
    ("core", &["types", "facts", "plan"]),
    ("journal", &["types", "core"]),
    ("conductor", &["types", "core", "journal"]),
    ("probe", &["types", "plan", "core"]),
    ("capture", &["types", "core"]),
    ("host", &["types", "facts", "plan", "helper", "core", "journal", "conductor", "probe", "capture"]),
    ("tui", &["types", "facts", "plan", "core", "capture"]),
    ("replay", &["types", "core", "tui"]),
    ("demo", &["types", "facts", "plan", "helper", "core", "host", "capture"]),
    ("cli", &["types", "core"]),
];

/// What the pure modules may not know, as words of the code.
const PURE: &[&str] = &["types", "facts", "plan", "core", "capture"];
const IMPURE: &[&str] = &[
    "tokio",
    "ratatui",
    "russh",
    "crossterm",
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::time::Instant",
];

fn files(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(of) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// A module's code without its tests: these may use what they like.
fn code(module: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = files(&src.join(module));
    let single = src.join(format!("{module}.rs"));
    if single.is_file() {
        paths.push(single);
    }
    let for_tests = |path: &PathBuf| {
        let text = path.to_string_lossy();
        ["tests.rs", "_tests.rs", "sample.rs", "arbitrary.rs", "fixture.rs"]
            .iter()
            .any(|end| text.ends_with(end))
            || text.contains("/simulation/")
            || text.contains("/tests/")
    };
    paths.retain(|path| !for_tests(path));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        (path, code)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn no_module_uses_what_comes_after_it() {
    let mut forbidden = BTreeSet::new();
    for (module, allowed) in EDGES {
        let files = code(module);
        assert!(!files.is_empty(), "{module} has no files: mend the table");
        for (path, text) in files {
            for rest in text.split("crate::").skip(1) {
                let used: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let known = EDGES.iter().any(|(name, _)| *name == used) || used == "command";
                if known && used != *module && !allowed.contains(&used.as_str()) {
                    forbidden.insert(format!("{}: {module} uses {used}", path.display()));
                }
            }
        }
    }
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}

#[test]
fn the_pure_modules_know_no_world() {
    let mut found = BTreeSet::new();
    for module in PURE {
        for (path, text) in code(module) {
            for word in IMPURE.iter().filter(|word| text.contains(*word)) {
                found.insert(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
