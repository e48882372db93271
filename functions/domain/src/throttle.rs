//! How often somebody may try to sign in.

use crate::time::{Seconds, Timestamp};

/// Failed attempts of one account, or from one address, within the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Oldest first; never more than [`Throttle::failures_max`].
    pub failed_at: Vec<Timestamp>,
}

/// So many failures are forgiven within the window; then one must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub window: Seconds,
    pub failures_max: usize,
}

/// Ten wrong passwords in a quarter of an hour: generous to a person, useless to a guesser.
pub const THROTTLE: Throttle = Throttle { window: Seconds::minutes(15), failures_max: 10 };

impl Throttle {
    /// How long to wait before the next attempt; `None` when it may be made `now`.
    pub fn retry_after(self, attempts: &Attempts, now: Timestamp) -> Option<Seconds> {
        let recent = attempts.failed_at.iter().filter(|at| **at + self.window > now);
        let oldest = recent.clone().min()?;
        (recent.count() >= self.failures_max).then(|| Seconds((*oldest + self.window).since(now).0.max(1)))
    }

    /// The attempts with one more failure; those outside the window are forgotten.
    #[must_use]
    pub fn with_failure(self, attempts: &Attempts, now: Timestamp) -> Attempts {
        let mut failed_at: Vec<_> = attempts.failed_at.iter().copied().filter(|at| *at + self.window > now).collect();
        failed_at.push(now);
        failed_at.sort_unstable();
        let surplus = failed_at.len().saturating_sub(self.failures_max);
        failed_at.drain(..surplus);
        Attempts { failed_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_attempt_waits_until_the_first_failure_is_forgotten() {
        let begin = Timestamp::from_seconds(1000);
        let mut attempts = Attempts::default();
        for second in 0..10 {
            assert_eq!(THROTTLE.retry_after(&attempts, begin + Seconds(second)), None, "attempt {second}");
            attempts = THROTTLE.with_failure(&attempts, begin + Seconds(second));
        }
        assert_eq!(THROTTLE.retry_after(&attempts, begin + Seconds(10)), Some(Seconds(890)));
        assert_eq!(THROTTLE.retry_after(&attempts, begin + Seconds(900)), None);
    }

    #[test]
    fn however_often_one_fails_the_list_stays_short() {
        let mut attempts = Attempts::default();
        for second in 0..100 {
            attempts = THROTTLE.with_failure(&attempts, Timestamp::from_seconds(second));
        }
        assert_eq!(attempts.failed_at.len(), THROTTLE.failures_max);
    }
}
