//! What the handlers work with, and the one way in which they change a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::FromRef;
use axum::http::StatusCode;
use domain::{Event, MicroUsd, Record, Timestamp, Workspace, WorkspaceId};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::clock::Clock;
use platform::compute::Compute;
use platform::identity::keys::SigningKey;
use platform::notify::Notifier;
use platform::queue::Queue;
use platform::store::WorkspaceStore;
use service::{ApiError, Gate, OidcGate, Result, SignedIn};
use wire::WebhooksConfig;

use crate::change::{NotChanged, change};
use crate::notices::Notices;
use crate::refusal::refuse;
use crate::worker::Worker;

/// Everything the service is built from.
#[derive(Debug)]
pub struct Parts {
    pub workspaces: Vec<Workspace>,
    pub store: Arc<dyn WorkspaceStore>,
    pub queue: Arc<dyn Queue>,
    pub compute: Arc<dyn Compute>,
    pub clock: Arc<dyn Clock>,
    /// Checks people.
    pub gate: Gate,
    /// Checks VMs.
    pub vms: OidcGate,
    /// Checks Pub/Sub.
    pub push: OidcGate,
    /// Signs tickets.
    pub key: Arc<SigningKey>,
    pub notifier: Arc<dyn Notifier>,
    /// Where the notices of each workspace go.
    pub webhooks: WebhooksConfig,
    /// Address of the page, for notices.
    pub page: Option<String>,
    /// The project whose VMs may speak.
    pub project: String,
}

/// The service, cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) parts: Arc<Parts>,
    pub(crate) workspaces: Arc<BTreeMap<WorkspaceId, Arc<Workspace>>>,
    pub(crate) worker: Worker,
}

impl FromRef<App> for Gate {
    fn from_ref(app: &App) -> Self {
        app.parts.gate.clone()
    }
}

/// Records that are loaded at once.
pub(crate) const LOADS_AT_ONCE: usize = 16;

/// How a record stands after an event.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) record: Record,
    pub(crate) now: Timestamp,
}

impl App {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let workspaces: BTreeMap<_, _> =
            parts.workspaces.iter().map(|workspace| (workspace.id.clone(), Arc::new(workspace.clone()))).collect();
        let workspaces = Arc::new(workspaces);
        let notices = Notices {
            webhooks: Arc::new(parts.webhooks.clone()),
            page: parts.page.as_deref().map(Arc::from),
            notifier: Arc::clone(&parts.notifier),
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
        };
        let worker =
            Worker::new(Arc::clone(&workspaces), Arc::clone(&parts.queue), Arc::clone(&parts.compute), notices);
        Self { parts: Arc::new(parts), workspaces, worker }
    }

    /// The worker behind the push route.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The workspaces that are there for whoever asks.
    pub(crate) fn workspaces_of(&self, user: &SignedIn) -> impl Iterator<Item = &Arc<Workspace>> {
        self.workspaces.values().filter(|workspace| is_there_for(user, workspace))
    }

    /// The workspace of this name, if it is there for whoever asks. What a person asks for is found here and nowhere else.
    pub(crate) fn workspace(&self, user: &SignedIn, name: &str) -> Result<&Arc<Workspace>> {
        self.declared(name).ok().filter(|workspace| is_there_for(user, workspace)).ok_or_else(no_such_workspace)
    }

    /// The declared workspace of this name, for machines.
    pub(crate) fn declared(&self, name: &str) -> Result<&Arc<Workspace>> {
        WorkspaceId::parse(name).ok().and_then(|id| self.workspaces.get(&id)).ok_or_else(no_such_workspace)
    }

    /// The record as it is.
    pub(crate) async fn look(&self, workspace: &Workspace) -> Result<Applied> {
        let loaded = self.parts.store.load(&workspace.id).await?;
        Ok(Applied { record: loaded.record, now: self.parts.clock.now() })
    }

    /// What a user has spent this month on all workspaces together, runs that are up in it.
    pub(crate) async fn spent_by(&self, user: &str) -> Result<MicroUsd> {
        let all: Vec<_> = self.workspaces.values().cloned().collect();
        let spent = stream::iter(all)
            .map(|workspace| async move {
                let Applied { record, now } = self.look(&workspace).await?;
                Ok::<_, ApiError>(record.spent_by(user, now, &workspace))
            })
            .buffer_unordered(LOADS_AT_ONCE);
        spent.try_fold(MicroUsd(0), async |sum, spent| Ok(MicroUsd(sum.0.saturating_add(spent.0)))).await
    }

    /// Decides an event on the record as it is, saves the answer on condition that nobody else has, and nudges.
    ///
    /// # Errors
    /// The domain's denial, or 503 when the store cannot be had or the record is too busy.
    pub(crate) async fn apply(&self, workspace: &Workspace, event: Event) -> Result<Applied> {
        let Parts { store, clock, .. } = &*self.parts;
        let changed = change(&**store, &**clock, workspace, &event).await.map_err(|not| match not {
            NotChanged::Denied(denied, record) => refuse(denied, &record),
            NotChanged::Failed(error) => ApiError::unavailable(error),
        })?;
        if changed.decision.nudge {
            self.nudge(&workspace.id).await;
        }
        Ok(Applied { record: changed.decision.next, now: changed.now })
    }

    /// Nudges the worker. A nudge that does not get through is no error to the caller, whose wish is saved: the reaper
    /// finds the record due and nudges again.
    async fn nudge(&self, id: &WorkspaceId) {
        if let Err(error) = self.parts.queue.nudge(id).await.context("nudging") {
            tracing::error!(workspace = %id, error = format!("{error:#}"), "a nudge was not taken; the next sweep repeats it");
        }
    }
}

fn is_there_for(user: &SignedIn, workspace: &Workspace) -> bool {
    workspace.admits(&user.0.user, user.0.role)
}

fn no_such_workspace() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_workspace", "There is no such workspace")
        .hint("GET /api/workspaces lists those there are.")
}
