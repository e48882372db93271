//! Laws 1, 5 and 6: a run in use is not stopped, deadlines move forward only, and unknown is active.

use std::collections::{BTreeMap, BTreeSet};

use compute_emulator::Happening;

use crate::court::{Law, Verdict};
use crate::history::{Ask, Millis, Reading, RunSeen};
use crate::story::{On, Story, Told};

pub(crate) const YOUNG_ACTIVITY: Law = Law("1: nothing is stopped as idle with activity younger than the idle limit");
pub(crate) const TOLD_DEADLINE: Law = Law("1: nothing is stopped before a deadline that was told");
pub(crate) const CAUSE: Law = Law("1: a user, the hard limit or Google stops a run only where they did");
pub(crate) const FORWARD: Law = Law("5: deadlines move forward only");
pub(crate) const WITHIN_HARD_END: Law = Law("5: no deadline lies past the hard end");
pub(crate) const SILENT: Law = Law("6: nothing is stopped as silent that was heard within the silence limit");

/// The domain counts in whole seconds.
const ROUNDING: Millis = 1000;

pub(crate) fn judge(story: &Story<'_>, verdict: &mut Verdict) {
    for run in story.runs.values() {
        match run.it.reason.as_str() {
            "Idle" | "NeverOpened" => judge_idle(story, run, verdict),
            "Silent" => {
                judge_idle(story, run, verdict);
                judge_silent(story, run, verdict);
            }
            "User" | "HardLimit" | "Preempted" | "HostError" | "MachineStopped" => judge_cause(story, run, verdict),
            _ => {}
        }
    }
    judge_deadlines(story, verdict);
}

fn judge_idle(story: &Story<'_>, run: &On<&RunSeen>, verdict: &mut Verdict) {
    let (_, decided) = story.decided(run.it);
    let idle = story.declared.limits.idle;
    let newest = acknowledged_activity(story, run.it).filter(|(at, ..)| *at >= run.it.started_at).max();
    if let Some((at, line)) = newest {
        let broken = (at + idle > decided)
            .then(|| format!("run {} was stopped ({}) {} ms after activity", run.it.run, run.it.reason, decided - at));
        verdict.judge(YOUNG_ACTIVITY, story.name(), &[line, run.line], broken);
    }
    let latest = story
        .told_of(run.it.run)
        .filter(|told| told.is_open() && told.now.unwrap_or(told.at) <= decided)
        .filter_map(|told| Some((told.stop_at?, told.line)))
        .max();
    if let Some((stop_at, line)) = latest {
        let early = stop_at - decided;
        let broken = (early > 0).then(|| format!("run {} was stopped {early} ms before what was told", run.it.run));
        verdict.judge(TOLD_DEADLINE, story.name(), &[line, run.line], broken);
    }
}

/// When there was activity that was taken in for this run, at the earliest, and where that shows.
fn acknowledged_activity<'a>(story: &'a Story<'_>, run: &'a RunSeen) -> impl Iterator<Item = (Millis, usize)> + 'a {
    let counts = |phase: &str| matches!(phase, "Placing" | "Booting" | "Ready" | "Draining");
    let by_people = story.answered.iter().filter_map(move |on| {
        let view = &on.it.view;
        if view.run != run.run || !counts(&view.phase) {
            return None;
        }
        match on.it.ask {
            Ask::KeepAlive { input_ago: Some(ago) } => Some((view.now - ago, on.line)),
            Ask::Start if view.phase == "Ready" => Some((view.now, on.line)),
            _ => None,
        }
    });
    let by_vm = story.beats.iter().filter_map(move |on| {
        let reply = on.it.reply.as_ref().filter(|reply| reply.run == run.run && counts(&reply.phase))?;
        if on.it.run != Some(run.run) || reply.phase == "Placing" {
            return None;
        }
        match on.it.reading {
            Reading::Busy => Some((on.it.sent, on.line)),
            Reading::Idle { last_ago: Some(ago) } => Some((on.it.sent - ago, on.line)),
            _ => None,
        }
    });
    by_people.chain(by_vm)
}

fn judge_silent(story: &Story<'_>, run: &On<&RunSeen>, verdict: &mut Verdict) {
    let (_, decided) = story.decided(run.it);
    let heard = story.beats.iter().filter(|on| {
        let taken = on.it.reply.as_ref().is_some_and(|reply| reply.run == run.it.run && is_up(&reply.phase));
        taken && on.it.run == Some(run.it.run) && on.it.reading != Reading::Unknown
    });
    let last = heard.max_by_key(|on| on.it.sent);
    let broken = last.filter(|on| on.it.sent + story.declared.limits.silence > decided + ROUNDING);
    let broken = broken.map(|on| format!("run {} was heard {} ms before", run.it.run, decided - on.it.sent));
    let line = last.map_or(run.line, |on| on.line);
    verdict.judge(SILENT, story.name(), &[line, run.line], broken);
}

fn is_up(phase: &str) -> bool {
    matches!(phase, "Booting" | "Ready" | "Draining")
}

