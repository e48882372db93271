//! The laws of the design (§4), judged by the history alone. Each counts how often it had something to judge.
//!
//! What is granted to the rules, and why:
//! - a second wherever the domain counts in whole seconds;
//! - what may go unwritten (ADR 2), where somebody sees a deadline that an answer had told before it was saved, and
//!   before silence counts;
//! - a call that was announced before its user's stop may arrive for as long as ADR 3 says;
//! - "one sweep" is the next that is answered without a failure, however long the reaper was dead before it; the
//!   announcement of a stop needs one to begin and one to end, unless a heartbeat comes first;
//! - an announcement that begins late lasts half of its length all the same, and that of the hard end is not hurried;
//! - a machine that nobody wants may be seen by as many sweeps as `ends::UNWANTED_SWEEPS_MAX` says.

pub(crate) mod books;
pub(crate) mod ends;
pub(crate) mod machines;
#[cfg(test)]
mod tests;
pub(crate) mod usage;

use crate::court::{Law, Verdict};
use crate::history::Line;
use crate::story::Chronicle;

/// Every law.
pub(crate) const ALL: [Law; 20] = [
    usage::YOUNG_ACTIVITY,
    usage::TOLD_DEADLINE,
    usage::CAUSE,
    usage::FORWARD,
    usage::WITHIN_HARD_END,
    usage::SILENT,
    ends::IDLE_ENDS,
    ends::SILENT_ENDS,
    ends::HARD_END,
    ends::UNWANTED_ENDS,
    ends::WISH_ENDS,
    ends::FAILED_WITH_REASON,
    ends::PHASE_LIMIT,
    ends::NOTHING_STUCK,
    machines::STOP_FENCED,
    machines::START_FENCED,
    machines::ONE_UP,
    machines::ONE_DISK,
    books::RUNS,
    books::COSTS,
];

/// Judges a history.
pub(crate) fn judge(lines: &[Line]) -> Verdict {
    let chronicle = Chronicle::of(lines);
    let mut verdict = Verdict::default();
    for story in chronicle.stories.values() {
        usage::judge(story, &mut verdict);
        ends::judge(&chronicle, story, &mut verdict);
        machines::judge(story, &mut verdict);
        books::judge(story, &mut verdict);
    }
    ends::judge_rest(&chronicle, &mut verdict);
    verdict
}
