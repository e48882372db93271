//! When the machine stops itself, because nobody else can. Pure.
//!
//! The control plane stops an idle machine. If it is out of reach for longer than the silence limit **and** nobody has
//! used the machine for the idle limit, the machine does it itself; and at the hard end of the run whatever happens,
//! since no activity moves that. A machine that was never told of a hard end has one by its own reckoning. Never while
//! the control plane answers, and never, before the hard end, while busy.
//!
//! Lengths are added up from short steps and not taken as the difference of two moments: a clock that is put forward
//! by an hour at boot has not let anybody be away for an hour.

use domain::{Reading, Seconds, Timestamp};

/// Longest time that two looks can be apart. More is a clock that was put forward, or a machine that was paused.
const STEP_MAX: Seconds = Seconds(120);

/// How long the control plane has been silent, and everybody away.
#[derive(Debug)]
pub(crate) struct LastResort {
    silence_limit: Seconds,
    hard_limit: Seconds,
    looked_at: Timestamp,
    last_seen: Option<Timestamp>,
    up_ms: u64,
    cut_off_ms: u64,
    quiet_ms: u64,
    unknown_ms: u64,
}

/// What there is to see at a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// The control plane has answered since the last look.
    pub(crate) heard: bool,
    pub(crate) reading: Reading,
    /// The last thing that showed use, whatever the reading.
    pub(crate) last: Option<domain::Activity>,
    /// As the control plane last said.
    pub(crate) idle_limit: Seconds,
    pub(crate) hard_stop_at: Option<Timestamp>,
}

/// Why the machine stops itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    Idle,
    HardLimit,
}

impl LastResort {
    /// Begins to watch: nobody is late yet.
    pub(crate) fn new(silence_limit: Seconds, hard_limit: Seconds, now: Timestamp) -> Self {
        let (up_ms, cut_off_ms, quiet_ms, unknown_ms) = (0, 0, 0, 0);
        Self { silence_limit, hard_limit, looked_at: now, last_seen: None, up_ms, cut_off_ms, quiet_ms, unknown_ms }
    }

    /// Looks. Says why the machine must stop itself, if it must.
    pub(crate) fn look(&mut self, sight: Sight, now: Timestamp) -> Option<CutOff> {
        let step = u64::try_from(now.millis().saturating_sub(self.looked_at.millis())).unwrap_or(0);
        let step = step.min(millis(STEP_MAX));
        self.looked_at = now;

        let used = matches!(sight.reading, Reading::Busy(_)) || sight.last.map(|last| last.at) != self.last_seen;
        self.last_seen = sight.last.map(|last| last.at);
        add_or_clear(&mut self.up_ms, step, false);
        add_or_clear(&mut self.cut_off_ms, step, sight.heard);
        add_or_clear(&mut self.quiet_ms, step, used);
        add_or_clear(&mut self.unknown_ms, step, sight.reading != Reading::Unknown);

        let silence = millis(self.silence_limit);
        if self.cut_off_ms <= silence {
            return None;
        }
        let at_hard_end = match sight.hard_stop_at {
            Some(hard) => now >= hard,
            None => self.up_ms >= millis(self.hard_limit),
        };
        if at_hard_end {
            return Some(CutOff::HardLimit);
        }
        // Unknown is active, until the silence limit.
        let presumed_busy = sight.reading == Reading::Unknown && self.unknown_ms <= silence;
        (self.quiet_ms >= millis(sight.idle_limit) && !presumed_busy).then_some(CutOff::Idle)
    }
}

fn add_or_clear(sum: &mut u64, step: u64, clear: bool) {
    *sum = if clear { 0 } else { sum.saturating_add(step) };
}

