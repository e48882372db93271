//! The worker: makes reality follow the wish, one step at a time, until they agree.
//!
//! Each round loads the record, looks at the machines, and takes the one step that [`domain::next_step`] names. A step
//! is saved on condition that the record is still the one that was looked at, so whoever comes second looks again. A
//! call to Compute Engine is announced in the record before it is made (`docs/adr/0003-announce-before-calling.md`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use domain::{
    Action, Call, Event, OperationErrorKind, Record, Step, Timestamp, Workspace, WorkspaceId, decide, next_step,
};
use platform::clock::Clock;
use platform::compute::{CallError, CallRequest, Compute, OperationState, request_id};
use platform::queue::Queue;
use platform::store::{SaveError, Version, WorkspaceStore, save_decision};
use service::log_turn;
use tokio::sync::Notify;

use crate::notices::Notices;

/// Rounds of one visit; a placing of several minutes takes one every two seconds.
const ROUNDS_MAX: usize = 2_000;
/// Longest visit, in seconds of policy time; less than Pub/Sub's longest ack deadline (600 s), so that the message is
/// still ours at the end. What is not done by then is nudged anew.
const VISIT_MAX: domain::Seconds = domain::Seconds(480);
/// Visits in a row, each asked for while the one before was telling people.
const VISITS_MAX: usize = 8;
/// How long to wait between two looks at something that takes its time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attended {
    /// Wish and reality agree.
    Agreed,
    /// Somebody else is at it and will look again.
    Joined,
    /// Not yet; another nudge is on its way.
    Unfinished,
}

/// The worker, cheap to clone.
#[derive(Clone, Debug)]
pub struct Worker {
    workspaces: Arc<BTreeMap<WorkspaceId, Arc<Workspace>>>,
    store: Arc<dyn WorkspaceStore>,
    queue: Arc<dyn Queue>,
    compute: Arc<dyn Compute>,
    clock: Arc<dyn Clock>,
    notices: Notices,
    /// Workspaces being visited by this process, and whether somebody has knocked since.
    visits: Arc<Mutex<HashMap<WorkspaceId, bool>>>,
}

/// A visit under way; over when dropped, also when the request behind it is dropped.
struct Visit<'a> {
    worker: &'a Worker,
    id: &'a WorkspaceId,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.worker.visits.lock().unwrap_or_else(PoisonError::into_inner).remove(self.id);
    }
}

/// The record as one round sees it.
struct Round<'a> {
    workspace: &'a Workspace,
    record: Record,
    version: Option<Version>,
}

impl Worker {
    pub(crate) fn new(
        workspaces: Arc<BTreeMap<WorkspaceId, Arc<Workspace>>>,
        queue: Arc<dyn Queue>,
        compute: Arc<dyn Compute>,
        notices: Notices,
    ) -> Self {
        let (store, clock) = (Arc::clone(&notices.store), Arc::clone(&notices.clock));
        Self { workspaces, store, queue, compute, clock, notices, visits: Arc::default() }
    }

    /// Looks at a workspace until its wish and reality agree, or the visit's time is over.
    ///
    /// A nudge for a workspace that is being visited joins that visit: its message was not acknowledged yet, so a visit
    /// that dies is repeated.
    ///
    /// # Errors
    /// When the store or Compute Engine cannot be reached: the message must come again.
    pub async fn attend(&self, id: &WorkspaceId) -> anyhow::Result<Attended> {
        let workspace = self.workspaces.get(id).with_context(|| format!("{id} is not declared"))?;
        let Some(_visit) = self.begin(id) else { return Ok(Attended::Joined) };
        for _ in 0..VISITS_MAX {
            let attended = self.visit_and_tell(workspace).await;
            // Who has knocked while the last notice was being sent has joined a visit that does not look any more.
            if !matches!(attended, Ok(Attended::Agreed)) || !self.knocked(id) {
                return attended;
            }
        }
        self.queue.nudge(id).await.context("nudging for another visit")?;
        Ok(Attended::Unfinished)
    }

    /// One visit, and what is told of it beside its rounds: telling that a machine was taken back must not make it late.
    async fn visit_and_tell(&self, workspace: &Workspace) -> anyhow::Result<Attended> {
        let (to_tell, over) = (Notify::new(), AtomicBool::new(false));
        let visit = async {
            let attended = self.visit(workspace, &to_tell).await;
            over.store(true, Ordering::Release);
            to_tell.notify_one();
            attended
        };
        let telling = async {
            loop {
                let last = over.load(Ordering::Acquire);
                self.notices.send_due(workspace).await;
                if last {
                    break;
                }
                to_tell.notified().await;
            }
        };
        tokio::join!(visit, telling).0
    }

    async fn visit(&self, workspace: &Workspace, to_tell: &Notify) -> anyhow::Result<Attended> {
        let id = &workspace.id;
        let over = self.clock.now() + VISIT_MAX;
        for _ in 0..ROUNDS_MAX {
            if self.round(workspace, to_tell).await? && !self.knocked(id) {
                return Ok(Attended::Agreed);
            }
            if self.clock.now() >= over {
                break;
            }
        }
        self.queue.nudge(id).await.context("nudging for another visit")?;
        Ok(Attended::Unfinished)
    }

    fn begin<'a>(&'a self, id: &'a WorkspaceId) -> Option<Visit<'a>> {
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(knocked) = visits.get_mut(id) {
            *knocked = true;
            return None;
        }
        visits.insert(id.clone(), false);
        Some(Visit { worker: self, id })
    }

    /// Whether somebody has knocked since the last look; forgets it.
    fn knocked(&self, id: &WorkspaceId) -> bool {
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.get_mut(id).is_some_and(std::mem::take)
    }

