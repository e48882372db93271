//! The laws, judged entry by entry on what has happened, and on nothing else.
//!
//! "A good sweep" is one that was asked for, answered, and failed at nothing. Faults may keep sweeps from being good for
//! a while; each law says how many good ones it grants, and no law grants any length of time to a fault.

mod books;
mod ends;
mod machines;
mod story;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::{Seconds, Timestamp};

use crate::history::{Clocked, Entry, What};
use crate::setting::{AHEAD_MILLIS_MOST, Setting};

use self::story::Story;

/// A law, by what it says.
pub type Law = &'static str;

/// Every law there is.
pub const LAWS: &[Law] = &[
    usage::YOUNG_ACTIVITY,
    usage::TOLD_DEADLINE,
    usage::CAUSE,
    ends::IDLE_ENDS,
    machines::UNWANTED_ENDS,
    machines::STOP_FENCED,
    machines::START_FENCED,
    machines::OVER_IS_DOWN,
    machines::ONE_UP,
    machines::ONE_DISK,
    machines::DISK_STAYS,
    machines::WITH_DISK,
    usage::FORWARD,
    usage::WITHIN_HARD_END,
    usage::UNKNOWN_IS_ACTIVE,
    ends::PHASE_LIMIT,
    ends::WISH_ENDS,
    ends::NOTHING_STUCK,
    ends::NEVER_OUR_FAULT,
    books::RECEIPTS,
    books::BILLED,
    books::TOLD_ONCE,
    usage::RESTARTS,
    machines::NOT_LEFT,
    ends::NEVER_REFUSED,
    books::BILLED_ALL,
];

/// A law that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub law: Law,
    pub at: Timestamp,
    pub workspace: String,
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  BROKEN  {}: {}: {}", Clocked(self.at), self.law, self.workspace, self.how)
    }
}

/// By how much the clocks of two processes differ at most, and a rounded second.
pub(crate) const SLACK: Seconds = Seconds(AHEAD_MILLIS_MOST.unsigned_abs() * 2 / 1000 + 1);
/// So long after it was sent a request may still be taken in: its way, and a handler's time.
pub(crate) const ON_ITS_WAY: Seconds = Seconds(32);

/// Judges a history.
#[derive(Debug)]
pub struct Judge {
    stories: BTreeMap<String, Story>,
    court: Court,
}

/// What every law needs to know.
#[derive(Debug, Default)]
pub(crate) struct Court {
    /// Good sweeps: when they were asked for, and when they were over.
    sweeps: Vec<(Timestamp, Timestamp)>,
    pub(crate) quiet_since: Option<Timestamp>,
    pub(crate) now: Timestamp,
    broken: Option<Broken>,
    /// Notices that have reached their receiver.
    told: BTreeSet<String>,
    judged: BTreeMap<Law, u64>,
}

impl Court {
    /// Judges once: the law is broken where `how` says so.
    pub(crate) fn judge(&mut self, law: Law, workspace: &str, how: Option<String>) {
        *self.judged.entry(law).or_default() += 1;
        let Some(how) = how else { return };
        self.broken.get_or_insert(Broken { law, at: self.now, workspace: workspace.to_owned(), how });
    }

    /// How many good sweeps were asked for since then.
    pub(crate) fn sweeps_since(&self, since: Timestamp) -> usize {
        self.sweeps.len() - self.sweeps.partition_point(|(begun, _)| *begun < since)
    }

    /// The first good sweep that was asked for since then: when it was over.
    pub(crate) fn sweep_after(&self, since: Timestamp) -> Option<Timestamp> {
        self.sweeps.get(self.sweeps.partition_point(|(begun, _)| *begun < since)).map(|(_, over)| *over)
    }
}

impl Judge {
    /// The judge of a world.
    pub fn of(setting: &Setting) -> Self {
        let stories =
            setting.workspaces.iter().map(|workspace| (workspace.id.as_str().to_owned(), Story::of(workspace.clone())));
        Self { stories: stories.collect(), court: Court::default() }
    }

    /// The first law that was broken.
    pub fn broken(&self) -> Option<&Broken> {
        self.court.broken.as_ref()
    }

    /// How often each law was judged.
    pub fn judged(&self) -> &BTreeMap<Law, u64> {
        &self.court.judged
    }

    /// Takes in what has happened; true once a law is broken.
    pub fn take(&mut self, entry: &Entry) -> bool {
        self.court.now = entry.at;
        match &entry.what {
            What::Swept { begun, well: true, .. } => {
                self.court.sweeps.push((*begun, entry.at));
                for story in self.stories.values() {
                    ends::judge_sweep(story, &mut self.court);
                    machines::judge_sweep(story, &mut self.court);
                }
            }
            What::Told { id } => {
                let again = (!self.court.told.insert(id.clone())).then(|| format!("{id} is told again"));
                self.court.judge(books::TOLD_ONCE, "all", again);
            }
            What::Quiet => self.court.quiet_since = Some(entry.at),
            What::End { restless } => {
                for story in self.stories.values() {
                    ends::judge_end(story, &mut self.court);
                }
                let broken = (!restless.is_empty()).then(|| restless.join("; "));
                self.court.judge(ends::NOTHING_STUCK, "all", broken);
            }
            What::Answered { number, status, phase, run } => {
                for story in self.stories.values_mut() {
                    if let Some(said) = story.answer(*number, *status, phase, *run, entry.at) {
                        ends::judge_answer(story, said, *status, &mut self.court);
                    }
                }
            }
            what => {
                if let Some(story) = workspace_of(what).and_then(|workspace| self.stories.get_mut(workspace)) {
                    take_into(story, what, &mut self.court);
                }
            }
        }
        self.court.broken.is_some()
    }
}

/// The workspace that this has happened to.
fn workspace_of(what: &What) -> Option<&str> {
    match what {
        What::Saved { workspace, .. }
        | What::Arrived { workspace, .. }
        | What::Turned { workspace, .. }
        | What::Disk { workspace, .. }
        | What::Asked { workspace, .. }
        | What::Beat { workspace, .. } => Some(workspace),
        _ => None,
    }
}

/// Takes in what has happened to one workspace.
fn take_into(story: &mut Story, what: &What, court: &mut Court) {
    match what {
        What::Saved { record, ended, .. } => {
            let before = std::mem::replace(&mut story.record, (**record).clone());
            usage::judge_save(story, &before, court);
            machines::judge_walk(story, &before, court);
            machines::judge_save(story, &before, court);
            ends::judge_save(story, &before, court);
            books::judge_save(story, &before, ended.as_deref(), court);
            story.follow(&before, court.now);
        }
        What::Arrived { by, action, took, .. } => machines::judge_arrival(story, *by, action, *took, court),
        What::Turned { instance, status, why, .. } => story.turn(instance, *status, *why, court.now),
        What::Disk { instance, attached, .. } => machines::judge_disk(story, instance, *attached, court),
        What::Asked { ask, number, .. } => story.ask(*ask, *number, court.now),
        What::Beat { run, reading, number, .. } => story.beat(*run, *reading, *number, court.now),
        _ => {}
    }
}
