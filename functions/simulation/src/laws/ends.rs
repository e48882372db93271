//! Laws 2 and 7: what nobody uses ends in time, and so does every phase; every wish ends, and nothing is stuck.

use domain::{FailureCode, Phase, Reading, Record, Seconds, StopReason, Timestamp};

use super::story::{Said, Story};
use super::{Court, Law, ON_ITS_WAY, SLACK};

pub(crate) const IDLE_ENDS: Law = "2: an idle run ends within its limits, drain and two sweeps; a hard end is one";
pub(crate) const PHASE_LIMIT: Law = "7: no phase outlasts its limit by more than a sweep";
pub(crate) const WISH_ENDS: Law = "7: every accepted start ends in a receipt";
pub(crate) const NOTHING_STUCK: Law = "7: everything comes to rest";
pub(crate) const NEVER_REFUSED: Law = "7: no run fails for a call of its own that was repeated";
pub(crate) const NEVER_OUR_FAULT: Law = "7: nobody is told of an error of ours";

/// A run that follows an interruption waits so long before it begins to walk (`domain/src/walk.rs`).
const BACK_OFF_MAX: Seconds = Seconds::minutes(5);

/// A good sweep is over: whatever was due before the one before it must be done.
pub(crate) fn judge_sweep(story: &Story, court: &mut Court) {
    let (record, policy) = (&story.record, &story.workspace.policy);
    let limit = match record.phase {
        Phase::Ready | Phase::Draining => return judge_idle(story, court),
        Phase::Stopped | Phase::Failed => return,
        Phase::Placing => {
            let asked_at = record.walk.attempts.last().map(|last| last.at).unwrap_or_default();
            let walking = record.phase_since.max(record.walk.since).max(asked_at) + policy.placing_limit;
            // However often it begins again: it ends when its user said, or when its last restart has waited, and each
            // placement was asked once more.
            let patience = record.walk.keep_trying_until.unwrap_or(record.phase_since).max(record.phase_since);
            let most = policy.placing_limit.0 * (story.workspace.placements.len() as u64 + 1);
            walking.min(patience + BACK_OFF_MAX + Seconds(most))
        }
        Phase::Stopping => record.phase_since + policy.stopping_limit,
        Phase::Booting => {
            let moved_at = record.boot.as_ref().map(|boot| boot.moved_at);
            moved_at.max(Some(record.phase_since)).unwrap_or_default() + policy.booting_limit
        }
    };
    // A run that is on its way up ends at its hard end too.
    let hard = record.hard_stop_at.filter(|_| record.phase != Phase::Stopping);
    let due = hard.map_or(limit, |hard| hard.min(limit)) + SLACK;
    let over = court.sweep_after(due).filter(|over| *over < court.now);
    let broken = over.map(|_| {
        format!("run {} is {:?} {} after it should have ended", record.run, record.phase, court.now.since(due))
    });
    court.judge(PHASE_LIMIT, story.name(), broken);
}

/// By the sweeps alone: a run that is not heard is silent at last.
fn judge_idle(story: &Story, court: &mut Court) {
    let (record, policy, spoken) = (&story.record, &story.workspace.policy, &story.spoken);
    let Some(hard) = record.hard_stop_at else { return };
    let ready = record.ready_at.unwrap_or_default();
    let heard = spoken.known_said_at.map(|at| at + ON_ITS_WAY).max(Some(ready)).unwrap_or_default();
    let silent = heard + policy.silence_limit + story.threshold();
    let quiet = spoken.kept_until.max(ready + policy.arrival_limit).max(silent) + SLACK;
    let broken = outstayed(story, quiet.min(hard + SLACK), |since| court.sweep_after(since), court.now);
    court.judge(IDLE_ENDS, story.name(), broken);
}

/// By the VM's own words: each that says that nothing goes on makes the record look at the time.
fn judge_heard_idle(story: &Story, court: &mut Court) {
    let (record, policy, spoken) = (&story.record, &story.workspace.policy, &story.spoken);
    let Some(ready) = record.ready_at.filter(|_| record.phase.is_open()) else { return };
    let quiet = spoken.kept_until.max(ready + policy.arrival_limit) + SLACK;
    let after = |since: Timestamp| {
        let first = spoken.idle_heard.partition_point(|(sent, _)| *sent < since);
        spoken.idle_heard.get(first).map(|(_, answered)| *answered)
    };
    let broken = outstayed(story, quiet, after, court.now);
    court.judge(IDLE_ENDS, story.name(), broken);
}

/// From `quiet` on nothing speaks for the run: the first occasion announces its end, and one after the announcement ends
/// it. The announcement is the drain, or half of it where the occasion came late (`drain_end` in `domain`).
fn outstayed(
    story: &Story,
    quiet: Timestamp,
    after: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let (record, drain) = (&story.record, story.workspace.policy.drain);
    let first = after(quiet)?;
    let announced = (quiet + drain).max(first + drain);
    // Where the hard end is no further away than an announcement, that is announced, and is not hurried: at once, or
    // when an idleness that was announced is no longer known.
    let hard = record.hard_stop_at?;
    let to_the_end = first + drain >= hard || record.ending == Some(StopReason::HardLimit);
    let announced = if to_the_end { announced.max(hard) } else { announced };
    let ends = after(announced + SLACK).filter(|ends| *ends < now)?;
    Some(format!("run {} is {:?} {} after it should have ended", record.run, record.phase, now.since(ends)))
}

/// Somebody was answered.
pub(crate) fn judge_answer(story: &Story, said: Said, status: Option<u16>, court: &mut Court) {
    let broken = status.is_some_and(|status| {
        status == 500
            || (status >= 500
                && court.quiet_since.is_some_and(|since| {
                    let (Said::Asked { at, .. } | Said::Beat { at, .. }) = said;
                    at > since + ON_ITS_WAY
                }))
    });
    if status == Some(200) && matches!(said, Said::Beat { reading: Reading::Idle { .. }, .. }) {
        judge_heard_idle(story, court);
    }
    court.judge(NEVER_OUR_FAULT, story.name(), broken.then(|| format!("{said:?} is answered {status:?}")));
}

/// A run is over: not because of what we have done twice ourselves. Nobody else touches the disk, and every instance is
/// there.
pub(crate) fn judge_save(story: &Story, before: &Record, court: &mut Court) {
    let record = &story.record;
    let Some(failure) = record.failure.as_ref().filter(|_| before.phase.expects_machine()) else { return };
    let broken = (failure.code == FailureCode::Refused).then(|| format!("run {}: {}", record.run, failure.detail));
    court.judge(NEVER_REFUSED, story.name(), broken);
}

/// The end.
pub(crate) fn judge_end(story: &Story, court: &mut Court) {
    let broken = (!story.owed.is_empty()).then(|| format!("runs {:?} were accepted, and never ended", story.owed));
    court.judge(WISH_ENDS, story.name(), broken);
}
