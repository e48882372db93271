//! Plays seeds: one with its history, or many with their verdict.

#![expect(clippy::print_stdout, reason = "this program answers on its standard output")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    match (args.seed, args.seeds) {
        (Some(seed), _) => one(seed, &keys),
        (None, Some(seeds)) => many(seeds, args.threads, &keys),
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

fn many(seeds: Range<u64>, threads: u64, keys: &Arc<Keys>) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let total: Mutex<(u64, u64, Option<Outcome>, Tally)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = play(seed, Play::default(), keys);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0 += 1;
                    total.1 += outcome.lasted.0;
                    for (name, count) in &outcome.tally {
                        *total.3.entry(name.clone()).or_default() += count;
                    }
                    // Of two that fail at once, the smaller: what is replayed does not hang on the threads.
                    let first = total.2.as_ref().is_none_or(|first| seed < first.seed);
                    if outcome.broken.is_some() && first {
                        failed.store(true, Ordering::Relaxed);
                        total.2 = Some(outcome);
                    }
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let (played, lasted, first, tally) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, count) in tally {
        println!("{count:>12}  {name}");
    }
    #[expect(clippy::cast_precision_loss, reason = "fewer than fit")]
    let rate = played as f64 / took;
    println!("{played} seeds in {took:.1} s, {rate:.1} a second; {} hours of policy time", lasted / 3600);
    first.as_ref().map_or(ExitCode::SUCCESS, verdict)
}
