//! A thousand seeds, each of which keeps every law; and together they have seen everything that they are there for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{LAWS, Law, Outcome, Play, Tally, play};

use crate::{keys, tail};

const SEEDS: u64 = 1000;
const THREADS: usize = 2;

/// What the thousand must have seen, or they have become empty: about half of what they see.
const FLOORS: &[(&str, u64)] = &[
    ("answers lost", 250),
    ("boots that fail", 120),
    ("boots that stand still", 120),
    ("calls lost", 150),
    ("calls to attach", 800),
    ("calls to detach", 800),
    ("calls to start", 4000),
    ("conflicts", 2500),
    ("crashes", 900),
    ("dead letters", 250),
    ("dry zones", 500),
    ("ended Budget", 20),
    ("ended HardLimit", 700),
    ("ended HostError", 100),
    ("ended Idle", 300),
    ("ended MachineStopped", 120),
    ("ended NeverOpened", 120),
    ("ended Preempted", 100),
    ("ended Silent", 15),
    ("ended StartFailed", 400),
    ("ended User", 2000),
    ("events lost", 900),
    ("failed BootFailed", 100),
    ("failed BootTimedOut", 80),
    ("failed PlacingTimedOut", 25),
    ("failed StockOut", 150),
    ("failed StopTimedOut", 40),
    ("heartbeats", 120_000),
    ("host errors", 110),
    ("late successes", 70),
    ("machines that power off", 300),
    ("notices not delivered", 200),
    ("notices told", 5000),
    ("nudges lost", 800),
    ("nudges twice", 700),
    ("outages of Compute Engine", 110),
    ("outages of the scheduler", 110),
    ("outages of the store", 110),
    ("preemptions", 110),
    ("restarts", 250),
    ("restarts after an interruption", 180),
    ("silences", 220),
    ("spells of not knowing", 400),
    ("starts by hand", 250),
    ("starts overtaken", 200),
    ("starts to be kept up", 1000),
    ("stock-outs", 550),
    ("stops by hand", 120),
    ("stops that are stuck", 25),
    ("store faults", 4000),
    ("sweeps missing", 1000),
];

/// Each law is judged so often at least.
const JUDGED_LEAST: u64 = 20;

#[derive(Default)]
struct Total {
    failed: Option<Outcome>,
    tally: Tally,
    judged: BTreeMap<Law, u64>,
}

#[test]
fn a_thousand_seeds_keep_every_law_and_see_everything_go_wrong() {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS) {
                    add(&mut total.lock().unwrap(), play(seed, Play::default(), keys()));
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    if let Some(failed) = &total.failed {
        panic!("{}", tail(failed));
    }
    let seen = |name: &str| total.tally.get(name).copied().unwrap_or_default();
    let missing: Vec<String> = FLOORS
        .iter()
        .filter(|(name, least)| seen(name) < *least)
        .map(|(name, least)| format!("{name}: {} of {least}", seen(name)))
        .collect();
    assert!(missing.is_empty(), "too rarely seen: {missing:?}");
    let judged = |law: &Law| total.judged.get(law).copied().unwrap_or_default();
    let unjudged: Vec<_> = LAWS.iter().filter(|law| judged(law) < JUDGED_LEAST).collect();
    assert!(unjudged.is_empty(), "laws that are hardly judged: {unjudged:?}");
}

fn add(total: &mut Total, outcome: Outcome) {
    for (name, count) in &outcome.tally {
        *total.tally.entry(name.clone()).or_default() += count;
    }
    for (law, count) in &outcome.judged {
        *total.judged.entry(law).or_default() += count;
    }
    let first = total.failed.as_ref().is_none_or(|failed| outcome.seed < failed.seed);
    if outcome.broken.is_some() && first {
        total.failed = Some(outcome);
    }
}

#[test]
fn a_seed_is_the_same_history_each_time() {
    let told = |seed| {
        let outcome = play(seed, Play { keep: true, broken: None }, keys());
        outcome.history.iter().map(|entry| format!("{entry}\n")).collect::<String>()
    };
    for seed in [7, 42] {
        let first = told(seed);
        assert!(first.lines().count() > 500, "seed {seed} has a short history");
        assert!(first == told(seed), "seed {seed} is another history the second time");
    }
    assert_ne!(told(7), told(42));
}
