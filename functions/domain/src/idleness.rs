//! Whether a run is in use, and when it stops.
//!
//! `stop_at = min(max(stop_at, last_active + idle_limit), hard_stop_at)`: it moves forward only, and never past the
//! hard end. A job in the queue keeps the machine alive because each heartbeat that reports it is an [`Activity`] at
//! that moment (signal `Queue`), which moves `stop_at` here, in [`note_activity`].
//!
//! Unknown is active: a VM that is not heard counts as busy until the silence limit, then as idle.

use crate::record::{Activity, Phase, Record, StopReason};
use crate::time::{Seconds, Timestamp};
use crate::workspace::Policy;

/// The worker looks again after this long when a nudge may have been lost.
const NUDGE_AGAIN_AFTER: Seconds = Seconds(60);

/// Moments that have moved by less than this are not worth a write of their own (Firestore bills each one).
///
/// Never more than the announcement of a stop: activity that went unwritten is then still younger than the idle limit
/// only while the stop is being announced, and takes it back.
pub fn write_threshold(policy: &Policy) -> Seconds {
    Seconds(policy.idle_limit.0 / 20).min(policy.drain).min(Seconds(policy.silence_limit.0 / 4))
}

/// Takes in evidence of use: the deadline moves, and an announced stop is taken back, unless it is the hard end's.
pub(crate) fn note_activity(record: &mut Record, activity: Activity, now: Timestamp, policy: &Policy) {
    // Clocks differ: nothing that has happened lies ahead.
    let activity = Activity { at: activity.at.min(now), ..activity };
    // A run that is on its way out, or over, is in nobody's use.
    let counts = matches!(record.phase, Phase::Placing | Phase::Booting | Phase::Ready | Phase::Draining);
    if !counts || record.started_at.is_none_or(|started| activity.at < started) {
        return;
    }
    let newer = record.last_active.is_none_or(|last| activity.at > last.at);
    if !newer {
        return;
    }
    record.idle = record.idle_time(activity.at, policy);
    record.last_active = Some(activity);
    if record.phase.is_open() {
        move_stop_at(record, activity.at + policy.idle_limit);
        if record.phase == Phase::Draining && activity.at + policy.idle_limit > now {
            keep_running(record, now);
        }
    }
}

impl Record {
    /// Time of this run spent on no activity, up to `now`.
    pub fn idle_time(&self, now: Timestamp, policy: &Policy) -> Seconds {
        let quiet_since = self.last_active.map(|last| last.at).max(self.ready_at);
        let gap = quiet_since.map_or(Seconds(0), |since| now.since(since));
        // Shorter gaps are the time between two heartbeats of a busy machine, or went unwritten.
        let counts = gap > write_threshold(policy) + policy.heartbeat_every + policy.heartbeat_every;
        if counts { self.idle + gap } else { self.idle }
    }
}

/// The deadline of a run that has just become ready.
pub(crate) fn first_stop_at(record: &mut Record, now: Timestamp, policy: &Policy) {
    move_stop_at(record, now + policy.arrival_limit);
    if let Some(last) = record.last_active {
        move_stop_at(record, last.at + policy.idle_limit);
    }
}

/// Moves the deadline forward to `to`, as far as the hard end allows; never back.
pub(crate) fn move_stop_at(record: &mut Record, to: Timestamp) {
    let moved = record.stop_at.map_or(to, |stop_at| stop_at.max(to));
    record.stop_at = Some(record.hard_stop_at.map_or(moved, |hard| moved.min(hard)));
}

/// Takes an announced stop back. The hard end cannot be taken back.
pub(crate) fn keep_running(record: &mut Record, now: Timestamp) {
    if record.phase == Phase::Draining && record.ending != Some(StopReason::HardLimit) {
        record.phase = Phase::Ready;
        record.phase_since = now;
        record.drain_ends_at = None;
        record.ending = record.ending.filter(|ending| ending.is_interruption());
    }
}

/// Whether a ready run's hard end must be announced, and since when.
pub(crate) fn hard_reason(record: &Record, now: Timestamp, policy: &Policy) -> Option<(StopReason, Timestamp)> {
    let since = record.hard_stop_at? - policy.drain;
    (now >= since).then_some((StopReason::HardLimit, since))
}

/// Why a ready run must be announced to stop for want of use, and since when, if it must.
pub(crate) fn idle_reason(record: &Record, now: Timestamp, policy: &Policy) -> Option<(StopReason, Timestamp)> {
    let stop_at = record.stop_at.filter(|stop_at| now >= *stop_at)?;
    if heard_idle(record, now, policy) {
        let nobody_came = record.last_active.is_none_or(|last| record.ready_at.is_some_and(|ready| last.at < ready));
        return Some((if nobody_came { StopReason::NeverOpened } else { StopReason::Idle }, stop_at));
    }
    let silent_at = silent_at(record, policy).filter(|silent_at| now >= *silent_at)?;
    Some((StopReason::Silent, stop_at.max(silent_at)))
}

/// The VM has said within its last two intervals that nothing is going on.
pub(crate) fn heard_idle(record: &Record, now: Timestamp, policy: &Policy) -> bool {
    let lately = Seconds(policy.heartbeat_every.0 * 2);
    record.idle_heard_at.is_some_and(|heard| now.since(heard) <= lately)
}

/// The VM has not been heard for the silence limit.
pub(crate) fn is_silent(record: &Record, now: Timestamp, policy: &Policy) -> bool {
    silent_at(record, policy).is_some_and(|at| now >= at)
}

/// When a VM that is not heard again counts as idle. The last heartbeats may have gone unwritten for a while.
fn silent_at(record: &Record, policy: &Policy) -> Option<Timestamp> {
    let heard = record.heard_at.max(record.ready_at)?;
    Some(heard + policy.silence_limit + write_threshold(policy))
}

/// When the reaper must look at this record next, if it must at all. Stored beside it, so that a sweep reads only what
/// is due.
pub fn due_at(record: &Record, policy: &Policy) -> Option<Timestamp> {
    let hard = record.hard_stop_at.unwrap_or(Timestamp::from_millis(i64::MAX));
    let to_tell = record.notices.iter().map(|notice| notice.not_before).min();
    let of_phase = match record.phase {
        Phase::Stopped | Phase::Failed => record.call.as_ref().map(|call| call.until),
        Phase::Placing => {
            let look_after = NUDGE_AGAIN_AFTER.min(policy.placing_limit).min(policy.attempt_limit);
            let moved_at = record.walk.moved_at(record.phase_since);
            Some(record.walk.not_before.unwrap_or(moved_at + look_after).min(hard))
        }
        Phase::Booting => Some(phase_due(record, policy.booting_limit).min(hard)),
        Phase::Stopping => Some(phase_due(record, policy.stopping_limit)),
        Phase::Ready => {
            let announced = Some(hard - policy.drain);
            [record.stop_at, announced, silent_at(record, policy)].into_iter().flatten().min()
        }
        Phase::Draining => Some(record.drain_ends_at.unwrap_or(record.phase_since)),
    };
    of_phase.into_iter().chain(to_tell).min()
}

/// When a phase of this limit must be looked at: soon, in case its nudge was lost, and at its limit at the latest.
fn phase_due(record: &Record, limit: Seconds) -> Timestamp {
    record.phase_since + NUDGE_AGAIN_AFTER.min(limit)
}
