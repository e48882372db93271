//! When a run becomes active.

use domain::{Seconds, Signal};

use super::announcement;

/// A moment between a sweep's listing and its stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The sweep that will announce the stop has read the record, and not looked at it yet.
    Listed,
    /// While that sweep is at work, at no moment in particular.
    Meanwhile,
    /// The next thing that happens is that the announcement is saved.
    BeforeAnnounced,
    /// The announcement has just been saved.
    AfterAnnounced,
    /// The stop has been announced for so long.
    Announced(Seconds),
    /// The sweep that will stop the run has read the record, and not looked at it yet.
    ListedToStop,
    /// The next thing that happens is that the stop is saved.
    BeforeStopped,
}

impl Moment {
    /// At such a moment the sweep holds a record that is about to be outdated.
    pub(crate) fn is_between_read_and_save(self) -> bool {
        matches!(self, Self::Listed | Self::BeforeAnnounced | Self::ListedToStop | Self::BeforeStopped)
    }
}

/// A random moment for each of `count` runs.
pub(crate) fn moments(count: usize, seed: u64) -> Vec<Option<Moment>> {
    let mut chance = Chance(seed);
    let moment = |_| match chance.below(8) {
        0 => Moment::Listed,
        1 => Moment::Meanwhile,
        2 => Moment::BeforeAnnounced,
        3 => Moment::AfterAnnounced,
        4 => Moment::ListedToStop,
        5 => Moment::BeforeStopped,
        _ => Moment::Announced(Seconds(1 + chance.below(announcement().0 - 1))),
    };
    (0..count).map(moment).map(Some).collect()
}

/// By which of its two ways the run of this number becomes active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The page says that a person is there.
    Person,
    /// The VM says that it is at work.
    Machine(Signal),
}

impl Way {
    pub(crate) fn of(number: usize) -> Self {
        const WAYS: [Way; 4] =
            [Way::Person, Way::Machine(Signal::Queue), Way::Machine(Signal::Traffic), Way::Machine(Signal::Gpu)];
        WAYS[number % WAYS.len()]
    }
}

/// A sequence that a seed decides: SplitMix64, by Sebastiano Vigna.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
