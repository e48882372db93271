//! Notices: what a workspace's people are told although nobody is looking, and when one that was not taken is sent again.
//!
//! A notice is put into the record in the save that makes it true, and taken out of it in a save of its own before it
//! is sent: so it goes out once at most. Only one that has surely not been taken is put back ([`Notice::again`]).

use crate::cost::MicroUsd;
use crate::record::{FailureCode, RunNumber, StopReason};
use crate::time::{Seconds, Timestamp};

/// A record keeps this many notices that are still to be sent. Where more come, the oldest has lost its worth.
pub const NOTICES_MAX: usize = 16;

/// A notice that was not taken so often is given up: with the waits between, after an hour and 21 minutes.
pub const NOTICE_TRIES_MAX: u8 = 6;

/// How long to wait after the first, second, … try that failed.
const AGAIN_AFTER: [Seconds; NOTICE_TRIES_MAX as usize - 1] =
    [Seconds(10), Seconds::minutes(1), Seconds::minutes(5), Seconds::minutes(15), Seconds::hours(1)];

/// How long to wait after so many tries have failed.
pub fn again_after(tries: u8) -> Seconds {
    let failed_before = usize::from(tries.saturating_sub(1));
    AGAIN_AFTER[failed_before.min(AGAIN_AFTER.len() - 1)]
}

/// Something that people are to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Counts the notices of a workspace: with workspace and run it makes the name by which a receiver knows a repeat.
    pub sequence: u64,
    pub run: RunNumber,
    pub kind: NoticeKind,
    /// When it came true.
    pub at: Timestamp,
    /// Tries that have failed.
    pub tries: u8,
    /// It is not sent before.
    pub not_before: Timestamp,
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// ComfyUI can be opened.
    Ready {
        /// Name of the instance that carries the run.
        placement: String,
        /// Restarts after interruptions that it took.
        restarts: u32,
    },
    /// The run is announced to stop.
    DrainingSoon { reason: StopReason, ends_at: Timestamp },
    /// The run has ended: its receipt.
    Stopped {
        reason: StopReason,
        /// From accepted start to stopped.
        lasted: Seconds,
        /// Time billed.
        billed: Seconds,
        cost: MicroUsd,
        /// What the month has cost so far, this run in it.
        month: MicroUsd,
        failure: Option<FailureCode>,
    },
    /// No placement has a machine.
    NoCapacity {
        /// The zones tried, in order.
        zones: Vec<String>,
        /// Until when it goes on trying; `None` where it does not.
        until: Option<Timestamp>,
    },
    /// The machine was taken away under the run.
    Preempted {
        zone: Option<String>,
        /// Google's host broke down; else Google took a Spot machine back.
        host_error: bool,
        /// The next run begins at once.
        restarting: bool,
    },
    /// So much of the month's budget is used up.
    Budget { percent: u8, spent: MicroUsd, limit: MicroUsd },
}

impl Notice {
    /// A notice that has just come true, to be sent at once.
    pub fn new(sequence: u64, run: RunNumber, kind: NoticeKind, at: Timestamp) -> Self {
        Self { sequence, run, kind, at, tries: 0, not_before: at }
    }

    /// It may be sent.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.not_before
    }

    /// The same notice after a try that was surely not taken, no sooner than its receiver asks (`at_least`); `None`
    /// when it has been tried often enough.
    #[must_use]
    pub fn again(self, now: Timestamp, at_least: Seconds) -> Option<Self> {
        let tries = self.tries.saturating_add(1);
        let not_before = now + again_after(tries).max(at_least);
        (tries < NOTICE_TRIES_MAX).then_some(Self { tries, not_before, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_772_323_200);

    fn notice() -> Notice {
        Notice::new(1, 12, NoticeKind::Ready { placement: "main-a".into(), restarts: 0 }, NOW)
    }

    #[test]
    fn a_notice_is_tried_six_times_with_longer_and_longer_waits() {
        let tries = std::iter::successors(Some(notice()), |notice| notice.clone().again(NOW, Seconds(0)));
        let waits: Vec<u64> = tries.map(|notice| notice.not_before.since(NOW).0).collect();
        assert_eq!(waits, [0, 10, 60, 300, 900, 3600]);
    }

    #[test]
    fn the_longest_wait_is_the_last() {
        assert_eq!(
            [0, 1, 6, u8::MAX].map(again_after),
            [Seconds(10), Seconds(10), Seconds::hours(1), Seconds::hours(1)]
        );
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_and_not_for_a_shorter_one() {
        let asked = |at_least| notice().again(NOW, Seconds(at_least)).unwrap();
        assert_eq!(asked(30).not_before, NOW + Seconds(30));
        assert_eq!(asked(3).not_before, NOW + Seconds(10));
        assert_eq!((asked(3).tries, asked(3).at, asked(3).sequence), (1, NOW, 1), "the rest stays");
    }

    #[test]
    fn a_notice_is_due_from_its_moment_on() {
        let later = notice().again(NOW, Seconds(0)).unwrap();
        assert!(notice().is_due(NOW));
        assert!(!later.is_due(NOW + Seconds(9)) && later.is_due(NOW + Seconds(10)));
    }
}
