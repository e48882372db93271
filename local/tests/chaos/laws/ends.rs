//! Laws 2 and 7: what nobody uses or wants ends in time, and so does every phase; every wish ends, and nothing is stuck.
//!
//! "One sweep" is one that was asked for and answered without a failure: the reaper may have been dead for a while, and
//! each law says how many such sweeps it grants. No length of real time is granted to anything.

use std::collections::BTreeMap;

use compute_emulator::Happening;

use super::usage::hard_end;
use crate::court::{Law, Verdict};
use crate::history::{Ask, Millis, Reading, RunSeen};
use crate::story::{Chronicle, On, Story, Told};

pub(crate) const IDLE_ENDS: Law = Law("2: an idle run ends within idle limit, drain and one sweep");
pub(crate) const SILENT_ENDS: Law = Law("2, 6: a silent run ends within silence limit, drain and one sweep");
pub(crate) const HARD_END: Law = Law("2: a run ends at its hard end");
pub(crate) const UNWANTED_ENDS: Law = Law("2: a machine that no record wants is stopped");
pub(crate) const WISH_ENDS: Law = Law("7: every accepted start ends in a receipt with a reason");
pub(crate) const FAILED_WITH_REASON: Law = Law("7: whatever failed says why");
pub(crate) const PHASE_LIMIT: Law = Law("7: no phase outlives its limit");
pub(crate) const NOTHING_STUCK: Law = Law("7: nothing is stuck");

const ROUNDING: Millis = 1000;
/// Sweeps that see a machine which nobody wants before it goes down. One finds it. The worker that it nudges waits for a
/// call that may still arrive (40 s, three sweeps), and again where its own call is not answered (another three), the
/// more often the more is lost on the way.
const UNWANTED_SWEEPS_MAX: usize = 12;
/// As often is a message tried before it becomes a dead letter (`platform/src/queue/memory/push.rs`).
const DELIVERIES: usize = 5;

pub(crate) fn judge(chronicle: &Chronicle<'_>, story: &Story<'_>, verdict: &mut Verdict) {
    for run in story.runs.values() {
        if run.it.ready_at.is_some() {
            judge_idle(chronicle, story, run, verdict);
        }
        judge_reason(story, run, verdict);
    }
    judge_unwanted(chronicle, story, verdict);
    judge_wishes(story, verdict);
    judge_phases(chronicle, story, verdict);
}

/// Something that makes the record look at the time: from when on, and by when it has done so.
#[derive(Clone, Copy)]
struct Occasion {
    from: Millis,
    until: Millis,
    line: usize,
}

fn judge_idle(chronicle: &Chronicle<'_>, story: &Story<'_>, run: &On<&RunSeen>, verdict: &mut Verdict) {
    let limits = &story.declared.limits;
    let hard = hard_end(story, run.it);
    let (kept_until, why) = kept_until(story, run.it);
    let sweeps = chronicle.sweeps.iter().filter(|sweep| sweep.it.well);
    let sweeps: Vec<Occasion> = sweeps.map(|on| Occasion { from: on.it.sent, until: on.at, line: on.line }).collect();

    let beats = idle_beats(story, run.it.run);
    let heard = |occasion: &&Occasion| {
        let lately = occasion.until - 2 * limits.heartbeat;
        beats.iter().any(|beat| beat.from >= lately && beat.until <= occasion.from)
    };
    let mut occasions: Vec<Occasion> = sweeps.iter().filter(heard).chain(&beats).copied().collect();
    occasions.sort_by_key(|occasion| occasion.from);
    judge_end(story, run, verdict, IDLE_ENDS, (kept_until, why), &occasions);

    let spoke = story.beats.iter().filter(|on| on.it.run == Some(run.it.run) && on.it.reading != Reading::Unknown);
    let spoke = spoke.map(|on| (on.at, on.line)).max().unwrap_or((run.it.ready_at.unwrap_or_default(), run.line));
    let silent_at = (spoke.0 + limits.silence + limits.threshold + ROUNDING, spoke.1);
    judge_end(story, run, verdict, SILENT_ENDS, silent_at.max((kept_until, why)), &sweeps);
    judge_end(story, run, verdict, HARD_END, (hard, run.line), &sweeps);
}

/// From `quiet` on nothing speaks for the run: the first occasion announces its end, and one after the announcement ends
/// it. The announcement is the drain, or half of it where the occasion came late (`drain_end` in `domain`).
fn judge_end(
    story: &Story<'_>,
    run: &On<&RunSeen>,
    verdict: &mut Verdict,
    law: Law,
    (quiet, why): (Millis, usize),
    occasions: &[Occasion],
) {
    // The hard end has been announced before it came; where nobody had looked, it is announced and over at once.
    let drain = if law == HARD_END { 0 } else { story.declared.limits.drain };
    let after = |moment: Millis| occasions.iter().find(|occasion| occasion.from >= moment);
    let Some(first) = after(quiet) else { return };
    let hard = hard_end(story, run.it);
    // Where the hard end is no further away than an announcement, that is announced, and is not hurried.
    let hard_is_announced = first.until >= hard - drain;
    let announced_until = (quiet + drain).max(first.until + drain / 2 + ROUNDING);
    let announced_until = if hard_is_announced { announced_until.max(hard) } else { announced_until };
    let Some(second) = after(announced_until) else { return };
    let (decided, _) = story.decided(run.it);
    if decided < quiet {
        return;
    }
    let late = decided - second.until;
    let broken = (late > 0).then(|| format!("run {} went on for {late} ms too long", run.it.run));
    verdict.judge(law, story.name(), &[why, first.line, second.line, run.line], broken);
}

