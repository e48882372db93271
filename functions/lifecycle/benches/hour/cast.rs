//! Everybody else who plays: the VM, Compute Engine, Pub/Sub and Cloud Scheduler; and when each has its turn.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::{Seconds, Timestamp, WorkspaceId};
use platform::queue::Queue;
use serde_json::{Value, json};

use super::page::Page;

/// Compute Engine takes so long to start a machine, and to stop one.
const STARTS_IN: Seconds = Seconds(35);
const STOPS_IN: Seconds = Seconds(45);
/// After that the gateway comes up, and after that ComfyUI.
const GATEWAY_UP_AFTER: Seconds = Seconds(25);
const COMFYUI_UP_AFTER: Seconds = Seconds(75);
const SWEEP_EVERY: Seconds = Seconds(60);

/// Who has a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// An operation of Compute Engine's ends.
    Settle,
    /// Pub/Sub pushes.
    Push,
    Beat,
    Ask,
    Sweep,
}

/// Everybody, and when their turns are; `None` for whoever is at it or has nothing to do.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) page: Page,
    pub(crate) vm: Vm,
    pub(crate) settles_at: Option<Timestamp>,
    pub(crate) sweeps_at: Option<Timestamp>,
}

/// The machine, as long as it is up.
#[derive(Debug, Default)]
pub(crate) struct Vm {
    up_since: Option<Timestamp>,
    pub(crate) beats_at: Option<Timestamp>,
    pub(crate) run: Option<u64>,
    pub(crate) job: bool,
}

/// Messages under way.
#[derive(Debug, Default)]
pub(crate) struct Topic(Mutex<VecDeque<WorkspaceId>>);

#[async_trait]
impl Queue for Topic {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        self.0.lock().unwrap().push_back(workspace.clone());
        Ok(())
    }
}

impl Topic {
    pub(crate) fn take(&self) -> Option<WorkspaceId> {
        self.0.lock().unwrap().pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Cast {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { page: Page::default(), vm: Vm::default(), settles_at: None, sweeps_at: Some(now + SWEEP_EVERY) }
    }

    /// Whose turn is next, and when.
    pub(crate) fn next(&self, topic: &Topic, now: Timestamp) -> Option<(Timestamp, Turn)> {
        let push = (!topic.is_empty()).then_some(now);
        let turns = [
            (self.settles_at, Turn::Settle),
            (push, Turn::Push),
            (self.vm.beats_at, Turn::Beat),
            (self.page.next_at(), Turn::Ask),
            (self.sweeps_at, Turn::Sweep),
        ];
        turns.into_iter().filter_map(|(at, turn)| Some((at?, turn))).min()
    }

    /// A call was accepted that starts the machine or stops it.
    pub(crate) fn called(&mut self, starts: bool, now: Timestamp) {
        self.settles_at = Some(now + if starts { STARTS_IN } else { STOPS_IN });
        if !starts {
            self.vm = Vm::default();
        }
    }

    /// The machine is up since `now`.
    pub(crate) fn came_up(&mut self, now: Timestamp) {
        self.vm = Vm { up_since: Some(now), beats_at: Some(now + GATEWAY_UP_AFTER), run: None, job: false };
    }

    pub(crate) fn swept(&mut self, begun: Timestamp) {
        self.sweeps_at = Some(begun + SWEEP_EVERY);
    }

    /// What the VM says, if it is up.
    pub(crate) fn heartbeat(&self, workspace: &str, now: Timestamp) -> Option<Value> {
        let Vm { up_since, run, job, .. } = &self.vm;
        let comfyui_up = now.since((*up_since)?) >= COMFYUI_UP_AFTER;
        let reading = match (comfyui_up, job) {
            (false, _) => json!({"state": "unknown"}),
            (true, true) => json!({"state": "busy", "signal": "Queue"}),
            // Whoever works in ComfyUI causes requests.
            (true, false) if self.page.person => {
                json!({"state": "idle", "last_signal": "Traffic", "last_seconds_ago": 5})
            }
            (true, false) => json!({"state": "idle"}),
        };
        let step = if comfyui_up { "starting_comfyui" } else { "mounting_disk" };
        let boot = json!({"step": step, "percent": 60, "detail": ""});
        let mut body = json!({"workspace": workspace, "run": run, "comfyui_up": comfyui_up, "reading": reading});
        if !comfyui_up {
            body["boot"] = boot;
        }
        Some(body)
    }

    /// What the VM makes of the answer: a run that it did not know it names at once.
    pub(crate) fn take_reply(&mut self, reply: &Value, now: Timestamp) {
        if self.vm.up_since.is_none() {
            return;
        }
        let run = reply["run"].as_u64();
        let news = self.vm.run != run;
        self.vm.run = run;
        let wait = if news { Seconds(1) } else { Seconds(reply["next_in_seconds"].as_u64().unwrap()) };
        self.vm.beats_at = Some(now + wait);
    }
}
