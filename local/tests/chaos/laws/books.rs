//! What is left of a run: one receipt each, numbered without a gap, with a plausible cost.

use crate::court::{Law, Verdict};
use crate::history::RunSeen;
use crate::story::Story;

pub(crate) const RUNS: Law = Law("runs are numbered without a gap, and each has one receipt");
pub(crate) const COSTS: Law = Law("a run costs what its time is worth");

/// Google bills a minute at least.
const BILLED_LEAST: i64 = 60;
/// Sums are in whole millionths of a dollar.
const MICRO: f64 = 2e-6;

pub(crate) fn judge(story: &Story<'_>, verdict: &mut Verdict) {
    let line = story.runs_line.unwrap_or_default();
    let shown: Vec<u64> = story.shown.iter().map(|run| run.run).collect();
    let last = story.answered.iter().map(|on| on.it.view.run).max().unwrap_or_default();
    let expected: Vec<u64> = (1..=last).rev().collect();
    let broken = (shown != expected).then(|| format!("the page shows runs {shown:?}, and the last was {last}"));
    verdict.judge(RUNS, story.name(), &[line], broken);
    let mut before: Option<&RunSeen> = None;
    for run in story.runs.values() {
        let overlaps = before.is_some_and(|before| before.ended_at > run.it.started_at);
        let backwards = run.it.ended_at < run.it.started_at;
        let broken = (overlaps || backwards).then(|| format!("run {} does not follow the one before", run.it.run));
        verdict.judge(RUNS, story.name(), &[line], broken);
        verdict.judge(COSTS, story.name(), &[line], wrong_cost(story, run.it));
        before = Some(run.it);
    }
}

fn wrong_cost(story: &Story<'_>, run: &RunSeen) -> Option<String> {
    let billed = i64::try_from(run.billed_seconds).unwrap_or(i64::MAX);
    let lasted = (run.ended_at - run.started_at) / 1000;
    if billed > lasted.max(BILLED_LEAST) {
        return Some(format!("run {} lasted {lasted} s, and {billed} s are billed", run.run));
    }
    if run.ready_at.is_some() && billed == 0 {
        return Some(format!("run {} was ready, and nothing is billed", run.run));
    }
    let name = run.instance.as_deref().unwrap_or_default();
    let price = story.declared.placements.iter().find(|(instance, _)| instance == name).map_or(0.0, |(_, usd)| *usd);
    #[expect(clippy::cast_precision_loss, reason = "hours at most")]
    let worth = price * run.billed_seconds as f64 / 3600.0;
    if (worth - run.cost_usd).abs() > MICRO || run.idle_usd > run.cost_usd + MICRO {
        return Some(format!("run {} costs {} and {} idle; worth {worth}", run.run, run.cost_usd, run.idle_usd));
    }
    None
}
