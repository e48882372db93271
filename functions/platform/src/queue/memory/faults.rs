//! What goes wrong with a topic on demand, and the seeded chance in it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A message is pushed again at most so often by fault.
pub const REPEAT_MAX: u32 = 1000;
/// How far messages are scattered in (policy) time when they are to overtake each other.
pub const REORDER_SPREAD: Duration = Duration::from_secs(5);
/// Longest delay by fault: ten minutes.
const DELAY_MS_MAX: u64 = 600_000;

/// What goes wrong with the messages of a topic; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueFaults {
    /// How often a message is pushed again after it was acknowledged.
    pub repeat: u32,
    /// The part of the messages, 0 to 1, that is taken but never pushed.
    pub lose: f64,
    /// Milliseconds of policy time by which each push is late.
    pub delay_ms: u64,
    /// Messages overtake each other.
    pub reorder: bool,
}

impl QueueFaults {
    /// The same faults, within their limits.
    pub(super) fn bounded(self) -> Self {
        let lose = if self.lose.is_nan() { 0.0 } else { self.lose.clamp(0.0, 1.0) };
        Self { repeat: self.repeat.min(REPEAT_MAX), lose, delay_ms: self.delay_ms.min(DELAY_MS_MAX), ..self }
    }

    pub(super) fn delay(self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

/// A sequence of chances that a seed decides (splitmix64).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Whether something strikes that does so with this probability.
    pub(super) fn strikes(&mut self, probability: f64) -> bool {
        self.part() < probability
    }

    /// Some time shorter than `longest`.
    pub(super) fn within(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.part())
    }

    /// From 0 up to, but not, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_has_the_same_luck() {
        let luck = |seed| {
            let mut chance = Chance::from_seed(seed);
            (0..1000).map(|_| chance.strikes(0.25)).collect::<Vec<_>>()
        };
        assert_eq!(luck(7), luck(7));
        assert_ne!(luck(7), luck(8));
        let struck = luck(7).iter().filter(|struck| **struck).count();
        assert!((200..300).contains(&struck), "{struck} of 1000 at a quarter");
    }

    #[test]
    fn what_never_or_always_strikes_does_so() {
        let mut chance = Chance::from_seed(1);
        assert!((0..1000).all(|_| !chance.strikes(0.0) && chance.strikes(1.0)));
    }

    #[test]
    fn faults_stay_within_their_limits() {
        let wild = QueueFaults { repeat: u32::MAX, lose: 7.0, delay_ms: u64::MAX, reorder: true };
        let bounded = QueueFaults { repeat: REPEAT_MAX, lose: 1.0, delay_ms: DELAY_MS_MAX, reorder: true };
        assert_eq!(wild.bounded(), bounded);
        assert_eq!(QueueFaults { lose: f64::NAN, ..wild }.bounded().lose.to_bits(), 0.0_f64.to_bits());
    }
}
