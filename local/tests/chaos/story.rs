//! A history, sorted: what each law needs to look at, workspace by workspace, each thing with the number of its line.

use std::collections::{BTreeMap, HashMap};

use compute_emulator::Happening;
use domain::WorkspaceId;
use platform::compute::request_id;

use crate::history::{Answered, Beat, Declared, Line, Millis, Push, RunSeen, Swept, Unanswered, What};

/// Calls that a run makes are numbered; more than this many are a fault of their own.
const CALLS_PER_RUN_MAX: u32 = 80;

/// Something, and the line that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct On<T> {
    pub(crate) line: usize,
    pub(crate) at: Millis,
    pub(crate) it: T,
}

/// The whole history.
#[derive(Debug)]
pub(crate) struct Chronicle<'a> {
    pub(crate) stories: BTreeMap<&'a str, Story<'a>>,
    pub(crate) sweeps: Vec<On<&'a Swept>>,
    pub(crate) pushes: Vec<On<&'a Push>>,
    pub(crate) dead_letters: Vec<On<(&'a str, &'a str)>>,
    pub(crate) rest: Option<Millis>,
}

/// What concerns one workspace.
#[derive(Debug)]
pub(crate) struct Story<'a> {
    pub(crate) declared: &'a Declared,
    pub(crate) answered: Vec<On<&'a Answered>>,
    pub(crate) unanswered: Vec<On<&'a Unanswered>>,
    pub(crate) beats: Vec<On<&'a Beat>>,
    /// In the order in which Compute Engine did them.
    pub(crate) cloud: Vec<On<&'a Happening>>,
    /// By number.
    pub(crate) runs: BTreeMap<u64, On<&'a RunSeen>>,
    /// All that the page showed, repeats included.
    pub(crate) shown: Vec<&'a RunSeen>,
    pub(crate) runs_line: Option<usize>,
    /// The run, and the number of the call, behind each request id that a run of ours could have used.
    requests: HashMap<String, (u64, u32)>,
}

impl<'a> Chronicle<'a> {
    pub(crate) fn of(lines: &'a [Line]) -> Self {
        let mut chronicle =
            Self { stories: BTreeMap::new(), sweeps: vec![], pushes: vec![], dead_letters: vec![], rest: None };
        let mut belongs: HashMap<&str, &str> = HashMap::new();
        for (line, Line { at, what }) in lines.iter().enumerate() {
            chronicle.take(line, *at, what, &mut belongs);
        }
        chronicle.sweeps.sort_by_key(|sweep| sweep.it.sent);
        chronicle.stories.values_mut().for_each(Story::number_requests);
        chronicle
    }

    fn take(&mut self, line: usize, at: Millis, what: &'a What, belongs: &mut HashMap<&'a str, &'a str>) {
        match what {
            What::Declared(declared) => {
                belongs
                    .extend(declared.placements.iter().map(|(name, _)| (name.as_str(), declared.workspace.as_str())));
                self.stories.insert(&declared.workspace, Story::new(declared));
            }
            What::Answered(it) => self.story(&it.workspace, |story| story.answered.push(On { line, at, it })),
            What::Unanswered(it) => self.story(&it.workspace, |story| story.unanswered.push(On { line, at, it })),
            What::Beat(it) => self.story(&it.workspace, |story| story.beats.push(On { line, at, it })),
            What::Cloud(happened) => {
                let instance = instance_of(&happened.what);
                if let Some(workspace) = belongs.get(instance) {
                    self.story(workspace, |story| story.cloud.push(On { line, at, it: &happened.what }));
                }
            }
            What::Push(it) => self.pushes.push(On { line, at, it }),
            What::Swept(it) => self.sweeps.push(On { line, at, it }),
            What::Rest => self.rest = Some(at),
            What::Runs { workspace, runs } => self.story(workspace, |story| {
                story.runs_line = Some(line);
                story.shown.extend(runs);
                story.runs.extend(runs.iter().map(|it| (it.run, On { line, at, it })));
            }),
            What::DeadLetter { message, workspace } => {
                self.dead_letters.push(On { line, at, it: (message.as_str(), workspace.as_str()) });
            }
            What::Power { .. } | What::Killed { .. } | What::Mishap { .. } | What::Calm => {}
        }
    }

    fn story(&mut self, workspace: &str, take: impl FnOnce(&mut Story<'a>)) {
        if let Some(story) = self.stories.get_mut(workspace) {
            take(story);
        }
    }

    /// The first sweep that began then or later and went well.
    pub(crate) fn sweep_after(&self, from: Millis) -> Option<On<&'a Swept>> {
        self.sweeps.iter().find(|sweep| sweep.it.well && sweep.it.sent >= from).copied()
    }
}

