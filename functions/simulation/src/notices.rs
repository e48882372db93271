//! Where notices go: a receiver that takes them, refuses them, or takes them and does not say so.

use std::sync::Arc;

use async_trait::async_trait;
use platform::notify::{Delivery, Notifier, NotifyError};
use wire::{WebhookConfig, WebhookShape, WebhooksConfig};

use crate::history::What;
use crate::world::World;

/// The receiver, as a process reaches it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) world: Arc<World>,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Where the notices of each workspace go that wants any.
pub(crate) fn webhooks(world: &World) -> WebhooksConfig {
    let wanting = world.setting.workspaces.iter().filter(|workspace| workspace.policy.notify);
    // A secret of nobody's.
    let hook = || WebhookConfig::new("https://example.com/hook", WebhookShape::Json, SECRET);
    wanting.filter_map(|workspace| Some((workspace.id.clone(), hook().ok()?))).collect()
}

#[async_trait]
impl Notifier for Told {
    async fn send(&self, delivery: &Delivery) -> Result<(), NotifyError> {
        let world = &self.world;
        world.sleep(world.millis(20, 800)).await;
        let fails = world.strikes(|storm| storm.notice);
        if fails && world.draw(|chance| chance.strikes(600)) {
            world.chanced("notices not delivered", || delivery.id.clone());
            return Err(NotifyError::NotDelivered { why: "made to fail".into(), retry_after: None });
        }
        world.note(What::Told { id: delivery.id.clone() });
        world.sleep(world.millis(5, 200)).await;
        if fails {
            return Err(NotifyError::InDoubt { why: "the answer was made to be lost".into() });
        }
        Ok(())
    }
}
