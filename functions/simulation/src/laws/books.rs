//! What is left of a run: one receipt, in order, and no more billed than its machine was up.

use domain::{Record, Run, Seconds, Timestamp};

use super::story::{Instance, Story};
use super::{Court, Law, SLACK};
use crate::history::Why;

pub(crate) const RECEIPTS: Law = "each run has one receipt, in order";
pub(crate) const BILLED: Law = "no run is billed for more than its machine was up, a minute and a sweep";

pub(crate) const BILLED_ALL: Law = "a run is billed for all that the machine of its receipt ran last";
pub(crate) const TOLD_ONCE: Law = "a notice is told once at most";

/// From a machine's coming up to the first look at it, where the answer to its start was lost: five sweeps, for some are
/// missing. One that has gone before that look is billed to nobody.
const UNBILLED_MOST: Seconds = Seconds(300);
/// Google bills a minute at least.
const BILLED_LEAST: Seconds = Seconds(60);
/// Good sweeps that go by before it is noticed that a machine is gone; the more, the more nudges are lost.
const NOTICED_SWEEPS_MAX: usize = 8;

pub(crate) fn judge_save(story: &mut Story, before: &Record, ended: Option<&Run>, court: &mut Court) {
    let record = &story.record;
    let over = before.phase.expects_machine() && (!record.phase.expects_machine() || record.run != before.run);
    let expected = over.then_some(before.run);
    let broken = (expected != ended.map(|run| run.number))
        .then(|| format!("run {expected:?} is over, and the receipt is of {:?}", ended.map(|run| run.number)));
    let Some(run) = ended else {
        return court.judge(RECEIPTS, story.workspace.id.as_str(), broken);
    };
    let gap = (run.number != story.last_receipt + 1)
        .then(|| format!("run {} follows run {}", run.number, story.last_receipt));
    court.judge(RECEIPTS, story.workspace.id.as_str(), broken.or(gap));
    story.last_receipt = run.number;
    story.owed.remove(&run.number);
    court.judge(BILLED_ALL, story.workspace.id.as_str(), billed_too_little(story, run, court));
    let broken = billed_too_much(story, run, court);
    court.judge(BILLED, story.workspace.id.as_str(), broken);
}

/// The machine that the run ends with is paid for. What another ran that the walk has left behind is on no receipt: Google
/// tells of a machine that comes up after all only when somebody looks. So it is of one that was up and went, by somebody's
/// hand, before anybody had looked.
fn billed_too_little(story: &Story, run: &Run, court: &Court) -> Option<String> {
    let open =
        |known: &Instance| known.woken.map(|(why, _)| why).zip(known.runs_since).map(|(why, at)| (why, at, court.now));
    let instance = run.instance.as_ref()?;
    let own = story.instances.get(instance);
    let all = own.into_iter().flat_map(|known| known.ran.iter().copied().chain(open(known)));
    let (_, since, until) = all.filter(|(why, ..)| *why == Why::Run(run.number)).max_by_key(|(_, since, _)| *since)?;
    let up = until.since(since);
    let least = up.0.saturating_sub(UNBILLED_MOST.0);
    (run.billed.0 < least)
        .then(|| format!("run {} is billed {}, and has had {instance} up for {up}", run.number, run.billed))
}

fn billed_too_much(story: &Story, run: &Run, court: &Court) -> Option<String> {
    run.instance.as_ref()?;
    let began = run.started_at - SLACK;
    let now = court.now;
    // Of all placements: one that took too long to answer was up for this run too.
    let times = story.instances.values().flat_map(|known| {
        let open = known.woken.map(|(_, since)| (since, now));
        known.times.iter().copied().chain(open)
    });
    let within = times.filter(|(_, until)| *until >= began);
    // From first to last: that it was down in between, by somebody's hand, may have gone unnoticed.
    let span = within.fold(None, |span: Option<(Timestamp, Timestamp)>, (since, until)| {
        Some(span.map_or((since.max(began), until), |(first, last)| (first.min(since.max(began)), last.max(until))))
    });
    let (up, gone_at) = span.map_or((Seconds(0), None), |(first, last)| (last.since(first) + Seconds(1), Some(last)));
    // Where nobody has answered a start, it may have come up from the moment that it was asked for.
    let asked_at = run.walk.iter().rfind(|tried| Some(&tried.instance) == run.instance.as_ref()).map(|tried| tried.at);
    let unanswered = span.zip(asked_at).map_or(Seconds(0), |((first, _), asked_at)| first.since(asked_at));
    // Without its word, that a machine is gone shows when it is silent; then a sweep has it looked after.
    let unnoticed_until = gone_at.map(|gone| noticed_at(story, gone));
    let excuse = match (unnoticed_until, gone_at) {
        (Some(noticed), Some(gone)) if court.sweeps_since(noticed) <= NOTICED_SWEEPS_MAX => now.since(gone),
        (Some(noticed), Some(gone)) => noticed.since(gone) + Seconds(60 * (NOTICED_SWEEPS_MAX as u64 + 1)),
        _ => Seconds(0),
    };
    let most = (up + unanswered + excuse + Seconds(60) + SLACK).max(BILLED_LEAST);
    (run.billed > most).then(|| {
        format!(
            "run {} is billed {}, and {:?} was up for {up} (excused: {excuse})",
            run.number, run.billed, run.instance
        )
    })
}

fn noticed_at(story: &Story, gone: Timestamp) -> Timestamp {
    let heard = story.spoken.known_said_at.unwrap_or(gone);
    (heard + story.workspace.policy.silence_limit + story.threshold() + SLACK).max(gone)
}