/// Until when something spoke for a run, at the latest: what was told, and whatever may have been taken in although
/// nobody was answered.
fn kept_until(story: &Story<'_>, run: &RunSeen) -> (Millis, usize) {
    let limits = &story.declared.limits;
    let arrival = (run.ready_at.unwrap_or_default() + limits.arrival, 0);
    let told = story.told_of(run.run).filter_map(|told| Some((told.stop_at?, told.line)));
    let keeps = |ask: &Ask, at: Millis| match ask {
        Ask::KeepAlive { input_ago: Some(ago) } => Some(at - ago + limits.idle),
        Ask::Start => Some(at + limits.idle),
        Ask::Extend { by } => Some(at + by),
        _ => None,
    };
    let in_time = |on: &On<_>, sent: Millis| on.at >= run.started_at && sent <= run.ended_at;
    let unanswered = story.unanswered.iter().filter(|on| in_time(&On { line: on.line, at: on.at, it: () }, on.it.sent));
    let unanswered = unanswered.filter_map(|on| Some((keeps(&on.it.ask, on.at)?, on.line)));
    let beats = story.beats.iter().filter(|on| on.it.run == Some(run.run)).filter_map(|on| match on.it.reading {
        Reading::Busy => Some((on.at + limits.idle, on.line)),
        Reading::Idle { last_ago: Some(ago) } => Some((on.at - ago + limits.idle + ROUNDING, on.line)),
        _ => None,
    });
    told.chain(unanswered).chain(beats).chain([arrival]).max().unwrap_or(arrival)
}

/// Heartbeats that said that nothing is going on, and were taken.
fn idle_beats(story: &Story<'_>, run: u64) -> Vec<Occasion> {
    let idle = story.beats.iter().filter(|on| {
        let taken = on.it.reply.as_ref().is_some_and(|reply| reply.run == run);
        taken && on.it.run == Some(run) && matches!(on.it.reading, Reading::Idle { .. })
    });
    idle.map(|on| Occasion { from: on.it.sent, until: on.at, line: on.line }).collect()
}

/// A machine is up at a time that belongs to no run.
fn judge_unwanted(chronicle: &Chronicle<'_>, story: &Story<'_>, verdict: &mut Verdict) {
    let mut up: BTreeMap<&str, (Millis, usize)> = BTreeMap::new();
    for on in &story.cloud {
        let Happening::Status { instance, status } = on.it else { continue };
        match status.as_str() {
            "PROVISIONING" => drop(up.insert(instance, (on.at, on.line))),
            "STOPPING" | "TERMINATED" => {
                if let Some((since, line)) = up.remove(instance.as_str()) {
                    judge_unwanted_time(chronicle, story, (since, on.at), &[line, on.line], verdict);
                }
            }
            _ => {}
        }
    }
    for (instance, (_, line)) in up {
        verdict.judge(UNWANTED_ENDS, story.name(), &[line], Some(format!("{instance} is up at the end")));
    }
}

fn judge_unwanted_time(
    chronicle: &Chronicle<'_>,
    story: &Story<'_>,
    (since, until): (Millis, Millis),
    lines: &[usize],
    verdict: &mut Verdict,
) {
    // Pieces of the time between the runs.
    let mut from = since;
    let runs = story.runs.values().filter(|run| run.it.ended_at >= since && run.it.started_at <= until);
    let mut pieces = Vec::new();
    for run in runs {
        pieces.push((from, run.it.started_at));
        from = run.it.ended_at;
    }
    pieces.push((from, until));
    for (from, until) in pieces.into_iter().filter(|(from, until)| from < until) {
        let within = |on: &&On<&crate::history::Swept>| on.it.well && on.it.sent >= from && on.at <= until;
        let sweeps = chronicle.sweeps.iter().filter(within).count();
        if sweeps == 0 {
            continue;
        }
        let broken = (sweeps > UNWANTED_SWEEPS_MAX)
            .then(|| format!("a machine that nobody wants was up for {} ms and {sweeps} sweeps", until - from));
        verdict.judge(UNWANTED_ENDS, story.name(), lines, broken);
    }
}

fn judge_wishes(story: &Story<'_>, verdict: &mut Verdict) {
    for on in story.answered.iter().filter(|on| on.it.ask == Ask::Start) {
        let run = on.it.view.run;
        let broken = (!story.runs.contains_key(&run)).then(|| format!("run {run} was accepted and has no receipt"));
        verdict.judge(WISH_ENDS, story.name(), &[on.line], broken);
    }
}

