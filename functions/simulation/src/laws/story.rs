//! What is known of one workspace up to a moment.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Phase, Reading, Record, Seconds, Timestamp, Workspace, write_threshold};

use super::ON_ITS_WAY;
use crate::history::{Ask, Status, Why};

/// An instance as the history tells of it.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    pub(crate) status: Option<Status>,
    /// By whose doing it is up, and since when.
    pub(crate) woken: Option<(Why, Timestamp)>,
    pub(crate) runs_since: Option<Timestamp>,
    /// By whose doing it was running, from when to when it was down, as far as that is over.
    pub(crate) ran: Vec<(Why, Timestamp, Timestamp)>,
    pub(crate) has_disk: bool,
    /// When it last was up, and by whose doing it went.
    pub(crate) went: Option<(Timestamp, Why)>,
    /// All of its time up, as far as it is over.
    pub(crate) times: Vec<(Timestamp, Timestamp)>,
    /// Since when it is up and the record does not want it.
    pub(crate) unwanted_since: Option<Timestamp>,
}

impl Instance {
    /// Up, or not yet down, by a call of a run's that was told to go well.
    pub(crate) fn is_ours(&self) -> bool {
        !self.is_down() && self.woken.is_some_and(|(why, _)| matches!(why, Why::Run(_)))
    }

    pub(crate) fn is_down(&self) -> bool {
        self.status.is_none_or(|status| status == Status::Terminated)
    }
}

/// What was sent and is not answered yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Asked { ask: Ask, at: Timestamp },
    Beat { run: Option<u64>, reading: Reading, at: Timestamp },
}

/// What spoke for the run that is under way.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// The newest activity that was acknowledged.
    pub(crate) active_at: Option<Timestamp>,
    /// The newest word that was acknowledged and knew.
    pub(crate) heard_at: Option<Timestamp>,
    /// The newest word that may have been taken in and said: nothing going on; and the newest that knew.
    pub(crate) idle_said_at: Option<Timestamp>,
    pub(crate) known_said_at: Option<Timestamp>,
    /// Words that said: nothing going on, and were taken: when they were sent, and answered.
    pub(crate) idle_heard: Vec<(Timestamp, Timestamp)>,
    /// Until when whatever may have been taken in speaks for it.
    pub(crate) kept_until: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) workspace: Workspace,
    pub(crate) record: Record,
    pub(crate) instances: BTreeMap<String, Instance>,
    said: BTreeMap<u64, Said>,
    pub(crate) spoken: Spoken,
    /// When somebody last asked to stop.
    pub(crate) stop_asked_at: Option<Timestamp>,
    /// Runs whose start was acknowledged, and whose receipt is due.
    pub(crate) owed: BTreeSet<u64>,
    pub(crate) last_receipt: u64,
}

