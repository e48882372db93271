//! One sweep: read what is due and what is up, plan, repair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use domain::{Event, Phase, Record, Repair, Timestamp, UpInstance, Workspace, WorkspaceId, decide, plan};
use futures_util::{StreamExt, stream};
use platform::store::{DueCursor, SaveError, Versioned, save_decision};
use serde::{Deserialize, Serialize};
use service::log_turn;

use crate::app::App;

/// Records read at once.
const PAGE: usize = 500;
/// Repairs made at once.
const AT_ONCE: usize = 32;
/// A sweep that finds more than this is a fault to look at, not work to finish; the rest is left to the next.
const DUE_MAX: usize = 20_000;
/// A record that others change is looked at anew this often.
const ATTEMPTS_MAX: usize = 4;

/// What a sweep did, as it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// Records and instances looked at.
    pub looked_at: usize,
    /// Runs whose stop was announced.
    pub drained: usize,
    /// Runs told to stop.
    pub stopped: usize,
    /// Everything else that was put right: nudges repeated, machines stopped that nobody wanted.
    pub repaired: usize,
    pub failed: Vec<FailedItem>,
    /// What was done, item by item.
    pub items: Vec<Swept>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Swept {
    Drained {
        workspace: String,
    },
    Stopped {
        workspace: String,
    },
    /// A machine has not stopped within its limit: the run was ended as failed.
    GaveUp {
        workspace: String,
    },
    /// The worker was asked to look.
    Nudged {
        workspace: String,
    },
    /// A machine of no workspace that we know was stopped.
    StoppedUnknown {
        instance: String,
    },
}

/// One thing that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedItem {
    pub item: String,
    pub error: String,
}

/// A record that was read, and what it belongs to.
type Known = BTreeMap<WorkspaceId, Versioned>;