/// Whatever is said to have ended a run is in the history.
fn judge_cause(story: &Story<'_>, run: &On<&RunSeen>, verdict: &mut Verdict) {
    let RunSeen { run: number, started_at, ended_at, reason, .. } = run.it;
    let within = |at: Millis| *started_at <= at && at <= *ended_at;
    let (_, decided) = story.decided(run.it);
    let has_cause = match reason.as_str() {
        "User" => {
            let asked =
                |ask: &Ask, sent: Millis, at: Millis| *ask == Ask::Stop && sent <= *ended_at && at >= *started_at;
            story.answered.iter().any(|on| asked(&on.it.ask, on.it.sent, on.at))
                || story.unanswered.iter().any(|on| asked(&on.it.ask, on.it.sent, on.at))
        }
        "HardLimit" => decided + ROUNDING >= hard_end(story, run.it),
        // Once Google has announced it, it is Google's doing, whatever fells the machine in the time that is left.
        "Preempted" => story.cloud.iter().any(|on| within(on.at) && is_announced(on.it)),
        _ => story.cloud.iter().any(|on| within(on.at) && fells(story, on.it, *number)),
    };
    let broken = (!has_cause).then(|| format!("run {number} is said to have ended by {reason}, and nothing shows it"));
    verdict.judge(CAUSE, story.name(), &[run.line], broken);
}

/// The end that no activity moves. A run that follows an interrupted one has that one's.
pub(super) fn hard_end(story: &Story<'_>, run: &RunSeen) -> Millis {
    first_of_row(story, run).started_at + story.declared.limits.hard
}

/// The run that an interrupted one followed, and so on back.
fn first_of_row<'a>(story: &'a Story<'_>, run: &'a RunSeen) -> &'a RunSeen {
    let before = story.runs.get(&(run.run - 1)).map(|on| on.it);
    let interrupted = before.filter(|before| {
        matches!(before.reason.as_str(), "Preempted" | "HostError") && before.ended_at + ROUNDING >= run.started_at
    });
    interrupted.map_or(run, |before| first_of_row(story, before))
}

fn is_announced(what: &Happening) -> bool {
    matches!(what, Happening::Announced { .. })
}

/// A machine goes down without our asking: by itself, by Google, or by hand.
fn fells(story: &Story<'_>, what: &Happening, run: u64) -> bool {
    match what {
        Happening::System { .. } => true,
        Happening::Accepted { verb, request_id, .. } => {
            verb == "stop" && story.caller(request_id.as_ref()) != Some(run)
        }
        _ => false,
    }
}

fn judge_deadlines(story: &Story<'_>, verdict: &mut Verdict) {
    let runs: BTreeSet<u64> = story
        .answered
        .iter()
        .map(|on| on.it.view.run)
        .chain(story.beats.iter().filter_map(|on| on.it.reply.as_ref().map(|reply| reply.run)))
        .collect();
    let unwritten = story.declared.limits.threshold + ROUNDING;
    for run in runs {
        let mut hard: Option<Told<'_>> = None;
        for told in story.told_of(run) {
            let Some(hard_stop_at) = told.hard_stop_at else { continue };
            let moved = hard.filter(|before| before.hard_stop_at != Some(hard_stop_at));
            let broken = moved.map(|_| format!("the hard end of run {run} has moved"));
            let lines = [moved.map_or(told.line, |before| before.line), told.line];
            verdict.judge(FORWARD, story.name(), &lines, broken);
            hard = hard.or(Some(told));
            if let Some(past) = told.stop_at.map(|stop_at| stop_at - hard_stop_at) {
                let broken = (past > 0).then(|| format!("stop_at of run {run} lies {past} ms past its hard end"));
                verdict.judge(WITHIN_HARD_END, story.name(), &[told.line], broken);
            }
        }
        for seen in observed(story, run).into_values() {
            for (before, after) in seen.iter().zip(seen.iter().skip(1)) {
                let back = before.0 - after.0;
                let broken = (back > unwritten).then(|| format!("stop_at of run {run} has moved back by {back} ms"));
                verdict.judge(FORWARD, story.name(), &[before.1, after.1], broken);
            }
        }
    }
}

/// Each observer's `stop_at`s of a run, one after the other: nobody asks before the last answer has come.
fn observed<'a>(story: &'a Story<'_>, run: u64) -> BTreeMap<&'a str, Vec<(Millis, usize)>> {
    let mut seen: BTreeMap<&str, Vec<(Millis, usize)>> = BTreeMap::new();
    for on in story.answered.iter().filter(|on| on.it.view.run == run) {
        seen.entry(&on.it.who).or_default().extend(on.it.view.stop_at.map(|stop_at| (stop_at, on.line)));
    }
    for on in &story.beats {
        let reply = on.it.reply.as_ref().filter(|reply| reply.run == run);
        let stop_at = reply.and_then(|reply| reply.stop_at);
        seen.entry(&on.it.instance).or_default().extend(stop_at.map(|stop_at| (stop_at, on.line)));
    }
    seen
}
