//! Repeatable chance: the same seed gives the same ids, fingerprints and failures.
//!
//! Not for secrets: keys come from the operating system (see `identity`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// Sebastiano Vigna's SplitMix64: eight bytes of state, good enough to tell names apart and to choose who fails.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly spread over 0 (included) to 1 (excluded).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float's mantissa exactly")]
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A resource id as Google's: a uint64 with its top bit clear and nineteen digits or so.
    pub(crate) fn id(&mut self) -> u64 {
        (self.next() >> 1) | (1 << 60)
    }

    /// A fingerprint as Google's: eight bytes in URL-safe base64.
    pub(crate) fn fingerprint(&mut self) -> String {
        URL_SAFE.encode(self.next().to_be_bytes())
    }

    /// `digits` (at most sixteen) hexadecimal digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let all = format!("{:016x}", self.next());
        all[..digits.min(all.len())].to_owned()
    }
}

/// A number that is the same for the same name on every machine (FNV-1a), for ids that should survive a restart.
pub(crate) fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_story() {
        let (mut one, mut other) = (Chance::seeded(7), Chance::seeded(7));
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.id(), other.id());
        assert_ne!(one.next(), one.next());
    }

    #[test]
    fn fractions_stay_below_one_and_spread() {
        let mut chance = Chance::seeded(1);
        let low = (0..1000).filter(|_| chance.fraction() < 0.25).count();
        assert!((200..300).contains(&low), "{low} of 1000 below a quarter");
    }
}