fn millis(length: Seconds) -> u64 {
    length.0.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Signal;

    const START: Timestamp = Timestamp::from_seconds(1_000_000);
    const SILENCE: Seconds = Seconds::minutes(10);
    const HARD: Seconds = Seconds::hours(12);
    const LOOK_EVERY: u64 = 5;

    const IDLE: Sight = Sight {
        heard: false,
        reading: Reading::Idle { last: None },
        last: None,
        idle_limit: Seconds::minutes(30),
        hard_stop_at: None,
    };

    /// Looks every five seconds for `minutes`; when the machine stopped itself, in seconds, and why.
    fn watch(minutes: u64, sight: impl Fn(u64) -> Sight) -> Option<(u64, CutOff)> {
        let mut resort = LastResort::new(SILENCE, HARD, START);
        (1..=minutes * 60 / LOOK_EVERY)
            .map(|look| look * LOOK_EVERY)
            .find_map(|second| Some((second, resort.look(sight(second), START + Seconds(second))?)))
    }

    #[test]
    fn cut_off_and_idle_it_stops_itself_after_the_idle_limit() {
        assert_eq!(watch(60, |_| IDLE), Some((1800, CutOff::Idle)));
    }

    #[test]
    fn a_short_idle_limit_still_waits_for_the_silence_limit() {
        assert_eq!(watch(60, |_| Sight { idle_limit: Seconds(60), ..IDLE }), Some((605, CutOff::Idle)));
    }

    #[test]
    fn while_the_control_plane_answers_it_leaves_the_matter_to_it() {
        let heard = |second| Sight { heard: second % 30 == 0, ..IDLE };
        assert_eq!(watch(600, heard), None);
    }

    #[test]
    fn a_machine_that_was_never_told_of_an_end_stops_at_its_own_however_busy() {
        let busy = |_| Sight { reading: Reading::Busy(Signal::Queue), ..IDLE };
        assert_eq!(watch(800, busy), Some((12 * 3600, CutOff::HardLimit)));
        let heard_at_first = |second| Sight { heard: second == 5, ..busy(second) };
        assert_eq!(watch(800, heard_at_first), Some((12 * 3600, CutOff::HardLimit)));
        let heard_all_along = |second| Sight { heard: second % 30 == 0, ..busy(second) };
        assert_eq!(watch(800, heard_all_along), None);
    }

    #[test]
    fn an_end_that_was_told_holds_even_where_it_is_later_than_its_own() {
        let told =
            |_| Sight { reading: Reading::Busy(Signal::Queue), hard_stop_at: Some(START + Seconds::hours(13)), ..IDLE };
        assert_eq!(watch(800, told), Some((13 * 3600, CutOff::HardLimit)));
    }

    #[test]
    fn a_busy_machine_does_not_stop_itself_before_its_hard_end() {
        // To the hard limit of its own, which counts from its start.
        assert_eq!(watch(719, |_| Sight { reading: Reading::Busy(Signal::Queue), ..IDLE }), None);
    }

    #[test]
    fn a_person_seen_every_twenty_minutes_keeps_it_up() {
        let seen = |second: u64| {
            let last = domain::Activity { at: START + Seconds(second / 1200 * 1200), signal: Signal::Person };
            Sight { reading: Reading::Idle { last: Some(last) }, last: Some(last), ..IDLE }
        };
        assert_eq!(watch(600, seen), None);
    }

    #[test]
    fn the_hard_end_comes_even_to_a_busy_machine() {
        let busy =
            |_| Sight { reading: Reading::Busy(Signal::Queue), hard_stop_at: Some(START + Seconds::hours(1)), ..IDLE };
        assert_eq!(watch(120, busy), Some((3600, CutOff::HardLimit)));
    }

    #[test]
    fn the_hard_end_is_not_its_business_while_the_control_plane_answers() {
        let heard = |_| Sight { heard: true, hard_stop_at: Some(START + Seconds(60)), ..IDLE };
        assert_eq!(watch(60, heard), None);
    }

    #[test]
    fn unknown_is_active_until_the_silence_limit_and_then_idle() {
        let dies_late = |second| Sight {
            reading: if second < 1500 { Reading::Idle { last: None } } else { Reading::Unknown },
            ..IDLE
        };
        // Quiet for the idle limit at 1800 s, but unknown since 1500 s: five more minutes.
        assert_eq!(watch(60, dies_late), Some((2100, CutOff::Idle)));
    }

    #[test]
    fn a_clock_put_forward_by_a_day_has_let_nobody_be_away() {
        let mut resort = LastResort::new(SILENCE, HARD, START);
        let tomorrow = START + Seconds::hours(24);
        for second in [0, 5, 10] {
            assert_eq!(resort.look(IDLE, tomorrow + Seconds(second)), None);
        }
    }

    #[test]
    fn a_clock_put_back_only_makes_it_wait() {
        let mut resort = LastResort::new(SILENCE, HARD, START);
        assert_eq!(resort.look(IDLE, START - Seconds::hours(5)), None);
        assert_eq!(resort.quiet_ms, 0);
    }
}
