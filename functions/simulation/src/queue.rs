//! The queue: what it has taken it pushes at least once, late, in any order, twice, or never.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::WorkspaceId;
use platform::queue::Queue;
use serde_json::{Value, json};

use crate::breaks::Break;
use crate::functions::{Asking, NAMES};
use crate::identity::{PROJECT, PUSH_EMAIL};
use crate::stage::locked;
use crate::world::World;

/// A message that nobody takes is pushed so often (`local/src/pubsub.rs`).
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF: Duration = Duration::from_secs(10);

/// The queue as a process reaches it.
#[derive(Debug)]
pub(crate) struct Nudges {
    pub(crate) world: Arc<World>,
    pub(crate) side: usize,
}

#[async_trait]
impl Queue for Nudges {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        self.world.sleep(self.world.millis(5, 80)).await;
        if self.world.strikes(|storm| storm.nudge_refused) {
            self.world.chanced("nudges refused", || format!("{} nudges {workspace}", NAMES[self.side]));
            anyhow::bail!("the queue was made to refuse");
        }
        if self.world.strikes(|storm| storm.nudge_lost) || self.world.breaks(Break::NobodyLooks) {
            self.world.chanced("nudges lost", || workspace.to_string());
            return Ok(());
        }
        self.world.deliver("/push/nudge", json!({"workspace": workspace.as_str()}));
        if self.world.strikes(|storm| storm.nudge_twice) {
            self.world.chanced("nudges twice", || workspace.to_string());
            self.world.deliver("/push/nudge", json!({"workspace": workspace.as_str()}));
        }
        Ok(())
    }
}

impl World {
    /// Sees a message through.
    fn deliver(self: &Arc<Self>, path: &'static str, data: Value) {
        let world = Arc::clone(self);
        self.spawn(async move {
            let late = world.strikes(|storm| storm.nudge_late);
            world.sleep(if late { world.seconds(1, 150) } else { world.millis(20, 400) }).await;
            for attempt in 0..ATTEMPTS_MAX {
                let token = world.keys.service(PUSH_EMAIL, world.now());
                let message = json!({
                    "message": {"data": STANDARD.encode(data.to_string()), "messageId": "1", "publishTime": ""},
                    "subscription": "projects/p/subscriptions/s",
                });
                let side = world.draw(|chance| chance.index(2));
                let answer = world.ask(side, Asking::bearer(path, &token, Some(message))).await;
                if answer.is_some_and(|answer| answer.status == 204) {
                    return;
                }
                world.chanced("pushes refused", || data.to_string());
                world.sleep(BACKOFF * 2_u32.saturating_pow(attempt)).await;
            }
            world.chanced("dead letters", || data.to_string());
        });
    }

    /// Compute Engine's own word on an instance, by its log.
    pub(crate) fn tell(self: &Arc<Self>, method: &str, instance: &str) {
        if self.strikes(|storm| storm.event_lost) {
            self.chanced("events lost", || format!("{method} of {instance}"));
            return;
        }
        let Some((zone, number)) = self.look_at(instance, |machine, _| (machine.zone.clone(), machine.number)) else {
            return;
        };
        let at = wire::Rfc3339(self.now());
        let entry = json!({
            "protoPayload": {
                "methodName": method,
                "resourceName": format!("projects/{PROJECT}/zones/{zone}/instances/{instance}"),
            },
            "resource": {"labels": {"instance_id": number.to_string(), "project_id": PROJECT, "zone": zone}},
            "operation": {"first": false, "last": true},
            "timestamp": at,
        });
        self.deliver("/push/compute-events", entry);
    }

    /// Whether the scheduler comes at all.
    pub(crate) fn scheduler_is_out(&self) -> bool {
        self.now() < locked(&self.outages).scheduler || self.strikes(|storm| storm.sweep_missing)
    }
}
