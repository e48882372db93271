//! Google's services, as the functions that look after workspaces use them. Each client connects when it is first used,
//! so that a function that starts is there at once.

use std::sync::Arc;

use platform::clock::Clock;
use platform::compute::google::{GoogleCompute, GoogleComputeConfig};
use platform::firestore::{Firestore, FirestoreConfig};
use platform::queue::{PubsubConfig, PubsubQueue};

use crate::config::CloudConfig;

/// The database that `project` has, or that of an emulator.
pub fn database(project: &str, emulator: Option<&str>) -> Arc<Firestore> {
    let endpoint = emulator.map(str::to_owned);
    Arc::new(Firestore::new(FirestoreConfig { endpoint, ..FirestoreConfig::new(project) }))
}

/// Where nudges are published.
pub fn queue(config: &CloudConfig) -> Arc<PubsubQueue> {
    let topic = PubsubConfig::new(&config.nudge_topic);
    Arc::new(PubsubQueue::new(match &config.pubsub_emulator {
        Some(host) => topic.with_emulator(host),
        None => topic,
    }))
}

/// Compute Engine; a call has the time that the most impatient workspace gives it.
pub fn compute(config: &CloudConfig, clock: &dyn Clock) -> Arc<GoogleCompute> {
    let limits = config.workspaces.0.iter().map(|workspace| workspace.policy.call_limit);
    Arc::new(GoogleCompute::new(GoogleComputeConfig {
        project: config.project.clone(),
        endpoint: config.compute_endpoint.clone(),
        anonymous: config.compute_endpoint.is_some(),
        // In the machine's own time.
        call_limit: limits.min().unwrap_or_default().duration().div_f64(clock.rate()),
    }))
}
