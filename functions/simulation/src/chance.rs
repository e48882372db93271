//! Chance that can be had again: the same seed draws the same.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The one source of chance of a seed.
#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The chance of a seed.
    pub fn of(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// `from` (included) to `to` (excluded). What a remainder prefers is too little to matter here.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.0.next_u64() % to.saturating_sub(from).max(1)
    }

    /// The same, for places in a list.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, length as u64)).unwrap_or(0)
    }

    /// True in so many of a thousand cases. Draws nothing where it cannot be true.
    pub fn strikes(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.between(0, 1000) < per_mille
    }

    /// A length of time, to the millisecond.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    /// A length of time in seconds, to the millisecond.
    pub fn seconds(&mut self, from: u64, to: u64) -> Duration {
        self.millis(from * 1000, to * 1000)
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }
}
