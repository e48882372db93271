//! The simulation: a thousand seeds keep every law, a seed is the same each time, and the judge bites.

mod bites;
mod seeds;

use std::sync::{Arc, OnceLock};

use simulation::{Keys, Outcome, Play, play};

/// One pair of keys for all seeds: they take a moment to make.
pub(crate) fn keys() -> &'static Arc<Keys> {
    static KEYS: OnceLock<Arc<Keys>> = OnceLock::new();
    KEYS.get_or_init(|| Keys::generate().unwrap_or_else(|error| panic!("{error:#}")))
}

/// The end of a seed's history, and how to have all of it.
pub(crate) fn tail(outcome: &Outcome) -> String {
    let outcome = play(outcome.seed, Play { keep: true, broken: outcome.setting.broken }, keys());
    let lines: Vec<String> = outcome.history.iter().rev().take(40).map(ToString::to_string).collect();
    let lines: Vec<&str> = lines.iter().rev().map(String::as_str).collect();
    let broken = outcome.broken.map(|broken| broken.to_string()).unwrap_or_default();
    format!("{}\n{broken}\nreplay: cargo run -p simulation -- --seed {}", lines.join("\n"), outcome.seed)
}
