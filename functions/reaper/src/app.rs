//! What a sweep works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Workspace, WorkspaceId};
use platform::clock::Clock;
use platform::compute::Compute;
use platform::queue::Queue;
use platform::store::WorkspaceStore;
use service::OidcGate;

/// Everything the service is built from.
#[derive(Debug)]
pub struct Parts {
    pub workspaces: Vec<Workspace>,
    pub store: Arc<dyn WorkspaceStore>,
    pub queue: Arc<dyn Queue>,
    pub compute: Arc<dyn Compute>,
    pub clock: Arc<dyn Clock>,
    /// Checks Cloud Scheduler.
    pub scheduler: OidcGate,
}

/// The service, cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) parts: Arc<Parts>,
    pub(crate) workspaces: Arc<BTreeMap<WorkspaceId, Arc<Workspace>>>,
}

impl App {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let workspaces =
            parts.workspaces.iter().map(|workspace| (workspace.id.clone(), Arc::new(workspace.clone()))).collect();
        Self { parts: Arc::new(parts), workspaces: Arc::new(workspaces) }
    }
}
