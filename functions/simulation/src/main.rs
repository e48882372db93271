//! Plays seeds: one with its history, or many with their verdict.

#![expect(clippy::print_stdout, reason = "this program answers on its standard output")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use simulation::{Keys, Outcome, Play, Tally, play};

/// Whole lives of workspaces under one seeded clock, judged by the laws.
#[derive(Debug, Parser)]
struct Args {
    /// Play one seed and print its history.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Play many, such as 0..1000, and print what they came to.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Of many, name those in which this has happened, by the name that the sums give it.
    #[arg(long, requires = "seeds")]
    find: Option<String>,
    /// How many at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let read = |(from, to): (&str, &str)| Some(from.parse().ok()?..to.parse().ok()?);
    let range: Option<Range<u64>> = text.split_once("..").and_then(read);
    range.filter(|range| !range.is_empty()).ok_or_else(|| format!("{text:?} is no range; expected such as 0..1000"))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let keys = match Keys::generate() {
        Ok(keys) => keys,
        Err(error) => {
            println!("no keys could be made: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match (args.seed, args.seeds.clone()) {
        (Some(seed), _) => one(seed, &keys),
        (None, Some(seeds)) => many(seeds, &args, &keys),
        (None, None) => ExitCode::FAILURE,
    }
}

fn one(seed: u64, keys: &Arc<Keys>) -> ExitCode {
    let outcome = play(seed, Play { keep: true, broken: None }, keys);
    println!("{:#?}", outcome.setting.storm);
    for entry in &outcome.history {
        println!("{entry}");
    }
    verdict(&outcome)
}

fn verdict(outcome: &Outcome) -> ExitCode {
    match &outcome.broken {
        None => {
            println!("seed {}: every law held over {}", outcome.seed, outcome.lasted);
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("{broken}");
            println!("replay: cargo run -p simulation -- --seed {}", outcome.seed);
            ExitCode::FAILURE
        }
    }
}

/// What many seeds came to.
#[derive(Default)]
struct Total {
    played: u64,
    seconds: u64,
    failed: Option<Outcome>,
    tally: Tally,
    found: Vec<u64>,
}

impl Total {
    fn add(&mut self, outcome: Outcome, find: Option<&str>) {
        self.played += 1;
        self.seconds += outcome.lasted.0;
        for (name, count) in &outcome.tally {
            *self.tally.entry(name.clone()).or_default() += count;
        }
        if find.is_some_and(|name| outcome.tally.contains_key(name)) {
            self.found.push(outcome.seed);
        }
        // Of two that fail at once, the smaller: what is replayed does not hang on the threads.
        let first = self.failed.as_ref().is_none_or(|failed| outcome.seed < failed.seed);
        if outcome.broken.is_some() && first {
            self.failed = Some(outcome);
        }
    }
}

fn many(seeds: Range<u64>, args: &Args, keys: &Arc<Keys>) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let total: Mutex<Total> = Mutex::default();
    let locked = || total.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    let outcome = play(seed, Play::default(), keys);
                    locked().add(outcome, args.find.as_deref());
                    if locked().failed.is_some() {
                        return;
                    }
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, count) in total.tally {
        println!("{count:>12}  {name}");
    }
    if let Some(find) = &args.find {
        println!("{find:?} happens in {:?}", total.found);
    }
    #[expect(clippy::cast_precision_loss, reason = "fewer than fit")]
    let rate = total.played as f64 / took;
    let hours = total.seconds / 3600;
    println!("{} seeds in {took:.1} s, {rate:.1} a second; {hours} hours of policy time", total.played);
    total.failed.as_ref().map_or(ExitCode::SUCCESS, verdict)
}