impl App {
    /// Makes one sweep. Never fails as a whole: what fails is in the report, and due again in the next.
    pub async fn sweep(&self) -> SweepReport {
        let now = self.parts.clock.now();
        let mut report = SweepReport::default();
        let due = self.read_due(now, &mut report).await;
        let up = match self.parts.compute.list_up().await.context("listing the instances that are up") {
            Ok(up) => up,
            Err(error) => {
                report.fail("instances", &error);
                Vec::new()
            }
        };
        let up_records = self.read_up(&up, &due, &mut report).await;
        report.looked_at = due.len() + up.len();
        let repairs = self.plan(&due, &up, &up_records, now);
        let outcomes: Vec<_> = stream::iter(repairs)
            .map(|repair| {
                let seen = match &repair {
                    Repair::Settle { workspace } => due.get(workspace).cloned(),
                    _ => None,
                };
                async move {
                    let outcome = self.repair(&repair, seen, &now).await;
                    (repair, outcome)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (repair, outcome) in outcomes {
            match outcome {
                Ok(swept) => report.note(swept),
                Err(error) => report.fail(&format!("{repair:?}"), &error),
            }
        }
        report.items.sort();
        report.log();
        report
    }

    /// Everything that is due, read page by page.
    async fn read_due(&self, now: Timestamp, report: &mut SweepReport) -> Known {
        let mut due = Known::new();
        let mut after: Option<DueCursor> = None;
        while due.len() < DUE_MAX {
            match self.parts.store.due(now, after.as_ref(), PAGE).await.context("reading what is due") {
                Ok(page) => {
                    due.extend(page.records);
                    after = page.next;
                }
                Err(error) => {
                    report.fail("due records", &error);
                    break;
                }
            }
            if after.is_none() {
                break;
            }
        }
        due
    }

    /// The records of the workspaces that have an instance up, those that are due excepted: they were just read.
    async fn read_up(&self, up: &[UpInstance], due: &Known, report: &mut SweepReport) -> Known {
        let ids: BTreeSet<WorkspaceId> = up
            .iter()
            .filter_map(|instance| WorkspaceId::parse(&instance.workspace).ok())
            .filter(|id| self.workspaces.contains_key(id) && !due.contains_key(id))
            .collect();
        let loads: Vec<_> = stream::iter(ids)
            .map(|id| {
                let store = Arc::clone(&self.parts.store);
                async move {
                    let loaded = store.load(&id).await;
                    (id, loaded)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut known = Known::new();
        for (id, loaded) in loads {
            match loaded.context("loading a workspace") {
                Ok(versioned) => drop(known.insert(id, versioned)),
                Err(error) => report.fail(id.as_str(), &error),
            }
        }
        known
    }

    fn plan(&self, due: &Known, up: &[UpInstance], up_records: &Known, now: Timestamp) -> Vec<Repair> {
        let due_records = due.iter().filter_map(|(id, versioned)| {
            let workspace = self.workspaces.get(id)?;
            Some((id, &versioned.record, &workspace.policy))
        });
        // An instance whose record could not be read is nobody's business in this sweep: unknown is active.
        let readable = |instance: &&UpInstance| {
            let declared = WorkspaceId::parse(&instance.workspace).ok().filter(|id| self.workspaces.contains_key(id));
            declared.is_none_or(|id| due.contains_key(&id) || up_records.contains_key(&id))
        };
        let up: Vec<UpInstance> = up.iter().filter(readable).cloned().collect();
        let known = |name: &str| {
            // A record that was left behind by its declaration wants nothing any more.
            let id = WorkspaceId::parse(name).ok().filter(|id| self.workspaces.contains_key(id))?;
            let (id, versioned) = due.get_key_value(&id).or_else(|| up_records.get_key_value(&id))?;
            Some((id, &versioned.record))
        };
        plan(due_records, &up, known, now)
    }

    async fn repair(&self, repair: &Repair, seen: Option<Versioned>, now: &Timestamp) -> anyhow::Result<Option<Swept>> {
        match repair {
            Repair::Settle { workspace } => match self.workspaces.get(workspace) {
                Some(declared) => self.settle(declared, seen).await,
                None => Ok(None),
            },
            Repair::Nudge { workspace, .. } => {
                self.parts.queue.nudge(workspace).await.context("nudging")?;
                Ok(Some(Swept::Nudged { workspace: workspace.to_string() }))
            }
            Repair::StopUnknown { instance, zone } => {
                let up = UpInstance { workspace: String::new(), instance: instance.clone(), zone: zone.clone() };
                // One id a minute: a repeat of this sweep is the same call, the next sweep is another.
                let name = format!("{zone}/{instance}/{}", now.seconds().div_euclid(60));
                let request_id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes());
                self.parts.compute.stop_unknown(&up, request_id).await.context("stopping an unknown instance")?;
                Ok(Some(Swept::StoppedUnknown { instance: instance.clone() }))
            }
        }
    }

    /// Lets time pass for a record. What has changed since it was read is read again, so that nothing is decided on
    /// what is no longer so.
    async fn settle(&self, workspace: &Arc<Workspace>, seen: Option<Versioned>) -> anyhow::Result<Option<Swept>> {
        let mut seen = seen;
        for _ in 0..ATTEMPTS_MAX {
            let current = match seen.take() {
                Some(seen) => seen,
                None => self.parts.store.load(&workspace.id).await.context("loading a workspace")?,
            };
            let now = self.parts.clock.now();
            let Ok(decision) = decide(&current.record, Event::SweepDue, now, workspace) else { return Ok(None) };
            if decision.save {
                match save_decision(&*self.parts.store, workspace, current.version.as_ref(), &decision).await {
                    Ok(_) => log_turn(workspace, &current.record, &decision.next),
                    Err(SaveError::Conflict) => continue,
                    Err(error) => return Err(error).context("saving a workspace"),
                }
            }
            if decision.nudge {
                self.parts.queue.nudge(&workspace.id).await.context("nudging")?;
            }
            return Ok(swept(workspace, &current.record, &decision.next, decision.nudge));
        }
        anyhow::bail!("{} was changed by others {ATTEMPTS_MAX} times in a row", workspace.id)
    }
}

fn swept(workspace: &Workspace, before: &Record, after: &Record, nudged: bool) -> Option<Swept> {
    let workspace = workspace.id.to_string();
    match (before.phase == after.phase, after.phase) {
        (false, Phase::Draining) => Some(Swept::Drained { workspace }),
        (false, Phase::Stopping) => Some(Swept::Stopped { workspace }),
        (false, Phase::Failed) => Some(Swept::GaveUp { workspace }),
        _ if nudged => Some(Swept::Nudged { workspace }),
        _ => None,
    }
}

impl SweepReport {
    fn note(&mut self, swept: Option<Swept>) {
        match &swept {
            Some(Swept::Drained { .. }) => self.drained += 1,
            Some(Swept::Stopped { .. }) => self.stopped += 1,
            Some(Swept::GaveUp { .. } | Swept::Nudged { .. } | Swept::StoppedUnknown { .. }) => self.repaired += 1,
            None => {}
        }
        self.items.extend(swept);
    }

    fn fail(&mut self, item: &str, error: &anyhow::Error) {
        tracing::error!(item, error = format!("{error:#}"), "a sweep could not do this; the next one tries again");
        self.failed.push(FailedItem { item: item.to_owned(), error: error.to_string() });
    }

    fn log(&self) {
        let Self { looked_at, drained, stopped, repaired, failed, .. } = self;
        tracing::debug!(looked_at, drained, stopped, repaired, failed = failed.len(), "sweep");
    }
}
