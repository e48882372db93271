//! 10,000 runs that are idle when a sweep lists them: each becomes active at a random moment before it is stopped, and
//! none is stopped; left alone, all are. What `tests/it/race.rs` holds to at 200. The store is in memory.
//!
//! `cargo bench -p reaper --bench culling`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

#[path = "../tests/culling/mod.rs"]
mod culling;
#[path = "../tests/ground/mod.rs"]
mod ground;

use std::sync::Arc;
use std::time::Instant;

use platform::store::MemoryStore;

use self::culling::{moments, play};

const RUNS: usize = 10_000;
/// Any would do.
const SEED: u64 = 193;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let begin = Instant::now();
        let active = play(Arc::new(MemoryStore::new()), &moments(RUNS, SEED)).await;
        let idle = play(Arc::new(MemoryStore::new()), &vec![None; RUNS]).await;
        let took = begin.elapsed();
        let stale = moments(RUNS, SEED).iter().flatten().filter(|moment| moment.is_between_read_and_save()).count();
        assert_eq!((active.became_active, active.announced > 0, idle.announced), (RUNS, true, RUNS), "all took part");
        println!(
            "193 scenario, {RUNS} become active between listing and stop: {} stopped while active ({} stopped), {stale} of \
             them between a read and its save; {} of {RUNS} stopped when idle, with {} nudges; {took:.1?}",
            active.stopped_while_active, active.stopped, idle.stopped, idle.nudges
        );
        assert_eq!((active.stopped_while_active, active.stopped, active.nudges, idle.stopped), (0, 0, 0, RUNS));
    });
}
