//! Laws 2, 3 and 4: what a run decided reaches its own machine only, and one placement runs, with the disk.

use domain::{Action, FailureCode, Phase, Record, Seconds};

use super::story::Story;
use super::{Court, Law};
use crate::history::{Status, Why};

pub(crate) const STOP_FENCED: Law = "3: a stop of one run stops no machine of a later one";
pub(crate) const START_FENCED: Law = "3: a start outlives neither its run nor its user's wish";
pub(crate) const OVER_IS_DOWN: Law = "3: no run is said to be over while its machine is up";
pub(crate) const ONE_UP: Law = "4: at most one placement runs";
pub(crate) const ONE_DISK: Law = "4: the disk is attached to one instance at most";
pub(crate) const DISK_STAYS: Law = "4: the disk is pulled from no machine that runs";
pub(crate) const WITH_DISK: Law = "4: nothing is started without the disk";
pub(crate) const NOT_LEFT: Law = "4: no placement is given up whose machine has come up";
pub(crate) const UNWANTED_ENDS: Law = "2: a machine that nobody wants is stopped";

/// Good sweeps that see a machine which nobody wants before it goes down. One finds it. The worker that it nudges waits
/// for a call that may still arrive (40 s), and again where its own call is not answered, the more often the more is
/// lost on the way.
const UNWANTED_SWEEPS_MAX: usize = 12;
/// Where nothing goes wrong: one to find it, one for a call that is still outstanding, one for the stop.
const UNWANTED_SWEEPS_MAX_IN_QUIET: usize = 4;
/// A look, and the save that follows it, take no longer: what has come up since could not be known.
const LOOKED_WITHIN: Seconds = Seconds(60);
/// What went wrong before it was quiet is over: the longest wait for a push that is tried again.
const QUIET_AFTER: Seconds = Seconds(600);

/// A call reaches Compute Engine.
pub(crate) fn judge_arrival(story: &Story, by: Option<(u64, u32)>, action: &Action, took: bool, court: &mut Court) {
    let Some((run, _)) = by.filter(|_| took) else { return };
    let (name, record) = (story.name(), &story.record);
    let Some(target) = story.instances.get(action.instance()) else { return };
    match action {
        Action::StartInstance { instance } => {
            let late = if run < record.run {
                Some(format!("a start of run {run} arrives in run {}", record.run))
            } else {
                let unwanted = !record.phase.expects_machine();
                unwanted.then(|| format!("a start of run {run} arrives, and it is {:?}", record.phase))
            };
            court.judge(START_FENCED, name, late);
            let other = story.instances.iter().find(|(other, known)| *other != instance && known.is_ours());
            let other = other.map(|(other, known)| format!("{instance} is started, and {other} is {:?}", known.status));
            court.judge(ONE_UP, name, other);
            if story.workspace.disk.is_some() {
                let without = (!target.has_disk).then(|| format!("{instance} is started without the disk"));
                court.judge(WITH_DISK, name, without);
            }
        }
        Action::StopInstance { instance } => {
            let woken = matches!(target.woken, Some((Why::Run(later) | Why::Late(later), _)) if later > run);
            let serves = matches!(record.phase, Phase::Booting | Phase::Ready | Phase::Draining)
                && record.run > run
                && record.placement.as_ref() == Some(instance);
            let broken = (woken || serves).then(|| format!("a stop of run {run} stops {instance}, a later run's"));
            court.judge(STOP_FENCED, name, broken);
        }
        Action::DetachDisk { instance } => {
            let pulled = target.is_ours().then(|| format!("the disk is pulled from {instance}, {:?}", target.status));
            court.judge(DISK_STAYS, name, pulled);
        }
        Action::AttachDisk { .. } | Action::ForceAttachDisk { .. } => {}
    }
}

/// The disk has moved.
pub(crate) fn judge_disk(story: &mut Story, instance: &str, attached: bool, court: &mut Court) {
    if let Some(known) = story.instances.get_mut(instance) {
        known.has_disk = attached;
    }
    let holders: Vec<&String> =
        story.instances.iter().filter(|(_, known)| known.has_disk).map(|(name, _)| name).collect();
    let broken = (holders.len() > 1).then(|| format!("the disk is at {holders:?}"));
    court.judge(ONE_DISK, story.name(), broken);
}

/// A run walks on to another placement.
pub(crate) fn judge_walk(story: &Story, before: &Record, court: &mut Court) {
    let record = &story.record;
    let walks = record.run == before.run && record.phase == Phase::Placing && before.phase == Phase::Placing;
    let left = before.placement.as_ref().filter(|left| walks && record.placement.as_ref() != Some(left));
    let Some(known) = left.and_then(|left| story.instances.get(left)) else { return };
    let runs = known.status == Some(Status::Running) && known.is_ours();
    let up = known.runs_since.filter(|since| runs && court.now.since(*since) > LOOKED_WITHIN);
    let broken = up.map(|since| {
        format!("run {} leaves {left:?}, which has been running for {}", record.run, court.now.since(since))
    });
    court.judge(NOT_LEFT, story.name(), broken);
}

/// A run is said to be over.
pub(crate) fn judge_save(story: &Story, before: &Record, court: &mut Court) {
    let record = &story.record;
    if before.phase != Phase::Stopping || (record.phase.expects_machine() && record.run == before.run) {
        return;
    }
    // A stop that has taken too long ends the run with its machine up, and says so.
    let told = record.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::StopTimedOut);
    let up = story.instances.iter().find(|(_, known)| known.is_ours()).filter(|_| !told);
    let broken = up.map(|(name, known)| format!("run {} is over, and {name} is {:?}", record.run, known.status));
    court.judge(OVER_IS_DOWN, story.name(), broken);
}

/// A good sweep is over.
pub(crate) fn judge_sweep(story: &Story, court: &mut Court) {
    let quiet = court.quiet_since.map(|since| since + QUIET_AFTER);
    // One call at a time: what hangs in stopping is waited for, and so is whatever is up beside it.
    if story.instances.values().any(|known| known.status == Some(Status::Stopping)) {
        return;
    }
    let gone = story.instances.values().filter_map(|known| known.went).map(|(at, _)| at).max().unwrap_or_default();
    for (name, known) in &story.instances {
        let Some(since) = known.unwanted_since.map(|since| since.max(gone)) else { continue };
        let sweeps = court.sweeps_since(since);
        let in_quiet = quiet.map_or(0, |quiet| court.sweeps_since(since.max(quiet)));
        let long = sweeps > UNWANTED_SWEEPS_MAX || in_quiet > UNWANTED_SWEEPS_MAX_IN_QUIET;
        let broken = long.then(|| {
            format!(
                "{name} is up ({:?}), and nobody wants it for {} and {sweeps} sweeps",
                known.woken,
                court.now.since(since)
            )
        });
        court.judge(UNWANTED_ENDS, story.name(), broken);
    }
}
