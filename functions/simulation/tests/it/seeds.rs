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
    ("answers lost", 220),
    ("boots that fail", 100),
    ("boots that stand still", 100),
    ("calls lost", 140),
    ("calls to attach", 700),
    ("calls to detach", 700),
    ("calls to start", 3_000),
    ("conflicts", 2_300),
    ("crashes", 600),
    ("dead letters", 300),
    ("dry zones", 500),
    ("ended Budget", 30),
    ("ended HardLimit", 700),
    ("ended HostError", 100),
    ("ended Idle", 400),
    ("ended MachineStopped", 150),
    ("ended NeverOpened", 140),
    ("ended Preempted", 70),
    ("ended Silent", 40),
    ("ended StartFailed", 300),
    ("ended User", 1_400),
    ("events lost", 800),
    ("failed BootFailed", 80),
    ("failed BootTimedOut", 90),
    ("failed PlacingTimedOut", 16),
    ("failed StockOut", 160),
    ("failed StopTimedOut", 30),
    ("heartbeats", 120_000),
    ("host errors", 130),
    ("late successes", 70),
    ("machines that power off", 270),
    ("notices not delivered", 170),
    ("notices told", 5_000),
    ("nudges lost", 700),
    ("nudges twice", 600),
    ("outages of Compute Engine", 150),
    ("outages of the scheduler", 130),
    ("outages of the store", 160),
    ("preemptions", 90),
    ("restarts", 300),
    ("restarts after an interruption", 180),
    ("silences", 260),
    ("spells of not knowing", 500),
    ("starts by hand", 300),
    ("starts overtaken", 190),
    ("starts to be kept up", 800),
    ("stock-outs", 500),
    ("stops by hand", 130),
    ("stops that are stuck", 24),
    ("store faults", 3_000),
    ("sweeps missing", 1_200),
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