    /// One round; true when nothing is left to do.
    async fn round(&self, workspace: &Workspace, to_tell: &Notify) -> anyhow::Result<bool> {
        let loaded = self.store.load(&workspace.id).await.context("loading a workspace")?;
        if loaded.record.notices.iter().any(|notice| notice.is_due(self.clock.now())) {
            to_tell.notify_one();
        }
        let round = Round { workspace, record: loaded.record, version: loaded.version };
        // Before the look: a call that could still arrive while we looked must count as outstanding in what follows.
        let now = self.clock.now();
        let seen = self.compute.see(workspace).await.context("looking at the instances")?;
        match next_step(&round.record, &seen, now, workspace) {
            Step::Done => return Ok(true),
            Step::Wait { until } => self.wait_until(until, now).await,
            Step::Record(event) => {
                if self.save(&round, event).await?.is_none() {
                    // Nothing new came of it, or somebody else was faster: not at once again.
                    self.clock.sleep(LOOK_EVERY).await;
                }
            }
            Step::Follow { operation, instance } => self.follow(&round, &operation, &instance).await?,
            Step::Call(action) => self.call(round, action).await?,
        }
        Ok(false)
    }

    async fn wait_until(&self, until: Timestamp, now: Timestamp) {
        let wait = until.since(now).duration().clamp(Duration::from_millis(500), LOOK_EVERY * 5);
        self.clock.sleep(wait).await;
    }

    /// Decides `event` on the round's record and saves it; `None` when it made no difference or the record has changed.
    async fn save(&self, round: &Round<'_>, event: Event) -> anyhow::Result<Option<(Record, Version)>> {
        let now = self.clock.now();
        let Ok(decision) = decide(&round.record, event, now, round.workspace) else { return Ok(None) };
        if !decision.save {
            return Ok(None);
        }
        match save_decision(&*self.store, round.workspace, round.version.as_ref(), &decision).await {
            Ok(version) => {
                log_turn(round.workspace, &round.record, &decision.next);
                Ok(Some((decision.next, version)))
            }
            Err(SaveError::Conflict) => Ok(None),
            Err(error) => Err(error).context("saving a step"),
        }
    }

    async fn follow(&self, round: &Round<'_>, operation: &str, instance: &str) -> anyhow::Result<()> {
        let zone = round.workspace.placement(instance).map(|placement| placement.zone.as_str());
        let state = match zone {
            Some(zone) => self.compute.operation(zone, operation).await.context("following an operation")?,
            // The placement is declared no more, so nobody can ask after it.
            None => OperationState::Done,
        };
        match state {
            OperationState::Pending => self.clock.sleep(LOOK_EVERY).await,
            OperationState::Done => drop(self.save(round, Event::OperationDone).await?),
            OperationState::Failed(error) => {
                let transient = error.kind == OperationErrorKind::Transient;
                tracing::warn!(workspace = %round.workspace.id, kind = ?error.kind, detail = error.detail, "an operation went wrong");
                self.save(round, Event::OperationFailed(error)).await?;
                if transient {
                    self.clock.sleep(LOOK_EVERY).await;
                }
            }
        }
        Ok(())
    }

    /// Announces a call, makes it in time, and notes how it was answered.
    async fn call(&self, round: Round<'_>, action: Action) -> anyhow::Result<()> {
        let Round { workspace, .. } = round;
        let Some((record, version)) = self.save(&round, Event::CallIntended(action.clone())).await? else {
            return Ok(());
        };
        let Some(call) = record.call.clone() else { return Ok(()) };
        let round = Round { workspace, record, version: Some(version) };
        let in_time = call.announced_at + workspace.policy.call_limit;
        let left = in_time.since(self.clock.now());
        if left == domain::Seconds(0) {
            // Too late to be sure that it arrives before others take it for lost.
            return Ok(());
        }
        let request_id = request_id(&workspace.id, round.record.run, call.sequence);
        let answer = tokio::select! {
            biased;
            answer = self.compute.call(CallRequest { workspace, action: &action, request_id }) => answer,
            () = self.clock.sleep(left.duration()) => Err(CallError::Unanswered(anyhow::anyhow!("no answer within {left}"))),
        };
        match answer {
            Ok(operation) => {
                tracing::info!(workspace = %workspace.id, run = round.record.run, ?action, operation, "call accepted");
                self.save_answer(round, &call, Event::CallAccepted { operation }).await
            }
            Err(CallError::Refused(error)) => {
                tracing::warn!(workspace = %workspace.id, ?action, kind = ?error.kind, detail = error.detail, "call refused");
                self.save_answer(round, &call, Event::OperationFailed(error)).await?;
                self.clock.sleep(LOOK_EVERY).await;
                Ok(())
            }
            Err(CallError::Unanswered(error)) => {
                tracing::warn!(workspace = %workspace.id, ?action, error = format!("{error:#}"), "call not answered");
                self.clock.sleep(LOOK_EVERY).await;
                Ok(())
            }
        }
    }

    /// Notes the answer on the record as it is by now, provided that it still knows the call.
    async fn save_answer(&self, mut round: Round<'_>, call: &Call, event: Event) -> anyhow::Result<()> {
        /// Heartbeats and keep-alives may come in between; not this many.
        const ATTEMPTS_MAX: usize = 16;
        for _ in 0..ATTEMPTS_MAX {
            if self.save(&round, event.clone()).await?.is_some() {
                return Ok(());
            }
            let loaded = self.store.load(&round.workspace.id).await.context("loading a workspace")?;
            if loaded.record.call.as_ref() != Some(call) {
                return Ok(());
            }
            round = Round { workspace: round.workspace, record: loaded.record, version: loaded.version };
        }
        anyhow::bail!("the answer to a call could not be noted: the record changed {ATTEMPTS_MAX} times in a row")
    }
}
