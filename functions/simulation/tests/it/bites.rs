//! The judge bites: with any one rule broken, some seed is found to break the law that it breaks.

use simulation::{Break, Law, Play, play};

use crate::keys;

/// Seeds that are tried until a law is broken.
const TRIES: u64 = 200;

/// Plays seed after seed with this rule broken, until a law is: the law, and how it was broken.
#[track_caller]
fn breaks(rule: Break) -> (Law, String) {
    let found = (0..TRIES).find_map(|seed| play(seed, Play { keep: false, broken: Some(rule) }, keys()).broken);
    let found = found.unwrap_or_else(|| panic!("{rule:?} goes unnoticed in {TRIES} seeds"));
    (found.law, found.how)
}

#[track_caller]
fn bites(rule: Break, law: &str) {
    let found = (0..TRIES).any(|seed| {
        let broken = play(seed, Play { keep: false, broken: Some(rule) }, keys()).broken;
        broken.is_some_and(|broken| broken.law.starts_with(law))
    });
    assert!(found, "{rule:?} never breaks {law:?}; what it breaks first is {:?}", breaks(rule));
}