impl Story {
    pub(crate) fn of(workspace: Workspace) -> Self {
        let instances = workspace.placements.iter().enumerate().map(|(at, placement)| {
            let has_disk = at == 0 && workspace.disk.is_some();
            (placement.instance.clone(), Instance { has_disk, ..Instance::default() })
        });
        Self {
            instances: instances.collect(),
            record: Record::default(),
            said: BTreeMap::new(),
            spoken: Spoken::default(),
            stop_asked_at: None,
            owed: BTreeSet::new(),
            last_receipt: 0,
            workspace,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.workspace.id.as_str()
    }

    pub(crate) fn threshold(&self) -> Seconds {
        write_threshold(&self.workspace.policy)
    }

    /// What a save changes in what is known.
    pub(crate) fn follow(&mut self, before: &Record, now: Timestamp) {
        if before.run != self.record.run {
            // What is on its way still may be taken in for the new run.
            let kept_until = if self.said.is_empty() { Timestamp::default() } else { self.spoken.kept_until };
            self.spoken = Spoken { kept_until, ..Spoken::default() };
        }
        self.note_wants(now);
    }

    pub(crate) fn turn(&mut self, instance: &str, status: Status, why: Why, now: Timestamp) {
        let Some(known) = self.instances.get_mut(instance) else { return };
        known.status = Some(status);
        match status {
            Status::Running => known.runs_since = Some(now),
            Status::Terminated => {
                let ran = known.woken.map(|(why, _)| why).zip(known.runs_since.take());
                known.ran.extend(ran.map(|(why, since)| (why, since, now)));
            }
            _ => {}
        }
        match status {
            Status::Provisioning => known.woken = Some((why, now)),
            Status::Terminated => {
                if let Some((_, since)) = known.woken.take() {
                    known.times.push((since, now));
                }
                known.went = Some((now, why));
            }
            _ => {}
        }
        self.note_wants(now);
    }

    /// Which instances are up that the record does not want, and since when.
    fn note_wants(&mut self, now: Timestamp) {
        for (name, instance) in &mut self.instances {
            let up = instance.status.is_some_and(Status::is_up);
            let wanted = self.record.phase.expects_machine()
                && self.record.phase != Phase::Stopping
                && self.record.placement.as_ref() == Some(name);
            if up && !wanted {
                instance.unwanted_since.get_or_insert(now);
            } else {
                instance.unwanted_since = None;
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask, number: u64, now: Timestamp) {
        let policy = &self.workspace.policy;
        let keeps = match ask {
            Ask::KeepAlive(Some(_)) | Ask::Start | Ask::KeepTrying(_) => Some(policy.idle_limit),
            Ask::Extend(by) => Some(by),
            _ => None,
        };
        if let Some(keeps) = keeps {
            self.spoken.kept_until = self.spoken.kept_until.max(now + ON_ITS_WAY + keeps);
        }
        if ask == Ask::Stop {
            self.stop_asked_at = Some(now);
        }
        self.said.insert(number, Said::Asked { ask, at: now });
    }

    pub(crate) fn beat(&mut self, run: Option<u64>, reading: Reading, number: u64, now: Timestamp) {
        if run == Some(self.record.run) {
            let idle_limit = self.workspace.policy.idle_limit;
            let spoken = &mut self.spoken;
            let active = match reading {
                Reading::Busy(_) => Some(now),
                Reading::Idle { last } => last.map(|last| last.at),
                Reading::Unknown => None,
            };
            if let Some(at) = active {
                spoken.kept_until = spoken.kept_until.max(at + ON_ITS_WAY + idle_limit);
            }
            if reading != Reading::Unknown {
                spoken.known_said_at = Some(now);
            }
            if matches!(reading, Reading::Idle { .. }) {
                spoken.idle_said_at = Some(now);
            }
        }
        self.said.insert(number, Said::Beat { run, reading, at: now });
    }

    /// Takes in an answer; what it answers, where that was about this workspace.
    pub(crate) fn answer(
        &mut self,
        number: u64,
        status: Option<u16>,
        phase: &str,
        run: u64,
        now: Timestamp,
    ) -> Option<Said> {
        let said = self.said.remove(&number)?;
        let well = status.is_some_and(|status| (200..300).contains(&status));
        if !well || run != self.record.run {
            return Some(said);
        }
        let open = matches!(phase, "Ready" | "Draining");
        let spoken = &mut self.spoken;
        let active = match said {
            // Of the moments that the person may have been there, the earliest.
            Said::Asked { ask: Ask::KeepAlive(Some(ago)), at } if open || matches!(phase, "Placing" | "Booting") => {
                Some(at - ago)
            }
            Said::Asked { ask: Ask::Start | Ask::KeepTrying(_), at } if phase == "Ready" => Some(at),
            Said::Asked { ask: Ask::Start | Ask::KeepTrying(_), .. } if phase == "Placing" => {
                // The run may be over before its start is answered.
                if run > self.last_receipt {
                    self.owed.insert(run);
                }
                None
            }
            Said::Beat { run: Some(of), reading, at } if of == run && (open || phase == "Booting") => {
                if reading != Reading::Unknown {
                    spoken.heard_at = spoken.heard_at.max(Some(at));
                }
                match reading {
                    Reading::Busy(_) => Some(at),
                    Reading::Idle { last } => {
                        spoken.idle_heard.push((at, now));
                        last.map(|last| last.at)
                    }
                    Reading::Unknown => None,
                }
            }
            _ => None,
        };
        let began = self.record.started_at.unwrap_or_default();
        spoken.active_at = spoken.active_at.max(active.filter(|at| *at > began));
        Some(said)
    }
}
