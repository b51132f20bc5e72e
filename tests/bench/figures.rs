//! Figures: how long a frame, a fold, an append and a check of a fleet take, and what an idle
//! cockpit costs. `cargo bench --bench figures [-- NAME...]`; what each means is in the README.
//!
//! Nothing here asserts a figure: a machine under load is slow, not wrong. What is compared is
//! compared in one run.

mod append;
mod fleet;
mod fold;
mod frame;
mod idle;
mod key;
mod packets;
mod probes;
mod sshd;
mod stream;
mod timing;
mod window;

/// Measures and prints; the numbers are the sizes of fleets.
type Figure = fn(&[usize]);

/// The figures by name.
const FIGURES: [(&str, Figure); 9] = [
    ("frame", frame::figure),
    ("fold", fold::figure),
    ("append", append::figure),
    ("fleet", fleet::figure),
    ("idle", idle::figure),
    ("key", key::figure),
    ("probes", probes::figure),
    ("packets", packets::figure),
    ("stream", stream::figure),
];

fn main() {
    if std::env::args().nth(1).as_deref() == Some(stream::POUR) {
        return stream::pour();
    }
    // Cargo adds --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let names: Vec<&String> = words.iter().filter(|word| word.parse::<usize>().is_err()).collect();
    if let Some(wrong) = names.iter().find(|name| !FIGURES.iter().any(|(known, _)| known == *name)) {
        let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
        eprintln!("no figure is called {wrong}; there are {}", known.join(", "));
        std::process::exit(2);
    }
    if cfg!(debug_assertions) {
        println!("this is a debug build: its figures say little");
    }
    for (name, figure) in FIGURES {
        if names.is_empty() || names.iter().any(|asked| *asked == name) {
            println!("\n{name}");
            figure(&sizes);
        }
    }
}