pub(crate) fn instance_of(what: &Happening) -> &str {
    match what {
        Happening::Accepted { instance, .. }
        | Happening::Ended { instance, .. }
        | Happening::Status { instance, .. }
        | Happening::System { instance, .. }
        | Happening::Announced { instance }
        | Happening::Attached { instance, .. }
        | Happening::Detached { instance, .. } => instance,
    }
}

impl<'a> Story<'a> {
    fn new(declared: &'a Declared) -> Self {
        Self {
            declared,
            answered: vec![],
            unanswered: vec![],
            beats: vec![],
            cloud: vec![],
            runs: BTreeMap::new(),
            shown: vec![],
            runs_line: None,
            requests: HashMap::new(),
        }
    }

    fn number_requests(&mut self) {
        let Ok(id) = WorkspaceId::parse(&self.declared.workspace) else { return };
        let last = self.runs.keys().last().copied().unwrap_or_default() + 1;
        for run in 1..=last {
            let ids = (1..=CALLS_PER_RUN_MAX).map(|call| (request_id(&id, run, call).to_string(), (run, call)));
            self.requests.extend(ids);
        }
    }

    pub(crate) fn name(&self) -> &'a str {
        &self.declared.workspace
    }

    /// The run whose call this is; none for a call by hand.
    pub(crate) fn caller(&self, request_id: Option<&String>) -> Option<u64> {
        self.requests.get(request_id?).map(|(run, _)| *run)
    }

    /// What was told of a run: the line, when it was asked and answered, the moment it holds for if that was told, and
    /// the phase.
    pub(crate) fn told_of(&self, run: u64) -> impl Iterator<Item = Told<'a>> + '_ {
        let by_view = self.answered.iter().filter(move |answered| answered.it.view.run == run).map(|on| Told {
            line: on.line,
            sent: on.it.sent,
            at: on.at,
            now: Some(on.it.view.now),
            phase: &on.it.view.phase,
            stop_at: on.it.view.stop_at,
            hard_stop_at: on.it.view.hard_stop_at,
        });
        let by_reply = self.beats.iter().filter_map(move |on| {
            let reply = on.it.reply.as_ref().filter(|reply| reply.run == run)?;
            Some(Told {
                line: on.line,
                sent: on.it.sent,
                at: on.at,
                now: None,
                phase: &reply.phase,
                stop_at: reply.stop_at,
                hard_stop_at: reply.hard_stop_at,
            })
        });
        by_view.chain(by_reply)
    }

    /// When the boot of a run may have come further for the last time: each step moves it once, when it is first taken.
    pub(crate) fn boot_moved_at(&self, run: u64) -> Option<(Millis, usize)> {
        let mut steps: BTreeMap<&str, (bool, (Millis, usize))> = BTreeMap::new();
        for on in self.beats.iter().filter(|on| on.it.run == Some(run)) {
            let Some(step) = &on.it.step else { continue };
            let taken = on.it.reply.as_ref().is_some_and(|reply| reply.phase == "Booting");
            let known = steps.entry(step).or_default();
            // What was not answered may have been taken all the same.
            if !known.0 {
                *known = (taken, (on.at, on.line));
            }
        }
        steps.into_values().map(|(_, moved)| moved).max()
    }

    /// When the stop of a run was decided: not before the first moment, and not after the second.
    pub(crate) fn decided(&self, run: &RunSeen) -> (Millis, Millis) {
        if let Some(seconds) = run.seconds {
            // Whole seconds since the start, rounded down.
            let before = seconds.placing + seconds.booting + seconds.ready + seconds.draining;
            let decided = run.started_at + before * 1000;
            return (decided, decided + 1000);
        }
        let is_open = |told: &Told<'_>| matches!(told.phase, "Placing" | "Booting" | "Ready" | "Draining");
        let open = self.told_of(run.run).filter(is_open).map(|told| told.now.unwrap_or(told.sent)).max();
        let ending = self.told_of(run.run).filter(|told| !is_open(told)).map(|told| told.now.unwrap_or(told.at)).min();
        let latest = ending.unwrap_or(run.ended_at).min(run.ended_at);
        (open.unwrap_or(run.started_at).min(latest), latest)
    }
}

/// One word on a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) line: usize,
    pub(crate) sent: Millis,
    pub(crate) at: Millis,
    pub(crate) now: Option<Millis>,
    pub(crate) phase: &'a str,
    pub(crate) stop_at: Option<Millis>,
    pub(crate) hard_stop_at: Option<Millis>,
}

impl Told<'_> {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, "Ready" | "Draining")
    }
}