fn judge_reason(story: &Story<'_>, run: &On<&RunSeen>, verdict: &mut Verdict) {
    const REASONS: [&str; 9] = [
        "Idle",
        "NeverOpened",
        "User",
        "HardLimit",
        "Silent",
        "Preempted",
        "HostError",
        "MachineStopped",
        "StartFailed",
    ];
    let known = REASONS.contains(&run.it.reason.as_str());
    let explained = run.it.reason != "StartFailed" || run.it.failure.is_some();
    let broken = (!known || !explained)
        .then(|| format!("run {} ended by {} with failure {:?}", run.it.run, run.it.reason, run.it.failure));
    verdict.judge(WISH_ENDS, story.name(), &[run.line], broken);
}

fn judge_phases(chronicle: &Chronicle<'_>, story: &Story<'_>, verdict: &mut Verdict) {
    let limits = &story.declared.limits;
    for on in story.answered.iter().filter(|on| on.it.view.phase == "Failed") {
        let broken = on.it.view.failure.is_none().then(|| format!("run {} has failed", on.it.view.run));
        verdict.judge(FAILED_WITH_REASON, story.name(), &[on.line], broken);
    }
    let last = story.answered.iter().map(|on| on.it.view.run).max().unwrap_or_default();
    // A walk comes further with each placement that it tries.
    let placing = limits.placing * Millis::try_from(story.declared.placements.len()).unwrap_or(1);
    for run in 1..=last {
        for (phase, limit) in [("Placing", placing), ("Booting", limits.booting), ("Stopping", limits.stopping)] {
            let seen = story.told_of(run).filter(|told| told.phase == phase);
            let (begun, lasted) =
                seen.fold((None, None), |(first, last): (Option<Told<'_>>, Option<Told<'_>>), told| {
                    let first = first.filter(|first| first.at <= told.at).or(Some(told));
                    let last = last.filter(|last| last.sent >= told.sent).or(Some(told));
                    (first, last)
                });
            let (Some(begun), Some(lasted)) = (begun, lasted) else { continue };
            // At the latest: whoever was answered had asked before.
            let begun_at = (begun.now.unwrap_or(begun.at), begun.line);
            let moved = story.boot_moved_at(run).filter(|_| phase == "Booting").unwrap_or(begun_at);
            let (since, line) = begun_at.max(moved);
            let due = since + limit;
            let Some(sweep) = chronicle.sweep_after(due) else { continue };
            let over = lasted.now.unwrap_or(lasted.sent) - sweep.at;
            let broken = (over > 0).then(|| format!("run {run} was {phase} for {over} ms too long"));
            verdict.judge(PHASE_LIMIT, story.name(), &[line, sweep.line, lasted.line], broken);
        }
    }
}

/// At the end everything rests, and what nobody would take is explained.
pub(crate) fn judge_rest(chronicle: &Chronicle<'_>, verdict: &mut Verdict) {
    let restless = chronicle.rest.is_none().then(|| "it has not come to rest".to_owned());
    verdict.judge(NOTHING_STUCK, "all", &[], restless);
    if let Some(last) = chronicle.sweeps.last() {
        // A call that is still outstanding would be due.
        let broken = (last.it.looked_at > 0).then(|| format!("the last sweep found {} things", last.it.looked_at));
        verdict.judge(NOTHING_STUCK, "all", &[last.line], broken);
    }
    for story in chronicle.stories.values() {
        judge_operations(story, verdict);
        let last = story.answered.iter().max_by_key(|on| on.it.view.now);
        let Some(last) = last else { continue };
        let rests = matches!(last.it.view.phase.as_str(), "Stopped" | "Failed");
        let broken = (!rests).then(|| format!("it is {} at the end", last.it.view.phase));
        verdict.judge(NOTHING_STUCK, story.name(), &[last.line], broken);
    }
    for letter in &chronicle.dead_letters {
        let (message, workspace) = letter.it;
        let tried = chronicle.pushes.iter().filter(|push| push.it.message == message && push.it.status >= 300).count();
        let broken = (tried < DELIVERIES).then(|| format!("a message is dead after {tried} deliveries that failed"));
        verdict.judge(NOTHING_STUCK, workspace, &[letter.line], broken);
    }
}

/// Whatever Compute Engine has accepted is over.
fn judge_operations(story: &Story<'_>, verdict: &mut Verdict) {
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    for on in &story.cloud {
        match on.it {
            Happening::Accepted { operation, .. } => drop(begun.insert(operation, on.line)),
            Happening::Ended { operation, .. } => drop(begun.remove(operation.as_str())),
            _ => {}
        }
    }
    let lines: Vec<usize> = begun.values().copied().collect();
    let broken = (!begun.is_empty()).then(|| format!("operations without an end: {:?}", begun.keys()));
    verdict.judge(NOTHING_STUCK, story.name(), &lines, broken);
}
