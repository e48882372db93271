//! The laws that the model of use is held to.

use domain::{Phase, Record, Seconds, StopReason};
use stateright::Property;

use crate::usage::{Bounds, InUse, Usage, is_about_use};
use crate::world::{moment, ticks};

/// The law that the saving of this record breaks.
pub(crate) fn broken_by_saving(model: &Usage, state: &InUse, before: &Record) -> Option<&'static str> {
    let record = &state.record;
    if record.stop_at < before.stop_at || record.hard_stop_at != before.hard_stop_at {
        return Some("law 5: a deadline has moved back");
    }
    if record.stop_at > before.hard_stop_at {
        return Some("law 5: a deadline lies past the hard end");
    }
    if record.phase != Phase::Stopping {
        return None;
    }
    let reason = record.ending?;
    let at_hard_end = record.hard_stop_at.is_some_and(|hard| moment(state.tick) >= hard);
    if reason == StopReason::HardLimit && !at_hard_end {
        return Some("law 1: the hard limit stops before its time");
    }
    if is_about_use(reason) { broken_by_idling(model, state, reason) } else { None }
}

/// Whether this save stops a run without having announced it for at least half of what was promised.
pub(crate) fn is_hasty(model: &Usage, state: &InUse, before: &Record) -> bool {
    let at_hard_end = state.record.hard_stop_at.is_some_and(|hard| moment(state.tick) >= hard);
    let announced_for = moment(state.tick).since(before.phase_since);
    let announced = before.phase == Phase::Draining && announced_for >= Seconds(model.policy.drain.0 / 2);
    state.record.phase == Phase::Stopping && !announced && !at_hard_end
}

fn broken_by_idling(model: &Usage, state: &InUse, reason: StopReason) -> Option<&'static str> {
    let (now, policy) = (moment(state.tick), &model.policy);
    if now < state.kept_until.min(state.record.hard_stop_at?) {
        return Some("law 1: stopped before an extension, or the arrival limit, was over");
    }
    if state.told_active.is_some_and(|at| now < at + policy.idle_limit) {
        return Some("law 1: stopped with activity younger than the idle limit");
    }
    let heard_idle = state.heard_idle.is_some_and(|at| state.tick - at <= 2);
    let unheard = now >= moment(state.heard) + policy.silence_limit;
    if !heard_idle && !unheard {
        return Some("law 6: stopped though it was neither heard to be idle nor silent");
    }
    // Two intervals, and one in which a heartbeat may have been on its way.
    let busy_for_long = state.busy_since.is_some_and(|since| now.since(moment(since)) > ticks(3));
    if busy_for_long && !unheard && reason != StopReason::Silent {
        return Some("law 1: stopped while it worked");
    }
    None
}

/// Law 2: from the moment that nothing speaks for it any more, and that this is known, an idle run has the time of one
/// announcement and one sweep.
fn idle_run_ends(model: &Usage, state: &InUse) -> bool {
    let policy = &model.policy;
    let Some(sure_since) = state.sure_since.filter(|_| state.record.phase.is_open()) else { return true };
    let active = state.told_active.map(|at| at + policy.idle_limit);
    let quiet_since = active.map_or(state.kept_until, |at| at.max(state.kept_until)).max(moment(sure_since));
    moment(state.tick) <= quiet_since + policy.drain + ticks(u64::from(model.bounds.sweep_every))
}

pub(crate) fn properties(bounds: &Bounds) -> Vec<Property<Usage>> {
    let mut properties = vec![
        Property::always("no save breaks a law", |_, state: &InUse| state.broken.is_none()),
        Property::always("a stop is announced", |_, state: &InUse| !state.hasty),
        Property::always("law 2: an idle run ends in time", idle_run_ends),
        Property::always("law 2: a run ends at its hard end", |model: &Usage, state: &InUse| {
            let sweep = ticks(u64::from(model.bounds.sweep_every));
            let hard = moment(0) + model.policy.hard_limit;
            !state.record.phase.is_open() || moment(state.tick) <= hard + sweep
        }),
        Property::sometimes("Ready", |_, state: &InUse| state.record.phase == Phase::Ready),
        Property::sometimes("Draining", |_, state: &InUse| state.record.phase == Phase::Draining),
        Property::sometimes("Ready again after Draining", |_, state: &InUse| {
            state.record.phase == Phase::Ready && state.record.phase_since > state.record.ready_at.unwrap_or_default()
        }),
        Property::sometimes("stopped as idle", |_, state: &InUse| stopped_for(state, StopReason::Idle)),
        Property::sometimes("stopped as never opened", |_, state: &InUse| stopped_for(state, StopReason::NeverOpened)),
        Property::sometimes("stopped as silent", |_, state: &InUse| stopped_for(state, StopReason::Silent)),
        Property::sometimes("stopped at its hard end", |_, state: &InUse| stopped_for(state, StopReason::HardLimit)),
    ];
    // Shorter than a tick, the threshold lets nothing go unwritten.
    if bounds.idle >= 20 {
        properties.push(Property::sometimes("younger activity is told than is written", |_, state: &InUse| {
            state.told_active > state.record.last_active.map(|last| last.at)
        }));
    }
    properties
}

fn stopped_for(state: &InUse, reason: StopReason) -> bool {
    state.record.phase == Phase::Stopping && state.record.ending == Some(reason)
}
