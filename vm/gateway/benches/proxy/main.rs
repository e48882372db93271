//! What the gateway costs: the same requests to ComfyUI's place directly and through the gateway, in turns.
//!
//! `cargo bench -p gateway --bench proxy`. Client, gateway and what stands in ComfyUI's place have threads of their own,
//! as they would be processes of their own. Prints the latency of small requests on one kept connection, what the
//! gateway adds to it, and how fast long bodies stream down and up. TLS is nginx's and not measured here.
//!
//! As fast as it goes, the direct stream has one core for each end. With two cores the hop between them has none of its
//! own, and no program could make it cost nothing; so the same is measured through a relay that only copies bytes, and at
//! the rate that the machine's network carries.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

mod client;
mod entrance;
mod neighbours;
mod pace;
mod relay;

use std::time::{Duration, Instant};

use crate::client::{Client, Connection};
use crate::neighbours::Neighbours;
use crate::pace::LongBody;

/// Small requests: blocks on each side, requests in each, and blocks before them that only warm up.
const BLOCKS: usize = 20;
const REQUESTS_PER_BLOCK: usize = 500;
const WARM_UP_BLOCKS: usize = 2;
/// Long bodies: rounds on each side, one before them that only warms up, and bytes in each.
const ROUNDS: usize = 7;
const LONG_BYTES: u64 = 256 * 1024 * 1024;
/// What the network of a g2-standard-4 carries: 10 Gbit/s.
const NETWORK_BYTES_PER_SECOND: u64 = 1_250_000_000;

fn main() {
    let neighbours = Neighbours::start();
    let direct = Client { address: neighbours.address, cookie: String::new() };
    let relayed = Client { address: relay::start(neighbours.address), cookie: String::new() };
    let through = entrance::enter(&neighbours);
    small(&direct, &through);
    let sides = [direct, relayed, through];
    for (pace, bytes_per_second) in [("", None), (" at 10 Gbit/s", Some(NETWORK_BYTES_PER_SECOND))] {
        let body = LongBody { bytes: LONG_BYTES, bytes_per_second };
        long(&format!("download{pace}"), &sides, |connection| connection.download(body));
        long(&format!("upload{pace}"), &sides, |connection| connection.upload(body));
    }
}

/// Latency of small requests, in turns by blocks, so that what else the machine does meets both sides alike.
fn small(direct: &Client, through: &Client) {
    let mut connections = [direct, through].map(Client::open);
    let mut latencies = [Vec::new(), Vec::new()];
    for block in 0..WARM_UP_BLOCKS + BLOCKS {
        for (connection, latencies) in connections.iter_mut().zip(&mut latencies) {
            for _ in 0..REQUESTS_PER_BLOCK {
                let begin = Instant::now();
                connection.ask_small();
                if block >= WARM_UP_BLOCKS {
                    latencies.push(begin.elapsed());
                }
            }
        }
    }
    let [direct, through] = latencies.map(|mut latencies| {
        latencies.sort_unstable();
        [50, 99].map(|percent| latencies[latencies.len() * percent / 100])
    });
    for (side, [p50, p99]) in [("direct", direct), ("through the gateway", through)] {
        println!("small request, {side}: p50 {p50:.1?}, p99 {p99:.1?}");
    }
    let [p50, p99] = [0, 1].map(|at| through[at].saturating_sub(direct[at]));
    println!("small request, added by the gateway: p50 {p50:.1?}, p99 {p99:.1?}");
}

/// The rate of a long body: directly, through a relay, and through the gateway, in turns.
fn long(what: &str, sides: &[Client; 3], carry: impl Fn(&mut Connection)) {
    let mut connections = sides.each_ref().map(Client::open);
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for (connection, times) in connections.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            carry(connection);
            if round > 0 {
                times.push(begin.elapsed());
            }
        }
    }
    let [direct, relayed, through] = times.map(|mut times| {
        times.sort_unstable();
        megabytes_per_second(times[times.len() / 2])
    });
    println!("{what}, against direct: {:.0} % ({through:.0} of {direct:.0} MB/s)", 100.0 * through / direct);
    println!("{what}, against a bare relay: {:.0} % ({through:.0} of {relayed:.0} MB/s)", 100.0 * through / relayed);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes_per_second(time: Duration) -> f64 {
    LONG_BYTES as f64 / 1e6 / time.as_secs_f64()
}
