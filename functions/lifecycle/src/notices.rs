//! Sends what a workspace's people are told: taken out of the record first, then sent, so once at most (`docs/adr`).

use std::sync::Arc;

use anyhow::Context;
use domain::{Event, Notice, Seconds, Workspace};
use platform::clock::Clock;
use platform::notify::{Delivery, Notifier, NotifyError};
use platform::store::WorkspaceStore;
use wire::{Telling, WebhooksConfig};

use crate::change::{Changed, NotChanged, change};

/// Notices sent one after another before the worker goes on; a record holds no more of them.
const SENT_AT_ONCE_MAX: usize = domain::NOTICES_MAX;
/// Another worker may be quicker with each.
const TAKE_ATTEMPTS_MAX: usize = domain::NOTICES_MAX;

/// What sending takes, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    pub(crate) webhooks: Arc<WebhooksConfig>,
    /// The page's address, where it is known.
    pub(crate) page: Option<Arc<str>>,
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) store: Arc<dyn WorkspaceStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Notices {
    /// Sends what is due. What cannot be sent now is left to a later visit; the reaper finds it due.
    pub(crate) async fn send_due(&self, workspace: &Workspace) {
        if !self.webhooks.contains_key(&workspace.id) {
            return;
        }
        for _ in 0..SENT_AT_ONCE_MAX {
            match self.send_next(workspace).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(workspace = %workspace.id, error = format!("{error:#}"), "notices were not sent; the next sweep tries again");
                    return;
                }
            }
        }
    }

    /// Sends the oldest notice that is due; false when there is none.
    async fn send_next(&self, workspace: &Workspace) -> anyhow::Result<bool> {
        let Some(notice) = self.take(workspace).await? else { return Ok(false) };
        let Some(to) = self.webhooks.get(&workspace.id) else { return Ok(false) };
        let telling = Telling { notice: &notice, workspace, page: self.page.as_deref(), now: self.clock.now() };
        let delivery = Delivery::new(to, telling);
        match self.notifier.send(&delivery).await {
            Ok(()) => tracing::info!(workspace = %workspace.id, notice = delivery.id, "notice sent"),
            Err(NotifyError::NotDelivered { why, retry_after }) => {
                tracing::warn!(workspace = %workspace.id, notice = delivery.id, tries = notice.tries + 1, why, "notice not delivered");
                let at_least = retry_after.unwrap_or(Seconds(0));
                self.change(workspace, &Event::NoticeReturned { notice, at_least }).await?;
            }
            Err(error @ (NotifyError::Refused { .. } | NotifyError::InDoubt { .. })) => {
                tracing::warn!(workspace = %workspace.id, notice = delivery.id, error = %error, "notice given up");
            }
        }
        Ok(true)
    }

    /// Takes the oldest due notice out of the record; `None` when there is none.
    async fn take(&self, workspace: &Workspace) -> anyhow::Result<Option<Notice>> {
        for _ in 0..TAKE_ATTEMPTS_MAX {
            let record = self.store.load(&workspace.id).await.context("loading a workspace")?.record;
            let now = self.clock.now();
            let due = record.notices.into_iter().filter(|notice| notice.is_due(now));
            let Some(notice) = due.min_by_key(|notice| notice.sequence) else { return Ok(None) };
            let changed = self.change(workspace, &Event::NoticeTaken { sequence: notice.sequence }).await?;
            // Where it was not there any more, another worker sends it.
            if changed.before.notices.contains(&notice) {
                return Ok(Some(notice));
            }
        }
        Ok(None)
    }

    async fn change(&self, workspace: &Workspace, event: &Event) -> anyhow::Result<Changed> {
        change(&*self.store, &*self.clock, workspace, event).await.map_err(|not| match not {
            NotChanged::Denied(denied, _) => anyhow::anyhow!("{denied:?}"),
            NotChanged::Failed(error) => error,
        })
    }
}
