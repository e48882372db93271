//! The store as a process reaches it: late, now and then not at all, and behind it one for all.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{LastStop, Phase, Record, Run, RunNumber, Seconds, StopReason, Timestamp, WorkspaceId};
use platform::store::{DueCursor, DuePage, Save, SaveError, StoreFault, Version, Versioned, WorkspaceStore};

use crate::breaks::Break;
use crate::functions::NAMES;
use crate::stage::locked;
use crate::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) world: Arc<World>,
    pub(crate) side: usize,
}

impl Reached {
    /// The way there, and what goes wrong on it.
    async fn travel(&self) -> Option<StoreFault> {
        let slow = self.world.strikes(|storm| storm.store_slow);
        let way = if slow { self.world.seconds(1, 20) } else { self.world.millis(1, 60) };
        self.world.sleep(way).await;
        if self.world.now() < locked(&self.world.outages).store {
            return Some(StoreFault::Unavailable);
        }
        if !self.world.strikes(|storm| storm.store) {
            return None;
        }
        let faults = [StoreFault::Unavailable, StoreFault::Conflict, StoreFault::AnswerLost];
        let fault = self.world.draw(|chance| chance.pick(&faults));
        self.world.chanced("store faults", || format!("{fault:?} for {}", NAMES[self.side]));
        Some(fault)
    }

    async fn way_back(&self) {
        // Every other answer comes at once, so that a seed has fewer sleeps.
        if self.world.draw(|chance| chance.strikes(500)) {
            self.world.sleep(self.world.millis(1, 40)).await;
        }
    }

    async fn read<T>(&self, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        if let Some(fault) = self.travel().await {
            anyhow::bail!("the store was made to fail ({fault:?})");
        }
        let answer = answer.await;
        self.way_back().await;
        answer
    }

    /// What is really saved, where a rule of the store is broken.
    fn broken(&self, before: &Record, record: &mut Record) {
        match self.world.setting.broken {
            Some(Break::CallsAreForgotten) => record.call = None,
            Some(Break::ActivityIsForgotten) if record.run == before.run => {
                record.last_active = before.last_active;
                if before.phase == Phase::Ready {
                    record.stop_at = before.stop_at;
                }
            }
            Some(Break::DeadlinesMoveBack) => {
                record.stop_at = record.stop_at.map(|at| at - Seconds(self.world.number()))
            }
            Some(Break::DeadlinesRunAway) if record.phase == Phase::Ready => record.stop_at = record.hard_stop_at,
            Some(Break::RunsAreCutShort) if record.phase == Phase::Ready && before.phase == Phase::Ready => {
                record.phase = Phase::Stopping;
                record.ending = Some(StopReason::Idle);
                record.phase_since = self.world.now();
            }
            Some(Break::ReasonsAreWrong) => {
                record.last_stop =
                    record.last_stop.take().map(|last| LastStop { reason: StopReason::MachineStopped, ..last });
            }
            Some(Break::RestartsAreAnew) if record.restart_of == Some(before.run) => {
                record.hard_stop_at = record.hard_stop_at.map(|at| at + Seconds(60));
            }
            Some(Break::NoticesAreKept) => {
                let kept = before.notices.iter().filter(|kept| !record.notices.contains(kept));
                let kept: Vec<_> = kept.cloned().collect();
                record.notices.extend(kept);
            }
            Some(Break::TheHardEndMoves) => {
                record.hard_stop_at = record.hard_stop_at.map(|at| at + Seconds(60));
            }
            _ => {}
        }
    }

    async fn save_really(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let Save { id, due_at, .. } = save;
        let mut record = save.record.clone();
        self.world.announced(id, &record);
        let mut ended = save.ended.cloned();
        if self.world.setting.broken.is_some() {
            self.broken(&self.world.record(id.as_str()), &mut record);
            match self.world.setting.broken {
                Some(Break::ReceiptsAreDear) => {
                    ended = ended.map(|run| Run { billed: run.billed + run.billed + Seconds(600), ..run });
                }
                Some(Break::ReceiptsAreCheap) => ended = ended.map(|run| Run { billed: Seconds(60), ..run }),
                Some(Break::ReceiptsAreLost) => ended = None,
                _ => {}
            }
        }
        let latest = self.world.store.load(id).await.map_err(SaveError::Unavailable)?.version;
        let seen = if self.world.breaks(Break::SavesAreBlind) { latest.as_ref() } else { save.seen };
        let version = self.world.store.save(Save { id, record: &record, seen, due_at, ended: ended.as_ref() }).await?;
        self.world.saved(id, NAMES[self.side], &record, ended.as_ref());
        Ok(version)
    }
}

#[async_trait]
impl WorkspaceStore for Reached {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.read(self.world.store.load(id)).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let lost = |what: &str| SaveError::Unavailable(anyhow::anyhow!("a save was made to fail: {what}"));
        match self.travel().await {
            None => {
                let answer = self.save_really(save).await;
                if matches!(answer, Err(SaveError::Conflict)) {
                    self.world.chanced("conflicts", || format!("{} comes too late", NAMES[self.side]));
                }
                self.way_back().await;
                answer
            }
            Some(StoreFault::Unavailable) => Err(lost("not saved")),
            Some(StoreFault::Conflict) => Err(SaveError::Conflict),
            Some(StoreFault::AnswerLost) => {
                self.save_really(save).await?;
                Err(lost("saved, but the answer was lost"))
            }
        }
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        if self.world.breaks(Break::TimeStandsStill) {
            return Ok(DuePage { records: Vec::new(), next: None });
        }
        self.read(self.world.store.due(now, after, limit)).await
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.read(self.world.store.runs(id, before, limit)).await
    }
}
